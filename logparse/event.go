package logparse

import (
	"fmt"
	"time"
)

// A Kind says what an [Event] is about.
type Kind uint8

// The kinds of events. Each comment names the members that are set besides those every event may have.
const (
	// RunStarted is the start of a client: Version, Command and PID, as far as it is logged. It comes right before the
	// first other event of the run.
	RunStarted Kind = iota + 1

	// RunEnded is the end that a client wrote, or that another program wrote about it: Exit and Message. A client that is
	// killed writes none, and some never do.
	RunEnded

	// RunStopped is the last line of a run that wrote no end: Message is the line's start. It comes before the next run
	// in the same log, or when the log ends; the client may still be running then.
	RunStopped

	// OrderSeen is an order (RFC 8555 §7.1.3): Order.
	OrderSeen

	// AuthorizationSeen is an authorization (RFC 8555 §7.1.4): Authorization, of which the log may have told the URL, the
	// identifier or both, with or without the status.
	AuthorizationSeen

	// ChallengeAnswered is the client's request that the CA validate a challenge (RFC 8555 §7.5.1): Challenge, and
	// Authorization as far as it is known.
	ChallengeAnswered

	// AuthorizationDeactivated is a deactivation that the CA accepted, or that the client announced without logging the
	// answer (RFC 8555 §7.5.2): Authorization.
	AuthorizationDeactivated

	// ProblemSeen is an error that the CA answered with (RFC 7807, RFC 8555 §6.7): Problem, and Order or Authorization if
	// the request was for one. What the CA said of a challenge that failed is in Authorization.Problem.
	ProblemSeen

	// FailureSeen is something that went wrong at the client: Cause and Message, and Authorization if it concerns one name.
	FailureSeen

	// LinesUnrecognized stands for one or more lines in a row whose shape no client is known for: Lines.
	LinesUnrecognized
)

// String returns the name of the kind, as "order".
func (k Kind) String() string {
	if int(k) < len(kindNames) && k > 0 {
		return kindNames[k]
	}
	return fmt.Sprintf("Kind(%d)", uint8(k))
}

var kindNames = [...]string{
	RunStarted:               "run started",
	RunEnded:                 "run ended",
	RunStopped:               "run stopped",
	OrderSeen:                "order",
	AuthorizationSeen:        "authorization",
	ChallengeAnswered:        "challenge answered",
	AuthorizationDeactivated: "deactivated",
	ProblemSeen:              "problem",
	FailureSeen:              "failure",
	LinesUnrecognized:        "unrecognized",
}

// A Place is where something stands in a log.
type Place struct {
	// File is the name of the file as [FileEvents] found it. It is empty for [Events].
	File string

	// Line is the number of the line, the first being 1.
	Line int64

	// Offset is the number of bytes before the line, after decompression.
	Offset int64
}

// String returns "file:line", or "line 7" without a file.
func (p Place) String() string {
	if p.File == "" {
		return fmt.Sprintf("line %d", p.Line)
	}
	return fmt.Sprintf("%s:%d", p.File, p.Line)
}

// An Event is something that a log says happened. Strings are as logged: they may hold anything, control characters and
// text that somebody else chose included. Statuses, types of challenges and problems that this package does not know pass
// through.
type Event struct {
	Kind Kind

	// Place is the line that says so, or the first of several.
	Place

	// Time is when it was logged, zero if neither the client nor what carried its output wrote that.
	Time time.Time

	// Client is the program that wrote the log: "certbot", "lego", … It is empty if that is not known.
	Client string

	// Account is the URL of the account (the "kid" of RFC 8555 §6.2), empty if the log has not told it before.
	Account string

	// Host, Unit and PID say where the client ran, if what carried its output wrote that (syslog, the journal, Docker,
	// Kubernetes) or the client itself: a host's name, a unit or container, a process. They are empty or zero if not.
	Host, Unit string
	PID        int

	// Run names the run of the client, among all runs in the same logs: the place of its first line. It is zero for an
	// event outside any run.
	Run Place

	// Version is the client's version, and Command its command line or arguments, as it logged them.
	Version, Command string

	// Exit is how the run ended: "" for success, or as the client put it: "status 1", "killed", "error".
	Exit string

	Order         *Order
	Authorization *Authorization
	Challenge     *Challenge
	Problem       *Problem

	// Cause is the kind of a failure, and Message is what the client said about it, at most 1 KiB.
	Cause   Cause
	Message string

	// Lines is the number of lines that an event stands for.
	Lines int64
}

// An Identifier is what a certificate is for (RFC 8555 §9.7.7).
type Identifier struct {
	Type  string // "dns", "ip"
	Value string // "example.com", in lower case; for an authorization without "*."
}

// An Order is what a log shows of an order. What it does not show is zero.
type Order struct {
	// ID names the order among all orders in the same logs: its URL, or if the log lacks that, something else.
	ID string

	URL    string
	Status string // as the CA wrote it: "pending", "ready", "processing", "valid", "invalid"

	Identifiers    []Identifier // those of wildcards start with "*."
	Authorizations []string     // URLs, in no particular order
	Expires        time.Time
	Problem        *Problem
}

// An Authorization is what a log shows of an authorization. What it does not show is zero.
type Authorization struct {
	// URL is in canonical form, as [URLs] yields it.
	URL string

	// Order is the ID of its order, if that is known.
	Order string

	Identifier Identifier
	Wildcard   bool
	Status     string // as the CA wrote it: "pending", "valid", "invalid", "deactivated", "expired", "revoked"
	Expires    time.Time

	// Problem is what the CA said of a challenge that failed.
	Problem *Problem
}

// A Challenge is what a log shows of a challenge (RFC 8555 §7.1.5).
type Challenge struct {
	URL    string
	Type   string // "http-01"
	Status string // "pending", "processing", "valid", "invalid"
}

// A Problem is an error that a CA answered with (RFC 7807).
type Problem struct {
	Type       string        // "urn:ietf:params:acme:error:rateLimited"
	Detail     string        // at most 1 KiB
	Status     int           // HTTP status; zero if not logged
	RetryAfter time.Duration // how long the CA asked to wait; zero if it did not or it is not logged
	URL        string        // of the request that it answers, if that is known
}

// A Cause is a reason for which authorizations are left pending.
type Cause string

// The causes. A failure has one of the middle ones; History works out the others.
const (
	// CauseKilled: the run stops without an end. The client was killed, by a wrapper's time-out for instance, or crashed.
	CauseKilled Cause = "killed"

	// CauseSibling: another name of the same order failed first, and the client gave the rest up with it.
	CauseSibling Cause = "sibling failed"

	// CauseCheck: the client's own check failed before it answered the challenge.
	CauseCheck Cause = "check failed"

	// CauseHook: a hook or plug-in of the client failed.
	CauseHook Cause = "hook failed"

	// CauseDNS: the DNS provider refused or failed to make the record.
	CauseDNS Cause = "dns provider"

	// CauseRateLimited: the CA refused a request because of a rate limit.
	CauseRateLimited Cause = "rate limited"

	// CauseRefused: the CA refused a request as malformed, unauthorized or the like.
	CauseRefused Cause = "request refused"

	// CauseNetwork: the CA was not reached, or did not answer.
	CauseNetwork Cause = "network"

	// CauseSuperseded: the client gave the order up for another with other names.
	CauseSuperseded Cause = "superseded"

	// CauseUnknown: the log does not tell.
	CauseUnknown Cause = "unknown"
)
