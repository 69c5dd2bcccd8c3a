package main

import (
	"crypto"
	"slices"

	"github.com/acmeauthz/acmeauthz/authz/solver"
)

// solveOptions say how the command finish answers challenges.
type solveOptions struct {
	webroot, http, tlsALPN           string
	authHook, cleanupHook, challenge string
}

func (o solveOptions) check(command string) error {
	switch {
	case command != commandFinish:
	case o.webroot == "" && o.http == "" && o.tlsALPN == "" && o.authHook == "":
		return usage("how are the challenges to be answered?").
			then("With files of a web server: --webroot /var/www/html").
			then("With a server of its own: --http :80 or --tls-alpn :443").
			then("With a command, for DNS for instance: --auth-hook ./add-record.sh --cleanup-hook ./remove-record.sh")
	case !slices.Contains([]string{"dns-01", "http-01"}, o.challenge):
		return usage("--challenge %s: hooks answer dns-01 or http-01.", o.challenge).then("Use one of these.")
	case o.cleanupHook != "" && o.authHook == "":
		return usage("--cleanup-hook cleans up after an --auth-hook, and there is none.").then("Give both.")
	}
	return nil
}

// solver answers challenges for the account with that key, in the ways that were
// named: files first, then servers, then hooks.
func (o solveOptions) solver(key crypto.Signer) solver.Func {
	var ways []solver.Func
	if o.webroot != "" {
		ways = append(ways, (&solver.Webroot{Key: key, Dir: o.webroot}).Solve)
	}
	if o.http != "" {
		ways = append(ways, (&solver.HTTP01{Key: key, Addr: o.http}).Solve)
	}
	if o.tlsALPN != "" {
		ways = append(ways, (&solver.TLSALPN01{Key: key, Addr: o.tlsALPN}).Solve)
	}
	if o.authHook != "" {
		// As Certbot does: the command is a line of shell.
		hook := &solver.Hook{Key: key, Type: o.challenge, Auth: []string{"/bin/sh", "-c", o.authHook}}
		if o.cleanupHook != "" {
			hook.Cleanup = []string{"/bin/sh", "-c", o.cleanupHook}
		}
		ways = append(ways, hook.Solve)
	}
	return solver.First(ways...)
}
