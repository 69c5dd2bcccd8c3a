package authz

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/acme"
	"golang.org/x/time/rate"
)

// maxDiscoveries is how often the directory and the account are asked for when
// there is no connection. A CA that is down should be known soon.
const maxDiscoveries = 3

// A session is one range over a Manager's sequence: what the CA's directory
// said, and what was learnt about the CA and the account since.
type session struct {
	*requester
	*learnt
	m         *Manager
	directory acme.Directory
	origins   origins
	profile   *Profile
}

// learnt is what a session finds out about the CA and the account, and what
// it spends.
type learnt struct {
	account     accountCheck
	refusals    atomic.Int32          // deactivations refused of authorizations that were there
	refusal     atomic.Pointer[error] // the first of them
	deactivated atomic.Bool           // one has worked
	ignores     atomic.Bool           // one was answered with success, and nothing changed
	orders      orderCache
	spent       *budget
	past        past
}

// with is the session for a Manager that differs in what it wants.
func (s *session) with(m *Manager) *session {
	other := *s
	other.m = m
	return &other
}

// results is the sequence of what do makes of each URL.
func (m *Manager) results(ctx context.Context, urls iter.Seq2[string, error], do func(*session, context.Context, string) Result) iter.Seq2[Result, error] {
	return inSession(m, ctx, urls, func(s *session, ctx context.Context, url string) (Result, error) {
		r := do(s, ctx, url)
		return r, r.Err
	})
}

// inSession opens a session for each range and applies do to each URL. The
// error that do returns beside its result is the result's own.
func inSession[R any](m *Manager, ctx context.Context, urls iter.Seq2[string, error], do func(*session, context.Context, string) (R, error)) iter.Seq2[R, error] {
	return func(yield func(R, error) bool) {
		s, closeIdle, err := m.open(ctx)
		if err != nil {
			var none R
			yield(none, err)
			return
		}
		defer closeIdle()
		fanned(ctx, s, urls, do)(yield)
	}
}

// fanned is inSession in a session that is open.
func fanned[R any](ctx context.Context, s *session, urls iter.Seq2[string, error], do func(*session, context.Context, string) (R, error)) iter.Seq2[R, error] {
	return fanOut(ctx, s.m.workers(), urls, judged(s, do), s.keep())
}

// keep makes what the journal has got safe, or is nil if there is none.
func (s *session) keep() func() error {
	if s.m.Journal == nil {
		return nil
	}
	return func() error { return journalError(s.m.Journal.Sync()) }
}

// judged makes do's error the sequence's if it is fatal.
func judged[T, R any](s *session, do func(*session, context.Context, T) (R, error)) func(context.Context, T) (R, error) {
	return func(ctx context.Context, item T) (R, error) {
		r, err := do(s, ctx, item)
		switch {
		case fatal(err):
			return r, err
		case errors.Is(err, context.Canceled) && fatal(context.Cause(ctx)):
			return r, context.Cause(ctx) // cut short by the end of the sequence: no failure of its own
		}
		return r, nil
	}
}

// fatal reports whether err ends a sequence.
func fatal(err error) bool {
	_, journal := errors.AsType[*JournalError](err)
	return journal || errors.Is(err, ErrAccount) || errors.Is(err, ErrUnreachable)
}

// open reads the CA's directory and, if need be, looks the account up.
func (m *Manager) open(ctx context.Context) (*session, func(), error) {
	if m.Client == nil || m.Client.Key == nil {
		return nil, nil, errors.New("authz: Manager.Client has no Key")
	}
	key, err := algorithm(m.Client.Key)
	if err != nil {
		return nil, nil, err
	}
	if _, err := secureURL(m.Client.DirectoryURL); err != nil {
		return nil, nil, fmt.Errorf("authz: Manager.Client.DirectoryURL: %w", err)
	}
	client, closeIdle := httpClient(m.Client.HTTPClient, m.parallelism())
	s := &session{m: m, learnt: &learnt{account: newAccountCheck(), spent: &budget{}}, requester: &requester{
		client: client, key: key, kid: string(m.Client.KID), userAgent: userAgent(m.Client.UserAgent),
		backoff: m.Client.RetryBackoff, maxRetryAfter: m.maxRetryAfter(), log: m.logger(),
	}}
	if err := s.discover(ctx); err != nil {
		closeIdle()
		return nil, nil, err
	}
	return s, closeIdle, nil
}

// userAgent is the caller's name and ours (RFC 8555 §6.1 asks for both), unless
// that has it already, as the clients that package account makes do.
func userAgent(caller string) string {
	const own = "acmeauthz/0.1"
	switch {
	case caller == "":
		return own
	case strings.Contains(caller, own):
		return caller
	}
	return caller + " " + own
}

// discover reads the directory (RFC 8555 §7.1.1) and, if the KID is not
// known, the account URL (§7.3.1), both with x/crypto's client.
func (s *session) discover(ctx context.Context) error {
	at := s.m.Client.DirectoryURL
	client := s.discoveryClient()
	var d acme.Directory
	err := s.again(ctx, func() (err error) { d, err = client.Discover(ctx); return err })
	if err != nil {
		return fmt.Errorf("authz: read directory %s: %w", at, err)
	}
	s.directory, s.origins = d, directoryOrigins(at, d, s.m.AllowHost)
	s.profile = s.m.profile(d)
	if s.m.Limiter != nil {
		s.limiter = s.m.Limiter
	} else if s.profile.Requests.PerSecond > 0 {
		s.limiter = newWindow(s.profile.Requests)
	}
	s.slots = make(chan struct{}, s.m.parallelism())
	s.waiting = make(chan struct{}, waiters(s.limiter, s.m.parallelism()))
	if err := s.origins.check(d.NonceURL); err != nil {
		return fmt.Errorf("authz: directory %s: newNonce: %w", at, err)
	}
	s.nonces = newNoncePool(d.NonceURL, s.m.parallelism(), s.profile.NewNonce)
	if s.kid != "" {
		if err := s.origins.check(s.kid); err != nil {
			return fmt.Errorf("%w: account URL of another CA: %w", ErrAccount, err)
		}
		return nil
	}
	if err := s.origins.check(d.RegURL); err != nil {
		return fmt.Errorf("authz: directory %s: newAccount: %w", at, err)
	}
	var a *acme.Account
	err = s.again(ctx, func() (err error) { a, err = client.GetReg(ctx, ""); return err })
	switch {
	case err == nil:
		s.kid = a.URI
		return s.origins.check(s.kid) // a CA that does not name the account cannot be used
	case errors.Is(err, acme.ErrNoAccount) || refused(err):
		return fmt.Errorf("%w: %w", ErrAccount, err)
	}
	return fmt.Errorf("authz: look up account: %w", err)
}

// again repeats a call of x/crypto's client after a network failure or an
// answer that was cut off, which that client does not, and gives its rate limit errors our type.
func (s *session) again(ctx context.Context, call func() error) error {
	for try := 1; ; try++ {
		err := call()
		_, network := errors.AsType[*url.Error](err)
		if (network || errors.Is(err, io.ErrUnexpectedEOF)) && ctx.Err() == nil && !permanent(err) && try < maxDiscoveries {
			if err := sleep(ctx, growing(try)); err != nil {
				return err
			}
			continue
		}
		if at, limited := rateLimit(err); limited {
			return &RateLimitError{RetryAt: at, Err: err}
		}
		return err
	}
}

// rateLimit reports whether err is an answer that asks for fewer requests,
// and until when.
func rateLimit(err error) (time.Time, bool) {
	e, ok := errors.AsType[*acme.Error](err)
	if !ok {
		return time.Time{}, false
	}
	rep := &reply{Response: &http.Response{StatusCode: e.StatusCode, Header: e.Header}}
	after, asked := rep.retryAfter()
	if !asked {
		return time.Time{}, rep.limited()
	}
	return time.Now().Add(after), rep.limited()
}

// discoveryClient is a client of its own for Discover and GetReg: the
// caller's would keep what they find, and retries without end.
func (s *session) discoveryClient() *acme.Client {
	c := *s.client
	c.Transport = &boundedTransport{base: c.Transport, limiter: s.m.Limiter}
	return &acme.Client{
		Key:          s.m.Client.Key,
		HTTPClient:   &c,
		DirectoryURL: s.m.Client.DirectoryURL,
		UserAgent:    s.userAgent,
		RetryBackoff: s.discoveryBackoff,
	}
}

func (s *session) discoveryBackoff(n int, req *http.Request, resp *http.Response) time.Duration {
	rep := &reply{Response: resp}
	pause := growing(n)
	if after, asked := rep.retryAfter(); asked && after > 0 {
		pause = after
	}
	pause, _ = s.answerBackoff(n, rep, pause)
	if n >= maxFailures || pause > s.maxRetryAfter {
		return 0
	}
	return pause
}

// A boundedTransport paces requests and cuts the bodies of answers off after
// maxBody bytes.
type boundedTransport struct {
	base    http.RoundTripper
	limiter *rate.Limiter
}

func (t *boundedTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	if t.limiter != nil {
		if err := waitTurn(req.Context(), t.limiter); err != nil {
			return nil, err
		}
	}
	resp, err := t.base.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	resp.Body = struct {
		io.Reader
		io.Closer
	}{io.LimitReader(resp.Body, maxBody), resp.Body}
	return resp, nil
}

// httpClient is a copy of the caller's client that follows no redirect of a
// signed request, whose signature would name another URL, and no other to
// another origin. The function closes the connections that only it used.
func httpClient(caller *http.Client, workers int) (*http.Client, func()) {
	c := http.Client{}
	if caller != nil {
		c = *caller
	}
	closeIdle := func() {}
	if c.Transport == nil {
		c.Transport = http.DefaultTransport
	}
	if t, ok := c.Transport.(*http.Transport); ok {
		t = withConnections(t, workers)
		c.Transport, closeIdle = t, t.CloseIdleConnections
	}
	if c.Timeout == 0 {
		c.Timeout = requestTimeout
	}
	c.CheckRedirect = checkRedirect
	return &c, closeIdle
}

// withConnections is a copy of t that keeps a connection for each worker: by
// default a transport keeps two per host and would dial for the others anew
// each time on HTTP/1.1.
func withConnections(t *http.Transport, workers int) *http.Transport {
	t = t.Clone()
	t.MaxIdleConnsPerHost = max(t.MaxIdleConnsPerHost, workers)
	if t.MaxResponseHeaderBytes == 0 {
		t.MaxResponseHeaderBytes = 256 << 10
	}
	if t.MaxIdleConns != 0 {
		t.MaxIdleConns = max(t.MaxIdleConns, workers)
	}
	return t
}

func checkRedirect(req *http.Request, via []*http.Request) error {
	if req.Method == http.MethodPost || via[0].Method == http.MethodPost {
		return http.ErrUseLastResponse
	}
	if origin(req.URL) != origin(via[0].URL) || len(via) >= 5 {
		return fmt.Errorf("authz: %s redirects to %s", via[0].URL, req.URL)
	}
	return nil
}

// A reading is an authorization as read, and the pause that the CA asked for
// before the next read (§7.5.1).
type reading struct {
	*acme.Authorization
	retryAfter time.Duration
}

// read reads the authorization at url (§7.5). Its error wraps ErrAccount if
// the account is not accepted.
func (s *session) read(ctx context.Context, url string) (reading, error) {
	rep, err := s.post(ctx, url, nil, true)
	if err != nil {
		if rejected := s.accountError(ctx, err); rejected != nil {
			return reading{}, rejected
		}
		return reading{}, readError(err)
	}
	a, err := decodeAuthorization(url, rep.body)
	if err != nil {
		return reading{}, err
	}
	after, _ := rep.retryAfter()
	return reading{a, after}, nil
}

// An accountCheck remembers what the CA said of the account.
// turn holds a token that is taken while the rest is used: a mutex would not
// let go of those who wait when their context ends.
type accountCheck struct {
	turn     chan struct{}
	accepted time.Time // when it was last found good
	rejected error     // final
}

func newAccountCheck() accountCheck {
	c := accountCheck{turn: make(chan struct{}, 1)}
	c.turn <- struct{}{}
	return c
}

// accountTrust is how long an account that was found good is taken for it.
const accountTrust = 30 * time.Second

// accountError returns an error that wraps ErrAccount if err, the answer to a
// signed request, is due to the account, or the context's error. Except for one problem type the
// answers are those for an authorization that belongs to somebody else or is
// gone, so the account itself is read (§7.3.3), once in a while.
func (s *session) accountError(ctx context.Context, err error) error {
	if !accountSuspect(err) {
		return nil
	}
	c := &s.account
	select {
	case <-c.turn:
		defer func() { c.turn <- struct{}{} }()
	case <-ctx.Done():
		return ctx.Err()
	}
	switch {
	case c.rejected != nil:
		return c.rejected
	case isProblem(err, "accountDoesNotExist"):
		c.rejected = fmt.Errorf("%w: %w", ErrAccount, err)
		return c.rejected
	case time.Since(c.accepted) < accountTrust:
		return nil
	}
	if rejected := s.readAccount(ctx); rejected != nil {
		c.rejected = fmt.Errorf("%w: %w", ErrAccount, rejected)
		return c.rejected
	}
	if ctx.Err() != nil {
		return ctx.Err() // nothing was learnt
	}
	c.accepted = time.Now()
	return nil
}

// accountSuspect reports whether err may be due to the account.
func accountSuspect(err error) bool {
	if isProblem(err, "badNonce") || isProblem(err, "rateLimited") {
		return false
	}
	switch statusCode(err) {
	case http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden:
		return true
	}
	return isProblem(err, "accountDoesNotExist")
}

// readAccount returns the CA's reason if it rejects the account. Any other
// failure says nothing about the account.
func (s *session) readAccount(ctx context.Context) error {
	rep, err := s.post(ctx, s.kid, nil, true)
	switch {
	case accountSuspect(err):
		return err
	case err != nil:
		return nil
	}
	if status := accountStatus(rep.body); status == acme.StatusDeactivated || status == acme.StatusRevoked {
		return fmt.Errorf("authz: account %s is %s", s.kid, status)
	}
	return nil
}

// list is List for one URL.
func (s *session) list(ctx context.Context, url string) Result {
	r := Result{URL: url}
	if r.Err = s.origins.check(url); r.Err != nil {
		return r
	}
	if sameURL(url, s.kid) {
		r.Err = fmt.Errorf("%w: it is the account", ErrNotAuthorization)
		return r
	}
	if s.reread(ctx, &r) == nil {
		r.Before = r.Authorization.Status
	}
	return r
}

// reread brings the result up to date with the CA. It returns r.Err.
func (s *session) reread(ctx context.Context, r *Result) error {
	now, err := s.read(ctx, r.URL)
	if err == nil {
		r.Authorization = now.Authorization
	}
	r.Err = err
	return err
}
