package leaks

import (
	"bytes"
	"encoding/json"
	"io"

	"github.com/acmeauthz/acmeauthz/internal/display"
)

// WriteJSON writes the report as one JSON document, a line for each member.
// Nothing in it can act upon a terminal.
func (r *Report) WriteJSON(w io.Writer) error {
	doc, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		return err
	}
	var out bytes.Buffer
	for line := range bytes.Lines(doc) {
		out.Write(display.CleanJSON(bytes.TrimSuffix(line, []byte("\n"))))
		out.WriteByte('\n')
	}
	_, err = w.Write(out.Bytes())
	return err
}
