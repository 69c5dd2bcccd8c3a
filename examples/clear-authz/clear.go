package main

import (
	"cmp"
	"context"
	"errors"
	"iter"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/acmeauthz/acmeauthz/account"
	"github.com/acmeauthz/acmeauthz/authz"
	"github.com/acmeauthz/acmeauthz/internal/display"
	"github.com/acmeauthz/acmeauthz/logparse"
	"golang.org/x/crypto/acme"
	"golang.org/x/time/rate"
)

// clear is the command itself: logs in, one line per authorization out.
func (p *program) clear(ctx context.Context, o options) error {
	in, err := p.input(o.files, o.key)
	if err != nil {
		return err
	}
	found := p.readHistory(in.logs, o)
	if found.failed > 0 && len(found.urls) == 0 {
		return found.problem(len(in.logs))
	}
	servers, err := chooseServers(o, in.key, found.urls)
	if err != nil {
		return err
	}
	over := found.over
	if o.server != "" {
		over = found.overAt(servers[0])
	}
	if len(over) > 0 && !found.asks(servers) {
		return p.allOver(o, over)
	}
	if len(found.urls) == 0 || len(servers) == 0 {
		p.say("%s\n", display.Trusted(found.nothingFound(in.logs)))
		return nil
	}
	// Until here nothing was sent, and Ctrl-C may end the program as it is.
	ctx, stop := catchInterrupt(ctx)
	defer stop()
	jobs, err := p.allJobs(ctx, o, servers, in.key, &found)
	if err != nil {
		return err
	}
	p.sayOver(over)
	if o.force {
		p.warnAtWork(found, servers)
	}
	for i := range jobs {
		jobs[i].orders = found.knownOrders
	}
	if err := p.workOnJobs(ctx, o, jobs, over); err != nil {
		return err
	}
	if found.failed > 0 {
		return found.problem(len(in.logs))
	}
	return nil
}

// catchInterrupt ends the context on Ctrl-C, and when the terminal is closed
// unless nohup ignores that. The second Ctrl-C ends the program at once.
func catchInterrupt(ctx context.Context) (context.Context, context.CancelFunc) {
	signals := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) {
		signals = append(signals, syscall.SIGHUP)
	}
	ctx, stop := signal.NotifyContext(ctx, signals...)
	context.AfterFunc(ctx, stop)
	return ctx, stop
}

// workOnJobs does the jobs, prints what became of them, and returns what is left
// to complain about.
func (p *program) workOnJobs(ctx context.Context, o options, jobs []job, over []*logparse.Life) error {
	if o.command == commandPlan {
		return p.plan(ctx, o, jobs)
	}
	journal, err := openJournal(o)
	if err != nil {
		return err
	}
	defer journal.close(p)
	p.journal = journal
	if o.command == commandRelinquish {
		return p.relinquish(ctx, o, jobs)
	}
	total := 0
	for _, j := range jobs {
		total += len(j.urls)
		p.say("%s: %s; its key is %s\n", display.Trusted(accountTitle(j.account)), display.Trusted(display.Plural(len(j.urls), "URL")), j.account.Path)
		p.warnExposed(j.account)
	}
	if !o.dryRun && (o.force || o.method != "") && slices.ContainsFunc(jobs, job.isLetsEncrypt) {
		p.say("%s\n", display.Trusted(letsEncryptHint))
	}
	out := p.newReport(o, total)
	if err := out.skip(over); err != nil {
		return writeError(err)
	}
	rejected, err := p.workOnAll(ctx, o, jobs, out)
	if (err != nil || len(rejected) == len(jobs)) && out.done() == 0 || out.broken {
		return p.reportRejected(rejected, out, out.verdict(ctx, err))
	}
	if writeErr := out.finish(); writeErr != nil {
		return writeError(writeErr)
	}
	return p.reportRejected(rejected, out, out.verdict(ctx, err))
}

// workOnAll does the jobs one after the other. An account that the CA rejects
// does not keep it from the others.
func (p *program) workOnAll(ctx context.Context, o options, jobs []job, out *report) (rejected []*problem, err error) {
	for _, j := range jobs {
		err := p.workOn(ctx, o, j, out)
		known, ok := errors.AsType[*problem](err)
		switch {
		case ok && len(jobs) > 1 && errors.Is(err, authz.ErrAccount):
			rejected = append(rejected, known)
		case err != nil:
			return rejected, err
		}
	}
	return rejected, nil
}

// reportRejected tells of the accounts that the CA rejects, and returns the
// verdict that they leave.
func (p *program) reportRejected(rejected []*problem, out *report, verdict error) error {
	for _, known := range rejected {
		p.tell(known)
	}
	last, ok := errors.AsType[*problem](verdict)
	switch {
	case len(rejected) == 0, ok && !last.silent():
		return verdict
	case out.read == 0:
		return &problem{code: exitNothing}
	}
	return &problem{code: exitFailed}
}

// workOn does one job. Its error is that of the whole sequence.
func (p *program) workOn(ctx context.Context, o options, j job, out *report) error {
	m, err := p.manager(o, j)
	if err != nil {
		return err
	}
	for r, err := range results(ctx, m, o, j) {
		if err != nil {
			return caProblem(j.account, o, err)
		}
		if err := out.add(j, r); err != nil {
			out.broken = true
			return writeError(err)
		}
	}
	return nil
}

// results is what the flags ask for.
func results(ctx context.Context, m *authz.Manager, o options, j job) iter.Seq2[authz.Result, error] {
	switch {
	case o.dryRun:
		return m.List(ctx, authz.URLs(j.urls...))
	case j.plan != nil:
		return m.Apply(ctx, j.plan)
	}
	return m.Clear(ctx, authz.URLs(j.urls...))
}

// policy is how to choose, by the flags.
func (o options) policy() authz.Policy {
	policy := authz.Policy{Method: authz.Action(o.method), KeepYounger: o.minAge}
	if o.command == commandFinish {
		policy.Method = authz.ActionFinish
	}
	if o.force {
		policy.Disturb, policy.Overspend, policy.KeepYounger = true, true, -1
		policy.Method = cmp.Or(policy.Method, authz.ActionDeactivate)
	}
	return policy
}

func (p *program) manager(o options, j job) (*authz.Manager, error) {
	client, err := p.client(o, j.account)
	if err != nil {
		return nil, err
	}
	m := &authz.Manager{Client: client, Parallelism: o.parallel, Profiles: o.profiles, Policy: o.policy(), KnownOrders: j.orders}
	if p.journal != nil {
		m.Journal = p.journal
	}
	if o.names.Len() > 0 {
		m.Select = func(a *acme.Authorization) bool { return authz.Pending(a) && o.names.Has(a) }
	}
	if o.command == commandFinish {
		m.Solve = o.solve.solver(client.Key)
	}
	if o.rate > 0 {
		m.Limiter = rate.NewLimiter(rate.Limit(o.rate), 1)
	}
	m.Logger = p.steps
	return m, nil
}

// client is the account's ACME client, with the flags applied.
func (p *program) client(o options, a *account.Account) (*acme.Client, error) {
	httpClient, err := p.httpClient(o)
	if err != nil {
		return nil, err
	}
	client := a.Client()
	client.HTTPClient = httpClient
	client.UserAgent = cmp.Or(client.UserAgent, "acmeauthz") + " clear-authz/" + strings.Trim(version(), "()")
	return client, nil
}

// identify looks up the URL of each account that does not know it, or that
// brought one from another CA, as accounts do whose directory Certbot copied
// from one server to another. It returns those that are known then, and why the
// others are not.
func (p *program) identify(ctx context.Context, o options, accounts []*account.Account) (known []*account.Account, failure error) {
	for _, a := range accounts {
		if a.URL != "" && hostOf(a.URL) == hostOf(a.Directory) {
			known = append(known, a)
			continue
		}
		b, err := p.lookUp(ctx, o, a)
		if ctx.Err() != nil {
			return nil, err
		}
		if err != nil {
			failure = errors.Join(failure, err)
			continue
		}
		known = append(known, b)
	}
	return known, failure
}

// lookUp asks the CA which account the key has (RFC 8555, section 7.3.1).
func (p *program) lookUp(ctx context.Context, o options, a *account.Account) (*account.Account, error) {
	client, err := p.client(o, a)
	if err != nil {
		return nil, err
	}
	client.HTTPClient.CheckRedirect = sameOrigin
	client.RetryBackoff = fewRetries
	registered, err := client.GetReg(ctx, "")
	if err != nil {
		return nil, caProblem(a, o, err)
	}
	b := *a
	b.URL = registered.URI
	return &b, nil
}
