package logparse

// A text is bytes with positions in them. What stands before a position under examination is there for at least
// lookBehind bytes, or back to the start of the input.
type text struct {
	b   []byte
	end ending
}

// An ending says what comes after a text.
type ending uint8

const (
	endUnread  ending = iota // perhaps more: it must be read before anything is decided that depends on it
	endLimit                 // perhaps more, but what reaches as far as this is too long anyway
	endInput                 // nothing: the input is complete
	endFailure               // nothing: reading failed
)

// A symbol is one character of a text, plain or escaped.
type symbol struct {
	c       byte // the character; '\\' for a backslash that escapes nothing of interest
	n       int  // its length in the text; 0 at the end
	slashes int  // number of backslashes before it, for a slash or a quote
	coded   bool // written as its code: \u002f, \x2f, %2F
	percent bool // written as %2F
}

// maxEscape is the longest run of backslashes that is taken for an escape.
const maxEscape = 16

// at returns the symbol at position i. It reports false if more must be read to tell.
func (t text) at(i int) (symbol, bool) {
	if i >= len(t.b) {
		return symbol{}, t.end != endUnread
	}
	switch c := t.b[i]; c {
	case '\\':
		return t.backslash(i)
	case '%':
		return t.percent(i)
	default:
		return symbol{c: c, n: 1}, true
	}
}

// percent returns the symbol that starts with the percent sign at position i.
func (t text) percent(i int) (symbol, bool) {
	if len(t.b)-i < len("%2F") {
		return symbol{c: '%', n: 1}, t.end != endUnread
	}
	if c, ok := unhex(t.b[i+1], t.b[i+2]); ok {
		return symbol{c: c, n: 3, coded: true, percent: true}, true
	}
	return symbol{c: '%', n: 1}, true
}

// backslash returns the symbol that starts with the backslash at position i.
func (t text) backslash(i int) (symbol, bool) {
	run := t.backslashes(i)
	rest := t.b[i+run:]
	if len(rest) < len("u002f") && t.end == endUnread {
		return symbol{}, false
	}
	switch {
	case len(rest) == 0 || run > maxEscape:
	case rest[0] == '/' || rest[0] == '"' || rest[0] == '\'':
		return symbol{c: rest[0], n: run + 1, slashes: run}, true
	case rest[0] == 'u' && len(rest) >= 5 && rest[1] == '0' && rest[2] == '0':
		if c, ok := unhex(rest[3], rest[4]); ok {
			return symbol{c: c, n: run + 5, coded: true}, true
		}
	case rest[0] == 'x' && len(rest) >= 3:
		if c, ok := unhex(rest[1], rest[2]); ok {
			return symbol{c: c, n: run + 3, coded: true}, true
		}
	}
	return symbol{c: '\\', n: 1}, true
}

// backslashes returns how many backslashes stand at position i, at most maxEscape+1.
func (t text) backslashes(i int) int {
	n := 0
	for n <= maxEscape && i+n < len(t.b) && t.b[i+n] == '\\' {
		n++
	}
	return n
}

// backslashesBefore returns how many backslashes end at position i, at most maxEscape+1.
func (t text) backslashesBefore(i int) int {
	n := 0
	for n <= maxEscape && i > n && t.b[i-n-1] == '\\' {
		n++
	}
	return n
}

// blank returns the length of the white space character at position i, plain or as an escape ("\n" in a literal); 0 if
// something else is there. It reports false if more must be read to tell.
func (t text) blank(i int) (n int, ok bool) {
	run := t.backslashes(i)
	if i+run >= len(t.b) {
		return 0, t.end != endUnread
	}
	switch c := t.b[i+run]; {
	case run == 0 && (c == ' ' || c == '\t' || c == '\n' || c == '\r'):
		return 1, true
	case 0 < run && run <= maxEscape && (c == 'n' || c == 'r' || c == 't'):
		return run + 1, true
	}
	return 0, true
}

// unhex returns the byte that two hexadecimal digits stand for.
func unhex(hi, lo byte) (byte, bool) {
	h, l := hexDigit(hi), hexDigit(lo)
	return h<<4 | l, h < 16 && l < 16
}

// hexDigit returns the value of c, or 16 if it is no hexadecimal digit.
func hexDigit(c byte) byte {
	switch lower := c | 0x20; {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= lower && lower <= 'f':
		return lower - 'a' + 10
	}
	return 16
}

// Classes of bytes.
const (
	inDigit   uint8 = 1 << iota // 0-9
	inID                        // the alphabet of identifiers: letters, digits, "-", "_"
	inPath                      // what a path is made of, besides escapes
	inHost                      // what a host and port are made of
	inElement                   // what a URL in an authorizations array is made of, besides escapes
	inRaw                       // what may stand between a scheme and a path's last segments, escapes included
)

var classes = func() (t [256]uint8) {
	const digits = "0123456789"
	const id = digits + "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_"
	const path = id + "./~@+=$*"
	for chars, class := range map[string]uint8{
		digits:                   inDigit,
		id:                       inID,
		path:                     inPath,
		id + ".:[]":              inHost,
		path + ":?&,;!()[]|":     inElement,
		path + ":[]" + `\` + "%": inRaw,
	} {
		for _, c := range []byte(chars) {
			t[c] |= class
		}
	}
	return t
}()

// all reports whether b is of the given class throughout, and not empty.
func all(class uint8, b []byte) bool {
	for _, c := range b {
		if classes[c]&class == 0 {
			return false
		}
	}
	return len(b) > 0
}
