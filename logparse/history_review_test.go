package logparse

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// randomEvent returns an event that most likely contradicts another one: all it says is one of two or three things.
func randomEvent(r *rand.Rand) Event {
	pick := func(all ...string) string { return all[r.IntN(len(all))] }
	e := Event{
		Kind:   Kind(r.IntN(int(LinesUnrecognized) + 1)),
		Client: pick("", "a", "b"), Account: pick("", "x", "y"), Host: pick("", "h", "i"), Unit: pick("", "u", "v"), PID: r.IntN(2),
		Version: pick("", "1", "2"), Command: pick("", "c", "d"), Exit: pick("", "error", "killed"), Message: pick("", "m", "n"),
		Cause: Cause(pick("", string(CauseHook), string(CauseDNS))), Lines: int64(r.IntN(3)),
	}
	place := func() Place { return Place{pick("f", "g", ""), int64(r.IntN(3)), int64(r.IntN(2))} }
	moment := func() time.Time {
		zone := time.FixedZone("", 3600*r.IntN(2))
		return []time.Time{{}, noon, noon.In(zone), noon.Add(time.Second), time.Date(20000, 1, 1, 0, 0, 0, 0, zone)}[r.IntN(5)]
	}
	e.Place, e.Time = place(), moment()
	if r.IntN(2) == 0 {
		e.Run = place()
	}
	id := func() Identifier {
		return Identifier{pick("", "dns"), pick("", "a.example", "b.example", "*.a.example")}
	}
	problem := func() *Problem {
		if r.IntN(2) == 0 {
			return nil
		}
		return &Problem{
			Type: pick("", "urn:ietf:params:acme:error:badNonce", "urn:ietf:params:acme:error:malformed"), Detail: pick("", "1", "2"),
			Status: []int{0, 429}[r.IntN(2)], URL: pick("", "https://ca.example/acme/new-order"),
		}
	}
	if r.IntN(2) == 0 {
		e.Order = &Order{ID: pick("", "o", "p"), URL: pick("", "o", "q"), Status: pick("", "pending", "valid", "invalid"), Expires: moment()}
		for range r.IntN(3) {
			e.Order.Identifiers = append(e.Order.Identifiers, id())
			e.Order.Authorizations = append(e.Order.Authorizations, pick("1", "2", "3"))
		}
	}
	if r.IntN(3) > 0 {
		e.Authorization = &Authorization{
			URL: pick("", "1", "2", "3"), Order: pick("", "o", "p"), Identifier: id(), Wildcard: r.IntN(2) == 0,
			Status: pick("", "pending", "valid", "invalid", "deactivated", "odd\xff"), Expires: moment(), Problem: problem(),
		}
	}
	e.Problem = problem()
	return e
}

// TestContradictions adds events that contradict one another in any order, and in parts that are merged, some by way of
// their JSON: what holds is the same.
func TestContradictions(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 1))
		events := make([]Event, 1+r.IntN(30))
		for i := range events {
			events[i] = randomEvent(r)
		}
		want := history(events...)
		for range 3 {
			r.Shuffle(len(events), func(i, j int) { events[i], events[j] = events[j], events[i] })
			require.True(t, marshal(t, want) == marshal(t, history(events...)), "seed %d", seed)
			got := mergedParts(t, r, events)
			require.True(t, marshal(t, want) == marshal(t, got), "seed %d, merged", seed)
			require.Equal(t, want.Lives(), got.Lives(), "seed %d", seed)
			require.Equal(t, want.Runs(), got.Runs(), "seed %d", seed)
			require.Equal(t, want.Summary(), got.Summary(), "seed %d", seed)
		}
	}
}

func history(events ...Event) *History {
	h := &History{At: noon.Add(6 * time.Hour)}
	for _, e := range events {
		h.Add(e)
	}
	return h
}

// mergedParts returns the History of the events in three parts that overlap.
func mergedParts(t *testing.T, r *rand.Rand, events []Event) *History {
	t.Helper()
	parts := []*History{history(), history(), history()}
	for _, e := range events {
		parts[r.IntN(3)].Add(e)
		parts[r.IntN(3)].Add(e)
	}
	read := history()
	require.NoError(t, json.Unmarshal([]byte(marshal(t, parts[0])), read))
	got := history()
	for _, i := range r.Perm(3) {
		got.Merge(parts[i])
		got.Merge(read)
	}
	return got
}

// TestMoreVerdicts is about runs that are not over, and about what is easily taken for a cause.
func TestMoreVerdicts(t *testing.T) {
	refused := &Problem{Type: "urn:ietf:params:acme:error:rateLimited", Status: 429, URL: "https://ca.example/acme/new-order"}
	later := func(s *script, d time.Duration, e Event) *script {
		e.Time = noon.Add(d)
		return s.add(e)
	}
	other := Event{Kind: AuthorizationSeen, Authorization: &Authorization{URL: urlOf("2", "z"), Identifier: identifier("z"), Order: "https://ca.example/order/2", Status: "valid"}}
	tests := map[string]struct {
		script *script
		at     time.Time
		want   []string
	}{
		"pending after the answer: the CA may have decided since": {
			script: newScript().pending("1", "a").answer("1", "a").status("1", "a", "pending").stop("polling"),
			want:   []string{"a unknown"},
		},
		"killed, as another program says": {
			script: newScript().pending("1", "a").end("killed"),
			want:   []string{"a leaked: killed [4 the run ends: killed]"},
		},
		"killed by timeout(1)": {
			script: newScript().pending("1", "a").end("status 124"),
			want:   []string{"a leaked: killed [4 the run ends: status 124]"},
		},
		"no order more": {
			script: newScript().pending("1", "a").add(Event{Kind: ProblemSeen, Problem: refused}).stop("x"),
			want:   []string{"a leaked: killed [1 the run starts] [5 the last line of the run: x]"},
		},
		"a server goes on after it gave up an order": {
			script: later(newScript().pending("1", "a"), 6*time.Hour, other),
			want:   []string{"a leaked: unknown [3 last seen, pending]", "z valid"},
		},
		"a server is at work on two orders": {
			script: later(newScript().pending("1", "a"), 30*time.Minute, other),
			at:     noon.Add(40 * time.Minute),
			want:   []string{"a in progress", "z valid"},
		},
		"a client waits for long, and writes": {
			script: later(newScript().pending("1", "a"), 6*time.Hour, Event{Kind: FailureSeen, Message: "still waiting"}),
			want:   []string{"a in progress"},
		},
		"a clock that is far ahead": {
			script: later(newScript(), 1000*time.Hour, Event{Kind: AuthorizationSeen, Authorization: &Authorization{
				URL: "u", Order: "o", Status: "pending", Identifier: identifier("a")}}),
			want: []string{"a leaked: killed [1 the run starts] [2 the last line of the run]"},
		},
		"who failed first is told by what the CA said first": {
			script: newScript().pending("1", "a", "b", "c").status("1", "b", "invalid").status("1", "c", "invalid").
				status("1", "b", "invalid").end("error"),
			want: []string{
				"a leaked: sibling failed by b [6 b is invalid: connection: refused]",
				"b invalid", "c invalid",
			},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			h := test.script.history()
			if !test.at.IsZero() {
				h.At = test.at
			}
			require.Equal(t, test.want, verdicts(h))
		})
	}
}

// TestTroubleOfServers is about runs with more orders than failures are kept of a run.
func TestTroubleOfServers(t *testing.T) {
	s := newScript()
	for i := range 2 * maxRunTrouble {
		id := fmt.Sprint(i)
		s.pending(id, "n"+id).problem("badNonce", 400)
		s.add(Event{Kind: FailureSeen, Cause: CauseDNS, Message: "no zone", Order: &Order{ID: "https://ca.example/order/" + id}})
	}
	h := s.history()
	h.At = noon.Add(48 * time.Hour)
	leaks := h.Leaks()
	require.Len(t, leaks, 2*maxRunTrouble)
	for _, l := range leaks {
		require.Equal(t, CauseDNS, l.Cause)
		require.Equal(t, "no zone", l.Evidence[0].Text)
	}
	for _, r := range h.runs {
		require.Empty(t, r.trouble)
	}
}

func TestTroubleIsBounded(t *testing.T) {
	s := newScript().pending("1", "a")
	for i := range maxRunTrouble + 10 {
		s.fail(CauseHook, fmt.Sprint("exit ", i), "")
		s.add(Event{Kind: FailureSeen, Cause: CauseDNS, Message: fmt.Sprint(i), Order: &Order{ID: "https://ca.example/order/1"}})
	}
	h := s.history()
	require.Len(t, h.Leaks(), 1)
	for _, r := range h.runs {
		require.Len(t, r.trouble, maxRunTrouble)
		require.Equal(t, "exit 0", r.trouble[0].text)
	}
	require.Len(t, h.orders["https://ca.example/order/1"].trouble, maxOrderTrouble)
}

func TestUnrecognizedIsBounded(t *testing.T) {
	var one, two History
	for i := range int64(3 * maxSpots) {
		e := Event{Kind: LinesUnrecognized, Place: Place{File: "x", Line: 10 * i}, Lines: 2}
		two.Add(e)
		e.Line = 10 * (3*maxSpots - 1 - i)
		one.Add(e)
	}
	require.Equal(t, marshal(t, &one), marshal(t, &two))
	one.Merge(&two)
	require.Equal(t, marshal(t, &one), marshal(t, &two))
	var three History
	three.Merge(&one)
	require.Equal(t, marshal(t, &one), marshal(t, &three))
	sum := one.Summary()
	require.EqualValues(t, 2*maxSpots, sum.Unrecognized)
	require.True(t, sum.UnrecognizedMore)
	require.Len(t, sum.UnrecognizedAt, maxUnrecognized)
	require.Equal(t, Unrecognized{Place{File: "x", Line: 10}, 2}, sum.UnrecognizedAt[1])
}

// TestLimits adds what a hostile log may hold: more of everything than the limit.
func TestLimits(t *testing.T) {
	h := History{MaxAuthorizations: 5, At: noon}
	for i := range 100 {
		p := Place{File: "x", Line: int64(i + 1)}
		o := fmt.Sprint("order", i)
		h.Add(Event{Kind: OrderSeen, Place: p, Run: p, Order: &Order{ID: o}})
		h.Add(Event{Kind: AuthorizationSeen, Place: p, Run: p, Authorization: &Authorization{Order: o, Identifier: identifier(o)}})
		h.Add(Event{Kind: AuthorizationSeen, Place: p, Run: p, Authorization: &Authorization{URL: o, Order: o}})
	}
	require.Len(t, h.orders, 5)
	require.Len(t, h.runs, 6) // the last stands for all others
	require.Equal(t, 5, len(h.lives)+h.names)
	require.Positive(t, h.Summary().Dropped)
	copied := History{At: noon}
	copied.Merge(&h)
	require.Equal(t, h.Lives(), copied.Lives())
}

// TestManyOfOne adds an order with very many names, and a run with very many orders: neither may take the square of that.
func TestManyOfOne(t *testing.T) {
	const many = 100_000
	o := &Order{ID: "o", Status: "pending"}
	h := History{At: noon.Add(48 * time.Hour)}
	run := Place{File: "x", Line: 1}
	for i := range many {
		o.Identifiers = append(o.Identifiers, Identifier{"dns", fmt.Sprint(many-i, ".example")})
		o.Authorizations = append(o.Authorizations, fmt.Sprint("u", i))
	}
	h.Add(Event{Kind: OrderSeen, Place: run, Run: run, Order: o, Time: noon})
	h.Add(Event{Kind: OrderSeen, Place: run, Run: run, Order: o, Time: noon})
	for i := range many {
		e := Event{Kind: AuthorizationSeen, Place: Place{File: "x", Line: int64(i + 2)}, Run: run, Time: noon}
		e.Authorization = &Authorization{Order: fmt.Sprint("p", i), URL: fmt.Sprint("v", i), Status: "pending", Identifier: identifier("a.example")}
		h.Add(e)
		e.Kind, e.Cause, e.Message, e.Authorization = FailureSeen, CauseCheck, "404", nil
		h.Add(e)
	}
	require.Len(t, h.Lives(), 2*many)
	require.Len(t, h.orders["o"].identifiers, many)
	require.True(t, slices.IsSortedFunc(h.orders["o"].identifiers, compareIdentifiers))
}

// TestTextsAreCopied adds names that are pieces of bodies of 1 MiB, which must not be kept.
func TestTextsAreCopied(t *testing.T) {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	var h History
	for i := range 100 {
		body := strings.Repeat(string(rune('a'+i%26)), 1<<20) + fmt.Sprint(i)
		piece := body[len(body)-20:]
		e := Event{Kind: AuthorizationSeen, Account: piece, Host: piece, Client: piece, Unit: piece, Message: piece, Version: piece}
		e.Place, e.Run = Place{piece, 1, 0}, Place{piece, 1, 0}
		e.Authorization = &Authorization{URL: piece, Order: piece, Status: piece, Identifier: Identifier{piece, piece}}
		e.Authorization.Problem = &Problem{Type: piece, Detail: piece, URL: piece}
		e.Problem = e.Authorization.Problem
		for _, e.Kind = range []Kind{RunStarted, AuthorizationSeen, ProblemSeen, FailureSeen, RunStopped, RunEnded} {
			h.Add(e)
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	require.Less(t, int64(after.HeapAlloc)-int64(before.HeapAlloc), int64(10<<20))
	require.Len(t, h.lives, 100)
}

func TestTidy(t *testing.T) {
	require.Equal(t, "a?b", tidy("a\xff\xfeb"))
	require.Equal(t, strings.Repeat("a", maxRecordText-1), tidy(strings.Repeat("a", maxRecordText-1)+"é"))
	require.Equal(t, strings.Repeat("é", maxRecordText/2), tidy(strings.Repeat("é", maxRecordText)))
	for n := range 20 {
		s := tidy(strings.Repeat("€", 500)[n:] + "x")
		require.Equal(t, s, tidy(s))
		require.LessOrEqual(t, len(s), maxRecordText)
	}
}

// TestPresent asks for many authorizations over seconds, as when the CA is asked about each: the verdicts are not worked out
// anew each time, but they are after a minute.
func TestPresent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var h History
		h.Add(Event{Kind: AuthorizationSeen, Authorization: &Authorization{URL: "u", Status: "pending", Expires: time.Now().Add(90 * time.Second)}})
		require.False(t, h.Over("u"))
		first := h.snapshot
		time.Sleep(30 * time.Second)
		require.False(t, h.Over("u"))
		require.Same(t, first, h.snapshot)
		time.Sleep(61 * time.Second)
		require.True(t, h.Over("u"))
	})
}
