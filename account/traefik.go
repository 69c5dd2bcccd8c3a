package account

// Traefik's storage, a file for each "storage" of its configuration, usually
// acme.json, as Traefik 3.7 wrote it (and 2, from its source):
//
//	{"<resolver>": {
//	   "Account": {"Email": "…",
//	               "Registration": {"body": {"contact": […], …}, "uri": "<account URL>"},
//	               "PrivateKey": "<base64 of DER, PKCS #1>", "KeyType": "4096"},
//	   "Certificates": […]}}
//
// Traefik 1.7 (from its source, not run) had {"Account": …} at the top.

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"slices"
)

// Traefik reads the accounts in the storage files of Traefik 1.7 to 3: those named
// *.json in the directory given, /etc/traefik for example. They are sorted by Path;
// a file has one for each of Traefik's certificate resolvers.
//
// URL and Contact are what Traefik stored. Directory is not stored: it is that of
// the public CA on the account's host, or empty.
//
// Accounts that cannot be read do not hide the others: the error joins a
// [*FileError] for each file with a fault. If there is no account at all it is a
// [*FileError] that wraps [fs.ErrNotExist].
func Traefik(fsys fs.FS) ([]*Account, error) {
	s := newStore(fsys, "traefik")
	s.parseAll(traefikFile, ".json")
	return s.result("a directory with Traefik's acme.json")
}

// traefikResolver is what Traefik keeps of a certificate resolver.
type traefikResolver struct {
	Account *struct {
		Registration struct {
			URI  string `json:"uri"`
			Body struct {
				Contact []string `json:"contact"`
			} `json:"body"`
		}
		PrivateKey string
	}
}

// traefikFile reads a storage file.
func traefikFile(s *store, name string, data []byte, mode fs.FileMode) bool {
	var resolvers map[string]json.RawMessage
	if json.Unmarshal(data, &resolvers) != nil {
		return false
	}
	if _, ok := resolvers["Account"]; ok {
		resolvers = map[string]json.RawMessage{"": data}
	}
	known := false
	for _, resolver := range slices.Sorted(maps.Keys(resolvers)) {
		var stored traefikResolver
		if json.Unmarshal(resolvers[resolver], &stored) == nil && stored.Account != nil && stored.Account.PrivateKey != "" {
			if !known && !s.isUnambiguous(name, data) {
				return true
			}
			known = true
			s.traefik(name, mode, &stored)
		}
	}
	return known
}

func (s *store) traefik(name string, mode fs.FileMode, stored *traefikResolver) {
	der, err := base64.StdEncoding.DecodeString(stored.Account.PrivateKey)
	if err != nil {
		s.fault(name, errors.New("PrivateKey is not base64"))
		return
	}
	a := s.newAccount(name, mode, der)
	if a == nil {
		return
	}
	s.setAccountURL(a, name, "Registration.uri", stored.Account.Registration.URI)
	a.Directory = usualDirectory(a.URL)
	a.Contact = stored.Account.Registration.Body.Contact
	s.add(a)
}
