package logparse

// Escape sequences of terminals (ECMA-48, and the command strings of xterm):
//
//	ESC [ parameters final                 colours, cursor
//	ESC ] … BEL,  ESC ] … ESC \            titles, links; ESC P, X, ^ and _ start such strings too
//	ESC intermediates final, ESC letter    character sets and others
//
// What only looks like one keeps its text, but never its escape character.

const (
	esc = 0x1b
	bel = 0x07
)

// The longest sequences that are taken out whole.
const (
	maxControlSequence = 64
	maxControlString   = 4096
)

// stripEscapes appends b without its escape sequences to dst.
func stripEscapes(dst, b []byte) []byte {
	start := 0
	for i := 0; i < len(b); {
		if b[i] != esc {
			i++
			continue
		}
		dst = append(dst, b[start:i]...)
		i += escapeLength(b[i:])
		start = i
	}
	return append(dst, b[start:]...)
}

// escapeLength returns the length of the escape sequence at the start of b, 1 for an escape character that starts none.
func escapeLength(b []byte) int {
	if len(b) < 2 {
		return 1
	}
	switch c := b[1]; {
	case c == '[':
		return controlSequence(b)
	case c == ']' || c == 'P' || c == 'X' || c == '^' || c == '_':
		return controlString(b)
	case c >= ' ' && c <= '/':
		return intermediates(b)
	case c >= '0' && c <= '~':
		return 2
	}
	return 1
}

// controlSequence returns the length of the sequence at the start of b, which starts with ESC [.
func controlSequence(b []byte) int {
	for i, c := range b[2:min(len(b), maxControlSequence)] {
		switch {
		case c >= '@' && c <= '~':
			return i + 3
		case c < ' ' || c > '?':
			return 2
		}
	}
	return 2
}

// controlString returns the length of the sequence at the start of b, which starts a string. Another escape sequence
// ends the search, so that a text full of them costs no more than another.
func controlString(b []byte) int {
	for i, c := range b[2:min(len(b), maxControlString)] {
		switch {
		case c == bel:
			return i + 3
		case c == esc && i+3 < len(b) && b[i+3] == '\\':
			return i + 4
		case c == esc:
			return 2
		}
	}
	return 2
}

// intermediates returns the length of the sequence at the start of b, whose second byte is an intermediate one.
func intermediates(b []byte) int {
	for i, c := range b[1:min(len(b), maxControlSequence)] {
		switch {
		case c >= '0' && c <= '~':
			return i + 2
		case c < ' ' || c > '/':
			return 1
		}
	}
	return 1
}
