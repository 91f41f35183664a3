// Waiting for the end of executions, and saying what they wait for themselves.

package enginetest

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/senpuki/senpuki/engine"
)

// Execution is an execution as it stands.
func (w *World) Execution(id string) (x engine.Execution, err error) {
	err = w.do(func(ctx context.Context) (err error) {
		x, err = w.client.State(ctx, id)
		return err
	})
	return x, err
}

// History is the journal of an execution's latest run.
func (w *World) History(id string) (h engine.History, err error) {
	err = w.do(func(ctx context.Context) (err error) {
		h, err = w.client.History(ctx, id)
		return err
	})
	return h, err
}

// Logs are the lines that an execution printed.
func (w *World) Logs(id string) (lines []engine.LogLine, err error) {
	err = w.do(func(ctx context.Context) (err error) {
		lines, err = w.client.Logs(ctx, id, engine.LogPosition{})
		return err
	})
	return lines, err
}

// Wait lets time pass until an execution has ended. The error says why it does not end.
func (w *World) Wait(id string) (x engine.Execution, err error) {
	err = w.do(func(ctx context.Context) (err error) {
		limit := time.NewTimer(w.options.Patience)
		defer limit.Stop()
		for {
			x, err = w.client.State(ctx, id)
			switch {
			case err != nil || x.State.Terminal():
				return err
			case x.Stuck != nil:
				return fmt.Errorf("execution %s is stuck: %s", id, x.Stuck.Reason)
			}
			select {
			case <-w.changed:
			case <-limit.C:
				h, err := w.client.History(ctx, id)
				if err != nil {
					return err
				}
				return fmt.Errorf("execution %s has not ended within %s: it is %s%s", id, days(w.options.Patience), x.State, waiting(h.Steps))
			}
		}
	})
	return x, err
}

func days(d time.Duration) string {
	const day = 24 * time.Hour
	if d >= 2*day && d%day == 0 {
		return fmt.Sprintf("%d days", d/day)
	}
	return d.String()
}

// waiting says what steps are under way.
func waiting(steps []engine.Step) string {
	var open []string
	for _, s := range steps {
		switch s.State {
		case "waiting", "running", "retrying":
			what := s.Kind
			if s.Kind == "wait_signal" {
				what = "signal"
			}
			if s.Name != "" {
				what += " " + s.Name
			}
			open = append(open, fmt.Sprintf("%s (%s, %s)", what, s.State, s.Pos))
		}
	}
	if len(open) == 0 {
		return ""
	}
	const most = 5
	if n := len(open); n > most {
		open = append(open[:most], fmt.Sprintf("%d more", n-most))
	}
	return " and waits for " + strings.Join(open, ", ")
}
