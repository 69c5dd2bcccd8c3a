package logparse

import (
	"bytes"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// Some clients log nothing of use, but keep their state in documents, or in the API of Kubernetes:
//
//	kubectl get orders,challenges -A -o json      cert-manager: a List of objects
//	kubectl get orders,challenges -A -o yaml
//	staging/<domain>/order.json                   mod_md
//	<server>/<account>/<order>/order.json         Posh-ACME
//
// A document is read line by line: an object of JSON is complete when its braces close, and the objects in an array "items" are read
// one by one, so that a List may be of any length. In YAML an object starts with "apiVersion:", after "- " in a List or "---".
// An object may have maxRecord bytes; what is longer is not understood. The parser is asked about any line that may start
// a document, and tells which client it is of only when it has understood an object.
//
// cert-manager's Order has the statuses of authorizations as they were at first. The Challenge has that of today, and is
// removed when the order is done: an Order that is ready or valid has valid authorizations only (RFC 8555 §7.1.6), and of one
// that is pending without Challenges the status is not known.
type document struct {
	text     []byte
	depth    int
	items    int // the depth of the objects in "items", 0 outside
	inString bool
	escaped  bool
	yaml     bool
	skip     bool // the object is too long
}

func startsDocument(line []byte) bool {
	t := bytes.TrimSpace(line)
	return string(t) == "{" || bytes.HasPrefix(t, []byte(`{"apiVersion"`)) || bytes.HasPrefix(t, []byte(`{"kind"`)) || isYAMLStart(line)
}

// isYAMLStart reports whether an object of Kubernetes starts with line.
func isYAMLStart(line []byte) bool {
	return bytes.HasPrefix(line, []byte("apiVersion: ")) || bytes.HasPrefix(line, []byte("- apiVersion: "))
}

func (d *document) line(s *stream, text []byte) bool {
	switch {
	case d.yaml, d.depth == 0 && isYAMLStart(text):
		return d.yamlLine(s, text)
	case d.depth == 0 && !startsDocument(text):
		return len(bytes.TrimSpace(text)) == 0
	}
	s.open = true
	d.json(s, text)
	if d.depth == 0 {
		s.open = false
	}
	return true
}

// json adds a line of JSON, and reads each object that it completes.
func (d *document) json(s *stream, text []byte) {
	start := 0
	for i, c := range text {
		switch {
		case d.escaped:
			d.escaped = false
		case d.inString:
			d.escaped, d.inString = c == '\\', c != '"'
		case c == '"':
			d.inString = true
		case c == '{' || c == '[':
			d.depth++
			if c == '[' && d.depth == 2 && d.endsWithItems(text[start:i]) {
				d.items, d.text, start = 3, d.text[:0], i+1
			} else if d.depth == d.items {
				d.text, start, d.skip = d.text[:0], i, false
			}
		case c == '}' || c == ']':
			d.depth--
			if d.depth == d.items-1 && d.items > 0 && c == '}' || d.depth == 0 && d.items == 0 {
				d.add(text[start : i+1])
				d.object(s)
				start = i + 1
			}
			if d.depth <= 0 {
				d.depth, d.items, d.skip = 0, 0, false
				return
			}
			if d.depth < 2 {
				d.items = 0
			}
		}
	}
	d.add(text[start:])
	d.add([]byte{'\n'})
}

// endsWithItems reports whether the array that starts after text is that of a List's objects.
func (d *document) endsWithItems(text []byte) bool {
	t := bytes.TrimRight(text, " \t")
	if len(t) == 0 {
		t = bytes.TrimSpace(d.text)
	}
	return bytes.HasSuffix(bytes.TrimRight(bytes.TrimSuffix(t, []byte{':'}), " "), []byte(`"items"`))
}

func (d *document) add(text []byte) {
	if d.skip || len(d.text)+len(text) > maxRecord {
		d.text, d.skip = d.text[:0], true
		return
	}
	d.text = append(d.text, text...)
}

// object reads an object of JSON that is complete.
func (d *document) object(s *stream) {
	if !d.skip && s.doc.parse(d.text) > 0 && !s.doc.cut() {
		d.read(s)
	}
	d.text, d.skip = d.text[:0], false
}

// yamlLine adds a line of YAML, after reading the object before if another starts.
func (d *document) yamlLine(s *stream, text []byte) bool {
	if isYAMLStart(text) || bytes.HasPrefix(text, []byte("---")) {
		d.endYAML(s)
	} else if len(text) > 0 && text[0] != ' ' && text[0] != '-' && !bytes.Contains(text, []byte{':'}) {
		d.endYAML(s)
		return false
	}
	d.yaml, s.open = true, true
	d.add(text)
	d.add([]byte{'\n'})
	return true
}

// endYAML reads the object of YAML that the lines before are.
func (d *document) endYAML(s *stream) {
	text := d.text
	if d.yaml && !d.skip && bytes.Contains(text, []byte("acme.cert-manager.io/")) {
		var v any
		if yaml.Unmarshal(text, &v) == nil {
			if json := appendJSON(nil, v, 0); s.doc.parse(json) > 0 {
				d.read(s)
			}
		}
	}
	d.text, d.yaml, d.skip, s.open = d.text[:0], false, false, false
}

// maxYAML bounds what aliases may blow a document up to.
const maxYAML = 4 * maxRecord

// appendJSON appends a decoded value as JSON.
func appendJSON(b []byte, v any, depth int) []byte {
	if depth > 32 || len(b) > maxYAML {
		return append(b, "null"...)
	}
	switch v := v.(type) {
	case map[string]any:
		b = append(b, '{')
		for k, e := range v {
			b = appendQuoted(b, k)
			b = append(appendJSON(append(b, ':'), e, depth+1), ',')
		}
		return append(b, '}')
	case []any:
		b = append(b, '[')
		for _, e := range v {
			b = append(appendJSON(b, e, depth+1), ',')
		}
		return append(b, ']')
	case string:
		return appendQuoted(b, v)
	case bool:
		if v {
			return append(b, "true"...)
		}
		return append(b, "false"...)
	case time.Time:
		return appendQuoted(b, v.UTC().Format(time.RFC3339))
	}
	return append(b, "null"...)
}

func appendQuoted(b []byte, s string) []byte {
	b = append(b, '"')
	for _, c := range []byte(s) {
		switch {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c == '\n':
			b = append(b, '\\', 'n')
		case c >= ' ':
			b = append(b, c)
		}
	}
	return append(b, '"')
}

func (d *document) finish(s *stream) {
	if d.yaml {
		d.endYAML(s)
	}
	d.text, d.depth, d.items, d.inString, d.escaped = d.text[:0], 0, 0, false, false
}

// read reads an object in s.doc.
func (d *document) read(s *stream) {
	doc := &s.doc
	root := doc.root()
	kind := doc.str(doc.member(root, "kind"))
	switch {
	case strings.HasPrefix(doc.str(doc.member(root, "apiVersion")), "acme.cert-manager.io/"):
		d.kubernetes(s, root, kind)
	case doc.isArray(doc.member(root, "authorizations")) && doc.member(root, "challenge-setups") != 0:
		d.order(s, "mod_md", doc.str(doc.member(root, "url")))
	case doc.isArray(doc.member(root, "authorizations")) && doc.isObject(doc.member(root, "plugin")),
		doc.isArray(doc.member(root, "authorizations")) && doc.member(root, "MainDomain") != 0:
		d.order(s, "posh-acme", doc.str(doc.member(root, "location")))
	}
}

// order reads an order as a client keeps it (RFC 8555 §7.1.3, with its URL).
func (d *document) order(s *stream, client, url string) {
	s.client = client
	o := orderIn(s, &s.doc, s.doc.root())
	o.URL, o.ID = url, url
	if o.ID == "" {
		o.ID = s.at.String()
	}
	s.emit(Event{Kind: OrderSeen, Order: o})
}

// kubernetes reads an Order or a Challenge of cert-manager.
func (d *document) kubernetes(s *stream, root ref, kind string) {
	doc := &s.doc
	s.client = "cert-manager"
	meta := doc.member(root, "metadata")
	if t, err := time.Parse(time.RFC3339, doc.str(doc.member(meta, "creationTimestamp"))); err == nil {
		s.clock.set(t)
	}
	s.unit = clip(doc.str(doc.member(meta, "namespace"))+"/"+doc.str(doc.member(meta, "name")), maxDetail)
	spec, status := doc.member(root, "spec"), doc.member(root, "status")
	switch kind {
	case "Order":
		d.kubernetesOrder(s, spec, status)
	case "Challenge":
		d.kubernetesChallenge(s, spec, status)
	}
}

func (d *document) kubernetesOrder(s *stream, spec, status ref) {
	doc := &s.doc
	o := &Order{URL: doc.str(doc.member(status, "url")), Status: kubernetesState(doc.str(doc.member(status, "state")))}
	if o.ID = o.URL; o.ID == "" {
		o.ID = s.unit
	}
	for _, names := range []string{"dnsNames", "ipAddresses"} {
		for n := range doc.elements(doc.member(spec, names)) {
			o.Identifiers = append(o.Identifiers, identifier(doc.str(n)))
		}
	}
	var all []*Authorization
	for r := range doc.elements(doc.member(status, "authorizations")) {
		a := d.kubernetesAuthorization(s, r)
		if a.URL != "" {
			o.Authorizations = append(o.Authorizations, a.URL)
			all = append(all, a)
		}
	}
	reason := doc.str(doc.member(status, "reason"))
	s.emit(Event{Kind: OrderSeen, Order: o})
	for _, a := range all {
		a.Order = o.ID
		s.emit(Event{Kind: AuthorizationSeen, Authorization: a})
	}
	if problem := goProblem(reason); problem != nil {
		s.emit(Event{Kind: ProblemSeen, Problem: problem, Order: &Order{ID: o.ID, URL: o.URL}})
	} else if cause := goCause(reason); cause != "" {
		s.emit(Event{Kind: FailureSeen, Cause: cause, Message: clip(reason, maxDetail), Order: &Order{ID: o.ID, URL: o.URL}})
	}
}

// kubernetesState returns a state as RFC 8555 calls it; "errored" is cert-manager's own.
func kubernetesState(state string) string {
	if state == "errored" {
		return ""
	}
	return state
}

// kubernetesAuthorization reads an authorization in the status of an Order. A status that was pending at first says nothing
// of today.
func (d *document) kubernetesAuthorization(s *stream, r ref) *Authorization {
	doc := &s.doc
	a := &Authorization{
		URL: s.element(doc.bytes(doc.member(r, "url"))), Identifier: identifier(doc.str(doc.member(r, "identifier"))),
		Wildcard: doc.truth(doc.member(r, "wildcard")),
	}
	if status := doc.str(doc.member(r, "initialState")); rank(status) > 1 {
		a.Status = status
	}
	for c := range doc.elements(doc.member(r, "challenges")) {
		if a.URL != "" {
			s.challenges.put(doc.bytes(doc.member(c, "url")), a.URL)
		}
	}
	return a
}

func (d *document) kubernetesChallenge(s *stream, spec, status ref) {
	doc := &s.doc
	a := &Authorization{
		URL: s.element(doc.bytes(doc.member(spec, "authorizationURL"))), Identifier: identifier(doc.str(doc.member(spec, "dnsName"))),
		Wildcard: doc.truth(doc.member(spec, "wildcard")), Status: kubernetesState(doc.str(doc.member(status, "state"))),
	}
	if a.Status == "ready" || a.Status == "processing" {
		a.Status = "pending"
	}
	c := &Challenge{URL: doc.str(doc.member(spec, "url")), Type: strings.ToLower(doc.str(doc.member(spec, "type"))), Status: a.Status}
	if !strings.HasSuffix(c.Type, "-01") && c.Type != "" {
		c.Type += "-01"
	}
	reason := doc.str(doc.member(status, "reason"))
	if a.Status == "invalid" {
		a.Problem = &Problem{Detail: clip(reason, maxDetail)}
	}
	s.emit(Event{Kind: AuthorizationSeen, Authorization: a, Challenge: c})
	if strings.Contains(reason, "propagation") || strings.Contains(reason, "self check") {
		s.emit(Event{Kind: FailureSeen, Cause: CauseCheck, Message: clip(reason, maxDetail), Authorization: &Authorization{URL: a.URL, Identifier: a.Identifier}})
	}
}
