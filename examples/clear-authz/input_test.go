package main

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/acmeauthz/acmeauthz/internal/fakeca"
	"github.com/stretchr/testify/require"
)

// TestLinkedLogDirectory has /var/log/letsencrypt on another disk.
func TestLinkedLogDirectory(t *testing.T) {
	b := leaked(t, fakeca.Config{})
	require.NoError(t, os.Symlink(b.path("logs"), b.path("link")))
	want := b.run("urls", b.path("logs"))
	require.NotEmpty(t, want.stdout)
	for _, name := range []string{b.path("link"), b.path("link") + "/"} {
		got := b.run("urls", name)
		require.Equal(t, exitOK, got.code)
		require.Equal(t, want.stdout, got.stdout, name)
	}
	paths, err := filesBelow(b.path("link"))
	require.NoError(t, err)
	require.Equal(t, []string{b.path("link", "letsencrypt.log")}, paths)
}

// TestUnlistedDirectory has a subdirectory that cannot be listed: it counts as a
// log that cannot be read.
func TestUnlistedDirectory(t *testing.T) {
	b := leaked(t, fakeca.Config{})
	w := &logWalk{dir: b.path("link"), root: b.path("logs")}
	require.NoError(t, w.visit(b.path("logs", "sub"), nil, fs.ErrPermission))
	require.ErrorIs(t, w.visit(b.path("logs"), nil, fs.ErrPermission), fs.ErrPermission)
	require.Equal(t, []string{b.path("link", "sub")}, w.paths)

	gone := b.path("logs", "gone.log")
	var stderr bytes.Buffer
	f := b.program(nil, &stderr).readHistory([]string{gone, b.path("logs", "letsencrypt.log")}, options{})
	require.Equal(t, 1, f.failed)
	require.Len(t, f.urls, 3)
	require.Equal(t, "clear-authz: "+gone+": no such file or directory", oneLine(stderr.String()))
	require.Equal(t, exitFailed, f.problem(2).code)

	if os.Getuid() == 0 {
		return // root may list everything
	}
	require.NoError(t, os.Mkdir(b.path("logs", "closed"), 0o000))
	r := b.run("urls", b.path("logs"))
	require.Equal(t, exitFailed, r.code)
	require.Contains(t, r.stdout, "https://ca.test/acme/authz/1/2\n")
	require.Contains(t, r.stderr, filepath.Join(b.path("logs"), "closed")+": no permission to read it\n")
}

// TestAccountByName has an account name that is also part of every path.
func TestAccountByName(t *testing.T) {
	b := leaked(t, fakeca.Config{})
	second := b.ca.NewAccount()
	b.account(second, "9fd54dc85428a4b6a31583172b7e4162")
	for _, name := range []string{"accounts", "ca.test", "directory", "letsencrypt", "private_key.json"} {
		r := b.run("-n", "--account", name, b.path("logs"))
		require.Equal(t, exitUsage, r.code, name)
		require.Contains(t, oneLine(r.stderr), "no account "+name+" of ca.test is below ")
	}
	for _, name := range []string{"35ce4c316f2f2d644994ea438682dbe5", string(b.ca.Client().KID), number2(b.ca.Client())} {
		require.Equal(t, exitOK, b.run("-n", "--account", name, b.path("logs")).code, name)
	}
	b.account(second, number2(b.ca.Client())) // a name that is the other's number
	require.NoError(t, os.RemoveAll(b.path("letsencrypt/accounts/ca.test/directory/9fd54dc85428a4b6a31583172b7e4162")))
	r := b.run("-n", "--account", number2(b.ca.Client()), b.path("logs"))
	require.Equal(t, exitUsage, r.code)
	require.Contains(t, r.stderr, "--account "+number2(b.ca.Client())+" means 2 accounts:\n")
	require.Contains(t, oneLine(r.stderr), "Choose one by its URL: --account https://ca.test/acme/acct/")
}
