package logparse

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/publicsuffix"
)

// A Grouping says by what authorizations are grouped.
type Grouping uint8

// The groupings. Their keys are "" for what the logs do not tell.
const (
	// ByDomain groups by registered domain, "example.co.uk" for "www.example.co.uk", as the Public Suffix List has it.
	// An IP address is its own domain.
	ByDomain Grouping = iota

	ByClient
	ByHost
	ByFile
	ByUnit
	ByAccount
	ByCause // of those that leaked only
	ByDay   // of the first sight, in UTC: "2026-11-23"
)

// A Group is the authorizations that have something in common.
type Group struct {
	Key            string
	Authorizations int
	Verdicts       map[Verdict]int
	FirstSeen      time.Time // of any of them
	LastSeen       time.Time
}

// Leaks returns the number of authorizations that leaked.
func (g *Group) Leaks() int { return g.Verdicts[Leaked] }

// Groups returns the authorizations in groups: those with the most leaks first, then those with the most authorizations, then
// by key.
func (h *History) Groups(by Grouping) []Group {
	groups := make(map[string]*Group)
	for _, l := range h.look().lives {
		if by == ByCause && l.Verdict != Leaked {
			continue
		}
		key := l.key(by)
		g := groups[key]
		if g == nil {
			g = &Group{Key: key, Verdicts: make(map[Verdict]int)}
			groups[key] = g
		}
		g.add(l)
	}
	all := make([]Group, 0, len(groups))
	for _, g := range groups {
		all = append(all, *g)
	}
	slices.SortFunc(all, func(a, b Group) int {
		return cmp.Or(cmp.Compare(b.Leaks(), a.Leaks()), cmp.Compare(b.Authorizations, a.Authorizations), strings.Compare(a.Key, b.Key))
	})
	return all
}

func (g *Group) add(l *Life) {
	g.Authorizations++
	g.Verdicts[l.Verdict]++
	if !l.FirstSeen.IsZero() && (g.FirstSeen.IsZero() || l.FirstSeen.Before(g.FirstSeen)) {
		g.FirstSeen = l.FirstSeen
	}
	if l.LastSeen.After(g.LastSeen) {
		g.LastSeen = l.LastSeen
	}
}

// key returns what l is grouped by.
func (l *Life) key(by Grouping) string {
	switch by {
	case ByDomain:
		return l.Domain()
	case ByClient:
		return l.Client
	case ByHost:
		return l.Host
	case ByFile:
		return l.First.File
	case ByUnit:
		return l.Unit
	case ByAccount:
		return l.Account
	case ByCause:
		return string(l.Cause)
	}
	return day(l.FirstSeen)
}

// day returns the day of t in UTC, "" if it is zero.
func day(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.DateOnly)
}

// Domain returns the registered domain of the identifier, "example.co.uk" for "www.example.co.uk", as the Public Suffix List
// has it. An IP address, and a name that is a public suffix itself, are their own. If the identifier is not known, it is the
// one domain of all names it may be, or "".
func (l *Life) Domain() string {
	if l.Identifier.Value != "" {
		return domain(l.Identifier)
	}
	found := ""
	for _, n := range l.Names {
		d := domain(identifier(strings.TrimPrefix(n, "*.")))
		if found != "" && d != found {
			return ""
		}
		found = d
	}
	return found
}

func domain(id Identifier) string {
	if id.Type != "dns" && id.Type != "" {
		return id.Value
	}
	if d, err := publicsuffix.EffectiveTLDPlusOne(id.Value); err == nil {
		return d
	}
	return id.Value
}

// A Day is what happened on one day, in UTC: how many authorizations were first seen, had a challenge answered, were decided
// or deactivated. Leaked counts those first seen on that day that leaked.
type Day struct {
	Day                                                    string // "2026-11-23"; "" for what has no time
	Created, Answered, Valid, Invalid, Deactivated, Leaked int
}

// Days returns the days on which something happened, in order.
func (h *History) Days() []Day {
	days := make(map[string]*Day)
	on := func(t time.Time) *Day {
		k := day(t)
		if days[k] == nil {
			days[k] = &Day{Day: k}
		}
		return days[k]
	}
	for _, l := range h.look().lives {
		on(l.FirstSeen).Created++
		if l.IsAnswered {
			on(l.Answered).Answered++
		}
		switch l.Verdict {
		case Leaked:
			on(l.FirstSeen).Leaked++
		case Valid:
			on(l.statusTime).Valid++
		case Invalid:
			on(l.statusTime).Invalid++
		case Deactivated:
			on(l.statusTime).Deactivated++
		}
	}
	all := make([]Day, 0, len(days))
	for _, k := range slices.Sorted(maps.Keys(days)) {
		all = append(all, *days[k])
	}
	return all
}

// A Summary is the totals of a History.
type Summary struct {
	At                  time.Time // as of when
	Files, Runs, Orders int
	Authorizations      int
	Verdicts            map[Verdict]int
	Causes              map[Cause]int // of those that leaked
	FirstSeen, LastSeen time.Time
	Dropped             int   // sightings of authorizations and orders beyond History.MaxAuthorizations
	Unrecognized        int64 // lines of an unknown shape
	UnrecognizedAt      []Unrecognized
	UnrecognizedMore    bool // there are more than Unrecognized: only the first 16,384 places are counted
}

// Unrecognized is where lines of an unknown shape stand.
type Unrecognized struct {
	Place
	Lines int64
}

// maxUnrecognized is how many places a Summary has.
const maxUnrecognized = 20

// Summary returns the totals.
func (h *History) Summary() Summary {
	s := h.look()
	m := Summary{
		At: s.at, Files: len(h.files), Orders: len(h.orders), Authorizations: len(s.lives), Dropped: h.dropped,
		Verdicts: make(map[Verdict]int), Causes: make(map[Cause]int),
	}
	for _, r := range s.runs {
		if r != nil {
			m.Runs++
		}
	}
	var all Group
	all.Verdicts = m.Verdicts
	for _, l := range s.lives {
		all.add(l)
		if l.Verdict == Leaked {
			m.Causes[l.Cause]++
		}
	}
	m.FirstSeen, m.LastSeen = all.FirstSeen, all.LastSeen
	h.unknown.tidy()
	for _, u := range h.unknown.list {
		m.Unrecognized += u.Lines
	}
	m.UnrecognizedAt = slices.Clone(h.unknown.list[:min(len(h.unknown.list), maxUnrecognized)])
	m.UnrecognizedMore = h.unknown.more
	return m
}
