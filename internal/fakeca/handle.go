package fakeca

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// A resource is what a path stands for.
type resource int

const (
	directory resource = iota
	newNonce
	newAccount
	newOrder
	accountObject
	orderResource
	finalizeResource
	certificateResource
	orderListResource
	authorizationResource
	challengeResource
)

// route finds out what a request asks for, and reports false for a path the CA does not have.
func (ca *CA) route(in *incoming) bool {
	d := ca.dialect
	for _, known := range []struct {
		path string
		what resource
		kind Kind
	}{{d.directory, directory, Directory}, {d.newNonce, newNonce, Nonce}, {d.newAccount, newAccount, Account}, {d.newOrder, newOrder, Ordering}} {
		if in.Path == known.path {
			in.what, in.Kind = known.what, known.kind
			return true
		}
	}
	if known, list := ca.routeOrderList(in); list {
		return known
	}
	for _, known := range []struct {
		prefix string
		what   resource
		kind   Kind
	}{
		{d.authorization, authorizationResource, Read}, {d.challenge, challengeResource, ReadChallenge},
		{d.account, accountObject, Account}, {d.order, orderResource, Ordering}, {d.finalize, finalizeResource, Ordering},
		{d.certificate, certificateResource, Ordering},
	} {
		if known.prefix != "" && strings.HasPrefix(in.Path, known.prefix) {
			in.what, in.Kind, in.id = known.what, known.kind, ca.idOf(in.Path, known.prefix)
			in.refine(ca.dialect)
			return true
		}
	}
	return false
}

// refine tells what stands behind an order's path from the order; a certificate's id has no account's before it.
func (in *incoming) refine(d *dialect) {
	switch id, last, _ := strings.Cut(in.id, "/"); {
	case in.what == orderResource && last == "finalize":
		in.what, in.id = finalizeResource, id
	case in.what == orderResource && last == "cert" && d.certificate == "":
		in.what, in.id = certificateResource, id
	case in.what == certificateResource:
		in.id = strings.TrimPrefix(in.Path, d.certificate)
	}
}

// classify tells readings from changes once the payload is known.
func (in *incoming) classify() {
	switch {
	case len(in.Payload) == 0:
	case in.what == authorizationResource:
		in.Kind = Deactivate
	case in.what == challengeResource:
		in.Kind = AnswerChallenge
	}
}

// handle answers a request that passed verification; nil is no answer, ever.
func (ca *CA) handle(in *incoming) *reply {
	if in.unknownPath {
		return ca.notFound(in)
	}
	if !ca.allowed(in) {
		y := ca.refuse(refusedMethod)
		if ca.config.Behavior != OpenBao {
			y.header.Set("Allow", http.MethodPost)
		}
		return y
	}
	switch in.what {
	case directory:
		return ca.handleDirectory()
	case newNonce:
		return ca.handleNonce(in)
	case newAccount:
		return ca.handleNewAccount(in)
	case challengeResource:
		return ca.handleChallenge(in)
	}
	ca.mu.Lock()
	defer ca.mu.Unlock()
	switch in.what {
	case accountObject:
		return ca.handleAccount(in)
	case newOrder:
		return ca.handleNewOrder(in)
	case orderListResource:
		return ca.handleOrderList(in)
	case certificateResource:
		return ca.handleCertificate(in)
	case authorizationResource:
		return ca.handleAuthorization(in)
	default:
		return ca.handleOrder(in)
	}
}

// notFound is the answer for a path that the CA does not have; OpenBao denies what it announces as the list of orders.
func (ca *CA) notFound(in *incoming) *reply {
	if in.what == orderListResource && ca.config.Behavior == OpenBao {
		return ca.word(text{http.StatusForbidden, "", `{"errors":["permission denied"]}`})
	}
	return &reply{status: http.StatusNotFound, body: []byte("404 page not found\n"), header: http.Header{"Content-Type": {"text/plain; charset=utf-8"}}}
}

// allowed reports whether the method will do.
func (ca *CA) allowed(in *incoming) bool {
	switch in.what {
	case directory:
		return in.Method == http.MethodGet
	case newNonce:
		return in.Method == http.MethodHead || in.Method == http.MethodGet
	case authorizationResource, challengeResource, orderResource, certificateResource:
		return in.Method == http.MethodPost || in.Method == http.MethodGet && ca.dialect.readable
	default:
		return in.Method == http.MethodPost
	}
}

// handleDirectory shows the directory.
func (ca *CA) handleDirectory() *reply {
	base, d := ca.URL(), ca.dialect
	return ca.object(http.StatusOK, map[string]any{
		"newNonce":   base + d.newNonce,
		"newAccount": base + d.newAccount,
		"newOrder":   base + d.newOrder,
		"revokeCert": base + strings.TrimSuffix(d.newOrder, "new-order") + "revoke-cert",
		"keyChange":  base + strings.TrimSuffix(d.newOrder, "new-order") + "key-change",
	})
}

// handleNonce hands out a nonce (RFC 8555, section 7.2), unless there were too many.
func (ca *CA) handleNonce(in *incoming) *reply {
	if ca.limiter != nil && !ca.limiter.Allow() {
		return ca.busy()
	}
	y := &reply{status: http.StatusOK, header: http.Header{}}
	if in.Method == http.MethodGet {
		y.status = http.StatusNoContent
	}
	return y
}

// handleNewAccount registers or finds an account (section 7.3).
func (ca *CA) handleNewAccount(in *incoming) *reply {
	var request struct {
		OnlyReturnExisting bool `json:"onlyReturnExisting"`
	}
	if err := json.Unmarshal(in.Payload, &request); err != nil {
		return ca.refuse(refusedJWS)
	}
	ca.mu.Lock()
	defer ca.mu.Unlock()
	a, code := ca.byThumbprint[thumbprint(in.jwk)], http.StatusOK
	switch {
	case a == nil && request.OnlyReturnExisting:
		return ca.refuse(refusedNoAccount)
	case a == nil:
		a, code = ca.addAccount(in.jwk), http.StatusCreated
	case a.status != valid:
		return ca.refuse(refusedAccount, a.status)
	}
	return ca.accountReply(code, a)
}

// accountReply shows an account.
func (ca *CA) accountReply(code int, a *account) *reply {
	members := map[string]string{"status": a.status}
	if list := ca.orderListURL(a); list != "" {
		members["orders"] = list
	}
	y := ca.object(code, members)
	y.header.Set("Location", ca.accountURL(a))
	return y
}

// handleAccount reads or deactivates an account (sections 7.3.2 and 7.3.6).
func (ca *CA) handleAccount(in *incoming) *reply {
	a := ca.accountByKID(in.URL)
	if a != in.account {
		return ca.refuse(refusedForeignAccount)
	}
	var update struct {
		Status string `json:"status"`
	}
	if len(in.Payload) > 0 && json.Unmarshal(in.Payload, &update) == nil && update.Status == deactivated {
		a.status = deactivated
	}
	return ca.accountReply(http.StatusOK, a)
}

// handleAuthorization reads or deactivates an authorization (sections 7.5 and 7.5.2).
func (ca *CA) handleAuthorization(in *incoming) *reply {
	if ca.config.Behavior == StepCA && len(in.Payload) > 0 {
		return ca.refuse(refusedStatus)
	}
	a := ca.authorizations[in.id]
	if a == nil {
		return ca.unknown(in)
	}
	switch ca.settle(a); {
	case a.lockedUp:
		return nil
	case ca.config.Behavior == Boulder && ca.replica(a).expired():
		return ca.refuse(expiredAuthorization)
	case in.account != nil && in.account != a.account && len(in.Payload) > 0:
		return ca.refuse(foreignDeactivation)
	case in.account != nil && in.account != a.account:
		return ca.refuse(foreignAuthorization)
	case len(in.Payload) == 0:
		shown := ca.replica(a)
		return ca.authorizationReply(shown, shown.status)
	}
	if refused := ca.checkDeactivation(in.Payload); refused != nil {
		return refused
	}
	return ca.deactivate(a, in.Payload)
}

// unknown is the answer for an authorization that is not there.
func (ca *CA) unknown(in *incoming) *reply {
	parts := strings.Split(strings.TrimPrefix(in.Path, ca.dialect.authorization), "/")
	if _, err := strconv.Atoi(in.id); ca.config.Behavior == Boulder && len(parts) == 2 && err != nil {
		return ca.word(text{http.StatusBadRequest, "malformed", "Invalid authorization ID"})
	}
	return ca.refuse(unknownAuthorization)
}

// checkDeactivation refuses a body that does not deactivate, as far as this CA looks at it.
func (ca *CA) checkDeactivation(payload []byte) *reply {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(payload, &members); err != nil {
		return ca.refuse(refusedPayload, err.Error())
	}
	if ca.config.Behavior == Ignores || ca.config.Behavior == OpenBao && len(members) == 0 {
		return nil
	}
	if refused := ca.checkMembers(members); refused != nil {
		return refused
	}
	var update struct {
		Status string `json:"status"`
	}
	if err := json.Unmarshal(payload, &update); err != nil {
		return ca.refuse(refusedPayload, err.Error())
	}
	if update.Status != deactivated {
		return ca.refuse(refusedStatus, update.Status)
	}
	return nil
}

// checkMembers refuses anything besides the status. The words for "resource" are those of pebble -strict.
func (ca *CA) checkMembers(members map[string]json.RawMessage) *reply {
	if ca.config.Lenient {
		return nil
	}
	if value, ok := members["resource"]; ok {
		return ca.refuse(refusedMember, `JWS body included JSON with a deprecated ACME v1 "resource" field (`+string(value)+`)`)
	}
	for name := range members {
		if name != "status" {
			return ca.refuse(refusedMember, `JWS body included JSON with an unexpected "`+name+`" field`)
		}
	}
	return nil
}

// deactivate does what this CA does when told to.
func (ca *CA) deactivate(a *authorization, payload []byte) *reply {
	open := a.status == pending || a.status == valid
	if ca.config.Behavior == OpenBao && strings.TrimSpace(string(payload)) == "{}" {
		return ca.authorizationReply(a, a.status)
	}
	if ca.config.Behavior == OpenBao && !open {
		return ca.refuse(refusedFinal, a.status)
	}
	a.deactivations++
	switch ca.config.Behavior {
	case Ignores:
		return ca.authorizationReply(a, a.status)
	case Boulder:
		if ca.replica(a).status == pending {
			ca.countFailure(a, time.Now())
		}
		if open {
			ca.remember(a, time.Now())
			a.status = deactivated
		}
		return ca.authorizationReply(a, deactivated) // said even of an invalid one
	case OpenBao:
		for _, c := range a.challenges {
			c.status, c.answered = invalid, time.Time{}
		}
	}
	a.status = deactivated
	return ca.authorizationReply(a, deactivated)
}

// handleChallenge reads or answers a challenge (section 7.5.1).
func (ca *CA) handleChallenge(in *incoming) *reply {
	ca.mu.Lock()
	defer ca.mu.Unlock()
	c, refused := ca.findChallenge(in)
	if refused != nil {
		return refused
	}
	if c.authorization.lockedUp {
		return nil
	}
	if len(in.Payload) == 0 && ca.config.Behavior != StepCA {
		return ca.challengeReply(c)
	}
	if refused := ca.checkAnswer(c, in.Payload); refused != nil {
		return refused
	}
	if c.readLocked && ca.config.LockUp {
		c.authorization.lockedUp = true
		return nil
	}
	if c.status == valid || c.status == invalid || !c.answered.IsZero() {
		return ca.challengeReply(c) // nothing new is tried
	}
	return ca.answer(c)
}

// findChallenge finds the challenge of a request, or says why it must not be seen.
func (ca *CA) findChallenge(in *incoming) (*challenge, *reply) {
	c := ca.challenges[in.id]
	if c == nil {
		authorizationID, last, _ := strings.Cut(in.id, "/")
		if ca.config.Behavior == OpenBao && ca.authorizations[authorizationID] == nil {
			return nil, ca.refuse(unknownAuthorization)
		}
		return nil, ca.refuse(unknownChallenge, last)
	}
	ca.settle(c.authorization)
	if ca.config.Behavior == Boulder && c.authorization.expired() {
		return nil, ca.refuse(expiredAuthorization)
	}
	if in.account != nil && in.account != c.authorization.account {
		return nil, ca.refuse(foreignChallenge)
	}
	return c, nil
}

// checkAnswer refuses an answer that comes too late or has the wrong body, as far as this CA looks at it.
func (ca *CA) checkAnswer(c *challenge, payload []byte) *reply {
	a := c.authorization
	refused := ca.refuse(refusedAnswered, a.id, a.status, c.status)
	wrongBody := strings.TrimSpace(string(payload)) != "{}"
	switch ca.config.Behavior {
	case StepCA:
		return nil
	case OpenBao:
		if wrongBody {
			return ca.refuse(refusedAnswer)
		}
	case Pebble:
		if wrongBody && !ca.config.Lenient {
			return ca.refuse(refusedAnswer)
		}
		if c.status != pending {
			return refused
		}
		if a.expired() {
			return ca.refuse(refusedAnswerExpired, a.expires.UTC().Format(time.RFC3339))
		}
		return nil
	}
	if a.status != pending && !(ca.config.Behavior == Boulder && a.status == valid) {
		return refused
	}
	return nil
}

// answer begins a validation. The lock is given up while the test says how it ends.
func (ca *CA) answer(c *challenge) *reply {
	c.count++
	succeeds := false
	if validate, described := ca.config.ValidateOK, ca.describe(c.authorization); validate != nil {
		ca.mu.Unlock()
		succeeds = validate(described, c.kind)
		ca.mu.Lock()
	}
	c.answered, c.succeeds = time.Now(), succeeds
	if ca.config.Behavior != StepCA {
		ca.unsettled = append(ca.unsettled, c)
	}
	switch ca.config.Behavior {
	case StepCA:
		ca.conclude(c)
		c.answered = time.Time{}
		if c.problem != nil {
			c.validated = time.Time{}
		}
	case OpenBao, Pebble, Ignores:
		c.status = processing
		shown := *c
		shown.answered = time.Time{} // no error yet
		return ca.challengeReply(&shown)
	}
	return ca.challengeReply(c)
}

// challengeReply shows a challenge.
func (ca *CA) challengeReply(c *challenge) *reply {
	y := ca.object(http.StatusOK, ca.challengeJSON(c))
	if ca.dialect.challengesUp {
		y.header.Set("Link", "<"+ca.authorizationURL(c.authorization)+`>;rel="up"`)
	}
	if ca.dialect.challengeLocation {
		y.header.Set("Location", ca.challengeURL(c))
	}
	return y
}
