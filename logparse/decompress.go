package logparse

import (
	"bufio"
	"bytes"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// The first bytes of compressed data (RFC 1952 §2.3.1 with the only method there is, RFC 8878 §3.1.1).
const (
	gzipMagic = "\x1f\x8b\x08"
	zstdMagic = "\x28\xb5\x2f\xfd"
)

// maxWindow is the most memory that zstd data may ask for: as much as the zstd tool grants without being told to.
const maxWindow = 128 << 20

// A decompressor reads plain, gzip or zstd data, told apart by their first bytes, and counts what comes out. Gzip members
// and plain text may follow one another: logs are given to cat without regard to their compression. After the first byte
// gzip is recognised at the start of a line only, where a log ends.
type decompressor struct {
	in      *bufio.Reader
	part    io.Reader // what is read now: zstd, a gzip member, or in, if plain; nil before a part
	plain   bool
	gzip    *gzip.Reader
	zstd    *zstd.Decoder
	offset  int64
	newline bool // the last plain byte was a newline
}

func newDecompressor(r io.Reader) *decompressor {
	return &decompressor{in: bufio.NewReaderSize(&stickyReader{r: r}, bufferSize)}
}

// A stickyReader repeats the error of the reader underneath instead of reading on: a bufio.Reader forgets what Peek met.
type stickyReader struct {
	r   io.Reader
	err error
}

// Read implements [io.Reader].
func (s *stickyReader) Read(b []byte) (n int, err error) {
	if s.err == nil {
		n, s.err = s.r.Read(b)
	}
	return n, s.err
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
	switch {
	case len(magic) == 0:
		return err
	case bytes.HasPrefix(magic, []byte(gzipMagic)):
		return d.openGzip()
	case string(magic) == zstdMagic:
		return d.openZstd()
	}
	d.part, d.plain, d.newline = d.in, true, false
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

// readPlain reads plain text up to a line that starts with the first bytes of gzip.
func (d *decompressor) readPlain(b []byte) (int, error) {
	if _, err := d.in.Peek(1); err != nil {
		return 0, err
	}
	text, _ := d.in.Peek(min(d.in.Buffered(), len(b)))
	n := d.gzipAt(text)
	if n == 0 {
		if magic, _ := d.in.Peek(len(gzipMagic)); string(magic) == gzipMagic {
			d.part = nil
			return 0, nil
		}
		n = 1
	}
	copy(b, text[:n])
	d.newline = text[n-1] == '\n'
	return d.in.Discard(n)
}

// gzipAt returns the position of the first line of text that may start with gzipMagic, or len(text).
func (d *decompressor) gzipAt(text []byte) int {
	newline := d.newline
	for i := 0; ; i++ {
		n := bytes.IndexByte(text[i:], gzipMagic[0])
		if n < 0 {
			return len(text)
		}
		if n > 0 {
			newline = text[i+n-1] == '\n'
		}
		i += n
		if newline {
			return i
		}
		newline = false
	}
}
