package main

import (
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/acmeauthz/acmeauthz/account"
	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"
)

// recorded is an authorization as a CA had it when a recorded run was over.
type recorded struct {
	URL         string `json:"url"`
	Identifier  string `json:"identifier"`
	Wildcard    bool   `json:"wildcard"`
	Status      string `json:"status"`
	Account     string `json:"account"` // the owner's URL
	Recoverable bool   `json:"recoverable"`
}

// A recordedCA answers for the CAs of a recorded run, under the names they had.
// As an [http.RoundTripper] it is all the network there is. It verifies
// signatures and who may see what, and knows nothing but authorizations.
type recordedCA struct {
	mu             sync.Mutex
	authorizations map[string]*recorded
	keys           map[string]crypto.PublicKey // by account URL
	nonces         int
	changes        int
	asked          map[string]int // requests for an authorization
}

func newRecordedCA(t *testing.T, all []recorded) *recordedCA {
	ca := &recordedCA{authorizations: make(map[string]*recorded), keys: make(map[string]crypto.PublicKey), asked: make(map[string]int)}
	for _, a := range all {
		ca.authorizations[a.URL] = &a
	}
	require.NotEmpty(t, ca.authorizations)
	return ca
}

// addAccount makes the CA know the account whose key is in the file.
func (ca *recordedCA) addAccount(keyFile string) {
	data, err := os.ReadFile(keyFile)
	if err != nil {
		return
	}
	signer, err := account.ParseKey(data)
	if err != nil {
		return
	}
	var registration struct{ URI string }
	regr, _ := os.ReadFile(filepath.Join(filepath.Dir(keyFile), "regr.json"))
	if json.Unmarshal(regr, &registration) == nil {
		ca.keys[registration.URI] = signer.Public()
	}
}

func (ca *recordedCA) status(url string) string {
	ca.mu.Lock()
	defer ca.mu.Unlock()
	return ca.authorizations[url].Status
}

func (ca *recordedCA) RoundTrip(r *http.Request) (*http.Response, error) {
	ca.mu.Lock()
	defer ca.mu.Unlock()
	origin := r.URL.Scheme + "://" + r.URL.Host
	switch {
	case r.Method == http.MethodGet && (strings.HasSuffix(r.URL.Path, "/directory") || r.URL.Path == "/dir"):
		return ca.reply(r, http.StatusOK, map[string]string{
			"newNonce": origin + "/new-nonce", "newAccount": origin + "/new-account", "newOrder": origin + "/new-order"})
	case r.Method == http.MethodHead:
		return ca.reply(r, http.StatusOK, nil)
	case r.Method == http.MethodPost:
		return ca.post(r)
	}
	return ca.problem(r, http.StatusNotFound, "malformed", "no such thing")
}

func (ca *recordedCA) post(r *http.Request) (*http.Response, error) {
	kid, payload, err := ca.verify(r)
	if err != nil {
		return ca.problem(r, http.StatusBadRequest, "malformed", err.Error())
	}
	if strings.HasSuffix(r.URL.Path, "/new-account") {
		resp, err := ca.reply(r, http.StatusOK, map[string]string{"status": "valid"})
		resp.Header.Set("Location", kid)
		return resp, err
	}
	a := ca.authorizations[r.URL.String()]
	ca.asked[r.URL.String()]++
	switch {
	case a == nil:
		return ca.problem(r, http.StatusNotFound, "malformed", "No such authorization")
	case a.Account != kid:
		return ca.problem(r, http.StatusForbidden, "unauthorized", "Account ID doesn't match ID for authorization")
	case string(payload) == `{"status":"deactivated"}`:
		a.Status = "deactivated"
		ca.changes++
	case len(payload) > 0:
		return ca.problem(r, http.StatusBadRequest, "malformed", "Invalid status value")
	}
	return ca.reply(r, http.StatusOK, map[string]any{
		"status": a.Status, "wildcard": a.Wildcard, "identifier": map[string]string{"type": "dns", "value": a.Identifier},
		"expires": "2099-01-02T03:04:05Z", "challenges": []string{}})
}

// verify returns the account that signed a request, and what it says.
func (ca *recordedCA) verify(r *http.Request) (kid string, payload []byte, err error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return "", nil, err
	}
	jws, err := jose.ParseSignedJSON(string(body), []jose.SignatureAlgorithm{jose.RS256, jose.ES256})
	if err != nil {
		return "", nil, err
	}
	header := jws.Signatures[0].Protected
	if header.ExtraHeaders["url"] != r.URL.String() {
		return "", nil, errors.New("signed for another URL")
	}
	for url, key := range ca.keys {
		if header.KeyID != "" && header.KeyID != url || hostOf(url) != hostOf(r.URL.String()) {
			continue
		}
		if payload, err := jws.Verify(key); err == nil {
			return url, payload, nil
		}
	}
	return "", nil, errors.New("no account has signed this")
}

func (ca *recordedCA) problem(r *http.Request, status int, kind, detail string) (*http.Response, error) {
	return ca.reply(r, status, map[string]string{"type": "urn:ietf:params:acme:error:" + kind, "detail": detail})
}

func (ca *recordedCA) reply(r *http.Request, status int, content any) (*http.Response, error) {
	doc, err := json.Marshal(content)
	if err != nil {
		return nil, err
	}
	ca.nonces++
	return &http.Response{
		StatusCode: status,
		Header:     http.Header{"Replay-Nonce": {fmt.Sprintf("nonce-%d", ca.nonces)}, "Content-Type": {"application/json"}},
		Body:       io.NopCloser(strings.NewReader(string(doc))),
		Request:    r,
	}, nil
}
