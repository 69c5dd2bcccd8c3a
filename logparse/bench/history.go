package main

import (
	"fmt"
	"io"
	"os"

	"github.com/acmeauthz/acmeauthz/logparse"
)

// history reads a log into a History, asks for every verdict, and prints a line for each.
func history(w io.Writer, name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	var h logparse.History
	for e, err := range logparse.Events(f) {
		if err != nil {
			return err
		}
		h.Add(e)
	}
	for verdict, n := range h.Summary().Verdicts {
		fmt.Fprintln(w, verdict, n)
	}
	return nil
}
