package logparse

import (
	"bytes"
	"net/http"
	"strings"
)

// getssl writes to standard output, without time but for the Date of answers; and at -d each request and its answer, with a
// blank line before every message:
//
//	Registering account
//	Verify each domain
//	url https://ca.example/acme/new-order
//	using KID=https://ca.example/acme/acct/1
//	payload = {"identifiers": …}
//	responseHeaders HTTP/1.1 201 Created
//	Date: …
//	response { the body, in one line }
//	code 201
//	Verifying a.example
//	a.example is already validated
//	sending request to ACME server saying we're ready for challenge
//	Verified a.example
//	a.example:Verify error:    "detail": "no such name",
//	Requesting certificate
//	certificate obtained for a.example
//	getssl: ACME server returned error: 429:    "detail": "too many",
//
// The last is how it ends with an error, whatever that is. Without -d names are all that is known. After a challenge that failed
// it makes another order, up to three.
//
// From the source of version 2.51; no recorded log.
type getssl struct {
	traced  bool // requests and answers are logged
	url     string
	headers bool   // those of an answer follow
	name    string // the one that is being verified
	pending bool   // its authorization is, which has been told
	failed  bool   // a challenge did: what follows is about another order
}

func startsGetssl(line []byte) bool {
	switch {
	case len(line) < len("getssl: "):
		return false
	case string(line) == "Verify each domain", string(line) == "KID is blank, so using jwk",
		string(line) == "sending request to ACME server saying we're ready for challenge":
		return true
	}
	return bytes.HasPrefix(line, []byte("getssl: ")) || bytes.HasPrefix(line, []byte("using KID=http"))
}

func (p *getssl) line(s *stream, text []byte) bool {
	if p.headers {
		p.header(s, text)
		return true
	}
	if string(text) == "Registering account" {
		s.clock.restart()
		s.startRunUnlessFresh()
		*p = getssl{}
	}
	s.startFirstRun()
	if p.trace(s, text) || p.message(s, string(text)) {
		s.mark(text)
	}
	return true // hooks write what they like
}

// header reads a header of an answer, or the blank line that ends them. There may be those of an interim answer first.
func (p *getssl) header(s *stream, text []byte) {
	if rest, ok := cutPrefix(text, "HTTP/"); ok {
		_, rest, _ = bytes.Cut(rest, []byte{' '})
		status, _, _ := bytes.Cut(rest, []byte{' '})
		if code, ok := digits(status); ok {
			s.response(code)
		}
		return
	}
	if bytes.HasPrefix(text, []byte("response ")) {
		p.headers = false
		p.trace(s, text)
		return
	}
	if bytes.HasPrefix(text, []byte("code ")) || bytes.HasPrefix(text, []byte("getssl: ")) {
		p.headers = false
		p.line(s, text)
		return
	}
	s.header(text)
}

// trace reads a line about a request. It reports false if it is none.
func (p *getssl) trace(s *stream, text []byte) bool {
	if rest, ok := cutPrefix(text, "url "); ok && isURL(string(rest)) && len(rest) <= maxURL {
		p.url = string(rest)
	} else if rest, ok := cutPrefix(text, "using KID="); ok {
		s.account = clip(string(rest), maxURL)
	} else if rest, ok := cutPrefix(text, "payload = "); ok && p.url != "" {
		p.traced = true
		s.signing(rest)
		s.request(http.MethodPost, []byte(p.url))
	} else if rest, ok := cutPrefix(text, "responseHeaders "); ok {
		p.headers, s.open = true, true
		p.header(s, rest)
		return true
	} else if rest, ok := cutPrefix(text, "response {"); ok {
		s.body(text[len(text)-len(rest)-1:])
	} else if bytes.HasPrefix(text, []byte("code ")) {
		s.noBody()
	} else if _, rest, ok := strings.Cut(string(text), "lready registered account, AccountId="); ok {
		s.account = clip(rest, maxURL)
	} else {
		return false
	}
	s.open = false
	return true
}

// message reads a message that is not about a request. It reports false if it is none that is known.
func (p *getssl) message(s *stream, text string) bool {
	if message, ok := strings.CutPrefix(text, "getssl: "); ok {
		p.exit(s, message)
		return true
	}
	if name, ok := strings.CutPrefix(text, "certificate obtained for "); ok && name != "" {
		s.endRun("", "")
		return true
	}
	if p.traced {
		return p.follow(text)
	}
	return p.step(s, text)
}

// follow notes the name that is being verified.
func (p *getssl) follow(text string) bool {
	name, ok := strings.CutPrefix(text, "Verifying ")
	if ok = ok && !strings.Contains(name, " "); ok {
		p.name, p.pending = clip(name, maxDetail), false
	}
	return ok
}

// pend tells that the authorization at hand is pending.
func (p *getssl) pend(s *stream) {
	if !p.pending && !p.traced && p.name != "" {
		p.pending = true
		s.sawName(p.name, "pending", nil)
	}
}

// step reads a message where requests are not logged.
func (p *getssl) step(s *stream, text string) bool {
	name, detail, failed := strings.Cut(text, ":Verify error:")
	verified, ok := strings.CutPrefix(text, "Verified ")
	valid, ok2 := strings.CutSuffix(text, " is already validated")
	switch {
	case p.follow(text):
		if s.order == nil || p.failed {
			s.startOrder()
			p.failed = false
		}
		s.sawName(p.name, "", nil)
	case failed:
		p.failed = true
		s.sawName(name, "invalid", &Problem{Detail: getsslDetail(detail)})
	case ok:
		s.sawName(clip(verified, maxDetail), "valid", nil)
	case ok2 && !strings.Contains(valid, " "):
		s.sawName(clip(valid, maxDetail), "valid", nil)
	case text == "sending request to ACME server saying we're ready for challenge" && p.name != "":
		p.pend(s)
		s.answeredName(p.name)
	case strings.HasPrefix(text, "copying challenge token to "):
		p.pend(s)
	case text == "Verification completed, obtaining certificate.":
		s.endOrder("ready")
	case text == "Requesting certificate":
		s.endOrder("valid")
	default:
		return false
	}
	return true
}

// getsslDetail returns the detail in a line of a problem.
func getsslDetail(text string) string {
	_, rest, ok := strings.Cut(text, `"detail"`)
	if _, rest, ok2 := strings.Cut(rest, `"`); ok && ok2 {
		if detail := quoted([]byte(rest)); detail != nil {
			return clip(string(detail), maxDetail)
		}
	}
	return clip(strings.TrimSpace(text), maxDetail)
}

// exit reads the error that ends getssl.
func (p *getssl) exit(s *stream, message string) {
	if s.run.ended { // nothing else is logged with -q
		s.startRun("", "")
		*p = getssl{}
	}
	if cause := getsslCause(message); cause == CauseNetwork {
		s.fail(cause, message, "")
	} else if cause != "" {
		p.pend(s)
		s.fail(cause, message, p.name)
	} else if !p.traced {
		p.refused(s, message)
	}
	s.endRun("error", message)
}

func getsslCause(message string) Cause {
	switch {
	case strings.HasPrefix(message, "for some reason could not reach "), strings.HasPrefix(message, `checking "`) && strings.Contains(message, `" gave "`):
		return CauseCheck
	case strings.HasPrefix(message, "DNS_ADD_COMMAND failed for domain "):
		return CauseDNS
	case strings.HasPrefix(message, `ERROR curl "`):
		return CauseNetwork
	}
	return ""
}

// refused reads what the CA refused: "ACME server returned error: 429:    "detail": "too many",", or
// "a.example:Challenge error: 400:Detail: …".
func (p *getssl) refused(s *stream, message string) {
	for _, start := range []string{"ACME server returned error: ", ":Challenge error: "} {
		_, rest, ok := strings.Cut(message, start)
		status, detail, ok2 := strings.Cut(rest, ":")
		code, ok3 := digits([]byte(status))
		if ok && ok2 && ok3 {
			detail = strings.TrimPrefix(detail, "Detail: ")
			s.emit(Event{Kind: ProblemSeen, Problem: &Problem{Status: code, Detail: getsslDetail(detail)}, Order: s.orderID()})
			return
		}
	}
}
