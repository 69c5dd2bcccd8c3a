package authz

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"golang.org/x/crypto/acme"
)

// What can be wrong with one authorization, as Result.Err wraps it. Match
// with errors.Is; where the CA sent a problem document, errors.As also finds
// the *acme.Error with its words.
var (
	// ErrForeign means that the URL is not on an origin that the CA's
	// directory names, nor on a host that Manager.AllowHost accepts, or that
	// it is no https URL at all. Nothing was signed or sent.
	ErrForeign = errors.New("authz: URL does not belong to the CA")

	// ErrNotOurs means that the authorization belongs to another account.
	// Vault and OpenBao answer the same for one that does not exist: their
	// error matches ErrGone, too.
	ErrNotOurs = errors.New("authz: authorization belongs to another account")

	// ErrGone means that the CA does not know the authorization, any more or
	// at all: it expired, was purged, or never was. It does not say that
	// anything was cleared.
	ErrGone = errors.New("authz: authorization is unknown or expired")

	// ErrNotAuthorization means that there is something else at the URL: the
	// account, an order, a challenge, a page.
	ErrNotAuthorization = errors.New("authz: not an authorization")

	// ErrRefused means that the CA answered a deactivation with an error and
	// the authorization is still what it was. step-ca and Caddy do so always.
	ErrRefused = errors.New("authz: CA refuses to deactivate authorizations")

	// ErrIgnored means that the CA answered a deactivation with success and
	// changed nothing, as Dogtag and acme2certifier do.
	ErrIgnored = errors.New("authz: CA ignored the deactivation")

	// ErrPending means that Validate ended with the authorization still
	// pending. It is matched by a [*PendingError], which says more.
	ErrPending = errors.New("authz: authorization is still pending")

	// ErrNoChallenge means that the authorization offers no challenge that
	// could be answered, or that Solve chose none of it.
	ErrNoChallenge = errors.New("authz: no challenge to answer")

	// ErrRateLimited means that the CA asked for a longer wait than
	// Manager.MaxRetryAfter, or was still limiting requests after several
	// waits. It is matched by a [*RateLimitError], which has the time.
	ErrRateLimited = errors.New("authz: rate limited")
)

// ErrAccount ends a sequence: the CA does not accept the account, because the
// key does not fit the account URL, the account does not exist there, or it
// was deactivated. No URL can fare better. It wraps the CA's *acme.Error.
var ErrAccount = errors.New("authz: CA does not accept the account")

// ErrUnreachable ends a sequence: the CA has answered nothing for a minute,
// and ten requests or more. It wraps the last request's error.
var ErrUnreachable = errors.New("authz: CA does not answer")

// A RateLimitError is the answer of a CA that wants fewer requests: HTTP
// status 429, or 503 with a Retry-After. It matches [ErrRateLimited].
type RateLimitError struct {
	// RetryAt is when the CA wants to be asked again.
	// It is zero if the CA did not say.
	RetryAt time.Time

	// Err is the CA's answer, an *acme.Error.
	Err error
}

func (e *RateLimitError) Error() string {
	if e.RetryAt.IsZero() {
		return fmt.Sprintf("%v: %v", ErrRateLimited, e.Err)
	}
	return fmt.Sprintf("%v until %s: %v", ErrRateLimited, e.RetryAt.UTC().Format(time.RFC3339), e.Err)
}

// Is reports whether target is [ErrRateLimited].
func (e *RateLimitError) Is(target error) bool { return target == ErrRateLimited }

// Unwrap returns e.Err.
func (e *RateLimitError) Unwrap() error { return e.Err }

// A PendingError says why Validate stopped waiting for an authorization that
// is still pending. It matches [ErrPending].
type PendingError struct {
	// RetryAt is when the CA wants to be asked again, if that was too far
	// away to wait for. Otherwise it is zero.
	RetryAt time.Time

	// Waited is how long the final status was waited for.
	Waited time.Duration

	// Err is what the CA found wrong with the challenge that was answered, an
	// *acme.Error, or nil. step-ca and Caddy report a failed answer there and
	// leave the authorization pending; it can be validated later.
	Err error
}

func (e *PendingError) Error() string {
	s := fmt.Sprintf("%v after %v", ErrPending, e.Waited.Round(time.Millisecond))
	if !e.RetryAt.IsZero() {
		s += ", the CA asks to come back at " + e.RetryAt.UTC().Format(time.RFC3339)
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Is reports whether target is [ErrPending].
func (e *PendingError) Is(target error) bool { return target == ErrPending }

// Unwrap returns e.Err.
func (e *PendingError) Unwrap() error { return e.Err }

// isProblem reports whether err has a problem document of that type, given
// without its namespace. Servers vary in case and prefix.
func isProblem(err error, kind string) bool {
	e, ok := errors.AsType[*acme.Error](err)
	return ok && strings.HasSuffix(strings.ToLower(e.ProblemType), ":"+strings.ToLower(kind))
}

// statusCode is the HTTP status that err reports, or 0 if there was none.
func statusCode(err error) int {
	if e, ok := errors.AsType[*acme.Error](err); ok {
		return e.StatusCode
	}
	return 0
}

// refused reports whether err is a CA's definite no: it understood the
// request and will not do it.
func refused(err error) bool {
	if isProblem(err, "badNonce") || isProblem(err, "rateLimited") {
		return false
	}
	switch statusCode(err) {
	case http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound,
		http.StatusMethodNotAllowed, http.StatusConflict, http.StatusGone, http.StatusUnprocessableEntity,
		http.StatusNotImplemented:
		return true
	}
	return false
}

// malformed reports whether err is step-ca's answer to what it does not do.
func malformed(err error) bool {
	return statusCode(err) == http.StatusBadRequest && isProblem(err, "malformed")
}

// readError tells why an authorization could not be read. It is asked only
// when the account is known to be good, which is what makes a 400, 401 or 403
// speak of the authorization:
//
//   - 401 and 403 unauthorized: another account's (step-ca; Boulder, Pebble)
//   - 400 malformed "... does not exist": unknown or foreign (Vault, OpenBao)
//   - 400 malformed: unknown (step-ca), or no valid id (Boulder)
//   - 404 and 410: expired, purged or unknown
//
// acme2certifier has 403 for an unknown one; nothing sets that apart.
func readError(err error) error {
	switch statusCode(err) {
	case http.StatusUnauthorized, http.StatusForbidden:
		return fmt.Errorf("%w: %w", ErrNotOurs, err)
	case http.StatusNotFound, http.StatusGone:
		return fmt.Errorf("%w: %w", ErrGone, err)
	case http.StatusBadRequest:
		if !malformed(err) {
			return err
		}
		if strings.Contains(err.Error(), "authorization does not exist") {
			return fmt.Errorf("%w, or %w: %w", ErrNotOurs, ErrGone, err)
		}
		return fmt.Errorf("%w: %w", ErrGone, err)
	}
	return err
}
