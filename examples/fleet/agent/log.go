package agent

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
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
	Tail   head   `json:"tail,omitzero"`    // the end of what was read
	Stamp  stamp  `json:"stamp"`            // of the file when it was recognised
	Packed bool   `json:"packed,omitempty"` // the file is compressed
	Whole  bool   `json:"whole,omitempty"`  // and was read to its end

	path    string    // where it is now; empty if it is gone
	gone    time.Time // since when it is
	tail    []byte    // the text of Tail
	rest    int64     // bytes behind Read that are no whole line
	text    *text     // at Read, while there is more than is read in one turn; see Agent.keep
	damaged error     // why no more can be read of the file with this Stamp
}

// add notes that some text was read.
func (g *generation) add(text []byte) {
	g.Read += int64(len(text))
	g.Line += int64(bytes.Count(text, []byte{'\n'}))
	g.tail = append(g.tail, text[max(0, len(text)-tailSize):]...)
	g.tail = append(g.tail[:0], g.tail[max(0, len(g.tail)-tailSize):]...)
	g.Tail, g.rest = headOf(g.tail), 0
}

// isDamaged reports whether a generation of a state cannot be.
func (g *generation) isDamaged() bool {
	return g == nil || g.Read < 0 || g.Line < 1 || g.Read == 0 && g.Line > 1 || g.Whole && !g.Packed ||
		g.Head.Length < 0 || g.Tail.Length < 0 || int64(g.Tail.Length) > min(g.Read, tailSize)
}

// place is what is read next.
func (l *log) place(g *generation) logparse.Place {
	return logparse.Place{File: l.name(g), Line: g.Line, Offset: g.Read}
}

// done reports whether nothing of the file is unread, as far as can be told from outside.
func (g *generation) done() bool {
	switch {
	case g.path == "" || g.Whole || g.damaged != nil:
		return true
	case g.Packed:
		return false
	}
	return g.Read+g.rest >= g.Stamp.Size
}

// leave closes the file that is kept open.
func (g *generation) leave() {
	if g.text != nil {
		_ = g.text.Close()
		g.text = nil
	}
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
	copies      map[stamp]*generation // what else has the text of one
	unreadable  map[stamp]error       // what no text can be read of, or not enough to tell whose it is
	unread      int64
	more        bool      // more can be read at once, or when there is room
	missing     time.Time // since when the file of current is not seen
	held        bool      // the next one is not begun: that file may come back, with more in it
	changed     time.Time // when something was added
	vanished    time.Time // since when there is no file
	paused      bool
	ended       bool
	problem     string
	warned      string

	// After a restart, reading begins again at from, and what is before the positions is told only if it was not.
	from    logparse.Place
	client  string
	again   bool
	refused time.Time // since when a file cannot be opened for that
}

func newLog(a *Agent, path string) *log { return &log{agent: a, path: path} }

func restoreLog(a *Agent, path string, s savedLog) *log {
	l := newLog(a, path)
	if s.From.Offset < 0 || slices.ContainsFunc(s.Generations, (*generation).isDamaged) {
		return l // everything is read again
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

// name is what the generation is called in events. It is the same when it was written as JSON, and read.
func (l *log) name(g *generation) string {
	return wire.FileName(l.agent.config.Host, strings.ToValidUTF8(l.path, "?"), g.Number)
}

func (l *log) reader() *logparse.Reader { return &logparse.Reader{Location: l.agent.config.Location} }

// poll reads what was added to the files. It reports whether anything was.
func (l *log) poll(ctx context.Context, files []candidate, now time.Time) (news bool, err error) {
	if l.changed.IsZero() {
		l.changed = now // what wrote before a restart may go on
	}
	l.more = false
	switch {
	case len(files) > 0:
		l.vanished = time.Time{}
	case l.vanished.IsZero():
		l.vanished = now
	}
	err = l.recognise(ctx, files, now)
	if l.again && !l.held && ctx.Err() == nil {
		err = errors.Join(err, l.readAgain(ctx, now))
	}
	if l.again || ctx.Err() != nil {
		l.more = l.more || l.held
		l.count()
		return false, err
	}
	news, e := l.readAll(ctx)
	l.count()
	switch {
	case news:
		l.changed, l.paused, l.ended = now, false, false
	case l.follower == nil || l.more:
	case !l.paused && now.Sub(l.changed) >= pauseAfter:
		l.paused = true
		l.agent.collect.add(l, l.follower.Pause())
	case !l.ended && now.Sub(l.changed) >= endAfter:
		l.ended = true
		l.agent.collect.add(l, l.follower.End())
	}
	return news, errors.Join(err, e)
}

// over reports whether the log has no file any more, and all of it was told.
func (l *log) over(now time.Time) bool {
	return !l.vanished.IsZero() && now.Sub(l.vanished) >= endAfter && (l.follower == nil || l.ended)
}

// leave closes what is open.
func (l *log) leave() {
	for _, g := range l.generations {
		g.leave()
	}
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

// How long the file of a generation must be gone until it is forgotten, and of how many that is remembered: while files are
// renamed, one may not be seen for a moment, and the file that cannot be read may be any of them.
const (
	goneAfter = time.Minute
	maxGone   = 100
)

// holdFor is how long reading does not go on when the file of the current generation is not seen, or one that is to be read again;
// if it may be one that cannot be read yet, it is goneAfter.
const holdFor = 2 * time.Second

// recognise finds out which generation each file is.
func (l *log) recognise(ctx context.Context, files []candidate, now time.Time) (problems error) {
	for _, g := range l.generations {
		g.path = ""
	}
	known := slices.Clone(l.generations)
	copies, unreadable := l.copies, l.unreadable
	l.copies, l.unreadable = make(map[stamp]*generation), make(map[stamp]error)
	found := make(map[string]*generation)
	is := func(c candidate, g *generation) {
		if g.Stamp != c.stamp {
			g.damaged = nil // as far as it is known
		}
		g.path, g.Stamp, found[c.path] = c.path, c.stamp, g
	}
	// The surest first, so that none is taken for what another is: what looks as it did, then what is the same file still, then
	// the log, of which others may be copies, then what may be in the middle of being compressed.
	rest := slices.DeleteFunc(slices.Clone(files), func(c candidate) bool {
		g := l.byStamp(c)
		if g != nil {
			is(c, g)
		}
		return g != nil
	})
	rest = slices.DeleteFunc(rest, func(c candidate) bool {
		same := func(g *generation) bool { return g.Stamp.sameFile(c.stamp) && c.stamp.Inode != 0 }
		if unreadable[c.stamp] != nil || !slices.ContainsFunc(l.generations, same) {
			return false
		}
		g, err := l.byText(ctx, &c, false)
		if err == nil && g != nil {
			is(c, g)
		}
		return err == nil && g != nil
	})
	slices.SortStableFunc(rest, func(a, b candidate) int { return cmp.Compare(l.doubt(a.path), l.doubt(b.path)) })
	for _, c := range rest {
		if of := copies[c.stamp]; of != nil && of.path != "" {
			l.copies[c.stamp] = of
			continue
		}
		var g *generation
		err := unreadable[c.stamp]
		if err == nil {
			g, err = l.byText(ctx, &c, true)
		}
		switch {
		case g != nil:
			is(c, g)
		case err != nil && ctx.Err() == nil && !isMoved(err):
			if isDamage(err) {
				l.unreadable[c.stamp] = err
			}
			problems = errors.Join(problems, fmt.Errorf("%s: %w", c.path, plain(err)))
		}
	}
	l.sort(files, found, known)
	l.forget(problems != nil || ctx.Err() != nil, now)
	l.hold(problems != nil, now)
	return problems
}

// hold finds out whether to wait for a file that is not seen.
func (l *log) hold(unseen bool, now time.Time) {
	missing := l.current != nil && l.current.path == ""
	if from := l.begun(); l.again && from >= 0 {
		missing = slices.ContainsFunc(l.generations[from:], func(g *generation) bool { return g.path == "" && g.Read > 0 })
	}
	switch {
	case !missing:
		l.missing = time.Time{}
	case l.missing.IsZero():
		l.missing = now
	}
	wait := holdFor
	if unseen {
		wait = goneAfter
	}
	l.held = missing && now.Sub(l.missing) < wait
}

// begun is the index of the generation in which reading again begins; less than 0 if it is gone.
func (l *log) begun() int {
	return slices.IndexFunc(l.generations, func(g *generation) bool { return l.name(g) == l.from.File })
}

// doubt is how likely a file is only a copy.
func (l *log) doubt(path string) int {
	switch {
	case path == l.path:
		return 0
	case slices.Contains(endings, filepath.Ext(path)):
		return 2
	}
	return 1
}

// sort puts the generations in the order of reading: a new one before those that are newer, though they were read already, and
// the log itself last.
func (l *log) sort(files []candidate, found map[string]*generation, known []*generation) {
	var next *generation // of the file before which others were
	for _, c := range slices.Backward(files) {
		g := found[c.path]
		if g == nil {
			continue
		}
		i := slices.Index(l.generations, g)
		begun := !slices.Contains(known, g)
		switch {
		case c.path == l.path && i < len(l.generations)-1:
			l.generations = append(slices.Delete(l.generations, i, i+1), g)
			if g != l.current && !begun && l.follower != nil { // it was left, and is the log again
				l.agent.collect.add(l, l.follower.Pause())
				l.follower, l.current, l.from = nil, nil, logparse.Place{}
			}
		case begun && next != nil && next != g:
			l.generations = slices.Delete(l.generations, i, i+1)
			l.generations = slices.Insert(l.generations, slices.Index(l.generations, next), g)
		}
		next = g
	}
}

// forget forgets the generations whose files are gone, unless one may not have been seen.
func (l *log) forget(unseen bool, now time.Time) {
	gone := 0
	for _, g := range slices.Backward(slices.Clone(l.generations)) {
		switch {
		case g.path != "":
			g.gone = time.Time{}
			continue
		case g.gone.IsZero() || unseen:
			g.gone = now
		}
		gone++
		if (now.Sub(g.gone) >= goneAfter || gone > maxGone) && g != l.current && g != l.last() {
			g.leave()
			i := slices.Index(l.generations, g)
			l.generations = slices.Delete(l.generations, i, i+1)
		}
	}
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

// byText is the generation that a file's text is of, or if begin is set a new one; nil if it is only a copy, or cannot be told yet.
func (l *log) byText(ctx context.Context, c *candidate, begin bool) (*generation, error) {
	text, packed, s, err := readHead(c.path)
	if err != nil {
		return nil, err
	}
	c.stamp = s
	var alike []*generation
	for _, g := range l.generations {
		if g.path != "" && (len(text) < g.Head.Length || g.Head.fits(text)) {
			alike = append(alike, g)
		}
		if g.path != "" || !g.Head.fits(text) {
			continue
		}
		fits, err := g.goesOn(ctx, c, packed)
		if err != nil {
			return nil, err // it may be this one
		}
		if fits {
			g.Packed, g.Whole = packed, g.Whole && packed
			if len(text) > g.Head.Length {
				g.Head = headOf(text)
			}
			return g, nil
		}
	}
	if !begin {
		return nil, nil
	}
	for _, g := range alike {
		if c.path != l.path && isCopy(c.path, g.path) {
			l.copies[c.stamp] = g
			return nil, nil
		}
	}
	return l.begin(text, packed), nil
}

// goesOn reports whether a file that begins like a generation has all of it that was read.
func (g *generation) goesOn(ctx context.Context, c *candidate, packed bool) (bool, error) {
	switch {
	case !packed && c.stamp.Size < g.Read:
		return false, nil
	case g.Tail.Length == 0: // nothing was read yet, or by a version that knew no tails
		return true, nil
	}
	return endsSo(ctx, c.path, g.Tail, g.Read)
}

// begin begins a generation, when there is a line.
func (l *log) begin(text []byte, packed bool) *generation {
	if bytes.IndexByte(text, '\n') < 0 && len(text) < headSize {
		return nil
	}
	g := &generation{Head: headOf(text), Line: 1, Packed: packed}
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

// follow begins to read a generation at its position. What goes on in what was followed before is told as far as it is known.
func (l *log) follow(g *generation) {
	client := l.expected()
	if l.follower != nil {
		l.agent.collect.add(l, l.follower.Pause())
	}
	l.follower, l.current = l.reader().Follow(l.place(g)), g
	l.follower.Expect(client)
}

// expected is the client whose output comes next, as far as it is known.
func (l *log) expected() string {
	if l.follower != nil {
		return l.follower.Client()
	}
	return l.client
}

// readAgain reads what is between from and the positions, for the runs that have not ended; what was told is not told again. What
// cannot be read again is passed over. When it is stopped, or for a while when a file cannot be opened, it stays to be done.
func (l *log) readAgain(ctx context.Context, now time.Time) error {
	from := l.begun()
	if from < 0 { // what has begun there is gone
		l.again = false
		for _, g := range slices.Backward(l.generations) {
			if g.Read > 0 {
				l.follow(g)
				break
			}
		}
		return nil
	}
	var problems error
	for i, g := range l.generations[from:] {
		if i > 0 && g.Read == 0 {
			break // readAll begins it
		}
		start := int64(0)
		if i == 0 {
			l.follower = l.reader().Follow(l.from)
			l.follower.Expect(l.client)
			start = l.from.Offset
		} else {
			l.follower.Next(l.name(g))
		}
		l.current = g
		if g.path != "" && start < g.Read {
			if err := l.feed(ctx, l.follower, g, start); err != nil {
				if ctx.Err() != nil || isMoved(err) {
					l.follower, l.current = nil, nil
					return nil
				}
				problems = errors.Join(problems, fmt.Errorf("%s: %w", g.path, plain(err)))
				if l.refused.IsZero() {
					l.refused = now
				}
				if !isDamage(err) && now.Sub(l.refused) < goneAfter {
					l.follower, l.current = nil, nil
					return problems
				}
			}
		}
		if l.follower.At() != l.place(g) {
			l.follow(g)
		}
	}
	l.again = false
	return problems
}

// readAll reads what is unread of all generations.
func (l *log) readAll(ctx context.Context) (news bool, problems error) {
	late := l.current != nil // those before the current one are
	for i, g := range l.generations {
		if ctx.Err() != nil {
			break
		}
		late = late && g != l.current
		if g.damaged != nil && g.path != "" {
			problems = errors.Join(problems, fmt.Errorf("%s: %w", g.path, g.damaged))
		}
		last := i == len(l.generations)-1
		if g.done() && (last || g.path == "" || g.rest == 0) {
			continue
		}
		if l.held && !late && g != l.current {
			l.more = true
			break
		}
		f := l.follower
		switch {
		case late:
			f = l.reader().Follow(l.place(g))
			f.Expect(l.expected())
		case f == nil, g != l.current && g.Read > 0:
			l.follow(g)
			f = l.follower
		case g != l.current:
			f.Next(l.name(g))
			l.current = g
		}
		before := g.Read
		err := l.read(ctx, f, g, !last)
		news = news || g.Read > before
		stopped := errors.Is(err, errNoRoom) || errors.Is(err, errTurn)
		l.more = l.more || stopped
		if err != nil && !stopped && ctx.Err() == nil && !isMoved(err) {
			problems = errors.Join(problems, fmt.Errorf("%s: %w", g.path, plain(err)))
		}
		if late {
			l.agent.collect.add(l, f.Pause())
		} else if stopped {
			break
		}
	}
	return news, problems
}

var (
	errNoRoom = errors.New("the spool is full")
	errTurn   = errors.New("it is the turn of other logs")
	errMoved  = errors.New("it is another file now")
)

// turnSize is about how much of a generation is read in one turn: a small file may be the compressed form of a large one.
const turnSize = 32 << 20

// open opens the file of a generation at a place, if it is the file still that was recognised.
func (g *generation) open(ctx context.Context, at int64) (*text, error) {
	t, s, err := openText(g.path)
	if err != nil {
		return nil, err
	}
	if err = t.skip(ctx, at); err == nil && !s.sameFile(g.Stamp) {
		err = errMoved
	}
	if err != nil {
		return nil, errors.Join(err, t.Close())
	}
	return t, nil
}

// read reads the rest of a generation: whole lines, and if another one follows it also what has no end.
func (l *log) read(ctx context.Context, f *logparse.Follower, g *generation, last bool) (err error) {
	if !l.agent.room() {
		return errNoRoom
	}
	if g.text == nil {
		if g.text, err = g.open(ctx, g.Read); err != nil {
			g.spoil(ctx, err)
			return err
		}
	}
	if g.text.buffer == nil {
		g.text.buffer, l.agent.buffer = l.agent.buffer, nil
	}
	defer func() {
		if stopped := errors.Is(err, errNoRoom) || errors.Is(err, errTurn); stopped && l.agent.keep(g) {
			return
		}
		l.agent.buffer = g.text.buffer[:0]
		g.leave()
	}()
	for end := g.Read + turnSize; ; {
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case g.Read >= end:
			return errTurn
		case !l.agent.room():
			return errNoRoom
		}
		whole, rest, err := g.text.next()
		l.tell(f, g, whole)
		switch {
		case err == nil:
			continue
		case err != io.EOF:
			g.spoil(ctx, err)
			return err
		case last || g.text.compressed:
			l.tell(f, g, rest)
		default:
			g.rest = int64(len(rest))
		}
		g.Whole = g.text.compressed
		return nil
	}
}

// spoil notes that no more of a file can be read, unless it changes: if it is damaged, or only half written yet.
func (g *generation) spoil(ctx context.Context, err error) {
	if ctx.Err() == nil && !isMoved(err) && isDamage(err) {
		g.damaged = err
	}
}

// isMoved reports whether an error only means that a file was renamed or removed since it was looked at.
func isMoved(err error) bool { return errors.Is(err, fs.ErrNotExist) || errors.Is(err, errMoved) }

// isDamage reports whether an error is about what is in a file, rather than about opening and reading it.
func isDamage(err error) bool {
	_, system := errors.AsType[*fs.PathError](err)
	return !system && !errors.Is(err, errNotRegular)
}

// tell hands text to a follower, and its events to the collector.
func (l *log) tell(f *logparse.Follower, g *generation, text []byte) {
	if len(text) > 0 {
		l.agent.collect.add(l, f.Read(text))
		l.agent.collect.size += len(text)
		g.add(text)
	}
}

// feed hands what was read before of a generation to a follower, from a place on.
func (l *log) feed(ctx context.Context, f *logparse.Follower, g *generation, start int64) error {
	t, err := g.open(ctx, start)
	if err != nil {
		return err
	}
	t.buffer, l.agent.buffer = l.agent.buffer, nil
	defer func() {
		l.agent.buffer = t.buffer[:0]
		_ = t.Close()
	}()
	t.Reader = io.LimitReader(t.Reader, g.Read-start)
	for ctx.Err() == nil {
		whole, rest, err := t.next()
		l.agent.collect.add(l, f.Read(whole))
		if err == io.EOF {
			l.agent.collect.add(l, f.Read(rest))
			return nil
		}
		if err != nil {
			return err
		}
	}
	return context.Cause(ctx)
}

// count counts what is unread: of compressed files, their size.
func (l *log) count() {
	l.unread = 0
	for _, g := range l.generations {
		switch {
		case g.done():
		case g.Packed:
			l.unread += g.Stamp.Size
		default:
			l.unread += g.Stamp.Size - g.Read - g.rest
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
