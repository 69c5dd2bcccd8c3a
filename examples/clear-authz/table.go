package main

import (
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"
	"unicode/utf8"

	"golang.org/x/term"
)

const (
	columnGap    = 2
	narrowestURL = 16 // a column that is narrower tells nothing
)

// terminalWidth is the width of the terminal that w is, or 0.
func terminalWidth(w io.Writer) int {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return 0
	}
	width, _, err := term.GetSize(int(f.Fd()))
	if err != nil {
		return 0
	}
	return width
}

// tableWidth is how wide tables may be; 0 is any width: programs that read them
// want whole URLs.
func (p *program) tableWidth() int {
	if p.columns > 0 {
		return p.columns
	}
	return terminalWidth(p.stdout)
}

// writeTable writes rows in columns; the first row is the head. The last column
// is a URL: on a terminal, it and then the first column are shortened to fit.
func writeTable(w io.Writer, width int, rows [][]string) error {
	for _, row := range rows {
		for i := range row {
			row[i] = clean(row[i])
		}
	}
	if width > 0 {
		fit(rows, width)
	}
	widths := columnWidths(rows)
	var b strings.Builder
	for _, row := range rows {
		last := len(row) - 1
		for i, cell := range row[:last] {
			fmt.Fprintf(&b, "%-*s", widths[i]+columnGap, cell)
		}
		b.WriteString(row[last])
		b.WriteByte('\n')
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// fit shortens URLs, first to their paths, then to their ends, and then names to
// their ends, until a row has at most width columns.
func fit(rows [][]string, width int) {
	if len(rows) == 0 {
		return
	}
	last := len(rows[0]) - 1
	if tableWidth(rows) > width {
		mapColumn(rows, last, pathOf)
	}
	if over := tableWidth(rows) - width; over > 0 {
		keep := max(columnWidths(rows)[last]-over, narrowestURL)
		mapColumn(rows, last, func(s string) string { return tail(s, keep) })
	}
	if over := tableWidth(rows) - width; over > 0 {
		keep := max(columnWidths(rows)[0]-over, narrowestURL)
		mapColumn(rows, 0, func(s string) string { return tail(s, keep) })
	}
}

// mapColumn changes the cells of one column below its head.
func mapColumn(rows [][]string, column int, f func(string) string) {
	for _, row := range rows[1:] {
		row[column] = f(row[column])
	}
}

func pathOf(raw string) string {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" {
		return raw
	}
	return u.EscapedPath()
}

// tail is the end of s in at most n columns: the part that tells names and
// authorizations apart.
func tail(s string, n int) string {
	if over := utf8.RuneCountInString(s) - n; over > 0 {
		return "…" + string([]rune(s)[over+1:])
	}
	return s
}

func columnWidths(rows [][]string) []int {
	var widths []int
	for _, row := range rows {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	return widths
}

func tableWidth(rows [][]string) int {
	total := 0
	for _, width := range columnWidths(rows) {
		total += width + columnGap
	}
	return total - columnGap
}
