// Package server is the NATS side of a fleet: a server in the process, for those
// who run none; connections with TLS and credentials; and the streams, buckets
// and bounds that package wire names.
package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	natsserver "github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Options says how the server in the process runs. The zero Options is a server
// on 127.0.0.1:4222 whose data is in a temporary directory of its own.
type Options struct {
	// Config is a configuration file of nats-server, for all that is not below:
	// TLS, accounts, a cluster. If it is set, Host, Port and Store count only
	// where the file does not say.
	Config string

	Host string // empty is 127.0.0.1
	Port int    // 0 is 4222, -1 a free one

	// Store is the directory for the data; it is made.
	Store string

	Logger *slog.Logger // nil logs nothing
}

// readyLimit is how long a server may take until clients can connect.
const readyLimit = 30 * time.Second

// A Server is a NATS server in the process. End it with Close.
type Server struct{ server *natsserver.Server }

// Start starts a server, and returns when clients can connect. Each write is on
// the disk when it is acknowledged, unless the configuration file says otherwise:
// there may be no other copy.
func Start(o Options) (*Server, error) {
	options := &natsserver.Options{}
	if o.Config != "" {
		var err error
		if options, err = natsserver.ProcessConfigFile(o.Config); err != nil {
			return nil, fmt.Errorf("the server's configuration %s: %w", o.Config, err)
		}
	}
	options.JetStream, options.NoSigs = true, true
	if options.Host == "" {
		options.Host = "127.0.0.1"
		if o.Host != "" {
			options.Host = o.Host
		}
	}
	if options.Port == 0 {
		options.Port = o.Port
	}
	if options.StoreDir == "" {
		options.StoreDir = o.Store
	}
	if o.Config == "" {
		options.SyncAlways = true
	}
	s, err := natsserver.NewServer(options)
	if err != nil {
		return nil, fmt.Errorf("the server in the process: %w", err)
	}
	if o.Logger != nil {
		s.SetLoggerV2(logger{o.Logger}, false, false, false)
	}
	s.Start()
	if !s.ReadyForConnections(readyLimit) {
		s.Shutdown()
		return nil, fmt.Errorf("the server in the process was not ready after %s: is port %d of %s in use? --listen names another", readyLimit, options.Port, options.Host)
	}
	return &Server{s}, nil
}

// URL is where clients connect.
func (s *Server) URL() string { return s.server.ClientURL() }

// Close ends the server, and waits for that.
func (s *Server) Close() {
	s.server.Shutdown()
	s.server.WaitForShutdown()
}

// A logger hands the server's lines on.
type logger struct{ log *slog.Logger }

func (l logger) Noticef(format string, v ...any) { l.log.Debug(fmt.Sprintf(format, v...)) }
func (l logger) Warnf(format string, v ...any)   { l.log.Warn(fmt.Sprintf(format, v...)) }
func (l logger) Fatalf(format string, v ...any)  { l.log.Error(fmt.Sprintf(format, v...)) }
func (l logger) Errorf(format string, v ...any)  { l.log.Error(fmt.Sprintf(format, v...)) }
func (l logger) Debugf(format string, v ...any)  { l.log.Debug(fmt.Sprintf(format, v...)) }
func (l logger) Tracef(format string, v ...any)  { l.log.Debug(fmt.Sprintf(format, v...)) }

// Access says how to connect to a server.
type Access struct {
	// URLs are those of the servers of a cluster, separated by commas.
	URLs string

	// Name is the connection's, for the server's own listings.
	Name string

	// Inbox is what the subjects of answers to this client begin with, so that
	// permissions can keep others from reading them. If it is empty, it is _INBOX.
	Inbox string

	Credentials  string // a file with a JWT and an nkey seed (.creds)
	NKey         string // a file with an nkey seed
	CA           string // a file with the roots of the server's certificate, in PEM
	Cert, TLSKey string // files with the client's certificate and its key

	Logger *slog.Logger // nil logs nothing
}

// Connect connects, and keeps connecting for ever when the connection is lost.
// The first connection must succeed. Close the connection when it is done with.
func Connect(a Access) (*nats.Conn, error) {
	log := a.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	options := []nats.Option{
		nats.Name(a.Name), nats.MaxReconnects(-1), nats.ReconnectWait(500 * time.Millisecond), nats.ReconnectJitter(500*time.Millisecond, time.Second),
		nats.PingInterval(5 * time.Second), nats.MaxPingsOutstanding(2), nats.ReconnectBufSize(-1), nats.RetryOnFailedConnect(false),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) { log.Warn("connection lost", "error", err) }),
		nats.ReconnectHandler(func(c *nats.Conn) { log.Info("connected again", "url", c.ConnectedUrlRedacted()) }),
		nats.ErrorHandler(func(_ *nats.Conn, s *nats.Subscription, err error) { log.Warn("refused by the server", "error", err) }),
	}
	if a.Inbox != "" {
		options = append(options, nats.CustomInboxPrefix(a.Inbox))
	}
	secure, err := a.security()
	if err != nil {
		return nil, err
	}
	c, err := nats.Connect(a.URLs, append(options, secure...)...)
	if err != nil {
		return nil, fmt.Errorf("no connection to %s: %w", a.URLs, err)
	}
	return c, nil
}

// security is what proves who both ends are.
func (a Access) security() (options []nats.Option, err error) {
	if a.Credentials != "" {
		if err := readable(a.Credentials); err != nil {
			return nil, fmt.Errorf("the credentials: %w", err)
		}
		options = append(options, nats.UserCredentials(a.Credentials))
	}
	if a.NKey != "" {
		o, err := nats.NkeyOptionFromSeed(a.NKey)
		if err != nil {
			return nil, fmt.Errorf("the nkey %s: %w", a.NKey, err)
		}
		options = append(options, o)
	}
	if a.CA == "" && a.Cert == "" {
		return options, nil
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if a.CA != "" {
		roots, err := os.ReadFile(a.CA)
		if err != nil {
			return nil, fmt.Errorf("the roots: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(roots) {
			return nil, fmt.Errorf("%s has no certificate in PEM", a.CA)
		}
	}
	if a.Cert != "" {
		pair, err := tls.LoadX509KeyPair(a.Cert, a.TLSKey)
		if err != nil {
			return nil, fmt.Errorf("the client's certificate: %w", err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return append(options, nats.Secure(config)), nil
}

func readable(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	return f.Close()
}

// A Publisher publishes to streams, and waits until the server has what it
// published. It is safe for concurrent use.
type Publisher struct{ JetStream jetstream.JetStream }

// ErrRefused means that the server will never take a message: the client may not
// publish there, or it is too large.
var ErrRefused = errors.New("the server refuses the message")

// Publish returns when a stream has the message. With an ID, one that comes twice
// within the stream's window is kept once. An error that does not match ErrRefused
// may go away: the stream is full, or there is no connection.
func (p Publisher) Publish(ctx context.Context, subject, id string, data []byte) error {
	m := &nats.Msg{Subject: subject, Data: data, Header: nats.Header{}}
	if id != "" {
		m.Header.Set(jetstream.MsgIDHeader, id)
	}
	_, err := p.JetStream.PublishMsg(ctx, m, jetstream.WithRetryAttempts(1))
	switch api, ok := errors.AsType[*jetstream.APIError](err); {
	case errors.Is(err, nats.ErrMaxPayload), errors.Is(err, nats.ErrPermissionViolation),
		ok && api.ErrorCode == messageTooLarge:
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	return err
}

// messageTooLarge is the code of JetStream's error for a message that is larger
// than its stream allows.
const messageTooLarge = 10054
