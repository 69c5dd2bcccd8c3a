package logparse

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"regexp"
	"runtime"
	"testing"
)

// oldPattern is the 2018 tool's regular expression, https://<v1 host>/acme/authz/[a-zA-Z0-9_-]+, with the hosts and the
// accounts of today.
var oldPattern = regexp.MustCompile(`https://[a-zA-Z0-9.:-]+/acme/authz/[a-zA-Z0-9_/-]+`)

// A certbotLog is a Certbot log of any length: a recorded one again and again, each time with numbers of its own in the
// first repeats, so that there are about 100,000 distinct authorizations at most.
type certbotLog struct {
	recorded []byte
	numbers  [][]int // where the numbers of its authorizations and challenges stand, each as start and end
	rest     []byte
	left     int64
	repeats  int
	buf      []byte
}

const maxRepeats = 2500

var numberInURL = regexp.MustCompile(`/(?:authz|chall)/\d+/(\d+)`)

// newCertbotLog returns a log of about size bytes.
func newCertbotLog(tb testing.TB, size int64) *certbotLog {
	tb.Helper()
	var recorded []byte
	for _, scenario := range []string{"several-runs-one-log", "twenty-names-killed", "rate-limited", "five-names-one-fails"} {
		data, err := os.ReadFile("testdata/certbot/" + scenario + "/logs/letsencrypt/letsencrypt.log")
		if err != nil {
			tb.Fatal(err)
		}
		recorded = append(recorded, data...)
	}
	l := &certbotLog{recorded: recorded, left: size, buf: bytes.Clone(recorded)}
	for _, m := range numberInURL.FindAllSubmatchIndex(recorded, -1) {
		l.numbers = append(l.numbers, m[2:4])
	}
	return l
}

// Read implements [io.Reader].
func (l *certbotLog) Read(b []byte) (int, error) {
	if l.left <= 0 {
		return 0, io.EOF
	}
	if len(l.rest) == 0 {
		l.renumber()
		l.rest = l.buf
	}
	n := copy(b[:min(int64(len(b)), l.left)], l.rest)
	l.rest = l.rest[n:]
	l.left -= int64(n)
	return n, nil
}

// renumber gives every authorization another number.
func (l *certbotLog) renumber() {
	l.repeats = (l.repeats + 1) % maxRepeats
	for _, n := range l.numbers {
		copy(l.buf[n[0]:n[1]], l.recorded[n[0]:n[1]])
		copy(l.buf[n[0]:n[1]], fmt.Sprintf("%04d", l.repeats))
	}
}

// BenchmarkURLs compares URLs with what it replaces, on the same log.
func BenchmarkURLs(b *testing.B) {
	log, err := io.ReadAll(newCertbotLog(b, 64<<20))
	if err != nil {
		b.Fatal(err)
	}
	b.Run("URLs", func(b *testing.B) {
		b.SetBytes(int64(len(log)))
		for b.Loop() {
			if _, err := collect(URLs(bytes.NewReader(log))); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("Scanner", func(b *testing.B) {
		b.SetBytes(int64(len(log)))
		b.ReportAllocs()
		var s Scanner
		for b.Loop() {
			s.Reset(bytes.NewReader(log))
			for s.Scan() {
			}
		}
	})
	b.Run("LinesAndRegexp", func(b *testing.B) {
		b.SetBytes(int64(len(log)))
		for b.Loop() {
			linesAndRegexp(bytes.NewReader(log))
		}
	})
}

// linesAndRegexp is what the 2018 tool did, without its limit on lines and with each URL once.
func linesAndRegexp(r io.Reader) (urls []string) {
	seen := map[string]bool{}
	in := bufio.NewReader(r)
	for {
		line, err := in.ReadString('\n')
		if url := oldPattern.FindString(line); url != "" && !seen[url] {
			seen[url] = true
			urls = append(urls, url)
		}
		if err != nil {
			return urls
		}
	}
}

// BenchmarkDistinct reports what remembering a URL costs.
func BenchmarkDistinct(b *testing.B) {
	const n = 100_000
	for b.Loop() {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		var s seen
		for i := range n {
			s.add(fmt.Appendf(nil, "https://ca.example/acme/authz/1/%d", i))
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/n, "B/URL")
		runtime.KeepAlive(&s)
	}
	b.ReportMetric(0, "ns/op")
}

// BenchmarkScannerOn shows what a log is made of that costs the Scanner time.
func BenchmarkScannerOn(b *testing.B) {
	random := rand.NewChaCha8([32]byte{})
	binary := make([]byte, 8<<20)
	random.Read(binary)
	for name, unit := range map[string][]byte{
		"blanks":         []byte(" "),
		"letters":        []byte("zZh"),
		"words":          []byte("authz chall "),
		"paths":          []byte("/authz/chall/"),
		"URLs":           []byte("https://ca.example/acme/authz/1/23456789 "),
		"escaped":        []byte(`https:\/\/ca.example\/acme\/authz\/1\/23456789\n`),
		"noToken":        []byte("https://authz/"),
		"binary":         binary,
		"emptyArrays":    []byte(`"authorizations":[`),
		"backslashes":    []byte(`\`),
		"requestLines":   []byte(`https://ca.example:443 "POST /acme/authz/1/23456789 HTTP/1.1"`),
		"openingQuotes":  []byte(`"authorizations":["https://`),
		"elements":       []byte(`"https://x/1",`),
		"percentEncoded": []byte(`https%3A%2F%2Fca.example%2Facme%2Fauthz%2F1%2F2%0A`),
	} {
		b.Run(name, func(b *testing.B) {
			log := bytes.Repeat(unit, 8<<20/len(unit))
			if name == "elements" {
				log = append([]byte(`"authorizations":[`), log...)
			}
			b.SetBytes(int64(len(log)))
			var s Scanner
			for b.Loop() {
				s.Reset(bytes.NewReader(log))
				for s.Scan() {
				}
			}
		})
	}
}
