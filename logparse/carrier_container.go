package logparse

import (
	"bytes"
	"time"
)

// What container engines and their tools write:
//
//	{"log":"text\n","stream":"stderr","time":"2026-11-23T21:09:31.021231403Z","attrs":{"tag":"x"}}   Docker's json-file
//	2026-11-23T21:09:31.02Z stderr F text                  Kubernetes (CRI); P for a piece of a line
//	2026-11-23T21:09:31.021231403Z text                    docker logs --timestamps, kubectl logs --timestamps
//	web-1  | text                                          docker compose logs, docker service logs
//	[pod/lego-0/lego] text                                 kubectl logs --prefix
//
// Docker cuts lines over 16 KiB into records, of which all but the last lack the "\n".

// stamped yields what is in a line that may start with a time of RFC 3339.
func (u *unwrapper) stamped(p *payload, depth int, yield func(payload)) bool {
	t, n, fraction := rfc3339(p.text)
	if n == 0 || n < len(p.text) && p.text[n] != ' ' {
		return false
	}
	n = min(n+1, len(p.text))
	rest := p.text[n:]
	if text, partial, ok := containerRuntime(rest); ok {
		inner := *p
		inner.time, inner.partial = t, p.partial || partial
		return u.next(&inner, text, depth, yield)
	}
	if len(rest) > 0 && rest[0] == '{' {
		if length := labelsLength(rest); length > 0 {
			return u.labelled(p, t, n, length, depth, yield)
		}
	}
	// The two tools write nine digits, always. Nobody else does.
	if fraction == 9 {
		p.time = t
		return u.next(p, rest, depth, yield)
	}
	return u.stampedSyslog(p, t, n, depth, yield)
}

// containerRuntime reads "stderr F text", where more tags may follow the F after a colon.
func containerRuntime(b []byte) (text []byte, partial, ok bool) {
	stream, rest, ok := bytes.Cut(b, []byte(" "))
	if !ok || string(stream) != "stdout" && string(stream) != "stderr" {
		return nil, false, false
	}
	tags, text, _ := bytes.Cut(rest, []byte(" "))
	tag, _, _ := bytes.Cut(tags, []byte(":"))
	if len(tag) != 1 || tag[0] != 'F' && tag[0] != 'P' {
		return nil, false, false
	}
	return text, tag[0] == 'P', true
}

// compose yields what is in a line with the name of a container in front, as docker compose writes it: padded so that
// all lines start in the same column, with at least two blanks.
func (u *unwrapper) compose(p *payload, depth int, yield func(payload)) bool {
	bar := barAfterName(p.text)
	if bar == 0 {
		return false
	}
	text := p.text[bar+1:]
	if len(text) > 0 && text[0] != ' ' {
		return false
	}
	u.identify(p, nil, bytes.TrimRight(p.text[:bar], " "), 0)
	return u.next(p, bytes.TrimPrefix(text, []byte(" ")), depth, yield)
}

// barAfterName returns the position of the bar that is behind the name of a container and at least two blanks, 0 if there
// is none.
func barAfterName(b []byte) int {
	i := 0
	for i < len(b) && i < maxName && inContainerName(b[i]) {
		i++
	}
	if i == 0 || i+2 >= len(b) || b[i] != ' ' || b[i+1] != ' ' {
		return 0
	}
	for i < len(b) && i < 2*maxName && b[i] == ' ' {
		i++
	}
	if i == len(b) || b[i] != '|' {
		return 0
	}
	return i
}

// inContainerName reports whether the name of a container, or of a service's task and its node, can have c in it.
func inContainerName(c byte) bool {
	return classes[c]&inID != 0 || c == '.' || c == '@'
}

// kubectl yields what is in a line with the name of a pod and a container in front.
func (u *unwrapper) kubectl(p *payload, depth int, yield func(payload)) bool {
	rest, ok := bytes.CutPrefix(p.text, []byte("[pod/"))
	if !ok {
		return false
	}
	end := bytes.IndexByte(rest[:min(len(rest), 2*maxName)], ']')
	if end < 0 || bytes.Count(rest[:end], []byte("/")) != 1 || bytes.IndexByte(rest[:end], ' ') >= 0 {
		return false
	}
	u.identify(p, nil, rest[:end], 0)
	return u.next(p, bytes.TrimPrefix(rest[end+1:], []byte(" ")), depth, yield)
}

// labelled yields what is in a line of logcli, whose labels have the given length and start at position n.
func (u *unwrapper) labelled(p *payload, t time.Time, n, length, depth int, yield func(payload)) bool {
	var names processNames
	for rest := p.text[n+1 : n+length-1]; len(rest) > 0; {
		name, value, size := labelAt(rest)
		names.set(name, value)
		rest = bytes.TrimLeft(rest[size:], ", ")
	}
	text := bytes.TrimLeft(p.text[n+length:], " ")
	p.time = t
	u.from(p, &names, depth)
	return u.next(p, text, depth, yield)
}

// labelsLength returns the length of the labels that b starts with, {job="x", pod="y"}, 0 if there are none.
func labelsLength(b []byte) int {
	i := 1
	for i < len(b) && b[i] != '}' {
		_, _, size := labelAt(b[i:])
		if size == 0 {
			return 0
		}
		i += size
		for i < len(b) && (b[i] == ',' || b[i] == ' ') {
			i++
		}
	}
	if i >= len(b) || i+1 < len(b) && b[i+1] != ' ' {
		return 0
	}
	return i + 1
}

// labelAt reads the label that b starts with and returns how long it is, 0 if there is none. The value lacks its quotes.
func labelAt(b []byte) (name, value []byte, size int) {
	i := 0
	for i < len(b) && i < maxName && (inContainerName(b[i]) || b[i] == ':') {
		i++
	}
	if i == 0 || i+1 >= len(b) || b[i] != '=' {
		return nil, nil, 0
	}
	end := stringEnd(b, i+1)
	if end < 0 {
		return nil, nil, 0
	}
	return b[:i], b[i+2 : end-1], end
}
