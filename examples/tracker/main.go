// Tracker shows how an authz.Tracker keeps ACME clients from leaving pending
// authorizations behind: the same program once without it and once with it, for
// three ACME libraries.
//
//	go run .
//
// Each time a client orders three names, and gives up while it waits for its
// solver, as one does whose DNS provider hangs and whose caller has a time
// limit. All of it happens on an embedded CA, Let's Encrypt's Pebble.
//
// xcrypto.go, lego.go and acmez.go have what differs: the http.Client that the
// Tracker is put into.
package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/acmeauthz/acmeauthz/authz"
	"github.com/acmeauthz/acmeauthz/internal/pebbleca"
)

// An acmeLibrary has a client that gives up when ctx ends. It speaks with the CA
// through the http.Client.
type acmeLibrary struct {
	name   string
	giveUp func(ctx context.Context, directory string, key *ecdsa.PrivateKey, client *http.Client, names []string) error
}

var libraries = []acmeLibrary{{"x/crypto/acme", xcrypto}, {"lego", lego}, {"acmez", acmez}}

func main() {
	if err := run(context.Background(), os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "tracker:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, w io.Writer) error {
	ca, err := pebbleca.Start(pebbleca.Config{})
	if err != nil {
		return err
	}
	defer ca.Close()
	fmt.Fprintf(w, "%-15s %-20s %s\n", "LIBRARY", "LEFT PENDING WITHOUT", "WITH A TRACKER")
	for _, l := range libraries {
		without, err := l.leaks(ctx, ca, false)
		if err != nil {
			return fmt.Errorf("%s: %w", l.name, err)
		}
		with, err := l.leaks(ctx, ca, true)
		if err != nil {
			return fmt.Errorf("%s with a tracker: %w", l.name, err)
		}
		fmt.Fprintf(w, "%-15s %-20d %d\n", l.name, without, with)
	}
	return nil
}

// patience is how long the caller waits for the client.
const patience = time.Second

// leaks lets the library give up, and counts what the CA then holds pending.
func (l acmeLibrary) leaks(ctx context.Context, ca *pebbleca.CA, track bool) (int, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return 0, err
	}
	// The Tracker sees the account's URL and the orders on their way. The
	// directory's URL is needed for acmez, which remembers directories.
	tracker := &authz.Tracker{Base: ca.HTTPClient().Transport, Key: key, DirectoryURL: ca.DirectoryURL()}
	client := ca.HTTPClient()
	if track {
		client = &http.Client{Transport: tracker, Timeout: client.Timeout}
	}
	orders := &watcher{base: client.Transport} // to know what to count
	limited, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	names := []string{"shop.example.org", "www.shop.example.org", "blog.example.org"}
	if err := l.giveUp(limited, ca.DirectoryURL(), key, &http.Client{Transport: orders, Timeout: client.Timeout}, names); err == nil {
		return 0, errors.New("it did not give up")
	}
	if track {
		if _, err := tracker.Close(limited); err != nil { // although limited has ended
			return 0, err
		}
	}
	return pending(ca, orders.urls())
}

func pending(ca *pebbleca.CA, urls []string) (n int, err error) {
	for _, url := range urls {
		status, err := ca.Status(url)
		if err != nil {
			return 0, err
		}
		if status == "pending" {
			n++
		}
	}
	return n, nil
}
