package main

import (
	"slices"

	"github.com/acmeauthz/acmeauthz/internal/leaks"
)

// mainPage is what --help prints, and the first part of the man page.
func mainPage() helpPage {
	return helpPage{
		summary: "clear the authorizations that an ACME client left pending",
		usage: []string{
			"clear-authz [flags] [KEY] [FILE...]     the same as clear-authz clear",
			"clear-authz COMMAND [flags] ...",
		},
		about: []block{
			terms(
				entry{"leaks", "report what leaked and why; ask no CA"},
				entry{"plan", "say what clear would do, and what it costs"},
				entry{"clear", "settle what is pending, in the way that costs least"},
				entry{"finish", "validate what is pending"},
				entry{"relinquish", "give up what is valid for names that left"},
				entry{"orders", "list the account's orders at the CA"},
				entry{"accounts", "list the accounts of ACME clients here; ask no CA"},
				entry{"urls", "print the authorization URLs in logs; ask no CA"},
				entry{"schema", "print the JSON Schema of what is printed"},
				entry{"completion", "print a script for bash, zsh, fish or PowerShell"},
				entry{"man", "print the man page"},
				entry{"version", "print the version, and how it was built"},
			),
			paragraph("It finds authorization URLs in an ACME client's logs, asks the CA about each that the logs do not show to be over, and " +
				"settles those that are still pending: in the way that costs least at that CA, which may be to leave them alone. " +
				"It spares what a client may still need, and touches nothing else."),
			paragraph("FILE is a log, plain or compressed, a directory of logs, a pattern in quotes, or - for standard input. Without a FILE, " +
				"standard input is read; if that is a terminal, /var/log/letsencrypt."),
			paragraph("KEY is a file with nothing but an account's private key, PEM, DER or JWK (such as Certbot's private_key.json); its " +
				"content tells it from a log. Without a KEY, the accounts are used that the logs need, of any ACME client that " +
				"keeps them at its usual place on this machine; \"clear-authz accounts\" lists them."),
		},
		examples: []entry{
			{"clear-authz leaks /var/log/letsencrypt", "what leaked, and why"},
			{"clear-authz plan /var/log/letsencrypt", "what would be done, at which cost"},
			{"clear-authz /var/log/letsencrypt", "do it"},
			{"clear-authz --dry-run /var/log/letsencrypt", "list what the CA has"},
			{"cat letsencrypt.log* | clear-authz", "logs from a pipe"},
			{"clear-authz private_key.json letsencrypt.log*", "copied files"},
		},
		sections: []section{
			{"ENVIRONMENT", []block{terms(
				entry{"CLEAR_AUTHZ_SERVER", "the same as --server"},
				entry{"NO_COLOR", "if it is not empty, nothing is coloured"},
				entry{"HTTPS_PROXY, NO_PROXY", "the way to the CA"},
				entry{"SSL_CERT_FILE", "the roots that are trusted, instead of the system's"},
			)}},
			{"EXIT CODES", []block{terms(
				entry{"0", "all is well, or there was nothing to do"},
				entry{"1", "some authorizations could not be read or cleared, or some logs not read, or it was interrupted"},
				entry{"2", "the command line needs a change: a flag, a file, which CA or account"},
				entry{"3", "nothing could be done: no account, no permission, or the CA cannot be reached or does not accept the account"},
			)}},
			{"LOGS", []block{paragraph("What is told to people goes to standard error. With --log-format text or json it is a log there: a line for each " +
				"message, with the members time, level and msg (text: key=value), and those of the requests at the level debug. " +
				"--log-level is debug, info, warn or error; -v is debug, -q is error.")}},
			metricsSection(),
			jsonSection("--json prints an object per line for each authorization", "authorization"),
			{"NOTE", []block{paragraph("Let's Encrypt counts each pending authorization that is deactivated, or whose validation fails, as a failed validation " +
				"(5 per name and hour); left alone, they end within 7 days and are in nobody's way. Clearing an authorization " +
				"ends the orders that list it. --force does it nevertheless.")}},
		},
	}
}

// pageOf is what "clear-authz NAME --help" prints.
func pageOf(name string) (helpPage, bool) {
	pages := []helpPage{
		clearPage(), planPage(), finishPage(), relinquishPage(), ordersPage(), leaksPage(), accountsPage(), urlsPage(),
		schemaPage(), completionPage(), manPage(), versionPage(),
	}
	i := slices.IndexFunc(pages, func(h helpPage) bool { return h.name == name })
	if i < 0 {
		return helpPage{}, false
	}
	return pages[i], true
}

func seeMain(more string) section {
	return section{"MORE", []block{paragraph("\"clear-authz --help\" explains " + more + ".")}}
}

func clearPage() helpPage {
	return helpPage{
		name:    "clear",
		summary: "settle what is pending, in the way that costs least",
		usage:   []string{"clear-authz clear [flags] [KEY] [FILE...]"},
		about: []block{
			paragraph("What that is depends on the CA, and \"clear-authz plan\" shows it beforehand:"),
			terms(
				entry{"deactivate", "where that works and costs nothing, or is within what the CA allows"},
				entry{"answer", "a challenge, to let it fail, where that settles it and nothing else does"},
				entry{"leave", "what ends by itself, where to clear it costs more than it gains"},
				entry{"wait", "where nothing helps (step-ca and Caddy)"},
				entry{"spare", "what a client may be about to use"},
				entry{"defer", "what would use up the failures that the CA allows for its name"},
			),
		},
		sections: []section{seeMain("FILE, KEY, the exit codes, --log-format, --metrics-file and --json")},
	}
}

func planPage() helpPage {
	return helpPage{
		name:    "plan",
		summary: "say what clear would do, and what it costs",
		usage:   []string{"clear-authz plan [flags] [KEY] [FILE...]"},
		about: []block{paragraph("It reads each authorization and changes none. The plan says what would be done to each and why, what of it the " +
			"CA counts as failed validations, which orders would become invalid, and when the last can be cleared.")},
		examples: []entry{
			{"clear-authz plan /var/log/letsencrypt", ""},
			{"clear-authz plan --json /var/log/letsencrypt >plan.json", ""},
			{"clear-authz clear --apply plan.json --journal clear.journal", ""},
		},
		sections: []section{jsonSection("--json prints a document for each account, on a line", "plan"), seeMain("FILE, KEY and the exit codes")},
	}
}

func finishPage() helpPage {
	return helpPage{
		name:    "finish",
		summary: "validate what is pending",
		usage:   []string{"clear-authz finish [flags] [KEY] [FILE...]"},
		about: []block{
			paragraph("It answers a challenge of each pending authorization, so that it becomes valid: that costs nothing, leaves its order " +
				"alive, and the next order need not validate the name again. It needs a way to answer, and that the names are yours still."),
			paragraph("Hooks have CERTBOT_DOMAIN, CERTBOT_VALIDATION and CERTBOT_TOKEN in their environment, as Certbot's manual hooks do."),
		},
		examples: []entry{
			{"clear-authz finish --webroot /var/www/html /var/log/letsencrypt", ""},
			{"clear-authz finish --http :80 letsencrypt.log", ""},
			{"clear-authz finish --auth-hook ./add.sh letsencrypt.log", ""},
		},
		sections: []section{seeMain("FILE, KEY, the exit codes and --json")},
	}
}

func relinquishPage() helpPage {
	return helpPage{
		name:    "relinquish",
		summary: "give up what is valid for names that left",
		usage:   []string{"clear-authz relinquish --name NAME [flags] [KEY] [FILE...]"},
		about: []block{
			paragraph("As long as an authorization is valid, whoever has the account's key can get certificates for its name, also after the " +
				"domain was sold. It deactivates the valid authorizations for the names, touches no other, and prints a report. NAME is"),
			terms(
				entry{"www.gone.example", "that very name, not its wildcard"},
				entry{"*.gone.example", "the wildcard, not the name"},
				entry{".gone.example", "the name, its wildcard, and everything below"},
				entry{"192.0.2.1", "an address"},
			),
		},
		examples: []entry{
			{"clear-authz relinquish --name .gone.example letsencrypt.log >report.txt", ""},
			{"clear-authz relinquish --name-file left.txt --from-ca --server ca.example", ""},
		},
		sections: []section{jsonSection("--json prints a document for each account, on a line", "relinquish"), seeMain("FILE, KEY and the exit codes")},
	}
}

func ordersPage() helpPage {
	return helpPage{
		name:    "orders",
		summary: "list the account's orders at the CA",
		usage:   []string{"clear-authz orders [flags]"},
		about: []block{paragraph("Few CAs have such a list: Actalis of the public ones; Pebble, step-ca, Caddy, OpenBao and Vault. Some leave orders out: " +
			"step-ca and Caddy show pending ones only, Pebble those that are not invalid.")},
		examples: []entry{
			{"clear-authz orders", "of all accounts here"},
			{"clear-authz orders --server ca.example.com", "of those at one CA"},
			{"clear-authz clear --from-ca --server ca.example.com", ""},
		},
		sections: []section{jsonSection("--json prints an object per line for each order", "order"), seeMain("the exit codes")},
	}
}

func accountsPage() helpPage {
	return helpPage{
		name:    "accounts",
		summary: "list the accounts that ACME clients keep here",
		usage:   []string{"clear-authz accounts [flags] [DIR|FILE...]"},
		about: []block{
			paragraph("It reads the stores of Certbot, lego, acme.sh, dehydrated, Caddy, Traefik, mod_md, autocert, acmetool, uacme, lacme, simp_le, " +
				"Posh-ACME, win-acme, cert-manager (manifests), Terraform (state), instant-acme, and keys in PEM, DER or JWK form. It asks no CA, " +
				"and prints no key."),
			paragraph("DIR is a client's directory, a home directory, or a copy of a machine's root; FILE is a file of accounts, or a key. Without " +
				"any, the places are looked at where the clients keep accounts by default: in /etc, /var/lib and the like, and in the homes of " +
				"root and of the user."),
		},
		examples: []entry{
			{"sudo clear-authz accounts", "all on this machine"},
			{"clear-authz accounts ~/.lego acme.json", "these"},
		},
		sections: []section{
			{"EXIT CODES", []block{terms(
				entry{"0", "the accounts are listed"},
				entry{"1", "some could not be read"},
				entry{"2", "the command line needs a change"},
				entry{"3", "no account was found"},
			)}},
			jsonSection("--json prints an object per line for each account", "account"),
		},
	}
}

func urlsPage() helpPage {
	return helpPage{
		name:    "urls",
		summary: "print the authorization URLs in logs, one per line",
		usage:   []string{"clear-authz urls [FILE...]"},
		about:   []block{paragraph("Each is printed once. It asks no CA, needs no key, and reads any text, not only the logs of ACME clients.")},
		examples: []entry{
			{"clear-authz urls letsencrypt.log.1.gz", ""},
			{"journalctl -u caddy | clear-authz urls", ""},
		},
		sections: []section{seeMain("FILE and the exit codes")},
	}
}

func schemaPage() helpPage {
	return helpPage{
		name:    "schema",
		summary: "print the JSON Schema of what is printed for machines",
		usage:   []string{"clear-authz schema [NAME...]"},
		about: []block{paragraph("Without a NAME it lists them. Every document and line of JSON has a member \"schema\", every row of CSV a column, " +
			"with the form's name and version. Members may be added to a version; what is there keeps its name and meaning.")},
		examples: []entry{{"clear-authz schema authorization >authorization.schema.json", ""}},
	}
}

func completionPage() helpPage {
	return helpPage{
		name:    "completion",
		summary: "print a script that completes commands and flags",
		usage:   []string{"clear-authz completion bash|zsh|fish|pwsh"},
		examples: []entry{
			{"source <(clear-authz completion bash)", "in .bashrc"},
			{"source <(clear-authz completion zsh)", "in .zshrc"},
			{"clear-authz completion fish | source", "in config.fish"},
		},
	}
}

func manPage() helpPage {
	return helpPage{
		name:     "man",
		summary:  "print the man page",
		usage:    []string{"clear-authz man"},
		examples: []entry{{"clear-authz man | man -l -", "read it"}},
	}
}

func versionPage() helpPage {
	return helpPage{
		name:     "version",
		summary:  "print the version, and how it was built",
		usage:    []string{"clear-authz version [--json]"},
		sections: []section{jsonSection("--json prints an object", "version")},
	}
}

func leaksPage() helpPage {
	return helpPage{
		name:    "leaks",
		summary: "report what the logs say was left pending, and why",
		usage:   []string{"clear-authz leaks [flags] [FILE...]"},
		about: []block{
			paragraph("It reads ACME clients' logs, asks no CA and needs no key. For each authorization it says what became of it, as far as the logs " +
				"tell; for each that leaked, which run left it, why, and which lines show that."),
			paragraph("FILE is a log, plain or compressed, a directory of logs, a pattern in quotes, or - for standard input. Without a FILE, standard " +
				"input is read; if that is a terminal, /var/log/letsencrypt. Logs may be of different clients, and be carried by syslog, the " +
				"journal, Docker or Kubernetes. Logs of a fleet are told apart by their directories: fleet/web01/letsencrypt.log is of the host web01."),
		},
		examples: []entry{
			{"clear-authz leaks /var/log/letsencrypt", "one machine"},
			{"clear-authz leaks fleet/", "many, a directory each"},
			{"journalctl -u caddy -o export | clear-authz leaks", ""},
			{"clear-authz leaks --html leaks.html --csv fleet/ >leaks.csv", ""},
		},
		sections: []section{
			{"VERDICTS", []block{terms(
				entry{"leaked", "pending when last seen, and nobody works on it any more"},
				entry{"valid, invalid, deactivated, expired", ""},
				entry{"in progress", "its run has not ended, and is recent (an hour)"},
				entry{"unknown", "the logs do not tell"},
			)}},
			{"WHY IT LEAKED, THE CAUSE", []block{terms(causeTerms()...)}},
			{"EXIT CODES", []block{terms(
				entry{"0", "the report is made, whether anything leaked or not"},
				entry{"1", "some logs could not be read"},
				entry{"2", "the command line needs a change"},
				entry{"3", "no log could be read, or the report not be written"},
			)}},
			metricsSection(),
			{"JSON AND CSV", []block{paragraph("--json prints one document of the schema \"" + leaks.Schema + "\", which \"clear-authz schema leaks\" prints: with the " +
				"members at, summary (counts, domains, hosts, clients, accounts, days), authorizations and runs. --csv has a row for each " +
				"authorization, in the same words: \"clear-authz schema leaks-row\". What is not known is \"\", null for times, or an empty list. Times " +
				"are RFC 3339 in UTC.")}},
		},
	}
}

func causeTerms() []entry {
	var all []entry
	for _, c := range leaks.Causes() {
		all = append(all, entry{string(c), leaks.Explain(c)})
	}
	return all
}
