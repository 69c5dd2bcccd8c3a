package account

// Posh-ACME's configuration directory: ~/.config/Posh-ACME, on Windows
// %LOCALAPPDATA%\Posh-ACME, on a Mac ~/Library/Preferences/Posh-ACME (from its
// source, version 4; not run):
//
//	current-server.txt
//	acme-v02.api.letsencrypt.org/               a server, by its host or as named by hand
//	├── dir.json                                the directory object, and its "location"
//	├── current-account.txt
//	└── 123456789/                              an account, by the end of its URL or as named by hand
//	    ├── acct.json                           location: "<account URL>", contact, key: a JWK
//	    └── example.com/order.json              an order
//
// Files may start with a byte order mark.

import (
	"cmp"
	"errors"
	"io/fs"
	"path"

	"github.com/go-jose/go-jose/v4/json"
)

// PoshACME reads the accounts in the configuration directory of Posh-ACME 3 and 4,
// which holds a directory for each server. They are sorted by Path.
//
// URL and Contact are what Posh-ACME stored, and so is Directory; where that is
// missing it is that of the public CA on the account's host, or empty.
//
// Accounts that cannot be read do not hide the others: the error joins a
// [*FileError] for each file or directory with a fault. If there is no account at
// all it is a [*FileError] that wraps [fs.ErrNotExist].
func PoshACME(fsys fs.FS) ([]*Account, error) {
	s := newStore(fsys, "posh-acme")
	for _, server := range s.dirs(".") {
		for _, dir := range s.dirs(server) {
			s.poshACME(server, path.Join(dir, "acct.json"))
		}
	}
	return s.result("Posh-ACME's directory, usually ~/.config/Posh-ACME, which holds SERVER/ACCOUNT/acct.json")
}

func (s *store) poshACME(server, name string) {
	data, mode, ok := s.read(name)
	if !ok {
		return
	}
	var stored struct {
		Location string          `json:"location"`
		Contact  []string        `json:"contact"`
		Key      json.RawMessage `json:"key"`
	}
	if err := parseJSON(data, &stored); err != nil {
		s.fault(name, err)
		return
	}
	if len(stored.Key) == 0 || stored.Key[0] != '{' {
		s.fault(name, errors.New("the key in it is protected; export the account with Posh-ACME on the machine that made it"))
		return
	}
	a := s.newAccount(name, mode, stored.Key)
	if a == nil {
		return
	}
	var directory struct {
		Location string `json:"location"`
	}
	file := path.Join(server, "dir.json")
	s.readJSON(file, &directory)
	a.Directory = s.safeURL(file, "location", directory.Location)
	s.setAccountURL(a, name, "location", stored.Location)
	a.Directory = cmp.Or(a.Directory, usualDirectory(a.URL))
	a.Contact = stored.Contact
	s.add(a)
}
