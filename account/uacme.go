package account

// uacme's configuration directory, by default /etc/ssl/uacme, as uacme 1.7.4 wrote
// it:
//
//	private/
//	├── key.pem                                 0400: the account's key, PEM: PKCS #1 or SEC 1
//	└── www.example.com/key.pem                 a certificate's key

import "io/fs"

// Uacme reads the account in the configuration directory of uacme 1, by default
// /etc/ssl/uacme: the one that holds private/key.pem. There is one key for all
// servers. URL and Directory are not stored; uacme's server is Let's Encrypt's
// unless -a names another.
//
// The error is a [*FileError] if the key cannot be read; if there is none, one that
// wraps [fs.ErrNotExist].
func Uacme(fsys fs.FS) ([]*Account, error) {
	s := newStore(fsys, "uacme")
	if a := s.keyFile("private/key.pem"); a != nil {
		s.add(a)
	}
	return s.result("uacme's directory, usually /etc/ssl/uacme, which holds private/key.pem")
}
