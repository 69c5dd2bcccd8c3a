package pebbleca

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/netip"
)

// onlyLoopback refuses orders for IP addresses of other machines, which Pebble would connect to when it validates them.
func onlyLoopback(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != newOrderPath {
			next.ServeHTTP(w, r)
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		if leaves(body) {
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(http.StatusBadRequest)
			_, _ = io.WriteString(w, `{"type":"urn:ietf:params:acme:error:rejectedIdentifier","detail":"only addresses on loopback","status":400}`)
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		next.ServeHTTP(w, r)
	})
}

// leaves reports whether an order (a JWS) names an IP address that is not loopback. What it cannot read, Pebble refuses.
func leaves(body []byte) bool {
	var jws struct {
		Payload string `json:"payload"`
	}
	var order struct {
		Identifiers []struct{ Type, Value string } `json:"identifiers"`
	}
	if json.Unmarshal(body, &jws) != nil {
		return false
	}
	payload, err := base64.RawURLEncoding.DecodeString(jws.Payload)
	if err != nil || json.Unmarshal(payload, &order) != nil {
		return false
	}
	for _, identifier := range order.Identifiers {
		if address, err := netip.ParseAddr(identifier.Value); err == nil && !address.IsLoopback() {
			return true
		}
	}
	return false
}
