package logparse

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// The JSON of a History is its records, so that the logs of a fleet can be read where they are, and merged elsewhere:
//
//	{"version": 1,
//	 "runs": [{"host", "client", "file", "line", "unit", "pid", "version", "command", "started", "ended", "exit", "message",
//	           "stopped", "last_line", "last", "trouble": [{"at", "cause", "text", "order", "url", "identifier", "new_order"}],
//	           "nonce": as one of trouble}],
//	 "authorizations": [{"url", "identifier": {"type", "value"}, "wildcard", "account", "first", "last", "status",
//	           "status_at", "expires", "answered", "problem", "problem_at"}],
//	 "orders": [{"id", "url", "account", "identifiers", "authorizations": [URL…], "names": [authorizations without URL],
//	           "first", "last", "status", "status_at", "expires", "trouble"}],
//	 "files": […], "unrecognized": [{"file", "line", "offset", "lines"}],
//	 "unrecognized_more": false, "dropped": 0}
//
// where each moment is {"time", "file", "line", "offset", "run": index in runs}. Members that are empty are left out. A later
// version may add members; what it changes gets another number.
const historyVersion = 1

var errHistory = errors.New("not the JSON of a History")

type wireHistory struct {
	Version        int           `json:"version"`
	Runs           []wireRun     `json:"runs"`
	Authorizations []wireLife    `json:"authorizations"`
	Orders         []wireOrder   `json:"orders"`
	Files          []string      `json:"files"`
	Unrecognized   []wireUnknown `json:"unrecognized,omitempty"`
	More           bool          `json:"unrecognized_more,omitempty"`
	Dropped        int           `json:"dropped,omitempty"`
}

type wireMoment struct {
	Time   time.Time `json:"time,omitzero"`
	File   string    `json:"file,omitempty"`
	Line   int64     `json:"line,omitempty"`
	Offset int64     `json:"offset,omitempty"`
	Run    int       `json:"run"`
}

type wireUnknown struct {
	File   string `json:"file,omitempty"`
	Line   int64  `json:"line,omitempty"`
	Offset int64  `json:"offset,omitempty"`
	Lines  int64  `json:"lines"`
}

type wireIdentifier struct {
	Type  string `json:"type,omitempty"`
	Value string `json:"value,omitempty"`
}

type wireRun struct {
	Host     string        `json:"host,omitempty"`
	Client   string        `json:"client,omitempty"`
	File     string        `json:"file,omitempty"`
	Line     int64         `json:"line,omitempty"`
	Unit     string        `json:"unit,omitempty"`
	PID      int           `json:"pid,omitempty"`
	KeyUnit  string        `json:"key_unit,omitempty"`
	KeyPID   int           `json:"key_pid,omitempty"`
	Version  string        `json:"version,omitempty"`
	Command  string        `json:"command,omitempty"`
	Started  *wireMoment   `json:"started,omitempty"`
	Ended    *wireMoment   `json:"ended,omitempty"`
	Exit     string        `json:"exit,omitempty"`
	Message  string        `json:"message,omitempty"`
	Stopped  *wireMoment   `json:"stopped,omitempty"`
	LastLine string        `json:"last_line,omitempty"`
	Last     *wireMoment   `json:"last,omitempty"`
	Trouble  []wireTrouble `json:"trouble,omitempty"`
	Nonce    *wireTrouble  `json:"nonce,omitempty"`
}

type wireTrouble struct {
	At         *wireMoment    `json:"at"`
	Cause      Cause          `json:"cause,omitempty"`
	Text       string         `json:"text,omitempty"`
	Order      string         `json:"order,omitempty"`
	URL        string         `json:"url,omitempty"`
	Identifier wireIdentifier `json:"identifier,omitzero"`
	NewOrder   bool           `json:"new_order,omitempty"`
}

type wireLife struct {
	URL        string         `json:"url,omitempty"`
	Identifier wireIdentifier `json:"identifier,omitzero"`
	Wildcard   bool           `json:"wildcard,omitempty"`
	Account    string         `json:"account,omitempty"`
	First      *wireMoment    `json:"first"`
	Last       *wireMoment    `json:"last"`
	Status     string         `json:"status,omitempty"`
	StatusAt   *wireMoment    `json:"status_at,omitempty"`
	Expires    time.Time      `json:"expires,omitzero"`
	Answered   *wireMoment    `json:"answered,omitempty"`
	Problem    string         `json:"problem,omitempty"`
	ProblemAt  *wireMoment    `json:"problem_at,omitempty"`
}

type wireOrder struct {
	ID             string           `json:"id"`
	URL            string           `json:"url,omitempty"`
	Account        string           `json:"account,omitempty"`
	Identifiers    []wireIdentifier `json:"identifiers,omitempty"`
	Authorizations []string         `json:"authorizations,omitempty"`
	Names          []wireLife       `json:"names,omitempty"`
	First          *wireMoment      `json:"first"`
	Last           *wireMoment      `json:"last"`
	Status         string           `json:"status,omitempty"`
	StatusAt       *wireMoment      `json:"status_at,omitempty"`
	Expires        time.Time        `json:"expires,omitzero"`
	Trouble        []wireTrouble    `json:"trouble,omitempty"`
}

// MarshalJSON returns all that h knows, but for its settings: equal Histories give equal JSON.
func (h *History) MarshalJSON() ([]byte, error) {
	h.init()
	tracks := slices.SortedFunc(maps.Values(h.runs), func(a, b *track) int { return a.key.compare(b.key) })
	e := encoder{runs: make(map[*track]int, len(tracks))}
	w := wireHistory{Version: historyVersion, Files: slices.Sorted(maps.Keys(h.files)), Dropped: h.dropped}
	for i, t := range tracks {
		e.runs[t] = i
	}
	for _, t := range tracks {
		w.Runs = append(w.Runs, e.run(t))
	}
	for _, url := range slices.Sorted(maps.Keys(h.lives)) {
		w.Authorizations = append(w.Authorizations, e.life(h.lives[url]))
	}
	for _, id := range slices.Sorted(maps.Keys(h.orders)) {
		w.Orders = append(w.Orders, e.order(h.orders[id]))
	}
	h.unknown.tidy()
	for _, u := range h.unknown.list {
		w.Unrecognized = append(w.Unrecognized, wireUnknown{u.File, u.Line, u.Offset, u.Lines})
	}
	w.More = h.unknown.more
	return json.Marshal(&w)
}

func (k runKey) compare(o runKey) int {
	return cmp.Or(strings.Compare(k.host, o.host), strings.Compare(k.client, o.client), strings.Compare(k.file, o.file),
		cmp.Compare(k.line, o.line), strings.Compare(k.unit, o.unit), cmp.Compare(k.pid, o.pid))
}

// An encoder makes the wire form of records.
type encoder struct{ runs map[*track]int }

func (e *encoder) moment(m moment) *wireMoment {
	if m.isZero() {
		return nil
	}
	return &wireMoment{m.when(), m.origin.file, m.line, m.offset, e.runs[m.origin.run]}
}

func (e *encoder) run(t *track) wireRun {
	w := wireRun{
		Host: t.key.host, Client: t.key.client, File: t.key.file, Line: t.key.line, KeyUnit: t.key.unit, KeyPID: t.key.pid,
		Unit: t.unit, PID: t.pid, Version: t.version, Command: t.command,
		Started: e.moment(t.started), Ended: e.moment(t.ended), Exit: t.exit, Message: t.message,
		Stopped: e.moment(t.stopped), LastLine: t.lastText, Last: e.moment(t.last),
	}
	w.Trouble = e.troubles(t.trouble)
	if !t.nonce.isZero() {
		w.Nonce = &e.troubles([]trouble{t.nonce})[0]
	}
	return w
}

func (e *encoder) troubles(list []trouble) (all []wireTrouble) {
	for _, x := range list {
		all = append(all, wireTrouble{
			e.moment(x.moment), x.cause, x.text, x.order, x.url, wireIdentifier(x.identifier), x.newOrder,
		})
	}
	return all
}

func (e *encoder) life(l *life) wireLife {
	w := wireLife{
		URL: l.url, Identifier: wireIdentifier(l.identifier), Wildcard: l.wildcard, Account: l.account,
		First: e.moment(l.first), Last: e.moment(l.last), Status: l.status.status, StatusAt: e.moment(l.status.moment),
		Expires: date(l.expires), Answered: e.moment(l.answered),
	}
	if l.problem != nil {
		w.Problem, w.ProblemAt = l.problem.text, e.moment(l.problem.moment)
	}
	return w
}

func (e *encoder) order(o *order) wireOrder {
	w := wireOrder{
		ID: o.id, URL: o.url, Account: o.account, Trouble: e.troubles(o.trouble),
		First: e.moment(o.first), Last: e.moment(o.last), Status: o.status.status, StatusAt: e.moment(o.status.moment),
		Expires: date(o.expires),
	}
	for l := range o.authorizations {
		w.Authorizations = append(w.Authorizations, l.url)
	}
	slices.Sort(w.Authorizations)
	for _, id := range o.identifiers {
		w.Identifiers = append(w.Identifiers, wireIdentifier(id))
	}
	for _, id := range slices.SortedFunc(maps.Keys(o.names), compareIdentifiers) {
		w.Names = append(w.Names, e.life(o.names[id]))
	}
	return w
}

// UnmarshalJSON replaces what h knows by what [History.MarshalJSON] returned, and keeps its settings. The error says what
// is wrong with data that it did not return; h is unchanged then.
func (h *History) UnmarshalJSON(data []byte) error {
	var w wireHistory
	if err := json.Unmarshal(data, &w); err != nil {
		return fmt.Errorf("%w: %w", errHistory, err)
	}
	if w.Version != historyVersion {
		return fmt.Errorf("%w of a version that is known: it is %d, not %d", errHistory, w.Version, historyVersion)
	}
	d := decoder{h: History{At: h.At, Recent: h.Recent, MaxAuthorizations: h.MaxAuthorizations}}
	d.h.init()
	if err := d.history(&w); err != nil {
		return fmt.Errorf("%w: %w", errHistory, err)
	}
	*h = d.h
	return nil
}

// A decoder makes records of their wire form, as if they were merged.
type decoder struct {
	h    History
	runs []*track
	err  error
}

func (d *decoder) history(w *wireHistory) error {
	for i := range w.Runs {
		r := &w.Runs[i]
		d.runs = append(d.runs, d.h.trackOf(runKey{r.Host, r.Client, r.File, r.Line, r.KeyUnit, r.KeyPID}))
	}
	for i := range w.Runs {
		d.run(d.runs[i], &w.Runs[i])
	}
	for i := range w.Authorizations {
		a := &w.Authorizations[i]
		if a.URL == "" {
			return errors.New("an authorization has no URL")
		}
		if l := d.h.life(a.URL, d.moment(a.First)); l != nil {
			d.life(l, a)
		}
	}
	for i := range w.Orders {
		d.order(&w.Orders[i])
	}
	for _, f := range w.Files {
		d.h.files[d.h.text(f)] = true
	}
	for _, u := range w.Unrecognized {
		d.h.unknown.add(Unrecognized{Place{d.h.text(u.File), u.Line, u.Offset}, max(u.Lines, 1)})
	}
	d.h.unknown.more = d.h.unknown.more || w.More
	d.h.dropped = max(d.h.dropped, w.Dropped)
	return d.err
}

func (d *decoder) moment(w *wireMoment) moment {
	if w == nil {
		return moment{}
	}
	if w.Run < 0 || w.Run >= len(d.runs) {
		d.err = fmt.Errorf("there is no run %d", w.Run)
		return moment{origin: &origin{run: new(track)}}
	}
	return d.runs[w.Run].moment(&d.h, w.Time, Place{w.File, w.Line, w.Offset})
}

// seen is moment for a record that cannot be without one.
func (d *decoder) seen(w *wireMoment) moment {
	m := d.moment(w)
	if m.isZero() {
		d.err = errors.New("something was seen nowhere")
		m.origin = &origin{run: new(track)}
	}
	return m
}

func (d *decoder) fate(status string, w *wireMoment) fate { return fate{d.h.text(status), d.moment(w)} }

func (d *decoder) run(t *track, w *wireRun) {
	t.unit, t.pid = least(t.unit, d.h.text(w.Unit)), max(t.pid, w.PID)
	t.last.later(d.moment(w.Last))
	if w.Started != nil {
		t.add(&Event{Kind: RunStarted, Version: w.Version, Command: w.Command}, d.moment(w.Started))
	}
	if w.Ended != nil {
		t.add(&Event{Kind: RunEnded, Exit: w.Exit, Message: w.Message}, d.moment(w.Ended))
	}
	if w.Stopped != nil {
		t.add(&Event{Kind: RunStopped, Message: w.LastLine}, d.moment(w.Stopped))
	}
	for i := range w.Trouble {
		d.h.fail(t, d.trouble(&w.Trouble[i]))
	}
	if w.Nonce != nil {
		d.h.fail(t, d.trouble(w.Nonce))
	}
}

func (d *decoder) trouble(w *wireTrouble) trouble {
	return trouble{d.seen(w.At), w.Cause, w.Text, w.Order, w.URL, Identifier(w.Identifier), w.NewOrder}
}

func (d *decoder) life(l *life, w *wireLife) {
	l.see(d.seen(w.First))
	l.see(d.seen(w.Last))
	l.name(&d.h, Identifier(w.Identifier))
	l.wildcard = l.wildcard || w.Wildcard
	l.account = least(l.account, d.h.text(w.Account))
	l.status.join(d.fate(w.Status, w.StatusAt), rank)
	l.answered.later(d.moment(w.Answered))
	l.expire(w.Expires)
	if w.ProblemAt != nil {
		l.fail(refusal{d.moment(w.ProblemAt), tidy(w.Problem)})
	}
}

func (d *decoder) order(w *wireOrder) {
	if w.ID == "" {
		d.err = errors.New("an order has no ID")
		return
	}
	o := d.h.order(w.ID, d.seen(w.First))
	if o == nil {
		return
	}
	o.last.later(d.seen(w.Last))
	o.url, o.account = least(o.url, d.h.text(w.URL)), least(o.account, d.h.text(w.Account))
	ids := make([]Identifier, len(w.Identifiers))
	for i, id := range w.Identifiers {
		ids[i] = Identifier(id)
	}
	d.h.identify(o, ids)
	for _, url := range w.Authorizations {
		if l := d.h.lives[url]; l != nil {
			o.has(l)
		}
	}
	for i := range w.Names {
		n := &w.Names[i]
		if l := d.h.name(o, Identifier(n.Identifier), n.Wildcard, d.seen(n.First)); l != nil {
			d.life(l, n)
		}
	}
	o.status.join(d.fate(w.Status, w.StatusAt), orderRank)
	o.expire(w.Expires)
	for i := range w.Trouble {
		d.h.keep(&o.trouble, d.trouble(&w.Trouble[i]), maxOrderTrouble)
	}
}
