package logparse

import (
	"bytes"
	"net/http"
	"strings"
)

// acme-tiny writes to standard error, without time and URLs of authorizations:
//
//	Parsing account key...
//	Found domains: a.example, b.example
//	Registered! Account ID: https://ca.example/acme/acct/1
//	Order created!
//	Already verified: a.example, skipping...
//	Verifying b.example...
//	b.example verified!
//	Signing certificate...
//	Certificate signed!
//
// It handles one authorization after the other. What fails is raised, and the last line of the traceback tells: what the
// CA answered, as a Python literal, or that its own check failed.
//
//	ValueError: Challenge did not pass for b.example: {'status': 'invalid', 'identifier': …}
//	ValueError: Wrote file to /var/www/…, but couldn't download http://b.example/.well-known/acme-challenge/…: Error:
//	ValueError: Error creating new order:
//	Url: https://ca.example/acme/new-order
//	Data: b'…'
//	Response Code: 429
//	Response: {'type': 'urn:ietf:params:acme:error:rateLimited', …}
type acmeTiny struct {
	names  []string
	name   string // the one that is being verified
	raised bool   // within a traceback
	end    delayedEnd
}

func startsAcmeTiny(line []byte) bool {
	return string(line) == "Parsing account key..." || bytes.HasPrefix(line, []byte("ValueError: Challenge did not pass for "))
}

func (p *acmeTiny) line(s *stream, text []byte) bool {
	s.startFirstRun()
	if p.raised || bytes.HasPrefix(text, []byte("Traceback (most recent call last):")) || isRaised(text) {
		if string(text) != "Parsing account key..." {
			p.raised = true
			p.raise(s, text)
			return true
		}
	}
	known := p.step(s, string(text))
	if known {
		s.mark(text)
	}
	return known
}

func isRaised(text []byte) bool { return bytes.HasPrefix(text, []byte("ValueError: ")) }

// step reads a line of progress.
func (p *acmeTiny) step(s *stream, text string) bool {
	switch text {
	case "Parsing account key...":
		p.finish(s)
		s.clock.restart()
		s.startRun("", "")
		*p = acmeTiny{}
	case "Order created!":
		s.startOrder(p.names...)
	case "Signing certificate...":
		s.endOrder("ready")
	case "Certificate signed!":
		s.endOrder("valid")
		s.endRun("", "")
	case "Parsing CSR...", "Getting directory...", "Directory found!", "Registering account...", "Creating new order...":
	default:
		return p.about(s, text)
	}
	return true
}

// about reads a line of progress that tells more.
func (p *acmeTiny) about(s *stream, text string) bool {
	if _, account, ok := strings.Cut(text, "egistered! Account ID: "); ok {
		s.account = account
	} else if names, ok := strings.CutPrefix(text, "Found domains: "); ok {
		p.names = strings.Split(names, ", ")
	} else if name, ok := strings.CutPrefix(text, "Already verified: "); ok {
		s.sawName(strings.TrimSuffix(name, ", skipping..."), "valid", nil)
	} else if name, ok := strings.CutPrefix(text, "Verifying "); ok && strings.HasSuffix(name, "...") {
		p.name = strings.TrimSuffix(name, "...")
		s.sawName(p.name, "pending", nil)
	} else if name, ok := strings.CutSuffix(text, " verified!"); ok && !strings.Contains(name, " ") {
		s.emit(Event{Kind: ChallengeAnswered, Challenge: new(Challenge), Authorization: s.named(name, "")})
		s.sawName(name, "valid", nil)
	} else {
		return strings.HasPrefix(text, "Updated contact details:") || strings.HasPrefix(text, "Already registered!") || text == "Registered!"
	}
	return true
}

// raise reads a line of a traceback, or of what was raised.
func (p *acmeTiny) raise(s *stream, text []byte) {
	message := string(text)
	if isException(text) && (isRaised(text) || strings.Contains(strings.SplitN(message, " ", 2)[0], "Error:")) {
		p.end.set(s, "error", message)
		s.mark(text)
	}
	switch {
	case strings.HasPrefix(message, "ValueError: Challenge did not pass for "):
		p.invalid(s, text)
	case strings.HasPrefix(message, "ValueError: Order failed: "):
		p.order(s, text)
	case strings.HasPrefix(message, "ValueError: Wrote file to "):
		s.fail(CauseCheck, message, p.name)
	case strings.HasPrefix(message, "Url: "):
		s.exchange.drop()
		if url := message[len("Url: "):]; !strings.Contains(url, "/.well-known/acme-challenge/") {
			s.request(http.MethodPost, []byte(url))
		}
	case strings.HasPrefix(message, "Response Code: "):
		if code, ok := digits(text[len("Response Code: "):]); ok {
			s.response(code)
		}
	case strings.HasPrefix(message, "Response: "):
		p.response(s, text[len("Response: "):])
	}
}

// response reads what a request got: an answer of the CA, or an error of the network.
func (p *acmeTiny) response(s *stream, text []byte) {
	if s.exchange.answered {
		return
	}
	if bytes.HasPrefix(text, []byte("<urlopen error ")) {
		s.fail(CauseNetwork, string(text), "")
		s.exchange.drop()
		return
	}
	s.body(text)
}

// invalid reads "ValueError: Challenge did not pass for b.example: {…}".
func (p *acmeTiny) invalid(s *stream, text []byte) {
	i := bytes.IndexByte(text, '{')
	if i < 0 || s.doc.parse(text[i:]) == 0 {
		return
	}
	doc, r := &s.doc, s.doc.root()
	a := s.authorizationIn(doc, r, "")
	if s.order != nil {
		a.Order = s.order.ID
	}
	for c := range doc.elements(doc.member(r, "challenges")) {
		if status := doc.str(doc.member(c, "status")); status != "pending" {
			s.emit(Event{Kind: ChallengeAnswered, Authorization: &Authorization{URL: a.URL, Order: a.Order, Identifier: a.Identifier}, Challenge: &Challenge{
				URL: doc.str(doc.member(c, "url")), Type: doc.str(doc.member(c, "type")), Status: status,
			}})
		}
	}
	s.emit(Event{Kind: AuthorizationSeen, Authorization: a})
}

// order reads "ValueError: Order failed: {…}".
func (p *acmeTiny) order(s *stream, text []byte) {
	i := bytes.IndexByte(text, '{')
	if i < 0 || s.doc.parse(text[i:]) == 0 {
		return
	}
	o := orderIn(s, &s.doc, s.doc.root())
	if s.order != nil {
		o.ID = s.order.ID
	}
	s.emit(Event{Kind: OrderSeen, Order: o})
}

func (p *acmeTiny) finish(s *stream) { p.end.tell(s) }
