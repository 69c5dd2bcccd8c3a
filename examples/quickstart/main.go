// Quickstart shows the whole way from a log to a cleared account, on this machine
// alone and in a few seconds:
//
//	go run ./examples/quickstart
//
// It starts Pebble, Let's Encrypt's ACME test server, inside the process, and
// lets a careless client order certificates and give up, so that authorizations
// stay pending at the CA. What the client leaves on disk has Certbot's layout:
// a log and an account. Then [clearLeaks] does what a user of the packages does.
//
// With --wait it leaves the leaks to you, and to clear-authz:
//
//	go run ./examples/quickstart --wait
//
// stage.go sets the stage, certbotlog.go writes the log; they are not needed
// against a real CA.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/acmeauthz/acmeauthz/account"
	"github.com/acmeauthz/acmeauthz/authz"
	"github.com/acmeauthz/acmeauthz/logparse"
)

// clearLeaks is the user's part. With os.DirFS("/etc/letsencrypt"),
// os.DirFS("/var/log/letsencrypt") and http.DefaultClient, it would do so for
// Certbot at Let's Encrypt, where Clear leaves what ends by itself.
func clearLeaks(ctx context.Context, config, logs fs.FS, httpClient *http.Client, out io.Writer) error {
	accounts, err := account.Certbot(config)
	if err != nil {
		return err
	}
	if len(accounts) == 0 {
		return errors.New("there is no account")
	}
	fmt.Fprintf(out, "The account, as Certbot keeps it:\n  %v\n\n", accounts[0])
	client := accounts[0].Client()
	client.HTTPClient = httpClient // trusts Pebble's certificate; the default trusts public CAs
	// The client has just died: without the policy, what is younger than an hour
	// would be spared, since its client might be at work.
	manager := &authz.Manager{Client: client, Policy: authz.Policy{KeepYounger: -1}}
	urls := logparse.Files(logs, "letsencrypt.log*")

	fmt.Fprintln(out, "What the log mentions, and what the CA says of it:")
	if err := list(out, manager.List(ctx, urls)); err != nil {
		return err
	}
	fmt.Fprintln(out, "Clearing what is pending, as costs least at this CA:")
	if err := list(out, manager.Clear(ctx, urls)); err != nil {
		return err
	}
	fmt.Fprintln(out, "What the CA says now:")
	return list(out, manager.List(ctx, urls))
}

// list prints a line for each authorization.
func list(out io.Writer, results iter.Seq2[authz.Result, error]) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for r, err := range results {
		if err != nil {
			return err // the log, the account or the network: nothing more can be done
		}
		if r.Err != nil {
			return r.Err // this authorization only: a patient program would go on
		}
		name, status := r.Authorization.Identifier.Value, r.Before
		if r.Authorization.Wildcard {
			name = "*." + name
		}
		if r.Changed {
			status += " -> " + r.Authorization.Status + ": " + r.Decision.Reason
		}
		fmt.Fprintf(table, "  %s\t%s\n", name, status)
	}
	fmt.Fprintln(table)
	return table.Flush()
}

func main() {
	wait := flag.Bool("wait", false, "leave the leaks to clear-authz, until Ctrl-C")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	act := run
	if *wait {
		act = runWaiting
	}
	err := act(ctx, os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "quickstart:", err)
		os.Exit(1)
	}
}

// runWaiting sets the stage, says what to type elsewhere, and waits.
func runWaiting(ctx context.Context, out io.Writer) error {
	s, err := setStage(ctx, out)
	if err != nil {
		return err
	}
	defer s.close()
	root := filepath.Join(s.dir, "root.pem")
	if err := os.WriteFile(root, s.ca.RootPEM(), 0o644); err != nil {
		return err
	}
	fmt.Fprintf(out, "To clear them, type elsewhere (--min-age 0, since the client has just died):\n"+
		"  cd %s\n"+
		"  clear-authz --min-age 0 --ca-file root.pem --config-dir etc/letsencrypt var/log/letsencrypt\n\n"+
		"Ctrl-C here ends the CA.\n", s.dir)
	<-ctx.Done()
	pending, total, err := s.pending()
	if err == nil {
		fmt.Fprintf(out, "\nOf %d authorizations, %d are pending in the CA's own database.\n", total, pending)
	}
	return err
}

// run sets the stage, and plays.
func run(ctx context.Context, out io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	s, err := setStage(ctx, out)
	if err != nil {
		return err
	}
	defer s.close()
	return play(ctx, s, out)
}

// play lets the user act, and asks the CA itself whether it worked.
func play(ctx context.Context, s *stage, out io.Writer) error {
	config, logs := os.DirFS(s.configDir), os.DirFS(s.logDir)
	if err := clearLeaks(ctx, config, logs, s.ca.HTTPClient(), out); err != nil {
		return err
	}
	pending, total, err := s.pending()
	if err != nil {
		return err
	}
	if pending > 0 || total == 0 {
		return fmt.Errorf("%d of %d authorizations are still pending in the CA's own database", pending, total)
	}
	fmt.Fprintf(out, "Done: of %d authorizations, none is pending in the CA's own database.\n", total)
	return nil
}
