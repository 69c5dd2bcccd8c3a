package main

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
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

// A leakPage is what the template fills in. Report is JSON that is safe inside a
// script element: package json escapes "<" and the like.
type leakPage struct {
	Policy, Title, Headline, Scope, Footer string
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

// writeLeaksHTML writes the report as a page.
func writeLeaksHTML(w io.Writer, r *leakReport) error {
	parsed, err := template.New("leaks").Parse(pageTemplate)
	if err != nil {
		return err
	}
	doc, err := json.Marshal(r)
	if err != nil {
		return err
	}
	t := textReport{leakReport: r, width: plainText}
	page := leakPage{
		Policy: pagePolicy(), Title: "Leaked ACME authorizations", Headline: r.headline(), Scope: t.scopeText(),
		Footer: "Made by clear-authz leaks " + version() + ". The page loads nothing from anywhere.",
		Style:  template.CSS(pageStyle), Script: template.JS(pageScript),
		Report: template.JS(cleanJSON(doc)),
	}
	for _, v := range verdicts {
		if n := r.Summary.Verdicts[string(v)]; n > 0 {
			page.Verdicts = append(page.Verdicts, pageVerdict{string(v), strings.ReplaceAll(string(v), " ", "-"), verdictWords[v], n})
		}
	}
	if r.leaked() > 0 {
		page.Facts = r.facts()
		page.Causes = r.pageCauses(&t)
	}
	return parsed.Execute(w, page)
}

func (r *leakReport) pageCauses(t *textReport) (causes []pageCause) {
	for _, cause := range t.causesByCount() {
		n, known := r.Summary.Causes[cause], causeOf(cause)
		c := pageCause{Name: clean(cause), Words: known.words, Advice: known.advice, Count: n, Percent: max(n*100/r.leaked(), 1)}
		if names := r.blamed(cause); len(names) > 0 && known.blame != "" {
			c.BlamedAs, c.Blamed = known.blame, t.list(names, 4*plainText)
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

// writeFile writes a file as a whole, or not at all: what was there before stays
// until then. A new file has the mode that the umask gives, one that is replaced
// keeps its own.
func writeFile(path string, write func(io.Writer) error) error {
	if resolved, err := filepath.EvalSymlinks(path); err == nil {
		path = resolved
	}
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() {
		return usage("%s is there and is no file.", path).then("Name another, or - for standard output.")
	}
	temporary := fmt.Sprintf("%s.%x.tmp", path, rand.Uint64())
	f, openErr := os.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if openErr != nil {
		return unwritable(path, openErr)
	}
	if err == nil {
		err = f.Chmod(info.Mode().Perm())
	} else {
		err = nil // it is new
	}
	if err := errors.Join(err, write(f), f.Close()); err != nil {
		return unwritable(path, errors.Join(err, os.Remove(temporary)))
	}
	if err := os.Rename(temporary, path); err != nil {
		return unwritable(path, errors.Join(err, os.Remove(temporary)))
	}
	return nil
}

func unwritable(path string, err error) error {
	return nothing("%s cannot be written: %s.", path, withoutPath(err)).because(err).then("Name another file, or make room.")
}
