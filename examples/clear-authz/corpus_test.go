package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/acmeauthz/acmeauthz/authz"
	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/acme"
)

// testdata/corpus.json holds, for each recorded run of Certbot, what the CA had
// in its own database at the end. The logs and accounts that belong to it are
// test data of the packages logparse and account.

// corpusBench is a machine in the state in which a recorded run left it, and the
// CA that it spoke with.
func corpusBench(t *testing.T, scenario string, authorizations []recorded) (*bench, *recordedCA) {
	_, name, _ := strings.Cut(scenario, "/")
	b := &bench{t: t, dir: t.TempDir(), env: map[string]string{}, stdin: strings.NewReader("")}
	copyTree(t, filepath.Join("../../logparse/testdata", scenario, "logs/letsencrypt"), b.path("logs"))
	copyTree(t, filepath.Join("../../account/testdata/certbot", name), b.dir)
	ca := newRecordedCA(t, authorizations)
	b.transport = ca
	for _, dir := range []string{b.path("letsencrypt"), b.path("accounts-before")} {
		require.NoError(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.Name() == "private_key.json" {
				ca.addAccount(path)
			}
			return nil
		}))
	}
	return b, ca
}

// copyTree copies a directory. A colon is stored as %3A, and a link is listed in
// modes.txt, because a Go module has neither.
func copyTree(t *testing.T, from, to string) {
	require.NoError(t, filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		target := filepath.Join(to, strings.ReplaceAll(rel, "%3A", ":"))
		if err := os.MkdirAll(filepath.Dir(target), 0o700); err != nil {
			return err
		}
		return os.WriteFile(target, data, 0o600)
	}))
	modes, err := os.ReadFile(filepath.Join(from, "modes.txt"))
	if err != nil {
		return
	}
	for line := range strings.Lines(string(modes)) {
		if left, target, ok := strings.Cut(strings.TrimSpace(line), " -> "); ok {
			link := filepath.Join(to, left[strings.LastIndex(left, " ")+1:])
			require.NoError(t, os.MkdirAll(filepath.Dir(link), 0o700))
			require.NoError(t, os.Symlink(target, link))
		}
	}
}

func readCorpus(t *testing.T) map[string][]recorded {
	data, err := os.ReadFile("testdata/corpus.json")
	require.NoError(t, err)
	var corpus map[string][]recorded
	require.NoError(t, json.Unmarshal(data, &corpus))
	require.Len(t, corpus, 19)
	return corpus
}

// records runs the command and returns what it printed as JSON.
func (b *bench) records(args ...string) []record {
	r := b.run(append([]string{"--json"}, args...)...)
	require.Equal(b.t, exitOK, r.code, r.stderr)
	var all []record
	for doc := range bytes.Lines([]byte(r.stdout)) {
		var rec record
		require.NoError(b.t, json.Unmarshal(doc, &rec))
		all = append(all, rec)
	}
	return all
}

// corpusKey is the key, needed where Certbot has deleted its account (certbot unregister).
func corpusKey(t *testing.T, b *bench) []string {
	if _, err := os.Stat(b.path("accounts-before")); err != nil {
		return nil
	}
	keys, err := filepath.Glob(b.path("accounts-before/*/*/*/private_key.json"))
	require.NoError(t, err)
	require.Len(t, keys, 1)
	require.Equal(t, exitNothing, b.run("--all", b.path("logs")).code, "there is no account any more")
	return keys
}

// TestCorpusDryRun lists each recorded scenario: exactly the authorizations whose
// URLs are in the logs, with what the CA knows of them.
func TestCorpusDryRun(t *testing.T) {
	for scenario, authorizations := range readCorpus(t) {
		t.Run(scenario, func(t *testing.T) {
			b, ca := corpusBench(t, scenario, authorizations)
			var want, got []string
			for _, a := range authorizations {
				if a.Recoverable {
					want = append(want, fmt.Sprint(a.URL, " ", a.Identifier, " ", a.Wildcard, " ", a.Status))
				}
			}
			for _, r := range b.records(append(corpusKey(t, b), "--dry-run", b.path("logs"))...) {
				require.Equal(t, r.Outcome == outcomeOver, ca.asked[r.URL] == 0, "what is over is not asked about, and nothing else")
				require.False(t, r.Changed)
				require.Nil(t, r.Error)
				require.Equal(t, r.StatusBefore, r.StatusAfter)
				got = append(got, fmt.Sprint(r.URL, " ", r.Identifier, " ", r.Wildcard, " ", r.StatusAfter))
			}
			require.NotEmpty(t, got)
			require.ElementsMatch(t, want, got)
			requireAllAsked(t, b, ca)
			require.Zero(t, ca.changes)
		})
	}
}

// requireAllAsked lists a scenario with --all: no log is believed then.
func requireAllAsked(t *testing.T, b *bench, ca *recordedCA) {
	clear(ca.asked)
	for _, r := range b.records(append(corpusKey(t, b), "--dry-run", "--all", b.path("logs"))...) {
		require.Equal(t, outcomeOf(authz.Result{Authorization: &acme.Authorization{Status: r.StatusBefore}}), r.Outcome)
		require.Equal(t, 1, ca.asked[r.URL])
	}
}

// TestCorpusClear clears each recorded scenario: exactly the pending ones.
func TestCorpusClear(t *testing.T) {
	for scenario, authorizations := range readCorpus(t) {
		t.Run(scenario, func(t *testing.T) {
			b, ca := corpusBench(t, scenario, authorizations)
			cleared := 0
			for _, r := range b.records(append(corpusKey(t, b), "--force", b.path("logs"))...) {
				require.Equal(t, r.StatusBefore == "pending", r.Changed)
				if r.Changed {
					cleared++
				}
			}
			leaks := 0
			for _, a := range authorizations {
				want := a.Status
				if want == "pending" && a.Recoverable {
					want = "deactivated"
					leaks++
				}
				require.Equal(t, want, ca.status(a.URL), a.URL)
			}
			require.Equal(t, leaks, cleared)
			require.Equal(t, leaks, ca.changes)
		})
	}
}

// TestLetsEncryptOutput is all that is printed for a recorded run whose CA was
// called by the name of Let's Encrypt's.
func TestLetsEncryptOutput(t *testing.T) {
	t.Run("lets-encrypt", func(t *testing.T) {
		const scenario = "certbot/killed-in-manual-hook"
		b, _ := corpusBench(t, scenario, readCorpus(t)[scenario])
		b.golden(b.run("--dry-run", b.path("logs")), b.run(b.path("logs")), b.run(b.path("logs")))
	})
}
