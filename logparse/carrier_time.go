package logparse

import (
	"strconv"
	"time"
)

// isoLength is the length of "2026-11-23T21:08:23".
const isoLength = len("2026-11-23T21:08:23")

// isDigit reports whether c is a decimal digit.
func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// twoDigits reads the number of two digits at the start of b, the first of which may be a blank. It returns -1 if there
// is none.
func twoDigits(b []byte) int {
	if !isDigit(b[1]) || !isDigit(b[0]) && b[0] != ' ' {
		return -1
	}
	n := int(b[1] - '0')
	if b[0] != ' ' {
		n += 10 * int(b[0]-'0')
	}
	return n
}

// isoShape reports whether b starts like "2026-11-23T21:08:23", with separator for the T.
func isoShape(b []byte, separator byte) bool {
	return len(b) >= isoLength && b[4] == '-' && b[7] == '-' && b[10] == separator && b[13] == ':' && b[16] == ':' &&
		isDigit(b[0]) && isDigit(b[1]) && isDigit(b[2]) && isDigit(b[3])
}

// A wallTime is a time of day on a day, in no zone.
type wallTime struct {
	year, month, day, hour, minute, second, nanosecond int
}

// in returns the time in a zone.
func (w wallTime) in(loc *time.Location) time.Time {
	return time.Date(w.year, time.Month(w.month), w.day, w.hour, w.minute, w.second, w.nanosecond, loc)
}

// valid reports whether there is such a time. A leap second is one.
func (w wallTime) valid() bool {
	return w.month >= 1 && w.month <= 12 && w.day >= 1 && w.day <= 31 && w.hour >= 0 && w.hour <= 23 &&
		w.minute >= 0 && w.minute <= 59 && w.second >= 0 && w.second <= 60
}

// isoWall reads the time that b starts with, of which isoShape holds, and its fraction. It returns the length of both and
// how many digits the fraction has.
func isoWall(b []byte) (w wallTime, n, fraction int, ok bool) {
	w = wallTime{
		year:  100*twoDigits(b) + twoDigits(b[2:]),
		month: twoDigits(b[5:]), day: twoDigits(b[8:]),
		hour: twoDigits(b[11:]), minute: twoDigits(b[14:]), second: twoDigits(b[17:]),
	}
	if !w.valid() {
		return w, 0, 0, false
	}
	w.nanosecond, fraction = fractionOf(b[isoLength:])
	n = isoLength
	if fraction > 0 {
		n += 1 + fraction
	}
	return w, n, fraction, true
}

// fractionOf reads the fraction of a second that b starts with, and returns how many digits it has: none if there is no
// fraction, or one of more than nine digits.
func fractionOf(b []byte) (nanosecond, digits int) {
	if len(b) < 2 || b[0] != '.' && b[0] != ',' {
		return 0, 0
	}
	for _, c := range b[1:] {
		if !isDigit(c) {
			break
		}
		if digits == 9 {
			return 0, 0
		}
		nanosecond = 10*nanosecond + int(c-'0')
		digits++
	}
	for range 9 - digits {
		nanosecond *= 10
	}
	return nanosecond, digits
}

// offsetOf reads the offset from UTC that b starts with: Z, +01:00, or +0100 as journalctl writes it. It returns 0 for n
// if there is none.
func offsetOf(b []byte) (offset time.Duration, n int) {
	if len(b) > 0 && b[0] == 'Z' {
		return 0, 1
	}
	if len(b) < 5 || b[0] != '+' && b[0] != '-' {
		return 0, 0
	}
	minutes, n := b[3:], len("+0100")
	if b[3] == ':' {
		minutes, n = b[4:], len("+01:00")
	}
	if len(minutes) < 2 || !isDigit(b[1]) || !isDigit(minutes[0]) {
		return 0, 0
	}
	h, m := twoDigits(b[1:]), twoDigits(minutes)
	if h < 0 || m < 0 || h > 24 || m > 59 {
		return 0, 0
	}
	offset = time.Duration(h)*time.Hour + time.Duration(m)*time.Minute
	if b[0] == '-' {
		offset = -offset
	}
	return offset, n
}

// rfc3339 reads the time of RFC 3339 that b starts with. It returns the length of it, 0 if there is none, and how many
// digits the fraction has.
func rfc3339(b []byte) (t time.Time, n, fraction int) {
	if !isoShape(b, 'T') {
		return t, 0, 0
	}
	w, n, fraction, ok := isoWall(b)
	if !ok {
		return t, 0, 0
	}
	offset, m := offsetOf(b[n:])
	if m == 0 {
		return t, 0, 0
	}
	return w.in(time.UTC).Add(-offset), n + m, fraction
}

// anyTime reads a time out of JSON: RFC 3339, or seconds, milliseconds, microseconds or nanoseconds since 1970, of which
// only the right ones are in living memory. It returns the zero time for anything else.
func anyTime(b []byte) time.Time {
	if t, n, _ := rfc3339(b); n > 0 && n == len(b) {
		return t
	}
	whole := 0
	for whole < len(b) && isDigit(b[whole]) {
		whole++
	}
	if whole < 9 || whole > 19 {
		return time.Time{}
	}
	n, err := strconv.ParseInt(string(b[:whole]), 10, 64)
	if err != nil {
		return time.Time{}
	}
	switch {
	case whole > 17:
		return time.Unix(0, n).UTC()
	case whole > 14:
		return time.UnixMicro(n).UTC()
	case whole > 11:
		return time.UnixMilli(n).UTC()
	}
	nanosecond, _ := fractionOf(b[whole:])
	return time.Unix(n, int64(nanosecond)).UTC()
}

// A yearless is a time without a year, as syslog writes it, and what it means. The lines of a log share it second by
// second.
type yearless struct {
	text [len("Nov 23 21:08:23")]byte
	time time.Time
}

// yearOf returns the last time that w, whose year is unknown, can mean. Clocks differ, so that may be up to a day after
// now. It is zero if there is no such day.
func (u *unwrapper) yearOf(w wallTime) time.Time {
	if u.now.IsZero() {
		u.now = time.Now()
	}
	latest := u.now.Add(24 * time.Hour)
	// A 29 February may be eight years ago.
	for w.year = latest.In(u.zone()).Year(); w.year > latest.Year()-9; w.year-- {
		t := w.in(u.zone())
		if t.Day() == w.day && !t.After(latest) {
			return t.UTC()
		}
	}
	return time.Time{}
}

// zone returns the zone of times without one.
func (u *unwrapper) zone() *time.Location {
	if u.loc == nil {
		return time.Local
	}
	return u.loc
}
