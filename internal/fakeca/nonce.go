package fakeca

import (
	"crypto/rand"
	"encoding/base64"
	mathrand "math/rand/v2"
	"sync"
)

// nonces hands out nonces and takes each back once. The zero value is ready.
type nonces struct {
	mu   sync.Mutex
	live map[string]struct{}
	used int // good nonces taken back
	bad  int // which of the next ones is refused
}

// make hands out a nonce.
func (n *nonces) make() string {
	var random [12]byte
	_, _ = rand.Read(random[:]) // never fails
	nonce := base64.RawURLEncoding.EncodeToString(random[:])
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.live == nil {
		n.live = map[string]struct{}{}
	}
	n.live[nonce] = struct{}{}
	return nonce
}

// take uses up a nonce. It reports whether the nonce was good, and of badEvery
// good ones says of one that it was not. Which one is left to chance: workers
// that take turns would otherwise send the same request at every n-th place.
func (n *nonces) take(nonce string, badEvery int) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if _, ok := n.live[nonce]; !ok {
		return false
	}
	delete(n.live, nonce)
	if badEvery == 0 {
		return true
	}
	if n.used%badEvery == 0 {
		n.bad = n.used + mathrand.IntN(badEvery)
	}
	n.used++
	return n.used-1 != n.bad
}
