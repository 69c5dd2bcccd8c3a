package main

import (
	"cmp"
	"regexp"
	"unicode/utf8"

	"github.com/acmeauthz/acmeauthz/logparse"
)

// A painter colours text for a terminal, or leaves it as it is.
type painter struct{ on bool }

// painter paints if standard output is a terminal and nobody objects: see
// no-color.org.
func (p *program) painter() painter {
	return painter{isTerminal(p.stdout) && p.getenv("NO_COLOR") == "" && cmp.Or(p.getenv("TERM"), "dumb") != "dumb"}
}

func (p painter) with(code, s string) string {
	if !p.on || s == "" {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

func (p painter) strong(s string) string { return p.with("1", s) }
func (p painter) faint(s string) string  { return p.with("2", s) }
func (p painter) bad(s string) string    { return p.with("31", s) }
func (p painter) good(s string) string   { return p.with("32", s) }
func (p painter) odd(s string) string    { return p.with("33", s) }

// verdict returns the colour of a verdict.
func (p painter) verdict(v logparse.Verdict) func(string) string {
	switch v {
	case logparse.Leaked:
		return p.bad
	case logparse.Valid, logparse.Deactivated:
		return p.good
	}
	return p.odd
}

var colours = regexp.MustCompile("\x1b\\[[0-9]*m")

// visible is how many columns text takes, colours left out.
func visible(s string) int { return utf8.RuneCountInString(colours.ReplaceAllString(s, "")) }
