package authz

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"golang.org/x/crypto/acme"
)

// Relinquish deactivates the account's valid authorizations for names that are
// somebody else's now: customers who left, domains that were sold. As long as
// they are valid, whoever has the account's key can get certificates for the
// names. It is free at Let's Encrypt: deactivating a valid authorization is no
// failure.
//
// The URLs come from logs or from the account's orders; an authorization that
// is not for one of the names, or not valid, is not touched, and its Decision
// says so. Orders that are ready or being issued with an authorization are not
// spared. Certificates that were issued are not revoked.
//
// A [Report] makes a proof of the results. Sequences and errors are as in
// [Manager.Clear]. It is an error to relinquish no names at all.
func (m *Manager) Relinquish(ctx context.Context, names Names, urls iter.Seq2[string, error]) iter.Seq2[Result, error] {
	if names.Len() == 0 {
		return func(yield func(Result, error) bool) { yield(Result{}, errors.New("authz: no names to relinquish")) }
	}
	return m.changes(ctx, urls, false, func(s *session, ctx context.Context, url string) Result {
		return s.relinquish(ctx, names, url)
	})
}

// relinquish is Relinquish for one URL.
func (s *session) relinquish(ctx context.Context, names Names, url string) Result {
	r := s.list(ctx, url)
	if r.Err != nil {
		return r
	}
	switch {
	case !names.Has(r.Authorization):
		r.Decision = Decision{Action: ActionNone, Reason: "its name was not asked for"}
	case r.Before != acme.StatusValid:
		r.Decision = Decision{Action: ActionNone, Reason: "it is " + r.Before + ", not valid"}
	default:
		r.Decision = Decision{Action: ActionDeactivate, Reason: "its name was asked for"}
		s.change(ctx, &r, ActionDeactivate, 0)
		s.confirm(ctx, &r)
	}
	return r
}

// confirm reads a relinquished authorization again where the CA's word is not
// enough.
func (s *session) confirm(ctx context.Context, r *Result) {
	if r.Err == nil && s.profile.Deactivate == EffectCosmetic {
		r.Err = fmt.Errorf("%w: %s changes the word only", ErrIgnored, s.profile.Name)
	}
}

// ReportSchema is the schema of a report's JSON form. Members may be added to
// it.
const ReportSchema = "acmeauthz-relinquish/1"

// A Report is the proof of a [Manager.Relinquish]: what was asked for, what was
// done when, and what the CA answered. Fill it with Add; write it with
// encoding/json or WriteText.
type Report struct {
	Schema    string        `json:"schema"` // ReportSchema
	Made      time.Time     `json:"made"`
	Directory string        `json:"directory"`
	Account   string        `json:"account"` // its URL; empty if the Manager's Client has no KID
	Names     []string      `json:"names"`   // as asked for
	Entries   []ReportEntry `json:"entries"` // those for the names, and those that could not be read
	Others    int           `json:"others"`  // how many were for other names, and not touched
}

// A ReportEntry is what became of one authorization.
type ReportEntry struct {
	URL        string    `json:"url"`
	Type       string    `json:"type,omitempty"`
	Identifier string    `json:"identifier,omitempty"`
	Wildcard   bool      `json:"wildcard,omitempty"`
	Before     string    `json:"before,omitempty"`    // the status that was read first
	After      string    `json:"after,omitempty"`     // the status by the CA's last answer
	Changed    bool      `json:"changed"`             // whether it was relinquished now
	ChangedAt  time.Time `json:"changed_at,omitzero"` // when the CA said so
	Reason     string    `json:"reason,omitempty"`    // why nothing was done
	Error      string    `json:"error,omitempty"`     // what went wrong, with the CA's words
}

// NewReport begins a report for m's account.
func NewReport(m *Manager, names Names) *Report {
	return &Report{
		Schema: ReportSchema, Made: time.Now().UTC().Truncate(time.Second), Directory: m.Client.DirectoryURL,
		Account: string(m.Client.KID), Names: names.Strings(), Entries: []ReportEntry{},
	}
}

// Add adds a result of Relinquish.
func (p *Report) Add(names Names, r Result) {
	if r.Authorization != nil && !names.Has(r.Authorization) {
		p.Others++
		return
	}
	e := ReportEntry{URL: r.URL, Before: r.Before, After: r.status(), Changed: r.Changed, ChangedAt: r.ChangedAt.UTC().Truncate(time.Second)}
	if a := r.Authorization; a != nil {
		e.Type, e.Identifier, e.Wildcard = a.Identifier.Type, a.Identifier.Value, a.Wildcard
	}
	switch {
	case r.Err != nil:
		e.Error = r.Err.Error()
	case !r.Changed:
		e.Reason = r.Decision.Reason
	}
	p.Entries = append(p.Entries, e)
}

// Relinquished is how many authorizations the report shows as relinquished.
func (p *Report) Relinquished() int {
	n := 0
	for _, e := range p.Entries {
		if e.Changed {
			n++
		}
	}
	return n
}

// WriteText writes the report for people, in plain text. Characters that a
// terminal might act upon are replaced.
func (p *Report) WriteText(w io.Writer) error {
	fmt.Fprintf(w, "Authorizations relinquished\n\n")
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, line := range [][2]string{
		{"Report of", p.Made.Format(time.RFC3339)}, {"CA", p.Directory}, {"Account", p.Account},
		{"Names asked for", strings.Join(p.Names, ", ")},
		{"Relinquished", fmt.Sprint(p.Relinquished())}, {"Of other names, not touched", fmt.Sprint(p.Others)},
	} {
		fmt.Fprintf(table, "%s\t%s\n", line[0], printable(line[1]))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	for _, e := range p.Entries {
		fmt.Fprintf(w, "\n%s\n  %s\n  %s\n", printable(e.name()), printable(e.URL), printable(e.outcome()))
	}
	_, err := io.WriteString(w, "\n")
	return err
}

func (e *ReportEntry) name() string {
	switch {
	case e.Identifier == "":
		return "(name not known)"
	case e.Wildcard && !strings.HasPrefix(e.Identifier, "*."):
		return "*." + e.Identifier
	}
	return e.Identifier
}

func (e *ReportEntry) outcome() string {
	switch {
	case e.Error != "":
		return "not relinquished: " + e.Error
	case e.Changed:
		return fmt.Sprintf("was %s; the CA answered %q on %s", e.Before, e.After, e.ChangedAt.Format(time.RFC3339))
	}
	return "nothing to do: " + e.Reason
}

// printable replaces what is not printable.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, s)
}
