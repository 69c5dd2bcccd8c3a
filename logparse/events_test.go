package logparse

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"iter"
	"os"
	"path"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/require"
)

var fixed = Reader{Location: time.UTC, Now: time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC)}

// formatted returns events as lines. The error is the sequence's.
func formatted(events iter.Seq2[Event, error]) (lines []string, err error) {
	for e, err := range events {
		if err != nil {
			return lines, err
		}
		lines = append(lines, formatEvent(&e))
	}
	return lines, nil
}

// FuzzEvents reads any log: nothing is lost that URLs finds, and neither the size of reads nor splitting a log into files
// makes a difference.
func FuzzEvents(f *testing.F) {
	for _, name := range corpusLogs(f) {
		data, err := os.ReadFile(name)
		require.NoError(f, err)
		f.Add(data[:min(len(data), 6000)], 700)
		f.Add(data[max(0, len(data)-4000):], 1500)
	}
	for _, log := range writtenLogs() {
		data := strings.Join(log.log, "\n") + "\n"
		f.Add([]byte(data), len(data)/2)
	}
	for _, log := range tableLogs() {
		f.Add(log, len(log)/2)
	}
	f.Fuzz(func(t *testing.T, data []byte, at int) {
		if bytes.HasPrefix(data, []byte("\x1f\x8b")) || len(data) > 1<<14 {
			return
		}
		want, err := formatted(fixed.Events(bytes.NewReader(data)))
		if err != nil {
			return
		}
		checkNothingLost(t, data)
		got, err := formatted(fixed.Events(iotest.OneByteReader(bytes.NewReader(data))))
		require.NoError(t, err)
		require.Equal(t, want, got)
		checkSplit(t, data, at)
	})
}

// writtenLogs returns logs of clients of which there are no recorded ones.
func writtenLogs() []logTest {
	return slices.Concat(winACMELogs(), poshACMELogs(), certManagerLogs(), certifyLogs(), terraformLogs(), ansibleLogs(), getsslLogs())
}

// checkNothingLost checks that each URL that URLs finds in data is in an event.
func checkNothingLost(t *testing.T, data []byte) {
	t.Helper()
	known := map[string]bool{}
	for e, err := range fixed.Events(bytes.NewReader(data)) {
		require.NoError(t, err)
		require.LessOrEqual(t, len(e.Message), maxDetail)
		if e.Authorization != nil {
			known[e.Authorization.URL] = true
		}
		if e.Order != nil {
			for _, url := range e.Order.Authorizations {
				known[url] = true
			}
		}
	}
	for url, err := range URLs(bytes.NewReader(data)) {
		require.NoError(t, err)
		require.True(t, known[url], url)
	}
}

// checkSplit checks that a log gives the same events when it is rotated at some line.
func checkSplit(t *testing.T, data []byte, at int) {
	t.Helper()
	if at < 0 || at > len(data) || len(data) == 0 {
		return
	}
	n := bytes.IndexByte(data[at:], '\n') + 1
	at += n
	if n == 0 || at == len(data) || isMagic(data[at:]) {
		return
	}
	whole := fstest.MapFS{"x.log": {Data: data}}
	split := fstest.MapFS{"x.log.1": {Data: data[:at]}, "x.log": {Data: data[at:]}}
	require.Equal(t, placeless(t, whole), placeless(t, split))
}

// isMagic reports whether data starts as compressed data, or text in UTF-16, does: that is told at a file's start.
func isMagic(data []byte) bool {
	for _, m := range []string{"\x1f\x8b", zstdMagic, "BZh", "\xfe\xff", "\xff\xfe", "\xef\xbb"} {
		if bytes.HasPrefix(data, []byte(m)) {
			return true
		}
	}
	return false
}

// placeless returns the events of the logs in fsys without the places where they stand.
func placeless(t *testing.T, fsys fs.FS) (lines []string) {
	t.Helper()
	for e, err := range fixed.FileEvents(fsys, "x.log*") {
		require.NoError(t, err)
		e.Place, e.Run = Place{}, Place{}
		if e.Order != nil {
			o := *e.Order
			o.ID = ""
			e.Order = &o
		}
		if e.Authorization != nil {
			a := *e.Authorization
			a.Order = ""
			e.Authorization = &a
		}
		lines = append(lines, formatEvent(&e))
	}
	return lines
}

// corpusLogs returns the names of the recorded logs, plain ones.
func corpusLogs(t testing.TB) (names []string) {
	t.Helper()
	require.NoError(t, fs.WalkDir(os.DirFS("testdata"), ".", func(name string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() && strings.Contains(name, "/logs/") && path.Ext(name) != ".gz" {
			names = append(names, path.Join("testdata", name))
		}
		return err
	}))
	require.Greater(t, len(names), 60)
	return names
}

// TestEventsSplit rotates recorded logs at many lines.
func TestEventsSplit(t *testing.T) {
	for _, name := range corpusLogs(t) {
		data, err := os.ReadFile(name)
		require.NoError(t, err)
		for i := range 12 {
			checkSplit(t, data, len(data)*i/12)
		}
		checkNothingLost(t, data)
	}
}

func TestEventsReadError(t *testing.T) {
	broken := errors.New("broken")
	log, err := os.ReadFile("testdata/certbot/killed-in-manual-hook/logs/letsencrypt/letsencrypt.log")
	require.NoError(t, err)
	want, err := formatted(fixed.Events(bytes.NewReader(log)))
	require.NoError(t, err)
	got, err := formatted(fixed.Events(io.MultiReader(bytes.NewReader(log), iotest.ErrReader(broken))))
	require.Equal(t, want, got)
	require.Equal(t, &ReadError{Offset: int64(len(log)), Err: broken}, err)
}

// TestEventsPipe writes a log piece by piece: events come before the next piece is written, and a break does not wait for
// it.
func TestEventsPipe(t *testing.T) {
	r, w := io.Pipe()
	next, stop := iter.Pull2(fixed.Events(r))
	go w.Write([]byte("2026/11/23 21:08:23 [INFO] [a.example] acme: Obtaining bundled SAN certificate\n"))
	for _, want := range []Kind{RunStarted, OrderSeen} {
		e, err, ok := next()
		require.True(t, ok)
		require.NoError(t, err)
		require.Equal(t, want, e.Kind)
	}
	stop()
}

func TestEventsBreak(t *testing.T) {
	log, err := os.ReadFile("testdata/certbot/finalize-timeout/logs/letsencrypt/letsencrypt.log")
	require.NoError(t, err)
	for n := range 20 {
		var kinds []Kind
		for e := range fixed.Events(bytes.NewReader(log)) {
			if kinds = append(kinds, e.Kind); len(kinds) > n {
				break
			}
		}
		require.Len(t, kinds, n+1)
		require.Equal(t, RunStarted, kinds[0])
	}
}

// TestEventsLongLine reads a line that is longer than memory should be, with URLs at both ends.
func TestEventsLongLine(t *testing.T) {
	const one, two = "https://ca.example/acme/authz/1/23456", "https://ca.example/acme/authz/1/23457"
	r := io.MultiReader(strings.NewReader(one+" "), io.LimitReader(zeros{}, 64<<20), strings.NewReader(" "+two+"\n"))
	var got []string
	for e, err := range Events(r) {
		require.NoError(t, err)
		if e.Authorization != nil {
			got = append(got, e.Authorization.URL)
		}
	}
	require.Equal(t, []string{one, two}, slices.Compact(got))
}

// zeros reads as digits without end.
type zeros struct{}

func (zeros) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = '0'
	}
	return len(b), nil
}

// TestEmptyFiles has files without a line between others: each starts a log, and none says anything.
func TestEmptyFiles(t *testing.T) {
	log, err := os.ReadFile("testdata/lego/4.9.1-success-http01/logs/lego.log")
	require.NoError(t, err)
	read := func(names ...string) []string {
		fsys := fstest.MapFS{"a.log": {Data: log}}
		for _, name := range names {
			fsys[name] = &fstest.MapFile{}
		}
		events, err := formatted(fixed.FileEvents(fsys, "*.log"))
		require.NoError(t, err)
		return events
	}
	want := read()
	require.NotEmpty(t, want)
	require.Equal(t, want, read("0.log", "b.log", "c.log", "d.log", "e.log", "f.log"))
}
