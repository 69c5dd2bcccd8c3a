//go:build unix

package main

import (
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/acmeauthz/acmeauthz/internal/fakeca"
	"github.com/stretchr/testify/require"
)

func TestNoPermission(t *testing.T) {
	if os.Geteuid() == 0 { // who may read everything
		asNobody(t)
		return
	}
	b := leaked(t, fakeca.Config{})
	require.NoError(t, os.Chmod(b.path("letsencrypt/accounts"), 0))
	t.Cleanup(func() { os.Chmod(b.path("letsencrypt/accounts"), 0o700) })
	r := b.run(b.path("logs"))
	require.Equal(t, exitNothing, r.code)
	require.Contains(t, r.stderr, "no permission to read")
	require.Contains(t, r.stderr, "  Run it as root: sudo clear-authz "+b.path("logs")+"\n")

	require.NoError(t, os.Chmod(b.path("logs/letsencrypt.log"), 0))
	r = b.run(b.path("logs"))
	require.Equal(t, exitNothing, r.code)
	require.Contains(t, r.stderr, "letsencrypt.log: no permission to read it\nclear-authz: some logs could not be read.\n  Run it as root: sudo clear-authz "+b.path("logs")+"\n")

	require.NoError(t, os.Chmod(b.path("logs"), 0))
	t.Cleanup(func() { os.Chmod(b.path("logs"), 0o700) })
	r = b.run(b.path("logs"))
	require.Equal(t, exitNothing, r.code)
	require.Contains(t, r.stderr, "no permission to read the logs below "+b.path("logs"))
}

// asNobody runs the calling test again, as a user without rights.
func asNobody(t *testing.T) {
	const nobody = 65534
	dir := t.TempDir()
	require.NoError(t, os.Chmod(filepath.Dir(dir), 0o755)) // made for root alone
	program := filepath.Join(dir, "test")
	copyProgram(t, program)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, "-test.run", "^"+t.Name()+"$", "-test.v")
	cmd.Dir = dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	require.Contains(t, string(out), "--- PASS: "+t.Name())
}

// copyProgram copies the running test to where everybody can run it.
func copyProgram(t *testing.T, to string) {
	from, err := os.Executable()
	require.NoError(t, err)
	in, err := os.Open(from)
	require.NoError(t, err)
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY, 0o755)
	require.NoError(t, err)
	_, err = io.Copy(out, in)
	require.NoError(t, err)
	require.NoError(t, out.Close())
}
