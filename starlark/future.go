// Futures and waiting for them.

package starlark

import (
	"slices"

	star "go.starlark.net/starlark"
)

// future is an outcome to come: of a step or of a branch.
type future struct {
	s         *script
	step      string    // name of the step, or the path of the branch
	pos       string    // where it was asked for
	branch    *branch   // when it is a branch
	signal    string    // name, when it is a wait for a signal
	arrived   arrived   // the signal that settled it
	child     *childRef // when it is a child execution
	order     uint64    // when it settled, among the script's futures
	value     star.Value
	failure   *Failure
	watches   []*watch
	timer     bool
	settled   bool
	read      bool // somebody has seen the outcome
	cancelled bool
}

// watch is a branch's wait for some of several futures.
type watch struct {
	b       *branch
	left    int     // not settled yet
	news    bool    // one has settled since the branch last looked
	unread  bool    // failures that somebody has seen do not count
	first   *future // the first that settled
	won     *future // the first that succeeded
	failed  *future // the first that failed
	collect bool    // keep those that have settled
	settled []*future
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
		if w.b.place > 0 {
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
	read := f.read
	f.read = true
	if f.signal != "" {
		return f.unlisten(read)
	}
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

// wait blocks until f has settled.
func (b *branch) wait(f *future) error {
	w := &watch{b: b}
	w.add(f)
	err := b.block(func() bool { return f.settled })
	if err != nil {
		w.end([]*future{f})
	}
	return err
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

// end stops watching futures.
func (w *watch) end(list []*future) {
	for _, f := range list {
		if !f.settled {
			f.watches = slices.DeleteFunc(f.watches, func(o *watch) bool { return o == w })
		}
	}
}

// note takes notice of a future that has settled.
func (w *watch) note(f *future) {
	w.news = true
	if w.collect {
		w.settled = append(w.settled, f)
	}
	earliest(&w.first, f)
	if f.failure == nil {
		earliest(&w.won, f)
	} else if !w.unread || !f.read {
		earliest(&w.failed, f)
	}
}

// earliest keeps the future that settled first.
func earliest(best **future, f *future) {
	if *best == nil || f.order < (*best).order {
		*best = f
	}
}

// waitAll blocks until all have settled.
func (b *branch) waitAll(list []*future) error {
	w := b.watchAll(list)
	err := b.block(func() bool { return w.left == 0 })
	if err != nil {
		w.end(list)
	}
	return err
}
