package main

import (
	"fmt"
	"time"

	"github.com/acmeauthz/acmeauthz/internal/display"
	"github.com/schollz/progressbar/v3"
)

// A progress shows on standard error how far the work is, how fast it goes, and
// when it will end: as a bar on a terminal, and as a line every half minute in a
// log or a file.
type progress struct {
	program *program
	bar     *progressbar.ProgressBar // nil if there is none
	total   int
	done    int
	began   time.Time
	told    time.Time
}

const (
	progressEvery = 30 * time.Second // between lines
	progressSkip  = 100 * time.Millisecond
)

func (p *program) newProgress(o options, total int) *progress {
	g := &progress{program: p, total: total, began: p.now(), told: p.now()}
	alone := p.log == nil && p.steps == nil && !o.quiet && !(o.json && display.IsTerminal(p.stdout))
	if alone && display.IsTerminal(p.stderr) {
		g.bar = newBar(p, total)
	}
	return g
}

func newBar(p *program, total int) *progressbar.ProgressBar {
	return progressbar.NewOptions(total,
		progressbar.OptionSetWriter(p.stderr),
		progressbar.OptionSetDescription("authorizations"),
		progressbar.OptionSetWidth(16),
		progressbar.OptionShowCount(),
		progressbar.OptionShowIts(),
		progressbar.OptionSetItsString(""),
		progressbar.OptionSetPredictTime(false),
		progressbar.OptionSetElapsedTime(false),
		progressbar.OptionThrottle(progressSkip),
		progressbar.OptionClearOnFinish(),
	)
}

// add tells of one more that is done.
func (g *progress) add() {
	g.done++
	now := g.program.now()
	if g.bar != nil {
		if now.Sub(g.told) >= progressSkip {
			g.told = now
			g.bar.Describe("authorizations, " + g.ending(now))
		}
		_ = g.bar.Add(1)
		return
	}
	if now.Sub(g.told) >= progressEvery && g.done < g.total {
		g.told = now
		g.program.say("%d of %d done, %.3g a second, %s\n", g.done, g.total, g.rate(now), display.Trusted(g.ending(now)))
	}
}

// end takes the bar away.
func (g *progress) end() {
	if g.bar != nil {
		_ = g.bar.Exit()
		_ = g.bar.Clear()
	}
}

// rate is how many are done in a second.
func (g *progress) rate(now time.Time) float64 {
	return float64(g.done) / max(now.Sub(g.began).Seconds(), 0.001)
}

// ending is when the work will end, at the present rate, by this machine's clock.
func (g *progress) ending(now time.Time) string {
	left := time.Duration(float64(g.total-g.done) / g.rate(now) * float64(time.Second))
	at := now.Add(left)
	if g.program.location != nil {
		at = at.In(g.program.location)
	}
	if left > 24*time.Hour {
		return fmt.Sprintf("ends about %s", at.Format("2006-01-02 15:04"))
	}
	return fmt.Sprintf("ends about %s", at.Format("15:04:05"))
}
