//go:build unix

package main

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/acmeauthz/acmeauthz/internal/fakeca"
	"github.com/creack/pty"
	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/acme"
)

// A terminal is a pseudo-terminal, and all that was printed on it.
type terminal struct {
	master, tty *os.File
	printed     bytes.Buffer
	read        chan struct{} // closed when all has been read
}

func newTerminal(t *testing.T, columns uint16) *terminal {
	t.Helper()
	master, tty, err := pty.Open()
	require.NoError(t, err)
	require.NoError(t, pty.Setsize(master, &pty.Winsize{Rows: 50, Cols: columns}))
	x := &terminal{master: master, tty: tty, read: make(chan struct{})}
	go func() {
		defer close(x.read)
		_, _ = io.Copy(&x.printed, master) // ends with an error when the other end is closed
	}()
	t.Cleanup(func() { _ = master.Close() })
	return x
}

// text is what was printed, with escape characters that can be seen.
func (x *terminal) text(t *testing.T) string {
	t.Helper()
	require.NoError(t, x.tty.Close())
	<-x.read
	return strings.NewReplacer("\r\n", "\n", "\x1b", "␛", "\r", "␍").Replace(x.printed.String())
}

// onTerminal runs the program with its output on a terminal.
func (b *bench) onTerminal(columns uint16, args ...string) (printed string, code int) {
	b.t.Helper()
	x := newTerminal(b.t, columns)
	p := b.program(x.tty, x.tty)
	code = p.run(b.t.Context(), append([]string{"clear-authz"}, args...))
	return x.text(b.t), code
}

// TestTerminal has colours, and tables that use the width, where somebody looks; none where nobody wants them.
func TestTerminal(t *testing.T) {
	colour := regexp.MustCompile(`␛\[[0-9]+m`)
	for name, test := range map[string]struct {
		columns uint16
		env     map[string]string
		colours bool
	}{
		"terminal-80":       {columns: 80, env: map[string]string{"TERM": "xterm-256color"}, colours: true},
		"terminal-132":      {columns: 132, env: map[string]string{"TERM": "xterm-256color"}, colours: true},
		"terminal-no-color": {columns: 80, env: map[string]string{"TERM": "xterm-256color", "NO_COLOR": "1"}},
		"terminal-dumb":     {columns: 80, env: map[string]string{"TERM": "dumb"}},
	} {
		t.Run(name, func(t *testing.T) {
			b := leaked(t, fakeca.Config{})
			for _, scenario := range []string{"rate-limited", "five-names-one-fails"} {
				copyTree(t, filepath.Join("../../logparse/testdata/certbot", scenario, "logs/letsencrypt"), b.path("fleet", scenario, "letsencrypt"))
			}
			b.env = test.env
			goldens, err := filepath.Abs("testdata/golden")
			require.NoError(t, err)
			t.Chdir(b.dir) // where lines end does not depend on where tests run
			leaks, code := b.onTerminal(test.columns, "leaks", "fleet")
			require.Equal(t, exitOK, code)
			plan, code := b.onTerminal(test.columns, "plan", "-q", b.path("logs"))
			require.Equal(t, exitOK, code)
			require.Equal(t, test.colours, colour.MatchString(leaks))
			compareGolden(t, filepath.Join(goldens, name+".txt"), b.stable(leaks+plan))
			for line := range strings.Lines(colour.ReplaceAllString(leaks+plan, "")) {
				require.LessOrEqual(t, len([]rune(strings.TrimSuffix(line, "\n"))), int(test.columns), line)
			}
		})
	}
}

// TestProgressBar looks at the bar while a CA takes its time: how many, how fast, until when; and that it goes away.
func TestProgressBar(t *testing.T) {
	b := leaked(t, fakeca.Config{Intercept: func(*fakeca.Request) *fakeca.Answer {
		time.Sleep(60 * time.Millisecond) // the bar is not drawn more often than ten times a second
		return nil
	}})
	b.write("logs/letsencrypt.log", certbotLog(b.leak(strings.Fields("a.example b.example c.example d.example e.example f.example")...)...))
	began := time.Now()
	b.now = recordedAt
	x := newTerminal(t, 80)
	p := b.program(x.tty, x.tty)
	p.now = func() time.Time { return recordedAt.Add(time.Since(began)) }
	require.Equal(t, exitOK, p.run(t.Context(), []string{"clear-authz", "--parallel", "1", b.path("logs")}))
	text := x.text(t)
	frame := regexp.MustCompile(`␍authorizations, ends about 00:00:\d\d +\d+% \|[█ ]{16}\| \((\d)/6, [\d.]+ /(s|min|hr)\)`)
	frames := frame.FindAllStringSubmatch(text, -1)
	require.NotEmpty(t, frames, text)
	table := text[strings.LastIndex(text, "␍")+len("␍"):]
	require.Contains(t, table, "a.example   pending  deactivated", "the bar is gone when the table comes")
	require.NotContains(t, table, "%")
	require.Contains(t, table, "6 found, 6 pending, 6 cleared, 0 failed\n")
}

// TestCtrlCOnTerminal types it.
func TestCtrlCOnTerminal(t *testing.T) {
	arrived, release := make(chan struct{}, 10), make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		arrived <- struct{}{}
		<-release
	}))
	defer server.Close()
	defer close(release)
	b := newBench(t, fakeca.Config{})
	client := b.ca.Client()
	client.DirectoryURL, client.KID = server.URL+"/directory", acme.KeyID(server.URL+"/acme/acct/1")
	b.account(client, "35ce4c316f2f2d644994ea438682dbe5")
	b.write("logs/letsencrypt.log", certbotLog(server.URL+"/acme/authz/1/2"))

	cmd := asProgram(t, "--server", server.URL+"/directory", "--config-dir", b.path("letsencrypt"), b.path("logs"))
	cmd.Env = append(os.Environ(), "TERM=xterm")
	master, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 50, Cols: 200})
	require.NoError(t, err)
	defer master.Close()
	<-arrived
	_, err = master.Write([]byte{3})
	require.NoError(t, err)
	printed, _ := io.ReadAll(master) // ends with an error when the program has
	require.Error(t, cmd.Wait())
	require.Equal(t, exitFailed, cmd.ProcessState.ExitCode(), string(printed))
	text := oneLine(strings.ReplaceAll(string(printed), "\r\n", "\n"))
	require.Contains(t, text, "clear-authz: interrupted")
	require.Contains(t, text, "To go on: "+cmd.Path+" --server "+server.URL+"/directory")
}
