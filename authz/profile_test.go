package authz_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/acme"

	"github.com/acmeauthz/acmeauthz/authz"
	"github.com/acmeauthz/acmeauthz/internal/fakeca"
)

func TestProfiles(t *testing.T) {
	profiles := authz.Profiles()
	require.Greater(t, len(profiles), 10)
	names := map[string]bool{}
	for _, p := range profiles {
		require.False(t, names[p.Name], p.Name)
		names[p.Name] = true
		require.NotEmpty(t, p.Sources, p.Name)
		for _, s := range p.Sources {
			require.NotEmpty(t, s.What, p.Name)
			require.True(t, s.URL != "" || s.Date != "", p.Name)
		}
	}
	require.Equal(t, []authz.Match{{}}, profiles[len(profiles)-1].Match)
	profiles[0].Name = "mine"
	require.Equal(t, "Let's Encrypt", authz.Profiles()[0].Name, "each caller has its own")

	document, err := json.Marshal(authz.Profiles())
	require.NoError(t, err)
	back, err := authz.ReadProfiles(strings.NewReader(string(document)))
	require.NoError(t, err)
	require.Equal(t, authz.Profiles(), back)
}

func TestMatchProfile(t *testing.T) {
	for _, tt := range []struct{ directory, newOrder, want string }{
		{"https://acme-v02.api.letsencrypt.org/directory", "https://acme-v02.api.letsencrypt.org/acme/new-order", "Let's Encrypt"},
		{"https://ACME-v02.api.letsencrypt.org:443/directory", "", "Let's Encrypt"},
		{"https://acme-v02.api.letsencrypt.org.evil.test/directory", "https://x/acme/new-order", "Boulder"},
		{"https://acme-staging-v02.api.letsencrypt.org/directory", "", "Let's Encrypt (staging)"},
		{"https://acme.zerossl.com/v2/DV90", "", "ZeroSSL"},
		{"https://acm-acme-enroll.eu-west-1.api.aws/0d1/directory", "", "AWS Certificate Manager"},
		{"https://localhost:14000/dir", "https://localhost:14000/order-plz", "Pebble"},
		{"https://ca.internal/acme/acme/directory", "https://ca.internal/acme/acme/new-order", "step-ca or Caddy"},
		{"https://caddy.internal/acme/local/directory", "https://caddy.internal/acme/local/new-order", "step-ca or Caddy"},
		{"https://vault.internal:8200/v1/pki/acme/directory", "https://vault.internal:8200/v1/pki/acme/new-order", "OpenBao or HashiCorp Vault"},
		{"https://vault.internal:8200/v1/pki/roles/web/acme/directory", "", "OpenBao or HashiCorp Vault"},
		{"https://ipa-ca.example/acme/directory", "https://ipa-ca.example/acme/new-order", "Dogtag or FreeIPA"},
		{"https://a2c.example/directory", "https://a2c.example/acme/neworders", "acme2certifier"},
		{"https://boulder.example/directory", "https://boulder.example/acme/new-order", "Boulder"},
		{"https://ejbca.example/ejbca/acme/web/directory", "", "EJBCA"},
		{"https://some.example/d", "https://some.example/o", "unknown CA"},
		{"::", "", ""},
	} {
		p := authz.MatchProfile(authz.Profiles(), tt.directory, acme.Directory{OrderURL: tt.newOrder})
		if tt.want == "" {
			require.Nil(t, p)
			continue
		}
		require.Equal(t, tt.want, p.Name, tt.directory)
	}
}

func TestReadProfiles(t *testing.T) {
	for _, tt := range []struct{ document, err string }{
		{`[]`, ""},
		{`[{"name":"x","match":[{"host":"ca.example"}],"pendingLifetimes":["24h","1h"],"failures":{"count":2,"window":"1h"},"sources":[]}]`, ""},
		{`{}`, "authz: profiles: json: cannot unmarshal object into Go value of type []authz.wireProfile"},
		{`[{"nome":"x"}]`, `authz: profiles: json: unknown field "nome"`},
		{`[{"match":[{}]}]`, `authz: profile "": it has no name`},
		{`[{"name":"x"}]`, `authz: profile "x": match is empty: it would fit no server`},
		{`[{"name":"x","match":[{"host":"[a"}]}]`, `authz: profile "x": match: pattern "[a": syntax error in pattern`},
		{`[{"name":"x","match":[{}],"deactivate":"lingers"}]`, `authz: profile "x": deactivate "lingers": want one of ["" "settles" "refused" "ignored" "cosmetic"]`},
		{`[{"name":"x","match":[{}],"answer":"no"}]`, `authz: profile "x": answer "no": want one of ["" "settles" "lingers" "impossible"]`},
		{`[{"name":"x","match":[{}],"orders":{"shape":"list"}}]`, `authz: profile "x": orders: shape "list": want "object" or "array"`},
		{`[{"name":"x","match":[{}],"pendingLimit":-1}]`, `authz: profile "x": a limit is negative`},
		{`[{"name":"x","match":[{}],"failures":{"count":0,"window":"1h"}}]`, `authz: profile "x": failures: count and window must be positive`},
		{`[{"name":"x","match":[{}],"pendingLifetimes":["1h","24h"]}]`, `authz: profile "x": pendingLifetimes: the longest must come first`},
		{`[{"name":"x","match":[{}],"lag":5}]`, `authz: profiles: a duration is a string as "168h": json: cannot unmarshal number into Go value of type string`},
		{`[{"name":"x","match":[{}],"lag":"5 minutes"}]`, `authz: profiles: time: unknown unit " minutes" in duration "5 minutes"`},
	} {
		_, err := authz.ReadProfiles(strings.NewReader(tt.document))
		if tt.err == "" {
			require.NoError(t, err, tt.document)
			continue
		}
		require.EqualError(t, err, tt.err, tt.document)
	}
}

// The caller's profiles come before ours, and where none of them fits ours
// are asked.
func TestManagerProfile(t *testing.T) {
	ca := fakeca.New(fakeca.Config{})
	mine := authz.Profile{Name: "mine", Match: []authz.Match{{Host: "ca.test"}}, Deactivate: authz.EffectRefused, PendingLifetimes: []time.Duration{time.Hour}}
	m := &authz.Manager{Client: ca.Client(), Profiles: []authz.Profile{mine}}
	p, err := m.Profile(t.Context())
	require.NoError(t, err)
	require.Equal(t, mine, *p)
	m.Profiles[0].Match[0].Host = "elsewhere.test"
	p, err = m.Profile(t.Context())
	require.NoError(t, err)
	require.Equal(t, "Boulder", p.Name)
	require.Equal(t, 2, ca.Total(), "the directory, and nothing signed")
}

func FuzzReadProfiles(f *testing.F) {
	document, err := json.Marshal(authz.Profiles())
	require.NoError(f, err)
	f.Add(string(document))
	f.Add(`[{"name":"x","match":[{"host":"*"}],"failures":{"count":2,"window":"1h"}}]`)
	f.Fuzz(func(t *testing.T, document string) {
		profiles, err := authz.ReadProfiles(strings.NewReader(document))
		if err != nil {
			return
		}
		for _, p := range profiles {
			data, err := json.Marshal(p)
			require.NoError(t, err)
			var again authz.Profile
			require.NoError(t, json.Unmarshal(data, &again))
		}
		authz.MatchProfile(profiles, "https://ca.example/directory", acme.Directory{})
	})
}
