package solver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// A Lookup looks whether a TXT record can be seen at all authoritative name
// servers of its zone, as CAs see it. The zero Lookup is ready to use. It is
// safe for concurrent use as long as its fields are not changed.
type Lookup struct {
	// Resolvers are recursive name servers, as "192.0.2.53:53", that find the
	// zone and its servers. If it is empty, those of /etc/resolv.conf are asked,
	// or where there is none, 127.0.0.1:53.
	Resolvers []string

	// Port is that of the authoritative servers. If it is empty, it is 53.
	Port string

	// Interval is the pause between two looks. If it is zero, it is 2 seconds.
	Interval time.Duration
}

// Propagated waits until every authoritative server of the record's zone has
// the value, at most until ctx ends. It follows a CNAME at the name. Its error
// tells what was seen last.
func (l *Lookup) Propagated(ctx context.Context, name, value string) error {
	interval := l.Interval
	if interval <= 0 {
		interval = propagationInterval
	}
	var last error
	for {
		err := l.seen(ctx, dns.Fqdn(name), value)
		switch {
		case err == nil:
			return nil
		case last == nil || !timedOut(err): // that may be ctx's end only
			last = err
		}
		if !wait(ctx, interval) {
			return fmt.Errorf("%w: %w", ctx.Err(), last)
		}
	}
}

func timedOut(err error) bool {
	e, ok := errors.AsType[net.Error](err)
	return ok && e.Timeout()
}

// seen looks once.
func (l *Lookup) seen(ctx context.Context, name, value string) error {
	name, err := l.canonical(ctx, name)
	if err != nil {
		return err
	}
	servers, err := l.authoritative(ctx, name)
	if err != nil {
		return err
	}
	for _, server := range servers {
		if err := hasValue(ctx, server, name, value); err != nil {
			return err
		}
	}
	return nil
}

// maxAliases bounds a chain of CNAMEs.
const maxAliases = 8

// canonical follows CNAMEs.
func (l *Lookup) canonical(ctx context.Context, name string) (string, error) {
	for range maxAliases {
		answer, err := l.ask(ctx, name, dns.TypeCNAME)
		if err != nil {
			return "", err
		}
		next := ""
		for _, record := range answer.Answer {
			if alias, ok := record.(*dns.CNAME); ok && strings.EqualFold(alias.Hdr.Name, name) {
				next = alias.Target
			}
		}
		if next == "" {
			return name, nil
		}
		name = next
	}
	return "", fmt.Errorf("%s: too many CNAMEs", name)
}

// authoritative finds the addresses of the name servers of the zone that the
// name is in: the first name above it with an SOA.
func (l *Lookup) authoritative(ctx context.Context, name string) ([]string, error) {
	for zone := name; ; {
		answer, err := l.ask(ctx, zone, dns.TypeNS)
		if err != nil {
			return nil, err
		}
		var servers []string
		for _, record := range answer.Answer {
			if ns, ok := record.(*dns.NS); ok {
				servers = append(servers, ns.Ns)
			}
		}
		if len(servers) > 0 {
			return l.addresses(ctx, servers)
		}
		i, end := dns.NextLabel(zone, 0)
		if end {
			return nil, fmt.Errorf("%s: no zone found", name)
		}
		zone = zone[i:]
	}
}

func (l *Lookup) addresses(ctx context.Context, servers []string) ([]string, error) {
	var all []string
	for _, server := range servers {
		for _, kind := range []uint16{dns.TypeA, dns.TypeAAAA} {
			answer, err := l.ask(ctx, server, kind)
			if err != nil {
				return nil, err
			}
			for _, record := range answer.Answer {
				switch r := record.(type) {
				case *dns.A:
					all = append(all, net.JoinHostPort(r.A.String(), l.port()))
				case *dns.AAAA:
					if hasIPv6() {
						all = append(all, net.JoinHostPort(r.AAAA.String(), l.port()))
					}
				}
			}
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("name servers %s have no address", strings.Join(servers, ", "))
	}
	return all, nil
}

// hasIPv6 reports whether this machine could reach an IPv6 address: asking
// sends nothing.
func hasIPv6() bool {
	conn, err := net.Dial("udp6", "[2001:db8::1]:53")
	if err != nil {
		return false
	}
	_ = conn.Close()
	return true
}

func (l *Lookup) port() string {
	if l.Port == "" {
		return "53"
	}
	return l.Port
}

// hasValue asks one authoritative server.
func hasValue(ctx context.Context, server, name, value string) error {
	answer, err := exchange(ctx, server, name, dns.TypeTXT, false)
	if err != nil {
		return err
	}
	for _, record := range answer.Answer {
		if txt, ok := record.(*dns.TXT); ok && strings.Join(txt.Txt, "") == value {
			return nil
		}
	}
	return fmt.Errorf("name server %s does not have the record yet", server)
}

// ask asks the resolvers, one after the other.
func (l *Lookup) ask(ctx context.Context, name string, kind uint16) (*dns.Msg, error) {
	var errs []error
	for _, resolver := range l.resolvers() {
		answer, err := exchange(ctx, resolver, name, kind, true)
		if err == nil {
			return answer, nil
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}

func (l *Lookup) resolvers() []string {
	if len(l.Resolvers) > 0 {
		return l.Resolvers
	}
	config, err := dns.ClientConfigFromFile("/etc/resolv.conf")
	if err != nil || len(config.Servers) == 0 {
		return []string{"127.0.0.1:53"}
	}
	var all []string
	for _, server := range config.Servers {
		all = append(all, net.JoinHostPort(server, config.Port))
	}
	return all
}

// exchange asks one server over UDP, and over TCP if the answer does not fit.
// That there is no such name is an answer.
func exchange(ctx context.Context, server, name string, kind uint16, recurse bool) (*dns.Msg, error) {
	question := new(dns.Msg).SetQuestion(dns.Fqdn(name), kind)
	question.RecursionDesired = recurse
	question.SetEdns0(1232, false)
	const timeout = 5 * time.Second
	for _, network := range []string{"udp", "tcp"} {
		client := &dns.Client{Net: network, Timeout: timeout}
		answer, _, err := client.ExchangeContext(ctx, question, server)
		switch {
		case err != nil:
			return nil, fmt.Errorf("name server %s: %w", server, err)
		case answer.Truncated && network == "udp":
			continue
		case answer.Rcode != dns.RcodeSuccess && answer.Rcode != dns.RcodeNameError:
			return nil, fmt.Errorf("name server %s: %s %s: %s", server, name, dns.TypeToString[kind], dns.RcodeToString[answer.Rcode])
		}
		return answer, nil
	}
	return nil, fmt.Errorf("name server %s: answer does not fit", server)
}
