package authz

import (
	"context"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// With any number of requests waiting, and stalls between, no second ever sees
// more than the rate, and nearly all of it is used.
func TestWindow(t *testing.T) {
	for _, rate := range []Rate{{PerSecond: 250, Burst: 125}, {PerSecond: 20}, {PerSecond: 3}, {PerSecond: 0.5}} {
		for _, stalls := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				random := rand.New(rand.NewPCG(1, 2))
				w := newWindow(rate)
				started := time.Now()
				var sent []time.Time
				n := max(int(20*rate.PerSecond), 40)
				for range n {
					require.NoError(t, w.Wait(t.Context()))
					sent = append(sent, time.Now())
					if stalls && random.IntN(50) == 0 {
						time.Sleep(time.Duration(random.IntN(2000)) * time.Millisecond)
					}
				}
				length := max(time.Second, time.Duration(float64(time.Second)/rate.PerSecond))
				first := 0
				for last := range sent {
					for sent[last].Sub(sent[first]) >= length {
						first++
					}
					require.LessOrEqual(t, last-first+1, max(int(rate.PerSecond), 1))
				}
				if !stalls {
					used := float64(n-1) / time.Since(started).Seconds() / rate.PerSecond
					require.Greater(t, used, 0.98, "%+v", rate)
				}
			})
		}
	}
}

func TestWindowEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWindow(Rate{PerSecond: 0.01})
		require.NoError(t, w.Wait(t.Context()))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		go func() { _ = w.Wait(ctx) }() // has the turn
		synctest.Wait()
		require.ErrorIs(t, w.Wait(ctx), context.DeadlineExceeded)
	})
}
