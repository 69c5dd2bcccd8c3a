package fakeca_test

import (
	"crypto/x509"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

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

// TestAddOrder reads orders of every status, by a client and by the test.
func TestAddOrder(t *testing.T) {
	for _, tt := range []struct {
		name           string
		behavior       fakeca.Behavior
		authorizations []string // statuses
		status         string
		expired        bool
		want           string // status
		shown          int    // authorizations
	}{
		{"pending", fakeca.Boulder, []string{"valid", "pending"}, "", false, "pending", 2},
		{"ready", fakeca.Boulder, []string{"valid", "valid"}, "", false, "ready", 2},
		{"deactivated", fakeca.Boulder, []string{"deactivated", "pending"}, "", false, "invalid", 2},
		{"processing", fakeca.Boulder, []string{"valid", "valid"}, "processing", false, "processing", 2},
		{"processing before its time", fakeca.Boulder, []string{"pending"}, "processing", false, "processing", 1},
		{"valid", fakeca.Boulder, []string{"valid"}, "valid", false, "valid", 1},
		{"valid, then deactivated", fakeca.Boulder, []string{"deactivated", "valid"}, "valid", false, "invalid", 2},
		{"valid, then deactivated", fakeca.Pebble, []string{"deactivated", "valid"}, "valid", false, "invalid", 2},
		{"valid, then deactivated", fakeca.OpenBao, []string{"deactivated", "valid"}, "valid", false, "valid", 1},
		{"invalid by itself", fakeca.Boulder, []string{"pending"}, "invalid", false, "invalid", 1},
		{"invalid by itself", fakeca.OpenBao, []string{"pending"}, "invalid", false, "invalid", 0},
		{"expired", fakeca.Boulder, []string{"pending"}, "", true, "", 0},
		{"expired", fakeca.OpenBao, []string{"pending"}, "", true, "invalid", 0},
		{"expired", fakeca.Pebble, []string{"pending"}, "", true, "invalid", 1},
		{"expired but issued", fakeca.StepCA, []string{"valid"}, "valid", true, "valid", 1},
		{"empty", fakeca.Boulder, nil, "", false, "ready", 0},
	} {
		t.Run(tt.name+"/"+names[tt.behavior], func(t *testing.T) {
			ca := fakeca.New(fakeca.Config{Behavior: tt.behavior})
			client := ca.Client()
			owner := client
			if len(tt.authorizations) > 0 {
				owner = ca.NewAccount() // the order is of the same
			}
			added := fakeca.Order{Status: tt.status}
			for i, status := range tt.authorizations {
				added.Authorizations = append(added.Authorizations, ca.Add(fakeca.Authorization{Status: status, Wildcard: i > 0, Identifier: "a.example.com", Owner: owner.KID}))
			}
			if tt.expired {
				added.Expires = time.Now().Add(-time.Minute)
			}
			url := ca.AddOrder(added)
			got := ca.Order(url)
			require.Equal(t, url, got.URL)
			require.Equal(t, owner.KID, got.Owner)
			require.Equal(t, len(added.Authorizations), len(got.Authorizations))
			if tt.want == "" {
				require.Equal(t, "invalid", got.Status)
				read := send(t, ca, request{url: url, client: owner})
				require.Equal(t, 404, read.StatusCode)
				require.Equal(t, "No order for ID "+id(url), read.problem.Detail)
				return
			}
			require.Equal(t, tt.want, got.Status)
			read, err := owner.GetOrder(t.Context(), url)
			require.NoError(t, err)
			require.Equal(t, tt.want, read.Status)
			require.Len(t, read.AuthzURLs, tt.shown)
			require.Len(t, read.Identifiers, len(tt.authorizations))
			if len(read.Identifiers) == 2 {
				require.Equal(t, acme.DomainIDs("a.example.com", "*.a.example.com"), read.Identifiers)
			}
		})
	}
}

// TestAddOrderUnknown makes no order of what is not there, and finds none.
func TestAddOrderUnknown(t *testing.T) {
	ca := fakeca.New(fakeca.Config{})
	url := ca.Add(fakeca.Authorization{})
	require.Empty(t, ca.AddOrder(fakeca.Order{Authorizations: []string{url, url + "0"}}))
	require.Zero(t, ca.Order(ca.URL()+"/acme/order/1/3"))
	require.Equal(t, ca.URL()+"/acme/order/1/3", ca.AddOrder(fakeca.Order{Authorizations: []string{url}}))
	require.Empty(t, ca.Order(url).Status)
}

// TestReusePending orders the same names again, as it was recorded at a Boulder of 2024.
func TestReusePending(t *testing.T) {
	ca := fakeca.New(fakeca.Config{ReusePending: true})
	client := ca.Client()
	order := func(names ...string) *acme.Order {
		t.Helper()
		order, err := client.AuthorizeOrder(t.Context(), acme.DomainIDs(names...))
		require.NoError(t, err)
		return order
	}
	a := order("a.example.com")
	again := order("a.example.com")
	require.Equal(t, a.URI, again.URI)
	both := order("a.example.com", "b.example.com")
	require.Equal(t, a.AuthzURLs[0], both.AuthzURLs[0])
	require.NotEqual(t, a.URI, both.URI)
	require.Equal(t, both.URI, order("b.example.com", "a.example.com").URI)
	b := order("b.example.com")
	require.Equal(t, both.AuthzURLs[1:], b.AuthzURLs)
	wildcard := order("*.a.example.com")
	require.NotEqual(t, a.AuthzURLs, wildcard.AuthzURLs)
	require.Equal(t, []string{wildcard.AuthzURLs[0], b.AuthzURLs[0]}, order("*.a.example.com", "b.example.com").AuthzURLs)

	require.Equal(t, 200, send(t, ca, request{url: a.AuthzURLs[0], client: client, payload: deactivation}).StatusCode)
	require.Equal(t, []string{"invalid", "invalid", "pending"}, []string{ca.Order(a.URI).Status, ca.Order(both.URI).Status, ca.Order(b.URI).Status})
	second := order("a.example.com")
	require.NotEqual(t, a.AuthzURLs, second.AuthzURLs)
	third := order("a.example.com") // another order: the oldest of these names is looked at, and it is invalid
	require.NotEqual(t, second.URI, third.URI)
	require.Equal(t, second.AuthzURLs, third.AuthzURLs)

	client = ca.NewAccount()
	require.NotEqual(t, second.AuthzURLs, order("a.example.com").AuthzURLs)

	client = fakeca.New(fakeca.Config{}).Client()
	require.NotEqual(t, order("a.example.com").AuthzURLs, order("a.example.com").AuthzURLs)
}

// TestIssue goes the whole way with x/crypto's client: newOrder, an answer, finalize, the certificate; then deactivates.
func TestIssue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for behavior, want := range map[fakeca.Behavior]struct {
			path      string // of the certificate
			then      string // status of the order after a deactivation
			remembers bool   // whether the order still names its certificate then
		}{
			fakeca.Boulder: {"/acme/cert/[0-9a-f]{32}", "invalid", false},
			fakeca.StepCA:  {"/acme/acme/certificate/[0-9a-f]{32}", "valid", true},
			fakeca.Ignores: {"/acme/cert/[0-9a-f]{32}", "valid", true},
			fakeca.OpenBao: {"/v1/pki/acme/order/{id}/cert", "valid", true},
			fakeca.Pebble:  {"/certZ/[0-9a-f]{32}", "invalid", true},
		} {
			ca := fakeca.New(fakeca.Config{Behavior: behavior, Issue: true, SettleAfter: 2 * time.Second, ValidateOK: func(fakeca.Authorization, string) bool { return true }})
			client := ca.Client()
			order, err := client.AuthorizeOrder(t.Context(), acme.DomainIDs("a.example.com", "*.a.example.com"))
			require.NoError(t, err)
			uri := order.URI
			for _, url := range order.AuthzURLs {
				a, err := client.GetAuthorization(t.Context(), url)
				require.NoError(t, err)
				_, err = client.Accept(t.Context(), a.Challenges[0])
				require.NoError(t, err)
			}
			order, err = client.WaitOrder(t.Context(), order.URI)
			require.NoError(t, err)
			require.Equal(t, acme.StatusReady, order.Status)
			order.URI = uri // Pebble's Location comes with newOrder alone

			for _, body := range []string{"", "{}", `{"csr":""}`, `{"csr":"a+b="}`, "no json"} {
				require.Equal(t, 400, send(t, ca, request{url: order.FinalizeURL, client: client, payload: body}).StatusCode, body)
			}
			require.Equal(t, acme.StatusReady, ca.Order(uri).Status)
			require.Empty(t, ca.Order(uri).Certificate)
			chain, url, err := client.CreateCertFromOrder(t.Context(), order, []byte("whatever"), true)
			require.NoError(t, err)
			require.Len(t, chain, 1)
			certificate, err := x509.ParseCertificate(chain[0])
			require.NoError(t, err)
			require.Equal(t, "CN=fakeca", certificate.Subject.String())
			require.Regexp(t, "^"+ca.URL()+strings.ReplaceAll(want.path, "{id}", id(order.URI))+"$", url)
			require.Equal(t, acme.StatusValid, ca.Order(order.URI).Status)
			require.Equal(t, url, ca.Order(order.URI).Certificate)
			require.NotEqual(t, 200, send(t, ca, request{url: url, client: ca.NewAccount()}).StatusCode)
			require.NotEqual(t, 200, send(t, ca, request{url: order.FinalizeURL, client: client, payload: `{"csr":"AAAA"}`}).StatusCode)

			send(t, ca, request{url: order.AuthzURLs[0], client: client, payload: deactivation})
			after := send(t, ca, request{url: order.URI, client: client})
			require.Equal(t, want.then, after.object.Status, names[behavior])
			require.Equal(t, want.remembers, strings.Contains(after.body, `"certificate":"`+url+`"`), names[behavior])
			got := send(t, ca, request{url: url, client: client})
			require.Equal(t, 200, got.StatusCode)
			require.Equal(t, "application/pem-certificate-chain", got.Header.Get("Content-Type"))
		}
	})
}

// TestFinalizeAnswer has what is answered to finalize itself: Pebble alone is not done at once.
func TestFinalizeAnswer(t *testing.T) {
	for behavior, want := range map[fakeca.Behavior]string{
		fakeca.Boulder: "valid", fakeca.StepCA: "valid", fakeca.Ignores: "valid", fakeca.OpenBao: "valid", fakeca.Pebble: "processing",
	} {
		for _, issue := range []bool{true, false} {
			ca := fakeca.New(fakeca.Config{Behavior: behavior, Issue: issue})
			url := ca.AddOrder(fakeca.Order{Authorizations: []string{ca.Add(fakeca.Authorization{Status: "valid"})}})
			order, err := ca.Client().GetOrder(t.Context(), url)
			require.NoError(t, err)
			got := send(t, ca, request{url: order.FinalizeURL, client: ca.Client(), payload: `{"csr":"AAAA"}`})
			if !issue {
				require.Equal(t, "urn:ietf:params:acme:error:orderNotReady", got.problem.Type)
				require.Equal(t, "ready", ca.Order(url).Status)
				continue
			}
			require.Equal(t, want, got.object.Status)
			require.Equal(t, want == "valid", strings.Contains(got.body, `"certificate":"`))
			require.Equal(t, "valid", ca.Order(url).Status)
		}
	}
}

// TestAddIssued gives a CA a valid order, which has a certificate where certificates are issued.
func TestAddIssued(t *testing.T) {
	for _, issue := range []bool{true, false} {
		ca := fakeca.New(fakeca.Config{Issue: issue})
		url := ca.AddOrder(fakeca.Order{Authorizations: []string{ca.Add(fakeca.Authorization{Status: "valid"})}, Status: "valid"})
		order, err := ca.Client().GetOrder(t.Context(), url)
		require.NoError(t, err)
		require.Equal(t, issue, order.CertURL != "")
		require.Equal(t, ca.Order(url).Certificate, order.CertURL)
	}
}
