package logparse

// A delayedEnd is the end of a run that a client may have written: what follows tells. The zero value is none.
type delayedEnd struct {
	at            Place
	when          instant
	exit, message string
}

// set notes that the run may end in the line at hand: with exit "" if it had success.
func (d *delayedEnd) set(s *stream, exit, message string) {
	*d = delayedEnd{s.at, s.clock.instant(), exit, clip(message, maxDetail)}
}

// drop forgets it: the run goes on.
func (d *delayedEnd) drop() { *d = delayedEnd{} }

// tell tells that the run ended there, if it was noted.
func (d *delayedEnd) tell(s *stream) {
	if d.at.Line == 0 || s.goesOn {
		return
	}
	s.run.ended = true
	s.emit(Event{Kind: RunEnded, Place: d.at, Time: s.clock.time(d.when), Exit: d.exit, Message: d.message})
	d.drop()
}
