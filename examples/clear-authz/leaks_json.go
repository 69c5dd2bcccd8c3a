package main

import (
	"bytes"
	"encoding/json"
	"io"
)

// writeLeaksJSON writes the report as one JSON document, a line for each member.
// Nothing in it can act upon a terminal.
func writeLeaksJSON(w io.Writer, r *leakReport) error {
	doc, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		return err
	}
	var out bytes.Buffer
	for line := range bytes.Lines(doc) {
		out.Write(cleanJSON(bytes.TrimSuffix(line, []byte("\n"))))
		out.WriteByte('\n')
	}
	_, err = w.Write(out.Bytes())
	return err
}
