package logparse

import (
	"bytes"
	"strings"
)

// A challengeIndex knows which authorizations the challenges seen last belong to. At most CAs the URL of a challenge does
// not tell. The zero value is empty.
type challengeIndex struct {
	young, old map[string]string // by URL of the challenge
}

// maxChallenges is how many challenges a challengeIndex knows at least.
const maxChallenges = 8192

// put notes that a challenge belongs to an authorization.
func (x *challengeIndex) put(challenge []byte, authorization string) {
	if len(challenge) == 0 || len(challenge) > maxURL || authorization == "" || x.young[string(challenge)] == authorization {
		return
	}
	if x.young == nil || len(x.young) >= maxChallenges {
		x.young, x.old = make(map[string]string), x.young
	}
	x.young[string(challenge)] = authorization
}

// get returns the authorization of a challenge, "" if that is not known.
func (x *challengeIndex) get(challenge string) string {
	if a, ok := x.young[challenge]; ok {
		return a
	}
	return x.old[challenge]
}

// An orderIndex knows the URLs of the orders seen last by those to finalize them: the answer to that is the order, and does
// not have its URL.
type orderIndex struct {
	young, old map[string]string
}

// url returns the URL of an order: the given one, or if that is empty, the one that belongs to finalize.
func (x *orderIndex) url(url, finalize string) string {
	if url == "" {
		if u, ok := x.young[finalize]; ok {
			return u
		}
		return x.old[finalize]
	}
	if finalize == "" || len(finalize) > maxURL || x.young[finalize] == url {
		return url
	}
	if x.young == nil || len(x.young) >= maxChallenges {
		x.young, x.old = make(map[string]string), x.young
	}
	x.young[finalize] = url
	return url
}

// authorization returns the URL of the authorization that url is, or as whose challenge it can be told, in canonical form.
// It returns "" if url is neither.
func (t *teller) authorization(url []byte) string {
	if len(url) == 0 || len(url) > maxURL {
		return ""
	}
	t.scanner.array.open = false
	t.scanner.matcher.last = t.scanner.matcher.last[:0]
	t.scanner.load(url, 0, false)
	if !t.scanner.Scan() || t.scanner.Match().Offset != 0 {
		return ""
	}
	return string(t.scanner.Match().URL)
}

// element returns the canonical form of a URL that an order lists as one of an authorization, "" if it is none.
func (t *teller) element(url []byte) string {
	if len(url) == 0 || len(url) > maxURL {
		return ""
	}
	text := append(append(append(make([]byte, 0, len(url)+20), `"authorizations":["`...), url...), '"', ']')
	t.scanner.array.open = false
	t.scanner.load(text, 0, false)
	if !t.scanner.Scan() {
		return ""
	}
	return string(t.scanner.Match().URL)
}

// authorizationOfChallenge returns the URL of the authorization that a challenge belongs to: as the CA's Link says, as the
// URL tells, or as seen before.
func (s *stream) authorizationOfChallenge(challenge, up string) string {
	if up != "" {
		if u := s.element([]byte(up)); u != "" {
			return u
		}
	}
	if u := s.authorization([]byte(challenge)); u != "" {
		return u
	}
	return s.challenge.get(challenge)
}

// isChallenge reports whether url has the path of a challenge at one of the CAs whose authorizations it tells.
func isChallenge(url string) bool { return strings.Contains(url, "/chall") }

// cutPrefix is bytes.CutPrefix for a string.
func cutPrefix(b []byte, prefix string) ([]byte, bool) {
	if len(b) < len(prefix) || string(b[:len(prefix)]) != prefix {
		return b, false
	}
	return b[len(prefix):], true
}

// between returns what stands in b between two strings.
func between(b []byte, start, end string) ([]byte, bool) {
	_, rest, ok := bytes.Cut(b, []byte(start))
	if !ok {
		return nil, false
	}
	found, _, ok := bytes.Cut(rest, []byte(end))
	return found, ok
}
