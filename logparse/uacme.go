package logparse

import (
	"bytes"
	"strings"
	"time"
)

// uacme writes to standard error, without time but for the first line (-v):
//
//	uacme: version 1.7.4 starting on Mon, 23 Nov 2026 21:06:21 +0000
//	uacme: account location: https://ca.example/acme/acct/1
//	uacme: order location: https://ca.example/acme/order/1/2
//	uacme: retrieving authorization at https://ca.example/acme/authz/1/2
//	uacme: running /etc/uacme.sh begin http-01 a.example <token> <key authorization>
//	uacme: starting challenge at https://ca.example/acme/chall/1/2/x
//	uacme: running /etc/uacme.sh done http-01 a.example <token> <key authorization>
//
// It handles one authorization after the other. With -v -v -v it also logs requests and answers:
//
//	uacme: acme_post: url=https://ca.example/acme/new-order payload={…} protected={"alg":"RS256","kid":…} jws={…}
//	uacme: acme_post: HTTP headers:
//	HTTP/2 201
//	…
//	uacme: acme_post: HTTP body:
//	{ the body as the CA wrote it, over one or more lines }
//	uacme: acme_post: return code 201, json=
//	{ the same again }
//
// Without any -v it logs only what went wrong:
//
//	uacme: challenge https://ca.example/acme/chall/1/2/x failed with status invalid
//	uacme: the server reported the following error:
//	{ a problem }
//	uacme: failed to authorize order at https://ca.example/acme/order/1/2
type uacme struct {
	part   uacmePart
	at     Place
	body   []byte
	traced bool // requests and answers are logged

	// The authorization at hand, and what was made of it.
	authorization, challenge string
	kind, name, status       string
}

// An uacmePart is what the lines that follow are.
type uacmePart uint8

const (
	uacmeLines uacmePart = iota
	uacmeHeaders
	uacmeBody
	uacmeAgain   // the body once more
	uacmeProblem // of the challenge that failed
)

func startsUacme(line []byte) bool {
	return len(line) > len("uacme: ") && line[0] == 'u' && string(line[:len("uacme: ")]) == "uacme: "
}

func (p *uacme) line(s *stream, text []byte) bool {
	if !startsUacme(text) {
		return p.more(s, text)
	}
	p.close(s)
	message := text[len("uacme: "):]
	if p.status != "" && string(message) != uacmeReported {
		p.tell(s)
	}
	if s.run.ended {
		s.startRun("", "")
	}
	s.startFirstRun()
	if rest, ok := cutPrefix(message, "acme_"); ok {
		p.trace(s, rest)
	} else {
		p.message(s, message)
	}
	s.mark(message)
	return true
}

// trace reads a message of acme_get or acme_post.
func (p *uacme) trace(s *stream, message []byte) {
	function, rest, ok := bytes.Cut(message, []byte(": "))
	if !ok {
		return
	}
	p.at = s.at
	switch {
	case bytes.HasPrefix(rest, []byte("url=")):
		p.traced = true
		p.sending(s, string(bytes.ToUpper(function)), rest[len("url="):])
	case bytes.HasPrefix(rest, []byte("HTTP headers")):
		p.open(s, uacmeHeaders)
	case bytes.HasPrefix(rest, []byte("HTTP body")):
		p.open(s, uacmeBody)
	case bytes.HasPrefix(rest, []byte("return code ")):
		p.open(s, uacmeAgain)
	case bytes.HasSuffix(rest, []byte("_get failed")), bytes.HasSuffix(rest, []byte("_post failed")):
		s.fail(CauseNetwork, "acme_"+string(message), "")
	}
}

// sending reads "https://… payload={…} protected={…} jws={…}".
func (p *uacme) sending(s *stream, method string, text []byte) {
	url, rest, _ := bytes.Cut(text, []byte(" payload="))
	payload, rest, ok := bytes.Cut(rest, []byte(" protected="))
	if method == "POST" {
		s.signing(payload)
	}
	s.request(method, url)
	if !ok {
		return
	}
	protected, _, _ := bytes.Cut(rest, []byte(" jws="))
	if kid, ok := kidOf(protected); ok {
		s.account = kid
	}
}

func (p *uacme) open(s *stream, part uacmePart) {
	p.part, p.body, s.open = part, p.body[:0], true
}

// more reads a line that continues a record, or one of a hook.
func (p *uacme) more(s *stream, text []byte) bool {
	switch p.part {
	case uacmeHeaders:
		p.header(s, text)
	case uacmeBody, uacmeProblem:
		if len(p.body)+len(text) < maxRecord {
			p.body = append(append(p.body, text...), '\n')
		}
	}
	return true
}

func (p *uacme) header(s *stream, text []byte) {
	if _, rest, ok := bytes.Cut(text, []byte{' '}); ok && bytes.HasPrefix(text, []byte("HTTP/")) {
		status, _, _ := bytes.Cut(rest, []byte{' '})
		if code, ok := digits(status); ok {
			s.response(code)
		}
		return
	}
	s.header(text)
}

// close ends a record.
func (p *uacme) close(s *stream) {
	at := s.at
	s.at = p.at
	switch p.part {
	case uacmeBody:
		s.body(p.body)
	case uacmeProblem:
		p.tell(s)
	}
	s.at = at
	p.part, s.open = uacmeLines, false
}

func (p *uacme) finish(s *stream) {
	p.close(s)
	if p.status != "" {
		p.tell(s)
	}
}

const uacmeReported = "the server reported the following error:"

// message reads a message that is not about a request.
func (p *uacme) message(s *stream, message []byte) {
	text := string(message)
	switch {
	case strings.HasPrefix(text, "version "):
		p.starting(s, text[len("version "):])
	case strings.HasPrefix(text, "account location: "), strings.HasPrefix(text, "account created at "), strings.HasPrefix(text, "Account already exists at "):
		s.account = text[strings.LastIndexByte(text, ' ')+1:]
	case strings.HasPrefix(text, "order location: "):
		p.ordered(s, text[len("order location: "):])
	case strings.HasPrefix(text, "retrieving authorization at "):
		p.retrieving(s, text[len("retrieving authorization at "):])
	case strings.HasPrefix(text, "running "):
		p.running(s, strings.Fields(text[len("running "):]))
	case strings.HasPrefix(text, "starting challenge at "):
		p.answering(s, text[len("starting challenge at "):])
	case strings.HasPrefix(text, "challenge "):
		p.failed(s, text)
	case text == uacmeReported && p.status != "":
		p.open(s, uacmeProblem)
	default:
		p.later(s, text)
	}
}

// starting reads "1.7.4 starting on Mon, 23 Nov 2026 21:06:21 +0000".
func (p *uacme) starting(s *stream, text string) {
	version, date, _ := strings.Cut(text, " starting on ")
	s.clock.restart()
	if t, err := time.Parse(time.RFC1123Z, date); err == nil {
		s.clock.date(t)
	}
	s.startRun(version, "")
	*p = uacme{body: p.body}
}

// ordered tells of the order, which at -v is all that is logged of it.
func (p *uacme) ordered(s *stream, url string) {
	if p.traced || !isURL(url) {
		return
	}
	s.order = &Order{ID: url, URL: url}
	s.emit(Event{Kind: OrderSeen, Order: &Order{ID: url, URL: url}})
}

func (p *uacme) retrieving(s *stream, url string) {
	p.authorization, p.name, p.status = s.element([]byte(url)), "", ""
	if !p.traced && p.authorization != "" {
		s.emit(Event{Kind: AuthorizationSeen, Authorization: p.seen(s, "")})
	}
}

// seen returns the authorization at hand.
func (p *uacme) seen(s *stream, status string) *Authorization {
	a := s.named(p.name, status)
	if p.name == "" {
		a.Identifier = Identifier{}
	}
	a.URL = p.authorization
	return a
}

// running reads "/etc/uacme.sh begin http-01 a.example …": the hook runs for authorizations that are pending, and with
// "done" for those that became valid.
func (p *uacme) running(s *stream, words []string) {
	for i, w := range words {
		if len(words)-i < 4 || w != "begin" && w != "done" && w != "failed" {
			continue
		}
		first := p.name == ""
		p.kind, p.name = words[i+1], words[i+2]
		switch {
		case p.traced:
		case w == "begin" && first:
			s.emit(Event{Kind: AuthorizationSeen, Authorization: p.seen(s, "pending")})
		case w == "done":
			s.emit(Event{Kind: AuthorizationSeen, Authorization: p.seen(s, "valid")})
		}
		return
	}
}

func (p *uacme) answering(s *stream, url string) {
	p.challenge = clip(url, maxURL)
	if p.traced {
		return
	}
	s.emit(Event{Kind: ChallengeAnswered, Challenge: &Challenge{URL: p.challenge, Type: p.kind}, Authorization: p.seen(s, "")})
}

// failed reads "challenge https://… failed with status invalid".
func (p *uacme) failed(s *stream, text string) {
	url, status, ok := strings.Cut(strings.TrimPrefix(text, "challenge "), " failed with status ")
	if !ok || p.traced {
		return
	}
	if a := s.authorizationOfChallenge(url, ""); a != "" {
		p.authorization = a
	}
	p.at, p.challenge, p.status = s.at, clip(url, maxURL), clip(status, maxDetail)
	p.body, s.open = p.body[:0], true
}

// tell tells of the challenge that failed, once what the CA said of it is known.
func (p *uacme) tell(s *stream) {
	a := p.seen(s, p.status)
	if s.doc.parse(p.body) > 0 {
		a.Problem = problemIn(&s.doc, s.doc.root())
	}
	if a.URL != "" || p.name != "" {
		at := s.at
		s.at = p.at
		s.emit(Event{Kind: AuthorizationSeen, Challenge: &Challenge{URL: p.challenge, Type: p.kind, Status: p.status}, Authorization: a})
		s.at = at
	}
	p.status = ""
}

// uacmeEnds are the starts of the messages with which uacme gives up.
var uacmeEnds = []string{
	"failed to authorize order at ", "failed to create new order at ", "failed to fetch directory at ", "failed to retrieve account at ",
	"failed to finalize order at ", "failed to poll order status at ", "failed to retrieve certificate at ", "unexpected order status ",
	"timeout while polling order status at ", "invalid order status ",
}

// later reads what follows the authorizations, or ends them.
func (p *uacme) later(s *stream, text string) {
	switch {
	case strings.HasPrefix(text, "finalizing order at ") && !p.traced:
		s.endOrder("ready")
	case strings.HasPrefix(text, "retrieving certificate at ") && !p.traced:
		s.endOrder("valid")
	case strings.HasPrefix(text, "renaming ") && strings.HasSuffix(text, "cert.pem"):
		s.endRun("", "")
	case text == "no challenge completed":
		s.fail(CauseHook, text, p.name)
	case strings.HasPrefix(text, "hook_run: "):
		s.fail(CauseHook, text, p.name)
	}
	for _, end := range uacmeEnds {
		if strings.HasPrefix(text, end) {
			s.endRun("error", text)
			return
		}
	}
}
