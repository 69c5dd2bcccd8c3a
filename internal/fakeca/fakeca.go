// Package fakeca is an ACME certification authority (RFC 8555) for tests. It holds accounts, orders and authorizations, and
// answers as real CAs were seen to answer, with their status codes, problem documents and URL shapes. If told to issue
// (Config.Issue), it issues the same certificate every time.
//
// It checks what a CA checks: the signature, the algorithm, that a nonce is used once, that the signed url is the requested
// one, that the account exists and is active. On top of that a test can add latency, bad nonces, a limit on new nonces, and
// any broken answer (Config.Intercept). Every request is logged.
//
// Without [CA.Start] no network is used: [CA.Transport] calls the CA in the caller's goroutine, so a CA made inside a
// testing/synctest bubble lives on the bubble's clock.
//
// Map of the package: fakeca.go has what a test sets up and asks; serve.go takes a request from arrival to answer, with
// faults; jws.go verifies; nonce.go hands out nonces; resource.go holds the state and its changes; orders.go has the orders
// and the lists of them; limits.go counts and refuses what is too much; lag.go has what
// a replica shows; dialect.go has the differences between the CAs: paths, texts, and what an authorization shows; handle.go connects them.
//
// Invariants: mu guards accounts, orders, authorizations and all they point to, and is never held while a caller's function
// runs or while anything waits. An answered challenge is settled by the clock when it is next looked at, not by a timer,
// so a CA has no goroutines.
package fakeca

import (
	"cmp"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/acme"
	"golang.org/x/time/rate"
)

// A Behavior says which CA's answers are given.
type Behavior int

const (
	// Boulder answers as Let's Encrypt's software does. A deactivation answers 200 "deactivated" even for an invalid
	// authorization, which stays invalid. An answered challenge stays pending for Config.SettleAfter, then it is settled.
	// An expired authorization is 404.
	Boulder Behavior = iota
	// StepCA answers as step-ca and Caddy do. Any non-empty body sent to an authorization is refused before anything is
	// looked up, with the answer for an unknown one: 400 malformed. Validation happens inside the answer to a challenge; a
	// failed one leaves challenge and authorization pending. Reading a challenge answers it.
	StepCA
	// Ignores answers as Dogtag and acme2certifier do: a deactivation is 200 and changes nothing.
	Ignores
	// OpenBao answers as OpenBao's and Vault's PKI do: unknown and foreign authorizations are both 400 malformed, final ones
	// cannot be deactivated (400), errors bring no nonce, a pending authorization has no expires member. An answered
	// challenge is "processing" with an error for Config.SettleAfter, then invalid.
	OpenBao
	// Pebble answers as Pebble does: an unknown authorization is 404 with an empty body, an expired one still reads as
	// pending, a deactivated one has no challenges but those that were used, and any status can be deactivated.
	Pebble
)

// Config says how a CA behaves. The zero value is a healthy Boulder on which every validation fails.
type Config struct {
	Behavior Behavior
	// Lenient accepts extra members in a deactivation ("resource", "delete"), as CAs in production do. Otherwise Boulder,
	// Ignores, OpenBao and Pebble refuse them as "pebble -strict" does, which real ones of the first three do not.
	Lenient bool
	// Latency is added to every answer, before the request has any effect.
	Latency time.Duration
	// BadNonceEvery refuses one in n good nonces, at random, with badNonce; 0 refuses none. The refused nonce is used up.
	BadNonceEvery int
	// NonceLimit is how many new nonces per second are handed out, NonceBurst how many at once; beyond it newNonce answers
	// 503 with Retry-After. 0 is no limit. Let's Encrypt allows 20 a second and a burst of 10.
	NonceLimit float64
	NonceBurst int
	// RequestLimit is how many requests per second are let through, RequestBurst how many at once; beyond it any request but one
	// for the directory is 503 rateLimited with Retry-After 1. It is refused before it is looked at, as by a load balancer: its
	// nonce is not used up, and there is no new one. 0 is no limit. Let's Encrypt allows 250 a second and a burst of 125.
	RequestLimit float64
	RequestBurst int
	// FailureLimit is how many failures Boulder allows an account for a name within FailureWindow, an hour if zero; beyond it
	// newOrder for that name is 429 rateLimited, while deactivations and answers never are. A failure is the deactivation of a
	// pending authorization or a failed validation; a name is exact, and a wildcard another than its parent. The budget is a
	// token bucket, as Boulder's: each FailureWindow/FailureLimit one failure is forgiven, and a failure that finds the bucket
	// empty takes nothing. 0 is no limit. Let's Encrypt allows 5 an hour.
	FailureLimit  int
	FailureWindow time.Duration
	// PendingLimit is how many pending authorizations an account may have before Boulder answers 429 rateLimited to a newOrder
	// that needs another one, as it did until the end of 2024. 0 is no limit. Let's Encrypt allowed 300.
	PendingLimit int
	// Lag is how far Boulder's database replica is behind: less than that after a change, reading an authorization or order
	// shows the state before it. Answers to a change itself are up to date, as are answers to a new order, which is there at
	// once. Whether a deactivation counts as a failure depends on what a reading shows, so that a repeated one counts again.
	Lag time.Duration
	// SettleAfter is how long an answered challenge stays unsettled (Boulder, OpenBao, Pebble).
	SettleAfter time.Duration
	// ValidateOK says whether the validation of an answered challenge succeeds. Nil fails every one. It is called when the
	// challenge is answered, without any lock held.
	ValidateOK func(a Authorization, challengeType string) bool
	// Issue makes finalize (RFC 8555, section 7.4) of a ready order issue a certificate: whatever its csr asks for, it is always
	// the same self-signed one. Otherwise finalize is refused for a ready order, too.
	Issue bool
	// ReusePending makes newOrder list an account's pending authorization of the same name again, instead of making another,
	// and return the oldest order of exactly the same names if that is still pending or ready: Boulder did so before 2025.
	ReusePending bool
	// Intercept sees every request that passed verification before it is handled. A nil result handles it as usual.
	// It may be called from many goroutines.
	Intercept func(r *Request) *Answer
	// LockUp makes Pebble lock up as the real one (2.10.1) does: showing an authorization that is not pending takes a lock on
	// each unused challenge for ever; the next write to such a challenge (an answer, or the end of its validation) is never
	// answered, nor is anything else that touches the authorization or its order.
	LockUp bool
	// SkipSignature leaves out the check of the signature's mathematics, for benchmarks that measure a client.
	SkipSignature bool
	// NoLog keeps no request log; the counts are kept.
	NoLog bool
}

// An Answer takes the place of the CA's own. Its zero value is 200 with an empty body.
type Answer struct {
	Status int         // 0 is 200, with After the status of the normal answer
	Header http.Header // added to the answer's header; a Replay-Nonce is there already unless NoNonce is set
	Body   []byte      // with After and Status 0, nil keeps the normal body
	// After handles the request first, so that the change happens, and answers this then.
	After bool
	// Delay waits before the answer (and, with After, after the change).
	Delay time.Duration
	// Reset closes the connection without an answer; the in-memory transport returns a reset error.
	Reset bool
	// Truncate sends only this many bytes of the body though Content-Length promises all; a negative value sends none.
	Truncate int
	// Hang gives no answer until the request's context ends.
	Hang bool
	// NoNonce leaves out Replay-Nonce.
	NoNonce bool
}

// Problem makes an Answer with a problem document (RFC 7807); kind is the part after urn:ietf:params:acme:error:.
func Problem(status int, kind, detail string) *Answer {
	return &Answer{
		Status: status,
		Header: http.Header{"Content-Type": {"application/problem+json"}},
		Body:   encode(problem{Type: problemPrefix + kind, Detail: detail, Status: status}),
	}
}

// A Kind says what a request asked for.
type Kind int

const (
	Other           Kind = iota // anything else, also a request to another host
	Directory                   // the directory
	Nonce                       // newNonce
	Account                     // newAccount, an account
	Ordering                    // newOrder, an order, finalize, a certificate
	Read                        // an authorization: GET or POST-as-GET
	Deactivate                  // an authorization: POST with any body
	AnswerChallenge             // a challenge: POST with any body
	ReadChallenge               // a challenge: GET or POST-as-GET
	OrderList                   // the list of an account's orders, each of its pages
	kinds
)

// String names the kind.
func (k Kind) String() string {
	return [...]string{"other", "directory", "nonce", "account", "order", "read", "deactivate", "answer", "read challenge", "order list"}[k]
}

// A Request is one request that reached the CA.
type Request struct {
	Number     int // 1 for the first
	Kind       Kind
	Method     string
	URL        string
	Path       string
	Payload    []byte     // of the JWS; verified if Status is not that of a refused signature
	KID        acme.KeyID // account URL; empty for GET, HEAD and newAccount
	UserAgent  string
	Status     int       // answered; 0 for a reset, a hang, a request given up, and one to another host
	Time       time.Time // of arrival
	RemoteAddr string
}

// An Authorization describes one to [CA.Add], or the present state of one.
type Authorization struct {
	URL        string      // set by the CA
	Identifier string      // its value, without "*."; made up if empty
	Type       string      // of the identifier; "dns" if empty
	Wildcard   bool        // whether the wildcard member is true
	Status     string      // as in RFC 8555, section 7.1.6; "pending" if empty
	Expires    time.Time   // in 7 days if zero
	Owner      acme.KeyID  // account URL; that of [CA.Client] if empty
	Challenges []Challenge // nil: http-01, dns-01 and tls-alpn-01, for a wildcard dns-01; empty and not nil: none
}

// A Challenge of an [Authorization].
type Challenge struct {
	Type   string
	URL    string // set by the CA
	Token  string // made up if empty
	Status string // "pending" if empty
	Error  string // problem type without its prefix, of a failed validation
	Count  int    // how often it was answered
}

// An Order describes one to [CA.AddOrder], or the present state of one.
type Order struct {
	URL            string     // set by the CA
	Owner          acme.KeyID // account URL; that of the first authorization if empty, and with none that of [CA.Client]
	Authorizations []string   // URLs, in the order they are listed
	// Status stands in place of the pending or ready that follows from the authorizations. An authorization that is neither
	// pending nor valid, or expired, still makes the order invalid, as does the order's own expiry; StepCA and OpenBao let a
	// valid order be.
	Status      string
	Expires     time.Time // in 7 days if zero; later it is 404 at Boulder and invalid elsewhere
	Certificate string    // URL, set by the CA when it issues (Config.Issue) or is given a valid order; it stays set afterwards
}

// A CA is a fake certification authority. It is safe for concurrent use and is an [http.Handler]; a test normally reaches
// it through [CA.Client]. Make one with [New].
type CA struct {
	config   Config
	dialect  *dialect
	nonces   nonces
	limiter  *rate.Limiter
	requests *rate.Limiter // nil without a limit
	arrivals arrivals
	chain    []byte        // PEM of the certificate that is issued; nil if none is
	stop     chan struct{} // closed when a started CA ends: whatever hangs lets go

	mu             sync.Mutex
	base           string // origin
	http           *http.Client
	first          *account
	accounts       map[string]*account // by id
	byThumbprint   map[string]*account
	orders         map[string]*order
	authorizations map[string]*authorization
	challenges     map[string]*challenge
	issued         map[string]*order         // by the certificate's id
	named          map[name][]*authorization // of an account's name, in the order made; only with Config.ReusePending
	unsettled      []*challenge              // answered, in the order of the answers
	budgets        map[name]*budget
	last           int // number of the last resource made

	inFlight    atomic.Int64
	maxInFlight atomic.Int64
	connections atomic.Int64
	total       atomic.Int64
	counts      [kinds]atomic.Int64
	logMu       sync.Mutex
	log         []Request
}

// New makes a CA that is reached through [CA.Transport], at https://ca.test.
func New(config Config) *CA {
	ca := &CA{
		config:         config,
		dialect:        dialects[config.Behavior],
		stop:           make(chan struct{}),
		base:           "https://ca.test",
		accounts:       map[string]*account{},
		byThumbprint:   map[string]*account{},
		orders:         map[string]*order{},
		authorizations: map[string]*authorization{},
		challenges:     map[string]*challenge{},
		budgets:        map[name]*budget{},
		issued:         map[string]*order{},
		named:          map[name][]*authorization{},
	}
	if config.NonceLimit > 0 {
		ca.limiter = rate.NewLimiter(rate.Limit(config.NonceLimit), max(config.NonceBurst, 1))
	}
	if config.RequestLimit > 0 {
		ca.requests = rate.NewLimiter(rate.Limit(config.RequestLimit), max(config.RequestBurst, 1))
	}
	if config.Issue {
		ca.chain = newChain()
	}
	ca.http = &http.Client{Transport: ca.Transport()}
	return ca
}

// Start serves on loopback over plain HTTP until the test ends. Call it before anything else: it changes every URL.
func (ca *CA) Start(t testing.TB) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("fakeca: %v", err)
	}
	server := &http.Server{Handler: ca, ReadHeaderTimeout: time.Minute, ConnState: func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			ca.connections.Add(1)
		}
	}}
	transport := &http.Transport{MaxIdleConnsPerHost: 256}
	ca.mu.Lock()
	ca.base, ca.http = "http://"+listener.Addr().String(), &http.Client{Transport: transport}
	ca.mu.Unlock()
	served := make(chan struct{})
	go func() { defer close(served); _ = server.Serve(listener) }()
	t.Cleanup(func() {
		close(ca.stop)
		transport.CloseIdleConnections()
		_ = server.Close()
		<-served
	})
}

// URL is the CA's origin, without a slash at its end.
func (ca *CA) URL() string {
	ca.mu.Lock()
	defer ca.mu.Unlock()
	return ca.base
}

// DirectoryURL is the URL of the directory (RFC 8555, section 7.1.1).
func (ca *CA) DirectoryURL() string { return ca.URL() + ca.dialect.directory }

// HTTPClient reaches the CA. It is shared by the clients that [CA.Client] and [CA.NewAccount] make.
func (ca *CA) HTTPClient() *http.Client {
	ca.mu.Lock()
	defer ca.mu.Unlock()
	return ca.http
}

// Client returns a fresh client of the CA's first account, which is registered by the first call: Key (P-256), KID,
// DirectoryURL, HTTPClient and UserAgent are set. Each call gives a new client, without nonces, of the same account.
func (ca *CA) Client() *acme.Client {
	ca.mu.Lock()
	defer ca.mu.Unlock()
	return ca.client(ca.firstAccount())
}

// NewAccount returns a client of a new account.
func (ca *CA) NewAccount() *acme.Client {
	key := newKey()
	ca.mu.Lock()
	defer ca.mu.Unlock()
	ca.firstAccount() // so that it stays the first
	return ca.client(ca.register(key))
}

// newKey makes an account key.
func newKey() *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(fmt.Sprintf("fakeca: making a key: %v", err)) // never: crypto/rand does not fail
	}
	return key
}

// DeactivateAccount deactivates the account of a client.
func (ca *CA) DeactivateAccount(c *acme.Client) {
	ca.mu.Lock()
	defer ca.mu.Unlock()
	if a := ca.accountByKID(string(c.KID)); a != nil {
		a.status = "deactivated"
	}
}

// Add makes an authorization and returns its URL.
func (ca *CA) Add(a Authorization) string {
	ca.mu.Lock()
	defer ca.mu.Unlock()
	owner := ca.accountByKID(string(a.Owner))
	if owner == nil {
		owner = ca.firstAccount()
	}
	return ca.authorizationURL(ca.newAuthorization(a, owner))
}

// Authorization returns the present state of an authorization; its Status is empty if there is none at the URL.
// Unlike a client's reading it never says that it is expired, and has no lag.
func (ca *CA) Authorization(url string) Authorization {
	ca.mu.Lock()
	defer ca.mu.Unlock()
	a := ca.authorizations[ca.idOf(url, ca.dialect.authorization)]
	if a == nil {
		return Authorization{}
	}
	ca.settle(a)
	return ca.describe(a)
}

// AddOrder makes an order of existing authorizations and returns its URL. The URL is empty, and no order made, if there is no
// authorization at one of the URLs.
func (ca *CA) AddOrder(from Order) string {
	ca.mu.Lock()
	defer ca.mu.Unlock()
	o := &order{account: ca.accountByKID(string(from.Owner)), status: from.Status, expires: from.Expires, identifiers: []identifier{}}
	for _, url := range from.Authorizations {
		a := ca.authorizations[ca.idOf(url, ca.dialect.authorization)]
		if a == nil {
			return ""
		}
		o.account = cmp.Or(o.account, a.account)
		o.authorizations = append(o.authorizations, a)
		o.identifiers = append(o.identifiers, a.ordered())
	}
	if o.account == nil {
		o.account = ca.firstAccount()
	}
	ca.addOrder(o)
	return ca.orderURL(o)
}

// Order returns the present state of an order; its Status is empty if there is none at the URL. Unlike a client's reading
// it finds an expired order at Boulder, which is invalid, and has no lag.
func (ca *CA) Order(url string) Order {
	ca.mu.Lock()
	defer ca.mu.Unlock()
	o := ca.orders[ca.idOf(url, ca.dialect.order)]
	if o == nil {
		return Order{}
	}
	return ca.describeOrder(o)
}

// SetStatus changes the status of an authorization, as another client or the CA itself would.
func (ca *CA) SetStatus(url, status string) {
	ca.mu.Lock()
	defer ca.mu.Unlock()
	if a := ca.authorizations[ca.idOf(url, ca.dialect.authorization)]; a != nil {
		ca.settle(a)
		ca.remember(a, time.Now())
		a.status = status
	}
}

// Deactivations is how often a deactivation was sent to an authorization and accepted (200), whatever became of it then.
func (ca *CA) Deactivations(url string) int {
	ca.mu.Lock()
	defer ca.mu.Unlock()
	if a := ca.authorizations[ca.idOf(url, ca.dialect.authorization)]; a != nil {
		return a.deactivations
	}
	return 0
}

// Failures is how many failures, as in Config.FailureLimit, were counted for a name of an account in all, with or without a
// limit: deactivations of pending authorizations and failed validations. Only Boulder counts.
func (ca *CA) Failures(owner acme.KeyID, identifier string, wildcard bool) int {
	ca.mu.Lock()
	defer ca.mu.Unlock()
	ca.settleDue()
	if wildcard {
		identifier = "*." + identifier
	}
	if b := ca.budgets[name{ca.accountByKID(string(owner)), identifier}]; b != nil {
		return b.counted
	}
	return 0
}

// Overdrawn lists, in alphabetical order, the names that ever had more than Config.FailureLimit failures less than
// Config.FailureWindow apart, each as the account's URL, a space, and the name ("*.example.org" for a wildcard). It is stricter than
// the CA, whose bucket fills up meanwhile.
func (ca *CA) Overdrawn() []string {
	ca.mu.Lock()
	defer ca.mu.Unlock()
	ca.settleDue()
	var names []string
	for name, b := range ca.budgets {
		if b.overdrawn {
			names = append(names, ca.accountURL(name.account)+" "+name.value)
		}
	}
	slices.Sort(names)
	return names
}

// Requests returns the log of the requests that were answered or given up, in order of arrival. It is empty with
// Config.NoLog.
func (ca *CA) Requests() []Request {
	ca.logMu.Lock()
	defer ca.logMu.Unlock()
	return slices.SortedFunc(slices.Values(ca.log), func(a, b Request) int { return a.Number - b.Number })
}

// Count is the number of requests of a kind that arrived, whatever was answered.
func (ca *CA) Count(kind Kind) int { return int(ca.counts[kind].Load()) }

// Total is the number of all requests that arrived.
func (ca *CA) Total() int { return int(ca.total.Load()) }

// BusiestSecond is the largest number of requests that arrived less than a second apart from each other, refused ones and those
// for the directory included. It is counted exactly, for every second that begins with a request, also with Config.NoLog.
func (ca *CA) BusiestSecond() int { return ca.arrivals.busiestSecond() }

// Connections is the number of TCP connections accepted, which needs [CA.Start].
func (ca *CA) Connections() int { return int(ca.connections.Load()) }

// MaxInFlight is the largest number of requests that were unanswered at the same time.
func (ca *CA) MaxInFlight() int { return int(ca.maxInFlight.Load()) }
