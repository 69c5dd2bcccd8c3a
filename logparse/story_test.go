package logparse

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"path"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"
)

// A fleet writes the logs of many hosts that share an account, as Certbot writes them: what the users of the tool of 2018
// had. Each host asks for a certificate for all of its names; when one fails, its wrapper drops that name and asks for the
// others at once, which leaves the authorizations of the order before pending; until the CA refuses.
type fleet struct {
	names   int // of a host, at first
	retries int // before the CA refuses
	now     time.Time
	next    int // number of the next authorization
	buf     bytes.Buffer
}

const fleetAccount = "https://acme-v02.api.letsencrypt.org/acme/acct/31"

// logs returns the logs of n hosts, by name of the file.
func (f *fleet) logs(hosts ...string) fstest.MapFS {
	fsys := fstest.MapFS{}
	for _, host := range hosts {
		f.buf.Reset()
		for i := range f.retries {
			f.run(host, f.names-i)
		}
		f.refused(host, f.names-f.retries)
		fsys[host+"/letsencrypt.log"] = &fstest.MapFile{Data: bytes.Clone(f.buf.Bytes())}
	}
	return fsys
}

// fleetNames returns the first n names of a host.
func fleetNames(host string, n int) (names []string) {
	for i := range n {
		names = append(names, fmt.Sprintf("shop%02d.%s.example", i, host))
	}
	return names
}

// record writes the first line of a record, and what follows it.
func (f *fleet) record(level, logger, message string, more ...string) {
	f.now = f.now.Add(7 * time.Millisecond)
	fmt.Fprintf(&f.buf, "%s:%s:%s:%s\n", f.now.Format("2006-01-02 15:04:05,000"), level, logger, message)
	for _, line := range more {
		fmt.Fprintln(&f.buf, line)
	}
}

func (f *fleet) start(names []string) {
	f.now = f.now.Add(time.Minute)
	f.record("DEBUG", "certbot.main", "certbot version: 0.22.2")
	args := []string{"'--webroot'"}
	for _, n := range names {
		args = append(args, "'-d'", "'"+n+"'")
	}
	f.record("DEBUG", "certbot.main", "Arguments: ["+strings.Join(args, ", ")+"]")
}

// post writes a request and its answer.
func (f *fleet) post(url, payload string, status int, headers, body string) {
	f.record("DEBUG", "acme.client", "JWS payload:", payload)
	protected := base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, `{"alg": "RS256", "kid": "%s", "nonce": "%d", "url": "%s"}`, fleetAccount, f.next, url))
	f.record("DEBUG", "acme.client", "Sending POST request to "+url+":", "{", `  "protected": "`+protected+`", `, `  "signature": "c2lnbmF0dXJl", `, `  "payload": ""`, "}")
	f.record("DEBUG", "acme.client", "Received response:", fmt.Sprintf("HTTP %d", status),
		"Date: "+f.now.Format("Mon, 02 Jan 2006 15:04:05 GMT")+headers, "", body)
}

// run asks for names, the last of which fails, and gives up.
func (f *fleet) run(host string, n int) {
	names := fleetNames(host, n)
	f.start(names)
	first := f.next
	var ids, urls []string
	for _, name := range names {
		ids = append(ids, fmt.Sprintf(`{"type": "dns", "value": "%s"}`, name))
		urls = append(urls, fmt.Sprintf(`"https://acme-v02.api.letsencrypt.org/acme/authz/%d"`, 70_000_000+f.next))
		f.next++
	}
	f.post("https://acme-v02.api.letsencrypt.org/acme/new-order", "", 201,
		fmt.Sprintf("\nLocation: https://acme-v02.api.letsencrypt.org/acme/order/31/%d", first),
		fmt.Sprintf(`{"status": "pending", "expires": "2018-07-01T00:00:00Z", "identifiers": [%s], "authorizations": [%s]}`,
			strings.Join(ids, ", "), strings.Join(urls, ", ")))
	for i, name := range names {
		f.authorization(first+i, name, "pending", "")
	}
	failed := len(names) - 1
	f.authorization(first+failed, names[failed], "invalid",
		`, "error": {"type": "urn:ietf:params:acme:error:unauthorized", "detail": "Invalid response: 404", "status": 403}`)
	f.record("DEBUG", "certbot.log", "Exiting abnormally:", "Traceback (most recent call last):",
		"certbot.errors.FailedChallenges: Failed authorization procedure. "+names[failed]+" (http-01)")
}

// authorization asks for an authorization.
func (f *fleet) authorization(n int, name, status, problem string) {
	f.post(fmt.Sprintf("https://acme-v02.api.letsencrypt.org/acme/authz/%d", 70_000_000+n), "", 200, "",
		fmt.Sprintf(`{"status": "%s", "identifier": {"type": "dns", "value": "%s"}, "expires": "2018-07-01T00:00:00Z", "challenges": [{"type": "http-01", "status": "%s"%s}]}`,
			status, name, status, problem))
}

// refused asks for names once more.
func (f *fleet) refused(host string, n int) {
	f.start(fleetNames(host, n))
	f.post("https://acme-v02.api.letsencrypt.org/acme/new-order", "", 429, "\nRetry-After: 3600",
		`{"type": "urn:ietf:params:acme:error:rateLimited", "detail": "Error creating new order :: too many currently pending authorizations", "status": 429}`)
	f.record("DEBUG", "certbot.log", "Exiting abnormally:", "Traceback (most recent call last):",
		"acme.messages.Error: urn:ietf:params:acme:error:rateLimited :: There were too many requests of a given type")
}

// TestStory is what happened to the users of the tool of 2018: a fleet asks for 100 names, 99, 98, … until the CA refuses.
// The history names the domains that failed, the cause and the runs.
func TestStory(t *testing.T) {
	f := fleet{names: 100, retries: 10, now: time.Date(2018, 6, 24, 0, 0, 0, 0, time.UTC)}
	x := Reader{Location: time.UTC, Host: path.Dir}
	h := History{At: time.Date(2018, 6, 24, 12, 0, 0, 0, time.UTC)}
	for e, err := range x.FileEvents(f.logs("web01", "web02", "web03"), "*/letsencrypt.log*") {
		require.NoError(t, err)
		h.Add(e)
	}

	sum := h.Summary()
	const perHost = 99 + 98 + 97 + 96 + 95 + 94 + 93 + 92 + 91 + 90
	require.Equal(t, map[Verdict]int{Leaked: 3 * perHost, Invalid: 3 * 10}, sum.Verdicts)
	require.Equal(t, map[Cause]int{CauseSibling: 3 * perHost}, sum.Causes)
	require.Zero(t, sum.Unrecognized)

	blamed := map[string]int{}
	for _, l := range h.Leaks() {
		require.Equal(t, fleetAccount, l.Account)
		require.Len(t, l.Evidence, 2-oneIf(l.Run.Authorizations == 91)) // the CA refused the order after the last
		blamed[l.Host+" "+l.Blame.Value]++
	}
	require.Len(t, blamed, 3*10)
	require.Equal(t, 99, blamed["web01 shop99.web01.example"])
	require.Equal(t, 90, blamed["web03 shop90.web03.example"])

	runs := h.Runs()
	require.Len(t, runs, 3*11)
	first, last := runs[0], runs[10]
	require.Equal(t, "web01/letsencrypt.log:1", first.Place.String())
	require.Equal(t, 99, first.Leaks)
	require.Equal(t, CauseSibling, first.Cause)
	require.Equal(t, "0.22.2", first.Version)
	require.True(t, strings.HasPrefix(first.Command, "--webroot -d shop00.web01.example -d shop01.web01.example"))
	require.Equal(t, "certbot.errors.FailedChallenges: Failed authorization procedure. shop99.web01.example (http-01)", first.Message)
	require.Zero(t, last.Authorizations)
	require.Contains(t, last.Message, "rateLimited")

	leak := h.Leaks()[0]
	require.Equal(t, []Evidence{
		{Place{"web01/letsencrypt.log", 1325, leak.Evidence[0].Offset}, "shop99.web01.example is invalid: unauthorized: Invalid response: 404"},
		{Place{"web01/letsencrypt.log", 1343, leak.Evidence[1].Offset}, "then asked for 99 names"},
	}, leak.Evidence)
	domains := h.Groups(ByDomain)
	require.Len(t, domains, 3)
	require.Equal(t, "web01.example", domains[0].Key)
	require.Equal(t, perHost, domains[0].Leaks())
}

func oneIf(b bool) int {
	if b {
		return 1
	}
	return 0
}
