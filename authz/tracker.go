package authz

import (
	"bytes"
	"cmp"
	"context"
	"crypto"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/acme"
)

// This file watches an ACME client from below, at its http.Client.
//
//	client --> Tracker.RoundTrip --> Base --> CA
//	                |                           |
//	       who asks (kid)          what the answer shows: a directory, an
//	                               order, an authorization, a challenge
//
//   - The request goes on as it is, at once, and its answer comes back as it
//     is. What is seen is seen while the client reads.
//   - Nothing that goes wrong here reaches the client.
//   - An authorization is open from the order that lists it until an answer
//     shows that it is final.

// DefaultCloseLimit is how long [Tracker.Close] and [Guard.Close] take at
// most, if nothing else is said.
const DefaultCloseLimit = 30 * time.Second

// A Tracker is an [http.RoundTripper] that keeps an ACME client from leaving
// pending authorizations behind. Put it into the client's http.Client, whatever
// ACME library it uses:
//
//	tracker := &authz.Tracker{Key: key}
//	client := &acme.Client{Key: key, HTTPClient: &http.Client{Transport: tracker}}
//	defer tracker.Close(context.Background())
//
// It passes requests and answers on unchanged and without delay, and watches:
// the orders that are made, their authorizations, and what becomes of them.
// Close settles what is still pending then, as [Manager.Clear] would, and keeps
// what is valid. With a Journal, Recover does so at the next start for a
// process that was killed. What a client does without reading the answer, as
// acme.Client.RevokeAuthorization, is seen by Close only.
//
// A Tracker is safe for concurrent use, by several clients and accounts; its
// fields must not be changed after the first request.
type Tracker struct {
	// Base sends the requests. If it is nil, it is http.DefaultTransport.
	Base http.RoundTripper

	// Key is the account's key. It is needed to settle what was left, unless
	// Manager is set.
	Key crypto.Signer

	// DirectoryURL is the CA's, for clients that read the directory past the
	// Tracker. Otherwise it is seen.
	DirectoryURL string

	// Manager returns the Manager that settles what an account at a CA has
	// left. Its Client's KID and DirectoryURL are set if they are empty. If
	// Manager is nil, it is one with Key and Journal that sends through Base.
	Manager func(accountURL, directoryURL string) *Manager

	// Journal keeps what is open for the next process. If it is nil, only this
	// process knows. The Tracker does not close it.
	Journal Journal

	// CloseLimit is how long Close and Recover take at most.
	// If it is zero or less, it is [DefaultCloseLimit].
	CloseLimit time.Duration

	// Logger receives what was seen at level Debug, and at level Warn what
	// could not be written to the Journal. If it is nil, nothing is logged.
	Logger *slog.Logger

	mu          sync.Mutex
	directories map[string]string                // newOrder URL to directory URL
	open        map[string]*TrackedAuthorization // by URL
	challenges  map[string]string                // URL to the authorization's
	orders      map[string][]string              // URL to the authorizations'
}

// A TrackedAuthorization is one that a client may have left pending.
type TrackedAuthorization struct {
	URL        string
	Order      string       // its URL
	Account    string       // its URL
	Directory  string       // its URL, or empty if it was not seen
	Identifier acme.AuthzID // the zero one if the client has not read the authorization yet
	Wildcard   bool
	Created    time.Time // of the order
	Status     string    // as last seen; empty if the client has not read it yet
	Answered   bool      // whether the client has answered a challenge
}

// Open returns what this process has left open until now: the authorizations
// of its orders that were not seen to be final, by the order's time and then by
// URL.
func (t *Tracker) Open() []TrackedAuthorization {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := make([]TrackedAuthorization, 0, len(t.open))
	for _, a := range t.open {
		all = append(all, *a)
	}
	slices.SortFunc(all, func(a, b TrackedAuthorization) int {
		return cmp.Or(a.Created.Compare(b.Created), strings.Compare(a.URL, b.URL))
	})
	return all
}

// RoundTrip sends a request through Base and watches its answer.
func (t *Tracker) RoundTrip(req *http.Request) (*http.Response, error) {
	req, sent := t.watchRequest(req)
	resp, err := t.base().RoundTrip(req)
	if err != nil || resp.StatusCode/100 != 2 || resp.Body == nil {
		return resp, err
	}
	at, header, code := req.URL.String(), resp.Header, resp.StatusCode
	resp.Body = &watchedBody{ReadCloser: resp.Body, done: func(body []byte) {
		t.see(sighting{at: at, location: header.Get("Location"), code: code, request: sent(), body: body})
	}}
	return resp, err
}

func (t *Tracker) base() http.RoundTripper {
	if t.Base == nil {
		return http.DefaultTransport
	}
	return t.Base
}

// maxRequest is how much is kept of a request: enough for a CSR.
const maxRequest = 64 << 10

// watchRequest returns the request to send and a function for its body. A
// request that can give another copy of its body is sent as it is.
func (t *Tracker) watchRequest(req *http.Request) (*http.Request, func() []byte) {
	switch {
	case req.Method != http.MethodPost || req.Body == nil:
		return req, func() []byte { return nil }
	case req.GetBody != nil:
		return req, func() []byte {
			body, err := req.GetBody()
			if err != nil {
				return nil
			}
			defer body.Close()
			data, _ := io.ReadAll(io.LimitReader(body, maxRequest))
			return data
		}
	}
	copied := *req // a RoundTripper must not change its request
	watched := &watchedBody{ReadCloser: req.Body}
	copied.Body = watched
	return &copied, watched.seen
}

// A watchedBody keeps what is read of a body, and hands it on once: at its end
// or when it is closed.
type watchedBody struct {
	io.ReadCloser
	done func([]byte)

	mu   sync.Mutex
	kept []byte
	told bool
}

func (b *watchedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.mu.Lock()
	b.kept = append(b.kept, p[:min(n, maxBody-len(b.kept))]...)
	b.mu.Unlock()
	if err == io.EOF {
		b.tell()
	}
	return n, err
}

func (b *watchedBody) Close() error {
	b.tell()
	return b.ReadCloser.Close()
}

func (b *watchedBody) tell() {
	b.mu.Lock()
	told, kept := b.told, b.kept
	b.told = true
	b.mu.Unlock()
	if !told && b.done != nil && len(kept) > 0 {
		b.done(kept)
	}
}

func (b *watchedBody) seen() []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	return bytes.Clone(b.kept[:min(len(b.kept), maxRequest)])
}

// A sighting is an answer that was seen, and the request that it is for.
type sighting struct {
	at, location string
	code         int
	request      []byte
	body         []byte
}

// An anything is the members that tell ACME's objects apart.
type anything struct {
	NewOrder       string          `json:"newOrder"`
	NewNonce       string          `json:"newNonce"`
	Status         string          `json:"status"`
	Type           string          `json:"type"`
	Finalize       string          `json:"finalize"`
	Authorizations []string        `json:"authorizations"`
	Identifier     wireIdentifier  `json:"identifier"`
	Wildcard       bool            `json:"wildcard"`
	Challenges     []wireChallenge `json:"challenges"`
}

// see takes note of an answer.
func (t *Tracker) see(s sighting) {
	var o anything
	// The client may have stopped at the end of the object.
	if json.NewDecoder(bytes.NewReader(s.body)).Decode(&o) != nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case o.NewOrder != "" && o.NewNonce != "":
		t.seeDirectory(s.at, o.NewOrder)
	case o.Finalize != "":
		t.seeOrder(s, o)
	case o.Identifier.Value != "":
		t.seeAuthorization(s.at, o)
	case o.Type != "":
		t.seeChallenge(s)
	}
}

func (t *Tracker) seeDirectory(at, newOrder string) {
	if t.directories == nil {
		t.directories = make(map[string]string)
	}
	t.directories[newOrder] = at
}

// seeOrder notes a new order's authorizations. An order that is ready, or was
// issued, has only valid ones.
func (t *Tracker) seeOrder(s sighting, o anything) {
	at := s.at
	if s.code == http.StatusCreated && s.location != "" {
		at, _ = resolve(s.at, s.location)
		t.newOrder(s, at, o)
	}
	if o.Status == acme.StatusReady || o.Status == acme.StatusProcessing || o.Status == acme.StatusValid {
		for _, url := range t.orders[at] {
			t.closed(url, acme.StatusValid)
		}
	}
}

func (t *Tracker) newOrder(s sighting, at string, o anything) {
	if t.orders == nil {
		t.orders, t.open = make(map[string][]string), make(map[string]*TrackedAuthorization)
	}
	if _, known := t.orders[at]; known {
		return
	}
	t.orders[at] = o.Authorizations
	account, _ := signed(s.request)
	for _, url := range o.Authorizations {
		if t.open[url] != nil {
			continue
		}
		a := &TrackedAuthorization{
			URL: url, Order: at, Account: account, Created: time.Now().UTC(),
			Directory: cmp.Or(t.directories[s.at], t.DirectoryURL),
		}
		t.open[url] = a
		t.write(a.entry(EventOpen))
	}
}

func (t *Tracker) seeAuthorization(at string, o anything) {
	a := t.open[at]
	if a == nil {
		return
	}
	a.Identifier, a.Wildcard, a.Status = acme.AuthzID(o.Identifier), o.Wildcard, o.Status
	if t.challenges == nil {
		t.challenges = make(map[string]string)
	}
	for _, c := range o.Challenges {
		t.challenges[c.URL] = at
	}
	if o.Status != "" && final(o.Status) {
		t.closed(at, o.Status)
	}
}

func (t *Tracker) seeChallenge(s sighting) {
	a := t.open[t.challenges[s.at]]
	if _, payload := signed(s.request); a != nil && payload != "" {
		a.Answered = true
	}
}

// closed notes that an authorization is nobody's business any more.
func (t *Tracker) closed(url, status string) {
	a := t.open[url]
	if a == nil {
		return
	}
	delete(t.open, url)
	maps.DeleteFunc(t.challenges, func(_, of string) bool { return of == url })
	if !slices.ContainsFunc(t.orders[a.Order], func(of string) bool { return t.open[of] != nil }) {
		delete(t.orders, a.Order) // a process may make orders for years
	}
	e := a.entry(EventClosed)
	e.Status = status
	t.write(e)
}

// write adds to the journal without waiting for the disk: that survives a
// SIGKILL, and does not delay the client.
func (t *Tracker) write(e JournalEntry) {
	log := t.logger()
	log.Debug("tracked", "event", e.Event, "url", e.URL, "order", e.Order, "status", e.Status)
	if t.Journal == nil {
		return
	}
	if err := t.Journal.Append(e); err != nil {
		log.Warn("journal cannot be written: what a killed process leaves will not be known", "error", err)
	}
}

func (t *Tracker) logger() *slog.Logger {
	if t.Logger == nil {
		return slog.New(slog.DiscardHandler)
	}
	return t.Logger
}

// signed is the account and the payload of a signed request (RFC 8555 §6.2).
func signed(body []byte) (kid, payload string) {
	var jws struct{ Protected, Payload string }
	if json.Unmarshal(body, &jws) != nil {
		return "", ""
	}
	var header struct {
		KID string `json:"kid"`
	}
	if data, err := base64.RawURLEncoding.DecodeString(jws.Protected); err == nil {
		_ = json.Unmarshal(data, &header)
	}
	return header.KID, jws.Payload
}

func (a *TrackedAuthorization) entry(event JournalEvent) JournalEntry {
	return JournalEntry{
		Time: time.Now(), Event: event, URL: a.URL, Account: a.Account, Order: a.Order, Directory: a.Directory,
		Type: a.Identifier.Type, Identifier: a.Identifier.Value, Wildcard: a.Wildcard,
	}
}

// Close settles what is open, as [Manager.Clear] does for clients that have
// ended: nothing is spared for its age, valid authorizations are kept, and so
// are those of orders that are ready. It works also after ctx was cancelled,
// and takes at most CloseLimit. The results are in no particular order; the
// error joins what could not be settled. What was not settled stays open: Close
// can be called again, and the Journal keeps it for Recover.
//
// Clients may go on using the Tracker, but should be done.
func (t *Tracker) Close(ctx context.Context) ([]Result, error) {
	return t.settle(ctx, t.Open())
}

// Recover settles what earlier processes left open, by the Journal: call it
// at the start, before the client is at work. It is like Close otherwise.
func (t *Tracker) Recover(ctx context.Context) ([]Result, error) {
	if t.Journal == nil {
		return nil, nil
	}
	left, err := leftOpen(t.Journal)
	if err != nil {
		return nil, err
	}
	t.mu.Lock()
	left = slices.DeleteFunc(left, func(a TrackedAuthorization) bool { return t.open[a.URL] != nil })
	t.mu.Unlock()
	return t.settle(ctx, left)
}

// leftOpen is what the journal has as open, in its order.
func leftOpen(j Journal) ([]TrackedAuthorization, error) {
	open := make(map[string]TrackedAuthorization)
	var urls []string
	for e, err := range j.Entries() {
		switch {
		case err != nil:
			return nil, journalError(err)
		case e.Event == EventOpen:
			open[e.URL] = TrackedAuthorization{
				URL: e.URL, Order: e.Order, Account: e.Account, Directory: e.Directory, Created: e.Time,
				Identifier: acme.AuthzID{Type: e.Type, Value: e.Identifier}, Wildcard: e.Wildcard,
			}
			urls = append(urls, e.URL)
		case e.Event == EventClosed, e.Event == EventEnd && e.Status != "" && final(e.Status):
			delete(open, e.URL)
		}
	}
	var left []TrackedAuthorization
	for _, url := range urls {
		if a, ok := open[url]; ok {
			left = append(left, a)
			delete(open, url)
		}
	}
	return left, nil
}

// settle settles authorizations, account by account.
func (t *Tracker) settle(ctx context.Context, left []TrackedAuthorization) ([]Result, error) {
	ctx, cancel := closeContext(ctx, t.CloseLimit)
	defer cancel()
	type owner struct{ account, directory string }
	groups := make(map[owner][]TrackedAuthorization)
	for _, a := range left {
		o := owner{a.Account, a.Directory}
		groups[o] = append(groups[o], a)
	}
	var all []Result
	var errs []error
	for o, group := range groups {
		m, err := t.manager(o.account, o.directory)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		results, err := m.settle(ctx, group, func(a TrackedAuthorization, status string) {
			t.mu.Lock()
			defer t.mu.Unlock()
			if t.open[a.URL] == nil { // of an earlier process
				e := a.entry(EventClosed)
				e.Status = status
				t.write(e)
			}
			t.closed(a.URL, status)
		})
		all, errs = append(all, results...), append(errs, err)
	}
	return all, errors.Join(errs...)
}

// closeContext is a context that outlives its parent's cancellation, for a
// time.
func closeContext(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	if limit <= 0 {
		limit = DefaultCloseLimit
	}
	return context.WithTimeout(context.WithoutCancel(ctx), limit)
}

// manager is the Manager for an account.
func (t *Tracker) manager(account, directory string) (*Manager, error) {
	var m Manager
	switch {
	case t.Manager != nil:
		got := t.Manager(account, directory)
		if got == nil || got.Client == nil {
			return nil, fmt.Errorf("authz: Tracker.Manager has none for account %s", account)
		}
		m = *got
	case t.Key != nil:
		m = Manager{Client: &acme.Client{Key: t.Key, HTTPClient: &http.Client{Transport: t.base()}}, Logger: t.Logger}
	default:
		return nil, errors.New("authz: Tracker has neither Key nor Manager: what is open cannot be settled")
	}
	client := &acme.Client{
		Key: m.Client.Key, HTTPClient: m.Client.HTTPClient, UserAgent: m.Client.UserAgent, RetryBackoff: m.Client.RetryBackoff,
		KID: acme.KeyID(cmp.Or(string(m.Client.KID), account)), DirectoryURL: cmp.Or(m.Client.DirectoryURL, directory),
	}
	if client.DirectoryURL == "" {
		return nil, fmt.Errorf("authz: directory of account %s was not seen: set Tracker.DirectoryURL", account)
	}
	m.Client = client
	if m.Journal == nil {
		m.Journal = t.Journal
	}
	return &m, nil
}

// settle clears what a client left, whatever its age. It tells of each that is
// nobody's business any more.
func (m *Manager) settle(ctx context.Context, left []TrackedAuthorization, closed func(TrackedAuthorization, string)) ([]Result, error) {
	known := make(map[string]TrackedAuthorization, len(left))
	urls := make([]string, 0, len(left))
	for _, a := range left {
		known[a.URL] = a
		urls = append(urls, a.URL)
	}
	ended := *m
	ended.KnownOrders = func(url string) []KnownOrder {
		a := known[url]
		return []KnownOrder{{URL: a.Order, Created: a.Created, Run: RunEnded}}
	}
	var results []Result
	var errs []error
	for r, err := range ended.Clear(ctx, URLs(urls...)) {
		if err != nil {
			return results, errors.Join(append(errs, err)...)
		}
		results = append(results, r)
		switch {
		case r.Err != nil && !errors.Is(r.Err, ErrGone) && !errors.Is(r.Err, ErrNotOurs):
			errs = append(errs, fmt.Errorf("authz: %s: %w", r.URL, r.Err))
		case r.Decision.Action != ActionDefer && r.Decision.Action != ActionWait:
			closed(known[r.URL], r.status())
		}
	}
	return results, errors.Join(errs...)
}

// status is the last known status.
func (r *Result) status() string {
	if r.Authorization == nil {
		return r.Before
	}
	return r.Authorization.Status
}

// A Guard keeps one order from leaving pending authorizations behind. Make one
// with [Manager.Guard] as soon as the order is made, and close it on every way
// out:
//
//	order, err := client.AuthorizeOrder(ctx, acme.DomainIDs(names...))
//	...
//	guard := m.Guard(order)
//	defer guard.Close(ctx)
//
// It is safe for concurrent use.
type Guard struct {
	// CloseLimit is how long Close takes at most.
	// If it is zero or less, it is [DefaultCloseLimit].
	CloseLimit time.Duration

	m    *Manager
	err  error // of the journal
	mu   sync.Mutex
	left []TrackedAuthorization
}

// Guard begins to guard an order that was just made. With m.Journal, the order
// is written there, so that [Manager.Recover] settles it if this process is
// killed. The order's URI and AuthzURLs are used.
func (m *Manager) Guard(order *acme.Order) *Guard {
	g := &Guard{m: m}
	for _, url := range order.AuthzURLs {
		a := TrackedAuthorization{URL: url, Order: order.URI, Created: time.Now().UTC(), Account: string(m.Client.KID), Directory: m.Client.DirectoryURL}
		g.left = append(g.left, a)
		if m.Journal != nil && g.err == nil {
			g.err = journalError(m.Journal.Append(a.entry(EventOpen)))
		}
	}
	return g
}

// Close settles what the order has left pending, as [Tracker.Close] does; it
// keeps what is valid, and does nothing to an order that is ready or issued. It
// works also after ctx was cancelled. What was settled is not looked at by
// another Close. A journal that could not be written is in the error, too.
func (g *Guard) Close(ctx context.Context) ([]Result, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.left) == 0 {
		return nil, g.err
	}
	ctx, cancel := closeContext(ctx, g.CloseLimit)
	defer cancel()
	done := make(map[string]bool)
	results, err := g.m.settle(ctx, g.left, func(a TrackedAuthorization, status string) {
		done[a.URL] = true
		g.m.writeClosed(a, status)
	})
	g.left = slices.DeleteFunc(g.left, func(a TrackedAuthorization) bool { return done[a.URL] })
	return results, errors.Join(g.err, err)
}

// writeClosed is for the next process only: if it cannot be written, that one
// looks once more.
func (m *Manager) writeClosed(a TrackedAuthorization, status string) {
	if m.Journal == nil {
		return
	}
	e := a.entry(EventClosed)
	e.Status = status
	if err := m.Journal.Append(e); err != nil {
		m.logger().Warn("journal cannot be written", "error", err)
	}
}

// Recover settles what guards of earlier processes left open at this account,
// by m.Journal. Call it at the start, with nothing else at work. Results and
// error are as in [Guard.Close]; it takes as long as it takes, or as ctx allows.
func (m *Manager) Recover(ctx context.Context) ([]Result, error) {
	if m.Journal == nil {
		return nil, nil
	}
	left, err := leftOpen(m.Journal)
	if err != nil {
		return nil, err
	}
	left = slices.DeleteFunc(left, func(a TrackedAuthorization) bool {
		return a.Directory != m.Client.DirectoryURL || m.Client.KID != "" && a.Account != "" && a.Account != string(m.Client.KID)
	})
	return m.settle(ctx, left, m.writeClosed)
}
