package main

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"strings"
)

// schemas are the forms of everything that is printed for machines, in JSON
// Schema (draft 2020-12). --help and the README are made of them, and tests hold
// real output against them.
//
//go:embed schema/*.schema.json
var schemas embed.FS

const schemaSuffix = ".schema.json"

// schemaNames lists them, by name.
func schemaNames() []string {
	entries, err := fs.ReadDir(schemas, "schema")
	if err != nil {
		return nil // cannot be: they are in the program
	}
	var names []string
	for _, e := range entries {
		names = append(names, strings.TrimSuffix(e.Name(), schemaSuffix))
	}
	return names
}

// readSchema is a schema's text.
func readSchema(name string) ([]byte, error) {
	return schemas.ReadFile("schema/" + name + schemaSuffix)
}

// A schemaHead is what --help tells of a schema.
type schemaHead struct {
	Title       string
	Description string
	Properties  members
}

// members are a schema's properties in the order of the file.
type members []entry

// UnmarshalJSON reads an object of properties, in its order.
func (m *members) UnmarshalJSON(data []byte) error {
	decoder := json.NewDecoder(bytes.NewReader(data))
	if _, err := decoder.Token(); err != nil { // the brace
		return err
	}
	for decoder.More() {
		name, err := decoder.Token()
		if err != nil {
			return err
		}
		var property struct{ Description string }
		if err := decoder.Decode(&property); err != nil {
			return err
		}
		*m = append(*m, entry{fmt.Sprint(name), property.Description})
	}
	return nil
}

// headOf reads the part of a schema that --help tells.
func headOf(name string) schemaHead {
	var head schemaHead
	data, err := readSchema(name)
	if err == nil {
		err = json.Unmarshal(data, &head)
	}
	if err != nil {
		head.Description = err.Error() // a test reads them all
	}
	return head
}

// jsonSection tells what --json prints, by its schema.
func jsonSection(intro, name string) section {
	return section{"JSON", []block{
		paragraph(fmt.Sprintf("%s, of the schema %q, which \"clear-authz schema %s\" prints, with the members", intro, headOf(name).Title, name)),
		terms(headOf(name).Properties[1:]...),
	}}
}

// printSchema is the command schema.
func (p *program) printSchema(args []string) error {
	if len(args) == 0 {
		var list block
		for _, name := range schemaNames() {
			list.terms = append(list.terms, entry{name, headOf(name).Description})
		}
		var b strings.Builder
		list.print(&b)
		if _, err := io.WriteString(p.stdout, b.String()); err != nil {
			return writeError(err)
		}
		return nil
	}
	for _, name := range args {
		data, err := readSchema(name)
		if err != nil {
			return usage("there is no schema %s.", name).then("clear-authz schema lists them.")
		}
		if _, err := p.stdout.Write(data); err != nil {
			return writeError(err)
		}
	}
	return nil
}
