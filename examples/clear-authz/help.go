package main

import (
	"fmt"
	"strings"
)

// help is what --help prints: a template that package cli fills in.
const help = `clear-authz - clear the authorizations that an ACME client left pending

USAGE:
   clear-authz [flags] [KEY] [FILE...]     the same as clear-authz clear
   clear-authz leaks [flags] [FILE...]     report what leaked and why, ask no CA
   clear-authz plan [flags] [FILE...]      say what clear would do, and what it costs
   clear-authz clear [flags] [FILE...]     settle what is pending, as costs least
   clear-authz finish [flags] [FILE...]    validate what is pending
   clear-authz relinquish --name NAME ...  give up what is valid for names that left
   clear-authz orders [flags]              list the account's orders at the CA
   clear-authz accounts [DIR|FILE...]      list the accounts of ACME clients here
   clear-authz urls [FILE...]              print the URLs in the logs, ask no CA

   It finds authorization URLs in an ACME client's logs, asks the CA about each
   that the logs do not show to be over, and settles those that are still pending:
   in the way that costs least at that CA, which may be to leave them alone. It
   spares what a client may still need, and touches nothing else.

   FILE is a log, plain or compressed, a directory of logs, a pattern in quotes,
   or - for standard input. Without a FILE, standard input is read; if that is a
   terminal, /var/log/letsencrypt.

   KEY is a file with nothing but an account's private key, PEM, DER or JWK (such as
   Certbot's private_key.json); its content tells it from a log. Without a KEY, the
   accounts are used that the logs need, of any ACME client that keeps them at its
   usual place on this machine; "clear-authz accounts" lists them.

EXAMPLES:
   clear-authz leaks /var/log/letsencrypt           what leaked, and why
   clear-authz plan /var/log/letsencrypt            what would be done, at which cost
   clear-authz /var/log/letsencrypt                 do it
   clear-authz --dry-run /var/log/letsencrypt       list what the CA has
   cat letsencrypt.log* | clear-authz               logs from a pipe
   clear-authz private_key.json letsencrypt.log*    copied files

FLAGS:{{template "visibleFlagTemplate" .}}

ENVIRONMENT:
   CLEAR_AUTHZ_SERVER   the same as --server

EXIT CODES:
   0   all is well, or there was nothing to do
   1   some authorizations could not be read or cleared, or some logs not read,
       or it was interrupted
   2   the command line needs a change: a flag, a file, which CA or account
   3   nothing could be done: no account, no permission, or the CA cannot be
       reached or does not accept the account

JSON:
   --json prints an object per line for each authorization, with the members
   url             the authorization's URL
   identifier      the name or address, without "*."; "" if it cannot be read
   wildcard        true if the authorization is for "*." and the identifier
   status_before   as first read: pending, valid, invalid, deactivated, expired
                   or revoked; "" if it was not read. With the outcome over,
                   the last one in the logs, and status_after the same
   status_after    as the CA said last
   changed         true if this run changed it
   outcome         cleared, pending (with --dry-run), settled (nothing to do),
                   left (it ends by itself), waiting (this CA has no other way),
                   spared (a client may need it), deferred (its name has no
                   failures to spare now), over (not asked, as the logs show;
                   --all asks), gone (expired or unknown), not_ours (of another
                   account), failed
   action          what was chosen: none, finish, deactivate, answer, leave, wait,
                   spare, defer; "" with --dry-run, or if it could not be read
   reason          why
   at              when it ends by itself, or can be cleared; null if not known
   order           of those that list it and are not over, one; "" if none is known
   error           why it could not be read or changed; null if there is nothing

NOTE:
   Let's Encrypt counts each pending authorization that is deactivated, or whose
   validation fails, as a failed validation (5 per name and hour); left alone, they
   end within 7 days and are in nobody's way. Clearing an authorization ends the
   orders that list it. --force does it nevertheless.
`

// clearHelp is what clear --help prints.
const clearHelp = `clear-authz clear - settle what is pending, in the way that costs least

USAGE:
   clear-authz clear [flags] [KEY] [FILE...]

   What that is depends on the CA, and "clear-authz plan" shows it beforehand:
   deactivate   where that works and costs nothing, or is within what the CA allows
   answer       a challenge, to let it fail, where that settles it and nothing else does
   leave        what ends by itself, where to clear it costs more than it gains
   wait         where nothing helps (step-ca and Caddy)
   spare        what a client may be about to use
   defer        what would use up the failures that the CA allows for its name

FLAGS:{{template "visibleFlagTemplate" .}}

   "clear-authz --help" explains FILE, KEY, the exit codes and --json.
`

// planHelp is what plan --help prints.
const planHelp = `clear-authz plan - say what clear would do, and what it costs

USAGE:
   clear-authz plan [flags] [KEY] [FILE...]

   It reads each authorization and changes none. The plan says what would be done
   to each and why, what of it the CA counts as failed validations, which orders
   would become invalid, and when the last can be cleared.

EXAMPLES:
   clear-authz plan /var/log/letsencrypt
   clear-authz plan --json /var/log/letsencrypt >plan.json
   clear-authz clear --apply plan.json --journal clear.journal

FLAGS:{{template "visibleFlagTemplate" .}}

   "clear-authz --help" explains FILE, KEY and the exit codes. --json prints a
   document of the schema "acmeauthz-plan/1" for each account, on a line.
`

// finishHelp is what finish --help prints.
const finishHelp = `clear-authz finish - validate what is pending

USAGE:
   clear-authz finish [flags] [KEY] [FILE...]

   It answers a challenge of each pending authorization, so that it becomes valid:
   that costs nothing, leaves its order alive, and the next order need not validate
   the name again. It needs a way to answer, and that the names are yours still.

EXAMPLES:
   clear-authz finish --webroot /var/www/html /var/log/letsencrypt
   clear-authz finish --http :80 letsencrypt.log
   clear-authz finish --auth-hook ./add.sh --cleanup-hook ./remove.sh letsencrypt.log

   Hooks have CERTBOT_DOMAIN, CERTBOT_VALIDATION and CERTBOT_TOKEN in their
   environment, as Certbot's manual hooks do.

FLAGS:{{template "visibleFlagTemplate" .}}

   "clear-authz --help" explains FILE, KEY, the exit codes and --json.
`

// relinquishHelp is what relinquish --help prints.
const relinquishHelp = `clear-authz relinquish - give up what is valid for names that left

USAGE:
   clear-authz relinquish --name NAME [flags] [KEY] [FILE...]

   As long as an authorization is valid, whoever has the account's key can get
   certificates for its name, also after the domain was sold. It deactivates the
   valid authorizations for the names, touches no other, and prints a report.

   NAME is
   www.gone.example   that very name, not its wildcard
   *.gone.example     the wildcard, not the name
   .gone.example      the name, its wildcard, and everything below
   192.0.2.1          an address

EXAMPLES:
   clear-authz relinquish --name .gone.example /var/log/letsencrypt >report.txt
   clear-authz relinquish --name-file left.txt --from-ca --server ca.example.com --json

FLAGS:{{template "visibleFlagTemplate" .}}

   "clear-authz --help" explains FILE, KEY and the exit codes. --json prints a
   document of the schema "acmeauthz-relinquish/1" for each account, on a line.
`

// ordersHelp is what orders --help prints.
const ordersHelp = `clear-authz orders - list the account's orders at the CA

USAGE:
   clear-authz orders [flags]

   Few CAs have such a list: Actalis of the public ones; Pebble, step-ca, Caddy,
   OpenBao and Vault. Some leave orders out: step-ca and Caddy show pending ones
   only, Pebble those that are not invalid.

EXAMPLES:
   clear-authz orders                           of all accounts here
   clear-authz orders --server ca.example.com   of those at one CA
   clear-authz clear --from-ca --server ca.example.com

FLAGS:{{template "visibleFlagTemplate" .}}

JSON:
   --json prints an object per line for each order, with the members url, account,
   status, expires (null if not known), identifiers, authorizations, and error (why
   it could not be read; null if there is nothing).

   "clear-authz --help" explains the exit codes.
`

// accountsHelp is what accounts --help prints.
const accountsHelp = `clear-authz accounts - list the accounts that ACME clients keep here

USAGE:
   clear-authz accounts [flags] [DIR|FILE...]

   It reads the stores of Certbot, lego, acme.sh, dehydrated, Caddy, Traefik, mod_md,
   autocert, acmetool, uacme, lacme, simp_le, Posh-ACME, win-acme, cert-manager
   (manifests), Terraform (state), instant-acme, and keys in PEM, DER or JWK form. It
   asks no CA, and prints no key.

   DIR is a client's directory, a home directory, or a copy of a machine's root; FILE
   is a file of accounts, or a key. Without any, the places are looked at where the
   clients keep accounts by default: in /etc, /var/lib and the like, and in the homes of
   root and of the user.

EXAMPLES:
   sudo clear-authz accounts                    all on this machine
   clear-authz accounts ~/.lego acme.json       these

FLAGS:{{template "visibleFlagTemplate" .}}

EXIT CODES:
   0   the accounts are listed
   1   some could not be read
   2   the command line needs a change
   3   no account was found

JSON:
   --json prints an object per line for each account, with the members
   client           who keeps it: certbot, lego, acme.sh, ...; "key file" if it is a key
                    and no more
   path             the key's file
   directory        the directory URL of the CA, "" if it is not stored
   url              the account's URL ("kid"), "" if it is not stored
   ca, environment  of a public CA its name, and production or staging; else ""
   key_type         EC or RSA
   key_size         in bits
   thumbprint       of the key (RFC 7638)
   contact          the contact URLs, as stored
   created_at       when the client made it; null if that is not stored
   problems         what hinders or endangers its use, each with problem (exposed,
                    no-url, no-directory) and text
`

// leaksHelpText is leaksHelp without the causes.
const leaksHelpText = `clear-authz leaks - report what the logs say was left pending, and why

USAGE:
   clear-authz leaks [flags] [FILE...]

   It reads ACME clients' logs, asks no CA and needs no key. For each authorization
   it says what became of it, as far as the logs tell; for each that leaked, which
   run left it, why, and which lines show that.

   FILE is a log, plain or compressed, a directory of logs, a pattern in quotes,
   or - for standard input. Without a FILE, standard input is read; if that is a
   terminal, /var/log/letsencrypt. Logs may be of different clients, and be carried
   by syslog, the journal, Docker or Kubernetes. Logs of a fleet are told apart by
   their directories: fleet/web01/letsencrypt.log is of the host web01.

EXAMPLES:
   clear-authz leaks /var/log/letsencrypt            one machine
   clear-authz leaks fleet/                          many, a directory each
   journalctl -u caddy -o export | clear-authz leaks
   clear-authz leaks --html leaks.html --csv fleet/ >leaks.csv

FLAGS:{{template "visibleFlagTemplate" .}}

VERDICTS:
   leaked        pending when last seen, and nobody works on it any more
   valid, invalid, deactivated, expired
   in progress   its run has not ended, and is recent (an hour)
   unknown       the logs do not tell

WHY IT LEAKED, the cause:
CAUSES
EXIT CODES:
   0   the report is made, whether anything leaked or not
   1   some logs could not be read
   2   the command line needs a change
   3   no log could be read, or the report not be written

JSON:
   --json prints one document, of the schema "` + leaksSchema + `", with the members
   at               the time for which is judged
   summary          counts of files, runs, orders, authorizations; first_seen,
                    last_seen; verdicts and causes, by name; domains, hosts,
                    clients, accounts, each with key, authorizations, leaked,
                    invalid, first_seen, last_seen; days, each with created,
                    answered, valid, invalid, deactivated, leaked; dropped (beyond
                    2,000,000 authorizations); unrecognized_lines, and where
   authorizations   url, identifier, wildcard, names (those it may be of, if the
                    identifier is not known), domain, account, order, client,
                    host, unit, file, run, status, verdict, cause, blame (the name
                    that failed), answered, answered_at, first_seen, last_seen,
                    expires, evidence (file, line, text)
   runs             id, client, version, command, host, unit, pid, file, line,
                    started, ended, has_ended, last_seen, exit, message,
                    authorizations, leaked, cause
   What is not known is "", null for times, or an empty list. Times are RFC 3339
   in UTC. Members may be added. --csv has a row for each authorization, in the
   same words.
`

// leaksHelp is what leaks --help prints.
func leaksHelp() string {
	var causes strings.Builder
	for _, c := range leakCauses {
		fmt.Fprintf(&causes, "   %-16s %s\n", c.cause, c.words)
	}
	return strings.Replace(leaksHelpText, "CAUSES\n", causes.String()+"\n", 1)
}
