package hub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/acmeauthz/acmeauthz/examples/fleet/wire"
	"github.com/acmeauthz/acmeauthz/logparse"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// How shards become parts of accounts.
//
//	SHARDS -> checked and split by account -> merged with those fetched together -> ACCOUNTS -> acknowledged
//
// Invariants:
//   - a shard is acknowledged when the server has all that was made of it: a hub that is killed before leaves it to another,
//     and what comes twice merges to the same.
//   - shards are merged after they were split: what one host tells does not change whose account another's is.
//   - a shard that breaks the rules is refused and counted; it never keeps back others.
//   - if there is no room in ACCOUNTS, shards wait where they are, and then agents do.

// An ingester splits shards by account. Several, of any hubs, share the work.
type ingester struct {
	js     jetstream.JetStream
	kv     jetstream.KeyValue
	config *Config
	stats  *counters

	mu       sync.Mutex
	known    map[string]bool // tokens of accounts that have a lease key
	admitted map[string]bool // and of those that are to have one
	brought  map[string]int  // how many of these were new when a host told of them
}

// consumerName is the one that all hubs share.
const consumerName = "hubs"

const (
	fetched  = 64                    // shards that are split together, at most
	together = 20 * time.Millisecond // how long they wait for each other
	ackWait  = 30 * time.Second
)

// run splits shards until ctx ends.
func (g *ingester) run(ctx context.Context) error {
	c, err := g.js.CreateOrUpdateConsumer(ctx, wire.ShardStream, jetstream.ConsumerConfig{
		Durable: consumerName, AckPolicy: jetstream.AckExplicitPolicy, AckWait: ackWait, MaxAckPending: 16 * fetched, MaxDeliver: -1,
	})
	if err != nil {
		return fmt.Errorf("the consumer of %s: %w", wire.ShardStream, err)
	}
	all, err := c.Messages(jetstream.PullMaxMessages(4 * fetched))
	if err != nil {
		return err
	}
	defer all.Stop()
	for {
		shards, err := g.next(ctx, all)
		if err != nil {
			return err
		}
		if len(shards) == 0 {
			return nil
		}
		if err := g.split(ctx, shards); err != nil && ctx.Err() == nil {
			g.config.log().Warn("shards wait", "shards", len(shards), "error", err)
			for _, m := range shards {
				_ = m.NakWithDelay(time.Second)
			}
			pause(ctx, time.Second)
		}
	}
}

// next returns the shards that there are, and waits for one. It returns none when ctx has ended.
func (g *ingester) next(ctx context.Context, all jetstream.MessagesContext) (shards []jetstream.Msg, err error) {
	for len(shards) < fetched {
		option := jetstream.NextContext(ctx)
		if len(shards) > 0 {
			option = jetstream.NextMaxWait(together)
		}
		m, err := all.Next(option)
		switch {
		case err != nil && (len(shards) > 0 || ctx.Err() != nil):
			return shards, nil
		case err != nil:
			return nil, err
		}
		shards = append(shards, m)
		if meta, err := m.Metadata(); err == nil {
			g.stats.lag.Store(meta.NumPending)
		}
	}
	return shards, nil
}

// heldTogether is how many bytes of shards, decompressed, are merged before they are published: it bounds memory.
const heldTogether = 16 << 20

// split splits shards, and acknowledges them. If it fails those that are left are to be delivered again.
func (g *ingester) split(ctx context.Context, shards []jetstream.Msg) error {
	var all batch
	for _, m := range shards {
		parts, size, err := g.read(m)
		if err != nil {
			g.refuse(m, err)
			continue
		}
		all.add(m, parts, size)
		if all.size >= heldTogether {
			if err := g.publish(ctx, all); err != nil {
				return err
			}
			all = batch{}
		}
	}
	return g.publish(ctx, all)
}

// A batch is some shards by account, and merged.
type batch struct {
	shards []jetstream.Msg
	each   []map[string]*logparse.History // of each shard
	size   int64                          // bytes
}

func (b *batch) add(m jetstream.Msg, parts map[string]*logparse.History, size int64) {
	b.shards, b.each = append(b.shards, m), append(b.each, parts)
	b.size += size
}

// merged is what all shards tell of each account.
func (b *batch) merged() map[string]*logparse.History {
	if len(b.each) == 1 {
		return b.each[0]
	}
	all := make(map[string]*logparse.History)
	for _, parts := range b.each {
		for account, part := range parts {
			if all[account] == nil {
				all[account] = new(logparse.History)
			}
			all[account].Merge(part)
		}
	}
	return all
}

// publish publishes a batch and acknowledges its shards. What cannot be published together is published shard by shard, and
// what cannot be published at all is refused.
func (g *ingester) publish(ctx context.Context, b batch) error {
	var err error
	for account, part := range b.merged() {
		if err = g.publishPart(ctx, account, part); err != nil {
			break
		}
	}
	switch {
	case err == nil:
		return g.acknowledge(b.shards)
	case !errors.Is(err, errEncoding):
		return err
	case len(b.shards) == 1:
		g.refuse(b.shards[0], err)
		return nil
	}
	for i := range b.shards {
		if err := g.publish(ctx, batch{shards: b.shards[i : i+1], each: b.each[i : i+1]}); err != nil {
			return err
		}
	}
	return nil
}

func (g *ingester) acknowledge(shards []jetstream.Msg) error {
	for _, m := range shards {
		if err := m.Ack(); err != nil {
			return err
		}
		g.stats.shards.Add(1)
		g.stats.bytes.Add(int64(len(m.Data())))
	}
	return nil
}

// read checks a shard and splits it by account. What it tells of accounts that are too many is left out.
func (g *ingester) read(m jetstream.Msg) (accounts map[string]*logparse.History, size int64, err error) {
	token, ok := strings.CutPrefix(m.Subject(), wire.ShardSubject(""))
	if !ok {
		return nil, 0, fmt.Errorf("its subject is %q", m.Subject())
	}
	host, err := wire.HostName(token)
	if err != nil {
		return nil, 0, err
	}
	h, size, err := wire.DecodeShard(host, m.Data())
	if err != nil {
		return nil, 0, err
	}
	accounts = h.Split()
	if len(accounts) > maxShardAccounts {
		return nil, 0, fmt.Errorf("it tells of %d accounts, more than %d", len(accounts), maxShardAccounts)
	}
	for account := range accounts {
		if !isAccount(account) {
			return nil, 0, fmt.Errorf("%.80q is no account URL", account)
		}
		if err := g.admit(host, account); err != nil {
			g.stats.leftOut.Add(1)
			g.config.log().Warn("a part of a shard is left out", "host", host, "account", account, "error", err)
			delete(accounts, account)
		}
	}
	return accounts, size, nil
}

// maxShardAccounts is how many accounts one shard may tell of: a host has a few.
const maxShardAccounts = 100

// isAccount reports whether a text may be an account's URL; the empty one stands for what logs do not tell.
func isAccount(account string) bool {
	web := strings.HasPrefix(account, "https://") || strings.HasPrefix(account, "http://")
	return account == "" || web && len(account) <= 512 && !strings.ContainsFunc(account, isControl)
}

// admit is nil if an account may be known to the fleet.
func (g *ingester) admit(host, account string) error {
	if account == "" {
		return nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	token := wire.AccountToken(account)
	switch {
	case g.admitted[token]:
		return nil
	case len(g.admitted) >= g.config.maxAccounts():
		return fmt.Errorf("there are %d accounts, which is the limit (Config.MaxAccounts)", len(g.admitted))
	case g.brought[host] >= g.config.maxHostAccounts():
		return fmt.Errorf("the host has brought %d accounts, which is the limit (Config.MaxHostAccounts)", g.brought[host])
	}
	g.admitted[token] = true
	g.brought[host]++
	return nil
}

func isControl(r rune) bool { return r <= ' ' || r == 0x7f }

// refuse drops a shard that breaks the rules, for ever.
func (g *ingester) refuse(m jetstream.Msg, err error) {
	g.stats.refused.Add(1)
	g.config.log().Warn("shard refused", "subject", m.Subject(), "bytes", len(m.Data()), "error", err)
	_ = m.TermWithReason("it breaks the rules")
}

// publishPart hands a part to whoever has its account, in as many messages as it takes.
func (g *ingester) publishPart(ctx context.Context, account string, part *logparse.History) error {
	if err := g.register(ctx, account); err != nil {
		return err
	}
	return publishHistory(ctx, g.js, account, part)
}

// errEncoding means that a History cannot be sent, now or later.
var errEncoding = errors.New("hub: it cannot be a message")

// publishHistory publishes a History to ACCOUNTS, in as many messages as it takes.
func publishHistory(ctx context.Context, js jetstream.JetStream, account string, h *logparse.History) error {
	for piece, err := range wire.Pieces(h) {
		if err != nil {
			return fmt.Errorf("%w: %w", errEncoding, err)
		}
		m := &nats.Msg{Subject: wire.AccountSubject(wire.AccountToken(account)), Data: piece, Header: nats.Header{}}
		m.Header.Set(jetstream.MsgIDHeader, wire.MessageID(piece))
		if _, err := js.PublishMsg(ctx, m); err != nil {
			return fmt.Errorf("%s: %w", wire.AccountStream, err)
		}
	}
	return nil
}

// register makes an account known to all hubs: it has a lease that nobody has taken.
func (g *ingester) register(ctx context.Context, account string) error {
	token := wire.AccountToken(account)
	g.mu.Lock()
	known := g.known[token]
	g.mu.Unlock()
	if known {
		return nil
	}
	data, err := json.Marshal(wire.Lease{Account: account})
	if err != nil {
		return err
	}
	if _, err := g.kv.Create(ctx, wire.LeaseKey(token), data); err != nil && !errors.Is(err, jetstream.ErrKeyExists) {
		return fmt.Errorf("the account %s: %w", account, err)
	}
	g.learn(token)
	return nil
}

// learn notes that an account has a lease key.
func (g *ingester) learn(token string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.known[token], g.admitted[token] = true, true
}

// counters are what a hub counts.
type counters struct {
	shards, refused, leftOut, bytes, merged, snapshots, snapshotBytes, takeovers, renewalsFailed, settled, failed atomic.Int64
	lag                                                                                                           atomic.Uint64
}

// pause waits, unless ctx ends before.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
