package authz_test

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/acme"

	"github.com/acmeauthz/acmeauthz/authz"
	"github.com/acmeauthz/acmeauthz/internal/fakeca"
	"github.com/acmeauthz/acmeauthz/internal/pebbleca"
)

// Everything goes wrong at once: connections are reset, answers are errors,
// cut off, late or out of date, and the process is killed again and again.
// What is asked in the end is what the CA holds.
//
//	go test ./authz -run Chaos -chaos 10000 -chaos.kills 20 -timeout 30m
//	go test ./authz -run Chaos -chaos.seed 42      # the seed of a run that failed
var (
	chaosSize  = flag.Int("chaos", 400, "authorizations in the chaos tests")
	chaosKills = flag.Int("chaos.kills", 4, "how often their process is killed")
	chaosSeed  = flag.Uint64("chaos.seed", 0, "seed of the chaos tests; 0 is a new one")
)

// A chaosRun is what the process that is killed needs to know.
type chaosRun struct {
	Directory, KID string
	Key            []byte // SEC 1
	Root           []byte // PEM; empty for plain HTTP
	URLs           []string
	Orders         map[string]string // of an authorization
	Journal        string
	Profile        authz.Profile
}

func chaos(t *testing.T) *rand.Rand {
	seed := *chaosSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("replay with -chaos.seed %d", seed)
	return rand.New(rand.NewPCG(seed, 1))
}

// another is a source for another goroutine.
func another(random *rand.Rand) *rand.Rand {
	return rand.New(rand.NewPCG(random.Uint64(), random.Uint64()))
}

// TestChaosChild is the process that is killed.
func TestChaosChild(t *testing.T) {
	run, client := childRun(t, "CHAOS_RUN")
	client.HTTPClient = &http.Client{Timeout: 2 * time.Second}
	if len(run.Root) > 0 {
		client.HTTPClient.Transport = trusting(run.Root)
	}
	journal, err := authz.OpenJournal(run.Journal)
	require.NoError(t, err)
	defer func() { require.NoError(t, journal.Close()) }()
	m := &authz.Manager{
		Client: client, Parallelism: 16, Journal: journal, Policy: old, Profiles: []authz.Profile{run.Profile},
		KnownOrders: func(url string) []authz.KnownOrder {
			if order := run.Orders[url]; order != "" {
				return []authz.KnownOrder{{URL: order}}
			}
			return nil
		},
	}
	failed := 0
	for r, err := range m.Clear(t.Context(), authz.URLs(run.URLs...)) {
		if err != nil && strings.Contains(err.Error(), "read directory") {
			fmt.Println("failed: at the start:", err) // three times in a row: somebody starts it again
			return
		}
		require.NoError(t, err)
		if r.Err != nil && !errors.Is(r.Err, authz.ErrGone) && !errors.Is(r.Err, authz.ErrNotOurs) && !errors.Is(r.Err, authz.ErrForeign) {
			failed++
			t.Log(r.URL, r.Err)
		}
	}
	fmt.Println("failed:", failed)
}

// childRun is what a process that a test has started is to do, by the file that
// the environment names, and the client for it.
func childRun(t *testing.T, variable string) (run chaosRun, client *acme.Client) {
	path := os.Getenv(variable)
	if path == "" {
		t.Skip("it is run by another test")
	}
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(data, &run))
	key, err := x509.ParseECPrivateKey(run.Key)
	require.NoError(t, err)
	return run, &acme.Client{Key: key, KID: acme.KeyID(run.KID), DirectoryURL: run.Directory}
}

// run runs the process until it has done all, and kills it on the way.
func (run *chaosRun) run(t *testing.T, random *rand.Rand) {
	t.Helper()
	dir := t.TempDir()
	run.Journal = filepath.Join(dir, "journal")
	path := filepath.Join(dir, "run.json")
	data, err := json.Marshal(run)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, data, 0o600))
	kills := 0
	for tries := 0; ; tries++ {
		require.Less(t, tries, *chaosKills+12, "it does not end")
		var output bytes.Buffer
		child := exec.Command(os.Args[0], "-test.run=^TestChaosChild$", "-test.v", "-test.timeout=20m")
		child.Env = append(os.Environ(), "CHAOS_RUN="+path)
		child.Stdout, child.Stderr = &output, &output
		require.NoError(t, child.Start())
		ended := make(chan error, 1)
		go func() { ended <- child.Wait() }()
		if kills < *chaosKills {
			if run.killed(t, child, ended, random) {
				kills++
				continue
			}
			err = <-ended
		} else {
			err = <-ended
		}
		require.NoError(t, err, output.String())
		if strings.Contains(output.String(), "failed: 0\n") && kills == *chaosKills {
			return
		}
		if kills < *chaosKills && strings.Contains(output.String(), "failed: 0\n") {
			t.Logf("done after %d kills of %d", kills, *chaosKills)
			require.Positive(t, kills)
			return
		}
	}
}

// killed kills the process once it has written some lines more to its journal.
func (run *chaosRun) killed(t *testing.T, child *exec.Cmd, ended chan error, random *rand.Rand) bool {
	size := func() int64 {
		info, err := os.Stat(run.Journal)
		if err != nil {
			return 0
		}
		return info.Size()
	}
	share := int64(len(run.URLs)) * 400 / int64(*chaosKills+2)
	until := size() + random.Int64N(share) + share/4
	for size() < until {
		select {
		case err := <-ended:
			ended <- err
			return false
		case <-time.After(time.Millisecond):
		}
	}
	time.Sleep(time.Duration(random.IntN(5000)) * time.Microsecond)
	require.NoError(t, child.Process.Kill())
	<-ended
	return true
}

func trusting(root []byte) http.RoundTripper {
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(root)
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig.RootCAs = pool
	return transport
}

// journalOf is the outcomes in a journal by URL, and how often each change was
// begun.
func journalOf(t *testing.T, path string) (ends map[string]string, begins map[string]int) {
	t.Helper()
	journal, err := authz.OpenJournal(path)
	require.NoError(t, err)
	defer func() { require.NoError(t, journal.Close()) }()
	ends, begins = map[string]string{}, map[string]int{}
	open := map[string]bool{}
	for e, err := range journal.Entries() {
		require.NoError(t, err)
		switch e.Event {
		case authz.EventBegin:
			begins[e.URL]++
			open[e.URL] = true
			require.NotContains(t, []string{"deactivated", "invalid", "valid"}, ends[e.URL], "begun after it was done: %s", e.URL)
		case authz.EventEnd:
			require.True(t, open[e.URL], "ended without a beginning: %s", e.URL)
			delete(open, e.URL)
			ends[e.URL] = e.Status
		}
	}
	require.Empty(t, open, "begun and never ended")
	return ends, begins
}

func TestChaosFakeCA(t *testing.T) {
	random := chaos(t)
	foreign := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("something was sent to a foreign origin") }))
	defer foreign.Close()
	ca := fakeca.New(fakeca.Config{Lag: 200 * time.Millisecond, FailureLimit: 5, NoLog: true, Intercept: faults(another(random))})
	ca.Start(t)
	client, other := ca.Client(), ca.NewAccount()

	type fate int
	const (
		settled fate = iota // pending, and nobody needs it
		crowded             // of a name with more than its budget
		living              // of an order that is ready
		untouched
	)
	fates := map[string]fate{}
	run := chaosRun{Directory: client.DirectoryURL, KID: string(client.KID), Orders: map[string]string{}}
	put := func(f fate, url string) {
		fates[url] = f
		run.URLs = append(run.URLs, url)
	}
	for i := range *chaosSize {
		name := fmt.Sprintf("n%d.example", i)
		switch n := random.IntN(100); {
		case n < 70:
			put(settled, ca.Add(fakeca.Authorization{Identifier: name, Wildcard: n < 5}))
		case n < 75:
			put(crowded, ca.Add(fakeca.Authorization{Identifier: fmt.Sprintf("crowd%d.example", i*5 / *chaosSize)}))
		case n < 82:
			put(untouched, ca.Add(fakeca.Authorization{Identifier: name, Status: "valid"}))
		case n < 87:
			put(untouched, ca.Add(fakeca.Authorization{Identifier: name, Status: "invalid"}))
		case n < 90:
			put(untouched, ca.Add(fakeca.Authorization{Identifier: name, Expires: time.Now().Add(-time.Hour)}))
		case n < 95:
			url := ca.Add(fakeca.Authorization{Identifier: name, Status: "valid"})
			run.Orders[url] = ca.AddOrder(fakeca.Order{Authorizations: []string{url}})
			put(living, url)
		case n < 98:
			put(untouched, ca.Add(fakeca.Authorization{Identifier: name, Owner: other.KID}))
		default:
			run.URLs = append(run.URLs, foreign.URL+"/acme/authz/1/"+strconv.Itoa(i))
		}
	}
	before := map[string]string{}
	for url := range fates {
		before[url] = ca.Authorization(url).Status
	}
	run.Key = sec1(t, client.Key)
	run.Profile = profileOf(t, "Boulder")[0]
	run.Profile.Lag = 400 * time.Millisecond
	run.Profile.NewNonce = authz.Rate{}
	run.run(t, random)

	ends, begins := journalOf(t, run.Journal)
	crowd := map[string]int{}
	for url, f := range fates {
		a := ca.Authorization(url)
		switch f {
		case settled:
			require.Equal(t, "deactivated", a.Status, url)
		case crowded:
			if a.Status == "deactivated" {
				crowd[a.Identifier]++
			} else {
				require.Equal(t, "pending", a.Status)
			}
		default:
			require.Equal(t, before[url], a.Status)
			require.Zero(t, begins[url])
		}
		require.LessOrEqual(t, ca.Deactivations(url), 1, "deactivated twice: %s", url)
		require.Equal(t, ca.Deactivations(url) == 1, ends[url] == "deactivated", "journal and CA disagree about %s: %s and %s", url, ends[url], a.Status)
		require.LessOrEqual(t, ca.Failures(client.KID, a.Identifier, a.Wildcard), 4, a.Identifier)
	}
	for name, n := range crowd {
		require.LessOrEqual(t, n, 4, name)
	}
	require.Empty(t, ca.Overdrawn())
	t.Logf("%d authorizations, %d requests, %d changes begun", len(run.URLs), ca.Total(), len(begins))
}

// faults are those of a bad day at a CA.
func faults(random *rand.Rand) func(*fakeca.Request) *fakeca.Answer {
	var mu sync.Mutex
	limited := 100_000 / max(*chaosSize, 100) // in a thousand: a Retry-After pauses everything for a second
	return func(r *fakeca.Request) *fakeca.Answer {
		mu.Lock()
		defer mu.Unlock()
		switch n := random.IntN(100); {
		case n < 3:
			return &fakeca.Answer{Reset: true}
		case n < 5:
			return &fakeca.Answer{After: true, Reset: true}
		case n < 8:
			return fakeca.Problem(500, "serverInternal", "")
		case n < 10:
			return &fakeca.Answer{After: true, Status: 500}
		case n < 15 && r.Method == http.MethodPost:
			return fakeca.Problem(400, "badNonce", "")
		case n < 17:
			return &fakeca.Answer{After: true, Truncate: 1 + random.IntN(60)}
		case n < 20:
			return &fakeca.Answer{After: true, Delay: time.Duration(random.IntN(60)) * time.Millisecond}
		case n < 21 && random.IntN(1000) < min(limited, 200):
			a := fakeca.Problem([]int{429, 503}[random.IntN(2)], "rateLimited", "")
			a.Header.Set("Retry-After", "1")
			return a
		}
		return nil
	}
}

func TestChaosPebble(t *testing.T) {
	random := chaos(t)
	ca, err := pebbleca.Start(pebbleca.Config{BadNoncePercent: 5})
	require.NoError(t, err)
	defer func() { require.NoError(t, ca.Close()) }()
	proxy := httptest.NewTLSServer(faultyProxy(ca, another(random)))
	defer proxy.Close()

	direct := register(t, ca)
	rename := strings.NewReplacer(strings.TrimSuffix(ca.DirectoryURL(), "/dir"), proxy.URL)
	run := chaosRun{Directory: rename.Replace(ca.DirectoryURL()), KID: rename.Replace(string(direct.KID)), Key: sec1(t, direct.Key)}
	run.Root = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: proxy.Certificate().Raw})
	run.Profile = profileOf(t, "Pebble")[0]
	var originals []string
	for range max(*chaosSize/100, 2) {
		for _, url := range order(t, direct, 50) {
			originals = append(originals, url)
			run.URLs = append(run.URLs, rename.Replace(url))
		}
	}
	run.run(t, random)
	ends, _ := journalOf(t, run.Journal)
	for i, url := range originals {
		status, err := ca.Status(url)
		require.NoError(t, err)
		require.Equal(t, "deactivated", status)
		require.Equal(t, "deactivated", ends[run.URLs[i]])
	}
}

// faultyProxy stands before Pebble, which takes the proxy's name for its own.
func faultyProxy(ca *pebbleca.CA, random *rand.Rand) http.Handler {
	base := strings.TrimSuffix(ca.DirectoryURL(), "/dir")
	var mu sync.Mutex
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		n, cut := random.IntN(100), random.IntN(60)
		mu.Unlock()
		switch {
		case n < 3:
			reset(w)
			return
		case n < 6:
			http.Error(w, "bad gateway", http.StatusBadGateway)
			return
		}
		req, err := http.NewRequestWithContext(r.Context(), r.Method, base+r.URL.RequestURI(), r.Body)
		if err != nil {
			return
		}
		req.Header, req.Host, req.ContentLength = r.Header.Clone(), r.Host, r.ContentLength
		resp, err := ca.HTTPClient().Do(req)
		if err != nil {
			reset(w)
			return
		}
		defer resp.Body.Close()
		body, _ := io.ReadAll(resp.Body)
		for name, values := range resp.Header {
			w.Header()[name] = values
		}
		switch {
		case n < 9: // it has happened, and nobody hears of it
			reset(w)
			return
		case n < 11:
			w.Header().Set("Content-Length", strconv.Itoa(len(body)))
			body = body[:min(cut, len(body))]
		case n < 15:
			time.Sleep(time.Duration(cut) * time.Millisecond)
		}
		w.WriteHeader(resp.StatusCode)
		_, _ = w.Write(body)
	})
}

func reset(w http.ResponseWriter) {
	conn, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if c, ok := conn.(interface{ NetConn() net.Conn }); ok {
		_ = c.NetConn().(*net.TCPConn).SetLinger(0)
	}
	_ = conn.Close()
}
