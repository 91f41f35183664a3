// What a client asks of an engine: states, results, waiting, messages.

package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/senpuki/senpuki/activities"
	"github.com/senpuki/senpuki/backend"
	"github.com/senpuki/senpuki/starlark"
)

// Execution is an execution as clients see it.
type Execution struct {
	ID       string              `json:"id"`
	Workflow string              `json:"workflow"`
	Digest   string              `json:"digest"`
	Function string              `json:"function"`
	Edition  int                 `json:"edition"` // of the language
	State    backend.State       `json:"state"`
	Run      int                 `json:"run"`
	Input    json.RawMessage     `json:"input,omitempty"`
	Result   json.RawMessage     `json:"result,omitempty"` // plain JSON
	Failure  *activities.Failure `json:"failure,omitempty"`
	Stuck    *backend.Stuck      `json:"stuck,omitempty"`
	Queue    string              `json:"queue"`
	Priority int                 `json:"priority,omitempty"`
	Tags     []string            `json:"tags,omitempty"`
	Parent   string              `json:"parent,omitempty"`
	Shown    json.RawMessage     `json:"published,omitempty"` // what the script last published: progress, status, state, counters
	Created  time.Time           `json:"created"`
	Started  time.Time           `json:"started,omitzero"`
	Finished time.Time           `json:"finished,omitzero"`
	Due      time.Time           `json:"due,omitzero"`
	Expires  time.Time           `json:"expires,omitzero"`
	Owner    backend.SessionID   `json:"owner,omitempty"` // session that holds it; 0: nobody
	// Damaged says which columns of its record cannot be read, "" when all can. They are left out of the rest.
	Damaged string `json:"damaged,omitempty"`

	run   backend.RunKey
	extra extra
}

// checked is view of a record as it came from the database: what of it cannot be read is left out, and named.
func checked(x backend.Execution) Execution {
	var damage []string
	columns(&x, func(problem string) { damage = append(damage, problem) })
	v := view(x)
	v.Damaged = strings.Join(damage, "; ")
	return v
}

// ended is checked of an execution that has ended, and fails when how it has cannot be read.
func ended(x backend.Execution) (Execution, error) {
	v := checked(x)
	if v.State == backend.Completed && v.Result == nil && x.Result != nil || v.Failure == nil && x.Failure != nil {
		return v, fmt.Errorf("execution %s is damaged: %s", x.ID, v.Damaged)
	}
	return v, nil
}

// view is a record as clients see it. Its columns are taken to be what they have to be.
func view(x backend.Execution) Execution {
	v := Execution{
		ID: x.ID, Workflow: x.Workflow, Digest: x.Digest, Function: x.Function, Edition: x.Edition, State: x.State, Run: x.RunNumber,
		Input: starlark.PlainInput(x.Input), Failure: shownFailure(x.Failure), Stuck: x.Stuck, Queue: x.Queue, Priority: x.Priority,
		Tags: x.Tags, Parent: x.Parent, Created: x.Created, Started: x.Started, Finished: x.Finished,
		Due: x.Due, Expires: x.Expires, Owner: x.Owner, run: x.Run,
	}
	v.extra, _ = decodeExtra(x.Extra)
	v.Shown, _ = starlark.PlainShown(x.Published)
	if len(x.Result) > 0 {
		v.Result, _ = starlark.ToPlain(x.Result)
	}
	return v
}

// State returns an execution as it stands; backend.ErrNotFound for an unknown id.
func (e *Engine) State(ctx context.Context, id string) (Execution, error) {
	x, err := e.store.Execution(ctx, id)
	if err != nil {
		return Execution{}, fmt.Errorf("execution %s: %w", id, err)
	}
	return checked(x), nil
}

// Wait returns an execution when it has ended. What runs in this process tells
// of its end by itself; what runs elsewhere is looked at, less and less often. When ctx ends first, it returns the
// execution as it stands, with the error of ctx. A database that cannot be reached is waited for as well: then there is
// no execution, and the error says so.
func (e *Engine) Wait(ctx context.Context, id string) (Execution, error) {
	defer e.listen()()
	delay := 2 * time.Millisecond
	if e.current() != nil { // most likely it will run here
		delay = 50 * time.Millisecond
	}
	var away error // what the newest look met, when that was a database that cannot be reached
	var longest time.Duration
	for n := 0; ; delay = min(2*delay, longest) {
		longest = 250 * time.Millisecond
		if e.wakeups.reliable() { // most likely it will be told
			longest, delay = 2*time.Second, max(delay, 500*time.Millisecond)
		}
		changed := e.subscribe(id)
		pause := time.Second
		if !e.holds(id) {
			fresh := e.await()
			seen, err := e.looks.do(ctx, look{id, n%briefLooks != 0})
			n++
			if err == nil {
				err = seen.err
			}
			switch {
			case errors.Is(err, backend.ErrTransient):
				away = err
			case err != nil && ctx.Err() != nil: // it ended the look, too
			case err != nil:
				e.unsubscribe(id, changed)
				return Execution{}, fmt.Errorf("execution %s: %w", id, err)
			case seen.execution.State.Terminal():
				e.unsubscribe(id, changed)
				return ended(seen.execution)
			default:
				away = nil
			}
			pause = delay
			if delay == longest { // all who wait look at the same moments, so that it is few looks
				pause -= time.Since(e.born) % delay
			}
			if fresh {
				pause = min(pause, awaitsLook)
			}
		}
		limit := time.NewTimer(pause)
		select {
		case last := <-changed:
			if last != nil {
				limit.Stop()
				return view(*last), nil
			}
			delay = 2 * time.Millisecond
		case <-limit.C:
		case <-ctx.Done():
			e.unsubscribe(id, changed)
			var x Execution
			if away == nil {
				x, away = e.lastLook(ctx, id)
			}
			if away != nil {
				return Execution{}, fmt.Errorf("execution %s: %w: %w", id, ctx.Err(), away)
			}
			return x, ctx.Err()
		}
		limit.Stop()
		e.unsubscribe(id, changed)
	}
}

// briefLooks is after how many looks one that waits looks whether there still is what it waits for. It may have a large input, and
// thousands may wait.
const briefLooks = 8

// lastLook is how an execution stands when the context of who waited for it has ended. It is bounded on its own: who
// gave a deadline does not wait for a database that does not answer.
func (e *Engine) lastLook(ctx context.Context, id string) (Execution, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	x, err := e.store.Execution(ctx, id)
	if err != nil {
		return Execution{}, err
	}
	return checked(x), nil
}

// holds reports whether an execution runs in this process.
func (e *Engine) holds(id string) bool {
	w := e.current()
	if w == nil {
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.held[id] != nil
}

// subscribe returns a channel that tells when something became of an execution
// here: its record when it has ended, else nil.
func (e *Engine) subscribe(id string) chan *backend.Execution {
	ch := make(chan *backend.Execution, 1)
	e.mu.Lock()
	e.waiters[id] = append(e.waiters[id], waiter{ch, e.waits.Add(1)})
	e.mu.Unlock()
	return ch
}

func (e *Engine) unsubscribe(id string, ch chan *backend.Execution) {
	e.mu.Lock()
	defer e.mu.Unlock()
	list := e.waiters[id]
	for i := range list {
		if list[i].told == ch {
			list = append(list[:i:i], list[i+1:]...)
			break
		}
	}
	if len(list) == 0 {
		delete(e.waiters, id)
	} else {
		e.waiters[id] = list
	}
}

// Result is what became of an execution: a value or a failure.
type Result struct {
	Execution Execution
	Value     json.RawMessage     // plain JSON when completed
	Failure   *activities.Failure // otherwise
}

// Result returns what became of an execution; ErrUnfinished before its end.
func (e *Engine) Result(ctx context.Context, id string) (Result, error) {
	rec, err := e.store.Execution(ctx, id)
	if err != nil {
		return Result{}, fmt.Errorf("execution %s: %w", id, err)
	}
	x, err := ended(rec)
	if err != nil {
		return Result{Execution: x}, err
	}
	if !x.State.Terminal() {
		return Result{Execution: x}, fmt.Errorf("execution %s is %s: %w", id, x.State, ErrUnfinished)
	}
	return Result{Execution: x, Value: x.Result, Failure: x.Failure}, nil
}

// List returns executions, newest first.
func (e *Engine) List(ctx context.Context, f backend.Filter) ([]Execution, error) {
	found, err := e.store.List(ctx, f)
	if err != nil {
		return nil, err
	}
	list := make([]Execution, 0, len(found))
	for _, x := range found {
		list = append(list, checked(x))
	}
	return list, nil
}

// LogPosition is a place among the log lines of an execution. The zero value is its beginning.
type LogPosition struct {
	Run     int   // counts from 1
	Ordinal int64 // in that run
}

// Logs returns what the runs of an execution printed, from a position on.
func (e *Engine) Logs(ctx context.Context, id string, from LogPosition) ([]LogLine, error) {
	if _, err := e.State(ctx, id); err != nil {
		return nil, err
	}
	runs, err := e.store.Runs(ctx, id, from.Run)
	if err != nil {
		return nil, err
	}
	lines := []LogLine{}
	for _, r := range runs {
		first := int64(0)
		if r.Number == from.Run {
			first = from.Ordinal
		}
		found, err := e.store.Logs(ctx, r.Key, first, 0)
		if err != nil {
			return nil, err
		}
		for _, l := range found {
			lines = append(lines, LogLine{Run: r.Number, Ordinal: l.Ordinal, At: l.At, Branch: l.Step, Level: l.Level, Message: l.Message, Fields: l.Fields})
		}
	}
	return lines, nil
}

// Signal sends a signal: payload is plain JSON. backend.ErrNotFound when there
// is no such execution, backend.ErrClosed when it has ended.
func (e *Engine) Signal(ctx context.Context, id, signal string, payload []byte) error {
	if signal == "" {
		return errors.New("a signal needs a name")
	}
	if failure := unfitSignal(signal); failure != nil {
		return errors.New(failure.Message)
	}
	if len(payload) > e.options.MaxValue {
		return fmt.Errorf("payload has %d bytes, the limit for one value is %d", len(payload), e.options.MaxValue)
	}
	stored, err := starlark.FromPlain(payload)
	if err != nil {
		return fmt.Errorf("payload of signal %s: %w", signal, err)
	}
	return e.send(ctx, backend.Message{Execution: id, Kind: backend.Signal, Name: signal, Payload: stored})
}

// Cancel asks an execution to cancel itself: its script sees Cancelled at its
// next wait. It is no error when it was asked before; backend.ErrClosed when it has ended.
func (e *Engine) Cancel(ctx context.Context, id, reason string) error {
	return e.send(ctx, backend.Message{Execution: id, Kind: backend.Cancel, Payload: []byte(reason)})
}

// End ends an execution as cancelled without running its script, also one that is stuck:
// what runs of it is cut, its children are cancelled. It is carried out by
// whoever holds the execution, or by the next worker that claims it.
func (e *Engine) End(ctx context.Context, id, reason string) error {
	return e.send(ctx, backend.Message{Execution: id, Kind: backend.Cancel, Name: atOnce, Payload: []byte(reason)})
}

// atOnce is the name of a Cancel message that does not ask the script.
const atOnce = "now"

func (e *Engine) send(ctx context.Context, m backend.Message) error {
	sent, err := e.sends.do(ctx, m)
	if err != nil {
		return err
	}
	e.Look()
	e.tellNow(ctx, backend.Hint{Executions: []string{m.Execution}, Owned: !sent.woken})
	if sent.refused != nil {
		return fmt.Errorf("execution %s: %w", m.Execution, sent.refused)
	}
	return nil
}
