package logparse

import (
	"bytes"
	"strconv"
	"time"
)

// How lines are unwrapped.
//
// What a client writes to its standard output or error reaches a file through others, each of which adds something of
// its own: syslog, the journal, Docker, Kubernetes, Loki, and whatever ships logs as JSON. They nest. So a line is a
// number of layers, and each is taken off the same way:
//
//	layer        strips colours, looks for a carrier by the first byte      carrier.go
//	  carried    what one carrier wrote beside the text goes into the payload
//	    lines    the text is decoded, split into lines, each a layer again
//
//	carrier_syslog.go      syslog (RFC 3164, RFC 5424, rsyslog), journalctl's short formats
//	carrier_journal.go     journalctl -o json and -o export
//	carrier_container.go   Docker, Kubernetes, compose, kubectl
//	carrier_shipper.go     Loki, Fluent Bit, Filebeat and their like
//	carrier_json.go        the JSON objects of all of them
//	carrier_time.go        their times
//	ansi.go                colours and other escape sequences
//
// Invariants:
//   - nothing is lost: what is not a carrier's in every detail is the client's, and is yielded as it stands.
//   - a text holds no escape character, no line end and no carriage return at its end.
//   - a payload's stream is the start of u.key. A layer only appends to its own, so it stays right for the lines that
//     follow in the same layer.
//   - each layer decodes into memory of its own, which no inner layer touches.
//   - memory is bounded by the longest line and maxMessage.

// maxCarriers is how many carriers may be around a line: Loki, around Kubernetes, around Docker, around syslog.
const maxCarriers = 4

// A payload is one line of a program's output, out of what carried it.
type payload struct {
	// text is the line without its end, carriers and colours. It and stream are valid until yield returns.
	text []byte

	// time is the innermost carrier's, in UTC; it is zero if no carrier wrote one.
	time time.Time

	// host, unit and pid say where the program ran, as far as a carrier wrote it. The unit is a systemd unit, a syslog
	// tag, or a container.
	host, unit string
	pid        int

	// stream is a key that keeps interleaved processes apart. It is empty if no carrier names the process.
	stream []byte

	// partial says that the line goes on in the next payload of the stream.
	partial bool

	// carried says that the text is not a line of the input as it stands.
	carried bool
}

// An unwrapper takes the lines of a log out of what carried them. The zero value is ready. It keeps what several lines
// tell together, so it must see the lines of one input in order.
type unwrapper struct {
	now time.Time      // what is the present for times without a year; if zero, time.Now()
	loc *time.Location // the zone of times without one; if nil, time.Local

	key    []byte
	names  nameTable
	layers [maxCarriers + 1]layerBuffers
	syslog syslogState
	export exportRecord
}

// layerBuffers is the memory of a layer.
type layerBuffers struct {
	decoded []byte // the text in a JSON string, or with rsyslog's escapes undone
	bare    []byte // the text without escape sequences
	names   []byte // names in JSON strings
}

// unwrap yields the program's lines that are in one line of a log, which is given without its "\n": usually one, none if
// the line only adds to a record whose end is still to come, several if a record holds several.
func (u *unwrapper) unwrap(line []byte, yield func(payload)) {
	if u.export.open && u.exportLine(line, yield) {
		return
	}
	u.layer(payload{text: trimReturns(line)}, 0, yield)
}

// idle reports whether no line before is of a record that goes on.
func (u *unwrapper) idle() bool { return !u.export.open && u.syslog.indent == 0 }

// isPlain reports whether line is the program's as it stands, if the unwrapper is idle. Most are, and it costs little to see
// that.
func isPlain(line []byte) bool {
	return !startsCarrier(line) && bytes.IndexByte(line, esc) < 0 && (len(line) == 0 || line[len(line)-1] != '\r')
}

// startsCarrier reports whether carried may take a line for a carrier's.
func startsCarrier(line []byte) bool {
	if len(line) == 0 {
		return false
	}
	switch first := line[0]; {
	case first >= '0' && first <= '9':
		return isoShape(line, 'T') || barAfterName(line) > 0
	case first >= 'A' && first <= 'Z':
		return len(line) > 3 && line[3] == ' ' || barAfterName(line) > 0
	case first >= 'a' && first <= 'z':
		return barAfterName(line) > 0
	case first == '{' || first == recordSeparator || first == '<' || first == '[' || first == '_':
		return true
	}
	return false
}

// end yields what is left when the input has ended.
func (u *unwrapper) end(yield func(payload)) {
	u.exportEnd(yield)
	u.syslog.indent = 0
}

// layer yields what is in p.text, around which depth carriers have been taken off.
func (u *unwrapper) layer(p payload, depth int, yield func(payload)) {
	if bytes.IndexByte(p.text, esc) >= 0 {
		b := &u.layers[depth]
		b.bare = stripEscapes(b.bare[:0], p.text)
		p.text, p.carried = trimReturns(b.bare), true
	}
	indent := u.syslog.indent
	u.syslog.indent = 0
	// A piece of a line is not looked at: the rest of its carrier is in another.
	if depth == maxCarriers || p.partial || len(p.text) == 0 || !u.carried(&p, indent, depth, yield) {
		yield(p)
	}
}

// carried yields what is in p.text, and reports whether that is a carrier's. If indent is not 0, it is how far
// journalctl indents what belongs to the line before.
func (u *unwrapper) carried(p *payload, indent, depth int, yield func(payload)) bool {
	switch first := p.text[0]; {
	case first == '{' || first == recordSeparator:
		return u.object(p, depth, yield)
	case first >= '0' && first <= '9':
		return u.stamped(p, depth, yield) || u.compose(p, depth, yield)
	case first >= 'A' && first <= 'Z':
		return u.syslogLine(p, depth, yield) || u.compose(p, depth, yield)
	case first >= 'a' && first <= 'z':
		return u.compose(p, depth, yield)
	case first == ' ':
		return depth == 0 && indent > 0 && u.continuation(p, indent, yield)
	case first == '<':
		return u.priority(p, depth, yield)
	case first == '[':
		return u.kubectl(p, depth, yield)
	case first == '_':
		return depth == 0 && u.exportStart(p.text)
	}
	return false
}

// next yields text, which p's innermost carrier carried. It always reports true.
func (u *unwrapper) next(p *payload, text []byte, depth int, yield func(payload)) bool {
	inner := *p
	inner.text, inner.carried = trimReturns(text), true
	u.layer(inner, depth+1, yield)
	return true
}

// lines yields the lines of text, which p's innermost carrier carried. If the last has no end, it is partial if unended
// says so. It always reports true.
func (u *unwrapper) lines(p *payload, text []byte, unended bool, depth int, yield func(payload)) bool {
	for {
		i := bytes.IndexByte(text, '\n')
		if i < 0 {
			break
		}
		u.next(p, text[:i], depth, yield)
		text = text[i+1:]
		if len(text) == 0 {
			return true
		}
	}
	inner := *p
	inner.partial = p.partial || unended
	return u.next(&inner, text, depth, yield)
}

// identify says which process p is from, as the carrier at hand names it. What it does not name stays.
func (u *unwrapper) identify(p *payload, host, unit []byte, pid int) {
	if len(host) == 0 && len(unit) == 0 && pid <= 0 {
		return
	}
	if len(host) > 0 {
		p.host = u.names.get(host)
	}
	if len(unit) > 0 {
		p.unit = u.names.get(unit)
	}
	if pid > 0 {
		p.pid = pid
	}
	u.key = append(u.key[:len(p.stream)], host[:min(len(host), maxName)]...)
	u.key = append(u.key, 0)
	u.key = append(u.key, unit[:min(len(unit), maxName)]...)
	u.key = append(u.key, 0)
	u.key = strconv.AppendInt(u.key, int64(max(pid, 0)), 10)
	u.key = append(u.key, 0)
	p.stream = u.key
}

// maxName is the length at which a name is cut. Nothing that names itself is longer.
const maxName = 256

// maxNames is how many names a nameTable holds.
const maxNames = 1024

// A nameTable turns names into strings. The same few come again and again, so it keeps some.
type nameTable map[string]string

func (t *nameTable) get(name []byte) string {
	name = name[:min(len(name), maxName)]
	if s, ok := (*t)[string(name)]; ok {
		return s
	}
	if *t == nil || len(*t) >= maxNames {
		*t = make(nameTable)
	}
	s := string(name)
	(*t)[s] = s
	return s
}

// trimReturns returns b without the carriage returns at its end.
func trimReturns(b []byte) []byte {
	for len(b) > 0 && b[len(b)-1] == '\r' {
		b = b[:len(b)-1]
	}
	return b
}
