//go:build unix

package account

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestCertbotPipe has a named pipe for each file; opening one would block.
func TestCertbotPipe(t *testing.T) {
	key, _, _ := testKeys(t)
	for _, file := range []string{certbotKey, certbotRegr, certbotMeta} {
		dir := t.TempDir()
		store := filepath.Join(dir, "accounts", "ca.example", "dir", "0")
		newAccount(t, store, key, "https://ca.example/1")
		newAccount(t, filepath.Join(dir, "accounts", "ca.example", "dir", "1"), key, "https://ca.example/1")
		_ = os.Remove(filepath.Join(store, file))
		require.NoError(t, syscall.Mkfifo(filepath.Join(store, file), 0o600))
		require.NoError(t, syscall.Mkfifo(filepath.Join(dir, "accounts", "ca.example", "pipe"), 0o600))
		got, err := Certbot(os.DirFS(dir))
		require.Len(t, got, 1)
		require.Equal(t, []string{"account: accounts/ca.example/dir/0/" + file + ": not a regular file"}, faults(t, err))
	}
}

// TestReadersPipe has pipes where the readers of other clients expect files.
func TestReadersPipe(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{
		"accounts/ca.example/you/you.key", "ca/ca.example/directory/account.key", "private/key.pem", "acme_account+key", "acme.json",
		"lacme-accountd.conf", "account.key", "Signer_v2", "server/account/acct.json", "terraform.tfstate", "all.yaml",
	} {
		require.NoError(t, os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o700))
		require.NoError(t, syscall.Mkfifo(filepath.Join(dir, name), 0o600))
	}
	accounts, err := Load(dir)
	require.Empty(t, accounts)
	require.ErrorContains(t, err, "not a regular file")
}
