package account

// dehydrated's base directory (BASEDIR; Debian: /var/lib/dehydrated), as
// dehydrated 0.7.0 and a newer development version wrote it:
//
//	accounts/                                   0700
//	└── aHR0cHM6Ly9jYS5leGFtcGxlL2RpcgoK/       base64url of the directory URL and a newline
//	    ├── account_key.pem                     0600: PKCS #8, older PKCS #1; newer also SEC 1
//	    ├── account_id.json                     {"url": "<account URL>"}
//	    └── registration_info.json              the account object
//
// Before 0.7 (from its source, not run) there was no account_id.json: 0.6 kept the
// account's "id" in registration_info.json, for ACME v1, or its "url" nowhere.

import (
	"encoding/base64"
	"io/fs"
	"path"
	"strings"

	"github.com/go-jose/go-jose/v4/json"
)

// Dehydrated reads the accounts in the base directory of dehydrated 0.4 to 0.7,
// on Debian /var/lib/dehydrated, elsewhere that of its configuration: the one that
// holds the directory accounts. They are sorted by Path.
//
// Directory is what the name of the account's directory stands for, URL and
// Contact are what dehydrated stored; older versions stored no URL.
//
// Accounts that cannot be read do not hide the others: the error joins a
// [*FileError] for each file or directory with a fault. If there is no account at
// all it is a [*FileError] that wraps [fs.ErrNotExist].
func Dehydrated(fsys fs.FS) ([]*Account, error) {
	s := newStore(fsys, "dehydrated")
	for _, dir := range s.dirs("accounts") {
		if server, ok := dehydratedServer(path.Base(dir)); ok {
			s.dehydrated(dir, server)
		}
	}
	return s.result("dehydrated's directory, on Debian /var/lib/dehydrated, which holds accounts/BASE64/account_key.pem")
}

// dehydratedServer returns the URL that the name of a directory stands for.
func dehydratedServer(name string) (string, bool) {
	text, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(name, "="))
	server := strings.TrimSpace(string(text))
	return server, err == nil && strings.HasPrefix(server, "http")
}

func (s *store) dehydrated(dir, server string) {
	a := s.keyFile(path.Join(dir, "account_key.pem"))
	if a == nil {
		return
	}
	a.Directory = s.safeURL(dir, "its name", server)
	info, id := path.Join(dir, "registration_info.json"), path.Join(dir, "account_id.json")
	var stored struct {
		Contact []string        `json:"contact"`
		Key     json.RawMessage `json:"key"`
	}
	if !s.readJSON(info, &stored) || s.checkRegistered(a, info, stored.Key) {
		a.Contact = stored.Contact
		var account struct {
			URL string `json:"url"`
		}
		s.readJSON(id, &account)
		s.setAccountURL(a, id, "url", account.URL)
	}
	s.add(a)
}
