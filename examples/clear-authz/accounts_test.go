package main

import (
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/acmeauthz/acmeauthz/account"
	"github.com/acmeauthz/acmeauthz/internal/fakeca"
	"github.com/stretchr/testify/require"
)

// copyAccounts puts the accounts that a client left behind where it keeps them on a
// machine whose root is DIR/machine.
func (b *bench) copyAccounts(recorded, place string) {
	copyTree(b.t, filepath.Join("../../account/testdata", recorded), b.path("machine", place))
}

// machineBench is a machine on which several clients keep accounts at their usual
// places, and nothing else tells where.
func machineBench(t *testing.T) *bench {
	b := &bench{t: t, dir: t.TempDir(), env: map[string]string{"root": "machine"}, stdin: strings.NewReader("")}
	b.copyAccounts("certbot/several-accounts-and-symlinks/letsencrypt", "etc/letsencrypt")
	b.copyAccounts("lego/4.35.2-account-key-types/lego", "root/.lego")
	b.copyAccounts("uacme/verbose1-success/uacme", "etc/ssl/uacme")
	b.copyAccounts("mod_md/trace2-success-and-fail/md", "etc/apache2/md")
	require.NoError(t, filepath.WalkDir(b.dir, func(name string, d os.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			err = os.Chmod(name, 0o700)
		}
		return err
	}))
	return b
}

func TestAccounts(t *testing.T) {
	t.Setenv("HOME", "/root")
	for name, run := range map[string]func(b *bench) []outputs{
		"accounts-help": func(b *bench) []outputs { return runs(b.run("accounts", "--help")) },
		"accounts":      func(b *bench) []outputs { return runs(b.run("accounts")) },
		"accounts-json": func(b *bench) []outputs {
			return runs(b.run("accounts", "--json", b.path("machine/etc/ssl/uacme"), b.path("machine/etc/letsencrypt")))
		},
		"accounts-of-files": func(b *bench) []outputs {
			return runs(b.run("accounts", b.path("machine/root"), b.path("machine/etc/apache2/md/accounts")))
		},
		"accounts-none": func(b *bench) []outputs {
			b.write("machine/empty/x", "")
			b.env["root"] = "machine/empty"
			return runs(b.run("accounts"), b.run("accounts", b.path("machine/empty")), b.run("accounts", b.path("nowhere")), b.run("accounts", "--jsno"))
		},
		"accounts-broken": func(b *bench) []outputs {
			b.write("machine/root/.acme.sh/ca/ca.test/directory/account.key", "-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\n")
			return runs(b.run("accounts"), b.run("accounts", b.path("machine/root/.acme.sh")))
		},
		"accounts-exposed": func(b *bench) []outputs {
			require.NoError(b.t, os.Chmod(b.path("machine/etc/ssl/uacme"), 0o755))
			require.NoError(b.t, os.Chmod(b.path("machine/etc/ssl"), 0o755))
			require.NoError(b.t, os.Chmod(b.path("machine/etc/ssl/uacme/private"), 0o755))
			require.NoError(b.t, os.Chmod(b.path("machine/etc/ssl/uacme/private/key.pem"), 0o644))
			return runs(b.run("accounts", b.path("machine/etc/ssl/uacme")))
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := machineBench(t)
			b.golden(run(b)...)
		})
	}
}

// TestAccountsSchema holds the JSON to the members that the help names.
func TestAccountsSchema(t *testing.T) {
	b := machineBench(t)
	r := b.run("accounts", "--json", b.path("machine/etc/ssl/uacme"))
	var members map[string]any
	require.NoError(t, json.Unmarshal([]byte(r.stdout), &members))
	help := b.run("accounts", "--help").stdout
	_, documented, _ := strings.Cut(help, "\nJSON:\n")
	for member := range members {
		require.Contains(t, documented, member)
	}
	require.NotContains(t, r.stdout, "PRIVATE")
}

// storeLego stores a client's account as lego 5 does, in DIR/machine/root/.lego.
func (b *bench) storeLego(ca *fakeca.CA, account string) {
	client := ca.Client()
	dir := filepath.Join("machine/root/.lego/accounts", hostOf(client.DirectoryURL), account)
	b.write(filepath.Join(dir, account+".key"), pemKey(b.t, client.Key))
	doc, err := json.Marshal(map[string]any{"server": client.DirectoryURL, "registration": map[string]string{"accountURL": string(client.KID)}})
	require.NoError(b.t, err)
	b.write(filepath.Join(dir, "account.json"), string(doc))
}

// TestDiscovered clears with the accounts of a machine: nobody says where they are, or
// which is needed.
func TestDiscovered(t *testing.T) {
	t.Setenv("HOME", "/root")
	b := newBench(t, fakeca.Config{})
	b.env["root"] = "machine"
	b.storeLego(b.ca, "you@example.com")
	b.copyAccounts("uacme/verbose1-success/uacme", "etc/ssl/uacme")
	b.write("logs/lego.log", certbotLog(b.leak("shop.example.org")...))
	r := b.run(b.path("logs"))
	require.Equal(t, exitOK, r.code, r.stderr)
	require.Contains(t, r.stdout, "1 found, 1 pending, 1 cleared, 0 failed\n")
	require.Contains(t, oneLine(r.stderr), "its key is "+b.path("machine/root/.lego/accounts/ca.test/you@example.com/you@example.com.key"))
}

// TestNamedAccount chooses one of two accounts by each of its names.
func TestNamedAccount(t *testing.T) {
	b := leaked(t, fakeca.Config{})
	key := b.account(b.ca.NewAccount(), "9fd54dc85428a4b6a31583172b7e4162")
	all, err := (&program{}).findAccounts(b.path("letsencrypt"))
	require.NoError(t, err)
	require.Len(t, all, 2)
	mine := all[slices.IndexFunc(all, func(a *account.Account) bool { return a.URL == string(b.ca.Client().KID) })]
	for _, name := range []string{mine.URL, number(mine), mine.Thumbprint(), mine.Path, filepath.Dir(mine.Path)} {
		r := b.run("-n", "--account", name, b.path("logs"))
		require.Equal(t, exitOK, r.code, r.stderr)
		require.Contains(t, r.stdout, "3 found, 3 pending")
	}
	r := b.run("-n", "--account", key, b.path("logs"))
	require.Equal(t, exitNothing, r.code, "the URLs are of the other one")
	require.Contains(t, oneLine(r.stderr), "do not belong to account")
}

// signedLog is certbotLog with the account that signed, as Certbot logs it in base64url.
func signedLog(kid string, urls ...string) string {
	protected := base64.RawURLEncoding.EncodeToString([]byte(`{"alg": "RS256", "kid": "` + kid + `", "nonce": "n", "url": "u"}`))
	return strings.ReplaceAll(certbotLog(urls...), `  "payload": ""`, `  "protected": "`+protected+"\",\n"+`  "payload": ""`)
}

// TestOwnersOfLogs has URLs that do not say whose they are, two accounts, and logs that
// tell.
func TestOwnersOfLogs(t *testing.T) {
	b := newBench(t, fakeca.Config{Behavior: fakeca.Pebble})
	other := b.ca.NewAccount()
	b.account(b.ca.Client(), "35ce4c316f2f2d644994ea438682dbe5")
	b.account(other, "9fd54dc85428a4b6a31583172b7e4162")
	mine := b.leak("a.example.org", "b.example.org")
	theirs := b.ca.Add(fakeca.Authorization{Identifier: "c.example.org", Owner: other.KID})
	b.write("logs/letsencrypt.log", signedLog(string(b.ca.Client().KID), mine...)+signedLog(string(other.KID), theirs))
	r := b.run(b.path("logs"))
	require.Equal(t, exitOK, r.code, r.stderr)
	require.Contains(t, r.stdout, "3 found, 3 pending, 3 cleared, 0 failed\n")
	require.Contains(t, oneLine(r.stderr), ": 2 URLs; its key")
	require.Contains(t, oneLine(r.stderr), ": 1 URL; its key")

	b.write("logs/letsencrypt.log", signedLog("https://ca.test/somebody/else", mine...))
	r = b.run(b.path("logs"))
	require.Equal(t, exitNothing, r.code, r.stderr)
	require.Contains(t, r.stderr, "     2  account else\n")
}
