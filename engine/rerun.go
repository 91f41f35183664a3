// Reruns: a run after the last that goes on from a step, and forks. What they copy: copying.go.

package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/senpuki/senpuki/activities"
	"github.com/senpuki/senpuki/backend"
	"github.com/senpuki/senpuki/starlark"
)

// RerunOptions say from where an execution goes on. The zero value means the failed step, and the code that it has.
type RerunOptions struct {
	From  string   // step to be run again; what was asked for after its outcome is forgotten
	Code  *Program // other code; it must ask for what the journal has up to there, but may ask otherwise for the step to be run again
	ID    string   // of a fork; default: a new one
	Queue string   // default: as before
}

// Retry continues an execution that has failed, was cancelled or timed out, as a new run of
// the same id, from its failed step. It refuses, with ErrCannotRetry, when there is no such step or
// others were begun after it, unless From or Code says how to go on.
func (e *Engine) Retry(ctx context.Context, id string, o RerunOptions) error {
	o.ID = ""
	_, err := e.rerun(ctx, id, o, false)
	return err
}

// Fork begins a new execution that has done what the given one did before the outcome of a step.
func (e *Engine) Fork(ctx context.Context, id string, o RerunOptions) (string, error) {
	if o.From == "" {
		return "", backend.Explain(ErrCannotRetry, "a fork of %s needs a step to begin from", id)
	}
	if o.ID == "" {
		o.ID = newID()
	}
	return e.rerun(ctx, id, o, true)
}

func (e *Engine) rerun(ctx context.Context, id string, o RerunOptions, fork bool) (string, error) {
	x, err := e.store.Execution(ctx, id)
	switch {
	case err != nil:
		return "", fmt.Errorf("execution %s: %w", id, err)
	case !x.State.Terminal():
		return "", backend.Explain(ErrCannotRetry, "execution %s is %s; cancel it first, or let it end", id, x.State)
	case x.State == backend.Completed && !fork:
		return "", backend.Explain(ErrCannotRetry, "execution %s is completed; fork it to run a part of it again", id)
	}
	if err := replays(&x); err != nil {
		return "", err
	}
	j, err := e.entries(ctx, x.Run)
	if err != nil {
		return "", fmt.Errorf("execution %s: %w", id, err)
	}
	cut, step, err := j.cut(&x, &o)
	if err != nil {
		return "", err
	}
	r := backend.Rerun{Execution: id, Run: x.Run, ID: o.ID, Digest: x.Digest, Edition: x.Edition, Queue: o.Queue}
	if o.Code != nil {
		r.Digest, r.Edition = o.Code.Digest, starlark.Edition
	}
	if o.Code != nil {
		if cut, err = e.refit(ctx, &x, j, cut, step, &r, o.Code); err != nil {
			return "", err
		}
		if err := e.Store(ctx, *o.Code); err != nil {
			return "", err
		}
	}
	c := j.copying(cut, step)
	if r.Rows, err = c.rows(&x); err != nil {
		return "", err
	}
	r.Messages = c.messages()
	if !fork {
		if r.Letters, err = e.lettersAfter(ctx, &x, j, cut); err != nil {
			return "", err
		}
	}
	if err := e.store.Rerun(ctx, r); err != nil {
		return "", err
	}
	e.Look()
	queue := x.Queue
	if o.Queue != "" {
		queue = o.Queue
	}
	e.tellNow(ctx, backend.Hint{Queues: []string{queue}})
	if w := e.current(); w != nil {
		w.newWork()
	}
	if o.ID != "" {
		return o.ID, nil
	}
	return id, nil
}

// journalled is an entry with the row it is in.
type journalled struct {
	entry
	row     int64
	session backend.SessionID
}

// entryList is a journal, entry by entry.
type entryList []journalled

// entries reads the journal of a run.
func (e *Engine) entries(ctx context.Context, run backend.RunKey) (list entryList, err error) {
	err = e.store.Journal(ctx, run, 0, func(r backend.Row) error {
		for en, err := range entriesOf(bytes.Clone(r.Data)) {
			if err != nil {
				return inRow(r.Number, err)
			}
			list = append(list, journalled{en, r.Number, r.Session})
		}
		return nil
	})
	return list, err
}

// cut finds where the new run's journal ends, and the step that is run again, if any.
func (j entryList) cut(x *backend.Execution, o *RerunOptions) (at int, step string, err error) {
	end := len(j)
	if end > 0 && j[end-1].is(entryEnd) {
		end--
	}
	if o.From != "" {
		return j.cutFrom(x, o.From, end)
	}
	for i := range j[:end] { // cancelled or expired: before it was told
		if !j[i].is(entryCancel) {
			continue
		}
		if later := j.begunAfter(i, end); len(later) > 0 && o.Code == nil {
			why := "was cancelled"
			if string(j[i].name) == expiredName {
				why = "had expired"
			}
			return 0, "", backend.Explain(ErrCannotRetry, "execution %s began other steps after it %s: %s; --from STEP says where to go on", x.ID, why, someOf(later))
		}
		return i, "", nil
	}
	if x.State != backend.Failed { // ended without being told
		return end, "", nil
	}
	failure := decodeFailure(x.Failure)
	if i := j.failedWith(failure, end); i >= 0 {
		if later := j.begunAfter(i, end); len(later) > 0 && o.Code == nil {
			return 0, "", backend.Explain(ErrCannotRetry, "execution %s began other steps after step %s failed: %s; --from says where to go on, such as --from %s",
				x.ID, j[i].step, someOf(later), j[i].step)
		}
		return i, string(j[i].step), nil
	}
	if o.Code != nil {
		return end, "", nil
	}
	return 0, "", backend.Explain(ErrCannotRetry, "execution %s failed in its script, not in a step: %s; give it other code with --code, or --from STEP", x.ID, failureLine(failure))
}

// failedWith finds the outcome of the step that failed with what ended the run, -1 if there is none. The last entry names the
// step, unless the script made a failure of its own of it, such as an Err: then it is the last that failed with the same words. It goes back
// to the first that failed alike, by activity and kind, and behind which no other step was begun: as of a fan-out that is run
// again as a whole.
func (j entryList) failedWith(failure *activities.Failure, end int) int {
	step := ""
	if n := len(j); n > end {
		step = string(j[n-1].step)
	}
	found := -1
	var first *activities.Failure
	for i := end - 1; i >= 0 && failure != nil; i-- {
		if !j[i].is(entryFailed) {
			continue
		}
		if found < 0 && step != "" && string(j[i].step) != step {
			continue
		}
		f := decodeFailure(j[i].failure)
		switch {
		case f == nil || f.Kind != failure.Kind || failure.Activity != "" && f.Activity != failure.Activity:
			continue
		case found < 0 && f.Message != failure.Message:
			continue
		case found >= 0 && (root(f).Kind != root(failure).Kind || f.Activity != first.Activity):
			continue
		}
		if found < 0 {
			first = f
		} else if len(j.begunAfter(i, found)) > 0 {
			break
		}
		found = i
	}
	return found
}

// root is the first of a failure's causes, or the failure itself.
func root(f *activities.Failure) *activities.Failure {
	for f.Cause != nil {
		f = f.Cause
	}
	return f
}

func failureLine(f *activities.Failure) string {
	if f == nil {
		return "without an error"
	}
	return f.Kind + ": " + f.Message
}

// cutFrom finds the outcome of a step, or where it was asked for when it has none. When it was cancelled before that, by the script or
// with the execution, it is cut where that came from: else it would be cancelled again.
func (j entryList) cutFrom(x *backend.Execution, step string, end int) (int, string, error) {
	asked, cause, told := false, 0, end
	for i := range j[:end] {
		e := &j[i]
		switch mine := string(e.step) == step; {
		case mine && e.is(entryAsk):
			if asked = true; told < i { // it is part of the clean-up
				told = end
			}
		case mine && e.is(entryDrop) && cause > 0:
			told = min(told, cause)
		case mine && (e.is(entryDone) || e.is(entryFailed)):
			return min(i, told), step, nil
		case e.is(entryCancel):
			told = min(told, i)
		}
		if asked && e.delivered() {
			cause = i
		}
	}
	if !asked {
		return 0, "", backend.Explain(ErrCannotRetry, "execution %s has no step %s; 'senpuki show %s' lists them", x.ID, step, x.ID)
	}
	return told, step, nil
}

// begunAfter names the steps that were asked for after an entry.
func (j entryList) begunAfter(i, end int) (steps []string) {
	for k := i + 1; k < end; k++ {
		if j[k].is(entryAsk) && string(j[k].command) != string(starlark.StartTimer) && string(j[k].command) != string(starlark.AwaitSignal) {
			steps = append(steps, fmt.Sprintf("%s (%s)", j[k].step, j[k].name))
		}
	}
	return steps
}

// someOf lists the first of what may be many thousands: the calls of a fan-out.
func someOf(steps []string) string {
	const some = 10
	if more := len(steps) - some; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(steps[:some], ", "), more)
	}
	return strings.Join(steps, ", ")
}

// refit finds where an execution goes on with other code: at the cut, or before it where the code parts from the journal,
// unless steps were begun or failed between the two. That it asks for what is before is proven. The step
// that is run again is asked for as the code does: what it was called with may be what has to be mended.
func (e *Engine) refit(ctx context.Context, x *backend.Execution, j entryList, cut int, again string, r *backend.Rerun, code *Program) (int, error) {
	rec := *x
	rec.Digest, rec.Edition, rec.RunNumber = r.Digest, r.Edition, x.RunNumber+1
	if r.ID != "" {
		rec.ID, rec.RunNumber, rec.Parent = r.ID, 1, ""
	}
	prove := func(watch watcher) (Verdict, error) {
		rows, err := j.copying(cut, again).rows(x)
		if err != nil {
			return Verdict{}, err
		}
		data := make([][]byte, len(rows))
		for i := range rows {
			data[i] = rows[i].Data
		}
		return proof(rec, data, code.Compiled, e.options, watch), nil
	}
	var found *starlark.Command
	v, err := prove(func(c starlark.Command, _ func() []starlark.Frame) error {
		if c.Step != again || c.Kind == starlark.CancelStep {
			return nil
		}
		found = &c
		return errProven
	})
	if err == nil && found != nil {
		if err = e.askAs(ctx, j.asked(again, cut), found); err == nil {
			v, err = prove(nil)
		}
	}
	if err == nil && v.parts > 0 && again == "" {
		if at := j.copying(cut, "").position(v.parts); len(j.begunAfter(at-1, cut)) == 0 && !j.failedIn(at, cut) {
			cut = at
			v, err = prove(nil)
		}
	}
	if err != nil {
		return 0, fmt.Errorf("execution %s: %w", x.ID, err)
	}
	if !v.Fits {
		return 0, fmt.Errorf("execution %s cannot go on with other code: %s: %w", x.ID, v.Reason, ErrCannotRetry)
	}
	return cut, nil
}

// failedIn reports whether an activity or a child failed there that was not cancelled.
func (j entryList) failedIn(from, to int) bool {
	dropped := make(map[string]bool)
	for i := from; i < to; i++ {
		step := string(j[i].step)
		switch {
		case j[i].is(entryDrop):
			dropped[step] = true
		case j[i].is(entryFailed) && !dropped[step]:
			if e := j.asked(step, to); e != nil && (string(e.command) == string(starlark.CallActivity) || string(e.command) == string(starlark.StartChild)) {
				return true
			}
		}
	}
	return false
}

// asked is the entry that asks for a step.
func (j entryList) asked(step string, cut int) *entry {
	for i := range j[:cut] {
		if j[i].is(entryAsk) && string(j[i].step) == step {
			return &j[i].entry
		}
	}
	return nil
}

// askAs makes an entry ask for what a command does, if one may take the place of the other: both are calls of activities, or of
// one workflow.
func (e *Engine) askAs(ctx context.Context, to *entry, c *starlark.Command) error {
	if to == nil || string(to.command) != string(c.Kind) || c.Kind != starlark.CallActivity && (c.Kind != starlark.StartChild || string(to.name) != entryName(c)) {
		return nil
	}
	same := string(to.name) == entryName(c) && sameValue(to.args, c.Args) && sameValue(to.kwargs, c.Kwargs)
	to.name, to.args, to.kwargs, to.pos = []byte(entryName(c)), c.Args, c.Kwargs, []byte(c.Pos)
	if c.Kind != starlark.CallActivity || same {
		return nil
	}
	st := &step{cmd: *c}
	if e.registry != nil {
		e.configure(ctx, st, func(ask func() error) error { return ask() })
	}
	to.memo = nil
	if !st.shares() {
		return nil
	}
	hash, _, err := memoKey(st)
	to.memo = []byte(hash)
	return err
}

// lettersAfter are the dead letters of steps whose failures are forgotten where a journal is cut: they are run again.
func (e *Engine) lettersAfter(ctx context.Context, x *backend.Execution, j entryList, cut int) (ids []int64, err error) {
	failed := make(map[string]bool)
	for i := cut; i < len(j); i++ {
		if j[i].is(entryFailed) {
			failed[string(j[i].step)] = true
		}
	}
	if len(failed) == 0 {
		return nil, nil
	}
	same, err := e.runsOf(ctx, x, j)
	if err != nil {
		return nil, err
	}
	letters, err := e.store.DeadLetters(ctx, backend.LetterFilter{Execution: x.ID})
	for i := range letters {
		if l := &letters[i]; same[l.Run] && failed[l.Step] {
			ids = append(ids, l.ID)
		}
	}
	return ids, err
}

// runsOf finds the runs that share the journal j of the latest run: the latest, and those whose entries were copied into it.
// In these a step's name means the same step. A run that ended with continue_as_new has a journal of its own and is not among them.
func (e *Engine) runsOf(ctx context.Context, x *backend.Execution, j entryList) (map[backend.RunKey]bool, error) {
	first := x.RunNumber
	if len(j) > 0 && j[0].is(entryStart) && j[0].value != nil {
		var c carried
		if err := json.Unmarshal(j[0].value, &c); err != nil {
			return nil, fmt.Errorf("%w: what the run took over: %w", errRow, err)
		}
		switch {
		case c.Origin == nil:
		case c.Origin.ID == x.ID:
			first = c.Origin.Run
		default: // a fork
			first = 1
		}
	}
	runs, err := e.store.Runs(ctx, x.ID, first)
	same := make(map[backend.RunKey]bool, len(runs))
	for _, r := range runs {
		same[r.Key] = true
	}
	return same, err
}
