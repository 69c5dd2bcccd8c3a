//go:build unix

package main

import (
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/acmeauthz/acmeauthz/internal/fakeca"
	"github.com/stretchr/testify/require"
)

// TestHangup closes the terminal during a run.
func TestHangup(t *testing.T) {
	b := leaked(t, fakeca.Config{Intercept: func(r *fakeca.Request) *fakeca.Answer {
		if r.Kind != fakeca.Deactivate {
			return nil
		}
		_ = syscall.Kill(os.Getpid(), syscall.SIGHUP)
		return &fakeca.Answer{Hang: true}
	}})
	r := b.run("--parallel", "1", b.path("logs"))
	require.Equal(t, exitFailed, r.code)
	require.Contains(t, oneLine(r.stderr), "clear-authz: interrupted: 0 of 3 done.")
}

// closed is a pipe whose reader is gone after some lines.
type closed struct{ left int }

func (c *closed) Write(b []byte) (int, error) {
	if c.left--; c.left < 0 {
		return 0, &os.PathError{Op: "write", Path: "|1", Err: syscall.EPIPE}
	}
	return len(b), nil
}

// TestURLsToHead prints URLs while it reads, until the reader has enough.
func TestURLsToHead(t *testing.T) {
	b := leaked(t, fakeca.Config{})
	b.stdin = &endless{}
	var stderr strings.Builder
	require.Equal(t, exitOK, b.program(&closed{left: 3}, &stderr).run(t.Context(), []string{"clear-authz", "urls"}))
	require.Empty(t, stderr.String())
}

// endless is a log that never ends.
type endless struct{ n int }

func (e *endless) Read(b []byte) (int, error) {
	e.n++
	return copy(b, certbotLog("https://ca.test/acme/authz/1/"+strings.Repeat("1", 1+e.n%50))), nil
}

func TestAgainAsRoot(t *testing.T) {
	b := leaked(t, fakeca.Config{})
	b.env["CLEAR_AUTHZ_SERVER"] = "ca.test"
	p := b.program(nil, nil)
	p.stdout, p.stderr = &strings.Builder{}, &strings.Builder{}
	b.stdin = strings.NewReader("")
	require.Equal(t, exitOK, p.run(t.Context(), []string{"clear-authz", "-n"}))
	require.Equal(t, "cat letsencrypt.log* | sudo clear-authz --server ca.test -n   (with the same input)", p.again())
	p = b.program(&strings.Builder{}, &strings.Builder{})
	require.Equal(t, exitOK, p.run(t.Context(), []string{"clear-authz", "-n", "--server", "ca.test", b.path("logs")}))
	require.Equal(t, "sudo clear-authz -n --server ca.test "+b.path("logs"), p.again())
}

func TestQuietURLs(t *testing.T) {
	b := leaked(t, fakeca.Config{})
	b.write("empty.log", "")
	require.Equal(t, outputs{args: []string{"-q", "urls", b.path("empty.log")}}, b.run("-q", "urls", b.path("empty.log")))
}
