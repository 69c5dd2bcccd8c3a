package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/acmeauthz/acmeauthz/logparse"
)

// history reads a log into a History, asks for every verdict, and prints how long both took and how many there are of each.
func history(w io.Writer, name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	start := time.Now()
	var h logparse.History
	for e, err := range logparse.Events(f) {
		if err != nil {
			return err
		}
		h.Add(e)
	}
	read := time.Since(start)
	verdicts := h.Summary().Verdicts
	fmt.Fprintf(w, "read %.0f MB/s, judged in %v\n", float64(info.Size())/read.Seconds()/1e6, (time.Since(start) - read).Round(time.Millisecond))
	for verdict, n := range verdicts {
		fmt.Fprintln(w, verdict, n)
	}
	return nil
}
