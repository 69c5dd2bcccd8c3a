package authz

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/cryptosigner"
	"golang.org/x/crypto/acme"
	"golang.org/x/time/rate"
)

// This file is the signed-request core: one authenticated POST (RFC 8555
// §6.2), its nonce (§6.5), its retries, and the problem document (§6.7) that
// comes back as an *acme.Error. Everything else in the package speaks through
// requester.post.
//
//	post --> limiter, gate --> nonce --> sign --> HTTP --> reply or error
//	  ^                                                         |
//	  +-------- retries.next: again, and after what pause? <----+
//
//   - Retries end, each kind by its own count, whatever the CA answers.
//   - A request that may have changed something is not sent again when its
//     outcome is open: a lost connection or a 5xx goes back to the caller.
//   - badNonce, 429 and 503 with Retry-After say that nothing was done; such
//     a request is sent again, whatever it is.
//   - A Retry-After closes the gate for every worker of the range; those that
//     were put off most often go first when it opens.
//   - Who waits at the gate has all else that it needs, so nobody there waits
//     for one that has to let him pass.
//   - No more than maxBody bytes of an answer are read, and always all of it
//     up to there, so that the connection can be used again.

const (
	maxBody        = 1 << 20 // bytes of an answer
	requestTimeout = 30 * time.Second

	maxFailures  = 5 // network errors and 5xx answers of one request
	maxLimited   = 8 // 429 and 503 answers of one request
	maxBadNonces = 8 // in a row; with 5 % bad ones, four requests in 10^11 get there

	minBackoff = 500 * time.Millisecond
	maxBackoff = 10 * time.Second

	// Two Managers side by side may be over the CA's limit on new nonces; its
	// Retry-After then slows both.
	maxNonceFetch = 8                // at once
	maxNonceAge   = 60 * time.Second // OpenBao forgets them after 90
)

// A requester sends signed requests for one account and shares what they have
// in common: nonces, the gate and the limiter.
type requester struct {
	client        *http.Client
	key           jose.SigningKey
	kid           string
	userAgent     string
	backoff       func(n int, r *http.Request, resp *http.Response) time.Duration
	maxRetryAfter time.Duration
	slots         chan struct{} // holds one for each request under way
	limiter       limiter       // nil: none
	waiting       chan struct{} // holds one for each request that has a nonce and waits for limiter
	log           *slog.Logger
	nonces        *noncePool
	gate          gate
	health        health
}

// A reply is an answer of the CA whose body has been read.
type reply struct {
	*http.Response
	body []byte
}

// errTooLarge is the error of an answer over its limit.
var errTooLarge = errors.New("authz: answer is too large")

// post signs payload for url and returns the CA's answer if its status is
// 2xx. A nil payload makes it a POST-as-GET (§6.3). If repeatable is false, a
// request whose outcome is open is not sent again.
//
// Its error is an *acme.Error for any other answer, a *RateLimitError, one
// that wraps ErrUnreachable, the context's error, or that of the connection.
func (q *requester) post(ctx context.Context, url string, payload []byte, repeatable bool) (*reply, error) {
	return q.postUpTo(ctx, url, payload, repeatable, maxBody)
}

// postUpTo is post for an answer of up to limit bytes.
func (q *requester) postUpTo(ctx context.Context, url string, payload []byte, repeatable bool, limit int64) (*reply, error) {
	if err := q.health.refusal(); err != nil {
		return nil, err
	}
	return q.retry(ctx, repeatable, func(limited int) (*reply, error) {
		if q.limiter != nil { // whose turn must not be waited with
			release, err := q.slot(ctx)
			if err != nil {
				return nil, unsentError{err}
			}
			defer release()
		}
		nonce, err := q.nonce(ctx, limited)
		if err != nil {
			return nil, unsentError{err}
		}
		body, err := q.sign(url, nonce, payload)
		if err != nil {
			return nil, unsentError{err}
		}
		return q.send(ctx, call{http.MethodPost, url, body, limit, limited})
	})
}

// slot waits until one more request may be under way. The caller releases it.
func (q *requester) slot(ctx context.Context) (release func(), err error) {
	select {
	case q.slots <- struct{}{}:
		return func() { <-q.slots }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// nonce returns a nonce for a request that may be sent now. The limiter's turn
// comes last, so that a request is sent when its turn comes and not when a
// nonce does; only so many wait for it at once that their nonces stay fresh.
func (q *requester) nonce(ctx context.Context, limited int) (string, error) {
	if q.limiter == nil {
		n, err := q.nonces.take(ctx, q)
		return n.value, err
	}
	for {
		n, err := q.turn(ctx, limited)
		if err != nil || n.fresh() {
			return n.value, err
		}
	}
}

// turn takes a nonce and then waits for the limiter.
func (q *requester) turn(ctx context.Context, limited int) (n nonce, err error) {
	select {
	case q.waiting <- struct{}{}:
		defer func() { <-q.waiting }()
	case <-ctx.Done():
		return n, ctx.Err()
	}
	if n, err = q.nonces.take(ctx, q); err != nil {
		return n, err
	}
	if err := q.ready(ctx, limited); err != nil {
		q.nonces.put(n.value)
		return n, err
	}
	return n, nil
}

// A limiter says when a request may be sent: a *rate.Limiter, or a window.
type limiter interface{ Wait(context.Context) error }

// waiters is how many requests with nonces may wait for a limiter.
func waiters(l limiter, workers int) int {
	perSecond := float64(workers)
	switch l := l.(type) {
	case *rate.Limiter:
		perSecond = float64(l.Limit())
	case *window:
		perSecond = float64(len(l.sent)) / l.length.Seconds()
	}
	const seconds = 20
	return int(max(min(perSecond*seconds, float64(workers)), 1))
}

// ready waits for the limiter's turn. The gate comes last: it may close
// meanwhile. Without a limiter, send waits.
func (q *requester) ready(ctx context.Context, limited int) error {
	if q.limiter == nil {
		return nil
	}
	if err := waitTurn(ctx, q.limiter); err != nil {
		return err
	}
	return q.gate.wait(ctx, limited)
}

// enter waits for a slot and then for the gate, which may close while slots are
// taken.
func (q *requester) enter(ctx context.Context, limited int) (release func(), err error) {
	release, err = q.slot(ctx)
	if err != nil {
		return nil, err
	}
	if err := q.gate.wait(ctx, limited); err != nil {
		release()
		return nil, err
	}
	return release, nil
}

// waitTurn is limiter.Wait. Where the limiter finds that the context will end
// before, it waits for that: others that are under way have their turn yet, and
// what is left is then the context's to end, and not a failure of each.
func waitTurn(ctx context.Context, l limiter) error {
	err := l.Wait(ctx)
	if _, limited := ctx.Deadline(); err == nil || !limited {
		return err
	}
	if r, ok := l.(*rate.Limiter); ok && r.Burst() == 0 {
		return err // nothing may ever be sent
	}
	<-ctx.Done()
	return ctx.Err()
}

// sign makes the flattened JSON form of §6.2. An empty payload is not the
// same as a missing one, so it must not be nil here.
func (q *requester) sign(url, nonce string, payload []byte) (string, error) {
	signer, err := jose.NewSigner(q.key, &jose.SignerOptions{ExtraHeaders: map[jose.HeaderKey]any{
		"kid": q.kid, "nonce": nonce, "url": url,
	}})
	if err != nil {
		return "", err
	}
	signed, err := signer.Sign(append([]byte{}, payload...))
	if err != nil {
		return "", fmt.Errorf("authz: sign request: %w", err)
	}
	return signed.FullSerialize(), nil
}

// A call is a request that is ready to be sent.
type call struct {
	method, url, body string
	limit             int64 // bytes of the answer
	limited           int   // how often the CA has put it off
}

// send sends one request and reads the answer. A status other than 2xx is an
// error, with the reply beside it.
func (q *requester) send(ctx context.Context, c call) (*reply, error) {
	req, err := http.NewRequestWithContext(ctx, c.method, c.url, strings.NewReader(c.body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("User-Agent", q.userAgent)
	if c.method == http.MethodPost {
		req.Header.Set("Content-Type", "application/jose+json")
	}
	if q.limiter == nil {
		release, err := q.enter(ctx, c.limited)
		if err != nil {
			return nil, unsentError{err}
		}
		defer release()
	}
	started := time.Now()
	resp, err := q.client.Do(req)
	if err != nil {
		return nil, q.health.failed(ctx, err)
	}
	q.health.answered(resp.StatusCode/100 == 2)
	defer resp.Body.Close()
	if c.method == http.MethodPost {
		q.nonces.put(resp.Header.Get("Replay-Nonce"))
	}
	rep := &reply{Response: resp}
	rep.body, err = readBody(resp.Body, c.limit)
	q.log.DebugContext(ctx, "request", "method", c.method, "url", c.url, "code", resp.StatusCode, "took", time.Since(started))
	if resp.StatusCode/100 != 2 {
		return rep, rep.problem()
	}
	if err != nil {
		return nil, fmt.Errorf("authz: read answer: %w", err)
	}
	q.gate.ease()
	return rep, nil
}

func readBody(r io.Reader, limit int64) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err == nil && int64(len(body)) > limit {
		return nil, fmt.Errorf("%w: larger than %d bytes", errTooLarge, limit)
	}
	return body, err
}

// algorithm is the key as go-jose signs with it, by the algorithms that ACME
// servers have in common.
func algorithm(key crypto.Signer) (jose.SigningKey, error) {
	var alg jose.SignatureAlgorithm
	switch public := key.Public().(type) {
	case *rsa.PublicKey:
		alg = jose.RS256
	case *ecdsa.PublicKey:
		switch public.Curve {
		case elliptic.P256():
			alg = jose.ES256
		case elliptic.P384():
			alg = jose.ES384
		case elliptic.P521():
			alg = jose.ES512
		}
	}
	if alg == "" {
		return jose.SigningKey{}, fmt.Errorf("authz: Manager.Client.Key is a %T; it must be RSA, or ECDSA on P-256, P-384 or P-521: %w", key.Public(), acme.ErrUnsupportedKey)
	}
	return jose.SigningKey{Algorithm: alg, Key: cryptosigner.Opaque(key)}, nil
}

// An unsentError is a failure before the request itself was sent, while its
// nonce was fetched.
type unsentError struct{ error }

func (e unsentError) Unwrap() error { return e.error }

// retry calls try until it succeeds, fails for good or has failed too often.
// It tells try how often the CA has put it off.
func (q *requester) retry(ctx context.Context, repeatable bool, try func(limited int) (*reply, error)) (*reply, error) {
	var r retries
	for {
		rep, err := try(r.limited)
		if err == nil {
			return rep, nil
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		pause, giveUp := r.next(q, rep, err, repeatable)
		if giveUp != nil {
			return nil, giveUp
		}
		q.log.InfoContext(ctx, "trying again", "pause", pause, "error", err)
		if err := sleep(ctx, pause); err != nil {
			return nil, err
		}
	}
}

// retries counts what went wrong with one request.
type retries struct {
	failures, limited, badNonces int
}

// next decides what to do about err: try again after the pause, or give up
// with the second error, which is err or says more.
func (r *retries) next(q *requester, rep *reply, err error, repeatable bool) (time.Duration, error) {
	if unsent, ok := errors.AsType[unsentError](err); ok {
		return 0, unsent.error // the nonce was asked for as often as this would be
	}
	if errors.Is(err, ErrUnreachable) {
		return 0, err
	}
	switch {
	case isProblem(err, "badNonce"):
		if r.badNonces++; r.badNonces > 1 {
			q.nonces.renew(rep.Header.Get("Replay-Nonce")) // the CA may have forgotten all of them
		}
		pause, ok := q.answerBackoff(r.badNonces, rep, 0)
		if !ok || r.badNonces > maxBadNonces {
			return 0, err
		}
		return pause, nil
	case rep != nil && (rep.limited() || isProblem(err, "rateLimited")):
		r.limited++
		return r.nextLimited(q, rep, err)
	case rep != nil && (rep.StatusCode < 500 || rep.StatusCode == http.StatusNotImplemented || !repeatable):
		return 0, err
	case rep == nil && (!repeatable && !undialed(err) || permanent(err)):
		return 0, err
	}
	r.failures++
	pause, ok := q.answerBackoff(r.failures, rep, growing(r.failures))
	if !ok || r.failures >= maxFailures {
		return 0, err
	}
	return pause, nil
}

// nextLimited is next for a CA that wants fewer requests. With a Retry-After
// every worker is paused, once: the gate takes the latest end.
func (r *retries) nextLimited(q *requester, rep *reply, err error) (time.Duration, error) {
	limit := &RateLimitError{Err: err}
	after, asked := rep.retryAfter()
	if asked {
		limit.RetryAt = time.Now().Add(after)
	}
	if after <= 0 {
		after = growing(r.limited)
	}
	pause, ok := q.answerBackoff(r.limited, rep, after)
	if pause > q.maxRetryAfter {
		q.health.overLimit(limit)
	}
	if !ok || pause > q.maxRetryAfter || r.limited >= maxLimited {
		return 0, limit
	}
	if !asked {
		return pause, nil
	}
	if q.gate.pause(pause) {
		q.log.Info("CA asks for a pause", "pause", pause, "code", rep.StatusCode)
	}
	return pause - min(pause/10, ahead), nil
}

// answerBackoff is the pause after the n-th failed answer: the caller's, who
// ends the retries with zero or less, or else ours.
func (q *requester) answerBackoff(n int, rep *reply, ours time.Duration) (time.Duration, bool) {
	if q.backoff == nil || rep == nil {
		return ours, true
	}
	rep.Body = http.NoBody
	pause := q.backoff(n, rep.Request, rep.Response)
	return pause, pause > 0
}

// growing is the pause after the n-th failure, counted from 1: doubling, with
// a quarter of it at random so that workers do not move in step.
func growing(n int) time.Duration {
	d := min(minBackoff<<min(n-1, 10), maxBackoff)
	return d*3/4 + rand.N(d/2)
}

// undialed reports whether err came before a connection was made, so that the
// request cannot have reached the CA.
func undialed(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return ok && op.Op == "dial"
}

// permanent reports whether another try would fail the same way.
func permanent(err error) bool {
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return true
	}
	dns, ok := errors.AsType[*net.DNSError](err)
	return ok && dns.IsNotFound || errors.Is(err, errTooLarge) || errors.Is(err, acme.ErrUnsupportedKey)
}

// limited reports whether the CA wants fewer requests. A 503 without
// Retry-After is taken for a failure.
func (r *reply) limited() bool {
	return r.StatusCode == http.StatusTooManyRequests ||
		r.StatusCode == http.StatusServiceUnavailable && r.Header.Get("Retry-After") != ""
}

// retryAfter is what the CA asked to wait, seconds or a date (RFC 9110
// §10.2.3), and whether it asked; a date in the past is a negative wait.
func (r *reply) retryAfter() (time.Duration, bool) {
	v := strings.TrimSpace(r.Header.Get("Retry-After"))
	if seconds, err := strconv.ParseInt(v, 10, 64); err == nil {
		const year = 365 * 24 * 60 * 60
		return time.Duration(min(max(seconds, 0), 10*year)) * time.Second, true
	}
	if date, err := http.ParseTime(v); err == nil {
		return time.Until(date), true
	}
	return 0, false
}

// problem is the answer as an *acme.Error (§6.7). A body that is no problem
// document is not repeated: its detail is the HTTP status.
func (r *reply) problem() error {
	p := wireProblem{}
	if json.Unmarshal(r.body, &p) != nil || p.Type == "" && p.Detail == "" {
		p = wireProblem{Detail: r.Status}
	}
	e := p.error()
	e.StatusCode = r.StatusCode // some CAs leave it out of the document
	e.Header = r.Header
	return e
}

// sleep waits for d, or less if ctx ends.
func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// A gate holds back requests until a time, and then lets them through one by
// one: workers that all come back at once would meet the limit again. Each
// pause doubles the gap between them, each success narrows it. Of those that
// wait, the ones that the CA has put off most often go first: otherwise some
// request of many meets the limit each time, until it has no try left. The
// zero gate is open.
type gate struct {
	mu      sync.Mutex
	until   time.Time
	next    time.Time // before which no other request is let through
	gap     time.Duration
	waiting [maxLimited]int // requests, by how often they were put off
}

const (
	minGap = 10 * time.Millisecond
	maxGap = time.Second

	// ahead is how long before the gate opens those are back that closed it.
	ahead = 100 * time.Millisecond
)

// pause closes the gate for d, or does nothing if it is closed for as long
// already. It reports whether it was open.
func (g *gate) pause(d time.Duration) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	wasOpen := !now.Before(g.until)
	if wasOpen {
		g.gap = min(max(2*g.gap, minGap), maxGap)
	}
	if until := now.Add(d); until.After(g.until) {
		g.until = until
	}
	return wasOpen
}

// ease narrows the gap after a success.
func (g *gate) ease() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.gap -= g.gap / 16; g.gap < time.Millisecond {
		g.gap = 0
	}
}

// wait waits until a request may be sent that was put off so many times.
func (g *gate) wait(ctx context.Context, limited int) error {
	d := g.delay(limited)
	if d <= 0 {
		return ctx.Err()
	}
	g.enlist(limited, 1)
	defer g.enlist(limited, -1)
	for ; d > 0; d = g.delay(limited) {
		if err := sleep(ctx, d); err != nil {
			return err
		}
	}
	return ctx.Err()
}

func (g *gate) enlist(limited, n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.waiting[limited] += n
}

// delay is how long the caller must wait before it asks again; with zero it
// is let through.
func (g *gate) delay(limited int) time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	switch {
	case now.Before(g.until):
		return g.until.Sub(now)
	case g.gap > 0 && now.Before(g.next):
		return g.next.Sub(now)
	case g.othersFirst(limited):
		return max(g.gap, minGap)
	}
	g.next = now.Add(g.gap)
	return 0
}

// othersFirst reports whether one waits that was put off more often.
func (g *gate) othersFirst(limited int) bool {
	for _, n := range g.waiting[limited+1:] {
		if n > 0 {
			return true
		}
	}
	return false
}

// A health remembers what would make further requests pointless: a CA that
// has not answered for a while, or that wants none for a long time. The zero
// health is good.
type health struct {
	mu       sync.Mutex
	failures int       // without an answer since the last one
	since    time.Time // the first of these
	overLong int
	limit    *RateLimitError
}

const (
	maxUnanswered = 10          // failures in a row, and
	maxSilence    = time.Minute // the time over which they must go on
	maxOverLimit  = 3           // waits in a row that were too long
)

// answered notes an answer of the CA.
func (h *health) answered(ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.failures = 0
	if ok {
		h.overLong, h.limit = 0, nil
	}
}

// failed notes a request without an answer. It returns err, or what ends the
// sequence if there was none for too long.
func (h *health) failed(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.failures++; h.failures == 1 {
		h.since = time.Now()
	}
	if silence := time.Since(h.since); h.failures >= maxUnanswered && silence >= maxSilence {
		return fmt.Errorf("%w for %v: %w", ErrUnreachable, silence.Round(time.Second), err)
	}
	return err
}

// overLimit notes a wait that was too long.
func (h *health) overLimit(limit *RateLimitError) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.overLong++
	h.limit = limit
}

// refusal is the CA's wish not to be asked before a time, once it has said so
// several times and nothing else: that is meant for all requests.
func (h *health) refusal() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.overLong >= maxOverLimit && time.Now().Before(h.limit.RetryAt) {
		return h.limit
	}
	return nil
}

// A noncePool keeps the nonces that came with answers. Each request takes one
// and brings one back, so new ones are only asked for at the start and after
// losses: one at a time at first, twice as many after each that came, and
// never faster than the CA allows; all at once where it has no limit.
type noncePool struct {
	url     string
	free    chan nonce
	fetches chan struct{} // tokens: how many more may be asked for at once
	limiter *rate.Limiter

	mu      sync.Mutex
	granted int // tokens there are
}

type nonce struct {
	value string
	from  time.Time
}

func newNoncePool(url string, size int, limit Rate) *noncePool {
	most, granted := maxNonceFetch, 1
	if limit.PerSecond <= 0 {
		most, granted = size, size // each worker may fetch its own
	}
	p := &noncePool{
		url:     url,
		free:    make(chan nonce, 2*size),
		fetches: make(chan struct{}, most),
		limiter: limit.nonceLimiter(),
		granted: granted,
	}
	for range granted {
		p.fetches <- struct{}{}
	}
	return p
}

// nonceLimiter keeps a little below the rate, and one below the burst.
func (r Rate) nonceLimiter() *rate.Limiter {
	if r.PerSecond <= 0 {
		return rate.NewLimiter(rate.Inf, 1)
	}
	return rate.NewLimiter(rate.Limit(0.95*r.PerSecond), max(r.Burst-1, 1))
}

// put keeps a nonce that came with an answer, or drops one too many.
func (p *noncePool) put(value string) {
	if !usable(value) {
		return
	}
	select {
	case p.free <- nonce{value, time.Now()}:
	default:
	}
}

// usable reports whether value is a nonce of a sane length. Its characters
// are the CA's business: it only gets them back.
func usable(value string) bool { return value != "" && len(value) <= 1024 }

// renew replaces all nonces at hand by one that just came.
func (p *noncePool) renew(value string) {
	for {
		select {
		case <-p.free:
		default:
			p.put(value)
			return
		}
	}
}

// take returns a nonce: one at hand, one that another request brings back
// meanwhile, or a new one that was fetched for it.
func (p *noncePool) take(ctx context.Context, q *requester) (n nonce, err error) {
	for {
		n, err = p.next(ctx, q)
		if err != nil || n.fresh() {
			return n, err
		}
	}
}

func (n nonce) fresh() bool { return time.Since(n.from) < maxNonceAge }

func (p *noncePool) next(ctx context.Context, q *requester) (n nonce, err error) {
	select {
	case n = <-p.free:
		return n, nil
	default:
	}
	select {
	case n = <-p.free:
		return n, nil
	case <-p.fetches:
		return p.turn(ctx, q)
	case <-ctx.Done():
		return n, ctx.Err()
	}
}

// turn fetches a nonce when the limit allows. It does not give way to one
// that another request brings back meanwhile: then the pool would stop
// growing when the workers that have one keep the others just fed. It gives
// its token back, and another one after a fetch.
func (p *noncePool) turn(ctx context.Context, q *requester) (n nonce, err error) {
	defer func() { p.fetches <- struct{}{} }()
	if err := waitTurn(ctx, p.limiter); err != nil {
		return n, err
	}
	if n.value, err = p.fetch(ctx, q); err != nil {
		return n, fmt.Errorf("authz: new nonce: %w", err)
	}
	n.from = time.Now()
	p.grant()
	return n, nil
}

// grant adds a token, up to all there may be.
func (p *noncePool) grant() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.granted < cap(p.fetches) {
		p.granted++
		p.fetches <- struct{}{}
	}
}

// fetch asks for a new nonce (§7.2).
func (p *noncePool) fetch(ctx context.Context, q *requester) (string, error) {
	rep, err := q.retry(ctx, true, func(limited int) (*reply, error) {
		if err := q.ready(ctx, limited); err != nil {
			return nil, unsentError{err}
		}
		return q.send(ctx, call{http.MethodHead, p.url, "", maxBody, limited})
	})
	if err != nil {
		return "", err
	}
	value := rep.Header.Get("Replay-Nonce")
	if !usable(value) {
		return "", fmt.Errorf("%s answered without one", p.url)
	}
	return value, nil
}
