package main

import (
	"fmt"
	"io"
	"log/slog"
	"strings"

	"github.com/acmeauthz/acmeauthz/internal/display"
	"github.com/urfave/cli/v3"
)

// logFlags are those of every command: how much is told on standard error, and how.
func logFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "log-format", Local: true, Usage: "log to standard error as `FORM`: text or json, instead of telling a person"},
		&cli.StringFlag{Name: "log-level", Local: true, HideDefault: true, Usage: "log from this `LEVEL` on: debug, info, warn or error (default: info)"},
		&cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Local: true, Usage: "print errors only"},
		&cli.BoolFlag{Name: "verbose", Aliases: []string{"v"}, Local: true, Usage: "log every step to standard error"},
	}
}

// setLog obeys the flags of logFlags.
func (p *program) setLog(c *cli.Command) error {
	level := slog.LevelInfo
	if text := c.String("log-level"); text != "" {
		if err := level.UnmarshalText([]byte(text)); err != nil {
			return usage("--log-level %s is not known.", text).then("Use debug, info, warn or error.")
		}
	}
	switch {
	case c.Bool("verbose"):
		level = slog.LevelDebug
	case c.Bool("quiet"), c.Root().Bool("quiet"):
		level = slog.LevelError
	}
	p.quiet = level > slog.LevelInfo
	options := &slog.HandlerOptions{Level: level}
	switch format := c.String("log-format"); format {
	case "":
		if level < slog.LevelInfo {
			p.steps = slog.New(slog.NewTextHandler(p.stderr, options))
		}
	case "text":
		p.log = slog.New(slog.NewTextHandler(printable{p.stderr}, options))
	case "json":
		p.log = slog.New(slog.NewJSONHandler(printable{p.stderr}, options))
	default:
		return usage("--log-format %s is not known.", format).then("Use text or json, or leave it out for messages to people.")
	}
	if p.log != nil {
		p.steps = p.log
	}
	return nil
}

// printable passes on lines of a log without what acts upon terminals: both forms
// of lines may have it escaped as JSON does.
type printable struct{ io.Writer }

func (w printable) Write(line []byte) (int, error) {
	_, err := w.Writer.Write(append(display.CleanJSON([]byte(strings.TrimSuffix(string(line), "\n"))), '\n'))
	return len(line), err
}

// say tells a person something, on standard error, unless --quiet.
func (p *program) say(format string, args ...any) {
	switch text := display.Cleanf(format, args...); {
	case p.log != nil:
		p.log.Info(oneLine(text))
	case !p.quiet:
		fmt.Fprint(p.stderr, p.folded(text))
	}
}

// warn tells of something that went wrong without ending the program.
func (p *program) warn(format string, args ...any) {
	text := display.Cleanf(format, args...)
	if p.log != nil {
		p.log.Warn(oneLine(text))
		return
	}
	fmt.Fprintln(p.stderr, p.folded("clear-authz: "+text))
}

// tell tells of the problem that ends the program.
func (p *program) tell(known *problem) {
	switch {
	case known.silent():
	case p.log != nil:
		next := known.next
		if known.root {
			next = append([]string{"Run it as root: " + p.again()}, next...)
		}
		p.log.Error(oneLine(known.what), "exit_code", known.code, "next", next)
	default:
		fmt.Fprint(p.stderr, p.folded(known.text(p.again())))
	}
}

// oneLine is a message for a log.
func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }
