package picture

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/acmeauthz/acmeauthz/examples/fleet/wire"
	"github.com/acmeauthz/acmeauthz/logparse"
)

// Most is how many hosts that are well, and how many accounts, are shown unless all are asked for.
const Most = 20

// A View says how a Status is shown to people.
type View struct {
	// Columns and Rows are the size of the window; zero is any.
	Columns, Rows int

	// Colours are added, for a terminal.
	Colours bool

	// All shows all hosts and accounts, not Most of them.
	All bool

	// Note is said before everything else, if it is not empty.
	Note string
}

// WriteText writes the status for people, in so many columns; zero is any number.
func (s *Status) WriteText(w io.Writer, columns int) error {
	return s.Show(w, View{Columns: columns})
}

// Show writes the status for people: what needs a look first.
func (s *Status) Show(w io.Writer, v View) error {
	_, err := io.WriteString(w, s.fit(v).String())
	return err
}

// caps are how many hosts and accounts are shown.
type caps struct{ well, troubled, accounts int }

const noCap = int(^uint(0) >> 1)

// fit draws the status, with fewer hosts and accounts the lower the window is: each section is to be seen.
func (s *Status) fit(v View) *canvas {
	if v.All {
		c := s.draw(v, caps{noCap, noCap, noCap})
		c.cut(v.Rows)
		return c
	}
	var c *canvas
	for _, most := range []caps{{Most, noCap, Most}, {10, noCap, 10}, {5, 20, 5}, {2, 10, 5}, {0, 10, 3}, {0, 5, 2}, {0, 3, 1}, {0, 1, 1}, {0, 1, 0}} {
		c = s.draw(v, most)
		if v.Rows <= 0 || len(c.lines) <= v.Rows {
			break
		}
	}
	c.cut(v.Rows)
	return c
}

func (s *Status) draw(v View, most caps) *canvas {
	c := &canvas{columns: v.Columns, colours: v.Colours}
	if v.Note != "" {
		c.line(bad.say("%s", v.Note))
	}
	s.summary(c)
	s.hosts(c, most)
	s.hubs(c)
	s.accounts(c, most)
	return c
}

func (s *Status) summary(c *canvas) {
	total, leaks, settled := 0, 0, 0
	for _, a := range s.Accounts {
		total, leaks, settled = total+a.Authorizations, leaks+leaked(a), settled+a.Work.Settled
	}
	c.line(leakStyle(leaks).say("%d of %d authorizations are leaked", leaks, total), plain.say(", %d were settled.", settled))
	c.line(plain.say("Accounts: %d, hosts: %d, hubs: %d. As of %s; times are UTC.", s.known(), len(s.Hosts), len(s.Hubs), s.At.Format("2006-01-02 15:04:05")))
	if needs := s.needs(); needs != "" {
		c.line(bad.say("To look at: %s.", needs))
	}
}

func leakStyle(leaks int) style {
	if leaks > 0 {
		return bad
	}
	return good
}

// needs is how many of what need a look.
func (s *Status) needs() string {
	silent, troubled, alive, hubs, accounts := 0, 0, 0, 0, 0
	for _, h := range s.Hosts {
		switch {
		case s.silent(h.Seen):
			silent++
		case s.hostNote(h) != "":
			troubled++
		}
	}
	for _, h := range s.Hubs {
		if s.hubNote(h) != "" {
			hubs++
		}
		if !s.silent(h.Seen) {
			alive++
		}
	}
	for _, a := range s.Accounts {
		if a.Work.Problem != "" {
			accounts++
		}
	}
	var all []string
	add := func(n int, one, more string) {
		if n > 0 {
			all = append(all, plural(n, one, more))
		}
	}
	if alive == 0 {
		all = append(all, noHub)
	}
	add(silent, "silent host", "silent hosts")
	add(troubled, "host with a problem", "hosts with a problem")
	add(hubs, "hub with a problem", "hubs with a problem")
	add(accounts, "account with a problem", "accounts with a problem")
	return strings.Join(all, ", ")
}

const noHub = "no hub is alive"

func plural(n int, one, more string) string {
	if n == 1 {
		return "1 " + one
	}
	return number(n) + " " + more
}

// known is how many accounts there are: what logs tell no account of is one if there is something of it.
func (s *Status) known() (n int) {
	for _, a := range s.Accounts {
		if a.Account != "" || a.Authorizations > 0 {
			n++
		}
	}
	return n
}

// silent reports whether who was seen then says nothing now.
func (s *Status) silent(seen time.Time) bool { return s.At.Sub(seen) > cmp.Or(s.SilentAfter, Silent) }

// hostNote is what a person should know of a host; empty if it is well.
func (s *Status) hostNote(h wire.Heartbeat) string {
	switch ahead := h.Seen.Sub(s.At); {
	case s.silent(h.Seen):
		return "silent: does its agent run?"
	case h.Problem != "":
		return shorten(h.Problem, maxNote)
	case ahead > Silent: // it would never be silent
		return "its clock is ahead by " + ago(h.Seen, s.At)
	}
	return ""
}

// leastHubSilent is after how long a hub that says nothing stands out, at least.
const leastHubSilent = 20 * time.Second

func (s *Status) hubSilent(h wire.HubState) bool {
	return s.At.Sub(h.Seen) > max(3*time.Duration(h.Beat)*time.Millisecond, leastHubSilent)
}

// hubNote is what a person should know of a hub; empty if it is well.
func (s *Status) hubNote(h wire.HubState) string {
	if s.hubSilent(h) {
		return "silent: does it run?"
	}
	return shorten(h.Problem, maxNote)
}

// maxNote bounds what a host may say of its problem, in characters.
const maxNote = 300

// hosts writes those that need a look, and then some of the others.
func (s *Status) hosts(c *canvas, most caps) {
	c.line()
	c.line(strong.say("HOSTS                SEEN    LOGS  UNREAD  UNSENT  BEHIND"))
	var well, troubled []wire.Heartbeat
	for _, h := range s.Hosts {
		if s.hostNote(h) == "" {
			well = append(well, h)
		} else {
			troubled = append(troubled, h)
		}
	}
	for _, h := range troubled[:min(len(troubled), most.troubled)] {
		s.host(c, h)
	}
	more(c, len(troubled)-most.troubled, "needs a look", "need a look")
	for _, h := range well[:min(len(well), most.well)] {
		s.host(c, h)
	}
	more(c, len(well)-most.well, "is well", "are well")
}

// more says that n are not shown.
func more(c *canvas, n int, is, are string) {
	if n > 0 {
		c.line(faint.say("and %s; --all shows them", plural(n, "more "+is, "more "+are)))
	}
}

func (s *Status) host(c *canvas, h wire.Heartbeat) {
	note, name := s.hostNote(h), plain
	if note != "" {
		name = bad
	}
	c.line(name.say("%-19s", shorten(h.Host, 19)), faint.say("  %-6s", ago(s.At, h.Seen)),
		plain.say("  %4d  %6s  %6s  %-6s", h.Logs, size(h.Unread), size(h.Spooled), ago(s.At, h.Behind)))
	if note != "" {
		c.line(bad.say("  %s", note))
	}
}

func (s *Status) hubs(c *canvas) {
	c.line()
	c.line(strong.say("HUBS                 SEEN    ACCOUNTS  KEYS  LAG"))
	for _, h := range s.Hubs {
		note, name := s.hubNote(h), plain
		if note != "" {
			name = bad
		}
		c.line(name.say("%-19s", shorten(h.Hub, 19)), faint.say("  %-6s", ago(s.At, h.Seen)),
			plain.say("  %8d  %4d  %3d", h.Accounts, len(h.Keys), h.Lag), bad.say("  %s", note))
	}
}

// accounts writes those that leaked or have a problem, and then others.
func (s *Status) accounts(c *canvas, most caps) {
	c.line()
	c.line(strong.say("ACCOUNTS"))
	var first, then []wire.AccountState
	for _, a := range s.Accounts {
		switch {
		case needsLook(a):
			first = append(first, a)
		case a.Account != "" || a.Authorizations > 0:
			then = append(then, a)
		}
	}
	all := slices.Concat(first, then)
	if len(all) == 0 {
		c.line(faint.say("none yet: hubs tell of them some seconds after agents have sent something"))
	}
	shown := min(len(all), most.accounts)
	for _, a := range all[:shown] {
		s.account(c, a)
	}
	more(c, len(first)-shown, "has leaks or a problem", "have leaks or problems")
	more(c, len(all)-max(shown, len(first)), "is well", "are well")
}

func needsLook(a wire.AccountState) bool { return leaked(a) > 0 || a.Work.Problem != "" }

func (s *Status) account(c *canvas, a wire.AccountState) {
	c.line(strong.say("%s", cmp.Or(shorten(a.Account, maxNote), "(the logs do not tell the account)")))
	mode := a.Work.Policy
	if !a.Work.Apply && mode != "leave" {
		mode += ", planned only"
	}
	c.line(plain.say("  hub       %s, saved ", a.Hub), faint.say("%s ago", ago(s.At, a.Updated)), plain.say("; %s; CA: %s", mode, cmp.Or(a.Work.CA, "not asked")))
	c.line(append([]span{plain.say("  known     "), leakStyle(leaked(a)).say("%d", a.Authorizations), plain.say(": ")}, list(a.Verdicts)...)...)
	if len(a.Causes) > 0 {
		c.line(append([]span{plain.say("  causes    ")}, list(a.Causes)...)...)
	}
	if len(a.Domains) > 0 {
		c.line(plain.say("  domains   %s", top(a.Domains)))
		c.line(plain.say("  hosts     %s", top(a.Hosts)))
	}
	done := []span{plain.say("  work      settled %d", a.Work.Settled)}
	if len(a.Work.Planned) > 0 {
		done = append(append(done, plain.say("; to do: ")), list(a.Work.Planned)...)
	}
	if a.Work.Failed > 0 {
		done = append(done, plain.say("; "), bad.say("failed %d", a.Work.Failed))
	}
	if !a.Work.DeferredUntil.IsZero() {
		done = append(done, plain.say("; deferred until %s", a.Work.DeferredUntil.Format("2006-01-02 15:04")))
	}
	c.line(done...)
	if a.Work.Problem != "" {
		c.line(plain.say("  problem   "), bad.say("%s", shorten(a.Work.Problem, maxNote)))
	}
}

// list is counts, the largest first.
func list(counts map[string]int) []span {
	var all []span
	for _, k := range slices.SortedFunc(maps.Keys(counts), func(a, b string) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), strings.Compare(a, b))
	}) {
		if counts[k] <= 0 {
			continue
		}
		if len(all) > 0 {
			all = append(all, plain.say(", "))
		}
		look := plain
		if k == string(logparse.Leaked) {
			look = bad
		}
		all = append(all, look.say("%d %s", counts[k], cmp.Or(k, undecided)))
	}
	if len(all) == 0 {
		return []span{plain.say("none")}
	}
	return all
}

// undecided is what the empty action of a plan is called.
const undecided = "not decided"

func top(counts []wire.Count) string {
	var all []string
	for _, c := range counts[:min(len(counts), 5)] {
		all = append(all, fmt.Sprintf("%s %d", cmp.Or(c.Key, "(not told)"), c.Leaked))
	}
	if n := len(counts) - len(all); n > 0 {
		all = append(all, fmt.Sprintf("and %d more", n))
	}
	return strings.Join(all, ", ")
}

func shorten(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return string(r[:n-1]) + "…"
	}
	return s
}

// ago is how long ago something was, in one unit; "-" for the zero time.
func ago(now, then time.Time) string {
	d := now.Sub(then)
	switch {
	case then.IsZero():
		return "-"
	case d < time.Minute:
		return fmt.Sprintf("%d s", max(int(d.Seconds()), 0))
	case d < time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h", int(d.Hours()))
	}
	return fmt.Sprintf("%d d", int(d.Hours()/24))
}

func size(n int64) string {
	for _, unit := range []string{"", "k", "M"} {
		if n < 1000 {
			return fmt.Sprint(n, unit)
		}
		n /= 1000
	}
	return fmt.Sprint(n, "G")
}
