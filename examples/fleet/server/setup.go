package server

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/acmeauthz/acmeauthz/examples/fleet/wire"
	"github.com/nats-io/nats.go/jetstream"
)

// Settings are the bounds of what the server keeps. The zero Settings has the
// defaults that each field tells.
type Settings struct {
	Replicas int // of everything; 0 is 1

	// MaxAge is how long what nobody took, and what was done, is kept; 0 is 30 days.
	MaxAge time.Duration

	// ShardBytes and AccountBytes bound what agents have sent and no hub has split,
	// and what hubs have split and not merged yet. When they are reached, agents
	// wait. 0 is 1 GiB each.
	ShardBytes, AccountBytes int64

	// HostShards is how many shards of one host may wait; 0 is 2000.
	HostShards int64

	// ResultBytes bounds the results, of which the oldest go first; 0 is 256 MiB.
	ResultBytes int64

	// HistoryBytes bounds the snapshots of all accounts; 0 is 8 GiB.
	HistoryBytes int64
}

const (
	defaultAge  = 30 * 24 * time.Hour
	hubLifetime = 30 * time.Second // after which a hub that says nothing is not counted
	window      = 10 * time.Minute // in which a message that comes twice is kept once
)

func or[T comparable](value, otherwise T) T {
	var zero T
	if value == zero {
		return otherwise
	}
	return value
}

// Setup makes the streams, buckets and the object store of a fleet, or changes
// their bounds to these; it deletes nothing. It may be called by every hub.
func Setup(ctx context.Context, js jetstream.JetStream, s Settings) error {
	replicas, age := or(s.Replicas, 1), or(s.MaxAge, defaultAge)
	for _, c := range []jetstream.StreamConfig{
		{
			Name: wire.ShardStream, Subjects: []string{wire.ShardSubject("*")}, Retention: jetstream.WorkQueuePolicy,
			MaxBytes: or(s.ShardBytes, 1<<30), MaxMsgsPerSubject: or(s.HostShards, 2000), Discard: jetstream.DiscardNew, DiscardNewPerSubject: true,
			MaxMsgSize: wire.MaxMessage, MaxAge: age, Duplicates: window, Replicas: replicas,
		},
		{
			Name: wire.AccountStream, Subjects: []string{wire.AccountSubject("*")}, MaxBytes: or(s.AccountBytes, 1<<30), Discard: jetstream.DiscardNew,
			MaxMsgSize: wire.MaxMessage, MaxAge: age, Duplicates: window, Replicas: replicas,
		},
		{
			Name: wire.ResultStream, Subjects: []string{wire.ResultSubject("*")}, MaxBytes: or(s.ResultBytes, 256<<20), Discard: jetstream.DiscardOld,
			MaxMsgSize: wire.MaxState, MaxAge: age, Replicas: replicas,
		},
	} {
		if _, err := js.CreateOrUpdateStream(ctx, c); err != nil {
			return fmt.Errorf("the stream %s: %w", c.Name, err)
		}
	}
	for _, c := range []jetstream.KeyValueConfig{
		{Bucket: wire.HostBucket, MaxValueSize: wire.MaxState, TTL: age, Replicas: replicas},
		{Bucket: wire.HubBucket, MaxValueSize: wire.MaxMessage, TTL: hubLifetime, Replicas: replicas},
		// Leases must stay, so the bucket has no age; entries of journals have one each.
		{Bucket: wire.AccountBucket, MaxValueSize: wire.MaxMessage, LimitMarkerTTL: time.Minute, Replicas: replicas},
	} {
		if _, err := js.CreateOrUpdateKeyValue(ctx, c); err != nil {
			return fmt.Errorf("the bucket %s: %w", c.Bucket, err)
		}
	}
	_, err := js.CreateOrUpdateObjectStore(ctx, jetstream.ObjectStoreConfig{Bucket: wire.HistoryStore, MaxBytes: or(s.HistoryBytes, 8<<30), Replicas: replicas})
	if err != nil {
		return fmt.Errorf("the object store %s: %w", wire.HistoryStore, err)
	}
	return nil
}

// Ready waits until Setup was done by somebody, or ctx ends.
func Ready(ctx context.Context, js jetstream.JetStream) error {
	for {
		_, err := js.ObjectStore(ctx, wire.HistoryStore)
		if err == nil || !errors.Is(err, jetstream.ErrBucketNotFound) && ctx.Err() != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("no hub has set the server up: %w", err)
		case <-time.After(200 * time.Millisecond):
		}
	}
}
