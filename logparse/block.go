package logparse

import (
	"bytes"
	"io"
	"iter"
	"strings"
)

// A block is a piece of a log: whole lines, but for one that is longer than maxLine or at the end.
type block struct {
	data     []byte
	offset   int64 // of data in the log
	line     int64 // number of its first line
	mentions []sighting
}

// A sighting is what a Scanner found, kept.
type sighting struct {
	url    string
	offset int64
}

// blockSize is how much of a log is looked at together, and maxLine the longest line that is kept in one piece. What is
// longer is cut where no URL is, if there is such a place: nothing that clients log has lines like that.
const (
	blockSize = 256 << 10
	maxLine   = 1 << 20
)

// blocks yields what r holds, block by block. A block is valid until the next one. An error is a *ReadError without a
// name, and the last pair.
func blocks(r io.Reader) iter.Seq2[*block, error] {
	return func(yield func(*block, error) bool) {
		plain := newDecompressor(r)
		defer plain.Close()
		b := blockReader{r: plain, buf: make([]byte, blockSize), line: 1}
		for {
			next, err := b.next()
			if next != nil && !yield(next, nil) {
				return
			}
			if err == io.EOF {
				return
			}
			if err != nil {
				yield(nil, &ReadError{Offset: plain.offset, Err: err})
				return
			}
		}
	}
}

// A blockReader makes blocks of what it reads.
type blockReader struct {
	r      io.Reader
	buf    []byte
	start  int // of what has not been in a block
	end    int
	offset int64 // of buf[start]
	line   int64
	err    error

	scanner Scanner
	block   block
}

// next returns the next block, or nil, and the error that came after it.
func (b *blockReader) next() (*block, error) {
	for b.err == nil {
		if n := bytes.LastIndexByte(b.buf[b.start:b.end], '\n'); n >= 0 {
			return b.take(n + 1), nil
		}
		if b.end-b.start >= maxLine {
			return b.take(cutAt(b.buf[b.start:b.end])), nil
		}
		b.fill()
	}
	if b.start < b.end {
		return b.take(b.end - b.start), b.err
	}
	return nil, b.err
}

// take makes a block of the next n bytes.
func (b *blockReader) take(n int) *block {
	data := b.buf[b.start : b.start+n]
	b.block = block{data: data, offset: b.offset, line: b.line, mentions: b.block.mentions[:0]}
	b.scanner.load(data, b.offset, b.err != nil && b.err != io.EOF)
	for b.scanner.Scan() {
		m := b.scanner.Match()
		b.block.mentions = append(b.block.mentions, sighting{string(m.URL), m.Offset})
	}
	b.start += n
	b.offset += int64(n)
	b.line += int64(bytes.Count(data, newline))
	return &b.block
}

var newline = []byte{'\n'}

// fill reads more, after making room for it.
func (b *blockReader) fill() {
	if b.start > 0 {
		copy(b.buf, b.buf[b.start:b.end])
		b.start, b.end = 0, b.end-b.start
	}
	if b.end == len(b.buf) {
		b.buf = append(b.buf, make([]byte, len(b.buf))...)
	}
	n, err := readSome(b.r, b.buf[b.end:])
	b.end += n
	b.err = err
}

// readSome reads until there is something, or an error.
func readSome(r io.Reader, buf []byte) (int, error) {
	for range maxEmptyReads {
		n, err := r.Read(buf)
		if n < 0 || n > len(buf) {
			return 0, errRead
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
	return 0, io.ErrNoProgress
}

// cutAt returns where a line that is too long is cut: after the last byte that is in no URL.
func cutAt(line []byte) int {
	low := len(line) - maxRaw
	if i := bytes.LastIndexAny(line[low:], " \t\"'<>,"); i >= 0 {
		return low + i + 1
	}
	return len(line)
}

// load makes s scan data, which follows on what it scanned before, and is complete. Arrays go on.
func (s *Scanner) load(data []byte, base int64, failed bool) {
	s.r, s.err = noMore, io.EOF
	if failed {
		s.err = errRead
	}
	s.buf, s.pos, s.end, s.base = data, 0, len(data), base
	s.anchors = [len(letters)]anchor{}
}

var noMore = strings.NewReader("")
