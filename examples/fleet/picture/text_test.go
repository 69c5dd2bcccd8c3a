package picture

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/acmeauthz/acmeauthz/examples/fleet/server"
	"github.com/acmeauthz/acmeauthz/examples/fleet/wire"
	"github.com/stretchr/testify/require"
)

var colour = regexp.MustCompile("\x1b\\[[0-9]+m")

// show is what a view shows, which fits.
func show(t *testing.T, s *Status, v View) string {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, s.Show(&b, v))
	bare := colour.ReplaceAllString(b.String(), "")
	require.NotContains(t, bare, "\x1b")
	rows := 0
	for line := range strings.Lines(bare) {
		rows++
		if v.Columns > 0 {
			require.LessOrEqual(t, len([]rune(strings.TrimSuffix(line, "\n"))), v.Columns, line)
		}
	}
	if v.Rows > 0 {
		require.LessOrEqual(t, rows, v.Rows)
	}
	return b.String()
}

// many is a large fleet, of which a part is not well.
func many(hosts, accounts int) *Status {
	s := &Status{Schema: StatusSchema, At: at, Hubs: []wire.HubState{{Hub: "hub1", Seen: at}}}
	for i := range hosts {
		h := wire.Heartbeat{Host: fmt.Sprintf("web%04d", i), Seen: at, Logs: 1}
		switch i {
		case 700:
			h.Problem = "no space left on device"
		case 1400:
			h.Seen = at.Add(-time.Hour)
		}
		s.Hosts = append(s.Hosts, h)
	}
	for i := range accounts {
		a := wire.AccountState{Account: fmt.Sprintf("https://ca.example/acct/%04d", i), Updated: at, Authorizations: 10, Verdicts: map[string]int{"valid": 10}}
		switch i {
		case 0, 1:
			a.Verdicts = map[string]int{"valid": 7, "leaked": 3}
		case 300:
			a.Work.Problem = "no key"
		}
		s.Accounts = append(s.Accounts, a)
	}
	return s
}

func TestColours(t *testing.T) {
	visible := func(s string) string { return strings.ReplaceAll(s, "\x1b", "␛") }
	coloured := show(t, fleet(), View{Columns: 80, Colours: true})
	golden(t, "status-colours.txt", visible(coloured))
	require.Equal(t, show(t, fleet(), View{Columns: 80}), colour.ReplaceAllString(coloured, ""))
	require.Contains(t, show(t, &Status{At: at}, View{Colours: true}), "\x1b[32m0 of 0 authorizations are leaked\x1b[0m")
}

// TestLargeFleet shows what needs a look first, and says how much more there is.
func TestLargeFleet(t *testing.T) {
	s := many(1500, 400)
	text := show(t, s, View{Columns: 80})
	golden(t, "status-large.txt", text)
	require.Less(t, strings.Index(text, "web0700"), strings.Index(text, "web0000"))
	require.Less(t, strings.Index(text, "web1400"), strings.Index(text, "web0000"))
	require.Less(t, strings.Index(text, "acct/0300"), strings.Index(text, "acct/0002"))
	require.Contains(t, text, "and 1,478 more are well; --all shows them\n")
	require.Contains(t, text, "and 380 more are well; --all shows them\n")
	all := show(t, s, View{Columns: 80, All: true})
	require.NotContains(t, all, "--all")
	require.Contains(t, all, "web1499")
	require.Contains(t, all, "acct/0399")
	for i := range s.Accounts {
		s.Accounts[i].Work.Problem = "no key"
	}
	require.Contains(t, show(t, s, View{}), "and 380 more have leaks or problems; --all shows them\n")
}

// TestRows shows a part of each section in any window.
func TestRows(t *testing.T) {
	s := many(150, 60)
	for i := range 50 {
		s.Hosts[i].Seen = at.Add(-time.Hour)
	}
	for _, rows := range []int{1, 2, 3, 5, 8, 12, 17, 23, 24, 25, 40} {
		for _, columns := range []int{1, 7, 80} {
			text := show(t, s, View{Columns: columns, Rows: rows, Colours: rows%2 == 0, Note: "No answer."})
			if columns >= 80 && rows >= 24 {
				for _, part := range []string{"No answer.", "HOSTS", "HUBS", "ACCOUNTS", "more need a look; --all", "more are well; --all", "acct/0000"} {
					require.Contains(t, text, part, rows)
				}
			}
			show(t, s, View{Columns: columns, Rows: rows, All: true})
		}
	}
	text := show(t, s, View{Columns: 80, Rows: 24, All: true})
	require.Regexp(t, `\n\d{3} more lines do not fit into the window\n$`, text)
}

// TestHostileStatus has hosts that want to write lines of their own, in colours.
func TestHostileStatus(t *testing.T) {
	evil := "x\n\x1b[32mACCOUNTS\u009b31m\r\x07" + strings.Repeat("y", 100_000)
	s := fleet()
	s.Hosts[0].Host, s.Hosts[0].Problem, s.Hosts[1].Seen = evil, evil, at.Add(time.Hour)
	s.Hubs[0].Hub, s.Hubs[0].Problem = evil, evil
	s.Accounts[0].Account, s.Accounts[0].Work.Problem, s.Accounts[0].Work.CA = evil, evil, "\x1b[2J"
	s.Accounts[0].Causes = map[string]int{"\x1b[2J": 1}
	for _, v := range []View{{Columns: 80}, {Columns: 80, Colours: true}} {
		text := show(t, s, v)
		for _, bad := range []string{"\nx\n", "\u009b", "\r", "\x07", "\x1b[2J", "\x1b[32mACC"} {
			require.NotContains(t, text, bad)
		}
	}
	for _, reason := range s.Reasons() {
		require.NotContains(t, reason, "\n")
		require.Less(t, len(reason), 3000)
	}
	s.Hosts[1].Problem = ""
	require.Contains(t, show(t, s, View{}), "  its clock is ahead by 1 h\n")
}

// TestHeartbeat believes a host what it says of itself alone.
func TestHeartbeat(t *testing.T) {
	for data, want := range map[string]wire.Heartbeat{
		`{"host":"WEB01","logs":2}`:     {Host: "WEB01", Logs: 2},
		`{"host":"web02","logs":2}`:     {Host: "web01", Logs: 2},
		`{"logs":2,"problem":"x"}`:      {Host: "web01", Logs: 2, Problem: "x"},
		`{"host":"web01","unread":-1}`:  {Host: "web01", Schema: wire.HeartbeatSchema, Seen: at, Problem: "its heartbeat cannot be read: does it run another version?"},
		`{"host":"web01","seen":"now"}`: {Host: "web01", Schema: wire.HeartbeatSchema, Seen: at, Problem: "its heartbeat cannot be read: does it run another version?"},
		"\x00":                          {Host: "web01", Schema: wire.HeartbeatSchema, Seen: at, Problem: "its heartbeat cannot be read: does it run another version?"},
	} {
		require.Equal(t, want, heartbeat("web01", server.Entry{Data: []byte(data), Time: at}), data)
	}
}

func TestReasons(t *testing.T) {
	require.Equal(t, []string{
		"account https://ca.example/acct/2: no hub has its key: put its account into the directory of --accounts on one",
		"host web01.a-very-long-name.example.net: /var/log/letsencrypt/letsencrypt.log: permission denied",
		"host web02: silent for 2 d: does its agent run?",
	}, fleet().Reasons())
	require.Equal(t, []string{"no hub is alive"}, (&Status{At: at}).Reasons())
	s := &Status{At: at, Hubs: []wire.HubState{{Hub: "hub1", Seen: at.Add(-time.Hour)}}}
	require.Equal(t, []string{"hub hub1: silent: does it run?", "no hub is alive"}, s.Reasons())
	s.Hubs = append(s.Hubs, wire.HubState{Hub: "hub2", Seen: at})
	require.Equal(t, []string{"hub hub1: silent: does it run?"}, s.Reasons())
	require.Empty(t, (&Status{At: at, Hubs: s.Hubs[1:]}).Reasons())
}
