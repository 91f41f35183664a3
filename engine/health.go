// Health: how a worker stands now, for those who watch over it.

package engine

import (
	"context"
	"errors"
	"time"

	"github.com/senpuki/senpuki/backend"
)

// Health is how an engine's worker stands. Its numbers are gauges of one moment.
type Health struct {
	Session  backend.SessionID // zero: none stands
	Stopping bool              // a graceful stop is under way
	Fault    error             // the database failed at the last try, or takes no writes; nil when it answered
	Beat     time.Duration     // since the newest acknowledgement of a heartbeat came

	Concurrency int   // how many attempts may run at once
	FreeSlots   int   // how many more may begin
	Bodies      int64 // activities that run here, their code
	Strays      int64 // of those, given up ones that have not returned
	Held        int   // executions in memory
	Parked      int   // of those, scripts that wait with nothing running here
}

// Health tells how the worker stands; it does not ask the database.
func (e *Engine) Health() Health {
	h := Health{Concurrency: e.options.MaxConcurrency}
	e.mu.Lock()
	w := e.worker
	h.Fault = e.unopened
	e.mu.Unlock()
	if w == nil {
		return h
	}
	h.Stopping = w.stopping.Load()
	if w.ctx.Err() == nil {
		h.Session = w.session
	}
	if w.faulty.Load() {
		h.Fault = w.lastFault()
	}
	if at := w.heard.Load(); at != nil {
		h.Beat = time.Since(*at)
	}
	h.Bodies, h.Strays, _ = w.bodies.look(0)
	w.slots.mu.Lock()
	h.FreeSlots = w.slots.free
	w.slots.mu.Unlock()
	w.parking.mu.Lock()
	h.Parked = w.parking.order.Len()
	w.parking.mu.Unlock()
	w.mu.Lock()
	h.Held = len(w.held)
	w.mu.Unlock()
	return h
}

// Ping asks the database for something that is not there: an answer is an answer.
func (e *Engine) Ping(ctx context.Context) error {
	_, err := e.store.Execution(ctx, "")
	if errors.Is(err, backend.ErrNotFound) {
		return nil
	}
	return err
}
