package logparse

import "bytes"

// This file goes from a candidate position in a text to the URL of an authorization, or to none. It does no I/O and
// keeps no position.
//
//	find           word in a path -> scheme before it -> origin -> path -> shape -> is it whole?
//	findRelative   the same for a request line: path -> method -> origin on the same line
//	origin.go      schemes, hosts and ports
//	shape.go       which paths name an authorization
//	array.go       the strings of an "authorizations" array
//	text.go        what escapes stand for
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

	// The last URL whose identifier could have any length, and where that starts.
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
	m.remember()
	return found
}

// remember makes the URL the last one.
func (m *matcher) remember() {
	m.last = append(m.last[:0], m.url...)
	m.lastID = bytes.LastIndexByte(m.url, '/') + 1
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
