package account

// acme-tiny keeps nothing: it is given a key, by custom in a file account.key
// (PEM, RSA; PKCS #8 or PKCS #1), as run with version 5.0.1.

import "io/fs"

// AcmeTiny reads the key account.key in the directory given, which is how
// acme-tiny's users and others name it. URL and Directory are not stored.
//
// The error is a [*FileError] if the key cannot be read; if there is none, one that
// wraps [fs.ErrNotExist].
func AcmeTiny(fsys fs.FS) ([]*Account, error) {
	s := newStore(fsys, "acme-tiny")
	if a := s.keyFile("account.key"); a != nil {
		s.add(a)
	}
	return s.result("a directory with the file account.key")
}
