package logparse

import (
	"maps"
	"slices"
)

// Merge adds what other knows. Histories of the parts of a fleet give, merged in any order, the same as one of all its
// logs; what several of them have read counts once. Other does not change. If MaxAuthorizations was reached, all depends on the order,
// and the greater [Summary].Dropped stays.
func (h *History) Merge(other *History) {
	if other == h || other.lives == nil {
		return
	}
	h.init()
	h.snapshot = nil
	m := newMerger(h)
	for _, t := range other.runs {
		m.into(t)
	}
	for _, l := range other.lives {
		m.add(l)
	}
	for _, o := range other.orders {
		m.order(o)
	}
	for file := range other.files {
		h.addFile(file)
	}
	for _, u := range other.unknown.list {
		h.unknown.add(u)
	}
	h.unknown.more = h.unknown.more || other.unknown.more
	h.dropped = max(h.dropped, other.dropped)
}

// trackOf returns the run with a key.
func (h *History) trackOf(k runKey) *track {
	if h.lastRun != nil && h.lastRun.key == k {
		return h.lastRun
	}
	t := h.runs[k]
	if t == nil && h.MaxAuthorizations > 0 && len(h.runs) >= h.MaxAuthorizations {
		k = runKey{}
		t = h.runs[k]
	}
	if t == nil {
		k.host, k.client, k.file, k.unit = h.text(k.host), h.text(k.client), h.text(k.file), h.text(k.unit)
		if t = h.runs[k]; t == nil {
			t = &track{key: k}
			h.runs[k] = t
		}
	}
	h.lastRun = t
	return t
}

// A merger adds records of one History to another: the runs in which they were seen, too.
type merger struct {
	h      *History
	tracks map[*track]*track
}

func newMerger(h *History) *merger {
	h.init()
	return &merger{h: h, tracks: make(map[*track]*track)}
}

// into adds a run, and returns what it is in h.
func (m *merger) into(t *track) *track {
	into := m.tracks[t]
	if into == nil {
		into = m.h.trackOf(t.key)
		m.tracks[t] = into
		m.track(t)
	}
	return into
}

// add adds an authorization.
func (m *merger) add(l *life) {
	if into := m.h.life(l.url, m.moment(l.first)); into != nil {
		m.life(into, l)
	}
}

func (m *merger) moment(o moment) moment {
	if o.isZero() {
		return o
	}
	return m.into(o.run()).moment(m.h, o.when(), o.place())
}

func (m *merger) fate(f fate) fate { return fate{m.h.text(f.status), m.moment(f.moment)} }

func (m *merger) track(t *track) {
	into := m.tracks[t]
	into.unit, into.pid = least(into.unit, m.h.text(t.unit)), max(into.pid, t.pid)
	into.last.later(m.moment(t.last))
	if !t.started.isZero() {
		into.add(&Event{Kind: RunStarted, Version: t.version, Command: t.command}, m.moment(t.started))
	}
	if !t.ended.isZero() {
		into.add(&Event{Kind: RunEnded, Exit: t.exit, Message: t.message}, m.moment(t.ended))
	}
	if !t.stopped.isZero() {
		into.add(&Event{Kind: RunStopped, Message: t.lastText}, m.moment(t.stopped))
	}
	for _, x := range t.trouble {
		x.moment = m.moment(x.moment)
		m.h.fail(into, x)
	}
	if x := t.nonce; !x.isZero() {
		x.moment = m.moment(x.moment)
		m.h.fail(into, x)
	}
}

func (m *merger) life(into, l *life) {
	into.see(m.moment(l.first))
	into.see(m.moment(l.last))
	into.name(m.h, l.identifier)
	into.wildcard = into.wildcard || l.wildcard
	into.account = least(into.account, m.h.text(l.account))
	into.status.join(m.fate(l.status), rank)
	into.answered.later(m.moment(l.answered))
	into.expires = max(into.expires, l.expires)
	if l.problem != nil {
		into.fail(refusal{m.moment(l.problem.moment), l.problem.text})
	}
}

func (m *merger) order(o *order) {
	into := m.h.order(o.id, m.moment(o.first))
	if into == nil {
		return
	}
	into.last.later(m.moment(o.last))
	into.url, into.account = least(into.url, m.h.text(o.url)), least(into.account, m.h.text(o.account))
	m.h.identify(into, o.identifiers)
	for l := range o.authorizations {
		if l := m.h.lives[l.url]; l != nil {
			into.has(l)
		}
	}
	for _, l := range o.names {
		if name := m.h.name(into, l.identifier, l.wildcard, m.moment(l.first)); name != nil {
			m.life(name, l)
		}
	}
	into.status.join(m.fate(o.status), orderRank)
	into.expires = max(into.expires, o.expires)
	for _, x := range o.trouble {
		x.moment = m.moment(x.moment)
		m.h.keep(&into.trouble, x, maxOrderTrouble)
	}
}

// Hosts returns the hosts that anything is known of, sorted; "" is among them if what was read does not tell the host
// of something.
func (h *History) Hosts() []string {
	hosts := make(map[string]bool)
	for k := range h.runs {
		hosts[k.host] = true
	}
	return slices.Sorted(maps.Keys(hosts))
}

// Files returns the names of the logs that were read, sorted, as far as they have names.
func (h *History) Files() []string { return slices.Sorted(maps.Keys(h.files)) }
