package account

import (
	"bytes"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
)

// files makes a file system of names and contents: "key:NAME" is the content of
// testdata/keys/NAME, "-> NAME" a link.
func files(t testing.TB, contents map[string]string) fstest.MapFS {
	t.Helper()
	fsys := fstest.MapFS{}
	for name, content := range contents {
		file := &fstest.MapFile{Data: []byte(content), Mode: 0o600}
		if len(content) > 4 && content[:4] == "key:" {
			data, err := os.ReadFile(path.Join("testdata/keys", content[4:]))
			require.NoError(t, err)
			file.Data = data
		}
		if len(content) > 3 && content[:3] == "-> " {
			file = &fstest.MapFile{Data: []byte(content[3:]), Mode: fs.ModeSymlink | 0o777}
		}
		fsys[name] = file
	}
	return fsys
}

// A readerTest is a row of a client's table: a directory, and what describe says
// of what is read there.
type readerTest struct {
	files map[string]string
	want  string
}

func testReader(t *testing.T, read func(fs.FS) ([]*Account, error), tests map[string]readerTest) {
	t.Helper()
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			accounts, err := read(files(t, test.files))
			requireFaults(t, err)
			require.Equal(t, test.want, describe(accounts, err))
		})
	}
}

// The thumbprints of keys in testdata/keys.
const (
	p256    = "_GiLgrzQPieEYMK_XZP_Q4uE56Dc2GqU4e0yoYOQfEY" // p256-parameters-sec1.pem
	p384    = "lFhIPLJ_1IauMWg99HxfBT_WHLrbwJcFX9BjHY2QMkc" // p384-sec1.pem
	p521    = "ssPSvnNtiQnHIaSsT-iEsfJk0_jXzlAcPxmoUnEXlqc" // p521-pkcs8.pem
	rsa2048 = "8GofLBQn7QJgfQMrpLB7QqaFROmHrBwGrTyRKyrGZ_Y" // rsa2048-pkcs1.pem
)

// TestReadersOnDisk meets what a file system in memory does not have: links that
// form loops, and a pipe.
func TestReadersOnDisk(t *testing.T) {
	dir := t.TempDir()
	account := filepath.Join(dir, "accounts/ca.example/you")
	require.NoError(t, os.MkdirAll(account, 0o700))
	require.NoError(t, os.Symlink("b.key", filepath.Join(account, "a.key")))
	require.NoError(t, os.Symlink("a.key", filepath.Join(account, "b.key")))
	require.NoError(t, os.Symlink("..", filepath.Join(dir, "accounts/ca.example/up")))
	require.NoError(t, os.WriteFile(filepath.Join(account, "account.json"), bytes.Repeat([]byte(" "), maxFile+1), 0o600))
	accounts, err := Lego(os.DirFS(dir))
	require.Empty(t, accounts)
	require.Equal(t, "error: account: accounts/ca.example/you/account.json: larger than 1 MiB\n", describe(accounts, err))
}

// base64DER is the content of a PEM block in base64.
func base64DER(t testing.TB, data []byte) string {
	t.Helper()
	block, _ := pem.Decode(data)
	require.NotNil(t, block)
	return base64.StdEncoding.EncodeToString(block.Bytes)
}

// TestReadersManyFiles has a directory full of files that may be anything.
func TestReadersManyFiles(t *testing.T) {
	contents := map[string]string{}
	for i := range maxParsed + 1 {
		contents[fmt.Sprintf("%03d.json", i)] = "{}"
	}
	accounts, err := Traefik(files(t, contents))
	require.Empty(t, accounts)
	require.EqualError(t, err, "account: .: more than 200 files that may hold accounts; name the one that does")
}
