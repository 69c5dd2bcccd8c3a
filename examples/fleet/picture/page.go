package picture

import (
	"cmp"
	_ "embed"
	"html/template"
	"io"
	"time"

	"github.com/acmeauthz/acmeauthz/examples/fleet/wire"
	"github.com/acmeauthz/acmeauthz/logparse"
)

//go:embed page.html
var pageText string

// maxRows bounds the authorizations that a page lists, those seen first; it says how many there are.
const maxRows = 5000

type page struct {
	At                               string
	Summary                          logparse.Summary
	Leaked, Settled                  int
	Hosts, Causes, Domains, Accounts []logparse.Group
	Rows                             []row
	More                             int
}

type row struct{ Seen, Host, Name, Client, Verdict, Cause, Proof, URL string }

// WriteHTML writes what a History tells as one page that loads nothing: leaks by host, cause, domain and account, and each
// authorization that leaked or was settled after it did, with its proof.
func WriteHTML(w io.Writer, h *logparse.History) error {
	t, err := template.New("page").Parse(pageText)
	if err != nil {
		return err
	}
	p := page{Summary: h.Summary()}
	p.At = p.Summary.At.UTC().Format("2006-01-02 15:04 UTC")
	p.Leaked, p.Settled = p.Summary.Verdicts[logparse.Leaked], p.Summary.Verdicts[logparse.Deactivated]
	p.Hosts, p.Causes, p.Domains, p.Accounts = h.Groups(logparse.ByHost), h.Groups(logparse.ByCause), h.Groups(logparse.ByDomain), h.Groups(logparse.ByAccount)
	for _, l := range h.Lives() {
		if l.Verdict != logparse.Leaked && l.Verdict != logparse.Deactivated {
			continue
		}
		if len(p.Rows) == maxRows {
			p.More++
			continue
		}
		r := row{Host: l.Host, Name: l.Identifier.Value, Client: l.Client, Verdict: string(l.Verdict), Cause: string(l.Cause), URL: l.URL}
		if l.Wildcard {
			r.Name = "*." + r.Name
		}
		if !l.FirstSeen.IsZero() {
			r.Seen = l.FirstSeen.UTC().Format(time.DateTime)
		}
		if len(l.Evidence) > 0 {
			e := l.Evidence[len(l.Evidence)-1]
			r.Proof = e.Place.String() + ": " + e.Text
		}
		r.Proof = wire.Clean(cmp.Or(r.Proof, l.First.String()))
		p.Rows = append(p.Rows, r)
	}
	return t.Execute(w, p)
}
