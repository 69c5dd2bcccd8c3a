package authz

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/acme"
)

// The table is a map that takes less room.
func TestBuckets(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var table buckets
	want := map[uint32]bucket{}
	for range 50_000 {
		hash, b := random.Uint32N(60_000)*70_000|1, bucket{random.Uint32(), uint16(random.Uint32())}
		require.Equal(t, want[hash], table.get(hash))
		table.set(hash, b)
		want[hash] = b
	}
	for hash, b := range want {
		require.Equal(t, b, table.get(hash))
	}
	used := 0
	for _, p := range table {
		used += p.used
	}
	require.Equal(t, len(want), used)
}

// Over weeks of spending whatever is allowed, at random times, the CA's own
// bucket is never empty: its orders are never refused.
func TestBudgetIsNeverOverdrawn(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for _, limit := range []FailureLimit{
		{Count: 5, Window: time.Hour}, {Count: 200, Window: time.Hour}, {Count: 2, Window: 7 * time.Minute}, {Count: 7, Window: 10 * time.Second},
	} {
		var b budget
		a := &acme.Authorization{Identifier: acme.AuthzID{Type: "dns", Value: "a.example"}}
		now := time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC)
		refills := limit.Window / time.Duration(limit.Count)
		full := now // when the CA's bucket is full again
		spent := 0
		for range 20_000 {
			now = now.Add(time.Duration(random.Int64N(int64(refills))))
			if at, ok := b.spend(limit, "account", a, now); !ok {
				require.True(t, at.After(now))
				continue
			}
			spent++
			if full.Before(now) {
				full = now
			}
			full = full.Add(refills)
			missing := full.Sub(now) - time.Second // times are kept in seconds
			left := limit.Count - int((missing+refills-1)/refills)
			require.GreaterOrEqual(t, left, 1, "one is kept for the client's own orders")
		}
		require.Greater(t, spent, 7000, "%+v", limit)
	}
}

// A wildcard, another account and another identifier have budgets of their own.
func TestBudgetsApart(t *testing.T) {
	limit := FailureLimit{Count: 2, Window: time.Hour}
	now := time.Now()
	var b budget
	for _, account := range []string{"a", "b"} {
		for _, id := range []acme.AuthzID{{Type: "dns", Value: "a.example"}, {Type: "dns", Value: "b.example"}, {Type: "ip", Value: "192.0.2.1"}} {
			for _, wildcard := range []bool{false, true} {
				a := &acme.Authorization{Identifier: id, Wildcard: wildcard}
				_, ok := b.spend(limit, account, a, now)
				require.True(t, ok)
				at, ok := b.spend(limit, account, a, now)
				require.False(t, ok)
				require.WithinDuration(t, now.Add(30*time.Minute), at, 2*time.Second)
				b.refund(limit, account, a)
				_, ok = b.spend(limit, account, a, now)
				require.True(t, ok)
			}
		}
	}
}
