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
// nothing.
type spool struct {
	dir, refused string
	limit        int64
	log          logger

	mu    sync.Mutex
	files []string // names, the oldest first
	size  int64
	next  uint64
	added chan struct{} // has room for one: something was added

	sent, turned int64 // messages
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
			s.files = append(s.files, e.Name())
			s.size += info.Size()
			s.next = max(s.next, n+1)
		}
	}
	slices.Sort(s.files)
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
	if err := writeFile(filepath.Join(s.dir, name), data); err != nil {
		return err
	}
	s.next++
	s.files = append(s.files, name)
	s.size += int64(len(data))
	s.signal()
	return nil
}

// writeFile writes a file as a whole, on the disk when it returns.
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

// first is the oldest shard, "" if there is none.
func (s *spool) first() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.files) == 0 {
		return ""
	}
	return s.files[0]
}

// remove takes the oldest shard away: it was sent, or it is kept aside.
func (s *spool) remove(name string, size int, aside bool) {
	path := filepath.Join(s.dir, name)
	if aside {
		kept, _ := os.ReadDir(s.refused)
		if len(kept) < maxRefused {
			_ = os.Rename(path, filepath.Join(s.refused, name))
		}
	}
	_ = os.Remove(path)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.files = s.files[1:]
	s.size -= int64(size)
	if aside {
		s.turned++
	} else {
		s.sent++
	}
}

// How long the sender waits after a failure, the first time and at most.
const (
	firstPause = 200 * time.Millisecond
	lastPause  = 30 * time.Second
)

// send publishes what is in the spool, in order, until ctx ends, or if once is set until it is empty.
func (s *spool) send(ctx context.Context, p Publisher, subject string, once bool) {
	wait := firstPause
	for ctx.Err() == nil {
		name := s.first()
		if name == "" {
			if once {
				return
			}
			select {
			case <-ctx.Done():
			case <-s.added:
			}
			continue
		}
		data, err := os.ReadFile(filepath.Join(s.dir, name))
		if err != nil {
			s.log.Error("a shard in the spool cannot be read", "file", name, "error", err)
			s.remove(name, 0, true)
			continue
		}
		err = p.Publish(ctx, subject, wire.MessageID(data), data)
		switch {
		case err == nil:
			s.remove(name, len(data), false)
			wait = firstPause
			continue
		case permanent(err):
			s.log.Error("the server refuses a shard; it is kept aside", "file", name, "error", err)
			s.remove(name, len(data), true)
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

// refusals is how many shards the server has refused for ever.
func (s *spool) refusals() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.turned
}
