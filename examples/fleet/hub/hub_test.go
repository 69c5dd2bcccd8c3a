package hub

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"slices"
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
	"golang.org/x/crypto/acme"
)

// A bench is a CA with accounts, a cluster, and hubs.
type bench struct {
	t        *testing.T
	ca       *fakeca.CA
	accounts []*account.Account
	cluster  *cluster
	js       jetstream.JetStream
	whole    logparse.History // all that was published
}

func newBench(t *testing.T, servers, accounts int, config fakeca.Config) *bench {
	t.Helper()
	b := &bench{t: t, ca: fakeca.New(config), cluster: startCluster(t, servers)}
	b.js = b.cluster.Setup(server.Settings{})
	for range accounts {
		c := b.ca.NewAccount()
		b.accounts = append(b.accounts, &account.Account{Key: c.Key, URL: string(c.KID), Directory: c.DirectoryURL})
	}
	return b
}

// leak makes an order with pending authorizations at the CA, and what the log of a host says of it: a client was killed.
func (b *bench) leak(host string, owner *account.Account, names ...string) (urls []string, h *logparse.History) {
	h = new(logparse.History)
	begin := time.Now().Add(-3 * time.Hour)
	run := logparse.Place{File: wire.FileName(host, "/var/log/letsencrypt/letsencrypt.log", uint64(len(b.ca.Requests()))+uint64(len(b.whole.Runs()))), Line: 1}
	line := int64(0)
	add := func(e logparse.Event) {
		line++
		e.Place, e.Run, e.Host, e.Client, e.Account = logparse.Place{File: run.File, Line: line}, run, host, "certbot", owner.URL
		e.Time = begin.Add(time.Duration(line) * time.Second)
		h.Add(e)
	}
	add(logparse.Event{Kind: logparse.RunStarted, Version: "2.1.0"})
	order := &logparse.Order{ID: fmt.Sprintf("%s:%d", run.File, line), Status: "pending"}
	for _, name := range names {
		url := b.ca.Add(fakeca.Authorization{Identifier: name, Owner: acme.KeyID(owner.URL), Expires: time.Now().Add(100 * time.Hour)})
		urls = append(urls, url)
		order.Authorizations = append(order.Authorizations, url)
	}
	add(logparse.Event{Kind: logparse.OrderSeen, Order: order})
	for i, name := range names {
		add(logparse.Event{Kind: logparse.AuthorizationSeen, Authorization: &logparse.Authorization{
			URL: urls[i], Status: "pending", Identifier: logparse.Identifier{Type: "dns", Value: name}, Expires: time.Now().Add(100 * time.Hour),
		}})
	}
	add(logparse.Event{Kind: logparse.RunStopped, Message: "waiting"})
	return urls, h
}

// send publishes a shard of a host.
func (b *bench) send(host string, h *logparse.History) {
	b.t.Helper()
	data, err := wire.EncodeHistory(h)
	require.NoError(b.t, err)
	token, err := wire.HostToken(host)
	require.NoError(b.t, err)
	id := rand.Text()
	patiently(b.t, func() error {
		_, err := b.js.PublishMsg(b.t.Context(), &nats.Msg{Subject: wire.ShardSubject(token), Data: data}, jetstream.WithMsgID(id))
		return err
	})
	b.whole.Merge(h)
}

// A running hub.
type running struct {
	*Hub
	nc   *server.Connection
	stop func()
	done chan struct{}
}

const testLife = 900 * time.Millisecond

// hub starts a hub with a connection of its own.
func (b *bench) hub(name string, change func(*Config)) *running {
	b.t.Helper()
	nc, js := b.cluster.Connect()
	config := Config{
		Name: name, Version: "test", Accounts: b.accounts, Apply: true, Transport: b.ca.Transport(), KeepYounger: -1,
		LeaseLife: testLife, SaveEvery: 100 * time.Millisecond, SweepEvery: time.Minute,
	}
	if testing.Verbose() {
		config.Logger = slog.New(slog.NewTextHandler(os.Stderr, nil))
	}
	if change != nil {
		change(&config)
	}
	var h *Hub
	patiently(b.t, func() (err error) {
		h, err = New(b.t.Context(), js, config)
		return err
	})
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{Hub: h, nc: nc, done: make(chan struct{})}
	go func() {
		defer close(r.done)
		if err := h.Run(ctx); err != nil {
			b.t.Error(err)
		}
	}()
	r.stop = sync.OnceFunc(func() {
		cancel()
		<-r.done
	})
	b.t.Cleanup(r.stop)
	return r
}

// kill ends a hub as SIGKILL does: it tells nobody.
func (r *running) kill() {
	r.nc.Close()
	r.stop()
}

func (b *bench) eventually(what string, ok func() bool) {
	b.t.Helper()
	require.Eventually(b.t, ok, 30*time.Second, 20*time.Millisecond, what)
}

// state is what the hubs tell of an account.
func (b *bench) state(url string) (s wire.AccountState) {
	if e, err := bucket(b.t, b.js).Get(b.t.Context(), wire.StateKey(wire.AccountToken(url))); err == nil {
		require.NoError(b.t, json.Unmarshal(e.Value(), &s))
	}
	return s
}

// history is all that the server has of an account.
func (b *bench) history(url string) *logparse.History {
	b.t.Helper()
	s, h := b.state(url), new(logparse.History)
	store, err := b.js.ObjectStore(b.t.Context(), wire.HistoryStore)
	require.NoError(b.t, err)
	if s.Snapshot != "" {
		data, err := store.GetBytes(b.t.Context(), s.Snapshot)
		if errors.Is(err, jetstream.ErrObjectNotFound) {
			return b.history(url) // a hub has made another one meanwhile
		}
		require.NoError(b.t, err)
		h, _, err = wire.DecodeHistory(data, wire.MaxHistory)
		require.NoError(b.t, err)
	}
	for m, err := range messages(b.t.Context(), b.js, wire.AccountStream, s.Applied+1, wire.AccountSubject(wire.AccountToken(url))) {
		if errors.Is(err, errSilent) || server.Temporary(err) {
			return b.history(url) // a hub has put them into a snapshot meanwhile, or nobody leads
		}
		require.NoError(b.t, err)
		part, _, err := wire.DecodeHistory(m.Data(), wire.MaxShard)
		require.NoError(b.t, err)
		h.Merge(part)
	}
	return h
}

// oneOwner checks in the CA's log that the epochs of an account never go back, and that nothing was settled twice.
func (b *bench) oneOwner(urls []string) {
	b.t.Helper()
	last := map[acme.KeyID]int{}
	for _, r := range b.ca.Requests() {
		if r.KID == "" {
			continue
		}
		epoch := 0
		_, after, _ := strings.Cut(r.UserAgent, "epoch/")
		_, err := fmt.Sscanf(after, "%d", &epoch)
		require.NoError(b.t, err, r.UserAgent)
		require.GreaterOrEqual(b.t, epoch, last[r.KID], "an owner that had lost the account acted: request %d", r.Number)
		last[r.KID] = epoch
	}
	for _, url := range urls {
		require.LessOrEqual(b.t, b.ca.Deactivations(url), 1, url)
	}
}

func (b *bench) allSettled(urls []string) func() bool {
	return func() bool {
		return !slices.ContainsFunc(urls, func(url string) bool { return b.ca.Authorization(url).Status == "pending" })
	}
}

// TestFleet has three hubs, and hosts with leaks of four accounts.
func TestFleet(t *testing.T) {
	for _, servers := range []int{1, 3} {
		t.Run(fmt.Sprint(servers), func(t *testing.T) { testFleet(t, newBench(t, servers, 4, fakeca.Config{})) })
	}
}

func testFleet(t *testing.T, b *bench) {
	var urls []string
	var shards []*logparse.History
	for i := range 12 {
		host := fmt.Sprintf("web%02d.example.net", i)
		u, h := b.leak(host, b.accounts[i%4], fmt.Sprintf("a%d.example.org", i), fmt.Sprintf("b%d.example.org", i))
		urls, shards = append(urls, u...), append(shards, h)
		b.send(host, h)
	}
	hubs := []*running{b.hub("hub1", nil), b.hub("hub2", nil), b.hub("hub3", nil)}
	b.eventually("everything is settled", b.allSettled(urls))
	b.send("web00.example.net", shards[0]) // again, under another id
	b.eventually("the states say so", func() bool {
		return !slices.ContainsFunc(b.accounts, func(a *account.Account) bool {
			s := b.state(a.URL)
			return s.Work.Settled != 6 || s.Verdicts["deactivated"] != 6
		})
	})
	b.oneOwner(urls)
	for _, a := range b.accounts {
		s := b.state(a.URL)
		require.Equal(t, a.URL, s.Account)
		require.Equal(t, 6, s.Authorizations)
		require.Equal(t, "clear", s.Work.Policy)
		require.True(t, s.Work.Apply && s.Work.Key)
		require.Equal(t, "Boulder", s.Work.CA)
		require.Empty(t, s.Work.Problem)
	}
	// What the server has is what was published, and what the CA said.
	for url, want := range b.whole.Split() {
		b.eventually("nothing is missing", func() bool { // the server that answers may be behind
			got := b.history(url)
			before := marshal(t, got)
			got.Merge(want)
			return before == marshal(t, got) && len(got.Lives()) == 6
		})
	}
	// Everything that is in a snapshot is gone from the stream, and there is one snapshot for each account.
	b.eventually("the rest is tidied up", func() bool {
		stream, err := b.js.Stream(t.Context(), wire.AccountStream)
		require.NoError(t, err)
		info, err := stream.Info(t.Context())
		require.NoError(t, err)
		store, err := b.js.ObjectStore(t.Context(), wire.HistoryStore)
		require.NoError(t, err)
		objects, err := store.List(t.Context())
		left, e := b.js.Stream(t.Context(), storeStream)
		require.NoError(t, e)
		return err == nil && len(objects) == 4 && info.State.Msgs == 0 && left.CachedInfo().State.Msgs == 2*4 // a record and a chunk each
	})
	total := 0
	for _, h := range hubs {
		total += h.Stats().Accounts
	}
	require.Equal(t, 4, total)
}

func marshal(t *testing.T, h *logparse.History) string {
	t.Helper()
	data, err := h.MarshalJSON()
	require.NoError(t, err)
	return string(data)
}

// TestKilledHubs kills hubs while they work, again and again.
func TestKilledHubs(t *testing.T) {
	b := newBench(t, 1, 3, fakeca.Config{Latency: 15 * time.Millisecond})
	var urls []string
	for i := range 15 {
		host := fmt.Sprintf("web%02d", i)
		names := make([]string, 5)
		for k := range names {
			names[k] = fmt.Sprintf("n%d-%d.example.org", i, k)
		}
		u, h := b.leak(host, b.accounts[i%3], names...)
		urls = append(urls, u...)
		b.send(host, h)
	}
	slow := func(c *Config) { c.Parallelism = 1 }
	alive := []*running{b.hub("hub0", slow), b.hub("hub1", slow)}
	kills := 0
	for n := 2; !b.allSettled(urls)(); n++ {
		before := b.ca.Count(fakeca.Deactivate)
		b.eventually("something is settled", func() bool {
			return b.ca.Count(fakeca.Deactivate) > before+10 || b.allSettled(urls)()
		})
		victim := n % 2
		alive[victim].kill()
		kills++
		alive[victim] = b.hub(fmt.Sprint("hub", n), slow)
	}
	require.GreaterOrEqual(t, kills, 3)
	b.eventually("the states say so", func() bool {
		n := 0
		for _, a := range b.accounts {
			n += b.state(a.URL).Work.Settled
		}
		return n == len(urls)
	})
	b.eventually("the history, too", func() bool {
		n := 0
		for _, a := range b.accounts {
			n += b.state(a.URL).Verdicts["deactivated"]
		}
		return n == len(urls)
	})
	b.oneOwner(urls)
	t.Log(kills, "hubs were killed")
}

// TestPausedOwner has an owner that is held up for longer than its lease, with a request in its hands.
func TestPausedOwner(t *testing.T) {
	held, release := make(chan struct{}), make(chan struct{})
	var once sync.Once
	var b *bench
	b = newBench(t, 1, 1, fakeca.Config{Intercept: func(r *fakeca.Request) *fakeca.Answer {
		if strings.Contains(r.UserAgent, "hub1") && r.Kind == fakeca.Deactivate {
			once.Do(func() {
				close(held)
				<-release
			})
		}
		return nil
	}})
	urls, h := b.leak("web01", b.accounts[0], "a.example.org", "b.example.org", "c.example.org", "d.example.org")
	b.send("web01", h)
	first := b.hub("hub1", func(c *Config) { c.Parallelism = 1 })
	<-held
	first.nc.Close() // and so it cannot renew its lease
	second := b.hub("hub2", nil)
	b.eventually("the other one has it", func() bool { return second.Stats().Accounts == 1 && b.state(b.accounts[0].URL).Hub == "hub2" })
	close(release)
	b.eventually("all is settled", b.allSettled(urls))
	b.eventually("the first one knows", func() bool { return first.Stats().Accounts == 0 })
	b.oneOwner(urls)
	require.EqualValues(t, 1, second.Stats().Takeovers)
}

// TestHandOver gives accounts to a hub that joins, and all of them to the one that is left.
func TestHandOver(t *testing.T) {
	b := newBench(t, 1, 12, fakeca.Config{})
	for i, a := range b.accounts {
		_, h := b.leak("web01", a, fmt.Sprintf("n%d.example.org", i))
		b.send("web01", h)
	}
	first := b.hub("hub1", nil)
	b.eventually("one has all", func() bool { return first.Stats().Accounts == 12 })
	second := b.hub("hub2", nil)
	b.eventually("both have some", func() bool {
		return second.Stats().Accounts >= 3 && first.Stats().Accounts >= 3 && first.Stats().Accounts+second.Stats().Accounts == 12
	})
	began := time.Now()
	first.stop()
	b.eventually("the other one has all", func() bool { return second.Stats().Accounts == 12 })
	require.Zero(t, second.Stats().Takeovers, "they were given")
	t.Log("after", time.Since(began))
}

// TestKeysFirst has a hub without keys, which leaves the accounts to one that has them.
func TestKeysFirst(t *testing.T) {
	b := newBench(t, 1, 6, fakeca.Config{})
	var urls []string
	for i, a := range b.accounts {
		u, h := b.leak("web01", a, fmt.Sprintf("n%d.example.org", i))
		urls = append(urls, u...)
		b.send("web01", h)
	}
	watcher := b.hub("watcher", func(c *Config) { c.Accounts = nil })
	b.eventually("the states say what is missing", func() bool {
		return !slices.ContainsFunc(b.accounts, func(a *account.Account) bool { return b.state(a.URL).Work.Problem == "" })
	})
	require.Contains(t, b.state(b.accounts[0].URL).Work.Problem, "no hub has its key")
	require.Zero(t, b.ca.Total())
	worker := b.hub("worker", nil)
	b.eventually("all is settled", b.allSettled(urls))
	b.eventually("the worker has all", func() bool { return worker.Stats().Accounts == 6 && watcher.Stats().Accounts == 0 })
}

// TestDryRun changes nothing unless it is told to.
func TestDryRun(t *testing.T) {
	b := newBench(t, 1, 2, fakeca.Config{})
	yes := true
	var urls [2][]string
	for i := range 2 {
		var h *logparse.History
		urls[i], h = b.leak("web01", b.accounts[i], fmt.Sprintf("n%d.example.org", i))
		b.send("web01", h)
	}
	b.hub("hub1", func(c *Config) {
		c.Apply, c.Policies = false, []Policy{{Accounts: b.accounts[1].URL, Policy: Deactivate, Apply: &yes}}
	})
	b.eventually("one is settled", b.allSettled(urls[1]))
	b.eventually("the other is planned", func() bool { return b.state(b.accounts[0].URL).Work.Planned["deactivate"] == 1 })
	require.Equal(t, "pending", b.ca.Authorization(urls[0][0]).Status)
	require.False(t, b.state(b.accounts[0].URL).Work.Apply)
}

// TestPolicies leaves, and relinquishes.
func TestPolicies(t *testing.T) {
	b := newBench(t, 1, 2, fakeca.Config{})
	left, h := b.leak("web01", b.accounts[0], "left.example.org")
	b.send("web01", h)
	sold, h := b.leak("web01", b.accounts[1], "www.sold.example", "kept.example")
	for _, url := range sold {
		b.ca.SetStatus(url, "valid")
	}
	b.send("web01", h)
	b.hub("hub1", func(c *Config) {
		c.Policies = []Policy{{Accounts: b.accounts[0].URL, Policy: Leave}, {Policy: Relinquish, Names: []string{".sold.example"}}}
	})
	b.eventually("what was sold is given up", func() bool { return b.ca.Authorization(sold[0]).Status == "deactivated" })
	require.Equal(t, "valid", b.ca.Authorization(sold[1]).Status)
	b.eventually("the state says so", func() bool { return b.state(b.accounts[1].URL).Work.Settled == 1 })
	require.Equal(t, "pending", b.ca.Authorization(left[0]).Status)
	require.Equal(t, "leave", b.state(b.accounts[0].URL).Work.Policy)
}

// TestBudget keeps the CA's limit on failures, although hubs are killed: the fake CA says when it is overdrawn.
func TestBudget(t *testing.T) {
	b := newBench(t, 1, 1, fakeca.Config{FailureLimit: 5})
	profile := authz.Profile{Name: "limited", Match: []authz.Match{{}}, Deactivate: authz.EffectSettles, Answer: authz.EffectSettles,
		Failures: authz.FailureLimit{Count: 5, Window: time.Hour, Deactivation: true}}
	limited := func(c *Config) {
		c.Profiles, c.Parallelism = []authz.Profile{profile}, 1
		c.Policies = []Policy{{Policy: Deactivate}}
	}
	var urls []string
	for range 12 {
		u, h := b.leak("web01", b.accounts[0], "same.example.org")
		urls = append(urls, u...)
		b.send("web01", h)
	}
	for i := range 4 {
		h := b.hub(fmt.Sprint("hub", i), limited)
		b.eventually("it has decided", func() bool {
			s := b.state(b.accounts[0].URL)
			return s.Hub == h.config.Name && s.Work.Deferred > 0
		})
		h.kill()
	}
	require.Empty(t, b.ca.Overdrawn())
	settled := 0
	for _, url := range urls {
		settled += b.ca.Deactivations(url)
	}
	require.Equal(t, 4, settled, "one of five is kept for the client")
	s := b.state(b.accounts[0].URL)
	require.Equal(t, 8, s.Work.Deferred)
	require.True(t, s.Work.DeferredUntil.After(time.Now()))
	b.oneOwner(urls)
}

// TestHostileShards refuses what breaks the rules; what others sent gets through.
func TestHostileShards(t *testing.T) {
	b := newBench(t, 1, 1, fakeca.Config{})
	h := b.hub("hub1", func(c *Config) { c.MaxAccounts, c.MaxHostAccounts = 20, 10 })
	raw := func(host string, data []byte) {
		_, err := b.js.PublishMsg(t.Context(), &nats.Msg{Subject: wire.ShardSubject(host), Data: data})
		require.NoError(t, err)
	}
	_, foreign := b.leak("web02", b.accounts[0], "x.example.org")
	encoded, err := wire.EncodeHistory(foreign)
	require.NoError(t, err)
	raw("evil", encoded)            // in the name of another host
	raw("evil", []byte("no shard")) // not compressed
	raw("ev=il", encoded)           // a name that is none
	raw("evil", bomb(t))            // 64 MiB of spaces
	many := func(prefix string, n int, url func(int) string) {
		var m logparse.History
		for i := range n {
			m.Add(logparse.Event{
				Kind: logparse.AuthorizationSeen, Host: "evil", Account: url(i), Place: logparse.Place{File: wire.FileName("evil", "/x", 1), Line: int64(i + 1)},
				Authorization: &logparse.Authorization{URL: fmt.Sprintf("https://%s.example/authz/%d", prefix, i), Status: "pending"},
			})
		}
		data, err := wire.EncodeHistory(&m)
		require.NoError(t, err)
		raw("evil", data)
	}
	many("a", 1000, func(i int) string { return fmt.Sprint("https://a.example/acct/", i) }) // too many accounts
	many("b", 1, func(int) string { return "javascript:alert(1)" })
	many("c", 1, func(int) string { return "https://c.example/\x1b[2J" })
	for k := range 30 { // one by one, up to the limit of the fleet
		many("d", 1, func(int) string { return fmt.Sprint("https://d.example/acct/", k) })
	}
	urls, honest := b.leak("web01", b.accounts[0], "honest.example.org")
	// A hostile host may name anything as an authorization of the account: nothing is signed for other origins.
	honest.Add(logparse.Event{
		Kind: logparse.AuthorizationSeen, Host: "web01", Account: b.accounts[0].URL, Place: logparse.Place{File: wire.FileName("web01", "/x", 2), Line: 1},
		Authorization: &logparse.Authorization{URL: "https://elsewhere.example/acme/authz/1/2", Status: "pending"}, Time: time.Now().Add(-9 * time.Hour),
	})
	b.send("web01", honest)
	b.eventually("the honest one is settled", b.allSettled(urls))
	b.eventually("all are dealt with", func() bool { return h.Stats().Shards+h.Stats().Refused == 8+30 })
	require.EqualValues(t, 7, h.Stats().Refused)
	require.EqualValues(t, 20, h.Stats().LeftOut)
	b.eventually("the foreign one failed", func() bool { return b.state(b.accounts[0].URL).Work.Failed == 1 })
	for _, r := range b.ca.Requests() {
		require.NotContains(t, r.URL, "elsewhere")
	}
	require.Len(t, b.history(b.accounts[0].URL).Lives(), 2)
}

// BenchmarkPicture has 200 hosts send 250 authorizations each, of 20 accounts, to two hubs that only watch, and waits until
// the states tell of all: 50,000 authorizations in 200 shards.
func BenchmarkPicture(b *testing.B) {
	for b.Loop() {
		b.StopTimer()
		cluster := startCluster(b, 1)
		js := cluster.Setup(server.Settings{})
		var shards [][]byte
		events, bytes := 0, 0
		for i := range 200 {
			host := fmt.Sprintf("web%03d", i)
			var h logparse.History
			file := wire.FileName(host, "/var/log/letsencrypt/letsencrypt.log", uint64(i))
			for n := range 250 {
				at := time.Now().Add(-5 * time.Hour).Add(time.Duration(n) * time.Second)
				h.Add(logparse.Event{
					Kind: logparse.AuthorizationSeen, Host: host, Client: "certbot", Account: fmt.Sprintf("https://ca.test/acct/%d", i%20), Time: at,
					Place: logparse.Place{File: file, Line: int64(10*n + 2)}, Run: logparse.Place{File: file, Line: int64(n/10*100 + 1)},
					Authorization: &logparse.Authorization{
						URL: fmt.Sprintf("https://ca.test/acme/authz/%d/%d", i%20, 1000*i+n), Status: "pending", Order: fmt.Sprintf("https://ca.test/order/%d", (1000*i+n)/10),
						Identifier: logparse.Identifier{Type: "dns", Value: fmt.Sprintf("shop%d.customer%d.example.org", n, i)},
					},
				})
				events++
			}
			data, err := wire.EncodeHistory(&h)
			require.NoError(b, err)
			shards, bytes = append(shards, data), bytes+len(data)
		}
		ctx, cancel := context.WithCancel(b.Context())
		var group sync.WaitGroup
		var hubs []*Hub
		for k := range 2 {
			_, js := cluster.Connect()
			h, err := New(ctx, js, Config{Name: fmt.Sprint("hub", k), LeaseLife: 3 * time.Second, SaveEvery: 500 * time.Millisecond})
			require.NoError(b, err)
			hubs = append(hubs, h)
			group.Go(func() { _ = h.Run(ctx) })
		}
		kv, err := js.KeyValue(ctx, wire.AccountBucket)
		require.NoError(b, err)
		b.StartTimer()
		began := time.Now()
		for i, data := range shards {
			_, err := js.PublishMsg(ctx, &nats.Msg{Subject: wire.ShardSubject(fmt.Sprintf("web%03d", i)), Data: data})
			require.NoError(b, err)
		}
		for hubs[0].Stats().Shards+hubs[1].Stats().Shards < 200 {
			time.Sleep(5 * time.Millisecond)
		}
		b.ReportMetric(float64(events)/time.Since(began).Seconds(), "authorizations/s")
		for n := 0; n < events; {
			n = 0
			for i := range 20 {
				e, err := kv.Get(ctx, wire.StateKey(wire.AccountToken(fmt.Sprintf("https://ca.test/acct/%d", i))))
				var s wire.AccountState
				if err == nil && json.Unmarshal(e.Value(), &s) == nil {
					n += s.Authorizations
				}
			}
			time.Sleep(20 * time.Millisecond)
		}
		b.ReportMetric(time.Since(began).Seconds(), "s-to-whole")
		b.ReportMetric(float64(bytes)/float64(events), "shard-B/authorization")
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		b.ReportMetric(float64(m.HeapAlloc)/1e6, "heap-MB")
		b.StopTimer()
		cancel()
		group.Wait()
		b.StartTimer()
	}
}
