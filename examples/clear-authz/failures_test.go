package main

import (
	"net/http"
	"os"
	"os/signal"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/acmeauthz/acmeauthz/internal/fakeca"
	"github.com/stretchr/testify/require"
)

// TestSilentCA has a CA that answers nothing any more after some requests.
func TestSilentCA(t *testing.T) {
	signal.Stop(notified()) // starts package signal's goroutine outside of the bubbles
	for _, row := range []struct {
		name     string
		answered int
		code     int
		stderr   string
	}{
		{"at once", 0, exitNothing, "clear-authz: ca.test "},
		{"after a while", 60, exitFailed, "clear-authz: stopped, "},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := leaked(t, fakeca.Config{Latency: 100 * time.Millisecond, Intercept: func(r *fakeca.Request) *fakeca.Answer {
					if r.Number > row.answered {
						return &fakeca.Answer{Reset: true}
					}
					return nil
				}})
				b.write("logs/letsencrypt.log", certbotLog(b.leak(strings.Fields(strings.Repeat("many.example.org ", 300))...)...))
				r := b.run(b.path("logs"))
				require.Equal(t, row.code, r.code, r.stderr)
				require.Contains(t, oneLine(r.stderr), row.stderr)
				require.Contains(t, oneLine(r.stderr), "un the same command again")
				if row.answered > 0 {
					require.Contains(t, oneLine(r.stderr), "ca.test does not answer any more: new nonce: CA does not answer for 1m")
					require.Contains(t, oneLine(r.stderr), "what is cleared stays cleared.")
				}
			})
		})
	}
}

func notified() chan os.Signal {
	c := make(chan os.Signal, 1)
	signal.Notify(c, os.Interrupt)
	return c
}

// rejectTwo has an account of two that the CA does not accept any more.
func rejectTwo(b *bench) []outputs {
	second := b.ca.NewAccount()
	b.account(second, "00000000000000000000000000000000")
	url := b.ca.Add(fakeca.Authorization{Identifier: "second.example.org", Owner: second.KID, Expires: farAway})
	b.write("logs/letsencrypt.log.1", certbotLog(url))
	b.ca.DeactivateAccount(second)
	first := b.run(b.path("logs"))
	b.ca.DeactivateAccount(b.ca.Client())
	return runs(first, b.run(b.path("logs")))
}

// somethingElse has URLs at which there is no authorization.
func somethingElse(b *bench) []outputs {
	b.write("logs/letsencrypt.log", certbotLog(b.leak("shop.example.org", "order.example.org")...))
	return runs(b.run("--parallel", "1", b.path("logs")))
}

// notAnAuthorization answers the last read with an order.
func notAnAuthorization(r *fakeca.Request) *fakeca.Answer {
	if r.Kind != fakeca.Read || !strings.HasSuffix(r.Path, "/6") {
		return nil
	}
	return &fakeca.Answer{Header: map[string][]string{"Content-Type": {"application/json"}},
		Body: []byte(`{"status":"pending","finalize":"https://ca.test/acme/finalize/1/2","authorizations":[],"identifiers":[]}`)}
}

// resetSome breaks the connection each time that one authorization is read.
func resetSome(r *fakeca.Request) *fakeca.Answer {
	if r.Kind == fakeca.Read && strings.HasSuffix(r.Path, "/3") {
		return &fakeca.Answer{Reset: true}
	}
	return nil
}

// TestLookUpRedirected has a CA that sends the account look-up elsewhere.
func TestLookUpRedirected(t *testing.T) {
	var asked []string
	b := leaked(t, fakeca.Config{})
	require.NoError(t, os.Remove(b.path("letsencrypt/accounts/ca.test/directory/35ce4c316f2f2d644994ea438682dbe5/regr.json")))
	b.transport = redirecting{&asked}
	r := b.run("-n", b.path("logs"))
	require.Equal(t, exitNothing, r.code)
	require.Equal(t, []string{"https://ca.test/directory"}, asked)
	require.Contains(t, oneLine(r.stderr), "it redirects to https://other.test/directory")
}

// redirecting is a web server that sends everybody to another host.
type redirecting struct{ asked *[]string }

func (r redirecting) RoundTrip(req *http.Request) (*http.Response, error) {
	*r.asked = append(*r.asked, req.URL.String())
	return &http.Response{StatusCode: http.StatusFound, Header: http.Header{"Location": {"https://other.test/directory"}},
		Body: http.NoBody, Request: req}, nil
}
