package hub

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"sync"
	"time"

	"github.com/acmeauthz/acmeauthz/authz"
	"github.com/acmeauthz/acmeauthz/examples/fleet/wire"
	"github.com/nats-io/nats.go/jetstream"
)

// A journal is an authz.Journal in AccountBucket. What was appended while a write is under way goes into the next one, so
// that one write serves many callers; each depends on the fence. An entry that is written twice, as its answer was lost,
// has the same key and is there once.
type journal struct {
	lease *lease
	age   time.Duration // after which entries go

	mu       sync.Mutex
	changed  sync.Cond // on mu: pending, durable or err
	pending  []authz.JournalEntry
	appended int
	durable  int
	written  uint64 // keys
	err      error
}

// maxWrite is how many entries one write has at most: a value of the bucket has MaxState bytes, and an entry less than 4 KiB.
const maxWrite = 12

func newJournal(l *lease, age time.Duration) *journal {
	j := &journal{lease: l, age: age}
	j.changed.L = &j.mu
	return j
}

// Append adds an entry. It does not wait: write does.
func (j *journal) Append(e authz.JournalEntry) error {
	if e.Time.IsZero() {
		e.Time = time.Now()
	}
	e.Time = e.Time.UTC()
	e.Error = e.Error[:min(len(e.Error), 1<<10)]
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.err != nil {
		return j.err
	}
	j.pending = append(j.pending, e)
	j.appended++
	j.changed.Broadcast()
	return nil
}

// Sync returns when the server has everything that was appended before.
func (j *journal) Sync() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	for want := j.appended; j.err == nil && j.durable < want; {
		j.changed.Wait()
	}
	return j.err
}

// run writes what is appended until the lease ends; then the journal fails.
func (j *journal) run() {
	ctx := j.lease.context
	stop := context.AfterFunc(ctx, func() { j.fail(context.Cause(ctx)) })
	defer stop()
	for {
		entries, n := j.next()
		if entries == nil {
			return
		}
		if err := j.write(ctx, entries, n); err != nil {
			j.fail(err)
			return
		}
		j.mu.Lock()
		j.durable += len(entries)
		j.changed.Broadcast()
		j.mu.Unlock()
	}
}

// next waits for entries to write. It returns nil when the journal has failed.
func (j *journal) next() ([]authz.JournalEntry, uint64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for j.err == nil && len(j.pending) == 0 {
		j.changed.Wait()
	}
	if j.err != nil {
		return nil, 0
	}
	n := min(len(j.pending), maxWrite)
	entries := j.pending[:n:n]
	j.pending = j.pending[n:]
	j.written++
	return entries, j.written
}

func (j *journal) fail(err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.err == nil {
		j.err = &authz.JournalError{Path: "of " + j.lease.value.Account, Err: err}
	}
	j.changed.Broadcast()
}

// write writes some entries, again and again until the server has them or the lease is over.
func (j *journal) write(ctx context.Context, entries []authz.JournalEntry, n uint64) error {
	var b bytes.Buffer
	for i := range entries {
		line, err := json.Marshal(&entries[i])
		if err != nil {
			return err
		}
		b.Write(line)
		b.WriteByte('\n')
	}
	for {
		limited, cancel := context.WithTimeout(ctx, j.lease.life/3)
		err := j.lease.fenced(limited, wire.JournalKey(j.lease.token, j.lease.epoch, n), b.Bytes(), jetstream.WithMsgTTL(j.age))
		cancel()
		switch {
		case err == nil || errors.Is(err, ErrLost):
			return err
		case ctx.Err() != nil:
			return context.Cause(ctx)
		}
		if api, ok := errors.AsType[*jetstream.APIError](err); ok && api.Code < 500 {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// Entries is all entries that the server has when the range begins, of every owner, in the order of writing.
func (j *journal) Entries() iter.Seq2[authz.JournalEntry, error] {
	return func(yield func(authz.JournalEntry, error) bool) {
		fail := func(err error) {
			yield(authz.JournalEntry{}, &authz.JournalError{Path: "of " + j.lease.value.Account, Err: err})
		}
		ctx, cancel := context.WithCancel(j.lease.context)
		defer cancel()
		for data, err := range messages(ctx, j.lease.js, "KV_"+wire.AccountBucket, wire.KeySubject("journal."+j.lease.token+".*"), 1) {
			if err != nil {
				fail(err)
				return
			}
			for line := range bytes.Lines(data.Data()) {
				var e authz.JournalEntry
				if err := json.Unmarshal(line, &e); err != nil {
					fail(fmt.Errorf("%s has no entry: %w", data.Subject(), err))
					return
				}
				if !yield(e, nil) {
					return
				}
			}
		}
	}
}

// messages is what a stream has of a subject when the range begins, from a sequence on. It is all of it, or there is an
// error.
func messages(ctx context.Context, js jetstream.JetStream, stream, subject string, from uint64) iter.Seq2[jetstream.Msg, error] {
	return func(yield func(jetstream.Msg, error) bool) {
		c, err := js.CreateConsumer(ctx, stream, jetstream.ConsumerConfig{
			FilterSubject: subject, DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: max(from, 1),
			AckPolicy: jetstream.AckNonePolicy, MemoryStorage: true, Replicas: 1, InactiveThreshold: time.Minute,
		})
		if err != nil {
			yield(nil, err)
			return
		}
		defer func() { _ = js.DeleteConsumer(context.WithoutCancel(ctx), stream, c.CachedInfo().Name) }()
		for left := c.CachedInfo().NumPending; left > 0; {
			batch, err := c.Fetch(int(min(left, 256)), jetstream.FetchMaxWait(fetchWait))
			if err != nil {
				yield(nil, err)
				return
			}
			before := left
			for m := range batch.Messages() {
				left--
				if len(m.Data()) > 0 && !yield(m, nil) {
					return
				}
			}
			if err := cmp.Or(context.Cause(ctx), batch.Error()); err != nil || left == before {
				yield(nil, cmp.Or(err, errSilent))
				return
			}
		}
	}
}

// fetchWait is how long a server may take for messages that it has.
const fetchWait = 5 * time.Second

var errSilent = errors.New("hub: the server does not send what it has")
