package leaks

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/acmeauthz/acmeauthz/logparse"
	"github.com/stretchr/testify/require"
)

// settledHistory has two hosts that left three authorizations each, of which another client deactivated n.
func settledHistory(n int) *logparse.History {
	h := &logparse.History{At: recordedAt}
	for i, host := range []string{"web01", "web02"} {
		e := logparse.Event{
			Kind: logparse.RunStarted, Client: "certbot", Host: host, Time: recordedAt.Add(-9 * time.Hour),
			Place: logparse.Place{File: host + "/x.log", Line: 1}, Run: logparse.Place{File: host + "/x.log", Line: 1},
		}
		h.Add(e)
		order := fmt.Sprintf("https://ca.test/order/%d", i)
		for j := range 3 {
			e.Kind, e.Line = logparse.AuthorizationSeen, int64(j+2)
			e.Authorization = &logparse.Authorization{
				URL: fmt.Sprintf("https://ca.test/authz/%d", 3*i+j), Order: order, Status: "pending",
				Identifier: logparse.Identifier{Type: "dns", Value: fmt.Sprintf("shop%d.example.org", 3*i+j)},
			}
			h.Add(e)
		}
	}
	for i := range n {
		h.Add(logparse.Event{
			Kind: logparse.AuthorizationSeen, Client: "fleet", Host: "hub", Time: recordedAt.Add(-time.Hour),
			Place:         logparse.Place{File: "hub", Line: int64(i + 1)},
			Authorization: &logparse.Authorization{URL: fmt.Sprintf("https://ca.test/authz/%d", 5-i), Status: "deactivated"},
		})
	}
	return h
}

// TestSettled tells of what was left also if another client deactivated it since: the report says the same but for that.
func TestSettled(t *testing.T) {
	for n, since := range []string{"", "; 1 was deactivated since", "; 2 were deactivated since", 6: "; all were deactivated since"} {
		if n > 2 && since == "" {
			continue
		}
		var text, page bytes.Buffer
		r := New(settledHistory(n))
		require.NoError(t, r.WriteText(&text, TextOptions{Width: 200}))
		require.NoError(t, r.WriteHTML(&page, "test"))
		headline := "6 of 6 authorizations were left pending, by 2 runs on 2 hosts" + since + "."
		require.Contains(t, text.String(), headline)
		require.Contains(t, page.String(), "<h1>"+headline+"</h1>")
		require.Regexp(t, `(?m)^  killed  6 .*the run stops without an end$`, text.String())
		require.Regexp(t, `(?m)^  web01  3 +█+ +of 3\n  web02  3 +█+ +of 3$`, text.String())
		require.Regexp(t, `(?m)^  2026-11-23  6 +█+ +of 6$`, text.String())
		require.Contains(t, text.String(), "web02  certbot  left 3 of 3\n")
		require.Contains(t, text.String(), "    left     shop3.example.org, shop4.example.org, shop5.example.org\n")
		require.Equal(t, 6-n, r.Summary.Verdicts["leaked"])
		require.Equal(t, 6-n, r.Summary.Causes["killed"])
		require.Equal(t, "killed", r.Authorizations[5].Cause)
		verdict := map[bool]string{false: "leaked", true: "all"}[n > 0]
		require.Contains(t, page.String(), "verdict="+verdict+"&amp;cause=killed")
		require.Equal(t, n < 6, bytes.Contains(text.Bytes(), []byte("TO KNOW")))
	}
}
