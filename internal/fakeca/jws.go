package fakeca

import (
	"crypto"
	"encoding/base64"
	"mime"
	"net/http"

	"github.com/go-jose/go-jose/v4"
)

// algorithms are those RFC 8555 clients use; HMAC and "none" are refused (section 6.2).
var algorithms = []jose.SignatureAlgorithm{jose.RS256, jose.ES256, jose.ES384, jose.ES512, jose.EdDSA}

// An incoming request on its way through the CA.
type incoming struct {
	Request
	id          string // of the resource in the path
	what        resource
	unknownPath bool
	contentType string
	jws         *jose.JSONWebSignature // nil if the body is none
	account     *account               // who signed; nil for newAccount and for anything but POST
	jwk         *jose.JSONWebKey       // newAccount: the key that signed
}

// parse reads the JWS in a body, if it is one, and tells from its payload what the request wants.
func (in *incoming) parse(body []byte) {
	jws, err := jose.ParseSignedJSON(string(body), algorithms)
	if err != nil || len(jws.Signatures) != 1 {
		return
	}
	in.jws, in.Payload = jws, jws.UnsafePayloadWithoutVerification()
	in.classify()
}

// verify checks a POST as RFC 8555, section 6, has it, and finds the account. The result is nil or the CA's
// refusal.
func (ca *CA) verify(in *incoming) *reply {
	if in.Method != http.MethodPost || in.unknownPath {
		return nil
	}
	if in.UserAgent == "" {
		return ca.refuse(refusedUserAgent)
	}
	if media, _, _ := mime.ParseMediaType(in.contentType); media != "application/jose+json" {
		return ca.refuse(refusedContentType)
	}
	if in.jws == nil {
		return ca.refuse(refusedJWS)
	}
	protected := in.jws.Signatures[0].Protected
	if refused := ca.identify(in, &protected); refused != nil {
		return refused
	}
	if !ca.signed(in) {
		return ca.refuse(refusedSignature)
	}
	if url, _ := protected.ExtraHeaders["url"].(string); url != in.URL {
		return ca.refuse(refusedURL, in.URL, url)
	}
	if !ca.nonces.take(protected.Nonce, ca.config.BadNonceEvery) {
		return ca.refuse(refusedNonce, protected.Nonce)
	}
	return nil
}

// identify finds the account that a JWS names, or for newAccount the key in it.
func (ca *CA) identify(in *incoming, protected *jose.Header) *reply {
	if in.what == newAccount {
		if in.jwk = protected.JSONWebKey; in.jwk == nil || !in.jwk.Valid() || !in.jwk.IsPublic() || protected.KeyID != "" {
			return ca.refuse(refusedJWK)
		}
		return nil
	}
	in.KID = kid(protected.KeyID)
	if protected.JSONWebKey != nil || protected.KeyID == "" {
		return ca.refuse(refusedNoKID)
	}
	ca.mu.Lock()
	defer ca.mu.Unlock()
	in.account = ca.accountByKID(protected.KeyID)
	switch {
	case in.account == nil:
		return ca.refuse(refusedKID, protected.KeyID)
	case in.account.status != "valid":
		return ca.refuse(refusedAccount, in.account.status)
	}
	return nil
}

// signed reports whether the signature is right.
func (ca *CA) signed(in *incoming) bool {
	if ca.config.SkipSignature {
		return true
	}
	key := in.jwk
	if key == nil {
		key = in.account.key
	}
	_, err := in.jws.Verify(key)
	return err == nil
}

// thumbprint identifies a key (RFC 7638).
func thumbprint(key *jose.JSONWebKey) string {
	sum, err := key.Thumbprint(crypto.SHA256)
	if err != nil {
		return "" // never: the key was found valid
	}
	return base64.RawURLEncoding.EncodeToString(sum)
}
