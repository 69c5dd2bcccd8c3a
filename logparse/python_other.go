package logparse

import (
	"bytes"
	"time"
)

// Programs other than Certbot that use the Python package acme (simp_le, one's own) log what python_acme.go reads behind a
// prefix of their own choice:
//
//	2026-11-23 20:41:11,221:DEBUG:acme.client:123: Sending POST request to https://ca.example/acme/new-order:
//	DEBUG:acme.client:Received response:
//	[2026-11-23 20:41:11] acme.client DEBUG - Storing nonce: …
//
// A record ends where a line starts with a time that is written like that of the record, or with a level.
type pythonOther struct {
	acme pythonACME
	mask []byte // of the time at the start of a record: 0 for a digit
}

// acmeClientMessages are the starts of what acme.client logs.
var acmeClientMessages = []string{
	"JWS payload:", "Sending POST request to http", "Sending GET request to http", "Sending HEAD request to http", "Received response:",
	"Storing nonce: ", "Requesting fresh nonce",
}

// acmeClientMessage returns where the message of a record of acme.client starts.
func acmeClientMessage(line []byte) (start int, ok bool) {
	const longest = 200 // of a prefix
	i := bytes.Index(line[:min(len(line), longest)], []byte("acme.client"))
	if i < 0 {
		return 0, false
	}
	for _, m := range acmeClientMessages {
		if n := bytes.Index(line[i:min(len(line), i+longest)], []byte(m)); n >= 0 {
			return i + n, true
		}
	}
	return 0, false
}

func startsPythonOther(line []byte) bool {
	_, ok := acmeClientMessage(line)
	return ok
}

func (p *pythonOther) line(s *stream, text []byte) bool {
	n, ok := acmeClientMessage(text)
	if !ok && !p.starts(text) {
		return p.acme.line(s, text)
	}
	p.acme.finish(s)
	if t, ok := pythonTime(text); ok {
		s.clock.setLocal(t)
	}
	s.startFirstRun()
	s.mark(text)
	if !ok {
		return true
	}
	p.mask = pythonMask(append(p.mask[:0], text[:min(n, len(text))]...))
	p.acme.record(s, text[n:])
	return true
}

// pythonMask replaces digits by 0 and cuts prefix after the last of those that a time at its start is made of; without one,
// it is a level.
func pythonMask(prefix []byte) []byte {
	end := 0
	for i, c := range prefix {
		switch {
		case c >= '0' && c <= '9':
			prefix[i], end = '0', i+1
		case bytes.IndexByte([]byte("-:,.T []/"), c) < 0:
			return prefix[:end]
		}
	}
	return prefix[:end]
}

// starts reports whether a record starts with text: a time that is written like that of the record before, or a level.
func (p *pythonOther) starts(text []byte) bool {
	if len(p.mask) == 0 {
		level, _, ok := bytes.Cut(text[:min(len(text), len("CRITICAL:"))], []byte{':'})
		return ok && isPythonLevel(string(level))
	}
	if len(text) < len(p.mask) {
		return false
	}
	for i, c := range p.mask {
		if d := text[i]; c != d && (c != '0' || d < '0' || d > '9') {
			return false
		}
	}
	return true
}

func isPythonLevel(word string) bool {
	switch word {
	case "DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL":
		return true
	}
	return false
}

// pythonTimes are the ways to write a time that logging has by itself, and some.
var pythonTimes = []string{
	"0000-00-00 00:00:00,000", "0000-00-00T00:00:00,000", "0000-00-00 00:00:00.000", "0000-00-00T00:00:00.000", "0000-00-00 00:00:00", "0000-00-00T00:00:00",
}

// pythonTime reads the time at the start of a record, in the zone of the program.
func pythonTime(text []byte) (time.Time, bool) {
	text = bytes.TrimLeft(text[:min(len(text), 40)], "[( ")
	for _, layout := range pythonTimes {
		if t, ok := stamp(text, layout); ok {
			return t, true
		}
	}
	return time.Time{}, false
}

func (p *pythonOther) finish(s *stream) { p.acme.finish(s) }
