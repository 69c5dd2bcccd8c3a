package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/acmeauthz/acmeauthz/account"
	"github.com/acmeauthz/acmeauthz/authz"
	"github.com/acmeauthz/acmeauthz/internal/display"
)

// An orderRecord is one line of orders --json.
type orderRecord struct {
	Schema         string   `json:"schema"`
	URL            string   `json:"url"`
	Account        string   `json:"account"`
	Status         string   `json:"status"`
	Expires        *string  `json:"expires"`
	Identifiers    []string `json:"identifiers"`
	Authorizations []string `json:"authorizations"`
	Error          *string  `json:"error"`
}

// accountsAtCA are the accounts that --server, --account and --key choose, for
// what needs no logs.
func (p *program) accountsAtCA(ctx context.Context, o options) ([]*account.Account, error) {
	key, err := p.input0(o.key)
	if err != nil {
		return nil, err
	}
	if o.server != "" {
		s, err := parseServer(o.server, o.serverFrom)
		if err != nil {
			return nil, err
		}
		accounts, err := p.accounts(o, s, key)
		if err != nil {
			return nil, err
		}
		known, failure := p.identify(ctx, o, accounts)
		if len(known) == 0 {
			return nil, firstOf(failure)
		}
		return known, nil
	}
	if key != nil {
		return nil, usage("a key alone does not tell its CA.").then("Add it: --server HOST or directory URL")
	}
	return p.everyAccount(ctx, o)
}

// everyAccount are those of all CAs, or the one of --account.
func (p *program) everyAccount(ctx context.Context, o options) ([]*account.Account, error) {
	all, err := p.allAccounts(o)
	if len(all) == 0 {
		return nil, noAccounts(o, err)
	}
	var fit []*account.Account
	for _, a := range all {
		if a.Directory != "" && (o.account == "" || isNamed(a, o.account)) {
			fit = append(fit, a)
		}
	}
	if len(fit) == 0 {
		return nil, usage("no account fits.").then("clear-authz accounts lists those that are here.")
	}
	known, failure := p.identify(ctx, o, fit)
	if len(known) == 0 {
		return nil, firstOf(failure)
	}
	for _, err := range parts(failure) {
		p.warn("%s", err)
	}
	return known, nil
}

// ordersOf reads the orders that the CA lists for an account.
func (p *program) ordersOf(ctx context.Context, o options, a *account.Account) ([]authz.Order, error) {
	m, err := p.manager(o, job{account: a})
	if err != nil {
		return nil, err
	}
	var orders []authz.Order
	for order, err := range m.ReadOrders(ctx, m.Orders(ctx)) {
		switch {
		case errors.Is(err, authz.ErrNoOrders):
			return nil, nothing("%s does not list the orders of an account.", hostOf(a.Directory)).because(err).
				then("Name the client's logs instead: clear-authz FILE...").
				then("Of the public CAs only Actalis has such a list; Pebble, step-ca, Caddy, OpenBao and Vault have one, too.")
		case err != nil:
			return nil, caProblem(a, o, err)
		}
		orders = append(orders, order)
	}
	return orders, nil
}

// listOrders is the command orders.
func (p *program) listOrders(ctx context.Context, o options) error {
	ctx, stop := catchInterrupt(ctx)
	defer stop()
	accounts, err := p.accountsAtCA(ctx, o)
	if err != nil {
		return err
	}
	failed, told := 0, 0
	var last error
	for _, a := range accounts {
		orders, err := p.ordersOf(ctx, o, a)
		if err != nil && len(accounts) == 1 {
			return err
		}
		if err != nil {
			last = err
			p.warn("%s", err)
			continue
		}
		told++
		for _, order := range orders {
			if order.Err != nil {
				failed++
			}
		}
		if err := p.printOrders(o, a, orders); err != nil {
			return writeError(err)
		}
	}
	switch {
	case told == 0:
		return last
	case failed > 0 || last != nil:
		return &problem{code: exitFailed}
	}
	return nil
}

func (p *program) printOrders(o options, a *account.Account, orders []authz.Order) error {
	if o.json {
		for _, order := range orders {
			if err := p.printOrder(a, order); err != nil {
				return err
			}
		}
		return nil
	}
	p.say("%s lists %s\n", display.Trusted(accountTitle(a)), display.Trusted(display.Plural(len(orders), "order")))
	if len(orders) == 0 {
		return nil
	}
	rows := [][]string{{"NAMES", "STATUS", "EXPIRES", "ORDER"}}
	for _, order := range orders {
		status, expires := order.Status, "-"
		if order.Err != nil {
			status = "?"
			p.warn("%s: %s", order.URL, strings.TrimPrefix(order.Err.Error(), "authz: "))
		}
		if !order.Expires.IsZero() {
			expires = order.Expires.UTC().Format("2006-01-02 15:04")
		}
		rows = append(rows, []string{namesOf(order), status, expires, order.URL})
	}
	return writeTable(p.stdout, p.tableWidth(), rows)
}

// namesOf is an order's names, not all of them if there are many.
func namesOf(order authz.Order) string {
	var names []string
	for _, id := range order.Identifiers {
		names = append(names, id.Value)
	}
	const most = 3
	switch {
	case len(names) == 0:
		return "-"
	case len(names) > most:
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], " "), len(names)-most)
	}
	return strings.Join(names, " ")
}

func (p *program) printOrder(a *account.Account, order authz.Order) error {
	rec := orderRecord{Schema: "acmeauthz-order/1", URL: order.URL, Account: a.URL, Status: order.Status, Identifiers: []string{}, Authorizations: append([]string{}, order.Authorizations...)}
	for _, id := range order.Identifiers {
		rec.Identifiers = append(rec.Identifiers, id.Value)
	}
	if !order.Expires.IsZero() {
		text := order.Expires.UTC().Format(time.RFC3339)
		rec.Expires = &text
	}
	if order.Err != nil {
		text := order.Err.Error()
		rec.Error = &text
	}
	doc, err := json.Marshal(rec)
	if err == nil {
		_, err = fmt.Fprintf(p.stdout, "%s\n", display.CleanJSON(doc))
	}
	return err
}

// clearFromCA works on what the CA's lists of orders name, without logs.
func (p *program) clearFromCA(ctx context.Context, o options) error {
	ctx, stop := catchInterrupt(ctx)
	defer stop()
	accounts, err := p.accountsAtCA(ctx, o)
	if err != nil {
		return err
	}
	var jobs []job
	for _, a := range accounts {
		orders, err := p.ordersOf(ctx, o, a)
		if err != nil {
			if len(accounts) == 1 {
				return err
			}
			p.warn("left out: %s: %s", a.Name(), err)
			continue
		}
		if j := jobOfOrders(a, orders); len(j.urls) > 0 {
			jobs = append(jobs, j)
		}
	}
	if len(jobs) == 0 {
		p.say("Nothing to do: the CA lists no authorizations.\n")
		return nil
	}
	return p.workOnJobs(ctx, o, jobs, nil)
}

func jobOfOrders(a *account.Account, orders []authz.Order) job {
	j := job{account: a, orders: authz.IndexOrders(orders...)}
	seen := make(map[string]bool)
	for _, order := range orders {
		for _, url := range order.Authorizations {
			if !seen[url] {
				seen[url] = true
				j.urls = append(j.urls, url)
			}
		}
	}
	return j
}
