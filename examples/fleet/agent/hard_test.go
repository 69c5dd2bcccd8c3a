package agent

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/acmeauthz/acmeauthz/examples/fleet/wire"
	"github.com/acmeauthz/acmeauthz/logparse"
	"github.com/stretchr/testify/require"
)

// lines are n lines of lego, with an authorization each, from the first one's number on.
func lines(first, n int) []byte {
	var b bytes.Buffer
	for i := first; i < first+n; i++ {
		at := time.Date(2026, 11, 20, 10, 0, 0, 0, time.UTC).Add(time.Duration(i) * time.Minute)
		fmt.Fprintf(&b, "%s [INFO] [h%d.example] AuthURL: %s\n", at.Format("2006/01/02 15:04:05"), i, authorization(i))
	}
	return b.Bytes()
}

func authorization(i int) string {
	return fmt.Sprintf("https://acme-v02.api.letsencrypt.org/acme/authz/12345/%d", 100000+i)
}

// urls are the authorizations that a History has.
func urls(h *logparse.History) (all []string) {
	for _, l := range h.Lives() {
		all = append(all, l.URL)
	}
	slices.Sort(all)
	return all
}

// authorizations are those of n lines.
func authorizations(n int) (all []string) {
	for i := range n {
		all = append(all, authorization(i))
	}
	slices.Sort(all)
	return all
}

// banner is what some clients write first each time, without a time.
var banner = bytes.Repeat([]byte("# INFO: Using main config file /etc/client/config\n"), 40)

// packed is a text as gzip writes it.
func packed(t testing.TB, text []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, err := z.Write(text)
	require.NoError(t, err)
	require.NoError(t, z.Close())
	return b.Bytes()
}

// place puts a file beside the log, with the next second as its time.
func (h *host) place(name string, data []byte) string {
	h.t.Helper()
	path := filepath.Join(filepath.Dir(h.log), name)
	require.NoError(h.t, os.WriteFile(path, data, 0o644))
	h.mtime = h.mtime.Add(time.Second)
	require.NoError(h.t, os.Chtimes(path, h.mtime, h.mtime))
	return path
}

// TestGenerations reads every text once, whatever a poll sees of a rotation that is under way.
func TestGenerations(t *testing.T) {
	for name, play := range map[string]func(h *host) (n, texts int){
		"logs that begin alike": func(h *host) (int, int) {
			h.write(append(bytes.Clone(banner), lines(0, 5)...))
			h.turn(time.Second)
			h.rename()
			h.write(append(bytes.Clone(banner), lines(5, 10)...))
			h.turn(time.Second)
			h.rename()
			h.compress(2)
			h.write(append(bytes.Clone(banner), lines(15, 20)...))
			h.turn(time.Second)
			return 35, 3
		},
		"emptied, begins alike and is longer": func(h *host) (int, int) {
			h.write(append(bytes.Clone(banner), lines(0, 5)...))
			h.turn(time.Second)
			require.NoError(h.t, os.Truncate(h.log, 0))
			h.write(append(bytes.Clone(banner), lines(5, 20)...))
			h.turn(time.Second)
			return 25, 2
		},
		"copied, begins alike and is longer": func(h *host) (int, int) {
			h.write(append(bytes.Clone(banner), lines(0, 5)...))
			h.turn(time.Second)
			h.write(lines(5, 5))
			h.copyTruncate()
			h.write(append(bytes.Clone(banner), lines(10, 20)...))
			h.turn(time.Second)
			return 30, 2
		},
		"half of the copy": func(h *host) (int, int) {
			h.write(lines(0, 100))
			h.turn(time.Second)
			text := h.text
			h.place("letsencrypt.log.1", text[:len(text)/2])
			h.turn(time.Second)
			h.place("letsencrypt.log.1", text)
			h.turn(time.Second)
			require.NoError(h.t, os.Truncate(h.log, 0))
			h.write(lines(100, 5))
			h.turn(time.Second)
			return 105, 2
		},
		"half of the copy, with something unread": func(h *host) (int, int) {
			h.write(lines(0, 100))
			h.turn(time.Second)
			h.write(lines(100, 100))
			text := h.text
			h.place("letsencrypt.log.1", text[:len(text)*3/4])
			h.turn(time.Second)
			h.write(lines(200, 5))
			h.place("letsencrypt.log.1", h.text)
			require.NoError(h.t, os.Truncate(h.log, 0))
			h.turn(time.Second)
			h.write(lines(205, 5))
			h.turn(time.Second)
			return 210, 2
		},
		"a copy that is seen while the spool is full": func(h *host) (int, int) {
			h.write(lines(0, 10))
			h.turn(time.Second)
			h.agent.spool.limit = 1
			h.write(lines(10, 10))
			h.place("letsencrypt.log.1", h.text)
			h.turn(time.Second)
			require.NoError(h.t, os.Truncate(h.log, 0))
			h.write(lines(20, 10))
			h.turn(time.Second)
			h.agent.spool.limit = 1 << 30
			h.turn(time.Second)
			return 30, 2
		},
		"two that begin alike at the start": func(h *host) (int, int) {
			h.write(append(bytes.Clone(banner), lines(0, 5)...))
			h.rename()
			h.write(append(bytes.Clone(banner), lines(5, 5)...))
			h.rename()
			h.write(append(bytes.Clone(banner), lines(10, 5)...))
			h.turn(time.Second)
			return 15, 3
		},
		"the same text twice, at the start": func(h *host) (int, int) {
			h.write(lines(0, 10))
			h.place("letsencrypt.log.1.gz", packed(h.t, h.text))
			h.rename() // beside the compressed one
			require.NoError(h.t, os.Rename(h.log+".2.gz", h.log+".1.gz"))
			h.write(lines(10, 10))
			h.turn(time.Second)
			return 20, 2
		},
		"half of the compressed file": func(h *host) (int, int) {
			h.write(lines(0, 2000))
			h.turn(time.Second)
			h.write(lines(2000, 2000))
			z := packed(h.t, h.text)
			h.rename()
			require.NoError(h.t, os.Remove(h.log+".1"))
			h.place("letsencrypt.log.1.gz", z[:len(z)*3/4])
			h.write(lines(4000, 5))
			h.turn(time.Second)
			h.place("letsencrypt.log.1.gz", z)
			h.turn(time.Second)
			return 4005, 2
		},
		"half of the compressed file beside the other": func(h *host) (int, int) {
			h.write(lines(0, 2000))
			h.turn(time.Second)
			h.write(lines(2000, 2000))
			z := packed(h.t, h.text)
			h.rename()
			for _, n := range []int{0, 5, 10, 100, len(z) / 3, len(z) - 4} {
				h.place("letsencrypt.log.1.gz", z[:n])
				h.turn(time.Second)
			}
			h.place("letsencrypt.log.1.gz", z)
			h.turn(time.Second)
			require.NoError(h.t, os.Remove(h.log+".1"))
			h.turn(time.Second)
			return 4000, 1
		},
		"half of the compressed file at the start": func(h *host) (int, int) {
			z := packed(h.t, lines(0, 4000))
			h.place("letsencrypt.log.1.gz", z[:len(z)/2])
			h.write(lines(4000, 5))
			h.turn(time.Second)
			h.turn(time.Second)
			h.place("letsencrypt.log.1.gz", z)
			h.turn(time.Second)
			h.text = append(lines(0, 4000), h.text...)
			return 4005, 2
		},
		"not seen for a moment": func(h *host) (int, int) {
			h.write(lines(0, 10))
			h.turn(time.Second)
			h.rename()
			h.write(lines(10, 10))
			h.turn(time.Second)
			h.rename()
			h.write(lines(20, 10))
			h.turn(time.Second)
			require.NoError(h.t, os.Rename(h.log+".2", h.log+"~"))
			h.turn(time.Second)
			require.NoError(h.t, os.Rename(h.log+"~", h.log+".2"))
			h.turn(time.Second)
			return 30, 3
		},
		"zeros before what is new": func(h *host) (int, int) {
			h.write(lines(0, 10))
			h.turn(time.Second)
			for i := 1; i < 6; i++ { // a client that does not append goes on where it was, over a hole
				end := int64(i) * 100_000
				h.copyTruncate()
				f, err := os.OpenFile(h.log, os.O_WRONLY, 0)
				require.NoError(h.t, err)
				_, err = f.WriteAt(lines(10*i, 10), end)
				require.NoError(h.t, err)
				require.NoError(h.t, f.Close())
				h.touch()
				h.text = append(append(h.text, make([]byte, end)...), lines(10*i, 10)...)
				h.turn(time.Second)
				h.compress(2)
				h.turn(time.Second)
			}
			return 60, 6
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t)
			h.start()
			n, texts := play(h)
			h.turn(pauseAfter)
			h.drain()
			require.Equal(t, authorizations(n), urls(&h.server.h))
			require.Len(t, h.server.h.Files(), texts, "no text was read twice, under another name")
			messages := h.server.messages
			h.start()
			h.turn(time.Second)
			h.drain()
			require.Equal(t, messages, h.server.messages)
			require.Len(t, h.server.h.Files(), texts)
		})
	}
}

// TestLast goes on with the log itself as one text, whatever other files turn up.
func TestLast(t *testing.T) {
	for name, play := range map[string]func(h *host, half func(n int)){
		"an older one could not be read": func(h *host, half func(int)) {
			old := packed(h.t, lines(0, 4))
			h.place("letsencrypt.log.1.gz", []byte("\x1f\x8b no such thing"))
			half(0)
			h.turn(time.Second)
			h.place("letsencrypt.log.1.gz", old)
			h.turn(time.Second)
			half(1)
			h.turn(time.Second)
		},
		"a link that leads elsewhere for a while": func(h *host, half func(int)) {
			half(0)
			require.NoError(h.t, os.Rename(h.log, filepath.Dir(h.log)+"/a"))
			require.NoError(h.t, os.Symlink("a", h.log))
			h.turn(time.Second)
			require.NoError(h.t, os.WriteFile(filepath.Dir(h.log)+"/b", lines(0, 4), 0o644))
			require.NoError(h.t, os.Remove(h.log))
			require.NoError(h.t, os.Symlink("b", h.log))
			h.turn(time.Second)
			h.turn(holdFor)
			require.NoError(h.t, os.Remove(h.log))
			require.NoError(h.t, os.Symlink("a", h.log))
			h.turn(time.Second)
			half(1)
			h.turn(time.Second)
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t)
			h.start()
			all := parts(recorded(t), 12)
			next := 0
			half := func(n int) {
				end := len(all) / 2 * (n + 1)
				for ; next < end; next++ {
					h.write(all[next])
					h.turn(time.Second)
				}
			}
			play(h, half)
			l := h.agent.logs[h.log]
			require.Equal(t, h.log, l.last().path)
			require.Same(t, l.last(), l.current)
			require.EqualValues(t, len(h.text), l.last().Read)
			h.turn(pauseAfter)
			h.drain()
			require.Subset(t, urls(&h.server.h), authorizations(4))
		})
	}
}

// oneRun is a log of Certbot that ends within the first run.
func oneRun(t testing.TB) (text []byte) {
	t.Helper()
	f := (&logparse.Reader{Location: time.UTC}).Follow(logparse.Place{File: "x"})
	for _, part := range parts(recorded(t), 300) {
		if f.Read(part); f.From().Offset > 0 {
			break
		}
		text = append(text, part...)
	}
	require.Greater(t, len(text), 8<<10)
	return text
}

// TestStateGone resumes with whatever there is of a state, and of what it tells of.
func TestStateGone(t *testing.T) {
	first := func(h *host) *generation { return h.agent.logs[h.log].generations[0] }
	for name, change := range map[string]func(h *host){
		"the file where runs start is unknown": func(h *host) {
			data, err := os.ReadFile(h.agent.statePath())
			require.NoError(h.t, err)
			from := h.agent.logs[h.log].follower.From().File
			data = bytes.Replace(data, []byte(`"from":{"File":"`+from+`"`), []byte(`"from":{"File":"web01:/gone-0000000000000000"`), 1)
			require.Contains(h.t, string(data), "/gone-")
			require.NoError(h.t, os.WriteFile(h.agent.statePath(), data, 0o600))
		},
		"the first file is damaged": func(h *host) {
			require.Equal(h.t, h.log+".2.gz", first(h).path)
			data, err := os.ReadFile(h.log + ".2.gz")
			require.NoError(h.t, err)
			data[len(data)*2/3] ^= 0xff
			h.place("letsencrypt.log.2.gz", data)
		},
		"the first file is shorter": func(h *host) {
			z, err := os.ReadFile(h.log + ".2.gz")
			require.NoError(h.t, err)
			h.place("letsencrypt.log.2.gz", z[:len(z)/2])
		},
		"the first file is gone": func(h *host) { require.NoError(h.t, os.Remove(h.log+".2.gz")) },
	} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t)
			h.start()
			all := parts(oneRun(t), 5)
			for i := range 3 {
				h.write(all[i])
				h.turn(time.Second)
				if i < 2 {
					h.rename()
				}
			}
			h.compress(2)
			h.turn(time.Second)
			l := h.agent.logs[h.log]
			require.Len(t, l.generations, 3)
			require.Equal(t, logparse.Place{File: l.name(first(h)), Line: 1}, l.follower.From(), "the run has begun in the first file")
			h.turn(pauseAfter)
			change(h)
			h.start()
			h.turn(time.Second)
			h.turn(goneAfter) // for as long the file might come back
			h.write(all[3])
			h.turn(time.Second)
			l = h.agent.logs[h.log]
			g := l.last()
			require.EqualValues(t, g.Read, l.follower.At().Offset, "places are those of the text")
			require.Equal(t, g.Line, l.follower.At().Line)
			require.EqualValues(t, len(all[2])+len(all[3]), g.Read)
			h.write(all[4])
			h.turn(time.Second)
			h.turn(pauseAfter)
			h.turn(endAfter)
			h.drain()
			var whole logparse.History
			for e, err := range (&logparse.Reader{Location: time.UTC}).Events(bytes.NewReader(h.text)) {
				require.NoError(t, err)
				whole.Add(e)
			}
			require.Equal(t, urls(&whole), urls(&h.server.h))
		})
	}
}

// TestStateChanged goes on at the right places, or reads all again, whatever a state says.
func TestStateChanged(t *testing.T) {
	h := newHost(t)
	h.start()
	for _, part := range parts(oneRun(t), 3) {
		h.write(part)
		h.turn(time.Second)
		h.rename()
	}
	h.compress(2)
	h.write(lines(0, 3))
	h.turn(time.Second)
	h.turn(pauseAfter)
	good, err := os.ReadFile(h.agent.statePath())
	require.NoError(t, err)
	value := regexp.MustCompile(`[0-9]+|true|"[a-z/:0-9A-Z.-]+"`)
	random := rand.New(rand.NewPCG(1, 2))
	for range 60 {
		data := value.ReplaceAllFunc(good, func(b []byte) []byte {
			switch {
			case random.IntN(25) != 0:
				return b
			case b[0] == '"':
				return []byte(`"x"`)
			case b[0] == 't':
				return []byte("false")
			}
			return []byte(fmt.Sprint(random.Int64N(100_000) - 1000))
		})
		require.NoError(t, os.WriteFile(h.agent.statePath(), data, 0o600))
		h.start()
		for _, after := range []time.Duration{time.Second, holdFor, goneAfter} {
			h.turn(after)
		}
		l := h.agent.logs[h.log]
		require.NotNil(t, l.follower, string(data))
		require.Equal(t, l.place(l.current), l.follower.At(), string(data))
	}
}

// stopping is a context that ends when it was asked so often whether it has.
type stopping struct {
	context.Context
	left int
}

func (c *stopping) Err() error {
	if c.left--; c.left < 0 {
		return context.Canceled
	}
	return nil
}

// TestStopped is stopped wherever it looks whether it is to stop, after a restart, and goes on in the same process or in another.
func TestStopped(t *testing.T) {
	all := parts(oneRun(t), 4)
	for left := range 24 {
		for _, restart := range []bool{false, true} {
			t.Run(fmt.Sprint(left, restart), func(t *testing.T) {
				h := newHost(t)
				h.start()
				for _, part := range all[:3] {
					h.write(part)
					h.turn(time.Second)
					h.rename()
				}
				h.compress(2)
				h.write(all[3][:len(all[3])-40])
				h.start()
				h.now = h.now.Add(time.Second)
				h.agent.poll(&stopping{t.Context(), left}, h.now)
				require.NoError(t, h.agent.flush())
				h.agent.note()
				require.Empty(t, h.agent.state.Problem, "to be stopped is none")
				if restart {
					h.start()
				}
				h.turn(time.Second)
				l := h.agent.logs[h.log]
				require.Equal(t, l.name(l.generations[0]), l.follower.From().File)
				h.write(all[3][len(all[3])-40:])
				h.turn(time.Second)
				require.Equal(t, logparse.Place{File: l.name(l.last()), Line: l.last().Line, Offset: l.last().Read}, l.follower.At())
				h.check()
				require.Len(t, h.server.h.Runs(), 1)
			})
		}
	}
}

// TestUnreadableAgain waits for a file that cannot be opened when it is to be read again.
func TestUnreadableAgain(t *testing.T) {
	all := parts(oneRun(t), 3)
	h := newHost(t)
	h.start()
	h.write(all[0])
	h.turn(time.Second)
	h.rename()
	h.write(all[1])
	h.turn(time.Second)
	h.start()
	l := h.agent.logs[h.log]
	require.NoError(t, os.Rename(h.log+".1", h.log+"~"))
	require.NoError(t, os.Symlink(h.log+"~", h.log+".1")) // it leads to a directory when it is opened
	old, err := list([]string{h.log}).candidates(h.log)
	require.NoError(t, err)
	require.Len(t, old, 2)
	require.NoError(t, os.Remove(h.log+".1"))
	require.NoError(t, os.Mkdir(h.log+".1", 0o700))
	_, err = l.poll(t.Context(), old, h.now)
	require.ErrorIs(t, err, errNotRegular)
	require.True(t, l.again)
	require.NoError(t, os.Remove(h.log+".1"))
	require.NoError(t, os.Rename(h.log+"~", h.log+".1"))
	h.write(all[2])
	h.turn(time.Second)
	require.Equal(t, logparse.Place{File: l.name(l.generations[0]), Line: 1}, l.follower.From())
	h.check()
	require.Len(t, h.server.h.Runs(), 1)
}

// TestEndAfterRestart does not take a run for ended because the agent is new.
func TestEndAfterRestart(t *testing.T) {
	h := newHost(t)
	h.start()
	h.write(oneRun(t))
	h.turn(time.Second)
	h.turn(pauseAfter)
	h.start()
	for range 4 {
		h.turn(time.Second)
		require.False(t, h.agent.logs[h.log].ended)
	}
	h.turn(endAfter)
	require.True(t, h.agent.logs[h.log].ended)
}

// TestMoved reads nothing of a file that has come in the place of another after that was looked at.
func TestMoved(t *testing.T) {
	for name, change := range map[string]func(h *host){
		"renamed": func(h *host) { h.rename() },
		"removed": func(h *host) { require.NoError(h.t, os.Remove(h.log)) },
	} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t)
			h.start()
			h.write(lines(0, 2))
			h.turn(time.Second)
			h.write(lines(2, 2))
			h.agent.collect.take()
			l := h.agent.logs[h.log]
			files, err := list([]string{h.log}).candidates(h.log)
			require.NoError(t, err)
			require.NoError(t, l.recognise(t.Context(), files, h.now))
			change(h)
			if name == "renamed" {
				h.write(lines(4, 9))
			}
			news, err := l.readAll(t.Context())
			require.NoError(t, err)
			require.False(t, news)
			h.turn(time.Second)
			h.drain()
			require.Len(t, urls(&h.server.h), map[string]int{"renamed": 13, "removed": 2}[name])
		})
	}
}

// TestForgotten follows no log that is not named any more, or is gone.
func TestForgotten(t *testing.T) {
	h := newHost(t)
	h.log = filepath.Join(h.dir, "log", "*.log")
	h.start()
	a, b := h.place("a.log", lines(0, 1)), h.place("b.log", lines(1, 1))
	h.turn(time.Second)
	require.Equal(t, []string{a, b}, h.agent.paths())
	require.NoError(t, os.Remove(a))
	h.turn(endAfter - time.Second)
	require.Equal(t, []string{a, b}, h.agent.paths())
	h.turn(2 * endAfter)
	h.turn(endAfter)
	require.Equal(t, []string{b}, h.agent.paths())

	c := h.place("b.log.1", lines(2, 1)) // a rotated file alone is a log
	require.NoError(t, os.Rename(b, b+"~"))
	h.turn(time.Second)
	require.NoError(t, os.Rename(b+"~", b))
	h.turn(time.Second)
	require.NotContains(t, h.agent.logs, c)

	h.log = filepath.Join(h.dir, "log", "c.log")
	h.start()
	require.Equal(t, []string{h.log}, h.agent.paths())
	require.Empty(t, h.agent.logs)
}

// TestNames follows logs of any name.
func TestNames(t *testing.T) {
	h := newHost(t)
	names := []string{"a b.log", "\xff\xfe.log", "\xff\xfd.log", "new\nline.log", `"quoted".log`, "[x].log", "-1.log", strings.Repeat(".1", 120) + ".log", "\x1b[31m.log"}
	for i, name := range names {
		h.place(name, lines(i, 1))
	}
	h.place(strings.Repeat("-1", 120), nil)
	h.log = filepath.Join(h.dir, "log", "*.log")
	h.start()
	h.turn(time.Second)
	h.drain()
	require.Equal(t, authorizations(len(names)), urls(&h.server.h))
	for range 2 {
		messages := h.server.messages
		h.start()
		require.Len(t, h.agent.logs, len(names))
		h.turn(time.Second)
		h.turn(pauseAfter)
		h.drain()
		require.Equal(t, messages, h.server.messages)
		require.Len(t, h.agent.logs, len(names))
	}
}

// TestLongLines reads a line as logparse does, however long it is.
func TestLongLines(t *testing.T) {
	for _, n := range []int{200 << 10, chunkSize - 100, chunkSize, 300 << 10, 700 << 10, 1<<20 - 200, 1 << 20, 3 << 20} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			h := newHost(t)
			h.start()
			line := lines(0, 1)
			long := append(line[:len(line)-1:len(line)-1], bytes.Repeat([]byte(" x"), n/2)...)
			at := bytes.Index(long, []byte("[INFO]"))
			long = slices.Insert(long, at, bytes.Repeat([]byte(" "), n)...) // the URL is behind what is long
			h.write(append(long[:len(long):len(long)], '\n'))
			h.write(lines(1, 1))
			h.turn(time.Second)
			h.check()
			h.start() // and again, from the start of the run
			h.check()
		})
	}
}

// TestNoLineEnd is not behind because of a line that has no end.
func TestNoLineEnd(t *testing.T) {
	h := newHost(t)
	h.start()
	h.write(append(lines(0, 1), "2026/11/20 1"...))
	h.turn(time.Second)
	h.drain()
	h.agent.note()
	require.Zero(t, h.agent.state.Unread)
	require.True(t, h.agent.state.Behind.IsZero())
	h.write([]byte("0"))
	h.turn(time.Second)
	h.rename()
	h.write(lines(1, 1))
	h.turn(time.Second)
	h.drain()
	require.Equal(t, authorizations(2), urls(&h.server.h))
	require.Zero(t, h.agent.behind())
}

// TestLastLine tells a line that got no end, when the log was rotated.
func TestLastLine(t *testing.T) {
	h := newHost(t)
	h.start()
	h.write(bytes.TrimSuffix(lines(0, 2), []byte("\n")))
	h.turn(time.Second)
	h.turn(pauseAfter)
	h.drain()
	require.Equal(t, authorizations(1), urls(&h.server.h))
	h.rename()
	h.turn(time.Second)
	h.write(lines(2, 1))
	h.turn(time.Second)
	h.drain()
	require.Equal(t, authorizations(3), urls(&h.server.h))
}

// TestBomb reads other logs though one has a file that is much larger than it looks.
func TestBomb(t *testing.T) {
	h := newHost(t)
	const size = 3*turnSize + 1000
	text := bytes.Repeat([]byte("nothing to see here, and nothing to do\n"), size/39)
	h.place("a.log.1.gz", packed(t, append(lines(0, 1), text...)))
	h.place("a.log", lines(1, 1))
	h.place("b.log", lines(2, 1))
	h.place("c.log.1.gz", packed(t, append(lines(3, 1), text...)))
	h.log = filepath.Join(h.dir, "log", "?.log*")
	h.start()
	h.turn(time.Second)
	require.True(t, h.agent.more())
	h.drain()
	require.Equal(t, []string{authorization(0), authorization(2), authorization(3)}, urls(&h.server.h))
	l := h.agent.logs[filepath.Join(h.dir, "log", "a.log")]
	require.Less(t, l.generations[0].Read, int64(turnSize+longestLine))
	require.NotNil(t, l.generations[0].text, "what is decompressed once is not decompressed again")
	require.Nil(t, h.agent.logs[filepath.Join(h.dir, "log", "c.log.1.gz")].generations[0].text, "but only one is open")
	h.start() // in the middle of it
	for range 4 {
		h.turn(time.Second)
	}
	require.False(t, h.agent.more())
	h.drain()
	require.Equal(t, authorizations(4), urls(&h.server.h))
}

// TestLargeEvents flushes by what was read as well: one event may be large.
func TestLargeEvents(t *testing.T) {
	h := newHost(t)
	h.start()
	for i := range 3 {
		h.write(append(lines(i, 1), bytes.Repeat([]byte("nothing to see here, and nothing to do\n"), flushSize/39)...))
	}
	h.turn(time.Second)
	h.turn(time.Second)
	require.GreaterOrEqual(t, len(h.agent.spool.files), 2)
	h.drain()
	require.Equal(t, authorizations(3), urls(&h.server.h))
}

// TestSpoolDamage sends what is well in the spool, whatever became of the rest, and counts right.
func TestSpoolDamage(t *testing.T) {
	for name, c := range map[string]struct {
		change  func(path string) error
		problem string
		aside   int
		waiting int // shards
		sent    int
	}{
		"removed":    {os.Remove, "some shards (1) were lost in the spool", 0, 0, 2},
		"cut":        {func(path string) error { return os.Truncate(path, 10) }, "some shards (1) were lost in the spool", 1, 0, 2},
		"empty":      {func(path string) error { return os.Truncate(path, 0) }, "some shards (1) were lost in the spool", 1, 0, 2},
		"unreadable": {func(path string) error { return errors.Join(os.Rename(path, path+"~"), os.Mkdir(path, 0o700)) }, "some shards (1) cannot be sent now", 0, 1, 2},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t)
			h.start()
			for i := range 3 {
				h.write(lines(i, 1))
				h.turn(time.Second)
			}
			s := h.agent.spool
			require.Len(t, s.files, 3)
			middle := s.path(s.files[1])
			size := s.files[1].size
			require.NoError(t, c.change(middle))
			h.drain()
			require.Equal(t, c.sent, h.server.messages)
			require.EqualValues(t, c.waiting*int(size), s.waiting())
			h.agent.note()
			require.Contains(t, h.agent.state.Problem, c.problem)
			kept, err := os.ReadDir(s.refused)
			require.NoError(t, err)
			require.Len(t, kept, c.aside)
			if c.waiting == 0 {
				return
			}
			require.NoError(t, os.Remove(middle))
			require.NoError(t, os.Rename(middle+"~", middle))
			s.again()
			h.drain()
			require.Equal(t, authorizations(3), urls(&h.server.h))
			require.Zero(t, s.waiting())
			h.agent.note()
			require.Empty(t, h.agent.state.Problem)
		})
	}
}

// TestRefusedAll loses nothing when the server refuses everything, as it does with wrong permissions.
func TestRefusedAll(t *testing.T) {
	h := newHost(t)
	h.start()
	const n = maxRefused + 5
	for i := range n {
		h.agent.collect.add(newLog(h.agent, "x"), []logparse.Event{{
			Kind: logparse.AuthorizationSeen, Place: logparse.Place{File: "web01:x", Line: 1}, Authorization: &logparse.Authorization{URL: authorization(i)},
		}})
		require.NoError(t, h.agent.flush())
	}
	h.server.fail = func(string) error { return permanentError{} }
	h.drain()
	require.Len(t, h.agent.spool.later, 5)
	require.Positive(t, h.agent.spool.waiting())
	require.ErrorContains(t, h.agent.Once(t.Context(), h.server), "were not sent")
	kept, err := os.ReadDir(h.agent.spool.refused)
	require.NoError(t, err)
	require.Len(t, kept, maxRefused)

	h.server.fail = nil
	h.start() // a person has put the permissions right, and what was aside back
	h.agent.note()
	require.Contains(t, h.agent.state.Problem, "some shards (100) that could not be sent are in "+h.agent.spool.refused)
	for _, f := range kept {
		require.NoError(t, os.Rename(filepath.Join(h.agent.spool.refused, f.Name()), filepath.Join(h.agent.spool.dir, f.Name())))
	}
	h.start()
	require.NoError(t, h.agent.Once(t.Context(), h.server))
	require.Equal(t, authorizations(n), urls(&h.server.h))
	require.Zero(t, h.agent.spool.waiting())
}

// block lets the spool not write a shard of a certain content, until it is called again.
func block(t *testing.T, s *spool, data []byte) (unblock func()) {
	t.Helper()
	var all []string
	for i := range uint64(10) {
		path := filepath.Join(s.dir, fmt.Sprintf("%020d-%s%s.tmp", s.next+i, wire.MessageID(data), shardSuffix))
		require.NoError(t, os.Mkdir(path, 0o700))
		all = append(all, path)
	}
	return func() {
		for _, path := range all {
			require.NoError(t, os.Remove(path))
		}
	}
}

// TestHalfFlushed writes each of several shards once, though the disk has no room for the second for a while.
func TestHalfFlushed(t *testing.T) {
	h := newHost(t)
	h.start()
	big := logparse.Event{Kind: logparse.OrderSeen, Place: logparse.Place{File: "web01:x", Line: 1}}
	random := rand.NewChaCha8([32]byte{})
	for i := range 70 {
		order := &logparse.Order{ID: fmt.Sprintf("https://ca.example/order/%d", i)}
		for range 1000 {
			name := make([]byte, 16)
			_, _ = random.Read(name)
			order.Identifiers = append(order.Identifiers, logparse.Identifier{Type: "dns", Value: hex.EncodeToString(name) + ".example"})
		}
		big.Order = order
		h.agent.collect.add(newLog(h.agent, "x"), []logparse.Event{big})
	}
	var all [][]byte
	for data, err := range wire.Pieces(h.agent.collect.history) {
		require.NoError(t, err)
		all = append(all, data)
	}
	require.Greater(t, len(all), 1)
	unblock := block(t, h.agent.spool, all[1])
	for range 4 {
		require.ErrorContains(t, h.agent.flush(), "the spool: ")
		require.Len(t, h.agent.spool.files, 1)
	}
	h.write(lines(0, 5)) // is not read while nothing can be kept
	h.agent.poll(t.Context(), h.now)
	require.Zero(t, h.agent.collect.events)
	require.True(t, h.agent.more())
	h.agent.note()
	require.Contains(t, h.agent.state.Problem, "what was read cannot be kept: the spool: ")
	unblock()
	h.turn(time.Second)
	h.agent.note()
	require.Empty(t, h.agent.state.Problem)
	require.Len(t, h.agent.spool.files, len(all)+1)
	h.drain()
	require.Equal(t, authorizations(5), urls(&h.server.h))
}

// TestTooLarge sends the rest when a record is too large for any message.
func TestTooLarge(t *testing.T) {
	h := newHost(t)
	h.start()
	order := &logparse.Order{ID: "https://ca.example/order/1"}
	random := rand.NewChaCha8([32]byte{})
	for range 60_000 {
		name := make([]byte, 16)
		_, _ = random.Read(name)
		order.Identifiers = append(order.Identifiers, logparse.Identifier{Type: "dns", Value: hex.EncodeToString(name) + ".example"})
	}
	h.agent.collect.add(newLog(h.agent, "x"), []logparse.Event{{Kind: logparse.OrderSeen, Place: logparse.Place{File: "web01:x", Line: 1}, Order: order}})
	require.NoError(t, h.agent.flush())
	h.write(lines(0, 3))
	h.turn(time.Second)
	h.drain()
	require.Equal(t, authorizations(3), urls(&h.server.h))
	require.Equal(t, "1 records are too large to be sent", h.agent.state.Problem)
}

// TestStateNotWritten tells that the state cannot be written until it can.
func TestStateNotWritten(t *testing.T) {
	h := newHost(t)
	h.start()
	require.NoError(t, os.MkdirAll(filepath.Join(h.agent.statePath(), "x"), 0o700))
	h.write(lines(0, 1))
	for range 3 {
		h.agent.turn(t.Context())
		require.Contains(t, h.agent.state.Problem, "what was read cannot be kept: the state: ")
	}
	require.NoError(t, os.RemoveAll(h.agent.statePath()))
	h.agent.turn(t.Context())
	require.Empty(t, h.agent.state.Problem)
	require.FileExists(t, h.agent.statePath())
	h.start()
	h.turn(time.Second)
	h.drain()
	require.Equal(t, 1, h.server.messages)
}

// A silent server never answers.
type silent struct{}

func (silent) Publish(ctx context.Context, _, _ string, _ []byte) error {
	<-ctx.Done()
	return context.Cause(ctx)
}

// noMoreThan waits until there are no more goroutines than there were.
func noMoreThan(t *testing.T, before int) {
	t.Helper()
	for end := time.Now().Add(5 * time.Second); runtime.NumGoroutine() > before; time.Sleep(time.Millisecond) {
		require.True(t, time.Now().Before(end), "goroutines are left")
	}
}

// TestOnceAll reads all, or says that it did not.
func TestOnceAll(t *testing.T) {
	t.Run("little room", func(t *testing.T) {
		for range 20 {
			h := newHost(t)
			for i := range 6 {
				h.write(lines(i, 1))
				h.rename()
			}
			h.start()
			h.agent.spool.limit = 1
			require.NoError(t, h.agent.Once(t.Context(), h.server))
			require.Equal(t, authorizations(6), urls(&h.server.h))
		}
	})
	t.Run("no answer", func(t *testing.T) {
		before := runtime.NumGoroutine()
		h := newHost(t)
		h.write(lines(0, 1))
		h.start()
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		err := h.agent.Once(ctx, silent{})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorContains(t, err, "were not sent")
		require.NoError(t, h.agent.Once(t.Context(), h.server))
		require.Equal(t, authorizations(1), urls(&h.server.h))
		noMoreThan(t, before)
	})
	t.Run("stopped", func(t *testing.T) {
		h := newHost(t)
		h.write(lines(0, 1))
		h.start()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		require.ErrorIs(t, h.agent.Once(ctx, h.server), context.Canceled)
	})
	t.Run("damaged", func(t *testing.T) {
		h := newHost(t)
		h.place("letsencrypt.log.1.gz", packed(t, lines(0, 100))[:60])
		h.write(lines(100, 1))
		h.start()
		require.ErrorContains(t, h.agent.Once(t.Context(), h.server), "letsencrypt.log.1.gz: unexpected EOF")
		require.Equal(t, []string{authorization(100)}, urls(&h.server.h))
	})
}

// TestRunEnds returns what went wrong last, and leaves nothing behind.
func TestRunEnds(t *testing.T) {
	before := runtime.NumGoroutine()
	h := newHost(t)
	h.write(lines(0, 1))
	h.start()
	require.Equal(t, wire.HeartbeatSchema, h.agent.state.Schema, "a heartbeat may be sent before all is read")
	require.NoError(t, os.RemoveAll(h.agent.spool.dir))
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	require.ErrorContains(t, h.agent.Run(ctx, silent{}), "the spool: ")
	require.NoError(t, os.Mkdir(h.agent.spool.dir, 0o700))
	require.NoError(t, h.agent.Once(t.Context(), h.server))
	require.Equal(t, authorizations(1), urls(&h.server.h))
	noMoreThan(t, before)
}

// BenchmarkPoll looks at the logs of a directory, of which none has changed.
func BenchmarkPoll(b *testing.B) {
	for _, n := range []int{500, 5000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			h := newHost(b)
			for i := range n {
				require.NoError(b, os.WriteFile(filepath.Join(h.dir, "log", fmt.Sprintf("host%d.log", i)), lines(i, 1), 0o644))
			}
			h.log = filepath.Join(h.dir, "log", "*.log")
			h.start()
			h.turn(time.Second)
			h.turn(pauseAfter)
			for b.Loop() {
				h.agent.poll(b.Context(), h.now)
			}
		})
	}
}

// BenchmarkFlush saves the state of many logs.
func BenchmarkFlush(b *testing.B) {
	h := newHost(b)
	for i := range 5000 {
		require.NoError(b, os.WriteFile(filepath.Join(h.dir, "log", fmt.Sprintf("host%d.log", i)), lines(i, 1), 0o644))
	}
	h.log = filepath.Join(h.dir, "log", "*.log")
	h.start()
	start := time.Now()
	h.turn(time.Second)
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	b.Logf("the first turn took %v; %d MiB of memory", time.Since(start), m.HeapAlloc>>20)
	for b.Loop() {
		require.NoError(b, h.agent.flush())
	}
	info, err := os.Stat(h.agent.statePath())
	require.NoError(b, err)
	b.ReportMetric(float64(info.Size()), "B/state")
}

// TestMischance plays by chance what a poll may see in the middle of something.
func TestMischance(t *testing.T) {
	text := recorded(t)
	for seed := range uint64(15) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 11))
			h := newHost(t)
			h.start()
			texts := 1
			for _, part := range parts(text, 6+random.IntN(20)) {
				cut := random.IntN(len(part))
				h.write(part[:cut])
				if random.IntN(2) == 0 {
					h.turn(time.Second)
				}
				h.write(part[cut:])
				if random.IntN(3) == 0 {
					h.agent.poll(&stopping{t.Context(), random.IntN(12)}, h.now)
				}
				old, err := os.ReadFile(h.log)
				require.NoError(t, err)
				switch random.IntN(6) {
				case 0: // a copy, bit by bit
					h.rename()
					require.NoError(t, os.Rename(h.log+".1", h.log))
					for range random.IntN(4) {
						h.place("letsencrypt.log.1", old[:random.IntN(len(old))])
						h.turn(time.Second)
					}
					h.place("letsencrypt.log.1", old)
					if random.IntN(2) == 0 {
						h.turn(time.Second)
					}
					require.NoError(t, os.Truncate(h.log, 0))
					texts++
				case 1: // a compressed file, bit by bit, beside the other or instead
					h.rename()
					z := packed(t, old)
					instead := random.IntN(2) == 0
					if instead {
						require.NoError(t, os.Remove(h.log+".1"))
					}
					for range random.IntN(4) {
						h.place("letsencrypt.log.1.gz", z[:random.IntN(len(z))])
						h.turn(time.Second)
					}
					h.place("letsencrypt.log.1.gz", z)
					if !instead {
						require.NoError(t, os.Remove(h.log+".1"))
					}
					texts++
				case 2: // not seen for a moment
					if os.Rename(h.log+".1", h.log+"~") == nil {
						h.turn(time.Second)
						require.NoError(t, os.Rename(h.log+"~", h.log+".1"))
					}
				case 3:
					h.agent.spool.limit = 1
					h.turn(time.Second)
					if random.IntN(2) == 0 {
						h.drain()
					}
					h.agent.spool.limit = 1 << 30
				case 4:
					h.start()
					h.agent.poll(&stopping{t.Context(), random.IntN(12)}, h.now)
				}
				if _, err := os.Stat(h.log); err == nil && random.IntN(2) == 0 {
					h.turn(time.Second)
				}
			}
			h.turn(time.Second)
			h.check()
			if info, err := os.Stat(h.log); err != nil || info.Size() == 0 {
				texts--
			}
			require.LessOrEqual(t, len(h.server.h.Files()), texts, "not every text tells something")
		})
	}
}

// TestCapitals has a name with capitals: what is told is of the name that the subject stands for.
func TestCapitals(t *testing.T) {
	h := newHost(t)
	h.write(recorded(t))
	a, err := New(Config{Host: "WEB01", Logs: []string{h.log}, StateDir: t.TempDir(), Location: time.UTC})
	require.NoError(t, err)
	defer a.Close()
	require.NoError(t, a.Once(t.Context(), h.server)) // which decodes it as a hub does
	require.Equal(t, []string{"web01"}, h.server.h.Hosts())
}

// TestHeartbeat says how the agent fares as often as it is told to.
func TestHeartbeat(t *testing.T) {
	h := newHost(t)
	a, err := New(Config{Host: "web01", Logs: []string{h.log}, StateDir: t.TempDir(), Heartbeat: 20 * time.Millisecond})
	require.NoError(t, err)
	defer a.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx, h.server) }()
	require.Eventually(t, func() bool {
		h.server.mu.Lock()
		defer h.server.mu.Unlock()
		return len(h.server.beats) >= 5
	}, 10*time.Second, 10*time.Millisecond)
	cancel()
	require.NoError(t, <-ended)
}

// forbiddenError is what a server says to who may not send.
type forbiddenError struct{ error }

func (forbiddenError) Forbidden() bool { return true }

// TestForbidden keeps what the server lets it not send, until it does.
func TestForbidden(t *testing.T) {
	h := newHost(t)
	h.write(recorded(t))
	h.start()
	h.server.fail = func(string) error { return forbiddenError{errors.New("permissions violation")} }
	err := h.agent.Once(t.Context(), h.server)
	require.ErrorContains(t, err, "is the name that of its nkey")
	require.Contains(t, h.agent.state.Problem, "is the name that of its nkey")
	require.Positive(t, h.agent.spool.waiting())
	h.start()
	h.server.fail = nil
	require.NoError(t, h.agent.Once(t.Context(), h.server))
	require.Zero(t, h.agent.spool.waiting())
	require.Equal(t, h.whole(), verdicts(&h.server.h))
	require.Empty(t, h.agent.state.Problem)
}
