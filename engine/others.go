// Other executions: children, signals to them, waiting for their end.

package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/senpuki/senpuki/activities"
	"github.com/senpuki/senpuki/backend"
	"github.com/senpuki/senpuki/starlark"
)

// maxDepth is how deep children may nest.
const maxDepth = 100

// askOther makes a command about another execution part of the turn under way.
func (x *execution) askOther(st *step) {
	c, g := &st.cmd, x.gather()
	switch c.Kind {
	case starlark.SendSignal:
		g.Orders = append(g.Orders, backend.Order{Answer: c.Step, Message: backend.Message{
			Execution: x.addressee(c.Target), Kind: backend.Signal, Name: c.Name, Payload: c.Args,
		}})
	case starlark.CancelOther:
		g.Orders = append(g.Orders, backend.Order{Answer: c.Step, Message: backend.Message{
			Execution: x.addressee(c.Target), Kind: backend.Cancel, Payload: []byte(c.Name),
		}})
	case starlark.AwaitResult:
		st.child = x.addressee(c.Target)
		g.Watches = append(g.Watches, backend.Watch{Execution: st.child, Step: c.Step})
	case starlark.StartChild:
		x.beginChild(st)
	}
}

// refuseChild says why a child cannot be started; else it finds the child's code and input.
func (x *execution) refuseChild(st *step) *activities.Failure {
	c := &st.cmd
	if x.rec.Depth+1 > maxDepth {
		return &activities.Failure{Kind: activities.KindEvalError, NoRetry: true, Message: fmt.Sprintf(
			"workflows nest deeper than %d; does %s start itself without end?", maxDepth, childName(c))}
	}
	names := []name{{"the id of a child", c.Target, maxChildID}}
	if q := c.Child.Queue; q != nil {
		names = append(names, name{"a queue's name", *q, maxName})
	}
	if failure := unfit(names...); failure != nil {
		return failure
	}
	if failure := unfitTags(c.Child.Tags); failure != nil {
		return failure
	}
	st.digest = x.rec.Digest
	if c.Name != "" {
		digest, err := x.newest(c.Name)
		switch {
		case errors.Is(err, backend.ErrNotFound):
			return &activities.Failure{Kind: activities.KindNotFound, NoRetry: true, Message: fmt.Sprintf(
				"no workflow %q is deployed; deploy it, or give workflow(...) a function of this script", c.Name)}
		case err != nil:
			return failureOf(err)
		}
		st.digest = digest
	}
	st.input = starlark.CallInput(c.Args, c.Kwargs)
	prog, err := x.w.program(st.digest)
	if err == nil {
		err = prog.CheckInput(childFunction(c), st.input)
	}
	if err != nil {
		return &activities.Failure{Kind: activities.KindBadArguments, NoRetry: true, Message: err.Error()}
	}
	return nil
}

func childFunction(c *starlark.Command) string {
	if c.Name != "" {
		return "main"
	}
	return c.Child.Function
}

// childName is how a child's command is shown: a workflow's name, or a function's with parentheses.
func childName(c *starlark.Command) string {
	if c.Name != "" || c.Child == nil {
		return c.Name
	}
	return c.Child.Function + "()"
}

// childID is the id of the child of the newest attempt. What a fork begins again is not what the execution that it was copied from
// began, nor what other forks do.
func (x *execution) childID(st *step) string {
	id := st.cmd.Target
	if st.begun <= 1 {
		return id
	}
	if o := x.carried.Origin; o != nil && o.ID != x.rec.ID {
		id = starlark.Origin(x.rec.ID, x.rec.RunNumber) + "." + st.cmd.Step
	}
	return id + "-" + strconv.Itoa(st.begun)
}

// begunAs notes the id of a step's newest child: what the script means for the one that it asked for is for that.
func (x *execution) begunAs(st *step, id string) {
	st.child = id
	if asked := st.cmd.Target; id != asked {
		if x.reborn == nil {
			x.reborn = make(map[string]string)
		}
		x.reborn[asked] = id
	}
}

// addressee is who is meant by the id of an execution: of a child that was begun again, the newest.
func (x *execution) addressee(id string) string {
	if newest, ok := x.reborn[id]; ok {
		return newest
	}
	return id
}

// fate is what has come of the child of the attempt before the next.
type fate int

const (
	failed    fate = iota // or it is not known, or of no use: another is to be begun
	succeeded             // it was mended by itself, or outlived the run that began it
	alive                 // likewise, and it still runs
)

// fateOf finds out what has come of a child of this execution.
func (x *execution) fateOf(st *step) (fate, backend.Execution, error) {
	c, err := x.holder(st.child)
	switch {
	case errors.Is(err, backend.ErrNotFound):
		return failed, c, nil
	case err != nil:
		return failed, c, err
	case c.Parent != x.rec.ID, c.ParentStep != "" && c.ParentStep != st.cmd.Step:
		// the original's of which this is a fork, or somebody else's or another step's who had the id
		return failed, backend.Execution{}, nil
	case st.anew:
	case c.State == backend.Completed:
		return succeeded, c, nil
	case !c.State.Terminal() && (c.ParentStep == "" || st.cmd.Child.OnParentClose == "abandon"): // the former: it was retried
		return alive, c, nil
	}
	return failed, c, nil
}

// beginAgain begins the next attempt of a child, unless something has come of the one before after all. That is taken, or
// waited for.
func (x *execution) beginAgain(st *step) error {
	how, c, err := x.fateOf(st)
	switch {
	case err != nil:
		return err
	case how == succeeded:
		ev := event{kind: evAttempt, run: x.rec.RunNumber, step: st.cmd.Step, attempt: st.begun, value: c.Result}
		st.running, st.due = true, 0
		x.note(entryBegin, st, nil)
		x.keep(&ev)
		x.post(ev)
		return nil
	case how == alive:
		x.waitFor(st)
		return nil
	}
	var signals []carriedSignal
	err = x.w.answered(func() (err error) {
		signals, err = x.w.engine.signalsOf(x.w.ctx, st.child, st.resent)
		return err
	})
	if err != nil {
		return err
	}
	if st.cmd.Name != "" { // a name is resolved when a child starts
		switch digest, err := x.newest(st.cmd.Name); {
		case err == nil:
			st.digest = digest
		case !errors.Is(err, backend.ErrNotFound):
			return err
		}
	}
	x.beginChild(st)
	g := x.gather()
	g.Children[len(g.Children)-1].Replaces = c.ID
	for _, s := range signals {
		g.Orders = append(g.Orders, backend.Order{Message: backend.Message{
			Execution: st.child, Kind: backend.Signal, Name: s.Name, Payload: s.Value,
		}})
	}
	x.note(entryBegin, st, nil)
	return nil
}

// waitFor makes a child that an earlier run began, and that still runs, the child of this one.
func (x *execution) waitFor(st *step) {
	st.running, st.due = true, 0
	x.note(entryBegin, st, nil)
	g := x.gather()
	g.Watches = append(g.Watches, backend.Watch{Execution: st.child, Step: st.cmd.Step})
	x.keepChild(st)
}

// beginUnder begins a child whose id is taken under the next number: one that the script did not name, for the id may be left from
// an execution of this one's id that was removed, and one that it did when that is a child of an earlier run of this
// execution, or of another when this is a fork. One that outlives its parents is waited for instead.
func (x *execution) beginUnder(st *step) bool {
	id, run := x.keyRun(st)
	if st.cmd.Target != starlark.Origin(id, run)+"."+st.cmd.Step {
		o := x.carried.Origin
		forked := o != nil && o.ID != x.rec.ID
		switch c, err := x.holder(st.child); {
		case err != nil, c.Parent == "", c.ParentRun == x.rec.Run, c.Parent != x.rec.ID && !forked:
			return false
		case c.Parent == x.rec.ID && !c.State.Terminal() && st.cmd.Child.OnParentClose == "abandon":
			x.waitFor(st)
			return true
		}
	}
	st.begun = max(st.begun, x.rec.RunNumber-1) // in a loop of runs the next is free at once
	x.beginChild(st)
	x.note(entryBegin, st, nil)
	return true
}

// signalsOf are the signals that an execution was given in its latest run, or that it left unread, but for those that are sent again.
func (e *Engine) signalsOf(ctx context.Context, id string, resent []carriedSignal) (list []carriedSignal, err error) {
	c, err := e.store.Execution(ctx, id)
	if errors.Is(err, backend.ErrNotFound) {
		return nil, nil
	}
	var entries entryList
	if err == nil {
		entries, err = e.entries(ctx, c.Run)
	}
	if err == nil {
		list, err = entries.signals()
	}
	if err != nil && !errors.Is(err, errRow) { // a damaged journal tells of none
		return nil, err
	}
	unread, err := e.store.Inbox(ctx, id)
	for _, m := range unread {
		if m.Kind == backend.Signal {
			list = append(list, carriedSignal{m.Name, m.Payload})
		}
	}
	for _, r := range resent {
		for i := len(list) - 1; i >= 0; i-- {
			if s := &list[i]; s.Name == r.Name && sameValue(s.Value, r.Value) {
				list = slices.Delete(list, i, i+1)
				break
			}
		}
	}
	return list, err
}

// beginChild makes the next attempt of a child part of the turn under way.
func (x *execution) beginChild(st *step) {
	st.begun++
	st.running, st.due, st.anew, st.resent = true, 0, false, nil
	x.begunAs(st, x.childID(st))
	c := &st.cmd
	n := backend.NewExecution{
		ID: st.child, Workflow: c.Name, Digest: st.digest, Edition: starlark.Edition, Function: childFunction(c),
		Input: st.input, Queue: x.rec.Queue, Priority: x.rec.Priority, Tags: x.rec.Tags,
		Parent: x.rec.ID, ParentRun: x.rec.Run, ParentStep: c.Step, Depth: x.rec.Depth + 1,
	}
	if n.Workflow == "" {
		n.Workflow = x.rec.Workflow
	}
	if x.extra != nil && x.extra.Own && c.Name == "" { // one that is named is a deployed workflow
		n.Extra = extra{Own: true}.encode()
	}
	o := c.Child
	if o.Queue != nil {
		n.Queue = *o.Queue
	}
	if o.Priority != nil {
		n.Priority = *o.Priority
	}
	if o.Tags != nil {
		n.Tags = o.Tags
	}
	now := x.w.clock.now()
	if o.Timeout != nil {
		n.Expires = fromMicro(now + o.Timeout.Microseconds())
	}
	if o.Expiry != nil {
		if at := fromMicro(max(st.asked, 1) + o.Expiry.Microseconds()); n.Expires.IsZero() || at.Before(n.Expires) {
			n.Expires = at
		}
	}
	g := x.gather()
	g.Children = append(g.Children, n)
}

// dropOther cancels a step that is another execution's business. It reports
// whether the step's outcome is still to come.
func (x *execution) dropOther(st *step) bool {
	g := x.gather()
	if st.cmd.Kind == starlark.AwaitResult {
		g.Watches = append(g.Watches, backend.Watch{Execution: st.child, Step: st.cmd.Step, Over: true})
	}
	if st.cmd.Kind != starlark.StartChild || !st.running {
		return false
	}
	g.Orders = append(g.Orders, backend.Order{Message: backend.Message{
		Execution: st.child, Kind: backend.Cancel, Payload: []byte("cancelled by its parent " + x.rec.ID),
	}})
	return true
}

// other reports whether a command's outcome comes as a message.
func other(k starlark.CommandKind) bool {
	switch k {
	case starlark.SendSignal, starlark.CancelOther, starlark.AwaitResult, starlark.StartChild:
		return true
	}
	return false
}

// absorbAnswer takes a message that answers a step.
func (x *execution) absorbAnswer(m *backend.Message) (d starlark.Delivery, ok bool) {
	st := x.steps.At(m.Step)
	switch {
	case m.Run != 0 && m.Run != x.rec.Run || st == nil: // of a run that is over, or of a step that was given up
		return d, false
	case st.cmd.Kind == starlark.CallActivity && m.Kind == backend.Outcome:
		return x.absorbTask(st, m)
	case st.cmd.Kind == starlark.CallActivity:
		return x.absorbMemo(st, m)
	case !other(st.cmd.Kind):
		return d, false
	}
	if m.Kind == backend.Outcome {
		return x.absorbEnd(st, m)
	}
	id := st.cmd.Target
	if to := x.addressee(id); m.Name == backend.Closed && st.cmd.Kind == starlark.SendSignal && to != id && !st.anew {
		st.anew = true // the id was taken by another, and the child has one of its own by now
		x.askOther(st)
		return d, false
	}
	switch m.Name {
	case backend.Closed:
		if st.cmd.Kind == starlark.CancelOther {
			return x.done(st, "", []byte("null")), true
		}
		return x.failed(st, &activities.Failure{Kind: activities.KindClosed, Message: fmt.Sprintf("execution %s has ended", id), NoRetry: true}), true
	case backend.NotFound:
		return x.failed(st, &activities.Failure{Kind: activities.KindNotFound, Message: fmt.Sprintf("there is no execution %s", id), NoRetry: true}), true
	case backend.Taken:
		if x.beginUnder(st) {
			return d, false
		}
		return x.failed(st, &activities.Failure{
			Kind: activities.KindChildFailed, Message: fmt.Sprintf("the id %s belongs to another execution", st.child), NoRetry: true,
		}), true
	}
	return x.done(st, "", []byte("null")), true
}

// absorbEnd takes the end of a child or of an execution that is watched.
func (x *execution) absorbEnd(st *step, m *backend.Message) (d starlark.Delivery, ok bool) {
	state := backend.State(m.Name)
	if st.child != "" {
		x.w.engine.disown(st.child) // it may have ended elsewhere
	}
	if state == backend.Completed {
		return x.done(st, "", m.Payload), true
	}
	id := st.cmd.Target
	if st.cmd.Kind == starlark.StartChild {
		id = st.child
	}
	cause := decodeFailure(m.Payload)
	f := &activities.Failure{Kind: activities.KindChildFailed, Message: fmt.Sprintf("%s %s", id, words(state)), Cause: cause, NoRetry: true}
	if cause != nil {
		f.Message += ": " + shorten(cause).Error()
	}
	if st.cmd.Kind != starlark.StartChild {
		return x.failed(st, f), true
	}
	st.running = false
	st.failed++
	switch {
	case st.dropped:
		return x.failed(st, cancelledFailure()), true
	case state == backend.TimedOut && st.cmd.Child.Timeout != nil:
		f.Kind = activities.KindTimeout
		f.Message = fmt.Sprintf("%s did not end within %v", id, *st.cmd.Child.Timeout)
	}
	if st.cmd.Child.Retry == nil {
		return x.failed(st, f), true
	}
	why := *f
	if cause != nil && f.Kind != activities.KindTimeout {
		why.Kind, why.NoRetry = cause.Kind, cause.NoRetry
	} else {
		why.NoRetry = false
	}
	delay, again := scriptRetry(st.cmd.Child.Retry).WithDefaults().Next(st.failed, &why, x.w.random())
	if !again || state == backend.Cancelled {
		return x.failed(st, f), true
	}
	x.retry(st, f, delay)
	return d, false
}

// maxCauses is how many errors are kept of a chain of causes: the outer ones, and the first of all.
const maxCauses = 8

// shorten cuts a long chain of causes and returns the first of all.
func shorten(f *activities.Failure) (root *activities.Failure) {
	last := f
	for root = f; root.Cause != nil; root = root.Cause {
	}
	for range maxCauses - 2 {
		if last.Cause == nil {
			return root
		}
		last = last.Cause
	}
	if last != root {
		last.Cause = root
	}
	return root
}

// words is a state in a sentence.
func words(s backend.State) string {
	switch s {
	case backend.Failed:
		return "failed"
	case backend.Cancelled:
		return "was cancelled"
	case backend.TimedOut:
		return "timed out"
	}
	return string(s)
}

// stepName is how a command is shown.
func stepName(c *starlark.Command) string {
	switch c.Kind {
	case starlark.StartTimer:
		return "sleep"
	case starlark.StartChild:
		return childName(c)
	case starlark.AwaitSignal:
		return "signal " + c.Name
	case starlark.SendSignal:
		return "send_signal " + c.Name
	case starlark.CancelOther:
		return "execution.cancel"
	case starlark.AwaitResult:
		return "execution.result"
	}
	return c.Name
}

// carried is what a run takes over from the one before, in its start entry.
type carried struct {
	Input   json.RawMessage `json:"input,omitempty"`
	Rerun   bool            `json:"rerun,omitempty"`  // the rows that follow are copied from an earlier run
	Origin  *originRun      `json:"origin,omitempty"` // of that run, when it is a rerun
	Shown   json.RawMessage `json:"shown,omitempty"`
	Signals []carriedSignal `json:"signals,omitempty"`
	Tried   *tried          `json:"tried,omitempty"`
}

// nothingCarried is what most runs take over.
var nothingCarried carried

type carriedSignal struct {
	Name  string          `json:"name"`
	Value json.RawMessage `json:"value"`
}

func (c *carried) deliveries() (list []starlark.Delivery) {
	for _, s := range c.Signals {
		list = append(list, starlark.Delivery{Kind: starlark.SignalArrived, Name: s.Name, Value: s.Value})
	}
	return list
}

// continueAs ends the run and begins the next, which takes over what c says.
func (x *execution) continueAs(c *starlark.Continuation) error {
	if ended, err := x.overtaken(); ended {
		return err
	}
	take := carried{Input: c.Input, Shown: c.Shown}
	if string(c.Shown) == "{}" {
		take.Shown = nil
	}
	for _, s := range c.Signals {
		take.Signals = append(take.Signals, carriedSignal{s.Name, s.Value})
	}
	if err := x.next(take, x.nextDigest(c)); !errors.Is(err, errRestart) || !x.w.stopping.Load() {
		return err
	}
	return x.handOn()
}

// handOn lets the execution go between two runs while the worker stops: a script that does nothing but continue as new
// never comes to where it would be let go.
func (x *execution) handOn() error {
	t := x.turn(backend.Release)
	t.First = 1 // of the new run, which has only begun
	t.Due = fromMicro(x.stamp())
	if _, err := x.landing(t); err != nil {
		return err
	}
	return starlark.ErrEvicted // when messages kept it, revoking the session frees it
}

// next ends the run and begins another.
func (x *execution) next(take carried, digest string) error {
	start := entry{kind: []byte(entryStart), at: x.stamp(), version: journalVersion, edition: starlark.Edition}
	value, err := json.Marshal(take)
	if err != nil {
		return err
	}
	start.value = value
	g := x.gather()
	rows, row := g.Rows, g.row
	g.Rows, g.row = nil, nil // the old run's journal ends with it
	t := x.turn(backend.Continue)
	t.Next = &backend.NextRun{
		Digest: digest, Edition: starlark.Edition, Rows: [][]byte{append(start.append(nil), ']')}, DropLetters: take.Tried != nil,
	}
	r, err := x.landing(t)
	if err != nil {
		g.Rows, g.row = rows, row // what of them is over is kept; see stuck
		return err
	}
	x.traceRun(nil)
	x.stopTimers()
	x.rec.Run, x.rec.RunNumber = r.run, x.rec.RunNumber+1
	x.rec.Digest, x.continued = t.Next.Digest, true
	x.observe(Event{Kind: ExecutionContinued, Execution: x.rec.ID, Name: x.rec.Workflow, Attempt: x.rec.RunNumber})
	return errRestart
}

// nextDigest is the code of the next run: the newest deployed, when the execution was not dispatched with code of its own, what
// runs now was deployed and the newest can take the input.
func (x *execution) nextDigest(c *starlark.Continuation) string {
	if c.Pin || x.extra != nil && x.extra.Own {
		return x.rec.Digest
	}
	newest, err := x.newest(x.rec.Workflow)
	if err != nil || newest == x.rec.Digest {
		return x.rec.Digest
	}
	var deployed []backend.Deployment
	if x.w.read(func() (err error) {
		deployed, err = x.w.engine.store.Deployments(x.w.ctx, x.rec.Workflow)
		return err
	}) != nil {
		return x.rec.Digest
	}
	ours := false
	for _, d := range deployed {
		ours = ours || d.Digest == x.rec.Digest
	}
	if !ours {
		return x.rec.Digest
	}
	prog, err := x.w.program(newest)
	if err == nil {
		err = prog.CheckInput(x.rec.Function, c.Input)
	}
	if err != nil {
		x.w.log.Warn("the newest code cannot take over; the execution keeps its own", "execution", x.rec.ID, "workflow", x.rec.Workflow, "error", err)
		return x.rec.Digest
	}
	return newest
}
