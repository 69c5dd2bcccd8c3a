package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/acmeauthz/acmeauthz/examples/fleet/wire"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Settings are the sizes of streams and buckets. A member that is zero is the default for what has to be made, and leaves
// what is there as it is: a hub that is started without settings changes nobody's.
type Settings struct {
	// Replicas is how many servers of a cluster have each message: 1, 3 or 5. The default is 1.
	Replicas int

	// MaxBytes is how much all streams and buckets together may hold on each server that has them, in bytes. The default is
	// 8 GiB. A server refuses it if its disk has less.
	MaxBytes int64

	// HostShards is how many shards of one host may wait for the hubs, of at most wire.MaxMessage each. More are refused,
	// those of other hosts are not. The default is 64.
	HostShards int64

	// ShardAge and ResultAge are how long shards wait for hubs, and results for whoever wants them. Shards older than that
	// are lost. The defaults are 30 days.
	ShardAge, ResultAge time.Duration

	// HostAge and HubAge are how long a heartbeat stands after the last one. The defaults are 14 days and 30 seconds.
	HostAge, HubAge time.Duration

	// Shrink makes what is there smaller or shorter-lived even if messages in it go because of that.
	Shrink bool
}

// The defaults of Settings.
const (
	defaultMaxBytes   = 8 << 30
	defaultHostShards = 64
	defaultAge        = 30 * 24 * time.Hour
	defaultHostAge    = 14 * 24 * time.Hour
	defaultHubAge     = 30 * time.Second
)

const (
	// duplicateWindow is for how long a stream knows the IDs of its messages. An agent that sends again later than that
	// does no harm either: the same shard twice changes nothing.
	duplicateWindow = 10 * time.Minute

	// headerSize is what message IDs and the fence add to a message.
	headerSize = 4 << 10

	// resultsPerAccount bounds what one busy account keeps of RESULTS.
	resultsPerAccount = 10_000

	// chunkSize bounds a message of the object store, whose own is 128 KiB.
	chunkSize = 256 << 10
)

// A MismatchError says that a stream is not as the fleet needs it, and cannot be made so, or not without loss.
type MismatchError struct {
	Stream  string
	Setting string // as nats-server calls it
	Has     string
	Wants   string
	Why     string // it is not changed
}

func (e *MismatchError) Error() string {
	return fmt.Sprintf("stream %s has %s %s, and should have %s: %s", e.Stream, e.Setting, e.Has, e.Wants, e.Why)
}

// A SetupError says that a stream could not be looked at, made or changed. It unwraps to what the server or the network
// said; a server does not answer who lacks the permission.
type SetupError struct {
	Stream string
	Doing  string
	Err    error
}

func (e *SetupError) Error() string { return fmt.Sprintf("%s stream %s: %v", e.Doing, e.Stream, e.Err) }

// Unwrap returns the error below.
func (e *SetupError) Unwrap() error { return e.Err }

// streams are the streams as a fleet is made. What is not set here is as nats-server has it, or as somebody changed it.
func (s Settings) streams() []stream {
	total := cmp.Or(s.MaxBytes, defaultMaxBytes)
	all := []jetstream.StreamConfig{
		{
			Name: wire.ShardStream, Subjects: []string{wire.ShardSubject("*")}, Description: "what agents have read and no hub has split yet",
			Retention: jetstream.WorkQueuePolicy, Discard: jetstream.DiscardNew,
			DiscardNewPerSubject: true, MaxMsgsPerSubject: cmp.Or(s.HostShards, defaultHostShards),
			MaxBytes: total / 4, MaxMsgSize: wire.MaxMessage + headerSize,
			MaxAge: cmp.Or(s.ShardAge, defaultAge), Duplicates: duplicateWindow,
		},
		{
			Name: wire.AccountStream, Subjects: []string{wire.AccountSubject("*")}, Description: "what is known of accounts and in no snapshot yet",
			Retention: jetstream.LimitsPolicy, Discard: jetstream.DiscardNew,
			MaxBytes: total / 4, MaxMsgSize: wire.MaxMessage + headerSize,
			MaxAge: cmp.Or(s.ShardAge, defaultAge), Duplicates: duplicateWindow, AllowDirect: true,
		},
		{
			Name: wire.ResultStream, Subjects: []string{wire.ResultSubject("*")}, Description: "what became of authorizations",
			Retention: jetstream.LimitsPolicy, Discard: jetstream.DiscardOld, MaxMsgsPerSubject: resultsPerAccount,
			MaxBytes: total / 16, MaxMsgSize: wire.MaxState, MaxAge: cmp.Or(s.ResultAge, defaultAge),
			Duplicates: duplicateWindow, AllowDirect: true,
		},
		bucket(wire.HostBucket, "how agents fare", total/32, cmp.Or(s.HostAge, defaultHostAge)),
		bucket(wire.HubBucket, "which hubs are alive", total/64, cmp.Or(s.HubAge, defaultHubAge)),
		bucket(wire.AccountBucket, "leases, states and journals", total*3/16, 0),
		{
			Name: "OBJ_" + wire.HistoryStore, Subjects: []string{"$O." + wire.HistoryStore + ".C.>", "$O." + wire.HistoryStore + ".M.>"},
			Description: "snapshots of accounts", Discard: jetstream.DiscardNew, MaxBytes: total * 3 / 16, MaxMsgSize: chunkSize,
			AllowDirect: true, AllowRollup: true,
		},
	}
	asked := map[string]bool{
		wire.ShardStream: s.ShardAge != 0, wire.AccountStream: s.ShardAge != 0, wire.ResultStream: s.ResultAge != 0,
		"KV_" + wire.HostBucket: s.HostAge != 0, "KV_" + wire.HubBucket: s.HubAge != 0,
	}
	streams := make([]stream, len(all))
	for i, config := range all {
		config.Replicas = cmp.Or(s.Replicas, 1)
		config.Storage = jetstream.FileStorage
		config.AllowMsgTTL = config.Name == "KV_"+wire.AccountBucket // entries of a journal end one by one
		streams[i] = stream{config, asked[config.Name], config.Name == wire.ShardStream && s.HostShards != 0}
	}
	return streams
}

// bucket is a stream as jetstream's CreateKeyValue makes it, but for roll-ups: with one, whoever may write a single key
// (an agent: its host's) could erase the whole bucket by a header, "Nats-Rollup: all". Without, Purge of a key is refused;
// Delete is not.
func bucket(name, about string, maxBytes int64, age time.Duration) jetstream.StreamConfig {
	config := jetstream.StreamConfig{
		Name: "KV_" + name, Subjects: []string{"$KV." + name + ".>"}, Description: about,
		Discard: jetstream.DiscardNew, MaxMsgsPerSubject: 1, MaxBytes: maxBytes, MaxMsgSize: wire.MaxState + headerSize,
		MaxAge: age, AllowDirect: true, DenyDelete: true,
	}
	config.Duplicates = 2 * time.Minute
	if age > 0 {
		config.Duplicates = min(config.Duplicates, age)
	}
	return config
}

// Setup makes the streams, the buckets and the object store that are missing, and brings those that are there to what the
// fleet needs and to what s sets. It may be called at any time, by anybody, again and again; it never deletes a stream,
// and a message only if s.Shrink. While a cluster has not enough servers yet, it tries again until ctx is done; a request
// that is not answered is made six times, which takes half a minute.
//
// The error joins a *MismatchError for all that is there and cannot be changed, and a *SetupError where the server does
// not answer or refuses. Somebody without the right to set up calls [Verify].
func Setup(ctx context.Context, js jetstream.JetStream, s Settings) error {
	if s.Replicas < 0 || s.Replicas > 5 || s.MaxBytes < 0 || s.HostShards < 0 || min(s.ShardAge, s.ResultAge, s.HostAge, s.HubAge) < 0 {
		return errors.New("the settings of streams: replicas are 1 to 5, and sizes and ages are never negative")
	}
	var all []error
	for _, config := range s.streams() {
		if err := s.setup(ctx, js, config); err != nil {
			all = append(all, err)
			if errors.Is(err, context.DeadlineExceeded) || ctx.Err() != nil {
				break // nor would the others be answered
			}
		}
	}
	return errors.Join(all...)
}

// Verify looks whether all that Setup makes is there and as the fleet needs it, whatever its sizes. It needs the right to
// ask for STREAM.INFO alone. Errors are as those of Setup.
func Verify(ctx context.Context, js jetstream.JetStream) error {
	var all []error
	for _, config := range (Settings{}).streams() {
		info, err := streamInfo(ctx, js, config.Name)
		if err != nil {
			all = append(all, &SetupError{config.Name, "looking at", err})
			if errors.Is(err, context.DeadlineExceeded) || ctx.Err() != nil {
				break // nor would the others be answered
			}
			continue
		}
		for _, m := range mismatches(config.Name, info.Config, (Settings{}).wanted(info.Config, config)) {
			m.Why = "somebody who has the right must set it up"
			all = append(all, m)
		}
	}
	return errors.Join(all...)
}

// setup makes or changes one stream.
func (s Settings) setup(ctx context.Context, js jetstream.JetStream, config stream) error {
	info, err := madeOrFound(ctx, js, config.StreamConfig)
	if err != nil {
		return err
	}
	want := s.wanted(info.Config, config)
	changes := mismatches(config.Name, info.Config, want)
	if len(changes) == 0 {
		return nil
	}
	if no := refused(info, want, changes, s.Shrink); len(no) > 0 {
		return errors.Join(no...)
	}
	err = patiently(ctx, func(ctx context.Context) error { _, err := js.UpdateStream(ctx, want); return err })
	if err != nil {
		return &SetupError{config.Name, "changing", withRoom(err, want.MaxBytes)}
	}
	return nil
}

// mostLooks is how often a stream is made that is not there when it is looked at.
const mostLooks = 20

// madeOrFound is the stream as it is: who sets up at the same time may have made another. One that was made just now may
// be gone when it is looked at, or not be there yet, if the servers of a cluster do not all know of it.
func madeOrFound(ctx context.Context, js jetstream.JetStream, config jetstream.StreamConfig) (*jetstream.StreamInfo, error) {
	for look := 1; ; look++ {
		info, err := streamInfo(ctx, js, config.Name)
		switch {
		case err == nil:
			return info, nil
		case !errors.Is(err, jetstream.ErrStreamNotFound) || look == mostLooks:
			return nil, &SetupError{config.Name, "looking at", err}
		case look > 1:
			pause(ctx)
		}
		if err := patiently(ctx, func(ctx context.Context) error { return create(ctx, js, config) }); err != nil {
			return nil, &SetupError{config.Name, "making", withRoom(err, config.MaxBytes)}
		}
	}
}

func create(ctx context.Context, js jetstream.JetStream, config jetstream.StreamConfig) error {
	_, err := js.CreateStream(ctx, config)
	if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
		return nil // somebody else was faster
	}
	return err
}

// withRoom adds what to do if the server has no room for a stream.
func withRoom(err error, maxBytes int64) error {
	if api, ok := errors.AsType[*jetstream.APIError](err); ok && api.ErrorCode == codeStorageFull {
		return fmt.Errorf("%w: the server has no room for %d bytes; give all streams less (--max-bytes), or the server more", err, maxBytes)
	}
	return err
}

func streamInfo(ctx context.Context, js jetstream.JetStream, name string) (*jetstream.StreamInfo, error) {
	var info *jetstream.StreamInfo
	err := patiently(ctx, func(ctx context.Context) error {
		stream, err := js.Stream(ctx, name)
		if err == nil {
			info = stream.CachedInfo()
		}
		return err
	})
	return info, err
}

const (
	// answerTime bounds the wait for one answer: a request that reaches a cluster between two leaders is never answered.
	answerTime = 5 * time.Second

	// mostUnanswered is how many requests in a row may be lost like that. More are not: we lack the permission to ask.
	mostUnanswered = 6
)

// patiently tries again, until ctx is done, while the servers of a cluster are finding each other.
func patiently(ctx context.Context, try func(context.Context) error) error {
	for unanswered := 0; ; {
		err := once(ctx, try)
		switch {
		case ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded):
			if unanswered++; unanswered == mostUnanswered {
				return err
			}
		case passing(err):
			unanswered = 0
		default:
			return err
		}
		if pause(ctx); ctx.Err() != nil {
			return err
		}
	}
}

// pause waits before the next try, unless ctx is done.
func pause(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-time.After(200 * time.Millisecond):
	}
}

func once(ctx context.Context, try func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	return try(ctx)
}

// Temporary reports whether it helps to call Setup again after an error of its: servers did not answer, a cluster was not
// whole, or one of its servers did not know of a stream. Nothing of the kind helps where something there is otherwise than it should be, or has no room.
func Temporary(err error) bool {
	if _, ok := errors.AsType[*MismatchError](err); ok {
		return false
	}
	if api, ok := errors.AsType[*jetstream.APIError](err); ok {
		return passing(api) || api.ErrorCode == jetstream.JSErrCodeJetStreamNotEnabled || api.ErrorCode == jetstream.JSErrCodeStreamNotFound
	}
	for _, known := range []error{
		context.DeadlineExceeded, nats.ErrTimeout, nats.ErrNoResponders, nats.ErrDisconnected, nats.ErrReconnectBufExceeded, nats.ErrConnectionReconnecting,
		nats.ErrStaleConnection, jetstream.ErrNoStreamResponse, ErrUnavailable, jetstream.ErrStreamNotFound, jetstream.ErrBucketNotFound,
	} {
		if errors.Is(err, known) {
			return true
		}
	}
	return false
}

// passing reports whether an error is one of a cluster that is not whole yet.
func passing(err error) bool {
	if api, ok := errors.AsType[*jetstream.APIError](err); ok {
		return slices.Contains([]jetstream.ErrorCode{codeNoPeers, codeNotLeader, codeClusterNotThere, codeStreamOffline}, api.ErrorCode)
	}
	return errors.Is(err, nats.ErrNoResponders)
}

const (
	codeNoPeers       = 10005 // JSClusterNoPeersErrF
	codeStreamOffline = 10118 // JSStreamOfflineErr
)

// A stream is one as a fleet is made, and which of its sizes somebody asked for: the others stay as they are.
type stream struct {
	jetstream.StreamConfig
	age, perSubject bool
}

// wanted is a stream that is there with what the fleet needs of it, and with what was asked for.
func (s Settings) wanted(has jetstream.StreamConfig, want stream) jetstream.StreamConfig {
	w := has
	w.Subjects = want.Subjects
	w.Retention, w.Discard, w.DiscardNewPerSubject = want.Retention, want.Discard, want.DiscardNewPerSubject
	w.AllowDirect, w.AllowRollup = want.AllowDirect, want.AllowRollup
	w.AllowMsgTTL = has.AllowMsgTTL || want.AllowMsgTTL // it cannot be taken back
	if has.MaxMsgSize >= 0 {
		w.MaxMsgSize = max(has.MaxMsgSize, want.MaxMsgSize)
	}
	if want.MaxMsgsPerSubject > 0 && (has.MaxMsgsPerSubject < 1 || want.perSubject) {
		w.MaxMsgsPerSubject = want.MaxMsgsPerSubject
	}
	if s.Replicas != 0 {
		w.Replicas = want.Replicas
	}
	if s.MaxBytes != 0 {
		w.MaxBytes = want.MaxBytes
	}
	if want.age {
		w.MaxAge = want.MaxAge
		w.Duplicates = want.Duplicates
	}
	return w
}

// A setting is a member of a stream's configuration, by nats-server's name.
type setting struct {
	name string
	of   func(jetstream.StreamConfig) any
}

var settings = []setting{
	{"subjects", func(c jetstream.StreamConfig) any { return c.Subjects }},
	{"retention", func(c jetstream.StreamConfig) any { return c.Retention }},
	{"discard", func(c jetstream.StreamConfig) any { return c.Discard }},
	{"discard_new_per_subject", func(c jetstream.StreamConfig) any { return c.DiscardNewPerSubject }},
	{"allow_direct", func(c jetstream.StreamConfig) any { return c.AllowDirect }},
	{"allow_rollup_hdrs", func(c jetstream.StreamConfig) any { return c.AllowRollup }},
	{"allow_msg_ttl", func(c jetstream.StreamConfig) any { return c.AllowMsgTTL }},
	{"max_msg_size", func(c jetstream.StreamConfig) any { return c.MaxMsgSize }},
	{"max_msgs_per_subject", func(c jetstream.StreamConfig) any { return c.MaxMsgsPerSubject }},
	{"max_bytes", func(c jetstream.StreamConfig) any { return c.MaxBytes }},
	{"max_age", func(c jetstream.StreamConfig) any { return c.MaxAge }},
	{"duplicate_window", func(c jetstream.StreamConfig) any { return c.Duplicates }},
	{"num_replicas", func(c jetstream.StreamConfig) any { return c.Replicas }},
}

// mismatches are the settings of a stream that are not as wanted.
func mismatches(stream string, has, want jetstream.StreamConfig) []*MismatchError {
	var all []*MismatchError
	for _, s := range settings {
		if h, w := fmt.Sprint(s.of(has)), fmt.Sprint(s.of(want)); h != w {
			all = append(all, &MismatchError{Stream: stream, Setting: s.name, Has: h, Wants: w})
		}
	}
	return all
}

// refused are those of the changes that cannot be made, or not without loss.
func refused(info *jetstream.StreamInfo, want jetstream.StreamConfig, changes []*MismatchError, shrink bool) []error {
	has := info.Config
	losing := map[string]bool{
		"max_msgs_per_subject": less(want.MaxMsgsPerSubject, has.MaxMsgsPerSubject),
		"max_age":              less(want.MaxAge, has.MaxAge),
		"max_bytes":            has.Discard == jetstream.DiscardOld && less(want.MaxBytes, has.MaxBytes),
	}
	var all []error
	for _, m := range changes {
		switch {
		case m.Setting == "retention":
			m.Why = "the server cannot change that; move the messages elsewhere and delete the stream (nats stream rm), then set up again"
		case losing[m.Setting] && !shrink && info.State.Msgs > 0:
			m.Why = fmt.Sprintf("some of its %d messages could go; ask for that with --shrink", info.State.Msgs)
		default:
			continue
		}
		all = append(all, m)
	}
	return all
}

// less reports whether a limit is lower than another; zero and less is none.
func less[N ~int64](a, b N) bool { return a > 0 && (b <= 0 || a < b) }
