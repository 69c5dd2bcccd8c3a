package logparse

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path"
	"runtime"
	"strings"
	"testing"
	"testing/fstest"
	"testing/iotest"

	"github.com/stretchr/testify/require"
)

// inBlocks is Files for logs in memory, in blocks of the given sizes.
func inBlocks(logs [][]byte, size, tail int) iter.Seq2[string, error] {
	return openedInBlocks(len(logs), func(i int) io.Reader { return bytes.NewReader(logs[i]) }, size, tail)
}

func openedInBlocks(n int, open func(int) io.Reader, size, tail int) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		names := make([]string, n)
		next := 0
		opened := func(string) (io.ReadCloser, error) {
			next++
			return io.NopCloser(open(next - 1)), nil
		}
		new(reporter).readParallel(newCrew(names, opened, 3, size, tail), 3, yield)
	}
}

// oneByOne is the same with a single Scanner.
func oneByOne(logs [][]byte) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		var p reporter
		for _, log := range logs {
			if !p.read("", bytes.NewReader(log), yield) {
				return
			}
		}
	}
}

// checkBlocks checks that logs have the same URLs, in the same order, and the same error, in blocks and as a whole.
func checkBlocks(t *testing.T, logs [][]byte, size, tail int) {
	t.Helper()
	want, wantErr := collect(oneByOne(logs))
	got, err := collect(inBlocks(logs, size, tail))
	require.Equal(t, want, got)
	require.Equal(t, wantErr, err)
}

// TestBlocks has texts whose parts depend on one another, with line ends between them.
func TestBlocks(t *testing.T) {
	const a, b = "https://ca.example/a/1", "https://ca.example/a/2"
	for name, text := range map[string]string{
		"array over lines":       "x\n\"authorizations\": [\n    \"" + a + "\",\n    \"" + b + "\"\n  ],\nx\n",
		"array over blank lines": "x\n\"authorizations\":[\n\n\n\"" + a + "\"\n\n,\n\n\"" + b + "\"\nx\n",
		"array in Python":        "x\n'authorizations': [\n'" + a + "',\n'" + b + "']\nx\n",
		"key over lines":         "x\n\"authorizations\"\n:\n[\n\"" + a + "\"]\nx\n",
		"escaped newlines":       "x\n\\\"authorizations\\\": [\n\\n\\\"" + a + "\\\",\n\\r\\n\\\"" + b + "\\\"]\nx\n",
		"array that ends":        "x\n\"authorizations\": [\nx\n\"" + a + "\"\n",
		"no element":             "x\n\"authorizations\": [\n{\n\"" + a + "\"\n",
		"cut at the end":         url("12345") + "\nx\nx\nx\nx\nx\nx\nx\nx\n" + url("12"),
		"cut after other URLs":   url("12345") + "\nx\nx\n" + "https://x/authZ/" + id43 + "\nx\nx\nx\nx\n" + url("12"),
		"not cut at the end":     url("12345") + "\nx\nx\nx\nx\nx\nx\nx\nx\n" + url("12") + "\n",
		"request line":           "x\nhttps://ca.example:443\n\"POST /acme/authz/1/2 HTTP/1.1\"\nhttps://ca.example:443 \"POST /acme/authz/1/3 HTTP/1.1\"\n",
		"over lines":             "https://ca.example\n/acme/authz/1/2\nhttps://ca.example/acme/authz/1/\n2\n",
		"nowhere to cut":         strings.Repeat(" \""+url("1")+"\"\n", 20) + strings.Repeat("x", 100) + "\n" + url("2"),
		"question mark":          url("1") + "?\n" + url("2") + "?\nx",
		"ellipsis":               url("1") + "\xe2\n" + url("2") + "…\n" + url("3") + "\xe2\x80",
	} {
		t.Run(name, func(t *testing.T) {
			for size := 1; size < 40; size++ {
				for _, tail := range []int{1, 10, 100, 1000} {
					checkBlocks(t, [][]byte{[]byte(text)}, size, tail)
				}
			}
		})
	}
}

// TestBlocksEverything has all texts of the tables, as one log and as many.
func TestBlocksEverything(t *testing.T) {
	text := everything()
	var lines [][]byte
	for line := range bytes.Lines(text) {
		lines = append(lines, line)
	}
	for _, size := range []int{1, 2, 3, 50, 1000, len(text) - 1, len(text), len(text) + 1} {
		checkBlocks(t, [][]byte{text}, size, 2000)
		checkBlocks(t, [][]byte{text}, size, 20)
		checkBlocks(t, lines, size, 2000)
	}
}

// TestBlocksCorpus has every recorded log, in blocks of several sizes, and all of them in one sequence.
func TestBlocksCorpus(t *testing.T) {
	var logs [][]byte
	require.NoError(t, fs.WalkDir(os.DirFS("testdata"), ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || !strings.Contains(name, "/logs/") {
			return err
		}
		data, err := os.ReadFile(path.Join("testdata", name))
		logs = append(logs, data)
		return err
	}))
	require.Greater(t, len(logs), 60)
	for _, log := range logs {
		for _, size := range []int{300, 4000} {
			checkBlocks(t, [][]byte{log}, size, 3000)
		}
	}
	checkBlocks(t, logs, 10_000, 5000)
}

// TestBlocksSplit checks where texts are cut.
func TestBlocksSplit(t *testing.T) {
	for _, test := range []struct {
		text string
		tail int
		want int
	}{
		{"", 9, 0}, {"x", 9, 0}, {"x\n", 9, 0}, {"\n", 9, 0}, {"x\nx", 9, 2}, {"x\nx\nx", 9, 4}, {"x\nx\n x", 9, 2},
		{"x\nx\n\"x", 9, 2}, {"x\nx\n\\x", 9, 2}, {"x\nx\n'x", 9, 2}, {"x\nx\n,", 9, 2}, {"x\nx\n:", 9, 2}, {"x\nx\n[", 9, 2},
		{"x\nx\n\r\n", 9, 2}, {"x\nx\n\t", 9, 2}, {"x\n{", 9, 2}, {"x\n]", 9, 2}, {"\n2", 9, 1},
		{"x\nx12345678", 9, 0}, {"x\nx1234567", 9, 2},
	} {
		require.Equal(t, test.want, lastSplit([]byte(test.text), test.tail), "%q", test.text)
	}
}

// TestBlocksFailure has a reader fail at every place.
func TestBlocksFailure(t *testing.T) {
	failure := errors.New("failure")
	text := "x\n" + url("1") + "\n" + url("23") + " \n{\"authorizations\": [\n\"https://ca.example/a\"\n"
	for i := range len(text) {
		failing := func(int) io.Reader {
			return io.MultiReader(strings.NewReader(text[:i]), iotest.ErrReader(failure))
		}
		var want []string
		new(reporter).read("", failing(0), func(url string, err error) bool {
			if err == nil {
				want = append(want, url)
			}
			return true
		})
		for _, size := range []int{1, 5, 40, 1000} {
			got, err := collect(openedInBlocks(2, failing, size, 30))
			require.Equal(t, want, got, "%d", i)
			require.Equal(t, &ReadError{Offset: int64(i), Err: failure}, err)
		}
	}
}

// A countedReader counts goroutines of which it is read at once, and reads.
type countedReader struct {
	io.Reader
	reading, reads int
}

func (r *countedReader) Read(b []byte) (int, error) {
	if r.reading++; r.reading > 1 {
		panic("read by two at once")
	}
	r.reads++
	defer func() { r.reading-- }()
	return r.Reader.Read(b)
}

// TestBlocksBreak ends the ranging at every URL. The goroutines have ended by then.
func TestBlocksBreak(t *testing.T) {
	var log bytes.Buffer
	for i := range 50 {
		fmt.Fprintln(&log, url(fmt.Sprint(i)))
	}
	log.WriteString(strings.Repeat(" "+url("1")+"\n", 10)) // nowhere to cut
	for i := range 60 {
		fmt.Fprintln(&log, url(fmt.Sprint(100+i)))
	}
	for stop := range 110 {
		before := runtime.NumGoroutine()
		r := &countedReader{Reader: bytes.NewReader(log.Bytes())}
		n := 0
		for u, err := range openedInBlocks(1, func(int) io.Reader { return r }, 100, 60) {
			require.NoError(t, err)
			if want := url(fmt.Sprint(n)); n < 50 {
				require.Equal(t, want, u)
			}
			if n == stop {
				break
			}
			n++
		}
		require.Equal(t, stop, n)
		require.Equal(t, 0, r.reading)
		reads := r.reads
		for i := 0; runtime.NumGoroutine() > before; i++ {
			require.Less(t, i, 1_000_000)
			runtime.Gosched() // a goroutine that is done is counted until it is gone
		}
		require.Equal(t, reads, r.reads)
	}
}

// TestURLsPipe reads where the ranging is, whatever the number of cores: a break does not wait for a Read.
func TestURLsPipe(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(4))
	r, w, err := os.Pipe()
	require.NoError(t, err)
	defer r.Close()
	defer w.Close()
	fmt.Fprintln(w, url("1"))
	for got, err := range URLs(r) {
		require.NoError(t, err)
		require.Equal(t, url("1"), got)
		break
	}
}

// TestURLsFile reads a file that is larger than a block, and what is left of one that was read in part.
func TestURLsFile(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(4))
	log, err := io.ReadAll(newCertbotLog(t, 5*blockSize))
	require.NoError(t, err)
	name := path.Join(t.TempDir(), "log")
	require.NoError(t, os.WriteFile(name, log, 0o600))
	f, err := os.Open(name)
	require.NoError(t, err)
	defer f.Close()
	require.True(t, isSteady(f))
	for _, start := range []int64{0, 2 * blockSize} {
		_, err := f.Seek(start, io.SeekStart)
		require.NoError(t, err)
		want, err := collect(oneByOne([][]byte{log[start:]}))
		require.NoError(t, err)
		require.Greater(t, len(want), 300)
		got, err := collect(URLs(f))
		require.NoError(t, err)
		require.Equal(t, want, got)
		end, err := f.Seek(0, io.SeekCurrent)
		require.NoError(t, err)
		require.EqualValues(t, len(log), end, "all was read")
	}
}

// TestFilesMany has files of all kinds in one sequence, some with a URL that only the one before makes look cut off.
func TestFilesMany(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(4))
	fsys := fstest.MapFS{}
	var want []string
	for i := range 200 {
		n := fmt.Sprint(999_999 - 4997*i)
		want = append(want, url(n))
		text := strings.Repeat("x\n", i*100) + url(n)
		if i%3 == 0 {
			text = gzipped(t, text)
		}
		fsys[fmt.Sprintf("%03d.log", i)] = &fstest.MapFile{Data: []byte(text)}
	}
	got, err := collect(Files(fsys, "*"))
	require.NoError(t, err)
	require.Equal(t, want, got)
}
