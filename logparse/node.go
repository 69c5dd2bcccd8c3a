package logparse

import (
	"bytes"
	"net/http"
	"strings"
)

// The package acme-client of Node.js writes nothing unless the application gives it a logger; then, without times,
//
//	[auto] Placing new certificate order with ACME provider
//	HTTP request: post https://ca.example/acme/authz/1/2
//	RESP 200 post https://ca.example/acme/authz/1/2
//	[auto] Placed certificate order successfully, received 2 identity authorizations
//	[auto] [a.example] Found 3 challenges, selected type: http-01
//	RESP 200 post https://ca.example/acme/chall/1/2/x
//	Item has status: valid
//
// Requests run in parallel, and bodies are not logged: a status is that of the answer right before. What an authorization
// is for cannot be told, only which names an order has.
type nodeACME struct {
	answer   string          // the URL that the line before was an answer from
	fetched  []string        // authorizations asked for since the order was placed
	placing  bool            // the order's URL is not known yet
	answered map[string]bool // challenges
}

var nodeMarks = []string{"HTTP request: ", "RESP ", "[auto] ", "Item has status: ", "Using nonce: ", "Waiting for valid status from: ",
	"Refreshing ACME directory", "Promise rejected attempt", "Account already exists (HTTP ", "Existing account found"}

func startsNode(line []byte) bool {
	return bytes.HasPrefix(line, []byte("[auto] ")) || bytes.HasPrefix(line, []byte("Refreshing ACME directory")) ||
		bytes.HasPrefix(line, []byte("HTTP request: post http")) || bytes.HasPrefix(line, []byte("HTTP request: get http"))
}

func (p *nodeACME) line(s *stream, text []byte) bool {
	last := p.answer
	p.answer = ""
	for _, m := range nodeMarks {
		if bytes.HasPrefix(text, []byte(m)) {
			s.startFirstRun()
			p.read(s, string(text), last)
			s.mark(text)
			return true
		}
	}
	if rest, ok := cutPrefix(text, "Error: "); ok {
		p.failed(s, string(rest))
	}
	return true // what the application writes
}

// read reads a line; last is the URL that the line before was an answer from.
func (p *nodeACME) read(s *stream, text, last string) {
	switch {
	case strings.HasPrefix(text, "[auto] Checking account"):
		s.startRunUnlessFresh()
	case strings.HasPrefix(text, "[auto] Placing new certificate order"):
		p.placing, p.fetched, s.order = true, nil, nil
	case strings.HasPrefix(text, "[auto] Placed certificate order successfully"):
		p.placed(s)
	case strings.HasPrefix(text, "[auto] ["):
		name, rest, _ := strings.Cut(text[len("[auto] ["):], "] ")
		if strings.HasPrefix(rest, "Found ") && s.order != nil {
			s.sawName(name, "", nil)
		} else if strings.Contains(rest, "challengeCreateFn threw error") || strings.Contains(rest, "Failed to create") {
			s.fail(CauseHook, rest, name)
		}
	case strings.HasPrefix(text, "RESP "):
		p.response(s, text)
	case strings.HasPrefix(text, "Item has status: "):
		p.status(s, strings.TrimPrefix(text, "Item has status: "), last)
	}
}

// response reads "RESP 200 post URL".
func (p *nodeACME) response(s *stream, text string) {
	fields := strings.Fields(text)
	if len(fields) != 4 || !strings.EqualFold(fields[2], http.MethodPost) || len(fields[3]) > maxURL {
		return
	}
	code, ok := digits([]byte(fields[1]))
	if !ok {
		return
	}
	p.answer = strings.Clone(fields[3])
	url := s.authorization([]byte(fields[3]))
	switch {
	case code >= http.StatusBadRequest:
		s.emit(Event{Kind: ProblemSeen, Problem: &Problem{Status: code, URL: p.answer}, Order: s.orderID()})
	case url == "":
	case isChallenge(p.answer):
		p.challenge(s, url)
	case p.placing && len(p.fetched) < maxLoose:
		p.fetched = append(p.fetched, url)
		s.emit(Event{Kind: AuthorizationSeen, Authorization: &Authorization{URL: url}})
	}
}

// challenge reads the answer from a challenge: the first one is to the client's.
func (p *nodeACME) challenge(s *stream, url string) {
	if p.answered[p.answer] {
		return
	}
	if p.answered == nil || len(p.answered) >= maxIndex {
		p.answered = make(map[string]bool)
	}
	p.answered[p.answer] = true
	s.emit(Event{Kind: ChallengeAnswered, Challenge: &Challenge{URL: p.answer}, Authorization: &Authorization{URL: url}})
}

// placed reads that the order has been placed, and its authorizations were asked for.
func (p *nodeACME) placed(s *stream) {
	p.placing = false
	s.order = &Order{ID: s.at.String()}
	s.emit(Event{Kind: OrderSeen, Order: &Order{ID: s.order.ID, Status: "pending", Authorizations: p.fetched}})
	p.fetched = nil
}

// status reads the status of what the line before was the answer about.
func (p *nodeACME) status(s *stream, status, url string) {
	switch {
	case url == "":
	case isChallenge(url):
		if status == "valid" || status == "invalid" {
			s.sawURL(AuthorizationSeen, []byte(url), status)
		}
	case strings.Contains(url, "order") && s.order != nil:
		s.order.URL = url
		s.emit(Event{Kind: OrderSeen, Order: &Order{ID: s.order.ID, URL: url, Status: clip(status, maxDetail)}})
	case s.authorization([]byte(url)) != "":
		s.sawURL(AuthorizationSeen, []byte(url), status)
	}
}

// failed reads the error that ended the application, or an order in it.
func (p *nodeACME) failed(s *stream, message string) {
	for _, m := range []string{"ECONNREFUSED", "ETIMEDOUT", "ENOTFOUND", "ECONNRESET", "socket hang up", "timeout of "} {
		if strings.Contains(message, m) {
			s.fail(CauseNetwork, message, "")
			break
		}
	}
	if strings.Contains(message, "Challenge verification failed") || strings.Contains(message, "not found at key") || strings.Contains(message, "Authorization not found in") {
		s.fail(CauseCheck, message, "")
	}
	s.endRun("error", message)
}
