package logparse

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
			m.remember()
			return i + y.n, found
		}
		if y.n == 0 || !m.putElement(t, i, y) {
			return 0, none
		}
		i += y.n
	}
}

// putElement appends y, at position i, to a URL in an array. It reports false if that cannot be part of one.
func (m *matcher) putElement(t text, i int, y symbol) bool {
	if y.percent {
		return m.put(t.b[i : i+y.n]...)
	}
	return classes[y.c]&inElement != 0 && m.put(y.c)
}
