package logparse

import (
	"bytes"
	"slices"
	"strings"
	"time"
)

// cert-manager's controller logs as Kubernetes' programs do, without year and zone, or as JSON:
//
//	I1123 21:18:41.123456       1 sync.go:299] "built set of identifiers for Order" logger="cert-manager.controller" resource_name="a-1-2" resource_namespace="x" resource_kind="Order" domains=["a.example"]
//	I1123 21:18:41.123456       1 sync.go:445] "accepting challenge with ACME server" logger="cert-manager.controller.acceptChallenge" resource_name="a-1-2-3" resource_kind="Challenge" dnsName="a.example" type="HTTP-01"
//	E1123 21:18:41.123456       1 sync.go:473] "error waiting for authorization" err="acme: authorization error for a.example: 403 urn:…: detail" logger=… resource_name="a-1-2-3" …
//	E1123 21:18:41.123456       1 controller.go:155] "re-queuing item due to error processing" err="…" logger="cert-manager.controller" key="x/a-1-2-3"
//	E1123 21:18:41.123456       1 sync.go:210] cert-manager/controller/orders "msg"="failed to create Order resource …" "error"="429 urn:…: detail" "resource_kind"="Order" "resource_name"="a-1-2" …
//	{"ts":1795468721123.456,"caller":"acmechallenges/sync.go:445","msg":"…","logger":"cert-manager.controller.acceptChallenge","resource_name":"a-1-2-3",…,"err":"…"}
//
// A value of several lines is between "<" at a line's end and ">" at another's start. At the usual verbosity there are errors
// and few other messages; from 4 on there is each step of an order. The name in a challenge has no "*.". A Challenge is called
// like its Order, with a number behind, unless that would be too long.
//
// From the source of versions 1.9.0, 1.16.0 and 1.22; no recorded log.
type certManager struct {
	held       []byte // a line that goes on, its value being quoted
	at         Place
	young, old map[string]*certManagerObject // by namespace and name
}

// A certManagerObject is an Order, or a Challenge.
type certManagerObject struct {
	order     *Order
	name      string // of a Challenge; empty for an Order
	kind      string // "http-01"
	told      bool   // that it is pending
	presents  bool   // the record is being made
	lastError string
}

// A certManagerLine is what a line says.
type certManagerLine struct {
	text, message []byte
	quoted        bool // names of values are in quotes
}

// value returns a value in text, nil if it is not there.
func (l *certManagerLine) value(name string) []byte {
	if l.quoted {
		name = `"` + name + `"`
	}
	return attribute(l.text, name)
}

// str returns a value in text, at most maxDetail bytes of it.
func (l *certManagerLine) str(name string) string { return clip(string(l.value(name)), maxDetail) }

// error returns the error in a line.
func (l *certManagerLine) error() string {
	if err := l.value("err"); err != nil {
		return clip(string(err), maxDetail)
	}
	return l.str("error")
}

func startsCertManager(line []byte) bool {
	if len(line) > 0 && line[0] == '{' {
		return bytes.Contains(line, []byte(`"logger":"cert-manager`)) && bytes.Contains(line, []byte(`"ts":`))
	}
	rest := klogRest(line)
	if bytes.HasSuffix(rest, []byte(" err=<")) {
		return bytes.HasPrefix(rest, []byte(`"failed to create Order resource `)) || bytes.HasPrefix(rest, []byte(`"error waiting for authorization" `))
	}
	return bytes.HasPrefix(rest, []byte("cert-manager/")) || bytes.HasPrefix(rest, []byte(`cert-manager "msg"=`)) ||
		bytes.Contains(rest, []byte(` logger="cert-manager`))
}

// klogRest returns what follows the head of a line, nil if the line has none.
func klogRest(line []byte) []byte {
	const head = len("I1123 21:18:41.123456       1 ")
	if len(line) < head || bytes.IndexByte([]byte("IWEF"), line[0]) < 0 || line[5] != ' ' || line[8] != ':' || line[14] != '.' {
		return nil
	}
	const longest = 200 // of the name of a source file
	i := bytes.Index(line[:min(len(line), head+longest)], []byte("] "))
	if i < 0 {
		return nil
	}
	return line[i+len("] "):]
}

func (p *certManager) line(s *stream, text []byte) bool {
	if len(p.held) > 0 && p.more(s, text) {
		return true
	}
	rest := klogRest(text)
	json := len(text) > 0 && text[0] == '{' && bytes.Contains(text, []byte(`"ts":`))
	if rest == nil && !json {
		return true // what the runtime writes, a stack for instance
	}
	p.time(s, text)
	if bytes.HasSuffix(text, []byte("=<")) {
		p.at, s.open = s.at, true
		p.held = append(append(p.held[:0], text[:len(text)-1]...), '"')
		return true
	}
	p.record(s, text)
	return true
}

// more adds a line of a value to the record, or the end of it. It reports false if the line is another record.
func (p *certManager) more(s *stream, text []byte) bool {
	if end, ok := cutPrefix(text, " >"); ok {
		p.held = append(append(p.held, '"'), end...)
		p.finish(s)
		return true
	}
	if len(text) > 0 && text[0] != '\t' || len(p.held)+len(text) > maxText {
		p.finish(s)
		return klogRest(text) == nil
	}
	quoted := appendQuoted(nil, string(bytes.TrimPrefix(text, []byte{'\t'})))
	p.held = append(append(p.held, quoted[1:len(quoted)-1]...), '\\', 'n')
	return true
}

// finish reads the record that is held, the end of which may be missing.
func (p *certManager) finish(s *stream) {
	s.open = false
	if len(p.held) == 0 {
		return
	}
	text, at := p.held, s.at
	p.held = nil
	s.at = p.at
	p.record(s, text)
	s.at = at
}

// time reads the time of a line, unless what carried it has told that.
func (p *certManager) time(s *stream, text []byte) {
	if !s.clock.outer.IsZero() {
		return
	}
	if text[0] == '{' {
		if _, rest, ok := bytes.Cut(text, []byte(`"ts":`)); ok {
			millis, _, _ := bytes.Cut(rest, []byte{','})
			s.clock.set(klogMillis(millis))
		}
		return
	}
	w := wallTime{month: twoDigits(text[1:]), day: twoDigits(text[3:]), hour: twoDigits(text[6:]), minute: twoDigits(text[9:]), second: twoDigits(text[12:])}
	if !w.valid() {
		return
	}
	w.nanosecond, _ = fractionOf(text[14:])
	if t := s.carrier.yearOf(w); !t.IsZero() {
		w.year = t.In(s.location()).Year()
		s.clock.setLocal(w.in(time.UTC))
	}
}

// klogMillis reads milliseconds since 1970, with or without a fraction.
func klogMillis(b []byte) time.Time {
	whole, fraction, _ := bytes.Cut(b, []byte{'.'})
	if len(whole) != len("1795468721123") {
		return time.Time{}
	}
	t := anyTime(whole)
	if n, ok := digits(fraction); ok && len(fraction) <= 3 {
		for range 3 - len(fraction) {
			n *= 10
		}
		t = t.Add(time.Duration(n) * time.Microsecond)
	}
	return t
}

// parse splits a line into the message and what is said of it.
func (l *certManagerLine) parse(text []byte) bool {
	l.text = text
	if text[0] == '{' {
		l.message = attribute(text, "msg")
		return l.message != nil
	}
	rest := klogRest(text)
	if len(rest) > 0 && rest[0] == '"' {
		l.message, l.text = quoted(rest[1:]), rest
		return l.message != nil
	}
	l.quoted, l.text = true, rest
	l.message = l.value("msg")
	return l.message != nil
}

// record reads a line that is whole.
func (p *certManager) record(s *stream, text []byte) {
	var l certManagerLine
	if !l.parse(text) {
		return
	}
	message := string(l.message)
	if strings.HasPrefix(message, "starting ") && l.value("version") != nil {
		s.startRun(l.str("version"), "")
		p.young, p.old = nil, nil
	}
	s.startFirstRun()
	s.order = nil
	switch kind := string(l.value("resource_kind")); {
	case kind == "Order":
		p.order(s, &l, message)
	case kind == "Challenge":
		p.challenge(s, &l, message)
	case strings.HasPrefix(message, "re-queuing item due to error"):
		p.requeued(s, &l)
	case strings.HasPrefix(message, "Event("):
		p.event(s, message)
	}
	s.mark(l.message)
}

// object returns what is known of an object, by its namespace and name.
func (p *certManager) object(key string) *certManagerObject {
	if o := p.find(key); o != nil {
		return o
	}
	if p.young == nil || len(p.young) >= maxIndex {
		p.young, p.old = make(map[string]*certManagerObject), p.young
	}
	o := new(certManagerObject)
	p.young[key] = o
	return o
}

// find does so for one that was seen before, and else returns nil.
func (p *certManager) find(key string) *certManagerObject {
	if o := p.young[key]; o != nil {
		return o
	}
	return p.old[key]
}

func (l *certManagerLine) key() string {
	return l.str("resource_namespace") + "/" + l.str("resource_name")
}

// certManagerStates are the messages that tell the status of an order.
var certManagerStates = []struct{ text, status string }{
	{"Finalizing Order as order state is 'Ready'", "ready"},
	{"Order has already been completed, ", "valid"},
	{"Order is in a Valid state ", "valid"},
	{"an attempt was made to finalize an order that has already been finalized", "valid"},
}

// order reads a message about an Order.
func (p *certManager) order(s *stream, l *certManagerLine, message string) {
	key := l.key()
	o := p.object(key)
	if o.order == nil {
		o.order = &Order{ID: key}
	}
	s.order = o.order
	switch {
	case strings.HasPrefix(message, "built set of identifiers "), strings.HasPrefix(message, "build set of domains "):
		o.order.Identifiers = identifiers(l.names(s))
	case strings.HasPrefix(message, "submitted Order to ACME server"):
		seen := *o.order // which changes
		s.emit(Event{Kind: OrderSeen, Order: &seen})
	case strings.HasPrefix(message, "Retrieved ACME order from server"):
		p.retrieved(s, l, o)
	case strings.HasPrefix(message, "Failed to determine the list of Challenge resources"):
		s.fail(CauseCheck, message+": "+l.error(), "")
	case l.error() != "":
		if strings.HasPrefix(message, "failed to create Order") {
			s.order = nil
		}
		p.failed(s, o, l.error())
	}
	for _, state := range certManagerStates {
		if strings.HasPrefix(message, state.text) {
			s.emit(Event{Kind: OrderSeen, Order: &Order{ID: o.order.ID, URL: o.order.URL, Status: state.status}})
		}
	}
}

// names returns the names of an order, which are written as JSON.
func (l *certManagerLine) names(s *stream) (names []string) {
	name := " domains="
	switch {
	case l.text[0] == '{':
		name = `"domains":`
	case l.quoted:
		name = ` "domains"=`
	}
	_, list, ok := bytes.Cut(l.text, []byte(name))
	if !ok || s.doc.parse(list) == 0 || !s.doc.isArray(s.doc.root()) {
		return nil
	}
	for n := range s.doc.elements(s.doc.root()) {
		names = append(names, s.doc.str(n))
	}
	return names
}

// retrieved reads an order as the CA gave it, which is written with the names of the fields in Go.
func (p *certManager) retrieved(s *stream, l *certManagerLine, o *certManagerObject) {
	_, raw, ok := bytes.Cut(l.text, []byte("raw_data"))
	i := bytes.IndexByte(raw, '{')
	if !ok || i < 0 || i > 3 || s.doc.parse(raw[i:]) == 0 {
		return
	}
	doc, r := &s.doc, s.doc.root()
	seen := &Order{ID: o.order.ID, Status: doc.str(doc.member(r, "Status"))}
	if url := doc.str(doc.member(r, "URI")); isURL(url) {
		o.order.URL = clip(url, maxURL)
	}
	seen.URL = o.order.URL
	seen.Expires, _ = time.Parse(time.RFC3339, doc.str(doc.member(r, "Expires")))
	for id := range doc.elements(doc.member(r, "Identifiers")) {
		seen.Identifiers = append(seen.Identifiers, Identifier{Type: doc.str(doc.member(id, "Type")), Value: strings.ToLower(doc.str(doc.member(id, "Value")))})
	}
	for url := range doc.elements(doc.member(r, "AuthzURLs")) {
		if u := s.element(doc.bytes(url)); u != "" {
			seen.Authorizations = append(seen.Authorizations, u)
		}
	}
	s.emit(Event{Kind: OrderSeen, Order: seen})
}

// certManagerSteps are the messages of a challenge that is not answered yet.
var certManagerSteps = []string{
	"presenting DNS01 challenge", "checking DNS propagation", "propagation check failed", "challenge not ready to accept yet",
	"creating HTTP01 challenge solver ", "performing HTTP01 reachability check", "failed to perform self check", "accepting challenge with ACME server",
	"key returned by server did not match expected", "received HTTP status code was not StatusOK",
}

// challenge reads a message about a Challenge.
func (p *certManager) challenge(s *stream, l *certManagerLine, message string) {
	o := p.challengeObject(s, l)
	if o.name == "" {
		return
	}
	for _, step := range certManagerSteps {
		if !o.told && strings.HasPrefix(message, step) {
			o.told = true
			s.sawName(o.name, "pending", nil)
		}
	}
	o.presents = strings.HasPrefix(message, "presenting DNS01 challenge")
	switch {
	case strings.HasPrefix(message, "accepting challenge with ACME server"):
		s.emit(Event{Kind: ChallengeAnswered, Challenge: &Challenge{Type: o.kind}, Authorization: s.named(o.name, "")})
	case strings.HasPrefix(message, "propagation check failed"), strings.HasPrefix(message, "failed to perform self check"):
		if err := l.error(); err != o.lastError {
			o.lastError = err
			s.fail(CauseCheck, message+": "+err, o.name)
		}
	case strings.HasPrefix(message, "error waiting for authorization"), strings.HasPrefix(message, "error accepting challenge"),
		strings.Contains(message, "non-ACME API error"):
		p.failed(s, o, l.error())
	}
}

// challengeObject returns what is known of the Challenge that a line is about, and makes its order the one at hand.
func (p *certManager) challengeObject(s *stream, l *certManagerLine) *certManagerObject {
	o := p.object(l.key())
	if o.name == "" {
		o.name, o.kind = l.str("dnsName"), strings.ToLower(l.str("type"))
		if id := certManagerOrder(l.str("resource_name")); id != "" && o.order == nil {
			key := l.str("resource_namespace") + "/" + id
			parent := p.object(key)
			if parent.order == nil {
				parent.order = &Order{ID: key}
			}
			o.order = parent.order
		}
		if o.isWildcard() {
			o.name = "*." + o.name
		}
	}
	s.order = o.order
	return o
}

// isWildcard reports whether a Challenge must be for a wildcard, as its order has no other such name.
func (o *certManagerObject) isWildcard() bool {
	if o.order == nil {
		return false
	}
	name := identifier(o.name)
	wild := Identifier{name.Type, "*." + name.Value}
	return slices.Contains(o.order.Identifiers, wild) && !slices.Contains(o.order.Identifiers, name)
}

// certManagerOrder returns the name of a Challenge's Order, "" if it cannot be told.
func certManagerOrder(name string) string {
	const shortened = 52 // a longer name was cut
	i := strings.LastIndexByte(name, '-')
	if i <= 0 || i >= shortened {
		return ""
	}
	return name[:i]
}

// requeued reads that something failed and will be tried again. It is told by its key only.
func (p *certManager) requeued(s *stream, l *certManagerLine) {
	o := p.find(l.str("key"))
	if err := l.error(); o != nil && err != "" && !strings.Contains(err, "the object has been modified") {
		s.order = o.order
		p.failed(s, o, err)
	}
}

// failed reads an error: what a CA said of a challenge or of a request, or something else.
func (p *certManager) failed(s *stream, o *certManagerObject, err string) {
	if err == o.lastError || err == "" {
		return
	}
	o.lastError = err
	problem := goProblem(err)
	switch {
	case strings.HasPrefix(err, "acme: authorization ") && o.name != "":
		s.sawName(o.name, "invalid", problem)
	case problem != nil:
		e := Event{Kind: ProblemSeen, Problem: problem, Order: s.orderID()}
		if o.name != "" {
			e.Authorization = s.named(o.name, "")
		}
		s.emit(e)
	case o.presents:
		s.fail(CauseDNS, err, o.name)
	default:
		if cause := goCause(err); cause != "" {
			s.fail(cause, err, o.name)
		}
	}
}

// goProblem reads "429 urn:ietf:params:acme:error:rateLimited: detail", as golang.org/x/crypto/acme writes it, or "HTTP 429
// urn:ietf:params:acme:error:rateLimited - detail", as acmez does; nil if an error has none.
func goProblem(err string) *Problem {
	i := strings.Index(err, " urn:")
	if i < 3 {
		return nil
	}
	status, ok := digits([]byte(err[i-3 : i]))
	if !ok {
		return nil
	}
	kind, detail, _ := strings.Cut(err[i+1:], " ")
	kind, detail = strings.TrimSuffix(kind, ":"), strings.TrimPrefix(detail, "- ")
	detail, _, _ = strings.Cut(detail, "; subproblems:")
	return &Problem{Type: clip(kind, maxDetail), Detail: clip(strings.TrimSpace(detail), maxDetail), Status: status}
}

// event reads an event of Kubernetes that is logged too: `Event(v1.ObjectReference{Kind:"Challenge", Namespace:"x", Name:"a", …}):
// type: 'Normal' reason: 'DomainVerified' Domain "a.example" verified with "HTTP-01" validation`.
func (p *certManager) event(s *stream, message string) {
	field := func(name string) string {
		value, _ := between([]byte(message), name+`:"`, `"`)
		return string(value)
	}
	reason, _ := between([]byte(message), " reason: '", "'")
	o := p.find(field("Namespace") + "/" + field("Name"))
	if o == nil {
		return
	}
	s.order = o.order
	_, text, _ := strings.Cut(message, string(reason)+"' ")
	switch kind := field("Kind"); {
	case kind == "Challenge" && string(reason) == "DomainVerified" && o.name != "":
		s.sawName(o.name, "valid", nil)
	case kind == "Challenge" && string(reason) == "PresentError" && o.name != "":
		err := strings.TrimPrefix(text, "Error presenting challenge: ")
		if o.presents = o.kind == "dns-01"; err != o.lastError {
			o.lastError = clip(err, maxDetail)
			s.fail(o.blame(), text, o.name)
		}
	case kind == "Order" && string(reason) == "Complete" && o.order != nil:
		s.emit(Event{Kind: OrderSeen, Order: &Order{ID: o.order.ID, URL: o.order.URL, Status: "valid"}})
	}
}

// blame returns the cause of a failure to present a challenge.
func (o *certManagerObject) blame() Cause {
	if o.kind == "dns-01" {
		return CauseDNS
	}
	return CauseHook
}
