package main

// help is what --help prints: a template that package cli fills in.
const help = `clear-authz - clear the authorizations that an ACME client left pending

USAGE:
   clear-authz [flags] [KEY] [FILE...]
   clear-authz urls [FILE...]            print the URLs in the logs, ask no CA

   It finds authorization URLs in an ACME client's logs, asks the CA about each,
   and clears those that are still pending. It touches nothing else.

   FILE is a log, plain or compressed, a directory of logs, a pattern in quotes,
   or - for standard input. Without a FILE, standard input is read; if that is a
   terminal, /var/log/letsencrypt.

   KEY is a file with nothing but an account's private key, PEM or JWK (such as
   Certbot's private_key.json); its content tells it from a log. Without a KEY,
   accounts are looked up in Certbot's directory, /etc/letsencrypt: those of the
   CA in the logs and, if there are several, those that the URLs belong to.

EXAMPLES:
   clear-authz --dry-run /var/log/letsencrypt       look, and change nothing
   clear-authz /var/log/letsencrypt                 clear what is pending
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
                   or revoked; "" if it cannot be read
   status_after    as the CA said last
   changed         true if this run changed it
   outcome         cleared, pending (with --dry-run), settled (nothing to do),
                   gone (expired or unknown), not_ours (of another account),
                   failed
   error           why it could not be read or changed; null if there is nothing

NOTE:
   Let's Encrypt counts each pending authorization that is cleared as a failed
   validation (5 per name and hour); left alone, they end within 7 days. Clearing
   an authorization ends the order it belongs to, so do not do it while the
   client is ordering.
`

// leaksHelp is what leaks --help prints.
const leaksHelp = `todo {{template "visibleFlagTemplate" .}}
`
