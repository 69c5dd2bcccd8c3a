package agent

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// How files are told apart.
//
// A log is a name; its text is in generations, one after the other, each of which is a file that rotation renames, copies and
// compresses. A generation is known by its text, after decompression: by the start, and by what was read last. Those stay,
// whatever happens to the file. Device, inode, size and time only save reading them again.

// headSize is how much of a generation's start tells it from others.
const headSize = 1 << 10

// tailSize is how much of what was read last tells a generation from others that begin alike.
const tailSize = 256

// A head is a part of a text, such as its start: its length, at most headSize, and its hash.
type head struct {
	Length int    `json:"length"`
	Hash   string `json:"hash"`
}

func headOf(text []byte) head {
	text = text[:min(len(text), headSize)]
	sum := sha256.Sum256(text)
	return head{len(text), fmt.Sprintf("%x", sum[:16])}
}

// fits reports whether a text starts with the head.
func (h head) fits(text []byte) bool { return len(text) >= h.Length && headOf(text[:h.Length]) == h }

// number is what a generation is called: it stands in the names of places.
func (h head) number() uint64 {
	sum := sha256.Sum256([]byte(h.Hash))
	return binary.BigEndian.Uint64(sum[:]) % 1e16
}

// A stamp is what a file looks like from outside.
type stamp struct {
	Device uint64    `json:"device,omitempty"`
	Inode  uint64    `json:"inode,omitempty"`
	Size   int64     `json:"size"`
	Time   time.Time `json:"time"`
}

// sameFile reports whether two stamps are of one file, whatever was added to it. Where the system tells files not apart, all
// are the same.
func (s stamp) sameFile(other stamp) bool { return s.Device == other.Device && s.Inode == other.Inode }

// A candidate is a file that may be a generation of a log.
type candidate struct {
	path  string
	stamp stamp
}

// rotatedName matches what rotation adds to a log's name.
var rotatedName = regexp.MustCompile(`^([.-][0-9][0-9._-]*)?(\.(gz|zst|bz2))?$`)

// endings are those of the names of compressed files.
var endings = []string{".gz", ".zst", ".bz2"}

// A listing is the names of the files that rotation may have made of each log, and of the log itself; or why there is none.
type listing struct {
	names map[string][]string
	err   map[string]error // by directory
}

// list lists the directories of logs, each once: a directory may have thousands of them.
func list(logs []string) listing {
	all := listing{make(map[string][]string, len(logs)), make(map[string]error)}
	wanted := make(map[string]map[string]bool)
	for _, path := range logs {
		directory, base := filepath.Split(path)
		if wanted[directory] == nil {
			wanted[directory] = make(map[string]bool)
		}
		wanted[directory][base] = true
	}
	for directory, bases := range wanted {
		entries, err := os.ReadDir(directory)
		all.err[directory] = err
		for _, e := range entries {
			for base := range origins(e.Name()) {
				if bases[base] {
					all.names[directory+base] = append(all.names[directory+base], directory+e.Name())
				}
			}
		}
	}
	return all
}

// origins yields the names of the logs that a file may be of: its own, and those of which rotation may have made it.
func origins(name string) iter.Seq[string] {
	return func(yield func(string) bool) {
		if !yield(name) {
			return
		}
		plain := strings.TrimRight(name, "0123456789._-")
		for _, ending := range endings {
			if cut, ok := strings.CutSuffix(name, ending); ok {
				plain = strings.TrimRight(cut, "0123456789._-")
			}
		}
		for i := max(len(plain), 1); i < len(name); i++ {
			if (name[i] == '.' || name[i] == '-') && rotatedName.MatchString(name[i:]) && !yield(name[:i]) {
				return
			}
		}
	}
}

// candidates returns the regular files that rotation may have made of a log, the oldest first, and the log itself last.
func (x listing) candidates(path string) ([]candidate, error) {
	directory, _ := filepath.Split(path)
	if err := x.err[directory]; err != nil {
		return nil, err
	}
	var all []candidate
	for _, name := range x.names[path] {
		info, err := os.Stat(name)
		if err != nil || !info.Mode().IsRegular() {
			continue // it was removed or renamed meanwhile; or it is none that can be read again
		}
		all = append(all, candidate{name, stampOf(info)})
	}
	slices.SortFunc(all, func(a, b candidate) int {
		switch {
		case a.path == path:
			return 1
		case b.path == path:
			return -1
		}
		if c := a.stamp.Time.Compare(b.stamp.Time); c != 0 {
			return c
		}
		return strings.Compare(b.path, a.path) // x.log.2 is older than x.log.1
	})
	return all, nil
}

func stampOf(info fs.FileInfo) stamp {
	device, inode := fileID(info)
	return stamp{device, inode, info.Size(), info.ModTime().UTC()}
}

// isRotated reports whether a path is that of a file which rotation made of another.
func isRotated(path string, all map[string]bool) bool {
	directory, name := filepath.Split(path)
	for base := range origins(name) {
		if base != name && all[directory+base] {
			return true
		}
	}
	return false
}

// A text is a file as it was before it was compressed.
type text struct {
	file *os.File
	io.Reader
	compressed bool
	close      func() error
	buffer     []byte
	used       int // bytes of buffer that were returned
}

// errNotRegular means that a file is a pipe, say, or a directory.
var errNotRegular = errors.New("it is no regular file")

// openText opens a file at the start of its text, and tells what it looks like: a path may be another file's than when it was
// last looked at. It does not wait for the other end of a pipe.
func openText(path string) (*text, stamp, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|openFlags, 0)
	if err != nil {
		return nil, stamp{}, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errNotRegular
	}
	if err != nil {
		return nil, stamp{}, errors.Join(err, f.Close())
	}
	t := &text{file: f, close: func() error { return nil }}
	b := bufio.NewReaderSize(f, 64<<10)
	magic, _ := b.Peek(4)
	switch {
	case bytes.HasPrefix(magic, []byte{0x1f, 0x8b}):
		z, err := gzip.NewReader(b)
		if err != nil {
			return nil, stamp{}, errors.Join(unexpected(err), f.Close())
		}
		t.Reader, t.compressed = z, true
	case bytes.Equal(magic, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		z, err := zstd.NewReader(b, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(128<<20))
		if err != nil {
			return nil, stamp{}, errors.Join(unexpected(err), f.Close())
		}
		t.Reader, t.compressed, t.close = z, true, func() error { z.Close(); return nil }
	case bytes.HasPrefix(magic, []byte("BZh")):
		t.Reader, t.compressed = bzip2.NewReader(b), true
	default:
		t.Reader = b
	}
	return t, stampOf(info), nil
}

// unexpected is an error where there should be more.
func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// skip goes to a place in the text.
func (t *text) skip(ctx context.Context, offset int64) error {
	if !t.compressed {
		_, err := t.file.Seek(offset, io.SeekStart)
		t.Reader = t.file
		return err
	}
	for offset > 0 {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		n, err := io.CopyN(io.Discard, t, min(offset, 4<<20))
		if err != nil {
			return unexpected(err)
		}
		offset -= n
	}
	return nil
}

// chunkSize is how much is read together, and longestLine what a line may have that is not cut.
const (
	chunkSize   = 256 << 10
	longestLine = 1 << 20
)

// next returns the whole lines that come next. With an error, such as io.EOF, it returns the rest as well, which has no end. A
// line that is too long is cut as logparse does: where no URL is. The slices are valid until the next call.
func (t *text) next() (whole, rest []byte, err error) {
	t.buffer = append(t.buffer[:0], t.buffer[t.used:]...)
	t.used = 0
	for err == nil {
		if t.buffer = slices.Grow(t.buffer, max(0, chunkSize-len(t.buffer))); len(t.buffer) == cap(t.buffer) {
			t.buffer = slices.Grow(t.buffer, chunkSize)
		}
		var n int
		n, err = fill(t, t.buffer[len(t.buffer):cap(t.buffer)])
		t.buffer = t.buffer[:len(t.buffer)+n]
		if t.used = bytes.LastIndexByte(t.buffer, '\n') + 1; t.used == 0 && len(t.buffer) >= longestLine {
			end := len(t.buffer) - 4096
			t.used = end + bytes.LastIndexAny(t.buffer[end:], " \t\"'<>,") + 1
			if t.used == end {
				t.used = len(t.buffer)
			}
		}
		if t.used > 0 {
			break
		}
	}
	return t.buffer[:t.used], t.buffer[t.used:], err
}

// fill reads until a buffer is full, or something is wrong. Unlike io.ReadFull it does not hide that half a compressed file
// ends unexpectedly.
func fill(r io.Reader, buffer []byte) (n int, err error) {
	for n < len(buffer) && err == nil {
		var k int
		k, err = r.Read(buffer[n:])
		n += k
	}
	return n, err
}

// Close closes the file.
func (t *text) Close() error { return errors.Join(t.close(), t.file.Close()) }

// readHead returns the start of a file's text, whether it is compressed, and what the file looks like.
func readHead(path string) (head []byte, compressed bool, s stamp, err error) {
	t, s, err := openText(path)
	if err != nil {
		return nil, false, s, err
	}
	defer t.Close()
	head = make([]byte, headSize)
	n, err := fill(t, head)
	if err == io.EOF {
		err = nil
	}
	return head[:n], t.compressed, s, err
}

// endsSo reports whether the text of a file has a certain end at a place.
func endsSo(ctx context.Context, path string, end head, at int64) (bool, error) {
	t, _, err := openText(path)
	if err != nil {
		return false, err
	}
	defer t.Close()
	if err := t.skip(ctx, at-int64(end.Length)); err != nil {
		return false, err
	}
	text := make([]byte, end.Length)
	if _, err := fill(t, text); err != nil && err != io.EOF {
		return false, err
	}
	return headOf(text) == end, nil
}

// comparedSize is how much of two files is compared: beyond it they are taken for the same.
const comparedSize = 16 << 20

// isCopy reports whether the text of a file, which may still be written, is the start of another one's.
func isCopy(path, of string) bool {
	a, _, err := openText(path)
	if err != nil {
		return false
	}
	defer a.Close()
	b, _, err := openText(of)
	if err != nil {
		return false
	}
	defer b.Close()
	x, y := make([]byte, 64<<10), make([]byte, 64<<10)
	for range comparedSize / len(x) {
		n, err := fill(a, x)
		m, _ := fill(b, y[:n])
		if !bytes.Equal(x[:n], y[:m]) {
			return false
		}
		if err != nil {
			return true
		}
	}
	return true
}
