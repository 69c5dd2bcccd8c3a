package logparse

import (
	"bytes"
	"net/http"
	"strings"
	"time"
)

// Apache's mod_md writes to the server's error log, in local time:
//
//	[Mon Nov 23 21:29:45.493286 2026] [md:debug] [pid 16722:tid 16723] md_acme.c(349): sending req: POST https://ca.example/acme/new-order
//	[…] [md:trace1] […] md_acme.c(249): acme payload(len=103): {"identifiers":[…]}
//	[…] [md:trace1] […] md_acme.c(286): response: 201
//	[…] [md:trace2] […] md_acme.c(297): response: {\n  "status": "pending",\n  …}
//	[…] [md:error] […] ACME server authz: challenge 'invalid' for a.example at https://ca.example/acme/authz/1/2. Exact response was: {"status":"invalid",…}
//	[…] [md:notice] […] AH10059: The Managed Domain a.example has been setup and changes will be activated on next (graceful) server restart.
//
// The first two are there at debug and trace1, the answers at trace2, the fourth at error. Apache cuts lines at 8190 bytes without a
// mark, in the middle of a URL perhaps; the quotes in strings are escaped once more. A server works on one domain after the
// other in one thread, and serves on: its run ends with the server.
type modMD struct{}

const (
	apacheStamp = "00:00:00.000000 0000"
	authzMark   = "ACME server authz: challenge '"
)

func startsModMD(line []byte) bool {
	return len(line) > 0 && line[0] == '[' && bytes.Contains(line[:min(len(line), 64)], []byte("] [md:"))
}

func (p *modMD) line(s *stream, text []byte) bool {
	if t, ok := apacheTime(text); ok {
		s.clock.setLocal(t)
	} else {
		return false
	}
	message, ok := apacheMessage(text)
	if !ok {
		return true
	}
	p.server(s, message)
	if bytes.Contains(text[:min(len(text), 64)], []byte("] [md:")) {
		p.read(s, message)
	}
	s.mark(message)
	return true
}

// apacheTime reads "[Mon Nov 23 21:29:45.493286 2026]".
func apacheTime(line []byte) (t time.Time, ok bool) {
	const start = len("[Mon Nov 23 ")
	if len(line) < start+len(apacheStamp)+1 || line[0] != '[' || line[start+len(apacheStamp)] != ']' {
		return t, false
	}
	t, err := time.Parse("[Mon Jan _2 15:04:05.000000 2006]", string(line[:start+len(apacheStamp)+1]))
	return t, err == nil
}

// apacheMessage returns what follows the fields in brackets, and the place in the source.
func apacheMessage(line []byte) ([]byte, bool) {
	for len(line) > 0 && line[0] == '[' {
		end := bytes.Index(line, []byte("] "))
		if end < 0 {
			return nil, false
		}
		line = line[end+2:]
	}
	if place, rest, ok := bytes.Cut(line, []byte("): ")); ok && bytes.Contains(place, []byte(".c(")) && !bytes.Contains(place, []byte{' '}) {
		line = rest
	}
	return line, true
}

// server reads what the server says of itself.
func (p *modMD) server(s *stream, message []byte) {
	switch {
	case bytes.Contains(message, []byte("resuming normal operations")):
		s.startRunUnlessFresh()
		if version, ok := between(message, ": ", " configured"); ok {
			s.run.version = clip(string(version), maxDetail)
		}
	case bytes.Contains(message, []byte("caught SIGTERM, shutting down")), bytes.Contains(message, []byte("caught SIGWINCH, shutting down")):
		s.endRun("", "")
	}
}

// read reads a message of mod_md.
func (p *modMD) read(s *stream, message []byte) {
	switch {
	case bytes.HasPrefix(message, []byte("sending req: ")):
		if _, url, ok := bytes.Cut(message[len("sending req: "):], []byte{' '}); ok {
			s.request(http.MethodPost, url) // what mod_md calls GET, too
		}
	case bytes.HasPrefix(message, []byte("acme payload(len=")):
		if _, payload, ok := bytes.Cut(message, []byte("): ")); ok {
			s.signed(payload)
		}
	case bytes.HasPrefix(message, []byte("response: ")):
		p.response(s, message[len("response: "):])
	case bytes.HasPrefix(message, []byte(authzMark)):
		p.authorization(s, message)
	case bytes.Contains(message, []byte("The Managed Domain ")):
		if name, ok := between(message, "The Managed Domain ", " has been setup"); ok {
			s.sawName(string(name), "valid", nil)
		}
	case bytes.HasPrefix(message, []byte("updated acct ")), bytes.HasPrefix(message, []byte("registered new account ")):
		if i := bytes.LastIndexByte(message, ' '); isURL(string(message[i+1:])) {
			s.account = string(message[i+1:])
		}
	default:
		p.failed(s, message)
	}
}

// response reads the status of an answer, or its body.
func (p *modMD) response(s *stream, text []byte) {
	if code, ok := digits(text); ok {
		s.response(code)
		return
	}
	if isNewOrder(s.exchange.url) {
		s.order = nil
	}
	s.body(text)
}

// authorization reads what mod_md was told about an authorization.
func (p *modMD) authorization(s *stream, message []byte) {
	head, body, ok := bytes.Cut(message, []byte(". Exact response was: "))
	i := bytes.LastIndex(head, []byte(" at "))
	if i < 0 {
		return
	}
	url := s.element(head[i+len(" at "):])
	if ok && s.doc.parse(body) > 0 && s.doc.isObject(s.doc.root()) {
		s.tellAuthorization(s.doc.root(), url)
		return
	}
	if status, ok := between(head, "challenge '", "'"); ok && (string(status) == "valid" || string(status) == "invalid") {
		s.sawURL(AuthorizationSeen, []byte(url), string(status))
	}
}

// failed reads an error of mod_md's own.
func (p *modMD) failed(s *stream, message []byte) {
	if !bytes.Contains(message, []byte("] while[")) && !bytes.Contains(message, []byte("AH10056: ")) {
		return
	}
	text := string(message)
	switch {
	case strings.Contains(text, "Connection refused"), strings.Contains(text, "timed out"), strings.Contains(text, "esolve host"),
		strings.Contains(text, "unsuccessful in contacting ACME server"), strings.Contains(text, "SSL "):
		s.fail(CauseNetwork, text, "")
	case strings.Contains(text, "dns-01"), strings.Contains(text, "MDChallengeDns01"), strings.Contains(text, "command"):
		s.fail(CauseHook, text, "")
	case strings.Contains(text, "none of the offered challenge types"), strings.Contains(text, "not acceptable"):
		s.fail(CauseCheck, text, "")
	}
}
