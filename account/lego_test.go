package account

import "testing"

func TestLego(t *testing.T) {
	const (
		dir  = "accounts/ca.example/you@example.com/"
		nine = "accounts/localhost_14000/you@example.com/"
	)
	testReader(t, Lego, map[string]readerTest{
		"nothing": {
			want: "error: account: .: file does not exist: expected lego's directory, usually .lego, which holds accounts/SERVER/EMAIL/account.json\n",
		},
		"another client's accounts": {
			files: map[string]string{"accounts/ca.example/directory/0/private_key.json": "{}"},
			want:  "error: account: .: file does not exist: expected lego's directory, usually .lego, which holds accounts/SERVER/EMAIL/account.json\n",
		},
		"lego 4 at a CA that is not known": {
			files: map[string]string{
				nine + "account.json":             `{"email": "you@example.com", "registration": {"body": {"contact": ["mailto:you@example.com"]}, "uri": "https://localhost:14000/my-account/1"}}`,
				nine + "keys/you@example.com.key": "key:p256-parameters-sec1.pem",
			},
			want: nine + "keys/you@example.com.key\n" + `  stored by   lego
  key         EC P-256 ` + p256 + `
  url         https://localhost:14000/my-account/1
  contact     mailto:you@example.com
  mode        0600
  problem     no-directory
`,
		},
		"lego 5, registration refused": {
			files: map[string]string{
				dir + "account.json":        `{"id": "you@example.com", "server": "https://ca.example/directory", "registration": null}`,
				dir + "you@example.com.key": "key:p256-parameters-sec1.pem",
			},
			want: dir + "you@example.com.key\n" + `  stored by   lego
  key         EC P-256 ` + p256 + `
  directory   https://ca.example/directory
  mode        0600
  problem     no-url
`,
		},
		"account.json lost": {
			files: map[string]string{"accounts/acme.zerossl.com/a@example.com/keys/a@example.com.key": "key:p256-parameters-sec1.pem"},
			want: `accounts/acme.zerossl.com/a@example.com/keys/a@example.com.key
  stored by   lego
  key         EC P-256 ` + p256 + `
  directory   https://acme.zerossl.com/v2/DV90
  environment production ZeroSSL
  mode        0600
  problem     no-url
`,
		},
		"faults": {
			files: map[string]string{
				"accounts/a.example/1/account.json": `{`,
				"accounts/a.example/1/1.key":        "key:p256-parameters-sec1.pem",
				"accounts/b.example/2/account.json": `{"server": "ftp://b.example", "registration": {"accountURL": "https://b.example/\u001b[31m"}}`,
				"accounts/b.example/2/2.key":        "key:p384-sec1.pem",
				"accounts/c.example/3/account.json": `{"server": "https://c.example/dir", "registration": {"accountURL": "https://d.example/1"}}`,
				"accounts/c.example/3/3.key":        "key:p521-pkcs8.pem",
				"accounts/d.example/4/account.json": `{"server": "https://d.example/dir", "registration": {"accountURL": "https://d.example/1"}}`,
				"accounts/d.example/4/4.key":        "no key",
				"accounts/e.example/5/account.json": `{"server": "https://e.example/dir", "server": "https://f.example/dir"}`,
			},
			want: `accounts/a.example/1/1.key
  stored by   lego
  key         EC P-256 ` + p256 + `
  mode        0600
  problem     no-url
  problem     no-directory
accounts/b.example/2/2.key
  stored by   lego
  key         EC P-384 ` + p384 + `
  mode        0600
  problem     no-url
  problem     no-directory
accounts/c.example/3/3.key
  stored by   lego
  key         EC P-521 ` + p521 + `
  directory   https://c.example/dir
  mode        0600
  problem     no-url
error: account: accounts/a.example/1/account.json: malformed JSON, or a member of a wrong type
error: account: accounts/b.example/2/account.json: server is not an http or https URL
error: account: accounts/c.example/3/account.json: registration.accountURL is an account of another server than https://c.example/dir
error: account: accounts/d.example/4/4.key: found data that is neither PEM, DER nor a JWK: there is no private key in it (supported are RSA keys of 2048 to 8192 bits and EC keys on P-256, P-384 or P-521, unencrypted, in PEM, in DER or as a JWK)
error: account: accounts/e.example/5/account.json: malformed JSON, or a member of a wrong type
`,
		},
		"another key is registered": {
			files: map[string]string{
				dir + "account.json":        `{"server": "https://ca.example/directory", "registration": {"accountURL": "https://ca.example/1", "key": {"kty": "EC", "crv": "P-256", "x": "4RCmaBwK6jWdJTczRnIl5eyfhKVCDwXzlzd0ktKWh3g", "y": "VQPbLEcju2zN8wcVk57KXb5UlIxgbLCvpgr7TX7Q2Gc"}}}`,
				dir + "you@example.com.key": "key:p256-parameters-sec1.pem",
			},
			want: dir + "you@example.com.key\n" + `  stored by   lego
  key         EC P-256 ` + p256 + `
  directory   https://ca.example/directory
  mode        0600
  problem     no-url
error: account: ` + dir + `account.json: it is about another key than that in you@example.com.key
`,
		},
	})
}
