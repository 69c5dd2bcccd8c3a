package logparse

import (
	"bytes"
	"strings"
	"time"
)

// Terraform's provider acme is lego 4, whose messages it passes on in Terraform's log (TF_LOG), all of them as DEBUG:
//
//	2026-11-23T21:18:41.123+0100 [INFO]  Terraform version: 1.9.0
//	2026-11-23T21:18:41.123+0100 [INFO]  CLI args: []string{"terraform", "apply"}
//	2026-11-23T21:18:41.123+0100 [INFO]  provider.terraform-provider-acme_v2.48.3: 2026/11/23 21:18:41 [DEBUG] lego: [a.example] AuthURL: https://ca.example/acme/authz/1/2: timestamp=2026-11-23T21:18:41.123+0100
//	2026-11-23T21:18:41.123+0100 [ERROR] vertex "acme_certificate.a" error: error creating certificate: error: one or more domains had a problem:
//	[a.example] invalid authorization: acme: error: 400 :: urn:ietf:params:acme:error:dns :: detail
//	2026-11-23T21:18:41.123+0100 [INFO]  provider: plugin process exited: plugin=…/terraform-provider-acme_v2.48.3 id=4242
//
// With TF_LOG=JSON a line is an object, with the members "@message", "@module" and "@timestamp". In front of the name of the
// provider there was "plugin." once. Several certificates may be made at once; names tell them
// apart. The provider is started several times in one run of Terraform. Without a log the console shows what failed:
//
//	│ Error: error creating certificate: error: one or more domains had a problem:
//	│ [a.example] invalid authorization: …
//
// From the source of version 2.48.3; no recorded log.
type terraform struct {
	lego    lego
	orders  orderBook
	command string
	failed  bool // within the lines of an error
	left    bool // another run of Terraform has begun
	end     delayedEnd
}

const terraformProvider = "terraform-provider-acme_"

func startsTerraform(line []byte) bool {
	if _, ok := terraformError(line); ok {
		return true
	}
	_, message, ok := terraformLine(line)
	return ok && (bytes.HasPrefix(message, []byte("provider."+terraformProvider)) || bytes.HasPrefix(message, []byte("plugin."+terraformProvider)))
}

// terraformLine splits a line of the log into the time and what follows the level.
func terraformLine(line []byte) (t time.Time, message []byte, ok bool) {
	if len(line) > 0 && line[0] == '{' {
		return terraformJSON(line)
	}
	if !isoShape(line, 'T') {
		return t, nil, false
	}
	t, n, _ := rfc3339(line)
	if n == 0 || len(line) < n+len(" [INFO] ") || line[n+1] != '[' {
		return t, nil, false
	}
	_, message, ok = bytes.Cut(line[n+1:], []byte("] "))
	return t, bytes.TrimLeft(message, " "), ok
}

// terraformJSON does so for a line that is an object. The module stands before the message, as it does in text.
func terraformJSON(line []byte) (t time.Time, message []byte, ok bool) {
	if !bytes.HasPrefix(line, []byte(`{"@`)) {
		return t, nil, false
	}
	message = attribute(line, "@message")
	if module := attribute(line, "@module"); bytes.Contains(module, []byte(terraformProvider)) {
		message = append(append(bytes.Clone(module), ": "...), message...)
	}
	t, n, _ := rfc3339(attribute(line, "@timestamp"))
	return t, message, n > 0 && message != nil
}

// terraformError returns the start of an error on the console.
func terraformError(line []byte) (message []byte, ok bool) {
	line = bytes.TrimPrefix(line, []byte("│ "))
	for _, start := range []string{"Error: error creating certificate: ", "Error: error renewing certificate: "} {
		if rest, ok := cutPrefix(line, start); ok {
			return rest, bytes.Contains(rest, []byte("acme: ")) || bytes.Contains(rest, []byte("one or more domains"))
		}
	}
	return nil, false
}

func (p *terraform) line(s *stream, text []byte) bool {
	t, message, ok := terraformLine(text)
	if !ok {
		p.console(s, text)
		return true
	}
	s.clock.set(t)
	p.failed = false
	if rest, ok := p.provider(message); ok {
		p.begin(s, message)
		p.message(s, rest)
		s.mark(rest)
		return true
	}
	p.core(s, message)
	return true
}

// provider returns the message of lego in a line of the provider.
func (p *terraform) provider(message []byte) ([]byte, bool) {
	_, rest, ok := bytes.Cut(message, []byte(terraformProvider))
	if !ok || !bytes.HasPrefix(message, []byte("provider.")) && !bytes.HasPrefix(message, []byte("plugin.")) {
		return nil, false
	}
	_, rest, ok = bytes.Cut(rest, []byte("] lego: "))
	if i := bytes.LastIndex(rest, []byte(": timestamp=")); i >= 0 {
		rest = rest[:i]
	}
	return rest, ok
}

// begin starts a run if it is another run of Terraform, or the first.
func (p *terraform) begin(s *stream, message []byte) {
	if !p.left && s.run.place.Line > 0 {
		p.end.drop()
		return
	}
	p.end.tell(s)
	_, version, _ := strings.Cut(string(message), terraformProvider)
	version, _, _ = strings.Cut(version, ":")
	s.startRun(version, p.command)
	*p = terraform{}
}

// message reads a message of lego.
func (p *terraform) message(s *stream, message []byte) {
	p.deactivated(s, message)
	names, rest, ok := bytes.Cut(message, []byte("] "))
	if !ok || len(names) == 0 || names[0] != '[' {
		if !bytes.HasPrefix(message, []byte("acme: ")) {
			p.lego.message(s, message)
		}
		return
	}
	all := splitNames(names[1:])
	if len(all) == 0 {
		return
	}
	switch {
	case bytes.HasPrefix(rest, []byte("acme: Obtaining ")):
		s.startOrder(all...)
		p.orders.put(s.order)
	case !p.orders.choose(s, all[0]):
		s.order = nil
	case bytes.HasPrefix(rest, []byte("Server responded with a certificate")):
		s.endOrder("valid")
		return
	}
	if !bytes.HasPrefix(rest, []byte("acme: Obtaining ")) && !bytes.HasPrefix(rest, []byte("Server responded ")) {
		p.about(s, all, rest)
	}
}

// about reads a message about names of an order.
func (p *terraform) about(s *stream, names []string, message []byte) {
	p.lego.named(s, names, message)
	if s.order == nil {
		return
	}
	p.orders.put(s.order)
	if url, ok := cutPrefix(message, "AuthURL: "); ok {
		p.orders.note(s, s.authorization(url))
	}
}

// deactivated tells of the deactivation that was announced last, in the order that it is of.
func (p *terraform) deactivated(s *stream, message []byte) {
	if p.lego.deactivating == "" {
		return
	}
	p.orders.chooseURL(s, s.authorization([]byte(p.lego.deactivating)))
	p.lego.deactivated(s, message)
}

// core reads a message of Terraform itself.
func (p *terraform) core(s *stream, message []byte) {
	text := string(message)
	switch {
	case strings.HasPrefix(text, "Terraform version: "):
		p.left, p.command = true, ""
	case strings.HasPrefix(text, "CLI args: []string{") && p.left:
		args := strings.TrimSuffix(strings.TrimPrefix(text, "CLI args: []string{"), "}")
		p.command = clip(strings.ReplaceAll(strings.ReplaceAll(args, `", "`, " "), `"`, ""), maxText)
	case strings.HasPrefix(text, "vertex ") && strings.Contains(text, "acme_certificate.") && strings.Contains(text, " error: "):
		_, text, _ = strings.Cut(text, " error: ")
		p.deactivated(s, message)
		first, rest, _ := strings.Cut(text, "\n")
		p.fail(s, first)
		for line := range strings.Lines(rest) {
			p.console(s, []byte(strings.TrimRight(line, "\n")))
		}
	case strings.Contains(text, "plugin process exited: ") && strings.Contains(text, terraformProvider) && s.run.place.Line > 0 && !p.left && p.end.exit == "":
		p.deactivated(s, message)
		p.end.set(s, "", "")
	}
}

// fail reads the start of an error. Terraform repeats it for whatever depends on the certificate.
func (p *terraform) fail(s *stream, text string) {
	s.startFirstRun()
	if p.end.exit != "" {
		return
	}
	p.failed = true
	p.end.set(s, "error", text)
	s.mark([]byte(text))
	p.cause(s, text)
}

// cause reads a line of an error.
func (p *terraform) cause(s *stream, text string) {
	if name, _, ok := strings.Cut(strings.TrimPrefix(text, "["), "] "); ok && strings.HasPrefix(text, "[") {
		p.orders.choose(s, name)
	}
	legoError(s, []byte(text))
}

// console reads a line without a time: it continues an error, or is what Terraform shows.
func (p *terraform) console(s *stream, text []byte) {
	if message, ok := terraformError(text); ok {
		p.fail(s, string(message))
		return
	}
	rest := strings.TrimPrefix(string(text), "│ ")
	if p.failed = p.failed && strings.TrimSpace(rest) != "" && !strings.HasPrefix(rest, "│"); p.failed {
		p.cause(s, rest)
	}
}

func (p *terraform) finish(s *stream) {
	p.lego.finish(s)
	p.end.tell(s)
}
