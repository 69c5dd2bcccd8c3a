package authz_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/acmeauthz/acmeauthz/authz"
	"github.com/acmeauthz/acmeauthz/internal/fakeca"
)

// BenchmarkDeactivate clears 20,000 pending authorizations over HTTP/1.1 on
// loopback, under Let's Encrypt's limit on new nonces. The ideal rate with a
// latency is workers / (2 requests * latency).
func BenchmarkDeactivate(b *testing.B) {
	const n = 20_000
	for _, latency := range []time.Duration{0, 50 * time.Millisecond} {
		b.Run(fmt.Sprintf("latency=%v/workers=64", latency), func(b *testing.B) {
			ca := fakeca.New(fakeca.Config{Latency: latency, NonceLimit: 20, NonceBurst: 10, SkipSignature: true, NoLog: true})
			ca.Start(b)
			m := &authz.Manager{Client: ca.Client(), Parallelism: 64}
			var took time.Duration
			requests, cleared := 0, 0
			for b.Loop() {
				b.StopTimer()
				urls := add(ca, n, fakeca.Authorization{})
				before := ca.Total()
				b.StartTimer()
				started := time.Now()
				for r, err := range m.Deactivate(b.Context(), authz.URLs(urls...)) {
					require.NoError(b, err)
					require.NoError(b, r.Err)
					cleared++
				}
				took += time.Since(started)
				requests += ca.Total() - before
			}
			rate := float64(cleared) / took.Seconds()
			b.ReportMetric(rate, "authorizations/s")
			b.ReportMetric(float64(requests)/float64(cleared), "requests/authorization")
			if latency > 0 {
				b.ReportMetric(100*rate/(64/(2*latency.Seconds())), "%ideal")
			}
		})
	}
}
