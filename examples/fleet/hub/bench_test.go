package hub

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/acmeauthz/acmeauthz/account"
	"github.com/acmeauthz/acmeauthz/examples/fleet/server"
	"github.com/acmeauthz/acmeauthz/examples/fleet/wire"
	"github.com/acmeauthz/acmeauthz/internal/fakeca"
	"github.com/acmeauthz/acmeauthz/logparse"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/acme"
)

// synced starts a server that syncs before it acknowledges, as the program's does, with the streams of a fleet.
func synced(b *testing.B) jetstream.JetStream {
	b.Helper()
	s, err := server.Start(b.Context(), server.Options{StoreDir: b.TempDir(), Listen: "127.0.0.1:0"})
	require.NoError(b, err)
	b.Cleanup(func() { _ = s.Close() })
	c, err := server.Connect(b.Context(), server.Access{URLs: []string{s.URL()}})
	require.NoError(b, err)
	b.Cleanup(c.Close)
	js, err := c.JetStream()
	require.NoError(b, err)
	require.NoError(b, server.Setup(b.Context(), js, server.Settings{MaxBytes: 1 << 30}))
	return js
}

// BenchmarkHeartbeat is what one key of a bucket costs, written by many at once: a heartbeat, or a lease.
func BenchmarkHeartbeat(b *testing.B) {
	js := synced(b)
	data, err := json.Marshal(wire.Heartbeat{Schema: wire.HeartbeatSchema, Host: "web01", Seen: time.Now()})
	require.NoError(b, err)
	b.ResetTimer()
	b.SetParallelism(16)
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			if _, err := js.PublishMsg(b.Context(), &nats.Msg{Subject: wire.HostSubject("web01"), Data: data}); err != nil {
				b.Error(err)
			}
		}
	})
}

// BenchmarkSettle has one hub settle 4,000 authorizations of one account, at a CA that answers after 20 ms and has no limits.
func BenchmarkSettle(b *testing.B) {
	const n = 4000
	for b.Loop() {
		b.StopTimer()
		js := synced(b)
		ca := fakeca.New(fakeca.Config{Latency: 20 * time.Millisecond, SkipSignature: true, NoLog: true})
		c := ca.NewAccount()
		owner := &account.Account{Key: c.Key, URL: string(c.KID), Directory: c.DirectoryURL}
		var h logparse.History
		for i := range n {
			name := fmt.Sprintf("n%d.example.org", i)
			url := ca.Add(fakeca.Authorization{Identifier: name, Owner: acme.KeyID(owner.URL), Expires: time.Now().Add(100 * time.Hour)})
			h.Add(seen("web01", owner.URL, url, name, int64(i+1)))
		}
		require.NoError(b, publishHistory(b.Context(), js, owner.URL, &h))
		kv, err := js.KeyValue(b.Context(), wire.AccountBucket)
		require.NoError(b, err)
		lease, err := json.Marshal(wire.Lease{Account: owner.URL})
		require.NoError(b, err)
		_, err = kv.Create(b.Context(), wire.LeaseKey(wire.AccountToken(owner.URL)), lease)
		require.NoError(b, err)
		hub, err := New(b.Context(), js, Config{
			Name: "hub1", Accounts: []*account.Account{owner}, Apply: true, Transport: ca.Transport(), KeepYounger: -1, LeaseLife: 3 * time.Second,
			SaveEvery: time.Second, Policies: []Policy{{Policy: Deactivate}}, Parallelism: 64,
		})
		require.NoError(b, err)
		ctx, cancel := context.WithCancel(b.Context())
		var group sync.WaitGroup
		group.Go(func() { _ = hub.Run(ctx) })
		for ca.Count(fakeca.Deactivate) == 0 {
			time.Sleep(time.Millisecond)
		}
		b.StartTimer()
		began := time.Now()
		for ca.Count(fakeca.Deactivate) < n {
			time.Sleep(time.Millisecond)
		}
		b.ReportMetric(n/time.Since(began).Seconds(), "authorizations/s")
		b.StopTimer()
		cancel()
		group.Wait()
		b.StartTimer()
	}
}
