package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/acmeauthz/acmeauthz/internal/fakeca"
	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/acme"
)

// leaked is the common situation: an account, and a log with three leaks.
func leaked(t *testing.T, config fakeca.Config) *bench {
	b := newBench(t, config)
	b.account(b.ca.Client(), "35ce4c316f2f2d644994ea438682dbe5")
	b.write("logs/letsencrypt.log", certbotLog(b.leak("shop.example.org", "www.shop.example.org", "*.shop.example.org")...))
	return b
}

// A situation is what somebody meets, and all that is printed then is in
// testdata/golden.
type situation struct {
	config fakeca.Config
	run    func(b *bench) []outputs
}

func runs(all ...outputs) []outputs { return all }

func TestSituations(t *testing.T) {
	for name, s := range situations() {
		t.Run(name, func(t *testing.T) {
			b := leaked(t, s.config)
			b.golden(s.run(b)...)
		})
	}
}

func situations() map[string]situation {
	return map[string]situation{
		"help": {run: func(b *bench) []outputs {
			return runs(b.run("--help"), b.run("urls", "--help"))
		}},
		"dry-run": {run: func(b *bench) []outputs {
			return runs(b.run("--dry-run", b.path("logs")))
		}},
		"clear": {run: func(b *bench) []outputs {
			return runs(b.run(b.path("logs")), b.run(b.path("logs")))
		}},
		"no-arguments": {run: func(b *bench) []outputs {
			b.attended = true // nothing is piped in
			with := b.run()
			require.NoError(b.t, os.RemoveAll(b.path("logs")))
			return runs(with, b.run())
		}},
		"narrow": {run: func(b *bench) []outputs {
			long := strings.Repeat("a-very-long-name.", 6) + "example.org"
			b.write("logs/long.log", certbotLog(b.leak(long)...))
			b.columns = 80
			narrow := b.run("-n", b.path("logs"))
			b.columns = 200
			return runs(narrow, b.run("-n", b.path("logs")), b.run("plan", b.path("logs")))
		}},
		"rotated-away": {run: func(b *bench) []outputs {
			b.write("logs/letsencrypt.log", "")
			return runs(b.run(b.path("logs")), b.run("leaks", b.path("logs")))
		}},
		"log-formats": {run: func(b *bench) []outputs {
			b.now = time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC)
			return runs(b.run("-n", "--log-format", "json", b.path("logs")), b.run("--log-format", "text", b.path("none")), b.run("--log-format", "json", "--log-level", "error", b.path("none")),
				b.run("--log-format", "xml", b.path("logs")), b.run("--log-level", "loud", b.path("logs")), b.run("accounts", "--log-format", "json", b.path("none")))
		}},
		"versions": {run: func(b *bench) []outputs {
			return runs(b.run("--version"), b.run("version"), b.run("version", "--json"), b.run("schema"), b.run("schema", "nope"))
		}},
		"stdin": {run: func(b *bench) []outputs {
			b.stdin = strings.NewReader(certbotLog(b.leak("piped.example.org")...))
			return runs(b.run())
		}},
		"stdin-and-files": {run: func(b *bench) []outputs {
			b.stdin = strings.NewReader(certbotLog(b.leak("piped.example.org")...))
			return runs(b.run("-n", "-", b.path("logs", "letsencrypt.*"), b.path("logs")))
		}},
		"json": {run: func(b *bench) []outputs {
			return runs(b.run("--json", b.path("logs")))
		}},
		"json-quiet-dry-run": {run: func(b *bench) []outputs {
			return runs(b.run("--json", "-q", "-n", b.path("logs")))
		}},
		"quiet": {run: func(b *bench) []outputs {
			return runs(b.run("--quiet", b.path("logs")))
		}},
		"answer": {run: func(b *bench) []outputs {
			return runs(b.run("--method", "answer", b.path("logs")))
		}},
		"all-states": {run: allStates},

		"nothing-found": {run: func(b *bench) []outputs {
			b.write("empty.log", "")
			b.write("other.log", "2026-11-23 20:43:25,699:DEBUG:certbot._internal.main:certbot version: 2.1.0\n")
			require.NoError(b.t, os.Mkdir(b.path("none"), 0o755))
			return runs(b.run(), b.run(b.path("empty.log")), b.run(b.path("other.log")), b.run(b.path("none")), b.run("urls", b.path("other.log")))
		}},
		"wrong-directory": {run: func(b *bench) []outputs {
			b.write("syslog/syslog", "Nov 23 20:43:25 web01 sshd[1]: Accepted publickey for root\n")
			b.write("syslog/dpkg.log", "2026-11-23 20:43:25 install certbot:all <none> 2.1.0-4\n")
			b.write("deep/er/notes.txt", "nothing\n")
			require.NoError(b.t, os.Mkdir(b.path("letsencrypt/live"), 0o755))
			b.write("letsencrypt/cli.ini", "# Because we are using logrotate for greater flexibility\n")
			key := b.account(b.ca.Client(), "35ce4c316f2f2d644994ea438682dbe5")
			return runs(b.run(b.path("syslog")), b.run("leaks", b.path("syslog")), b.run(b.path("letsencrypt")), b.run("plan", b.path("deep")),
				b.run("leaks", key), b.run("--key", b.path("logs", "letsencrypt.log"), b.path("logs")))
		}},
		"plan-spared": {run: func(b *bench) []outputs {
			return runs(b.run("plan", "--min-age", "1000h", b.path("logs")), b.run("--min-age", "1000h", b.path("logs")))
		}},
		"no-such-file": {run: func(b *bench) []outputs {
			return runs(b.run("letsencrypt.log"), b.run(b.path("logs", "nope.log")), b.run(b.path("logs", "*.gz")))
		}},
		"unknown-flag": {run: func(b *bench) []outputs {
			return runs(b.run("--dryrun"), b.run("--rate", "fast"), b.run("--rate", "-1"), b.run("--parallel", "0"),
				b.run("--method", "pray"), b.run("--timeout", "0s"))
		}},
		"broken-log": {run: brokenLog},
		"urls":       {run: func(b *bench) []outputs { return runs(b.run("urls", b.path("logs"))) }},
		"urls-broken": {run: func(b *bench) []outputs {
			b.write("only/letsencrypt.log.1.gz", "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03")
			return runs(b.run("urls", b.path("only")), b.run(b.path("only")))
		}},

		"two-CAs": {run: func(b *bench) []outputs {
			b.write("logs/letsencrypt.log.1", certbotLog(
				"https://acme-v02.api.letsencrypt.org/acme/authz/2635782511/659126392189",
				"https://acme-v02.api.letsencrypt.org/acme/authz/2635782511/659126392087",
				"https://acme-v02.api.letsencrypt.org/acme/authz/2635782511/659126392171",
				"https://acme-v02.api.letsencrypt.org/acme/authz/2635782511/659126392232"))
			return runs(b.run(b.path("logs")), b.run("--server", "ca.test", b.path("logs")), b.run("--key", b.account(b.ca.Client(), "0"), b.path("logs")))
		}},
		"server-by-variable": {run: func(b *bench) []outputs {
			b.env["CLEAR_AUTHZ_SERVER"] = b.ca.DirectoryURL()
			return runs(b.run("-n", b.path("logs")), b.run("-n", "--server", "acme-v02.api.letsencrypt.org", b.path("logs")))
		}},
		"server-by-directory": {run: func(b *bench) []outputs {
			return runs(b.run("-n", "--server", "https://CA.test:443/directory/", b.path("logs")), b.run("-n", "--server", "https://ca.test/dir", b.path("logs")),
				b.run("-n", "--server", "http://ca.test/directory", b.path("logs")))
		}},
		"server-that-is-none": {run: func(b *bench) []outputs {
			b.env["CLEAR_AUTHZ_SERVER"] = "ftp://ca.test/dir"
			return runs(b.run(b.path("logs")), b.run("--server", "two words", b.path("logs")))
		}},
		"server-without-URLs": {run: func(b *bench) []outputs {
			other := newBench(b.t, fakeca.Config{})
			client := other.ca.Client()
			client.DirectoryURL = "https://other.test/directory"
			client.KID = "https://other.test/acme/acct/1"
			b.account(client, "ffffffffffffffffffffffffffffffff")
			return runs(b.run("--server", "other.test", b.path("logs")))
		}},
		"retired-servers": {run: func(b *bench) []outputs {
			b.write("old.log", certbotLog("https://acme-v01.api.letsencrypt.org/acme/authz/Ec1k2vFZ5wv8oQm0yq3Zx0h7pJtR4bLdS9uNaYgXiWE"))
			return runs(b.run("-n", b.path("old.log")), b.run("-n", b.path("old.log"), b.path("logs")))
		}},

		"no-accounts": {run: func(b *bench) []outputs {
			require.NoError(b.t, os.MkdirAll(b.path("empty/accounts"), 0o755))
			b.write("keyless/accounts/ca.test/directory/1/regr.json", "{}")
			b.write("broken/accounts/ca.test/directory/1/private_key.json", "{")
			return runs(b.run("--config-dir", b.path("none"), b.path("logs")), b.run("--config-dir", b.path("empty"), b.path("logs")),
				b.run("--config-dir", b.path("broken"), b.path("logs")), b.run("--config-dir", b.path("keyless"), b.path("logs")),
				b.run("--config-dir", b.path("letsencrypt/accounts"), b.path("logs")))
		}},
		"account-of-another-CA": {run: func(b *bench) []outputs {
			b.write("other.log", certbotLog("https://acme-v02.api.letsencrypt.org/acme/authz/2635782511/659126392189"))
			return runs(b.run(b.path("other.log")))
		}},
		"another-broken-account": {run: func(b *bench) []outputs {
			b.write("letsencrypt/accounts/ca.test/directory/0/private_key.json", "{")
			return runs(b.run("-n", b.path("logs")))
		}},
		"two-broken-accounts": {run: func(b *bench) []outputs {
			b.write("letsencrypt/accounts/ca.test/directory/0/private_key.json", "{")
			b.write("letsencrypt/accounts/ca.test/directory/1/regr.json", "{")
			return runs(b.run("-n", "-q", b.path("logs")))
		}},
		"look-up-fails-of-one": {config: fakeca.Config{Behavior: fakeca.Pebble}, run: func(b *bench) []outputs {
			other := newBench(b.t, fakeca.Config{}).ca.Client() // nobody knows its key here
			other.DirectoryURL = b.ca.DirectoryURL()
			other.KID = "https://elsewhere.test/acct/1"
			b.account(other, "9fd54dc85428a4b6a31583172b7e4162")
			return runs(b.run(b.path("logs")))
		}},
		"two-accounts":                {run: twoAccounts},
		"two-accounts-plain-URLs":     {config: fakeca.Config{Behavior: fakeca.Pebble}, run: twoAccountsPlain},
		"account-of-others":           {run: accountOfOthers},
		"account-unknown-number":      {run: func(b *bench) []outputs { return runs(b.run("--account", "77", b.path("logs"))) }},
		"account-deactivated":         {run: accountDeactivated},
		"account-not-known":           {run: accountNotKnown},
		"account-without-its-own-URL": {run: accountWithoutURL},
		"key":                         {run: keyArguments},
		"key-that-is-none":            {run: keysThatAreNone},
		"key-exposed": {run: func(b *bench) []outputs {
			path := b.account(b.ca.Client(), "35ce4c316f2f2d644994ea438682dbe5")
			require.NoError(b.t, os.Chmod(path, 0o644))
			return runs(b.run("-n", b.path("logs")))
		}},

		"CA-refuses": {config: fakeca.Config{Behavior: fakeca.StepCA}, run: func(b *bench) []outputs {
			return runs(b.run(b.path("logs")), b.run("--method", "answer", b.path("logs")))
		}},
		"CA-ignores": {config: fakeca.Config{Behavior: fakeca.Ignores}, run: func(b *bench) []outputs {
			return runs(b.run(b.path("logs")))
		}},
		"CA-limits": {config: fakeca.Config{Intercept: limitAfter(1)}, run: func(b *bench) []outputs {
			return runs(b.run("--parallel", "1", b.path("logs")))
		}},
		"CA-fails-often": {config: fakeca.Config{Intercept: refuse(fakeca.Deactivate)}, run: func(b *bench) []outputs {
			var names []string
			for range 12 {
				names = append(names, "many.example.org")
			}
			b.write("logs/letsencrypt.log", certbotLog(b.leak(names...)...))
			return runs(b.run("--force", b.path("logs")))
		}},
		"CA-down": {run: func(b *bench) []outputs {
			b.transport = failing{errors.New("dial tcp 192.0.2.1:443: connect: connection refused")}
			return runs(b.run(b.path("logs")))
		}},
		"CA-untrusted": {run: func(b *bench) []outputs {
			b.transport = failing{x509.UnknownAuthorityError{}}
			return runs(b.run(b.path("logs")))
		}},
		"CA-is-something-else": {run: func(b *bench) []outputs {
			b.transport = answering("<html>It works!</html>")
			return runs(b.run(b.path("logs")))
		}},
		"CA-hangs": {config: fakeca.Config{Intercept: hang}, run: func(b *bench) []outputs {
			b.transport = stuck{}
			return runs(b.run("--timeout", "20ms", b.path("logs")))
		}},
		"CA-rejects-one-of-two": {run: rejectTwo},
		"not-an-authorization":  {config: fakeca.Config{Intercept: notAnAuthorization}, run: somethingElse},
		"CA-breaks-some": {config: fakeca.Config{Intercept: resetSome}, run: func(b *bench) []outputs {
			return runs(b.run(b.path("logs")))
		}},
		"hostile-CA": {config: fakeca.Config{Intercept: hostile}, run: func(b *bench) []outputs {
			return runs(b.run("-n", b.path("logs")), b.run("-n", "--json", b.path("logs")))
		}},
	}
}

// allStates has one authorization in each state that a CA may show.
func allStates(b *bench) []outputs {
	var urls []string
	for _, status := range []string{"pending", "valid", "invalid", "deactivated", "revoked"} {
		urls = append(urls, b.ca.Add(fakeca.Authorization{Identifier: status + ".example.org", Status: status, Expires: farAway}))
	}
	urls = append(urls, b.ca.Add(fakeca.Authorization{Identifier: "expired.example.org", Expires: farAway.AddDate(-90, 0, 0)}))
	urls = append(urls, b.ca.URL()+"/acme/authz/1/999")
	b.write("all.log", certbotLog(urls...))
	return runs(b.run("-n", b.path("all.log")), b.run("-n", "--json", b.path("all.log")), b.run(b.path("all.log")))
}

// brokenLog has a log that ends in the middle of its gzip data, and good ones.
func brokenLog(b *bench) []outputs {
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	_, err := io.WriteString(w, certbotLog(b.leak("packed.example.org")...))
	require.NoError(b.t, err)
	require.NoError(b.t, w.Flush())
	b.write("logs/letsencrypt.log.1.gz", packed.String())
	return runs(b.run(b.path("logs")))
}

func twoAccounts(b *bench) []outputs {
	second := b.ca.NewAccount()
	b.account(second, "9fd54dc85428a4b6a31583172b7e4162")
	url := b.ca.Add(fakeca.Authorization{Identifier: "second.example.org", Owner: second.KID, Expires: farAway})
	b.write("logs/letsencrypt.log.1", certbotLog(url))
	return runs(b.run("-n", b.path("logs")), b.run("-n", "--account", number2(second), b.path("logs")),
		b.run("-n", "--account", "9fd54dc85428a4b6a31583172b7e4162", b.path("logs")))
}

func number2(c *acme.Client) string {
	return string(c.KID)[strings.LastIndex(string(c.KID), "/")+1:]
}

// twoAccountsPlain has URLs that do not say whose they are.
func twoAccountsPlain(b *bench) []outputs {
	second := b.ca.NewAccount()
	b.account(second, "9fd54dc85428a4b6a31583172b7e4162")
	url := b.ca.Add(fakeca.Authorization{Identifier: "second.example.org", Owner: second.KID, Expires: farAway})
	b.write("logs/letsencrypt.log.1", certbotLog(url))
	first := number2(b.ca.Client())
	return runs(b.run(b.path("logs")), b.run("--account", first, b.path("logs")), b.run("--account", first, b.path("logs", "letsencrypt.log.1")))
}

// accountOfOthers has URLs of an account whose key is not there.
func accountOfOthers(b *bench) []outputs {
	stranger := b.ca.NewAccount()
	url := b.ca.Add(fakeca.Authorization{Identifier: "stranger.example.org", Owner: stranger.KID, Expires: farAway})
	b.write("logs/letsencrypt.log.1", certbotLog(url))
	return runs(b.run("-n", b.path("logs")), b.run("-n", "--json", "-q", b.path("logs")), b.run(b.path("logs", "letsencrypt.log.1")))
}

func accountDeactivated(b *bench) []outputs {
	b.ca.DeactivateAccount(b.ca.Client())
	return runs(b.run(b.path("logs")))
}

// accountNotKnown has a key that the CA never saw, and no account URL.
func accountNotKnown(b *bench) []outputs {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(b.t, err)
	b.write("key.pem", pemKey(b.t, key))
	return runs(b.run("--server", b.ca.DirectoryURL(), b.path("key.pem"), b.path("logs")))
}

// accountWithoutURL has an account whose regr.json is lost.
func accountWithoutURL(b *bench) []outputs {
	require.NoError(b.t, os.Remove(b.path("letsencrypt/accounts/ca.test/directory/35ce4c316f2f2d644994ea438682dbe5/regr.json")))
	return runs(b.run("-n", b.path("logs")))
}

func keyArguments(b *bench) []outputs {
	b.write("key.pem", pemKey(b.t, b.ca.Client().Key))
	b.write("key2.pem", pemKey(b.t, b.ca.NewAccount().Key))
	jwk := b.path("letsencrypt/accounts/ca.test/directory/35ce4c316f2f2d644994ea438682dbe5/private_key.json")
	server := "--server=" + b.ca.DirectoryURL()
	return runs(b.run("-n", b.path("key.pem"), b.path("logs")), b.run("-n", server, b.path("key.pem"), b.path("logs")),
		b.run("-n", server, b.path("logs"), jwk), b.run("-n", server, "--key", jwk, b.path("logs")),
		b.run("-n", server, "--key", jwk, b.path("key.pem"), b.path("logs")), b.run("-n", server, b.path("key2.pem"), b.path("logs")))
}

func keysThatAreNone(b *bench) []outputs {
	b.write("encrypted.pem", "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIBvTBXBgkqhkiG9w0BBQ0wSjApBgkqhkiG9w0BBQwwHAQI\n-----END ENCRYPTED PRIVATE KEY-----\n")
	b.write("public.json", `{"kty":"EC","crv":"P-256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}`)
	b.write("certificate.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("no key")})))
	return runs(b.run("-n", b.path("encrypted.pem"), b.path("logs")), b.run("-n", b.path("public.json"), b.path("logs")),
		b.run("-n", "--key", b.path("certificate.pem"), b.path("logs")), b.run("-n", "--key", b.path("none.pem"), b.path("logs")))
}

// limitAfter refuses deactivations with a long Retry-After once n were done.
func limitAfter(n int64) func(*fakeca.Request) *fakeca.Answer {
	var count atomic.Int64
	return func(r *fakeca.Request) *fakeca.Answer {
		if r.Kind != fakeca.Deactivate || count.Add(1) <= n {
			return nil
		}
		limited := fakeca.Problem(http.StatusTooManyRequests, "rateLimited", "too many requests")
		limited.Header.Set("Retry-After", farAway.Format(http.TimeFormat))
		return limited
	}
}

func refuse(kind fakeca.Kind) func(*fakeca.Request) *fakeca.Answer {
	return func(r *fakeca.Request) *fakeca.Answer {
		if r.Kind != kind {
			return nil
		}
		return fakeca.Problem(http.StatusConflict, "conflict", "come back some other day")
	}
}

func hang(*fakeca.Request) *fakeca.Answer { return &fakeca.Answer{Hang: true} }

// hostile hides terminal escapes in what it says.
func hostile(r *fakeca.Request) *fakeca.Answer {
	const evil = "\\u001b]0;owned\\u0007\\u009b31m\\u202egro.elpmaxe"
	switch {
	case r.Kind != fakeca.Read:
		return nil
	case strings.HasSuffix(r.Path, "2"):
		return &fakeca.Answer{Header: http.Header{"Content-Type": {"application/json"}},
			Body: []byte(`{"status":"pend\u001bing","identifier":{"type":"dns","value":"` + evil + `"},"challenges":[]}`)}
	}
	return &fakeca.Answer{Status: http.StatusConflict, Header: http.Header{"Content-Type": {"application/problem+json"}},
		Body: []byte(`{"type":"urn:ietf:params:acme:error:malformed","detail":"line\nclear-authz: all is well ` + evil + `"}`)}
}

// failing is a network that does not work.
type failing struct{ err error }

func (f failing) RoundTrip(*http.Request) (*http.Response, error) { return nil, f.err }

// stuck is a network that swallows requests.
type stuck struct{}

func (stuck) RoundTrip(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, context.Cause(r.Context())
}

// answering is a web server that is no CA.
type answering string

func (a answering) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"text/html"}},
		Body: io.NopCloser(strings.NewReader(string(a))), Request: r}, nil
}
