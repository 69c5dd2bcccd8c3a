package logparse

import "maps"

// Merge adds what other knows. Histories of the parts of a fleet give, merged in any order, the same as one of all its
// logs; what several of them have read counts once. Other does not change.
func (h *History) Merge(other *History) {
	if other == h || other.lives == nil {
		return
	}
	h.init()
	h.snapshot = nil
	m := merger{h: h, tracks: make(map[*track]*track, len(other.runs))}
	for k, t := range other.runs {
		m.tracks[t] = h.trackOf(k)
	}
	for _, t := range other.runs {
		m.track(t)
	}
	for url, l := range other.lives {
		if into := h.life(url, m.moment(l.first)); into != nil {
			m.life(into, l)
		}
	}
	for _, o := range other.orders {
		m.order(o)
	}
	maps.Copy(h.files, other.files)
	maps.Copy(h.unknown, other.unknown)
	h.dropped += other.dropped
}

// trackOf returns the run with a key.
func (h *History) trackOf(k runKey) *track {
	t := h.runs[k]
	if t == nil {
		k.host, k.client, k.file, k.unit = h.text(k.host), h.text(k.client), h.text(k.file), h.text(k.unit)
		t = &track{key: k}
		h.runs[k] = t
	}
	return t
}

// A merger adds records of one History to another.
type merger struct {
	h      *History
	tracks map[*track]*track
}

func (m *merger) moment(o moment) moment {
	if !o.isZero() {
		o.place = m.h.place(o.place)
	}
	o.run = m.tracks[o.run]
	return o
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
		into.fail(x)
	}
}

func (m *merger) life(into, l *life) {
	into.see(m.moment(l.first))
	into.see(m.moment(l.last))
	into.name(m.h, l.identifier)
	into.wildcard = into.wildcard || l.wildcard
	into.account = least(into.account, m.h.text(l.account))
	into.status.join(m.fate(l.status), rank)
	into.answered.earlier(m.moment(l.answered))
	into.expire(l.expires)
	into.fail(l.problem, m.moment(l.problemAt))
}

func (m *merger) order(o *order) {
	into := m.h.order(o.id, m.moment(o.first))
	into.last.later(m.moment(o.last))
	into.url, into.account = least(into.url, o.url), least(into.account, m.h.text(o.account))
	for _, id := range o.identifiers {
		m.h.identify(into, id)
	}
	for url := range o.authorizations {
		if l := m.h.lives[url]; l != nil {
			into.has(l.url)
		}
	}
	for id, l := range o.names {
		m.life(into.name(id, m.moment(l.first)), l)
	}
	into.status.join(m.fate(o.status), orderRank)
	into.expire(o.expires)
}
