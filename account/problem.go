package account

import "fmt"

// A Problem is something that hinders, or endangers, an account's use.
type Problem string

// The problems that [Account.Problems] tells.
const (
	// ProblemExposed means that others than its owner may read the key's file.
	ProblemExposed Problem = "exposed"

	// ProblemNoURL means that the client did not store the account URL. The
	// server finds it by the key (RFC 8555 §7.3.1): [acme.Client.GetReg] asks so,
	// and never creates an account.
	ProblemNoURL Problem = "no-url"

	// ProblemNoDirectory means that the client did not store the directory URL,
	// and that it does not follow from what it stored. Whoever uses the account
	// has to know it.
	ProblemNoDirectory Problem = "no-directory"
)

// Problems returns what is wrong with the account, in the order above; nil if
// nothing is.
func (a *Account) Problems() (problems []Problem) {
	if a.KeyExposed() {
		problems = append(problems, ProblemExposed)
	}
	if a.URL == "" {
		problems = append(problems, ProblemNoURL)
	}
	if a.Directory == "" {
		problems = append(problems, ProblemNoDirectory)
	}
	return problems
}

// Explain says in a sentence what a problem of the account is and what to do.
func (a *Account) Explain(p Problem) string {
	switch p {
	case ProblemExposed:
		return fmt.Sprintf("Others can read the key (mode %04o): chmod 600 %s", a.Mode.Perm(), printable(a.Path))
	case ProblemNoURL:
		return "The account URL is not stored; the server can be asked for it."
	case ProblemNoDirectory:
		return "The server's directory URL is not stored; it has to be given."
	}
	return string(p)
}
