package main

import (
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
)

// A versionRecord is what version --json prints.
type versionRecord struct {
	Schema   string  `json:"schema"`
	Version  string  `json:"version"`
	Commit   string  `json:"commit"`
	Time     *string `json:"time"`
	Modified bool    `json:"modified"`
	Go       string  `json:"go"`
	Platform string  `json:"platform"`
}

// version is the module's version as the Go command recorded it.
func version() string { return buildVersion().Version }

// buildVersion is what the Go command recorded of the build.
func buildVersion() versionRecord {
	v := versionRecord{
		Schema: "acmeauthz-version/1", Version: "(devel)", Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH,
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	if info.Main.Version != "" {
		v.Version = info.Main.Version
	}
	for _, setting := range info.Settings {
		switch setting.Key {
		case "vcs.revision":
			v.Commit = setting.Value
		case "vcs.time":
			v.Time = &setting.Value
		case "vcs.modified":
			v.Modified = setting.Value == "true"
		}
	}
	return v
}

// printVersion is the command version, and --version.
func printVersion(w io.Writer, asJSON bool) error {
	v := buildVersion()
	if asJSON {
		doc, err := json.Marshal(v)
		if err == nil {
			_, err = fmt.Fprintf(w, "%s\n", doc)
		}
		return err
	}
	line := fmt.Sprintf("clear-authz %s", v.Version)
	if v.Commit != "" {
		line += fmt.Sprintf("\ncommit %s", v.Commit)
		if v.Time != nil {
			line += " of " + *v.Time
		}
		if v.Modified {
			line += ", with changes"
		}
	}
	_, err := fmt.Fprintf(w, "%s\nbuilt by %s for %s\n", line, v.Go, v.Platform)
	return err
}
