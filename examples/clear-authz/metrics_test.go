package main

import (
	"os"
	"strings"
	"testing"

	"github.com/acmeauthz/acmeauthz/internal/fakeca"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/stretchr/testify/require"
)

// TestMetrics reads what --metrics-file writes, as Prometheus' own linter does.
func TestMetrics(t *testing.T) {
	b := leaked(t, fakeca.Config{Intercept: limitAfter(2)})
	b.write("one/letsencrypt.log", certbotLog(b.leak("one.example.org")...))
	for _, row := range []struct {
		args []string
		code int
		want []string
	}{
		{[]string{"plan", b.path("logs")}, exitOK, []string{`clear_authz_planned{action="deactivate",ca="ca.test",command="plan"} 3`}},
		{[]string{"--dry-run", b.path("logs")}, exitOK, []string{`clear_authz_authorizations{ca="ca.test",command="clear",outcome="pending"} 3`}},
		{[]string{"--parallel", "1", b.path("logs")}, exitFailed, []string{
			`clear_authz_authorizations{ca="ca.test",command="clear",outcome="cleared"} 2`,
			`clear_authz_authorizations{ca="ca.test",command="clear",outcome="failed"} 1`,
			`clear_authz_run_exit_code{command="clear"} 1`,
			`clear_authz_run_timestamp_seconds{command="clear"} 1.7954784e+09`,
			`clear_authz_run_duration_seconds{command="clear"} 0`,
		}},
		{[]string{"leaks", b.path("one")}, exitOK, []string{
			`clear_authz_logged{command="leaks",verdict="unknown"} 1`, `clear_authz_leaked{cause="killed",command="leaks"} 0`,
		}},
		{[]string{"relinquish", "--name", ".shop.example.org", b.path("logs")}, exitOK, []string{
			`clear_authz_authorizations{ca="ca.test",command="relinquish",outcome="settled"} 2`}},
		{[]string{"--server", "other.test", b.path("logs")}, exitNothing, []string{`clear_authz_run_exit_code{command="clear"} 3`}},
		{[]string{b.path("none")}, exitUsage, []string{`clear_authz_run_exit_code{command="clear"} 2`}},
	} {
		file := b.path("clear-authz.prom")
		args := append([]string{}, row.args...)
		if args[0] == "plan" || args[0] == "leaks" || args[0] == "relinquish" {
			args = append([]string{args[0], "--metrics-file", file}, args[1:]...)
		} else {
			args = append([]string{"--metrics-file", file}, args...)
		}
		r := b.run(args...)
		require.Equal(t, row.code, r.code, r.stderr)
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		for _, want := range row.want {
			require.Contains(t, string(data), want+"\n")
		}
		require.Contains(t, string(data), "clear_authz_build_info{")
		problems, err := promlint.New(strings.NewReader(string(data))).Lint()
		require.NoError(t, err)
		require.Empty(t, problems)
		require.NoError(t, os.Remove(file))
	}
	r := b.run("leaks", "--metrics-file", b.path("none/file.prom"), b.path("logs"))
	require.Equal(t, exitFailed, r.code)
	require.Contains(t, r.stderr, "clear-authz: the metrics cannot be written: no such file or directory\n")
}
