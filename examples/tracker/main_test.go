package main

import (
	"strings"
	"testing"

	"github.com/go-acme/lego/v5/challenge"
	"github.com/stretchr/testify/require"

	"github.com/acmeauthz/acmeauthz/authz/solver"
)

// Any DNS provider of lego's can answer for a solver.DNS01.
var _ solver.Provider = challenge.Provider(nil)

func TestTracker(t *testing.T) {
	var out strings.Builder
	require.NoError(t, run(t.Context(), &out))
	require.Equal(t, `LIBRARY         LEFT PENDING WITHOUT WITH A TRACKER
x/crypto/acme   3                    0
lego            3                    0
acmez           3                    0
`, out.String())
}
