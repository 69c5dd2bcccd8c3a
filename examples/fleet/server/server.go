// Package server is what a fleet needs of NATS: a server inside the process, the way to any server, the streams and
// buckets of package wire, and who may do what.
//
//	Start      a NATS server with JetStream, from defaults or from nats-server's own configuration file
//	Connect    to it, or to any other: TLS, credentials, an inbox of one's own, reconnects for ever
//	Publisher  publishes and waits for the acknowledgement; its errors tell "later" from "never"
//	Setup      makes and updates streams and buckets; Verify only looks whether they are there
//	Permissions prints who may do what, for a configuration file
//
// Invariants:
//   - nothing listens beyond loopback unless a configuration file says so.
//   - Setup never deletes: neither a stream nor a message.
//   - no password, seed or token is logged or in an error.
package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strconv"
	"sync"
	"time"

	nats "github.com/nats-io/nats-server/v2/server"
)

// DefaultListen is where an embedded server listens.
const DefaultListen = "127.0.0.1:4222"

// DefaultURL is the URL of an embedded server that listens at DefaultListen.
const DefaultURL = "nats://" + DefaultListen

// Options say how an embedded server runs. StoreDir must be set, here or in the configuration file.
type Options struct {
	// Name of the server in logs and in a cluster; empty is a random one.
	Name string

	// StoreDir is the directory of streams and buckets. It is made if it is missing, for this user alone.
	StoreDir string

	// Listen is the address for clients; empty is DefaultListen, or what the configuration file says. With port 0 a free
	// port is taken. An address that is not loopback is refused unless there is a configuration file: everybody who reaches
	// it could read and write everything.
	Listen string

	// ConfigFile is a configuration file of nats-server: TLS, accounts, cluster, leaf nodes and all else. What is set here
	// goes before it. JetStream is on, whether the file says so or not.
	ConfigFile string

	// NoSync leaves it to the operating system when what was acknowledged reaches the disk. It is faster, and loses up to
	// two minutes if the machine loses power; a process that is killed loses nothing either way. Without a configuration
	// file, the zero value syncs before it acknowledges; with one, the file's sync_interval counts.
	NoSync bool

	// Logger gets what the server has to say; nil discards it.
	Logger *slog.Logger
}

// A Server is a NATS server inside the process. It is safe for concurrent use. End it with Close.
type Server struct {
	nats   *nats.Server
	config Options
	once   sync.Once
}

// Start starts a server, and waits until clients can connect and JetStream answers, or ctx is done. A server of a
// cluster is ready when the cluster has a leader: start them all at once.
func Start(ctx context.Context, config Options) (*Server, error) {
	options, err := config.options()
	if err != nil {
		return nil, err
	}
	server, err := nats.NewServer(options)
	if err != nil {
		return nil, fmt.Errorf("the NATS server cannot be made: %w", err)
	}
	log := &logger{to: cmp.Or(config.Logger, slog.New(slog.DiscardHandler)), fatal: make(chan string, 1)}
	server.SetLoggerV2(log, log.debugs(), false, false) // never a trace: it has what clients send
	server.Start()
	s := &Server{nats: server, config: config}
	if err := s.wait(ctx, log); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// options are nats-server's.
func (o Options) options() (*nats.Options, error) {
	options := &nats.Options{}
	if o.ConfigFile != "" {
		var err error
		if options, err = nats.ProcessConfigFile(o.ConfigFile); err != nil {
			return nil, fmt.Errorf("the server's configuration %s is not accepted: %w", o.ConfigFile, err)
		}
	} else {
		options.SyncAlways = !o.NoSync
	}
	options.NoSigs, options.JetStream = true, true
	options.ServerName = cmp.Or(o.Name, options.ServerName)
	options.StoreDir = cmp.Or(o.StoreDir, options.StoreDir)
	if options.StoreDir == "" {
		return nil, errors.New("the server needs a directory for what it stores")
	}
	if err := os.MkdirAll(options.StoreDir, 0o700); err != nil {
		return nil, fmt.Errorf("the server's directory cannot be made: %w", err)
	}
	return options, o.listen(options)
}

// listen says where.
func (o Options) listen(options *nats.Options) error {
	if o.Listen == "" && o.ConfigFile != "" {
		return nil
	}
	address := cmp.Or(o.Listen, DefaultListen)
	host, text, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("%q is no address for a server, such as %s: %w", address, DefaultListen, err)
	}
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return fmt.Errorf("%q is no address for a server, such as %s: %w", address, DefaultListen, err)
	}
	if o.ConfigFile == "" && !loopback(host) {
		return fmt.Errorf("without a configuration, everybody who reaches %s could read and write everything: "+
			"listen at loopback, or say who may do what in a nats-server configuration file", address)
	}
	options.Host, options.Port = host, int(port)
	if port == 0 {
		options.Port = nats.RANDOM_PORT
	}
	return nil
}

func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	address, err := netip.ParseAddr(host)
	return err == nil && address.IsLoopback()
}

// wait waits until the server is ready.
func (s *Server) wait(ctx context.Context, log *logger) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !s.ready() {
		select {
		case <-ctx.Done():
			return fmt.Errorf("the NATS server did not become ready: %w", context.Cause(ctx))
		case what := <-log.fatal:
			return fmt.Errorf("the NATS server cannot start: %s", what)
		case <-tick.C:
		}
	}
	return nil
}

func (s *Server) ready() bool {
	return s.nats.ReadyForConnections(time.Millisecond) && s.nats.JetStreamEnabled() &&
		(!s.nats.JetStreamIsClustered() || s.nats.JetStreamIsCurrent())
}

// URL is where clients on this machine connect to.
func (s *Server) URL() string { return s.nats.ClientURL() }

// NATS is the server itself, for what this package has no words for.
func (s *Server) NATS() *nats.Server { return s.nats }

// Reload reads the configuration file again: new hosts, new permissions, new certificates. Clients that lost a
// permission lose it at once. It is an error if there is no configuration file, or if it changes what only a new start
// can; then nothing changes.
func (s *Server) Reload() error {
	if s.config.ConfigFile == "" {
		return errors.New("the server has no configuration file to read again")
	}
	options, err := s.config.options()
	if err != nil {
		return err
	}
	if err := s.nats.ReloadOptions(options); err != nil {
		return fmt.Errorf("the server's configuration %s cannot be taken over while it runs: %w", s.config.ConfigFile, err)
	}
	return nil
}

// Close ends the server and waits until all is on the disk. Later calls do nothing.
func (s *Server) Close() error {
	s.once.Do(func() {
		s.nats.Shutdown()
		s.nats.WaitForShutdown()
	})
	return nil
}

// A logger passes on what the server says.
type logger struct {
	to    *slog.Logger
	fatal chan string // gets the first
}

func (l *logger) debugs() bool { return l.to.Enabled(context.Background(), slog.LevelDebug) }

func (l *logger) log(level slog.Level, format string, args []any) {
	if ctx := context.Background(); l.to.Enabled(ctx, level) {
		l.to.Log(ctx, level, fmt.Sprintf(format, args...), "from", "nats-server")
	}
}

// The methods that nats-server calls. What it calls notices are of interest to few.
func (l *logger) Noticef(format string, args ...any) { l.log(slog.LevelDebug, format, args) }
func (l *logger) Warnf(format string, args ...any)   { l.log(slog.LevelWarn, format, args) }
func (l *logger) Errorf(format string, args ...any)  { l.log(slog.LevelError, format, args) }
func (l *logger) Debugf(format string, args ...any)  { l.log(slog.LevelDebug, format, args) }
func (l *logger) Tracef(string, ...any)              {}

// Fatalf is called where nats-server's own program would exit.
func (l *logger) Fatalf(format string, args ...any) {
	l.log(slog.LevelError, format, args)
	select {
	case l.fatal <- fmt.Sprintf(format, args...):
	default:
	}
}
