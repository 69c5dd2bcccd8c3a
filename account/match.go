package account

import (
	"cmp"
	"errors"
	"net/url"
	"path"
	"slices"
	"strings"
)

// What a [*MatchError] wraps, for [errors.Is].
var (
	// ErrNoAccount means that none of the accounts is the one that a URL belongs to.
	ErrNoAccount = errors.New("no key of that account was found")

	// ErrAmbiguous means that several accounts may be the one that a URL belongs
	// to, and that the URL does not tell.
	ErrAmbiguous = errors.New("several accounts may be the one")
)

// A MatchError says why no account was matched with a URL.
type MatchError struct {
	// URL is what was to be matched.
	URL string

	// Owner is the URL of the account that it belongs to, if that is known.
	Owner string

	// Candidates are the accounts at the same server: for ErrAmbiguous those that
	// it may be, for ErrNoAccount those that it is not, and those whose own URL is
	// not stored, which it may be nevertheless.
	Candidates []*Account

	// Err is ErrNoAccount or ErrAmbiguous.
	Err error
}

// Error names the account looked for, or the URL, and those that were found, such as
//
//	account: account 123 of ca.example: no key of that account was found; keys were found for 456 (certbot) and 789 (lego)
func (e *MatchError) Error() string {
	subject := printable(e.URL)
	if e.Owner != "" {
		subject = "account " + printable(nameOfURL(e.Owner)) + " of " + printable(hostOfURL(e.Owner))
	}
	text := "account: " + subject + ": " + e.Err.Error()
	if len(e.Candidates) == 0 {
		return text + "; none at that server was"
	}
	var names []string
	for _, a := range e.Candidates {
		names = append(names, a.Name()+" ("+cmp.Or(printable(a.StoredBy), "by hand")+")")
	}
	return text + "; keys were found for " + sentence(names)
}

// Unwrap returns Err.
func (e *MatchError) Unwrap() error { return e.Err }

// sentence joins names as a sentence has them.
func sentence(names []string) string {
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " and " + names[last]
}

// Name is what people call the account: the last part of its URL, which at
// Boulder is a number; or, where that is not known, the path of the key's file.
// What cannot be printed safely is quoted.
func (a *Account) Name() string {
	if a.URL != "" {
		return printable(nameOfURL(a.URL))
	}
	return cmp.Or(printable(a.Path), "an account without a URL")
}

func nameOfURL(rawURL string) string {
	u, err := url.Parse(rawURL)
	if err != nil {
		return rawURL
	}
	return path.Base(u.Path)
}

// Match returns the account to which a resource of an ACME server belongs, told
// by its URL: that of an authorization, a challenge, an order, or the account
// itself, such as the "kid" that clients log (RFC 8555 §6.2). Nothing is sent.
//
// It is the account with that URL; or the one whose number is in the URL, as
// Boulder has it (/acme/authz/ACCOUNT/ID); or the only one at that server. Where a host has several
// servers, as step-ca has with its provisioners and Vault with its mounts, the
// paths of directory and account URL tell which.
//
// Otherwise the error is a [*MatchError] that wraps [ErrNoAccount] or
// [ErrAmbiguous]. Accounts with neither URL nor Directory are never matched.
func Match(accounts []*Account, resource string) (*Account, error) {
	return match(accounts, resource, "")
}

// match is Match for a resource whose owner may be known.
func match(accounts []*Account, resource, owner string) (*Account, error) {
	if owner == "" {
		owner = Owner(resource)
	}
	near := atServer(accounts, resource)
	e := &MatchError{URL: resource, Owner: owner, Candidates: near, Err: ErrNoAccount}
	if owner == "" {
		if i := slices.IndexFunc(near, func(a *Account) bool { return sameURL(a.URL, resource) }); i >= 0 {
			return near[i], nil
		}
		switch len(near) {
		case 0:
			return nil, e
		case 1:
			return near[0], nil
		}
		e.Err = ErrAmbiguous
		return nil, e
	}
	for _, a := range accounts {
		if sameURL(a.URL, owner) && a.isAt(resource) {
			return a, nil
		}
	}
	return nil, e
}

// A Group is the resources of one account.
type Group struct {
	// Account is the account, nil if none matches.
	Account *Account

	// Err is the [*MatchError] of the first of the resources if none does.
	Err error

	// URLs are those of the resources, in the order given.
	URLs []string
}

// A Resource is something at an ACME server that belongs to an account.
type Resource struct {
	URL   string // of an authorization, a challenge, an order, …
	Owner string // the URL of its account, as logs say ("kid"); empty if they do not
}

// GroupByAccount finds the account of each resource as [Match] does, and puts
// those together that have the same one; those without are together by their
// server, the account that is missing, and the kind of error. Groups are in the
// order of their first resource.
func GroupByAccount(accounts []*Account, resources []Resource) []*Group {
	type key struct {
		account      *Account
		owner, place string
		reason       error
	}
	byKey := make(map[key]*Group)
	var groups []*Group
	for _, r := range resources {
		a, err := match(accounts, r.URL, r.Owner)
		k := key{account: a}
		if e, ok := errors.AsType[*MatchError](err); ok {
			k.owner, k.reason = e.Owner, e.Err
			if e.Owner == "" {
				k.place = hostOfURL(r.URL)
			}
		}
		g := byKey[k]
		if g == nil {
			g = &Group{Account: a, Err: err}
			byKey[k] = g
			groups = append(groups, g)
		}
		g.URLs = append(g.URLs, r.URL)
	}
	return groups
}

// Owner returns the URL of the account that a resource belongs to, if the
// resource's URL tells: at Boulder, the number of the account is in those of
// authorizations, challenges, orders and finalizations (/acme/authz/ACCOUNT/ID).
// Of an account's URL it is that URL. It is empty for any other.
func Owner(resource string) string {
	u, err := parseURL(resource)
	if err != nil {
		return ""
	}
	base, rest, ok := strings.Cut(u.Path, "/acme/")
	parts := strings.Split(rest, "/")
	if !ok || len(parts) < 2 || !isNumber(parts[1]) {
		return ""
	}
	switch kind, depth := parts[0], len(parts); {
	case kind == "acct" && depth == 2,
		kind == "authz" && depth == 3, kind == "order" && depth == 3, kind == "finalize" && depth == 3,
		kind == "chall" && depth == 4:
		owner := url.URL{Scheme: u.Scheme, Host: strings.ToLower(u.Host), Path: base + "/acme/acct/" + parts[1]}
		return owner.String()
	}
	return ""
}

func isNumber(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

// atServer returns the accounts that may be at the server of a resource: those on
// its host, but for those whose paths have less in common with the resource's than
// the directory of another has: they are at another server there.
func atServer(accounts []*Account, resource string) (near []*Account) {
	for _, a := range accounts {
		if a.isAt(resource) {
			near = append(near, a)
		}
	}
	best, known := 0, false
	for _, a := range near {
		known = known || a.Directory != ""
	}
	for _, a := range near {
		if !known || a.Directory != "" {
			best = max(best, a.inCommon(resource))
		}
	}
	return slices.DeleteFunc(near, func(a *Account) bool { return a.inCommon(resource) < best })
}

// inCommon tells how much the paths of the account's server and of a resource have
// in common. That of a directory is less than that of an account's URL may be, but
// enough to tell servers apart.
func (a *Account) inCommon(resource string) int {
	return commonPath(a.server(), resource)
}

// isAt reports whether an account is on the host of a resource.
func (a *Account) isAt(resource string) bool {
	return a.URL != "" && sameHost(a.URL, resource) || a.Directory != "" && sameHost(a.Directory, resource)
}

// commonPath counts the elements with which the paths of two URLs start, those
// before the names of resources: …/acme/PROVISIONER/directory has the two in common
// with …/acme/PROVISIONER/authz/ID.
func commonPath(a, b string) (n int) {
	u, err := url.Parse(a)
	if err != nil || a == "" {
		return 0
	}
	v, err := url.Parse(b)
	if err != nil {
		return 0
	}
	x, y := strings.Split(u.Path, "/"), strings.Split(v.Path, "/")
	for n < min(len(x), len(y)) && x[n] == y[n] {
		n++
	}
	return n
}

// sameURL reports whether two URLs differ in no more than how a host and port are
// written.
func sameURL(a, b string) bool {
	u, err := url.Parse(a)
	if err != nil || a == "" {
		return false
	}
	v, err := url.Parse(b)
	return err == nil && u.Scheme == v.Scheme && sameHost(a, b) && u.EscapedPath() == v.EscapedPath() && u.RawQuery == v.RawQuery
}
