package account

import (
	"io/fs"
	"path"
)

// below is the directory dir of a file system, as a file system: fs.Sub, but for
// Stat, which that makes by opening the file. To open a named pipe blocks.
type below struct {
	fsys fs.FS
	dir  string
}

func sub(fsys fs.FS, dir string) fs.FS {
	if dir == "." {
		return fsys
	}
	return below{fsys, dir}
}

// name returns the name of a file in the whole file system.
func (b below) name(op, name string) (string, error) {
	if !fs.ValidPath(name) {
		return "", &fs.PathError{Op: op, Path: name, Err: fs.ErrInvalid}
	}
	return path.Join(b.dir, name), nil
}

func (b below) Open(name string) (fs.File, error) {
	full, err := b.name("open", name)
	if err != nil {
		return nil, err
	}
	return b.fsys.Open(full)
}

func (b below) Stat(name string) (fs.FileInfo, error) {
	full, err := b.name("stat", name)
	if err != nil {
		return nil, err
	}
	return fs.Stat(b.fsys, full)
}

func (b below) Lstat(name string) (fs.FileInfo, error) {
	full, err := b.name("lstat", name)
	if err != nil {
		return nil, err
	}
	return fs.Lstat(b.fsys, full)
}

func (b below) ReadLink(name string) (string, error) {
	full, err := b.name("readlink", name)
	if err != nil {
		return "", err
	}
	return fs.ReadLink(b.fsys, full)
}

func (b below) ReadDir(name string) ([]fs.DirEntry, error) {
	full, err := b.name("readdir", name)
	if err != nil {
		return nil, err
	}
	return fs.ReadDir(b.fsys, full)
}
