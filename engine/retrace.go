// Retracing: a journal run again, step by step, without effects.

package engine

import (
	"context"
	"fmt"

	"github.com/senpuki/senpuki/starlark"
)

// RetraceOptions say on what code a journal is run again, and how far. The zero value means all of it on the
// code that the execution is pinned to.
type RetraceOptions struct {
	Code   *Program // other code
	Until  string   // stop at the call of this step
	Locals bool     // look at the variables where it stops
}

// Retraced is what a journal came to.
type Retraced struct {
	Verdict
	// Steps that the code asked for, in that order, with their outcomes from the journal.
	Steps []Step `json:"steps"`
	// Frames are the calls under way at the step where it stopped, or else at the last one, the innermost first.
	Frames []starlark.Frame `json:"frames,omitempty"`
}

// Retrace runs the journal of an execution again in memory. ErrNoStep when it does not come to the step that Until names.
func (e *Engine) Retrace(ctx context.Context, id string, o RetraceOptions) (r Retraced, err error) {
	rec, err := e.store.Execution(ctx, id)
	if err != nil {
		return r, fmt.Errorf("execution %s: %w", id, err)
	}
	digest := rec.Digest
	if o.Code != nil {
		e.cache.Add(o.Code.Compiled)
		digest = o.Code.Digest
	}
	var asked []string
	reached := false
	r.Verdict, err = e.proveWatched(ctx, rec, digest, func(c starlark.Command, frames func() []starlark.Frame) error {
		if c.Kind == starlark.CancelStep {
			return nil
		}
		asked = append(asked, c.Step)
		reached = c.Step == o.Until
		if o.Locals && (reached || o.Until == "") {
			r.Frames = frames()
		}
		if reached {
			return errProven
		}
		return nil
	})
	if err != nil {
		return r, err
	}
	h, err := e.History(ctx, id)
	if err != nil {
		return r, err
	}
	known := make(map[string]Step, len(h.Steps))
	for _, s := range h.Steps {
		known[s.Step] = s
	}
	r.Steps = make([]Step, 0, len(asked))
	for _, id := range asked {
		if s, ok := known[id]; ok {
			r.Steps = append(r.Steps, s)
		}
	}
	if o.Until != "" && !reached && r.Fits {
		return r, fmt.Errorf("execution %s: the journal does not come to step %s: %w", id, o.Until, ErrNoStep)
	}
	return r, nil
}

// Watch implements starlark.Watcher.
func (x *execution) Watch(c starlark.Command, frames func() []starlark.Frame) error {
	if x.watch == nil {
		return nil
	}
	return x.watch(c, frames)
}
