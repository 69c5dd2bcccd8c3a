package account

// cert-manager's accounts are objects of Kubernetes, exported with kubectl to
// files of JSON or YAML. Of cert-manager 1.21; since 0.5 it is the same, by the
// source, not run:
//
//	Secret          metadata {name, namespace, creationTimestamp}, type Opaque,
//	                data {tls.key: base64 of PKCS #1 in PEM}
//	Issuer,         spec.acme {server: "<directory URL>", email,
//	ClusterIssuer     privateKeySecretRef {name, key: tls.key if there is none}}
//	                status.acme {uri: "<account URL>", lastRegisteredEmail,
//	                  lastPrivateKeyHash: base64 of SHA-256 of PKCS #1}
//
// The Secret of an Issuer is in its namespace, that of a ClusterIssuer in the
// namespace that cert-manager was told, nearly always cert-manager. Issuers may
// share a Secret, such as those for a CA's two servers: that makes two accounts
// of one key.
//
// Most Secrets with a tls.key are no accounts: those of certificates have tls.crt
// beside it, those of certificates on their way have a label.

import (
	"bytes"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4/json"
	"go.yaml.in/yaml/v3"
)

const (
	maxManifests = 200 // the most files that are read to join one with
	maxAliases   = 100 // the most of a YAML document; kubectl writes none
)

// CertManager reads the accounts of cert-manager, 0.5 and later, from files that
// kubectl wrote: those directly in fsys whose names end in .json, .yaml or .yml.
// They hold the Secrets with the account keys and the issuers that refer to them,
// together or apart, single or in Lists:
//
//	kubectl get secrets,issuers,clusterissuers -A -o yaml >accounts.yaml
//
// The accounts are sorted by Path. Directory, URL and Contact are those of the
// issuer; without it, they are empty. A Secret of several issuers makes several
// accounts. CreatedAt is when the Secret was made. Secrets with the keys of
// certificates are left out.
//
// Accounts that cannot be read do not hide the others: the error joins a
// [*FileError] for each file with a fault, such as an issuer whose Secret is not
// there. If there is no account at all it is a [*FileError] that wraps
// [fs.ErrNotExist].
func CertManager(fsys fs.FS) ([]*Account, error) {
	s := newStore(fsys, "cert-manager")
	var c cluster
	for _, name := range s.files(".", manifestSuffixes...) {
		if data, mode, ok := s.read(name); ok {
			if _, err := c.load(name, data, mode); err != nil {
				s.fault(name, err)
			}
		}
	}
	s.addCluster(&c, "")
	return s.result("files of JSON or YAML with cert-manager's Secrets and issuers, as of: kubectl get secrets,issuers,clusterissuers -A -o yaml")
}

var manifestSuffixes = []string{".json", ".yaml", ".yml"}

// parseCertManager reads one file. What it refers to may be in those beside it.
func parseCertManager(s *store, name string, data []byte, mode fs.FileMode) bool {
	var c cluster
	ours, err := c.load(name, data, mode)
	if err != nil {
		s.fault(name, err)
	}
	if !ours {
		return err != nil
	}
	beside := s.files(path.Dir(name), manifestSuffixes...)
	for _, other := range beside[:min(len(beside), maxManifests)] {
		if other == name {
			continue
		}
		if data, mode, err := readFile(s.fsys, other); err == nil {
			c.load(other, data, mode) // its faults are told when its turn comes
		}
	}
	s.addCluster(&c, name)
	return true
}

// A cluster holds the objects of Kubernetes that matter.
type cluster struct {
	secrets []*kubeObject
	issuers []*kubeObject
}

// A kubeObject is a Secret, an Issuer or a ClusterIssuer.
type kubeObject struct {
	kubeHead `yaml:",inline"`
	Metadata struct {
		Name              string            `json:"name" yaml:"name"`
		Namespace         string            `json:"namespace" yaml:"namespace"`
		CreationTimestamp string            `json:"creationTimestamp" yaml:"creationTimestamp"`
		Labels            map[string]string `json:"labels" yaml:"labels"`
	} `json:"metadata" yaml:"metadata"`

	Type       string            `json:"type" yaml:"type"`
	Data       map[string]string `json:"data" yaml:"data"`
	StringData map[string]string `json:"stringData" yaml:"stringData"` // written by hand

	Spec struct {
		ACME *struct {
			Server              string `json:"server" yaml:"server"`
			Email               string `json:"email" yaml:"email"`
			PrivateKeySecretRef struct {
				Name string `json:"name" yaml:"name"`
				Key  string `json:"key" yaml:"key"`
			} `json:"privateKeySecretRef" yaml:"privateKeySecretRef"`
		} `json:"acme" yaml:"acme"`
	} `json:"spec" yaml:"spec"`
	Status struct {
		ACME struct {
			URI                 string `json:"uri" yaml:"uri"`
			LastRegisteredEmail string `json:"lastRegisteredEmail" yaml:"lastRegisteredEmail"`
			LastPrivateKeyHash  string `json:"lastPrivateKeyHash" yaml:"lastPrivateKeyHash"`
		} `json:"acme" yaml:"acme"`
	} `json:"status" yaml:"status"`

	file  string
	mode  fs.FileMode
	found bool // an issuer's Secret, or a Secret's issuer
}

// A kubeHead tells what an object of Kubernetes is.
type kubeHead struct {
	APIVersion string `json:"apiVersion" yaml:"apiVersion"`
	Kind       string `json:"kind" yaml:"kind"`
}

func (h kubeHead) isSecret() bool { return h.Kind == "Secret" && h.APIVersion == "v1" }

func (h kubeHead) isIssuer() bool {
	group, _, _ := strings.Cut(h.APIVersion, "/")
	return (h.Kind == "Issuer" || h.Kind == "ClusterIssuer") &&
		(group == "cert-manager.io" || group == "certmanager.k8s.io") // the latter before 0.11
}

// maybeManifest is true of every file with an object or a List that matters.
var maybeManifest = regexp.MustCompile(`\bkind["']?[ \t]*:[ \t]*["']?(Secret|Issuer|ClusterIssuer|([A-Za-z]*List))\b`)

// load takes in the objects of a file that matter, and reports whether there are
// any. Many programs keep other things in YAML: they are no fault.
func (c *cluster) load(name string, data []byte, mode fs.FileMode) (ours bool, err error) {
	if !maybeManifest.Match(data) {
		return false, nil
	}
	objects, err := kubeObjects(data)
	for _, decode := range objects {
		var head kubeHead
		if decode(&head) != nil {
			err = errors.New("an object in it is malformed")
			continue
		}
		if !head.isSecret() && !head.isIssuer() {
			continue
		}
		o := &kubeObject{file: name, mode: mode}
		if decode(o) != nil {
			err = fmt.Errorf("a %s in it is malformed", head.Kind)
			continue
		}
		ours = c.take(o) || ours
	}
	return ours, err
}

// take takes in an object if it matters.
func (c *cluster) take(o *kubeObject) bool {
	switch {
	case o.isSecret():
		if !o.isNextKey() {
			c.secrets = append(c.secrets, o)
		}
	case o.Spec.ACME != nil:
		c.issuers = append(c.issuers, o)
		return true
	}
	return o.isSecret() && o.mayBeAccount()
}

// addCluster adds the accounts of the Secrets that are in a file, or in any if it
// is "", and notes the issuers there that have none.
func (s *store) addCluster(c *cluster, file string) {
	concerned := func(o *kubeObject) bool { return file == "" || o.file == file }
	for _, issuer := range c.issuers {
		secret, err := c.secretOf(issuer)
		if err != nil {
			if concerned(issuer) {
				s.fault(issuer.file, err)
			}
			continue
		}
		secret.found = true
		if concerned(secret) {
			s.addSecret(secret, issuer)
		}
	}
	for _, secret := range c.secrets {
		if !secret.found && concerned(secret) && secret.mayBeAccount() {
			s.addSecret(secret, nil)
		}
	}
}

// secretOf returns the Secret that an issuer keeps its key in.
func (c *cluster) secretOf(issuer *kubeObject) (*kubeObject, error) {
	var found []*kubeObject
	for _, secret := range c.secrets {
		if secret.Metadata.Name == issuer.Spec.ACME.PrivateKeySecretRef.Name && issuer.mayUse(secret) {
			found = append(found, secret)
		}
	}
	usual := func(secret *kubeObject) bool { return secret.Metadata.Namespace == "cert-manager" }
	if len(found) > 1 && issuer.Kind == "ClusterIssuer" && slices.ContainsFunc(found, usual) {
		found = slices.DeleteFunc(found, func(secret *kubeObject) bool { return !usual(secret) })
	}
	switch {
	case len(found) == 0:
		return nil, fmt.Errorf("the Secret of %s is not in the files here: export it, too, with kubectl get secret -n %s %s -o yaml",
			issuer, issuer.namespace(), printable(issuer.Spec.ACME.PrivateKeySecretRef.Name))
	case slices.ContainsFunc(found[1:], func(secret *kubeObject) bool { return !secret.sameAs(found[0]) }):
		return nil, fmt.Errorf("several Secrets here may be that of %s: leave only one of the namespace in which cert-manager runs", issuer)
	case found[0].isCertificate():
		return nil, fmt.Errorf("the Secret of %s holds a certificate and its key, not an account's", issuer)
	}
	return found[0], nil
}

// mayUse reports whether an issuer's Secrets are in the namespace of a Secret.
// What is written by hand, may leave it out.
func (o *kubeObject) mayUse(secret *kubeObject) bool {
	ours, theirs := o.Metadata.Namespace, secret.Metadata.Namespace
	return o.Kind == "ClusterIssuer" || ours == theirs || ours == "" || theirs == ""
}

// sameAs reports whether a Secret is another export of one.
func (o *kubeObject) sameAs(secret *kubeObject) bool {
	return o.Metadata.Namespace == secret.Metadata.Namespace && o.Metadata.Name == secret.Metadata.Name
}

// String names an issuer as kubectl does.
func (o *kubeObject) String() string {
	return strings.ToLower(o.Kind) + "/" + printable(o.Metadata.Name)
}

// namespace is that of an issuer's Secret.
func (o *kubeObject) namespace() string {
	switch {
	case o.Kind == "ClusterIssuer":
		return "cert-manager"
	case o.Metadata.Namespace == "":
		return "default"
	}
	return printable(o.Metadata.Namespace)
}

// isCertificate reports whether the key in a Secret belongs to a certificate.
func (o *kubeObject) isCertificate() bool {
	_, ok := o.Data["tls.crt"]
	_, ok2 := o.StringData["tls.crt"]
	return ok || ok2 || o.Type == "kubernetes.io/tls"
}

// isNextKey reports whether a Secret holds the key of a certificate that is yet
// to be issued.
func (o *kubeObject) isNextKey() bool {
	return o.Metadata.Labels["cert-manager.io/next-private-key"] == "true"
}

// mayBeAccount reports whether a Secret looks like an account's, though nothing
// else says so.
func (o *kubeObject) mayBeAccount() bool {
	_, ok := o.Data["tls.key"]
	_, ok2 := o.StringData["tls.key"]
	return (ok || ok2) && !o.isCertificate() && !o.isNextKey()
}

// value is what a Secret holds under a key.
func (o *kubeObject) value(key string) ([]byte, error) {
	if value, ok := o.StringData[key]; ok {
		return []byte(value), nil
	}
	value, ok := o.Data[key]
	if !ok {
		return nil, fmt.Errorf("secret/%s has no %s", printable(o.Metadata.Name), printable(key))
	}
	data, err := base64.StdEncoding.DecodeString(strings.TrimSpace(value))
	if err != nil {
		return nil, fmt.Errorf("%s of secret/%s is not base64", printable(key), printable(o.Metadata.Name))
	}
	return data, nil
}

// addSecret adds the account of a Secret and of the issuer that uses it, or nil.
func (s *store) addSecret(secret, issuer *kubeObject) {
	key := "tls.key"
	if issuer != nil && issuer.Spec.ACME.PrivateKeySecretRef.Key != "" {
		key = issuer.Spec.ACME.PrivateKeySecretRef.Key
	}
	data, err := secret.value(key)
	if err != nil {
		s.fault(secret.file, err)
		return
	}
	a := s.newAccount(secret.file, secret.mode, data)
	if a == nil {
		return
	}
	a.CreatedAt, _ = time.Parse(time.RFC3339, secret.Metadata.CreationTimestamp)
	if issuer != nil {
		s.setIssuer(a, issuer)
	}
	s.add(a)
}

func (s *store) setIssuer(a *Account, issuer *kubeObject) {
	spec, status := issuer.Spec.ACME, issuer.Status.ACME
	a.Directory = s.safeURL(issuer.file, "spec.acme.server of "+issuer.String(), spec.Server)
	if email := spec.Email; email != "" {
		a.Contact = []string{"mailto:" + strings.ToLower(email)} // as it registers it
	}
	if hash := keyHash(a); status.LastPrivateKeyHash != "" && hash != "" && hash != status.LastPrivateKeyHash {
		s.fault(issuer.file, fmt.Errorf("the account of %s was registered with another key than that of its Secret", issuer))
		return
	}
	s.setAccountURL(a, issuer.file, "status.acme.uri of "+issuer.String(), status.URI)
}

// keyHash is the hash by which cert-manager tells that a key has changed. It has
// none of EC keys, which it does not take.
func keyHash(a *Account) string {
	key, ok := a.Key.(*rsa.PrivateKey)
	if !ok {
		return ""
	}
	hash := sha256.Sum256(x509.MarshalPKCS1PrivateKey(key))
	return base64.StdEncoding.EncodeToString(hash[:])
}

// kubeObjects returns a decoder for each object in a file of JSON or YAML, those
// in Lists among them. With a fault it returns the objects before.
func kubeObjects(data []byte) ([]func(v any) error, error) {
	data = bytes.TrimSpace(bytes.TrimPrefix(data, []byte("\ufeff")))
	if len(data) > 0 && data[0] == '{' {
		return jsonObjects(data)
	}
	return yamlObjects(data)
}

var errManifest = errors.New("malformed JSON or YAML")

func jsonObjects(data []byte) (objects []func(v any) error, err error) {
	for d := json.NewDecoder(bytes.NewReader(data)); ; {
		var document json.RawMessage
		if err := d.Decode(&document); err == io.EOF {
			return objects, nil
		} else if err != nil {
			return objects, errManifest
		}
		list := struct {
			Items []json.RawMessage `json:"items"`
		}{}
		if json.Unmarshal(document, &list) != nil || list.Items == nil {
			list.Items = []json.RawMessage{document}
		}
		for _, item := range list.Items {
			objects = append(objects, func(v any) error { return json.Unmarshal(item, v) })
		}
	}
}

func yamlObjects(data []byte) (objects []func(v any) error, err error) {
	for d := yaml.NewDecoder(bytes.NewReader(data)); ; {
		var document yaml.Node
		if err := d.Decode(&document); err == io.EOF {
			return objects, nil
		} else if err != nil {
			return objects, errManifest
		}
		if aliases(&document) > maxAliases {
			return objects, fmt.Errorf("more than %d aliases of YAML", maxAliases)
		}
		list := struct {
			Items []yaml.Node `yaml:"items"`
		}{}
		if document.Decode(&list) != nil || list.Items == nil {
			list.Items = []yaml.Node{document}
		}
		for _, item := range list.Items {
			objects = append(objects, item.Decode)
		}
	}
}

// aliases counts the aliases below a node. As an alias may stand for a node with
// aliases, few of them can make a document huge.
func aliases(n *yaml.Node) int {
	if n.Kind == yaml.AliasNode {
		return 1
	}
	count := 0
	for _, child := range n.Content {
		count += aliases(child)
	}
	return count
}
