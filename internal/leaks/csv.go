package leaks

import (
	"encoding/csv"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/acmeauthz/acmeauthz/internal/display"
)

// csvHeader names the columns, as the members of the JSON are named. The columns
// at the end are about the run, then comes the evidence, and last the form's name.
var csvHeader = []string{
	"url", "identifier", "wildcard", "names", "domain", "account", "order", "client", "host", "unit", "file", "run",
	"status", "verdict", "cause", "blame", "answered", "answered_at", "first_seen", "last_seen", "expires",
	"run_started", "run_ended", "run_command", "evidence", "schema",
}

// WriteCSV writes a row for each authorization (RFC 4180). No cell is a formula to
// a spreadsheet, and none can act upon a terminal.
func (r *Report) WriteCSV(w io.Writer) error {
	runs := make(map[string]*Run)
	for i := range r.Runs {
		runs[r.Runs[i].ID] = &r.Runs[i]
	}
	c := csv.NewWriter(w)
	c.UseCRLF = true
	if err := c.Write(csvHeader); err != nil {
		return err
	}
	for i := range r.Authorizations {
		if err := c.Write(csvRow(&r.Authorizations[i], runs)); err != nil {
			return err
		}
	}
	c.Flush()
	return c.Error()
}

func csvRow(a *Authorization, runs map[string]*Run) []string {
	run := runs[a.Run]
	if run == nil {
		run = &Run{}
	}
	row := []string{
		a.URL, a.Identifier, strconv.FormatBool(a.Wildcard), strings.Join(a.Names, " "), a.Domain, a.Account, a.Order,
		a.Client, a.Host, a.Unit, a.File, a.Run, a.Status, a.Verdict, a.Cause, a.Blame,
		strconv.FormatBool(a.Answered), a.AnsweredAt.String(), a.FirstSeen.String(), a.LastSeen.String(), a.Expires.String(),
		run.Started.String(), run.Ended.String(), run.Command, evidenceText(a.Evidence), "acmeauthz-leaks-row/1",
	}
	for i := range row {
		row[i] = csvCell(row[i])
	}
	return row
}

// evidenceText is the evidence in one line.
func evidenceText(all []Evidence) string {
	var lines []string
	for _, e := range all {
		lines = append(lines, e.String())
	}
	return strings.Join(lines, " | ")
}

// String is the place and the line.
func (e Evidence) String() string { return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Text) }

// csvCell makes a cell that a spreadsheet takes for text, not for a formula: what
// starts like one gets an apostrophe before it.
func csvCell(s string) string {
	s = display.Clean(s)
	if len(s) > 1 && strings.ContainsRune("=+-@", rune(s[0])) {
		return "'" + s
	}
	return s
}
