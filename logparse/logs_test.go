package logparse

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A logTest is a log and the events in it, as formatEvent writes them.
type logTest struct {
	name      string
	log, want []string
}

// testLogs reads logs in UTC+1.
func testLogs(t *testing.T, tests []logTest) {
	t.Helper()
	x := Reader{Location: time.FixedZone("", 3600), Now: time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC)}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := formatted(x.Events(strings.NewReader(strings.Join(test.log, "\n") + "\n")))
			require.NoError(t, err)
			require.Equal(t, test.want, got)
		})
	}
}
