package wire

import (
	"fmt"
	"testing"
	"time"

	"github.com/acmeauthz/acmeauthz/logparse"
	"github.com/stretchr/testify/require"
)

// BenchmarkShard writes and reads shards of one run with 20 names, and of 250 authorizations.
func BenchmarkShard(b *testing.B) {
	for _, n := range []int{20, 250} {
		var h logparse.History
		for i := range n {
			h.Add(logparse.Event{
				Kind: logparse.AuthorizationSeen, Host: "web01", Account: "https://ca.test/acct/1", Client: "certbot", Time: time.Unix(1_795_000_000+int64(i), 0).UTC(),
				Place: logparse.Place{File: FileName("web01", "/var/log/letsencrypt/letsencrypt.log", 7), Line: int64(10 * i)},
				Authorization: &logparse.Authorization{
					URL: fmt.Sprint("https://ca.test/acme/authz/1/", i), Status: "pending", Identifier: logparse.Identifier{Type: "dns", Value: fmt.Sprintf("shop%d.example.org", i)},
				},
			})
		}
		data, err := EncodeHistory(&h)
		require.NoError(b, err)
		b.Run(fmt.Sprint("write/", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, _ = EncodeHistory(&h)
			}
		})
		b.Run(fmt.Sprint("read/", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, _, _ = DecodeShard("web01", data)
			}
		})
	}
}
