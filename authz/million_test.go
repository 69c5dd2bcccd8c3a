package authz_test

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"iter"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/acmeauthz/acmeauthz/authz"
	"github.com/acmeauthz/acmeauthz/internal/fakeca"
)

// A process clears very many authorizations, of as many names, and tells how
// much memory it had at most:
//
//	go test ./authz -run TestMemory -memory 1000000 -timeout 30m -v
//
// raceEnabled says that the race detector has its own memory.
var raceEnabled bool

var memorySize = flag.Int("memory", 2000, "authorizations in TestMemory")

// TestMemoryChild is that process.
func TestMemoryChild(t *testing.T) {
	run, client := childRun(t, "MEMORY_RUN")
	journal, err := authz.OpenJournal(run.Journal)
	require.NoError(t, err)
	m := &authz.Manager{
		Client: client, Parallelism: 64, Journal: journal, Profiles: []authz.Profile{run.Profile}, Policy: old,
	}
	n := 0
	for r, err := range m.Clear(t.Context(), lines(run.URLs[0])) {
		if err != nil || r.Err != nil || !r.Changed {
			t.Fatal(err, r.Err, r.Decision)
		}
		n++
	}
	require.NoError(t, journal.Close())
	status, err := os.ReadFile("/proc/self/status")
	require.NoError(t, err)
	fmt.Printf("cleared %d, %s\n", n, regexp.MustCompile(`VmHWM:\s+\d+ kB`).Find(status))
}

// lines are those of a file.
func lines(path string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		file, err := os.Open(path)
		if err != nil {
			yield("", err)
			return
		}
		defer file.Close()
		for s := bufio.NewScanner(file); s.Scan(); {
			if !yield(s.Text(), nil) {
				return
			}
		}
	}
}

func TestMemory(t *testing.T) {
	if _, err := os.Stat("/proc/self/status"); err != nil {
		t.Skip("this system does not tell how much memory a process had")
	}
	for _, name := range []string{"Pebble", "Boulder"} { // without and with a budget for each name
		t.Run(name, func(t *testing.T) {
			ca := fakeca.New(fakeca.Config{SkipSignature: true, NoLog: true})
			ca.Start(t)
			client := ca.Client()
			dir := t.TempDir()
			file, err := os.Create(filepath.Join(dir, "urls"))
			require.NoError(t, err)
			w := bufio.NewWriter(file)
			for i := range *memorySize {
				fmt.Fprintln(w, ca.Add(fakeca.Authorization{Identifier: "n" + strconv.Itoa(i) + ".example", Challenges: []fakeca.Challenge{}}))
			}
			require.NoError(t, w.Flush())
			require.NoError(t, file.Close())
			run := chaosRun{Directory: client.DirectoryURL, KID: string(client.KID), Key: sec1(t, client.Key),
				Journal: filepath.Join(dir, "journal"), URLs: []string{file.Name()}, Profile: profileOf(t, name)[0]}
			run.Profile.NewNonce = authz.Rate{}
			data, err := json.Marshal(run)
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(filepath.Join(dir, "run.json"), data, 0o600))
			child := exec.Command(os.Args[0], "-test.run=^TestMemoryChild$", "-test.v", "-test.timeout=1h")
			child.Env = append(os.Environ(), "MEMORY_RUN="+filepath.Join(dir, "run.json"))
			started := time.Now()
			output, err := child.CombinedOutput()
			require.NoError(t, err, string(output))
			took := time.Since(started)
			found := regexp.MustCompile(`cleared (\d+), VmHWM:\s+(\d+) kB`).FindSubmatch(output)
			require.NotNil(t, found, string(output))
			require.Equal(t, strconv.Itoa(*memorySize), string(found[1]))
			memory, err := strconv.Atoi(string(found[2]))
			require.NoError(t, err)
			t.Logf("%d authorizations in %v, %d MiB", *memorySize, took.Round(time.Second), memory/1024)
			if !raceEnabled {
				require.Less(t, memory, 64<<10, "KiB at most")
			}
		})
	}
}
