package account

// win-acme's configuration directory for one server,
// %ProgramData%\win-acme\acme-v02.api.letsencrypt.org (from its source, version 2;
// not run):
//
//	Registration_v2                             {"Kid": "<account URL>", "Payload": {"contact": […]}, …}
//	Signer_v2                                   the key
//	NAME.Registration_v2, NAME.Signer_v2        of accounts with a name
//
// Signer_v2 is {"KeyType": "ES256", "KeyExport": "…"} after "clear-" or, in base64,
// after nothing; or after "enc-" protected by Windows (DPAPI), which only the machine that
// wrote it can read. KeyExport is, of an EC key, {"HashSize": 256, "D": "<base64>",
// "X": …, "Y": …}; of an RSA key, .NET's XML.

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io/fs"
	"path"
	"strings"
)

// WinAcme reads the accounts in the configuration directory that win-acme 2 has for
// a server, below %ProgramData%\win-acme, which holds Signer_v2. They are sorted by
// Path.
//
// Keys are protected so that only the machine that made them can read them, unless
// Security.EncryptConfig in win-acme's settings is false: the error says so. URL
// and Contact are what win-acme stored. Directory is that of the public CA on the
// account's host, or empty.
//
// Accounts that cannot be read do not hide the others: the error joins a
// [*FileError] for each file with a fault. If there is no account at all it is a
// [*FileError] that wraps [fs.ErrNotExist].
func WinAcme(fsys fs.FS) ([]*Account, error) {
	s := newStore(fsys, "win-acme")
	for _, name := range s.files(".", "Signer_v2") {
		s.winAcme(name)
	}
	return s.result(`win-acme's directory for a server, below C:\ProgramData\win-acme, which holds Signer_v2`)
}

var errProtected = errors.New("the key is protected by Windows, so that only the machine that made it can read it;" +
	" there, set EncryptConfig to false in win-acme's settings.json and run: wacs.exe --encrypt")

func (s *store) winAcme(name string) {
	data, mode, ok := s.read(name)
	if !ok {
		return
	}
	key, err := winAcmeKey(data)
	if err != nil {
		s.fault(name, err)
		return
	}
	a := s.newAccount(name, mode, key)
	if a == nil {
		return
	}
	file := path.Join(path.Dir(name), strings.TrimSuffix(path.Base(name), "Signer_v2")+"Registration_v2")
	var stored struct {
		Kid     string
		Payload struct {
			Contact []string        `json:"contact"`
			Key     json.RawMessage `json:"key"`
		}
	}
	if data, _, ok := s.read(file); ok {
		if json.Unmarshal(bytes.TrimPrefix(data, []byte("\ufeff")), &stored) != nil { // members in any case
			s.fault(file, errors.New("malformed JSON, or a member of a wrong type"))
		} else if s.checkRegistered(a, file, stored.Payload.Key) {
			s.setAccountURL(a, file, "Kid", stored.Kid)
			a.Contact = stored.Payload.Contact
		}
	}
	a.Directory = usualDirectory(a.URL)
	s.add(a)
}

// winAcmeKey returns the key of a file Signer_v2, as ParseKey takes it.
func winAcmeKey(data []byte) ([]byte, error) {
	text := strings.Trim(strings.TrimSpace(strings.TrimPrefix(string(data), "\ufeff")), `"`)
	if strings.HasPrefix(text, "enc-") {
		return nil, errProtected
	}
	text = strings.TrimPrefix(text, "clear-")
	if decoded, err := base64.StdEncoding.DecodeString(text); err == nil {
		text = string(decoded)
	}
	var signer struct{ KeyType, KeyExport string }
	if json.Unmarshal([]byte(text), &signer) != nil || signer.KeyExport == "" {
		return nil, errors.New("it is not what win-acme writes")
	}
	if strings.HasPrefix(strings.TrimSpace(signer.KeyExport), "<") {
		return winAcmeRSA(signer.KeyExport)
	}
	return winAcmeEC(signer.KeyExport)
}

// winAcmeEC makes a JWK of an EC key.
func winAcmeEC(export string) ([]byte, error) {
	var key struct {
		HashSize int
		D, X, Y  string
	}
	if json.Unmarshal([]byte(export), &key) != nil {
		return nil, errors.New("KeyExport is malformed")
	}
	curves := map[int]string{256: "P-256", 384: "P-384", 512: "P-521"}
	return json.Marshal(map[string]string{
		"kty": "EC", "crv": cmp.Or(curves[key.HashSize], "unknown"), "d": urlEncoding(key.D), "x": urlEncoding(key.X), "y": urlEncoding(key.Y),
	})
}

// winAcmeRSA makes a JWK of an RSA key.
func winAcmeRSA(export string) ([]byte, error) {
	var key struct {
		Modulus, Exponent, P, Q, DP, DQ, InverseQ, D string
	}
	if xml.Unmarshal([]byte(export), &key) != nil {
		return nil, errors.New("KeyExport is malformed")
	}
	return json.Marshal(map[string]string{
		"kty": "RSA", "n": urlEncoding(key.Modulus), "e": urlEncoding(key.Exponent), "d": urlEncoding(key.D), "p": urlEncoding(key.P),
		"q": urlEncoding(key.Q), "dp": urlEncoding(key.DP), "dq": urlEncoding(key.DQ), "qi": urlEncoding(key.InverseQ),
	})
}

// urlEncoding turns base64 into base64url, as a JWK has it.
func urlEncoding(s string) string {
	return strings.TrimRight(strings.NewReplacer("+", "-", "/", "_").Replace(strings.TrimSpace(s)), "=")
}
