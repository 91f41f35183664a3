// Sharing work with other workers: what goes to them when there are no slots
// here, and what waits so that nothing overtakes it.

package engine

import (
	"bytes"
	"math"
	"slices"
	"sync/atomic"
	"time"

	"github.com/senpuki/senpuki/backend"
	"github.com/senpuki/senpuki/starlark"
)

// sharing is what a worker knows of others, and of tasks that wait for it.
type sharing struct {
	met    []backend.Session             // who was there at the last look; owned by the loop
	offers atomic.Pointer[[]SessionInfo] // of other live workers
	behind atomic.Int64                  // highest priority of a task that waits and that could run here
	missed atomic.Bool                   // tasks may wait for which there was no slot
	first  bool                          // tasks were claimed before executions; owned by the loop
	looked time.Time                     // when tasks that are left were last looked for; owned by the loop
	later  bool                          // they are to be looked for again after peekInterval; likewise

	most   int       // how many tasks the next claim asks for at most; owned by the loop
	goesOn int64     // when tasks that a rate has kept are looked for again; owned by the loop
	swept  time.Time // when tasks that had not begun in time were last ended; owned by the loop
}

// noBacklog is below every priority.
const noBacklog = math.MinInt64

// peekInterval is how often at most a worker looks for the tasks that its claims have left.
const peekInterval = 50 * time.Millisecond

// serves reports whether a worker that offers o runs tasks of this kind.
func (o *SessionInfo) serves(queue, activity string, tags []string) bool {
	return !o.Hold && slices.Contains(o.Queues, queue) && slices.Contains(o.Activities, activity) &&
		!slices.ContainsFunc(tags, func(t string) bool { return !slices.Contains(o.Tags, t) })
}

// Serves reports whether a worker that offers o takes a task: one of its queues, or of an execution that it holds and was told to run.
func (o *SessionInfo) Serves(k *backend.Task) bool {
	return o.serves(k.Queue, k.Activity, k.Tags) || o.Hold && slices.Contains(o.Executions, k.Execution) && slices.Contains(o.Activities, k.Activity)
}

// others is what other live workers can do.
func (w *worker) others(sessions []backend.Session) (offers []SessionInfo) {
	list := workersOf(sessions)
	w.engine.elsewhere.note(list)
	for _, o := range list {
		if o.Session.ID != w.session && !o.Info.Hold && len(o.Info.Queues) > 0 {
			offers = append(offers, o.Info)
		}
	}
	return offers
}

// meet notes who else is there, if that or what they tell of themselves has changed. Attempts that wait for a slot may go to a newcomer.
func (w *worker) meet(sessions []backend.Session) {
	if slices.EqualFunc(sessions, w.sharing.met, func(a, b backend.Session) bool { return a.ID == b.ID && bytes.Equal(a.Info, b.Info) }) {
		return
	}
	w.sharing.met = sessions
	offers := w.others(sessions)
	old := w.sharing.offers.Swap(&offers)
	if len(offers) > 0 && (old == nil || len(*old) < len(offers)) {
		w.pokeAll()
	}
}

// madeUp reports whether the call of an activity that this process does not have is to be refused, as a misspelt name. It is when
// the script has computed the name (a name in its text was looked up when it was loaded), when no live worker has such
// an activity, and when the execution was begun by this process, which runs it. In all other cases the step waits for a worker.
func (x *execution) madeUp(name string) bool {
	if !x.firstborn || !x.w.engine.isAdopted(x.rec.ID) || slices.ContainsFunc(x.prog.Calls(), func(c starlark.Call) bool { return c.Declaration && c.Activity == name }) {
		return false
	}
	sessions, err := x.w.store.Sessions(x.w.ctx)
	return err == nil && !slices.ContainsFunc(x.w.others(sessions), func(o SessionInfo) bool { return slices.Contains(o.Activities, name) })
}

// yields reports whether a step's attempt must not begin here now: tasks that
// came before it wait, and it queues behind them as one. Whoever was told to run an execution runs it at once.
func (x *execution) yields(st *step) bool {
	behind := x.w.sharing.behind.Load()
	return behind != noBacklog && behind >= int64(st.priority) && x.mayShare()
}

func (x *execution) mayShare() bool {
	return !x.w.options.Hold && !x.w.stopping.Load() && !x.w.engine.isAdopted(x.rec.ID)
}

// elsewhere reports whether another live worker could run a step.
func (x *execution) elsewhere(st *step) bool {
	offers := x.w.sharing.offers.Load()
	if offers == nil || len(*offers) == 0 {
		return false
	}
	queue := x.queueOf(st)
	for i := range *offers {
		if (*offers)[i].serves(queue, st.cmd.Name, st.tags) {
			return true
		}
	}
	return false
}

// overflow turns attempts that have no slot into tasks, where others may run them.
func (x *execution) overflow() {
	if offers := x.w.sharing.offers.Load(); (offers == nil || len(*offers) == 0) && x.w.sharing.behind.Load() == noBacklog || !x.mayShare() {
		return
	}
	kept := x.ready[:0]
	for _, st := range x.ready {
		switch {
		case !x.stands(st) || st.dropped:
		case x.elsewhere(st) || x.yields(st):
			x.taskLater(st)
		default:
			kept = append(kept, st)
		}
	}
	clear(x.ready[len(kept):])
	if x.ready = kept; len(kept) == 0 {
		x.queued = false
		x.w.slots.leave(x)
	}
}

// backlog notes what a look for tasks has shown: whether any are left that could run here, in a worker's queues or of the
// executions that it was told to run.
func (w *worker) backlog(left []backend.Task, adopted []string) {
	highest, missed := int64(noBacklog), false
	me := w.engine.offer()
	for i := range left {
		k := &left[i]
		serves := me.Serves(k)
		if serves && k.Limit == nil { // a limit, not a slot, may keep the others
			highest = max(highest, int64(k.Priority))
		}
		missed = missed || serves || slices.Contains(me.Activities, k.Activity) && slices.Contains(adopted, k.Execution)
	}
	w.sharing.missed.Store(missed)
	if old := w.sharing.behind.Swap(highest); old == noBacklog && highest != noBacklog {
		w.pokeAll()
	}
}

// peek looks for tasks that wait while there is no slot for them. When there are any, the loop waits for its turn.
func (w *worker) peek(adopted []string) (err error) {
	if time.Since(w.sharing.looked) >= peekInterval {
		err = w.leftOver(adopted)
	} else if !w.sharing.later {
		w.sharing.later = true
		w.dues.add(w.clock.now() + peekInterval.Microseconds())
	}
	if w.sharing.missed.Load() {
		w.slots.queue(1)
	}
	return err
}

// leftOver finds the tasks that wait in this worker's queues, and those of executions that it was told to run.
func (w *worker) leftOver(adopted []string) error {
	w.sharing.looked, w.sharing.later = time.Now(), false
	var left []backend.Task
	more := false
	queues := w.options.Queues
	if len(adopted) > 0 {
		queues = []string{""} // all
	}
	for _, q := range queues {
		waiting, err := w.store.Tasks(w.asks, backend.TaskFilter{Queue: q, Waiting: true, Limit: minTasks, Bare: true})
		if err != nil {
			return err
		}
		left, more = append(left, waiting...), more || len(waiting) == minTasks
	}
	w.backlog(left, adopted)
	if more { // what is for this worker may be behind those; a claim finds out
		w.sharing.missed.Store(true)
	}
	return nil
}
