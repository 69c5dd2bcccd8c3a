package authz_test

import (
	"encoding/json"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/acme"

	"github.com/acmeauthz/acmeauthz/authz"
	"github.com/acmeauthz/acmeauthz/internal/fakeca"
	"github.com/acmeauthz/acmeauthz/internal/pebbleca"
)

func collect[T any](t testing.TB, seq iter.Seq2[T, error]) []T {
	t.Helper()
	var all []T
	for v, err := range seq {
		require.NoError(t, err)
		all = append(all, v)
	}
	return all
}

// answerJSON is an answer with a JSON body and headers, in pairs.
func answerJSON(body string, headers ...string) *fakeca.Answer {
	return &fakeca.Answer{Status: 200, Body: []byte(body), Header: header(headers...)}
}

func TestOrders(t *testing.T) {
	const account = `{"status":"valid","orders":"https://ca.test/list"}`
	var many []string
	for i := range 20_000 {
		many = append(many, fmt.Sprintf("https://ca.test/acme/order/1/%d", i))
	}
	manyJSON, err := json.Marshal(many)
	require.NoError(t, err)
	for _, tt := range []struct {
		name     string
		behavior fakeca.Behavior
		pages    map[string]*fakeca.Answer // by path
		want     []string
		err      error
		message  string
	}{
		{name: "an object", pages: map[string]*fakeca.Answer{"/list": answerJSON(`{"orders":["https://ca.test/o/1","https://ca.test/o/2"]}`)},
			want: []string{"https://ca.test/o/1", "https://ca.test/o/2"}},
		{name: "pages, with an order on two of them", pages: map[string]*fakeca.Answer{
			"/list":   answerJSON(`{"orders":["https://ca.test/o/1","https://ca.test/o/2"]}`, "Link", `<https://ca.test/directory>; rel="index", </list/2>;rel="next"`),
			"/list/2": answerJSON(`{"orders":["https://ca.test/o/2","https://ca.test/o/3"]}`, "Link", `<https://ca.test/list/3>; title="x"; rel=next`),
			"/list/3": answerJSON(`{"orders":[]}`),
		}, want: []string{"https://ca.test/o/1", "https://ca.test/o/2", "https://ca.test/o/3"}},
		{name: "pages in a circle", pages: map[string]*fakeca.Answer{"/list": answerJSON(`{"orders":["https://ca.test/o/1"]}`, "Link", `</list>;rel="next"`)},
			want: []string{"https://ca.test/o/1"}},
		{name: "an array", behavior: fakeca.StepCA, pages: map[string]*fakeca.Answer{"/list": answerJSON(`["https://ca.test/o/1"]`)}, want: []string{"https://ca.test/o/1"}},
		{name: "an array of many", behavior: fakeca.StepCA, pages: map[string]*fakeca.Answer{"/list": answerJSON(string(manyJSON))}, want: many},
		{name: "no array, but null", behavior: fakeca.StepCA, pages: map[string]*fakeca.Answer{"/list": answerJSON(`null`)}},
		{name: "null", pages: map[string]*fakeca.Answer{"/list": answerJSON(`{"orders":null}`)}},
		{name: "OpenBao's, which is elsewhere", behavior: fakeca.OpenBao, pages: map[string]*fakeca.Answer{"/v1/pki/acme/orders": answerJSON(`{"orders":["https://ca.test/o/1"]}`)},
			want: []string{"https://ca.test/o/1"}},
		{name: "not named", pages: map[string]*fakeca.Answer{"/acme/acct/1": answerJSON(`{"status":"valid"}`)}, err: authz.ErrNoOrders,
			message: "authz: CA does not list orders: Boulder names none in the account"},
		{name: "refused", pages: map[string]*fakeca.Answer{"/list": {Status: 403, Body: []byte(`{"errors":["permission denied"]}`)}}, err: authz.ErrNoOrders,
			message: "authz: CA does not list orders: https://ca.test/list: 403 : 403 Forbidden"},
		{name: "not there", pages: map[string]*fakeca.Answer{"/list": {Status: 404}}, err: authz.ErrNoOrders},
		{name: "another CA's", pages: map[string]*fakeca.Answer{"/acme/acct/1": answerJSON(`{"status":"valid","orders":"https://evil.test/list"}`)}, err: authz.ErrForeign},
		{name: "another CA's second page", pages: map[string]*fakeca.Answer{"/list": answerJSON(`{"orders":["https://ca.test/o/1"]}`, "Link", `<https://evil.test/2>;rel="next"`)}, err: authz.ErrForeign},
		{name: "something else", pages: map[string]*fakeca.Answer{"/list": answerJSON(`{"status":"valid"}`)}, message: "authz: list of orders https://ca.test/list: it is neither an object with orders nor an array"},
		{name: "a page of HTML", pages: map[string]*fakeca.Answer{"/list": answerJSON(`<html>`)}, message: "authz: list of orders https://ca.test/list: invalid character '<' looking for beginning of value"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ca := fakeca.New(fakeca.Config{Behavior: tt.behavior, Intercept: func(r *fakeca.Request) *fakeca.Answer {
				if answer := tt.pages[r.Path]; answer != nil {
					return answer
				}
				if r.Kind == fakeca.Account && strings.HasPrefix(r.URL, string(r.KID)) {
					return answerJSON(account)
				}
				return nil
			}})
			m := &authz.Manager{Client: ca.Client()}
			var got []string
			var err error
			for url, e := range m.Orders(t.Context()) {
				if err = e; e == nil {
					got = append(got, url)
				}
			}
			require.Equal(t, tt.want, got)
			if tt.err == nil && tt.message == "" {
				require.NoError(t, err)
			}
			if tt.err != nil {
				require.ErrorIs(t, err, tt.err)
			}
			if tt.message != "" {
				require.EqualError(t, err, tt.message)
			}
			for _, r := range ca.Requests() {
				require.NotContains(t, r.URL, "evil.test")
			}
		})
	}
}

// What the fake CA has from records: who lists what.
func TestOrdersByBehavior(t *testing.T) {
	for behavior, want := range map[fakeca.Behavior]int{fakeca.Pebble: 7, fakeca.StepCA: 7, fakeca.OpenBao: 8, fakeca.Ignores: 8, fakeca.Boulder: -1} {
		ca := fakeca.New(fakeca.Config{Behavior: behavior})
		for range 8 {
			ca.AddOrder(fakeca.Order{Authorizations: []string{ca.Add(fakeca.Authorization{})}})
		}
		ca.AddOrder(fakeca.Order{Owner: ca.NewAccount().KID, Authorizations: nil})
		m := &authz.Manager{Client: ca.Client()}
		if want < 0 {
			for _, err := range m.Orders(t.Context()) {
				require.ErrorIs(t, err, authz.ErrNoOrders)
			}
			continue
		}
		orders := collect(t, m.Orders(t.Context()))
		require.Len(t, orders, 8)
		first := collect(t, m.ReadOrders(t.Context(), authz.URLs(orders[0])))
		ca.SetStatus(first[0].Authorizations[0], "invalid")
		require.Len(t, collect(t, m.Orders(t.Context())), want, "behavior %d", behavior)
	}
}

// An order that is gone, another's, or no order at all is data.
func TestReadOrders(t *testing.T) {
	for _, behavior := range []fakeca.Behavior{fakeca.Boulder, fakeca.StepCA, fakeca.OpenBao, fakeca.Pebble} {
		ca := fakeca.New(fakeca.Config{Behavior: behavior})
		order, err := ca.Client().AuthorizeOrder(t.Context(), acme.DomainIDs("a.example", "*.a.example"))
		require.NoError(t, err)
		theirs, err := ca.NewAccount().AuthorizeOrder(t.Context(), acme.DomainIDs("b.example"))
		require.NoError(t, err)
		m := &authz.Manager{Client: ca.Client()}
		urls := []string{order.URI, theirs.URI, strings.TrimRight(order.URI, "0123456789abcdef") + "0000000000", order.AuthzURLs[0], "https://evil.test/order/1"}
		got := collect(t, m.ReadOrders(t.Context(), authz.URLs(urls...)))
		require.Len(t, got, 5)
		require.NoError(t, got[0].Err)
		require.Equal(t, order.URI, got[0].URL)
		require.Equal(t, "pending", got[0].Status)
		require.Equal(t, acme.DomainIDs("a.example", "*.a.example"), got[0].Identifiers)
		require.Equal(t, order.AuthzURLs, got[0].Authorizations)
		require.False(t, got[0].Expires.IsZero())
		require.Error(t, got[1].Err)
		require.ErrorIs(t, got[2].Err, authz.ErrGone)
		require.ErrorContains(t, got[3].Err, "not an order")
		require.ErrorIs(t, got[4].Err, authz.ErrForeign)

		all := collect(t, m.Authorizations(t.Context(), authz.URLs(urls[0], urls[1], urls[2], urls[0], urls[4])))
		require.Equal(t, order.AuthzURLs, all)
	}
}

// On OpenBao one deactivation hides the order's other authorizations. What
// Authorizations yields was collected before, so that clearing while ranging
// misses none.
func TestAuthorizationsAreCollectedFirst(t *testing.T) {
	ca := fakeca.New(fakeca.Config{Behavior: fakeca.OpenBao})
	var orders []string
	for i := range 5 {
		order, err := ca.Client().AuthorizeOrder(t.Context(), acme.DomainIDs(fmt.Sprintf("a%d.example", i), fmt.Sprintf("b%d.example", i), fmt.Sprintf("c%d.example", i)))
		require.NoError(t, err)
		orders = append(orders, order.URI)
	}
	m := &authz.Manager{Client: ca.Client(), Parallelism: 1}
	results, err := gather(t, m.Clear(t.Context(), m.Authorizations(t.Context(), authz.URLs(orders...))))
	require.NoError(t, err)
	require.Len(t, results, 15)
	for _, r := range results {
		require.True(t, r.Changed)
	}
}

// Pebble's list has pages of three, and an order leaves it when one of its
// authorizations is deactivated.
func TestOrdersOfPebble(t *testing.T) {
	ca, err := pebbleca.Start(pebbleca.Config{BadNoncePercent: 5})
	require.NoError(t, err)
	defer func() { require.NoError(t, ca.Close()) }()
	client := register(t, ca)
	var want []string
	for range 8 {
		want = append(want, order(t, client, 2)...)
	}
	m := &authz.Manager{Client: client, Parallelism: 8, Policy: old}
	require.Len(t, collect(t, m.Orders(t.Context())), 8)
	got := collect(t, m.Authorizations(t.Context(), m.Orders(t.Context())))
	require.ElementsMatch(t, want, got)
	results, err := gather(t, m.Clear(t.Context(), m.Authorizations(t.Context(), m.Orders(t.Context()))))
	require.NoError(t, err)
	require.Len(t, results, 16)
	for _, url := range want {
		status, err := ca.Status(url)
		require.NoError(t, err)
		require.Equal(t, "deactivated", status)
	}
	require.Empty(t, collect(t, m.Orders(t.Context())))
}

func TestByReorder(t *testing.T) {
	ca := fakeca.New(fakeca.Config{ReusePending: true}) // as Boulder until 2025
	lost, err := ca.Client().AuthorizeOrder(t.Context(), acme.DomainIDs("a.example", "b.example", "*.a.example"))
	require.NoError(t, err)
	m := &authz.Manager{Client: ca.Client(), Policy: old}
	order, err := m.ByReorder(t.Context(), acme.DomainIDs("a.example", "*.a.example")...)
	require.NoError(t, err)
	require.NoError(t, order.Err)
	require.ElementsMatch(t, []string{lost.AuthzURLs[0], lost.AuthzURLs[2]}, order.Authorizations)
	require.Equal(t, "pending", order.Status)
	require.NotEmpty(t, order.URL)
	for r, err := range m.Clear(t.Context(), authz.URLs(order.Authorizations...)) {
		require.NoError(t, err)
		require.True(t, r.Changed)
	}
	require.Equal(t, []string{"deactivated", "pending", "deactivated"}, statuses(ca, lost.AuthzURLs...))

	m.Profiles = profileOf(t, "Let's Encrypt")
	before := ca.Count(fakeca.Ordering)
	_, err = m.ByReorder(t.Context(), acme.DomainIDs("a.example")...)
	require.ErrorIs(t, err, authz.ErrNotReused)
	require.Equal(t, before, ca.Count(fakeca.Ordering))
}

func FuzzNextPage(f *testing.F) {
	f.Add(`<https://ca.test/2>;rel="next"`)
	f.Add(`<a>,<b>;rel=next;`)
	f.Fuzz(func(t *testing.T, link string) {
		ca := fakeca.New(fakeca.Config{Intercept: func(r *fakeca.Request) *fakeca.Answer {
			switch {
			case r.Kind == fakeca.Account && strings.HasPrefix(r.URL, string(r.KID)):
				return answerJSON(`{"status":"valid","orders":"https://ca.test/list"}`)
			case r.Path == "/list":
				return &fakeca.Answer{Status: 200, Body: []byte(`{"orders":[]}`), Header: http.Header{"Link": {link}}}
			}
			return &fakeca.Answer{Status: 404}
		}})
		for url, err := range (&authz.Manager{Client: ca.Client()}).Orders(t.Context()) {
			require.True(t, url != "" || err != nil)
		}
		for _, r := range ca.Requests() {
			u, err := url.Parse(r.URL)
			require.NoError(t, err)
			require.Equal(t, "ca.test", strings.TrimSuffix(strings.ToLower(u.Host), ":443"), r.URL)
		}
	})
}
