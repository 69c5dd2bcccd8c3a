package main

import (
	"strings"
	"testing"

	"github.com/acmeauthz/acmeauthz/account"
	"github.com/stretchr/testify/require"
)

func testAccount(t *testing.T, b *bench) *account.Account {
	all, err := account.Load(b.path("letsencrypt"))
	require.NoError(t, err)
	return all[0]
}

func TestParseServer(t *testing.T) {
	for named, want := range map[string]server{
		"ca.test":                         {host: "ca.test"},
		"CA.test":                         {host: "ca.test"},
		"ca.test:443":                     {host: "ca.test"},
		"localhost:14000":                 {host: "localhost:14000"},
		"[::1]:14000":                     {host: "[::1]:14000"},
		"https://ca.test":                 {host: "ca.test"},
		"https://ca.test/":                {host: "ca.test"},
		"https://ca.test/directory":       {host: "ca.test", directory: "https://ca.test/directory"},
		"ca.test/acme/acme/directory":     {host: "ca.test", directory: "https://ca.test/acme/acme/directory"},
		"http://127.0.0.1:4000/directory": {host: "127.0.0.1:4000", directory: "http://127.0.0.1:4000/directory"},
	} {
		got, err := parseServer(named, "--server")
		require.NoError(t, err, named)
		require.Equal(t, want, got, named)
	}
	got, err := parseServer("http://localhost:4001", "--server")
	require.NoError(t, err)
	require.Equal(t, server{host: "localhost:4001"}, got)
	for _, named := range []string{"ftp://ca.test/", "https://", "https:///dir", "a b", "https://user:pw@ca.test/", "http://ca.test/directory", "http://192.0.2.1/", "http://localhost.example/", "\x1b[31m", ":"} {
		_, err := parseServer(named, "--server")
		require.Error(t, err, named)
		require.Equal(t, exitUsage, err.(*problem).code, named)
		require.NotContains(t, err.Error(), "\x1b")
	}
}

func TestHostOf(t *testing.T) {
	for raw, want := range map[string]string{
		"https://CA.test:443/x": "ca.test",
		"http://ca.test:80/x":   "ca.test",
		"https://ca.test:80/x":  "ca.test:80",
		"https://[::1]:443/x":   "[::1]",
		"%zz":                   "",
		"":                      "",
	} {
		require.Equal(t, want, hostOf(raw), raw)
	}
}

// TestOwner takes the owner from an authorization's URL, or from the logs if that does
// not tell and they are of the same CA.
func TestOwner(t *testing.T) {
	const plain = "https://ca.test/authZ/xqzuqxNPyQhNPmW349g_dCHgny-JmJTOBaBUD6JK"
	for _, test := range []struct{ url, logged, want string }{
		{"https://ca.test/acme/authz/1/2", "", "https://ca.test/acme/acct/1"},
		{"https://ca.test/acme/authz/1/2", "https://ca.test/acme/acct/9", "https://ca.test/acme/acct/1"},
		{plain, "", ""},
		{plain, "https://CA.test:443/my-account/9", "https://CA.test:443/my-account/9"},
		{plain, "https://elsewhere.test/my-account/9", ""},
	} {
		require.Equal(t, test.want, owner(test.url, map[string]string{test.url: test.logged}), test)
	}
}

func TestAssign(t *testing.T) {
	one := &account.Account{URL: "https://ca.test/acme/acct/1"}
	two := &account.Account{URL: "https://ca.test/acme/acct/2"}
	urls := []string{"https://ca.test/acme/authz/2/20", "https://ca.test/acme/authz/1/10", "https://ca.test/acme/authz/2/21",
		"https://ca.test/acme/authz/3/30", "https://ca.test/acme/authz-v3/40"}

	jobs, strangers, unowned := assign(urls, nil, []*account.Account{one, two}, false)
	require.Equal(t, []job{{account: one, urls: urls[1:2]}, {account: two, urls: []string{urls[0], urls[2]}}}, jobs)
	require.Equal(t, map[string]int{"3": 1}, strangers)
	require.Equal(t, 1, unowned)

	jobs, strangers, unowned = assign(urls, nil, []*account.Account{one}, true)
	require.Equal(t, []job{{account: one, urls: []string{urls[1], urls[4]}}}, jobs)
	require.Equal(t, map[string]int{"2": 2, "3": 1}, strangers)
	require.Zero(t, unowned)

	jobs, _, _ = assign(urls[:1], nil, []*account.Account{one}, true)
	require.Empty(t, jobs)

	_, _, unowned = assign(urls, nil, []*account.Account{one}, false) // there is another that the CA did not tell
	require.Equal(t, 1, unowned)

	owners := map[string]string{urls[4]: "https://ca.test/acme/acct/2"} // as the log says
	jobs, _, unowned = assign(urls[4:], owners, []*account.Account{one, two}, false)
	require.Equal(t, []job{{account: two, urls: urls[4:]}}, jobs)
	require.Zero(t, unowned)
}

// TestChooseServers checks that CAs are taken from the flag or the logs, and never
// unasked.
func TestChooseServers(t *testing.T) {
	const production = "https://acme-v02.api.letsencrypt.org/acme/authz/1/2"
	const old = "https://acme-v01.api.letsencrypt.org/acme/authz/0123456789012345678901234567890123456789012"
	const other = "https://ca.test/acme/authz/1/"
	for _, test := range []struct {
		named string
		key   *keyFile
		urls  []string
		want  []server
	}{
		{"", nil, nil, nil},
		{"", nil, []string{old}, nil},
		{"", nil, []string{production, old}, []server{{host: "acme-v02.api.letsencrypt.org"}}},
		{"", nil, []string{production, other + "1", other + "2"}, []server{{host: "ca.test"}, {host: "acme-v02.api.letsencrypt.org"}}},
		{"", &keyFile{}, []string{production, old}, []server{{host: "acme-v02.api.letsencrypt.org"}}},
		{"ca.test", nil, []string{production}, []server{{host: "ca.test"}}},
	} {
		got, err := chooseServers(options{server: test.named}, test.key, test.urls)
		require.NoError(t, err)
		require.Equal(t, test.want, got)
	}
	_, err := chooseServers(options{}, &keyFile{}, []string{production, other + "1"})
	require.Equal(t, exitUsage, err.(*problem).code)
}

func TestLooksLikeKey(t *testing.T) {
	for data, want := range map[string]bool{
		"-----BEGIN EC PRIVATE KEY-----\n":           true,
		"\ufeff \n-----BEGIN PRIVATE KEY-----\n":     true,
		"-----BEGIN PUBLIC KEY-----\n":               true,
		"-----BEGIN CERTIFICATE-----\n":              false,
		` {"kty": "RSA"}`:                            true,
		`{"kty": "RSA", "url": "https://ca.test/1"}`: false,
		`{"url": "https://ca.test/acme/authz/1/2"}`:  false,
		"2026-11-23 -----BEGIN PRIVATE KEY-----":     false,
		"":                                           false,
	} {
		require.Equal(t, want, looksLikeKey([]byte(data)), data)
	}
}

func TestTableFits(t *testing.T) {
	table := func() [][]string {
		return [][]string{
			{"IDENTIFIER", "WAS", "NOW", "AUTHORIZATION"},
			{"a-rather-long-name-of-a-customer.example.org", "pending", "deactivated", "https://acme-v02.api.letsencrypt.org/acme/authz/2693622867/601227941651"},
			{"short.example.org", "pending", "pending", "https://acme-v02.api.letsencrypt.org/acme/authz/2693622867/601227941699"},
		}
	}
	write := func(width int) string {
		var b strings.Builder
		require.NoError(t, writeTable(&b, width, table()))
		return b.String()
	}
	var all strings.Builder
	for _, width := range []int{0, 140, 120, 80, 60, 10} {
		text := write(width)
		if width >= 60 {
			for line := range strings.Lines(text) {
				require.LessOrEqual(t, len([]rune(strings.TrimSuffix(line, "\n"))), width, line)
			}
		}
		all.WriteString(text + "\n")
	}
	compareGolden(t, "testdata/tables.txt", all.String())
	require.NoError(t, writeTable(&strings.Builder{}, 80, nil))
}

func TestQuote(t *testing.T) {
	require.Equal(t, `clear-authz --server=ca.test /var/log/a.log 'two words' 'it'\''s' '*.log' '' '\x1b[0m'`,
		quote([]string{"clear-authz", "--server=ca.test", "/var/log/a.log", "two words", "it's", "*.log", "", "\x1b[0m"}))
}
