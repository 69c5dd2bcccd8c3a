package authz_test

import (
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/acmeauthz/acmeauthz/authz"
	"github.com/acmeauthz/acmeauthz/internal/fakeca"
	"github.com/acmeauthz/acmeauthz/internal/pebbleca"
)

// unlimited is a CA without limits, so that the Manager alone sets the pace.
func unlimited(b *testing.B) []authz.Profile {
	p := profileOf(b, "Pebble")
	p[0].PendingLifetimes = nil // however young
	return p
}

// journalFor is a fresh journal on the disk.
func journalFor(b *testing.B) *authz.FileJournal {
	journal, err := authz.OpenJournal(filepath.Join(b.TempDir(), "journal"))
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, journal.Close()) })
	return journal
}

// clearAll clears n authorizations for each turn of the benchmark and reports
// the rate.
func clearAll(b *testing.B, ca *fakeca.CA, m *authz.Manager, n int) (rate float64) {
	var took time.Duration
	requests, cleared := 0, 0
	for b.Loop() {
		b.StopTimer()
		urls := add(ca, n, fakeca.Authorization{})
		before := ca.Total()
		b.StartTimer()
		started := time.Now()
		for r, err := range m.Clear(b.Context(), authz.URLs(urls...)) {
			require.NoError(b, err)
			require.NoError(b, r.Err)
			require.True(b, r.Changed)
			cleared++
		}
		took += time.Since(started)
		requests += ca.Total() - before
	}
	rate = float64(cleared) / took.Seconds()
	b.ReportMetric(rate, "authorizations/s")
	b.ReportMetric(float64(requests)/float64(cleared), "requests/authorization")
	return rate
}

// BenchmarkClear clears pending authorizations over HTTP/1.1 on loopback with
// 64 workers and a journal on the disk. The ideal rate with a latency is
// workers / (2 requests * latency).
func BenchmarkClear(b *testing.B) {
	const latency, ideal = 50 * time.Millisecond, 640.0
	for _, bm := range []struct {
		name   string
		config fakeca.Config
		nonces authz.Rate
		n      int
	}{
		{"latency=50ms", fakeca.Config{Latency: latency}, authz.Rate{}, 20_000},
		{"latency=50ms,badNonce=5%", fakeca.Config{Latency: latency, BadNonceEvery: 20}, authz.Rate{}, 20_000},
		{"latency=50ms,nonces=20per_s", fakeca.Config{Latency: latency, NonceLimit: 20, NonceBurst: 10}, authz.Rate{PerSecond: 20, Burst: 10}, 20_000},
		{"latency=0", fakeca.Config{}, authz.Rate{}, 20_000},
	} {
		b.Run(bm.name, func(b *testing.B) {
			bm.config.SkipSignature, bm.config.NoLog = true, true
			ca := fakeca.New(bm.config)
			ca.Start(b)
			m := &authz.Manager{Client: ca.Client(), Parallelism: 64, Profiles: unlimited(b), Journal: journalFor(b)}
			m.Profiles[0].NewNonce = bm.nonces
			rate := clearAll(b, ca, m, bm.n)
			if bm.config.Latency > 0 {
				b.ReportMetric(100*rate/ideal, "%ideal")
			}
		})
	}
}

// BenchmarkClearLimited clears at a CA that allows 250 requests in a second,
// and reports how many of them were used, and the most that arrived within any
// second.
func BenchmarkClearLimited(b *testing.B) {
	const limit = 250
	var mu sync.Mutex
	var arrivals []time.Time
	ca := fakeca.New(fakeca.Config{Latency: 50 * time.Millisecond, SkipSignature: true, NoLog: true,
		Intercept: func(r *fakeca.Request) *fakeca.Answer {
			mu.Lock()
			defer mu.Unlock()
			arrivals = append(arrivals, r.Time)
			return nil
		}})
	ca.Start(b)
	m := &authz.Manager{Client: ca.Client(), Parallelism: 64, Profiles: unlimited(b), Journal: journalFor(b)}
	m.Profiles[0].Requests = authz.Rate{PerSecond: limit, Burst: 1}
	clearAll(b, ca, m, 4000)
	slices.SortFunc(arrivals, time.Time.Compare)
	busiest, first := 0, 0
	for last := range arrivals {
		for arrivals[last].Sub(arrivals[first]) >= time.Second {
			first++
		}
		busiest = max(busiest, last-first+1)
	}
	took := arrivals[len(arrivals)-1].Sub(arrivals[0])
	b.ReportMetric(100*float64(len(arrivals)-1)/took.Seconds()/limit, "%used")
	b.ReportMetric(float64(busiest), "busiest-second")
}

// BenchmarkClearPebble clears at a real server, in this process.
func BenchmarkClearPebble(b *testing.B) {
	ca, err := pebbleca.Start(pebbleca.Config{BadNoncePercent: 5})
	require.NoError(b, err)
	defer func() { require.NoError(b, ca.Close()) }()
	client := register(b, ca)
	m := &authz.Manager{Client: client, Parallelism: 64, Policy: old, Journal: journalFor(b)}
	var took time.Duration
	cleared := 0
	for b.Loop() {
		b.StopTimer()
		var urls []string
		for range 20 {
			urls = append(urls, order(b, client, 100)...)
		}
		b.StartTimer()
		started := time.Now()
		for r, err := range m.Clear(b.Context(), authz.URLs(urls...)) {
			require.NoError(b, err)
			require.NoError(b, r.Err)
			cleared++
		}
		took += time.Since(started)
	}
	b.ReportMetric(float64(cleared)/took.Seconds(), "authorizations/s")
}

// BenchmarkOrderReads plans for authorizations whose orders were issued: one
// request for each order is enough.
func BenchmarkOrderReads(b *testing.B) {
	for _, known := range []bool{false, true} {
		b.Run(fmt.Sprintf("known=%v", known), func(b *testing.B) {
			ca := fakeca.New(fakeca.Config{SkipSignature: true, NoLog: true})
			client := ca.Client()
			var urls []string
			var orders []authz.Order
			for i := range 20 {
				o := newOrder(b, client, i, 50)
				for _, url := range o.AuthzURLs {
					ca.SetStatus(url, "valid")
				}
				urls = append(urls, o.AuthzURLs...)
				orders = append(orders, authz.Order{URL: o.URI, Authorizations: o.AuthzURLs})
			}
			m := &authz.Manager{Client: ca.Client(), Profiles: unlimited(b), Parallelism: 16}
			if known {
				m.KnownOrders = authz.IndexOrders(orders...)
			}
			before, n := ca.Total(), 0
			for b.Loop() {
				plan, err := m.Plan(b.Context(), authz.URLs(urls...))
				require.NoError(b, err)
				require.Len(b, plan.Steps, 1000)
				n++
			}
			b.ReportMetric(float64(ca.Total()-before)/float64(n*1000), "requests/authorization")
		})
	}
}
