package fakeca

import (
	"cmp"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// handleNewOrder makes an order with an authorization for each name (section 7.4).
func (ca *CA) handleNewOrder(in *incoming) *reply {
	var request struct {
		Identifiers []identifier `json:"identifiers"`
	}
	if err := json.Unmarshal(in.Payload, &request); err != nil || len(request.Identifiers) == 0 {
		return ca.refuse(refusedOrder)
	}
	o := &order{id: ca.newID(), account: in.account, identifiers: request.Identifiers, expires: time.Now().Add(7 * 24 * time.Hour)}
	for _, wanted := range request.Identifiers {
		name, wildcard := strings.CutPrefix(wanted.Value, "*.")
		o.authorizations = append(o.authorizations,
			ca.newAuthorization(Authorization{Type: wanted.Type, Identifier: name, Wildcard: wildcard}, in.account))
	}
	ca.addOrder(o)
	return ca.orderReply(http.StatusCreated, o)
}

// handleOrder reads an order, or refuses to finalize it: nothing is issued here.
func (ca *CA) handleOrder(in *incoming) *reply {
	o := ca.orders[in.id]
	if o == nil {
		return ca.refuse(unknownOrder, in.id)
	}
	if in.account != nil && o.account != in.account {
		return ca.refuse(foreignOrder, in.account.id)
	}
	for _, a := range o.authorizations {
		if ca.settle(a); a.lockedUp {
			return nil
		}
	}
	if in.what == finalizeResource {
		return ca.refuse(refusedFinalize, ca.orderStatus(o))
	}
	return ca.orderReply(http.StatusOK, o)
}

// status is that of the order as its authorizations have it.
func (ca *CA) orderStatus(o *order) string {
	status := "ready"
	for _, a := range o.authorizations {
		ca.settle(a)
		switch {
		case a.status != pending && a.status != valid || a.expired() && ca.config.Behavior != OpenBao:
			return invalid
		case a.status == pending:
			status = pending
		}
	}
	return status
}

// orderObject is an order as JSON.
type orderObject struct {
	Status         string       `json:"status"`
	Expires        string       `json:"expires"`
	Identifiers    []identifier `json:"identifiers"`
	Authorizations []string     `json:"authorizations"`
	Finalize       string       `json:"finalize"`
	Error          *problem     `json:"error,omitempty"`
}

// orderReply shows an order.
func (ca *CA) orderReply(code int, o *order) *reply {
	status := ca.orderStatus(o)
	shown := orderObject{
		Status:      status,
		Expires:     o.expires.UTC().Format(time.RFC3339),
		Identifiers: o.identifiers,
		Finalize:    ca.finalizeURL(o),
	}
	for _, a := range o.authorizations {
		// OpenBao forgets all but the valid ones when the order is over.
		if ca.config.Behavior != OpenBao || status != invalid || a.status == valid {
			shown.Authorizations = append(shown.Authorizations, ca.authorizationURL(a))
		}
		if ca.config.Behavior == Pebble && a.status == invalid && shown.Error == nil {
			shown.Error = a.failed()
		}
	}
	y := ca.object(code, shown)
	if code == http.StatusCreated || ca.config.Behavior != Pebble {
		y.header.Set("Location", ca.orderURL(o))
	}
	return y
}

// addOrder keeps an order.
func (ca *CA) addOrder(o *order) {
	ca.orders[o.id] = o
	o.account.orders = append(o.account.orders, o)
}

// pageSize is how many orders Pebble shows on a page of the list.
const pageSize = 3

// orderListURL is where the account's object says that its orders are listed; empty if it does not say.
func (ca *CA) orderListURL(a *account) string {
	switch {
	case ca.dialect.orderList != "":
		return ca.base + ca.dialect.orderList + a.id
	case ca.dialect.listEnd != "":
		return ca.accountURL(a) + ca.dialect.listEnd
	default:
		return ""
	}
}

// routeOrderList finds out whether a path is that of a list of orders, and whether the CA has such a path. The id is that
// of the account with what stands behind it.
func (ca *CA) routeOrderList(in *incoming) (known, list bool) {
	d := ca.dialect
	id, found := "", false
	switch {
	case d.orderList != "":
		id, found = strings.CutPrefix(in.Path, d.orderList)
	case ca.config.Behavior == OpenBao && in.Path == strings.TrimSuffix(d.newOrder, "new-order")+"orders":
		found = true // the list it does not announce, of whoever asks
	case d.listEnd != "" && strings.HasPrefix(in.Path, d.account):
		account, behind, ok := strings.Cut(in.Path[len(d.account):], d.listEnd)
		id, found = account+behind, ok
	}
	if !found {
		return false, false
	}
	in.what, in.Kind, in.id = orderListResource, OrderList, id
	switch ca.config.Behavior {
	case OpenBao:
		return id == "", true
	case Pebble:
		return true, true
	default:
		return !strings.Contains(id, "/"), true // they have no pages
	}
}

// handleOrderList lists the orders of an account (section 7.1.2.1).
func (ca *CA) handleOrderList(in *incoming) *reply {
	id, page, paged := strings.Cut(in.id, "/page/")
	number, err := strconv.Atoi(cmp.Or(page, "1"))
	switch {
	case ca.config.Behavior == OpenBao:
	case len(in.Payload) > 0:
		return ca.refuse(refusedListBody)
	case ca.accounts[id] != in.account:
		return ca.refuse(foreignList)
	case paged && page == "" || err != nil || number < 1:
		return ca.refuse(unknownOrder, page)
	}
	urls, answered := ca.listed(in.account)
	if !answered {
		return nil
	}
	switch ca.config.Behavior {
	case StepCA:
		return ca.object(http.StatusOK, urls) // not the object that RFC 8555 has
	case Pebble:
		return ca.orderPage(in.account, urls, number)
	default:
		return ca.object(http.StatusOK, map[string][]string{"orders": urls})
	}
}

// listed has the orders that the list of an account shows. It reports false if the CA has locked up on one.
func (ca *CA) listed(a *account) (urls []string, answered bool) {
	urls = []string{} // not null
	for _, o := range a.orders {
		status := ca.orderStatus(o)
		if slices.ContainsFunc(o.authorizations, func(a *authorization) bool { return a.lockedUp }) {
			return nil, false
		}
		if ca.config.Behavior == Pebble && status == invalid || ca.config.Behavior == StepCA && status != pending {
			continue
		}
		urls = append(urls, ca.orderURL(o))
	}
	if ca.config.Behavior == OpenBao {
		slices.Sort(urls)
	}
	return urls, true
}

// orderPage shows one page of a list, counted from 1. Pages are cut from what the list has now: an order that left it
// moves all later ones forward.
func (ca *CA) orderPage(a *account, urls []string, number int) *reply {
	start := len(urls)
	if number-1 <= len(urls)/pageSize {
		start = min((number-1)*pageSize, len(urls))
	}
	end := min(start+pageSize, len(urls))
	y := ca.object(http.StatusOK, map[string][]string{"orders": urls[start:end]})
	if end < len(urls) {
		y.header.Set("Link", "<"+ca.orderListURL(a)+"/page/"+strconv.Itoa(number+1)+`>;rel="next"`)
	}
	return y
}
