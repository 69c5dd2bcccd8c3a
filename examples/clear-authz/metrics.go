package main

import (
	"time"

	"github.com/acmeauthz/acmeauthz/internal/leaks"
	"github.com/prometheus/client_golang/prometheus"
)

// metricHelp is every metric that --metrics-file writes, and what it counts.
// Their names and labels stay.
var metricHelp = []entry{
	{"clear_authz_authorizations", "Authorizations of this run by ca (host) and outcome, in the words of --json."},
	{"clear_authz_planned", "Authorizations by ca (host) and the action that plan would take."},
	{"clear_authz_logged", "Authorizations that the logs tell of, by verdict (leaks)."},
	{"clear_authz_leaked", "Authorizations that leaked by the logs, by cause (leaks)."},
	{"clear_authz_run_exit_code", "The exit code of the last run."},
	{"clear_authz_run_duration_seconds", "How long the last run took."},
	{"clear_authz_run_timestamp_seconds", "When the last run ended, in Unix time."},
	{"clear_authz_build_info", "The program's version; always 1."},
}

func metricsSection() section {
	return section{"METRICS", []block{
		paragraph("--metrics-file writes metrics in the text format of Prometheus, for node_exporter's textfile collector (a FILE.prom in its directory; " +
			"one file for each command). All have the label command. The file is replaced as a whole when the run ends, however it ends."),
		wideTerms(metricHelp...),
	}}
}

// metrics are those of one run, for --metrics-file. A nil one counts nothing.
type metrics struct {
	file     string
	started  time.Time
	registry *prometheus.Registry
	gauges   map[string]*prometheus.GaugeVec
	command  string
}

func newMetrics(file, command string, now time.Time) *metrics {
	if file == "" {
		return nil
	}
	return &metrics{file: file, started: now, command: command, registry: prometheus.NewRegistry(), gauges: make(map[string]*prometheus.GaugeVec)}
}

// gauge is the metric with that name and those labels.
func (m *metrics) gauge(name string, labels prometheus.Labels) prometheus.Gauge {
	vec := m.gauges[name]
	if vec == nil {
		names := make([]string, 0, len(labels))
		for label := range labels {
			names = append(names, label)
		}
		vec = prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: name, Help: helpOf(name), ConstLabels: prometheus.Labels{"command": m.command},
		}, names)
		m.registry.MustRegister(vec) // cannot fail: each name is registered once
		m.gauges[name] = vec
	}
	return vec.With(labels)
}

func helpOf(name string) string {
	for _, t := range metricHelp {
		if t.word == name {
			return t.text
		}
	}
	return ""
}

// count adds authorizations with an outcome at a CA.
func (m *metrics) count(ca string, o outcome, n int) {
	if m != nil {
		m.gauge("clear_authz_authorizations", prometheus.Labels{"ca": ca, "outcome": string(o)}).Add(float64(n))
	}
}

// plan adds authorizations with a planned action at a CA; "" is one that cannot be read.
func (m *metrics) plan(ca, action string, n int) {
	if m != nil {
		m.gauge("clear_authz_planned", prometheus.Labels{"ca": ca, "action": action}).Add(float64(n))
	}
}

// leaks sets what a report of leaks counts.
func (m *metrics) leaks(r *leaks.Report) {
	if m == nil {
		return
	}
	for verdict, n := range r.Summary.Verdicts {
		m.gauge("clear_authz_logged", prometheus.Labels{"verdict": verdict}).Set(float64(n))
	}
	for _, cause := range leaks.Causes() {
		m.gauge("clear_authz_leaked", prometheus.Labels{"cause": string(cause)}).Set(float64(r.Summary.Causes[string(cause)]))
	}
}

// write writes the file at the end of a run, under another name first: who reads
// it never sees half of it.
func (m *metrics) write(code int, now time.Time) error {
	m.gauge("clear_authz_run_exit_code", nil).Set(float64(code))
	m.gauge("clear_authz_run_duration_seconds", nil).Set(now.Sub(m.started).Seconds())
	m.gauge("clear_authz_run_timestamp_seconds", nil).Set(float64(now.UnixMilli()) / 1000)
	v := buildVersion()
	m.gauge("clear_authz_build_info", prometheus.Labels{"version": v.Version, "goversion": v.Go}).Set(1)
	return prometheus.WriteToTextfile(m.file, m.registry)
}
