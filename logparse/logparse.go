// Package logparse reads the logs of ACME clients: which authorizations they name (RFC 8555 §7.1.4), what happened to each,
// and why some were left pending. It needs no key and no network.
//
// There are four ways to use it, each built on those before:
//
//   - [URLs] and [Files] yield the URL of each authorization once, whatever client wrote the log, at gigabytes a second;
//   - [Events] and [FileEvents] yield what a log says happened, for the clients below: runs, orders, authorizations,
//     challenges, problems, failures;
//   - a [History] takes events, and rebuilds from them the life of every authorization: its verdict, and for one that
//     leaked, the cause, with the lines that prove it;
//   - a [Follower] reads a log that is still being written.
//
// The shortest way from logs to what leaked is
//
//	var h logparse.History
//	for e, err := range logparse.FileEvents(os.DirFS("/var/log/letsencrypt"), "letsencrypt.log*") {
//		if err != nil {
//			return err
//		}
//		h.Add(e)
//	}
//	for _, l := range h.Leaks() {
//		fmt.Println(l.Identifier.Value, l.Cause, l.Evidence)
//	}
//
// and from logs to URLs
//
//	for url, err := range logparse.URLs(os.Stdin) {
//		if err != nil {
//			return err
//		}
//		fmt.Println(url)
//	}
//
// To see every mention of an authorization, with its place, or to scan without allocating memory, use a [Scanner].
//
// # Clients
//
// Events are read from the output of Certbot (all versions, its log and its console), acme.sh, lego 3 to 5, Caddy and other
// programs with CertMagic, Traefik, golang.org/x/crypto/acme/autocert, dehydrated, uacme, lacme, acme-tiny, acmetool,
// Apache's mod_md, Node's acme-client, programs that use the Python package acme, and from the objects of cert-manager
// (kubectl get orders,challenges -o json or yaml) and the order.json of mod_md and Posh-ACME. They are read too, though known
// from the source of the clients only and not from recorded logs, from the output of win-acme, Certify The Web, Posh-ACME,
// cert-manager's controller, getssl, Terraform's provider acme and Ansible's ACME modules. Each has a file that says what
// its lines look like. A client is recognised by what it writes; text of any other still gives an event for each URL.
//
// Output may have been carried by syslog, the journal (journalctl in its short formats, json, export), Docker's json-file,
// the log files of Kubernetes, "docker compose" or kubectl, Loki (logcli), Fluent Bit, Filebeat or Vector, one around the
// other, and may be coloured. Processes whose lines are mixed are kept apart by what the carrier says of them.
//
// How much a log tells depends on the client and on its level: see the table in the README. Some log names only, some URLs
// of challenges or orders, some everything.
//
// # What is found
//
// A log is text of any kind, with lines of any length, plain or compressed (gzip, bzip2, zstd), also UTF-16 with a byte
// order mark; nothing is assumed about its client. Found are
//
//   - URLs with the path of an authorization at Boulder (Let's Encrypt: ACME v1, "authz-v3", account and number), Pebble,
//     step-ca, Caddy, Vault, OpenBao, Google, ZeroSSL, Sectigo, EJBCA (SSL.com), Dogtag, acme2certifier;
//   - URLs of challenges at Boulder, step-ca, Caddy, Vault and OpenBao: they contain what identifies their authorization,
//     and are reported as its URL;
//   - paths of both kinds in request lines of urllib3 (https://ca.example:443 "POST /acme/authz/1/2 HTTP/1.1");
//   - every URL in the "authorizations" array of an order (RFC 8555 §7.1.3), whatever its path.
//
// JSON, and literals of Python and other languages, may be quoted in one another: escaped slashes ("https:\/\/",
// "\u002f") are understood at any depth, as are URLs that are percent-encoded as a whole ("https%3A%2F%2F"). In a URL that
// is not, escapes of unreserved characters are resolved (RFC 3986 §6.2.2.2) and "%2F" is no slash.
//
// # What is not
//
// Precision comes first: somebody will send requests to what is found. Orders, accounts, certificates, newAuthz and the
// like have other paths; links to documentation and source code have no identifier where one belongs. Outside of an array
// the identifier must be a number, in Boulder's paths, or look random. URLs over 2048 bytes, with a user name or with a
// host that is no ASCII name or IP address are passed over.
//
// Half a number is another number, and logs are cut: by a crash, by a limit on lines. A URL that ends with a number, or
// with an identifier whose length says nothing, is left out if the quote or bracket that it opens with is not closed on
// its line, if dots follow it, or if the input fails, or stops short of the digits that the number before it had,
// directly after it. Clients that do not quote can still log a number that was cut at the end of a line; nothing tells.
//
// Logs are untrusted input, and so is every URL that is found in one: anybody who gets text into a log can name a host.
package logparse

import (
	"bytes"
	"fmt"
	"hash/maphash"
	"io"
	"iter"
)

// A ReadError says where reading a log failed: the file system's error, or that compressed data is damaged or cut off. It
// ends the sequences of [URLs] and [Files].
type ReadError struct {
	// Name is the file's name as [Files] found it, or the pattern that matches none. It is empty for [URLs].
	Name string

	// Offset is the number of bytes that were read before, after decompression and, if it was UTF-16, as UTF-8.
	Offset int64

	// Err is what happened: [io.ErrUnexpectedEOF] for compressed data that is cut off, [fs.ErrNotExist] for a pattern
	// without a file.
	Err error
}

// Error returns a sentence with the name, the offset and the error.
func (e *ReadError) Error() string {
	switch {
	case e.Name == "":
		return fmt.Sprintf("reading the log at byte %d: %v", e.Offset, e.Err)
	case e.Offset == 0:
		return fmt.Sprintf("reading %s: %v", e.Name, e.Err)
	}
	return fmt.Sprintf("reading %s at byte %d: %v", e.Name, e.Offset, e.Err)
}

// Unwrap returns Err.
func (e *ReadError) Unwrap() error { return e.Err }

// URLs yields the URL of each authorization that the log r mentions, once, in order of first appearance. The package
// comment says what is found.
//
// A URL is in canonical form: not escaped, the scheme and the host in lower case, and no port if it is the scheme's
// default. It is an http or https URL of at most 2048 bytes with a host, without user, query (but for those that an order
// lists) and fragment. It comes as soon as the bytes after it were read, so r may be a pipe that stays open.
//
// r may be plain, gzip, bzip2 or zstd: its first bytes tell, not a name. Where plain text, gzip or bzip2 data ends, gzip or
// plain text may follow, as in the output of "cat letsencrypt.log*", and bzip2 data after compressed data. Plain text may
// be UTF-16 if it starts with a byte order mark, as what Windows PowerShell writes to a file does.
//
// A regular file and text in memory (a *[os.File] or an [fs.File] of either, a *[bytes.Reader], *[bytes.Buffer] or
// *[strings.Reader]) is read ahead and scanned by goroutines that share the cores and have ended when ranging ends. The
// URLs and their order are the same. Any other r, such as a pipe, is read where the ranging is, so that each URL comes
// before the next Read and a break does not wait for one.
//
// A *[ReadError] is the last pair if reading fails; the URLs before that have been yielded by then. URLs does not close r.
// The sequence reads r, so it can be ranged over once. Memory does not depend on the size of the log, but each distinct URL
// costs about 40 bytes.
func URLs(r io.Reader) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		p := new(reporter)
		if n := workers(); n > 1 && isSteady(r) {
			open := func(string) (io.ReadCloser, error) { return io.NopCloser(r), nil }
			p.readParallel(newCrew([]string{""}, open, n, blockSize, tailSize), n, yield)
			return
		}
		p.read("", r, yield)
	}
}

// A reporter yields the URLs of one or more logs, each once.
type reporter struct {
	scanner Scanner
	seen    seen

	// For logs that come in blocks: the last URL that could have been longer, see matcher.
	last   []byte
	lastID int
}

// read yields what is new in r. It reports whether the sequence may go on: yield did not return false and no error was
// yielded.
func (p *reporter) read(name string, r io.Reader, yield func(string, error) bool) bool {
	plain := newDecompressor(r)
	defer plain.Close()
	p.scanner.Reset(plain)
	return p.scan(name, plain, yield)
}

// scan yields what is new up to the end of what the scanner reads, by way of plain.
func (p *reporter) scan(name string, plain *decompressor, yield func(string, error) bool) bool {
	for p.scanner.Scan() {
		if url := p.scanner.Match().URL; p.seen.add(url) && !yield(string(url), nil) {
			return false
		}
	}
	if err := p.scanner.Err(); err != nil {
		yield("", &ReadError{Name: name, Offset: plain.offset, Err: err})
		return false
	}
	return true
}

// A seen is a set of URLs, kept as keyed 128-bit hashes: with a billion URLs the odds that two are taken for one are about
// 1 in 10^21, and nobody who writes into a log can choose two that are.
type seen struct {
	seeds [2]maphash.Seed
	set   map[[2]uint64]struct{}
	last  []byte // the URL that add was given last: clients name an authorization several times in a row
}

// add reports whether url was not in the set, where it is afterwards.
func (s *seen) add(url []byte) bool {
	if s.has(url) {
		return false
	}
	s.last = append(s.last[:0], url...)
	s.set[s.key(url)] = struct{}{}
	return true
}

// has reports whether url is in the set.
func (s *seen) has(url []byte) bool {
	if bytes.Equal(url, s.last) {
		return len(url) > 0
	}
	_, ok := s.set[s.key(url)]
	return ok
}

// addString is add for a string.
func (s *seen) addString(url string) {
	if string(s.last) == url {
		return
	}
	s.last = append(s.last[:0], url...)
	s.set[s.stringKey(url)] = struct{}{}
}

// hasString is has for a string.
func (s *seen) hasString(url string) bool {
	if string(s.last) == url {
		return url != ""
	}
	_, ok := s.set[s.stringKey(url)]
	return ok
}

// key returns the key of url.
func (s *seen) key(url []byte) [2]uint64 {
	s.seed()
	return [2]uint64{maphash.Bytes(s.seeds[0], url), maphash.Bytes(s.seeds[1], url)}
}

// stringKey is key for a string.
func (s *seen) stringKey(url string) [2]uint64 {
	s.seed()
	return [2]uint64{maphash.String(s.seeds[0], url), maphash.String(s.seeds[1], url)}
}

func (s *seen) seed() {
	if s.set == nil {
		s.seeds = [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}
		s.set = make(map[[2]uint64]struct{})
	}
}
