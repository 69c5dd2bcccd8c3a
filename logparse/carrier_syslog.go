package logparse

import (
	"bytes"
	"time"
)

// What syslog daemons write to files, and journalctl to a terminal:
//
//	Nov 23 21:08:23 web01 lego[4242]: text                           RFC 3164; journalctl, -o short
//	Nov 23 21:08:23.123456 web01 lego[4242]: text                    -o short-precise
//	2026-11-23T21:08:23.123456+00:00 web01 lego[4242]: text          rsyslog; -o short-iso, with +0000 until systemd 254
//	Mon 2026-11-23 21:08:23 UTC web01 lego[4242]: text               -o short-full
//	Mon 2026-11-23 21:08:23 UTC web01 lego.service[4242]: text       -o with-unit
//	<34>1 2026-11-23T21:08:23Z web01 lego 4242 ID47 [a b="c"] text   RFC 5424
//
// The first may have the <34> of RFC 5424, too, and the process identifier may be missing; with journalctl's
// --no-hostname the host is. rsyslog writes control characters as "#" and three octal digits. journalctl puts each
// further line of a message under the first, behind as many blanks as the header is long.

// syslogState is what one line tells about the next.
type syslogState struct {
	stamp  yearless
	last   payload // the last line's, without its text
	indent int     // the length of the last line's header; 0 if it had none
}

// A syslogHeader is what stands between the time and the text.
type syslogHeader struct {
	host, tag []byte
	pid       int
	length    int
}

// syslogLine yields what is in a line that starts with a month or the day of a week.
func (u *unwrapper) syslogLine(p *payload, depth int, yield func(payload)) bool {
	text := p.text
	if len(text) < len("Nov 23 21:08:23 x") || text[3] != ' ' {
		return false
	}
	var t time.Time
	var n int
	if text[6] != ' ' {
		t, n = u.fullTime(text)
	} else {
		t, n = u.shortTime(text)
	}
	if n == 0 || n >= len(text) || text[n] != ' ' {
		return false
	}
	n++
	h, ok := headerOf(text[n:])
	if !ok {
		h = untagged(text[n:])
	}
	return u.logged(p, t, h, n+h.length, depth, yield)
}

// logged yields the text after a header of n bytes.
func (u *unwrapper) logged(p *payload, t time.Time, h syslogHeader, n, depth int, yield func(payload)) bool {
	text := p.text[n:]
	p.time = t
	u.identify(p, h.host, h.tag, h.pid)
	u.message(p, text, depth, yield)
	if depth == 0 {
		u.syslog.last, u.syslog.indent = *p, n
		u.syslog.last.text = nil
	}
	return true
}

// message yields the lines of a message that a syslog daemon wrote.
func (u *unwrapper) message(p *payload, text []byte, depth int, yield func(payload)) {
	text = repeated(text)
	if escapedControl(text) < 0 {
		u.next(p, text, depth, yield)
		return
	}
	b := &u.layers[depth]
	b.decoded = undoControls(b.decoded[:0], text)
	u.lines(p, b.decoded, false, depth, yield)
}

// continuation yields a further line of journalctl's last message.
func (u *unwrapper) continuation(p *payload, indent int, yield func(payload)) bool {
	if len(p.text) < indent || len(bytes.TrimLeft(p.text[:indent], " ")) > 0 {
		return false
	}
	last := u.syslog.last
	u.next(&last, p.text[indent:], 0, yield)
	u.syslog.indent = indent
	return true
}

// months are the first letters of the months' names.
const months = "JanFebMarAprMayJunJulAugSepOctNovDec"

// shortTime reads "Nov 23 21:08:23" or "Nov  3 21:08:23.123456" and returns its length, 0 if b starts otherwise.
func (u *unwrapper) shortTime(b []byte) (time.Time, int) {
	s := &u.syslog.stamp
	n := len(s.text)
	if b[6] != ' ' || b[9] != ':' || b[12] != ':' {
		return time.Time{}, 0
	}
	if string(b[:n]) != string(s.text[:]) {
		month := bytes.Index([]byte(months), b[:3])
		w := wallTime{
			month: month/3 + 1, day: twoDigits(b[4:]),
			hour: twoDigits(b[7:]), minute: twoDigits(b[10:]), second: twoDigits(b[13:]),
		}
		if month < 0 || month%3 != 0 || !w.valid() {
			return time.Time{}, 0
		}
		s.time = u.yearOf(w)
		copy(s.text[:], b)
	}
	nanosecond, fraction := fractionOf(b[n:])
	if fraction > 0 {
		n += 1 + fraction
	}
	if s.time.IsZero() {
		return s.time, n
	}
	return s.time.Add(time.Duration(nanosecond)), n
}

// weekdays are the first letters of the weekdays' names.
const weekdays = "MonTueWedThuFriSatSun"

// fullTime reads "Mon 2026-11-23 21:08:23 UTC" and returns its length, 0 if b starts otherwise.
func (u *unwrapper) fullTime(b []byte) (time.Time, int) {
	if i := bytes.Index([]byte(weekdays), b[:3]); i < 0 || i%3 != 0 || !isoShape(b[4:], ' ') {
		return time.Time{}, 0
	}
	w, n, _, ok := isoWall(b[4:])
	if !ok {
		return time.Time{}, 0
	}
	n += 4
	if n >= len(b) || b[n] != ' ' {
		return time.Time{}, 0
	}
	zone, _, _ := bytes.Cut(b[n+1:], []byte(" "))
	loc := u.zone()
	if string(zone) == "UTC" {
		loc = time.UTC
	}
	return w.in(loc).UTC(), n + 1 + len(zone)
}

// stampedSyslog yields what is in a line that starts with a time of n bytes, as rsyslog and journalctl write it. Clients
// write such times, too: what stands for the host must not be a level.
func (u *unwrapper) stampedSyslog(p *payload, t time.Time, n, depth int, yield func(payload)) bool {
	h, ok := headerOf(p.text[n:])
	if !ok || h.pid == 0 && (len(h.host) == 0 || isLevel(h.host)) {
		return false
	}
	return u.logged(p, t, h, n+h.length, depth, yield)
}

// isLevel reports whether a word is how programs write that a line is a warning, or of another level.
func isLevel(word []byte) bool {
	switch string(bytes.ToUpper(bytes.Trim(word[:min(len(word), 16)], "[]:"))) {
	case "TRC", "DBG", "INF", "WRN", "ERR", "FTL", "PNC", "TRACE", "DEBUG", "INFO", "NOTICE", "WARN", "WARNING", "ERROR",
		"CRIT", "CRITICAL", "FATAL", "PANIC", "D", "I", "W", "E", "F":
		return true
	}
	return false
}

// headerOf reads "web01 lego[4242]: " or "lego[4242]: ".
func headerOf(b []byte) (syslogHeader, bool) {
	h, ok := tagOf(b)
	if ok {
		return h, true
	}
	i := bytes.IndexByte(b[:min(len(b), maxName)], ' ')
	if i <= 0 {
		return h, false
	}
	h, ok = tagOf(b[i+1:])
	h.host = b[:i]
	h.length += i + 1
	return h, ok
}

// untagged reads the header of a line that has nothing but a host.
func untagged(b []byte) syslogHeader {
	i := bytes.IndexByte(b, ' ')
	if i <= 0 || i > maxName {
		return syslogHeader{}
	}
	return syslogHeader{host: b[:i], length: i + 1}
}

// tagOf reads "lego[4242]: " or "lego: ".
func tagOf(b []byte) (h syslogHeader, ok bool) {
	for i, c := range b[:min(len(b), maxName)] {
		switch {
		case c == ' ':
			return h, false
		case c == '[':
			return processOf(b, i)
		case c == ':' && i > 0 && (i+1 == len(b) || b[i+1] == ' '):
			return syslogHeader{tag: b[:i], length: min(i+2, len(b))}, true
		}
	}
	return h, false
}

// processOf reads "[4242]: " at position i of b, where a tag ends.
func processOf(b []byte, i int) (h syslogHeader, ok bool) {
	n := i + 1
	for n < len(b) && n < i+11 && isDigit(b[n]) {
		h.pid = 10*h.pid + int(b[n]-'0')
		n++
	}
	if i == 0 || n == i+1 || !bytes.HasPrefix(b[n:], []byte("]:")) {
		return syslogHeader{}, false
	}
	h.tag, h.length = b[:i], n+2
	if h.length < len(b) && b[h.length] == ' ' {
		h.length++
	}
	return h, true
}

// priority yields what is in a line that starts with "<34>".
func (u *unwrapper) priority(p *payload, depth int, yield func(payload)) bool {
	i := bytes.IndexByte(p.text[:min(len(p.text), len("<191>"))], '>')
	if i < 2 || i+2 >= len(p.text) {
		return false
	}
	for _, c := range p.text[1:i] {
		if !isDigit(c) {
			return false
		}
	}
	inner := *p
	inner.text = p.text[i+1:]
	switch first := inner.text[0]; {
	case first == '1' && inner.text[1] == ' ':
		inner.text = inner.text[2:]
		return u.protocol(&inner, depth, yield)
	case isDigit(first):
		t, n, _ := rfc3339(inner.text)
		return n > 0 && n < len(inner.text) && inner.text[n] == ' ' && u.stampedSyslog(&inner, t, n+1, depth, yield)
	}
	return u.syslogLine(&inner, depth, yield)
}

// protocol yields what is in a line of RFC 5424, after its version.
func (u *unwrapper) protocol(p *payload, depth int, yield func(payload)) bool {
	var fields [5][]byte // time, host, application, process, message identifier
	rest, ok := p.text, true
	for i := range fields {
		if fields[i], rest, ok = bytes.Cut(rest, []byte(" ")); !ok || len(fields[i]) == 0 {
			return false
		}
		if string(fields[i]) == "-" {
			fields[i] = nil
		}
	}
	n := structuredData(rest)
	t, length, _ := rfc3339(fields[0])
	if n == 0 || length != len(fields[0]) {
		return false
	}
	p.time = t
	u.identify(p, fields[1], fields[2], number(fields[3]))
	text := bytes.TrimPrefix(rest[n:], []byte(" "))
	u.message(p, bytes.TrimPrefix(text, []byte("\ufeff")), depth, yield)
	return true
}

// structuredData returns the length of the STRUCTURED-DATA that b starts with (RFC 5424 section 6.3), 0 if there is none.
func structuredData(b []byte) int {
	if len(b) > 0 && b[0] == '-' && (len(b) == 1 || b[1] == ' ') {
		return 1
	}
	n, quoted, open := 0, false, false
	for ; n < len(b) && (open || b[n] == '['); n++ {
		switch c := b[n]; {
		case quoted && c == '\\':
			n++
		case c == '"':
			quoted = !quoted
		case !quoted && c == '[':
			open = true
		case !quoted && c == ']':
			open = false
		}
	}
	if open || n > len(b) || n < len(b) && b[n] != ' ' {
		return 0
	}
	return n
}

// number returns the decimal number that b is, 0 if it is none that a process has.
func number(b []byte) (n int) {
	for _, c := range b {
		if !isDigit(c) || n > 1<<27 {
			return 0
		}
		n = 10*n + int(c-'0')
	}
	return n
}

// repeated returns the text in "message repeated 3 times: [ text]", which rsyslog writes for the same line again.
func repeated(text []byte) []byte {
	rest, ok := bytes.CutPrefix(text, []byte("message repeated "))
	if !ok || !bytes.HasSuffix(rest, []byte("]")) {
		return text
	}
	count, rest, ok := bytes.Cut(rest, []byte(" times: ["))
	if !ok || number(count) == 0 {
		return text
	}
	return bytes.TrimPrefix(rest[:len(rest)-1], []byte(" "))
}

// escapedControl returns the position of the first control character that rsyslog escaped, -1 if there is none.
func escapedControl(b []byte) int {
	for i := 0; i < len(b); i++ {
		n := bytes.IndexByte(b[i:], '#')
		if n < 0 {
			break
		}
		i += n
		if _, ok := controlAt(b[i:]); ok {
			return i
		}
	}
	return -1
}

// controlAt returns the control character that the four bytes at the start of b, "#011", stand for.
func controlAt(b []byte) (byte, bool) {
	if len(b) < 4 || b[0] != '#' || b[1] != '0' && b[1] != '1' || b[2]&^7 != '0' || b[3]&^7 != '0' {
		return 0, false
	}
	c := (b[1]-'0')<<6 | (b[2]-'0')<<3 | (b[3] - '0')
	return c, c < ' ' || c == 0x7f
}

// undoControls appends b with rsyslog's escapes undone to dst.
func undoControls(dst, b []byte) []byte {
	for {
		i := escapedControl(b)
		if i < 0 {
			return append(dst, b...)
		}
		c, _ := controlAt(b[i:])
		dst = append(append(dst, b[:i]...), c)
		b = b[i+4:]
	}
}
