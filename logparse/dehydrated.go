package logparse

import (
	"bytes"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// dehydrated writes to standard output, without time. It logs names, and URLs only of what went wrong:
//
//	# INFO: Using main config file /etc/dehydrated/config
//	Processing a.example with alternative names: b.example *.c.example
//	 + Requesting new certificate order from CA...
//	 + Received 3 authorizations URLs from the CA
//	 + Handling authorization for b.example
//	 + Found valid authorization for b.example
//	 + Responding to challenge for a.example authorization...
//	 + Challenge is valid!
//	 + Checking certificate...
//	ERROR: Challenge is invalid! (returned: invalid) (result: ["type"]	"http-01"
//	["url"]	"https://ca.example/acme/chall/1/2/x"
//	…
//	["error"]	{"type":"urn:ietf:params:acme:error:connection", …})
//	  + ERROR: An error occurred while sending post-request to https://ca.example/acme/authz/1/2 (Status 400)
//
//	Details:
//	HTTP/2 400
//	…headers, an empty line and the body
//
// What is in order to handle is the identifier of the authorization, so that a wildcard has no "*.": where an order is for
// both, the first of the two is taken for the one without, which may be the wrong way round. dehydrated responds in the
// order in which it handled.
type dehydrated struct {
	part     dehydratedPart
	names    []string            // of the certificate that is being processed
	handled  []string            // those whose authorizations were handled, in their order
	answered int                 // how many of them were responded to
	name     string              // the one that was responded to last
	result   dehydratedChallenge // the challenge in an error
	body     []byte
	end      delayedEnd
}

// A dehydratedPart is what the lines that follow are.
type dehydratedPart uint8

const (
	dehydratedLines   dehydratedPart = iota
	dehydratedResult                 // of a challenge that failed
	dehydratedDetails                // of a request that failed: before its headers
	dehydratedHeaders
	dehydratedBody
)

// A dehydratedChallenge is a challenge that failed, one member in a line.
type dehydratedChallenge struct {
	at        Place
	status    string
	url, kind string
	problem   Problem
}

// maxHandled is how many authorizations of one order are kept.
const maxHandled = 4096

func startsDehydrated(line []byte) bool {
	return bytes.HasPrefix(line, []byte("# INFO: Using main config file ")) ||
		bytes.HasPrefix(line, []byte(" + Requesting new certificate order from CA...")) ||
		bytes.HasPrefix(line, []byte(" + Responding to challenge for "))
}

func (p *dehydrated) line(s *stream, text []byte) bool {
	if p.part != dehydratedLines && p.more(s, text) {
		return true
	}
	s.startFirstRun()
	switch {
	case bytes.HasPrefix(text, []byte(" + ")), bytes.HasPrefix(text, []byte("+ ")):
		p.step(s, bytes.TrimLeft(text, " +"))
	case bytes.HasPrefix(text, []byte("Processing ")):
		p.processing(string(text[len("Processing "):]))
	case bytes.HasPrefix(text, []byte("# INFO: Using main config file ")):
		p.finish(s)
		s.clock.restart()
		s.startRun("", "")
	case bytes.HasPrefix(text, []byte("ERROR: ")):
		p.failed(s, text[len("ERROR: "):])
	case bytes.HasPrefix(text, []byte("  + ERROR: ")), bytes.HasPrefix(text, []byte("   + ERROR: ")):
		p.refused(s, text)
	default:
		return true // hooks write what they like
	}
	s.mark(text)
	return true
}

// processing reads "a with alternative names: b c".
func (p *dehydrated) processing(text string) {
	p.end.drop()
	first, rest, _ := strings.Cut(text, " with alternative names: ")
	p.names = append([]string{first}, strings.Fields(rest)...)
	p.handled, p.answered, p.name = nil, 0, ""
}

// step reads what follows " + ".
func (p *dehydrated) step(s *stream, message []byte) {
	switch {
	case bytes.HasPrefix(message, []byte("Requesting new certificate order")):
		p.handled, p.answered = nil, 0
		s.startOrder(p.names...)
	case bytes.HasPrefix(message, []byte("Handling authorization for ")):
		p.handle(s, string(message[len("Handling authorization for "):]))
	case bytes.HasPrefix(message, []byte("Found valid authorization for ")):
		if n := len(p.handled); n > 0 {
			s.sawName(p.handled[n-1], "valid", nil)
			p.handled = p.handled[:n-1]
		}
	case bytes.HasPrefix(message, []byte("Responding to challenge for ")):
		rest, _, _ := strings.Cut(string(message[len("Responding to challenge for "):]), " authorization")
		p.respond(s, rest)
	case string(message) == "Challenge is valid!" && p.name != "":
		s.sawName(p.name, "valid", nil)
	case bytes.HasPrefix(message, []byte("Checking certificate")):
		s.endOrder("valid")
	case string(message) == "Done!":
		p.end.set(s, "", "")
	}
}

// handle notes that an authorization was read.
func (p *dehydrated) handle(s *stream, name string) {
	if wild := "*." + name; slices.Contains(p.names, wild) && (!slices.Contains(p.names, name) || slices.Contains(p.handled, name)) {
		name = wild
	}
	if len(p.handled) < maxHandled {
		p.handled = append(p.handled, name)
	}
	s.sawName(name, "pending", nil)
}

// respond notes that a challenge is answered.
func (p *dehydrated) respond(s *stream, name string) {
	p.name = name
	if p.answered < len(p.handled) && strings.TrimPrefix(p.handled[p.answered], "*.") == name {
		p.name = p.handled[p.answered]
	}
	p.answered++
	s.emit(Event{Kind: ChallengeAnswered, Challenge: new(Challenge), Authorization: s.named(p.name, "")})
}

// failed reads what follows "ERROR: ", which ends the work on a certificate.
func (p *dehydrated) failed(s *stream, message []byte) {
	p.end.set(s, "error", string(message))
	if rest, ok := cutPrefix(message, "Challenge is invalid! (returned: "); ok {
		status, result, _ := bytes.Cut(rest, []byte(") (result: "))
		p.result = dehydratedChallenge{at: s.at, status: string(status)}
		p.part, s.open = dehydratedResult, true
		p.more(s, result)
		return
	}
	if cause := dehydratedCause(string(message)); cause != "" {
		s.fail(cause, string(message), "")
	}
}

// dehydratedCause returns the cause of an error, "" if it is none of the client's.
func dehydratedCause(message string) Cause {
	switch {
	case strings.Contains(message, "hook returned with non-zero exit code"):
		return CauseHook
	case strings.HasPrefix(message, "Problem connecting to server"):
		return CauseNetwork
	case strings.HasPrefix(message, "Validating this certificate is not possible using "):
		return CauseCheck
	}
	return ""
}

// refused reads "An error occurred while sending post-request to https://… (Status 400)".
func (p *dehydrated) refused(s *stream, text []byte) {
	method, rest, ok := strings.Cut(strings.TrimPrefix(strings.TrimLeft(string(text), " +"), "ERROR: An error occurred while sending "), "-request to ")
	url, status, ok2 := strings.Cut(rest, " (Status ")
	code, err := strconv.Atoi(strings.TrimSuffix(status, ")"))
	if !ok || !ok2 || err != nil {
		return
	}
	if method == "post" {
		method = http.MethodPost
	}
	p.end.set(s, "error", strings.TrimLeft(string(text), " +"))
	s.request(method, []byte(url))
	s.response(code)
	p.part, p.body, s.open = dehydratedDetails, p.body[:0], true
}

// more reads a line that belongs to an error. It reports false if it is none.
func (p *dehydrated) more(s *stream, text []byte) bool {
	switch {
	case bytes.HasPrefix(text, []byte(" + ")), bytes.HasPrefix(text, []byte("  + ")), bytes.HasPrefix(text, []byte("Processing ")), bytes.HasPrefix(text, []byte("# INFO: ")),
		bytes.HasPrefix(text, []byte("ERROR: ")):
		p.close(s)
		return false
	case p.part == dehydratedResult:
		p.member(s, text)
	case p.part == dehydratedDetails:
		if bytes.HasPrefix(text, []byte("HTTP/")) {
			p.part = dehydratedHeaders
		}
	case p.part == dehydratedHeaders && len(text) > 0:
		s.header(text)
	case p.part == dehydratedBody && len(text) == 0 && len(p.body) > 0:
		p.close(s)
	default:
		p.part = dehydratedBody
		if len(p.body)+len(text) < maxRecord {
			p.body = append(append(p.body, text...), '\n')
		}
	}
	return true
}

// member reads a member of the challenge that failed: `["error","type"]	"urn:…"`. The last one ends with a parenthesis. Before
// version 0.7 the challenge is JSON.
func (p *dehydrated) member(s *stream, text []byte) {
	name, value, ok := strings.Cut(string(text), "\t")
	if !ok {
		if len(p.body)+len(text) < maxRecord {
			p.body = append(append(p.body, text...), '\n')
		}
	}
	value = strings.TrimSuffix(value, ")")
	if v, err := strconv.Unquote(value); err == nil {
		value = v
	}
	r := &p.result
	switch name {
	case `["url"]`:
		r.url = clip(value, maxURL)
	case `["type"]`:
		r.kind = clip(value, maxDetail)
	case `["error","type"]`:
		r.problem.Type = clip(value, maxDetail)
	case `["error","detail"]`:
		r.problem.Detail = clip(value, maxDetail)
	case `["error","status"]`:
		r.problem.Status, _ = digits([]byte(value))
	}
	if bytes.HasSuffix(text, []byte{')'}) {
		p.close(s)
	}
}

// close ends an error.
func (p *dehydrated) close(s *stream) {
	switch p.part {
	case dehydratedResult:
		p.invalid(s)
	case dehydratedHeaders, dehydratedBody:
		s.body(p.body)
	case dehydratedDetails:
		s.noBody()
	}
	p.part, p.body, s.open = dehydratedLines, p.body[:0], false
}

// invalid tells of a challenge that failed.
func (p *dehydrated) invalid(s *stream) {
	r := &p.result
	if s.doc.parse(p.body) > 0 {
		c := s.doc.root()
		r.url, r.kind = clip(s.doc.str(s.doc.member(c, "url")), maxURL), clip(s.doc.str(s.doc.member(c, "type")), maxDetail)
		if problem := problemIn(&s.doc, s.doc.member(c, "error")); problem != nil {
			r.problem = *problem
		}
	}
	at := s.at
	s.at = r.at
	a := s.named(p.name, r.status)
	a.URL = s.authorizationOfChallenge(r.url, "")
	if r.problem != (Problem{}) {
		problem := r.problem
		a.Problem = &problem
	}
	if a.URL != "" || p.name != "" {
		c := &Challenge{URL: r.url, Type: r.kind, Status: r.status}
		s.emit(Event{Kind: ChallengeAnswered, Challenge: c, Authorization: &Authorization{URL: a.URL, Order: a.Order, Identifier: a.Identifier, Wildcard: a.Wildcard}})
		s.emit(Event{Kind: AuthorizationSeen, Challenge: c, Authorization: a})
	}
	s.at = at
	p.result = dehydratedChallenge{}
}

func (p *dehydrated) finish(s *stream) {
	if s.goesOn {
		return // the rest of a block may follow: half of one would be told as all that is known
	}
	p.close(s)
	p.end.tell(s)
}
