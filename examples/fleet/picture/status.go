// Package picture shows how a fleet fares: to people, to programs, to Prometheus.
package picture

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/acmeauthz/acmeauthz/examples/fleet/server"
	"github.com/acmeauthz/acmeauthz/examples/fleet/wire"
	"github.com/acmeauthz/acmeauthz/logparse"
)

// StatusSchema is the schema of a Status' JSON form. Members may be added to it.
const StatusSchema = "acmeauthz-fleet-status/1"

// Silent is after how long a host that says nothing stands out.
const Silent = 5 * time.Minute

// A Status is what the buckets of a fleet say at some time.
type Status struct {
	Schema   string              `json:"schema"` // StatusSchema
	At       time.Time           `json:"at"`
	Hosts    []wire.Heartbeat    `json:"hosts"`    // by name
	Hubs     []wire.HubState     `json:"hubs"`     // by name
	Accounts []wire.AccountState `json:"accounts"` // with the most leaks first
}

// Look reads the buckets. It needs the right to read them only.
func Look(ctx context.Context, c *server.Connection, at time.Time) (*Status, error) {
	s := &Status{Schema: StatusSchema, At: at.UTC(), Hosts: []wire.Heartbeat{}, Hubs: []wire.HubState{}, Accounts: []wire.AccountState{}}
	if err := values(ctx, c, wire.HostBucket, ">", &s.Hosts); err != nil {
		return nil, err
	}
	if err := values(ctx, c, wire.HubBucket, ">", &s.Hubs); err != nil {
		return nil, err
	}
	if err := values(ctx, c, wire.AccountBucket, wire.StateKey("*"), &s.Accounts); err != nil {
		return nil, err
	}
	slices.SortFunc(s.Hosts, func(a, b wire.Heartbeat) int { return strings.Compare(a.Host, b.Host) })
	slices.SortFunc(s.Hubs, func(a, b wire.HubState) int { return strings.Compare(a.Hub, b.Hub) })
	slices.SortFunc(s.Accounts, func(a, b wire.AccountState) int {
		return cmp.Or(cmp.Compare(leaked(b), leaked(a)), strings.Compare(a.Account, b.Account))
	})
	return s, nil
}

func leaked(a wire.AccountState) int { return a.Verdicts[string(logparse.Leaked)] }

func values[T any](ctx context.Context, c *server.Connection, bucket, filter string, into *[]T) error {
	entries, err := c.Values(ctx, bucket, filter)
	if err != nil {
		return fmt.Errorf("the bucket %s: %w", bucket, err)
	}
	for key, e := range entries {
		var v T
		if err := json.Unmarshal(e.Data, &v); err != nil {
			return fmt.Errorf("the bucket %s, %s: %w", bucket, key, err)
		}
		*into = append(*into, v)
	}
	return nil
}

// WriteJSON writes the status as one document.
func (s *Status) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(s)
}

// History is all that the fleet knows, of all accounts, in memory: about a kilobyte for each authorization.
func (s *Status) History(ctx context.Context, c *server.Connection) (*logparse.History, error) {
	whole := new(logparse.History)
	merge := func(data []byte, limit int64) error {
		h, err := wire.DecodeHistory(data, limit)
		if err == nil {
			whole.Merge(h)
		}
		return err
	}
	for _, a := range s.Accounts {
		if a.Snapshot != "" {
			data, err := c.Object(ctx, a.Snapshot, wire.MaxHistory)
			if err == nil {
				err = merge(data, wire.MaxHistory)
			}
			if err != nil {
				return nil, fmt.Errorf("the snapshot %s, which a hub may have replaced just now: %w", a.Snapshot, err)
			}
		}
		for e, err := range c.Entries(ctx, wire.AccountStream, wire.AccountSubject(wire.AccountToken(a.Account))) {
			if err == nil {
				err = merge(e.Data, wire.MaxShard)
			}
			if err != nil {
				return nil, err
			}
		}
	}
	return whole, nil
}

// WriteText writes the status for people, in so many columns; zero is any number.
func (s *Status) WriteText(w io.Writer, columns int) error {
	var b strings.Builder
	line := func(format string, values ...any) {
		b.WriteString(fold(wire.Clean(fmt.Sprintf(format, values...)), columns))
	}
	total, leaks, settled := 0, 0, 0
	for _, a := range s.Accounts {
		total, leaks, settled = total+a.Authorizations, leaks+leaked(a), settled+a.Work.Settled
	}
	line("%d of %d authorizations are leaked, %d were settled.", leaks, total, settled)
	line("Accounts: %d, hosts: %d, hubs: %d. As of %s; all times are UTC.", len(s.Accounts), len(s.Hosts), len(s.Hubs), s.At.Format("2006-01-02 15:04:05"))
	line("")
	line("HOSTS                SEEN    LOGS  UNREAD  UNSENT  BEHIND")
	for _, h := range s.Hosts {
		note := h.Problem
		if s.At.Sub(h.Seen) > Silent {
			note = "silent: does its agent run?"
		}
		line("%-19s  %-6s  %4d  %6s  %6s  %-6s", shorten(h.Host, 19), ago(s.At, h.Seen), h.Logs, size(h.Unread), size(h.Spooled), ago(s.At, h.Behind))
		if note != "" {
			line("  %s", note)
		}
	}
	line("")
	line("HUBS                 SEEN    ACCOUNTS  KEYS  LAG")
	for _, h := range s.Hubs {
		line("%-19s  %-6s  %8d  %4d  %3d  %s", shorten(h.Hub, 19), ago(s.At, h.Seen), h.Accounts, len(h.Keys), h.Lag, h.Problem)
	}
	line("")
	line("ACCOUNTS")
	for _, a := range s.Accounts {
		if a.Account != "" || a.Authorizations > 0 {
			s.account(line, a)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (s *Status) account(line func(string, ...any), a wire.AccountState) {
	line("%s", cmp.Or(a.Account, "(the logs do not tell the account)"))
	mode := a.Work.Policy
	if !a.Work.Apply && mode != "leave" {
		mode += ", planned only"
	}
	line("  hub       %s, saved %s ago; %s; CA: %s", a.Hub, ago(s.At, a.Updated), mode, cmp.Or(a.Work.CA, "not asked"))
	line("  known     %d: %s", a.Authorizations, list(a.Verdicts))
	if len(a.Causes) > 0 {
		line("  causes    %s", list(a.Causes))
	}
	if len(a.Domains) > 0 {
		line("  domains   %s", top(a.Domains))
		line("  hosts     %s", top(a.Hosts))
	}
	done := fmt.Sprintf("settled %d", a.Work.Settled)
	if len(a.Work.Planned) > 0 {
		done += "; to do: " + list(a.Work.Planned)
	}
	if a.Work.Failed > 0 {
		done += fmt.Sprintf("; failed %d", a.Work.Failed)
	}
	if !a.Work.DeferredUntil.IsZero() {
		done += "; deferred until " + a.Work.DeferredUntil.Format("2006-01-02 15:04")
	}
	line("  work      %s", done)
	if a.Work.Problem != "" {
		line("  problem   %s", a.Work.Problem)
	}
}

// fold breaks a line at spaces so that it fits, and indents what goes on.
func fold(text string, columns int) string {
	const indent = "            "
	var b strings.Builder
	text = strings.TrimRight(text, " ")
	for r := []rune(text); columns > 0 && len(r) > columns; r = []rune(text) {
		cut := columns
		for i := columns; i > len(indent)+8; i-- {
			if r[i] == ' ' {
				cut = i
				break
			}
		}
		b.WriteString(strings.TrimRight(string(r[:cut]), " ") + "\n")
		text = indent + strings.TrimLeft(string(r[cut:]), " ")
	}
	return b.String() + text + "\n"
}

// list is counts, the largest first.
func list(counts map[string]int) string {
	var all []string
	for _, k := range slices.SortedFunc(maps.Keys(counts), func(a, b string) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), strings.Compare(a, b))
	}) {
		if counts[k] > 0 {
			all = append(all, fmt.Sprintf("%d %s", counts[k], cmp.Or(k, "not decided")))
		}
	}
	return cmp.Or(strings.Join(all, ", "), "none")
}

func top(counts []wire.Count) string {
	var all []string
	for _, c := range counts[:min(len(counts), 5)] {
		all = append(all, fmt.Sprintf("%s %d", cmp.Or(c.Key, "(not told)"), c.Leaked))
	}
	if n := len(counts) - len(all); n > 0 {
		all = append(all, fmt.Sprintf("and %d more", n))
	}
	return strings.Join(all, ", ")
}

func shorten(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return string(r[:n-1]) + "…"
	}
	return s
}

// ago is how long ago something was, in one unit; "-" for the zero time.
func ago(now, then time.Time) string {
	d := now.Sub(then)
	switch {
	case then.IsZero():
		return "-"
	case d < time.Minute:
		return fmt.Sprintf("%d s", max(int(d.Seconds()), 0))
	case d < time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h", int(d.Hours()))
	}
	return fmt.Sprintf("%d d", int(d.Hours()/24))
}

func size(n int64) string {
	for _, unit := range []string{"", "k", "M"} {
		if n < 1000 {
			return fmt.Sprint(n, unit)
		}
		n /= 1000
	}
	return fmt.Sprint(n, "G")
}
