package logparse

import (
	"bytes"
	"io"
	"strings"
)

// A block is a piece of a log: whole lines, but for one that is longer than maxLine or at the end.
type block struct {
	data      []byte
	offset    int64 // of data in the log
	line      int64 // number of its first line
	sightings []sighting
}

// A sighting is a mention that a Scanner found.
type sighting struct {
	url    string
	offset int64
}

// blockSize is how much of a log is looked at together, and maxLine the longest line that is kept in one piece. What is
// longer is cut where no URL is, if there is such a place: no client logs lines like that.
const (
	blockSize = 256 << 10
	maxLine   = 1 << 20
)

// A blockReader makes blocks of what it reads.
type blockReader struct {
	r       io.Reader
	rest    []byte // read, but not in a block yet
	offset  int64  // of rest
	line    int64
	err     error
	full    bool // the last Read returned as much as it was asked for
	scanner *Scanner
}

// next makes b the next block. It reports false if there is none.
func (r *blockReader) next(b *block) bool {
	data := append(b.data[:0], r.rest...)
	cut := 0
	for r.err == nil && cut == 0 {
		data = r.fill(data)
		cut = bytes.LastIndexByte(data, '\n') + 1
		if cut == 0 && len(data) >= maxLine {
			cut = cutAt(data)
		}
	}
	if r.err != nil && cut == 0 {
		cut = len(data)
	}
	r.rest = append(r.rest[:0], data[cut:]...)
	b.data, b.offset, b.line, b.sightings = data[:cut], r.offset, r.line, b.sightings[:0]
	r.offset += int64(cut)
	if cut == 0 {
		return false
	}
	r.scan(b)
	return true
}

// scan finds the authorizations in b, and counts its lines.
func (r *blockReader) scan(b *block) {
	r.line += int64(bytes.Count(b.data, []byte{'\n'}))
	r.scanner.load(b.data, b.offset, r.err != nil && r.err != io.EOF && len(r.rest) == 0)
	for r.scanner.Scan() {
		m := r.scanner.Match()
		if n := len(b.sightings); n > 0 && b.sightings[n-1].url == string(m.URL) {
			b.sightings = append(b.sightings, sighting{b.sightings[n-1].url, m.Offset})
		} else {
			b.sightings = append(b.sightings, sighting{string(m.URL), m.Offset})
		}
	}
}

// fill appends what is read next to data, which has room for at least a block.
func (r *blockReader) fill(data []byte) []byte {
	if cap(data)-len(data) < blockSize/2 {
		data = append(make([]byte, 0, max(blockSize, 2*cap(data))), data...)
	}
	free := data[len(data):cap(data)]
	n, err := readSome(r.r, free)
	r.err, r.full = err, n == len(free)
	return data[:len(data)+n]
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

// load makes s scan data, which follows on what it scanned before, and is complete: whole lines. An array goes on.
func (s *Scanner) load(data []byte, base int64, failed bool) {
	s.r, s.err = noMore, io.EOF
	if failed {
		s.err = errRead
	}
	s.buf, s.pos, s.end, s.base = data, 0, len(data), base
	s.anchors = [len(letters)]anchor{}
}

var noMore = strings.NewReader("")
