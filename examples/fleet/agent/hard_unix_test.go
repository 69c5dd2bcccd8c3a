//go:build unix

package agent

import (
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestPipe does not wait for the other end of a pipe that has come in the place of a log after it was looked at.
func TestPipe(t *testing.T) {
	h := newHost(t)
	h.write(lines(0, 1))
	require.NoError(t, os.Remove(h.log))
	require.NoError(t, syscall.Mkfifo(h.log, 0o600))
	done := make(chan error, 1)
	go func() {
		_, _, _, err := readHead(h.log)
		done <- err
	}()
	select {
	case err := <-done:
		require.ErrorIs(t, err, errNotRegular)
	case <-time.After(5 * time.Second):
		t.Fatal("it waits")
	}
	h.start()
	h.turn(time.Second)
	require.Contains(t, h.agent.state.Problem, h.log+": it is no regular file")
}
