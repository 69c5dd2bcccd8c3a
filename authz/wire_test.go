package authz

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/acme"
)

// What CAs were seen to send, and what would be unkind of them.
var authorizationBodies = []struct {
	name, body string
	want       *acme.Authorization // nil if it is none
	err        string
}{
	{
		name: "Boulder",
		body: `{"identifier":{"type":"dns","value":"example.com"},"status":"pending","expires":"2026-11-30T20:10:52Z",
			"challenges":[{"type":"dns-01","url":"https://ca.test/c/1","status":"pending","token":"t"}],"wildcard":true}`,
		want: &acme.Authorization{
			URI: "u", Status: "pending", Wildcard: true, Expires: time.Date(2026, 11, 30, 20, 10, 52, 0, time.UTC),
			Identifier: acme.AuthzID{Type: "dns", Value: "example.com"},
			Challenges: []*acme.Challenge{{Type: "dns-01", URI: "https://ca.test/c/1", Status: "pending", Token: "t"}},
		},
	},
	{
		name: "Google's nanoseconds, an address, a validated and a failed challenge, unknown members",
		body: `{"identifier":{"type":"ip","value":"2001:db8::1"},"status":"invalid","expires":"2026-11-30T20:10:52.123456789Z","x":{"y":[1]},
			"challenges":[{"type":"http-01","url":"c","status":"valid","validated":"2026-11-23T01:02:03Z"},
			{"type":"new-02","url":"d","status":"invalid","accounturi":7,"error":{"type":"urn:ietf:params:acme:error:dns","detail":"no","status":400,
			"subproblems":[{"type":"s","detail":"sd","identifier":{"type":"dns","value":"v"}},{"type":"t"}]}}]}`,
		want: &acme.Authorization{
			URI: "u", Status: "invalid", Expires: time.Date(2026, 11, 30, 20, 10, 52, 123456789, time.UTC),
			Identifier: acme.AuthzID{Type: "ip", Value: "2001:db8::1"},
			Challenges: []*acme.Challenge{
				{Type: "http-01", URI: "c", Status: "valid", Validated: time.Date(2026, 11, 23, 1, 2, 3, 0, time.UTC)},
				{Type: "new-02", URI: "d", Status: "invalid", Error: &acme.Error{
					StatusCode: 400, ProblemType: "urn:ietf:params:acme:error:dns", Detail: "no",
					Subproblems: []acme.Subproblem{{Type: "s", Detail: "sd", Identifier: &acme.AuthzID{Type: "dns", Value: "v"}}, {Type: "t"}},
				}},
			},
		},
	},
	{
		name: "OpenBao's missing expires, null challenges",
		body: `{"status":"pending","identifier":{"type":"dns","value":"v"},"challenges":null}`,
		want: &acme.Authorization{URI: "u", Status: "pending", Identifier: acme.AuthzID{Type: "dns", Value: "v"}},
	},
	{
		name: "an empty expires, a status never heard of",
		body: `{"status":"paused","identifier":{"value":"v"},"expires":"","challenges":[]}`,
		want: &acme.Authorization{URI: "u", Status: "paused", Identifier: acme.AuthzID{Value: "v"}},
	},
	{name: "expires is a number", body: `{"status":"valid","identifier":{"value":"v"},"expires":17}`, want: &acme.Authorization{URI: "u", Status: "valid", Identifier: acme.AuthzID{Value: "v"}}},
	{name: "an empty body", body: ``, err: "authz: not an authorization: unexpected end of JSON input"},
	{name: "no status", body: `{"challenges":[]}`, err: "authz: not an authorization: it has no status or no identifier"},
	{name: "an account", body: `{"status":"valid","contact":[],"orders":"https://ca.test/orders"}`, err: "authz: not an authorization: it has no status or no identifier"},
	{name: "an order", body: `{"status":"pending","identifiers":[{"type":"dns","value":"v"}],"authorizations":[]}`, err: "authz: not an authorization: it has no status or no identifier"},
	{name: "a challenge", body: `{"status":"pending","type":"dns-01","url":"u","token":"t"}`, err: "authz: not an authorization: it has no status or no identifier"},
	{name: "null", body: `null`, err: "authz: not an authorization: it has no status or no identifier"},
	{name: "an array", body: `[]`, err: "authz: not an authorization: json: cannot unmarshal array into Go value of type authz.wireAuthorization"},
	{name: "a page", body: `<html>`, err: "authz: not an authorization: invalid character '<' looking for beginning of value"},
}

func TestDecodeAuthorization(t *testing.T) {
	for _, tt := range authorizationBodies {
		t.Run(tt.name, func(t *testing.T) {
			got, err := decodeAuthorization("u", []byte(tt.body))
			if tt.err != "" {
				require.EqualError(t, err, tt.err)
				return
			}
			require.NoError(t, err)
			require.Equal(t, tt.want, got)
		})
	}
}

func FuzzDecodeAuthorization(f *testing.F) {
	for _, tt := range authorizationBodies {
		f.Add([]byte(tt.body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		a, err := decodeAuthorization("u", body)
		require.Equal(t, err == nil, a != nil)
		if a == nil {
			return
		}
		require.NotEmpty(t, a.Status)
		for _, c := range a.Challenges {
			require.NotNil(t, c)
		}
		_, _ = choose(a.Challenges)
		_ = decodeChallenge("c", body)
	})
}
