package logparse

import (
	"bytes"
	"slices"
	"strings"
)

// Certbot's console, where letsencrypt.log is not at hand (cron's mail, the journal), has no time and few names:
//
//	Saving debug log to /var/log/letsencrypt/letsencrypt.log
//	Requesting a certificate for a.example and b.example
//	Requesting a certificate for a.example and 4 more domains
//	Renewing an existing certificate for a.example
//	Certbot failed to authenticate some domains (authenticator: webroot). The Certificate Authority reported these problems:
//	  Domain: b.example
//	  Type:   connection
//	  Detail: Get "http://b.example:80/…
//	Successfully received certificate.
//	Some challenges have failed.
//
// Errors are on another stream than the rest, so that they may come before what they are about; before Certbot 1.14 names
// were given one by one: "http-01 challenge for a.example", "Challenge failed for domain b.example".
type certbotConsole struct {
	names      []string // of the order, as far as they are told
	failed     []string // those whose challenges failed
	problem    Problem
	name       string // the one that the problem is about
	unexpected bool   // the next line says what happened
	end        delayedEnd
}

func startsCertbotConsole(line []byte) bool {
	return bytes.HasPrefix(line, []byte("Saving debug log to ")) && bytes.HasSuffix(line, []byte(".log")) ||
		bytes.HasPrefix(line, []byte("Certbot failed to authenticate some domains ")) ||
		bytes.HasPrefix(line, []byte("Challenge failed for domain "))
}

func (p *certbotConsole) line(s *stream, line []byte) bool {
	text := string(line[:min(len(line), maxText)])
	if rest, ok := strings.CutPrefix(text, "  Domain: "); ok {
		p.tell(s)
		p.name = rest
		return true
	}
	if p.name != "" && p.member(text) {
		return true
	}
	p.tell(s)
	p.message(s, text)
	if text != "" && !strings.HasPrefix(text, "- - -") {
		s.mark(line)
	}
	return true
}

// member reads what the CA said of a name.
func (p *certbotConsole) member(text string) bool {
	if kind, ok := strings.CutPrefix(text, "  Type:   "); ok {
		p.problem.Type = clip("urn:ietf:params:acme:error:"+kind, maxDetail)
		return true
	}
	if detail, ok := strings.CutPrefix(text, "  Detail: "); ok {
		p.problem.Detail = clip(detail, maxDetail)
		return true
	}
	return false
}

// tell tells of a name whose challenge failed.
func (p *certbotConsole) tell(s *stream) {
	if p.name == "" {
		return
	}
	problem := p.problem
	p.fail(s, p.name, &problem)
	p.name, p.problem = "", Problem{}
}

// fail tells of a name whose challenge failed, and why if that is known.
func (p *certbotConsole) fail(s *stream, name string, problem *Problem) {
	if len(p.failed) < maxHandled {
		p.failed = append(p.failed, name)
	}
	s.sawName(name, "invalid", problem)
}

// succeed tells that there is a certificate. If names failed, it is from another order for the rest of them
// (--allow-subset-of-names), which is not told.
func (p *certbotConsole) succeed(s *stream) {
	if len(p.failed) > 0 {
		s.startOrder(slices.DeleteFunc(slices.Clone(p.names), func(n string) bool { return slices.Contains(p.failed, n) })...)
	}
	s.endOrder("valid")
	p.end.set(s, "", "")
}

func (p *certbotConsole) message(s *stream, text string) {
	if p.unexpected && text != "" {
		p.unexpected = false
		p.end.set(s, "error", text)
		p.raised(s, text)
		return
	}
	switch {
	case strings.HasPrefix(text, "Saving debug log to "):
		p.end.tell(s)
		s.clock.restart()
		s.startRun("", "")
		*p = certbotConsole{}
	case strings.HasPrefix(text, "Requesting a certificate for "), strings.HasPrefix(text, "Renewing an existing certificate for "):
		_, list, _ := strings.Cut(text, " certificate for ")
		p.order(s, list)
	case strings.Contains(text, "-01 challenge for "):
		_, name, _ := strings.Cut(text, "-01 challenge for ")
		p.challenge(s, name)
	case strings.HasPrefix(text, "Challenge failed for domain "):
		p.fail(s, text[len("Challenge failed for domain "):], nil)
	case strings.HasPrefix(text, "Successfully received certificate"), strings.HasPrefix(text, "Congratulations! Your certificate and chain"):
		p.succeed(s)
	case text == "Some challenges have failed.", strings.HasPrefix(text, "An unexpected error occurred:"):
		p.end.set(s, "error", text)
		p.unexpected = text != "Some challenges have failed."
	case strings.HasPrefix(text, "Hook '--manual-auth-hook' for ") && strings.Contains(text, "error code"):
		name, _ := between([]byte(text), " for ", " ")
		s.fail(CauseHook, text, string(name))
	}
}

// raised reads "acme.messages.Error: urn:ietf:params:acme:error:rateLimited :: What that means :: What is wrong".
func (p *certbotConsole) raised(s *stream, text string) {
	_, problem, ok := strings.Cut(text, "urn:ietf:params:acme:error:")
	if !ok {
		if cause := pythonCause(text); cause != "" {
			s.fail(cause, text, "")
		}
		return
	}
	kind, rest, _ := strings.Cut(problem, " :: ")
	if _, detail, ok := strings.Cut(rest, " :: "); ok {
		rest = detail
	}
	s.emit(Event{Kind: ProblemSeen, Problem: &Problem{Type: clip("urn:ietf:params:acme:error:"+kind, maxDetail), Detail: clip(rest, maxDetail)}})
}

// order reads "a", "a and b" or "a and 4 more domains".
func (p *certbotConsole) order(s *stream, list string) {
	names := strings.Split(list, " and ")
	if strings.HasSuffix(list, " more domains") {
		names = names[:1]
	}
	p.names, p.failed = names, nil
	s.startOrder(names...)
}

// challenge reads the name of "http-01 challenge for a.example", one after the other.
func (p *certbotConsole) challenge(s *stream, name string) {
	if s.order == nil {
		s.startOrder()
	}
	s.sawName(name, "pending", nil)
}

func (p *certbotConsole) finish(s *stream) {
	p.tell(s)
	p.end.tell(s)
}
