package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/acmeauthz/acmeauthz/examples/fleet/picture"
	"github.com/acmeauthz/acmeauthz/examples/fleet/schema"
	"github.com/acmeauthz/acmeauthz/examples/fleet/server"
	"github.com/acmeauthz/acmeauthz/examples/fleet/wire"
	"github.com/acmeauthz/acmeauthz/internal/display"
	"github.com/urfave/cli/v3"
)

// statusInterval is how often a status that is watched is made anew.
const statusInterval = 2 * time.Second

func (p *program) statusCommand() *cli.Command {
	flags := append([]cli.Flag{
		&cli.BoolFlag{Name: "all", Usage: fmt.Sprintf("show all hosts and accounts; without, %d accounts, and %[1]d of the hosts that are well", picture.Most)},
		&cli.BoolFlag{Name: "json", Usage: "print one JSON document; with --watch, one on each line"},
		&cli.BoolFlag{Name: "watch", Usage: "show it again and again, in place on a terminal, until Ctrl-C or SIGTERM; it goes on while the server is away"},
		&cli.DurationFlag{Name: "interval", Value: statusInterval, Usage: "`TIME` from one to the next for --watch"},
		&cli.BoolFlag{Name: "check", Usage: "for monitoring: print a line for each reason to look at the fleet. It exits with 0 if there is none; with 1 if no hub is alive, " +
			"a host is silent, or an account, host or hub has a problem, and if the server cannot be asked; with 2 if the command line is wrong"},
		&cli.BoolFlag{Name: "schema", Usage: "print the JSON Schema of --json"},
		&cli.DurationFlag{Name: "silent", Value: picture.Silent, Usage: "`TIME` after which a host that says nothing stands out: more than agents with --once leave between two runs"},
		readerFlag(),
	}, accessFlags()...)
	return &cli.Command{Name: "status", Usage: "say how the fleet fares", Flags: flags, Action: p.status}
}

func (p *program) status(ctx context.Context, c *cli.Command) error {
	if err := statusUsage(c); err != nil {
		return err
	}
	switch {
	case c.Bool("schema"):
		text, err := schema.Read("status")
		if err == nil {
			_, err = p.stdout.Write(text)
		}
		return err
	case c.Bool("watch"):
		return p.watchStatus(ctx, c)
	}
	s, connection, err := p.look(ctx, c)
	if err != nil {
		return err
	}
	defer connection.Close()
	switch {
	case c.Bool("check"):
		return p.check(s)
	case c.Bool("json"):
		return s.WriteJSON(p.stdout)
	}
	return s.Show(p.stdout, picture.View{Columns: display.Width(p.stdout), Colours: colours(p.stdout), All: c.Bool("all")})
}

func statusUsage(c *cli.Command) error {
	ways := 0
	for _, name := range []string{"check", "watch", "schema"} {
		if c.Bool(name) {
			ways++
		}
	}
	switch {
	case c.Args().Present():
		return usageError{fmt.Errorf("status takes no argument %q", c.Args().First())}
	case ways > 1:
		return usageError{errors.New("of --check, --watch and --schema, only one goes")}
	case c.Bool("check") && c.Bool("json"):
		return usageError{errors.New("--check prints no JSON")}
	case c.IsSet("interval") && !c.Bool("watch"):
		return usageError{errors.New("--interval goes with --watch")}
	case c.Duration("interval") <= 0:
		return usageError{errors.New("--interval is more than 0")}
	}
	return nil
}

// check prints why somebody should look at the fleet. The error is that somebody should.
func (p *program) check(s *picture.Status) error {
	reasons := s.Reasons()
	for _, r := range reasons {
		if _, err := fmt.Fprintln(p.stdout, r); err != nil {
			return err
		}
	}
	switch len(reasons) {
	case 0:
		return nil
	case 1:
		return errors.New("there is a reason to look at the fleet")
	}
	return fmt.Errorf("there are %d reasons to look at the fleet", len(reasons))
}

// watchStatus shows the status until ctx ends. That the server cannot be reached is an error only at the beginning, where
// a flag may be wrong.
func (p *program) watchStatus(ctx context.Context, c *cli.Command) error {
	log, err := p.logger(c)
	if err != nil {
		return err
	}
	screen := newScreen(p.stdout)
	if screen != nil && display.IsTerminal(p.stderr) {
		log = slog.New(slog.DiscardHandler) // it would be written across the status, which says the same
	}
	a, err := p.access(c, c.String("name"), log)
	if err != nil {
		return err
	}
	asker := &asker{silent: c.Duration("silent"), connect: func(ctx context.Context) (*server.Connection, error) { return server.Connect(ctx, a) }}
	defer asker.close()
	w := &watcher{
		look: asker.look, interval: c.Duration("interval"), out: p.stdout, errors: p.stderr, screen: screen, now: time.Now,
		json: c.Bool("json"), view: picture.View{Colours: colours(p.stdout), All: c.Bool("all")},
	}
	return w.run(ctx)
}

// lookTime bounds how long one look takes.
const lookTime = 15 * time.Second

// An asker asks the server, over a connection that it makes anew if it must.
type asker struct {
	connect    func(context.Context) (*server.Connection, error)
	silent     time.Duration
	connection *server.Connection
}

func (a *asker) look(ctx context.Context) (*picture.Status, error) {
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	if a.connection == nil || a.connection.IsClosed() { // the server let nobody in for a while
		connection, err := a.connect(ctx)
		if err != nil {
			return nil, err
		}
		a.connection = connection
	}
	if !a.connection.IsConnected() {
		_ = a.connection.ForceReconnect() // somebody waits: the pause before the next attempt may be long
		if err := a.connection.LastError(); err != nil {
			return nil, err
		}
		return nil, errors.New("no connection")
	}
	s, err := picture.Look(ctx, a.connection, time.Now())
	if err == nil {
		s.SilentAfter = a.silent
	}
	return s, err
}

func (a *asker) close() {
	if a.connection != nil {
		a.connection.Conn.Close() // there is nothing to be sent
	}
}

// colours reports whether w is a terminal and nobody objects to colours.
func colours(w any) bool { return display.NewPainter(w, os.Getenv).On }

// away is what is said while the server does not answer.
func away(since, now time.Time, err error) string {
	return fmt.Sprintf("No new status since %s (%s): %s.", since.UTC().Format("15:04:05"), now.Sub(since).Round(time.Second), wire.Clean(err.Error()))
}
