package fakeca_test

import (
	"bytes"
	"crypto"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/acme"

	"github.com/acmeauthz/acmeauthz/internal/fakeca"
)

// A request to be signed by hand, so that it can be signed wrongly.
type request struct {
	url       string // where it goes
	payload   string
	client    *acme.Client
	kid       acme.KeyID    // instead of the client's
	jwk       bool          // the key instead of the kid
	key       crypto.Signer // instead of the client's
	signedURL string        // instead of url
	nonce     string        // instead of a fresh one
	media     string        // instead of application/jose+json
	agent     string        // instead of "test"; "none" for none
}

// An answer and what is asked of it most.
type answer struct {
	*http.Response
	body    string
	problem struct {
		Type, Detail string
		Status       int
	}
	object struct {
		Status     string
		Expires    string
		Challenges []struct {
			Type, Status string
			Error        *struct{ Type, Detail string }
		}
		Error *struct{ Type, Detail string }
	}
}

// send signs and sends a request.
func send(t testing.TB, ca *fakeca.CA, r request) answer {
	t.Helper()
	httpRequest, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.url, strings.NewReader(sign(t, ca, r)))
	require.NoError(t, err)
	httpRequest.Header.Set("Content-Type", or(r.media, "application/jose+json"))
	httpRequest.Header.Set("User-Agent", strings.TrimPrefix(or(r.agent, "test"), "none"))
	return do(t, ca, httpRequest)
}

// sign makes the body of a request.
func sign(t testing.TB, ca *fakeca.CA, r request) string {
	t.Helper()
	key := jose.JSONWebKey{Key: r.client.Key, KeyID: or(string(r.kid), string(r.client.KID))}
	if r.key != nil {
		key.Key = r.key
	}
	options := (&jose.SignerOptions{EmbedJWK: r.jwk}).WithHeader("url", or(r.signedURL, r.url)).WithHeader("nonce", or(r.nonce, nonce(t, ca)))
	if r.jwk {
		key.KeyID = ""
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: key}, options)
	require.NoError(t, err)
	jws, err := signer.Sign([]byte(r.payload))
	require.NoError(t, err)
	return jws.FullSerialize()
}

// do sends a request and reads the answer.
func do(t testing.TB, ca *fakeca.CA, r *http.Request) answer {
	t.Helper()
	response, err := ca.HTTPClient().Do(r)
	require.NoError(t, err)
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	got := answer{Response: response, body: string(body)}
	if strings.HasPrefix(response.Header.Get("Content-Type"), "application/problem+json") {
		require.NoError(t, json.Unmarshal(body, &got.problem))
	} else if bytes.HasPrefix(body, []byte("{")) {
		require.NoError(t, json.Unmarshal(body, &got.object))
	}
	return got
}

// nonce gets a fresh nonce.
func nonce(t testing.TB, ca *fakeca.CA) string {
	t.Helper()
	directory, err := (&acme.Client{DirectoryURL: ca.DirectoryURL(), HTTPClient: ca.HTTPClient()}).Discover(t.Context())
	require.NoError(t, err)
	response, err := ca.HTTPClient().Head(directory.NonceURL)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	return response.Header.Get("Replay-Nonce")
}

// or is the first string that is not empty.
func or(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

const (
	deactivation = `{"status":"deactivated"}`
	malformed    = "malformed"
	unauthorized = "unauthorized"
	noAccount    = "accountDoesNotExist"
)

// A scene has the authorizations that were asked for when the CAs were recorded.
type scene struct {
	ca                                               *fakeca.CA
	mine, foreign, gone                              *acme.Client // gone is deactivated
	pending, valid, invalid, off, expired, goneAuthz string
}

// newScene sets the scene.
func newScene(behavior fakeca.Behavior) *scene {
	ca := fakeca.New(fakeca.Config{Behavior: behavior})
	s := &scene{ca: ca, mine: ca.Client(), foreign: ca.NewAccount(), gone: ca.NewAccount()}
	s.pending = ca.Add(fakeca.Authorization{})
	s.valid = ca.Add(fakeca.Authorization{Status: acme.StatusValid})
	s.invalid = ca.Add(fakeca.Authorization{Status: acme.StatusInvalid})
	s.off = ca.Add(fakeca.Authorization{Status: acme.StatusDeactivated})
	s.expired = ca.Add(fakeca.Authorization{Expires: time.Now().Add(-time.Hour)})
	s.goneAuthz = ca.Add(fakeca.Authorization{Owner: s.gone.KID})
	ca.DeactivateAccount(s.gone)
	return s
}

// unknown is the URL of an authorization that does not exist.
func (s *scene) unknown() string {
	return s.pending[:strings.LastIndex(s.pending, "/")+1] + "999999999"
}

// challenge is the URL of the first challenge of an authorization.
func (s *scene) challenge(url string) string { return s.ca.Authorization(url).Challenges[0].URL }

// id is the last part of a URL.
func id(url string) string { return url[strings.LastIndex(url, "/")+1:] }

// The exchanges that were recorded at real CAs: what is sent, and per CA the status, problem type, and detail that came
// back; a status alone is an answer that is no problem document. {id} is the last part of the URL of the authorization.
func TestRecorded(t *testing.T) {
	type want struct {
		status int
		kind   string
		detail string
	}
	step := want{400, malformed, "The request message was malformed"}
	stepForeign := want{401, unauthorized, "The client lacks sufficient authorization"}
	bao := want{400, malformed, "failed to load authorization: authorization does not exist: the request message was malformed"}
	ok := want{status: 200}
	for _, tt := range []struct {
		name    string
		request func(s *scene) request
		of      func(s *scene) string // authorization of {id}
		want    map[fakeca.Behavior]want
	}{
		{"read unknown", func(s *scene) request { return request{url: s.unknown(), client: s.mine} }, nil, map[fakeca.Behavior]want{
			fakeca.Boulder: {404, malformed, "No such authorization"},
			fakeca.StepCA:  step,
			fakeca.Ignores: {403, unauthorized, "authorization lookup failed"},
			fakeca.OpenBao: bao,
			fakeca.Pebble:  {status: 404},
		}},
		{"deactivate unknown", func(s *scene) request { return request{url: s.unknown(), client: s.mine, payload: deactivation} }, nil, map[fakeca.Behavior]want{
			fakeca.Boulder: {404, malformed, "No such authorization"},
			fakeca.StepCA:  step,
			fakeca.OpenBao: bao,
			fakeca.Pebble:  {status: 404},
		}},
		{"read foreign", func(s *scene) request { return request{url: s.pending, client: s.foreign} }, nil, map[fakeca.Behavior]want{
			fakeca.Boulder: {403, unauthorized, "Account ID doesn't match ID for authorization"},
			fakeca.StepCA:  stepForeign,
			fakeca.OpenBao: bao,
			fakeca.Pebble:  {403, unauthorized, "Account authorizing the request is not the owner of the authorization"},
		}},
		{"deactivate foreign", func(s *scene) request {
			return request{url: s.pending, client: s.foreign, payload: deactivation}
		}, nil, map[fakeca.Behavior]want{
			fakeca.Boulder: {403, unauthorized, "Account ID doesn't match ID for authorization"},
			fakeca.StepCA:  step,
			fakeca.OpenBao: bao,
			fakeca.Pebble:  {403, unauthorized, "Account does not own authorization"},
		}},
		{"answer foreign", func(s *scene) request {
			return request{url: s.challenge(s.pending), client: s.foreign, payload: "{}"}
		}, nil, map[fakeca.Behavior]want{
			fakeca.Boulder: {403, unauthorized, "User account ID doesn't match account ID in authorization"},
			fakeca.StepCA:  stepForeign,
			fakeca.OpenBao: bao,
			fakeca.Pebble:  {403, unauthorized, "Account authenticating request is not the owner of the challenge"},
		}},
		{"deactivate pending", func(s *scene) request { return request{url: s.pending, client: s.mine, payload: deactivation} }, nil, map[fakeca.Behavior]want{
			fakeca.Boulder: ok, fakeca.StepCA: step, fakeca.Ignores: ok, fakeca.OpenBao: ok, fakeca.Pebble: ok,
		}},
		{"deactivate valid", func(s *scene) request { return request{url: s.valid, client: s.mine, payload: deactivation} }, nil, map[fakeca.Behavior]want{
			fakeca.Boulder: ok, fakeca.StepCA: step, fakeca.Ignores: ok, fakeca.OpenBao: ok, fakeca.Pebble: ok,
		}},
		{"deactivate invalid", func(s *scene) request { return request{url: s.invalid, client: s.mine, payload: deactivation} }, nil, map[fakeca.Behavior]want{
			fakeca.Boulder: ok, fakeca.StepCA: step, fakeca.Pebble: ok,
			fakeca.OpenBao: {400, malformed, "unable to deactivate authorization in 'invalid' status: the request message was malformed"},
		}},
		{"deactivate deactivated", func(s *scene) request { return request{url: s.off, client: s.mine, payload: deactivation} }, nil, map[fakeca.Behavior]want{
			fakeca.Boulder: ok, fakeca.Pebble: ok,
			fakeca.OpenBao: {400, malformed, "unable to deactivate authorization in 'deactivated' status: the request message was malformed"},
		}},
		{"deactivate expired", func(s *scene) request { return request{url: s.expired, client: s.mine, payload: deactivation} }, nil, map[fakeca.Behavior]want{
			fakeca.Boulder: {404, malformed, "Expired authorization"}, fakeca.StepCA: step, fakeca.OpenBao: ok, fakeca.Pebble: ok,
		}},
		{"read expired", func(s *scene) request { return request{url: s.expired, client: s.mine} }, nil, map[fakeca.Behavior]want{
			fakeca.Boulder: {404, malformed, "Expired authorization"}, fakeca.StepCA: ok, fakeca.OpenBao: ok, fakeca.Pebble: ok,
		}},
		{"body {}", func(s *scene) request { return request{url: s.pending, client: s.mine, payload: "{}"} }, nil, map[fakeca.Behavior]want{
			fakeca.Boulder: {400, malformed, "Invalid status value"},
			fakeca.StepCA:  step, fakeca.OpenBao: ok,
			fakeca.Pebble: {400, malformed, `Malformed authorization update, status must be "deactivated" not ""`},
		}},
		{"body status invalid", func(s *scene) request {
			return request{url: s.pending, client: s.mine, payload: `{"status":"invalid"}`}
		}, nil, map[fakeca.Behavior]want{
			fakeca.Boulder: {400, malformed, "Invalid status value"},
			fakeca.StepCA:  step,
			fakeca.OpenBao: {400, malformed, "the request message was malformed"},
			fakeca.Pebble:  {400, malformed, `Malformed authorization update, status must be "deactivated" not "invalid"`},
		}},
		{"body not JSON", func(s *scene) request { return request{url: s.pending, client: s.mine, payload: "not json"} }, nil, map[fakeca.Behavior]want{
			fakeca.Boulder: {400, malformed, "Unable to validate JWS :: Request payload did not parse as JSON"},
			fakeca.StepCA:  step,
			fakeca.OpenBao: {400, malformed, "failed to verify signature: failed to json unmarshal 'payload': invalid character 'o' in literal null (expecting 'u'): the request message was malformed"},
			fakeca.Pebble:  {400, malformed, "Malformed authorization update: invalid character 'o' in literal null (expecting 'u')"},
		}},
		{"body of x/crypto", func(s *scene) request {
			return request{url: s.pending, client: s.mine, payload: `{"resource":"authz","status":"deactivated","delete":true}`}
		}, nil, map[fakeca.Behavior]want{
			fakeca.StepCA: step,
			fakeca.Pebble: {400, malformed, `JWS body included JSON with a deprecated ACME v1 "resource" field ("authz")`},
		}},
		{"answer pending", func(s *scene) request {
			return request{url: s.challenge(s.pending), client: s.mine, payload: "{}"}
		}, nil, map[fakeca.Behavior]want{
			fakeca.Boulder: ok, fakeca.StepCA: ok, fakeca.Ignores: ok, fakeca.OpenBao: ok, fakeca.Pebble: ok,
		}},
		{"answer deactivated", func(s *scene) request {
			return request{url: s.challenge(s.off), client: s.mine, payload: "{}"}
		}, func(s *scene) string { return s.off }, map[fakeca.Behavior]want{
			fakeca.Boulder: {400, malformed, "Unable to update challenge :: authorization must be pending"},
			fakeca.OpenBao: {400, malformed, "error submitting challenge for validation: the request message was malformed: cannot accept already validated authorization {id} (deactivated)"},
		}},
		{"answer invalid", func(s *scene) request {
			return request{url: s.challenge(s.invalid), client: s.mine, payload: "{}"}
		}, func(s *scene) string { return s.invalid }, map[fakeca.Behavior]want{
			fakeca.Boulder: {400, malformed, "Unable to update challenge :: authorization must be pending"},
			fakeca.StepCA:  ok,
			fakeca.OpenBao: {400, malformed, "error submitting challenge for validation: the request message was malformed: cannot accept already validated authorization {id} (invalid)"},
			fakeca.Pebble:  {400, malformed, "Cannot update challenge with status invalid, only status pending"},
		}},
		{"answer valid", func(s *scene) request {
			return request{url: s.challenge(s.valid), client: s.mine, payload: "{}"}
		}, func(s *scene) string { return s.valid }, map[fakeca.Behavior]want{
			fakeca.Boulder: ok, fakeca.StepCA: ok,
			fakeca.OpenBao: {400, malformed, "error submitting challenge for validation: the request message was malformed: cannot accept already validated authorization {id} (valid)"},
			fakeca.Pebble:  {400, malformed, "Cannot update challenge with status valid, only status pending"},
		}},
		{"answer with a body", func(s *scene) request {
			return request{url: s.challenge(s.pending), client: s.mine, payload: `{"foo":1}`}
		}, nil, map[fakeca.Behavior]want{
			fakeca.StepCA:  ok,
			fakeca.OpenBao: {400, malformed, "unexpected request parameters: the request message was malformed"},
			fakeca.Pebble:  {400, malformed, `challenge initiation POST JWS body was not "{}"`},
		}},
		{"answer unknown challenge", func(s *scene) request {
			url := s.challenge(s.pending)
			return request{url: url[:strings.LastIndex(url, "/")+1] + "doesnotexist", client: s.mine, payload: "{}"}
		}, nil, map[fakeca.Behavior]want{
			fakeca.Boulder: {404, malformed, "No such challenge"},
			fakeca.StepCA:  step,
			fakeca.OpenBao: {400, malformed, "unknown challenge of type 'doesnotexist' in authorization: the request message was malformed"},
			fakeca.Pebble:  {status: 404},
		}},
		{"read challenge", func(s *scene) request { return request{url: s.challenge(s.pending), client: s.mine} }, nil, map[fakeca.Behavior]want{
			fakeca.Boulder: ok, fakeca.StepCA: ok, fakeca.OpenBao: ok, fakeca.Pebble: ok,
		}},
		{"account deactivated", func(s *scene) request {
			return request{url: s.goneAuthz, client: s.gone, payload: deactivation}
		}, nil, map[fakeca.Behavior]want{
			fakeca.Boulder: {403, unauthorized, `Unable to validate JWS :: Account is not valid, has status "deactivated"`},
			fakeca.StepCA:  stepForeign,
			fakeca.OpenBao: {401, unauthorized, "the client lacks sufficient authorization: account in status: deactivated"},
			fakeca.Pebble:  {403, unauthorized, "Account has been deactivated"},
		}},
		{"unknown kid", func(s *scene) request { return request{url: s.pending, client: s.mine, kid: s.mine.KID + "0"} }, nil, map[fakeca.Behavior]want{
			fakeca.Boulder: {400, noAccount, `Unable to validate JWS :: Account "{kid}0" not found`},
			fakeca.StepCA:  {400, noAccount, "Account does not exist"},
			fakeca.OpenBao: {400, noAccount, "failed to json unmarshal 'protected': account not found: the request specified an account that does not exist"},
			fakeca.Pebble:  {400, noAccount, "Account {kid}0 not found."},
		}},
		{"wrong key", func(s *scene) request { return request{url: s.pending, client: s.mine, key: s.foreign.Key} }, nil, map[fakeca.Behavior]want{
			fakeca.Boulder: {400, malformed, "Unable to validate JWS :: JWS verification error"},
		}},
		{"key instead of kid", func(s *scene) request { return request{url: s.pending, client: s.mine, jwk: true} }, nil, map[fakeca.Behavior]want{
			fakeca.Boulder: {400, malformed, "Unable to validate JWS :: No Key ID in JWS header"},
			fakeca.StepCA:  step,
			fakeca.OpenBao: {400, malformed, "cannot process request without a 'kid': the request message was malformed"},
			fakeca.Pebble:  {400, malformed, "Key ID (kid) in JWS header missing expected URL prefix"},
		}},
		{"made-up nonce", func(s *scene) request { return request{url: s.pending, client: s.mine, nonce: "bm90LWEtbm9uY2U"} }, nil, map[fakeca.Behavior]want{
			fakeca.StepCA:  {400, "badNonce", "Unacceptable anti-replay nonce"},
			fakeca.OpenBao: {400, "badNonce", "invalid or reused nonce: the client sent an unacceptable anti-replay nonce"},
			fakeca.Pebble:  {400, "badNonce", "JWS has an invalid anti-replay nonce: bm90LWEtbm9uY2U"},
		}},
		{"url of another resource", func(s *scene) request { return request{url: s.pending, client: s.mine, signedURL: s.valid} }, nil, map[fakeca.Behavior]want{
			fakeca.StepCA:  step,
			fakeca.OpenBao: {401, unauthorized, "invalid value for 'url' in 'protected': got '{valid}' expected '{pending}': the client lacks sufficient authorization"},
			fakeca.Pebble:  {400, malformed, `JWS header parameter 'url' incorrect. Expected "{pending}", got "{valid}"`},
		}},
		{"Content-Type application/json", func(s *scene) request {
			return request{url: s.pending, client: s.mine, media: "application/json"}
		}, nil, map[fakeca.Behavior]want{
			fakeca.StepCA: step,
		}},
		{"no User-Agent", func(s *scene) request { return request{url: s.pending, client: s.mine, agent: "none"} }, nil, map[fakeca.Behavior]want{
			fakeca.Pebble: {400, malformed, "All requests MUST include a User-Agent header"},
		}},
		{"onlyReturnExisting, key unknown", func(s *scene) request {
			return request{url: s.newAccountURL(t), client: s.mine, key: newKey(), jwk: true, payload: `{"onlyReturnExisting":true}`}
		}, nil, map[fakeca.Behavior]want{
			fakeca.Boulder: {400, noAccount, "No account exists with the provided key"},
			fakeca.StepCA:  {400, noAccount, "Account does not exist"},
			fakeca.OpenBao: {400, noAccount, "an account with this key does not exist: the request specified an account that does not exist"},
			fakeca.Pebble:  {400, noAccount, "unable to find existing account for only-return-existing request"},
		}},
		{"onlyReturnExisting, key known", func(s *scene) request {
			return request{url: s.newAccountURL(t), client: s.mine, jwk: true, payload: `{"onlyReturnExisting":true}`}
		}, nil, map[fakeca.Behavior]want{
			fakeca.Boulder: ok, fakeca.StepCA: ok, fakeca.Ignores: ok, fakeca.OpenBao: ok, fakeca.Pebble: ok,
		}},
	} {
		for behavior, want := range tt.want {
			t.Run(tt.name+"/"+names[behavior], func(t *testing.T) {
				s := newScene(behavior)
				detail := strings.NewReplacer("{kid}", string(s.mine.KID), "{pending}", s.pending, "{valid}", s.valid).Replace(want.detail)
				if tt.of != nil {
					detail = strings.ReplaceAll(detail, "{id}", id(tt.of(s)))
				}
				got := send(t, s.ca, tt.request(s))
				require.Equal(t, want.status, got.StatusCode, got.body)
				require.Equal(t, detail, got.problem.Detail)
				require.Equal(t, want.status < 400 || behavior != fakeca.OpenBao, got.Header.Get("Replay-Nonce") != "")
				if want.kind == "" {
					require.Empty(t, got.problem.Type)
					require.Equal(t, want.status == 200, got.body != "")
					return
				}
				require.Equal(t, "urn:ietf:params:acme:error:"+want.kind, got.problem.Type)
				inProblem := map[bool]int{true: want.status}[behavior != fakeca.StepCA && behavior != fakeca.OpenBao]
				require.Equal(t, inProblem, got.problem.Status)
			})
		}
	}
}

var names = map[fakeca.Behavior]string{
	fakeca.Boulder: "Boulder", fakeca.StepCA: "StepCA", fakeca.Ignores: "Ignores", fakeca.OpenBao: "OpenBao", fakeca.Pebble: "Pebble",
}

// newAccountURL is where accounts are registered.
func (s *scene) newAccountURL(t *testing.T) string {
	directory, err := s.mine.Discover(t.Context())
	require.NoError(t, err)
	return directory.RegURL
}

// What an authorization shows after it was changed, as recorded: its status in the answer, its status in the next reading,
// its challenges then, and whether it has an expires member.
func TestRecordedStates(t *testing.T) {
	all := func(status string) []string {
		return []string{"dns-01=" + status, "http-01=" + status, "tls-alpn-01=" + status}
	}
	for _, tt := range []struct {
		name       string
		behavior   fakeca.Behavior
		url        func(s *scene) string // what is asked
		payload    string
		answered   string // status in the answer
		of         func(s *scene) string
		then       string
		challenges []string
		expires    bool
	}{
		{"deactivate pending", fakeca.Boulder, (*scene).thePending, deactivation, "deactivated", (*scene).thePending, "deactivated", all("pending"), true},
		{"deactivate pending", fakeca.OpenBao, (*scene).thePending, deactivation, "deactivated", (*scene).thePending, "deactivated", all("invalid"), false},
		{"deactivate pending", fakeca.Pebble, (*scene).thePending, deactivation, "deactivated", (*scene).thePending, "deactivated", nil, true},
		{"deactivate pending", fakeca.Ignores, (*scene).thePending, deactivation, "pending", (*scene).thePending, "pending", all("pending"), true},
		{"deactivate pending", fakeca.StepCA, (*scene).thePending, deactivation, "", (*scene).thePending, "pending", all("pending"), true},
		{"deactivate valid", fakeca.Boulder, (*scene).theValid, deactivation, "deactivated", (*scene).theValid, "deactivated", []string{"http-01=valid"}, true},
		{"deactivate valid", fakeca.OpenBao, (*scene).theValid, deactivation, "deactivated", (*scene).theValid, "deactivated", all("invalid"), true},
		{"deactivate invalid", fakeca.Boulder, (*scene).theInvalid, deactivation, "deactivated", (*scene).theInvalid, "invalid", []string{"http-01=invalid+error"}, true},
		{"deactivate invalid", fakeca.Pebble, (*scene).theInvalid, deactivation, "deactivated", (*scene).theInvalid, "deactivated", []string{"http-01=invalid+error"}, true},
		{"read expired", fakeca.Pebble, (*scene).theExpired, "", "pending", (*scene).theExpired, "pending", all("pending"), true},
		{"read expired", fakeca.StepCA, (*scene).theExpired, "", "invalid", (*scene).theExpired, "invalid", all("pending"), true},
		{"read expired", fakeca.OpenBao, (*scene).theExpired, "", "pending", (*scene).theExpired, "pending", all("pending"), false},
		{"answer", fakeca.Boulder, (*scene).theChallenge, "{}", "pending", (*scene).thePending, "invalid", []string{"http-01=invalid+error"}, true},
		{"answer", fakeca.StepCA, (*scene).theChallenge, "{}", "pending", (*scene).thePending, "pending", []string{"dns-01=pending", "http-01=pending+error", "tls-alpn-01=pending"}, true},
		{"answer", fakeca.OpenBao, (*scene).theChallenge, "{}", "processing", (*scene).thePending, "invalid", []string{"dns-01=pending", "http-01=invalid+error", "tls-alpn-01=pending"}, false},
		{"answer", fakeca.Pebble, (*scene).theChallenge, "{}", "processing", (*scene).thePending, "invalid", []string{"http-01=invalid+error"}, true},
		{"read challenge", fakeca.Boulder, (*scene).theChallenge, "", "pending", (*scene).thePending, "pending", all("pending"), true},
		{"read challenge", fakeca.StepCA, (*scene).theChallenge, "", "pending", (*scene).thePending, "pending", []string{"dns-01=pending", "http-01=pending+error", "tls-alpn-01=pending"}, true},
		{"read challenge", fakeca.OpenBao, (*scene).theChallenge, "", "pending", (*scene).thePending, "pending", all("pending"), false},
	} {
		t.Run(tt.name+"/"+names[tt.behavior], func(t *testing.T) {
			s := newScene(tt.behavior)
			require.Equal(t, tt.answered, send(t, s.ca, request{url: tt.url(s), client: s.mine, payload: tt.payload}).object.Status)
			got := send(t, s.ca, request{url: tt.of(s), client: s.mine})
			require.Equal(t, tt.then, got.object.Status)
			require.Equal(t, tt.challenges, got.challenges())
			require.Equal(t, tt.expires, got.object.Expires != "")
			require.Equal(t, tt.then, s.ca.Authorization(tt.of(s)).Status)
		})
	}
}

func (s *scene) thePending() string   { return s.pending }
func (s *scene) theValid() string     { return s.valid }
func (s *scene) theInvalid() string   { return s.invalid }
func (s *scene) theExpired() string   { return s.expired }
func (s *scene) theChallenge() string { return s.challenge(s.pending) }

// challenges are the challenges of an authorization in short.
func (a answer) challenges() []string {
	var short []string
	for _, c := range a.object.Challenges {
		one := c.Type + "=" + c.Status
		if c.Error != nil {
			one += "+error"
		}
		short = append(short, one)
	}
	slices.Sort(short)
	return short
}

// TestPlainGET has what CAs answer to a GET that nobody signed.
func TestPlainGET(t *testing.T) {
	for behavior, want := range map[fakeca.Behavior]int{
		fakeca.Boulder: 200, fakeca.StepCA: 405, fakeca.Ignores: 405, fakeca.OpenBao: 405, fakeca.Pebble: 405,
	} {
		t.Run(names[behavior], func(t *testing.T) {
			s := newScene(behavior)
			for _, url := range []string{s.pending, s.challenge(s.pending)} {
				r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
				require.NoError(t, err)
				got := do(t, s.ca, r)
				require.Equal(t, want, got.StatusCode)
				require.Empty(t, got.Header.Get("Replay-Nonce"))
			}
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.ca.URL()+"/nosuchpath", nil)
			require.NoError(t, err)
			require.Equal(t, "404 page not found\n", do(t, s.ca, r).body)
		})
	}
}

// TestOrders has what a deactivation does to the order.
func TestOrders(t *testing.T) {
	for behavior, want := range map[fakeca.Behavior]struct{ status, authorizations int }{
		fakeca.Boulder: {403, 2}, fakeca.OpenBao: {403, 0}, fakeca.Pebble: {403, 2},
	} {
		t.Run(names[behavior], func(t *testing.T) {
			ca := fakeca.New(fakeca.Config{Behavior: behavior})
			client := ca.Client()
			order, err := client.AuthorizeOrder(t.Context(), acme.DomainIDs("a.example.com", "b.example.com"))
			require.NoError(t, err)
			require.Equal(t, 200, send(t, ca, request{url: order.AuthzURLs[0], client: client, payload: deactivation}).StatusCode)
			after, err := client.GetOrder(t.Context(), order.URI)
			require.NoError(t, err)
			require.Equal(t, acme.StatusInvalid, after.Status)
			require.Len(t, after.AuthzURLs, want.authorizations)
			require.Equal(t, acme.StatusPending, ca.Authorization(order.AuthzURLs[1]).Status)
			got := send(t, ca, request{url: order.FinalizeURL, client: client, payload: `{"csr":""}`})
			require.Equal(t, want.status, got.StatusCode)
			require.Equal(t, "urn:ietf:params:acme:error:orderNotReady", got.problem.Type)
		})
	}
}
