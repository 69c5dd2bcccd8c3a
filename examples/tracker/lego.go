package main

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"log/slog"
	"net/http"

	"github.com/go-acme/lego/v5/acme"
	"github.com/go-acme/lego/v5/certcrypto"
	"github.com/go-acme/lego/v5/certificate"
	library "github.com/go-acme/lego/v5/lego"
	"github.com/go-acme/lego/v5/log"
	"github.com/go-acme/lego/v5/registration"
)

// lego orders with github.com/go-acme/lego, which Traefik uses.
func lego(ctx context.Context, directory string, key *ecdsa.PrivateKey, client *http.Client, names []string) error {
	user := &legoUser{key: key}
	config := library.NewConfig(user)
	config.CADirURL, config.HTTPClient = directory, client
	log.SetDefault(slog.New(slog.DiscardHandler)) // it tells of every step
	c, err := library.NewClient(config)
	if err != nil {
		return err
	}
	if user.account, err = c.Registration.Register(ctx, registration.RegisterOptions{TermsOfServiceAgreed: true}); err != nil {
		return err
	}
	if err := c.Challenge.SetHTTP01Provider(legoHangs{}); err != nil {
		return err
	}
	_, err = c.Certificate.Obtain(ctx, certificate.ObtainRequest{Domains: names, KeyType: certcrypto.EC256})
	return err
}

type legoUser struct {
	key     crypto.Signer
	account *acme.ExtendedAccount
}

func (*legoUser) GetEmail() string                         { return "" }
func (u *legoUser) GetRegistration() *acme.ExtendedAccount { return u.account }
func (u *legoUser) GetPrivateKey() crypto.Signer           { return u.key }

// legoHangs is a provider that waits until somebody gives up.
type legoHangs struct{}

func (legoHangs) Present(ctx context.Context, _, _, _ string) error {
	<-ctx.Done()
	return ctx.Err()
}

func (legoHangs) CleanUp(context.Context, string, string, string) error { return nil }
