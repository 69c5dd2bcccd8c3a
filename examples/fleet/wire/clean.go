package wire

import (
	"strings"
	"unicode"
)

// Clean returns a text of the same width, for tables, that a terminal does not act upon: whatever is no character to be printed
// is "?", but for spaces and
// line ends.
func Clean(text string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' || unicode.IsPrint(r) {
			return r
		}
		return '?'
	}, strings.ToValidUTF8(text, "?"))
}
