package main

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/acmeauthz/acmeauthz/internal/display"
	"github.com/acmeauthz/acmeauthz/internal/fakeca"
	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/acme"
)

// farAway is an expiry that does not change from test to test.
var farAway = time.Date(2099, 1, 2, 3, 4, 5, 0, time.UTC)

var update = flag.Bool("update", false, "write the golden files")

// A bench is a machine with a Certbot directory, logs, and a CA that never is
// more than a Go value away: what is not served by transport fails.
type bench struct {
	t         *testing.T
	dir       string // with logs/ and letsencrypt/
	ca        *fakeca.CA
	transport http.RoundTripper
	env       map[string]string
	stdin     io.Reader
	now       time.Time // zero is recordedAt
	attended  bool      // as program has it
	columns   int       // as program has it
}

func newBench(t *testing.T, config fakeca.Config) *bench {
	ca := fakeca.New(config)
	b := &bench{t: t, dir: t.TempDir(), ca: ca, transport: ca.Transport(), env: map[string]string{}, stdin: strings.NewReader("")}
	require.NoError(t, os.MkdirAll(b.path("logs"), 0o755))
	return b
}

func (b *bench) path(elem ...string) string {
	return filepath.Join(append([]string{b.dir}, elem...)...)
}

func (b *bench) write(name, content string) {
	b.t.Helper()
	require.NoError(b.t, os.MkdirAll(filepath.Dir(b.path(name)), 0o755))
	require.NoError(b.t, os.WriteFile(b.path(name), []byte(content), 0o600))
}

// account stores a client's account as Certbot does, and returns the path of the
// key.
func (b *bench) account(c *acme.Client, id string) string {
	b.t.Helper()
	directory, err := url.Parse(c.DirectoryURL)
	require.NoError(b.t, err)
	dir := filepath.Join("letsencrypt/accounts", directory.Host, directory.Path, id)
	key, err := jose.JSONWebKey{Key: c.Key}.MarshalJSON()
	require.NoError(b.t, err)
	b.write(filepath.Join(dir, "private_key.json"), string(key))
	b.write(filepath.Join(dir, "regr.json"), fmt.Sprintf(`{"body": {}, "uri": %q}`, c.KID))
	b.write(filepath.Join(dir, "meta.json"), `{"creation_dt": "2026-11-23T20:43:25Z", "creation_host": "web01.example.com"}`)
	return b.path(dir, "private_key.json")
}

// certbotLog is a line of Certbot's log for each URL.
func certbotLog(urls ...string) string {
	var b strings.Builder
	for _, u := range urls {
		fmt.Fprintf(&b, "2026-11-23 20:43:25,699:DEBUG:acme.client:Sending POST request to %s:\n{\n  \"payload\": \"\"\n}\n", u)
	}
	return b.String()
}

// leak makes pending authorizations and returns their URLs.
func (b *bench) leak(identifiers ...string) []string {
	var urls []string
	for _, name := range identifiers {
		value, wildcard := strings.CutPrefix(name, "*.")
		urls = append(urls, b.ca.Add(fakeca.Authorization{Identifier: value, Wildcard: wildcard, Expires: farAway}))
	}
	return urls
}

// An outputs is what a command printed and returned.
type outputs struct {
	args           []string
	stdout, stderr string
	code           int
}

func (b *bench) program(stdout, stderr io.Writer) *program {
	p := &program{
		stdin:     b.stdin,
		stdout:    stdout,
		stderr:    stderr,
		getenv:    func(name string) string { return b.env[name] },
		transport: b.transport,
		logDir:    b.path("logs"),
		configDir: b.path("letsencrypt"),
		now:       b.clock,
		location:  time.UTC,
		root:      os.DirFS(b.path(b.env["root"])),
		rootDir:   b.path(b.env["root"]),
	}
	if b.env["root"] != "" { // accounts are where clients keep them
		p.configDir = ""
	}
	return p
}

// recordedAt is a time shortly after the recorded logs were made.
var recordedAt = time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC)

// clock is the present: shortly after the logs of tests were made, unless the
// test says when.
func (b *bench) clock() time.Time {
	if b.now.IsZero() {
		return recordedAt
	}
	return b.now
}

func (b *bench) runContext(ctx context.Context, args ...string) outputs {
	var stdout, stderr bytes.Buffer
	p := b.program(&stdout, &stderr)
	p.attended, p.columns = b.attended, b.columns
	p.fold = func(text string) string { // where lines end does not depend on where tests run
		return strings.ReplaceAll(fold(strings.ReplaceAll(text, b.dir, "DIR"), display.PlainText), "DIR", b.dir)
	}
	code := p.run(ctx, append([]string{"clear-authz"}, args...))
	return outputs{args: args, stdout: stdout.String(), stderr: stderr.String(), code: code}
}

func (b *bench) run(args ...string) outputs {
	return b.runContext(b.t.Context(), args...)
}

// golden compares a run with testdata/golden/<test>.txt.
func (b *bench) golden(runs ...outputs) {
	b.t.Helper()
	_, name, _ := strings.Cut(b.t.Name(), "/")
	compareGolden(b.t, "testdata/golden/"+name+".txt", b.text(runs...))
}

// text is what was typed and printed.
func (b *bench) text(runs ...outputs) string {
	var got strings.Builder
	for _, r := range runs {
		fmt.Fprintf(&got, "$ clear-authz %s\n", strings.Join(r.args, " "))
		goldenPart(&got, "stdout", r.stdout)
		goldenPart(&got, "stderr", r.stderr)
		fmt.Fprintf(&got, "--- exit code %d\n", r.code)
	}
	return b.stable(got.String())
}

func goldenPart(w *strings.Builder, name, text string) {
	if text != "" {
		fmt.Fprintf(w, "--- %s\n%s", name, text)
	}
}

// stable takes out what differs from run to run.
func (b *bench) stable(s string) string {
	s = strings.ReplaceAll(s, b.dir, "DIR")
	s = waited.ReplaceAllString(s, "pending after TIME")
	s = aged.ReplaceAllString(s, "only TIME old")
	s = logged.ReplaceAllString(s, "${1}TIME")
	s = built.ReplaceAllString(s, "go1.N for OS/ARCH")
	s = builtJSON.ReplaceAllString(s, `"go":"go1.N","platform":"OS/ARCH"`)
	seen := make(map[string]string)
	return random.ReplaceAllStringFunc(s, func(id string) string {
		if seen[id] == "" {
			seen[id] = fmt.Sprintf("ID%d", len(seen)+1)
		}
		return seen[id]
	})
}

var (
	waited    = regexp.MustCompile(`pending after [0-9.a-zµ]+`)
	aged      = regexp.MustCompile(`only [0-9hms]+ old`)
	logged    = regexp.MustCompile(`(\btime[="]+:?"?)20[0-9T:.Z+-]+`)
	built     = regexp.MustCompile(`go1[0-9.a-z]+ for [a-z]+/[a-z0-9]+`)
	builtJSON = regexp.MustCompile(`"go":"go1[^"]*","platform":"[^"]*"`)
	random    = regexp.MustCompile(`\b[0-9a-f]{32}\b|[0-9A-Za-z_-]{43}`) // the ids that fake CAs make
)

func compareGolden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
		require.NoError(t, os.WriteFile(file, []byte(got), 0o644))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err, "go test -update writes it")
	require.Equal(t, string(want), got, file)
}

func pemKey(t *testing.T, key crypto.Signer) string {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}
