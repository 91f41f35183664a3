// Tasks: attempts that other workers run, and those of others that run here.

package engine

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"time"

	"github.com/senpuki/senpuki/activities"
	"github.com/senpuki/senpuki/backend"
	"github.com/senpuki/senpuki/starlark"
)

// taskInput is what a worker needs to run a task: the JSON of backend.Task.Input.
type taskInput struct {
	Args      json.RawMessage `json:"args"`             // stored form
	Kwargs    json.RawMessage `json:"kwargs,omitempty"` // stored form
	Run       int             `json:"run"`              // number
	Key       string          `json:"key"`              // idempotency key
	Timeout   time.Duration   `json:"timeout,omitempty"`
	Heartbeat time.Duration   `json:"heartbeat,omitempty"`
	Pos       string          `json:"pos,omitempty"`
	Trace     string          `json:"trace,omitempty"`
}

// away reports whether a step's attempts are tasks: it has a limit over all
// workers, this one does not have its activity, or does not serve it. Whoever was told to run an execution runs all of it that he can.
func (x *execution) away(st *step) bool {
	switch {
	case st.limit != nil, st.act == nil:
		return true
	case st.queue == "" && len(st.tags) == 0:
		return false
	case (st.queue == "" || contains(x.w.options.Queues, st.queue)) && x.w.has(st.tags):
		return false
	}
	return !x.w.engine.isAdopted(x.rec.ID)
}

// has reports whether this worker has all these tags.
func (w *worker) has(tags []string) bool {
	for _, t := range tags {
		if !contains(w.options.Tags, t) {
			return false
		}
	}
	return true
}

// beginTask makes the next attempt of a step a task, with the turn under way. The caller journals it.
func (x *execution) beginTask(st *step) {
	st.begun++
	st.call = nil
	st.unwait()
	st.running, st.remote, st.queued, st.due = true, true, false, 0
	origin, run := x.keyRun(st)
	input, _ := json.Marshal(taskInput{ // JSON and plain fields: never fails
		Args: st.cmd.Args, Kwargs: st.cmd.Kwargs, Run: x.rec.RunNumber, Key: activities.IdempotencyKey(origin, run, st.cmd.Step), Timeout: st.timeout, Heartbeat: st.heartbeat, Pos: st.cmd.Pos, Trace: x.lineName(),
	})
	k := backend.Task{
		Step: st.cmd.Step, Attempt: st.begun, Activity: st.cmd.Name, Queue: x.queueOf(st), Priority: st.priority, Tags: st.tags, Limit: st.limit, Input: input,
	}
	if st.startTimeout > 0 {
		at := x.startBy(st)
		k.Expires = fromMicro(at)
		x.w.dues.add(at + lateness)
	}
	g := x.gather()
	g.Tasks = append(g.Tasks, k)
	x.observeLack(st)
}

// observeLack tells that a step waits for a worker that has its activity.
func (x *execution) observeLack(st *step) {
	if st.act != nil || x.w.options.Observer == nil {
		return
	}
	ev := Event{Kind: StepElsewhere, Execution: x.rec.ID, Step: st.cmd.Step, Name: st.cmd.Name, Attempt: st.begun, Queue: x.queueOf(st)}
	x.observe(ev)
}

// queueOf is the queue that a step belongs to, wherever it runs.
func (x *execution) queueOf(st *step) string { return cmp.Or(st.queue, x.rec.Queue) }

// lateness is how much later than at a point in database time a worker looks: its clock may be ahead of the database's, microseconds.
const lateness = 20_000

// startBy is when the next attempt of a step that has a start timeout must have begun. The time goes
// by the journal, but none counts in which nobody drove the execution.
func (x *execution) startBy(st *step) int64 {
	return max(st.asked, x.since) + st.startTimeout.Microseconds()
}

// notStarted is the failure of a step of which no attempt began in time.
func notStarted(st *step) *activities.Failure {
	return &activities.Failure{Kind: activities.KindTimeout, Message: fmt.Sprintf("no attempt of %s began within %v", st.cmd.Name, st.startTimeout), NoRetry: true}
}

// absorbTask takes the outcome of a task.
func (x *execution) absorbTask(st *step, m *backend.Message) (d starlark.Delivery, ok bool) {
	if !st.running || !st.remote || m.Attempt != st.begun {
		return d, false // late: the attempt was given up
	}
	st.running, st.remote = false, false
	switch m.Name {
	case backend.TaskDone:
		return x.stepDone(st, m.Payload), true
	case backend.TaskCrashed:
		x.crashed(st)
		return d, false
	case backend.TaskExpired:
		st.begun-- // nobody began it
		return x.failed(st, notStarted(st)), true
	case backend.TaskWithdrawn:
		return x.failed(st, cancelledFailure()), true
	}
	return x.attemptFailed(st, decodeFailure(m.Payload))
}

// runningTask is a task of another execution that runs here.
type runningTask struct {
	cancel context.CancelFunc // tells its body, whose end is waited for
	giveUp context.CancelFunc // likewise, but nobody waits for its outcome
	what   string
}

// claimTasks takes due tasks while there are free slots: those of the worker's queues, and those of the executions that it was
// told to run. The loop calls it. The store also ends tasks that nobody began in time when tasks are claimed; due says that
// it may be time for that though none can be claimed.
func (w *worker) claimTasks(due bool) (more bool, err error) {
	switch {
	case w.stopping.Load():
		return false, nil
	case len(w.registry.Names()) > 0:
		return w.claimAny(due)
	case due:
		return false, w.sweepTasks()
	}
	return false, nil
}

// sweepTasks ends tasks that nobody has begun in time.
func (w *worker) sweepTasks() error {
	_, err := w.requestTasks(backend.TaskRequest{Session: w.session})
	return err
}

// requestTasks carries out one request for tasks, and looks after what it says of others.
func (w *worker) requestTasks(r backend.TaskRequest) ([]backend.Task, error) {
	w.sharing.swept = time.Now()
	claimed, err := w.store.ClaimTasks(w.asks, r)
	if !claimed.GoesOn.IsZero() {
		at := max(claimed.GoesOn.UnixMicro(), w.clock.now()) + lateness
		if at != w.sharing.goesOn {
			w.sharing.goesOn = at
			w.dues.add(at)
		}
	}
	if claimed.Late { // their executions are whoever's
		w.newWork()
		w.look()
		w.engine.tell(backend.Hint{Executions: []string{"*"}})
	}
	return claimed.Tasks, err
}

// claimAny makes the requests for tasks.
func (w *worker) claimAny(due bool) (more bool, err error) {
	r := backend.TaskRequest{Session: w.session, Queues: w.options.Queues, Tags: w.options.Tags, Activities: w.registry.Names()}
	full := false
	if !w.options.Hold {
		if more, full, err = w.claimSome(r, due); err != nil {
			return false, err
		}
	}
	if r.Executions = w.engine.adoptedIDs(); len(r.Executions) > 0 {
		others, none, err := w.claimSome(r, due)
		if more, full = more || others, full || none; err != nil {
			return more, err
		}
	}
	if full {
		return more, w.peek(r.Executions)
	}
	return more, nil
}

// claimSome carries out one request for tasks, as far as there are slots; full says that there was none.
func (w *worker) claimSome(r backend.TaskRequest, due bool) (more, full bool, err error) {
	most := max(minTasks, w.sharing.most)
	for r.Limit < most && w.slots.claimed() {
		r.Limit++
	}
	if r.Limit == 0 {
		if due || time.Since(w.sharing.swept) >= w.options.PollInterval {
			err = w.sweepTasks()
		}
		return false, true, err
	}
	w.sharing.missed.Store(false)
	tasks, err := w.requestTasks(r)
	doubt(&w.doubts.tasks, err)
	if err != nil {
		w.sharing.behind.Store(noBacklog)
	}
	w.slots.unclaimed(r.Limit - len(tasks))
	bytes := 0
	for i := range tasks {
		bytes += len(tasks[i].Input)
		w.options.Metrics.claimedTask()
		w.runTask(&tasks[i])
	}
	switch more = len(tasks) == r.Limit; {
	case err != nil || r.Executions != nil:
		return more, false, err
	case more:
		if w.sharing.most = min(2*most, maxTasks); bytes > maxBatchBytes {
			w.sharing.most = minTasks
		}
		if time.Since(w.sharing.looked) < peekInterval {
			w.sharing.missed.Store(true)
			return true, false, nil
		}
		return true, false, w.leftOver(nil)
	}
	w.sharing.most = minTasks
	w.backlog(nil, nil)
	return false, false, nil
}

// minTasks and maxTasks are how many tasks are claimed at once: the more, the longer there have been more than that, unless they are
// large. A few are shared with other workers so, and each claim of many has to step over all that have gone since the database was
// last swept.
const minTasks, maxTasks = 64, 512

// runTask runs a task that the session owns; its slot is taken.
func (w *worker) runTask(k *backend.Task) {
	wanted, giveUp := context.WithCancel(w.attempts)
	ctx, cancel := context.WithCancel(wanted)
	w.mu.Lock()
	w.tasks[k.Key] = &runningTask{cancel: cancel, giveUp: giveUp, what: k.Activity}
	w.mu.Unlock()
	w.wg.Go(func() {
		defer w.slots.give(1)
		defer giveUp()
		began := w.options.Metrics.clock()
		value, failure := w.attemptTask(ctx, wanted, k)
		w.options.Metrics.attempt(k.Activity, w.taskOutcome(ctx, failure), began)
		defer func() {
			w.mu.Lock()
			delete(w.tasks, k.Key)
			w.mu.Unlock()
			w.look()
		}()
		if w.cut.Load() && wanted.Err() != nil { // handed back: it counts as nothing
			w.committer.submit(context.Background(), &write{back: k.Key})
			return
		}
		d := backend.Settled{Key: k.Key, Name: backend.TaskDone, Payload: value}
		if failure != nil {
			d.Name, d.Payload = backend.TaskFailed, encodeFailure(failure)
		}
		of := k.Execution
		if k.Limit != nil { // there is room for another one, which anybody may begin
			of = "*"
		}
		r := w.committer.submit(context.Background(), &write{settle: &d, of: of})
		if r.err == nil && !r.kept {
			w.log.Info("outcome of a task refused: it was given up", "execution", k.Execution, "step", k.Step, "activity", k.Activity)
		}
	})
}

// attemptTask runs the body of a task within ctx, at most for its time and for as long as it is wanted.
func (w *worker) attemptTask(ctx, wanted context.Context, k *backend.Task) ([]byte, *activities.Failure) {
	if k.Withdrawn { // the reply of its claim was lost, and it was found later
		return nil, cancelledFailure()
	}
	if k.Damage != "" { // the step is tried again, with another task
		return nil, failureOf(fmt.Errorf("task %d is damaged: %s", k.Key, k.Damage))
	}
	var in taskInput
	if err := json.Unmarshal(k.Input, &in); err != nil {
		return nil, failureOf(fmt.Errorf("task %d is damaged: %w", k.Key, err))
	}
	act, failure := w.lookup(k.Activity)
	if failure != nil {
		return nil, failure
	}
	info := activities.AttemptInfo{
		Execution: k.Execution, Run: in.Run, Step: k.Step, Activity: k.Activity, Attempt: k.Attempt, Queue: k.Queue,
		IdempotencyKey: in.Key,
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	body := &body{}
	late := make(chan *activities.Failure, 2)
	if in.Timeout > 0 {
		info.Deadline = time.Now().Add(in.Timeout)
		timer := time.AfterFunc(in.Timeout, func() { late <- timedOut(k.Activity, in.Timeout) })
		defer timer.Stop()
	}
	if in.Heartbeat > 0 {
		timer := time.AfterFunc(in.Heartbeat, func() { late <- silent(k.Activity, in.Heartbeat) })
		defer timer.Stop()
		body.Beat = func() { timer.Reset(in.Heartbeat) }
	}
	type result struct {
		value   []byte
		failure *activities.Failure
	}
	done := make(chan result, 1)
	body.Identity = info
	w.bodies.begin(body)
	go func() {
		defer body.end()
		ctx, traced := w.traceAttempt(activities.WithHeartbeat(activities.WithInfo(ctx, info), body.Heard), in.Trace, &info)
		w.carryOut(ctx, act, nil, in.Args, in.Kwargs, func(value []byte, failure *activities.Failure) {
			traced(failure)
			done <- result{value, failure}
		})
	}()
	select {
	case r := <-done:
		return r.value, r.failure
	case f := <-late:
		body.giveUp()
		return nil, f
	case <-wanted.Done():
		select { // a body that heeds its context may end in good time
		case r := <-done:
			return r.value, r.failure
		case <-time.After(time.Second):
		}
		body.giveUp()
		return nil, cancelledFailure()
	}
}

// recall makes the worker look for tasks that run here and are to end.
func (w *worker) recall() {
	select {
	case w.recalls <- struct{}{}:
	default:
	}
}

// watchTasks cancels the tasks that run here and were withdrawn, and gives up those whose run is over. One that is claimed
// while it looks is not among those.
func (w *worker) watchTasks() {
	w.mu.Lock()
	running := maps.Clone(w.tasks)
	w.mu.Unlock()
	if len(running) == 0 {
		return
	}
	owned, err := w.store.Tasks(w.ctx, backend.TaskFilter{Owner: w.session, Bare: true})
	if err != nil {
		return
	}
	mine := make(map[int64]*backend.Task, len(owned))
	for i := range owned {
		mine[owned[i].Key] = &owned[i]
	}
	for key, r := range running {
		switch k := mine[key]; {
		case k == nil:
			r.giveUp()
		case k.Withdrawn:
			r.cancel()
		}
	}
}

func timedOut(activity string, d time.Duration) *activities.Failure {
	return &activities.Failure{Kind: activities.KindTimeout, Message: fmt.Sprintf("%s did not end within %v", activity, d)}
}

func silent(activity string, d time.Duration) *activities.Failure {
	return &activities.Failure{Kind: activities.KindTimeout, Message: fmt.Sprintf("%s gave no heartbeat within %v", activity, d)}
}
