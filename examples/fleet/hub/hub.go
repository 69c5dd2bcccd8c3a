// Package hub is the middle of a fleet: it splits what agents send by account,
// keeps a History of each account, and does something about what leaked. Any
// number of hubs may run; each account is one hub's at a time.
package hub

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"hash/fnv"
	"log/slog"
	"maps"
	"net/http"
	"path"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/acmeauthz/acmeauthz/account"
	"github.com/acmeauthz/acmeauthz/authz"
	"github.com/acmeauthz/acmeauthz/examples/fleet/wire"
	"github.com/nats-io/nats.go/jetstream"
)

type logger = *slog.Logger

// A Config says how a hub works. Name is required.
type Config struct {
	// Name tells hubs apart. Two must not have the same.
	Name string

	// Version is told to people.
	Version string

	// Accounts have the keys. An account that is none of them is watched only. The
	// CA is asked for the URL of one that has none.
	Accounts []*account.Account

	// Policies say what is done, per account; the first that fits counts. If none
	// does, what leaked is cleared in the way that costs least.
	Policies []Policy

	// Apply does what is planned. If it is false, and the policy does not say
	// otherwise, nothing is changed.
	Apply bool

	// Profiles go before those of authz.
	Profiles []authz.Profile

	// Transport sends the requests to CAs. If it is nil, it is http.DefaultTransport.
	Transport http.RoundTripper

	// Parallelism is the most requests of one account that are under way at once.
	// If it is zero, it is that of authz.Manager.
	Parallelism int

	// KeepYounger is that of authz.Policy.
	KeepYounger time.Duration

	// LeaseLife is how long an account stays with a hub that says nothing: so
	// long, and a third of it, nobody works on the accounts of one that was
	// killed. If it is zero, it is 15 seconds.
	LeaseLife time.Duration

	// SaveEvery is how often an account's snapshot is made at most, and how often
	// a sweep begins. What is new after a longer time is saved within a second. If
	// it is zero, it is 15 seconds.
	SaveEvery time.Duration

	// SweepEvery is how often authorizations that are still pending are looked at
	// again. If it is zero, it is an hour. New ones are looked at when the account
	// has been saved.
	SweepEvery time.Duration

	// Recent is that of logparse.History: for how long a run that has not ended is
	// taken to be at work.
	Recent time.Duration

	// Retention is after how long what is over is forgotten, and entries of
	// journals. If it is zero, it is 90 days.
	Retention time.Duration

	// MaxAccounts bounds how many accounts there may be, MaxHostAccounts how many
	// of them one host can make known to a hub, so that no host uses them up;
	// what is told of others is left out. If they are zero, they are 10,000 and
	// 100. MaxAuthorizations bounds those of one account; if it is zero, it is a
	// million.
	MaxAccounts, MaxHostAccounts, MaxAuthorizations int

	// Logger receives what happens. If it is nil, nothing is logged.
	Logger *slog.Logger
}

func (c *Config) log() *slog.Logger {
	if c.Logger == nil {
		return slog.New(slog.DiscardHandler)
	}
	return c.Logger
}
func (c *Config) life() time.Duration       { return cmp.Or(c.LeaseLife, 15*time.Second) }
func (c *Config) saveEvery() time.Duration  { return cmp.Or(c.SaveEvery, 15*time.Second) }
func (c *Config) sweepEvery() time.Duration { return cmp.Or(c.SweepEvery, time.Hour) }
func (c *Config) retention() time.Duration  { return cmp.Or(c.Retention, 90*24*time.Hour) }
func (c *Config) maxAccounts() int          { return cmp.Or(c.MaxAccounts, 10_000) }
func (c *Config) maxAuthorizations() int    { return cmp.Or(c.MaxAuthorizations, 1_000_000) }
func (c *Config) maxHostAccounts() int      { return cmp.Or(c.MaxHostAccounts, 100) }

// A Hub is one of a fleet's. Make one with New.
type Hub struct {
	config    Config
	js        jetstream.JetStream
	accounts  jetstream.KeyValue
	hubs      jetstream.KeyValue
	histories jetstream.ObjectStore
	ingester  *ingester
	stats     counters
	started   time.Time
	limiters  limiters
	keys      *keys
	nameless  []*account.Account // whose URL is not stored with the key
	store     store
	tidyEvery time.Duration
	stream    streamSighting

	mu      sync.Mutex
	leases  map[string]sighting // of all accounts, by token
	members map[string]member   // hubs that are alive, by name
	owned   map[string]*owned
	beaten  time.Time            // the last heartbeat that the server has
	failed  map[string]time.Time // when an account could not be loaded
}

// A sighting is a lease as another hub wrote it, and since when it has not changed, by this hub's clock.
type sighting struct {
	lease    wire.Lease
	revision uint64
	since    time.Time
}

// A member is a hub, when it was heard last, by this hub's clock, and how often it should be.
type member struct {
	keys map[string]bool
	seen time.Time
	beat time.Duration
}

// alive reports whether a member was heard lately: hubs may have different settings.
func (m member) alive(h *Hub) bool { return time.Since(m.seen) < max(h.over(), 3*m.beat) }

// streamEvery is how often the stream of accounts is looked at.
const streamEvery = 30 * time.Second

// New returns a hub on a server that was set up.
func New(ctx context.Context, js jetstream.JetStream, config Config) (*Hub, error) {
	if _, err := wire.HostToken(config.Name); err != nil {
		return nil, err
	}
	config.Name = strings.ToLower(config.Name) // as its token is
	h := &Hub{config: config, js: js, started: time.Now(), store: store{js: js}, tidyEvery: time.Hour, leases: make(map[string]sighting), members: make(map[string]member), owned: make(map[string]*owned), failed: make(map[string]time.Time)}
	h.stream.every = streamEvery
	h.keys, h.nameless = newKeys(config.Accounts)
	var err error
	if h.accounts, err = js.KeyValue(ctx, wire.AccountBucket); err != nil {
		return nil, err
	}
	if h.hubs, err = js.KeyValue(ctx, wire.HubBucket); err != nil {
		return nil, err
	}
	if h.histories, err = js.ObjectStore(ctx, wire.HistoryStore); err != nil {
		return nil, err
	}
	h.ingester = &ingester{js: js, kv: h.accounts, config: &h.config, stats: &h.stats, known: make(map[string]bool), admitted: make(map[string]bool), brought: make(map[string]int)}
	return h, nil
}

// Run works until ctx ends; then the accounts are given back. It always returns nil: while the server is away, it waits.
func (h *Hub) Run(ctx context.Context) error {
	h.warn()
	var group sync.WaitGroup
	defer group.Wait()
	leases, members := make(chan jetstream.KeyValueEntry), make(chan jetstream.KeyValueEntry)
	group.Go(func() { h.watch(ctx, h.accounts, wire.LeaseKey("*"), leases) })
	group.Go(func() { h.watch(ctx, h.hubs, ">", members) })
	group.Go(func() { h.every(ctx, h.beatEvery(), h.beat) })
	group.Go(func() { h.every(ctx, h.config.life()/3, h.renewAll) })
	group.Go(func() { h.every(ctx, h.stream.every, h.lookAtStream) })
	group.Go(func() { h.tidyStore(ctx) })
	group.Go(func() { h.findURLs(ctx) })
	known := make(chan struct{}) // closed when the accounts that there are are known
	group.Go(func() { h.work(ctx, known, &group) })
	once := sync.OnceFunc(func() { close(known) })
	defer once()
	for {
		select {
		case <-ctx.Done():
			h.leave()
			return nil
		case e := <-leases:
			if e == nil {
				once()
				continue
			}
			h.sawLease(e)
		case e := <-members:
			if e != nil {
				h.sawMember(e)
			}
		}
	}
}

// maxBeat is how often a hub tells that it is alive, at least: the bucket forgets it after half a minute.
const maxBeat = 8 * time.Second

func (h *Hub) beatEvery() time.Duration { return min(h.config.life()/3, maxBeat) }

// A streamSighting is when the stream of accounts was made, as it was when it was looked at last.
type streamSighting struct {
	every   time.Duration
	created atomic.Int64 // nanoseconds of Unix time; 0 before the first look
}

// isAnother reports whether the stream is not the one that was made then.
func (s *streamSighting) isAnother(created time.Time) bool {
	now := s.created.Load()
	return now != 0 && now != created.UnixNano()
}

// lookAtStream looks whether the stream of accounts is still the same: somebody may delete it and make it anew.
func (h *Hub) lookAtStream(ctx context.Context) {
	limited, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if stream, err := h.js.Stream(limited, wire.AccountStream); err == nil {
		h.stream.created.Store(stream.CachedInfo().Created.UnixNano())
	}
}

// giveUp notes that an account cannot be loaded here, so that another hub may try.
func (h *Hub) giveUp(token string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.failed[token] = time.Now()
}

// forgottenAfter is after how long hubs that are gone, and failures, are forgotten.
const forgottenAfter = time.Hour

// work takes accounts and splits shards until ctx ends.
func (h *Hub) work(ctx context.Context, known <-chan struct{}, accounts *sync.WaitGroup) {
	<-known
	var group sync.WaitGroup
	defer group.Wait()
	group.Go(func() {
		for ctx.Err() == nil {
			if err := h.ingester.run(ctx); err != nil && ctx.Err() == nil {
				h.config.log().Warn("shards are not split", "error", err)
				pause(ctx, time.Second)
			}
		}
	})
	pause(ctx, h.config.life()/3) // until the others have been heard
	h.every(ctx, h.config.life()/3, func(ctx context.Context) { h.takeAll(ctx, accounts) })
}

// every does something at once and then again and again, until ctx ends.
func (h *Hub) every(ctx context.Context, d time.Duration, do func(context.Context)) {
	tick := time.NewTicker(d)
	defer tick.Stop()
	for ctx.Err() == nil {
		do(ctx)
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}

// watch hands on the values of keys until ctx ends, and nil when all that there were have come. A watch ends when the server
// cannot make its consumer again after it was away; then all values come once more.
func (h *Hub) watch(ctx context.Context, kv jetstream.KeyValue, keys string, to chan<- jetstream.KeyValueEntry) {
	for ctx.Err() == nil {
		err := watchOnce(ctx, kv, keys, to)
		if ctx.Err() == nil {
			h.config.log().Warn("a bucket is watched again", "bucket", kv.Bucket(), "error", err)
			pause(ctx, time.Second)
		}
	}
}

func watchOnce(ctx context.Context, kv jetstream.KeyValue, keys string, to chan<- jetstream.KeyValueEntry) error {
	w, err := kv.Watch(ctx, keys)
	if err != nil {
		return err
	}
	defer func() { _ = w.Stop() }()
	for {
		select {
		case <-ctx.Done():
			return nil
		case e, ok := <-w.Updates():
			if !ok {
				return errors.New("the watch has ended")
			}
			select {
			case to <- e:
			case <-ctx.Done():
				return nil
			}
		}
	}
}

// warn tells of settings that have no effect.
func (h *Hub) warn() {
	if n := len(h.config.Accounts); n > maxKeys {
		h.config.log().Warn("other hubs are told of some of the keys only, and may take accounts whose keys they lack", "keys", n, "told", maxKeys)
	}
	for i, p := range h.config.Policies {
		fits := func(a *account.Account) bool { ok, _ := path.Match(p.Accounts, a.URL); return ok }
		if p.Accounts != "" && len(h.config.Accounts) > 0 && !slices.ContainsFunc(h.config.Accounts, fits) {
			h.config.log().Warn("a policy is about no account whose key is here: see slashes and ports", "policy", i+1, "accounts", p.Accounts)
		}
	}
}

// leave takes the hub off the list.
func (h *Hub) leave() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	token, _ := wire.HostToken(h.config.Name)
	_ = h.hubs.Delete(ctx, token)
}

func (h *Hub) sawLease(e jetstream.KeyValueEntry) {
	token := strings.TrimPrefix(e.Key(), wire.LeaseKey(""))
	h.mu.Lock()
	defer h.mu.Unlock()
	if e.Operation() != jetstream.KeyValuePut {
		delete(h.leases, token)
		return
	}
	if h.leases[token].revision == e.Revision() {
		return // a watch that began again: it is as old as it was
	}
	s := sighting{revision: e.Revision(), since: time.Now()}
	if json.Unmarshal(e.Value(), &s.lease) == nil {
		h.leases[token] = s
		h.ingester.learn(token)
	}
}

func (h *Hub) sawMember(e jetstream.KeyValueEntry) {
	name, err := wire.HostName(e.Key())
	if err != nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	var s wire.HubState
	if e.Operation() != jetstream.KeyValuePut || json.Unmarshal(e.Value(), &s) != nil {
		delete(h.members, name)
		return
	}
	m := member{keys: make(map[string]bool, len(s.Keys)), seen: time.Now(), beat: time.Duration(s.Beat) * time.Millisecond}
	for _, k := range s.Keys {
		m.keys[k] = true
	}
	h.members[name] = m
}

// maxKeys is how many accounts a heartbeat names, of those whose keys the hub has: a value of a bucket is bounded.
const maxKeys = 2000

// beat tells that the hub is alive.
func (h *Hub) beat(ctx context.Context) {
	s := wire.HubState{
		Schema: wire.HubSchema, Hub: h.config.Name, Version: h.config.Version, Started: h.started.UTC(), Seen: time.Now().UTC(),
		Keys: []string{}, Lag: h.stats.lag.Load(), Beat: h.beatEvery().Milliseconds(),
	}
	for _, url := range h.keys.urls() {
		if len(s.Keys) < maxKeys {
			s.Keys = append(s.Keys, wire.AccountToken(url))
		}
	}
	h.mu.Lock()
	s.Accounts = len(h.owned)
	maps.DeleteFunc(h.members, func(_ string, m member) bool { return time.Since(m.seen) > forgottenAfter })
	maps.DeleteFunc(h.failed, func(_ string, at time.Time) bool { return time.Since(at) > forgottenAfter })
	h.mu.Unlock()
	data, err := json.Marshal(&s)
	if err != nil {
		return
	}
	token, _ := wire.HostToken(h.config.Name)
	limited, cancel := context.WithTimeout(ctx, h.config.life()/3)
	defer cancel()
	if _, err := h.hubs.Put(limited, token, data); err != nil {
		if ctx.Err() != nil {
			return
		}
		h.config.log().Warn("heartbeat was not sent", "error", err)
		return
	}
	h.mu.Lock()
	h.beaten = time.Now()
	h.mu.Unlock()
}

// over is how long a hub must not have been heard to be given up.
func (h *Hub) over() time.Duration { return h.config.life() * 4 / 3 }

// over is how long a lease must not have changed to be over: hubs may have different settings.
func (s sighting) over(h *Hub) time.Duration {
	return max(h.config.life(), time.Duration(s.lease.Life)*time.Millisecond) * 4 / 3
}

// best is the hub that should have an account: by rendezvous hashing over those that are alive, with those that have its
// key before the others. It only spreads the work; who has it is up to the lease.
func (h *Hub) best(token string) string {
	type candidate struct {
		name string
		key  bool
		hash uint64
	}
	var all []candidate
	for name, m := range h.members {
		if m.alive(h) || name == h.config.Name {
			f := fnv.New64a()
			_, _ = f.Write([]byte(name + "\x00" + token))
			all = append(all, candidate{name, m.keys[token], mix(f.Sum64())})
		}
	}
	if len(all) == 0 {
		return h.config.Name
	}
	return slices.MaxFunc(all, func(a, b candidate) int {
		if a.key != b.key {
			if a.key {
				return 1
			}
			return -1
		}
		return cmp.Or(cmp.Compare(a.hash, b.hash), strings.Compare(a.name, b.name))
	}).name
}

// mix spreads the bits of a hash, of which FNV leaves the high ones much alike.
func mix(x uint64) uint64 {
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	return x
}

// shouldLeave reports whether another hub should have an account.
func (h *Hub) shouldLeave(token string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.best(token) != h.config.Name
}

// waits is how many times over() an account must have been nobody's until a hub takes it that is not the best: that one
// may be unable to.
const waits = 3

// takeSlots is how many accounts are taken at once.
const takeSlots = 8

// takeAll takes the accounts that are this hub's and nobody has.
func (h *Hub) takeAll(ctx context.Context, group *sync.WaitGroup) {
	type free struct {
		sighting
		best bool
	}
	h.mu.Lock()
	var all []free
	for token, s := range h.leases {
		taken := s.lease.Hub != "" && time.Since(s.since) < s.over(h)
		best := h.best(token) == h.config.Name
		if time.Since(h.failed[token]) < 2*waits*s.over(h) {
			continue // somebody else should try
		}
		if h.owned[token] == nil && !taken && (best || time.Since(s.since) > waits*s.over(h)) {
			all = append(all, free{s, best})
		}
	}
	h.mu.Unlock()
	var takes sync.WaitGroup
	slots := make(chan struct{}, takeSlots)
	for _, f := range all {
		slots <- struct{}{}
		takes.Go(func() {
			defer func() { <-slots }()
			if ctx.Err() == nil {
				h.take(ctx, f.sighting, f.best, group)
			}
		})
	}
	takes.Wait()
}

func (h *Hub) take(ctx context.Context, s sighting, best bool, group *sync.WaitGroup) {
	l, err := take(ctx, h.js, h.accounts, h.config.Name, s.lease.Account, s.revision, h.config.life())
	if err != nil {
		if !errors.Is(err, ErrLost) && ctx.Err() == nil {
			h.config.log().Warn("account cannot be taken", "account", s.lease.Account, "error", err)
		}
		return
	}
	if s.lease.Hub != "" {
		h.stats.takeovers.Add(1)
	}
	o := &owned{
		hub: h, lease: l, journal: newJournal(l, h.config.retention()), account: s.lease.Account, token: l.token, orphans: make(chan []string),
		log: h.config.log().With("account", s.lease.Account, "hub", h.config.Name, "epoch", l.epoch),
	}
	if !best {
		o.kept = time.Now().Add(10 * h.over())
	}
	o.log.Info("account taken", "from", s.lease.Hub)
	h.mu.Lock()
	h.owned[o.token] = o
	h.mu.Unlock()
	group.Go(func() {
		o.run()
		o.log.Info("account left")
		h.mu.Lock()
		delete(h.owned, o.token)
		h.mu.Unlock()
	})
}

// renewAll renews all leases.
func (h *Hub) renewAll(ctx context.Context) {
	h.mu.Lock()
	all := slices.Collect(maps.Values(h.owned))
	h.mu.Unlock()
	var group sync.WaitGroup
	slots := make(chan struct{}, 16)
	for _, o := range all {
		slots <- struct{}{}
		group.Go(func() {
			defer func() { <-slots }()
			if err := o.lease.renew(ctx); err != nil && ctx.Err() == nil && o.lease.context.Err() == nil {
				h.stats.renewalsFailed.Add(1)
				o.log.Warn("lease was not renewed", "error", err)
			}
		})
	}
	group.Wait()
}

// Stats are what a hub has counted since it was started.
type Stats struct {
	Shards, Refused, Bytes, Merged int64 // shards split, refused, their bytes; messages merged
	LeftOut                        int64 // parts of shards, of accounts that are too many
	Snapshots, SnapshotBytes       int64
	Takeovers, RenewalsFailed      int64
	Settled, Failed                int64  // authorizations
	Lag                            uint64 // shards that wait, when some were fetched last
	Accounts                       int
	Connected                      bool // the server has answered lately
	Heartbeat                      time.Time
	States                         []wire.AccountState // of its accounts
}

// Stats returns what was counted. It is safe for concurrent use with Run.
func (h *Hub) Stats() Stats {
	s := Stats{
		Shards: h.stats.shards.Load(), Refused: h.stats.refused.Load(), Bytes: h.stats.bytes.Load(), Merged: h.stats.merged.Load(), LeftOut: h.stats.leftOut.Load(),
		Snapshots: h.stats.snapshots.Load(), SnapshotBytes: h.stats.snapshotBytes.Load(), Takeovers: h.stats.takeovers.Load(),
		RenewalsFailed: h.stats.renewalsFailed.Load(), Settled: h.stats.settled.Load(), Failed: h.stats.failed.Load(), Lag: h.stats.lag.Load(),
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	s.Accounts, s.Heartbeat = len(h.owned), h.beaten
	s.Connected = !h.beaten.IsZero() && time.Since(h.beaten) < max(h.over(), 2*maxBeat)
	for _, o := range h.owned {
		if state := o.shown.Load(); state != nil {
			s.States = append(s.States, *state)
		}
	}
	return s
}
