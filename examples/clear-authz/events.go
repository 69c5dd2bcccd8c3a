package main

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/acmeauthz/acmeauthz/logparse"
)

// readEvents reads all logs once and hands on what they say happened. Logs that
// rotation made of one are read as one, from the oldest to the newest. A log that
// cannot be read is reported and does not hide the others.
func (p *program) readEvents(logs []string, add func(logparse.Event)) found {
	var f found
	known := false
	add = withClient(add, &known)
	fsys := newLogFS(logs, &f.bytes)
	hosts := hostsOf(logs)
	reader := logparse.Reader{
		Location: p.location,
		Now:      p.now(),
		Host:     func(file string) string { return hosts[fsys.paths[file]] },
	}
	for dirs := fsys.unread(); len(dirs) > 0; dirs = fsys.unread() {
		for e, err := range reader.FileEvents(fsys, dirs...) {
			if err != nil {
				path, err := fsys.explain(err)
				p.failedLog(&f, path, err)
				break // and go on with the logs after it
			}
			fsys.rename(&e.Place)
			fsys.rename(&e.Run)
			add(e)
		}
	}
	for _, log := range logs {
		if log == stdinName {
			p.stdinEvents(&reader, &f, add)
			break // there is only one
		}
	}
	f.strange = f.bytes > 0 && !known
	return f
}

// withClient returns add, and notes whether an event is from a client that is known.
func withClient(add func(logparse.Event), known *bool) func(logparse.Event) {
	return func(e logparse.Event) {
		*known = *known || e.Client != ""
		add(e)
	}
}

// stdinEvents is readEvents for standard input, whose name in events is "-".
func (p *program) stdinEvents(reader *logparse.Reader, f *found, add func(logparse.Event)) {
	for e, err := range reader.Events(&countingReader{p.stdin, &f.bytes}) {
		if err != nil {
			p.failedLog(f, stdinName, err)
			return
		}
		e.File = stdinName
		if e.Run.Line > 0 {
			e.Run.File = stdinName
		}
		add(e)
	}
}

func (p *program) failedLog(f *found, path string, err error) {
	f.failed++
	f.denied = f.denied || errors.Is(err, fs.ErrPermission)
	p.warn("%s", logError(path, err))
}

// A logFS is logs from anywhere as one file system, for FileEvents: they are in
// directories "0", "1", … as those on the disk, and have their own names there.
// A log is there until it has been opened.
type logFS struct {
	dirs   []string            // in the order in which they were named
	names  map[string][]string // of the logs in a directory: "0/letsencrypt.log"
	paths  map[string]string   // where a log is, by its name here
	opened map[string]bool
	failed map[string]error // logs that could not be opened
	bytes  *int64           // counts what was read
}

func newLogFS(logs []string, bytes *int64) *logFS {
	l := &logFS{
		names: make(map[string][]string), paths: make(map[string]string),
		opened: make(map[string]bool), failed: make(map[string]error), bytes: bytes,
	}
	known := make(map[string]bool)
	virtual := make(map[string]string)
	for _, log := range logs {
		if log == stdinName || known[log] {
			continue
		}
		known[log] = true
		dir, ok := virtual[filepath.Dir(log)]
		name := logName(log)
		if _, taken := l.paths[path.Join(dir, name)]; !ok || taken {
			dir = strconv.Itoa(len(l.dirs))
			virtual[filepath.Dir(log)] = dir
			l.dirs = append(l.dirs, dir)
		}
		name = path.Join(dir, name)
		l.names[dir] = append(l.names[dir], name)
		l.paths[name] = log
	}
	return l
}

// logName is the name of a log's file, as far as a file system of package fs may
// have it and FileEvents reads it.
func logName(log string) string {
	name := strings.TrimLeft(strings.ToValidUTF8(filepath.Base(log), "\uFFFD"), ".")
	if !fs.ValidPath(name) || name == "" {
		return "log"
	}
	return name
}

// unread returns the directories with logs that have not been opened.
func (l *logFS) unread() (dirs []string) {
	for _, dir := range l.dirs {
		if len(l.left(dir)) > 0 {
			dirs = append(dirs, dir)
		}
	}
	return dirs
}

func (l *logFS) left(dir string) (names []string) {
	for _, name := range l.names[dir] {
		if !l.opened[name] {
			names = append(names, name)
		}
	}
	return names
}

// rename makes the file of a place the one that was named.
func (l *logFS) rename(place *logparse.Place) {
	if path, ok := l.paths[place.File]; ok {
		place.File = path
	}
}

// explain returns the log that an error is about, and what is wrong with it.
func (l *logFS) explain(err error) (string, error) {
	e, ok := errors.AsType[*logparse.ReadError](err)
	if !ok || l.paths[e.Name] == "" {
		for name := range l.paths {
			l.opened[name] = true // it cannot get better
		}
		return "the logs", err
	}
	l.opened[e.Name] = true
	if failed := l.failed[e.Name]; failed != nil {
		return l.paths[e.Name], failed
	}
	return l.paths[e.Name], err
}

// Open opens a log.
func (l *logFS) Open(name string) (fs.File, error) {
	l.opened[name] = true
	f, err := os.Open(l.paths[name])
	if err != nil {
		l.failed[name] = err
		return nil, err
	}
	return &countedFile{f, l.bytes}, nil
}

// Stat says that everything is a regular file but directories: what was named is
// read, also a pipe.
func (l *logFS) Stat(name string) (fs.FileInfo, error) {
	switch {
	case l.names[name] != nil:
		return logInfo{name, fs.ModeDir}, nil
	case l.paths[name] != "":
		return logInfo{path.Base(name), 0}, nil
	}
	return nil, &fs.PathError{Op: "stat", Path: name, Err: fs.ErrNotExist}
}

// ReadDir lists the logs in a directory.
func (l *logFS) ReadDir(dir string) (entries []fs.DirEntry, err error) {
	for _, name := range l.left(dir) {
		entries = append(entries, fs.FileInfoToDirEntry(logInfo{path.Base(name), 0}))
	}
	return entries, nil
}

// A countedFile adds up what was read of it.
type countedFile struct {
	*os.File
	n *int64
}

func (c *countedFile) Read(b []byte) (int, error) {
	n, err := c.File.Read(b)
	*c.n += int64(n)
	return n, err
}

// A logInfo is an fs.FileInfo of a log or a directory of logs.
type logInfo struct {
	name string
	mode fs.FileMode
}

func (i logInfo) Name() string       { return i.name }
func (i logInfo) Size() int64        { return 0 }
func (i logInfo) Mode() fs.FileMode  { return i.mode }
func (i logInfo) ModTime() time.Time { return time.Time{} }
func (i logInfo) IsDir() bool        { return i.mode.IsDir() }
func (i logInfo) Sys() any           { return nil }
