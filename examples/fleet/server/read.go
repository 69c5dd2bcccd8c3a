package server

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"strconv"
	"time"

	"github.com/acmeauthz/acmeauthz/examples/fleet/wire"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Reading without a consumer. Who may make a consumer may have it deliver to any subject, and so write where he may not:
// into a lease, say. "Direct gets" (ADR-31 of NATS) are answered to the asker alone, and a reader needs nothing else.

// readBatch is how many messages are asked for at once; the server sends at most its max_pending in bytes.
const readBatch = 256

// readTimeout bounds the wait for the next message of a batch.
const readTimeout = 10 * time.Second

// An Entry is a message of a stream, which a bucket is, too.
type Entry struct {
	Subject  string
	Sequence uint64 // the revision, in a bucket
	Time     time.Time
	Data     []byte
	Deleted  bool // a bucket's marker: the key is gone
}

// Entries reads the messages of a stream whose subject matches a filter, from the oldest that is there to the one that is
// the newest when it is reached. A bucket has one message for each key; its stream is "KV_" and its name. It ends with the
// first error.
func (c *Connection) Entries(ctx context.Context, stream, filter string) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		for next := uint64(1); ; {
			last, more, err := c.batch(ctx, stream, filter, next, yield)
			if err != nil && !errors.Is(err, errStopped) {
				yield(Entry{}, fmt.Errorf("reading stream %s: %w", stream, err))
			}
			if err != nil || !more {
				return
			}
			next = last + 1
		}
	}
}

// Values are the values of a bucket, by key.
func (c *Connection) Values(ctx context.Context, bucket, filter string) (map[string]Entry, error) {
	prefix := "$KV." + bucket + "."
	all := make(map[string]Entry)
	for e, err := range c.Entries(ctx, "KV_"+bucket, prefix+filter) {
		if err != nil {
			return nil, err
		}
		if key := e.Subject[len(prefix):]; e.Deleted {
			delete(all, key)
		} else {
			all[key] = e
		}
	}
	return all, nil
}

var errStopped = errors.New("stopped")

// batch reads some messages from a sequence on, and reports the last one's and whether there are more.
func (c *Connection) batch(ctx context.Context, stream, filter string, from uint64, yield func(Entry, error) bool) (last uint64, more bool, err error) {
	inbox := c.NewInbox()
	answers, err := c.SubscribeSync(inbox)
	if err != nil {
		return 0, false, err
	}
	defer answers.Unsubscribe()
	request, err := json.Marshal(map[string]any{"seq": from, "next_by_subj": filter, "batch": readBatch})
	if err != nil {
		return 0, false, err
	}
	subject := "$JS.API.DIRECT.GET." + stream
	ctx, done := c.watch(ctx, subject)
	defer done()
	if err := c.PublishRequest(subject, inbox, request); err != nil {
		return 0, false, err
	}
	for {
		m, err := next(ctx, answers)
		if err != nil {
			return last, false, err
		}
		switch status := m.Header.Get("Status"); status {
		case "":
			e, err := entry(m)
			if err != nil {
				return last, false, err
			}
			last = e.Sequence
			if !yield(e, nil) {
				return last, false, errStopped
			}
		case "204": // the end of the batch
			pending := m.Header.Get("Nats-Num-Pending")
			return last, pending != "0" && pending != "" && last > 0, nil
		case "404": // there is no message from there on
			return last, false, nil
		default:
			return last, false, fmt.Errorf("the server answers %s %s", status, m.Header.Get("Description"))
		}
	}
}

// next waits for a message. The error is the cause of ctx's end, such as an ErrPermission.
func next(ctx context.Context, answers *nats.Subscription) (*nats.Msg, error) {
	limited, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	m, err := answers.NextMsgWithContext(limited)
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case errors.Is(err, nats.ErrPermissionViolation): // the subscription may know it before ctx does
		return nil, forbidden(err, true)
	case errors.Is(err, nats.ErrNoResponders):
		return nil, fmt.Errorf("%w: there is no such stream, or no server that has it", ErrUnavailable)
	case errors.Is(err, context.DeadlineExceeded):
		return nil, fmt.Errorf("%w within %v", ErrUnavailable, readTimeout)
	}
	return m, err
}

func entry(m *nats.Msg) (Entry, error) {
	sequence, err := strconv.ParseUint(m.Header.Get("Nats-Sequence"), 10, 64)
	if err != nil {
		return Entry{}, fmt.Errorf("the server's answer has no sequence: %w", err)
	}
	at, err := time.Parse(time.RFC3339Nano, m.Header.Get("Nats-Time-Stamp"))
	if err != nil {
		return Entry{}, fmt.Errorf("the server's answer has no time: %w", err)
	}
	return Entry{
		Subject: m.Header.Get("Nats-Subject"), Sequence: sequence, Time: at, Data: m.Data,
		Deleted: m.Header.Get("KV-Operation") != "" || m.Header.Get("Nats-Marker-Reason") != "",
	}, nil
}

// Object reads an object of wire.HistoryStore, if it has at most limit bytes. It is a jetstream.ErrObjectNotFound if there
// is none.
func (c *Connection) Object(ctx context.Context, name string, limit uint64) ([]byte, error) {
	const bucket = wire.HistoryStore
	var info jetstream.ObjectInfo
	found := false
	for e, err := range c.Entries(ctx, "OBJ_"+bucket, "$O."+bucket+".M."+base64.URLEncoding.EncodeToString([]byte(name))) {
		if err != nil {
			return nil, err
		}
		if err := json.Unmarshal(e.Data, &info); err != nil {
			return nil, fmt.Errorf("object %s: %w", name, err)
		}
		found = !info.Deleted
	}
	if !found {
		return nil, fmt.Errorf("object %s: %w", name, jetstream.ErrObjectNotFound)
	}
	if info.Size > limit {
		return nil, fmt.Errorf("object %s has %d bytes, more than %d", name, info.Size, limit)
	}
	var content bytes.Buffer
	for e, err := range c.Entries(ctx, "OBJ_"+bucket, "$O."+bucket+".C."+info.NUID) {
		if err != nil {
			return nil, err
		}
		if content.Write(e.Data); uint64(content.Len()) > info.Size {
			break
		}
	}
	sum := sha256.Sum256(content.Bytes())
	if uint64(content.Len()) != info.Size || info.Digest != "SHA-256="+base64.URLEncoding.EncodeToString(sum[:]) {
		return nil, fmt.Errorf("object %s is not whole; it may have been replaced meanwhile", name)
	}
	return content.Bytes(), nil
}
