package logparse

import (
	"bufio"
	"compress/bzip2"
	"encoding/binary"
	"io"
	"unicode/utf16"
	"unicode/utf8"
)

// A bzip2Reader reads bzip2 streams that follow one another, and leaves in what comes after them.
type bzip2Reader struct {
	in     *bufio.Reader
	bzip2  io.Reader
	unsure int // how many of the bytes that were read are still in in
}

func newBzip2Reader(in *bufio.Reader) *bzip2Reader {
	r := &bzip2Reader{in: in}
	r.bzip2 = bzip2.NewReader(byByte{r})
	return r
}

// errContinuation is what the library returns if the two bytes after a stream do not start another one.
const errContinuation = bzip2.StructuralError("bad magic value in continuation file")

// Read implements [io.Reader].
func (r *bzip2Reader) Read(b []byte) (int, error) {
	n, err := r.bzip2.Read(b)
	if err == errContinuation {
		err = io.EOF
	}
	return n, err
}

// byByte is the input of the library, which reads no more than it needs from an io.ByteReader, and so at most two bytes
// after a stream. The last two bytes stay in in for that.
type byByte struct{ *bzip2Reader }

// ReadByte implements [io.ByteReader].
func (r byByte) ReadByte() (byte, error) {
	if r.unsure == 2 {
		r.in.Discard(1)
		r.unsure--
	}
	b, err := r.in.Peek(r.unsure + 1)
	if len(b) <= r.unsure {
		r.in.Discard(r.unsure)
		r.unsure = 0
		return 0, err
	}
	r.unsure++
	return b[r.unsure-1], nil
}

// A utf16Reader makes UTF-8 of UTF-16 as soon as it comes. What is not valid becomes U+FFFD.
type utf16Reader struct {
	in    *bufio.Reader
	order binary.ByteOrder
	high  rune   // the first half of a surrogate pair, or 0
	text  []byte // decoded and not read yet
	buf   []byte // for text
}

// Read implements [io.Reader].
func (r *utf16Reader) Read(b []byte) (int, error) {
	for len(r.text) == 0 {
		if err := r.decode(); err != nil && len(r.text) == 0 {
			return 0, err
		}
	}
	n := copy(b, r.text)
	r.text = r.text[n:]
	return n, nil
}

// decode decodes what has come.
func (r *utf16Reader) decode() error {
	r.buf = r.buf[:0]
	rest, err := r.in.Peek(2)
	if err != nil {
		if len(rest) > 0 || r.high != 0 { // half a character is left
			r.buf = utf8.AppendRune(r.buf, utf8.RuneError)
		}
		r.high = 0
		r.in.Discard(len(rest))
		r.text = r.buf
		return err
	}
	units, _ := r.in.Peek(r.in.Buffered() &^ 1)
	for i := 0; i < len(units); i += 2 {
		r.put(rune(r.order.Uint16(units[i:])))
	}
	r.in.Discard(len(units))
	r.text = r.buf
	return nil
}

// put decodes a code unit.
func (r *utf16Reader) put(unit rune) {
	if r.high != 0 {
		c := utf16.DecodeRune(r.high, unit)
		r.high = 0
		r.buf = utf8.AppendRune(r.buf, c)
		if c != utf8.RuneError {
			return
		}
	}
	if 0xd800 <= unit && unit < 0xdc00 {
		r.high = unit
		return
	}
	r.buf = utf8.AppendRune(r.buf, unit)
}
