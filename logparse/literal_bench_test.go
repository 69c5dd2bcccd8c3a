package logparse

import (
	"bytes"
	"encoding/json"
	"os"
	"testing"
)

// bodies returns the responses' bodies in recorded Certbot logs that have the given name in them.
func bodies(tb testing.TB, name string) (found [][]byte, size int64) {
	tb.Helper()
	for _, scenario := range []string{"five-names-one-fails", "several-runs-one-log", "wildcard-dns01", "twenty-names-killed"} {
		log, err := os.ReadFile("testdata/certbot/" + scenario + "/logs/letsencrypt/letsencrypt.log")
		if err != nil {
			tb.Fatal(err)
		}
		for {
			i := bytes.Index(log, []byte("\n\n{\n"))
			if i < 0 {
				break
			}
			log = log[i+2:]
			if end := bytes.Index(log, []byte("\n}\n")); end >= 0 && bytes.Contains(log[:end], []byte(`"`+name+`": `)) {
				body := log[:end+2]
				found, size = append(found, body), size+int64(len(body))
			}
		}
	}
	if len(found) == 0 {
		tb.Fatalf("no bodies with %q", name)
	}
	return found, size
}

// BenchmarkLiteral reads what the CA answered for authorizations and orders.
func BenchmarkLiteral(b *testing.B) {
	for name, member := range map[string]string{"authorizations": "challenges", "orders": "authorizations"} {
		texts, size := bodies(b, member)
		var escaped [][]byte
		var escapedSize int64
		for _, text := range texts {
			e := escape(text)
			escaped, escapedSize = append(escaped, e), escapedSize+int64(len(e))
		}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(size)
			b.ReportMetric(float64(size)/float64(len(texts)), "B/body")
			var l literal
			for b.Loop() {
				for _, text := range texts {
					l.parse(text)
				}
			}
		})
		b.Run(name+"/members", func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(size)
			var l literal
			for b.Loop() {
				for _, text := range texts {
					readBody(&l, text)
				}
			}
		})
		b.Run(name+"/escaped", func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(escapedSize)
			var l literal
			for b.Loop() {
				for _, text := range escaped {
					l.parse(text)
				}
			}
		})
		b.Run(name+"/encoding-json", func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(size)
			for b.Loop() {
				for _, text := range texts {
					var v acmeBody
					if err := json.Unmarshal(text, &v); err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}

// An acmeBody is what a client would decode of an order or authorization.
type acmeBody struct {
	Status, Expires string
	Authorizations  []string
	Identifier      Identifier
	Identifiers     []Identifier
	Challenges      []struct{ Type, URL, Status string }
}

// readBody looks at the same members as acmeBody, and returns the number of bytes in them.
func readBody(l *literal, text []byte) (n int) {
	l.parse(text)
	r := l.root()
	n += len(l.bytes(l.member(r, "status"))) + len(l.bytes(l.member(r, "expires")))
	for e := range l.elements(l.member(r, "authorizations")) {
		n += len(l.bytes(e))
	}
	n += readIdentifier(l, l.member(r, "identifier"))
	for e := range l.elements(l.member(r, "identifiers")) {
		n += readIdentifier(l, e)
	}
	for e := range l.elements(l.member(r, "challenges")) {
		n += len(l.bytes(l.member(e, "type"))) + len(l.bytes(l.member(e, "url"))) + len(l.bytes(l.member(e, "status")))
	}
	return n
}

func readIdentifier(l *literal, r ref) int {
	return len(l.bytes(l.member(r, "type"))) + len(l.bytes(l.member(r, "value")))
}

// BenchmarkLiteralOn shows that what is not made by a CA takes time in proportion to its length: the rates for both
// lengths are alike.
func BenchmarkLiteralOn(b *testing.B) {
	for name, unit := range map[string]string{
		"brackets":          `[`,
		"members":           `{"a":`,
		"pairs":             `[]`,
		"names":             `"a" `,
		"quotes":            `"`,
		"backslashes":       `\`,
		"escapedQuotes":     `\"`,
		"doubledBackslash":  `\\"`,
		"doubledBackslash2": `"\\",`,
		"blanks":            `                              `,
		"spelledBlanks":     `\n`,
		"doubledThenBlanks": `"\\"          ,`,
		"words":             `a:`,
		"mismatched":        `[{]`,
		"apostrophes":       `'`,
	} {
		for size, length := range map[string]int{"64K": 64 << 10, "4M": 4 << 20} {
			b.Run(name+"/"+size, func(b *testing.B) {
				text := append([]byte(`{"a":[`), bytes.Repeat([]byte(unit), length/len(unit))...)
				b.SetBytes(int64(len(text)))
				var l literal
				for b.Loop() {
					l.parse(text)
				}
			})
		}
	}
}
