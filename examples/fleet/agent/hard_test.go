package agent

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/acmeauthz/acmeauthz/logparse"
	"github.com/stretchr/testify/require"
)

// lines are n lines of lego, with an authorization each, from the first one's number on.
func lines(first, n int) []byte {
	var b bytes.Buffer
	for i := first; i < first+n; i++ {
		at := time.Date(2026, 11, 20, 10, 0, 0, 0, time.UTC).Add(time.Duration(i) * time.Minute)
		fmt.Fprintf(&b, "%s [INFO] [h%d.example] AuthURL: %s\n", at.Format("2006/01/02 15:04:05"), i, authorization(i))
	}
	return b.Bytes()
}

func authorization(i int) string {
	return fmt.Sprintf("https://acme-v02.api.letsencrypt.org/acme/authz/12345/%d", 100000+i)
}

// urls are the authorizations that a History has.
func urls(h *logparse.History) (all []string) {
	for _, l := range h.Lives() {
		all = append(all, l.URL)
	}
	slices.Sort(all)
	return all
}

// authorizations are those of n lines.
func authorizations(n int) (all []string) {
	for i := range n {
		all = append(all, authorization(i))
	}
	slices.Sort(all)
	return all
}

// TestSpoolDamage sends what is well in the spool, whatever became of the rest, and counts right.
func TestSpoolDamage(t *testing.T) {
	for name, c := range map[string]struct {
		change  func(path string) error
		problem string
		aside   int
		waiting int // shards
		sent    int
	}{
		"removed":    {os.Remove, "1 shards were lost in the spool", 0, 0, 2},
		"cut":        {func(path string) error { return os.Truncate(path, 10) }, "1 shards were lost in the spool", 1, 0, 2},
		"empty":      {func(path string) error { return os.Truncate(path, 0) }, "1 shards were lost in the spool", 1, 0, 2},
		"unreadable": {func(path string) error { return errors.Join(os.Rename(path, path+"~"), os.Mkdir(path, 0o700)) }, "1 shards cannot be sent now", 0, 1, 2},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t)
			h.start()
			for i := range 3 {
				h.write(lines(i, 1))
				h.turn(time.Second)
			}
			s := h.agent.spool
			require.Len(t, s.files, 3)
			middle := s.path(s.files[1])
			size := s.files[1].size
			require.NoError(t, c.change(middle))
			h.drain()
			require.Equal(t, c.sent, h.server.messages)
			require.EqualValues(t, c.waiting*int(size), s.waiting())
			h.agent.note()
			require.Contains(t, h.agent.state.Problem, c.problem)
			kept, err := os.ReadDir(s.refused)
			require.NoError(t, err)
			require.Len(t, kept, c.aside)
			if c.waiting == 0 {
				return
			}
			require.NoError(t, os.Remove(middle))
			require.NoError(t, os.Rename(middle+"~", middle))
			s.again()
			h.drain()
			require.Equal(t, authorizations(3), urls(&h.server.h))
			require.Zero(t, s.waiting())
			h.agent.note()
			require.Empty(t, h.agent.state.Problem)
		})
	}
}

// TestRefusedAll loses nothing when the server refuses everything, as it does with wrong permissions.
func TestRefusedAll(t *testing.T) {
	h := newHost(t)
	h.start()
	const n = maxRefused + 5
	for i := range n {
		h.agent.collect.add(newLog(h.agent, "x"), []logparse.Event{{
			Kind: logparse.AuthorizationSeen, Place: logparse.Place{File: "web01:x", Line: 1}, Authorization: &logparse.Authorization{URL: authorization(i)},
		}})
		require.NoError(t, h.agent.flush())
	}
	h.server.fail = func(string) error { return permanentError{} }
	h.drain()
	require.Len(t, h.agent.spool.later, 5)
	require.Positive(t, h.agent.spool.waiting())
	require.ErrorContains(t, h.agent.Once(t.Context(), h.server), "were not sent")
	kept, err := os.ReadDir(h.agent.spool.refused)
	require.NoError(t, err)
	require.Len(t, kept, maxRefused)

	h.server.fail = nil
	h.start() // a person has put the permissions right, and what was aside back
	h.agent.note()
	require.Contains(t, h.agent.state.Problem, "100 shards that could not be sent are in "+h.agent.spool.refused)
	for _, f := range kept {
		require.NoError(t, os.Rename(filepath.Join(h.agent.spool.refused, f.Name()), filepath.Join(h.agent.spool.dir, f.Name())))
	}
	h.start()
	require.NoError(t, h.agent.Once(t.Context(), h.server))
	require.Equal(t, authorizations(n), urls(&h.server.h))
	require.Zero(t, h.agent.spool.waiting())
}
