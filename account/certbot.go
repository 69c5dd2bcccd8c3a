package account

// Certbot's configuration directory, as certbot/_internal/account.py of
// Certbot 0.1 to 5 writes it:
//
//	accounts/                                   0700
//	├── acme-v02.api.letsencrypt.org/           host[:port] of the directory URL
//	│   └── directory/                          and its path, a directory for each segment
//	│       └── 35ce4c316f2f2d644994ea438682dbe5/   an account: MD5 of the public key
//	│           ├── private_key.json            0400, a JWK
//	│           ├── regr.json                   {"body": {}, "uri": "<account URL>"}
//	│           └── meta.json                   {"creation_dt": "<RFC 3339>", "creation_host": "<name>"}
//	├── ca.internal:9443/
//	│   └── acme/acme/directory/…
//	├── acme-staging.api.letsencrypt.org/       a server of ACME v1 days
//	│   └── directory/…
//	└── acme-staging-v02.api.letsencrypt.org/   uses its accounts
//	    └── directory -> /etc/letsencrypt/accounts/acme-staging.api.letsencrypt.org/directory
//
// The link may also stand for a single account. Certbot makes it with the
// absolute name, so in a copy of the tree it leads nowhere, or worse, into the
// original. The directory URL is in no file.
//
// How it is read: walk visits every directory below accounts/ under every name
// that leads there and notes in certbotTree.stores which directories hold an
// account, and for which servers. A directory is known by its real name, which
// has no links left in it. Then each store is loaded, once.

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4/json"
)

const (
	certbotKey  = "private_key.json"
	certbotRegr = "regr.json"
	certbotMeta = "meta.json"

	maxDepth = 32     // of directories below accounts/
	maxLinks = 40     // on the way to one directory, as in Linux
	maxDirs  = 10_000 // visits; links can make a small tree look endless
	maxHints = 1000   // entries looked at to say which directory was given instead
)

var (
	errLinks = errors.New("symbolic links form a loop")
	errDepth = errors.New("too many directories inside each other")
	errDirs  = errors.New("too many directories; the rest was not read")
)

// Certbot reads the accounts in a Certbot configuration directory, usually
// os.DirFS("/etc/letsencrypt"): the one that holds the directory accounts. They
// are sorted by Path. A directory accounts without any account is no error.
//
// Accounts that cannot be read do not hide the others: the error joins a
// [*FileError] for each file or directory with a fault. If the fault is not in
// the key's file the account is there all the same, without what the faulty file
// would have told: with a key and a directory URL it can be used. If there is no
// directory accounts, the error is a [*FileError] that wraps [fs.ErrNotExist] and
// says what was given instead.
//
// Directory comes from the names of the directories; it is https unless the
// account URL says http for the same server, and has no slash at its end, as
// such a name cannot tell. URL is empty if the stored one
// belongs to another server. Where a symbolic link, as Certbot makes it when a
// server gets a new name, puts an account under several servers there is still
// one Account: its Directory is that of the server which gave out the account
// URL, otherwise that of the link. The names that Let's Encrypt's servers had in
// ACME v1 days, which have been shut down, are replaced by those of today, in
// Directory as in URL; the numbers of accounts have stayed.
//
// Links are followed within fsys if it implements [fs.ReadLinkFS], as [os.DirFS]
// does. A link to an absolute name that contains "/accounts/" is taken to mean
// the accounts of fsys, so that a copied configuration directory is read
// like the original.
func Certbot(fsys fs.FS) ([]*Account, error) {
	t := &certbotTree{fsys: fsys, stores: map[string]*certbotStore{}, faults: map[string]error{}}
	root, err := t.root()
	if err != nil {
		return nil, err
	}
	t.walk(root, nil)
	var accounts []*Account
	for _, name := range slices.Sorted(maps.Keys(t.stores)) {
		if a := t.load(t.stores[name]); a != nil {
			accounts = append(accounts, a)
		}
	}
	accounts = mergeAccounts(accounts)
	slices.SortFunc(accounts, func(a, b *Account) int { return strings.Compare(a.Path, b.Path) })
	return accounts, joinFaults(t.faults)
}

// certbotTree is what is known of the tree while it is read.
type certbotTree struct {
	fsys   fs.FS
	stores map[string]*certbotStore // by the real name of the account's directory
	faults map[string]error         // by the name of the file
	dirs   int                      // visited
}

// A certbotStore is the directory of an account.
type certbotStore struct {
	dir     string // a name that opens it
	servers []certbotServer
}

// A certbotServer is a server that Certbot uses an account for.
type certbotServer struct {
	path   string // host[:port] and path of the directory URL
	linked bool   // found through a symbolic link
}

// A place is a directory, or a link on the way to one.
type place struct {
	open   string // the name that opens it in the tree's file system
	real   string // what it is, whatever way one came; equal to open unless out of the tree
	name   string // the names on the way to it, below accounts/
	linked bool   // whether there was a link on that way
}

func (t *certbotTree) fault(name string, err error) {
	t.faults[name] = fileError(name, err)
}

// root returns the directory accounts.
func (t *certbotTree) root() (place, error) {
	const accounts = "accounts"
	root, err := t.canonical(accounts)
	if err == nil {
		var info fs.FileInfo
		if info, err = fs.Stat(t.fsys, root.open); err == nil && !info.IsDir() {
			err = errors.New("not a directory")
		}
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = &elsewhereError{"Certbot's configuration directory, usually /etc/letsencrypt, which holds a directory accounts" + t.mistaken()}
	}
	if err != nil {
		return place{}, fileError(accounts, err)
	}
	return root, nil
}

// mistaken says which directory of Certbot's was given instead of the right one.
func (t *certbotTree) mistaken() string {
	const levels = 5 // host, and the path of the directory URL
	if _, err := fs.Stat(t.fsys, certbotKey); err == nil {
		return "; what was given is the directory of one account, some levels below it"
	}
	left := maxHints
	for dirs := []string{"."}; len(dirs) > 0 && left > 0; dirs = dirs[1:] {
		for _, entry := range t.some(dirs[0], &left) {
			name := path.Join(dirs[0], entry.Name())
			if entry.Name() == certbotKey {
				return "; what was given is the directory accounts itself, or one below it"
			}
			if entry.IsDir() && strings.Count(name, "/") < levels {
				dirs = append(dirs, name)
			}
		}
	}
	return ""
}

// some returns up to *left entries of a directory, and takes them off.
func (t *certbotTree) some(dir string, left *int) []fs.DirEntry {
	f, err := t.fsys.Open(dir)
	if err != nil {
		return nil
	}
	defer f.Close()
	d, ok := f.(fs.ReadDirFile)
	if !ok {
		return nil
	}
	entries, _ := d.ReadDir(*left)
	*left -= len(entries)
	return entries
}

// walk notes the accounts in the directory p and below. The trail holds the
// real names of the directories around p.
func (t *certbotTree) walk(p place, trail []string) {
	if slices.Contains(trail, p.real) {
		return // a link back; what is there is being visited
	}
	if t.dirs++; t.dirs > maxDirs || len(trail) > maxDepth {
		t.fault(t.limit(p))
		return
	}
	entries, err := fs.ReadDir(t.fsys, p.open)
	if err != nil {
		t.fault(p.open, err)
	}
	trail = append(slices.Clip(trail), p.real)
	for _, entry := range entries {
		switch name := entry.Name(); name {
		case certbotKey, certbotRegr, certbotMeta:
			t.note(p)
		default:
			if sub, ok := t.sub(p, entry); ok {
				t.walk(sub, trail)
			}
		}
	}
}

func (t *certbotTree) limit(p place) (name string, err error) {
	if t.dirs > maxDirs {
		return "accounts", errDirs
	}
	return p.open, errDepth
}

// note remembers that p holds an account, for the server that its name tells.
func (t *certbotTree) note(p place) {
	store := t.stores[p.real]
	if store == nil {
		store = &certbotStore{dir: p.open}
		t.stores[p.real] = store
	}
	server := certbotServer{path: path.Dir(p.name), linked: p.linked}
	if !slices.Contains(store.servers, server) {
		store.servers = append(store.servers, server)
	}
}

// sub returns the directory that an entry of the directory p is or leads to.
func (t *certbotTree) sub(p place, entry fs.DirEntry) (place, bool) {
	sub := place{
		open:   path.Join(p.open, entry.Name()),
		real:   path.Join(p.real, entry.Name()),
		name:   path.Join(p.name, entry.Name()),
		linked: p.linked,
	}
	switch entry.Type() {
	case fs.ModeDir:
		return sub, true
	case fs.ModeSymlink:
		target, err := t.follow(sub)
		if err == nil {
			var info fs.FileInfo
			if info, err = fs.Stat(t.fsys, target.open); err == nil && !info.IsDir() {
				return place{}, false
			}
		}
		if err != nil {
			t.fault(sub.open, fmt.Errorf("symbolic link: %w", cause(err)))
			return place{}, false
		}
		target.name, target.linked = sub.name, true
		return target, true
	default:
		return place{}, false
	}
}

// follow returns where a link leads.
func (t *certbotTree) follow(link place) (place, error) {
	if link.open == link.real {
		return t.canonical(link.open)
	}
	// Out of the tree the file system finds the way. The real name is needed
	// only to notice loops and second visits; maxDirs ends what it misses.
	target, err := fs.ReadLink(t.fsys, link.open)
	if err != nil {
		return place{}, err
	}
	if !path.IsAbs(target) {
		target = path.Join(path.Dir(link.real), target)
	} else if name, ok := t.inside(".", target); ok {
		return t.canonical(name)
	}
	return place{open: link.open, real: target}, nil
}

// canonical follows all the links in a name of the tree. If they lead out of
// the tree the place keeps the name that made it do so.
func (t *certbotTree) canonical(name string) (place, error) {
	done, rest := ".", strings.Split(name, "/")
	for links := 0; len(rest) > 0; {
		next := path.Join(done, rest[0])
		rest = rest[1:]
		info, err := fs.Lstat(t.fsys, next)
		if err != nil {
			return place{}, err
		}
		if info.Mode().Type() != fs.ModeSymlink {
			done = next
			continue
		}
		if links++; links > maxLinks {
			return place{}, errLinks
		}
		target, err := fs.ReadLink(t.fsys, next)
		if err != nil {
			return place{}, err
		}
		inside, ok := t.inside(done, target)
		if !ok {
			return outside(next, target, rest), nil
		}
		done, rest = ".", append(strings.Split(inside, "/"), rest...)
	}
	return place{open: done, real: done}, nil
}

// outside is the place below a link that leads out of the tree.
func outside(link, target string, rest []string) place {
	if !path.IsAbs(target) {
		target = path.Join(path.Dir(link), target)
	}
	below := path.Join(rest...)
	return place{open: path.Join(link, below), real: path.Join(target, below)}
}

// inside returns the name in the tree of the target of a link in dir, if there
// is one. Of an absolute target that is the part from accounts/ on, if the tree
// has such a server.
func (t *certbotTree) inside(dir, target string) (string, bool) {
	if !path.IsAbs(target) {
		name := path.Join(dir, target)
		return name, fs.ValidPath(name)
	}
	target = path.Clean(target)
	for from := 0; ; {
		i := strings.Index(target[from:], "/accounts/")
		if i < 0 {
			return "", false
		}
		from += i + 1
		name := target[from:]
		host, _, _ := strings.Cut(strings.TrimPrefix(name, "accounts/"), "/")
		if _, err := fs.Lstat(t.fsys, path.Join("accounts", host)); err == nil {
			return name, true
		}
	}
}

// load reads an account. It returns nil if there is no key or no server.
func (t *certbotTree) load(store *certbotStore) *Account {
	keyFile := path.Join(store.dir, certbotKey)
	data, mode, err := t.read(keyFile)
	if err != nil {
		t.fault(keyFile, err)
		return nil
	}
	a := &Account{Path: keyFile, Mode: mode.Perm(), StoredBy: "certbot", shielded: shielded(t.fsys, keyFile)}
	if a.Key, err = ParseKey(data); err != nil {
		t.fault(keyFile, err)
		return nil
	}
	uri := t.loadRegr(path.Join(store.dir, certbotRegr), a)
	t.loadMeta(path.Join(store.dir, certbotMeta), a)
	if a.Directory, err = store.directory(uri); err != nil {
		t.fault(store.dir, err)
		return nil
	}
	if uri != nil && strings.EqualFold(hostPort(uri.Scheme, uri.Host), hostPortOf(a.Directory)) {
		a.URL = uri.String()
	}
	return a
}

// read is readFile, for a file that may be a link such as Certbot makes.
func (t *certbotTree) read(name string) ([]byte, fs.FileMode, error) {
	p, err := t.canonical(name)
	if err != nil {
		return nil, 0, err
	}
	return readFile(t.fsys, p.open)
}

// loadRegr reads regr.json, of which Certbot's older versions wrote more
// members. It returns the account URL, with the server's name of today, or nil.
func (t *certbotTree) loadRegr(name string, a *Account) *url.URL {
	var regr struct {
		URI  string `json:"uri"`
		Body struct {
			Contact []string `json:"contact"`
		} `json:"body"`
	}
	if err := t.readJSON(name, &regr); err != nil {
		t.fault(name, err)
		return nil
	}
	a.Contact = regr.Body.Contact
	uri, err := parseURL(regr.URI)
	if err != nil {
		t.fault(name, errors.New("uri is not the URL of an account"))
		return nil
	}
	return currentAccount(uri)
}

// loadMeta reads meta.json, which is no loss if it is not there.
func (t *certbotTree) loadMeta(name string, a *Account) {
	var meta struct {
		CreationDT   time.Time `json:"creation_dt"`
		CreationHost string    `json:"creation_host"`
	}
	err := t.readJSON(name, &meta)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err != nil {
		t.fault(name, err)
		return
	}
	a.CreatedAt, a.CreatedOn = meta.CreationDT, meta.CreationHost
}

func (t *certbotTree) readJSON(name string, v any) error {
	data, _, err := t.read(name)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, v); err != nil {
		// The cause may quote the file, and files get mixed up.
		return errors.New("malformed JSON, or a member of a wrong type")
	}
	return nil
}

// directory returns the directory URL of the server that the store is for.
func (s *certbotStore) directory(uri *url.URL) (string, error) {
	if uri == nil {
		uri = &url.URL{Scheme: "https"}
	}
	var best certbotServer
	var bestURL *url.URL
	for _, server := range s.servers {
		u, err := server.url(uri)
		if err != nil {
			continue
		}
		if bestURL == nil || server.compare(best, u.Host == uri.Host, bestURL.Host == uri.Host) < 0 {
			best, bestURL = server, u
		}
	}
	if bestURL == nil {
		return "", errors.New("the names of the directories between accounts and this one are not the host and path of a server")
	}
	return bestURL.String(), nil
}

// compare orders the servers of one store: first that which gave out the
// account URL, then those found through a link, which is how Certbot adds the
// newer name to an older server's accounts.
func (s certbotServer) compare(t certbotServer, ours, theirs bool) int {
	rank := func(s certbotServer, issued bool) int {
		switch {
		case issued:
			return 0
		case s.linked:
			return 1
		default:
			return 2
		}
	}
	if d := rank(s, ours) - rank(t, theirs); d != 0 {
		return d
	}
	return strings.Compare(s.path, t.path)
}

// url returns the directory URL of a server. Where the account URL is on the
// same host it knows better about http and https; and about the port: Certbot
// for Windows wrote an underscore for the colon.
func (s certbotServer) url(uri *url.URL) (*url.URL, error) {
	if s.path == "." || strings.ContainsAny(s.path, "?#") { // Certbot takes off queries
		return nil, errors.New("not the host and path of a URL")
	}
	u, err := parseURL("https://" + currentServer(s.path))
	if err != nil {
		return nil, err
	}
	if u.Host == strings.ReplaceAll(uri.Host, ":", "_") {
		u.Host = uri.Host
	}
	if strings.EqualFold(hostPort(uri.Scheme, u.Host), hostPort(uri.Scheme, uri.Host)) {
		u.Scheme = uri.Scheme
	}
	return u, nil
}

// parseURL parses an absolute http or https URL that is safe to print.
func parseURL(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	if err != nil {
		return nil, err
	}
	unprintable := strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f })
	if u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" || u.User != nil || unprintable {
		return nil, errors.New("not an http or https URL")
	}
	return u, nil
}

// hostPort returns host with a port, the scheme's own if it has none.
func hostPort(scheme, host string) string {
	u := url.URL{Host: host}
	switch {
	case u.Port() != "":
		return host
	case scheme == "http":
		return u.Host + ":80"
	default:
		return u.Host + ":443"
	}
}

func hostPortOf(rawURL string) string {
	u, err := url.Parse(rawURL)
	if err != nil {
		return ""
	}
	return hostPort(u.Scheme, u.Host)
}

// currentHost returns the host that serves the accounts of one of the hosts
// which Let's Encrypt had for ACME v1 (Certbot's LE_REUSE_SERVERS).
func currentHost(host string) (string, bool) {
	switch host {
	case "acme-v01.api.letsencrypt.org":
		return "acme-v02.api.letsencrypt.org", true
	case "acme-staging.api.letsencrypt.org":
		return "acme-staging-v02.api.letsencrypt.org", true
	default:
		return host, false
	}
}

func currentServer(server string) string {
	host, dir, _ := strings.Cut(server, "/")
	if now, ok := currentHost(host); ok && dir == "directory" {
		return now + "/" + dir
	}
	return server
}

// currentAccount replaces an account URL of ACME v1, …/acme/reg/1. Boulder has
// kept the numbers, and takes both (its LegacyKeyIDPrefix).
func currentAccount(uri *url.URL) *url.URL {
	now, ok := currentHost(uri.Host)
	number, isReg := strings.CutPrefix(uri.Path, "/acme/reg/")
	if !ok || !isReg {
		return uri
	}
	return &url.URL{Scheme: "https", Host: now, Path: "/acme/acct/" + number}
}

// mergeAccounts keeps one of the accounts that have the same key at the same
// server, which a server cannot tell apart: copies of an account's directory
// under another name, or of one that was a link. One with an account URL is
// preferred, then the first.
func mergeAccounts(accounts []*Account) []*Account {
	kept := map[string]int{}
	var merged []*Account
	for _, a := range accounts {
		id := a.Directory
		if der, err := x509.MarshalPKIXPublicKey(a.Key.Public()); err == nil {
			id += " " + string(der)
		}
		i, ok := kept[id]
		switch {
		case !ok:
			kept[id] = len(merged)
			merged = append(merged, a)
		case merged[i].URL == "" && a.URL != "":
			merged[i] = a
		}
	}
	return merged
}
