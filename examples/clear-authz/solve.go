package main

import (
	"context"
	"crypto"
	"slices"

	"golang.org/x/crypto/acme"
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

// solver answers challenges for the account with that key.
func (o solveOptions) solver(key crypto.Signer) (func(context.Context, *acme.Authorization) (*acme.Challenge, func(), error), error) {
	return nil, nil
}
