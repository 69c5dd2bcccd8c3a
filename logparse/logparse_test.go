package logparse

import (
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"
)

const (
	id43 = "pV7mT1x_9kqZ0nJr-3bWcEoYh5uLd8sAfGiX2tQvR4_" // Boulder v1, Pebble
	id32 = "fRqa0bcVHOn1eX1N4jw8wWmcfTpY5tfC"            // step-ca
	id22 = "6XPyxzCdukR-PrguhvAG5A"                      // Google, ZeroSSL
	uuid = "0d2f7d4e-93b1-a5c3-0c44-2f9e1a7b6c88"        // Vault
	hex  = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
)

// foundTests are texts and the URLs in them; between them a text has nothing but a newline.
var foundTests = []struct {
	name, text string
	want       []string
}{
	// Shapes.
	{"Boulder v1", "https://acme-v01.api.letsencrypt.org/acme/authz/" + id43,
		[]string{"https://acme-v01.api.letsencrypt.org/acme/authz/" + id43}},
	{"Boulder authz-v3", "https://ca.example/acme/authz-v3/123456", []string{"https://ca.example/acme/authz-v3/123456"}},
	{"Boulder", "https://ca.example/acme/authz/12/3456", []string{"https://ca.example/acme/authz/12/3456"}},
	{"Pebble", "https://localhost:14000/authZ/" + id43, []string{"https://localhost:14000/authZ/" + id43}},
	{"step-ca", "https://ca.internal:9443/acme/my-acme/authz/" + id32,
		[]string{"https://ca.internal:9443/acme/my-acme/authz/" + id32}},
	{"step-ca, provisioner authz", "https://ca.internal/acme/authz/authz/" + id32,
		[]string{"https://ca.internal/acme/authz/authz/" + id32}},
	{"step-ca, provisioner with a space", "https://ca.internal/acme/my%20ca/authz/" + id32,
		[]string{"https://ca.internal/acme/my%20ca/authz/" + id32}},
	{"Google", "https://dv.acme-v02.api.pki.goog/authz/" + id22, []string{"https://dv.acme-v02.api.pki.goog/authz/" + id22}},
	{"ZeroSSL", "https://acme.zerossl.com/v2/DV90/authz/" + id22, []string{"https://acme.zerossl.com/v2/DV90/authz/" + id22}},
	{"Sectigo", "https://acme.sectigo.com/v2/OV/authz/" + id22, []string{"https://acme.sectigo.com/v2/OV/authz/" + id22}},
	{"SSL.com", "https://acme.ssl.com/ejbca/acme/sslcom-dv-rsa/acct/" + id22 + "/authz/" + hex,
		[]string{"https://acme.ssl.com/ejbca/acme/sslcom-dv-rsa/acct/" + id22 + "/authz/" + hex}},
	{"Vault", "https://vault:8200/v1/pki/acme/authorization/" + uuid, []string{"https://vault:8200/v1/pki/acme/authorization/" + uuid}},
	{"Vault, role", "https://vault:8200/v1/pki/roles/web/acme/authorization/" + uuid,
		[]string{"https://vault:8200/v1/pki/roles/web/acme/authorization/" + uuid}},
	{"acme2certifier", "https://ca.example/acme/authz/x3Kd92LmQz7a", []string{"https://ca.example/acme/authz/x3Kd92LmQz7a"}},
	{"path before", "https://proxy.example/ca/acme/authz/1/2", []string{"https://proxy.example/ca/acme/authz/1/2"}},
	{"identifier ends with - and _", "https://h/authZ/" + id43[:42] + "- https://h/authZ/" + id43[:42] + "_",
		[]string{"https://h/authZ/" + id43[:42] + "-", "https://h/authZ/" + id43[:42] + "_"}},

	// Challenges.
	{"chall", "https://ca.example/acme/chall/12/3456/ab_-1z", []string{"https://ca.example/acme/authz/12/3456"}},
	{"chall, cut after the slash", "https://ca.example/acme/chall/12/3456/", []string{"https://ca.example/acme/authz/12/3456"}},
	{"chall-v3", "https://ca.example/acme/chall-v3/3456/ab_-1z", []string{"https://ca.example/acme/authz-v3/3456"}},
	{"challenge v1", "https://ca.example/acme/challenge/" + id43 + "/42", []string{"https://ca.example/acme/authz/" + id43}},
	{"challenge step-ca", "https://ca.internal/acme/acme/challenge/" + id32 + "/" + id32[1:] + "x",
		[]string{"https://ca.internal/acme/acme/authz/" + id32}},
	{"challenge Vault", "https://v/v1/pki/acme/challenge/" + uuid + "/tls-alpn-01", []string{"https://v/v1/pki/acme/authorization/" + uuid}},

	// Canonical form.
	{"upper case", "HTTPS://CA.Example/acme/authz/1/2", []string{"https://ca.example/acme/authz/1/2"}},
	{"path keeps its case", "https://CA.example/X/acme/authz/1/2", []string{"https://ca.example/X/acme/authz/1/2"}},
	{"default ports", "https://ca.example:443/acme/authz/1/2 http://ca.example:80/acme/authz/1/2 https://ca.example:/acme/authz/1/2",
		[]string{"https://ca.example/acme/authz/1/2", "http://ca.example/acme/authz/1/2"}},
	{"other ports", "https://ca.example:80/acme/authz/1/2 http://ca.example:443/acme/authz/1/2",
		[]string{"https://ca.example:80/acme/authz/1/2", "http://ca.example:443/acme/authz/1/2"}},
	{"addresses", "https://127.0.0.1:4431/acme/authz/1/2 https://[::1]:14000/acme/authz/1/2 https://[2001:DB8::1]/acme/authz/1/2",
		[]string{"https://127.0.0.1:4431/acme/authz/1/2", "https://[::1]:14000/acme/authz/1/2", "https://[2001:db8::1]/acme/authz/1/2"}},
	{"each once", strings.Repeat("https://ca.example/acme/authz/1/2\n", 3), []string{"https://ca.example/acme/authz/1/2"}},
	{"a prefix of another", "https://ca.example/acme/authz/1/123 https://ca.example/acme/authz/1/12\n",
		[]string{"https://ca.example/acme/authz/1/123", "https://ca.example/acme/authz/1/12"}},

	// What stands around a URL.
	{"acme.sh", `vlist='a#k#https://ca.example/acme/chall/1/7/x#http-01#w#https://ca.example/acme/authz/1/8,'`,
		[]string{"https://ca.example/acme/authz/1/7", "https://ca.example/acme/authz/1/8"}},
	{"comma", "_authorizations_seg='https://ca.example/acme/authz/1/2,https://ca.example/acme/authz/1/3'",
		[]string{"https://ca.example/acme/authz/1/2", "https://ca.example/acme/authz/1/3"}},
	{"Link", `Link: <https://ca.example/directory>;rel="index", <https://ca.example/acme/authz/1/2>;rel="up"`,
		[]string{"https://ca.example/acme/authz/1/2"}},
	{"colon", "Sending POST request to https://ca.example/acme/authz/1/2:", []string{"https://ca.example/acme/authz/1/2"}},
	{"full stop", "see https://ca.example/acme/authz/1/2. Or (https://ca.example/acme/authz/1/3)! https://ca.example/acme/authz/1/4?",
		[]string{"https://ca.example/acme/authz/1/2", "https://ca.example/acme/authz/1/3", "https://ca.example/acme/authz/1/4"}},
	{"brackets", "[https://ca.example/acme/authz/1/2] {https://ca.example/acme/authz/1/3}; https://ca.example/acme/authz/1/4|",
		[]string{"https://ca.example/acme/authz/1/2", "https://ca.example/acme/authz/1/3", "https://ca.example/acme/authz/1/4"}},
	{"CRLF", "authz: https://ca.example/acme/authz/1/2\r\nurl: https://ca.example/acme/authz/1/3\r\n",
		[]string{"https://ca.example/acme/authz/1/2", "https://ca.example/acme/authz/1/3"}},
	{"colours", "authz=\x1b[32mhttps://ca.example/acme/authz/1/2\x1b[0m", []string{"https://ca.example/acme/authz/1/2"}},
	{"NUL and invalid UTF-8", "\x00\xff\xfehttps://ca.example/acme/authz/1/2\x00\xc3https://ca.example/acme/authz/1/3\xff",
		[]string{"https://ca.example/acme/authz/1/2", "https://ca.example/acme/authz/1/3"}},
	{"in a query", "https://x.example/?next=https://ca.example/acme/authz/1/2&x=1", []string{"https://ca.example/acme/authz/1/2"}},
	{"after another URL", "https://x.example/challenge/https://ca.example/acme/authz/1/2", []string{"https://ca.example/acme/authz/1/2"}},
	{"word in the host", "https://authz.example/acme/authz/1/2", []string{"https://authz.example/acme/authz/1/2"}},
	{"scheme in the host", "https://http.example/acme/authz/1/2", []string{"https://http.example/acme/authz/1/2"}},

	// Escapes.
	{"escaped slashes", `{"a":"https:\/\/ca.example\/acme\/authz\/1\/2","b":"x"}`, []string{"https://ca.example/acme/authz/1/2"}},
	{"escaped twice", `"{\"a\":\"https:\\\/\\\/ca.example\\\/acme\\\/authz\\\/1\\\/2\"}"`, []string{"https://ca.example/acme/authz/1/2"}},
	{"codes", `https:\u002f\u002fca.example\u002Facme\u002fauthz\u002f1\u002f2 https\x3a\x2f\x2fca.example\x2facme\x2fauthz\x2f1\x2f3`,
		[]string{"https://ca.example/acme/authz/1/2", "https://ca.example/acme/authz/1/3"}},
	{"escapes after a URL", `https://ca.example/acme/authz/1/2\n https://ca.example/acme/authz/1/3\" https://ca.example/acme/authz/1/4\r\n \u003chttps://ca.example/acme/authz/1/5\u003e`,
		[]string{"https://ca.example/acme/authz/1/2", "https://ca.example/acme/authz/1/3", "https://ca.example/acme/authz/1/4", "https://ca.example/acme/authz/1/5"}},
	{"percent-encoded", "u=https%3A%2F%2Fca.example%3A14000%2Facme%2fauthz%2F1%2F2&v=https%3a//ca.example/acme/authz/1/3",
		[]string{"https://ca.example:14000/acme/authz/1/2", "https://ca.example/acme/authz/1/3"}},
	{"percent-encoded JSON", "%22https%3A%2F%2Fca.example%2Facme%2Fauthz%2F1%2F2%22%2C%22https%3A%2F%2Fca.example%2Facme%2Fauthz%2F1%2F3%22",
		[]string{"https://ca.example/acme/authz/1/2", "https://ca.example/acme/authz/1/3"}},
	{"unreserved", "https://ca.example/acme/%61uthz/1/2 https://ca.example/acme/authz/1/%32%33", []string{"https://ca.example/acme/authz/1/23"}},

	// Request lines.
	{"urllib3", `urllib3.connectionpool:https://ca.example:443 "POST /acme/authz/1/2 HTTP/1.1" 200 825`,
		[]string{"https://ca.example/acme/authz/1/2"}},
	{"urllib3, other methods", `https://ca.example:14000 "GET /acme/authz/1/2 HTTP/1.1" 200 1 http://ca.example:80 "HEAD /acme/chall-v3/3/x HTTP/2" 200`,
		[]string{"https://ca.example:14000/acme/authz/1/2", "http://ca.example/acme/authz-v3/3"}},
	{"urllib3 in JSON", `{"log":"DEBUG:https://ca.example:443 \"POST /acme/authz/1/2 HTTP/1.1\" 200 825\n"}`,
		[]string{"https://ca.example/acme/authz/1/2"}},
	{"urllib3, IPv6", `https://[::1]:14000 "POST /authZ/` + id43 + ` HTTP/1.1" 200 825`, []string{"https://[::1]:14000/authZ/" + id43}},

	// Arrays.
	{"array", `{"authorizations":["https://ca.example/a?id=1","https://CA.example:443/b/2"],"finalize":"https://ca.example/f"}`,
		[]string{"https://ca.example/a?id=1", "https://ca.example/b/2"}},
	{"array, pretty", "  \"authorizations\": [\r\n    \"https://ca.example/a/1\",\n\t\"https://ca.example/a/2\"\n  ],\n",
		[]string{"https://ca.example/a/1", "https://ca.example/a/2"}},
	{"array, escaped", `"{\"authorizations\": [\n \"https:\/\/ca.example\/a\/1\",\r\n \"https://ca.example/a/2\"]}"`,
		[]string{"https://ca.example/a/1", "https://ca.example/a/2"}},
	{"array, Python", `{'authorizations': ['https://ca.example/a/1', 'https://ca.example/a/2']}`,
		[]string{"https://ca.example/a/1", "https://ca.example/a/2"}},
	{"array, bytes literal", `b'{\n  "authorizations": [\n    "https://ca.example/a/1"\n  ]\n}'`, []string{"https://ca.example/a/1"}},
	{"array, percent escapes stay", `"authorizations":["https://ca.example/a%2Fb/%41?x=1\u0026y=2"]`,
		[]string{"https://ca.example/a%2Fb/%41?x=1&y=2"}},
	{"array, known shape", `https://ca.example/acme/authz/1/2 "authorizations":["https://ca.example/acme/authz/1/2","https://ca.example/acme/authz/1/3"]`,
		[]string{"https://ca.example/acme/authz/1/2", "https://ca.example/acme/authz/1/3"}},
	{"array, no URL in it", `"authorizations":["https://ca.example/a/1", 5, "https://ca.example/a/2"], "https://ca.example/acme/authz/1/2"`,
		[]string{"https://ca.example/a/1", "https://ca.example/acme/authz/1/2"}},
	{"array, bad elements", `"authorizations":["https://ca.example/a/1", "x https://ca.example/acme/authz/1/2"]`,
		[]string{"https://ca.example/a/1", "https://ca.example/acme/authz/1/2"}},
}

func TestURLs(t *testing.T) {
	for _, test := range foundTests {
		t.Run(test.name, func(t *testing.T) {
			got, err := collect(URLs(strings.NewReader(test.text + "\n")))
			require.NoError(t, err)
			require.Equal(t, test.want, got)
		})
	}
}

// notFoundTests are texts without the URL of an authorization.
var notFoundTests = []string{
	// Other things of a CA.
	"https://acme-v02.api.letsencrypt.org/directory", "https://acme-v02.api.letsencrypt.org/acme/new-authz",
	"https://acme-v02.api.letsencrypt.org/acme/new-order", "https://acme-v02.api.letsencrypt.org/acme/order/1/2",
	"https://acme-v02.api.letsencrypt.org/acme/finalize/1/2", "https://acme-v02.api.letsencrypt.org/acme/acct/1",
	"https://acme-v02.api.letsencrypt.org/acme/cert/03abcdef", "https://acme-v02.api.letsencrypt.org/acme/list-orders/1",
	"https://localhost:14000/my-order/" + id43, "https://localhost:14000/chalZ/" + id43, "https://localhost:14000/authz-me",
	"https://dv.acme-v02.api.pki.goog/challenge/" + id22, "https://ca.internal/acme/acme/order/" + id32,
	"https://ca.internal/acme/acme/account/" + id32 + "/orders", "https://vault/v1/pki/acme/order/" + uuid,
	"https://acme.ssl.com/ejbca/acme/x/acct/" + id22 + "/orders/" + hex, "https://acme.zerossl.com/v2/DV90/chall/" + id22,
	`{"newAuthz": "https://ca.example/acme/new-authz"}`, `"challenges": [{"type": "http-01"}]`,

	// Without an identifier, or with more.
	"https://ca.example/acme/authz", "https://ca.example/acme/authz/", "https://ca.example/authz/",
	"https://ca.example/acme/authz/123", "https://ca.example/acme/authz/123/", "https://ca.example/acme/authz-v3/",
	"https://ca.example/acme/authz/1/2/3", "https://ca.example/acme/authz/1/2x", "https://ca.example/acme/authz/1/2/",
	"https://ca.example/acme/chall/1/2", "https://ca.example/acme/chall/1/2/3/4", "https://ca.example/acme/chall-v3/1",
	"https://ca.example/authz/12345", "https://ca.example/acme/authz-v3/abc", "https://ca.example/acme/authz/1/2?page=1",
	"https://ca.example/acme/authz/1/-2", "https://ca.example/acme/authz/1//2", "https://ca.example/acme/authz/1/2=",
	"https://ca.example/acme/authz/1/123456789012345678901", "https://ca.example/acme/authz/" + id43 + ".json",
	"https://ca.example/acme/authz/{id}", "https://ca.example/acme/authz/<acct>/<id>", "https://ca.example/acme/authz/ACCOUNT/ID",
	"https://ca.example/acme/challenge/" + uuid, "https://ca.example/acme/challenge/" + id43 + "/http-01",
	"https://ca.example/acme%2Fauthz%2F1%2F2", "https://ca.example%2Facme%2Fauthz%2F1%2F2", "https://ca.example/acme/authz/1%2F2",
	"https://ca.example%2Fx/acme/authz/1/2",
	"https://ca.example/acme/challenge/" + hex[:36] + "/http-01", "https://ca.example/acme/Authz/1/2", "https://ca.example/acme/AUTHZ/1/2",

	// Documentation, source code, other software.
	"https://letsencrypt.org/docs/authz", "https://letsencrypt.org/docs/authz-reuse/", "https://letsencrypt.org/docs/authz/#deactivate",
	"https://letsencrypt.org/docs/challenge-types/", "https://letsencrypt.org/docs/challenge/http-01/how-it-works-2024",
	"https://github.com/letsencrypt/boulder/blob/main/authz/authz.go",
	"https://github.com/x/y/blob/0123456789abcdef0123456789abcdef01234567/authz/authz.go",
	"https://github.com/acmeauthz/authz/commit/0123456789abcdef0123456789abcdef01234567",
	"https://github.com/acmeauthz/authz/blob/main/README.md", "https://pkg.go.dev/k8s.io/api/authorization/v1",
	"https://kubernetes.io/docs/reference/access-authn-authz/authorization/", "https://crates.io/crates/authz/0.1.2",
	"https://blog.example/authz/how-to-deactivate-authorizations-2024", "https://blog.example/authz/How-To-Deactivate-An-Authz",
	"https://docs.example/acme/authz/Deactivation", "https://docs.example/acme/authz/explained", "https://hub.example/r/authz/tags",
	"https://datatracker.ietf.org/doc/html/rfc8555#section-7.5.2", "https://example.com/acme/authz/rfc8555-section-7-5",
	"https://community.letsencrypt.org/t/authz/12345", "https://api.example/v1/authorization/" + uuid,
	"https://idp.example/authz/resources/" + uuid, "https://example.com/authz/authorizations.html",

	// Not a URL that anybody should send something to.
	"ftp://ca.example/acme/authz/1/2", "//ca.example/acme/authz/1/2", "ca.example/acme/authz/1/2", "/acme/authz/1/2",
	"https:///acme/authz/1/2", "https://ca.example@evil.example/acme/authz/1/2", "https://u:p@ca.example/acme/authz/1/2",
	"https://ca.example:port/acme/authz/1/2", "https://ca.example:99999/acme/authz/1/2", "https://ca.example:0443/acme/authz/1/2",
	"https://-/acme/authz/1/2", "https://ca..example/acme/authz/1/2", "https://.ca/acme/authz/1/2", "https://[::1/acme/authz/1/2",
	"https://[::g]/acme/authz/1/2", "https://[127.0.0.1]/acme/authz/1/2", "https://[fe80::1%25eth0]/acme/authz/1/2",
	"https://cä.example/acme/authz/1/2", "https://ca.example /acme/authz/1/2", "https://ca.example\x00/acme/authz/1/2",
	"https://ca.example/a b/acme/authz/1/2", "https://ca%2eexample/acme/authz/1/2", "http:/ca.example/acme/authz/1/2",
	"https://" + strings.Repeat("a.", 130) + "example/acme/authz/1/2",
	"https://ca.example/" + strings.Repeat("a/", maxURL/2) + "acme/authz/1/2",

	// Request lines without a host, or that are none.
	`"POST /acme/authz/1/2 HTTP/1.1" 200`, `ca.example "POST /acme/authz/1/2 HTTP/1.1"`, `https://ca.example "POST /acme/authz/1/2" 200`,
	`https://ca.example/x "POST /acme/authz/1/2 HTTP/1.1"`, `https://ca.example "PUT /acme/authz/1/2 HTTP/1.1"`,
	`https://ca.example POST /acme/authz/1/2 HTTP/1.1`, "https://ca.example\n\"POST /acme/authz/1/2 HTTP/1.1\"",
	`https://ca.example "POST acme/authz/1/2 HTTP/1.1"`, `https://ca.example "POST /acme/order/1/2 HTTP/1.1"`,

	// Arrays that are none, and elements that are none.
	`"authorizations": "https://ca.example/a/1"`, `authorizations: ["https://ca.example/a/1"]`, `"authorizations": []`,
	`"myauthorizations": ["https://ca.example/a/1"]`, `"authorizationsX": ["https://ca.example/a/1"]`,
	`"authorizations': ["https://ca.example/a/1"]`, `\"authorizations": ["https://ca.example/a/1"]`,
	`"authorizations": ["ca.example/a/1"]`, `"authorizations": ["ftp://ca.example/a"]`, `"authorizations": ["https://ca.example"]`,
	"\"authorizations\": [\"https://ca.example/a\n1\"]", `"authorizations": ["https://ca.example/a 1"]`,
	`"authorizations": ["https://u@ca.example/a/1"]`, `"authorizations": ["https://ca.example/a%zz"]`,
	`"authorizations": ["https://ca.example/a\u0000"]`, `"authorizations": ["https://ca.example/a\"]`,
	`"authorizations": ["https://ca.example/` + strings.Repeat("a", maxURL) + `"]`, `"authorizations": [null, "https://ca.example/a/1"]`,
	`"identifiers": ["https://ca.example/a/1"]`, `"authorizations": null, "x": ["https://ca.example/a/1"]`,
}

func TestURLsNothing(t *testing.T) {
	for _, text := range notFoundTests {
		for _, end := range []string{"\n", " ", ""} {
			got, err := collect(URLs(strings.NewReader(text + end)))
			require.NoError(t, err)
			require.Empty(t, got, "%q", text+end)
		}
	}
}

// TestURLsCut has texts that were cut off, at the end of the input unless there is a newline.
func TestURLsCut(t *testing.T) {
	const one, two = "https://ca.example/acme/authz/1/234567", "https://ca.example/acme/authz/1/23"
	stepCA := "https://ca.internal/acme/acme/authz/" + id32
	for _, test := range []struct {
		name, text string
		want       []string
	}{
		{"alone", one, []string{one}},
		{"last on a line", "AuthURL: " + one, []string{one}},
		{"in an open quote", `"url": "` + one, nil},
		{"in an open escaped quote", `\"url\": \"` + one, nil},
		{"in an open bracket", "Link: <" + one, nil},
		{"in a quote that a line ends", `"url": "` + one + "\n\"", nil},
		{"in a quote that CR LF ends", `"url": "` + one + "\r\n\"", nil},
		{"in a string that ends before the quote", `{"log":"{\"url\": \"` + one + `","stream":"stderr"}`, nil},
		{"shorter than the one before", one + "\nSending POST request to " + two, []string{one}},
		{"as long as the one before", one + "\n" + one[:len(one)-1] + "8", []string{one, one[:len(one)-1] + "8"}},
		{"shorter, but elsewhere", one + "\nhttps://ca.example/acme/authz/2/3", []string{one, "https://ca.example/acme/authz/2/3"}},
		{"shorter, but with an end", one + "\n" + two + "\n", []string{one, two}},
		{"dots", one + "..", nil},
		{"more dots", one + "... (truncated)\n", nil},
		{"ellipsis", one + "…\n", nil},
		{"known length in an open quote", `"` + stepCA, []string{stepCA}},
		{"known length with dots", stepCA + "...", []string{stepCA}},
		{"part of a known length", `"` + stepCA[:len(stepCA)-1], nil},
		{"challenge, authorization complete", `"https://ca.example/acme/chall/1/23/a`, []string{"https://ca.example/acme/authz/1/23"}},
		{"challenge, authorization cut", `"https://ca.example/acme/chall/1/23`, nil},
		{"account", one[:len("https://ca.example/acme/authz/1/")], nil},
		{"run on by another line", `"` + one[:len(one)-3] + "2026-11-23 20:41:11,221:DEBUG", nil},
		{"array", `"authorizations": ["` + one + `", "` + two, []string{one}},
		{"request line", `https://ca.example:443 "POST /acme/authz/1/23`, nil},
		{"request line before the protocol", `https://ca.example:443 "POST /acme/authz/1/23 HT`, nil},
		{"escape", `https:\/\/ca.example\/acme\/authz\/1\/23\`, []string{two}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := collect(URLs(strings.NewReader(test.text)))
			require.NoError(t, err)
			require.Equal(t, test.want, got)
		})
	}
}

// TestURLsFailure has a reader fail after a URL that may go on, and after one that cannot.
func TestURLsFailure(t *testing.T) {
	const text = "https://ca.example/acme/authz/1/2 https://ca.example/acme/authz/1/3"
	got, err := collect(URLs(io.MultiReader(strings.NewReader(text), iotest.ErrReader(io.ErrClosedPipe))))
	require.Equal(t, []string{"https://ca.example/acme/authz/1/2"}, got)
	require.Equal(t, &ReadError{Offset: int64(len(text)), Err: io.ErrClosedPipe}, err)
	require.ErrorIs(t, err, io.ErrClosedPipe)
	require.EqualError(t, err, "reading the log at byte 67: io: read/write on closed pipe")
}

// TestURLsEarly reads from a pipe that stays open: a URL comes with the byte after it.
func TestURLsEarly(t *testing.T) {
	r, w := io.Pipe()
	defer r.Close()
	go w.Write([]byte("see https://ca.example/acme/authz/1/2 "))
	for url, err := range URLs(r) {
		require.NoError(t, err)
		require.Equal(t, "https://ca.example/acme/authz/1/2", url)
		return
	}
	t.Fatal("the sequence ended")
}
