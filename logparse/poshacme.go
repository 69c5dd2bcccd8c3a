package logparse

import (
	"bytes"
	"net/http"
	"slices"
	"strings"
)

// Posh-ACME, a module of PowerShell, writes to the streams that -Verbose and -Debug show, without time:
//
//	VERBOSE: Using ACME Server https://ca.example/directory
//	VERBOSE: Creating a new order 'a.example' for a.example, b.example
//	DEBUG: ACME Header:
//	{ the protected header, as JSON }
//	DEBUG: ACME Payload:
//	{ what is signed }, or "(empty)" in the line before
//	DEBUG: POST https://ca.example/acme/new-order
//	{"payload":"…","protected":"…","signature":"…"}
//	DEBUG: ACME Response (application/json):
//	{ the body as the CA wrote it }
//	DEBUG: Updated nonce: …
//	DEBUG: Adding location https://ca.example/acme/order/1/2
//	DEBUG: Response Code 429, Body:
//	{ a problem }
//	VERBOSE: Publishing challenge for Domain a.example with Token … using Plugin Route53, DnsAlias '', and DnsVariant 'dns-01'.
//	VERBOSE: Requesting challenge validations
//	VERBOSE: Finalizing the order.
//	VERBOSE: Downloading signed certificate
//	New-PACertificate: Authorization invalid for a.example: what the CA said
//
// Without -Debug names are all that is known. The name to publish a challenge for has no "*.". An error that ends a command is
// written in several ways: behind the command's name, in a frame, or alone.
//
// From the source of versions 4.0.0 and 4.32.0, and for the trace of requests 3.20.0; no recorded log.
type poshACME struct {
	part   poshPart
	at     Place
	body   []byte
	traced bool // requests and answers are logged

	names      []string // of the order that is made
	published  []string // those whose challenges were published since
	publishing string   // the one whose challenge is being published
	plugin     string
	revoking   string // announced
	revokingAt Place
	end        delayedEnd
}

// A poshPart is what the lines that follow are.
type poshPart uint8

const (
	poshLines poshPart = iota
	poshIgnored
	poshHeader
	poshPayload
	poshRequest
	poshBody
	poshOrder // a body whose order's URL is in the next lines
)

// poshStarts are the starts of lines that only Posh-ACME writes.
var poshStarts = []string{
	"DEBUG: ACME Response", "DEBUG: ACME Header:", "DEBUG: ACME Payload:", "DEBUG: ACME Error Body:", "DEBUG: Updated nonce: ", "DEBUG: Refreshing order '",
	"VERBOSE: Using ACME Server http", "VERBOSE: Publishing challenge for Domain ", "VERBOSE: Requesting challenge validation",
	"VERBOSE: Creating a new order '", "VERBOSE: Renewing certificate for order '",
}

func startsPoshACME(line []byte) bool {
	if len(line) < len("DEBUG: ") || line[0] != 'D' && line[0] != 'V' {
		return false
	}
	for _, start := range poshStarts {
		if bytes.HasPrefix(line, []byte(start)) {
			return true
		}
	}
	return false
}

// poshMessage splits off the name of the stream.
func poshMessage(line []byte) (message []byte, ok bool) {
	for _, stream := range []string{"DEBUG: ", "VERBOSE: ", "WARNING: "} {
		if rest, ok := cutPrefix(line, stream); ok {
			return rest, true
		}
	}
	return nil, false
}

func (p *poshACME) line(s *stream, text []byte) bool {
	message, ok := poshMessage(text)
	if !ok {
		p.more(s, text)
		return true
	}
	p.close(s, message)
	p.revoked(s, true)
	if bytes.HasPrefix(message, []byte("Using ACME Server ")) {
		p.end.tell(s)
		s.startRunUnlessFresh()
		*p = poshACME{body: p.body[:0]}
	}
	s.startFirstRun()
	if !p.trace(s, message) {
		p.message(s, string(message))
	}
	s.mark(message)
	return true
}

// more reads a line that goes on, or one of an error, or anything else that the console shows.
func (p *poshACME) more(s *stream, text []byte) {
	letter := len(text) > 0 && kindOf(text[0]) != 0 // no JSON starts so
	switch {
	case p.part >= poshHeader && !letter:
		if len(p.body)+len(text) < maxRecord {
			p.body = append(append(p.body, text...), '\n')
		}
	default:
		p.close(s, text)
		p.failed(s, string(text))
	}
}

func (p *poshACME) open(s *stream, part poshPart, text []byte) {
	p.part, p.at, p.body, s.open = part, s.at, append(p.body[:0], text...), part >= poshHeader
}

// close ends the record before; the next one is at hand.
func (p *poshACME) close(s *stream, next []byte) {
	if p.part == poshOrder && bytes.HasPrefix(next, []byte("Updated nonce")) {
		return
	}
	part, at := p.part, s.at
	p.part, s.open = poshLines, false
	s.at = p.at
	switch part {
	case poshHeader:
		if kid, ok := kidOf(p.body); ok {
			s.account = kid
		}
	case poshPayload:
		s.signing(bytes.TrimSpace(p.body))
	case poshRequest:
		s.jws(p.body)
	case poshOrder:
		if url, ok := cutPrefix(next, "Adding location "); ok {
			s.header(append([]byte("Location: "), url...))
		}
		s.body(p.body)
	case poshBody:
		s.body(p.body)
	}
	s.at = at
}

// trace reads a message about a request. It reports false if it is none.
func (p *poshACME) trace(s *stream, message []byte) bool {
	message, _ = cutPrefix(message, "ACME ")
	if rest, ok := cutPrefix(message, "Header: "); ok {
		p.open(s, poshHeader, rest)
	} else if rest, ok := cutPrefix(message, "Payload: "); ok {
		if string(rest) == "(empty)" {
			rest = nil
		}
		p.open(s, poshPayload, rest)
	} else if rest, ok := cutPrefix(message, "POST http"); ok {
		p.post(s, message[len(message)-len(rest)-len("http"):])
	} else if rest, ok := cutPrefix(message, "Response Code "); ok {
		code, _, _ := bytes.Cut(rest, []byte{','})
		n, _ := digits(code)
		p.answer(s, n, nil)
	} else if rest, ok := cutPrefix(message, "Error Body: "); ok {
		p.answer(s, 0, rest)
	} else if bytes.HasPrefix(message, []byte("Response: ")) || bytes.HasPrefix(message, []byte("Response (")) {
		_, rest, _ := bytes.Cut(message, []byte{':'})
		p.answer(s, http.StatusOK, bytes.TrimSpace(rest))
	} else if bytes.HasPrefix(message, []byte("Updated nonce: ")) {
		if p.part != poshOrder && !s.exchange.answered && s.exchange.status == 0 { // an answer without a body
			s.response(http.StatusOK)
			s.noBody()
		}
	} else {
		return false
	}
	return true
}

// post reads "https://…", or "https://… with -1-byte payload".
func (p *poshACME) post(s *stream, url []byte) {
	url, _, old := bytes.Cut(url, []byte{' '})
	if len(url) > maxURL {
		return
	}
	p.traced, p.publishing = true, ""
	s.request(http.MethodPost, url)
	if !old {
		p.open(s, poshRequest, nil)
	}
}

// answer reads the start of an answer; its body goes on in the next lines.
func (p *poshACME) answer(s *stream, code int, body []byte) {
	part := poshBody
	if code == http.StatusOK && isNewOrder(s.exchange.url) {
		part = poshOrder
	}
	s.response(code)
	p.open(s, part, body)
}

// message reads a message that is not about a request.
func (p *poshACME) message(s *stream, text string) {
	switch {
	case strings.HasPrefix(text, "Creating a new order '"):
		p.end.drop()
		if _, names, ok := strings.Cut(text, "' for "); ok {
			p.names, p.published, s.order = strings.Split(clip(names, maxText), ", "), nil, nil
		}
	case strings.HasPrefix(text, "Publishing challenge for Domain "):
		p.publish(s, text[len("Publishing challenge for Domain "):])
	case strings.HasPrefix(text, "Requesting challenge validation"):
		p.requested(s)
	case strings.HasSuffix(text, " authorization is already valid") && !p.traced:
		p.begin(s)
		s.sawName(strings.TrimSuffix(text, " authorization is already valid"), "valid", nil)
	case text == "Finalizing the order." && !p.traced:
		s.endOrder("ready")
	case text == "Downloading signed certificate":
		if !p.traced {
			s.endOrder("valid")
		}
		p.end.set(s, "", "")
	case strings.HasPrefix(text, "Revoking authorization for "):
		p.revoking, p.revokingAt = clip(text[len("Revoking authorization for "):], maxDetail), s.at
	case strings.HasPrefix(text, "New order params: "), strings.HasPrefix(text, "Set order params: "):
		p.open(s, poshIgnored, nil)
	}
}

// begin starts the order that was announced, once it is known that its URL is not logged.
func (p *poshACME) begin(s *stream) {
	if s.order == nil && len(p.names) > 0 {
		s.startOrder(p.names...)
	}
}

// publish reads "a.example with Token … using Plugin Route53, DnsAlias …".
func (p *poshACME) publish(s *stream, text string) {
	name, rest, _ := strings.Cut(clip(text, maxDetail), " ")
	if wild := "*." + name; slices.Contains(p.names, wild) && !slices.Contains(p.names, name) {
		name = wild
	}
	p.publishing = name
	if _, plugin, ok := strings.Cut(rest, " using Plugin "); ok {
		p.plugin, _, _ = strings.Cut(plugin, ",")
	}
	if p.traced {
		return
	}
	p.begin(s)
	s.sawName(name, "pending", nil)
	if len(p.published) < maxHandled {
		p.published = append(p.published, name)
	}
}

// requested reads that all challenges that were published are answered now.
func (p *poshACME) requested(s *stream) {
	p.publishing = ""
	if p.traced {
		return
	}
	for _, name := range p.published {
		s.answeredName(name)
	}
	p.published = nil
}

// revoked tells of the deactivation that was announced. Requests tell by themselves.
func (p *poshACME) revoked(s *stream, accepted bool) {
	name := p.revoking
	if p.revoking = ""; name == "" || p.traced {
		return
	}
	kind := AuthorizationDeactivated
	if !accepted {
		kind = AuthorizationSeen
	}
	s.emit(Event{Kind: kind, Place: p.revokingAt, Authorization: s.named(name, "")})
}

// poshCommands are the commands behind whose names errors are written.
var poshCommands = []string{
	"New-PACertificate", "Submit-Renewal", "Submit-ChallengeValidation", "Submit-OrderFinalize", "New-PAOrder", "New-PAAccount", "Invoke-ACME",
	"Wait-AuthValidation", "Send-ChallengeAck", "Publish-Challenge", "Get-PAAuthorization", "Complete-PAOrder", "Set-PAServer",
}

// poshError returns the message of an error that ends a command.
func poshError(text string) (message string, ok bool) {
	for _, c := range poshCommands {
		if rest, found := strings.CutPrefix(text, c); found {
			rest = strings.TrimPrefix(rest, " ")
			return strings.CutPrefix(rest, ": ")
		}
	}
	text = strings.TrimLeft(text, " |")
	for _, start := range []string{"Authorization invalid for ", "Authorization for ", "Timed out waiting "} {
		if strings.HasPrefix(text, start) && !strings.Contains(text, "$(") {
			return text, true
		}
	}
	return "", false
}

// failed reads a line of an error, if it is one.
func (p *poshACME) failed(s *stream, text string) {
	if strings.HasPrefix(text, "Revoke-PAAuthorization") {
		p.revoked(s, false)
		return
	}
	message, ok := poshError(text)
	if !ok || p.end.exit != "" {
		return
	}
	s.startFirstRun()
	p.end.set(s, "error", message)
	s.mark([]byte(text))
	cause := poshCause(message)
	rest, invalid := strings.CutPrefix(message, "Authorization invalid for ")
	name, detail, ok := strings.Cut(rest, ": ")
	switch {
	case invalid && ok && !p.traced:
		s.sawName(name, "invalid", &Problem{Detail: clip(detail, maxDetail)})
	case invalid:
	case cause != "":
		s.fail(cause, message, "")
	case p.publishing != "" && (p.plugin == "WebRoot" || p.plugin == "WebSelfHost"):
		s.fail(CauseHook, message, p.publishing)
	case p.publishing != "":
		s.fail(CauseDNS, message, p.publishing)
	}
	p.publishing = ""
}

// poshCauses are the causes of failures by what errors have in them.
var poshCauses = []struct {
	text  string
	cause Cause
}{
	{"authorization contains no challenges that match", CauseCheck},
	{"No such host is known", CauseNetwork},
	{"Name or service not known", CauseNetwork},
	{"The remote name could not be resolved", CauseNetwork},
	{"Unable to connect to the remote server", CauseNetwork},
	{"The operation has timed out", CauseNetwork},
	{"HttpClient.Timeout", CauseNetwork},
	{"Connection refused", CauseNetwork},
	{"The SSL connection could not be established", CauseNetwork},
	{"An error occurred while sending the request", CauseNetwork},
}

func poshCause(message string) Cause {
	for _, c := range poshCauses {
		if strings.Contains(message, c.text) {
			return c.cause
		}
	}
	return ""
}

func (p *poshACME) finish(s *stream) {
	p.close(s, nil)
	p.revoked(s, true)
	p.end.tell(s)
}
