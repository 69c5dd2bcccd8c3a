package server_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/acmeauthz/acmeauthz/examples/fleet/server"
	"github.com/acmeauthz/acmeauthz/examples/fleet/server/servertest"
	"github.com/acmeauthz/acmeauthz/examples/fleet/wire"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
)

func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

// TestStartRefuses holds what Start says of what cannot work.
func TestStartRefuses(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	for name, test := range map[string]struct {
		options server.Options
		message string
	}{
		"no store":        {server.Options{Listen: "127.0.0.1:0"}, "the server needs a directory for what it stores"},
		"open to all":     {server.Options{Listen: "0.0.0.0:0", StoreDir: "x"}, "everybody who reaches 0.0.0.0:0 could read and write everything"},
		"open by name":    {server.Options{Listen: "example.org:4222", StoreDir: "x"}, "everybody who reaches example.org:4222"},
		"no port":         {server.Options{Listen: "127.0.0.1", StoreDir: "x"}, `"127.0.0.1" is no address for a server, such as 127.0.0.1:4222`},
		"a word for port": {server.Options{Listen: "127.0.0.1:nats", StoreDir: "x"}, `"127.0.0.1:nats" is no address`},
		"no such file":    {server.Options{ConfigFile: "missing.conf"}, "the server's configuration missing.conf is not accepted"},
		"a bad file":      {server.Options{ConfigFile: write(t, "bad.conf", "no_such_thing: 1\n")}, "no_such_thing"},
		"port taken":      {server.Options{Listen: taken.Addr().String()}, "the NATS server cannot start: Error listening on port"},
	} {
		t.Run(name, func(t *testing.T) {
			if test.options.StoreDir == "x" || test.options.Listen == taken.Addr().String() || test.options.ConfigFile != "" {
				test.options.StoreDir = t.TempDir()
			}
			s, err := server.Start(t.Context(), test.options)
			if s != nil {
				s.Close()
			}
			require.ErrorContains(t, err, test.message)
		})
	}
}

// TestStart starts a server twice over the same store: what was acknowledged is there.
func TestStart(t *testing.T) {
	node := servertest.Start(t)
	publisher, err := node.Connect().Publisher()
	require.NoError(t, err)
	require.NoError(t, publisher.Publish(t.Context(), wire.ShardSubject("web01"), "one", []byte("shard")))
	node.Stop()
	node.Start()
	js := node.JetStream()
	stream, err := js.Stream(t.Context(), wire.ShardStream)
	require.NoError(t, err)
	require.EqualValues(t, 1, stream.CachedInfo().State.Msgs)
	info, err := os.Stat(filepath.Join(node.Server().NATS().StoreDir()))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o700), info.Mode().Perm()&0o700)
}

// TestReload takes permissions over while it runs.
func TestReload(t *testing.T) {
	file := write(t, "fleet.conf", "authorization { users: [ { user: a, password: first } ] }\n")
	node := servertest.Bare(t, server.Options{ConfigFile: file})
	as := func(password string) error {
		url := "nats://a:" + password + "@" + node.Server().NATS().Addr().String()
		c, err := server.Connect(t.Context(), server.Access{URLs: []string{url}})
		if err == nil {
			c.Close()
		} else {
			require.NotContains(t, err.Error(), password)
		}
		return err
	}
	require.NoError(t, as("first"))
	require.ErrorContains(t, as("second"), "Authorization Violation")
	require.NoError(t, os.WriteFile(file, []byte("authorization { users: [ { user: a, password: second } ] }\n"), 0o600))
	require.NoError(t, node.Server().Reload())
	require.NoError(t, as("second"))
	require.ErrorContains(t, as("first"), "Authorization Violation")
	require.ErrorContains(t, servertest.Bare(t, server.Options{}).Server().Reload(), "no configuration file")
}

// TestCluster loses a server, and all of them in turn, and nothing that was acknowledged.
func TestCluster(t *testing.T) {
	cluster := servertest.StartCluster(t)
	publisher, err := cluster.Connect().Publisher()
	require.NoError(t, err)
	publish := func(id string) {
		t.Helper()
		require.Eventually(t, func() bool {
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			return publisher.Publish(ctx, wire.ShardSubject("web01"), id, []byte(id)) == nil
		}, time.Minute, 50*time.Millisecond)
	}
	publish("0")
	for i, node := range cluster.Nodes {
		node.Stop()
		publish(string(rune('1' + i)))
		node.Start()
	}
	js := servertest.JetStream(t, cluster.Connect())
	require.Eventually(t, func() bool {
		stream, err := js.Stream(t.Context(), wire.ShardStream)
		return err == nil && stream.CachedInfo().State.Msgs == 4 && stream.CachedInfo().Config.Replicas == 3
	}, time.Minute, 50*time.Millisecond)
	require.Eventually(t, func() bool { return server.Verify(t.Context(), js) == nil }, time.Minute, 50*time.Millisecond)
}

// TestProxy cuts the way to the server, lets it stall, and gives it back.
func TestProxy(t *testing.T) {
	node := servertest.Start(t)
	proxy := servertest.StartProxy(t, node.URL())
	publisher, err := servertest.Connect(t, server.Access{URLs: []string{proxy.URL()}}).Publisher()
	require.NoError(t, err)
	publish := func(id string) error {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		return publisher.Publish(ctx, wire.ShardSubject("web01"), id, []byte(id))
	}
	require.NoError(t, publish("1"))
	proxy.Cut()
	require.Error(t, publish("2"))
	proxy.Restore()
	require.Eventually(t, func() bool { return publish("2") == nil }, 30*time.Second, 10*time.Millisecond)

	proxy.Stall()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, publisher.Publish(ctx, wire.ShardSubject("web01"), "3", []byte("3")), context.DeadlineExceeded)
	proxy.Restore()
	require.Eventually(t, func() bool { return publish("3") == nil }, 30*time.Second, 10*time.Millisecond)

	stream, err := node.JetStream().Stream(t.Context(), wire.ShardStream)
	require.NoError(t, err)
	require.EqualValues(t, 3, stream.CachedInfo().State.Msgs)
}

// TestPatient connects before there is a server, and says so.
func TestPatient(t *testing.T) {
	node := servertest.Start(t)
	node.Stop()
	_, err := server.Connect(t.Context(), server.Access{URLs: []string{node.URL()}})
	require.ErrorContains(t, err, "no connection to NATS at "+node.URL())
	var log bytes.Buffer
	c := servertest.Connect(t, server.Access{URLs: []string{node.URL()}, Patient: true, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	publisher, err := c.Publisher()
	require.NoError(t, err)
	err = publisher.Publish(t.Context(), wire.ShardSubject("web01"), "1", nil)
	require.ErrorIs(t, err, server.ErrUnavailable)
	node.Start()
	require.Eventually(t, func() bool { return publisher.Publish(t.Context(), wire.ShardSubject("web01"), "1", nil) == nil },
		time.Minute, 50*time.Millisecond)
	c.Close()
	require.Contains(t, log.String(), "connected to NATS")
}

// TestInProcess reaches a server without the network.
func TestInProcess(t *testing.T) {
	node := servertest.Start(t)
	c := servertest.Connect(t, server.Access{Server: node.Server(), URLs: []string{"nats://127.0.0.1:1"}})
	publisher, err := c.Publisher()
	require.NoError(t, err)
	require.NoError(t, publisher.Publish(t.Context(), wire.ShardSubject("web01"), "1", []byte("1")))
}

// TestPublish tells apart why a message is not taken.
func TestPublish(t *testing.T) {
	node := servertest.Start(t)
	node.Setup(server.Settings{HostShards: 2, Shrink: true})
	publisher, err := node.Connect().Publisher()
	require.NoError(t, err)
	publish := func(host, id string, size int) error {
		return publisher.Publish(t.Context(), wire.ShardSubject(host), id, make([]byte, size))
	}
	require.NoError(t, publish("web01", "1", 1))
	require.NoError(t, publish("web01", "2", wire.MaxMessage))
	require.NoError(t, publish("web01", "1", 1), "a message that is there is acknowledged again, full or not")
	for name, test := range map[string]struct {
		err       error
		reason    error
		permanent bool
	}{
		"this host's share is full":     {publish("web01", "3", 1), server.ErrFull, false},
		"too large for the stream":      {publish("web02", "1", wire.MaxMessage+5<<10), server.ErrTooLarge, true},
		"too large for the server":      {publish("web02", "2", 2<<20), server.ErrTooLarge, true},
		"no stream has such a subject":  {publisher.Publish(t.Context(), "elsewhere", "1", nil), server.ErrUnavailable, false},
		"a subject that cannot be":      {publisher.Publish(t.Context(), "a b", "1", nil), server.ErrRefused, true},
		"one that the stream never has": {publisher.Publish(t.Context(), "acmeauthz.shards.a.b", "1", nil), server.ErrUnavailable, false},
	} {
		t.Run(name, func(t *testing.T) {
			require.ErrorIs(t, test.err, test.reason)
			failed, ok := errors.AsType[*server.PublishError](test.err)
			require.True(t, ok)
			require.Equal(t, test.permanent, failed.Permanent())
		})
	}
	require.NoError(t, publish("web02", "3", 1), "the others go on")

	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("the agent ends"))
	require.EqualError(t, publisher.Publish(ctx, wire.ShardSubject("web02"), "4", nil), "the agent ends")
}

// TestSetup changes what it is told to, and nothing else.
func TestSetup(t *testing.T) {
	node := servertest.Bare(t, server.Options{})
	js := node.JetStream()
	ctx := t.Context()
	require.ErrorIs(t, server.Verify(ctx, js), jetstream.ErrStreamNotFound)
	require.NoError(t, server.Setup(ctx, js, server.Settings{MaxBytes: 1 << 30}))
	require.NoError(t, server.Verify(ctx, js))
	config := func(name string) jetstream.StreamConfig {
		t.Helper()
		stream, err := js.Stream(ctx, name)
		require.NoError(t, err)
		return stream.CachedInfo().Config
	}

	require.Equal(t, jetstream.WorkQueuePolicy, config(wire.ShardStream).Retention)
	require.EqualValues(t, 64, config(wire.ShardStream).MaxMsgsPerSubject)
	require.EqualValues(t, 256<<20, config(wire.ShardStream).MaxBytes)
	require.Equal(t, 30*time.Second, config("KV_"+wire.HubBucket).MaxAge)
	require.Zero(t, config("KV_"+wire.AccountBucket).MaxAge, "a fence must not end")
	var reserved int64
	for _, name := range []string{wire.ShardStream, wire.AccountStream, wire.ResultStream, "KV_" + wire.HostBucket, "KV_" + wire.HubBucket,
		"KV_" + wire.AccountBucket, "OBJ_" + wire.HistoryStore} {
		require.Positive(t, config(name).MaxBytes)
		reserved += config(name).MaxBytes
	}
	require.LessOrEqual(t, reserved, int64(1<<30))

	// An operator's own choices stay, also where somebody sets up without any.
	changed := config(wire.ShardStream)
	changed.MaxMsgsPerSubject, changed.Description, changed.Compression = 100, "ours", jetstream.S2Compression
	_, err := js.UpdateStream(ctx, changed)
	require.NoError(t, err)
	require.NoError(t, server.Setup(ctx, js, server.Settings{}))
	require.EqualValues(t, 100, config(wire.ShardStream).MaxMsgsPerSubject)
	require.Equal(t, "ours", config(wire.ShardStream).Description)
	require.Equal(t, jetstream.S2Compression, config(wire.ShardStream).Compression)
	require.NoError(t, server.Setup(ctx, js, server.Settings{HostShards: 200, ResultAge: time.Hour, HubAge: time.Minute}))
	require.EqualValues(t, 200, config(wire.ShardStream).MaxMsgsPerSubject)
	require.Equal(t, time.Hour, config(wire.ResultStream).MaxAge)
	require.Equal(t, time.Minute, config("KV_"+wire.HubBucket).MaxAge)

	// What would make messages go is not done unless it is asked for.
	_, err = js.Publish(ctx, wire.ShardSubject("web01"), []byte("shard"))
	require.NoError(t, err)
	err = server.Setup(ctx, js, server.Settings{HostShards: 1})
	require.EqualError(t, err, "stream ACMEAUTHZ_SHARDS has max_msgs_per_subject 200, and should have 1: some of its 1 messages could go; ask for that with --shrink")
	require.EqualValues(t, 200, config(wire.ShardStream).MaxMsgsPerSubject)
	require.NoError(t, server.Setup(ctx, js, server.Settings{HostShards: 1, Shrink: true}))
	require.EqualValues(t, 1, config(wire.ShardStream).MaxMsgsPerSubject)

	// What an attacker could use is taken back: see bucket.
	rolling := config("KV_" + wire.HostBucket)
	rolling.AllowRollup = true
	_, err = js.UpdateStream(ctx, rolling)
	require.NoError(t, err)
	require.EqualError(t, server.Verify(ctx, js),
		"stream KV_acmeauthz-hosts has allow_rollup_hdrs true, and should have false: somebody who has the right must set it up")
	require.NoError(t, server.Setup(ctx, js, server.Settings{}))
	require.False(t, config("KV_"+wire.HostBucket).AllowRollup)

	require.ErrorContains(t, server.Setup(ctx, js, server.Settings{Replicas: 6}), "replicas are 1 to 5")
	require.ErrorContains(t, server.Setup(ctx, js, server.Settings{HubAge: -1}), "never negative")
}

// TestSetupCannot says what only an operator can do, and does the rest.
func TestSetupCannot(t *testing.T) {
	node := servertest.Bare(t, server.Options{})
	js := node.JetStream()
	_, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: wire.ShardStream, Subjects: []string{wire.ShardSubject("*")}, Storage: jetstream.FileStorage})
	require.NoError(t, err)
	err = server.Setup(t.Context(), js, server.Settings{MaxBytes: 1 << 30})
	require.ErrorContains(t, err, "stream ACMEAUTHZ_SHARDS has retention Limits, and should have WorkQueue: the server cannot change that")
	_, err = js.Stream(t.Context(), wire.AccountStream)
	require.NoError(t, err)

	err = server.Setup(t.Context(), js, server.Settings{MaxBytes: 1 << 60})
	require.ErrorContains(t, err, "--max-bytes")
	require.ErrorContains(t, server.Setup(t.Context(), js, server.Settings{Replicas: 3}), "replicas > 1 not supported in non-clustered mode")
}

// TestSetupTogether sets up from several places at once.
func TestSetupTogether(t *testing.T) {
	node := servertest.Bare(t, server.Options{})
	errs := make(chan error)
	for range 5 {
		js := node.JetStream()
		go func() { errs <- server.Setup(t.Context(), js, server.Settings{MaxBytes: 1 << 30}) }()
	}
	for range 5 {
		require.NoError(t, <-errs)
	}
}

// A lossy loses requests, as a cluster does that has no leader.
type lossy struct {
	jetstream.JetStream
	looks, creations int // that are lost
	unknown          int // looks at a stream that is there, and is not found
}

func (l *lossy) Stream(ctx context.Context, name string) (jetstream.Stream, error) {
	if l.looks > 0 {
		l.looks--
		<-ctx.Done()
		return nil, ctx.Err()
	}
	stream, err := l.JetStream.Stream(ctx, name)
	if err == nil && l.unknown > 0 {
		l.unknown--
		return nil, jetstream.ErrStreamNotFound
	}
	return stream, err
}

func (l *lossy) CreateStream(ctx context.Context, config jetstream.StreamConfig) (jetstream.Stream, error) {
	if l.creations > 0 {
		l.creations--
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return l.JetStream.CreateStream(ctx, config)
}

// TestSetupUnanswered loses requests: they are made again, and not for ever.
func TestSetupUnanswered(t *testing.T) {
	t.Parallel()
	js := servertest.Bare(t, server.Options{}).JetStream()
	require.NoError(t, server.Setup(t.Context(), &lossy{JetStream: js, looks: 1, creations: 1}, server.Settings{MaxBytes: 1 << 30}))
	require.NoError(t, server.Verify(t.Context(), js))

	synctest.Test(t, func(t *testing.T) {
		begin, silent := time.Now(), &lossy{looks: 1000}
		err := server.Verify(t.Context(), silent)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.True(t, server.Temporary(err))
		require.Equal(t, 1000-6, silent.looks, "asked six times")
		require.Equal(t, 6*5*time.Second+5*200*time.Millisecond, time.Since(begin))
	})
}

// TestSetupUnknown looks at a stream where nobody knows of it yet.
func TestSetupUnknown(t *testing.T) {
	js := servertest.Bare(t, server.Options{}).JetStream()
	require.NoError(t, server.Setup(t.Context(), &lossy{JetStream: js, unknown: 3}, server.Settings{MaxBytes: 1 << 30}))
	require.NoError(t, server.Verify(t.Context(), js))

	err := server.Setup(t.Context(), &lossy{JetStream: js, unknown: 20}, server.Settings{MaxBytes: 1 << 30})
	require.ErrorIs(t, err, jetstream.ErrStreamNotFound)
	require.True(t, server.Temporary(err))
	require.True(t, server.Temporary(fmt.Errorf("a hub: %w", jetstream.ErrBucketNotFound)))
	require.False(t, server.Temporary(errors.Join(err, &server.MismatchError{})))
}

// TestBuckets uses the buckets as jetstream does.
func TestBuckets(t *testing.T) {
	js := servertest.Start(t).JetStream()
	ctx := t.Context()
	for _, name := range []string{wire.HostBucket, wire.HubBucket, wire.AccountBucket} {
		kv, err := js.KeyValue(ctx, name)
		require.NoError(t, err)
		revision, err := kv.Put(ctx, "a.b", []byte("1"))
		require.NoError(t, err)
		_, err = kv.Update(ctx, "a.b", []byte("2"), revision)
		require.NoError(t, err)
		_, err = kv.Update(ctx, "a.b", []byte("3"), revision)
		require.Error(t, err)
		require.NoError(t, kv.Delete(ctx, "a.b"))
		_, err = kv.Get(ctx, "a.b")
		require.ErrorIs(t, err, jetstream.ErrKeyNotFound)
		_, err = kv.Put(ctx, "large", make([]byte, wire.MaxState))
		require.NoError(t, err)
		_, err = kv.Put(ctx, "too-large", make([]byte, wire.MaxState+8<<10))
		require.ErrorContains(t, err, "message size exceeds maximum allowed")
	}
	objects, err := js.ObjectStore(ctx, wire.HistoryStore)
	require.NoError(t, err)
	_, err = objects.PutBytes(ctx, "snapshot", bytes.Repeat([]byte("history"), 1<<20))
	require.NoError(t, err)
	back, err := objects.GetBytes(ctx, "snapshot")
	require.NoError(t, err)
	require.Len(t, back, 7<<20)
	require.NoError(t, objects.Delete(ctx, "snapshot"))
}

// TestRedacted hides what lets others in.
func TestRedacted(t *testing.T) {
	require.Equal(t, "nats://xxxxx@h:1, tls://xxxxx@g, nats://f:2, (no URL)",
		server.Redacted("nats://user:pass@h:1,tls://token@g", "nats://f:2", "nats://a:b@[::1"))
}
