package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTracker(t *testing.T) {
	var out strings.Builder
	require.NoError(t, run(t.Context(), &out))
	require.Equal(t, `LIBRARY         LEFT PENDING WITHOUT WITH A TRACKER
x/crypto/acme   3                    0
lego            3                    0
acmez           3                    0
`, out.String())
}
