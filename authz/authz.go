// Package authz settles the authorizations that ACME clients leave pending
// (RFC 8555 §7.5): a few or a million of them, in the way that costs least at
// their CA.
//
// A [Manager] takes authorization URLs as a sequence, for instance those that
// package logparse finds in an ACME client's logs, and gives back a sequence
// with one [Result] for each, in the same order:
//
//	m := &authz.Manager{Client: client} // an *acme.Client with Key, KID and DirectoryURL
//	for r, err := range m.Clear(ctx, urls) {
//		if err != nil {
//			return err // the account, the source of URLs or the context: nothing more can be done
//		}
//		fmt.Println(r.URL, r.Decision.Action, r.Decision.Reason, r.Err)
//	}
//
// Nothing happens before the loop starts, and it leaves nothing running.
//
// # What to use
//
//   - [Manager.Clear] chooses for each authorization; [Manager.Plan] says
//     beforehand what it would choose and what that costs, and [Manager.Apply]
//     does what a plan says.
//   - [Manager.List], [Manager.Deactivate] and [Manager.Validate] do as they
//     are told.
//   - [Manager.Relinquish] gives up what is valid for names that left, with a
//     [Report].
//   - [Manager.Orders], [Manager.Authorizations] and [Manager.ByReorder] find
//     authorizations without logs, where the CA lets them.
//   - A [Tracker] in an ACME client's http.Client, or a [Guard] around one
//     order, keeps programs from leaving anything pending at all.
//   - A [Journal] lets a run that was killed be repeated.
//
// Package solver, below this one, answers challenges for Manager.Solve.
//
// # What to expect of a CA
//
// What CAs do differs, and a [Profile] has what is known of each: CAs.md beside
// this file is the table, with sources. Where a CA can be asked, it is believed
// before its profile.
//
// At Let's Encrypt deactivating works, but counts as a failed validation of the
// name (5 per name and hour, then its orders are refused), and nothing is
// gained: there is no limit on pending authorizations any more, and they end by
// themselves. Clear leaves them. step-ca and Caddy refuse to deactivate
// ([ErrRefused]), and a failed answer leaves the authorization pending
// ([ErrPending]): Clear waits, or finishes them with a solver. Dogtag and
// acme2certifier answer 200 and change nothing ([ErrIgnored]): Clear answers a
// challenge there. Any deactivation makes the orders that list the
// authorization invalid, also one that a running client is about to finalize:
// Clear spares what may be needed.
//
// # Logs and traces
//
// Manager.Logger and Tracker.Logger name what they log in one way: "url" is that
// of the authorization or of a request, "order" that of an order, "method" and
// "code" are HTTP's, "took" and "pause" durations, "status" is RFC 8555's,
// "event" a JournalEvent, "error" what went wrong. Progress is the results
// themselves. For metrics and traces, give the Client an HTTPClient that has
// them: examples/otel shows it.
//
// # What the package will not do
//
// It never creates an account, nor an order except in [Manager.ByReorder],
// never reads the challenges that an authorization names (on step-ca that is an
// answer), and never signs for an origin that the CA's directory does not name.
package authz

import (
	"context"
	"iter"
	"log/slog"
	"time"

	"golang.org/x/crypto/acme"
	"golang.org/x/time/rate"
)

// Defaults of the [Manager] fields of the same names.
const (
	DefaultParallelism   = 4
	DefaultMaxRetryAfter = 2 * time.Minute
	DefaultWaitLimit     = 3 * time.Minute
)

// A Manager lists, deactivates or validates authorizations of one ACME
// account. Only Client is required.
//
// A Manager is safe for concurrent use as long as its fields are not changed
// meanwhile. Each range over one of its sequences has nonces and connections
// of its own; Limiter is what several of them have in common.
type Manager struct {
	// Client names the account and the CA. Key is required: RSA, or ECDSA on
	// P-256, P-384 or P-521. DirectoryURL is required: unlike in acme.Client,
	// an empty one is an error and never means Let's Encrypt's production CA.
	// Key signs from several goroutines at once.
	// KID is the account URL; if it is empty, each range looks it up first
	// with one more request (RFC 8555 §7.3.1), which never creates an account.
	//
	// HTTPClient, UserAgent and RetryBackoff are used as in acme.Client.
	// If HTTPClient has no Timeout, a request may take 30 seconds. If its
	// Transport is nil or an *http.Transport, a copy of that is used that
	// keeps a connection for each worker. RetryBackoff is called for answers
	// only, never with a nil response, and cannot make retries endless.
	//
	// Protocols registered with its RegisterProtocol are lost in the copy.
	//
	// The Manager never changes Client, nor does it use its nonces.
	Client *acme.Client

	// Parallelism is the most requests that are under way at once. So many
	// authorizations are worked on, and from 4 on a quarter more, which wait for
	// the Journal or for each other's answers meanwhile.
	// If it is zero or less, it is [DefaultParallelism].
	Parallelism int

	// Limiter paces all requests, those for nonces included. One whose turn
	// would come after the context's deadline waits for that, unsent.
	// If it is nil, the CA's profile and its answers set the pace.
	Limiter *rate.Limiter

	// Select reports whether Deactivate and Validate may change a, as just
	// read. If it is nil, [Pending] is used. It is called from several
	// goroutines at once and must not keep or change a. Authorizations whose
	// status is final, deactivated ones for instance, are not changed even if
	// it accepts them; Deactivate does change valid ones that it accepts.
	Select func(a *acme.Authorization) bool

	// Solve provisions the response to one challenge of a, for instance a DNS
	// record, and returns that challenge with a function that removes the
	// response again; cleanup may be nil and is called once, after the
	// authorization has reached a final status or waiting for it has ended.
	// Its error is the authorization's Result.Err. If chal.Payload is set, it
	// is sent as the answer in place of the empty JSON object. Solve is called
	// from several goroutines at once; it must return when ctx ends, and
	// cleanup must return soon.
	//
	// If it is nil, Validate answers a challenge without provisioning anything,
	// so that the CA finds it failed and settles the authorization.
	Solve func(ctx context.Context, a *acme.Authorization) (chal *acme.Challenge, cleanup func(), err error)

	// CanSolve reports whether Solve can validate a. If it is nil, Clear takes it
	// that Solve can, and chooses again where Solve fails. It is called from
	// several goroutines.
	CanSolve func(a *acme.Authorization) bool

	// Profiles says what CAs do; the first one counts that fits the CA. If none
	// does, those of [Profiles] are asked.
	Profiles []Profile

	// Policy says how Clear and Plan choose.
	Policy Policy

	// KnownOrders returns the orders that list an authorization, as far as the
	// caller knows them: from the client's logs, what it has stored, or the CA
	// ([IndexOrders]). Clear spares what a living order needs, and saves
	// requests where an order shows that all of it is over. If it is nil, the
	// authorization's age decides. It is called from several goroutines.
	KnownOrders func(authorizationURL string) []KnownOrder

	// Journal remembers what is being changed and what was, so that a run that
	// was killed can be repeated: what is done is not done again, and the
	// failure budget holds across runs. If it is nil, nothing is remembered and
	// the budget is that of one range. The Manager does not close it.
	// Ranges side by side over one account each have the whole budget: change
	// an account in one range at a time.
	Journal Journal

	// AllowHost reports whether URLs on host may be requested, besides those
	// on the origins that the CA's directory names. The host is in lower case
	// and has a port unless it is the default one of https. Also an allowed
	// host is only spoken to over https, or http on the loopback interface.
	// If it is nil, there are no others. It is called from several goroutines.
	AllowHost func(host string) bool

	// MaxRetryAfter is the longest wait that a CA may ask for. A Retry-After
	// (RFC 8555 §6.6) beyond it is not waited for: it becomes a
	// [*RateLimitError], or a [*PendingError] where Validate polls.
	// If it is zero or less, it is [DefaultMaxRetryAfter].
	MaxRetryAfter time.Duration

	// WaitLimit is the longest time that Validate waits for one authorization
	// to reach a final status after its challenge was answered, pauses that
	// the CA asks for included.
	// If it is zero or less, it is [DefaultWaitLimit].
	WaitLimit time.Duration

	// Logger receives retries and pauses at level Info and each request at
	// level Debug. If it is nil, nothing is logged.
	Logger *slog.Logger
}

// A Result is what became of one authorization.
type Result struct {
	// URL is the authorization URL as it was given.
	URL string

	// Before is the status that was read first, for instance
	// acme.StatusPending; it is empty if none could be read.
	Before string

	// Authorization is the last known state; its Status is the status after.
	// It is nil if none could be read. Its Expires is zero where the CA does
	// not say (Vault and OpenBao, for pending ones). Some CAs go on saying
	// pending past Expires (Pebble).
	Authorization *acme.Authorization

	// Challenge is the challenge that Validate answered, as last seen; its
	// Error is what the CA found wrong. It is nil if none was answered.
	Challenge *acme.Challenge

	// Changed reports whether this call changed the authorization, by the
	// CA's own word: after Deactivate its status was pending or valid and now
	// is deactivated; after Validate a challenge was answered and its status
	// now is valid or invalid.
	Changed bool

	// ChangedAt is when the CA said so.
	ChangedAt time.Time

	// Decision is what Clear, Plan or Apply chose to do, and why.
	Decision Decision

	// Err is this authorization's failure; others are not affected. It wraps
	// [ErrForeign], [ErrNotOurs], [ErrGone], [ErrRefused], [ErrIgnored],
	// [ErrPending], [ErrNoChallenge] or [ErrRateLimited] where one applies,
	// and an *acme.Error if the CA sent a problem document (RFC 8555 §6.7).
	// It wraps [ErrNotAuthorization] if something else is at the URL.
	// If Validate has a Solve, it is an *acme.AuthorizationError for an
	// authorization that became invalid. It wraps the context's error if the
	// context ended before the outcome was known; the time-out of a single
	// request matches context.DeadlineExceeded, too.
	Err error
}

// List reads each authorization and changes none (RFC 8555 §7.5).
//
// Results come in the order of urls, which should name each authorization
// once. A non-nil error ends the sequence and is its last pair: the error of
// urls itself, [ErrAccount] if the CA does not accept the account,
// [ErrUnreachable] if it has gone silent, the context's, or that of reading
// the CA's directory. In pairs before it the error is nil, and what is wrong
// with one authorization is in its Result.
//
// Any URL on the CA's origins is signed for and read; one of a challenge
// counts as an answer to it on step-ca and Caddy, so urls should come from a
// source that tells them apart, as package logparse does.
//
// The sequence urls is ranged over in a goroutine of its own, up to a thousand
// URLs ahead of the results. On a break the loop waits for that goroutine: to
// leave while a source is blocked in a read, cancel ctx. After an error it
// does not wait, and such a source may outlive the loop until its read
// returns. The sequence can be ranged over again if urls can.
func (m *Manager) List(ctx context.Context, urls iter.Seq2[string, error]) iter.Seq2[Result, error] {
	return m.results(ctx, urls, (*session).list)
}

// Deactivate relinquishes each authorization that m.Select accepts
// (RFC 8555 §7.5.2). It reads an authorization, and if that is selected asks
// the CA to deactivate it: two requests. An answer that leaves the outcome
// open, a lost connection for instance, is followed by another read before
// anything is sent again.
//
// Result.Changed is set only if the CA's own answer says that the status now
// is deactivated. Where a challenge of the authorization was answered just
// before, Boulder may say so and still let the validation decide; only a later
// List tells.
//
// Sequences and errors are as in [Manager.List].
func (m *Manager) Deactivate(ctx context.Context, urls iter.Seq2[string, error]) iter.Seq2[Result, error] {
	return m.changes(ctx, urls, false, (*session).deactivate)
}

// Validate answers one challenge of each authorization that m.Select accepts
// (RFC 8555 §7.5.1) and waits until its status is final, at most for
// m.WaitLimit. Every status but pending and processing is final.
//
// With m.Solve, the challenge is the one that it provisions. Without, it is
// the first pending one of type dns-01, else http-01, else tls-alpn-01, else
// the first one that is there; the CA is expected to find it failed.
// Where a challenge is being processed already, Validate only waits.
//
// The outcome is in Result.Authorization and Result.Challenge. An
// authorization that is still pending has a [*PendingError] as Result.Err.
//
// Sequences and errors are as in [Manager.List].
func (m *Manager) Validate(ctx context.Context, urls iter.Seq2[string, error]) iter.Seq2[Result, error] {
	return m.changes(ctx, urls, true, (*session).validate)
}

// URLs is a sequence of the given authorization URLs, for [Manager.List] and
// its siblings.
func URLs(urls ...string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for _, url := range urls {
			if !yield(url, nil) {
				return
			}
		}
	}
}

// Pending reports whether a awaits validation (RFC 8555 §7.1.6). It goes by
// the status alone and does not compare a.Expires with the clock.
func Pending(a *acme.Authorization) bool {
	return a.Status == acme.StatusPending
}

// final reports whether an authorization of that status is over: nothing that
// a client could wait for will happen to it (RFC 8555 §7.1.6). Processing is
// no status of an authorization there, but CAs use it.
func final(status string) bool {
	return status != acme.StatusPending && status != acme.StatusProcessing
}

func (m *Manager) parallelism() int {
	if m.Parallelism <= 0 {
		return DefaultParallelism
	}
	return m.Parallelism
}

// workers is a quarter more than the requests under way, so that these are
// always as many as allowed although some workers wait for a disk.
func (m *Manager) workers() int { return m.parallelism() + m.parallelism()/4 }

func (m *Manager) maxRetryAfter() time.Duration {
	if m.MaxRetryAfter <= 0 {
		return DefaultMaxRetryAfter
	}
	return m.MaxRetryAfter
}

func (m *Manager) waitLimit() time.Duration {
	if m.WaitLimit <= 0 {
		return DefaultWaitLimit
	}
	return m.WaitLimit
}

func (m *Manager) selects(a *acme.Authorization) bool {
	if m.Select == nil {
		return Pending(a)
	}
	return m.Select(a)
}

func (m *Manager) logger() *slog.Logger {
	if m.Logger == nil {
		return slog.New(slog.DiscardHandler)
	}
	return m.Logger
}
