package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/acmeauthz/acmeauthz/internal/display"
	"github.com/acmeauthz/acmeauthz/internal/leaks"
	"github.com/acmeauthz/acmeauthz/internal/replace"
	"github.com/acmeauthz/acmeauthz/logparse"
	"github.com/urfave/cli/v3"
)

// reportOptions are what the command line of report asks for.
type reportOptions struct {
	json, csv, verbose bool
	html, history      string // files to write, or stdoutName
	at                 time.Time
	recent             time.Duration
}

// stdoutName stands for standard output where a file is to be named.
const stdoutName = "-"

func newReportOptions(c *cli.Command, now time.Time) (reportOptions, error) {
	o := reportOptions{
		json: c.Bool("json"), csv: c.Bool("csv"), verbose: c.Bool("verbose"), html: c.String("html"), history: c.String("history"),
		at: now, recent: c.Duration("recent"),
	}
	wanted := 0
	for _, wants := range []bool{o.json, o.csv, o.html == stdoutName, o.history == stdoutName} {
		if wants {
			wanted++
		}
	}
	if wanted > 1 {
		return o, usageError{errors.New("--json, --csv, --html - and --history - all want standard output: give one of them")}
	}
	for _, name := range []string{"html", "history"} {
		if c.IsSet(name) && c.String(name) == "" {
			return o, usageError{fmt.Errorf("--%s needs a file to write", name)}
		}
	}
	if c.IsSet("at") {
		at, ok := leaks.ParseTime(c.String("at"), time.Local)
		if !ok {
			return o, usageError{fmt.Errorf("--at %s is no time: write it as %s", c.String("at"), leaks.TimeForms)}
		}
		o.at = at
	}
	return o, nil
}

// writeReport writes what leaked in all forms that were asked for.
func (p *program) writeReport(o reportOptions, h *logparse.History) error {
	h.At, h.Recent = o.at, o.recent
	r := leaks.New(h)
	page := func(w io.Writer) error { return r.WriteHTML(w, "fleet report "+version()) }
	history := func(w io.Writer) error { return writeHistory(w, h) }
	if err := errors.Join(p.writeFile("The history", o.history, history), p.writeFile("The page", o.html, page)); err != nil {
		return err
	}
	switch {
	case o.json:
		return r.WriteJSON(p.stdout)
	case o.csv:
		return r.WriteCSV(p.stdout)
	case o.html == stdoutName:
		return page(p.stdout)
	case o.history == stdoutName:
		return history(p.stdout)
	}
	return r.WriteText(p.stdout, leaks.TextOptions{
		Width: display.Width(p.stdout), Paint: display.NewPainter(p.stdout, os.Getenv), Verbose: o.verbose,
	})
}

// writeFile writes a file, if one is named, and says so where it is in nobody's way.
func (p *program) writeFile(what, name string, write func(io.Writer) error) error {
	if name == "" || name == stdoutName {
		return nil
	}
	if err := replace.File(name, write); err != nil {
		return err
	}
	fmt.Fprint(p.stderr, display.Cleanf("%s is in %s\n", what, name))
	return nil
}

// writeHistory writes the History as one line of JSON, in which nothing can act upon a terminal.
func writeHistory(w io.Writer, h *logparse.History) error {
	data, err := h.MarshalJSON()
	if err == nil {
		_, err = fmt.Fprintf(w, "%s\n", display.CleanJSON(data))
	}
	return err
}
