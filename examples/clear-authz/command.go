package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/acmeauthz/acmeauthz/authz"
	"github.com/urfave/cli/v3"
)

// The ways to make a pending authorization go away. Without one, the CA decides.
const (
	methodDeactivate = "deactivate" // RFC 8555, section 7.5.2
	methodAnswer     = "answer"     // RFC 8555, section 7.5.1, so that the validation fails
)

// options is what the command line asks for.
type options struct {
	command    string   // what to do: clear, plan, ...
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
	force      bool
	fromCA     bool
	minAge     time.Duration // zero is the default
	maxAge     time.Duration // zero is any
	names      authz.Names
	journal    string
	apply      string
	profiles   []authz.Profile
	solve      solveOptions
	parallel   int
	rate       float64
	timeout    time.Duration
	json       bool
	quiet      bool
	verbose    bool
	metrics    string
	again      string // the command line, to type again
}

func (p *program) command() *cli.Command {
	root := &cli.Command{
		Name:  "clear-authz",
		Flags: append(p.flags(commandClear), &cli.BoolFlag{Name: "version", Local: true, Usage: "print the version"}),
		Commands: []*cli.Command{
			p.leaksCommand(), p.workCommand(commandPlan), p.workCommand(commandClear), p.workCommand(commandFinish),
			p.workCommand(commandRelinquish), p.workCommand(commandOrders), p.accountsCommand(), p.urlsCommand(),
			p.printCommand("schema", func(c *cli.Command) error { return p.printSchema(c.Args().Slice()) }),
			p.printCommand("man", func(c *cli.Command) error { return writeManual(p.stdout, c.Root()) }),
			p.printCommand("version", func(c *cli.Command) error { return printVersion(p.stdout, c.Bool("json")) },
				&cli.BoolFlag{Name: "json", Local: true, Usage: "print JSON"}),
		},
		EnableShellCompletion: true,
		ConfigureShellCompletionCommand: func(c *cli.Command) {
			page := completionPage()
			c.Usage, c.CustomHelpTemplate = page.summary, page.text(nil)
		},
		HideHelpCommand: true,
		HideVersion:     true, // the built-in flag would take -v
		Reader:          p.stdin,
		Writer:          p.stdout,
		ErrWriter:       p.stderr,
		OnUsageError:    onUsageError,
		ExitErrHandler:  func(context.Context, *cli.Command, error) {}, // run decides
		Action: func(ctx context.Context, c *cli.Command) error {
			if c.Bool("version") {
				return printVersion(p.stdout, c.Bool("json"))
			}
			return p.work(ctx, c, commandClear)
		},
	}
	main := mainPage()
	root.Usage, root.CustomRootCommandHelpTemplate = main.summary, main.text(root.Flags)
	return root
}

// subcommand fills in what all commands have.
func subcommand(name string, flags []cli.Flag, action cli.ActionFunc) *cli.Command {
	page, _ := pageOf(name)
	return &cli.Command{
		Name:               name,
		Usage:              page.summary,
		CustomHelpTemplate: page.text(flags),
		Flags:              flags,
		OnUsageError:       onUsageError,
		ExitErrHandler:     func(context.Context, *cli.Command, error) {},
		Action:             action,
	}
}

// printCommand is a command that prints something of the program itself.
func (p *program) printCommand(name string, action func(*cli.Command) error, flags ...cli.Flag) *cli.Command {
	return subcommand(name, flags, func(_ context.Context, c *cli.Command) error { return action(c) })
}

// The commands that speak with a CA.
const (
	commandClear      = "clear"
	commandPlan       = "plan"
	commandFinish     = "finish"
	commandRelinquish = "relinquish"
	commandOrders     = "orders"
)

// workCommand is a command that speaks with a CA.
func (p *program) workCommand(name string) *cli.Command {
	return subcommand(name, p.flags(name), func(ctx context.Context, c *cli.Command) error { return p.work(ctx, c, name) })
}

// work does a command.
func (p *program) work(ctx context.Context, c *cli.Command, name string) error {
	if err := p.setLog(c); err != nil {
		return err
	}
	o, err := p.options(c, name)
	if err != nil {
		return err
	}
	p.metrics = newMetrics(o.metrics, name, p.now())
	switch {
	case name == commandOrders:
		return p.listOrders(ctx, o)
	case o.apply != "":
		return p.applyPlans(ctx, o)
	case o.fromCA:
		return p.clearFromCA(ctx, o)
	}
	return p.clear(ctx, o)
}

func (p *program) urlsCommand() *cli.Command {
	return subcommand("urls", logFlags(), func(_ context.Context, c *cli.Command) error {
		if err := p.setLog(c); err != nil {
			return err
		}
		return p.printURLs(c.Args().Slice())
	})
}

func (p *program) flags(command string) []cli.Flag {
	var all []cli.Flag
	for _, f := range p.allFlags() {
		if f.commands == "" || slices.Contains(strings.Fields(f.commands), command) {
			all = append(all, f.Flag)
		}
	}
	return append(all, logFlags()...)
}

// A commandFlag is a flag of some commands; of all, if none is named.
type commandFlag struct {
	commands string
	cli.Flag
}

func (p *program) allFlags() []commandFlag {
	const clearing, choosing = "clear plan finish", "clear plan finish relinquish"
	return []commandFlag{
		{"clear", &cli.BoolFlag{Name: "dry-run", Aliases: []string{"n"}, Local: true, Usage: "list the authorizations and change none"}},
		{clearing, &cli.BoolFlag{Name: "all", Aliases: []string{"a"}, Local: true, Usage: "ask also about those that the logs show to be over"}},
		{choosing, &cli.BoolFlag{Name: "from-ca", Local: true, Usage: "find them by the CA's list of orders, not in logs"}},
		{"", &cli.StringFlag{Name: "server", Local: true, Usage: "the CA: `HOST` or directory URL; else the one in the logs"}},
		{"", &cli.StringFlag{Name: "config-dir", Local: true, Value: p.configDir, HideDefault: true, Usage: "find accounts here, a client's `DIR`; else at the usual places"}},
		{"", &cli.StringFlag{Name: "account", Local: true, Usage: "only this account: its `NUMBER`, URL, path or key's thumbprint"}},
		{"", &cli.StringFlag{Name: "key", Local: true, Usage: "the account's private key, a `FILE` in PEM or JWK form"}},
		{choosing, &cli.StringSliceFlag{Name: "name", Local: true, Usage: "only these `NAMES`: a.example, *.a.example, .a.example (all of it)"}},
		{choosing, &cli.StringFlag{Name: "name-file", Local: true, Usage: "only the names in this `FILE`, one per line"}},
		{clearing, &cli.DurationFlag{Name: "min-age", Local: true, HideDefault: true, Usage: "spare those that may be younger than `TIME` (default: 1h)"}},
		{clearing, &cli.DurationFlag{Name: "max-age", Local: true, HideDefault: true, Usage: "leave out those that the logs show to be older than `TIME`"}},
		{"clear plan", &cli.StringFlag{Name: "method", Local: true, Usage: "clear by `HOW`: deactivate or answer (default: what costs least)"}},
		{clearing, &cli.BoolFlag{Name: "force", Local: true, Usage: "clear them whatever that costs, and whoever needs them"}},
		{"clear finish relinquish", &cli.StringFlag{Name: "journal", Local: true, Usage: "remember in this `FILE` what was done, and go on from it"}},
		{"clear", &cli.StringFlag{Name: "apply", Local: true, Usage: "do what the plan in this `FILE` says (of plan --json)"}},
		{choosing, &cli.StringFlag{Name: "profiles", Local: true, Usage: "what CAs do, beside what is known: a JSON `FILE`"}},
		{"finish", &cli.StringFlag{Name: "webroot", Local: true, Usage: "answer http-01 with files below this `DIR`"}},
		{"finish", &cli.StringFlag{Name: "http", Local: true, Usage: "answer http-01 on this `ADDRESS`, such as :80"}},
		{"finish", &cli.StringFlag{Name: "tls-alpn", Local: true, Usage: "answer tls-alpn-01 on this `ADDRESS`, such as :443"}},
		{"finish", &cli.StringFlag{Name: "auth-hook", Local: true, Usage: "answer with this `COMMAND`, as Certbot's --manual-auth-hook"}},
		{"finish", &cli.StringFlag{Name: "cleanup-hook", Local: true, Usage: "clean up with this `COMMAND`, as Certbot's --manual-cleanup-hook"}},
		{"finish", &cli.StringFlag{Name: "challenge", Local: true, Value: "dns-01", Usage: "the `TYPE` that the hooks answer: dns-01 (default) or http-01"}},
		{"", &cli.IntFlag{Name: "parallel", Local: true, Value: 4, Usage: "send up to `N` requests at once (default: 4)"}},
		{"", &cli.Float64Flag{Name: "rate", Local: true, HideDefault: true, Usage: "send at most `N` requests per second (default: what the CA allows)"}},
		{"", &cli.DurationFlag{Name: "timeout", Local: true, Value: 30 * time.Second, Usage: "wait at most `TIME` for an answer of the CA (default: 30s)"}},
		{"", &cli.StringFlag{Name: "ca-file", Local: true, Usage: "trust the roots in this PEM `FILE` too (private CA)"}},
		{"", &cli.BoolFlag{Name: "json", Local: true, Usage: "print JSON"}},
		{choosing, &cli.StringFlag{Name: "metrics-file", Local: true, Usage: "write metrics to this `FILE` at the end (Prometheus)"}},
	}
}

func (p *program) options(c *cli.Command, command string) (options, error) {
	o := options{
		command:    command,
		files:      c.Args().Slice(),
		key:        c.String("key"),
		configDir:  c.String("config-dir"),
		account:    c.String("account"),
		server:     c.String("server"),
		serverFrom: "--server",
		caFile:     c.String("ca-file"),
		dryRun:     c.Bool("dry-run"),
		all:        c.Bool("all") || command == commandRelinquish,
		method:     c.String("method"),
		force:      c.Bool("force"),
		fromCA:     c.Bool("from-ca"),
		minAge:     c.Duration("min-age"),
		maxAge:     c.Duration("max-age"),
		journal:    c.String("journal"),
		apply:      c.String("apply"),
		solve: solveOptions{
			webroot: c.String("webroot"), http: c.String("http"), tlsALPN: c.String("tls-alpn"),
			authHook: c.String("auth-hook"), cleanupHook: c.String("cleanup-hook"), challenge: c.String("challenge"),
		},
		parallel: c.Int("parallel"),
		rate:     c.Float64("rate"),
		timeout:  c.Duration("timeout"),
		json:     c.Bool("json"),
		quiet:    p.quiet,
		verbose:  c.Bool("verbose"),
		metrics:  c.String("metrics-file"),
		again:    quote(p.args),
	}
	if c.IsSet("min-age") && o.minAge == 0 {
		o.minAge = -1 // any age
	}
	if o.server == "" {
		o.server, o.serverFrom = p.getenv("CLEAR_AUTHZ_SERVER"), "CLEAR_AUTHZ_SERVER"
		p.byVariable = o.server
	}
	if err := o.check(); err != nil {
		return o, err
	}
	return o, o.read(c.StringSlice("name"), c.String("name-file"), c.String("profiles"))
}

func (o *options) check() error {
	switch {
	case !slices.Contains([]string{"", methodDeactivate, methodAnswer}, o.method):
		return usage("--method %s is not known.", o.method).then("Use --method deactivate or --method answer, or leave it out.")
	case o.parallel < 1:
		return usage("--parallel %d leaves nobody to work.", o.parallel).then("Use --parallel 1 or more.")
	case !(o.rate >= 0): // also NaN
		return usage("--rate %v is no rate.", o.rate).then("Use the requests per second, as --rate 10; 0 is no limit.")
	case o.timeout <= 0:
		return usage("--timeout %v leaves no time for an answer.", o.timeout).then("Use a duration as --timeout 30s.")
	case o.maxAge < 0 || o.minAge < -1:
		return usage("an age is never negative.").then("Use a duration as --min-age 30m or --max-age 48h.")
	case o.apply != "" && len(o.files) > 0:
		return usage("--apply has its authorizations from the plan, not from %s.", o.files[0]).then("Leave out the logs, or --apply.")
	case o.fromCA && len(o.files) > 0:
		return usage("--from-ca has its authorizations from the CA, not from %s.", o.files[0]).then("Leave out the logs, or --from-ca.")
	case o.apply != "" && (o.force || o.method != "" || o.dryRun):
		return usage("a plan is applied as it is.").then("Make another one with clear-authz plan, and the flags there.")
	}
	return o.solve.check(o.command)
}

// read reads the files that flags name.
func (o *options) read(names []string, nameFile, profiles string) error {
	if nameFile != "" {
		data, err := os.ReadFile(nameFile)
		if errors.Is(err, fs.ErrNotExist) {
			return missingFor("--name-file", nameFile)
		}
		if err != nil {
			return unreadable("--name-file", nameFile, err)
		}
		for line := range strings.Lines(string(data)) {
			line, _, _ = strings.Cut(line, "#")
			names = append(names, strings.Fields(line)...)
		}
		if len(names) == 0 {
			return usage("--name-file %s has no names.", nameFile).then("Write one on each line.")
		}
	}
	parsed, err := authz.ParseNames(names...)
	if err != nil {
		return usage("%s.", strings.ReplaceAll(err.Error(), "authz: ", "")).because(err).
			then("A name is as www.example.org, *.example.org, or .example.org for all of it.")
	}
	o.names = parsed
	if o.command == commandRelinquish && parsed.Len() == 0 {
		return usage("which names are to be relinquished?").
			then("clear-authz relinquish --name www.gone.example --name '*.gone.example' [FILE...]").
			then("All of a domain: --name .gone.example; names in a file: --name-file FILE")
	}
	return o.readProfiles(profiles)
}

func (o *options) readProfiles(path string) error {
	if path == "" {
		return nil
	}
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return missingFor("--profiles", path)
	}
	if err != nil {
		return unreadable("--profiles", path, err)
	}
	defer file.Close()
	if o.profiles, err = authz.ReadProfiles(file); err != nil {
		return usage("--profiles %s: %s.", path, strings.TrimPrefix(err.Error(), "authz: ")).because(err).
			then("The form is that of authz/profiles.json; its comments are those of authz.Profile.")
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
