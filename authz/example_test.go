package authz_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"golang.org/x/crypto/acme"

	"github.com/acmeauthz/acmeauthz/authz"
	"github.com/acmeauthz/acmeauthz/internal/fakeca"
)

// clientWithLeaks stands for your own client, and for URLs from its logs.
func clientWithLeaks(behavior fakeca.Behavior) (*acme.Client, []string) {
	ca := fakeca.New(fakeca.Config{Behavior: behavior})
	var urls []string
	for _, a := range []fakeca.Authorization{
		{Identifier: "www.example.com"},
		{Identifier: "example.com", Wildcard: true},
		{Identifier: "shop.example.com", Status: acme.StatusValid},
	} {
		urls = append(urls, ca.Add(a))
	}
	return ca.Client(), append(urls, "https://elsewhere.example/acme/authz/1/2")
}

func ExampleManager_List() {
	client, urls := clientWithLeaks(fakeca.Boulder)
	m := &authz.Manager{Client: client}
	for r, err := range m.List(context.Background(), authz.URLs(urls...)) {
		if err != nil {
			log.Fatal(err)
		}
		if r.Err != nil {
			fmt.Println(r.Err)
			continue
		}
		a := r.Authorization
		fmt.Println(a.Identifier.Value, a.Wildcard, a.Status, time.Until(a.Expires) > 6*24*time.Hour)
	}
	// Output:
	// www.example.com false pending true
	// example.com true pending true
	// shop.example.com false valid true
	// authz: URL does not belong to the CA: https://elsewhere.example
}

// By default only pending authorizations are touched.
func ExampleManager_Deactivate() {
	client, urls := clientWithLeaks(fakeca.Boulder)
	m := &authz.Manager{Client: client}
	for r, err := range m.Deactivate(context.Background(), authz.URLs(urls[:3]...)) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(r.Authorization.Identifier.Value, r.Before, r.Authorization.Status, r.Changed)
	}
	// Output:
	// www.example.com pending deactivated true
	// example.com pending deactivated true
	// shop.example.com valid valid false
}

// Not every CA does as it is told.
func ExampleManager_Deactivate_refused() {
	client, urls := clientWithLeaks(fakeca.StepCA)
	m := &authz.Manager{Client: client}
	for r, err := range m.Deactivate(context.Background(), authz.URLs(urls[0])) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(r.Changed, errors.Is(r.Err, authz.ErrRefused), r.Authorization.Status)
	}
	// Output:
	// false true pending
}

// Select narrows down what may be changed.
func ExampleManager_select() {
	client, urls := clientWithLeaks(fakeca.Boulder)
	m := &authz.Manager{
		Client: client,
		Select: func(a *acme.Authorization) bool { return authz.Pending(a) && a.Wildcard },
	}
	for r, err := range m.Deactivate(context.Background(), authz.URLs(urls[:3]...)) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(r.Authorization.Identifier.Value, r.Authorization.Status)
	}
	// Output:
	// www.example.com pending
	// example.com deactivated
	// shop.example.com valid
}

// Without a Solve, the CA finds the answer failed and settles the
// authorization.
func ExampleManager_Validate() {
	client, urls := clientWithLeaks(fakeca.Boulder)
	m := &authz.Manager{Client: client}
	for r, err := range m.Validate(context.Background(), authz.URLs(urls[0])) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(r.Challenge.Type, r.Authorization.Status, r.Challenge.Error != nil)
	}
	// Output:
	// dns-01 invalid true
}
