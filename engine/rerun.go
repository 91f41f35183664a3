// Reruns: a run after the last that goes on from a step, and forks.

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
		if cut, err = e.refit(&x, j, cut, step, &r, o.Code); err != nil {
			return "", err
		}
		if err := e.Store(ctx, *o.Code); err != nil {
			return "", err
		}
	}
	if r.Rows, r.Messages, err = j.prefix(&x, cut, step); err != nil {
		return "", err
	}
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
			return 0, "", fmt.Errorf("execution %s began other steps after it %s: %s; --from STEP says where to go on: %w", x.ID, why, strings.Join(later, ", "), ErrCannotRetry)
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
				x.ID, j[i].step, strings.Join(later, ", "), j[i].step)
		}
		return i, string(j[i].step), nil
	}
	if o.Code != nil {
		return end, "", nil
	}
	return 0, "", backend.Explain(ErrCannotRetry, "execution %s failed in its script, not in a step: %s; give it other code with --code, or --from STEP", x.ID, failureLine(failure))
}

// failedWith finds the outcome of the step that failed with what ended the run, -1 if there is none. The last entry names the
// step, unless the script made a failure of its own of it, such as an Err: then it is the last that failed alike. It goes back to the
// first that failed alike and behind which no other step was begun: as of a fan-out that is run again as a whole.
func (j entryList) failedWith(failure *activities.Failure, end int) int {
	step := ""
	if n := len(j); n > end {
		step = string(j[n-1].step)
	}
	found := -1
	for i := end - 1; i >= 0 && failure != nil; i-- {
		if !j[i].is(entryFailed) {
			continue
		}
		if found < 0 && step != "" && string(j[i].step) != step {
			continue
		}
		f := decodeFailure(j[i].failure)
		if f == nil || f.Kind != failure.Kind || f.Message != failure.Message || failure.Activity != "" && f.Activity != failure.Activity {
			continue
		}
		if found >= 0 && len(j.begunAfter(i, found)) > 0 {
			break
		}
		found = i
	}
	return found
}

func failureLine(f *activities.Failure) string {
	if f == nil {
		return "without an error"
	}
	return f.Kind + ": " + f.Message
}

// cutFrom finds the outcome of a step, or where it was asked for when it has none. When the execution was cancelled or expired
// before that outcome, it is cut where it was told: else it would be told again.
func (j entryList) cutFrom(x *backend.Execution, step string, end int) (int, string, error) {
	asked, told := false, end
	for i := range j[:end] {
		switch e := &j[i]; {
		case e.is(entryCancel):
			told = min(told, i)
		case string(e.step) != step:
		case e.is(entryAsk):
			if asked = true; told < i { // it is part of the clean-up
				told = end
			}
		case e.is(entryDone), e.is(entryFailed):
			return min(i, told), step, nil
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

// prefix makes the rows of the new run's journal: what is before the cut, with steps that have no
// outcome there as if their attempts had been handed back. What of them succeeded after it, other than the step that is
// run again, is not done twice: its value waits to be delivered. Signals delivered after the cut are messages again, ahead of those
// that the store kept, which no script was given.
func (j entryList) prefix(x *backend.Execution, cut int, again string) (rows []backend.Row, messages []backend.Message, err error) {
	under, order := j.underWay(cut)
	fresh := j.failedAfter(cut, again, under)
	last := j.attempts()
	kept := j.succeeded(cut, again, under, last)
	waiting := make(map[string]bool) // values that are copied and wait for their delivery
	var row []byte
	flush := func(of *journalled) {
		if row != nil {
			rows = append(rows, backend.Row{Number: int64(len(rows)), Session: of.session, Data: append(row, ']')})
			row = nil
		}
	}
	for i := range j[:cut] {
		e := &j[i]
		if i > 0 && e.row != j[i-1].row {
			flush(&j[i-1])
		}
		switch {
		case e.is(entryStart):
			e.entry, err = origin(e.entry, x)
		case e.is(entryRerun):
			e.entry, err = source(e.entry, x)
		}
		if err != nil {
			return nil, nil, err
		}
		if e.left(fresh, under) {
			continue
		}
		if e.is(entryAsk) && fresh[string(e.step)] && string(e.command) == string(starlark.CallActivity) {
			e.attempt, e.task = 0, 0
		}
		if e.ofAttempts() && !e.is(entryHeld) {
			waiting[string(e.step)] = e.is(entryGot)
		}
		row = e.append(row)
	}
	if cut == 0 {
		return nil, nil, nil
	}
	for i := range kept {
		row = kept[i].append(row)
		delete(under, string(kept[i].step))
	}
	for _, id := range order {
		e := under[id]
		if e == nil || waiting[id] || string(e.command) == string(starlark.StartTimer) || fresh[id] && e.attempt == 0 {
			continue
		}
		back := entry{kind: []byte(entryBack), step: []byte(id), attempt: e.attempt}
		if string(e.command) == string(starlark.StartChild) { // whose ids are numbered
			back.attempt, back.target = last[id].attempt, last[id].child
		}
		row = back.append(row)
		delete(under, id)
	}
	flush(&j[cut-1])
	for i := cut; i < len(j); i++ {
		if e := &j[i]; e.is(entrySignal) {
			messages = append(messages, backend.Message{Kind: backend.Signal, Name: string(e.name), Payload: e.value})
		}
	}
	return rows, messages, nil
}

// succeeded are the values of steps under way at the cut that came after it, as entries of values that wait for their delivery.
// Timers are not among them: they fire again.
func (j entryList) succeeded(cut int, again string, under map[string]*entry, last map[string]newestAttempt) (values []entry) {
	for i := cut; i < len(j); i++ {
		e, step := &j[i], string(j[i].step)
		asked := under[step]
		if e.is(entryDone) && step != again && asked != nil && string(asked.command) != string(starlark.StartTimer) {
			values = append(values, entry{kind: []byte(entryGot), at: e.at, step: e.step, attempt: last[step].attempt, value: e.value})
		}
	}
	return values
}

// failedAfter are the steps that have all their attempts again: the one that is run again, and those under way at the cut that
// failed after it without having been cancelled.
func (j entryList) failedAfter(cut int, again string, under map[string]*entry) map[string]bool {
	fresh, dropped := make(map[string]bool), make(map[string]bool)
	if again != "" {
		fresh[again] = true
	}
	for i := cut; i < len(j); i++ {
		step := string(j[i].step)
		switch {
		case j[i].is(entryDrop):
			dropped[step] = true
		case j[i].is(entryFailed) && !dropped[step] && under[step] != nil:
			fresh[step] = true
		}
	}
	return fresh
}

// attempts are the newest attempts of steps: their numbers, and the ids of children.
func (j entryList) attempts() map[string]newestAttempt {
	last := make(map[string]newestAttempt)
	for i := range j {
		switch e := &j[i]; {
		case e.is(entryAsk), e.is(entryBegin), e.is(entryBack):
			n := last[string(e.step)]
			n.attempt = max(n.attempt, e.attempt)
			if e.target != nil {
				n.child = e.target
			}
			last[string(e.step)] = n
		}
	}
	return last
}

// newestAttempt is the newest attempt of a step.
type newestAttempt struct {
	attempt int
	child   []byte
}

// signals are those that a run took over and was given.
func (j entryList) signals() (list []carriedSignal, err error) {
	for i := range j {
		switch e := &j[i]; {
		case e.is(entryStart) && e.value != nil:
			var c carried
			if err := json.Unmarshal(e.value, &c); err != nil {
				return nil, fmt.Errorf("%w: what the run took over: %w", errRow, err)
			}
			list = append(list, c.Signals...)
		case e.is(entrySignal):
			list = append(list, carriedSignal{string(e.name), json.RawMessage(e.value)})
		}
	}
	return list, nil
}

// refit finds where an execution goes on with other code: at the cut, or before it where the code parts from the journal,
// unless steps were begun or failed between the two. That it asks for what is before is proven. The step
// that is run again is asked for as the code does: what it was called with may be what has to be mended.
func (e *Engine) refit(x *backend.Execution, j entryList, cut int, again string, r *backend.Rerun, code *Program) (int, error) {
	rec := *x
	rec.Digest, rec.Edition, rec.RunNumber = r.Digest, r.Edition, x.RunNumber+1
	if r.ID != "" {
		rec.ID, rec.RunNumber, rec.Parent = r.ID, 1, ""
	}
	prove := func(watch watcher) (Verdict, error) {
		rows, _, err := j.prefix(x, cut, again)
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
		if err = e.askAs(j.asked(again, cut), found); err == nil {
			v, err = prove(nil)
		}
	}
	if err == nil && v.parts > 0 && again == "" {
		if at := j.position(v.parts, cut); len(j.begunAfter(at-1, cut)) == 0 && !j.failedIn(at, cut) {
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

// position is the index of the entry behind so many of a prefix.
func (j entryList) position(n, cut int) int {
	under, _ := j.underWay(cut)
	fresh := j.failedAfter(cut, "", under)
	for i := range j[:cut] {
		if n == 0 {
			return i
		}
		if !j[i].left(fresh, under) {
			n--
		}
	}
	return cut
}

// askAs makes an entry ask for what a command does, if one may take the place of the other: both are calls of activities, or of
// one workflow.
func (e *Engine) askAs(to *entry, c *starlark.Command) error {
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
		st.configure(e.registry, 0)
	}
	to.memo = nil
	if !st.shares() {
		return nil
	}
	hash, _, err := memoKey(st)
	to.memo = []byte(hash)
	return err
}

// underWay are the steps that are asked for before the cut and have no outcome there, and the order of all.
func (j entryList) underWay(cut int) (under map[string]*entry, order []string) {
	under = make(map[string]*entry)
	for i := range j[:cut] {
		e := &j[i].entry
		switch {
		case e.is(entryAsk) && string(e.command) != string(starlark.AwaitSignal):
			under[string(e.step)] = e
			order = append(order, string(e.step))
		case e.is(entryDone), e.is(entryFailed):
			delete(under, string(e.step))
		}
	}
	return under, order
}

// left reports whether an entry is left out of a rerun's journal: attempts of steps that have all theirs again, and reservations of
// steps under way, which end with their run.
func (e *entry) left(fresh map[string]bool, under map[string]*entry) bool {
	return fresh[string(e.step)] && e.ofAttempts() || e.is(entryHeld) && under[string(e.step)] != nil
}

// ofAttempts reports whether an entry tells of the attempts of a step.
func (e *entry) ofAttempts() bool {
	switch string(e.kind) {
	case entryBegin, entryFail, entryCrash, entryBack, entryGot, entryHeld:
		return true
	}
	return false
}

// origin notes in a start entry the run in which the steps were first asked for: their names elsewhere depend on it.
func origin(e entry, x *backend.Execution) (entry, error) {
	var c carried
	if e.value != nil {
		if err := json.Unmarshal(e.value, &c); err != nil {
			return e, fmt.Errorf("%w: what the run took over: %w", errRow, err)
		}
	}
	if c.Origin == nil {
		c.Origin = originOf(x)
	}
	c.Rerun = true
	value, err := json.Marshal(c)
	e.value = value
	return e, err
}

// source notes in a rerun entry the run that asked for what follows: x, unless it is older.
func source(e entry, x *backend.Execution) (entry, error) {
	o := originOf(x)
	if e.value != nil {
		*o = originRun{}
		if err := json.Unmarshal(e.value, o); err != nil {
			return e, fmt.Errorf("%w: the run that the journal was copied from: %w", errRow, err)
		}
	}
	value, err := json.Marshal(o)
	e.value = value
	return e, err
}

// originRun names a run in which a part of the journal of a rerun was first written, and has what its script knew of itself.
type originRun struct {
	ID     string `json:"id"`
	Run    int    `json:"run"`
	Parent string `json:"parent,omitempty"`
	Digest string `json:"digest,omitempty"`
}

func originOf(x *backend.Execution) *originRun {
	return &originRun{ID: x.ID, Run: x.RunNumber, Parent: x.Parent, Digest: x.Digest}
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
