package solver_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"
	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/acme"

	"github.com/acmeauthz/acmeauthz/authz"
	"github.com/acmeauthz/acmeauthz/authz/solver"
	"github.com/acmeauthz/acmeauthz/internal/pebbleca"
)

var key = func() *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return key
}()

// authorization offers challenges of the types, with tokens "token-<type>".
func authorization(id acme.AuthzID, wildcard bool, types ...string) *acme.Authorization {
	a := &acme.Authorization{Identifier: id, Wildcard: wildcard, Status: "pending"}
	for _, kind := range types {
		a.Challenges = append(a.Challenges, &acme.Challenge{Type: kind, URI: "https://ca.test/" + kind, Token: "token-" + kind, Status: "pending"})
	}
	return a
}

func keyAuthorization(t *testing.T, token string) string {
	answer, err := (&acme.Client{Key: key}).HTTP01ChallengeResponse(token)
	require.NoError(t, err)
	return answer
}

// What a solver does not do it leaves to the next, without having done
// anything.
func TestUnsupported(t *testing.T) {
	dir := t.TempDir()
	web, alpn := &solver.HTTP01{Key: key, Addr: "127.0.0.1:0"}, &solver.TLSALPN01{Key: key, Addr: "127.0.0.1:0"}
	root := &solver.Webroot{Key: key, Dir: dir}
	records := &solver.DNS01{Key: key, Provider: failing{}}
	hook := &solver.Hook{Key: key, Type: "dns-01", Auth: []string{"false"}}
	name, ip := acme.AuthzID{Type: "dns", Value: "a.example"}, acme.AuthzID{Type: "ip", Value: "192.0.2.1"}
	all := []string{"http-01", "dns-01", "tls-alpn-01", "dns-account-01", "dns-persist-01", "device-attest-01"}
	used := authorization(name, false, "http-01", "dns-01", "tls-alpn-01")
	for _, c := range used.Challenges {
		c.Status = "invalid"
	}
	for _, tt := range []struct {
		name  string
		solve solver.Func
		a     *acme.Authorization
	}{
		{"http-01 of a wildcard", web.Solve, authorization(name, true, all...)},
		{"a file for a wildcard", root.Solve, authorization(name, true, all...)},
		{"tls-alpn-01 of a wildcard", alpn.Solve, authorization(name, true, all...)},
		{"dns-01 of an address", records.Solve, authorization(ip, false, all...)},
		{"a hook for dns-01 of an address", hook.Solve, authorization(ip, false, all...)},
		{"an identifier of another type", web.Solve, authorization(acme.AuthzID{Type: "permanent-identifier", Value: "a.example"}, false, all...)},
		{"types that nobody knows", solver.First(web.Solve, root.Solve, alpn.Solve, records.Solve, hook.Solve), authorization(name, false, "dns-account-01", "dns-persist-01", "x")},
		{"no challenge at all", solver.First(web.Solve, records.Solve), authorization(name, false)},
		{"challenges that were used", solver.First(web.Solve, root.Solve, alpn.Solve, records.Solve, hook.Solve), used},
		{"no solver at all", solver.First(), authorization(name, false, all...)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			challenge, cleanup, err := tt.solve(t.Context(), tt.a)
			require.ErrorIs(t, err, solver.ErrUnsupported)
			require.ErrorIs(t, err, authz.ErrNoChallenge)
			require.Nil(t, challenge)
			require.Nil(t, cleanup)
		})
	}
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, entries)
}

// failing is a provider that must not be used.
type failing struct{}

func (failing) Present(context.Context, string, string, string) error { return errors.New("no record") }
func (failing) CleanUp(context.Context, string, string, string) error { return nil }

// What the CA says becomes file names, records and environments.
func TestHostileCA(t *testing.T) {
	dir := t.TempDir()
	ran := filepath.Join(dir, "ran")
	solvers := map[string]solver.Func{
		"http-01":     (&solver.HTTP01{Key: key}).Solve,
		"webroot":     (&solver.Webroot{Key: key, Dir: dir}).Solve,
		"tls-alpn-01": (&solver.TLSALPN01{Key: key}).Solve,
		"dns-01":      (&solver.DNS01{Key: key, Provider: failing{}}).Solve,
		"hook":        (&solver.Hook{Key: key, Type: "dns-01", Auth: []string{"touch", ran}}).Solve,
	}
	for kind, solve := range solvers {
		for _, token := range []string{"", "../../etc/passwd", "a/b", "a\x00b", "tok en", "tök", strings.Repeat("a", 300)} {
			a := authorization(acme.AuthzID{Type: "dns", Value: "a.example"}, false, "http-01", "dns-01", "tls-alpn-01")
			for _, c := range a.Challenges {
				c.Token = token
			}
			_, _, err := solve(t.Context(), a)
			require.ErrorContains(t, err, "solver: the CA's token", "%s %q", kind, token)
		}
		if kind == "http-01" || kind == "webroot" {
			continue // the name is no part of the answer
		}
		for _, name := range []string{"", "a b", "a\nB=c", "../a", "*.a.example", "ä.example", strings.Repeat("a", 300)} {
			_, _, err := solve(t.Context(), authorization(acme.AuthzID{Type: "dns", Value: name}, false, "http-01", "dns-01", "tls-alpn-01"))
			require.ErrorContains(t, err, "solver: the CA's identifier", "%s %q", kind, name)
		}
	}
	require.NoFileExists(t, ran)
}

func TestNoKey(t *testing.T) {
	a := authorization(acme.AuthzID{Type: "dns", Value: "a.example"}, false, "http-01", "dns-01", "tls-alpn-01")
	for _, solve := range []solver.Func{
		(&solver.HTTP01{}).Solve, (&solver.Webroot{Dir: t.TempDir()}).Solve, (&solver.TLSALPN01{}).Solve,
		(&solver.DNS01{Provider: failing{}}).Solve, (&solver.Hook{Type: "dns-01", Auth: []string{"true"}}).Solve,
	} {
		_, _, err := solve(t.Context(), a)
		require.EqualError(t, err, "solver: no Key: challenges are answered with the account's")
	}
}

func TestHTTP01(t *testing.T) {
	web := &solver.HTTP01{Key: key}
	get := func(method, path string) (int, string) {
		w := httptest.NewRecorder()
		web.ServeHTTP(w, httptest.NewRequest(method, path, nil))
		return w.Code, w.Body.String()
	}
	a := authorization(acme.AuthzID{Type: "dns", Value: "a.example"}, false, "dns-01", "http-01")
	challenge, cleanup, err := web.Solve(t.Context(), a)
	require.NoError(t, err)
	require.Same(t, a.Challenges[1], challenge)
	code, body := get("GET", "/.well-known/acme-challenge/token-http-01")
	require.Equal(t, 200, code)
	require.Equal(t, keyAuthorization(t, "token-http-01"), body)
	for _, path := range []string{"/.well-known/acme-challenge/", "/.well-known/acme-challenge/token-http-01/", "/.well-known/acme-challenge/other", "/token-http-01"} {
		code, _ := get("GET", path)
		require.Equal(t, 404, code, path)
	}
	code, _ = get("POST", "/.well-known/acme-challenge/token-http-01")
	require.Equal(t, 404, code)
	cleanup()
	cleanup()
	code, _ = get("GET", "/.well-known/acme-challenge/token-http-01")
	require.Equal(t, 404, code)
}

// It listens from the first challenge to the last, and not longer.
func TestHTTP01Listens(t *testing.T) {
	port := freePort(t)
	web := &solver.HTTP01{Key: key, Addr: "127.0.0.1:" + port}
	at := "http://127.0.0.1:" + port + "/.well-known/acme-challenge/"
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	var cleanups []func()
	for i := range 3 {
		a := authorization(acme.AuthzID{Type: "dns", Value: "a.example"}, false, "http-01")
		a.Challenges[0].Token = fmt.Sprint("token", i)
		_, cleanup, err := web.Solve(t.Context(), a)
		require.NoError(t, err)
		cleanups = append(cleanups, cleanup)
	}
	cleanups[0]()
	resp, err := client.Get(at + "token1")
	require.NoError(t, err)
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, keyAuthorization(t, "token1"), string(body))
	cleanups[1]()
	cleanups[2]()
	_, err = client.Get(at + "token1")
	require.Error(t, err)

	busy, err := net.Listen("tcp", "127.0.0.1:"+port)
	require.NoError(t, err, "the port is free again")
	defer busy.Close()
	_, _, err = web.Solve(t.Context(), authorization(acme.AuthzID{Type: "dns", Value: "a.example"}, false, "http-01"))
	require.ErrorContains(t, err, "is in use: let the web server that has it answer")
}

func freePort(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	require.NoError(t, err)
	return port
}

func TestWebroot(t *testing.T) {
	dir := t.TempDir()
	root := &solver.Webroot{Key: key, Dir: dir}
	a := authorization(acme.AuthzID{Type: "ip", Value: "192.0.2.1"}, false, "http-01")
	_, cleanup, err := root.Solve(t.Context(), a)
	require.NoError(t, err)
	file := filepath.Join(dir, ".well-known/acme-challenge/token-http-01")
	content, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, keyAuthorization(t, "token-http-01"), string(content))

	_, _, err = root.Solve(t.Context(), a)
	require.ErrorContains(t, err, "file exists", "somebody else's file is not written over")
	require.FileExists(t, file)
	cleanup()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, entries)

	// Directories that were there stay, and a link out of the root is not followed.
	require.NoError(t, os.MkdirAll(filepath.Join(dir, ".well-known/acme-challenge"), 0o755))
	_, cleanup, err = root.Solve(t.Context(), a)
	require.NoError(t, err)
	cleanup()
	require.DirExists(t, filepath.Join(dir, ".well-known/acme-challenge"))
	require.NoError(t, os.Remove(filepath.Join(dir, ".well-known/acme-challenge")))
	elsewhere := t.TempDir()
	require.NoError(t, os.Symlink(elsewhere, filepath.Join(dir, ".well-known/acme-challenge")))
	_, _, err = root.Solve(t.Context(), a)
	require.Error(t, err)
	entries, err = os.ReadDir(elsewhere)
	require.NoError(t, err)
	require.Empty(t, entries)

	_, _, err = (&solver.Webroot{Key: key, Dir: filepath.Join(dir, "none")}).Solve(t.Context(), a)
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestTLSALPN01(t *testing.T) {
	for value, sni := range map[string]string{
		"A.example":   "a.example",
		"192.0.2.17":  "17.2.0.192.in-addr.arpa",
		"2001:db8::f": "f.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa",
	} {
		id := acme.AuthzID{Type: "dns", Value: value}
		if value != "A.example" {
			id.Type = "ip"
		}
		port := freePort(t)
		alpn := &solver.TLSALPN01{Key: key, Addr: "127.0.0.1:" + port}
		_, cleanup, err := alpn.Solve(t.Context(), authorization(id, false, "http-01", "tls-alpn-01"))
		require.NoError(t, err)
		conn, err := tls.Dial("tcp", "127.0.0.1:"+port, &tls.Config{ServerName: sni, NextProtos: []string{acme.ALPNProto}, InsecureSkipVerify: true})
		require.NoError(t, err)
		require.Equal(t, acme.ALPNProto, conn.ConnectionState().NegotiatedProtocol)
		certificate := conn.ConnectionState().PeerCertificates[0]
		if id.Type == "ip" {
			require.Len(t, certificate.IPAddresses, 1)
			require.Empty(t, certificate.DNSNames)
			require.Equal(t, value, certificate.IPAddresses[0].String())
		} else {
			require.Equal(t, []string{value}, certificate.DNSNames)
		}
		require.NoError(t, conn.Close())
		certificateFor := func(name string, protos ...string) *tls.Certificate {
			c, err := alpn.GetCertificate(&tls.ClientHelloInfo{ServerName: name, SupportedProtos: protos})
			require.NoError(t, err)
			return c
		}
		require.NotNil(t, certificateFor(sni, acme.ALPNProto))
		require.Nil(t, certificateFor(sni, "h2", acme.ALPNProto), "RFC 8737 §4: this protocol alone")
		require.Nil(t, certificateFor(sni))
		require.Nil(t, certificateFor("other.example", acme.ALPNProto))
		cleanup()
		require.Nil(t, certificateFor(sni, acme.ALPNProto))
	}
}

// A zone is a provider and the name server of its records.
type zone struct {
	mu      sync.Mutex
	records map[string][]string
	calls   []string
	late    int // so many questions are answered without the record
}

func (z *zone) Present(_ context.Context, domain, _, keyAuth string) error {
	z.mu.Lock()
	defer z.mu.Unlock()
	if z.records == nil {
		z.records = map[string][]string{}
	}
	name := "_acme-challenge." + domain + "."
	z.records[name] = append(z.records[name], digest(keyAuth))
	z.calls = append(z.calls, "present "+domain)
	return nil
}

func (z *zone) CleanUp(_ context.Context, domain, _, keyAuth string) error {
	z.mu.Lock()
	defer z.mu.Unlock()
	var kept []string
	name := "_acme-challenge." + domain + "."
	for _, v := range z.records[name] {
		if v != digest(keyAuth) {
			kept = append(kept, v)
		}
	}
	z.records[name] = kept
	z.calls = append(z.calls, "clean up "+domain)
	return nil
}

func digest(keyAuth string) string {
	sum := sha256.Sum256([]byte(keyAuth))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

func (z *zone) ServeDNS(w dns.ResponseWriter, r *dns.Msg) {
	z.mu.Lock()
	defer z.mu.Unlock()
	m := new(dns.Msg).SetReply(r)
	q := r.Question[0]
	header := dns.RR_Header{Name: q.Name, Rrtype: q.Qtype, Class: dns.ClassINET}
	switch {
	case q.Qtype == dns.TypeNS && q.Name == "example.":
		header.Rrtype = dns.TypeNS
		m.Answer = append(m.Answer, &dns.NS{Hdr: header, Ns: "ns.example."})
	case q.Qtype == dns.TypeA && q.Name == "ns.example.":
		m.Answer = append(m.Answer, &dns.A{Hdr: header, A: net.IPv4(127, 0, 0, 1)})
	case q.Qtype == dns.TypeCNAME && q.Name == "_acme-challenge.alias.example.":
		m.Answer = append(m.Answer, &dns.CNAME{Hdr: header, Target: "_acme-challenge.real.example."})
	case q.Qtype == dns.TypeTXT:
		if z.late--; z.late < 0 {
			for _, v := range z.records[q.Name] {
				m.Answer = append(m.Answer, &dns.TXT{Hdr: header, Txt: []string{v[:20], v[20:]}})
			}
		}
	case q.Name == "_acme-challenge.broken.example.":
		m.Rcode = dns.RcodeServerFailure
	}
	_ = w.WriteMsg(m)
}

func (z *zone) serve(t *testing.T) *solver.Lookup {
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	server := &dns.Server{PacketConn: conn, Handler: z}
	done := make(chan struct{})
	go func() { defer close(done); _ = server.ActivateAndServe() }()
	t.Cleanup(func() { _ = conn.Close(); <-done })
	_, port, err := net.SplitHostPort(conn.LocalAddr().String())
	require.NoError(t, err)
	return &solver.Lookup{Resolvers: []string{conn.LocalAddr().String()}, Port: port, Interval: time.Millisecond}
}

func TestDNS01(t *testing.T) {
	z := &zone{late: 3}
	records := &solver.DNS01{Key: key, Provider: z, Propagated: z.serve(t).Propagated}
	name := acme.AuthzID{Type: "dns", Value: "a.example"}
	plain, star := authorization(name, false, "dns-01"), authorization(name, true, "dns-01")
	star.Challenges[0].Token = "another"
	_, first, err := records.Solve(t.Context(), plain)
	require.NoError(t, err)
	z.mu.Lock()
	require.Negative(t, z.late, "it was looked for until it was there")
	z.mu.Unlock()
	_, second, err := records.Solve(t.Context(), star)
	require.NoError(t, err)
	require.Equal(t, []string{digest(keyAuthorization(t, "token-dns-01")), digest(keyAuthorization(t, "another"))}, z.records["_acme-challenge.a.example."])
	first()
	require.Equal(t, []string{digest(keyAuthorization(t, "another"))}, z.records["_acme-challenge.a.example."])
	second()
	require.Empty(t, z.records["_acme-challenge.a.example."])
}

func TestPropagation(t *testing.T) {
	z := &zone{records: map[string][]string{"_acme-challenge.real.example.": {"0123456789012345678901234567890123456789012"}}}
	lookup := z.serve(t)
	require.NoError(t, lookup.Propagated(t.Context(), "_acme-challenge.alias.example", "0123456789012345678901234567890123456789012"))
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	err := lookup.Propagated(ctx, "_acme-challenge.real.example.", "other")
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.ErrorContains(t, err, "does not have the record yet")
	ctx, cancel = context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	require.ErrorContains(t, lookup.Propagated(ctx, "_acme-challenge.broken.example", "x"), "SERVFAIL")
	ctx, cancel = context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	require.ErrorContains(t, lookup.Propagated(ctx, "nothing.test", "x"), "no zone found")
}

// A record that never shows is removed again, and so is the half of one.
func TestDNS01Fails(t *testing.T) {
	a := authorization(acme.AuthzID{Type: "dns", Value: "a.example"}, false, "dns-01")
	z := &zone{}
	records := &solver.DNS01{Key: key, Provider: z, Propagated: func(context.Context, string, string) error { return errors.New("not there") }}
	_, _, err := records.Solve(t.Context(), a)
	require.EqualError(t, err, "solver: _acme-challenge.a.example: not there")
	require.Equal(t, []string{"present a.example", "clean up a.example"}, z.calls)
	_, _, err = (&solver.DNS01{Key: key, Provider: failing{}}).Solve(t.Context(), a)
	require.EqualError(t, err, "solver: DNS provider: no record")
}

// legoV4 is a provider as those of lego v4 are, one at a time.
type legoV4 struct{ z *zone }

func (p legoV4) Present(domain, token, keyAuth string) error {
	return p.z.Present(context.Background(), domain, token, keyAuth)
}

func (p legoV4) CleanUp(domain, token, keyAuth string) error {
	return p.z.CleanUp(context.Background(), domain, token, keyAuth)
}
func (legoV4) Timeout() (timeout, interval time.Duration) { return 7 * time.Second, time.Second }
func (legoV4) Sequential() time.Duration                  { return 3 * time.Second }

func TestLegoV4(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := &zone{}
		records := &solver.DNS01{Key: key, Provider: solver.LegoV4(legoV4{z}), Propagated: func(ctx context.Context, _, _ string) error {
			deadline, _ := ctx.Deadline()
			require.Equal(t, 7*time.Second, time.Until(deadline))
			return nil
		}}
		started := time.Now()
		var all sync.WaitGroup
		for i := range 3 {
			all.Go(func() {
				_, cleanup, err := records.Solve(t.Context(), authorization(acme.AuthzID{Type: "dns", Value: fmt.Sprintf("n%d.example", i)}, false, "dns-01"))
				if err != nil {
					t.Error(err)
					return
				}
				time.Sleep(10 * time.Second)
				cleanup()
			})
		}
		all.Wait()
		require.Equal(t, 39*time.Second, time.Since(started))
		for i := 0; i < 6; i += 2 {
			require.Equal(t, strings.TrimPrefix(z.calls[i], "present "), strings.TrimPrefix(z.calls[i+1], "clean up "))
		}
	})
}

func TestHook(t *testing.T) {
	dir := t.TempDir()
	script := filepath.Join(dir, "hook.sh")
	require.NoError(t, os.WriteFile(script, []byte(`#!/bin/sh
echo "$1 $CERTBOT_DOMAIN $CERTBOT_VALIDATION ${CERTBOT_TOKEN-none} $CERTBOT_REMAINING_CHALLENGES $CERTBOT_ALL_DOMAINS ($CERTBOT_AUTH_OUTPUT)" >>"`+dir+`/calls"
echo " printed "
`), 0o700))
	for _, kind := range []string{"dns-01", "http-01"} {
		require.NoError(t, os.RemoveAll(dir+"/calls"))
		hook := &solver.Hook{Key: key, Type: kind, Auth: []string{script, "auth"}, Cleanup: []string{script, "cleanup"}}
		c, cleanup, err := hook.Solve(t.Context(), authorization(acme.AuthzID{Type: "dns", Value: "a.example"}, false, "http-01", "dns-01"))
		require.NoError(t, err)
		require.Equal(t, kind, c.Type)
		cleanup()
		cleanup()
		calls, err := os.ReadFile(dir + "/calls")
		require.NoError(t, err)
		answer, token := digest(keyAuthorization(t, "token-dns-01")), "none"
		if kind == "http-01" {
			answer, token = keyAuthorization(t, "token-http-01"), "token-http-01"
		}
		line := " a.example " + answer + " " + token + " 0 a.example "
		require.Equal(t, "auth"+line+"()\ncleanup"+line+"(printed)\n", string(calls))
	}
}

func TestHookFails(t *testing.T) {
	a := authorization(acme.AuthzID{Type: "dns", Value: "a.example"}, false, "dns-01")
	hook := &solver.Hook{Key: key, Type: "dns-01", Auth: []string{"sh", "-c", `printf 'no \033[31m such\nzone' >&2; exit 3`}}
	_, _, err := hook.Solve(t.Context(), a)
	require.EqualError(t, err, "solver: hook for a.example: sh: exit status 3: no \uFFFD[31m such zone")
	hook.Auth = []string{"sh", "-c", "head -c 10000000 /dev/zero >&2; exit 1"}
	_, _, err = hook.Solve(t.Context(), a)
	require.Error(t, err)
	require.Less(t, len(err.Error()), 2000)
	_, _, err = (&solver.Hook{Key: key, Type: "dns-01"}).Solve(t.Context(), a)
	require.EqualError(t, err, "solver: hook for a.example: there is no command")
	_, _, err = (&solver.Hook{Key: key, Type: "tls-alpn-01"}).Solve(t.Context(), a)
	require.EqualError(t, err, `solver: a hook answers dns-01 or http-01, not "tls-alpn-01"`)

	// What the command has started ends with it.
	mark := filepath.Join(t.TempDir(), "mark")
	hook.Auth = []string{"sh", "-c", "(sleep 2; touch " + mark + ") & wait"}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	started := time.Now()
	_, _, err = hook.Solve(ctx, a)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.Less(t, time.Since(started), 1500*time.Millisecond)
	time.Sleep(2200*time.Millisecond - time.Since(started))
	require.NoFileExists(t, mark)
}

// Every solver makes orders of a real server ready.
func TestWithPebble(t *testing.T) {
	httpPort, tlsPort := freePort(t), freePort(t)
	ca, err := pebbleca.Start(pebbleca.Config{HTTPPort: atoi(t, httpPort), TLSPort: atoi(t, tlsPort), RetryAfter: 1})
	require.NoError(t, err)
	defer func() { require.NoError(t, ca.Close()) }()
	accountKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	client := &acme.Client{Key: accountKey, HTTPClient: ca.HTTPClient(), DirectoryURL: ca.DirectoryURL()}
	account, err := client.Register(t.Context(), &acme.Account{}, acme.AcceptTOS)
	require.NoError(t, err)
	client.KID = acme.KeyID(account.URI)

	dir := t.TempDir()
	files := http.Server{Handler: http.FileServer(http.Dir(dir))}
	noCheck := func(context.Context, string, string) error { return nil }
	web := &solver.HTTP01{Key: accountKey, Addr: "127.0.0.1:" + httpPort}
	for _, tt := range []struct {
		name  string
		solve solver.Func
		ids   []acme.AuthzID
		files bool
	}{
		{name: "http-01", solve: web.Solve, ids: append(acme.DomainIDs("a.example", "b.example"), acme.IPIDs("127.0.0.1")...)},
		{name: "webroot", solve: (&solver.Webroot{Key: accountKey, Dir: dir}).Solve, ids: acme.DomainIDs("c.example", "d.example"), files: true},
		{name: "tls-alpn-01", solve: (&solver.TLSALPN01{Key: accountKey, Addr: "127.0.0.1:" + tlsPort}).Solve,
			ids: append(acme.DomainIDs("e.example"), acme.IPIDs("127.0.0.1")...)},
		{name: "dns-01", solve: (&solver.DNS01{Key: accountKey, Provider: challengeRecords{ca}, Propagated: noCheck}).Solve, ids: acme.DomainIDs("f.example", "*.f.example")},
		{name: "first", solve: solver.First(web.Solve, (&solver.DNS01{Key: accountKey, Provider: challengeRecords{ca}, Propagated: noCheck}).Solve),
			ids: acme.DomainIDs("g.example", "*.g.example")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.files {
				l, err := net.Listen("tcp", "127.0.0.1:"+httpPort)
				require.NoError(t, err)
				done := make(chan struct{})
				go func() { defer close(done); _ = files.Serve(l) }()
				defer func() { _ = files.Close(); <-done }()
			}
			order, err := client.AuthorizeOrder(t.Context(), tt.ids)
			require.NoError(t, err)
			m := &authz.Manager{Client: client, Solve: tt.solve, Policy: authz.Policy{KeepYounger: -1}}
			for r, err := range m.Clear(t.Context(), authz.URLs(order.AuthzURLs...)) {
				require.NoError(t, err)
				require.NoError(t, r.Err)
				require.Equal(t, authz.ActionFinish, r.Decision.Action)
				require.Equal(t, "valid", r.Authorization.Status)
			}
			order, err = client.GetOrder(t.Context(), order.URI)
			require.NoError(t, err)
			require.Equal(t, "ready", order.Status)
		})
	}
}

func atoi(t *testing.T, s string) (n int) {
	_, err := fmt.Sscan(s, &n)
	require.NoError(t, err)
	return n
}

// challengeRecords is a provider that has the records which Pebble sees.
type challengeRecords struct{ ca *pebbleca.CA }

func (p challengeRecords) Present(_ context.Context, domain, _, keyAuth string) error {
	p.ca.Challenges().AddDNSTXTRecord("_acme-challenge."+domain+".", digest(keyAuth))
	return nil
}

func (p challengeRecords) CleanUp(context.Context, string, string, string) error { return nil }

func ExampleFirst() {
	web := &solver.Webroot{Key: key, Dir: "/var/www/html"}
	hook := &solver.Hook{Key: key, Type: "dns-01", Auth: []string{"/etc/acme/add-record"}, Cleanup: []string{"/etc/acme/remove-record"}}
	m := &authz.Manager{
		Client: &acme.Client{Key: key, DirectoryURL: "https://ca.example/directory"},
		Solve:  solver.First(web.Solve, hook.Solve), // files for names, records for wildcards
	}
	fmt.Println(m.Solve != nil)
	// Output: true
}
