package logparse

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// noon is when the hand-made events are; the verdicts are as of six hours later, unless a row says otherwise.
var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// A script makes events of one run.
type script struct {
	events []Event
	line   int64
	base   Event
}

// newScript returns the script of a run that starts at noon.
func newScript() *script {
	s := &script{base: Event{Client: "test", Host: "web01", Account: "https://ca.example/acct/1"}}
	s.start()
	return s
}

func (s *script) add(e Event) *script {
	s.line++
	e.Place = Place{File: "x.log", Line: s.line}
	if e.Time.IsZero() {
		e.Time = noon.Add(time.Duration(s.line) * time.Second)
	}
	e.Client, e.Host, e.Account, e.Run = s.base.Client, s.base.Host, s.base.Account, s.base.Run
	s.events = append(s.events, e)
	return s
}

// start starts another run in the same log.
func (s *script) start() *script {
	s.base.Run = Place{File: "x.log", Line: s.line + 1}
	return s.add(Event{Kind: RunStarted, Version: "1", Command: "issue"})
}

// order sees an order with an authorization for each name.
func (s *script) order(id, status string, names ...string) *script {
	o := &Order{ID: "https://ca.example/order/" + id, URL: "https://ca.example/order/" + id, Status: status, Identifiers: identifiers(names)}
	for _, n := range names {
		o.Authorizations = append(o.Authorizations, urlOf(id, n))
	}
	return s.add(Event{Kind: OrderSeen, Order: o})
}

func urlOf(order, name string) string { return "https://ca.example/authz/" + order + "-" + name }

// status sees an authorization.
func (s *script) status(order, name, status string) *script {
	a := &Authorization{URL: urlOf(order, name), Identifier: identifier(name), Status: status, Expires: noon.Add(7 * 24 * time.Hour)}
	if status == "invalid" {
		a.Problem = &Problem{Type: "urn:ietf:params:acme:error:connection", Detail: "refused"}
	}
	return s.add(Event{Kind: AuthorizationSeen, Authorization: a})
}

// pending sees an order, and each of its authorizations pending.
func (s *script) pending(id string, names ...string) *script {
	s.order(id, "pending", names...)
	for _, n := range names {
		s.status(id, n, "pending")
	}
	return s
}

func (s *script) answer(order, name string) *script {
	return s.add(Event{Kind: ChallengeAnswered, Challenge: &Challenge{Type: "http-01"}, Authorization: &Authorization{URL: urlOf(order, name)}})
}

func (s *script) fail(cause Cause, message, name string) *script {
	e := Event{Kind: FailureSeen, Cause: cause, Message: message}
	if name != "" {
		e.Authorization = &Authorization{Identifier: identifier(name)}
	}
	return s.add(e)
}

func (s *script) problem(kind string, status int) *script {
	return s.add(Event{Kind: ProblemSeen, Problem: &Problem{Type: "urn:ietf:params:acme:error:" + kind, Detail: "no", Status: status}})
}

func (s *script) end(exit string) *script {
	return s.add(Event{Kind: RunEnded, Exit: exit, Message: exit})
}

func (s *script) stop(line string) *script { return s.add(Event{Kind: RunStopped, Message: line}) }

func (s *script) history() *History {
	h := &History{At: noon.Add(6 * time.Hour)}
	for _, e := range s.events {
		h.Add(e)
	}
	return h
}

// verdicts returns "name verdict: cause (blame) at lines" of each authorization, in the order of names.
func verdicts(h *History) (all []string) {
	for _, l := range h.Lives() {
		text := fmt.Sprintf("%s %s", l.name(), l.Verdict)
		if l.Cause != "" {
			text += ": " + string(l.Cause)
		}
		if l.Blame.Value != "" {
			text += " by " + l.Blame.Value
		}
		for _, e := range l.Evidence {
			text += fmt.Sprintf(" [%d %s]", e.Line, e.Text)
		}
		all = append(all, text)
	}
	slices.Sort(all)
	return all
}

func TestVerdicts(t *testing.T) {
	tests := map[string]struct {
		script *script
		at     time.Time
		want   []string
	}{
		"killed": {
			script: newScript().pending("1", "a", "b").stop("waiting"),
			want: []string{
				"a leaked: killed [1 the run starts] [5 the last line of the run: waiting]",
				"b leaked: killed [1 the run starts] [5 the last line of the run: waiting]",
			},
		},
		"in progress": {
			script: newScript().pending("1", "a"),
			at:     noon.Add(30 * time.Minute),
			want:   []string{"a in progress"},
		},
		"recent, but another run of the same log has started": {
			script: newScript().pending("1", "a").start().pending("2", "b"),
			at:     noon.Add(30 * time.Minute),
			want:   []string{"a leaked: killed [1 the run starts] [3 the last line of the run]", "b in progress"},
		},
		"recent, but ended": {
			script: newScript().pending("1", "a").end("error"),
			at:     noon.Add(time.Minute),
			want:   []string{"a leaked: unknown [3 last seen, pending] [4 the run ends: error]"},
		},
		"expired": {
			script: newScript().pending("1", "a"),
			at:     noon.Add(8 * 24 * time.Hour),
			want:   []string{"a expired: killed [1 the run starts] [3 the last line of the run]"},
		},
		"the CA says expired": {
			script: newScript().pending("1", "a").status("1", "a", "expired"),
			want:   []string{"a expired"},
		},
		"final statuses": {
			script: newScript().pending("1", "a", "b", "c", "d").status("1", "a", "valid").status("1", "b", "invalid").
				status("1", "c", "deactivated").status("1", "d", "revoked"),
			want: []string{"a valid", "b invalid", "c deactivated", "d deactivated"},
		},
		"a status never returns": {
			script: newScript().pending("1", "a", "b").status("1", "a", "valid").status("1", "a", "pending").
				status("1", "b", "deactivated").status("1", "b", "valid"),
			want: []string{"a valid", "b deactivated"},
		},
		"answered, and nothing after": {
			script: newScript().pending("1", "a").answer("1", "a").stop("polling"),
			want:   []string{"a unknown"},
		},
		"no status at all": {
			script: newScript().order("1", "", "a"),
			want:   []string{"a unknown"},
		},
		"an unknown status": {
			script: newScript().status("1", "a", "frozen").stop("x"),
			want:   []string{"a leaked: unknown [2 last seen, frozen]"},
		},
		"an order that is ready": {
			script: newScript().pending("1", "a", "b").order("1", "ready", "a", "b"),
			want:   []string{"a valid", "b valid"},
		},
		"an order that is invalid says nothing of the others": {
			script: newScript().pending("1", "a", "b").order("1", "invalid", "a", "b").status("1", "b", "invalid").end("error"),
			want:   []string{"a leaked: sibling failed by b [6 b is invalid: connection: refused]", "b invalid"},
		},
		"a sibling, and a retry without it": {
			script: newScript().pending("1", "a", "b").status("1", "b", "invalid").end("error").
				start().pending("2", "a").order("2", "valid", "a"),
			want: []string{
				"a leaked: sibling failed by b [5 b is invalid: connection: refused] [8 then asked for one name]",
				"a valid", "b invalid",
			},
		},
		"a hook comes before what it led to": {
			script: newScript().pending("1", "a", "b").fail(CauseHook, "exit 1", "b").status("1", "b", "invalid").end("error"),
			want:   []string{"a leaked: hook failed by b [5 exit 1]", "b invalid"},
		},
		"a check": {
			script: newScript().pending("1", "a").fail(CauseCheck, "404", "").end("error"),
			want:   []string{"a leaked: check failed [4 404]"},
		},
		"a DNS provider": {
			script: newScript().pending("1", "a").fail(CauseDNS, "no zone", "").end("error"),
			want:   []string{"a leaked: dns provider [4 no zone]"},
		},
		"the network": {
			script: newScript().pending("1", "a").fail(CauseNetwork, "reset", "").end("error"),
			want:   []string{"a leaked: network [4 reset]"},
		},
		"interrupted": {
			script: newScript().pending("1", "a").fail(CauseKilled, "KeyboardInterrupt", "").end("error"),
			want:   []string{"a leaked: killed [4 KeyboardInterrupt]"},
		},
		"a rate limit": {
			script: newScript().pending("1", "a").problem("rateLimited", 429).end("error"),
			want:   []string{"a leaked: rate limited [4 rateLimited: no]"},
		},
		"a status says that it is a rate limit": {
			script: newScript().pending("1", "a").problem("unknown", 429).end("error"),
			want:   []string{"a leaked: rate limited [4 unknown: no]"},
		},
		"a refusal": {
			script: newScript().pending("1", "a").problem("malformed", 400).end("error"),
			want:   []string{"a leaked: request refused [4 malformed: no]"},
		},
		"nonces": {
			script: newScript().pending("1", "a").problem("badNonce", 400).end("error"),
			want:   []string{"a leaked: request refused [4 badNonce: no] [5 the run ends: error]"},
		},
		"a nonce that did not matter": {
			script: newScript().pending("1", "a").problem("badNonce", 400).stop("waiting"),
			want:   []string{"a leaked: killed [1 the run starts] [5 the last line of the run: waiting]"},
		},
		"a problem before the order is not of it": {
			script: newScript().problem("malformed", 400).pending("1", "a").stop("waiting"),
			want:   []string{"a leaked: killed [1 the run starts] [5 the last line of the run: waiting]"},
		},
		"a failure of the next order is not of this one": {
			script: newScript().pending("1", "a").pending("2", "b").fail(CauseHook, "exit 1", "").end("error"),
			want: []string{
				"a leaked: unknown [3 last seen, pending] [7 the run ends: error]",
				"b leaked: hook failed [6 exit 1]",
			},
		},
		"superseded": {
			script: newScript().pending("1", "a", "b").pending("2", "b", "c").order("2", "valid", "b", "c").end(""),
			want: []string{
				"a leaked: superseded [5 then asked for 2 names]", "b leaked: superseded [5 then asked for 2 names]",
				"b valid", "c valid",
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

// TestSettled has authorizations that another client than that which asked for them deactivated: they have causes, if nothing
// says that they were more than pending until then.
func TestSettled(t *testing.T) {
	settle := func(s *script, names ...string) *History {
		h := s.history()
		for i, n := range names {
			h.Add(Event{
				Kind: AuthorizationSeen, Client: "another", Host: "hub", Time: noon.Add(time.Hour), Place: Place{File: "hub", Line: int64(i + 1)},
				Authorization: &Authorization{URL: urlOf("1", n), Status: "deactivated"},
			})
		}
		return h
	}
	for name, test := range map[string]struct {
		h    *History
		want []string
	}{
		"killed":              {settle(newScript().pending("1", "a", "b").stop("x"), "a"), []string{"a deactivated: killed [1 the run starts] [5 the last line of the run: x]", "b leaked: killed [1 the run starts] [5 the last line of the run: x]"}},
		"another name failed": {settle(newScript().pending("1", "a", "b").status("1", "b", "invalid").end("no"), "a", "b"), []string{"a deactivated: sibling failed by b [5 b is invalid: connection: refused]", "b deactivated"}},
		"answered":            {settle(newScript().pending("1", "a").answer("1", "a").stop("x"), "a"), []string{"a deactivated"}},
		"the order was ready": {settle(newScript().pending("1", "a").order("1", "ready", "a").end(""), "a"), []string{"a deactivated"}},
		"by the client":       {newScript().pending("1", "a").status("1", "a", "deactivated").stop("x").history(), []string{"a deactivated"}},
		"asked for by nobody": {settle(newScript(), "z"), []string{" deactivated"}},
	} {
		t.Run(name, func(t *testing.T) { require.Equal(t, test.want, verdicts(test.h)) })
	}
}

// TestReconcile is about clients that log names in one place and URLs in another.
func TestReconcile(t *testing.T) {
	named := func(s *script, name, status string) *script {
		a := &Authorization{Order: "x.log:9", Identifier: identifier(name), Status: status}
		return s.add(Event{Kind: AuthorizationSeen, Authorization: a})
	}
	url := func(s *script, n, status string) *script {
		return s.add(Event{Kind: AuthorizationSeen, Authorization: &Authorization{Order: "x.log:9", URL: "https://ca.example/authz/" + n, Status: status}})
	}
	order := func(names ...string) *script {
		return newScript().add(Event{Kind: OrderSeen, Order: &Order{ID: "x.log:9", Identifiers: identifiers(names)}})
	}
	tests := map[string]struct {
		script *script
		want   []string // name, URL, candidates, verdict
	}{
		"all names have one status": {
			script: named(named(url(url(order("a", "b"), "1", ""), "2", ""), "a", "valid"), "b", "valid"),
			want:   []string{"|https://ca.example/authz/1|[a b]|valid", "|https://ca.example/authz/2|[a b]|valid"},
		},
		"names differ": {
			script: named(named(url(url(order("a", "b"), "1", ""), "2", ""), "a", "valid"), "b", "pending"),
			want:   []string{"|https://ca.example/authz/1|[a b]|unknown", "|https://ca.example/authz/2|[a b]|unknown"},
		},
		"a name is missing": {
			script: named(url(url(order("a", "b"), "1", ""), "2", ""), "a", "valid"),
			want:   []string{"|https://ca.example/authz/1|[a b]|unknown", "|https://ca.example/authz/2|[a b]|unknown"},
		},
		"one and one": {
			script: named(url(order("*.a"), "1", ""), "*.a", "pending"),
			want:   []string{"*.a|https://ca.example/authz/1|[]|leaked"},
		},
		"names only": {
			script: named(named(order("a", "b"), "a", "valid"), "b", "pending"),
			want:   []string{"a||[]|valid", "b||[]|leaked"},
		},
		"fewer URLs than names": {
			script: named(named(url(order("a", "b"), "1", "valid"), "a", "valid"), "b", "pending"),
			want:   []string{"b||[]|leaked", "|https://ca.example/authz/1|[a b]|valid"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, l := range test.script.stop("x").history().Lives() {
				got = append(got, fmt.Sprintf("%s|%s|%v|%s", l.name(), l.URL, l.Names, l.Verdict))
			}
			require.ElementsMatch(t, test.want, got)
		})
	}
}

func TestHistoryAsk(t *testing.T) {
	h := newScript().pending("1", "a", "b", "c").status("1", "b", "valid").answer("1", "c").stop("x").history()
	require.Equal(t, []string{urlOf("1", "a"), urlOf("1", "c")}, slices.Collect(h.Ask()))
	require.True(t, h.Over(urlOf("1", "b")))
	require.False(t, h.Over(urlOf("1", "a")))
	require.False(t, h.Over("https://ca.example/authz/unheard-of"))
}

func TestHistoryRuns(t *testing.T) {
	h := newScript().pending("1", "a", "b").status("1", "b", "invalid").end("error").start().pending("2", "a").stop("last").history()
	runs := h.Runs()
	require.Len(t, runs, 2)
	require.Equal(t, &Run{
		Place: Place{File: "x.log", Line: 1}, Client: "test", Version: "1", Command: "issue", Host: "web01",
		Started: noon.Add(time.Second), Ended: noon.Add(6 * time.Second), LastSeen: noon.Add(6 * time.Second),
		Exit: "error", Message: "error", HasEnded: true, Orders: 1, Authorizations: 2, Leaks: 1, Cause: CauseSibling,
	}, runs[0])
	require.Equal(t, &Run{
		Place: Place{File: "x.log", Line: 7}, Client: "test", Version: "1", Command: "issue", Host: "web01",
		Started: noon.Add(7 * time.Second), LastSeen: noon.Add(10 * time.Second),
		Message: "last", Orders: 1, Authorizations: 1, Leaks: 1, Cause: CauseKilled,
	}, runs[1])
}

func TestGroups(t *testing.T) {
	h := newScript().pending("1", "www.example.co.uk", "example.co.uk", "a.example.org", "192.0.2.1").
		status("1", "a.example.org", "valid").stop("x").history()
	keys := func(by Grouping) (all []string) {
		for _, g := range h.Groups(by) {
			all = append(all, fmt.Sprintf("%s %d/%d", g.Key, g.Leaks(), g.Authorizations))
		}
		return all
	}
	require.Equal(t, []string{"example.co.uk 2/2", "192.0.2.1 1/1", "example.org 0/1"}, keys(ByDomain))
	require.Equal(t, []string{"test 3/4"}, keys(ByClient))
	require.Equal(t, []string{"web01 3/4"}, keys(ByHost))
	require.Equal(t, []string{"x.log 3/4"}, keys(ByFile))
	require.Equal(t, []string{" 3/4"}, keys(ByUnit))
	require.Equal(t, []string{"https://ca.example/acct/1 3/4"}, keys(ByAccount))
	require.Equal(t, []string{"killed 3/3"}, keys(ByCause))
	require.Equal(t, []string{"2026-11-23 3/4"}, keys(ByDay))
}

func TestDays(t *testing.T) {
	s := newScript().pending("1", "a", "b", "c").answer("1", "b")
	next := noon.Add(24 * time.Hour)
	s.add(Event{Kind: AuthorizationSeen, Time: next, Authorization: &Authorization{URL: urlOf("1", "b"), Status: "valid"}})
	s.add(Event{Kind: AuthorizationDeactivated, Time: next, Authorization: &Authorization{URL: urlOf("1", "c")}})
	h := s.stop("x").history()
	h.At = next.Add(6 * time.Hour)
	require.Equal(t, []Day{
		{Day: "2026-11-23", Created: 3, Answered: 1, Leaked: 1},
		{Day: "2026-11-24", Valid: 1, Deactivated: 1},
	}, h.Days())
}

func TestSummary(t *testing.T) {
	s := newScript().pending("1", "a", "b").status("1", "b", "invalid")
	h := s.stop("x").history()
	h.Add(Event{Kind: LinesUnrecognized, Place: Place{File: "y.log", Line: 3}, Lines: 4})
	h.Add(Event{Kind: LinesUnrecognized, Place: Place{File: "y.log", Line: 3}, Lines: 4})
	require.Equal(t, Summary{
		At: h.At, Files: 2, Runs: 1, Orders: 1, Authorizations: 2,
		Verdicts: map[Verdict]int{Leaked: 1, Invalid: 1}, Causes: map[Cause]int{CauseSibling: 1},
		FirstSeen: noon.Add(2 * time.Second), LastSeen: noon.Add(5 * time.Second),
		Unrecognized: 4, UnrecognizedAt: []Unrecognized{{Place{File: "y.log", Line: 3}, 4}},
	}, h.Summary())
}

func TestMaxAuthorizations(t *testing.T) {
	h := History{MaxAuthorizations: 2, At: noon}
	for _, e := range newScript().pending("1", "a", "b", "c").events {
		h.Add(e)
	}
	require.Len(t, h.Lives(), 2)
	require.Equal(t, 2, h.Summary().Dropped) // in the order, and by itself
}

func TestEmptyHistory(t *testing.T) {
	var h History
	require.Empty(t, h.Lives())
	require.Empty(t, h.Leaks())
	require.Empty(t, h.Runs())
	require.Empty(t, h.Days())
	require.Empty(t, slices.Collect(h.Ask()))
	require.Zero(t, h.Summary().Authorizations)
	h.Add(Event{}) // nothing is set
	require.Empty(t, h.Lives())
	for k := range Kind(20) {
		h.Add(Event{Kind: k})
		h.Add(Event{Kind: k, Authorization: &Authorization{}, Order: &Order{}, Challenge: &Challenge{}, Problem: &Problem{}})
		h.Add(Event{Kind: k, Authorization: &Authorization{URL: "u"}, Order: &Order{ID: "o"}})
	}
	require.Len(t, h.Lives(), 1)
	h.Merge(&h)
	h.Merge(new(History))
	require.Len(t, h.Lives(), 1)
}

// TestOrdersOfHosts has orders that are named by their place in logs of the same name on two hosts.
func TestOrdersOfHosts(t *testing.T) {
	var h History
	for _, host := range []string{"web01", "web02"} {
		for line, status := range []string{"pending", "invalid"} {
			e := Event{Kind: AuthorizationSeen, Host: host, Place: Place{File: "x.log", Line: int64(line + 2)}, Run: Place{File: "x.log", Line: 1}}
			e.Authorization = &Authorization{Order: "x.log:1", Identifier: identifier(host + "." + status), Status: status}
			h.Add(e)
			e.Kind, e.Authorization, e.Cause = FailureSeen, nil, CauseDNS
			e.Order, e.Message = &Order{ID: "x.log:1"}, "on "+host
			h.Add(e)
		}
	}
	require.Len(t, h.orders, 2)
	for _, l := range h.Lives() {
		require.Equal(t, l.Host+": x.log:1", l.Order)
	}
	for id, o := range h.orders {
		for _, x := range o.trouble {
			require.Equal(t, id, strings.TrimPrefix(x.text, "on ")+": x.log:1")
		}
	}
}

// TestOrderOfEvents adds the events of every recorded scenario in other orders, and to several Histories that are merged:
// the result is the same.
func TestOrderOfEvents(t *testing.T) {
	scenarios, err := fs.Glob(os.DirFS("testdata"), "*/*/truth.json")
	require.NoError(t, err)
	var all []Event
	for _, file := range scenarios {
		for e, err := range corpusEvents(t, path.Join("testdata", path.Dir(file))) {
			require.NoError(t, err)
			e.File = path.Dir(file) + "/" + e.File
			if e.Run.File != "" {
				e.Run.File = path.Dir(file) + "/" + e.Run.File
			}
			all = append(all, e)
		}
	}
	want := historyJSON(t, all)
	random := rand.New(rand.NewPCG(1, 2))
	for range 5 {
		random.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		require.Equal(t, want, historyJSON(t, all))

		parts := make([]History, 4)
		for i, e := range all {
			parts[i%len(parts)].Add(e)
			parts[i%7%len(parts)].Add(e)
		}
		random.Shuffle(len(parts), func(i, j int) { parts[i], parts[j] = parts[j], parts[i] })
		var merged History
		for i := range parts {
			merged.Merge(&parts[i])
			merged.Merge(&parts[i])
		}
		require.Equal(t, want, marshal(t, &merged))
	}
}

func historyJSON(t *testing.T, events []Event) string {
	t.Helper()
	var h History
	for _, e := range events {
		h.Add(e)
	}
	return marshal(t, &h)
}

func marshal(t *testing.T, h *History) string {
	t.Helper()
	data, err := json.Marshal(h)
	require.NoError(t, err)
	return string(data)
}

func TestHistoryJSON(t *testing.T) {
	h := newScript().pending("1", "a", "b").status("1", "b", "invalid").answer("1", "a").problem("malformed", 400).
		fail(CauseHook, "exit", "a").end("error").start().pending("2", "a").stop("x").history()
	h.Add(Event{Kind: AuthorizationSeen, Authorization: &Authorization{Order: "o", Identifier: Identifier{"dns", "n"}, Wildcard: true}})
	h.Add(Event{Kind: LinesUnrecognized, Place: Place{File: "y.log", Line: 3}, Lines: 4})
	data := marshal(t, h)
	got := History{At: h.At}
	require.NoError(t, json.Unmarshal([]byte(data), &got))
	require.Equal(t, data, marshal(t, &got))
	require.Equal(t, h.Lives(), got.Lives())
	require.Equal(t, h.Runs(), got.Runs())
	require.Equal(t, h.Summary(), got.Summary())
}

func TestHistoryJSONErrors(t *testing.T) {
	tests := map[string]string{
		`{`:                              "unexpected end of JSON input",
		`[]`:                             "not the JSON of a History: json: cannot unmarshal array into Go value of type logparse.wireHistory",
		`{}`:                             "not the JSON of a History of a version that is known: it is 0, not 1",
		`{"version": 2}`:                 "not the JSON of a History of a version that is known: it is 2, not 1",
		`{"version": 1, "orders": [{}]}`: "not the JSON of a History: an order has no ID",
		`{"version": 1, "authorizations": [{"url": "u"}]}`:                                                "not the JSON of a History: something was seen nowhere",
		`{"version": 1, "authorizations": [{}]}`:                                                          "not the JSON of a History: an authorization has no URL",
		`{"version": 1, "orders": [{"id": "o", "first": {"run": 5}}]}`:                                    "not the JSON of a History: something was seen nowhere",
		`{"version": 1, "runs": [{}], "orders": [{"id": "o", "first": {"run": 0}, "last": {"run": -1}}]}`: "not the JSON of a History: there is no run -1",
	}
	for data, want := range tests {
		h := newScript().pending("1", "a").history()
		before := marshal(t, h)
		require.EqualError(t, json.Unmarshal([]byte(data), h), want, data)
		require.Equal(t, before, marshal(t, h))
	}
}

func FuzzHistoryJSON(f *testing.F) {
	f.Add([]byte(`{"version": 1, "runs": [{}], "orders": [{"id": "o", "first": {"run": 0}, "last": {"run": 0}}]}`))
	h := newScript().pending("1", "a", "b").status("1", "b", "invalid").end("error").history()
	data, err := json.Marshal(h)
	require.NoError(f, err)
	f.Add(data)
	f.Fuzz(func(t *testing.T, data []byte) {
		h := History{At: noon}
		if json.Unmarshal(data, &h) != nil {
			return
		}
		h.Lives()
		h.Runs()
		h.Days()
		h.Groups(ByDomain)
		h.Summary()
		first := marshal(t, &h)
		var again History
		require.NoError(t, json.Unmarshal([]byte(first), &again))
		require.Equal(t, first, marshal(t, &again))
		again.Merge(&h)
		require.Equal(t, first, marshal(t, &again))
	})
}

// BenchmarkHistory adds authorizations in orders of ten, each with five events.
func BenchmarkHistory(b *testing.B) {
	s := newScript()
	for i := range 10_000 {
		var names []string
		for k := range 10 {
			names = append(names, fmt.Sprintf("n%d.host%d.example", k, i))
		}
		s.pending(fmt.Sprint(i), names...)
		for _, n := range names {
			s.answer(fmt.Sprint(i), n).status(fmt.Sprint(i), n, "valid")
		}
	}
	b.ReportAllocs()
	var h *History
	for b.Loop() {
		h = s.history()
	}
	b.ReportMetric(float64(len(s.events))*float64(b.N)/b.Elapsed().Seconds(), "events/s")
	b.ReportMetric(float64(len(h.Lives())), "authorizations")
}
