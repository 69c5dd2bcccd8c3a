//go:build unix

package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/acmeauthz/acmeauthz/internal/fakeca"
	"github.com/acmeauthz/acmeauthz/internal/pebbleca"
	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/acme"
)

// TestFinish validates what a client has left pending at a real server, with a
// server of its own for names, and what it cannot stays as it was.
func TestFinish(t *testing.T) {
	ca, err := pebbleca.Start(pebbleca.Config{HTTPPort: 0, RetryAfter: 1})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, ca.Close()) })
	b := &bench{t: t, dir: t.TempDir(), env: map[string]string{}, stdin: strings.NewReader("")}
	b.write("root.pem", string(ca.RootPEM()))
	client := registered(t, ca)
	b.account(client, "35ce4c316f2f2d644994ea438682dbe5")
	order, err := client.AuthorizeOrder(t.Context(), acme.DomainIDs("a.example.org", "b.example.org", "*.a.example.org"))
	require.NoError(t, err)
	b.write("logs/letsencrypt.log", certbotLog(order.AuthzURLs...))

	// The hook gives the record to the server that Pebble asks.
	b.write("records", "")
	args := []string{"finish", "--ca-file", b.path("root.pem"), "--min-age", "0", "--auth-hook", "echo $CERTBOT_DOMAIN $CERTBOT_VALIDATION >>" + b.path("records") + "; sleep 0.3",
		"--cleanup-hook", "echo cleanup $CERTBOT_DOMAIN >>" + b.path("records"), "--parallel", "1", b.path("logs")}
	stop := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		publish(ca, b.path("records"), stop)
	}()
	r := b.run(args...)
	close(stop)
	<-done
	require.Equal(t, exitOK, r.code, r.stderr)
	require.Contains(t, r.stdout, "3 found, 3 pending, 3 cleared, 0 failed\n")
	statuses, err := ca.Statuses(string(client.KID))
	require.NoError(t, err)
	require.Equal(t, 3, countStatus(statuses, "valid"))
	ready, err := client.GetOrder(t.Context(), order.URI)
	require.NoError(t, err)
	require.Equal(t, "ready", ready.Status)
	records, err := os.ReadFile(b.path("records"))
	require.NoError(t, err)
	require.Equal(t, 3, strings.Count(string(records), "cleanup "))
}

// publish makes TXT records of the lines that the hook writes.
func publish(ca *pebbleca.CA, path string, stop <-chan struct{}) {
	known := map[string]bool{}
	for {
		select {
		case <-stop:
			return
		default:
		}
		time.Sleep(5 * time.Millisecond)
		data, _ := os.ReadFile(path)
		for line := range strings.Lines(string(data)) {
			var domain, value string
			if n, _ := fmt.Sscan(line, &domain, &value); n == 2 && domain != "cleanup" && strings.HasSuffix(line, "\n") && !known[value] {
				known[value] = true
				ca.Challenges().AddDNSTXTRecord("_acme-challenge."+domain+".", value)
			}
		}
	}
}

// TestFinishFails shows that a failed validation is a failure here, and that
// what no way can answer says so.
func TestFinishFails(t *testing.T) {
	b := leaked(t, fakeca.Config{})
	require.NoError(t, os.MkdirAll(b.path("www"), 0o755))
	r := b.run("finish", "--webroot", b.path("www"), b.path("logs"))
	require.Equal(t, exitFailed, r.code)
	require.Contains(t, r.stdout, "3 found, 3 pending, 0 cleared, 3 failed\n")
	require.Contains(t, oneLine(r.stderr), "authorization cannot be answered")
	require.Contains(t, oneLine(r.stderr), "http-01 is nothing for *.shop.example.org")
	require.Equal(t, "pending", b.ca.Authorization("https://ca.test/acme/authz/1/4").Status)
}

// registered is a client of a new account at Pebble.
func registered(t *testing.T, ca *pebbleca.CA) *acme.Client {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	client := &acme.Client{Key: key, HTTPClient: ca.HTTPClient(), DirectoryURL: ca.DirectoryURL()}
	a, err := client.Register(t.Context(), &acme.Account{}, acme.AcceptTOS)
	require.NoError(t, err)
	client.KID = acme.KeyID(a.URI)
	return client
}

// TestFinishByServer answers with a server of the command's own, by http-01 and by
// tls-alpn-01.
func TestFinishByServer(t *testing.T) {
	port := func() string {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		defer l.Close()
		return l.Addr().String()
	}
	http, alpn := port(), port()
	number := func(address string) int {
		_, p, err := net.SplitHostPort(address)
		require.NoError(t, err)
		n, err := strconv.Atoi(p)
		require.NoError(t, err)
		return n
	}
	ca, err := pebbleca.Start(pebbleca.Config{HTTPPort: number(http), TLSPort: number(alpn), RetryAfter: 1})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, ca.Close()) })
	for flag, address := range map[string]string{"--http": http, "--tls-alpn": alpn} {
		b := &bench{t: t, dir: t.TempDir(), env: map[string]string{}, stdin: strings.NewReader("")}
		b.write("root.pem", string(ca.RootPEM()))
		client := registered(t, ca)
		b.account(client, "35ce4c316f2f2d644994ea438682dbe5")
		order, err := client.AuthorizeOrder(t.Context(), acme.DomainIDs("a.example.org", "b.example.org"))
		require.NoError(t, err)
		b.write("logs/letsencrypt.log", certbotLog(order.AuthzURLs...))
		r := b.run("finish", "--ca-file", b.path("root.pem"), "--min-age", "0", flag, address, b.path("logs"))
		require.Equal(t, exitOK, r.code, r.stderr)
		require.Contains(t, r.stdout, "2 found, 2 pending, 2 cleared, 0 failed\n")
		require.Contains(t, r.stdout, "pending  valid")
	}
}
