package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/acme"

	"github.com/acmeauthz/acmeauthz/internal/fakeca"
)

func runCommand(t *testing.T, ctx context.Context, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, err strings.Builder
	code = run(ctx, append([]string{"provision"}, args...), &out, &err)
	return code, out.String(), err.String()
}

// The story: 93 of 100 names with two orders, and nothing left.
func TestStory(t *testing.T) {
	code, stdout, stderr := runCommand(t, t.Context(), "--json")
	require.Equal(t, exitSome, code, stderr)
	var got report
	require.NoError(t, json.Unmarshal([]byte(stdout), &got))
	require.Equal(t, "acmeauthz-provision/1", got.Schema)
	require.Len(t, got.Names, 100)
	kinds := map[string]int{}
	for _, n := range got.Names {
		kinds[n.Status+" "+n.Type]++
		want := 1
		if n.Type == "solver" {
			want = 0
		}
		require.Equal(t, want, n.Validations, "validated once, and reused: %s", n.Name)
	}
	require.Equal(t, map[string]int{"issued ": 93, "failed unauthorized": 5, "failed solver": 2}, kinds)
	require.Equal(t, 2, got.Orders)
	require.Zero(t, got.LeftPending)
	require.Equal(t, 93, got.Certificate.Names)
	require.True(t, got.Certificate.NotAfter.After(time.Now()))
	require.Empty(t, got.Error)
}

func TestStoryInWords(t *testing.T) {
	code, stdout, stderr := runCommand(t, t.Context())
	require.Equal(t, exitSome, code)
	require.Empty(t, stderr)
	stdout = regexp.MustCompile(`challenge ".*…`).ReplaceAllString(stdout, `challenge …`)
	stdout = regexp.MustCompile(`until \d{4}-\d\d-\d\d`).ReplaceAllString(stdout, `until DATE`)
	require.Equal(t, `100 names at an embedded Pebble

NAME THAT FAILED         WHY
moved13.example.org      unauthorized: The key authorization file from the server did not match this challenge …
forgotten28.example.org  unauthorized: The key authorization file from the server did not match this challenge …
moved41.example.org      unauthorized: The key authorization file from the server did not match this challenge …
forgotten56.example.org  unauthorized: The key authorization file from the server did not match this challenge …
unplugged60.example.org  solver: the web server of unplugged60.example.org cannot be reached
moved77.example.org      unauthorized: The key authorization file from the server did not match this challenge …
unplugged99.example.org  solver: the web server of unplugged99.example.org cannot be reached

Certificate    93 names, until DATE
Orders         2, where a script that drops one name at a time makes 8
Left pending   0
`, stdout)
}

func TestAllGoodAndNoneGood(t *testing.T) {
	code, stdout, _ := runCommand(t, t.Context(), "a.example", "B.example.", "bücher.example")
	require.Equal(t, exitAll, code)
	require.Contains(t, stdout, "Certificate    3 names, until ")
	require.Contains(t, stdout, "Orders         1\nLeft pending   0\n")

	code, stdout, _ = runCommand(t, t.Context(), "--json", "moved.example", "unplugged.example")
	require.Equal(t, exitNone, code)
	var got report
	require.NoError(t, json.Unmarshal([]byte(stdout), &got))
	require.Nil(t, got.Certificate)
	require.Equal(t, "not one name is good", got.Error)
	require.Zero(t, got.LeftPending)
}

// Interrupted in the middle, it leaves nothing pending either.
func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(300*time.Millisecond, cancel)
	code, stdout, _ := runCommand(t, ctx, "--json")
	require.Equal(t, exitNone, code)
	var got report
	require.NoError(t, json.Unmarshal([]byte(stdout), &got))
	require.Contains(t, got.Error, "context canceled")
	require.Zero(t, got.LeftPending)
}

// A CA may refuse names before anything is validated; they are dropped, and the
// rest is ordered. The certificate and its key are written.
func TestRejectedNames(t *testing.T) {
	first := true
	ca := fakeca.New(fakeca.Config{Issue: true, ValidateOK: func(fakeca.Authorization, string) bool { return true },
		Intercept: func(r *fakeca.Request) *fakeca.Answer {
			if r.Path != "/acme/new-order" || !first {
				return nil
			}
			first = false
			a := fakeca.Problem(400, "rejectedIdentifier", "")
			a.Body = []byte(`{"type":"urn:ietf:params:acme:error:malformed","detail":"Some of the identifiers requested were rejected","subproblems":[` +
				`{"type":"urn:ietf:params:acme:error:rejectedIdentifier","detail":"The ACME server refuses to issue for it","identifier":{"type":"dns","value":"bad.example"}},` +
				`{"type":"urn:ietf:params:acme:error:malformed","detail":"too long","identifier":{"type":"dns","value":"worse.example"}}]}`)
			return a
		}})
	dir := t.TempDir()
	p := &provisioner{client: ca.Client(), out: filepath.Join(dir, "out"), solve: func(_ context.Context, a *acme.Authorization) (*acme.Challenge, func(), error) {
		return a.Challenges[0], nil, nil
	}}
	report := newReport([]string{"a.example", "bad.example", "b.example", "worse.example"})
	p.provision(t.Context(), report)
	require.Empty(t, report.Error)
	require.Equal(t, 2, report.Orders)
	require.Equal(t, &nameReport{Name: "bad.example", Status: "failed", Type: "rejectedIdentifier", Detail: "The ACME server refuses to issue for it"}, report.Names[1])
	require.Equal(t, "failed", report.Names[3].Status)
	require.NotNil(t, report.Certificate)
	require.Equal(t, filepath.Join(dir, "out", "certificate.pem"), report.Certificate.File)

	data, err := os.ReadFile(report.Certificate.File)
	require.NoError(t, err)
	block, _ := pem.Decode(data)
	_, err = x509.ParseCertificate(block.Bytes)
	require.NoError(t, err)
	info, err := os.Stat(filepath.Join(dir, "out", "key.pem"))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
}

// An order that is refused as a whole is no reason to try again and again.
func TestOrderRefused(t *testing.T) {
	ca := fakeca.New(fakeca.Config{Intercept: func(r *fakeca.Request) *fakeca.Answer {
		if r.Path == "/acme/new-order" {
			return fakeca.Problem(403, "unauthorized", "not today")
		}
		return nil
	}})
	p := &provisioner{client: ca.Client()}
	report := newReport([]string{"a.example"})
	p.provision(t.Context(), report)
	require.Equal(t, "order: 403 urn:ietf:params:acme:error:unauthorized: not today", report.Error)
	require.Equal(t, 1, report.Orders)
	require.Equal(t, exitNone, report.code())
}

// The way of a real CA, with its flags: an account is made, files answer, and
// the next run finds the account.
func TestServer(t *testing.T) {
	dir := t.TempDir()
	webroot := filepath.Join(dir, "www")
	require.NoError(t, os.Mkdir(webroot, 0o755))
	ca := fakeca.New(fakeca.Config{Issue: true, ValidateOK: func(a fakeca.Authorization, kind string) bool {
		files, _ := filepath.Glob(filepath.Join(webroot, ".well-known/acme-challenge/*"))
		return kind == "http-01" && len(files) > 0 && a.Identifier != "bad.example"
	}})
	ca.Start(t)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	keyFile := filepath.Join(dir, "key.pem")
	require.NoError(t, os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600))
	args := []string{"--server", ca.DirectoryURL(), "--key", keyFile, "--webroot", webroot, "--journal", filepath.Join(dir, "journal"), "--out", filepath.Join(dir, "out")}

	code, stdout, _ := runCommand(t, t.Context(), append(args, "a.example")...)
	require.Equal(t, exitNone, code)
	require.Contains(t, stdout, "Certificate    none: the CA knows no account of this key: --agree-tos makes one\n")
	code, stdout, _ = runCommand(t, t.Context(), append(args, "--agree-tos", "a.example", "b.example")...)
	require.Equal(t, exitAll, code, stdout)
	require.Contains(t, stdout, "Written to     "+filepath.Join(dir, "out", "certificate.pem")+"\n")
	code, stdout, _ = runCommand(t, t.Context(), append(args, "a.example", "bad.example")...)
	require.Equal(t, exitSome, code, stdout)
	require.Contains(t, stdout, "bad.example       connection: ")
	files, err := filepath.Glob(filepath.Join(webroot, "*"))
	require.NoError(t, err)
	require.Empty(t, files)
}

func TestUsage(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "names"), []byte("a.example # ours\n\nA.example\nb.example\n"), 0o600))
	names, err := readNames([]string{"c.example"}, filepath.Join(dir, "names"))
	require.NoError(t, err)
	require.Equal(t, []string{"c.example", "a.example", "b.example"}, names)

	for want, args := range map[string][]string{
		"provision: flag provided but not defined: -nope\n":                                                                {"--nope"},
		"provision: no names: give them as arguments, or with --names FILE\n":                                              {"--server", "https://ca.test/dir"},
		"provision: *.a.example: a wildcard cannot be validated by http-01\n":                                              {"*.a.example"},
		"provision: 2 names are more than an order may have: give at most 1, or say with --max-names what the CA allows\n": {"--server", "https://ca.test/dir", "--max-names", "1", "a.example", "b.example"},
	} {
		code, _, stderr := runCommand(t, t.Context(), args...)
		require.Equal(t, exitUsage, code)
		require.Equal(t, want, stderr)
	}
	code, stdout, _ := runCommand(t, t.Context(), "--help")
	require.Zero(t, code)
	require.Contains(t, stdout, "EXIT CODES:\n   0   every name is in the certificate\n")
}
