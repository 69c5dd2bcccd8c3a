package picture

import (
	"fmt"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/acmeauthz/acmeauthz/examples/fleet/hub"
	"github.com/acmeauthz/acmeauthz/examples/fleet/wire"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

// scrape is /metrics.
func scrape(t *testing.T, s hub.Stats) string {
	t.Helper()
	w := httptest.NewRecorder()
	Handler(func() hub.Stats { return s }).ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	require.Equal(t, 200, w.Code, w.Body.String())
	return w.Body.String()
}

// linted is /metrics, which has no problem that Prometheus' linter knows.
func linted(t *testing.T, s hub.Stats) string {
	t.Helper()
	text := scrape(t, s)
	problems, err := promlint.New(strings.NewReader(text)).Lint()
	require.NoError(t, err)
	require.Empty(t, problems)
	return text
}

// everything has a value for each metric.
func everything() hub.Stats {
	states := fleet().Accounts
	states[0].Work.Swept = at
	return hub.Stats{Connected: true, States: states}
}

// TestAccountMetrics has those of each account.
func TestAccountMetrics(t *testing.T) {
	text := linted(t, everything())
	const first = `account="https://acme-v02.api.letsencrypt.org/acme/acct/1"`
	for _, line := range []string{
		`authorizations{` + first + `,verdict="leaked"} 20`, `authorizations{` + first + `,verdict="valid"} 1200`,
		`authorizations{account="https://ca.example/acct/2",verdict="leaked"} 0`,
		`leaked{` + first + `,cause="dns provider"} 2`, `planned{` + first + `,action="defer"} 8`, `planned{` + first + `,action="leave"} 12`,
		`deferred{` + first + `} 8`, `deferred{account="https://ca.example/acct/2"} 0`,
		`deferred_until_timestamp_seconds{` + first + `} 1.7957844e+09`, `swept_timestamp_seconds{` + first + `} 1.7957808e+09`,
		`account_settled{` + first + `} 14`, `account_problem{` + first + `} 0`, `account_problem{account="https://ca.example/acct/2"} 1`,
	} {
		require.Contains(t, text, "acmeauthz_fleet_"+line+"\n")
	}
	require.Equal(t, 1, strings.Count(text, "deferred_until_timestamp_seconds{"))
	require.Equal(t, 1, strings.Count(text, "swept_timestamp_seconds{"))
	require.NotContains(t, text, `account="unknown"`, "nothing is known of it")
}

// TestHostileMetrics has accounts that a log has made up.
func TestHostileMetrics(t *testing.T) {
	state := func(account string, leaks int) wire.AccountState {
		return wire.AccountState{Account: account, Authorizations: leaks, Verdicts: map[string]int{"leaked": leaks}, Work: wire.Work{Planned: map[string]int{"": 1}}}
	}
	text := linted(t, hub.Stats{States: []wire.AccountState{
		state("https://ca.example/\x1b[2J", 1), state("https://ca.example/\u009b[2J", 2), state("https://ca.example/\xff[2J", 4), // all the same, once cleaned
		state("x\ny\"} 7", 5), state(strings.Repeat("z", 100_000), 6), state("", 7),
	}})
	for _, line := range []string{
		`{account="https://ca.example/?[2J",verdict="leaked"} 7`, `{account="x y\"} 7",verdict="leaked"} 5`,
		`{account="` + strings.Repeat("z", maxLabel-1) + `…",verdict="leaked"} 6`, `{account="unknown",verdict="leaked"} 7`,
	} {
		require.Contains(t, text, "acmeauthz_fleet_authorizations"+line+"\n")
	}
	require.Contains(t, text, `acmeauthz_fleet_planned{account="unknown",action="not decided"} 1`)
}

// TestManyAccounts bounds the labels, and counts all of them.
func TestManyAccounts(t *testing.T) {
	var states []wire.AccountState
	total := 0
	for i := range maxAccounts + 500 {
		a := wire.AccountState{Account: fmt.Sprintf("https://ca.example/acct/%d", i), Authorizations: i, Verdicts: map[string]int{"leaked": i}}
		a.Work = wire.Work{Settled: 1, Deferred: 2, DeferredUntil: at.Add(time.Duration(i) * time.Second), Swept: at.Add(time.Duration(i) * time.Second)}
		if i == 3 {
			a.Work.Problem = "x"
		}
		if i < 500 {
			total += i
		}
		states = append(states, a)
	}
	before := slices.Clone(states)
	all := sums(states)
	require.Equal(t, before, states, "what the hub has is not changed")
	require.Len(t, all, maxAccounts+1)
	require.Equal(t, &sum{
		verdicts: tallies{"leaked": total}, causes: tallies{}, planned: tallies{}, deferred: 1000, settled: 500, until: at.Add(499 * time.Second), swept: at, problem: true,
	}, all[others])
	require.NotNil(t, all["https://ca.example/acct/500"])
	require.Nil(t, all["https://ca.example/acct/499"])
	text := scrape(t, hub.Stats{States: states})
	require.Equal(t, maxAccounts+1, strings.Count(text, "acmeauthz_fleet_account_settled{"))
	require.Contains(t, text, `acmeauthz_fleet_account_problem{account="others"} 1`)
}

const metricsPage = "../METRICS.md"

// described are the names of the metrics and their labels, and the table of METRICS.md.
func described(t *testing.T) (labels map[string][]string, table string) {
	t.Helper()
	registry := prometheus.NewRegistry()
	collector := NewCollector(func() hub.Stats { return everything() })
	registry.MustRegister(collector)
	families, err := registry.Gather()
	require.NoError(t, err)
	require.Len(t, families, len(collector.metrics)+len(accountMetrics), "each has a value")
	labels = make(map[string][]string)
	var b strings.Builder
	b.WriteString("| `acmeauthz_fleet_…` | labels | type | what it says |\n| --- | --- | --- | --- |\n")
	for _, f := range families {
		names := []string{}
		for _, l := range f.GetMetric()[0].GetLabel() {
			names = append(names, l.GetName())
		}
		labels[f.GetName()] = names
		quoted := ""
		if len(names) > 0 {
			quoted = "`" + strings.Join(names, "`, `") + "`"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", strings.TrimPrefix(f.GetName(), "acmeauthz_fleet_"), quoted, strings.ToLower(f.GetType().String()), f.GetHelp())
	}
	return labels, b.String()
}

// TestMetricsPage holds METRICS.md to the code.
func TestMetricsPage(t *testing.T) {
	_, table := described(t)
	data, err := os.ReadFile(metricsPage)
	require.NoError(t, err)
	part := regexp.MustCompile(`(?s)(<!-- table:[^\n]*-->\n).*(<!-- end -->)`)
	if os.Getenv("UPDATE") != "" {
		data = []byte(part.ReplaceAllString(string(data), "${1}"+strings.ReplaceAll(table, "$", "$$")+"${2}"))
		require.NoError(t, os.WriteFile(metricsPage, data, 0o644))
	}
	require.Contains(t, string(data), "-->\n"+table+"<!-- end -->")
}

// TestAlerts reads the rules of METRICS.md as Prometheus does, but for its language: their expressions name metrics and labels
// that there are.
func TestAlerts(t *testing.T) {
	labels, _ := described(t)
	data, err := os.ReadFile(metricsPage)
	require.NoError(t, err)
	_, rest, _ := strings.Cut(string(data), "```yaml\n")
	text, _, found := strings.Cut(rest, "```")
	require.True(t, found)
	var rules struct {
		Groups []struct {
			Name  string
			Rules []struct {
				Alert, Expr, For    string
				Labels, Annotations map[string]string
			}
		}
	}
	decoder := yaml.NewDecoder(strings.NewReader(text))
	decoder.KnownFields(true)
	require.NoError(t, decoder.Decode(&rules))
	require.Len(t, rules.Groups, 1)
	require.Len(t, rules.Groups[0].Rules, 3)
	series := regexp.MustCompile(`\b(acmeauthz_\w+)(?:\{(\w+)=)?`)
	for _, r := range rules.Groups[0].Rules {
		require.Regexp(t, `^Fleet[A-Za-z]+$`, r.Alert)
		require.Regexp(t, `^[1-9]\d*[smhd]$`, r.For)
		require.NotEmpty(t, r.Labels["severity"])
		require.NotEmpty(t, r.Annotations["summary"])
		for _, pair := range []string{"()", "{}"} {
			require.Equal(t, strings.Count(r.Expr, pair[:1]), strings.Count(r.Expr, pair[1:]), r.Expr)
		}
		named := series.FindAllStringSubmatch(r.Expr, -1)
		require.NotEmpty(t, named, r.Expr)
		for _, m := range named {
			require.Contains(t, labels, m[1])
			if m[2] != "" {
				require.Contains(t, labels[m[1]], m[2])
			}
			if strings.Contains(r.Expr, "(account)") {
				require.Contains(t, labels[m[1]], "account")
			}
		}
	}
}
