package main

import (
	"fmt"
	"strings"
	"unicode"

	"github.com/acmeauthz/acmeauthz/internal/display"
)

// A problem ends the program. It says what happened and what to do next.
type problem struct {
	code int      // the exit code
	what string   // one sentence, or one and a list below it
	next []string // lines: what to do now
	err  error    // the cause, if there is one below what was said
	root bool     // whether root could do it
}

// usage is a problem that another command line solves.
func usage(format string, args ...any) *problem {
	return &problem{code: exitUsage, what: display.Cleanf(format, args...)}
}

// nothing is a problem because of which nothing could be done.
func nothing(format string, args ...any) *problem {
	return &problem{code: exitNothing, what: display.Cleanf(format, args...)}
}

// failed is a problem with a part of the work.
func failed(format string, args ...any) *problem {
	return &problem{code: exitFailed, what: display.Cleanf(format, args...)}
}

// then adds a line that says what to do.
func (p *problem) then(format string, args ...any) *problem {
	p.next = append(p.next, display.Cleanf(format, args...))
	return p
}

// asRoot says that root could do it.
func (p *problem) asRoot() *problem {
	p.root = true
	return p
}

// because records the cause.
func (p *problem) because(err error) *problem {
	p.err = err
	return p
}

func (p *problem) Error() string { return p.what }

func (p *problem) Unwrap() error { return p.err }

// silent is a problem that has been told already: only its code is left.
func (p *problem) silent() bool { return p.what == "" }

// text tells it; command is what root would type.
func (p *problem) text(command string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "clear-authz: %s\n", p.what)
	if p.root {
		fmt.Fprintf(&b, "  Run it as root: %s\n", command)
	}
	for _, line := range p.next {
		fmt.Fprintf(&b, "  %s\n", strings.ReplaceAll(line, "\n", "\n  "))
	}
	return b.String()
}

// quote writes a command line as one would type it in a shell.
func quote(args []string) string {
	quoted := make([]string, len(args))
	for i, arg := range args {
		quoted[i] = display.Clean(arg)
		if arg == "" || strings.ContainsFunc(arg, needsQuotes) {
			quoted[i] = "'" + strings.ReplaceAll(display.Clean(arg), "'", `'\''`) + "'"
		}
	}
	return strings.Join(quoted, " ")
}

func needsQuotes(r rune) bool {
	return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("-_./:=,@%+", r)
}
