//go:build unix

package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/acmeauthz/acmeauthz/internal/fakeca"
	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/acme"
)

// asProgram is the command of this program, run by itself and under its name.
func asProgram(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	program := filepath.Join(t.TempDir(), "clear-authz")
	require.NoError(t, os.Symlink(self, program))
	return exec.Command(program, args...)
}

// TestCtrlC interrupts the program while the CA does not answer.
func TestCtrlC(t *testing.T) {
	arrived, release := make(chan struct{}, 10), make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		arrived <- struct{}{}
		<-release
	}))
	defer server.Close()
	defer close(release)
	b := newBench(t, fakeca.Config{})
	client := b.ca.Client()
	client.DirectoryURL, client.KID = server.URL+"/directory", acme.KeyID(server.URL+"/acme/acct/1")
	b.account(client, "35ce4c316f2f2d644994ea438682dbe5")
	b.write("logs/letsencrypt.log", certbotLog(server.URL+"/acme/authz/1/2", server.URL+"/acme/authz/1/3"))

	cmd := asProgram(t, "--server", server.URL+"/directory", "--config-dir", b.path("letsencrypt"), b.path("logs"))
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	require.NoError(t, cmd.Start())
	<-arrived
	require.NoError(t, cmd.Process.Signal(os.Interrupt))
	require.Error(t, cmd.Wait())
	require.Equal(t, exitFailed, cmd.ProcessState.ExitCode(), stderr.String())
	require.Contains(t, oneLine(stderr.String()), "clear-authz: interrupted")
	require.Contains(t, oneLine(stderr.String()), "To go on: "+cmd.Path+" --server ")
}

// hangOn is a program whose work does not end when it is interrupted.
func hangOn() {
	ctx, stop := catchInterrupt(context.Background())
	defer stop()
	fmt.Println("ready")
	<-ctx.Done()
	fmt.Println("interrupted")
	time.Sleep(time.Hour)
}

// TestSecondCtrlC ends at once what the first one does not.
func TestSecondCtrlC(t *testing.T) {
	cmd := asProgram(t)
	cmd.Env = append(os.Environ(), "CLEAR_AUTHZ_STUCK=1")
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	lines := bufio.NewScanner(out)
	for _, want := range []string{"ready", "interrupted"} {
		require.True(t, lines.Scan())
		require.Equal(t, want, lines.Text())
		require.NoError(t, cmd.Process.Signal(os.Interrupt)) // the second while it is stuck
	}
	again := time.NewTicker(20 * time.Millisecond) // it may have come too early
	defer again.Stop()
	ended := make(chan error)
	go func() { ended <- cmd.Wait() }()
	for err = nil; err == nil; {
		select {
		case err = <-ended:
		case <-again.C:
			_ = cmd.Process.Signal(os.Interrupt)
		}
	}
	status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus)
	require.True(t, ok)
	require.Equal(t, syscall.SIGINT, status.Signal())
}
