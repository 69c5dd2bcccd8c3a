package main

import (
	"errors"
	"time"

	"github.com/acmeauthz/acmeauthz/authz"
)

// An outcome is what became of one authorization, in the words of --json.
type outcome string

const (
	outcomeCleared outcome = "cleared"  // was pending, and is not any more
	outcomePending outcome = "pending"  // is pending, and was only listed
	outcomeLeft    outcome = "left"     // is pending, and ends by itself
	outcomeWaiting outcome = "waiting"  // is pending, and this CA has no way but to wait
	outcomeSpared  outcome = "spared"   // is needed by a client, or may be
	outcomeLater   outcome = "deferred" // its name has no failures to spare for now
	outcomeSettled outcome = "settled"  // was not pending: nothing to do
	outcomeOver    outcome = "over"     // not asked: over, as the logs show
	outcomeGone    outcome = "gone"     // expired, or unknown to the CA
	outcomeNotOurs outcome = "not_ours" // belongs to another account
	outcomeFailed  outcome = "failed"
)

// outcomeOf judges a result. Gone comes first: some CAs answer the same for
// gone and for another account's.
func outcomeOf(r authz.Result) outcome {
	switch {
	case r.Err == nil && r.Changed:
		return outcomeCleared
	case errors.Is(r.Err, authz.ErrGone):
		return outcomeGone
	case errors.Is(r.Err, authz.ErrNotOurs):
		return outcomeNotOurs
	case r.Err != nil:
		return outcomeFailed
	}
	switch r.Decision.Action {
	case authz.ActionLeave:
		return outcomeLeft
	case authz.ActionWait:
		return outcomeWaiting
	case authz.ActionSpare:
		return outcomeSpared
	case authz.ActionDefer:
		return outcomeLater
	}
	if r.Authorization != nil && authz.Pending(r.Authorization) {
		return outcomePending
	}
	return outcomeSettled
}

// authorizationSchema names the form of a record.
const authorizationSchema = "acmeauthz-authorization/1"

// A record is one line of --json. Its members are documented in --help and stay.
type record struct {
	Schema       string  `json:"schema"`
	URL          string  `json:"url"`
	Identifier   string  `json:"identifier"`
	Wildcard     bool    `json:"wildcard"`
	StatusBefore string  `json:"status_before"`
	StatusAfter  string  `json:"status_after"`
	Changed      bool    `json:"changed"`
	Outcome      outcome `json:"outcome"`
	Action       string  `json:"action"`
	Reason       string  `json:"reason"`
	At           *string `json:"at"`
	Order        string  `json:"order"`
	Error        *string `json:"error"`
	expires      time.Time
}

func newRecord(r authz.Result) record {
	rec := record{
		Schema:       authorizationSchema,
		URL:          r.URL,
		StatusBefore: r.Before,
		Changed:      r.Changed,
		Outcome:      outcomeOf(r),
		Action:       string(r.Decision.Action),
		Reason:       r.Decision.Reason,
	}
	if at := r.Decision.At; !at.IsZero() {
		text := at.UTC().Format(time.RFC3339)
		rec.At = &text
	}
	if orders := r.Decision.Orders; len(orders) > 0 {
		rec.Order = orders[0]
	}
	if a := r.Authorization; a != nil {
		rec.Identifier = a.Identifier.Value
		rec.Wildcard = a.Wildcard
		rec.StatusAfter = a.Status
		rec.expires = a.Expires
	}
	if r.Err != nil {
		text := r.Err.Error()
		rec.Error = &text
	}
	return rec
}

// name is the identifier as people write it.
func (r record) name() string {
	switch {
	case r.Identifier == "":
		return "-"
	case r.Wildcard:
		return "*." + r.Identifier
	}
	return r.Identifier
}

// status is a status, or what stands for one that could not be read.
func (r record) status(status string) string {
	switch {
	case status != "":
		return status
	case r.Outcome == outcomeGone:
		return "gone"
	case r.Outcome == outcomeNotOurs:
		return "not ours"
	case r.Outcome == outcomeSettled, r.Outcome == outcomeSpared:
		return "-" // its order told, or the journal
	}
	return "?"
}

// now is what became of it, in a word.
func (r record) now() string {
	switch r.Outcome {
	case outcomeLeft, outcomeWaiting, outcomeSpared, outcomeLater:
		return string(r.Outcome)
	}
	return r.status(r.StatusAfter)
}

func (r record) expiry() string {
	if r.expires.IsZero() {
		return "-"
	}
	return r.expires.UTC().Format("2006-01-02 15:04")
}
