package picture

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/acmeauthz/acmeauthz/examples/fleet/wire"
	"github.com/acmeauthz/acmeauthz/logparse"
	"github.com/prometheus/client_golang/prometheus"
)

// maxAccounts is how many accounts have metrics of their own, those with the most leaks: anybody's logs can name accounts,
// and Prometheus keeps every label that it has seen.
const maxAccounts = 1000

// others is the label of the accounts beyond that.
const others = "others"

// maxLabel bounds an account's URL as a label, in characters.
const maxLabel = 250

// tell sends a value, with the values of the labels after that of the account.
type tell func(value float64, labels ...string)

// An accountMetric is one that each account has.
type accountMetric struct {
	desc *prometheus.Desc
	of   func(*sum, tell)
}

func accountGauge(name, help string, of func(*sum, tell), labels ...string) accountMetric {
	return accountMetric{prometheus.NewDesc("acmeauthz_fleet_"+name, help, append([]string{"account"}, labels...), nil), of}
}

var accountMetrics = []accountMetric{
	accountGauge("authorizations", "Authorizations of an account by verdict; leaked is always there.", func(s *sum, t tell) { s.verdicts.tell(t) }, "verdict"),
	accountGauge("leaked", "Leaked authorizations of an account by cause.", func(s *sum, t tell) { s.causes.tell(t) }, "cause"),
	accountGauge("planned", "Authorizations of an account by the action that the last sweep planned.", func(s *sum, t tell) { s.planned.tell(t) }, "action"),
	accountGauge("deferred", "Authorizations of an account that wait because a budget of the CA is used up.", func(s *sum, t tell) { t(float64(s.deferred)) }),
	accountGauge("deferred_until_timestamp_seconds", "When the last authorization of an account that waits can be settled, in Unix time; missing if none waits.", func(s *sum, t tell) { t.time(s.until) }),
	accountGauge("account_settled", "Authorizations of an account that were settled, by all hubs.", func(s *sum, t tell) { t(float64(s.settled)) }),
	accountGauge("swept_timestamp_seconds", "When the last sweep of an account ended, in Unix time; missing before the first.", func(s *sum, t tell) { t.time(s.swept) }),
	accountGauge("account_problem", "Whether an account has a problem that a person should look at: 1 or 0.", func(s *sum, t tell) { t(truth(s.problem)) }),
}

func (t tell) time(at time.Time) {
	if !at.IsZero() {
		t(float64(at.UnixMilli()) / 1000)
	}
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// tallies are counts by a label.
type tallies map[string]int

func (a tallies) add(counts map[string]int) {
	for k, n := range counts {
		a[label(cmp.Or(k, undecided))] += n
	}
}

func (a tallies) tell(t tell) {
	for k, n := range a {
		t(float64(n), k)
	}
}

// A sum is what an account, or some, come to.
type sum struct {
	verdicts, causes, planned tallies
	deferred, settled         int
	until, swept              time.Time // the latest, and the earliest
	problem                   bool
}

func newSum() *sum {
	return &sum{verdicts: tallies{string(logparse.Leaked): 0}, causes: tallies{}, planned: tallies{}}
}

func (s *sum) add(a wire.AccountState) {
	s.verdicts.add(a.Verdicts)
	s.causes.add(a.Causes)
	s.planned.add(a.Work.Planned)
	s.deferred += a.Work.Deferred
	s.settled += a.Work.Settled
	if a.Work.DeferredUntil.After(s.until) {
		s.until = a.Work.DeferredUntil
	}
	if !a.Work.Swept.IsZero() && (s.swept.IsZero() || a.Work.Swept.Before(s.swept)) {
		s.swept = a.Work.Swept
	}
	s.problem = s.problem || a.Work.Problem != ""
}

// sums are those of the accounts, by label. Two accounts may have the same label, once that is cleaned: they are one.
func sums(states []wire.AccountState) map[string]*sum {
	states = slices.SortedFunc(slices.Values(states), func(a, b wire.AccountState) int {
		return cmp.Or(cmp.Compare(leaked(b), leaked(a)), strings.Compare(a.Account, b.Account))
	})
	all := make(map[string]*sum)
	for _, a := range states {
		if a.Account == "" && a.Authorizations == 0 {
			continue
		}
		l := label(cmp.Or(a.Account, wire.UnknownAccount))
		if all[l] == nil && len(all) >= maxAccounts {
			l = others
		}
		if all[l] == nil {
			all[l] = newSum()
		}
		all[l].add(a)
	}
	return all
}

// label is a text as a label: others read it on their terminals.
func label(text string) string { return oneLine(shorten(text, maxLabel)) }

// collectAccounts sends the metrics of the accounts.
func collectAccounts(states []wire.AccountState, out chan<- prometheus.Metric) {
	for account, s := range sums(states) {
		for _, m := range accountMetrics {
			m.of(s, func(value float64, labels ...string) {
				out <- prometheus.MustNewConstMetric(m.desc, prometheus.GaugeValue, value, append([]string{account}, labels...)...)
			})
		}
	}
}
