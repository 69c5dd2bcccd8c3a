package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/acmeauthz/acmeauthz/examples/fleet/picture"
	"github.com/acmeauthz/acmeauthz/internal/display"
	"golang.org/x/term"
)

// A watcher shows the status again and again.
type watcher struct {
	look     func(context.Context) (*picture.Status, error)
	interval time.Duration
	out      io.Writer
	errors   io.Writer // is told that the server is away where out has documents only
	screen   *screen   // nil: one after the other
	json     bool
	view     picture.View
	now      func() time.Time

	last    *picture.Status
	since   time.Time // when the server stopped to answer; zero if it does
	printed bool
}

// run ends without an error when ctx does.
func (w *watcher) run(ctx context.Context) error {
	s, err := w.look(ctx)
	if ctx.Err() != nil {
		return nil
	}
	if err != nil {
		return err
	}
	if w.screen != nil && !w.json {
		w.screen.open()
		defer w.screen.close()
	}
	tick := time.NewTicker(w.interval)
	defer tick.Stop()
	for {
		if err := w.turn(s, err); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if s, err = w.look(ctx); ctx.Err() != nil {
			return nil
		}
	}
}

// turn shows a status, or the last one and why there is none.
func (w *watcher) turn(s *picture.Status, err error) error {
	now := w.now()
	note := ""
	switch {
	case err == nil:
		if !w.since.IsZero() && w.json {
			fmt.Fprintln(w.errors, "fleet: the server answers again")
		}
		w.last, w.since = s, time.Time{}
	case w.since.IsZero():
		w.since = now
		fallthrough
	default:
		note = away(w.since, now, err)
	}
	if w.json {
		return w.document(note, now)
	}
	return w.text(note)
}

// document writes a line of JSON; standard error is told once that there is none.
func (w *watcher) document(note string, now time.Time) error {
	if note == "" {
		return w.last.WriteLine(w.out)
	}
	if w.since.Equal(now) {
		fmt.Fprintln(w.errors, "fleet:", note)
	}
	return nil
}

func (w *watcher) text(note string) error {
	v := w.view
	v.Columns, v.Note = display.Width(w.out), note
	if w.screen == nil {
		if w.printed {
			if _, err := fmt.Fprintln(w.out); err != nil {
				return err
			}
		}
		w.printed = true
		return w.last.Show(w.out, v)
	}
	v.Rows = height(w.out)
	var b bytes.Buffer
	if err := w.last.Show(&b, v); err != nil {
		return err
	}
	return w.screen.draw(b.String())
}

// A screen is a terminal's other screen, which leaves no trace on the usual one.
type screen struct{ w io.Writer }

// newScreen is the screen of w, or nil if it is no terminal that has one.
func newScreen(w io.Writer) *screen {
	if !display.Obeys(w, os.Getenv) {
		return nil
	}
	return &screen{w}
}

// open goes to the other screen, without a cursor; what is too wide, such as characters of two columns, is cut rather than
// wrapped.
func (s *screen) open() { fmt.Fprint(s.w, "\x1b[?1049h\x1b[?25l\x1b[?7l") }

// close undoes open.
func (s *screen) close() { fmt.Fprint(s.w, "\x1b[0m\x1b[?7h\x1b[?25h\x1b[?1049l") }

// draw replaces what is there, without a moment in which nothing is. It clears each line before it writes it, since after a
// line of full width it would clear its last character, and does not end the last one, since that would scroll.
func (s *screen) draw(text string) error {
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	last := len(lines) - 1
	var b strings.Builder
	b.WriteString("\x1b[H")
	for _, line := range lines[:last] {
		b.WriteString("\x1b[K" + line + "\n")
	}
	b.WriteString("\x1b[J" + lines[last])
	_, err := io.WriteString(s.w, b.String())
	return err
}

// height is how many lines a terminal has; 0 if w is none.
func height(w io.Writer) int {
	if f, ok := w.(*os.File); ok {
		if _, rows, err := term.GetSize(int(f.Fd())); err == nil {
			return rows
		}
	}
	return 0
}
