package account

// Posh-ACME's directory, by the source of 1.0 to 4.32, not run:
//
//	current-server.txt
//	LE_PROD/                        a server: a name, or before 4.6 host or host_port
//	├── dir.json                    location: "<directory URL>", the directory's members
//	├── current-account.txt
//	└── 12345678/                   an account: the last segment of its URL, or a name
//	    ├── acct.json               location: "<account URL>", contact, status, alg, KeyLength,
//	    │                           key: a JWK in clear; sskey: locks plugins' secrets alone
//	    └── example.com/            an order, with the key of its certificate
//
// Windows PowerShell writes UTF-16 with a byte order mark, PowerShell 7 UTF-8
// without one.

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io/fs"
	"path"
	"unicode/utf16"

	"github.com/go-jose/go-jose/v4/json"
)

// PoshACME reads the accounts in the directory of Posh-ACME 1 to 4: on Windows
// Posh-ACME in the user's folder AppData\Local, on Linux ~/.config/Posh-ACME, on
// macOS ~/Library/Preferences/Posh-ACME, or POSHACME_HOME. The folder of a single
// server, which holds dir.json, is read, too. The accounts are sorted by Path.
//
// Directory, URL and Contact are what Posh-ACME stored. Where dir.json is lost,
// Directory is that of the public CA of the account URL, or empty. Accounts that
// Posh-ACME has deactivated are among those returned.
//
// Accounts that cannot be read do not hide the others: the error joins a
// [*FileError] for each file or directory with a fault. If there is no account at
// all it is a [*FileError] that wraps [fs.ErrNotExist].
func PoshACME(fsys fs.FS) ([]*Account, error) {
	s := newStore(fsys, "posh-acme")
	servers := s.dirs(".")
	if s.isFile("dir.json") {
		servers = []string{"."}
	}
	for _, server := range servers {
		for _, dir := range s.dirs(server) {
			s.poshACME(server, path.Join(dir, "acct.json"))
		}
	}
	return s.result("Posh-ACME's directory, which holds SERVER/ACCOUNT/acct.json")
}

// poshACME reads the account in a file acct.json.
func (s *store) poshACME(server, file string) {
	data, mode, ok := s.read(file)
	if !ok {
		return
	}
	var stored struct {
		Location string          `json:"location"`
		Contact  json.RawMessage `json:"contact"`
		Key      json.RawMessage `json:"key"`
	}
	if err := parseJSON(decodeUTF16(data), &stored); err != nil {
		s.fault(file, err)
		return
	}
	if !bytes.HasPrefix(stored.Key, []byte("{")) {
		s.fault(file, errors.New("there is no JWK in it that is in clear: run Export-PAAccountKey where the account was made, and give the file that it writes"))
		return
	}
	a := s.newAccount(file, mode, stored.Key)
	if a == nil {
		return
	}
	a.Directory = s.poshACMEDirectory(server)
	if a.Directory == "" {
		a.Directory = usualDirectory(stored.Location)
	}
	a.Contact = contactsOf(stored.Contact)
	s.setAccountURL(a, file, "location", stored.Location)
	s.add(a)
}

func (s *store) poshACMEDirectory(server string) string {
	file := path.Join(server, "dir.json")
	data, _, ok := s.read(file)
	if !ok {
		return ""
	}
	var stored struct {
		Location string `json:"location"`
	}
	if err := parseJSON(decodeUTF16(data), &stored); err != nil {
		s.fault(file, err)
	}
	return s.safeURL(file, "location", stored.Location)
}

// contactsOf returns the contacts in a JSON value, which is an array unless
// PowerShell has made a string of one that has one element.
func contactsOf(value json.RawMessage) (contacts []string) {
	if json.Unmarshal(value, &contacts) == nil {
		return contacts
	}
	var contact string
	if json.Unmarshal(value, &contact) == nil && contact != "" {
		return []string{contact}
	}
	return nil
}

// decodeUTF16 returns text as UTF-8 that is UTF-16 with a byte order mark, and
// other text as it is.
func decodeUTF16(data []byte) []byte {
	var order binary.ByteOrder
	switch {
	case bytes.HasPrefix(data, []byte{0xff, 0xfe}):
		order = binary.LittleEndian
	case bytes.HasPrefix(data, []byte{0xfe, 0xff}):
		order = binary.BigEndian
	default:
		return data
	}
	units := make([]uint16, 0, len(data)/2)
	for data = data[2:]; len(data) >= 2; data = data[2:] {
		units = append(units, order.Uint16(data))
	}
	return []byte(string(utf16.Decode(units)))
}
