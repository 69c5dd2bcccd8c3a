package logparse

import (
	"bytes"
	"net/netip"
)

// This file goes from a candidate position in a text to the URL of an authorization, or to none. It does no I/O and
// keeps no position. shape.go knows which paths name an authorization, text.go what escapes stand for.
//
//	find           word in a path -> scheme before it -> origin -> path -> shape -> is it whole?
//	findRelative   the same for a request line: path -> method -> origin on the same line
//	arrayStart     "authorizations" -> the array that follows
//	element        one string of that array
//
// Everything is decided from maxRaw bytes after the candidate and lookBehind bytes before it, or fewer where the input
// starts or ends. What the buffer happens to hold besides makes no difference.
//
// Escapes. Logs quote JSON in strings, in JSON, in Python literals. A run of backslashes before a slash, "\u002f" and
// "\x2f" are a slash at any depth; every other backslash ends a URL. Percent escapes are of two kinds. Where the "://"
// itself is escaped ("https%3A%2F%2F"), somebody encoded the whole URL, and each escape stands for its character.
// Elsewhere they belong to the URL: those of unreserved characters are resolved (RFC 3986 §6.2.2.2), others stay as
// they are, so that "%2F" does not separate segments. In an array they all stay.
//
// Doubt. A log may be cut anywhere, and half a number is another number. A URL whose identifier has the length that its
// shape prescribes is whole. Any other is left out if
//   - a quote or "<" stands before it, and the line or the input ends before that closes,
//   - the quotes around it are not escaped alike,
//   - dots follow it ("https://ca.example/acme/authz/1/23..."),
//   - reading fails directly after it,
//   - the input ends directly after it, and the number before it at the same place had more digits.

const (
	maxURL     = 2048                    // the longest canonical URL
	maxRaw     = 4096                    // the longest mention, on either side of the candidate
	maxOrigin  = 512                     // the longest origin before a path without one
	lookBehind = maxRaw + maxOrigin + 64 // and a method, quotes, backslashes
)

// An outcome is what became of a candidate.
type outcome uint8

const (
	none  outcome = iota // no authorization
	found                // an authorization, in matcher.url
	more                 // more must be read to tell
)

// A matcher makes a canonical URL from a mention. The zero value is ready. It allocates for nothing but an IPv6 address
// that is not in the last origin.
type matcher struct {
	url   []byte // the URL so far; in array
	path  int    // where its path starts
	array [maxURL + len("authorization")]byte

	// The last origins, by what came after them: a log has few.
	slash, blank lastOrigin

	// The last URL that had an identifier of no certain length, and where the identifier starts in it.
	last   []byte
	lastID int
}

// put appends b to the URL. It reports false if that is too long.
func (m *matcher) put(b ...byte) bool {
	if len(m.url)+len(b) > maxURL {
		return false
	}
	m.url = append(m.url, b...)
	return true
}

// putLower appends b to the URL in lower case. It reports false if that is too long.
func (m *matcher) putLower(b ...byte) bool {
	n := len(m.url)
	if !m.put(b...) {
		return false
	}
	for i, c := range m.url[n:] {
		if 'A' <= c && c <= 'Z' {
			m.url[n+i] = c | 0x20
		}
	}
	return true
}

// A scheme is "http://" or "https://", however it is written.
type scheme struct {
	start, end int
	secure     bool // https
	encoded    bool // with percent escapes
}

// lastScheme returns the last scheme before position end with nothing between the two that a URL cannot have. If there
// is none it returns the position of what a URL cannot have, or low-1.
func lastScheme(t text, low, end int) (s scheme, stop int) {
	i := end - 1
	for ; i >= low && classes[t.b[i]]&inRaw != 0; i-- {
		if t.b[i]|0x20 != 'h' {
			continue
		}
		if s, ok := schemeAt(t, i); ok && s.end <= end {
			return s, i
		}
	}
	return scheme{}, i
}

// schemeAt returns the scheme at position i.
func schemeAt(t text, i int) (scheme, bool) {
	s := scheme{start: i, end: i + len("http")}
	if len(t.b) <= s.end || !isHTTP([4]byte(t.b[i:])) {
		return s, false
	}
	if t.b[s.end]|0x20 == 's' {
		s.secure = true
		s.end++
	}
	if bytes.HasPrefix(t.b[s.end:], []byte("://")) {
		s.end += len("://")
		return s, true
	}
	for _, want := range []byte("://") {
		y, ok := t.at(s.end)
		if !ok || y.c != want {
			return s, false
		}
		s.end += y.n
		s.encoded = s.encoded || y.percent
	}
	return s, true
}

// isHTTP reports whether b is "http", in lower or upper case.
func isHTTP(b [4]byte) bool {
	return b[0]|0x20 == 'h' && b[1]|0x20 == 't' && b[2]|0x20 == 't' && b[3]|0x20 == 'p'
}

// find looks for an authorization's URL that starts at low or later and has the given word in its path. It returns where
// the mention starts and ends.
func (m *matcher) find(t text, low, word int) (start, end int, o outcome) {
	s, stop := lastScheme(t, low, word)
	if s.end == 0 {
		return m.findRelative(t, stop, word)
	}
	i, o := m.origin(t, s)
	if o != found {
		return s.start, 0, o
	}
	if end, o = m.appendPath(t, i, s.encoded); o != found {
		return s.start, 0, o
	}
	if end <= word {
		return s.start, 0, none
	}
	return s.start, end, m.judge(t, s.start, end)
}

// findRelative looks for an authorization's path in a request line as urllib3 logs it,
//
//	https://ca.example:443 "POST /acme/authz/1/2 HTTP/1.1" 200 825
//
// where blank is the position before the path.
func (m *matcher) findRelative(t text, blank, word int) (start, end int, o outcome) {
	start = blank + 1
	host, ok := beforeMethod(t, blank)
	if !ok || t.b[start] == '%' {
		return start, 0, none
	}
	s, _ := lastScheme(t, max(0, host-maxOrigin), host)
	if s.end == 0 || s.encoded {
		return start, 0, none
	}
	if i, o := m.origin(t, s); o != found || i != host {
		return start, 0, none
	}
	if end, o = m.appendPath(t, start, false); o != found {
		return start, 0, o
	}
	if end <= word || m.shape() == noShape {
		return start, 0, none
	}
	return start, end, m.protocol(t, end)
}

// beforeMethod returns the position of the blank before the quote and the method that end at position blank.
func beforeMethod(t text, blank int) (int, bool) {
	if blank < 0 || t.b[blank] != ' ' {
		return 0, false
	}
	line := t.b[:blank]
	for _, method := range []string{"POST", "GET", "HEAD"} {
		if n := len(line) - len(method); n > 0 && string(line[n:]) == method && line[n-1] == '"' {
			i := n - 1 - t.backslashesBefore(n-1) - 1
			return i, i >= 0 && t.b[i] == ' '
		}
	}
	return 0, false
}

// protocol reports whether the path of a request line, which ends at position i, is followed by the protocol.
func (m *matcher) protocol(t text, i int) outcome {
	const want = " HTTP/"
	got := t.b[i:min(i+len(want), len(t.b))]
	switch {
	case string(got) == want:
		return found
	case t.end == endUnread && bytes.HasPrefix([]byte(want), got):
		return more
	}
	return none
}

// A lastOrigin is an origin as it was written and in canonical form.
type lastOrigin struct {
	raw, canonical []byte
}

// origin makes the URL consist of s and the host and port after it, in canonical form, and returns where they end: at a
// slash, or a blank.
func (m *matcher) origin(t text, s scheme) (end int, o outcome) {
	if !s.encoded {
		if end, ok := m.sameOrigin(t, s.start, &m.slash, '/'); ok {
			return end, found
		}
		if end, ok := m.sameOrigin(t, s.start, &m.blank, ' '); ok {
			return end, found
		}
	}
	end, y, ok := m.putOrigin(t, s)
	if !ok {
		return end, more
	}
	if y.c != '/' && y.c != ' ' || y.percent && !s.encoded || !m.endOrigin(s.secure) {
		return end, none
	}
	if !s.encoded && y.n == 1 {
		last := &m.slash
		if y.c == ' ' {
			last = &m.blank
		}
		last.raw = append(last.raw[:0], t.b[s.start:end]...)
		last.canonical = append(last.canonical[:0], m.url...)
	}
	return end, found
}

// sameOrigin is origin for a URL with the last origin, before c.
func (m *matcher) sameOrigin(t text, start int, last *lastOrigin, c byte) (end int, ok bool) {
	end = start + len(last.raw)
	if end == start || end >= len(t.b) || t.b[end] != c || !bytes.Equal(t.b[start:end], last.raw) {
		return 0, false
	}
	m.url = append(m.array[:0], last.canonical...)
	m.path = len(m.url)
	return end, true
}

// putOrigin starts the URL with s and the host and port after it, in lower case. It returns the symbol that follows them,
// and its position. It reports false if more must be read.
func (m *matcher) putOrigin(t text, s scheme) (i int, y symbol, ok bool) {
	m.url = append(m.array[:0], "http://"...)
	if s.secure {
		m.url = append(m.array[:0], "https://"...)
	}
	i = s.end
	for {
		n := i
		for n < len(t.b) && classes[t.b[n]]&inHost != 0 {
			n++
		}
		if !m.putLower(t.b[i:n]...) {
			return n, symbol{}, true
		}
		y, ok = t.at(n)
		if !ok || classes[y.c]&inHost == 0 || !s.encoded {
			return n, y, ok
		}
		if !m.putLower(y.c) {
			return n, symbol{}, true
		}
		i = n + y.n
	}
}

// endOrigin checks the host and port that end the URL so far and removes the port if it is the scheme's default.
func (m *matcher) endOrigin(secure bool) bool {
	from, usual := len("http://"), "80"
	if secure {
		from, usual = len("https://"), "443"
	}
	host, port, ok := splitHost(m.url[from:])
	if !ok {
		return false
	}
	if len(port) == 0 || string(port) == usual {
		m.url = m.url[:from+len(host)]
	}
	m.path = len(m.url)
	return true
}

// splitHost splits a host and port at the colon and checks both.
func splitHost(b []byte) (host, port []byte, ok bool) {
	if len(b) > 0 && b[0] == '[' {
		n := bytes.IndexByte(b, ']') + 1
		if n == 0 || !isIPv6(b[1:n-1]) {
			return nil, nil, false
		}
		host, b = b[:n], b[n:]
	} else {
		n := bytes.IndexByte(b, ':')
		if n < 0 {
			n = len(b)
		}
		host, b = b[:n], b[n:]
		if !isHostName(host) {
			return nil, nil, false
		}
	}
	if len(b) == 0 {
		return host, nil, true
	}
	return host, b[1:], b[0] == ':' && isPort(b[1:])
}

// isHostName reports whether b can be a host name or an IPv4 address. Underscores occur in names of containers.
func isHostName(b []byte) bool {
	if len(b) == 0 || len(b) > 253 || bytes.ContainsAny(b, "[]") || bytes.Contains(b, []byte("..")) {
		return false
	}
	return isAlnum(b[0]) && isAlnum(b[len(b)-1])
}

func isAlnum(c byte) bool { return classes[c]&inID != 0 && c != '-' && c != '_' }

// isPort reports whether b is a port number, or empty (RFC 3986 §3.2.3).
func isPort(b []byte) bool {
	n := 0
	for _, c := range b {
		if classes[c]&inDigit == 0 || n > 65535 {
			return false
		}
		n = 10*n + int(c-'0')
	}
	return len(b) == 0 || b[0] != '0' && n <= 65535
}

// isIPv6 reports whether b is an IPv6 address without a zone.
func isIPv6(b []byte) bool {
	if len(b) > len("ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255") || bytes.IndexByte(b, '%') >= 0 {
		return false
	}
	a, err := netip.ParseAddr(string(b))
	return err == nil && a.Is6()
}

// appendPath appends the path that starts at position i and returns its end.
func (m *matcher) appendPath(t text, i int, encoded bool) (end int, o outcome) {
	for {
		n := i
		for n < len(t.b) && classes[t.b[n]]&inPath != 0 {
			n++
		}
		if !m.put(t.b[i:n]...) {
			return n, none
		}
		y, ok := t.at(n)
		switch {
		case !ok:
			return n, more
		case y.n == 0 && t.end == endLimit:
			return n, none
		case !inPathSymbol(y, encoded):
			return n, found
		case y.percent && !encoded && !isUnreserved(y.c):
			ok = m.put(t.b[n : n+y.n]...)
		default:
			ok = m.put(y.c)
		}
		if !ok {
			return n, none
		}
		i = n + y.n
	}
}

// inPathSymbol reports whether an escaped character belongs to the path before it.
func inPathSymbol(y symbol, encoded bool) bool {
	if y.percent && !encoded {
		return true
	}
	return y.n > 0 && classes[y.c]&inPath != 0
}

// isUnreserved reports whether c is what RFC 3986 §2.3 calls unreserved.
func isUnreserved(c byte) bool { return classes[c]&inID != 0 || c == '.' || c == '~' }

// judge makes the URL that was mentioned from start to end that of an authorization, if it has such a shape and is
// whole.
func (m *matcher) judge(t text, start, end int) outcome {
	dots := len(m.url)
	m.url = bytes.TrimRight(m.url, ".")
	dots -= len(m.url)
	shape := m.shape()
	if shape == noShape {
		return none
	}
	y, ok := t.at(end)
	if !ok {
		return more
	}
	if y.c == '?' {
		if next, ok := t.at(end + y.n); !ok || next.c > ' ' && next.c != '"' && next.c != '\'' {
			return undecidedUnless(ok)
		}
	}
	if shape == whole {
		return found
	}
	if dots > 1 || m.cut(t, start, y) {
		return none
	}
	if y.c == ellipsis[0] {
		if rest := t.b[end:]; len(rest) < len(ellipsis) && t.end == endUnread {
			return more
		} else if bytes.HasPrefix(rest, []byte(ellipsis)) {
			return none
		}
	}
	m.last = append(m.last[:0], m.url...)
	m.lastID = bytes.LastIndexByte(m.url, '/') + 1
	return found
}

const ellipsis = "…"

// undecidedUnless returns none if the case is decided.
func undecidedUnless(decided bool) outcome {
	if decided {
		return none
	}
	return more
}

// cut reports whether the URL that starts at position start, and is followed by y, has lost its end.
func (m *matcher) cut(t text, start int, y symbol) bool {
	opening := openingAt(t, start)
	switch {
	case y.n == 0 && t.end == endFailure:
		return true
	case y.n == 0 || y.c == '\n' || y.c == '\r':
		return opening.c != 0 || y.n == 0 && m.shorter()
	case y.c == opening.c && !y.coded && y.c != '<':
		return y.slashes != opening.slashes
	}
	return false
}

// shorter reports whether the URL is like the last one but for an identifier with fewer characters.
func (m *matcher) shorter() bool {
	return len(m.url) < len(m.last) && bytes.HasPrefix(m.url, m.last[:m.lastID]) &&
		bytes.IndexByte(m.url[m.lastID:], '/') < 0
}

// openingAt returns the quote or bracket that ends before position i, or a symbol without a character.
func openingAt(t text, i int) symbol {
	if i == 0 {
		return symbol{}
	}
	switch c := t.b[i-1]; c {
	case '"', '\'':
		return symbol{c: c, slashes: t.backslashesBefore(i - 1)}
	case '<':
		return symbol{c: c}
	}
	return symbol{}
}

// A quoting is how the strings of a JSON text are quoted: plainly, or escaped because the text is itself in a string, or
// in the way of Python.
type quoting struct {
	c       byte
	slashes int
}

// is reports whether y is such a quote.
func (q quoting) is(y symbol) bool { return y.c == q.c && y.slashes == q.slashes && !y.coded }

// arrayStart looks for the key "authorizations" whose first letter is at position word (RFC 8555 §7.1.3) and the opening
// bracket of an array after it. It returns how the key is quoted and the position after the bracket.
func arrayStart(t text, word int) (q quoting, i int, o outcome) {
	const key = "authorizations"
	if word == 0 || t.b[word-1] != '"' && t.b[word-1] != '\'' {
		return q, 0, none
	}
	q = quoting{t.b[word-1], t.backslashesBefore(word - 1)}
	got := t.b[word:min(word+len(key), len(t.b))]
	if len(got) < len(key) && t.end == endUnread {
		return q, 0, more
	}
	if string(got) != key {
		return q, 0, none
	}
	y, ok := t.at(word + len(key))
	if !ok || !q.is(y) {
		return q, 0, undecidedUnless(ok)
	}
	i = word + len(key) + y.n
	for _, want := range []byte(":[") {
		if i, ok = skipBlanks(t, i); !ok || i >= len(t.b) {
			return q, 0, undecidedUnless(ok)
		}
		if t.b[i] != want {
			return q, 0, none
		}
		i++
	}
	return q, i, found
}

// skipBlanks returns the position after the white space at position i. It reports false if more must be read.
func skipBlanks(t text, i int) (int, bool) {
	for {
		n, ok := t.blank(i)
		if n == 0 || !ok {
			return i, ok
		}
		i += n
	}
}

// element reads the string that starts at position i, after its quote, and returns the position after the closing one.
// The outcome is none, and the position 0, if that is not a string with an absolute URL in it.
func (m *matcher) element(t text, i int, q quoting) (end int, o outcome) {
	s, ok := schemeAt(t, i)
	if !ok || s.encoded {
		return 0, undecidedUnless(len(t.b)-i >= maxScheme || t.end != endUnread)
	}
	i, o = m.origin(t, s)
	if o != found {
		return 0, o
	}
	for {
		n := i
		for n < len(t.b) && classes[t.b[n]]&inElement != 0 {
			n++
		}
		if !m.put(t.b[i:n]...) {
			return 0, none
		}
		i = n
		y, ok := t.at(i)
		if !ok {
			return 0, more
		}
		if q.is(y) {
			return i + y.n, found
		}
		if y.n == 0 || !m.putElement(t, i, y) {
			return 0, none
		}
		i += y.n
	}
}

// maxScheme is the longest way to write a scheme.
const maxScheme = len("https") + 3*(maxEscape+len("u002f"))

// putElement appends y, at position i, to a URL in an array. It reports false if that cannot be part of one.
func (m *matcher) putElement(t text, i int, y symbol) bool {
	if y.percent {
		return m.put(t.b[i : i+y.n]...)
	}
	return classes[y.c]&inElement != 0 && m.put(y.c)
}
