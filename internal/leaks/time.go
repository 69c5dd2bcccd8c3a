package leaks

import "time"

// timeForms are how ParseTime may find a time written; those without a zone are local.
var timeForms = []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02 15:04", time.DateOnly}

// TimeForms says how people may write a time that a report is to be as of.
const TimeForms = `2026-11-23T20:00:00Z, "2026-11-23 20:00" or 2026-11-23`

// ParseTime reads the time that a report is to be as of, as people write it; without
// a zone it is of the location.
func ParseTime(s string, location *time.Location) (at time.Time, ok bool) {
	for _, form := range timeForms {
		if at, err := time.ParseInLocation(form, s, location); err == nil {
			return at, true
		}
	}
	return time.Time{}, false
}
