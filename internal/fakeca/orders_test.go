package fakeca_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/acme"

	"github.com/acmeauthz/acmeauthz/internal/fakeca"
)

// newOrders makes orders of two names each and returns them.
func newOrders(t *testing.T, client *acme.Client, count int) []*acme.Order {
	t.Helper()
	var orders []*acme.Order
	for i := range count {
		name := string(rune('a'+i)) + ".example.com"
		order, err := client.AuthorizeOrder(t.Context(), acme.DomainIDs(name, "www."+name))
		require.NoError(t, err)
		orders = append(orders, order)
	}
	return orders
}

// listURL is what the account's object says of its orders.
func listURL(t *testing.T, client *acme.Client) string {
	t.Helper()
	account, err := client.GetReg(t.Context(), "")
	require.NoError(t, err)
	return account.OrdersURL
}

// page reads a page of a list, in the form that RFC 8555 has or as a bare array.
func page(t *testing.T, got answer) (urls []string, next string) {
	t.Helper()
	require.Equal(t, 200, got.StatusCode, got.body)
	var list struct{ Orders []string }
	if strings.HasPrefix(got.body, "[") {
		require.NoError(t, json.Unmarshal([]byte(got.body), &list.Orders))
	} else {
		require.NoError(t, json.Unmarshal([]byte(got.body), &list))
	}
	require.NotNil(t, list.Orders)
	if link := got.Header.Get("Link"); link != "" {
		require.Regexp(t, `^<[^>]*>;rel="next"$`, link)
		next = strings.TrimSuffix(link[1:], `>;rel="next"`)
	}
	return list.Orders, next
}

// uris are the URLs of orders.
func uris(orders ...*acme.Order) []string {
	urls := []string{}
	for _, order := range orders {
		urls = append(urls, order.URI)
	}
	return urls
}

// TestOrderListURL has where each CA says that the orders of an account are.
func TestOrderListURL(t *testing.T) {
	for behavior, want := range map[fakeca.Behavior]string{
		fakeca.Boulder: "", fakeca.StepCA: "/acme/acme/account/{id}/orders", fakeca.Ignores: "/acme/acct/{id}/orders",
		fakeca.OpenBao: "/v1/pki/acme/account/{id}/orders", fakeca.Pebble: "/list-orderz/{id}",
	} {
		ca := fakeca.New(fakeca.Config{Behavior: behavior})
		client := ca.Client()
		want = strings.ReplaceAll(want, "{id}", id(string(client.KID)))
		if want != "" {
			want = ca.URL() + want
		}
		require.Equal(t, want, listURL(t, client), names[behavior])
		require.Zero(t, ca.Count(fakeca.OrderList))
	}
}

// TestOrderListPebble follows the pages, then clears page by page, which misses half of the orders.
func TestOrderListPebble(t *testing.T) {
	ca := fakeca.New(fakeca.Config{Behavior: fakeca.Pebble})
	client := ca.Client()
	list := listURL(t, client)
	read := func(url string) ([]string, string) {
		t.Helper()
		return page(t, send(t, ca, request{url: url, client: client}))
	}
	got, next := read(list)
	require.Empty(t, got)
	require.Empty(t, next)
	orders := newOrders(t, client, 3)
	got, next = read(list)
	require.Equal(t, uris(orders...), got)
	require.Empty(t, next)

	orders = append(orders, newOrders(t, client, 9)...)
	got, next = read(list)
	require.Equal(t, uris(orders[:3]...), got)
	require.Equal(t, list+"/page/2", next)
	got, next = read(list + "/page/4")
	require.Equal(t, uris(orders[9:]...), got)
	require.Empty(t, next)
	for _, beyond := range []string{"/page/5", "/page/99", "/page/4611686018427387904"} {
		got, next = read(list + beyond)
		require.Empty(t, got)
		require.Empty(t, next)
	}

	var sizes []int
	seen := map[string]bool{}
	for url := list; url != ""; {
		var urls []string
		urls, url = read(url)
		sizes = append(sizes, len(urls))
		for _, order := range urls {
			seen[order] = true
			authorization := orders[slices.Index(uris(orders...), order)].AuthzURLs[0]
			require.Equal(t, 200, send(t, ca, request{url: authorization, client: client, payload: deactivation}).StatusCode)
		}
	}
	require.Equal(t, []int{3, 3, 0}, sizes)
	require.Len(t, seen, 6)
	got, _ = read(list)
	require.Equal(t, uris(orders[3:6]...), got)
	require.Equal(t, 11, ca.Count(fakeca.OrderList))
}

// TestOrderList has what the other lists show of four orders, of which the first is ready and the third invalid.
func TestOrderList(t *testing.T) {
	for behavior, want := range map[fakeca.Behavior]struct {
		path  string // empty for the announced one
		array bool
		shown []int
	}{
		fakeca.StepCA:  {"", true, []int{1, 3}},
		fakeca.Ignores: {"", false, []int{0, 1, 2, 3}},
		fakeca.OpenBao: {"/v1/pki/acme/orders", false, []int{0, 1, 2, 3}},
		fakeca.Pebble:  {"", false, []int{0, 1, 3}},
	} {
		t.Run(names[behavior], func(t *testing.T) {
			ca := fakeca.New(fakeca.Config{Behavior: behavior})
			client := ca.Client()
			list := listURL(t, client)
			if want.path != "" {
				list = ca.URL() + want.path
			}
			got := send(t, ca, request{url: list, client: client})
			require.Equal(t, map[bool]string{true: "[]", false: `{"orders":[]}`}[want.array], got.body)

			orders := newOrders(t, client, 4)
			newOrders(t, ca.NewAccount(), 2) // not seen
			for _, url := range orders[0].AuthzURLs {
				ca.SetStatus(url, acme.StatusValid)
			}
			ca.SetStatus(orders[2].AuthzURLs[1], acme.StatusInvalid)
			expected := []string{}
			for _, i := range want.shown {
				expected = append(expected, orders[i].URI)
			}
			if behavior == fakeca.OpenBao {
				slices.Sort(expected)
			}
			got = send(t, ca, request{url: list, client: client})
			urls, next := page(t, got)
			require.Equal(t, expected, urls)
			require.Empty(t, next)
			require.Equal(t, want.array, strings.HasPrefix(got.body, "["))
			requests := ca.Requests()
			require.Equal(t, fakeca.OrderList, requests[len(requests)-1].Kind)
		})
	}
}

// TestOrderListRefused has what is not shown: another account's list, a list asked for with a body or by GET, a page.
func TestOrderListRefused(t *testing.T) {
	type want struct {
		status int
		kind   string
		body   string // of an answer without a problem document, detail of one
	}
	denied := want{403, "", `{"errors":["permission denied"]}`}
	for behavior, want := range map[fakeca.Behavior]struct{ foreign, withBody, get, page want }{
		fakeca.StepCA: {
			want{401, unauthorized, "The client lacks sufficient authorization"},
			want{400, malformed, "The request message was malformed"},
			want{405, "", ""}, want{404, "", "404 page not found\n"},
		},
		fakeca.OpenBao: {denied, denied, denied, denied},
		fakeca.Pebble: {
			want{404, malformed, "Wrong account ID"},
			want{400, malformed, "POST-as-GET requests must have a nil body"},
			want{405, malformed, "Method not allowed"}, want{200, "", `{"orders":[]}`},
		},
	} {
		t.Run(names[behavior], func(t *testing.T) {
			ca := fakeca.New(fakeca.Config{Behavior: behavior})
			client, other := ca.Client(), ca.NewAccount()
			list := listURL(t, client)
			check := func(w struct {
				status int
				kind   string
				body   string
			}, got answer) {
				t.Helper()
				require.Equal(t, w.status, got.StatusCode, got.body)
				if w.kind == "" {
					require.Equal(t, w.body, got.body)
					return
				}
				require.Equal(t, "urn:ietf:params:acme:error:"+w.kind, got.problem.Type)
				require.Equal(t, w.body, got.problem.Detail)
			}
			check(want.foreign, send(t, ca, request{url: list, client: other}))
			check(want.withBody, send(t, ca, request{url: list, client: client, payload: "{}"}))
			check(want.page, send(t, ca, request{url: list + "/page/99", client: client}))
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, list, nil)
			require.NoError(t, err)
			check(want.get, do(t, ca, r))
			if behavior == fakeca.OpenBao {
				got := send(t, ca, request{url: list, client: client})
				check(denied, got)
				require.Equal(t, "application/json", got.Header.Get("Content-Type"))
				require.Empty(t, got.Header.Get("Replay-Nonce"))
			}
		})
	}
}
