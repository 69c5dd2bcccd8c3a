package hub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/acmeauthz/acmeauthz/examples/fleet/wire"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Who has an account, and how nobody else acts for it.
//
//	take   compare-and-set of lease.<account>, then a write of epoch.<account>: its sequence is the fence
//	renew  compare-and-set of lease.<account>, three times in a lifetime
//	write  state and journal depend on the fence being the last epoch; a change is in the journal before it is sent
//
// Invariants:
//   - no clocks are compared: a contender waits until a revision has not changed for longer than a lifetime by its own
//     clock; the owner counts its lifetime from before it sent the renewal. The lease says how long a lifetime is.
//   - the owner's lifetime ends by the monotonic clock or by the wall clock, whichever is first: the first stands still
//     while a machine is suspended, the second may be set.
//   - epoch.<account> is written by the holder of the lease only: the write depends on the lease's revision.
//   - after another has written it, nothing of the old owner gets into state or journal: it cannot begin a change.
//   - what is left is a request that was begun in time, and is sent by a process that was stopped in between: its
//     context ends with the lease, and the new owner reads the CA's word for everything that was begun.
//
// The server checks the fence when it stores a write; a cluster's leader refuses a second write that depends on the same
// subject while the first is not stored yet (code 10164), so writes of one account go one after the other.

// ErrLost means that the hub does not have the account any more, or cannot tell.
var ErrLost = errors.New("hub: the account was lost to another hub")

// errBehind means that the answer came from a server of a cluster that has not stored the latest yet.
var errBehind = errors.New("hub: a server that is behind has answered")

// Codes of JetStream's errors.
const (
	wrongSequence = 10071 // the last sequence is another one: somebody else has written
	inProgress    = 10164 // a write to that subject is not stored yet
)

// A lease is the right to work on an account, for a while.
type lease struct {
	kv      jetstream.KeyValue
	js      jetstream.JetStream
	token   string
	life    time.Duration
	context context.Context // ends with the lease
	lose    context.CancelCauseFunc
	epoch   uint64 // sequence of the fence

	writing  sync.Mutex // one renewal at a time
	value    wire.Lease
	revision uint64

	mu    sync.Mutex
	until time.Time // by the monotonic clock
	wall  time.Time // by the other one
	timer *time.Timer
}

// take takes a lease of which the revision is known; 0 is that of none. It returns ErrLost if somebody else was faster.
func take(ctx context.Context, js jetstream.JetStream, kv jetstream.KeyValue, hub, account string, revision uint64, life time.Duration) (*lease, error) {
	now := time.Now()
	l := &lease{
		kv: kv, js: js, token: wire.AccountToken(account), life: life, revision: revision,
		value: wire.Lease{Account: account, Hub: hub, Taken: now.UTC(), Renewed: now.UTC(), Life: life.Milliseconds()},
	}
	limited, cancel := context.WithTimeout(ctx, life/3)
	defer cancel()
	if err := l.write(limited); err != nil {
		return nil, err
	}
	ack, err := l.publish(limited, wire.EpochKey(l.token), []byte(strconv.Quote(hub)), jetstream.WithExpectLastSequenceForSubject(l.revision, wire.KeySubject(wire.LeaseKey(l.token))))
	if err != nil {
		l.giveBack()
		return nil, fmt.Errorf("the fence: %w", err)
	}
	l.epoch = ack.Sequence
	l.context, l.lose = context.WithCancelCause(ctx)
	l.last(now)
	l.timer = time.AfterFunc(time.Until(l.until), l.expire)
	return l, nil
}

// giveBack gives back a lease without a fence, if it can.
func (l *lease) giveBack() {
	ctx, cancel := context.WithTimeout(context.Background(), l.life/3)
	defer cancel()
	l.value.Hub = ""
	_ = l.write(ctx)
}

// last makes the lease last for a lifetime.
func (l *lease) last(from time.Time) { l.until, l.wall = from.Add(l.life), from.Round(0).Add(l.life) }

// write writes the lease if it has not changed, and notes its new revision.
func (l *lease) write(ctx context.Context) error {
	data, err := json.Marshal(l.value)
	if err != nil {
		return err
	}
	revision, err := l.kv.Update(ctx, wire.LeaseKey(l.token), data, l.revision)
	if api, ok := errors.AsType[*jetstream.APIError](err); ok && api.ErrorCode == wrongSequence {
		return ErrLost
	}
	if err == nil {
		l.revision = revision
	}
	return err
}

// publish writes a key if something holds; while another write is not stored yet, it waits.
func (l *lease) publish(ctx context.Context, key string, data []byte, options ...jetstream.PublishOpt) (*jetstream.PubAck, error) {
	for {
		ack, err := l.js.PublishMsg(ctx, &nats.Msg{Subject: wire.KeySubject(key), Data: data}, options...)
		api, ok := errors.AsType[*jetstream.APIError](err)
		switch {
		case !ok:
			return ack, err
		case api.ErrorCode == wrongSequence:
			return nil, ErrLost
		case api.ErrorCode != inProgress:
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// fenced writes a key if this is the account's last owner.
func (l *lease) fenced(ctx context.Context, key string, data []byte, options ...jetstream.PublishOpt) error {
	_, err := l.publish(ctx, key, data, append(options, jetstream.WithExpectLastSequenceForSubject(l.epoch, wire.KeySubject(wire.EpochKey(l.token))))...)
	if errors.Is(err, ErrLost) {
		l.lose(ErrLost)
	}
	return err
}

// valid reports whether the lease has not expired.
func (l *lease) valid() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	return now.Before(l.until) && now.Round(0).Before(l.wall) && !errors.Is(context.Cause(l.context), ErrLost)
}

// expire ends the lease if it was not renewed.
func (l *lease) expire() {
	if !l.valid() {
		l.lose(ErrLost)
	}
}

// renew makes the lease last for another lifetime. If the answer is lost, the next call finds out what happened.
func (l *lease) renew(ctx context.Context) error {
	l.writing.Lock()
	defer l.writing.Unlock()
	if !l.valid() {
		l.lose(ErrLost)
		return ErrLost
	}
	sent := time.Now()
	limited, cancel := context.WithTimeout(ctx, l.life/3)
	defer cancel()
	l.value.Renewed = sent.UTC()
	err := l.write(limited)
	if errors.Is(err, ErrLost) {
		if err = l.find(limited); err == nil { // this may be the renewal whose answer was lost
			err = l.write(limited)
		}
	}
	if errors.Is(err, ErrLost) {
		l.lose(ErrLost)
	}
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last(sent)
	l.timer.Reset(time.Until(l.until))
	return nil
}

// find finds out whether the lease is still this one, and its revision.
func (l *lease) find(ctx context.Context) error {
	e, err := l.kv.Get(ctx, wire.LeaseKey(l.token))
	if err != nil {
		return err
	}
	if e.Revision() < l.revision {
		return errBehind
	}
	var v wire.Lease
	if json.Unmarshal(e.Value(), &v) != nil || v.Hub != l.value.Hub || !v.Taken.Equal(l.value.Taken) {
		return ErrLost
	}
	l.revision = e.Revision()
	return nil
}

// release gives the lease back, so that others need not wait.
func (l *lease) release(ctx context.Context) error {
	l.writing.Lock()
	defer l.writing.Unlock()
	l.timer.Stop()
	defer l.lose(ErrLost)
	hub := l.value.Hub
	l.value.Hub = ""
	err := l.write(ctx)
	if errors.Is(err, ErrLost) { // this may be because of a renewal whose answer was lost
		l.value.Hub = hub
		if err = l.find(ctx); err == nil {
			l.value.Hub = ""
			err = l.write(ctx)
		}
	}
	return err
}

// guard lets no request out when the lease is over.
func (l *lease) guard(base http.RoundTripper) http.RoundTripper { return guarded{l, base} }

type guarded struct {
	*lease
	base http.RoundTripper
}

// RoundTrip sends a request, which ends with the lease.
func (g guarded) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(r.Context())
	stop := context.AfterFunc(g.context, func() { cancel(ErrLost) })
	if !g.valid() {
		stop()
		return nil, ErrLost
	}
	resp, err := g.base.RoundTrip(r.WithContext(ctx))
	if err != nil {
		stop()
		cancel(nil)
		return nil, err
	}
	resp.Body = &guardedBody{resp.Body, func() { stop(); cancel(nil) }}
	return resp, nil
}

type guardedBody struct {
	body
	done func()
}

type body = interface {
	Read([]byte) (int, error)
	Close() error
}

func (b *guardedBody) Close() error {
	defer b.done()
	return b.body.Close()
}
