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
	Retry     *activities.RetryPolicy `json:"retry,omitempty"`      // of the execution as a whole
	NotBefore int64                   `json:"not_before,omitempty"` // the first run does not begin before; microseconds since 1970
	Own       bool                    `json:"own,omitempty"`        // dispatched with code of its own, a file that was executed say: later runs and functions that are its children keep it
}

// own is the form of the most frequent one.
const own = `{"own":true}`

// encode is nil when there is nothing to keep.
func (e extra) encode() []byte {
	switch e {
	case extra{}:
		return nil
	case extra{Own: true}:
		return []byte(own)
	}
	b, _ := json.Marshal(e) // plain fields: never fails
	return b
}

func decodeExtra(b []byte) (e extra, err error) {
	switch {
	case string(b) == own:
		e.Own = true
	case len(b) > 0:
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
	if !again || x.rec.expires != 0 && due >= x.rec.expires {
		return false, nil
	}
	take := carried{Input: x.carried.Input, Shown: x.carried.Shown, Tried: &tried{attempt + 1, due, failure}}
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
	var list entryList
	for _, row := range append(rows, x.closeRows()...) {
		for e, err := range entriesOf(row) {
			if err != nil {
				return nil, err
			}
			list = append(list, journalled{entry: e})
		}
	}
	return list.signals()
}

// notBefore is when the script may begin, microseconds since 1970: its first run after the delay it was dispatched with, each
// later attempt of the execution as a whole after that between the two. 0: now, for it has begun, or somebody had it go on.
func (x *execution) notBefore() int64 {
	switch t := x.carried.Tried; {
	case !x.unbegun, x.carried.Rerun:
	case t != nil:
		return t.Due
	case x.extra != nil && x.rec.RunNumber == 1:
		return x.extra.NotBefore
	}
	return 0
}

// waitsToTry lets an execution go until its script may begin, and notes when an attempt of the whole does: its clock and its
// timers count from there. One that has messages is kept: they are for the script, but for a cancel, which ends it at once.
func (x *execution) waitsToTry() error {
	due := x.notBefore()
	for due > 0 && x.w.clock.until(due) > 0 {
		if err := x.called(); err != nil {
			return err
		}
		turn := x.turn(backend.Release)
		turn.Due = fromMicro(due)
		r, err := x.landing(turn)
		if err != nil {
			return err
		}
		if !r.kept {
			x.w.dues.add(due)
			return starlark.ErrEvicted
		}
		if x.w.stopping.Load() { // revoking the session frees it
			return starlark.ErrEvicted
		}
		x.w.slots.give(x.slots)
		x.slots = 0
		x.w.look()
		if err := x.called(); err != nil { // it came while the turn was on its way, which has heard the knock
			return err
		}
		timer := time.NewTimer(x.w.clock.until(due))
		select {
		case <-timer.C:
		case <-x.wake:
			timer.Stop()
		case <-x.w.ctx.Done():
			timer.Stop()
			return errLost
		}
		if x.nextRow == 0 { // it begins when the time has come
			x.discard()
			x.begin()
		}
	}
	if x.carried.Tried != nil && x.unbegun && !x.trying {
		x.started = x.stamp()
		x.put(&entry{kind: []byte(entryTry), at: x.started})
	}
	return nil
}

// called looks in the mailbox for a cancel, and for other code that somebody asks for: neither waits for the script.
func (x *execution) called() error {
	if m := x.inMail(cancels); m != nil {
		x.cutFor(m)
		return errCut
	}
	if x.inMail(upgrades) != nil {
		return errRestart
	}
	return nil
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
		t.Attempt, t.Due, t.Failure = c.Tried.Attempt, fromMicro(c.Tried.Due), shownFailure(c.Tried.Failure)
	}
	return t, nil
}
