package logparse

import (
	"encoding/json"
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

// recordedAt is after the recorded runs, and before anything that they left pending expires.
var recordedAt = time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC)

// A fateAt is what the CA held, and what became of it by the logs.
type fateAt struct {
	ca, logs string // "pending" stands for Leaked
}

// blind says what logs do not show: how many authorizations have which fate at the CA, where the History knows or guesses
// another, and why. All others are as the CA has them.
var blind = map[string]struct {
	fates map[fateAt]int
	why   string
}{
	"autocert/http-trace": {
		map[fateAt]int{{"invalid", "unknown"}: 2, {"valid", "unknown"}: 1},
		"the trace has no bodies, and nothing else is logged of what comes of a challenge",
	},
	"certbot/badnonce-retries": {
		map[fateAt]int{{"pending", "unknown"}: 1},
		"Certbot ended before it asked for this one: it could have been valid already",
	},
	"certbot/step-ca-mixed-runs": {
		map[fateAt]int{{"pending", "unknown"}: 1},
		"its challenge was answered, and Certbot ended while it was pending; other CAs would have made it invalid",
	},
	"dehydrated/wildcard-dns01-badnonce-stock-pebble": {
		map[fateAt]int{{"pending", "unknown"}: 1},
		"the URL is logged because of a bad nonce, and nothing else is logged with it",
	},
	"lacme/debug": {
		map[fateAt]int{{"invalid", "unknown"}: 1, {"valid", "unknown"}: 1},
		"both were answered, and the log ends with the order: it is invalid, but not because of which",
	},
	"lego/4.35.2-killed-dns01": {
		map[fateAt]int{{"pending", "unknown"}: 2, {"valid", "unknown"}: 1},
		"one of three names was validated, but not which URL is that name's",
	},
	"traefik/common-debug": {
		map[fateAt]int{{"invalid", "unknown"}: 1, {"valid", "unknown"}: 1},
		"Traefik was shut down after it had answered the challenges",
	},
	"traefik/json-info": {
		map[fateAt]int{{"deactivated", "unknown"}: 1},
		"the log ends with the announcement; a refusal would be in the next line",
	},
	"uacme/verbose3-killed-and-fail": {
		map[fateAt]int{{"pending", "unknown"}: 2},
		"uacme was killed before it asked for these two: they could have been valid already",
	},
}

// corpusHistory returns the History of a recorded scenario.
func corpusHistory(t *testing.T, scenario string) *History {
	t.Helper()
	h := &History{At: recordedAt}
	for e, err := range corpusEvents(t, path.Join("testdata", scenario)) {
		require.NoError(t, err)
		h.Add(e)
	}
	return h
}

// A score counts authorizations.
type score struct {
	held       int // by the CA
	logged     int // URLs that are in the logs
	found      int // of those
	invented   int
	known      int // whose fate the History knows
	right      int // and is that at the CA
	leaks      int // pending at the CA, and in the logs
	leaksFound int
}

// TestCorpusVerdicts compares the History of every recorded scenario with what the CA held.
func TestCorpusVerdicts(t *testing.T) {
	total := make(map[string]*score)
	for _, scenario := range scenarios(t) {
		t.Run(scenario, func(t *testing.T) {
			client := strings.TrimSuffix(path.Dir(scenario), "-boulder")
			if total[client] == nil {
				total[client] = new(score)
			}
			got := total[client].judge(t, scenario)
			want := blind[scenario].fates
			if len(want) == 0 {
				want = map[fateAt]int{}
			}
			require.Equal(t, want, got)
		})
	}
	checkTable(t, total)
}

func scenarios(t *testing.T) (all []string) {
	t.Helper()
	files, err := fs.Glob(os.DirFS("testdata"), "*/*/truth.json")
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(files), 53)
	for _, f := range files {
		all = append(all, path.Dir(f))
	}
	return all
}

// judge adds a scenario to the score, and returns the fates that the History does not have as the CA.
func (s *score) judge(t *testing.T, scenario string) map[fateAt]int {
	t.Helper()
	h := corpusHistory(t, scenario)
	held := readStatuses(t, scenario)
	other := make(map[fateAt]int)
	invented := make(map[string]bool)
	for _, l := range h.Lives() {
		if l.URL != "" {
			invented[l.URL] = true
		}
	}
	for _, a := range held {
		s.held++
		l, ok := h.Life(a.URL)
		delete(invented, a.URL)
		if a.Recoverable {
			s.logged++
			require.True(t, ok, a.URL)
		}
		if !ok {
			continue
		}
		s.found++
		f := fateAt{a.Status, strings.Replace(string(l.Verdict), string(Leaked), "pending", 1)}
		if a.Status == "pending" {
			s.leaks++
		}
		if f.ca != f.logs {
			other[f]++
		}
		if l.Verdict == Unknown || l.Verdict == InProgress {
			continue
		}
		s.known++
		if f.ca == f.logs {
			s.right++
			if f.ca == "pending" {
				s.leaksFound++
			}
		}
	}
	s.invented += len(invented)
	require.Empty(t, invented)
	return other
}

type heldStatus struct {
	URL         string
	Status      string
	Recoverable bool
}

func readStatuses(t *testing.T, scenario string) []heldStatus {
	t.Helper()
	data, err := os.ReadFile(path.Join("testdata", scenario, "truth.json"))
	require.NoError(t, err)
	var v struct{ Authzs []heldStatus }
	require.NoError(t, json.Unmarshal(data, &v))
	require.NotEmpty(t, v.Authzs)
	return v.Authzs
}

// checkTable compares the table in the README with the scores.
func checkTable(t *testing.T, total map[string]*score) {
	t.Helper()
	const start, end = "<!-- scores -->\n", "<!-- /scores -->"
	var b strings.Builder
	b.WriteString("| client | at the CA | in the logs | found | invented | fate known | right | leaks found |\n")
	b.WriteString("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n")
	for _, client := range slices.Sorted(maps.Keys(total)) {
		s := total[client]
		fmt.Fprintf(&b, "| %s | %d | %d | %d | %d | %d | %d | %d of %d |\n",
			client, s.held, s.logged, s.found, s.invented, s.known, s.right, s.leaksFound, s.leaks)
	}
	readme, err := os.ReadFile("../README.md")
	require.NoError(t, err)
	before, rest, ok := strings.Cut(string(readme), start)
	require.True(t, ok, "the README has no scores")
	have, after, ok := strings.Cut(rest, end)
	require.True(t, ok)
	if *update {
		require.NoError(t, os.WriteFile("../README.md", []byte(before+start+b.String()+end+after), 0o644))
		have = b.String()
	}
	require.Equal(t, b.String(), have)
}
