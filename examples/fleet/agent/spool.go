package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/acmeauthz/acmeauthz/examples/fleet/wire"
)

// A spool keeps shards on the disk until the server has them, a file each, named in the order of writing:
//
//	00000000000000000007-0123456789abcdef0123456789abcdef.shard
//
// A file is there as a whole or not at all. What the server refuses for ever is kept aside, for a person, and keeps back
// nothing; when much is aside already, as it is the server's settings that are wrong, it stays, to be tried again later.
type spool struct {
	dir, refused string
	limit        int64
	log          logger

	mu    sync.Mutex
	files []shardFile // the oldest first
	later []shardFile // to be tried again when the others are sent
	size  int64       // of both
	next  uint64
	added chan struct{} // has room for one: something was added

	aside            int // files that were set aside before
	refusals, spoilt int // messages
	forbidden        bool
}

// A shardFile is a file of the spool.
type shardFile struct {
	name string
	size int64
}

const (
	shardSuffix = ".shard"
	maxRefused  = 100 // files that are kept aside
)

func openSpool(dir string, limit int64, log logger) (*spool, error) {
	s := &spool{dir: filepath.Join(dir, "spool"), refused: filepath.Join(dir, "refused"), limit: limit, log: log, added: make(chan struct{}, 1)}
	for _, d := range []string{s.dir, s.refused} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return nil, err
		}
	}
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		var n uint64
		if _, err := fmt.Sscanf(e.Name(), "%020d-", &n); err != nil || !strings.HasSuffix(e.Name(), shardSuffix) {
			_ = os.Remove(filepath.Join(s.dir, e.Name())) // half a file of a process that was killed
			continue
		}
		if info, err := e.Info(); err == nil {
			s.files = append(s.files, shardFile{e.Name(), info.Size()})
			s.size += info.Size()
			s.next = max(s.next, n+1)
		}
	}
	slices.SortFunc(s.files, func(a, b shardFile) int { return strings.Compare(a.name, b.name) })
	kept, err := os.ReadDir(s.refused)
	if err != nil {
		return nil, err
	}
	s.aside = len(kept)
	s.signal()
	return s, nil
}

func (s *spool) signal() {
	select {
	case s.added <- struct{}{}:
	default:
	}
}

// full reports whether nothing more may be added.
func (s *spool) full() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.size >= s.limit
}

// waiting is how many bytes are not sent.
func (s *spool) waiting() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.size
}

// add writes a shard, on the disk when it returns.
func (s *spool) add(data []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	name := fmt.Sprintf("%020d-%s%s", s.next, wire.MessageID(data), shardSuffix)
	if err := errors.Join(writeFile(filepath.Join(s.dir, name), data), syncDirectory(s.dir)); err != nil {
		return err
	}
	s.next++
	s.files = append(s.files, shardFile{name, int64(len(data))})
	s.size += int64(len(data))
	s.signal()
	return nil
}

// writeFile writes a file as a whole. Its content is on the disk when it returns; its name, when the directory is.
func writeFile(path string, data []byte) error {
	temporary := path + ".tmp"
	f, err := os.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(temporary, path)
	}
	if err != nil {
		_ = os.Remove(temporary)
	}
	return err
}

// first is the oldest shard. It reports false if there is none.
func (s *spool) first() (shardFile, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.files) == 0 {
		return shardFile{}, false
	}
	return s.files[0], true
}

// take takes a shard out of the list. If it is kept, it stays in the spool, for later.
func (s *spool) take(f shardFile, keep bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := slices.Index(s.files, f); i >= 0 {
		s.files = slices.Delete(s.files, i, i+1)
	}
	if keep {
		s.later = append(s.later, f)
		return
	}
	s.size -= f.size
}

// sent removes a shard that the server has.
func (s *spool) sent(f shardFile) {
	if err := os.Remove(s.path(f)); err != nil && !errors.Is(err, os.ErrNotExist) {
		s.log.Warn("a shard that was sent cannot be removed, and is sent again after a restart", "error", err)
	}
	s.take(f, false)
}

// setAside moves a shard out of the spool, for a person, and counts it; if it cannot, or so much is aside already, the shard
// stays.
func (s *spool) setAside(f shardFile, n *int) {
	kept, err := os.ReadDir(s.refused)
	if err == nil && len(kept) < maxRefused {
		err = os.Rename(s.path(f), filepath.Join(s.refused, f.name))
	}
	stays := err != nil || len(kept) >= maxRefused
	if !stays {
		s.count(n)
	}
	s.take(f, stays)
}

func (s *spool) path(f shardFile) string { return filepath.Join(s.dir, f.name) }

// again lets what was to be tried later be tried.
func (s *spool) again() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.files, s.later = append(s.files, s.later...), nil
}

// errSpoilt means that a shard is not what was written.
var errSpoilt = errors.New("it was changed on the disk")

// read reads a shard, and checks that it is what was written.
func (s *spool) read(f shardFile) ([]byte, error) {
	data, err := os.ReadFile(s.path(f))
	if err == nil && !strings.HasSuffix(f.name, "-"+wire.MessageID(data)+shardSuffix) {
		err = errSpoilt
	}
	return data, err
}

// How long the sender waits after a failure, the first time and at most.
const (
	firstPause = 200 * time.Millisecond
	lastPause  = 30 * time.Second
)

// send publishes what is in the spool, in order, until ctx ends, or if once is set until all was tried.
func (s *spool) send(ctx context.Context, p Publisher, subject string, once bool) {
	wait := firstPause
	again := time.NewTicker(lastPause)
	defer again.Stop()
	for ctx.Err() == nil {
		f, ok := s.first()
		if !ok {
			if once {
				return
			}
			select {
			case <-ctx.Done():
			case <-s.added:
			case <-again.C:
				s.again()
			}
			continue
		}
		data, err := s.read(f)
		switch {
		case err == nil:
			err = p.Publish(ctx, subject, wire.MessageID(data), data)
		case errors.Is(err, os.ErrNotExist):
			s.log.Error("a shard is not in the spool any more", "error", err)
			s.count(&s.spoilt)
			s.take(f, false)
			continue
		case errors.Is(err, errSpoilt):
			s.log.Error("a shard in the spool was changed", "file", f.name)
			s.setAside(f, &s.spoilt)
			continue
		default:
			s.log.Error("a shard in the spool cannot be read now", "error", err)
			s.take(f, true)
			continue
		}
		switch {
		case err == nil:
			s.sent(f)
			s.forbid(false)
			wait = firstPause
			continue
		case forbidden(err):
			s.forbid(true)
			if once {
				s.log.Error("the server lets this agent send nothing", "error", err)
				return
			}
		case permanent(err):
			s.log.Error("the server refuses a shard", "file", f.name, "error", err)
			s.setAside(f, &s.refusals)
			continue
		case ctx.Err() != nil:
			return
		}
		s.log.Warn("a shard was not sent", "error", err, "waiting", s.waiting())
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
		wait = min(2*wait, lastPause)
	}
}

// forbid notes whether the server lets this agent send.
func (s *spool) forbid(is bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forbidden = is
}

func (s *spool) count(n *int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	*n++
}

// problem is what a person should know of the shards that were not sent.
func (s *spool) problem() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.forbidden:
		return "the server lets this agent send nothing: is the name that of its nkey or credentials, and are its permissions there?"
	case s.refusals > 0:
		return fmt.Sprintf("the server has refused some shards (%d); they are in %s", s.refusals, s.refused)
	case s.spoilt > 0:
		return fmt.Sprintf("some shards (%d) were lost in the spool; what is left of them is in %s", s.spoilt, s.refused)
	case len(s.later) > 0:
		return fmt.Sprintf("some shards (%d) cannot be sent now; they are in %s", len(s.later), s.dir)
	case s.aside > 0:
		return fmt.Sprintf("some shards (%d) that could not be sent are in %s", s.aside, s.refused)
	}
	return ""
}
