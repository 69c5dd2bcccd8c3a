package main

import (
	"context"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v3"
)

// The ways to make a pending authorization go away.
const (
	methodDeactivate = "deactivate" // RFC 8555, section 7.5.2
	methodAnswer     = "answer"     // RFC 8555, section 7.5.1, so that the validation fails
)

// options is what the command line asks for.
type options struct {
	files      []string // FILE and KEY arguments, in order
	key        string
	configDir  string
	account    string
	server     string
	serverFrom string // where server was said: the flag or the variable
	caFile     string
	dryRun     bool
	all        bool
	method     string
	parallel   int
	rate       float64
	timeout    time.Duration
	json       bool
	quiet      bool
	verbose    bool
}

func (p *program) command() *cli.Command {
	return &cli.Command{
		Name:                          "clear-authz",
		Usage:                         "clear the authorizations that an ACME client left pending",
		Flags:                         p.flags(),
		Commands:                      []*cli.Command{p.leaksCommand(), p.accountsCommand(), p.urlsCommand()},
		CustomRootCommandHelpTemplate: help,
		HideHelpCommand:               true,
		HideVersion:                   true, // the built-in flag would take -v
		Reader:                        p.stdin,
		Writer:                        p.stdout,
		ErrWriter:                     p.stderr,
		OnUsageError:                  onUsageError,
		ExitErrHandler:                func(context.Context, *cli.Command, error) {}, // run decides
		Action: func(ctx context.Context, c *cli.Command) error {
			if c.Bool("version") {
				_, err := fmt.Fprintln(p.stdout, "clear-authz", version())
				return err
			}
			o, err := p.options(c)
			if err != nil {
				return err
			}
			return p.clear(ctx, o)
		},
	}
}

func (p *program) urlsCommand() *cli.Command {
	return &cli.Command{
		Name:           "urls",
		Usage:          "print the authorization URLs found in logs, one per line, without asking any CA",
		UsageText:      "clear-authz urls [FILE...]",
		OnUsageError:   onUsageError,
		ExitErrHandler: func(context.Context, *cli.Command, error) {},
		Action: func(_ context.Context, c *cli.Command) error {
			p.quiet = c.Root().Bool("quiet")
			return p.printURLs(c.Args().Slice())
		},
	}
}

func (p *program) flags() []cli.Flag {
	return []cli.Flag{
		&cli.BoolFlag{Name: "dry-run", Aliases: []string{"n"}, Local: true, Usage: "list the authorizations and change none"},
		&cli.BoolFlag{Name: "all", Aliases: []string{"a"}, Local: true, Usage: "ask also about those that the logs show to be over"},
		&cli.StringFlag{Name: "server", Local: true, Usage: "the CA: `HOST` or directory URL; else the one in the logs"},
		&cli.StringFlag{Name: "config-dir", Local: true, Value: p.configDir, HideDefault: true, Usage: "find accounts here, a client's `DIR`; else at the usual places"},
		&cli.StringFlag{Name: "account", Local: true, Usage: "only this account: its `NUMBER`, URL, path or key's thumbprint"},
		&cli.StringFlag{Name: "key", Local: true, Usage: "the account's private key, a `FILE` in PEM or JWK form"},
		&cli.StringFlag{Name: "method", Local: true, Value: methodDeactivate, HideDefault: true, Usage: "`HOW` to clear: deactivate (default) or answer"},
		&cli.IntFlag{Name: "parallel", Local: true, Value: 4, Usage: "work on `N` authorizations at once"},
		&cli.Float64Flag{Name: "rate", Local: true, HideDefault: true, Usage: "send at most `N` requests per second (default: no limit)"},
		&cli.DurationFlag{Name: "timeout", Local: true, Value: 30 * time.Second, Usage: "wait at most `TIME` for an answer of the CA"},
		&cli.StringFlag{Name: "ca-file", Local: true, Usage: "trust the roots in this PEM `FILE` too (private CA)"},
		&cli.BoolFlag{Name: "json", Local: true, Usage: "print one JSON object per authorization"},
		&cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Local: true, Usage: "print errors only"},
		&cli.BoolFlag{Name: "verbose", Aliases: []string{"v"}, Local: true, Usage: "log every step to standard error"},
		&cli.BoolFlag{Name: "version", Local: true, Usage: "print the version"},
	}
}

func (p *program) options(c *cli.Command) (options, error) {
	o := options{
		files:      c.Args().Slice(),
		key:        c.String("key"),
		configDir:  c.String("config-dir"),
		account:    c.String("account"),
		server:     c.String("server"),
		serverFrom: "--server",
		caFile:     c.String("ca-file"),
		dryRun:     c.Bool("dry-run"),
		all:        c.Bool("all"),
		method:     c.String("method"),
		parallel:   c.Int("parallel"),
		rate:       c.Float64("rate"),
		timeout:    c.Duration("timeout"),
		json:       c.Bool("json"),
		quiet:      c.Bool("quiet"),
		verbose:    c.Bool("verbose"),
	}
	if o.server == "" {
		o.server, o.serverFrom = p.getenv("CLEAR_AUTHZ_SERVER"), "CLEAR_AUTHZ_SERVER"
		p.byVariable = o.server
	}
	return o, o.check()
}

func (o *options) check() error {
	switch {
	case !slices.Contains([]string{methodDeactivate, methodAnswer}, o.method):
		return usage("--method %s is not known.", o.method).then("Use --method deactivate or --method answer.")
	case o.parallel < 1:
		return usage("--parallel %d leaves nobody to work.", o.parallel).then("Use --parallel 1 or more.")
	case !(o.rate >= 0): // also NaN
		return usage("--rate %v is no rate.", o.rate).then("Use the requests per second, as --rate 10; 0 is no limit.")
	case o.timeout <= 0:
		return usage("--timeout %v leaves no time for an answer.", o.timeout).then("Use a duration as --timeout 30s.")
	}
	return nil
}

func onUsageError(_ context.Context, _ *cli.Command, err error, _ bool) error {
	return usageProblem(err)
}

// usageProblem is what is told of a command line that the flags package refused.
func usageProblem(err error) *problem {
	return usage("%s.", strings.TrimSuffix(err.Error(), ".")).then("clear-authz --help lists the flags.")
}

// version is the module's version as the Go command recorded it.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "(devel)"
	}
	return info.Main.Version
}
