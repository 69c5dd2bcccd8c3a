package authz

import (
	"context"
	"errors"
	"iter"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// numbers yields 0 to n-1, then err if there is one.
func numbers(n int, err error) iter.Seq2[int, error] {
	return func(yield func(int, error) bool) {
		for i := range n {
			if !yield(i, nil) {
				return
			}
		}
		if err != nil {
			yield(0, err)
		}
	}
}

// gather ranges over seq and checks that an error is its last pair.
func gather[T any](t *testing.T, seq iter.Seq2[T, error]) ([]T, error) {
	t.Helper()
	var all []T
	var last error
	for v, err := range seq {
		require.NoError(t, last, "a pair after the error")
		if last = err; err == nil {
			all = append(all, v)
		}
	}
	return all, last
}

func TestFanOutKeepsTheOrderAndTheBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var running, most atomic.Int32
		do := func(ctx context.Context, i int) (int, error) {
			for n := running.Add(1); n > most.Load(); {
				most.Store(n)
			}
			defer running.Add(-1)
			return i * i, sleep(ctx, rand.N(time.Second))
		}
		got, err := gather(t, fanOut(t.Context(), 7, numbers(500, nil), do, nil))
		require.NoError(t, err)
		require.Len(t, got, 500)
		for i, square := range got {
			require.Equal(t, i*i, square)
		}
		require.EqualValues(t, 7, most.Load())
	})
}

// Bubbles end with a panic if a goroutine is left, so each of these tests
// also shows that none is.
func TestFanOutEnds(t *testing.T) {
	errSource, errFatal := errors.New("source"), errors.New("fatal")
	second := func(ctx context.Context, i int) (int, error) {
		if i == 13 {
			return i, errFatal
		}
		return i, sleep(ctx, time.Second)
	}
	t.Run("with the source's error, after all results", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			got, err := gather(t, fanOut(t.Context(), 4, numbers(10, errSource), second, nil))
			require.Equal(t, errSource, err)
			require.Len(t, got, 10)
		})
	})
	t.Run("with a fatal error, keeping what was done", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			got, err := gather(t, fanOut(t.Context(), 4, numbers(1000, nil), second, nil))
			require.Equal(t, errFatal, err)
			require.GreaterOrEqual(t, len(got), 12)
			require.Less(t, len(got), 20)
		})
	})
	t.Run("with the context's error, not its cause", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(t.Context())
			time.AfterFunc(2500*time.Millisecond, func() { cancel(errSource) })
			got, err := gather(t, fanOut(ctx, 4, numbers(1000, nil), second, nil))
			require.Equal(t, context.Canceled, err)
			require.Equal(t, []int{0, 1, 2, 3, 4, 5, 6, 7}, got, "two rounds of four; the third was cut short")
		})
	})
	t.Run("at a break, having waited for the source", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var open atomic.Bool
			source := func(yield func(int, error) bool) {
				open.Store(true)
				defer open.Store(false)
				numbers(1000, nil)(yield)
			}
			for i, err := range fanOut(t.Context(), 4, source, second, nil) {
				require.NoError(t, err)
				if i == 5 {
					break
				}
			}
			require.False(t, open.Load())
		})
	})
	t.Run("promptly though the source is stuck", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			unblock := make(chan bool)
			stuck := func(yield func(int, error) bool) {
				if yield(1, nil) {
					<-unblock
				}
			}
			started := time.Now()
			got, err := gather(t, fanOut(ctx, 4, stuck, second, nil))
			require.Equal(t, context.DeadlineExceeded, err)
			require.Equal(t, []int{1}, got)
			require.Equal(t, time.Minute, time.Since(started))
			close(unblock)
		})
	})
}

func TestFanOutYieldsWhatIsReadyWhileTheSourceWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := func(yield func(int, error) bool) {
			for i := range 3 {
				if !yield(i, nil) {
					return
				}
				time.Sleep(time.Hour)
			}
		}
		started := time.Now()
		at := []time.Duration{}
		for _, err := range fanOut(t.Context(), 2, slow, func(ctx context.Context, i int) (int, error) { return i, sleep(ctx, time.Second) }, nil) {
			require.NoError(t, err)
			at = append(at, time.Since(started))
		}
		require.Equal(t, []time.Duration{time.Second, time.Hour + time.Second, 2*time.Hour + time.Second}, at)
	})
}

func TestFanOutIsBoundedByItsConsumer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var taken int
		source := func(yield func(int, error) bool) {
			for ; yield(taken, nil); taken++ {
			}
		}
		for range fanOut(t.Context(), 3, source, func(context.Context, int) (int, error) { return 0, nil }, nil) {
			time.Sleep(time.Minute) // everything else is as far as it can get
			synctest.Wait()
			break
		}
		require.LessOrEqual(t, taken, minAhead+2*3)
	})
}

// Every result is kept before it is handed on, many with one call, and what
// cannot be kept ends the sequence.
func TestFanOutKeeps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var done, kept, calls atomic.Int64
		do := func(_ context.Context, i int) (int64, error) {
			time.Sleep(time.Second)
			return done.Add(1), nil
		}
		keep := func() error {
			now := done.Load()
			time.Sleep(100 * time.Millisecond)
			kept.Store(now)
			calls.Add(1)
			return nil
		}
		started := time.Now()
		for n, err := range fanOut(t.Context(), 10, numbers(100, nil), do, keep) {
			require.NoError(t, err)
			require.LessOrEqual(t, n, kept.Load())
		}
		require.LessOrEqual(t, calls.Load(), int64(30))
		require.Equal(t, 10*time.Second, time.Since(started).Truncate(time.Second), "workers do not wait for it")

		errKeep := errors.New("disk is full")
		_, err := gather(t, fanOut(t.Context(), 4, numbers(1000, nil), func(context.Context, int) (int, error) { return 0, nil }, func() error { return errKeep }))
		require.ErrorIs(t, err, errKeep)
	})
}
