package logparse

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"
)

func gzipped(tb testing.TB, text string) string {
	tb.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, err := w.Write([]byte(text))
	require.NoError(tb, err)
	require.NoError(tb, w.Close())
	return b.String()
}

func zstded(tb testing.TB, text string) string {
	tb.Helper()
	w, err := zstd.NewWriter(nil)
	require.NoError(tb, err)
	return string(w.EncodeAll([]byte(text), nil))
}

func TestDecompressor(t *testing.T) {
	const a, b = "first line\n", "second line\n"
	long := strings.Repeat("a line that is longer than the others\n", 20_000)
	for _, test := range []struct{ name, data, want string }{
		{"empty", "", ""},
		{"plain", a + b, a + b},
		{"short", "\x1f", "\x1f"},
		{"long", long, long},
		{"gzip", gzipped(t, a), a},
		{"gzip, empty", gzipped(t, ""), ""},
		{"gzip, several members", gzipped(t, a) + gzipped(t, "") + gzipped(t, b), a + b},
		{"gzip, then plain", gzipped(t, a) + b, a + b},
		{"plain, then gzip", a + gzipped(t, b), a + b},
		{"long, gzip, long, gzip", long + gzipped(t, long) + long + gzipped(t, b), long + long + long + b},
		{"plain, then gzip of nothing", a + gzipped(t, "") + gzipped(t, "") + b, a + b},
		{"zstd", zstded(t, a), a},
		{"zstd, several frames", zstded(t, a) + zstded(t, long), a + long},
		{"not at the start of a line", "a" + gzipped(t, b), "a" + gzipped(t, b)},
		{"not gzip", a + "\x1f\x8b\x07\n\x1f\n\x1f\x8b" + a, a + "\x1f\x8b\x07\n\x1f\n\x1f\x8b" + a},
		{"nearly gzip at the end", a + "\x1f\x8b", a + "\x1f\x8b"},
	} {
		t.Run(test.name, func(t *testing.T) {
			for name, r := range map[string]io.Reader{
				"whole":      strings.NewReader(test.data),
				"one byte":   iotest.OneByteReader(strings.NewReader(test.data)),
				"data + err": iotest.DataErrReader(strings.NewReader(test.data)),
			} {
				d := newDecompressor(r)
				got, err := io.ReadAll(iotest.HalfReader(d))
				d.Close()
				require.NoError(t, err, name)
				require.True(t, test.want == string(got), "%s: %d bytes, want %d", name, len(got), len(test.want))
				require.Equal(t, int64(len(test.want)), d.offset, name)
			}
		})
	}
}

// TestDecompressorManyParts gives back a lot of what was read, again and again, in reads as large as a Scanner's.
func TestDecompressorManyParts(t *testing.T) {
	for _, size := range []int{2, 1000, 70_000} {
		plain := strings.Repeat("x", size-1) + "\n"
		n := 1_400_000/size + 1
		d := newDecompressor(strings.NewReader(strings.Repeat(plain+gzipped(t, "y\n"), min(n, 20_000))))
		got, err := io.ReadAll(bufio.NewReaderSize(d, bufferSize))
		require.NoError(t, err)
		require.True(t, strings.Repeat(plain+"y\n", min(n, 20_000)) == string(got), size)
	}
}

// TestURLsDamaged reads compressed logs that are cut off or damaged: what comes before is found.
func TestURLsDamaged(t *testing.T) {
	const first, last = "https://ca.example/acme/authz/1/2", "https://ca.example/acme/authz/1/3"
	var log strings.Builder
	log.WriteString(first + "\n")
	for i := range 50_000 {
		fmt.Fprintln(&log, i*i)
	}
	log.WriteString(last + "\n")
	gz, zst := gzipped(t, log.String()), zstded(t, log.String())
	flipped := []byte(gz)
	flipped[len(flipped)-8] ^= 1
	for _, test := range []struct {
		name, data string
		want       []string
		err        error // nil: any
	}{
		{"gzip, cut", gz[:len(gz)/2], []string{first}, io.ErrUnexpectedEOF},
		{"gzip, cut in the trailer", gz[:len(gz)-4], []string{first, last}, io.ErrUnexpectedEOF},
		{"gzip, cut in the header", gz[:5], nil, io.ErrUnexpectedEOF},
		{"gzip, wrong checksum", string(flipped), []string{first, last}, gzip.ErrChecksum},
		{"zstd, cut", zst[:len(zst)/2], []string{first}, io.ErrUnexpectedEOF},
		{"zstd, then something else", zst + "text", []string{first, last}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := collect(URLs(strings.NewReader(test.data)))
			require.Equal(t, test.want, got)
			var e *ReadError
			require.ErrorAs(t, err, &e)
			if test.err != nil {
				require.ErrorIs(t, err, test.err)
			}
			require.Empty(t, e.Name)
			require.LessOrEqual(t, e.Offset, int64(log.Len()))
			if len(test.want) == 2 {
				require.Equal(t, int64(log.Len()), e.Offset)
			}
		})
	}
}
