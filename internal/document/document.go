// Package document has what the JSON documents and rows for machines are made of.
package document

import "time"

// A Time is RFC 3339 in JSON, in UTC, and null if it is not known.
type Time struct{ time.Time }

// At is a time as documents have it.
func At(t time.Time) Time { return Time{t} }

// MarshalJSON writes it.
func (t Time) MarshalJSON() ([]byte, error) {
	if t.IsZero() {
		return []byte("null"), nil
	}
	return []byte(t.UTC().Format(`"` + time.RFC3339Nano + `"`)), nil
}

// String is the time as CSV has it: empty if it is not known.
func (t Time) String() string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}

// List makes a list of another. It is never nil, as an empty list in JSON is [].
func List[A, B any](all []A, f func(A) B) []B {
	list := make([]B, 0, len(all))
	for _, a := range all {
		list = append(list, f(a))
	}
	return list
}
