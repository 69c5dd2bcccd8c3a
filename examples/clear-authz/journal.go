package main

import (
	"errors"

	"github.com/acmeauthz/acmeauthz/authz"
)

// A journal is that of --journal, or none.
type journal struct{ *authz.FileJournal }

func openJournal(o options) (*journal, error) {
	if o.journal == "" || o.dryRun {
		return nil, nil
	}
	file, err := authz.OpenJournal(o.journal)
	switch {
	case errors.Is(err, authz.ErrJournalLocked):
		return nil, nothing("the journal %s is in use by another run.", o.journal).because(err).
			then("Wait until that has ended, or name another file.")
	case err != nil:
		return nil, nothing("the journal %s cannot be used: %s.", o.journal, reasonOf(err)).because(err).
			then("Name a file that can be written: --journal FILE")
	}
	return &journal{file}, nil
}

// reasonOf is what is wrong with a journal, without its name.
func reasonOf(err error) error {
	if e, ok := errors.AsType[*authz.JournalError](err); ok {
		return withoutPath(e.Err)
	}
	return err
}

func (j *journal) close(p *program) {
	if j == nil {
		return
	}
	if err := j.Close(); err != nil {
		p.warn("the journal cannot be closed: %s", reasonOf(err))
	}
}
