package solver_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"

	"golang.org/x/crypto/acme"

	"github.com/acmeauthz/acmeauthz/authz/solver"
)

// pending is an authorization with a challenge, as a Manager hands it to a solver.
func pending(challenge string) *acme.Authorization {
	return &acme.Authorization{
		Status: acme.StatusPending, Identifier: acme.AuthzID{Type: "dns", Value: "shop.example.org"},
		Challenges: []*acme.Challenge{{Type: challenge, URI: "https://ca.example/chall/1", Token: "token", Status: acme.StatusPending}},
	}
}

// An HTTP01 without an address is a handler for the server that has port 80. What it serves, it serves while something is
// being solved.
func ExampleHTTP01() {
	web := &solver.HTTP01{Key: key}
	mux := http.NewServeMux()
	mux.Handle("/.well-known/acme-challenge/", web)
	server := httptest.NewServer(mux) // yours listens on port 80
	defer server.Close()

	get := func() {
		r, err := http.Get(server.URL + "/.well-known/acme-challenge/token")
		if err != nil {
			log.Fatal(err)
		}
		defer r.Body.Close()
		body, err := io.ReadAll(r.Body)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(r.StatusCode, len(body))
	}
	_, cleanup, err := web.Solve(context.Background(), pending("http-01")) // a Manager calls it
	if err != nil {
		log.Fatal(err)
	}
	get()
	cleanup()
	get()
	// Output:
	// 200 49
	// 404 19
}

// A Webroot writes files for a web server that runs already, and takes them away.
func ExampleWebroot() {
	dir, err := os.MkdirTemp("", "webroot")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	web := &solver.Webroot{Key: key, Dir: dir} // such as /var/www/html
	_, cleanup, err := web.Solve(context.Background(), pending("http-01"))
	if err != nil {
		log.Fatal(err)
	}
	files, _ := filepath.Glob(filepath.Join(dir, ".well-known/acme-challenge/*"))
	fmt.Println(len(files))
	cleanup()
	left, _ := filepath.Glob(filepath.Join(dir, "*"))
	fmt.Println(len(left))
	// Output:
	// 1
	// 0
}

// records is a DNS provider; those of lego have the same methods.
type records map[string]string

func (r records) Present(_ context.Context, domain, _, keyAuth string) error {
	sum := sha256.Sum256([]byte(keyAuth))
	r["_acme-challenge."+domain+"."] = base64.RawURLEncoding.EncodeToString(sum[:])
	return nil
}

func (r records) CleanUp(_ context.Context, domain, _, _ string) error {
	delete(r, "_acme-challenge."+domain+".")
	return nil
}

// A DNS01 makes the record, and waits until it can be seen.
func ExampleDNS01() {
	provider := records{}
	dns := &solver.DNS01{Key: key, Provider: provider}
	dns.Propagated = func(_ context.Context, name, value string) error { // leave it nil to ask the authoritative servers
		fmt.Println(name, provider[name] == value)
		return nil
	}
	_, cleanup, err := dns.Solve(context.Background(), pending("dns-01"))
	if err != nil {
		log.Fatal(err)
	}
	cleanup()
	fmt.Println(len(provider))
	// Output:
	// _acme-challenge.shop.example.org. true
	// 0
}

// A Hook runs commands as Certbot's manual hooks are run.
func ExampleHook() {
	hook := &solver.Hook{
		Key: key, Type: "dns-01",
		Auth:    []string{"sh", "-c", `test ${#CERTBOT_VALIDATION} -eq 43 && echo "record of $CERTBOT_DOMAIN"`},
		Cleanup: []string{"sh", "-c", `test "$CERTBOT_AUTH_OUTPUT" = "record of shop.example.org"`},
	}
	challenge, cleanup, err := hook.Solve(context.Background(), pending("dns-01"))
	if err != nil {
		log.Fatal(err)
	}
	cleanup()
	fmt.Println(challenge.Type)
	// Output: dns-01
}
