package authz

import (
	"context"
	"math"
	"time"
)

// A window lets so many requests through in any span of its length, and not
// one more, whatever held them up before: it remembers when each was let
// through. A token bucket would make up for a stall with a burst, and be over
// the CA's limit.
type window struct {
	length time.Duration
	gap    time.Duration // between two requests, if nothing holds them up

	turn chan struct{} // holds the right to use the rest
	sent []time.Time   // a ring
	next int           // the oldest
	due  time.Time     // when the next one is
}

// newWindow allows a little less than the rate: requests may take different
// times on their way.
func newWindow(r Rate) *window {
	n := max(int(math.Floor(r.PerSecond)), 1)
	length := time.Duration(float64(n) / r.PerSecond * float64(time.Second))
	w := &window{
		length: length + length/80,
		gap:    (length + length/80) / time.Duration(n),
		sent:   make([]time.Time, n),
		turn:   make(chan struct{}, 1),
	}
	w.turn <- struct{}{}
	return w
}

// Wait returns when a request may be sent, at once.
func (w *window) Wait(ctx context.Context) error {
	select {
	case <-w.turn:
		defer func() { w.turn <- struct{}{} }()
	case <-ctx.Done():
		return ctx.Err()
	}
	for {
		pause := w.pause(time.Now())
		if pause <= 0 {
			return ctx.Err()
		}
		if err := sleep(ctx, pause); err != nil {
			return err
		}
	}
}

// catchUp is how far the requests may be behind and make up for it.
const catchUp = 50 * time.Millisecond

// pause is how long to wait, or zero if a request is let through now.
func (w *window) pause(now time.Time) time.Duration {
	allowed := now
	if oldest := w.sent[w.next]; !oldest.IsZero() {
		allowed = oldest.Add(w.length)
	}
	if pause := max(allowed.Sub(now), w.due.Sub(now)); pause > 0 {
		return pause
	}
	switch late := now.Add(-catchUp); {
	case w.due.IsZero():
		w.due = now
	case w.due.Before(late):
		w.due = late
	}
	w.due = w.due.Add(w.gap)
	w.sent[w.next] = now
	w.next = (w.next + 1) % len(w.sent)
	return 0
}
