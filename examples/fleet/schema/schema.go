// Package schema has the forms of what a fleet prints and sends for programs, in
// JSON Schema (draft 2020-12). Tests hold real output and the Go types against
// them.
package schema

import (
	"embed"
	"io/fs"
	"strings"
)

//go:embed *.schema.json
var files embed.FS

const suffix = ".schema.json"

// Names lists the schemas, by name.
func Names() []string {
	names, err := fs.Glob(files, "*"+suffix)
	if err != nil {
		return nil // cannot be: the pattern is right
	}
	for i, name := range names {
		names[i] = strings.TrimSuffix(name, suffix)
	}
	return names
}

// Read returns the text of a schema.
func Read(name string) ([]byte, error) { return files.ReadFile(name + suffix) }
