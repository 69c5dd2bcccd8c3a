package main

import (
	"context"
	"encoding/pem"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/acmeauthz/acmeauthz/internal/fakeca"
	"github.com/stretchr/testify/require"
)

// overTLS puts a TLS server on loopback before the bench's CA. The CA believes
// itself to be at https://ca.test, and so the names in its answers are changed
// on their way.
func overTLS(t *testing.T, b *bench) *httptest.Server {
	var server *httptest.Server
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host, r.Out.Host = "https", "ca.test", "ca.test"
		},
		Transport: b.ca.Transport(),
		ModifyResponse: func(r *http.Response) error {
			body, err := io.ReadAll(r.Body)
			r.Body = io.NopCloser(strings.NewReader(strings.ReplaceAll(string(body), b.ca.URL(), server.URL)))
			r.ContentLength = -1
			r.Header.Del("Content-Length")
			return err
		},
	}
	server = httptest.NewTLSServer(proxy)
	t.Cleanup(server.Close)
	b.transport = nil // the program's own
	return server
}

func TestPrivateRoot(t *testing.T) {
	b := newBench(t, fakeca.Config{})
	server := overTLS(t, b)
	client := b.ca.Client()
	b.write("key.pem", pemKey(t, client.Key))
	b.write("logs/letsencrypt.log", certbotLog(server.URL+"/acme/authz/1/1"))
	b.write("root.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})))
	b.write("no.pem", "root")
	args := []string{"--dry-run", "--server", server.URL + "/directory", b.path("key.pem"), b.path("logs")}

	r := b.run(args...)
	require.Equal(t, exitNothing, r.code)
	require.Contains(t, oneLine(r.stderr), "is not signed by a CA that this machine trusts. If it is a private CA, give its root certificate: --ca-file root.pem")

	// With the root, the handshake succeeds and the CA is asked; it refuses the
	// signature, since that is over the name of the server before it.
	r = b.run(append([]string{"--ca-file", b.path("root.pem")}, args...)...)
	require.NotContains(t, r.stderr, "trust")
	require.NotZero(t, b.ca.Count(fakeca.Directory))
	require.NotZero(t, b.ca.Count(fakeca.Account))

	r = b.run(append([]string{"--ca-file", b.path("no.pem")}, args...)...)
	require.Equal(t, exitUsage, r.code)
	require.Contains(t, oneLine(r.stderr), "holds no PEM certificate")

	r = b.run(append([]string{"--ca-file", b.path("none.pem")}, args...)...)
	require.Equal(t, exitUsage, r.code)
	require.Contains(t, oneLine(r.stderr), "--ca-file "+b.path("none.pem")+": there is no such file. Name one that is there: --ca-file FILE")
}

// TestConnectionRefused needs nothing but a port on which nobody listens.
func TestConnectionRefused(t *testing.T) {
	b := leaked(t, fakeca.Config{})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := listener.Addr().String()
	require.NoError(t, listener.Close())
	client := b.ca.Client()
	client.DirectoryURL = "https://" + address + "/directory"
	client.KID = "https://" + "127.0.0.1" + "/acme/acct/1"
	b.account(client, "ffffffffffffffffffffffffffffffff")
	b.write("logs/letsencrypt.log", certbotLog("https://"+address+"/acme/authz/1/1"))
	b.transport = nil
	r := b.run("--dry-run", b.path("logs"))
	require.Equal(t, exitNothing, r.code)
	require.Contains(t, oneLine(r.stderr), "clear-authz: "+address+" cannot be reached: dial tcp "+address+": connect: connection refused.")
}

// TestInterrupt ends a run as Ctrl-C does, after the first deactivation.
func TestInterrupt(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	var deactivations atomic.Int64
	b := leaked(t, fakeca.Config{Intercept: func(r *fakeca.Request) *fakeca.Answer {
		if r.Kind == fakeca.Deactivate && deactivations.Add(1) == 2 {
			interrupt()
			return &fakeca.Answer{Hang: true}
		}
		return nil
	}})
	r := b.runContext(ctx, "--parallel", "1", b.path("logs"))
	require.Equal(t, exitFailed, r.code)
	require.Equal(t, "IDENTIFIER        WAS      NOW          AUTHORIZATION\n"+
		"shop.example.org  pending  deactivated  https://ca.test/acme/authz/1/2\n"+
		"1 found, 1 pending, 1 cleared, 0 failed\n", r.stdout)
	require.Contains(t, oneLine(r.stderr), "clear-authz: interrupted: 1 of 3 done. "+
		"What is cleared stays cleared. To go on: clear-authz --parallel 1 "+b.path("logs"))
	require.NotContains(t, r.stderr, "context")

	r = b.run(b.path("logs"))
	require.Equal(t, exitOK, r.code)
	require.Contains(t, r.stdout, "3 found, 2 pending, 2 cleared, 0 failed\n")
}

// TestAccountLostMidway has an account that is deactivated during the run.
func TestAccountLostMidway(t *testing.T) {
	var b *bench
	b = leaked(t, fakeca.Config{Intercept: func(r *fakeca.Request) *fakeca.Answer {
		if r.Kind == fakeca.Read && strings.HasSuffix(r.Path, "/3") {
			b.ca.DeactivateAccount(b.ca.Client())
			return fakeca.Problem(http.StatusForbidden, "unauthorized", "Account is not valid")
		}
		return nil
	}})
	r := b.run("--parallel", "1", b.path("logs"))
	require.Equal(t, exitFailed, r.code)
	require.Contains(t, r.stdout, "1 found, 1 pending, 1 cleared, 0 failed\n")
	require.Contains(t, oneLine(r.stderr), "clear-authz: stopped, 1 of 3 done: ca.test does not accept the account in ")
	require.Contains(t, oneLine(r.stderr), "certbot unregister")
}

// full is a disk without room.
type full struct{ room int }

func (f *full) Write(b []byte) (int, error) {
	if f.room -= len(b); f.room < 0 {
		return 0, errors.New("no space left on device")
	}
	return len(b), nil
}

func TestOutputCannotBeWritten(t *testing.T) {
	for _, args := range [][]string{{"--json"}, {}, {"urls"}} {
		b := leaked(t, fakeca.Config{})
		var stderr strings.Builder
		args = append(append([]string{"clear-authz"}, args...), b.path("logs"))
		code := b.program(&full{}, &stderr).run(t.Context(), args)
		require.Equal(t, exitFailed, code, args)
		require.Contains(t, stderr.String(), "clear-authz: the output cannot be written: no space left on device.\n", args)
	}
}

func TestVerbose(t *testing.T) {
	b := leaked(t, fakeca.Config{})
	b.write("logs/letsencrypt.log.1", certbotLog(b.ca.URL()+"/acme/authz/1/999"))
	r := b.run("--verbose", b.path("logs"))
	require.Equal(t, exitOK, r.code)
	require.Contains(t, oneLine(r.stderr), "level=DEBUG")
	require.Regexp(t, `(?m)^- +gone +gone +https://ca.test/acme/authz/1/999$`, r.stdout)
}

func TestRate(t *testing.T) {
	b := leaked(t, fakeca.Config{})
	r := b.run("--rate", "1000", "--parallel", "2", b.path("logs"))
	require.Equal(t, exitOK, r.code)
	require.LessOrEqual(t, b.ca.MaxInFlight(), 2)
	m, err := b.program(io.Discard, io.Discard).manager(options{rate: 2.5, parallel: 7}, job{account: testAccount(t, b)})
	require.NoError(t, err)
	require.EqualValues(t, 2.5, m.Limiter.Limit())
	require.Equal(t, 7, m.Parallelism)
}
