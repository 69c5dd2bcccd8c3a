package logparse

import (
	"bytes"
	"io"
	"io/fs"
	"runtime"
	"strings"
	"sync"
)

// How logs are read on several cores.
//
//	logs ──read──> block ──scan──> block ──yield──> caller
//	       one       │    each apart  │     in order
//	       worker    └── tail: starts the next block
//	       at a time
//
// Every worker reads a block when it is its turn, and scans it while others read the next ones: so
// decompression goes on beside the scanning of what came out before. The ranging goroutine takes the
// blocks in the order in which they were read, and yields their URLs.
//
// Blocks are cut where a scan of each gives what one scan of the whole log would: before a line that starts with a byte that
// ends every array. No mention outside of an array goes on over a newline, nothing before the newline counts after it, and
// at that byte an array that was open is left (see Scanner.nextElement), or a key is found to have none. What is left of
// the Scanner's state is the last URL that could have been longer, which counts only directly at the end of the input.
//
// Invariants:
//   - only who holds turn reads, opens and closes logs, and sends to order.
//   - order and free have room for all blocks, so sending to them does not wait.
//   - a block is the worker's until ready, and then the ranging goroutine's until it is back in free.
//   - text that cannot be cut, for want of such a line, and the end of a log without a newline are left to the ranging
//     goroutine: rest. It then reads the log, up to the end, and no worker reads before that is done.
//   - workers read only what does not keep them waiting: regular files, and memory. So a break, which waits for the workers,
//     waits for one Read at most.
//
// Anything else, such as a pipe, is read and scanned in the ranging goroutine alone: a URL has to come before the next Read,
// and a break must not wait for one.

const (
	blockSize = 1 << 20  // what is read at once
	tailSize  = 64 << 10 // the longest tail
	spare     = 4        // blocks besides those of the workers, for them to be ahead of the ranging goroutine
	maxCores  = 8        // bounds memory, as reading is one core's work anyway
)

// A block is a piece of one log.
type block struct {
	buf   []byte // tailSize bytes for the tail of the block before, and what was read
	text  []byte // in buf
	name  string // of the log
	first bool   // the log starts here
	err   error  // ends all logs after text, if not nil: a *ReadError

	rest io.Reader     // if not nil, text is not scanned, and this follows it
	done chan struct{} // closed when the rest was read

	ready  chan struct{} // receives when the worker is done with the block
	urls   []byte        // those found, one after the other
	ends   []int         // where each ends
	last   []byte        // see matcher
	lastID int
}

// scan finds the URLs in the block, if it is not left to the ranging goroutine.
func (b *block) scan(s *Scanner) {
	if b.rest != nil {
		return
	}
	b.urls, b.ends = b.urls[:0], b.ends[:0]
	s.resetText(b.text)
	start := 0
	for s.Scan() {
		url := s.match.URL
		if bytes.Equal(url, b.urls[start:]) {
			continue
		}
		start = len(b.urls)
		b.urls = append(b.urls, url...)
		b.ends = append(b.ends, len(b.urls))
	}
	b.last, b.lastID = append(b.last[:0], s.matcher.last...), s.matcher.lastID
}

// A crew reads and scans logs, and hands their blocks over in order.
type crew struct {
	names []string // of the logs that were not opened yet
	open  func(name string) (io.ReadCloser, error)
	size  int // how much is read for a block
	tail  int // the longest tail

	order chan *block // those that were read
	free  chan *block
	stop  chan struct{} // closed when the ranging ends

	turn    sync.Mutex
	file    io.Closer
	plain   *decompressor // the log that is read; nil between two logs
	name    string        // its name
	first   bool          // nothing was read of it yet
	carry   []byte        // what was read of it and is in no block yet
	waiting *block        // its rest is to be read, by the ranging goroutine
	ended   bool          // order is closed
}

func newCrew(names []string, open func(name string) (io.ReadCloser, error), workers, size, tail int) *crew {
	blocks := workers + spare
	c := &crew{names: names, open: open, size: size, tail: tail, stop: make(chan struct{}),
		order: make(chan *block, blocks), free: make(chan *block, blocks)}
	for range blocks {
		c.free <- &block{ready: make(chan struct{}, 1)}
	}
	return c
}

// work reads and scans blocks until there are none, or nobody wants them.
func (c *crew) work() {
	var s Scanner
	for b := c.read(); b != nil; b = c.read() {
		b.scan(&s)
		b.ready <- struct{}{}
	}
}

// read takes a turn. It returns the block that it read, which is in order by then, or nil at the end.
func (c *crew) read() *block {
	c.turn.Lock()
	defer c.turn.Unlock()
	if c.ended || !c.next() {
		return nil
	}
	select {
	case <-c.stop:
		return nil
	case b := <-c.free:
		c.fill(b)
		c.order <- b
		return b
	}
}

// next makes sure that there is a log to be read. It closes order if there is none.
func (c *crew) next() bool {
	if c.waiting != nil {
		select {
		case <-c.stop:
			return false
		case <-c.waiting.done:
			c.close()
		}
	}
	if c.plain == nil && len(c.names) == 0 {
		c.ended = true
		close(c.order)
	}
	return !c.ended
}

// close closes the log.
func (c *crew) close() {
	if c.plain != nil {
		c.plain.Close()
		c.file.Close()
	}
	c.file, c.plain, c.waiting = nil, nil, nil
	c.carry = c.carry[:0]
}

// fill reads a block. It opens the next log if there is none.
func (c *crew) fill(b *block) {
	b.rest, b.err, b.text = nil, nil, nil
	if c.plain == nil {
		if b.err = c.openNext(); b.err != nil {
			return
		}
	}
	b.name, b.first = c.name, c.first
	c.first = false
	if b.buf == nil {
		b.buf = make([]byte, c.tail+c.size)
	}
	start := c.tail - len(c.carry) // so that what is read starts where copying to is fast
	copy(b.buf[start:], c.carry)
	n, err := readFull(c.plain, b.buf[c.tail:])
	b.text, c.carry = b.buf[start:c.tail+n], c.carry[:0]
	switch {
	case err != nil:
		c.finish(b, err)
	default:
		c.cut(b)
	}
}

// openNext opens the next log.
func (c *crew) openNext() error {
	c.name, c.names = c.names[0], c.names[1:]
	f, err := c.open(c.name)
	if err != nil {
		c.names = nil
		return &ReadError{Name: c.name, Err: reason(err)}
	}
	c.file, c.plain, c.first = f, newDecompressor(f), true
	return nil
}

// finish ends the log after b, with the error that reading it ended with.
func (c *crew) finish(b *block, err error) {
	if n := len(b.text); n > 0 && b.text[n-1] != '\n' {
		c.leave(b, failingReader{err})
		return
	}
	if err != io.EOF {
		b.err = &ReadError{Name: c.name, Offset: c.plain.offset, Err: err}
		c.names = nil
	}
	c.close()
}

// cut ends b before the last line that splits the text, and carries the rest to the next block.
func (c *crew) cut(b *block) {
	end := lastSplit(b.text, c.tail)
	if end == 0 {
		c.leave(b, c.plain)
		return
	}
	c.carry = append(c.carry, b.text[end:]...)
	b.text = b.text[:end]
}

// leave leaves b, and what r reads after it, to the ranging goroutine.
func (c *crew) leave(b *block, r io.Reader) {
	b.rest, b.done = r, make(chan struct{})
	c.waiting = b
}

// A failingReader fails.
type failingReader struct{ err error }

func (r failingReader) Read([]byte) (int, error) { return 0, r.err }

// lastSplit returns the last position in text before which it can be cut, if it is one of the last n, or 0.
func lastSplit(text []byte, n int) int {
	for low := max(0, len(text)-n); ; {
		end := bytes.LastIndexByte(text[low:], '\n') + 1
		if end == 0 {
			return 0
		}
		if end += low; end < len(text) && splits(text[end]) {
			return end
		}
		text = text[:end-1]
	}
}

// splits reports whether a line that starts with c ends every array, or key of one, that was open before.
func splits(c byte) bool {
	return bytes.IndexByte([]byte(" \t\r\n:[,\"'\\"), c) < 0
}

// readFull reads until b is full or reading ends. An error comes with what was read before.
func readFull(r io.Reader, b []byte) (n int, err error) {
	for n < len(b) && err == nil {
		var k int
		k, err = read(r, b[n:])
		n += k
	}
	return n, err
}

// isSteady reports whether Read of r does not wait for somebody to write.
func isSteady(r io.Reader) bool {
	switch r := r.(type) {
	case *bytes.Reader, *bytes.Buffer, *strings.Reader:
		return true
	case interface{ Stat() (fs.FileInfo, error) }:
		info, err := r.Stat()
		return err == nil && info.Mode().IsRegular()
	}
	return false
}

// readParallel is read for logs whose readers are steady.
func (p *reporter) readParallel(c *crew, workers int, yield func(string, error) bool) bool {
	var wait sync.WaitGroup
	defer func() {
		close(c.stop)
		wait.Wait()
		c.close()
	}()
	// Most logs are short: one block, and nobody to share the work with.
	if b := c.read(); b != nil {
		<-c.order
		b.scan(new(Scanner))
		b.ready <- struct{}{}
		if !p.report(c, b, yield) {
			return false
		}
	}
	if !c.next() {
		return true
	}
	for range workers {
		wait.Go(c.work)
	}
	for b := range c.order {
		if !p.report(c, b, yield) {
			return false
		}
	}
	return true
}

// report yields what is new in a block, and frees it. It reports whether the sequence may go on.
func (p *reporter) report(c *crew, b *block, yield func(string, error) bool) bool {
	<-b.ready
	if b.first {
		p.last = p.last[:0]
	}
	if b.rest != nil {
		return p.reportRest(c, b, yield)
	}
	start := 0
	for _, end := range b.ends {
		if url := b.urls[start:end]; p.seen.add(url) && !yield(string(url), nil) {
			return false
		}
		start = end
	}
	if b.err != nil {
		yield("", b.err)
		return false
	}
	if len(b.last) > 0 {
		p.last, p.lastID = append(p.last[:0], b.last...), b.lastID
	}
	c.free <- b
	return true
}

// reportRest yields what is new in a block that was not scanned, and in what follows it.
func (p *reporter) reportRest(c *crew, b *block, yield func(string, error) bool) bool {
	p.scanner.Reset(io.MultiReader(bytes.NewReader(b.text), b.rest))
	p.scanner.matcher.last = append(p.scanner.matcher.last, p.last...)
	p.scanner.matcher.lastID = p.lastID
	if !p.scan(b.name, c.plain, yield) {
		return false
	}
	close(b.done)
	c.free <- b
	return true
}

// workers returns how many goroutines share the work.
func workers() int { return min(runtime.GOMAXPROCS(0), maxCores) }
