package fakeca

import (
	"cmp"
	"crypto"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	mathrand "math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"golang.org/x/crypto/acme"
)

const (
	pending     = acme.StatusPending
	processing  = acme.StatusProcessing
	valid       = acme.StatusValid
	invalid     = acme.StatusInvalid
	deactivated = acme.StatusDeactivated
	ready       = acme.StatusReady
)

// An account of the CA.
type account struct {
	id      string
	key     *jose.JSONWebKey // public
	private crypto.Signer    // only of accounts that a test asked for
	status  string
	orders  []*order // in the order they were made
}

// An order of authorizations.
type order struct {
	id             string
	account        *account
	identifiers    []identifier
	authorizations []*authorization
	status         string // in place of the pending or ready that its authorizations give it; empty: as they give it
	expires        time.Time
	certificate    string // id of the certificate in its URL; empty if none was issued
	past           []past[*order]
}

// A name is what an authorization is for, as an order has it ("*.example.org"), of one account.
type name struct {
	account *account
	value   string
}

// An authorization. Its status is up to date only after CA.settle.
type authorization struct {
	id            string
	account       *account
	identifier    identifier
	wildcard      bool
	status        string
	expires       time.Time
	validated     bool // was valid once
	challenges    []*challenge
	lockedUp      bool // Pebble: nothing that touches it is answered any more
	past          []past[*authorization]
	deactivations int // accepted
}

// A challenge of an authorization.
type challenge struct {
	id            string // what stands in its URL behind the account's id
	authorization *authorization
	kind          string
	token         string
	status        string
	problem       *problem
	validated     time.Time
	answered      time.Time // when; zero if not, or if it is settled
	succeeds      bool      // what the validation under way will find
	count         int       // answers
	readLocked    bool      // Pebble: shown when its authorization was final and it was unused
}

// An identifier of an order or authorization.
type identifier struct {
	Type  string `json:"type"`
	Value string `json:"value"`
}

// kid is an account URL in x/crypto's type.
func kid(url string) acme.KeyID { return acme.KeyID(url) }

// newID makes an id as the CA's look.
func (ca *CA) newID() string {
	ca.last++
	var random [32]byte
	_, _ = rand.Read(random[:]) // never fails
	switch ca.config.Behavior {
	case Boulder:
		return strconv.Itoa(ca.last)
	case StepCA:
		return hex.EncodeToString(random[:16])
	case OpenBao:
		digits := hex.EncodeToString(random[:16])
		return digits[:8] + "-" + digits[8:12] + "-" + digits[12:16] + "-" + digits[16:20] + "-" + digits[20:]
	default:
		return base64.RawURLEncoding.EncodeToString(random[:])
	}
}

// firstAccount is the account of CA.Client.
func (ca *CA) firstAccount() *account {
	if ca.first == nil {
		ca.first = ca.register(newKey())
	}
	return ca.first
}

// register makes an account of a private key.
func (ca *CA) register(key crypto.Signer) *account {
	a := ca.addAccount(&jose.JSONWebKey{Key: key.Public()})
	a.private = key
	return a
}

// addAccount makes an account of a public key.
func (ca *CA) addAccount(key *jose.JSONWebKey) *account {
	a := &account{id: ca.newID(), key: key, status: valid}
	ca.accounts[a.id] = a
	ca.byThumbprint[thumbprint(key)] = a
	return a
}

// accountByKID finds an account by its URL.
func (ca *CA) accountByKID(url string) *account {
	id, ok := strings.CutPrefix(url, ca.base+ca.dialect.account)
	if !ok {
		return nil
	}
	return ca.accounts[id]
}

// newAuthorization makes an authorization and its challenges.
func (ca *CA) newAuthorization(from Authorization, owner *account) *authorization {
	a := &authorization{
		id:         ca.newID(),
		account:    owner,
		wildcard:   from.Wildcard,
		status:     cmp.Or(from.Status, pending),
		expires:    from.Expires,
		validated:  from.Status == valid,
		identifier: identifier{cmp.Or(from.Type, "dns"), cmp.Or(from.Identifier, "name"+strconv.Itoa(ca.last)+".example.org")},
	}
	if a.expires.IsZero() {
		a.expires = time.Now().Add(7 * 24 * time.Hour)
	}
	challenges := from.Challenges
	if challenges == nil {
		challenges = defaultChallenges(a.wildcard, a.status)
	}
	for _, c := range challenges {
		a.challenges = append(a.challenges, ca.newChallenge(a, c))
	}
	ca.authorizations[a.id] = a
	if ca.config.ReusePending {
		ca.named[a.name()] = append(ca.named[a.name()], a)
	}
	return a
}

// defaultChallenges are those of an authorization that got to its status through the first one.
func defaultChallenges(wildcard bool, status string) []Challenge {
	challenges := []Challenge{{Type: "http-01"}, {Type: "dns-01"}, {Type: "tls-alpn-01"}}
	if wildcard {
		challenges = challenges[1:2]
	}
	switch status {
	case valid:
		challenges[0].Status = valid
	case invalid:
		challenges[0].Status, challenges[0].Error = invalid, "connection"
	}
	return challenges
}

// newChallenge makes a challenge.
func (ca *CA) newChallenge(a *authorization, from Challenge) *challenge {
	var random [32]byte
	_, _ = rand.Read(random[:]) // never fails
	c := &challenge{
		authorization: a,
		kind:          from.Type,
		token:         cmp.Or(from.Token, base64.RawURLEncoding.EncodeToString(random[:])),
		status:        cmp.Or(from.Status, pending),
	}
	if from.Error != "" {
		c.problem = ca.newProblem(text{403, from.Error, "the validation failed"})
	}
	if c.status == valid || c.status == invalid {
		c.validated = time.Now()
	}
	switch ca.config.Behavior {
	case Boulder:
		c.id = a.id + "/" + base64.RawURLEncoding.EncodeToString(random[:4])
	case StepCA:
		c.id = a.id + "/" + ca.newID()
	case OpenBao:
		c.id = a.id + "/" + c.kind
	default:
		c.id = ca.newID()
	}
	ca.challenges[c.id] = c
	return c
}

// newProblem makes a challenge's error.
func (ca *CA) newProblem(t text) *problem {
	p := &problem{Type: problemPrefix + t.kind, Detail: t.detail}
	if ca.config.Behavior != StepCA {
		p.Status = t.status
	}
	return p
}

// url puts a resource's URL together.
func (ca *CA) url(prefix string, owner *account, id string) string {
	if ca.dialect.accountInPath {
		return ca.base + prefix + owner.id + "/" + id
	}
	return ca.base + prefix + id
}

func (ca *CA) accountURL(a *account) string { return ca.base + ca.dialect.account + a.id }
func (ca *CA) orderURL(o *order) string     { return ca.url(ca.dialect.order, o.account, o.id) }
func (ca *CA) authorizationURL(a *authorization) string {
	return ca.url(ca.dialect.authorization, a.account, a.id)
}

func (ca *CA) challengeURL(c *challenge) string {
	return ca.url(ca.dialect.challenge, c.authorization.account, c.id)
}

// finalizeURL is where an order is finalized.
func (ca *CA) finalizeURL(o *order) string {
	if ca.dialect.finalize != "" {
		return ca.url(ca.dialect.finalize, o.account, o.id)
	}
	return ca.orderURL(o) + "/finalize"
}

// idOf takes the id out of a URL or path; it is empty if the URL does not begin as it should. Boulder does not look at the
// account's number in the path.
func (ca *CA) idOf(url, prefix string) string {
	path := strings.TrimPrefix(url, ca.base)
	id, ok := strings.CutPrefix(path, prefix)
	if ok && ca.dialect.accountInPath {
		_, id, _ = strings.Cut(id, "/")
	}
	return id
}

// client makes a client of an account whose private key is known.
func (ca *CA) client(a *account) *acme.Client {
	return &acme.Client{
		Key:          a.private,
		KID:          kid(ca.accountURL(a)),
		DirectoryURL: ca.base + ca.dialect.directory,
		HTTPClient:   ca.http,
		UserAgent:    "fakeca-test",
	}
}

// describe shows an authorization to the test.
func (ca *CA) describe(a *authorization) Authorization {
	shown := Authorization{
		URL:        ca.authorizationURL(a),
		Identifier: a.identifier.Value,
		Type:       a.identifier.Type,
		Wildcard:   a.wildcard,
		Status:     a.status,
		Expires:    a.expires,
		Owner:      kid(ca.accountURL(a.account)),
		Challenges: []Challenge{},
	}
	for _, c := range a.challenges {
		described := Challenge{Type: c.kind, URL: ca.challengeURL(c), Token: c.token, Status: c.status, Count: c.count}
		if c.problem != nil {
			described.Error = strings.TrimPrefix(c.problem.Type, problemPrefix)
		}
		shown.Challenges = append(shown.Challenges, described)
	}
	return shown
}

// ordered is the identifier by which an order has the authorization.
func (a *authorization) ordered() identifier {
	if a.wildcard {
		return identifier{a.identifier.Type, "*." + a.identifier.Value}
	}
	return a.identifier
}

// name is what the authorization is for.
func (a *authorization) name() name { return name{a.account, a.ordered().Value} }

// expired reports whether an authorization's time is over.
func (a *authorization) expired() bool { return time.Now().After(a.expires) }

// settle brings an authorization up to date.
func (ca *CA) settle(a *authorization) {
	ca.settleDue()
	if ca.config.Behavior == StepCA && a.status == pending && a.expired() {
		a.status = invalid
	}
}

// settleDue ends all validations whose time has come, in the order of their ends, so that failures are counted in theirs.
func (ca *CA) settleDue() {
	for len(ca.unsettled) > 0 {
		c := ca.unsettled[0]
		if !c.answered.IsZero() && time.Since(c.answered) < ca.config.SettleAfter {
			return
		}
		ca.unsettled = ca.unsettled[1:]
		ca.settleChallenge(c)
	}
}

// settleChallenge ends a validation, unless a deactivation did.
func (ca *CA) settleChallenge(c *challenge) {
	a := c.authorization
	switch {
	case c.answered.IsZero():
	case c.readLocked && ca.config.LockUp:
		a.lockedUp = true
	case a.status == pending || ca.config.Behavior == Pebble:
		// Pebble alone writes its finding over any status.
		ca.remember(a, c.answered.Add(ca.config.SettleAfter))
		ca.conclude(c)
	}
	c.answered = time.Time{}
}

// conclude writes the finding of a validation.
func (ca *CA) conclude(c *challenge) {
	a := c.authorization
	c.validated = c.answered
	if c.succeeds {
		c.status, c.problem = valid, nil
		if a.status == pending || ca.config.Behavior == Pebble {
			a.status, a.validated, a.expires = valid, true, time.Now().Add(ca.validLifetime())
		}
		return
	}
	c.problem = ca.newProblem(ca.failure(c))
	if ca.config.Behavior != StepCA {
		c.status, a.status = invalid, invalid
	}
	ca.countFailure(a, c.answered.Add(ca.config.SettleAfter))
}

// validLifetime is how long a valid authorization lives.
func (ca *CA) validLifetime() time.Duration {
	switch ca.config.Behavior {
	case Pebble:
		return time.Hour
	case StepCA:
		return 24 * time.Hour
	case OpenBao:
		return 15 * 24 * time.Hour
	default:
		return 30 * 24 * time.Hour
	}
}

// failure is what the CA says of a challenge that nobody had prepared: nothing listens, no record is there.
func (ca *CA) failure(c *challenge) text {
	name, dns := c.authorization.identifier.Value, strings.HasPrefix(c.kind, "dns-")
	switch {
	case ca.config.Behavior == OpenBao:
		return text{400, "incorrectResponse", "response received didn't match the challenge's requirements: error validating " + c.kind + " challenge " +
			strings.ReplaceAll(c.id, "/", "-") + ": " + c.kind + ": challenge failed against 1 records; this may occur if the validation target was misconfigured: " +
			"check that challenge responses are available at the required locations and retry."}
	case ca.config.Behavior == StepCA && dns:
		return text{0, "dns", "There was a problem with a DNS query during identifier validation"}
	case ca.config.Behavior == StepCA:
		return text{0, "connection", "The server could not connect to validation target"}
	case ca.config.Behavior == Pebble && dns:
		return text{403, "unauthorized", "No TXT records found for DNS challenge"}
	case ca.config.Behavior == Pebble && c.kind == "tls-alpn-01":
		return text{403, "unauthorized", "Failed to connect to 127.0.0.1:5001 for the tls-alpn-01 challenge"}
	case dns:
		return text{403, "unauthorized", "No TXT record found at _acme-challenge." + name}
	default:
		return text{400, "connection", "127.0.0.1: Fetching http://" + name + "/.well-known/acme-challenge/" + c.token + ": Connection refused"}
	}
}

// shownChallenges are those that the CA shows of an authorization, in the order it shows them.
func (ca *CA) shownChallenges(a *authorization) []*challenge {
	shown := slices.Clone(a.challenges)
	switch ca.config.Behavior {
	case Pebble:
		if a.status != pending {
			shown = slices.DeleteFunc(shown, func(c *challenge) bool { return c.problem == nil && c.status != valid })
			ca.readLock(a)
		}
	case Boulder, Ignores:
		used := func(c *challenge) bool { return c.status != pending }
		if slices.ContainsFunc(shown, used) {
			shown = slices.DeleteFunc(shown, func(c *challenge) bool { return !used(c) })
		}
	default:
		return shown
	}
	mathrand.Shuffle(len(shown), func(i, j int) { shown[i], shown[j] = shown[j], shown[i] })
	return shown
}

// readLock takes the lock that Pebble never gives back, on each challenge that it leaves out of what it shows.
func (ca *CA) readLock(a *authorization) {
	for _, c := range a.challenges {
		c.readLocked = c.readLocked || c.problem == nil && c.status != valid
	}
}

// challengeObject is a challenge as JSON.
type challengeObject struct {
	Type      string   `json:"type"`
	URL       string   `json:"url"`
	Status    string   `json:"status"`
	Token     string   `json:"token,omitempty"`
	Validated string   `json:"validated,omitempty"`
	Error     *problem `json:"error,omitempty"`
}

// authorizationObject is an authorization as JSON.
type authorizationObject struct {
	Identifier identifier        `json:"identifier"`
	Status     string            `json:"status"`
	Expires    string            `json:"expires,omitempty"`
	Challenges []challengeObject `json:"challenges"`
	Wildcard   *bool             `json:"wildcard,omitempty"`
}

// challengeJSON shows a challenge.
func (ca *CA) challengeJSON(c *challenge) challengeObject {
	shown := challengeObject{Type: c.kind, URL: ca.challengeURL(c), Status: c.status, Token: c.token, Error: c.problem}
	if !c.validated.IsZero() {
		shown.Validated = c.validated.UTC().Format(time.RFC3339)
	}
	if ca.config.Behavior == OpenBao && !c.answered.IsZero() {
		shown.Error = ca.newProblem(ca.failure(c)) // it tries several times, and tells of each failure
	}
	return shown
}

// authorizationReply shows an authorization, with the status it is said to have.
func (ca *CA) authorizationReply(a *authorization, status string) *reply {
	shown := authorizationObject{Identifier: a.identifier, Status: status, Challenges: []challengeObject{}}
	if ca.config.Behavior != OpenBao || a.validated {
		shown.Expires = a.expires.UTC().Format(time.RFC3339)
	}
	if a.wildcard || ca.config.Behavior == StepCA || ca.config.Behavior == OpenBao {
		shown.Wildcard = &a.wildcard
	}
	y := &reply{status: http.StatusOK, header: http.Header{"Content-Type": {"application/json"}}}
	for _, c := range ca.shownChallenges(a) {
		if ca.config.Behavior == Pebble && c.status == processing {
			y.header.Set("Retry-After", "3")
		}
		shown.Challenges = append(shown.Challenges, ca.challengeJSON(c))
	}
	if ca.dialect.authorizationLocation {
		y.header.Set("Location", ca.authorizationURL(a))
	}
	y.body = encode(shown)
	return y
}

// failed is the problem of the challenge that failed, if any.
func (a *authorization) failed() *problem {
	for _, c := range a.challenges {
		if c.problem != nil {
			return c.problem
		}
	}
	return nil
}
