package main

import (
	"fmt"
	"slices"
	"time"

	"github.com/acmeauthz/acmeauthz/authz"
	"github.com/acmeauthz/acmeauthz/internal/display"
	"github.com/acmeauthz/acmeauthz/logparse"
)

// readHistory reads all logs once, and tells the authorizations that are worth
// asking the CA about from those that are over: a status never returns to pending
// (RFC 8555 §7.1.6). With --all, every one is worth asking.
func (p *program) readHistory(logs []string, o options) found {
	h := logparse.History{At: p.now()}
	f := p.readEvents(logs, h.Add)
	f.owners, f.orders = make(map[string]string), make(map[string]authz.KnownOrder)
	for _, l := range h.Lives() {
		switch {
		case l.URL == "": // a client that logs names; it cannot be asked about
		case o.maxAge > 0 && !l.FirstSeen.IsZero() && h.At.Sub(l.FirstSeen) > o.maxAge:
			f.old++
		case l.Over() && !o.all:
			f.over = append(f.over, l)
		default:
			f.urls = append(f.urls, l.URL)
			f.owners[l.URL] = l.Account
			f.orders[l.URL] = knownOrder(l, o.minAge, h.At)
			if l.Verdict == logparse.InProgress {
				f.atWork = append(f.atWork, l.URL)
			}
		}
	}
	f.count = len(f.urls) + len(f.over)
	return f
}

// knownOrder is what the logs tell of the order that an authorization is of.
// A run without an end may be at work as long as --min-age.
func knownOrder(l *logparse.Life, minAge time.Duration, now time.Time) authz.KnownOrder {
	o := authz.KnownOrder{URL: l.OrderURL, Created: l.FirstSeen}
	recent := minAge == 0 || minAge > 0 && now.Sub(l.LastSeen) < minAge
	switch {
	case l.Verdict == logparse.InProgress && recent:
		o.Run = authz.RunActive
	case l.Run != nil:
		o.Run = authz.RunEnded
	}
	return o
}

func (f found) knownOrders(url string) []authz.KnownOrder {
	if o, ok := f.orders[url]; ok {
		return []authz.KnownOrder{o}
	}
	return nil
}

// overAt returns those of the authorizations that are over which are at a server.
func (f found) overAt(s server) (over []*logparse.Life) {
	for _, l := range f.over {
		if hostOf(l.URL) == s.host {
			over = append(over, l)
		}
	}
	return over
}

// asks reports whether there is something to ask one of the servers.
func (f found) asks(servers []server) bool {
	return slices.ContainsFunc(servers, func(s server) bool {
		urls, _ := s.keep(f.urls)
		return len(urls) > 0
	})
}

// sayOver says what is not asked, and why.
func (p *program) sayOver(over []*logparse.Life) {
	if n := len(over); n > 0 {
		p.say("Not asked: %s that the logs show to be over, which saves %s; --all asks, too.\n",
			display.Trusted(display.Plural(n, "authorization")), display.Trusted(display.Plural(n, "request")))
	}
}

// warnAtWork warns of authorizations that a client may still be working on.
func (p *program) warnAtWork(f found, servers []server) {
	n := 0
	for _, s := range servers {
		urls, _ := s.keep(f.atWork)
		n += len(urls)
	}
	if n > 0 {
		p.warn("a client may still be at work on %s, by the time and the last lines of its log;\n"+
			"clearing an authorization ends its order", display.Trusted(display.Plural(n, "authorization")))
	}
}

// allOver ends a run in which there is nothing to ask.
func (p *program) allOver(o options, over []*logparse.Life) error {
	t := p.newReport(o, 0)
	if err := t.skip(over); err != nil {
		return writeError(err)
	}
	p.say("Nothing to do: the logs show that %s over; --all asks the CA nevertheless.\n", display.Trusted(allAre(len(over))))
	return nil
}

// allAre is the subject and the verb.
func allAre(n int) string {
	if n == 1 {
		return "the one authorization is"
	}
	return fmt.Sprintf("all %d authorizations are", n)
}

// skip counts authorizations that are not asked about, and prints them as JSON.
func (t *report) skip(over []*logparse.Life) error {
	t.skipped = len(over)
	if !t.options.json {
		return nil
	}
	for _, l := range over {
		if err := t.print(overRecord(l)); err != nil {
			return err
		}
	}
	return nil
}

// overRecord tells of an authorization what the logs say.
func overRecord(l *logparse.Life) record {
	return record{
		Schema: authorizationSchema,
		URL:    l.URL, Identifier: l.Identifier.Value, Wildcard: l.Wildcard,
		StatusBefore: l.Status, StatusAfter: l.Status, Outcome: outcomeOver,
	}
}
