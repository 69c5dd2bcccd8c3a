package realca

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// caddyfile needs the directory, the http port and the https port.
const caddyfile = `{
	admin off
	skip_install_trust
	auto_https disable_redirects
	default_bind 127.0.0.1
	storage file_system %[1]q
	http_port %[2]d
	https_port %[3]d
	servers {
		protocols h1 h2
	}
}
localhost:%[3]d {
	tls internal
	acme_server
}
`

// Caddy runs the program caddy (2.6 or later, package caddy in Debian) with an acme_server, which is step-ca's code with
// Caddy's storage. Its internal issuer makes the root.
func Caddy(t testing.TB) *CA {
	t.Helper()
	program := findProgram(t, "caddy", "", "REQUIRE_CADDY", "apt-get install caddy")
	return run(t, program, func(directory string) (*CA, string, []string) {
		port := freePort(t)
		config := filepath.Join(directory, "Caddyfile")
		text := fmt.Sprintf(caddyfile, filepath.Join(directory, "storage"), freePort(t), port)
		require.NoError(t, os.WriteFile(config, []byte(text), 0o600))
		ca := newCA(port, "/acme/local/directory")
		ca.ValidationPort = 80
		root := filepath.Join(directory, "storage", "pki", "authorities", "local", "root.crt")
		return ca, root, []string{"run", "--config", config, "--adapter", "caddyfile"}
	})
}
