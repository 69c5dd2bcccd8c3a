package account

// acme.sh's directory, by default ~/.acme.sh, as acme.sh 3.1.4 wrote it:
//
//	ca/
//	├── acme-v02.api.letsencrypt.org/           host of the directory URL, without the port
//	│   └── directory/                          and its path
//	│       ├── account.key                     0600, PEM: SEC 1, or PKCS #1
//	│       ├── account.json                    the account object, in one line
//	│       └── ca.conf                         0600: ACCOUNT_URL='…', CA_EMAIL='…', secrets
//	└── localhost/dir/…                         of https://localhost:14000/dir
//	example.com_ecc/example.com.conf            a certificate: Le_API='<directory URL>'
//
// A port that was dropped is in ACCOUNT_URL, and in a certificate's Le_API.

import (
	"cmp"
	"encoding/base64"
	"io/fs"
	"path"
	"strings"

	"github.com/go-jose/go-jose/v4/json"
)

// maxServerDepth is how many elements the path of a directory URL has at most, where
// clients make a directory for each.
const maxServerDepth = 8

// AcmeSh reads the accounts in the directory of acme.sh (2.8 to 3.1), by default
// ~/.acme.sh: the one that holds the directory ca. They are sorted by Path.
//
// URL is what acme.sh stored in ca.conf. Directory is made of the names of the
// directories, which leave out a port, and the account URL; or it is what a
// certificate's configuration has. Contact is what the server had.
//
// Accounts that cannot be read do not hide the others: the error joins a
// [*FileError] for each file or directory with a fault. If there is no account at
// all it is a [*FileError] that wraps [fs.ErrNotExist].
func AcmeSh(fsys fs.FS) ([]*Account, error) {
	s := newStore(fsys, "acme.sh")
	var dirs []string
	for _, dir := range s.below("ca", maxServerDepth) {
		if s.isFile(path.Join(dir, "account.key")) {
			dirs = append(dirs, dir)
		}
	}
	if len(dirs) == 0 {
		return s.result("acme.sh's directory, usually ~/.acme.sh, which holds ca/SERVER/account.key")
	}
	apis := s.acmeShDirectories()
	for _, dir := range dirs {
		s.acmeSh(dir, apis)
	}
	return s.result("")
}

// acmeSh reads the account in a directory.
func (s *store) acmeSh(dir string, apis map[string]string) {
	a := s.keyFile(path.Join(dir, "account.key"))
	if a == nil {
		return
	}
	conf, file := path.Join(dir, "ca.conf"), path.Join(dir, "account.json")
	data, _, _ := s.read(conf)
	accountURL := shellValue(data, "ACCOUNT_URL")
	server := strings.TrimPrefix(dir, "ca/")
	a.Directory = cmp.Or(apis[server], s.safeURL(dir, "its name", serverURL(server, accountURL)))
	var stored struct {
		Contact []string        `json:"contact"`
		Key     json.RawMessage `json:"key"`
	}
	if !s.readJSON(file, &stored) || s.checkRegistered(a, file, stored.Key) {
		a.Contact = stored.Contact
		s.setAccountURL(a, conf, "ACCOUNT_URL", accountURL)
	}
	s.add(a)
}

// serverURL returns the directory URL that a directory is named after, with the port
// that the account's URL has.
func serverURL(server, accountURL string) string {
	host, dir, _ := strings.Cut(server, "/")
	if u, err := parseURL(accountURL); err == nil && u.Hostname() == host {
		return u.Scheme + "://" + u.Host + "/" + dir
	}
	return "https://" + server
}

// acmeShDirectories returns the directory URLs that the configurations of
// certificates have, by the names that acme.sh makes of them.
func (s *store) acmeShDirectories() map[string]string {
	apis := make(map[string]string)
	for _, dir := range s.dirs(".") {
		name := strings.TrimSuffix(dir, "_ecc")
		data, _, ok := s.read(path.Join(dir, name+".conf"))
		if !ok || !strings.Contains(name, ".") {
			continue
		}
		u, err := parseURL(shellValue(data, "Le_API"))
		if err == nil {
			apis[path.Join(u.Hostname(), u.Path)] = u.String()
		}
	}
	return apis
}

// shellValue returns what a line name='value' assigns, without a shell: acme.sh
// quotes with apostrophes, and encodes what has one.
func shellValue(data []byte, name string) string {
	for line := range strings.Lines(string(data)) {
		value, ok := strings.CutPrefix(strings.TrimSpace(line), name+"=")
		if !ok {
			continue
		}
		value = strings.Trim(value, `'"`)
		if encoded, ok := strings.CutPrefix(value, "__ACME_BASE64__START_"); ok {
			text, err := base64.StdEncoding.DecodeString(strings.TrimSuffix(encoded, "__ACME_BASE64__END_"))
			if err != nil {
				return ""
			}
			return string(text)
		}
		return value
	}
	return ""
}

// below returns the directories below dir, at most so many levels and no more than
// maxDirs of them.
func (s *store) below(dir string, depth int) (all []string) {
	for level := s.dirs(dir); len(level) > 0 && depth > 0; depth-- {
		all = append(all, level...)
		var next []string
		for _, d := range level {
			if len(all)+len(next) > maxDirs {
				s.fault(dir, errDirs)
				return all
			}
			next = append(next, s.dirs(d)...)
		}
		level = next
	}
	return all
}
