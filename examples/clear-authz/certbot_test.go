//go:build unix

package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/acmeauthz/acmeauthz/internal/pebbleca"
	"github.com/stretchr/testify/require"
)

// TestCertbot is the whole way with the real Certbot: it orders at Pebble, is
// killed while its hook waits, and its leaks are cleared from what it left: its
// log and its account.
func TestCertbot(t *testing.T) {
	certbot, err := exec.LookPath("certbot")
	if err != nil && os.Getenv("REQUIRE_CERTBOT") == "" {
		t.Skip("certbot is not installed: apt-get install certbot")
	}
	require.NoError(t, err, "REQUIRE_CERTBOT is set")
	ca, err := pebbleca.Start(pebbleca.Config{}) // Certbot 2.1.0 may crash when a nonce is refused
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, ca.Close()) })
	b := &bench{t: t, dir: t.TempDir(), env: map[string]string{}, stdin: strings.NewReader("")}
	b.write("root.pem", string(ca.RootPEM()))

	killCertbot(t, b, certbot, ca, "shop.example.org", "www.shop.example.org")
	killCertbot(t, b, certbot, ca, "blog.example.org", "*.blog.example.org", "www.blog.example.org")

	account := testAccount(t, b)
	before, err := ca.Statuses(account.URL)
	require.NoError(t, err)
	require.Equal(t, 5, countStatus(before, "pending"), before)

	args := []string{"--ca-file", b.path("root.pem"), "--min-age", "0", b.path("logs")} // Certbot was killed just now
	r := b.run(append(args, "--dry-run")...)
	require.Equal(t, exitOK, r.code, r.stderr)
	require.Contains(t, r.stdout, "5 found, 5 pending, 0 failed (dry run: nothing was changed)\n")
	require.Contains(t, r.stdout, "\n*.blog.example.org ")
	still, err := ca.Statuses(account.URL)
	require.NoError(t, err)
	require.Equal(t, before, still)

	r = b.run(args...)
	require.Equal(t, exitOK, r.code, r.stderr)
	require.Contains(t, r.stdout, "5 found, 5 pending, 5 cleared, 0 failed\n")
	after, err := ca.Statuses(account.URL)
	require.NoError(t, err)
	require.Len(t, after, len(before))
	require.Equal(t, len(after), countStatus(after, "deactivated"), after)
}

func countStatus(statuses map[string]string, status string) int {
	n := 0
	for _, s := range statuses {
		if s == status {
			n++
		}
	}
	return n
}

// killCertbot lets Certbot order a certificate and kills it, with everything it
// started, once it is in its hook. By then all authorizations are made.
func killCertbot(t *testing.T, b *bench, certbot string, ca *pebbleca.CA, names ...string) {
	t.Helper()
	mark := b.path("in-the-hook")
	b.write("hook.sh", "#!/bin/sh\ntouch '"+mark+"'\nexec sleep 60\n")
	require.NoError(t, os.Chmod(b.path("hook.sh"), 0o700))
	_ = os.Remove(mark)

	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	args := []string{"certonly", "--manual", "--preferred-challenges", "dns", "--manual-auth-hook", b.path("hook.sh"),
		"--server", ca.DirectoryURL(), "--non-interactive", "--agree-tos", "--register-unsafely-without-email",
		"--config-dir", b.path("letsencrypt"), "--work-dir", b.path("work"), "--logs-dir", b.path("logs")}
	for _, name := range names {
		args = append(args, "-d", name)
	}
	var output bytes.Buffer
	cmd := exec.CommandContext(ctx, certbot, args...)
	cmd.Env = append(slices.DeleteFunc(os.Environ(), isProxy), "REQUESTS_CA_BUNDLE="+b.path("root.pem"))
	cmd.Stdout, cmd.Stderr = &output, &output
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 10 * time.Second
	require.NoError(t, cmd.Start())
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for !exists(mark) {
		select {
		case err := <-ended:
			require.FailNow(t, "certbot ended before its hook ran", "%v\n%s", err, output.String())
		case <-time.After(20 * time.Millisecond):
		}
	}
	require.NoError(t, syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL))
	exit, ok := errors.AsType[*exec.ExitError](<-ended)
	require.True(t, ok)
	require.Equal(t, syscall.SIGKILL, exit.Sys().(syscall.WaitStatus).Signal())
	logs, err := filepath.Glob(b.path("logs", "letsencrypt.log*"))
	require.NoError(t, err)
	require.NotEmpty(t, logs)
}

// isProxy reports whether a variable would send Certbot to a proxy.
func isProxy(variable string) bool {
	name, _, _ := strings.Cut(strings.ToLower(variable), "=")
	return strings.HasSuffix(name, "_proxy")
}
