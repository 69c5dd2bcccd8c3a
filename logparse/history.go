package logparse

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// A History is what events tell about authorizations: which run of which client asked for them, in which order, what became
// of them, and for those that nobody will finish, why. Its zero value is empty and ready.
//
//	var h logparse.History
//	for e, err := range logparse.FileEvents(os.DirFS("/var/log/letsencrypt"), "letsencrypt.log*") {
//		if err != nil {
//			return err
//		}
//		h.Add(e)
//	}
//	for _, l := range h.Leaks() {
//		fmt.Println(l.URL, l.Identifier.Value, l.Cause)
//	}
//
// Events may come from any clients, hosts and files, in any order, and several times: the result is the same, as a status
// never returns to pending (RFC 8555 §7.1.6). Runs are told apart by host, file and line, so the logs of several machines
// need different names of files or hosts, see [Reader].
//
// Memory grows with authorizations, orders and runs, by about 700 bytes for each authorization, not with the logs. A History
// must not be used by several goroutines at once.
type History struct {
	// At is the time as of which verdicts are given. If zero, it is the time of the call.
	At time.Time

	// Recent is for how long after its last line a run without an end is taken to be running. If zero, it is one hour:
	// more than clients wait for DNS, and less than anybody waits for a report.
	Recent time.Duration

	// MaxAuthorizations limits memory: authorizations beyond it are only counted, in [Summary].Dropped. If zero, there is
	// no limit.
	MaxAuthorizations int

	texts    map[string]string // each text that many records have, once
	lives    map[string]*life  // by URL
	orders   map[string]*order // by ID
	runs     map[runKey]*track
	files    map[string]bool
	unknown  map[Place]int64 // lines of an unknown shape, by where they start
	dropped  int
	snapshot *snapshot
}

// A life is what is known of an authorization.
type life struct {
	url         string
	identifier  Identifier
	wildcard    bool
	account     string
	first, last moment
	status      fate
	expires     time.Time // of the last status that is not final
	answered    moment    // zero if no challenge was answered
	problem     *Problem  // of a challenge
	problemAt   moment
}

// An order is what is known of an order.
type order struct {
	id, url        string
	account        string
	identifiers    []Identifier // sorted
	authorizations map[string]bool
	names          map[Identifier]*life // authorizations whose URL the log does not tell beside the name
	first, last    moment
	status         fate
	expires        time.Time
}

// A track is what is known of a run, or of the output of a client outside any.
type track struct {
	key              runKey
	version, command string
	pid              int
	unit             string
	started          moment
	ended            moment
	exit, message    string
	stopped          moment
	lastText         string
	last             moment
	trouble          []trouble
}

// A runKey names a run.
type runKey struct {
	host, client string
	file         string
	line         int64
	unit         string // for what is outside any run
	pid          int
}

// A trouble is a failure or a problem in a run.
type trouble struct {
	moment
	cause      Cause
	text       string
	order      string // ID
	url        string // of an authorization
	identifier Identifier
}

// maxTrouble is how many troubles of a run are kept: the first.
const maxTrouble = 64

// A moment is when and where something was seen.
type moment struct {
	when  time.Time
	place Place
	run   *track
}

func (m moment) isZero() bool { return m.run == nil }

// compare orders moments by time, then by place. Those without a time come before all others.
func (m moment) compare(o moment) int {
	return cmp.Or(m.when.Compare(o.when), comparePlaces(m.place, o.place))
}

func comparePlaces(a, b Place) int {
	return cmp.Or(strings.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Offset, b.Offset))
}

// earlier makes m the earlier of the two, where one with a time comes before one without.
func (m *moment) earlier(o moment) {
	if o.isZero() {
		return
	}
	if m.isZero() || m.when.IsZero() && !o.when.IsZero() || m.when.IsZero() == o.when.IsZero() && o.compare(*m) < 0 {
		*m = o
	}
}

// later makes m the later of the two.
func (m *moment) later(o moment) {
	if !o.isZero() && (m.isZero() || o.compare(*m) > 0) {
		*m = o
	}
}

// A fate is a status, and where it was seen.
type fate struct {
	status string
	moment
}

// rank says how late in a life a status comes (RFC 8555 §7.1.6). No status is followed by one of a lower rank.
func rank(status string) int {
	switch status {
	case "":
		return 0
	case "valid", "invalid":
		return 2
	case "deactivated", "expired", "revoked":
		return 3
	}
	return 1
}

// join makes f the status that comes later in a life: by rank, then by time. It is commutative and associative, so that the
// order of events does not matter.
func (f *fate) join(o fate, rank func(string) int) {
	if cmp.Or(cmp.Compare(rank(o.status), rank(f.status)), o.compare(f.moment), strings.Compare(o.status, f.status)) > 0 {
		*f = o
	}
}

// orderRank is rank for the statuses of orders.
func orderRank(status string) int {
	switch status {
	case "":
		return 0
	case "ready":
		return 2
	case "processing":
		return 3
	case "valid", "invalid":
		return 4
	}
	return 1
}

// Add adds an event.
func (h *History) Add(e Event) {
	h.init()
	h.snapshot = nil
	if e.File != "" {
		h.files[h.text(e.File)] = true
	}
	if e.Kind == LinesUnrecognized {
		h.unknown[h.place(e.Place)] = e.Lines
		return
	}
	t := h.track(&e)
	m := moment{e.Time.Round(0).UTC(), h.place(e.Place), t}
	t.last.later(m)
	switch e.Kind {
	case RunStarted, RunEnded, RunStopped:
		t.add(&e, m)
	case OrderSeen:
		h.addOrder(&e, m)
	case AuthorizationSeen, AuthorizationDeactivated, ChallengeAnswered:
		h.addAuthorization(&e, m)
	case ProblemSeen, FailureSeen:
		h.addTrouble(&e, m)
	}
}

func (h *History) init() {
	if h.lives == nil {
		h.texts, h.files = make(map[string]string), make(map[string]bool)
		h.lives, h.orders = make(map[string]*life), make(map[string]*order)
		h.runs, h.unknown = make(map[runKey]*track), make(map[Place]int64)
	}
}

// text returns the copy of s that all records share.
func (h *History) text(s string) string {
	if t, ok := h.texts[s]; ok {
		return t
	}
	h.texts[s] = s
	return s
}

func (h *History) place(p Place) Place {
	p.File = h.text(p.File)
	return p
}

// track returns the run that an event is in, or what stands for it.
func (h *History) track(e *Event) *track {
	k := runKey{host: e.Host, client: e.Client, file: e.Run.File, line: e.Run.Line}
	if k.line == 0 {
		k.file, k.unit, k.pid = e.File, e.Unit, e.PID
	}
	t := h.trackOf(k)
	t.unit, t.pid = least(t.unit, h.text(e.Unit)), max(t.pid, e.PID)
	return t
}

// add adds the start or the end of the run.
func (t *track) add(e *Event, m moment) {
	switch e.Kind {
	case RunStarted:
		t.started.earlier(m)
		t.version, t.command = least(t.version, e.Version), least(t.command, e.Command)
	case RunEnded:
		if t.ended.isZero() || m.compare(t.ended) > 0 {
			t.ended, t.exit, t.message = m, e.Exit, e.Message
		}
	case RunStopped:
		if t.stopped.isZero() || m.compare(t.stopped) > 0 {
			t.stopped, t.lastText = m, e.Message
		}
	}
}

// addOrder adds an order that was seen.
func (h *History) addOrder(e *Event, m moment) {
	if e.Order == nil || e.Order.ID == "" {
		return
	}
	o := h.order(e.Order.ID, m)
	o.url, o.account = least(o.url, e.Order.URL), least(o.account, h.text(e.Account))
	for _, id := range e.Order.Identifiers {
		h.identify(o, id)
	}
	o.expire(e.Order.Expires)
	o.status.join(fate{h.text(e.Order.Status), m}, orderRank)
	for _, url := range e.Order.Authorizations {
		if l := h.life(url, m); l != nil {
			l.account = least(l.account, h.text(e.Account))
			o.has(l.url)
		}
	}
}

// order returns the order with an ID, nil if that is empty.
func (h *History) order(id string, m moment) *order {
	if id == "" {
		return nil
	}
	o := h.orders[id]
	if o == nil {
		o = &order{id: h.text(id)}
		h.orders[o.id] = o
	}
	o.first.earlier(m)
	o.last.later(m)
	return o
}

// identify notes that an order is for an identifier.
func (h *History) identify(o *order, id Identifier) {
	i, ok := slices.BinarySearchFunc(o.identifiers, id, compareIdentifiers)
	if !ok {
		o.identifiers = slices.Insert(o.identifiers, i, Identifier{h.text(id.Type), h.text(id.Value)})
	}
}

func compareIdentifiers(a, b Identifier) int {
	return cmp.Or(strings.Compare(a.Value, b.Value), strings.Compare(a.Type, b.Type))
}

// least returns the lesser of two texts that are not empty: what two logs say of the same may differ, and which was read
// first must not matter.
func least(a, b string) string {
	if a == "" || b != "" && b < a {
		return b
	}
	return a
}

// has notes that an authorization belongs to the order.
func (o *order) has(url string) {
	if o.authorizations == nil {
		o.authorizations = make(map[string]bool)
	}
	o.authorizations[url] = true
}

// life returns the authorization with a URL, nil if there are too many.
func (h *History) life(url string, m moment) *life {
	l := h.lives[url]
	if l == nil {
		if h.MaxAuthorizations > 0 && len(h.lives) >= h.MaxAuthorizations {
			h.dropped++
			return nil
		}
		l = &life{url: strings.Clone(url)}
		h.lives[l.url] = l
	}
	l.see(m)
	return l
}

func (l *life) see(m moment) {
	l.first.earlier(m)
	l.last.later(m)
}

// name returns the authorization of an order whose name is known, but not its URL.
func (o *order) name(id Identifier, m moment) *life {
	l := o.names[id]
	if l == nil {
		if o.names == nil {
			o.names = make(map[Identifier]*life)
		}
		l = &life{identifier: id}
		l.identifier.Value, l.wildcard = strings.CutPrefix(id.Value, "*.")
		o.names[id] = l
	}
	l.see(m)
	return l
}

// addAuthorization adds an authorization that was seen, or is told by a challenge.
func (h *History) addAuthorization(e *Event, m moment) {
	a := e.Authorization
	if a == nil {
		return
	}
	o := h.order(a.Order, m)
	var l *life
	switch {
	case a.URL != "":
		if l = h.life(a.URL, m); l != nil && o != nil {
			o.has(l.url)
		}
	case o != nil && a.Identifier.Value != "":
		id := a.Identifier
		if a.Wildcard {
			id.Value = "*." + id.Value
		}
		l = o.name(id, m)
	}
	if l == nil {
		return
	}
	l.add(h, e, m)
}

// add adds what an event says about the authorization.
func (l *life) add(h *History, e *Event, m moment) {
	a := e.Authorization
	l.name(h, a.Identifier)
	l.wildcard = l.wildcard || a.Wildcard
	l.account = least(l.account, h.text(e.Account))
	status := a.Status
	switch {
	case e.Kind == AuthorizationDeactivated:
		status = "deactivated"
	case e.Kind == ChallengeAnswered:
		l.answered.earlier(m)
		status = ""
	}
	l.status.join(fate{h.text(status), m}, rank)
	if rank(status) < 2 {
		l.expire(a.Expires)
	}
	l.fail(a.Problem, m)
}

// name notes what the authorization is for.
func (l *life) name(h *History, id Identifier) {
	if id.Value != "" && (l.identifier.Value == "" || id.Value < l.identifier.Value) {
		l.identifier = Identifier{h.text(id.Type), h.text(id.Value)}
	}
}

// expire notes when the authorization expires: the latest of what was said.
func (l *life) expire(t time.Time) {
	if t.After(l.expires) {
		l.expires = t
	}
}

func (o *order) expire(t time.Time) {
	if t.After(o.expires) {
		o.expires = t
	}
}

// fail notes what the CA said of a challenge first.
func (l *life) fail(p *Problem, m moment) {
	if p != nil && (l.problem == nil || m.compare(l.problemAt) < 0) {
		l.problem, l.problemAt = p, m
	}
}

// addTrouble adds a failure or a problem.
func (h *History) addTrouble(e *Event, m moment) {
	t := trouble{moment: m, cause: e.Cause, text: e.Message}
	if p := e.Problem; p != nil {
		t.cause, t.text = problemCause(p), problemText(p)
	}
	if e.Order != nil {
		t.order = h.text(e.Order.ID)
	}
	if a := e.Authorization; a != nil {
		t.identifier, t.url = a.Identifier, a.URL
		if t.order == "" {
			t.order = h.text(a.Order)
		}
		if a.URL != "" || a.Identifier.Value != "" && a.Order != "" {
			h.addAuthorization(&Event{Kind: AuthorizationSeen, Authorization: a, Account: e.Account}, m)
		}
	}
	m.run.fail(t)
}

// fail keeps t if it is among the first.
func (r *track) fail(t trouble) {
	i := 0
	for i < len(r.trouble) && t.compare(r.trouble[i]) > 0 {
		i++
	}
	if i < len(r.trouble) && t.compare(r.trouble[i]) == 0 || i >= maxTrouble {
		return
	}
	r.trouble = append(r.trouble, trouble{})
	copy(r.trouble[i+1:], r.trouble[i:])
	r.trouble[i] = t
	r.trouble = r.trouble[:min(len(r.trouble), maxTrouble)]
}

// compare orders troubles by moment, and then by what they say.
func (t trouble) compare(o trouble) int {
	return cmp.Or(t.moment.compare(o.moment), strings.Compare(t.text, o.text), strings.Compare(t.identifier.Value, o.identifier.Value),
		strings.Compare(string(t.cause), string(o.cause)), strings.Compare(t.order, o.order), strings.Compare(t.url, o.url))
}

// problemCause returns what a problem that the CA answered with is the cause of, "" if the client repeats such requests.
func problemCause(p *Problem) Cause {
	switch strings.TrimPrefix(p.Type, "urn:ietf:params:acme:error:") {
	case "badNonce":
		return ""
	case "rateLimited":
		return CauseRateLimited
	}
	if p.Status == 429 {
		return CauseRateLimited
	}
	return CauseRefused
}

// problemText returns a problem as a line.
func problemText(p *Problem) string {
	kind := strings.TrimPrefix(p.Type, "urn:ietf:params:acme:error:")
	return strings.Trim(kind+": "+p.Detail, ": ")
}
