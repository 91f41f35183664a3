// Branches: the baton, futures, waiting, cancelling, scopes.

package starlark

import (
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	startime "go.starlark.net/lib/time"
	star "go.starlark.net/starlark"
)

const (
	// maxDepth is how deep calls may nest in one branch.
	maxDepth = 1000
	// maxBranchDepth is how deep branches may nest.
	maxBranchDepth = 100
	// tick is how many interpreter steps pass between two looks at depth and budget.
	tick = 1000
	// localBranch is the key of a thread's branch.
	localBranch = "senpuki.branch"
)

// script is one run of a program. Its fields belong to whoever holds the baton.
type script struct {
	host    Host
	opts    Options
	ready   []*branch          // may go on; first come first served
	one     [1]*branch         // room for it when only one may
	blocked map[*branch]bool   // wait for something
	settled uint64             // futures that have settled
	pending map[string]*future // by step: outcomes to come
	main    *branch
	live    int // branches other than main that have not ended
	fatal   error
	spent   uint64 // interpreter steps of this turn by branches that do not hold the baton
	signals map[string][]star.Value
	wg      sync.WaitGroup
}

// branch is a thread of the script.
type branch struct {
	s       *script
	path    string // "" for main
	depth   int
	ordinal int
	thread  *star.Thread
	wake    chan struct{} // capacity 1: here is the baton
	mark    uint64        // the thread's steps when it got the baton
	scope   []*future     // what was started in this branch
	cancel  *Failure      // to be raised at the next wait
	over    *Failure      // calls nest too deep
	queued  bool
	pure    string // what forbids effects just now
	random  *generator
}

// future is an outcome to come: of a step or of a branch.
type future struct {
	s         *script
	step      string // name of the step, or the path of the branch
	pos       string // where it was asked for
	key       star.Value
	branch    *branch // when it is a branch
	timer     bool
	settled   bool
	order     uint64 // when it settled, among the script's futures
	value     star.Value
	failure   *Failure
	watches   []*watch
	read      bool // somebody has seen the outcome
	cancelled bool
}

// watch is a branch's wait for some of several futures.
type watch struct {
	b      *branch
	left   int     // not settled yet
	news   bool    // one has settled since the branch last looked
	unread bool    // failures that somebody has seen do not count
	failed *future // the first that failed
}

// next names the next step or branch of b.
func (b *branch) next() string {
	b.ordinal++
	if b.path == "" {
		return strconv.Itoa(b.ordinal)
	}
	return b.path + "." + strconv.Itoa(b.ordinal)
}

// branchOf returns a thread's branch, or an error while a module loads.
func branchOf(thread *star.Thread, what string) (*branch, error) {
	b, ok := thread.Local(localBranch).(*branch)
	switch {
	case !ok:
		return nil, fmt.Errorf("%s is not available while a file loads: call it in a function", what)
	case b.pure != "":
		return nil, fmt.Errorf("%s is not available in %s", what, b.pure)
	}
	return b, nil
}

func (s *script) newBranch(path string, depth int) *branch {
	b := &branch{s: s, path: path, depth: depth, thread: &star.Thread{}}
	if path == "" {
		b.thread.Name = "main"
	} else {
		b.thread.Name = path
	}
	b.thread.SetLocal(localBranch, b)
	startime.SetNow(b.thread, func() (time.Time, error) { return s.host.Now().UTC(), nil })
	b.thread.Print = func(_ *star.Thread, msg string) { s.host.Log(Line{Branch: b.path, Level: "print", Message: msg}) }
	b.thread.OnMaxSteps = func(*star.Thread) { b.limits() }
	return b
}

// limits looks after the turn's budget and the depth of calls.
func (b *branch) limits() {
	t := b.thread
	switch {
	case b.s.spent+t.Steps-b.mark >= b.s.opts.MaxSteps:
		frame := t.CallFrame(0)
		t.Cancel("unwound")
		b.s.unwind(&StuckError{Reason: fmt.Sprintf("%s: the turn does not end: more than %d interpreter steps without a wait, in %s", frame.Pos, b.s.opts.MaxSteps, frame.Name)})
	case t.CallStackDepth() > maxDepth && b.over == nil:
		b.over = &Failure{Kind: "EvalError", Message: fmt.Sprintf("calls nest deeper than %d; does the function call itself without end?", maxDepth)}
		t.Cancel(b.over.Message)
	}
	b.limit()
}

// limit sets the thread's next look.
func (b *branch) limit() {
	next := b.thread.Steps/tick*tick + tick
	if left := b.mark + b.s.opts.MaxSteps - b.s.spent; left > b.thread.Steps {
		next = min(next, left)
	}
	b.thread.SetMaxExecutionSteps(next)
}

// got notes that b holds the baton.
func (b *branch) got() {
	b.mark = b.thread.Steps
	b.limit()
}

// call calls fn in b; errors come back with their fatal cause first.
func (b *branch) call(fn star.Value, args star.Tuple, kwargs []star.Tuple) (star.Value, error) {
	v, err := star.Call(b.thread, fn, args, kwargs)
	switch {
	case b.s.fatal != nil:
		return nil, errUnwind
	case err != nil && b.over != nil:
		f := *b.over
		b.over = nil
		b.thread.Uncancel()
		var eval *star.EvalError
		if errors.As(err, &eval) {
			f.Traceback = trimStack(eval.CallStack)
		}
		return nil, &raised{&f}
	}
	return v, err
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
	for b := range s.blocked {
		b.thread.Cancel("unwound")
		s.wakeUp(b)
	}
	for _, b := range s.ready {
		b.thread.Cancel("unwound")
	}
}

func (s *script) wakeUp(b *branch) {
	delete(s.blocked, b)
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
		if len(s.pending) == 0 && s.deadlock() {
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
	d, err := s.host.Wait()
	s.spent = 0
	if err != nil {
		return err
	}
	return s.apply(d)
}

// deadlock fails every branch when each waits for another and nothing can come from outside.
func (s *script) deadlock() bool {
	all := make([]*branch, 0, len(s.blocked))
	for b := range s.blocked {
		all = append(all, b)
	}
	slices.SortFunc(all, func(a, b *branch) int { return strings.Compare(a.path, b.path) })
	for _, b := range all {
		b.interrupt(&Failure{Kind: "EvalError", Message: "deadlock: every branch waits for another one"})
	}
	return len(all) > 0
}

// pause gives the baton away until b is woken; b is among the blocked.
func (b *branch) pause() {
	s := b.s
	s.spent += b.thread.Steps - b.mark
	next := s.following()
	if next != b {
		next.wake <- struct{}{}
		<-b.wake
	}
	b.got()
	if s.fatal != nil {
		b.thread.Cancel("unwound")
	}
}

// block waits until ok; it fails when the script is unwound, and once when the branch is cancelled.
func (b *branch) block(ok func() bool) error {
	for {
		switch {
		case b.s.fatal != nil:
			return errUnwind
		case b.cancel != nil:
			f := b.cancel
			b.cancel = nil
			return &raised{f}
		case ok():
			return nil
		}
		b.s.blocked[b] = true
		b.pause()
	}
}

// wait blocks until f has settled.
func (b *branch) wait(f *future) error {
	if f.settled && b.cancel == nil && b.s.fatal == nil {
		return nil
	}
	f.watches = append(f.watches, &watch{b: b})
	return b.block(func() bool { return f.settled })
}

// watchAll begins to watch futures.
func (b *branch) watchAll(list []*future) *watch {
	w := &watch{b: b}
	for _, f := range list {
		w.add(f)
	}
	return w
}

func (w *watch) add(f *future) {
	if !f.settled {
		w.left++
		f.watches = append(f.watches, w)
		return
	}
	w.note(f)
}

// note takes notice of a future that has settled.
func (w *watch) note(f *future) {
	w.news = true
	if f.failure != nil && !(w.unread && f.read) && (w.failed == nil || f.order < w.failed.order) {
		w.failed = f
	}
}

// waitAll blocks until all have settled.
func (b *branch) waitAll(list []*future) error {
	w := b.watchAll(list)
	return b.block(func() bool { return w.left == 0 })
}

// settle gives f its outcome and wakes who waits.
func (f *future) settle(v star.Value, failure *Failure) {
	if f.settled {
		return
	}
	f.settled, f.value, f.failure = true, v, failure
	f.s.settled++
	f.order = f.s.settled
	for _, w := range f.watches {
		w.left--
		w.note(f)
		if f.s.blocked[w.b] {
			f.s.wakeUp(w.b)
		}
	}
	f.watches = nil
}

// outcome is what f settled with.
func (f *future) outcome() (star.Value, error) {
	f.read = true
	if f.failure != nil {
		return nil, &raised{f.failure}
	}
	return f.value, nil
}

// abandon cancels f when it has not settled; its outcome is still awaited by its scope.
func (f *future) abandon() error {
	f.read = true
	if f.settled || f.cancelled {
		return nil
	}
	f.cancelled = true
	if f.branch != nil {
		f.branch.interrupt(&Failure{Kind: "Cancelled", Message: "cancelled"})
		return nil
	}
	return f.s.issue(Command{Kind: CancelStep, Step: f.step})
}

// interrupt raises a failure at the branch's next wait.
func (b *branch) interrupt(f *Failure) {
	if b.cancel == nil {
		b.cancel = f
	}
	if b.s.blocked[b] {
		b.s.wakeUp(b)
	}
}

// issue asks the host for a command; a refusal is raised at the call.
func (s *script) issue(c Command) error {
	err := s.host.Issue(c)
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
		f := s.pending[d.Step]
		if f == nil {
			return fmt.Errorf("an outcome of step %s was delivered, which nobody waits for", d.Step)
		}
		delete(s.pending, d.Step)
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
		s.main.interrupt(f)
	case SignalArrived:
		v, err := decodeStored(d.Value)
		if err != nil {
			return fmt.Errorf("signal %s cannot be read: %w", d.Name, err)
		}
		s.signals[d.Name] = append(s.signals[d.Name], v)
	default:
		return fmt.Errorf("unknown delivery %q", d.Kind)
	}
	return nil
}

// start issues a command and returns the future of its outcome, in b's scope.
func (b *branch) start(c Command) (*future, error) {
	if b.s.fatal != nil {
		return nil, errUnwind
	}
	if err := b.s.issue(c); err != nil {
		return nil, err
	}
	f := &future{s: b.s, step: c.Step, pos: c.Pos, timer: c.Kind == StartTimer, key: star.None}
	b.s.pending[c.Step] = f
	b.scope = append(b.scope, f)
	return f, nil
}

// spawn starts fn in a branch of its own named path, in b's scope.
func (b *branch) spawn(path string, fn star.Value, args star.Tuple, kwargs []star.Tuple) (*future, error) {
	s := b.s
	if s.fatal != nil {
		return nil, errUnwind
	}
	if b.depth >= maxBranchDepth {
		return nil, raise("EvalError", "branches nest deeper than %d", maxBranchDepth)
	}
	c := s.newBranch(path, b.depth+1)
	c.wake = make(chan struct{}, 1)
	f := &future{s: s, step: path, branch: c, key: star.None}
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
	if s.live--; s.live == 0 && s.fatal != nil && s.blocked[s.main] {
		s.wakeUp(s.main)
	}
	s.following().wake <- struct{}{}
}

// run calls fn and closes the scope of b: what was started in it is awaited,
// or cancelled and awaited when fn fails.
func (b *branch) run(fn star.Value, args star.Tuple, kwargs []star.Tuple) (_ star.Value, err error) {
	defer func() { // a fault of the interpreter or of ours costs this script, not its neighbours
		if r := recover(); r != nil {
			b.s.unwind(&StuckError{Reason: fmt.Sprintf("internal error in branch %q: %v\n%s", b.path, r, debug.Stack())})
			delete(b.s.blocked, b)
			b.s.ready = slices.DeleteFunc(b.s.ready, func(o *branch) bool { return o == b })
			b.queued = false
			err = errUnwind
		}
	}()
	if b.s.fatal != nil { // built-ins do not look at a cancelled thread
		return nil, errUnwind
	}
	if b.cancel != nil { // cancelled before it began
		f := b.cancel
		b.cancel = nil
		return nil, &raised{f}
	}
	v, err := b.call(fn, args, kwargs)
	if b.s.fatal != nil {
		return nil, errUnwind
	}
	if err == nil {
		err = b.closeScope()
	}
	if err != nil {
		if unwound := b.cancelScope(); unwound != nil {
			return nil, unwound
		}
		return nil, err
	}
	return v, nil
}

// closeScope awaits what b started; an unread failure is raised.
func (b *branch) closeScope() error {
	for _, f := range b.scope {
		if f.timer {
			if err := f.abandon(); err != nil {
				return err
			}
		}
	}
	w := &watch{b: b, unread: true}
	for _, f := range b.scope {
		w.add(f)
	}
	if err := b.block(func() bool { return w.left == 0 || w.failed != nil }); err != nil {
		return err
	}
	if w.failed != nil {
		w.failed.read = true
		failure := *w.failed.failure
		if failure.Traceback == "" && w.failed.pos != "" {
			failure.Traceback = "Traceback (most recent call last):\n  " + w.failed.pos + ": started here and not awaited\n"
		}
		return &raised{&failure}
	}
	b.scope = nil
	return nil
}

// cancelScope cancels and awaits what b started. Being cancelled again does not stop it.
func (b *branch) cancelScope() error {
	return b.cancelAll(b.scope)
}

func (b *branch) cancelAll(list []*future) error {
	for _, f := range list {
		if err := f.abandon(); err != nil {
			return err
		}
	}
	for {
		if err := b.waitAll(list); err == nil || err == errUnwind {
			return err
		}
	}
}
