package logparse

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
)

// A parser reads the output of one client.
type parser interface {
	// line reads the next line, without its end, its carrier and colours. It reports whether it knows its shape. What it
	// keeps of text it must copy.
	line(s *stream, text []byte) bool
}

// A finisher is a parser that may hold something back until it knows what follows.
type finisher interface {
	// finish tells what was held back: the log ends, or another client's output follows.
	finish(s *stream)
}

// A stream is the output of one process, or what must be taken for it. Parsers tell it what they find.
type stream struct {
	*teller
	key  string
	last int64 // count of its last line

	client  string
	writer  *client // which may be one of several by that name
	parser  parser
	partial []byte // the start of a line whose end is in the next payloads

	// Where the line at hand stands, and who wrote it.
	at         Place
	host, unit string
	pid        int

	clock   clock
	account string
	run     run

	// open is set while a record goes on in the lines that follow.
	open   bool
	opened Place           // its first line
	loose  []looseSighting // in records that are not complete

	unknown struct {
		first Place
		lines int64
	}

	exchange   exchange
	lastDate   string
	order      *Order // the one that the client works on, where the parser keeps it
	telling    telling
	keepAll    bool  // challenges has also those that tell
	challenges index // URLs of authorizations by those of their challenges: at most CAs these do not tell
	orders     index // URLs of orders by those to finalize them
	doc        literal
}

// A run is the run of a client that a stream is in.
type run struct {
	place            Place
	when             instant
	version, command string
	pid              int
	told, ended      bool

	lastAt   Place
	lastWhen instant
	lastText []byte
}

// A looseSighting is a sighting whose URL is in no event yet.
type looseSighting struct {
	url     string
	at      Place
	when    instant
	account string // that signed the request in which it stands, if that was logged
}

const (
	maxLoose  = 4096     // mentions in one record
	maxRecord = 1 << 20  // bytes of a record that is kept
	maxMark   = 256      // bytes of the last line of a run
	maxDetail = 1 << 10  // bytes of Event.Message and Problem.Detail
	maxText   = 64 << 10 // bytes of a command line
)

func newStream(t *teller, key string) *stream {
	s := &stream{teller: t, key: key, clock: clock{loc: t.location()}}
	if key == "" && t.expected != nil {
		s.writeAs(t.expected)
	}
	return s
}

// writeAs takes what follows for the output of a client.
func (s *stream) writeAs(c *client) { s.writer, s.client, s.parser = c, c.name, c.parser() }

// feed reads a payload.
func (s *stream) feed(p *payload) {
	text := p.text
	if len(s.partial) > 0 || p.partial {
		if len(s.partial)+len(text) <= maxRecord {
			s.partial = append(s.partial, text...)
		}
		if p.partial {
			return
		}
		text = s.partial
		s.sightings = s.scan(text)
		s.partial = s.partial[:0]
	}
	s.at = s.place
	s.host, s.unit, s.pid = cmp.Or(p.host, s.teller.host), p.unit, p.pid
	if !p.time.IsZero() {
		s.clock.carried(p.time)
	}
	s.line(text)
	switch {
	case !s.open:
		s.opened = Place{}
	case s.opened.Line == 0:
		s.opened = s.at
	}
	s.mention()
}

// line hands a line to the parser of its client.
func (s *stream) line(text []byte) {
	if s.parser != nil && s.parser.line(s, text) {
		s.recognized()
		return
	}
	if s.detect(text) && s.parser.line(s, text) {
		s.recognized()
		return
	}
	if len(text) == 0 {
		return
	}
	if s.unknown.lines == 0 {
		s.unknown.first = s.at
	}
	s.unknown.lines++
}

// detect finds the client that wrote text, if it is another than the one so far.
func (s *stream) detect(text []byte) bool {
	for i := range clients {
		c := &clients[i]
		if c != s.writer && c.starts(text) {
			sightings := s.sightings // in this line, which is the new client's
			s.finish()
			s.sightings = sightings
			s.writeAs(c)
			return true
		}
	}
	return false
}

// recognized tells of the lines before that were not.
func (s *stream) recognized() {
	if s.unknown.lines == 0 || s.goesOn {
		return
	}
	e := Event{Kind: LinesUnrecognized, Place: s.unknown.first, Lines: s.unknown.lines}
	s.unknown.lines = 0
	s.tell(e)
}

// mention keeps the URLs in the line at hand, and tells of those that no event has, unless the record goes on.
func (s *stream) mention() {
	for _, m := range s.sightings {
		if len(s.loose) < maxLoose || !s.open {
			s.loose = append(s.loose, looseSighting{url: m.url, at: s.at, when: s.clock.instant()})
		}
	}
	if s.open && len(s.loose) < maxLoose || len(s.loose) == 0 {
		return
	}
	for _, m := range s.loose {
		if !s.known.hasString(m.url) {
			s.emit(Event{
				Kind: AuthorizationSeen, Place: m.at, Time: s.clock.time(m.when), Account: m.account,
				Authorization: &Authorization{URL: m.url},
			})
		}
	}
	s.loose = s.loose[:0]
}

// emit tells an event. What the event leaves open is filled in: place, time, client, account, process, run.
func (s *stream) emit(e Event) {
	s.tellRun()
	e.Run = s.run.place
	e.PID = cmp.Or(e.PID, s.pid, s.run.pid)
	s.tell(e)
}

// tell is emit for an event outside any run.
func (s *stream) tell(e Event) {
	if e.Line == 0 {
		e.Place = s.at
	}
	if e.Time.IsZero() {
		e.Time = s.clock.now()
	}
	e.Client = s.client
	e.Account = cmp.Or(e.Account, s.account)
	e.Host, e.Unit, e.PID = s.host, s.unit, cmp.Or(e.PID, s.pid)
	s.note(&e)
	s.events = append(s.events, e)
}

// note remembers the URLs that an event has.
func (s *stream) note(e *Event) {
	if e.Authorization != nil && e.Authorization.URL != "" {
		s.known.addString(e.Authorization.URL)
	}
	if e.Order != nil {
		for _, url := range e.Order.Authorizations {
			s.known.addString(url)
		}
	}
}

// startRun notes that the client starts in the line at hand. It is told before the first event of the run, when the zone
// of the times may be known.
func (s *stream) startRun(version, command string) {
	if s.run.place != s.at || s.run.told { // else startFirstRun started one, only just
		s.leaveRun()
	}
	s.run = run{
		place: s.at, when: s.clock.instant(), version: clip(version, maxDetail), command: clip(command, maxText), pid: s.pid,
		lastText: s.run.lastText[:0],
	}
	s.order, s.account = nil, ""
	s.exchange.drop()
}

// startRunUnlessFresh starts a run unless one has started in which nothing happened yet, for clients whose first line may
// be any of several.
func (s *stream) startRunUnlessFresh() {
	if s.run.place.Line == 0 || s.run.told {
		s.startRun("", "")
	}
}

// startFirstRun starts a run unless there was one: the log starts within it, or the client does not tell.
func (s *stream) startFirstRun() {
	if s.run.place.Line == 0 {
		s.startRun("", "")
	}
}

// tellRun tells that the run started, if there is one and that was not told.
func (s *stream) tellRun() {
	if s.run.place.Line == 0 || s.run.told {
		return
	}
	s.run.told = true
	s.emit(Event{
		Kind: RunStarted, Place: s.run.place, Time: s.clock.time(s.run.when),
		Version: s.run.version, Command: s.run.command, PID: s.run.pid,
	})
}

// leaveRun tells the last that is known of the run: another one starts, or the log ends.
func (s *stream) leaveRun() {
	if !s.goesOn {
		s.exchange.abandon(s)
	}
	if s.tellRun(); s.run.place.Line > 0 && !s.run.ended && s.run.lastAt.Line > 0 {
		s.emit(Event{Kind: RunStopped, Place: s.run.lastAt, Time: s.clock.time(s.run.lastWhen), Message: clip(string(s.run.lastText), maxDetail)})
	}
}

// endRun tells that the client ended: with exit "" if it had success.
func (s *stream) endRun(exit, message string) {
	s.run.ended = true
	s.emit(Event{Kind: RunEnded, Exit: exit, Message: clip(message, maxDetail)})
}

// orderID returns what names the order that the client works on, nil if none is known.
func (s *stream) orderID() *Order {
	if s.order == nil {
		return nil
	}
	return &Order{ID: s.order.ID, URL: s.order.URL}
}

// mark keeps the start of a record: should the run stop without an end, it is the last that is known of it.
func (s *stream) mark(text []byte) {
	s.run.lastAt, s.run.lastWhen = s.at, s.clock.instant()
	s.run.lastText = append(s.run.lastText[:0], text[:min(len(text), maxMark)]...)
}

// fail tells that something went wrong at the client, with one name or, if that is empty, the run.
func (s *stream) fail(cause Cause, message, name string) {
	e := Event{Kind: FailureSeen, Cause: cause, Message: clip(strings.TrimSpace(message), maxDetail)}
	if name != "" {
		e.Authorization = s.named(name, "")
	}
	e.Order = s.orderID()
	s.emit(e)
}

// startOrder tells that the client works on an order for names, whose URL it does not log.
func (s *stream) startOrder(names ...string) {
	s.order = &Order{ID: s.at.String(), Identifiers: identifiers(names)}
	seen := *s.order // parsers add what they learn to theirs
	s.emit(Event{Kind: OrderSeen, Order: &seen})
}

// endOrder tells the status of the order that the client works on.
func (s *stream) endOrder(status string) {
	if s.order == nil {
		return
	}
	s.emit(Event{Kind: OrderSeen, Order: &Order{ID: s.order.ID, URL: s.order.URL, Status: status}})
}

// named returns the authorization for name in the order that the client works on.
func (s *stream) named(name, status string) *Authorization {
	a := &Authorization{Identifier: identifier(name), Status: status}
	a.Identifier.Value, a.Wildcard = strings.CutPrefix(a.Identifier.Value, "*.")
	if s.order != nil {
		a.Order = s.order.ID
	}
	return a
}

// sawName tells the status of the authorization for a name, whose URL the client does not log beside it.
func (s *stream) sawName(name, status string, p *Problem) {
	a := s.named(name, status)
	a.Problem = p
	s.emit(Event{Kind: AuthorizationSeen, Authorization: a})
}

// answeredName tells that a challenge was answered for a name.
func (s *stream) answeredName(name string) {
	s.emit(Event{Kind: ChallengeAnswered, Challenge: new(Challenge), Authorization: s.named(name, "")})
}

// sawURL tells the status of an authorization. It reports false if url is none.
func (s *stream) sawURL(kind Kind, url []byte, status string) bool {
	u := s.authorization(url)
	if u == "" {
		return false
	}
	a := &Authorization{URL: u, Status: status}
	if s.order != nil {
		a.Order = s.order.ID
	}
	s.emit(Event{Kind: kind, Authorization: a})
	return true
}

// finish tells what the parser holds back.
func (s *stream) finish() {
	if f, ok := s.parser.(finisher); ok {
		f.finish(s)
	}
	s.open = false
	s.sightings = nil
	s.mention()
}

// end tells what is left when the log ends.
func (s *stream) end() {
	if len(s.partial) > 0 {
		text := s.partial
		s.sightings, s.partial = s.scan(text), nil
		s.line(text)
		s.mention()
	}
	s.finish()
	s.recognized()
	s.leaveRun()
}

// ordered returns the streams in the order of their last lines.
func (t *teller) ordered() []*stream {
	all := make([]*stream, 0, len(t.streams))
	for _, s := range t.streams {
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b *stream) int { return cmp.Compare(a.last, b.last) })
	return all
}

// endSilent ends the quarter of the streams that have been silent longest.
func (t *teller) endSilent() {
	all := t.ordered()
	for _, s := range all[:len(all)/4] {
		s.end()
		delete(t.streams, s.key)
	}
}

// scan returns the authorizations that are mentioned in a line.
func (t *teller) scan(text []byte) []sighting {
	var found []sighting
	t.scanner.array.open = false
	t.scanner.load(text, 0, false)
	for t.scanner.Scan() {
		found = append(found, sighting{url: string(t.scanner.Match().URL)})
	}
	return found
}

// clip returns a copy of s with at most n bytes.
func clip(s string, n int) string {
	if len(s) > n {
		s = strings.ToValidUTF8(s[:n-len("…")], "") + "…"
	}
	return strings.Clone(s)
}

// identifier returns the identifier that a client calls name.
func identifier(name string) Identifier {
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	if addr, err := netip.ParseAddr(strings.Trim(name, "[]")); err == nil {
		return Identifier{Type: "ip", Value: addr.String()}
	}
	return Identifier{Type: "dns", Value: name}
}

func identifiers(names []string) []Identifier {
	all := make([]Identifier, 0, len(names))
	for _, n := range names {
		if n = strings.TrimSpace(n); n != "" {
			all = append(all, identifier(n))
		}
	}
	return all
}
