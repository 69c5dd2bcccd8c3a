package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestMain is the program itself where the demonstration starts it.
func TestMain(m *testing.M) {
	if os.Getenv("FLEET_CHILD") != "" {
		main()
	}
	os.Exit(m.Run())
}

// TestDemo shows it all, with processes; nothing may be left pending.
func TestDemo(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	var out, errors bytes.Buffer
	require.Zero(t, run(t.Context(), []string{"fleet", "demo"}, &out, &errors), errors.String())
	text := out.String()
	require.Contains(t, text, "60 of 60 authorizations are leaked, 0 were settled.")
	require.Regexp(t, regexp.MustCompile(`hub[12] has the account, and has settled \d+\. Now it is killed`), text)
	require.Contains(t, text, "0 of 60 authorizations are leaked, 60 were settled.")
	require.Contains(t, text, "known     60: 60 deactivated")
	pages, err := filepath.Glob(filepath.Join(os.Getenv("TMPDIR"), "fleet-demo-*", "leaks.html"))
	require.NoError(t, err)
	require.Len(t, pages, 1)
	page, err := os.ReadFile(pages[0])
	require.NoError(t, err)
	require.Contains(t, string(page), "<h1>60 of 60 authorizations were left pending, by 12 runs on 3 hosts; all were deactivated since.</h1>")
	require.Contains(t, string(page), `"host":"web03"`)
	require.Contains(t, string(page), `"text":"the last line of the run`, "the proof")
	require.Contains(t, string(page), "shop3-4-5.example.org")
}

// TestUsage says what is wrong with a command line.
func TestUsage(t *testing.T) {
	dir := t.TempDir()
	bad := filepath.Join(dir, "policy.json")
	require.NoError(t, os.WriteFile(bad, []byte(`[{"policy": "burn"}]`), 0o600))
	for want, args := range map[string][]string{
		"no logs are named":                   {"agent", "--name", "web01"},
		"--log-level \"loud\" is none of":     {"hub", "--log-level", "loud"},
		"--heartbeat is 1s to 2m, not 1h0m0s": {"agent", "--name", "web01", "--logs", "x", "--heartbeat", "1h"},
		"needs a directory: --store":          {"server"},
		"policy \"burn\" is none of":          {"hub", "--policy", bad},
		"no such file":                        {"hub", "--policy", filepath.Join(dir, "nope")},
		"flag provided but not defined":       {"status", "--nope"},
		"the name of a host has no spaces":    {"agent", "--name", "web 01", "--logs", "x"},
	} {
		var out, errors bytes.Buffer
		require.Equal(t, exitUsage, run(t.Context(), append([]string{"fleet"}, args...), &out, &errors), errors.String())
		require.Contains(t, strings.ToLower(errors.String()), strings.ToLower(want))
	}
}
