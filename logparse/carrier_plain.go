package logparse

import "time"

type payload struct {
	text       []byte
	time       time.Time
	host, unit string
	pid        int
	stream     []byte
	partial    bool
	carried    bool
}
type unwrapper struct {
	now time.Time
	loc *time.Location
}

func (u *unwrapper) unwrap(line []byte, yield func(payload)) {
	if n := len(line); n > 0 && line[n-1] == '\r' {
		line = line[:n-1]
	}
	yield(payload{text: line})
}
func (u *unwrapper) end(yield func(payload)) {}
