package server_test

import (
	"bytes"
	"testing"

	"github.com/acmeauthz/acmeauthz/examples/fleet/server"
	"github.com/nats-io/nkeys"
	"github.com/stretchr/testify/require"
)

// publicKey is that of a new user.
func publicKey(t *testing.T) string {
	t.Helper()
	pair, err := nkeys.CreateUser()
	require.NoError(t, err)
	public, err := pair.PublicKey()
	require.NoError(t, err)
	return public
}

// TestUsers: no two users share a name or a key; an error names both, and nothing is written.
func TestUsers(t *testing.T) {
	a, b := publicKey(t), publicKey(t)
	pair := func(one, other string) map[string]string { return map[string]string{one: a, other: b} }
	one := func(name, key string) map[string]string { return map[string]string{name: key} }
	for want, u := range map[string]server.Users{
		"agent WEB01 and agent web01 have the same name":     {Agents: pair("web01", "WEB01")},
		"hub Hub1 and hub hub1 have the same name":           {Hubs: pair("hub1", "Hub1")},
		"reader Alice and reader aLice have the same name":   {Readers: pair("aLice", "Alice")},
		"hub node1 and agent node1 have the same name":       {Hubs: one("node1", a), Agents: one("node1", b)},
		"hub node1 and reader Node1 have the same name":      {Hubs: one("node1", a), Readers: one("Node1", b)},
		"agent A.example and reader a.EXAMPLE have the same": {Agents: one("A.example", a), Readers: one("a.EXAMPLE", b)},
		"agent web01 and agent web02 have the same nkey":     {Agents: map[string]string{"web01": a, "web02": a}},
		"hub hub1 and reader alice have the same nkey":       {Hubs: one("hub1", a), Readers: one("alice", a)},
		"is no public nkey of a user":                        {Agents: one("web01", "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY")},
		"no spaces and control characters":                   {Agents: one("web 01", a)},
		"there is nobody":                                    {},
	} {
		var out bytes.Buffer
		err := server.WritePermissions(&out, u)
		require.ErrorContains(t, err, want)
		require.NotContains(t, err.Error(), "SUACSSL") // a seed, given by mistake
		require.Empty(t, out.String())
	}
	var out bytes.Buffer
	require.NoError(t, server.WritePermissions(&out, server.Users{Agents: pair("web01", "web01.example"), Hubs: one("hub1", publicKey(t))}))
	require.Contains(t, out.String(), "# agent web01\n")
	require.Contains(t, out.String(), "_INBOX.web01=2Eexample.>")
}
