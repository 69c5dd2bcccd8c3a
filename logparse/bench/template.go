package main

import (
	"encoding/base64"
	"hash/fnv"
	"math/rand/v2"
	"regexp"
	"time"
)

// A template is a recorded text with slots for what changes from one repetition to the next.
type template struct {
	text  []byte
	slots []slot
	names map[string]string // new names, by the recorded ones, in this repetition
	buf   []byte
}

// A slot is a part of a text that changes. One of name, layout and inner is set.
type slot struct {
	start, end int
	name       string    // of an authorization, an order, a domain...
	layout     string    // of a time
	time       time.Time // as it was recorded
	inner      *template // what is in base64url
}

var (
	pattern = regexp.MustCompile(
		`(?P<stamp>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)` +
			`|(?P<rfc3339>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)` +
			`|(?P<http>[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT)` +
			`|\b(?P<domain>example)\.(?:com|org|dev)\b` +
			`|"(?:protected|payload)": "(?P<base64>[\w-]+)"` +
			`|/(?:authz|authz-v3|authZ|chall|chall-v3|chalZ|challenge|(?:my-|finalize-)?order|finalize|` +
			`(?:my-)?account|acct|list-orders|cert)/(?P<path>[\w/-]+)`)
	segment = regexp.MustCompile(`[\w-]+`)
	layouts = map[string]string{
		"stamp":   time.DateTime,
		"rfc3339": time.RFC3339,
		"http":    "Mon, 02 Jan 2006 15:04:05 GMT",
	}
)

// compile finds the slots in a recorded text.
func compile(text []byte) *template {
	t := &template{text: text}
	for _, m := range pattern.FindAllSubmatchIndex(text, -1) {
		for group, name := range pattern.SubexpNames() {
			if group > 0 && m[2*group] >= 0 {
				t.add(name, m[2*group], m[2*group+1])
			}
		}
	}
	return t
}

// add makes slots of the text from start to end, which a group of pattern matched.
func (t *template) add(group string, start, end int) {
	text := string(t.text[start:end])
	switch group {
	case "domain":
		t.slots = append(t.slots, slot{start: start, end: end, name: text})
	case "path":
		for _, m := range segment.FindAllStringIndex(text, -1) {
			t.slots = append(t.slots, slot{start: start + m[0], end: start + m[1], name: text[m[0]:m[1]]})
		}
	case "base64":
		inner, err := base64.RawURLEncoding.DecodeString(text)
		if err == nil {
			t.slots = append(t.slots, slot{start: start, end: end, inner: compile(inner)})
		}
	default:
		if at, err := time.Parse(layouts[group], text); err == nil {
			t.slots = append(t.slots, slot{start: start, end: end, layout: layouts[group], time: at})
		}
	}
}

// repeat returns the text as of a number of days before it was recorded. It is valid until the next call.
func (t *template) repeat(days int) []byte {
	t.names = make(map[string]string)
	return t.fill(days, t.names)
}

func (t *template) fill(days int, names map[string]string) []byte {
	t.buf = t.buf[:0]
	end := 0
	for _, s := range t.slots {
		t.buf = append(t.buf, t.text[end:s.start]...)
		switch {
		case s.inner != nil:
			t.buf = base64.RawURLEncoding.AppendEncode(t.buf, s.inner.fill(days, names))
		case s.layout != "":
			t.buf = s.time.AddDate(0, 0, -days).AppendFormat(t.buf, s.layout)
		default:
			if names[s.name] == "" {
				names[s.name] = rename(s.name, days)
			}
			t.buf = append(t.buf, names[s.name]...)
		}
		end = s.end
	}
	return append(t.buf, t.text[end:]...)
}

// rename returns another name in place of a recorded one: as long, with digits, small and capital letters where those were,
// and without a zero at the start. Words of a path ("http-01", "finalize") stay.
func rename(name string, days int) string {
	if word.MatchString(name) {
		return name
	}
	h := fnv.New64a()
	h.Write([]byte(name))
	random := rand.New(rand.NewPCG(h.Sum64(), uint64(days)))
	b := []byte(name)
	for i, c := range b {
		switch {
		case '0' <= c && c <= '9':
			first := min(i, 1) ^ 1 // no zero at the start
			b[i] = byte('0' + first + random.IntN(10-first))
		case 'a' <= c && c <= 'z':
			b[i] = byte('a' + random.IntN(26))
		case 'A' <= c && c <= 'Z':
			b[i] = byte('A' + random.IntN(26))
		}
	}
	return string(b)
}

var word = regexp.MustCompile(`^(?:http-01|dns-01|tls-alpn-01|finalize|orders|acme|authz|order|challenge)$`)
