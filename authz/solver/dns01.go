package solver

import (
	"context"
	"crypto"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"sync"
	"time"

	"golang.org/x/crypto/acme"
)

// A Provider makes and removes TXT records. The DNS providers of lego v5 have
// these methods; [LegoV4] makes one of a provider of lego v4.
//
// The record is _acme-challenge.<domain>, its value the base64url of the
// SHA-256 of keyAuth (RFC 8555 §8.4), which lego's providers work out
// themselves. A record of that name may be there already, for the wildcard of
// the same domain for instance, and must stay.
type Provider interface {
	Present(ctx context.Context, domain, token, keyAuth string) error
	CleanUp(ctx context.Context, domain, token, keyAuth string) error
}

// LegoV4 makes a Provider of one with the methods of lego v4, which know no
// context. Its Timeout and Sequential methods are used, if it has them.
func LegoV4(provider interface {
	Present(domain, token, keyAuth string) error
	CleanUp(domain, token, keyAuth string) error
}) Provider {
	return legoV4{provider}
}

type legoV4 struct {
	provider interface {
		Present(domain, token, keyAuth string) error
		CleanUp(domain, token, keyAuth string) error
	}
}

func (p legoV4) Present(_ context.Context, domain, token, keyAuth string) error {
	return p.provider.Present(domain, token, keyAuth)
}

func (p legoV4) CleanUp(_ context.Context, domain, token, keyAuth string) error {
	return p.provider.CleanUp(domain, token, keyAuth)
}

// DNS01 answers dns-01 challenges through a DNS provider. It is safe for
// concurrent use if the provider is, or says Sequential as lego's do; its
// fields must not be changed after the first Solve.
type DNS01 struct {
	// Key is the account's key. It is required.
	Key crypto.Signer

	// Provider makes the records. It is required. If it has a method
	//	Timeout() (timeout, interval time.Duration)
	// that is how long propagation is waited for, and how often it is looked.
	// If it has a method
	//	Sequential() time.Duration
	// records are made one at a time, each after the one before is removed and
	// that pause is over.
	Provider Provider

	// Propagated waits until the record can be seen, and says what is wrong
	// if it cannot. name is that of the record, with a dot at its end, value
	// its text. If it is nil, it is the method of that name of a zero [Lookup]:
	// all authoritative servers must have it. To skip the check, return nil.
	Propagated func(ctx context.Context, name, value string) error

	mu   sync.Mutex
	turn chan struct{} // holds the right to use a sequential provider
}

// The defaults of lego for propagation.
const (
	propagationTimeout  = time.Minute
	propagationInterval = 2 * time.Second
)

// cleanUpLimit bounds the removal of a record, which happens even after the
// context has ended.
const cleanUpLimit = time.Minute

// Solve makes the record for the authorization's dns-01 challenge and waits
// until it can be seen. It fits authz.Manager.Solve. Its error is
// [ErrUnsupported] if there is no such challenge, or the provider's, or that of
// the check.
func (d *DNS01) Solve(ctx context.Context, a *acme.Authorization) (*acme.Challenge, func(), error) {
	c, err := challengeOf(a, typeDNS01)
	if err != nil {
		return nil, nil, err
	}
	domain, err := name(a)
	if err != nil {
		return nil, nil, err
	}
	keyAuth, err := keyAuthorization(d.Key, c.Token)
	if err != nil {
		return nil, nil, err
	}
	done, err := d.begin(ctx)
	if err != nil {
		return nil, nil, err
	}
	cleanup := sync.OnceFunc(func() {
		limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanUpLimit)
		defer cancel()
		_ = d.Provider.CleanUp(limited, domain, c.Token, keyAuth)
		done()
	})
	if err := d.Provider.Present(ctx, domain, c.Token, keyAuth); err != nil {
		cleanup() // it may have made half of it
		return nil, nil, fmt.Errorf("solver: DNS provider: %w", err)
	}
	if err := d.propagated(ctx, "_acme-challenge."+domain+".", value(keyAuth)); err != nil {
		cleanup()
		return nil, nil, fmt.Errorf("solver: _acme-challenge.%s: %w", domain, err)
	}
	return c, cleanup, nil
}

// value is that of the TXT record (RFC 8555 §8.4).
func value(keyAuth string) string {
	sum := sha256.Sum256([]byte(keyAuth))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// begin waits for a sequential provider's turn.
func (d *DNS01) begin(ctx context.Context) (done func(), err error) {
	pause, sequential := d.sequential()
	if !sequential {
		return func() {}, nil
	}
	d.mu.Lock()
	if d.turn == nil {
		d.turn = make(chan struct{}, 1)
	}
	turn := d.turn
	d.mu.Unlock()
	select {
	case turn <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return func() {
		wait(ctx, pause)
		<-turn
	}, nil
}

func (d *DNS01) sequential() (time.Duration, bool) {
	if s, ok := unwrapped(d.Provider).(interface{ Sequential() time.Duration }); ok {
		return s.Sequential(), true
	}
	return 0, false
}

func unwrapped(p Provider) any {
	if v4, ok := p.(legoV4); ok {
		return v4.provider
	}
	return p
}

// propagated waits for the record, as long as the provider wants.
func (d *DNS01) propagated(ctx context.Context, name, value string) error {
	timeout, interval := propagationTimeout, propagationInterval
	if p, ok := unwrapped(d.Provider).(interface {
		Timeout() (timeout, interval time.Duration)
	}); ok {
		timeout, interval = p.Timeout()
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if d.Propagated != nil {
		return d.Propagated(ctx, name, value)
	}
	return (&Lookup{Interval: interval}).Propagated(ctx, name, value)
}

// wait waits for d, or less if ctx ends.
func wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
