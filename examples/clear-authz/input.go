package main

import (
	"bufio"
	"bytes"
	"crypto"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/acmeauthz/acmeauthz/account"
	"github.com/acmeauthz/acmeauthz/authz"
	"github.com/acmeauthz/acmeauthz/internal/display"
	"github.com/acmeauthz/acmeauthz/internal/leaks"
	"github.com/acmeauthz/acmeauthz/logparse"
)

// stdinName stands for standard input among the arguments and in messages.
const stdinName = leaks.StandardInput

// maxKeySize is far above any key file; a longer file is a log.
const maxKeySize = 64 << 10

// A keyFile is an account's private key and where it came from.
type keyFile struct {
	signer crypto.Signer
	path   string
}

// An input is what the command line names: logs, and perhaps a key.
type input struct {
	key  *keyFile
	logs []string // paths, or stdinName
}

// input sorts the arguments into a key and logs, and finds the logs.
func (p *program) input(args []string, keyPath string) (input, error) {
	var in input
	if keyPath != "" {
		key, err := readKey(keyPath)
		if err != nil {
			return in, err
		}
		in.key = key
	}
	var named []string
	for _, arg := range args {
		key, err := keyArgument(arg)
		switch {
		case err != nil:
			return in, err
		case key == nil:
			named = append(named, arg)
		case in.key != nil:
			return in, usage("two keys are given: %s and %s.", in.key.path, arg).then("Give one; each account has its own run.")
		default:
			in.key = key
		}
	}
	if len(named) == 0 {
		named = []string{p.defaultLog()}
		if named[0] != stdinName && !isDir(named[0]) {
			return in, usage("there is no %s, where Certbot keeps its logs.", named[0]).
				then("Name the logs: clear-authz FILE...").
				then("Or pipe them: cat letsencrypt.log* | clear-authz")
		}
	}
	logs, err := findLogs(named)
	in.logs = logs
	p.piped = slices.Contains(logs, stdinName)
	return in, err
}

// defaultLog is what is read if no log is named: standard input, unless somebody
// sits there.
func (p *program) defaultLog() string {
	if p.attended || display.IsTerminal(p.stdin) {
		return p.logDir
	}
	return stdinName
}

// keyArgument returns the key in the file path, or nil if it is something else.
func keyArgument(path string) (*keyFile, error) {
	info, err := os.Stat(path)
	if err != nil || !info.Mode().IsRegular() || info.Size() > maxKeySize {
		return nil, nil // findLogs says what is wrong with it
	}
	data, err := os.ReadFile(path)
	if err != nil || !looksLikeKey(data) {
		return nil, nil
	}
	return readKey(path)
}

// looksLikeKey reports whether a file is meant to be a key, even one that cannot
// be used: then its own error helps more than "no URLs found".
func looksLikeKey(data []byte) bool {
	data = bytes.TrimSpace(bytes.TrimPrefix(data, []byte("\xef\xbb\xbf")))
	switch {
	case bytes.HasPrefix(data, []byte("-----BEGIN ")):
		return bytes.Contains(data, []byte(" KEY-----"))
	case bytes.HasPrefix(data, []byte("{")):
		return bytes.Contains(data, []byte(`"kty"`)) && !bytes.Contains(data, []byte("://"))
	}
	return false
}

func readKey(path string) (*keyFile, error) {
	data, err := readLimited(path)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, missingFor("--key", path)
		}
		return nil, unreadable("the key", path, err)
	}
	signer, err := account.ParseKey(data)
	if err != nil {
		return nil, usage("%s is not an account key that can be used: %s.", path, err).
			then("Name another, for instance Certbot's private_key.json of the account.")
	}
	return &keyFile{signer: signer, path: path}, nil
}

func readLimited(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxKeySize+1))
	if err == nil && len(data) > maxKeySize {
		err = fmt.Errorf("longer than %d KiB, so no key", maxKeySize>>10)
	}
	return data, err
}

// findLogs turns files, directories and patterns into paths of files.
func findLogs(named []string) ([]string, error) {
	var logs []string
	for _, name := range named {
		paths, err := findLog(name)
		if err != nil {
			return nil, err
		}
		logs = append(logs, paths...)
	}
	return logs, nil
}

func findLog(name string) ([]string, error) {
	if name == stdinName {
		return []string{name}, nil
	}
	info, err := os.Stat(name)
	switch {
	case err == nil && info.IsDir():
		return filesBelow(name)
	case err == nil:
		return []string{name}, nil
	case !errors.Is(err, fs.ErrNotExist):
		return nil, unreadable("the log", name, err)
	}
	matches, err := filepath.Glob(name)
	if err != nil || len(matches) == 0 {
		return nil, missing(name)
	}
	return findLogs(matches)
}

// filesBelow lists the files of a directory tree, but hidden ones (Certbot's
// lock) and those behind symbolic links to directories other than dir itself.
func filesBelow(dir string) ([]string, error) {
	root, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return nil, unreadable("the logs below", dir, err)
	}
	w := &logWalk{dir: dir, root: root}
	err = filepath.WalkDir(root, w.visit)
	if err != nil {
		return nil, unreadable("the logs below", dir, err)
	}
	return w.paths, nil
}

// A logWalk collects the files below a directory.
type logWalk struct {
	dir   string // as it was named
	root  string // where that leads
	paths []string
}

// visit is an fs.WalkDirFunc. What cannot be listed is kept as if it were a log:
// reading it tells why, and does not hide the others.
func (w *logWalk) visit(path string, d fs.DirEntry, err error) error {
	named := filepath.Join(w.dir, strings.TrimPrefix(path, w.root))
	switch {
	case err != nil && path == w.root:
		return err
	case err != nil:
		w.paths = append(w.paths, named)
	case path != w.root && strings.HasPrefix(d.Name(), "."):
		if d.IsDir() {
			return fs.SkipDir
		}
	case isFile(path, d):
		w.paths = append(w.paths, named)
	}
	return nil
}

func isFile(path string, d fs.DirEntry) bool {
	if d.Type()&fs.ModeSymlink == 0 {
		return d.Type().IsRegular()
	}
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// A found is what reading the logs gave.
type found struct {
	urls   []string          // worth asking about; nil if they were printed at once
	owners map[string]string // the accounts of urls, as the logs tell ("kid")
	over   []*logparse.Life  // not worth it: over, as the logs show
	left   map[string][]int  // URLs that a server's jobs leave, by host
	atWork []string          // those of urls that a client may be working on
	orders map[string]authz.KnownOrder
	count  int  // of URLs
	old    int  // left out by --max-age
	failed int  // logs that could not be read, or not to their end
	denied bool // whether one of them for lack of permission
	bytes  int64

	strange bool // no line is from an ACME client that is known
}

// distinct yields the URLs of all logs, each once, as they are found. A log that
// cannot be read is reported and does not hide the others.
func (p *program) distinct(logs []string, f *found) iter.Seq[string] {
	return func(yield func(string) bool) {
		seen := make(map[string]bool)
		for _, path := range logs {
			for url, err := range p.urls(path, &f.bytes) {
				if err != nil {
					f.failed++
					f.denied = f.denied || errors.Is(err, fs.ErrPermission)
					p.warn("%s", logError(path, err))
					break
				}
				if seen[url] {
					continue
				}
				seen[url] = true
				f.count++
				if !yield(url) {
					return
				}
			}
		}
	}
}

// urls yields the URLs in one log.
func (p *program) urls(path string, size *int64) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		r := p.stdin
		if path != stdinName {
			f, err := os.Open(path)
			if err != nil {
				yield("", err)
				return
			}
			defer f.Close()
			r = f
		}
		for url, err := range logparse.URLs(counted(r, size)) {
			if !yield(url, err) {
				return
			}
		}
	}
}

// counted returns r with its bytes added to n while they are read, to tell an empty log from one without URLs. It is still
// a regular file if r is.
func counted(r io.Reader, n *int64) io.Reader {
	c := &countingReader{r, n}
	if f, ok := r.(*os.File); ok {
		return &countingFile{c, f}
	}
	return c
}

type countingReader struct {
	io.Reader
	n *int64
}

type countingFile struct {
	*countingReader
	f *os.File
}

// Stat is what [logparse.URLs] tells a regular file by.
func (c *countingFile) Stat() (fs.FileInfo, error) { return c.f.Stat() }

func (c *countingReader) Read(b []byte) (int, error) {
	n, err := c.Reader.Read(b)
	*c.n += int64(n)
	return n, err
}

// printURLs is the subcommand urls.
func (p *program) printURLs(args []string) error {
	in, err := p.input(args, "")
	if err != nil {
		return err
	}
	out := bufio.NewWriterSize(p.stdout, 64<<10)
	prompt := !p.allRegular(in.logs)
	var f found
	for url := range p.distinct(in.logs, &f) {
		_, err := fmt.Fprintln(out, display.Clean(url))
		if prompt && err == nil {
			err = out.Flush()
		}
		if err != nil {
			return printError(err)
		}
	}
	if err := out.Flush(); err != nil {
		return printError(err)
	}
	switch {
	case f.failed > 0:
		return f.problem(len(in.logs))
	case f.count == 0:
		p.say("%s\n", display.Trusted(f.nothingFound(in.logs)))
	}
	return nil
}

// allRegular reports whether no log can keep its reader waiting, and URLs may be printed together.
func (p *program) allRegular(logs []string) bool {
	return !display.IsTerminal(p.stdout) && !slices.ContainsFunc(logs, func(name string) bool {
		info, err := os.Stat(name)
		return name == stdinName || err == nil && !info.Mode().IsRegular()
	})
}

// printError is what there is to say if URLs cannot be printed: nothing if a pipe was closed, as head does.
func printError(err error) error {
	if errors.Is(err, syscall.EPIPE) {
		return nil
	}
	return writeError(err)
}

// problem is what is left to say of logs that could not be read.
func (f found) problem(logs int) *problem {
	p := &problem{code: exitFailed}
	if f.failed == logs && f.count == 0 {
		p.code = exitNothing
	}
	if f.denied {
		p.what, p.root = "some logs could not be read.", true
	}
	return p
}
