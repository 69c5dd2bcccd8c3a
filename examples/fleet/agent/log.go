package agent

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"time"

	"github.com/acmeauthz/acmeauthz/examples/fleet/wire"
	"github.com/acmeauthz/acmeauthz/logparse"
)

// How a log is followed.
//
// The generations of a log are read one after the other, by a Follower for which they are one text. A generation that is not
// the last is read to its end, then the next one starts. What comes into an earlier one after that, as a client had it still
// open, is read by a Follower of its own.
//
// Invariants:
//   - generations are in the order in which they are read; current is the one that is being read.
//   - read is how far a generation was read; what is before it was told, or is told again from from on.

// A generation is a file of a log, whatever it is called at present.
type generation struct {
	Head   head   `json:"head"`
	Number uint64 `json:"number"`
	Read   int64  `json:"read"`
	Line   int64  `json:"line"`
	Stamp  stamp  `json:"stamp"`            // of the file when it was recognised
	Packed bool   `json:"packed,omitempty"` // the file is compressed
	Whole  bool   `json:"whole,omitempty"`  // and was read to its end

	path string // where it is now; empty if it is gone
}

// A savedLog is what the state has of a log.
type savedLog struct {
	Generations []*generation  `json:"generations"`
	From        logparse.Place `json:"from"`
	Client      string         `json:"client,omitempty"`
	Hashes      []savedTelling `json:"told,omitempty"`
}

// A savedTelling is an event that was told, and where its run starts: in which generation, at which offset.
type savedTelling struct {
	Hash       uint64 `json:"h"`
	Generation int    `json:"g"`
	Offset     int64  `json:"o"`
}

// A log is one that is followed.
type log struct {
	agent       *Agent
	path        string
	generations []*generation
	current     *generation
	follower    *logparse.Follower
	told        tellings
	unread      int64
	changed     time.Time // when something was added
	paused      bool
	ended       bool
	problem     string
	warned      string

	// After a restart, reading begins again at from, and what is before the positions is told only if it was not.
	from   logparse.Place
	client string
	again  bool
}

func newLog(a *Agent, path string) *log { return &log{agent: a, path: path} }

func restoreLog(a *Agent, path string, s savedLog) *log {
	l := newLog(a, path)
	if slices.ContainsFunc(s.Generations, func(g *generation) bool { return g == nil || g.Read < 0 || g.Line < 1 || g.Head.Length < 0 }) {
		return l // it is damaged: everything is read again
	}
	l.generations, l.from, l.client = s.Generations, s.From, s.Client
	l.again = len(s.Generations) > 0
	for _, h := range s.Hashes {
		if l.told.hashes == nil {
			l.told.hashes = make(map[uint64]origin)
		}
		if h.Generation >= 0 && h.Generation < len(l.generations) {
			l.told.hashes[h.Hash] = origin{l.name(l.generations[h.Generation]), h.Offset}
		}
	}
	return l
}

func (l *log) save() savedLog {
	s := savedLog{Generations: l.generations, From: l.from, Client: l.client}
	if l.follower != nil {
		s.From, s.Client = l.follower.From(), l.follower.Client()
		l.told.forget(s.From, l.order())
	}
	order := l.order()
	for h, o := range l.told.hashes {
		s.Hashes = append(s.Hashes, savedTelling{h, order[o.file], o.offset})
	}
	return s
}

// order is the place of each generation among all, by the name that it has in events.
func (l *log) order() map[string]int {
	order := make(map[string]int, len(l.generations))
	for i, g := range l.generations {
		order[l.name(g)] = i
	}
	return order
}

func (l *log) name(g *generation) string { return wire.FileName(l.agent.config.Host, l.path, g.Number) }

func (l *log) reader() *logparse.Reader { return &logparse.Reader{Location: l.agent.config.Location} }

// poll reads what was added. It reports whether anything was.
func (l *log) poll(ctx context.Context, now time.Time) (news bool, err error) {
	files, err := candidates(l.path)
	if err != nil {
		return false, err
	}
	err = l.recognise(files)
	if l.again {
		if e := l.readAgain(ctx); e != nil {
			return false, errors.Join(err, e)
		}
	}
	news, e := l.readAll(ctx)
	l.count()
	switch {
	case news:
		l.changed, l.paused, l.ended = now, false, false
	case l.follower == nil || l.agent.spool.full():
	case !l.paused && now.Sub(l.changed) >= pauseAfter:
		l.paused = true
		l.agent.collect.add(l, l.follower.Pause())
	case !l.ended && now.Sub(l.changed) >= endAfter:
		l.ended = true
		l.agent.collect.add(l, l.follower.End())
	}
	return news, errors.Join(err, e)
}

// finish tells what is known at the end of reading once.
func (l *log) finish() {
	if l.follower == nil {
		return
	}
	if l.current != nil && time.Since(l.current.Stamp.Time) >= endAfter {
		l.agent.collect.add(l, l.follower.End())
		return
	}
	l.agent.collect.add(l, l.follower.Pause())
}

// recognise finds out which generation each file is.
func (l *log) recognise(files []candidate) (problems error) {
	for _, g := range l.generations {
		g.path = ""
	}
	for _, c := range files {
		g := l.byStamp(c)
		if g == nil {
			text, packed, err := readHead(c.path)
			if err != nil {
				if !errors.Is(err, fs.ErrNotExist) {
					problems = errors.Join(problems, fmt.Errorf("%s: %w", c.path, plain(err)))
				}
				continue
			}
			if g = l.byHead(text, c, packed); g == nil {
				if g = l.begin(text); g == nil {
					continue // there is no line in it yet
				}
			}
			g.Packed = packed
			if len(text) > g.Head.Length {
				g.Head = headOf(text)
			}
		}
		g.path, g.Stamp = c.path, c.stamp
	}
	var kept []*generation
	for _, g := range l.generations {
		if g.path != "" || g == l.current || g == l.last() {
			kept = append(kept, g)
		}
	}
	l.generations = kept
	return problems
}

func (l *log) last() *generation {
	if len(l.generations) == 0 {
		return nil
	}
	return l.generations[len(l.generations)-1]
}

// byStamp is the generation of a file that looks as it did before.
func (l *log) byStamp(c candidate) *generation {
	for _, g := range l.generations {
		if g.Stamp == c.stamp && g.path == "" {
			return g
		}
	}
	return nil
}

// byHead is the generation that a text is of.
func (l *log) byHead(text []byte, c candidate, packed bool) *generation {
	for _, g := range slices.Backward(l.generations) {
		switch {
		case !g.Head.fits(text):
		case c.path == l.path && c.stamp.Size < g.Read && !packed: // it was emptied, and begins alike
		case c.path == l.path && g.path != "": // a copy is there already: this one begins alike
		default:
			return g
		}
	}
	return nil
}

// begin begins a generation, when there is a line.
func (l *log) begin(text []byte) *generation {
	if bytes.IndexByte(text, '\n') < 0 && len(text) < headSize {
		return nil
	}
	g := &generation{Head: headOf(text), Line: 1}
	g.Number = g.Head.number()
	for l.numbered(g.Number) {
		g.Number++
	}
	l.generations = append(l.generations, g)
	return g
}

func (l *log) numbered(n uint64) bool {
	for _, g := range l.generations {
		if g.Number == n {
			return true
		}
	}
	return false
}

// readAgain reads what is between from and the positions, for the runs that have not ended; what was told is not told again.
func (l *log) readAgain(ctx context.Context) error {
	l.again = false
	if l.from.File == "" {
		return nil
	}
	for _, g := range l.generations {
		name := l.name(g)
		switch {
		case l.follower == nil && name != l.from.File:
			continue // it was read, and nothing in it goes on
		case g.Read == 0 && l.follower != nil:
			return nil // readAll begins it
		case l.follower == nil:
			l.follower = l.reader().Follow(l.from)
			l.follower.Expect(l.client)
		default:
			l.follower.Next(name)
		}
		start := int64(0)
		if name == l.from.File {
			start = l.from.Offset
		}
		l.current = g
		if g.path == "" || start >= g.Read {
			continue
		}
		if err := l.feed(ctx, l.follower, g, start, g.Read); err != nil {
			return err
		}
	}
	return nil
}

// readAll reads what is unread of all generations.
func (l *log) readAll(ctx context.Context) (news bool, problems error) {
	late := l.current != nil // those before the current one are
	for i, g := range l.generations {
		if ctx.Err() != nil {
			return news, problems
		}
		late = late && g != l.current
		last := i == len(l.generations)-1
		switch {
		case g.path == "" || g.Whole,
			!g.Packed && g.Read >= g.Stamp.Size && (late || g == l.current): // nothing was added
			continue
		}
		f := l.follower
		switch {
		case late:
			f = l.reader().Follow(logparse.Place{File: l.name(g), Line: g.Line, Offset: g.Read})
			f.Expect(l.client)
		case f == nil:
			l.follower = l.reader().Follow(logparse.Place{File: l.name(g), Line: g.Line, Offset: g.Read})
			f, l.current = l.follower, g
		case g != l.current:
			l.follower.Next(l.name(g))
			l.current = g
		}
		before := g.Read
		err := l.read(ctx, f, g, !last)
		news = news || g.Read > before
		if err != nil {
			problems = errors.Join(problems, fmt.Errorf("%s: %w", g.path, plain(err)))
		}
		if late {
			l.agent.collect.add(l, f.Pause())
			continue
		}
		if errors.Is(err, errNoRoom) {
			return news, nil
		}
	}
	return news, problems
}

// errNoRoom means that the spool is full.
var errNoRoom = errors.New("the spool is full")

// chunkSize is how much is read together; a line that is longer is read in parts.
const chunkSize = 256 << 10

// read reads the rest of a generation: whole lines, and if another one follows it also what has no end.
func (l *log) read(ctx context.Context, f *logparse.Follower, g *generation, last bool) error {
	t, err := openText(g.path)
	if err != nil {
		return err
	}
	defer t.Close()
	if err := t.skip(g.Read); err != nil {
		if errors.Is(err, io.EOF) {
			return nil // it has become shorter
		}
		return err
	}
	buffer := make([]byte, 0, chunkSize)
	for ctx.Err() == nil {
		if !l.agent.room() {
			return errNoRoom
		}
		n, err := io.ReadFull(t, buffer[len(buffer):cap(buffer)])
		buffer = buffer[:len(buffer)+n]
		atEnd := err == io.EOF || err == io.ErrUnexpectedEOF
		if err != nil && !atEnd {
			return err
		}
		whole := bytes.LastIndexByte(buffer, '\n') + 1
		if atEnd && (last || t.compressed) || whole == 0 && len(buffer) == cap(buffer) {
			whole = len(buffer)
		}
		l.tell(f, g, buffer[:whole])
		buffer = append(buffer[:0], buffer[whole:]...)
		if atEnd {
			g.Whole = t.compressed
			return nil
		}
	}
	return context.Cause(ctx)
}

// tell hands text to a follower, and its events to the collector.
func (l *log) tell(f *logparse.Follower, g *generation, text []byte) {
	if len(text) == 0 {
		return
	}
	l.agent.collect.add(l, f.Read(text))
	g.Read += int64(len(text))
	g.Line += int64(bytes.Count(text, []byte{'\n'}))
}

// feed hands a part of a generation that was read before to a follower.
func (l *log) feed(ctx context.Context, f *logparse.Follower, g *generation, start, end int64) error {
	t, err := openText(g.path)
	if err != nil {
		return err
	}
	defer t.Close()
	if err := t.skip(start); err != nil {
		return err
	}
	r := io.LimitReader(t, end-start)
	buffer := make([]byte, 0, chunkSize)
	for ctx.Err() == nil {
		n, err := io.ReadFull(r, buffer[len(buffer):cap(buffer)])
		buffer = buffer[:len(buffer)+n]
		atEnd := err == io.EOF || err == io.ErrUnexpectedEOF
		if err != nil && !atEnd {
			return err
		}
		whole := bytes.LastIndexByte(buffer, '\n') + 1
		if atEnd || whole == 0 {
			whole = len(buffer)
		}
		l.agent.collect.add(l, f.Read(buffer[:whole]))
		buffer = append(buffer[:0], buffer[whole:]...)
		if atEnd {
			return nil
		}
	}
	return context.Cause(ctx)
}

// count counts what is unread.
func (l *log) count() {
	l.unread = 0
	for _, g := range l.generations {
		if g.path != "" && !g.Whole && g.Stamp.Size > g.Read {
			l.unread += g.Stamp.Size - g.Read
		}
	}
}

// report keeps what is wrong for the heartbeat, and logs it once.
func (l *log) report(err error) {
	l.problem = ""
	if err != nil {
		l.problem = clip(err.Error())
	}
	if l.problem != l.warned {
		if l.problem != "" {
			l.agent.log.Warn("a log cannot be read", "log", l.path, "error", err)
		}
		l.warned = l.problem
	}
}

// plain is an error without the path, which the message has already.
func plain(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	return err
}
