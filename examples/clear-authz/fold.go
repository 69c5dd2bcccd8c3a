package main

import (
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/acmeauthz/acmeauthz/internal/display"
)

// command is what a person may type, at the end of a line: it is never broken.
var command = regexp.MustCompile(`^(.*?[:,]) ((?:sudo |cat |curl |ls |docker |kubectl |clear-authz |--[a-z]).*)$`)

// typed is a line that is nothing but a command.
var typed = regexp.MustCompile(`^ *(?:sudo|cat|curl|ls|docker|kubectl|clear-authz) `)

// fold breaks lines that are longer than width, at spaces, and indents what goes
// on. A command at the end of a long line gets one of its own.
func fold(text string, width int) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		line, newline := strings.TrimSuffix(line, "\n"), strings.HasSuffix(line, "\n")
		b.WriteString(foldLine(line, width))
		if newline {
			b.WriteByte('\n')
		}
	}
	return b.String()
}

func foldLine(line string, width int) string {
	if utf8.RuneCountInString(line) <= width || typed.MatchString(line) || len(strings.Fields(line)) < 3 {
		return line
	}
	indent := line[:len(line)-len(strings.TrimLeft(line, " "))]
	if parts := command.FindStringSubmatch(line); parts != nil {
		return foldLine(parts[1], width) + "\n" + indent + "  " + parts[2]
	}
	lines := display.Wrap(line, width-len(indent)-2)
	return indent + strings.Join(lines, "\n"+indent+"  ")
}

// folded is a message to people, as wide as standard error.
func (p *program) folded(text string) string {
	if p.fold != nil {
		return p.fold(text)
	}
	if width := display.Width(p.stderr); width > 0 {
		return fold(text, min(max(width, display.Narrowest), display.Widest))
	}
	return fold(text, display.PlainText)
}
