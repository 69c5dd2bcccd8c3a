package server_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/acmeauthz/acmeauthz/examples/fleet/server"
	"github.com/acmeauthz/acmeauthz/examples/fleet/server/servertest"
	"github.com/acmeauthz/acmeauthz/examples/fleet/wire"
	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"
	"github.com/stretchr/testify/require"
)

// A world is a server with permissions, and the ways in.
type world struct {
	node *servertest.Node
	as   map[string]server.Access // by name
}

func (w world) connect(t *testing.T, name string) *server.Connection {
	t.Helper()
	access := w.as[name]
	access.URLs, access.Inbox = []string{w.node.URL()}, name
	return servertest.Connect(t, access)
}

var (
	agents  = []string{"web01", "web02"}
	hubs    = []string{"hub1", "hub2"}
	readers = []string{"alice"}
)

// eachWorld runs a test with both ways to give permissions.
func eachWorld(t *testing.T, test func(t *testing.T, w world)) {
	t.Run("configuration", func(t *testing.T) { test(t, configured(t)) })
	t.Run("JWT", func(t *testing.T) { test(t, decentralized(t)) })
}

// keyFile writes the seed of a new user, and returns its public key.
func keyFile(t *testing.T, path string) string {
	t.Helper()
	pair, err := nkeys.CreateUser()
	require.NoError(t, err)
	seed, err := pair.Seed()
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, seed, 0o600))
	public, err := pair.PublicKey()
	require.NoError(t, err)
	return public
}

// configured is a server with fleet.conf and what WritePermissions writes.
func configured(t *testing.T) world {
	t.Helper()
	dir := t.TempDir()
	w := world{as: make(map[string]server.Access)}
	keys := func(names []string) map[string]string {
		all := make(map[string]string)
		for _, name := range names {
			seed := filepath.Join(dir, name+".nk")
			all[name] = keyFile(t, seed)
			w.as[name] = server.Access{NKeySeed: seed}
		}
		return all
	}
	file, err := os.Create(filepath.Join(dir, "permissions.conf"))
	require.NoError(t, err)
	require.NoError(t, server.WritePermissions(file, server.Users{Agents: keys(agents), Hubs: keys(hubs), Readers: keys(readers)}))
	require.NoError(t, file.Close())
	w.node = servertest.Bare(t, server.Options{ConfigFile: fleetConf(t, dir, false)})
	return w
}

// fleetConf is nats/fleet.conf in a directory of the test's, without TLS or with.
func fleetConf(t *testing.T, dir string, tls bool) string {
	t.Helper()
	text, err := os.ReadFile("../nats/fleet.conf")
	require.NoError(t, err)
	conf := strings.ReplaceAll(string(text), "/etc/acmeauthz-fleet", dir)
	require.Contains(t, conf, "\ntls {\n")
	if !tls {
		before, after, _ := strings.Cut(conf, "\ntls {\n")
		_, after, _ = strings.Cut(after, "\n}\n")
		conf = before + "\n" + after
	}
	path := filepath.Join(dir, "fleet.conf")
	require.NoError(t, os.WriteFile(path, []byte(conf), 0o600))
	return path
}

// decentralized is a server that knows an operator alone: users have JWTs of signing keys with the roles.
func decentralized(t *testing.T) world {
	t.Helper()
	pair := func(create func() (nkeys.KeyPair, error)) (nkeys.KeyPair, string) {
		key, err := create()
		require.NoError(t, err)
		public, err := key.PublicKey()
		require.NoError(t, err)
		return key, public
	}
	operator, operatorKey := pair(nkeys.CreateOperator)
	operatorClaims := jwt.NewOperatorClaims(operatorKey)
	_, system := pair(nkeys.CreateAccount)
	systemJWT, err := jwt.NewAccountClaims(system).Encode(operator)
	require.NoError(t, err)
	operatorClaims.SystemAccount = system
	operatorJWT, err := operatorClaims.Encode(operator)
	require.NoError(t, err)

	accounts, ids := make(map[string]*jwt.AccountClaims), make(map[string]string)
	roles := []server.Role{server.HubRole("{{name()}}"), server.AgentRole("{{name()}}"), server.ReaderRole("{{name()}}")}
	signers := make(map[string]nkeys.KeyPair)
	for _, r := range roles {
		_, id := pair(nkeys.CreateAccount)
		claims := jwt.NewAccountClaims(id)
		claims.Name = r.Account
		signer, signerKey := pair(nkeys.CreateAccount)
		scope := jwt.NewUserScope()
		scope.Key, scope.Role = signerKey, r.Name
		scope.Template.Permissions = jwt.Permissions{Pub: jwt.Permission{Allow: r.Publish}, Sub: jwt.Permission{Allow: r.Subscribe}}
		claims.SigningKeys.AddScopedSigner(scope)
		accounts[r.Account], ids[r.Account], signers[r.Name] = claims, id, signer
	}
	hubAccount := accounts[roles[0].Account]
	hubAccount.Limits.JetStreamLimits = jwt.JetStreamLimits{MemoryStorage: -1, DiskStorage: -1, Streams: -1, Consumer: -1}
	for _, s := range server.Services() {
		export := &jwt.Export{Name: s.Subject, Subject: jwt.Subject(s.Subject), Type: jwt.Service, ResponseType: jwt.ResponseTypeSingleton}
		if s.Stream {
			export.ResponseType = jwt.ResponseTypeStream
		}
		hubAccount.Exports.Add(export)
		accounts[s.Account].Imports.Add(&jwt.Import{Name: s.Subject, Account: ids[hubAccount.Name], Subject: jwt.Subject(s.Subject), Type: jwt.Service})
	}
	var conf strings.Builder
	fmt.Fprintf(&conf, "operator: %s\nresolver: MEMORY\nresolver_preload {\n  %s: %s\n", operatorJWT, system, systemJWT)
	for name, claims := range accounts {
		var problems jwt.ValidationResults
		claims.Validate(&problems)
		require.Empty(t, problems.Errors())
		text, err := claims.Encode(operator)
		require.NoError(t, err)
		fmt.Fprintf(&conf, "  %s: %s\n", ids[name], text)
	}
	conf.WriteString("}\n")

	w := world{as: make(map[string]server.Access)}
	dir := t.TempDir()
	for role, names := range map[string][]string{"agent": agents, "hub": hubs, "reader": readers} {
		for _, name := range names {
			user, id := pair(nkeys.CreateUser)
			claims := jwt.NewUserClaims(id)
			claims.Name = name
			claims.SetScoped(true)
			for _, r := range roles {
				if r.Name == role {
					claims.IssuerAccount = ids[r.Account]
				}
			}
			text, err := claims.Encode(signers[role])
			require.NoError(t, err)
			seed, err := user.Seed()
			require.NoError(t, err)
			creds, err := jwt.FormatUserConfig(text, seed)
			require.NoError(t, err)
			path := filepath.Join(dir, name+".creds")
			require.NoError(t, os.WriteFile(path, creds, 0o600))
			w.as[name] = server.Access{Credentials: path}
		}
	}
	w.node = servertest.Bare(t, server.Options{ConfigFile: write(t, "operator.conf", conf.String())})
	return w
}

// hub sets up, as a hub does.
func (w world) hub(t *testing.T, s server.Settings) (*server.Connection, jetstream.JetStream) {
	t.Helper()
	c := w.connect(t, "hub1")
	js := servertest.JetStream(t, c)
	s.MaxBytes = 1 << 30
	require.NoError(t, server.Setup(t.Context(), js, s))
	return c, js
}

// state is how many messages all streams have, and ever had.
func state(t *testing.T, js jetstream.JetStream) map[string][2]uint64 {
	t.Helper()
	all := make(map[string][2]uint64)
	for _, name := range []string{wire.ShardStream, wire.AccountStream, wire.ResultStream, "KV_" + wire.HostBucket, "KV_" + wire.HubBucket,
		"KV_" + wire.AccountBucket, "OBJ_" + wire.HistoryStore} {
		stream, err := js.Stream(t.Context(), name)
		require.NoError(t, err)
		all[name] = [2]uint64{stream.CachedInfo().State.Msgs, stream.CachedInfo().State.LastSeq}
	}
	return all
}

func publisher(t *testing.T, c *server.Connection) *server.Publisher {
	t.Helper()
	p, err := c.Publisher()
	require.NoError(t, err)
	return p
}

// forbidden are subjects that neither an agent nor a reader may publish to.
var forbidden = []string{
	wire.ShardSubject("web02"), wire.HostSubject("web02"), wire.AccountSubject("unknown"), wire.ResultSubject("unknown"),
	"$KV." + wire.HubBucket + ".hub1", wire.KeySubject(wire.LeaseKey("unknown")), wire.KeySubject(wire.EpochKey("unknown")),
	wire.KeySubject(wire.JournalKey("unknown", 1, 1)), "$O." + wire.HistoryStore + ".M.eA==", "$O." + wire.HistoryStore + ".C.x",
	"$JS.API.INFO", "$JS.API.STREAM.NAMES", "$JS.API.STREAM.LIST", "$JS.API.STREAM.CREATE.X", "$JS.API.STREAM.INFO." + wire.ShardStream,
	"$JS.API.STREAM.UPDATE." + wire.ShardStream, "$JS.API.STREAM.PURGE." + wire.ShardStream, "$JS.API.STREAM.DELETE." + wire.ShardStream,
	"$JS.API.STREAM.DELETE.KV_" + wire.AccountBucket, "$JS.API.STREAM.MSG.GET." + wire.ShardStream, "$JS.API.STREAM.MSG.DELETE." + wire.ShardStream,
	"$JS.API.STREAM.SNAPSHOT." + wire.ShardStream, "$JS.API.STREAM.RESTORE.X",
	"$JS.API.CONSUMER.CREATE." + wire.ShardStream, "$JS.API.CONSUMER.CREATE." + wire.ShardStream + ".x.y", "$JS.API.CONSUMER.DURABLE.CREATE." + wire.ShardStream + ".x",
	"$JS.API.CONSUMER.LIST." + wire.ShardStream, "$JS.API.CONSUMER.MSG.NEXT." + wire.ShardStream + ".hubs", "$JS.API.CONSUMER.DELETE." + wire.ShardStream + ".hubs",
	"$JS.ACK." + wire.ShardStream + ".hubs.1.1.1.1.1", "$SYS.REQ.SERVER.PING", "$SYS.REQ.ACCOUNT.PING.CONNZ", "_INBOX.web02.x", "_INBOX.hub1.x", "_R_.x",
}

// requireForbidden publishes to subjects, and is refused each time, at once.
func requireForbidden(t *testing.T, c *server.Connection, subjects ...string) {
	t.Helper()
	p := publisher(t, c)
	for _, subject := range subjects {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		err := p.Publish(ctx, subject, "", []byte("{}"))
		require.ErrorIs(t, err, server.ErrPermission, subject)
		require.NoError(t, ctx.Err())
		cancel()
	}
}

// requireDeaf subscribes to what a user may not hear.
func requireDeaf(t *testing.T, c *server.Connection, subjects ...string) {
	t.Helper()
	for _, subject := range subjects {
		s, err := c.SubscribeSync(subject)
		require.NoError(t, err)
		require.NoError(t, c.Flush())
		_, err = s.NextMsg(10 * time.Second)
		require.ErrorIs(t, err, nats.ErrPermissionViolation, subject)
	}
}

// deaf are what nobody but the owner may subscribe to.
var deaf = []string{">", "*", wire.ShardSubject("*"), wire.ShardSubject("web01"), wire.AccountSubject("*"), wire.ResultSubject("*"), "$KV.>", "$O.>", "$JS.>", "$SYS.>",
	"_INBOX.>", "_INBOX.*.x", "_INBOX.web02.>", "_INBOX.hub1.>", "_R_.>", "$JS.EVENT.ADVISORY.>"}

// TestAgent: an agent publishes its own shards and heartbeat, sees the acknowledgements, and nothing else.
func TestAgent(t *testing.T) {
	eachWorld(t, func(t *testing.T, w world) {
		_, js := w.hub(t, server.Settings{})
		c := w.connect(t, "web01")
		p := publisher(t, c)
		require.NoError(t, p.Publish(t.Context(), wire.ShardSubject("web01"), "1", []byte("shard")))
		require.NoError(t, p.Publish(t.Context(), wire.ShardSubject("web01"), "1", []byte("shard")))
		require.NoError(t, p.Publish(t.Context(), wire.HostSubject("web01"), "", []byte("beat")))
		require.NoError(t, p.Publish(t.Context(), wire.HostSubject("web01"), "", []byte("beat again")))
		before := state(t, js)
		require.Equal(t, [2]uint64{1, 1}, before[wire.ShardStream])
		require.Equal(t, [2]uint64{1, 2}, before["KV_"+wire.HostBucket])

		requireForbidden(t, c, forbidden...)
		for _, s := range server.Services() {
			if strings.HasPrefix(s.Subject, "$JS.API.") { // what readers may
				requireForbidden(t, c, s.Subject)
			}
		}
		requireDeaf(t, c, deaf...)
		_, err := c.Values(t.Context(), wire.HostBucket, "web01")
		require.ErrorIs(t, err, server.ErrPermission)
		require.Equal(t, before, state(t, js))
	})
}

// TestAgentReplies: an agent cannot have the server write an acknowledgement where it may not write itself.
func TestAgentReplies(t *testing.T) {
	eachWorld(t, func(t *testing.T, w world) {
		_, js := w.hub(t, server.Settings{HostShards: 1000})
		c := w.connect(t, "web01")
		for _, subject := range []string{wire.ShardSubject("web01"), wire.HostSubject("web01")} {
			for _, reply := range forbidden {
				require.NoError(t, c.PublishMsg(&nats.Msg{Subject: subject, Reply: reply, Data: []byte("x")}))
			}
			require.NoError(t, c.PublishMsg(&nats.Msg{Subject: subject, Reply: wire.HostSubject("web01"), Data: []byte("x")})) // of another stream
			// What comes later is acknowledged later.
			require.NoError(t, publisher(t, c).Publish(t.Context(), subject, "", []byte("the last")))
		}
		after := state(t, js)
		require.Zero(t, after["KV_"+wire.AccountBucket][1])
		require.Zero(t, after["KV_"+wire.HubBucket][1])
		require.Zero(t, after[wire.AccountStream][1])
		require.Zero(t, after[wire.ResultStream][1])
		require.Zero(t, after["OBJ_"+wire.HistoryStore][1])
		beats, err := js.KeyValue(t.Context(), wire.HostBucket)
		require.NoError(t, err)
		_, err = beats.Get(t.Context(), "web02")
		require.ErrorIs(t, err, jetstream.ErrKeyNotFound)
	})
}

// TestAgentHeaders: no header gives an agent more than its own subjects.
func TestAgentHeaders(t *testing.T) {
	eachWorld(t, func(t *testing.T, w world) {
		_, js := w.hub(t, server.Settings{})
		require.NoError(t, publisher(t, w.connect(t, "web02")).Publish(t.Context(), wire.HostSubject("web02"), "", []byte("beat")))
		require.NoError(t, publisher(t, w.connect(t, "web02")).Publish(t.Context(), wire.ShardSubject("web02"), "", []byte("shard")))
		before := state(t, js)
		c := w.connect(t, "web01")
		for _, header := range []nats.Header{
			{"Nats-Rollup": {"all"}}, {"Nats-Rollup": {"sub"}}, {"Nats-TTL": {"never"}}, {"Nats-TTL": {"1h"}}, {"Nats-Incr": {"1"}},
			{"Nats-Batch-Id": {"a"}, "Nats-Batch-Sequence": {"1"}, "Nats-Batch-Commit": {"1"}},
			{"Nats-Schedule": {"@at 2030-01-01T00:00:00Z"}, "Nats-Schedule-Target": {wire.AccountSubject("unknown")}},
		} {
			for _, subject := range []string{wire.ShardSubject("web01"), wire.HostSubject("web01")} {
				m, err := c.RequestMsg(&nats.Msg{Subject: subject, Header: header, Data: []byte("x")}, 10*time.Second)
				require.NoError(t, err, header)
				var answer struct{ Error *struct{ Description string } }
				require.NoError(t, json.Unmarshal(m.Data, &answer))
				require.NotNil(t, answer.Error, "%v: %s", header, m.Data)
			}
		}
		require.Equal(t, before, state(t, js))
		// A trace goes to nobody.
		_ = c.PublishMsg(&nats.Msg{Subject: wire.ShardSubject("web01"), Header: nats.Header{"Nats-Trace-Dest": {wire.KeySubject(wire.LeaseKey("unknown"))}}, Data: []byte("x")})
		require.NoError(t, publisher(t, c).Publish(t.Context(), wire.ShardSubject("web01"), "", []byte("the last")))
		require.Zero(t, state(t, js)["KV_"+wire.AccountBucket][1])
	})
}

// TestHostileAgent floods, and is refused at its own bound; the others go on.
func TestHostileAgent(t *testing.T) {
	eachWorld(t, func(t *testing.T, w world) {
		_, js := w.hub(t, server.Settings{HostShards: 5})
		hostile := publisher(t, w.connect(t, "web01"))
		refused := 0
		for i := range 50 {
			err := hostile.Publish(t.Context(), wire.ShardSubject("web01"), fmt.Sprint(i), make([]byte, 100<<10))
			if err != nil {
				require.ErrorIs(t, err, server.ErrFull)
				refused++
			}
		}
		require.Equal(t, 45, refused)
		require.ErrorIs(t, hostile.Publish(t.Context(), wire.ShardSubject("web01"), "large", make([]byte, wire.MaxMessage+5<<10)), server.ErrTooLarge)
		require.ErrorIs(t, hostile.Publish(t.Context(), wire.HostSubject("web01"), "", make([]byte, 100<<10)), server.ErrTooLarge)
		honest := publisher(t, w.connect(t, "web02"))
		for i := range 5 {
			require.NoError(t, honest.Publish(t.Context(), wire.ShardSubject("web02"), fmt.Sprint("honest", i), []byte("shard")))
		}
		require.EqualValues(t, 10, state(t, js)[wire.ShardStream][0])
	})
}

// TestHub: a hub does all that hubs do, and cannot delete or make other streams.
func TestHub(t *testing.T) {
	eachWorld(t, func(t *testing.T, w world) {
		c, js := w.hub(t, server.Settings{})
		ctx := t.Context()
		require.NoError(t, server.Verify(ctx, js))
		require.NoError(t, publisher(t, w.connect(t, "web01")).Publish(ctx, wire.ShardSubject("web01"), "1", []byte("shard")))

		consumer, err := js.CreateOrUpdateConsumer(ctx, wire.ShardStream, jetstream.ConsumerConfig{Durable: "hubs", AckPolicy: jetstream.AckExplicitPolicy})
		require.NoError(t, err)
		m, err := consumer.Next()
		require.NoError(t, err)
		require.Equal(t, "shard", string(m.Data()))
		require.NoError(t, publisher(t, c).Publish(ctx, wire.AccountSubject("unknown"), "1", []byte("part")))
		require.NoError(t, m.DoubleAck(ctx))
		require.Zero(t, state(t, js)[wire.ShardStream][0])
		require.NoError(t, publisher(t, c).Publish(ctx, wire.ResultSubject("unknown"), "1", []byte("result")))

		other := w.connect(t, "hub2")
		kv, err := servertest.JetStream(t, other).KeyValue(ctx, wire.AccountBucket)
		require.NoError(t, err)
		watch, err := kv.WatchAll(ctx)
		require.NoError(t, err)
		require.Nil(t, <-watch.Updates())
		mine, err := js.KeyValue(ctx, wire.AccountBucket)
		require.NoError(t, err)
		_, err = mine.Create(ctx, wire.JournalKey("unknown", 1, 1), []byte("{}"), jetstream.KeyTTL(time.Hour))
		require.NoError(t, err)
		require.Equal(t, wire.JournalKey("unknown", 1, 1), (<-watch.Updates()).Key())

		objects, err := js.ObjectStore(ctx, wire.HistoryStore)
		require.NoError(t, err)
		_, err = objects.PutBytes(ctx, "a", []byte("snapshot"))
		require.NoError(t, err)
		content, err := objects.GetBytes(ctx, "a")
		require.NoError(t, err)
		require.Equal(t, "snapshot", string(content))
		require.NoError(t, objects.Delete(ctx, "a"))
		stream, err := js.Stream(ctx, wire.AccountStream)
		require.NoError(t, err)
		ordered, err := js.OrderedConsumer(ctx, wire.AccountStream, jetstream.OrderedConsumerConfig{FilterSubjects: []string{wire.AccountSubject("unknown")}})
		require.NoError(t, err)
		part, err := ordered.Next()
		require.NoError(t, err)
		require.Equal(t, "part", string(part.Data()))
		require.NoError(t, stream.Purge(ctx, jetstream.WithPurgeSubject(wire.AccountSubject("unknown"))))
		hosts, err := c.Values(ctx, wire.HostBucket, "*")
		require.NoError(t, err)
		require.Empty(t, hosts)

		requireForbidden(t, c, "$JS.API.STREAM.DELETE."+wire.ShardStream, "$JS.API.STREAM.CREATE.X", "$JS.API.STREAM.PURGE."+wire.ShardStream,
			"$JS.API.STREAM.SNAPSHOT."+wire.ShardStream, "$JS.API.STREAM.MSG.DELETE."+wire.AccountStream, wire.ShardSubject("web01"), wire.HostSubject("web01"),
			"$SYS.REQ.SERVER.PING", "_INBOX.hub2.x")
		requireDeaf(t, c, ">", "_INBOX.>", "_INBOX.hub2.>", wire.ShardSubject("*"), "$SYS.>")
	})
}

// TestReader: a reader reads all, and writes nothing.
func TestReader(t *testing.T) {
	eachWorld(t, func(t *testing.T, w world) {
		_, js := w.hub(t, server.Settings{})
		ctx := t.Context()
		require.NoError(t, publisher(t, w.connect(t, "web01")).Publish(ctx, wire.HostSubject("web01"), "", []byte("beat")))
		kv, err := js.KeyValue(ctx, wire.AccountBucket)
		require.NoError(t, err)
		for i := range 300 {
			_, err = kv.Put(ctx, fmt.Sprint("state.", i), []byte("state"))
			require.NoError(t, err)
		}
		objects, err := js.ObjectStore(ctx, wire.HistoryStore)
		require.NoError(t, err)
		_, err = objects.PutBytes(ctx, "a", make([]byte, 1<<20))
		require.NoError(t, err)
		require.NoError(t, publisher(t, w.connect(t, "hub1")).Publish(ctx, wire.ResultSubject("unknown"), "1", []byte("result")))

		c := w.connect(t, "alice")
		before := state(t, js)
		hosts, err := c.Values(ctx, wire.HostBucket, "*")
		require.NoError(t, err)
		require.Equal(t, "beat", string(hosts["web01"].Data))
		states, err := c.Values(ctx, wire.AccountBucket, "state.*")
		require.NoError(t, err)
		require.Len(t, states, 300)
		snapshot, err := c.Object(ctx, "a", 1<<20)
		require.NoError(t, err)
		require.Len(t, snapshot, 1<<20)
		for e, err := range c.Entries(ctx, wire.ResultStream, ">") {
			require.NoError(t, err)
			require.Equal(t, "result", string(e.Data))
		}

		requireForbidden(t, c, forbidden...)
		requireForbidden(t, c, wire.ShardSubject("alice"), wire.HostSubject("alice"))
		requireDeaf(t, c, deaf...)
		// Nor by an answer that goes elsewhere.
		for _, reply := range forbidden {
			require.NoError(t, c.PublishRequest("$JS.API.DIRECT.GET.KV_"+wire.HostBucket, reply, []byte(`{"last_by_subj":"`+wire.HostSubject("web01")+`"}`)))
		}
		_, err = c.Values(ctx, wire.HostBucket, "*") // answered later
		require.NoError(t, err)
		require.Equal(t, before, state(t, js))
	})
}

// TestNobody: who has no key has no connection.
func TestNobody(t *testing.T) {
	eachWorld(t, func(t *testing.T, w world) {
		_, err := server.Connect(t.Context(), server.Access{URLs: []string{w.node.URL()}})
		require.ErrorContains(t, err, "Authorization Violation")
		seed := filepath.Join(t.TempDir(), "other.nk")
		keyFile(t, seed)
		_, err = server.Connect(t.Context(), server.Access{URLs: []string{w.node.URL()}, NKeySeed: seed})
		require.ErrorContains(t, err, "Authorization Violation")
	})
}

// TestWrongName: who has another name than that of the key hears no answers, and is told so at once.
func TestWrongName(t *testing.T) {
	eachWorld(t, func(t *testing.T, w world) {
		w.hub(t, server.Settings{})
		access := w.as["alice"]
		access.URLs, access.Inbox = []string{w.node.URL()}, "bob"
		c := servertest.Connect(t, access)
		began := time.Now()
		_, err := c.Values(t.Context(), wire.HostBucket, "*")
		require.ErrorIs(t, err, server.ErrPermission)
		require.ErrorContains(t, err, "--name")
		access = w.as["web01"]
		access.URLs, access.Inbox = []string{w.node.URL()}, "web02"
		err = publisher(t, servertest.Connect(t, access)).Publish(t.Context(), wire.HostSubject("web01"), "", []byte("beat"))
		require.ErrorIs(t, err, server.ErrPermission)
		require.Less(t, time.Since(began), 8*time.Second, "it does not wait for an answer")
	})
}
