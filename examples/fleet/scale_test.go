package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/acmeauthz/acmeauthz/internal/fakeca"
	"github.com/acmeauthz/acmeauthz/logparse"
	"github.com/stretchr/testify/require"
)

// BenchmarkProcesses has a server, two hubs that only watch and 200 agents, each a process. All logs appear at once, with 50,000
// authorizations of 20 accounts; it takes until the states tell of all of them.
//
//	go test . -run '^$' -bench Processes -benchtime 1x
func BenchmarkProcesses(b *testing.B) {
	const hosts, perHost = 200, 250
	for b.Loop() {
		b.StopTimer()
		f := newFleetOfProcesses(b, 1, 20, hosts, fakeca.Config{})
		var size, events int
		for n := range hosts * perHost / 5 {
			host := n % hosts
			var names []string
			for k := range 5 {
				names = append(names, fmt.Sprintf("shop%d.customer%d-%d.example.org", k, host, n/hosts))
			}
			text := f.leak(host, names)
			size += len(text)
			hidden := &writtenLog{path: f.logs[host].path + "~"}
			require.NoError(b, hidden.append(text))
			if host == 0 {
				events += count(b, text)
			}
		}
		f.servers[0].start()
		f.addHub(f.url()).start()
		f.addHub(f.url()).start()
		for range hosts {
			f.addAgent(f.url()).start()
		}
		ctx, cancel := context.WithTimeout(b.Context(), 5*time.Minute)
		f.wait(ctx, func(hosts, _ int) bool { return hosts == len(f.logs) })
		b.StartTimer()
		began := time.Now()
		for _, l := range f.logs {
			require.NoError(b, os.Rename(l.path+"~", l.path))
		}
		f.wait(ctx, func(_, authorizations int) bool { return authorizations == len(f.leaked) })
		took := time.Since(began).Seconds()
		b.StopTimer()
		b.ReportMetric(took, "s-to-whole")
		b.ReportMetric(float64(len(f.leaked))/took, "authorizations/s")
		b.ReportMetric(float64(events*hosts)/took, "events/s")
		b.ReportMetric(float64(size)/1e6/took, "MB-of-log/s")
		var largest int64
		for _, h := range f.hubs {
			most, _ := h.memory()
			largest = max(largest, most)
		}
		most, _ := f.servers[0].memory()
		of, _ := f.agents[0].memory()
		b.ReportMetric(float64(largest)/1e6, "MB-hub")
		b.ReportMetric(float64(most)/1e6, "MB-server")
		b.ReportMetric(float64(of)/1e6, "MB-agent")
		for _, p := range f.all() {
			p.kill()
		}
		cancel()
		b.StartTimer()
	}
}

// count is how many events a text has.
func count(b *testing.B, text []byte) (n int) {
	for _, err := range new(logparse.Reader).Events(bytes.NewReader(text)) {
		require.NoError(b, err)
		n++
	}
	return n
}

// wait waits until the fleet tells of so many hosts and authorizations.
func (f *fleetOfProcesses) wait(ctx context.Context, enough func(hosts, authorizations int) bool) {
	f.t.Helper()
	for {
		hosts, authorizations := 0, 0
		status, _, err := f.look(ctx, false)
		if err == nil {
			hosts = len(status.Hosts)
			for _, a := range status.Accounts {
				authorizations += a.Authorizations
			}
			if enough(hosts, authorizations) {
				return
			}
		}
		select {
		case <-ctx.Done():
			require.FailNow(f.t, "it does not come", "%d hosts, %d authorizations: %v", hosts, authorizations, err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}
