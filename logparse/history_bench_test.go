package logparse

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"
)

// fleetEvents calls yield with what logs of 100 runs say of 10,000 orders with ten names each: every authorization is listed
// by its order, seen pending, answered and seen valid. No string is shared with an event before, as when a log is read.
func fleetEvents(yield func(Event)) {
	line := int64(0)
	for i := range 10_000 {
		file := fmt.Sprintf("web%02d/letsencrypt.log", i%100)
		add := func(e Event) {
			line++
			e.Place, e.Run = Place{strings.Clone(file), line, line * 100}, Place{strings.Clone(file), 1, 0}
			e.Time, e.Client, e.Account = noon.Add(time.Duration(line)*time.Second), "certbot", "https://ca.example/acme/acct/1234567"
			yield(e)
		}
		url := func(k int) string {
			return fmt.Sprintf("https://acme-v02.ca.example/acme/authz/1234567/4567%06d%02d", i, k)
		}
		name := func(k int) Identifier { return Identifier{"dns", fmt.Sprintf("n%d.host%d.example.com", k, i)} }
		o := &Order{Status: "pending", ID: fmt.Sprintf("https://acme-v02.ca.example/acme/order/1234567/9876%06d", i), Expires: noon.AddDate(0, 0, 7)}
		o.URL = o.ID
		for k := range 10 {
			o.Identifiers, o.Authorizations = append(o.Identifiers, name(k)), append(o.Authorizations, url(k))
		}
		add(Event{Kind: OrderSeen, Order: o})
		for k := range 10 {
			pending := &Authorization{URL: url(k), Identifier: name(k), Status: "pending", Expires: o.Expires}
			add(Event{Kind: AuthorizationSeen, Authorization: pending})
			add(Event{Kind: ChallengeAnswered, Authorization: &Authorization{URL: url(k)}, Challenge: &Challenge{Type: "http-01"}})
			valid := &Authorization{URL: url(k), Identifier: name(k), Status: "valid"}
			add(Event{Kind: AuthorizationSeen, Authorization: valid})
		}
	}
}

// BenchmarkHistoryMemory tells how many bytes a History takes for each authorization, when the events are gone.
func BenchmarkHistoryMemory(b *testing.B) {
	var before, after runtime.MemStats
	for b.Loop() {
		runtime.GC()
		runtime.ReadMemStats(&before)
		var h History
		fleetEvents(h.Add)
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/float64(len(h.lives)), "B/authorization")
		h.Lives()
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/float64(len(h.lives)), "B/authorization-queried")
	}
}
