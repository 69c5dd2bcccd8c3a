package logparse

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// recordedHistory is the History of all recorded scenarios, each of which is a host.
func recordedHistory(t *testing.T) *History {
	t.Helper()
	scenarios, err := fs.Glob(os.DirFS("testdata"), "*/*/truth.json")
	require.NoError(t, err)
	h := History{At: noon}
	for _, file := range scenarios {
		for e, err := range corpusEvents(t, path.Join("testdata", path.Dir(file))) {
			require.NoError(t, err)
			e.Host = path.Dir(file)
			h.Add(e)
		}
	}
	return &h
}

func copyOf(t *testing.T, h *History) *History {
	t.Helper()
	c := &History{At: h.At}
	require.NoError(t, json.Unmarshal([]byte(marshal(t, h)), c))
	return c
}

func TestSplit(t *testing.T) {
	h := recordedHistory(t)
	before := marshal(t, h)
	parts := h.Split()
	require.Equal(t, before, marshal(t, h))
	require.Greater(t, len(parts), 30)
	seen := map[string]bool{}
	merged := History{At: h.At}
	for account, part := range parts {
		for _, l := range part.Lives() {
			if l.Account != "" {
				require.Equal(t, account, l.Account)
			}
			if l.URL != "" {
				require.False(t, seen[l.URL], l.URL)
				seen[l.URL] = true
			}
		}
		merged.Merge(part)
	}
	require.Equal(t, before, marshal(t, &merged))
	for _, l := range h.Lives() {
		require.True(t, l.URL == "" || seen[l.URL], l.URL)
	}
}

func TestSplitAccounts(t *testing.T) {
	s := newScript().pending("1", "a")
	s.base.Account = ""
	s.pending("2", "b") // of the one account that the run is of
	s.start()
	s.base.Account = "https://ca.example/acct/2"
	s.pending("3", "c")
	s.base.Account = "https://ca.example/acct/3"
	s.pending("4", "d")
	s.base.Account = ""
	s.pending("5", "e") // of either
	s.start().pending("6", "f")
	s.start().fail(CauseNetwork, "no", "")
	s.add(Event{Kind: LinesUnrecognized, Lines: 3})
	// An order of one account, of which another log tells an authorization with its own.
	s.add(Event{Kind: OrderSeen, Order: &Order{ID: "7", Authorizations: []string{urlOf("3", "c"), urlOf("7", "g")}}})

	h := s.history()
	got := map[string][]string{}
	merged := History{At: h.At}
	for account, part := range h.Split() {
		got[account] = []string{}
		for _, l := range part.Lives() {
			got[account] = append(got[account], l.URL)
		}
		slices.Sort(got[account])
		merged.Merge(part)
	}
	require.Equal(t, map[string][]string{
		"https://ca.example/acct/1": {urlOf("1", "a"), urlOf("2", "b")},
		"https://ca.example/acct/2": {urlOf("3", "c"), urlOf("7", "g")},
		"https://ca.example/acct/3": {urlOf("4", "d")},
		"":                          {urlOf("5", "e"), urlOf("6", "f")},
	}, got)
	require.Equal(t, marshal(t, h), marshal(t, &merged))
	require.Empty(t, new(History).Split())
}

func TestForget(t *testing.T) {
	h := recordedHistory(t)
	all := marshal(t, h)
	require.Zero(t, h.Forget(time.Time{}))
	require.Equal(t, all, marshal(t, h))

	// What is final goes at once, what is pending when it has expired.
	whole := copyOf(t, h)
	middle := time.Date(2026, 11, 23, 21, 0, 0, 0, time.UTC)
	want := map[string]bool{}
	for _, l := range whole.Lives() {
		final := slices.Contains([]string{"valid", "invalid", "deactivated"}, rawStatus(whole, l))
		if l.LastSeen.IsZero() || !l.LastSeen.Before(middle) || !final && l.Expires.After(middle) {
			want[l.URL] = true
		}
	}
	n := h.Forget(middle)
	got := map[string]bool{}
	for _, l := range h.Lives() {
		got[l.URL] = true
	}
	require.Equal(t, want, got)
	require.Greater(t, n, 20)
	require.Less(t, len(h.Runs()), len(whole.Runs()))
	require.Less(t, len(h.Files()), len(whole.Files()))

	h.Merge(whole)
	require.Equal(t, all, marshal(t, h))

	h.Forget(time.Date(2999, 1, 1, 0, 0, 0, 0, time.UTC))
	for _, l := range h.Lives() {
		require.Zero(t, l.LastSeen)
	}
	require.Equal(t, noon, h.At)
}

// rawStatus is the last status that the logs tell of the authorization itself.
func rawStatus(h *History, l *Life) string {
	if l.URL != "" {
		return h.lives[l.URL].status.status
	}
	return h.orders[l.Order].names[l.Identifier].status.status
}

func TestForgetNames(t *testing.T) {
	var h History
	run := Place{Line: 1}
	for i, name := range []string{"old", "new"} {
		h.Add(Event{
			Kind: AuthorizationSeen, Place: Place{Line: int64(i + 1)}, Run: run, Time: noon.Add(time.Duration(i) * time.Hour),
			Authorization: &Authorization{Order: "o", Identifier: identifier(name), Status: "valid"},
		})
	}
	require.Equal(t, 1, h.Forget(noon.Add(time.Minute)))
	require.Len(t, h.Lives(), 1)
	require.Equal(t, "new", h.Lives()[0].Identifier.Value)
	require.Equal(t, 1, h.Forget(noon.Add(2*time.Hour)))
	require.Empty(t, h.Runs())
	require.Equal(t, []string{}, append([]string{}, h.Hosts()...))
}

func TestHostsAndFiles(t *testing.T) {
	h := newScript().pending("1", "a").history()
	h.Add(Event{Kind: RunStarted, Place: Place{File: "y.log", Line: 1}, Run: Place{File: "y.log", Line: 1}})
	require.Equal(t, []string{"", "web01"}, h.Hosts())
	require.Equal(t, []string{"x.log", "y.log"}, h.Files())
}

func TestHalve(t *testing.T) {
	h := recordedHistory(t)
	want := marshal(t, h)
	a, b := h.Halve()
	require.Equal(t, want, marshal(t, h))
	require.InDelta(t, len(h.lives)/2, len(a.lives), 1)
	require.InDelta(t, len(h.lives)/2, len(b.lives), 1)
	require.Less(t, len(marshal(t, a)), len(want)*3/4)
	merged := History{At: h.At}
	merged.Merge(b)
	merged.Merge(a)
	require.Equal(t, want, marshal(t, &merged))

	// It ends, whatever there is.
	var leaves func(h *History) int
	leaves = func(h *History) int {
		a, b := h.Halve()
		if a == nil {
			return 1
		}
		return leaves(a) + leaves(b)
	}
	require.Greater(t, leaves(h), 300)
	require.Equal(t, 1, leaves(new(History)))
}

// TestHalveUnrelated divides what has nothing to do with each other, if there is only one of each.
func TestHalveUnrelated(t *testing.T) {
	at := func(line int64) Place { return Place{File: "x.log", Line: line} }
	authorization := Event{Kind: AuthorizationSeen, Place: at(1), Authorization: &Authorization{URL: urlOf("1", "a"), Status: "pending"}}
	order := Event{Kind: OrderSeen, Place: at(2), Order: &Order{ID: "https://ca.example/order/9", Status: "pending"}}
	run := Event{Kind: RunStarted, Place: at(3), Run: at(3)}
	for name, events := range map[string][]Event{
		"an authorization and an order": {authorization, order},
		"an authorization and a run":    {authorization, run},
		"an order and a run":            {order, run},
		"one of each":                   {authorization, order, run},
	} {
		t.Run(name, func(t *testing.T) {
			var h, merged History
			for _, e := range events {
				h.Add(e)
			}
			a, b := h.Halve()
			require.NotNil(t, a)
			require.Less(t, max(a.Records(), b.Records()), h.Records())
			merged.Merge(a)
			merged.Merge(b)
			require.Equal(t, marshal(t, &h), marshal(t, &merged))
		})
	}
}

// TestFilesLimit bounds the names of files as it bounds all else.
func TestFilesLimit(t *testing.T) {
	named := func(n int) *History {
		h := new(History)
		for i := range n {
			h.Add(Event{Kind: LinesUnrecognized, Place: Place{File: fmt.Sprint(n, ".", i), Line: 1}, Lines: 1})
		}
		return h
	}
	h := History{MaxAuthorizations: 10}
	h.Merge(named(7))
	h.Merge(named(8))
	require.Len(t, h.Files(), 10)
	h.Add(Event{Kind: LinesUnrecognized, Place: Place{File: "x.log", Line: 1}})
	require.Len(t, h.Files(), 10)
	require.Len(t, named(20).Files(), 20)
}
