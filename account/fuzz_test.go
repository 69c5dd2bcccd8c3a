package account

import (
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
)

// everything is a made-up machine with files of all shapes that hold accounts, also
// of those that have no default place.
func everything(t testing.TB) fstest.MapFS {
	fsys := machine(t)
	rsaPEM, err := os.ReadFile("testdata/keys/rsa2048-pkcs1.pem")
	require.NoError(t, err)
	jwk := string(testJWK(t, "p256-parameters-sec1.pem", nil))
	maps.Copy(fsys, files(t, map[string]string{
		"srv/simp/account_key.json": jwk,
		"srv/simp/account_reg.json": regr("https://acme-v01.api.letsencrypt.org/acme/reg/1"),
		"srv/kubernetes/all.yaml": `apiVersion: v1
kind: List
items:
- apiVersion: cert-manager.io/v1
  kind: ClusterIssuer
  metadata: {name: le}
  spec: {acme: {server: "https://k.example/dir", email: a@example.com, privateKeySecretRef: {name: key}}}
  status: {acme: {uri: "https://k.example/acct/1"}}
---
apiVersion: v1
kind: Secret
type: Opaque
metadata: {name: key, namespace: cert-manager, creationTimestamp: "2026-11-23T21:30:34Z"}
data: {tls.key: ` + base64.StdEncoding.EncodeToString(rsaPEM) + `}
`,
		"srv/terraform/terraform.tfstate": `{"version": 4, "resources": [{"type": "acme_registration", "instances": [{"attributes": {"registration_url": "https://f.example/acct/1", "account_key_pem": ` + fmt.Sprintf("%q", rsaPEM) + `}}]}]}`,
		"srv/rust/credentials.json":       `{"id": "https://r.example/acct/1", "directory": "https://r.example/dir", "key_pkcs8": "` + derOf(t, "p521-pkcs8.pem") + `"}`,
		"srv/tiny/account.key":            "key:p384-sec1.pem",
		"srv/windows/Signer_v2":           `clear-` + base64.StdEncoding.EncodeToString([]byte(`{"KeyType": "RS256", "KeyExport": "<RSAKeyValue></RSAKeyValue>"}`)),
		"srv/windows/Registration_v2":     `{"Kid": "https://w.example/acct/1"}`,
	}))
	return fsys
}

// FuzzReaders has one file of a machine replaced. Whatever it is, nothing panics,
// each error is about one file, and nothing that is printed has a part of a key.
func FuzzReaders(f *testing.F) {
	fsys := everything(f)
	names := slices.Sorted(maps.Keys(fsys))
	for i, name := range names {
		f.Add(uint8(i), fsys[name].Data)
		f.Add(uint8(i), fsys[name].Data[:len(fsys[name].Data)/2])
	}
	var secrets []string
	for _, key := range []string{"p256-parameters-sec1.pem", "p384-sec1.pem", "p521-pkcs8.pem", "rsa2048-pkcs1.pem"} {
		secrets = append(secrets, keySecrets(parsed(f, key))...)
	}
	f.Fuzz(func(t *testing.T, which uint8, data []byte) {
		name := names[int(which)%len(names)]
		changed := maps.Clone(fsys)
		changed[name] = &fstest.MapFile{Data: data, Mode: 0o600}
		for _, open := range []func() ([]*Account, error){
			func() ([]*Account, error) { return Discover(changed, "root", "home/me") },
			func() ([]*Account, error) { return Open(changed, path.Dir(name)) },
			func() ([]*Account, error) { return Open(changed, name) },
		} {
			accounts, err := open()
			for _, err := range split(err) {
				_, ok := errors.AsType[*FileError](err)
				require.True(t, ok, "%T", err)
			}
			requireNoSecrets(t, fmt.Sprintf("%v %v", accounts, err), secrets)
		}
	})
}

// requireNoSecrets is requireHidden for what was made of any input: a short part of a
// key may be in that by chance, a long one not.
func requireNoSecrets(t *testing.T, printed string, secrets []string) {
	t.Helper()
	for _, secret := range secrets {
		if len(secret) >= 12 && strings.Contains(printed, secret) {
			t.Fatalf("%q shows a part of a key: %q", printed, secret)
		}
	}
}

// TestEverythingIsHidden prints all that is found, and every fault, with every file
// in turn cut in half: no part of any key is there.
func TestEverythingIsHidden(t *testing.T) {
	fsys := everything(t)
	var secrets []string
	for _, key := range []string{"p256-parameters-sec1.pem", "p384-sec1.pem", "p521-pkcs8.pem", "rsa2048-pkcs1.pem"} {
		secrets = append(secrets, keySecrets(parsed(t, key))...)
	}
	for name, file := range fsys {
		changed := maps.Clone(fsys)
		changed[name] = &fstest.MapFile{Data: file.Data[:len(file.Data)/2], Mode: 0o600}
		accounts, err := Discover(changed, "root", "home/me")
		one, fault := Open(changed, name)
		for _, a := range append(accounts, one...) {
			doc, err := a.MarshalJSON()
			require.NoError(t, err)
			requireNoSecrets(t, fmt.Sprintf("%v %+v %#v %s %v", a, a, a, doc, a.Problems()), secrets)
		}
		requireNoSecrets(t, fmt.Sprintf("%v %+v %#v %v", err, err, fault, fault), secrets)
	}
}

// TestEverythingOpens opens each of the files by itself and its directory.
func TestEverythingOpens(t *testing.T) {
	fsys := everything(t)
	for dir, want := range map[string]string{
		"srv/simp":                        "simp_le srv/simp/account_key.json " + letsEncrypt + " " + boulder + "/acme/acct/1",
		"srv/kubernetes":                  "cert-manager srv/kubernetes/all.yaml https://k.example/dir https://k.example/acct/1",
		"srv/kubernetes/all.yaml":         "cert-manager srv/kubernetes/all.yaml https://k.example/dir https://k.example/acct/1",
		"srv/terraform/terraform.tfstate": "terraform srv/terraform/terraform.tfstate  https://f.example/acct/1",
		"srv/rust/credentials.json":       "instant-acme srv/rust/credentials.json https://r.example/dir https://r.example/acct/1",
		"srv/tiny":                        "acme-tiny srv/tiny/account.key  ",
	} {
		accounts, err := Open(fsys, dir)
		require.NoError(t, err, dir)
		require.Len(t, accounts, 1, dir)
		a := accounts[0]
		require.Equal(t, want, a.StoredBy+" "+a.Path+" "+a.Directory+" "+a.URL)
	}
}
