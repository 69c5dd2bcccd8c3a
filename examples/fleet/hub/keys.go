package hub

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/acmeauthz/acmeauthz/account"
	"golang.org/x/crypto/acme"
)

// Keys are the accounts whose keys a hub has, by URL. Some clients do not store it (uacme, acme-tiny, and others); then the
// CA is asked for it by the key (RFC 8555 §7.3.1).
type keys struct {
	mu    sync.Mutex
	byURL map[string]*account.Account
}

func newKeys(accounts []*account.Account) (k *keys, without []*account.Account) {
	k = &keys{byURL: make(map[string]*account.Account)}
	for _, a := range accounts {
		if a.URL == "" {
			without = append(without, a)
			continue
		}
		k.add(a)
	}
	return k, without
}

// add adds an account, unless there is one with that URL that can be used better.
func (k *keys) add(a *account.Account) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if known := k.byURL[a.URL]; known == nil || known.Directory == "" {
		k.byURL[a.URL] = a
	}
}

// of is the account with a URL, or nil.
func (k *keys) of(url string) *account.Account {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.byURL[url]
}

// urls are those of all.
func (k *keys) urls() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	var all []string
	for url := range k.byURL {
		all = append(all, url)
	}
	slices.Sort(all)
	return all
}

// askAgain is how long to wait before a CA that did not answer is asked again.
const askAgain = 5 * time.Minute

// findURLs asks CAs for the URLs of accounts whose keys are here, until it has all or ctx ends.
func (h *Hub) findURLs(ctx context.Context) {
	for without := h.nameless; len(without) > 0 && ctx.Err() == nil; pause(ctx, askAgain) {
		without = slices.DeleteFunc(slices.Clone(without), func(a *account.Account) bool { return h.findURL(ctx, a) })
		if len(without) == 0 {
			return
		}
	}
}

// noRedirect follows none: a CA has its URLs in its directory.
func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// findURL reports whether there is no need to ask again.
func (h *Hub) findURL(ctx context.Context, a *account.Account) bool {
	log := h.config.log().With("key", a.Path, "client", a.StoredBy)
	if a.Directory == "" {
		log.Warn("the key is of no use: neither the account's URL nor that of the CA's directory is stored beside it")
		return true
	}
	client := a.Client()
	client.HTTPClient = &http.Client{Transport: h.config.Transport, Timeout: 30 * time.Second, CheckRedirect: noRedirect}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	registered, err := client.GetReg(ctx, "")
	switch {
	case errors.Is(err, acme.ErrNoAccount):
		log.Warn("the CA knows no account with the key", "directory", a.Directory)
		return true
	case err != nil:
		log.Warn("the account's URL is not known, and the CA does not tell it", "directory", a.Directory, "error", err)
		return false
	}
	found := *a
	found.URL = registered.URI
	h.keys.add(&found)
	log.Info("the CA tells the account's URL", "account", found.URL)
	return true
}
