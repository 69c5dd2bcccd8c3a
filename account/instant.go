package account

// The credentials of a program that uses the Rust library instant-acme, a JSON file
// that the program names (from the source of versions 0.4 to 0.8, not run):
//
//	{"id": "<account URL>", "key_pkcs8": "<base64url of DER>", "directory": "<directory URL>"}
//
// Versions before 0.4 have "urls", the directory's content, instead of "directory".

import (
	"encoding/json"
	"errors"
	"io/fs"
)

// InstantAcme reads the accounts that programs with the Rust library instant-acme
// keep as JSON: the files *.json in the directory given. They are sorted by Path.
//
// URL and Directory are what was stored; where old versions stored no directory URL
// it is that of the public CA on the account's host, or empty.
//
// Accounts that cannot be read do not hide the others: the error joins a
// [*FileError] for each file with a fault. If there is no account at all it is a
// [*FileError] that wraps [fs.ErrNotExist].
func InstantAcme(fsys fs.FS) ([]*Account, error) {
	s := newStore(fsys, "instant-acme")
	s.parseAll(instantFile, ".json")
	return s.result("a directory with instant-acme's credentials in JSON")
}

func instantFile(s *store, name string, data []byte, mode fs.FileMode) bool {
	var stored struct {
		ID        string `json:"id"`
		Key       string `json:"key_pkcs8"`
		Directory string `json:"directory"`
	}
	if json.Unmarshal(data, &stored) != nil || stored.Key == "" {
		return false
	}
	if !s.isUnambiguous(name, data) {
		return true
	}
	der, err := anyBase64(stored.Key)
	if err != nil {
		s.fault(name, errors.New("key_pkcs8 is not base64"))
		return true
	}
	a := s.newAccount(name, mode, der)
	if a == nil {
		return true
	}
	a.Directory = s.safeURL(name, "directory", stored.Directory)
	s.setAccountURL(a, name, "id", stored.ID)
	if stored.Directory == "" {
		a.Directory = usualDirectory(a.URL)
	}
	s.add(a)
	return true
}
