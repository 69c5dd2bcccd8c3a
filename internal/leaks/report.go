// Package leaks reports which ACME authorizations were left pending, and why: as text, as a page, and as JSON and CSV.
//
//	report := leaks.New(&history)
//	err := report.WriteText(os.Stdout, leaks.TextOptions{})
package leaks

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/acmeauthz/acmeauthz/internal/display"
	"github.com/acmeauthz/acmeauthz/internal/document"
	"github.com/acmeauthz/acmeauthz/logparse"
)

// Schema names the form of a Report in JSON. Members may be added to it; what is
// there keeps its name and meaning, or the number changes.
const Schema = "acmeauthz-leaks/1"

// A Report is what a History tells of leaks; every output is made of it. Strings
// are as logged.
type Report struct {
	Schema         string          `json:"schema"`
	At             document.Time   `json:"at"`
	Summary        Summary         `json:"summary"`
	Authorizations []Authorization `json:"authorizations"`
	Runs           []Run           `json:"runs"`

	limit   int // of authorizations; 0 is none
	settled settled
}

// A Summary counts what is in a Report.
type Summary struct {
	Files             int            `json:"files"`
	Runs              int            `json:"runs"`
	Orders            int            `json:"orders"`
	Authorizations    int            `json:"authorizations"`
	Dropped           int            `json:"dropped"`
	FirstSeen         document.Time  `json:"first_seen"`
	LastSeen          document.Time  `json:"last_seen"`
	UnrecognizedLines int64          `json:"unrecognized_lines"`
	Unrecognized      []Unrecognized `json:"unrecognized"`
	Verdicts          map[string]int `json:"verdicts"`
	Causes            map[string]int `json:"causes"`
	Domains           []Group        `json:"domains"`
	Hosts             []Group        `json:"hosts"`
	Clients           []Group        `json:"clients"`
	Accounts          []Group        `json:"accounts"`
	Days              []Day          `json:"days"`
}

// Unrecognized is where lines of an unknown shape are.
type Unrecognized struct {
	File  string `json:"file"`
	Line  int64  `json:"line"`
	Lines int64  `json:"lines"`
}

// A Group is the authorizations that have something in common: a domain, a host,
// a client, an account.
type Group struct {
	Key            string        `json:"key"`
	Authorizations int           `json:"authorizations"`
	Leaked         int           `json:"leaked"`
	Invalid        int           `json:"invalid"`
	FirstSeen      document.Time `json:"first_seen"`
	LastSeen       document.Time `json:"last_seen"`
}

// A Day is what happened on one, in UTC.
type Day struct {
	Day         string `json:"day"`
	Created     int    `json:"created"`
	Answered    int    `json:"answered"`
	Valid       int    `json:"valid"`
	Invalid     int    `json:"invalid"`
	Deactivated int    `json:"deactivated"`
	Leaked      int    `json:"leaked"`
}

// An Authorization is one that the History knows, with its verdict.
type Authorization struct {
	URL        string        `json:"url"`
	Identifier string        `json:"identifier"`
	Wildcard   bool          `json:"wildcard"`
	Names      []string      `json:"names"`
	Domain     string        `json:"domain"`
	Account    string        `json:"account"`
	Order      string        `json:"order"`
	Client     string        `json:"client"`
	Host       string        `json:"host"`
	Unit       string        `json:"unit"`
	File       string        `json:"file"`
	Run        string        `json:"run"`
	Status     string        `json:"status"`
	Verdict    string        `json:"verdict"`
	Cause      string        `json:"cause"`
	Blame      string        `json:"blame"`
	Answered   bool          `json:"answered"`
	AnsweredAt document.Time `json:"answered_at"`
	FirstSeen  document.Time `json:"first_seen"`
	LastSeen   document.Time `json:"last_seen"`
	Expires    document.Time `json:"expires"`
	Evidence   []Evidence    `json:"evidence"`
}

// Evidence is a line that proves a cause.
type Evidence struct {
	File string `json:"file"`
	Line int64  `json:"line"`
	Text string `json:"text"`
}

// A Run is one of a client.
type Run struct {
	ID             string        `json:"id"`
	Client         string        `json:"client"`
	Version        string        `json:"version"`
	Command        string        `json:"command"`
	Host           string        `json:"host"`
	Unit           string        `json:"unit"`
	PID            int           `json:"pid"`
	File           string        `json:"file"`
	Line           int64         `json:"line"`
	Started        document.Time `json:"started"`
	Ended          document.Time `json:"ended"`
	HasEnded       bool          `json:"has_ended"`
	LastSeen       document.Time `json:"last_seen"`
	Exit           string        `json:"exit"`
	Message        string        `json:"message"`
	Authorizations int           `json:"authorizations"`
	Leaked         int           `json:"leaked"`
	Cause          string        `json:"cause"`
}

// verdicts are all that there are, in the order of the report.
var verdicts = []logparse.Verdict{
	logparse.Leaked, logparse.Valid, logparse.Invalid, logparse.Deactivated,
	logparse.Expired, logparse.InProgress, logparse.Unknown,
}

// New reports on a History as it is.
func New(h *logparse.History) *Report {
	s := h.Summary()
	r := &Report{
		Schema: Schema, At: document.At(s.At), Summary: newSummary(h, &s),
		Authorizations: document.List(h.Lives(), newAuthorization),
		Runs:           document.List(h.Runs(), newRun),
		limit:          h.MaxAuthorizations,
	}
	r.settled = newSettled(r.Authorizations)
	return r
}

func newSummary(h *logparse.History, s *logparse.Summary) Summary {
	return Summary{
		Files: s.Files, Runs: s.Runs, Orders: s.Orders, Authorizations: s.Authorizations, Dropped: s.Dropped,
		FirstSeen: document.At(s.FirstSeen), LastSeen: document.At(s.LastSeen),
		UnrecognizedLines: s.Unrecognized,
		Unrecognized: document.List(s.UnrecognizedAt, func(u logparse.Unrecognized) Unrecognized {
			return Unrecognized{u.File, u.Line, u.Lines}
		}),
		Verdicts: verdictCounts(s.Verdicts),
		Causes:   textKeys(s.Causes),
		Domains:  groups(h, logparse.ByDomain),
		Hosts:    groups(h, logparse.ByHost),
		Clients:  groups(h, logparse.ByClient),
		Accounts: groups(h, logparse.ByAccount),
		Days:     document.List(h.Days(), func(d logparse.Day) Day { return Day(d) }),
	}
}

// verdictCounts has a count for each verdict, also for those that do not occur.
func verdictCounts(counts map[logparse.Verdict]int) map[string]int {
	all := textKeys(counts)
	for _, v := range verdicts {
		all[string(v)] += 0
	}
	return all
}

func textKeys[K ~string](counts map[K]int) map[string]int {
	all := make(map[string]int)
	for key, n := range counts {
		all[string(key)] = n
	}
	return all
}

func groups(h *logparse.History, by logparse.Grouping) []Group {
	return document.List(h.Groups(by), func(g logparse.Group) Group {
		return Group{
			Key: g.Key, Authorizations: g.Authorizations, Leaked: g.Leaks(), Invalid: g.Verdicts[logparse.Invalid],
			FirstSeen: document.At(g.FirstSeen), LastSeen: document.At(g.LastSeen),
		}
	})
}

func newAuthorization(l *logparse.Life) Authorization {
	a := Authorization{
		URL: l.URL, Identifier: l.Identifier.Value, Wildcard: l.Wildcard, Names: slices.Clone(l.Names), Domain: l.Domain(),
		Account: l.Account, Order: l.OrderURL, Client: l.Client, Host: l.Host, Unit: l.Unit, File: l.First.File,
		Status: l.Status, Verdict: string(l.Verdict), Cause: string(l.Cause), Blame: l.Blame.Value,
		Answered: l.IsAnswered, AnsweredAt: document.At(l.Answered),
		FirstSeen: document.At(l.FirstSeen), LastSeen: document.At(l.LastSeen), Expires: document.At(l.Expires),
		Evidence: document.List(l.Evidence, func(e logparse.Evidence) Evidence { return Evidence{e.File, e.Line, e.Text} }),
	}
	if l.Run != nil {
		a.Run = l.Run.Place.String()
	}
	if a.Names == nil {
		a.Names = []string{}
	}
	return a
}

// name is the identifier as people write it, or those that it may be.
func (a *Authorization) name() string {
	switch {
	case a.Identifier != "" && a.Wildcard:
		return "*." + a.Identifier
	case a.Identifier != "":
		return a.Identifier
	case len(a.Names) > 0:
		return "one of " + strings.Join(a.Names, ", ")
	}
	return cmp.Or(a.URL, "-")
}

func newRun(r *logparse.Run) Run {
	return Run{
		ID: r.Place.String(), Client: r.Client, Version: r.Version, Command: r.Command, Host: r.Host, Unit: r.Unit,
		PID: r.PID, File: r.File, Line: r.Line,
		Started: document.At(r.Started), Ended: document.At(r.Ended), HasEnded: r.HasEnded, LastSeen: document.At(r.LastSeen),
		Exit: r.Exit, Message: r.Message,
		Authorizations: r.Authorizations, Leaked: r.Leaks, Cause: string(r.Cause),
	}
}

func (r *Report) leaked() int { return r.Summary.Verdicts[string(logparse.Leaked)] }

// expired counts the authorizations that leaked so long ago that they have expired.
func (r *Report) expired() (n int) {
	for i := range r.Authorizations {
		if a := &r.Authorizations[i]; a.Verdict == string(logparse.Expired) && a.Cause != "" {
			n++
		}
	}
	return n
}

// leaks are the authorizations that were left, by the run that they are of.
func (r *Report) leaks() map[string][]*Authorization {
	byRun := make(map[string][]*Authorization)
	for i := range r.Authorizations {
		if a := &r.Authorizations[i]; a.wasLeft() {
			byRun[a.Run] = append(byRun[a.Run], a)
		}
	}
	return byRun
}

// leakingRuns are the runs that left something pending, the newest first.
func (r *Report) leakingRuns() (runs []*Run) {
	for i := range r.Runs {
		if r.leftBy(&r.Runs[i]) > 0 {
			runs = append(runs, &r.Runs[i])
		}
	}
	slices.SortStableFunc(runs, func(a, b *Run) int { return b.begun().Compare(a.begun()) })
	return runs
}

// begun is when a run was first seen, as far as that is known.
func (r *Run) begun() time.Time {
	if r.Started.IsZero() {
		return r.LastSeen.Time
	}
	return r.Started.Time
}

// headline says it in one sentence.
func (r *Report) headline() string {
	n, all := r.countLeft(), r.Summary.Authorizations
	switch {
	case n == 0 && r.expired() > 0:
		return display.Cleanf("Nothing is pending any more: %d of %s had been left pending, and expired.",
			r.expired(), display.Trusted(display.Plural(all, "authorization")))
	case all == 0:
		return "No authorization is in these logs."
	case n == 0 && r.open() > 0:
		return display.Cleanf("No leak is known, but %d of %s %s open: %s.", r.open(), display.Trusted(display.Plural(all, "authorization")),
			display.Trusted(isAre(r.open())), display.Trusted(r.openWhy()))
	case n == 0 && all == 1:
		return "Nothing leaked: the one authorization in these logs was not left pending."
	case n == 0:
		return display.Cleanf("Nothing leaked: none of %s in these logs was left pending.", display.Trusted(display.Plural(all, "authorization")))
	}
	verb := "were"
	if n == 1 {
		verb = "was"
	}
	line := display.Cleanf("%d of %s %s left pending", n, display.Trusted(display.Plural(all, "authorization")), display.Trusted(verb))
	if runs := len(r.leakingRuns()); runs > 0 {
		line += ", by " + display.Plural(runs, "run")
	}
	if hosts := r.leakingHosts(); hosts > 0 {
		line += " on " + display.Plural(hosts, "host")
	}
	return line + r.since() + "."
}

// open counts the authorizations of which the logs do not show the end.
func (r *Report) open() int {
	return r.Summary.Verdicts[string(logparse.InProgress)] + r.Summary.Verdicts[string(logparse.Unknown)]
}

func (r *Report) openWhy() string {
	var why []string
	if r.Summary.Verdicts[string(logparse.InProgress)] > 0 {
		why = append(why, "a run may be working on them")
	}
	if r.Summary.Verdicts[string(logparse.Unknown)] > 0 {
		why = append(why, "the logs do not tell")
	}
	return strings.Join(why, ", or ")
}

func isAre(n int) string {
	if n == 1 {
		return "is"
	}
	return "are"
}

// leakingHosts counts the hosts that are known and have left something.
func (r *Report) leakingHosts() (n int) {
	for i := range r.Summary.Hosts {
		if g := &r.Summary.Hosts[i]; g.Key != "" && leftIn(g, r.settled.hosts) > 0 {
			n++
		}
	}
	return n
}
