package logparse

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// An exchange is a request to a CA and its answer, as far as a client logs them. The parser hands over the parts as they
// come; what they mean is the same for all clients (RFC 8555 §7):
//
//	request   payload? protected? -> POST URL
//	answer    status, headers, body
//
// A body never has the URL of its authorization: that is the URL of the request.
type exchange struct {
	at      Place
	when    instant
	method  string
	url     string
	payload []byte // what was signed; nil if that is not known
	next    []byte // the payload of the request that comes next
	hasNext bool

	status     int
	location   string
	up         string
	retryAfter time.Duration

	answered  bool // the CA's answer was told
	protected []byte
}

// drop forgets what is going on.
func (x *exchange) drop() {
	*x = exchange{payload: x.payload[:0], next: x.next[:0], protected: x.protected[:0], answered: true}
}

// signing notes the payload of the request that follows.
func (s *stream) signing(payload []byte) {
	x := &s.exchange
	x.next, x.hasNext = append(x.next[:0], payload[:min(len(payload), maxText)]...), true
}

// signed notes the payload of the request at hand.
func (s *stream) signed(payload []byte) {
	x := &s.exchange
	x.payload = append(append(x.payload[:0:cap(x.payload)], nonNil...), payload[:min(len(payload), maxText)]...)
}

var nonNil = []byte{}

// request notes that the client sends a request.
func (s *stream) request(method string, url []byte) {
	x := &s.exchange
	x.abandon(s)
	payload, next := x.next, x.payload
	if !x.hasNext {
		payload, next = nil, x.next
	}
	*x = exchange{at: s.at, when: s.clock.instant(), method: method, url: string(url), payload: payload, next: next[:0], protected: x.protected}
}

// protect reads the protected header of a JWS, in base64url: it names the account (RFC 8555 §6.2). The headers of one
// account nearly always start alike, up to the nonce, so that few have to be decoded.
func (s *stream) protect(header []byte) {
	x := &s.exchange
	if len(header) > maxText {
		return
	}
	if len(x.protected) > 0 && bytes.HasPrefix(header, x.protected) {
		s.signedBy(s.account)
		return
	}
	text := make([]byte, base64.RawURLEncoding.DecodedLen(len(header)))
	n, _ := base64.RawURLEncoding.Decode(text, bytes.TrimRight(header, "="))
	kid, ok := kidOf(text[:n])
	if !ok {
		return
	}
	s.account = kid
	s.signedBy(kid)
	if i := bytes.Index(text, []byte(`"`+kid+`"`)); i >= 0 {
		end := (i+len(kid)+2+2)/3*4 + 4 // past the quote
		x.protected = append(x.protected[:0], header[:min(end, len(header))]...)
	}
}

// jws reads the body of the request at hand, a flattened JWS (RFC 7515 §7.2.2): what was signed, and the account.
func (s *stream) jws(body []byte) {
	if len(body) > maxText || s.doc.parse(body) == 0 {
		return
	}
	root := s.doc.root()
	if r := s.doc.member(root, "payload"); s.doc.isString(r) {
		text := bytes.TrimRight(s.doc.bytes(r), "=")
		payload := make([]byte, base64.RawURLEncoding.DecodedLen(len(text)))
		n, _ := base64.RawURLEncoding.Decode(payload, text)
		s.signed(payload[:n])
	}
	if r := s.doc.member(root, "protected"); s.doc.isString(r) {
		s.protect(s.doc.bytes(r))
	}
}

// signedBy notes the account of the URLs that were mentioned since the request at hand began.
func (s *stream) signedBy(account string) {
	for i := len(s.loose) - 1; i >= 0 && s.loose[i].at.Line >= s.exchange.at.Line; i-- {
		s.loose[i].account = account
	}
}

// kidOf returns the account that a decoded protected header names.
func kidOf(text []byte) (string, bool) {
	var doc literal
	if doc.parse(text) == 0 {
		return "", false
	}
	kid := doc.str(doc.member(doc.root(), "kid"))
	return kid, isURL(kid)
}

// isURL reports whether s starts as the URL of an ACME server does.
func isURL(s string) bool { return strings.HasPrefix(s, "https://") || strings.HasPrefix(s, "http://") }

// response notes the HTTP status of the answer.
func (s *stream) response(status int) {
	x := &s.exchange
	x.status, x.location, x.up, x.retryAfter = status, "", "", 0
}

// header notes a header line of the answer.
func (s *stream) header(line []byte) {
	if len(line) == 0 || !strings.ContainsRune("lLdDrR", rune(line[0])) {
		return
	}
	name, value, ok := bytes.Cut(line, []byte{':'})
	if !ok {
		return
	}
	value = bytes.TrimSpace(value)
	x := &s.exchange
	switch len(name) {
	case len("Date"):
		if bytes.EqualFold(name, []byte("Date")) {
			s.date(value)
		} else if bytes.EqualFold(name, []byte("Link")) {
			if bytes.Contains(value, []byte("up")) { // most name the directory
				x.up = cmp.Or(linkUp(string(value)), x.up)
			}
		}
	case len("Location"):
		if bytes.EqualFold(name, []byte("Location")) {
			x.location = string(value)
		}
	case len("Retry-After"):
		if bytes.EqualFold(name, []byte("Retry-After")) {
			x.retryAfter = retryAfter(string(value), s.clock.now())
		}
	}
}

// date notes the Date of an answer. Most come in the same second as the one before.
func (s *stream) date(value []byte) {
	if string(value) == s.lastDate {
		return
	}
	s.lastDate = string(value)
	if d, err := http.ParseTime(s.lastDate); err == nil {
		s.clock.date(d)
	}
}

// linkUp returns the URL with the relation "up" in a Link header, where a challenge names its authorization
// (RFC 8555 §7.5.1).
func linkUp(value string) string {
	for link := range strings.SplitSeq(value, ",") {
		target, params, ok := strings.Cut(strings.TrimSpace(link), ">")
		if ok && strings.HasPrefix(target, "<") && strings.Contains(strings.ReplaceAll(params, " ", ""), `rel="up"`) {
			return target[1:]
		}
	}
	return ""
}

// retryAfter reads a Retry-After header (RFC 9110 §10.2.3) that was received at the given time.
func retryAfter(value string, at time.Time) time.Duration {
	if n, err := strconv.Atoi(value); err == nil && n > 0 {
		return time.Duration(min(n, 1<<31)) * time.Second
	}
	if t, err := http.ParseTime(value); err == nil && !at.IsZero() && t.After(at) {
		return t.Sub(at).Round(time.Second)
	}
	return 0
}

// body reads the body of the answer, and tells what it means.
func (s *stream) body(b []byte) {
	x := &s.exchange
	if x.answered || s.goesOn && !s.isObject(b) {
		return
	}
	x.answered = true
	if x.method == http.MethodGet && x.status < 400 {
		return // a directory: all that is read of orders and authorizations is asked for by POST (RFC 8555 §6.3)
	}
	if !s.isObject(b) {
		s.answer(0)
		return
	}
	s.answer(s.doc.root())
}

// isObject reports whether b is an object of JSON, which is in s.doc then.
func (s *stream) isObject(b []byte) bool { return s.doc.parse(b) > 0 && s.doc.isObject(s.doc.root()) }

// noBody notes that the answer has none, or that none is logged.
func (s *stream) noBody() { s.body(nil) }

// abandon tells what a request without an answer means.
func (x *exchange) abandon(s *stream) {
	if x.answered || x.method != http.MethodPost {
		return
	}
	x.answered = true
	if x.status == 0 {
		s.tellAnswering(0)
	}
}

// answer tells what an answer means; r is its body in s.doc, or zero.
func (s *stream) answer(r ref) {
	x, doc := &s.exchange, &s.doc
	kind := doc.str(doc.member(r, "type"))
	switch {
	case x.status >= 400, strings.HasPrefix(kind, "urn:ietf:params:acme:error:"):
		s.tellProblem(r)
	case doc.isArray(doc.member(r, "authorizations")):
		s.tellOrder(r)
	case doc.isObject(doc.member(r, "identifier")):
		s.tellAuthorization(r, s.element([]byte(x.url)))
	case r == 0:
		s.tellNothing()
	case kind != "" && doc.member(r, "url") != 0:
		s.tellAnswering(r)
	case x.location != "" && doc.member(r, "status") != 0 && x.status/100 == 2:
		s.account = x.location
	}
}

// tellNothing tells what an answer without a body means.
func (s *stream) tellNothing() {
	x := &s.exchange
	if x.status/100 != 2 {
		return
	}
	if s.deactivating() {
		s.sawURL(AuthorizationDeactivated, []byte(x.url), "")
		return
	}
	s.tellAnswering(0)
}

// deactivating reports whether the request is to deactivate (RFC 8555 §7.5.2).
func (s *stream) deactivating() bool {
	return bytes.Contains(s.exchange.payload, []byte("deactivated"))
}

// tellAnswering tells of a challenge: that the client answered it, and what the CA made of that. The body r may be zero.
func (s *stream) tellAnswering(r ref) {
	x, doc := &s.exchange, &s.doc
	url := x.url
	if r != 0 {
		url = doc.str(doc.member(r, "url"))
	}
	auth := s.authorizationOfChallenge(url, x.up)
	if r == 0 && (auth == "" || auth == s.authorization([]byte(x.url)) && !isChallenge(x.url)) {
		return
	}
	c := &Challenge{URL: url, Type: doc.str(doc.member(r, "type")), Status: doc.str(doc.member(r, "status"))}
	a := &Authorization{URL: auth}
	if x.method == http.MethodPost && len(x.payload) > 0 {
		s.emit(Event{Kind: ChallengeAnswered, Challenge: c, Authorization: a})
	}
	if c.Status == "valid" || c.Status == "invalid" {
		// An authorization is what its only answered challenge is (RFC 8555 §7.1.6).
		s.emit(Event{Kind: AuthorizationSeen, Challenge: c, Authorization: &Authorization{
			URL: auth, Status: c.Status, Problem: problemIn(doc, doc.member(r, "error")),
		}})
	}
}

// tellOrder tells of the order r.
func (s *stream) tellOrder(r ref) {
	x, doc := &s.exchange, &s.doc
	o := orderIn(s, doc, r)
	switch {
	case x.location != "":
		o.URL = x.location
	case x.url != "" && !isNewOrder(x.url) && x.url != doc.str(doc.member(r, "finalize")):
		o.URL = x.url
	}
	finalize := doc.str(doc.member(r, "finalize"))
	o.URL = cmp.Or(s.orderURL(o.URL, finalize), orderOfFinalize(finalize))
	if o.ID = o.URL; o.ID == "" && s.order != nil {
		o.ID = s.order.ID
	}
	o.ID = cmp.Or(o.ID, s.at.String())
	s.order = &Order{ID: o.ID, URL: o.URL, Identifiers: o.Identifiers}
	s.emit(Event{Kind: OrderSeen, Order: o})
}

// orderIn returns the order object r (RFC 8555 §7.1.3), without its URL.
func orderIn(s *stream, doc *literal, r ref) *Order {
	o := &Order{Status: doc.str(doc.member(r, "status")), Problem: problemIn(doc, doc.member(r, "error"))}
	o.Expires, _ = time.Parse(time.RFC3339, doc.str(doc.member(r, "expires")))
	for id := range doc.elements(doc.member(r, "identifiers")) {
		o.Identifiers = append(o.Identifiers, identifierIn(doc, id))
	}
	for url := range doc.elements(doc.member(r, "authorizations")) {
		if u := s.element(doc.bytes(url)); u != "" {
			o.Authorizations = append(o.Authorizations, u)
		}
	}
	return o
}

// identifierIn returns the identifier object r.
func identifierIn(doc *literal, r ref) Identifier {
	return Identifier{Type: doc.str(doc.member(r, "type")), Value: strings.ToLower(doc.str(doc.member(r, "value")))}
}

// tellAuthorization tells of the authorization r, which has the given URL.
func (s *stream) tellAuthorization(r ref, url string) {
	a := s.authorizationIn(&s.doc, r, url)
	kind := AuthorizationSeen
	if a.Status == "deactivated" && s.deactivating() {
		kind = AuthorizationDeactivated
	}
	s.emit(Event{Kind: kind, Authorization: a})
	s.tellProcessing(r, a)
}

// tellProcessing tells of the challenge that is being validated: the client has answered it.
func (s *stream) tellProcessing(r ref, a *Authorization) {
	doc := &s.doc
	if a.Status != "pending" {
		return
	}
	for c := range doc.elements(doc.member(r, "challenges")) {
		if doc.str(doc.member(c, "status")) == "processing" {
			s.emit(Event{
				Kind:          ChallengeAnswered,
				Challenge:     &Challenge{URL: doc.str(doc.member(c, "url")), Type: doc.str(doc.member(c, "type")), Status: "processing"},
				Authorization: &Authorization{URL: a.URL, Identifier: a.Identifier, Wildcard: a.Wildcard},
			})
		}
	}
}

// authorizationIn returns the authorization object r (RFC 8555 §7.1.4), which has the given URL; if that is empty, it is
// worked out from its challenges where those tell it.
func (s *stream) authorizationIn(doc *literal, r ref, url string) *Authorization {
	a := &Authorization{
		URL:        url,
		Identifier: identifierIn(doc, doc.member(r, "identifier")),
		Wildcard:   doc.truth(doc.member(r, "wildcard")),
		Status:     doc.str(doc.member(r, "status")),
	}
	if rest, ok := strings.CutPrefix(a.Identifier.Value, "*."); ok {
		a.Identifier.Value, a.Wildcard = rest, true
	}
	a.Expires, _ = time.Parse(time.RFC3339, doc.str(doc.member(r, "expires")))
	for c := range doc.elements(doc.member(r, "challenges")) {
		u := doc.bytes(doc.member(c, "url"))
		if a.URL == "" {
			a.URL = s.authorization(u)
		}
		if a.URL != "" && (s.keepAll || !s.tells(u, a.URL)) {
			s.challenges.put(u, a.URL)
		}
		if p := problemIn(doc, doc.member(c, "error")); p != nil {
			a.Problem = p
		}
	}
	return a
}

// tellProblem tells of the problem r, which the CA answered with.
func (s *stream) tellProblem(r ref) {
	x, doc := &s.exchange, &s.doc
	p := problemIn(doc, r)
	if p == nil {
		p = new(Problem)
	}
	if x.status > 0 {
		p.Status = x.status
	}
	p.RetryAfter, p.URL = x.retryAfter, x.url
	e := Event{Kind: ProblemSeen, Problem: p}
	if url := s.authorization([]byte(x.url)); url != "" && x.method == http.MethodPost {
		e.Authorization = &Authorization{URL: url}
		if p.Detail == "Expired authorization" {
			e.Authorization.Status = "expired"
		}
	}
	if !isNewOrder(x.url) {
		e.Order = s.orderID()
	}
	s.emit(e)
}

// problemIn returns the problem document r (RFC 7807), nil if it is none.
func problemIn(doc *literal, r ref) *Problem {
	if !doc.isObject(r) {
		return nil
	}
	p := &Problem{Type: clip(doc.str(doc.member(r, "type")), maxDetail), Detail: clip(doc.str(doc.member(r, "detail")), maxDetail)}
	if n, ok := doc.num(doc.member(r, "status")); ok && n > 0 && n < 1000 {
		p.Status = int(n)
	}
	return p
}

// isNewOrder reports whether url looks like that of a directory's newOrder: a problem there is about no order.
func isNewOrder(url string) bool {
	url = strings.ToLower(url)
	return strings.HasSuffix(url, "neworder") || strings.HasSuffix(url, "new-order") || strings.HasSuffix(url, "order-plz")
}
