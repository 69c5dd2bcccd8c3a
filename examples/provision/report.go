package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"golang.org/x/crypto/acme"

	"github.com/acmeauthz/acmeauthz/authz"
)

const reportSchema = "acmeauthz-provision/1"

// A report is what became of the names.
type report struct {
	Schema      string        `json:"schema"`
	Names       []*nameReport `json:"names"`
	Orders      int           `json:"orders"`
	Certificate *certificate  `json:"certificate"`
	LeftPending int           `json:"left_pending"`
	Error       string        `json:"error"`

	server         string   // for people
	authorizations []string // of all orders
	pending        func(urls []string) (int, error)
}

// A nameReport is what became of one name.
type nameReport struct {
	Name        string `json:"name"`
	Status      string `json:"status"`
	Type        string `json:"type,omitempty"`
	Detail      string `json:"detail,omitempty"`
	Validations int    `json:"validations"`
}

type certificate struct {
	File     string    `json:"file,omitempty"`
	Names    int       `json:"names"`
	NotAfter time.Time `json:"not_after"`
}

func newReport(names []string) *report {
	r := &report{Schema: reportSchema}
	for _, name := range names {
		r.Names = append(r.Names, &nameReport{Name: name})
	}
	return r
}

// good are the names that have not failed.
func (r *report) good() []string {
	var all []string
	for _, n := range r.Names {
		if n.Status != "failed" {
			all = append(all, n.Name)
		}
	}
	return all
}

func (r *report) name(name string) *nameReport {
	i := slices.IndexFunc(r.Names, func(n *nameReport) bool { return strings.EqualFold(n.Name, name) })
	if i < 0 {
		return nil
	}
	return r.Names[i]
}

func (n *nameReport) fail(kind, detail string) {
	n.Status, n.Type, n.Detail = "failed", strings.TrimPrefix(kind, "urn:ietf:params:acme:error:"), detail
}

// validated takes the outcome of one authorization.
func (r *report) validated(result authz.Result) {
	if result.Authorization == nil {
		return // that it could not be read shows when the order is not ready
	}
	n := r.name(result.Authorization.Identifier.Value)
	if n == nil {
		return
	}
	if result.Challenge != nil {
		n.Validations++
	}
	if result.Err == nil || errors.Is(result.Err, context.Canceled) {
		return
	}
	n.fail(reason(result))
}

// reason is why a validation failed: the CA's problem, or what went wrong here.
func reason(result authz.Result) (kind, detail string) {
	if result.Challenge != nil && result.Challenge.Error != nil {
		if problem, ok := errors.AsType[*acme.Error](result.Challenge.Error); ok {
			return problem.ProblemType, problem.Detail
		}
	}
	if problem, ok := errors.AsType[*acme.Error](result.Err); ok {
		return problem.ProblemType, problem.Detail
	}
	return "solver", strings.TrimPrefix(strings.TrimPrefix(result.Err.Error(), "authz: "), "solve: ")
}

// note remembers an order's authorizations.
func (r *report) note(urls []string) {
	for _, url := range urls {
		if !slices.Contains(r.authorizations, url) {
			r.authorizations = append(r.authorizations, url)
		}
	}
}

// issued notes the certificate and the names that are in it.
func (r *report) issued(c *certificate, names []string) {
	r.Certificate = c
	for _, n := range r.Names {
		if slices.Contains(names, n.Name) {
			n.Status = "issued"
		}
	}
}

func (r *report) failed() []*nameReport {
	var all []*nameReport
	for _, n := range r.Names {
		if n.Status == "failed" {
			all = append(all, n)
		}
	}
	return all
}

func (r *report) code() int {
	switch {
	case r.Certificate == nil:
		return exitNone
	case len(r.failed()) > 0:
		return exitSome
	}
	return exitAll
}

// print prints the report for people, or as JSON.
func (r *report) print(w io.Writer, asJSON bool) error {
	if r.pending != nil {
		n, err := r.pending(r.authorizations)
		if err != nil {
			return err
		}
		r.LeftPending = n
	}
	if asJSON {
		encoder := json.NewEncoder(w)
		encoder.SetIndent("", "  ")
		return encoder.Encode(r)
	}
	if r.server != "" {
		fmt.Fprintf(w, "%d names at %s\n\n", len(r.Names), r.server)
	}
	if failed := r.failed(); len(failed) > 0 {
		table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		fmt.Fprintf(table, "NAME THAT FAILED\tWHY\n")
		for _, n := range failed {
			fmt.Fprintf(table, "%s\t%s: %s\n", printable(n.Name), printable(n.Type), short(printable(n.Detail)))
		}
		if err := table.Flush(); err != nil {
			return err
		}
		fmt.Fprintln(w)
	}
	_, err := io.WriteString(w, r.conclusion())
	return err
}

// short is the beginning of a CA's words, for a table.
func short(s string) string {
	const most = 80
	if r := []rune(s); len(r) > most {
		return string(r[:most]) + "…"
	}
	return s
}

// conclusion is what it comes to.
func (r *report) conclusion() string {
	var b strings.Builder
	if c := r.Certificate; c != nil {
		fmt.Fprintf(&b, "Certificate    %d names, until %s\n", c.Names, c.NotAfter.Format("2006-01-02"))
		if c.File != "" {
			fmt.Fprintf(&b, "Written to     %s\n", c.File)
		}
	} else {
		fmt.Fprintf(&b, "Certificate    none: %s\n", printable(r.Error))
	}
	orders := fmt.Sprintf("%d", r.Orders)
	if n := len(r.failed()); n > 1 && r.Certificate != nil {
		orders += fmt.Sprintf(", where a script that drops one name at a time makes %d", n+1)
	}
	fmt.Fprintf(&b, "Orders         %s\n", orders)
	fmt.Fprintf(&b, "Left pending   %d\n", r.LeftPending)
	return b.String()
}

// printable replaces what a terminal might act upon.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, s)
}
