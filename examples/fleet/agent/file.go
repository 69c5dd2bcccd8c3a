package agent

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
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
// compresses. A generation is known by the start of its text, after decompression: that stays, whatever happens to the file.
// Device, inode, size and time only save reading that start again.

// headSize is how much of a generation's start tells it from others.
const headSize = 1 << 10

// A head is the start of a text: its length, at most headSize, and its hash.
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

// A candidate is a file that may be a generation of a log.
type candidate struct {
	path  string
	stamp stamp
}

// rotatedName matches what rotation adds to a log's name.
var rotatedName = regexp.MustCompile(`^([.-][0-9][0-9._-]*)?(\.(gz|zst|bz2))?$`)

// candidates returns the regular files that rotation may have made of a log, the oldest first, and the log itself last.
func candidates(path string) ([]candidate, error) {
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	var all []candidate
	base := filepath.Base(path)
	for _, e := range entries {
		suffix, ok := strings.CutPrefix(e.Name(), base)
		if !ok || !rotatedName.MatchString(suffix) {
			continue
		}
		name := filepath.Join(filepath.Dir(path), e.Name())
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

// isRotated reports whether a name is that of a file which rotation made of another.
func isRotated(name string, all map[string]bool) bool {
	for i := len(name) - 1; i > 0; i-- {
		if (name[i] == '.' || name[i] == '-') && all[name[:i]] && rotatedName.MatchString(name[i:]) {
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
}

// openText opens a file at the start of its text.
func openText(path string) (*text, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	t := &text{file: f, close: func() error { return nil }}
	b := bufio.NewReaderSize(f, 64<<10)
	magic, _ := b.Peek(4)
	switch {
	case bytes.HasPrefix(magic, []byte{0x1f, 0x8b}):
		z, err := gzip.NewReader(b)
		if err != nil {
			return nil, errors.Join(err, f.Close())
		}
		t.Reader, t.compressed = z, true
	case bytes.Equal(magic, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		z, err := zstd.NewReader(b, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(128<<20))
		if err != nil {
			return nil, errors.Join(err, f.Close())
		}
		t.Reader, t.compressed, t.close = z, true, func() error { z.Close(); return nil }
	case bytes.HasPrefix(magic, []byte("BZh")):
		t.Reader, t.compressed = bzip2.NewReader(b), true
	default:
		t.Reader = b
	}
	return t, nil
}

// skip goes to a place in the text.
func (t *text) skip(offset int64) error {
	if t.compressed {
		_, err := io.CopyN(io.Discard, t, offset)
		return err
	}
	if _, err := t.file.Seek(offset, io.SeekStart); err != nil {
		return err
	}
	t.Reader = t.file
	return nil
}

// Close closes the file.
func (t *text) Close() error { return errors.Join(t.close(), t.file.Close()) }

// readHead returns the start of a file's text, and whether it is compressed.
func readHead(path string) (head []byte, compressed bool, err error) {
	t, err := openText(path)
	if err != nil {
		return nil, false, err
	}
	defer t.Close()
	head = make([]byte, headSize)
	n, err := io.ReadFull(t, head)
	if err == io.ErrUnexpectedEOF || err == io.EOF {
		err = nil
	}
	return head[:n], t.compressed, err
}
