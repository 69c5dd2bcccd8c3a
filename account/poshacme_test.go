package account

import (
	"encoding/binary"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"
)

// keyJWK is a key of testdata/keys as a JWK.
func keyJWK(t testing.TB, name string) string {
	t.Helper()
	key, err := ParseKey([]byte(keyText(t, name)))
	require.NoError(t, err)
	data, err := jose.JSONWebKey{Key: key}.MarshalJSON()
	require.NoError(t, err)
	return string(data)
}

// inUTF16 is text as Windows PowerShell writes it, or with the other order of bytes.
func inUTF16(text string, order binary.AppendByteOrder) string {
	var data []byte
	for _, unit := range utf16.Encode([]rune("\ufeff" + text)) {
		data = order.AppendUint16(data, unit)
	}
	return string(data)
}

func TestPoshACME(t *testing.T) {
	const (
		nothing = "error: account: .: file does not exist: expected Posh-ACME's directory, which holds SERVER/ACCOUNT/acct.json\n"
		dir     = `{"newNonce": "https://ca.example/nonce", "location": "https://ca.example/directory", "meta": null}`
	)
	acct := func(key string) string {
		return `{"status": "valid", "contact": ["mailto:you@example.com"], "location": "https://ca.example/acct/1", "key": ` +
			keyJWK(t, key) + `, "alg": "ES256", "KeyLength": "ec-256", "orders": null, "sskey": "VAULT"}`
	}
	found := func(name string) string {
		return name + "\n  stored by   posh-acme\n  key         EC P-256 " + p256 + "\n  url         https://ca.example/acct/1\n" +
			"  directory   https://ca.example/directory\n  contact     mailto:you@example.com\n  mode        0600\n"
	}
	testReader(t, PoshACME, map[string]readerTest{
		"nothing": {want: nothing},
		"other files": {
			files: map[string]string{
				"LE_PROD/dir.json":               dir,
				"LE_PROD/current-account.txt":    "1",
				"LE_PROD/1/example.com/cert.key": "key:p256-parameters-sec1.pem",
				"a/b/c/acct.json":                acct("p256-parameters-sec1.pem"),
			},
			want: nothing,
		},
		"PowerShell 7": {
			files: map[string]string{
				"current-server.txt":              "https://ca.example/directory",
				"ca.example_8443/dir.json":        dir,
				"ca.example_8443/work/acct.json":  acct("p256-parameters-sec1.pem"),
				"LE_STAGE/dir.json":               `{"location": "https://acme-staging-v02.api.letsencrypt.org/directory"}`,
				"LE_STAGE/2/acct.json":            `{"contact": null, "location": "https://acme-staging-v02.api.letsencrypt.org/acme/acct/2", "key": ` + keyJWK(t, "rsa2048-pkcs1.pem") + `}`,
				"LE_STAGE/2/example.com/cert.key": "key:p384-sec1.pem",
			},
			want: "LE_STAGE/2/acct.json\n  stored by   posh-acme\n  key         RSA 2048 " + rsa2048 + `
  url         https://acme-staging-v02.api.letsencrypt.org/acme/acct/2
  directory   https://acme-staging-v02.api.letsencrypt.org/directory
  environment staging Let's Encrypt
  mode        0600
` + found("ca.example_8443/work/acct.json"),
		},
		"Windows PowerShell": {
			files: map[string]string{
				"ca.example/dir.json":    inUTF16(dir, binary.LittleEndian),
				"ca.example/1/acct.json": inUTF16(acct("p256-parameters-sec1.pem"), binary.LittleEndian),
				"ca.test/dir.json":       inUTF16(strings.ReplaceAll(dir, "ca.example", "ca.test"), binary.BigEndian),
				"ca.test/1/acct.json":    inUTF16(strings.ReplaceAll(acct("p256-parameters-sec1.pem"), "ca.example", "ca.test"), binary.BigEndian),
			},
			want: found("ca.example/1/acct.json") + strings.ReplaceAll(found("ca.example/1/acct.json"), "ca.example", "ca.test"),
		},
		"a server's folder, and a byte order mark": {
			files: map[string]string{
				"dir.json":    "\ufeff" + dir,
				"1/acct.json": "\ufeff" + strings.Replace(acct("p256-parameters-sec1.pem"), `["mailto:you@example.com"]`, `"mailto:you@example.com"`, 1),
			},
			want: found("1/acct.json"),
		},
		"dir.json lost": {
			files: map[string]string{
				"a/1/acct.json": `{"location": "https://acme.zerossl.com/v2/DV90/account/x", "key": ` + keyJWK(t, "p384-sec1.pem") + `}`,
				"b/1/acct.json": acct("p521-pkcs8.pem"),
			},
			want: "a/1/acct.json\n  stored by   posh-acme\n  key         EC P-384 " + p384 + `
  url         https://acme.zerossl.com/v2/DV90/account/x
  directory   https://acme.zerossl.com/v2/DV90
  environment production ZeroSSL
  mode        0600
b/1/acct.json
  stored by   posh-acme
  key         EC P-521 ` + p521 + `
  url         https://ca.example/acct/1
  contact     mailto:you@example.com
  mode        0600
  problem     no-directory
`,
		},
		"faults": {
			files: map[string]string{
				"a/dir.json":    `{`,
				"a/1/acct.json": acct("p256-parameters-sec1.pem"),
				"b/dir.json":    `{"location": "file:///b"}`,
				"b/1/acct.json": inUTF16(`{"key": `, binary.LittleEndian),
				"b/2/acct.json": `{"key": "01000000d08c9ddf0115d1118c7a00c04fc297eb"}`,
				"b/3/acct.json": `{"location": "https://ca.example/3"}`,
				"b/4/acct.json": `{"key": {"kty": "EC", "crv": "P-256", "x": "4RCmaBwK6jWdJTczRnIl5eyfhKVCDwXzlzd0ktKWh3g", "y": "VQPbLEcju2zN8wcVk57KXb5UlIxgbLCvpgr7TX7Q2Gc"}}`,
				"c/dir.json":    dir,
				"c/1/acct.json": strings.Replace(acct("p384-sec1.pem"), "https://ca.example/acct/1", "https://other.example/acct/1", 1),
				"c/2/acct.json": strings.Replace(acct("p521-pkcs8.pem"), "https://ca.example/acct/1", `https://ca.example/\u001b[31m`, 1),
			},
			want: "a/1/acct.json\n  stored by   posh-acme\n  key         EC P-256 " + p256 + `
  url         https://ca.example/acct/1
  contact     mailto:you@example.com
  mode        0600
  problem     no-directory
c/1/acct.json
  stored by   posh-acme
  key         EC P-384 ` + p384 + `
  directory   https://ca.example/directory
  contact     mailto:you@example.com
  mode        0600
  problem     no-url
c/2/acct.json
  stored by   posh-acme
  key         EC P-521 ` + p521 + `
  directory   https://ca.example/directory
  contact     mailto:you@example.com
  mode        0600
  problem     no-url
error: account: a/dir.json: malformed JSON, or a member of a wrong type
error: account: b/1/acct.json: malformed JSON, or a member of a wrong type
error: account: b/2/acct.json: there is no JWK in it that is in clear: run Export-PAAccountKey where the account was made, and give the file that it writes
error: account: b/3/acct.json: there is no JWK in it that is in clear: run Export-PAAccountKey where the account was made, and give the file that it writes
error: account: b/4/acct.json: found a JWK of a public key: there is no private key in it (supported are RSA keys of 2048 to 8192 bits and EC keys on P-256, P-384 or P-521, unencrypted, in PEM, in DER or as a JWK)
error: account: c/1/acct.json: location is an account of another server than https://ca.example/directory
error: account: c/2/acct.json: location is not an http or https URL
`,
		},
	})
}
