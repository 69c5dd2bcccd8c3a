package authz

import (
	"cmp"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/acme"
)

// An Effect is what a request does to a pending authorization at a CA.
type Effect string

// The effects that a [Profile] knows of.
const (
	EffectUnknown    Effect = ""           // nobody has looked
	EffectSettles    Effect = "settles"    // its status becomes final and stays so
	EffectRefused    Effect = "refused"    // the CA answers with an error and nothing changes
	EffectIgnored    Effect = "ignored"    // the CA answers with success and nothing changes
	EffectCosmetic   Effect = "cosmetic"   // the status changes, and nothing else
	EffectLingers    Effect = "lingers"    // it goes on being pending or processing
	EffectImpossible Effect = "impossible" // there is nothing to send: no challenges
)

// A Profile is what is known of one CA, or of one CA's software: what
// deactivating and answering do there, what it limits and what it lists. The
// zero Profile is that of a CA nobody knows anything about.
//
// A Profile is data. [Profiles] has those that come with this package;
// [ReadProfiles] reads others from JSON, in the form of profiles.json beside
// this file.
type Profile struct {
	// Name is the CA's, for people.
	Name string

	// Match says which servers the profile is for: those that fit any of it.
	Match []Match

	// Deactivate is what deactivating a pending authorization does
	// (RFC 8555 §7.5.2).
	Deactivate Effect

	// Answer is what answering a challenge does if the validation fails
	// (RFC 8555 §7.5.1).
	Answer Effect

	// PendingLifetimes is how long authorizations stay pending if nobody does
	// anything, the longest first. A CA may have several, by its certificate
	// profiles. It is empty if that is unknown.
	PendingLifetimes []time.Duration

	// PendingLimit is how many pending authorizations an account may have
	// before it gets no more orders. It is 0 if there is no limit.
	PendingLimit int

	// Failures is the CA's limit on failed validations.
	Failures FailureLimit

	// Requests is the limit on all requests, NewNonce the one on new nonces:
	// the Manager keeps to them. NewOrder is the one on new orders of an
	// account; [Manager.ByReorder] makes one each time. A zero Rate is no limit.
	Requests, NewNonce, NewOrder Rate

	// Orders is the account's list of orders (RFC 8555 §7.1.2.1).
	Orders OrderList

	// Lag is how long a read may go on showing the state before a change.
	Lag time.Duration

	// ReusesPending says that a new order lists pending authorizations that
	// the account has already, ReusesValid that it lists valid ones.
	ReusesPending, ReusesValid bool

	// OrderHides says that an order which is over does not list all of its
	// authorizations any more.
	OrderHides bool

	// ChallengeReadAnswers says that reading a challenge starts its
	// validation; ReadExtends that reading an authorization makes it live
	// longer.
	ChallengeReadAnswers, ReadExtends bool

	// Tested names the real servers that the above was measured on. If it is
	// empty, all of it rests on documents.
	Tested string

	// Sources says where the above is from.
	Sources []Source
}

// A Match describes servers. Its fields are patterns of [path.Match] and all
// that are not empty must fit.
type Match struct {
	Host      string `json:"host,omitempty"`      // of the directory URL, with its port unless that is 443
	Directory string `json:"directory,omitempty"` // the path of the directory URL
	NewOrder  string `json:"newOrder,omitempty"`  // the path of the newOrder URL in the directory
}

// A FailureLimit is how a CA counts failed validations, per account and
// identifier; a wildcard counts apart from the name below it. The zero
// FailureLimit does not count.
type FailureLimit struct {
	// Count is how many may fail within Window before the CA refuses orders
	// for the identifier. They come back one by one, every Window/Count.
	Count  int
	Window time.Duration

	// Deactivation says that deactivating a pending authorization counts as
	// a failed validation.
	Deactivation bool

	// Consecutive is how many may fail without a success between them before
	// the CA pauses the identifier until a human acts; 0 is no such limit.
	Consecutive int
}

// A Rate is a limit on requests per second and address.
type Rate struct {
	PerSecond float64 `json:"perSecond"`
	Burst     int     `json:"burst,omitempty"` // how many at once; 0 is one
}

// An OrderList is how a CA lists the orders of an account.
type OrderList struct {
	// Shape is "object" for that of RFC 8555 §7.1.2.1, "array" for a bare JSON
	// array, and "" if there is no list or nobody has looked.
	Shape string `json:"shape,omitempty"`

	// At is where the list is, relative to the directory, if it is not at the
	// URL that the account object names.
	At string `json:"at,omitempty"`

	// Omits says which orders are missing from the list, for people.
	Omits string `json:"omits,omitempty"`
}

// A Source is where something in a [Profile] is from.
type Source struct {
	What string `json:"what"`           // such as "measured" or the title of a document
	URL  string `json:"url,omitempty"`  // of the document
	Date string `json:"date,omitempty"` // when it said so: YYYY-MM-DD or YYYY-MM
}

//go:embed profiles.json
var profilesJSON string

// Profiles returns the profiles that come with this package, a new slice each
// time. The last one fits every server: it is the careful one for a CA that
// nobody knows.
func Profiles() []Profile {
	profiles, err := ReadProfiles(strings.NewReader(profilesJSON))
	if err != nil {
		return []Profile{{Match: []Match{{}}}} // never: a test reads the file
	}
	return profiles
}

// maxProfiles is the most bytes that ReadProfiles reads.
const maxProfiles = 1 << 20

// ReadProfiles reads profiles from a JSON array, at most 1 MiB. Durations are
// strings as "168h". To override the profiles of this package, put yours
// before them:
//
//	m.Profiles = append(mine, authz.Profiles()...)
//
// Its error names the profile that is wrong.
func ReadProfiles(r io.Reader) ([]Profile, error) {
	decoder := json.NewDecoder(io.LimitReader(r, maxProfiles))
	decoder.DisallowUnknownFields()
	var wire []wireProfile
	if err := decoder.Decode(&wire); err != nil {
		return nil, fmt.Errorf("authz: profiles: %w", err)
	}
	profiles := make([]Profile, 0, len(wire))
	for _, w := range wire {
		p, err := w.profile()
		if err != nil {
			return nil, fmt.Errorf("authz: profile %q: %w", w.Name, err)
		}
		profiles = append(profiles, p)
	}
	return profiles, nil
}

// MatchProfile returns the first of the profiles that fits the server with
// this directory, or nil. The directory may be the zero one if it has not been
// read; then only patterns of the URL can fit.
func MatchProfile(profiles []Profile, directoryURL string, d acme.Directory) *Profile {
	for i, p := range profiles {
		if slices.ContainsFunc(p.Match, func(m Match) bool { return m.fits(directoryURL, d) }) {
			return &profiles[i]
		}
	}
	return nil
}

func (m Match) fits(directoryURL string, d acme.Directory) bool {
	u, err := url.Parse(directoryURL)
	if err != nil {
		return false
	}
	newOrder, err := url.Parse(d.OrderURL)
	return err == nil && glob(m.Host, host(u)) && glob(m.Directory, u.Path) && glob(m.NewOrder, newOrder.Path)
}

func glob(pattern, name string) bool {
	if pattern == "" {
		return true
	}
	ok, _ := path.Match(pattern, name) // patterns were checked when they were read
	return ok
}

// profile is that of the server with this directory.
func (m *Manager) profile(d acme.Directory) *Profile {
	if p := MatchProfile(m.Profiles, m.Client.DirectoryURL, d); p != nil {
		return p
	}
	return MatchProfile(Profiles(), m.Client.DirectoryURL, d)
}

// Profile reads the CA's directory and returns what is known of the CA. It
// sends no signed request. Its error is that of reading the directory.
func (m *Manager) Profile(ctx context.Context) (*Profile, error) {
	s, closeIdle, err := m.open(ctx)
	if err != nil {
		return nil, err
	}
	defer closeIdle()
	return s.profile, nil
}

// age is how old a pending authorization is, the youngest that fits its
// expiry and the CA's lifetimes. It is false if that cannot be told.
func (p *Profile) age(a *acme.Authorization, now time.Time) (time.Duration, bool) {
	if a.Expires.IsZero() {
		return 0, false
	}
	youngest, known := time.Duration(0), false
	for _, lifetime := range p.PendingLifetimes {
		if age := now.Sub(a.Expires.Add(-lifetime)); age >= -clockSkew && (!known || age < youngest) {
			youngest, known = max(age, 0), true
		}
	}
	return youngest, known
}

// clockSkew is how far the CA's clock may be ahead of ours.
const clockSkew = 5 * time.Minute

// counts reports whether settling a pending authorization that way uses up
// the budget for failed validations.
func (p *Profile) counts(a Action) bool {
	switch {
	case p.Failures.Count <= 0:
		return false
	case a == ActionDeactivate:
		return p.Failures.Deactivation
	}
	return a == ActionAnswer || a == ActionFinish
}

// MarshalJSON writes the form that [ReadProfiles] reads.
func (p Profile) MarshalJSON() ([]byte, error) { return json.Marshal(p.wire()) }

// UnmarshalJSON reads one profile of that form.
func (p *Profile) UnmarshalJSON(data []byte) error {
	var w wireProfile
	if err := json.Unmarshal(data, &w); err != nil {
		return err
	}
	got, err := w.profile()
	*p = got
	return err
}

type wireProfile struct {
	Name                 string            `json:"name"`
	Match                []Match           `json:"match"`
	Deactivate           Effect            `json:"deactivate,omitempty"`
	Answer               Effect            `json:"answer,omitempty"`
	PendingLifetimes     []wireDuration    `json:"pendingLifetimes,omitempty"`
	PendingLimit         int               `json:"pendingLimit,omitempty"`
	Failures             *wireFailureLimit `json:"failures,omitempty"`
	Requests             Rate              `json:"requests,omitzero"`
	NewNonce             Rate              `json:"newNonce,omitzero"`
	NewOrder             Rate              `json:"newOrder,omitzero"`
	Orders               OrderList         `json:"orders,omitzero"`
	Lag                  wireDuration      `json:"lag,omitempty"`
	ReusesPending        bool              `json:"reusesPending,omitempty"`
	ReusesValid          bool              `json:"reusesValid,omitempty"`
	OrderHides           bool              `json:"orderHides,omitempty"`
	ChallengeReadAnswers bool              `json:"challengeReadAnswers,omitempty"`
	ReadExtends          bool              `json:"readExtends,omitempty"`
	Tested               string            `json:"tested,omitempty"`
	Sources              []Source          `json:"sources"`
}

type wireFailureLimit struct {
	Count        int          `json:"count"`
	Window       wireDuration `json:"window"`
	Deactivation bool         `json:"deactivation,omitempty"`
	Consecutive  int          `json:"consecutive,omitempty"`
}

// A wireDuration is a string as "1h30m" in JSON.
type wireDuration time.Duration

func (d wireDuration) MarshalJSON() ([]byte, error) {
	return json.Marshal(time.Duration(d).String())
}

func (d *wireDuration) UnmarshalJSON(data []byte) error {
	var s string
	if err := json.Unmarshal(data, &s); err != nil {
		return fmt.Errorf("a duration is a string as \"168h\": %w", err)
	}
	parsed, err := time.ParseDuration(s)
	*d = wireDuration(parsed)
	return err
}

var (
	deactivateEffects = []Effect{EffectUnknown, EffectSettles, EffectRefused, EffectIgnored, EffectCosmetic}
	answerEffects     = []Effect{EffectUnknown, EffectSettles, EffectLingers, EffectImpossible}
)

func (w *wireProfile) check() error {
	switch {
	case w.Name == "":
		return errors.New("it has no name")
	case len(w.Match) == 0:
		return errors.New("match is empty: it would fit no server")
	case !slices.Contains(deactivateEffects, w.Deactivate):
		return fmt.Errorf("deactivate %q: want one of %q", w.Deactivate, deactivateEffects)
	case !slices.Contains(answerEffects, w.Answer):
		return fmt.Errorf("answer %q: want one of %q", w.Answer, answerEffects)
	case !slices.Contains([]string{"", "object", "array"}, w.Orders.Shape):
		return fmt.Errorf("orders: shape %q: want \"object\" or \"array\"", w.Orders.Shape)
	case w.PendingLimit < 0 || w.Lag < 0 || w.Requests.PerSecond < 0 || w.NewNonce.PerSecond < 0 || w.NewOrder.PerSecond < 0:
		return errors.New("a limit is negative")
	case w.Failures != nil && (w.Failures.Count < 1 || w.Failures.Window <= 0 || w.Failures.Consecutive < 0):
		return errors.New("failures: count and window must be positive")
	case !slices.IsSortedFunc(w.PendingLifetimes, func(a, b wireDuration) int { return cmp.Compare(b, a) }):
		return errors.New("pendingLifetimes: the longest must come first")
	}
	for _, m := range w.Match {
		for _, pattern := range []string{m.Host, m.Directory, m.NewOrder} {
			if _, err := path.Match(pattern, ""); err != nil {
				return fmt.Errorf("match: pattern %q: %w", pattern, err)
			}
		}
	}
	return nil
}

func (w *wireProfile) profile() (Profile, error) {
	if err := w.check(); err != nil {
		return Profile{}, err
	}
	p := Profile{
		Name: w.Name, Match: w.Match, Deactivate: w.Deactivate, Answer: w.Answer, PendingLimit: w.PendingLimit,
		Requests: w.Requests, NewNonce: w.NewNonce, NewOrder: w.NewOrder, Orders: w.Orders, Lag: time.Duration(w.Lag),
		ReusesPending: w.ReusesPending, ReusesValid: w.ReusesValid, OrderHides: w.OrderHides,
		ChallengeReadAnswers: w.ChallengeReadAnswers, ReadExtends: w.ReadExtends, Tested: w.Tested, Sources: w.Sources,
	}
	for _, d := range w.PendingLifetimes {
		p.PendingLifetimes = append(p.PendingLifetimes, time.Duration(d))
	}
	if f := w.Failures; f != nil {
		p.Failures = FailureLimit{f.Count, time.Duration(f.Window), f.Deactivation, f.Consecutive}
	}
	return p, nil
}

func (p *Profile) wire() wireProfile {
	w := wireProfile{
		Name: p.Name, Match: p.Match, Deactivate: p.Deactivate, Answer: p.Answer, PendingLimit: p.PendingLimit,
		Requests: p.Requests, NewNonce: p.NewNonce, NewOrder: p.NewOrder, Orders: p.Orders, Lag: wireDuration(p.Lag),
		ReusesPending: p.ReusesPending, ReusesValid: p.ReusesValid, OrderHides: p.OrderHides,
		ChallengeReadAnswers: p.ChallengeReadAnswers, ReadExtends: p.ReadExtends, Tested: p.Tested, Sources: p.Sources,
	}
	for _, d := range p.PendingLifetimes {
		w.PendingLifetimes = append(w.PendingLifetimes, wireDuration(d))
	}
	if f := p.Failures; f != (FailureLimit{}) {
		w.Failures = &wireFailureLimit{f.Count, wireDuration(f.Window), f.Deactivation, f.Consecutive}
	}
	return w
}
