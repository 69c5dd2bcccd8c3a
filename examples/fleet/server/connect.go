package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// reconnectMost is the longest wait between two attempts to connect, before jitter.
const reconnectMost = 30 * time.Second

// Access says how to reach a server, and as whom. The zero value is nobody in particular at DefaultURL.
type Access struct {
	// URLs of servers, as nats://host:4222 or tls://host:4222; one is chosen at random. Empty is DefaultURL.
	URLs []string

	// Server is one inside the process: it is reached without the network, and URLs are not used.
	Server *Server

	// Credentials is a file with a user's JWT and seed (.creds); NKeySeed is a file with a seed alone. At most one is set.
	Credentials string
	NKeySeed    string

	// CAFile has the roots that are trusted, in PEM form, instead of the system's. CertFile and KeyFile are the client's
	// own certificate. Any of them makes TLS a must.
	CAFile, CertFile, KeyFile string

	// Name is told to the server, for its logs and monitoring.
	Name string

	// Inbox is where answers come to: _INBOX.<Inbox>.*, a token as wire.HostToken returns it. Permissions can name it, so
	// that nobody sees the answers to others. Empty is nobody's in particular.
	Inbox string

	// Patient waits for a server that is not there yet, or does not let us in yet. Without it, Connect returns an error.
	Patient bool

	// Logger gets what becomes of the connection; nil discards it.
	Logger *slog.Logger
}

// A Connection is a connection to a server that comes back for ever. It is safe for concurrent use. End it with Close.
type Connection struct {
	*nats.Conn
	log   *slog.Logger
	inbox string // what the subjects of answers begin with

	mu      sync.Mutex
	waiting map[*waiter]struct{}
}

// A waiter waits for the answer to what it published.
type waiter struct {
	subject string
	cancel  context.CancelCauseFunc
}

// Connect connects to a server. Unless a.Patient, it is an error if none can be reached or none accepts us. ctx bounds
// that only.
func Connect(ctx context.Context, a Access) (*Connection, error) {
	c := &Connection{log: cmp.Or(a.Logger, slog.New(slog.DiscardHandler)), waiting: make(map[*waiter]struct{}), inbox: "_INBOX."}
	if a.Inbox != "" {
		c.inbox += a.Inbox + "."
	}
	options, err := a.options(ctx, c)
	if err != nil {
		return nil, err
	}
	urls := a.URLs
	if len(urls) == 0 {
		urls = []string{DefaultURL}
	}
	if c.Conn, err = nats.Connect(strings.Join(urls, ","), options...); err != nil {
		if errors.Is(err, nats.ErrAuthorization) {
			err = fmt.Errorf("%w: the server knows no such key or credentials; are they in its permissions?", err)
		}
		return nil, fmt.Errorf("no connection to NATS at %s: %w", Redacted(urls...), err)
	}
	if !c.IsConnected() {
		c.log.Warn("no connection to NATS yet; trying again until there is one", "servers", Redacted(urls...), "error", c.LastError())
	}
	return c, nil
}

// JetStream is the JetStream of the connection.
// What is published without waiting, and not acknowledged in time, is given up.
func (c *Connection) JetStream() (jetstream.JetStream, error) {
	return jetstream.New(c.Conn, jetstream.WithPublishAsyncTimeout(10*time.Second))
}

// Close ends the connection, after what is under way was sent. Later calls do nothing.
func (c *Connection) Close() {
	if !c.IsClosed() {
		_ = c.FlushTimeout(time.Second) // what is lost is sent again
	}
	c.Conn.Close()
}

func (a Access) options(ctx context.Context, c *Connection) ([]nats.Option, error) {
	if a.Credentials != "" && a.NKeySeed != "" {
		return nil, errors.New("a credentials file and an nkey are two identities: name one of them")
	}
	if (a.CertFile == "") != (a.KeyFile == "") {
		return nil, errors.New("a client's certificate needs its key, and the other way round")
	}
	options := []nats.Option{
		nats.Name(a.Name),
		nats.MaxReconnects(-1),
		nats.CustomReconnectDelay(delay),
		nats.ReconnectBufSize(-1), // the caller keeps what was not acknowledged
		nats.PingInterval(20 * time.Second),
		nats.MaxPingsOutstanding(2),
		nats.PermissionErrOnSubscribe(true),
		nats.ErrorHandler(c.failed),
		nats.DisconnectErrHandler(c.disconnected),
		nats.ReconnectHandler(c.connected),
	}
	if deadline, ok := ctx.Deadline(); ok {
		options = append(options, nats.Timeout(max(time.Until(deadline), time.Millisecond)))
	}
	if a.Server != nil {
		options = append(options, nats.InProcessServer(a.Server.nats))
	}
	if a.Inbox != "" {
		options = append(options, nats.CustomInboxPrefix("_INBOX."+a.Inbox))
	}
	if a.Patient {
		options = append(options, nats.RetryOnFailedConnect(true), nats.IgnoreAuthErrorAbort(), nats.ConnectHandler(c.connected))
	}
	return a.identity(options)
}

// identity adds who we are and whom we trust.
func (a Access) identity(options []nats.Option) ([]nats.Option, error) {
	if a.Credentials != "" {
		options = append(options, nats.UserCredentials(a.Credentials))
	}
	if a.NKeySeed != "" {
		option, err := nats.NkeyOptionFromSeed(a.NKeySeed)
		if err != nil {
			return nil, fmt.Errorf("the nkey in %s cannot be used: %w", a.NKeySeed, err)
		}
		options = append(options, option)
	}
	if a.CAFile != "" {
		options = append(options, nats.RootCAs(a.CAFile))
	}
	if a.CertFile != "" {
		options = append(options, nats.ClientCert(a.CertFile, a.KeyFile))
	}
	return options, nil
}

// delay is how long to wait before attempt n at all servers: longer each time, and never the same, since a thousand
// agents lose a server at once.
func delay(n int) time.Duration {
	most := min(reconnectMost, 500*time.Millisecond<<min(max(n-1, 0), 6))
	return most/2 + rand.N(most)
}

func (c *Connection) connected(nc *nats.Conn) {
	c.log.Info("connected to NATS", "server", nc.ConnectedUrlRedacted(), "name", nc.ConnectedServerName())
}

func (c *Connection) disconnected(_ *nats.Conn, err error) {
	if err != nil {
		c.log.Warn("lost the connection to NATS; trying again until it is back", "error", err)
	}
}

// failed gets the errors that belong to no call.
func (c *Connection) failed(_ *nats.Conn, _ *nats.Subscription, err error) {
	c.log.Warn("NATS refused something", "error", err)
	subject, inbox := violation(err), c.isInbox(err)
	if subject == "" && !inbox {
		return
	}
	err = forbidden(err, inbox)
	c.mu.Lock()
	defer c.mu.Unlock()
	for w := range c.waiting {
		if w.subject == subject || inbox {
			w.cancel(err)
		}
	}
}

// forbidden is an ErrPermission, with what to do if it is where answers come to.
func forbidden(err error, inbox bool) error {
	if inbox {
		err = fmt.Errorf("%w: answers come to _INBOX and the name (--name), which must be the one that the permissions have", err)
	}
	return fmt.Errorf("%w: %w", ErrPermission, err)
}

var violations = regexp.MustCompile(`(?i)permissions violation for publish to "([^"]+)"`)

// violation is the subject that we may not publish to.
func violation(err error) string {
	if !errors.Is(err, nats.ErrPermissionViolation) {
		return ""
	}
	if found := violations.FindStringSubmatch(err.Error()); found != nil {
		return found[1]
	}
	return ""
}

// isInbox reports whether it is where answers to us come to that we may not hear.
func (c *Connection) isInbox(err error) bool {
	return errors.Is(err, nats.ErrPermissionViolation) && strings.Contains(err.Error(), "ubscription to \""+c.inbox)
}

// watch makes a context that ends, with an ErrPermission as its cause, when the server says that we may not publish to
// subject. It tells a client of that, but not in answer to a message.
func (c *Connection) watch(ctx context.Context, subject string) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	w := &waiter{subject, cancel}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waiting[w] = struct{}{}
	return ctx, func() {
		cancel(nil)
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.waiting, w)
	}
}

// Redacted is URLs without the passwords in them.
func Redacted(urls ...string) string {
	var all []string
	for _, text := range strings.Split(strings.Join(urls, ","), ",") {
		if u, err := url.Parse(strings.TrimSpace(text)); err == nil {
			if u.User != nil {
				u.User = url.User("xxxxx") // a token stands where the name does
			}
			text = u.String()
		} else {
			text = "(no URL)"
		}
		all = append(all, text)
	}
	return strings.Join(all, ", ")
}
