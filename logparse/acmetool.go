package logparse

import (
	"bytes"
	"strings"
	"time"
)

// acmetool 0.2 writes to standard error, in local time. URLs and names are only in errors, which say the same several times,
// with more and more around it, and last over several lines:
//
//	20261123211341 [INFO] acme.responder: http-01 self test failed: a.example: Get "http://a.example/.well-known/…
//	20261123211351 [ERROR] acmetool.storageops: Target(a.example,b.example;https://ca.example/directory;0): failed to request certificate: …
//	exhausted all possible challenges in authorization "https://ca.example/acme/authz/1/2" [due to inner error: …
//	Get "http://a.example/.well-known/acme-challenge/…": dial tcp: …
//	could not install DNS challenge, no hooks succeeded;
//	20261123211351 [CRITICAL] acmetool: fatal: reconcile: …
//
// An authorization is given up without an answer if each self test failed: it stays pending.
type acmetool struct {
	failed map[string]bool // names whose self test failed
	told   map[string]bool // URLs that were told of in this run

	// The authorization of an error whose lines go on.
	url  string
	at   Place
	name string
}

const acmetoolStamp = "20060102150405"

// acmetoolLine splits a line into the time, the logger and the message.
func acmetoolLine(line []byte) (when time.Time, logger string, message []byte, ok bool) {
	if len(line) < len(acmetoolStamp)+len(" [INFO] ") || line[0] != '2' || line[len(acmetoolStamp)] != ' ' || line[len(acmetoolStamp)+1] != '[' {
		return time.Time{}, "", nil, false
	}
	when, err := time.Parse(acmetoolStamp, string(line[:len(acmetoolStamp)]))
	_, rest, ok := bytes.Cut(line[len(acmetoolStamp):], []byte("] "))
	name, message, ok2 := bytes.Cut(rest, []byte(": "))
	if err != nil || !ok || !ok2 || bytes.IndexByte(name, ' ') >= 0 {
		return time.Time{}, "", nil, false
	}
	return when, string(name), message, true
}

func startsAcmetool(line []byte) bool {
	_, logger, _, ok := acmetoolLine(line)
	return ok && (strings.HasPrefix(logger, "acme") || strings.HasPrefix(logger, "storage") || logger == "fdb")
}

func (p *acmetool) line(s *stream, text []byte) bool {
	when, logger, message, ok := acmetoolLine(text)
	if !ok {
		p.more(s, text)
		return true
	}
	p.finish(s)
	s.clock.setLocal(when)
	if s.run.place.Line == 0 || s.run.ended {
		s.startRun("", "")
		*p = acmetool{failed: map[string]bool{}, told: map[string]bool{}}
	}
	p.message(s, logger, string(message))
	s.mark(message)
	return true
}

func (p *acmetool) message(s *stream, logger, message string) {
	_, test, isTest := strings.Cut(message, " self test failed: ")
	switch {
	case isTest:
		name, _, _ := strings.Cut(test, ": ")
		if len(p.failed) < maxHandled {
			p.failed[name] = true
		}
		s.fail(CauseCheck, message, name)
	case strings.HasPrefix(message, "Target("):
		names, _, _ := strings.Cut(message[len("Target("):], ";")
		if strings.Contains(message, ": failed to request certificate") {
			s.startOrder(strings.Split(names, ",")...)
		}
	case logger == "acmetool" && strings.HasPrefix(message, "fatal: "):
		s.endRun("error", message)
	}
}

// more reads a line that continues an error.
func (p *acmetool) more(s *stream, text []byte) {
	if url, ok := between(text, `in authorization "`, `"`); ok && bytes.Contains(text, []byte("exhausted all possible challenges ")) {
		p.finish(s)
		if u := s.element(url); u != "" && !p.told[u] && len(p.told) < maxHandled {
			p.told[u] = true
			p.url, p.at, p.name = u, s.at, ""
			s.open = true
		}
		return
	}
	if name, ok := between(text, `"http://`, "/.well-known/acme-challenge/"); ok && p.url != "" {
		p.name = string(name)
	}
}

// finish tells of the authorization in an error.
func (p *acmetool) finish(s *stream) {
	if p.url == "" {
		return
	}
	a := &Authorization{}
	if p.name != "" {
		a = s.named(p.name, "")
	}
	if p.failed[p.name] {
		a.Status = "pending"
	}
	a.URL = p.url
	if s.order != nil {
		a.Order = s.order.ID
	}
	at := s.at
	s.at = p.at
	s.emit(Event{Kind: AuthorizationSeen, Authorization: a})
	s.at = at
	p.url, s.open = "", false
}
