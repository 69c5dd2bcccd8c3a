//go:build !unix

package agent

import "io/fs"

// fileID is nothing where the system tells none: then the start of each file that has changed is read.
func fileID(fs.FileInfo) (device, inode uint64) { return 0, 0 }

// openFlags are those that a log is opened with besides.
const openFlags = 0

// syncDirectory does nothing where a directory cannot be opened as a file.
func syncDirectory(string) error { return nil }
