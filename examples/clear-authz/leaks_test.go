package main

import (
	"path/filepath"
	"strings"
	"testing"
)

// fleetBench is the logs of four hosts in fleet/, a directory each.
func fleetBench(t *testing.T) *bench {
	b := &bench{t: t, dir: t.TempDir(), env: map[string]string{}, stdin: strings.NewReader("")}
	for _, scenario := range []string{"rate-limited", "twenty-names-killed", "five-names-one-fails", "dry-run-twice-deactivation"} {
		copyTree(t, filepath.Join("../../logparse/testdata/certbot", scenario, "logs/letsencrypt"), b.path("fleet", scenario, "letsencrypt"))
	}
	return b
}
