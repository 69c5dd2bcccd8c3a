package main

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/acmeauthz/acmeauthz/logparse"
)

// leaksSchema names the form of a leakReport. Members may be added to it; what is
// there keeps its name and meaning, or the number changes.
const leaksSchema = "acmeauthz-leaks/1"

// A leakReport is all that the subcommand leaks tells; every output is made of
// it. Its JSON is what --json prints, documented in the README. Strings are as
// logged.
type leakReport struct {
	Schema         string              `json:"schema"`
	At             stamp               `json:"at"`
	Summary        leakSummary         `json:"summary"`
	Authorizations []leakAuthorization `json:"authorizations"`
	Runs           []leakRun           `json:"runs"`
}

type leakSummary struct {
	Files             int            `json:"files"`
	Runs              int            `json:"runs"`
	Orders            int            `json:"orders"`
	Authorizations    int            `json:"authorizations"`
	Dropped           int            `json:"dropped"`
	FirstSeen         stamp          `json:"first_seen"`
	LastSeen          stamp          `json:"last_seen"`
	UnrecognizedLines int64          `json:"unrecognized_lines"`
	Unrecognized      []leakUnknown  `json:"unrecognized"`
	Verdicts          map[string]int `json:"verdicts"`
	Causes            map[string]int `json:"causes"`
	Domains           []leakGroup    `json:"domains"`
	Hosts             []leakGroup    `json:"hosts"`
	Clients           []leakGroup    `json:"clients"`
	Accounts          []leakGroup    `json:"accounts"`
	Days              []leakDay      `json:"days"`
}

type leakUnknown struct {
	File  string `json:"file"`
	Line  int64  `json:"line"`
	Lines int64  `json:"lines"`
}

type leakGroup struct {
	Key            string `json:"key"`
	Authorizations int    `json:"authorizations"`
	Leaked         int    `json:"leaked"`
	Invalid        int    `json:"invalid"`
	FirstSeen      stamp  `json:"first_seen"`
	LastSeen       stamp  `json:"last_seen"`
}

type leakDay struct {
	Day         string `json:"day"`
	Created     int    `json:"created"`
	Answered    int    `json:"answered"`
	Valid       int    `json:"valid"`
	Invalid     int    `json:"invalid"`
	Deactivated int    `json:"deactivated"`
	Leaked      int    `json:"leaked"`
}

type leakAuthorization struct {
	URL        string         `json:"url"`
	Identifier string         `json:"identifier"`
	Wildcard   bool           `json:"wildcard"`
	Names      []string       `json:"names"`
	Domain     string         `json:"domain"`
	Account    string         `json:"account"`
	Order      string         `json:"order"`
	Client     string         `json:"client"`
	Host       string         `json:"host"`
	Unit       string         `json:"unit"`
	File       string         `json:"file"`
	Run        string         `json:"run"`
	Status     string         `json:"status"`
	Verdict    string         `json:"verdict"`
	Cause      string         `json:"cause"`
	Blame      string         `json:"blame"`
	Answered   bool           `json:"answered"`
	AnsweredAt stamp          `json:"answered_at"`
	FirstSeen  stamp          `json:"first_seen"`
	LastSeen   stamp          `json:"last_seen"`
	Expires    stamp          `json:"expires"`
	Evidence   []leakEvidence `json:"evidence"`
}

type leakEvidence struct {
	File string `json:"file"`
	Line int64  `json:"line"`
	Text string `json:"text"`
}

type leakRun struct {
	ID             string `json:"id"`
	Client         string `json:"client"`
	Version        string `json:"version"`
	Command        string `json:"command"`
	Host           string `json:"host"`
	Unit           string `json:"unit"`
	PID            int    `json:"pid"`
	File           string `json:"file"`
	Line           int64  `json:"line"`
	Started        stamp  `json:"started"`
	Ended          stamp  `json:"ended"`
	HasEnded       bool   `json:"has_ended"`
	LastSeen       stamp  `json:"last_seen"`
	Exit           string `json:"exit"`
	Message        string `json:"message"`
	Authorizations int    `json:"authorizations"`
	Leaked         int    `json:"leaked"`
	Cause          string `json:"cause"`
}

// A stamp is a time: in JSON as RFC 3339 has it, in UTC, and null if it is not
// known.
type stamp struct{ time.Time }

func (s stamp) MarshalJSON() ([]byte, error) {
	if s.IsZero() {
		return []byte("null"), nil
	}
	return []byte(s.UTC().Format(`"` + time.RFC3339Nano + `"`)), nil
}

// String is the time as CSV has it.
func (s stamp) String() string {
	if s.IsZero() {
		return ""
	}
	return s.UTC().Format(time.RFC3339Nano)
}

// verdicts are all that there are, in the order of the report.
var verdicts = []logparse.Verdict{
	logparse.Leaked, logparse.Valid, logparse.Invalid, logparse.Deactivated,
	logparse.Expired, logparse.InProgress, logparse.Unknown,
}

func newLeakReport(h *logparse.History) *leakReport {
	r := &leakReport{Schema: leaksSchema, Summary: newLeakSummary(h)}
	r.At = stamp{h.At}
	r.Authorizations = convert(h.Lives(), newLeakAuthorization)
	r.Runs = convert(h.Runs(), newLeakRun)
	return r
}

// convert is never nil, as an empty list in JSON is [].
func convert[A, B any](all []A, f func(A) B) []B {
	converted := make([]B, 0, len(all))
	for _, a := range all {
		converted = append(converted, f(a))
	}
	return converted
}

func newLeakSummary(h *logparse.History) leakSummary {
	s := h.Summary()
	return leakSummary{
		Files: s.Files, Runs: s.Runs, Orders: s.Orders, Authorizations: s.Authorizations, Dropped: s.Dropped,
		FirstSeen: stamp{s.FirstSeen}, LastSeen: stamp{s.LastSeen},
		UnrecognizedLines: s.Unrecognized,
		Unrecognized: convert(s.UnrecognizedAt, func(u logparse.Unrecognized) leakUnknown {
			return leakUnknown{u.File, u.Line, u.Lines}
		}),
		Verdicts: verdictCounts(s.Verdicts),
		Causes:   textKeys(s.Causes),
		Domains:  leakGroups(h, logparse.ByDomain),
		Hosts:    leakGroups(h, logparse.ByHost),
		Clients:  leakGroups(h, logparse.ByClient),
		Accounts: leakGroups(h, logparse.ByAccount),
		Days:     convert(h.Days(), func(d logparse.Day) leakDay { return leakDay(d) }),
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

func leakGroups(h *logparse.History, by logparse.Grouping) []leakGroup {
	return convert(h.Groups(by), func(g logparse.Group) leakGroup {
		return leakGroup{
			Key: g.Key, Authorizations: g.Authorizations, Leaked: g.Leaks(), Invalid: g.Verdicts[logparse.Invalid],
			FirstSeen: stamp{g.FirstSeen}, LastSeen: stamp{g.LastSeen},
		}
	})
}

func newLeakAuthorization(l *logparse.Life) leakAuthorization {
	a := leakAuthorization{
		URL: l.URL, Identifier: l.Identifier.Value, Wildcard: l.Wildcard, Names: slices.Clone(l.Names), Domain: l.Domain(),
		Account: l.Account, Order: l.OrderURL, Client: l.Client, Host: l.Host, Unit: l.Unit, File: l.First.File,
		Status: l.Status, Verdict: string(l.Verdict), Cause: string(l.Cause), Blame: l.Blame.Value,
		Answered: l.IsAnswered, AnsweredAt: stamp{l.Answered},
		FirstSeen: stamp{l.FirstSeen}, LastSeen: stamp{l.LastSeen}, Expires: stamp{l.Expires},
		Evidence: convert(l.Evidence, func(e logparse.Evidence) leakEvidence { return leakEvidence{e.File, e.Line, e.Text} }),
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
func (a *leakAuthorization) name() string {
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

func newLeakRun(r *logparse.Run) leakRun {
	return leakRun{
		ID: r.Place.String(), Client: r.Client, Version: r.Version, Command: r.Command, Host: r.Host, Unit: r.Unit,
		PID: r.PID, File: r.File, Line: r.Line,
		Started: stamp{r.Started}, Ended: stamp{r.Ended}, HasEnded: r.HasEnded, LastSeen: stamp{r.LastSeen},
		Exit: r.Exit, Message: r.Message,
		Authorizations: r.Authorizations, Leaked: r.Leaks, Cause: string(r.Cause),
	}
}

func (r *leakReport) leaked() int { return r.Summary.Verdicts[string(logparse.Leaked)] }

// expired counts the authorizations that leaked so long ago that they have expired.
func (r *leakReport) expired() (n int) {
	for i := range r.Authorizations {
		if a := &r.Authorizations[i]; a.Verdict == string(logparse.Expired) && a.Cause != "" {
			n++
		}
	}
	return n
}

// leaks are the authorizations that leaked, by the run that they are of.
func (r *leakReport) leaks() map[string][]*leakAuthorization {
	byRun := make(map[string][]*leakAuthorization)
	for i := range r.Authorizations {
		if a := &r.Authorizations[i]; a.Verdict == string(logparse.Leaked) {
			byRun[a.Run] = append(byRun[a.Run], a)
		}
	}
	return byRun
}

// leakingRuns are the runs that left something pending, the newest first.
func (r *leakReport) leakingRuns() (runs []*leakRun) {
	for i := range r.Runs {
		if r.Runs[i].Leaked > 0 {
			runs = append(runs, &r.Runs[i])
		}
	}
	slices.SortStableFunc(runs, func(a, b *leakRun) int { return b.begun().Compare(a.begun()) })
	return runs
}

// begun is when a run was first seen, as far as that is known.
func (r *leakRun) begun() time.Time {
	if r.Started.IsZero() {
		return r.LastSeen.Time
	}
	return r.Started.Time
}

// headline says it in one sentence.
func (r *leakReport) headline() string {
	n, all := r.leaked(), r.Summary.Authorizations
	switch {
	case n == 0 && r.expired() > 0:
		return cleanf("Nothing is pending any more: %d of %s had been left pending, and expired.",
			r.expired(), trusted(plural(all, "authorization")))
	case all == 0:
		return "No authorization is in these logs."
	case n == 0 && r.open() > 0:
		return cleanf("No leak is known, but %d of %s %s open: %s.", r.open(), trusted(plural(all, "authorization")),
			trusted(isAre(r.open())), trusted(r.openWhy()))
	case n == 0 && all == 1:
		return "Nothing leaked: the one authorization in these logs was not left pending."
	case n == 0:
		return cleanf("Nothing leaked: none of %s in these logs was left pending.", trusted(plural(all, "authorization")))
	}
	verb := "were"
	if n == 1 {
		verb = "was"
	}
	line := cleanf("%d of %s %s left pending", n, trusted(plural(all, "authorization")), trusted(verb))
	if runs := len(r.leakingRuns()); runs > 0 {
		line += ", by " + plural(runs, "run")
	}
	if hosts := countLeaking(r.Summary.Hosts); hosts > 0 {
		line += " on " + plural(hosts, "host")
	}
	return line + "."
}

// open counts the authorizations of which the logs do not show the end.
func (r *leakReport) open() int {
	return r.Summary.Verdicts[string(logparse.InProgress)] + r.Summary.Verdicts[string(logparse.Unknown)]
}

func (r *leakReport) openWhy() string {
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

// countLeaking counts the groups whose key is known and that have leaks.
func countLeaking(groups []leakGroup) (n int) {
	for _, g := range groups {
		if g.Key != "" && g.Leaked > 0 {
			n++
		}
	}
	return n
}
