package logparse

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
)

// url is the URL of authorization n.
func url(n string) string { return "https://ca.example/acme/authz/1/" + n }

// logs returns a file system with files of the given names, each with one URL that has the file's place in the list.
func logs(t *testing.T, names ...string) fstest.MapFS {
	t.Helper()
	fsys := fstest.MapFS{}
	for i, name := range names {
		text := url(string(rune('1'+i))) + "\n"
		switch path.Ext(name) {
		case ".gz":
			text = gzipped(t, text)
		case ".zst":
			text = zstded(t, text)
		}
		fsys[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return fsys
}

func TestFiles(t *testing.T) {
	// The numbers are those of the files in the order of the list.
	for _, test := range []struct {
		name     string
		files    []string
		patterns []string
		want     string
	}{
		{"one", []string{"x.log"}, []string{"x.log"}, "1"},
		{"rotated", []string{"x.log", "x.log.1", "x.log.10.gz", "x.log.2.gz", "x.log.9.zst"}, []string{"x.log*"}, "35421"},
		{"by date", []string{"x.log", "x.log-20261108", "x.log-20261101.gz", "x.log-20261115"}, []string{"x.log*"}, "3241"},
		{"two logs", []string{"b.log", "a.log", "b.log.1", "a.log.1"}, []string{"*"}, "4231"},
		{"patterns in order", []string{"a.log", "b.log"}, []string{"b*", "a*"}, "21"},
		{"each file once", []string{"a.log", "b.log"}, []string{"a.log", "*", "b.log"}, "12"},
		{"directory", []string{"d/a.log", "d/a.log.1", "d/.lock", "d/sub/c.log"}, []string{"d"}, "21"},
		{"directories by pattern", []string{"h1/x.log", "h2/x.log", "h2/x.log.1"}, []string{"h*"}, "132"},
		{"root", []string{"a.log", "d/b.log"}, []string{"."}, "1"},
		{"pattern with directories", []string{"h1/x.log", "h2/x.log"}, []string{"h*/x.log"}, "12"},
		{"name with a bracket", []string{"x[1].log", "x1.log"}, []string{"x[1].log"}, "2"},
		{"name with a bracket only", []string{"x[1].log"}, []string{"x[1].log"}, "1"},
		{"no patterns", []string{"x.log"}, nil, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := collect(Files(logs(t, test.files...), test.patterns...))
			require.NoError(t, err)
			var want []string
			for _, n := range test.want {
				want = append(want, url(string(n)))
			}
			require.Equal(t, want, got)
		})
	}
}

// TestFilesContent has names that lie about what is in the files, an empty file, and a URL in two of them.
func TestFilesContent(t *testing.T) {
	fsys := fstest.MapFS{
		"a.gz":  {Data: []byte(url("1") + "\n")},
		"b.log": {Data: []byte(gzipped(t, url("2")+"\n"))},
		"c.log": {},
		"d.txt": {Data: []byte(zstded(t, url("1")+"\n"+url("3")+"\n"))},
	}
	seq := Files(fsys, "*")
	for range 2 {
		got, err := collect(seq)
		require.NoError(t, err)
		require.Equal(t, []string{url("1"), url("2"), url("3")}, got)
	}
}

func TestFilesErrors(t *testing.T) {
	fsys := logs(t, "a.log", "b.log.gz", "c.log")
	fsys["b.log.gz"].Data = fsys["b.log.gz"].Data[:40]
	for _, test := range []struct {
		name     string
		patterns []string
		want     []string
		error    string
		is       error
	}{
		{"nothing matches", []string{"a.log", "x*"}, nil,
			"reading x*: no file matches: file does not exist", fs.ErrNotExist},
		{"no such file", []string{"d/x.log"}, nil,
			"reading d/x.log: no file matches: file does not exist", fs.ErrNotExist},
		{"bad pattern", []string{"a.log", "[x"}, nil, "reading [x: syntax error in pattern", path.ErrBadPattern},
		{"invalid name", []string{"/a.log"}, nil, `reading /a.log: invalid argument: names are relative, with slashes and without ".."`, fs.ErrInvalid},
		{"cut off", []string{"*"}, []string{url("1")}, "reading b.log.gz at byte 25: unexpected EOF", io.ErrUnexpectedEOF},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := collect(Files(fsys, test.patterns...))
			require.Equal(t, test.want, got)
			require.EqualError(t, err, test.error)
			require.ErrorIs(t, err, test.is)
			require.IsType(t, &ReadError{}, err)
		})
	}
}

// A watchedFS counts open files, and refuses to open one of them.
type watchedFS struct {
	fs.FS
	refuse       string
	open, opened int
	most         int // open at once
}

var errRefused = errors.New("refused")

func (w *watchedFS) Open(name string) (fs.File, error) {
	if name == w.refuse {
		return nil, &fs.PathError{Op: "open", Path: name, Err: errRefused}
	}
	f, err := w.FS.Open(name)
	if err != nil {
		return nil, err
	}
	w.open++
	w.opened++
	w.most = max(w.most, w.open)
	return &watchedFile{f, w}, nil
}

// Stat keeps fs.Stat from opening files.
func (w *watchedFS) Stat(name string) (fs.FileInfo, error) { return fs.Stat(w.FS, name) }

// ReadDir keeps fs.ReadDir from opening directories.
func (w *watchedFS) ReadDir(name string) ([]fs.DirEntry, error) { return fs.ReadDir(w.FS, name) }

type watchedFile struct {
	fs.File
	fsys *watchedFS
}

func (f *watchedFile) Close() error {
	f.fsys.open--
	return f.File.Close()
}

// TestFilesClose looks how many files are open after ranging ends in each way, and at once. What works inside of the range
// has ended by then, or the counts would race.
func TestFilesClose(t *testing.T) {
	for _, cores := range []int{1, 2, 4} {
		t.Run(strconv.Itoa(cores), func(t *testing.T) {
			defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(cores))
			w := &watchedFS{FS: logs(t, "a.log", "b.log", "c.log", "d.log"), refuse: "c.log"}
			got, err := collect(Files(w, "*"))
			require.Equal(t, []string{url("1"), url("2")}, got)
			require.Equal(t, &ReadError{Name: "c.log", Err: errRefused}, err)
			require.Equal(t, 0, w.open)
			require.Equal(t, 2, w.opened)

			w.refuse = ""
			for range 100 {
				for range Files(w, "*") {
					break
				}
				require.Equal(t, 0, w.open)
			}

			w.opened = 0
			_, err = collect(Files(w, "a*", "a.log", "[ab].log"))
			require.NoError(t, err)
			require.Equal(t, 2, w.opened, "each file once")
			require.Equal(t, 1, w.most, "one at a time")
		})
	}
}

// TestFilesOS reads a directory of the operating system with links and a file that may not be read.
func TestFilesOS(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, n string, mode fs.FileMode) {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(url(n)+"\n"), mode))
	}
	write("a.log", "1", 0o600)
	require.NoError(t, os.Symlink("a.log", filepath.Join(dir, "link.log")))
	require.NoError(t, os.Symlink("nowhere", filepath.Join(dir, "dangling.log")))
	got, err := collect(Files(os.DirFS(dir), "*.log"))
	require.NoError(t, err)
	require.Equal(t, []string{url("1")}, got)
	if os.Getuid() == 0 {
		return // root may read everything
	}
	write("z.log", "2", 0)
	got, err = collect(Files(os.DirFS(dir), "*.log"))
	require.Equal(t, []string{url("1")}, got)
	require.ErrorIs(t, err, fs.ErrPermission)
	require.EqualError(t, err, "reading z.log: permission denied")
}

func TestCompareNames(t *testing.T) {
	want := []string{
		"a.log-20261101-1793491200.gz", "a.log-20261108", "a.log.12.gz", "a.log.2", "a.log.1.zst", "a.log",
		"b.log.1", "b.log", "log-1", "log-2",
	}
	got := slices.Clone(want)
	slices.Reverse(got)
	slices.SortFunc(got, compareNames)
	require.Equal(t, want, got)
}
