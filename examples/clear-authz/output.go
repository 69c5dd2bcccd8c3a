package main

import (
	"cmp"
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/acmeauthz/acmeauthz/account"
	"github.com/acmeauthz/acmeauthz/internal/display"
	"github.com/acmeauthz/acmeauthz/logparse"
)

func (p *program) warnExposed(a *account.Account) {
	if a.KeyExposed() {
		p.warn("the key %s can be read by other users of this machine; chmod 600 ends that.", a.Path)
	}
}

func accountTitle(a *account.Account) string {
	return display.Cleanf("Account %s of %s", cmp.Or(number(a), "(unknown number)"), hostOf(a.Directory))
}

// unreadable is the problem that something on this machine cannot be read.
func unreadable(what, path string, err error) error {
	switch {
	case errors.Is(err, fs.ErrPermission):
		return nothing("no permission to read %s %s.", display.Trusted(what), path).because(err).asRoot().
			then("Or have it copied for you, and name the copy.")
	case errors.Is(err, fs.ErrNotExist):
		return missing(path)
	}
	return nothing("%s %s cannot be read: %s.", display.Trusted(what), path, withoutPath(err)).because(err).
		then("Check the file and the disk, or name another.")
}

// parts are the errors that were joined, or the one that is alone.
func parts(err error) []error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return joined.Unwrap()
	}
	if err != nil {
		return []error{err}
	}
	return nil
}

// firstOf is the first of joined errors, which the others resemble.
func firstOf(err error) error {
	for _, part := range parts(err) {
		return part
	}
	return nil
}

// faults says what is wrong with accounts' files, in one text per directory.
func faults(err error) []string {
	var dirs []string
	texts := make(map[string][]string)
	for _, part := range parts(err) {
		dir := ""
		if e, ok := errors.AsType[*account.FileError](part); ok {
			dir = path.Dir(e.Path)
		}
		if texts[dir] == nil {
			dirs = append(dirs, dir)
		}
		texts[dir] = append(texts[dir], plain(part))
	}
	var all []string
	for _, dir := range dirs {
		all = append(all, strings.Join(texts[dir], "; "))
	}
	return all
}

func faultLines(err error) string {
	var lines []string
	for _, text := range faults(err) {
		lines = append(lines, display.Cleanf("  %s", text))
	}
	return strings.Join(lines, "\n")
}

// plain is the error without the name of the package that has it.
func plain(err error) string { return strings.TrimPrefix(err.Error(), "account: ") }

// missingFor is the problem that the file which a flag names is not there.
func missingFor(flag, path string) error {
	return usage("%s %s: there is no such file.", flag, path).because(fs.ErrNotExist).
		then("Name one that is there: %s FILE", flag)
}

// missing is the problem that a named file is not there.
func missing(path string) error {
	p := usage("there is no %s.", path).because(fs.ErrNotExist)
	if strings.ContainsAny(path, "*?[") {
		p.what = display.Cleanf("no file matches %s.", path)
	}
	if parent := filepath.Dir(path); parent != "." && isDir(parent) {
		return p.then("See what is there: ls -la %s", parent)
	}
	return p.then("Name the logs: clear-authz FILE..., or pipe them: cat letsencrypt.log* | clear-authz")
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// withoutPath is the error without the path that the message has already.
func withoutPath(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	return err
}

// logError says which log could not be read, and how far it got.
func logError(path string, err error) string {
	if path == stdinName {
		path = "standard input"
	}
	if e, ok := errors.AsType[*logparse.ReadError](err); ok {
		return display.Cleanf("%s: damaged or cut off after byte %d (%s); name a good copy if there is one", path, e.Offset, e.Err)
	}
	if errors.Is(err, fs.ErrPermission) {
		return display.Cleanf("%s: no permission to read it", path)
	}
	return display.Cleanf("%s: %s", path, withoutPath(err))
}

// nothingFound says that there is nothing to do, and why that may be a mistake.
func (f found) nothingFound(logs []string) string {
	if len(f.urls) > 0 {
		return display.Cleanf("Nothing to do: the only authorization URLs are of servers that were switched off:\n%s",
			display.Trusted(list(countHosts(f.urls))))
	}
	switch {
	case f.bytes == 0 && len(logs) == 1 && logs[0] == stdinName:
		return "Nothing to do: standard input was empty.\n" +
			"Name the logs, for instance: clear-authz /var/log/letsencrypt"
	case len(logs) == 0:
		return "Nothing to do: there is no file in that directory.\n" +
			"Name the logs, for instance: clear-authz /var/log/letsencrypt"
	}
	if f.strange {
		return display.Cleanf("Nothing to do: no authorization URL in %s, and no line of an ACME client that is known.\n%s", display.Trusted(f.size(logs)), display.Trusted(whereLogsAre(logs)))
	}
	return display.Cleanf("Nothing to do: no authorization URL in %s.\n", display.Trusted(f.size(logs))) +
		"If the logs were rotated away, older ones or a backup may have them; name those, too: " +
		"clear-authz letsencrypt.log.1 letsencrypt.log.2.gz\n" +
		"If there are none, the CA may list the orders: clear-authz plan --from-ca\n" +
		"Otherwise wait: what is pending ends by itself, at Let's Encrypt within 7 days."
}

// whereLogsAre says what to do where nothing that was read is from an ACME client.
func whereLogsAre(logs []string) string {
	what := "These may be other files than you think."
	if slices.ContainsFunc(logs, ofStore) {
		what = "This is where a client keeps its accounts and certificates, not its logs."
	}
	return what + `
Certbot's logs: clear-authz /var/log/letsencrypt
acme.sh's, if it was told to write one: clear-authz ~/.acme.sh/acme.sh.log
Of a program that systemd runs, such as Caddy or Traefik:
  sudo journalctl -u caddy -o export | clear-authz
Of a container: docker logs traefik 2>&1 | clear-authz
Of cert-manager: kubectl get orders.acme.cert-manager.io -A -o yaml | clear-authz
If you do not know where they are, look for them:
  sudo grep -rlsE '/acme/(authz|new-order)' /var/log /root /home`
}

// ofStore reports whether a file is one in which ACME clients keep accounts or certificates.
func ofStore(path string) bool {
	switch filepath.Base(path) {
	case "cli.ini", "private_key.json", "regr.json", "meta.json", "acme.json", "account.key", "account.json", "account.conf",
		"privkey.pem", "fullchain.pem", "cert.pem", "chain.pem":
		return true
	}
	return strings.HasSuffix(filepath.ToSlash(filepath.Dir(path)), "/etc/letsencrypt")
}

// size describes the logs that were read.
func (f found) size(logs []string) string {
	if len(logs) == 1 && logs[0] != stdinName {
		return display.Cleanf("%s (%d bytes)", logs[0], f.bytes)
	}
	return display.Cleanf("%s (%d bytes)", display.Trusted(display.Plural(len(logs), "log")), f.bytes)
}

// writeError is the problem that the output cannot be written.
func writeError(err error) error {
	return failed("the output cannot be written: %s.", err).because(err).
		then("What was cleared stays cleared; run the same command again to go on.")
}
