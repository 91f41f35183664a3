// Package ops is what an operator sees of a worker: a small HTTP server with
// its health and metrics ([Serve]), structured logs ([NewLogger]) and traces
// ([NewTracer]). The engine counts and tells; it imports neither net/http,
// Prometheus nor OpenTelemetry, so that a program that embeds it pays for
// none of them. A program of your own that wants them uses this package.
package ops
