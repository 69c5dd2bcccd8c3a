package account

// What cert-manager keeps in Kubernetes, as kubectl prints it in YAML or JSON
// (types of cert-manager 1.21, filled by hand with what was observed):
//
//	kind: Issuer                                or ClusterIssuer
//	metadata: {name: letsencrypt, namespace: default}
//	spec: {acme: {server: <directory URL>, email: …, privateKeySecretRef: {name: account-key, key: tls.key}}}
//	status: {acme: {uri: <account URL>}}
//	---
//	kind: Secret
//	metadata: {name: account-key, namespace: default, creationTimestamp: …}
//	type: Opaque
//	data: {tls.key: <base64 of PEM, PKCS #1>}
//
// The Secret of an Issuer is in its namespace, that of a ClusterIssuer in the one
// that cert-manager is configured with, by default cert-manager.

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"errors"
	"io/fs"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// CertManager reads the accounts in manifests of cert-manager that are in files
// *.yaml, *.yml and *.json in the directory given, such as
//
//	kubectl get secrets,issuers,clusterissuers -A -o yaml >accounts.yaml
//
// prints. They are sorted by Path; a file may have any number, also as a List.
//
// Each Issuer and ClusterIssuer whose Secret is there, in whichever file, is an
// account; URL and Directory are its own. A Secret that looks like an account's, of
// the type Opaque with a tls.key but no tls.crt, is one even if no issuer names it;
// URL and Directory are empty then.
//
// Accounts that cannot be read do not hide the others: the error joins a
// [*FileError] for each file with a fault. If there is no account at all it is a
// [*FileError] that wraps [fs.ErrNotExist].
func CertManager(fsys fs.FS) ([]*Account, error) {
	s := newStore(fsys, "cert-manager")
	var c cluster
	s.parseAll(c.add, ".yaml", ".yml", ".json")
	c.join(s)
	return s.result("a directory with manifests of cert-manager (kubectl get secrets,issuers,clusterissuers -A -o yaml)")
}

// certManagerFile reads one file.
func certManagerFile(s *store, name string, data []byte, mode fs.FileMode) bool {
	var c cluster
	if !c.add(s, name, data, mode) {
		return false
	}
	c.join(s)
	return len(s.accounts) > 0 || len(s.faults) > 0
}

// A manifest is an object of Kubernetes, as far as it matters here.
type manifest struct {
	Kind     string `yaml:"kind"`
	Metadata struct {
		Name      string `yaml:"name"`
		Namespace string `yaml:"namespace"`
		Created   string `yaml:"creationTimestamp"`
	} `yaml:"metadata"`
	Type string            `yaml:"type"`
	Data map[string]string `yaml:"data"`
	Text map[string]string `yaml:"stringData"`
	Spec struct {
		ACME *struct {
			Server string `yaml:"server"`
			Email  string `yaml:"email"`
			Secret struct {
				Name string `yaml:"name"`
				Key  string `yaml:"key"`
			} `yaml:"privateKeySecretRef"`
		} `yaml:"acme"`
	} `yaml:"spec"`
	Status struct {
		ACME struct {
			URI string `yaml:"uri"`
		} `yaml:"acme"`
	} `yaml:"status"`
	Items []manifest `yaml:"items"`

	file string
	mode fs.FileMode
	used bool
}

// A cluster is the manifests that were read.
type cluster struct {
	secrets []*manifest
	issuers []*manifest
}

// maxDocuments is how many documents of YAML are read of a file.
const maxDocuments = 10_000

// add reads the manifests in a file. It reports whether there are any that matter.
func (c *cluster) add(_ *store, name string, data []byte, mode fs.FileMode) bool {
	documents := yaml.NewDecoder(bytes.NewReader(data))
	found := false
	for range maxDocuments {
		var m manifest
		if err := documents.Decode(&m); err != nil {
			break // at the end, or no manifest
		}
		for i := range m.Items {
			found = c.take(&m.Items[i], name, mode) || found
		}
		found = c.take(&m, name, mode) || found
	}
	return found
}

func (c *cluster) take(m *manifest, name string, mode fs.FileMode) bool {
	m.file, m.mode = name, mode
	switch {
	case m.Kind == "Secret":
		c.secrets = append(c.secrets, m)
	case strings.HasSuffix(m.Kind, "Issuer") && m.Spec.ACME != nil:
		c.issuers = append(c.issuers, m)
	default:
		return false
	}
	return true
}

// join makes accounts of issuers and their secrets, and of the secrets that are left.
func (c *cluster) join(s *store) {
	for _, issuer := range c.issuers {
		for _, secret := range c.secrets {
			if issuer.names(secret) {
				secret.used = true
				c.account(s, issuer, secret)
			}
		}
	}
	for _, secret := range c.secrets {
		if !secret.used && secret.isAccount() {
			c.account(s, nil, secret)
		}
	}
}

// names reports whether a secret is the issuer's.
func (m *manifest) names(secret *manifest) bool {
	return m.Spec.ACME.Secret.Name == secret.Metadata.Name &&
		(m.Kind == "ClusterIssuer" || m.Metadata.Namespace == secret.Metadata.Namespace)
}

// isAccount reports whether a secret looks like an account's rather than that of a
// certificate or of anything else.
func (m *manifest) isAccount() bool {
	has := func(member string) bool { return m.Data[member] != "" || m.Text[member] != "" }
	return has("tls.key") && !has("tls.crt") && m.Type != "kubernetes.io/tls"
}

func (c *cluster) account(s *store, issuer, secret *manifest) {
	member := "tls.key"
	if issuer != nil {
		member = cmp.Or(issuer.Spec.ACME.Secret.Key, member)
	}
	key, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(secret.Data[member]), ""))
	if text := secret.Text[member]; text != "" {
		key, err = []byte(text), nil
	}
	if err != nil {
		s.fault(secret.file, errors.New("the key of a Secret is not base64"))
		return
	}
	a := s.newAccount(secret.file, secret.mode, key)
	if a == nil {
		return
	}
	a.CreatedAt, _ = time.Parse(time.RFC3339, secret.Metadata.Created)
	if issuer != nil {
		a.Directory = s.safeURL(issuer.file, "spec.acme.server", issuer.Spec.ACME.Server)
		s.setAccountURL(a, issuer.file, "status.acme.uri", issuer.Status.ACME.URI)
		if email := issuer.Spec.ACME.Email; email != "" {
			a.Contact = []string{"mailto:" + email}
		}
	}
	if !slices.ContainsFunc(s.accounts, a.isSame) {
		s.add(a)
	}
}

// isSame reports whether two accounts are the same one at the same server.
func (a *Account) isSame(b *Account) bool {
	return a.Thumbprint() == b.Thumbprint() && a.Directory == b.Directory && a.URL == b.URL
}
