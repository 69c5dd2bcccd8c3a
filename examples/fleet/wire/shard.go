package wire

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"strings"

	"github.com/acmeauthz/acmeauthz/logparse"
	"github.com/klauspost/compress/zstd"
)

// A shard is a piece of a History: what an agent has read since the last one, or what a hub has learned. It travels as
// zstd-compressed JSON. Shards may come in any order and several times, since Histories merge to the same whatever the
// order (logparse.History.Merge).

// EncodeHistory returns a History as a shard or a snapshot.
func EncodeHistory(h *logparse.History) ([]byte, error) {
	data, _, err := encode(h)
	return data, err
}

// encode is EncodeHistory, and tells whether that is a shard.
func encode(h *logparse.History) (data []byte, shard bool, err error) {
	plain, err := h.MarshalJSON()
	if err != nil {
		return nil, false, err
	}
	// Small tables: an encoder is made for each shard, and others make it no smaller.
	w, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(256<<10), zstd.WithLowerEncoderMem(true), zstd.WithEncoderLevel(zstd.SpeedFastest))
	if err != nil {
		return nil, false, err
	}
	data = w.EncodeAll(plain, nil)
	return data, len(data) <= MaxMessage && len(plain) <= MaxShard && bytes.Count(plain, []byte{'{'}) <= maxObjects, w.Close()
}

// DecodeHistory reads what EncodeHistory returned, if it is at most limit bytes of JSON. The size is in bytes of JSON, too.
func DecodeHistory(data []byte, limit int64) (h *logparse.History, size int64, err error) {
	plain, err := decompress(data, limit)
	if err != nil {
		return nil, 0, err
	}
	h = new(logparse.History)
	return h, int64(len(plain)), json.Unmarshal(plain, h)
}

func decompress(data []byte, limit int64) ([]byte, error) {
	r, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(uint64(limit)))
	if err != nil {
		return nil, err
	}
	defer r.Close()
	plain, err := r.DecodeAll(data, nil)
	if err != nil {
		return nil, fmt.Errorf("it is no History of at most %d bytes: %w", limit, err)
	}
	return plain, nil
}

// maxObjects is how many objects of JSON a shard has at most. An agent makes one of 2,000 events, which have some objects
// each; without a bound, 2 kB of shard become gigabytes of empty records.
const maxObjects = 200_000

// MessageID is what tells a message from others, for the server to drop it if it comes twice: by its content.
func MessageID(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:16])
}

// DecodeShard reads a shard that an agent sent in the name of host, which is the name, not the token. What it tells
// must be of that host, or of hosts whose lines the host's logs carry, which are named host "/" theirs: no agent
// speaks for another host. The size is that of the shard when it was decompressed: it takes some times as much memory.
func DecodeShard(host string, data []byte) (h *logparse.History, size int64, err error) {
	if len(data) > MaxMessage {
		return nil, 0, fmt.Errorf("it has %d bytes, more than %d", len(data), MaxMessage)
	}
	plain, err := decompress(data, MaxShard)
	if err != nil {
		return nil, 0, err
	}
	if n := bytes.Count(plain, []byte{'{'}); n > maxObjects {
		return nil, 0, fmt.Errorf("it has %d objects, more than %d", n, maxObjects)
	}
	h, size = new(logparse.History), int64(len(plain))
	if err := json.Unmarshal(plain, h); err != nil {
		return nil, 0, err
	}
	for _, of := range h.Hosts() {
		if of != host && !strings.HasPrefix(of, host+"/") {
			return nil, 0, fmt.Errorf("it tells of host %q", of)
		}
	}
	for _, file := range h.Files() {
		if !strings.HasPrefix(file, host+":") {
			return nil, 0, fmt.Errorf("it tells of a log %q of another host", file)
		}
	}
	return h, size, nil
}

// FileName is the name that a log of a host has in shards, for [logparse.Place].File: path is the log's, without what
// rotation adds, and number stands for its content. Rotation does not change it, and logparse takes all files of a path
// for parts of one log.
func FileName(host, path string, number uint64) string {
	return fmt.Sprintf("%s:%s-%016d", host, path, number%1e16)
}

// ErrTooLarge means that one record of a History does not fit into a message.
var ErrTooLarge = errors.New("one record is too large for a message")

// Pieces yields a History as shards of at most MaxMessage bytes each. If all of it is too large, its authorizations are dealt
// out. Its error is ErrTooLarge if they cannot be.
func Pieces(h *logparse.History) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) { pieces(h, yield) }
}

func pieces(h *logparse.History, yield func([]byte, error) bool) bool {
	data, shard, err := encode(h)
	if err != nil || shard {
		return yield(data, err)
	}
	a, b := h.Halve()
	if a == nil {
		return yield(nil, fmt.Errorf("%w: %d bytes", ErrTooLarge, len(data)))
	}
	return pieces(a, yield) && pieces(b, yield)
}
