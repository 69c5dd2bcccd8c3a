package fakeca

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
)

// problemPrefix begins every ACME problem type (RFC 8555, section 6.7).
const problemPrefix = "urn:ietf:params:acme:error:"

// A refusal is a reason to answer with an error; each dialect has its own text for it.
type refusal int

const (
	refusedUserAgent      refusal = iota
	refusedContentType            // not application/jose+json
	refusedJWS                    // not a JWS, or an algorithm that is not allowed
	refusedSignature              // wrong key
	refusedURL                    // {0} expected, {1} signed
	refusedNonce                  // {0} nonce
	refusedJWK                    // newAccount without a usable key
	refusedNoKID                  // a key instead of an account URL
	refusedKID                    // {0} account URL
	refusedAccount                // {0} status
	refusedNoAccount              // onlyReturnExisting
	refusedForeignAccount         // an account reads another's
	refusedMethod                 // GET where only POST will do
	refusedPayload                // not JSON: {0} why
	refusedStatus                 // a status that is not "deactivated": {0}
	refusedMember                 // {0} what is wrong with the extra member
	refusedFinal                  // deactivating: {0} status
	refusedAnswer                 // a challenge's body is not {}
	refusedAnswered               // answering: {0} authorization's id, {1} its status, {2} the challenge's status
	refusedAnswerExpired          // {0} when
	unknownAuthorization          //
	unknownChallenge              // of a known authorization, or at all; {0} last part of the URL
	unknownOrder                  // {0} id
	expiredAuthorization          //
	foreignAuthorization          // reading
	foreignDeactivation           //
	foreignChallenge              //
	foreignOrder                  // {0} account id
	refusedOrder                  // identifiers
	refusedFinalize               // {0} order's status
	refusedCSR                    // finalizing with a body that has no csr
	unknownCertificate            // or another account's; {0} id
	refusedListBody               // reading a list of orders with a body
	foreignList                   // another account's list of orders, or one of no account
)

// A text is how one CA words a refusal.
type text struct {
	status int
	kind   string // problem type without its prefix; empty: no problem document but the detail as plain body, if any
	detail string // {0}, {1}, ... are replaced
}

// A dialect is what differs between CAs in form. What differs in deed is in resource.go, orders.go and handle.go.
type dialect struct {
	directory, newNonce, newAccount, newOrder              string // paths
	account, authorization, challenge, order               string // paths up to the id
	finalize                                               string // path up to the id; empty: the order's with /finalize at its end
	certificate                                            string // path up to the id; empty: the order's with /cert at its end
	orderList                                              string // path of the list of orders up to the account's id
	listEnd                                                string // or what its URL has behind the account's; both empty: there is no list
	accountInPath                                          bool   // ids stand behind the account's
	readable                                               bool   // by plain GET
	authorizationLocation, challengeLocation, challengesUp bool   // headers
	statusInProblem, nonceOnError                          bool
	problemMedia                                           string
	texts                                                  map[refusal]text
}

// Texts without a record are marked "own": the CA's source or the RFC says as much, the words are ours.
var (
	boulderDialect = &dialect{
		directory: "/directory", newNonce: "/acme/new-nonce", newAccount: "/acme/new-acct", newOrder: "/acme/new-order",
		account: "/acme/acct/", authorization: "/acme/authz/", challenge: "/acme/chall/", order: "/acme/order/", finalize: "/acme/finalize/",
		certificate:   "/acme/cert/",
		accountInPath: true, readable: true, challengeLocation: true, challengesUp: true,
		statusInProblem: true, nonceOnError: true, problemMedia: "application/problem+json",
		texts: map[refusal]text{
			refusedUserAgent:      {400, "malformed", "User-Agent header required"},                                                        // own
			refusedContentType:    {415, "malformed", `Invalid Content-Type header on POST. Content-Type must be "application/jose+json"`}, // own
			refusedJWS:            {400, "malformed", "Unable to validate JWS :: Parse error reading JWS"},                                 // own
			refusedSignature:      {400, "malformed", "Unable to validate JWS :: JWS verification error"},
			refusedURL:            {400, "malformed", `Unable to validate JWS :: JWS header parameter 'url' incorrect. Expected "{0}" got "{1}"`}, // own
			refusedNonce:          {400, "badNonce", `Unable to validate JWS :: JWS has an invalid anti-replay nonce: "{0}"`},                     // own
			refusedJWK:            {400, "malformed", "Unable to validate JWS :: No embedded JWK in JWS header"},                                  // own
			refusedNoKID:          {400, "malformed", "Unable to validate JWS :: No Key ID in JWS header"},
			refusedKID:            {400, "accountDoesNotExist", `Unable to validate JWS :: Account "{0}" not found`},
			refusedAccount:        {403, "unauthorized", `Unable to validate JWS :: Account is not valid, has status "{0}"`},
			refusedNoAccount:      {400, "accountDoesNotExist", "No account exists with the provided key"},
			refusedForeignAccount: {403, "unauthorized", "Request signing key did not match account key"},
			refusedMethod:         {405, "malformed", "Method not allowed"}, // own
			refusedPayload:        {400, "malformed", "Unable to validate JWS :: Request payload did not parse as JSON"},
			refusedStatus:         {400, "malformed", "Invalid status value"},
			refusedMember:         {400, "malformed", "{0}"}, // of pebble -strict
			refusedAnswered:       {400, "malformed", "Unable to update challenge :: authorization must be pending"},
			unknownAuthorization:  {404, "malformed", "No such authorization"},
			unknownChallenge:      {404, "malformed", "No such challenge"},
			unknownOrder:          {404, "malformed", "No order for ID {0}"},
			expiredAuthorization:  {404, "malformed", "Expired authorization"},
			foreignAuthorization:  {403, "unauthorized", "Account ID doesn't match ID for authorization"},
			foreignDeactivation:   {403, "unauthorized", "Account ID doesn't match ID for authorization"},
			foreignChallenge:      {403, "unauthorized", "User account ID doesn't match account ID in authorization"},
			foreignOrder:          {404, "malformed", "No order found for account ID {0}"},
			refusedOrder:          {400, "malformed", "NewOrder request did not specify any identifiers"}, // own
			refusedFinalize:       {403, "orderNotReady", `Order's status ("{0}") is not acceptable for finalization`},
			refusedCSR:            {400, "malformed", "Error unmarshaling certificate request"}, // own
			unknownCertificate:    {404, "malformed", "Certificate not found"},                  // own
		},
	}

	stepMalformed    = text{400, "malformed", "The request message was malformed"}
	stepUnauthorized = text{401, "unauthorized", "The client lacks sufficient authorization"}
	stepDialect      = &dialect{
		directory: "/acme/acme/directory", newNonce: "/acme/acme/new-nonce", newAccount: "/acme/acme/new-account", newOrder: "/acme/acme/new-order",
		account: "/acme/acme/account/", authorization: "/acme/acme/authz/", challenge: "/acme/acme/challenge/", order: "/acme/acme/order/",
		certificate:           "/acme/acme/certificate/",
		listEnd:               "/orders",
		authorizationLocation: true, challengeLocation: true, challengesUp: true,
		nonceOnError: true, problemMedia: "application/problem+json",
		texts: map[refusal]text{
			refusedUserAgent:      stepMalformed, // own: the real one does not mind
			refusedContentType:    stepMalformed,
			refusedJWS:            stepMalformed,
			refusedSignature:      stepMalformed,
			refusedURL:            stepMalformed,
			refusedNonce:          {400, "badNonce", "Unacceptable anti-replay nonce"},
			refusedJWK:            stepMalformed,
			refusedNoKID:          stepMalformed,
			refusedKID:            {400, "accountDoesNotExist", "Account does not exist"},
			refusedAccount:        stepUnauthorized,
			refusedNoAccount:      {400, "accountDoesNotExist", "Account does not exist"},
			refusedForeignAccount: stepUnauthorized,
			refusedMethod:         {405, "", ""},
			refusedStatus:         stepMalformed,
			unknownAuthorization:  stepMalformed,
			unknownChallenge:      stepMalformed,
			unknownOrder:          stepMalformed,
			foreignAuthorization:  stepUnauthorized,
			foreignChallenge:      stepUnauthorized,
			foreignOrder:          stepUnauthorized,
			refusedOrder:          stepMalformed,
			refusedFinalize:       {400, "orderNotReady", "The request attempted to finalize an order that is not ready to be finalized"},
			refusedListBody:       stepMalformed,
			refusedCSR:            stepMalformed,
			unknownCertificate:    stepMalformed,
			foreignList:           stepUnauthorized,
		},
	}

	// The texts are acme2certifier's where its source has them; the rest is own.
	ignoresDialect = &dialect{
		directory: "/acme/directory", newNonce: "/acme/new-nonce", newAccount: "/acme/new-account", newOrder: "/acme/new-order",
		account: "/acme/acct/", authorization: "/acme/authz/", challenge: "/acme/chall/", order: "/acme/order/",
		certificate:     "/acme/cert/",
		listEnd:         "/orders",
		statusInProblem: true, nonceOnError: true, problemMedia: "application/problem+json",
		texts: map[refusal]text{
			refusedUserAgent:      {400, "malformed", "no User-Agent"},
			refusedContentType:    {415, "malformed", "Content-Type must be application/jose+json"},
			refusedJWS:            {400, "malformed", "not a JWS"},
			refusedSignature:      {400, "malformed", "JWS verification error"},
			refusedURL:            {400, "malformed", "url header is {1}, not {0}"},
			refusedNonce:          {400, "badNonce", "{0}"},
			refusedJWK:            {400, "malformed", "no jwk"},
			refusedNoKID:          {400, "malformed", "no kid"},
			refusedKID:            {400, "accountDoesNotExist", "account {0} not found"},
			refusedAccount:        {403, "unauthorized", "account is {0}"},
			refusedNoAccount:      {400, "accountDoesNotExist", "no account with this key"},
			refusedForeignAccount: {403, "unauthorized", "not this account"},
			refusedMethod:         {405, "malformed", "method not allowed"},
			refusedPayload:        {400, "malformed", "payload is not JSON: {0}"},
			refusedMember:         {400, "malformed", "{0}"},
			refusedAnswered:       {400, "malformed", "challenge is {2}"},
			unknownAuthorization:  {403, "unauthorized", "authorization lookup failed"},
			unknownChallenge:      {404, "malformed", "challenge not found"},
			unknownOrder:          {404, "malformed", "order not found"},
			foreignAuthorization:  {403, "unauthorized", "authorization lookup failed"},
			foreignDeactivation:   {403, "unauthorized", "authorization lookup failed"},
			foreignChallenge:      {403, "unauthorized", "not your challenge"},
			foreignOrder:          {403, "unauthorized", "not your order"},
			refusedOrder:          {400, "malformed", "no identifiers"},
			refusedFinalize:       {403, "orderNotReady", "order is {0}"},
			refusedListBody:       {400, "malformed", "a list of orders is read by POST-as-GET"},
			refusedCSR:            {400, "malformed", "no csr"},
			unknownCertificate:    {404, "malformed", "certificate not found"},
			foreignList:           {403, "unauthorized", "not this account"},
		},
	}

	baoUnknown = text{400, "malformed", "failed to load authorization: authorization does not exist: the request message was malformed"}
	baoDialect = &dialect{
		directory: "/v1/pki/acme/directory", newNonce: "/v1/pki/acme/new-nonce", newAccount: "/v1/pki/acme/new-account", newOrder: "/v1/pki/acme/new-order",
		account: "/v1/pki/acme/account/", authorization: "/v1/pki/acme/authorization/", challenge: "/v1/pki/acme/challenge/", order: "/v1/pki/acme/order/",
		listEnd:      "/orders",
		challengesUp: true, problemMedia: "application/problem+json",
		texts: map[refusal]text{
			refusedUserAgent:      {400, "malformed", "no User-Agent: the request message was malformed"},                                      // own
			refusedContentType:    {400, "malformed", "unexpected Content-Type: the request message was malformed"},                            // own
			refusedJWS:            {400, "malformed", "failed to json unmarshal 'protected': the request message was malformed"},               // own
			refusedSignature:      {400, "malformed", "failed to verify signature: JWS verification error: the request message was malformed"}, // own
			refusedURL:            {401, "unauthorized", "invalid value for 'url' in 'protected': got '{1}' expected '{0}': the client lacks sufficient authorization"},
			refusedNonce:          {400, "badNonce", "invalid or reused nonce: the client sent an unacceptable anti-replay nonce"},
			refusedJWK:            {400, "malformed", "cannot process request without a 'jwk': the request message was malformed"}, // own
			refusedNoKID:          {400, "malformed", "cannot process request without a 'kid': the request message was malformed"},
			refusedKID:            {400, "accountDoesNotExist", "failed to json unmarshal 'protected': account not found: the request specified an account that does not exist"},
			refusedAccount:        {401, "unauthorized", "the client lacks sufficient authorization: account in status: {0}"},
			refusedNoAccount:      {400, "accountDoesNotExist", "an account with this key does not exist: the request specified an account that does not exist"},
			refusedForeignAccount: {401, "unauthorized", "the client lacks sufficient authorization"}, // own
			refusedMethod:         {405, "", `{"errors":["unsupported operation"]}`},
			refusedPayload:        {400, "malformed", "failed to verify signature: failed to json unmarshal 'payload': {0}: the request message was malformed"},
			refusedStatus:         {400, "malformed", "the request message was malformed"},
			refusedMember:         {400, "malformed", "{0}"}, // of pebble -strict
			refusedFinal:          {400, "malformed", "unable to deactivate authorization in '{0}' status: the request message was malformed"},
			refusedAnswer:         {400, "malformed", "unexpected request parameters: the request message was malformed"},
			refusedAnswered:       {400, "malformed", "error submitting challenge for validation: the request message was malformed: cannot accept already validated authorization {0} ({1})"},
			unknownAuthorization:  baoUnknown,
			unknownChallenge:      {400, "malformed", "unknown challenge of type '{0}' in authorization: the request message was malformed"},
			unknownOrder:          {400, "malformed", "order does not exist: the request message was malformed"},
			foreignAuthorization:  baoUnknown,
			foreignDeactivation:   baoUnknown,
			foreignChallenge:      baoUnknown,
			foreignOrder:          {400, "malformed", "order does not exist: the request message was malformed"},
			refusedOrder:          {400, "malformed", "the request message was malformed"},                                                                                                 // own
			refusedFinalize:       {403, "orderNotReady", "the request attempted to finalize an order that is not ready to be finalized: order is status {0}, needs to be in ready state"}, // own
			refusedCSR:            {400, "malformed", "missing 'csr' argument: the request message was malformed"},                                                                         // own
			unknownCertificate:    {400, "malformed", "order does not exist: the request message was malformed"},                                                                           // own
		},
	}

	pebbleDialect = &dialect{
		directory: "/dir", newNonce: "/nonce-plz", newAccount: "/sign-me-up", newOrder: "/order-plz",
		account: "/my-account/", authorization: "/authZ/", challenge: "/chalZ/", order: "/my-order/", finalize: "/finalize-order/",
		certificate:     "/certZ/",
		orderList:       "/list-orderz/",
		challengesUp:    true,
		statusInProblem: true, nonceOnError: true, problemMedia: "application/problem+json; charset=utf-8",
		texts: map[refusal]text{
			refusedUserAgent:      {400, "malformed", "All requests MUST include a User-Agent header"},
			refusedContentType:    {415, "malformed", `Invalid Content-Type header on POST. Content-Type must be "application/jose+json"`}, // own
			refusedJWS:            {400, "malformed", "Parse error reading JWS"},                                                           // own
			refusedSignature:      {400, "malformed", "JWS verification error"},                                                            // own
			refusedURL:            {400, "malformed", `JWS header parameter 'url' incorrect. Expected "{0}", got "{1}"`},
			refusedNonce:          {400, "badNonce", "JWS has an invalid anti-replay nonce: {0}"},
			refusedJWK:            {400, "malformed", "No embedded JWK in JWS header"}, // own
			refusedNoKID:          {400, "malformed", "Key ID (kid) in JWS header missing expected URL prefix"},
			refusedKID:            {400, "accountDoesNotExist", "Account {0} not found."},
			refusedAccount:        {403, "unauthorized", "Account has been {0}"},
			refusedNoAccount:      {400, "accountDoesNotExist", "unable to find existing account for only-return-existing request"},
			refusedForeignAccount: {403, "unauthorized", "Request signing key did not match account key"}, // own
			refusedMethod:         {405, "malformed", "Method not allowed"},
			refusedPayload:        {400, "malformed", "Malformed authorization update: {0}"},
			refusedStatus:         {400, "malformed", `Malformed authorization update, status must be "deactivated" not "{0}"`},
			refusedMember:         {400, "malformed", "{0}"},
			refusedAnswer:         {400, "malformed", `challenge initiation POST JWS body was not "{}"`},
			refusedAnswered:       {400, "malformed", "Cannot update challenge with status {2}, only status pending"},
			refusedAnswerExpired:  {400, "malformed", "Authorization expired {0}"},
			unknownAuthorization:  {404, "", ""},
			unknownChallenge:      {404, "", ""},
			unknownOrder:          {404, "", ""},
			foreignAuthorization:  {403, "unauthorized", "Account authorizing the request is not the owner of the authorization"},
			foreignDeactivation:   {403, "unauthorized", "Account does not own authorization"},
			foreignChallenge:      {403, "unauthorized", "Account authenticating request is not the owner of the challenge"},
			foreignOrder:          {403, "unauthorized", "Account that authenticated the request does not own the specified order"},
			refusedOrder:          {400, "malformed", "no identifiers in the order"}, // own
			refusedFinalize:       {403, "orderNotReady", `Order's status ("{0}") was not ready`},
			refusedListBody:       {400, "malformed", "POST-as-GET requests must have a nil body"},
			refusedCSR:            {400, "malformed", "Error decoding Base64url-encoded CSR"}, // own
			unknownCertificate:    {404, "", ""},                                              // own
			foreignList:           {404, "malformed", "Wrong account ID"},
		},
	}

	dialects = map[Behavior]*dialect{
		Boulder: boulderDialect, StepCA: stepDialect, Ignores: ignoresDialect, OpenBao: baoDialect, Pebble: pebbleDialect,
	}
)

// A problem document (RFC 7807).
type problem struct {
	Type   string `json:"type"`
	Detail string `json:"detail"`
	Status int    `json:"status,omitempty"`
}

// refuse words a refusal.
func (ca *CA) refuse(why refusal, arguments ...string) *reply {
	return ca.word(ca.dialect.texts[why], arguments...)
}

// word makes the reply of a text.
func (ca *CA) word(t text, arguments ...string) *reply {
	detail := t.detail
	for i, argument := range arguments {
		detail = strings.ReplaceAll(detail, "{"+string(rune('0'+i))+"}", argument)
	}
	y := &reply{status: t.status, header: http.Header{}}
	switch {
	case t.kind != "":
		document := problem{Type: problemPrefix + t.kind, Detail: detail}
		if ca.dialect.statusInProblem {
			document.Status = t.status
		}
		y.header.Set("Content-Type", ca.dialect.problemMedia)
		y.body = encode(document)
	case detail != "":
		y.header.Set("Content-Type", "application/json")
		y.body = []byte(detail)
	}
	return y
}

// encode makes JSON as the CAs do, without escaping what only HTML minds.
func encode(v any) []byte {
	var buffer bytes.Buffer
	encoder := json.NewEncoder(&buffer)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(v) // never fails for the types of this package
	return bytes.TrimRight(buffer.Bytes(), "\n")
}

// object makes a reply with a JSON object.
func (ca *CA) object(status int, v any) *reply {
	return &reply{status: status, body: encode(v), header: http.Header{"Content-Type": {"application/json"}}}
}
