package logparse

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestTables reads small logs that no client left here, for shapes that the recorded ones
// do not have: other failures, logs that are cut, names side by side. The events of each
// are in testdata/tables, a file for each client.
func TestTables(t *testing.T) {
	for client, table := range tables() {
		t.Run(client, func(t *testing.T) {
			var got strings.Builder
			for _, name := range slices.Sorted(maps.Keys(table)) {
				events, err := formatted(fixed.Events(strings.NewReader(table[name])))
				require.NoError(t, err)
				checkNothingLost(t, []byte(table[name]))
				fmt.Fprintf(&got, "# %s\n%s\n\n", name, strings.Join(events, "\n"))
			}
			file := filepath.Join("testdata/tables", client+".txt")
			if *update {
				require.NoError(t, os.WriteFile(file, []byte(got.String()), 0o600))
			}
			want, err := os.ReadFile(file)
			require.NoError(t, err)
			require.Equal(t, string(want), got.String())
		})
	}
}

// tableLogs are the logs of all tables, for fuzzing.
func tableLogs() (logs [][]byte) {
	all := tables()
	for _, client := range slices.Sorted(maps.Keys(all)) {
		for _, name := range slices.Sorted(maps.Keys(all[client])) {
			logs = append(logs, bytes.Clone([]byte(all[client][name])))
		}
	}
	return logs
}

func tables() map[string]map[string]string {
	return map[string]map[string]string{
		"caddy": caddyTable(), "lego-5": legoSlogTable(), "traefik": traefikTable(), "lego-4": legoTable(),
		"mod_md": modMDTable(), "autocert": autocertTable(), "node": nodeTable(), "documents": documentTable(),
	}
}

// join makes a log of lines.
func join(lines ...string) string { return strings.Join(lines, "\n") + "\n" }

func caddyTable() map[string]string {
	line := func(seconds int, level, logger, message, more string) string {
		return fmt.Sprintf(`{"level":%q,"ts":%d.5,"logger":%q,"msg":%q%s}`, level, 1795468400+seconds, logger, message, more)
	}
	start := `{"level":"info","ts":1795468400.1,"msg":"using config from file","file":"/etc/caddy/Caddyfile"}`
	early := func(n int, name string) string {
		return line(n, "info", "tls.obtain", "obtaining certificate", `,"identifier":"`+name+`"`)
	}
	obtain := func(n int, name string) string {
		return join(early(n, name)) + line(n, "info", "http", "waiting on internal rate limiter", `,"identifiers":["`+name+`"],"ca":"https://ca.example/dir","account":"admin@example.com"`)
	}
	trying := func(n int, name, kind string) string {
		return line(n, "info", "http.acme_client", "trying to solve challenge", `,"identifier":"`+name+`","challenge_type":"`+kind+`","ca":"https://ca.example/dir"`)
	}
	refused := func(n int, name, text string) string {
		return line(n, "error", "tls.obtain", "could not get certificate from issuer", `,"identifier":"`+name+`","issuer":"ca.example-dir","error":"`+text+`"`)
	}
	retry := func(n int, name string) string {
		return line(n, "error", "tls.obtain", "will retry", `,"error":"[`+name+`] Obtain: …","attempt":1,"retrying_in":60,"elapsed":0.1,"max_duration":2592000`)
	}
	return map[string]string{
		"success at info": join(start, obtain(1, "a.example"), trying(2, "a.example", "http-01"),
			line(3, "info", "http.acme_client", "authorization finalized", `,"identifier":"a.example","authz_status":"valid"`),
			line(4, "info", "http.acme_client", "validations succeeded; finalizing order", `,"order":"https://ca.example/order/1"`),
			line(5, "info", "tls.obtain", "certificate obtained successfully", `,"identifier":"a.example"`),
			line(6, "info", "", "shutdown complete", `,"exit_code":0`)),
		"two at once, one fails": join(start, obtain(1, "a.example"), obtain(1, "b.example"), trying(2, "b.example", "tls-alpn-01"), trying(2, "a.example", "http-01"),
			line(3, "error", "http.acme_client", "challenge failed", `,"identifier":"b.example","challenge_type":"tls-alpn-01","problem":{"type":"urn:ietf:params:acme:error:connection","title":"","detail":"refused","instance":"","subproblems":null}`),
			line(3, "error", "http.acme_client", "validating authorization", `,"identifier":"b.example","problem":{"type":"urn:ietf:params:acme:error:connection","detail":"refused"},"order":"https://ca.example/order/2","attempt":1,"max_attempts":3`),
			line(4, "info", "http.acme_client", "authorization finalized", `,"identifier":"a.example","authz_status":"valid"`)),
		"rate limited": join(start, obtain(1, "a.example"),
			refused(2, "a.example", `HTTP 429 urn:ietf:params:acme:error:rateLimited - too many new orders recently, retry after 2026-11-23T22:00:00Z`), retry(3, "a.example")),
		"refused": join(start, obtain(1, "a.example"),
			refused(2, "a.example", `HTTP 400 urn:ietf:params:acme:error:rejectedIdentifier - Policy forbids issuing for name`), retry(3, "a.example")),
		"the DNS provider fails": join(start, obtain(1, "*.a.example"), trying(2, "*.a.example", "dns-01"),
			refused(3, "*.a.example", `[*.a.example] solving challenges: presenting for challenge: adding temporary record for zone \"a.example.\": 403 Forbidden (order=https://ca.example/order/3) (ca=https://ca.example/dir)`)),
		"the account is refused":       join(start, early(1, "a.example"), refused(2, "a.example", `registering account [mailto:a@example.com] with server: attempt 1: https://ca.example/acme/new-acct: HTTP 401 urn:ietf:params:acme:error:unauthorized - No key identifier in EAB`)),
		"the directory is not reached": join(start, early(1, "a.example"), refused(2, "a.example", `provisioning client: performing request: Get \"https://ca.example/dir\": dial tcp 192.0.2.1:443: connect: connection refused`)),
		"the network fails":            join(start, obtain(1, "a.example"), refused(2, "a.example", `provisioning client: performing request: Get \"https://ca.example/dir\": dial tcp 192.0.2.1:443: connect: connection refused`)),
		"from the middle":              join(trying(2, "a.example", "http-01"), line(3, "info", "http.acme_client", "authorization finalized", `,"identifier":"a.example","authz_status":"valid"`)),
		"a status of the future":       join(start, obtain(1, "a.example"), trying(2, "a.example", "http-01"), line(3, "info", "http.acme_client", "authorization finalized", `,"identifier":"a.example","authz_status":"dormant"`)),
		"cut":                          join(start, obtain(1, "a.example"), trying(2, "a.example", "http-01")) + `{"level":"info","ts":17954684`,
		"for people": join("2026/11/23 21:13:51.652\tINFO\tusing config from file\t{\"file\": \"/etc/caddy/Caddyfile\"}",
			"2026/11/23 21:13:52.652\tINFO\ttls.obtain\tobtaining certificate\t{\"identifier\": \"a.example\"}",
			"2026/11/23 21:13:52.910\tINFO\thttp.acme_client\ttrying to solve challenge\t{\"identifier\": \"a.example\", \"challenge_type\": \"http-01\", \"ca\": \"https://ca.example/dir\"}",
			"2026/11/23 21:13:52.910\tERROR\ttls.obtain\tcould not get certificate from issuer\t{\"identifier\": \"a.example\", \"error\": \"[a.example] solving challenge: no solvers available\"}"),
		"requests": join(start, obtain(1, "a.example"),
			line(2, "debug", "http.acme_client", "http request", `,"method":"POST","url":"https://ca.example/acme/new-order","response_headers":{"Location":["https://ca.example/acme/order/1/9"]},"status_code":201`),
			line(2, "debug", "http.acme_client", "http request", `,"method":"POST","url":"https://ca.example/acme/authz/1/2","response_headers":{},"status_code":200`),
			trying(3, "a.example", "http-01"),
			line(4, "debug", "http.acme_client", "http request", `,"method":"POST","url":"https://ca.example/acme/chall/1/2/x","response_headers":{"Link":["<https://ca.example/acme/authz/1/2>;rel=\"up\""]},"status_code":200`),
			line(5, "debug", "http.acme_client", "http request", `,"method":"POST","url":"https://ca.example/acme/authz/1/2","response_headers":{},"status_code":500`)),
	}
}

func legoSlogTable() map[string]string {
	line := func(n int, level, message, more string) string {
		return fmt.Sprintf("time=2026-11-23T21:09:%02d.446Z level=%s msg=%q%s", n, level, message, more)
	}
	obtain := line(1, "INFO", "Obtaining bundled SAN certificate.", ` domains="a.example, b.example"`)
	url := func(n int, name, id string) string {
		return line(n, "DEBUG", "Authorization", " url="+name+" authz=https://ca.example/acme/authz/1/"+id)
	}
	return map[string]string{
		"success": join(line(0, "INFO", "Registering the account.", " accountID=a@example.com"), obtain, url(2, "a.example", "1"), url(2, "b.example", "2"),
			line(3, "INFO", "Trying to solve HTTP-01.", " domain=a.example"), line(4, "INFO", "The server validated our request.", " domain=a.example"),
			line(5, "INFO", "authorization already valid; skipping challenge", " domain=b.example"),
			line(6, "INFO", "Server responded with a certificate.", " domain=a.example")),
		"killed": join(obtain, url(2, "a.example", "1"), url(2, "b.example", "2"), line(3, "INFO", "Trying to solve HTTP-01.", " domain=a.example")),
		"deactivation, and a refusal": join(obtain, url(2, "a.example", "1"), url(2, "b.example", "2"),
			line(3, "INFO", "Deactivating authorization.", " url=https://ca.example/acme/authz/1/1"),
			line(4, "INFO", "Deactivating authorization.", " url=https://ca.example/acme/authz/1/2"),
			line(4, "INFO", "Unable to deactivate the authorization.", " url=https://ca.example/acme/authz/1/2 error=x"),
			line(5, "INFO", "Skipping deactivating of valid authorization.", " url=https://ca.example/acme/authz/1/3")),
		"in JSON": join(`{"time":"2026-11-23T21:09:06.561Z","level":"INFO","msg":"Obtaining bundled SAN certificate.","domains":"a.example"}`,
			`{"time":"2026-11-23T21:09:06.661Z","level":"DEBUG","msg":"Authorization","url":"a.example","authz":"https://ca.example/acme/authz/1/1"}`,
			`{"time":"2026-11-23T21:09:07.561Z","level":"ERROR","msg":"could not obtain the certificate","error":"acme: error: 429 :: POST :: https://ca.example/acme/new-order :: urn:ietf:params:acme:error:rateLimited :: too many new orders"}`),
		"two runs": join(obtain, url(2, "a.example", "1"), obtain, url(9, "a.example", "4")),
	}
}

func traefikTable() map[string]string {
	line := func(n int, level, message, more string) string {
		return fmt.Sprintf("2026-11-23T21:27:%02dZ %s github.com/go-acme/lego/v5@v5.2.2/log/logger.go:33 > %s%s", n, level, message, more)
	}
	return map[string]string{
		"two orders at once": join(
			"2026-11-23T21:27:20Z INF github.com/traefik/traefik/v3/cmd/traefik/traefik.go:113 > Traefik version 3.2.0 built on x version=3.2.0",
			line(22, "INF", "Obtaining bundled SAN certificate.", " domains=a.example lib=lego"), line(22, "INF", "Obtaining bundled SAN certificate.", " domains=b.example lib=lego"),
			line(23, "DBG", "Authorization", " authz=https://ca.example/acme/authz/1/1 lib=lego url=a.example"), line(23, "DBG", "Authorization", " authz=https://ca.example/acme/authz/1/2 lib=lego url=b.example"),
			line(24, "INF", "The server validated our request.", " domain=b.example lib=lego")),
		"in JSON": join(
			`{"level":"info","time":"2026-11-23T21:27:22Z","lib":"lego","domains":"a.example","time":"2026-11-23T21:27:22Z","message":"Obtaining bundled SAN certificate."}`,
			`{"level":"info","time":"2026-11-23T21:27:23Z","lib":"lego","url":"https://ca.example/acme/authz/1/1","time":"2026-11-23T21:27:23Z","message":"Deactivating authorization."}`),
		"with lego 4 inside": join("2026-11-23T21:27:20Z INF github.com/traefik/traefik/v3/cmd/traefik/traefik.go:113 > Traefik version 3.2.0 built on x version=3.2.0",
			"2026-11-23T21:27:22Z DBG github.com/go-acme/lego/v4@v4.20.4/log/logger.go:48 > [INFO] [a.example] AuthURL: https://ca.example/acme/authz/1/1 lib=lego"),
		"colours around URLs": join("2026-11-23T21:27:20Z INF github.com/traefik/traefik/v3/cmd/traefik/traefik.go:113 > Traefik version 3.2.0 built on x version=3.2.0",
			"\x1b[90m2026-11-23T21:27:22Z\x1b[0m \x1b[33mDBG\x1b[0m \x1b[1mgithub.com/go-acme/lego/v5@v5.2.2/log/logger.go:33\x1b[0m\x1b[36m >\x1b[0m Authorization \x1b[36mauthz=\x1b[0mhttps://ca.example/acme/authz/1/1 \x1b[36mlib=\x1b[0mlego \x1b[36murl=\x1b[0ma.example"),
	}
}

func legoTable() map[string]string {
	line := func(n int, text string) string { return fmt.Sprintf("2026/11/23 21:08:%02d %s", n, text) }
	obtain := line(1, "[INFO] [a.example, b.example] acme: Obtaining bundled SAN certificate")
	urls := join(line(2, "[INFO] [a.example] AuthURL: https://ca.example/acme/authz/1/1"), line(2, "[INFO] [b.example] AuthURL: https://ca.example/acme/authz/1/2"))
	failed := func(text string) string {
		return obtain + "\n" + urls + join(line(9, "Could not obtain certificates:"), "\t"+text)
	}
	return map[string]string{
		"the DNS provider":    failed("error: one or more domains had a problem:\n[a.example] [a.example] acme: error presenting token: cloudflare: could not find zone for domain"),
		"propagation":         failed("error: one or more domains had a problem:\n[a.example] propagation: time limit exceeded: last error: NS x. did not return the expected TXT record"),
		"a port is in use":    failed("error: one or more domains had a problem:\n[a.example] acme: error presenting token: could not start HTTP server for challenge: listen tcp :80: bind: address already in use"),
		"the network":         join(obtain, line(3, `Could not obtain certificates:`), "\tPost \"https://ca.example/acme/new-order\": dial tcp 192.0.2.1:443: connect: connection refused"),
		"rate limited":        join(obtain, line(3, "Could not obtain certificates:"), "\tacme: error: 429 :: POST :: https://ca.example/acme/new-order :: urn:ietf:params:acme:error:rateLimited :: Error creating new order :: too many currently pending authorizations"),
		"one name is invalid": failed("error: one or more domains had a problem:\n[b.example] invalid authorization: acme: error: 400 :: urn:ietf:params:acme:error:connection :: refused"),
		"a refusal to deactivate": join(obtain) + urls + join(line(3, "[INFO] Deactivating auth: https://ca.example/acme/authz/1/1"),
			line(3, "[INFO] Unable to deactivate the authorization: https://ca.example/acme/authz/1/1"), line(4, "[INFO] Deactivating auth: https://ca.example/acme/authz/1/2"), line(5, "[INFO] Skipping deactivating of valid auth: https://ca.example/acme/authz/1/3")),
		"from the middle": urls,
		"cut in a URL":    obtain + "\n" + line(2, "[INFO] [a.example] AuthURL: https://ca.example/acme/authz/1/"),
	}
}

func modMDTable() map[string]string {
	line := func(n int, level, text string) string {
		return fmt.Sprintf("[Mon Nov 23 21:29:%02d.493286 2026] [md:%s] [pid 16722:tid 16723] %s", n, level, text)
	}
	start := "[Mon Nov 23 21:29:40.000000 2026] [mpm_event:notice] [pid 16722:tid 16722] AH00489: Apache/2.4.71 (Unix) configured -- resuming normal operations"
	end := "[Mon Nov 23 21:30:40.000000 2026] [mpm_event:notice] [pid 16722:tid 16722] AH00492: caught SIGWINCH, shutting down gracefully"
	order := join(line(41, "debug", "md_acme.c(349): sending req: POST https://ca.example/acme/new-order"),
		line(41, "trace1", `md_acme.c(249): acme payload(len=60): {"identifiers":[{"type":"dns","value":"a.example"}]}`),
		line(41, "trace1", "md_acme.c(286): response: 201"))
	return map[string]string{
		"only errors":      join(start, line(45, "error", `ACME server authz: challenge 'invalid' for a.example at https://ca.example/acme/authz/1/2. Exact response was: {"identifier":{"type":"dns","value":"a.example"},"status":"invalid","challenges":[{"type":"http-01","url":"https://ca.example/acme/chall/1/2/x","status":"invalid","error":{"type":"urn:ietf:params:acme:error:connection","detail":"refused"}}]}`)),
		"done":             join(start, line(50, "notice", "AH10059: The Managed Domain a.example has been setup and changes will be activated on next (graceful) server restart."), end),
		"a cut answer":     start + "\n" + order + join(line(42, "trace2", `md_acme.c(297): response: {\n  "status": "pending",\n  "identifiers": [{"type":"dns","value":"a.example"}],\n  "authorizations": [\n    "https://ca.example/acme/authz/1/2",\n    "https://ca.example/acme/authz/1/3`)),
		"the network":      join(start, line(42, "error", "(111)Connection refused: md[a.example] while[Contacting ACME server for a.example at https://ca.example/dir] detail[Unsuccessful in contacting ACME server at <https://ca.example/dir>.]")),
		"valid":            join(start, line(45, "debug", `md_acme_authz.c(201): ACME server authz: challenge 'valid' for a.example at https://ca.example/acme/authz/1/2. Exact response was: {"status":"valid"}`)),
		"no challenge":     join(start, line(42, "warn", "AH10056: processing a.example: none of the offered challenge types for domain a.example are supported.")),
		"a DNS command":    join(start, line(42, "error", "(70008)Partial results: md[a.example] while[Setting up challenge 'dns-01' for domain a.example] detail[MDChallengeDns01 command failed to execute]")),
		"the server stops": start + "\n" + order + join(end),
	}
}

func autocertTable() map[string]string {
	return map[string]string{
		"unable": join(
			`2026/11/23 21:13:30 http: TLS handshake error from 192.0.2.1:5730: acme/autocert: unable to satisfy "https://ca.example/acme/authz/1/2" for domain "a.example": no viable challenge type found`,
			`2026/11/23 21:13:31 http: TLS handshake error from 192.0.2.1:5731: acme/autocert: host "b.example" not configured in HostWhitelist`,
			`2026/11/23 21:13:32 http: TLS handshake error from 192.0.2.1:5732: 429 urn:ietf:params:acme:error:rateLimited: too many new orders`),
		"traced": join(
			`2026/11/23 21:14:18 acme: POST https://ca.example/acme/new-order: 201 Created location="https://ca.example/acme/order/1/9"`,
			`2026/11/23 21:14:19 acme: POST https://ca.example/acme/authz/1/2: 200 OK location=""`,
			`2026/11/23 21:14:20 acme: POST https://ca.example/acme/chall/1/2/x: 400 Bad Request location=""`,
			`2026/11/23 21:14:21 acme: POST https://ca.example/acme/authz/1/2: 429 Too Many Requests location=""`),
	}
}

func nodeTable() map[string]string {
	start := join("Refreshing ACME directory", "[auto] Placing new certificate order with ACME provider",
		"HTTP request: post https://ca.example/acme/new-order", "RESP 201 post https://ca.example/acme/new-order",
		"HTTP request: post https://ca.example/acme/authz/1/2", "RESP 200 post https://ca.example/acme/authz/1/2",
		"[auto] Placed certificate order successfully, received 1 identity authorizations")
	return map[string]string{
		"success": start + join("[auto] [a.example] Found 3 challenges, selected type: http-01", "HTTP request: post https://ca.example/acme/chall/1/2/x", "RESP 200 post https://ca.example/acme/chall/1/2/x",
			"Waiting for valid status from: https://ca.example/acme/chall/1/2/x", "HTTP request: post https://ca.example/acme/chall/1/2/x", "RESP 200 post https://ca.example/acme/chall/1/2/x", "Item has status: valid"),
		"its own check fails": start + join("[auto] [a.example] Found 3 challenges, selected type: http-01", "Promise rejected attempt #1, retrying in 5000ms: Authorization not found at key", "Error: Authorization not found at key"),
		"the network":         start + join("Promise rejected attempt #1, retrying in 5000ms: connect ECONNREFUSED 192.0.2.1:443", "Error: connect ECONNREFUSED 192.0.2.1:443"),
		"an unknown status":   start + join("HTTP request: post https://ca.example/acme/authz/1/2", "RESP 200 post https://ca.example/acme/authz/1/2", "Item has status: dormant"),
		"cut":                 start + "HTTP request: post https://ca.example/acme/ch",
	}
}

func documentTable() map[string]string {
	order := func(name, state, more string) string {
		return "apiVersion: acme.cert-manager.io/v1\nkind: Order\nmetadata:\n  name: " + name + "\n  namespace: default\nspec:\n  dnsNames:\n  - " + name + ".example\nstatus:\n  state: " + state + "\n  url: https://ca.example/acme/order/1/9\n" + more
	}
	authorizations := "  authorizations:\n  - identifier: a.example\n    initialState: pending\n    url: https://ca.example/acme/authz/1/2\n    wildcard: true\n    challenges:\n    - type: dns-01\n      url: https://ca.example/acme/chall/1/2/x\n"
	return map[string]string{
		"an order":                  order("a", "pending", authorizations),
		"an order that failed":      order("a", "errored", "  reason: 'Failed to create Order: 429 urn:ietf:params:acme:error:rateLimited: too many'\n"),
		"an order without anything": order("a", "ready", ""),
		"two documents":             order("a", "valid", authorizations) + "---\n" + strings.ReplaceAll(order("b", "pending", authorizations), "/1/", "/5/"),
		"a challenge in JSON":       `{"apiVersion":"acme.cert-manager.io/v1","kind":"Challenge","metadata":{"name":"x"},"spec":{"authorizationURL":"https://ca.example/acme/authz/1/2","dnsName":"a.example","type":"HTTP-01","url":"https://ca.example/acme/chall/1/2/x","wildcard":false},"status":{"presented":true,"processing":true,"reason":"Waiting for HTTP-01 challenge propagation: failed to perform self check","state":"pending"}}` + "\n",
		"of the wrong types":        `{"apiVersion":"acme.cert-manager.io/v1","kind":"Order","spec":[],"status":{"state":7,"authorizations":{"url":1},"url":["https://ca.example/acme/authz/1/2"]}}` + "\n",
		"a member twice":            `{"apiVersion":"acme.cert-manager.io/v1","kind":"Order","status":{"authorizations":[{"url":"https://ca.example/acme/authz/1/2","url":"https://ca.example/acme/authz/1/3","identifier":"a.example"}]}}` + "\n",
		"very deep":                 `{"apiVersion":"acme.cert-manager.io/v1","kind":"List","items":` + strings.Repeat("[", 5000) + `{"url":"https://ca.example/acme/authz/1/2"}` + strings.Repeat("]", 5000) + "}\n",
		"mod_md's order.json":       "{\n  \"status\": 2,\n  \"url\": \"https://ca.example/acme/order/1/9\",\n  \"authorizations\": [\n    \"https://ca.example/acme/authz/1/2\",\n    \"https://ca.example/acme/authz/1/3\"\n  ],\n  \"challenge-setups\": [],\n  \"finalize\": \"https://ca.example/acme/finalize/1/9\"\n}\n",
		"the same, cut":             "{\n  \"status\": 2,\n  \"url\": \"https://ca.example/acme/order/1/9\",\n  \"authorizations\": [\n    \"https://ca.example/acme/authz/1/2\",\n    \"https://ca.example/acme/au",
		"Posh-ACME's order.json":    "{\n  \"MainDomain\": \"a.example\",\n  " + `"location":"https://ca.example/acme/order/1/9","status":"pending","expires":"2026-11-30T21:00:00Z","identifiers":[{"type":"dns","value":"a.example"},{"type":"dns","value":"*.a.example"}],"authorizations":["https://ca.example/acme/authz/1/2","https://ca.example/acme/authz/1/3"],"finalize":"https://ca.example/acme/finalize/1/9"}` + "\n",
	}
}
