package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/acmeauthz/acmeauthz/authz"
	"github.com/schollz/progressbar/v3"
	"golang.org/x/crypto/acme"
)

// maxFailures is how many failures are printed one by one.
const maxFailures = 10

const letsEncryptHint = `Note: Let's Encrypt counts each pending authorization that is cleared as a failed
validation (5 per name and hour); left alone, they end within 7 days.`

// advice is what to do about the failures of one kind.
var advice = []struct {
	kind error
	text string
}{
	{authz.ErrRefused, "This CA does not deactivate authorizations (step-ca and Caddy do not). Left alone, they\n" +
		"end by themselves: at step-ca and Caddy within 24 hours."},
	{authz.ErrIgnored, "This CA says yes to a deactivation and changes nothing (Dogtag and acme2certifier do).\n" +
		"Try it with: --method answer"},
	{authz.ErrRateLimited, "The CA limits requests. Run the same command again later, or more slowly:\n" +
		"--rate 5 --parallel 1"},
	{authz.ErrPending, "The CA did not settle what was answered. Run the same command with --dry-run later\n" +
		"to see; step-ca and Caddy leave it pending until it expires, within 24 hours."},
	{authz.ErrNoChallenge, "There is no challenge to answer. Try it with: --method deactivate"},
	{authz.ErrForeign, "A URL is not of the CA that the account belongs to; nothing was sent there."},
}

// A report collects what is printed at the end, and prints JSON at once.
type report struct {
	program  *program
	options  options
	total    int // URLs to work on
	counts   map[outcome]int
	rows     []record // for the table
	failures []record // the first few
	advised  map[error]bool
	read     int // whose status could be read
	pending  int // pending when first read
	undone   int // given up because of an interrupt
	bar      *progressbar.ProgressBar
}

func (p *program) newReport(o options, total int) *report {
	return &report{
		program: p,
		options: o,
		total:   total,
		counts:  make(map[outcome]int),
		advised: make(map[error]bool),
		bar:     p.progress(o, total),
	}
}

// progress is a bar on standard error, if that is a terminal and nothing else
// writes there meanwhile.
func (p *program) progress(o options, total int) *progressbar.ProgressBar {
	alone := !o.quiet && !o.verbose && !(o.json && isTerminal(p.stdout))
	return progressbar.NewOptions(total,
		progressbar.OptionSetVisibility(alone && isTerminal(p.stderr)),
		progressbar.OptionSetWriter(p.stderr),
		progressbar.OptionSetDescription("authorizations"),
		progressbar.OptionShowCount(),
		progressbar.OptionShowIts(),
		progressbar.OptionSetItsString("per second"),
		progressbar.OptionThrottle(100*time.Millisecond),
		progressbar.OptionClearOnFinish(),
	)
}

// add takes a result. Its error is that of writing.
func (t *report) add(r authz.Result) error {
	_ = t.bar.Add(1)
	rec := newRecord(r)
	if errors.Is(r.Err, context.Canceled) {
		t.undone++
	} else {
		t.count(r, rec)
	}
	if !t.options.json {
		return nil
	}
	doc, err := json.Marshal(rec)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(t.program.stdout, "%s\n", cleanJSON(doc))
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
	if !t.options.json && !t.options.quiet {
		t.rows = append(t.rows, rec)
	}
}

func (t *report) countFailure(r authz.Result, rec record) {
	if len(t.failures) < maxFailures {
		t.failures = append(t.failures, rec)
	}
	for _, a := range advice {
		if errors.Is(r.Err, a.kind) {
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
	_ = t.bar.Exit()
	p := t.program
	switch {
	case t.options.json:
		p.say("%s\n", trusted(t.summary()))
	case !t.options.quiet:
		if err := writeTable(p.stdout, terminalWidth(p.stdout), t.table()); err != nil {
			return err
		}
		if _, err := fmt.Fprintln(p.stdout, t.summary()); err != nil {
			return err
		}
	}
	t.explain()
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
	return []string{rec.name(), rec.status(rec.StatusBefore), rec.status(rec.StatusAfter), rec.URL}
}

// summary is the line that counts, as "35 found, 31 pending, 31 cleared, 0 failed".
func (t *report) summary() string {
	parts := []string{fmt.Sprintf("%d found", t.done()), fmt.Sprintf("%d pending", t.pending)}
	if !t.options.dryRun {
		parts = append(parts, fmt.Sprintf("%d cleared", t.counts[outcomeCleared]))
	}
	parts = append(parts, fmt.Sprintf("%d failed", t.counts[outcomeFailed]))
	if n := t.counts[outcomeGone]; n > 0 {
		parts = append(parts, fmt.Sprintf("%d expired or unknown", n))
	}
	if n := t.counts[outcomeNotOurs]; n > 0 {
		parts = append(parts, fmt.Sprintf("%d of other accounts", n))
	}
	line := strings.Join(parts, ", ")
	if t.options.dryRun {
		line += " (dry run: nothing was changed)"
	}
	return line
}

// explain prints the failures and what to do about them.
func (t *report) explain() {
	p := t.program
	for _, rec := range t.failures {
		p.warn("%s (%s): %s", rec.name(), rec.URL, *rec.Error)
	}
	if more := t.counts[outcomeFailed] - len(t.failures); more > 0 {
		p.warn("%d more failed; --json lists them all.", more)
	}
	for _, a := range advice {
		if t.advised[a.kind] {
			p.say("%s\n", trusted(a.text))
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
			then("Run the same command again to go on; what is cleared stays cleared.")
	case err != nil && t.read == 0:
		return err
	case err != nil:
		return t.stopped(err)
	case done > 0 && t.counts[outcomeNotOurs] == done:
		return nothing("none of the %d authorizations belongs to this account.", done).
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
		p.what = cleanf("stopped, %d of %d done: %s", t.done(), t.total, trusted(cause.what))
		p.next = cause.next
	}
	return p
}
