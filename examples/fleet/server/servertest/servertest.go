// Package servertest runs NATS servers inside a test: one, or a cluster of three, on loopback with free ports and
// directories of the test's own. They can be stopped and started again, and the way to them can be cut.
package servertest

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/acmeauthz/acmeauthz/examples/fleet/server"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
)

// startTimeout bounds the start of a server, and of what is set up there. It is long: machines that test are busy.
const startTimeout = time.Minute

// A Node is a server that can be stopped and started again, at the same address and with the same store. Its methods
// fail the test if they cannot do what they say. They are not safe for concurrent use.
type Node struct {
	t      testing.TB
	config server.Options
	server *server.Server // nil while it is stopped
}

// Start starts one server with the streams and buckets of a fleet. It ends with the test.
func Start(t testing.TB) *Node {
	t.Helper()
	n := Bare(t, server.Options{})
	n.Setup(server.Settings{MaxBytes: 1 << 30})
	return n
}

// Bare starts one server and sets nothing up. What config does not say is the test's own: the store, and a free port.
func Bare(t testing.TB, config server.Options) *Node {
	t.Helper()
	if config.StoreDir == "" {
		config.StoreDir = t.TempDir()
	}
	if config.Listen == "" {
		config.Listen = Addresses(t, 1)[0]
	}
	if config.ConfigFile == "" {
		config.NoSync = true
	}
	n := &Node{t: t, config: config}
	n.Start()
	t.Cleanup(n.Stop)
	return n
}

// Start starts a server that was stopped.
func (n *Node) Start() {
	n.t.Helper()
	require.NoError(n.t, n.start())
}

func (n *Node) start() error {
	if n.server != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	var err error
	n.server, err = server.Start(ctx, n.config)
	return err
}

// Stop ends the server; its store stays. A stopped one stays as it is.
func (n *Node) Stop() {
	if n.server != nil {
		_ = n.server.Close()
		n.server = nil
	}
}

// URL is where it is reached, stopped or not.
func (n *Node) URL() string { return "nats://" + n.config.Listen }

// Server is the running server.
func (n *Node) Server() *server.Server {
	n.t.Helper()
	require.NotNil(n.t, n.server, "the server is stopped")
	return n.server
}

// Setup makes the streams and buckets of a fleet.
func (n *Node) Setup(s server.Settings) {
	n.t.Helper()
	setup(n.t, server.Access{URLs: []string{n.URL()}}, s)
}

// Connect connects to the server, in a way that comes back when it was stopped and started. It ends with the test.
func (n *Node) Connect() *server.Connection {
	n.t.Helper()
	return Connect(n.t, server.Access{URLs: []string{n.URL()}})
}

// JetStream is the JetStream of a new connection.
func (n *Node) JetStream() jetstream.JetStream {
	n.t.Helper()
	return JetStream(n.t, n.Connect())
}

// A Cluster is three servers.
type Cluster struct {
	t     testing.TB
	Nodes []*Node
}

// StartCluster starts three servers with the streams and buckets of a fleet, each with three replicas. It ends with the test.
func StartCluster(t testing.TB) *Cluster {
	t.Helper()
	const size = 3
	addresses := Addresses(t, 2*size)
	routes, listen := addresses[:size], addresses[size:]
	dir := t.TempDir()
	c := &Cluster{t: t}
	for i := range size {
		name := fmt.Sprintf("node%d", i+1)
		file := filepath.Join(dir, name+".conf")
		text := fmt.Sprintf("server_name: %s\ncluster { name: fleet, listen: %q, routes: [%s] }\n", name, routes[i],
			`"nats://`+strings.Join(routes, `", "nats://`)+`"`)
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
		c.Nodes = append(c.Nodes, &Node{t: t, config: server.Options{Listen: listen[i], StoreDir: filepath.Join(dir, name), ConfigFile: file}})
	}
	t.Cleanup(c.Stop)
	c.Start()
	setup(t, server.Access{URLs: c.URLs()}, server.Settings{Replicas: size, MaxBytes: 1 << 30})
	return c
}

// Start starts the servers that are stopped, all at once: one alone has no leader to follow.
func (c *Cluster) Start() {
	c.t.Helper()
	errs := make([]error, len(c.Nodes))
	var all sync.WaitGroup
	for i, n := range c.Nodes {
		all.Go(func() { errs[i] = n.start() })
	}
	all.Wait()
	for _, err := range errs {
		require.NoError(c.t, err)
	}
}

// Stop stops them all.
func (c *Cluster) Stop() {
	var all sync.WaitGroup
	for _, n := range c.Nodes {
		all.Go(n.Stop)
	}
	all.Wait()
}

// URLs are those of all nodes.
func (c *Cluster) URLs() []string {
	urls := make([]string, len(c.Nodes))
	for i, n := range c.Nodes {
		urls[i] = n.URL()
	}
	return urls
}

// Connect connects to any node, and to another when that is gone. It ends with the test.
func (c *Cluster) Connect() *server.Connection {
	c.t.Helper()
	return Connect(c.t, server.Access{URLs: c.URLs()})
}

// Connect connects, and ends the connection with the test.
func Connect(t testing.TB, access server.Access) *server.Connection {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	connection, err := server.Connect(ctx, access)
	require.NoError(t, err)
	t.Cleanup(connection.Close)
	return connection
}

// JetStream is the JetStream of a connection.
func JetStream(t testing.TB, connection *server.Connection) jetstream.JetStream {
	t.Helper()
	js, err := connection.JetStream()
	require.NoError(t, err)
	return js
}

func setup(t testing.TB, access server.Access, s server.Settings) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	connection, err := server.Connect(ctx, access)
	require.NoError(t, err)
	defer connection.Close()
	require.NoError(t, server.Setup(ctx, JetStream(t, connection), s))
}

// Logger is a logger that writes to the test's log.
func Logger(t testing.TB) *slog.Logger {
	return slog.New(slog.NewTextHandler(testWriter{t}, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

type testWriter struct{ t testing.TB }

func (w testWriter) Write(text []byte) (int, error) {
	w.t.Log(strings.TrimSuffix(string(text), "\n"))
	return len(text), nil
}

// Addresses are so many on loopback that nobody listened at a moment ago, no two alike.
func Addresses(t testing.TB, n int) (all []string) {
	t.Helper()
	for range n {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		defer listener.Close()
		all = append(all, listener.Addr().String())
	}
	return all
}

// A Proxy is a way to a server that can be cut. It is safe for concurrent use.
type Proxy struct {
	target   string
	listener net.Listener
	done     sync.WaitGroup

	mu    sync.Mutex
	cut   bool
	stall chan struct{} // not nil while nothing passes, in connections that stay; closed when it does again
	conns map[net.Conn]struct{}
}

// StartProxy starts a proxy to a server's URL. It ends with the test.
func StartProxy(t testing.TB, url string) *Proxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p := &Proxy{target: strings.TrimPrefix(url, "nats://"), listener: listener, conns: make(map[net.Conn]struct{})}
	p.done.Go(p.accept)
	t.Cleanup(func() {
		_ = listener.Close()
		p.Cut()
		p.done.Wait()
	})
	return p
}

// URL is the server's, by way of the proxy.
func (p *Proxy) URL() string { return "nats://" + p.listener.Addr().String() }

// Cut ends all connections, and each new one at once.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut = true
	for c := range p.conns {
		_ = c.Close()
	}
	p.resume()
}

// Stall lets nothing through, without an end of the connections: as a network does that loses packets.
func (p *Proxy) Stall() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stall == nil {
		p.stall = make(chan struct{})
	}
}

// Restore lets through what comes, and what was held back.
func (p *Proxy) Restore() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut = false
	p.resume()
}

func (p *Proxy) resume() {
	if p.stall != nil {
		close(p.stall)
		p.stall = nil
	}
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.done.Go(func() { p.carry(client) })
	}
}

func (p *Proxy) carry(client net.Conn) {
	defer client.Close()
	upstream, err := net.Dial("tcp", p.target)
	if err != nil {
		return
	}
	defer upstream.Close()
	defer p.remove(client, upstream)
	if !p.add(client, upstream) {
		return
	}
	var both sync.WaitGroup
	both.Go(func() { p.copy(upstream, client) })
	both.Go(func() { p.copy(client, upstream) })
	both.Wait()
}

func (p *Proxy) add(conns ...net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range conns {
		p.conns[c] = struct{}{}
	}
	return !p.cut
}

func (p *Proxy) remove(conns ...net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range conns {
		delete(p.conns, c)
	}
}

// copy carries one direction, and ends both when it is over.
func (p *Proxy) copy(to, from net.Conn) {
	defer to.Close()
	defer from.Close()
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		if n > 0 {
			p.wait()
			if _, err := to.Write(buffer[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

func (p *Proxy) wait() {
	p.mu.Lock()
	stall := p.stall
	p.mu.Unlock()
	if stall != nil {
		<-stall
	}
}
