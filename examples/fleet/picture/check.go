package picture

import (
	"cmp"
	"fmt"

	"github.com/acmeauthz/acmeauthz/examples/fleet/wire"
)

// Reasons is why a person should look at the fleet, one line each, for monitoring: no hub is alive, hosts that are silent,
// and problems that hubs, accounts and hosts tell of. It is empty if there is none. Leaks alone are no reason: they may be
// about to be settled, or be left on purpose.
func (s *Status) Reasons() []string {
	var all []string
	reason := func(format string, values ...any) {
		c := canvas{}
		c.line(plain.say(format, values...))
		all = append(all, c.lines...)
	}
	alive := false
	for _, h := range s.Hubs {
		alive = alive || !s.hubSilent(h)
		if note := s.hubNote(h); note != "" {
			reason("hub %s: %s", h.Hub, note)
		}
	}
	if !alive {
		reason(noHub)
	}
	for _, a := range s.Accounts {
		if a.Work.Problem != "" {
			reason("account %s: %s", cmp.Or(shorten(a.Account, maxNote), wire.UnknownAccount), shorten(a.Work.Problem, maxNote))
		}
	}
	for _, h := range s.Hosts {
		note := s.hostNote(h)
		if s.silent(h.Seen) {
			note = fmt.Sprintf("silent for %s: does its agent run?", ago(s.At, h.Seen))
			if h.Seen.IsZero() {
				note = "silent: does its agent run?"
			}
		}
		if note != "" {
			reason("host %s: %s", h.Host, note)
		}
	}
	return all
}
