package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/acmeauthz/acmeauthz/internal/display"
	"github.com/urfave/cli/v3"
)

// writeManual writes the man page, in the macros of man(7).
func writeManual(w io.Writer, root *cli.Command) error {
	var b strings.Builder
	main := mainPage()
	date := ""
	if at := buildVersion().Time; at != nil {
		date, _, _ = strings.Cut(*at, "T")
	}
	fmt.Fprintf(&b, ".TH CLEAR\\-AUTHZ 1 %q \"clear\\-authz %s\" \"User Commands\"\n", date, roff(version()))
	fmt.Fprintf(&b, ".SH NAME\nclear\\-authz \\- %s\n.SH SYNOPSIS\n.nf\n", roff(main.summary))
	for _, line := range main.usage {
		fmt.Fprintf(&b, "%s\n", roff(line))
	}
	b.WriteString(".fi\n.SH DESCRIPTION\n")
	for _, s := range main.all(visibleFlags(root)) {
		writeSection(&b, ".SH", s)
	}
	b.WriteString(".SH COMMANDS\n")
	for _, c := range root.Commands {
		page, ok := pageOf(c.Name)
		if !ok {
			continue
		}
		fmt.Fprintf(&b, ".SS \"%s\"\n%s.\n.PP\n.nf\n", roff(page.title()), roff(sentence(page.summary)))
		for _, line := range page.usage {
			fmt.Fprintf(&b, "%s\n", roff(line))
		}
		b.WriteString(".fi\n")
		for _, s := range page.all(visibleFlags(c)) {
			writeSection(&b, "", s)
		}
	}
	b.WriteString(".SH FILES\n")
	writeBlock(&b, terms(
		entry{"/var/log/letsencrypt", "the logs that are read if none is named and nothing is piped in"},
		entry{"/etc/letsencrypt, /var/lib/caddy, ...", "where accounts are found; \"clear-authz accounts\" lists them"},
	))
	b.WriteString(".SH SEE ALSO\n.BR certbot (1),\nRFC 8555 (ACME), sections 7.1.4, 7.1.6 and 7.5\n")
	_, err := io.WriteString(w, b.String())
	return err
}

func visibleFlags(c *cli.Command) []cli.Flag {
	var all []cli.Flag
	for _, f := range c.Flags {
		if f.Names()[0] != "help" {
			all = append(all, f)
		}
	}
	return all
}

func sentence(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

// writeSection writes a section with the heading macro, or with a heading in bold
// if there is none.
func writeSection(b *strings.Builder, heading string, s section) {
	switch {
	case s.title == "":
	case heading != "":
		fmt.Fprintf(b, "%s \"%s\"\n", heading, roff(manTitle(s.title)))
	default:
		fmt.Fprintf(b, ".PP\n.B %s\n", roff(sentence(strings.ToLower(s.title)))+":")
	}
	for i, block := range s.blocks {
		if i > 0 || heading == "" {
			if block.text != "" {
				b.WriteString(".PP\n")
			}
		}
		writeBlock(b, block)
	}
}

// manTitle is the section's title as man pages have it.
func manTitle(title string) string {
	switch title {
	case "FLAGS":
		return "OPTIONS"
	case "EXIT CODES":
		return "EXIT STATUS"
	}
	return title
}

func writeBlock(b *strings.Builder, k block) {
	if k.text != "" {
		writeText(b, k.text)
	}
	for _, t := range k.terms {
		fmt.Fprintf(b, ".TP\n.B %s\n", roff(t.word))
		if t.text != "" {
			writeText(b, t.text)
		}
	}
}

// writeText writes running text in short lines.
func writeText(b *strings.Builder, text string) {
	for _, line := range display.Wrap(text, 66) { // escapes make it longer
		fmt.Fprintf(b, "%s\n", roff(line))
	}
}

// roff escapes text: backslashes, hyphens that people copy, and what would be a
// macro at the start of a line.
func roff(s string) string {
	s = strings.NewReplacer(`\`, `\e`, "-", `\-`, "'", `\(aq`, `"`, `\(dq`, "…", "...", "`", "\\`", "^", `\(ha`, "~", `\(ti`).Replace(s)
	if strings.HasPrefix(s, ".") {
		s = `\&` + s
	}
	return s
}
