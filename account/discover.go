package account

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// Discover finds the accounts of every client that this package knows at the
// places where the clients keep them by default, below root, usually
// os.DirFS("/"): in /etc, /var/lib, /usr/local and, on Windows, ProgramData (root
// is the system's drive there), and in home directories. It looks at nothing
// else. The accounts are sorted by Path, which is relative to root; one that is
// at several places under links is there once.
//
// The home directories are given as names within root; without any they are
// those of root and of the user, as [os.UserHomeDir] tells.
//
// Where nothing is, that is no error. The error joins a [*FileError] for each
// place that cannot be read, and for each file with a fault; the accounts of the
// other places are there.
func Discover(root fs.FS, homes ...string) ([]*Account, error) {
	if len(homes) == 0 {
		homes = defaultHomes()
	}
	d := &discovery{root: root, faults: map[string]error{}}
	for _, f := range formats {
		for _, pattern := range f.places {
			for _, place := range d.places(pattern, homes) {
				d.read(f, place)
			}
		}
	}
	accounts := mergeAccounts(d.accounts)
	slices.SortStableFunc(accounts, func(a, b *Account) int { return strings.Compare(a.Path, b.Path) })
	return accounts, joinFaults(d.faults)
}

// defaultHomes are the home directories of root and of the user.
func defaultHomes() []string {
	homes := []string{"root"}
	if home, err := os.UserHomeDir(); err == nil && filepath.IsAbs(home) {
		name := strings.Trim(filepath.ToSlash(home[len(filepath.VolumeName(home)):]), "/")
		if fs.ValidPath(name) && name != "." && !slices.Contains(homes, name) {
			homes = append(homes, name)
		}
	}
	return homes
}

// A discovery is what Discover has found.
type discovery struct {
	root     fs.FS
	accounts []*Account
	faults   map[string]error
}

// read reads a place with the reader of a client.
func (d *discovery) read(f format, place string) {
	accounts, err := f.read(sub(d.root, place))
	if len(accounts) == 0 && isElsewhere(err) {
		return
	}
	accounts, err = renamed(accounts, err, func(p string) string { return path.Join(place, p) })
	d.accounts = append(d.accounts, accounts...)
	for _, fault := range faultsOf(err) {
		if e, ok := errors.AsType[*FileError](fault); ok && d.faults[e.Path] == nil {
			d.faults[e.Path] = e
		}
	}
}

// places returns the directories that a pattern means.
func (d *discovery) places(pattern string, homes []string) (places []string) {
	rest, inHome := strings.CutPrefix(pattern, "~/")
	if !inHome {
		return d.expand(".", strings.Split(pattern, "/"))
	}
	for _, home := range homes {
		places = append(places, d.expand(home, strings.Split(rest, "/"))...)
	}
	return places
}

// expand returns the directories in dir that the elements of a pattern mean. It
// lists a directory only where an element is a pattern.
func (d *discovery) expand(dir string, elements []string) (places []string) {
	if len(elements) == 0 {
		return []string{dir}
	}
	names := []string{elements[0]}
	if strings.ContainsAny(elements[0], "*?[") {
		names = d.list(dir, elements[0])
	}
	for _, name := range names {
		name = path.Join(dir, name)
		info, err := fs.Stat(d.root, name)
		switch {
		case err == nil && info.IsDir():
			places = append(places, d.expand(name, elements[1:])...)
		case errors.Is(err, fs.ErrPermission):
			d.faults[name] = fileError(name, err)
		}
	}
	return places
}

// list returns the names in a directory that match.
func (d *discovery) list(dir, pattern string) (names []string) {
	entries, err := readDir(d.root, dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		d.faults[dir] = fileError(dir, err)
	}
	for _, entry := range entries {
		if ok, _ := path.Match(pattern, entry.Name()); ok {
			names = append(names, entry.Name())
		}
	}
	return names
}
