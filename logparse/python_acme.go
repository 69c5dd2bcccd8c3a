package logparse

import "bytes"

// Certbot and others (simp_le, programs of one's own) use the Python package acme, which logs each request at DEBUG with the
// logger acme.client. Behind the prefix of the application:
//
//	JWS payload:
//	b'{\n  "identifiers": …}'                                  b'' reads (RFC 8555 §6.3); before Certbot 1.0 without b'…'
//	Sending POST request to https://ca.example/acme/new-order:
//	{
//	  "protected": "eyJhbGciOiAi…",
//	…
//	}
//	Received response:
//	HTTP 201
//	Location: https://ca.example/acme/order/1/2
//	…
//
//	{ the body as the CA wrote it, over one or more lines }
//	Storing nonce: …
//
// Lines after the first of a record have no prefix, so that only the next record's start tells that a body is complete.
type pythonACME struct {
	part pythonPart
	at   Place
	text []byte
}

// A pythonPart is what the lines that follow are.
type pythonPart uint8

const (
	pythonNothing pythonPart = iota
	pythonJWS
	pythonPayload
	pythonStatus
	pythonHeaders
	pythonBody
)

// record starts a record of acme.client, after its prefix.
func (p *pythonACME) record(s *stream, message []byte) {
	p.at, p.text = s.at, p.text[:0]
	switch {
	case bytes.HasPrefix(message, []byte("Sending ")):
		p.sending(s, message)
	case string(message) == "JWS payload:":
		p.part = pythonPayload
	case string(message) == "Received response:":
		p.part = pythonStatus
	}
	s.open = p.part != pythonNothing
}

// sending reads "Sending POST request to URL:".
func (p *pythonACME) sending(s *stream, message []byte) {
	method, rest, ok := bytes.Cut(message[len("Sending "):], []byte(" request to "))
	if !ok {
		return
	}
	if url, ok := bytes.CutSuffix(rest, []byte{':'}); ok {
		rest = url
		p.part = pythonJWS
	} else {
		rest = bytes.TrimSuffix(rest, []byte{'.'})
	}
	s.request(string(method), rest)
}

// line reads a line that continues a record.
func (p *pythonACME) line(s *stream, text []byte) bool {
	switch p.part {
	case pythonNothing:
		return false
	case pythonJWS:
		if b, ok := cutPrefix(text, `  "protected": "`); ok {
			header, _, _ := bytes.Cut(b, []byte{'"'})
			s.protect(header)
		}
	case pythonStatus:
		p.status(s, text)
	case pythonHeaders:
		if len(text) == 0 {
			p.part = pythonBody
		} else {
			s.header(text)
		}
	default:
		if len(p.text)+len(text) < maxRecord {
			p.text = append(append(p.text, text...), '\n')
		}
	}
	return true
}

// status reads "HTTP 201".
func (p *pythonACME) status(s *stream, text []byte) {
	p.part = pythonNothing
	if b, ok := cutPrefix(text, "HTTP "); ok {
		if code, ok := digits(b); ok {
			p.part = pythonHeaders
			s.response(code)
		}
	}
}

// finish ends the record.
func (p *pythonACME) finish(s *stream) {
	at := s.at
	s.at = p.at
	switch p.part {
	case pythonPayload:
		s.signing(pythonBytes(p.text))
	case pythonHeaders:
		s.noBody()
	case pythonBody:
		s.body(p.text)
	}
	s.at = at
	p.part, s.open = pythonNothing, false
}

// pythonBytes returns what stands between the quotes of b'…', or b. Escapes stay.
func pythonBytes(b []byte) []byte {
	b = bytes.TrimSpace(b)
	if len(b) >= len("b''") && b[0] == 'b' && (b[1] == '\'' || b[1] == '"') && b[len(b)-1] == b[1] {
		return b[2 : len(b)-1]
	}
	return b
}
