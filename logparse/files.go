package logparse

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"path"
	"slices"
	"strconv"
	"strings"
)

var (
	errNoMatch = fmt.Errorf("no file matches: %w", fs.ErrNotExist)
	errInvalid = fmt.Errorf("%w: names are relative, with slashes and without \"..\"", fs.ErrInvalid)
)

// Files yields the URL of each authorization that the logs in fsys mention, as [URLs] does for one: each URL once,
// whichever and how many files have it.
//
// A pattern is the name of a file, the name of a directory or a pattern of [fs.Glob]; names are slash-separated and
// relative to the root of fsys ([fs.ValidPath]). Of a directory the regular files directly in it are read, except for
// those whose names start with a dot. Each file is read once, however many patterns match it, and may be what r of
// [URLs] may be, whatever its name.
//
// The files are read pattern by pattern, by name, and those that logrotate or a client made of one log from the oldest to
// the newest, so that the URLs come in the order of time: x.log-20261101.gz, x.log-20261108, x.log.2.gz, x.log.1, x.log.
//
// A *[ReadError] with the name of the file is the last pair if a file cannot be opened or read. If a pattern is malformed
// ([path.ErrBadPattern], [fs.ErrInvalid]) or there is no file for it ([fs.ErrNotExist]), the error is the only pair, with
// the pattern as its name. Without patterns the sequence is empty.
//
// Files are opened one at a time, and closed before the next one is opened and when ranging ends. Large and many regular
// files are read and scanned by goroutines that share the cores, in which files after that of the last URL may have been
// opened. They have ended when ranging ends; methods of fsys and its files are called by one of them at a time, but not
// always by the same. The sequence can be ranged over again.
func Files(fsys fs.FS, patterns ...string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		names, err := match(fsys, patterns)
		if err != nil {
			yield("", err)
			return
		}
		p := reporter{}
		open := func(name string) (io.ReadCloser, error) { return fsys.Open(name) }
		for run, regular := range runs(fsys, names) {
			n := workers()
			if n > 1 && regular {
				if !p.readParallel(newCrew(run, open, n, blockSize, tailSize), n, yield) {
					return
				}
				continue
			}
			for _, name := range run {
				if !p.readFile(fsys, name, yield) {
					return
				}
			}
		}
	}
}

// runs yields the names in order, in runs of regular files and of others.
func runs(fsys fs.FS, names []string) iter.Seq2[[]string, bool] {
	return func(yield func([]string, bool) bool) {
		for len(names) > 0 {
			n, regular := 1, isRegular(fsys, names[0])
			for n < len(names) && isRegular(fsys, names[n]) == regular {
				n++
			}
			if !yield(names[:n], regular) {
				return
			}
			names = names[n:]
		}
	}
}

// isRegular reports whether a file is a regular one, or a link to one.
func isRegular(fsys fs.FS, name string) bool {
	info, err := fs.Stat(fsys, name)
	return err == nil && info.Mode().IsRegular()
}

// readFile is read for a file.
func (p *reporter) readFile(fsys fs.FS, name string, yield func(string, error) bool) bool {
	f, err := fsys.Open(name)
	if err != nil {
		yield("", &ReadError{Name: name, Err: reason(err)})
		return false
	}
	defer f.Close()
	return p.read(name, f, yield)
}

// reason returns err without the name of the file.
func reason(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	return err
}

// match returns the names of the files that the patterns match, in the order in which they are to be read. An error is a
// *ReadError.
func match(fsys fs.FS, patterns []string) ([]string, error) {
	var names []string
	known := make(map[string]bool)
	for _, pattern := range patterns {
		found, err := matchOne(fsys, pattern)
		if err == nil && len(found) == 0 {
			err = errNoMatch
		}
		if err != nil {
			return nil, &ReadError{Name: pattern, Err: reason(err)}
		}
		slices.SortFunc(found, compareNames)
		for _, name := range found {
			if !known[name] {
				known[name] = true
				names = append(names, name)
			}
		}
	}
	return names, nil
}

// matchOne returns the names of the files that one pattern matches.
func matchOne(fsys fs.FS, pattern string) ([]string, error) {
	matches, err := fs.Glob(fsys, pattern)
	if err != nil {
		return nil, err
	}
	if len(matches) == 0 {
		if !fs.ValidPath(pattern) {
			return nil, errInvalid
		}
		matches = []string{pattern} // a name with a bracket in it
	}
	var names []string
	for _, name := range matches {
		info, err := fs.Stat(fsys, name)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			// A dangling link, or removed meanwhile.
		case err != nil:
			return nil, err
		case !info.IsDir():
			names = append(names, name)
		default:
			inside, err := filesIn(fsys, name)
			if err != nil {
				return nil, err
			}
			names = append(names, inside...)
		}
	}
	return names, nil
}

// filesIn returns the names of the regular files in a directory, and of links to such.
func filesIn(fsys fs.FS, dir string) ([]string, error) {
	entries, err := fs.ReadDir(fsys, dir)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		name := path.Join(dir, e.Name())
		if strings.HasPrefix(e.Name(), ".") {
			continue
		}
		if info, err := fs.Stat(fsys, name); err == nil && info.Mode().IsRegular() {
			names = append(names, name)
		}
	}
	return names, nil
}

// compareNames orders the names of logs: by log, then from the oldest to the newest.
func compareNames(a, b string) int {
	x, y := parseName(a), parseName(b)
	return cmp.Or(
		strings.Compare(x.log, y.log),
		cmp.Compare(x.kind, y.kind),
		strings.Compare(x.date, y.date),
		cmp.Compare(y.number, x.number),
		strings.Compare(a, b),
	)
}

// A logName is the name of a log that may have been rotated.
type logName struct {
	log    string // the name of the log that is being written
	kind   rotation
	date   string // x.log-20261101, x.log-20261101-1793491200
	number int    // x.log.1, the larger the older
}

// A rotation is how old logs are named; the values are in order of age, should a log have been rotated in two ways.
type rotation uint8

const (
	byDate rotation = iota
	byNumber
	current
)

// parseName takes a name apart.
func parseName(name string) logName {
	for _, suffix := range []string{".gz", ".zst", ".bz2", ".xz"} {
		name = strings.TrimSuffix(name, suffix)
	}
	if i := strings.LastIndexByte(name, '.'); i > 0 {
		if n, err := strconv.Atoi(name[i+1:]); err == nil && n >= 0 {
			return logName{log: name[:i], kind: byNumber, number: n}
		}
	}
	digits := strings.TrimRight(name, "0123456789-")
	if date := strings.TrimPrefix(name[len(digits):], "-"); len(date) >= len("20261101") {
		return logName{log: digits, kind: byDate, date: date}
	}
	return logName{log: name, kind: current}
}
