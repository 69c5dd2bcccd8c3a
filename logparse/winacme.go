package logparse

import (
	"bytes"
	"strings"
)

// win-acme (wacs) writes a file per day, always with all it has to tell:
//
//	2026-11-23 21:18:41.123 +01:00 [VRB] Arguments: --source manual --host a.example
//	2026-11-23 21:18:41.123 +01:00 [INF] Software version 2.2.9.1701 (release, trimmed, standalone, 64-bit) started
//	2026-11-23 21:18:41.123 +01:00 [INF] Plugin Manual generated source a.example with 1 identifiers
//	2026-11-23 21:18:41.123 +01:00 [VRB] Creating order for identifiers: ["a.example"] (notAfter: null, previous: [none])
//	2026-11-23 21:18:41.123 +01:00 [DBG] [HTTP] Send POST to "https://ca.example/acme/new-order"
//	2026-11-23 21:18:41.123 +01:00 [VRB] [HTTP] Request content: {"protected":"…","payload":"…","signature":"…"}
//	2026-11-23 21:18:41.123 +01:00 [VRB] [HTTP] Request completed with status "Created"
//	2026-11-23 21:18:41.123 +01:00 [VRB] [HTTP] Response content: {
//	  the body as the CA wrote it
//	}
//	2026-11-23 21:18:41.123 +01:00 [VRB] Order "https://ca.example/acme/order/1/2" created
//	2026-11-23 21:18:41.123 +01:00 [INF] [a.example] Authorizing using http-01 validation (SelfHosting)
//	2026-11-23 21:18:41.123 +01:00 [DBG] [a.example] Submitting challenge answer
//	2026-11-23 21:18:41.123 +01:00 [ERR] [a.example] Authorization result: invalid
//	2026-11-23 21:18:41.123 +01:00 [ERR] [a.example] {"type":"urn:…", "detail":"…", "status":400}
//	2026-11-23 21:18:41.123 +01:00 [INF] [a.example] Deactivating pending authorization
//	2026-11-23 21:18:41.123 +01:00 [VRB] Exiting with status code 0
//
// The console has the messages of INF and above, behind a blank, or with --verbose all of them behind " [INFO] ". Headers are
// not logged. One request follows the other. In version 2.0 messages do not begin with names, and there are no bodies before some
// version 2.1: names are all that is known then.
//
// From the source of versions 2.0.11, 2.1.23 and 2.2.9; no recorded log.
type winACME struct {
	part    winACMEPart
	at      Place
	body    []byte
	traced  bool // answers have bodies
	command string

	names        []string // of the next order
	orders       int      // that the run makes for one renewal; 0 if that is not known
	name, kind   string   // the authorization at hand
	failure      winACMEFailure
	deactivating []winACMEDeactivation
	end          delayedEnd
}

// A winACMEPart is what the lines that follow are.
type winACMEPart uint8

const (
	winACMELines winACMEPart = iota
	winACMERequest
	winACMEStatus // of an answer, whose body may follow
	winACMEBody
	winACMEProblem // of the challenge that failed
)

// A winACMEFailure is a challenge that failed, whose problem may follow.
type winACMEFailure struct {
	at           Place
	when         instant
	name, status string
}

// A winACMEDeactivation is one that was announced: a refusal may follow.
type winACMEDeactivation struct {
	at   Place
	when instant
	name string
}

// winACMEMessages are the starts of messages that only win-acme writes.
var winACMEMessages = []string{
	"[HTTP] Send ", "[HTTP] Request ", "[HTTP] Response ", "A simple Windows ACMEv2 client (WACS)", "Please report bugs at \"https://github.com/win-acme",
	"Please report bugs at https://github.com/win-acme", "Please report issues at https://github.com/win-acme", "Creating order for identifiers: [",
	"Creating order for hosts: [", "Authorize identifier: ", "Arguments: --renew --baseuri ",
}

func startsWinACME(line []byte) bool {
	message, ok := winACMEMessage(line)
	if !ok {
		return false
	}
	for _, m := range winACMEMessages {
		if bytes.HasPrefix(message, []byte(m)) {
			return true
		}
	}
	if bytes.HasPrefix(message, []byte("Software version ")) {
		return bytes.HasSuffix(message, []byte("-bit) started")) || bytes.HasSuffix(message, []byte("-bit)"))
	}
	_, rest, named := winACMEName(message)
	return named && bytes.HasPrefix(rest, []byte("Authorizing using ")) && bytes.Contains(rest, []byte(" validation ("))
}

// winACMEMessage returns the message of a line in a file or on the console, where that is what follows one blank.
func winACMEMessage(line []byte) (message []byte, ok bool) {
	if isSerilog(line) {
		return line[serilogPrefix:], true
	}
	if len(line) < 3 || line[0] != ' ' || line[1] == ' ' {
		return nil, false
	}
	line = line[1:]
	for _, level := range []string{"[VERB] ", "[DBUG] ", "[INFO] ", "[WARN] ", "[EROR] ", "[FATL] "} {
		if rest, ok := cutPrefix(line, level); ok {
			return rest, true
		}
	}
	return line, true
}

// winACMEName splits "[a.example] message".
func winACMEName(message []byte) (name string, rest []byte, ok bool) {
	if len(message) == 0 || message[0] != '[' {
		return "", message, false
	}
	n, rest, ok := bytes.Cut(message[1:], []byte("] "))
	if !ok || len(n) == 0 || len(n) > maxDetail || bytes.IndexByte(n, ' ') >= 0 || string(n) == "HTTP" {
		return "", message, false
	}
	return string(n), rest, true
}

func (p *winACME) line(s *stream, text []byte) bool {
	message, ok := winACMEMessage(text)
	if !ok {
		p.more(text)
		return true
	}
	p.close(s, message)
	if isSerilog(text) {
		if t, ok := serilogTime(text); ok {
			s.clock.set(t)
		}
	}
	if p.prelude(message) {
		return true
	}
	s.startFirstRun()
	p.read(s, message)
	s.mark(message)
	return true
}

// prelude reads what is logged before the line with the version, which a run starts with.
func (p *winACME) prelude(message []byte) bool {
	if rest, ok := cutPrefix(message, "Arguments: "); ok {
		p.command = clip(string(rest), maxText)
		return true
	}
	return bytes.HasPrefix(message, []byte("A simple Windows ACMEv2 client (WACS)")) || bytes.HasPrefix(message, []byte("No command line arguments"))
}

// more adds a line to a message that goes on.
func (p *winACME) more(text []byte) {
	if p.part != winACMELines && p.part != winACMEStatus && len(p.body)+len(text) < maxRecord {
		p.body = append(append(p.body, '\n'), text...)
	}
}

// open notes that the message at hand may go on.
func (p *winACME) open(s *stream, part winACMEPart, text []byte) {
	p.part, p.at, p.body, s.open = part, s.at, append(p.body[:0], text...), true
}

// close ends the message before; the next one is at hand.
func (p *winACME) close(s *stream, next []byte) {
	part, at := p.part, s.at
	p.part, s.open = winACMELines, false
	s.at = p.at
	switch part {
	case winACMERequest:
		s.jws(p.body)
	case winACMEBody:
		if url, ok := winACMECreated(string(next)); ok {
			s.header([]byte("Location: " + url))
		}
		s.body(p.body)
	case winACMEStatus:
		if s.at = at; !bytes.HasPrefix(next, []byte("[HTTP] Response content: ")) && !bytes.HasPrefix(next, []byte("Response content: ")) {
			s.noBody()
		}
	case winACMEProblem:
		p.tell(s)
	}
	s.at = at
	if _, rest, ok := winACMEName(next); p.failure.status != "" && !(ok && len(rest) > 0 && rest[0] == '{') {
		p.body = p.body[:0]
		p.tell(s)
	}
	if !bytes.HasPrefix(next, []byte("[HTTP] ")) && !bytes.HasSuffix(next, []byte("] Deactivating pending authorization")) {
		p.deactivated(s, bytes.HasPrefix(next, []byte("Unable to deactivate authorizations")))
	}
}

// tell tells of the challenge that failed, once what the CA said of it is known.
func (p *winACME) tell(s *stream) {
	f := p.failure
	p.failure = winACMEFailure{}
	if f.status == "" {
		return
	}
	var problem *Problem
	if len(p.body) > 0 && s.doc.parse(p.body) > 0 {
		problem = problemIn(&s.doc, s.doc.root())
	}
	a := s.named(f.name, f.status)
	a.Problem = problem
	s.emit(Event{Kind: AuthorizationSeen, Place: f.at, Time: s.clock.time(f.when), Authorization: a})
}

// deactivated tells of the deactivations that were announced.
func (p *winACME) deactivated(s *stream, refused bool) {
	kind := AuthorizationDeactivated
	if refused {
		kind = AuthorizationSeen
	}
	for _, d := range p.deactivating {
		s.emit(Event{Kind: kind, Place: d.at, Time: s.clock.time(d.when), Authorization: s.named(d.name, "")})
	}
	p.deactivating = nil
}

// read reads a message.
func (p *winACME) read(s *stream, message []byte) {
	if rest, ok := cutPrefix(message, "[HTTP] "); ok {
		p.trace(s, rest)
	} else if name, rest, ok := winACMEName(message); ok {
		p.end.drop()
		p.name = name
		p.named(s, rest)
	} else if !p.trace(s, message) {
		p.message(s, string(message))
	}
}

// trace reads a message about a request. It reports false if it is none.
func (p *winACME) trace(s *stream, message []byte) bool {
	if rest, ok := cutPrefix(message, "Send "); ok {
		p.sending(s, rest)
	} else if rest, ok := cutPrefix(message, "Request content: "); ok {
		p.open(s, winACMERequest, rest)
	} else if rest, ok := cutPrefix(message, "Request completed with status "); ok {
		s.response(httpStatus(unquote(rest)))
		p.open(s, winACMEStatus, nil)
	} else if rest, ok := cutPrefix(message, "Response content: "); ok {
		p.traced = true
		p.open(s, winACMEBody, rest)
	} else {
		return false
	}
	return true
}

// sending reads `POST to "https://…"`, or "POST request to https://…".
func (p *winACME) sending(s *stream, message []byte) {
	method, url, ok := bytes.Cut(message, []byte(" to "))
	url = unquote(url)
	if !ok || !isURL(string(url)) || len(url) > maxURL {
		return
	}
	m, _, _ := strings.Cut(string(unquote(method)), " ")
	s.request(m, url)
}

// winACMEStatusOf returns the status of an authorization whose challenge has the given one.
func winACMEStatusOf(status string) string {
	if status == "processing" {
		return "pending"
	}
	return clip(status, maxDetail)
}

// named reads a message about the authorization for p.name.
func (p *winACME) named(s *stream, message []byte) {
	text := string(message)
	status, result := strings.CutPrefix(text, "Authorization result: ")
	switch {
	case strings.HasPrefix(text, "Authorizing using "):
		p.kind, _, _ = strings.Cut(clip(text[len("Authorizing using "):], maxDetail), " ")
	case strings.HasPrefix(text, "Error prepar"):
		s.fail(p.blame(), text, p.name)
	case strings.HasPrefix(text, "Expected challenge type ") && strings.HasSuffix(text, " not available."):
		s.fail(CauseCheck, text, p.name)
	case p.traced:
	case text == "Authorizing...":
		p.begin(s)
		s.sawName(p.name, "pending", nil)
	case strings.HasPrefix(text, "Cached authorization result: "):
		p.begin(s)
		s.sawName(p.name, text[len("Cached authorization result: "):], nil)
	case text == "Submitting challenge answer":
		s.emit(Event{Kind: ChallengeAnswered, Challenge: &Challenge{Type: p.kind}, Authorization: s.named(p.name, "")})
	case result:
		p.result(s, status)
	case message[0] == '{' && p.failure.status != "":
		p.open(s, winACMEProblem, message)
	case text == "Deactivating pending authorization" && len(p.deactivating) < maxLoose:
		p.deactivating = append(p.deactivating, winACMEDeactivation{s.at, s.clock.instant(), p.name})
	}
}

// begin starts an order if that is not logged: where there is only one.
func (p *winACME) begin(s *stream) {
	if s.order == nil && p.orders == 1 {
		s.startOrder(p.names...)
	}
}

// blame returns the cause of a failure in a plug-in.
func (p *winACME) blame() Cause {
	if p.kind == "dns-01" {
		return CauseDNS
	}
	return CauseHook
}

// result reads what became of the challenge for p.name.
func (p *winACME) result(s *stream, status string) {
	if p.name == "" || p.traced {
		return
	}
	if status == "valid" {
		s.sawName(p.name, status, nil)
		return
	}
	p.failure = winACMEFailure{s.at, s.clock.instant(), p.name, winACMEStatusOf(status)}
}

// winACMEFailures are the starts of other messages about what goes wrong, and their causes.
var winACMEFailures = []struct {
	text  string
	cause Cause
}{
	{"(HttpRequestException)", CauseNetwork},
	{"(WinHttpException)", CauseNetwork},
	{"(SocketException)", CauseNetwork},
	{"(TaskCanceledException)", CauseNetwork},
	{"(TimeoutException)", CauseNetwork},
	{"No plugin found that can challenge for ", CauseCheck},
}

// message reads a message that is neither about a request nor begins with a name.
func (p *winACME) message(s *stream, text string) {
	switch {
	case strings.HasPrefix(text, "Software version "):
		p.starting(s, text[len("Software version "):])
	case strings.HasPrefix(text, "Creating order for "):
		p.ordering(s, text)
	case strings.HasPrefix(text, "Order "):
		if url, ok := winACMECreated(text); ok {
			p.ordered(s, url)
		}
	case strings.HasPrefix(text, "Failed to create order: "):
		p.refused(s, text[len("Failed to create order: "):])
	case strings.HasPrefix(text, "An error occured while commiting "):
		s.fail(p.blame(), text, "")
	case strings.HasPrefix(text, "Downloading certificate "):
		if !p.traced {
			s.endOrder("valid")
		}
	case strings.HasPrefix(text, "Exiting with status code "):
		p.exit(s, text[len("Exiting with status code "):])
	case strings.HasPrefix(text, "Authorization result: "):
		p.result(s, text[len("Authorization result: "):])
	case strings.HasPrefix(text, "("), strings.HasPrefix(text, "No plugin "):
		for _, f := range winACMEFailures {
			if strings.HasPrefix(text, f.text) {
				s.fail(f.cause, text, "")
			}
		}
	default:
		p.progress(s, text)
	}
}

// progress reads how far win-acme is with a renewal.
func (p *winACME) progress(s *stream, text string) {
	switch {
	case strings.HasPrefix(text, "Plugin ") && strings.Contains(text, " generated source "), strings.HasPrefix(text, "Renewing "),
		strings.HasPrefix(text, "Source generated using plugin "):
		p.end.drop()
		p.names, p.orders, s.order = nil, 0, nil
	case strings.HasPrefix(text, "Plugin ") && strings.HasSuffix(text, " created 1 order"), text == "Source converted into 1 order(s)":
		p.orders = 1
	case strings.HasPrefix(text, "Renewal for ") && (strings.HasSuffix(text, " succeeded") || strings.HasSuffix(text, " succeeded with errors")),
		strings.HasPrefix(text, "Certificate ") && strings.HasSuffix(text, " created"):
		p.end.set(s, "", "")
	case strings.HasPrefix(text, "Renewal for ") && strings.HasSuffix(text, " failed, will retry on next run"), text == "Create certificate failed":
		p.end.set(s, "error", text)
	case strings.HasPrefix(text, "Authorize identifier: "): // version 2.0
		p.name = clip(text[len("Authorize identifier: "):], maxDetail)
	case text == "Submitting challenge answer" && p.name != "" && !p.traced:
		s.answeredName(p.name)
	case strings.HasPrefix(text, "Authorizing ") && strings.Contains(text, " using ") && !p.traced:
		name, kind, _ := strings.Cut(clip(text[len("Authorizing "):], maxDetail), " using ")
		p.name = name
		p.kind, _, _ = strings.Cut(kind, " ")
		s.sawName(p.name, "pending", nil)
	}
}

// starting reads "2.2.9.1701 (release, trimmed, standalone, 64-bit) started".
func (p *winACME) starting(s *stream, text string) {
	p.end.tell(s)
	version, _, _ := strings.Cut(text, " ")
	s.startRun(version, p.command)
	*p = winACME{body: p.body[:0]}
}

// ordering reads `Creating order for identifiers: ["a.example","b.example"] (notAfter: …)`.
func (p *winACME) ordering(s *stream, text string) {
	i := strings.IndexByte(text, '[')
	if i < 0 || s.doc.parse([]byte(text[i:])) == 0 {
		return
	}
	p.names = nil
	for n := range s.doc.elements(s.doc.root()) {
		p.names = append(p.names, s.doc.str(n))
	}
	s.order = nil
}

// winACMECreated returns the URL in `Order "https://…" created`, which comes right after the order.
func winACMECreated(message string) (url string, ok bool) {
	message, ok1 := strings.CutPrefix(message, "Order ")
	message, ok2 := strings.CutSuffix(message, " created")
	url = string(unquote([]byte(message)))
	return url, ok1 && ok2 && isURL(url) && len(url) <= maxURL
}

// ordered reads the URL of the order that was made.
func (p *winACME) ordered(s *stream, url string) {
	o := &Order{ID: url, URL: url}
	switch {
	case s.order == nil:
		o.Identifiers = identifiers(p.names)
	case s.order.URL == url:
		return
	case s.order.URL == "":
		o.ID = s.order.ID
	}
	s.order = o
	s.emit(Event{Kind: OrderSeen, Order: o})
}

// refused reads why the CA made no order, which an answer has told if it is logged.
func (p *winACME) refused(s *stream, detail string) {
	if !p.traced {
		s.emit(Event{Kind: ProblemSeen, Problem: &Problem{Detail: clip(detail, maxDetail)}})
	}
}

func (p *winACME) exit(s *stream, code string) {
	p.end.drop()
	if code == "0" {
		s.endRun("", "")
		return
	}
	s.endRun("status "+clip(code, maxDetail), "")
}

func (p *winACME) finish(s *stream) {
	p.close(s, nil)
	p.end.tell(s)
}
