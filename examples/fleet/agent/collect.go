package agent

import (
	"fmt"
	"hash/fnv"
	"strings"
	"time"

	"github.com/acmeauthz/acmeauthz/logparse"
)

// A collector makes a History of the events that are new.
type collector struct {
	host, account string
	history       *logparse.History
	events        int
	size          int       // of the text that was read
	last          time.Time // of all events

	placed   map[logparse.Place]bool           // runs that history has an authorization of, and its account
	contexts map[logparse.Place]logparse.Event // an authorization of each run, and its account
}

// maxContexts bounds contexts; beyond it some ends of runs go to no account.
const maxContexts = 1000

func newCollector(host, account string) *collector { return &collector{host: host, account: account} }

// add adds the events of a log that were not told before.
func (c *collector) add(l *log, events []logparse.Event) {
	for _, e := range events {
		c.name(&e)
		c.remember(&e)
		if !l.told.add(&e) {
			continue
		}
		if c.history == nil {
			c.history = new(logparse.History)
			c.placed = make(map[logparse.Place]bool)
		}
		c.place(&e)
		c.history.Add(e)
		c.events++
		if e.Time.After(c.last) && e.Time.Before(time.Now().Add(time.Hour)) {
			c.last = e.Time.UTC()
		}
	}
}

// remember remembers an authorization of a run.
func (c *collector) remember(e *logparse.Event) {
	if e.Kind != logparse.AuthorizationSeen || e.Account == "" || e.Run.Line == 0 {
		return
	}
	if _, ok := c.contexts[e.Run]; ok {
		return
	}
	if c.contexts == nil || len(c.contexts) >= maxContexts {
		c.contexts = make(map[logparse.Place]logparse.Event)
	}
	c.contexts[e.Run] = *e
}

// place tells an authorization of the event's run again, unless the History has one with its account: otherwise what is told
// of the run alone, such as its end, would be of no account.
func (c *collector) place(e *logparse.Event) {
	if e.Kind == logparse.AuthorizationSeen && e.Account != "" {
		c.placed[e.Run] = true
	}
	if context, ok := c.contexts[e.Run]; ok && !c.placed[e.Run] {
		c.history.Add(context)
		c.placed[e.Run] = true
	}
}

// name says which host an event is of: this one, or one whose lines a log of this one carries.
func (c *collector) name(e *logparse.Event) {
	switch short, _, _ := strings.Cut(c.host, "."); {
	case e.Host == "", strings.EqualFold(e.Host, c.host), strings.EqualFold(e.Host, short):
		e.Host = c.host
	default:
		e.Host = c.host + "/" + e.Host
	}
	if e.Account == "" {
		e.Account = c.account
	}
}

// After how many events, or how much text with any, a shard is made: an event may name thousands of names.
const (
	flushEvents = 2000
	flushSize   = 8 << 20
)

// enough reports whether a shard is to be made.
func (c *collector) enough() bool {
	return c.events >= flushEvents || c.events > 0 && c.size >= flushSize
}

// take returns what was collected, nil if there is nothing.
func (c *collector) take() *logparse.History {
	h := c.history
	c.history, c.events, c.size = nil, 0, 0
	return h
}

// tellings are the events of a log, from a place on, that were told: by hash.
type tellings struct {
	hashes map[uint64]origin
}

// An origin is where the run of an event starts, or where it stands itself.
type origin struct {
	file   string
	offset int64
}

// maxTold bounds the events that are remembered; beyond it some are told twice after a restart.
const maxTold = 50_000

// add notes that an event is told. It reports false if it was before.
func (t *tellings) add(e *logparse.Event) bool {
	h := hash(e)
	if _, ok := t.hashes[h]; ok {
		return false
	}
	if t.hashes == nil || len(t.hashes) >= maxTold {
		t.hashes = make(map[uint64]origin)
	}
	o := origin{e.File, e.Offset}
	if e.Run.Line > 0 {
		o = origin{e.Run.File, e.Run.Offset}
	}
	t.hashes[h] = o
	return true
}

// hash is a hash of all that an event says.
func hash(e *logparse.Event) uint64 {
	f := fnv.New64a()
	fmt.Fprintf(f, "%v|%v|%v|%v|%q|%q|%q|%q|%v|%v", e.Kind, e.Place, e.Time.UnixNano(), e.Run, e.Client, e.Account, e.Host, e.Unit, e.PID, e.Lines)
	fmt.Fprintf(f, "|%q|%q|%q|%q|%q", e.Version, e.Command, e.Exit, e.Cause, e.Message)
	if o := e.Order; o != nil {
		fmt.Fprintf(f, "|o%q|%v|%v|%v|%v", o.ID, o.URL, o.Status, o.Identifiers, o.Authorizations)
		problem(f, o.Problem)
	}
	if a := e.Authorization; a != nil {
		fmt.Fprintf(f, "|a%q|%q|%v|%v|%q|%v", a.URL, a.Order, a.Identifier, a.Wildcard, a.Status, a.Expires.UnixNano())
		problem(f, a.Problem)
	}
	if c := e.Challenge; c != nil {
		fmt.Fprintf(f, "|c%q|%q|%q", c.URL, c.Type, c.Status)
	}
	problem(f, e.Problem)
	return f.Sum64()
}

func problem(w interface{ Write([]byte) (int, error) }, p *logparse.Problem) {
	if p != nil {
		fmt.Fprintf(w, "|p%q|%q|%v|%v|%q", p.Type, p.Detail, p.Status, p.RetryAfter, p.URL)
	}
}

// forget forgets the events of runs before a place, which are not told again.
func (t *tellings) forget(from logparse.Place, order map[string]int) {
	for h, o := range t.hashes {
		at, known := order[o.file]
		if !known || at < order[from.File] || o.file == from.File && o.offset < from.Offset {
			delete(t.hashes, h)
		}
	}
}
