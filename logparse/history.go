package logparse

import (
	"iter"
	"time"
)

// A History rebuilds from [Event] values what became of every authorization: run, order, authorization, outcome. The zero
// value is ready to use. Events may come from any clients, hosts and files, in any order, and more than once.
//
// A History is not safe for concurrent use, not even by two readers.
type History struct {
	// At is the time as of which verdicts are given: what has expired, and what is recent. If zero, the time of the call.
	At time.Time

	// Recent is how long after its last line a run without an end still counts as at work. If zero, one hour: clients wait
	// for DNS records and rate limits without a word for minutes, rarely longer.
	Recent time.Duration

	// HostOf names the host of events that do not, by the name of their file: "web1" for "web1/letsencrypt.log". If nil, they
	// have none. Hosts keep runs apart that stand at the same place of files of the same name, so set it before the first
	// call of Add if histories of several machines are to be merged.
	HostOf func(file string) string

	// Limit is the most authorizations, and orders, and runs, that are kept. If zero, there is no limit. Events about more are
	// left out and counted (Summary.Dropped); which ones depends on the order of events. One authorization takes about
	// 500 bytes.
	Limit int
}

// Add takes in an event. Nothing of it is kept but copies.
func (h *History) Add(e Event) {}

// Merge takes in all that other has learned, which stays as it is. The outcome is the same whatever is merged in which order,
// and a log that both have read counts once.
func (h *History) Merge(other *History) {}

// Lives returns every authorization, by the time it was first seen, those without a time at the end, and then by URL.
func (h *History) Lives() iter.Seq[*Life] { return func(func(*Life) bool) {} }

// Leaks returns the authorizations with the verdict [Leaked], in the order of Lives. Those that were left and expired since
// have a cause too: they are among Lives.
func (h *History) Leaks() iter.Seq[*Life] { return h.Lives() }

// Life returns the authorization with a URL, and whether there is one.
func (h *History) Life(url string) (*Life, bool) { return nil, false }

// Over reports whether the last word of the logs about an authorization is final, see [Life.Over].
func (h *History) Over(url string) bool { return false }

// Ask returns the URLs of the authorizations that are worth asking the CA about, those that are not over, in the order of
// Lives.
func (h *History) Ask() iter.Seq[string] { return func(func(string) bool) {} }

// Runs returns every run, by time and place.
func (h *History) Runs() []*Run { return nil }

// Orders returns every order, by time and place.
func (h *History) Orders() []*OrderLife { return nil }

// Groups returns the authorizations in groups: most leaks first, then by key.
func (h *History) Groups(by Grouping) []Group { return nil }

// Days returns the days on which something happened, sorted. What has no time is left out.
func (h *History) Days() []Day { return nil }

// Summary returns the totals.
func (h *History) Summary() Summary { return Summary{} }

// MarshalJSON returns all that the history has learned, so that logs can be read on different machines and the histories
// merged. At, Recent, HostOf and Limit are not part of it.
func (h *History) MarshalJSON() ([]byte, error) { return []byte("null"), nil }

// UnmarshalJSON replaces what the history has learned by what MarshalJSON wrote.
func (h *History) UnmarshalJSON(data []byte) error { return nil }
