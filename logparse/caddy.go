package logparse

import (
	"bytes"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Caddy, and other programs with CertMagic, log as JSON, or for people with the same attributes at the end; times are UTC
// in the latter, and journalctl turns its tabs into blanks:
//
//	{"level":"info","ts":1795468377.46,"logger":"http.acme_client","msg":"authorization finalized","identifier":"a.example","authz_status":"valid"}
//	2026/11/23 21:13:52.910	INFO	http.acme_client	authorization finalized	{"identifier": "a.example", "authz_status": "valid"}
//
// At INFO no URL of an authorization is logged, but names, and URLs of orders that come to an end. At DEBUG each request is:
//
//	{"level":"debug",…,"msg":"http request","method":"POST","url":"https://ca.example/authz/1","response_headers":{"Location":[…],"Link":[…]},"status_code":200}
//
// without bodies, so that statuses are from other messages, which tell names only. Several orders may be under way at once;
// each message that matters has a name or the URL of the order. A certificate has one name, as a rule. Where one order only
// is under way, the authorization that is asked for is the one for its name.
type caddy struct {
	active map[string]*caddyOrder // by name

}

// A caddyOrder is the work for one certificate.
type caddyOrder struct {
	order   *Order
	name    string
	url     string // of the authorization, if that is certain
	many    bool   // it is for several names
	decided bool   // its authorization is, so that it is not asked for any more
}

// maxActive is how many names a process works on at once.
const maxActive = 4096

func startsCaddy(line []byte) bool {
	if len(line) == 0 {
		return false
	}
	if line[0] == '{' {
		return bytes.Contains(line, []byte(`"ts":`)) && bytes.Contains(line, []byte(`"msg":`)) &&
			(bytes.Contains(line, []byte(`"logger":"tls`)) || bytes.Contains(line, []byte(`"logger":"http.acme_client"`)) ||
				bytes.Contains(line, []byte(`"msg":"using config from file"`)) ||
				bytes.Contains(line, []byte(`"msg":"maxprocs: `)) || bytes.Contains(line, []byte("serving initial configuration")) ||
				bytes.Contains(line, []byte(`"logger":"http.auto_https"`)) || bytes.Contains(line, []byte(`"logger":"admin"`)))
	}
	_, rest, ok := caddyConsole(line)
	return ok && (bytes.Contains(rest, []byte("acme_client")) || bytes.Contains(rest, []byte("tls.")) ||
		bytes.Contains(rest, []byte("serving initial configuration")) || bytes.Contains(rest, []byte("http.auto_https")) ||
		bytes.Contains(rest, []byte("using config from file")) || bytes.Contains(rest, []byte("maxprocs: ")))
}

const caddyStamp = "0000/00/00 00:00:00.000"

// caddyConsole splits a line for people into the time and the rest, from the level on.
func caddyConsole(line []byte) (t time.Time, rest []byte, ok bool) {
	if len(line) < len(caddyStamp)+5 || line[4] != '/' || line[19] != '.' {
		return t, nil, false
	}
	t, ok = stamp(line, caddyStamp)
	rest = bytes.TrimLeft(line[len(caddyStamp):], "\t ")
	return t, rest, ok && len(rest) > 0 && rest[0] >= 'A' && rest[0] <= 'Z'
}

func (p *caddy) line(s *stream, text []byte) bool {
	if len(text) == 0 {
		return false
	}
	var message []byte
	if text[0] == '{' {
		if s.doc.parse(text) == 0 {
			return false
		}
		root := s.doc.root()
		if t, ok := unixSeconds(s.doc.raw(s.doc.member(root, "ts"))); ok {
			s.clock.set(t)
		}
		message = bytes.Clone(s.doc.bytes(s.doc.member(root, "msg")))
	} else {
		t, rest, ok := caddyConsole(text)
		if !ok {
			return true // a panic, or what is written while Caddy starts
		}
		s.clock.set(t)
		message = p.console(s, rest)
	}
	p.read(s, message)
	s.mark(text)
	return true
}

// console parses the attributes of a line for people, and returns the message.
func (p *caddy) console(s *stream, rest []byte) []byte {
	message := rest
	if i := bytes.Index(rest, []byte("\t{")); i >= 0 {
		message = rest[:i]
		s.doc.parse(rest[i+1:])
	} else if i := bytes.Index(rest, []byte(` {"`)); i >= 0 {
		message = rest[:i]
		s.doc.parse(rest[i+1:])
	} else {
		s.doc.parse(nil)
	}
	message = bytes.TrimRight(message, "\t ")
	if i := max(bytes.LastIndexByte(message, '\t'), bytes.LastIndex(message, []byte("   "))+2); i > 0 {
		message = message[i+1:]
	}
	return bytes.TrimSpace(message)
}

// unixSeconds reads seconds since 1970, with a fraction.
func unixSeconds(b []byte) (time.Time, bool) {
	f, err := strconv.ParseFloat(string(b), 64)
	if err != nil || f < 1e9 || f > 1e11 { // less is a number that was cut
		return time.Time{}, false
	}
	whole, fraction := math.Modf(f)
	return time.Unix(int64(whole), int64(fraction*1e6)*1000).UTC(), true
}

func (p *caddy) text(s *stream, name string) string {
	return s.doc.str(s.doc.member(s.doc.root(), name))
}

// read reads a message.
func (p *caddy) read(s *stream, message []byte) {
	name := p.text(s, "identifier")
	switch m := string(message); m {
	case "using config from file", "using provided configuration":
		s.startRun("", "")
	case "serving initial configuration":
		s.startFirstRun()
	case "shutdown complete":
		s.endRun("", "")
	case "using ACME account":
		if id := p.text(s, "account_id"); isURL(id) {
			s.account = id
		}
	case "obtaining certificate", "renewing certificate":
		p.drop(name)
	case "waiting on internal rate limiter", "creating order":
		p.start(s)
	case "http request":
		p.request(s)
	case "trying to solve challenge":
		p.use(s, name)
		s.sawName(name, "pending", nil)
	case "challenge accepted":
		p.answered(s, name)
	case "authorization finalized":
		p.saw(s, name, p.text(s, "authz_status"), nil)
	case "challenge failed":
		p.saw(s, name, "invalid", problemIn(&s.doc, s.doc.member(s.doc.root(), "problem")))
	case "validating authorization":
		p.validating(s, name)
	case "validations succeeded; finalizing order":
		p.ready(s)
	case "certificate obtained successfully", "certificate renewed successfully":
		p.obtained(s, name)
	case "could not get certificate from issuer":
		p.failed(s, name)
	case "will retry":
		p.drop(name)
	}
}

// names returns the names that a message is about.
func (p *caddy) names(s *stream) (names []string) {
	for r := range s.doc.elements(s.doc.member(s.doc.root(), "identifiers")) {
		names = append(names, s.doc.str(r))
	}
	return names
}

// start starts an order, unless the message before did.
func (p *caddy) start(s *stream) {
	names := p.names(s)
	if len(names) == 0 {
		return
	}
	if a := p.active[names[0]]; a != nil {
		s.order = a.order
		return
	}
	p.begin(s, names...)
}

// begin starts an order for names.
func (p *caddy) begin(s *stream, names ...string) {
	s.startFirstRun()
	s.startOrder(names...)
	if p.active == nil || len(p.active) >= maxActive {
		p.active = make(map[string]*caddyOrder)
	}
	a := &caddyOrder{order: s.order, name: names[0], many: len(names) > 1}
	for _, n := range names {
		p.active[n] = a
	}
}

func (p *caddy) drop(name string) { delete(p.active, name) }

// use makes the order for a name the one at hand, and starts one if there is none.
func (p *caddy) use(s *stream, name string) *caddyOrder {
	a := p.active[name]
	if a == nil {
		p.begin(s, name)
		return p.active[name]
	}
	s.order = a.order
	return a
}

// request reads a request and the head of its answer.
func (p *caddy) request(s *stream) {
	doc := &s.doc
	root := doc.root()
	url := doc.bytes(doc.member(root, "url"))
	if doc.str(doc.member(root, "method")) != http.MethodPost {
		return
	}
	if u := s.authorization(url); u != "" && !isChallenge(string(url)) {
		p.asked(s, u)
	}
	if status, ok := doc.num(doc.member(root, "status_code")); ok && status >= 400 {
		s.emit(Event{Kind: ProblemSeen, Problem: &Problem{Status: int(status), URL: clip(string(url), maxURL)}})
	}
}

// asked reads that an authorization was asked for: if one order only is under way, it is the one for its name.
func (p *caddy) asked(s *stream, url string) {
	var only *caddyOrder
	for _, a := range p.active {
		if a.decided {
			continue
		}
		if only != nil && a != only {
			only = nil
			break
		}
		only = a
	}
	a := &Authorization{URL: url}
	if only != nil && !only.many && (only.url == "" || only.url == url) {
		only.url = url
		a = s.named(only.name, "")
		a.URL, a.Order = url, only.order.ID
	}
	s.emit(Event{Kind: AuthorizationSeen, Authorization: a})
}

// saw tells the status of the authorization for a name.
func (p *caddy) saw(s *stream, name, status string, problem *Problem) {
	a := p.use(s, name)
	v := s.named(name, status)
	v.URL, v.Problem = a.url, problem
	a.decided = !a.many
	s.emit(Event{Kind: AuthorizationSeen, Authorization: v})
}

// answered tells that a challenge was answered.
func (p *caddy) answered(s *stream, name string) {
	a := p.use(s, name)
	v := s.named(name, "")
	v.URL = a.url
	s.emit(Event{Kind: ChallengeAnswered, Authorization: v, Challenge: &Challenge{Type: p.text(s, "challenge_type")}})
}

// validating reads that an authorization failed: the message has the URL of the order.
func (p *caddy) validating(s *stream, name string) {
	p.use(s, name)
	url := p.text(s, "order")
	problem := problemIn(&s.doc, s.doc.member(s.doc.root(), "problem"))
	if isURL(url) {
		s.order.URL = url
		s.emit(Event{Kind: OrderSeen, Order: &Order{ID: s.order.ID, URL: url, Status: "invalid", Problem: problem}})
	}
}

// ready reads that an order can be finalized: all of its authorizations are valid then. Only its URL is logged, and if one
// order is under way it is that.
func (p *caddy) ready(s *stream) {
	url := p.text(s, "order")
	if !isURL(url) || s.order == nil {
		return
	}
	for _, a := range p.active {
		if a.order != s.order {
			return
		}
	}
	s.order.URL = url
	s.emit(Event{Kind: OrderSeen, Order: &Order{ID: s.order.ID, URL: url, Status: "ready"}})
}

// obtained reads that a certificate was issued.
func (p *caddy) obtained(s *stream, name string) {
	if p.active[name] != nil {
		p.use(s, name)
		s.endOrder("valid")
		p.drop(name)
	}
}

// failed reads why a certificate was not issued.
func (p *caddy) failed(s *stream, name string) {
	text := p.text(s, "error")
	if p.active[name] == nil { // there was no order yet: the CA was not reached, or refused the account or the order
		s.order = nil
		if problem := goProblem(text); problem != nil {
			s.emit(Event{Kind: ProblemSeen, Problem: problem})
		} else if cause := goCause(text); cause != "" {
			s.fail(cause, text, "")
		}
		return
	}
	p.use(s, name)
	defer p.drop(name)
	if problem := goProblem(text); problem != nil {
		if problem.Type == "urn:ietf:params:acme:error:rateLimited" {
			s.emit(Event{Kind: ProblemSeen, Order: s.orderID(), Problem: problem})
		}
		return // else it is that of a challenge, or was told with the request
	}
	if cause := goCause(text); cause != "" {
		s.fail(cause, text, name)
	}
}

// goCauses are the causes of failures by what the errors of programs in Go have in them.
var goCauses = []struct {
	text  string
	cause Cause
}{
	{"presenting for challenge", CauseDNS},
	{"adding temporary record", CauseDNS},
	{"could not determine zone", CauseDNS},
	{"propagat", CauseCheck},
	{"no solvers available", CauseCheck},
	{"dial tcp", CauseNetwork},
	{"i/o timeout", CauseNetwork},
	{"connection refused", CauseNetwork},
	{"context deadline exceeded", CauseNetwork},
	{"TLS handshake", CauseNetwork},
	{"EOF", CauseNetwork},
}

// goCause returns the cause of a failure of a program in Go, "" if its error does not tell.
func goCause(message string) Cause {
	for _, c := range goCauses {
		if strings.Contains(message, c.text) {
			return c.cause
		}
	}
	return ""
}
