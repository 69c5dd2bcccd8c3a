package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/acmeauthz/acmeauthz/authz"
	"github.com/acmeauthz/acmeauthz/internal/display"
)

// plan says what clear would do, for each account.
func (p *program) plan(ctx context.Context, o options, jobs []job) error {
	var unreadable int
	for _, j := range jobs {
		m, err := p.manager(o, j)
		if err != nil {
			return err
		}
		plan, err := m.Plan(ctx, authz.URLs(j.urls...))
		if err != nil {
			return caProblem(j.account, o, err)
		}
		if err := p.printPlan(o, j, plan); err != nil {
			return writeError(err)
		}
		for _, step := range plan.Steps {
			p.metrics.plan(hostOf(plan.Directory), string(step.Action), 1)
		}
		unreadable += plan.Count("")
	}
	if unreadable > 0 {
		return &problem{code: exitFailed}
	}
	return nil
}

func (p *program) printPlan(o options, j job, plan *authz.Plan) error {
	if o.json {
		doc, err := json.Marshal(plan)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(p.stdout, "%s\n", display.CleanJSON(doc))
		return err
	}
	p.say("%s, by what is known of %s\n", display.Trusted(accountTitle(j.account)), plan.CA)
	rows := [][]string{{"IDENTIFIER", "STATUS", "PLAN", "WHEN", "AUTHORIZATION"}}
	for _, step := range plan.Steps {
		rows = append(rows, planRow(step))
	}
	if err := writeTable(p.stdout, p.tableWidth(), rows); err != nil {
		return err
	}
	_, err := fmt.Fprint(p.stdout, planSummary(plan))
	if err == nil {
		p.explainPlan(o, plan)
	}
	return err
}

func planRow(step authz.PlannedStep) []string {
	name := step.Identifier
	switch {
	case name == "":
		name = "-"
	case step.Wildcard:
		name = "*." + name
	}
	action, when := string(step.Action), "-"
	switch {
	case step.Error != "":
		action = "?"
	case step.Action.Changes():
		when = "now"
	case !step.At.IsZero() && step.Action != authz.ActionNone:
		when = step.At.UTC().Format("2006-01-02 15:04")
	}
	status := step.Status
	if status == "" {
		status = "-"
	}
	return []string{name, status, action, when, step.URL}
}

// planSummary counts, and says what it costs.
func planSummary(plan *authz.Plan) string {
	var counts []string
	for _, a := range []authz.Action{authz.ActionFinish, authz.ActionDeactivate, authz.ActionAnswer, authz.ActionDefer, authz.ActionLeave, authz.ActionWait, authz.ActionSpare, authz.ActionNone} {
		if n := plan.Count(a); n > 0 {
			counts = append(counts, fmt.Sprintf("%d %s", n, a))
		}
	}
	if n := plan.Count(""); n > 0 {
		counts = append(counts, fmt.Sprintf("%d not readable", n))
	}
	line := fmt.Sprintf("%d found: %s\n", len(plan.Steps), strings.Join(counts, ", "))
	if plan.Failures > 0 {
		line += fmt.Sprintf("It costs %s that the CA counts.\n", display.Plural(plan.Failures, "failed validation"))
	}
	if n := len(plan.Orders); n > 0 {
		line += fmt.Sprintf("%s would become invalid.\n", display.Plural(n, "order"))
	}
	if plan.Finished.After(plan.Made.Add(time.Minute)) {
		line += fmt.Sprintf("The last can be cleared on %s.\n", plan.Finished.UTC().Format("2006-01-02 15:04 UTC"))
	}
	return line
}

// explainPlan says why, once for each reason.
func (p *program) explainPlan(o options, plan *authz.Plan) {
	var told []string
	for _, step := range plan.Steps {
		text := display.Cleanf("%s: %s", string(step.Action), step.Reason)
		switch {
		case step.Error != "":
			p.warn("%s cannot be read: %s", step.URL, strings.TrimPrefix(step.Error, "authz: "))
		case step.Action != authz.ActionNone && !slices.Contains(told, text) && len(told) < maxFailures:
			told = append(told, text)
			p.say("  %s\n", display.Trusted(text))
		}
	}
	if plan.Count(authz.ActionSpare) > 0 && o.minAge >= 0 && !o.force {
		p.say("  If no client is at work: --min-age 0, or --force for orders that are ready\n")
	}
	if slices.ContainsFunc(plan.Steps, func(s authz.PlannedStep) bool { return s.Action.Changes() || s.Action == authz.ActionDefer }) {
		p.say("To do it: the same flags and logs with clear-authz clear,\nor plan --json >plan.json, and then clear-authz clear --apply plan.json\n")
	}
}

// applyPlans does what a file of plans says, each with its account.
func (p *program) applyPlans(ctx context.Context, o options) error {
	plans, err := readPlans(o.apply)
	if err != nil {
		return err
	}
	key, err := p.input0(o.key)
	if err != nil {
		return err
	}
	ctx, stop := catchInterrupt(ctx)
	defer stop()
	var jobs []job
	for _, plan := range plans {
		j, err := p.planJob(ctx, o, plan, key)
		if err != nil {
			return err
		}
		jobs = append(jobs, j)
	}
	return p.workOnJobs(ctx, o, jobs, nil)
}

// input0 is the key of --key, or nil.
func (p *program) input0(path string) (*keyFile, error) {
	if path == "" {
		return nil, nil
	}
	return readKey(path)
}

// planJob finds the account that a plan is for.
func (p *program) planJob(ctx context.Context, o options, plan *authz.Plan, key *keyFile) (job, error) {
	s := server{host: hostOf(plan.Directory), directory: plan.Directory}
	accounts, err := p.accounts(o, s, key)
	if err != nil {
		return job{}, err
	}
	known, failure := p.identify(ctx, o, accounts)
	for _, a := range known {
		if a.URL == plan.Account {
			urls := make([]string, len(plan.Steps))
			return job{account: a, urls: urls, plan: plan}, nil
		}
	}
	if failure != nil {
		return job{}, firstOf(failure)
	}
	return job{}, nothing("the plan is for account %s, whose key is not here.", plan.Account).
		then("Find that account's key: --config-dir DIR, or --key FILE")
}

// readPlans reads the plans that plan --json printed, one after the other.
func readPlans(path string) (plans []*authz.Plan, err error) {
	data, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, missingFor("--apply", path)
	case err != nil:
		return nil, unreadable("--apply", path, err)
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	for {
		var document json.RawMessage
		err := decoder.Decode(&document)
		if errors.Is(err, io.EOF) && len(plans) > 0 {
			return plans, nil
		}
		var plan *authz.Plan
		if err == nil {
			plan, err = authz.ReadPlan(bytes.NewReader(document))
		}
		if err != nil {
			return nil, usage("--apply %s is no plan: %s.", path, strings.TrimPrefix(err.Error(), "authz: plan: ")).because(err).
				then("Make one: clear-authz plan --json FILE... >plan.json")
		}
		plans = append(plans, plan)
	}
}
