//go:build unix

package main

import (
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/acmeauthz/acmeauthz/examples/fleet/wire"
	"github.com/creack/pty"
	"github.com/stretchr/testify/require"
)

// A terminal runs fleet status on a pseudo-terminal.
type terminal struct {
	t      *testing.T
	cmd    *exec.Cmd
	master *os.File

	mu      sync.Mutex
	printed strings.Builder
	ended   chan struct{} // closed when all has been read
}

func (b *statusBench) onTerminal(columns, rows uint16, env []string, args ...string) *terminal {
	b.t.Helper()
	self, err := os.Executable()
	require.NoError(b.t, err)
	x := &terminal{t: b.t, cmd: exec.CommandContext(b.t.Context(), self, append([]string{"status", "--nats", "nats://" + b.listen}, args...)...), ended: make(chan struct{})}
	x.cmd.Env = append(append(os.Environ(), "FLEET_CHILD=1", "NO_COLOR=", "TERM=xterm-256color"), env...)
	x.master, err = pty.StartWithSize(x.cmd, &pty.Winsize{Rows: rows, Cols: columns})
	require.NoError(b.t, err)
	b.t.Cleanup(func() { x.master.Close() })
	go func() {
		defer close(x.ended)
		buffer := make([]byte, 4096)
		for {
			n, err := x.master.Read(buffer) // an error when the program has ended
			x.mu.Lock()
			x.printed.Write(buffer[:n])
			x.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	return x
}

func (x *terminal) text() string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.printed.String()
}

// until waits for a frame that is as it should be, and was drawn after the ones that are there.
func (x *terminal) until(what string, ok func(frame string) bool) {
	x.t.Helper()
	seen := strings.Count(x.text(), "\x1b[H")
	require.Eventually(x.t, func() bool {
		frames := strings.Split(x.text(), "\x1b[H")
		whole := frames[:len(frames)-1]
		return slices.ContainsFunc(whole[min(seen+1, len(whole)):], ok)
	}, 20*time.Second, 20*time.Millisecond, "%s: %v", what, lazy(func() string { return x.text()[max(0, len(x.text())-2000):] }))
}

// A lazy text is made when it is printed.
type lazy func() string

func (l lazy) String() string { return l() }

// end waits for the program, and returns its exit code.
func (x *terminal) end() int {
	x.t.Helper()
	<-x.ended
	_ = x.cmd.Wait()
	return x.cmd.ProcessState.ExitCode()
}

// TestStatusColours has colours on a terminal only, where nobody objects.
func TestStatusColours(t *testing.T) {
	b := newStatusBench(t)
	b.well()
	for _, test := range []struct {
		env     string
		colours bool
	}{{"TERM=xterm", true}, {"NO_COLOR=1", false}, {"TERM=dumb", false}} {
		x := b.onTerminal(80, 24, []string{test.env})
		require.Zero(t, x.end())
		require.Contains(t, x.text(), "3 of 3 authorizations are leaked")
		require.Equal(t, test.colours, strings.Contains(x.text(), "\x1b[31m3 of 3"), x.text())
		require.Equal(t, test.colours, strings.Contains(x.text(), "\x1b"))
	}
}

// TestWatchTerminal draws in place, in a window that changes, while the server goes and comes; Ctrl-C leaves the terminal as
// it was.
func TestWatchTerminal(t *testing.T) {
	b := newStatusBench(t)
	b.well()
	for _, name := range []string{"web02", "web03", "web04", "web05", "web06", "web07", "web08", "web09", "web10", "web11"} {
		b.put(wire.HostBucket, name, wire.Heartbeat{Host: name, Seen: time.Now()})
	}
	x := b.onTerminal(80, 24, nil, "--watch", "--interval", "50ms")
	lines := func(frame string) int { return strings.Count(frame, "\r\n") + 1 }
	x.until("a status", func(f string) bool { return strings.Contains(f, "3 of 3") && lines(f) <= 24 })
	require.True(t, strings.HasPrefix(x.text(), "\x1b[?1049h"))
	require.NoError(t, pty.Setsize(x.master, &pty.Winsize{Rows: 60, Cols: 80}))
	x.until("all of it", func(f string) bool { return strings.Contains(f, "web11") && !strings.Contains(f, "more") })
	require.NoError(t, pty.Setsize(x.master, &pty.Winsize{Rows: 8, Cols: 40}))
	x.until("less of it", func(f string) bool {
		for line := range strings.SplitSeq(escapes.ReplaceAllString(f, ""), "\r\n") {
			if len([]rune(line)) > 40 {
				return false
			}
		}
		return lines(f) <= 8 && strings.Contains(f, "more lines do not fit into the window")
	})
	require.NoError(t, pty.Setsize(x.master, &pty.Winsize{Rows: 24, Cols: 80}))
	b.server.Close()
	x.until("that the server is away, and what was", func(f string) bool {
		return strings.Contains(f, "No new status since ") && strings.Contains(f, "3 of 3") && lines(f) <= 24
	})
	b.start()
	x.until("that it is back", func(f string) bool { return !strings.Contains(f, "No new status") && strings.Contains(f, "3 of 3") })
	_, err := x.master.Write([]byte{3})
	require.NoError(t, err)
	require.Zero(t, x.end(), x.text())
	require.True(t, strings.HasSuffix(x.text(), "\x1b[?7h\x1b[?25h\x1b[?1049l"), x.text()[max(0, len(x.text())-200):])
	require.NotContains(t, x.text(), "level=", "the log would be written across it")
}

// TestWatchTerm ends when it is told to; a terminal that cannot move its cursor gets one status after the other.
func TestWatchTerm(t *testing.T) {
	b := newStatusBench(t)
	b.well()
	x := b.onTerminal(80, 24, []string{"TERM=dumb"}, "--watch", "--interval", "50ms")
	require.Eventually(t, func() bool { return strings.Count(x.text(), "\r\n\r\n3 of 3") > 1 }, 20*time.Second, 20*time.Millisecond)
	require.NoError(t, x.cmd.Process.Signal(syscall.SIGTERM))
	require.Zero(t, x.end(), x.text())
	require.NotContains(t, x.text(), "\x1b")
}

var escapes = regexp.MustCompile("\x1b\\[[0-9]*[mKJ]")
