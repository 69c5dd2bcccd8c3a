package picture

import (
	"fmt"
	"strings"

	"github.com/acmeauthz/acmeauthz/examples/fleet/wire"
)

// A style is the number of an ANSI colour or weight; "" is none.
type style string

const (
	plain  style = ""
	strong style = "1"
	faint  style = "2"
	bad    style = "31"
	good   style = "32"
)

// A span is text in one style.
type span struct {
	text  string
	style style
}

// say is a span as fmt.Sprintf makes it.
func (s style) say(format string, values ...any) span { return span{fmt.Sprintf(format, values...), s} }

// maxSpan bounds a span, in characters.
const maxSpan = 2000

// A canvas makes lines of spans, in at most so many columns; zero is any number. What spans say may come from anybody:
// it is cleaned before colours are added, and cannot begin a line of its own.
type canvas struct {
	columns int
	colours bool
	lines   []string
}

// line adds a line, or some if it is too long.
func (c *canvas) line(spans ...span) {
	var all []letter
	for _, s := range spans {
		for _, r := range oneLine(shorten(s.text, maxSpan)) {
			all = append(all, letter{r, s.style})
		}
	}
	for _, l := range fold(all, c.columns) {
		c.lines = append(c.lines, c.paint(l))
	}
}

var spaces = strings.NewReplacer("\n", " ", "\t", " ")

// oneLine is a text that a terminal does not act upon, and that begins no line.
func oneLine(text string) string { return spaces.Replace(wire.Clean(text)) }

// cut keeps so many lines, and says how many there were; zero is any number.
func (c *canvas) cut(rows int) {
	if rows <= 0 || len(c.lines) <= rows {
		return
	}
	left := len(c.lines) - max(rows-1, 0)
	c.lines = c.lines[:len(c.lines)-left]
	c.line(strong.say("%s more lines do not fit into the window", number(left)))
	c.lines = c.lines[:rows] // in a window so narrow that the last line took two
}

// String is all lines.
func (c *canvas) String() string {
	if len(c.lines) == 0 {
		return ""
	}
	return strings.Join(c.lines, "\n") + "\n"
}

// A letter is one of a line, with its style.
type letter struct {
	r     rune
	style style
}

// paint is the text of a line, with colours if they are wanted.
func (c *canvas) paint(line []letter) string {
	var b strings.Builder
	now := plain
	turn := func(to style) {
		if !c.colours || now == to {
			return
		}
		if now != plain {
			b.WriteString("\x1b[0m")
		}
		if to != plain {
			b.WriteString("\x1b[" + string(to) + "m")
		}
		now = to
	}
	for _, l := range line {
		turn(l.style)
		b.WriteRune(l.r)
	}
	turn(plain)
	return b.String()
}

const indent = "            "

// fold breaks a line at spaces so that it fits, and indents what goes on.
func fold(line []letter, columns int) (all [][]letter) {
	line = trimRight(line)
	for columns > 0 && len(line) > columns {
		cut := columns
		for i := columns; i > len(indent)+8; i-- {
			if line[i].r == ' ' {
				cut = i
				break
			}
		}
		all = append(all, trimRight(line[:cut]))
		rest := line[cut:]
		for len(rest) > 0 && rest[0].r == ' ' {
			rest = rest[1:]
		}
		line = nil
		for _, r := range indent[:min(len(indent), columns/2)] { // where nothing but the indent fits, nothing would ever end
			line = append(line, letter{r, plain})
		}
		line = append(line, rest...)
	}
	return append(all, line)
}

func trimRight(line []letter) []letter {
	for len(line) > 0 && line[len(line)-1].r == ' ' {
		line = line[:len(line)-1]
	}
	return line
}

// number is a count with commas, for people.
func number(n int) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
