// Branches: the baton, futures, waiting, cancelling, scopes.

package starlark

import (
	"cmp"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"

	star "go.starlark.net/starlark"
	"go.starlark.net/syntax"

	"github.com/senpuki/senpuki/internal/few"
)

const (
	// maxDepth is how deep calls may nest in one branch.
	maxDepth = 1000
	// maxBranchDepth is how deep branches may nest.
	maxBranchDepth = 100
	// tick is how many interpreter steps pass between two looks at depth and budget.
	tick = 1000
)

// script is one run of a program. Its fields belong to whoever holds the baton.
type script struct {
	host     Host
	prog     *Program
	function *star.Function // that the run began with
	known    Info
	maxSteps uint64 // a turn
	maxValue int
	ready    []*branch        // may go on; first come first served
	one      [1]*branch       // room for it when only one may
	blocked  []*branch        // wait for something
	settled  uint64           // futures that have settled
	pending  few.Map[*future] // by step: outcomes to come
	main     *branch
	live     int // branches other than main that have not ended
	running  *branch
	outside  int // branches that wait for something from outside that is no step
	open     []*condition
	last     []cleanup // what is to run when the execution ends, the last first
	fatal    error
	spent    uint64 // interpreter steps of this turn by branches that do not hold the baton

	signals  map[string][]arrived // by name, not yet consumed
	waits    few.Map[[]*future]   // by name: who waits for a signal, first come first served
	arrivals uint64               // signals so far
	shown    *shown
	next     *Continuation // how main has ended
	stale    bool          // something has run since the conditions were looked at
	cleaning bool          // clean-up functions run
	late     *Failure      // why a success counts no more, nil when it does

	wg sync.WaitGroup
}

// branch is a thread of the script.
type branch struct {
	s        *script
	path     string // "" for main
	depth    int
	ordinal  int
	thread   *star.Thread
	wake     chan struct{} // capacity 1: here is the baton; nil while b never gave it away
	mark     uint64        // the thread's steps when it got the baton
	scope    []*future     // what was started in this branch
	pruned   int           // its length when it was last pruned
	cancel   *Failure      // to be raised at the next wait
	over     *raised       // what stopped the thread: calls nest too deep, an iteration failed
	shields  int           // while not 0 a cancellation is kept pending
	closing  int           // awaits what it has cancelled
	stuck    *Failure      // a deadlock, raised whatever shields the branch
	queued   bool
	place    int             // among the blocked, from 1; 0: it is not blocked
	pure     string          // what forbids effects just now
	attempts int             // attempt(...) calls under way
	at       syntax.Position // where position was last asked for
	atText   string
	began    string // where it was asked for; "": main
	random   *generator
}

// next names the next step or branch of b.
func (b *branch) next() string {
	b.ordinal++
	if b.path == "" {
		return strconv.Itoa(b.ordinal)
	}
	return b.path + "." + strconv.Itoa(b.ordinal)
}

// branchOf returns a thread's branch, or an error while a module loads or where effects are forbidden.
func branchOf(thread *star.Thread, what string) (*branch, error) {
	b, err := readerOf(thread, what)
	if err != nil {
		return nil, err
	}
	return b, b.impure(what)
}

// readerOf is branchOf for what has no effect, and does not wait.
func readerOf(thread *star.Thread, what string) (*branch, error) {
	b := whose(thread)
	if b == nil {
		return nil, fmt.Errorf("%s is not available while a file loads: call it in a function", what)
	}
	return b, nil
}

// impure refuses an effect where there must be none.
func (b *branch) impure(what string) error {
	if b.pure == "" {
		return nil
	}
	return fmt.Errorf("%s is not available in %s", what, b.pure)
}

// purely calls fn with effects forbidden.
func (b *branch) purely(what string, fn star.Value, args star.Tuple, kwargs []star.Tuple) (star.Value, error) {
	before := b.pure
	b.pure = what
	v, err := b.call(fn, args, kwargs)
	b.pure = before
	return v, err
}

func (s *script) newBranch(path string, depth int) *branch {
	b := &branch{s: s, path: path, depth: depth, thread: &star.Thread{}}
	if path == "" {
		b.thread.Name = "main"
	} else {
		b.thread.Name = path
	}
	b.thread.Load = b.itself
	b.thread.Print, b.thread.OnMaxSteps = printLine, limits // not closures: there may be many branches
	return b
}

// whose returns a thread's branch, nil while a file loads. A branch loads nothing, so the loader of its thread can say
// whose it is: a local variable of the thread would cost every script that waits a map.
func whose(thread *star.Thread) *branch {
	if thread.Load == nil {
		return nil
	}
	_, answer := thread.Load(thread, "")
	me, _ := answer.(self)
	return me.branch
}

// self is what the loader of a branch's thread answers.
type self struct{ *branch }

func (self) Error() string { return "nothing is loaded while a script runs" }

func (b *branch) itself(*star.Thread, string) (star.StringDict, error) { return nil, self{b} }

// log keeps a line.
func (s *script) log(l Line) {
	l.Message = cut(l.Message, maxLine)
	s.host.Log(l)
}

func printLine(thread *star.Thread, msg string) {
	if b := whose(thread); b != nil {
		b.s.log(Line{Branch: b.path, Level: "print", Message: msg})
	}
}

func limits(thread *star.Thread) {
	if b := whose(thread); b != nil {
		b.limits()
	}
}

// limits looks after the turn's budget and the depth of calls, and whether the host wants the script to go on.
func (b *branch) limits() {
	t := b.thread
	if h, ok := b.s.host.(BusyHost); ok {
		if err := h.Busy(); err != nil {
			t.Cancel("unwound")
			b.s.unwind(err)
		}
	}
	switch {
	case b.s.spent+t.Steps-b.mark >= b.s.maxSteps:
		frame := t.CallFrame(0)
		t.Cancel("unwound")
		b.s.unwind(&StuckError{Reason: fmt.Sprintf("%s: the turn does not end: more than %d interpreter steps without a wait, in %s", frame.Pos, b.s.maxSteps, frame.Name)})
	case t.CallStackDepth() > maxDepth && b.over == nil:
		b.halt(raise("EvalError", "calls nest deeper than %d; does the function call itself without end?", maxDepth))
	}
	b.limit()
}

// limit sets the thread's next look.
func (b *branch) limit() {
	next := b.thread.Steps/tick*tick + tick
	if left := b.mark + b.s.maxSteps - b.s.spent; left > b.thread.Steps {
		next = min(next, left)
	}
	b.thread.SetMaxExecutionSteps(next)
}

// got notes that b holds the baton.
func (b *branch) got() {
	b.s.running = b
	b.mark = b.thread.Steps
	b.limit()
}

// call calls fn in b; errors come back with their fatal cause first.
func (b *branch) call(fn star.Value, args star.Tuple, kwargs []star.Tuple) (star.Value, error) {
	v, err := star.Call(b.thread, fn, args, kwargs)
	switch {
	case b.s.fatal != nil:
		return nil, errUnwind
	case b.over != nil:
		f := *b.over.f
		b.over = nil
		b.thread.Uncancel()
		var eval *star.EvalError
		if errors.As(err, &eval) {
			f.Traceback = joinTraceback(f.Traceback, trimStack(eval.CallStack))
		}
		return nil, &raised{&f}
	}
	return v, err
}

// halt stops the thread with an error where none can be returned. The next
// call or wait raises it; the script being unwound comes first.
func (b *branch) halt(err error) {
	if b.s.fatal != nil {
		b.thread.Cancel("unwound")
		return
	}
	if b.over == nil {
		b.over = &raised{failureOf(err)}
	}
	b.thread.Cancel(err.Error())
}

// halted is what stopped the thread, for a built-in that was called in spite of it.
func (b *branch) halted() error {
	if b.s.fatal != nil {
		return errUnwind
	}
	if r := b.over; r != nil {
		b.over = nil
		b.thread.Uncancel()
		return r
	}
	return nil
}

// unwind makes every branch end.
func (s *script) unwind(err error) {
	if s.fatal != nil {
		return
	}
	s.fatal = err
	if s.main != nil {
		s.main.thread.Cancel("unwound")
	}
	for _, b := range slices.Clone(s.blocked) {
		b.thread.Cancel("unwound")
		s.wakeUp(b)
	}
	for _, b := range s.ready {
		b.thread.Cancel("unwound")
	}
}

// rest notes that b waits.
func (s *script) rest(b *branch) {
	if b.place == 0 {
		s.blocked = append(s.blocked, b)
		b.place = len(s.blocked)
	}
}

// rise notes that b does not wait.
func (s *script) rise(b *branch) {
	if b.place == 0 {
		return
	}
	last := len(s.blocked) - 1
	other := s.blocked[last]
	s.blocked[b.place-1], other.place = other, b.place
	s.blocked[last] = nil
	s.blocked, b.place = s.blocked[:last], 0
}

func (s *script) wakeUp(b *branch) {
	s.rise(b)
	s.stale = true
	if !b.queued {
		b.queued = true
		s.ready = append(s.ready, b)
	}
}

// pop takes the next branch that may go on; nil when the script is at rest.
func (s *script) pop() *branch {
	if len(s.ready) == 0 {
		return nil
	}
	b := s.ready[0]
	if s.ready = s.ready[1:]; len(s.ready) == 0 {
		s.ready = s.one[:0]
	}
	b.queued = false
	return b
}

// following finds who goes on next, waiting for deliveries while nobody can.
func (s *script) following() *branch {
	for {
		if b := s.pop(); b != nil {
			return b
		}
		if s.look() {
			continue
		}
		if s.pending.Len() == 0 && s.outside == 0 && s.deadlock() {
			continue
		}
		if err := s.advance(); err != nil {
			s.unwind(err)
		}
	}
}

// advance waits for a delivery and applies it. A panic costs this script, not its neighbours.
func (s *script) advance() (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = &StuckError{Reason: fmt.Sprintf("internal error: %v\n%s", r, debug.Stack())}
		}
	}()
	s.publish()
	d, err := s.host.Wait()
	s.spent, s.stale = 0, true
	if err != nil {
		return err
	}
	return s.apply(d)
}

// deadlock fails branches when each waits for another and nothing can come from outside:
// the deepest, since those above may wait for no more than their end. Of these, the ones that
// await what they have cancelled give up last, and one by one.
func (s *script) deadlock() bool {
	all := slices.Clone(s.blocked)
	if len(all) == 0 {
		return false
	}
	slices.SortFunc(all, func(a, b *branch) int {
		return cmp.Or(cmp.Compare(b.depth, a.depth), cmp.Compare(min(a.closing, 1), min(b.closing, 1)), strings.Compare(a.path, b.path))
	})
	for i, b := range all {
		if i > 0 && (b.depth < all[0].depth || b.closing > 0) {
			break
		}
		b.stuck = &Failure{Kind: "EvalError", Message: "deadlock: every branch waits for another one"}
		s.wakeUp(b)
	}
	return true
}

// pause gives the baton away until b is woken; b is among the blocked.
func (b *branch) pause() {
	s := b.s
	s.spent += b.thread.Steps - b.mark
	next := s.following()
	if next != b {
		if b.wake == nil {
			b.wake = make(chan struct{}, 1)
		}
		next.wake <- struct{}{}
		<-b.wake
	}
	b.got()
	if s.fatal != nil {
		b.thread.Cancel("unwound")
	}
}

// block waits until ok; it fails when the script is unwound, and once when the
// branch is cancelled and not shielded.
func (b *branch) block(ok func() bool) error {
	if err := b.halted(); err != nil {
		return err
	}
	for {
		if b.s.fatal != nil {
			return errUnwind
		}
		if f := b.interrupted(); f != nil {
			return &raised{f}
		}
		if ok() {
			return nil
		}
		b.s.rest(b)
		b.pause()
	}
}

// interrupted takes what is to be raised at a wait.
func (b *branch) interrupted() *Failure {
	f := b.stuck
	if f != nil {
		b.stuck = nil
		return f
	}
	if b.shields == 0 {
		f, b.cancel = b.cancel, nil
	}
	return f
}

// interrupt raises a failure at the branch's next wait that is not shielded.
func (b *branch) interrupt(f *Failure) {
	if b.cancel == nil {
		b.cancel = f
	}
	if b.place > 0 {
		b.s.wakeUp(b)
	}
}

// issue asks the host for a command; a refusal is raised at the call. A script that is unwound asks for nothing, nor cancels.
func (s *script) issue(c Command) (err error) {
	if s.fatal != nil {
		return errUnwind
	}
	if w, ok := s.host.(Watcher); ok && s.running != nil {
		err = w.Watch(c, s.running.frames)
	}
	if err == nil {
		err = s.host.Issue(c)
	}
	if err == nil {
		return nil
	}
	var f *Failure
	if errors.As(err, &f) {
		return &raised{f}
	}
	s.unwind(err)
	return errUnwind
}

// apply hands a delivery to whom it is for.
func (s *script) apply(d Delivery) error {
	switch d.Kind {
	case StepOutcome:
		f := s.pending.At(d.Step)
		if f == nil {
			return fmt.Errorf("an outcome of step %s was delivered, which nobody waits for", d.Step)
		}
		s.pending.Delete(d.Step)
		if d.Failure != nil {
			f.settle(nil, d.Failure)
			return nil
		}
		v, err := decodeStored(d.Value)
		if err != nil {
			return fmt.Errorf("the outcome of step %s cannot be read: %w", d.Step, err)
		}
		f.settle(v, nil)
	case CancelExecution:
		f := d.Failure
		if f == nil {
			f = &Failure{Kind: "Cancelled", Message: "cancelled"}
		}
		if d.Final {
			s.late = f
		}
		s.main.interrupt(f)
	case SignalArrived:
		return s.signalled(d.Name, d.Value)
	default:
		return fmt.Errorf("unknown delivery %q", d.Kind)
	}
	return nil
}

// start issues a command and returns the future of its outcome, in b's scope.
func (b *branch) start(c Command) (*future, error) {
	if err := b.halted(); err != nil {
		return nil, err
	}
	if err := b.s.issue(c); err != nil {
		return nil, err
	}
	f := &future{s: b.s, step: c.Step, pos: c.Pos, timer: c.Kind == StartTimer}
	b.s.pending.Put(c.Step, f)
	b.scope = append(b.scope, f)
	return f, nil
}

// spawn starts fn in a branch of its own named path, in b's scope.
func (b *branch) spawn(path string, fn star.Value, args star.Tuple, kwargs []star.Tuple, pos string) (*future, error) {
	s := b.s
	if err := b.halted(); err != nil {
		return nil, err
	}
	if b.depth >= maxBranchDepth {
		return nil, raise("EvalError", "branches nest deeper than %d", maxBranchDepth)
	}
	c := s.newBranch(path, b.depth+1)
	c.wake, c.began = make(chan struct{}, 1), pos
	f := &future{s: s, step: path, pos: pos, branch: c}
	b.scope = append(b.scope, f)
	s.live++
	s.wg.Add(1)
	c.queued = true
	s.ready = append(s.ready, c)
	go func() {
		defer s.wg.Done()
		<-c.wake
		c.got()
		v, err := c.run(fn, args, kwargs)
		if err != nil {
			f.settle(nil, failureOf(err))
		} else {
			f.settle(v, nil)
		}
		c.exit()
	}()
	return f, nil
}

// exit ends a branch that is not main: the baton goes to whoever can go on.
func (b *branch) exit() {
	s := b.s
	s.spent += b.thread.Steps - b.mark
	if s.live--; s.live == 0 && s.fatal != nil && s.main.place > 0 {
		s.wakeUp(s.main)
	}
	s.following().wake <- struct{}{}
}
