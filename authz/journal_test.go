package authz_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/acmeauthz/acmeauthz/authz"
)

func TestFileJournal(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	journal, err := authz.OpenJournal(path)
	require.NoError(t, err)
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())

	_, err = authz.OpenJournal(path)
	require.ErrorIs(t, err, authz.ErrJournalLocked)
	require.EqualError(t, err, fmt.Sprintf("authz: journal %s: authz: journal is in use: wait for the run that has it open, or name another file", path))

	at := time.Date(2026, 11, 24, 7, 0, 0, 123_000_000, time.FixedZone("", 3600))
	entry := authz.JournalEntry{
		Time: at, Event: authz.EventBegin, URL: "https://ca.test/a/1", Account: "https://ca.test/acct/1", Action: authz.ActionDeactivate,
		Failures: 1, Type: "dns", Identifier: "a.example", Wildcard: true,
	}
	require.NoError(t, journal.Append(entry))
	require.NoError(t, journal.Sync())
	require.NoError(t, journal.Append(authz.JournalEntry{Event: authz.EventEnd, URL: "https://ca.test/a/1", Status: "deactivated"}))
	entries := collect(t, journal.Entries())
	require.Len(t, entries, 2)
	entry.Time = at.UTC()
	require.Equal(t, entry, entries[0])
	require.WithinDuration(t, time.Now(), entries[1].Time, time.Minute)
	require.NoError(t, journal.Close())
	require.NoError(t, journal.Close(), "again")
	require.Error(t, journal.Append(entry))

	written, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, `{"time":"2026-11-24T06:00:00.123Z","event":"begin","url":"https://ca.test/a/1","account":"https://ca.test/acct/1","action":"deactivate","failures":1,"type":"dns","identifier":"a.example","wildcard":true}`,
		strings.SplitN(string(written), "\n", 2)[0])
}

// However a crash cut the last line, the rest is there, and what is written
// next stands on a line of its own.
func TestJournalCutOff(t *testing.T) {
	const line = `{"time":"2026-11-24T06:00:00Z","event":"end","url":"https://ca.test/a/%d","status":"valid"}` + "\n"
	whole := fmt.Sprintf(line, 1) + fmt.Sprintf(line, 2)
	for size := range len(whole) + 1 {
		path := filepath.Join(t.TempDir(), "journal")
		require.NoError(t, os.WriteFile(path, []byte(whole[:size]), 0o600))
		journal, err := authz.OpenJournal(path)
		require.NoError(t, err)
		require.NoError(t, journal.Append(authz.JournalEntry{Event: authz.EventEnd, URL: "https://ca.test/a/3", Status: "valid"}))
		require.Len(t, collect(t, journal.Entries()), strings.Count(whole[:size], "\n")+1)
		require.NoError(t, journal.Close())
	}
}

// A long line without an end, larger than a block.
func TestJournalCutOffFarBack(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	const line = `{"time":"2026-11-24T06:00:00Z","event":"end","url":"https://ca.test/a/1"}` + "\n"
	require.NoError(t, os.WriteFile(path, []byte(line+strings.Repeat("x", 300_000)), 0o600))
	journal, err := authz.OpenJournal(path)
	require.NoError(t, err)
	require.Len(t, collect(t, journal.Entries()), 1)
	require.NoError(t, journal.Close())
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, int64(len(line)), info.Size())
}

// What is no journal is not written to without a word: reading it fails, and
// names the line.
func TestJournalOfAnother(t *testing.T) {
	for content, want := range map[string]string{
		"hello\n": "line 1: no journal of this program: invalid character 'h' looking for beginning of value; name another file",
		"{}\n":    "line 1: no journal of this program: it has no event, url or time; name another file",
		"{\"time\":\"2026-11-24T06:00:00Z\",\"event\":\"end\",\"url\":\"u\"}\n\n": "line 2: no journal of this program: unexpected end of JSON input; name another file",
		strings.Repeat("x", 2<<20) + "\n":                                         "line 1: bufio.Scanner: token too long",
	} {
		path := filepath.Join(t.TempDir(), "journal")
		require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
		journal, err := authz.OpenJournal(path)
		require.NoError(t, err)
		for _, e := range journal.Entries() {
			err = e
		}
		require.EqualError(t, err, "authz: journal "+path+", "+want)
		require.NoError(t, journal.Close())
	}
	_, err := authz.OpenJournal(t.TempDir())
	_, ok := errors.AsType[*authz.JournalError](err)
	require.True(t, ok, err)
}

// Many writers share the work, and each finds its entry on the disk.
func TestJournalConcurrently(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	journal, err := authz.OpenJournal(path)
	require.NoError(t, err)
	var writers sync.WaitGroup
	for i := range 32 {
		writers.Go(func() {
			for n := range 20 {
				if journal.Append(authz.JournalEntry{Event: authz.EventBegin, URL: fmt.Sprintf("https://ca.test/a/%d/%d", i, n)}) != nil || journal.Sync() != nil {
					t.Error("not written")
				}
			}
		})
	}
	writers.Wait()
	seen := map[string]bool{}
	for _, e := range collect(t, journal.Entries()) {
		seen[e.URL] = true
	}
	require.Len(t, seen, 640)
	require.NoError(t, journal.Close())
}

func FuzzJournal(f *testing.F) {
	f.Add([]byte(`{"time":"2026-11-24T06:00:00Z","event":"end","url":"u"}` + "\n"))
	f.Add([]byte("{}\n{"))
	f.Fuzz(func(t *testing.T, content []byte) {
		path := filepath.Join(t.TempDir(), "journal")
		require.NoError(t, os.WriteFile(path, content, 0o600))
		journal, err := authz.OpenJournal(path)
		require.NoError(t, err)
		defer func() { require.NoError(t, journal.Close()) }()
		for e, err := range journal.Entries() {
			require.True(t, err != nil || e.URL != "")
		}
	})
}

func BenchmarkJournal(b *testing.B) {
	journal, err := authz.OpenJournal(filepath.Join(b.TempDir(), "journal"))
	require.NoError(b, err)
	defer func() { require.NoError(b, journal.Close()) }()
	b.SetParallelism(32)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if journal.Append(authz.JournalEntry{Event: authz.EventBegin, URL: "https://ca.test/acme/authz/1/2", Account: "https://ca.test/acme/acct/1"}) != nil || journal.Sync() != nil {
				b.Error("not written")
			}
		}
	})
}
