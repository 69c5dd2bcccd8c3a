package logparse

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A recorded log is the files that rotation made of one, the oldest first.
type recordedLog struct {
	name  string
	files []string
	texts [][]byte
}

// recordedLogs returns every log of the recorded scenarios, decompressed.
func recordedLogs(t *testing.T) (logs []recordedLog) {
	t.Helper()
	scenarios, err := fs.Glob(os.DirFS("testdata"), "*/*/truth.json")
	require.NoError(t, err)
	for _, scenario := range scenarios {
		dir := path.Join("testdata", path.Dir(scenario))
		names, err := match(os.DirFS(dir), logDirs(t, dir))
		require.NoError(t, err)
		for _, name := range names {
			f, err := os.Open(path.Join(dir, name))
			require.NoError(t, err)
			text, err := io.ReadAll(newDecompressor(f))
			require.NoError(t, err)
			require.NoError(t, f.Close())
			log := path.Join(dir, parseName(name).log)
			if n := len(logs); n == 0 || logs[n-1].name != log {
				logs = append(logs, recordedLog{name: log})
			}
			l := &logs[len(logs)-1]
			l.files, l.texts = append(l.files, name), append(l.texts, text)
		}
	}
	return logs
}

var followReader = Reader{Location: time.UTC, Now: time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC)}

// whole returns the History of a log that is read at once.
func (l *recordedLog) whole(t *testing.T) *History {
	t.Helper()
	var h History
	p := followReader.start(func(e Event, err error) bool {
		require.NoError(t, err)
		h.Add(e)
		return true
	})
	for i, text := range l.texts {
		require.True(t, p.read(l.files[i], bytes.NewReader(text)))
	}
	p.end()
	p.stop()
	return &h
}

// follow returns the History of a log to which lines are added bit by bit, with pauses and restarts between them.
func (l *recordedLog) follow(random *rand.Rand, pauses, restarts bool) *History {
	var h History
	add := func(events []Event) {
		for _, e := range events {
			h.Add(e)
		}
	}
	f := followReader.Follow(Place{File: l.files[0]})
	for i := 0; i < len(l.texts); i++ {
		if i > 0 {
			f.Next(l.files[i])
		}
		for text := l.texts[i]; len(text) > 0; {
			n := someLines(random, text)
			add(f.Read(text[:n]))
			text = text[n:]
			if pauses && random.IntN(4) == 0 {
				add(f.Pause())
			}
			if restarts && random.IntN(20) == 0 {
				from, at, client := f.From(), f.At(), f.Client()
				f = followReader.Follow(from)
				f.Expect(client)
				add(l.again(f, from, at))
			}
		}
	}
	add(f.End())
	return &h
}

// again reads what is between two places.
func (l *recordedLog) again(f *Follower, from, to Place) (events []Event) {
	on := false
	for i, name := range l.files {
		text, start := l.texts[i], int64(0)
		if name == from.File {
			on, start = true, from.Offset
		} else if on {
			f.Next(name)
		}
		if name == to.File {
			return append(events, f.Read(text[start:to.Offset])...)
		}
		if on {
			events = append(events, f.Read(text[start:])...)
		}
	}
	panic(fmt.Sprint("there is no ", to))
}

// someLines returns the length of some lines at the start of text.
func someLines(random *rand.Rand, text []byte) int {
	end := random.IntN(len(text)) >> random.IntN(12)
	if n := bytes.IndexByte(text[end:], '\n'); n >= 0 {
		return end + n + 1
	}
	return len(text)
}

func TestFollow(t *testing.T) {
	for _, l := range recordedLogs(t) {
		for _, how := range []struct {
			name             string
			pauses, restarts bool
		}{{"read", false, false}, {"pauses", true, false}, {"restarts", false, true}, {"both", true, true}} {
			t.Run(strings.TrimPrefix(l.name, "testdata/")+" "+how.name, func(t *testing.T) {
				want := l.whole(t)
				for seed := range uint64(3) {
					got := l.follow(rand.New(rand.NewPCG(seed, 1)), how.pauses, how.restarts)
					if !how.pauses && !how.restarts {
						require.Equal(t, marshal(t, want), marshal(t, got), seed)
						continue
					}
					require.Equal(t, verdicts(want), verdicts(got), seed)
				}
			})
		}
	}
}

// TestFollowFiles has runs that go on in the next file, and a pause after each.
func TestFollowFiles(t *testing.T) {
	text, err := os.ReadFile("testdata/certbot/rate-limited/logs/letsencrypt/letsencrypt.log")
	require.NoError(t, err)
	l := recordedLog{name: "x.log"}
	for n := 5; len(text) > 0; n-- {
		end := len(text)
		if n > 1 {
			end = len(text)/n + bytes.IndexByte(text[len(text)/n:], '\n') + 1
		}
		l.files, l.texts = append(l.files, fmt.Sprint("x.log.", n)), append(l.texts, text[:end])
		text = text[end:]
	}
	want := l.whole(t)
	require.Greater(t, len(want.Runs()), 4)
	for seed := range uint64(20) {
		got := l.follow(rand.New(rand.NewPCG(seed, 1)), true, seed%2 == 0)
		require.Equal(t, verdicts(want), verdicts(got), seed)
		require.Len(t, got.Runs(), len(want.Runs()), seed)
	}
}
