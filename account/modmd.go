package account

// The store of Apache's mod_md (MDStoreDir; by default the directory md below the
// server's root, on Debian /etc/apache2/md), as mod_md 2.4.71 wrote it:
//
//	md_store.json                               0600: {"key": "<base64url>"}
//	accounts/
//	└── ACME-.letsencrypt.org-0000/
//	    ├── account.json                        url, ca-url, contact, registration {key, …}
//	    └── account.pem                         PKCS #8, encrypted
//	staging/
//	└── www.example.com/                        until the server's next start, a new account is here
//	    ├── account.json
//	    └── account.pem
//
// The passphrase of the keys is what "key" stands for, as bytes.

import (
	"encoding/base64"
	"encoding/pem"
	"errors"
	"io/fs"
	"path"

	"github.com/go-jose/go-jose/v4/json"
)

// ModMD reads the accounts in the store of Apache's mod_md 2, on Debian
// /etc/apache2/md: the directory that holds md_store.json. They are sorted by Path.
//
// The keys are encrypted with a passphrase that is in md_store.json, which may be
// readable for the server's own user alone. URL, Directory and Contact are what
// mod_md stored.
//
// Accounts that cannot be read do not hide the others: the error joins a
// [*FileError] for each file or directory with a fault. If there is no account at
// all it is a [*FileError] that wraps [fs.ErrNotExist].
func ModMD(fsys fs.FS) ([]*Account, error) {
	s := newStore(fsys, "mod_md")
	var dirs []string
	for _, dir := range append(s.dirs("accounts"), s.dirs("staging")...) {
		if s.isFile(path.Join(dir, "account.pem")) && s.isFile(path.Join(dir, "account.json")) {
			dirs = append(dirs, dir)
		}
	}
	if len(dirs) > 0 {
		passphrase, mode := s.modMDPassphrase()
		for _, dir := range dirs {
			s.modMD(dir, passphrase, mode)
		}
	}
	return s.result("mod_md's store, on Debian /etc/apache2/md, which holds md_store.json and accounts")
}

// modMDPassphrase returns the passphrase of the store's keys, and the mode of its
// file.
func (s *store) modMDPassphrase() ([]byte, fs.FileMode) {
	const name = "md_store.json"
	var stored struct {
		Key string `json:"key"`
	}
	data, mode, ok := s.read(name)
	if !ok {
		return nil, 0
	}
	if err := parseJSON(data, &stored); err != nil {
		s.fault(name, err)
	}
	if stored.Key == "" {
		return nil, 0 // keys may be there in the clear
	}
	passphrase, err := base64.RawURLEncoding.DecodeString(stored.Key)
	if err != nil {
		s.fault(name, errors.New("key is not base64url"))
	}
	return passphrase, mode
}

func (s *store) modMD(dir string, passphrase []byte, passphraseMode fs.FileMode) {
	name, file := path.Join(dir, "account.pem"), path.Join(dir, "account.json")
	data, mode, ok := s.read(name)
	if !ok {
		return
	}
	encrypted := false
	if block, _ := pem.Decode(data); block != nil && block.Type == "ENCRYPTED PRIVATE KEY" && passphrase != nil {
		der, err := decryptPKCS8(block.Bytes, passphrase)
		if err != nil {
			s.fault(name, err)
			return
		}
		data, encrypted = der, true
	}
	a := s.newAccount(name, mode, data)
	if a == nil {
		return
	}
	a.shielded = a.shielded || encrypted && passphraseMode.Perm()&0o044 == 0
	var stored struct {
		URL          string   `json:"url"`
		Directory    string   `json:"ca-url"`
		Contact      []string `json:"contact"`
		Registration struct {
			Key json.RawMessage `json:"key"`
		} `json:"registration"`
	}
	if s.readJSON(file, &stored) && s.checkRegistered(a, file, stored.Registration.Key) {
		a.Contact = stored.Contact
		a.Directory = s.safeURL(file, "ca-url", stored.Directory)
		s.setAccountURL(a, file, "url", stored.URL)
	}
	s.add(a)
}
