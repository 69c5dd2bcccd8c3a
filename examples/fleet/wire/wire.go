// Package wire is what the agents and hubs of a fleet send each other through
// NATS JetStream: the names of streams, subjects and buckets, the forms of what
// is in them, and their bounds.
//
//	agent --> SHARDS  acmeauthz.shards.<host>      --> any hub, which checks and splits it
//	hub   --> ACCOUNTS acmeauthz.accounts.<account> --> the hub that has the account
//	hub   --> RESULTS  acmeauthz.results.<account>  --> whoever watches
//
//	bucket hosts      <host>                        how an agent fares
//	bucket hubs       <hub>                         which hubs are alive, and which keys they have
//	bucket accounts   lease.<account>               who has it
//	                  epoch.<account>               the fence: who had it last
//	                  state.<account>               what is known of it, and which snapshot holds it
//	                  journal.<account>.<epoch>-<n> what was done to its authorizations, some entries each
//	objects histories <account>.<epoch>.<number>    snapshots of an account's History
//
// Invariants:
//   - a host and an account are one token of a subject each: permissions can name them.
//   - an agent publishes to acmeauthz.shards.<host> and to its own key of hosts, and reads nothing but the
//     acknowledgements of that. Hubs alone use the rest.
//   - lease, epoch, state and journal of an account are in one stream, so that a write to one can depend on another.
//   - everything is bounded: messages in size, streams in bytes, age and messages for each host, buckets in age.
package wire

import (
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"strings"
	"time"
)

// The streams.
const (
	ShardStream   = "ACMEAUTHZ_SHARDS"
	AccountStream = "ACMEAUTHZ_ACCOUNTS"
	ResultStream  = "ACMEAUTHZ_RESULTS"
)

// The buckets, and the object store.
const (
	HostBucket    = "acmeauthz-hosts"
	HubBucket     = "acmeauthz-hubs"
	AccountBucket = "acmeauthz-accounts"
	HistoryStore  = "acmeauthz-histories"
)

// The bounds of what is sent.
const (
	// MaxMessage is the size of the largest message, in bytes. A server's max_payload is 1 MiB unless it is set.
	MaxMessage = 768 << 10

	// MaxShard is the size of the largest shard when it is decompressed, in bytes.
	MaxShard = 16 << 20

	// MaxState is the size of the largest value of a bucket, in bytes.
	MaxState = 64 << 10

	// MaxHistory is the size of the largest snapshot when it is decompressed, in bytes.
	MaxHistory = 4 << 30

	// MaxName is the length of the longest name of a host or hub, in bytes.
	MaxName = 64
)

// UnknownAccount is the token that stands for accounts which the logs do not tell.
const UnknownAccount = "unknown"

// AccountToken is the token that stands for an account URL in subjects and keys; that of "" is [UnknownAccount].
func AccountToken(url string) string {
	if url == "" {
		return UnknownAccount
	}
	return token(url)
}

// token is 24 characters that stand for a text. Nobody finds two texts with the same ones.
func token(text string) string {
	sum := sha256.Sum256([]byte(text))
	return strings.ToLower(base32.HexEncoding.EncodeToString(sum[:15]))
}

// HostToken is the token that stands for the name of a host or hub in subjects and keys: the name itself, with each
// byte but letters, digits and "-" as "=" and two hexadecimal digits. It is an error if the name is empty, longer than
// MaxName or has control characters. Case does not matter in names of hosts.
func HostToken(name string) (string, error) {
	if name == "" || len(name) > MaxName {
		return "", fmt.Errorf("the name of a host has 1 to %d bytes, not %d: name it with --name", MaxName, len(name))
	}
	var b strings.Builder
	for _, c := range []byte(strings.ToLower(name)) {
		switch {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == '-':
			b.WriteByte(c)
		case c <= ' ' || c == 0x7f:
			return "", fmt.Errorf("the name of a host has no spaces and control characters, but %q does: name it with --name", name)
		default:
			fmt.Fprintf(&b, "=%02X", c)
		}
	}
	return b.String(), nil
}

// HostName is the reverse of HostToken.
func HostName(token string) (string, error) {
	var b strings.Builder
	for i := 0; i < len(token); i++ {
		if token[i] != '=' {
			b.WriteByte(token[i])
			continue
		}
		var c byte
		if _, err := fmt.Sscanf(token[i:], "=%02X", &c); err != nil {
			return "", fmt.Errorf("%q stands for no host", token)
		}
		b.WriteByte(c)
		i += 2
	}
	name := b.String()
	if back, err := HostToken(name); err != nil || back != token {
		return "", fmt.Errorf("%q stands for no host", token)
	}
	return name, nil
}

// The subjects that shards and results are published to; host and account are tokens.
func ShardSubject(host string) string      { return "acmeauthz.shards." + host }
func AccountSubject(account string) string { return "acmeauthz.accounts." + account }
func ResultSubject(account string) string  { return "acmeauthz.results." + account }

// HostSubject is the subject of a host's key in HostBucket: agents publish there without reading the bucket's settings.
func HostSubject(host string) string { return "$KV." + HostBucket + "." + host }

// The keys of AccountBucket; account is a token, n counts the writes of one owner.
func LeaseKey(account string) string { return "lease." + account }
func EpochKey(account string) string { return "epoch." + account }
func StateKey(account string) string { return "state." + account }
func JournalKey(account string, epoch, n uint64) string {
	return fmt.Sprintf("journal.%s.%d-%d", account, epoch, n)
}

// KeySubject is the subject of a key of AccountBucket.
func KeySubject(key string) string { return "$KV." + AccountBucket + "." + key }

// A Heartbeat is what an agent tells of itself, in HostBucket.
type Heartbeat struct {
	Schema  string    `json:"schema"` // HeartbeatSchema
	Host    string    `json:"host"`
	Version string    `json:"version"`
	Started time.Time `json:"started"`
	Seen    time.Time `json:"seen"` // when it was sent, by the host's clock

	Logs      int       `json:"logs"`                // logs that are followed, each with its rotated files
	Unread    int64     `json:"unread"`              // bytes of them that are not read yet
	Behind    time.Time `json:"behind,omitzero"`     // since when something is unread or unsent; zero if nothing is
	Spooled   int64     `json:"spooled"`             // bytes that are read but not acknowledged yet
	SpoolFull bool      `json:"spool_full"`          // reading waits for room in the spool
	LastEvent time.Time `json:"last_event,omitzero"` // the latest time in the logs
	Problem   string    `json:"problem,omitempty"`   // what a person should look at
}

// A HubState is what a hub tells of itself, in HubBucket.
type HubState struct {
	Schema   string    `json:"schema"` // HubSchema
	Hub      string    `json:"hub"`
	Version  string    `json:"version"`
	Started  time.Time `json:"started"`
	Seen     time.Time `json:"seen"`
	Beat     int64     `json:"beat_ms"`  // how often it tells, in milliseconds
	Keys     []string  `json:"keys"`     // tokens of the accounts whose keys it has
	Accounts int       `json:"accounts"` // that it has
	Lag      uint64    `json:"lag"`      // shards that no hub has split yet
	Problem  string    `json:"problem,omitempty"`
}

// A Lease says which hub has an account, in AccountBucket. Times are for people: whether it is over is judged by how
// long its revision has not changed.
type Lease struct {
	Account string    `json:"account"` // its URL
	Hub     string    `json:"hub"`     // empty if it was given back, or nobody had it
	Taken   time.Time `json:"taken"`
	Renewed time.Time `json:"renewed"`
	Life    int64     `json:"life_ms"` // how long it lasts after a renewal, in milliseconds
}

// An AccountState is what is known of an account, in AccountBucket.
type AccountState struct {
	Schema  string    `json:"schema"`  // StateSchema
	Account string    `json:"account"` // its URL; empty for UnknownAccount
	Hub     string    `json:"hub"`     // that wrote this
	Epoch   uint64    `json:"epoch"`
	Updated time.Time `json:"updated"`

	Snapshot string `json:"snapshot,omitempty"` // the object in HistoryStore; empty before the first
	Applied  uint64 `json:"applied"`            // the last message of AccountStream that is in the snapshot

	// Stream is when AccountStream was made: Applied counts in that one only.
	Stream time.Time `json:"stream,omitzero"`

	Authorizations int            `json:"authorizations"`
	Verdicts       map[string]int `json:"verdicts"` // by logparse.Verdict
	Causes         map[string]int `json:"causes"`   // of those that leaked, by logparse.Cause
	Domains        []Count        `json:"domains"`  // with the most leaks, at most MaxCounts
	Hosts          []Count        `json:"hosts"`    // likewise
	Work           Work           `json:"work"`
}

// MaxCounts is the length of the lists in an AccountState.
const MaxCounts = 20

// A Count is how many authorizations of something leaked.
type Count struct {
	Key    string `json:"key"`
	Leaked int    `json:"leaked"`
}

// A Work is what is done about an account's authorizations.
type Work struct {
	CA            string         `json:"ca,omitempty"` // the name of its profile
	Policy        string         `json:"policy"`       // "leave", "clear", "finish", "deactivate", "relinquish"
	Apply         bool           `json:"apply"`        // false: planned only
	Key           bool           `json:"key"`          // whether the hub has the account's key
	Planned       map[string]int `json:"planned"`      // of the last sweep, by authz.Action
	Settled       int            `json:"settled"`      // since the account is known
	Failed        int            `json:"failed"`       // in the last sweep
	Deferred      int            `json:"deferred"`     // in the last sweep
	DeferredUntil time.Time      `json:"deferred_until,omitzero"`
	Swept         time.Time      `json:"swept,omitzero"` // the end of the last sweep
	Next          time.Time      `json:"next,omitzero"`  // when the next one is due
	Problem       string         `json:"problem,omitempty"`
}

// A Result is what became of an authorization in a sweep, in ResultStream.
type Result struct {
	Schema     string    `json:"schema"` // ResultSchema
	Time       time.Time `json:"time"`
	Hub        string    `json:"hub"`
	Epoch      uint64    `json:"epoch"`
	Account    string    `json:"account"`
	URL        string    `json:"url"`
	Identifier string    `json:"identifier,omitempty"`
	Wildcard   bool      `json:"wildcard,omitempty"`
	Before     string    `json:"status_before,omitempty"`
	After      string    `json:"status_after,omitempty"`
	Changed    bool      `json:"changed"`
	Applied    bool      `json:"applied"` // false: only planned
	Action     string    `json:"action,omitempty"`
	Reason     string    `json:"reason,omitempty"`
	At         time.Time `json:"at,omitzero"`
	Error      string    `json:"error,omitempty"`
}

// The schemas. Members may be added; what is there keeps its name and meaning.
const (
	HeartbeatSchema = "acmeauthz-fleet-heartbeat/1"
	HubSchema       = "acmeauthz-fleet-hub/1"
	StateSchema     = "acmeauthz-fleet-account/1"
	ResultSchema    = "acmeauthz-fleet-result/1"
)
