package account

// The DirCache directory of a Go program that uses golang.org/x/crypto/acme/autocert,
// as version 0.58.0 of that module wrote it:
//
//	acme_account+key                            0600: PEM, SEC 1
//	www.example.com                             a certificate with its key
//
// Versions of before May 2018 (from the source, not run) have acme_account.key.

import "io/fs"

// Autocert reads the account in the cache directory (autocert.DirCache) of a Go
// program that uses package autocert. That stores the key alone: URL is empty, and
// so is Directory, which is Let's Encrypt's unless the program chose another.
//
// The error is a [*FileError] if the key cannot be read; if there is none, one that
// wraps [fs.ErrNotExist].
func Autocert(fsys fs.FS) ([]*Account, error) {
	s := newStore(fsys, "autocert")
	for _, name := range []string{"acme_account+key", "acme_account.key"} {
		if a := s.keyFile(name); a != nil {
			s.add(a)
		}
	}
	return s.result("the cache directory of a program with autocert, which holds acme_account+key")
}
