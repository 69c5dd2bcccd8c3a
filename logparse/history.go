package logparse

import (
	"cmp"
	"math"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
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
// Memory grows with authorizations, orders and runs, by about 530 bytes for each authorization with a URL and a name of usual
// length, not with the logs; while there are queries, by as much again. What one record holds is bounded: strings of 1 KiB, the
// first 20 failures that are known to be of an order, the first 1000 others of a run, the first 16,384 places of lines of an
// unknown shape. A History must not be used by several goroutines at once.
type History struct {
	// At is the time as of which verdicts are given. If zero, it is the time of the call.
	At time.Time

	// Recent is for how long after its last line a run without an end is taken to be running. If zero, it is one hour:
	// more than clients wait for DNS, and less than anybody waits for a report.
	Recent time.Duration

	// MaxAuthorizations limits memory: authorizations beyond it are only counted, in [Summary].Dropped, orders and runs
	// beyond that number are not told apart, and files are not counted. Which ones they are depends on the order of events. If zero, there is no limit.
	MaxAuthorizations int

	texts    map[string]string // each text that many records have, once
	lives    map[string]*life  // by URL
	orders   map[string]*order // by ID
	runs     map[runKey]*track
	files    map[string]bool
	names    int // authorizations whose URL is not known
	unknown  unrecognized
	dropped  int
	lastFile string // of the event before
	lastRun  *track
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
	expires     int64    // of the last status that is not final
	answered    moment   // zero if no challenge was answered
	problem     *refusal // of a challenge
}

// A refusal is what the CA said of a challenge that failed.
type refusal struct {
	moment
	text string
}

// An order is what is known of an order.
type order struct {
	id, url        string
	account        string
	identifiers    []Identifier // sorted
	authorizations map[*life]struct{}
	names          map[Identifier]*life // authorizations whose URL the log does not tell beside the name
	first, last    moment
	status         fate
	expires        int64
	trouble        []trouble
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
	trouble          []trouble // of no order that the log names
	nonce            trouble   // the last request that was refused for its nonce, as happens
	origin           *origin   // the last one
	origins          map[string]*origin
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
	newOrder   bool // the answer to a request for another order: it is of none that is there
}

// How many troubles are kept: the first of an order, and the first of a run of which the log does not say the order.
const (
	maxOrderTrouble = 20
	maxRunTrouble   = 1000
)

// A moment is when and where something was seen. It is small, as each authorization has several.
type moment struct {
	micros       int64 // since 1970; zero without a time
	line, offset int64
	origin       *origin
}

// An origin is a run, and a file that it is in.
type origin struct {
	file string
	run  *track
}

func (m moment) isZero() bool { return m.origin == nil }

// run returns the run that something was seen in, nil for the zero moment.
func (m moment) run() *track {
	if m.origin == nil {
		return nil
	}
	return m.origin.run
}

func (m moment) when() time.Time { return date(m.micros) }

func (m moment) place() Place {
	if m.origin == nil {
		return Place{}
	}
	return Place{m.origin.file, m.line, m.offset}
}

// micros returns a time as moments have it: zero for what is none, and for years that no calendar or JSON has.
func micros(t time.Time) int64 {
	if t = t.UTC(); t.IsZero() || t.Year() < 1 || t.Year() > 9999 {
		return 0
	}
	return t.UnixMicro()
}

// date is the reverse of micros.
func date(micros int64) time.Time {
	if micros == 0 {
		return time.Time{}
	}
	return time.UnixMicro(micros).UTC()
}

// moment returns the moment of an event in the run.
func (t *track) moment(h *History, when time.Time, p Place) moment {
	if t.origin == nil || t.origin.file != p.File {
		t.origin = t.originOf(h.text(p.File))
	}
	return moment{micros(when), p.Line, p.Offset, t.origin}
}

func (t *track) originOf(file string) *origin {
	s := t.origins[file]
	if s == nil {
		if t.origins == nil {
			t.origins = make(map[string]*origin, 1)
		}
		s = &origin{file, t}
		t.origins[file] = s
	}
	return s
}

// compare orders moments by time, then by place. Those without a time come before all others.
func (m moment) compare(o moment) int {
	switch {
	case m.micros != o.micros:
		return cmp.Compare(m.order(), o.order())
	case m.origin == o.origin:
		return cmp.Or(cmp.Compare(m.line, o.line), cmp.Compare(m.offset, o.offset))
	case m.origin == nil || o.origin == nil:
		return cmp.Compare(b2i(m.origin != nil), b2i(o.origin != nil))
	}
	// Machines have files of the same name.
	return cmp.Or(strings.Compare(m.origin.file, o.origin.file), cmp.Compare(m.line, o.line), cmp.Compare(m.offset, o.offset),
		m.origin.run.key.compare(o.origin.run.key))
}

// order returns a number that is the lower the earlier m is.
func (m moment) order() int64 {
	if m.micros == 0 {
		return math.MinInt64
	}
	return m.micros
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

func comparePlaces(a, b Place) int {
	return cmp.Or(strings.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Offset, b.Offset))
}

// earlier makes m the earlier of the two, where one with a time comes before one without.
func (m *moment) earlier(o moment) {
	switch {
	case o.isZero():
	case m.isZero():
		*m = o
	case (m.micros == 0) != (o.micros == 0):
		if m.micros == 0 {
			*m = o
		}
	case o.compare(*m) < 0:
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

// Add adds an event. It keeps copies of what it needs.
func (h *History) Add(e Event) {
	h.init()
	h.snapshot = nil
	if e.File != "" && e.File != h.lastFile {
		h.lastFile = h.text(e.File)
		h.addFile(h.lastFile)
	}
	if e.Kind == LinesUnrecognized {
		h.unknown.add(Unrecognized{Place{h.text(e.File), e.Line, e.Offset}, max(e.Lines, 1)})
		return
	}
	t := h.track(&e)
	m := t.moment(h, e.Time, e.Place)
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

// addFile notes a file of which something is known, unless there are too many.
func (h *History) addFile(name string) {
	if h.MaxAuthorizations <= 0 || len(h.files) < h.MaxAuthorizations {
		h.files[name] = true
	}
}

func (h *History) init() {
	if h.lives == nil {
		h.texts, h.files = make(map[string]string), make(map[string]bool)
		h.lives, h.orders = make(map[string]*life), make(map[string]*order)
		h.runs = make(map[runKey]*track)
	}
}

// status is text for a status: most are of a few.
func (h *History) status(s string) string {
	switch s {
	case "pending":
		return "pending"
	case "valid":
		return "valid"
	}
	return h.text(s)
}

// maxRecordText is the longest text of a record, in bytes.
const maxRecordText = 1024

// text returns the copy of s that all records share.
func (h *History) text(s string) string {
	if s == "" {
		return ""
	}
	if t, ok := h.texts[s]; ok {
		return t
	}
	s = tidy(s)
	if t, ok := h.texts[s]; ok {
		return t
	}
	h.texts[s] = s
	return s
}

// tidy returns a copy of s, which may be a piece of something bigger: no more than maxRecordText of it, and valid UTF-8, so that
// JSON holds all of it.
func tidy(s string) string {
	if len(s) > maxRecordText {
		s = s[:maxRecordText]
		for i := 1; i < utf8.UTFMax; i++ {
			if utf8.RuneStart(s[len(s)-i]) {
				if !utf8.FullRuneInString(s[len(s)-i:]) {
					s = s[:len(s)-i]
				}
				break
			}
		}
	}
	if !utf8.ValidString(s) {
		return strings.ToValidUTF8(s, "?")
	}
	return strings.Clone(s)
}

// track returns the run that an event is in, or what stands for it.
func (h *History) track(e *Event) *track {
	k := runKey{host: e.Host, client: e.Client, file: e.Run.File, line: e.Run.Line}
	if k.line == 0 {
		k.file, k.unit, k.pid = e.File, e.Unit, e.PID
	}
	t := h.trackOf(k)
	if e.Unit != t.unit {
		t.unit = least(t.unit, h.text(e.Unit))
	}
	t.pid = max(t.pid, e.PID)
	return t
}

// add adds the start or the end of the run.
func (t *track) add(e *Event, m moment) {
	switch e.Kind {
	case RunStarted:
		t.started.earlier(m)
		t.version, t.command = least(t.version, tidy(e.Version)), least(t.command, tidy(e.Command))
	case RunEnded:
		exit, message := tidy(e.Exit), tidy(e.Message)
		if t.ended.isZero() || cmp.Or(m.compare(t.ended), strings.Compare(exit, t.exit), strings.Compare(message, t.message)) > 0 {
			t.ended, t.exit, t.message = m, exit, message
		}
	case RunStopped:
		text := tidy(e.Message)
		if t.stopped.isZero() || cmp.Or(m.compare(t.stopped), strings.Compare(text, t.lastText)) > 0 {
			t.stopped, t.lastText = m, text
		}
	}
}

// addOrder adds an order that was seen.
func (h *History) addOrder(e *Event, m moment) {
	if e.Order == nil {
		return
	}
	account := h.text(e.Account)
	o := h.order(e.orderID(e.Order.ID), m)
	if o != nil {
		if e.Order.URL != o.url {
			o.url = least(o.url, h.text(e.Order.URL))
		}
		o.account = least(o.account, account)
		h.identify(o, e.Order.Identifiers)
		o.expire(e.Order.Expires)
		o.status.join(fate{h.status(e.Order.Status), m}, orderRank)
		if o.authorizations == nil && len(e.Order.Authorizations) > 0 {
			o.authorizations = make(map[*life]struct{}, len(e.Order.Authorizations))
		}
	}
	for _, url := range e.Order.Authorizations {
		if l := h.life(url, m); l != nil {
			l.account = least(l.account, account)
			o.has(l)
		}
	}
}

// orderID returns what names an order among those of all hosts. A URL does; what a parser makes up instead is unique in the
// logs of one.
func (e *Event) orderID(id string) string {
	if id == "" || e.Host == "" || isURL(id) {
		return id
	}
	return e.Host + ": " + id
}

// order returns the order with an ID, nil if that is empty or there are too many.
func (h *History) order(id string, m moment) *order {
	if id == "" {
		return nil
	}
	o := h.orders[id]
	if o == nil {
		id = h.text(id)
		o = h.orders[id]
	}
	if o == nil {
		if h.MaxAuthorizations > 0 && len(h.orders) >= h.MaxAuthorizations {
			h.dropped++
			return nil
		}
		o = &order{id: id}
		h.orders[id] = o
	}
	o.first.earlier(m)
	o.last.later(m)
	return o
}

// identify notes that an order is for identifiers. Most often it is known to be.
func (h *History) identify(o *order, ids []Identifier) {
	known := len(o.identifiers)
	if known == 0 {
		o.identifiers = make([]Identifier, 0, len(ids))
	}
	for _, id := range ids {
		if _, ok := slices.BinarySearchFunc(o.identifiers[:known], id, compareIdentifiers); !ok {
			o.identifiers = append(o.identifiers, Identifier{h.text(id.Type), h.text(id.Value)})
		}
	}
	if len(o.identifiers) > known {
		slices.SortFunc(o.identifiers, compareIdentifiers)
		o.identifiers = slices.Clip(slices.Compact(o.identifiers))
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

// has notes that an authorization belongs to the order, which may be nil.
func (o *order) has(l *life) {
	if o == nil {
		return
	}
	if o.authorizations == nil {
		o.authorizations = make(map[*life]struct{})
	}
	o.authorizations[l] = struct{}{}
}

// life returns the authorization with a URL, nil if there are too many.
func (h *History) life(url string, m moment) *life {
	l := h.lives[url]
	if l == nil {
		url = tidy(url)
		l = h.lives[url]
	}
	if l == nil {
		if h.full() {
			return nil
		}
		l = &life{url: url}
		h.lives[url] = l
	}
	l.see(m)
	return l
}

// full reports whether there are too many authorizations for another one, and counts that if so.
func (h *History) full() bool {
	if h.MaxAuthorizations <= 0 || len(h.lives)+h.names < h.MaxAuthorizations {
		return false
	}
	h.dropped++
	return true
}

func (l *life) see(m moment) {
	l.first.earlier(m)
	l.last.later(m)
}

// name returns the authorization of an order whose name is known, but not its URL. It is nil if there are too many.
func (h *History) name(o *order, id Identifier, wildcard bool, m moment) *life {
	value, star := unstar(h.text(id.Value))
	wildcard = wildcard || star
	id = Identifier{h.text(id.Type), value}
	if wildcard {
		id.Value = h.text("*." + value)
	}
	l := o.names[id]
	if l == nil {
		if h.full() {
			return nil
		}
		if o.names == nil {
			o.names = make(map[Identifier]*life)
		}
		l = &life{identifier: Identifier{id.Type, value}, wildcard: wildcard}
		o.names[id] = l
		h.names++
	}
	l.see(m)
	return l
}

// unstar returns what a name is for, and whether it is a wildcard.
func unstar(name string) (value string, star bool) {
	for strings.HasPrefix(name, "*.") {
		name, star = name[len("*."):], true
	}
	return name, star
}

// addAuthorization adds an authorization that was seen, or is told by a challenge.
func (h *History) addAuthorization(e *Event, m moment) {
	a := e.Authorization
	if a == nil {
		return
	}
	o := h.order(e.orderID(a.Order), m)
	var l *life
	switch {
	case a.URL != "":
		if l = h.life(a.URL, m); l != nil {
			o.has(l)
		}
	case o != nil && a.Identifier.Value != "":
		l = h.name(o, a.Identifier, a.Wildcard, m)
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
	if e.Account != l.account {
		l.account = least(l.account, h.text(e.Account))
	}
	status := a.Status
	switch {
	case e.Kind == AuthorizationDeactivated:
		status = "deactivated"
	case e.Kind == ChallengeAnswered:
		l.answered.later(m)
		status = ""
	}
	l.status.join(fate{h.status(status), m}, rank)
	if rank(status) < 2 {
		l.expire(a.Expires)
	}
	if a.Problem != nil {
		l.fail(refusal{m, tidy(problemText(a.Problem))})
	}
}

// name notes what the authorization is for.
func (l *life) name(h *History, id Identifier) {
	if id.Value == "" || id == l.identifier {
		return
	}
	value, star := unstar(id.Value)
	id.Value, l.wildcard = value, l.wildcard || star
	if id = (Identifier{h.text(id.Type), h.text(id.Value)}); l.identifier.Value == "" || compareIdentifiers(id, l.identifier) < 0 {
		l.identifier = id
	}
}

// expire notes when the authorization expires: the latest of what was said.
func (l *life) expire(t time.Time) { l.expires = max(l.expires, micros(t)) }

func (o *order) expire(t time.Time) { o.expires = max(o.expires, micros(t)) }

// fail notes what the CA said of a challenge first.
func (l *life) fail(r refusal) {
	if l.problem == nil || cmp.Or(r.compare(l.problem.moment), strings.Compare(r.text, l.problem.text)) < 0 {
		l.problem = &r
	}
}

// addTrouble adds a failure or a problem.
func (h *History) addTrouble(e *Event, m moment) {
	t := trouble{moment: m, cause: e.Cause, text: e.Message}
	if p := e.Problem; p != nil {
		t.cause, t.text, t.newOrder = problemCause(p), problemText(p), asksForOrder(p.URL)
	}
	if e.Order != nil {
		t.order = e.orderID(e.Order.ID)
	}
	if a := e.Authorization; a != nil {
		t.identifier, t.url = a.Identifier, a.URL
		if t.order == "" {
			t.order = e.orderID(a.Order)
		}
		if a.URL != "" || a.Identifier.Value != "" && a.Order != "" {
			h.addAuthorization(&Event{Kind: AuthorizationSeen, Authorization: a, Account: e.Account, Host: e.Host}, m)
		}
	}
	t.newOrder = t.newOrder && t.order == "" && t.url == ""
	if o := h.order(t.order, m); o != nil && t.cause != "" {
		h.keep(&o.trouble, t, maxOrderTrouble)
		return
	}
	h.fail(m.run(), t)
}

// fail keeps t if it is among the first of a run. Of requests that are refused for their nonce the last is enough.
func (h *History) fail(r *track, t trouble) {
	switch {
	case t.cause != "":
		h.keep(&r.trouble, t, maxRunTrouble)
	case r.nonce.isZero() || t.compare(r.nonce) > 0:
		r.nonce = h.own(t)
	}
}

// keep inserts t in a sorted list of the first limit troubles.
func (h *History) keep(list *[]trouble, t trouble, limit int) {
	i, ok := slices.BinarySearchFunc(*list, t, trouble.compare)
	if ok || i >= limit {
		return
	}
	if len(*list) == limit {
		*list = (*list)[:limit-1]
	}
	*list = slices.Insert(*list, i, h.own(t))
}

// own returns t with copies of its strings.
func (h *History) own(t trouble) trouble {
	t.cause, t.text = Cause(h.text(string(t.cause))), tidy(t.text)
	t.order, t.url = h.text(t.order), tidy(t.url)
	t.identifier = Identifier{h.text(t.identifier.Type), h.text(t.identifier.Value)}
	return t
}

// asksForOrder reports whether a request to a URL is for a new order, as far as names of the common CAs tell.
func asksForOrder(url string) bool {
	last := strings.ToLower(strings.ReplaceAll(url[strings.LastIndexByte(url, '/')+1:], "-", ""))
	return last == "neworder" || last == "orderplz"
}

// compare orders troubles by moment, and then by what they say.
func (t trouble) compare(o trouble) int {
	return cmp.Or(t.moment.compare(o.moment), strings.Compare(t.text, o.text), strings.Compare(t.identifier.Value, o.identifier.Value),
		strings.Compare(string(t.cause), string(o.cause)), strings.Compare(t.order, o.order), strings.Compare(t.url, o.url),
		strings.Compare(t.identifier.Type, o.identifier.Type), cmp.Compare(b2i(t.newOrder), b2i(o.newOrder)))
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
