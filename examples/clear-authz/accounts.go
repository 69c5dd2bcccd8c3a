package main

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"maps"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/acmeauthz/acmeauthz/account"
)

// A job is the authorizations of one account.
type job struct {
	account *account.Account
	urls    []string
}

// accounts returns the accounts of the CA that may own the URLs: the given key's,
// or those below the configuration directory.
func (p *program) accounts(o options, s server, key *keyFile) ([]*account.Account, error) {
	if key != nil {
		return bareAccount(s, key)
	}
	all, err := readAccounts(o.configDir)
	if len(all) == 0 {
		return nil, noAccounts(o, err)
	}
	for _, text := range faults(err) {
		p.warn("not all of an account below %s could be read: %s", o.configDir, text)
	}
	fit := ofServer(all, s)
	if len(fit) == 0 {
		return nil, noAccountFor(o, s, all)
	}
	if o.account != "" {
		named := slices.DeleteFunc(slices.Clone(fit), func(a *account.Account) bool { return !isNamed(a, o.account) })
		switch len(named) {
		case 0:
			return nil, noSuchAccount(o, s, fit)
		case 1:
			fit = named
		default:
			return nil, severalNamed(o, named)
		}
	}
	return fit, oneDirectory(fit, s)
}

// readAccounts reads Certbot's directory. Certbot writes absolute symbolic links
// between its directories, which os.DirFS follows.
func readAccounts(dir string) ([]*account.Account, error) {
	if _, err := os.Stat(dir); err != nil {
		return nil, err
	}
	all, err := account.Certbot(os.DirFS(dir))
	for _, a := range all {
		a.Path = filepath.Join(dir, a.Path) // as a person would type it
	}
	return all, err
}

// bareAccount is an account of which only the key is known.
func bareAccount(s server, key *keyFile) ([]*account.Account, error) {
	directory := cmp.Or(s.directory, directories[s.host])
	if directory == "" {
		return nil, usage("the directory URL of %s is not known, and a key alone does not tell it.", s.host).
			then("Add it, as the client had it: --server https://%s/…/directory", s.host)
	}
	return []*account.Account{{Key: key.signer, Directory: directory, Path: key.path}}, nil
}

// ofServer returns the accounts of the CA: those of its directory, if that is
// known. Otherwise those whose directory is on its host or, where none is, those
// whose own URL is.
func ofServer(all []*account.Account, s server) []*account.Account {
	fits := []func(*account.Account) bool{
		func(a *account.Account) bool { return hostOf(a.Directory) == s.host },
		func(a *account.Account) bool { return hostOf(a.URL) == s.host },
	}
	if s.directory != "" {
		fits = []func(*account.Account) bool{
			func(a *account.Account) bool { return sameDirectory(a.Directory, s.directory) },
		}
	}
	for _, fit := range fits {
		var some []*account.Account
		for _, a := range all {
			if fit(a) {
				some = append(some, a)
			}
		}
		if len(some) > 0 {
			return some
		}
	}
	return nil
}

// oneDirectory checks that the accounts agree about the directory URL.
func oneDirectory(accounts []*account.Account, s server) error {
	counts := make(map[string]int)
	for _, a := range accounts {
		counts[a.Directory]++
	}
	if len(counts) > 1 && s.directory == "" {
		return usage("accounts of %d directories of %s are there:\n%s", len(counts), s.host, trusted(list(counts))).
			then("Choose one at a time: --server %s", byCount(counts)[0])
	}
	return nil
}

// isNamed reports whether --account means a: by its number, its URL, or the name
// of its directory.
func isNamed(a *account.Account, name string) bool {
	return name != "" && (name == a.URL || name == number(a) || name == directoryName(a))
}

// directoryName is the name of the directory that Certbot keeps the account in.
func directoryName(a *account.Account) string {
	return filepath.Base(filepath.Dir(a.Path))
}

// number is the last part of the account's URL: Boulder has it in the
// authorization URLs, too.
func number(a *account.Account) string {
	u, err := url.Parse(a.URL)
	if err != nil || a.URL == "" {
		return ""
	}
	return path.Base(u.Path)
}

// numbered matches the path of an authorization URL that names its account.
var numbered = regexp.MustCompile(`^/acme/authz/([0-9]+)/[0-9]+$`)

// owner is the account number in an authorization URL, if it has one.
func owner(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return ""
	}
	if m := numbered.FindStringSubmatch(u.Path); m != nil {
		return m[1]
	}
	return ""
}

// assign gives each account its URLs. Those that name another account are
// counted by its number; those that name none go to the account if it is the
// only one there is, known to the CA or not.
func assign(urls []string, accounts []*account.Account, only bool) (jobs []job, strangers map[string]int, unowned int) {
	strangers = make(map[string]int)
	jobs = make([]job, len(accounts))
	byNumber := make(map[string]int)
	for i, a := range accounts {
		jobs[i].account = a
		byNumber[number(a)] = i
	}
	for _, u := range urls {
		n := owner(u)
		i, known := byNumber[n]
		switch {
		case n != "" && known:
			jobs[i].urls = append(jobs[i].urls, u)
		case n != "":
			strangers[n]++
		case only:
			jobs[0].urls = append(jobs[0].urls, u)
		default:
			unowned++
		}
	}
	jobs = slices.DeleteFunc(jobs, func(j job) bool { return len(j.urls) == 0 })
	return jobs, strangers, unowned
}

// jobs finds the accounts' URLs, and says which belong to nobody here.
func (p *program) jobs(ctx context.Context, o options, s server, key *keyFile, urls []string) ([]job, error) {
	accounts, err := p.accounts(o, s, key)
	if err != nil {
		return nil, err
	}
	kept, elsewhere := s.keep(urls, hostOf(accounts[0].URL))
	if len(kept) == 0 {
		return nil, usage("the logs name no authorization of %s, but of:\n%s", s.host, trusted(list(elsewhere))).
			then("Choose one of these: --server %s", byCount(elsewhere)[0])
	}
	known, failure := p.identify(ctx, o, accounts)
	if len(known) == 0 {
		return nil, firstOf(failure)
	}
	for _, err := range parts(failure) {
		p.warn("%s", err)
	}
	p.reportLeft(elsewhere)
	jobs, strangers, unowned := assign(kept, known, len(accounts) == 1)
	if unowned > 0 {
		return nil, ambiguous(s, accounts, unowned)
	}
	if len(jobs) == 0 {
		return nil, nothing("the URLs in the logs do not belong to %s, but to:\n%s",
			trusted(names(known)), trusted(list(named("account ", strangers)))).
			then("Find that account's key: --config-dir DIR, or --key private_key.json")
	}
	p.reportStrangers(o, strangers)
	return jobs, nil
}

// reportLeft says which URLs are of other CAs.
func (p *program) reportLeft(elsewhere map[string]int) {
	for _, host := range byCount(elsewhere) {
		if since := retired[host]; since != "" {
			p.say("Left out: %s of %s, switched off in %s.\n", trusted(plural(elsewhere[host], "URL")), host, trusted(since))
			continue
		}
		p.say("Left out: %s of another CA; to clear them: --server %s\n", trusted(plural(elsewhere[host], "URL")), host)
	}
}

// reportStrangers says which URLs are of accounts that are not worked on: a
// warning, unless that was asked for.
func (p *program) reportStrangers(o options, strangers map[string]int) {
	for _, n := range byCount(strangers) {
		count := trusted(plural(strangers[n], "URL"))
		if o.account != "" {
			p.say("Left out: %s of account %s, which is not the one of --account.\n", count, n)
			continue
		}
		p.warn("left out: %s of account %s, whose key was not given or found below %s", count, n, o.configDir)
	}
}

func named(prefix string, counts map[string]int) map[string]int {
	with := make(map[string]int)
	for key, n := range counts {
		with[prefix+key] = n
	}
	return with
}

// names lists accounts in a sentence.
func names(accounts []*account.Account) string {
	var all []string
	for _, a := range accounts {
		all = append(all, "account "+clean(cmp.Or(number(a), a.Path)))
	}
	return strings.Join(all, ", ")
}

// lines lists accounts one below the other.
func lines(accounts []*account.Account) string {
	var all []string
	for _, a := range accounts {
		all = append(all, cleanf("  %s  %s", cmp.Or(number(a), "?"), a.Path))
	}
	return strings.Join(all, "\n")
}

func ambiguous(s server, accounts []*account.Account, unowned int) error {
	return usage("%s do not say whose they are, and %d accounts of %s are there:\n%s",
		trusted(plural(unowned, "URL")), len(accounts), s.host, trusted(lines(accounts))).
		then("Choose one at a time: --account %s", cmp.Or(number(accounts[0]), directoryName(accounts[0])))
}

func noAccounts(o options, err error) error {
	switch {
	case errors.Is(err, fs.ErrPermission):
		return nothing("no permission to read the accounts below %s.", o.configDir).because(err).asRoot().
			then("Or have the account's private_key.json copied for you, and give it: --key private_key.json")
	case errors.Is(err, fs.ErrNotExist) && !isDir(o.configDir):
		return nothing("there is no %s, where Certbot keeps its accounts.", filepath.Join(o.configDir, "accounts")).because(err).
			then("Say where it is: --config-dir DIR").
			then("Or give the account's key: --key FILE (PEM or JWK)")
	case errors.Is(err, fs.ErrNotExist) && !isDir(filepath.Join(o.configDir, "accounts")):
		return nothing("no account can be looked up in %s: %s.", o.configDir, plain(err)).because(err).
			then("Say where Certbot's directory is: --config-dir DIR").
			then("Or give the account's key: --key FILE (PEM or JWK)")
	case err != nil:
		return nothing("no account below %s can be read:\n%s", o.configDir, trusted(faultLines(err))).because(err).
			then("Repair it from a backup, or give the account's key: --key FILE (PEM or JWK)")
	}
	return nothing("there is no account below %s.", o.configDir).
		then("If Certbot keeps them elsewhere: --config-dir DIR").
		then("Or give the account's key: --key FILE (PEM or JWK)").
		then("Without the key nobody can clear them; at Let's Encrypt they end by themselves within 7 days.")
}

func noAccountFor(o options, s server, all []*account.Account) error {
	counts := make(map[string]int)
	if s.directory != "" {
		for _, a := range all {
			counts[a.Directory]++
		}
		return usage("no account of the directory %s is below %s, only of:\n%s", s.directory, o.configDir, trusted(list(counts))).
			then("Give one of these, or only the host: --server %s", s.host).
			then("If Certbot keeps the account elsewhere: --config-dir DIR")
	}
	for _, a := range all {
		counts[cmp.Or(hostOf(a.Directory), hostOf(a.URL))]++
	}
	return nothing("no account of %s is below %s, only of:\n%s", s.host, o.configDir, trusted(list(counts))).
		then("If Certbot keeps it elsewhere: --config-dir DIR").
		then("Or give the account's key: --key FILE (PEM or JWK)")
}

func severalNamed(o options, named []*account.Account) error {
	return usage("--account %s means %d accounts:\n%s", o.account, len(named), trusted(lines(named))).
		then("Choose one by its URL: --account %s", cmp.Or(named[0].URL, "URL"))
}

func noSuchAccount(o options, s server, have []*account.Account) error {
	counts := make(map[string]bool)
	for _, a := range have {
		counts[cmp.Or(number(a), a.Path)] = true
	}
	return usage("no account %s of %s is below %s, only: %s.", o.account, s.host, o.configDir,
		strings.Join(slices.Sorted(maps.Keys(counts)), ", ")).
		then("Choose one of these with --account, or leave it out.")
}
