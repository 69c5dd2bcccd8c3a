package logparse

import (
	"bytes"
	"io/fs"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

// BenchmarkEvents reads events from Certbot's logs, as Certbot writes them and repeated.
func BenchmarkEvents(b *testing.B) {
	log := repeatedLog(b, 32<<20)
	b.SetBytes(int64(len(log)))
	b.ReportAllocs()
	var n int
	for b.Loop() {
		n = 0
		for _, err := range Events(bytes.NewReader(log)) {
			require.NoError(b, err)
			n++
		}
	}
	b.ReportMetric(float64(n), "events/op")
}

// repeatedLog returns at least size bytes of recorded logs.
func repeatedLog(t testing.TB, size int) []byte {
	t.Helper()
	fsys := os.DirFS("testdata/certbot")
	names, err := fs.Glob(fsys, "*/logs/letsencrypt/letsencrypt.log")
	require.NoError(t, err)
	var one []byte
	for _, name := range names {
		data, err := fs.ReadFile(fsys, name)
		require.NoError(t, err)
		one = append(one, data...)
	}
	require.NotEmpty(t, one)
	return bytes.Repeat(one, size/len(one)+1)
}
