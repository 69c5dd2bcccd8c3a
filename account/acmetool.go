package account

// acmetool's state directory, by default /var/lib/acme, as acmetool 0.2.2 wrote it:
//
//	accounts/                                   0700
//	└── acme-v02.api.letsencrypt.org%2fdirectory/   directory URL without "https://"
//	    └── s4vfsmjm7eearp6sc3dag3jhreavanhm…/      a hash of the key
//	        └── privkey                         PEM: SEC 1 or PKCS #1
//	conf/target                                 provider: <directory URL>

import (
	"io/fs"
	"net/url"
	"path"
)

// Acmetool reads the accounts in the state directory of acmetool 0.0 to 0.2, by
// default /var/lib/acme: the one that holds the directory accounts. They are sorted
// by Path.
//
// Directory is what the name of a directory stands for. The account URL is not
// stored; neither is anything else but the key.
//
// Accounts that cannot be read do not hide the others: the error joins a
// [*FileError] for each file or directory with a fault. If there is no account at
// all it is a [*FileError] that wraps [fs.ErrNotExist].
func Acmetool(fsys fs.FS) ([]*Account, error) {
	s := newStore(fsys, "acmetool")
	for _, server := range s.dirs("accounts") {
		for _, dir := range s.dirs(server) {
			a := s.keyFile(path.Join(dir, "privkey"))
			if a == nil {
				continue
			}
			name, err := url.PathUnescape(path.Base(server))
			if err != nil {
				name = path.Base(server) // which is no URL
			}
			a.Directory = s.safeURL(server, "its name", "https://"+name)
			s.add(a)
		}
	}
	return s.result("acmetool's directory, usually /var/lib/acme, which holds accounts/SERVER/ID/privkey")
}
