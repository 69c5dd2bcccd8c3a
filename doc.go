// Package acmeauthz is the root of an SDK for the lifecycle of ACME
// authorizations (RFC 8555). It has no code of its own; import its packages:
//
//   - [github.com/acmeauthz/acmeauthz/logparse] reads the logs of ACME
//     clients: which authorizations they name, what became of each, and why
//     some leaked. It needs no key and no network.
//   - [github.com/acmeauthz/acmeauthz/account] finds the accounts that ACME
//     clients keep, with key, URL and the CA's directory, and matches them.
//   - [github.com/acmeauthz/acmeauthz/authz] settles the authorizations of an
//     account, a few or a million of them, in the way that costs least at the
//     CA; gives up valid ones; and keeps programs from leaving any pending.
//   - [github.com/acmeauthz/acmeauthz/authz/solver] answers challenges, so that
//     what is pending can be finished.
//
// The first three do not import each other. They meet in your program, through a URL and
// an *acme.Client of golang.org/x/crypto/acme:
//
//	accounts, err := account.Certbot(os.DirFS("/etc/letsencrypt"))
//	if err != nil {
//		log.Print(err) // accounts that cannot be read do not hide the others
//	}
//	// ... choose one of accounts
//	m := &authz.Manager{Client: accounts[0].Client()}
//	urls := logparse.Files(os.DirFS("/var/log/letsencrypt"), "letsencrypt.log*")
//	for r, err := range m.Clear(ctx, urls) {
//		if err != nil {
//			log.Fatal(err)
//		}
//		fmt.Println(r.URL, r.Decision.Action, r.Decision.Reason, r.Err)
//	}
//
// The programs in examples/ use them: quickstart shows the whole way on a CA
// inside the process, clear-authz is a command for daily use, provision gets one
// certificate for many names of which some fail, and tracker keeps three ACME
// libraries from leaking.
//
// The packages order no certificates and create no accounts; that is the work
// of an ACME client. It never writes keys, never signs a request for an origin
// that the CA did not name, and speaks ACME v2 only.
package acmeauthz
