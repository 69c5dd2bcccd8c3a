package main

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/acmeauthz/acmeauthz/examples/fleet/picture"
	"github.com/acmeauthz/acmeauthz/examples/fleet/server"
	"github.com/acmeauthz/acmeauthz/examples/fleet/wire"
	"github.com/acmeauthz/acmeauthz/internal/leaks"
	"github.com/acmeauthz/acmeauthz/internal/pebbleca"
	"github.com/acmeauthz/acmeauthz/internal/replace"
	"github.com/urfave/cli/v3"
	"golang.org/x/crypto/acme"
)

// The demonstration: a CA in this process, and the fleet as processes of this program beside it.

func (p *program) demoCommand() *cli.Command {
	return &cli.Command{Name: "demo", Usage: "show it all on this machine, with a CA for tests", Action: func(ctx context.Context, c *cli.Command) error {
		ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
		defer cancel()
		d, err := p.newDemo(ctx)
		if err != nil {
			return err
		}
		defer d.close()
		return d.play(ctx)
	}}
}

type demo struct {
	out        io.Writer
	dir        string
	ca         *pebbleca.CA
	account    string // its URL
	accountDir string
	nats       string
	children   []*exec.Cmd
	hosts      []string
	names      int
}

func (p *program) newDemo(ctx context.Context) (*demo, error) {
	ca, err := pebbleca.Start(pebbleca.Config{})
	if err != nil {
		return nil, err
	}
	d := &demo{out: p.stdout, ca: ca, hosts: []string{"web01", "web02", "web03"}}
	if d.dir, err = os.MkdirTemp("", "fleet-demo-"); err == nil {
		err = d.leak(ctx)
	}
	if err == nil {
		err = d.settings()
	}
	if err != nil {
		d.close()
		return nil, err
	}
	return d, nil
}

// leak is a careless client on three hosts, with one account: it asks for certificates and is killed.
func (d *demo) leak(ctx context.Context) error {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	client := &acme.Client{Key: key, DirectoryURL: d.ca.DirectoryURL(), HTTPClient: d.ca.HTTPClient()}
	registered, err := client.Register(ctx, &acme.Account{}, acme.AcceptTOS)
	if err != nil {
		return err
	}
	d.account = registered.URI
	for i, host := range d.hosts {
		var log strings.Builder
		for n := range 4 {
			if err := d.order(ctx, client, &log, i, n); err != nil {
				return err
			}
		}
		dir := filepath.Join(d.dir, host, "letsencrypt")
		if err := errors.Join(os.MkdirAll(dir, 0o755), os.WriteFile(filepath.Join(dir, "letsencrypt.log"), []byte(log.String()), 0o644)); err != nil {
			return err
		}
	}
	d.accountDir = filepath.Join(d.dir, "accounts") // only the hubs are given it
	return saveCertbotAccount(d.accountDir, d.ca.DirectoryURL(), d.account, key, "0123456789abcdef0123456789abcdef")
}

// order makes an order, and writes what Certbot's log would say of it.
func (d *demo) order(ctx context.Context, client *acme.Client, log io.Writer, host, n int) error {
	var names []string
	for k := range 5 {
		names = append(names, fmt.Sprintf("shop%d-%d-%d.example.org", host+1, n+1, k+1))
	}
	d.names += len(names)
	o, err := client.AuthorizeOrder(ctx, acme.DomainIDs(names...))
	if err != nil {
		return err
	}
	run := certbotRun{
		Directory: d.ca.DirectoryURL(), Account: d.account, Order: o.URI, Finalize: o.FinalizeURL, Authorizations: o.AuthzURLs,
		Began: time.Now().Add(-3*time.Hour + time.Duration(n)*10*time.Minute),
	}
	for _, u := range o.AuthzURLs {
		a, err := client.GetAuthorization(ctx, u)
		if err != nil {
			return err
		}
		run.Names, run.Expires = append(run.Names, a.Identifier.Value), a.Expires
	}
	return run.write(log)
}

// settings are the CA's root, and a profile that makes it slow enough to be watched.
func (d *demo) settings() error {
	directory, err := url.Parse(d.ca.DirectoryURL())
	if err != nil {
		return err
	}
	profile := fmt.Sprintf(`[{"name": "Pebble, slowly", "match": [{"host": %q}], "deactivate": "settles", "answer": "settles",
		"requests": {"perSecond": 20, "burst": 2}, "sources": [{"what": "this demonstration", "date": "2026-11-27"}]}]`, directory.Host)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	d.nats = "nats://" + l.Addr().String()
	return errors.Join(l.Close(), os.WriteFile(d.path("profile.json"), []byte(profile), 0o644), os.WriteFile(d.path("root.pem"), d.ca.RootPEM(), 0o644))
}

func (d *demo) path(name string) string { return filepath.Join(d.dir, name) }

func (d *demo) say(format string, values ...any) { fmt.Fprintf(d.out, format+"\n", values...) }

// child starts this program once more.
func (d *demo) child(args ...string) (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	log, err := os.OpenFile(d.path("fleet.log"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := exec.Command(self, args...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Env = append(os.Environ(), "FLEET_CHILD=1")
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	d.children = append(d.children, cmd)
	return cmd, nil
}

func (d *demo) close() {
	for _, c := range d.children {
		_ = c.Process.Kill()
		_ = c.Wait()
	}
	_ = d.ca.Close()
}

func (d *demo) play(ctx context.Context) error {
	d.say("A client on three hosts was killed again and again: %d authorizations of one account are pending\nat the CA, Pebble at %s. All is in %s.\n", d.names, d.ca.DirectoryURL(), d.dir)
	listen := strings.TrimPrefix(d.nats, "nats://")
	if _, err := d.child("server", "--store", d.path("nats"), "--listen", listen); err != nil {
		return err
	}
	hubs := map[string]*exec.Cmd{}
	for _, name := range []string{"hub1", "hub2"} {
		cmd, err := d.child("hub", "--name", name, "--nats", d.nats, "--accounts", d.accountDir, "--apply", "--min-age", "-1s", "--lease", "3s",
			"--save-every", "500ms", "--listen-http", "", "--profiles", d.path("profile.json"), "--ca-roots", d.path("root.pem"))
		if err != nil {
			return err
		}
		hubs[name] = cmd
	}
	for _, host := range d.hosts {
		if _, err := d.child("agent", "--name", host, "--nats", d.nats, "--state-dir", d.path(host+"-state"), "--logs", filepath.Join(d.dir, host, "letsencrypt", "letsencrypt.log")); err != nil {
			return err
		}
	}
	d.say("A NATS server, two hubs and three agents run, each a process. The agents read; the hubs know:\n")
	connection, err := server.Connect(ctx, server.Access{URLs: []string{d.nats}, Name: "demo", Patient: true})
	if err != nil {
		return err
	}
	defer connection.Close()
	began, err := d.until(ctx, connection, "some are settled", func(s *picture.Status) bool {
		return d.state(s).Authorizations == d.names && d.settled() > d.names/4
	})
	if err != nil {
		return err
	}
	if err := began.WriteText(d.out, 0); err != nil {
		return err
	}
	owner := d.state(began).Hub
	killed := hubs[owner]
	if killed == nil {
		return fmt.Errorf("the account is of %q, which is no hub", owner)
	}
	d.say("\n%s has the account, and has settled %d. Now it is killed (SIGKILL); the other one goes on when its lease is over:\n", owner, d.settled())
	if err := killed.Process.Kill(); err != nil {
		return err
	}
	ended, err := d.until(ctx, connection, "all are settled", func(s *picture.Status) bool {
		return d.settled() == d.names && d.state(s).Work.Settled == d.names && d.state(s).Verdicts["deactivated"] == d.names && d.state(s).Hub != owner
	})
	if err != nil {
		return err
	}
	if err := ended.WriteText(d.out, 0); err != nil {
		return err
	}
	return d.report(ctx, connection, ended)
}

// state is what the hubs tell of the account.
func (d *demo) state(s *picture.Status) (state wire.AccountState) {
	for _, a := range s.Accounts {
		if a.Account == d.account {
			state = a
		}
	}
	return state
}

// settled is how many authorizations the CA has that are not pending.
func (d *demo) settled() (n int) {
	statuses, _ := d.ca.Statuses(d.account)
	for _, s := range statuses {
		if s == acme.StatusDeactivated {
			n++
		}
	}
	return n
}

// until waits until the fleet is as it should be.
func (d *demo) until(ctx context.Context, c *server.Connection, what string, ok func(*picture.Status) bool) (*picture.Status, error) {
	for {
		s, err := picture.Look(ctx, c, time.Now())
		if err == nil && ok(s) {
			return s, nil
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("%s: that did not come; see %s: %w", what, d.path("fleet.log"), errors.Join(err, ctx.Err()))
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// report writes the page, which shows the leaks as of before they were settled, too.
func (d *demo) report(ctx context.Context, c *server.Connection, s *picture.Status) error {
	h, err := s.History(ctx, c)
	if err != nil {
		return err
	}
	page := leaks.New(h)
	if err := replace.File(d.path("leaks.html"), func(w io.Writer) error { return page.WriteHTML(w, "fleet demo "+version()) }); err != nil {
		return err
	}
	d.say("\nAt the CA, %d of %d are deactivated, each once. The page is in %s.\nThat directory stays, and may be removed.", d.settled(), d.names, d.path("leaks.html"))
	return nil
}
