package main

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/acmeauthz/acmeauthz/authz"
	"github.com/acmeauthz/acmeauthz/internal/display"
)

// relinquish gives up the valid authorizations for names that left, and prints a
// report for each account.
func (p *program) relinquish(ctx context.Context, o options, jobs []job) error {
	done, failed := 0, 0
	for _, j := range jobs {
		m, err := p.manager(o, j)
		if err != nil {
			return err
		}
		report := authz.NewReport(m, o.names)
		var ended error
		for r, err := range m.Relinquish(ctx, o.names, authz.URLs(j.urls...)) {
			if ended = err; err == nil {
				report.Add(o.names, r)
				p.metrics.count(hostOf(j.account.Directory), outcomeOf(r), 1)
			}
		}
		if ended != nil && len(report.Entries) == 0 {
			return caProblem(j.account, o, ended)
		}
		if err := p.printReport(o, report); err != nil {
			return writeError(err)
		}
		if ended != nil {
			return caProblem(j.account, o, ended)
		}
		done += report.Relinquished()
		for _, e := range report.Entries {
			if e.Error != "" {
				failed++
			}
		}
	}
	if failed > 0 {
		p.warn("%s could not be relinquished or read; the report says why", display.Trusted(display.Plural(failed, "authorization")))
		return &problem{code: exitFailed}
	}
	if done == 0 {
		p.say("Nothing to do: no valid authorization of these names is known.\n")
	}
	return nil
}

func (p *program) printReport(o options, report *authz.Report) error {
	if !o.json {
		return report.WriteText(p.stdout)
	}
	doc, err := json.Marshal(report)
	if err == nil {
		_, err = fmt.Fprintf(p.stdout, "%s\n", display.CleanJSON(doc))
	}
	return err
}
