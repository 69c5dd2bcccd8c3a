package main

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/acmeauthz/acmeauthz/internal/schematest"
	"github.com/acmeauthz/acmeauthz/logparse"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"
)

var reportedAt = time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)

// hostileFleet is three hosts whose client was killed, and strings that want to be markup, script, formulas or orders to a
// terminal.
func hostileFleet() *logparse.History {
	h := new(logparse.History)
	for i, host := range []string{"web01", "web02", "web03"} {
		e := logparse.Event{
			Kind: logparse.RunStarted, Client: "certbot", Host: host, Time: reportedAt.Add(-9 * time.Hour), Account: "https://ca.example/acct/1",
			Command: "-d </script><script>window.pwned=1</script> \x1b[2J",
		}
		e.Place = logparse.Place{File: host + ":/var/log/letsencrypt/letsencrypt.log", Line: 1}
		e.Run = e.Place
		h.Add(e)
		e.Kind, e.Line = logparse.OrderSeen, 2
		e.Order = &logparse.Order{ID: fmt.Sprintf("https://ca.example/order/%d", i), URL: fmt.Sprintf("https://ca.example/order/%d", i), Status: "pending"}
		names := []string{host + ".example.org", "<script>alert(1)</script>", "=cmd|' /C calc'!A0", "\x1b]0;owned\x07\u202e\u009b31m"}
		for j, name := range names {
			e.Order.Identifiers = append(e.Order.Identifiers, logparse.Identifier{Type: "dns", Value: name})
			e.Order.Authorizations = append(e.Order.Authorizations, fmt.Sprintf("https://ca.example/authz/%d%d", i, j))
		}
		h.Add(e)
		for j, name := range names {
			e.Kind, e.Line, e.Order = logparse.AuthorizationSeen, int64(3+j), nil
			e.Authorization = &logparse.Authorization{
				URL: fmt.Sprintf("https://ca.example/authz/%d%d", i, j), Status: "pending", Identifier: logparse.Identifier{Type: "dns", Value: name},
			}
			h.Add(e)
		}
	}
	return h
}

// report runs report without a server.
func report(t *testing.T, h *logparse.History, o reportOptions) string {
	t.Helper()
	var out bytes.Buffer
	o.at = reportedAt
	require.NoError(t, (&program{stdout: &out, stderr: &out}).writeReport(o, h))
	return out.String()
}

// requireHarmless requires text without characters that a terminal acts upon, or that turn text around.
func requireHarmless(t *testing.T, text string) {
	t.Helper()
	for _, r := range text {
		require.True(t, unicode.IsPrint(r) || r == '\n', "%q in %q", r, text)
	}
}

func TestReportText(t *testing.T) {
	for _, verbose := range []bool{false, true} {
		text := report(t, hostileFleet(), reportOptions{verbose: verbose})
		requireHarmless(t, text)
		require.Contains(t, text, "12 of 12 authorizations were left pending, by 3 runs on 3 hosts.")
		require.Regexp(t, `(?m)^  web02 +4 +█+ +of 4$`, text)
		require.Contains(t, text, "killed: the run stops without an end")
		require.Contains(t, text, `\x1b]0;owned\a\u202e\u009b31m`)
	}
}

func TestReportCSV(t *testing.T) {
	text := report(t, hostileFleet(), reportOptions{csv: true})
	requireHarmless(t, strings.ReplaceAll(text, "\r\n", "\n"))
	rows, err := csv.NewReader(strings.NewReader(text)).ReadAll()
	require.NoError(t, err)
	require.Len(t, rows, 13)
	row := schemaOf(t, "leaks-row")
	hosts := map[string]int{}
	for _, cells := range rows[1:] {
		object := map[string]any{}
		for i, cell := range cells {
			object[rows[0][i]] = cell
			require.False(t, len(cell) > 1 && strings.ContainsRune("=+-@", rune(cell[0])), cell)
		}
		require.NoError(t, row.Validate(object))
		hosts[object["host"].(string)]++
	}
	require.Equal(t, map[string]int{"web01": 4, "web02": 4, "web03": 4}, hosts)
}

// schemaOf is a schema of clear-authz, which prints the same.
func schemaOf(t *testing.T, name string) *jsonschema.Schema {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../clear-authz/schema", name+".schema.json"))
	require.NoError(t, err)
	return schematest.Compile(t, name, text)
}

func TestReportJSON(t *testing.T) {
	text := report(t, hostileFleet(), reportOptions{json: true})
	requireHarmless(t, text)
	value, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	require.NoError(t, err)
	require.NoError(t, schemaOf(t, "leaks").Validate(value))
	require.Equal(t, "2026-11-27T12:00:00Z", value.(map[string]any)["at"])
}

// TestReportHTML looks at the page's source; a browser does in the tests of clear-authz's report, which is the same.
func TestReportHTML(t *testing.T) {
	for _, name := range []string{stdoutName, filepath.Join(t.TempDir(), "leaks.html")} {
		page := report(t, hostileFleet(), reportOptions{html: name})
		if name != stdoutName {
			require.Contains(t, page, "The page is in "+name)
			require.Contains(t, page, "12 of 12 authorizations were left pending", "the text is printed, too")
			data, err := os.ReadFile(name)
			require.NoError(t, err)
			page = string(data)
		}
		requireHarmless(t, page)
		require.Contains(t, page, "<h1>12 of 12 authorizations were left pending, by 3 runs on 3 hosts.</h1>")
		require.Contains(t, page, "Made by fleet report "+version()+".")
		require.Contains(t, page, "default-src &#39;none&#39;")
		require.Equal(t, 2, strings.Count(page, "<script"), "the report and the program")
		require.NotContains(t, page, "alert(1)</script>")
	}
}

// TestReportHistory reads again what --history wrote: all is in it.
func TestReportHistory(t *testing.T) {
	text := report(t, hostileFleet(), reportOptions{history: stdoutName})
	requireHarmless(t, text)
	h := new(logparse.History)
	require.NoError(t, json.Unmarshal([]byte(text), h))
	for _, o := range []reportOptions{{json: true}, {csv: true}, {html: stdoutName}, {verbose: true}} {
		require.Equal(t, report(t, hostileFleet(), o), report(t, h, o))
	}
	name := filepath.Join(t.TempDir(), "history.json")
	require.Contains(t, report(t, hostileFleet(), reportOptions{history: name}), "The history is in "+name)
	data, err := os.ReadFile(name)
	require.NoError(t, err)
	require.Equal(t, text, string(data))
}

// TestReportAt judges as of then: a client may still be at work, or all has expired.
func TestReportAt(t *testing.T) {
	var out bytes.Buffer
	p := &program{stdout: &out, stderr: &out}
	require.NoError(t, p.writeReport(reportOptions{at: reportedAt.Add(-8*time.Hour - 30*time.Minute), recent: time.Hour}, hostileFleet()))
	require.Contains(t, out.String(), "No leak is known, but 12 of 12 authorizations are open: a run may be working on")
	require.Contains(t, out.String(), "2026-11-27 03:30; all times are UTC.")
}

// TestReportUsage refuses a command line before any server is asked.
func TestReportUsage(t *testing.T) {
	for want, args := range map[string][]string{
		"all want standard output":     {"--json", "--history", "-"},
		"want standard output: give":   {"--csv", "--html", "-"},
		"--html needs a file to write": {"--html", ""},
		"--history needs a file":       {"--history="},
		`--at soon is no time`:         {"--at", "soon"},
	} {
		var out, errors bytes.Buffer
		require.Equal(t, exitUsage, run(t.Context(), append([]string{"fleet", "report"}, args...), &out, &errors), want)
		require.Contains(t, errors.String(), want)
	}
}

// TestReportFileFails leaves what was there.
func TestReportFileFails(t *testing.T) {
	dir := t.TempDir()
	var out bytes.Buffer
	p := &program{stdout: &out, stderr: &out}
	require.ErrorContains(t, p.writeReport(reportOptions{html: dir, at: reportedAt}, hostileFleet()), dir+": it is there and is no file")
	require.ErrorContains(t, p.writeReport(reportOptions{history: dir + "/no/such.json", at: reportedAt}, hostileFleet()), "no such file")
	require.Empty(t, out.String())
}
