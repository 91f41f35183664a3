// Retention: removing what ended long ago, in small chunks.

package engine

import (
	"context"
	"time"

	"github.com/senpuki/senpuki/backend"
)

// Retention says how long executions are kept after their end. In Options zero
// means the default and a negative duration for ever.
type Retention struct {
	Completed time.Duration // default 7 days
	Failed    time.Duration // failed, cancelled, timed out; default 30 days
}

func (r Retention) withDefaults() Retention {
	if r.Completed == 0 {
		r.Completed = 7 * 24 * time.Hour
	}
	if r.Failed == 0 {
		r.Failed = 30 * 24 * time.Hour
	}
	return r
}

// What one transaction removes: executions, and rows of theirs. SQLite lets nobody else write meanwhile, and a
// hundred long journals take longer than a session lives.
const (
	collectChunk = 100
	collectRows  = 10000
)

// Collect removes what ended longer ago than r says; with dry it only counts.
func (e *Engine) Collect(ctx context.Context, r Retention, dry bool) (sum backend.Collected, err error) {
	now, err := e.now(ctx)
	if err != nil {
		return sum, err
	}
	before := func(d time.Duration) time.Time {
		if d < 0 {
			return time.Time{}
		}
		return now.Add(-d)
	}
	q := backend.Retention{Completed: before(r.Completed), Failed: before(r.Failed), DryRun: dry}
	if !dry {
		q.Limit, q.Rows = collectChunk, collectRows
	}
	for {
		got, err := e.store.Collect(ctx, q)
		if err != nil {
			return sum, err
		}
		sum.Executions += got.Executions
		sum.Memos += got.Memos
		sum.DeadLetters += got.DeadLetters
		sum.Programs += got.Programs
		if dry || !got.More {
			return sum, nil
		}
	}
}

// collectEvery is how often a worker removes what ended long ago, collectFirst how long after its start it begins: many
// do not live for long.
const (
	collectEvery = 10 * time.Minute
	collectFirst = time.Minute
)

// retain removes what ended long ago, now and then.
func (w *worker) retain() {
	tick := time.NewTicker(collectFirst)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			tick.Reset(collectEvery)
		case <-w.ctx.Done():
			return
		}
		got, err := w.engine.Collect(w.ctx, w.options.Retention, false)
		switch {
		case err != nil && w.ctx.Err() == nil:
			w.log.Warn("what ended long ago could not be removed", "error", err)
		case got.Executions > 0:
			w.log.Info("removed what ended long ago", "executions", got.Executions)
		}
	}
}
