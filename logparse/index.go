package logparse

import (
	"bytes"
	"strings"
)

// An index knows a text for each of the URLs that it was told of last. The zero value is empty.
type index struct {
	young, old map[string]string
}

// maxIndex is how many URLs an index knows at least.
const maxIndex = 8192

// put notes the text for a URL.
func (x *index) put(url []byte, text string) {
	if len(url) == 0 || len(url) > maxURL || x.young[string(url)] == text && text != "" {
		return
	}
	if x.young == nil || len(x.young) >= maxIndex {
		x.young, x.old = make(map[string]string), x.young
	}
	x.young[string(url)] = text
}

// get returns the text for a URL, if it is known.
func (x *index) get(url []byte) (string, bool) {
	if text, ok := x.young[string(url)]; ok {
		return text, true
	}
	text, ok := x.old[string(url)]
	return text, ok
}

// orderURL returns the URL of an order that has the given URL to finalize it. If url is empty, which it is for the answer to
// that request, the order has been seen before.
func (s *stream) orderURL(url, finalize string) string {
	if url == "" {
		url, _ = s.orders.get([]byte(finalize))
		return url
	}
	s.orders.put([]byte(finalize), url)
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
	if u, ok := t.elements.get(url); ok {
		return u
	}
	u := t.canonical(url)
	t.elements.put(url, u)
	return u
}

// canonical does the work of element.
func (t *teller) canonical(url []byte) string {
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
	u, _ := s.challenges.get([]byte(challenge))
	return u
}

// tells reports whether a challenge's URL tells that of its authorization by itself, so that it need not be remembered. It
// is sure only of URLs like the last one: the same up to the path's element for challenges, and as deep.
func (s *stream) tells(challenge []byte, authorization string) bool {
	i := bytes.Index(challenge, []byte("/chall"))
	if i < 0 {
		return false
	}
	depth := bytes.Count(challenge[i:], []byte{'/'})
	if l := &s.telling; depth != l.depth || string(challenge[:i]) != l.start {
		*l = telling{start: string(challenge[:i]), depth: depth, told: s.authorization(challenge) == authorization}
	}
	return s.telling.told
}

// telling is whether URLs of challenges with the same start, and as deep, tell of their authorizations.
type telling struct {
	start string
	depth int
	told  bool
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
