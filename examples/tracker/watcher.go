package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"sync"
)

// A watcher notes the authorizations of new orders, so that the example can
// count what became of them.
type watcher struct {
	base  http.RoundTripper
	mu    sync.Mutex
	found []string
}

func (w *watcher) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := w.base.RoundTrip(req)
	if err != nil || resp.StatusCode != http.StatusCreated {
		return resp, err
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	_ = resp.Body.Close()
	resp.Body = io.NopCloser(bytes.NewReader(body))
	var order struct {
		Authorizations []string `json:"authorizations"`
	}
	if json.Unmarshal(body, &order) == nil {
		w.mu.Lock()
		w.found = append(w.found, order.Authorizations...)
		w.mu.Unlock()
	}
	return resp, nil
}

func (w *watcher) urls() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.found
}
