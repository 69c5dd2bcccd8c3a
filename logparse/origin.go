package logparse

import (
	"bytes"
	"net/netip"
)

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

// maxScheme is the longest way to write a scheme.
const maxScheme = len("https") + 3*(maxEscape+len("u002f"))
