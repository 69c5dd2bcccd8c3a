package account

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"
)

// testKey reads one of testdata/keys, which OpenSSL made for nothing but these
// tests.
func testKey(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata/keys", name))
	require.NoError(t, err)
	return data
}

func parsed(t testing.TB, name string) crypto.Signer {
	t.Helper()
	key, err := ParseKey(testKey(t, name))
	require.NoError(t, err)
	return key
}

// testJWK returns the named key as a JWK, with some members changed; a nil
// removes one.
func testJWK(t testing.TB, name string, changes map[string]any) []byte {
	t.Helper()
	members := jwkMembers(t, parsed(t, name))
	for member, value := range changes {
		members[member] = value
		if value == nil {
			delete(members, member)
		}
	}
	data, err := json.Marshal(members)
	require.NoError(t, err)
	return data
}

func jwkMembers(t testing.TB, key any) map[string]any {
	t.Helper()
	data, err := jose.JSONWebKey{Key: key}.MarshalJSON()
	require.NoError(t, err)
	var members map[string]any
	require.NoError(t, json.Unmarshal(data, &members))
	return members
}

func TestParseKey(t *testing.T) {
	p256, rsa2048 := string(testKey(t, "p256-parameters-sec1.pem")), string(testKey(t, "rsa2048-pkcs1.pem"))
	certificate := string(testKey(t, "p384-certificate.pem"))
	crlf := func(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") }
	for _, test := range []struct {
		name, input, want string
		same              string // the file of the same key
	}{
		{"PKCS1", rsa2048, "RSA 2048", ""},
		{"PKCS8 RSA", string(testKey(t, "rsa4096-pkcs8.pem")), "RSA 4096", ""},
		{"largest RSA", string(testKey(t, "rsa8192-pkcs8.pem")), "RSA 8192", ""},
		{"SEC1 after EC PARAMETERS", p256, "EC P-256", ""},
		{"SEC1", string(testKey(t, "p384-sec1.pem")), "EC P-384", ""},
		{"PKCS8 EC", string(testKey(t, "p521-pkcs8.pem")), "EC P-521", ""},
		{"JWK RSA", string(testJWK(t, "rsa2048-pkcs1.pem", nil)), "RSA 2048", "rsa2048-pkcs1.pem"},
		{"JWK P-256", string(testJWK(t, "p256-parameters-sec1.pem", nil)), "EC P-256", "p256-parameters-sec1.pem"},
		{"JWK P-384", string(testJWK(t, "p384-sec1.pem", nil)), "EC P-384", "p384-sec1.pem"},
		{"JWK P-521", string(testJWK(t, "p521-pkcs8.pem", nil)), "EC P-521", "p521-pkcs8.pem"},
		{"JWK with other members", string(testJWK(t, "p384-sec1.pem", map[string]any{"use": "sig", "kid": "1", "alg": "ES384", "x-more": []int{1}})), "EC P-384", "p384-sec1.pem"},
		{"JWK without CRT values", string(testJWK(t, "rsa2048-pkcs1.pem", map[string]any{"dp": nil, "dq": nil, "qi": nil})), "RSA 2048", "rsa2048-pkcs1.pem"},
		{"JWK with one CRT value", string(testJWK(t, "rsa2048-pkcs1.pem", map[string]any{"dq": nil, "qi": nil})), "RSA 2048", "rsa2048-pkcs1.pem"},
		{"JWK with BOM and space", "\ufeff \r\n" + string(testJWK(t, "p384-sec1.pem", nil)) + "\r\n\r\n", "EC P-384", "p384-sec1.pem"},
		{"CRLF", crlf(p256), "EC P-256", "p256-parameters-sec1.pem"},
		{"BOM", "\ufeff" + rsa2048, "RSA 2048", "rsa2048-pkcs1.pem"},
		{"BOM and CRLF", "\ufeff" + crlf(rsa2048), "RSA 2048", "rsa2048-pkcs1.pem"},
		{"leading text", "Bag Attributes\n    friendlyName: account\n" + rsa2048, "RSA 2048", "rsa2048-pkcs1.pem"},
		{"trailing text", rsa2048 + "\n-- \nsent from my server\n", "RSA 2048", "rsa2048-pkcs1.pem"},
		{"no newline at the end", strings.TrimSpace(rsa2048), "RSA 2048", "rsa2048-pkcs1.pem"},
		{"certificate before", certificate + rsa2048, "RSA 2048", "rsa2048-pkcs1.pem"},
		{"certificate after", rsa2048 + certificate, "RSA 2048", "rsa2048-pkcs1.pem"},
		{"PKCS8 under another name", strings.ReplaceAll(string(testKey(t, "p521-pkcs8.pem")), " PRIVATE", " EC PRIVATE"), "EC P-521", "p521-pkcs8.pem"},
		{"SEC1 under another name", strings.ReplaceAll(string(testKey(t, "p384-sec1.pem")), "EC PRIVATE", "PRIVATE"), "EC P-384", "p384-sec1.pem"},
	} {
		t.Run(test.name, func(t *testing.T) {
			key, err := ParseKey([]byte(test.input))
			require.NoError(t, err)
			require.Equal(t, test.want, Account{Key: key}.KeyType())
			requireSigns(t, key)
			if test.same != "" {
				type equaler interface{ Equal(crypto.PrivateKey) bool }
				require.True(t, key.(equaler).Equal(parsed(t, test.same)))
			}
		})
	}
}

// requireSigns checks what key signs against its public half as it goes over
// the wire.
func requireSigns(t testing.TB, key crypto.Signer) {
	t.Helper()
	algorithm := map[string]jose.SignatureAlgorithm{"EC P-256": jose.ES256, "EC P-384": jose.ES384, "EC P-521": jose.ES512}[Account{Key: key}.KeyType()]
	if _, ok := key.(*rsa.PrivateKey); ok {
		algorithm = jose.RS256
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: algorithm, Key: key}, nil)
	require.NoError(t, err)
	signed, err := signer.Sign([]byte("payload"))
	require.NoError(t, err)
	payload, err := signed.Verify(key.Public())
	require.NoError(t, err)
	require.Equal(t, "payload", string(payload))
}

func TestParseKeyErrors(t *testing.T) {
	file := func(name string) string { return string(testKey(t, name)) }
	rsaJWK := func(changes map[string]any) string { return string(testJWK(t, "rsa2048-pkcs1.pem", changes)) }
	ecJWK := func(changes map[string]any) string { return string(testJWK(t, "p384-sec1.pem", changes)) }
	rsa2048 := file("rsa2048-pkcs1.pem")
	other := jwkMembers(t, parsed(t, "rsa4096-pkcs8.pem"))
	otherEC, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	require.NoError(t, err)
	ec := jwkMembers(t, otherEC)
	const (
		damaged    = "a private key that is damaged or of a rare kind (such as Ed448, RSA-PSS or another curve)"
		cutOff     = "a PEM block that is cut off or otherwise damaged"
		badJSON    = "JSON with a syntax error, a member that is there twice, or one of a wrong type"
		badMembers = "a JWK whose members are malformed or do not fit together"
		contradict = "a private key whose parts contradict each other"
		neither    = "data that is neither PEM, DER nor a JWK"
	)
	for _, test := range []struct {
		name, input, found string
		err                error
	}{
		{"empty", "", "nothing (no data)", ErrNoPrivateKey},
		{"blank", " \r\n\ufeff"[:3], "nothing (no data)", ErrNoPrivateKey},
		{"BOM alone", "\ufeff\n", "nothing (no data)", ErrNoPrivateKey},
		{"text", "hello", neither, ErrNoPrivateKey},
		{"SSH public key", file("ed25519-openssh.pub"), neither, ErrNoPrivateKey},
		{"too long", strings.Repeat(" ", 1<<20) + rsa2048, "more than 1 MiB of data", ErrNoPrivateKey},

		{"legacy encryption RSA", file("rsa2048-encrypted-pkcs1.pem"), "an encrypted private key", ErrEncryptedKey},
		{"legacy encryption EC", file("p384-encrypted-sec1.pem"), "an encrypted private key", ErrEncryptedKey},
		{"PKCS8 encryption", file("p384-encrypted-pkcs8.pem"), "an encrypted private key", ErrEncryptedKey},

		{"public key", file("rsa2048-public.pem"), "a public key", ErrNoPrivateKey},
		{"public key PKCS1", file("rsa2048-public-pkcs1.pem"), "a public key", ErrNoPrivateKey},
		{"certificate", file("p384-certificate.pem"), "a certificate", ErrNoPrivateKey},
		{"certificate request", file("p384-request.pem"), "a certificate signing request", ErrNoPrivateKey},
		{"EC parameters", file("p256-parameters.pem"), "the name of an elliptic curve alone (EC PARAMETERS)", ErrNoPrivateKey},
		{"another block", "-----BEGIN MESSAGE-----\n-----END MESSAGE-----\n", "a PEM block of another kind", ErrNoPrivateKey},

		{"Ed25519", file("ed25519-pkcs8.pem"), "an Ed25519 private key", ErrUnsupportedKey},
		{"X25519", file("x25519-pkcs8.pem"), "an X25519 private key", ErrUnsupportedKey},
		{"P-224 SEC1", file("p224-sec1.pem"), "an EC private key on P-224", ErrUnsupportedKey},
		{"P-224 PKCS8", file("p224-pkcs8.pem"), "an EC private key on P-224", ErrUnsupportedKey},
		{"RSA 1024", file("rsa1024-pkcs1.pem"), "an RSA private key of 1024 bits", ErrUnsupportedKey},
		{"RSA 512", file("rsa512-pkcs8.pem"), "an RSA private key of 512 bits", ErrUnsupportedKey},
		{"DSA", file("dsa.pem"), "a DSA private key", ErrUnsupportedKey},
		{"OpenSSH", file("ed25519-openssh.pem"), "a private key in OpenSSH's own format", ErrUnsupportedKey},
		{"unknown private key", "-----BEGIN ODD PRIVATE KEY-----\n-----END ODD PRIVATE KEY-----\n", "a private key of an unknown kind", ErrUnsupportedKey},
		{"two keys", rsa2048 + file("p384-sec1.pem"), "a file of several private keys", ErrUnsupportedKey},
		{"the same key twice", rsa2048 + rsa2048, "a file of several private keys", ErrUnsupportedKey},
		{"large DER", block("PRIVATE KEY", make([]byte, 8<<10+1)), "a private key of more than 8 KiB", ErrUnsupportedKey},

		{"Ed448", file("ed448-pkcs8.pem"), damaged, ErrMalformedKey},
		{"secp256k1", file("secp256k1-sec1.pem"), damaged, ErrMalformedKey},
		{"RSA-PSS", file("rsapss-pkcs8.pem"), damaged, ErrMalformedKey},
		{"explicit curve", file("p256-explicit-sec1.pem"), damaged, ErrMalformedKey},
		{"empty block", block("PRIVATE KEY", nil), damaged, ErrMalformedKey},
		{"cut off", rsa2048[:len(rsa2048)/2], cutOff, ErrMalformedKey},
		{"bad base64", strings.Replace(rsa2048, "\nMII", "\nM*I", 1), cutOff, ErrMalformedKey},

		{"JWK RSA public", rsaJWK(map[string]any{"d": nil, "p": nil, "q": nil, "dp": nil, "dq": nil, "qi": nil}), "a JWK of a public key", ErrNoPrivateKey},
		{"JWK EC public", ecJWK(map[string]any{"d": nil}), "a JWK of a public key", ErrNoPrivateKey},
		{"other JSON", `{"uri": "https://ca.example/acct/1"}`, "JSON but not a JWK", ErrNoPrivateKey},
		{"empty JSON", `{}`, "JSON but not a JWK", ErrNoPrivateKey},
		{"JWK Set", `{"keys": [` + ecJWK(nil) + `]}`, "a JWK Set (give one key of it)", ErrUnsupportedKey},
		{"JWK oct", `{"kty": "oct", "k": "c2VjcmV0c2VjcmV0c2VjcmV0"}`, "a JWK of a symmetric key (kty oct)", ErrUnsupportedKey},
		{"JWK Ed25519", string(edJWK(t)), "a JWK of an Ed25519 key", ErrUnsupportedKey},
		{"JWK X448", `{"kty": "OKP", "crv": "X448"}`, "a JWK of an X448 key", ErrUnsupportedKey},
		{"JWK OKP unknown", `{"kty": "OKP", "crv": "` + strings.Repeat("secret", 9) + `"}`, "a JWK of an unknown kind", ErrUnsupportedKey},
		{"JWK unknown", ecJWK(map[string]any{"kty": "AKP"}), "a JWK of an unknown kind", ErrUnsupportedKey},
		{"JWK P-224", ecJWK(map[string]any{"crv": "P-224"}), "a JWK of an EC key on another curve", ErrUnsupportedKey},
		{"JWK RSA 1024", string(testBigJWK(t, "rsa1024-pkcs1.pem")), "an RSA private key of 1024 bits", ErrUnsupportedKey},
		{"JWK RSA huge", rsaJWK(map[string]any{"n": strings.Repeat("x", 12000)}), "an RSA private key of more than 8192 bits", ErrUnsupportedKey},
		{"JWK huge", rsaJWK(map[string]any{"d": strings.Repeat("x", 40000)}), "a JWK of more than 32 KiB", ErrUnsupportedKey},

		{"JWK syntax", ecJWK(nil)[:40], badJSON, ErrMalformedKey},
		{"JWK and more", ecJWK(nil) + "{}", badJSON, ErrMalformedKey},
		{"JWK twice the same member", strings.Replace(ecJWK(nil), "{", `{"d":"`+ec["d"].(string)+`",`, 1), badJSON, ErrMalformedKey},
		{"JWK member a number", rsaJWK(map[string]any{"d": json.Number("12345678901234567890")}), badJSON, ErrMalformedKey},
		{"JWK member a list", ecJWK(map[string]any{"d": []string{"AQAB"}}), badJSON, ErrMalformedKey},
		{"JWK RSA huge exponent", rsaJWK(map[string]any{"e": "AQAAAAAAAAABAAE"}), "a JWK of an RSA key with a huge exponent", ErrUnsupportedKey},
		{"JWK RSA without primes", rsaJWK(map[string]any{"p": nil, "q": nil}), "a JWK of an RSA key that lacks n, e, p or q", ErrMalformedKey},
		{"JWK RSA without exponent", rsaJWK(map[string]any{"e": nil}), "a JWK of an RSA key that lacks n, e, p or q", ErrMalformedKey},
		{"JWK EC without crv", ecJWK(map[string]any{"crv": nil}), "a JWK of an EC key that lacks crv", ErrMalformedKey},
		{"JWK EC without y", ecJWK(map[string]any{"y": nil}), "a JWK of an EC key that lacks x or y", ErrMalformedKey},
		{"JWK RSA wrong exponent", rsaJWK(map[string]any{"e": "Aw"}), badMembers, ErrMalformedKey},
		{"JWK RSA even exponent", rsaJWK(map[string]any{"e": "Ag"}), badMembers, ErrMalformedKey},
		{"JWK RSA other modulus", rsaJWK(map[string]any{"n": other["n"]}), badMembers, ErrMalformedKey},
		{"JWK RSA other private exponent", rsaJWK(map[string]any{"d": other["d"]}), badMembers, ErrMalformedKey},
		{"JWK RSA primes 1 and n", rsaJWK(map[string]any{"p": "AQ", "q": jwkMembers(t, parsed(t, "rsa2048-pkcs1.pem"))["n"]}), badMembers, ErrMalformedKey},
		{"JWK RSA zeroes", rsaJWK(map[string]any{"n": "AA", "p": "AA", "q": "AA", "d": "AA"}), badMembers, ErrMalformedKey},
		{"JWK RSA wrong CRT value", rsaJWK(map[string]any{"dp": "AQAB"}), badMembers, ErrMalformedKey},
		{"JWK RSA bad base64", rsaJWK(map[string]any{"d": "!!!!"}), badMembers, ErrMalformedKey},
		{"JWK EC other d", ecJWK(map[string]any{"d": ec["d"]}), contradict, ErrMalformedKey},
		{"JWK EC other point", ecJWK(map[string]any{"x": ec["x"], "y": ec["y"]}), contradict, ErrMalformedKey},
		{"JWK EC d zero", ecJWK(map[string]any{"d": base64.RawURLEncoding.EncodeToString(make([]byte, 48))}), contradict, ErrMalformedKey},
		{"JWK EC d above the order", ecJWK(map[string]any{"d": strings.Repeat("_", 64)}), contradict, ErrMalformedKey},
		{"JWK EC not on the curve", ecJWK(map[string]any{"x": ec["x"]}), badMembers, ErrMalformedKey},
		{"JWK EC point at zero", ecJWK(map[string]any{"x": strings.Repeat("A", 64), "y": strings.Repeat("A", 64)}), badMembers, ErrMalformedKey},
		{"JWK EC short d", ecJWK(map[string]any{"d": "AQAB"}), badMembers, ErrMalformedKey},
		{"JWK EC other curve's name", ecJWK(map[string]any{"crv": "P-256"}), badMembers, ErrMalformedKey},
	} {
		t.Run(test.name, func(t *testing.T) {
			key, err := ParseKey([]byte(test.input))
			require.Nil(t, key)
			require.ErrorIs(t, err, test.err)
			keyError, ok := errors.AsType[*KeyError](err)
			require.True(t, ok)
			require.Equal(t, &KeyError{test.found, test.err}, keyError)
			require.Equal(t, "found "+test.found+": "+test.err.Error()+
				" (supported are RSA keys of 2048 to 8192 bits and EC keys on P-256, P-384 or P-521,"+
				" unencrypted, in PEM, in DER or as a JWK)", err.Error())
		})
	}
}

func block(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

// testBigJWK makes a JWK of a key that ParseKey refuses.
func testBigJWK(t testing.TB, name string) []byte {
	t.Helper()
	decoded, _ := pem.Decode(testKey(t, name))
	key, err := x509.ParsePKCS1PrivateKey(decoded.Bytes)
	require.NoError(t, err)
	data, err := jose.JSONWebKey{Key: key}.MarshalJSON()
	require.NoError(t, err)
	return data
}

func edJWK(t testing.TB) []byte {
	t.Helper()
	decoded, _ := pem.Decode(testKey(t, "ed25519-pkcs8.pem"))
	key, err := x509.ParsePKCS8PrivateKey(decoded.Bytes)
	require.NoError(t, err)
	data, err := jose.JSONWebKey{Key: key}.MarshalJSON()
	require.NoError(t, err)
	return data
}

// TestParseKeyErrorsHideKey damages keys at every place where a parser's own
// message could quote them.
func TestParseKeyErrorsHideKey(t *testing.T) {
	for _, name := range []string{"rsa2048-pkcs1.pem", "p384-sec1.pem"} {
		key := parsed(t, name)
		secrets := keySecrets(key)
		members := jwkMembers(t, key)
		for member, value := range members {
			text, _ := value.(string)
			raw, _ := base64.RawURLEncoding.DecodeString(text)
			number := new(big.Int).SetBytes(raw).String()
			for _, bad := range []any{json.Number(number), []any{json.Number(number)}, text + "*", text[:len(text)/2], "=" + text, map[string]any{text: text}} {
				_, err := ParseKey(testJWK(t, name, map[string]any{member: bad}))
				if err != nil { // a member that is not needed may be anything
					requireHidden(t, err.Error(), secrets)
				}
			}
		}
		text := string(testKey(t, name))
		for i := 40; i < len(text)-40; i += 7 {
			for _, bad := range []string{text[:i] + "*" + text[i:], text[:i] + text[i+1:], text[:i] + "\n\n" + text[i:], text[:i]} {
				if _, err := ParseKey([]byte(bad)); err != nil {
					requireHidden(t, err.Error(), secrets)
				}
			}
		}
	}
}

// keySecrets returns the private numbers of a key in the ways in which they
// could be printed: decimal, hexadecimal, base64, and as lists of bytes and
// words. Each is cut to 12 characters so that a part is recognized too.
func keySecrets(key crypto.Signer) []string {
	var numbers []*big.Int
	switch key := key.(type) {
	case *rsa.PrivateKey:
		numbers = append(slices.Clone(key.Primes), key.D, key.Precomputed.Dp, key.Precomputed.Dq, key.Precomputed.Qinv)
	case *ecdsa.PrivateKey:
		raw, _ := key.Bytes()
		numbers = append(numbers, new(big.Int).SetBytes(raw))
	}
	var secrets []string
	for _, n := range numbers {
		raw := n.Bytes()
		decimal, hexed, b64, words := n.String(), hex.EncodeToString(raw), base64.RawURLEncoding.EncodeToString(raw), n.Bits()
		for _, s := range []string{decimal, decimal[20:], hexed, hexed[16:], strings.ToUpper(hexed), b64, b64[16:],
			base64.StdEncoding.EncodeToString(raw), base64.StdEncoding.EncodeToString(raw[1:]), base64.StdEncoding.EncodeToString(raw[2:])} {
			secrets = append(secrets, s[:12])
		}
		bytesList := strings.Trim(strings.Join(strings.Fields(sprint(raw[:6])), " "), "[]")
		secrets = append(secrets, bytesList, strings.ReplaceAll(bytesList, " ", ", "), sprint(uint64(words[0])), string(raw[:8]))
	}
	return secrets
}

func requireHidden(t testing.TB, printed string, secrets []string) {
	t.Helper()
	for _, secret := range secrets {
		if strings.Contains(printed, secret) || strings.Contains(strings.ToLower(printed), strings.ToLower(secret)) {
			t.Fatalf("%q shows a part of the key: %q", printed, secret)
		}
	}
}

// TestParseKeyHostileRSA gives keys whose numbers fit together and whose primes
// are none, of sizes that would take from seconds to hours to work with.
func TestParseKeyHostileRSA(t *testing.T) {
	for _, test := range []struct {
		bits  int
		found string
		err   error
	}{
		{2048, "a private key whose parts contradict each other", ErrMalformedKey},
		{8192, "a private key whose parts contradict each other", ErrMalformedKey},
		{8193, "an RSA private key of 8193 bits", ErrUnsupportedKey},
		{12288, "an RSA private key of 12288 bits", ErrUnsupportedKey},
		{500_000, "a private key of more than 8 KiB", ErrUnsupportedKey},
	} {
		key, err := ParseKey(pkcs1WithoutPrimes(t, test.bits))
		require.Nil(t, key)
		require.Equal(t, &KeyError{test.found, test.err}, err)
	}
}

// pkcs1WithoutPrimes returns an RSA key whose primes are products.
func pkcs1WithoutPrimes(t testing.TB, bits int) []byte {
	t.Helper()
	one, e := big.NewInt(1), big.NewInt(65537)
	odd := func(bits int, top int64) *big.Int {
		n := new(big.Int).Lsh(big.NewInt(top), uint(bits-4))
		for n.Add(n, big.NewInt(1)); ; n.Add(n, big.NewInt(2)) {
			less := new(big.Int).Sub(n, one)
			if new(big.Int).Mod(n, big.NewInt(3)).Sign() == 0 && new(big.Int).GCD(nil, nil, e, less).Cmp(one) == 0 {
				return n
			}
		}
	}
	p, q := odd(bits/2, 15), odd(bits-bits/2, 13)
	for new(big.Int).GCD(nil, nil, p, q).Cmp(one) != 0 {
		q.Add(q, big.NewInt(2))
	}
	phi := new(big.Int).Mul(new(big.Int).Sub(p, one), new(big.Int).Sub(q, one))
	d := new(big.Int).ModInverse(e, phi)
	mod := func(a, b *big.Int) *big.Int { return new(big.Int).Mod(a, new(big.Int).Sub(b, one)) }
	der, err := asn1.Marshal(struct {
		Version                   int
		N                         *big.Int
		E                         int
		D, P, Q, DP, DQ, QInverse *big.Int
	}{0, new(big.Int).Mul(p, q), 65537, d, p, q, mod(d, p), mod(d, q), new(big.Int).ModInverse(q, p)})
	require.NoError(t, err)
	return []byte(block("RSA PRIVATE KEY", der))
}

func FuzzParseKey(f *testing.F) {
	names, err := filepath.Glob("testdata/keys/*")
	require.NoError(f, err)
	for _, name := range names {
		if !strings.Contains(name, "8192") {
			f.Add(testKey(f, filepath.Base(name)))
		}
	}
	f.Add(testJWK(f, "p384-sec1.pem", nil))
	f.Add(testJWK(f, "p256-parameters-sec1.pem", map[string]any{"d": "AQAB"}))
	f.Add(testJWK(f, "rsa2048-pkcs1.pem", nil))
	f.Add([]byte(`{"kty":"RSA","n":"AQAB","e":"AQAB","d":"AQAB","p":"AQAB","q":"AQAB"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		key, err := ParseKey(data)
		if err != nil {
			_, ok := errors.AsType[*KeyError](err)
			require.True(t, ok)
			require.Nil(t, key)
			return
		}
		require.Contains(t, []string{"RSA", "EC"}, strings.Fields(Account{Key: key}.KeyType())[0])
		requireSigns(t, key)
	})
}

// TestParseKeyDER parses what is in PEM blocks without the PEM.
func TestParseKeyDER(t *testing.T) {
	for _, name := range []string{"rsa2048-pkcs1.pem", "rsa4096-pkcs8.pem", "p384-sec1.pem", "p521-pkcs8.pem"} {
		data, err := os.ReadFile(filepath.Join("testdata/keys", name))
		require.NoError(t, err)
		block, _ := pem.Decode(data)
		key, err := ParseKey(block.Bytes)
		require.NoError(t, err, name)
		require.Equal(t, parsed(t, name).Public(), key.Public())
		_, err = ParseKey(block.Bytes[:len(block.Bytes)-1])
		require.ErrorIs(t, err, ErrNoPrivateKey, "cut off, and not DER any more")
	}
	data, err := os.ReadFile("testdata/keys/rsa2048-public.pem")
	require.NoError(t, err)
	block, _ := pem.Decode(data)
	_, err = ParseKey(block.Bytes)
	require.ErrorIs(t, err, ErrMalformedKey)
}
