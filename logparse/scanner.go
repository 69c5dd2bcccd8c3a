package logparse

import (
	"encoding/binary"
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
// They have no letters in common but for "auth", and each has at least five. So of four places in a row one falls into the
// first four pairs of letters of any of them ("au", "ut", "th", "hz"), and it is enough to look up the pair at every fourth
// place in a table. Where it is one of theirs, the table says how far from it the word starts, and only where that word
// stands does matcher look at the surroundings. There are no lines: they say nothing about URLs, may be longer than memory,
// and finding their ends would cost as much again.
//
// What was tried: bytes.IndexByte for the letters z, Z and h. It uses vector instructions, but Certbot logs much in base64,
// where each letter comes every 64 bytes and ends a call.
//
//	buf:  behind | searched |candidate| to search | free
//	      0      pos        from                  end    len(buf)
//
// Invariants:
//   - what stands before pos has been reported, or holds nothing; a URL starts at pos or later.
//   - no word starts between pos and from.
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
	from int
	end  int
	base int64

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
	s.r, s.err, s.end = r, nil, 0
	s.restart()
}

// resetText makes s scan a complete text, where it is. Another Reset must not follow, but by resetText.
func (s *Scanner) resetText(text []byte) {
	s.r, s.err = failingReader{io.EOF}, io.EOF
	s.buf, s.end = text, len(text)
	s.restart()
}

// restart forgets what was scanned.
func (s *Scanner) restart() {
	s.pos, s.from, s.base = 0, 0, 0
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
	word, kind := s.next()
	switch {
	case kind == noWord:
		return more
	case kind == keyWord && word > s.pos && (s.buf[word-1] == '"' || s.buf[word-1] == '\''):
		return s.openArray(word)
	case !afterSlash(s.buf[:word]):
		s.pos = word + minWord
		return none
	}
	start, end, o := s.matcher.find(s.text(word), max(s.pos, word-maxRaw), word)
	switch o {
	case none:
		s.pos = word + minWord
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
	if s.pos >= s.end {
		return more // also at the end of a piece: the array goes on in the next one
	}
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

// next returns the position of the first word at pos or later, and moves from there. There is noWord if more must be read.
func (s *Scanner) next() (word int, kind wordKind) {
	b := s.buf[:s.end]
	if s.from, kind = search(b, max(s.from, s.pos)); kind != noWord {
		return s.from, kind
	}
	for ; s.from+maxWord <= len(b) || s.err != nil && s.from < len(b); s.from++ {
		if kind = wordAt(b[s.from:]); kind != noWord {
			break
		}
	}
	return s.from, kind
}

// search returns the position of the first word in b that starts at from or later. There is noWord if none starts before
// the position; words that the end of b may have cut start there or later.
func search(b []byte, from int) (word int, kind wordKind) {
	t := b[from:]
	for len(t) >= 2*eight+stride {
		low, high := binary.LittleEndian.Uint64(t), binary.LittleEndian.Uint64(t[eight:])
		if pairs[uint16(low)]|pairs[uint16(low>>32)]|pairs[uint16(high)]|pairs[uint16(high>>32)] != 0 {
			at := len(b) - len(t)
			for i := at; i < at+2*eight; i += stride {
				pair := pairs[binary.LittleEndian.Uint16(b[i:])]
				if word = i + 1 - int(pair); pair == 0 || word < from {
					continue
				}
				if kind = wordAt(b[word:]); kind != noWord {
					return word, kind
				}
			}
		}
		t = t[2*eight:]
	}
	return max(from, len(b)-len(t)-3), noWord
}

const (
	eight  = 8
	stride = 4
)

// pairs has the first four pairs of letters of each word, as they are read from a text in little-endian order, with their
// places in the word, counted from 1.
var pairs = func() (t [1 << 16]uint8) {
	for _, word := range []string{"authz", "authZ", "authoriz", "chall"} {
		for i := range 4 {
			t[int(word[i])|int(word[i+1])<<8] = uint8(i + 1)
		}
	}
	return t
}()

// The lengths of the words.
const (
	minWord = len("authz")
	maxWord = len("authoriz")
)

// A wordKind tells apart the words that candidates have.
type wordKind uint8

const (
	noWord   wordKind = iota
	pathWord          // it stands in a path: authz, authZ, chall
	keyWord           // or is the start of a key: authoriz
)

// wordAt returns which kind of word b starts with.
func wordAt(b []byte) wordKind {
	if len(b) < minWord {
		return noWord
	}
	switch string(b[:minWord]) {
	case "authz", "authZ", "chall":
		return pathWord
	case "autho":
		if len(b) >= maxWord && string(b[minWord:maxWord]) == "riz" {
			return keyWord
		}
	}
	return noWord
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
	n, err := read(s.r, s.buf[s.end:])
	s.end += n
	s.err = err
	return true
}

// read is r.Read for a reader that may be wrong. It returns something: bytes, an error or both.
func read(r io.Reader, b []byte) (n int, err error) {
	for range maxEmptyReads {
		n, err = r.Read(b)
		if n < 0 || n > len(b) {
			return 0, errRead
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
	return 0, io.ErrNoProgress
}

// maxEmptyReads is how often a reader may return nothing in a row before it is given up, as in package bufio.
const maxEmptyReads = 100

var errRead = errors.New("reader returned an impossible count from Read")

// shift moves what may still be needed to the start of the buffer: the next element or candidate, and what stands before it.
func (s *Scanner) shift() {
	n := max(s.pos, s.from) - lookBehind
	n -= (n - s.end) & 63 // what is read next starts on a cache line: the kernel copies several times faster there
	if n <= 0 {
		return
	}
	copy(s.buf, s.buf[n:s.end])
	s.base += int64(n)
	s.end -= n
	s.pos = max(0, s.pos-n)
	s.from = max(0, s.from-n)
}
