package solver

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"
	"unicode"

	"golang.org/x/crypto/acme"
)

// Hook answers challenges by running a command, in the style of Certbot's
// manual hooks: scripts that were written for --manual-auth-hook and
// --manual-cleanup-hook work. It is safe for concurrent use if the commands
// are.
//
// The commands find in their environment
//
//	CERTBOT_DOMAIN        the name, without "*.", or the address
//	CERTBOT_IDENTIFIER    the same
//	CERTBOT_VALIDATION    what to serve, or the value of the TXT record
//	CERTBOT_TOKEN         the file's name, with http-01 only
//	CERTBOT_AUTH_OUTPUT   for Cleanup: what Auth printed to its standard output
//
// CERTBOT_ALL_DOMAINS and CERTBOT_REMAINING_CHALLENGES are the name and "0":
// authorizations are answered one by one, so hooks that wait for the last one
// do not wait.
type Hook struct {
	// Key is the account's key. It is required.
	Key crypto.Signer

	// Type is the challenge that the command answers: "dns-01" or "http-01".
	Type string

	// Auth is the command and its arguments; it is required, and may return
	// when the answer can be seen. Nothing is expanded by a shell: for a line
	// of shell, use {"sh", "-c", line}. The CA's values are in the environment
	// only.
	Auth []string

	// Cleanup is the command that removes the answer. If it is empty, nothing
	// is run.
	Cleanup []string
}

const (
	maxHookOutput = 64 << 10 // bytes
	hookGrace     = 5 * time.Second
)

// Solve runs Auth for the authorization's challenge. It fits
// authz.Manager.Solve. Its error is [ErrUnsupported] if there is no such
// challenge; that of a command which fails has what it printed to its standard
// error.
func (h *Hook) Solve(ctx context.Context, a *acme.Authorization) (*acme.Challenge, func(), error) {
	if h.Type != typeDNS01 && h.Type != typeHTTP01 {
		return nil, nil, fmt.Errorf("solver: a hook answers dns-01 or http-01, not %q", h.Type)
	}
	c, err := challengeOf(a, h.Type)
	if err != nil {
		return nil, nil, err
	}
	domain, err := name(a)
	if err != nil {
		return nil, nil, err
	}
	answer, err := keyAuthorization(h.Key, c.Token)
	if err != nil {
		return nil, nil, err
	}
	environment := h.environment(domain, c.Token, answer)
	output, err := run(ctx, h.Auth, environment)
	cleanup := sync.OnceFunc(func() { h.cleanup(ctx, environment, output) })
	if err != nil {
		cleanup() // it may have done half of it
		return nil, nil, fmt.Errorf("solver: hook for %s: %w", domain, err)
	}
	return c, cleanup, nil
}

func (h *Hook) environment(domain, token, answer string) []string {
	environment := append(os.Environ(),
		"CERTBOT_DOMAIN="+domain, "CERTBOT_IDENTIFIER="+domain, "CERTBOT_ALL_DOMAINS="+domain, "CERTBOT_ALL_IDENTIFIERS="+domain,
		"CERTBOT_REMAINING_CHALLENGES=0")
	if h.Type == typeHTTP01 {
		return append(environment, "CERTBOT_TOKEN="+token, "CERTBOT_VALIDATION="+answer)
	}
	return append(environment, "CERTBOT_VALIDATION="+value(answer))
}

func (h *Hook) cleanup(ctx context.Context, environment []string, output string) {
	if len(h.Cleanup) == 0 {
		return
	}
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanUpLimit)
	defer cancel()
	_, _ = run(limited, h.Cleanup, append(environment, "CERTBOT_AUTH_OUTPUT="+output))
}

// run runs a command, at most until ctx ends, and returns what it printed.
func run(ctx context.Context, command, environment []string) (string, error) {
	if len(command) == 0 || command[0] == "" {
		return "", errors.New("there is no command")
	}
	var stdout, stderr limitedBuffer
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Env, cmd.Stdout, cmd.Stderr, cmd.WaitDelay = environment, &stdout, &stderr, hookGrace
	groupKilled(cmd)
	err := cmd.Run()
	switch {
	case ctx.Err() != nil:
		return "", fmt.Errorf("%s: %w", command[0], ctx.Err())
	case err != nil:
		return stdout.String(), fmt.Errorf("%s: %w: %s", command[0], err, printable(stderr.String()))
	}
	return strings.TrimSpace(strings.ReplaceAll(stdout.String(), "\x00", "")), nil
}

// A limitedBuffer keeps the beginning of what is written.
type limitedBuffer struct{ kept []byte }

func (b *limitedBuffer) Write(p []byte) (int, error) {
	b.kept = append(b.kept, p[:min(len(p), maxHookOutput-len(b.kept))]...)
	return len(p), nil
}

func (b *limitedBuffer) String() string { return string(b.kept) }

// printable is the end of a command's complaint, on one line.
func printable(s string) string {
	const most = 500
	s = strings.Join(strings.Fields(s), " ")
	s = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, s)
	if len(s) > most {
		s = "…" + strings.ToValidUTF8(s[len(s)-most:], "")
	}
	return s
}
