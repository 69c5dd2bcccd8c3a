//go:build unix

package main

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestCompletion completes in the shells themselves: those that are there, and
// all with REQUIRE_SHELLS.
func TestCompletion(t *testing.T) {
	s := newStage(t)
	for shell, script := range map[string]string{
		"bash": `source /usr/share/bash-completion/bash_completion; source <(clear-authz completion bash)
			COMP_WORDS=(clear-authz re); COMP_CWORD=1; COMP_LINE="clear-authz re"; COMP_POINT=14; $(complete -p clear-authz | sed 's/.*-F \([^ ]*\) .*/\1/') clear-authz re clear-authz; echo "${COMPREPLY[@]}"
			COMP_WORDS=(clear-authz leaks --ht); COMP_CWORD=2; COMP_LINE="clear-authz leaks --ht"; COMP_POINT=22; $(complete -p clear-authz | sed 's/.*-F \([^ ]*\) .*/\1/') clear-authz --ht leaks; echo "${COMPREPLY[@]}"`,
		"fish": `clear-authz completion fish | source; complete -C "clear-authz re"; complete -C "clear-authz leaks --ht"`,
		"zsh": `compdef() { :; }; _describe() { print -l -- "${(@P)2}"; }; compadd() { :; }
			source <(clear-authz completion zsh); f=${${(k)functions}[(r)_*clear*]}
			words=(clear-authz re); CURRENT=2; $f; words=(clear-authz leaks --ht); CURRENT=3; $f`, // its line editor would call f so
	} {
		t.Run(shell, func(t *testing.T) {
			path, err := exec.LookPath(shell)
			if err != nil && os.Getenv("REQUIRE_SHELLS") == "" {
				t.Skip(shell + " is not installed")
			}
			require.NoError(t, err)
			cmd := exec.Command(path, "-c", script)
			cmd.Env, cmd.Dir = s.env(), t.TempDir()
			out, err := cmd.CombinedOutput()
			require.NoError(t, err, string(out))
			require.Contains(t, string(out), "relinquish")
			require.Contains(t, string(out), "--html")
			require.NotContains(t, strings.ToLower(string(out)), "error")
		})
	}
}

// TestManual holds the man page against mandoc's rules, and against --help.
func TestManual(t *testing.T) {
	s := newStage(t)
	page, code := s.run("clear-authz man")
	require.Equal(t, exitOK, code)
	for _, c := range (&program{}).command().Commands {
		require.Contains(t, page, ".SS \"clear\\-authz "+strings.ReplaceAll(c.Name, "-", `\-`)+"\"", c.Name)
		for _, f := range c.Flags {
			require.Contains(t, page, `\-\-`+strings.ReplaceAll(f.Names()[0], "-", `\-`))
		}
	}
	if _, err := exec.LookPath("mandoc"); err != nil && os.Getenv("REQUIRE_SHELLS") == "" {
		t.Skip("mandoc is not installed")
	}
	lint, _ := s.run("clear-authz man | mandoc -T lint -W warning")
	require.Equal(t, `mandoc: <stdin>:1:20: WARNING: missing date, using "": TH`+"\n", lint) // a test has no commit
	text, code := s.run("clear-authz man | mandoc -T ascii | col -bx")
	require.Equal(t, exitOK, code)
	require.Contains(t, text, "--metrics-file FILE\n              write metrics to this FILE at the end (Prometheus)")
}
