package main

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode"

	"github.com/acmeauthz/acmeauthz/account"
	"github.com/stretchr/testify/require"
)

func testAccount(t *testing.T, b *bench) *account.Account {
	all, err := readAccounts(b.path("letsencrypt"))
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

func TestOwner(t *testing.T) {
	for raw, want := range map[string]string{
		"https://acme-v02.api.letsencrypt.org/acme/authz/2635782511/659126392189": "2635782511",
		"https://acme-v02.api.letsencrypt.org/acme/authz-v3/317955742500":         "",
		"https://localhost:14000/authZ/xqzuqxNPyQhNPmW349g_dCHgny-JmJTOBaBUD6JK":  "",
		"https://ca.internal:9443/acme/acme/authz/SFOfDR5fJNyQyP8OsKJJZ8ud5L2ofd": "",
		"https://ca.test/acme/authz/0123456789012345678901234567890123456789012":  "",
		"https://ca.test/acme/authz/1/2/3":                                        "",
	} {
		require.Equal(t, want, owner(raw), raw)
	}
}

func TestAssign(t *testing.T) {
	one := &account.Account{URL: "https://ca.test/acme/acct/1"}
	two := &account.Account{URL: "https://ca.test/acme/acct/2"}
	urls := []string{"https://ca.test/acme/authz/2/20", "https://ca.test/acme/authz/1/10", "https://ca.test/acme/authz/2/21",
		"https://ca.test/acme/authz/3/30", "https://ca.test/acme/authz-v3/40"}

	jobs, strangers, unowned := assign(urls, []*account.Account{one, two}, false)
	require.Equal(t, []job{{one, urls[1:2]}, {two, []string{urls[0], urls[2]}}}, jobs)
	require.Equal(t, map[string]int{"3": 1}, strangers)
	require.Equal(t, 1, unowned)

	jobs, strangers, unowned = assign(urls, []*account.Account{one}, true)
	require.Equal(t, []job{{one, []string{urls[1], urls[4]}}}, jobs)
	require.Equal(t, map[string]int{"2": 2, "3": 1}, strangers)
	require.Zero(t, unowned)

	jobs, _, _ = assign(urls[:1], []*account.Account{one}, true)
	require.Empty(t, jobs)

	_, _, unowned = assign(urls, []*account.Account{one}, false) // there is another that the CA did not tell
	require.Equal(t, 1, unowned)
}

// TestChooseServer checks that a CA is taken from the flag or the logs, and never
// unasked.
func TestChooseServer(t *testing.T) {
	const production = "https://acme-v02.api.letsencrypt.org/acme/authz/1/2"
	const old = "https://acme-v01.api.letsencrypt.org/acme/authz/0123456789012345678901234567890123456789012"
	s, err := chooseServer(options{}, nil)
	require.NoError(t, err)
	require.Equal(t, server{}, s)

	s, err = chooseServer(options{}, []string{production, old})
	require.NoError(t, err)
	require.Equal(t, server{host: "acme-v02.api.letsencrypt.org"}, s)
	require.True(t, s.isLetsEncrypt())

	s, err = chooseServer(options{}, []string{old})
	require.NoError(t, err)
	require.Equal(t, server{}, s)

	s, err = chooseServer(options{server: "ca.test"}, []string{production})
	require.NoError(t, err)
	require.Equal(t, server{host: "ca.test"}, s)
	require.False(t, s.isLetsEncrypt())

	for host, directory := range directories {
		require.Equal(t, host, hostOf(directory))
	}
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

func TestClean(t *testing.T) {
	for s, want := range map[string]string{
		"plain.example.org": "plain.example.org",
		"täst.example":      "täst.example",
		"\x1b[31mred":       `\x1b[31mred`,
		"two\nlines\r":      `two\nlines\r`,
		"\u009b\u202e\x7f":  `\u009b\u202e\x7f`,
		"\xff\xfe":          `\xff\xfe`,
		"":                  "",
	} {
		require.Equal(t, want, clean(s))
	}
	require.Equal(t, "a\n\\n \\x1b 7", cleanf("a\n%s %v %d", "\n", error(&problem{what: "\x1b"}), 7))
}

func FuzzClean(f *testing.F) {
	f.Add("plain")
	f.Add("\x1b]0;title\a\u009b\u202e\xff\U000e0001")
	f.Fuzz(func(t *testing.T, s string) {
		for _, r := range clean(s) {
			require.True(t, unicode.IsPrint(r), "%q in %q", r, clean(s))
		}
		doc, err := json.Marshal(record{Identifier: s})
		require.NoError(t, err)
		var plain, safe record
		require.NoError(t, json.Unmarshal(doc, &plain))
		require.NoError(t, json.Unmarshal(cleanJSON(doc), &safe), "%s", cleanJSON(doc))
		require.Equal(t, plain, safe)
		for _, r := range string(cleanJSON(doc)) {
			require.True(t, unicode.IsPrint(r), "%q", r)
		}
	})
}

func TestQuote(t *testing.T) {
	require.Equal(t, `clear-authz --server=ca.test /var/log/a.log 'two words' 'it'\''s' '*.log' '' '\x1b[0m'`,
		quote([]string{"clear-authz", "--server=ca.test", "/var/log/a.log", "two words", "it's", "*.log", "", "\x1b[0m"}))
}
