package account

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// Load is [Open] for a path of the operating system, absolute or not. Path in
// the accounts, and in the errors, is such a path too: that of the key's file,
// starting with the one given.
func Load(name string) ([]*Account, error) {
	absolute, err := filepath.Abs(name)
	if err != nil {
		return nil, &FileError{name, err}
	}
	volume := filepath.VolumeName(absolute)
	root := volume + string(filepath.Separator)
	inside := filepath.ToSlash(strings.TrimPrefix(absolute[len(volume):], string(filepath.Separator)))
	if inside == "" {
		inside = "."
	}
	accounts, err := Open(os.DirFS(root), inside)
	rename := func(p string) string {
		full := filepath.Join(root, filepath.FromSlash(p))
		if rel, err := filepath.Rel(absolute, full); err == nil && !strings.HasPrefix(rel, "..") {
			return filepath.Join(name, rel)
		}
		return full
	}
	return renamed(accounts, err, rename)
}

// Open reads the accounts in a file or directory of any client that this package
// knows, which it tells by content: StoredBy in the accounts names it.
//
// A directory is one that the client's reader takes, such as that of [Certbot] or
// [Lego], or one inside it; or one that clients keep theirs in at their usual places:
// a home directory, or a copy of a machine's root (see [Discover]). Several clients'
// accounts may be in one directory.
//
// A file is one that holds accounts (Traefik's acme.json, Kubernetes manifests,
// Terraform's state, …); or a key in PEM, DER or JWK form. For a key, the client's
// files around it are looked at, so that URL and Directory are known if the client
// stored them; without such files the Account has the key alone, and StoredBy is
// "key file".
//
// The error joins a [*FileError] for each file with a fault. One that wraps
// [fs.ErrNotExist] is returned if there is no such file, or nothing of a known
// client is there.
func Open(fsys fs.FS, name string) ([]*Account, error) {
	info, err := fs.Stat(fsys, name)
	switch {
	case err != nil:
		return nil, fileError(name, err)
	case info.IsDir():
		return openDir(fsys, name)
	}
	return openFile(fsys, name)
}

// openDir reads a directory of one client or more, or the places below it.
func openDir(fsys fs.FS, dir string) ([]*Account, error) {
	inside := sub(fsys, dir)
	accounts, err := readAny(inside, formats)
	if len(accounts) == 0 && (err == nil || isElsewhere(err)) {
		accounts, err = Discover(inside, ".")
	}
	if len(accounts) == 0 && err == nil {
		if accounts = inDirectory(fsys, dir, formats); len(accounts) > 0 {
			return accounts, nil
		}
	}
	if len(accounts) == 0 && err == nil {
		err = &elsewhereError{"a directory in which an ACME client keeps accounts, a copy of a machine's root, or a home directory"}
		return nil, &FileError{dir, err}
	}
	return renamed(accounts, err, func(p string) string { return path.Join(dir, p) })
}

// readAny has the readers look at a directory. The error is one of isElsewhere if
// none finds anything of its client's.
func readAny(fsys fs.FS, formats []format) (accounts []*Account, err error) {
	var faults []error
	taken := make(map[string]bool) // by a reader that is surer
	any := false
	for _, f := range formats {
		some, err := f.read(fsys)
		if len(some) == 0 && isElsewhere(err) {
			continue
		}
		any = true
		faults = append(faults, faultsOf(err)...)
		files := make(map[string]bool)
		for _, a := range some {
			if !taken[a.Path] {
				accounts = append(accounts, a)
			}
			files[a.Path] = true
		}
		for name := range files {
			taken[name] = true
		}
	}
	if !any {
		return nil, &elsewhereError{"an ACME client's directory"}
	}
	return mergeAccounts(accounts), joinFiles(faults, taken)
}

// joinFiles joins faults, one for each file, but for those that another reader
// had no trouble with.
func joinFiles(faults []error, read map[string]bool) error {
	byFile := make(map[string]error)
	for _, err := range faults {
		if e, ok := errors.AsType[*FileError](err); ok && byFile[e.Path] == nil && !read[e.Path] {
			byFile[e.Path] = e
		}
	}
	return joinFaults(byFile)
}

// maxAbove is how many directories above a key's file are looked at.
const maxAbove = 8

// openFile reads a file of accounts, or a key.
func openFile(fsys fs.FS, name string) ([]*Account, error) {
	data, mode, err := readFile(fsys, name)
	if err != nil {
		return nil, fileError(name, err)
	}
	for _, f := range formats {
		if f.parse == nil {
			continue
		}
		if s := newStore(fsys, f.client); f.parse(s, name, data, mode) {
			return s.result(f.client + "'s accounts in it")
		}
	}
	last := len(formats) - 1
	for _, some := range [][]format{formats[:last], formats[last:]} {
		if accounts := inDirectory(fsys, name, some); len(accounts) > 0 {
			return accounts, nil
		}
	}
	s := newStore(fsys, keyFile)
	if a := s.newAccount(name, mode, data); a != nil {
		s.add(a)
	}
	return s.result("a key")
}

// keyFile is what stores an account that is a key and no more.
const keyFile = "key file"

// inDirectory returns the accounts whose key is in a file, or below a directory, as
// the client tells whose directory that is in.
func inDirectory(fsys fs.FS, name string, formats []format) (found []*Account) {
	dir := name
	for range maxAbove {
		if dir == "." {
			break
		}
		dir = path.Dir(dir)
		accounts, _ := readAny(sub(fsys, dir), formats) // faults elsewhere are none of this file's
		for _, a := range accounts {
			if a.Path = path.Join(dir, a.Path); a.Path == name || strings.HasPrefix(a.Path, name+"/") {
				found = append(found, a)
			}
		}
		if len(found) > 0 {
			break
		}
	}
	return found
}

// An elsewhereError says that a directory is not that of a client.
type elsewhereError struct{ expected string }

func (e *elsewhereError) Error() string {
	return fmt.Sprintf("%v: expected %s", fs.ErrNotExist, e.expected)
}

func (e *elsewhereError) Unwrap() error { return fs.ErrNotExist }

// isElsewhere reports whether a reader was given what is not its client's.
func isElsewhere(err error) bool {
	_, ok := errors.AsType[*elsewhereError](err)
	return ok
}

// renamed gives accounts and faults other paths.
func renamed(accounts []*Account, err error, rename func(string) string) ([]*Account, error) {
	for _, a := range accounts {
		a.Path = rename(a.Path)
	}
	faults := faultsOf(err)
	for i, fault := range faults {
		if e, ok := errors.AsType[*FileError](fault); ok {
			faults[i] = &FileError{rename(e.Path), e.Err}
		}
	}
	if len(faults) == 1 {
		return accounts, faults[0]
	}
	return accounts, errors.Join(faults...)
}

// faultsOf returns the errors that are joined in one.
func faultsOf(err error) []error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return slices.Clone(joined.Unwrap())
	}
	if err != nil {
		return []error{err}
	}
	return nil
}
