package server

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/acmeauthz/acmeauthz/examples/fleet/wire"
	"github.com/nats-io/nkeys"
)

// Who may do what, as accounts of NATS. Permissions on subjects alone are not enough: a client chooses the subject of the
// answer to what it publishes, no permission is asked for that, and JetStream acknowledges there. An agent that names a
// lease's subject has the server write into the lease. So agents have an account of their own, which can reach two
// subjects of the hubs' and in which nothing listens; and readers likewise.

// The accounts.
const (
	hubAccount    = "FLEET"
	agentAccount  = "FLEET_AGENTS"
	readerAccount = "FLEET_READERS"
)

// A Role is what users of one kind may publish and subscribe to.
type Role struct {
	Name      string // "agent", "hub", "reader"
	Account   string
	Publish   []string
	Subscribe []string
}

// A Service is a subject of the hubs' account that another account may send requests to.
type Service struct {
	Subject string
	Account string // that may
	Stream  bool   // many answers to a request, not one
}

// nameTemplate is what nats-server replaces by a user's name in the permissions of a scoped signing key.
const nameTemplate = "{{name()}}"

// AgentRole is the role of a host's agent; host is a token of wire.HostToken. It publishes shards and a heartbeat, and
// sees the acknowledgements.
func AgentRole(host string) Role {
	return Role{"agent", agentAccount, []string{wire.ShardSubject(host), wire.HostSubject(host)}, []string{"_INBOX." + host + ".>"}}
}

// ReaderRole is the role of whoever looks on. It reads all of the fleet's data, and writes none.
func ReaderRole(name string) Role {
	r := Role{Name: "reader", Account: readerAccount, Subscribe: []string{"_INBOX." + name + ".>"}}
	for _, s := range Services() {
		if s.Account == readerAccount {
			r.Publish = append(r.Publish, s.Subject)
		}
	}
	return r
}

// HubRole is the role of a hub. Hubs trust each other and use all of their account; what they may not do is delete
// streams or make other ones.
func HubRole(name string) Role {
	r := Role{Name: "hub", Account: hubAccount, Subscribe: []string{"_INBOX." + name + ".>"}, Publish: []string{
		wire.AccountSubject("*"), wire.ResultSubject("*"),
		"$KV." + wire.HubBucket + ".>", "$KV." + wire.AccountBucket + ".>", "$O." + wire.HistoryStore + ".>",
		"$JS.API.INFO", "$JS.API.STREAM.NAMES", "$JS.API.STREAM.INFO.*", "$JS.API.STREAM.MSG.GET.*",
		"$JS.API.DIRECT.GET.>", "$JS.API.CONSUMER.>", "$JS.ACK.>", "$JS.FC.>",
		// What is in a snapshot goes from the stream, and a snapshot that was replaced from the store.
		"$JS.API.STREAM.PURGE." + wire.AccountStream, "$JS.API.STREAM.PURGE.KV_" + wire.AccountBucket, "$JS.API.STREAM.PURGE.OBJ_" + wire.HistoryStore,
	}}
	for _, s := range (Settings{}).streams() {
		r.Publish = append(r.Publish, "$JS.API.STREAM.CREATE."+s.Name, "$JS.API.STREAM.UPDATE."+s.Name)
	}
	return r
}

// Services are what other accounts may ask of the hubs' account.
func Services() []Service {
	all := []Service{
		{Subject: wire.ShardSubject("*"), Account: agentAccount},
		{Subject: wire.HostSubject("*"), Account: agentAccount},
	}
	for _, s := range (Settings{}).streams() {
		if s.AllowDirect {
			all = append(all, Service{Subject: "$JS.API.DIRECT.GET." + s.Name, Account: readerAccount, Stream: true})
		}
	}
	return all
}

// Users are the public nkeys of agents, hubs and readers, by name. A name is that of a host or hub, not its token.
type Users struct {
	Agents, Hubs, Readers map[string]string
}

// A user is one with a name that is a token.
type user struct {
	name, nkey string
	role       Role
}

// users checks them, in order of their names. A name's token is in the subjects of its user, and its inbox: no two users
// may have the same, of whatever kind they are.
func (u Users) users() ([]user, error) {
	var all []user
	owners, tokens := make(map[string]string), make(map[string]string)
	for _, kind := range []struct {
		users map[string]string
		role  func(string) Role
	}{{u.Hubs, HubRole}, {u.Agents, AgentRole}, {u.Readers, ReaderRole}} {
		for _, name := range slices.Sorted(maps.Keys(kind.users)) {
			key := kind.users[name]
			token, err := wire.HostToken(name)
			if err != nil {
				return nil, err
			}
			if !nkeys.IsValidPublicUserKey(key) {
				// What it is instead may be a seed, so it is not told.
				return nil, fmt.Errorf("%s: what is given is no public nkey of a user: that has 56 characters and starts with U", name)
			}
			role := kind.role(token)
			if other := owners[key]; other != "" {
				return nil, fmt.Errorf("%s and %s %s have the same nkey: each needs its own", other, role.Name, name)
			}
			if other := tokens[token]; other != "" {
				return nil, fmt.Errorf("%s and %s %s have the same name, since case does not matter: each needs its own", other, role.Name, name)
			}
			owners[key], tokens[token] = role.Name+" "+name, role.Name+" "+name
			all = append(all, user{name, key, role})
		}
	}
	return all, nil
}

// WritePermissions writes the accounts, and the users in them, for a configuration file of nats-server. It is an error if
// a name or a key is not one, or if two users have the same key, or names that differ in case at most.
func WritePermissions(w io.Writer, u Users) error {
	users, err := u.users()
	if err != nil {
		return err
	}
	if len(users) == 0 {
		return errors.New("there is nobody to give permissions to: name agents (--host), hubs (--hub) and readers (--reader)")
	}
	var b bytes.Buffer
	b.WriteString("# Who may do what in a fleet: written by \"fleet permissions\", with the keys of each user.\naccounts {\n")
	for _, account := range []string{hubAccount, agentAccount, readerAccount} {
		fmt.Fprintf(&b, "  %s {\n", account)
		if account == hubAccount {
			b.WriteString("    jetstream: enabled\n")
		}
		writeServices(&b, account)
		b.WriteString("    users: [\n")
		for _, user := range users {
			if user.role.Account == account {
				writeUser(&b, user)
			}
		}
		b.WriteString("    ]\n  }\n")
	}
	b.WriteString("}\n")
	_, err = w.Write(b.Bytes())
	return err
}

func writeServices(b *bytes.Buffer, account string) {
	if account == hubAccount {
		b.WriteString("    exports: [\n")
	} else {
		b.WriteString("    imports: [\n")
	}
	for _, s := range Services() {
		switch {
		case account == hubAccount && s.Stream:
			fmt.Fprintf(b, "      { service: %q, accounts: [%s], response_type: stream }\n", s.Subject, s.Account)
		case account == hubAccount:
			fmt.Fprintf(b, "      { service: %q, accounts: [%s] }\n", s.Subject, s.Account)
		case account == s.Account:
			fmt.Fprintf(b, "      { service: { account: %s, subject: %q } }\n", hubAccount, s.Subject)
		}
	}
	b.WriteString("    ]\n")
}

func writeUser(b *bytes.Buffer, u user) {
	fmt.Fprintf(b, "      { # %s %s\n        nkey: %s\n        permissions {\n", u.role.Name, u.name, u.nkey)
	fmt.Fprintf(b, "          publish: { allow: %s }\n", subjects(u.role.Publish))
	fmt.Fprintf(b, "          subscribe: { allow: %s }\n        }\n      }\n", subjects(u.role.Subscribe))
}

func subjects(all []string) string {
	quoted := make([]string, len(all))
	for i, s := range all {
		quoted[i] = fmt.Sprintf("%q", s)
	}
	if len(quoted) <= 3 {
		return "[" + strings.Join(quoted, ", ") + "]"
	}
	return "[\n            " + strings.Join(quoted, "\n            ") + "\n          ]"
}

// WriteNSC writes a script for nsc, NATS' tool for decentralized authorization, that makes an operator, the accounts, and
// for each role a signing key: a user that it signs has the permissions of the role, with the user's own name in them. So
// a new host needs no change at any server.
func WriteNSC(w io.Writer, operator string) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "#!/bin/sh\n# Makes the operator, the accounts and the roles of a fleet: written by \"fleet permissions --nsc\".\nset -eu\n")
	fmt.Fprintf(&b, "nsc add operator --generate-signing-key --sys --name %s\n", operator)
	fmt.Fprintf(&b, "nsc edit operator --account-jwt-server-url nats://127.0.0.1:4222\n")
	for _, account := range []string{hubAccount, agentAccount, readerAccount} {
		fmt.Fprintf(&b, "nsc add account --name %s\n", account)
	}
	fmt.Fprintf(&b, "nsc edit account --name %s --js-disk-storage -1 --js-streams -1 --js-consumer -1\n", hubAccount)
	for _, s := range Services() {
		response := "Singleton"
		if s.Stream {
			response = "Stream"
		}
		fmt.Fprintf(&b, "nsc add export --account %s --service --response-type %s --name '%s' --subject '%s'\n", hubAccount, response, s.Subject, s.Subject)
		fmt.Fprintf(&b, "nsc add import --account %s --service --src-account %s --name '%s' --remote-subject '%s' --local-subject '%s'\n",
			s.Account, hubAccount, s.Subject, s.Subject, s.Subject)
	}
	for _, r := range []Role{HubRole(nameTemplate), AgentRole(nameTemplate), ReaderRole(nameTemplate)} {
		fmt.Fprintf(&b, "nsc edit signing-key --account %s --role %s --sk generate \\\n  --allow-pub '%s' \\\n  --allow-sub '%s'\n",
			r.Account, r.Name, strings.Join(r.Publish, ","), strings.Join(r.Subscribe, ","))
	}
	_, err := w.Write(b.Bytes())
	return err
}
