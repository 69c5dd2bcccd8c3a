// Package display makes text for people to look at, most of all at a terminal: harmless whatever is in it, wrapped, cut and
// coloured.
package display

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// Whatever a log, a CA or a file says may hold escape sequences that move the
// cursor, retitle the window or hide text. It passes through here before it is
// printed.

// Clean replaces everything in s that is not printable, as Go would in a quoted
// string: an escape becomes \x1b, an invalid byte \xff, a newline \n.
func Clean(s string) string {
	if isClean(s) {
		return s
	}
	var b strings.Builder
	for len(s) > 0 {
		r, size := utf8.DecodeRuneInString(s)
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&b, `\x%02x`, s[0])
		case unicode.IsPrint(r):
			b.WriteRune(r)
		default:
			quoted := fmt.Sprintf("%+q", r)
			b.WriteString(quoted[1 : len(quoted)-1])
		}
		s = s[size:]
	}
	return b.String()
}

func isClean(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}

// Cleanf is fmt.Sprintf with its strings, errors and Stringers cleaned. The
// format itself is ours and may hold newlines.
func Cleanf(format string, args ...any) string {
	safe := make([]any, len(args))
	for i, a := range args {
		switch a := a.(type) {
		case string:
			safe[i] = Clean(a)
		case Trusted:
			safe[i] = string(a)
		case error:
			safe[i] = Clean(a.Error())
		case fmt.Stringer:
			safe[i] = Clean(a.String())
		default:
			safe[i] = a
		}
	}
	return fmt.Sprintf(format, safe...)
}

// Trusted is text of our own that Cleanf leaves as it is, newlines included.
type Trusted string

// CleanJSON escapes what encoding/json lets through and a terminal would act
// upon, such as U+009B. The value stays the same.
func CleanJSON(doc []byte) []byte {
	if isClean(string(doc)) {
		return doc
	}
	var b []byte
	for _, r := range string(doc) {
		switch {
		case unicode.IsPrint(r):
			b = utf8.AppendRune(b, r)
		case r > 0xFFFF:
			hi, lo := utf16.EncodeRune(r)
			b = fmt.Appendf(b, `\u%04x\u%04x`, hi, lo)
		default:
			b = fmt.Appendf(b, `\u%04x`, r)
		}
	}
	return b
}
