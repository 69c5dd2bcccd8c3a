//go:build unix

package main

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestMain is the program itself where a test runs it under its own name.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) != "clear-authz" {
		os.Exit(m.Run())
	}
	if os.Getenv("CLEAR_AUTHZ_STUCK") != "" {
		hangOn()
	}
	p := &program{stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr, getenv: os.Getenv, now: time.Now}
	p.rootDir = os.Getenv("CLEAR_AUTHZ_STAGE") // in place of /
	p.root, p.logDir = os.DirFS(p.rootDir), filepath.Join(p.rootDir, "var/log/letsencrypt")
	os.Exit(p.run(context.Background(), os.Args))
}

// A stage is a machine with the leaks of the quickstart, whose CA runs.
type stage struct {
	t   *testing.T
	dir string // in place of /
	bin string // has clear-authz
}

var stageDir = regexp.MustCompile(`(?m)^(/\S*quickstart-\d+)\.$`)

// newStage starts the quickstart, which waits until the test is over.
func newStage(t *testing.T) *stage {
	t.Helper()
	s := &stage{t: t, bin: t.TempDir()}
	self, err := os.Executable()
	require.NoError(t, err)
	require.NoError(t, os.Symlink(self, filepath.Join(s.bin, "clear-authz")))
	quickstart := filepath.Join(s.bin, "quickstart")
	build, err := exec.Command("go", "build", "-o", quickstart, "../quickstart").CombinedOutput()
	require.NoError(t, err, string(build))

	cmd := exec.Command(quickstart, "--wait")
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	})
	told := ""
	for lines := bufio.NewScanner(out); lines.Scan() && !strings.HasPrefix(lines.Text(), "Ctrl-C"); {
		told += lines.Text() + "\n"
	}
	require.Regexp(t, stageDir, told)
	s.dir = stageDir.FindStringSubmatch(told)[1]
	return s
}

// env is the environment of a command on the stage, with programs in more places.
func (s *stage) env(path ...string) []string {
	path = append(append([]string{s.bin}, path...), os.Getenv("PATH"))
	return append(os.Environ(), "PATH="+strings.Join(path, string(os.PathListSeparator)), "CLEAR_AUTHZ_STAGE="+s.dir,
		"SSL_CERT_FILE="+filepath.Join(s.dir, "root.pem"), "NO_COLOR=1")
}

// run runs a command line of a shell in the stage's directory.
func (s *stage) run(line string) (output string, code int) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-c", "set -euo pipefail\n"+line)
	cmd.Env, cmd.Dir = s.env(), s.dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		require.ErrorAs(s.t, err, new(*exec.ExitError), line)
	}
	return string(out), cmd.ProcessState.ExitCode()
}
