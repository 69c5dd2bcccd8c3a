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

// TestNoPermission compares what is printed to those who may not read the
// accounts, a log, or the logs' directory.
func TestNoPermission(t *testing.T) {
	if os.Geteuid() == 0 { // who may read everything
		compareGolden(t, "testdata/golden/no-permission.txt", asNobody(t))
		return
	}
	b := leaked(t, fakeca.Config{})
	closed := func(path string) outputs {
		info, err := os.Stat(path)
		require.NoError(t, err)
		require.NoError(t, os.Chmod(path, 0))
		t.Cleanup(func() { os.Chmod(path, info.Mode()) })
		return b.run(b.path("logs"))
	}
	got := b.text(closed(b.path("letsencrypt/accounts")), closed(b.path("logs/letsencrypt.log")), closed(b.path("logs")))
	if file := os.Getenv("PERMISSION_OUTPUT"); file != "" {
		require.NoError(t, os.WriteFile(file, []byte(got), 0o600))
		return
	}
	compareGolden(t, "testdata/golden/no-permission.txt", got)
}

// asNobody runs the calling test again, as a user without rights, and returns
// what it writes.
func asNobody(t *testing.T) string {
	const nobody = 65534
	dir := t.TempDir()
	require.NoError(t, os.Chmod(filepath.Dir(dir), 0o755)) // made for root alone
	program, output := filepath.Join(dir, "test"), filepath.Join(dir, "home", "output")
	require.NoError(t, os.Mkdir(filepath.Dir(output), 0o700))
	require.NoError(t, os.Chown(filepath.Dir(output), nobody, nobody))
	copyProgram(t, program)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, "-test.run", "^"+t.Name()+"$", "-test.v")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "PERMISSION_OUTPUT="+output)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	require.Contains(t, string(out), "--- PASS: "+t.Name())
	text, err := os.ReadFile(output)
	require.NoError(t, err)
	return string(text)
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
