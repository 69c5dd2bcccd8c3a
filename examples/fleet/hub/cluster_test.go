package hub

import (
	"testing"

	"github.com/acmeauthz/acmeauthz/examples/fleet/server"
	"github.com/acmeauthz/acmeauthz/examples/fleet/server/servertest"
	natsserver "github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
)

// A cluster is one or three servers that end with the test.
type cluster struct {
	t     testing.TB
	nodes []*servertest.Node
	urls  []string
}

// startCluster starts so many servers: one, or three.
func startCluster(t testing.TB, n int) *cluster {
	t.Helper()
	if n == 1 {
		node := servertest.Bare(t, server.Options{})
		return &cluster{t, []*servertest.Node{node}, []string{node.URL()}}
	}
	c := servertest.StartCluster(t)
	require.Len(t, c.Nodes, n)
	return &cluster{t, c.Nodes, c.URLs()}
}

// Stop stops a server; what it has stays on its disk.
func (c *cluster) Stop(i int) { c.nodes[i].Stop() }

// Leader is the server that leads a stream, or -1.
func (c *cluster) Leader(stream string) int {
	for i, n := range c.nodes {
		if n.Server().NATS().JetStreamIsStreamLeader(natsserver.DEFAULT_GLOBAL_ACCOUNT, stream) {
			return i
		}
	}
	return -1
}

// Connect returns a connection that ends with the test.
func (c *cluster) Connect() (*server.Connection, jetstream.JetStream) {
	c.t.Helper()
	connection := servertest.Connect(c.t, server.Access{URLs: c.urls, Name: c.t.Name()})
	return connection, servertest.JetStream(c.t, connection)
}

// Setup makes the streams and buckets of a fleet, replicated on all servers.
func (c *cluster) Setup(s server.Settings) jetstream.JetStream {
	c.t.Helper()
	_, js := c.Connect()
	s.Replicas, s.MaxBytes = len(c.nodes), 1<<30
	require.NoError(c.t, server.Setup(c.t.Context(), js, s))
	return js
}
