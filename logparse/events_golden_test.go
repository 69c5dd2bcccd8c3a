package logparse

import (
	"bytes"
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write the golden files")

// TestEventsGolden reads the logs of every recorded scenario and compares the events with those in its events.golden, which
// was read by eye beside what the CA held.
func TestEventsGolden(t *testing.T) {
	scenarios, err := fs.Glob(os.DirFS("testdata"), "*/*/truth.json")
	require.NoError(t, err)
	for _, file := range scenarios {
		dir := path.Join("testdata", path.Dir(file))
		t.Run(path.Dir(file), func(t *testing.T) {
			var b bytes.Buffer
			for e, err := range corpusEvents(t, dir) {
				require.NoError(t, err)
				fmt.Fprintln(&b, formatEvent(&e))
			}
			golden(t, path.Join(dir, "events.golden"), b.Bytes())
		})
	}
}

// corpusEvents returns the events of a scenario, in the order of its log directories.
func corpusEvents(t *testing.T, dir string) func(func(Event, error) bool) {
	t.Helper()
	x := Reader{Location: time.UTC, Now: time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC)}
	return x.FileEvents(os.DirFS(dir), logDirs(t, dir)...)
}

// logDirs returns the directories of a scenario that hold logs.
func logDirs(t *testing.T, dir string) []string {
	t.Helper()
	dirs := map[string]bool{}
	require.NoError(t, fs.WalkDir(os.DirFS(dir), "logs", func(name string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			dirs[path.Dir(name)] = true
		}
		return err
	}))
	return slices.Sorted(maps.Keys(dirs))
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	if *update {
		require.NoError(t, os.WriteFile(name, got, 0o644))
	}
	want, err := os.ReadFile(name)
	require.NoError(t, err)
	require.Equal(t, string(want), string(got))
}

// formatEvent returns all that is set in an event, on one line.
func formatEvent(e *Event) string {
	var b strings.Builder
	put := func(name string, value any) {
		if s := fmt.Sprint(value); s != "" && s != "0" && s != "false" && s != "0s" {
			if strings.ContainsAny(s, " \"\n\t\x1b") {
				s = fmt.Sprintf("%q", s)
			}
			fmt.Fprintf(&b, " %s=%s", name, s)
		}
	}
	fmt.Fprintf(&b, "%s: %s", strings.TrimPrefix(e.Place.String(), "logs/"), e.Kind)
	if !e.Time.IsZero() {
		put("time", e.Time.Format("2006-01-02T15:04:05.999999Z07:00"))
	}
	put("client", e.Client)
	put("account", e.Account)
	put("host", e.Host)
	put("unit", e.Unit)
	put("pid", e.PID)
	if e.Run.Line > 0 {
		put("run", strings.TrimPrefix(e.Run.String(), "logs/"))
	}
	put("version", e.Version)
	put("command", e.Command)
	put("exit", e.Exit)
	put("cause", e.Cause)
	put("message", e.Message)
	put("lines", e.Lines)
	if o := e.Order; o != nil {
		put("order", strings.TrimPrefix(o.ID, "logs/"))
		put("status", o.Status)
		for _, id := range o.Identifiers {
			put("name", id.Value)
		}
		for _, url := range o.Authorizations {
			put("authorization", url)
		}
		formatRest(put, o.Expires, o.Problem)
	}
	if a := e.Authorization; a != nil {
		put("authorization", a.URL)
		put("in", strings.TrimPrefix(a.Order, "logs/"))
		put("identifier", a.Identifier.Value)
		put("wildcard", a.Wildcard)
		put("status", a.Status)
		formatRest(put, a.Expires, a.Problem)
	}
	if c := e.Challenge; c != nil {
		put("challenge", c.URL)
		put("type", c.Type)
		put("challengeStatus", c.Status)
	}
	formatRest(put, time.Time{}, e.Problem)
	return b.String()
}

func formatRest(put func(string, any), expires time.Time, p *Problem) {
	if !expires.IsZero() {
		put("expires", expires.Format(time.RFC3339))
	}
	if p != nil {
		put("problem", p.Type)
		put("httpStatus", p.Status)
		put("detail", p.Detail)
		put("retryAfter", p.RetryAfter)
		put("request", p.URL)
	}
}
