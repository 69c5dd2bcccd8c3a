package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/acmeauthz/acmeauthz/authz"
	"github.com/acmeauthz/acmeauthz/internal/display"
	"golang.org/x/crypto/acme"
)

// What is printed of failures: so many kinds, and so many examples of each.
const (
	maxFailures = 10
	maxExamples = 3
)

const letsEncryptHint = `Note: Let's Encrypt counts each pending authorization that is cleared as a failed
validation (5 per name and hour); left alone, they end within 7 days.`

// errNetwork stands for all errors of the network among the kinds of failures.
var errNetwork = errors.New("network")

// advice is what to do about the failures of one kind.
var advice = []struct {
	kind error
	text string
}{
	{authz.ErrRefused, "The CA refuses to deactivate. step-ca and Caddy always do; there, authorizations that are " +
		"left alone end within 24 hours."},
	{authz.ErrIgnored, "This CA says yes to a deactivation and changes nothing (Dogtag and acme2certifier do). " +
		"Try it with: --method answer"},
	{authz.ErrRateLimited, "The CA limits requests. Run the same command again later, or more slowly: " +
		"--rate 5 --parallel 1"},
	{authz.ErrPending, "The CA did not settle what was answered. Run the same command with --dry-run later " +
		"to see; step-ca and Caddy leave it pending until it expires, within 24 hours."},
	{authz.ErrNoChallenge, "There is no challenge to answer. Try it with: --method deactivate"},
	{errNetwork, "The network or the CA failed meanwhile. Run the same command again; what is cleared " +
		"stays cleared."},
	{authz.ErrForeign, "A URL is not of the CA that the account belongs to; nothing was sent there."},
}

// A report collects what is printed at the end, and prints JSON at once.
type report struct {
	program  *program
	options  options
	total    int // URLs to work on
	counts   map[outcome]int
	rows     []record   // for the table
	failures []*failure // by their text, in order of appearance
	advised  map[error]bool
	choices  map[outcome]*choice
	read     int  // whose status could be read
	pending  int  // pending when first read
	undone   int  // given up because of an interrupt
	skipped  int  // not asked about, as the logs show them to be over
	broken   bool // the output cannot be written
	progress *progress
}

func (p *program) newReport(o options, total int) *report {
	return &report{
		program:  p,
		options:  o,
		total:    total,
		counts:   make(map[outcome]int),
		advised:  make(map[error]bool),
		choices:  make(map[outcome]*choice),
		progress: p.newProgress(o, total),
	}
}

// add takes a result. Its error is that of writing.
func (t *report) add(j job, r authz.Result) error {
	t.progress.add()
	rec := newRecord(r)
	if errors.Is(r.Err, context.Canceled) {
		t.undone++
	} else {
		t.count(r, rec)
		t.program.metrics.count(hostOf(j.account.Directory), rec.Outcome, 1)
	}
	if !t.options.json {
		return nil
	}
	return t.print(rec)
}

// print writes a line of JSON.
func (t *report) print(rec record) error {
	doc, err := json.Marshal(rec)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(t.program.stdout, "%s\n", display.CleanJSON(doc))
	return err
}

func (t *report) count(r authz.Result, rec record) {
	t.counts[rec.Outcome]++
	if r.Before != "" {
		t.read++
	}
	if r.Before == acme.StatusPending {
		t.pending++
	}
	if rec.Outcome == outcomeFailed {
		t.countFailure(r, rec)
	}
	t.choice(r, rec)
	if !t.options.json && !t.options.quiet {
		t.rows = append(t.rows, rec)
	}
}

func (t *report) countFailure(r authz.Result, rec record) {
	t.fail(rec, failureText(r.Err))
	for _, a := range advice {
		if errors.Is(r.Err, a.kind) || a.kind == errNetwork && isNetwork(r.Err) {
			t.advised[a.kind] = true
		}
	}
}

// done is how many authorizations have an outcome.
func (t *report) done() int {
	n := 0
	for _, count := range t.counts {
		n += count
	}
	return n
}

// finish prints the table, the summary and the failures.
func (t *report) finish() error {
	t.progress.end()
	p := t.program
	switch {
	case t.options.json:
		p.say("%s\n", display.Trusted(t.summary()))
	case !t.options.quiet:
		if err := writeTable(p.stdout, p.tableWidth(), t.table()); err != nil {
			return err
		}
		if _, err := fmt.Fprintln(p.stdout, t.summary()); err != nil {
			return err
		}
	}
	t.explain()
	t.explainChoices()
	t.suggest()
	return nil
}

// table has a row for each authorization that the CA told something about, and
// for the others with --verbose.
func (t *report) table() [][]string {
	rows := [][]string{t.head()}
	for _, rec := range t.rows {
		if rec.StatusBefore == "" && rec.Outcome != outcomeFailed && !t.options.verbose {
			continue
		}
		rows = append(rows, t.row(rec))
	}
	if len(rows) == 1 {
		return nil
	}
	return rows
}

func (t *report) head() []string {
	if t.options.dryRun {
		return []string{"IDENTIFIER", "STATUS", "EXPIRES", "AUTHORIZATION"}
	}
	return []string{"IDENTIFIER", "WAS", "NOW", "AUTHORIZATION"}
}

func (t *report) row(rec record) []string {
	if t.options.dryRun {
		return []string{rec.name(), rec.status(rec.StatusAfter), rec.expiry(), rec.URL}
	}
	return []string{rec.name(), rec.status(rec.StatusBefore), rec.now(), rec.URL}
}

// summary is the line that counts, as "35 found, 31 pending, 31 cleared, 0 failed".
func (t *report) summary() string {
	parts := []string{fmt.Sprintf("%d found", t.done()), fmt.Sprintf("%d pending", t.pending)}
	if !t.options.dryRun {
		parts = append(parts, fmt.Sprintf("%d cleared", t.counts[outcomeCleared]))
	}
	parts = append(parts, fmt.Sprintf("%d failed", t.counts[outcomeFailed]))
	for _, o := range []outcome{outcomeLeft, outcomeWaiting, outcomeSpared, outcomeLater} {
		if n := t.counts[o]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, o))
		}
	}
	if n := t.counts[outcomeGone]; n > 0 {
		parts = append(parts, fmt.Sprintf("%d expired or unknown", n))
	}
	if n := t.counts[outcomeNotOurs]; n > 0 {
		parts = append(parts, fmt.Sprintf("%d of other accounts", n))
	}
	if t.skipped > 0 {
		parts = append(parts, fmt.Sprintf("%d over and not asked", t.skipped))
	}
	line := strings.Join(parts, ", ")
	if t.options.dryRun {
		line += " (dry run: nothing was changed)"
	}
	return line
}

// A failure is an error, and the authorizations that met it.
type failure struct {
	text     string
	count    int
	examples []record
}

// failureText is the error for a person, the same for all that met the same.
func failureText(err error) string {
	if p, ok := errors.AsType[*authz.PendingError](err); ok && p.Err != nil {
		return "answered, but still pending: " + strings.TrimPrefix(p.Err.Error(), "0 ") // p says how long, too
	}
	return strings.TrimPrefix(err.Error(), "authz: ")
}

func (t *report) fail(rec record, text string) {
	i := slices.IndexFunc(t.failures, func(f *failure) bool { return f.text == text })
	if i < 0 {
		if len(t.failures) == maxFailures {
			return
		}
		i = len(t.failures)
		t.failures = append(t.failures, &failure{text: text})
	}
	f := t.failures[i]
	f.count++
	if len(f.examples) < maxExamples {
		f.examples = append(f.examples, rec)
	}
}

// explain prints the failures and what to do about them.
func (t *report) explain() {
	p := t.program
	told := 0
	for _, f := range t.failures {
		told += f.count
		p.warn("%s failed: %s", display.Trusted(display.Plural(f.count, "authorization")), f.text)
		for _, rec := range f.examples {
			fmt.Fprint(p.stderr, display.Cleanf("  %s  %s\n", rec.name(), rec.URL))
		}
		if more := f.count - len(f.examples); more > 0 {
			fmt.Fprintf(p.stderr, "  and %d more\n", more)
		}
	}
	if more := t.counts[outcomeFailed] - told; more > 0 {
		p.warn("%d more failed in other ways; --json lists them all", more)
	}
	for _, a := range advice {
		if t.advised[a.kind] {
			p.say("%s\n", a.text)
		}
	}
}

// verdict is the problem that is left at the end, or nil. The error given is the
// one that ended the sequence of results.
func (t *report) verdict(ctx context.Context, err error) error {
	done := t.done()
	switch {
	case ctx.Err() != nil:
		return failed("interrupted: %d of %d done.", done, t.total).because(ctx.Err()).
			then("What is cleared stays cleared. To go on: %s", display.Trusted(quote(t.program.args)))
	case err != nil && (t.read == 0 || t.broken):
		return err
	case err != nil:
		return t.stopped(err)
	case done > 0 && t.counts[outcomeNotOurs] == done:
		return nothing("all of them belong to other accounts than the one used.").
			then("Give the account that ordered them: --account NUMBER, --config-dir DIR or --key FILE")
	case t.counts[outcomeFailed] > 0 && t.read == 0:
		return nothing("not one authorization could be read.").
			then("The errors are above. Nothing was changed; run the same command again later.")
	case t.counts[outcomeFailed] > 0:
		return &problem{code: exitFailed}
	}
	return nil
}

// stopped is the problem that ended the sequence after some of it was done.
func (t *report) stopped(err error) error {
	p := failed("stopped, %d of %d done: %s", t.done(), t.total, err).because(err)
	if cause, ok := errors.AsType[*problem](err); ok {
		p.what = display.Cleanf("stopped, %d of %d done: %s", t.done(), t.total, display.Trusted(cause.what))
		p.next = cause.next
	}
	return p
}

// suggest says what is next if there is nothing to complain about.
func (t *report) suggest() {
	switch {
	case t.counts[outcomeFailed] > 0, t.undone > 0, t.counts[outcomeNotOurs] == t.done():
	case t.pending == 0:
		t.program.say("Nothing to do: none of them is pending.\n")
	case t.options.dryRun:
		t.program.say("To clear what is pending, run the same command without --dry-run.\n")
	}
}
