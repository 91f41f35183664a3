// Executions that are tried again as a whole: each attempt is a run from the first line.

package engine

import (
	"context"
	"encoding/json"
	"time"

	"github.com/senpuki/senpuki/activities"
	"github.com/senpuki/senpuki/backend"
	"github.com/senpuki/senpuki/starlark"
)

// extra is what the engine keeps with an execution: the JSON of backend.Execution.Extra.
type extra struct {
	Retry *activities.RetryPolicy `json:"retry,omitempty"` // of the execution as a whole
}

// encode is nil when there is nothing to keep.
func (e extra) encode() []byte {
	if e.Retry == nil {
		return nil
	}
	b, _ := json.Marshal(e) // plain fields: never fails
	return b
}

func decodeExtra(b []byte) (e extra, err error) {
	if len(b) > 0 {
		err = json.Unmarshal(b, &e)
	}
	return e, err
}

// tried is how the attempts of an execution stand, in the start entry of each but the first.
type tried struct {
	Attempt int             `json:"attempt"` // number of this one
	Due     int64           `json:"due"`     // it does not begin before; microseconds since 1970
	Failure json.RawMessage `json:"failure"` // of the one before
}

// tryAgain ends the run that failed and begins the next attempt, as the execution was dispatched to
// do. It reports false when there is none. What people see of the last attempt is in the new run's first
// entry; signals that arrived are there for it, too.
func (x *execution) tryAgain(f *starlark.Failure) (again bool, err error) {
	if x.extra == nil || x.extra.Retry == nil || x.cancelled != nil {
		return false, nil
	}
	policy := x.extra.Retry
	failure := encodeFailure(ActivityFailure(f))
	attempt := 1
	if x.carried.Tried != nil {
		attempt = x.carried.Tried.Attempt
	}
	delay, again := policy.WithDefaults().Next(attempt, decodeFailure(failure), x.w.random())
	due := x.stamp() + delay.Microseconds()
	if !again || !x.rec.Expires.IsZero() && due >= x.rec.Expires.UnixMicro() {
		return false, nil
	}
	take := carried{Input: x.carried.Input, Tried: &tried{attempt + 1, due, failure}}
	if take.Signals, err = x.received(); err != nil {
		return false, err
	}
	return true, x.next(take, x.rec.Digest)
}

// received lists the signals that the run was given.
func (x *execution) received() ([]carriedSignal, error) {
	if err := x.caughtUp(); err != nil {
		return nil, err
	}
	rows, err := x.w.journal(x.rec.Run)
	if err != nil {
		return nil, err
	}
	list := x.carried.Signals
	for _, row := range append(rows, x.closeRows()...) {
		reader := rowReader{data: row}
		for {
			var e entry
			ok, err := reader.next(&e)
			if err != nil {
				return nil, err
			}
			if !ok {
				break
			}
			if e.is(entrySignal) {
				list = append(list, carriedSignal{string(e.name), json.RawMessage(e.value)})
			}
		}
	}
	return list, nil
}

// waitsToTry lets an execution go until its next attempt may begin. One that
// has messages is kept: they are for the attempt, but for a cancel, which ends it at once.
func (x *execution) waitsToTry() error {
	t := x.carried.Tried
	for t != nil && x.nextRow == 1 && x.w.clock.until(t.Due) > 0 {
		if x.toBeCancelled() {
			return errCut
		}
		turn := x.turn(backend.Release)
		turn.Due = fromMicro(t.Due)
		r, err := x.landing(turn)
		if err != nil {
			return err
		}
		if !r.kept {
			x.w.dues.add(t.Due)
			return starlark.ErrEvicted
		}
		if x.w.stopping.Load() { // revoking the session frees it
			return starlark.ErrEvicted
		}
		x.w.slots.give(x.slots)
		x.slots = 0
		x.w.engine.mailed.Store(true)
		x.w.hint()
		if x.toBeCancelled() { // it came while the turn was on its way, which has heard the knock
			return errCut
		}
		timer := time.NewTimer(x.w.clock.until(t.Due))
		select {
		case <-timer.C:
		case <-x.wake:
			timer.Stop()
		case <-x.w.ctx.Done():
			timer.Stop()
			return errLost
		}
	}
	return nil
}

// toBeCancelled looks for a cancel in the mailbox.
func (x *execution) toBeCancelled() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	for i := range x.mail {
		if m := x.mail[i].message; m != nil && m.Kind == backend.Cancel {
			x.cutFor(m)
			return true
		}
	}
	return false
}

// Tries tells how an execution that is tried again as a whole stands.
type Tries struct {
	Attempt int                 `json:"attempt"` // number of this one
	Of      int                 `json:"of"`      // at most
	Due     time.Time           `json:"due,omitzero"`
	Failure *activities.Failure `json:"failure,omitempty"` // of the one before
}

func (e *Engine) tries(ctx context.Context, run backend.RunKey, policy *activities.RetryPolicy) (*Tries, error) {
	t := &Tries{Attempt: 1, Of: policy.WithDefaults().MaxAttempts}
	list, err := e.entries(ctx, run)
	if err != nil || len(list) == 0 || list[0].value == nil {
		return t, err
	}
	var c carried
	if json.Unmarshal(list[0].value, &c) == nil && c.Tried != nil {
		t.Attempt, t.Due, t.Failure = c.Tried.Attempt, fromMicro(c.Tried.Due), decodeFailure(c.Tried.Failure)
	}
	return t, nil
}
