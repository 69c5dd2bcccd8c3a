package authz_test

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/acme"

	"github.com/acmeauthz/acmeauthz/authz"
	"github.com/acmeauthz/acmeauthz/internal/fakeca"
)

func TestNames(t *testing.T) {
	for _, tt := range []struct {
		names string // with spaces between
		id    string // "*." for a wildcard
		want  bool
	}{
		{"example.org", "example.org", true},
		{"example.org", "*.example.org", false},
		{"example.org", "www.example.org", false},
		{"example.org", "badexample.org", false},
		{"EXAMPLE.org.", "example.ORG", true},
		{"*.example.org", "*.example.org", true},
		{"*.example.org", "example.org", false},
		{"*.example.org", "a.example.org", false},
		{".example.org", "example.org", true},
		{".example.org", "*.example.org", true},
		{".example.org", "a.b.example.org", true},
		{".example.org", "*.a.example.org", true},
		{".example.org", "badexample.org", false},
		{".example.org", "example.org.evil.test", false},
		{".example.org", "org", false},
		{"other.test example.org", "example.org", true},
		{"bücher.example", "xn--bcher-kva.example", true},
		{"xn--bcher-kva.example", "BÜCHER.example", true},
		{".straße.example", "a.xn--strae-oqa.example", true},
		{"_dmarc.example.org", "_dmarc.example.org", true},
		{"192.0.2.1", "192.0.2.1", true},
		{"192.0.2.1", "::ffff:192.0.2.1", true},
		{"2001:DB8::1", "2001:db8:0::1", true},
		{"192.0.2.1", "192.0.2.10", false},
		{".2.1.example", "192.0.2.1", false},
		{"", "example.org", false},
	} {
		names, err := authz.ParseNames(strings.Fields(tt.names)...)
		require.NoError(t, err)
		value, wildcard := strings.CutPrefix(tt.id, "*.")
		a := &acme.Authorization{Identifier: acme.AuthzID{Type: "dns", Value: value}, Wildcard: wildcard}
		require.Equal(t, tt.want, names.Has(a), "%s in %s", tt.id, tt.names)
		if wildcard { // as some CAs have it
			a.Identifier.Value, a.Wildcard = tt.id, false
			require.Equal(t, tt.want, names.Has(a), "%s in %s", tt.id, tt.names)
		}
		a.Identifier.Type = "permanent-identifier"
		require.False(t, names.Has(a) && !strings.ContainsAny(value, ":") && value != "192.0.2.1")
	}
	_, err := authz.ParseNames("", ".", ".co.uk", "..example.org", ".*.example.org", "a b.example", "http://example.org/", "*", "**.example.org", "good.example")
	require.EqualError(t, err, strings.Join([]string{
		`authz: name "": it is empty`,
		`authz: name ".": it is empty`,
		`authz: name ".co.uk": it is a public suffix: many people's domains are below it`,
		`authz: name "..example.org": it is no domain name`,
		`authz: name ".*.example.org": a dot and a star at once`,
		`authz: name "a b.example": it is no domain name`,
		`authz: name "http://example.org/": it is no domain name`,
		`authz: name "*": it is no domain name`,
		`authz: name "**.example.org": it is no domain name`,
	}, "\n"))
}

func FuzzParseNames(f *testing.F) {
	for _, s := range []string{"example.org", "*.example.org", ".example.org", "bücher.example", "::1", "..", ".co.uk", "xn--", "\xff"} {
		f.Add(s, s)
	}
	f.Fuzz(func(t *testing.T, name, id string) {
		names, err := authz.ParseNames(name)
		if err != nil {
			return
		}
		// What was asked for by a plain name is never somebody else's suffix.
		if names.Has(&acme.Authorization{Identifier: acme.AuthzID{Type: "dns", Value: "other." + id}}) && !strings.HasPrefix(strings.TrimSpace(name), ".") {
			require.Contains(t, strings.ToLower(name), "other")
		}
	})
}

func TestRelinquish(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca := fakeca.New(fakeca.Config{})
		valid := func(name string, wildcard bool) string {
			return ca.Add(fakeca.Authorization{Identifier: name, Wildcard: wildcard, Status: "valid"})
		}
		urls := []string{
			valid("gone.example", false), valid("gone.example", true), valid("stays.example", false), valid("a.sold.example", false),
			ca.Add(fakeca.Authorization{Identifier: "gone.example"}), ca.URL() + "/acme/authz/1/9999", "https://elsewhere.example/acme/authz/1/2",
		}
		names, err := authz.ParseNames("Gone.example", ".sold.example")
		require.NoError(t, err)
		m := &authz.Manager{Client: ca.Client()}
		report := authz.NewReport(m, names)
		for r, err := range m.Relinquish(t.Context(), names, authz.URLs(urls...)) {
			require.NoError(t, err)
			report.Add(names, r)
		}
		require.Equal(t, []string{"deactivated", "valid", "valid", "deactivated", "pending"}, statuses(ca, urls[:5]...))
		require.Equal(t, 2, report.Relinquished())
		require.Equal(t, 2, report.Others)
		require.Len(t, report.Entries, 5)

		var text strings.Builder
		require.NoError(t, report.WriteText(&text))
		require.Equal(t, `Authorizations relinquished

Report of                    2000-01-01T00:00:00Z
CA                           https://ca.test/directory
Account                      https://ca.test/acme/acct/1
Names asked for              Gone.example, .sold.example
Relinquished                 2
Of other names, not touched  2

gone.example
  https://ca.test/acme/authz/1/2
  was valid; the CA answered "deactivated" on 2000-01-01T00:00:00Z

a.sold.example
  https://ca.test/acme/authz/1/5
  was valid; the CA answered "deactivated" on 2000-01-01T00:00:00Z

gone.example
  https://ca.test/acme/authz/1/6
  nothing to do: it is pending, not valid

(name not known)
  https://ca.test/acme/authz/1/9999
  not relinquished: authz: authorization is unknown or expired: 404 urn:ietf:params:acme:error:malformed: No such authorization

(name not known)
  https://elsewhere.example/acme/authz/1/2
  not relinquished: authz: URL does not belong to the CA: https://elsewhere.example

`, text.String())

		document, err := json.Marshal(report)
		require.NoError(t, err)
		var back authz.Report
		require.NoError(t, json.Unmarshal(document, &back))
		require.Equal(t, *report, back)
		require.Contains(t, string(document), `"schema":"acmeauthz-relinquish/1"`)
	})
}

// What a Manager has finished can be given up later, and so can what was valid
// when an earlier run ended in the middle.
func TestRelinquishWhatTheJournalHas(t *testing.T) {
	ca := fakeca.New(fakeca.Config{})
	var urls []string
	for _, status := range []string{"valid", "valid", "deactivated"} {
		urls = append(urls, ca.Add(fakeca.Authorization{Identifier: "gone.example", Status: status}))
	}
	journal, err := authz.OpenJournal(filepath.Join(t.TempDir(), "journal"))
	require.NoError(t, err)
	defer func() { require.NoError(t, journal.Close()) }()
	account := string(ca.Client().KID)
	for _, e := range []authz.JournalEntry{
		{Event: authz.EventBegin, URL: urls[0], Action: authz.ActionFinish},
		{Event: authz.EventEnd, URL: urls[0], Status: "valid"},
		{Event: authz.EventBegin, URL: urls[1], Action: authz.ActionDeactivate},
		{Event: authz.EventBegin, URL: urls[2], Action: authz.ActionDeactivate},
		{Event: authz.EventEnd, URL: urls[2], Status: "deactivated"},
	} {
		e.Account, e.Time = account, time.Now()
		require.NoError(t, journal.Append(e))
	}
	require.NoError(t, journal.Sync())
	m := &authz.Manager{Client: ca.Client(), Journal: journal}
	names, err := authz.ParseNames("gone.example")
	require.NoError(t, err)
	for range 2 {
		results, err := gather(t, m.Relinquish(t.Context(), names, authz.URLs(urls...)))
		require.NoError(t, err)
		for _, r := range results {
			require.NoError(t, r.Err)
		}
	}
	require.Equal(t, []string{"deactivated", "deactivated", "deactivated"}, statuses(ca, urls...))
	require.Equal(t, 2, ca.Count(fakeca.Deactivate), "each of the two once")
}

func TestRelinquishNothing(t *testing.T) {
	ca := fakeca.New(fakeca.Config{})
	m := &authz.Manager{Client: ca.Client()}
	_, err := gather(t, m.Relinquish(t.Context(), authz.Names{}, authz.URLs(ca.Add(fakeca.Authorization{Status: "valid"}))))
	require.EqualError(t, err, "authz: no names to relinquish")
	require.Zero(t, ca.Total())
}

// Where the CA only changes a word, the report must not say that it is done.
func TestRelinquishCosmetically(t *testing.T) {
	ca := fakeca.New(fakeca.Config{})
	names, err := authz.ParseNames("gone.example")
	require.NoError(t, err)
	m := &authz.Manager{Client: ca.Client(), Profiles: profileOf(t, "Actalis")}
	r := one(t, m.Relinquish(t.Context(), names, authz.URLs(ca.Add(fakeca.Authorization{Identifier: "gone.example", Status: "valid"}))))
	require.ErrorIs(t, r.Err, authz.ErrIgnored)
}
