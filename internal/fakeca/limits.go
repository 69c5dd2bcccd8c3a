package fakeca

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"
)

// A budget of failures for one name of one account.
type budget struct {
	counted   int         // in all
	recent    []time.Time // of the failures within the window before the last one
	full      time.Time   // when the bucket will be full again
	overdrawn bool        // whether more than the limit were ever within a window
}

// failureWindow is the time in which the limit on failures counts.
func (ca *CA) failureWindow() time.Duration { return cmp.Or(ca.config.FailureWindow, time.Hour) }

// countFailure takes a failure out of the budget of its name.
func (ca *CA) countFailure(a *authorization, now time.Time) {
	if ca.config.Behavior != Boulder {
		return
	}
	b := ca.budgets[a.name()]
	if b == nil {
		b = &budget{}
		ca.budgets[a.name()] = b
	}
	b.counted++
	if ca.config.FailureLimit <= 0 {
		return
	}
	b.recent = append(slices.DeleteFunc(b.recent, func(t time.Time) bool { return now.Sub(t) >= ca.failureWindow() }), now)
	b.overdrawn = b.overdrawn || len(b.recent) > ca.config.FailureLimit
	if next, wait := ca.spend(b, now); wait <= 0 {
		b.full = next
	}
}

// spend says when the bucket would be full if one more failure were taken out, and how long to wait until it has one. This is
// the generic cell rate algorithm.
func (ca *CA) spend(b *budget, now time.Time) (full time.Time, wait time.Duration) {
	each := ca.failureWindow() / time.Duration(ca.config.FailureLimit)
	full = b.full
	if full.Before(now) {
		full = now
	}
	full = full.Add(each)
	return full, full.Sub(now) - each*time.Duration(ca.config.FailureLimit)
}

// checkBudgets refuses an order for a name that failed too often; of several names it tells of the one that takes longest.
func (ca *CA) checkBudgets(owner *account, identifiers []identifier) *reply {
	if ca.config.FailureLimit <= 0 {
		return nil
	}
	ca.settleDue()
	now, longest, refused := time.Now(), time.Duration(0), ""
	for _, wanted := range identifiers {
		if b := ca.budgets[name{owner, wanted.Value}]; b != nil {
			if _, wait := ca.spend(b, now); wait > longest {
				longest, refused = wait, wanted.Value
			}
		}
	}
	if longest == 0 {
		return nil
	}
	y := ca.word(text{http.StatusTooManyRequests, "rateLimited", fmt.Sprintf("too many failed authorizations (%d) for %q in the last %s, retry after %s: "+
		"see https://letsencrypt.org/docs/rate-limits/#authorization-failures-per-identifier-per-account",
		ca.config.FailureLimit, refused, ca.failureWindow(), now.Add(longest).UTC().Format("2006-01-02 15:04:05 MST"))})
	y.header.Set("Retry-After", strconv.Itoa(int((longest+time.Second-1)/time.Second)))
	y.header.Add("Link", `<https://letsencrypt.org/docs/rate-limits>;rel="help"`)
	return y
}

// pendingText is worded as Boulder did in 2024, without Retry-After; {0} limit.
var pendingText = text{http.StatusTooManyRequests, "rateLimited",
	"Error creating new order :: too many currently pending authorizations: {0}: see https://letsencrypt.org/docs/rate-limits/"}

// tooManyPending reports whether an account must not get another pending authorization.
func (ca *CA) tooManyPending(owner *account) bool {
	if ca.config.Behavior != Boulder || ca.config.PendingLimit <= 0 {
		return false
	}
	ca.settleDue()
	count := 0
	for _, a := range ca.authorizations {
		if a.account == owner && a.status == pending && !a.expired() {
			count++
		}
	}
	return count >= ca.config.PendingLimit
}

// busy is the answer when there were too many requests.
func (ca *CA) busy() *reply {
	y := ca.word(text{http.StatusServiceUnavailable, "rateLimited", "Service busy; retry later."})
	y.header.Set("Retry-After", "1")
	return y
}

// arrivals counts requests in the last second. It keeps no more times than that second has. The zero value is ready.
type arrivals struct {
	mu      sync.Mutex
	first   time.Time       // of all, whose monotonic clock the others are measured by
	last    []time.Duration // since first, of the arrivals less than a second ago, in order
	busiest int             // the most there ever were
}

// add notes that a request arrives now. The time is taken under the lock, so that times come in order.
func (a *arrivals) add() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.first.IsZero() {
		a.first = time.Now()
	}
	now := time.Since(a.first)
	old := 0
	for old < len(a.last) && now-a.last[old] >= time.Second {
		old++
	}
	// What is cut off at the front goes when append next needs a new array for the rest.
	a.last = append(a.last[old:], now)
	a.busiest = max(a.busiest, len(a.last))
}

// busiestSecond is the most arrivals there were within a second.
func (a *arrivals) busiestSecond() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.busiest
}
