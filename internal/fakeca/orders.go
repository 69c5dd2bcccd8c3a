package fakeca

import (
	"cmp"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
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
	if refused := ca.checkBudgets(in.account, request.Identifiers); refused != nil {
		return refused
	}
	if o := ca.sameOrder(in.account, request.Identifiers); o != nil {
		return ca.orderReply(http.StatusCreated, o)
	}
	o := &order{account: in.account, identifiers: request.Identifiers}
	for _, wanted := range request.Identifiers {
		o.authorizations = append(o.authorizations, ca.reusable(in.account, wanted))
	}
	if slices.Contains(o.authorizations, nil) && ca.tooManyPending(in.account) {
		return ca.word(pendingText, strconv.Itoa(ca.config.PendingLimit))
	}
	o.id = ca.newID()
	for i, wanted := range request.Identifiers {
		if o.authorizations[i] == nil {
			value, wildcard := strings.CutPrefix(wanted.Value, "*.")
			o.authorizations[i] = ca.newAuthorization(Authorization{Type: wanted.Type, Identifier: value, Wildcard: wildcard}, in.account)
		}
	}
	ca.addOrder(o)
	return ca.orderReply(http.StatusCreated, o)
}

// sameOrder is the order to return instead of a new one; nil if there is none. As Boulder does, it looks only at the oldest
// order of the same names, whatever their sequence, that is not expired.
func (ca *CA) sameOrder(owner *account, identifiers []identifier) *order {
	if !ca.config.ReusePending {
		return nil
	}
	for _, o := range owner.orders {
		if o.expired() || !slices.Equal(sorted(o.identifiers), sorted(identifiers)) {
			continue
		}
		if status := ca.orderStatus(o); status == pending || status == ready {
			return o
		}
		return nil
	}
	return nil
}

// sorted has the values of identifiers in alphabetical order.
func sorted(identifiers []identifier) []string {
	var values []string
	for _, one := range identifiers {
		values = append(values, one.Value)
	}
	slices.Sort(values)
	return values
}

// reusable is the newest pending authorization for a name, to be listed again; nil if there is none.
func (ca *CA) reusable(owner *account, wanted identifier) *authorization {
	for _, a := range slices.Backward(ca.named[name{owner, wanted.Value}]) {
		if ca.settle(a); a.status == pending && !a.expired() {
			return a
		}
	}
	return nil
}

// handleOrder reads or finalizes an order.
func (ca *CA) handleOrder(in *incoming) *reply {
	o := ca.orders[in.id]
	if o == nil || ca.config.Behavior == Boulder && o.expired() {
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
		return ca.handleFinalize(o, in.Payload)
	}
	return ca.orderReply(http.StatusOK, ca.replicaOrder(o))
}

// handleFinalize issues the certificate of an order that is ready, if any is issued here.
func (ca *CA) handleFinalize(o *order, payload []byte) *reply {
	if status := ca.orderStatus(o); status != ready || !ca.config.Issue {
		return ca.refuse(refusedFinalize, status)
	}
	var request struct {
		CSR string `json:"csr"`
	}
	if err := json.Unmarshal(payload, &request); err != nil {
		return ca.refuse(refusedCSR)
	}
	if csr, err := base64.RawURLEncoding.DecodeString(request.CSR); err != nil || len(csr) == 0 {
		return ca.refuse(refusedCSR)
	}
	ca.rememberOrder(o)
	o.status = valid
	ca.issue(o)
	if ca.config.Behavior != Pebble {
		return ca.orderReply(http.StatusOK, o)
	}
	y := ca.orderReplyAs(http.StatusOK, o, processing) // it is done when it is next looked at
	y.header.Set("Retry-After", "5")
	return y
}

// issue gives an order its certificate.
func (ca *CA) issue(o *order) {
	o.certificate = o.id
	if ca.dialect.certificate != "" {
		var random [16]byte
		_, _ = rand.Read(random[:]) // never fails
		o.certificate = hex.EncodeToString(random[:])
	}
	ca.issued[o.certificate] = o
}

// certificateURL is where an order's certificate is; empty if none was issued.
func (ca *CA) certificateURL(o *order) string {
	switch {
	case o.certificate == "":
		return ""
	case ca.dialect.certificate == "":
		return ca.orderURL(o) + "/cert"
	default:
		return ca.base + ca.dialect.certificate + o.certificate
	}
}

// handleCertificate shows a certificate (section 7.4.2).
func (ca *CA) handleCertificate(in *incoming) *reply {
	o := ca.issued[in.id]
	if o == nil || in.account != nil && in.account != o.account {
		return ca.refuse(unknownCertificate, in.id)
	}
	return &reply{status: http.StatusOK, body: ca.chain, header: http.Header{"Content-Type": {"application/pem-certificate-chain"}}}
}

// newChain makes a self-signed certificate, in PEM.
func newChain() []byte {
	key := newKey()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: "fakeca"},
		NotBefore:    time.Now(),
		NotAfter:     time.Now().Add(90 * 24 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		panic(fmt.Sprintf("fakeca: making a certificate: %v", err)) // never: the template is sound
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// expired reports whether an order's time is over.
func (o *order) expired() bool { return time.Now().After(o.expires) }

// orderStatus is that of the order as its authorizations have it, or as Order.Status has it.
func (ca *CA) orderStatus(o *order) string {
	lasting := ca.config.Behavior == StepCA || ca.config.Behavior == OpenBao
	derived := ca.derivedStatus(o)
	switch {
	case o.status == valid && lasting:
		return valid
	case derived == invalid || o.expired():
		return invalid
	default:
		return cmp.Or(o.status, derived)
	}
}

// derivedStatus is the order's as its authorizations have it.
func (ca *CA) derivedStatus(o *order) string {
	status := ready
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
	Certificate    string       `json:"certificate,omitempty"`
	Error          *problem     `json:"error,omitempty"`
}

// orderReply shows an order.
func (ca *CA) orderReply(code int, o *order) *reply {
	return ca.orderReplyAs(code, o, ca.orderStatus(o))
}

// orderReplyAs shows an order, with the status it is said to have.
func (ca *CA) orderReplyAs(code int, o *order, status string) *reply {
	shown := orderObject{
		Status:      status,
		Expires:     o.expires.UTC().Format(time.RFC3339),
		Identifiers: o.identifiers,
		Finalize:    ca.finalizeURL(o),
	}
	if status == valid || status == invalid && ca.config.Behavior == Pebble {
		shown.Certificate = ca.certificateURL(o) // Pebble shows that of an invalid order, too
	}
	for _, a := range o.authorizations {
		// OpenBao forgets all but the valid ones when the order is over.
		if ca.config.Behavior != OpenBao || status != invalid && status != valid || a.status == valid {
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

// describeOrder shows an order to the test.
func (ca *CA) describeOrder(o *order) Order {
	shown := Order{
		URL:            ca.orderURL(o),
		Owner:          kid(ca.accountURL(o.account)),
		Authorizations: []string{},
		Status:         ca.orderStatus(o),
		Expires:        o.expires,
		Certificate:    ca.certificateURL(o),
	}
	for _, a := range o.authorizations {
		shown.Authorizations = append(shown.Authorizations, ca.authorizationURL(a))
	}
	return shown
}

// addOrder keeps an order, with an id and an expiry if it has none yet.
func (ca *CA) addOrder(o *order) {
	if o.id == "" {
		o.id = ca.newID()
	}
	if o.expires.IsZero() {
		o.expires = time.Now().Add(7 * 24 * time.Hour)
	}
	if o.status == valid && ca.config.Issue {
		ca.issue(o)
	}
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
