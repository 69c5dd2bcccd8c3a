//go:build unix

package agent

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

// fileID is what the system tells files apart by.
func fileID(info fs.FileInfo) (device, inode uint64) {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return uint64(s.Dev), s.Ino
	}
	return 0, 0
}

// openFlags lets a pipe be opened without another end: who may write logs could put one in the place of a log.
const openFlags = syscall.O_NONBLOCK

// syncDirectory puts on the disk which files a directory has.
func syncDirectory(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
