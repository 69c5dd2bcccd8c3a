package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/acmeauthz/acmeauthz/account"
	"github.com/acmeauthz/acmeauthz/internal/display"
	"github.com/acmeauthz/acmeauthz/internal/document"
	"github.com/urfave/cli/v3"
)

func (p *program) accountsCommand() *cli.Command {
	flags := append([]cli.Flag{&cli.BoolFlag{Name: "json", Local: true, Usage: "print one JSON object per account"}}, logFlags()...)
	return subcommand("accounts", flags, func(_ context.Context, c *cli.Command) error {
		if err := p.setLog(c); err != nil {
			return err
		}
		return p.listAccounts(c.Args().Slice(), c.Bool("json"))
	})
}

// listAccounts is the subcommand accounts.
func (p *program) listAccounts(places []string, asJSON bool) error {
	all, err := p.findAccounts(places...)
	for _, fault := range parts(err) {
		p.warn("%s", plain(fault))
	}
	if len(all) == 0 {
		return p.noAccountFound(places, err)
	}
	if err := p.printAccounts(all, asJSON); err != nil {
		return writeError(err)
	}
	p.sayProblems(all, asJSON)
	if err != nil {
		return &problem{code: exitFailed}
	}
	return nil
}

// findAccounts reads what ACME clients keep at the given places, or at their usual
// ones.
func (p *program) findAccounts(places ...string) (all []*account.Account, err error) {
	if len(places) == 0 {
		all, err = account.Discover(p.root)
		return p.fromRoot(all, err)
	}
	for _, place := range places {
		some, fault := account.Load(place)
		all = append(all, some...)
		err = errors.Join(append(parts(err), parts(fault)...)...)
	}
	return all, err
}

// fromRoot makes names within the root paths that a person may type.
func (p *program) fromRoot(all []*account.Account, err error) ([]*account.Account, error) {
	for _, a := range all {
		a.Path = filepath.Join(p.rootDir, filepath.FromSlash(a.Path))
	}
	var faults []error
	for _, fault := range parts(err) {
		if e, ok := errors.AsType[*account.FileError](fault); ok {
			fault = &account.FileError{Path: filepath.Join(p.rootDir, filepath.FromSlash(e.Path)), Err: e.Err}
		}
		faults = append(faults, fault)
	}
	return all, errors.Join(faults...)
}

func (p *program) noAccountFound(places []string, err error) error {
	switch {
	case errors.Is(err, fs.ErrPermission):
		return nothing("no account can be read.").because(err).asRoot()
	case len(places) > 0:
		return nothing("no account is there.").because(err).
			then("Give a client's directory, its file, or a key: clear-authz accounts /etc/letsencrypt")
	}
	return nothing("no ACME client keeps an account at its usual place on this machine.").because(err).
		then("Say where one does: clear-authz accounts DIR")
}

// An accountRecord is one line of accounts --json. Its members are documented in
// --help and stay.
type accountRecord struct {
	Schema      string          `json:"schema"`
	Client      string          `json:"client"`
	Path        string          `json:"path"`
	Directory   string          `json:"directory"`
	URL         string          `json:"url"`
	CA          string          `json:"ca"`
	Environment string          `json:"environment"`
	KeyType     string          `json:"key_type"`
	KeySize     int             `json:"key_size"`
	Thumbprint  string          `json:"thumbprint"`
	Contact     []string        `json:"contact"`
	CreatedAt   document.Time   `json:"created_at"`
	Problems    []accountDefect `json:"problems"`
}

type accountDefect struct {
	Problem string `json:"problem"`
	Text    string `json:"text"`
}

func newAccountRecord(a *account.Account) accountRecord {
	kind, size := a.KeyKind()
	return accountRecord{
		Schema: "acmeauthz-account/1",
		Client: a.StoredBy, Path: a.Path, Directory: a.Directory, URL: a.URL, CA: a.CA(), Environment: string(a.Environment()),
		KeyType: kind, KeySize: size, Thumbprint: a.Thumbprint(), Contact: document.List(a.Contact, func(s string) string { return s }),
		CreatedAt: document.At(a.CreatedAt),
		Problems: document.List(a.Problems(), func(problem account.Problem) accountDefect {
			return accountDefect{string(problem), a.Explain(problem)}
		}),
	}
}

func (p *program) printAccounts(all []*account.Account, asJSON bool) error {
	if !asJSON {
		return writeTable(p.stdout, p.tableWidth(), accountTable(all))
	}
	for _, a := range all {
		doc, err := json.Marshal(newAccountRecord(a))
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintf(p.stdout, "%s\n", display.CleanJSON(doc)); err != nil {
			return err
		}
	}
	return nil
}

// accountTable has a row for each account.
func accountTable(all []*account.Account) [][]string {
	rows := [][]string{{"ACCOUNT", "SERVER", "CLIENT", "KEY", "CREATED", "FILE"}}
	for _, a := range all {
		created := "-"
		if !a.CreatedAt.IsZero() {
			created = a.CreatedAt.UTC().Format(time.DateOnly)
		}
		rows = append(rows, []string{cmp.Or(number(a), "?"), serverName(a), a.StoredBy, a.KeyType(), created, a.Path})
	}
	return rows
}

// serverName is what a person calls the account's server.
func serverName(a *account.Account) string {
	name := cmp.Or(a.CA(), hostOf(a.Directory), hostOf(a.URL), "?")
	if a.Environment() == account.Staging {
		name += " staging"
	}
	return name
}

// sayProblems tells what hinders the use of accounts, and what endangers them.
func (p *program) sayProblems(all []*account.Account, asJSON bool) {
	if asJSON {
		return
	}
	counts := make(map[account.Problem]int)
	for _, a := range all {
		for _, problem := range a.Problems() {
			if counts[problem]++; problem == account.ProblemExposed {
				p.warnExposed(a)
			}
		}
	}
	if n := counts[account.ProblemNoURL]; n > 0 {
		p.say("%s: the client does not store the account's URL; clear-authz asks the CA for it.\n", display.Trusted(display.Plural(n, "account")))
	}
	if n := counts[account.ProblemNoDirectory]; n > 0 {
		p.say("%s: the client does not store the CA; name it to use them: --server HOST --account FILE\n", display.Trusted(display.Plural(n, "account")))
	}
}

// rootFS is the machine's file system, and the directory that it is.
func rootFS() (fs.FS, string) {
	wd, err := os.Getwd()
	root := string(filepath.Separator)
	if err == nil {
		root = filepath.VolumeName(wd) + root
	}
	return os.DirFS(root), root
}

// below says where accounts were looked for, in a sentence.
func (o options) below() string {
	if o.configDir == "" {
		return "at the usual places of ACME clients"
	}
	return display.Cleanf("below %s", strings.TrimRight(o.configDir, "/"))
}
