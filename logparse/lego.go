package logparse

import (
	"bytes"
	"strings"
)

// lego 3 and 4 write to standard error, with local time:
//
//	2026/11/23 21:08:23 [INFO] [a.example, b.example] acme: Obtaining bundled SAN certificate
//	2026/11/23 21:08:23 [INFO] [a.example] AuthURL: https://ca.example/acme/authz/1/2
//	2026/11/23 21:08:28 [INFO] [a.example] The server validated our request
//	2026/11/23 21:08:44 [INFO] [a.example, b.example] Server responded with a certificate.
//	2026/11/23 21:08:44 [INFO] Skipping deactivating of valid auth: https://ca.example/acme/authz/1/2
//	2026/11/23 21:08:44 [INFO] Deactivating auth: https://ca.example/acme/authz/1/3
//	2026/11/23 21:08:44 [INFO] Unable to deactivate the authorization: https://ca.example/acme/authz/1/3
//	2026/11/23 21:08:44 Could not obtain certificates:
//		error: one or more domains had a problem:
//	[b.example] invalid authorization: acme: error: 400 :: urn:ietf:params:acme:error:connection :: Get "http://…
//
// It prints the i-th name of an order beside the i-th URL, but a CA need not keep the two in one order: the name in an AuthURL line
// says which names there are, not whose URL that is. Every URL of an order is logged before the first challenge.
type lego struct {
	deactivating string // announced; whether it was refused is in the next line
	at           Place
	failed       bool // within the lines of a final error
}

const legoStamp = "0000/00/00 00:00:00"

func startsLego(line []byte) bool {
	_, message, ok := legoLine(line)
	return ok && (bytes.Contains(message, []byte("] acme: ")) || bytes.Contains(message, []byte("] AuthURL: ")) ||
		bytes.HasPrefix(message, []byte("[INFO] acme: ")) || bytes.HasPrefix(message, []byte("No key found for account ")))
}

// legoLine splits a line into the time and the message.
func legoLine(line []byte) (time, message []byte, ok bool) {
	if len(line) <= len(legoStamp) || line[4] != '/' || line[10] != ' ' || line[len(legoStamp)] != ' ' {
		return nil, nil, false
	}
	return line[:len(legoStamp)], line[len(legoStamp)+1:], true
}

func (p *lego) line(s *stream, text []byte) bool {
	when, message, ok := legoLine(text)
	if !ok {
		return p.more(s, text)
	}
	t, ok := stamp(when, legoStamp)
	if !ok {
		return false
	}
	s.clock.setLocal(t)
	p.failed = false
	p.read(s, message)
	s.mark(message)
	return true
}

// read reads what follows the time.
func (p *lego) read(s *stream, message []byte) {
	level := message
	for _, l := range []string{"[INFO] ", "[WARN] "} {
		message, _ = cutPrefix(message, l)
	}
	p.deactivated(s, message)
	if len(level) == len(message) {
		p.plain(s, message)
		return
	}
	p.message(s, message)
}

// message reads the message of a line with a level.
func (p *lego) message(s *stream, message []byte) {
	if len(message) > 0 && message[0] == '[' {
		if names, rest, ok := bytes.Cut(message[1:], []byte("] ")); ok {
			p.named(s, strings.Split(string(names), ","), rest)
			return
		}
	}
	if url, ok := cutPrefix(message, "Deactivating auth: "); ok {
		p.deactivating, p.at = string(url), s.at
	} else if url, ok := cutPrefix(message, "Skipping deactivating of valid auth: "); ok {
		s.sawURL(AuthorizationSeen, url, "valid")
	} else if bytes.HasPrefix(message, []byte("acme: Registering account")) {
		s.startRunUnlessFresh()
	}
}

// deactivated tells of the deactivation that the line before announced, unless message says that it was refused.
func (p *lego) deactivated(s *stream, message []byte) {
	url := p.deactivating
	if url == "" {
		return
	}
	p.deactivating = ""
	kind := AuthorizationDeactivated
	if bytes.HasPrefix(message, []byte("Unable to deactivate the authorization")) {
		kind = AuthorizationSeen
	}
	at := s.at
	s.at = p.at
	s.sawURL(kind, []byte(url), "")
	s.at = at
}

// named reads a message about names.
func (p *lego) named(s *stream, names []string, message []byte) {
	switch {
	case bytes.HasPrefix(message, []byte("AuthURL: ")):
		if s.order == nil {
			s.startOrder(names...)
		}
		s.sawURL(AuthorizationSeen, message[len("AuthURL: "):], "")
		s.sawName(names[0], "pending", nil)
	case bytes.HasPrefix(message, []byte("acme: Trying to solve HTTP-01")), bytes.HasPrefix(message, []byte("acme: Trying to solve TLS-ALPN-01")):
		s.answeredName(names[0]) // right after, for these types
	case bytes.HasPrefix(message, []byte("acme: Obtaining ")):
		p.obtaining(s, names)
	case bytes.HasPrefix(message, []byte("The server validated our request")),
		bytes.HasPrefix(message, []byte("acme: authorization already valid")):
		s.sawName(names[0], "valid", nil)
	case bytes.HasPrefix(message, []byte("Server responded with a certificate")):
		s.endOrder("valid")
		s.endRun("", "")
	}
}

// obtaining starts an order, and a run unless one has just started: lego makes one order after the other.
func (p *lego) obtaining(s *stream, names []string) {
	s.startRunUnlessFresh()
	s.startOrder(names...)
}

// plain reads a line without a level: an error that ends the run, or what lego says of its account.
func (p *lego) plain(s *stream, message []byte) {
	switch {
	case bytes.HasPrefix(message, []byte("No key found for account ")):
		s.startRunUnlessFresh()
	case bytes.HasPrefix(message, []byte("Could not ")), bytes.HasPrefix(message, []byte("error: ")), bytes.HasPrefix(message, []byte("acme: ")):
		p.failed = true
		legoError(s, message)
		s.endRun("error", string(message))
	}
}

// more reads a line without a time: of a final error, of advice, or of a failure in a hook.
func (p *lego) more(s *stream, text []byte) bool {
	if p.failed {
		legoError(s, text)
	}
	return true
}

// legoError reads one error of lego: "[name] what: cause", or what one problem is, all of them in one line or each in its
// own. Version 5 writes "name: what" in a list.
func legoError(s *stream, text []byte) {
	message := string(text)
	var name string
	if rest, ok := strings.CutPrefix(message, "["); ok {
		if n, m, ok := strings.Cut(rest, "] "); ok && !strings.ContainsAny(n, " /") {
			name, message = n, m
		}
	}
	problem := legoProblem(message)
	switch {
	case problem != nil && strings.Contains(message, "invalid authorization") && name != "":
		s.sawName(name, "invalid", problem)
	case problem != nil:
		s.emit(Event{Kind: ProblemSeen, Problem: problem, Order: s.orderID()})
	default:
		if cause := legoCause(message); cause != "" {
			s.fail(cause, message, name)
		}
	}
}

// legoProblem reads "acme: error: 400 :: POST :: https://… :: urn:ietf:params:acme:error:malformed :: detail".
func legoProblem(message string) *Problem {
	_, rest, ok := strings.Cut(message, "acme: error: ")
	if !ok {
		return nil
	}
	status, rest, _ := strings.Cut(rest, " :: ")
	n, ok := digits([]byte(status))
	if !ok {
		return nil
	}
	p := &Problem{Status: n}
	before, after, ok := strings.Cut(rest, "urn:")
	if !ok {
		p.Detail = clip(rest, maxDetail)
		return p
	}
	for part := range strings.SplitSeq(before, " :: ") {
		if isURL(part) {
			p.URL = clip(part, maxURL)
		}
	}
	kind, detail, _ := strings.Cut(after, " :: ")
	p.Type, p.Detail = clip("urn:"+kind, maxDetail), clip(detail, maxDetail)
	return p
}

// legoCauses are the causes of failures by what lego's errors have in them.
var legoCauses = []struct {
	text  string
	cause Cause
}{
	{"could not start HTTP", CauseCheck}, // before "error presenting token", which goes around it
	{"error presenting token", CauseDNS},
	{"could not find zone", CauseDNS},
	{"time limit exceeded", CauseCheck},
	{"did not return the expected TXT record", CauseCheck},
	{"propagation", CauseCheck},
	{"could not determine solvers", CauseCheck},
	{"hook", CauseHook},
	{"dial tcp", CauseNetwork},
	{"context deadline exceeded", CauseNetwork},
	{"connection refused", CauseNetwork},
	{"i/o timeout", CauseNetwork},
	{"EOF", CauseNetwork},
}

func legoCause(message string) Cause {
	for _, c := range legoCauses {
		if strings.Contains(message, c.text) {
			return c.cause
		}
	}
	return ""
}

func (p *lego) finish(s *stream) {
	if p.deactivating != "" {
		p.deactivated(s, []byte("Unable to deactivate the authorization"))
	}
}
