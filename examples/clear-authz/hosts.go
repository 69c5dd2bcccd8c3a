package main

import (
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// rotated matches what rotation adds to the name of a log.
var rotated = regexp.MustCompile(`([.-][0-9][0-9-]*)?(\.(gz|zst|bz2|xz))?$`)

// hostsOf tells which host each log is from, if the directories tell: where the
// logs of a fleet are collected, each host has a directory, and logs of the same
// names are in it or below.
//
//	fleet/web01/letsencrypt/letsencrypt.log      from web01
//	fleet/eu/web02/letsencrypt/letsencrypt.log   from eu/web02
//
// It is the part of the path in which the directories differ: all of it if they
// are equally deep, else its first element. Logs of different names in different
// directories are those of different programs on one machine, and tell of no host.
func hostsOf(logs []string) map[string]string {
	parts := make(map[string][]string) // the elements of a log's directory
	for _, log := range logs {
		if abs, err := filepath.Abs(log); err == nil && log != stdinName {
			parts[log] = strings.Split(filepath.ToSlash(filepath.Dir(abs)), "/")
		}
	}
	start, end, even := commonElements(parts)
	hosts := make(map[string]string)
	homes := make(map[string]string) // the host that has a log of some name
	fleet := false
	for log, elements := range parts {
		middle := elements[start : len(elements)-end]
		if len(middle) == 0 {
			return nil // one directory, or one that is above others
		}
		host := middle[0]
		if even {
			host = strings.Join(middle, "/")
		}
		hosts[log] = host
		name := rotated.ReplaceAllString(filepath.Base(log), "")
		home, known := homes[name]
		fleet = fleet || known && home != host
		homes[name] = host
	}
	if !fleet {
		return nil
	}
	return hosts
}

// commonElements counts the elements with which all paths start, and those with
// which all end, and tells whether all have the same number.
func commonElements(paths map[string][]string) (start, end int, even bool) {
	var first []string
	even = true
	for _, p := range paths {
		if first == nil {
			first, start, end = p, len(p), len(p)
		}
		even = even && len(p) == len(first)
		start = min(start, commonStart(first, p))
	}
	for _, p := range paths {
		a, b := slices.Clone(first[start:]), slices.Clone(p[start:])
		slices.Reverse(a)
		slices.Reverse(b)
		end = min(end, commonStart(a, b))
	}
	return start, end, even
}

func commonStart(a, b []string) int {
	n := 0
	for n < min(len(a), len(b)) && a[n] == b[n] {
		n++
	}
	return n
}
