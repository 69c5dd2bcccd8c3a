package leaks

import (
	"cmp"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/acmeauthz/acmeauthz/internal/display"
	"github.com/acmeauthz/acmeauthz/internal/document"
	"github.com/acmeauthz/acmeauthz/logparse"
)

// An explanation is what to say of a cause.
type explanation struct {
	cause  logparse.Cause
	words  string // what happened
	advice string // what to change
	blame  string // how to go on with the names that failed, if they are known
}

// explanations are all causes, those first that are most often met.
var explanations = []explanation{
	{
		logparse.CauseKilled, "the run stops without an end",
		"Something ended the client before it was done: a wrapper's time-out, a service manager, a reboot, too " +
			"little memory. Give it more time (timeout, TimeoutStartSec=, a job's deadline; DNS needs minutes) and end " +
			"it with SIGINT or SIGTERM rather than SIGKILL. If it was none of these, it crashed: look in the system's log.", "",
	},
	{
		logparse.CauseSibling, "another name of the order failed first",
		"One name that fails takes its whole order along, and the others stay pending. Fix that name or drop it " +
			"before the next order, or give it a certificate of its own. Do not find it by asking again with one name " +
			"less: each try leaves another set behind.", "Failed first",
	},
	{
		logparse.CauseCheck, "the client's own check failed",
		"The client looked before it asked the CA to, and did not find its challenge. Repair the way to it (web " +
			"root, redirects, port 80, DNS servers that answer differently), and try against the CA's staging or test " +
			"server first.", "Checked in vain",
	},
	{
		logparse.CauseHook, "a hook or plug-in failed",
		"Run the hook by hand, as the client's user and with its environment. Make it check what it needs (files, " +
			"credentials, other hosts) in a test run against staging, not in an order.", "Failed for",
	},
	{
		logparse.CauseDNS, "the DNS provider refused or failed",
		"Check the provider's credentials, which zones they may change, and its limit on requests. Leave time " +
			"between orders if many names are in one zone.", "Failed for",
	},
	{
		logparse.CauseRateLimited, "the CA refused because of a rate limit",
		"Wait as long as the CA says (Retry-After, or the text of the error); asking again meanwhile helps " +
			"nothing. Spread renewals over days, do not repeat failing orders, and put names into fewer certificates.", "",
	},
	{
		logparse.CauseRefused, "the CA refused a request",
		"The proof lines above have the CA's words: usually an account, a name or a client that it does not " +
			"accept. Correct that before the next order, and update the client if the request was malformed.", "Refused for",
	},
	{
		logparse.CauseNetwork, "the CA was not reached or did not answer",
		"Look at the way to the CA: firewall, proxy, DNS, TLS inspection. Let the client try again later rather " +
			"than at once, and not all hosts at the same minute.", "",
	},
	{
		logparse.CauseSuperseded, "the client asked again with other names instead",
		"Settle which names a certificate is for, and then order once. Each change of the set of names is a " +
			"new order, and its predecessor stays pending.", "",
	},
	{
		logparse.CauseUnknown, "the logs do not tell",
		"Name the older and newer logs of the same client, too. Some clients log too little by themselves: " +
			"lego 5 needs --log.level debug, acme.sh --log, Caddy its debug option, Traefik the level DEBUG.", "",
	},
}

// Causes are all that are known, those first that are most often met.
func Causes() []logparse.Cause {
	return document.List(explanations, func(e explanation) logparse.Cause { return e.cause })
}

// Explain says in a few words what a cause is.
func Explain(c logparse.Cause) string { return causeOf(string(c)).words }

// causeOf returns what to say of a cause, also if it is not known here.
func causeOf(cause string) explanation {
	for _, c := range explanations {
		if string(c.cause) == cause {
			return c
		}
	}
	return explanation{cause: logparse.Cause(cause), words: display.Clean(cause)}
}

// blamed lists the names to blame for a cause, those that are most often first.
func (r *Report) blamed(cause string) []string {
	counts := make(map[string]int)
	for i := range r.Authorizations {
		if a := &r.Authorizations[i]; a.wasLeft() && a.Cause == cause && a.Blame != "" {
			counts[a.Blame]++
		}
	}
	return display.ByCount(counts)
}

// facts are what matters to know of the CAs that the leaks are at.
func (r *Report) facts() []string {
	var encrypt, others bool
	var last time.Time
	dated := 0
	for i := range r.Authorizations {
		a := &r.Authorizations[i]
		if !a.isLeaked() {
			continue
		}
		if atLetsEncrypt(cmp.Or(a.URL, a.Order)) {
			encrypt = true
		} else {
			others = true
		}
		if !a.Expires.IsZero() {
			dated++
		}
		last = slices.MaxFunc([]time.Time{last, a.Expires.Time}, time.Time.Compare)
	}
	var facts []string
	if dated > 0 {
		facts = append(facts, r.ends(dated, last))
	}
	if encrypt {
		facts = append(facts, letsEncryptFact)
	}
	if others {
		facts = append(facts, otherCAsFact)
	}
	return facts
}

func atLetsEncrypt(raw string) bool {
	u, err := url.Parse(raw)
	return err == nil && strings.HasSuffix(strings.ToLower(u.Hostname()), ".api.letsencrypt.org")
}

// ends says when the leaks end by themselves.
func (r *Report) ends(dated int, last time.Time) string {
	which := "They end"
	switch {
	case dated < r.leaked():
		which = "Those whose expiry is logged (" + display.Plural(dated, "authorization") + ") end"
	case dated == 1:
		which = "It ends"
	}
	return which + " without anybody's help: the last on " + last.UTC().Format("2006-01-02 at 15:04") + " UTC."
}

const letsEncryptFact = "Let's Encrypt has had no limit on pending authorizations since January 2025. Those that are left " +
	"alone end within 7 days, much sooner with the profiles tlsserver and shortlived; deactivating one counts as a failed " +
	"validation, of which a name may have 5 per hour. So leave them, and stop the cause."

const otherCAsFact = "Other CAs: step-ca and Caddy refuse to deactivate, and end them after 24 hours; Dogtag and acme2certifier " +
	"say yes and change nothing; Vault and OpenBao never end them. Where deactivating works, clear-authz clears what the " +
	"CA says is still pending. Do not clear while a client is ordering: that ends its order."

func (a *Authorization) isLeaked() bool { return a.Verdict == string(logparse.Leaked) }
