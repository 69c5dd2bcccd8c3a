package hub

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/acmeauthz/acmeauthz/account"
	"github.com/acmeauthz/acmeauthz/authz"
	"github.com/acmeauthz/acmeauthz/examples/fleet/server"
	"github.com/acmeauthz/acmeauthz/examples/fleet/wire"
	"github.com/acmeauthz/acmeauthz/internal/fakeca"
	"github.com/acmeauthz/acmeauthz/logparse"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
)

// publish publishes a message as an agent or a hub that breaks the rules would.
func (b *bench) publish(subject string, data []byte) {
	b.t.Helper()
	_, err := b.js.PublishMsg(b.t.Context(), &nats.Msg{Subject: subject, Data: data})
	require.NoError(b.t, err)
}

// seen is an authorization that a host's log tells of.
func seen(host, account, url, name string, line int64) logparse.Event {
	return logparse.Event{
		Kind: logparse.AuthorizationSeen, Host: host, Account: account, Client: "certbot", Time: time.Now().Add(-9 * time.Hour),
		Place: logparse.Place{File: wire.FileName(host, "/x", 7), Line: line},
		Authorization: &logparse.Authorization{
			URL: url, Status: "pending", Identifier: logparse.Identifier{Type: "dns", Value: name}, Expires: time.Now().Add(100 * time.Hour),
		},
	}
}

// TestPoison has a host send what cannot be sent on, what takes much memory, and claims on another host's authorizations.
func TestPoison(t *testing.T) {
	b := newBench(t, 1, 1, fakeca.Config{})
	owner := b.accounts[0]
	urls, honest := b.leak("web01", owner, "a.example.org", "b.example.org")

	var names []logparse.Identifier // one record that becomes larger than a message when it is written again
	for i := range 14_000 {
		names = append(names, logparse.Identifier{Type: "dns", Value: fmt.Sprint(strings.Repeat("<", 1000), i)})
	}
	var large, claim logparse.History
	large.Add(logparse.Event{Kind: logparse.OrderSeen, Host: "evil", Account: owner.URL, Place: logparse.Place{File: wire.FileName("evil", "/x", 1), Line: 1},
		Order: &logparse.Order{ID: "https://ca.test/order/1", Status: "pending", Identifiers: names}})
	data, err := large.MarshalJSON()
	require.NoError(t, err)
	b.publish(wire.ShardSubject("evil"), compressed(t, []byte(strings.ReplaceAll(string(data), `\u003c`, "<"))))
	b.publish(wire.ShardSubject("evil"), compressed(t, []byte(`{"version":1,"runs":[{}`+strings.Repeat(",{}", 4_000_000)+`]}`)))
	for i, url := range urls { // "http://0" is before every other account
		claim.Add(seen("evil", "http://0", url, "a.example.org", int64(i+1)))
	}
	b.send("evil", &claim)
	b.whole = logparse.History{}
	b.send("web01", honest)

	h := b.hub("hub1", nil)
	b.eventually("the honest ones are settled", b.allSettled(urls))
	require.EqualValues(t, 2, h.Stats().Refused)
	require.EqualValues(t, 2, h.Stats().Shards)
	b.eventually("the account knows its own", func() bool { return b.state(owner.URL).Verdicts["deactivated"] == 2 })
	b.eventually("its state is among the numbers", func() bool {
		for _, s := range h.Stats().States {
			if s.Account == owner.URL && s.Verdicts["deactivated"] == 2 {
				return true
			}
		}
		return false
	})
}

// TestLongNames has names in logs that are longer than a state may be.
func TestLongNames(t *testing.T) {
	b := newBench(t, 1, 1, fakeca.Config{})
	var h logparse.History
	for i := range 40 {
		host := "evil/" + strings.Repeat("<", 1000) + fmt.Sprint(i)
		e := seen(host, b.accounts[0].URL, fmt.Sprint("https://ca.test/acme/authz/1/9", i), fmt.Sprint(strings.Repeat("<", 900), i, ".d", i), int64(i+1))
		e.Place.File = wire.FileName("evil", "/x", 7)
		h.Add(e)
	}
	b.send("evil", &h)
	b.hub("hub1", func(c *Config) { c.Accounts = nil })
	b.eventually("the state is saved", func() bool { return b.state(b.accounts[0].URL).Verdicts["leaked"] == 40 })
	s := b.state(b.accounts[0].URL)
	require.Len(t, s.Hosts, wire.MaxCounts)
	require.LessOrEqual(t, len(s.Hosts[0].Key), maxKey)
}

// TestLimit tells when an account has more authorizations than are kept.
func TestLimit(t *testing.T) {
	b := newBench(t, 1, 1, fakeca.Config{})
	var h logparse.History
	for i := range 12 {
		h.Add(seen("web01", b.accounts[0].URL, fmt.Sprint("https://ca.test/acme/authz/1/9", i), "a.example.org", int64(i+1)))
	}
	b.send("web01", &h)
	b.hub("hub1", func(c *Config) { c.Accounts, c.MaxAuthorizations, c.Policies = nil, 10, []Policy{{Policy: Leave}} })
	b.eventually("the state tells", func() bool {
		s := b.state(b.accounts[0].URL)
		return s.Authorizations == 10 && strings.HasPrefix(s.Work.Problem, "it has 10 authorizations, which is the limit")
	})
}

// TestCapitals has a hub whose name has capitals: it is the same as without.
func TestCapitals(t *testing.T) {
	b := newBench(t, 1, 1, fakeca.Config{})
	urls, h := b.leak("web01", b.accounts[0], "a.example.org")
	b.send("web01", h)
	b.hub("Hub1.Example.NET", nil)
	b.eventually("it is settled", b.allSettled(urls))
	time.Sleep(3 * testLife)
	require.Equal(t, "hub1.example.net", b.state(b.accounts[0].URL).Hub)
	for _, r := range b.ca.Requests() {
		require.Contains(t, r.UserAgent, "epoch/", "one owner only")
	}
	b.oneOwner(urls)
}

// TestNewStream makes the stream of accounts anew, as somebody does who has lost it: numbers begin again.
func TestNewStream(t *testing.T) {
	b := newBench(t, 1, 1, fakeca.Config{})
	for i := range 5 {
		_, h := b.leak("web01", b.accounts[0], fmt.Sprintf("n%d.example.org", i))
		b.send("web01", h)
	}
	h := b.hub("hub1", nil)
	b.eventually("all are known", func() bool {
		return b.state(b.accounts[0].URL).Authorizations == 5 && b.state(b.accounts[0].URL).Applied >= 2
	})
	h.stop()
	require.NoError(t, b.js.DeleteStream(t.Context(), wire.AccountStream))
	b.cluster.Setup(server.Settings{})
	urls, shard := b.leak("web01", b.accounts[0], "new.example.org")
	b.send("web01", shard)
	b.hub("hub2", nil)
	b.eventually("the new one is settled, too", b.allSettled(urls))
	b.eventually("and known", func() bool { return b.state(b.accounts[0].URL).Authorizations == 6 })
}

// TestLostSnapshot says what is wrong if the snapshot of an account is gone.
func TestLostSnapshot(t *testing.T) {
	b := newBench(t, 1, 1, fakeca.Config{})
	_, shard := b.leak("web01", b.accounts[0], "a.example.org")
	b.send("web01", shard)
	h := b.hub("hub1", nil)
	b.eventually("there is a snapshot", func() bool { return b.state(b.accounts[0].URL).Snapshot != "" })
	h.stop()
	name := b.state(b.accounts[0].URL).Snapshot
	require.NoError(t, (&store{js: b.js}).remove(t.Context(), name))
	require.NoError(t, (&store{js: b.js}).remove(t.Context(), name), "it is gone")
	b.hub("hub2", func(c *Config) { c.LeaseLife = 300 * time.Millisecond })
	b.eventually("the state tells", func() bool {
		return strings.HasPrefix(b.state(b.accounts[0].URL).Work.Problem, "it cannot be loaded: the snapshot "+name)
	})
	require.Equal(t, 1, b.state(b.accounts[0].URL).Authorizations, "what else was known is still told")
}

// TestStore removes what is left of snapshots.
func TestStore(t *testing.T) {
	b := newBench(t, 1, 1, fakeca.Config{})
	objects, err := b.js.ObjectStore(t.Context(), wire.HistoryStore)
	require.NoError(t, err)
	stream, err := b.js.Stream(t.Context(), storeStream)
	require.NoError(t, err)
	messages := func() uint64 {
		info, err := stream.Info(t.Context())
		require.NoError(t, err)
		return info.State.Msgs
	}
	for _, name := range []string{"x.1.1", "x.1.2"} {
		_, err := objects.PutBytes(t.Context(), name, make([]byte, 300<<10))
		require.NoError(t, err)
	}
	require.EqualValues(t, 2*(3+1), messages())
	require.NoError(t, objects.Delete(t.Context(), "x.1.1")) // as the library does
	require.EqualValues(t, 3+1+1, messages())
	b.publish(chunkPrefix+"abcdefghijklmnopqrstuv", []byte("half a snapshot"))
	s := store{js: b.js}
	for _, want := range []uint64{3 + 1 + 1, 3 + 1, 3 + 1} {
		names, err := s.look(t.Context())
		require.NoError(t, err)
		require.Equal(t, []string{"x.1.2"}, names)
		require.Equal(t, want, messages())
	}
	require.NoError(t, s.remove(t.Context(), "x.1.2"))
	require.Zero(t, messages())
	require.Error(t, purgeChunks(t.Context(), stream, ">"))
}

// TestOrphans removes the snapshots that an earlier owner has left, and no others.
func TestOrphans(t *testing.T) {
	b := newBench(t, 1, 1, fakeca.Config{})
	_, shard := b.leak("web01", b.accounts[0], "a.example.org")
	b.send("web01", shard)
	objects, err := b.js.ObjectStore(t.Context(), wire.HistoryStore)
	require.NoError(t, err)
	token := wire.AccountToken(b.accounts[0].URL)
	for _, name := range []string{token + ".1.7", token + ".999999.1", "other.1.1"} {
		_, err := objects.PutString(t.Context(), name, "x")
		require.NoError(t, err)
	}
	h := b.hub("hub1", nil)
	b.eventually("there is a snapshot", func() bool { return b.state(b.accounts[0].URL).Snapshot != "" })
	names, err := h.store.look(t.Context())
	require.NoError(t, err)
	h.handOut(t.Context(), names)
	b.eventually("the old one is gone", func() bool { _, err := objects.GetInfo(t.Context(), token+".1.7"); return err != nil })
	for _, name := range []string{token + ".999999.1", "other.1.1"} {
		_, err := objects.GetInfo(t.Context(), name)
		require.NoError(t, err, name)
	}
}

// A fickle bucket has watches that end.
type fickle struct {
	jetstream.KeyValue
	watches int
}

type endedWatch struct{ jetstream.KeyWatcher }

func (endedWatch) Updates() <-chan jetstream.KeyValueEntry {
	ended := make(chan jetstream.KeyValueEntry)
	close(ended)
	return ended
}

// Watch implements jetstream.KeyValue: the first two have ended.
func (f *fickle) Watch(ctx context.Context, keys string, options ...jetstream.WatchOpt) (jetstream.KeyWatcher, error) {
	f.watches++
	w, err := f.KeyValue.Watch(ctx, keys, options...)
	if f.watches < 3 && err == nil {
		return endedWatch{w}, nil
	}
	return w, err
}

// TestWatchEnds goes on when a watch has ended.
func TestWatchEnds(t *testing.T) {
	b := newBench(t, 1, 1, fakeca.Config{})
	_, shard := b.leak("web01", b.accounts[0], "a.example.org")
	b.send("web01", shard)
	_, js := b.cluster.Connect()
	h, err := New(t.Context(), js, Config{Name: "hub1", LeaseLife: testLife, SaveEvery: 50 * time.Millisecond})
	require.NoError(t, err)
	bucket := &fickle{KeyValue: h.accounts}
	h.accounts = bucket
	go func() { _ = h.Run(t.Context()) }()
	b.eventually("it is known", func() bool { return b.state(b.accounts[0].URL).Authorizations == 1 })
	require.GreaterOrEqual(t, bucket.watches, 3)
}

// TestFinish validates what leaked; what fails is over, too, and what is valid can be given up later.
func TestFinish(t *testing.T) {
	root := t.TempDir()
	b := newBench(t, 1, 1, fakeca.Config{ValidateOK: func(a fakeca.Authorization, _ string) bool { return a.Identifier == "good.example.org" }})
	urls, shard := b.leak("web01", b.accounts[0], "good.example.org", "bad.example.org")
	b.send("web01", shard)
	finishing := b.hub("hub1", func(c *Config) { c.Policies = []Policy{{Policy: Finish, Webroot: root}} })
	b.eventually("both are over", b.allSettled(urls))
	require.Equal(t, "valid", b.ca.Authorization(urls[0]).Status)
	require.Equal(t, "invalid", b.ca.Authorization(urls[1]).Status)
	b.eventually("the state says so", func() bool {
		s := b.state(b.accounts[0].URL)
		return s.Work.Settled == 2 && s.Verdicts["valid"] == 1 && s.Verdicts["invalid"] == 1 && s.Work.Failed == 0
	})
	left, err := os.ReadDir(root)
	require.NoError(t, err)
	require.Empty(t, left)
	finishing.stop()
	b.hub("hub2", func(c *Config) { c.Policies = []Policy{{Policy: Relinquish, Names: []string{"good.example.org"}}} })
	b.eventually("it is given up", func() bool { return b.ca.Authorization(urls[0]).Status == "deactivated" })
	b.eventually("and known to be", func() bool { return b.state(b.accounts[0].URL).Verdicts["deactivated"] == 1 })
}

// TestBehind does not believe a server that has not stored the fence.
func TestBehind(t *testing.T) {
	js := startCluster(t, 1).Setup(server.Settings{})
	l := taken(t, js, "hub1", time.Minute)
	j := newJournal(l, time.Hour)
	_, err := j.read(t.Context())
	require.NoError(t, err)
	l.epoch++
	_, err = j.read(t.Context())
	require.ErrorIs(t, err, errBehind)
}

// TestSuspended has a machine that was suspended: its monotonic clock stood still.
func TestSuspended(t *testing.T) {
	js := startCluster(t, 1).Setup(server.Settings{})
	l := taken(t, js, "hub1", time.Minute)
	require.True(t, l.valid())
	l.wall = time.Now().Round(0).Add(-time.Second)
	require.False(t, l.valid())
	require.ErrorIs(t, l.renew(t.Context()), ErrLost)
}

// TestLivesOfLeases waits for as long as the lease says, if that is longer than one's own.
func TestLivesOfLeases(t *testing.T) {
	h := &Hub{config: Config{LeaseLife: 3 * time.Second}}
	require.Equal(t, 4*time.Second, sighting{}.over(h))
	require.Equal(t, 80*time.Second, sighting{lease: wire.Lease{Life: 60_000}}.over(h))
}

// TestTurns lets no host have a sweep for itself.
func TestTurns(t *testing.T) {
	var all []*logparse.Life
	for _, host := range []string{"evil", "evil", "evil", "web01", "evil", "web02", "web01"} {
		all = append(all, &logparse.Life{Host: host})
	}
	var got []string
	for _, l := range inTurns(all) {
		got = append(got, l.Host)
	}
	require.Equal(t, []string{"evil", "web01", "web02", "evil", "web01", "evil", "evil"}, got)
}

// TestAgain says when an authorization is looked at again.
func TestAgain(t *testing.T) {
	now := time.Now()
	for name, test := range map[string]struct {
		action authz.Action
		at     time.Time
		want   time.Duration
	}{
		"what is deferred, when it may be done": {authz.ActionDefer, now.Add(3 * time.Hour), 3 * time.Hour},
		"what ends by itself, daily":            {authz.ActionLeave, now.Add(160 * time.Hour), 24 * time.Hour},
		"or at its end":                         {authz.ActionWait, now.Add(5 * time.Hour), 5 * time.Hour},
		"what is spared, when it is old enough": {authz.ActionSpare, now.Add(10 * time.Minute), 10 * time.Minute},
		"anything else, at the next sweep":      {authz.ActionNone, time.Time{}, time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			o := &owned{hub: &Hub{}, work: sweeper{planned: map[string]plan{}}}
			o.work.plan(o, "x", test.action, test.at, false)
			require.WithinDuration(t, now.Add(test.want), o.work.planned["x"].again, time.Minute)
		})
	}
}

// TestKey prefers an account that can be used.
func TestKey(t *testing.T) {
	bare, whole := &account.Account{URL: "u"}, &account.Account{URL: "u", Directory: "d"}
	k, without := newKeys([]*account.Account{{}, bare, whole, bare})
	require.Same(t, whole, k.of("u"))
	require.Nil(t, k.of(""))
	require.Len(t, without, 1)
}

// TestNamelessKeys has keys beside which their clients store no URL.
func TestNamelessKeys(t *testing.T) {
	b := newBench(t, 1, 1, fakeca.Config{})
	urls, shard := b.leak("web01", b.accounts[0], "a.example.org")
	b.send("web01", shard)
	nameless := *b.accounts[0]
	nameless.URL = ""
	stranger, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	b.hub("hub1", func(c *Config) {
		c.Accounts = []*account.Account{{Key: stranger}, {Key: stranger, Directory: b.accounts[0].Directory}, &nameless}
	})
	b.eventually("it is settled", b.allSettled(urls))
}

// TestLeavesInTheMiddle gives accounts away while they are swept, and tells of a sweep while it goes on.
func TestLeavesInTheMiddle(t *testing.T) {
	b := newBench(t, 1, 8, fakeca.Config{Latency: 20 * time.Millisecond})
	var urls []string
	for i, a := range b.accounts {
		names := make([]string, 150)
		for k := range names {
			names[k] = fmt.Sprintf("n%d-%d.example.org", i, k)
		}
		u, shard := b.leak("web01", a, names...)
		urls = append(urls, u...)
		b.send("web01", shard)
	}
	slow := func(c *Config) { c.Parallelism = 1 }
	first := b.hub("hub1", slow)
	settled := func() (n int) {
		for _, a := range b.accounts {
			n += b.state(a.URL).Work.Settled
		}
		return n
	}
	b.eventually("the states tell of some", func() bool { return settled() > 0 })
	require.False(t, b.allSettled(urls)())
	second := b.hub("hub2", slow)
	b.eventually("the second one has some", func() bool { return second.Stats().Accounts >= 2 && first.Stats().Accounts < 8 })
	require.False(t, b.allSettled(urls)(), "in the middle")
	b.eventually("all is settled", b.allSettled(urls))
	b.eventually("and known", func() bool { return settled() == len(urls) })
	b.oneOwner(urls)
}

// TestGivesBackLast gives an account back when its last request has ended, and not before: of the second sweep, here.
func TestGivesBackLast(t *testing.T) {
	held, release := make(chan struct{}), make(chan struct{})
	var once sync.Once
	b := newBench(t, 1, 1, fakeca.Config{Intercept: func(r *fakeca.Request) *fakeca.Answer {
		if r.Kind == fakeca.Deactivate && strings.HasSuffix(r.Path, "/4") {
			once.Do(func() { close(held) })
			<-release
		}
		return nil
	}})
	first, shard := b.leak("web01", b.accounts[0], "a.example.org")
	b.send("web01", shard)
	h := b.hub("hub1", nil)
	b.eventually("the first sweep has ended", func() bool { return b.allSettled(first)() && b.state(b.accounts[0].URL).Work.Settled == 1 })
	second, shard := b.leak("web01", b.accounts[0], "b.example.org")
	require.True(t, strings.HasSuffix(second[0], "/4"), second[0])
	b.send("web01", shard)
	<-held
	kv, err := b.js.KeyValue(t.Context(), wire.AccountBucket)
	require.NoError(t, err)
	owner := func() (l wire.Lease) {
		e, err := kv.Get(t.Context(), wire.LeaseKey(wire.AccountToken(b.accounts[0].URL)))
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(e.Value(), &l))
		return l
	}
	go h.stop()
	time.Sleep(testLife / 3)
	require.Equal(t, "hub1", owner().Hub)
	close(release)
	<-h.done
	require.Empty(t, owner().Hub)
}

// TestRetention forgets what is over for longer than it is kept, and its snapshot has none of it.
func TestRetention(t *testing.T) {
	b := newBench(t, 1, 1, fakeca.Config{})
	old := seen("web01", b.accounts[0].URL, "https://ca.test/acme/authz/1/8", "old.example.org", 1)
	old.Time, old.Authorization.Status, old.Authorization.Expires = time.Now().Add(-100*24*time.Hour), "deactivated", time.Now().Add(-93*24*time.Hour)
	young := seen("web01", b.accounts[0].URL, "https://ca.test/acme/authz/1/9", "young.example.org", 2)
	var h logparse.History
	h.Add(old)
	h.Add(young)
	b.send("web01", &h)
	b.hub("hub1", func(c *Config) { c.Policies = []Policy{{Policy: Leave}} })
	b.eventually("one is left", func() bool { s := b.state(b.accounts[0].URL); return s.Snapshot != "" && s.Authorizations == 1 })
	lives := b.history(b.accounts[0].URL).Lives()
	require.Len(t, lives, 1)
	require.Equal(t, "young.example.org", lives[0].Identifier.Value)
}
