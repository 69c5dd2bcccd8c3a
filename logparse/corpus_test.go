package logparse

import (
	"encoding/json"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// A truth is what a CA knew about the authorizations of one recorded scenario.
type truth struct {
	all         []string
	recoverable []string // those whose URL stands in the logs
}

// fromChallenges holds what is found although no authorization's URL stands in the logs: challenges' URLs do.
var fromChallenges = map[string]int{
	"acme-tiny/one-fails":             1,
	"dehydrated/success-and-one-fail": 1,
}

// TestCorpus reads the logs of every recorded scenario: every authorization that they name is found, and nothing that the
// CA did not hold.
func TestCorpus(t *testing.T) {
	scenarios, err := fs.Glob(os.DirFS("testdata"), "*/*/truth.json")
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(scenarios), 53)
	for _, file := range scenarios {
		scenario := path.Dir(file)
		t.Run(scenario, func(t *testing.T) {
			want := readTruth(t, path.Join("testdata", file))
			got := corpusURLs(t, path.Join("testdata", scenario))
			for _, url := range want.recoverable {
				require.Contains(t, got, url)
			}
			require.Subset(t, want.all, got)
			require.Len(t, got, len(want.recoverable)+fromChallenges[scenario])
		})
	}
}

func readTruth(t *testing.T, name string) (tr truth) {
	t.Helper()
	data, err := os.ReadFile(name)
	require.NoError(t, err)
	var v struct {
		Authzs []struct {
			URL         string `json:"url"`
			Recoverable bool   `json:"recoverable"`
		} `json:"authzs"`
	}
	require.NoError(t, json.Unmarshal(data, &v))
	require.NotEmpty(t, v.Authzs)
	for _, a := range v.Authzs {
		tr.all = append(tr.all, a.URL)
		if a.Recoverable {
			tr.recoverable = append(tr.recoverable, a.URL)
		}
	}
	return tr
}

// corpusURLs returns what Files finds in the logs of a scenario.
func corpusURLs(t *testing.T, scenario string) []string {
	t.Helper()
	fsys := os.DirFS(scenario)
	dirs := map[string]bool{}
	require.NoError(t, fs.WalkDir(fsys, "logs", func(name string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			dirs[path.Dir(name)] = true
		}
		return err
	}))
	got, err := collect(Files(fsys, slices.Sorted(maps.Keys(dirs))...))
	require.NoError(t, err)
	return got
}
