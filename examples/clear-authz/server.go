package main

import (
	"maps"
	"net"
	"net/url"
	"slices"
	"strings"

	"github.com/acmeauthz/acmeauthz/internal/display"
)

// A server is the CA to work on.
type server struct {
	host      string // with the port, if it is not the scheme's own
	directory string // the directory URL; empty if only the host is known
}

// directories holds the directory URL of public CAs that have one only. It is
// used for a bare key; an account of Certbot brings its own.
var directories = map[string]string{
	"acme-v02.api.letsencrypt.org":         "https://acme-v02.api.letsencrypt.org/directory",
	"acme-staging-v02.api.letsencrypt.org": "https://acme-staging-v02.api.letsencrypt.org/directory",
	"acme.zerossl.com":                     "https://acme.zerossl.com/v2/DV90",
	"dv.acme-v02.api.pki.goog":             "https://dv.acme-v02.api.pki.goog/directory",
	"dv.acme-v02.test-api.pki.goog":        "https://dv.acme-v02.test-api.pki.goog/directory",
}

// retired tells which hosts of old logs are gone, and since when.
var retired = map[string]string{
	"acme-v01.api.letsencrypt.org":     "June 2021",
	"acme-staging.api.letsencrypt.org": "June 2021",
}

// isLetsEncrypt reports whether deactivating has a price there: see the hint.
func (j job) isLetsEncrypt() bool {
	return strings.HasSuffix(hostOf(j.account.Directory), ".api.letsencrypt.org")
}

// parseServer reads --server: a host, a host with a port, or a directory URL.
func parseServer(named, from string) (server, error) {
	raw := named
	if !strings.Contains(raw, "://") {
		raw = "https://" + raw
	}
	u, err := url.Parse(raw)
	if err != nil || u.Hostname() == "" || u.Scheme != "https" && u.Scheme != "http" || u.User != nil {
		return server{}, usage("%s %s is neither a host nor a directory URL.", from, named).
			then("For example: --server acme-v02.api.letsencrypt.org")
	}
	if u.Scheme == "http" && !isLoopback(u.Hostname()) {
		return server{}, usage("%s %s is not https: who is on the way could read and change what is sent.", from, named).
			then("Give it with https, or leave it out.")
	}
	s := server{host: hostOf(raw)}
	if strings.Trim(u.Path, "/") != "" {
		s.directory = raw
	}
	return s, nil
}

// isLoopback reports whether host is this machine; tests run CAs there.
func isLoopback(host string) bool {
	return host == "localhost" || net.ParseIP(host).IsLoopback()
}

// sameDirectory reports whether two directory URLs differ in nothing but a slash
// at the end, or the way to write the host.
func sameDirectory(a, b string) bool {
	u, err := url.Parse(a)
	if err != nil {
		return false
	}
	v, err := url.Parse(b)
	if err != nil {
		return false
	}
	return u.Scheme == v.Scheme && hostOf(a) == hostOf(b) && u.RawQuery == v.RawQuery &&
		strings.TrimRight(u.Path, "/") == strings.TrimRight(v.Path, "/")
}

// chooseServers returns the CA that was named or, if none was, those in the logs, the
// most frequent first. It never falls back on a CA that nobody mentioned. There are
// none if the logs name none that still exists. A key given by hand is for one CA.
func chooseServers(o options, key *keyFile, urls []string) (servers []server, err error) {
	if o.server != "" {
		s, err := parseServer(o.server, o.serverFrom)
		return []server{s}, err
	}
	counts := countHosts(urls)
	maps.DeleteFunc(counts, func(host string, _ int) bool { return retired[host] != "" })
	hosts := display.ByCount(counts)
	if key != nil && len(hosts) > 1 {
		return nil, usage("the logs name %d CAs, and a key is of an account at one:\n%s", len(hosts), display.Trusted(list(counts))).
			then("Choose one at a time: --server %s", hosts[0])
	}
	for _, host := range hosts {
		servers = append(servers, server{host: host})
	}
	return servers, nil
}

// keep splits the URLs into those of this CA and a count of the others by host.
func (s server) keep(urls []string, hosts ...string) (kept []string, left map[string]int) {
	hosts = append(hosts, s.host)
	left = make(map[string]int)
	for _, u := range urls {
		if host := hostOf(u); slices.Contains(hosts, host) {
			kept = append(kept, u)
		} else {
			left[host]++
		}
	}
	return kept, left
}

func countHosts(urls []string) map[string]int {
	counts := make(map[string]int)
	for _, u := range urls {
		counts[hostOf(u)]++
	}
	return counts
}

// hostOf is the host of a URL, in lower case, with the port unless it is the
// scheme's own.
func hostOf(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return ""
	}
	host := strings.ToLower(u.Host)
	switch u.Scheme {
	case "https":
		return strings.TrimSuffix(host, ":443")
	case "http":
		return strings.TrimSuffix(host, ":80")
	}
	return host
}

// list is one line per key with its count, for a message.
func list(counts map[string]int) string {
	var lines []string
	for _, key := range display.ByCount(counts) {
		lines = append(lines, display.Cleanf("%6d  %s", counts[key], key))
	}
	return strings.Join(lines, "\n")
}
