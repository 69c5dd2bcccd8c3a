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
	"slices"
	"strings"

	"github.com/acmeauthz/acmeauthz/account"
	"github.com/acmeauthz/acmeauthz/authz"
	"github.com/acmeauthz/acmeauthz/internal/display"
)

// A job is the authorizations of one account.
type job struct {
	account *account.Account
	urls    []string
	orders  func(url string) []authz.KnownOrder
	plan    *authz.Plan // to apply, in place of urls
}

// accounts returns the accounts of the CA that may own the URLs: the given key's,
// or those below the configuration directory.
func (p *program) accounts(o options, s server, key *keyFile) ([]*account.Account, error) {
	if key != nil {
		return bareAccount(s, key)
	}
	all, err := p.allAccounts(o)
	if len(all) == 0 {
		return nil, noAccounts(o, err)
	}
	fit := ofServer(all, s)
	if len(fit) == 0 {
		fit = atHome(all, s)
	}
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

// allAccounts reads the accounts of all CAs, once: those below --config-dir, or
// else those at the usual places of ACME clients; and that in the file which
// --account names.
func (p *program) allAccounts(o options) ([]*account.Account, error) {
	if p.known == nil && p.knownErr == nil {
		p.known, p.knownErr = p.readAccounts(o)
	}
	return p.known, p.knownErr
}

func (p *program) readAccounts(o options) (all []*account.Account, err error) {
	if _, missing := os.Stat(o.account); o.account != "" && missing == nil {
		if all, err := account.Load(o.account); len(all) > 0 || !errors.Is(err, fs.ErrNotExist) {
			return all, err
		}
	}
	if o.configDir == "" {
		all, err = p.findAccounts()
	} else {
		all, err = p.findAccounts(o.configDir)
	}
	for _, text := range faults(err) {
		if len(all) > 0 {
			p.warn("not all of an account could be read: %s", text)
		}
	}
	return all, err
}

// atHome returns the accounts whose client does not store the CA, as if they were at
// this one, which can be asked. Its directory has to be known.
func atHome(all []*account.Account, s server) (fit []*account.Account) {
	directory := cmp.Or(s.directory, directories[s.host])
	for _, a := range all {
		if a.Directory == "" && a.URL == "" && directory != "" {
			b := *a
			b.Directory = directory
			fit = append(fit, &b)
		}
	}
	return fit
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
		return usage("accounts of %d directories of %s are there:\n%s", len(counts), s.host, display.Trusted(list(counts))).
			then("Choose one at a time: --server %s", display.ByCount(counts)[0])
	}
	return nil
}

// isNamed reports whether --account means a: by its number, its URL, the thumbprint of
// its key, its path or one above it, or the name of its directory.
func isNamed(a *account.Account, name string) bool {
	if name == "" {
		return false
	}
	path, err := filepath.Abs(name)
	own, ownErr := filepath.Abs(a.Path)
	return name == a.URL || name == number(a) || name == a.Thumbprint() || name == directoryName(a) ||
		err == nil && ownErr == nil && strings.ContainsRune(name, filepath.Separator) &&
			(own == path || strings.HasPrefix(own, path+string(filepath.Separator)))
}

// directoryName is the name of the directory that Certbot keeps the account in.
func directoryName(a *account.Account) string {
	return filepath.Base(filepath.Dir(a.Path))
}

// number is the last part of the account's URL: Boulder has it in the
// authorization URLs, too.
func number(a *account.Account) string { return lastPart(a.URL) }

func lastPart(raw string) string {
	u, err := url.Parse(raw)
	if err != nil || raw == "" {
		return ""
	}
	return path.Base(u.Path)
}

// owner is the URL of the account that an authorization belongs to: as its URL
// tells, or as the logs do.
func owner(u string, owners map[string]string) string {
	if told := account.Owner(u); told != "" {
		return told
	}
	if logged := owners[u]; hostOf(logged) == hostOf(u) {
		return logged
	}
	return ""
}

// assign gives each account its URLs, whose owners the logs may tell. Those that
// belong to another account are counted by its name; those whose owner nobody
// tells go to the account if it is the only one there is, known to the CA or not.
func assign(urls []string, owners map[string]string, accounts []*account.Account, only bool) (jobs []job, strangers map[string]int, unowned int) {
	strangers = make(map[string]int)
	jobs = make([]job, len(accounts))
	byNumber := make(map[string]int)
	for i, a := range accounts {
		jobs[i].account = a
		byNumber[number(a)] = i
	}
	for _, u := range urls {
		n := lastPart(owner(u, owners))
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

// allJobs finds the accounts at all servers. With several, one without an account does
// not keep the program from the others.
func (p *program) allJobs(ctx context.Context, o options, servers []server, key *keyFile, f *found) (jobs []job, err error) {
	var without []string
	f.left = make(map[string][]int)
	for _, s := range servers {
		some, fault := p.jobs(ctx, o, s, key, f)
		if fault != nil && (len(servers) == 1 || ctx.Err() != nil) {
			return nil, fault
		}
		if fault != nil {
			without = append(without, leftOut(s, f, fault))
			err = cmp.Or(err, fault)
		}
		jobs = append(jobs, some...)
	}
	if len(jobs) == 0 {
		return nil, err
	}
	for _, text := range without {
		if o.account == "" { // else the others were not meant
			p.warn("%s", display.Trusted(text))
		}
	}
	for _, s := range servers {
		delete(f.left, s.host) // told already
	}
	p.reportLeft(f.left, len(servers)-len(without))
	return jobs, nil
}

// leftOut says why nothing is done about the URLs of one server of several.
func leftOut(s server, f *found, fault error) string {
	urls, _ := s.keep(f.urls)
	text := display.Clean(fault.Error())
	if known, ok := errors.AsType[*problem](fault); ok {
		text = known.what
	}
	return display.Cleanf("left out: %s of %s: %s", display.Trusted(display.Plural(len(urls), "URL")), s.host, display.Trusted(text))
}

// jobs finds the accounts' URLs, and says which belong to nobody here.
func (p *program) jobs(ctx context.Context, o options, s server, key *keyFile, f *found) ([]job, error) {
	accounts, err := p.accounts(o, s, key)
	if err != nil {
		return nil, err
	}
	kept, elsewhere := s.keep(f.urls, hostOf(accounts[0].URL))
	if len(kept) == 0 {
		return nil, usage("the logs name no authorization of %s, but of:\n%s", s.host, display.Trusted(list(elsewhere))).
			then("Choose one of these: --server %s", display.ByCount(elsewhere)[0])
	}
	known, failure := p.identify(ctx, o, accounts)
	if len(known) == 0 {
		return nil, firstOf(failure)
	}
	for _, err := range parts(failure) {
		p.warn("%s", err)
	}
	for host, n := range elsewhere {
		f.left[host] = append(f.left[host], n)
	}
	jobs, strangers, unowned := assign(kept, f.owners, known, len(accounts) == 1)
	if unowned > 0 {
		return nil, ambiguous(s, accounts, unowned)
	}
	if len(jobs) == 0 {
		return nil, nothing("the URLs in the logs do not belong to %s, but to:\n%s",
			display.Trusted(names(known)), display.Trusted(list(named("account ", strangers)))).
			then("Find that account's key: --config-dir DIR, or --key private_key.json")
	}
	p.reportStrangers(o, s, strangers, known)
	return jobs, nil
}

// reportLeft says which URLs are of other CAs than all that are worked on; each of
// those has left them.
func (p *program) reportLeft(left map[string][]int, servers int) {
	elsewhere := make(map[string]int)
	for host, counts := range left {
		if len(counts) == servers {
			elsewhere[host] = counts[0]
		}
	}
	for _, host := range display.ByCount(elsewhere) {
		if since := retired[host]; since != "" {
			p.say("Left out: %s of %s, switched off in %s.\n", display.Trusted(display.Plural(elsewhere[host], "URL")), host, display.Trusted(since))
			continue
		}
		p.say("Left out: %s of another CA; to clear them: --server %s\n", display.Trusted(display.Plural(elsewhere[host], "URL")), host)
	}
}

// reportStrangers says which URLs are of accounts that are not worked on: a
// warning, unless that was asked for.
func (p *program) reportStrangers(o options, s server, strangers map[string]int, known []*account.Account) {
	for _, n := range display.ByCount(strangers) {
		count := display.Trusted(display.Plural(strangers[n], "URL"))
		if o.account != "" {
			p.say("Left out: %s of account %s, which is not the one of --account.\n", count, n)
			continue
		}
		p.warn("left out: %s of account %s of %s, whose key was not given or found %s, only: %s",
			count, n, s.host, display.Trusted(o.below()), display.Trusted(keysOf(known)))
	}
}

// keysOf lists accounts with the clients that keep them.
func keysOf(accounts []*account.Account) string {
	var all []string
	for _, a := range accounts {
		all = append(all, display.Cleanf("%s (%s)", a.Name(), cmp.Or(a.StoredBy, "given")))
	}
	return strings.Join(all, ", ")
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
		all = append(all, "account "+display.Clean(cmp.Or(number(a), a.Path)))
	}
	return strings.Join(all, ", ")
}

// lines lists accounts one below the other.
func lines(accounts []*account.Account) string {
	var all []string
	for _, a := range accounts {
		all = append(all, display.Cleanf("  %s  %s", cmp.Or(number(a), "?"), a.Path))
	}
	return strings.Join(all, "\n")
}

func ambiguous(s server, accounts []*account.Account, unowned int) error {
	return usage("%s do not say whose they are, and %d accounts of %s are there:\n%s",
		display.Trusted(display.Plural(unowned, "URL")), len(accounts), s.host, display.Trusted(lines(accounts))).
		then("Choose one at a time: --account %s", cmp.Or(number(accounts[0]), directoryName(accounts[0])))
}

func noAccounts(o options, err error) error {
	switch {
	case errors.Is(err, fs.ErrPermission):
		return nothing("no permission to read the accounts %s.", display.Trusted(o.below())).because(err).asRoot().
			then("Only root may read the keys: who has one can act for you at the CA.").
			then("Or copy two files as root, the account's key and the log, and name the copies:").
			then("  sudo cp %s/accounts/*/directory/*/private_key.json letsencrypt.log .", cmp.Or(strings.TrimRight(o.configDir, "/"), "/etc/letsencrypt")).
			then("  sudo chown $USER private_key.json letsencrypt.log").
			then("  clear-authz private_key.json letsencrypt.log")
	case o.configDir != "" && !exists(o.configDir):
		return nothing("there is no %s to find accounts in.", o.configDir).because(err).
			then("Say where the ACME client keeps them: --config-dir DIR").
			then("Or give the account's key: --key FILE (PEM or JWK)")
	case isFault(o, err):
		return nothing("no account %s can be read:\n%s", display.Trusted(o.below()), display.Trusted(faultLines(err))).because(err).
			then("Repair it from a backup, or give the account's key: --key FILE (PEM or JWK)")
	}
	return nothing("there is no account %s.", display.Trusted(o.below())).because(err).
		then("If the ACME client keeps them elsewhere: --config-dir DIR").
		then("Or give the account's key: --key FILE (PEM or JWK)").
		then("Without the key nobody can clear them; at Let's Encrypt they end by themselves within 7 days.")
}

// isFault reports whether err is about a client's file, and not about there being none.
func isFault(o options, err error) bool {
	e, ok := errors.AsType[*account.FileError](err)
	return ok && (o.configDir == "" || e.Path != filepath.Clean(o.configDir))
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func noAccountFor(o options, s server, all []*account.Account) error {
	counts := make(map[string]int)
	if s.directory != "" {
		for _, a := range all {
			counts[a.Directory]++
		}
		return usage("no account of the directory %s is %s, only of:\n%s", s.directory, display.Trusted(o.below()), display.Trusted(list(counts))).
			then("Give one of these, or only the host: --server %s", s.host).
			then("If the account is kept elsewhere: --config-dir DIR")
	}
	for _, a := range all {
		counts[cmp.Or(hostOf(a.Directory), hostOf(a.URL), "a CA that is not stored")]++
	}
	return nothing("no account of %s is %s, only of:\n%s", s.host, display.Trusted(o.below()), display.Trusted(list(counts))).
		then("If it is kept elsewhere: --config-dir DIR").
		then("Or give the account's key: --key FILE (PEM or JWK)")
}

func severalNamed(o options, named []*account.Account) error {
	return usage("--account %s means %d accounts:\n%s", o.account, len(named), display.Trusted(lines(named))).
		then("Choose one by its URL: --account %s", cmp.Or(named[0].URL, "URL"))
}

func noSuchAccount(o options, s server, have []*account.Account) error {
	counts := make(map[string]bool)
	for _, a := range have {
		counts[cmp.Or(number(a), a.Path)] = true
	}
	return usage("no account %s of %s is %s, only: %s.", o.account, s.host, display.Trusted(o.below()),
		strings.Join(slices.Sorted(maps.Keys(counts)), ", ")).
		then("Choose one of these with --account, or leave it out.")
}
