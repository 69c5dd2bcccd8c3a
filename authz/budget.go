package authz

import (
	"hash/maphash"
	"maps"
	"math"
	"sync"
	"time"

	"golang.org/x/crypto/acme"
)

// A budget is what may still be spent of a CA's limit on failed validations,
// per account and identifier. It always keeps one failure back for the client
// that is at work with the name: with none left, the CA refuses its orders.
//
// Each identifier has a bucket of Count tokens that refills by one every
// Window/Count. A bucket is no more than the time at which it will be full
// again, and its failures in a row, so that a million fit into a few dozen
// megabytes.
type budget struct {
	mu     sync.Mutex
	seed   maphash.Seed
	bucket map[uint64]bucket
	swept  int  // how many there were after the last sweep
	books  bool // spend takes what is not there yet: the plan is to wait for it
}

// A bucket's times are in Unix seconds, rounded up.
type bucket struct {
	full  uint32 // when it is full again
	inRow uint32 // failures without a success between them
}

// key tells identifiers apart. Two that collide share a bucket, which spends
// less, never more.
func (b *budget) key(account string, id acme.AuthzID, wildcard bool) uint64 {
	if b.bucket == nil {
		b.seed, b.bucket = maphash.MakeSeed(), make(map[uint64]bucket)
	}
	var h maphash.Hash
	h.SetSeed(b.seed)
	for _, s := range []string{account, id.Type, id.Value} {
		_, _ = h.WriteString(s)
		_ = h.WriteByte(0)
	}
	if wildcard {
		_ = h.WriteByte(1)
	}
	return h.Sum64()
}

// rowShare is which part of the failures in a row that pause an identifier
// may be spent: what the client itself has failed is not known.
const rowShare = 10

// spend takes one failure from the identifier's budget if it is there, and
// reports when it will be, or false and the zero time if it never will.
func (b *budget) spend(limit FailureLimit, account string, a *acme.Authorization, now time.Time) (at time.Time, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	k := b.key(account, a.Identifier, a.Wildcard)
	v := b.bucket[k]
	if limit.Consecutive > 0 && int(v.inRow) >= max(limit.Consecutive/rowShare, 1) {
		return time.Time{}, false
	}
	step, n := limit.step(), seconds(now)
	// With Count tokens and one kept, Count-1 steps may be missing from a full bucket.
	most := step * uint32(max(limit.Count-1, 1))
	full := max(v.full, n) + step
	if missing := full - n; missing > most {
		if b.books {
			b.bucket[k] = bucket{full, v.inRow + 1}
		}
		return time.Unix(int64(full-most), 0), false
	}
	b.bucket[k] = bucket{full, v.inRow + 1}
	b.sweep(limit, n)
	return now, true
}

// charge notes failures of the past, and those that nobody asked about.
func (b *budget) charge(limit FailureLimit, account string, a *acme.Authorization, at time.Time, n int) {
	if limit.Count <= 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	k := b.key(account, a.Identifier, a.Wildcard)
	v := b.bucket[k]
	v.full = max(v.full, seconds(at)) + limit.step()*uint32(n)
	v.inRow += uint32(n)
	b.bucket[k] = v
}

// refund gives back a failure that did not happen: the validation succeeded,
// which also ends the row.
func (b *budget) refund(limit FailureLimit, account string, a *acme.Authorization) {
	b.mu.Lock()
	defer b.mu.Unlock()
	k := b.key(account, a.Identifier, a.Wildcard)
	if v, ok := b.bucket[k]; ok {
		b.bucket[k] = bucket{full: v.full - min(v.full, limit.step())}
	}
}

// sweep drops full buckets whenever there are twice as many as after the last
// time, unless there are rows to remember.
func (b *budget) sweep(limit FailureLimit, now uint32) {
	if limit.Consecutive > 0 || len(b.bucket) < max(2*b.swept, 4096) {
		return
	}
	maps.DeleteFunc(b.bucket, func(_ uint64, v bucket) bool { return v.full <= now })
	b.swept = len(b.bucket)
}

// copy is a budget to plan with.
func (b *budget) copy() *budget {
	b.mu.Lock()
	defer b.mu.Unlock()
	c := &budget{seed: b.seed, swept: b.swept}
	c.bucket = maps.Clone(b.bucket)
	return c
}

// step is how long one failure takes to come back, in seconds, rounded up.
func (l FailureLimit) step() uint32 {
	return uint32(math.Ceil(l.Window.Seconds() / float64(max(l.Count, 1))))
}

func seconds(t time.Time) uint32 {
	const most = math.MaxUint32 - 1<<28 // in 2097; some years are left for what is added
	return uint32(min(max(t.Add(time.Second-1).Unix(), 0), most))
}
