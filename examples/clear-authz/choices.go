package main

import (
	"cmp"
	"slices"
	"time"

	"github.com/acmeauthz/acmeauthz/authz"
	"github.com/acmeauthz/acmeauthz/internal/display"
)

// A choice is why authorizations were not cleared: how many, and until when.
type choice struct {
	count   int
	reason  string    // of the first
	last    time.Time // when the last of them ends, or can be done
	unknown bool      // whether that is not known of all
	orders  []string  // some of those that they are spared for
}

// choice notes why an authorization was not cleared.
func (t *report) choice(r authz.Result, rec record) {
	if !slices.Contains([]outcome{outcomeLeft, outcomeWaiting, outcomeSpared, outcomeLater}, rec.Outcome) {
		return
	}
	c := t.choices[rec.Outcome]
	if c == nil {
		c = &choice{reason: r.Decision.Reason}
		t.choices[rec.Outcome] = c
	}
	c.count++
	if r.Decision.At.After(c.last) {
		c.last = r.Decision.At
	}
	c.unknown = c.unknown || r.Decision.At.IsZero()
	for _, url := range r.Decision.Orders {
		if len(c.orders) < maxExamples && !slices.Contains(c.orders, url) {
			c.orders = append(c.orders, url)
		}
	}
}

// until is the time that a choice is about, in a sentence.
func (c *choice) until() string {
	if c.last.IsZero() {
		return "some time"
	}
	return c.last.UTC().Format("2006-01-02 15:04 UTC")
}

// explainChoices says why some were not cleared, and what to do about it.
func (t *report) explainChoices() {
	p := t.program
	if c := t.choices[outcomeLeft]; c != nil {
		p.say("Left alone: %s; the last ends by itself on %s.\n  Why: %s.\n  To clear them nevertheless: --force\n",
			display.Trusted(display.Plural(c.count, "authorization")), c.until(), c.reason)
	}
	if c := t.choices[outcomeWaiting]; c != nil {
		p.say("Waiting: %s; the last ends by itself on %s.\n  Why: %s.\n  To validate them: clear-authz finish --help\n",
			display.Trusted(display.Plural(c.count, "authorization")), c.until(), c.reason)
	}
	if c := t.choices[outcomeSpared]; c != nil {
		p.say("Spared: %s. Why: %s.\n", display.Trusted(display.Plural(c.count, "authorization")), c.reason)
		for _, url := range c.orders {
			p.say("  order %s\n", url)
		}
		p.say("  If no client is at work: --min-age 0, or --force for orders that are ready\n")
	}
	if c := t.choices[outcomeLater]; c != nil {
		p.say("Deferred: %s; the last can be cleared on %s.\n  Why: %s.\n  Run the same command again then%s.\n",
			display.Trusted(display.Plural(c.count, "authorization")), c.until(), c.reason, display.Trusted(cmp.Or(t.withJournal(), "")))
	}
}

// withJournal is what to add to a command that is to be repeated.
func (t *report) withJournal() string {
	if t.options.journal != "" {
		return ""
	}
	return ", and keep count from run to run with --journal FILE"
}
