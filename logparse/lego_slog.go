package logparse

import (
	"bytes"
	"strings"
	"time"
)

// lego 5 logs messages with attributes, as text or JSON or for a terminal, and Traefik does with what its lego says:
//
//	time=2026-11-23T21:09:06.446Z level=INFO msg="Obtaining bundled SAN certificate." domains="a.example, b.example"
//	{"time":"2026-11-23T21:09:06.561Z","level":"DEBUG","msg":"Authorization","url":"a.example","authz":"https://ca.example/authz/1"}
//	2026-11-23T21:27:22Z DBG github.com/go-acme/lego/v5@v5.2.2/log/logger.go:33 > Authorization authz=https://… lib=lego url=a.example
//	{"level":"info","time":"…","lib":"lego","url":"https://ca.example/authz/1","time":"…","message":"Deactivating authorization."}
//
// The messages are those of version 4 in other words, with the same fault: the name beside a URL is not its identifier, but
// one of the order's. The URLs of an order are logged at DEBUG only; at INFO those of an order that failed.
//
// Traefik works on several orders at once, in one process that serves on: names tell the orders apart.
type legoSlog struct {
	traefik      bool
	orders       orderBook
	deactivating string // announced; a refusal would be in one of the next lines
	at           Place
}

// legoMessages are the messages of lego 5 that say something of authorizations, in the order in which they are looked for.
var legoMessages = []struct {
	text string
	read func(p *legoSlog, s *stream, line []byte)
}{
	{"Obtaining bundled SAN certificate", (*legoSlog).obtaining},
	{"Skipping deactivating of valid authorization", (*legoSlog).skipping},
	{"Unable to deactivate the authorization", (*legoSlog).refused},
	{"Deactivating authorization", (*legoSlog).announced},
	{"Trying to solve HTTP-01", (*legoSlog).solving},
	{"Trying to solve TLS-ALPN-01", (*legoSlog).solving},
	{"The server validated our request", (*legoSlog).validated},
	{"authorization already valid", (*legoSlog).validated},
	{"Server responded with a certificate", (*legoSlog).issued},
	{"one or more domains had a problem", (*legoSlog).failed},
	{"Registering the account", (*legoSlog).registering},
	{"could not obtain the certificate", (*legoSlog).failed},
	{"Could not obtain certificates", (*legoSlog).failed},
	{"Unable to obtain ACME certificate", (*legoSlog).failed},
	{"Authorization", (*legoSlog).authorization},
}

// startsLegoSlog reports whether lego 5 wrote a line.
func startsLegoSlog(line []byte) bool {
	if len(line) < 20 || bytes.Contains(line, []byte("lib=lego")) || bytes.Contains(line, []byte(`"lib":"lego"`)) {
		return false
	}
	if line[0] != '{' && !bytes.HasPrefix(line, []byte("time=")) && !hasLevel(line) {
		return false
	}
	for _, text := range []string{"Obtaining bundled SAN certificate", "Registering the account.", "Private key saved.",
		"Use solver.", "Deactivating authorization.", "Account already registered, skipping.", "Server shortcode not found."} {
		if bytes.Contains(line, []byte(text)) {
			return true
		}
	}
	return bytes.Contains(line, []byte(`"msg":"Authorization"`)) || bytes.Contains(line, []byte("msg=Authorization "))
}

// hasLevel reports whether a line has a level as terminals get it near its start.
func hasLevel(line []byte) bool {
	head := line[:min(len(line), 48)]
	for _, level := range []string{" INF ", " DBG ", " WRN ", " ERR ", "INFO", "DEBUG", "WARN", "ERROR"} {
		if bytes.Contains(head, []byte(level)) {
			return true
		}
	}
	return false
}

// startsTraefik reports whether Traefik wrote a line.
func startsTraefik(line []byte) bool {
	return bytes.Contains(line, []byte("/traefik/v")) && bytes.Contains(line, []byte(" > ")) ||
		len(line) > 0 && line[0] == '{' && bytes.Contains(line, []byte(`"message":`)) &&
			(bytes.Contains(line, []byte(`"lib":"lego"`)) || bytes.Contains(line, []byte(`"providerName":`)) ||
				bytes.Contains(line, []byte("Traefik version ")) || bytes.Contains(line, []byte("acme.Provider")))
}

func (p *legoSlog) line(s *stream, text []byte) bool {
	t, ok := structuredTime(text)
	if !ok && !hasLevel(text) {
		return p.traefik // what it serves, and what plug-ins write
	}
	if ok {
		s.clock.set(t)
	}
	if p.traefik && s.run.place.Line == 0 {
		s.startRun("", "")
	}
	p.read(s, text)
	s.mark(text)
	return true
}

// read finds out which message a line is.
func (p *legoSlog) read(s *stream, line []byte) {
	for i := range legoMessages {
		m := &legoMessages[i]
		if bytes.Contains(line, []byte(m.text)) {
			m.read(p, s, line)
			return
		}
	}
}

func (p *legoSlog) registering(s *stream, _ []byte) {
	if !p.traefik {
		s.startRunUnlessFresh()
	}
}

func (p *legoSlog) obtaining(s *stream, line []byte) {
	names := splitNames(attribute(line, "domains"))
	if len(names) == 0 {
		return
	}
	if !p.traefik {
		s.startRunUnlessFresh()
	}
	s.startOrder(names...)
	p.orders.put(s.order)
}

func (p *legoSlog) authorization(s *stream, line []byte) {
	url, name := attribute(line, "authz"), attribute(line, "url")
	if len(url) == 0 {
		return
	}
	if !p.orders.choose(s, string(name)) {
		s.startOrder(string(name))
		s.order.Identifiers = nil // one of them, but there may be more
		p.orders.put(s.order)
	}
	p.orders.note(s, string(url))
	s.sawURL(AuthorizationSeen, url, "")
	if len(name) > 0 {
		s.sawName(string(name), "pending", nil)
	}
}

func (p *legoSlog) validated(s *stream, line []byte) {
	if name := string(attribute(line, "domain")); name != "" && p.orders.choose(s, name) {
		s.sawName(name, "valid", nil)
	}
}

// solving reads that a challenge is answered: right after, for these types.
func (p *legoSlog) solving(s *stream, line []byte) {
	if name := string(attribute(line, "domain")); name != "" && p.orders.choose(s, name) {
		s.answeredName(name)
	}
}

func (p *legoSlog) issued(s *stream, line []byte) {
	names := splitNames(attribute(line, "domains"))
	if len(names) > 0 && p.orders.choose(s, names[0]) {
		s.endOrder("valid")
	}
	if !p.traefik {
		s.endRun("", "")
	}
}

func (p *legoSlog) skipping(s *stream, line []byte) {
	p.deactivated(s, AuthorizationDeactivated)
	url := attribute(line, "url")
	p.orders.chooseURL(s, string(url))
	s.sawURL(AuthorizationSeen, url, "valid")
}

func (p *legoSlog) announced(s *stream, line []byte) {
	p.deactivated(s, AuthorizationDeactivated)
	p.deactivating, p.at = string(attribute(line, "url")), s.at
}

func (p *legoSlog) refused(s *stream, line []byte) { p.deactivated(s, AuthorizationSeen) }

// deactivated tells of the deactivation that was announced.
func (p *legoSlog) deactivated(s *stream, kind Kind) {
	url := p.deactivating
	if url == "" {
		return
	}
	p.deactivating = ""
	at := s.at
	s.at = p.at
	p.orders.chooseURL(s, url)
	s.sawURL(kind, []byte(url), "")
	s.at = at
}

// failed reads the error that ends an order.
func (p *legoSlog) failed(s *stream, line []byte) {
	p.deactivated(s, AuthorizationDeactivated)
	text := string(attribute(line, "error"))
	if text == "" {
		text = string(line)
	}
	list := text
	if _, rest, ok := strings.Cut(text, "one or more domains had a problem:"); ok {
		list = rest
	}
	for entry := range problemEntries(list) {
		name, rest, ok := strings.Cut(entry, ": ")
		if ok && !strings.ContainsAny(name, " /") && p.orders.choose(s, name) {
			legoError(s, []byte("["+name+"] "+rest))
		} else {
			legoError(s, []byte(entry))
		}
	}
	if !p.traefik {
		s.endRun("error", text)
	}
}

// problemEntries yields the problems in a list: "[a: what]", or one for each line "[a] what".
func problemEntries(list string) func(func(string) bool) {
	return func(yield func(string) bool) {
		for entry := range strings.SplitSeq(list, "\n") {
			entry = strings.TrimSpace(entry)
			if name, rest, ok := strings.Cut(strings.TrimPrefix(entry, "["), "] "); ok && strings.HasPrefix(entry, "[") && !strings.ContainsAny(name, " :/") {
				entry = name + ": " + rest
			}
			entry = strings.TrimSuffix(strings.TrimPrefix(entry, "["), "]")
			if entry != "" && !yield(entry) {
				return
			}
		}
	}
}

func (p *legoSlog) finish(s *stream) { p.deactivated(s, AuthorizationSeen) }

// structuredTime returns the time of a line of JSON, of key=value pairs, or of one that starts with it.
func structuredTime(line []byte) (time.Time, bool) {
	if b := attribute(line, "time"); len(b) > 0 {
		line = b
	}
	if n := bytes.IndexByte(line, ' '); n > 0 {
		line = line[:n]
	}
	if len(line) < len("2026-11-23T21:09:06Z") || line[0] < '0' || line[0] > '9' {
		return time.Time{}, false
	}
	t, err := time.Parse(time.RFC3339Nano, string(line))
	return t, err == nil
}

// attribute returns the text value of an attribute in a line of JSON or of key=value pairs, nil if there is none. Of several
// the first counts.
func attribute(line []byte, name string) []byte {
	if len(line) > 0 && line[0] == '{' {
		_, rest, ok := bytes.Cut(line, []byte(`"`+name+`":"`))
		if !ok {
			return nil
		}
		return quoted(rest)
	}
	rest, ok := bytes.CutPrefix(line, []byte(name+"="))
	if !ok {
		if _, rest, ok = bytes.Cut(line, []byte(" "+name+"=")); !ok {
			return nil
		}
	}
	if rest, ok := bytes.CutPrefix(rest, []byte{'"'}); ok {
		return quoted(rest)
	}
	n := bytes.IndexByte(rest, ' ')
	if n < 0 {
		n = len(rest)
	}
	return rest[:n]
}

// quoted returns the text up to the quote that ends it, with \n, \" and \\ resolved.
func quoted(b []byte) []byte {
	var text []byte
	for i := 0; i < len(b); i++ {
		switch {
		case b[i] == '"':
			if text == nil {
				return b[:i]
			}
			return text
		case b[i] != '\\' || i+1 == len(b):
			if text != nil {
				text = append(text, b[i])
			}
			continue
		}
		if text == nil {
			text = append(make([]byte, 0, len(b)), b[:i]...)
		}
		i++
		switch b[i] {
		case 'n':
			text = append(text, '\n')
		case 't':
			text = append(text, '\t')
		default:
			text = append(text, b[i])
		}
	}
	return nil // cut
}

// splitNames splits "a.example, b.example".
func splitNames(list []byte) (names []string) {
	for n := range strings.SplitSeq(string(list), ",") {
		if n = strings.TrimSpace(n); n != "" {
			names = append(names, n)
		}
	}
	return names
}

// An orderBook knows the orders that a process works on, by names and by URLs of authorizations. The zero value is empty.
type orderBook struct {
	young, old map[string]*Order
}

// put notes an order.
func (b *orderBook) put(o *Order) {
	for _, id := range o.Identifiers {
		b.set(id.Value, o)
	}
}

// note notes that an authorization belongs to the order at hand.
func (b *orderBook) note(s *stream, url string) { b.set(url, s.order) }

func (b *orderBook) set(key string, o *Order) {
	if len(key) > maxURL {
		return
	}
	if b.young == nil || len(b.young) >= maxIndex {
		b.young, b.old = make(map[string]*Order), b.young
	}
	b.young[key] = o
}

// get returns the order that was noted last for a name or a URL, nil if there is none.
func (b *orderBook) get(key string) *Order {
	if o := b.young[key]; o != nil {
		return o
	}
	return b.old[key]
}

// choose makes the order for a name the one that the client works on. It reports whether there is one.
func (b *orderBook) choose(s *stream, name string) bool {
	o := b.get(identifier(name).Value)
	if o != nil {
		s.order = o
	}
	return o != nil
}

// chooseURL does so for the URL of an authorization.
func (b *orderBook) chooseURL(s *stream, url string) { s.order = b.get(url) }
