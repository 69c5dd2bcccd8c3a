package logparse

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

// Split returns what h knows by account: a History for each account URL, and one for "" with what no account is known of.
// Merged, they are h again. An authorization whose account the log does not tell is that of the others in its order, or
// else in its run if these are of one account. A run is in each part that has something of it. H does not change; the parts
// have its settings.
func (h *History) Split() map[string]*History {
	s := splitter{h: h, accounts: make(map[*life]string, len(h.lives)), runs: make(map[*track]map[string]bool), parts: make(map[string]*merger)}
	h.init()
	s.fromOrders()
	s.fromRuns()
	for _, l := range h.lives {
		s.part(s.accounts[l]).add(l)
	}
	for _, o := range h.orders {
		for account := range s.accountsOf(o) {
			s.part(account).order(o)
		}
	}
	return s.finish()
}

// A splitter takes a History apart.
type splitter struct {
	h        *History
	accounts map[*life]string
	runs     map[*track]map[string]bool // the accounts of what was first seen in them
	parts    map[string]*merger
}

// part is where the records of an account go.
func (s *splitter) part(account string) *merger {
	m := s.parts[account]
	if m == nil {
		m = newMerger(s.h.like())
		s.parts[account] = m
	}
	return m
}

// like returns an empty History with the settings of h.
func (h *History) like() *History {
	return &History{At: h.At, Recent: h.Recent, MaxAuthorizations: h.MaxAuthorizations}
}

// fromOrders notes the accounts of authorizations that they tell, or one of their orders.
func (s *splitter) fromOrders() {
	for _, l := range s.h.lives {
		s.accounts[l] = l.account
	}
	for _, o := range s.h.orders {
		account := o.account
		for l := range o.authorizations {
			account = least(account, l.account)
		}
		for l := range o.authorizations {
			if l.account == "" {
				s.accounts[l] = least(s.accounts[l], account)
			}
		}
	}
}

// fromRuns notes the accounts of the rest, where all that is known of a run is of one account.
func (s *splitter) fromRuns() {
	for l, account := range s.accounts {
		s.note(l.first, account)
	}
	for _, o := range s.h.orders {
		s.note(o.first, o.account)
	}
	for l, account := range s.accounts {
		if account == "" {
			s.accounts[l] = s.accountIn(l.first)
		}
	}
}

// note notes that something of an account was seen.
func (s *splitter) note(m moment, account string) {
	t := m.run()
	if t == nil || account == "" {
		return
	}
	if s.runs[t] == nil {
		s.runs[t] = make(map[string]bool, 1)
	}
	s.runs[t][account] = true
}

// accountIn returns the one account that a run is known to be of, or "".
func (s *splitter) accountIn(m moment) string {
	if of := s.runs[m.run()]; len(of) == 1 {
		for account := range of {
			return account
		}
	}
	return ""
}

// accountsOf returns the accounts that an order is of: its own, and those of its authorizations.
func (s *splitter) accountsOf(o *order) map[string]bool {
	accounts := make(map[string]bool, 1)
	for l := range o.authorizations {
		accounts[s.accounts[l]] = true
	}
	if o.account != "" || len(accounts) == 0 {
		accounts[cmp.Or(o.account, s.accountIn(o.first))] = true
	}
	return accounts
}

// finish adds what is of no account, and returns the parts.
func (s *splitter) finish() map[string]*History {
	parts := make(map[string]*History, len(s.parts))
	runs, files := maps.Clone(s.h.runs), maps.Clone(s.h.files)
	for account, m := range s.parts {
		for t := range m.tracks {
			delete(runs, t.key)
		}
		m.h.nameFiles(s.h)
		for file := range m.h.files {
			delete(files, file)
		}
		parts[account] = m.h
	}
	if u := s.h.unknown; len(runs)+len(files)+len(u.list)+s.h.dropped == 0 {
		return parts
	}
	rest := s.part("")
	for _, t := range runs {
		rest.into(t)
	}
	for _, u := range s.h.unknown.list {
		rest.h.unknown.add(u)
	}
	rest.h.unknown.more, rest.h.dropped = s.h.unknown.more, s.h.dropped
	maps.Copy(rest.h.files, files)
	rest.h.nameFiles(s.h)
	parts[""] = rest.h
	return parts
}

// Halve returns two Histories that are h again when they are merged, each with about half of the authorizations, orders and
// runs: to hand on what is too large for one message. An order is in both if its authorizations are. Both are nil if there is
// nothing to divide.
func (h *History) Halve() (*History, *History) {
	h.init()
	urls, orders := slices.Sorted(maps.Keys(h.lives)), slices.Sorted(maps.Keys(h.orders))
	runs := slices.SortedFunc(maps.Keys(h.runs), runKey.compare)
	if h.Records() < 2 {
		return nil, nil
	}
	halves := [2]*merger{newMerger(h.like()), newMerger(h.like())}
	side := make(map[*life]int, len(h.lives))
	for i, url := range urls {
		l := h.lives[url]
		side[l] = half(i, len(urls))
		halves[side[l]].add(l)
	}
	for i, id := range orders {
		o := h.orders[id]
		var in [2]bool
		for l := range o.authorizations {
			in[side[l]] = true
		}
		if !in[0] && !in[1] {
			in[max(half(i, len(orders)), b2i(len(orders) == 1 && len(urls) > 0))] = true
		}
		for k := range halves {
			if in[k] {
				halves[k].order(o)
			}
		}
	}
	for i, k := range runs {
		if t := h.runs[k]; halves[0].tracks[t] == nil && halves[1].tracks[t] == nil {
			halves[max(half(i, len(runs)), b2i(len(runs) == 1 && len(urls)+len(orders) > 0))].into(t)
		}
	}
	first := halves[0].h
	if first.Records() == h.Records() || halves[1].h.Records() == h.Records() {
		return nil, nil
	}
	for _, u := range h.unknown.list {
		first.unknown.add(u)
	}
	first.unknown.more, first.dropped = h.unknown.more, h.dropped
	maps.Copy(first.files, h.files)
	halves[1].h.nameFiles(h)
	return first, halves[1].h
}

// Records is how many records a History has: authorizations, orders and runs. It is
// quick, and says how much memory it has: about half a kilobyte each.
func (h *History) Records() int { return len(h.lives) + len(h.orders) + len(h.runs) }

// half is which half the i-th of n is in.
func half(i, n int) int { return b2i(i >= (n+1)/2) }

// nameFiles notes the files in which the runs of h were seen, as far as they are among those of whole.
func (h *History) nameFiles(whole *History) {
	for _, t := range h.runs {
		for file := range t.origins {
			if whole.files[file] {
				h.files[h.text(file)] = true
			}
		}
	}
}

// Forget drops the authorizations that were last seen before a time, and whose own time was over by then: they are final, or
// expired, or their end is not known. Orders and runs of which nothing is left go with them. It returns how many
// authorizations it dropped. What has no time stays. If a dropped one is added again, it is there again.
//
// Memory is freed: it takes as long as a Merge, and needs as much.
func (h *History) Forget(before time.Time) (dropped int) {
	h.init()
	limit := micros(before)
	old := func(m moment) bool { return m.micros != 0 && m.micros < limit }
	gone := func(l *life) bool {
		return old(l.last) && (rank(l.status.status) >= 2 || l.expires < limit)
	}
	m := newMerger(h.like())
	for _, l := range h.lives {
		if gone(l) {
			dropped++
			continue
		}
		m.add(l)
	}
	for _, o := range h.orders {
		dropped += m.orderSince(o, old, gone)
	}
	for _, t := range h.runs {
		if !old(t.last) {
			m.into(t)
		}
	}
	for _, u := range h.unknown.list {
		m.h.unknown.add(u)
	}
	m.h.unknown.more, m.h.dropped = h.unknown.more, h.dropped
	m.h.nameFiles(h)
	seen := make(map[string]bool, len(h.files))
	for _, t := range h.runs {
		for file := range t.origins {
			seen[file] = true
		}
	}
	for file := range h.files {
		if !seen[file] {
			m.h.files[file] = true // there is nothing in it that could be old
		}
	}
	*h = *m.h
	return dropped
}

// orderSince adds an order unless it is old, and nothing is left of it. It returns how many of its names are gone.
func (m *merger) orderSince(o *order, old func(moment) bool, gone func(*life) bool) (dropped int) {
	left := !old(o.last)
	for l := range o.authorizations {
		left = left || !gone(l)
	}
	kept := *o
	kept.names = nil
	for id, l := range o.names {
		if gone(l) {
			dropped++
			continue
		}
		if kept.names == nil {
			kept.names = make(map[Identifier]*life, len(o.names))
		}
		kept.names[id] = l
	}
	if left || len(kept.names) > 0 {
		m.order(&kept)
	}
	return dropped
}
