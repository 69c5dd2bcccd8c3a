package authz

import (
	"context"
	"errors"
	"fmt"

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
	if r.Err != nil || !deactivatable(r.Before) || !s.m.selects(r.Authorization) {
		return r
	}
	for try := 1; ; try++ {
		rep, err := s.post(ctx, url, deactivation, false)
		switch {
		case err == nil && s.settled(&r, rep):
			return r
		case refused(err):
			s.explainRefusal(ctx, &r, err)
			return r
		case err != nil && !open(ctx, err):
			r.Err = err
			return r
		}
		if s.resolve(ctx, &r, try, err); r.Err != nil || r.Authorization.Status != r.Before {
			return r
		}
		if try == maxDeactivations {
			r.Err = unsettled(err)
			return r
		}
	}
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
	if a.Status == r.Before || !final(a.Status) {
		r.Err = fmt.Errorf("%w: status is %q", ErrIgnored, a.Status)
	}
	return true
}

// explainRefusal tells the refusal of a server that does not deactivate from
// one that is due to this authorization: to some servers both are the same
// 400. Reading it again shows whether it is still there; once is enough to
// know the server.
func (s *session) explainRefusal(ctx context.Context, r *Result, err error) {
	known := s.refuses.Load() && malformed(err)
	if !known && s.reread(ctx, r) != nil {
		return
	}
	if r.Authorization.Status == r.Before {
		if malformed(err) {
			s.refuses.Store(true)
		}
		r.Err = fmt.Errorf("%w: %w", ErrRefused, err)
	}
}

// resolve finds out what became of a deactivation without a usable answer. It
// waits first: some CAs read from a replica that lags behind, and a second
// deactivation of the same authorization may count twice.
func (s *session) resolve(ctx context.Context, r *Result, try int, err error) {
	s.log.InfoContext(ctx, "deactivation without a clear answer, reading again", "url", r.URL, "error", err)
	if r.Err = sleep(ctx, growing(try)); r.Err != nil {
		return
	}
	if s.reread(ctx, r) == nil {
		r.Changed = r.Authorization.Status == acme.StatusDeactivated
	}
}

func unsettled(err error) error {
	if err != nil {
		return err
	}
	return errors.New("authz: the CA's answers to the deactivation have no authorization, and nothing changed")
}
