package logparse

import (
	"bufio"
	"bytes"
	"encoding/binary"
	encodinghex "encoding/hex"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf16"

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

// What the bzip2 tool makes of nothing and of two lines; the library only decompresses.
var (
	bzip2Nothing = unhexed("425a683917724538509000000000")
	bzip2First   = unhexed("425a68393141592653599aac3ce8000001d1800010400003251c002000220189" +
		"a10030b6b112a39f8bb9229c28484d561e7400")
	bzip2Second = unhexed("425a6839314159265359384060c6000005d180001040000e2588002000220341" +
		"ea100304a358ec00f177245385090384060c60")
)

func unhexed(s string) string {
	b, err := encodinghex.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// utf16ed returns text in UTF-16, with a byte order mark.
func utf16ed(order binary.AppendByteOrder, text string) string {
	var b []byte
	for _, unit := range utf16.Encode([]rune("\ufeff" + text)) {
		b = order.AppendUint16(b, unit)
	}
	return string(b)
}

func TestDecompressor(t *testing.T) {
	little, big := binary.LittleEndian, binary.BigEndian
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
		{"bzip2", bzip2First, a},
		{"bzip2, empty", bzip2Nothing, ""},
		{"bzip2, several streams", bzip2First + bzip2Nothing + bzip2Second, a + b},
		{"bzip2, then plain", bzip2First + b, a + b},
		{"bzip2, then gzip, then bzip2", bzip2First + gzipped(t, long) + bzip2Second, a + long + b},
		{"bzip2, then plain, then gzip", bzip2First + b + gzipped(t, a), a + b + a},
		{"not bzip2", "BZh9 is " + a, "BZh9 is " + a},
		{"not bzip2 either", "BZh01AY&SY" + a, "BZh01AY&SY" + a},
		{"nearly bzip2", bzip2First[:7], bzip2First[:7]},
		{"bzip2 after plain text is not looked for", a + bzip2Second, a + bzip2Second},
		{"UTF-8 mark", "\ufeff" + a, a},
		{"UTF-8 mark alone", "\ufeff", ""},
		{"UTF-8 mark later", a + "\ufeff" + b, a + "\ufeff" + b},
		{"UTF-8 mark after gzip", gzipped(t, a) + "\ufeff" + b, a + "\ufeff" + b},
		{"UTF-8 mark, then gzip", "\ufeff" + a + gzipped(t, b), a + b},
		{"UTF-16LE", utf16ed(little, a+b), a + b},
		{"UTF-16BE", utf16ed(big, a+b), a + b},
		{"UTF-16, long", utf16ed(little, long), long},
		{"UTF-16, mark alone", utf16ed(little, ""), ""},
		{"UTF-16, beyond 16 bits", utf16ed(big, "a\U0001f512é€z"), "a\U0001f512é€z"},
		{"UTF-16, cut in a unit", utf16ed(little, a) + "x", a + "\ufffd"},
		{"UTF-16, cut in a pair", utf16ed(little, a) + "\x3d\xd8", a + "\ufffd"},
		{"UTF-16, high then other", utf16ed(little, a) + "\x3d\xd8x\x00", a + "\ufffdx"},
		{"UTF-16, high twice", utf16ed(little, a) + "\x3d\xd8\x3d\xd8\x12\xdd", a + "\ufffd\U0001f512"},
		{"UTF-16, low alone", utf16ed(little, a) + "\x12\xddx\x00", a + "\ufffdx"},
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
		{"bzip2, cut", bzip2First[:len(bzip2First)-6], nil, io.ErrUnexpectedEOF},
		{"bzip2, damaged", bzip2First[:20] + "x" + bzip2First[21:], nil, nil},
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

// TestURLsUTF16Early reads from a pipe that stays open: in UTF-16, too, a URL comes with the character after it.
func TestURLsUTF16Early(t *testing.T) {
	r, w := io.Pipe()
	defer r.Close()
	go w.Write([]byte(utf16ed(binary.LittleEndian, url("1")+"\r\n")))
	for got, err := range URLs(r) {
		require.NoError(t, err)
		require.Equal(t, url("1"), got)
		return
	}
	t.Fatal("the sequence ended")
}
