package account

// lego's directory, --path or LEGO_PATH, by default .lego in the working
// directory, as lego 4.9, 4.35 and 5.6 wrote it:
//
//	accounts/                                   0700
//	├── acme-v02.api.letsencrypt.org/           host of the directory URL, of lego 4
//	│   └── you@example.com/                    an account: e-mail address
//	│       ├── account.json                    0600: email, registration {body, uri: "<account URL>"}
//	│       └── keys/you@example.com.key        0600: PEM, SEC 1 or PKCS #1
//	├── localhost_14000/                        a port
//	└── dv.acme-v02.api.pki.goog/               of lego 5
//	    └── you@example.com/                    the account's id
//	        ├── account.json                    id, keyType, server: "<directory URL>",
//	        │                                   registration {accountURL, contact, …}
//	        └── you@example.com.key             PKCS #8
//
// lego 4 drops the path of the directory URL: two directories of one host share
// a folder, and an unknown host's directory cannot be told.

import (
	"io/fs"
	"path"
	"strings"

	"github.com/go-jose/go-jose/v4/json"
)

// Lego reads the accounts in the directory of lego 3 to 5, by default .lego in
// the directory in which lego runs: the one that holds the directory accounts.
// They are sorted by Path.
//
// Directory is what lego 5 stored. Lego 4 stored only the host; Directory is that
// of the public CA there, or empty if the host is another's.
//
// Accounts that cannot be read do not hide the others: the error joins a
// [*FileError] for each file or directory with a fault. If there is no account at
// all it is a [*FileError] that wraps [fs.ErrNotExist].
func Lego(fsys fs.FS) ([]*Account, error) {
	s := newStore(fsys, "lego")
	for _, host := range s.dirs("accounts") {
		for _, dir := range s.dirs(host) {
			s.lego(dir)
		}
	}
	return s.result("lego's directory, usually .lego, which holds accounts/SERVER/EMAIL/account.json")
}

// legoAccount is account.json, of lego 3 and 4 or of lego 5.
type legoAccount struct {
	Server       string `json:"server"`
	Registration *struct {
		URI        string   `json:"uri"`        // lego 4
		AccountURL string   `json:"accountURL"` // lego 5
		Contact    []string `json:"contact"`
		Body       struct {
			Contact []string        `json:"contact"`
			Key     json.RawMessage `json:"key"`
		} `json:"body"`
		Key json.RawMessage `json:"key"`
	} `json:"registration"`
}

// lego reads the account in a directory.
func (s *store) lego(dir string) {
	file := path.Join(dir, "account.json")
	if !s.isFile(file) && len(s.legoKeys(dir)) == 0 {
		return // of some other program's
	}
	var stored legoAccount
	known := s.readJSON(file, &stored)
	for _, name := range s.legoKeys(dir) {
		a := s.keyFile(name)
		if a == nil {
			continue
		}
		a.Directory = s.legoDirectory(dir, file, &stored)
		if known && stored.Registration != nil {
			s.legoRegistration(a, file, &stored)
		}
		s.add(a)
	}
}

// legoKeys returns the key files of the account in a directory: of lego 5 beside
// account.json, of lego 4 below keys.
func (s *store) legoKeys(dir string) []string {
	return append(s.files(dir, ".key"), s.files(path.Join(dir, "keys"), ".key")...)
}

func (s *store) legoDirectory(dir, file string, stored *legoAccount) string {
	if stored.Server != "" {
		return s.safeURL(file, "server", stored.Server)
	}
	if stored.Registration != nil {
		if directory := usualDirectory(stored.Registration.URI); directory != "" {
			return directory
		}
	}
	return usualDirectory("https://" + strings.ReplaceAll(path.Base(path.Dir(dir)), "_", ":"))
}

func (s *store) legoRegistration(a *Account, file string, stored *legoAccount) {
	r := stored.Registration
	if !s.checkRegistered(a, file, r.Key) || !s.checkRegistered(a, file, r.Body.Key) {
		return
	}
	a.Contact = append(r.Contact, r.Body.Contact...)
	s.setAccountURL(a, file, "registration.accountURL", r.AccountURL)
	s.setAccountURL(a, file, "registration.uri", r.URI)
}
