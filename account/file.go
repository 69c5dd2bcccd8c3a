package account

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
)

// maxFile is the most that is read of a file; account files take a few KiB.
const maxFile = 1 << 20

// A FileError says what is wrong with one file or directory of those in which
// a client keeps its accounts. It wraps, for example, [fs.ErrNotExist],
// [fs.ErrPermission] or a [*KeyError].
type FileError struct {
	Path string // the file's name within the file system given
	Err  error  // what is wrong; never nil, never with a part of a key
}

// Error names the file and says what is wrong with it.
func (e *FileError) Error() string {
	return "account: " + printable(e.Path) + ": " + e.Err.Error()
}

// Unwrap returns Err.
func (e *FileError) Unwrap() error { return e.Err }

// fileError makes a FileError of an error that the file system returned.
func fileError(name string, err error) *FileError {
	err = cause(err)
	if errors.Is(err, fs.ErrPermission) {
		err = fmt.Errorf("%w (clients let only their own user read account keys: run as that user, often root)", err)
	}
	return &FileError{name, err}
}

// cause returns what a [*fs.PathError] wraps, as the name stands in a FileError.
func cause(err error) error {
	if e, ok := err.(*fs.PathError); ok {
		return e.Err
	}
	return err
}

// readFile returns what is in the named file, and its mode. It opens nothing
// but regular files: a named pipe would block for ever, a device never end.
func readFile(fsys fs.FS, name string) ([]byte, fs.FileMode, error) {
	info, err := fs.Stat(fsys, name)
	if err != nil {
		return nil, 0, err
	}
	if !info.Mode().IsRegular() {
		return nil, 0, errors.New("not a regular file")
	}
	f, err := fsys.Open(name)
	if err != nil {
		return nil, 0, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(data) > maxFile {
		err = errors.New("larger than 1 MiB")
	}
	return data, info.Mode(), err
}
