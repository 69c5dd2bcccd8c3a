package account

// Caddy's data directory ($XDG_DATA_HOME/caddy; of the packages
// /var/lib/caddy/.local/share/caddy, in containers /data/caddy), or that of another
// program with CertMagic, as Caddy 2.6 and later wrote it:
//
//	acme/                                       0700
//	└── acme-v02.api.letsencrypt.org-directory/     host and path of the directory URL
//	    └── users/
//	        ├── admin@example.com/
//	        │   ├── admin.json                  0600: the account object, and its "location"
//	        │   └── admin.key                   0600: PEM, SEC 1
//	        └── default/default.{json,key}      without an e-mail address
//
// A dash in the name of the server's directory may have been a slash, a colon or a
// dash; letters were small or capital.

import (
	"io/fs"
	"path"
	"strings"

	"github.com/go-jose/go-jose/v4/json"
)

// Caddy reads the accounts in the data directory of Caddy 2, or of another
// program that uses CertMagic with files: the one that holds the directory acme.
// They are sorted by Path.
//
// URL and Contact are what CertMagic stored. Directory is not stored: it is that of
// the public CA on the account's host; or what the name of a directory stands for,
// if that can be one URL only; or else empty.
//
// Accounts that cannot be read do not hide the others: the error joins a
// [*FileError] for each file or directory with a fault. If there is no account at
// all it is a [*FileError] that wraps [fs.ErrNotExist].
func Caddy(fsys fs.FS) ([]*Account, error) {
	s := newStore(fsys, "caddy")
	for _, server := range s.dirs("acme") {
		for _, user := range s.dirs(path.Join(server, "users")) {
			for _, key := range s.files(user, ".key") {
				s.caddy(path.Base(server), key)
			}
		}
	}
	return s.result("Caddy's data directory, which holds acme/SERVER/users")
}

func (s *store) caddy(server, key string) {
	a := s.keyFile(key)
	if a == nil {
		return
	}
	file := strings.TrimSuffix(key, ".key") + ".json"
	var stored struct {
		Contact  []string        `json:"contact"`
		Location string          `json:"location"`
		Key      json.RawMessage `json:"key"`
	}
	if !s.readJSON(file, &stored) || s.checkRegistered(a, file, stored.Key) {
		a.Contact = stored.Contact
		s.setAccountURL(a, file, "location", stored.Location)
	}
	a.Directory = caddyDirectory(server, a.URL)
	s.add(a)
}

// caddyDirectory returns the directory URL that CertMagic makes a name of: host and
// path in lower case, with a dash for each slash, and for a colon a dash or, in
// older versions, nothing.
func caddyDirectory(name, accountURL string) string {
	for _, s := range servers {
		if s.directory != "" && caddyName(s.directory, "-") == name {
			return s.directory
		}
	}
	u, err := parseURL(accountURL)
	if err != nil {
		return ""
	}
	host := u.Scheme + "://" + u.Host
	for _, colon := range []string{"-", ""} {
		rest, ok := strings.CutPrefix(name, caddyName(host, colon)+"-")
		if ok && rest != "" && !strings.Contains(rest, "-") { // a dash may be one, or a slash
			return host + "/" + rest
		}
	}
	return ""
}

// caddyName is the name that CertMagic gives to a server's directory.
func caddyName(directory, colon string) string {
	_, rest, _ := strings.Cut(directory, "://")
	return strings.NewReplacer("/", "-", ":", colon).Replace(strings.ToLower(rest))
}
