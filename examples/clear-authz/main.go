// Clear-authz finds the authorizations that an ACME client left pending at a CA
// and makes them go away (RFC 8555, sections 7.1.4 and 7.5).
//
// It reads the authorization URLs from the client's logs, the account's key from
// where the client keeps it, asks the CA for the state of each authorization, and
// settles those that are still pending in the way that costs least at that CA:
//
//	clear-authz plan /var/log/letsencrypt    # look first
//	clear-authz /var/log/letsencrypt         # then clear
//
// clear-authz --help lists the commands, the flags, the exit codes and more
// examples.
//
// The program is flags and wiring around the packages logparse, account and
// authz, and meant to be read as an example of them: main.go starts it,
// command.go has the flags, input.go and history.go read logs, server.go and
// accounts.go choose the CA and the accounts, clear.go, plan.go, relinquish.go,
// orders.go and leaks.go do the work, and report.go says what became of it.
package main

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"runtime/debug"
	"slices"
	"time"

	"github.com/acmeauthz/acmeauthz/account"
)

// The exit codes, as --help documents them.
const (
	exitOK      = 0 // every authorization is as wanted
	exitFailed  = 1 // some authorizations, or some files, failed
	exitUsage   = 2 // the command line needs a change
	exitNothing = 3 // nothing could be done: no account, no permission, no CA
)

// program is one run of the command: what it talks to, so that a test can
// replace any of it.
type program struct {
	stdin      io.Reader
	stdout     io.Writer
	stderr     io.Writer
	getenv     func(string) string
	transport  http.RoundTripper // instead of the network; nil outside of tests
	logDir     string            // what is read if nothing else is named
	configDir  string            // where accounts are found without --config-dir; "" is the usual places
	root       fs.FS             // the file system that the usual places are in
	rootDir    string            // and its path
	known      []*account.Account
	knownErr   error
	now        func() time.Time
	location   *time.Location      // of times in logs that have no zone; nil is this machine's
	args       []string            // the command line
	byVariable string              // the server, if the environment names it
	piped      bool                // whether standard input is read
	quiet      bool                // nothing but errors on stderr
	log        *slog.Logger        // takes what else is told to a person; nil is a person
	steps      *slog.Logger        // takes each step; nil is nobody
	metrics    *metrics            // of --metrics-file; nil is none
	attended   bool                // somebody sits at standard input, also if it is no terminal
	fold       func(string) string // of messages, to the width of standard error; nil is fold
	columns    int                 // the width of standard output; 0 is that of the terminal
	journal    *journal            // of --journal; nil is none
}

func main() {
	// A history of logs is made of many small things that stay: to collect garbage
	// half as often makes it a fifth faster, for as much more memory.
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(200)
	}
	os.Exit(run(context.Background(), os.Args, os.Stdin, os.Stdout, os.Stderr, os.Getenv))
}

// run is main without the process: it never exits and returns the exit code.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer, env func(string) string) int {
	p := &program{
		stdin:  stdin,
		stdout: stdout,
		stderr: stderr,
		getenv: env,
		logDir: "/var/log/letsencrypt",
		now:    time.Now,
	}
	p.root, p.rootDir = rootFS()
	return p.run(ctx, args)
}

func (p *program) run(ctx context.Context, args []string) int {
	p.args = args
	code := p.code(p.command().Run(ctx, args))
	if p.metrics == nil {
		return code
	}
	if err := p.metrics.write(code, p.now()); err != nil {
		p.warn("the metrics cannot be written: %s", withoutPath(err))
		return max(code, exitFailed)
	}
	return code
}

// code tells of the error that ended the command, and is the exit code for it.
func (p *program) code(err error) int {
	if err == nil {
		return exitOK
	}
	known, ok := errors.AsType[*problem](err)
	if !ok {
		known = usageProblem(err)
	}
	p.tell(known)
	return known.code
}

// again is the command line to type as root, whose environment and input are others.
func (p *program) again() string {
	args := p.args
	if p.byVariable != "" && len(args) > 0 {
		args = slices.Insert(slices.Clone(args), 1, "--server", p.byVariable)
	}
	command := "sudo " + quote(args)
	if p.piped {
		command = "cat letsencrypt.log* | " + command + "   (with the same input)"
	}
	return command
}
