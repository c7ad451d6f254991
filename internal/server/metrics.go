package server

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/waterbear-run/waterbear/api"
)

// metrics are what /metrics shows.
type metrics struct {
	registry    *prometheus.Registry
	requests    *prometheus.HistogramVec
	invocations *prometheus.HistogramVec
	refused     prometheus.Counter
	routes      *prometheus.HistogramVec
}

// latencies are the bounds of the buckets of histograms, in seconds: from what
// one commit takes to the longest that a client waits.
func latencies() []float64 {
	return []float64{
		.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60,
	}
}

func newMetrics(p Platform) *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "waterbear_http_request_seconds", Help: "Time to answer REST requests, by operation and class of the status.",
			Buckets: latencies(),
		}, []string{"operation", "class"}),
		invocations: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "waterbear_invocation_seconds", Help: "Time to answer invocations that were awaited, by how they ended.",
			Buckets: latencies(),
		}, []string{"state"}),
		refused: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "waterbear_http_refused_total", Help: "REST requests refused because too many were under way.",
		}),
		routes: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "waterbear_route_request_seconds", Help: "Time to answer requests of routes, by route and class of the status; those of no route have none.",
			Buckets: latencies(),
		}, []string{"route", "class"}),
	}
	m.registry.MustRegister(
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		m.requests, m.invocations, m.refused, m.routes, newFigures(p),
	)
	return m
}

// request counts a request of an operation, which the router has found.
func (m *metrics) request(operation string, status int, took time.Duration) {
	m.requests.WithLabelValues(operation, classOf(status)).Observe(took.Seconds())
}

// routed counts a request of a route. How many routes there are is bounded.
func (m *metrics) routed(route string, status int, took time.Duration) {
	m.routes.WithLabelValues(route, classOf(status)).Observe(took.Seconds())
}

func classOf(status int) string {
	if c := status / 100; 1 <= c && c < len(classes) {
		return classes[c]
	}
	return "none" // the connection broke off before there was a status
}

// classes are the classes of statuses.
var classes = [...]string{"", "1xx", "2xx", "3xx", "4xx", "5xx"}

func (m *metrics) invocation(state api.InvocationState, took time.Duration) {
	m.invocations.WithLabelValues(string(state)).Observe(took.Seconds())
}

// figure is one of api.Stats as Prometheus knows it.
type figure struct {
	name, help string
	kind       prometheus.ValueType
	value      func(api.Stats) float64
}

const (
	gauge   = prometheus.GaugeValue
	counter = prometheus.CounterValue
)

// statFigures are all that api.Stats has.
var statFigures = []figure{
	{"waterbear_workers", "Workers with a record in memory.", gauge, func(s api.Stats) float64 { return float64(s.Workers) }},
	{"waterbear_instances", "Instances in memory.", gauge, func(s api.Stats) float64 { return float64(s.Instances) }},
	{"waterbear_memory_bytes", "Linear memory of all instances.", gauge, func(s api.Stats) float64 { return float64(s.Memory) }},
	{"waterbear_running", "Invocations under way.", gauge, func(s api.Stats) float64 { return float64(s.Running) }},
	{"waterbear_waiting", "Work that waits for a free slot.", gauge, func(s api.Stats) float64 { return float64(s.Waiting) }},
	{"waterbear_queue", "Invocations accepted and not finished, of workers in memory.", gauge, func(s api.Stats) float64 { return float64(s.Queue) }},
	{"waterbear_sleeping", "Workers that wait for a time or to be looked at, in memory or not; busy ones are not among them.", gauge, func(s api.Stats) float64 { return float64(s.Sleeping) }},
	{"waterbear_held", "Workers that wait for a person to say what has become of calls in doubt, in memory or not.", gauge, func(s api.Stats) float64 { return float64(s.Held) }},
	{"waterbear_invocations_accepted_total", "Invocations accepted.", counter, func(s api.Stats) float64 { return float64(s.Accepted) }},
	{"waterbear_invocations_finished_total", "Invocations that have a result.", counter, func(s api.Stats) float64 { return float64(s.Finished) }},
	{"waterbear_invocations_failed_total", "Invocations that failed for good.", counter, func(s api.Stats) float64 { return float64(s.Failed) }},
	{"waterbear_retries_total", "Attempts of invocations after the first.", counter, func(s api.Stats) float64 { return float64(s.Retried) }},
	{"waterbear_suspended_total", "Times that an invocation left memory.", counter, func(s api.Stats) float64 { return float64(s.Suspended) }},
	{"waterbear_evictions_total", "Instances dropped because they were idle.", counter, func(s api.Stats) float64 { return float64(s.Evictions) }},
	{"waterbear_recoveries_total", "Instances rebuilt by replay.", counter, func(s api.Stats) float64 { return float64(s.Recoveries) }},
	{"waterbear_recovery_seconds_total", "Time that rebuilding instances took.", counter, func(s api.Stats) float64 { return s.Recovery }},
	{"waterbear_replayed_entries_total", "Entries replayed.", counter, func(s api.Stats) float64 { return float64(s.Replayed) }},
	{"waterbear_deltas_total", "Changes of workers' states saved, so that replay need not go back further.", counter, func(s api.Stats) float64 { return float64(s.Deltas) }},
	{"waterbear_delta_bytes_total", "Bytes of these.", counter, func(s api.Stats) float64 { return float64(s.DeltaBytes) }},
	{"waterbear_truncations_total", "Oplogs truncated by retention.", counter, func(s api.Stats) float64 { return float64(s.Truncations) }},
	{"waterbear_truncated_entries_total", "Entries truncated.", counter, func(s api.Stats) float64 { return float64(s.Truncated) }},
	{"waterbear_images_total", "Whole states of workers saved.", counter, func(s api.Stats) float64 { return float64(s.Images) }},
	{"waterbear_promises_total", "Promises made by programs.", counter, func(s api.Stats) float64 { return float64(s.Promised) }},
	{"waterbear_promises_settled_total", "Promises completed or failed.", counter, func(s api.Stats) float64 { return float64(s.Settled) }},
	{"waterbear_commits_total", "Flushes of the oplog.", counter, func(s api.Stats) float64 { return float64(s.Commits) }},
	{"waterbear_commit_bytes_total", "Bytes that flushes wrote.", counter, func(s api.Stats) float64 { return float64(s.CommitBytes) }},
	{"waterbear_refused_total", "Requests refused because of overload.", counter, func(s api.Stats) float64 { return float64(s.Refused) }},
	{"waterbear_stalled", "1 while nothing can be committed.", gauge, func(s api.Stats) float64 {
		if s.Stalled != "" {
			return 1
		}
		return 0
	}},
}

// figures collects api.Stats, all of one moment.
type figures struct {
	platform Platform
	descs    []*prometheus.Desc
}

func newFigures(p Platform) *figures {
	f := &figures{platform: p}
	for _, one := range statFigures {
		f.descs = append(f.descs, prometheus.NewDesc(one.name, one.help, nil, nil))
	}
	return f
}

// Describe is for prometheus.Collector.
func (f *figures) Describe(to chan<- *prometheus.Desc) {
	for _, d := range f.descs {
		to <- d
	}
}

// Collect is for prometheus.Collector.
func (f *figures) Collect(to chan<- prometheus.Metric) {
	stats := f.platform.Stats()
	for i, one := range statFigures {
		to <- prometheus.MustNewConstMetric(f.descs[i], one.kind, one.value(stats))
	}
}
