package authz_test

import (
	"context"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/acme"

	"github.com/acmeauthz/acmeauthz/authz"
	"github.com/acmeauthz/acmeauthz/internal/fakeca"
)

// A keyHandler collects the keys of attributes.
type keyHandler struct {
	mu   sync.Mutex
	keys map[string]bool
}

func (k *keyHandler) Enabled(context.Context, slog.Level) bool { return true }
func (k *keyHandler) WithAttrs([]slog.Attr) slog.Handler       { return k }
func (k *keyHandler) WithGroup(string) slog.Handler            { return k }
func (k *keyHandler) Handle(_ context.Context, r slog.Record) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	r.Attrs(func(a slog.Attr) bool {
		k.keys[a.Key] = true
		return true
	})
	return nil
}

// TestLogKeys logs all that there is to log: the keys are those of the package comment.
func TestLogKeys(t *testing.T) { synctest.Test(t, testLogKeys) }

func testLogKeys(t *testing.T) {
	var requests atomic.Int32
	ca := fakeca.New(fakeca.Config{Intercept: func(r *fakeca.Request) *fakeca.Answer {
		switch n := requests.Add(1); {
		case r.Kind == fakeca.Deactivate && n < 12:
			return &fakeca.Answer{Status: http.StatusInternalServerError}
		case n == 5:
			return &fakeca.Answer{Status: http.StatusTooManyRequests, Header: http.Header{"Retry-After": {"0"}}}
		}
		return nil
	}})
	keys := &keyHandler{keys: make(map[string]bool)}
	client := ca.Client()
	tracker := &authz.Tracker{Key: client.Key, Base: client.HTTPClient.Transport, Logger: slog.New(keys)}
	tracker.Manager = func(string, string) *authz.Manager {
		return &authz.Manager{Client: ca.Client(), Parallelism: 1, Logger: slog.New(keys)}
	}
	client.HTTPClient = &http.Client{Transport: tracker}
	_, err := client.AuthorizeOrder(t.Context(), acme.DomainIDs("a.example", "b.example"))
	require.NoError(t, err)
	_, err = tracker.Close(t.Context())
	require.NoError(t, err)
	require.Equal(t, []string{"code", "error", "event", "method", "order", "pause", "status", "took", "url"}, slices.Sorted(maps.Keys(keys.keys)))
}
