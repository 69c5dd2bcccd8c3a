package main

import (
	"encoding/csv"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/acmeauthz/acmeauthz/internal/fakeca"
	"github.com/acmeauthz/acmeauthz/internal/schematest"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"
)

func compileSchema(t *testing.T, name string) *jsonschema.Schema {
	t.Helper()
	data, err := readSchema(name)
	require.NoError(t, err)
	return schematest.Compile(t, name, data)
}

// TestSchemas holds the JSON of all golden files against the schema that it names:
// they are what the program printed. Each schema has met some.
func TestSchemas(t *testing.T) {
	compiled, met := map[string]*jsonschema.Schema{}, map[string]int{}
	for _, name := range schemaNames() {
		compiled[headOf(name).Title] = compileSchema(t, name)
	}
	check := func(file, doc string) {
		doc = strings.ReplaceAll(doc, `"TIME"`, `"2026-11-24T00:00:00Z"`)
		doc = thumbprint.ReplaceAllString(doc, `"thumbprint":"`+strings.Repeat("a", 43)+`"`)
		value, err := jsonschema.UnmarshalJSON(strings.NewReader(doc))
		require.NoError(t, err, file)
		name, _ := value.(map[string]any)["schema"].(string)
		require.Contains(t, compiled, name, file)
		require.NoError(t, compiled[name].Validate(value), file)
		met[name]++
	}
	files, err := filepath.Glob("testdata/golden/*.txt")
	require.NoError(t, err)
	for _, file := range files {
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		for line := range strings.Lines(string(data)) {
			if strings.HasPrefix(line, `{"schema"`) || strings.HasPrefix(line, `{"url"`) {
				check(file, line)
			}
		}
	}
	b := fleetBench(t)
	check("leaks --json", b.run("leaks", "--json", b.path("fleet")).stdout)
	rows, err := csv.NewReader(strings.NewReader(b.run("leaks", "--csv", b.path("fleet")).stdout)).ReadAll()
	require.NoError(t, err)
	for _, row := range rows[1:] {
		object := map[string]string{}
		for i, cell := range row {
			object[rows[0][i]] = cell
		}
		doc, err := json.Marshal(object)
		require.NoError(t, err)
		check("leaks --csv", string(doc))
	}
	require.Equal(t, slices.Sorted(maps.Keys(compiled)), slices.Sorted(maps.Keys(met)))
}

// thumbprint is what golden files have in place of a random one.
var thumbprint = regexp.MustCompile(`"thumbprint":"ID\d+"`)

// TestSchemaRefuses shows that the schemas tell a changed form.
func TestSchemaRefuses(t *testing.T) {
	b := leaked(t, fakeca.Config{})
	line := strings.SplitAfter(b.run("--json", b.path("logs")).stdout, "\n")[0]
	schema := compileSchema(t, "authorization")
	for _, change := range [][2]string{
		{`"outcome":"cleared"`, `"outcome":"tidied"`}, {`"changed":true`, `"changed":"yes"`}, {`"url":`, `"link":`}, {`/1"`, `/2"`},
	} {
		require.Contains(t, line, change[0])
		value, err := jsonschema.UnmarshalJSON(strings.NewReader(strings.Replace(line, change[0], change[1], 1)))
		require.NoError(t, err)
		require.Error(t, schema.Validate(value), change[1])
	}
}
