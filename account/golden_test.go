package account

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write the golden files anew")

// recorded are the directories that clients left behind, below testdata/<client>,
// each with the directory in a scenario that the client's reader takes. What is
// found in them is in accounts.golden beside it.
var recorded = map[string]struct {
	dir  string
	read func(fs.FS) ([]*Account, error)
}{
	"lego":         {"lego", Lego},
	"acme.sh":      {"acme.sh", AcmeSh},
	"dehydrated":   {"dehydrated", Dehydrated},
	"caddy":        {"caddy", Caddy},
	"traefik":      {"traefik", Traefik},
	"mod_md":       {"md", ModMD},
	"autocert":     {"certs", Autocert},
	"acmetool":     {"acme", Acmetool},
	"uacme":        {"uacme", Uacme},
	"lacme":        {".", Lacme},
	"cert-manager": {".", CertManager},
	"acme-tiny":    {".", AcmeTiny},
}

// TestRecorded reads every directory that was recorded of a client. A signature
// made with a key verifies, with the key that the server registered where the
// client stored that; URL and directory are those that the server's records have.
func TestRecorded(t *testing.T) {
	for client, how := range recorded {
		scenarios, err := os.ReadDir(filepath.Join("testdata", client))
		require.NoError(t, err)
		require.NotEmpty(t, scenarios)
		for _, scenario := range scenarios {
			name := filepath.Join(client, scenario.Name())
			t.Run(name, func(t *testing.T) {
				accounts, err := how.read(os.DirFS(filepath.Join(restore(t, name), how.dir)))
				for _, a := range accounts {
					requireSigns(t, a.Key)
				}
				requireGolden(t, filepath.Join("testdata", name, "accounts.golden"), describe(accounts, err))
			})
		}
	}
}

func requireGolden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		require.NoError(t, os.WriteFile(file, []byte(got), 0o600))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, string(want), got)
}

// describe writes accounts and faults as golden files have them.
func describe(accounts []*Account, err error) string {
	var b strings.Builder
	line := func(name, value string) {
		if value != "" {
			fmt.Fprintf(&b, "  %-11s %s\n", name, value)
		}
	}
	for _, a := range accounts {
		b.WriteString(a.Path + "\n")
		line("stored by", a.StoredBy)
		line("key", a.KeyType()+" "+a.Thumbprint())
		line("url", a.URL)
		line("directory", a.Directory)
		line("environment", strings.TrimSpace(string(a.Environment())+" "+a.CA()))
		line("contact", strings.Join(a.Contact, " "))
		if !a.CreatedAt.IsZero() {
			line("created", a.CreatedAt.UTC().Format(time.RFC3339))
		}
		line("mode", fmt.Sprintf("%04o", a.Mode))
		for _, p := range a.Problems() {
			line("problem", string(p))
		}
	}
	for _, err := range split(err) {
		b.WriteString("error: " + err.Error() + "\n")
	}
	return b.String()
}

// split returns the errors that are joined in one.
func split(err error) []error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return joined.Unwrap()
	}
	if err != nil {
		return []error{err}
	}
	return nil
}

// requireFaults requires that each joined error is a FileError.
func requireFaults(t *testing.T, err error) {
	t.Helper()
	for _, err := range split(err) {
		_, ok := errors.AsType[*FileError](err)
		require.True(t, ok, "%T", err)
	}
}
