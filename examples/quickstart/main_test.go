package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/acmeauthz/acmeauthz/account"
	"github.com/stretchr/testify/require"
)

// TestQuickstart plays once, with one Pebble, and looks at the log that the
// client wrote, at all that is printed, and at the CA's database.
func TestQuickstart(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var out bytes.Buffer
	s, err := setStage(ctx, &out)
	require.NoError(t, err)
	defer s.close()
	pending, total, err := s.pending()
	require.NoError(t, err)
	require.Equal(t, []int{7, 7}, []int{pending, total})
	checkLog(t, s)

	require.NoError(t, play(ctx, s, &out), out.String())
	want, err := os.ReadFile("testdata/output.txt")
	require.NoError(t, err)
	require.Equal(t, string(want), stable(out.String()))
	pending, total, err = s.pending()
	require.NoError(t, err)
	require.Equal(t, []int{0, 7}, []int{pending, total})

	// What no log mentions stays pending, and the CA's database tells.
	accounts, err := account.Certbot(os.DirFS(s.configDir))
	require.NoError(t, err)
	client := accounts[0].Client()
	client.HTTPClient = s.ca.HTTPClient()
	require.NoError(t, order(ctx, client, []string{"late.example.org"}))
	require.EqualError(t, play(ctx, s, &out), "1 of 8 authorizations are still pending in the CA's own database")
}

// stable takes out what differs from run to run: the port, the account's random
// name, the temporary directory, and the order of the names, since Pebble
// shuffles the authorizations of an order.
func stable(s string) string {
	for _, change := range [][2]string{
		{`localhost:\d+`, "localhost:PORT"},
		{`(my-account/)[0-9a-f]+`, "${1}ACCOUNT"},
		{`(/dir/)[0-9a-f]{32}`, "${1}KEY"},
		{`(?m)^\S*quickstart-\d+\.$`, "DIR."},
		{`(?m)^  \S+\.example\.org +`, "  NAME  "},
	} {
		s = regexp.MustCompile(change[0]).ReplaceAllString(s, change[1])
	}
	return s
}

// checkLog checks that the log has the shapes that were recorded from Certbot
// 2.1.0.
func checkLog(t *testing.T, s *stage) {
	log, err := os.ReadFile(filepath.Join(s.logDir, "letsencrypt.log"))
	require.NoError(t, err)
	for _, shape := range []string{
		`^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}:DEBUG:acme\.client:Sending GET request to https://localhost:\d+/dir\.$`,
		`^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}:DEBUG:acme\.client:JWS payload:\nb'\{\\n  "identifiers": \[\\n    \{\\n      "type": "dns",\\n`,
		`^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}:DEBUG:acme\.client:JWS payload:\nb''$`,
		`^\S+ \S+:DEBUG:acme\.client:Sending POST request to https://localhost:\d+/authZ/[A-Za-z0-9_-]{43}:\n\{\n  "protected": "[A-Za-z0-9_-]+",\n  "signature": "[A-Za-z0-9_-]+",\n  "payload": ""\n\}$`,
		`^\S+ \S+:DEBUG:urllib3\.connectionpool:https://localhost:\d+ "POST /authZ/[A-Za-z0-9_-]{43} HTTP/1\.1" 200 \d+$`,
		`^\S+ \S+:DEBUG:acme\.client:Received response:\nHTTP 201\n(?:[A-Z][A-Za-z-]+: .*\n)+\n\{\n   "status": "pending",\n(?:   .*\n)*   "authorizations": \[\n`,
	} {
		require.Regexp(t, "(?m)"+shape, string(log))
	}
	require.NotContains(t, string(log), "\r")
	require.Equal(t, 7, strings.Count(string(log), `"POST /authZ/`))
}
