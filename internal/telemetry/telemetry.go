// Package telemetry shows what the service does: a bounded log, metrics for Prometheus, and traces
// for OpenTelemetry. None of them contains a person, a token or a parameter of a statement.
package telemetry
