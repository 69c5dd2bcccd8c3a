package hub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
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
//   - history is used in run's goroutine only.
type owned struct {
	hub     *Hub
	lease   *lease
	journal *journal
	account string
	token   string
	log     logger

	history  *logparse.History
	applied  uint64 // the last message that was merged
	changed  bool   // history, since the last snapshot
	state    wire.AccountState
	number   uint64 // of the last snapshot
	forgot   time.Time
	counted  time.Time
	messages chan jetstream.Msg

	work sweeper
}

// run works on the account until the lease ends, and gives it back if it can.
func (o *owned) run() {
	ctx := o.lease.context
	var group sync.WaitGroup
	defer group.Wait()
	defer o.release()
	group.Go(o.journal.run)
	for ctx.Err() == nil {
		err := o.load(ctx)
		if err == nil {
			break
		}
		if ctx.Err() == nil {
			o.log.Warn("account cannot be loaded", "error", err)
			pause(ctx, o.hub.config.life()/3)
		}
	}
	if ctx.Err() != nil {
		return
	}
	o.messages = make(chan jetstream.Msg)
	group.Go(func() { o.consume(ctx) })
	o.loop(ctx)
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
	save := time.NewTicker(o.hub.config.saveEvery())
	defer save.Stop()
	wake := time.NewTicker(o.hub.config.saveEvery())
	defer wake.Stop()
	ended := make(chan sweepResult)
	sweeping := false
	ctx, cancel := context.WithCancel(ctx)
	defer func() {
		cancel()
		if sweeping {
			<-ended
		}
	}()
	for {
		select {
		case <-ctx.Done():
			return
		case m := <-o.messages:
			o.merge(m)
		case r := <-ended:
			sweeping = false
			o.work.done(o, r)
		case <-save.C:
			o.recount()
			if err := o.save(ctx); err != nil && ctx.Err() == nil {
				o.log.Warn("account cannot be saved", "error", err)
			}
			if o.hub.shouldLeave(o.token) && !sweeping {
				return
			}
		case <-wake.C:
			if sweeping || !o.work.due(o) {
				continue
			}
			if job := o.work.job(o); job != nil {
				sweeping = true
				go func() { ended <- job(ctx) }()
			}
		}
	}
}

// load reads the state and the snapshot that it names, and what came since.
func (o *owned) load(ctx context.Context) error {
	o.history, o.applied = new(logparse.History), 0
	e, err := o.hub.accounts.Get(ctx, wire.StateKey(o.token))
	switch {
	case errors.Is(err, jetstream.ErrKeyNotFound):
	case err != nil:
		return err
	default:
		if err := json.Unmarshal(e.Value(), &o.state); err != nil {
			return fmt.Errorf("the state: %w", err)
		}
	}
	if o.state.Snapshot != "" {
		data, err := o.hub.histories.GetBytes(ctx, o.state.Snapshot)
		if err != nil {
			return fmt.Errorf("the snapshot %s: %w", o.state.Snapshot, err)
		}
		if o.history, err = wire.DecodeHistory(data, wire.MaxHistory); err != nil {
			return fmt.Errorf("the snapshot %s: %w", o.state.Snapshot, err)
		}
		o.applied = o.state.Applied
	}
	o.history.MaxAuthorizations, o.history.Recent = o.hub.config.MaxAuthorizations, o.hub.config.Recent
	for m, err := range messages(ctx, o.hub.js, wire.AccountStream, wire.AccountSubject(o.token), o.applied+1) {
		if err != nil {
			return err
		}
		o.merge(m)
	}
	if err := o.work.load(o); err != nil {
		return err
	}
	o.sweepOrphans(ctx)
	o.log.Info("account loaded", "authorizations", len(o.history.Lives()), "applied", o.applied)
	return nil
}

// sweepOrphans deletes snapshots that earlier owners have left behind.
func (o *owned) sweepOrphans(ctx context.Context) {
	objects, err := o.hub.histories.List(ctx)
	if err != nil {
		return // there are none, or the next owner will
	}
	for _, object := range objects {
		var epoch, n uint64
		rest, mine := strings.CutPrefix(object.Name, o.token+".")
		if _, err := fmt.Sscanf(rest, "%d.%d", &epoch, &n); mine && err == nil && epoch < o.lease.epoch && object.Name != o.state.Snapshot {
			_ = o.hub.histories.Delete(ctx, object.Name)
		}
	}
}

// consume receives what is added to ACCOUNTS for the account, until ctx ends.
func (o *owned) consume(ctx context.Context) {
	for ctx.Err() == nil {
		c, err := o.hub.js.OrderedConsumer(ctx, wire.AccountStream, jetstream.OrderedConsumerConfig{
			FilterSubjects: []string{wire.AccountSubject(o.token)}, DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: o.applied + 1,
		})
		if err != nil {
			o.log.Warn("messages cannot be received", "error", err)
			pause(ctx, time.Second)
			continue
		}
		if err := o.receive(ctx, c); err != nil && ctx.Err() == nil {
			o.log.Warn("messages cannot be received", "error", err)
		}
		return
	}
}

func (o *owned) receive(ctx context.Context, c jetstream.Consumer) error {
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
	h, err := wire.DecodeHistory(m.Data(), wire.MaxShard)
	if err != nil {
		o.log.Warn("a message is no shard", "sequence", meta.Sequence.Stream, "error", err)
	} else {
		o.history.Merge(h)
		o.hub.stats.merged.Add(1)
		o.changed = true
		o.work.changed = true
	}
	o.applied = meta.Sequence.Stream
}

// forgetEvery is how often old authorizations are forgotten.
const forgetEvery = time.Hour

// save makes a snapshot if there is something new, and writes the state.
func (o *owned) save(ctx context.Context) error {
	if !o.changed && !o.work.news {
		return nil
	}
	old := o.state.Snapshot
	if o.changed {
		if now := time.Now(); now.Sub(o.forgot) > forgetEvery {
			o.history.Forget(now.Add(-o.hub.config.retention()))
			o.forgot = now
		}
		data, err := wire.EncodeHistory(o.history)
		if err != nil {
			return err
		}
		o.number++
		o.state.Snapshot = fmt.Sprintf("%s.%d.%d", o.token, o.lease.epoch, o.number)
		if _, err := o.hub.histories.PutBytes(ctx, o.state.Snapshot, data); err != nil {
			o.state.Snapshot = old
			return err
		}
		o.hub.stats.snapshots.Add(1)
		o.hub.stats.snapshotBytes.Add(int64(len(data)))
		o.count()
	}
	o.state.Schema, o.state.Account, o.state.Hub, o.state.Epoch = wire.StateSchema, o.account, o.hub.config.Name, o.lease.epoch
	o.state.Updated, o.state.Applied, o.state.Work = time.Now().UTC(), o.applied, o.work.told(o)
	state, err := json.Marshal(&o.state)
	if err != nil {
		return err
	}
	if err := o.lease.fenced(ctx, wire.StateKey(o.token), state); err != nil {
		o.state.Snapshot = old // the object is an orphan, or it is named after all: then the next one replaces it
		return err
	}
	changed := o.changed
	o.changed, o.work.news = false, false
	if !changed {
		return nil
	}
	stream, err := o.hub.js.Stream(ctx, wire.AccountStream)
	if err == nil && o.applied > 0 {
		err = stream.Purge(ctx, jetstream.WithPurgeSubject(wire.AccountSubject(o.token)), jetstream.WithPurgeSequence(o.applied+1))
	}
	if err == nil && old != "" && old != o.state.Snapshot {
		err = o.hub.histories.Delete(ctx, old)
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
	o.state.Authorizations = s.Authorizations
	o.state.Verdicts, o.state.Causes = make(map[string]int), make(map[string]int)
	for v, n := range s.Verdicts {
		o.state.Verdicts[string(v)] = n
	}
	for c, n := range s.Causes {
		o.state.Causes[string(c)] = n
	}
	o.state.Domains, o.state.Hosts = counts(o.history.Groups(logparse.ByDomain)), counts(o.history.Groups(logparse.ByHost))
}

// counts are the groups with the most leaks.
func counts(groups []logparse.Group) []wire.Count {
	all := []wire.Count{}
	for _, g := range groups {
		if n := g.Leaks(); n > 0 && len(all) < wire.MaxCounts {
			all = append(all, wire.Count{Key: g.Key, Leaked: n})
		}
	}
	return all
}

var _ authz.Journal = (*journal)(nil)
