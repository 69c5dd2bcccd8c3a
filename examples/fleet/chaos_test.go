package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/acmeauthz/acmeauthz/examples/fleet/server"
	"github.com/acmeauthz/acmeauthz/examples/fleet/server/servertest"
	"github.com/acmeauthz/acmeauthz/examples/fleet/wire"
	"github.com/acmeauthz/acmeauthz/internal/fakeca"
	"github.com/acmeauthz/acmeauthz/logparse"
	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/acme"
)

// How large the storm is. The long form that README.md tells of:
//
//	go test . -run TestChaos -v -timeout 30m -chaos 50000 -chaos.hosts 200 -chaos.accounts 20 -chaos.kills 20 -chaos.every 8s -chaos.pace 150 -chaos.servers 1
var (
	chaosSize     = flag.Int("chaos", 1000, "authorizations in the chaos test")
	chaosHosts    = flag.Int("chaos.hosts", 10, "hosts, each with an agent")
	chaosAccounts = flag.Int("chaos.accounts", 4, "accounts, of whose hosts each is shared")
	chaosServers  = flag.Int("chaos.servers", 0, "servers; three are a cluster; 0 is one, and a cluster beside it")
	chaosKills    = flag.Int("chaos.kills", 5, "how often a hub or the server is killed")
	chaosEvery    = flag.Duration("chaos.every", 2*time.Second, "how long until something else goes wrong, on average")
	chaosPace     = flag.Int("chaos.pace", 60, "requests per second of a hub at the CA")
	chaosPatience = flag.Duration("chaos.patience", 2*time.Minute, "how long everything may take after the storm")
	chaosSeed     = flag.Uint64("chaos.seed", 0, "seed of the chaos test; 0 is a new one")
)

// The budget of a name at the CA; one failure of it is kept for the client.
const (
	budget   = 5
	retries  = 8 // authorizations of one name, of each account
	hubCount = 3
)

// A storm is what goes wrong with a fleet. Its faults are mended after a while, or at its end.
type storm struct {
	*fleetOfProcesses
	random  *rand.Rand
	proxies []*servertest.Proxy // of the last hub, and of some agents
	mends   []mend
	kills   map[string]int
	other   map[string]int

	continued map[string][]time.Time // when hubs that were stopped went on
	most      map[string]int64       // memory, by process
}

type mend struct {
	at time.Time
	do func()
}

// TestChaos kills hubs and the server with SIGKILL while logs are written, stops others for longer than their leases last,
// cuts agents and a hub off, and kills agents. Then: no event is lost and none is told twice; no authorization was settled
// twice; budgets and pace were kept; and each account had one owner at every moment, by the CA's own log.
func TestChaos(t *testing.T) {
	t.Parallel()
	for _, servers := range []int{1, 3} {
		if *chaosServers == 0 || *chaosServers == servers {
			t.Run(fmt.Sprint(servers), func(t *testing.T) { testChaos(t, servers) })
		}
	}
}

func testChaos(t *testing.T, servers int) {
	t.Parallel()
	if testing.Short() {
		t.Skip("it takes a minute")
	}
	seed := *chaosSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("replay with -chaos.seed %d", seed)
	s := &storm{
		fleetOfProcesses: newFleetOfProcesses(t, servers, *chaosAccounts, *chaosHosts, fakeca.Config{Latency: 5 * time.Millisecond, FailureLimit: budget}),
		random:           rand.New(rand.NewPCG(seed, 1)), kills: map[string]int{}, other: map[string]int{}, continued: map[string][]time.Time{}, most: map[string]int64{},
	}
	s.begin()
	written := make(chan struct{})
	texts := s.texts()
	go func() {
		defer close(written)
		s.write(texts, rand.New(rand.NewPCG(seed, 2)))
	}()
	began := time.Now()
	for n := 0; n < *chaosKills; {
		n += s.fault()
	}
	<-written
	s.calm(time.Now().Add(time.Hour))
	stormed := time.Since(began)
	s.settled()
	t.Logf("%d authorizations in %d orders, %d hosts, %d accounts; killed %v, and %v; a storm of %v, all done after %v; %d requests at the CA",
		len(s.leaked), s.orders, len(s.logs), len(s.accounts), s.kills, s.other, stormed.Round(time.Second), time.Since(began).Round(time.Second), s.ca.Total())
	s.remember()
	for _, name := range slices.Sorted(maps.Keys(s.most)) {
		if !strings.HasPrefix(name, "web") || name == hostName(0) {
			t.Logf("%s: at most %d MB in memory", name, s.most[name]>>20)
		}
	}
	s.check()
}

// begin starts everything.
func (s *storm) begin() {
	profile := fmt.Sprintf(`[{"name": "stormy", "match": [{}], "deactivate": "settles", "answer": "settles",
		"failures": {"count": %d, "window": "1h", "deactivation": true}, "requests": {"perSecond": %d, "burst": 5},
		"sources": [{"what": "this test", "date": "2026-11-29"}]}]`, budget, *chaosPace)
	require.NoError(s.t, os.WriteFile(s.path("profile.json"), []byte(profile), 0o644))
	require.NoError(s.t, os.WriteFile(s.path("policy.json"), []byte(`[{"policy": "deactivate"}]`), 0o644))
	for _, p := range s.servers {
		p.start()
	}
	for i := range hubCount {
		url := s.url()
		if i == hubCount-1 {
			url = s.proxy()
		}
		s.addHub(url, "--apply", "--accounts", s.path("keys"), "--profiles", s.path("profile.json"), "--policy", s.path("policy.json"))
	}
	for i := range s.logs {
		url := s.url()
		if i%5 == 0 && i < 20 {
			url = s.proxy()
		}
		s.addAgent(url)
	}
	for _, p := range append(slices.Clone(s.hubs), s.agents...) {
		p.start()
	}
}

func (s *storm) proxy() string {
	p := servertest.StartProxy(s.t, s.urls[len(s.proxies)%len(s.servers)])
	s.proxies = append(s.proxies, p)
	return p.URL()
}

// A text is what is to be appended to the log of a host.
type text struct {
	host int
	text []byte
}

// texts are the runs of all hosts, of five names each. For each account some order the same name again and again.
func (s *storm) texts() (all []text) {
	perHost := make([]int, len(s.logs))
	for n := range *chaosSize / 5 {
		host := n % len(s.logs)
		var names []string
		for k := range 5 {
			names = append(names, fmt.Sprintf("shop%d.customer%d-%d.example.org", k, host, perHost[host]))
		}
		if host < len(s.accounts) && perHost[host] < retries {
			names[4] = fmt.Sprintf("again.customer%d.example.org", host)
		}
		perHost[host]++
		all = append(all, text{host, s.leak(host, names)})
	}
	return all
}

// write writes the logs during the storm, and rotates them now and then.
func (s *storm) write(texts []text, random *rand.Rand) {
	const tick = 20 * time.Millisecond
	ticks := max(*chaosKills*int(*chaosEvery*3/2/tick), 1)
	for i, t := range texts {
		log := s.logs[t.host]
		err := log.append(t.text)
		if err == nil && random.IntN(10) == 0 {
			err = log.rotate()
		}
		if err != nil {
			s.t.Error(err)
			return
		}
		if i%max(len(texts)/ticks, 1) == 0 {
			time.Sleep(tick)
		}
	}
}

// fault waits a while and breaks something. It returns 1 if that was a hub or the server.
func (s *storm) fault() int {
	s.calm(time.Now())
	until := time.Now().Add(*chaosEvery/4 + time.Duration(s.random.Int64N(int64(*chaosEvery*3/2))))
	for time.Now().Before(until) {
		time.Sleep(20 * time.Millisecond)
		s.calm(time.Now())
	}
	s.remember()
	switch n := s.random.IntN(10); {
	case n < 4:
		return s.kill(s.hubs[s.random.IntN(len(s.hubs))])
	case n < 6:
		return s.kill(s.servers[s.random.IntN(len(s.servers))])
	case n == 6:
		s.pause(s.hubs[s.random.IntN(len(s.hubs))])
	case n == 7:
		s.kill(s.agents[s.random.IntN(len(s.agents))])
	default:
		s.partition(s.random.IntN(len(s.proxies)))
	}
	return 0
}

// kill kills a process that runs, and starts it again after up to two seconds.
func (s *storm) kill(p *process) int {
	if p.cmd == nil {
		return 0
	}
	p.alive()
	p.kill()
	s.kills[p.name[:3]]++
	s.later(time.Duration(s.random.IntN(2000))*time.Millisecond, p.start)
	if slices.Contains(s.agents, p) {
		return 0
	}
	return 1
}

// pause stops a process for longer than a lease lasts: it does not know that it was.
func (s *storm) pause(p *process) {
	if p.cmd == nil || p.cmd.Process.Signal(syscall.SIGSTOP) != nil {
		return
	}
	s.other["stopped"]++
	stopped := p.cmd
	s.later(5*time.Second, func() {
		s.continued[p.name] = append(s.continued[p.name], time.Now())
		_ = stopped.Process.Signal(syscall.SIGCONT)
	})
}

// partition cuts a hub or an agent off: at once, or so that nobody notices.
func (s *storm) partition(i int) {
	p := s.proxies[i]
	if s.random.IntN(2) == 0 {
		s.other["cut off"]++
		p.Cut()
	} else {
		s.other["stalled"]++
		p.Stall()
	}
	s.later(time.Duration(1000+s.random.IntN(7000))*time.Millisecond, p.Restore)
}

func (s *storm) later(after time.Duration, do func()) {
	s.mends = append(s.mends, mend{time.Now().Add(after), do})
}

// calm mends what is due.
func (s *storm) calm(now time.Time) {
	due := func(m mend) bool { return !m.at.After(now) }
	for _, m := range s.mends {
		if due(m) {
			m.do()
		}
	}
	s.mends = slices.DeleteFunc(s.mends, due)
}

// remember notes how much memory the processes have.
func (s *storm) remember() {
	for _, p := range s.all() {
		if p.cmd != nil {
			most, _ := p.memory()
			s.most[p.name] = max(s.most[p.name], most)
		}
	}
}

// settled waits until the fleet knows everything, and has settled all that it may.
func (s *storm) settled() {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), *chaosPatience)
	defer cancel()
	var last string
	for {
		limited, cancel := context.WithTimeout(ctx, 5*time.Second) // a question that is lost is not answered later
		status, _, err := s.look(limited, false)
		waiting, e := s.waiting(limited)
		cancel()
		if err = errors.Join(err, e); err == nil {
			known, done, deferred, verdicts := 0, 0, 0, 0
			for _, a := range status.Accounts {
				known += a.Authorizations
				done += a.Work.Settled
				deferred += a.Work.Deferred
				verdicts += a.Verdicts[string(logparse.Deactivated)]
			}
			last = fmt.Sprintf("of %d: %d known, %d settled, %d of them in the history, %d deferred; %d shards wait", len(s.leaked), known, done, verdicts, deferred, waiting)
			if known == len(s.leaked) && done+deferred == known && verdicts == done && waiting == 0 && s.unspooled() {
				return
			}
		}
		for _, p := range s.all() {
			p.alive()
		}
		select {
		case <-ctx.Done():
			s.saveOutput()
			if status != nil {
				_ = status.WriteText(os.Stderr, 160)
			}
			require.FailNow(s.t, "it does not end", "%s; %v", last, err)
		case <-time.After(250 * time.Millisecond):
		}
	}
}

// waiting is how many shards no hub has split. One that a hub had fetched when it was killed is given to another after half a
// minute.
func (s *storm) waiting(ctx context.Context) (uint64, error) {
	c, err := server.Connect(ctx, server.Access{URLs: s.urls})
	if err != nil {
		return 0, err
	}
	defer c.Close()
	js, err := c.JetStream()
	if err != nil {
		return 0, err
	}
	stream, err := js.Stream(ctx, wire.ShardStream)
	if err != nil {
		return 0, err
	}
	return stream.CachedInfo().State.Msgs, nil
}

// unspooled reports whether the agents have nothing left to send.
func (s *storm) unspooled() bool {
	waiting, err := filepath.Glob(s.path("web*", "state", "spool", "*"))
	return err == nil && len(waiting) == 0
}

// saveOutput keeps what the processes said.
func (s *storm) saveOutput() {
	for _, p := range slices.Concat(s.servers, s.hubs) {
		text, _ := os.ReadFile(p.log)
		s.t.Logf("%s: %s", p.name, text[max(len(text)-3000, 0):])
	}
}

func (s *storm) check() {
	s.checkWork()
	s.checkOwners()
	s.checkHistory()
}

// checkWork checks that nothing was settled twice, and that the budgets were kept.
func (s *storm) checkWork() {
	s.t.Helper()
	require.Empty(s.t, s.ca.Overdrawn())
	again := map[string]int{}
	for _, url := range s.leaked {
		a, n := s.ca.Authorization(url), s.ca.Deactivations(url)
		require.LessOrEqual(s.t, n, 1, "%s was settled more than once", url)
		if strings.HasPrefix(a.Identifier, "again.") {
			again[string(a.Owner)] += n
			continue
		}
		require.Equal(s.t, "deactivated", a.Status, url)
	}
	require.Len(s.t, again, len(s.accounts))
	for owner, n := range again {
		require.LessOrEqual(s.t, n, budget-1, owner)
		require.Positive(s.t, n, owner)
	}
}

// checkOwners checks in the CA's log that each account had one owner at every moment, which kept its pace.
func (s *storm) checkOwners() {
	s.t.Helper()
	type owner struct {
		epoch int
		hub   string
	}
	last, owners := map[acme.KeyID]owner{}, map[acme.KeyID]map[owner]bool{}
	recent := map[acme.KeyID][]time.Time{}
	encoded := 0
	for _, r := range s.ca.Requests() {
		if r.KID == "" {
			continue
		}
		var o owner
		_, after, _ := strings.Cut(r.UserAgent, " hub/")
		_, err := fmt.Sscanf(after, "%s epoch/%d", &o.hub, &o.epoch)
		require.NoError(s.t, err, r.UserAgent)
		before := last[r.KID]
		if o.epoch < before.epoch && s.hasGoneOn(o.hub, r.Time) {
			encoded++ // what is left, as README.md says: it was on its way when the process was stopped
			continue
		}
		require.GreaterOrEqual(s.t, o.epoch, before.epoch, "%s: after %v, an earlier owner acted: %v in request %d, %s", r.KID, before, o, r.Number, r.Kind)
		require.False(s.t, o.epoch == before.epoch && o.hub != before.hub, "%s: %v and %v are one epoch", r.KID, o, before)
		last[r.KID] = o
		if owners[r.KID] == nil {
			owners[r.KID] = map[owner]bool{}
		}
		owners[r.KID][o] = true
		times := append(recent[r.KID], r.Time)
		for r.Time.Sub(times[0]) > time.Second {
			times = times[1:]
		}
		recent[r.KID] = times
		// Two owners that follow each other within a second have a burst each; and on a busy machine what was sent in two
		// seconds may arrive in one.
		require.LessOrEqual(s.t, len(times), 2**chaosPace+2*5, "the pace of %s", r.KID)
	}
	changes := 0
	for _, all := range owners {
		changes += len(all)
	}
	s.t.Logf("%d accounts had %d owners, one after the other; %d requests were on their way when their hub was stopped", len(owners), changes, encoded)
	require.Len(s.t, owners, len(s.accounts))
}

// hasGoneOn reports whether a hub that was stopped has gone on just before.
func (s *storm) hasGoneOn(hub string, at time.Time) bool {
	return slices.ContainsFunc(s.continued[hub], func(t time.Time) bool { return at.After(t) && at.Sub(t) < time.Second })
}

// checkHistory checks that the fleet knows what the logs tell, all of it, and each event once.
func (s *storm) checkHistory() {
	s.t.Helper()
	var got *logparse.History
	var err error
	for range 20 {
		ctx, cancel := context.WithTimeout(s.t.Context(), time.Minute)
		_, got, err = s.look(ctx, true)
		cancel()
		if err == nil {
			break // a hub may have made another snapshot meanwhile
		}
		time.Sleep(200 * time.Millisecond)
	}
	require.NoError(s.t, err)
	want := s.read()
	require.Equal(s.t, told(want), told(got))
	have := marshal(s.t, got)
	got.Merge(want)
	require.Equal(s.t, len(have), len(marshal(s.t, got)), "something of the logs is missing")
	require.Equal(s.t, have, marshal(s.t, got), "something of the logs is missing")
}

func marshal(t testing.TB, h *logparse.History) string {
	t.Helper()
	data, err := h.MarshalJSON()
	require.NoError(t, err)
	return string(data)
}

// told is what the logs of hosts tell of each authorization, without what a hub has learned since: where it was seen
// first, in which order and run, of which account and host.
func told(h *logparse.History) []string {
	all := []string{}
	for _, l := range h.Lives() {
		run := ""
		if l.Run != nil {
			run = l.Run.Place.String()
		}
		all = append(all, fmt.Sprint(l.URL, " ", l.Identifier.Value, " ", l.OrderURL, " ", l.Account, " ", l.Host, " ", l.First, " ", run, " ", l.FirstSeen.UTC()))
	}
	for _, r := range h.Runs() {
		all = append(all, fmt.Sprint(r.Place, " ", r.Command, " ", r.Orders, " orders, ", r.Authorizations, " authorizations"))
	}
	slices.Sort(all)
	s := h.Summary()
	return append(all, fmt.Sprint(s.Runs, " runs, ", s.Orders, " orders, ", s.Authorizations, " authorizations"))
}
