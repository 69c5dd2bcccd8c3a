package main

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/acmeauthz/acmeauthz/internal/display"
	"github.com/urfave/cli/v3"
)

// helpWidth is the width of --help: that of the narrowest terminal in use.
const helpWidth = 80

// A helpPage is what there is to say of a command. --help and the man page are
// both made of it, and of the command's flags.
type helpPage struct {
	name     string   // of the command; "" is the program
	summary  string   // in a line
	usage    []string // ways to call it, without "clear-authz"
	about    []block
	examples []entry   // command lines without "clear-authz" unless they are a pipe, and what they do
	sections []section // after the flags
}

// A section is a titled part of a page.
type section struct {
	title  string
	blocks []block
}

// A block is a paragraph, or a list of terms.
type block struct {
	text  string
	terms []entry
	wide  bool // words may take half a line
}

// An entry is a word and what it means.
type entry struct{ word, text string }

func paragraph(text string) block { return block{text: text} }

func terms(all ...entry) block { return block{terms: all} }

func wideTerms(all ...entry) block { return block{terms: all, wide: true} }

// title is the command as one types it.
func (h helpPage) title() string { return strings.TrimSpace("clear-authz " + h.name) }

// all is the page's sections, with those that every page has in the same place.
func (h helpPage) all(flags []cli.Flag) []section {
	sections := []section{}
	if len(h.about) > 0 {
		sections = append(sections, section{"", h.about})
	}
	if len(h.examples) > 0 {
		sections = append(sections, section{"EXAMPLES", []block{wideTerms(h.examples...)}})
	}
	if len(flags) > 0 {
		sections = append(sections, section{"FLAGS", []block{terms(flagTerms(flags)...)}})
	}
	return append(sections, h.sections...)
}

// text is the page as --help prints it.
func (h helpPage) text(flags []cli.Flag) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s - %s\n\nUSAGE:\n", h.title(), h.summary)
	for _, line := range h.usage {
		fmt.Fprintf(&b, "   %s\n", line)
	}
	for _, s := range h.all(flags) {
		b.WriteByte('\n')
		if s.title != "" {
			fmt.Fprintf(&b, "%s:\n", s.title)
		}
		for i, block := range s.blocks {
			if i > 0 {
				b.WriteByte('\n')
			}
			block.print(&b)
		}
	}
	return b.String()
}

// print writes the block, indented, in helpWidth columns.
func (k block) print(b *strings.Builder) {
	const indent = "   "
	for _, line := range wrapped(k.text, helpWidth-len(indent)) {
		b.WriteString(indent + line + "\n")
	}
	column, widest := 0, 24
	if k.wide {
		widest = 46
	}
	for _, t := range k.terms {
		if n := utf8.RuneCountInString(t.word); n <= widest {
			column = max(column, n)
		}
	}
	column += len(indent) + 2
	for _, t := range k.terms {
		lines := wrapped(t.text, helpWidth-column)
		if utf8.RuneCountInString(t.word)+len(indent)+2 > column || t.text == "" {
			b.WriteString(indent + t.word + "\n")
		} else {
			fmt.Fprintf(b, "%-*s%s\n", column, indent+t.word, lines[0])
			lines = lines[1:]
		}
		for _, line := range lines {
			fmt.Fprintf(b, "%*s%s\n", column, "", line)
		}
	}
}

func wrapped(text string, width int) []string {
	if text == "" {
		return nil
	}
	return display.Wrap(text, width)
}

// flagTerms has a term for each flag: how it is written, and what it is for.
func flagTerms(flags []cli.Flag) []entry {
	var all []entry
	for _, f := range flags {
		if visible, ok := f.(cli.VisibleFlag); ok && !visible.IsVisible() {
			continue
		}
		all = append(all, flagTerm(f))
	}
	return append(all, entry{"-h, --help", "print this"})
}

func flagTerm(f cli.Flag) entry {
	doc := f.(cli.DocGenerationFlag)
	usage, value := unquote(doc.GetUsage())
	var names []string
	for _, name := range f.Names() {
		if len(name) == 1 {
			names = append([]string{"-" + name}, names...)
		} else {
			names = append(names, "--"+name)
		}
	}
	word := strings.Join(names, ", ")
	if value != "" && doc.TakesValue() {
		word += " " + value
	}
	return entry{word, usage}
}

// unquote takes the name of a flag's value out of its usage, where it stands in
// backquotes.
func unquote(usage string) (text, value string) {
	before, rest, found := strings.Cut(usage, "`")
	if !found {
		return usage, ""
	}
	value, after, _ := strings.Cut(rest, "`")
	return before + value + after, value
}
