package authz

import (
	"hash/maphash"
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
// again, and its failures in a row: 10 bytes in a table of its own, so that a
// million of them, which a map would not, fit into what a run may take.
type budget struct {
	mu      sync.Mutex
	seed    maphash.Seed
	buckets *buckets // nil before the first is used
	books   bool     // spend takes what is not there yet: the plan is to wait for it
}

// A bucket's times are in Unix seconds, rounded up.
type bucket struct {
	full  uint32 // when it is full again
	inRow uint16 // failures without a success between them
}

// key tells identifiers apart. Two that collide share a bucket, which spends
// less, never more.
func (b *budget) key(account string, id acme.AuthzID, wildcard bool) uint32 {
	if b.buckets == nil {
		b.seed, b.buckets = maphash.MakeSeed(), new(buckets)
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
	return uint32(h.Sum64()>>32) | 1 // 0 is an empty slot
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
	v := b.buckets.get(k)
	if limit.Consecutive > 0 && int(v.inRow) >= max(limit.Consecutive/rowShare, 1) {
		return time.Time{}, false
	}
	step, n := limit.step(), seconds(now)
	// With Count tokens and one kept, Count-1 steps may be missing from a full bucket.
	most := step * uint32(max(limit.Count-1, 1))
	full := max(v.full, n) + step
	if missing := full - n; missing > most {
		if b.books {
			b.buckets.set(k, bucket{full, v.inRow + 1})
		}
		return time.Unix(int64(full-most), 0), false
	}
	b.buckets.set(k, bucket{full, v.inRow + 1})
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
	v := b.buckets.get(k)
	v.full = max(v.full, seconds(at)) + limit.step()*uint32(n)
	v.inRow = uint16(min(int(v.inRow)+n, math.MaxUint16))
	b.buckets.set(k, v)
}

// refund gives back a failure that did not happen: the validation succeeded,
// which also ends the row.
func (b *budget) refund(limit FailureLimit, account string, a *acme.Authorization) {
	b.mu.Lock()
	defer b.mu.Unlock()
	k := b.key(account, a.Identifier, a.Wildcard)
	if v := b.buckets.get(k); v.full > 0 {
		b.buckets.set(k, bucket{full: v.full - min(v.full-1, limit.step())})
	}
}

// step is how long one failure takes to come back, in seconds, rounded up.
func (l FailureLimit) step() uint32 {
	return uint32(math.Ceil(l.Window.Seconds() / float64(max(l.Count, 1))))
}

func seconds(t time.Time) uint32 {
	const most = math.MaxUint32 - 1<<28 // in 2097; some years are left for what is added
	return uint32(min(max(t.Add(time.Second-1).Unix(), 0), most))
}

// buckets is a hash table in parts that grow one by one, so that growing takes
// little room. The zero value is empty.
type buckets [256]part

func (t *buckets) part(hash uint32) *part { return &t[hash>>24] }

// get is a hash's bucket; the zero one is full.
func (t *buckets) get(hash uint32) bucket { return t.part(hash).get(hash) }

func (t *buckets) set(hash uint32, b bucket) { t.part(hash).set(hash, b) }

// A part is a hash table with linear probing, from which nothing is removed.
type part struct {
	hashes []uint32 // 0 is an empty slot; their number is a power of two
	full   []uint32
	inRow  []uint16
	used   int
}

// slot is where a hash is, or would be. There must be room for one more.
func (p *part) slot(hash uint32) int {
	mask := len(p.hashes) - 1
	for i := int(hash>>1) & mask; ; i = (i + 1) & mask {
		if p.hashes[i] == hash || p.hashes[i] == 0 {
			return i
		}
	}
}

func (p *part) get(hash uint32) bucket {
	if p.used == 0 {
		return bucket{}
	}
	i := p.slot(hash)
	return bucket{p.full[i], p.inRow[i]}
}

func (p *part) set(hash uint32, b bucket) {
	if p.used >= len(p.hashes)*7/8 {
		p.grow()
	}
	i := p.slot(hash)
	if p.hashes[i] == 0 {
		p.hashes[i] = hash
		p.used++
	}
	p.full[i], p.inRow[i] = b.full, b.inRow
}

func (p *part) grow() {
	old, n := *p, max(2*len(p.hashes), 8)
	*p = part{hashes: make([]uint32, n), full: make([]uint32, n), inRow: make([]uint16, n)}
	for i, h := range old.hashes {
		if h != 0 {
			p.set(h, bucket{old.full[i], old.inRow[i]})
		}
	}
}
