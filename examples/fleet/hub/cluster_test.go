package hub

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/acmeauthz/acmeauthz/examples/fleet/server"
	natsserver "github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
)

// A cluster is one or more servers that end with the test.
type cluster struct {
	t       testing.TB
	servers []*natsserver.Server
	options []*natsserver.Options
}

// startCluster starts a cluster of so many servers, and waits until it has a leader.
func startCluster(t testing.TB, n int) *cluster {
	t.Helper()
	c := &cluster{t: t}
	ports := freePorts(t, 2*n)
	var routes string
	for i := range n {
		routes += fmt.Sprintf(",nats://127.0.0.1:%d", ports[n+i])
	}
	for i := range n {
		o := &natsserver.Options{
			ServerName: fmt.Sprintf("server%d", i), Host: "127.0.0.1", Port: ports[i], JetStream: true, StoreDir: t.TempDir(), NoSigs: true, NoLog: true,
		}
		if n > 1 {
			o.Cluster = natsserver.ClusterOpts{Name: "fleet", Host: "127.0.0.1", Port: ports[n+i]}
			o.Routes = natsserver.RoutesFromStr(routes[1:])
		}
		c.options = append(c.options, o)
		c.servers = append(c.servers, nil)
		c.Restart(i)
	}
	t.Cleanup(func() {
		for i := range c.servers {
			c.Stop(i)
		}
	})
	c.Ready()
	return c
}

// Ready waits until the cluster can make streams.
func (c *cluster) Ready() {
	c.t.Helper()
	require.Eventually(c.t, func() bool {
		for _, s := range c.servers {
			if s != nil && (len(c.servers) == 1 || s.JetStreamIsLeader()) {
				return true
			}
		}
		return false
	}, 30*time.Second, 20*time.Millisecond, "the cluster has no leader")
}

// Stop ends a server, as if its machine was gone; what it has stays on its disk.
func (c *cluster) Stop(i int) {
	if s := c.servers[i]; s != nil {
		s.Shutdown()
		s.WaitForShutdown()
		c.servers[i] = nil
	}
}

// Restart starts a server that was stopped.
func (c *cluster) Restart(i int) {
	c.t.Helper()
	s, err := natsserver.NewServer(c.options[i].Clone())
	require.NoError(c.t, err)
	s.Start()
	require.True(c.t, s.ReadyForConnections(20*time.Second))
	c.servers[i] = s
}

// URLs are those of all servers.
func (c *cluster) URLs() (urls string) {
	for i, o := range c.options {
		if i > 0 {
			urls += ","
		}
		urls += fmt.Sprintf("nats://127.0.0.1:%d", o.Port)
	}
	return urls
}

// Leader is the server that leads a stream, or -1.
func (c *cluster) Leader(stream string) int {
	for i, s := range c.servers {
		if s != nil && s.JetStreamIsStreamLeader(natsserver.DEFAULT_GLOBAL_ACCOUNT, stream) {
			return i
		}
	}
	return -1
}

// Connect returns a connection that ends with the test.
func (c *cluster) Connect() (*server.Connection, jetstream.JetStream) {
	c.t.Helper()
	nc, err := server.Connect(c.t.Context(), server.Access{URLs: strings.Split(c.URLs(), ","), Name: c.t.Name()})
	require.NoError(c.t, err)
	c.t.Cleanup(nc.Close)
	js, err := nc.JetStream()
	require.NoError(c.t, err)
	return nc, js
}

// Setup makes the streams and buckets of a fleet, replicated on all servers.
func (c *cluster) Setup(s server.Settings) jetstream.JetStream {
	c.t.Helper()
	_, js := c.Connect()
	s.Replicas = len(c.servers)
	require.Eventually(c.t, func() bool { // a young cluster may refuse
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		err := server.Setup(ctx, js, s)
		if err != nil {
			c.t.Log(err)
		}
		return err == nil
	}, time.Minute, 100*time.Millisecond)
	return js
}

func freePorts(t testing.TB, n int) (ports []int) {
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		defer l.Close()
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports
}
