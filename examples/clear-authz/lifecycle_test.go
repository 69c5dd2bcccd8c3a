package main

import (
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/acmeauthz/acmeauthz/internal/fakeca"
	"github.com/stretchr/testify/require"
)

// lifecycle is what the commands print that plan, clear by a plan, list orders
// and relinquish.
func lifecycle() map[string]situation {
	return map[string]situation{
		"command-helps": {run: func(b *bench) []outputs {
			return runs(b.run("clear", "--help"), b.run("plan", "--help"), b.run("finish", "--help"), b.run("relinquish", "--help"), b.run("orders", "--help"))
		}},
		"clear-command": {run: func(b *bench) []outputs { return runs(b.run("clear", b.path("logs")), b.run("plan", b.path("logs"))) }},
		"plan":          {run: planMany},
		"plan-json":     {run: func(b *bench) []outputs { return runs(b.run("plan", "--json", b.path("logs"))) }},
		"plan-applied":  {run: applyPlan},
		"plan-refused": {run: func(b *bench) []outputs {
			b.write("no.json", "{}")
			b.write("torn.json", `{"schema":"acmeauthz-plan/1"`)
			b.write("other.json", `{"schema":"acmeauthz-plan/1","directory":"https://ca.test/directory","account":"https://ca.test/acme/acct/99","steps":[]}`)
			return runs(b.run("clear", "--apply", b.path("no.json")), b.run("clear", "--apply", b.path("torn.json")), b.run("clear", "--apply", b.path("none.json")),
				b.run("clear", "--apply", b.path("other.json")), b.run("clear", "--apply", b.path("no.json"), b.path("logs")), b.run("clear", "--apply", b.path("no.json"), "--force"))
		}},
		"journal": {run: func(b *bench) []outputs {
			args := []string{"clear", "--journal", b.path("journal"), b.path("logs")}
			first, second := b.run(args...), b.run(args...)
			b.write("broken", "this is a letter\n")
			return runs(first, second, b.run("--journal", b.path("broken"), b.path("logs")), b.run("--journal", b.path("none/journal"), b.path("logs")))
		}},
		"names": {run: func(b *bench) []outputs {
			b.write("names", "# those that left\nwww.shop.example.org\n\n")
			return runs(b.run("--name", "*.shop.example.org", b.path("logs")), b.run("--name-file", b.path("names"), b.path("logs")),
				b.run("--name", ".co.uk", b.path("logs")), b.run("--name-file", b.path("none"), b.path("logs")))
		}},
		"ages": {run: ages},
		"profiles": {run: func(b *bench) []outputs {
			b.write("mine.json", `[{"name":"our CA","match":[{"host":"ca.test"}],"deactivate":"refused","answer":"lingers","sources":[]}]`)
			b.write("wrong.json", `[{"name":"our CA","match":[{"host":"ca.test"}],"deactivate":"maybe"}]`)
			return runs(b.run("plan", "--profiles", b.path("mine.json"), b.path("logs")), b.run("--profiles", b.path("wrong.json"), b.path("logs")),
				b.run("--profiles", b.path("none.json"), b.path("logs")))
		}},
		"deferred": {run: func(b *bench) []outputs {
			b.write("logs/letsencrypt.log", certbotLog(b.leak(strings.Fields(strings.Repeat("many.example.org ", 6))...)...))
			return runs(b.run("plan", "--parallel", "1", b.path("logs")), b.run("--parallel", "1", b.path("logs")))
		}},
		"relinquish": {run: func(b *bench) []outputs {
			valid := func(name string) string {
				value, wildcard := strings.CutPrefix(name, "*.")
				return b.ca.Add(fakeca.Authorization{Identifier: value, Wildcard: wildcard, Status: "valid", Expires: farAway})
			}
			b.write("logs/valid.log", certbotLog(valid("gone.example.org"), valid("*.gone.example.org"), valid("www.gone.example.org"), valid("stays.example.org")))
			return runs(b.run("relinquish", "--name", "gone.example.org", "--json", b.path("logs")), b.run("relinquish", "--name", ".gone.example.org", b.path("logs")),
				b.run("relinquish", "--name", "never.example.org", b.path("logs")), b.run("relinquish", b.path("logs")))
		}},
		"orders": {config: fakeca.Config{Behavior: fakeca.Pebble}, run: fromCA},
		"orders-not-listed": {run: func(b *bench) []outputs {
			return runs(b.run("orders"), b.run("clear", "--from-ca", "--server", "ca.test"), b.run("clear", "--from-ca", b.path("logs")))
		}},
		"finish-how": {run: func(b *bench) []outputs {
			return runs(b.run("finish", b.path("logs")), b.run("finish", "--auth-hook", "true", "--challenge", "tls-alpn-01", b.path("logs")),
				b.run("finish", "--cleanup-hook", "true", "--http", ":80", b.path("logs")))
		}},
	}
}

func TestLifecycle(t *testing.T) {
	for name, s := range lifecycle() {
		t.Run(name, func(t *testing.T) {
			b := leaked(t, s.config)
			all := s.run(b)
			for i := range all {
				all[i].stdout, all[i].stderr = now.ReplaceAllString(all[i].stdout, "TIME"), now.ReplaceAllString(all[i].stderr, "TIME")
			}
			b.golden(all...)
		})
	}
}

// now is every time but the one that does not change.
var now = regexp.MustCompile(`20[2-8]\d-\d\d-\d\d[T ]\d\d:\d\d(:\d\dZ| UTC|\b)`)

// planMany plans for what is pending, over, spared, gone and another's.
func planMany(b *bench) []outputs {
	other := b.ca.NewAccount()
	b.write("logs/more.log", certbotLog(
		b.ca.Add(fakeca.Authorization{Identifier: "valid.example.org", Status: "valid", Expires: farAway}),
		b.ca.Add(fakeca.Authorization{Identifier: "young.example.org", Expires: time.Now().Add(167*time.Hour + 30*time.Minute)}),
		b.ca.Add(fakeca.Authorization{Identifier: "theirs.example.org", Owner: other.KID, Expires: farAway}),
		b.ca.URL()+"/acme/authz/1/999"))
	return runs(b.run("plan", b.path("logs")), b.run("plan", "--force", b.path("logs")))
}

// applyPlan writes a plan, lets one authorization become valid meanwhile, and
// applies the plan, twice.
func applyPlan(b *bench) []outputs {
	plan := b.run("plan", "--json", b.path("logs"))
	b.write("plan.json", plan.stdout)
	b.ca.SetStatus("https://ca.test/acme/authz/1/3", "valid")
	apply := []string{"clear", "--apply", b.path("plan.json"), "--journal", b.path("journal")}
	return runs(b.run(apply...), b.run(apply...))
}

// ages has a client that may be at work, by its log.
func ages(b *bench) []outputs {
	b.write("logs/letsencrypt.log", "")
	const line = "2026-11-23 %s:DEBUG:acme.client:Sending POST request to %s:\n{\n  \"payload\": \"\"\n}\n"
	urls := b.leak("old.example.org", "young.example.org")
	b.write("logs/a/letsencrypt.log", strings.NewReplacer("%s:DEBUG", "20:43:25,699:DEBUG", "to %s", "to "+urls[0]).Replace(line))
	b.write("logs/b/letsencrypt.log", strings.NewReplacer("%s:DEBUG", "23:43:25,699:DEBUG", "to %s", "to "+urls[1]).Replace(line))
	return runs(b.run("plan", b.path("logs")), b.run("plan", "--min-age", "0", b.path("logs")), b.run("plan", "--min-age", "5m", b.path("logs")),
		b.run("plan", "--min-age", "0", "--max-age", "1h", b.path("logs")), b.run("plan", "--max-age", "-1h", b.path("logs")))
}

// fromCA needs no logs: the CA lists the orders.
func fromCA(b *bench) []outputs {
	require.NoError(b.t, os.RemoveAll(b.path("logs")))
	urls := b.leak("a.example.org", "b.example.org", "c.example.org", "d.example.org")
	b.ca.AddOrder(fakeca.Order{Authorizations: urls[:4], Expires: farAway})
	b.ca.AddOrder(fakeca.Order{Authorizations: b.leak("e.example.org"), Expires: farAway})
	return runs(b.run("orders"), b.run("orders", "--json", "--server", "ca.test"), b.run("plan", "--from-ca"), b.run("--from-ca", "--server", "ca.test"), b.run("orders"))
}
