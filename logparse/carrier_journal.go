package logparse

import (
	"bytes"
	"encoding/binary"
	"time"
)

// What journalctl writes for programs (systemd's "Journal Export Formats"):
//
//	{"__CURSOR":"…","__REALTIME_TIMESTAMP":"1795468103123456","_HOSTNAME":"web01","MESSAGE":"text",…}   -o json
//
//	__CURSOR=…                              -o export: a field per line, and an empty line after each record
//	__REALTIME_TIMESTAMP=1795468103123456
//	MESSAGE=text
//
//	MESSAGE                                 a field with control characters: its length as eight bytes, the lowest
//	\x09\0\0\0\0\0\0\0two lines             first, the bytes, which may have line ends, and a line end
//
// In JSON, a text with other characters than text has is an array of bytes, a field that was set several times is an
// array, and one that is too long is null.

// A journalRecord has those fields of a record that matter.
type journalRecord struct {
	marked           bool // whether it has a field that only the journal writes
	received, source []byte
	host             []byte
	unit, about      []byte // the sender's unit, and the one that systemd writes about
	userUnit         []byte
	tag, command     []byte
	pid, syslogPID   []byte
	container        []byte
	piece            []byte
}

// field returns where the field of a name goes, nil if it does not matter.
func (r *journalRecord) field(name []byte) *[]byte {
	switch string(name) {
	case "__REALTIME_TIMESTAMP":
		return &r.received
	case "_SOURCE_REALTIME_TIMESTAMP":
		return &r.source
	case "_HOSTNAME":
		return &r.host
	case "_SYSTEMD_UNIT":
		return &r.unit
	case "UNIT":
		return &r.about
	case "_SYSTEMD_USER_UNIT":
		return &r.userUnit
	case "SYSLOG_IDENTIFIER":
		return &r.tag
	case "_COMM":
		return &r.command
	case "_PID":
		return &r.pid
	case "SYSLOG_PID":
		return &r.syslogPID
	case "CONTAINER_NAME":
		return &r.container
	case "CONTAINER_PARTIAL_MESSAGE":
		return &r.piece
	}
	return nil
}

// marks reports whether only the journal writes a field of this name.
func marks(name []byte) bool {
	switch string(name) {
	case "__CURSOR", "__REALTIME_TIMESTAMP", "_HOSTNAME", "_BOOT_ID", "_TRANSPORT", "_SYSTEMD_UNIT", "SYSLOG_IDENTIFIER":
		return true
	}
	return false
}

// process returns the unit and the process identifier.
func (r *journalRecord) process() (unit []byte, pid int) {
	for _, unit = range [][]byte{r.container, r.about, r.userUnit, r.unit, r.tag, r.command} {
		if len(unit) > 0 {
			break
		}
	}
	pid = number(r.pid)
	if pid == 0 {
		pid = number(r.syslogPID)
	}
	return unit, pid
}

// time returns when the message was sent, or else received.
func (r *journalRecord) time() time.Time {
	if t := anyTime(r.source); !t.IsZero() {
		return t
	}
	return anyTime(r.received)
}

// recorded yields the lines of a record's message.
func (u *unwrapper) recorded(p *payload, r *journalRecord, message []byte, depth int, yield func(payload)) {
	if t := r.time(); !t.IsZero() {
		p.time = t
	}
	unit, pid := r.process()
	u.identify(p, r.host, unit, pid)
	u.lines(p, message, string(r.piece) == "true", depth, yield)
}

// journalMember takes a member of an object that has a name like the journal's.
func (u *unwrapper) journalMember(e *envelope, key, value []byte, depth int) {
	if string(key) == "MESSAGE" {
		e.journalMessage = value
		return
	}
	e.journal.marked = e.journal.marked || marks(key)
	if f := e.journal.field(key); f != nil {
		*f = u.name(depth, value)
	}
}

// journalObject yields what is in a record of journalctl -o json: nothing if its text was too long for journalctl.
func (u *unwrapper) journalObject(p *payload, e *envelope, depth int, yield func(payload)) bool {
	if string(e.journalMessage) == "null" {
		return true
	}
	b := &u.layers[depth]
	decoded, ok := appendMessage(b.decoded[:0], e.journalMessage)
	b.decoded = decoded
	if ok {
		u.recorded(p, &e.journal, decoded, depth, yield)
	}
	return ok
}

// appendMessage appends the text that a value of journalctl -o json stands for to dst: a string, an array of bytes, or an
// array of those.
func appendMessage(dst, value []byte) ([]byte, bool) {
	if isString(value) || len(value) == 0 || value[0] != '[' {
		return appendString(dst, value)
	}
	for i := jsonBlanks(value, 1); value[i] != ']'; {
		end := valueEnd(value, i)
		if end < 0 {
			return dst, false
		}
		var ok bool
		if dst, ok = appendElement(dst, value[i:end]); !ok {
			return dst, false
		}
		i = jsonBlanks(value, end)
		if value[i] == ',' {
			i = jsonBlanks(value, i+1)
		}
	}
	return dst, true
}

// appendElement appends an element of an array that stands for a text.
func appendElement(dst, value []byte) ([]byte, bool) {
	switch {
	case isString(value):
		dst, ok := appendString(dst, value)
		return append(dst, '\n'), ok
	case value[0] == '[':
		dst, ok := appendBytes(dst, value)
		return append(dst, '\n'), ok
	}
	return appendByte(dst, value)
}

// appendBytes appends an array of bytes.
func appendBytes(dst, value []byte) ([]byte, bool) {
	ok := true
	for element := range bytes.SplitSeq(value[1:len(value)-1], []byte(",")) {
		if dst, ok = appendByte(dst, bytes.TrimSpace(element)); !ok {
			break
		}
	}
	return dst, ok
}

// appendByte appends the byte of a number.
func appendByte(dst, value []byte) ([]byte, bool) {
	n := number(value)
	if n > 0xff || n == 0 && string(value) != "0" {
		return dst, false
	}
	return append(dst, byte(n)), true
}

// The longest message and field that are kept. journald itself cuts lines of output at 48 KiB.
const (
	maxMessage = 1 << 20
	maxField   = 64 << 20
)

// An exportRecord is a record of journalctl -o export of which some lines have been read.
type exportRecord struct {
	open    bool
	fields  journalRecord
	message []byte
	told    bool // whether there is a message
	memory  []byte

	// A field that is written with its length:
	binary bool
	name   []byte
	header [8]byte
	have   int // how much of header has been read
	left   int // how many bytes are to come after it
	value  []byte
}

// exportStart begins a record if a line is its first.
func (u *unwrapper) exportStart(line []byte) bool {
	if !bytes.HasPrefix(line, []byte("__CURSOR=")) && !bytes.HasPrefix(line, []byte("__REALTIME_TIMESTAMP=")) {
		return false
	}
	x := &u.export
	*x = exportRecord{open: true, message: x.message[:0], memory: x.memory[:0], name: x.name[:0], value: x.value[:0]}
	x.line(line)
	return true
}

// exportLine takes a line of a record, and yields the record's if it is complete. It reports false if the line is not
// of a record.
func (u *unwrapper) exportLine(line []byte, yield func(payload)) bool {
	x := &u.export
	switch {
	case x.binary:
		u.exportBinary(line, yield)
		return true
	case len(line) == 0:
		u.exportEnd(yield)
		return true
	case bytes.HasPrefix(line, []byte("__CURSOR=")):
		u.exportEnd(yield)
		return u.exportStart(line)
	case x.line(line):
		return true
	}
	u.exportEnd(yield)
	return false
}

// exportBinary takes a line of a field that is written with its length. The line's end may be part of it.
func (u *unwrapper) exportBinary(line []byte, yield func(payload)) {
	x := &u.export
	rest := x.take(line)
	switch {
	case len(rest) > 0:
		u.exportEnd(yield)
		u.layer(payload{text: trimReturns(rest)}, 0, yield)
	case x.have < len(x.header) || x.left > 0:
		x.take([]byte("\n"))
	default:
		x.set(x.name, x.value)
		x.binary = false
	}
}

// exportEnd yields the lines of the record at hand.
func (u *unwrapper) exportEnd(yield func(payload)) {
	x := &u.export
	if x.binary {
		x.set(x.name, x.value)
	}
	told := x.open && x.told
	x.open, x.binary, x.told = false, false, false
	if told {
		u.recorded(&payload{}, &x.fields, x.message, 0, yield)
	}
}

// line takes a line that is not in a field with its length, and reports whether it is of a record.
func (x *exportRecord) line(line []byte) bool {
	name, value, ok := bytes.Cut(line, []byte("="))
	if !isFieldName(name) {
		return false
	}
	if ok {
		x.set(name, value)
		return true
	}
	x.binary, x.name, x.value = true, append(x.name[:0], name...), x.value[:0]
	x.have, x.left = 0, 0
	return true
}

// isFieldName reports whether the journal has fields of this name.
func isFieldName(name []byte) bool {
	for _, c := range name {
		if c != '_' && !isDigit(c) && (c < 'A' || c > 'Z') {
			return false
		}
	}
	return len(name) > 0 && len(name) <= 64
}

// take takes bytes of a field that is written with its length, and returns those that are not of the field.
func (x *exportRecord) take(b []byte) (rest []byte) {
	if x.have < len(x.header) {
		n := copy(x.header[x.have:], b)
		x.have += n
		b = b[n:]
		if x.have < len(x.header) {
			return b
		}
		// A length that cannot be is none: then this is not such a field, and the rest is not lost.
		if length := binary.LittleEndian.Uint64(x.header[:]); length <= maxField {
			x.left = int(length)
		}
	}
	n := min(len(b), x.left)
	x.left -= n
	x.value = append(x.value, b[:min(n, maxMessage-len(x.value))]...)
	return b[n:]
}

// set keeps a field.
func (x *exportRecord) set(name, value []byte) {
	if string(name) == "MESSAGE" {
		if x.told {
			x.message = append(x.message, '\n')
		}
		x.told = true
		x.message = append(x.message, value[:min(len(value), max(0, maxMessage-len(x.message)))]...)
		return
	}
	if f := x.fields.field(name); f != nil && len(x.memory) < maxMessage {
		start := len(x.memory)
		x.memory = append(x.memory, value[:min(len(value), maxName)]...)
		*f = x.memory[start:]
	}
}
