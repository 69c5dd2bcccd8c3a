package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"syscall"
	"time"

	"github.com/acmeauthz/acmeauthz/internal/display"
	"github.com/acmeauthz/acmeauthz/internal/leaks"
	"github.com/acmeauthz/acmeauthz/internal/replace"
	"github.com/acmeauthz/acmeauthz/logparse"
	"github.com/urfave/cli/v3"
)

// maxLeaks limits the memory of a report: two million authorizations need about
// 2 GB. Those beyond it are counted, and the report says so.
const maxLeaks = 2_000_000

// leakOptions is what the command line of the subcommand leaks asks for.
type leakOptions struct {
	files   []string
	json    bool
	csv     bool
	html    string // the file to write, or stdoutName
	at      time.Time
	verbose bool
}

// stdoutName stands for standard output where a file is to be named.
const stdoutName = "-"

func (p *program) leaksCommand() *cli.Command {
	flags := []cli.Flag{
		&cli.BoolFlag{Name: "json", Local: true, Usage: "print the report as one JSON document"},
		&cli.BoolFlag{Name: "csv", Local: true, Usage: "print a row for each authorization"},
		&cli.StringFlag{Name: "html", Local: true, Usage: "write the report as a page to `FILE`, too; - prints it"},
		&cli.StringFlag{Name: "at", Local: true, Usage: "judge as of `TIME`, as 2026-11-23T20:00:00Z (default: now)"},
		&cli.StringFlag{Name: "metrics-file", Local: true, Usage: "write metrics to this `FILE` at the end (Prometheus)"},
	}
	flags = append(flags, logFlags()...)
	flags[len(flags)-1] = &cli.BoolFlag{Name: "verbose", Aliases: []string{"v"}, Local: true, Usage: "shorten nothing; show where lines are not understood"}
	return subcommand("leaks", flags, func(_ context.Context, c *cli.Command) error {
		if err := p.setLog(c); err != nil {
			return err
		}
		o, err := p.leakOptions(c)
		if err != nil {
			return err
		}
		p.metrics = newMetrics(c.String("metrics-file"), "leaks", p.now())
		return p.leaks(o)
	})
}

func (p *program) leakOptions(c *cli.Command) (leakOptions, error) {
	o := leakOptions{
		files:   c.Args().Slice(),
		json:    c.Bool("json"),
		csv:     c.Bool("csv"),
		html:    c.String("html"),
		at:      p.now(),
		verbose: c.Bool("verbose"),
	}
	if o.json && o.csv || (o.json || o.csv) && o.html == stdoutName {
		return o, usage("--json, --csv and --html - all want standard output.").then("Give one of them; --html FILE goes with each.")
	}
	if c.IsSet("html") && o.html == "" {
		return o, usage("--html needs a file to write.").then("For example: --html leaks.html")
	}
	if at := c.String("at"); c.IsSet("at") {
		var err error
		o.at, err = p.parseTime(at)
		return o, err
	}
	return o, nil
}

func (p *program) parseTime(s string) (time.Time, error) {
	location := p.location
	if location == nil {
		location = time.Local
	}
	if at, ok := leaks.ParseTime(s, location); ok {
		return at, nil
	}
	return time.Time{}, usage("--at %s is no time.", s).then("Write it as %s.", leaks.TimeForms)
}

// leaks is the subcommand leaks: logs in, a report out.
func (p *program) leaks(o leakOptions) error {
	in, err := p.input(o.files, "")
	if err != nil {
		return err
	}
	if in.key != nil {
		return usage("%s is a key, and leaks needs none.", in.key.path).then("Name the logs, for instance: clear-authz leaks /var/log/letsencrypt")
	}
	h := logparse.History{At: o.at, MaxAuthorizations: maxLeaks}
	found := p.readEvents(in.logs, h.Add)
	if found.failed > 0 && found.failed == len(in.logs) && len(h.Lives()) == 0 {
		return found.problem(len(in.logs))
	}
	report := leaks.New(&h)
	p.metrics.leaks(report)
	if err := p.writeLeaks(o, report); err != nil {
		return err
	}
	switch {
	case found.failed > 0:
		found.count = len(h.Lives())
		return found.problem(len(in.logs))
	case len(h.Lives()) == 0:
		p.say("%s\n", display.Trusted(found.nothingFound(in.logs)))
	}
	return nil
}

// writeLeaks writes the report in all forms that were asked for.
func (p *program) writeLeaks(o leakOptions, r *leaks.Report) error {
	if o.html != "" && o.html != stdoutName {
		if err := writePage(o.html, r); err != nil {
			return err
		}
		p.say("The page is in %s\n", o.html)
	}
	var page bytes.Buffer
	if err := p.printLeaks(&page, o, r); err != nil {
		return err
	}
	if _, err := p.stdout.Write(page.Bytes()); err != nil && !errors.Is(err, syscall.EPIPE) {
		return failed("the output cannot be written: %s.", err).because(err)
	}
	return nil
}

// writePage writes the page to a file.
func writePage(name string, r *leaks.Report) error {
	err := replace.File(name, func(w io.Writer) error { return r.WriteHTML(w, madeBy()) })
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		name = e.Path // where a link leads
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, replace.ErrNoFile):
		return usage("%s is there and is no file.", name).then("Name another, or - for standard output.")
	}
	return nothing("%s cannot be written: %s.", name, withoutPath(err)).because(err).then("Name another file, or make room.")
}

// madeBy is what the page says that it was made by.
func madeBy() string { return "clear-authz leaks " + version() }

// printLeaks writes what goes to standard output.
func (p *program) printLeaks(w io.Writer, o leakOptions, r *leaks.Report) error {
	switch {
	case o.json:
		return r.WriteJSON(w)
	case o.csv:
		return r.WriteCSV(w)
	case o.html == stdoutName:
		return r.WriteHTML(w, madeBy())
	case p.quiet:
		return nil
	}
	return r.WriteText(w, leaks.TextOptions{
		Width: p.tableWidth(), Paint: display.NewPainter(p.stdout, p.getenv), Verbose: o.verbose,
	})
}
