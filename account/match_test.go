package account

import (
	"os"
	"path"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// found makes accounts as readers do: "client url directory path", "-" for none.
func found(rows ...[4]string) (accounts []*Account) {
	for _, row := range rows {
		accounts = append(accounts, &Account{StoredBy: row[0], URL: row[1], Directory: row[2], Path: row[3]})
	}
	return accounts
}

const (
	boulder = "https://acme-v02.api.letsencrypt.org"
	step    = "https://ca.internal:9443/acme/"
)

func TestMatch(t *testing.T) {
	one := [4]string{"certbot", boulder + "/acme/acct/123", letsEncrypt, "a"}
	two := [4]string{"lego", boulder + "/acme/acct/456", letsEncrypt, "b"}
	noURL := [4]string{"uacme", "", letsEncrypt, "etc/ssl/uacme/private/key.pem"}
	for name, test := range map[string]struct {
		accounts [][4]string
		url      string
		want     string // the account's URL or path, or the error
	}{
		"number in an authorization": {[][4]string{one, two}, boulder + "/acme/authz/456/1", boulder + "/acme/acct/456"},
		"number in a challenge":      {[][4]string{one, two}, boulder + "/acme/chall/123/1/abc", boulder + "/acme/acct/123"},
		"number in an order":         {[][4]string{one, two}, boulder + "/acme/order/123/9", boulder + "/acme/acct/123"},
		"number in a finalization":   {[][4]string{one, two}, boulder + "/acme/finalize/456/9", boulder + "/acme/acct/456"},
		"the account itself":         {[][4]string{one, two}, boulder + "/acme/acct/456", boulder + "/acme/acct/456"},
		"a port that goes without saying": {
			[][4]string{one}, "https://ACME-v02.api.letsencrypt.org:443/acme/authz/123/1", boulder + "/acme/acct/123",
		},
		"a number that no account has": {
			[][4]string{one, two}, boulder + "/acme/authz/789/1",
			"account: account 789 of acme-v02.api.letsencrypt.org: no key of that account was found; keys were found for 123 (certbot) and 456 (lego)",
		},
		"a number, and an account whose URL is not stored": {
			[][4]string{one, noURL}, boulder + "/acme/authz/789/1",
			"account: account 789 of acme-v02.api.letsencrypt.org: no key of that account was found; keys were found for 123 (certbot) and etc/ssl/uacme/private/key.pem (uacme)",
		},
		"no number, one account": {[][4]string{one}, boulder + "/acme/authz-v3/1", boulder + "/acme/acct/123"},
		"no number, two accounts": {
			[][4]string{one, two}, boulder + "/acme/authz-v3/1",
			"account: " + boulder + "/acme/authz-v3/1: several accounts may be the one; keys were found for 123 (certbot) and 456 (lego)",
		},
		"no number, one account has no URL": {
			[][4]string{one, noURL}, boulder + "/acme/authz-v3/1",
			"account: " + boulder + "/acme/authz-v3/1: several accounts may be the one; keys were found for 123 (certbot) and etc/ssl/uacme/private/key.pem (uacme)",
		},
		"another server's": {
			[][4]string{one, two}, "https://acme-staging-v02.api.letsencrypt.org/acme/authz/123/1",
			"account: account 123 of acme-staging-v02.api.letsencrypt.org: no key of that account was found; none at that server was",
		},
		"no accounts":     {nil, "https://ca.example/authz/1", "account: https://ca.example/authz/1: no key of that account was found; none at that server was"},
		"a provisioner":   {[][4]string{{"caddy", step + "a/account/X", "", "a"}, {"certbot", step + "b/account/X", step + "b/directory", "b"}}, step + "b/authz/Y", step + "b/account/X"},
		"the other one":   {[][4]string{{"caddy", step + "a/account/X", "", "a"}, {"lego", step + "b/account/X", "", "b"}}, step + "a/authz/Y", step + "a/account/X"},
		"a kid elsewhere": {[][4]string{{"caddy", step + "a/account/X", step + "a/directory", "a"}, {"lego", step + "a/account/Z", step + "a/directory", "b"}}, step + "a/account/Z", step + "a/account/Z"},
		"two of one provisioner": {
			[][4]string{{"certbot", step + "a/account/X", step + "a/directory", "a"}, {"caddy", step + "a/account/Z", "", "b"}}, step + "a/authz/Y",
			"account: " + step + "a/authz/Y: several accounts may be the one; keys were found for X (certbot) and Z (caddy)",
		},
		"a key alone": {
			[][4]string{{"key file", "", "", "k.pem"}}, "https://ca.example/authz/1",
			"account: https://ca.example/authz/1: no key of that account was found; none at that server was",
		},
		"no URL": {[][4]string{one}, "%zz", "account: %zz: no key of that account was found; none at that server was"},
		"escapes": {
			[][4]string{{"\x1b[1mlego", "https://ca.example/\x1b[31m", "https://ca.example/dir", "x"}, {"b", "", "https://ca.example/dir", "\x1b[2J"}},
			"https://ca.example/authz/1",
			`account: https://ca.example/authz/1: several accounts may be the one; keys were found for "https://ca.example/\x1b[31m" ("\x1b[1mlego") and "\x1b[2J" (b)`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			a, err := Match(found(test.accounts...), test.url)
			if err != nil {
				require.Nil(t, a)
				require.Equal(t, test.want, err.Error())
				return
			}
			require.Equal(t, test.want, a.URL)
		})
	}
}

// TestMatchError is for programs that go on by what is missing.
func TestMatchError(t *testing.T) {
	accounts := found([4]string{"certbot", boulder + "/acme/acct/123", letsEncrypt, "a"}, [4]string{"lego", boulder + "/acme/acct/456", letsEncrypt, "b"})
	_, err := Match(accounts, boulder+"/acme/authz/789/1")
	require.ErrorIs(t, err, ErrNoAccount)
	require.Equal(t, boulder+"/acme/acct/789", err.(*MatchError).Owner)
	require.Equal(t, accounts, err.(*MatchError).Candidates)
	_, err = Match(accounts, boulder+"/acme/authz-v3/1")
	require.ErrorIs(t, err, ErrAmbiguous)
	require.Empty(t, err.(*MatchError).Owner)
}

func TestGroupByAccount(t *testing.T) {
	accounts := found(
		[4]string{"certbot", boulder + "/acme/acct/123", letsEncrypt, "a"},
		[4]string{"lego", boulder + "/acme/acct/456", letsEncrypt, "b"},
		[4]string{"certbot", "https://localhost:14000/my-account/1", "https://localhost:14000/dir", "c"},
		[4]string{"certbot", "https://localhost:14000/my-account/2", "https://localhost:14000/dir", "d"},
	)
	groups := GroupByAccount(accounts, []Resource{
		{URL: boulder + "/acme/authz/456/1"},
		{URL: "https://localhost:14000/authZ/1", Owner: "https://localhost:14000/my-account/2"},
		{URL: boulder + "/acme/authz/789/1"},
		{URL: boulder + "/acme/authz/456/2"},
		{URL: "https://localhost:14000/authZ/2"},
		{URL: boulder + "/acme/authz/789/2"},
		{URL: "https://elsewhere.example/authz/1"},
		{URL: "https://elsewhere.example/authz/2", Owner: "https://localhost:14000/my-account/2"},
		{URL: "https://localhost:14000/authZ/3", Owner: "https://localhost:14000/my-account/3"},
	})
	var got []string
	for _, g := range groups {
		name := "none"
		if g.Account != nil {
			name = g.Account.Path
		}
		for _, u := range g.URLs {
			got = append(got, name+" "+u)
		}
		if g.Err != nil {
			got = append(got, "  "+g.Err.Error())
		}
	}
	require.Equal(t, []string{
		"b " + boulder + "/acme/authz/456/1",
		"b " + boulder + "/acme/authz/456/2",
		"d https://localhost:14000/authZ/1",
		"none " + boulder + "/acme/authz/789/1",
		"none " + boulder + "/acme/authz/789/2",
		"  account: account 789 of acme-v02.api.letsencrypt.org: no key of that account was found; keys were found for 123 (certbot) and 456 (lego)",
		"none https://localhost:14000/authZ/2",
		"  account: https://localhost:14000/authZ/2: several accounts may be the one; keys were found for 1 (certbot) and 2 (certbot)",
		"none https://elsewhere.example/authz/1",
		"  account: https://elsewhere.example/authz/1: no key of that account was found; none at that server was",
		"none https://elsewhere.example/authz/2",
		"  account: account 2 of localhost:14000: no key of that account was found; none at that server was",
		"none https://localhost:14000/authZ/3",
		"  account: account 3 of localhost:14000: no key of that account was found; keys were found for 1 (certbot) and 2 (certbot)",
	}, got)
}

func TestOwner(t *testing.T) {
	for resource, want := range map[string]string{
		boulder + "/acme/authz/1/2":                 boulder + "/acme/acct/1",
		boulder + "/acme/acct/1":                    boulder + "/acme/acct/1",
		"https://CA.example:4431/x/acme/order/1/2":  "https://ca.example:4431/x/acme/acct/1",
		boulder + "/acme/authz-v3/2":                "",
		boulder + "/acme/authz/1":                   "",
		boulder + "/acme/authz/1/2/3":               "",
		boulder + "/acme/authz/x/2":                 "",
		boulder + "/acme/chall/1/2":                 "",
		boulder + "/acme/chall-v3/1/2":              "",
		step + "acme/authz/1":                       "",
		"ftp://ca.example/acme/authz/1/2":           "",
		"https://user@ca.example/acme/authz/1/2":    "",
		"https://ca.example/acme/authz/1/2\x1b[31m": "",
	} {
		require.Equal(t, want, Owner(resource), resource)
	}
}

// TestMatchRecorded has all recorded accounts of all clients together. Each URL goes to
// the account that its number names; without a number, to the one that the log named.
func TestMatchRecorded(t *testing.T) {
	var all []*Account
	for client, how := range recorded {
		scenarios, err := os.ReadDir(filepath.Join("testdata", client))
		require.NoError(t, err)
		for _, scenario := range scenarios {
			accounts, err := how.read(os.DirFS(filepath.Join(restore(t, filepath.Join(client, scenario.Name())), how.dir)))
			require.NoError(t, err)
			all = append(all, accounts...)
		}
	}
	numbered, plain := 0, 0
	for _, a := range all {
		if a.URL == "" {
			continue
		}
		found, err := Match(all, a.URL)
		require.NoError(t, err)
		require.Same(t, a, found)
		if number := path.Base(a.URL); isNumber(number) {
			numbered++
			found, err = Match(all, boulder+"/acme/authz/"+number+"/1234567")
			require.NoError(t, err)
			require.Same(t, a, found)
			continue
		}
		plain++
		authorization := "https://" + hostOfURL(a.URL) + "/authZ/aIxiDG1UQS2wGRaYYRoYmw"
		groups := GroupByAccount(all, []Resource{{URL: authorization, Owner: a.URL}})
		require.Same(t, a, groups[0].Account)
	}
	require.Equal(t, []int{23, 6}, []int{numbered, plain})
	_, err := Match(all, "https://localhost:14000/authZ/aIxiDG1UQS2wGRaYYRoYmw")
	require.ErrorIs(t, err, ErrAmbiguous, "three accounts of different machines are at that address")
	_, err = Match(all, boulder+"/acme/authz/1/2")
	require.ErrorIs(t, err, ErrNoAccount)
	require.Len(t, err.(*MatchError).Candidates, 24, "and the one without a URL")
}
