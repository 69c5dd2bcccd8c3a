//go:build unix

package main

import (
	"encoding/json"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/acmeauthz/acmeauthz/account"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"
)

// A codeBlock is a fenced block of a document.
type codeBlock struct {
	language, text string
}

var fenced = regexp.MustCompile("(?ms)^```([a-z]*)\n(.*?)^```$")

func blocksOf(t *testing.T, file string) (all []codeBlock) {
	t.Helper()
	data, err := os.ReadFile(file)
	require.NoError(t, err)
	for _, match := range fenced.FindAllStringSubmatch(string(data), -1) {
		all = append(all, codeBlock{match[1], match[2]})
	}
	require.NotEmpty(t, all, file)
	return all
}

// TestDocuments runs everything in the README and the guides that can be run: on
// a stage that looks like the machine they speak of, with the leaks of the
// quickstart.
func TestDocuments(t *testing.T) {
	guides, err := filepath.Glob("../guides/*.md")
	require.NoError(t, err)
	require.Len(t, guides, 7)
	for _, file := range append(guides, "../../README.md") {
		t.Run(filepath.Base(file), func(t *testing.T) {
			g := newGuide(t)
			for _, block := range blocksOf(t, file) {
				switch block.language {
				case "sh":
					g.shell(block.text)
				case "go":
					g.program(block.text)
				case "json":
					value, err := jsonschema.UnmarshalJSON(strings.NewReader(block.text))
					require.NoError(t, err, block.text)
					require.NoError(t, compileSchema(t, "authorization").Validate(value))
				case "text", "": // what is printed, or read
				default:
					t.Errorf("nobody runs %s", block.language)
				}
			}
			g.patch()
		})
	}
}

// A guide is a document that is followed.
type guide struct {
	*stage
	directory string // the CA's
	files     map[string]string
}

func newGuide(t *testing.T) *guide {
	g := &guide{stage: newStage(t), files: map[string]string{}}
	hosts, err := filepath.Glob(filepath.Join(g.dir, "etc/letsencrypt/accounts/*"))
	require.NoError(t, err)
	g.directory = "https://" + filepath.Base(hosts[0]) + "/dir"
	// What people have on their machines.
	log := filepath.Join(g.dir, "var/log/letsencrypt/letsencrypt.log")
	for name, script := range map[string]string{
		"sudo":       `exec "$@"`,
		"journalctl": "cat " + log,
		"docker":     "cat " + log,
		"kubectl":    "case $* in *orders*) cat " + log + ";; *) cat " + g.certManager() + ";; esac",
	} {
		require.NoError(t, os.WriteFile(filepath.Join(g.bin, name), []byte("#!/bin/sh\n"+script+"\n"), 0o700))
	}
	require.NoError(t, os.MkdirAll(filepath.Join(g.dir, "fleet/web01"), 0o700))
	require.NoError(t, os.MkdirAll(filepath.Join(g.dir, "var/www/html"), 0o700))
	data, err := os.ReadFile(log)
	require.NoError(t, err)
	for _, name := range []string{"letsencrypt.log", "letsencrypt.log.1", "fleet/web01/letsencrypt.log"} {
		require.NoError(t, os.WriteFile(filepath.Join(g.dir, name), data, 0o600))
	}
	require.NoError(t, exec.Command("gzip", filepath.Join(g.dir, "letsencrypt.log.1")).Run())
	return g
}

// certManager is a file with the account as cert-manager's resources.
func (g *guide) certManager() string {
	all, err := account.Certbot(os.DirFS(filepath.Join(g.dir, "etc/letsencrypt")))
	require.NoError(g.t, err)
	require.Len(g.t, all, 1)
	list := map[string]any{"apiVersion": "v1", "kind": "List", "items": []any{
		map[string]any{
			"apiVersion": "cert-manager.io/v1", "kind": "ClusterIssuer", "metadata": map[string]any{"name": "letsencrypt"},
			"spec":   map[string]any{"acme": map[string]any{"server": all[0].Directory, "privateKeySecretRef": map[string]any{"name": "letsencrypt-account"}}},
			"status": map[string]any{"acme": map[string]any{"uri": all[0].URL}},
		},
		map[string]any{
			"apiVersion": "v1", "kind": "Secret", "metadata": map[string]any{"name": "letsencrypt-account", "namespace": "cert-manager"},
			"data": map[string]any{"tls.key": []byte(pemKey(g.t, all[0].Key))},
		},
	}}
	data, err := json.Marshal(list)
	require.NoError(g.t, err)
	file := filepath.Join(g.bin, "cert-manager.json")
	require.NoError(g.t, os.WriteFile(file, data, 0o600))
	return file
}

// here is a text for the stage: paths and the CA are those there.
func (g *guide) here(text string) string {
	for _, path := range []string{"/var/log/letsencrypt", "/etc/letsencrypt", "/var/www/html"} {
		text = strings.ReplaceAll(text, path, g.dir+path)
	}
	return strings.ReplaceAll(text, "https://acme-v02.api.letsencrypt.org/directory", g.directory)
}

// shell runs a block, a line at a time unless it has a document within it.
func (g *guide) shell(text string) {
	g.t.Helper()
	lines := []string{text}
	if !strings.Contains(text, "<<") {
		lines = strings.Split(strings.TrimSpace(text), "\n")
	}
	root, err := filepath.Abs("../..")
	require.NoError(g.t, err)
	for _, line := range lines {
		command := g.here(line)
		switch {
		case strings.HasPrefix(line, "go install "):
			command = "cd " + root + " && GOBIN=" + g.t.TempDir() + " " + strings.Replace(strings.TrimSuffix(strings.Fields(line)[2], "@latest"), "github.com/acmeauthz/acmeauthz", "go install .", 1)
		case strings.HasPrefix(line, "go test "):
			continue // this is one of them
		case strings.HasPrefix(line, "go run "), strings.HasPrefix(line, "cd examples"):
			command = "cd " + root + " && " + line
		}
		out, code := g.run(command)
		require.Equal(g.t, exitOK, code, line+"\n"+out)
	}
}

// program runs a Go program, or keeps a file that the document tells to write.
func (g *guide) program(text string) {
	g.t.Helper()
	first, rest, _ := strings.Cut(text, "\n")
	if path, ok := strings.CutPrefix(first, "// "); ok {
		path, _, _ = strings.Cut(path, ":")
		g.files[path] = rest
		return
	}
	require.True(g.t, strings.HasPrefix(text, "package main\n"), text)
	dir, err := os.MkdirTemp(".", "testdata-guide-")
	require.NoError(g.t, err)
	defer os.RemoveAll(dir)
	require.NoError(g.t, os.WriteFile(filepath.Join(dir, "main.go"), []byte(g.here(text)), 0o600))
	cmd := exec.Command("go", "run", "./"+dir)
	cmd.Env = g.env()
	out, err := cmd.CombinedOutput()
	require.NoError(g.t, err, string(out))
	formatted, err := exec.Command("gofmt", "-l", dir).Output()
	require.NoError(g.t, err)
	require.Empty(g.t, string(formatted), text)
}

// patch adds the files to a copy of the module, and tests the packages that have them.
func (g *guide) patch() {
	g.t.Helper()
	if len(g.files) == 0 {
		return
	}
	root := g.t.TempDir()
	for _, name := range []string{"go.mod", "go.sum", "logparse"} {
		require.NoError(g.t, copyAll("../../"+name, filepath.Join(root, name)))
	}
	for path, text := range g.files {
		file := filepath.Join(root, filepath.FromSlash(path))
		if path == "logparse/clients.go" {
			known, err := os.ReadFile(file)
			require.NoError(g.t, err)
			text = strings.Replace(string(known), "var clients = []client{\n", "var clients = []client{\n"+text, 1)
		}
		require.NoError(g.t, os.WriteFile(file, []byte(text), 0o600))
	}
	cmd := exec.Command("go", "test", "-run", "TestPetrel", "-v", "./logparse")
	cmd.Dir = root
	out, err := cmd.CombinedOutput()
	require.NoError(g.t, err, string(out))
	require.Contains(g.t, string(out), "--- PASS: TestPetrel")
}

// copyAll copies a file, or a directory without its test data.
func copyAll(from, to string) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		target := filepath.Join(to, name)
		if d.IsDir() {
			if d.Name() == "testdata" {
				return fs.SkipDir
			}
			return os.MkdirAll(target, 0o700)
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(target, data, 0o600)
	})
}
