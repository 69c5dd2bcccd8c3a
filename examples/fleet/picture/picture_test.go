package picture

import (
	"bytes"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/acmeauthz/acmeauthz/examples/fleet/hub"
	"github.com/acmeauthz/acmeauthz/examples/fleet/wire"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/stretchr/testify/require"
)

var at = time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)

// fleet is one in which something is wrong everywhere.
func fleet() *Status {
	return &Status{
		Schema: StatusSchema, At: at,
		Hosts: []wire.Heartbeat{
			{Host: "evil\x1b[2J.example.net", Seen: at.Add(-3 * time.Second), Logs: 2},
			{Host: "web01.a-very-long-name.example.net", Seen: at.Add(-9 * time.Second), Logs: 1200, Unread: 1_234_567, Spooled: 268_435_456, SpoolFull: true, Behind: at.Add(-3 * time.Hour), Problem: "/var/log/letsencrypt/letsencrypt.log: permission denied"},
			{Host: "web02", Seen: at.Add(-50 * time.Hour), Logs: 1},
		},
		Hubs: []wire.HubState{{Hub: "hub1", Seen: at.Add(-4 * time.Second), Accounts: 2, Keys: []string{"x"}, Lag: 7}},
		Accounts: []wire.AccountState{
			{
				Account: "https://acme-v02.api.letsencrypt.org/acme/acct/1", Hub: "hub1", Updated: at.Add(-time.Minute), Authorizations: 1234,
				Verdicts: map[string]int{"leaked": 20, "valid": 1200, "deactivated": 14}, Causes: map[string]int{"killed": 18, "dns provider": 2},
				Domains: []wire.Count{{Key: "example.org", Leaked: 10}, {Key: "\x1b]0;x\x07.example", Leaked: 4}, {Key: "a.example", Leaked: 3}, {Key: "b.example", Leaked: 1}, {Key: "c.example", Leaked: 1}, {Key: "", Leaked: 1}},
				Hosts:   []wire.Count{{Key: "web01", Leaked: 20}},
				Work: wire.Work{CA: "Let's Encrypt", Policy: "clear", Apply: true, Key: true, Planned: map[string]int{"leave": 12, "defer": 8}, Settled: 14, Failed: 1, Deferred: 8,
					DeferredUntil: at.Add(time.Hour)},
			},
			{Account: "https://ca.example/acct/2", Hub: "hub1", Updated: at, Authorizations: 1, Verdicts: map[string]int{"in progress": 1},
				Work: wire.Work{Policy: "deactivate", Problem: "no hub has its key: put its account into the directory of --accounts on one"}},
			{Hub: "hub1", Updated: at, Work: wire.Work{Policy: "clear"}},
		},
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	if os.Getenv("UPDATE") != "" {
		require.NoError(t, os.WriteFile("testdata/"+name, []byte(got), 0o644))
	}
	want, err := os.ReadFile("testdata/" + name)
	require.NoError(t, err)
	require.Equal(t, string(want), got)
}

func TestStatus(t *testing.T) {
	for name, columns := range map[string]int{"status-80.txt": 80, "status-140.txt": 140} {
		var b bytes.Buffer
		require.NoError(t, fleet().WriteText(&b, columns))
		require.NotContains(t, b.String(), "\x1b")
		for line := range strings.Lines(b.String()) {
			require.LessOrEqual(t, len([]rune(strings.TrimSuffix(line, "\n"))), columns)
		}
		golden(t, name, b.String())
	}
	var b bytes.Buffer
	require.NoError(t, (&Status{At: at}).WriteText(&b, 80))
	golden(t, "status-empty.txt", b.String())
	b.Reset()
	require.NoError(t, fleet().WriteJSON(&b))
	golden(t, "status.json", b.String())
}

func TestMetrics(t *testing.T) {
	stats := hub.Stats{Shards: 3, Accounts: 2, Connected: true}
	handler := Handler(func() hub.Stats { return stats })
	get := func(path string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		return w
	}
	metrics := get("/metrics").Body.String()
	require.Contains(t, metrics, "acmeauthz_fleet_shards_total 3\n")
	require.Contains(t, metrics, "acmeauthz_fleet_accounts 2\n")
	problems, err := promlint.New(strings.NewReader(metrics)).Lint()
	require.NoError(t, err)
	require.Empty(t, problems)
	require.Equal(t, 200, get("/healthz").Code)
	stats.Connected = false
	require.Equal(t, 503, get("/healthz").Code)
	require.Contains(t, get("/healthz").Body.String(), "does not answer")
	require.Contains(t, get("/metrics").Body.String(), "acmeauthz_fleet_connected 0\n")
}
