package leaks

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"strings"

	"github.com/acmeauthz/acmeauthz/internal/display"
	"github.com/acmeauthz/acmeauthz/logparse"
)

// The page is one file that loads nothing: its policy allows its own style and
// script, known by their hashes, and nothing else.
var (
	//go:embed page/leaks.html
	pageTemplate string
	//go:embed page/leaks.css
	pageStyle string
	//go:embed page/leaks.js
	pageScript string
)

// A page is what the template fills in. Report is JSON that is safe inside a
// script element: package json escapes "<" and the like.
type page struct {
	Policy, Title, Headline, Scope, Footer string
	Left                                   string // the verdict that shows what was left
	Style                                  template.CSS
	Script                                 template.JS
	Verdicts                               []pageVerdict
	Causes                                 []pageCause
	Facts                                  []string
	Report                                 template.JS
}

type pageVerdict struct {
	Name, Class, Words string
	Count              int
}

type pageCause struct {
	Name, Words, Advice, BlamedAs, Blamed string
	Count, Percent                        int
}

// WriteHTML writes the report as a page that loads nothing. Its footer says what
// it was made by: a program and its version.
func (r *Report) WriteHTML(w io.Writer, madeBy string) error {
	parsed, err := template.New("leaks").Parse(pageTemplate)
	if err != nil {
		return err
	}
	doc, err := json.Marshal(r)
	if err != nil {
		return err
	}
	t := newTextReport(r, TextOptions{})
	p := page{
		Policy: pagePolicy(), Left: string(logparse.Leaked), Title: "Leaked ACME authorizations", Headline: r.headline(), Scope: t.scopeText(),
		Footer: "Made by " + display.Clean(madeBy) + ". The page loads nothing from anywhere.",
		Style:  template.CSS(pageStyle), Script: template.JS(pageScript),
		Report: template.JS(display.CleanJSON(doc)),
	}
	if r.settled.all > 0 {
		p.Left = "all"
	}
	for _, v := range verdicts {
		if n := r.Summary.Verdicts[string(v)]; n > 0 {
			p.Verdicts = append(p.Verdicts, pageVerdict{string(v), strings.ReplaceAll(string(v), " ", "-"), verdictWords[v], n})
		}
	}
	if r.countLeft() > 0 {
		p.Facts = r.facts()
		p.Causes = r.pageCauses(t)
	}
	return parsed.Execute(w, p)
}

func (r *Report) pageCauses(t *textReport) (causes []pageCause) {
	counts := r.causes()
	for _, cause := range display.ByCount(counts) {
		n, known := counts[cause], causeOf(cause)
		c := pageCause{Name: display.Clean(cause), Words: known.words, Advice: known.advice, Count: n, Percent: max(n*100/r.countLeft(), 1)}
		if names := r.blamed(cause); len(names) > 0 && known.blame != "" {
			c.BlamedAs, c.Blamed = known.blame, t.list(names, 4*display.PlainText)
		}
		causes = append(causes, c)
	}
	return causes
}

// pagePolicy is the page's Content-Security-Policy.
func pagePolicy() string {
	return fmt.Sprintf("default-src 'none'; img-src data:; style-src %s; script-src %s; base-uri 'none'; form-action 'none'",
		sourceHash(pageStyle), sourceHash(pageScript))
}

func sourceHash(source string) string {
	sum := sha256.Sum256([]byte(source))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}
