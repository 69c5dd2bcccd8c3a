//go:build unix

package agent

import (
	"io/fs"
	"syscall"
)

// fileID is what the system tells files apart by.
func fileID(info fs.FileInfo) (device, inode uint64) {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return uint64(s.Dev), s.Ino
	}
	return 0, 0
}
