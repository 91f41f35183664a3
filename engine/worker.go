// The worker: one session and the loops that keep it at work.

package engine

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/senpuki/senpuki/activities"
	"github.com/senpuki/senpuki/backend"
)

// worker is one session of an engine. When its session is revoked the worker
// forgets everything, and the engine begins another.
type worker struct {
	engine    *Engine
	store     backend.Store
	registry  *activities.Registry
	options   *Options
	log       *slog.Logger
	clock     *clock
	session   backend.SessionID
	me        backend.Session
	committer *committer
	slots     slots
	suspects  suspects
	dues      dues
	parking   parking
	sharing   sharing

	ctx      context.Context // ends when the session is lost, the engine is killed, or the worker has drained
	cancel   context.CancelFunc
	asks     context.Context // of what the loop asks for: ends with ctx, or some time after the worker is to stop
	giveUp   context.CancelFunc
	attempts context.Context // of the attempts: ends with ctx, or when a graceful stop is cut
	cutAll   context.CancelFunc
	stopping atomic.Bool               // nothing new is claimed or begun
	told     atomic.Pointer[time.Time] // when it was told to stop
	cut      atomic.Bool               // what still runs is handed back

	hints  chan struct{} // capacity 1: look for work and messages
	bodies bodies        // of activities that run here
	beats  atomic.Int64  // heartbeats
	pass   atomic.Int64  // number of the newest look at the inboxes
	works  atomic.Int64  // how often there was new work
	clear  atomic.Int64  // works as of a claim that left no backlog, else -1; see isClear
	around atomic.Bool   // all is to be looked for, as at a poll; see lookAround

	expired atomic.Bool   // a heartbeat says that an execution that nobody owns has expired
	recalls chan struct{} // capacity 1: look for tasks that run here and are to end
	pulse   chan struct{} // capacity 1: a heartbeat was tried
	strays  struct {      // adopted executions that others run; owned by the loop
		looked time.Time // when they were last looked for
		next   string    // id from which on to look, when there were too many
	}

	mu       sync.Mutex // guards held, again, creating, early, claiming, tasks and ended
	held     map[string]*execution
	most     int                        // entries that held has had
	again    map[string]backend.Claimed // claimed while their former selves are leaving
	creating map[string]int             // executions on their way into the store that it gives to this session
	early    bool                       // there were messages for one of those
	claiming bool                       // a claim is under way
	tasks    map[int64]*runningTask     // of other executions
	ended    bool                       // nothing is begun any more: run waits for what was
	wg       sync.WaitGroup             // executions and loops

	maxTurn   int                           // bytes of one turn
	skewed    bool                          // this machine's clock is far off; owned by the heartbeat
	watched   map[backend.SessionID]watched // owned by the loop
	lastLook  time.Time
	reclaimed time.Time       // when what gone sessions owned was last freed
	unclaimed bool            // executions that have begun may be due; owned by the loop
	overdue   bool            // more may have expired than the last look for those took; owned by the loop
	faulty    atomic.Bool     // the database failed, and has taken no write since
	failing   atomic.Bool     // likewise, for who looks after neighbours
	broken    map[string]bool // calls of the loop whose newest try failed; owned by the loop
	blind     atomic.Bool     // there are any
	last      atomic.Pointer[error]
	lost      atomic.Bool // the session is given up
	doubts    doubts
	beaten    atomic.Pointer[time.Time] // when the newest heartbeat was sent that was acknowledged
	heard     atomic.Pointer[time.Time] // when that acknowledgement came
	roll      atomic.Pointer[roll]      // which sessions it has found, until somebody looks
}

func newWorker(life context.Context, e *Engine, id backend.SessionID, me backend.Session) *worker {
	w := &worker{
		engine: e, store: e.store, registry: e.registry, options: &e.options, log: e.options.Logger,
		clock: e.clock, session: id, me: me,
		hints: make(chan struct{}, 1), recalls: make(chan struct{}, 1), pulse: make(chan struct{}, 1), held: make(map[string]*execution),
		tasks: make(map[int64]*runningTask), maxTurn: maxTurn,
	}
	w.again, w.creating, w.broken = make(map[string]backend.Claimed), make(map[string]int), make(map[string]bool)
	w.doubts.released = make(map[string]bool)
	w.ctx, w.cancel = context.WithCancel(life)
	w.attempts, w.cutAll = context.WithCancel(w.ctx)
	w.asks, w.giveUp = context.WithCancel(w.ctx)
	context.AfterFunc(w.attempts, w.bodies.cancelAll)
	context.AfterFunc(w.ctx, w.pokeAll)
	w.slots.free = e.options.MaxConcurrency
	w.clear.Store(-1)
	w.parking.max = e.options.MaxParked
	w.sharing.behind.Store(noBacklog)
	w.slots.turn = w.hasTurn
	w.dues.sooner = make(chan struct{}, 1)
	w.committer = &committer{store: e.store, session: id, news: make(chan struct{}, 1), ctx: w.ctx, onError: w.fault, onAnswer: w.answers, metrics: e.options.Metrics, now: func() time.Time { return fromMicro(w.clock.now()) }, leaving: &w.stopping}
	if e.wakeups.notifier != nil {
		w.committer.tell = e.tell
	}
	return w
}

// random is in [0, 1): jitter. What comes of it is journaled.
func (w *worker) random() float64 { return w.options.Random() }

// observe tells the observer, if there is one.
func (w *worker) observe(ev Event) {
	if w.options.Observer == nil {
		return
	}
	if ev.At.IsZero() {
		ev.At = fromMicro(w.clock.now())
	}
	w.options.Observer.Observe(ev)
}

// fault notes that the database failed and that it will be tried again.
func (w *worker) fault(err error) {
	w.last.Store(&err)
	w.failing.Store(true)
	if w.ctx.Err() == nil && !w.faulty.Swap(true) {
		words := "the database does not answer; trying again"
		if errors.Is(err, backend.ErrRefused) {
			words = "the database refuses what this worker asks; trying again"
		}
		w.log.Warn(words, "error", err)
	}
}

// answers notes that the database has taken a write. That it can be read says little: a disk is full, a server is a standby. And
// one write says nothing of what the loop asks for in vain.
func (w *worker) answers() {
	if w.committer.retrying.Load() == 0 && !w.blind.Load() && w.faulty.Swap(false) {
		w.log.Info("the database answers again")
	}
}

// lastFault is the newest error of the database, nil when there was none.
func (w *worker) lastFault() error {
	if err := w.last.Load(); err != nil {
		return *err
	}
	return nil
}

// hint makes the loop go round now: it claims what it has room for, and ends when it is to end.
func (w *worker) hint() {
	select {
	case w.hints <- struct{}{}:
	default:
	}
}

// look makes the loop look at the inboxes of what is held, and for tasks: something may have come.
func (w *worker) look() {
	w.engine.mailed.Store(true)
	w.hint()
}

// newWork makes the loop claim, because an execution waits in a queue. One that is dispatched here in the
// meantime does not overtake it: it is stored and claimed as others are (mayKeep).
func (w *worker) newWork() {
	w.works.Add(1)
	w.hint()
}

// isClear reports whether the last claim left no backlog, and nothing new is known of.
func (w *worker) isClear() bool { return w.clear.Load() == w.works.Load() }

// lose drops everything: the session was revoked, or cannot be relied on any more. It is
// ended, should it stand, so that what it owned is free.
func (w *worker) lose() {
	if !w.lost.Swap(true) && w.ctx.Err() == nil {
		w.options.Metrics.sessionLost()
		w.log.Warn("this worker has lost its session; beginning another", "session", w.session)
	}
	w.cancel()
}

// lookAround makes the loop do all that it does when it polls: somebody is gone, say, and with him what he knew of due times.
func (w *worker) lookAround() {
	w.around.Store(true)
	w.newWork()
}

// run works until ctx ends and the worker has drained (true), or its session is lost (false).
func (w *worker) run(ctx context.Context) bool {
	w.wg.Go(w.heartbeat)
	if v, ok := w.store.(backend.Versioner); ok {
		w.wg.Go(func() { w.watchVersion(v) })
	}
	w.committer.start(&w.wg)
	defer w.engine.listen()()
	if w.engine.wakeups.hears.Load() { // for those who wait here; who waits elsewhere was not asked then
		w.engine.askWhoAwaits()
	}
	if !w.options.Hold {
		w.wg.Go(w.retain)
	}
	// What the loop asks for may have no answer for long. What comes of a claim when nobody waits any more is free when the session ends.
	defer context.AfterFunc(ctx, func() {
		now := time.Now()
		w.told.Store(&now)
		time.AfterFunc(patience, w.giveUp)
	})()
	stopped := w.loop(ctx)
	if stopped {
		w.drain()
	}
	w.cancel()
	w.mu.Lock()
	w.ended = true
	w.mu.Unlock()
	w.wg.Wait()
	if !stopped && w.lost.Load() { // else it has been tried
		w.revokeSelf()
	}
	return stopped
}

// loop looks for work, messages and dead neighbours. The first time it takes over what a dead process of this machine was at, and
// claims: all else can wait until that goes on.
func (w *worker) loop(ctx context.Context) bool {
	poll := time.NewTimer(0)
	defer poll.Stop()
	var met, looked, swept, polled time.Time // polled: when all was last looked for, whatever the reason
	more := false                            // there may be more to claim
	for first := true; ; first = false {
		var err error
		ticked, freed := false, false
		select {
		case <-ctx.Done():
			return true
		case <-w.ctx.Done():
			return false
		case <-w.hints:
		case <-poll.C:
		case <-w.dues.sooner:
			if !more { // else it comes at once anyway
				poll.Reset(w.nextLook(polled))
			}
			continue
		case <-w.pulse: // neighbours are looked at however rarely there is something to do
			ticked = true
		}
		if ticked || time.Since(met) >= w.options.SessionLife/5 {
			if !first {
				met = time.Now()
			}
			freed, err = w.neighbours(w.asks, first)
			w.report("neighbours", err)
		}
		// Who hears wake-ups need not look for what has expired at each tick: a heartbeat tells.
		idle := ticked && w.engine.wakeups.reliable()
		told := !first && w.expired.Swap(false) || w.overdue && w.slots.room(maxInLine) > 0
		if told || !first && !idle && time.Since(looked) >= w.options.SessionLife/5 {
			looked = time.Now()
			w.report("expired", w.claimExpired(told))
		}
		if time.Since(swept) >= w.options.ReleaseAfter/4 {
			swept = time.Now()
			w.parking.sweep(w.options.ReleaseAfter)
		}
		if ticked && !freed {
			continue
		}
		due, asked := w.dues.passed(w.clock), w.around.Swap(false)
		all := !first && (due || asked || freed || time.Since(polled) >= w.pollInterval())
		w.report("reconcile", w.reconcile())
		news := w.engine.mailed.Swap(false) || all || first
		if news {
			w.report("receive", w.receive(w.asks))
		}
		if all { // first, so that nothing becomes due between the two
			w.report("foresee", w.foresee())
			w.engine.tellAgain()
			polled = time.Now()
		}
		next := time.Duration(0)
		if more = w.claimAll(news, due) || first; !more {
			next = w.nextLook(polled)
		}
		poll.Reset(next)
	}
}

// nextLook is how long it is until all is to be looked for again.
func (w *worker) nextLook(polled time.Time) time.Duration {
	return w.dues.next(w.clock, w.pollInterval()-time.Since(polled))
}

// quietPolls is how many times rarer a worker looks by itself while wake-ups come in.
const quietPolls = 15

// expect notes when a new execution becomes due, unless it is now.
func (w *worker) expect(due time.Time) {
	if !due.IsZero() {
		w.dues.add(due.UnixMicro())
	}
}

// foresee notes what becomes due before the next look, when that is far: it was let go by a worker that is gone, perhaps.
func (w *worker) foresee() error {
	if !w.engine.wakeups.reliable() || w.options.Hold || w.stopping.Load() {
		return nil
	}
	at, err := w.store.NextDue(w.asks, w.options.Queues)
	if err != nil || at.IsZero() {
		return err
	}
	switch wait := w.clock.until(at.UnixMicro()); {
	case wait <= 0: // our clock is ahead of the database's
		w.dues.add(w.clock.now() + lateness)
	case wait < w.pollInterval():
		w.dues.add(at.UnixMicro())
	}
	return nil
}

func (w *worker) pollInterval() time.Duration {
	if w.engine.wakeups.reliable() {
		return quietPolls * min(w.options.PollInterval, math.MaxInt64/quietPolls)
	}
	return w.options.PollInterval
}

// versionInterval is how often the database is asked whether another process
// has changed it, maxVersionInterval how seldom when it has not for a moment,
// and idleVersionInterval when it has not for longer than idleAfter.
const (
	versionInterval     = 5 * time.Millisecond
	maxVersionInterval  = 20 * time.Millisecond
	idleVersionInterval = 80 * time.Millisecond
	idleAfter           = 4 * time.Second
	// busyInterval is how often at most a change is looked at that may well be our own.
	busyInterval = 100 * time.Millisecond
)

// watchVersion makes the loop look around when another process has changed
// the database. That is cheaper than looking, and lets the poll be slow.
func (w *worker) watchVersion(v backend.Versioner) {
	var last, ours int64
	var looked, foreign, recalled time.Time // when a change was last looked at, one that was not our own, and one for tasks that are to end
	interval := versionInterval
	tick := time.NewTimer(interval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-w.ctx.Done():
			return
		}
		now, err := v.Version(w.ctx)
		if interval = min(interval+time.Millisecond, maxVersionInterval); time.Since(foreign) > idleAfter {
			interval = idleVersionInterval
		}
		tick.Reset(interval)
		if err == nil && now != last {
			own := w.committer.commits.Load() + w.beats.Load()
			if own != ours && time.Since(looked) < busyInterval {
				continue
			}
			if looked = time.Now(); own == ours {
				foreign, interval = looked, versionInterval
			}
			last, ours = now, own
			if time.Since(recalled) >= w.options.PollInterval {
				recalled = time.Now()
				w.recall()
			}
			w.look()
		}
	}
}

// Held is how many executions are in memory here.
func (e *Engine) Held() int {
	w := e.current()
	if w == nil {
		return 0
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.held)
}

// report turns what came of a call of the loop into what follows from it.
func (w *worker) report(call string, err error) {
	switch {
	case err == nil:
		delete(w.broken, call)
	case w.asks.Err() != nil && errors.Is(err, context.Canceled): // nobody has waited for it
	case errors.Is(err, backend.ErrFenced):
		w.lose()
	default:
		w.broken[call] = true
		w.fault(err)
	}
	w.blind.Store(len(w.broken) > 0)
}

// hold notes that an execution is held; the caller holds mu.
func (w *worker) hold(c backend.Claimed) *execution {
	x := newExecution(w, c)
	if x.unborn = w.doubts.unborn[c.ID]; x.unborn {
		delete(w.doubts.unborn, c.ID)
	}
	w.held[c.ID] = x
	return x
}

// drive begins to drive an execution that is held.
func (w *worker) drive(x *execution) {
	w.options.Metrics.claimed()
	w.wg.Go(x.drive)
}

// gone is told that an execution is not held any more.
func (w *worker) gone(x *execution) {
	w.mu.Lock()
	var next *execution
	doubted := w.doubts.leaving[x.rec.ID] != nil
	again, back := w.again[x.rec.ID]
	delete(w.again, x.rec.ID)
	if back && !x.releasedTwice {
		next = w.hold(again)
	} else if w.held[x.rec.ID] == x {
		delete(w.held, x.rec.ID)
	}
	if x.releasedTwice { // whose it is now, the database tells
		w.doubts.released[x.rec.ID] = true
		doubted = true
		w.doubts.executions.Store(true)
	}
	empty := len(w.held) == 0
	if w.most = max(w.most, len(w.held)); empty && w.most > 1000 {
		w.held, w.most = make(map[string]*execution), 0 // a map does not shrink
	}
	w.mu.Unlock()
	if next != nil {
		defer w.drive(next)
	}
	if x.final == nil {
		w.engine.rests(x.rec.ID)
	}
	w.engine.changed(x.rec.ID, x.endsAt, x.asEnded)
	if x.final != nil {
		x.final.recycle()
	}
	if w.stopping.Load() {
		if empty {
			w.hint()
		}
		return
	}
	if !w.isClear() || doubted {
		w.hint()
	}
}

// receive hands the messages in the inboxes of what is held to its addressees. Those for an execution of which it is not known yet that
// it is stored are looked for again when it is.
func (w *worker) receive(ctx context.Context) error {
	pass := w.pass.Add(1)
	w.mu.Lock()
	none := len(w.held)+len(w.creating) == 0
	w.mu.Unlock()
	if none {
		return nil
	}
	messages, err := w.store.Receive(ctx, w.session)
	if err != nil {
		return err
	}
	w.mu.Lock()
	held := make([]*execution, 0, len(w.held))
	for _, x := range w.held {
		held = append(held, x)
	}
	byID := w.held
	to := make([]*execution, len(messages))
	for i := range messages {
		to[i] = byID[messages[i].Execution]
		w.early = w.early || to[i] == nil && w.creating[messages[i].Execution] > 0
	}
	w.mu.Unlock()
	for i, x := range to {
		if x != nil {
			x.deliver(&messages[i])
		}
	}
	for _, x := range held {
		x.forget(pass)
	}
	return nil
}

// forget drops what is known of messages taken before the look numbered pass
// began: no later look can return them.
func (x *execution) forget(pass int64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for id, at := range x.seen {
		if at != 0 && at < pass {
			delete(x.seen, id)
		}
	}
}

// drain stops in two phases: nothing new begins and what runs may end; at the
// deadline the rest is cut and handed back.
func (w *worker) drain() {
	w.stopping.Store(true)
	w.engine.tell(anybodys) // what was let go here is for others to look for
	w.pokeAll()
	limit := w.options.DrainTimeout
	if at := w.told.Load(); at != nil { // a database that does not answer may have held up the loop since
		limit -= time.Since(*at)
	}
	if w.drained(limit) {
		w.revokeSelf()
		return
	}
	w.cut.Store(true)
	w.cutAll()
	w.pokeAll()
	if !w.drained(2 * time.Second) {
		w.cancel() // commits that have no answer are given up while the session ends
	}
	w.revokeSelf()
}

// drained waits until nothing is held.
func (w *worker) drained(limit time.Duration) bool {
	ctx, cancel := context.WithTimeout(w.ctx, limit)
	defer cancel()
	for {
		w.mu.Lock()
		n := len(w.held) + len(w.tasks) + len(w.creating)
		w.mu.Unlock()
		if n == 0 {
			return true
		}
		select {
		case <-w.hints:
			if err := w.receive(ctx); ctx.Err() == nil {
				w.report("receive", err)
			}
		case <-ctx.Done():
			return w.ctx.Err() != nil
		}
	}
}

func (w *worker) pokeAll() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, x := range w.held {
		x.poke()
	}
}

// revokeSelf ends the session: what could not be released is free then. A database that does not answer is not waited for for long.
func (w *worker) revokeSelf() {
	limit := 5 * time.Second
	if w.faulty.Load() || w.ctx.Err() != nil {
		limit = 2 * time.Second
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	if err := w.store.Revoke(ctx, w.session); err != nil {
		w.log.Warn("session not closed; another worker will notice", "error", err)
	}
}
