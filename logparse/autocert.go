package logparse

import (
	"bytes"
	"net/http"
)

// golang.org/x/crypto/acme/autocert writes nothing itself, but the server that it gets certificates for does when that
// fails:
//
//	2026/11/23 21:13:30 http: TLS handshake error from 192.0.2.1:5730: acme/autocert: unable to satisfy "https://ca.example/authz/1" for domain "a.example": no viable challenge type found
//
// That authorization is pending: autocert has tried each type of challenge in an order of its own, and found none left for
// this one. Programs may trace requests; those that name the method, the URL and the status are read:
//
//	2026/11/23 21:14:19 acme: POST https://ca.example/acme/chall/1/2/x: 200 OK location=""
type autocert struct{}

const autocertMark = "acme/autocert: "

func startsAutocert(line []byte) bool {
	return bytes.Contains(line, []byte(autocertMark)) || goTrace(line) != nil
}

// goTrace returns what follows "acme: " in the line of a trace, nil if line is none.
func goTrace(line []byte) []byte {
	_, message, ok := legoLine(line)
	if !ok {
		return nil
	}
	for _, method := range []string{"POST", "GET", "HEAD"} {
		if rest, ok := cutPrefix(message, "acme: "+method+" http"); ok {
			return message[len(message)-len(rest)-len(method+" http"):]
		}
	}
	return nil
}

func (p *autocert) line(s *stream, text []byte) bool {
	when, message, ok := legoLine(text)
	if ok {
		if t, ok := stamp(when, legoStamp); ok {
			s.clock.setLocal(t)
		}
	}
	if rest := goTrace(text); rest != nil {
		s.startFirstRun()
		p.trace(s, rest)
		s.mark(message)
		return true
	}
	_, rest, found := bytes.Cut(text, []byte(autocertMark))
	if !found {
		return true // what the server writes otherwise
	}
	s.startFirstRun()
	p.failed(s, rest)
	s.mark(rest)
	return true
}

// failed reads why there is no certificate.
func (p *autocert) failed(s *stream, message []byte) {
	url, ok := between(message, `unable to satisfy "`, `"`)
	if !ok {
		return
	}
	name, _ := between(message, `for domain "`, `"`)
	u := s.authorization(url)
	if u == "" || len(name) == 0 {
		return
	}
	a := s.named(string(name), "pending")
	a.URL, a.Order = u, ""
	s.startOrder(string(name))
	a.Order = s.order.ID
	s.emit(Event{Kind: AuthorizationSeen, Authorization: a})
	s.fail(CauseCheck, string(message), string(name))
}

// trace reads `POST https://…: 200 OK location="…"`, or the same without what follows the URL when it is a request.
func (p *autocert) trace(s *stream, text []byte) {
	method, rest, _ := bytes.Cut(text, []byte{' '})
	url, answer, ok := bytes.Cut(rest, []byte(": "))
	if !ok || len(answer) < 3 {
		return
	}
	code, ok := digits(answer[:3])
	if !ok || string(method) != http.MethodPost {
		return
	}
	if code >= http.StatusBadRequest {
		s.emit(Event{Kind: ProblemSeen, Problem: &Problem{Status: code, URL: clip(string(url), maxURL)}})
		return
	}
	if u := s.authorization(url); u != "" && isChallenge(string(url)) {
		s.emit(Event{Kind: ChallengeAnswered, Challenge: &Challenge{URL: clip(string(url), maxURL)}, Authorization: &Authorization{URL: u}})
	}
}
