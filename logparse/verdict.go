package logparse

import (
	"cmp"
	"iter"
	"maps"
	"slices"
	"strings"
	"time"
)

// A Verdict says what became of an authorization.
type Verdict string

// The verdicts.
const (
	// Leaked: pending when last seen, not expired, and nobody works on it any more.
	Leaked Verdict = "leaked"

	// Valid and Invalid: the CA has decided.
	Valid   Verdict = "valid"
	Invalid Verdict = "invalid"

	// Deactivated: by the client, or revoked by the CA. If another client deactivated what the one that asked for it had left
	// pending, it has a cause, as if leaked.
	Deactivated Verdict = "deactivated"

	// Expired: pending when last seen, and its time is over; or the CA said so. It has a cause, as if leaked.
	Expired Verdict = "expired"

	// InProgress: its run has not ended, as far as the log goes, and is recent.
	InProgress Verdict = "in progress"

	// Unknown: the log has no status, or the client answered a challenge and did not read what the CA made of that: most
	// CAs decide within seconds, with or without the client; step-ca leaves it pending if the answer was wrong.
	Unknown Verdict = "unknown"
)

// A Life is what the logs tell of one authorization. What they do not tell is zero.
type Life struct {
	// URL is the authorization's. It is empty if the client logs names only.
	URL string

	// Identifier is what it is for, without "*." for a wildcard. It may be empty if the client logs URLs only: then it is
	// for one of Names, those of the order.
	Identifier Identifier
	Wildcard   bool
	Names      []string

	// Order is the ID of the order that it was last seen in first, and OrderURL its URL, if that is logged.
	Order, OrderURL string

	Account string
	Client  string
	Host    string
	Unit    string
	Run     *Run // where it was first seen; nil outside any

	FirstSeen, LastSeen time.Time
	First, Last         Place
	Expires             time.Time // as long as it is pending
	Status              string    // the last one that is known
	StatusAt            Place
	Answered            time.Time // when a challenge was answered last; zero if none was, or the log has no times
	IsAnswered          bool

	Verdict  Verdict
	Cause    Cause      // of Leaked and Expired, and of Deactivated by another client
	Blame    Identifier // the name that failed, if one did
	Evidence []Evidence // what proves the cause

	statusTime time.Time
}

// Over reports whether nothing can change for the authorization, so that it need not be asked for.
func (l *Life) Over() bool {
	switch l.Verdict {
	case Valid, Invalid, Deactivated, Expired:
		return true
	}
	return false
}

// A Run is one run of a client.
type Run struct {
	Place            // its first line
	Client           string
	Version, Command string
	Host, Unit       string
	PID              int
	Started, Ended   time.Time // zero if it was not logged
	LastSeen         time.Time
	Exit, Message    string // how it ended, see [Event]; of a run without an end, Message is its last line
	HasEnded         bool

	Orders, Authorizations, Leaks int
	Cause                         Cause // of most of its leaks
}

// A snapshot is what follows from the records of a History at some time.
type snapshot struct {
	h      *History
	at     time.Time
	recent time.Duration

	lives   []*Life
	surplus []*Life // names whose URL is not known
	byURL   map[string]*Life
	runs    map[*track]*Run

	all        []*order
	ordersOf   map[*track][]*order
	orderOf    map[string]*order // the last one that an authorization was in, by URL
	neighbours map[neighbourhood][]*order
	latest     map[logKey]*track

	// Found when needed.
	failures   map[*order]*life
	successors map[*order]*order
	troublesOf map[*order][]trouble
}

// A logKey names what one run at a time writes to.
type logKey struct {
	host, client, log, unit string
	pid                     int
}

func (t *track) log() logKey {
	return logKey{t.key.host, t.key.client, parseName(t.key.file).log, t.unit, t.pid}
}

// begun returns when and where the first line of the run is.
func (t *track) begun() moment {
	return moment{t.started.micros, t.key.line, 0, &origin{t.key.file, t}}
}

// defaultRecent is History.Recent if that is zero.
const defaultRecent = time.Hour

// fresh is how long a snapshot as of the present is good for. It takes seconds to make one of millions of authorizations.
const fresh = time.Minute

// look returns the snapshot of the History.
func (h *History) look() *snapshot {
	h.init()
	at := h.At
	if at.IsZero() {
		at = time.Now()
	}
	recent := cmp.Or(h.Recent, defaultRecent)
	if s := h.snapshot; s != nil && s.recent == recent && (s.at.Equal(at) || h.At.IsZero() && at.Sub(s.at).Abs() < fresh) {
		return s
	}
	s := &snapshot{
		h: h, at: at, recent: recent,
		lives: make([]*Life, 0, len(h.lives)), byURL: make(map[string]*Life, len(h.lives)),
		runs: make(map[*track]*Run, len(h.runs)), ordersOf: make(map[*track][]*order, len(h.runs)),
		orderOf: make(map[string]*order, len(h.lives)), neighbours: make(map[neighbourhood][]*order, len(h.orders)),
		latest:   make(map[logKey]*track),
		failures: make(map[*order]*life), successors: make(map[*order]*order),
	}
	s.index()
	for _, l := range h.lives {
		s.add(l)
	}
	for _, o := range s.all {
		s.reconcile(o)
	}
	s.keepSurplus()
	s.judge()
	h.snapshot = s
	return s
}

// index sorts orders and runs.
func (s *snapshot) index() {
	s.all = slices.SortedFunc(maps.Values(s.h.orders), compareOrders)
	for _, o := range s.all {
		r := o.first.run()
		s.ordersOf[r] = append(s.ordersOf[r], o)
		n := o.neighbourhood()
		s.neighbours[n] = append(s.neighbours[n], o)
		for l := range o.authorizations {
			s.orderOf[l.url] = o
		}
	}
	for _, t := range s.h.runs {
		if k := t.log(); t.key.line > 0 && (s.latest[k] == nil || t.begun().compare(s.latest[k].begun()) > 0) {
			s.latest[k] = t
		}
		s.runs[t] = t.run()
	}
}

// run returns the run, nil if there is none.
func (t *track) run() *Run {
	if t.key.line == 0 {
		return nil
	}
	r := &Run{
		Place: Place{File: t.key.file, Line: t.key.line, Offset: t.started.offset}, Client: t.key.client,
		Version: t.version, Command: t.command, Host: t.key.host, Unit: t.unit, PID: t.pid,
		Started: t.started.when(), Ended: t.ended.when(), LastSeen: t.last.when(),
		Exit: t.exit, Message: t.message, HasEnded: !t.ended.isZero(),
	}
	if !r.HasEnded {
		r.Message = t.lastText
	}
	return r
}

// add adds an authorization.
func (s *snapshot) add(l *life) {
	v := s.life(l)
	s.byURL[l.url] = v
	s.lives = append(s.lives, v)
}

// life returns what is known of an authorization by itself.
func (s *snapshot) life(l *life) *Life {
	run := l.first.run()
	return &Life{
		URL: l.url, Identifier: l.identifier, Wildcard: l.wildcard, Account: l.account,
		Client: run.key.client, Host: run.key.host, Unit: run.unit, Run: s.runs[run],
		FirstSeen: l.first.when(), LastSeen: l.last.when(), First: l.first.place(), Last: l.last.place(),
		Expires: date(l.expires), Status: l.status.status, StatusAt: l.status.place(), statusTime: l.status.when(),
		Answered: l.answered.when(), IsAnswered: !l.answered.isZero(),
	}
}

// reconcile works out what an order tells of its authorizations: all are valid if it is ready or further (RFC 8555 §7.1.6);
// and where a client logs names in one place and URLs in another, what follows for those.
func (s *snapshot) reconcile(o *order) {
	urls := s.urlsOf(o)
	names := s.namesOf(o)
	for _, l := range slices.Concat(urls, names) {
		l.Expires = latest(l.Expires, date(o.expires), l.Status)
		if orderRank(o.status.status) >= 2 && o.status.status != "invalid" && rank(l.Status) < 2 {
			l.Status, l.StatusAt, l.statusTime = "valid", o.status.place(), o.status.when()
		}
	}
	if status, ok := common(o, names); ok {
		answered := slices.IndexFunc(names, func(l *Life) bool { return l.IsAnswered })
		for _, l := range urls {
			if l.Status == "" {
				l.Status, l.StatusAt, l.statusTime = status, names[0].StatusAt, names[0].statusTime
				if answered >= 0 { // it may be this one
					l.IsAnswered, l.Answered = true, names[answered].Answered
				}
			}
		}
	}
	s.eliminate(o, urls)
	s.surplus = append(s.surplus, surplus(urls, names)...)
}

// keepSurplus adds the names without URLs, but for those whose authorization another log has: of what a client prints, and
// of its full log beside, one order comes twice.
func (s *snapshot) keepSurplus() {
	if len(s.surplus) == 0 {
		return
	}
	type key struct{ host, client, name string }
	known := make(map[key][]*Life)
	for _, l := range s.lives {
		if k := (key{l.Host, l.Client, l.name()}); l.Identifier.Value != "" {
			known[k] = append(known[k], l)
		}
	}
	for _, l := range s.surplus {
		same := func(o *Life) bool { return l.FirstSeen.IsZero() || o.FirstSeen.Sub(l.FirstSeen).Abs() < sameOrder }
		if !slices.ContainsFunc(known[key{l.Host, l.Client, l.name()}], same) {
			s.lives = append(s.lives, l)
		}
	}
}

// sameOrder is how far apart two logs are in telling of one order.
const sameOrder = time.Minute

// latest returns when an authorization with a status expires, given that of its order.
func latest(expires, order time.Time, status string) time.Time {
	if expires.IsZero() && rank(status) == 1 {
		return order
	}
	return expires
}

// urlsOf returns the authorizations of an order whose URLs are known.
func (s *snapshot) urlsOf(o *order) (all []*Life) {
	for r := range o.authorizations {
		l := s.byURL[r.url]
		if s.orderOf[r.url] == o {
			l.Order, l.OrderURL = o.id, o.url
		}
		all = append(all, l)
	}
	slices.SortFunc(all, func(a, b *Life) int { return strings.Compare(a.URL, b.URL) })
	return all
}

// namesOf returns the authorizations of an order whose names were logged without a URL.
func (s *snapshot) namesOf(o *order) (all []*Life) {
	for _, id := range slices.SortedFunc(maps.Keys(o.names), compareIdentifiers) {
		l := s.life(o.names[id])
		l.Order, l.OrderURL, l.Account = o.id, o.url, cmp.Or(l.Account, o.account)
		all = append(all, l)
	}
	return all
}

// common returns the status of all names of an order, if it is one and the same.
func common(o *order, names []*Life) (status string, ok bool) {
	if len(names) == 0 || len(names) < len(o.identifiers) {
		return "", false
	}
	for _, l := range names {
		if l.Status != names[0].Status {
			return "", false
		}
	}
	return names[0].Status, names[0].Status != ""
}

// eliminate names the one authorization of an order whose identifier is not known, or says which it may be for.
func (s *snapshot) eliminate(o *order, urls []*Life) {
	if !slices.ContainsFunc(urls, func(l *Life) bool { return l.Identifier.Value == "" }) {
		return
	}
	var open []*Life
	rest := make(map[string]bool)
	for _, id := range o.identifiers {
		rest[id.Value] = true
	}
	for _, l := range urls {
		if l.Identifier.Value == "" {
			open = append(open, l)
		}
		delete(rest, l.name())
	}
	names := slices.Sorted(maps.Keys(rest))
	if len(open) == 1 && len(names) == 1 && len(urls) == len(o.identifiers) {
		l := open[0]
		l.Identifier = identifier(names[0])
		l.Identifier.Value, l.Wildcard = strings.CutPrefix(names[0], "*.")
		return
	}
	for _, l := range open {
		l.Names = names
	}
}

// name returns the identifier as an order has it.
func (l *Life) name() string {
	if l.Wildcard {
		return "*." + l.Identifier.Value
	}
	return l.Identifier.Value
}

// surplus returns the names that no URL accounts for: each URL does for the name that it is for, or for one with its status.
func surplus(urls, names []*Life) (left []*Life) {
	if len(urls) >= len(names) {
		return nil
	}
	known, statuses := make(map[string]bool), make(map[string]int)
	for _, l := range urls {
		if l.Identifier.Value != "" {
			known[l.name()] = true
			continue
		}
		statuses[l.Status]++
	}
	for _, l := range names {
		switch {
		case known[l.name()]:
		case statuses[l.Status] > 0:
			statuses[l.Status]--
		default:
			left = append(left, l)
		}
	}
	return left
}

// judge gives the verdicts, and sorts.
func (s *snapshot) judge() {
	for _, l := range s.lives {
		l.Verdict = s.verdict(l)
		if l.Verdict == Leaked || l.Verdict == Expired && rank(l.Status) < 2 || s.settled(l) {
			s.explain(l, s.h.orders[l.Order])
		}
		if l.Run != nil {
			l.Run.Authorizations++
			if l.Verdict == Leaked {
				l.Run.Leaks++
			}
		}
	}
	slices.SortFunc(s.lives, compareLives)
	s.judgeRuns()
}

// compareLives compares by when and where authorizations were first seen, and then by what they are.
func compareLives(a, b *Life) int {
	if c := a.FirstSeen.Compare(b.FirstSeen); c != 0 {
		return c
	}
	if c := comparePlaces(a.First, b.First); c != 0 {
		return c
	}
	return cmp.Or(strings.Compare(a.URL, b.URL), compareIdentifiers(a.Identifier, b.Identifier), strings.Compare(a.Order, b.Order))
}

// judgeRuns counts the orders of the runs, and finds the cause of most leaks of each.
func (s *snapshot) judgeRuns() {
	for t, orders := range s.ordersOf {
		if r := s.runs[t]; r != nil {
			r.Orders = len(orders)
		}
	}
	causes := make(map[*Run]map[Cause]int)
	for _, l := range s.lives {
		if l.Run == nil || l.Verdict != Leaked {
			continue
		}
		if causes[l.Run] == nil {
			causes[l.Run] = make(map[Cause]int)
		}
		causes[l.Run][l.Cause]++
	}
	for r, counts := range causes {
		for c, n := range counts {
			if n > counts[r.Cause] || n == counts[r.Cause] && c < r.Cause {
				r.Cause = c
			}
		}
	}
}

// verdict says what became of an authorization.
func (s *snapshot) verdict(l *Life) Verdict {
	switch l.Status {
	case "valid":
		return Valid
	case "invalid":
		return Invalid
	case "deactivated", "revoked":
		return Deactivated
	case "expired":
		return Expired
	}
	switch {
	case l.Status != "" && !l.Expires.IsZero() && !l.Expires.After(s.at):
		return Expired
	case s.working(l):
		return InProgress
	case l.Status == "" || l.IsAnswered:
		return Unknown
	}
	return Leaked
}

// settled reports whether another client than the one that asked for an authorization deactivated it, and nothing says that
// it was more than pending until then.
func (s *snapshot) settled(l *Life) bool {
	r := s.h.lives[l.URL]
	if r == nil || r.status.status != "deactivated" || r.problem != nil || l.IsAnswered {
		return false
	}
	if l.Client == "" || r.status.run().key.client == l.Client {
		return false
	}
	o := s.h.orders[l.Order]
	return o == nil || orderRank(o.status.status) < 2 || o.status.status == "invalid"
}

// working reports whether somebody is working on an authorization, as far as can be told: its run goes on, and either the
// authorization or its order was seen a short time ago, or nothing was after its order. A server runs for months.
func (s *snapshot) working(l *Life) bool {
	o := s.h.orders[l.Order]
	var last moment
	if r := s.h.lives[l.URL]; r != nil {
		last = r.last
	}
	if o != nil {
		last.later(o.last)
	}
	t := last.run()
	return s.running(t) && (s.isRecent(last) || o != nil && t.key.line != 0 && s.isLast(o, t))
}

// running reports whether a run goes on, as far as can be told.
func (s *snapshot) running(t *track) bool {
	return t != nil && t.ended.isZero() && s.isRecent(t.last) && (t.key.line == 0 || s.latest[t.log()] == t)
}

// ahead is how far the clock of a log may be before ours, by a time zone that is not known.
const ahead = 24 * time.Hour

// isRecent reports whether something was seen a short time ago.
func (s *snapshot) isRecent(m moment) bool {
	if m.micros == 0 {
		return false
	}
	age := s.at.Sub(m.when())
	return -ahead < age && age < s.recent
}

// Lives returns every authorization, by when it was first seen. What is returned is a copy: it does not change with events
// that are added later.
func (h *History) Lives() []*Life { return slices.Clone(h.look().lives) }

// Leaks returns the authorizations whose verdict is Leaked, by when they were first seen.
func (h *History) Leaks() (leaks []*Life) {
	for _, l := range h.look().lives {
		if l.Verdict == Leaked {
			leaks = append(leaks, l)
		}
	}
	return leaks
}

// Life returns the authorization with a URL, and whether it is known.
func (h *History) Life(url string) (*Life, bool) {
	l, ok := h.look().byURL[url]
	return l, ok
}

// Over reports whether the last word of the logs about an authorization is final: a CA need not be asked for it, as a
// status never returns to pending (RFC 8555 §7.1.6).
func (h *History) Over(url string) bool {
	l, ok := h.Life(url)
	return ok && l.Over()
}

// Ask yields the URLs of the authorizations that are worth asking the CA about, by when they were first seen: all but those
// that are over.
func (h *History) Ask() iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, l := range h.look().lives {
			if l.URL != "" && !l.Over() && !yield(l.URL) {
				return
			}
		}
	}
}

// Runs returns the runs, by when they started.
func (h *History) Runs() []*Run {
	s := h.look()
	var runs []*Run
	for _, r := range s.runs {
		if r != nil {
			runs = append(runs, r)
		}
	}
	slices.SortFunc(runs, func(a, b *Run) int {
		return cmp.Or(a.Started.Compare(b.Started), comparePlaces(a.Place, b.Place), strings.Compare(a.Host, b.Host),
			strings.Compare(a.Client, b.Client))
	})
	return runs
}
