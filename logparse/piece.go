package logparse

import (
	"bytes"
	"io"
	"strings"
)

// A piece of a log is whole lines, but for one that is longer than maxLine or at the end.
type piece struct {
	data      []byte
	offset    int64 // of data in the log
	line      int64 // number of its first line
	lines     []lineEnd
	sightings []sighting
}

// A lineEnd is where a line ends in a piece, before its newline if it has one, and whether it is plain.
type lineEnd struct {
	end   int32
	plain bool
}

// A sighting is a mention that a Scanner found.
type sighting struct {
	url    string
	offset int64
}

// pieceSize is how much of a log is looked at together, and maxLine the longest line that is kept in one piece. What is
// longer is cut where no URL is, if there is such a place: no client logs lines like that.
const (
	pieceSize = 256 << 10
	maxLine   = 1 << 20
)

// A pieceReader cuts what it reads into pieces.
type pieceReader struct {
	r       io.Reader
	rest    []byte // read, but not in a piece yet
	offset  int64  // of rest
	line    int64
	err     error
	full    bool // the last Read returned as much as it was asked for
	scanner *Scanner
}

// next makes b the next piece. It reports false if there is none.
func (r *pieceReader) next(b *piece) bool {
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

// split finds the lines of b.
func (r *pieceReader) split(b *piece) {
	b.lines = b.lines[:0]
	for start := 0; start < len(b.data); {
		end := len(b.data)
		if n := bytes.IndexByte(b.data[start:], '\n'); n >= 0 {
			end = start + n
			r.line++
		}
		b.lines = append(b.lines, lineEnd{int32(end), isPlain(b.data[start:end])})
		start = end + 1
	}
}

// scan finds the lines of b, and the authorizations in it.
func (r *pieceReader) scan(b *piece) {
	r.split(b)
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

// fill appends what is read next to data, which has room for at least half a piece.
func (r *pieceReader) fill(data []byte) []byte {
	if cap(data)-len(data) < pieceSize/2 {
		data = append(make([]byte, 0, max(pieceSize, 2*cap(data))), data...)
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
	s.buf, s.pos, s.from, s.end, s.base = data, 0, 0, len(data), base
}

var noMore = strings.NewReader("")
