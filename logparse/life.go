package logparse

import (
	"net/netip"
	"time"

	"golang.org/x/net/publicsuffix"
)

// A Life is what logs tell of one authorization (RFC 8555 §7.1.4), from all events about it. A [History] makes it; nothing
// in it changes afterwards. What the logs do not tell is zero. Strings are as logged and not safe for a terminal.
type Life struct {
	// URL is in canonical form, as [URLs] yields it. It is empty if the client logged only the name.
	URL string

	// Identifier is what the authorization is for, and Wildcard whether it is for "*." and that name.
	Identifier Identifier
	Wildcard   bool

	// Order is the order that the authorization belongs to: of several the last to be made. It is nil if none is known.
	Order *OrderLife

	// Run is the run of the client that made that order or, without an order, that showed the authorization first. It is nil
	// outside of any run.
	Run *Run

	// Account is the URL of the account. Client, Host and Unit are those of the events or else of the run.
	Account, Client, Host, Unit string

	// File is the file in which the authorization was seen first.
	File string

	// FirstSeen and LastSeen are when, in UTC; they are zero if no line about it has a time. First and Last are the lines.
	FirstSeen, LastSeen time.Time
	First, Last         Place

	// Expires is when the authorization expires, as the CA said last.
	Expires time.Time

	// Status is the last word of the logs, as the CA wrote it: "pending", "valid", "invalid", "deactivated", "expired",
	// "revoked". It is empty if no line tells. See [History] for how several become one.
	Status string

	// Answered reports whether the client asked the CA to validate a challenge, and AnsweredAt when it did so last.
	Answered   bool
	AnsweredAt time.Time

	// Verdict is what became of it.
	Verdict Verdict

	// Cause is why it was left pending, if the verdict is [Leaked], or [Expired] and the client left it to expire.
	Cause Cause

	// Blame is the name that failed first, if the cause is [CauseSibling] and the logs tell which it was.
	Blame Identifier

	// Evidence is the lines that prove the verdict and the cause, the most telling first.
	Evidence []Evidence

	statusAt time.Time
	over     bool
}

// Over reports whether the last word of the logs is final: the authorization is valid, invalid, deactivated, expired or
// revoked. It will never be pending again (RFC 8555 §7.1.6), so there is no need to ask the CA about it. It does not depend
// on the time: an authorization whose expiry has passed without a word of the CA is not over, since some CAs move it.
func (l *Life) Over() bool { return l.over }

// An Evidence is a line of a log and what it shows.
type Evidence struct {
	Place Place

	// Time is when the line was logged, zero if that is not known.
	Time time.Time

	// Text is a few words about the line, with what the client or the CA wrote as far as it matters.
	Text string
}

// A Verdict is what became of an authorization as far as logs tell.
type Verdict string

// The verdicts.
const (
	// Leaked: it was pending when last seen, nobody is working on it any more, and it has not expired. Since authorizations
	// are pending when they are made (RFC 8555 §7.1.6), one that an order lists is taken for pending if nothing says more.
	Leaked Verdict = "leaked"

	// Valid: the CA validated a challenge, or the order was ready, which takes that all its authorizations are valid.
	Valid Verdict = "valid"

	// Invalid: a challenge failed.
	Invalid Verdict = "invalid"

	// Deactivated: the client deactivated it or, with the status "revoked", the CA took it back.
	Deactivated Verdict = "deactivated"

	// Expired: the CA said so, or it was pending when last seen and its expiry, or if that is unknown its order's, has passed.
	Expired Verdict = "expired"

	// InProgress: it was pending when last seen, and its client is probably at work on it (see History.Recent).
	InProgress Verdict = "in progress"

	// Unknown: the logs do not tell. It was only named; or it was last seen when the client answered the challenge, and the CA
	// has most likely decided since; or its order failed or its run succeeded without a word about which name had what outcome.
	Unknown Verdict = "unknown"
)

// An OrderLife is what logs tell of one order (RFC 8555 §7.1.3). What they do not tell is zero.
type OrderLife struct {
	// ID names the order, by its URL if that was logged. URL is empty if it was not.
	ID, URL string

	// Run is the run that made the order, nil outside of any run.
	Run *Run

	// Account, Client, Host and Unit are those of the events or else of the run.
	Account, Client, Host, Unit string

	// Status is the last word of the logs: "pending", "ready", "processing", "valid", "invalid".
	Status string

	// Identifiers are the names that the order is for, sorted; those of wildcards start with "*.".
	Identifiers []Identifier

	FirstSeen, LastSeen time.Time // UTC
	First, Last         Place
	Expires             time.Time

	// Lives are the authorizations of the order, in the order of [History.Lives].
	Lives []*Life

	// Failures are what went wrong with the order, the first 20 by time.
	Failures []Failure
}

// A Run is one run of a client, from its first line to its last. What the logs do not tell is zero.
type Run struct {
	// Start is the place of the run's first line. It names the run, together with Client and Host.
	Start Place

	Client, Version string
	Command         string // command line or arguments as the client logged them
	Host, Unit      string
	PID             int
	Account         string // the URL of one account

	// Started is the time of the run's first line, LastSeen that of its last, and Last that line.
	Started, LastSeen time.Time
	Last              Place

	// HasEnded reports whether the logs show the run's end: Ended is when, End where, Exit how (empty for success), and
	// Message what the client said about it.
	HasEnded bool
	Ended    time.Time
	End      Place
	Exit     string
	Message  string

	// Doing is the last message that the client logged, and DoingAt where, as far as events tell.
	Doing   string
	DoingAt Place

	// Orders are the orders that the run made, by time.
	Orders []*OrderLife

	// Counts counts the authorizations of the run by verdict.
	Counts Counts

	// Failures are what went wrong outside of any order that the log named, the first 64 by time.
	Failures []Failure
}

// A Failure is something that went wrong: at the client, or a request that the CA refused.
type Failure struct {
	Place Place
	Time  time.Time

	// Cause is the kind of failure. It is [CauseSibling] for a challenge that failed, and [CauseUnknown] if it has none.
	Cause Cause

	// Identifier is the name that failed and Authorization the URL of its authorization, as far as they were logged.
	Identifier    Identifier
	Authorization string

	// Message is what the client or the CA said, at most 256 bytes.
	Message string
}

// Counts counts authorizations by verdict.
type Counts struct {
	Total       int `json:"total"`
	Leaked      int `json:"leaked"`
	Valid       int `json:"valid"`
	Invalid     int `json:"invalid"`
	Deactivated int `json:"deactivated"`
	Expired     int `json:"expired"`
	InProgress  int `json:"in_progress"`
	Unknown     int `json:"unknown"`
}

// Add counts one more authorization.
func (c *Counts) Add(v Verdict) {
	c.Total++
	switch v {
	case Leaked:
		c.Leaked++
	case Valid:
		c.Valid++
	case Invalid:
		c.Invalid++
	case Deactivated:
		c.Deactivated++
	case Expired:
		c.Expired++
	case InProgress:
		c.InProgress++
	default:
		c.Unknown++
	}
}

// A Grouping says to which group an authorization belongs, by the group's key. The functions By… are such; any other will
// do as well.
type Grouping func(*Life) string

// ByDomain groups by registered domain, as "example.co.uk" for www.example.co.uk, by the public suffix list. An IP address
// and a name without a registered domain are their own group. Unknown names have the key "".
func ByDomain(l *Life) string {
	return registeredDomain(l.Identifier)
}

// ByClient groups by the program that wrote the log.
func ByClient(l *Life) string { return l.Client }

// ByHost groups by host.
func ByHost(l *Life) string { return l.Host }

// ByUnit groups by unit or container.
func ByUnit(l *Life) string { return l.Unit }

// ByFile groups by the file in which the authorization was seen first.
func ByFile(l *Life) string { return l.File }

// ByAccount groups by the account's URL.
func ByAccount(l *Life) string { return l.Account }

// ByCause groups by the cause; what was not left pending has the key "".
func ByCause(l *Life) string { return string(l.Cause) }

// ByBlame groups by the name that failed first and made the client give up the others. Where that is no name's fault or not
// known, the key is "".
func ByBlame(l *Life) string { return l.Blame.Value }

// ByDay groups by the day on which the authorization was seen first, as "2006-01-02" in UTC. The key is "" without a time.
func ByDay(l *Life) string {
	if l.FirstSeen.IsZero() {
		return ""
	}
	return l.FirstSeen.Format(time.DateOnly)
}

// registeredDomain returns the registered domain of a name, or the name if it has none.
func registeredDomain(id Identifier) string {
	if _, err := netip.ParseAddr(id.Value); err == nil || id.Type == "ip" {
		return id.Value
	}
	domain, err := publicsuffix.EffectiveTLDPlusOne(id.Value)
	if err != nil {
		return id.Value
	}
	return domain
}

// A Group is the authorizations that have something in common.
type Group struct {
	Key string `json:"key"`
	Counts

	// First and Last are the earliest and the latest time of any of them; zero if none has a time.
	First time.Time `json:"first,omitzero"`
	Last  time.Time `json:"last,omitzero"`
}

// A Day is what happened on one day, in UTC. An authorization counts on the day on which it was first seen as created and,
// if its verdict is that, as leaked; on the day of its answer as answered; and on the day on which the logs last tell its
// final status as that.
type Day struct {
	Date        string `json:"date"` // "2006-01-02"
	Created     int    `json:"created"`
	Answered    int    `json:"answered"`
	Valid       int    `json:"valid"`
	Invalid     int    `json:"invalid"`
	Deactivated int    `json:"deactivated"`
	Leaked      int    `json:"leaked"`
}

// A Summary is the totals of a [History].
type Summary struct {
	// At is the time as of which the verdicts are given.
	At time.Time `json:"at"`

	// Counts counts the authorizations by verdict.
	Counts Counts `json:"authorizations"`

	Orders int `json:"orders"`
	Runs   int `json:"runs"`

	// Clients are the names of the clients, sorted. Files is the number of files that anything was learned from.
	Clients []string `json:"clients"`
	Files   int      `json:"files"`

	// First and Last are the earliest and the latest time of any event; zero if none has a time.
	First time.Time `json:"first,omitzero"`
	Last  time.Time `json:"last,omitzero"`

	// Unrecognized is the number of lines whose shape no client is known for, and UnrecognizedAt the first 20 places of such
	// lines, by file and line. With UnrecognizedMore, there are more: only the first 16,384 places are kept.
	Unrecognized     int64   `json:"unrecognized"`
	UnrecognizedMore bool    `json:"unrecognized_more,omitempty"`
	UnrecognizedAt   []Place `json:"unrecognized_at,omitempty"`

	// Dropped is the number of events that were left out because of History.Limit.
	Dropped int64 `json:"dropped,omitempty"`
}
