package fakeca

import (
	"crypto/rand"
	"encoding/base64"
	"sync"
)

// nonces hands out nonces and takes each back once. The zero value is ready.
type nonces struct {
	mu   sync.Mutex
	live map[string]struct{}
	used int // good nonces taken back
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

// take uses up a nonce. It reports whether the nonce was good, and every badEvery-th time says it was not.
func (n *nonces) take(nonce string, badEvery int) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if _, ok := n.live[nonce]; !ok {
		return false
	}
	delete(n.live, nonce)
	n.used++
	return badEvery == 0 || n.used%badEvery != 0
}
