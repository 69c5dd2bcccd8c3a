package logparse

import (
	"io"
	"io/fs"
	"iter"
	"time"
)

// How events come out of a log.
//
//	files   in order of time; those of one log follow on each other           files.go
//	piece   whole lines, and where the Scanner found authorizations in them   piece.go
//	line    out of what carried it: syslog, the journal, Docker, colours      carrier.go
//	stream  the output of one process: its clock, run, account                stream.go
//	parser  what the lines of one client mean, a small file each              clients.go
//	exchange  for clients that log requests: what the CA answered             exchange.go
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
// counted, see [LinesUnrecognized]. An event comes when the record that tells it is complete, which for some clients is
// when the next one starts.
//
// A *[ReadError] is the last pair if reading fails. Events does not close r. The sequence reads r, so it can be ranged over
// once. Memory does not depend on the size of the log, but each distinct URL costs about 40 bytes.
func (x *Reader) Events(r io.Reader) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		p := x.start(yield)
		defer p.stop()
		if p.read("", r) {
			p.end()
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
		p := x.start(yield)
		defer p.stop()
		for _, name := range names {
			if !p.readFile(fsys, name) {
				return
			}
		}
		p.end()
	}
}

// A pipeline reads logs in the goroutine that ranges over it, and has a worker find the events meanwhile.
//
// Invariants:
//   - jobs come back in the order in which they were sent; busy of them have not come back, at most depth.
//   - nothing is read from a source that may block while an event that is known has not been yielded.
//   - the worker only computes: stop does not wait for anything else.
type pipeline struct {
	yield   func(Event, error) bool
	stopped bool // yield returned false, or an error was yielded

	jobs, done chan *job
	free       []*job
	busy       int

	scanner Scanner
	log     string // the name of the log that the last file is a part of
}

// A job is a piece of a log, and then the events in it.
type job struct {
	piece
	file   string
	ends   bool // the log before ends here
	events []Event
}

// clear makes the piece empty: a job keeps that of its last time.
func (j *job) clear() { j.data, j.lines, j.sightings = nil, nil, nil }

// depth is how many jobs are on the way at most.
const depth = 4

// start starts a pipeline. It must be stopped.
func (x *Reader) start(yield func(Event, error) bool) *pipeline {
	p := &pipeline{yield: yield, jobs: make(chan *job, depth), done: make(chan *job, depth)}
	for range depth {
		p.free = append(p.free, new(job))
	}
	t := x.newTeller()
	go func() {
		defer close(p.done)
		for j := range p.jobs {
			t.do(j)
			p.done <- j
		}
	}()
	return p
}

// stop stops the worker and waits for it.
func (p *pipeline) stop() {
	close(p.jobs)
	for range p.done {
	}
}

// readFile is read for a file.
func (p *pipeline) readFile(fsys fs.FS, name string) bool {
	f, err := fsys.Open(name)
	if err != nil {
		return p.fail(&ReadError{Name: name, Err: reason(err)})
	}
	defer f.Close()
	return p.read(name, f)
}

// read yields the events in r. It reports whether the sequence may go on.
func (p *pipeline) read(name string, r io.Reader) bool {
	ends := false
	if log := parseName(name).log; log != p.log {
		p.log, ends = log, true
		p.scanner = Scanner{}
	}
	plain := newDecompressor(r)
	defer plain.Close()
	pieces := pieceReader{r: plain, line: 1, scanner: &p.scanner}
	prompt := isPrompt(r)
	for !p.stopped {
		j := p.take(prompt || pieces.full)
		if j == nil {
			break
		}
		j.file, j.ends = name, ends
		if !pieces.next(&j.piece) {
			if !ends {
				p.free = append(p.free, j)
				break
			}
			j.clear()
		}
		ends = false
		p.send(j)
	}
	if pieces.err != nil && pieces.err != io.EOF {
		return p.fail(&ReadError{Name: name, Offset: plain.offset, Err: pieces.err})
	}
	return !p.stopped
}

// isPrompt reports whether reading from r does not wait for anybody to write.
func isPrompt(r io.Reader) bool {
	if f, ok := r.(interface{ Stat() (fs.FileInfo, error) }); ok {
		info, err := f.Stat()
		return err == nil && info.Mode().IsRegular()
	}
	_, ok := r.(interface{ Len() int }) // package bytes, package strings
	return ok
}

// take returns a job that is free, after yielding what has come back: all that is on the way, unless ahead is set. It
// returns nil if the sequence is to stop.
func (p *pipeline) take(ahead bool) *job {
	for p.busy > 0 && !p.stopped {
		if ahead && len(p.free) > 0 {
			select {
			case j := <-p.done:
				p.tell(j)
				continue
			default:
			}
			break
		}
		p.tell(<-p.done)
	}
	if p.stopped {
		return nil
	}
	n := len(p.free) - 1
	j := p.free[n]
	p.free = p.free[:n]
	return j
}

// send gives a job to the worker.
func (p *pipeline) send(j *job) {
	p.busy++
	p.jobs <- j
}

// tell yields the events of a job that has come back.
func (p *pipeline) tell(j *job) {
	p.busy--
	for i := range j.events {
		if !p.stopped && !p.yield(j.events[i], nil) {
			p.stopped = true
		}
	}
	clear(j.events)
	p.free = append(p.free, j)
}

// end yields what is left when the last log ends.
func (p *pipeline) end() {
	if j := p.take(false); j != nil {
		j.clear()
		j.ends = true
		p.send(j)
		p.take(false)
	}
}

// fail ends the sequence with err, after what was read before.
func (p *pipeline) fail(err error) bool {
	if p.end(); !p.stopped {
		p.stopped = true
		p.yield(Event{}, err)
	}
	return false
}

// maxStreams is how many processes are kept apart at once. Beyond it those that have been silent longest are taken to have
// ended.
const maxStreams = 1024

// A teller finds the events in logs.
type teller struct {
	*Reader
	now    time.Time
	events []Event

	file     string
	host     string
	carrier  unwrapper
	streams  map[string]*stream
	current  *stream // the one of the last line
	count    int64   // of lines, to find the stream that has been silent longest
	known    seen    // the URLs in events
	elements index   // canonical forms of URLs that orders list
	record   Place   // of the last line that began something
	expected *client // that writes, unless lines say otherwise; nil if nobody knows
	goesOn   bool    // the end is not that of the log: it tells of nothing that what follows may change

	// What is reused for each line.
	place     Place
	sightings []sighting
	scanner   Scanner
}

func (x *Reader) newTeller() *teller {
	t := &teller{Reader: x, now: x.Now, streams: make(map[string]*stream)}
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

// do does a job.
func (t *teller) do(j *job) {
	t.events = j.events[:0]
	if j.ends {
		t.end()
	}
	if t.file != j.file || t.host == "" {
		t.openFile(j.file)
	}
	t.piece(&j.piece)
	j.events, t.events = t.events, nil
}

// openFile notes that what follows is from a file.
func (t *teller) openFile(file string) {
	t.file, t.host = file, ""
	if t.Host != nil {
		t.host = t.Host(file)
	}
}

// end tells what is left when a log ends.
func (t *teller) end() {
	t.carrier.end(t.payload)
	for _, s := range t.ordered() {
		s.end()
	}
	clear(t.streams)
	t.current = nil
}

// piece tells the events of a piece.
func (t *teller) piece(b *piece) {
	t.place = Place{File: t.file, Line: b.line, Offset: b.offset}
	sightings, start := b.sightings, 0
	for _, l := range b.lines {
		line, next := b.data[start:l.end], min(int(l.end)+1, len(b.data))
		end := b.offset + int64(next)
		k := 0
		for k < len(sightings) && sightings[k].offset < end {
			k++
		}
		t.sightings, sightings = sightings[:k], sightings[k:]
		idle := t.carrier.idle()
		if idle {
			t.record = t.place
		}
		if l.plain && idle {
			t.payload(payload{text: line})
		} else {
			t.carrier.unwrap(line, t.payload)
		}
		t.place.Offset = end
		t.place.Line++
		start = next
	}
}

// payload hands a line to the stream that it belongs to.
func (t *teller) payload(p payload) {
	s := t.stream(p.stream)
	if p.carried {
		t.sightings = t.scan(p.text)
	}
	s.feed(&p)
}

// stream returns the stream with a key.
func (t *teller) stream(key []byte) *stream {
	t.count++
	s := t.current
	if s == nil || s.key != string(key) {
		if s = t.streams[string(key)]; s == nil {
			if len(t.streams) >= maxStreams {
				t.endSilent()
			}
			s = newStream(t, string(key))
			t.streams[s.key] = s
		}
		t.current = s
	}
	s.last = t.count
	return s
}
