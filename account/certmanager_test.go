package account

import (
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// keyText is the content of testdata/keys/NAME.
func keyText(t testing.TB, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata/keys", name))
	require.NoError(t, err)
	return string(data)
}

// kubeSecret is a Secret in YAML with a key from testdata/keys.
func kubeSecret(t testing.TB, namespace, name, member, key string) string {
	t.Helper()
	return fmt.Sprintf("apiVersion: v1\nkind: Secret\nmetadata:\n  namespace: %s\n  name: %s\n  creationTimestamp: \"2024-05-06T07:08:09Z\"\ndata:\n  %s: %s\n",
		namespace, name, member, base64.StdEncoding.EncodeToString([]byte(keyText(t, key))))
}

// kubeIssuer is an Issuer, or without namespace a ClusterIssuer, in JSON.
func kubeIssuer(namespace, name, secret, status string) string {
	kind := "ClusterIssuer"
	if namespace != "" {
		kind = "Issuer"
	}
	return fmt.Sprintf(`{"apiVersion": "cert-manager.io/v1", "kind": %q, "metadata": {"name": %q, "namespace": %q},
		"spec": {"acme": {"server": "https://ca.example/directory", "email": "You@example.com", "privateKeySecretRef": {"name": %q}}},
		"status": {"acme": {%s}}}`, kind, name, namespace, secret, status)
}

func TestCertManager(t *testing.T) {
	const (
		nothing  = "error: account: .: file does not exist: expected files of JSON or YAML with cert-manager's Secrets and issuers, as of: kubectl get secrets,issuers,clusterissuers -A -o yaml\n"
		uri      = `"uri": "https://ca.example/acct/1"`
		rsaHash  = "5QIeZysMC5flMkUfzOMBBBQpcjIVCIeAGpmmmmHVMmI="
		joined   = "\n  stored by   cert-manager\n  key         RSA 2048 " + rsa2048 + "\n  url         https://ca.example/acct/1\n  directory   https://ca.example/directory\n  contact     mailto:you@example.com\n  created     2024-05-06T07:08:09Z\n  mode        0600\n"
		noURL    = "\n  stored by   cert-manager\n  key         RSA 2048 " + rsa2048 + "\n  directory   https://ca.example/directory\n  contact     mailto:you@example.com\n  created     2024-05-06T07:08:09Z\n  mode        0600\n  problem     no-url\n"
		unjoined = "\n  stored by   cert-manager\n  key         RSA 2048 " + rsa2048 + "\n  created     2024-05-06T07:08:09Z\n  mode        0600\n  problem     no-url\n  problem     no-directory\n"
	)
	secret := func(namespace, name string) string {
		return kubeSecret(t, namespace, name, "tls.key", "rsa2048-pkcs1.pem")
	}
	testReader(t, CertManager, map[string]readerTest{
		"nothing": {want: nothing},
		"other files": {
			files: map[string]string{
				"compose.yaml":    "services: {web: {image: nginx}}",
				"chart.yaml":      "kind: Deployment\nmetadata: {{ .Values.x }}",
				"configmap.yaml":  "apiVersion: v1\nkind: Secret\nmetadata: {name: x}\ndata: {password: c2VjcmV0}",
				"vault.yaml":      "apiVersion: cert-manager.io/v1\nkind: Issuer\nmetadata: {name: x}\nspec: {vault: {}}",
				"sub/secret.yaml": secret("ns", "not-here"),
			},
			want: nothing,
		},
		"a Secret alone": {
			files: map[string]string{"a.yml": secret("ns", "key")},
			want:  "a.yml" + unjoined,
		},
		"a List in JSON": {
			files: map[string]string{"all.json": `{"apiVersion": "v1", "kind": "List", "items": [` + kubeIssuer("ns", "le", "key", uri) +
				`, {"kind": "Secret", "apiVersion": "v1", "metadata": {"name": "key", "namespace": "ns", "creationTimestamp": "2024-05-06T07:08:09Z"},
				"type": "Opaque", "data": {"tls.key": "` + base64.StdEncoding.EncodeToString([]byte(keyText(t, "rsa2048-pkcs1.pem"))) + `"}}]}`},
			want: "all.json" + joined,
		},
		"a List in YAML, with aliases": {
			files: map[string]string{"all.yaml": "apiVersion: v1\nkind: List\nitems:\n- " + strings.ReplaceAll(secret("&ns web", "&name key"), "\n", "\n  ") +
				"\n- apiVersion: cert-manager.io/v1alpha2\n  kind: Issuer\n  metadata: {name: le, namespace: *ns}\n  spec: {acme: {server: 'https://ca.example/directory', email: you@example.com, privateKeySecretRef: {name: *name}}}\n" +
				"  status: {acme: {uri: 'https://ca.example/acct/1'}}\n"},
			want: "all.yaml" + joined,
		},
		"documents of YAML, and of JSON, one after another": {
			files: map[string]string{
				"a.yaml": "---\n# a comment\n---\n" + secret("web", "one") + "---\n" + kubeSecret(t, "cert-manager", "two", "tls.key", "p384-sec1.pem"),
				"b.json": "\ufeff" + kubeIssuer("web", "le", "one", uri) + "\n" + kubeIssuer("", "le", "two", ""),
			},
			want: "a.yaml" + joined + "a.yaml\n" + `  stored by   cert-manager
  key         EC P-384 ` + p384 + `
  directory   https://ca.example/directory
  contact     mailto:you@example.com
  created     2024-05-06T07:08:09Z
  mode        0600
  problem     no-url
`,
		},
		"another member, written by hand": {
			files: map[string]string{"all.yaml": "apiVersion: v1\nkind: Secret\nmetadata: {name: key}\nstringData:\n  mine.pem: |\n    " +
				strings.ReplaceAll(keyText(t, "p521-pkcs8.pem"), "\n", "\n    ") +
				"\n---\napiVersion: certmanager.k8s.io/v1alpha1\nkind: ClusterIssuer\nmetadata: {name: le}\nspec: {acme: {server: 'https://ca.example/directory', privateKeySecretRef: {name: key, key: mine.pem}}}"},
			want: "all.yaml\n" + `  stored by   cert-manager
  key         EC P-521 ` + p521 + `
  directory   https://ca.example/directory
  mode        0600
  problem     no-url
`,
		},
		"one Secret for two servers": {
			files: map[string]string{
				"secret.yaml": secret("web", "key"),
				"a.json":      kubeIssuer("web", "a", "key", uri),
				"b.json":      strings.ReplaceAll(kubeIssuer("web", "b", "key", uri), "ca.example", "ca.test"),
			},
			want: "secret.yaml" + joined + "secret.yaml" + strings.ReplaceAll(joined, "ca.example", "ca.test"),
		},
		"namespaces": {
			files: map[string]string{
				"a.yaml":       secret("web", "key"),
				"b.yaml":       kubeSecret(t, "shop", "key", "tls.key", "p384-sec1.pem"),
				"c.yaml":       kubeSecret(t, "cert-manager", "key", "tls.key", "p521-pkcs8.pem"),
				"web.json":     kubeIssuer("web", "le", "key", uri),
				"other.json":   kubeIssuer("other", "le", "key", uri),
				"cluster.json": kubeIssuer("", "le", "key", uri),
			},
			want: "a.yaml" + joined +
				"b.yaml\n  stored by   cert-manager\n  key         EC P-384 " + p384 + "\n  created     2024-05-06T07:08:09Z\n  mode        0600\n  problem     no-url\n  problem     no-directory\n" +
				"c.yaml" + strings.ReplaceAll(joined, "RSA 2048 "+rsa2048, "EC P-521 "+p521) +
				"error: account: other.json: the Secret of issuer/le is not in the files here: export it, too, with kubectl get secret -n other key -o yaml\n",
		},
		"a ClusterIssuer whose Secret cannot be told": {
			files: map[string]string{
				"a.yaml":       secret("web", "key"),
				"b.yaml":       kubeSecret(t, "shop", "key", "tls.key", "p384-sec1.pem"),
				"cluster.json": kubeIssuer("", "le", "key", uri),
			},
			want: "a.yaml" + unjoined + "b.yaml" + strings.ReplaceAll(unjoined, "RSA 2048 "+rsa2048, "EC P-384 "+p384) +
				"error: account: cluster.json: several Secrets here may be that of clusterissuer/le: leave only one of the namespace in which cert-manager runs\n",
		},
		"the key of the hash": {
			files: map[string]string{
				"a.yaml": secret("web", "key"),
				"b.json": kubeIssuer("web", "le", "key", uri+`, "lastPrivateKeyHash": "`+rsaHash+`"`),
			},
			want: "a.yaml" + joined,
		},
		"another key than that of the hash": {
			files: map[string]string{
				"a.yaml": secret("web", "key"),
				"b.json": kubeIssuer("web", "le", "key", uri+`, "lastPrivateKeyHash": "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="`),
			},
			want: "a.yaml" + noURL + "error: account: b.json: the account of issuer/le was registered with another key than that of its Secret\n",
		},
		"keys of certificates": {
			files: map[string]string{
				"a.yaml": kubeSecret(t, "web", "cert", "tls.key", "p521-pkcs8.pem") + "type: kubernetes.io/tls\n",
				"b.yaml": secret("web", "cert-x7b2p") + "type: Opaque\n---\n" +
					strings.Replace(kubeSecret(t, "web", "cert-8kl2x", "tls.key", "p384-sec1.pem"), "metadata:", "metadata:\n  labels: {cert-manager.io/next-private-key: \"true\"}", 1),
				"c.yaml": kubeSecret(t, "web", "old", "tls.key", "p521-pkcs8.pem") + "  tls.crt: ''\n",
				"d.json": kubeIssuer("web", "mistaken", "cert", uri),
			},
			want: "b.yaml" + unjoined +
				"error: account: d.json: the Secret of issuer/mistaken holds a certificate and its key, not an account's\n",
		},
		"faults": {
			files: map[string]string{
				"a.json": `{"kind": "Secret", "apiVersion": "v1",`,
				"b.yaml": "apiVersion: v1\nkind: Secret\nmetadata: {name: x}\ndata: {tls.key: LS0tLS1CRUdJTg}\n",
				"c.yaml": "apiVersion: v1\nkind: Secret\nmetadata: {name: \"x\\e[31m\"}\ndata: {tls.key: '*'}\n",
				"d.yaml": "apiVersion: v1\nkind: Secret\nmetadata: {name: x}\ndata: [secret]\n",
				"e.yaml": "apiVersion: v1\nkind: Secret\nkind: Secret\nmetadata: {name: x}\ndata: {tls.key: '', tls.key: ''}\n",
				"f.yaml": kubeSecret(t, "web", "locked", "tls.key", "p384-encrypted-pkcs8.pem"),
				"g.yaml": "kind: Secret\nx: [&a 1" + strings.Repeat(", *a", maxAliases+1) + "]\n",
				"h.yaml": secret("web", "h"),
				"i.json": strings.Replace(kubeIssuer("web", "i", "h", `"uri": "https://other.example/1"`), `"i"`, `"\u001b[31m"`, 1),
				"j.json": strings.Replace(kubeIssuer("web", "j", "h", uri), "https://ca.example/directory", "ftp://ca.example", 1),
				"k.json": strings.Replace(kubeIssuer("web", "k", "h", uri), `"name": "h"`, `"name": "h", "key": "mine"`, 1),
			},
			want: "h.yaml" + noURL + "h.yaml" + strings.Replace(joined, "  directory   https://ca.example/directory\n", "", 1) + "  problem     no-directory\n" + `error: account: a.json: malformed JSON or YAML
error: account: b.yaml: tls.key of secret/x is not base64
error: account: c.yaml: tls.key of secret/"x\x1b[31m" is not base64
error: account: d.yaml: a Secret in it is malformed
error: account: e.yaml: an object in it is malformed
error: account: f.yaml: found an encrypted private key: decrypt a copy of it first, for example with: openssl pkey -in KEY -out PLAINKEY (supported are RSA keys of 2048 to 8192 bits and EC keys on P-256, P-384 or P-521, unencrypted, in PEM, in DER or as a JWK)
error: account: g.yaml: more than 100 aliases of YAML
error: account: h.yaml: secret/h has no mine
error: account: i.json: status.acme.uri of issuer/"\x1b[31m" is an account of another server than https://ca.example/directory
error: account: j.json: spec.acme.server of issuer/j is not an http or https URL
`,
		},
	})
}

// TestParseCertManager reads single files, as where nobody said what they are.
func TestParseCertManager(t *testing.T) {
	fsys := files(t, map[string]string{
		"a/secret.yaml": kubeSecret(t, "web", "key", "tls.key", "rsa2048-pkcs1.pem"),
		"a/issuer.json": kubeIssuer("web", "le", "key", `"uri": "https://ca.example/acct/1"`),
		"a/lost.json":   kubeIssuer("web", "lost", "lost", ""),
		"a/broken.json": `{"kind": "Secret"`,
		"a/vault.yaml":  "apiVersion: cert-manager.io/v1\nkind: Issuer\nspec: {vault: {}}",
		"a/other.yaml":  "services: {}",
	})
	for name, want := range map[string]struct {
		ours bool
		said string
	}{
		"a/secret.yaml": {true, "a/secret.yaml\n  stored by   cert-manager\n  key         RSA 2048 " + rsa2048 + "\n  url         https://ca.example/acct/1\n  directory   https://ca.example/directory\n  contact     mailto:you@example.com\n  created     2024-05-06T07:08:09Z\n  mode        0600\n"},
		"a/issuer.json": {true, "error: account: .: file does not exist: expected it\n"},
		"a/lost.json":   {true, "error: account: a/lost.json: the Secret of issuer/lost is not in the files here: export it, too, with kubectl get secret -n web lost -o yaml\n"},
		"a/broken.json": {true, "error: account: a/broken.json: malformed JSON or YAML\n"},
		"a/vault.yaml":  {false, "error: account: .: file does not exist: expected it\n"},
		"a/other.yaml":  {false, "error: account: .: file does not exist: expected it\n"},
	} {
		s := newStore(fsys, "cert-manager")
		require.Equal(t, want.ours, parseCertManager(s, name, fsys[name].Data, 0o600), name)
		require.Equal(t, want.said, describe(s.result("it")), name)
	}
}

// TestCertManagerAliases bounds what aliases may make of a small file: each level
// of it holds the one below twice, or itself.
func TestCertManagerAliases(t *testing.T) {
	levels := "kind: Secret\nl0: &l0 {x: y}\n"
	for i := range maxAliases/2 - 1 {
		levels += fmt.Sprintf("l%d: &l%d {<<: [*l%d, *l%d]}\n", i+1, i+1, i, i)
	}
	for _, text := range []string{
		levels + fmt.Sprintf("items: [{<<: *l%d}]\n", maxAliases/2-1),
		"kind: Secret\n<<: &a {<<: *a}",
		"kind: Secret\nitems: &a [*a, *a]",
	} {
		_, err := CertManager(files(t, map[string]string{"a.yaml": text}))
		require.Contains(t, []string{"account: a.yaml: an object in it is malformed", "account: a.yaml: malformed JSON or YAML"}, err.Error(), text)
	}
}
