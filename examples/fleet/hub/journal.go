package hub

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"
	"time"

	"github.com/acmeauthz/acmeauthz/authz"
	"github.com/acmeauthz/acmeauthz/examples/fleet/wire"
	"github.com/nats-io/nats.go/jetstream"
)

// A journal is an authz.Journal in AccountBucket. What was appended while a write is under way goes into the next one, so
// that one write serves many callers; each depends on the fence. An entry that is written twice, as its answer was lost,
// has the same key and is there once.
//
// The bucket is read once, when the account was taken: nobody else writes there until it is lost, and then the journal
// fails. Whatever was written stays in memory, too, as long as in the bucket.
type journal struct {
	lease *lease
	age   time.Duration // after which entries go

	mu       sync.Mutex
	changed  sync.Cond // on mu: pending, durable or err
	kept     []authz.JournalEntry
	pending  []line
	appended int
	durable  int
	written  uint64 // keys
	err      error
}

// A line is an entry, and how it is written.
type line struct {
	entry authz.JournalEntry
	text  []byte
}

// maxWrite is how many bytes one write has at most, and maxLine one entry: a value of the bucket has wire.MaxState.
const (
	maxWrite = wire.MaxState * 3 / 4
	maxLine  = maxWrite / 3
)

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
	text, err := json.Marshal(&e)
	if err == nil && len(text) > maxLine {
		err = fmt.Errorf("an entry has %d bytes, more than %d", len(text), maxLine)
	}
	if err != nil {
		return j.failed(err)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.err != nil {
		return j.err
	}
	j.pending = append(j.pending, line{e, append(text, '\n')})
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

// run writes what is appended until the lease ends; then the journal fails. If it cannot write, the lease ends: nothing can
// be done about an account without a journal, here.
func (j *journal) run() {
	ctx := j.lease.context
	stop := context.AfterFunc(ctx, func() { j.fail(context.Cause(ctx)) })
	defer stop()
	for {
		lines, n := j.next()
		if lines == nil {
			return
		}
		if err := j.write(ctx, lines, n); err != nil {
			j.fail(err)
			j.lease.lose(err)
			return
		}
		j.mu.Lock()
		j.durable += len(lines)
		for _, l := range lines {
			j.kept = append(j.kept, l.entry)
		}
		j.changed.Broadcast()
		j.mu.Unlock()
	}
}

// next waits for entries to write. It returns nil when the journal has failed.
func (j *journal) next() ([]line, uint64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for j.err == nil && len(j.pending) == 0 {
		j.changed.Wait()
	}
	if j.err != nil {
		return nil, 0
	}
	n, size := 0, 0
	for n < len(j.pending) && size+len(j.pending[n].text) <= maxWrite {
		size += len(j.pending[n].text)
		n++
	}
	lines := j.pending[:n:n]
	j.pending = j.pending[n:]
	j.written++
	return lines, j.written
}

func (j *journal) fail(err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.err == nil {
		j.err = j.failed(err)
	}
	j.changed.Broadcast()
}

func (j *journal) failed(err error) error {
	return &authz.JournalError{Path: "of " + j.lease.value.Account, Err: err}
}

// write writes some entries, again and again until the server has them or the lease is over.
func (j *journal) write(ctx context.Context, lines []line, n uint64) error {
	var b bytes.Buffer
	for _, l := range lines {
		b.Write(l.text)
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

// Entries is all entries that were durable when the range begins, of every owner, in the order of writing.
func (j *journal) Entries() iter.Seq2[authz.JournalEntry, error] {
	return func(yield func(authz.JournalEntry, error) bool) {
		j.mu.Lock()
		old := time.Now().Add(-j.age)
		if i := slices.IndexFunc(j.kept, func(e authz.JournalEntry) bool { return e.Time.After(old) }); i > 0 {
			j.kept = slices.Clone(j.kept[i:])
		}
		kept := j.kept[:len(j.kept):len(j.kept)]
		j.mu.Unlock()
		for _, e := range kept {
			if !yield(e, nil) {
				return
			}
		}
	}
}

// load reads what earlier owners wrote, and the state that the last one left, nil if there is none. It is all of it: what
// comes from a server that has not stored this owner's fence yet does not count.
func (j *journal) load() (state []byte, err error) {
	ctx, cancel := context.WithTimeout(j.lease.context, loadWait)
	defer cancel()
	for {
		state, err = j.read(ctx)
		if !errors.Is(err, errBehind) && !errors.Is(err, errSilent) {
			return state, err
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// loadWait is how long a server may take to catch up, and to send a journal or a snapshot.
const loadWait = 10 * time.Minute

func (j *journal) read(ctx context.Context) (state []byte, err error) {
	token := j.lease.token
	epoch, journals := wire.KeySubject(wire.EpochKey(token)), wire.KeySubject("journal."+token+".*")
	fence := false
	var kept []authz.JournalEntry
	for m, err := range messages(ctx, j.lease.js, "KV_"+wire.AccountBucket, 1, wire.KeySubject(wire.StateKey(token)), epoch, journals) {
		if err != nil {
			return nil, j.failed(err)
		}
		switch m.Subject() {
		case epoch:
			meta, err := m.Metadata()
			fence = err == nil && meta.Sequence.Stream >= j.lease.epoch
		case wire.KeySubject(wire.StateKey(token)):
			state = m.Data()
		default:
			for text := range bytes.Lines(m.Data()) {
				var e authz.JournalEntry
				if err := json.Unmarshal(text, &e); err != nil {
					return nil, j.failed(fmt.Errorf("%s has no entry: %w", m.Subject(), err))
				}
				kept = append(kept, e)
			}
		}
	}
	if !fence {
		return nil, j.failed(errBehind)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.kept = kept
	return state, nil
}

// messages is what a stream has of some subjects when the range begins, from a sequence on. It is all of it that the server
// has, or there is an error.
func messages(ctx context.Context, js jetstream.JetStream, stream string, from uint64, subjects ...string) iter.Seq2[jetstream.Msg, error] {
	return func(yield func(jetstream.Msg, error) bool) {
		limited, cancel := context.WithTimeout(ctx, 2*fetchWait) // a request that is lost while there is no leader is not answered later
		defer cancel()
		c, err := js.CreateConsumer(limited, stream, jetstream.ConsumerConfig{
			FilterSubjects: subjects, DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: max(from, 1),
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
