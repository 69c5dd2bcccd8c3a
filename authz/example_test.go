package authz_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"os"
	"path/filepath"
	"strings"
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

// At Let's Encrypt nothing is gained by clearing, so that is not done unless it
// is asked for.
func ExampleManager_Clear() {
	client, urls := clientWithLeaks(fakeca.Boulder)
	for _, profile := range authz.Profiles() {
		if profile.Name != "Let's Encrypt" && profile.Name != "Boulder" {
			continue
		}
		profile.Match = []authz.Match{{}} // whatever the server's name: a program needs no Profiles
		m := &authz.Manager{Client: client, Profiles: []authz.Profile{profile}, Policy: authz.Policy{KeepYounger: -1}}
		for r, err := range m.Clear(context.Background(), authz.URLs(urls[0], urls[2])) {
			if err != nil {
				log.Fatal(err)
			}
			fmt.Println(profile.Name, r.Decision.Action, r.Decision.Reason)
		}
	}
	// Output:
	// Let's Encrypt leave it ends by itself and is in nobody's way; to deactivate it would count as a failed validation
	// Let's Encrypt none it is valid
	// Boulder deactivate this CA deactivates at once
	// Boulder none it is valid
}

// A plan can be looked at, kept as JSON and applied later.
func ExampleManager_Plan() {
	client, urls := clientWithLeaks(fakeca.Pebble)
	m := &authz.Manager{Client: client, Policy: authz.Policy{KeepYounger: -1}}
	plan, err := m.Plan(context.Background(), authz.URLs(urls[:3]...))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(plan.CA, plan.Count(authz.ActionDeactivate), plan.Failures)
	for r, err := range m.Apply(context.Background(), plan) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(r.Decision.Action, r.Changed)
	}
	// Output:
	// Pebble 2 0
	// deactivate true
	// deactivate true
	// none false
}

// What is valid for a domain that was sold is given up, with a report.
func ExampleManager_Relinquish() {
	client, urls := clientWithLeaks(fakeca.Boulder)
	names, err := authz.ParseNames(".example.com") // all of it
	if err != nil {
		log.Fatal(err)
	}
	m := &authz.Manager{Client: client}
	report := authz.NewReport(m, names)
	for r, err := range m.Relinquish(context.Background(), names, authz.URLs(urls[:3]...)) {
		if err != nil {
			log.Fatal(err)
		}
		report.Add(names, r)
	}
	for _, e := range report.Entries {
		fmt.Println(e.Identifier, e.Before, e.Changed, e.Reason)
	}
	// Output:
	// www.example.com pending false it is pending, not valid
	// example.com pending false it is pending, not valid
	// shop.example.com valid true
}

// A Tracker goes into the http.Client of any ACME library.
func ExampleTracker() {
	ca := fakeca.New(fakeca.Config{Behavior: fakeca.Pebble})
	client := ca.Client()
	tracker := &authz.Tracker{Key: client.Key, Base: client.HTTPClient.Transport}
	client.HTTPClient = &http.Client{Transport: tracker}

	order, err := client.AuthorizeOrder(context.Background(), acme.DomainIDs("a.example", "b.example"))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(order.AuthzURLs), "made,", len(tracker.Open()), "open")
	// ... the program returns without having validated them
	results, err := tracker.Close(context.Background())
	fmt.Println(len(results), "settled,", len(tracker.Open()), "open", err)
	// Output:
	// 2 made, 2 open
	// 2 settled, 0 open <nil>
}

// A Guard does so for one order of x/crypto's client.
func ExampleManager_Guard() {
	ca := fakeca.New(fakeca.Config{Behavior: fakeca.Pebble})
	client := ca.Client()
	m := &authz.Manager{Client: client}
	order, err := client.AuthorizeOrder(context.Background(), acme.DomainIDs("a.example"))
	if err != nil {
		log.Fatal(err)
	}
	guard := m.Guard(order) // in a program: defer guard.Close(ctx)
	results, err := guard.Close(context.Background())
	fmt.Println(len(results), results[0].Decision.Action, err)
	// Output:
	// 1 deactivate <nil>
}

// Where the CA lists the account's orders, no logs are needed.
func ExampleManager_Authorizations() {
	ca := fakeca.New(fakeca.Config{Behavior: fakeca.Pebble})
	client := ca.Client()
	if _, err := client.AuthorizeOrder(context.Background(), acme.DomainIDs("a.example", "b.example")); err != nil {
		log.Fatal(err)
	}
	ctx, m := context.Background(), &authz.Manager{Client: client, Policy: authz.Policy{KeepYounger: -1}}
	for r, err := range m.Clear(ctx, m.Authorizations(ctx, m.Orders(ctx))) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(r.Before, r.Authorization.Status)
	}
	// Output:
	// pending deactivated
	// pending deactivated
}

// What nobody has told the package of a CA can be told it.
func ExampleReadProfiles() {
	profiles, err := authz.ReadProfiles(strings.NewReader(`[{
		"name": "our CA", "match": [{"host": "ca.test"}], "deactivate": "refused", "answer": "lingers",
		"pendingLifetimes": ["24h"], "sources": [{"what": "measured", "date": "2026-11-24"}]
	}]`))
	if err != nil {
		log.Fatal(err)
	}
	client, urls := clientWithLeaks(fakeca.StepCA)
	m := &authz.Manager{Client: client, Profiles: profiles, Policy: authz.Policy{KeepYounger: -1}}
	for r, err := range m.Clear(context.Background(), authz.URLs(urls[0])) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(r.Decision.Action, r.Decision.Reason)
	}
	// Output:
	// wait this CA does not deactivate, and a failed answer leaves it pending
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

// A journal outlives the process: what a run began, the next one knows.
func ExampleOpenJournal() {
	client, urls := clientWithLeaks(fakeca.Boulder)
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	for run := range 2 {
		journal, err := authz.OpenJournal(filepath.Join(dir, "journal"))
		if err != nil {
			log.Fatal(err)
		}
		m := &authz.Manager{Client: client, Journal: journal, Policy: authz.Policy{KeepYounger: -1, Method: authz.ActionDeactivate}}
		for r, err := range m.Clear(context.Background(), authz.URLs(urls[0])) {
			if err != nil {
				log.Fatal(err)
			}
			fmt.Println(run, r.Changed, r.Decision.Reason)
		}
		if err := journal.Close(); err != nil {
			log.Fatal(err)
		}
	}
	// Output:
	// 0 true as told
	// 1 false it was settled before, the journal says
}
