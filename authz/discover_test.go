package authz_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/acme"

	"github.com/acmeauthz/acmeauthz/authz"
	"github.com/acmeauthz/acmeauthz/internal/fakeca"
)

// The directory and the account are read with x/crypto's client, whose own
// retries have no end.
func TestDiscovery(t *testing.T) {
	directory := func(nonce, account string) *fakeca.Answer {
		return &fakeca.Answer{Body: fmt.Appendf(nil, `{"newNonce":%q,"newAccount":%q,"newOrder":"https://ca.test/acme/new-order"}`, nonce, account)}
	}
	const ours = "https://ca.test/acme/new-nonce"
	for _, tt := range []struct {
		name        string
		kind        fakeca.Kind
		answer      *fakeca.Answer
		times       int
		noKID       bool
		err         string // of the sequence; "" if all is well
		limited     bool
		directories int
		max         time.Duration
	}{
		{name: "a 500", kind: fakeca.Directory, answer: fakeca.Problem(500, "serverInternal", ""), times: 1, directories: 2, max: time.Second},
		{name: "500 for ever", kind: fakeca.Directory, answer: fakeca.Problem(500, "serverInternal", ""), times: always, err: "authz: read directory https://ca.test/directory: 500", directories: 5, max: 15 * time.Second},
		{name: "a reset", kind: fakeca.Directory, answer: &fakeca.Answer{Reset: true}, times: 1, directories: 2, max: time.Second},
		{name: "resets for ever", kind: fakeca.Directory, answer: &fakeca.Answer{Reset: true}, times: always, err: "authz: read directory", directories: 3, max: 3 * time.Second},
		{name: "limited", kind: fakeca.Directory, answer: limited(429, "60"), times: 1, directories: 2, max: time.Minute},
		{name: "limited for a day", kind: fakeca.Directory, answer: limited(429, "86400"), times: always, err: "authz: read directory", limited: true, directories: 1},
		{name: "a page", kind: fakeca.Directory, answer: &fakeca.Answer{Body: []byte("<html>")}, times: always, err: "authz: read directory", directories: 1},
		{name: "without an end", kind: fakeca.Directory, answer: &fakeca.Answer{Body: append([]byte("{"), bytes.Repeat([]byte(" "), 2<<20)...)}, times: always, err: "unexpected EOF", directories: 3, max: 3 * time.Second},
		{name: "cut off", kind: fakeca.Directory, answer: &fakeca.Answer{After: true, Truncate: 10}, times: 1, directories: 2, max: time.Second},
		{name: "a foreign newNonce that is not https", kind: fakeca.Directory, answer: directory("http://evil.example/nonce", ours), times: always, err: "newNonce: authz: URL does not belong to the CA", directories: 1},
		{name: "newAccount that is not https", kind: fakeca.Directory, answer: directory(ours, "http://evil.example/account"), noKID: true, times: always, err: "newAccount: authz: URL does not belong to the CA", directories: 1},
		{name: "no Location for the account", kind: fakeca.Account, answer: &fakeca.Answer{Body: []byte(`{"status":"valid"}`)}, noKID: true, times: always, err: "URL does not belong to the CA", directories: 1},
		{name: "look-up limited", kind: fakeca.Account, answer: limited(429, "60"), noKID: true, times: 1, directories: 1, max: time.Minute},
		{name: "look-up limited for a day", kind: fakeca.Account, answer: limited(429, "86400"), noKID: true, times: always, err: "look up account", limited: true, directories: 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ca := fakeca.New(fakeca.Config{Intercept: first(tt.times, tt.kind, tt.answer)})
				client, url := ca.Client(), ca.Add(fakeca.Authorization{})
				if tt.noKID {
					client.KID = ""
				}
				started := time.Now()
				results, err := gather(t, (&authz.Manager{Client: client}).Deactivate(t.Context(), authz.URLs(url)))
				if tt.err == "" {
					require.NoError(t, err)
					require.True(t, results[0].Changed)
				} else {
					require.ErrorContains(t, err, tt.err)
					require.Empty(t, results)
				}
				require.Equal(t, tt.limited, strings.Contains(fmt.Sprint(err), "rate limited until 2000-01-02"), err)
				require.Equal(t, tt.directories, ca.Count(fakeca.Directory))
				require.LessOrEqual(t, time.Since(started), tt.max)
				for _, r := range ca.Requests() {
					require.True(t, strings.HasPrefix(r.URL, "https://ca.test/"), r.URL)
				}
			})
		})
	}
}

// A CA without nonces is asked a few times for the first URL, not for ever.
func TestNoNonces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca := fakeca.New(fakeca.Config{Intercept: first(always, fakeca.Nonce, fakeca.Problem(500, "serverInternal", ""))})
		r := one(t, (&authz.Manager{Client: ca.Client()}).List(t.Context(), authz.URLs(ca.Add(fakeca.Authorization{}))))
		require.ErrorContains(t, r.Err, "authz: new nonce: 500")
		require.Equal(t, 5, ca.Count(fakeca.Nonce))
		require.Zero(t, ca.Count(fakeca.Read))
	})
}

// The account is asked about once for many URLs that are not ours, and again
// after a while.
func TestAccountIsCheckedOnceInAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca := fakeca.New(fakeca.Config{Latency: time.Second})
		urls := add(ca, 100, fakeca.Authorization{})
		results, err := gather(t, (&authz.Manager{Client: ca.NewAccount(), Parallelism: 1}).List(t.Context(), authz.URLs(urls...)))
		require.NoError(t, err)
		for _, r := range results {
			require.ErrorIs(t, r.Err, authz.ErrNotOurs)
		}
		require.InDelta(t, 100/30, ca.Count(fakeca.Account), 1)
	})
}

// Some CAs read out a deactivated account instead of refusing it.
func TestAccountThatReadsDeactivated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca := fakeca.New(fakeca.Config{Intercept: func(r *fakeca.Request) *fakeca.Answer {
			switch r.Kind {
			case fakeca.Account:
				return &fakeca.Answer{Body: []byte(`{"status":"deactivated"}`)}
			case fakeca.Read:
				return fakeca.Problem(403, "unauthorized", "no")
			}
			return nil
		}})
		client := ca.Client()
		_, err := gather(t, (&authz.Manager{Client: client}).List(t.Context(), authz.URLs(ca.Add(fakeca.Authorization{}))))
		require.ErrorIs(t, err, authz.ErrAccount)
		require.ErrorContains(t, err, "account "+string(client.KID)+" is "+acme.StatusDeactivated)
	})
}

// dialFails fails requests to a URL before a connection is made, n times.
type dialFails struct {
	http.RoundTripper
	n   atomic.Int32
	url atomic.Value
}

func (d *dialFails) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.String() == d.url.Load() && r.ContentLength > 300 && d.n.Add(-1) >= 0 { // a deactivation is longer than a read
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")}
	}
	return d.RoundTripper.RoundTrip(r)
}

// What never reached the CA is sent again without a look at what it did.
func TestDeactivateWithoutAConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca := fakeca.New(fakeca.Config{})
		client, url := ca.Client(), ca.Add(fakeca.Authorization{})
		transport := &dialFails{RoundTripper: ca.Transport()}
		transport.url.Store(url)
		transport.n.Store(2)
		client.HTTPClient = &http.Client{Transport: transport}
		r := one(t, (&authz.Manager{Client: client}).Deactivate(t.Context(), authz.URLs(url)))
		require.True(t, r.Changed, r.Err)
		require.Negative(t, transport.n.Load(), "no dial has failed")
		require.Equal(t, 1, ca.Count(fakeca.Read))
		require.Equal(t, 1, ca.Count(fakeca.Deactivate))
	})
}

// A certificate that does not verify will not do so the next time.
func TestBadCertificateIsTriedOnce(t *testing.T) {
	var connections atomic.Int32
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			connections.Add(1)
		}
	}
	server.StartTLS()
	defer server.Close()
	client := fakeca.New(fakeca.Config{}).Client()
	client.HTTPClient, client.DirectoryURL = nil, server.URL+"/directory"
	_, err := gather(t, (&authz.Manager{Client: client}).List(t.Context(), authz.URLs()))
	_, ok := errors.AsType[*tls.CertificateVerificationError](err)
	require.True(t, ok, err)
	require.EqualValues(t, 1, connections.Load())
}

// The connections that a range has made do not outlive it.
func TestConnectionsAreClosed(t *testing.T) {
	var open atomic.Int32
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		at := "http://" + r.Host
		_, _ = fmt.Fprintf(w, `{"newNonce":"%s/n","newAccount":"%s/a","newOrder":"%s/o"}`, at, at, at)
	}))
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			open.Add(1)
		case http.StateClosed:
			open.Add(-1)
		}
	}
	server.Start()
	defer server.Close()
	client := fakeca.New(fakeca.Config{}).Client()
	client.HTTPClient, client.DirectoryURL, client.KID = nil, server.URL+"/directory", acme.KeyID(server.URL+"/a/1")
	_, err := gather(t, (&authz.Manager{Client: client}).List(t.Context(), authz.URLs()))
	require.NoError(t, err)
	require.Eventually(t, func() bool { return open.Load() == 0 }, 5*time.Second, 10*time.Millisecond)
}
