package hub

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/acmeauthz/acmeauthz/account"
	"github.com/acmeauthz/acmeauthz/examples/fleet/server"
	"github.com/acmeauthz/acmeauthz/examples/fleet/wire"
	"github.com/acmeauthz/acmeauthz/internal/fakeca"
	"github.com/acmeauthz/acmeauthz/logparse"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
)

// A faulty server does what it is asked to, but for what a test says.
type faulty struct {
	jetstream.JetStream
	published func(subject string) error // after it was stored
	read      func(object string) error
}

// PublishMsg implements jetstream.JetStream.
func (f *faulty) PublishMsg(ctx context.Context, m *nats.Msg, options ...jetstream.PublishOpt) (*jetstream.PubAck, error) {
	ack, err := f.JetStream.PublishMsg(ctx, m, options...)
	if err == nil && f.published != nil {
		err = f.published(m.Subject)
	}
	return ack, err
}

// ObjectStore implements jetstream.JetStream.
func (f *faulty) ObjectStore(ctx context.Context, bucket string) (jetstream.ObjectStore, error) {
	s, err := f.JetStream.ObjectStore(ctx, bucket)
	return faultyStore{s, f}, err
}

type faultyStore struct {
	jetstream.ObjectStore
	of *faulty
}

// GetBytes implements jetstream.ObjectStore.
func (s faultyStore) GetBytes(ctx context.Context, name string, options ...jetstream.GetObjectOpt) ([]byte, error) {
	if s.of.read != nil {
		if err := s.of.read(name); err != nil {
			return nil, err
		}
	}
	return s.ObjectStore.GetBytes(ctx, name, options...)
}

// faultyHub starts a hub at a faulty server.
func (b *bench) faultyHub(name string, f *faulty, change func(*Config), prepare func(*Hub)) (h *Hub, stop func()) {
	b.t.Helper()
	_, f.JetStream = b.cluster.Connect()
	config := Config{
		Name: name, Accounts: b.accounts, Apply: true, Transport: b.ca.Transport(), KeepYounger: -1,
		LeaseLife: testLife, SaveEvery: 100 * time.Millisecond, SweepEvery: time.Minute,
	}
	if change != nil {
		change(&config)
	}
	h, err := New(b.t.Context(), f, config)
	require.NoError(b.t, err)
	if prepare != nil {
		prepare(h)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = h.Run(ctx) }()
	stop = sync.OnceFunc(func() { cancel(); <-done })
	b.t.Cleanup(stop)
	return h, stop
}

// TestUnreadableState has a state, or a journal, that cannot be read: what is there stays.
func TestUnreadableState(t *testing.T) {
	for name, key := range map[string]func(token string) string{
		"state":   wire.StateKey,
		"journal": func(token string) string { return wire.JournalKey(token, 1, 1) },
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, 1, 1, fakeca.Config{})
			_, shard := b.leak("web01", b.accounts[0], "a.example.org")
			b.send("web01", shard)
			first := b.hub("hub1", nil)
			b.eventually("there is a snapshot", func() bool { return b.state(b.accounts[0].URL).Snapshot != "" })
			first.stop()
			token := wire.AccountToken(b.accounts[0].URL)
			b.publish(wire.KeySubject(key(token)), []byte("{\n"))
			kv, err := b.js.KeyValue(t.Context(), wire.AccountBucket)
			require.NoError(t, err)
			before, err := kv.Get(t.Context(), wire.StateKey(token))
			require.NoError(t, err)
			second := b.hub("hub2", func(c *Config) { c.LeaseLife = 300 * time.Millisecond })
			b.eventually("it has given up", func() bool {
				second.mu.Lock()
				defer second.mu.Unlock()
				return !second.failed[token].IsZero()
			})
			after, err := kv.Get(t.Context(), wire.StateKey(token))
			require.NoError(t, err)
			require.Equal(t, before.Revision(), after.Revision())
		})
	}
}

// TestStateAnswerLost writes the state again when its answer was lost, with the same snapshot.
func TestStateAnswerLost(t *testing.T) {
	b := newBench(t, 1, 1, fakeca.Config{})
	state := wire.KeySubject(wire.StateKey(wire.AccountToken(b.accounts[0].URL)))
	var lost atomic.Int64
	_, shard := b.leak("web01", b.accounts[0], "a.example.org")
	b.send("web01", shard)
	h, _ := b.faultyHub("hub1", &faulty{published: func(subject string) error {
		if subject == state && lost.Add(1) <= 5 {
			return nats.ErrTimeout
		}
		return nil
	}}, func(c *Config) { c.Accounts = nil }, nil)
	b.eventually("it is saved", func() bool { return lost.Load() > 5 && b.state(b.accounts[0].URL).Applied > 0 })
	require.EqualValues(t, 1, h.Stats().Snapshots)
	objects, err := b.js.ObjectStore(t.Context(), wire.HistoryStore)
	require.NoError(t, err)
	_, err = objects.GetBytes(t.Context(), b.state(b.accounts[0].URL).Snapshot)
	require.NoError(t, err)
	require.Len(t, b.history(b.accounts[0].URL).Lives(), 1)
}

// TestAnotherHubLoads leaves an account that it cannot load to another hub.
func TestAnotherHubLoads(t *testing.T) {
	b := newBench(t, 1, 1, fakeca.Config{})
	urls, shard := b.leak("web01", b.accounts[0], "a.example.org")
	b.send("web01", shard)
	first := b.hub("hub1", func(c *Config) { c.Apply = false })
	b.eventually("there is a snapshot", func() bool { return b.state(b.accounts[0].URL).Snapshot != "" })
	first.stop()
	short := func(c *Config) { c.LeaseLife = 300 * time.Millisecond }
	name := "" // that of a hub which should have the account, rather than hub3
	for i := 0; name == ""; i++ {
		both := map[string]member{"hub3": {seen: time.Now()}, fmt.Sprint("broken", i): {seen: time.Now()}}
		if best := (&Hub{members: both}).best(wire.AccountToken(b.accounts[0].URL)); best != "hub3" {
			name = best
		}
	}
	broken, _ := b.faultyHub(name, &faulty{read: func(string) error { return errors.New("the disk is full of holes") }}, short, nil)
	b.eventually("it tells", func() bool { return strings.Contains(b.state(b.accounts[0].URL).Work.Problem, "full of holes") })
	b.hub("hub3", func(c *Config) { short(c); c.Accounts = b.accounts })
	b.eventually("the other one has settled it", b.allSettled(urls))
	b.eventually("the problem is gone", func() bool { return b.state(b.accounts[0].URL).Work.Problem == "" })
	require.Zero(t, broken.Stats().Accounts)
}

// TestStreamMadeAnew has the stream of accounts made anew under a hub's feet.
func TestStreamMadeAnew(t *testing.T) {
	b := newBench(t, 1, 1, fakeca.Config{})
	for i := range 5 {
		_, shard := b.leak("web01", b.accounts[0], fmt.Sprintf("n%d.example.org", i))
		b.send("web01", shard)
	}
	b.faultyHub("hub1", &faulty{}, nil, func(h *Hub) { h.stream.every = 50 * time.Millisecond })
	b.eventually("all are known", func() bool {
		s := b.state(b.accounts[0].URL)
		return s.Verdicts["deactivated"] == 5 && s.Applied >= 2
	})
	require.NoError(t, b.js.DeleteStream(t.Context(), wire.AccountStream))
	b.cluster.Setup(server.Settings{})
	urls, shard := b.leak("web01", b.accounts[0], "new.example.org")
	b.send("web01", shard)
	b.eventually("the new one is settled, too", b.allSettled(urls))
	b.eventually("and known", func() bool { return b.state(b.accounts[0].URL).Verdicts["deactivated"] == 6 })
}

// TestKeyComesLater learns an account's URL only when it has the account already.
func TestKeyComesLater(t *testing.T) {
	release := make(chan struct{})
	b := newBench(t, 1, 1, fakeca.Config{Intercept: func(r *fakeca.Request) *fakeca.Answer {
		if strings.HasSuffix(r.Path, "new-acct") {
			<-release
		}
		return nil
	}})
	urls, shard := b.leak("web01", b.accounts[0], "a.example.org")
	b.send("web01", shard)
	nameless := *b.accounts[0]
	nameless.URL = ""
	b.hub("hub1", func(c *Config) { c.Accounts, c.SweepEvery = []*account.Account{&nameless}, 300*time.Millisecond })
	b.eventually("it has no key", func() bool { return strings.HasPrefix(b.state(b.accounts[0].URL).Work.Problem, "no hub has its key") })
	close(release)
	b.eventually("it is settled", b.allSettled(urls))
	b.eventually("the problem is gone", func() bool { return b.state(b.accounts[0].URL).Work.Problem == "" })
}

// TestHeavy bounds what is kept by its size, too: names of files, here, which are of no account.
func TestHeavy(t *testing.T) {
	b := newBench(t, 1, 1, fakeca.Config{})
	var h logparse.History
	e := seen("web01", b.accounts[0].URL, "https://ca.test/acme/authz/1/9", "a.example.org", 1)
	for i := range 100 {
		e.Place.File = wire.FileName("web01", fmt.Sprint("/", i, strings.Repeat("x", 400)), uint64(i))
		h.Add(e)
	}
	b.hub("hub1", func(c *Config) { c.Accounts, c.MaxAuthorizations, c.Policies = nil, 10, []Policy{{Policy: Leave}} })
	b.send("web01", &h)
	b.eventually("the state tells", func() bool {
		return strings.HasPrefix(b.state("").Work.Problem, "what logs tell of it takes more than 40960 bytes")
	})
}

// TestReleaseAfterLostRenewal gives back a lease of which the last answer was lost.
func TestReleaseAfterLostRenewal(t *testing.T) {
	js := startCluster(t, 1).Setup(server.Settings{})
	l := taken(t, js, "hub1", time.Minute)
	stored := l.revision
	require.NoError(t, l.renew(t.Context()))
	l.revision = stored
	require.NoError(t, l.release(t.Context()))
	e, err := bucket(t, js).Get(t.Context(), wire.LeaseKey(l.token))
	require.NoError(t, err)
	require.NotContains(t, string(e.Value()), `"hub1"`)
}

// TestMembersAlive does not take a hub that tells seldom for dead.
func TestMembersAlive(t *testing.T) {
	h := &Hub{config: Config{LeaseLife: 3 * time.Second}}
	require.True(t, member{seen: time.Now().Add(-3 * time.Second)}.alive(h))
	require.False(t, member{seen: time.Now().Add(-5 * time.Second)}.alive(h))
	require.True(t, member{seen: time.Now().Add(-20 * time.Second), beat: 8 * time.Second}.alive(h))
}
