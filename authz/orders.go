package authz

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/acme"
)

// ErrNoOrders means that the CA does not offer a list of the account's orders
// (RFC 8555 §7.1.2.1). Of the public CAs only Actalis is known to; with the
// others the URLs have to come from logs or from what the client has stored.
var ErrNoOrders = errors.New("authz: CA does not list orders")

// ErrNotReused means that the CA is known not to list pending authorizations
// again in a new order, so that ordering names again would not find any.
var ErrNotReused = errors.New("authz: CA does not reuse pending authorizations")

// An Order is an order as the CA shows it (RFC 8555 §7.1.3).
type Order struct {
	URL            string
	Status         string // as acme.StatusPending; empty if it could not be read
	Expires        time.Time
	Identifiers    []acme.AuthzID
	Authorizations []string // URLs; OpenBao and Vault leave most out once the order is over

	// Err is why the order could not be read. It matches ErrGone, ErrNotOurs
	// or ErrForeign where one applies.
	Err error
}

const (
	maxList  = 16 << 20 // bytes of one page of a list
	maxPages = 100_000
)

// Orders lists the URLs of the account's orders, in the CA's order and each
// once, in whichever form the CA has: pages of RFC 8555, one object, or a bare
// array. All pages are read before the first URL comes, since on some CAs an
// order leaves the list as soon as one of its authorizations is changed. After
// changes, list again: what a list omits differs, see [OrderList].
//
// The error is [ErrNoOrders] if there is no list, else as in [Manager.List].
func (m *Manager) Orders(ctx context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		urls, err := m.listOrders(ctx)
		for _, url := range urls {
			if !yield(url, nil) {
				return
			}
		}
		if err != nil {
			yield("", err)
		}
	}
}

func (m *Manager) listOrders(ctx context.Context) ([]string, error) {
	s, closeIdle, err := m.open(ctx)
	if err != nil {
		return nil, err
	}
	defer closeIdle()
	next, err := s.orderList(ctx)
	var urls []string
	seen := make(map[string]bool)
	pages := make(map[string]bool)
	for err == nil && next != "" && !pages[next] && len(pages) < maxPages {
		pages[next] = true
		var page []string
		page, next, err = s.readPage(ctx, next)
		for _, url := range page {
			if !seen[url] {
				seen[url] = true
				urls = append(urls, url)
			}
		}
	}
	if err != nil {
		return nil, err
	}
	return urls, nil
}

// orderList is the URL of the account's list of orders.
func (s *session) orderList(ctx context.Context) (string, error) {
	if at := s.profile.Orders.At; at != "" {
		return resolve(s.m.Client.DirectoryURL, at)
	}
	rep, err := s.post(ctx, s.kid, nil, true)
	if err != nil {
		if rejected := s.accountError(ctx, err); rejected != nil {
			return "", rejected
		}
		return "", fmt.Errorf("authz: read account: %w", err)
	}
	var account struct {
		Orders string `json:"orders"`
	}
	if _ = json.Unmarshal(rep.body, &account); account.Orders == "" {
		return "", fmt.Errorf("%w: %s names none in the account", ErrNoOrders, s.profile.Name)
	}
	return account.Orders, nil
}

// readPage reads one page and returns its order URLs and the next page.
func (s *session) readPage(ctx context.Context, at string) (urls []string, next string, err error) {
	if err := s.origins.check(at); err != nil {
		return nil, "", fmt.Errorf("authz: list of orders: %w", err)
	}
	rep, err := s.postUpTo(ctx, at, nil, true, maxList)
	switch statusCode(err) {
	case http.StatusForbidden, http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusNotImplemented, http.StatusUnauthorized:
		if rejected := s.accountError(ctx, err); rejected != nil {
			return nil, "", rejected
		}
		return nil, "", fmt.Errorf("%w: %s: %w", ErrNoOrders, at, err)
	}
	if err != nil {
		return nil, "", fmt.Errorf("authz: list of orders: %w", err)
	}
	if urls, err = decodeOrderList(rep.body); err != nil {
		return nil, "", fmt.Errorf("authz: list of orders %s: %w", at, err)
	}
	next, err = nextPage(at, rep.Header)
	return urls, next, err
}

// decodeOrderList reads the object of RFC 8555 §7.1.2.1, or step-ca's array.
func decodeOrderList(body []byte) ([]string, error) {
	var array []string
	if json.Unmarshal(body, &array) == nil {
		return array, nil
	}
	var object map[string]json.RawMessage
	if err := json.Unmarshal(body, &object); err != nil {
		return nil, err
	}
	orders, ok := object["orders"]
	if !ok {
		return nil, errors.New("it is neither an object with orders nor an array")
	}
	err := json.Unmarshal(orders, &array)
	return array, err
}

// nextPage is the link to the next page (RFC 8288), or "".
func nextPage(at string, h http.Header) (string, error) {
	for _, value := range h.Values("Link") {
		for link := range strings.SplitSeq(value, ",") {
			target, parameters, _ := strings.Cut(strings.TrimSpace(link), ";")
			target, opened := strings.CutPrefix(target, "<")
			target, closed := strings.CutSuffix(strings.TrimSpace(target), ">")
			rel := strings.NewReplacer(" ", "", `"`, "").Replace(strings.ToLower(parameters))
			if opened && closed && slices.Contains(strings.Split(rel, ";"), "rel=next") {
				return resolve(at, target)
			}
		}
	}
	return "", nil
}

// resolve makes an absolute URL.
func resolve(base, reference string) (string, error) {
	b, err := url.Parse(base)
	if err != nil {
		return "", fmt.Errorf("authz: %w", err)
	}
	u, err := b.Parse(reference)
	if err != nil {
		return "", fmt.Errorf("authz: %w", err)
	}
	return u.String(), nil
}

// ReadOrders reads each order. One that cannot be read, because it expired for
// instance, is an Order with an Err. Sequences and errors are as in
// [Manager.List].
func (m *Manager) ReadOrders(ctx context.Context, urls iter.Seq2[string, error]) iter.Seq2[Order, error] {
	return inSession(m, ctx, urls, func(s *session, ctx context.Context, url string) (Order, error) {
		o := s.readOrder(ctx, url)
		return o, o.Err
	})
}

// Authorizations reads each order and yields the URLs of its authorizations,
// each once. An order that is gone, or another account's, adds none; use
// [Manager.ReadOrders] to learn which. All orders are read before the first
// URL comes: the sequence can be given to [Manager.Clear] although clearing
// one authorization hides its siblings on some CAs (OpenBao, Vault, Pebble).
func (m *Manager) Authorizations(ctx context.Context, orders iter.Seq2[string, error]) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		var urls []string
		seen := make(map[string]bool)
		for o, err := range m.ReadOrders(ctx, orders) {
			if err == nil && o.Err != nil && !gone(o.Err) {
				err = o.Err
			}
			if err != nil {
				yield("", err)
				return
			}
			for _, url := range o.Authorizations {
				if !seen[url] {
					seen[url] = true
					urls = append(urls, url)
				}
			}
		}
		for _, url := range urls {
			if !yield(url, nil) {
				return
			}
		}
	}
}

// gone reports whether an order is nothing that could be read some other time.
func gone(err error) bool {
	return errors.Is(err, ErrGone) || errors.Is(err, ErrNotOurs) || errors.Is(err, ErrForeign)
}

// IndexOrders makes a function for Manager.KnownOrders from orders that were
// read, by [Manager.ReadOrders] for instance.
func IndexOrders(orders ...Order) func(authorizationURL string) []KnownOrder {
	index := make(map[string][]KnownOrder)
	for _, o := range orders {
		for _, url := range o.Authorizations {
			index[url] = append(index[url], KnownOrder{URL: o.URL})
		}
	}
	return func(url string) []KnownOrder { return index[url] }
}

// ByReorder makes a new order of the identifiers, so that a CA which reuses
// pending authorizations names those that the account has. This is for when
// the logs are lost; the order's Authorizations can then be cleared.
//
// It has a price: where the account has no pending authorization for an
// identifier, the CA makes one, and the order counts against its limits. It
// returns [ErrNotReused] and orders nothing at a CA that is known not to reuse
// them, as Let's Encrypt since October 2025. Identifiers are of type "dns" or
// "ip"; a wildcard's value begins with "*.". A CA may limit how many an order
// has (Let's Encrypt: 100). What the CA answered but what is no order is
// an *acme.Error.
func (m *Manager) ByReorder(ctx context.Context, identifiers ...acme.AuthzID) (Order, error) {
	s, closeIdle, err := m.open(ctx)
	if err != nil {
		return Order{}, err
	}
	defer closeIdle()
	if !s.profile.ReusesPending && s.profile.Deactivate != EffectUnknown {
		return Order{}, fmt.Errorf("%w: %s", ErrNotReused, s.profile.Name)
	}
	type identifier struct {
		Type  string `json:"type"`
		Value string `json:"value"`
	}
	var request struct {
		Identifiers []identifier `json:"identifiers"`
	}
	for _, id := range identifiers {
		request.Identifiers = append(request.Identifiers, identifier(id))
	}
	payload, err := json.Marshal(request)
	if err != nil {
		return Order{}, err
	}
	if err := s.origins.check(s.directory.OrderURL); err != nil {
		return Order{}, fmt.Errorf("authz: newOrder: %w", err)
	}
	rep, err := s.post(ctx, s.directory.OrderURL, payload, false)
	if err != nil {
		return Order{}, fmt.Errorf("authz: new order: %w", err)
	}
	return decodeOrder(rep.Header.Get("Location"), rep.body), nil
}

// readOrder reads the order at url (§7.1.3). Order.Err is fatal where it ends
// a sequence.
func (s *session) readOrder(ctx context.Context, url string) Order {
	if err := s.origins.check(url); err != nil {
		return Order{URL: url, Err: err}
	}
	rep, err := s.post(ctx, url, nil, true)
	if err != nil {
		if rejected := s.accountError(ctx, err); rejected != nil {
			return Order{URL: url, Err: rejected}
		}
		return Order{URL: url, Err: readOrderError(err)}
	}
	return decodeOrder(url, rep.body)
}

// readOrderError tells why an order could not be read: Boulder says 404 for
// another account's, too.
func readOrderError(err error) error {
	if malformed(err) && strings.Contains(err.Error(), "order does not exist") { // Vault, OpenBao
		return fmt.Errorf("%w, or %w: %w", ErrNotOurs, ErrGone, err)
	}
	return readError(err)
}

// decodeOrder reads an order object. Status and finalize make it one.
func decodeOrder(url string, body []byte) Order {
	var w struct {
		Status         string           `json:"status"`
		Expires        wireTime         `json:"expires"`
		Identifiers    []wireIdentifier `json:"identifiers"`
		Authorizations []string         `json:"authorizations"`
	}
	err := json.Unmarshal(body, &w)
	if err == nil && (w.Status == "" || len(w.Identifiers) == 0) {
		err = errors.New("it has no status or no identifiers")
	}
	if err != nil {
		return Order{URL: url, Err: fmt.Errorf("authz: not an order: %w", err)}
	}
	o := Order{URL: url, Status: w.Status, Expires: w.Expires.Time, Authorizations: w.Authorizations}
	for _, id := range w.Identifiers {
		o.Identifiers = append(o.Identifiers, acme.AuthzID(id))
	}
	return o
}

// maxCachedOrders bounds the cache: the authorizations of an order come close
// together.
const maxCachedOrders = 4096

// An orderCache keeps orders that were read, each for the whole range, and the
// oldest make room for new ones. Its zero value is empty.
type orderCache struct {
	mu      sync.Mutex
	entries map[string]*cachedOrder
	byAge   []string
}

type cachedOrder struct {
	once  sync.Once
	order Order
}

func (c *orderCache) entry(url string) *cachedOrder {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.entries[url]; ok {
		return e
	}
	if c.entries == nil {
		c.entries = make(map[string]*cachedOrder)
	}
	if len(c.byAge) >= maxCachedOrders {
		delete(c.entries, c.byAge[0])
		c.byAge = c.byAge[1:]
	}
	e := &cachedOrder{}
	c.entries[url] = e
	c.byAge = append(c.byAge, url)
	return e
}

// cachedOrder reads an order once. Its error is one that ends the sequence.
func (s *session) cachedOrder(ctx context.Context, url string) (Order, error) {
	e := s.orders.entry(url)
	e.once.Do(func() { e.order = s.readOrder(ctx, url) })
	if err := e.order.Err; fatal(err) || err != nil && ctx.Err() != nil {
		return Order{}, err
	}
	return e.order, nil
}
