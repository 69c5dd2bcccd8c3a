package logparse

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"slices"
	"time"
)

// How a log is followed.
//
//	Read   the lines that were added go through the pieces, carriers, streams and parsers that a whole log does
//	kept   the text since From, as far as it fits
//	Pause, End  read what was kept once more, as a log that ends here
//
// Some records are told only when the next one starts: a parser cannot tell them twice, nor take its word back. So Pause does
// not ask the parsers that are at work, but others, from the start of the oldest run that has not ended.
//
// Invariants:
//   - what Read tells, over all calls, is what [Reader.Events] tells of the whole log before its end.
//   - kept is the text from a place not after From up to at, without a gap; it is empty if that would be more than maxKept.

// A Follower reads events out of a log that is still being written. What was read tells the same events in how many
// pieces so ever it comes. Make one with [Reader.Follow]; it must not be used by several goroutines at once. It holds a
// few MiB: the text of the runs that have not ended.
type Follower struct {
	reader *Reader
	teller *teller
	pieces pieceReader
	scan   Scanner
	piece  piece

	at    Place    // what is read next
	files []string // in the order of reading, from that of From on
	kept  []chunk
	size  int  // bytes of all that is kept
	gap   bool // too much was to be kept
	news  bool // something was read since the last Pause or End
	rest  bool // and since the last End
}

// A chunk is text of a log.
type chunk struct {
	at, end Place
	data    []byte
}

// maxKept bounds the text that is kept for Pause.
const maxKept = 8 << 20

// Follow returns a Follower of a log that is read from a place on: with its File, from Line 1 and Offset 0 if that is
// the start. It goes on where another Follower has stopped if at is what [Follower.From] returned there; some of the events
// come again then.
func (x *Reader) Follow(at Place) *Follower {
	at.Line = max(at.Line, 1)
	f := &Follower{reader: x, teller: x.newTeller(), at: at, files: []string{at.File}}
	f.open()
	return f
}

// Expect says whose output the log is at the place where the Follower starts: what [Follower.Client] returned where that place
// comes from. Not every line of a client tells that it is one. A client that is not known is ignored.
func (f *Follower) Expect(client string) {
	for i := range clients {
		if formatName(&clients[i]) == client {
			f.teller.expected = &clients[i]
			return
		}
	}
}

// Client returns whose output the log is where [Follower.From] is, for [Follower.Expect]: "certbot", or "lego 2" for a
// second form of lego's; "" if that is not known, or if the log is that of several processes.
func (f *Follower) Client() string {
	if s := f.teller.streams[""]; s != nil && s.writer != nil {
		return formatName(s.writer)
	}
	return ""
}

// formatName is the name of a client, and which of those that it writes a form is, if that is not the first.
func formatName(c *client) string {
	n := 1
	for i := range clients {
		if &clients[i] == c {
			break
		}
		if clients[i].name == c.name {
			n++
		}
	}
	if n == 1 {
		return c.name
	}
	return fmt.Sprintf("%s %d", c.name, n)
}

// open begins to read at f.at.
func (f *Follower) open() {
	f.pieces = pieceReader{line: f.at.Line, offset: f.at.Offset, err: io.EOF, scanner: &f.scan}
	f.teller.openFile(f.at.File)
}

// Read tells what the lines in data say, which follow on what was read before. They are whole lines: the caller keeps the
// start of one that is not complete yet, except at the end of a file that will not grow. Data is plain text, not
// compressed. The slice that is returned is valid until the next call, what is in it stays.
//
// For a log to which much is added at once, some 256 KiB at a time take least memory.
func (f *Follower) Read(data []byte) []Event {
	f.teller.events = f.teller.events[:0]
	f.keep(data)
	for len(data) > 0 {
		n := wholePiece(data)
		f.readPiece(data[:n])
		data = data[n:]
	}
	return f.teller.events
}

func (f *Follower) readPiece(data []byte) {
	f.news = true
	b := &f.piece
	b.data, b.offset, b.line, b.sightings = data, f.pieces.offset, f.pieces.line, b.sightings[:0]
	f.pieces.offset += int64(len(data))
	f.pieces.scan(b)
	f.teller.piece(b)
	b.data = nil // it is the caller's
	f.at.Line, f.at.Offset = f.pieces.line, f.pieces.offset
}

// wholePiece returns how much of data is looked at together: whole lines.
func wholePiece(data []byte) int {
	if len(data) <= pieceSize {
		return len(data)
	}
	if n := bytes.LastIndexByte(data[:pieceSize], '\n'); n >= 0 {
		return n + 1
	}
	long := data[:min(len(data), maxLine)]
	if n := bytes.IndexByte(long[pieceSize:], '\n'); n >= 0 {
		return pieceSize + n + 1
	}
	if len(data) > maxLine {
		return cutAt(long)
	}
	return len(data)
}

// Next says that the log goes on in another file, from its start: it was rotated. A line that has no end yet must have been
// read before.
func (f *Follower) Next(file string) {
	f.at = Place{File: file, Line: 1}
	f.files = append(f.files, file)
	f.open()
}

// At returns the place that is read next.
func (f *Follower) At() Place { return f.at }

// Pause tells what is known of the runs that have not ended, if nothing was added to the log for some seconds: records that may
// be complete, and by RunStopped the last line of each run. Some of the events have been told before. What the next line
// may change, such as whether a run has ended, is not told; nor are lines of an unknown shape. The slice is valid until
// the next call, what is in it stays.
//
// Of runs that have written more than 8 MiB only what Read tells is known.
func (f *Follower) Pause() []Event {
	if !f.news {
		return nil
	}
	f.news, f.rest = false, true
	return f.ending(true)
}

// End tells what [Reader.Events] tells at the end of a log, if nothing was added to it for so long that nothing will be which is
// of a run that has been told: ten minutes, say. Reading may go on. Otherwise it is as Pause.
func (f *Follower) End() []Event {
	if !f.news && !f.rest {
		return nil
	}
	f.news, f.rest = false, false
	return f.ending(false)
}

// ending tells what others know at the end of what was kept.
func (f *Follower) ending(goesOn bool) []Event {
	if len(f.kept) == 0 {
		return nil
	}
	from := f.From()
	again := f.reader.Follow(from)
	again.gap = true // keeps nothing
	again.Expect(f.Client())
	var events []Event
	for _, c := range f.kept {
		if f.before(c.end, from) {
			continue
		}
		if c.at.File != again.at.File {
			again.Next(c.at.File)
		}
		events = append(events, again.Read(c.from(from))...)
	}
	again.teller.events = again.teller.events[:0]
	again.teller.goesOn = goesOn
	again.teller.end()
	return append(events, again.teller.events...)
}

// keep keeps text for Pause, and forgets what is before From.
func (f *Follower) keep(data []byte) {
	from := f.From()
	f.forgetFiles(from.File)
	if f.gap {
		if from != f.at {
			return
		}
		f.gap = false // nothing is open: what comes now is all that is needed
	}
	for len(f.kept) > 0 && f.before(f.kept[0].end, from) {
		f.size -= len(f.kept[0].data)
		f.kept = slices.Delete(f.kept, 0, 1)
	}
	if f.size += len(data); f.size > maxKept {
		f.kept, f.size, f.gap = nil, 0, true
		return
	}
	for at := f.at; len(data) > 0; { // pieces are small, so that they can be forgotten
		n := wholePiece(data)
		c := chunk{at, at.after(data[:n]), bytes.Clone(data[:n])}
		f.kept, at, data = append(f.kept, c), c.end, data[n:]
	}
}

// from returns the text of a chunk that is not before a place.
func (c chunk) from(p Place) []byte {
	if c.at.File == p.File && c.at.Offset < p.Offset {
		return c.data[min(p.Offset-c.at.Offset, int64(len(c.data))):]
	}
	return c.data
}

// after returns the place behind some text.
func (p Place) after(text []byte) Place {
	p.Line += int64(bytes.Count(text, []byte{'\n'}))
	p.Offset += int64(len(text))
	return p
}

// before reports whether all before a place comes before another.
func (f *Follower) before(a, b Place) bool {
	return cmp.Or(cmp.Compare(slices.Index(f.files, a.File), slices.Index(f.files, b.File)), cmp.Compare(a.Offset, b.Offset)) <= 0
}

// forgetFiles forgets the files before one.
func (f *Follower) forgetFiles(file string) {
	if i := slices.Index(f.files, file); i > 0 {
		f.files = slices.Delete(f.files, 0, i)
	}
}

// silence is after how long a process that writes to a log among others is not waited for any more, by the times in the log.
const silence = 24 * time.Hour

// From returns the place from which the log must be read again, after a restart, to tell all of the runs that may go on: the start
// of the oldest one, or At if there is none. It may be in a file before that of At. A process that writes to a log among others
// and has been silent for a day is not waited for.
func (f *Follower) From() Place {
	from := f.at
	if t := f.teller; !t.carrier.idle() {
		from = f.earlier(from, t.record)
	}
	latest := f.latest()
	var done []*stream
	for _, s := range f.teller.streams {
		if s.key != "" && (s.run.ended || !latest.IsZero() && latest.Sub(s.clock.now()) > silence) {
			done = append(done, s)
			continue
		}
		from = f.earlier(from, s.from())
	}
	// Half a run that is over would be taken for another one: either all of it is read again, or nothing.
	slices.SortFunc(done, func(a, b *stream) int { return cmp.Compare(b.last, a.last) })
	for _, s := range done {
		if f.before(from, s.at) {
			from = f.earlier(from, s.from())
		}
	}
	return from
}

// earlier returns the earlier of two places, the second of which may be none, or forgotten.
func (f *Follower) earlier(a, b Place) Place {
	if b.Line > 0 && slices.Contains(f.files, b.File) && f.before(b, a) {
		return b
	}
	return a
}

// latest is the last time that any process has written.
func (f *Follower) latest() (latest time.Time) {
	for _, s := range f.teller.streams {
		if t := s.clock.now(); t.After(latest) {
			latest = t
		}
	}
	return latest
}

// from is where the oldest run that may go on starts, or the record that is not complete; zero if there is neither.
func (s *stream) from() Place {
	from := s.opened
	if s.run.place.Line > 0 {
		from = s.run.place
	}
	if k, ok := s.parser.(runKeeper); ok {
		from = k.from(s, from)
	}
	return from
}

// A runKeeper is a parser that knows of runs besides the stream's.
type runKeeper interface {
	// from returns where the oldest of them that may go on starts, or p if it is none.
	from(s *stream, p Place) Place
}
