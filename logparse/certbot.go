package logparse

import (
	"bytes"
	"strings"
)

// Certbot 0.20 to 5 writes letsencrypt.log at DEBUG, whatever its options say:
//
//	2026-11-23 20:41:11,221:DEBUG:certbot._internal.main:certbot version: 2.1.0
//	2026-11-23 20:41:11,222:DEBUG:certbot._internal.main:Arguments: ['--webroot', '-d', 'example.com']
//	2026-11-23 20:41:11,400:DEBUG:acme.client:Sending POST request to https://ca.example/acme/new-order:
//
// The time is local; a record lasts up to the next line that starts with one. What acme.client logs is in python_acme.go.
// One run is one process; a file has one run (Certbot rotates it) or many (logrotate does). A run that fails ends with
//
//	2026-11-23 20:41:11,500:DEBUG:certbot._internal.log:Exiting abnormally:
//	Traceback (most recent call last):
//	…
//	certbot.errors.AuthorizationError: Some challenges have failed.
//
// One that has success, or is killed, just stops.
type certbot struct {
	acme    pythonACME
	exiting bool
	exit    []byte // the last line of the traceback
	exitAt  Place
}

const certbotStamp = "0000-00-00 00:00:00,000"

func startsCertbot(line []byte) bool {
	if !isCertbotLine(line) {
		return false
	}
	head := line[:min(len(line), 72)]
	_, message, ok := bytes.Cut(head, []byte(":acme.client:"))
	return bytes.Contains(head, []byte(":certbot.")) || ok && (len(message) == 0 || message[0] < '0' || message[0] > '9')
}

// isCertbotLine reports whether a record starts with line: a cheap look, as every line is looked at.
func isCertbotLine(line []byte) bool {
	return len(line) > len(certbotStamp) && line[4] == '-' && line[10] == ' ' && line[19] == ',' &&
		line[len(certbotStamp)] == ':' && line[0] >= '0' && line[0] <= '9'
}

func (p *certbot) line(s *stream, text []byte) bool {
	if !isCertbotLine(text) {
		return p.more(s, text)
	}
	if p.finish(s); !s.clock.setStamp(text, certbotStamp) {
		return false
	}
	_, rest, _ := bytes.Cut(text[len(certbotStamp)+1:], []byte{':'})
	logger, message, ok := bytes.Cut(rest, []byte{':'})
	if !ok {
		return false
	}
	switch {
	case string(logger) == "acme.client":
		p.acme.record(s, message)
	case bytes.HasPrefix(logger, []byte("certbot")):
		p.record(s, message)
	}
	s.mark(rest)
	return true
}

// more reads a line that continues a record.
func (p *certbot) more(s *stream, text []byte) bool {
	if p.exiting && isException(text) {
		p.exit, p.exitAt = append(p.exit[:0], text[:min(len(text), maxDetail)]...), s.at
	}
	p.acme.line(s, text)
	return true
}

// isException reports whether a line of a traceback says what was raised. What Certbot 2.1 raises about nearly everything
// that a CA answers says nothing.
func isException(line []byte) bool {
	return len(line) > 0 && line[0] != ' ' && !bytes.HasPrefix(line, []byte("Traceback ")) &&
		!bytes.HasPrefix(line, []byte("During handling of ")) && string(line) != "AttributeError: can't set attribute"
}

// record reads the message of a record by Certbot itself.
func (p *certbot) record(s *stream, message []byte) {
	if len(message) == 0 {
		return
	}
	switch message[0] {
	case 'c':
		if v, ok := cutPrefix(message, "certbot version: "); ok {
			s.startRun(string(v), "")
		}
	case 'A':
		if list, ok := cutPrefix(message, "Arguments: "); ok && !s.run.told {
			s.run.command = clip(pythonList(s, list), maxText)
		}
	case 'P':
		if uri, ok := between(message, "uri='", "'"); ok && bytes.HasPrefix(message, []byte("Picked account: ")) && isURL(string(uri)) {
			s.account = string(uri)
		}
	case 'E':
		if string(message) == "Exiting abnormally:" {
			p.exiting, p.exit, p.exitAt = true, p.exit[:0], s.at
		}
	case 'm', 'H':
		p.hook(s, message)
	}
}

// hook reads `manual-auth-hook command "…" returned error code 1` and `Hook '--manual-auth-hook' for example.com reported
// error code 1`.
func (p *certbot) hook(s *stream, message []byte) {
	if bytes.Contains(message, []byte("hook")) && bytes.Contains(message, []byte(" error code ")) {
		name, _ := between(message, " for ", " reported")
		s.fail(CauseHook, string(message), string(name))
	}
}

// pythonList returns the strings of a Python list as a command line.
func pythonList(s *stream, list []byte) string {
	if s.doc.parse(list) == 0 {
		return string(list)
	}
	var words []string
	for r := range s.doc.elements(s.doc.root()) {
		words = append(words, shellWord(s.doc.str(r)))
	}
	return strings.Join(words, " ")
}

// shellWord quotes a word for a shell, if it has to be.
func shellWord(w string) string {
	if w != "" && !strings.ContainsFunc(w, isShellSpecial) {
		return w
	}
	return "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
}

func isShellSpecial(r rune) bool {
	return r <= ' ' || r == 0x7f || strings.ContainsRune("\"'\\$`!&|;<>()[]{}*?~#", r)
}

func (p *certbot) finish(s *stream) {
	if p.acme.part != pythonNothing {
		p.acme.finish(s)
	}
	if p.exiting {
		p.finishExit(s)
	}
}

// finishExit tells of the exit that the lines before were about.
func (p *certbot) finishExit(s *stream) {
	p.exiting = false
	at := s.at
	s.at = p.exitAt
	message := string(p.exit)
	if cause := pythonCause(message); cause != "" {
		s.fail(cause, message, "")
	}
	s.endRun("error", message)
	s.at = at
}

// pythonCauses are the causes of failures by what the last line of a traceback has in it.
var pythonCauses = []struct {
	text  string
	cause Cause
}{
	{"KeyboardInterrupt", CauseKilled},
	{"SignalExit", CauseKilled},
	{"HookCommandError", CauseHook},
	{"PluginError: Error ", CauseDNS}, // "… adding TXT record", "… determining zone identifier": all of the DNS plug-ins
	{"PluginError: Unable to determine", CauseDNS},
	{"PluginError", CauseHook},
	{"ConnectionError", CauseNetwork},
	{"ConnectTimeout", CauseNetwork},
	{"ReadTimeout", CauseNetwork},
	{"TimeoutError", CauseNetwork},
	{"SSLError", CauseNetwork},
	{"gaierror", CauseNetwork},
	{"RemoteDisconnected", CauseNetwork},
}

// pythonCause returns the cause of the failure that the last line of a traceback is about, "" if that says nothing of the
// kind: what a CA answered is known by then.
func pythonCause(message string) Cause {
	for _, c := range pythonCauses {
		if strings.Contains(message, c.text) {
			return c.cause
		}
	}
	return ""
}
