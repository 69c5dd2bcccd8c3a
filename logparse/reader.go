package logparse

import (
	"bytes"
	"io"
	"io/fs"
	"iter"
	"time"
)

// How events come out of a log.
//
//	files   in order of time; those of one log follow on each other           files.go
//	block   whole lines, and where the Scanner found authorizations in them   block.go
//	line    out of what carried it: syslog, the journal, Docker, colours      carrier.go
//	stream  the output of one process: its clock, run, account                stream.go
//	parser  what the lines of one client mean, a small file each              clients.go
//	exchange, for clients that log requests: what the CA answered             exchange.go
//
// Invariants:
//   - every URL that URLs finds in the text is in an event: what a parser does not understand, the Scanner reports.
//   - nothing depends on how the input arrives, nor on where a log is split into files.
//   - memory does not depend on the length of lines, records and logs: each buffer has a limit.

// A Reader reads events out of logs. The zero value is ready; its fields say what a log leaves open. It may be used by
// several goroutines at once.
type Reader struct {
	// Location is the zone of times that are logged without one. If nil, it is [time.Local]. Where a client logs the Date
	// of the CA's answers, that tells the zone instead.
	Location *time.Location

	// Now is when the logs were collected: a time without a year (syslog) is the last one that is not after it. If zero,
	// it is the time of the call.
	Now time.Time

	// Host returns the name of the host that a file is from, for lines that do not tell; the name is that of
	// [Place].File. If nil, such lines are from no host.
	Host func(file string) string
}

// Events yields what the log r says happened, in its order, read with the zero [Reader].
func Events(r io.Reader) iter.Seq2[Event, error] { return new(Reader).Events(r) }

// FileEvents yields what the logs in fsys say happened, read with the zero [Reader].
func FileEvents(fsys fs.FS, patterns ...string) iter.Seq2[Event, error] {
	return new(Reader).FileEvents(fsys, patterns...)
}

// Events yields what the log r says happened, in its order. The client is recognised by what it writes, and so is what
// carried its output; the package comment lists both. Lines of several processes may be mixed if each tells its own.
//
// Each URL that [URLs] finds in r is in an event, whether the client is known or not. Lines of an unknown shape are
// counted, see [LinesUnrecognized].
//
// A *[ReadError] is the last pair if reading fails. Events does not close r. The sequence reads r, so it can be ranged over
// once. Memory does not depend on the size of the log, but each distinct URL costs about 40 bytes.
func (x *Reader) Events(r io.Reader) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		t := x.newTeller(yield)
		if t.read("", r) {
			t.end()
		}
	}
}

// FileEvents yields what the logs in fsys say happened. Patterns, the order of files and errors are those of [Files].
// Files that rotation made of one log are read as one: what starts in one of them may end in the next.
func (x *Reader) FileEvents(fsys fs.FS, patterns ...string) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		names, err := match(fsys, patterns)
		if err != nil {
			yield(Event{}, err)
			return
		}
		t := x.newTeller(yield)
		for _, name := range names {
			if !t.readFile(fsys, name) {
				return
			}
		}
		t.end()
	}
}

// maxStreams is how many processes are kept apart at once. Beyond it the one that has been silent longest is taken to
// have ended.
const maxStreams = 1024

// A teller tells the events of one or more logs.
type teller struct {
	*Reader
	now     time.Time
	yield   func(Event, error) bool
	stopped bool // yield returned false, or an error was yielded

	file    string
	log     string // the name of the log that file is a part of
	host    string
	carrier unwrapper
	streams map[string]*stream
	count   int64 // of lines, to find the stream that has been silent longest
	known   seen  // the URLs in events

	// What is reused for each line.
	place    Place
	mentions []sighting
	scanner  Scanner
}

func (x *Reader) newTeller(yield func(Event, error) bool) *teller {
	t := &teller{Reader: x, now: x.Now, yield: yield, streams: make(map[string]*stream)}
	if t.now.IsZero() {
		t.now = time.Now()
	}
	t.carrier = unwrapper{now: t.now, loc: t.location()}
	return t
}

func (t *teller) location() *time.Location {
	if t.Location == nil {
		return time.Local
	}
	return t.Location
}

// readFile is read for a file.
func (t *teller) readFile(fsys fs.FS, name string) bool {
	f, err := fsys.Open(name)
	if err != nil {
		t.fail(&ReadError{Name: name, Err: reason(err)})
		return false
	}
	defer f.Close()
	return t.read(name, f)
}

// read tells the events in r. It reports whether the sequence may go on.
func (t *teller) read(name string, r io.Reader) bool {
	if log := parseName(name).log; log != t.log {
		t.end()
		t.log = log
	}
	t.file = name
	if t.host = ""; t.Host != nil {
		t.host = t.Host(name)
	}
	for b, err := range blocks(r) {
		if err != nil {
			e := err.(*ReadError)
			e.Name = name
			t.fail(e)
			return false
		}
		if t.block(b); t.stopped {
			return false
		}
	}
	return true
}

// fail ends the sequence with err, after what was read before.
func (t *teller) fail(err error) {
	if t.end(); !t.stopped {
		t.stopped = true
		t.yield(Event{}, err)
	}
}

// end tells what is left when a log ends.
func (t *teller) end() {
	t.carrier.end(t.payload)
	for _, s := range t.ordered() {
		s.end()
	}
	clear(t.streams)
}

// block tells the events of a block.
func (t *teller) block(b *block) {
	t.place = Place{File: t.file, Line: b.line, Offset: b.offset}
	rest, mentions := b.data, b.mentions
	for len(rest) > 0 && !t.stopped {
		n := bytes.IndexByte(rest, '\n')
		line, size := rest, len(rest)
		if n >= 0 {
			line, size = rest[:n], n+1
		}
		end := t.place.Offset + int64(size)
		k := 0
		for k < len(mentions) && mentions[k].offset < end {
			k++
		}
		t.mentions, mentions = mentions[:k], mentions[k:]
		t.carrier.unwrap(line, t.payload)
		t.place.Offset = end
		t.place.Line++
		rest = rest[size:]
	}
}

// payload hands a line to the stream that it belongs to.
func (t *teller) payload(p payload) {
	s := t.stream(p)
	if p.carried {
		t.mentions = t.scan(p.text)
	}
	s.feed(p)
}

// stream returns the stream of a payload.
func (t *teller) stream(p payload) *stream {
	t.count++
	s := t.streams[string(p.stream)]
	if s == nil {
		if len(t.streams) >= maxStreams {
			t.endSilent()
		}
		s = newStream(t, string(p.stream))
		t.streams[s.key] = s
	}
	s.last = t.count
	return s
}
