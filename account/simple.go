package account

// simp_le's working directory (from its source, version 0.18; not run):
//
//	account_key.json                            a JWK, RSA
//	account_reg.json                            {"uri": "<account URL>", "body": {"contact": […]}}

import "io/fs"

// SimpLe reads the account in the working directory of simp_le, which holds
// account_key.json. URL is what simp_le stored; Directory is that of the public CA
// on its host, or empty.
//
// The error is a [*FileError], or joins several, if a file cannot be read; if there
// is none, one that wraps [fs.ErrNotExist].
func SimpLe(fsys fs.FS) ([]*Account, error) {
	const registration = "account_reg.json"
	s := newStore(fsys, "simp_le")
	if a := s.keyFile("account_key.json"); a != nil {
		var stored struct {
			URI  string `json:"uri"`
			Body struct {
				Contact []string `json:"contact"`
			} `json:"body"`
		}
		s.readJSON(registration, &stored)
		if u, err := parseURL(stored.URI); err == nil {
			stored.URI = currentAccount(u).String()
		}
		s.setAccountURL(a, registration, "uri", stored.URI)
		a.Directory, a.Contact = usualDirectory(a.URL), stored.Body.Contact
		s.add(a)
	}
	return s.result("simp_le's working directory, which holds account_key.json")
}
