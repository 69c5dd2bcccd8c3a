package account

// lacme's directory, /etc/lacme or ~/.config/lacme, as lacme 0.8.2 is configured
// there:
//
//	lacme-accountd.conf                         privkey = file:/etc/lacme/account.key
//	account.key                                 PEM, PKCS #8 or PKCS #1
//
// The key may be encrypted: privkey = gpg:FILE.

import (
	"errors"
	"io/fs"
	"path"
	"strings"
)

// Lacme reads the account in a configuration directory of lacme, /etc/lacme or
// ~/.config/lacme: the one that holds lacme-accountd.conf. The key's file is looked
// for in that directory, under the last part of the name that the configuration
// has. Nothing else is stored there: URL and Directory are empty.
//
// The error is a [*FileError] if the key cannot be read, as one that is encrypted
// with GnuPG; if there is no configuration, one that wraps [fs.ErrNotExist].
func Lacme(fsys fs.FS) ([]*Account, error) {
	const conf = "lacme-accountd.conf"
	s := newStore(fsys, "lacme")
	if data, _, ok := s.read(conf); ok {
		s.lacme(conf, data)
	}
	return s.result("lacme's directory, usually /etc/lacme, which holds " + conf)
}

func (s *store) lacme(conf string, data []byte) {
	scheme, file, _ := strings.Cut(iniValue(data, "privkey"), ":")
	switch scheme {
	case "gpg":
		s.fault(conf, errors.New("the key is encrypted with GnuPG; decrypt a copy of it first, with: gpg --decrypt"))
	case "file":
		name := path.Base(file)
		if a := s.keyFile(name); a != nil {
			s.add(a)
		} else if s.faults[name] == nil {
			s.fault(conf, errors.New("the key's file is not in the same directory; give that file itself"))
		}
	default:
		s.fault(conf, errors.New("privkey names no file"))
	}
}

// iniValue returns the value of "name = value" in a file of such lines.
func iniValue(data []byte, name string) string {
	for line := range strings.Lines(string(data)) {
		key, value, ok := strings.Cut(line, "=")
		if ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
