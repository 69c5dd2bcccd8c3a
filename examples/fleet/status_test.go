package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/acmeauthz/acmeauthz/examples/fleet/picture"
	"github.com/acmeauthz/acmeauthz/examples/fleet/schema"
	"github.com/acmeauthz/acmeauthz/examples/fleet/server"
	"github.com/acmeauthz/acmeauthz/examples/fleet/wire"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
)

// A statusBench is a server with the buckets of a fleet, and no fleet.
type statusBench struct {
	t      *testing.T
	dir    string
	listen string
	server *server.Server
}

func newStatusBench(t *testing.T) *statusBench {
	t.Helper()
	b := &statusBench{t: t, dir: t.TempDir(), listen: "127.0.0.1:0"}
	b.start()
	t.Cleanup(func() { b.server.Close() })
	b.do(func(js jetstream.JetStream) error { return server.Setup(t.Context(), js, server.Settings{}) })
	return b
}

// do does something over a connection of its own: the server comes and goes.
func (b *statusBench) do(what func(jetstream.JetStream) error) {
	b.t.Helper()
	c, err := server.Connect(b.t.Context(), server.Access{URLs: []string{b.server.URL()}})
	require.NoError(b.t, err)
	defer c.Close()
	js, err := c.JetStream()
	require.NoError(b.t, err)
	require.NoError(b.t, what(js))
}

// start starts the server, also after it was closed.
func (b *statusBench) start() {
	b.t.Helper()
	var err error
	b.server, err = server.Start(b.t.Context(), server.Options{StoreDir: b.dir, Listen: b.listen, NoSync: true})
	require.NoError(b.t, err)
	b.listen = strings.TrimPrefix(b.server.URL(), "nats://")
}

func (b *statusBench) put(bucket, key string, value any) {
	b.t.Helper()
	data, ok := value.([]byte)
	if !ok {
		var err error
		data, err = json.Marshal(value)
		require.NoError(b.t, err)
	}
	b.do(func(js jetstream.JetStream) error {
		kv, err := js.KeyValue(b.t.Context(), bucket)
		if err == nil {
			_, err = kv.Put(b.t.Context(), key, data)
		}
		return err
	})
}

// well is a fleet in which all is well.
func (b *statusBench) well() {
	b.put(wire.HubBucket, "hub1", wire.HubState{Schema: wire.HubSchema, Hub: "hub1", Seen: time.Now()})
	b.put(wire.HostBucket, "web01", wire.Heartbeat{Schema: wire.HeartbeatSchema, Host: "web01", Seen: time.Now()})
	b.put(wire.AccountBucket, wire.StateKey("a"), wire.AccountState{Schema: wire.StateSchema, Account: "https://ca.example/acct/1", Authorizations: 3, Verdicts: map[string]int{"leaked": 3}})
}

func (b *statusBench) run(args ...string) (code int, stdout, stderr string) {
	var out, errors bytes.Buffer
	code = run(b.t.Context(), append([]string{"fleet", "status", "--nats", "nats://" + b.listen}, args...), &out, &errors)
	return code, out.String(), errors.String()
}

func TestStatusCheck(t *testing.T) {
	b := newStatusBench(t)
	code, out, errs := b.run("--check")
	require.Equal(t, []any{exitFailed, "no hub is alive\n", "fleet: there is a reason to look at the fleet\n"}, []any{code, out, errs})
	b.well()
	code, out, errs = b.run("--check")
	require.Equal(t, []any{0, "", ""}, []any{code, out, errs})
	b.put(wire.HostBucket, "web02", wire.Heartbeat{Host: "web02", Seen: time.Now().Add(-time.Hour)})
	b.put(wire.HostBucket, "web03", []byte("\x1b[2J"))
	code, out, errs = b.run("--check")
	require.Equal(t, exitFailed, code)
	require.Equal(t, "host web02: silent for 1 h: does its agent run?\nhost web03: its heartbeat cannot be read: does it run another version?\n", out)
	require.Equal(t, "fleet: there are 2 reasons to look at the fleet\n", errs)
	code, out, _ = b.run()
	require.Zero(t, code)
	require.Contains(t, out, "To look at: 1 silent host, 1 host with a problem.\n")
	require.NotContains(t, out, "\x1b")
	b.server.Close()
	code, out, errs = b.run("--check")
	require.Equal(t, exitFailed, code)
	require.Empty(t, out)
	require.Contains(t, errs, "fleet: no connection to NATS at nats://"+b.listen)
	code, _, errs = b.run("--watch")
	require.Equal(t, exitFailed, code, "at the beginning, a flag may be wrong")
	require.Contains(t, errs, "fleet: no connection to NATS")
}

func TestStatusUsage(t *testing.T) {
	b := &statusBench{t: t}
	for want, args := range map[string][]string{
		"only one goes":             {"--watch", "--check"},
		"--check prints no JSON":    {"--check", "--json"},
		"--interval goes with":      {"--interval", "3s"},
		"--interval is more than 0": {"--watch", "--interval", "0s"},
		"takes no argument \"5s\"":  {"--watch", "5s"},
	} {
		code, _, errs := b.run(args...)
		require.Equal(t, exitUsage, code)
		require.Contains(t, errs, want)
	}
	code, out, _ := b.run("--schema")
	require.Zero(t, code)
	want, err := schema.Read("status")
	require.NoError(t, err)
	require.Equal(t, string(want), out)
}

// A play is what a watcher is told, one look after the other; then its context ends.
type play struct {
	cancel context.CancelFunc
	looks  []error
	at     time.Time
	n      int
}

func (p *play) look(ctx context.Context) (*picture.Status, error) {
	if p.n == len(p.looks) {
		p.cancel()
		return nil, ctx.Err()
	}
	err := p.looks[p.n]
	p.n++
	p.at = p.at.Add(10 * time.Second)
	if err != nil {
		return nil, err
	}
	return &picture.Status{Schema: picture.StatusSchema, At: p.at}, nil
}

func watched(t *testing.T, asJSON bool, looks ...error) (err error, out, errs string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	p := &play{cancel: cancel, looks: looks, at: time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)}
	var stdout, stderr bytes.Buffer
	w := &watcher{look: p.look, interval: time.Millisecond, out: &stdout, errors: &stderr, json: asJSON, now: func() time.Time { return p.at }}
	err = w.run(ctx)
	return err, stdout.String(), stderr.String()
}

// TestWatch prints one status after the other where nobody looks at a terminal, also when the server is away.
func TestWatch(t *testing.T) {
	gone := errors.New("gone\x1b[2J")
	err, out, errs := watched(t, false, nil, gone, gone, nil)
	require.NoError(t, err)
	require.Empty(t, errs)
	all := strings.Split(out, "\n\n0 of 0")
	require.Len(t, all, 2, out) // the first, and the last
	require.Contains(t, all[0], "As of 2026-11-27 12:00:10;")
	require.Contains(t, all[0], "\n\nNo new status since 12:00:20 (0s): gone?[2J.\n0 of 0 authorizations")
	require.Contains(t, all[0], "\n\nNo new status since 12:00:20 (10s): gone?[2J.\n0 of 0 authorizations")
	require.Equal(t, 3, strings.Count(all[0], "As of 2026-11-27 12:00:10;"))
	require.Contains(t, all[1], "As of 2026-11-27 12:00:40;")

	err, out, errs = watched(t, true, nil, gone, gone, nil, gone, nil)
	require.NoError(t, err)
	require.Equal(t, "fleet: No new status since 12:00:20 (0s): gone?[2J.\nfleet: the server answers again\n"+
		"fleet: No new status since 12:00:50 (0s): gone?[2J.\nfleet: the server answers again\n", errs)
	var times []string
	for line := range strings.Lines(out) {
		var s picture.Status
		require.NoError(t, json.Unmarshal([]byte(line), &s))
		times = append(times, s.At.Format("05"))
	}
	require.Equal(t, []string{"10", "40", "00"}, times)

	err, out, _ = watched(t, false, gone)
	require.ErrorIs(t, err, gone)
	require.Empty(t, out)
	err, _, _ = watched(t, false)
	require.NoError(t, err, "it was ended before the first answer")
}

// TestWatchServer sees a server go and come back, over one connection.
func TestWatchServer(t *testing.T) {
	b := newStatusBench(t)
	b.well()
	ctx, cancel := context.WithCancel(t.Context())
	in, out := io.Pipe()
	lines := bufio.NewReader(in)
	ended := make(chan int, 1)
	var errs bytes.Buffer
	go func() {
		ended <- run(ctx, []string{"fleet", "status", "--nats", "nats://" + b.listen, "--watch", "--interval", "50ms", "--log-level", "error"}, out, &errs)
		out.Close()
	}()
	until := func(text string) {
		t.Helper()
		for {
			line, err := lines.ReadString('\n')
			require.NoError(t, err, errs.String())
			if strings.Contains(line, text) {
				return
			}
		}
	}
	until("3 of 3 authorizations are leaked")
	b.server.Close()
	until("No new status since ")
	until("3 of 3 authorizations are leaked")
	b.start()
	b.put(wire.AccountBucket, wire.StateKey("a"), wire.AccountState{Account: "https://ca.example/acct/1", Authorizations: 3})
	until("0 of 3 authorizations are leaked")
	cancel()
	go func() { _, _ = io.Copy(io.Discard, lines) }()
	require.Zero(t, <-ended, errs.String())
}
