package leaks

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/acmeauthz/acmeauthz/internal/display"
	"github.com/acmeauthz/acmeauthz/logparse"
)

// How much of each part is shown without --verbose.
const (
	maxGroups   = 8 // domains, hosts, …
	maxDays     = 7
	maxRuns     = 5
	maxEvidence = 4 // lines of proof of a cause in a run
)

// TextOptions say how a report is written for people.
type TextOptions struct {
	// Width is how many columns the terminal has. If zero, it is none.
	Width int

	// Paint colours it.
	Paint display.Painter

	// Verbose shortens nothing.
	Verbose bool
}

// WriteText writes the report for people. Nothing that logs say can act upon a
// terminal.
func (r *Report) WriteText(w io.Writer, o TextOptions) error {
	t := newTextReport(r, o)
	t.write()
	_, err := io.WriteString(w, t.out.String())
	return err
}

// A textReport is a Report on its way to a person.
type textReport struct {
	*Report
	width   int
	paint   display.Painter
	verbose bool
	dir     string // that all logs are below, left out of places; with a slash
	out     strings.Builder
}

func newTextReport(r *Report, o TextOptions) *textReport {
	return &textReport{Report: r, width: display.TextWidth(o.Width), paint: o.Paint, verbose: o.Verbose, dir: r.commonDir()}
}

// write writes the report. All that logs say passes through display.Clean.
func (t *textReport) write() {
	t.say("", t.paint.Strong(t.headline()))
	t.past()
	t.scope()
	if t.Summary.Authorizations > 0 {
		t.verdicts()
	}
	if t.countLeft() > 0 {
		t.why()
		t.worst("WORST DOMAINS", t.Summary.Domains, t.settled.domains, 1)
		t.worst("WORST HOSTS", t.Summary.Hosts, t.settled.hosts, 1)
		t.worst("CLIENTS", t.Summary.Clients, t.settled.clients, 2)
		t.worst("ACCOUNTS", t.Summary.Accounts, t.settled.accounts, 2)
		t.days()
		t.runs()
		t.advise()
	}
	t.unrecognized()
}

// say writes a sentence of our own, wrapped.
func (t *textReport) say(indent, text string) {
	for _, line := range display.Wrap(text, min(t.width, display.Widest)-utf8.RuneCountInString(indent)) {
		t.out.WriteString(indent + line + "\n")
	}
}

// title starts a part.
func (t *textReport) title(text string) {
	t.out.WriteString("\n" + t.paint.Strong(text) + "\n")
}

// scope says what was read.
func (t *textReport) scope() {
	t.say("", t.scopeText())
	if t.dir != "" {
		t.out.WriteString(display.Cleanf("Files are below %s\n", t.dir))
	}
	if t.Summary.Dropped > 0 {
		t.say("", t.dropped())
	}
}

func (t *textReport) dropped() string {
	if t.Report.limit == 0 {
		return fmt.Sprintf("There are more authorizations: %d were left out when logs were read.", t.Summary.Dropped)
	}
	return fmt.Sprintf("There are more authorizations than the %d that a report takes; the others were left out. "+
		"Report on fewer logs at a time.", t.Report.limit)
}

func (t *textReport) scopeText() string {
	s := &t.Summary
	parts := []string{display.Plural(s.Files, "log"), display.Plural(s.Runs, "run"), display.Plural(s.Orders, "order")}
	text := "Read: " + strings.Join(parts, ", ")
	if !s.FirstSeen.IsZero() {
		text += "; " + s.FirstSeen.UTC().Format("2006-01-02 15:04") + " to " + s.LastSeen.UTC().Format("2006-01-02 15:04")
	}
	return text + ". As of " + t.At.UTC().Format("2006-01-02 15:04") + "; all times are UTC."
}

// past says how to see what leaked so long ago that it has expired.
func (t *textReport) past() {
	n := t.expired()
	if n == 0 {
		return
	}
	const recent = time.Hour // see logparse.History
	then := t.Summary.LastSeen.UTC().Truncate(recent).Add(2 * recent).Format(time.RFC3339)
	if t.countLeft() == 0 {
		t.say("", "To see why, judge as of then: --at "+then)
		return
	}
	t.say("", fmt.Sprintf("%d more had been left pending, and have expired; to see why, judge as of then: --at %s", n, then))
}

// StandardInput is the name of a log that is none: it was read from standard input.
const StandardInput = "-"

// commonDir is the directory that all logs of runs are in or below, "" if there
// is none worth naming.
func (r *Report) commonDir() string {
	var dirs []string
	for i := range r.Runs {
		if file := r.Runs[i].File; file != StandardInput {
			dirs = append(dirs, filepath.ToSlash(filepath.Dir(file))+"/")
		}
	}
	if len(dirs) == 0 {
		return ""
	}
	common := dirs[0]
	for _, dir := range dirs[1:] {
		for !strings.HasPrefix(dir, common) {
			common = common[:strings.LastIndexByte(common[:len(common)-1], '/')+1]
		}
	}
	if common == "./" || common == "/" {
		return ""
	}
	return common
}

// A bar is a line of a chart.
type bar struct {
	label  string
	count  int
	note   string
	colour func(string) string
}

// chart writes bars: label, count, bar, note.
func (t *textReport) chart(bars []bar) {
	label, count, note, most := 0, 0, 0, 0
	for i := range bars {
		bars[i].label = display.Clean(bars[i].label)
		label = max(label, utf8.RuneCountInString(bars[i].label))
		count = max(count, len(fmt.Sprint(bars[i].count)))
		note = max(note, utf8.RuneCountInString(bars[i].note))
		most = max(most, bars[i].count)
	}
	const gaps = 2 + 2 + 2 + 2
	label = min(label, max(t.width-gaps-count-note-10, 16))
	room := min(max(t.width-gaps-label-count-note, 4), 40)
	for _, b := range bars {
		line := fmt.Sprintf("  %-*s  %*d  ", label, display.Tail(b.label, label), count, b.count)
		drawn := blocks(b.count, most, room)
		line += b.colour(drawn)
		if b.note != "" {
			line += strings.Repeat(" ", room-utf8.RuneCountInString(drawn)+2) + t.paint.Faint(b.note)
		}
		t.out.WriteString(strings.TrimRight(line, " ") + "\n")
	}
}

// blocks draws n of most in at most width columns, in eighths of a column.
func blocks(n, most, width int) string {
	if n <= 0 || most <= 0 {
		return ""
	}
	eighths := max(n*width*8/most, 1)
	drawn := strings.Repeat("█", eighths/8)
	if rest := eighths % 8; rest > 0 {
		drawn += string([]rune(" ▏▎▍▌▋▊▉")[rest])
	}
	return drawn
}

func (t *textReport) verdicts() {
	t.title("VERDICTS")
	var bars []bar
	for _, v := range verdicts {
		if n := t.Summary.Verdicts[string(v)]; n > 0 {
			bars = append(bars, bar{string(v), n, verdictWords[v], verdictColour(t.paint, v)})
		}
	}
	t.chart(bars)
}

func verdictColour(p display.Painter, v logparse.Verdict) func(string) string {
	switch v {
	case logparse.Leaked:
		return p.Bad
	case logparse.Valid, logparse.Deactivated:
		return p.Good
	}
	return p.Odd
}

// verdictWords says what a verdict means.
var verdictWords = map[logparse.Verdict]string{
	logparse.Leaked:      "pending, and nobody works on it",
	logparse.Valid:       "validated",
	logparse.Invalid:     "validation failed",
	logparse.Deactivated: "given up properly",
	logparse.Expired:     "pending until its time was over",
	logparse.InProgress:  "a run may be working on it",
	logparse.Unknown:     "the logs do not tell",
}

func (t *textReport) why() {
	t.title("WHY THEY LEAKED")
	var bars []bar
	counts := t.causes()
	for _, cause := range display.ByCount(counts) {
		bars = append(bars, bar{cause, counts[cause], causeOf(cause).words, t.paint.Bad})
	}
	t.chart(bars)
}

// worst charts the groups that leaked, if there are at least so many.
func (t *textReport) worst(title string, groups []Group, settled map[string]int, least int) {
	var bars []bar
	for i := range groups {
		g := &groups[i]
		if n := leftIn(g, settled); n > 0 && (g.Key != "" || len(groups) > 1) {
			bars = append(bars, bar{cmp.Or(strings.TrimPrefix(g.Key, "https://"), "(not told)"), n, fmt.Sprintf("of %d", g.Authorizations), t.paint.Bad})
		}
	}
	if len(bars) == 0 || len(groups) < least {
		return
	}
	slices.SortStableFunc(bars, func(a, b bar) int { return cmp.Compare(b.count, a.count) }) // they are by what is leaked still
	t.title(title)
	shown := t.limit(len(bars), maxGroups)
	t.chart(bars[:shown])
	t.more("  ", len(bars)-shown)
}

// limit is how many of n are shown.
func (t *textReport) limit(n, most int) int {
	if t.verbose {
		return n
	}
	return min(n, most)
}

// more says how many are not shown.
func (t *textReport) more(indent string, n int) {
	if n > 0 {
		t.out.WriteString(indent + t.paint.Faint(fmt.Sprintf("and %d more (--verbose shows all)", n)) + "\n")
	}
}

// days charts the days with the most leaks, in order of time.
func (t *textReport) days() {
	var days []Day
	for _, d := range t.Summary.Days {
		if d.Leaked += t.settled.days[d.Day]; d.Leaked > 0 {
			days = append(days, d)
		}
	}
	slices.SortStableFunc(days, func(a, b Day) int { return cmp.Compare(b.Leaked, a.Leaked) })
	shown := t.limit(len(days), maxDays)
	rest := len(days) - shown
	days = days[:shown]
	slices.SortFunc(days, func(a, b Day) int { return strings.Compare(a.Day, b.Day) })
	var bars []bar
	for _, d := range days {
		bars = append(bars, bar{cmp.Or(d.Day, "(not told)"), d.Leaked, fmt.Sprintf("of %d", d.Created), t.paint.Bad})
	}
	t.title("WORST DAYS")
	t.chart(bars)
	t.more("  ", rest)
}

// runs shows the runs that leaked, the newest first, and what leaked outside any.
func (t *textReport) runs() {
	t.title("RUNS THAT LEAKED, THE NEWEST FIRST")
	leaks, runs := t.leaks(), t.leakingRuns()
	shown := t.limit(len(runs), maxRuns)
	for i, r := range runs[:shown] {
		if i > 0 {
			t.out.WriteByte('\n')
		}
		t.run(r, leaks[r.ID])
	}
	if len(runs) > shown {
		t.out.WriteByte('\n')
		t.more("  ", len(runs)-shown)
	}
	if outside := leaks[""]; len(outside) > 0 {
		t.out.WriteByte('\n')
		t.out.WriteString("  " + t.paint.Strong(display.Plural(len(outside), "authorization")+" outside any run that the logs tell of") + "\n")
		t.left(outside)
	}
}

// run shows one run.
func (t *textReport) run(r *Run, leaks []*Authorization) {
	head := []string{"(no time)"}
	if begun := r.begun(); !begun.IsZero() {
		head[0] = begun.UTC().Format(time.DateTime)
	}
	for _, part := range []string{r.Host, strings.TrimSpace(r.Client + " " + r.Version), fmt.Sprintf("left %d of %d", t.leftBy(r), r.Authorizations)} {
		if part != "" {
			head = append(head, display.Clean(part))
		}
	}
	t.out.WriteString("  " + t.paint.Strong(display.Head(strings.Join(head, "  "), t.width-2)) + "\n")
	if r.Command != "" {
		t.field("command", r.Command)
	}
	t.field("ended", r.ending())
	t.left(leaks)
}

// ending says how a run ended.
func (r *Run) ending() string {
	when := ""
	if !r.Ended.IsZero() {
		when = r.Ended.UTC().Format("15:04:05") + ", "
	}
	switch {
	case !r.HasEnded && r.LastSeen.IsZero():
		return "it did not, as far as the log goes"
	case !r.HasEnded:
		return "it did not; its last line is of " + r.LastSeen.UTC().Format("15:04:05")
	case r.Exit == "" && r.Message == "":
		return when + "well"
	}
	return when + strings.Join(slices.DeleteFunc([]string{r.Exit, r.Message}, func(s string) bool { return s == "" }), ": ")
}

// left shows what a run left, by cause.
func (t *textReport) left(leaks []*Authorization) {
	byCause := make(map[string][]*Authorization)
	for _, a := range leaks {
		byCause[a.Cause] = append(byCause[a.Cause], a)
	}
	causes := slices.SortedFunc(maps.Keys(byCause), func(a, b string) int {
		return cmp.Or(cmp.Compare(len(byCause[b]), len(byCause[a])), strings.Compare(a, b))
	})
	for _, cause := range causes {
		some := byCause[cause]
		text := cause + ": " + causeOf(cause).words
		if blamed := blamedOf(some); len(blamed) > 0 && cause == string(logparse.CauseSibling) {
			text += ": " + t.list(blamed, t.width-fieldIndent-len(text)-2)
		}
		t.field("cause", text)
		t.names(some)
		t.proof(some)
	}
}

func blamedOf(leaks []*Authorization) (names []string) {
	for _, a := range leaks {
		if a.Blame != "" && !slices.Contains(names, a.Blame) {
			names = append(names, a.Blame)
		}
	}
	return names
}

// names lists what was left, with the URLs if nothing is to be shortened.
func (t *textReport) names(leaks []*Authorization) {
	if t.verbose {
		for _, a := range leaks {
			t.field("left", strings.TrimSpace(a.name()+"  "+a.URL))
		}
		return
	}
	var names []string
	for _, a := range leaks {
		names = append(names, a.name())
	}
	t.field("left", t.list(names, t.width-fieldIndent))
}

// list is names in a sentence of about so many columns.
func (t *textReport) list(names []string, width int) string {
	text := ""
	for i, name := range names {
		name = display.Clean(name)
		more := fmt.Sprintf(" and %d more", len(names)-i)
		if i > 0 && !t.verbose && utf8.RuneCountInString(text+", "+name+more) > width {
			return text + more
		}
		if i > 0 {
			text += ", "
		}
		text += name
	}
	return text
}

// proof shows the lines that prove a cause, each once.
func (t *textReport) proof(leaks []*Authorization) {
	var lines []Evidence
	seen := make(map[Evidence]bool)
	for _, a := range leaks {
		for _, e := range a.Evidence {
			if !seen[e] {
				seen[e] = true
				lines = append(lines, e)
			}
		}
	}
	shown := t.limit(len(lines), maxEvidence)
	for _, e := range lines[:shown] {
		e.File = strings.TrimPrefix(e.File, t.dir)
		if line := display.Clean(e.String()); t.verbose || utf8.RuneCountInString(line) <= t.width-fieldIndent {
			t.field("proof", line)
			continue
		}
		t.field("proof", fmt.Sprintf("%s:%d:", e.File, e.Line))
		t.field("", "  "+e.Text)
	}
	t.more(strings.Repeat(" ", fieldIndent), len(lines)-shown)
}

// fieldIndent is where the text of a field starts.
const fieldIndent = 4 + len("command") + 2

// field shows something that logs say, in one line unless nothing is to be
// shortened.
func (t *textReport) field(name, text string) {
	text = display.Clean(text)
	if !t.verbose {
		text = display.Head(text, t.width-fieldIndent)
	}
	if name == "cause" {
		text = t.paint.Bad(text)
	}
	fmt.Fprintf(&t.out, "    %s%s\n", t.paint.Faint(fmt.Sprintf("%-*s", fieldIndent-4, name)), text)
}

// advise says what to change, and what is to be known of the CAs.
func (t *textReport) advise() {
	t.title("WHAT TO CHANGE")
	counts := t.causes()
	for i, cause := range display.ByCount(counts) {
		if i > 0 {
			t.out.WriteByte('\n')
		}
		c := causeOf(cause)
		t.out.WriteString("  " + t.paint.Strong(fmt.Sprintf("%s (%d)", display.Clean(cause), counts[cause])) + "\n")
		t.say("    ", c.advice)
		if names := t.blamed(cause); len(names) > 0 && c.blame != "" {
			t.say("    ", c.blame+": "+t.list(names, 2*display.PlainText)+".")
		}
	}
	facts := t.facts()
	if len(facts) > 0 {
		t.title("TO KNOW")
	}
	for _, fact := range facts {
		t.say("  ", fact)
	}
}

// unrecognized says what was not understood.
func (t *textReport) unrecognized() {
	s := &t.Summary
	if s.UnrecognizedLines == 0 {
		return
	}
	t.out.WriteByte('\n')
	lines := display.Plural(int(s.UnrecognizedLines), "line") + " of an unknown shape"
	if !t.verbose {
		t.say("", lines+"; --verbose shows where.")
		return
	}
	t.say("", lines+":")
	for _, u := range s.Unrecognized {
		t.out.WriteString(display.Cleanf("  %s:%d  %s\n", strings.TrimPrefix(u.File, t.dir), u.Line, display.Trusted(display.Plural(int(u.Lines), "line"))))
	}
	if len(s.Unrecognized) == 20 {
		t.say("  ", "These are the first places; there may be more.")
	}
}
