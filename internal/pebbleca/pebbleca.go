// Package pebbleca runs Pebble, Let's Encrypt's ACME test server, inside the process, on loopback.
//
// It starts what github.com/letsencrypt/pebble's own command starts, with a certificate made at the start, and adds what a
// test needs: a client that trusts it, free ports, names that all resolve to 127.0.0.1, an answerer of challenges, and
// [CA.Status], which asks Pebble's database and not the server under suspicion of lying.
//
// No validation leaves the machine: every DNS name resolves to loopback, and an order for an IP address that is not
// loopback is refused.
//
// # Pebble locks up
//
// Pebble 2.10.1 can lock up for ever: showing an authorization that is not pending (the answer to its deactivation is such
// a showing) takes a read lock on each unused challenge and does not give it back. The next write to such a challenge
// waits, then every read of the authorization and its order, then newOrder and newAccount: no answer, no error. Three ways:
//
//  1. answer a challenge, and deactivate the authorization before the validation is done;
//  2. deactivate an authorization, then answer one of its challenges;
//  3. let one challenge fail, read the authorization, then answer another one.
//
// So give every request a time limit ([CA.HTTPClient] has one), never answer a challenge of an authorization that is not
// pending, never deactivate one whose challenge is "processing", and use one CA for each test package. [CA.Status] reports
// a lock-up as an error. The fakeca package can act out all three.
//
// # The environment
//
// Pebble reads PEBBLE_VA_NOSLEEP, PEBBLE_VA_SLEEPTIME, PEBBLE_VA_ALWAYS_VALID, PEBBLE_WFE_NONCEREJECT and
// PEBBLE_AUTHZREUSE when its parts are made, never later. [Start] sets them from [Config] for that moment and puts them back;
// calls of Start wait for each other. A child process started by another goroutine in that moment inherits them, which
// matters only if it is a Pebble, too.
//
// Pebble's validation authority has a goroutine that nothing can end (va.VAImpl.processTasks): one for each CA stays until
// the process ends. Tests that look for leaked goroutines must ignore it.
package pebbleca

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/letsencrypt/challtestsrv"
	"github.com/letsencrypt/pebble/v2/ca"
	"github.com/letsencrypt/pebble/v2/core"
	"github.com/letsencrypt/pebble/v2/db"
	"github.com/letsencrypt/pebble/v2/va"
	"github.com/letsencrypt/pebble/v2/wfe"
)

// requestTimeout bounds each request of [CA.HTTPClient]; lockTimeout bounds the wait for Pebble's database.
const (
	requestTimeout = 15 * time.Second
	lockTimeout    = 2 * time.Second
)

// The paths of Pebble's resources, up to the id. Pebble does not export them.
const (
	authorizationPath = "/authZ/"
	accountPath       = "/my-account/"
	newOrderPath      = "/order-plz"
)

// Config says how Pebble runs. The zero value is Pebble as its users start it, without its randomness: no good nonce is
// refused, no authorization is re-used, and validations begin at once.
type Config struct {
	// Strict refuses what Pebble's -strict refuses, for example ACME v1 members in a deactivation.
	Strict bool
	// BadNoncePercent of the good nonces are refused with badNonce, at random. Pebble's own default is 5.
	BadNoncePercent int
	// ReusePercent is how often a valid authorization is used for a new order. Pebble's own default is 50.
	ReusePercent int
	// Sleep makes each validation wait for a random time of less than this many seconds, 0 for none. Pebble's own default is 5.
	Sleep int
	// AlwaysValid makes every validation succeed without looking.
	AlwaysValid bool
	// RetryAfter is the value in seconds sent with an authorization under validation; 0 is 3, as in Pebble's configuration.
	RetryAfter int
	// HTTPPort and TLSPort are where http-01 and tls-alpn-01 are validated, on 127.0.0.1. If 0, the CA takes a free port and
	// listens there itself: see [CA.Challenges].
	HTTPPort, TLSPort int
	// Log gets what Pebble has to say, which is much; nil discards it.
	Log *log.Logger
}

// A CA is a running Pebble. It is safe for concurrent use. End it with Close.
type CA struct {
	base     string // origin
	address  string // of the listener
	root     *root
	store    *db.MemoryStore
	answers  *answers
	server   *http.Server
	finished chan struct{} // closed when server is done
	client   *http.Client
}

// Start runs Pebble until Close is called.
func Start(config Config) (*CA, error) {
	logger := cmp.Or(config.Log, log.New(io.Discard, "", 0))
	root, err := newRoot()
	if err != nil {
		return nil, fmt.Errorf("pebbleca: making the server's certificate: %w", err)
	}
	answers, err := startAnswers(config, logger)
	if err != nil {
		return nil, fmt.Errorf("pebbleca: starting to answer challenges: %w", err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, errors.Join(fmt.Errorf("pebbleca: %w", err), answers.close())
	}
	store := db.NewMemoryStore()
	c := &CA{
		base:     "https://localhost:" + strconv.Itoa(listener.Addr().(*net.TCPAddr).Port),
		address:  listener.Addr().String(),
		root:     root,
		store:    store,
		answers:  answers,
		finished: make(chan struct{}),
		server: &http.Server{
			Handler:           onlyLoopback(newPebble(config, store, answers, logger)),
			TLSConfig:         &tls.Config{Certificates: []tls.Certificate{root.server}, MinVersion: tls.VersionTLS12},
			ReadHeaderTimeout: requestTimeout,
			ErrorLog:          logger,
		},
	}
	c.client = c.newClient()
	go func() {
		defer close(c.finished)
		_ = c.server.ServeTLS(listener, "", "") // until Close
	}()
	return c, nil
}

// environment is held while Pebble's parts read the process's environment.
var environment sync.Mutex

// newPebble makes Pebble's parts as its command does.
func newPebble(config Config, store *db.MemoryStore, answers *answers, logger *log.Logger) http.Handler {
	environment.Lock()
	defer environment.Unlock()
	defer setenv(map[string]string{
		"PEBBLE_WFE_NONCEREJECT": strconv.Itoa(config.BadNoncePercent),
		"PEBBLE_AUTHZREUSE":      strconv.Itoa(config.ReusePercent),
		"PEBBLE_VA_NOSLEEP":      strconv.FormatBool(config.Sleep <= 0),
		"PEBBLE_VA_SLEEPTIME":    strconv.Itoa(config.Sleep),
		"PEBBLE_VA_ALWAYS_VALID": strconv.FormatBool(config.AlwaysValid),
	})()
	profiles := map[string]ca.Profile{"default": {Description: "The default profile"}}
	issuer := ca.New(logger, store, "", "ecdsa", 0, 1, profiles)
	validation := va.New(logger, answers.httpPort, answers.tlsPort, config.Strict, answers.dns, store)
	frontEnd := wfe.New(logger, store, validation, issuer, []string{"pebble.letsencrypt.org"}, config.Strict, false,
		cmp.Or(config.RetryAfter, 3), cmp.Or(config.RetryAfter, 3))
	return frontEnd.Handler()
}

// setenv sets environment variables and returns a function that puts them back.
func setenv(values map[string]string) (restore func()) {
	old := map[string]string{}
	for name, value := range values {
		if was, ok := os.LookupEnv(name); ok {
			old[name] = was
		}
		_ = os.Setenv(name, value) // fails for impossible names only
	}
	return func() {
		for name := range values {
			if was, ok := old[name]; ok {
				_ = os.Setenv(name, was)
			} else {
				_ = os.Unsetenv(name)
			}
		}
	}
}

// newClient makes the client of HTTPClient.
func (c *CA) newClient() *http.Client {
	pool := x509.NewCertPool()
	pool.AddCert(c.root.certificate)
	dialer := &net.Dialer{Timeout: requestTimeout}
	return &http.Client{
		Timeout: requestTimeout,
		Transport: &http.Transport{
			TLSClientConfig:     &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12},
			ForceAttemptHTTP2:   true,
			MaxIdleConnsPerHost: 64,
			DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
				if "https://"+address == c.base {
					address = c.address // whatever this machine makes of "localhost"
				}
				return dialer.DialContext(ctx, network, address)
			},
		},
	}
}

// Close ends the CA. Requests that Pebble does not answer are cut off.
func (c *CA) Close() error {
	c.client.CloseIdleConnections()
	err := c.server.Close()
	<-c.finished
	return errors.Join(err, c.answers.close())
}

// DirectoryURL is the URL of the directory (RFC 8555, section 7.1.1), https://localhost:<port>/dir.
func (c *CA) DirectoryURL() string { return c.base + wfe.DirectoryPath }

// HTTPClient trusts the CA's root and gives up on a request after 15 seconds.
func (c *CA) HTTPClient() *http.Client { return c.client }

// RootPEM is the certificate of the root that vouches for the server (not of the one that Pebble issues from), for programs
// that are given a file of trusted roots.
func (c *CA) RootPEM() []byte { return c.root.pem }

// Challenges answers challenges on Pebble's behalf: give it tokens for http-01, TXT records (names with a dot at the end) for
// dns-01, key authorizations for tls-alpn-01. Its http-01 and tls-alpn-01 work on the ports that [Config] leaves to the CA;
// dns-01 always works. It must not be run or shut down.
func (c *CA) Challenges() *challtestsrv.ChallSrv { return c.answers.store }

// HTTPPort is where http-01 is validated, TLSPort where tls-alpn-01 is.
func (c *CA) HTTPPort() int { return c.answers.httpPort }

// TLSPort is where tls-alpn-01 is validated.
func (c *CA) TLSPort() int { return c.answers.tlsPort }

// ErrLockedUp says that Pebble does not let go of a lock, and will not: see the package's documentation.
var ErrLockedUp = errors.New("pebbleca: Pebble is locked up")

// ErrUnknown says that Pebble's database has no such resource.
var ErrUnknown = errors.New("pebbleca: not in Pebble's database")

// Status is the status of the authorization at a URL in Pebble's own database, as written there: one past its expiry may
// still be "pending". The error is [ErrUnknown] or [ErrLockedUp].
func (c *CA) Status(authorizationURL string) (string, error) {
	id, err := c.id(authorizationURL, authorizationPath)
	if err != nil {
		return "", err
	}
	return bounded(func() (string, error) {
		a := c.store.GetAuthorizationByID(id)
		if a == nil {
			return "", fmt.Errorf("%w: %s", ErrUnknown, authorizationURL)
		}
		return status(a), nil
	})
}

// Statuses is the status of every authorization of an account, by URL, as [CA.Status] reports them. It is empty for an
// account without orders.
func (c *CA) Statuses(accountURL string) (map[string]string, error) {
	id, err := c.id(accountURL, accountPath)
	if err != nil {
		return nil, err
	}
	return bounded(func() (map[string]string, error) {
		statuses := map[string]string{}
		for _, order := range c.store.GetOrdersByAccountID(id) {
			for _, a := range order.AuthorizationObjects {
				statuses[a.URL] = status(a)
			}
		}
		return statuses, nil
	})
}

// status reads a status under its lock.
func status(a *core.Authorization) string {
	a.RLock()
	defer a.RUnlock()
	return a.Status
}

// bounded asks Pebble's database, and gives up when it does not answer. The goroutine of a question given up is lost, as
// are all others that wait for the same lock.
func bounded[T any](ask func() (T, error)) (T, error) {
	type answer struct {
		value T
		err   error
	}
	answers := make(chan answer, 1)
	go func() {
		value, err := ask()
		answers <- answer{value, err}
	}()
	select {
	case got := <-answers:
		return got.value, got.err
	case <-time.After(lockTimeout):
		var none T
		return none, ErrLockedUp
	}
}

// id takes a resource's id out of its URL.
func (c *CA) id(resource, path string) (string, error) {
	u, err := url.Parse(resource)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrUnknown, err)
	}
	id, ok := strings.CutPrefix(u.Path, path)
	if !ok || u.Scheme+"://"+u.Host != c.base {
		return "", fmt.Errorf("%w: %s", ErrUnknown, resource)
	}
	return id, nil
}
