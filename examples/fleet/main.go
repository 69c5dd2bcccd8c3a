// The program fleet finds and settles leaked ACME authorizations on many hosts
// at once, over NATS JetStream: an agent on each host, any number of hubs.
//
// See README.md beside this file.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"github.com/acmeauthz/acmeauthz/examples/fleet/hub"
	"github.com/acmeauthz/acmeauthz/examples/fleet/server"
	"github.com/acmeauthz/acmeauthz/examples/fleet/wire"
	"github.com/urfave/cli/v3"
)

// Exit codes.
const (
	exitFailed = 1 // something went wrong
	exitUsage  = 2 // the command line needs a change
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args, os.Stdout, os.Stderr))
}

// A usageError is a command line that needs a change.
type usageError struct{ error }

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	p := &program{stdout: stdout, stderr: stderr}
	root := &cli.Command{
		Name: "fleet", Usage: "leaked ACME authorizations of many hosts, found, explained and settled",
		Writer: stdout, ErrWriter: stderr, Version: version(),
		Commands:       p.commands(),
		OnUsageError:   func(_ context.Context, _ *cli.Command, err error, _ bool) error { return usageError{err} },
		ExitErrHandler: func(context.Context, *cli.Command, error) {},
	}
	root.Action = func(_ context.Context, c *cli.Command) error {
		if c.Args().Present() {
			return usageError{fmt.Errorf("there is no command %q", c.Args().First())}
		}
		return cli.ShowRootCommandHelp(c)
	}
	see := "fleet --help"
	for _, c := range root.Commands {
		c.OnUsageError = root.OnUsageError
		if len(args) > 1 && c.Name == args[1] {
			see = "fleet " + c.Name + " --help"
		}
		if c.Name != "nkey" && c.Name != "status" { // these look themselves
			c.Action = withoutArguments(c.Action)
		}
	}
	err := root.Run(ctx, args)
	switch wrong, ok := errors.AsType[usageError](err); {
	case err == nil:
		return 0
	case ok:
		fmt.Fprintf(stderr, "fleet: %s\n  See: %s\n", wire.Clean(wrong.Error()), see)
		return exitUsage
	}
	fmt.Fprintf(stderr, "fleet: %s\n", wire.Clean(err.Error()))
	return exitFailed
}

// withoutArguments refuses arguments that are no flags: a pattern without quotes becomes some, and its files would be left out.
func withoutArguments(do cli.ActionFunc) cli.ActionFunc {
	return func(ctx context.Context, c *cli.Command) error {
		if c.Args().Present() {
			return usageError{fmt.Errorf("%s takes no argument %q: quote patterns, and repeat flags that may be repeated", c.Name, c.Args().First())}
		}
		return do(ctx, c)
	}
}

func (p *program) commands() []*cli.Command {
	return []*cli.Command{p.agentCommand(), p.hubCommand(), p.serverCommand(), p.statusCommand(), p.reportCommand(), p.permissionsCommand(), p.nkeyCommand(), p.demoCommand()}
}

type program struct{ stdout, stderr io.Writer }

func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "unknown"
}

// accessFlags say how to reach the server.
func accessFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "nats", Sources: cli.EnvVars("FLEET_NATS"), Usage: "`URLS` of NATS servers, with commas between them"},
		&cli.StringFlag{Name: "creds", Sources: cli.EnvVars("FLEET_CREDS"), Usage: "`FILE` with NATS credentials (.creds)"},
		&cli.StringFlag{Name: "nkey", Sources: cli.EnvVars("FLEET_NKEY"), Usage: "`FILE` with an nkey seed"},
		&cli.StringFlag{Name: "tls-ca", Sources: cli.EnvVars("FLEET_TLS_CA"), Usage: "`FILE` with the roots of the servers' certificates"},
		&cli.StringFlag{Name: "tls-cert", Sources: cli.EnvVars("FLEET_TLS_CERT"), Usage: "`FILE` with the client's certificate"},
		&cli.StringFlag{Name: "tls-key", Sources: cli.EnvVars("FLEET_TLS_KEY"), Usage: "`FILE` with its key"},
		logFlag(),
	}
}

func logFlag() cli.Flag {
	return &cli.StringFlag{Name: "log-level", Value: "info", Usage: "`LEVEL` of the log on standard error: debug, info, warn, error"}
}

func (p *program) logger(c *cli.Command) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.String("log-level"))); err != nil {
		return nil, usageError{fmt.Errorf("--log-level %q is none of debug, info, warn, error", c.String("log-level"))}
	}
	return slog.New(slog.NewTextHandler(p.stderr, &slog.HandlerOptions{Level: level})), nil
}

// access is what the flags say; name is that of the host or hub.
func (p *program) access(c *cli.Command, name string, log *slog.Logger) (server.Access, error) {
	a := server.Access{
		Credentials: c.String("creds"), NKeySeed: c.String("nkey"), CAFile: c.String("tls-ca"), CertFile: c.String("tls-cert"), KeyFile: c.String("tls-key"),
		Name: "fleet " + c.Name + " " + name, Logger: log,
	}
	if urls := c.String("nats"); urls != "" {
		a.URLs = strings.Split(urls, ",")
	}
	if name != "" {
		token, err := wire.HostToken(name)
		if err != nil {
			return a, usageError{err}
		}
		a.Inbox = token
	}
	return a, nil
}

func nameFlag(of string) cli.Flag {
	host, _ := os.Hostname()
	return &cli.StringFlag{Name: "name", Sources: cli.EnvVars("FLEET_NAME"), Value: strings.ToLower(host), Usage: "`NAME` of " + of}
}

// readerFlag is the name of who looks on, which a server with permissions asks for.
func readerFlag() cli.Flag {
	return &cli.StringFlag{Name: "name", Sources: cli.EnvVars("FLEET_NAME"), Usage: "`NAME` of this reader, as the server's permissions have it"}
}

// serverFlags say how a server in the process runs.
func serverFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "store", Usage: "`DIR` of the data of the server in the process"},
		&cli.StringFlag{Name: "listen", Value: server.DefaultListen, Usage: "`ADDRESS` of the server in the process"},
		&cli.StringFlag{Name: "nats-config", Usage: "configuration `FILE` of nats-server, for TLS, accounts, a cluster"},
	}
}

// start starts the server in the process.
func (p *program) start(ctx context.Context, c *cli.Command, log *slog.Logger) (*server.Server, error) {
	if c.String("store") == "" && c.String("nats-config") == "" {
		where := "the server needs a directory: --store DIR"
		if c.Name != "server" {
			where += "; or name one that runs: --nats URL"
		}
		return nil, usageError{errors.New(where)}
	}
	o := server.Options{StoreDir: c.String("store"), ConfigFile: c.String("nats-config"), Logger: log}
	if c.IsSet("listen") || o.ConfigFile == "" {
		o.Listen = c.String("listen")
	}
	return server.Start(ctx, o)
}

func (p *program) serverCommand() *cli.Command {
	flags := append(serverFlags(), logFlag())
	return &cli.Command{Name: "server", Usage: "run a NATS server for a fleet", Flags: flags, Action: func(ctx context.Context, c *cli.Command) error {
		log, err := p.logger(c)
		if err != nil {
			return err
		}
		s, err := p.start(ctx, c, log)
		if err != nil {
			return err
		}
		defer s.Close()
		defer reloadOnHangup(s, c.String("nats-config"), log)()
		fmt.Fprintf(p.stdout, "The server is at %s\n", s.URL())
		<-ctx.Done()
		return nil
	}}
}

// setupTime is how long one try to make the streams takes at most.
const setupTime = 20 * time.Second

// openHub makes the streams and a hub on them. While the servers are not there, or a cluster has not found itself, it tries
// again until ctx ends; what is there and cannot be changed is an error at once.
func openHub(ctx context.Context, c *server.Connection, replicas int, config hub.Config) (*hub.Hub, error) {
	js, err := c.JetStream()
	if err != nil {
		return nil, err
	}
	for {
		wait := 100 * time.Millisecond
		if c.IsConnected() {
			limited, cancel := context.WithTimeout(ctx, setupTime)
			err := server.Setup(limited, js, server.Settings{Replicas: replicas})
			var h *hub.Hub
			if err == nil {
				h, err = hub.New(limited, js, config)
			}
			cancel()
			if err == nil || !server.Temporary(err) {
				return h, err
			}
			wait = time.Second
			if ctx.Err() == nil {
				config.Logger.Warn("the streams are not there yet; trying again", "error", err)
			}
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(wait):
		}
	}
}

func stateDir(name string) string {
	if dir := os.Getenv("STATE_DIRECTORY"); dir != "" { // systemd's
		return dir
	}
	return "/var/lib/acmeauthz-fleet-" + name
}
