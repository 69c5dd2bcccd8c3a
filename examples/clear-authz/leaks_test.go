package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// fleetBench is the logs of four hosts in fleet/, a directory each.
func fleetBench(t *testing.T) *bench {
	b := &bench{t: t, dir: t.TempDir(), env: map[string]string{}, stdin: strings.NewReader("")}
	for _, scenario := range []string{"rate-limited", "twenty-names-killed", "five-names-one-fails", "dry-run-twice-deactivation"} {
		copyTree(t, filepath.Join("../../logparse/testdata/certbot", scenario, "logs/letsencrypt"), b.path("fleet", scenario, "letsencrypt"))
	}
	return b
}

// copyLogs puts recorded logs into logs/.
func (b *bench) copyLogs(scenario string) {
	copyTree(b.t, filepath.Join("../../logparse/testdata", scenario, "logs"), b.path("logs"))
}

// TestLeaks is what is printed in the situations that people meet; all of it is
// in testdata/golden.
func TestLeaks(t *testing.T) {
	for name, run := range map[string]func(b *bench) []outputs{
		"leaks-help": func(b *bench) []outputs { return runs(b.run("leaks", "--help")) },
		"leaks-fleet": func(b *bench) []outputs {
			return runs(b.run("leaks", b.path("fleet")))
		},
		"leaks-verbose": func(b *bench) []outputs {
			return runs(b.run("leaks", "--verbose", b.path("fleet", "rate-limited"), b.path("fleet", "five-names-one-fails")))
		},
		"leaks-json": func(b *bench) []outputs {
			return runs(b.run("leaks", "--json", b.path("fleet", "rate-limited")))
		},
		"leaks-csv": func(b *bench) []outputs {
			return runs(b.run("leaks", "--csv", b.path("fleet", "rate-limited")))
		},
		"leaks-none": func(b *bench) []outputs {
			b.copyLogs("certbot/success-http01")
			return runs(b.run("leaks", b.path("logs")))
		},
		"leaks-clients": func(b *bench) []outputs {
			b.copyLogs("dehydrated/killed-in-hook")
			b.copyLogs("uacme/verbose3-killed-and-fail")
			return runs(b.run("leaks", b.path("logs")))
		},
		"leaks-stdin": func(b *bench) []outputs {
			log, err := os.Open("../../logparse/testdata/lego/4.35.2-killed-dns01/logs/lego.log")
			require.NoError(b.t, err)
			b.t.Cleanup(func() { log.Close() })
			b.stdin = log
			return runs(b.run("leaks"))
		},
		"leaks-later": func(b *bench) []outputs {
			b.now = recordedAt.AddDate(0, 1, 0)
			return runs(b.run("leaks", b.path("fleet", "twenty-names-killed")),
				b.run("leaks", "--at", "2026-11-23T22:00:00Z", b.path("fleet", "twenty-names-killed")))
		},
		"leaks-in-progress": func(b *bench) []outputs {
			return runs(b.run("leaks", "--at", "2026-11-23 20:30", b.path("fleet", "twenty-names-killed")))
		},
		"leaks-nothing": func(b *bench) []outputs {
			b.write("logs/empty.log", "")
			b.write("logs/prose.log", "It was a dark and stormy night.\n")
			return runs(b.run("leaks", b.path("logs")), b.run("leaks", "--json", b.path("logs")), b.run("leaks", "--csv", b.path("logs")))
		},
		"leaks-unreadable": func(b *bench) []outputs {
			b.write("logs/damaged.log.gz", "\x1f\x8b\x08 this is no gzip")
			return runs(b.run("leaks", b.path("logs", "damaged.log.gz")),
				b.run("-q", "leaks", b.path("logs"), b.path("fleet", "twenty-names-killed")),
				b.run("leaks", b.path("missing.log")))
		},
		"leaks-usage": func(b *bench) []outputs {
			return runs(b.run("leaks", "--json", "--csv"), b.run("leaks", "--json", "--html", "-"), b.run("leaks", "--html", ""),
				b.run("leaks", "--at", "yesterday"), b.run("leaks", "--jsno"),
				b.run("leaks", "--html", b.path("no", "such", "directory.html"), b.path("fleet")),
				b.run("leaks", "--html", b.path("fleet"), b.path("fleet")))
		},
		"leaks-html": func(b *bench) []outputs {
			return runs(b.run("leaks", "--html", b.path("leaks.html"), "--csv", b.path("fleet", "five-names-one-fails")))
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := fleetBench(t)
			b.golden(run(b)...)
		})
	}
}

// TestLeaksSchema holds the JSON to the members that the help names, and to no
// others: a member that is added has to be documented.
func TestLeaksSchema(t *testing.T) {
	b := fleetBench(t)
	r := b.run("leaks", "--json", b.path("fleet"))
	require.Equal(t, exitOK, r.code, r.stderr)
	var doc struct {
		Schema         string
		Summary        map[string]any
		Authorizations []map[string]any
		Runs           []map[string]any
	}
	require.NoError(t, json.Unmarshal([]byte(r.stdout), &doc))
	require.Equal(t, "acmeauthz-leaks/1", doc.Schema)
	require.Len(t, doc.Authorizations, 40)
	require.Len(t, doc.Runs, 11)
}

// TestHostsOf tells the hosts of a fleet by the directories of their logs.
func TestHostsOf(t *testing.T) {
	for name, test := range map[string]struct{ logs, hosts []string }{
		"one directory":        {[]string{"/l/letsencrypt.log", "/l/letsencrypt.log.1"}, nil},
		"a directory each":     {[]string{"/f/web01/le.log", "/f/web02/le.log"}, []string{"web01", "web02"}},
		"deeper":               {[]string{"/f/web01/log/le/le.log.1", "/f/web02/log/le/le.log.2.gz"}, []string{"web01", "web02"}},
		"regions":              {[]string{"/f/eu/web1/le.log", "/f/us/web1/le.log", "/f/us/web2/le.log"}, []string{"eu/web1", "us/web1", "us/web2"}},
		"uneven":               {[]string{"/f/a/le.log", "/f/b/x/y/le.log"}, []string{"a", "b"}},
		"programs of one host": {[]string{"/var/log/letsencrypt/letsencrypt.log", "/var/log/caddy/caddy.log"}, nil},
		"one above":            {[]string{"/f/le.log", "/f/b/le.log"}, nil},
		"standard input too":   {[]string{"-", "/f/a/le.log", "/f/b/le.log"}, []string{"", "a", "b"}},
	} {
		t.Run(name, func(t *testing.T) {
			hosts := hostsOf(test.logs)
			var got []string
			for _, log := range test.logs {
				if hosts != nil {
					got = append(got, hosts[log])
				}
			}
			require.Equal(t, test.hosts, got)
		})
	}
}

func TestParseTime(t *testing.T) {
	p := &program{location: time.FixedZone("", 3600)}
	for text, want := range map[string]string{
		"2026-11-23T20:00:00Z":      "2026-11-23T20:00:00Z",
		"2026-11-23T20:00:00-05:00": "2026-11-24T01:00:00Z",
		"2026-11-23T20:00:00":       "2026-11-23T19:00:00Z",
		"2026-11-23 20:00":          "2026-11-23T19:00:00Z",
		"2026-11-23":                "2026-11-22T23:00:00Z",
	} {
		at, err := p.parseTime(text)
		require.NoError(t, err)
		require.Equal(t, want, at.UTC().Format(time.RFC3339), text)
	}
	_, err := p.parseTime("soon")
	require.Error(t, err)
}
