package main

import (
	"cmp"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/crypto/acme"

	"github.com/acmeauthz/acmeauthz/authz"
	"github.com/acmeauthz/acmeauthz/authz/solver"
)

// A provisioner gets certificates for one account.
type provisioner struct {
	client  *acme.Client
	solve   solver.Func
	journal authz.Journal // may be nil
	out     string        // directory; empty: nothing is written
}

// register finds the account of the key, or makes one.
func (p *provisioner) register(ctx context.Context, agreed bool) error {
	a, err := p.client.GetReg(ctx, "")
	if errors.Is(err, acme.ErrNoAccount) {
		if !agreed {
			return errors.New("the CA knows no account of this key: --agree-tos makes one")
		}
		a, err = p.client.Register(ctx, &acme.Account{}, acme.AcceptTOS)
	}
	if err != nil {
		return fmt.Errorf("account: %w", err)
	}
	p.client.KID = acme.KeyID(a.URI)
	return nil
}

func (p *provisioner) manager() *authz.Manager {
	return &authz.Manager{Client: p.client, Parallelism: 16, Solve: p.solve}
}

// cleaner settles what is left of an order: nothing is validated any more.
func (p *provisioner) cleaner() *authz.Manager {
	return &authz.Manager{Client: p.client, Parallelism: 16, Journal: p.journal}
}

// maxOrders is the first try and one retry.
const maxOrders = 2

// provision gets the certificate. Why names failed, or why there is no
// certificate, is in the report.
func (p *provisioner) provision(ctx context.Context, report *report) {
	if _, err := p.cleaner().Recover(ctx); err != nil { // of a run that was killed
		report.Error = fmt.Sprintf("what an earlier run left: %v", err)
		return
	}
	for report.Orders < maxOrders {
		done, err := p.try(ctx, report)
		if err != nil {
			report.Error = err.Error()
			return
		}
		if done {
			return
		}
	}
	report.Error = "names failed that had been valid before"
}

// try makes one order of the names that have not failed. It reports whether it
// ended with a certificate.
func (p *provisioner) try(ctx context.Context, report *report) (done bool, err error) {
	names := report.good()
	if len(names) == 0 {
		return false, errors.New("not one name is good")
	}
	report.Orders++
	order, err := p.client.AuthorizeOrder(ctx, acme.DomainIDs(names...))
	if err != nil {
		if report.reject(err) {
			return false, nil
		}
		return false, fmt.Errorf("order: %w", err)
	}
	guard := p.cleaner().Guard(order)
	defer func() {
		_, closeErr := guard.Close(ctx) // works although ctx has ended
		report.note(order.AuthzURLs)
		err = cmp.Or(err, closeErr)
	}()
	if err := p.validate(ctx, order, report); err != nil {
		return false, err
	}
	if len(report.good()) < len(names) {
		return false, nil // this order is dead; the good names are valid
	}
	return true, p.finalize(ctx, order, names, report)
}

// validate validates all of the order, also after some of it has failed.
func (p *provisioner) validate(ctx context.Context, order *acme.Order, report *report) error {
	for r, err := range p.manager().Validate(ctx, authz.URLs(order.AuthzURLs...)) {
		if err != nil {
			return fmt.Errorf("validate: %w", err)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		report.validated(r)
	}
	return ctx.Err()
}

// finalize turns the order into a certificate, with a new key.
func (p *provisioner) finalize(ctx context.Context, order *acme.Order, names []string, report *report) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{DNSNames: names}, key)
	if err != nil {
		return err
	}
	ready, err := p.client.WaitOrder(ctx, order.URI)
	if err != nil {
		return fmt.Errorf("order: %w", err)
	}
	ready.URI = cmp.Or(ready.URI, order.URI) // some CAs do not repeat it
	chain, _, err := p.client.CreateCertFromOrder(ctx, ready, csr, true)
	if err != nil {
		return fmt.Errorf("finalize: %w", err)
	}
	leaf, err := x509.ParseCertificate(chain[0])
	if err != nil {
		return fmt.Errorf("the CA's certificate: %w", err)
	}
	certificate := &certificate{Names: len(leaf.DNSNames), NotAfter: leaf.NotAfter.UTC()}
	if p.out != "" {
		if certificate.File, err = p.write(chain, key); err != nil {
			return err
		}
	}
	report.issued(certificate, leaf.DNSNames)
	return nil
}

// write writes the certificate's chain and its key.
func (p *provisioner) write(chain [][]byte, key *ecdsa.PrivateKey) (file string, err error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return "", err
	}
	var blocks []byte
	for _, c := range chain {
		blocks = append(blocks, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c})...)
	}
	if err := os.MkdirAll(p.out, 0o700); err != nil {
		return "", err
	}
	if err := os.WriteFile(filepath.Join(p.out, "key.pem"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600); err != nil {
		return "", err
	}
	file = filepath.Join(p.out, "certificate.pem")
	return file, os.WriteFile(file, blocks, 0o644)
}

// reject drops the names that the CA does not want in an order at all
// (RFC 8555 §6.7.1), and reports whether there were any.
func (r *report) reject(err error) bool {
	problem, ok := errors.AsType[*acme.Error](err)
	if !ok {
		return false
	}
	dropped := false
	for _, sub := range problem.Subproblems {
		if sub.Identifier == nil {
			continue
		}
		if n := r.name(sub.Identifier.Value); n != nil && n.Status == "" {
			n.fail(sub.Type, sub.Detail)
			dropped = true
		}
	}
	return dropped && slices.ContainsFunc(r.Names, func(n *nameReport) bool { return n.Status == "" })
}
