package authz_test

import (
	"cmp"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/acmeauthz/acmeauthz/authz"
	"github.com/acmeauthz/acmeauthz/internal/fakeca"
)

var update = flag.Bool("update", false, "write CAs.md")

// CAs.md says of each CA what is known, and what Clear makes of that. It is
// made from profiles.json and the code, so that neither drifts:
//
//	go test . -run TestCAs -update
func TestCAs(t *testing.T) {
	var b strings.Builder
	b.WriteString(casHead)
	for _, p := range authz.Profiles() {
		fmt.Fprintf(&b, "| %s | yes | %s | %s | %s | %s | %s |\n", p.Name, words(p.Deactivate), words(p.Answer), finishing(p), listing(p), planned(t, p))
	}
	b.WriteString(casLimits)
	for _, p := range authz.Profiles() {
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", p.Name, lifetimes(p), limit(p), budget(p), rates(p))
	}
	b.WriteString(casSources)
	for _, p := range authz.Profiles() {
		tested := "nothing: it rests on documents"
		if p.Tested != "" {
			tested = p.Tested
		}
		fmt.Fprintf(&b, "**%s.** Tested: %s.\n\n", p.Name, tested)
		for _, s := range p.Sources {
			what := s.What
			if s.URL != "" {
				what = "[" + what + "](" + s.URL + ")"
			}
			if s.Date != "" {
				what += ", " + s.Date
			}
			fmt.Fprintf(&b, "- %s\n", what)
		}
		b.WriteString("\n")
	}
	got := strings.TrimRight(b.String(), "\n") + "\n"
	if *update {
		require.NoError(t, os.WriteFile("CAs.md", []byte(got), 0o644))
	}
	want, err := os.ReadFile("CAs.md")
	require.NoError(t, err)
	require.Equal(t, string(want), got, "go test . -run TestCAs -update writes it")
}

const casHead = `# What CAs do with authorizations

This page is made from [profiles.json](profiles.json) by a test; the column *Clear* is what
[Manager.Clear](https://pkg.go.dev/github.com/acmeauthz/acmeauthz/authz#Manager.Clear) does with an authorization that was left
behind, without a solver. A profile of your own goes before these: see
[Manager.Profiles](https://pkg.go.dev/github.com/acmeauthz/acmeauthz/authz#Manager).

*List*: reading authorizations. *Deactivate*: of a pending one. *Answer*: with a challenge that fails. *Finish*: with a solver, so
that it becomes valid. *Orders*: the account's list of orders.

| CA | List | Deactivate | Answer | Finish | Orders | Clear |
| --- | --- | --- | --- | --- | --- | --- |
`

const casLimits = `
Lifetimes of pending authorizations depend on the certificate profile where there are several. *Failures* is how many failed
validations of a name an account may have; Clear keeps one of them back, so that the client's own orders are not refused.
*Requests* is what the Manager keeps to; ? is not known.

| CA | Pending for | Most pending | Failures | Requests |
| --- | --- | --- | --- | --- |
`

const casSources = `
## What it rests on

`

func words(e authz.Effect) string { return cmp.Or(string(e), "?") }

func finishing(p authz.Profile) string {
	if p.Answer == authz.EffectImpossible {
		return "no challenges"
	}
	return "yes"
}

func listing(p authz.Profile) string {
	list := map[string]string{"": "no", "object": "yes", "array": "yes, a bare array"}[p.Orders.Shape]
	if p.Orders.At != "" {
		list += ", at `" + p.Orders.At + "` beside the directory"
	}
	if p.Orders.Omits != "" {
		list += "; omits " + p.Orders.Omits
	}
	if p.Name == "unknown CA" {
		return "?"
	}
	return list
}

// planned is what Clear does at a CA of that profile.
func planned(t *testing.T, p authz.Profile) string {
	ca := fakeca.New(fakeca.Config{})
	url := ca.Add(fakeca.Authorization{Expires: time.Now().Add(50 * time.Hour)})
	p.Match = []authz.Match{{}}
	m := &authz.Manager{Client: ca.Client(), Profiles: []authz.Profile{p}, Policy: old}
	plan, err := m.Plan(t.Context(), authz.URLs(url))
	require.NoError(t, err)
	return string(plan.Steps[0].Action)
}

func lifetimes(p authz.Profile) string {
	var all []string
	for _, d := range p.PendingLifetimes {
		switch {
		case d%(24*time.Hour) == 0:
			all = append(all, fmt.Sprintf("%d d", d/(24*time.Hour)))
		case d%time.Hour == 0:
			all = append(all, fmt.Sprintf("%d h", d/time.Hour))
		default:
			all = append(all, fmt.Sprintf("%d min", d/time.Minute))
		}
	}
	return cmp.Or(strings.Join(all, " or "), "?")
}

func limit(p authz.Profile) string {
	if p.PendingLimit == 0 {
		return "no limit known"
	}
	return fmt.Sprint(p.PendingLimit)
}

func budget(p authz.Profile) string {
	f := p.Failures
	if f.Count == 0 {
		return "no limit known"
	}
	s := fmt.Sprintf("%d in %v", f.Count, strings.TrimSuffix(strings.TrimSuffix(f.Window.String(), "0s"), "0m"))
	if f.Consecutive > 0 {
		s += fmt.Sprintf(", %d in a row", f.Consecutive)
	}
	if f.Deactivation {
		s += "; a deactivation counts"
	}
	return s
}

func rates(p authz.Profile) string {
	rate := func(r authz.Rate, what string) string {
		if r.PerSecond == 0 {
			return ""
		}
		return fmt.Sprintf("%v %s per s", r.PerSecond, what)
	}
	all := []string{rate(p.Requests, "requests"), rate(p.NewNonce, "new nonces")}
	if all[0] == "" {
		all = all[1:]
	}
	return cmp.Or(strings.Trim(strings.Join(all, ", "), ", "), "no limit known")
}
