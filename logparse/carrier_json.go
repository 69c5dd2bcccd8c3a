package logparse

import (
	"bytes"
	"unicode/utf16"
	"unicode/utf8"
)

// The carriers' JSON objects are flat and need a few members, so their members are walked where they stand: each value is
// left as it is, and only those that matter are decoded. Nothing recurses. The walk is as strict as it needs to be to
// tell an object from what only starts like one; it takes whatever encoding/json does, with the same values, except that
// bytes that are not UTF-8 stay.

// recordSeparator starts each record of journalctl -o json-seq (RFC 7464).
const recordSeparator = 0x1e

// An objectWalker walks the members of a JSON object.
type objectWalker struct {
	b      []byte
	i      int
	closed bool
}

// walk returns a walker of the object that b is.
func walk(b []byte) objectWalker {
	if i := jsonBlanks(b, 0); i < len(b) && b[i] == '{' {
		return objectWalker{b: b, i: i}
	}
	return objectWalker{}
}

// next returns the next member, as it stands. The key lacks its quotes. After the last one it reports false, and w.closed
// says whether the object has ended.
func (w *objectWalker) next() (key, value []byte, ok bool) {
	b := w.b
	if w.i >= len(b) {
		return nil, nil, false
	}
	first := b[w.i] == '{'
	i := jsonBlanks(b, w.i+1)
	if first && i < len(b) && b[i] == '}' {
		w.close(i)
		return nil, nil, false
	}
	end := stringEnd(b, i)
	if end < 0 {
		return nil, nil, false
	}
	key = b[i+1 : end-1]
	i = jsonBlanks(b, end)
	if i >= len(b) || b[i] != ':' {
		return nil, nil, false
	}
	i = jsonBlanks(b, i+1)
	end = valueEnd(b, i)
	if end < 0 {
		return nil, nil, false
	}
	return key, b[i:end], w.separate(end)
}

// separate moves to what follows a member that ends at position i, and reports whether that is a comma or a brace.
func (w *objectWalker) separate(i int) bool {
	i = jsonBlanks(w.b, i)
	switch {
	case i >= len(w.b):
		return false
	case w.b[i] == ',':
		w.i = i
		return true
	case w.b[i] == '}':
		w.close(i)
		return true
	}
	return false
}

// close ends the object at position i. Nothing may follow.
func (w *objectWalker) close(i int) {
	w.closed = jsonBlanks(w.b, i+1) == len(w.b)
	w.i = len(w.b)
}

// jsonBlanks returns the position after the white space at position i.
func jsonBlanks(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\t' || b[i] == '\r' || b[i] == '\n') {
		i++
	}
	return i
}

// stringEnd returns the position after the string at position i, -1 if there is none.
func stringEnd(b []byte, i int) int {
	if i >= len(b) || b[i] != '"' {
		return -1
	}
	for i++; i < len(b); i++ {
		switch b[i] {
		case '"':
			return i + 1
		case '\\':
			i++
		}
	}
	return -1
}

// valueEnd returns the position after the value at position i, -1 if there is none.
func valueEnd(b []byte, i int) int {
	if i >= len(b) {
		return -1
	}
	switch b[i] {
	case '"':
		return stringEnd(b, i)
	case '{', '[':
		return nestedEnd(b, i)
	}
	end := i
	for end < len(b) && isScalar(b[end]) {
		end++
	}
	if end == i {
		return -1
	}
	return end
}

// isScalar reports whether c can be in a number, true, false or null.
func isScalar(c byte) bool {
	return isDigit(c) || c >= 'a' && c <= 'z' || c == '-' || c == '+' || c == '.' || c == 'E'
}

// nestedEnd returns the position after the object or array at position i, -1 if it does not end.
func nestedEnd(b []byte, i int) int {
	for depth := 0; i < len(b); i++ {
		switch b[i] {
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return i + 1
			}
		case '"':
			end := stringEnd(b, i)
			if end < 0 {
				return -1
			}
			i = end - 1
		}
	}
	return -1
}

// isString reports whether a value is a string.
func isString(value []byte) bool { return len(value) > 0 && value[0] == '"' }

// appendString appends what a string stands for to dst. It reports false for a value that is no string, or that has an
// escape which JSON does not know.
func appendString(dst, value []byte) ([]byte, bool) {
	if len(value) < 2 || !isString(value) {
		return dst, false
	}
	b := value[1 : len(value)-1]
	for {
		i := bytes.IndexByte(b, '\\')
		if i < 0 {
			return append(dst, b...), true
		}
		dst = append(dst, b[:i]...)
		n := 0
		if dst, n = appendEscaped(dst, b[i:]); n == 0 {
			return dst, false
		}
		b = b[i+n:]
	}
}

// jsonEscapes are the characters that a letter after a backslash stands for.
var jsonEscapes = [256]byte{
	'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t',
}

// appendEscaped appends what the escape at the start of b stands for, and returns its length, 0 if there is none.
func appendEscaped(dst, b []byte) ([]byte, int) {
	if len(b) < 2 {
		return dst, 0
	}
	if c := jsonEscapes[b[1]]; c != 0 {
		return append(dst, c), 2
	}
	unit, ok := utf16Unit(b)
	if !ok {
		return dst, 0
	}
	if utf16.IsSurrogate(unit) {
		low, _ := utf16Unit(b[6:])
		if r := utf16.DecodeRune(unit, low); r != utf8.RuneError {
			return utf8.AppendRune(dst, r), 12
		}
	}
	return utf8.AppendRune(dst, unit), 6
}

// utf16Unit reads the escape \u2026 at the start of b.
func utf16Unit(b []byte) (unit rune, ok bool) {
	if len(b) < 6 || b[0] != '\\' || b[1] != 'u' {
		return 0, false
	}
	for _, c := range b[2:6] {
		d := hexDigit(c)
		if d > 15 {
			return 0, false
		}
		unit = unit<<4 | rune(d)
	}
	return unit, true
}

// memberOf returns a member of an object as it stands, nil if there is none. Of several, the last counts.
func memberOf(object []byte, name string) (found []byte) {
	if len(object) == 0 || object[0] != '{' {
		return nil
	}
	for w := walk(object); ; {
		key, value, ok := w.next()
		if !ok {
			return found
		}
		if string(key) == name {
			found = value
		}
	}
}
