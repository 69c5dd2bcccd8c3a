package display

import (
	"cmp"
	"regexp"
	"unicode/utf8"
)

// A Painter colours text for a terminal if it is on, and else leaves it as it is.
type Painter struct{ On bool }

// NewPainter returns one that paints if stream is a terminal and nobody objects: see no-color.org. Getenv reads the environment,
// as os.Getenv does.
func NewPainter(stream any, getenv func(string) string) Painter {
	return Painter{Obeys(stream, getenv) && getenv("NO_COLOR") == ""}
}

// Obeys reports whether stream is a terminal that acts upon escape sequences.
func Obeys(stream any, getenv func(string) string) bool {
	return IsTerminal(stream) && cmp.Or(getenv("TERM"), "dumb") != "dumb"
}

func (p Painter) with(code, s string) string {
	if !p.On || s == "" {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

// Strong is for titles.
func (p Painter) Strong(s string) string { return p.with("1", s) }

// Faint is for what matters least.
func (p Painter) Faint(s string) string { return p.with("2", s) }

// Bad is for what is wrong.
func (p Painter) Bad(s string) string { return p.with("31", s) }

// Good is for what is as it should be.
func (p Painter) Good(s string) string { return p.with("32", s) }

// Odd is for what is neither.
func (p Painter) Odd(s string) string { return p.with("33", s) }

var colours = regexp.MustCompile("\x1b\\[[0-9]*m")

// Visible is how many columns text takes, colours left out.
func Visible(s string) int { return utf8.RuneCountInString(colours.ReplaceAllString(s, "")) }
