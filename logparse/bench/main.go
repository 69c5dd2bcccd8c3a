// Command bench writes a Certbot log of any length: the recorded logs again and again, each time as if they were of other
// domains and other days.
//
//	go run ./logparse/bench -mib 512 >letsencrypt.log
//
// or reads one, to be timed: events, history, and the verdict of every authorization.
//
//	go run ./logparse/bench -history letsencrypt.log
//
// In one repetition the same authorization, order, challenge, account and domain keep the same new name, also in the JWS
// that Certbot logs in base64url, and all times move by the same number of days: what the log tells is as true as what was
// recorded. New names are as long as the old ones. The same -mib gives the same log; with another it is cut elsewhere, and
// its days are others. The log is at least as long as asked for, and ends with a whole repetition.
package main

import (
	"bufio"
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"

	"github.com/klauspost/compress/gzip"
)

func main() {
	mib := flag.Int64("mib", 512, "the `size` of the log in MiB")
	dir := flag.String("logs", "logparse/testdata/certbot", "the `directory` with the recorded logs")
	log := flag.String("history", "", "read this `file` instead")
	flag.Parse()
	if *log != "" {
		if os.Getenv("GOGC") == "" {
			debug.SetGCPercent(200) // as clear-authz does
		}
		if err := history(os.Stdout, *log); err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
			os.Exit(1)
		}
		return
	}
	if err := run(os.Stdout, *dir, *mib<<20); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// run writes a log of at least size bytes, made of those below dir.
func run(w io.Writer, dir string, size int64) error {
	recorded, err := record(dir)
	if err != nil {
		return err
	}
	out := bufio.NewWriterSize(w, 1<<20)
	days := int((size + int64(len(recorded)) - 1) / int64(len(recorded)))
	log := compile(recorded)
	for day := days - 1; day >= 0; day-- {
		if _, err := out.Write(log.repeat(day)); err != nil {
			return err
		}
	}
	return out.Flush()
}

// record returns the recorded logs one after the other.
func record(dir string) ([]byte, error) {
	names, err := filepath.Glob(filepath.Join(dir, "*", "logs", "letsencrypt", "letsencrypt.log*"))
	if err != nil {
		return nil, err
	}
	var all []byte
	for _, name := range names {
		text, err := read(name)
		if err != nil {
			return nil, err
		}
		all = append(all, text...)
	}
	if len(all) == 0 {
		return nil, errors.New("no logs in " + dir)
	}
	return all, nil
}

// read returns a log, decompressed.
func read(name string) ([]byte, error) {
	text, err := os.ReadFile(name)
	if err != nil || filepath.Ext(name) != ".gz" {
		return text, err
	}
	r, err := gzip.NewReader(bytes.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return io.ReadAll(r)
}
