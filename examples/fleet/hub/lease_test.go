package hub

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/acmeauthz/acmeauthz/authz"
	"github.com/acmeauthz/acmeauthz/examples/fleet/server"
	"github.com/acmeauthz/acmeauthz/examples/fleet/wire"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
)

const accountURL = "https://ca.test/acme/acct/1"

// clusters runs a test on one server, and on three.
func clusters(t *testing.T, test func(*testing.T, *cluster, jetstream.JetStream)) {
	for name, n := range map[string]int{"one server": 1, "three servers": 3} {
		t.Run(name, func(t *testing.T) {
			c := startCluster(t, n)
			test(t, c, c.Setup(server.Settings{}))
		})
	}
}

// patiently tries again what a cluster without a leader does not answer, or answers from a server that is behind.
func patiently(t testing.TB, try func() error) {
	t.Helper()
	for begin := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		err := try()
		if err == nil {
			return
		}
		if time.Since(begin) > time.Minute || !server.Temporary(err) && !errors.Is(err, errBehind) && !errors.Is(err, errSilent) {
			require.NoError(t, err)
		}
	}
}

func bucket(t testing.TB, js jetstream.JetStream) (kv jetstream.KeyValue) {
	t.Helper()
	patiently(t, func() (err error) {
		kv, err = js.KeyValue(t.Context(), wire.AccountBucket)
		return err
	})
	return kv
}

// taken is a lease that is taken from whoever has it.
func taken(t *testing.T, js jetstream.JetStream, hub string, life time.Duration) (l *lease) {
	t.Helper()
	kv := bucket(t, js)
	patiently(t, func() error {
		revision := uint64(0)
		e, err := kv.Get(t.Context(), wire.LeaseKey(wire.AccountToken(accountURL)))
		if err == nil {
			revision = e.Revision()
		} else if !errors.Is(err, jetstream.ErrKeyNotFound) {
			return err
		}
		l, err = take(t.Context(), js, kv, hub, accountURL, revision, life)
		return err
	})
	t.Cleanup(func() { l.timer.Stop() })
	return l
}

func entries(t *testing.T, j *journal) (urls []string) {
	t.Helper()
	patiently(t, func() error {
		_, err := j.load()
		return err
	})
	for e, err := range j.Entries() {
		require.NoError(t, err)
		urls = append(urls, string(e.Event)+" "+e.URL)
	}
	return urls
}

// TestFence has an owner that does not know that it has lost the account.
func TestFence(t *testing.T) {
	clusters(t, func(t *testing.T, c *cluster, js jetstream.JetStream) {
		old := taken(t, js, "hub1", time.Minute)
		before := newJournal(old, time.Hour)
		go before.run()
		require.NoError(t, before.Append(authz.JournalEntry{Event: authz.EventBegin, URL: "a"}))
		require.NoError(t, before.Sync())
		require.NoError(t, old.fenced(t.Context(), wire.StateKey(old.token), []byte("1")))

		young := taken(t, js, "hub2", time.Minute)
		require.Greater(t, young.epoch, old.epoch)
		require.True(t, old.valid(), "it thinks")
		require.NoError(t, before.Append(authz.JournalEntry{Event: authz.EventBegin, URL: "b"}))
		require.ErrorIs(t, before.Sync(), ErrLost)
		require.ErrorIs(t, before.Append(authz.JournalEntry{}), ErrLost)
		require.ErrorIs(t, old.context.Err(), context.Canceled)
		require.ErrorIs(t, context.Cause(old.context), ErrLost)
		require.False(t, old.valid())
		require.ErrorIs(t, old.fenced(t.Context(), wire.StateKey(old.token), []byte("2")), ErrLost)
		require.ErrorIs(t, old.renew(t.Context()), ErrLost)

		after := newJournal(young, time.Hour)
		go after.run()
		require.NoError(t, after.Append(authz.JournalEntry{Event: authz.EventEnd, URL: "a"}))
		require.NoError(t, after.Sync())
		require.Eventually(t, func() bool { return slices.Equal([]string{"begin a", "end a"}, entries(t, after)) }, 10*time.Second, 20*time.Millisecond)
		require.NoError(t, young.renew(t.Context()))
		e, err := bucket(t, js).Get(t.Context(), wire.StateKey(old.token))
		require.NoError(t, err)
		require.Equal(t, "1", string(e.Value()))

		_, err = take(t.Context(), js, bucket(t, js), "hub3", accountURL, old.revision, time.Minute)
		require.ErrorIs(t, err, ErrLost, "the revision is an old one")
	})
}

// TestFenceLeader goes on when the server that leads the bucket is gone, and the fence holds there.
func TestFenceLeader(t *testing.T) {
	c := startCluster(t, 3)
	js := c.Setup(server.Settings{})
	old := taken(t, js, "hub1", time.Minute)
	j := newJournal(old, time.Hour)
	go j.run()
	require.NoError(t, j.Append(authz.JournalEntry{Event: authz.EventBegin, URL: "a"}))
	require.NoError(t, j.Sync())
	leader := c.Leader("KV_" + wire.AccountBucket)
	require.GreaterOrEqual(t, leader, 0)
	c.Stop(leader)
	require.NoError(t, j.Append(authz.JournalEntry{Event: authz.EventEnd, URL: "a"}))
	require.NoError(t, j.Sync())
	young := taken(t, js, "hub2", time.Minute)
	require.NoError(t, j.Append(authz.JournalEntry{Event: authz.EventBegin, URL: "b"}))
	require.ErrorIs(t, j.Sync(), ErrLost)
	require.Equal(t, []string{"begin a", "end a"}, entries(t, newJournal(young, time.Hour)))
}

// TestJournalWriters has many writers, whose entries go together; all are there, in the order of each.
func TestJournalWriters(t *testing.T) {
	clusters(t, func(t *testing.T, c *cluster, js jetstream.JetStream) {
		l := taken(t, js, "hub1", time.Minute)
		j := newJournal(l, time.Hour)
		go j.run()
		var group sync.WaitGroup
		for w := range 20 {
			group.Go(func() {
				for i := range 50 {
					_ = j.Append(authz.JournalEntry{Event: authz.EventBegin, URL: string(rune('a'+w)) + string(rune('0'+i))})
					if err := j.Sync(); err != nil {
						t.Error(err)
					}
				}
			})
		}
		group.Wait()
		// A server that is behind the last writes is not behind the fence: the next owner's comes after them.
		require.Eventually(t, func() bool { return len(entries(t, newJournal(l, time.Hour))) == 1000 }, 10*time.Second, 20*time.Millisecond)
		last := map[byte]rune{}
		n := 0
		for e, err := range j.Entries() {
			require.NoError(t, err)
			n++
			now := []rune(e.URL)[1]
			require.Equal(t, last[e.URL[0]]+map[bool]rune{true: '0', false: 1}[last[e.URL[0]] == 0], now)
			last[e.URL[0]] = now
		}
		require.Equal(t, 1000, n)
		require.Less(t, j.written, uint64(1000), "several entries a write")
	})
}

// TestGuard refuses requests of who has lost the account, and ends those that are under way.
func TestGuard(t *testing.T) {
	js := startCluster(t, 1).Setup(server.Settings{})
	l := taken(t, js, "hub1", time.Minute)
	arrived, release := make(chan struct{}), make(chan struct{})
	ca := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			close(arrived)
			<-release
		}
	}))
	defer ca.Close()
	defer close(release)
	client := &http.Client{Transport: l.guard(http.DefaultTransport)}
	resp, err := client.Get(ca.URL)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())

	ended := make(chan error)
	go func() {
		_, err := client.Get(ca.URL + "/slow")
		ended <- err
	}()
	<-arrived
	l.lose(ErrLost)
	require.Error(t, <-ended)
	_, err = client.Get(ca.URL)
	require.ErrorIs(t, err, ErrLost)
}

// TestLeaseExpires ends the lease of who cannot renew it, by its own clock.
func TestLeaseExpires(t *testing.T) {
	c := startCluster(t, 1)
	js := c.Setup(server.Settings{})
	l := taken(t, js, "hub1", 300*time.Millisecond)
	j := newJournal(l, time.Hour)
	go j.run()
	c.Stop(0)
	require.Error(t, l.renew(t.Context()))
	<-l.context.Done()
	require.ErrorIs(t, context.Cause(l.context), ErrLost)
	require.False(t, l.valid())
	_ = j.Append(authz.JournalEntry{Event: authz.EventBegin, URL: "a"})
	require.ErrorIs(t, j.Sync(), ErrLost)
}

// TestLostRenewal finds a renewal whose answer was lost to be its own.
func TestLostRenewal(t *testing.T) {
	js := startCluster(t, 1).Setup(server.Settings{})
	l := taken(t, js, "hub1", time.Minute)
	stored := l.revision
	require.NoError(t, l.renew(t.Context()))
	l.revision = stored // as if the answer had not come
	require.NoError(t, l.renew(t.Context()))
	require.NoError(t, l.release(t.Context()))
	require.False(t, l.valid())
	again := taken(t, js, "hub2", time.Minute)
	require.Greater(t, again.epoch, l.epoch)
}
