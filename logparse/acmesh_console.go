package logparse

import "strings"

// What acme.sh says without --debug, to which the log adds the rest:
//
//	[Mon Nov 23 21:19:50 UTC 2026] Using CA: https://ca.example/directory
//	[Mon Nov 23 21:19:51 UTC 2026] Multi domain='DNS:a.example,DNS:b.example'
//	[Mon Nov 23 21:19:52 UTC 2026] Getting webroot for domain='a.example'
//	[Mon Nov 23 21:19:53 UTC 2026] a.example is already verified, skipping http-01.
//	[Mon Nov 23 21:19:53 UTC 2026] Verifying: b.example
//	[Mon Nov 23 21:19:53 UTC 2026] Processing. The CA is processing your order, please wait. (1/30)
//	[Mon Nov 23 21:19:56 UTC 2026] Success
//	[Mon Nov 23 21:20:10 UTC 2026] b.example: Invalid status. Verification error details: …
//	[Mon Nov 23 21:19:58 UTC 2026] Verification finished, beginning signing.
//	[Mon Nov 23 21:20:02 UTC 2026] Cert success.
//	[Mon Nov 23 21:20:10 UTC 2026] Please add '--debug' or '--log' to see more information.
//
// A renewal of all is between "===Starting cron===" and "===End cron===".
type acmeShConsole struct {
	names     []string // of the certificate to order
	ordered   bool
	verifying string // the name
	answered  bool   // its challenge is
	wrong     string // the last error
}

// message reads a line without a value.
func (p *acmeSh) message(s *stream, text string) {
	switch {
	case strings.HasPrefix(text, "Running cmd: "):
		p.command(s, text[len("Running cmd: "):])
	case text == "===Starting cron===":
		if p.current == nil || !p.current.cron || s.run.ended {
			p.start(s, "cron")
		}
	case text == "===End cron===":
		s.endRun("", "")
	case strings.HasPrefix(text, "Using CA: "):
		p.using(s)
	case text == "HEAD", text == "GET":
		p.push(s, acmeShRequest{plain: true})
	case strings.HasPrefix(text, "Your cert is in: "):
		p.certified(s, text[len("Your cert is in: "):])
	case text == "_on_issue_err", strings.HasPrefix(text, "Please check log file for more details"), strings.HasPrefix(text, "Please add '--debug' or '--log'"):
		if p.alive(s) == 1 {
			p.gaveUp(s)
		}
	case strings.HasPrefix(text, "Skipping. Next renewal time is: "), strings.HasPrefix(text, "Skip, Next renewal time is: "):
		if p.current != nil && !p.current.cron && p.alive(s) == 1 {
			s.endRun("", "")
		}
	default:
		p.progress(s, text)
	}
}

// progress reads how it goes with a name.
func (p *acmeSh) progress(s *stream, text string) {
	switch {
	case strings.HasPrefix(text, "Verifying: "), strings.HasPrefix(text, "Verifying:"):
		p.verifying, p.answered = strings.TrimSpace(text[len("Verifying:"):]), false
		p.use(s, p.named(s, p.verifying))
	case strings.HasPrefix(text, "Processing. The CA is"), strings.HasPrefix(text, "Pending. The CA is"), strings.HasPrefix(text, "Pending, The CA is"):
		p.answering(s, p.verifying)
	case text == "Success" && !p.tracing() && p.verifying != "":
		p.answering(s, p.verifying)
		s.sawName(p.verifying, "valid", nil)
	case strings.Contains(text, " is already verified, skip"):
		if name, _, _ := strings.Cut(text, " "); !p.tracing() {
			s.sawName(name, "valid", nil)
		}
	case strings.HasPrefix(text, "Verification finished, beginning signing") && !p.tracing():
		s.endOrder("ready")
	case strings.HasPrefix(text, "Multi domain='"), strings.HasPrefix(text, "Single domain='"):
		_, list, _ := strings.Cut(text, "='")
		list = strings.ReplaceAll(strings.ReplaceAll(strings.TrimSuffix(list, "'"), "DNS:", ""), "IP:", "")
		p.names, p.ordered = strings.Split(list, ","), false
	case strings.HasPrefix(text, "Getting webroot for domain='"):
		p.got(s, strings.TrimSuffix(text[len("Getting webroot for domain='"):], "'"))
	default:
		p.failed(s, text)
	}
}

// got notes that all authorizations of an order were read, and this one chosen a challenge of.
func (p *acmeSh) got(s *stream, name string) {
	p.use(s, p.named(s, name))
	if p.tracing() {
		return
	}
	if !p.ordered {
		p.ordered = true
		s.startOrder(p.names...)
		if p.current != nil && p.current.main == "" && len(p.names) > 0 {
			p.current.main, p.current.names = p.names[0], p.names
		}
	}
	s.sawName(name, "pending", nil)
}

// answering tells once that a challenge was answered.
func (p *acmeSh) answering(s *stream, name string) {
	if p.tracing() || p.answered || name == "" {
		return
	}
	p.answered = true
	s.emit(Event{Kind: ChallengeAnswered, Challenge: new(Challenge), Authorization: s.named(name, "")})
}

// acmeShCauses are the causes of failures by what the messages have in them; the name follows the last colon of those with
// the mark.
var acmeShCauses = []struct {
	text  string
	cause Cause
	named bool
}{
	{"Error adding TXT record to domain", CauseDNS, true},
	{"Error add txt for domain", CauseDNS, true},
	{"Cannot find DNS API hook for", CauseDNS, true},
	{"Can not find dns api hook for", CauseDNS, true},
	{"Error loading DNS API file", CauseDNS, false},
	{"It seems that your api file is not correct", CauseDNS, false},
	{"Timed out waiting for DNS", CauseCheck, false},
	{"Cannot get domain token", CauseCheck, false},
	{"can not get domain token", CauseCheck, false},
	{": Cannot write token to file", CauseCheck, false},
	{" is already used by ", CauseCheck, false},
	{"running pre hook", CauseHook, false},
	{"when run pre hook", CauseHook, false},
}

// failed reads an error.
func (p *acmeSh) failed(s *stream, text string) {
	for _, word := range []string{": Invalid status", ":Verify error:"} {
		if name, detail, ok := strings.Cut(text, word); ok && !strings.Contains(name, " ") {
			p.invalid(s, name, text, detail)
			return
		}
	}
	if strings.HasPrefix(text, "Running ") {
		return
	}
	if strings.HasPrefix(text, "Please refer to https://curl.haxx.se/libcurl/c/libcurl-errors.html for error code") {
		if !strings.Contains(p.last, "/.well-known/acme-challenge/") {
			s.fail(CauseNetwork, text, "")
		}
		return
	}
	for _, c := range acmeShCauses {
		if !strings.Contains(text, c.text) {
			continue
		}
		name := ""
		if c.named {
			name = strings.TrimPrefix(strings.TrimSpace(text[strings.LastIndexByte(text, ':')+1:]), "_acme-challenge.")
		}
		p.wrong = text
		p.use(s, p.named(s, name))
		s.fail(c.cause, text, name)
		return
	}
}

// invalid tells of an authorization that failed.
func (p *acmeSh) invalid(s *stream, name, text, detail string) {
	p.wrong = text
	p.use(s, p.named(s, name))
	if p.tracing() {
		return
	}
	p.answering(s, name)
	_, more, ok := strings.Cut(detail, ": ")
	if !ok {
		more = detail
	}
	s.sawName(name, "invalid", &Problem{Detail: clip(more, maxDetail)})
}
