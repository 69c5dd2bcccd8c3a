package main

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/acmeauthz/acmeauthz/internal/pebbleca"
	"github.com/go-jose/go-jose/v4"
	"golang.org/x/crypto/acme"
)

// orders are what the careless client wants certificates for, one each.
var orders = [][]string{
	{"shop.example.org", "www.shop.example.org"},
	{"blog.example.org", "*.blog.example.org"},
	{"mail.example.org", "imap.example.org", "smtp.example.org"},
}

// A stage is a CA, and the directories of a client that has left authorizations
// pending there.
type stage struct {
	ca         *pebbleca.CA
	dir        string // temporary, above the other two
	configDir  string // as /etc/letsencrypt
	logDir     string // as /var/log/letsencrypt
	accountURL string
}

// setStage starts the CA and lets the client be careless.
func setStage(ctx context.Context, out io.Writer) (*stage, error) {
	ca, err := pebbleca.Start(pebbleca.Config{})
	if err != nil {
		return nil, err
	}
	s := &stage{ca: ca}
	if s.dir, err = os.MkdirTemp("", "quickstart-"); err == nil {
		s.configDir = filepath.Join(s.dir, "etc", "letsencrypt")
		s.logDir = filepath.Join(s.dir, "var", "log", "letsencrypt")
		err = s.leak(ctx)
	}
	if err != nil {
		s.close()
		return nil, err
	}
	pending, _, err := s.pending()
	if err != nil {
		s.close()
		return nil, err
	}
	fmt.Fprintf(out, "Pebble, a CA for tests, runs at %s.\n", ca.DirectoryURL())
	fmt.Fprintf(out, "A careless client made %d orders there and never answered a challenge:\n", len(orders))
	fmt.Fprintf(out, "%d authorizations are pending. Its log and its account are, until the end, in\n%s.\n\n", pending, s.dir)
	return s, nil
}

// leak is the careless client.
func (s *stage) leak(ctx context.Context) error {
	log, err := s.createLog()
	if err != nil {
		return err
	}
	defer log.Close()
	key, err := rsa.GenerateKey(rand.Reader, 2048) // what Certbot makes
	if err != nil {
		return err
	}
	client := &acme.Client{
		Key:          key,
		DirectoryURL: s.ca.DirectoryURL(),
		HTTPClient:   &http.Client{Transport: &logTransport{base: s.ca.HTTPClient().Transport, log: log}, Timeout: 15 * time.Second},
	}
	account, err := client.Register(ctx, &acme.Account{}, acme.AcceptTOS)
	if err != nil {
		return err
	}
	s.accountURL = account.URI
	if err := s.saveAccount(key); err != nil {
		return err
	}
	for _, names := range orders {
		if err := order(ctx, client, names); err != nil {
			return err
		}
	}
	return log.Close()
}

// order asks for a certificate, looks at the authorizations, and gives up: the
// hook that should have provisioned the challenges was killed, say.
func order(ctx context.Context, client *acme.Client, names []string) error {
	o, err := client.AuthorizeOrder(ctx, acme.DomainIDs(names...))
	if err != nil {
		return err
	}
	for _, u := range o.AuthzURLs {
		if _, err := client.GetAuthorization(ctx, u); err != nil {
			return err
		}
	}
	return nil
}

func (s *stage) createLog() (*os.File, error) {
	if err := os.MkdirAll(s.logDir, 0o700); err != nil {
		return nil, err
	}
	return os.Create(filepath.Join(s.logDir, "letsencrypt.log"))
}

// saveAccount writes what Certbot keeps of an account, where it keeps it:
// accounts/<host>/<path of the directory URL>/<hash of the key>/.
func (s *stage) saveAccount(key *rsa.PrivateKey) error {
	directory, err := url.Parse(s.ca.DirectoryURL())
	if err != nil {
		return err
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return err
	}
	id := fmt.Sprintf("%x", sha256.Sum256(public))[:32]
	dir := filepath.Join(s.configDir, "accounts", directory.Host, filepath.FromSlash(directory.Path), id)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return errors.Join(
		writeJSON(filepath.Join(dir, "private_key.json"), 0o400, jose.JSONWebKey{Key: key}),
		writeJSON(filepath.Join(dir, "regr.json"), 0o644, map[string]any{"body": struct{}{}, "uri": s.accountURL}),
		writeJSON(filepath.Join(dir, "meta.json"), 0o644, map[string]any{
			"creation_dt": time.Now().UTC().Format(time.RFC3339), "creation_host": "web01.example.org"}),
	)
}

func writeJSON(path string, mode os.FileMode, content any) error {
	data, err := json.Marshal(content)
	if err != nil {
		return err
	}
	return os.WriteFile(path, data, mode)
}

// pending counts the account's authorizations in the CA's own database.
func (s *stage) pending() (pending, total int, err error) {
	statuses, err := s.ca.Statuses(s.accountURL)
	for _, status := range statuses {
		if status == acme.StatusPending {
			pending++
		}
	}
	return pending, len(statuses), err
}

// close ends the CA and removes the directories.
func (s *stage) close() {
	_ = s.ca.Close()
	if s.dir != "" {
		_ = os.RemoveAll(s.dir)
	}
}
