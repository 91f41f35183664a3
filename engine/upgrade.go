// Upgrades by proof: an execution moves to other code only when its journal replays on it.

package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/senpuki/senpuki/activities"
	"github.com/senpuki/senpuki/backend"
	"github.com/senpuki/senpuki/starlark"
)

// Verdict says whether the journal of an execution replays on some code.
type Verdict struct {
	ID     string `json:"id"`
	From   string `json:"from"` // digest that it is pinned to
	To     string `json:"to"`   // digest that was tried
	Fits   bool   `json:"fits"`
	Moved  bool   `json:"moved"`            // it runs on that code now, and did not before
	Ended  bool   `json:"ended,omitempty"`  // it was not moved because it has ended
	Pos    string `json:"pos,omitempty"`    // file:line:col where the code parts from the journal
	Asks   string `json:"asks,omitempty"`   // what the code does there
	Has    string `json:"has,omitempty"`    // what the journal has there
	Reason string `json:"reason,omitempty"` // one line of it, or why it was not moved

	parts int // how many entries hold, when it parts from the journal
}

// errProven ends a proof: the journal is used up.
var errProven = fmt.Errorf("%w: proven", starlark.ErrEvicted)

// errUpgrade unwinds a script at rest, to be replayed on other code.
var errUpgrade = fmt.Errorf("%w: upgrade", starlark.ErrEvicted)

// Replay runs the journal of an execution again on some code, in memory and
// without effects; digest "" means the code that it is pinned to.
func (e *Engine) Replay(ctx context.Context, id, digest string) (Verdict, error) {
	rec, err := e.store.Execution(ctx, id)
	if err != nil {
		return Verdict{}, fmt.Errorf("execution %s: %w", id, err)
	}
	if digest == "" {
		digest = rec.Digest
	}
	return e.prove(ctx, rec, digest)
}

// prove replays an execution's journal on some code.
func (e *Engine) prove(ctx context.Context, rec backend.Execution, digest string) (Verdict, error) {
	return e.proveWatched(ctx, rec, digest, nil)
}

// watcher is told of each command of a proof, with a way to look at the variables there.
type watcher func(c starlark.Command, frames func() []starlark.Frame) error

// proveWatched is prove with somebody who is told of each command; an error of theirs, errProven, ends it.
func (e *Engine) proveWatched(ctx context.Context, rec backend.Execution, digest string, watch watcher) (Verdict, error) {
	v := Verdict{ID: rec.ID, From: rec.Digest, To: digest}
	if err := replays(&rec); err != nil {
		return v, err
	}
	prog, err := e.program(ctx, digest)
	if err != nil {
		return v, err
	}
	rows, err := e.journalRows(ctx, rec.Run)
	if errors.Is(err, errRow) {
		v.Reason = err.Error()
		return v, nil
	}
	if err != nil {
		return v, err
	}
	return proof(rec, rows, prog, e.options, watch), nil
}

// proof replays rows on a program.
func proof(rec backend.Execution, rows [][]byte, prog *starlark.Program, o Options, watch watcher) Verdict {
	v := Verdict{ID: rec.ID, From: rec.Digest, To: prog.Digest()}
	x := &execution{rec: heldRecordOf(&rec), proof: true, prog: prog, watch: watch}
	err := x.sound()
	if err == nil {
		err = damagedInput(rec.Input)
	}
	if err != nil {
		v.Reason = err.Error()
		return v
	}
	if len(rows) == 0 {
		err := prog.CheckInput(rec.Function, rec.Input)
		v.Fits = err == nil
		if err != nil {
			v.Reason = err.Error()
		}
		return v
	}
	if err = x.open(rows); err == nil {
		err = x.replayOn(prog, o.MaxSteps, o.MaxValue)
	}
	var differs *NondeterminismError
	switch {
	case err == nil:
		v.Fits = true
	case errors.As(err, &differs):
		v.Pos, v.Asks, v.Has, v.parts = differs.Pos, differs.Want, differs.Have, x.journal.passed
		v.Reason = differs.Error()
	default:
		v.Reason = err.Error()
	}
	return v
}

// replayOn runs the journal on some code; nil when it holds to its end.
func (x *execution) replayOn(prog *starlark.Program, maxSteps uint64, maxValue int) error {
	e, err := x.journal.peek()
	switch {
	case err != nil:
		return err
	case e != nil && e.is(entryEnd): // ended before its script ran
		return nil
	case e == nil && x.source == nil: // it has only begun: there is nothing to hold to
		return prog.CheckInput(x.rec.Function, x.input())
	}
	_, err = prog.Run(x, x.options(maxSteps, maxValue))
	var failure *starlark.Failure
	var next *starlark.Continuation
	switch {
	case errors.Is(err, errProven):
		return nil
	case err != nil && !errors.As(err, &failure) && !errors.As(err, &next):
		return err
	}
	e, err = x.journal.peek()
	switch {
	case err != nil:
		return err
	case e == nil || e.is(entryEnd): // the next turn, or the last, is what the code does now
		return nil
	}
	return &NondeterminismError{Want: "ends", Have: e.describe()}
}

// ReplayRunning replays the journals of a workflow's executions that have not ended on some
// code, and tells of each. An error of tell ends it.
func (e *Engine) ReplayRunning(ctx context.Context, workflow, digest string, tell func(Verdict) error) error {
	f := backend.Filter{Workflow: workflow, States: []backend.State{backend.Pending, backend.Running}, Limit: 1000}
	for rec, err := range e.each(ctx, f) {
		if err != nil {
			return err
		}
		v, err := e.prove(ctx, *rec, digest)
		if err == nil {
			err = tell(v)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// IncompatibleError says which running executions new code does not fit.
type IncompatibleError struct {
	Workflow string
	Part     []Verdict // those that it does not fit
	Fit      int       // how many it fits
}

func (e *IncompatibleError) Error() string {
	text := fmt.Sprintf("the new code of workflow %s fits %s and not %s: %s", e.Workflow,
		counted(e.Fit, "running execution", "running executions"), counted(len(e.Part), "other", "others"), e.Part[0].ID)
	if len(e.Part) > 1 {
		text += fmt.Sprintf(" and %d more", len(e.Part)-1)
	}
	return text + ": " + e.Part[0].Reason
}

// compatible replays what runs of workflows on the code that is to be deployed.
func (e *Engine) compatible(ctx context.Context, deployments []backend.Deployment) error {
	for _, d := range deployments {
		bad := &IncompatibleError{Workflow: d.Workflow}
		err := e.ReplayRunning(ctx, d.Workflow, d.Digest, func(v Verdict) error {
			if v.Fits {
				bad.Fit++
			} else {
				bad.Part = append(bad.Part, v)
			}
			return nil
		})
		if err != nil {
			return err
		}
		if len(bad.Part) > 0 {
			return bad
		}
	}
	return nil
}

// upgradePatience is how long Upgrade waits for the owner of an execution.
const upgradePatience = 10 * time.Second

// Upgrade moves a running execution to other code when its journal replays on
// it. Whoever holds it does so when it is at rest; one that nobody holds is moved by the caller. One that
// runs on that code already fits, and is left alone.
func (e *Engine) Upgrade(ctx context.Context, id, digest string) (Verdict, error) {
	rec, err := e.store.Execution(ctx, id)
	if err != nil {
		return Verdict{}, fmt.Errorf("execution %s: %w", id, err)
	}
	v := Verdict{ID: id, From: rec.Digest, To: digest}
	switch {
	case rec.State.Terminal():
		v.Ended, v.Reason = true, "it has ended: it is "+string(rec.State)
		return v, nil
	case rec.Digest == digest:
		v.Fits = true
		return v, nil
	}
	if v, err = e.prove(ctx, rec, digest); err != nil {
		return v, err
	}
	if !v.Fits { // perhaps by how it ended since its record was read
		if rec, err = e.store.Execution(ctx, id); err == nil && rec.State.Terminal() {
			v.Ended, v.Reason = true, endedMeanwhile(&rec)
		}
		return v, err
	}
	if rec.Owner == 0 {
		if moved, err := e.upgradeOwnerless(ctx, rec, digest); err != nil || moved {
			v.Moved = moved
			return v, err
		}
	}
	err = e.send(ctx, backend.Message{Execution: id, Kind: backend.Upgrade, Payload: []byte(digest)})
	if err != nil && !errors.Is(err, backend.ErrClosed) { // the latter: the record says how it has ended
		return v, err
	}
	ctx, cancel := context.WithTimeout(ctx, upgradePatience)
	defer cancel()
	for delay := 5 * time.Millisecond; ; delay = min(2*delay, 200*time.Millisecond) {
		rec, err := e.store.Execution(ctx, id)
		switch {
		case err == nil && rec.Digest == digest:
			v.Moved = true
			return v, nil
		case err == nil && rec.State.Terminal():
			v.Ended, v.Reason = true, endedMeanwhile(&rec)
			return v, nil
		}
		select {
		case <-time.After(delay):
		case <-ctx.Done():
			v.Reason = "asked; its owner has not answered yet, or it does not fit any more"
			return v, nil
		}
	}
}

func endedMeanwhile(x *backend.Execution) string {
	return "it has ended meanwhile: it is " + string(x.State)
}

// upgradeOwnerless claims an execution that nobody holds, moves it and lets it go.
func (e *Engine) upgradeOwnerless(ctx context.Context, rec backend.Execution, digest string) (bool, error) {
	session, _, err := e.store.Open(ctx, self())
	if err != nil {
		return false, err
	}
	defer func() { _ = e.store.Revoke(context.WithoutCancel(ctx), session) }() // else a worker notices
	claimed, err := e.store.Claim(ctx, backend.ClaimRequest{Session: session, Editions: editions, IDs: []string{rec.ID}, Limit: 1})
	if err != nil || len(claimed) == 0 {
		return false, err
	}
	c := claimed[0]
	v, err := e.prove(ctx, c.Execution, digest)
	if err != nil || !v.Fits {
		return false, err
	}
	t := backend.Turn{Execution: c.ID, Run: c.Run, Then: backend.Release, Due: rec.Due, Digest: digest}
	if !c.Fresh { // it may have run since its record was read: who takes it next knows when it is due
		if t.Due, err = e.now(ctx); err != nil {
			return false, err
		}
		rows, err := e.journalRows(ctx, c.Run)
		if err != nil {
			return false, err
		}
		if len(rows) == 0 { // it has yet to begin, perhaps after a delay
			x := &execution{rec: heldRecordOf(&c.Execution), carried: &nothingCarried, unbegun: true}
			if err := x.sound(); err != nil {
				return false, err
			}
			if at := fromMicro(x.notBefore()); at.After(t.Due) {
				t.Due = at
			}
		} else {
			t.First = int64(len(rows))
			t.Rows = [][]byte{append((&entry{kind: []byte(entryUpgrade), digest: []byte(digest)}).append(nil), ']')}
		}
	}
	_, err = e.store.Commit(ctx, backend.Batch{Session: session, Turns: []backend.Turn{t}})
	return err == nil, err
}

// upgrades reports whether a message asks for other code.
func upgrades(m *backend.Message) bool { return m.Kind == backend.Upgrade }

// upgrade moves the execution, whose script is at rest or yet to be replayed, to the code that a
// message asks for, or says why it does not fit. The script is replayed after it.
func (x *execution) upgrade() error {
	m := x.upgrading
	x.upgrading = nil
	digest := string(m.Payload)
	var v Verdict
	err := x.w.answered(func() (err error) {
		v, err = x.w.engine.prove(x.w.ctx, x.rec.execution(), digest)
		return err
	})
	if errors.Is(err, errLost) {
		return err
	}
	if err != nil {
		v.Reason = err.Error()
	}
	x.takes(m)
	e := entry{kind: []byte(entryUpgrade), at: x.stamp(), digest: []byte(digest)}
	if !v.Fits {
		e.failure = encodeFailure(&activities.Failure{Kind: "Nondeterminism", Message: v.Reason})
	}
	if x.nextRow > 0 {
		x.put(&e)
	} else { // it has yet to begin
		x.gather().row = nil
	}
	t := x.turn(backend.Hold)
	x.closeRows()
	if v.Fits {
		t.Digest = digest
	} else {
		t.Stuck = x.rec.Stuck
	}
	if err := x.land(t); err != nil {
		return err
	}
	if v.Fits {
		x.rec.Digest = digest
	}
	x.w.log.Info("upgrade", "execution", x.rec.ID, "digest", digest, "moved", v.Fits, "reason", v.Reason)
	return errRestart
}
