// Provision orders a certificate for many names of which some will fail, as a
// provisioning script does that has a list from somewhere.
//
// Scripts often drop the name that failed and start over: 40 bad names make 40
// orders, and each leaves pending authorizations behind. Provision makes one
// order, validates all of it, learns which names failed and why, and orders the
// good ones once more; the CA reuses what is valid. One retry instead of 40,
// and nothing is left behind, whatever happens:
//
//	go run ./examples/provision
//
// runs the story on an embedded CA (Let's Encrypt's Pebble). With --server it
// is a small ACME client for a real one; --help has the flags.
//
// story.go has the embedded CA, provision.go the work, and report.go says what
// became of it.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/urfave/cli/v3"
	"golang.org/x/crypto/acme"
	"golang.org/x/net/idna"

	"github.com/acmeauthz/acmeauthz/account"
	"github.com/acmeauthz/acmeauthz/authz"
	"github.com/acmeauthz/acmeauthz/authz/solver"
)

// The exit codes, as --help documents them.
const (
	exitAll   = 0 // every name is in the certificate
	exitSome  = 1 // there is a certificate, without some of the names
	exitUsage = 2 // the command line needs a change
	exitNone  = 3 // there is no certificate
)

const help = `provision - one certificate for many names, of which some may fail

USAGE:
   provision [flags] [NAME...]

   Without --server it shows the story on an embedded CA: 100 names, 7 of them
   bad. With it, NAMEs are ordered at a real CA, by http-01.

FLAGS:{{template "visibleFlagTemplate" .}}

EXIT CODES:
   0   every name is in the certificate
   1   there is a certificate, without some of the names
   2   the command line needs a change
   3   there is no certificate

JSON:
   --json prints one document of the schema "acmeauthz-provision/1", with the members
   names         each with name, status (issued or failed), type and detail (why it
                 failed, in the CA's words), validations (how often it was validated)
   orders        how many were made
   certificate   file, names, not_after; null if there is none
   left_pending  authorizations of these orders that were left pending
   error         why there is no certificate; "" if there is one
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run is main without the process.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	code := exitUsage
	ignore := func(context.Context, *cli.Command, error) {}
	command := &cli.Command{
		Name: "provision", Writer: stdout, ErrWriter: stderr, CustomRootCommandHelpTemplate: help, HideHelpCommand: true,
		ExitErrHandler: ignore,
		OnUsageError:   func(_ context.Context, _ *cli.Command, err error, _ bool) error { return err },
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "server", Usage: "the CA's directory `URL`"},
			&cli.StringFlag{Name: "key", Usage: "the account's private key, a `FILE` in PEM or JWK form"},
			&cli.BoolFlag{Name: "agree-tos", Usage: "agree to the CA's terms of service, and make an account if there is none"},
			&cli.StringFlag{Name: "names", Usage: "a `FILE` of names, one per line"},
			&cli.StringFlag{Name: "webroot", Usage: "answer with files below this `DIR`, which a web server serves"},
			&cli.StringFlag{Name: "http", Usage: "answer on this `ADDRESS`, such as :80"},
			&cli.StringFlag{Name: "out", Usage: "write certificate.pem and key.pem to this `DIR`"},
			&cli.StringFlag{Name: "journal", Usage: "remember orders in this `FILE`, for the next run if this one is killed"},
			&cli.IntFlag{Name: "max-names", Value: 100, Usage: "the most `NAMES` of an order"},
			&cli.BoolFlag{Name: "json", Usage: "print one JSON document"},
		},
		Action: func(ctx context.Context, c *cli.Command) error {
			report, err := provisionCommand(ctx, c)
			if report == nil {
				return err
			}
			code = report.code()
			return report.print(stdout, c.Bool("json"))
		},
	}
	err := command.Run(ctx, args)
	switch {
	case err == nil && code == exitUsage: // --help
		return exitAll
	case err != nil:
		fmt.Fprintf(stderr, "provision: %v\n", err)
	}
	return code
}

// provisionCommand does what the command line says. There is a report as soon
// as the command line is good.
func provisionCommand(ctx context.Context, c *cli.Command) (*report, error) {
	if c.String("server") == "" {
		return story(ctx, c.Args().Slice())
	}
	names, err := readNames(c.Args().Slice(), c.String("names"))
	switch {
	case err != nil:
		return nil, err
	case len(names) == 0:
		return nil, errors.New("no names: give them as arguments, or with --names FILE")
	case len(names) > c.Int("max-names"):
		return nil, fmt.Errorf("%d names are more than an order may have: give at most %d, or say with --max-names what the CA allows", len(names), c.Int("max-names"))
	case c.String("key") == "":
		return nil, errors.New("--key FILE is missing: the account's private key; openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 makes one")
	}
	data, err := os.ReadFile(c.String("key"))
	if err != nil {
		return nil, err
	}
	key, err := account.ParseKey(data)
	if err != nil {
		return nil, fmt.Errorf("--key %s: %w", c.String("key"), err)
	}
	p := &provisioner{
		client: &acme.Client{Key: key, DirectoryURL: c.String("server"), HTTPClient: &http.Client{Timeout: 30 * time.Second}, UserAgent: "acmeauthz-provision"},
		out:    c.String("out"),
	}
	switch {
	case c.String("webroot") != "":
		p.solve = (&solver.Webroot{Key: key, Dir: c.String("webroot")}).Solve
	case c.String("http") != "":
		p.solve = (&solver.HTTP01{Key: key, Addr: c.String("http")}).Solve
	default:
		return nil, errors.New("how are the names to be validated? --webroot DIR or --http :80")
	}
	if path := c.String("journal"); path != "" {
		journal, err := authz.OpenJournal(path)
		if err != nil {
			return nil, err
		}
		defer journal.Close()
		p.journal = journal
	}
	report := newReport(names)
	if err := p.register(ctx, c.Bool("agree-tos")); err != nil {
		report.Error = err.Error()
		return report, nil
	}
	p.provision(ctx, report)
	return report, nil
}

// readNames are the names of the command line and of a file, in the form that
// CAs have them in, each once.
func readNames(names []string, path string) ([]string, error) {
	if path != "" {
		data, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		for line := range strings.Lines(string(data)) {
			line, _, _ = strings.Cut(line, "#")
			names = append(names, strings.Fields(line)...)
		}
	}
	var all []string
	for _, name := range names {
		if strings.HasPrefix(name, "*.") {
			return nil, fmt.Errorf("%s: a wildcard cannot be validated by http-01", name)
		}
		ascii, err := idna.Lookup.ToASCII(strings.TrimSuffix(name, "."))
		if err != nil {
			return nil, fmt.Errorf("%q is no name: %w", name, err)
		}
		if !slices.Contains(all, ascii) {
			all = append(all, ascii)
		}
	}
	return all, nil
}
