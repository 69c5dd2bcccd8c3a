package main

import (
	"crypto"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// What Certbot leaves on a host when it is killed in its hook: the lines of its log, and its account's directory.

// A certbotRun is a run that has ordered, has read the authorizations, and was killed.
type certbotRun struct {
	Directory, Account string // URLs
	Order, Finalize    string
	Names              []string
	Authorizations     []string
	Expires            time.Time
	Began              time.Time
}

type certbotIdentifier struct {
	Type  string `json:"type"`
	Value string `json:"value"`
}

// write writes the lines of the run.
func (r *certbotRun) write(w io.Writer) error {
	l := &certbotLog{out: w, at: r.Began, protected: base64.RawURLEncoding.EncodeToString([]byte(fmt.Sprintf(`{"alg":"RS256","kid":%q}`, r.Account)))}
	l.line("certbot._internal.main", "certbot version: 2.1.0")
	l.line("certbot._internal.main", "Arguments: ['--manual', '-d', '%s']", strings.Join(r.Names, "', '-d', '"))
	all := make([]certbotIdentifier, len(r.Names))
	for i, name := range r.Names {
		all[i] = certbotIdentifier{"dns", name}
	}
	l.exchange(r.Directory+"/new-order", "Location: "+r.Order+"\n", 201, map[string]any{
		"status": "pending", "identifiers": all, "authorizations": r.Authorizations, "finalize": r.Finalize,
	})
	for i, u := range r.Authorizations {
		l.exchange(u, "", 200, map[string]any{"status": "pending", "identifier": all[i], "expires": r.Expires.UTC().Format(time.RFC3339)})
	}
	l.line("certbot.compat.misc", "Running manual-auth-hook command: /etc/letsencrypt/auth.sh")
	return l.err
}

// A certbotLog is a log that is written.
type certbotLog struct {
	out       io.Writer
	at        time.Time
	protected string
	err       error
}

func (l *certbotLog) line(logger, format string, values ...any) {
	l.at = l.at.Add(50 * time.Millisecond)
	stamp := strings.Replace(l.at.Format("2006-01-02 15:04:05.000"), ".", ",", 1)
	_, err := fmt.Fprintf(l.out, "%s:DEBUG:%s:%s\n", stamp, logger, fmt.Sprintf(format, values...))
	l.err = errors.Join(l.err, err)
}

func (l *certbotLog) exchange(url, location string, status int, body any) {
	text, err := json.MarshalIndent(body, "", "  ")
	l.err = errors.Join(l.err, err)
	l.line("acme.client", "JWS payload:\nb''")
	l.line("acme.client", "Sending POST request to %s:\n{\n  \"protected\": \"%s\",\n  \"payload\": \"\"\n}", url, l.protected)
	l.line("acme.client", "Received response:\nHTTP %d\nContent-Type: application/json\n%s\n%s", status, location, text)
	l.line("acme.client", "Storing nonce: x")
}

// saveCertbotAccount writes an account below dir, as Certbot keeps it.
func saveCertbotAccount(dir, directory, account string, key crypto.Signer, name string) error {
	u, err := url.Parse(directory)
	if err != nil {
		return err
	}
	dir = filepath.Join(dir, "accounts", u.Host, filepath.FromSlash(u.Path), name)
	files := map[string]any{"private_key.json": jose.JSONWebKey{Key: key}, "regr.json": map[string]any{"body": struct{}{}, "uri": account}}
	err = os.MkdirAll(dir, 0o700)
	for file, content := range files {
		data, e := json.Marshal(content)
		err = errors.Join(err, e, os.WriteFile(filepath.Join(dir, file), data, 0o600))
	}
	return err
}
