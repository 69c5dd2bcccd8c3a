package logparse

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// The first bytes of compressed data (RFC 1952 §2.3.1 with the only method there is, RFC 8878 §3.1.1).
const (
	gzipMagic = "\x1f\x8b\x08"
	zstdMagic = "\x28\xb5\x2f\xfd"
)

// Bzip2 data starts with "BZh", the size of its blocks as a digit, and a block or, if there is none, the end.
const (
	bzip2Magic = "BZh"
	bzip2Block = "\x31\x41\x59\x26\x53\x59"
	bzip2End   = "\x17\x72\x45\x38\x50\x90"
)

// The byte order mark, as it starts a text of each encoding (RFC 3629 §6, RFC 2781 §3.2).
const (
	utf8Mark    = "\xef\xbb\xbf"
	utf16Little = "\xff\xfe"
	utf16Big    = "\xfe\xff"
)

// maxWindow is the most memory that zstd data may ask for: as much as the zstd tool grants without being told to.
const maxWindow = 128 << 20

// A decompressor reads plain, gzip, bzip2 or zstd data, told apart by their first bytes, and counts what comes out. Gzip
// members, bzip2 streams and plain text may follow one another: logs are given to cat without regard to their compression.
// After plain text gzip alone is recognised, at the start of a line only, where a log ends: to look for bzip2 there would
// cost plain text much of its speed.
//
// Plain text that starts with a byte order mark is UTF-8 without it, or UTF-16 up to the end, of which UTF-8 is made: the
// output of a command that Windows PowerShell wrote to a file.
type decompressor struct {
	src     *source
	in      *bufio.Reader // buffers src, for everything but plain text
	part    io.Reader     // what is read now: zstd, a gzip member, or in, if plain; nil before a part
	plain   bool
	gzip    *gzip.Reader
	zstd    *zstd.Decoder
	begun   bool // something was read
	offset  int64
	newline bool // the last plain byte was a newline
	suspect bool // the next byte is the first of gzipMagic
}

func newDecompressor(r io.Reader) *decompressor {
	src := &source{r: r}
	return &decompressor{src: src, in: bufio.NewReaderSize(src, 64<<10)}
}

// Close releases what decompression needs. It does not close the reader underneath.
func (d *decompressor) Close() {
	if d.zstd != nil {
		d.zstd.Close()
	}
}

// Read implements [io.Reader].
func (d *decompressor) Read(b []byte) (n int, err error) {
	for len(b) > 0 && n == 0 && err == nil {
		switch {
		case d.part == nil:
			err = d.nextPart()
		case d.plain:
			n, err = d.readPlain(b)
		default:
			n, err = d.part.Read(b)
			if err == io.EOF && d.zstd == nil {
				d.part, err = nil, nil
			}
		}
	}
	d.offset += int64(n)
	return n, err
}

// nextPart finds out what comes next. The error is io.EOF if nothing does.
func (d *decompressor) nextPart() error {
	magic, err := d.in.Peek(len(zstdMagic))
	begun := d.begun
	d.begun = true
	switch {
	case len(magic) == 0:
		return err
	case bytes.HasPrefix(magic, []byte(gzipMagic)):
		return d.openGzip()
	case string(magic) == zstdMagic:
		return d.openZstd()
	case d.atBzip2(magic):
		d.part, d.plain = newBzip2Reader(d.in), false
		return nil
	case !begun && bytes.HasPrefix(magic, []byte(utf16Little)):
		return d.openUTF16(binary.LittleEndian)
	case !begun && bytes.HasPrefix(magic, []byte(utf16Big)):
		return d.openUTF16(binary.BigEndian)
	case !begun && bytes.HasPrefix(magic, []byte(utf8Mark)):
		d.in.Discard(len(utf8Mark))
	}
	d.part, d.plain, d.newline = d.in, true, false
	return nil
}

// atBzip2 reports whether bzip2 data comes next, where magic does.
func (d *decompressor) atBzip2(magic []byte) bool {
	const n = len(bzip2Magic)
	if len(magic) <= n || string(magic[:n]) != bzip2Magic || magic[n] < '1' || magic[n] > '9' {
		return false
	}
	start, _ := d.in.Peek(n + 1 + len(bzip2Block))
	return string(start[n+1:]) == bzip2Block || string(start[n+1:]) == bzip2End
}

// openUTF16 makes the UTF-16 text that comes next, after its byte order mark, the current part.
func (d *decompressor) openUTF16(order binary.ByteOrder) error {
	d.in.Discard(len(utf16Little))
	d.part, d.plain = &utf16Reader{in: d.in, order: order}, false
	return nil
}

// openGzip makes the gzip member that comes next the current part.
func (d *decompressor) openGzip() (err error) {
	if d.gzip == nil {
		d.gzip, err = gzip.NewReader(d.in)
	} else {
		err = d.gzip.Reset(d.in)
	}
	if err != nil {
		return unexpected(err)
	}
	d.gzip.Multistream(false)
	d.part, d.plain = d.gzip, false
	return nil
}

// openZstd makes the zstd data that comes next, up to the end, the current part.
func (d *decompressor) openZstd() (err error) {
	d.zstd, err = zstd.NewReader(d.in, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxWindow(maxWindow))
	d.part, d.plain = d.zstd, false
	return unexpected(err)
}

// unexpected returns err, or io.ErrUnexpectedEOF instead of io.EOF.
func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// readPlain reads plain text up to a line that starts with the first bytes of gzip. While in is empty, which is nearly
// always, it takes the text from src without a copy in between.
func (d *decompressor) readPlain(b []byte) (n int, err error) {
	if d.suspect {
		return d.readSuspect(b)
	}
	if n = d.in.Buffered(); n > 0 {
		text, _ := d.in.Peek(min(n, len(b)))
		n = copy(b, text[:d.plainIn(text)])
		return d.in.Discard(n)
	}
	n, err = d.src.Read(b)
	if plain := d.plainIn(b[:n]); plain < n {
		d.src.unread(b[plain:n])
		return plain, nil
	}
	return n, err
}

// readSuspect ends the part if gzip comes next, and else reads the byte that made it seem so.
func (d *decompressor) readSuspect(b []byte) (n int, err error) {
	d.suspect = false
	if magic, _ := d.in.Peek(len(gzipMagic)); string(magic) == gzipMagic {
		d.part = nil
		return 0, nil
	}
	d.newline = false
	b[0], err = d.in.ReadByte()
	return 1, err
}

// plainIn returns how much of text, which follows on the plain text so far, stands before a line that may start with
// gzipMagic, and remembers what it ends with.
func (d *decompressor) plainIn(text []byte) int {
	for i := 0; ; i++ {
		n := bytes.IndexByte(text[i:], gzipMagic[0])
		if d.suspect = n >= 0; !d.suspect {
			n = len(text) - i
		}
		if i += n; i > 0 {
			d.newline = text[i-1] == '\n'
		}
		if d.newline || !d.suspect {
			return i
		}
	}
}

// A source is the reader underneath. Bytes can be given back to it, and it repeats that reader's error instead of reading
// on, as a bufio.Reader forgets an error that Peek met.
type source struct {
	r    io.Reader
	err  error
	back []byte // given back, not read again yet
	last []byte // back, as it was before the last Read
}

// Read implements [io.Reader].
func (s *source) Read(b []byte) (n int, err error) {
	if s.last = s.back; len(s.back) > 0 {
		n = copy(b, s.back)
		s.back = s.back[n:]
		return n, nil
	}
	if s.err == nil {
		n, s.err = s.r.Read(b)
	}
	return n, s.err
}

// unread gives back b, the end of what the last Read returned.
func (s *source) unread(b []byte) {
	if len(s.last) > 0 {
		s.back = s.last[len(s.last)-len(s.back)-len(b):]
	} else {
		s.back = bytes.Clone(b)
	}
}
