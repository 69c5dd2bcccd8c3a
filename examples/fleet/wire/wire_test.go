package wire

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/acmeauthz/acmeauthz/logparse"
	"github.com/stretchr/testify/require"
)

func TestTokens(t *testing.T) {
	for name, want := range map[string]string{"web01": "web01", "Web01.Example.NET": "web01=2Eexample=2Enet", "a=b": "a=3Db", "größe": "gr=C3=B6=C3=9Fe", "*": "=2A", ">": "=3E"} {
		token, err := HostToken(name)
		require.NoError(t, err)
		require.Equal(t, want, token)
		back, err := HostName(token)
		require.NoError(t, err)
		require.Equal(t, strings.ToLower(name), back)
	}
	for _, name := range []string{"", strings.Repeat("x", MaxName+1), "a b", "a\nb", "\x00"} {
		_, err := HostToken(name)
		require.Error(t, err, "%q", name)
	}
	for _, token := range []string{"", "a.b", "A", "=2e", "=6", "=61", "*", ">", "a b"} {
		_, err := HostName(token)
		require.Error(t, err, "%q", token)
	}
	require.Equal(t, UnknownAccount, AccountToken(""))
	require.Len(t, AccountToken("https://ca.example/acct/1"), 24)
	require.NotEqual(t, AccountToken("https://ca.example/acct/1"), AccountToken("https://ca.example/acct/2"))
}

func history(host string, n, length int) *logparse.History {
	h := new(logparse.History)
	for i := range n {
		h.Add(logparse.Event{
			Kind: logparse.AuthorizationSeen, Host: host, Place: logparse.Place{File: FileName(host, "/x.log", 7), Line: int64(i + 1)}, Time: time.Unix(int64(i+1), 0),
			Authorization: &logparse.Authorization{URL: fmt.Sprintf("https://ca.example/authz/%s%d", random(i, length), i), Status: "pending"},
		})
	}
	return h
}

// random is text that does not compress.
func random(seed, n int) string {
	var b strings.Builder
	x := uint64(seed)*2862933555777941757 + 3037000493
	for range n {
		x = x*6364136223846793005 + 1442695040888963407
		b.WriteByte("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"[x>>58])
	}
	return b.String()
}

func TestPieces(t *testing.T) {
	h := history("web01", 3000, 900)
	var merged logparse.History
	n := 0
	for data, err := range Pieces(h) {
		require.NoError(t, err)
		require.LessOrEqual(t, len(data), MaxMessage)
		part, _, err := DecodeShard("web01", data)
		require.NoError(t, err)
		merged.Merge(part)
		n++
	}
	require.Greater(t, n, 2)
	want, err := h.MarshalJSON()
	require.NoError(t, err)
	got, err := merged.MarshalJSON()
	require.NoError(t, err)
	require.Equal(t, string(want), string(got))
}

func TestDecodeShard(t *testing.T) {
	data, err := EncodeHistory(history("web01", 3, 4))
	require.NoError(t, err)
	_, _, err = DecodeShard("web01", data)
	require.NoError(t, err)
	_, _, err = DecodeShard("web02", data)
	require.ErrorContains(t, err, `it tells of host "web01"`)
	_, _, err = DecodeShard("web", data)
	require.Error(t, err)
	carried, err := EncodeHistory(func() *logparse.History {
		h := history("web01", 1, 4)
		h.Add(logparse.Event{Kind: logparse.RunStarted, Host: "web01/db02", Place: logparse.Place{File: FileName("web01", "/syslog", 1), Line: 1}, Run: logparse.Place{File: FileName("web01", "/syslog", 1), Line: 1}})
		return h
	}())
	require.NoError(t, err)
	_, _, err = DecodeShard("web01", carried)
	require.NoError(t, err)
	for _, bad := range [][]byte{nil, []byte("x"), make([]byte, MaxMessage+1)} {
		_, _, err = DecodeShard("web01", bad)
		require.Error(t, err)
	}
}

func FuzzDecodeShard(f *testing.F) {
	data, err := EncodeHistory(history("web01", 3, 4))
	require.NoError(f, err)
	f.Add(data)
	f.Fuzz(func(t *testing.T, data []byte) {
		if h, _, err := DecodeShard("web01", data); err == nil {
			h.Lives()
			for _, part := range h.Split() {
				for _, err := range Pieces(part) {
					require.NoError(t, err)
				}
			}
		}
	})
}
