package logparse

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	neturl "net/url"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/require"
)

// A mention is a Match that was copied.
type mention struct {
	url    string
	offset int64
}

// scan returns all mentions in r.
func scan(s *Scanner, r io.Reader) (all []mention, err error) {
	s.Reset(r)
	for s.Scan() {
		m := s.Match()
		all = append(all, mention{string(m.URL), m.Offset})
	}
	return all, s.Err()
}

// everything is all texts of the tables, and what stands between them in real logs.
func everything() []byte {
	var b bytes.Buffer
	for _, test := range foundTests {
		fmt.Fprintf(&b, "2026-11-23 20:41:11,221:DEBUG:acme.client:%s\n", test.text)
	}
	b.WriteString(strings.Join(notFoundTests, "\n"))
	return b.Bytes()
}

func TestScanner(t *testing.T) {
	const text = `authz https://ca.example/acme/authz/1/2 and https:\/\/CA.example:443\/acme\/chall\/1\/3\/x, ` +
		`https://ca.example:443 "POST /acme/authz/1/2 HTTP/1.1" {"authorizations":["https://ca.example/a"]}`
	var s Scanner
	got, err := scan(&s, strings.NewReader(text))
	require.NoError(t, err)
	require.Equal(t, []mention{
		{"https://ca.example/acme/authz/1/2", 6},
		{"https://ca.example/acme/authz/1/3", 44},
		{"https://ca.example/acme/authz/1/2", int64(strings.Index(text, "/acme/authz/1/2 HTTP"))},
		{"https://ca.example/a", int64(strings.Index(text, "https://ca.example/a\""))},
	}, got)
	require.False(t, s.Scan(), "after the end")
	require.Zero(t, s.Match())
}

func TestScannerZero(t *testing.T) {
	var s Scanner
	require.False(t, s.Scan())
	require.NoError(t, s.Err())
	require.Zero(t, s.Match())
}

// TestScannerReset resets a Scanner in the middle of an array, whose rest is gone.
func TestScannerReset(t *testing.T) {
	s := NewScanner(strings.NewReader(`"authorizations":["https://ca.example/a/1","https://ca.example/a/2"]`))
	require.True(t, s.Scan())
	got, err := scan(s, strings.NewReader(`"https://ca.example/a/3" https://ca.example/acme/authz/1/2 `))
	require.NoError(t, err)
	require.Equal(t, []mention{{"https://ca.example/acme/authz/1/2", 25}}, got)

	// What was before does not make an identifier look cut off either.
	_, err = scan(s, strings.NewReader("https://ca.example/acme/authz/1/23 "))
	require.NoError(t, err)
	got, err = scan(s, strings.NewReader("https://ca.example/acme/authz/1/2"))
	require.NoError(t, err)
	require.Equal(t, []mention{{"https://ca.example/acme/authz/1/2", 0}}, got)
}

func TestScannerErr(t *testing.T) {
	failure := errors.New("failure")
	var s Scanner
	got, err := scan(&s, io.MultiReader(strings.NewReader("https://ca.example/acme/authz/1/2 "), iotest.ErrReader(failure)))
	require.Equal(t, []mention{{"https://ca.example/acme/authz/1/2", 0}}, got)
	require.Equal(t, failure, err)
	_, err = scan(&s, idleReader{})
	require.Equal(t, io.ErrNoProgress, err)
	_, err = scan(&s, wrongReader{})
	require.Equal(t, errRead, err)
}

type idleReader struct{}

func (idleReader) Read([]byte) (int, error) { return 0, nil }

type wrongReader struct{}

func (wrongReader) Read(b []byte) (int, error) { return len(b) + 1, nil }

// TestScannerChunks reads all texts in pieces.
func TestScannerChunks(t *testing.T) {
	text := everything()
	var s Scanner
	want, err := scan(&s, bytes.NewReader(text))
	require.NoError(t, err)
	require.Greater(t, len(want), 90)
	for name, r := range map[string]io.Reader{
		"one byte":   iotest.OneByteReader(bytes.NewReader(text)),
		"half":       iotest.HalfReader(bytes.NewReader(text)),
		"data + err": iotest.DataErrReader(bytes.NewReader(text)),
	} {
		got, err := scan(&s, r)
		require.NoError(t, err, name)
		require.Equal(t, want, got, name)
	}
}

// TestScannerSplit reads each text of the tables in two pieces, split at every place.
func TestScannerSplit(t *testing.T) {
	var s Scanner
	for text := range bytes.Lines(everything()) {
		want, err := scan(&s, bytes.NewReader(text))
		require.NoError(t, err)
		for i := range min(len(text), 400) {
			got, err := scan(&s, io.MultiReader(bytes.NewReader(text[:i]), bytes.NewReader(text[i:])))
			require.NoError(t, err)
			if !slices.Equal(want, got) {
				require.Equal(t, want, got, "split at %d: %q", i, text)
			}
		}
	}
}

// TestScannerBufferEnd puts the same text before every position of the end of the buffer.
func TestScannerBufferEnd(t *testing.T) {
	text := []byte(`{"authorizations": ["https:\/\/ca.example\/a\/1"]} https://ca.example:443 "POST /acme/authz/1/2 HTTP/1.1" ` +
		"\"https://ca.example/acme/chall/1/3/x\", <https://vault/v1/pki/acme/authorization/" + uuid + ">\n")
	var s Scanner
	want, err := scan(&s, bytes.NewReader(text))
	require.NoError(t, err)
	require.Len(t, want, 4)
	filler := bytes.Repeat([]byte("Chapter hazel "), bufferSize/14+2)
	for before := bufferSize - len(text) - 4; before <= bufferSize+4; before++ {
		got, err := scan(&s, io.MultiReader(bytes.NewReader(filler[:before]), bytes.NewReader(text), bytes.NewReader(filler)))
		require.NoError(t, err)
		require.Len(t, got, len(want), "%d before", before)
		for i := range got {
			require.Equal(t, want[i].url, got[i].url)
			require.Equal(t, want[i].offset+int64(before), got[i].offset)
		}
	}
}

// TestScannerLongLine reads 50 MB without a newline, with a URL at the start, at the end and in a long array.
func TestScannerLongLine(t *testing.T) {
	const size = 50 << 20
	blanks := io.LimitReader(repeating("{\"a\": \"chapter, hazard\"}, "), size)
	line := io.MultiReader(strings.NewReader("https://ca.example/acme/authz/1/1 "), blanks,
		strings.NewReader(` "authorizations":["https://ca.example/a/2",`), io.LimitReader(repeating(" "), size/8),
		strings.NewReader(`"https://ca.example/a/3"] https://ca.example/acme/authz/1/4`))
	got, err := collect(URLs(line))
	require.NoError(t, err)
	require.Equal(t, []string{"https://ca.example/acme/authz/1/1", "https://ca.example/a/2", "https://ca.example/a/3",
		"https://ca.example/acme/authz/1/4"}, got)
}

// A repeating reads the same text for ever.
type repeating string

func (r repeating) Read(b []byte) (n int, err error) {
	for n < len(b)-len(r) || n == 0 {
		n += copy(b[n:], r)
	}
	return n, nil
}

// TestScannerLongTokens has the longest URLs, and what is longer, as it is written or as it would be.
func TestScannerLongTokens(t *testing.T) {
	long := func(n int) string {
		const start, end = "https://ca.example/", "/acme/authz/1/2"
		return start + strings.Repeat("a", n-len(start)-len(end)) + end
	}
	got, err := collect(URLs(strings.NewReader(strings.Join([]string{
		long(maxURL), long(maxURL + 1), long(maxRaw + 100), long(1 << 20), "https://ca.example/acme/authz/1/3",
		"https://ca.example/acme/chall/1/6/" + strings.Repeat("%41", maxRaw/3),
		"https://ca.example/acme/authz/1/" + strings.Repeat("4", 1<<20), strings.Repeat(`\`, 1<<20) + "https://ca.example/acme/authz/1/5\n",
	}, " "))))
	require.NoError(t, err)
	require.Equal(t, []string{long(maxURL), "https://ca.example/acme/authz/1/3", "https://ca.example/acme/authz/1/5"}, got)
}

// TestScannerAllocs scans a log and all the texts, but for those with IPv6 addresses.
func TestScannerAllocs(t *testing.T) {
	log, err := os.ReadFile("testdata/certbot/several-runs-one-log/logs/letsencrypt/letsencrypt.log")
	require.NoError(t, err)
	for line := range bytes.Lines(everything()) {
		if !bytes.Contains(line, []byte("//[")) {
			log = append(log, line...)
		}
	}
	r := bytes.NewReader(log)
	s := NewScanner(r)
	mentions := 0
	allocs := testing.AllocsPerRun(10, func() {
		r.Seek(0, io.SeekStart)
		for s.Reset(r); s.Scan(); {
			mentions++
		}
	})
	require.Greater(t, mentions, 1000)
	require.Zero(t, allocs)
}

// TestScannerEveryCut cuts a log at many places: nothing comes out that is not in the whole log.
func TestScannerEveryCut(t *testing.T) {
	for _, name := range []string{
		"certbot/killed-in-manual-hook/logs/letsencrypt/letsencrypt.log",
		"certbot/success-http01-stock-pebble/logs/letsencrypt/letsencrypt.log",
		"lego/5.6.0-json-log-debug/logs/lego.log",
	} {
		log, err := os.ReadFile("testdata/" + name)
		require.NoError(t, err, name)
		whole := map[string]bool{}
		for url, err := range URLs(bytes.NewReader(log)) {
			require.NoError(t, err)
			whole[url] = true
		}
		require.NotEmpty(t, whole)
		var s Scanner
		for i := 0; i < len(log); i += 1 + i%29 {
			s.Reset(bytes.NewReader(log[max(0, i-30000):i]))
			for s.Scan() {
				require.True(t, whole[string(s.Match().URL)], "%s cut at %d: %q: %s", name, i, log[i-50:i], s.Match().URL)
			}
		}
	}
}

// FuzzURLs checks that the mentions in a text do not depend on how it is read, nor by how many at once, and that all are what their comment says.
func FuzzURLs(f *testing.F) {
	for _, test := range foundTests {
		f.Add([]byte(test.text), uint16(7))
	}
	for _, text := range notFoundTests {
		f.Add([]byte(text), uint16(1))
	}
	f.Add([]byte("https://ca.example/acme/authz/1/2\n"+gzipped(f, "https://ca.example/acme/authz/1/3\n")), uint16(5))
	f.Add([]byte(bzip2First+"https://ca.example/acme/authz/1/3\n"), uint16(5))
	f.Add([]byte(utf16ed(binary.LittleEndian, "https://ca.example/acme/authz/1/3\r\n")), uint16(5))
	f.Add([]byte("x\n\"authorizations\"\n:\n[\n\"https://ca.example/a/1\",\n\"https://ca.example/a/2\"\n]\nx\n"), uint16(5))
	f.Add([]byte(zstded(f, "https://ca.example/acme/authz/1/3\n")), uint16(5))
	f.Fuzz(func(t *testing.T, text []byte, size uint16) {
		var s Scanner
		want, err := scan(&s, bytes.NewReader(text))
		require.NoError(t, err)
		got, err := scan(&s, &pieces{text, int(size)%300 + 1})
		require.NoError(t, err)
		require.Equal(t, want, got)
		got, err = scan(&s, iotest.OneByteReader(bytes.NewReader(text)))
		require.NoError(t, err)
		require.Equal(t, want, got)
		checkURLs(t, text, int(size)%300+1)
		checkBlocks(t, [][]byte{text, text}, int(size)%300+1, int(size)%40+1)
		last := int64(-1)
		for _, m := range want {
			checkURL(t, m.url)
			require.Greater(t, m.offset, last)
			require.Less(t, m.offset, int64(len(text)))
			last = m.offset
		}
	})
}

// checkURLs checks that URLs finds the same, and ends in the same way, whether text comes whole or in pieces.
func checkURLs(t *testing.T, text []byte, size int) {
	t.Helper()
	want, wantErr := collect(URLs(bytes.NewReader(text)))
	got, err := collect(URLs(&pieces{text, size}))
	require.Equal(t, want, got)
	require.Equal(t, wantErr, err)
}

// pieces reads b in pieces of n bytes.
type pieces struct {
	b []byte
	n int
}

func (p *pieces) Read(b []byte) (int, error) {
	if len(p.b) == 0 {
		return 0, io.EOF
	}
	n := copy(b[:min(len(b), p.n)], p.b)
	p.b = p.b[n:]
	return n, nil
}

// checkURL checks what URLs promises of each URL.
func checkURL(t *testing.T, s string) {
	t.Helper()
	require.LessOrEqual(t, len(s), maxURL)
	u, err := neturl.Parse(s)
	require.NoError(t, err)
	require.Contains(t, []string{"http", "https"}, u.Scheme)
	require.NotEmpty(t, u.Hostname())
	require.Equal(t, strings.ToLower(u.Host), u.Host)
	require.NotContains(t, []string{"https443", "http80"}, u.Scheme+u.Port())
	require.Nil(t, u.User)
	require.Empty(t, u.Fragment)
	require.NotEmpty(t, u.Path)
	for _, c := range []byte(s) {
		require.True(t, ' ' < c && c < 0x7f, "%q", s)
	}
	again, err := collect(URLs(strings.NewReader(fmt.Sprintf("\"authorizations\":[%q] ", s))))
	require.NoError(t, err)
	require.Equal(t, []string{s}, again, "is canonical")
}

// TestMemory reads a log of LOGPARSE_GIB GiB and reports speed and memory; without that variable it reads 64 MiB.
func TestMemory(t *testing.T) {
	size := int64(64 << 20)
	if s := os.Getenv("LOGPARSE_GIB"); s != "" {
		n, err := strconv.Atoi(s)
		require.NoError(t, err)
		size = int64(n) << 30
	}
	log := newCertbotLog(t, size)
	debug.FreeOSMemory()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start, found := time.Now(), 0
	for _, err := range URLs(regular{log}) {
		require.NoError(t, err)
		found++
	}
	elapsed := time.Since(start)
	runtime.GC()
	runtime.ReadMemStats(&after)
	t.Logf("%d MiB, %d authorizations, %.0f MB/s, %s", size>>20, found, float64(size)/1e6/elapsed.Seconds(), maxRSS())
	require.Greater(t, found, 1000)
	require.Less(t, after.Sys-before.Sys, uint64(64<<20))
}

// A regular reader seems to be a regular file, which is read on several cores.
type regular struct{ io.Reader }

func (regular) Stat() (os.FileInfo, error) { return os.Stat("testdata/README.md") }

// maxRSS returns the line of the process's status about the most memory that it had, or that there is none.
func maxRSS() string {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return err.Error()
	}
	for line := range strings.Lines(string(status)) {
		if strings.HasPrefix(line, "VmHWM:") {
			return strings.Join(strings.Fields(line), " ")
		}
	}
	return "no VmHWM"
}
