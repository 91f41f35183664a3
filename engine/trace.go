// Tracing: spans of what a worker does, told to whoever keeps traces.

package engine

import (
	"context"
	"encoding/json"
	"strconv"
	"time"

	"github.com/senpuki/senpuki/activities"
	"github.com/senpuki/senpuki/backend"
)

// Tracer keeps spans. Its methods are called by many goroutines and must not block.
type Tracer interface {
	// Begin begins a span. It returns the context for what happens in it, and what ends it.
	Begin(ctx context.Context, s Span) (context.Context, func(*activities.Failure))
}

// SpanKind says what a span is the time of.
type SpanKind string

// The kinds of spans.
const (
	// SpanDispatch is the asking for an execution. It belongs to the trace of the one who
	// asks; Execution and Run name the span that it leads to.
	SpanDispatch SpanKind = "dispatch"
	// SpanRun is a whole run. It is told when the run has ended, by whoever ended it.
	SpanRun SpanKind = "run"
	// SpanTurn is a turn, from its first entry until it is durable.
	SpanTurn SpanKind = "turn"
	// SpanAttempt is the running of an activity's code.
	SpanAttempt SpanKind = "attempt"
)

// Span is one span. No record carries its context from process to process: the place
// of a run's span follows from what it is the span of, so every process that
// works on an execution, now or after a crash, comes to the same one. Turns and
// attempts are below the span of their run; that is below the run of the parent execution that asked for it.
type Span struct {
	Kind      SpanKind
	Name      string // workflow or activity
	Trace     string // names the trace: the execution at the top, and when it was made
	Execution string
	Run       int
	Step      string
	Attempt   int
	Parent    RunRef    // with SpanRun: zero for an execution without a parent
	Start     time.Time // zero: now
	End       time.Time // zero: when it is ended
}

// RunRef names a run of an execution.
type RunRef struct {
	Execution string
	Run       int
}

// lineage is where a run's span belongs.
type lineage struct {
	trace  string
	parent RunRef
}

// maxLineage bounds the climb to the top of a family.
const maxLineage = 100

// lineage finds where the spans of an execution belong: parents are looked up until there is none.
func (e *Engine) lineage(ctx context.Context, rec *backend.Execution) (l lineage) {
	top := *rec
	for range maxLineage {
		if top.Parent == "" {
			break
		}
		var parent backend.Execution
		err := retryRead(ctx, func() (err error) {
			parent, err = e.store.Execution(ctx, top.Parent)
			return err
		})
		if err != nil {
			break // removed, or we are leaving: the trace begins below
		}
		if l.parent.Execution == "" {
			l.parent = RunRef{Execution: parent.ID, Run: e.runNumber(ctx, &parent, top.ParentRun)}
		}
		top = parent
	}
	l.trace = top.ID + "/" + strconv.FormatInt(top.Created.UnixMicro(), 10)
	return l
}

// runNumber is the number of a run by its key, that of the latest when it is not there any more.
func (e *Engine) runNumber(ctx context.Context, x *backend.Execution, key backend.RunKey) int {
	if x.Run == key {
		return x.RunNumber
	}
	runs, err := e.store.Runs(ctx, x.ID, 0)
	if err != nil {
		return x.RunNumber
	}
	for _, r := range runs {
		if r.Key == key {
			return r.Number
		}
	}
	return x.RunNumber
}

// traced reports whether somebody keeps spans of the execution, and makes its lineage known.
func (x *execution) traced() bool {
	if x.w == nil || x.w.options.Tracer == nil {
		return false
	}
	if x.line == nil {
		rec := x.rec.execution()
		l := x.w.engine.lineage(x.w.ctx, &rec)
		x.line = &l
	}
	return true
}

// traceTurn tells of a turn that has landed; its first entry was put at begun, zero when there was none.
func (x *execution) traceTurn(begun time.Time) {
	if begun.IsZero() || !x.traced() {
		return
	}
	x.span(Span{Kind: SpanTurn, Name: x.rec.Workflow, Start: begun}, nil)
}

// traceRun tells of the run that has just ended.
func (x *execution) traceRun(f *activities.Failure) {
	if x.traced() {
		x.span(Span{Kind: SpanRun, Name: x.rec.Workflow, Parent: x.line.parent, Start: fromMicro(max(x.started, 1)), End: fromMicro(x.landedAt)}, f)
	}
}

// span tells of a span of this run that is over.
func (x *execution) span(s Span, f *activities.Failure) {
	s.Trace, s.Execution, s.Run = x.line.trace, x.rec.ID, x.rec.RunNumber
	_, end := x.w.options.Tracer.Begin(context.Background(), s)
	end(f)
}

// retraceTasks gives the tasks of a first turn their trace: it is named after the time at which the execution was stored.
func (x *execution) retraceTasks(t *backend.Turn) {
	x.line = nil
	if x.w.options.Tracer == nil {
		return
	}
	for i := range t.Tasks {
		var in taskInput
		if json.Unmarshal(t.Tasks[i].Input, &in) == nil {
			in.Trace = x.lineName()
			t.Tasks[i].Input, _ = json.Marshal(in) // JSON and plain fields: never fails
		}
	}
}

// lineName names the trace of the execution for a process that runs one of its tasks; "" when nobody keeps traces.
func (x *execution) lineName() string {
	if !x.traced() {
		return ""
	}
	return x.line.trace
}

func untraced(*activities.Failure) {}

// traceAttempt begins the span of an attempt that runs here.
func (w *worker) traceAttempt(ctx context.Context, trace string, info *activities.AttemptInfo) (context.Context, func(*activities.Failure)) {
	if w.options.Tracer == nil {
		return ctx, untraced
	}
	if trace == "" { // asked for by a process that keeps none
		trace = info.Execution
	}
	return w.options.Tracer.Begin(ctx, Span{
		Kind: SpanAttempt, Name: info.Activity, Trace: trace, Execution: info.Execution, Run: info.Run, Step: info.Step, Attempt: info.Attempt,
	})
}

// dispatched tells that somebody asked for an execution.
func (e *Engine) dispatched(ctx context.Context, n *backend.NewExecution, began time.Time, err *error) {
	if e.options.Tracer == nil {
		return
	}
	s := Span{Kind: SpanDispatch, Name: n.Workflow, Execution: n.ID, Run: 1, Start: began, End: time.Now()}
	var f *activities.Failure
	if *err != nil {
		f = failureOf(*err)
	} else if rec, err := e.store.Execution(ctx, n.ID); err == nil {
		s.Trace = e.lineage(ctx, &rec).trace
	}
	_, end := e.options.Tracer.Begin(ctx, s)
	end(f)
}

// clock is now when somebody measures.
func (o *Options) clock() time.Time {
	if o.Tracer != nil {
		return time.Now()
	}
	return o.Metrics.clock()
}
