// Otel shows the traces of a Manager: it uses the http.Client that it is given,
// so a transport that makes spans sees every request. The packages themselves
// know nothing of OpenTelemetry. Run it in this directory:
//
//	go run .
package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/acmeauthz/acmeauthz/authz"
	"github.com/acmeauthz/acmeauthz/internal/pebbleca"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"golang.org/x/crypto/acme"
)

func main() {
	if err := run(context.Background(), os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "otel:", err)
		os.Exit(1)
	}
}

// run leaves two authorizations pending at a CA in this process, clears them
// within a span, and prints the spans.
func run(ctx context.Context, w io.Writer) error {
	ca, err := pebbleca.Start(pebbleca.Config{})
	if err != nil {
		return err
	}
	defer ca.Close()
	spans := tracetest.NewInMemoryExporter() // an OTLP exporter elsewhere
	provider := sdk.NewTracerProvider(sdk.WithSyncer(spans))
	defer provider.Shutdown(ctx)

	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	client := &acme.Client{
		Key:          key,
		DirectoryURL: ca.DirectoryURL(),
		HTTPClient: &http.Client{
			Timeout:   15 * time.Second,
			Transport: otelhttp.NewTransport(ca.HTTPClient().Transport, otelhttp.WithTracerProvider(provider)),
		},
	}
	account, err := client.Register(ctx, &acme.Account{}, acme.AcceptTOS)
	if err != nil {
		return err
	}
	client.KID = acme.KeyID(account.URI)
	order, err := client.AuthorizeOrder(ctx, acme.DomainIDs("shop.example.org", "www.shop.example.org"))
	if err != nil {
		return err
	}
	spans.Reset()

	ctx, span := provider.Tracer("example").Start(ctx, "clear authorizations")
	manager := &authz.Manager{Client: client, Policy: authz.Policy{KeepYounger: -1}}
	for r, err := range manager.Clear(ctx, authz.URLs(order.AuthzURLs...)) {
		if err != nil {
			return err
		}
		fmt.Fprintln(w, r.Before, "->", r.Authorization.Status)
	}
	span.End()
	root := span.SpanContext().SpanID()
	for _, s := range spans.GetSpans() {
		if s.Parent.SpanID() == root {
			fmt.Fprintln(w, "  span", s.Name)
		}
	}
	return nil
}
