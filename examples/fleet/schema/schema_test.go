package schema_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/acmeauthz/acmeauthz/examples/fleet/picture"
	"github.com/acmeauthz/acmeauthz/examples/fleet/schema"
	"github.com/acmeauthz/acmeauthz/examples/fleet/wire"
	"github.com/acmeauthz/acmeauthz/internal/schematest"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"
)

// types are the Go types of the schemas, and of their $defs.
var types = map[string]map[string]reflect.Type{
	"status": {
		"": reflect.TypeFor[picture.Status](), "host": reflect.TypeFor[wire.Heartbeat](), "hub": reflect.TypeFor[wire.HubState](),
		"account": reflect.TypeFor[wire.AccountState](), "count": reflect.TypeFor[wire.Count](), "work": reflect.TypeFor[wire.Work](),
	},
	"heartbeat": {"": reflect.TypeFor[wire.Heartbeat]()},
	"result":    {"": reflect.TypeFor[wire.Result]()},
}

// An object is a schema, as far as the tests look into it.
type object struct {
	Schema      string `json:"$schema"`
	Title       string
	Description string
	Properties  map[string]struct{ Description string }
	Required    []string
	Defs        map[string]object `json:"$defs"`
}

func read(t *testing.T, name string) []byte {
	t.Helper()
	data, err := schema.Read(name)
	require.NoError(t, err)
	return data
}

// TestMembers describes each member of the Go types in a sentence, and no others.
func TestMembers(t *testing.T) {
	require.Equal(t, slices.Sorted(maps.Keys(types)), schema.Names())
	for name, parts := range types {
		var o object
		require.NoError(t, json.Unmarshal(read(t, name), &o))
		require.Equal(t, "https://json-schema.org/draft/2020-12/schema", o.Schema)
		require.Len(t, parts, len(o.Defs)+1)
		for part, typ := range parts {
			described := o
			if part != "" {
				described = o.Defs[part]
			}
			members, required := membersOf(typ)
			require.ElementsMatch(t, members, slices.Collect(maps.Keys(described.Properties)), "%s %s", name, part)
			require.ElementsMatch(t, required, described.Required, "%s %s", name, part)
			sentence(t, name+" "+part, described.Description)
			for member, p := range described.Properties {
				sentence(t, name+" "+part+" "+member, p.Description)
			}
		}
	}
}

func sentence(t *testing.T, of, text string) {
	t.Helper()
	require.Regexp(t, `^[A-Z].{10,}\.$`, text, of)
}

// membersOf are the names of a type's members, and of those that are always there.
func membersOf(typ reflect.Type) (all, required []string) {
	for f := range typ.Fields() {
		tag := strings.Split(f.Tag.Get("json"), ",")
		if tag[0] == "-" {
			continue
		}
		all = append(all, tag[0])
		if len(tag) == 1 {
			required = append(required, tag[0])
		}
	}
	return all, required
}

// TestSameHost describes a heartbeat alike in a status and alone.
func TestSameHost(t *testing.T) {
	var status, heartbeat map[string]any
	require.NoError(t, json.Unmarshal(read(t, "status"), &status))
	require.NoError(t, json.Unmarshal(read(t, "heartbeat"), &heartbeat))
	a, b := status["$defs"].(map[string]any)["host"].(map[string]any), heartbeat
	for _, o := range []map[string]any{a, b} {
		delete(o["properties"].(map[string]any), "schema") // a status may have those of later versions
	}
	require.Equal(t, a["properties"], b["properties"])
	require.Equal(t, a["required"], b["required"])
}

func compile(t *testing.T, name string) *jsonschema.Schema {
	t.Helper()
	return schematest.Compile(t, name, read(t, name))
}

func validate(t *testing.T, s *jsonschema.Schema, data []byte) error {
	t.Helper()
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	require.NoError(t, err)
	return s.Validate(value)
}

// TestOutput holds against the schemas what is printed and sent.
func TestOutput(t *testing.T) {
	at := time.Date(2026, 11, 27, 12, 0, 0, 1, time.UTC)
	s := compile(t, "status")
	golden, err := os.ReadFile("../picture/testdata/status.json")
	require.NoError(t, err)
	require.NoError(t, validate(t, s, golden))
	empty := picture.Status{Schema: picture.StatusSchema, At: at, Hosts: []wire.Heartbeat{}, Hubs: []wire.HubState{}, Accounts: []wire.AccountState{}}
	full := empty
	full.Hosts = []wire.Heartbeat{{Behind: at, LastEvent: at, Problem: "x"}}
	full.Hubs = []wire.HubState{{Problem: "x"}}
	full.Accounts = []wire.AccountState{{Snapshot: "x", Work: wire.Work{CA: "x", DeferredUntil: at, Swept: at, Next: at, Problem: "x"}}}
	for _, status := range []picture.Status{empty, full} {
		var document, line bytes.Buffer
		require.NoError(t, status.WriteJSON(&document))
		require.NoError(t, validate(t, s, document.Bytes()))
		require.NoError(t, status.WriteLine(&line))
		require.NoError(t, validate(t, s, line.Bytes()))
		require.JSONEq(t, document.String(), line.String())
		require.Equal(t, 1, strings.Count(line.String(), "\n"))
	}
	for name, values := range map[string][]any{
		"heartbeat": {wire.Heartbeat{Schema: wire.HeartbeatSchema}, wire.Heartbeat{Schema: wire.HeartbeatSchema, Behind: at, LastEvent: at, Problem: "x"}},
		"result": {wire.Result{Schema: wire.ResultSchema}, wire.Result{Schema: wire.ResultSchema, Identifier: "x", Wildcard: true, Before: "pending",
			After: "deactivated", Action: "defer", Reason: "x", At: at, Error: "x"}},
	} {
		for _, v := range values {
			data, err := json.Marshal(v)
			require.NoError(t, err)
			require.NoError(t, validate(t, compile(t, name), data))
		}
	}
}

// TestRefuses shows that the schema tells a changed form.
func TestRefuses(t *testing.T) {
	golden, err := os.ReadFile("../picture/testdata/status.json")
	require.NoError(t, err)
	for _, change := range [][2]string{
		{`status/1"`, `status/2"`}, {`"unread": 0`, `"unread": -1`}, {`"lag": 7`, `"lag": "7"`}, {`"leaked": 20`, `"leaked": 1.5`},
		{`"policy":`, `"polizei":`}, {`"at": "2026-11-27T12`, `"at": "2026-11-27 12`},
	} {
		require.Contains(t, string(golden), change[0])
		require.Error(t, validate(t, compile(t, "status"), []byte(strings.Replace(string(golden), change[0], change[1], 1))), change[1])
	}
}
