package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nats-io/nkeys"
	"github.com/stretchr/testify/require"
)

// TestNKey: the file has the seed, standard output the public key alone, and nothing is overwritten.
func TestNKey(t *testing.T) {
	path := filepath.Join(t.TempDir(), "web01.nk")
	var out, errors bytes.Buffer
	require.Zero(t, run(t.Context(), []string{"fleet", "nkey", path}, &out, &errors), errors.String())
	require.Empty(t, errors.String())
	seed, err := os.ReadFile(path)
	require.NoError(t, err)
	pair, err := nkeys.FromSeed(bytes.TrimSpace(seed))
	require.NoError(t, err)
	public, err := pair.PublicKey()
	require.NoError(t, err)
	require.True(t, nkeys.IsValidPublicUserKey(public))
	require.Equal(t, public+"\n", out.String())
	info, err := os.Stat(path)
	require.NoError(t, err)
	if os.PathSeparator == '/' {
		require.Equal(t, os.FileMode(0o600), info.Mode())
	}

	require.Equal(t, exitUsage, run(t.Context(), []string{"fleet", "nkey", path}, &out, &errors))
	require.Contains(t, errors.String(), "is there already")
	require.Equal(t, public+"\n", out.String())
	after, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, seed, after)

	other := filepath.Join(filepath.Dir(path), "web02.nk")
	require.Zero(t, run(t.Context(), []string{"fleet", "nkey", other}, &out, &errors))
	after, err = os.ReadFile(other)
	require.NoError(t, err)
	require.NotEqual(t, seed, after)
	require.NotContains(t, out.String()+errors.String(), strings.TrimSpace(string(seed)))
}

// TestNKeyRefuses writes nothing where it cannot.
func TestNKeyRefuses(t *testing.T) {
	dir := t.TempDir()
	link := filepath.Join(dir, "link")
	target := filepath.Join(dir, "target")
	require.NoError(t, os.Symlink(target, link))
	for _, test := range []struct {
		args []string
		code int
		want string
	}{
		{nil, exitUsage, "needs one file"},
		{[]string{""}, exitUsage, "needs one file"},
		{[]string{filepath.Join(dir, "a"), filepath.Join(dir, "b")}, exitUsage, "needs one file"},
		{[]string{dir}, exitUsage, "is there already"},
		{[]string{link}, exitUsage, "is there already"},
		{[]string{filepath.Join(dir, "none", "a")}, exitFailed, "no such file"},
	} {
		var out, errors bytes.Buffer
		require.Equal(t, test.code, run(t.Context(), append([]string{"fleet", "nkey"}, test.args...), &out, &errors), test.args)
		require.Contains(t, errors.String(), test.want)
		require.Empty(t, out.String())
	}
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, left, 1)
	require.NoFileExists(t, target)
}
