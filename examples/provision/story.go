package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"sync"

	"golang.org/x/crypto/acme"

	"github.com/acmeauthz/acmeauthz/internal/pebbleca"
)

// storyNames are 100 names, of which 7 go wrong in three ways.
func storyNames() []string {
	var names []string
	for i := range 100 {
		switch i {
		case 13, 41, 77:
			names = append(names, fmt.Sprintf("moved%02d.example.org", i)) // answers for another web server
		case 28, 56:
			names = append(names, fmt.Sprintf("forgotten%02d.example.org", i)) // has no answer
		case 60, 99:
			names = append(names, fmt.Sprintf("unplugged%02d.example.org", i)) // cannot be provisioned
		default:
			names = append(names, fmt.Sprintf("customer%02d.example.org", i))
		}
	}
	return names
}

// story provisions at an embedded CA that reuses valid authorizations, as Let's
// Encrypt does.
func story(ctx context.Context, names []string) (*report, error) {
	names, err := readNames(names, "")
	if err != nil {
		return nil, err
	}
	if len(names) == 0 {
		names = storyNames()
	}
	ca, err := pebbleca.Start(pebbleca.Config{ReusePercent: 100, RetryAfter: 1})
	if err != nil {
		return nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, errors.Join(err, ca.Close())
	}
	p := &provisioner{
		client: &acme.Client{Key: key, DirectoryURL: ca.DirectoryURL(), HTTPClient: ca.HTTPClient()},
		solve:  (&webServers{ca: ca, key: key}).solve,
	}
	report := newReport(names)
	report.server = "an embedded Pebble"
	report.pending = func(urls []string) (int, error) {
		n, err := stillPending(ca, urls)
		return n, errors.Join(err, ca.Close())
	}
	if err := p.register(ctx, true); err != nil {
		report.Error = err.Error()
		return report, nil
	}
	p.provision(ctx, report)
	return report, nil
}

// stillPending counts in the CA's own database.
func stillPending(ca *pebbleca.CA, urls []string) (int, error) {
	n := 0
	for _, url := range urls {
		status, err := ca.Status(url)
		if err != nil {
			return 0, err
		}
		if status == acme.StatusPending {
			n++
		}
	}
	return n, nil
}

// webServers are those of the story's names, all at the embedded CA.
type webServers struct {
	ca  *pebbleca.CA
	key *ecdsa.PrivateKey
	mu  sync.Mutex
}

func (s *webServers) solve(_ context.Context, a *acme.Authorization) (*acme.Challenge, func(), error) {
	for _, c := range a.Challenges {
		if c.Type != "http-01" {
			continue
		}
		answer, err := (&acme.Client{Key: s.key}).HTTP01ChallengeResponse(c.Token)
		if err != nil {
			return nil, nil, err
		}
		name := a.Identifier.Value
		switch {
		case strings.HasPrefix(name, "unplugged"):
			return nil, nil, errors.New("the web server of " + name + " cannot be reached")
		case strings.HasPrefix(name, "moved"):
			answer = "this is somebody else's web server"
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if !strings.HasPrefix(name, "forgotten") {
			s.ca.Challenges().AddHTTPOneChallenge(c.Token, answer)
		}
		return c, func() { s.ca.Challenges().DeleteHTTPOneChallenge(c.Token) }, nil
	}
	return nil, nil, errors.New("the CA offers no http-01")
}
