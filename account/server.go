package account

import "strings"

// An Environment says what the certificates of a server are for.
type Environment string

// The environments that [Account.Environment] tells.
const (
	EnvironmentUnknown Environment = ""           // the server is not one of the public CAs known here
	Production         Environment = "production" // its certificates are trusted by browsers
	Staging            Environment = "staging"    // it is a public CA's server for tests
)

// A server is an ACME server of a public CA.
type server struct {
	ca        string
	directory string // "" where a host has several and none is the usual one
	hosts     []string
	staging   bool
}

// servers are the public CAs' servers, from what the CAs document. Several
// clients store no more of a server than its host.
var servers = []server{
	{"Let's Encrypt", "https://acme-v02.api.letsencrypt.org/directory", []string{"acme-v02.api.letsencrypt.org"}, false},
	{"Let's Encrypt", "https://acme-staging-v02.api.letsencrypt.org/directory", []string{"acme-staging-v02.api.letsencrypt.org"}, true},
	{"ZeroSSL", "https://acme.zerossl.com/v2/DV90", []string{"acme.zerossl.com"}, false},
	{"Google Trust Services", "https://dv.acme-v02.api.pki.goog/directory", []string{"dv.acme-v02.api.pki.goog"}, false},
	{"Google Trust Services", "https://dv.acme-v02.test-api.pki.goog/directory", []string{"dv.acme-v02.test-api.pki.goog"}, true},
	{"Buypass", "https://api.buypass.com/acme/directory", []string{"api.buypass.com"}, false},
	{"Buypass", "https://api.test4.buypass.no/acme/directory", []string{"api.test4.buypass.no"}, true},
	{"SSL.com", "", []string{"acme.ssl.com"}, false}, // RSA and ECC apart
	{"Actalis", "https://acme-api.actalis.com/acme/directory", []string{"acme-api.actalis.com"}, false},
	{"Sectigo", "", []string{"acme.sectigo.com", "acme.enterprise.sectigo.com"}, false},
	{"DigiCert", "", []string{"acme.digicert.com", "one.digicert.com"}, false},
}

// serverOf returns the public CA's server on the host of a URL.
func serverOf(rawURL string) (server, bool) {
	host := strings.TrimSuffix(hostOfURL(rawURL), ":443")
	for _, s := range servers {
		for _, h := range s.hosts {
			if h == host {
				return s, true
			}
		}
	}
	return server{}, false
}

// usualDirectory returns the directory URL that the public CA on the host of a
// URL is known for, or "".
func usualDirectory(rawURL string) string {
	s, _ := serverOf(rawURL)
	return s.directory
}

// knownPair reports whether two URLs are of one public CA's server that has
// several hosts.
func knownPair(a, b string) bool {
	s, ok := serverOf(a)
	t, ok2 := serverOf(b)
	return ok && ok2 && s.ca == t.ca && s.staging == t.staging
}

// Environment says whether the account's server is one for tests or one whose
// certificates are trusted, as far as it is a public CA's and known.
func (a *Account) Environment() Environment {
	s, ok := serverOf(a.server())
	switch {
	case !ok:
		return EnvironmentUnknown
	case s.staging:
		return Staging
	}
	return Production
}

// CA is the name of the public CA whose server the account is at, such as
// "Let's Encrypt", or "" if the server is not known.
func (a *Account) CA() string {
	s, _ := serverOf(a.server())
	return s.ca
}

// server is a URL on the account's server.
func (a *Account) server() string {
	if a.Directory != "" {
		return a.Directory
	}
	return a.URL
}
