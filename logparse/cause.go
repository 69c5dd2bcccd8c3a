package logparse

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Why an authorization was left pending. The first of these that applies is the cause:
//
//  1. something failed at the client, for its order: check, hook, DNS, network, or the client was interrupted;
//  2. another name of its order failed;
//  3. the CA refused a request for its order: rate limited, request refused;
//  4. the client asked for other names instead, right after;
//  5. the run stops while its order is the last it worked on: killed;
//  6. the client gave up because of a request that it repeats otherwise: request refused;
//  7. unknown.
//
// What failed belongs to an order if the log says so, and else to the one that the run worked on at the time.

// supersedes is how soon after an order another one with other names must follow to have taken its place.
const supersedes = time.Hour

// Evidence is a line of a log that proves something.
type Evidence struct {
	Place
	Text string // what it says, in words or as logged
}

// explain finds the cause of a leak.
func (s *snapshot) explain(l *Life, o *order) {
	for _, find := range []func(*Life, *order) bool{s.failed, s.sibling, s.refused, s.superseded, s.killed, s.gaveUp} {
		if o != nil && find(l, o) {
			return
		}
	}
	l.Cause = CauseUnknown
	l.Evidence = append(l.Evidence, Evidence{l.Last, "last seen, " + cmp.Or(l.Status, "without a status")})
	if o != nil && !o.last.run.ended.isZero() {
		l.Evidence = append(l.Evidence, o.last.run.end())
	}
}

// end returns the end of the run as evidence.
func (t *track) end() Evidence {
	return Evidence{t.ended.place, strings.Trim("the run ends: "+cmp.Or(t.message, t.exit), ": ")}
}

// failed finds a failure at the client.
func (s *snapshot) failed(l *Life, o *order) bool {
	for _, t := range s.troubles(o) {
		if t.cause == "" || t.cause == CauseRefused || t.cause == CauseRateLimited {
			continue
		}
		l.Cause, l.Blame = t.cause, t.identifier
		l.Evidence = append(l.Evidence, Evidence{t.place, t.text})
		return true
	}
	return false
}

// sibling finds another name that failed.
func (s *snapshot) sibling(l *Life, o *order) bool {
	v := s.invalid(o)
	if v == nil {
		return false
	}
	l.Cause, l.Blame = CauseSibling, v.identifier
	text := "invalid"
	if v.identifier.Value != "" {
		text = v.identifier.Value + " is invalid"
	}
	if v.problem != nil {
		text += ": " + problemText(v.problem)
	}
	l.Evidence = append(l.Evidence, Evidence{v.status.place, text})
	if next := s.successor(o); next != nil {
		l.Evidence = append(l.Evidence, Evidence{next.first.place, "then asked for " + nameCount(next)})
	}
	return true
}

// invalid returns the authorization of an order that failed first, nil if none did.
func (s *snapshot) invalid(o *order) (found *life) {
	if v, ok := s.failures[o]; ok {
		return v
	}
	look := func(l *life) {
		if l == nil || l.status.status != "invalid" && (l.problem == nil || rank(l.status.status) < 3) {
			return
		}
		if found == nil || cmp.Or(l.status.compare(found.status.moment), strings.Compare(l.identifier.Value, found.identifier.Value)) < 0 {
			found = l
		}
	}
	for url := range o.authorizations {
		look(s.h.lives[url])
	}
	for _, l := range o.names {
		look(l)
	}
	if found != nil && found.identifier.Value == "" {
		if named := s.invalidName(o); named != nil {
			found = named
		}
	}
	s.failures[o] = found
	return found
}

// invalidName returns an authorization of an order that failed and whose name is known.
func (s *snapshot) invalidName(o *order) (found *life) {
	for _, l := range o.names {
		if l.status.status == "invalid" && (found == nil || l.identifier.Value < found.identifier.Value) {
			found = l
		}
	}
	return found
}

// refused finds a request that the CA refused.
func (s *snapshot) refused(l *Life, o *order) bool {
	for _, t := range s.troubles(o) {
		if t.cause == CauseRefused || t.cause == CauseRateLimited {
			l.Cause, l.Blame = t.cause, t.identifier
			l.Evidence = append(l.Evidence, Evidence{t.place, t.text})
			return true
		}
	}
	return false
}

// superseded finds the order that took the place of this one.
func (s *snapshot) superseded(l *Life, o *order) bool {
	next := s.successor(o)
	if next == nil || next.first.run != o.first.run {
		return false
	}
	l.Cause = CauseSuperseded
	l.Evidence = append(l.Evidence, Evidence{next.first.place, "then asked for " + nameCount(next)})
	return true
}

func nameCount(o *order) string {
	if len(o.identifiers) == 1 {
		return "one name"
	}
	return fmt.Sprintf("%d names", len(o.identifiers))
}

// killed finds that the run stops.
func (s *snapshot) killed(l *Life, o *order) bool {
	r := o.last.run
	if r.key.line == 0 || !r.ended.isZero() {
		return false
	}
	if orders := s.ordersOf[r]; len(orders) == 0 || orders[len(orders)-1] != o {
		return false
	}
	l.Cause = CauseKilled
	if !r.started.isZero() {
		l.Evidence = append(l.Evidence, Evidence{r.started.place, "the run starts"})
	}
	last, text := r.last.place, "the last line of the run"
	if !r.stopped.isZero() {
		last, text = r.stopped.place, text+": "+r.lastText
	}
	l.Evidence = append(l.Evidence, Evidence{last, text})
	return true
}

// gaveUp finds a request that was refused although nothing is wrong with it, in a run that ended with that.
func (s *snapshot) gaveUp(l *Life, o *order) bool {
	all, r := s.troubles(o), o.last.run
	if len(all) == 0 || r.ended.isZero() || r.exit == "" {
		return false
	}
	l.Cause = CauseRefused
	l.Evidence = append(l.Evidence, Evidence{all[len(all)-1].place, all[len(all)-1].text}, r.end())
	return true
}

// troubles returns what went wrong with an order.
func (s *snapshot) troubles(o *order) (found []trouble) {
	r := o.first.run
	for _, t := range r.trouble {
		switch {
		case t.order == o.id, t.url != "" && o.authorizations[t.url]:
		case t.order != "" || t.url != "" || s.orderAt(r, t.moment) != o:
			continue
		}
		found = append(found, t)
	}
	return found
}

// orderAt returns the order that a run worked on at some moment: the last that was first seen before.
func (s *snapshot) orderAt(r *track, m moment) (o *order) {
	orders := s.ordersOf[r]
	i, ok := slices.BinarySearchFunc(orders, m, func(o *order, m moment) int { return o.first.compare(m) })
	if !ok {
		i--
	}
	if i < 0 {
		return nil
	}
	return orders[i]
}

// successor returns the order that the client made in place of o, if there is one: right after it, for some of the same
// names; and if it is of another run, for others too, as the next renewal is for the same.
func (s *snapshot) successor(o *order) *order {
	if next, ok := s.successors[o]; ok {
		return next
	}
	next := s.findSuccessor(o)
	s.successors[o] = next
	return next
}

func (s *snapshot) findSuccessor(o *order) *order {
	group := s.neighbours[o.neighbourhood()]
	i, _ := slices.BinarySearchFunc(group, o, compareOrders)
	const look = 16 // orders of other certificates may come in between
	for _, next := range group[min(i+1, len(group)):min(i+1+look, len(group))] {
		if !o.first.when.IsZero() && next.first.when.Sub(o.first.when) > supersedes {
			break
		}
		if same, all := overlap(o.identifiers, next.identifiers); same && (!all || next.first.run == o.first.run) {
			return next
		}
	}
	return nil
}

// overlap reports whether a and b have names in common, and whether they have all.
func overlap(a, b []Identifier) (some, all bool) {
	set := make(map[Identifier]bool, len(a))
	for _, id := range a {
		set[id] = true
	}
	same := 0
	for _, id := range b {
		if set[id] {
			same++
		}
	}
	return same > 0, same == len(a) && same == len(b)
}

// A neighbourhood is where an order that takes another's place comes from.
type neighbourhood struct{ host, client, account string }

func (o *order) neighbourhood() neighbourhood {
	return neighbourhood{o.first.run.key.host, o.first.run.key.client, o.account}
}

func compareOrders(a, b *order) int {
	return cmp.Or(a.first.compare(b.first), strings.Compare(a.id, b.id))
}
