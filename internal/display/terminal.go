package display

import (
	"os"

	"golang.org/x/term"
)

// How many columns text for people takes.
const (
	Narrowest = 60  // what is narrower is wrapped by the terminal
	Widest    = 120 // for sentences
	PlainText = 80  // if it is no terminal
)

// IsTerminal reports whether a stream, such as standard output, is a terminal.
func IsTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// Width is how many columns the terminal has that stream is; 0 if it is none.
func Width(stream any) int {
	f, ok := stream.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return 0
	}
	width, _, err := term.GetSize(int(f.Fd()))
	if err != nil {
		return 0
	}
	return width
}

// TextWidth is how wide text may be on a terminal with so many columns; 0 is none.
func TextWidth(columns int) int {
	if columns > 0 {
		return max(columns, Narrowest)
	}
	return PlainText
}
