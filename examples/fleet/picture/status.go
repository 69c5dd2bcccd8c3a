// Package picture shows how a fleet fares: to people, to programs, to Prometheus.
package picture

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/acmeauthz/acmeauthz/examples/fleet/server"
	"github.com/acmeauthz/acmeauthz/examples/fleet/wire"
	"github.com/acmeauthz/acmeauthz/logparse"
)

// StatusSchema is the schema of a Status' JSON form. Members may be added to it.
const StatusSchema = "acmeauthz-fleet-status/1"

// Silent is after how long a host that says nothing stands out.
const Silent = 5 * time.Minute

// A Status is what the buckets of a fleet say at some time.
type Status struct {
	Schema   string              `json:"schema"` // StatusSchema
	At       time.Time           `json:"at"`
	Hosts    []wire.Heartbeat    `json:"hosts"`    // by name
	Hubs     []wire.HubState     `json:"hubs"`     // by name
	Accounts []wire.AccountState `json:"accounts"` // with the most leaks first

	// SilentAfter is after how long a host that says nothing stands out; zero is Silent.
	SilentAfter time.Duration `json:"-"`
}

// Look reads the buckets. It needs the right to read them only.
func Look(ctx context.Context, c *server.Connection, at time.Time) (*Status, error) {
	s := &Status{Schema: StatusSchema, At: at.UTC(), Hosts: []wire.Heartbeat{}, Hubs: []wire.HubState{}, Accounts: []wire.AccountState{}}
	hosts, err := c.Values(ctx, wire.HostBucket, ">")
	if err != nil {
		return nil, fmt.Errorf("the bucket %s: %w", wire.HostBucket, err)
	}
	for key, e := range hosts {
		s.Hosts = append(s.Hosts, heartbeat(key, e))
	}
	if err := values(ctx, c, wire.HubBucket, ">", &s.Hubs); err != nil {
		return nil, err
	}
	if err := values(ctx, c, wire.AccountBucket, wire.StateKey("*"), &s.Accounts); err != nil {
		return nil, err
	}
	slices.SortFunc(s.Hosts, func(a, b wire.Heartbeat) int { return strings.Compare(a.Host, b.Host) })
	slices.SortFunc(s.Hubs, func(a, b wire.HubState) int { return strings.Compare(a.Hub, b.Hub) })
	slices.SortFunc(s.Accounts, func(a, b wire.AccountState) int {
		return cmp.Or(cmp.Compare(leaked(b), leaked(a)), strings.Compare(a.Account, b.Account))
	})
	return s, nil
}

// heartbeat is what a host says of itself. A host writes its key alone, but whatever it likes: it must not hide the others,
// nor pass for one of them.
func heartbeat(key string, e server.Entry) wire.Heartbeat {
	name, err := wire.HostName(key)
	if err != nil {
		name = key
	}
	var h wire.Heartbeat
	err = json.Unmarshal(e.Data, &h)
	if err != nil || min(int64(h.Logs), h.Unread, h.Spooled) < 0 {
		return wire.Heartbeat{Schema: wire.HeartbeatSchema, Host: name, Seen: e.Time, Problem: "its heartbeat cannot be read: does it run another version?"}
	}
	if token, err := wire.HostToken(h.Host); err != nil || token != key {
		h.Host = name
	}
	return h
}

func leaked(a wire.AccountState) int { return a.Verdicts[string(logparse.Leaked)] }

func values[T any](ctx context.Context, c *server.Connection, bucket, filter string, into *[]T) error {
	entries, err := c.Values(ctx, bucket, filter)
	if err != nil {
		return fmt.Errorf("the bucket %s: %w", bucket, err)
	}
	for key, e := range entries {
		var v T
		if err := json.Unmarshal(e.Data, &v); err != nil {
			return fmt.Errorf("the bucket %s, %s: %w", bucket, key, err)
		}
		*into = append(*into, v)
	}
	return nil
}

// WriteJSON writes the status as one document.
func (s *Status) WriteJSON(w io.Writer) error {
	data, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	_, err = w.Write(append(printable(data), '\n'))
	return err
}

// WriteLine writes the status as one document on a line of its own.
func (s *Status) WriteLine(w io.Writer) error {
	data, err := json.Marshal(s)
	if err != nil {
		return err
	}
	_, err = w.Write(append(printable(data), '\n'))
	return err
}

// printable escapes what package json lets through and a terminal would act upon, such as U+009B. The values stay the same.
func printable(document []byte) []byte {
	var b []byte
	for _, r := range string(document) {
		switch {
		case r == '\n' || unicode.IsPrint(r):
			b = utf8.AppendRune(b, r)
		case r > 0xFFFF:
			high, low := utf16.EncodeRune(r)
			b = fmt.Appendf(b, `\u%04x\u%04x`, high, low)
		default:
			b = fmt.Appendf(b, `\u%04x`, r)
		}
	}
	return b
}

// History is all that the fleet knows, of all accounts, in memory: about a kilobyte for each authorization.
func (s *Status) History(ctx context.Context, c *server.Connection) (*logparse.History, error) {
	whole := new(logparse.History)
	merge := func(data []byte, limit int64) error {
		h, _, err := wire.DecodeHistory(data, limit)
		if err == nil {
			whole.Merge(h)
		}
		return err
	}
	for _, a := range s.Accounts {
		if a.Snapshot != "" {
			data, err := c.Object(ctx, a.Snapshot, wire.MaxHistory)
			if err == nil {
				err = merge(data, wire.MaxHistory)
			}
			if err != nil {
				return nil, fmt.Errorf("the snapshot %s, which a hub may have replaced just now: %w", a.Snapshot, err)
			}
		}
		for e, err := range c.Entries(ctx, wire.AccountStream, wire.AccountSubject(wire.AccountToken(a.Account))) {
			if err == nil {
				err = merge(e.Data, wire.MaxShard)
			}
			if err != nil {
				return nil, err
			}
		}
	}
	return whole, nil
}
