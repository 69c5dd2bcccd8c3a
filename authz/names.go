package authz

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"golang.org/x/crypto/acme"
	"golang.org/x/net/idna"
	"golang.org/x/net/publicsuffix"
)

// Names is a set of names to choose authorizations by. The zero set is empty; a
// set is safe for concurrent use.
// Make one with [ParseNames].
type Names struct {
	exact    map[string]bool // "example.org", "*.example.org", "192.0.2.1"
	below    map[string]bool // "example.org": all of it
	spelling []string        // as they were given
}

// ParseNames makes a set of names, each in one of these forms:
//
//	example.org      the authorization of that very name, not its wildcard
//	*.example.org    the authorization of the wildcard, not that of the name
//	.example.org     the name, its wildcard, and all names and wildcards below it
//	192.0.2.1        an IP address (RFC 8738)
//
// Case, a dot at the end and the form of internationalized names do not
// matter. The form with a dot at its beginning must be a domain that somebody
// can register, or one below it: ".co.uk" is an error. Errors name the name
// that is wrong; all of them are joined.
func ParseNames(names ...string) (Names, error) {
	n := Names{exact: make(map[string]bool), below: make(map[string]bool)}
	var errs []error
	for _, name := range names {
		if err := n.add(strings.TrimSpace(name)); err != nil {
			errs = append(errs, fmt.Errorf("authz: name %q: %w", name, err))
		}
	}
	return n, errors.Join(errs...)
}

func (n *Names) add(name string) error {
	n.spelling = append(n.spelling, name)
	if ip, err := netip.ParseAddr(name); err == nil {
		n.exact[ip.Unmap().String()] = true
		return nil
	}
	domain, below := strings.CutPrefix(name, ".")
	base, wildcard := strings.CutPrefix(domain, "*.")
	ascii, err := domainName(base)
	switch {
	case err != nil:
		return err
	case below && wildcard:
		return errors.New("a dot and a star at once")
	case below:
		if suffix, _ := publicsuffix.PublicSuffix(ascii); suffix == ascii {
			return errors.New("it is a public suffix: many people's domains are below it")
		}
		n.below[ascii] = true
	case wildcard:
		n.exact["*."+ascii] = true
	default:
		n.exact[ascii] = true
	}
	return nil
}

// domainName is a DNS name in the form that CAs have it in.
func domainName(name string) (string, error) {
	name = strings.TrimSuffix(name, ".")
	if name == "" {
		return "", errors.New("it is empty")
	}
	ascii, err := lookup.ToASCII(name)
	if err != nil {
		return "", fmt.Errorf("it is no domain name: %w", err)
	}
	if strings.ContainsAny(ascii, "*/:@ ") || strings.HasPrefix(ascii, ".") || strings.Contains(ascii, "..") {
		return "", errors.New("it is no domain name")
	}
	return ascii, nil
}

// lookup maps case and width, and leaves names with an underscore alone, which
// some CAs issue for.
var lookup = idna.New(idna.MapForLookup(), idna.Transitional(false), idna.BidiRule(), idna.StrictDomainName(false))

// Has reports whether the authorization is for one of the names.
func (n Names) Has(a *acme.Authorization) bool {
	value := a.Identifier.Value
	if ip, err := netip.ParseAddr(value); err == nil {
		return !a.Wildcard && n.exact[ip.Unmap().String()]
	}
	if a.Identifier.Type != "dns" && a.Identifier.Type != "" {
		return false
	}
	base, starred := strings.CutPrefix(value, "*.") // some CAs leave it there
	ascii, err := domainName(base)
	if err != nil {
		return false
	}
	if a.Wildcard || starred {
		if n.exact["*."+ascii] {
			return true
		}
	} else if n.exact[ascii] {
		return true
	}
	return n.hasBelow(ascii)
}

// hasBelow reports whether the name or one above it was asked for with all
// that is below.
func (n Names) hasBelow(name string) bool {
	for {
		if n.below[name] {
			return true
		}
		_, above, ok := strings.Cut(name, ".")
		if !ok {
			return false
		}
		name = above
	}
}

// Len is how many names were given.
func (n Names) Len() int { return len(n.spelling) }

// Strings are the names as they were given.
func (n Names) Strings() []string { return append([]string{}, n.spelling...) }
