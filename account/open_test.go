package account

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
)

// TestOpenRecorded opens what clients left behind without being told whose it is:
// the directory, and each key's file by itself.
func TestOpenRecorded(t *testing.T) {
	for client, how := range recorded {
		scenarios, err := os.ReadDir(filepath.Join("testdata", client))
		require.NoError(t, err)
		for _, scenario := range scenarios {
			name := filepath.Join(client, scenario.Name())
			t.Run(name, func(t *testing.T) {
				fsys := os.DirFS(restore(t, name))
				sub, err := fs.Sub(fsys, how.dir)
				require.NoError(t, err)
				want, err := how.read(sub)
				require.NoError(t, err)
				for _, a := range want {
					a.Path = path.Join(how.dir, a.Path)
				}
				got, err := Open(fsys, how.dir)
				require.NoError(t, err)
				require.Equal(t, describe(want, nil), describe(got, nil))
				for _, a := range want {
					of := slices.Collect(func(yield func(*Account) bool) {
						for _, b := range want {
							if b.Path == a.Path && !yield(b) {
								return
							}
						}
					})
					got, err := Open(fsys, a.Path)
					require.NoError(t, err)
					require.Equal(t, openedFile(of), openedFile(got))
				}
			})
		}
	}
}

// openedFile describes accounts but for what a file alone does not tell: cert-manager
// keeps URLs in another one, and a mod_md key is protected by a file above it.
func openedFile(accounts []*Account) string {
	var lines []string
	for line := range strings.Lines(describe(accounts, nil)) {
		if strings.HasPrefix(accounts[0].StoredBy, "cert") && !strings.Contains(line, "key  ") {
			continue
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "")
}

// machine is a made-up machine on which every client keeps an account at one of its
// default places.
func machine(t testing.TB) fstest.MapFS {
	jsonKey := string(testJWK(t, "p256-parameters-sec1.pem", nil))
	const key = "key:p256-parameters-sec1.pem"
	leAccount := func(n string) string { return boulder + "/acme/acct/" + n }
	return files(t, map[string]string{
		"etc/letsencrypt/accounts/acme-v02.api.letsencrypt.org/directory/0/private_key.json": string(testJWK(t, "p384-sec1.pem", nil)),
		"etc/letsencrypt/accounts/acme-v02.api.letsencrypt.org/directory/0/regr.json":        regr(leAccount("1")),

		"root/.lego/accounts/ca.example/you@example.com/you@example.com.key": key,
		"root/.lego/accounts/ca.example/you@example.com/account.json":        `{"server": "https://ca.example/directory"}`,

		"home/me/.acme.sh/ca/acme.zerossl.com/v2/DV90/account.key":                   key,
		"home/me/.acme.sh/ca/acme.zerossl.com/v2/DV90/ca.conf":                       "ACCOUNT_URL='https://acme.zerossl.com/v2/DV90/account/1'\n",
		"home/other/.acme.sh/ca/acme.zerossl.com/v2/DV90/account.key":                key, // nobody's whose home was given
		"var/lib/dehydrated/accounts/aHR0cHM6Ly9kLmV4YW1wbGUvZGlyCg/account_key.pem": key,

		"var/lib/caddy/.local/share/caddy/acme/c.example-directory/users/default/default.key":  key,
		"var/lib/caddy/.local/share/caddy/acme/c.example-directory/users/default/default.json": `{"location": "https://c.example/acct/1"}`,

		"etc/traefik/acme.json":                            `{"le": {"Account": {"Registration": {"uri": "` + leAccount("2") + `"}, "PrivateKey": "` + derOf(t, "rsa2048-pkcs1.pem") + `"}}}`,
		"etc/apache2/md/md_store.json":                     `{"store": {"version": 3.0}}`,
		"etc/apache2/md/accounts/ACME-x/account.json":      `{"url": "https://m.example/acct/1", "ca-url": "https://m.example/dir"}`,
		"etc/apache2/md/accounts/ACME-x/account.pem":       key,
		"home/me/.cache/golang-autocert/acme_account+key":  "key:p521-pkcs8.pem",
		"var/lib/acme/accounts/t.example%2fdir/id/privkey": key,
		"etc/ssl/uacme/private/key.pem":                    "key:p384-sec1.pem",
		"etc/ssl/uacme/private/www.example/key.pem":        key, // a certificate's
		"etc/lacme/lacme-accountd.conf":                    "privkey = file:/etc/lacme/account.key\n",
		"etc/lacme/account.key":                            "key:rsa2048-pkcs1.pem",
		"home/me/.config/Posh-ACME/LE_PROD/dir.json":       `{"location": "https://p.example/dir"}`,
		"home/me/.config/Posh-ACME/LE_PROD/1/acct.json":    `{"location": "https://p.example/acct/1", "key": ` + jsonKey + `}`,
		"ProgramData/win-acme/w.example/Signer_v2":         "enc-AAAA",
		"srv/backup/private_key.json":                      jsonKey, // no default place
	})
}

func derOf(t testing.TB, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata/keys", name))
	require.NoError(t, err)
	return base64DER(t, data)
}

func TestDiscover(t *testing.T) {
	accounts, err := Discover(machine(t), "root", "home/me")
	var got []string
	for _, a := range accounts {
		got = append(got, strings.TrimRight(a.StoredBy+" "+a.Path+" "+a.Directory+" "+a.URL, " "))
	}
	require.Equal(t, []string{
		"mod_md etc/apache2/md/accounts/ACME-x/account.pem https://m.example/dir https://m.example/acct/1",
		"lacme etc/lacme/account.key",
		"certbot etc/letsencrypt/accounts/acme-v02.api.letsencrypt.org/directory/0/private_key.json " + letsEncrypt + " " + boulder + "/acme/acct/1",
		"uacme etc/ssl/uacme/private/key.pem",
		"traefik etc/traefik/acme.json " + letsEncrypt + " " + boulder + "/acme/acct/2",
		"acme.sh home/me/.acme.sh/ca/acme.zerossl.com/v2/DV90/account.key https://acme.zerossl.com/v2/DV90 https://acme.zerossl.com/v2/DV90/account/1",
		"autocert home/me/.cache/golang-autocert/acme_account+key",
		"posh-acme home/me/.config/Posh-ACME/LE_PROD/1/acct.json https://p.example/dir https://p.example/acct/1",
		"lego root/.lego/accounts/ca.example/you@example.com/you@example.com.key https://ca.example/directory",
		"acmetool var/lib/acme/accounts/t.example%2fdir/id/privkey https://t.example/dir",
		"caddy var/lib/caddy/.local/share/caddy/acme/c.example-directory/users/default/default.key https://c.example/directory https://c.example/acct/1",
		"dehydrated var/lib/dehydrated/accounts/aHR0cHM6Ly9kLmV4YW1wbGUvZGlyCg/account_key.pem https://d.example/dir",
	}, got)
	require.Equal(t, "error: account: ProgramData/win-acme/w.example/Signer_v2: "+errProtected.Error()+"\n", describe(nil, err))
}

// TestDiscoverHomes looks into the home of the user if none is given.
func TestDiscoverHomes(t *testing.T) {
	t.Setenv("HOME", "/home/other")
	accounts, _ := Discover(machine(t))
	require.True(t, slices.ContainsFunc(accounts, func(a *Account) bool { return strings.HasPrefix(a.Path, "home/other/") }))
	require.True(t, slices.ContainsFunc(accounts, func(a *Account) bool { return strings.HasPrefix(a.Path, "root/") }))
	require.False(t, slices.ContainsFunc(accounts, func(a *Account) bool { return strings.HasPrefix(a.Path, "home/me/") }))
}

func TestDiscoverNothing(t *testing.T) {
	accounts, err := Discover(fstest.MapFS{"etc/hostname": {Data: []byte("web01\n")}}, "root")
	require.NoError(t, err)
	require.Empty(t, accounts)
}

// closedFS has directories that nobody may read, or look into.
type closedFS struct {
	fsys   fstest.MapFS
	closed []string
}

func (c closedFS) refuse(op, name string) error {
	for _, dir := range c.closed {
		if name == dir || strings.HasPrefix(name, dir+"/") {
			return &fs.PathError{Op: op, Path: name, Err: fs.ErrPermission}
		}
	}
	return nil
}

func (c closedFS) Open(name string) (fs.File, error) {
	if err := c.refuse("open", name); err != nil {
		return nil, err
	}
	return c.fsys.Open(name)
}

func (c closedFS) Stat(name string) (fs.FileInfo, error) {
	if err := c.refuse("stat", path.Dir(name)); err != nil {
		return nil, err
	}
	return c.fsys.Stat(name)
}

// TestDiscoverClosed has places that cannot be read: they are told, and do not hide
// the others.
func TestDiscoverClosed(t *testing.T) {
	fsys := closedFS{machine(t), []string{"root", "etc/letsencrypt/accounts", "ProgramData/win-acme"}}
	accounts, err := Discover(fsys, "root", "home/me")
	require.Len(t, accounts, 10)
	var places []string
	for _, err := range split(err) {
		require.ErrorIs(t, err, fs.ErrPermission)
		places = append(places, err.(*FileError).Path)
	}
	require.Equal(t, []string{
		"ProgramData/win-acme", "etc/letsencrypt/accounts",
		"root/.acme.sh", "root/.cache", "root/.config", "root/.lego", "root/.local", "root/AppData", "root/Library",
	}, places)
}

func TestOpen(t *testing.T) {
	fsys := machine(t)
	for name, want := range map[string]string{
		"etc/letsencrypt": "certbot etc/letsencrypt/accounts/acme-v02.api.letsencrypt.org/directory/0/private_key.json",
		"root":            "lego root/.lego/accounts/ca.example/you@example.com/you@example.com.key",
		"home/me/.acme.sh/ca/acme.zerossl.com/v2/DV90/account.key": "acme.sh home/me/.acme.sh/ca/acme.zerossl.com/v2/DV90/account.key",
		"etc/traefik/acme.json":                                 "traefik etc/traefik/acme.json",
		"srv/backup/private_key.json":                           "key file srv/backup/private_key.json",
		"etc/letsencrypt/accounts/acme-v02.api.letsencrypt.org": "certbot etc/letsencrypt/accounts/acme-v02.api.letsencrypt.org/directory/0/private_key.json",
		"etc/ssl/uacme":                                         "uacme etc/ssl/uacme/private/key.pem",
	} {
		accounts, err := Open(fsys, name)
		require.NoError(t, err, name)
		require.Len(t, accounts, 1, name)
		require.Equal(t, want, accounts[0].StoredBy+" "+accounts[0].Path)
	}
	accounts, err := Open(fsys, ".")
	require.Len(t, accounts, 8, "as on the machine itself, but for homes")
	require.Len(t, split(err), 1)
}

func TestOpenErrors(t *testing.T) {
	fsys := machine(t)
	fsys["etc/hostname"] = &fstest.MapFile{Data: []byte("web01\n")}
	for name, want := range map[string]string{
		"missing":                        "account: missing: file does not exist",
		"etc/hostname":                   "account: etc/hostname: found data that is neither PEM, DER nor a JWK: there is no private key in it (supported are RSA keys of 2048 to 8192 bits and EC keys on P-256, P-384 or P-521, unencrypted, in PEM, in DER or as a JWK)",
		"srv":                            "account: srv: file does not exist: expected a directory in which an ACME client keeps accounts, a copy of a machine's root, or a home directory",
		"ProgramData/win-acme/w.example": "account: ProgramData/win-acme/w.example/Signer_v2: " + errProtected.Error(),
	} {
		accounts, err := Open(fsys, name)
		require.Empty(t, accounts)
		require.EqualError(t, err, want)
		_, ok := errors.AsType[*FileError](err)
		require.True(t, ok)
	}
}

// TestLoad opens by a path of the operating system, and names files by it.
func TestLoad(t *testing.T) {
	dir := restore(t, "lego/5.6.0-text-log")
	const key = "accounts/acme-v02.api.letsencrypt.org/you@example.com/you@example.com.key"
	for _, name := range []string{filepath.Join(dir, "lego"), filepath.Join(dir, "lego", filepath.FromSlash(key))} {
		accounts, err := Load(name)
		require.NoError(t, err)
		require.Len(t, accounts, 1)
		require.Equal(t, filepath.Join(dir, "lego", filepath.FromSlash(key)), accounts[0].Path)
		require.Equal(t, boulder+"/acme/acct/2603349847", accounts[0].URL)
	}
	t.Chdir(dir)
	accounts, err := Load("lego")
	require.NoError(t, err)
	require.Equal(t, filepath.Join("lego", filepath.FromSlash(key)), accounts[0].Path)
	_, err = Load("nothing")
	require.EqualError(t, err, "account: nothing: no such file or directory")
	require.ErrorIs(t, err, fs.ErrNotExist)
}
