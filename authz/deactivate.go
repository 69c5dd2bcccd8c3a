package authz

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/crypto/acme"
)

// maxDeactivations bounds how often a deactivation whose outcome stays open
// is sent for one authorization.
const maxDeactivations = 3

// deactivation is the whole payload (RFC 8555 §7.5.2). A member more, and a
// strict server refuses it.
var deactivation = []byte(`{"status":"deactivated"}`)

// deactivate is Deactivate for one URL.
func (s *session) deactivate(ctx context.Context, url string) Result {
	r := s.list(ctx, url)
	if r.Err == nil && deactivatable(r.Before) && s.m.selects(r.Authorization) {
		s.change(ctx, &r, ActionDeactivate, s.failuresOf(ActionDeactivate, r.Before))
	}
	return r
}

// failuresOf is what an action costs that was not asked of the budget.
func (s *session) failuresOf(action Action, status string) int {
	if status == acme.StatusValid || !s.profile.counts(action) {
		return 0
	}
	return 1
}

// deactivateRead deactivates an authorization that was just read.
func (s *session) deactivateRead(ctx context.Context, r *Result) {
	if r.Err = s.hopeless(); r.Err != nil {
		return
	}
	for try := 1; ; try++ {
		rep, err := s.post(ctx, r.URL, deactivation, false)
		switch {
		case err == nil && s.settled(r, rep):
			return
		case refused(err):
			s.explainRefusal(ctx, r, err)
			return
		case err != nil && !open(ctx, err):
			r.Err = err
			return
		}
		if s.resolve(ctx, r, try, err); r.Err != nil || r.Authorization.Status != r.Before {
			return
		}
		if try == maxDeactivations {
			r.Err = unsettled(err)
			return
		}
	}
}

// maxRefusals is how many refusals in a row show that a CA never deactivates.
const maxRefusals = 3

// hopeless is the answer of a CA that has refused so often that it need not be
// asked again.
func (s *session) hopeless() error {
	first := s.refusal.Load()
	if s.refusals.Load() < maxRefusals || s.deactivated.Load() || first == nil {
		return nil
	}
	return fmt.Errorf("%w: it refused the first %d, and was not asked again: %w", ErrRefused, maxRefusals, *first)
}

// deactivatable reports whether there is a way from that status to
// deactivated (§7.1.6). Boulder would say "deactivated" for an invalid one
// and leave it invalid; OpenBao would refuse.
func deactivatable(status string) bool {
	return !final(status) || status == acme.StatusValid
}

// open reports whether err leaves it open what became of a request: there was
// no answer, or one that the CA was not able to do it.
func open(ctx context.Context, err error) bool {
	code := statusCode(err)
	return ctx.Err() == nil && (code == 0 || code >= 500) && !errors.Is(err, ErrRateLimited)
}

// settled takes the outcome from a 2xx answer. There is none in an answer
// without an authorization, a 202 or 204 for instance.
func (s *session) settled(r *Result, rep *reply) bool {
	a, err := decodeAuthorization(r.URL, rep.body)
	if err != nil {
		return false
	}
	r.Authorization = a
	r.Changed = a.Status == acme.StatusDeactivated
	if r.Changed {
		r.ChangedAt = time.Now()
		s.deactivated.Store(true)
	}
	if a.Status == r.Before || !final(a.Status) {
		s.ignores.Store(true)
		r.Err = fmt.Errorf("%w: status is %q", ErrIgnored, a.Status)
	}
	return true
}

// explainRefusal tells the refusal of a server that does not deactivate from
// one that is due to this authorization: to some servers both are the same
// 400. Reading it again shows whether it is still there; once is enough to
// know the server.
func (s *session) explainRefusal(ctx context.Context, r *Result, err error) {
	known := s.refusals.Load() > 0 && malformed(err)
	if !known && s.reread(ctx, r) != nil {
		return
	}
	if r.Authorization.Status == r.Before {
		if malformed(err) {
			s.refusals.Add(1)
			s.refusal.CompareAndSwap(nil, &err)
		}
		r.Err = fmt.Errorf("%w: %w", ErrRefused, err)
	}
}

// resolve finds out what became of a deactivation without a usable answer. A
// read that shows no change is believed only once the CA's replicas must have
// it: a second deactivation of the same authorization may count twice.
func (s *session) resolve(ctx context.Context, r *Result, try int, err error) {
	s.log.InfoContext(ctx, "deactivation without a clear answer, reading again", "url", r.URL, "error", err)
	pause := growing(try)
	for _, pause := range []time.Duration{pause, s.profile.Lag - pause} {
		if pause <= 0 {
			return
		}
		if r.Err = sleep(ctx, pause); r.Err != nil || s.reread(ctx, r) != nil {
			return
		}
		if r.Changed = r.Authorization.Status == acme.StatusDeactivated; r.Changed {
			r.ChangedAt = time.Now()
			s.deactivated.Store(true)
			return
		}
	}
}

func unsettled(err error) error {
	if err != nil {
		return err
	}
	return errors.New("authz: the CA's answers to the deactivation have no authorization, and nothing changed")
}
