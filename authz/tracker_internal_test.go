package authz

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

// A process that makes orders for years does not remember those that are over.
func TestTrackerForgets(t *testing.T) {
	tracker := &Tracker{}
	for i := range 100 {
		order, url := fmt.Sprintf("https://ca.test/o/%d", i), fmt.Sprintf("https://ca.test/a/%d", i)
		tracker.see(sighting{at: "https://ca.test/new", location: order, code: 201,
			body: fmt.Appendf(nil, `{"status":"pending","finalize":"f","authorizations":[%q,"%s2"]}`, url, url)})
		tracker.see(sighting{at: url, code: 200, body: []byte(`{"status":"pending","identifier":{"type":"dns","value":"a.example"},"challenges":[{"type":"dns-01","url":"` + url + `c"}]}`)})
		require.Len(t, tracker.Open(), 2)
		tracker.see(sighting{at: url, code: 200, body: []byte(`{"status":"valid","identifier":{"type":"dns","value":"a.example"}}`)})
		require.Len(t, tracker.Open(), 1)
		tracker.see(sighting{at: order, code: 200, body: []byte(`{"status":"ready","finalize":"f"}`)})
		require.Empty(t, tracker.Open())
		require.Empty(t, tracker.orders)
		require.Empty(t, tracker.challenges)
	}
}

// Whatever a server or a client sends past a Tracker, it does not fall.
func FuzzTracker(f *testing.F) {
	f.Add("https://ca.test/new", "/o/1", 201, []byte(`{"protected":"eyJraWQiOiJrIn0"}`), []byte(`{"status":"pending","finalize":"f","authorizations":["a"]}`))
	f.Add("a", "", 200, []byte(`{}`), []byte(`{"status":"valid","identifier":{"value":"a.example"}}`))
	f.Add("%", "%", 201, []byte(`{`), []byte(`{"status":"ready","finalize":"f","authorizations":["a","a"]}`))
	f.Fuzz(func(t *testing.T, at, location string, code int, request, body []byte) {
		tracker := &Tracker{}
		tracker.see(sighting{at: "new", location: "o", code: 201, body: []byte(`{"status":"pending","finalize":"f","authorizations":["a","b"]}`)})
		tracker.see(sighting{at, location, code, request, body})
		tracker.see(sighting{at: "o", code: 200, body: body})
		for _, a := range tracker.Open() {
			require.NotNil(t, tracker.open[a.URL])
		}
	})
}
