package logparse

import (
	"bytes"
	"errors"
	"io"
)

// How the Scanner works.
//
// Nearly all of a log is of no interest, so the work is to get over it quickly. Everything that can come out has one of
// four words in it, and no client escapes letters:
//
//	authz     /acme/authz/1/2, /authz-v3/3
//	authZ     /authZ/x
//	authoriz  /acme/authorization/x, "authorizations": [
//	chall     /acme/chall/1/2/x, /chall-v3/3/x, /challenge/x/y
//
// One letter of each is rare in logs: z, Z, h. bytes.IndexByte finds them with the processor's vector instructions, and
// only where one stands in its word does matcher look at the surroundings. There are no lines: they say nothing about
// URLs, may be longer than memory, and finding their ends would cost as much again.
//
// What was tried: comparing pairs of letters ("hz", "ch") eight at a time in 64-bit words takes 1.4 times as long as three
// times IndexByte, although it stops at a tenth of the places; so does bytes.Index for "chall" alone.
//
//	buf:  behind | searched |candidate| to search | free
//	      0      pos        from                  end    len(buf)
//
// Invariants:
//   - what stands before pos has been reported, or holds nothing; a URL starts at pos or later.
//   - an anchor's letter does not stand in its word between pos and from; if hit, at from it does.
//   - buf holds lookBehind bytes before every candidate that can still come, or all there were.
//   - base is the offset of buf[0] in the input.
//   - a candidate is decided from at most maxRaw bytes after it. If there are fewer, and those do not suffice, it is
//     looked at again when more were read. So the same bytes give the same mentions however they arrive, and a mention
//     is reported as soon as the byte after it was read.
//   - in an array, pos is between two of its elements.

// bufferSize is how much is read at once. It is well within a second-level cache.
const bufferSize = 256 << 10

// A Match is one mention of an authorization.
type Match struct {
	// URL is the authorization's URL in canonical form, as [URLs] describes it. It is valid until the next call of
	// [Scanner.Scan] or [Scanner.Reset].
	URL []byte

	// Offset is where the mention starts: the number of bytes before it in the input.
	Offset int64
}

// letters are the rare letters of the words, see above.
const letters = "zZh"

// An anchor is the search for one letter.
type anchor struct {
	from int
	hit  bool
}

// A Scanner finds the mentions of authorizations in a log, in order. It is what [URLs] is made of; use it to see every
// mention, to know where it stands, or to read without allocating memory.
//
// The input is scanned as it is: a compressed log must be decompressed by the reader. A mention may be long (2 KiB), a
// line may have any length, and the memory needed is the same for every input.
//
// The zero value is ready for Reset. A Scanner must not be used by several goroutines at once.
type Scanner struct {
	r    io.Reader
	err  error // what ended the input, io.EOF included
	buf  []byte
	pos  int
	end  int
	base int64

	anchors [len(letters)]anchor

	array struct {
		open bool
		quoting
	}
	matcher matcher
	match   Match
}

// NewScanner returns a Scanner that reads from r, in large pieces. It does not close r.
func NewScanner(r io.Reader) *Scanner {
	s := new(Scanner)
	s.Reset(r)
	return s
}

// Reset makes s read from r, as a new Scanner would, and keeps its buffer.
func (s *Scanner) Reset(r io.Reader) {
	if s.buf == nil {
		s.buf = make([]byte, bufferSize)
	}
	s.r, s.err = r, nil
	s.pos, s.end, s.base = 0, 0, 0
	s.anchors = [len(letters)]anchor{}
	s.array.open = false
	s.matcher.last = s.matcher.last[:0]
	s.match = Match{}
}

// Match returns the mention that the last call of Scan found.
func (s *Scanner) Match() Match { return s.match }

// Err returns the error that ended the input, nil if that was [io.EOF] or if the input has not ended.
func (s *Scanner) Err() error {
	if s.err == io.EOF {
		return nil
	}
	return s.err
}

// Scan moves to the next mention, which Match then returns. It returns false at the end of the input or when reading
// fails, which [Scanner.Err] tells; what was read before a failure has been scanned by then.
func (s *Scanner) Scan() bool {
	if s.r == nil {
		return false
	}
	for {
		switch s.step() {
		case found:
			return true
		case more:
			if !s.fill() {
				s.match = Match{}
				return false
			}
		}
	}
}

// step looks at one candidate, or at one element of an array.
func (s *Scanner) step() outcome {
	if s.array.open {
		return s.nextElement()
	}
	letter := s.next()
	if letter < 0 {
		return more
	}
	word, kind := wordAt(s.buf[:s.end], letter)
	if kind == keyWord && word > s.pos && (s.buf[word-1] == '"' || s.buf[word-1] == '\'') {
		return s.openArray(word)
	}
	if word < s.pos || !afterSlash(s.buf[:word]) {
		s.pos = letter + 1
		return none
	}
	start, end, o := s.matcher.find(s.text(word), max(s.pos, word-maxRaw), word)
	switch o {
	case none:
		s.pos = letter + 1
	case found:
		s.report(start, end)
	}
	return o
}

// report makes the matcher's URL, mentioned from start to end, the current match.
func (s *Scanner) report(start, end int) {
	s.match = Match{URL: s.matcher.url, Offset: s.base + int64(start)}
	s.pos = end
}

// text returns what decides about a candidate at position i.
func (s *Scanner) text(i int) text {
	if i+maxRaw <= s.end {
		return text{s.buf[:i+maxRaw], endLimit}
	}
	end := endUnread
	switch {
	case s.err == io.EOF:
		end = endInput
	case s.err != nil:
		end = endFailure
	}
	return text{s.buf[:s.end], end}
}

// openArray enters the array whose key starts at position word, if it is one.
func (s *Scanner) openArray(word int) outcome {
	q, i, o := arrayStart(s.text(word), word)
	switch o {
	case none:
		s.pos = word + len("authoriz")
	case found:
		s.array.open, s.array.quoting, s.pos = true, q, i
		return none
	}
	return o
}

// nextElement reads the array up to and including its next element, and leaves it at anything that is no string with a
// URL in it; the search goes on there.
func (s *Scanner) nextElement() outcome {
	t := s.text(s.pos)
	if n, ok := t.blank(s.pos); !ok {
		return more
	} else if n > 0 {
		s.pos += n
		return none
	}
	if s.pos < s.end && s.buf[s.pos] == ',' {
		s.pos++
		return none
	}
	y, ok := t.at(s.pos)
	if !ok {
		return more
	}
	if !s.array.is(y) {
		s.array.open = false
		return none
	}
	end, o := s.matcher.element(t, s.pos+y.n, s.array.quoting)
	switch o {
	case none:
		s.array.open = false
	case found:
		s.report(s.pos+y.n, end)
	}
	return o
}

// next returns the position of the first letter at pos or later that stands in its word, or a negative number if more
// must be read.
func (s *Scanner) next() int {
	first := -1
	for k := range s.anchors {
		a := &s.anchors[k]
		if !a.hit || a.from < s.pos {
			a.search(s.buf[:s.end], s.pos, letters[k], s.err != nil)
		}
		if a.hit && (first < 0 || a.from < first) {
			first = a.from
		}
	}
	return first
}

// search moves a to the first letter in b, at low or later, that stands in its word. If it may stand in one that is cut
// off by the end of b, and b is not complete, a stays before it.
func (a *anchor) search(b []byte, low int, letter byte, complete bool) {
	a.hit = false
	i := max(a.from, low)
	for {
		n := bytes.IndexByte(b[i:], letter)
		if n < 0 {
			a.from = len(b)
			return
		}
		i += n
		if i > 0 && precedes(b[i-1], letter) {
			if letter == 'h' && !complete && len(b)-i < len("hall") {
				break
			}
			if _, kind := wordAt(b, i); kind != noWord {
				a.hit = true
				break
			}
		}
		i++
	}
	a.from = i
}

// precedes reports whether c stands before the letter in one of its words.
func precedes(c, letter byte) bool {
	if letter == 'h' {
		return c == 'c'
	}
	return c == 'h' || c == 'i'
}

// A wordKind tells apart the words that are anchors.
type wordKind uint8

const (
	noWord   wordKind = iota
	pathWord          // it stands in a path: authz, authZ, chall
	keyWord           // or is the start of a key: authoriz
)

// wordAt returns the word in which the letter at position i stands, and where it starts.
func wordAt(b []byte, i int) (start int, kind wordKind) {
	switch b[i] {
	case 'h':
		if i > 0 && b[i-1] == 'c' && bytes.HasPrefix(b[i:], []byte("hall")) {
			return i - 1, pathWord
		}
	case 'z', 'Z':
		if bytes.HasSuffix(b[:i], []byte("auth")) {
			return i - len("auth"), pathWord
		}
		if b[i] == 'z' && bytes.HasSuffix(b[:i], []byte("authori")) {
			return i - len("authori"), keyWord
		}
	}
	return 0, noWord
}

// afterSlash reports whether b ends with a slash, or with a code for one.
func afterSlash(b []byte) bool {
	n := len(b)
	return n > 0 && (b[n-1] == '/' || n > 2 && b[n-1]|0x20 == 'f' && b[n-2] == '2')
}

// fill reads more, after moving what is still needed to the start of the buffer if that is full. It returns false if the
// input has ended before.
func (s *Scanner) fill() bool {
	if s.err != nil {
		return false
	}
	if s.end == len(s.buf) {
		s.shift()
	}
	for range maxEmptyReads {
		n, err := s.r.Read(s.buf[s.end:])
		if n < 0 || n > len(s.buf)-s.end {
			n, err = 0, errRead
		}
		s.end += n
		s.err = err
		if n > 0 || err != nil {
			return true
		}
	}
	s.err = io.ErrNoProgress
	return true
}

// maxEmptyReads is how often a reader may return nothing in a row before it is given up, as in package bufio.
const maxEmptyReads = 100

var errRead = errors.New("reader returned an impossible count from Read")

// shift moves what may still be needed to the start of the buffer: what stands before the next element or candidate, or
// before a word that the end of the buffer may have cut.
func (s *Scanner) shift() {
	keep := s.pos
	if !s.array.open {
		keep = s.end
		for _, a := range s.anchors {
			keep = min(keep, a.from)
		}
		keep = max(keep-len("authori"), s.pos)
	}
	n := keep - lookBehind
	if n <= 0 {
		return
	}
	copy(s.buf, s.buf[n:s.end])
	s.base += int64(n)
	s.end -= n
	s.pos = max(0, s.pos-n)
	for k := range s.anchors {
		s.anchors[k].from = max(0, s.anchors[k].from-n)
	}
}
