// Package replace writes files as a whole or not at all.
package replace

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
)

// ErrNoFile is the cause if something is there that is no regular file.
var ErrNoFile = errors.New("it is there and is no file")

// File writes a file as a whole, or not at all: what was there before stays
// until then. A new file has the mode that the umask gives, one that is replaced
// keeps its own, and a symbolic link stays one. Its errors are PathErrors that
// name the file.
func File(path string, write func(io.Writer) error) error {
	if resolved, err := filepath.EvalSymlinks(path); err == nil {
		path = resolved
	}
	err := replace(path, write)
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		err = e.Err // the name of the temporary file tells nobody anything
	}
	if err != nil {
		return &fs.PathError{Op: "write", Path: path, Err: err}
	}
	return nil
}

func replace(path string, write func(io.Writer) error) error {
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() {
		return ErrNoFile
	}
	temporary := fmt.Sprintf("%s.%x.tmp", path, rand.Uint64())
	f, openErr := os.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if openErr != nil {
		return openErr
	}
	if err == nil {
		err = f.Chmod(info.Mode().Perm())
	} else {
		err = nil // it is new
	}
	if err := errors.Join(err, write(f), f.Close()); err != nil {
		return errors.Join(err, os.Remove(temporary))
	}
	if err := os.Rename(temporary, path); err != nil {
		return errors.Join(err, os.Remove(temporary))
	}
	return nil
}
