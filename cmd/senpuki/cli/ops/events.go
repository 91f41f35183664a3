// Events of an engine as log records.

package ops

import (
	"context"
	"log/slog"

	"github.com/senpuki/senpuki/engine"
)

// EventLog is an observer that logs what happens to executions: everything at
// debug level, since a busy worker does thousands of things a second. What an operator should know the engine logs itself.
type EventLog struct{ Log *slog.Logger }

// Observe implements engine.Observer.
func (l EventLog) Observe(ev engine.Event) {
	attrs := make([]slog.Attr, 0, 8)
	attrs = append(attrs, slog.String("execution", ev.Execution))
	text := func(key, value string) {
		if value != "" {
			attrs = append(attrs, slog.String(key, value))
		}
	}
	text("step", ev.Step)
	text("name", ev.Name)
	if ev.Attempt > 0 {
		attrs = append(attrs, slog.Int("attempt", ev.Attempt))
	}
	if ev.Failure != nil {
		text("failure", ev.Failure.Error())
	}
	if !ev.Retry.IsZero() {
		attrs = append(attrs, slog.Time("retry", ev.Retry))
	}
	if ev.Line != nil {
		text("level_of_line", ev.Line.Level)
		text("line", ev.Line.Message)
		text("fields", string(ev.Line.Fields))
	}
	l.Log.LogAttrs(context.Background(), slog.LevelDebug, string(ev.Kind), attrs...)
}
