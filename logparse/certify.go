package logparse

import (
	"bytes"
	"slices"
	"strings"
)

// Certify The Web writes a file per certificate, with what becomes of each request for it:
//
//	2026-11-23 21:18:41.123 +01:00 [INF] ---- Beginning Request [a.example] ----
//	2026-11-23 21:18:41.123 +01:00 [INF] Certify/6.1.1.0 (Windows; …)
//	2026-11-23 21:18:41.123 +01:00 [INF] Requested identifiers to include on certificate: a.example;*.b.example
//	2026-11-23 21:18:41.123 +01:00 [INF] Created ACME Order: https://ca.example/acme/order/1/2
//	2026-11-23 21:18:41.123 +01:00 [DBG] Fetching Authz Challenges: https://ca.example/acme/authz/1/2
//	2026-11-23 21:18:41.123 +01:00 [INF] Got http-01 challenge https://ca.example/acme/chall/1/2/x
//	2026-11-23 21:18:41.123 +01:00 [INF] Preparing automated challenge responses for: a.example
//	2026-11-23 21:18:41.123 +01:00 [INF] Submitting challenge for validation: a.example http://a.example/.well-known/acme-challenge/…
//	2026-11-23 21:18:41.123 +01:00 [INF] Waiting for the CA to validate the http-01 challenge response for: a.example [https://ca.example/acme/chall/1/2/x]
//	2026-11-23 21:18:41.123 +01:00 [INF] [Progress] Validation completed: a.example
//	2026-11-23 21:18:41.123 +01:00 [ERR] [Progress] Validation failed: a.example
//	Response from Certificate Authority: detail [Forbidden :: urn:ietf:params:acme:error:unauthorized]
//	2026-11-23 21:18:41.123 +01:00 [WRN] urn:ietf:params:acme:error:rateLimited :: detail
//	2026-11-23 21:18:41.123 +01:00 [INF] [Progress] Completed certificate request.
//
// Which URL is a name's is in the line about waiting only, where a wildcard has no "*.". A request may be resumed, after a
// user has made a record.
//
// From the source of versions 5.6.8 and 6.1.1; no recorded log.
type certify struct {
	names  []string // of the certificate
	name   string   // whose challenge is prepared or answered
	failed certifyFailure
	end    delayedEnd
}

// A certifyFailure is a validation that failed, the reason of which is in the next line.
type certifyFailure struct {
	at   Place
	when instant
	name string
}

// certifyMessages are the starts of messages that only Certify The Web writes.
var certifyMessages = []string{
	"---- Beginning Request [", "Beginning certificate request process: ", "Beginning Certificate Request Process: ", "Certify/",
	"Requested identifiers to include on certificate: ", "Created ACME Order: http", "Resumed ACME Order: http", "Fetching Authz Challenges",
	"Got http-01 challenge http", "Got dns-01 challenge http", "Preparing automated challenge responses for: ",
	"Submitting challenge for validation: ", "[Progress] Validation ",
}

func startsCertify(line []byte) bool {
	if !isSerilog(line) {
		return false
	}
	for _, m := range certifyMessages {
		if bytes.HasPrefix(line[serilogPrefix:], []byte(m)) {
			return true
		}
	}
	return false
}

func (p *certify) line(s *stream, text []byte) bool {
	if !isSerilog(text) {
		p.reason(s, string(text))
		return true
	}
	p.reason(s, "")
	if t, ok := serilogTime(text); ok {
		s.clock.set(t)
	}
	message := text[serilogPrefix:]
	if bytes.HasPrefix(message, []byte("---- Beginning Request [")) {
		p.end.tell(s)
		s.startRun("", "")
		*p = certify{}
	}
	s.startFirstRun()
	p.message(s, strings.TrimSpace(strings.TrimPrefix(string(message), "[Progress] ")))
	s.mark(message)
	return true
}

// certifySteps are the messages that matter, by how they start.
var certifySteps = []struct {
	start string
	read  func(p *certify, s *stream, rest string)
}{
	{"Certify/", (*certify).version},
	{"Beginning Certificate Request Process: ", (*certify).begin},
	{"Requested identifiers to include on certificate: ", (*certify).requested},
	{"Created ACME Order: ", (*certify).ordered},
	{"Resumed ACME Order: ", (*certify).ordered},
	{"Order is ready and valid.", (*certify).ready},
	{"Order is already valid", (*certify).valid},
	{"Preparing automated challenge responses for: ", (*certify).prepare},
	{"Preparing automated challenge responses (", (*certify).prepare},
	{"Attempting Domain Validation: ", (*certify).attempt},
	{"Attempting challenge response validation for: ", (*certify).attempt},
	{"Attempting Challenge Response Validation for Domain: ", (*certify).attempt},
	{"Authorization already valid for ", (*certify).validated},
	{"Identifier already has current authorization, skipping verification: ", (*certify).validated},
	{"Domain already has current authorization, skipping verification: ", (*certify).validated},
	{"Validation completed: ", (*certify).validated},
	{"Domain validation completed: ", (*certify).validated},
	{"Validation failed: ", (*certify).invalid},
	{"Domain validation failed: ", (*certify).invalid},
	{"Checking automated challenge response for Domain: ", (*certify).submit},
	{"Submitting challenge for validation: ", (*certify).submit},
	{"Waiting for the CA to validate ", (*certify).wait},
	{"Completed certificate request.", (*certify).completed},
	{"urn:ietf:params:acme:error:", (*certify).problem},
	{"Submit Challenge failed: ", (*certify).refused},
	{"Could not begin certificate order: ", (*certify).refused},
	{"Failed to finalize certificate order: ", (*certify).refused},
}

// certifyFailures are the starts of messages about what goes wrong, and their causes.
var certifyFailures = []struct {
	start string
	cause Cause
}{
	{"DNS update failed: ", CauseDNS},
	{"Failed prerequisite configuration checks ", CauseCheck},
	{"Communication with the Certificate Authority API failed: ", CauseNetwork},
	{"TaskCanceledException ", CauseNetwork},
	{"Failed to begin certificate order (account problem or API ", CauseNetwork},
	{"Failed to complete certificate request because the request to the CAs ACME API timed out", CauseNetwork},
	{"Failed to resume communication with Certificate Authority API", CauseNetwork},
}

// certifyEnds are the starts of messages that end a request.
var certifyEnds = []string{
	"Validation of the required challenges did not complete successfully.", "The certificate order failed to complete.", "Certificate request process failed: ",
	"Error creating Order with Certificate Authority: ",
}

func (p *certify) message(s *stream, text string) {
	for _, step := range certifySteps {
		if rest, ok := strings.CutPrefix(text, step.start); ok {
			step.read(p, s, rest)
			return
		}
	}
	for _, f := range certifyFailures {
		if strings.HasPrefix(text, f.start) {
			name := p.name
			if f.cause == CauseNetwork {
				name = ""
			}
			s.fail(f.cause, text, name)
			return
		}
	}
	for _, end := range certifyEnds {
		if strings.HasPrefix(text, end) {
			p.end.set(s, "error", text)
		}
	}
}

// version reads "6.1.1.0 (Windows; …)".
func (p *certify) version(s *stream, rest string) {
	version, _, _ := strings.Cut(rest, " ")
	if !s.run.told && s.run.version == "" {
		s.run.version = clip(version, maxDetail)
	}
}

// begin reads the first line of a request of version 5.
func (p *certify) begin(s *stream, _ string) {
	p.end.tell(s)
	s.startRunUnlessFresh()
	*p = certify{}
}

func (p *certify) requested(s *stream, rest string) {
	p.end.drop()
	p.names = strings.Split(clip(rest, maxText), ";")
	s.order = nil
}

func (p *certify) ordered(s *stream, url string) {
	if !isURL(url) || len(url) > maxURL {
		return
	}
	s.order = &Order{ID: url, URL: url, Identifiers: identifiers(p.names)}
	s.emit(Event{Kind: OrderSeen, Order: s.order})
}

func (p *certify) ready(s *stream, _ string) { s.endOrder("ready") }

func (p *certify) valid(s *stream, _ string) { s.endOrder("valid") }

func (p *certify) prepare(s *stream, name string) {
	p.name = clip(strings.TrimSuffix(name, ")"), maxDetail)
	s.sawName(p.name, "pending", nil)
}

func (p *certify) attempt(_ *stream, name string) { p.name = clip(name, maxDetail) }

func (p *certify) validated(s *stream, name string) { s.sawName(clip(name, maxDetail), "valid", nil) }

func (p *certify) invalid(s *stream, name string) {
	p.failed = certifyFailure{s.at, s.clock.instant(), clip(strings.TrimSpace(name), maxDetail)}
}

// reason reads the line after a failure: "Response from Certificate Authority: detail [Forbidden :: urn:…]", or that there
// was none in time, which leaves the authorization pending.
func (p *certify) reason(s *stream, text string) {
	f := p.failed
	if f.name == "" {
		return
	}
	p.failed = certifyFailure{}
	a := s.named(f.name, "invalid")
	detail, answered := strings.CutPrefix(text, "Response from Certificate Authority: ")
	if answered {
		a.Problem = certifyProblem(detail)
	} else if strings.HasPrefix(text, "The CA did not respond with a valid status ") {
		a.Status = "pending"
	}
	s.emit(Event{Kind: AuthorizationSeen, Place: f.at, Time: s.clock.time(f.when), Authorization: a})
}

// certifyProblem reads "detail [Forbidden :: urn:ietf:params:acme:error:unauthorized]".
func certifyProblem(text string) *Problem {
	text = strings.TrimSpace(text)
	p := &Problem{Detail: clip(text, maxDetail)}
	i := strings.LastIndex(text, " [")
	if i < 0 {
		return p
	}
	status, kind, ok := strings.Cut(strings.TrimSuffix(text[i+len(" ["):], "]"), " :: ")
	if ok {
		p.Detail, p.Status, p.Type = clip(text[:i], maxDetail), httpStatus([]byte(status)), clip(kind, maxDetail)
	}
	return p
}

// submit reads "a.example http://…": the challenge is answered next.
func (p *certify) submit(s *stream, rest string) {
	p.name, _, _ = strings.Cut(clip(rest, maxDetail), " ")
	s.answeredName(p.name)
}

// wait reads "the http-01 challenge response for: a.example [https://…]".
func (p *certify) wait(s *stream, rest string) {
	kind, rest, ok := strings.Cut(rest, " challenge response for: ")
	name, url, ok2 := strings.Cut(strings.TrimSuffix(rest, "]"), " [")
	if !ok || !ok2 || len(url) > maxURL {
		return
	}
	auth := s.authorizationOfChallenge(url, "")
	if auth == "" {
		return
	}
	a := s.named(name, "pending")
	plain, wild := slices.Contains(p.names, name), slices.Contains(p.names, "*."+name)
	switch {
	case plain && wild:
		a.Identifier = Identifier{} // either
	case wild:
		a.Wildcard = true
	}
	a.URL = auth
	s.emit(Event{Kind: AuthorizationSeen, Authorization: a, Challenge: &Challenge{URL: url, Type: clip(strings.TrimPrefix(kind, "the "), maxDetail)}})
}

func (p *certify) completed(s *stream, _ string) {
	s.endOrder("valid")
	p.end.set(s, "", "")
}

// problem reads "rateLimited :: detail".
func (p *certify) problem(s *stream, rest string) {
	kind, detail, ok := strings.Cut(rest, " :: ")
	if !ok {
		return
	}
	detail, _, _ = strings.Cut(detail, " [Subproblem]")
	s.emit(Event{Kind: ProblemSeen, Order: s.orderID(), Problem: &Problem{
		Type: clip("urn:ietf:params:acme:error:"+kind, maxDetail), Detail: clip(detail, maxDetail),
	}})
}

// refused reads what the CA said of a request.
func (p *certify) refused(s *stream, detail string) {
	s.emit(Event{Kind: ProblemSeen, Order: s.orderID(), Problem: &Problem{Detail: clip(strings.TrimSpace(detail), maxDetail)}})
}

func (p *certify) finish(s *stream) {
	p.reason(s, "")
	p.end.tell(s)
}
