package logparse

import (
	"time"
)

// A clock reads the times in a log. Many clients log local time without its zone; where they also log the Date of a CA's
// answer, the difference tells it.
type clock struct {
	loc    *time.Location
	zone   *time.Location // as told by a Date
	outer  time.Time      // what the carrier wrote with the line at hand
	last   instant
	cached time.Time // last as a time, if ready
	ready  bool
	dated  bool // last is from a Date, as nothing else tells the time

	second []byte    // the last stamp, up to the second
	start  time.Time // of that second
}

// An instant is a time as it was logged: if local, UTC stands for the zone that was not.
type instant struct {
	wall  time.Time
	local bool
}

// set makes t, which names its zone, the time of the line at hand.
func (c *clock) set(t time.Time) { c.last, c.ready, c.dated = instant{wall: t}, false, false }

// setLocal does so for a time without a zone, which is given in UTC.
func (c *clock) setLocal(t time.Time) {
	c.last, c.ready, c.dated = instant{t, true}, false, false
	if !c.outer.IsZero() {
		c.date(c.outer)
	}
}

// setStamp makes the time that b starts with, in a layout of [stamp] without zone, the time of the line at hand. It reports
// false if there is none.
func (c *clock) setStamp(b []byte, layout string) bool {
	// Many lines are of one second, and differ in the fraction only.
	const second, milli = len("0000-00-00 00:00:00"), len("0000-00-00 00:00:00,000")
	if layout == certbotStamp && len(c.second) == second && len(b) >= milli && string(b[:second]) == string(c.second) {
		if ms, ok := digits(b[second+1 : milli]); ok && b[second] == ',' {
			c.setLocal(c.start.Add(time.Duration(ms) * time.Millisecond))
			return true
		}
	}
	t, ok := stamp(b, layout)
	if ok {
		c.setLocal(t)
		c.second, c.start = append(c.second[:0], b[:second]...), t.Truncate(time.Second)
	}
	return ok
}

// carried makes t, which a carrier wrote, the time of the line at hand, unless the client writes its own.
func (c *clock) carried(t time.Time) {
	c.set(t)
	c.outer = t
}

// instant returns the time of the line at hand as logged.
func (c *clock) instant() instant { return c.last }

// recall makes an instant the time of what is told next.
func (c *clock) recall(i instant) { c.last, c.ready = i, false }

// now returns the time of the line at hand.
func (c *clock) now() time.Time {
	if !c.ready {
		c.cached, c.ready = c.time(c.last), true
	}
	return c.cached
}

// time returns the time of an instant, in UTC.
func (c *clock) time(i instant) time.Time {
	if !i.local || i.wall.IsZero() {
		return i.wall.UTC()
	}
	zone := c.zone
	if zone == nil {
		zone = c.loc
	}
	w := i.wall
	return time.Date(w.Year(), w.Month(), w.Day(), w.Hour(), w.Minute(), w.Second(), w.Nanosecond(), zone).UTC()
}

// quarter is what offsets from UTC are multiples of; maxOffset is the largest.
const (
	quarter   = 15 * time.Minute
	maxOffset = 14 * time.Hour
)

// date takes a Date that was received at the time of the line at hand. It tells the zone if the difference is one that
// zones have, give or take a minute; and the time, if nothing else does.
func (c *clock) date(d time.Time) {
	if c.dated || c.last.wall.IsZero() {
		c.set(d)
		c.dated = true
		return
	}
	if !c.last.local {
		return
	}
	offset := c.last.wall.Sub(d)
	zone := offset.Round(quarter)
	if (offset-zone).Abs() > time.Minute || zone.Abs() > maxOffset {
		return
	}
	if c.zone != nil {
		if _, have := d.In(c.zone).Zone(); have == int(zone/time.Second) {
			return
		}
	}
	c.zone, c.ready = time.FixedZone("", int(zone/time.Second)), false
}

// restart forgets a time that only the Date of an answer told: another run starts.
func (c *clock) restart() {
	if c.dated {
		c.set(time.Time{})
	}
}

// digits reads the decimal number that b is.
func digits(b []byte) (n int, ok bool) {
	for _, c := range b {
		if c < '0' || c > '9' || n > 1e9 {
			return 0, false
		}
		n = 10*n + int(c-'0')
	}
	return n, len(b) > 0
}

// stamp reads a time that looks like layout, where each digit stands for one and every other byte for itself: the
// fields are year, month, day, hour, minute, second, and a fraction of a second, in this order.
//
//	"0000-00-00 00:00:00,000"
func stamp(b []byte, layout string) (time.Time, bool) {
	if len(b) < len(layout) {
		return time.Time{}, false
	}
	var fields [7]int
	field, fraction := 0, 1
	for i := range len(layout) {
		c := b[i]
		if layout[i] != '0' {
			if c != layout[i] {
				return time.Time{}, false
			}
			field++
			continue
		}
		if c < '0' || c > '9' || field >= len(fields) {
			return time.Time{}, false
		}
		fields[field] = 10*fields[field] + int(c-'0')
		if field == len(fields)-1 {
			fraction *= 10
		}
	}
	if fields[1] < 1 || fields[1] > 12 || fields[2] < 1 || fields[2] > 31 {
		return time.Time{}, false
	}
	return time.Date(fields[0], time.Month(fields[1]), fields[2], fields[3], fields[4], fields[5],
		fields[6]*int(time.Second)/fraction, time.UTC), true
}
