package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"

	"github.com/acmeauthz/acmeauthz/examples/fleet/picture"
	"github.com/acmeauthz/acmeauthz/logparse"
	"golang.org/x/term"
)

// width is how many columns a terminal has; 0 if w is none.
func width(w io.Writer) int {
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		if columns, _, err := term.GetSize(int(f.Fd())); err == nil {
			return columns
		}
	}
	return 0
}

// writeReport writes a page to a file, or the History as JSON to standard output.
func (p *program) writeReport(html string, h *logparse.History) error {
	if html == "" {
		data, err := h.MarshalJSON()
		if err == nil {
			_, err = fmt.Fprintf(p.stdout, "%s\n", data)
		}
		return err
	}
	f, err := os.Create(html)
	if err != nil {
		return err
	}
	if err := errors.Join(picture.WriteHTML(f, h), f.Close()); err != nil {
		return err
	}
	fmt.Fprintf(p.stdout, "The page is in %s\n", html)
	return nil
}

// trusting is a transport that trusts the roots in a file.
func trusting(name string) (http.RoundTripper, error) {
	roots, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(roots) {
		return nil, fmt.Errorf("%s has no certificate in PEM", name)
	}
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	return t, nil
}
