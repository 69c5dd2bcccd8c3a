package account

import (
	"bufio"
	"crypto"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

const (
	letsEncrypt = "https://acme-v02.api.letsencrypt.org/directory"
	staging     = "https://acme-staging-v02.api.letsencrypt.org/directory"
)

// restore rebuilds in a new directory what a real Certbot left behind: names
// with colons (%3A in testdata, as module files may have none), permissions
// and links. Owners are not restored.
func restore(t testing.TB, scenario string) string {
	t.Helper()
	from, to := filepath.Join("testdata", scenario), t.TempDir()
	require.NoError(t, os.CopyFS(to, os.DirFS(from)))
	var escaped []string
	require.NoError(t, filepath.WalkDir(to, func(name string, d fs.DirEntry, err error) error {
		if strings.Contains(d.Name(), "%3A") {
			escaped = append(escaped, name)
		}
		return err
	}))
	for _, name := range slices.Backward(escaped) {
		base := strings.ReplaceAll(filepath.Base(name), "%3A", ":")
		require.NoError(t, os.Rename(name, filepath.Join(filepath.Dir(name), base)))
	}
	restoreModes(t, to)
	return to
}

// restoreModes does what modes.txt says: lines of mode in letters, mode in
// octal, owner, name, and for a link its target.
func restoreModes(t testing.TB, dir string) {
	t.Helper()
	f, err := os.Open(filepath.Join(dir, "modes.txt"))
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	require.NoError(t, err)
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var letters, owner, name, arrow, target string
		var mode fs.FileMode
		_, err := fmt.Sscanf(lines.Text(), "%s %o %s %s %s %s", &letters, &mode, &owner, &name, &arrow, &target)
		require.True(t, err == nil || arrow == "", lines.Text())
		name = filepath.Join(dir, name)
		if arrow != "" {
			require.NoError(t, os.Symlink(target, name))
			continue
		}
		if letters[0] == 'd' {
			require.NoError(t, os.MkdirAll(name, 0o700))
		}
		require.NoError(t, os.Chmod(name, mode))
	}
}

// TestCertbotRecorded reads the directories that Certbot 2.1.0 and 2.11.0 wrote
// for various servers.
func TestCertbotRecorded(t *testing.T) {
	type want struct{ url, directory, server, id, created string }
	le := func(number, id, created string) want {
		return want{"https://acme-v02.api.letsencrypt.org/acme/acct/" + number, letsEncrypt, "acme-v02.api.letsencrypt.org/directory", id, created}
	}
	test := func(number, id, created string) want {
		return want{"https://acme-staging-v02.api.letsencrypt.org/acme/acct/" + number, staging, "acme-staging-v02.api.letsencrypt.org/directory", id, created}
	}
	for scenario, accounts := range map[string][]want{
		"2.11.0-mixed-runs":          {le("2007105157", "b25006d935d8b4d3577233ca4bdd5700", "2026-11-23T21:21:30Z")},
		"badnonce-retries":           {le("2536738187", "b4314a0b73a5e3fc4f42538badb35d00", "2026-11-23T20:42:38Z")},
		"dry-run":                    {test("2200651146", "5f57711ba6adc7b8cffff4f349bc8403", "2026-11-23T21:03:09Z")},
		"dry-run-twice-deactivation": {test("2318526538", "6034a92cf4a1a06da2f729865ce99396", "2026-11-23T21:03:13Z")},
		"finalize-timeout":           {le("2040132682", "35ce4c316f2f2d644994ea438682dbe5", "2026-11-23T20:09:13Z")},
		"five-names-one-fails":       {le("2693622867", "a6d64f5ca324c00742aa962e54dab6a4", "2026-11-23T21:03:21Z")},
		"killed-in-manual-hook":      {le("2756587904", "6956c7c54051e756728d4ff3d35b3e46", "2026-11-23T20:10:52Z")},
		"pending-limit-hit": {{"https://127.77.77.77:4431/acme/acct/22", "https://127.77.77.77:4431/directory",
			"127.77.77.77:4431/directory", "3ba21092f09559d45d7b7f6b04e8d798", "2026-11-23T20:29:53Z"}},
		"rate-limited":         {le("2514452765", "5f8197ff203729af5066e668291c35c7", "2026-11-23T20:42:40Z")},
		"rotated-by-logrotate": {le("2601524293", "2d2fa90202c9e568a2368d26ed098f28", "2026-11-23T20:42:48Z")},
		"several-accounts-and-symlinks": {
			// It was copied from the first production account and names that one's URL.
			{"", staging, "acme-staging.api.letsencrypt.org/directory", "7f71931b1d881ab1683dd28ea78f43fd", "2026-11-23T20:43:09Z"},
			le("2351087020", "7f71931b1d881ab1683dd28ea78f43fd", "2026-11-23T20:43:09Z"),
			le("2172744881", "9fd54dc85428a4b6a31583172b7e4162", "2026-11-23T20:43:09Z"),
			{"https://localhost:14000/my-account/3e66b12f84771cdb", "https://localhost:14000/dir",
				"localhost:14000/dir", "aec4e6b5e8947bde6f3a248efb2707a0", "2026-11-23T20:43:17Z"},
		},
		"several-runs-one-log": {le("2763618170", "405c4c8cb14074bf6928010129da1a28", "2026-11-23T20:42:19Z")},
		"step-ca-mixed-runs": {{"https://ca.internal:9443/acme/acme/account/SFOfDR5fJNyQyP8OsKJJZ8ud5L2ofdSl", "https://ca.internal:9443/acme/acme/directory",
			"ca.internal:9443/acme/acme/directory", "28c3fa6370caeb0dacb3f84bcdbcad70", "2026-11-23T21:21:49Z"}},
		"success-http01": {le("2863661121", "bb82902d789a78b9be532b45435186a5", "2026-11-23T20:42:11Z")},
		"success-http01-stock-pebble": {{"https://localhost:14000/my-account/1d0cd8d50fb34a2e", "https://localhost:14000/dir",
			"localhost:14000/dir", "c052a77db0bf154bf683fa3056d4a06e", "2026-11-23T20:43:25Z"}},
		"twenty-names-killed":       {le("2635782511", "0ae38ca11286dd818db80cd118095aa9", "2026-11-23T20:18:41Z")},
		"unregister-and-revoke":     nil,
		"upstream-rotation-per-run": {le("2524783353", "caccb7e7a69355fac5bd48fd58cb74a5", "2026-11-23T20:42:59Z")},
		"wildcard-dns01":            {le("2875975345", "ad9b618bea641dec12cde8e80da5029b", "2026-11-23T20:42:34Z")},
	} {
		t.Run(scenario, func(t *testing.T) {
			got, err := Certbot(os.DirFS(filepath.Join(restore(t, "certbot/"+scenario), "letsencrypt")))
			require.NoError(t, err)
			require.Len(t, got, len(accounts))
			for i, want := range accounts {
				requireSigns(t, got[i].Key)
				created, err := time.Parse(time.RFC3339, want.created)
				require.NoError(t, err)
				mode, host := fs.FileMode(0o400), "web01.example.com"
				if scenario == "pending-limit-hit" {
					mode, host = got[i].Mode, "localhost" // its permissions were not recorded
				}
				require.Equal(t, &Account{
					Key: got[i].Key, URL: want.url, Directory: want.directory,
					Path:     path.Join("accounts", want.server, want.id, "private_key.json"),
					StoredBy: "certbot", CreatedAt: created, CreatedOn: host, Mode: mode, shielded: got[i].shielded,
				}, got[i])
			}
		})
	}
	recorded, err := os.ReadDir("testdata/certbot")
	require.NoError(t, err)
	require.Len(t, recorded, 19, "a recorded directory that no row expects")
}

// TestCertbotUnregistered reads what "certbot unregister" deleted.
func TestCertbotUnregistered(t *testing.T) {
	dir := restore(t, "certbot/unregister-and-revoke")
	require.NoError(t, os.Rename(filepath.Join(dir, "accounts-before"), filepath.Join(dir, "accounts")))
	accounts, err := Certbot(os.DirFS(dir))
	require.NoError(t, err)
	require.Len(t, accounts, 1)
	require.Equal(t, "https://acme-v02.api.letsencrypt.org/acme/acct/2594012395", accounts[0].URL)
}

// tree makes a file system of names below accounts/ and their contents.
func tree(files map[string]string) fstest.MapFS {
	fsys := fstest.MapFS{"accounts": {Mode: fs.ModeDir | 0o700}}
	for name, content := range files {
		file := &fstest.MapFile{Data: []byte(content), Mode: 0o400}
		if target, ok := strings.CutPrefix(content, "-> "); ok {
			file = &fstest.MapFile{Data: []byte(target), Mode: fs.ModeSymlink | 0o777}
		}
		fsys[path.Join("accounts", name)] = file
	}
	return fsys
}

// testKeys are keys to make accounts of: a, b and c.
func testKeys(t testing.TB) (a, b, c string) {
	return string(testJWK(t, "p256-parameters-sec1.pem", nil)), string(testJWK(t, "p384-sec1.pem", nil)), string(testJWK(t, "p521-pkcs8.pem", nil))
}

func regr(uri string) string { return `{"body": {}, "uri": "` + uri + `"}` }

// summary is what a test compares of an account.
func summary(accounts []*Account) []string {
	lines := []string{}
	for _, a := range accounts {
		lines = append(lines, strings.TrimSuffix(a.Path, "/private_key.json")+" "+a.KeyType()+" "+a.Directory+" "+a.URL)
	}
	return lines
}

// faults returns the messages of a joined error.
func faults(t testing.TB, err error) []string {
	t.Helper()
	if err == nil {
		return nil
	}
	var messages []string
	for _, err := range err.(interface{ Unwrap() []error }).Unwrap() {
		_, ok := errors.AsType[*FileError](err)
		require.True(t, ok, "%T", err)
		messages = append(messages, err.Error())
	}
	return messages
}

func TestCertbot(t *testing.T) {
	a, b, c := testKeys(t)
	const (
		v1, v2   = "acme-v01.api.letsencrypt.org/directory", "acme-v02.api.letsencrypt.org/directory"
		stage    = "acme-staging.api.letsencrypt.org/directory"
		jsonErr  = "malformed JSON, or a member of a wrong type"
		noServer = "the names of the directories between accounts and this one are not the host and path of a server"
	)
	for _, test := range []struct {
		name   string
		files  map[string]string
		want   []string
		faults []string
	}{
		{name: "no account"},
		{
			name: "servers at any depth",
			files: map[string]string{
				"ca.example/0/private_key.json": a, "ca.example/0/regr.json": regr("https://ca.example/acct/1"),
				"ca.example/v2/DV90/1/private_key.json": b, "ca.example/v2/DV90/1/regr.json": regr("https://ca.example/v2/DV90/account/2"),
				"ca.example/a/b/c/d/e/2/private_key.json": c, "ca.example/a/b/c/d/e/2/regr.json": regr("https://ca.example/3"),
			},
			want: []string{
				"accounts/ca.example/0 EC P-256 https://ca.example https://ca.example/acct/1",
				"accounts/ca.example/a/b/c/d/e/2 EC P-521 https://ca.example/a/b/c/d/e https://ca.example/3",
				"accounts/ca.example/v2/DV90/1 EC P-384 https://ca.example/v2/DV90 https://ca.example/v2/DV90/account/2",
			},
		},
		{
			name: "scheme and port",
			files: map[string]string{
				"[::1]:14000/dir/0/private_key.json": a, "[::1]:14000/dir/0/regr.json": regr("http://[::1]:14000/acct/1"),
				"ca.example:80/dir/0/private_key.json": a, "ca.example:80/dir/0/regr.json": regr("http://ca.example/acct/1"),
				"ca.example:443/dir/0/private_key.json": a, "ca.example:443/dir/0/regr.json": regr("https://CA.example/acct/1"),
				"ca.example:444/dir/0/private_key.json": a, "ca.example:444/dir/0/regr.json": regr("http://ca.example/acct/1"),
				"localhost:14000/dir/0/private_key.json": a, "localhost:14000/dir/0/regr.json": regr("http://localhost:14000/acct/1"),
				"other.example/dir/0/private_key.json": a, "other.example/dir/0/regr.json": regr("http://ca.example/acct/1"),
			},
			want: []string{
				"accounts/[::1]:14000/dir/0 EC P-256 http://[::1]:14000/dir http://[::1]:14000/acct/1",
				"accounts/ca.example:443/dir/0 EC P-256 https://ca.example:443/dir https://CA.example/acct/1",
				"accounts/ca.example:444/dir/0 EC P-256 https://ca.example:444/dir ",
				"accounts/ca.example:80/dir/0 EC P-256 http://ca.example:80/dir http://ca.example/acct/1",
				"accounts/localhost:14000/dir/0 EC P-256 http://localhost:14000/dir http://localhost:14000/acct/1",
				"accounts/other.example/dir/0 EC P-256 https://other.example/dir ",
			},
		},
		{
			name: "written on Windows",
			files: map[string]string{
				"localhost_14000/dir/0/private_key.json": a, "localhost_14000/dir/0/regr.json": regr("https://localhost:14000/acct/1"),
				"under_score/dir/0/private_key.json": b, "under_score/dir/0/regr.json": regr("https://under_score/acct/1"),
			},
			want: []string{
				"accounts/localhost_14000/dir/0 EC P-256 https://localhost:14000/dir https://localhost:14000/acct/1",
				"accounts/under_score/dir/0 EC P-384 https://under_score/dir https://under_score/acct/1",
			},
		},
		{
			name: "ACME v1 without a link",
			files: map[string]string{
				v1 + "/0/private_key.json": a, v1 + "/0/regr.json": `{"body": {"contact": ["mailto:a@example.com"], "agreement": "https://letsencrypt.org/documents/LE-SA-v1.0.1-July-27-2015.pdf",
					"key": {"kty": "RSA", "n": "AQAB", "e": "AQAB"}}, "uri": "https://acme-v01.api.letsencrypt.org/acme/reg/123",
					"new_authzr_uri": "https://acme-v01.api.letsencrypt.org/acme/new-authz", "terms_of_service": "https://letsencrypt.org/documents/LE-SA-v1.0.1-July-27-2015.pdf"}`,
				stage + "/1/private_key.json": b, stage + "/1/regr.json": regr("https://acme-staging.api.letsencrypt.org/acme/reg/456"),
				"acme-v01.api.letsencrypt.org/other/0/private_key.json": c, "acme-v01.api.letsencrypt.org/other/0/regr.json": regr("https://acme-v01.api.letsencrypt.org/acme/other/123"),
			},
			want: []string{
				"accounts/acme-staging.api.letsencrypt.org/directory/1 EC P-384 " + staging + " https://acme-staging-v02.api.letsencrypt.org/acme/acct/456",
				"accounts/acme-v01.api.letsencrypt.org/directory/0 EC P-256 " + letsEncrypt + " https://acme-v02.api.letsencrypt.org/acme/acct/123",
				"accounts/acme-v01.api.letsencrypt.org/other/0 EC P-521 https://acme-v01.api.letsencrypt.org/other https://acme-v01.api.letsencrypt.org/acme/other/123",
			},
		},
		{
			name: "v2 linked to v1 by relative name",
			files: map[string]string{
				v1 + "/0/private_key.json": a, v1 + "/0/regr.json": regr("https://acme-v01.api.letsencrypt.org/acme/reg/123"),
				v2: "-> ../acme-v01.api.letsencrypt.org/directory",
			},
			want: []string{"accounts/" + v1 + "/0 EC P-256 " + letsEncrypt + " https://acme-v02.api.letsencrypt.org/acme/acct/123"},
		},
		{
			name: "v2 linked to v1 by absolute name",
			files: map[string]string{
				v1 + "/0/private_key.json": a, v1 + "/0/regr.json": regr("https://acme-v02.api.letsencrypt.org/acme/acct/123"),
				v2: "-> /etc/letsencrypt/accounts/" + v1,
			},
			want: []string{"accounts/" + v1 + "/0 EC P-256 " + letsEncrypt + " https://acme-v02.api.letsencrypt.org/acme/acct/123"},
		},
		{
			name: "one account linked, another beside it",
			files: map[string]string{
				v1 + "/0/private_key.json": a, v1 + "/0/regr.json": regr("https://acme-v01.api.letsencrypt.org/acme/reg/1"),
				v2 + "/1/private_key.json": b, v2 + "/1/regr.json": regr("https://acme-v02.api.letsencrypt.org/acme/acct/2"),
				v2 + "/0": "-> /etc/letsencrypt/accounts/" + v1 + "/0",
			},
			want: []string{
				"accounts/" + v1 + "/0 EC P-256 " + letsEncrypt + " https://acme-v02.api.letsencrypt.org/acme/acct/1",
				"accounts/" + v2 + "/1 EC P-384 " + letsEncrypt + " https://acme-v02.api.letsencrypt.org/acme/acct/2",
			},
		},
		{
			name: "a link that became a copy",
			files: map[string]string{
				v1 + "/0/private_key.json": a, v1 + "/0/regr.json": regr("https://elsewhere.example/1"),
				v2 + "/0/private_key.json": a, v2 + "/0/regr.json": regr("https://acme-v02.api.letsencrypt.org/acme/acct/1"),
			},
			want: []string{"accounts/" + v2 + "/0 EC P-256 " + letsEncrypt + " https://acme-v02.api.letsencrypt.org/acme/acct/1"},
		},
		{
			name: "a copy of an account's directory",
			files: map[string]string{
				"ca.example/dir/0/private_key.json": a, "ca.example/dir/0/regr.json": regr("https://ca.example/1"),
				"ca.example/dir/0.bak/private_key.json": a, "ca.example/dir/0.bak/regr.json": regr("https://ca.example/1"),
			},
			want: []string{"accounts/ca.example/dir/0 EC P-256 https://ca.example/dir https://ca.example/1"},
		},
		{
			name: "one key at two servers",
			files: map[string]string{
				"ca.example/dir/0/private_key.json": a, "ca.example/dir/0/regr.json": regr("https://ca.example/1"),
				"test.example/dir/0/private_key.json": a, "test.example/dir/0/regr.json": regr("https://test.example/1"),
			},
			want: []string{
				"accounts/ca.example/dir/0 EC P-256 https://ca.example/dir https://ca.example/1",
				"accounts/test.example/dir/0 EC P-256 https://test.example/dir https://test.example/1",
			},
		},
		{
			name: "links of users: the server that gave out the URL, else the link's",
			files: map[string]string{
				"before.example/dir/0/private_key.json": a, "before.example/dir/0/regr.json": regr("https://before.example/1"),
				"before.example/dir/1/private_key.json": b, "before.example/dir/1/regr.json": regr("https://new.example/1"),
				"before.example/dir/2/private_key.json": c, "before.example/dir/2/regr.json": regr("https://third.example/1"),
				"new.example/dir": "-> ../before.example/dir", "c.example/dir": "-> ../new.example/dir",
			},
			want: []string{
				"accounts/before.example/dir/0 EC P-256 https://before.example/dir https://before.example/1",
				"accounts/before.example/dir/1 EC P-384 https://new.example/dir https://new.example/1",
				"accounts/before.example/dir/2 EC P-521 https://c.example/dir ",
			},
		},
		{
			name: "the key's file linked",
			files: map[string]string{
				"ca.example/dir/0/private_key.json": "-> /etc/letsencrypt/accounts/ca.example/keys/the.key", "ca.example/keys/the.key": a,
				"ca.example/dir/0/regr.json": "-> ../1.json", "ca.example/dir/1.json": regr("https://ca.example/1"),
			},
			want: []string{"accounts/ca.example/dir/0 EC P-256 https://ca.example/dir https://ca.example/1"},
		},
		{
			name: "a server with accounts in its path",
			files: map[string]string{
				"ca.example/accounts/dir/0/private_key.json": a, "ca.example/accounts/dir/0/regr.json": regr("https://ca.example/1"),
				"new.example/dir": "-> /home/accounts/letsencrypt/accounts/ca.example/accounts/dir",
			},
			want: []string{"accounts/ca.example/accounts/dir/0 EC P-256 https://ca.example/accounts/dir https://ca.example/1"},
		},
		{
			name: "loops",
			files: map[string]string{
				"ca.example/dir/0/private_key.json": a, "ca.example/dir/0/regr.json": regr("https://ca.example/1"),
				"ca.example/dir/up": "-> ..", "ca.example/dir/top": "-> ../../..", "ca.example/dir/self": "-> .",
				"ca.example/dir/0/here": "-> /etc/letsencrypt/accounts/ca.example/dir/0",
				"ca.example/one":        "-> two", "ca.example/two": "-> one", "ca.example/me": "-> me",
			},
			want: []string{"accounts/ca.example/dir/0 EC P-256 https://ca.example/dir https://ca.example/1"},
			faults: []string{
				"account: accounts/ca.example/me: symbolic link: symbolic links form a loop",
				"account: accounts/ca.example/one: symbolic link: symbolic links form a loop",
				"account: accounts/ca.example/two: symbolic link: symbolic links form a loop",
			},
		},
		{
			name: "links that lead nowhere",
			files: map[string]string{
				"ca.example/dir/0/private_key.json": a, "ca.example/dir/0/regr.json": regr("https://ca.example/1"),
				"ca.example/gone": "-> ../gone.example/dir", "ca.example/gone2": "-> /etc/letsencrypt/accounts/ca.example/x", "ca.example/file": "-> dir/0/regr.json",
			},
			want: []string{"accounts/ca.example/dir/0 EC P-256 https://ca.example/dir https://ca.example/1"},
			faults: []string{
				"account: accounts/ca.example/gone: symbolic link: file does not exist",
				"account: accounts/ca.example/gone2: symbolic link: file does not exist",
			},
		},
		{
			name: "the fault is not in the key",
			files: map[string]string{
				"ca.example/0/private_key.json": a,
				"ca.example/1/private_key.json": b, "ca.example/1/regr.json": "{", "ca.example/1/meta.json": `{"creation_dt": "yesterday"}`,
				"ca.example/2/private_key.json": c, "ca.example/2/regr.json": regr("https://ca.example/2"), "ca.example/2/meta.json": "",
			},
			want: []string{
				"accounts/ca.example/0 EC P-256 https://ca.example ",
				"accounts/ca.example/1 EC P-384 https://ca.example ",
				"accounts/ca.example/2 EC P-521 https://ca.example https://ca.example/2",
			},
			faults: []string{
				"account: accounts/ca.example/0/regr.json: file does not exist",
				"account: accounts/ca.example/1/meta.json: " + jsonErr,
				"account: accounts/ca.example/1/regr.json: " + jsonErr,
				"account: accounts/ca.example/2/meta.json: " + jsonErr,
			},
		},
		{
			name: "bad URLs in regr.json",
			files: map[string]string{
				"ca.example/0/private_key.json": a, "ca.example/0/regr.json": regr(`https://ca.example/\u001b[31m`),
				"ca.example/1/private_key.json": b, "ca.example/1/regr.json": `{"uri": 5}`,
				"ca.example/2/private_key.json": c, "ca.example/2/regr.json": regr("file:///etc/passwd"),
				"ca2.example/0/private_key.json": a, "ca2.example/0/regr.json": `{}`,
				"ca2.example/1/private_key.json": b, "ca2.example/1/regr.json": regr("https://user:secret@ca2.example/1"),
				"ca2.example/2/private_key.json": c, "ca2.example/2/regr.json": `{"uri": "https://ca2.example/1", "uri": "https://ca2.example/2"}`,
			},
			want: []string{
				"accounts/ca.example/0 EC P-256 https://ca.example ",
				"accounts/ca.example/1 EC P-384 https://ca.example ",
				"accounts/ca.example/2 EC P-521 https://ca.example ",
				"accounts/ca2.example/0 EC P-256 https://ca2.example ",
				"accounts/ca2.example/1 EC P-384 https://ca2.example ",
				"accounts/ca2.example/2 EC P-521 https://ca2.example ",
			},
			faults: []string{
				"account: accounts/ca.example/0/regr.json: uri is not the URL of an account",
				"account: accounts/ca.example/1/regr.json: " + jsonErr,
				"account: accounts/ca.example/2/regr.json: uri is not the URL of an account",
				"account: accounts/ca2.example/0/regr.json: uri is not the URL of an account",
				"account: accounts/ca2.example/1/regr.json: uri is not the URL of an account",
				"account: accounts/ca2.example/2/regr.json: " + jsonErr,
			},
		},
		{
			name: "the fault is in the key",
			files: map[string]string{
				"ca.example/0/private_key.json": string(testKey(t, "ed25519-pkcs8.pem")), "ca.example/0/regr.json": regr("https://ca.example/0"),
				"ca.example/1/regr.json":        regr("https://ca.example/1"),
				"ca.example/2/private_key.json": c, "ca.example/2/regr.json": regr("https://ca.example/2"),
				"ca.example/3/private_key.json/x": "a directory",
				"ca.example/4/private_key.json":   strings.Repeat(" ", 1<<20) + a,
				"ca.example/5/private_key.json":   "-> nowhere",
				"ca.example/6/private_key.json":   "-> private_key.json",
			},
			want: []string{"accounts/ca.example/2 EC P-521 https://ca.example https://ca.example/2"},
			faults: []string{
				"account: accounts/ca.example/0/private_key.json: " + (&KeyError{"an Ed25519 private key", ErrUnsupportedKey}).Error(),
				"account: accounts/ca.example/1/private_key.json: file does not exist",
				"account: accounts/ca.example/3/private_key.json: not a regular file",
				"account: accounts/ca.example/4/private_key.json: larger than 1 MiB",
				"account: accounts/ca.example/5/private_key.json: file does not exist",
				"account: accounts/ca.example/6/private_key.json: symbolic links form a loop",
			},
		},
		{
			name: "not the names of servers",
			files: map[string]string{
				"private_key.json": a, "host/private_key.json": a, "a@b/dir/0/private_key.json": a, "host:x/dir/0/private_key.json": a,
				"host/dir?/0/private_key.json": a, "host/dir#/0/private_key.json": a, "host/d\n/0/private_key.json": a, "host/\u202e/0/private_key.json": a,
				"host/d d/0/private_key.json":   a,
				"ca.example/0/private_key.json": a, "ca.example/0/regr.json": regr("https://ca.example/0"),
			},
			want: []string{"accounts/ca.example/0 EC P-256 https://ca.example https://ca.example/0"},
			faults: slices.Sorted(slices.Values(append(without("regr.json", "", "/host", "/a@b/dir/0", "/host:x/dir/0", "/host/dir?/0", "/host/dir#/0", "/host/d\n/0", "/host/\u202e/0", "/host/d d/0"),
				"account: accounts: "+noServer, "account: accounts/host: "+noServer, "account: accounts/a@b/dir/0: "+noServer,
				"account: accounts/host:x/dir/0: "+noServer, "account: accounts/host/dir?/0: "+noServer, "account: accounts/host/dir#/0: "+noServer,
				`account: "accounts/host/d\n/0": `+noServer, `account: "accounts/host/\u202e/0": `+noServer, `account: "accounts/host/d d/0": `+noServer))),
		},
		{
			name: "other things lie about",
			files: map[string]string{
				".DS_Store": "x", "README": "y", "ca.example/.certbot.lock": "", "ca.example/dir/list.txt": "", "ca.example/dir/0/private_key.json": a,
				"ca.example/dir/0/regr.json": regr("https://ca.example/1"), "ca.example/dir/0/regr.json~": "{", "ca.example/dir/0/old/notes": "",
				"empty.example/dir/0/notes":                      "",                                                                     // no account was ever here
				"acme-staging-v02.api.letsencrypt.org/directory": "/etc/letsencrypt/accounts/acme-staging.api.letsencrypt.org/directory", // a link in a git checkout without links
			},
			want: []string{"accounts/ca.example/dir/0 EC P-256 https://ca.example/dir https://ca.example/1"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			accounts, err := Certbot(tree(test.files))
			require.Equal(t, append([]string{}, test.want...), summary(accounts))
			got := faults(t, err)
			slices.Sort(got)
			slices.Sort(test.faults)
			require.Equal(t, test.faults, got)
		})
	}
}

// without returns the faults of directories in accounts that lack a file.
func without(file string, dirs ...string) []string {
	var messages []string
	for _, dir := range dirs {
		messages = append(messages, "account: "+printable("accounts"+dir+"/"+file)+": file does not exist")
	}
	return messages
}

func TestCertbotDetails(t *testing.T) {
	key, _, _ := testKeys(t)
	fsys := tree(map[string]string{
		"ca.example/dir/0/private_key.json": key,
		"ca.example/dir/0/regr.json":        `{"body": {"contact": ["mailto:a@example.com", "mailto:b@example.com"]}, "uri": "https://ca.example/1"}`,
		"ca.example/dir/0/meta.json":        `{"creation_dt": "2018-03-14T15:09:26+01:00", "creation_host": "www", "register_to_eff": null}`,
	})
	fsys["accounts/ca.example/dir/0/private_key.json"].Mode = fs.ModeSetuid | 0o640
	accounts, err := Certbot(fsys)
	require.NoError(t, err)
	require.Len(t, accounts, 1)
	a := accounts[0]
	require.Equal(t, []string{"mailto:a@example.com", "mailto:b@example.com"}, a.Contact)
	require.Equal(t, "2018-03-14T14:09:26Z", a.CreatedAt.UTC().Format(time.RFC3339))
	require.Equal(t, "www", a.CreatedOn)
	require.Equal(t, fs.FileMode(0o640), a.Mode)
	require.False(t, a.KeyExposed(), "the directory accounts keeps others out")
	require.True(t, parsed(t, "p256-parameters-sec1.pem").(*ecdsa.PrivateKey).Equal(a.Key.(crypto.PrivateKey)))
	fsys["accounts"].Mode = fs.ModeDir | 0o701
	accounts, err = Certbot(fsys)
	require.NoError(t, err)
	require.Equal(t, runtime.GOOS != "windows", accounts[0].KeyExposed())
}

func TestCertbotWrongDirectory(t *testing.T) {
	key, _, _ := testKeys(t)
	files := fstest.MapFS{
		"etc/letsencrypt/renewal/a.conf": {},
		"etc/letsencrypt/accounts/acme-v02.api.letsencrypt.org/directory/0/private_key.json": {Data: []byte(key)},
	}
	const expected = "account: accounts: file does not exist: expected Certbot's configuration directory, usually /etc/letsencrypt, which holds a directory accounts"
	const below = "; what was given is the directory accounts itself, or one below it"
	for dir, want := range map[string]string{
		".":                        expected,
		"etc/letsencrypt/renewal":  expected,
		"etc/letsencrypt/accounts": expected + below,
		"etc/letsencrypt/accounts/acme-v02.api.letsencrypt.org":             expected + below,
		"etc/letsencrypt/accounts/acme-v02.api.letsencrypt.org/directory":   expected + below,
		"etc/letsencrypt/accounts/acme-v02.api.letsencrypt.org/directory/0": expected + "; what was given is the directory of one account, some levels below it",
	} {
		fsys, err := fs.Sub(files, dir)
		require.NoError(t, err)
		accounts, err := Certbot(fsys)
		require.Nil(t, accounts)
		require.EqualError(t, err, want, dir)
		require.ErrorIs(t, err, fs.ErrNotExist)
		fileErr, ok := errors.AsType[*FileError](err)
		require.True(t, ok)
		require.Equal(t, "accounts", fileErr.Path)
	}
	_, err := Certbot(fstest.MapFS{"accounts": {}})
	require.EqualError(t, err, "account: accounts: not a directory")
	_, err = Certbot(os.DirFS(filepath.Join(t.TempDir(), "none")))
	require.ErrorIs(t, err, fs.ErrNotExist)
}

// TestCertbotManyLinks gives a small tree that has millions of names.
func TestCertbotManyLinks(t *testing.T) {
	key, _, _ := testKeys(t)
	files := map[string]string{"ca.example/dir/0/private_key.json": key, "ca.example/dir/0/regr.json": regr("https://ca.example/1")}
	for i := range 24 {
		for _, name := range []string{"a", "b"} {
			files[fmt.Sprintf("m.example/%d/%s", i, name)] = fmt.Sprintf("-> ../%d", i+1)
		}
	}
	files["m.example/24/x"] = ""
	accounts, err := Certbot(tree(files))
	require.Equal(t, []string{"accounts/ca.example/dir/0 EC P-256 https://ca.example/dir https://ca.example/1"}, summary(accounts))
	require.ErrorIs(t, err, errDirs)
	require.Equal(t, []string{"account: accounts: too many directories; the rest was not read"}, faults(t, err))
}

func TestCertbotDeep(t *testing.T) {
	key, _, _ := testKeys(t)
	deep := "ca.example" + strings.Repeat("/d", 40)
	accounts, err := Certbot(tree(map[string]string{deep + "/private_key.json": key}))
	require.Empty(t, accounts)
	require.Equal(t, []string{"account: accounts/ca.example" + strings.Repeat("/d", 32) + ": too many directories inside each other"}, faults(t, err))
}

// newAccount writes an account of Certbot's into a real directory.
func newAccount(t testing.TB, dir, key, uri string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(dir, 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(dir, certbotKey), []byte(key), 0o400))
	require.NoError(t, os.WriteFile(filepath.Join(dir, certbotRegr), []byte(regr(uri)), 0o644))
}

// TestCertbotLinksOnDisk has links whose absolute names are those of the real
// directory, as on the machine that runs Certbot, and of a copy of it.
func TestCertbotLinksOnDisk(t *testing.T) {
	a, b, _ := testKeys(t)
	const v1, v2 = "acme-staging.api.letsencrypt.org", "acme-staging-v02.api.letsencrypt.org"
	live := t.TempDir()
	accounts := filepath.Join(live, "accounts")
	newAccount(t, filepath.Join(accounts, v1, "directory", "0"), a, "https://"+v1+"/acme/reg/7")
	require.NoError(t, os.MkdirAll(filepath.Join(accounts, v2), 0o700))
	require.NoError(t, os.Symlink(filepath.Join(accounts, v1, "directory"), filepath.Join(accounts, v2, "directory")))
	want := []string{"accounts/" + v1 + "/directory/0 EC P-256 " + staging + " https://" + v2 + "/acme/acct/7"}

	got, err := Certbot(os.DirFS(live))
	require.NoError(t, err)
	require.Equal(t, want, summary(got))

	backup := t.TempDir()
	require.NoError(t, os.CopyFS(backup, os.DirFS(live)))
	target, err := os.Readlink(filepath.Join(backup, "accounts", v2, "directory"))
	require.NoError(t, err)
	require.Equal(t, filepath.Join(accounts, v1, "directory"), target)
	// The original has changed since; the backup must not show that.
	require.NoError(t, os.Rename(filepath.Join(accounts, v1, "directory", "0"), filepath.Join(accounts, v1, "directory", "moved")))
	newAccount(t, filepath.Join(accounts, v1, "directory", "1"), b, "https://"+v1+"/acme/reg/8")
	got, err = Certbot(os.DirFS(backup))
	require.NoError(t, err)
	require.Equal(t, want, summary(got))

	// A root refuses absolute links, which are not needed.
	root, err := os.OpenRoot(backup)
	require.NoError(t, err)
	defer root.Close()
	got, err = Certbot(root.FS())
	require.NoError(t, err)
	require.Equal(t, want, summary(got))
}

// TestCertbotLinksOutOfTheTree has accounts that lie somewhere else.
func TestCertbotLinksOutOfTheTree(t *testing.T) {
	a, b, c := testKeys(t)
	dir, elsewhere := t.TempDir(), t.TempDir()
	accounts := filepath.Join(dir, "accounts")
	newAccount(t, filepath.Join(accounts, "ca.example", "dir", "0"), a, "https://ca.example/1")
	newAccount(t, filepath.Join(elsewhere, "store", "1"), b, "https://b.example/1")
	newAccount(t, filepath.Join(elsewhere, "2"), c, "https://ca.example/2")
	for link, target := range map[string]string{
		"a.example":               filepath.Join(elsewhere),              // a.example/store/1, a.example/2
		"b.example":               filepath.Join(elsewhere),              // the same place again
		"ca.example/dir/2":        filepath.Join(elsewhere, "2"),         // and a part of it
		elsewhere + "/store/loop": "..",                                  // back
		elsewhere + "/store/home": filepath.Join(accounts, "ca.example"), // and home
	} {
		if !filepath.IsAbs(link) {
			link = filepath.Join(accounts, link)
		}
		require.NoError(t, os.Symlink(target, link))
	}
	got, err := Certbot(os.DirFS(dir))
	require.NoError(t, err)
	require.Equal(t, []string{
		"accounts/a.example/2 EC P-521 https://ca.example/dir https://ca.example/2",
		"accounts/a.example/store/1 EC P-384 https://b.example/store https://b.example/1",
		"accounts/ca.example/dir/0 EC P-256 https://ca.example/dir https://ca.example/1",
	}, summary(got))
}

// TestCertbotAccountsLinked has all the accounts on another disk.
func TestCertbotAccountsLinked(t *testing.T) {
	key, _, _ := testKeys(t)
	for _, below := range []string{"x", "accounts", "le/accounts"} {
		dir, elsewhere := t.TempDir(), filepath.Join(t.TempDir(), below)
		newAccount(t, filepath.Join(elsewhere, "old.example", "dir", "0"), key, "https://ca.example/1")
		require.NoError(t, os.MkdirAll(filepath.Join(elsewhere, "ca.example"), 0o700))
		require.NoError(t, os.Symlink(filepath.Join(dir, "accounts", "old.example", "dir"), filepath.Join(elsewhere, "ca.example", "dir")))
		require.NoError(t, os.Symlink(elsewhere, filepath.Join(dir, "accounts")))
		got, err := Certbot(os.DirFS(dir))
		require.NoError(t, err)
		require.Equal(t, []string{"accounts/old.example/dir/0 EC P-256 https://ca.example/dir https://ca.example/1"}, summary(got), below)
	}
}

// deny is a file system of which some names may not be read, whoever runs the test.
type deny struct {
	fstest.MapFS
	names []string
}

func (d deny) Open(name string) (fs.File, error) {
	if slices.Contains(d.names, name) {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrPermission}
	}
	return d.MapFS.Open(name)
}

func (d deny) ReadDir(name string) ([]fs.DirEntry, error) {
	if slices.Contains(d.names, name) {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrPermission}
	}
	return d.MapFS.ReadDir(name)
}

func TestCertbotPermission(t *testing.T) {
	a, b, c := testKeys(t)
	fsys := tree(map[string]string{
		"ca.example/dir/0/private_key.json": a, "ca.example/dir/0/regr.json": regr("https://ca.example/1"),
		"ca.example/dir/1/private_key.json": b, "ca.example/dir/1/regr.json": regr("https://ca.example/2"),
		"no.example/dir/0/private_key.json": c,
	})
	const hint = "permission denied (clients let only their own user read account keys: run as that user, often root)"
	got, err := Certbot(deny{fsys, []string{"accounts/ca.example/dir/0/private_key.json", "accounts/no.example"}})
	require.Equal(t, []string{"accounts/ca.example/dir/1 EC P-384 https://ca.example/dir https://ca.example/2"}, summary(got))
	require.ErrorIs(t, err, fs.ErrPermission)
	require.Equal(t, []string{
		"account: accounts/ca.example/dir/0/private_key.json: " + hint,
		"account: accounts/no.example: " + hint,
	}, faults(t, err))

	got, err = Certbot(deny{fsys, []string{"accounts"}})
	require.Empty(t, got)
	require.ErrorIs(t, err, fs.ErrPermission)
	require.Equal(t, []string{"account: accounts: " + hint}, faults(t, err))
}

func TestCertbotPermissionOnDisk(t *testing.T) {
	if os.Getuid() == 0 || runtime.GOOS == "windows" {
		t.Skip("root may read everything; TestCertbotPermission stands in")
	}
	dir := restore(t, "certbot/killed-in-manual-hook")
	keys, err := filepath.Glob(filepath.Join(dir, "letsencrypt/accounts/*/*/*", certbotKey))
	require.NoError(t, err)
	require.Len(t, keys, 1)
	require.NoError(t, os.Chmod(keys[0], 0))
	got, err := Certbot(os.DirFS(filepath.Join(dir, "letsencrypt")))
	require.Empty(t, got)
	require.ErrorIs(t, err, fs.ErrPermission)
}

// endless is a file that says nothing about its size and has no end.
type endless struct{ fstest.MapFS }

type endlessFile struct{ fs.File }

func (endlessFile) Read(p []byte) (int, error) { return len(p), nil }

func (e endless) Open(name string) (fs.File, error) {
	f, err := e.MapFS.Open(name)
	if path.Base(name) == certbotRegr {
		f = endlessFile{f}
	}
	return f, err
}

func TestCertbotEndlessFile(t *testing.T) {
	key, _, _ := testKeys(t)
	got, err := Certbot(endless{tree(map[string]string{"ca.example/0/private_key.json": key, "ca.example/0/regr.json": ""})})
	require.Equal(t, []string{"accounts/ca.example/0 EC P-256 https://ca.example "}, summary(got))
	require.Equal(t, []string{"account: accounts/ca.example/0/regr.json: larger than 1 MiB"}, faults(t, err))
}

// failing is a file system whose files break off.
type failing struct{ fstest.MapFS }

type failingFile struct{ fs.File }

func (failingFile) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func (e failing) Open(name string) (fs.File, error) {
	f, err := e.MapFS.Open(name)
	return failingFile{f}, err
}

func TestCertbotReadError(t *testing.T) {
	got, err := Certbot(failing{tree(map[string]string{"ca.example/0/private_key.json": "{}"})})
	require.Empty(t, got)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	require.Equal(t, []string{"account: accounts/ca.example/0/private_key.json: unexpected EOF"}, faults(t, err))
}

// plain is a file system without fs.ReadLinkFS, in which links show nothing but
// their type, as in a zip archive.
type plain struct{ fsys fstest.MapFS }

func (p plain) Open(name string) (fs.File, error) { return p.fsys.Open(name) }

func TestCertbotWithoutReadLink(t *testing.T) {
	key, _, _ := testKeys(t)
	got, err := Certbot(plain{tree(map[string]string{
		"old.example/dir/0/private_key.json": key, "old.example/dir/0/regr.json": regr("https://old.example/1"),
		"new.example/dir": "-> ../old.example/dir",
	})})
	require.NoError(t, err)
	// The file system follows the link and hides that it is one.
	require.Equal(t, []string{
		"accounts/new.example/dir/0 EC P-256 https://new.example/dir ",
		"accounts/old.example/dir/0 EC P-256 https://old.example/dir https://old.example/1",
	}, summary(got))
}

// TestCertbotErrorsHideKey mixes up the files of an account.
func TestCertbotErrorsHideKey(t *testing.T) {
	for _, name := range []string{"rsa2048-pkcs1.pem", "p384-sec1.pem"} {
		key := parsed(t, name)
		jwk := string(testJWK(t, name, nil))
		asURI := `{"uri": "` + jwkMembers(t, key)["d"].(string) + `", "creation_dt": "` + jwkMembers(t, key)["d"].(string) + `"}`
		for _, content := range []string{jwk, strings.Replace(jwk, "{", "", 1), asURI, string(testKey(t, name)), strings.ReplaceAll(jwk, `"`, "")} {
			_, err := Certbot(tree(map[string]string{
				"ca.example/0/private_key.json": jwk, "ca.example/0/regr.json": content, "ca.example/0/meta.json": content,
				"ca.example/1/private_key.json": content,
			}))
			require.Error(t, err)
			requireHidden(t, err.Error(), keySecrets(key))
		}
	}
}

func FuzzCertbot(f *testing.F) {
	a, b, _ := testKeys(f)
	meta := `{"creation_dt": "2026-11-23T20:43:25Z", "creation_host": "web01.example.com"}`
	f.Add("localhost:14000/dir/0", a, regr("https://localhost:14000/1"), meta, "../localhost:14000/dir")
	f.Add("acme-v01.api.letsencrypt.org/directory/0", b, regr("https://acme-v01.api.letsencrypt.org/acme/reg/1"), "{}", "/etc/letsencrypt/accounts/acme-v01.api.letsencrypt.org/directory")
	f.Add("h_1/0", a, regr("http://h:1"), "", "/accounts/../accounts/new.example/dir")
	f.Add(".", "", "", "", "dir")
	f.Fuzz(func(t *testing.T, dir, key, regr, meta, link string) {
		files := map[string]string{"new.example/dir": "-> " + link}
		if fs.ValidPath(dir) && dir != "." && !strings.HasPrefix(dir, "new.example") {
			maps.Copy(files, map[string]string{dir + "/private_key.json": key, dir + "/regr.json": regr, dir + "/meta.json": meta})
		}
		accounts, err := Certbot(tree(files))
		require.LessOrEqual(t, len(accounts), 1)
		if err != nil {
			for _, message := range faults(t, err) {
				require.Equal(t, strings.ToValidUTF8(message, ""), message)
				require.NotContains(t, message, "\n")
				require.NotContains(t, message, "\x1b")
			}
		}
		for _, a := range accounts {
			requireSigns(t, a.Key)
			require.Regexp(t, `^https?://[!-~]+$`, a.Directory)
			require.Regexp(t, `^(https?://[!-~]+)?$`, a.URL)
			require.True(t, utf8.ValidString(a.String()))
			require.Negative(t, strings.IndexFunc(a.String(), func(r rune) bool { return !unicode.IsPrint(r) }), "%q", a.String())
		}
	})
}

// TestCertbotHintIsBounded has a directory with far more below it than Certbot's:
// looking for what was meant ends after maxHints entries.
func TestCertbotHintIsBounded(t *testing.T) {
	fsys := &countingFS{MapFS: fstest.MapFS{}}
	for i := range 3000 {
		fsys.MapFS[fmt.Sprintf("d%04d/sub/file", i)] = &fstest.MapFile{}
	}
	fsys.MapFS["z/ca.test/directory/1/private_key.json"] = &fstest.MapFile{Data: []byte("{}")}
	_, err := Certbot(fsys)
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.NotContains(t, err.Error(), "what was given")
	require.Less(t, fsys.opened, 1010)
}

type countingFS struct {
	fstest.MapFS
	opened int
}

func (c *countingFS) Open(name string) (fs.File, error) {
	c.opened++
	return c.MapFS.Open(name)
}
