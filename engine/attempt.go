// Local attempts: beginning them, and what becomes of their outcomes.

package engine

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/senpuki/senpuki/activities"
	"github.com/senpuki/senpuki/backend"
	"github.com/senpuki/senpuki/starlark"
)

// attempt is an activity's code running here.
type attempt struct {
	body

	x            *execution
	number       int
	measured     time.Time // when it began; zero unless measured
	timeout      *time.Timer
	pulse        *time.Timer // fires when no heartbeat comes
	act          *activities.Activity
	call         *activities.Bound // nil: yet to be decoded
	args, kwargs []byte
	ctx          context.Context // what the code gets: the body's, or one that is made from it
	traced       func(*activities.Failure)
}

// startAll runs the attempts of steps whose rows are durable, but of those that the script has cancelled since. All are noted before
// the first begins: should an observer panic, the others are handed back, too.
func (x *execution) startAll(steps []*step) {
	for _, st := range steps {
		id := st.cmd.Step
		if st.dropped {
			st.running, st.call = false, nil
			x.slots++
			x.post(event{kind: evDropped, run: x.rec.RunNumber, step: id})
			continue
		}
		a := &attempt{x: x, number: st.begun, measured: x.w.options.Metrics.clock(), call: st.call, args: st.cmd.Args, kwargs: st.cmd.Kwargs}
		st.call = nil
		a.Identity = activities.AttemptInfo{
			Execution: x.rec.ID, Run: x.rec.RunNumber, Step: id, Activity: st.cmd.Name, Attempt: a.number, Queue: x.queueOf(st),
		}
		a.Origin, a.First = x.keyRun(st)
		x.attempts.Put(id, a)
	}
	for _, st := range steps {
		if a := x.attempts.At(st.cmd.Step); a != nil {
			x.start(st, a)
		}
	}
}

func (x *execution) start(st *step, a *attempt) {
	id := st.cmd.Step
	if failure := x.w.resolve(st); failure != nil {
		x.post(event{kind: evAttempt, run: x.rec.RunNumber, step: id, attempt: a.number, failure: failure})
		return
	}
	a.act = st.act
	a.ctx = &a.Context
	if st.timeout > 0 {
		a.Identity.Deadline = time.Now().Add(st.timeout)
		failure := timedOut(st.cmd.Name, st.timeout)
		a.timeout = time.AfterFunc(st.timeout, func() { a.late(failure) })
	}
	if every := st.heartbeat; every > 0 {
		failure := silent(st.cmd.Name, every)
		a.pulse = time.AfterFunc(every, func() { a.late(failure) })
		a.Beat = func() { a.pulse.Reset(every) }
	}
	if x.w.options.Observer != nil {
		x.observe(Event{Kind: AttemptStarted, Execution: x.rec.ID, Step: id, Name: st.cmd.Name, Attempt: a.number})
	}
	a.ctx, a.traced = x.w.traceAttempt(a.ctx, x.lineName(), &a.Identity)
	x.w.bodies.begin(&a.body)
	go a.run()
}

// run is the goroutine of the attempt's code.
func (a *attempt) run() {
	growStack(a == nil)
	defer a.end()
	a.x.w.carryOut(a.ctx, a.act, a.call, a.args, a.kwargs, func(value []byte, failure *activities.Failure) {
		a.traced(failure)
		a.x.post(event{kind: evAttempt, run: a.Identity.Run, step: a.Identity.Step, attempt: a.number, value: value, failure: failure})
		a.Cancel()
	})
}

// carryOut invokes an activity and hands over what comes of it, however its code leaves.
func (w *worker) carryOut(ctx context.Context, act *activities.Activity, call *activities.Bound, args, kwargs []byte, over func([]byte, *activities.Failure)) {
	var value []byte
	var failure *activities.Failure
	returned := false
	defer func() {
		if !returned {
			failure = &activities.Failure{Kind: activities.KindPanic, Message: act.Name() + " ended its goroutine without returning (runtime.Goexit)"}
			if p := recover(); p != nil { // not of its own code, which Invoke recovers
				failure.Message, failure.Traceback = fmt.Sprint(p), string(debug.Stack())
			}
		}
		over(value, failure)
	}()
	value, failure = w.invoke(ctx, act, call, args, kwargs)
	returned = true
}

// late says that the attempt is out of time.
func (a *attempt) late(failure *activities.Failure) {
	a.x.post(event{kind: evTimeout, run: a.Identity.Run, step: a.Identity.Step, attempt: a.number, failure: failure})
}

// invoke calls an activity with stored arguments, which call has decoded unless it is nil, and returns a stored value.
func (w *worker) invoke(ctx context.Context, act *activities.Activity, call *activities.Bound, args, kwargs []byte) ([]byte, *activities.Failure) {
	if call == nil {
		plain, err := starlark.ToPlain(args)
		if err != nil {
			return nil, failureOf(err)
		}
		keywords, err := plainOrNil(kwargs)
		if err != nil {
			return nil, failureOf(err)
		}
		if call, err = act.Bind(plain, keywords); err != nil {
			return nil, failureOf(err)
		}
	}
	result, failure := call.Invoke(ctx)
	if failure != nil {
		return nil, fromActivity(failure, w.options.MaxValue)
	}
	limit := w.options.MaxValue
	w.engine.weigh("the result of", act.Name(), len(result))
	if len(result) > limit {
		return nil, &activities.Failure{
			Kind:    activities.KindPayloadError,
			Message: fmt.Sprintf("%s returned %d bytes, the limit for one value is %d", act.Name(), len(result), limit),
			NoRetry: true,
		}
	}
	value, err := starlark.FromPlain(result)
	if err != nil {
		return nil, &activities.Failure{Kind: activities.KindPayloadError, Message: fmt.Sprintf("%s returned what cannot be stored: %v", act.Name(), err), NoRetry: true}
	}
	return value, nil
}

// absorb applies an event; ok says that d is to be delivered to the script.
func (x *execution) absorb(ev *event) (d starlark.Delivery, ok bool) {
	switch ev.kind {
	case evMessage:
		return x.absorbMessage(ev)
	case evExpire:
		if x.cancelled != nil {
			return d, false
		}
		return x.cancel(expiredName, x.expiredFailure()), true
	}
	st := x.steps.At(ev.step)
	if st == nil || ev.run != x.rec.RunNumber { // late: the step is over, or its run is
		return d, false
	}
	switch ev.kind {
	case evDue:
		return x.absorbDue(st)
	case evFinal:
		return x.failed(st, ev.failure), true
	case evLate:
		return x.absorbLate(st)
	case evAdmitted:
		x.absorbAdmitted(st)
		return d, false
	case evDropped:
		if !st.dropped {
			return d, false
		}
		return x.failed(st, cancelledFailure()), true
	case evTimeout:
		return x.absorbTimeout(st, ev)
	}
	if !st.running || ev.attempt != st.begun {
		return d, false // late: the attempt was given up
	}
	g := x.gather()
	g.consumed = append(g.consumed, *ev)
	x.over(st, x.w.outcome(ev.failure, st.dropped))
	if ev.failure == nil {
		return x.stepDone(st, ev.value), true
	}
	return x.attemptFailed(st, ev.failure)
}

// stepDone records the value of an activity.
func (x *execution) stepDone(st *step, value []byte) starlark.Delivery {
	d := x.done(st, "", value)
	x.concludeMemo(st, value)
	x.spent(st)
	return d
}

func (x *execution) expiredFailure() *activities.Failure {
	return &activities.Failure{Kind: activities.KindTimeout, Message: fmt.Sprintf("the execution expired at %s", fromMicro(x.rec.expires).Format(time.RFC3339))}
}

// over ends the newest attempt of a step; its slot is in hand now.
func (x *execution) over(st *step, outcome AttemptOutcome) {
	st.running = false
	if a := x.attempts.At(st.cmd.Step); a != nil {
		x.w.options.Metrics.attempt(a.Identity.Activity, outcome, a.measured)
		a.stopTimers()
		x.attempts.Delete(st.cmd.Step)
		x.slots++
	}
}

func (x *execution) absorbDue(st *step) (d starlark.Delivery, ok bool) {
	switch {
	case st.running || st.dropped || st.due == 0:
		return d, false
	case x.w.clock.until(st.due) > 0: // of an earlier wait, or the clock was corrected
		st.unwait()
		x.schedule(st)
		return d, false
	case st.cmd.Kind == starlark.StartChild:
		if err := x.beginAgain(st); err != nil {
			x.w.log.Warn("a child cannot be begun again; trying again", "execution", x.rec.ID, "step", st.cmd.Step, "error", err)
			st.due = x.stamp() + time.Second.Microseconds()
			x.schedule(st)
		}
		return d, false
	case st.cmd.Kind != starlark.StartTimer:
		st.asked = st.due
		x.enqueue(st)
		return d, false
	}
	if x.w.cut.Load() || x.w.stopping.Load() && x.attempts.Len()+len(x.starting()) == 0 {
		return d, false // who takes it up wakes it: a script whose timers are due at once would never come to rest here
	}
	x.now = max(x.now, st.due)
	return x.done(st, "", []byte("null")), true
}

// absorbTimeout gives up an attempt that ran out of time. Its context is cancelled, its
// slot is free, and what its body still returns is refused.
func (x *execution) absorbTimeout(st *step, ev *event) (d starlark.Delivery, ok bool) {
	if !st.running || ev.attempt != st.begun {
		return d, false
	}
	if a := x.attempts.At(ev.step); a != nil {
		a.Cancel()
		a.giveUp()
	}
	x.over(st, AttemptTimedOut)
	return x.attemptFailed(st, ev.failure)
}

// attemptFailed retries a step or fails it for good.
func (x *execution) attemptFailed(st *step, f *activities.Failure) (d starlark.Delivery, ok bool) {
	switch {
	case st.dropped:
		return x.failed(st, cancelledFailure()), true
	case x.w.cut.Load() && x.w.attempts.Err() != nil:
		x.note(entryBack, st, nil)
		x.enqueue(st)
		return d, false
	}
	st.failed++
	x.w.configure(st)
	delay, again := st.retry.Next(st.failed, f, x.w.random())
	if !again {
		return x.failed(st, f), true
	}
	x.retry(st, f, delay)
	x.w.log.Info("attempt failed; another follows", "execution", x.rec.ID, "step", st.cmd.Step, "activity", st.cmd.Name, "attempt", st.begun, "failure", f.Error(), "retry", fromMicro(st.due))
	return d, false
}

// retry records that an attempt of a step has failed, and that the next is due after a delay.
func (x *execution) retry(st *step, f *activities.Failure, delay time.Duration) {
	st.due = x.stamp() + delay.Microseconds()
	x.note(entryFail, st, encodeFailure(f))
	x.observe(Event{
		Kind: AttemptFailed, Execution: x.rec.ID, Step: st.cmd.Step, Name: stepName(&st.cmd),
		Attempt: st.begun, Failure: f, Retry: fromMicro(st.due),
	})
	x.schedule(st)
}

// failed records a step's final failure.
func (x *execution) failed(st *step, f *activities.Failure) starlark.Delivery {
	c := *f
	if c.Activity == "" && st.cmd.Kind == starlark.CallActivity {
		c.Activity = st.cmd.Name
	}
	c.Attempts = max(st.failed, c.Attempts)
	stored, f := persisted(&c)
	x.put(&entry{kind: []byte(entryFailed), at: x.stamp(), step: []byte(st.cmd.Step), failure: stored})
	x.concludeMemo(st, nil)
	if !st.dropped {
		x.bury(st, f)
	}
	x.steps.Delete(st.cmd.Step)
	if st.timer != nil {
		st.timer.Stop()
	}
	kind := StepFailed
	if st.dropped {
		kind = StepCancelled
	}
	x.observe(Event{Kind: kind, Execution: x.rec.ID, Step: st.cmd.Step, Name: stepName(&st.cmd), Failure: f})
	d := starlark.Delivery{Kind: starlark.StepOutcome, Step: st.cmd.Step, Failure: ScriptFailure(f)}
	d.Failure.Step = d.Step
	return d
}

func cancelledFailure() *activities.Failure { return cancelledFor(nil) }

// cancelledFor is the failure of what was cancelled, with the reason that was given, if any.
func cancelledFor(reason []byte) *activities.Failure {
	if len(reason) == 0 {
		return &activities.Failure{Kind: activities.KindCancelled, Message: "cancelled", NoRetry: true}
	}
	return &activities.Failure{Kind: activities.KindCancelled, Message: string(reason), NoRetry: true}
}

// absorbMessage takes an inbox message.
func (x *execution) absorbMessage(ev *event) (d starlark.Delivery, ok bool) {
	m := ev.message
	if m.Kind == backend.Upgrade {
		x.upgrading = m
		return d, false
	}
	x.takes(m)
	switch m.Kind {
	case backend.Signal:
		x.put(&entry{kind: []byte(entrySignal), at: x.stamp(), name: []byte(m.Name), value: m.Payload})
		x.hears(m.Name)
		return starlark.Delivery{Kind: starlark.SignalArrived, Name: m.Name, Value: m.Payload}, true
	case backend.Notice, backend.Outcome:
		return x.absorbAnswer(m)
	case backend.Cancel:
		if x.cancelled != nil {
			return d, false
		}
		return x.cancel("", cancelledFor(m.Payload)), true
	}
	x.w.log.Warn("message of an unknown kind dropped", "execution", x.rec.ID, "kind", m.Kind)
	return d, false
}

// cancel delivers the cancelling of the execution.
func (x *execution) cancel(name string, f *activities.Failure) starlark.Delivery {
	stored, f := persisted(f)
	x.cancelled, x.expired = f, name == expiredName
	x.scheduleCut(x.stamp())
	e := entry{kind: []byte(entryCancel), at: x.stamp(), failure: stored}
	if name != "" {
		e.name = []byte(name)
	}
	x.put(&e)
	return cancelDelivery(f, x.expired)
}

// cancelDelivery tells the script; an expiry is a cancellation there, too, after which it has failed whatever it returns.
func cancelDelivery(f *activities.Failure, expired bool) starlark.Delivery {
	d := ScriptFailure(f)
	d.Kind = activities.KindCancelled
	return starlark.Delivery{Kind: starlark.CancelExecution, Failure: d, Final: expired}
}
