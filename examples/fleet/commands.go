package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/acmeauthz/acmeauthz/account"
	"github.com/acmeauthz/acmeauthz/authz"
	"github.com/acmeauthz/acmeauthz/examples/fleet/agent"
	"github.com/acmeauthz/acmeauthz/examples/fleet/hub"
	"github.com/acmeauthz/acmeauthz/examples/fleet/picture"
	"github.com/acmeauthz/acmeauthz/examples/fleet/server"
	"github.com/urfave/cli/v3"
)

func (p *program) agentCommand() *cli.Command {
	flags := append([]cli.Flag{
		&cli.StringSliceFlag{Name: "logs", Usage: "`FILE` or pattern of the logs to follow; may be repeated"},
		nameFlag("this host in the fleet"),
		&cli.StringFlag{Name: "state-dir", Value: stateDir("agent"), Usage: "`DIR` of the agent's own"},
		&cli.Int64Flag{Name: "spool-limit", Value: 256 << 20, Usage: "`BYTES` that may wait for the server"},
		&cli.DurationFlag{Name: "heartbeat", Value: 15 * time.Second, Usage: "`TIME` between two heartbeats, at most 2m; a host is silent after 5m"},
		&cli.StringFlag{Name: "account", Usage: "account `URL` that is assumed where logs do not tell it"},
		&cli.BoolFlag{Name: "once", Usage: "read what there is, send it, and end: for cron"},
	}, accessFlags()...)
	return &cli.Command{Name: "agent", Usage: "follow the logs of this host, and send what is new", Flags: flags, Action: p.agent}
}

func (p *program) agent(ctx context.Context, c *cli.Command) (err error) {
	log, err := p.logger(c)
	if err != nil {
		return err
	}
	a, err := p.access(c, c.String("name"), log)
	if err != nil {
		return err
	}
	a.Patient = !c.Bool("once")
	if len(c.StringSlice("logs")) == 0 {
		return usageError{errors.New("no logs are named: fleet agent --logs '/var/log/letsencrypt/letsencrypt.log'")}
	}
	if every := c.Duration("heartbeat"); every < time.Second || every > 2*time.Minute {
		return usageError{fmt.Errorf("--heartbeat is 1s to 2m, not %v", every)}
	}
	follower, err := agent.New(agent.Config{
		Host: c.String("name"), Logs: c.StringSlice("logs"), StateDir: c.String("state-dir"), SpoolLimit: c.Int64("spool-limit"),
		Account: c.String("account"), Heartbeat: c.Duration("heartbeat"), Version: version(), Logger: log,
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, follower.Close()) }()
	connection, err := server.Connect(ctx, a)
	if err != nil {
		return err
	}
	defer connection.Close()
	publisher, err := connection.Publisher()
	if err != nil {
		return err
	}
	if c.Bool("once") {
		return follower.Once(ctx, publisher)
	}
	return follower.Run(ctx, publisher)
}

func (p *program) hubCommand() *cli.Command {
	flags := append([]cli.Flag{
		nameFlag("this hub; no other has the same"),
		&cli.StringFlag{Name: "accounts", Usage: "`DIR` or file of an ACME client with the keys of accounts"},
		&cli.StringFlag{Name: "policy", Usage: "JSON `FILE` that says what is done, by account"},
		&cli.BoolFlag{Name: "apply", Usage: "do what is planned; without, nothing is changed"},
		&cli.StringFlag{Name: "profiles", Usage: "JSON `FILE` of profiles of CAs"},
		&cli.StringFlag{Name: "listen-http", Value: "127.0.0.1:9464", Usage: "`ADDRESS` of /metrics and /healthz; empty is none"},
		&cli.DurationFlag{Name: "min-age", Usage: "spare what may be younger than `TIME`; below 0: nothing", Value: time.Hour},
		&cli.DurationFlag{Name: "recent", Value: time.Hour, Usage: "`TIME` after its last line for which a client may be at work"},
		&cli.DurationFlag{Name: "lease", Value: 15 * time.Second, Usage: "`TIME` after which the accounts of a hub that is gone are another's"},
		&cli.DurationFlag{Name: "save-every", Value: 15 * time.Second, Usage: "`TIME` between snapshots"},
		&cli.DurationFlag{Name: "retention", Value: 90 * 24 * time.Hour, DefaultText: "90 days, 2160h", Usage: "`TIME` after which what is over is forgotten"},
		&cli.IntFlag{Name: "max-accounts", Value: 10_000, Usage: "so many `ACCOUNTS` are known at most"},
		&cli.IntFlag{Name: "max-host-accounts", Value: 100, Usage: "so many `ACCOUNTS` one host may make known"},
		&cli.IntFlag{Name: "max-authorizations", Value: 1_000_000, Usage: "so many `AUTHORIZATIONS` of an account are kept at most, about a kilobyte each"},
		&cli.StringFlag{Name: "ca-roots", Usage: "`FILE` with the roots of the CA's own certificate, for a private CA"},
		&cli.IntFlag{Name: "replicas", DefaultText: "as it is, and 1 at first", Usage: "so many `SERVERS` have everything: 1, 3 or 5"},
	}, append(serverFlags(), accessFlags()...)...)
	return &cli.Command{Name: "hub", Usage: "merge what agents send, and do something about what leaked", Flags: flags, Action: p.hub}
}

func (p *program) hub(ctx context.Context, c *cli.Command) error {
	log, err := p.logger(c)
	if err != nil {
		return err
	}
	config, err := p.hubConfig(c)
	if err != nil {
		return err
	}
	config.Logger = log
	a, err := p.access(c, config.Name, log)
	if err != nil {
		return err
	}
	if c.IsSet("nats") && (c.IsSet("store") || c.IsSet("nats-config")) {
		return usageError{errors.New("--nats names a server that runs, and --store or --nats-config are for one in this process: give one of them")}
	}
	if len(a.URLs) == 0 {
		s, err := p.start(ctx, c, log)
		if err != nil {
			return err
		}
		defer s.Close()
		defer reloadOnHangup(s, c.String("nats-config"), log)()
		a.URLs = []string{s.URL()}
		fmt.Fprintf(p.stdout, "The server is at %s\n", s.URL())
	}
	a.Patient = true
	connection, err := server.Connect(ctx, a)
	if err != nil {
		return err
	}
	defer connection.Close()
	h, err := openHub(ctx, connection, c.Int("replicas"), config)
	switch {
	case ctx.Err() != nil:
		return nil // it was ended before it began
	case err != nil:
		return err
	}
	var group sync.WaitGroup
	defer group.Wait()
	if address := c.String("listen-http"); address != "" {
		listener, err := net.Listen("tcp", address)
		if err != nil {
			return fmt.Errorf("--listen-http: %w", err)
		}
		web := &http.Server{Handler: picture.Handler(h.Stats), ReadHeaderTimeout: 10 * time.Second}
		group.Go(func() { _ = web.Serve(listener) })
		defer web.Close()
		fmt.Fprintf(p.stdout, "Metrics are at http://%s/metrics\n", listener.Addr())
	}
	return h.Run(ctx)
}

func (p *program) hubConfig(c *cli.Command) (hub.Config, error) {
	config := hub.Config{
		Name: c.String("name"), Version: version(), Apply: c.Bool("apply"), LeaseLife: c.Duration("lease"), SaveEvery: c.Duration("save-every"),
		Retention: c.Duration("retention"), Recent: c.Duration("recent"), KeepYounger: c.Duration("min-age"),
		MaxAccounts: c.Int("max-accounts"), MaxHostAccounts: c.Int("max-host-accounts"), MaxAuthorizations: c.Int("max-authorizations"),
	}
	if dir := c.String("accounts"); dir != "" {
		accounts, err := account.Load(dir)
		if len(accounts) == 0 {
			return config, fmt.Errorf("--accounts: %w", errors.Join(err, errors.New("there is no account")))
		}
		if err != nil {
			fmt.Fprintf(p.stderr, "fleet: %v\n", err) // an account that cannot be read does not hide the others
		}
		config.Accounts = accounts
	}
	if name := c.String("policy"); name != "" {
		f, err := os.Open(name)
		if err != nil {
			return config, usageError{fmt.Errorf("--policy: %w", err)}
		}
		defer f.Close()
		if config.Policies, err = hub.ReadPolicies(f); err != nil {
			return config, usageError{fmt.Errorf("%s: %w", name, err)}
		}
	}
	if name := c.String("profiles"); name != "" {
		f, err := os.Open(name)
		if err != nil {
			return config, usageError{fmt.Errorf("--profiles: %w", err)}
		}
		defer f.Close()
		if config.Profiles, err = authz.ReadProfiles(f); err != nil {
			return config, usageError{fmt.Errorf("%s: %w", name, err)}
		}
	}
	if name := c.String("ca-roots"); name != "" {
		transport, err := trusting(name)
		if err != nil {
			return config, usageError{err}
		}
		config.Transport = transport
	}
	return config, nil
}

func (p *program) look(ctx context.Context, c *cli.Command) (*picture.Status, *server.Connection, error) {
	log, err := p.logger(c)
	if err != nil {
		return nil, nil, err
	}
	a, err := p.access(c, c.String("name"), log)
	if err != nil {
		return nil, nil, err
	}
	connection, err := server.Connect(ctx, a)
	if err != nil {
		return nil, nil, err
	}
	s, err := picture.Look(ctx, connection, time.Now())
	if err != nil {
		connection.Close()
		return nil, nil, err
	}
	s.SilentAfter = c.Duration("silent")
	return s, connection, nil
}

func (p *program) reportCommand() *cli.Command {
	flags := append([]cli.Flag{
		&cli.BoolFlag{Name: "json", Usage: "print the report as one JSON document"},
		&cli.BoolFlag{Name: "csv", Usage: "print a row for each authorization"},
		&cli.StringFlag{Name: "html", Usage: "write the report as a page to `FILE`, too; - prints it"},
		&cli.StringFlag{Name: "history", Usage: "write all that is known to `FILE`, too, as JSON for other programs; - prints it"},
		&cli.StringFlag{Name: "at", Usage: "judge as of `TIME`, as 2026-11-23T20:00:00Z (default: now)"},
		&cli.BoolFlag{Name: "verbose", Aliases: []string{"v"}, Usage: "shorten nothing; show where lines are not understood"},
		&cli.DurationFlag{Name: "recent", Value: time.Hour, Usage: "`TIME` after its last line for which a client may be at work"},
		readerFlag(),
	}, accessFlags()...)
	return &cli.Command{Name: "report", Usage: "write what leaked in the whole fleet, and why", Flags: flags, Action: func(ctx context.Context, c *cli.Command) error {
		o, err := newReportOptions(c, time.Now())
		if err != nil {
			return err
		}
		s, connection, err := p.look(ctx, c)
		if err != nil {
			return err
		}
		defer connection.Close()
		h, err := s.History(ctx, connection)
		if err != nil {
			return err
		}
		return p.writeReport(o, h)
	}}
}

func (p *program) permissionsCommand() *cli.Command {
	flags := []cli.Flag{
		&cli.StringMapFlag{Name: "host", Usage: "public nkey of a host's agent, as `NAME=KEY`; may be repeated"},
		&cli.StringMapFlag{Name: "hub", Usage: "public nkey of a hub, as `NAME=KEY`"},
		&cli.StringMapFlag{Name: "reader", Usage: "public nkey of who may look on, as `NAME=KEY`"},
		&cli.BoolFlag{Name: "nsc", Usage: "print a script for nsc instead, for credentials files"},
		&cli.StringFlag{Name: "operator", Value: "fleet", Usage: "`NAME` of the operator for --nsc"},
	}
	return &cli.Command{Name: "permissions", Usage: "print who may do what, for a server's configuration", Flags: flags, Action: func(_ context.Context, c *cli.Command) error {
		if c.Bool("nsc") {
			return server.WriteNSC(p.stdout, c.String("operator"))
		}
		err := server.WritePermissions(p.stdout, server.Users{Agents: c.StringMap("host"), Hubs: c.StringMap("hub"), Readers: c.StringMap("reader")})
		if err != nil {
			return usageError{err}
		}
		return nil
	}}
}
