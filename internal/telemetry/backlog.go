package telemetry

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Backlog is what waits in the database, and how old the institutions' schedules are.
type Backlog struct {
	Events        int           // that wait for their place in the feed
	OldestEvent   time.Duration // age of the oldest of them
	Deliveries    int           // events that have to be sent to a webhook again
	OldestDelayed time.Duration // since the first attempt for the oldest of them
	Imports       int           // that wait for a worker
	OldestImport  time.Duration // since the upload, or the last chunk, of the one that waits longest
	Failing       int           // active webhooks whose last attempts have failed
	Disabled      int           // webhooks that were switched off because of failures

	Institutions int           // with schedules of a source
	Silent       int           // of which no schedule was confirmed for a day
	ScheduleLag  time.Duration // since the confirmation of the schedule that has waited for it longest

	Schema int64 // version of the database's schema
}

type backlogMetrics struct {
	readAt                                       prometheus.Gauge
	events, oldestEvent                          prometheus.Gauge
	deliveries, oldestDelayed, failing, disabled prometheus.Gauge
	imports, oldestImport                        prometheus.Gauge
	institutions, silent, scheduleLag            prometheus.Gauge
	schema                                       prometheus.Gauge
}

func newBacklogMetrics(m *Metrics) backlogMetrics {
	gauge := func(name, help string) prometheus.Gauge { return m.gauges(name, help).WithLabelValues() }
	return backlogMetrics{
		readAt: gauge("talon_backlog_read_timestamp_seconds",
			"When the metrics of the events, webhooks, imports, sources and the schema were read from the database."),
		events: gauge("talon_events_waiting", "Events that wait for their place in the feed, at most 10,000."),
		oldestEvent: gauge("talon_events_oldest_waiting_seconds",
			"Age of the oldest event that waits for its place in the feed; 0: none waits."),
		deliveries: gauge("talon_webhook_deliveries_waiting",
			"Events that have to be sent to webhooks again."),
		oldestDelayed: gauge("talon_webhook_oldest_waiting_seconds",
			"Time since the first attempt to send the oldest event that has to be sent again; 0: none."),
		failing: gauge("talon_webhooks_failing", "Active webhooks whose last attempts have failed."),
		disabled: gauge("talon_webhooks_disabled",
			"Webhooks that were switched off: three days without success, or a response with 410."),
		imports: gauge("talon_imports_waiting",
			"Imports that no worker works on at the moment: they wait for their turn."),
		oldestImport: gauge("talon_imports_oldest_waiting_seconds",
			"Time since the upload, or the last turn, of the import that has waited longest; 0: none waits."),
		institutions: gauge("talon_source_institutions", "Institutions whose systems have sent schedules."),
		silent: gauge("talon_source_institutions_silent",
			"Institutions whose systems have confirmed no schedule for 24 hours."),
		scheduleLag: gauge("talon_source_lag_seconds",
			"Time since the last confirmation of the schedule that has waited for one longest; 0: no schedules."),
		schema: gauge("talon_schema_version", "Version of the schema of the database."),
	}
}

// SetBacklog shows what was read from the database now.
func (m *Metrics) SetBacklog(b *Backlog) {
	m.backlog.readAt.SetToCurrentTime()
	m.backlog.events.Set(float64(b.Events))
	m.backlog.oldestEvent.Set(b.OldestEvent.Seconds())
	m.backlog.deliveries.Set(float64(b.Deliveries))
	m.backlog.oldestDelayed.Set(b.OldestDelayed.Seconds())
	m.backlog.failing.Set(float64(b.Failing))
	m.backlog.disabled.Set(float64(b.Disabled))
	m.backlog.imports.Set(float64(b.Imports))
	m.backlog.oldestImport.Set(b.OldestImport.Seconds())
	m.backlog.institutions.Set(float64(b.Institutions))
	m.backlog.silent.Set(float64(b.Silent))
	m.backlog.scheduleLag.Set(b.ScheduleLag.Seconds())
	m.backlog.schema.Set(float64(b.Schema))
}
