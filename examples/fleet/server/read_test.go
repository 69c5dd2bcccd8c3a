package server_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand"
	"testing"
	"time"

	"github.com/acmeauthz/acmeauthz/examples/fleet/server"
	"github.com/acmeauthz/acmeauthz/examples/fleet/server/servertest"
	"github.com/acmeauthz/acmeauthz/examples/fleet/wire"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
)

// TestValues reads more keys than one batch has, with one that is deleted and one that is overwritten.
func TestValues(t *testing.T) {
	c := servertest.Start(t).Connect()
	js, ctx := servertest.JetStream(t, c), t.Context()
	kv, err := js.KeyValue(ctx, wire.HostBucket)
	require.NoError(t, err)
	want := make(map[string]string)
	for i := range 700 {
		key := fmt.Sprintf("host%d", i)
		_, err := kv.Put(ctx, key, []byte("old"))
		require.NoError(t, err)
		want[key] = "old"
	}
	revision, err := kv.Put(ctx, "host7", []byte("new"))
	require.NoError(t, err)
	want["host7"] = "new"
	require.NoError(t, kv.Delete(ctx, "host8"))
	delete(want, "host8")

	got, err := c.Values(ctx, wire.HostBucket, "*")
	require.NoError(t, err)
	texts := make(map[string]string)
	for key, e := range got {
		texts[key] = string(e.Data)
	}
	require.Equal(t, want, texts)
	require.Equal(t, revision, got["host7"].Sequence)
	require.WithinDuration(t, time.Now(), got["host7"].Time, time.Minute)

	one, err := c.Values(ctx, wire.HostBucket, "host9")
	require.NoError(t, err)
	require.Len(t, one, 1)
	none, err := c.Values(ctx, wire.HubBucket, "*")
	require.NoError(t, err)
	require.Empty(t, none)
	_, err = c.Values(ctx, "no-such-bucket", "*")
	require.ErrorIs(t, err, server.ErrUnavailable)

	count := 0
	for _, err := range c.Entries(ctx, "KV_"+wire.HostBucket, ">") {
		require.NoError(t, err)
		if count++; count == 3 {
			break
		}
	}
	require.Equal(t, 3, count)
	ended, cancel := context.WithCancel(ctx)
	cancel()
	_, err = c.Values(ended, wire.HostBucket, "*")
	require.ErrorIs(t, err, context.Canceled)
}

// TestObject reads what jetstream has stored.
func TestObject(t *testing.T) {
	c := servertest.Start(t).Connect()
	ctx := t.Context()
	objects, err := servertest.JetStream(t, c).ObjectStore(ctx, wire.HistoryStore)
	require.NoError(t, err)
	content := make([]byte, 60<<20) // more chunks than a batch has
	_, _ = rand.New(rand.NewSource(1)).Read(content)
	for _, size := range []int{0, 1, len(content)} {
		_, err = objects.PutBytes(ctx, "a.1.2", content[:size])
		require.NoError(t, err)
		got, err := c.Object(ctx, "a.1.2", uint64(size))
		require.NoError(t, err)
		require.True(t, bytes.Equal(content[:size], got))
	}
	_, err = c.Object(ctx, "a.1.2", 100)
	require.EqualError(t, err, "object a.1.2 has 62914560 bytes, more than 100")
	_, err = c.Object(ctx, "b", 100)
	require.ErrorIs(t, err, jetstream.ErrObjectNotFound)
	require.NoError(t, objects.Delete(ctx, "a.1.2"))
	_, err = c.Object(ctx, "a.1.2", 100)
	require.ErrorIs(t, err, jetstream.ErrObjectNotFound)
}
