// Package schematest compiles JSON Schemas for tests.
package schematest

import (
	"bytes"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"
)

// Compile compiles a schema so that it knows every member: what is printed and not in the schema fails, too, although schemas let
// later versions add members.
func Compile(t testing.TB, name string, text []byte) *jsonschema.Schema {
	t.Helper()
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	require.NoError(t, err)
	closeObjects(document)
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	require.NoError(t, c.AddResource(name, document))
	compiled, err := c.Compile(name)
	require.NoError(t, err)
	return compiled
}

func closeObjects(document any) {
	switch document := document.(type) {
	case map[string]any:
		if _, ok := document["properties"].(map[string]any); ok && document["type"] == "object" {
			document["additionalProperties"] = false
		}
		for _, child := range document {
			closeObjects(child)
		}
	case []any:
		for _, child := range document {
			closeObjects(child)
		}
	}
}
