package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/acmeauthz/acmeauthz/account"
	"github.com/acmeauthz/acmeauthz/authz"
	"github.com/acmeauthz/acmeauthz/internal/display"
	"golang.org/x/crypto/acme"
)

// httpClient is the client for all requests, by --timeout and --ca-file.
func (p *program) httpClient(o options) (*http.Client, error) {
	client := &http.Client{Timeout: o.timeout, Transport: p.transport}
	if p.transport != nil {
		return client, nil
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	client.Transport = transport
	if o.caFile == "" {
		return client, nil
	}
	roots, err := readRoots(o.caFile)
	if err != nil {
		return nil, err
	}
	transport.TLSClientConfig = &tls.Config{RootCAs: roots}
	transport.ForceAttemptHTTP2 = true
	return client, nil
}

// readRoots is the system's root certificates and those in the file.
func readRoots(path string) (*x509.CertPool, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, missingFor("--ca-file", path)
	}
	if err != nil {
		return nil, unreadable("--ca-file", path, err)
	}
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool()
	}
	if !roots.AppendCertsFromPEM(data) {
		return nil, usage("--ca-file %s holds no PEM certificate.", path).
			then("Give the root certificate of the CA's HTTPS server; it begins with -----BEGIN CERTIFICATE-----")
	}
	return roots, nil
}

// fewRetries is an acme.Client.RetryBackoff that gives up, which the default
// one does not.
func fewRetries(n int, _ *http.Request, resp *http.Response) time.Duration {
	const most = 30 * time.Second
	if n > 4 {
		return 0
	}
	if seconds, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && seconds > 0 {
		if wait := time.Duration(seconds) * time.Second; wait <= most {
			return wait
		}
		return 0
	}
	return time.Duration(n) * time.Second
}

// caProblem says why nothing could be done at a CA.
func caProblem(a *account.Account, o options, err error) error {
	host := hostOf(a.Directory)
	var answer *acme.Error
	var syntax *json.SyntaxError
	var journal *authz.JournalError
	switch {
	case errors.As(err, &journal):
		return failed("the journal cannot be used: %s.", strings.TrimPrefix(journal.Error(), "authz: journal ")).because(err).
			then("Name another file: --journal FILE. What the CA has done stays done.")
	case errors.Is(err, context.Canceled):
		return failed("interrupted before anything was done.").because(err).then("To go on: %s", display.Trusted(o.again))
	case errors.Is(err, authz.ErrAccount), errors.Is(err, acme.ErrNoAccount):
		return accountProblem(host, a, err)
	case errors.Is(err, authz.ErrUnreachable):
		return nothing("%s does not answer any more: %s.", host, strings.ReplaceAll(err.Error(), "authz: ", "")).because(err).
			then("Run the same command again when it does; what is cleared stays cleared.").
			then("Try it with: curl -v %s", a.Directory)
	case errors.Is(err, authz.ErrRateLimited):
		return nothing("%s limits requests: %s.", host, err).because(err).
			then("Run the same command again later, or more slowly: --rate 5 --parallel 1")
	case errors.As(err, &syntax):
		return nothing("%s is not an ACME directory.", a.Directory).because(err).
			then("Look what it is: curl -v %s", a.Directory).
			then("If the directory is elsewhere: --server https://…")
	case errors.As(err, &answer):
		return nothing("%s answers with an error: %s.", host, err).because(err).
			then("If that is not an ACME directory, give its URL: --server https://…")
	}
	return networkProblem(host, a, o, err)
}

// networkProblem says why a CA cannot be reached.
func networkProblem(host string, a *account.Account, o options, err error) error {
	var (
		notTrusted x509.UnknownAuthorityError
		wrongName  x509.HostnameError
		invalid    x509.CertificateInvalidError
		network    net.Error
	)
	switch {
	case errors.As(err, &notTrusted):
		return nothing("the certificate of %s is not signed by a CA that this machine trusts.", host).because(err).
			then("If it is a private CA, give its root certificate: --ca-file root.pem")
	case errors.As(err, &wrongName), errors.As(err, &invalid):
		return nothing("the certificate of %s is not good: %s.", host, withoutURL(err)).because(err).
			then("Check the host name, and this machine's clock.")
	case errors.As(err, &network) && network.Timeout():
		return nothing("%s did not answer in %v.", host, o.timeout).because(err).
			then("Try it with: curl -v %s", a.Directory).
			then("If it is only slow: --timeout 2m")
	case errors.As(err, &network):
		return nothing("%s cannot be reached: %s.", host, withoutURL(err)).because(err).
			then("Try it with: curl -v %s", a.Directory).
			then("Behind a proxy, set HTTPS_PROXY. Nothing was changed; run the same command again later.")
	}
	return nothing("%s cannot be used: %s.", host, err).because(err).
		then("Try its directory with: curl -v %s", a.Directory).
		then("If that is not the directory, give it: --server https://…")
}

func accountProblem(host string, a *account.Account, err error) error {
	return nothing("%s does not accept the account in %s: %s.", host, a.Path, err).because(err).
		then("If it was deactivated (certbot unregister), nobody can use it any more, and its authorizations end by themselves.").
		then("If it is the wrong one, choose another: --account NUMBER, --config-dir DIR or --key FILE")
}

// sameOrigin is an http.Client.CheckRedirect that stays at the CA.
func sameOrigin(req *http.Request, via []*http.Request) error {
	const most = 5
	first := via[0].URL
	if req.URL.Scheme != first.Scheme || hostOf(req.URL.String()) != hostOf(first.String()) || len(via) > most {
		return fmt.Errorf("it redirects to %s", req.URL.Redacted())
	}
	return nil
}

// isNetwork reports whether err is of the network, not an answer of the CA.
func isNetwork(err error) bool {
	_, ok := errors.AsType[net.Error](err)
	return ok
}

// withoutURL is the network's error without the request that met it.
func withoutURL(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err
	}
	return err
}
