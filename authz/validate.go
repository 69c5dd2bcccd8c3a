package authz

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"golang.org/x/crypto/acme"
)

// The pauses between two reads of an authorization whose challenge was
// answered, if the CA sends no Retry-After: they grow by half each time.
const (
	minPoll = 250 * time.Millisecond
	maxPoll = 10 * time.Second
)

// preferred is the order in which challenge types are answered when nothing
// was provisioned: a failing DNS look-up costs all sides the least.
var preferred = []string{"dns-01", "http-01", "tls-alpn-01"}

// validate is Validate for one URL.
func (s *session) validate(ctx context.Context, url string) Result {
	r := s.list(ctx, url)
	if r.Err != nil || final(r.Before) || !s.m.selects(r.Authorization) {
		return r
	}
	action := ActionAnswer
	if s.m.Solve != nil {
		action = ActionFinish
	}
	s.change(ctx, &r, action, s.failuresOf(action, r.Before))
	return r
}

// A solver is what Manager.Solve is.
type solver = func(ctx context.Context, a *acme.Authorization) (chal *acme.Challenge, cleanup func(), err error)

// validateRead answers a challenge of an authorization that was just read. If
// solve is nil, nothing is provisioned and the answer is meant to fail.
func (s *session) validateRead(ctx context.Context, r *Result, solve solver) {
	if i := slices.IndexFunc(r.Authorization.Challenges, processing); i >= 0 {
		r.Challenge = r.Authorization.Challenges[i]
		s.wait(ctx, r, 0)
		judge(r, false, solve != nil)
		return
	}
	challenge, cleanup, err := provision(ctx, solve, r.Authorization)
	if cleanup != nil {
		defer cleanup()
	}
	if err != nil {
		r.Err = err
		return
	}
	s.answer(ctx, r, challenge, solve != nil)
}

func processing(c *acme.Challenge) bool { return c.Status == acme.StatusProcessing }

// provision chooses the challenge to answer and has it provisioned if there
// is a solver.
func provision(ctx context.Context, solve solver, a *acme.Authorization) (*acme.Challenge, func(), error) {
	if solve == nil {
		c, err := choose(a.Challenges)
		return c, nil, err
	}
	c, cleanup, err := solve(ctx, a)
	switch {
	case err != nil:
		return nil, cleanup, solveError{err}
	case c == nil || !slices.ContainsFunc(a.Challenges, func(of *acme.Challenge) bool { return of.URI == c.URI }):
		return nil, cleanup, fmt.Errorf("%w: Solve returned none of the authorization's", ErrNoChallenge)
	}
	return c, cleanup, nil
}

// A solveError is Solve's: nothing was sent to the CA.
type solveError struct{ error }

func (e solveError) Error() string { return "authz: solve: " + e.error.Error() }
func (e solveError) Unwrap() error { return e.error }

// choose is the challenge to answer without a Solve.
func choose(challenges []*acme.Challenge) (*acme.Challenge, error) {
	var best *acme.Challenge
	rank := func(c *acme.Challenge) int {
		if i := slices.Index(preferred, c.Type); i >= 0 {
			return i
		}
		return len(preferred)
	}
	for _, c := range challenges {
		open := c.URI != "" && (c.Status == acme.StatusPending || c.Status == "")
		if open && (best == nil || rank(c) < rank(best)) {
			best = c
		}
	}
	if best == nil {
		return nil, ErrNoChallenge
	}
	return best, nil
}

// maxAnswers bounds how often an answer whose outcome stays open is sent.
const maxAnswers = 3

// answer tells the CA to validate the challenge (RFC 8555 §7.5.1), waits and
// judges the outcome. On step-ca and Caddy the answer is the validation, and
// may take its time: it is not sent again before a look at what it did.
func (s *session) answer(ctx context.Context, r *Result, c *acme.Challenge, solved bool) {
	// A copy: the caller's Solve may still hold its own.
	r.Challenge = &acme.Challenge{Type: c.Type, URI: c.URI, Token: c.Token, Status: c.Status}
	if r.Err = s.origins.check(c.URI); r.Err != nil {
		return
	}
	payload := []byte("{}")
	if len(c.Payload) > 0 {
		payload = c.Payload
	}
	sent := false // whether an answer may have arrived
	for try := 1; ; try++ {
		rep, err := s.post(ctx, c.URI, payload, false)
		if err == nil {
			s.answered(ctx, r, rep, solved)
			return
		}
		sent = sent || open(ctx, err)
		if s.explainAnswer(ctx, r, err, sent, solved) || try == maxAnswers {
			return
		}
	}
}

// answered waits after an answer that the CA has taken.
func (s *session) answered(ctx context.Context, r *Result, rep *reply, solved bool) {
	if seen := decodeChallenge(r.Challenge.URI, rep.body); seen != nil {
		r.Challenge = seen
	}
	pause, _ := rep.retryAfter()
	s.wait(ctx, r, pause)
	judge(r, true, solved)
}

// explainAnswer finds out what a failed answer means, and reports whether
// that is all: an authorization that is over by now, or whose challenge is
// being processed, is no failure. If sent is set, it may be our doing.
func (s *session) explainAnswer(ctx context.Context, r *Result, err error, sent, solved bool) (done bool) {
	again := open(ctx, err)
	if !again && !refused(err) || again && sleep(ctx, minBackoff) != nil {
		r.Err = err
		return true
	}
	if s.reread(ctx, r) != nil {
		return true
	}
	s.refresh(r)
	switch {
	case final(r.Authorization.Status):
	case processing(r.Challenge), statusCode(err) == http.StatusConflict: // Boulder's 409: it validates already
		s.wait(ctx, r, 0)
	case again && r.Challenge.Error != nil: // step-ca and Caddy have validated, to no avail
		r.Err = &PendingError{Err: r.Challenge.Error}
		return true
	default:
		r.Err = err
		return !again
	}
	judge(r, sent, solved)
	return true
}

// refresh takes the answered challenge's state from the authorization. A CA
// that leaves the challenge out has nothing to add.
func (s *session) refresh(r *Result) {
	for _, c := range r.Authorization.Challenges {
		if c.URI == r.Challenge.URI {
			r.Challenge = c
		}
	}
}

// wait reads the authorization until its status is final, the CA is done with
// it or the time is up. The challenge itself is never read: on step-ca that
// would answer it again.
func (s *session) wait(ctx context.Context, r *Result, asked time.Duration) {
	started, limit := time.Now(), s.m.waitLimit()
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	given, own := false, minPoll
	for {
		left := limit - time.Since(started)
		pause := asked
		if asked <= 0 {
			pause, own = min(own, left), min(own*3/2, maxPoll)
		}
		if pause <= 0 || pause > min(s.maxRetryAfter, left) {
			r.Err = s.stillPending(r, started, asked)
			return
		}
		if sleep(limited, pause) == nil {
			asked = s.poll(limited, r)
		}
		switch {
		case limited.Err() != nil && ctx.Err() == nil:
			r.Err = s.stillPending(r, started, 0)
			return
		case ctx.Err() != nil:
			r.Err = ctx.Err()
			return
		case r.Err != nil || final(r.Authorization.Status):
			return
		case given && abandoned(r.Challenge): // twice, for CAs that write the challenge before the authorization
			r.Err = s.stillPending(r, started, 0)
			return
		}
		given = abandoned(r.Challenge)
	}
}

// poll reads the authorization once and returns the pause that the CA asks
// for.
func (s *session) poll(ctx context.Context, r *Result) time.Duration {
	now, err := s.read(ctx, r.URL)
	if r.Err = err; err != nil {
		return 0
	}
	r.Authorization = now.Authorization
	s.refresh(r)
	return now.retryAfter
}

// abandoned reports whether the CA has looked at the challenge, found it
// wrong and will not look again, while the authorization is still pending. A
// CA that keeps trying says processing.
func abandoned(c *acme.Challenge) bool {
	return c.Error != nil && c.Status != acme.StatusProcessing
}

// stillPending is the error of a wait that ended; asked is the pause that the
// CA wanted before the next read, if that was too long.
func (s *session) stillPending(r *Result, started time.Time, asked time.Duration) error {
	e := &PendingError{Waited: time.Since(started)}
	if asked > 0 {
		e.RetryAt = time.Now().Add(asked)
	}
	if r.Challenge.Error != nil {
		e.Err = r.Challenge.Error
	}
	return e
}

// judge sets Changed if the outcome is ours, and the error of a validation
// that was meant to succeed.
func judge(r *Result, ours, solved bool) {
	status := r.Authorization.Status
	if r.Err != nil || !final(status) {
		return
	}
	r.Changed = ours && (status == acme.StatusValid || status == acme.StatusInvalid)
	if r.Changed {
		r.ChangedAt = time.Now()
	}
	if !solved || status == acme.StatusValid {
		return
	}
	e := &acme.AuthorizationError{URI: r.URL, Identifier: r.Authorization.Identifier.Value}
	for _, c := range r.Authorization.Challenges {
		if c.Error != nil {
			e.Errors = append(e.Errors, c.Error)
		}
	}
	if len(e.Errors) == 0 {
		e.Errors = append(e.Errors, fmt.Errorf("authz: status is %q", status))
	}
	r.Err = e
}
