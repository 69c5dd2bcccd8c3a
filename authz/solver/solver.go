// Package solver answers ACME challenges, so that pending authorizations can
// be finished instead of given up (RFC 8555 §8, RFC 8737, RFC 8738).
//
// Each solver has a method Solve that fits authz.Manager.Solve:
//
//	web := &solver.HTTP01{Key: key, Addr: ":80"}
//	m := &authz.Manager{Client: client, Solve: web.Solve}
//
// [First] makes one of several: the first that can answer an authorization
// does. What none of them can, unknown challenge types for instance, is not
// touched.
//
//   - [HTTP01] serves http-01 itself, or from a mux of yours
//   - [Webroot] writes files for a web server that runs already
//   - [TLSALPN01] serves tls-alpn-01
//   - [DNS01] asks a DNS provider that has the methods of lego's
//   - [Hook] runs a command, as Certbot's manual hooks
package solver

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/acmeauthz/acmeauthz/authz"
	"golang.org/x/crypto/acme"
)

// ErrUnsupported means that a solver cannot answer an authorization: it offers
// no pending challenge of the solver's type, or its identifier does not go
// with it. Nothing was provisioned. It matches [authz.ErrNoChallenge], so that
// [authz.Manager.Clear] chooses another way.
var ErrUnsupported = fmt.Errorf("solver: authorization cannot be answered: %w", authz.ErrNoChallenge)

// A Func provisions the response to one challenge of an authorization, and
// returns that challenge and a function that removes the response again: see
// authz.Manager.Solve.
type Func = func(ctx context.Context, a *acme.Authorization) (*acme.Challenge, func(), error)

// First is a Func that uses the first of the solvers that can answer an
// authorization. Its error is [ErrUnsupported] if none can; the errors of one
// that can are its own.
func First(solvers ...Func) Func {
	return func(ctx context.Context, a *acme.Authorization) (*acme.Challenge, func(), error) {
		var errs []error
		for _, solve := range solvers {
			challenge, cleanup, err := solve(ctx, a)
			if !errors.Is(err, ErrUnsupported) {
				return challenge, cleanup, err
			}
			errs = append(errs, err)
		}
		if len(errs) == 0 {
			return nil, nil, ErrUnsupported
		}
		return nil, nil, errors.Join(errs...)
	}
}

// The challenge types that this package answers.
const (
	typeHTTP01    = "http-01"     // RFC 8555 §8.3
	typeDNS01     = "dns-01"      // RFC 8555 §8.4
	typeTLSALPN01 = "tls-alpn-01" // RFC 8737
)

// types are those that go with an identifier: a wildcard can only be answered
// by DNS (RFC 8555 §8.4 and CA practice), an address not at all by DNS
// (RFC 8738 §7).
func types(a *acme.Authorization) []string {
	switch {
	case a.Identifier.Type == "ip":
		return []string{typeHTTP01, typeTLSALPN01}
	case a.Identifier.Type != "dns":
		return nil
	case a.Wildcard:
		return []string{typeDNS01}
	}
	return []string{typeHTTP01, typeDNS01, typeTLSALPN01}
}

// challengeOf is the pending challenge of that type.
func challengeOf(a *acme.Authorization, kind string) (*acme.Challenge, error) {
	if !slices.Contains(types(a), kind) {
		return nil, fmt.Errorf("%w: %s is nothing for %s", ErrUnsupported, kind, describe(a))
	}
	for _, c := range a.Challenges {
		if c.Type == kind && (c.Status == acme.StatusPending || c.Status == "") {
			return c, checkToken(c.Token)
		}
	}
	return nil, fmt.Errorf("%w: %s offers no pending %s", ErrUnsupported, describe(a), kind)
}

func describe(a *acme.Authorization) string {
	if a.Wildcard {
		return "*." + a.Identifier.Value
	}
	return fmt.Sprintf("%q", a.Identifier.Value)
}

// maxToken is far above the 43 characters that CAs use.
const maxToken = 256

// checkToken refuses what is no base64url (RFC 8555 §8.1): it becomes a file
// name and a part of a URL.
func checkToken(token string) error {
	if token == "" || len(token) > maxToken {
		return fmt.Errorf("solver: the CA's token has %d characters", len(token))
	}
	for _, r := range token {
		if !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '-' || r == '_') {
			return fmt.Errorf("solver: the CA's token %q is not base64url", token)
		}
	}
	return nil
}

// name is the identifier's value, if it is one that could be.
func name(a *acme.Authorization) (string, error) {
	value := a.Identifier.Value
	if a.Identifier.Type == "ip" {
		ip, err := netip.ParseAddr(value)
		if err != nil {
			return "", fmt.Errorf("solver: the CA's identifier: %w", err)
		}
		return ip.String(), nil
	}
	for _, r := range value {
		if r <= ' ' || r >= 0x7f || r == '/' || r == '*' {
			return "", fmt.Errorf("solver: the CA's identifier %q is no name", value)
		}
	}
	if value == "" || len(value) > 255 {
		return "", fmt.Errorf("solver: the CA's identifier has %d characters", len(value))
	}
	return value, nil
}

var errNoKey = errors.New("solver: no Key: challenges are answered with the account's")

// keyAuthorization is what the account answers to a token (RFC 8555 §8.1).
func keyAuthorization(key crypto.Signer, token string) (string, error) {
	if key == nil {
		return "", errNoKey
	}
	return (&acme.Client{Key: key}).HTTP01ChallengeResponse(token)
}
