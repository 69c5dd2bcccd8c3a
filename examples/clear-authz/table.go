package main

import (
	"fmt"
	"io"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/acmeauthz/acmeauthz/internal/display"
)

const (
	columnGap    = 2
	narrowestURL = 16 // a column that is narrower tells nothing
)

// tableWidth is how wide tables may be; 0 is any width: programs that read them
// want whole URLs.
func (p *program) tableWidth() int {
	if p.columns > 0 {
		return p.columns
	}
	return display.Width(p.stdout)
}

// writeTable writes rows in columns; the first row is the head. The last column
// is a URL: on a terminal, it and then the first column are shortened to fit.
func writeTable(w io.Writer, width int, rows [][]string) error {
	for _, row := range rows {
		for i := range row {
			row[i] = display.Clean(row[i])
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
		mapColumn(rows, last, func(s string) string { return display.Tail(s, keep) })
	}
	if over := tableWidth(rows) - width; over > 0 {
		keep := max(columnWidths(rows)[0]-over, narrowestURL)
		mapColumn(rows, 0, func(s string) string { return display.Tail(s, keep) })
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
