package main

import (
	"encoding/xml"
	"fmt"
	"html"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

// TestPicture holds the README's picture against what leaks prints for the
// recorded fleet: go test -update draws it anew.
func TestPicture(t *testing.T) {
	b := fleetBench(t)
	r := b.run("leaks", b.path("fleet"))
	require.Equal(t, exitOK, r.code)
	lines := strings.Split(coloured(strings.ReplaceAll(b.stable(r.stdout), "DIR/fleet", "fleet")), "\n")
	picture := drawing("$ clear-authz leaks fleet/", lines[:30])
	require.NoError(t, xml.Unmarshal([]byte(picture), new(struct{})))
	compareGolden(t, "../../.github/leaks.svg", picture)
}

var (
	titles  = regexp.MustCompile(`(?m)^[A-Z][A-Z ,]+$`)
	leakBar = regexp.MustCompile(`(?m)^  leaked.*$`)
	first   = regexp.MustCompile(`\A.*`)
)

// coloured marks what a terminal shows in colour.
func coloured(text string) string {
	text = first.ReplaceAllString(text, "\x01$0\x00")
	text = titles.ReplaceAllString(text, "\x01$0\x00")
	return leakBar.ReplaceAllString(text, "\x02$0\x00")
}

// drawing is lines of text as a picture of a terminal, in SVG.
func drawing(command string, lines []string) string {
	const column, row = 8.4, 18
	var b strings.Builder
	width := 82 * column
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %.0f %d" font-family="ui-monospace,SFMono-Regular,Menlo,Consolas,monospace" font-size="14">`+"\n", width, (len(lines)+2)*row)
	fmt.Fprintf(&b, `<rect width="100%%" height="100%%" rx="8" fill="#101418"/>`+"\n")
	for i, line := range append([]string{"\x03" + command + "\x00"}, lines...) {
		fill, weight := "#d5dbe1", ""
		switch {
		case strings.HasPrefix(line, "\x01"):
			fill, weight = "#ffffff", ` font-weight="bold"`
		case strings.HasPrefix(line, "\x02"):
			fill = "#ff7b72"
		case strings.HasPrefix(line, "\x03"):
			fill = "#7ee787"
		}
		line = strings.Trim(line, "\x00\x01\x02\x03")
		if line == "" {
			continue
		}
		fmt.Fprintf(&b, `<text x="%.0f" y="%d" fill="%s"%s textLength="%.1f" xml:space="preserve">%s</text>`+"\n",
			column, (i+1)*row+4, fill, weight, float64(utf8.RuneCountInString(line))*column, html.EscapeString(line))
	}
	return b.String() + "</svg>\n"
}
