package agent

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/acmeauthz/acmeauthz/examples/fleet/wire"
	"github.com/acmeauthz/acmeauthz/logparse"
	"github.com/stretchr/testify/require"
)

// A collected server has all that was published, merged.
type collected struct {
	t  testing.TB
	mu sync.Mutex
	h  logparse.History

	accounts [][]string // of each shard
	messages int
	seen     map[string]int // how often an ID came
	fail     func(id string) error
	beats    [][]byte
}

func (c *collected) Publish(_ context.Context, subject, id string, data []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if subject != wire.ShardSubject("web01") {
		require.Equal(c.t, wire.HostSubject("web01"), subject)
		c.beats = append(c.beats, data)
		return nil
	}
	var err error
	if c.fail != nil {
		err = c.fail(id)
	}
	if err != nil && !errors.Is(err, errAckLost) {
		return err
	}
	h, _, decode := wire.DecodeShard("web01", data)
	require.NoError(c.t, decode)
	c.h.Merge(h)
	c.accounts = append(c.accounts, slices.Sorted(maps.Keys(h.Split())))
	c.messages++
	if c.seen == nil {
		c.seen = map[string]int{}
	}
	c.seen[id]++
	return err
}

var errAckLost = errors.New("the acknowledgement was lost")

// A host has a log that is written and rotated.
type host struct {
	t      testing.TB
	dir    string
	log    string
	text   []byte // all that was ever written
	agent  *Agent
	server *collected
	now    time.Time
	mtime  time.Time
}

func newHost(t testing.TB) *host {
	h := &host{t: t, dir: t.TempDir(), server: &collected{t: t}, now: time.Now(), mtime: time.Now().Add(-24 * time.Hour)}
	require.NoError(t, os.MkdirAll(filepath.Join(h.dir, "log"), 0o755))
	h.log = filepath.Join(h.dir, "log", "letsencrypt.log")
	return h
}

// start starts the agent, or starts it again; what it had in memory is gone.
func (h *host) start() {
	h.t.Helper()
	if h.agent != nil {
		require.NoError(h.t, h.agent.Close())
	}
	var logger *slog.Logger
	if testing.Verbose() {
		logger = slog.New(slog.NewTextHandler(os.Stderr, nil))
	}
	a, err := New(Config{Host: "web01", Logs: []string{h.log}, StateDir: filepath.Join(h.dir, "state"), Location: time.UTC, Logger: logger})
	require.NoError(h.t, err)
	h.agent = a
}

// turn lets the agent look once, after some time.
func (h *host) turn(after time.Duration) {
	h.t.Helper()
	h.now = h.now.Add(after)
	news := h.agent.poll(h.t.Context(), h.now)
	if h.agent.collect.events > 0 || news {
		require.NoError(h.t, h.agent.flush())
	}
	h.agent.note()
}

// drain sends what is in the spool.
func (h *host) drain() {
	h.agent.spool.send(h.t.Context(), h.server, wire.ShardSubject("web01"), true)
}

// write appends to the log.
func (h *host) write(text []byte) {
	h.t.Helper()
	f, err := os.OpenFile(h.log, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	require.NoError(h.t, err)
	_, err = f.Write(text)
	require.NoError(h.t, err)
	require.NoError(h.t, f.Close())
	h.touch()
	h.text = append(h.text, text...)
}

// touch gives the log the next second as its time: the order of rotated files is told by it.
func (h *host) touch() {
	h.mtime = h.mtime.Add(time.Second)
	require.NoError(h.t, os.Chtimes(h.log, h.mtime, h.mtime))
}

// rename rotates as logrotate does without copytruncate, and as Certbot does.
func (h *host) rename() {
	h.t.Helper()
	for n := 20; n > 0; n-- {
		for _, end := range []string{"", ".gz"} {
			if _, err := os.Stat(fmt.Sprintf("%s.%d%s", h.log, n, end)); err == nil {
				require.NoError(h.t, os.Rename(fmt.Sprintf("%s.%d%s", h.log, n, end), fmt.Sprintf("%s.%d%s", h.log, n+1, end)))
			}
		}
	}
	require.NoError(h.t, os.Rename(h.log, h.log+".1"))
}

// copyTruncate copies the log, and empties it.
func (h *host) copyTruncate() {
	h.t.Helper()
	text, err := os.ReadFile(h.log)
	require.NoError(h.t, err)
	h.rename()
	require.NoError(h.t, os.Rename(h.log+".1", h.log)) // the same file goes on
	require.NoError(h.t, os.WriteFile(h.log+".1", text, 0o644))
	require.NoError(h.t, os.Chtimes(h.log+".1", h.mtime, h.mtime))
	require.NoError(h.t, os.Truncate(h.log, 0))
	h.touch()
}

// compress compresses a rotated file.
func (h *host) compress(n int) {
	h.t.Helper()
	name := fmt.Sprintf("%s.%d", h.log, n)
	text, err := os.ReadFile(name)
	if errors.Is(err, os.ErrNotExist) {
		return
	}
	require.NoError(h.t, err)
	info, err := os.Stat(name)
	require.NoError(h.t, err)
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, err = z.Write(text)
	require.NoError(h.t, err)
	require.NoError(h.t, z.Close())
	require.NoError(h.t, os.WriteFile(name+".gz", b.Bytes(), 0o644))
	require.NoError(h.t, os.Chtimes(name+".gz", info.ModTime(), info.ModTime()))
	require.NoError(h.t, os.Remove(name))
}

// verdicts are what a History says became of each authorization, and why.
func verdicts(h *logparse.History) (all []string) {
	h.At = time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC)
	for _, l := range h.Lives() {
		all = append(all, fmt.Sprint(l.URL, " ", l.Identifier.Value, " ", l.Verdict, " ", l.Cause, " ", l.Account))
	}
	slices.Sort(all)
	return all
}

// whole is what one read of all that was written says.
func (h *host) whole() []string {
	reader := logparse.Reader{Location: time.UTC, Host: func(string) string { return "web01" }}
	var want logparse.History
	for e, err := range reader.Events(bytes.NewReader(h.text)) {
		require.NoError(h.t, err)
		want.Add(e)
	}
	return verdicts(&want)
}

func (h *host) check() {
	h.t.Helper()
	h.turn(pauseAfter)
	h.turn(endAfter)
	h.drain()
	require.Equal(h.t, h.whole(), verdicts(&h.server.h))
	require.Zero(h.t, h.agent.spool.waiting())
}

// recorded is a log of Certbot, with several runs.
func recorded(t testing.TB) []byte {
	t.Helper()
	var all []byte
	for _, scenario := range []string{"several-runs-one-log", "rate-limited", "five-names-one-fails", "killed-in-manual-hook"} {
		f, err := os.Open("../../../logparse/testdata/certbot/" + scenario + "/logs/letsencrypt/letsencrypt.log")
		if errors.Is(err, os.ErrNotExist) {
			f, err = os.Open("../../../logparse/testdata/certbot/" + scenario + "/logs/letsencrypt/letsencrypt.log.gz")
		}
		require.NoError(t, err)
		var r io.Reader = f
		if strings.HasSuffix(f.Name(), ".gz") {
			r, err = gzip.NewReader(f)
			require.NoError(t, err)
		}
		text, err := io.ReadAll(r)
		require.NoError(t, err)
		require.NoError(t, f.Close())
		all = append(all, text...)
	}
	return all
}

// parts cuts a text at lines into n parts.
func parts(text []byte, n int) (all [][]byte) {
	for i := n; i > 0; i-- {
		end := len(text) / i
		if k := bytes.IndexByte(text[end:], '\n'); k >= 0 && i > 1 {
			end += k + 1
		} else {
			end = len(text)
		}
		all, text = append(all, text[:end]), text[end:]
	}
	return all
}

// TestEndOfRun has what a killed client wrote last in a shard of its own: it is of the account, and explains there why the
// authorizations leaked.
func TestEndOfRun(t *testing.T) {
	h := newHost(t)
	h.start()
	text, err := os.ReadFile("../../../logparse/testdata/certbot/killed-in-manual-hook/logs/letsencrypt/letsencrypt.log")
	require.NoError(t, err)
	h.write(text)
	h.turn(time.Second)
	h.drain()
	h.turn(pauseAfter)
	h.drain()
	h.turn(endAfter)
	h.drain()
	require.Greater(t, h.server.messages, 1)
	for _, accounts := range h.server.accounts {
		require.Len(t, accounts, 1)
		require.NotEmpty(t, accounts[0])
		require.Equal(t, h.server.accounts[0], accounts)
	}
	h.check()
}

// TestCollectorAccounts has shards of one run in which the account stands once, and then never again.
func TestCollectorAccounts(t *testing.T) {
	run := logparse.Place{File: "log", Line: 1}
	event := func(line int64, account, url string) logparse.Event {
		return logparse.Event{Kind: logparse.AuthorizationSeen, Place: logparse.Place{File: "log", Line: line}, Run: run, Account: account,
			Authorization: &logparse.Authorization{URL: url, Status: "pending"}}
	}
	const account = "https://ca.test/acct/1"
	c, l := newCollector("web01", ""), &log{}
	for _, e := range []logparse.Event{
		event(2, account, "https://ca.test/authz/1"), event(3, "", "https://ca.test/authz/2"),
		{Kind: logparse.RunEnded, Place: logparse.Place{File: "log", Line: 4}, Run: run, Exit: "killed"},
	} {
		c.add(l, []logparse.Event{e})
		require.Equal(t, []string{account}, slices.Collect(maps.Keys(c.take().Split())), e.Place)
	}
}

func TestRotation(t *testing.T) {
	for name, play := range map[string]func(h *host, text [][]byte){
		"appended": func(h *host, text [][]byte) {
			for _, part := range text {
				h.write(part)
				h.turn(time.Second)
			}
		},
		"half a line": func(h *host, text [][]byte) {
			for _, part := range text {
				h.write(part[:len(part)-30])
				h.turn(time.Second)
				h.write(part[len(part)-30:])
				h.turn(time.Second)
			}
		},
		"renamed": func(h *host, text [][]byte) {
			for _, part := range text {
				h.write(part)
				h.turn(time.Second)
				h.rename()
				h.turn(time.Second)
			}
		},
		"renamed with something unread": func(h *host, text [][]byte) {
			for _, part := range text {
				h.write(part[:len(part)/2])
				h.turn(time.Second)
				h.write(part[len(part)/2:])
				h.rename()
			}
			h.turn(time.Second)
		},
		"compressed": func(h *host, text [][]byte) {
			for _, part := range text {
				h.write(part)
				h.turn(time.Second)
				h.rename()
				h.compress(1)
				h.turn(time.Second)
			}
		},
		"compressed with something unread": func(h *host, text [][]byte) {
			for i, part := range text {
				h.write(part[:len(part)/2])
				if i%2 == 0 {
					h.turn(time.Second)
				}
				h.write(part[len(part)/2:])
				h.rename()
				h.compress(1)
			}
			h.turn(time.Second)
		},
		"compressed later": func(h *host, text [][]byte) {
			for _, part := range text {
				h.write(part)
				h.turn(time.Second)
				h.rename()
				h.turn(time.Second)
				h.compress(2)
				h.turn(time.Second)
			}
		},
		"copied and emptied": func(h *host, text [][]byte) {
			for _, part := range text {
				h.write(part)
				h.turn(time.Second)
				h.copyTruncate()
				h.turn(time.Second)
			}
		},
		"copied and emptied with something unread": func(h *host, text [][]byte) {
			for _, part := range text {
				h.write(part[:len(part)/2])
				h.turn(time.Second)
				h.write(part[len(part)/2:])
				h.copyTruncate()
			}
			h.turn(time.Second)
		},
		"everything was there before": func(h *host, text [][]byte) {
			for _, part := range text {
				h.write(part)
				h.rename()
			}
			h.turn(time.Second)
		},
		"started again after each part": func(h *host, text [][]byte) {
			for _, part := range text {
				h.write(part)
				h.turn(time.Second)
				h.start()
			}
		},
		"rotated while it was down": func(h *host, text [][]byte) {
			for i, part := range text {
				h.write(part)
				if i%2 == 0 {
					h.turn(time.Second)
				}
				h.rename()
				h.compress(1)
				h.start()
			}
			h.turn(time.Second)
		},
		"state lost": func(h *host, text [][]byte) {
			for i, part := range text {
				h.write(part)
				h.turn(time.Second)
				h.rename()
				if i == 2 {
					require.NoError(h.t, os.WriteFile(h.agent.statePath(), []byte(`{"schema":`), 0o600))
					h.start()
				}
			}
			h.turn(time.Second)
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t)
			h.start()
			play(h, parts(recorded(t), 6))
			h.check()
			before := h.server.messages
			h.start()
			h.turn(time.Second)
			h.drain()
			require.Equal(t, before, h.server.messages, "nothing is new, so nothing is sent")
		})
	}
}

// TestChance plays all that may happen to a log, by chance.
func TestChance(t *testing.T) {
	text := recorded(t)
	for seed := range uint64(25) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 7))
			h := newHost(t)
			h.start()
			var old []byte // a state that a crash may bring back
			for _, part := range parts(text, 4+random.IntN(20)) {
				cut := len(part)
				if random.IntN(3) == 0 {
					cut = random.IntN(len(part))
				}
				h.write(part[:cut])
				if random.IntN(2) == 0 {
					h.turn(time.Second)
				}
				if cut < len(part) {
					h.write(part[cut:])
				}
				switch random.IntN(8) {
				case 0:
					h.rename()
				case 1:
					h.rename()
					h.compress(1)
				case 2:
					h.copyTruncate()
				case 3:
					h.compress(1 + random.IntN(3))
				case 4:
					h.start()
				case 5:
					old, _ = os.ReadFile(h.agent.statePath())
				case 6:
					if old != nil { // killed after the spool was written, before the state was
						require.NoError(t, os.WriteFile(h.agent.statePath(), old, 0o600))
						h.start()
						old = nil
					}
				}
				if random.IntN(2) == 0 {
					h.turn(time.Second)
				}
				if random.IntN(4) == 0 {
					h.turn(pauseAfter)
				}
			}
			h.check()
		})
	}
}

type permanentError struct{}

func (permanentError) Error() string   { return "too large" }
func (permanentError) Permanent() bool { return true }

// TestServerAway has a server that is not there, then loses acknowledgements, then refuses one shard for ever.
func TestServerAway(t *testing.T) {
	h := newHost(t)
	h.start()
	for _, part := range parts(recorded(t), 3) {
		h.write(part)
		h.turn(time.Second)
	}
	h.turn(pauseAfter)
	h.turn(endAfter)
	waiting := len(h.agent.spool.files)
	require.GreaterOrEqual(t, waiting, 3)

	away, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	h.server.fail = func(string) error { return errors.New("no connection") }
	h.agent.spool.send(away, h.server, wire.ShardSubject("web01"), true)
	require.Len(t, h.agent.spool.files, waiting)

	h.start() // and is there after a restart
	require.Len(t, h.agent.spool.files, waiting)
	lost := false
	h.server.fail = func(string) error {
		if lost = !lost; lost {
			return errAckLost
		}
		return nil
	}
	h.drain()
	for id, n := range h.server.seen {
		require.Equal(t, 2, n, id)
	}
	require.Equal(t, h.whole(), verdicts(&h.server.h))

	h.server.fail = func(string) error { return permanentError{} }
	require.NoError(t, h.agent.spool.add([]byte("no shard")))
	h.drain()
	require.Zero(t, h.agent.spool.waiting())
	h.agent.note()
	require.Contains(t, h.agent.state.Problem, "the server has refused some shards (1)")
	kept, err := os.ReadDir(h.agent.spool.refused)
	require.NoError(t, err)
	require.Len(t, kept, 1)
}

// TestFullSpool reads no more than there is room for, and the rest when there is room again.
func TestFullSpool(t *testing.T) {
	h := newHost(t)
	h.start()
	h.agent.spool.limit = 1
	all := parts(recorded(t), 4)
	h.write(all[0])
	h.turn(time.Second)
	for _, part := range all[1:] {
		h.rename()
		h.write(part)
		h.turn(time.Second)
	}
	require.Len(t, h.agent.spool.files, 1)
	require.True(t, h.agent.state.SpoolFull)
	require.NotZero(t, h.agent.state.Unread)
	require.False(t, h.agent.state.Behind.IsZero())
	for h.agent.behind() > 0 {
		h.drain()
		h.turn(time.Second)
	}
	h.check()
	require.True(t, h.agent.state.Behind.IsZero() || h.agent.state.Unread == 0)
}

// TestOnce reads, sends and returns.
func TestOnce(t *testing.T) {
	h := newHost(t)
	h.start()
	h.write(recorded(t))
	require.NoError(t, h.agent.Once(t.Context(), h.server))
	require.Equal(t, h.whole(), verdicts(&h.server.h))
	require.Len(t, h.server.beats, 1)
	n := h.server.messages
	require.NoError(t, h.agent.Once(t.Context(), h.server))
	require.Equal(t, n, h.server.messages)
}

// TestNew refuses what cannot be right.
func TestNew(t *testing.T) {
	dir := t.TempDir()
	for want, c := range map[string]Config{
		"name of a host":        {Logs: []string{"x"}, StateDir: dir},
		"no logs":               {Host: "web01", StateDir: dir},
		"syntax error":          {Host: "web01", Logs: []string{"[x"}, StateDir: dir},
		"the state directory":   {Host: "web01", Logs: []string{"x"}},
		"spaces and control ch": {Host: "web 01", Logs: []string{"x"}, StateDir: dir},
	} {
		_, err := New(c)
		require.ErrorContains(t, err, want)
	}
	a, err := New(Config{Host: "web01", Logs: []string{"x"}, StateDir: dir})
	require.NoError(t, err)
	_, err = New(Config{Host: "web01", Logs: []string{"x"}, StateDir: dir})
	require.ErrorIs(t, err, ErrInUse)
	require.NoError(t, a.Close())
}

// TestHosts names hosts so that no agent speaks for another.
func TestHosts(t *testing.T) {
	c := newCollector("web01.example.net", "https://ca.example/acct/1")
	for in, want := range map[string]string{
		"": "web01.example.net", "web01": "web01.example.net", "WEB01.example.net": "web01.example.net", "db02": "web01.example.net/db02",
	} {
		e := logparse.Event{Host: in}
		c.name(&e)
		require.Equal(t, want, e.Host)
		require.Equal(t, "https://ca.example/acct/1", e.Account)
	}
}

// TestNotALog hangs on nothing and reads nothing that is no file.
func TestNotALog(t *testing.T) {
	h := newHost(t)
	require.NoError(t, os.Mkdir(h.log, 0o755))
	h.start()
	h.turn(time.Second)
	require.NoError(t, os.Remove(h.log))
	h.write([]byte("a line without an end that is worth it"))
	h.turn(time.Second)
	require.Empty(t, h.agent.logs[h.log].generations)
	h.write(append(bytes.Repeat([]byte{0}, 3<<20), '\n')) // a hole, as of a crash
	h.turn(time.Second)
	h.write(recorded(t))
	h.turn(time.Second)
	h.check()
}

func FuzzState(f *testing.F) {
	f.Add([]byte(`{"schema":"acmeauthz-fleet-agent/1","logs":{"/x":{"generations":[{"head":{"length":3,"hash":"x"},"number":1,"read":-5,"line":0}],"from":{"File":"x"},"told":[{"h":1,"g":7,"o":1}]}}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		dir := t.TempDir()
		require.NoError(t, os.WriteFile(filepath.Join(dir, "state.json"), data, 0o600))
		log := filepath.Join(dir, "x.log")
		require.NoError(t, os.WriteFile(log, []byte("one\ntwo\n"), 0o600))
		a, err := New(Config{Host: "web01", Logs: []string{log}, StateDir: dir})
		require.NoError(t, err)
		a.poll(t.Context(), time.Now())
		_ = a.flush()
		require.NoError(t, a.Close())
	})
}
