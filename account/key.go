package account

import (
	"bytes"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/json"
)

// What a [KeyError] wraps, for [errors.Is].
var (
	// ErrEncryptedKey means that the key is locked with a passphrase.
	ErrEncryptedKey = errors.New("decrypt a copy of it first, for example with: openssl pkey -in KEY -out PLAINKEY")

	// ErrNoPrivateKey means that the input is something else than a private
	// key: a public key, a certificate, other text.
	ErrNoPrivateKey = errors.New("there is no private key in it")

	// ErrUnsupportedKey means that the input is a private key that cannot be
	// used: an Ed25519 key, an RSA key of 1024 bits, several keys in one file.
	ErrUnsupportedKey = errors.New("it is not supported")

	// ErrMalformedKey means that the input is a private key with a fault: cut
	// off, a member missing or there twice, halves that do not fit together.
	ErrMalformedKey = errors.New("it cannot be used")
)

// A KeyError says why [ParseKey] got no key from its input.
type KeyError struct {
	// Found says what the input is, such as "an Ed25519 private key". It never
	// quotes the input.
	Found string

	// Err is ErrEncryptedKey, ErrNoPrivateKey, ErrUnsupportedKey or
	// ErrMalformedKey.
	Err error
}

// Error says what was found, what is wrong with it and what is supported.
func (e *KeyError) Error() string {
	return "found " + e.Found + ": " + e.Err.Error() +
		" (supported are RSA keys of 2048 to 8192 bits and EC keys on P-256, P-384 or P-521," +
		" unencrypted, in PEM, in DER or as a JWK)"
}

// Unwrap returns Err.
func (e *KeyError) Unwrap() error { return e.Err }

const (
	minRSABits = 2048 // CAs refuse less, Let's Encrypt for one
	maxRSABits = 8192 // above, a hostile file could buy minutes of arithmetic

	maxDER = 8 << 10  // an RSA key of 8192 bits takes less than 5 KiB
	maxJWK = 32 << 10 // likewise, with room for other members
)

// ParseKey reads an account's private key: an RSA key of 2048 to 8192 bits
// (returned as [*rsa.PrivateKey]) or an EC key on P-256, P-384 or P-521
// (returned as [*ecdsa.PrivateKey]).
//
// The data, 1 MiB at the most, is a JWK (RFC 7517), or DER in PKCS #1, SEC 1 or
// PKCS #8 form, or text with a PEM block of such DER (RFC 7468). Around that block there may be
// other text and other blocks, such as the EC parameters that OpenSSL writes or
// certificates, but no second private key.
//
// The key has been tried: what it signs verifies with its public half.
//
// Every error is a [*KeyError] and holds no part of the input.
func ParseKey(data []byte) (crypto.Signer, error) {
	if len(data) > maxFile {
		return nil, &KeyError{"more than 1 MiB of data", ErrNoPrivateKey}
	}
	if isDER(data) {
		return parseDER(data)
	}
	data = bytes.TrimSpace(bytes.TrimPrefix(data, []byte("\ufeff")))
	switch {
	case len(data) == 0:
		return nil, &KeyError{"nothing (no data)", ErrNoPrivateKey}
	case data[0] == '{':
		return parseJWK(data)
	default:
		return parsePEM(data)
	}
}

// isDER reports whether data is a DER sequence as long as the data says, rather than
// text.
func isDER(data []byte) bool {
	var sequence asn1.RawValue
	rest, err := asn1.Unmarshal(data, &sequence)
	return err == nil && len(rest) == 0 && sequence.Tag == asn1.TagSequence && sequence.IsCompound
}

// parsePEM finds the one private key among the PEM blocks of data.
func parsePEM(data []byte) (crypto.Signer, error) {
	var key crypto.Signer
	var other error // what stands there instead of a private key
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		k, err := parseBlock(block)
		switch {
		case errors.Is(err, ErrNoPrivateKey):
			other = err
		case err != nil:
			return nil, err
		case key != nil:
			return nil, &KeyError{"a file of several private keys", ErrUnsupportedKey}
		default:
			key = k
		}
	}
	switch {
	case key != nil:
		return key, nil
	case other != nil:
		return nil, other
	case bytes.Contains(data, []byte("-----BEGIN ")):
		return nil, &KeyError{"a PEM block that is cut off or otherwise damaged", ErrMalformedKey}
	default:
		return nil, &KeyError{"data that is neither PEM, DER nor a JWK", ErrNoPrivateKey}
	}
}

func parseBlock(block *pem.Block) (crypto.Signer, error) {
	switch kind := block.Type; {
	// The older way of encryption is told by a header (RFC 1421 §4.6.1.1).
	case strings.Contains(block.Headers["Proc-Type"], "ENCRYPTED"), kind == "ENCRYPTED PRIVATE KEY":
		return nil, &KeyError{"an encrypted private key", ErrEncryptedKey}
	case kind == "PRIVATE KEY", kind == "EC PRIVATE KEY", kind == "RSA PRIVATE KEY":
		return parseDER(block.Bytes)
	case kind == "OPENSSH PRIVATE KEY":
		return nil, &KeyError{"a private key in OpenSSH's own format", ErrUnsupportedKey}
	case kind == "DSA PRIVATE KEY":
		return nil, &KeyError{"a DSA private key", ErrUnsupportedKey}
	case strings.HasSuffix(kind, "PRIVATE KEY"):
		return nil, &KeyError{"a private key of an unknown kind", ErrUnsupportedKey}
	case strings.HasSuffix(kind, "PUBLIC KEY"):
		return nil, &KeyError{"a public key", ErrNoPrivateKey}
	case strings.HasSuffix(kind, "CERTIFICATE REQUEST"):
		return nil, &KeyError{"a certificate signing request", ErrNoPrivateKey}
	case strings.HasSuffix(kind, "CERTIFICATE"):
		return nil, &KeyError{"a certificate", ErrNoPrivateKey}
	case kind == "EC PARAMETERS":
		return nil, &KeyError{"the name of an elliptic curve alone (EC PARAMETERS)", ErrNoPrivateKey}
	default:
		return nil, &KeyError{"a PEM block of another kind", ErrNoPrivateKey}
	}
}

// parseDER tries all three forms, as crypto/tls does: some programs write one
// under the name of another.
func parseDER(der []byte) (crypto.Signer, error) {
	if len(der) > maxDER {
		return nil, &KeyError{"a private key of more than 8 KiB", ErrUnsupportedKey}
	}
	if key, err := x509.ParsePKCS1PrivateKey(der); err == nil {
		return checkKey(key)
	}
	if key, err := x509.ParsePKCS8PrivateKey(der); err == nil {
		return checkKey(key)
	}
	if key, err := x509.ParseECPrivateKey(der); err == nil {
		return checkKey(key)
	}
	return nil, &KeyError{"a private key that is damaged or of a rare kind (such as Ed448, RSA-PSS or another curve)", ErrMalformedKey}
}

// jwk holds those members of a JWK (RFC 7517 §4, RFC 7518 §6) that tell what
// it is and whether something is missing.
type jwk struct {
	Kty  string          `json:"kty"`
	Crv  string          `json:"crv"`
	X    string          `json:"x"`
	Y    string          `json:"y"`
	N    string          `json:"n"`
	E    string          `json:"e"`
	D    string          `json:"d"`
	P    string          `json:"p"`
	Q    string          `json:"q"`
	Keys json.RawMessage `json:"keys"`
}

// parseJWK passes on no error of the libraries: theirs may quote a number
// that was given for a member.
func parseJWK(data []byte) (crypto.Signer, error) {
	if len(data) > maxJWK {
		return nil, &KeyError{"a JWK of more than 32 KiB", ErrUnsupportedKey}
	}
	var members jwk
	if err := json.Unmarshal(data, &members); err != nil {
		return nil, &KeyError{"JSON with a syntax error, a member that is there twice, or one of a wrong type", ErrMalformedKey}
	}
	if err := members.check(); err != nil {
		return nil, err
	}
	var key jose.JSONWebKey
	if err := key.UnmarshalJSON(data); err != nil {
		return nil, &KeyError{"a JWK whose members are malformed or do not fit together", ErrMalformedKey}
	}
	return checkKey(key.Key)
}

// check tells the JWKs that can be private keys for an account from others.
func (j *jwk) check() error {
	switch {
	case j.Kty == "RSA":
		return j.checkRSA()
	case j.Kty == "EC":
		return j.checkEC()
	case j.Kty == "OKP" && (j.Crv == "Ed25519" || j.Crv == "Ed448" || j.Crv == "X25519" || j.Crv == "X448"):
		return &KeyError{"a JWK of an " + j.Crv + " key", ErrUnsupportedKey}
	case j.Kty == "oct":
		return &KeyError{"a JWK of a symmetric key (kty oct)", ErrUnsupportedKey}
	case j.Kty != "":
		return &KeyError{"a JWK of an unknown kind", ErrUnsupportedKey}
	case j.Keys != nil:
		return &KeyError{"a JWK Set (give one key of it)", ErrUnsupportedKey}
	default:
		return &KeyError{"JSON but not a JWK", ErrNoPrivateKey}
	}
}

func (j *jwk) checkRSA() error {
	switch {
	case j.D == "":
		return &KeyError{"a JWK of a public key", ErrNoPrivateKey}
	case j.N == "" || j.E == "" || j.P == "" || j.Q == "":
		return &KeyError{"a JWK of an RSA key that lacks n, e, p or q", ErrMalformedKey}
	case len(j.N) > maxRSABits/6+8: // six bits a letter; the few more are told by checkKey
		return &KeyError{fmt.Sprintf("an RSA private key of more than %d bits", maxRSABits), ErrUnsupportedKey}
	case len(j.E) > 8: // go-jose would cut it to 64 bits; CAs take 32 at the most
		return &KeyError{"a JWK of an RSA key with a huge exponent", ErrUnsupportedKey}
	}
	return nil
}

func (j *jwk) checkEC() error {
	switch {
	case j.Crv == "":
		return &KeyError{"a JWK of an EC key that lacks crv", ErrMalformedKey}
	case !supportedCurve(j.Crv):
		return &KeyError{"a JWK of an EC key on another curve", ErrUnsupportedKey}
	case j.D == "":
		return &KeyError{"a JWK of a public key", ErrNoPrivateKey}
	case j.X == "" || j.Y == "":
		return &KeyError{"a JWK of an EC key that lacks x or y", ErrMalformedKey}
	}
	return nil
}

func supportedCurve(name string) bool {
	return name == "P-256" || name == "P-384" || name == "P-521"
}

// checkKey returns key if it is of a supported kind and size and works.
func checkKey(key any) (crypto.Signer, error) {
	switch key := key.(type) {
	case *rsa.PrivateKey:
		if bits := key.N.BitLen(); bits < minRSABits || bits > maxRSABits {
			return nil, &KeyError{fmt.Sprintf("an RSA private key of %d bits", bits), ErrUnsupportedKey}
		}
		key.Precompute()
		return tried(key)
	case *ecdsa.PrivateKey:
		if name := key.Params().Name; !supportedCurve(name) {
			return nil, &KeyError{"an EC private key on " + name, ErrUnsupportedKey}
		}
		return tried(key)
	case ed25519.PrivateKey:
		return nil, &KeyError{"an Ed25519 private key", ErrUnsupportedKey}
	case *ecdh.PrivateKey:
		return nil, &KeyError{"an X25519 private key", ErrUnsupportedKey}
	default:
		return nil, &KeyError{"a private key of an unknown kind", ErrUnsupportedKey}
	}
}

// tried returns key if its halves belong together. The parsers do not find
// every contradiction, and a wrong key would show only as the CA's refusal.
func tried(key crypto.Signer) (crypto.Signer, error) {
	digest := sha256.Sum256([]byte("acmeauthz"))
	signature, err := key.Sign(rand.Reader, digest[:], crypto.SHA256)
	if err != nil || !verifies(key.Public(), digest[:], signature) {
		return nil, &KeyError{"a private key whose parts contradict each other", ErrMalformedKey}
	}
	return key, nil
}

func verifies(key crypto.PublicKey, digest, signature []byte) bool {
	switch key := key.(type) {
	case *rsa.PublicKey:
		return rsa.VerifyPKCS1v15(key, crypto.SHA256, digest, signature) == nil
	case *ecdsa.PublicKey:
		return ecdsa.VerifyASN1(key, digest, signature)
	default:
		return false
	}
}
