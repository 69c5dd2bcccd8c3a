package logparse

import (
	"bytes"
	"net/http"
	"strings"
)

// lacme --debug writes to standard error, without time:
//
//	Using configuration file: /etc/lacme/lacme.conf
//	[a.example] Will request authorization for: a.example, b.example
//	[101] SIGNED header=base64url({"alg":"RS256","kid":…}) playload=base64url({…})
//	[102] >>> POST https://ca.example/acme/new-order <<<
//	[102] >>> 201 Created
//	Location: https://ca.example/acme/order/1/2
//	…
//	{
//	  the body as the CA wrote it
//	}[101] SIGNED header=…
//
// No line end follows a body, so that the next message is on its last line. Without --debug there are no URLs. The
// numbers are processes: one signs, one asks the CA; both serve one run.
type lacme struct {
	part   lacmePart
	at     Place
	body   []byte
	names  []string // of the certificate that is asked for
	traced bool     // requests and answers are logged
}

// A lacmePart is what the lines that follow are.
type lacmePart uint8

const (
	lacmeLines lacmePart = iota
	lacmeHeaders
	lacmeBody
)

func startsLacme(line []byte) bool {
	return bytes.HasPrefix(line, []byte("Using configuration file: ")) && bytes.Contains(line, []byte("lacme")) ||
		bytes.Contains(line, []byte("] Will request authorization for: ")) || bytes.Contains(line, []byte("] SIGNED header=base64url("))
}

func (p *lacme) line(s *stream, text []byte) bool {
	switch p.part {
	case lacmeHeaders:
		if isLacmeHeader(text) {
			s.header(text)
			return true
		}
		p.part, p.body = lacmeBody, p.body[:0]
		return p.more(s, text)
	case lacmeBody:
		return p.more(s, text)
	}
	return p.message(s, text)
}

// isLacmeHeader reports whether a line is of an answer's header. Some answers have their status there once more.
func isLacmeHeader(text []byte) bool {
	if _, ok := digits(text[:min(len(text), 3)]); ok {
		return true
	}
	name, _, ok := bytes.Cut(text, []byte{':'})
	return len(text) == 0 || ok && text[0] != '[' && text[0] != '{' && bytes.IndexByte(name, ' ') < 0
}

// more reads a line of a body. The brace that ends it stands at the start of a line that the next message may be on.
func (p *lacme) more(s *stream, text []byte) bool {
	if len(p.body) == 0 && bytes.Contains(text, []byte("] Incoming connection from ")) {
		return true // to the web server for challenges, a process of its own
	}
	if len(p.body) == 0 && text[0] != '{' {
		p.finish(s)
		return p.message(s, text)
	}
	if len(p.body)+len(text) < maxRecord {
		p.body = append(append(p.body, text...), '\n')
	}
	last := bytes.LastIndexByte(text, '}')
	if last < 0 || text[0] != '}' && len(p.body) > len(text)+1 {
		return true
	}
	rest := text[1:]
	if text[0] != '}' {
		n := s.doc.parse(p.body)
		if n == 0 || s.doc.cut() {
			return true
		}
		rest = text[min(n, len(text)):]
	}
	p.finish(s)
	p.message(s, rest)
	return true
}

// message reads a line that is not part of an answer. All but what openssl and hooks print is of a known shape.
func (p *lacme) message(s *stream, text []byte) bool {
	if config, ok := cutPrefix(text, "Using configuration file: "); ok && !bytes.Contains(config, []byte("accountd")) {
		p.finish(s)
		s.clock.restart()
		s.startRun("", "")
		p.names, p.traced = nil, false
	}
	s.startFirstRun()
	if len(text) == 0 || text[0] != '[' {
		p.plain(s, string(text))
		return true
	}
	who, message, ok := bytes.Cut(text[1:], []byte("] "))
	if !ok {
		return true
	}
	switch {
	case bytes.HasPrefix(message, []byte(">>> ")):
		p.exchange(s, message[len(">>> "):])
	case bytes.HasPrefix(message, []byte("SIGNED header=base64url(")):
		p.signed(s, message[len("SIGNED header=base64url("):])
	case bytes.HasPrefix(message, []byte("Will request authorization for: ")):
		p.names = strings.Split(string(message[len("Will request authorization for: "):]), ", ")
	case bytes.HasPrefix(message, []byte("Error: ")):
		p.ordered(s)
		s.endRun("error", "["+string(who)+"] "+string(message))
	}
	s.mark(message)
	return true
}

// ordered tells of the order, where requests are not logged.
func (p *lacme) ordered(s *stream) {
	if !p.traced && len(p.names) > 0 {
		s.startOrder(p.names...)
	}
	p.names = nil
}

// plain reads a line without a prefix.
func (p *lacme) plain(s *stream, text string) {
	switch {
	case strings.HasPrefix(text, "Key ID: "):
		s.account = text[len("Key ID: "):]
	case strings.HasPrefix(text, "Installing X.509 certificate "):
		p.ordered(s)
		s.endOrder("valid")
		s.endRun("", "")
	case strings.HasPrefix(text, "Can't connect to "), strings.HasPrefix(text, "500 Can't connect to "):
		s.fail(CauseNetwork, text, "")
	case strings.HasPrefix(text, "Error: "):
		s.endRun("error", text)
	}
}

// signed reads `{…}) playload=base64url({…})`.
func (p *lacme) signed(s *stream, text []byte) {
	header, payload, ok := bytes.Cut(text, []byte(") p"))
	if kid, known := kidOf(header); known {
		s.account = kid
	}
	if _, payload, found := bytes.Cut(payload, []byte("=base64url(")); ok && found {
		s.signing(bytes.TrimSuffix(payload, []byte{')'}))
	}
}

// exchange reads "POST https://… <<<" or "201 Created".
func (p *lacme) exchange(s *stream, text []byte) {
	p.traced = true
	first, rest, _ := bytes.Cut(text, []byte{' '})
	if code, ok := digits(first); ok {
		s.response(code)
		p.part, p.at, s.open = lacmeHeaders, s.at, true
		return
	}
	if url, ok := bytes.CutSuffix(rest, []byte(" <<<")); ok {
		if string(first) != http.MethodPost {
			s.exchange.hasNext = false
		}
		s.request(string(first), url)
	}
}

// finish ends an answer.
func (p *lacme) finish(s *stream) {
	if p.part == lacmeLines {
		return
	}
	at := s.at
	s.at = p.at
	s.body(p.body)
	s.at = at
	p.part, p.body, s.open = lacmeLines, p.body[:0], false
}
