package hub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/acmeauthz/acmeauthz/authz"
	"github.com/acmeauthz/acmeauthz/examples/fleet/wire"
	"github.com/acmeauthz/acmeauthz/logparse"
	"github.com/nats-io/nats.go/jetstream"
)

// An account that a hub has.
//
//	load    the state names a snapshot; what came since is in ACCOUNTS
//	merge   message by message, as they come
//	save    snapshot, then state, then what is in it is removed from ACCOUNTS, and the snapshot before it
//	sweep   what is done about its authorizations, beside all that; what the CA said comes back through ACCOUNTS
//
// Invariants:
//   - a hub may be killed between any two steps: the state always names a snapshot that is there, and what is not in it is
//     in ACCOUNTS.
//   - only an object of an older epoch, or one's own that the state does not name any more, is deleted.
//   - what was read from a server that is behind the fence does not count.
//   - history is used in run's goroutine only.
type owned struct {
	hub     *Hub
	lease   *lease
	journal *journal
	account string
	token   string
	log     logger

	history  *logparse.History
	weight   int64  // at most so many bytes of JSON are in it
	heavy    bool   // and no more are merged
	applied  uint64 // the last message that was merged
	changed  bool   // history, since the last snapshot
	state    wire.AccountState
	known    bool   // the state was read; until then it is not written
	number   uint64 // of the last snapshot
	uploaded *upload
	forgot   time.Time
	counted  time.Time
	kept     time.Time // since when the hub should have given it away, but has it a while
	messages chan jetstream.Msg
	orphans  chan []string // objects of the account, some of which may be nobody's any more

	shown atomic.Pointer[wire.AccountState] // the state that was saved last
	work  sweeper
}

// An upload is a snapshot that was written, and that no state is known to name yet.
type upload struct {
	name    string
	applied uint64
}

// run works on the account until the lease ends, and gives it back if it can.
func (o *owned) run() {
	ctx := o.lease.context
	var group sync.WaitGroup
	defer group.Wait()
	defer o.release()
	group.Go(o.journal.run)
	if !o.loaded(ctx) {
		return
	}
	o.messages = make(chan jetstream.Msg)
	next := o.applied + 1
	group.Go(func() { o.consume(ctx, next) })
	o.loop(ctx)
}

// loads is how often loading is tried before the account is left to another hub.
const loads = 5

// loaded loads the account. It reports false if that cannot be done, which the state then tells.
func (o *owned) loaded(ctx context.Context) bool {
	for try := 1; ctx.Err() == nil; try++ {
		err := o.load(ctx)
		switch {
		case err == nil:
			return true
		case ctx.Err() != nil:
			return false
		}
		o.log.Warn("account cannot be loaded", "error", err)
		if try == loads {
			o.tellProblem(ctx, "it cannot be loaded: "+problem(err))
			o.hub.giveUp(o.token)
			return false
		}
		pause(ctx, o.hub.config.life()/3)
	}
	return false
}

// tellProblem writes a problem into the state, which else stays as it is: one that was not read stays as a whole.
func (o *owned) tellProblem(ctx context.Context, what string) {
	if !o.known {
		return
	}
	state := o.state
	state.Schema, state.Account, state.Hub, state.Epoch, state.Work.Problem = wire.StateSchema, o.account, o.hub.config.Name, o.lease.epoch, what
	data, err := json.Marshal(&state)
	if err == nil {
		err = o.lease.fenced(ctx, wire.StateKey(o.token), data)
	}
	if err != nil {
		o.log.Warn("the state is not saved", "error", err)
	}
}

// release saves what is not saved, and gives the account back.
func (o *owned) release() {
	ctx, cancel := context.WithTimeout(context.Background(), o.hub.config.life()/3)
	defer cancel()
	if o.lease.valid() {
		_ = o.lease.release(ctx)
	}
	o.lease.lose(ErrLost)
}

func (o *owned) loop(ctx context.Context) {
	every := o.hub.config.saveEvery()
	tick := time.NewTicker(min(every, time.Second)) // what is new after a while is saved soon
	defer tick.Stop()
	var saved, swept time.Time
	ctx, cancel := context.WithCancel(ctx)
	sweep := newRunningSweep()
	defer func() { sweep.wait() }() // whichever it is then
	defer cancel()
	for {
		select {
		case <-ctx.Done():
			return
		case m := <-o.messages:
			o.merge(m)
		case r := <-sweep.results:
			o.work.done(o, r)
		case <-sweep.ended:
			sweep = newRunningSweep()
			o.work.ended()
		case names := <-o.orphans:
			o.removeOrphans(ctx, names)
		case now := <-tick.C:
			if o.hub.stream.isAnother(o.state.Stream) {
				o.log.Warn("the stream of accounts was made anew: the account is loaded again")
				return
			}
			o.forget()
			o.recount()
			if now.Sub(saved) >= every && (o.changed || o.work.news) {
				saved = now
				if err := o.save(ctx); err != nil && ctx.Err() == nil {
					o.log.Warn("account cannot be saved", "error", err)
				}
			}
			if !sweep.running && now.Sub(swept) >= every && o.work.due(o) {
				swept = now
				if job := o.work.job(o); job != nil {
					sweep.start(ctx, job)
				}
			}
			if time.Now().After(o.kept) && o.hub.shouldLeave(o.token) {
				return // a sweep ends in the middle; the next owner goes on by the journal
			}
		}
	}
}

// A runningSweep is one that works beside the history, or none.
type runningSweep struct {
	running bool
	results chan sweepResult
	ended   chan struct{}
}

func newRunningSweep() *runningSweep {
	return &runningSweep{results: make(chan sweepResult), ended: make(chan struct{})}
}

func (r *runningSweep) start(ctx context.Context, job func(context.Context, func(sweepResult))) {
	r.running = true
	go func() {
		defer close(r.ended)
		job(ctx, func(result sweepResult) {
			select {
			case r.results <- result:
			case <-ctx.Done():
			}
		})
	}()
}

// wait waits until its last request has ended.
func (r *runningSweep) wait() {
	if r.running {
		<-r.ended
	}
}

// load reads the journal, the state and the snapshot that it names, and what came since.
func (o *owned) load(ctx context.Context) error {
	o.history, o.weight, o.applied, o.known, o.uploaded = new(logparse.History), 0, 0, false, nil
	data, err := o.journal.load()
	if err != nil {
		return err
	}
	o.state = wire.AccountState{}
	if data != nil {
		if err := json.Unmarshal(data, &o.state); err != nil {
			return fmt.Errorf("the state: %w", err)
		}
	}
	o.known = true
	if err := o.loadSnapshot(ctx); err != nil {
		return err
	}
	o.history.MaxAuthorizations, o.history.Recent = o.hub.config.maxAuthorizations(), o.hub.config.Recent
	if err := o.checkStream(ctx); err != nil {
		return err
	}
	for m, err := range messages(ctx, o.hub.js, wire.AccountStream, o.applied+1, wire.AccountSubject(o.token)) {
		if err != nil {
			return err
		}
		o.merge(m)
	}
	o.work.load(o)
	o.log.Info("account loaded", "records", o.history.Records(), "applied", o.applied)
	return nil
}

func (o *owned) loadSnapshot(ctx context.Context) error {
	if o.state.Snapshot == "" {
		return nil
	}
	data, err := o.hub.store.read(ctx, o.hub.histories, o.state.Snapshot)
	if err == nil {
		o.history, o.weight, err = wire.DecodeHistory(data, wire.MaxHistory)
	}
	if err != nil {
		return fmt.Errorf("the snapshot %s: %w", o.state.Snapshot, err)
	}
	o.applied = o.state.Applied
	return nil
}

// checkStream starts from the beginning of ACCOUNTS if that is not the stream any more whose messages the state counts: it
// was made anew, or restored from a copy. What was merged before merges to the same.
func (o *owned) checkStream(ctx context.Context) error {
	stream, err := o.hub.js.Stream(ctx, wire.AccountStream)
	if err != nil {
		return err
	}
	info := stream.CachedInfo()
	if o.applied > info.State.LastSeq || !o.state.Stream.IsZero() && !o.state.Stream.Equal(info.Created) {
		o.log.Warn("the stream of accounts is another one: all of it is merged", "applied", o.applied, "last", info.State.LastSeq)
		o.applied, o.state.Applied = 0, 0
	}
	o.state.Stream = info.Created.UTC()
	return nil
}

// removeOrphans deletes those of the account's objects that nobody needs: earlier owners have left them behind.
func (o *owned) removeOrphans(ctx context.Context, names []string) {
	for _, name := range names {
		var epoch, n uint64
		rest, mine := strings.CutPrefix(name, o.token+".")
		named := name == o.state.Snapshot || o.uploaded != nil && name == o.uploaded.name
		if _, err := fmt.Sscanf(rest, "%d.%d", &epoch, &n); !mine || err != nil || named {
			continue
		}
		if epoch < o.lease.epoch || epoch == o.lease.epoch && n < o.number {
			if err := o.hub.store.remove(ctx, name); err != nil {
				o.log.Warn("an old snapshot is not removed", "object", name, "error", err)
			}
		}
	}
}

// consume receives what is added to ACCOUNTS for the account, until ctx ends.
func (o *owned) consume(ctx context.Context, next uint64) {
	for ctx.Err() == nil {
		c, err := o.hub.js.OrderedConsumer(ctx, wire.AccountStream, jetstream.OrderedConsumerConfig{
			FilterSubjects: []string{wire.AccountSubject(o.token)}, DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: next,
		})
		if err != nil {
			o.log.Warn("messages cannot be received", "error", err)
			pause(ctx, time.Second)
			continue
		}
		if err := o.receive(ctx, c, &next); err != nil && ctx.Err() == nil {
			o.log.Warn("messages cannot be received", "error", err)
			pause(ctx, time.Second)
		}
	}
}

func (o *owned) receive(ctx context.Context, c jetstream.Consumer, next *uint64) error {
	all, err := c.Messages(jetstream.PullMaxMessages(64))
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, all.Stop)
	defer stop()
	for {
		m, err := all.Next()
		if err != nil {
			if errors.Is(err, jetstream.ErrMsgIteratorClosed) || ctx.Err() != nil {
				return nil
			}
			o.log.Warn("messages are late", "error", err)
			continue
		}
		select {
		case o.messages <- m:
			if meta, err := m.Metadata(); err == nil {
				*next = meta.Sequence.Stream + 1
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// merge adds a message to the history. One that was merged before changes nothing.
func (o *owned) merge(m jetstream.Msg) {
	meta, err := m.Metadata()
	if err != nil || meta.Sequence.Stream <= o.applied {
		return
	}
	h, size, err := wire.DecodeHistory(m.Data(), wire.MaxShard)
	o.heavy = o.heavy || o.weight+size > o.maxWeight()
	switch {
	case err != nil:
		o.log.Warn("a message is no shard", "sequence", meta.Sequence.Stream, "error", err)
	case o.heavy:
		o.log.Warn("a message is left out: the account has too much already", "sequence", meta.Sequence.Stream, "bytes", o.weight)
		o.work.news = true
	default:
		o.history.Merge(h)
		o.weight += size
		o.hub.stats.merged.Add(1)
		o.changed = true
		o.work.changed = true
	}
	o.applied = meta.Sequence.Stream
}

// forgetEvery is how often old authorizations are forgotten.
const forgetEvery = time.Hour

func (o *owned) forget() {
	now := time.Now()
	if now.Sub(o.forgot) < forgetEvery {
		return
	}
	o.forgot = now
	if o.history.Forget(now.Add(-o.hub.config.retention())) > 0 {
		o.changed = true
	}
	maps.DeleteFunc(o.work.settled, func(url, _ string) bool {
		_, known := o.history.Life(url)
		return !known
	})
}

// maxWeight bounds the history in bytes of JSON: what is in a record is not bounded otherwise.
func (o *owned) maxWeight() int64 {
	return min(int64(o.hub.config.maxAuthorizations())*perAuthorization, wire.MaxHistory/2)
}

// perAuthorization is how many bytes of JSON an authorization may take with all that is known of it: some times what it does.
const perAuthorization = 4 << 10

// save makes a snapshot if there is something new in the history, and writes the state.
//
// Each snapshot has a new name. When it is not known whether a state that names it was written, that state is written again
// before there is another snapshot, so that no more than one is unnamed.
func (o *owned) save(ctx context.Context) error {
	if o.changed && o.uploaded == nil {
		if err := o.saveSnapshot(ctx); err != nil {
			return err
		}
		o.count()
	}
	old := o.state.Snapshot
	if err := o.saveState(ctx); err != nil {
		return err
	}
	o.work.news = false
	if o.uploaded == nil {
		return nil
	}
	o.state.Snapshot, o.state.Applied, o.uploaded = o.uploaded.name, o.uploaded.applied, nil
	return o.tidy(ctx, old)
}

// saveSnapshot writes the history.
func (o *owned) saveSnapshot(ctx context.Context) error {
	data, err := wire.EncodeHistory(o.history)
	if err != nil {
		return err
	}
	o.number++
	name := fmt.Sprintf("%s.%d.%d", o.token, o.lease.epoch, o.number)
	if err := o.hub.store.write(ctx, o.hub.histories, name, data); err != nil {
		return err
	}
	o.uploaded, o.changed = &upload{name, o.applied}, false
	o.hub.stats.snapshots.Add(1)
	o.hub.stats.snapshotBytes.Add(int64(len(data)))
	return nil
}

// saveState writes the state, with the snapshot that was written last.
func (o *owned) saveState(ctx context.Context) error {
	state := o.state
	state.Schema, state.Account, state.Hub, state.Epoch = wire.StateSchema, o.account, o.hub.config.Name, o.lease.epoch
	state.Updated, state.Work = time.Now().UTC(), o.work.told(o)
	if o.uploaded != nil {
		state.Snapshot, state.Applied = o.uploaded.name, o.uploaded.applied
	}
	data, err := json.Marshal(&state)
	if err == nil && len(data) > wire.MaxState { // names in logs can be anything
		state.Domains, state.Hosts = []wire.Count{}, []wire.Count{}
		data, err = json.Marshal(&state)
	}
	if err != nil {
		return err
	}
	if err := o.lease.fenced(ctx, wire.StateKey(o.token), data); err != nil {
		return err
	}
	o.shown.Store(&state)
	return nil
}

// tidy removes what is in the snapshot now: messages, unless they are of another stream than those that it counts, and the
// snapshot before.
func (o *owned) tidy(ctx context.Context, old string) error {
	stream, err := o.hub.js.Stream(ctx, wire.AccountStream)
	if err == nil && o.state.Applied > 0 && stream.CachedInfo().Created.Equal(o.state.Stream) {
		err = stream.Purge(ctx, jetstream.WithPurgeSubject(wire.AccountSubject(o.token)), jetstream.WithPurgeSequence(o.state.Applied+1))
	}
	if err == nil && old != "" && old != o.state.Snapshot {
		err = o.hub.store.remove(ctx, old)
	}
	return err
}

// recountEvery is how often verdicts are looked at again if nothing is new: what is at work becomes a leak.
const recountEvery = time.Minute

// recount counts again if that may change something.
func (o *owned) recount() {
	if o.changed || time.Since(o.counted) < min(recountEvery, max(o.hub.config.Recent, time.Second)) || o.state.Verdicts[string(logparse.InProgress)] == 0 {
		return
	}
	before := o.state.Verdicts
	if o.count(); !maps.Equal(before, o.state.Verdicts) {
		o.work.changed, o.work.news = true, true
	}
}

// count fills in what people want to know.
func (o *owned) count() {
	o.counted = time.Now()
	s := o.history.Summary()
	o.state.Authorizations, o.work.dropped = s.Authorizations, s.Dropped
	o.state.Verdicts, o.state.Causes = make(map[string]int), make(map[string]int)
	for v, n := range s.Verdicts {
		o.state.Verdicts[string(v)] = n
	}
	for c, n := range s.Causes {
		o.state.Causes[string(c)] = n
	}
	o.state.Domains, o.state.Hosts = counts(o.history.Groups(logparse.ByDomain)), counts(o.history.Groups(logparse.ByHost))
}

// maxKey bounds the names in a state, in bytes.
const maxKey = 128

// counts are the groups with the most leaks.
func counts(groups []logparse.Group) []wire.Count {
	all := []wire.Count{}
	for _, g := range groups {
		if n := g.Leaks(); n > 0 && len(all) < wire.MaxCounts {
			all = append(all, wire.Count{Key: strings.ToValidUTF8(g.Key[:min(len(g.Key), maxKey)], ""), Leaked: n})
		}
	}
	return all
}

var _ authz.Journal = (*journal)(nil)
