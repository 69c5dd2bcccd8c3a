package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestSpans has a span for every request of the run, below the caller's own.
func TestSpans(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, run(t.Context(), &out))
	require.Equal(t, 2, strings.Count(out.String(), "pending -> deactivated\n"))
	require.GreaterOrEqual(t, strings.Count(out.String(), "  span HTTP POST\n"), 4, out.String()) // two reads, two deactivations
	require.Contains(t, out.String(), "  span HTTP GET\n")                                        // the directory
}
