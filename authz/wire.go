package authz

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"golang.org/x/crypto/acme"
)

// The objects of RFC 8555 as CAs really send them: unknown members and types
// are kept out of the way, and a missing or odd member that is not needed is
// no error.

type wireAuthorization struct {
	Identifier wireIdentifier  `json:"identifier"`
	Status     string          `json:"status"`
	Expires    wireTime        `json:"expires"`
	Wildcard   bool            `json:"wildcard"`
	Challenges []wireChallenge `json:"challenges"`
}

type wireIdentifier struct {
	Type  string `json:"type"`
	Value string `json:"value"`
}

type wireChallenge struct {
	Type      string       `json:"type"`
	URL       string       `json:"url"`
	Status    string       `json:"status"`
	Token     string       `json:"token"`
	Validated wireTime     `json:"validated"`
	Error     *wireProblem `json:"error"`
}

type wireProblem struct {
	Type        string `json:"type"`
	Detail      string `json:"detail"`
	Status      int    `json:"status"`
	Instance    string `json:"instance"`
	Subproblems []struct {
		Type       string          `json:"type"`
		Detail     string          `json:"detail"`
		Instance   string          `json:"instance"`
		Identifier *wireIdentifier `json:"identifier"`
	} `json:"subproblems"`
}

// A wireTime is zero for what is no RFC 3339 time: CAs send "" and null.
type wireTime struct{ time.Time }

func (t *wireTime) UnmarshalJSON(data []byte) error {
	var s string
	if json.Unmarshal(data, &s) == nil {
		t.Time, _ = time.Parse(time.RFC3339, s)
	}
	return nil
}

// decodeAuthorization reads the authorization object at url (§7.1.4). Status
// and identifier make it one: accounts, orders and challenges have a status,
// too, and deactivating an account looks the same as deactivating an
// authorization (§7.3.6). A wrong base URL gets an empty 200 from Caddy.
func decodeAuthorization(url string, body []byte) (*acme.Authorization, error) {
	var w wireAuthorization
	err := json.Unmarshal(body, &w)
	if err == nil && (w.Status == "" || w.Identifier.Value == "") {
		err = errors.New("it has no status or no identifier")
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotAuthorization, err)
	}
	a := &acme.Authorization{
		URI:        url,
		Status:     w.Status,
		Identifier: acme.AuthzID{Type: w.Identifier.Type, Value: w.Identifier.Value},
		Expires:    w.Expires.Time,
		Wildcard:   w.Wildcard,
	}
	for _, c := range w.Challenges {
		a.Challenges = append(a.Challenges, c.challenge())
	}
	return a, nil
}

// decodeChallenge reads the challenge object at url (§7.1.5), or returns nil
// if body is none.
func decodeChallenge(url string, body []byte) *acme.Challenge {
	var w wireChallenge
	if json.Unmarshal(body, &w) != nil || w.Type == "" {
		return nil
	}
	c := w.challenge()
	c.URI = url
	return c
}

func (w *wireChallenge) challenge() *acme.Challenge {
	c := &acme.Challenge{Type: w.Type, URI: w.URL, Token: w.Token, Status: w.Status, Validated: w.Validated.Time}
	if w.Error != nil {
		c.Error = w.Error.error()
	}
	return c
}

func (w *wireProblem) error() *acme.Error {
	e := &acme.Error{StatusCode: w.Status, ProblemType: w.Type, Detail: w.Detail, Instance: w.Instance}
	for _, s := range w.Subproblems {
		sub := acme.Subproblem{Type: s.Type, Detail: s.Detail, Instance: s.Instance}
		if s.Identifier != nil {
			sub.Identifier = &acme.AuthzID{Type: s.Identifier.Type, Value: s.Identifier.Value}
		}
		e.Subproblems = append(e.Subproblems, sub)
	}
	return e
}

// accountStatus is the status in an account object (§7.1.2), or "".
func accountStatus(body []byte) string {
	var account struct {
		Status string `json:"status"`
	}
	_ = json.Unmarshal(body, &account)
	return account.Status
}
