package hub

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/acmeauthz/acmeauthz/examples/fleet/wire"
	"github.com/nats-io/nats.go/jetstream"
)

// What is left in the object store, and how it goes. An object is some chunks and then a record that names them; deleting one
// by the client library leaves that record, for ever. Snapshots have new names all the time, so both are purged here. A hub
// that is killed while it writes a snapshot leaves chunks that no record names.

// A store purges the object store of snapshots.
type store struct {
	js       jetstream.JetStream
	suspects map[string]bool // chunks that nothing named when they were looked at last, by NUID
}

const (
	storeStream = "OBJ_" + wire.HistoryStore
	chunkPrefix = "$O." + wire.HistoryStore + ".C."
	namePrefix  = "$O." + wire.HistoryStore + ".M."
)

func nameSubject(name string) string {
	return namePrefix + base64.URLEncoding.EncodeToString([]byte(name))
}

// patience is how long reading or writing an object may take, by its size. Without a deadline, the library has one of seconds
// for each chunk, and gives up; with one, an answer that is lost is waited for as long.
func patience(size uint64) time.Duration {
	return 30*time.Second + time.Duration(size/1e6)*time.Second
}

func (s *store) write(ctx context.Context, objects jetstream.ObjectStore, name string, data []byte) error {
	ctx, cancel := context.WithTimeout(ctx, patience(uint64(len(data))))
	defer cancel()
	_, err := objects.PutBytes(ctx, name, data)
	return err
}

func (s *store) read(ctx context.Context, objects jetstream.ObjectStore, name string) ([]byte, error) {
	limited, cancel := context.WithTimeout(ctx, patience(0))
	info, err := objects.GetInfo(limited, name)
	cancel()
	if err != nil {
		return nil, err
	}
	limited, cancel = context.WithTimeout(ctx, patience(info.Size))
	defer cancel()
	return objects.GetBytes(limited, name)
}

// remove removes an object, with all that is left of it. Who reads it meanwhile finds that it is not whole.
func (s *store) remove(ctx context.Context, name string) error {
	stream, err := s.js.Stream(ctx, storeStream)
	if err != nil {
		return err
	}
	m, err := stream.GetLastMsgForSubject(ctx, nameSubject(name))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	var info jetstream.ObjectInfo
	if err := json.Unmarshal(m.Data, &info); err != nil {
		return fmt.Errorf("the object %s: %w", name, err)
	}
	if err := stream.Purge(ctx, jetstream.WithPurgeSubject(nameSubject(name))); err != nil {
		return err
	}
	return purgeChunks(ctx, stream, info.NUID)
}

// purgeChunks purges the chunks of an object. A NUID that is none could name those of all.
func purgeChunks(ctx context.Context, stream jetstream.Stream, nuid string) error {
	if nuid == "" || strings.ContainsAny(nuid, ".*> ") {
		return fmt.Errorf("%q names no chunks", nuid)
	}
	return stream.Purge(ctx, jetstream.WithPurgeSubject(chunkPrefix+nuid))
}

// look lists the objects, and removes what is left of objects: records of deleted ones at once, and chunks that nothing has
// named at two looks, which should be further apart than writing a snapshot takes.
func (s *store) look(ctx context.Context) (names []string, err error) {
	stream, err := s.js.Stream(ctx, storeStream)
	if err != nil {
		return nil, err
	}
	chunks, err := stream.Info(ctx, jetstream.WithSubjectFilter(chunkPrefix+">"))
	if err != nil {
		return nil, err
	}
	unnamed := make(map[string]bool)
	for subject := range chunks.State.Subjects {
		unnamed[strings.TrimPrefix(subject, chunkPrefix)] = true
	}
	listed, err := stream.Info(ctx, jetstream.WithSubjectFilter(namePrefix+">"))
	if err != nil {
		return nil, err
	}
	for m, err := range messages(ctx, s.js, storeStream, 1, namePrefix+">") {
		if err != nil {
			return nil, err
		}
		delete(listed.State.Subjects, m.Subject())
		var info jetstream.ObjectInfo
		if err := json.Unmarshal(m.Data(), &info); err != nil {
			continue // it is nobody's of ours
		}
		delete(unnamed, info.NUID)
		if info.Deleted {
			if err := stream.Purge(ctx, jetstream.WithPurgeSubject(m.Subject())); err != nil {
				return nil, err
			}
			continue
		}
		names = append(names, info.Name)
	}
	if len(listed.State.Subjects) > 0 {
		return nil, errBehind // or they were removed just now: the next look will tell
	}
	for nuid := range unnamed {
		if s.suspects[nuid] {
			if err := purgeChunks(ctx, stream, nuid); err != nil {
				return nil, err
			}
			delete(unnamed, nuid)
		}
	}
	s.suspects = unnamed
	return names, nil
}

// lookTime bounds a look at the store.
const lookTime = 2 * time.Minute

// tidyStore looks at the store now and then until ctx ends, and hands the owners the names of their objects.
func (h *Hub) tidyStore(ctx context.Context) {
	tick := time.NewTicker(h.tidyEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		limited, cancel := context.WithTimeout(ctx, lookTime)
		names, err := h.store.look(limited)
		cancel()
		if err != nil && ctx.Err() == nil {
			h.config.log().Warn("the store of snapshots is not tidied up", "error", err)
		}
		h.handOut(ctx, names)
	}
}

func (h *Hub) handOut(ctx context.Context, names []string) {
	byAccount := make(map[string][]string)
	for _, name := range names {
		token, _, _ := strings.Cut(name, ".")
		byAccount[token] = append(byAccount[token], name)
	}
	h.mu.Lock()
	owners := make(map[*owned][]string)
	for token, o := range h.owned {
		if len(byAccount[token]) > 1 {
			owners[o] = byAccount[token]
		}
	}
	h.mu.Unlock()
	for o, names := range owners {
		select {
		case o.orphans <- names:
		case <-o.lease.context.Done():
		case <-ctx.Done():
		}
	}
}
