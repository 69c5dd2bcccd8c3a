//go:build unix

package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/acmeauthz/acmeauthz/examples/fleet/picture"
	"github.com/stretchr/testify/require"
)

// TestGuide follows GUIDE.md.
func TestGuide(t *testing.T) {
	t.Parallel()
	s := newSite(t, "GUIDE.md")
	fleet := func() (told picture.Status, ok bool) {
		out, err := s.try("fleet status --json --nats nats://" + s.nats)
		return told, err == nil && json.Unmarshal([]byte(out), &told) == nil
	}
	stop := s.start("first", s.next("fleet hub"))
	s.eventually("the hub is there", func() bool { told, ok := fleet(); return ok && len(told.Hubs) == 1 })
	s.run(s.next("fleet agent --once"))
	s.eventually("all is known", func() bool {
		told, ok := fleet()
		return ok && len(told.Accounts) > 0 && told.Accounts[0].Authorizations == s.leaks.names && told.Accounts[0].Work.Planned["deactivate"] == s.leaks.names
	})
	looked := s.run(s.next("fleet status"))
	require.Contains(t, looked, "20 of 20 authorizations are leaked, 0 were settled")
	require.Contains(t, looked, "to do: 20 deactivate")
	require.Contains(t, looked, "WHY THEY LEAKED")
	require.Contains(t, s.read("leaks.html"), "shop1-4-5.example.org")
	require.Zero(t, s.leaks.settled(), "nothing is changed")

	s.run(s.next("cat >policy.json"))
	stop()
	stop = s.start("second", s.next("fleet hub"))
	s.eventually("all is settled", func() bool { return s.leaks.settled() == s.leaks.names })
	stop()

	s.start("server", s.next("fleet server"))
	s.start("hub1", s.next("fleet hub --name hub1"))
	s.start("hub2", s.next("fleet hub --name hub2"))
	s.eventually("both hubs are there, and all is told", func() bool {
		told, ok := fleet()
		return ok && len(told.Hubs) == 2 && told.Accounts[0].Work.Settled == s.leaks.names
	})
	check := s.next("fleet status")
	require.True(t, strings.Contains(check, "--check") && strings.Contains(check, "healthz"))
	require.Equal(t, "ok\n", s.run(check))
	require.Empty(t, s.blocks)
}
