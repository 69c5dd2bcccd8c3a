package logparse

import (
	"path"
	"slices"
	"strings"
	"time"
)

// acmeShRuns are the runs in a log. The stream is in one of them, the current; the others may go on or have been killed,
// nobody can tell, so that they are left when the log ends. What comes next belongs to the current run unless its names or
// URLs say otherwise.
type acmeShRuns struct {
	runs    []*acmeShRun // the newest last
	current *acmeShRun
	owners  map[string]*acmeShRun // by URL of an authorization or order
}

// An acmeShRun is one run, and what the stream knows in it.
type acmeShRun struct {
	run     run
	order   *Order
	account string

	started time.Time
	names   []string // of the certificate; for a renewal of all, of all
	main    string   // the first of them
	cron    bool
	traced  bool // requests and answers are logged
	using   bool // it said which CA it uses
}

const (
	maxAcmeShRuns   = 16
	maxAcmeShOwners = 8192

	// acmeShStart is how long a process takes at most from its first line to the one that has its names.
	acmeShStart = 10 * time.Second
)

// start starts a run in the line at hand, and keeps the current one.
func (p *acmeSh) start(s *stream, command string) {
	p.keep(s)
	if p.current != nil {
		s.run = run{}
	}
	s.clock.restart()
	s.startRun("", command)
	if len(p.runs) >= maxAcmeShRuns {
		p.leave(s, p.runs[0])
		p.runs = slices.Delete(p.runs, 0, 1)
	}
	p.current = &acmeShRun{run: s.run, started: p.when, cron: command == "cron"}
	p.runs = append(p.runs, p.current)
}

// begin starts a run if there is none: the log starts within it.
func (p *acmeSh) begin(s *stream) {
	if p.current == nil {
		p.start(s, "")
	}
}

// command reads what the run is for, of the first one that has not said so.
func (p *acmeSh) command(s *stream, command string) {
	r := p.young(s, func(r *acmeShRun) bool { return r.run.command == "" })
	if r == nil {
		p.start(s, "")
		r = p.current
	}
	p.use(s, r)
	s.run.command = clip(command, maxText)
	r.cron = command == "cron" || command == "renewAll"
}

// using notes that a run uses a CA: with neither --debug nor a log, that is the first message of each.
func (p *acmeSh) using(s *stream) {
	for _, r := range p.runs {
		if !p.ended(s, r) && (r.cron || !r.using) {
			r.using = true
			return
		}
	}
	p.start(s, "")
	p.current.using = true
}

// tracing reports whether the current run logs requests and answers.
func (p *acmeSh) tracing() bool { return p.current != nil && p.current.traced }

// ended reports whether a run wrote an end.
func (p *acmeSh) ended(s *stream, r *acmeShRun) bool {
	if r == p.current {
		return s.run.ended
	}
	return r.run.ended
}

// young returns the first of the runs that have just started and are like that, nil if there is none.
func (p *acmeSh) young(s *stream, like func(*acmeShRun) bool) *acmeShRun {
	p.keep(s)
	for _, r := range p.runs {
		if !p.ended(s, r) && p.when.Sub(r.started) <= acmeShStart && like(r) {
			return r
		}
	}
	return nil
}

// keep stores what the stream knows in the current run.
func (p *acmeSh) keep(s *stream) {
	if p.current != nil {
		p.current.run, p.current.order, p.current.account = s.run, s.order, s.account
		p.current.run.lastText = slices.Clone(s.run.lastText)
	}
}

// use makes r the current run, unless it is nil.
func (p *acmeSh) use(s *stream, r *acmeShRun) {
	if r == nil || r == p.current {
		return
	}
	p.keep(s)
	s.run, s.order, s.account = r.run, r.order, r.account
	p.current = r
}

// leave tells that nothing more is known of a run that is not the current one.
func (p *acmeSh) leave(s *stream, r *acmeShRun) {
	if r == p.current {
		return
	}
	current := p.current
	p.use(s, r)
	s.leaveRun()
	s.run.ended = true
	p.use(s, current)
	for url, owner := range p.owners {
		if owner == r {
			delete(p.owners, url)
		}
	}
}

// leaveAll leaves all but the current run.
func (p *acmeSh) leaveAll(s *stream) {
	for _, r := range p.runs {
		p.leave(s, r)
	}
	p.runs = slices.DeleteFunc(p.runs, func(r *acmeShRun) bool { return r != p.current })
}

// domains reads _main_domain and _alt_domains, which follow the start of a run.
func (p *acmeSh) domains(s *stream, variable, value string) {
	if value == "no" || value == "" {
		return
	}
	names := strings.Split(strings.ToLower(value), ",")
	if variable == "_main_domain" {
		p.use(s, p.young(s, func(r *acmeShRun) bool { return r.main == "" && !r.cron && r.orders() }))
	}
	p.begin(s)
	if variable == "_main_domain" {
		p.current.main = names[0]
	}
	if len(p.current.names) < maxHandled {
		p.current.names = append(p.current.names, names...)
	}
}

// orders reports whether the command makes one order.
func (r *acmeShRun) orders() bool {
	return r.run.command == "" || r.run.command == "issue" || r.run.command == "renew" || r.run.command == "signcsr"
}

// named returns the newest run with that name that has not ended, nil if there is none.
func (p *acmeSh) named(s *stream, name string) *acmeShRun {
	name = strings.ToLower(name)
	for _, r := range slices.Backward(p.runs) {
		if !p.ended(s, r) && slices.Contains(r.names, name) {
			return r
		}
	}
	return nil
}

// owner returns the run that works on an authorization, one of its challenges, or an order; nil if that is not known.
func (p *acmeSh) owner(s *stream, url string) *acmeShRun {
	if r := p.owners[url]; r != nil {
		return r
	}
	return p.owners[s.authorizationOfChallenge(url, "")]
}

// own notes which run works on an authorization or order.
func (p *acmeSh) own(url string, r *acmeShRun) {
	if url == "" || len(url) > maxURL || r == nil {
		return
	}
	if p.owners == nil || len(p.owners) >= maxAcmeShOwners {
		p.owners = make(map[string]*acmeShRun)
	}
	p.owners[url] = r
}

// belongs returns the run that the answer root to a request for url belongs to, nil if that is not known.
func (p *acmeSh) belongs(s *stream, root ref, url string) *acmeShRun {
	doc := &s.doc
	if ids := doc.member(root, "identifiers"); doc.isArray(ids) {
		if r := p.owners[doc.str(doc.member(root, "finalize"))]; r != nil {
			return r
		}
		return p.ordering(s, ids)
	}
	if r := p.owner(s, url); r != nil {
		return r
	}
	if id := doc.member(root, "identifier"); doc.isObject(id) {
		return p.named(s, doc.str(doc.member(id, "value")))
	}
	return p.owner(s, doc.str(doc.member(root, "url")))
}

// ordering returns the newest run with all those identifiers that has not ended.
func (p *acmeSh) ordering(s *stream, ids ref) *acmeShRun {
	for _, r := range slices.Backward(p.runs) {
		all := !p.ended(s, r)
		for id := range s.doc.elements(ids) {
			all = all && slices.Contains(r.names, strings.ToLower(s.doc.str(s.doc.member(id, "value"))))
		}
		if all && len(r.names) > 0 {
			return r
		}
	}
	return nil
}

// owns notes what an answer says that the current run works on.
func (p *acmeSh) owns(s *stream, text []byte) {
	if s.doc.parse(text) == 0 {
		return
	}
	doc, root := &s.doc, s.doc.root()
	if !doc.isArray(doc.member(root, "authorizations")) {
		return
	}
	for url := range doc.elements(doc.member(root, "authorizations")) {
		p.own(doc.str(url), p.current)
	}
	p.own(doc.str(doc.member(root, "finalize")), p.current)
	p.own(doc.str(doc.member(root, "certificate")), p.current)
	if s.order != nil {
		p.own(s.order.URL, p.current)
	}
}

// certified reads the file that a certificate is in, which is named after the run's first name, and ends that run.
func (p *acmeSh) certified(s *stream, file string) {
	main := strings.TrimSuffix(path.Base(file), ".cer")
	for _, r := range slices.Backward(p.runs) {
		if r.main == main && !p.ended(s, r) {
			p.use(s, r)
			break
		}
	}
	if !p.tracing() {
		s.endOrder("valid")
	}
	if p.current == nil || !p.current.cron {
		s.endRun("", "")
	}
}

// given reads _chk_vlist, the authorizations of a run that gave up.
func (p *acmeSh) given(s *stream, list string) {
	name, _, _ := strings.Cut(list, "#")
	p.use(s, p.named(s, name))
	p.gaveUp(s)
}

// gaveUp ends the current run with the error that it told last.
func (p *acmeSh) gaveUp(s *stream) {
	if s.run.ended || p.current == nil || p.current.cron {
		return
	}
	s.endRun("error", p.wrong)
	p.wrong = ""
}

// alive counts the runs that have not ended.
func (p *acmeSh) alive(s *stream) (n int) {
	for _, r := range p.runs {
		if r != p.current && !r.run.ended || r == p.current && !s.run.ended {
			n++
		}
	}
	return n
}

// from is where the oldest run that has not ended starts.
func (p *acmeSh) from(s *stream, at Place) Place {
	for _, r := range p.runs {
		if !p.ended(s, r) || r == p.current {
			return r.run.place
		}
	}
	return at
}
