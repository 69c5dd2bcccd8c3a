package account

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/url"
	"path"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/json"
	"golang.org/x/crypto/acme"
)

// maxEntries is the most entries that are read of one directory; a client's
// accounts are few, and a directory of a million files is none of its.
const maxEntries = 10_000

// A store is a client's directory while it is read: the accounts found so far,
// and what is wrong with the rest. It opens nothing but what it is asked for.
type store struct {
	fsys     fs.FS
	client   string
	accounts []*Account
	faults   map[string]error // by the name of the file
}

func newStore(fsys fs.FS, client string) *store {
	return &store{fsys: fsys, client: client, faults: map[string]error{}}
}

// fault notes what is wrong with a file or directory; the first fault counts.
func (s *store) fault(name string, err error) {
	if s.faults[name] == nil {
		s.faults[name] = fileError(name, err)
	}
}

// result returns the accounts, sorted by path, and the joined faults. If there
// is neither, the directory is not that of the client, which "expected" describes.
func (s *store) result(expected string) ([]*Account, error) {
	if len(s.accounts) == 0 && len(s.faults) == 0 {
		return nil, &FileError{".", &elsewhereError{expected}}
	}
	accounts := mergeAccounts(s.accounts)
	slices.SortStableFunc(accounts, func(a, b *Account) int { return strings.Compare(a.Path, b.Path) })
	return accounts, joinFaults(s.faults)
}

// joinFaults joins errors in the order of their files' names.
func joinFaults(faults map[string]error) error {
	joined := make([]error, 0, len(faults))
	for _, name := range slices.Sorted(maps.Keys(faults)) {
		joined = append(joined, faults[name])
	}
	return errors.Join(joined...)
}

// read returns a file's content and mode. Without the file, and with any other
// fault, which it notes, it reports false.
func (s *store) read(name string) ([]byte, fs.FileMode, bool) {
	data, mode, err := readFile(s.fsys, name)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			s.fault(name, err)
		}
		return nil, 0, false
	}
	return data, mode, true
}

// readJSON reads a file of JSON into v. Without the file, and with any other
// fault, which it notes, it reports false.
func (s *store) readJSON(name string, v any) bool {
	data, _, ok := s.read(name)
	if !ok {
		return false
	}
	if err := parseJSON(data, v); err != nil {
		s.fault(name, err)
		return false
	}
	return true
}

// parseJSON reads JSON that may start with a byte order mark. A member that is
// there twice is an error, as nobody can say which is meant; and as the cause
// may quote the file, no error has it.
func parseJSON(data []byte, v any) error {
	if err := json.Unmarshal(bytes.TrimPrefix(data, []byte("\ufeff")), v); err != nil {
		return errors.New("malformed JSON, or a member of a wrong type")
	}
	return nil
}

// isUnambiguous reports whether no member of the JSON in a file is there twice; if one
// is, it notes that.
func (s *store) isUnambiguous(name string, data []byte) bool {
	var v any
	if parseJSON(data, &v) != nil {
		s.fault(name, errors.New("JSON with a member that is there twice"))
		return false
	}
	return true
}

// keyFile returns an account with the key in a file of PEM, DER or a JWK, or
// nil without the file or with another fault, which it notes.
func (s *store) keyFile(name string) *Account {
	data, mode, ok := s.read(name)
	if !ok {
		return nil
	}
	return s.newAccount(name, mode, data)
}

// newAccount returns an account with the key in data, which is from a file.
func (s *store) newAccount(name string, mode fs.FileMode, data []byte) *Account {
	key, err := ParseKey(data)
	if err != nil {
		s.fault(name, err)
		return nil
	}
	return &Account{Key: key, Path: name, Mode: mode.Perm(), StoredBy: s.client, shielded: shielded(s.fsys, name)}
}

// shielded reports whether a directory above a file lets nobody in but its owner.
func shielded(fsys fs.FS, name string) bool {
	for dir := path.Dir(name); ; dir = path.Dir(dir) {
		info, err := fs.Stat(fsys, dir)
		if err == nil && info.IsDir() && info.Mode().Perm()&0o011 == 0 {
			return true
		}
		if dir == "." {
			return false
		}
	}
}

// add takes an account in.
func (s *store) add(a *Account) { s.accounts = append(s.accounts, a) }

// dirs returns the names of the directories in a directory, links to directories
// among them, each with the directory's own name in front. It is sorted, and
// empty if there is no such directory or, what it notes, it cannot be read.
func (s *store) dirs(dir string) []string {
	return s.list(dir, func(info fs.FileInfo) bool { return info.IsDir() })
}

// files is dirs for the regular files in a directory that end in one of the
// suffixes.
func (s *store) files(dir string, suffixes ...string) []string {
	return s.list(dir, func(info fs.FileInfo) bool {
		return info.Mode().IsRegular() && slices.ContainsFunc(suffixes, func(suffix string) bool {
			return strings.HasSuffix(info.Name(), suffix)
		})
	})
}

func (s *store) list(dir string, is func(fs.FileInfo) bool) (names []string) {
	entries, err := readDir(s.fsys, dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.fault(dir, err)
	}
	for _, entry := range entries {
		name := path.Join(dir, entry.Name())
		info, err := fs.Stat(s.fsys, name) // of what a link leads to
		if err == nil && is(linkInfo{info, entry.Name()}) {
			names = append(names, name)
		}
	}
	return names
}

// A linkInfo is the FileInfo of a file that was found by a link's name.
type linkInfo struct {
	fs.FileInfo
	name string
}

func (r linkInfo) Name() string { return r.name }

// readDir returns the entries of a directory, sorted, and an error if there are
// too many of them.
func readDir(fsys fs.FS, dir string) ([]fs.DirEntry, error) {
	info, err := fs.Stat(fsys, dir)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return nil, fs.ErrNotExist
	}
	f, err := fsys.Open(dir)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	d, ok := f.(fs.ReadDirFile)
	if !ok {
		return nil, errors.New("the file system does not list directories")
	}
	entries, err := d.ReadDir(maxEntries + 1)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	if len(entries) > maxEntries {
		entries, err = nil, fmt.Errorf("more than %d entries", maxEntries)
	}
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return entries, err
}

// isFile reports whether there is such a file, of a kind that readFile opens.
func (s *store) isFile(name string) bool {
	info, err := fs.Stat(s.fsys, name)
	return err == nil && info.Mode().IsRegular()
}

// safeURL returns an http or https URL that is safe to print, or "", noting
// that what the file has is none. An empty one is no fault.
func (s *store) safeURL(name, member, rawURL string) string {
	if rawURL == "" {
		return ""
	}
	u, err := parseURL(rawURL)
	if err != nil {
		s.fault(name, fmt.Errorf("%s is not an http or https URL", member))
		return ""
	}
	return u.String()
}

// setAccountURL gives an account the URL that a file has in one of its members,
// unless it is on another host than the account's directory.
func (s *store) setAccountURL(a *Account, name, member, rawURL string) {
	accountURL := s.safeURL(name, member, rawURL)
	if accountURL == "" {
		return
	}
	if a.Directory != "" && !sameHost(accountURL, a.Directory) && !knownPair(accountURL, a.Directory) {
		s.fault(name, fmt.Errorf("%s is an account of another server than %s", member, a.Directory))
		return
	}
	a.URL = accountURL
}

// checkRegistered reports whether a JWK that the server has registered, as a
// file says, is the public half of the account's key; if not, it notes that. An
// empty JWK tells nothing.
func (s *store) checkRegistered(a *Account, name string, registered []byte) bool {
	if len(registered) == 0 || string(registered) == "null" {
		return true
	}
	var key jose.JSONWebKey
	if err := key.UnmarshalJSON(registered); err != nil {
		s.fault(name, errors.New("the registered key in it is malformed"))
		return false
	}
	thumbprint, err := acme.JWKThumbprint(key.Key)
	if err != nil || thumbprint != a.Thumbprint() {
		s.fault(name, fmt.Errorf("it is about another key than that in %s", printable(path.Base(a.Path))))
		return false
	}
	return true
}

// anyBase64 decodes base64 in either alphabet, padded or not.
func anyBase64(s string) ([]byte, error) {
	s = strings.TrimRight(strings.NewReplacer("-", "+", "_", "/").Replace(strings.TrimSpace(s)), "=")
	return base64.RawStdEncoding.DecodeString(s)
}

func sameHost(a, b string) bool {
	host := hostPortOf(a)
	return host != "" && strings.EqualFold(host, hostPortOf(b))
}

// hostOfURL is the host, with a port if it has one, of a URL.
func hostOfURL(rawURL string) string {
	u, err := url.Parse(rawURL)
	if err != nil {
		return ""
	}
	return strings.ToLower(u.Host)
}

// maxParsed is how many files of one directory are read to see whether they hold
// accounts; some of those that clients use have other programs' files, too.
const maxParsed = 200

// parseAll reads the files with a suffix that are in the directory itself. What is
// not of the shape that parse knows is left alone.
func (s *store) parseAll(parse func(s *store, name string, data []byte, mode fs.FileMode) bool, suffixes ...string) {
	names := s.files(".", suffixes...)
	if len(names) > maxParsed {
		s.fault(".", fmt.Errorf("more than %d files that may hold accounts; name the one that does", maxParsed))
		return
	}
	for _, name := range names {
		if data, mode, err := readFile(s.fsys, name); err == nil {
			parse(s, name, data, mode)
		} else if errors.Is(err, fs.ErrPermission) {
			s.fault(name, err)
		}
	}
}
