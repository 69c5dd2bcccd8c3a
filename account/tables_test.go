package account

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"
)

// TestTables has directories that no client left here: other versions, pieces that are
// missing, files with faults. What is read of each is in testdata/tables, a file for
// each client.
func TestTables(t *testing.T) {
	for client, table := range map[string]struct {
		read func(fs.FS) ([]*Account, error)
		rows map[string]map[string]string
	}{
		"acme.sh":      {AcmeSh, acmeShTable()},
		"dehydrated":   {Dehydrated, dehydratedTable(t)},
		"caddy":        {Caddy, caddyTable()},
		"traefik":      {Traefik, traefikTable(t)},
		"mod_md":       {ModMD, modMDTable(t)},
		"autocert":     {Autocert, autocertTable()},
		"acmetool":     {Acmetool, acmetoolTable()},
		"uacme":        {Uacme, uacmeTable()},
		"lacme":        {Lacme, lacmeTable()},
		"simp_le":      {SimpLe, simpLeTable(t)},
		"win-acme":     {WinAcme, winAcmeTable(t)},
		"terraform":    {Terraform, terraformTable(t)},
		"instant-acme": {InstantAcme, instantTable(t)},
		"acme-tiny":    {AcmeTiny, acmeTinyTable()},
	} {
		t.Run(client, func(t *testing.T) {
			var got strings.Builder
			for _, name := range slices.Sorted(maps.Keys(table.rows)) {
				accounts, err := table.read(files(t, table.rows[name]))
				requireFaults(t, err)
				for _, a := range accounts {
					requireSigns(t, a.Key)
				}
				text := describe(accounts, err)
				requireNoSecrets(t, text, tableSecrets(t))
				fmt.Fprintf(&got, "# %s\n%s\n", name, text)
			}
			requireGolden(t, filepath.Join("testdata/tables", client+".txt"), got.String())
		})
	}
}

// tableSecrets are the private numbers of the keys in tables, and other secrets there.
func tableSecrets(t *testing.T) []string {
	secrets := []string{"external-account-binding"}
	for _, key := range []string{"p256-parameters-sec1.pem", "p384-sec1.pem", "p521-pkcs8.pem", "rsa2048-pkcs1.pem"} {
		secrets = append(secrets, keySecrets(parsed(t, key))...)
	}
	return secrets
}

const (
	key256    = "key:p256-parameters-sec1.pem"
	key384    = "key:p384-sec1.pem"
	key2048   = "key:rsa2048-pkcs1.pem"
	encrypted = "key:p384-encrypted-pkcs8.pem"
)

// registered is the public JWK of a key in testdata/keys.
func registered(t testing.TB, name string) string {
	doc, err := jose.JSONWebKey{Key: parsed(t, name).Public()}.MarshalJSON()
	require.NoError(t, err)
	return string(doc)
}

func pemOf(t testing.TB, name string) string {
	data, err := os.ReadFile(filepath.Join("testdata/keys", name))
	require.NoError(t, err)
	return string(data)
}

func quoted(s string) string {
	doc, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return string(doc)
}

func acmeShTable() map[string]map[string]string {
	return map[string]map[string]string{
		"nothing":          {},
		"another client's": {"ca/readme.txt": "", "accounts/ca.example/x": ""},
		"no account URL":   {"ca/ca.example/directory/account.key": key256},
		"the port is in the account URL": {
			"ca/localhost/dir/account.key": key256, "ca/localhost/dir/ca.conf": "CA_EMAIL='a@example.com'\nACCOUNT_URL='https://localhost:14000/my-account/1'\n",
		},
		"the port is in a certificate's configuration": {
			"ca/localhost/dir/account.key": key256, "www.example.com_ecc/www.example.com.conf": "Le_Domain='www.example.com'\nLe_API='https://localhost:14000/dir'\n",
		},
		"values in base64": {
			"ca/ca.example/v2/DV90/account.key": key384,
			"ca/ca.example/v2/DV90/ca.conf":     "ACCOUNT_URL='__ACME_BASE64__START_" + base64.StdEncoding.EncodeToString([]byte("https://ca.example/acct/1")) + "__ACME_BASE64__END_'\n",
		},
		"an account of another server":  {"ca/ca.example/directory/account.key": key256, "ca/ca.example/directory/ca.conf": "ACCOUNT_URL='https://other.example/1'\n"},
		"an account URL that is none":   {"ca/ca.example/directory/account.key": key256, "ca/ca.example/directory/ca.conf": "ACCOUNT_URL='$(id)'\nCA_EAB_HMAC_KEY='external-account-binding'\n"},
		"broken JSON":                   {"ca/ca.example/directory/account.key": key256, "ca/ca.example/directory/account.json": "{", "ca/ca.example/directory/ca.conf": "ACCOUNT_URL='https://ca.example/1'\n"},
		"another key is registered":     {"ca/ca.example/directory/account.key": key384, "ca/ca.example/directory/account.json": `{"contact": ["mailto:x@example.com"], "key": {"kty": "EC", "crv": "P-256", "x": "4RCmaBwK6jWdJTczRnIl5eyfhKVCDwXzlzd0ktKWh3g", "y": "VQPbLEcju2zN8wcVk57KXb5UlIxgbLCvpgr7TX7Q2Gc"}}`, "ca/ca.example/directory/ca.conf": "ACCOUNT_URL='https://ca.example/1'\n"},
		"an encrypted key, and another": {"ca/a.example/directory/account.key": encrypted, "ca/b.example/directory/account.key": key256},
		"a link":                        {"ca/ca.example/directory/account.key": "-> ../../../keys/mine.pem", "keys/mine.pem": key256},
		"escapes in a contact":          {"ca/ca.example/directory/account.key": key256, "ca/ca.example/directory/account.json": `{"contact": ["mailto:\u001b[31m@example.com"]}`},
		"directories without end":       {"ca/a/b/c/d/e/f/g/h/i/j/account.key": key256},
	}
}

func dehydratedTable(t testing.TB) map[string]map[string]string {
	dir := func(url string) string { return "accounts/" + base64.RawURLEncoding.EncodeToString([]byte(url)) + "/" }
	ca := dir("https://ca.example/dir\n")
	return map[string]map[string]string{
		"nothing":            {},
		"another client's":   {"accounts/ca.example/directory/0/private_key.json": "{}"},
		"no newline, padded": {"accounts/aHR0cHM6Ly9jYS5leGFtcGxlL2Q=/account_key.pem": key256},
		"before 0.7":         {ca + "account_key.pem": key256, ca + "registration_info.json": `{"id": 5, "contact": ["mailto:a@example.com"]}`},
		"today": {
			ca + "account_key.pem": key256, ca + "account_id.json": `{"url": "https://ca.example/acct/1"}`,
			ca + "registration_info.json": `{"contact": ["mailto:a@example.com"], "key": ` + registered(t, "p256-parameters-sec1.pem") + `}`,
		},
		"another key is registered": {
			ca + "account_key.pem": key384, ca + "account_id.json": `{"url": "https://ca.example/acct/1"}`,
			ca + "registration_info.json": `{"key": ` + registered(t, "p256-parameters-sec1.pem") + `}`,
		},
		"faults": {
			ca + "account_key.pem": key256, ca + "account_id.json": `{"url": "https://other.example/acct/1"}`, ca + "registration_info.json": `[]`,
			dir("https://b.example/\x1b[31m\n") + "account_key.pem": key256, dir("https://c.example/\n") + "account_key.pem": encrypted,
		},
	}
}

func caddyTable() map[string]map[string]string {
	user := func(server, url string) map[string]string {
		dir := "acme/" + server + "/users/default/default"
		return map[string]string{dir + ".key": key256, dir + ".json": `{"location": "` + url + `"}`}
	}
	return map[string]map[string]string{
		"nothing":                      {},
		"a port, with a dash":          user("localhost-14000-dir", "https://localhost:14000/my-account/1"),
		"a port, without":              user("localhost14000-dir", "https://localhost:14000/my-account/1"),
		"a path of two":                user("ca.internal-acme-acme-directory", "https://ca.internal/acme/acme/account/1"),
		"a CA that is known":           user("acme.zerossl.com-v2-dv90", "https://acme.zerossl.com/v2/DV90/account/1"),
		"an account of another server": user("ca.example-directory", "https://other.example/1"),
		"no JSON":                      {"acme/acme-v02.api.letsencrypt.org-directory/users/a@example.com/a.key": key256},
		"broken JSON":                  {"acme/ca.example-dir/users/a@example.com/a.key": key256, "acme/ca.example-dir/users/a@example.com/a.json": "{"},
		"an encrypted key":             {"acme/ca.example-dir/users/a@example.com/a.key": encrypted},
		"two users": {
			"acme/ca.example-dir/users/a@example.com/a.key": key256, "acme/ca.example-dir/users/a@example.com/a.json": `{"location": "https://ca.example/1", "contact": ["mailto:a@example.com"]}`,
			"acme/ca.example-dir/users/b@example.com/b.key": key384, "acme/ca.example-dir/users/b@example.com/b.json": `{"location": "https://ca.example/2"}`,
		},
	}
}

func traefikTable(t testing.TB) map[string]map[string]string {
	rsa, ec := derOf(t, "rsa2048-pkcs1.pem"), derOf(t, "p384-sec1.pem")
	account := func(uri, key string) string {
		return `{"Email": "a@example.com", "Registration": {"body": {"contact": ["mailto:a@example.com"]}, "uri": "` + uri + `"}, "PrivateKey": "` + key + `", "KeyType": "4096"}`
	}
	return map[string]map[string]string{
		"nothing":            {},
		"other JSON":         {"package.json": `{"name": "x"}`, "list.json": `[1]`, "broken.json": `{`, "certs.json": `{"le": {"Account": null, "Certificates": []}}`},
		"version 1":          {"acme.json": `{"Account": ` + account("https://acme-v02.api.letsencrypt.org/acme/acct/1", rsa) + `, "Certificates": []}`},
		"two resolvers":      {"acme.json": `{"le": {"Account": ` + account("https://acme-staging-v02.api.letsencrypt.org/acme/acct/1", rsa) + `}, "zero": {"Account": ` + account("https://ca.example/2", ec) + `}}`},
		"a resolver unused":  {"acme.json": `{"le": {"Account": {"Email": "", "Registration": null, "PrivateKey": null}, "Certificates": null}, "b": {"Account": ` + account("https://ca.example/2", ec) + `}}`},
		"no base64":          {"acme.json": `{"le": {"Account": ` + account("https://ca.example/1", "***") + `}}`},
		"no key":             {"acme.json": `{"le": {"Account": ` + account("https://ca.example/1", "AAAA") + `}}`},
		"a member twice":     {"acme.json": `{"le": {"Account": ` + account("https://ca.example/1", rsa) + `}, "le": {"Account": ` + account("https://ca.example/2", rsa) + `}}`},
		"a URL that is none": {"acme.json": `{"le": {"Account": ` + account("javascript:1", rsa) + `}}`},
	}
}

func modMDTable(t testing.TB) map[string]map[string]string {
	const store, dir = "md_store.json", "accounts/ACME-ca.example-0000/"
	json := `{"url": "https://ca.example/acct/1", "ca-url": "https://ca.example/dir", "contact": ["mailto:a@example.com"], "registration": {"key": ` + registered(t, "p384-sec1.pem") + `}}`
	secret := base64.RawURLEncoding.EncodeToString([]byte("secret"))
	return map[string]map[string]string{
		"nothing":                   {},
		"another client's":          {"accounts/ca.example/account.json": "{}"},
		"the key is not encrypted":  {store: `{"store": {"version": 2}}`, dir + "account.json": json, dir + "account.pem": key384},
		"the key is encrypted":      {store: `{"key": "` + secret + `"}`, dir + "account.json": json, dir + "account.pem": encrypted},
		"another passphrase":        {store: `{"key": "AAAA"}`, dir + "account.json": json, dir + "account.pem": encrypted},
		"no passphrase":             {dir + "account.json": json, dir + "account.pem": encrypted},
		"the old way of encrypting": {store: `{"key": "` + secret + `"}`, dir + "account.json": json, dir + "account.pem": "key:p384-encrypted-sec1.pem"},
		"a passphrase that is none": {store: `{"key": "+++"}`, dir + "account.json": json, dir + "account.pem": key384},
		"another key is registered": {store: `{}`, dir + "account.json": json, dir + "account.pem": key256},
		"still in staging":          {store: `{}`, "staging/www.example.com/account.json": json, "staging/www.example.com/account.pem": key384, "staging/www.example.com/privkey.pem": key256},
		"broken":                    {store: `{`, dir + "account.json": `{`, dir + "account.pem": key384},
	}
}

func autocertTable() map[string]map[string]string {
	return map[string]map[string]string{
		"nothing": {"www.example.com": key256},
		"of 2017": {"acme_account.key": key256},
		"both":    {"acme_account.key": key256, "acme_account+key": key384},
		"no key":  {"acme_account+key": "x"},
	}
}

func acmetoolTable() map[string]map[string]string {
	return map[string]map[string]string{
		"nothing":               {"accounts/ca.example/directory/0/private_key.json": "{}"},
		"a port":                {"accounts/localhost:14000%2fdir/id/privkey": key256},
		"a name that is no URL": {"accounts/%zz/id/privkey": key256, "accounts/a%20b/id/privkey": key384},
		"an encrypted key":      {"accounts/ca.example%2fdir/id/privkey": encrypted},
	}
}

func uacmeTable() map[string]map[string]string {
	return map[string]map[string]string{
		"nothing":                {"private/www.example.com/key.pem": key256},
		"beside a certificate's": {"private/key.pem": key384, "private/www.example.com/key.pem": key256},
		"a public key":           {"private/key.pem": "key:rsa2048-public.pem"},
	}
}

func lacmeTable() map[string]map[string]string {
	const conf = "lacme-accountd.conf"
	return map[string]map[string]string{
		"nothing":          {"account.key": key256},
		"beside":           {conf: "[lacme]\n# privkey = no\n privkey = file:/etc/lacme/account.key \n", "account.key": key2048},
		"elsewhere":        {conf: "privkey = file:/srv/keys/lacme.key\n"},
		"GnuPG":            {conf: "privkey = gpg:/etc/lacme/account.key.gpg\n"},
		"nowhere":          {conf: "#privkey = file:x\n"},
		"an encrypted key": {conf: "privkey = file:account.key\n", "account.key": encrypted},
	}
}

func simpLeTable(t testing.TB) map[string]map[string]string {
	key := string(testJWK(t, "p256-parameters-sec1.pem", nil))
	return map[string]map[string]string{
		"nothing":         {"account_reg.json": regr("https://ca.example/1")},
		"of ACME v1":      {"account_key.json": key, "account_reg.json": regr("https://acme-v01.api.letsencrypt.org/acme/reg/1")},
		"no registration": {"account_key.json": key},
		"broken":          {"account_key.json": key, "account_reg.json": "{"},
		"no JWK":          {"account_key.json": "{}"},
	}
}

func winAcmeTable(t testing.TB) map[string]map[string]string {
	var ec struct{ D, X, Y string }
	require.NoError(t, json.Unmarshal(testJWK(t, "p256-parameters-sec1.pem", nil), &ec))
	var rsa struct{ N, E, D, P, Q, DP, DQ, QI string }
	require.NoError(t, json.Unmarshal(testJWK(t, "rsa2048-pkcs1.pem", nil), &rsa))
	standard := func(url string) string {
		raw, err := base64.RawURLEncoding.DecodeString(url)
		require.NoError(t, err)
		return base64.StdEncoding.EncodeToString(raw)
	}
	ecExport := fmt.Sprintf(`{"HashSize": 256, "D": %q, "X": %q, "Y": %q}`, standard(ec.D), standard(ec.X), standard(ec.Y))
	rsaExport := fmt.Sprintf("<RSAKeyValue><Modulus>%s</Modulus><Exponent>%s</Exponent><P>%s</P><Q>%s</Q><DP>%s</DP><DQ>%s</DQ><InverseQ>%s</InverseQ><D>%s</D></RSAKeyValue>",
		standard(rsa.N), standard(rsa.E), standard(rsa.P), standard(rsa.Q), standard(rsa.DP), standard(rsa.DQ), standard(rsa.QI), standard(rsa.D))
	signer := func(kind, export string) string {
		return `{"KeyType": "` + kind + `", "KeyExport": ` + quoted(export) + `}`
	}
	clearText := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
	registration := `{"Payload": {"contact": ["mailto:a@example.com"], "key": ` + registered(t, "p256-parameters-sec1.pem") + `}, "Kid": "https://acme-v02.api.letsencrypt.org/acme/acct/1"}`
	return map[string]map[string]string{
		"nothing":                   {"Registration_v2": registration},
		"EC, in the clear":          {"Signer_v2": "clear-" + clearText(signer("ES256", ecExport)), "Registration_v2": "\ufeff" + registration},
		"RSA, in the clear":         {"Signer_v2": clearText(signer("RS256", rsaExport))},
		"as JSON":                   {"Signer_v2": signer("ES256", ecExport)},
		"protected":                 {"Signer_v2": "enc-AQAAANCMnd8BFdERjHoAwE", "Registration_v2": registration},
		"two accounts":              {"Signer_v2": "enc-AAAA", "test_Signer_v2": signer("ES256", ecExport), "test_Registration_v2": registration},
		"another key is registered": {"Signer_v2": signer("RS256", rsaExport), "Registration_v2": registration},
		"broken":                    {"Signer_v2": "clear-AAAA", "a_Signer_v2": signer("ES256", "{"), "b_Signer_v2": signer("RS256", "<x"), "c_Signer_v2": signer("ES999", `{"HashSize": 999, "D": "AA=="}`)},
		"a broken registration":     {"Signer_v2": signer("ES256", ecExport), "Registration_v2": "{"},
	}
}

func terraformTable(t testing.TB) map[string]map[string]string {
	resource := func(kind, attributes string) string {
		return `{"mode": "managed", "type": "` + kind + `", "name": "x", "instances": [{"attributes": ` + attributes + `}]}`
	}
	state := func(resources ...string) string {
		return `{"version": 4, "resources": [` + strings.Join(resources, ",") + `]}`
	}
	key := quoted(pemOf(t, "rsa2048-pkcs1.pem"))
	registration := resource("acme_registration", `{"account_key_pem": `+key+`, "registration_url": "https://acme-staging-v02.api.letsencrypt.org/acme/acct/1", "email_address": "a@example.com"}`)
	certificate := resource("acme_certificate", `{"account_key_pem": `+key+`, "certificate_pem": "x"}`)
	return map[string]map[string]string{
		"beside other providers'":  {"terraform.tfstate": "\ufeff" + state(resource("x_user", `{"email_address": ["a"], "account_key_pem": 1}`), registration)},
		"nothing":                  {"terraform.tfstate": state(resource("aws_instance", `{"account_key_pem": 1}`)), "x.tfstate": "{"},
		"a registration":           {"terraform.tfstate": state(registration, certificate)},
		"a certificate by itself":  {"terraform.tfstate": state(certificate, certificate)},
		"a key that is taken away": {"terraform.tfstate": state(resource("acme_registration", `{"account_key_pem": "", "registration_url": "https://ca.example/1"}`))},
		"no key":                   {"terraform.tfstate": state(resource("acme_registration", `{"account_key_pem": "x"}`))},
		"a member twice":           {"terraform.tfstate": `{"version": 4, "version": 4, "resources": [` + registration + `]}`},
	}
}

func instantTable(t testing.TB) map[string]map[string]string {
	der := derOf(t, "p521-pkcs8.pem")
	return map[string]map[string]string{
		"nothing":                      {"a.json": `{"id": "x"}`, "b.json": `[]`},
		"today":                        {"a.json": `{"id": "https://ca.example/acct/1", "key_pkcs8": "` + urlEncoding(der) + `", "directory": "https://ca.example/dir"}`},
		"before 0.4":                   {"a.json": `{"id": "https://acme-v02.api.letsencrypt.org/acme/acct/1", "key_pkcs8": "` + der + `", "urls": {"newNonce": "x"}}`},
		"no base64":                    {"a.json": `{"id": "https://ca.example/acct/1", "key_pkcs8": "***"}`},
		"an account of another server": {"a.json": `{"id": "https://other.example/acct/1", "key_pkcs8": "` + der + `", "directory": "https://ca.example/dir"}`},
		"a member twice":               {"a.json": `{"id": "https://a.example/1", "id": "https://b.example/1", "key_pkcs8": "` + der + `"}`},
	}
}

func acmeTinyTable() map[string]map[string]string {
	return map[string]map[string]string{
		"nothing":         {"domain.key": key256},
		"RSA":             {"account.key": key2048},
		"of another kind": {"account.key": "key:ed25519-pkcs8.pem"},
		"too small":       {"account.key": "key:rsa1024-pkcs1.pem"},
	}
}
