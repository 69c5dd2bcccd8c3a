package logparse

import (
	"bytes"
	"net/http"
	"strings"
	"time"
)

// Ansible shows what a module returns at -v in one line, and with more v over several:
//
//	ansible-playbook [core 2.19.0]
//	PLAY [web] *****
//	TASK [order] *****
//	changed: [web01 -> localhost] => {"account_uri": "https://ca.example/acct/1", "authorizations": {"a.example": {…, "uri": "https://ca.example/authz/1"}}, "order_uri": …}
//	fatal: [web01]: FAILED! => {
//	    "msg": "Failed to validate challenge for dns:a.example: Status is \"invalid\".…",
//	    "other": {"authorization": {…}, "identifier": "dns:a.example"}
//	}
//	PLAY RECAP *****
//	web01    : ok=3    changed=1    unreachable=0    failed=1    skipped=0
//
// Those of the modules acme_certificate and acme_certificate_order_… of community.crypto have authorizations as the CA gave
// them, each with its URL as "uri". A log (log_path) has a time and the process in front of the first line of each record; the
// callback profile_tasks writes the time of each task.
//
// Most of what Ansible does has nothing to do with ACME: a run is one only when a result is about that.
//
// From the source of version 3.2.2, and of Ansible's default callback; no recorded log. Results as YAML are not read.
type ansible struct {
	body   []byte
	at     Place
	step   []byte // the line before the result
	failed bool   // the result is a failure
	inside bool   // the result goes on
	recap  bool   // the play is over
	began  ansibleStart
	told   bool // the run is one of the stream
	end    delayedEnd
}

// An ansibleStart is the first line of ansible-playbook.
type ansibleStart struct {
	at      Place
	when    instant
	version string
}

// ansibleResults are the starts of lines with a result.
var ansibleResults = []string{"changed: [", "ok: [", "fatal: [", "failed: ["}

func startsAnsible(line []byte) bool {
	_, _, line = ansibleLog(line)
	if bytes.HasSuffix(line, []byte("***")) && (bytes.HasPrefix(line, []byte("PLAY [")) || bytes.HasPrefix(line, []byte("TASK ["))) {
		return true
	}
	result, _ := ansibleResult(line)
	return result != nil || bytes.HasPrefix(line, []byte("ansible-playbook [core "))
}

// ansibleResult returns the result in a line, from the brace on, and whether it is a failure.
func ansibleResult(line []byte) (result []byte, failed bool) {
	for _, start := range ansibleResults {
		rest, ok := cutPrefix(line, start)
		if !ok {
			continue
		}
		arrow := []byte(" => {")
		if bytes.Contains(rest[:min(len(rest), 256)], []byte("(item=")) {
			arrow = []byte(") => {")
		}
		if i := bytes.Index(rest, arrow); i >= 0 {
			return rest[i+len(arrow)-1:], start[0] == 'f'
		}
	}
	return nil, false
}

// ansibleLog splits "2026-11-23 21:18:41,123 p=42 u=root n=ansible INFO| message".
func ansibleLog(line []byte) (t time.Time, pid int, message []byte) {
	const layout = "0000-00-00 00:00:00,000"
	if len(line) < len(layout)+len(" p=1 ") || string(line[len(layout):len(layout)+3]) != " p=" {
		return t, 0, line
	}
	t, ok := stamp(line, layout)
	process, rest, found := bytes.Cut(line[len(layout)+3:], []byte{' '})
	_, message, found2 := bytes.Cut(rest[:len(rest):len(rest)], []byte("| "))
	pid, numeric := digits(process)
	if !ok || !found || !found2 || !numeric {
		return time.Time{}, 0, line
	}
	return t, pid, message
}

func (p *ansible) line(s *stream, text []byte) bool {
	t, pid, text := ansibleLog(text)
	if pid > 0 {
		s.clock.setLocal(t)
	}
	if len(s.sightings) > 0 && p.began.at.Line > 0 {
		p.run(s)
	}
	if p.inside && pid == 0 {
		p.more(s, text)
		return true
	}
	p.close(s)
	if result, failed := ansibleResult(text); result != nil {
		p.again(s)
		p.at, p.failed, p.body = s.at, failed, append(p.body[:0], result...)
		p.inside = len(result) == 1                                                // it goes on, as "{" alone
		p.step = append(p.step[:0], text[:min(len(text)-len(result), maxMark)]...) // what a module returns may be anything
		if s.open = p.inside; !p.inside {
			p.close(s)
		}
		if p.told {
			s.mark(p.step)
		}
		return true
	}
	return p.progress(s, text)
}

// more adds a line to a result, which ends with a brace.
func (p *ansible) more(s *stream, text []byte) {
	if len(p.body)+len(text) < maxRecord {
		p.body = append(append(p.body, '\n'), text...)
	}
	if len(text) == 1 && text[0] == '}' {
		p.close(s)
	}
}

// close reads the result that is held.
func (p *ansible) close(s *stream) {
	if len(p.body) > 0 && s.doc.parse(p.body) > 0 {
		at := s.at
		s.at = p.at
		p.result(s)
		s.at = at
	}
	p.body, p.inside, s.open = p.body[:0], false, false
}

// begin notes that ansible-playbook starts in the line at hand.
func (p *ansible) begin(s *stream, version string) {
	p.end.tell(s)
	p.began, p.recap, p.told = ansibleStart{s.at, s.clock.instant(), clip(version, maxDetail)}, false, false
}

// again does so if the plays before are over, or this is the first line.
func (p *ansible) again(s *stream) {
	if p.recap || p.began.at.Line == 0 {
		p.begin(s, "")
	}
}

// run starts the run, which something is told of.
func (p *ansible) run(s *stream) {
	if p.told {
		return
	}
	p.told = true
	at, when := s.at, s.clock.instant()
	s.at = p.began.at
	s.clock.recall(p.began.when)
	s.startRun(p.began.version, "")
	s.clock.recall(when)
	if s.at = at; p.inside {
		s.at = p.at
	}
	s.mark(p.step)
	s.at = at
}

// ansibleLines are the starts of other lines that Ansible writes.
var ansibleLines = []string{
	"TASK [", "RUNNING HANDLER [", "skipping: [", "included: ", "...ignoring", "[WARNING]: ", "[DEPRECATION WARNING]: ", "META: ", "task path: ", "Using module file ",
	"Pipelining is enabled", "The full traceback is:", "  File \"", "    ", "<", "FAILED - RETRYING: ", "changed: [", "ok: [", "fatal: [", "failed: [", "PLAYBOOK: ",
	"Using /", "  config file = ", "  python version = ", "  configured module search path", "  ansible ", "  executable location", "  jinja version",
}

// progress reads a line that is no result.
func (p *ansible) progress(s *stream, text []byte) bool {
	switch {
	case bytes.HasPrefix(text, []byte("ansible-playbook [core ")):
		version, _, _ := strings.Cut(string(text[len("ansible-playbook [core "):]), "]")
		p.begin(s, version)
	case bytes.HasPrefix(text, []byte("PLAY RECAP ")):
		if p.recap = true; p.told {
			p.end.set(s, "", "")
		}
	case bytes.HasPrefix(text, []byte("PLAY [")):
		p.again(s)
	case p.recap && bytes.Contains(text, []byte(" : ok=")):
		p.host(s, text)
	case ansibleTime(s, text), len(text) == 0:
	case isAnsible(text):
		if p.told && bytes.HasPrefix(text, []byte("TASK [")) {
			s.mark(text)
		}
	default:
		return false
	}
	return true
}

func isAnsible(text []byte) bool {
	for _, l := range ansibleLines {
		if bytes.HasPrefix(text, []byte(l)) {
			return true
		}
	}
	return false
}

// host reads "web01 : ok=3 changed=1 unreachable=0 failed=1": one host that failed makes the run fail.
func (p *ansible) host(s *stream, text []byte) {
	if !p.told {
		return
	}
	for _, field := range strings.Fields(string(text)) {
		name, n, _ := strings.Cut(field, "=")
		if (name == "failed" || name == "unreachable") && n != "0" && p.end.exit == "" {
			p.end.set(s, "error", string(text))
		}
	}
}

// ansibleTime reads "Monday 23 November 2026  21:18:41 +0100 (0:00:00.415)       0:00:47.767 ****".
func ansibleTime(s *stream, text []byte) bool {
	if !bytes.HasSuffix(text, []byte("**")) && !bytes.HasSuffix(text, []byte("==")) {
		return false
	}
	date, _, ok := bytes.Cut(text[:min(len(text), 80)], []byte(" ("))
	if !ok {
		return false
	}
	t, err := time.Parse("Monday 02 January 2006 15:04:05 -0700", strings.Join(strings.Fields(string(date)), " "))
	if err != nil {
		return false
	}
	s.clock.set(t)
	return true
}

// result reads what a module returned, in s.doc.
func (p *ansible) result(s *stream) {
	doc, r := &s.doc, s.doc.root()
	authorizations := doc.member(r, "authorizations")
	if !doc.isObject(authorizations) {
		authorizations = doc.member(r, "authorizations_by_identifier")
	}
	answered := doc.member(r, "validating_challenges")
	other := doc.member(r, "other")
	switch {
	case p.failed && doc.isObject(other):
		p.failure(s, doc.str(doc.member(r, "msg")), other)
	case p.failed:
	case isURL(doc.str(doc.member(r, "account_uri"))) && (isURL(doc.str(doc.member(r, "order_uri"))) || doc.isArray(answered)),
		hasAuthorizations(doc, authorizations):
		p.run(s)
		p.account(s, r)
		p.order(s, r, authorizations)
		p.answered(s, answered)
	}
}

// hasAuthorizations reports whether the values in r are authorizations (RFC 8555 §7.1.4).
func hasAuthorizations(doc *literal, r ref) bool {
	for _, v := range doc.members(r) {
		return doc.isObject(doc.member(v, "identifier"))
	}
	return false
}

// account takes the URL of the account.
func (p *ansible) account(s *stream, r ref) {
	if url := s.doc.str(s.doc.member(r, "account_uri")); isURL(url) && len(url) <= maxURL {
		s.account = url
	}
}

// order tells of an order and its authorizations. Their names are the keys.
func (p *ansible) order(s *stream, r, authorizations ref) {
	doc := &s.doc
	var o Order
	if given := doc.member(r, "order"); doc.isObject(given) {
		o = *orderIn(s, doc, given)
	}
	var all []*Authorization
	for _, v := range doc.members(authorizations) {
		a := s.authorizationIn(doc, v, s.element(doc.bytes(doc.member(v, "uri"))))
		if a.Identifier.Value != "" {
			all = append(all, a)
		}
	}
	url := doc.str(doc.member(r, "order_uri"))
	if isURL(url) && len(url) <= maxURL {
		o.ID, o.URL = url, url
		o.add(all)
		s.emit(Event{Kind: OrderSeen, Order: &o})
		s.order = &Order{ID: url, URL: url}
	}
	for _, a := range all {
		a.Order = o.ID
		s.emit(Event{Kind: AuthorizationSeen, Authorization: a})
	}
}

// add adds the names and URLs of authorizations to an order, unless it has some.
func (o *Order) add(all []*Authorization) {
	names, urls := len(o.Identifiers) == 0, len(o.Authorizations) == 0
	for _, a := range all {
		id := a.Identifier
		if a.Wildcard {
			id.Value = "*." + id.Value
		}
		if names {
			o.Identifiers = append(o.Identifiers, id)
		}
		if urls && a.URL != "" {
			o.Authorizations = append(o.Authorizations, a.URL)
		}
	}
}

// answered tells of the challenges that acme_certificate_order_validate answered.
func (p *ansible) answered(s *stream, all ref) {
	doc := &s.doc
	for c := range doc.elements(all) {
		a := &Authorization{
			URL:        s.element(doc.bytes(doc.member(c, "authz_url"))),
			Identifier: Identifier{Type: doc.str(doc.member(c, "identifier_type")), Value: strings.ToLower(doc.str(doc.member(c, "identifier")))},
		}
		a.Identifier.Value, a.Wildcard = strings.CutPrefix(a.Identifier.Value, "*.")
		s.emit(Event{Kind: ChallengeAnswered, Authorization: a, Challenge: &Challenge{
			URL: doc.str(doc.member(c, "challenge_url")), Type: doc.str(doc.member(c, "challenge_type")),
		}})
	}
}

// failure reads why a module failed; other is what it says besides.
func (p *ansible) failure(s *stream, message string, other ref) {
	doc := &s.doc
	url, authorization := doc.str(doc.member(other, "http_url")), doc.member(other, "authorization")
	code, _ := doc.num(doc.member(other, "http_status"))
	switch {
	case doc.isObject(doc.member(authorization, "identifier")):
		p.run(s)
		p.invalid(s, message, authorization)
	case isURL(url) && code < 0:
		p.run(s)
		s.fail(CauseNetwork, message, "")
	case isURL(url) && code >= http.StatusBadRequest && code < 1000:
		p.run(s)
		p.problem(s, url, int(code), doc.member(other, "problem"))
	case strings.HasPrefix(message, "Found no challenge of type "):
		p.run(s)
		s.fail(CauseCheck, message, "")
	}
}

// invalid tells of an authorization that is not valid. That it has just become so tells that its challenge was answered.
func (p *ansible) invalid(s *stream, message string, r ref) {
	doc := &s.doc
	a := s.authorizationIn(doc, r, s.element(doc.bytes(doc.member(r, "uri"))))
	for c := range doc.elements(doc.member(r, "challenges")) {
		if status := doc.str(doc.member(c, "status")); status == "invalid" && strings.Contains(message, `: Status is "invalid".`) {
			s.emit(Event{
				Kind:          ChallengeAnswered,
				Challenge:     &Challenge{URL: doc.str(doc.member(c, "url")), Type: doc.str(doc.member(c, "type")), Status: status},
				Authorization: &Authorization{URL: a.URL, Identifier: a.Identifier, Wildcard: a.Wildcard},
			})
		}
	}
	s.emit(Event{Kind: AuthorizationSeen, Authorization: a})
}

// problem tells of an error of the CA.
func (p *ansible) problem(s *stream, url string, code int, r ref) {
	problem := problemIn(&s.doc, r)
	if problem == nil {
		problem = new(Problem)
	}
	problem.Status, problem.URL = code, clip(url, maxURL)
	e := Event{Kind: ProblemSeen, Problem: problem}
	if a := s.authorization([]byte(url)); a != "" {
		e.Authorization = &Authorization{URL: a}
	} else if !isNewOrder(url) {
		e.Order = s.orderID()
	}
	s.emit(e)
}

func (p *ansible) finish(s *stream) {
	p.close(s)
	p.end.tell(s)
}
