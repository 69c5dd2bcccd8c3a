package logparse

import (
	"bytes"
	"encoding/base64"
	"net/http"
	"strings"
	"time"
)

// acme.sh 2.8 to 3.1 writes to standard output, and to acme.sh.log with --log. Before each message is what date prints:
//
//	[Mon Nov 23 21:07:36 UTC 2026] Running cmd: issue
//	[Mon Nov 23 21:07:36 UTC 2026] _main_domain='a.example'
//	[Mon Nov 23 21:07:36 UTC 2026] _alt_domains='b.example,*.c.example'
//	[Mon Nov 23 21:07:36 UTC 2026] body='{"protected": "eyJub25jZSI6…", "payload": "e30", "signature": "…"}'
//	[Mon Nov 23 21:07:36 UTC 2026] responseHeaders='HTTP/2 201
//	location: https://ca.example/acme/order/1/2
//	…
//	'
//	[Mon Nov 23 21:07:36 UTC 2026] code='201'
//	[Mon Nov 23 21:07:36 UTC 2026] original='{
//	  the body as the CA wrote it
//	}'
//	[Mon Nov 23 21:07:36 UTC 2026] dvlist='a.example#<key authorization>#<challenge>#http-01#/var/www#<authorization>'
//	[Mon Nov 23 21:07:36 UTC 2026] Your cert is in: /root/.acme.sh/a.example_ecc/a.example.cer
//
// Without --debug the console has the names only (acmesh_console.go). A log may be that of several processes at once, whose
// lines do not tell them apart, and which read each other's http.header. So a body is taken for the answer to the request
// that was under way, with those headers, only if there was no other; else by what it says itself: a challenge names
// itself and its authorization, an authorization its challenges, an order its URL to finalize. The names tell the run.
//
// "start to deactivate authz" is no deactivation: it answers each challenge, so that the CA decides on it.
type acmeSh struct {
	stamp []byte // the last one, and what it means
	when  time.Time
	local bool

	// A value that goes on over several lines.
	value string
	at    Place
	text  []byte

	headers  []byte // of the last answer
	code     int
	requests []acmeShRequest // that are under way
	last     string          // URL of the last request
	asked    bool            // there was a request

	acmeShRuns
	acmeShConsole
}

// An acmeShRequest is a request without an answer so far.
type acmeShRequest struct {
	at      Place
	when    instant
	url     string // empty for one that is not signed
	nonce   string
	payload []byte
	alone   bool // no other was under way at the same time
	plain   bool // HEAD or GET
}

const (
	maxAcmeShRequests = 64
	acmeShPatience    = 10 * time.Minute // after which a request is taken to have got no answer
)

// acmeShStarts are messages that tell acme.sh from others that write such a stamp.
var acmeShStarts = []string{
	"Using CA: ", "Running cmd: ", "=======Sending Signed Request", "===Starting cron===", "_authz_url='", "_post_url='", "dvlist='", "vlist='",
	"Verifying: ", "Le_LinkOrder='", "Le_OrderFinalize='", "Let's finalize the order", "Multi domain='DNS:", "Single domain='",
	"Getting webroot for domain='", "ACME_DIRECTORY='", "LE_WORKING_DIR='", "_CURL='curl ", "Your cert is in: ", "responseHeaders='HTTP/",
	"Registering account: ", "_selectServer try snames=", "Account key creation OK.", "Let's find script dir", "Let's find the script dir", "Lets find script dir", "Creating domain key", "Getting domain auth token for each domain",
}

func startsAcmeSh(line []byte) bool {
	stamp, message, ok := acmeShLine(line)
	if !ok {
		return false
	}
	for _, start := range acmeShStarts {
		if bytes.HasPrefix(message, []byte(start)) {
			_, _, ok := acmeShTime(stamp)
			return ok
		}
	}
	return false
}

// acmeShLine splits a line into the stamp and the message.
func acmeShLine(line []byte) (stamp, message []byte, ok bool) {
	const shortest, longest = len("[Mon Nov 3 21:07:36 2026]"), 60
	if len(line) < shortest || line[0] != '[' {
		return nil, nil, false
	}
	n := bytes.IndexByte(line[:min(len(line), longest)], ']')
	if n < 0 || n+1 < len(line) && line[n+1] != ' ' {
		return nil, nil, false
	}
	return line[1:n], line[min(n+2, len(line)):], true
}

// acmeShTime reads what date printed, in any order. The time is zero if the month is not in English; it is local unless
// the zone is UTC or a number.
func acmeShTime(stamp []byte) (t time.Time, local, ok bool) {
	var year, day, hour int
	var month time.Month
	var clock time.Time
	zone := (*time.Location)(nil)
	for word := range strings.FieldsSeq(string(stamp)) {
		n, isNumber := digits([]byte(strings.TrimRight(word, ".,")))
		switch {
		case strings.Count(word, ":") == 2:
			c, err := time.Parse("15:04:05", word)
			if clock = c; err != nil {
				return time.Time{}, false, false
			}
		case isNumber && len(word) == 4:
			year = n
		case isNumber && n <= 31:
			day = n
		case word == "PM" && clock.Hour() < 12:
			hour = 12
		case word == "AM" && clock.Hour() == 12:
			hour = -12
		case word == "UTC", word == "GMT", word == "Z":
			zone = time.UTC
		case len(word) == 5 && (word[0] == '+' || word[0] == '-'):
			if z, err := time.Parse("-0700", word); err == nil {
				zone = z.Location()
			}
		case month == 0:
			month = monthNamed(word)
		}
	}
	if year == 0 || day == 0 || clock.IsZero() {
		return time.Time{}, false, false
	}
	if month == 0 {
		return time.Time{}, false, true
	}
	if local = zone == nil; local {
		zone = time.UTC
	}
	return time.Date(year, month, day, clock.Hour()+hour, clock.Minute(), clock.Second(), 0, zone), local, true
}

// monthNamed returns the month whose English name starts like word, 0 if none does.
func monthNamed(word string) time.Month {
	for m := time.January; m <= time.December; m++ {
		if len(word) >= 3 && strings.HasPrefix(m.String(), word) {
			return m
		}
	}
	return 0
}

func (p *acmeSh) line(s *stream, text []byte) bool {
	s.keepAll = true // entry asks which are known
	stamp, message, ok := acmeShLine(text)
	if ok && !bytes.Equal(stamp, p.stamp) {
		if p.when, p.local, ok = acmeShTime(stamp); ok {
			p.stamp = append(p.stamp[:0], stamp...)
		}
	}
	if !ok {
		p.more(s, text)
		return true
	}
	p.close(s)
	switch {
	case p.when.IsZero():
	case p.local:
		s.clock.setLocal(p.when)
	default:
		s.clock.set(p.when)
	}
	if _, again, ok := acmeShLine(message); ok { // two processes wrote at once
		message = again
	}
	if name, value, ok := bytes.Cut(message, []byte("='")); ok && bytes.IndexByte(name, ' ') < 0 {
		p.variable(s, string(name), value)
	} else {
		p.message(s, string(message))
	}
	s.mark(message)
	return true
}

// more reads a line that continues a value, or one of another program.
func (p *acmeSh) more(s *stream, text []byte) {
	if p.value != "" && len(p.text)+len(text) < maxRecord {
		p.text = append(append(p.text, text...), '\n')
	}
}

// variable reads "name='value'", whose value may go on.
func (p *acmeSh) variable(s *stream, name string, value []byte) {
	short, whole := bytes.CutSuffix(value, []byte{'\''})
	switch name {
	case "original", "responseHeaders":
		p.value, p.at, s.open = name, s.at, true
		p.text = append(append(p.text[:0], value...), '\n')
		if whole {
			p.close(s)
		}
	case "body":
		p.posting(s, value)
	case "code":
		p.code, _ = digits(short)
	case "url", "_post_url":
		p.last = string(short)
	case "ret", "nonce":
		p.pop(func(r *acmeShRequest) bool { return r.plain })
	case "_ret":
		if string(short) != "0" {
			p.pop(func(r *acmeShRequest) bool { return !r.plain })
		}
	case "LE_WORKING_DIR":
		p.start(s, "")
	case "_main_domain", "_alt_domains":
		p.domains(s, name, string(short))
	case "dvlist":
		p.entry(s, strings.Split(string(short), "#"))
	case "_chk_vlist":
		p.given(s, string(short))
	case "_accUri", "ACCOUNT_URL":
		s.account = string(short)
	}
}

// close ends a value.
func (p *acmeSh) close(s *stream) {
	value := p.value
	if value == "" {
		return
	}
	p.value = ""
	text := bytes.TrimSuffix(bytes.TrimSpace(p.text), []byte{'\''})
	if value == "responseHeaders" {
		p.received(s, text)
	} else {
		at := s.at
		s.at = p.at
		p.answer(s, text)
		s.at = at
	}
	s.open = false
}

// received keeps the headers of an answer: the last of several, of which some are another's.
func (p *acmeSh) received(s *stream, text []byte) {
	if i := bytes.LastIndex(text, []byte("\nHTTP/")); i >= 0 {
		text = text[i+1:]
	}
	p.headers = append(p.headers[:0], text...)
	for line := range bytes.Lines(text) {
		if bytes.HasPrefix(line, []byte("date:")) || bytes.HasPrefix(line, []byte("Date:")) {
			s.header(bytes.TrimSpace(line))
		}
	}
}

// posting reads the body of a signed request, which tells its URL, the account and what was signed.
func (p *acmeSh) posting(s *stream, text []byte) {
	if s.doc.parse(text) == 0 {
		return
	}
	root := s.doc.root()
	payload, _ := base64.RawURLEncoding.DecodeString(strings.TrimRight(s.doc.str(s.doc.member(root, "payload")), "="))
	protected, _ := base64.RawURLEncoding.DecodeString(strings.TrimRight(s.doc.str(s.doc.member(root, "protected")), "="))
	kid, known := kidOf(protected)
	if s.doc.parse(protected) == 0 {
		return
	}
	root = s.doc.root()
	r := acmeShRequest{at: s.at, url: clip(s.doc.str(s.doc.member(root, "url")), maxURL), nonce: clip(s.doc.str(s.doc.member(root, "nonce")), maxURL), payload: payload}
	p.use(s, p.owner(s, r.url))
	p.begin(s)
	if known {
		s.account = kid
	}
	p.current.traced, p.asked, p.last = true, true, r.url
	p.push(s, r)
}

// push notes that a request is under way.
func (p *acmeSh) push(s *stream, r acmeShRequest) {
	r.when = s.clock.instant()
	for len(p.requests) > 0 && (len(p.requests) >= maxAcmeShRequests || p.when.Sub(p.requests[0].when.wall) > acmeShPatience) {
		p.unanswered(s, p.requests[0])
		p.requests = p.requests[1:]
	}
	r.alone = len(p.requests) == 0
	for i := range p.requests {
		p.requests[i].alone = false
	}
	p.requests = append(p.requests, r)
}

// pop removes the first request that is like that, and reports whether there is one.
func (p *acmeSh) pop(like func(*acmeShRequest) bool) (acmeShRequest, bool) {
	for i, r := range p.requests {
		if like(&r) {
			p.requests = append(p.requests[:i:i], p.requests[i+1:]...)
			return r, true
		}
	}
	return acmeShRequest{}, false
}

// unanswered tells of a request that got no answer.
func (p *acmeSh) unanswered(s *stream, r acmeShRequest) {
	if r.plain {
		return
	}
	at, now := s.at, s.clock.instant()
	s.at = r.at
	s.clock.recall(r.when)
	p.use(s, p.owner(s, r.url))
	s.signing(r.payload)
	s.request(http.MethodPost, []byte(r.url))
	s.exchange.abandon(s)
	s.at = at
	s.clock.recall(now)
}

// answer reads the body of an answer, or one that is logged again.
func (p *acmeSh) answer(s *stream, text []byte) {
	var root ref
	if s.doc.parse(text) > 0 {
		root = s.doc.root()
	}
	r, m := p.match(s, root)
	if m == acmeShAgain && p.asked || m != acmeShCertain && (root == 0 || r.url == "") {
		return
	}
	p.use(s, p.belongs(s, root, r.url))
	s.signing(r.payload)
	s.request(http.MethodPost, []byte(r.url))
	if m == acmeShCertain {
		s.response(p.code)
		for line := range bytes.Lines(p.headers) {
			s.header(bytes.TrimSpace(line))
		}
	} else if finalize := s.doc.str(s.doc.member(root, "finalize")); finalize != "" {
		s.exchange.url = ""
		s.exchange.location = s.orderURL(orderOfFinalize(finalize), finalize)
		s.order = &Order{ID: finalize}
	}
	s.body(text)
	p.owns(s, text)
}

// An acmeShMatch says how a body was found to belong to a request.
type acmeShMatch uint8

const (
	acmeShAgain   acmeShMatch = iota // it does not: it is logged once more
	acmeShLikely                     // by what it says
	acmeShCertain                    // it is the only one, so that the headers are its own, too
)

// match returns the request that root answers. If that is not certain, the URL is that of the authorization or challenge;
// it is empty if nobody can tell.
func (p *acmeSh) match(s *stream, root ref) (acmeShRequest, acmeShMatch) {
	if len(p.requests) == 1 && p.requests[0].alone && !p.requests[0].plain && p.fits(s, root, p.requests[0].url) {
		r := p.requests[0]
		p.requests = p.requests[:0]
		return r, acmeShCertain
	}
	url, doc := "", &s.doc
	like := func(r *acmeShRequest) bool { return r.url == url }
	switch {
	case doc.isArray(doc.member(root, "authorizations")):
		url = doc.str(doc.member(root, "finalize"))
		order := s.orderURL(orderOfFinalize(url), url)
		like = func(r *acmeShRequest) bool { return r.url == url || r.url == order || isNewOrder(r.url) }
	case doc.isObject(doc.member(root, "identifier")):
		url = p.asksFor(s, root)
		like = func(r *acmeShRequest) bool { return s.element([]byte(r.url)) == url }
	case doc.str(doc.member(root, "token")) != "":
		url = doc.str(doc.member(root, "url"))
	default:
		detail := doc.str(doc.member(root, "detail"))
		like = func(r *acmeShRequest) bool { return r.nonce != "" && strings.Contains(detail, r.nonce) }
	}
	if r, ok := p.pop(func(r *acmeShRequest) bool { return !r.plain && like(r) }); ok {
		return r, acmeShLikely
	}
	return acmeShRequest{url: url}, acmeShAgain
}

// fits reports whether root may be the answer to a request for url.
func (p *acmeSh) fits(s *stream, root ref, url string) bool {
	doc := &s.doc
	switch {
	case doc.isArray(doc.member(root, "authorizations")):
		return !s.known.hasString(s.authorizationOfChallenge(url, ""))
	case doc.isObject(doc.member(root, "identifier")):
		known := p.challenged(s, root)
		return !isNewOrder(url) && (known == "" || known == s.element([]byte(url)))
	case doc.str(doc.member(root, "token")) != "":
		return doc.str(doc.member(root, "url")) == url
	}
	return true
}

// challenged returns the URL of the authorization root as its challenges tell, "" if they do not.
func (p *acmeSh) challenged(s *stream, root ref) string {
	for c := range s.doc.elements(s.doc.member(root, "challenges")) {
		if url := s.authorizationOfChallenge(s.doc.str(s.doc.member(c, "url")), ""); url != "" {
			return url
		}
	}
	return ""
}

// asksFor returns the URL of the authorization root: as its challenges tell, or because only one authorization is asked
// for. It is empty if nobody can tell.
func (p *acmeSh) asksFor(s *stream, root ref) string {
	if url := p.challenged(s, root); url != "" {
		return url
	}
	url := ""
	for i := range p.requests {
		r := &p.requests[i]
		u := s.element([]byte(r.url))
		if r.plain || isNewOrder(r.url) || !s.known.hasString(u) {
			continue
		}
		if url != "" {
			return ""
		}
		url = u
	}
	return url
}

// orderOfFinalize returns the URL of the order that is finalized there, where CAs are known to make one of the other; ""
// if not.
func orderOfFinalize(finalize string) string {
	if url, ok := strings.CutSuffix(finalize, "/finalize"); ok {
		return url
	}
	for _, f := range [][2]string{{"/acme/finalize/", "/acme/order/"}, {"/finalize-order/", "/my-order/"}} {
		if before, after, ok := strings.Cut(finalize, f[0]); ok {
			return before + f[1] + after
		}
	}
	return ""
}

// entry reads "name#key authorization#challenge#type#webroot#authorization", which pairs them for certain.
func (p *acmeSh) entry(s *stream, fields []string) {
	if len(fields) != 6 {
		return
	}
	p.use(s, p.named(s, fields[0]))
	url := s.element([]byte(fields[5]))
	if known, _ := s.challenges.get([]byte(fields[2])); url == "" || known == url {
		return
	}
	s.challenges.put([]byte(fields[2]), url)
	p.own(url, p.current)
	a := s.named(fields[0], "pending")
	if a.URL = url; fields[1] == "verified_ok" {
		a.Status = "valid"
	}
	s.emit(Event{Kind: AuthorizationSeen, Authorization: a})
}

func (p *acmeSh) finish(s *stream) {
	p.close(s)
	for _, r := range p.requests {
		p.unanswered(s, r)
	}
	p.requests = nil
	p.leaveAll(s)
}
