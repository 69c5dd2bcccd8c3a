package picture

import (
	"fmt"
	"net/http"

	"github.com/acmeauthz/acmeauthz/examples/fleet/hub"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// A metric is one of a hub's, and where its value is.
type metric struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	of   func(hub.Stats) float64
}

func counter(name, help string, of func(hub.Stats) int64) metric {
	return metric{prometheus.NewDesc("acmeauthz_fleet_"+name, help, nil, nil), prometheus.CounterValue, func(s hub.Stats) float64 { return float64(of(s)) }}
}

func gauge(name, help string, of func(hub.Stats) float64) metric {
	return metric{prometheus.NewDesc("acmeauthz_fleet_"+name, help, nil, nil), prometheus.GaugeValue, of}
}

// A Collector is the metrics of a hub for Prometheus.
type Collector struct {
	stats   func() hub.Stats
	metrics []metric
}

// NewCollector returns the metrics of a hub, whose method Stats is given.
func NewCollector(stats func() hub.Stats) *Collector {
	return &Collector{stats, []metric{
		counter("shards_total", "Shards of agents that were split by account.", func(s hub.Stats) int64 { return s.Shards }),
		counter("shards_refused_total", "Shards that break the rules.", func(s hub.Stats) int64 { return s.Refused }),
		counter("parts_left_out_total", "Parts of shards that are of more accounts than may be known.", func(s hub.Stats) int64 { return s.LeftOut }),
		counter("shard_bytes_total", "Bytes of the shards that were split.", func(s hub.Stats) int64 { return s.Bytes }),
		counter("merged_total", "Parts of accounts that were merged.", func(s hub.Stats) int64 { return s.Merged }),
		counter("snapshots_total", "Snapshots of accounts that were made.", func(s hub.Stats) int64 { return s.Snapshots }),
		counter("snapshot_bytes_total", "Bytes of the snapshots that were made.", func(s hub.Stats) int64 { return s.SnapshotBytes }),
		counter("takeovers_total", "Accounts taken from hubs that were gone.", func(s hub.Stats) int64 { return s.Takeovers }),
		counter("renewals_failed_total", "Renewals of leases that failed.", func(s hub.Stats) int64 { return s.RenewalsFailed }),
		counter("settled_total", "Authorizations that this hub has settled.", func(s hub.Stats) int64 { return s.Settled }),
		counter("failed_total", "Authorizations that could not be read or settled.", func(s hub.Stats) int64 { return s.Failed }),
		gauge("accounts", "Accounts that this hub has.", func(s hub.Stats) float64 { return float64(s.Accounts) }),
		gauge("shards_waiting", "Shards that waited to be split when some were fetched last.", func(s hub.Stats) float64 { return float64(s.Lag) }),
		gauge("connected", "Whether the server has answered lately: 1 or 0.", func(s hub.Stats) float64 { return truth(s.Connected) }),
	}}
}

// Describe implements prometheus.Collector.
func (c *Collector) Describe(out chan<- *prometheus.Desc) {
	for _, m := range c.metrics {
		out <- m.desc
	}
	for _, m := range accountMetrics {
		out <- m.desc
	}
}

// Collect implements prometheus.Collector.
func (c *Collector) Collect(out chan<- prometheus.Metric) {
	s := c.stats()
	for _, m := range c.metrics {
		out <- prometheus.MustNewConstMetric(m.desc, m.kind, m.of(s))
	}
	collectAccounts(s.States, out)
}

// Handler serves /metrics, and /healthz: 200 if the hub can work, or 503 and why not.
func Handler(stats func() hub.Stats) http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(NewCollector(stats))
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		if !stats().Connected {
			w.WriteHeader(http.StatusServiceUnavailable)
			fmt.Fprintln(w, "the NATS server does not answer")
			return
		}
		fmt.Fprintln(w, "ok")
	})
	return mux
}
