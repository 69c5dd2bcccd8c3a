package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/acmeauthz/acmeauthz/examples/fleet/hub"
	"github.com/stretchr/testify/require"
)

// documents are all that people read here, by path.
func documents(t *testing.T) map[string]string {
	t.Helper()
	all := make(map[string]string)
	require.NoError(t, filepath.WalkDir(".", func(path string, _ fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, ".md") {
			var text []byte
			text, err = os.ReadFile(path)
			all[path] = string(text)
		}
		return err
	}))
	require.Greater(t, len(all), 5)
	return all
}

// TestLinks has no link that leads nowhere.
func TestLinks(t *testing.T) {
	for path, text := range documents(t) {
		for _, link := range regexp.MustCompile(`\]\(([^)#]+)(#[^)]*)?\)`).FindAllStringSubmatch(text, -1) {
			if !strings.Contains(link[1], "://") {
				_, err := os.Stat(filepath.Join(filepath.Dir(path), link[1]))
				require.NoError(t, err, path)
			}
		}
	}
}

// TestNamedTests has all tests that the documents name.
func TestNamedTests(t *testing.T) {
	var code strings.Builder
	require.NoError(t, filepath.WalkDir(".", func(path string, _ fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, "_test.go") {
			var text []byte
			text, err = os.ReadFile(path)
			code.Write(text)
		}
		return err
	}))
	named := 0
	for path, text := range documents(t) {
		for _, name := range regexp.MustCompile("`(Test[A-Z][A-Za-z]+)`").FindAllStringSubmatch(text, -1) {
			require.Contains(t, code.String(), "func "+name[1]+"(t *testing.T)", path)
			named++
		}
	}
	require.Greater(t, named, 10)
}

// TestNamedFlags has all flags of the program that the documents name.
func TestNamedFlags(t *testing.T) {
	known := map[string]bool{"help": true, "version": true}
	for _, command := range new(program).commands() {
		for _, flag := range command.Flags {
			for _, name := range flag.Names() {
				known[name] = true
			}
		}
	}
	for path, text := range documents(t) {
		for _, flag := range regexp.MustCompile("`--([a-z][a-z-]+)").FindAllStringSubmatch(text, -1) {
			require.True(t, known[flag[1]], "%s: --%s", path, flag[1])
		}
	}
}

// TestPolicies reads the policies of README.md.
func TestPolicies(t *testing.T) {
	block := regexp.MustCompile("(?s)```json\n(.*?)```").FindStringSubmatch(documents(t)["README.md"])
	require.NotNil(t, block)
	policies, err := hub.ReadPolicies(strings.NewReader(block[1]))
	require.NoError(t, err)
	require.Len(t, policies, 3)
}
