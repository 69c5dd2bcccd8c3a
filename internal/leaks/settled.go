package leaks

import (
	"fmt"
	"time"

	"github.com/acmeauthz/acmeauthz/logparse"
)

// settled counts what a client left pending and another one deactivated since: it leaked, too, and tells as much of what to
// change.
type settled struct {
	all                                             int
	causes, domains, hosts, clients, accounts, days map[string]int
	runs                                            map[string]int // by ID
}

func newSettled(all []Authorization) settled {
	s := settled{
		causes: make(map[string]int), domains: make(map[string]int), hosts: make(map[string]int), clients: make(map[string]int),
		accounts: make(map[string]int), days: make(map[string]int), runs: make(map[string]int),
	}
	for i := range all {
		if a := &all[i]; a.isSettled() {
			s.add(a)
		}
	}
	return s
}

func (s *settled) add(a *Authorization) {
	s.all++
	s.causes[a.Cause]++
	s.domains[a.Domain]++
	s.hosts[a.Host]++
	s.clients[a.Client]++
	s.accounts[a.Account]++
	s.runs[a.Run]++
	day := "" // as logparse.Day has it
	if !a.FirstSeen.IsZero() {
		day = a.FirstSeen.UTC().Format(time.DateOnly)
	}
	s.days[day]++
}

// isSettled reports whether another client deactivated what was left pending, see logparse.Deactivated.
func (a *Authorization) isSettled() bool {
	return a.Verdict == string(logparse.Deactivated) && a.Cause != ""
}

// wasLeft reports whether it leaked, whatever became of it then.
func (a *Authorization) wasLeft() bool { return a.isLeaked() || a.isSettled() }

// since is the part of the headline about what was settled.
func (r *Report) since() string {
	switch n := r.settled.all; {
	case n == 0:
		return ""
	case n == 1 && r.countLeft() == 1:
		return "; it was deactivated since"
	case n == r.countLeft():
		return "; all were deactivated since"
	case n == 1:
		return "; 1 was deactivated since"
	default:
		return fmt.Sprintf("; %d were deactivated since", n)
	}
}

// countLeft counts what leaked, whatever became of it then.
func (r *Report) countLeft() int { return r.leaked() + r.settled.all }

// leftBy counts what a run left.
func (r *Report) leftBy(run *Run) int { return run.Leaked + r.settled.runs[run.ID] }

// leftIn counts what is left in a group; settled is that part of what was settled.
func leftIn(g *Group, settled map[string]int) int { return g.Leaked + settled[g.Key] }

// causes are those of all that was left, with their numbers.
func (r *Report) causes() map[string]int {
	counts := make(map[string]int)
	for _, some := range []map[string]int{r.Summary.Causes, r.settled.causes} {
		for cause, n := range some {
			counts[cause] += n
		}
	}
	return counts
}
