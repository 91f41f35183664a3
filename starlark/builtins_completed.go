// Built-in: as_completed, a durable iterator.

package starlark

import (
	"cmp"
	"slices"
	"strconv"
	"time"

	star "go.starlark.net/starlark"
)

// completion is what as_completed returns: futures to be had in the order in which they settle.
type completion struct {
	s      *script
	list   []*future
	values map[*future][]*Future // by outcome, since one may be there twice
	waits  []*future             // for signals, begun here, and not had by any loop
	timer  *future
	period time.Duration
	open   int // iterators that are in use
}

func (c *completion) String() string        { return "as_completed(...)" }
func (c *completion) Type() string          { return "as_completed" }
func (c *completion) Freeze()               {}
func (c *completion) Truth() star.Bool      { return true }
func (c *completion) Hash() (uint32, error) { return hashText(c.String()), nil }

func asCompletedBuiltin(thread *star.Thread, args star.Tuple, kwargs []star.Tuple) (star.Value, error) {
	const what = "as_completed"
	b, err := branchOf(thread, what)
	if err != nil {
		return nil, err
	}
	args, kwargs, err = byPlace(what, args, kwargs, "futures")
	if err != nil {
		return nil, err
	}
	period, err := timeoutOption(what, kwargs, positiveDuration)
	if err != nil {
		return nil, err
	}
	tasks, _, err := tasksOf(what, args)
	if err != nil {
		return nil, err
	}
	b.prune()
	c := &completion{s: b.s, values: make(map[*future][]*Future, len(tasks))}
	name, pos := b.next(), position(thread, 1)
	for i := range tasks {
		f, err := b.launch(name+"."+strconv.Itoa(i+1), &tasks[i], pos)
		if err == errUnwind {
			return nil, err
		}
		if err != nil {
			f = &future{s: b.s}
			f.settle(nil, failureOf(err))
		}
		if tasks[i].channel != nil {
			c.waits = append(c.waits, f)
		}
		c.list = append(c.list, f)
		c.values[f] = append(c.values[f], &Future{f: f, key: tasks[i].key})
	}
	if period != nil {
		c.period = *period
		if c.timer, err = b.startLimit(c.period, pos); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// Iterate begins to go through the futures.
func (c *completion) Iterate() star.Iterator {
	b := c.s.running
	c.open++
	it := &completionIterator{c: c, b: b, watch: &watch{b: b, collect: true}}
	for _, f := range c.list {
		it.watch.add(f)
	}
	slices.SortStableFunc(it.watch.settled, func(f, g *future) int { return cmp.Compare(f.order, g.order) })
	if c.timer != nil && !c.timer.settled {
		c.timer.watches = append(c.timer.watches, &watch{b: b})
	}
	return it
}

// completionIterator waits in Next. An iterator can neither fail nor see who
// calls it: its branch is the one that ran when it was made, and an error halts that.
type completionIterator struct {
	c     *completion
	b     *branch
	watch *watch
	next  int             // of the settled ones
	again map[*future]int // values of an outcome that were had
}

// Next waits for the next future.
func (it *completionIterator) Next(p *star.Value) bool {
	if it.next == len(it.c.list) {
		it.end()
		return false
	}
	if err := it.await(); err != nil {
		it.b.halt(err)
		return false
	}
	f := it.watch.settled[it.next]
	it.next++
	it.c.waits = slices.DeleteFunc(it.c.waits, func(o *future) bool { return o == f })
	values := it.c.values[f]
	*p = values[0]
	if len(values) > 1 {
		if it.again == nil {
			it.again = make(map[*future]int)
		}
		*p = values[it.again[f]]
		it.again[f]++
	}
	return true
}

// await blocks until there is a next future; when the time is over the others are cancelled.
func (it *completionIterator) await() error {
	if err := it.b.impure("as_completed"); err != nil {
		return err
	}
	err := it.b.block(func() bool { return it.next < len(it.watch.settled) || it.late() })
	if err != nil || !it.late() {
		return err
	}
	if err := it.b.cancelAll(it.c.list); err != nil {
		return err
	}
	return raise("Timeout", "as_completed did not end within %v", it.c.period)
}

// late: the time was over before the next future settled.
func (it *completionIterator) late() bool {
	timer := it.c.timer
	if timer == nil || !timer.settled || timer.failure != nil {
		return false
	}
	return it.next == len(it.watch.settled) || timer.order < it.watch.settled[it.next].order
}

// end awaits the end of the timer after the last future.
func (it *completionIterator) end() {
	if it.c.timer == nil || it.c.timer.settled || it.b.s.fatal != nil || it.b.pure != "" {
		return
	}
	if err := it.b.cancelAll([]*future{it.c.timer}); err != nil {
		it.b.halt(err)
	}
}

// Done stops watching. The futures go on, in the scope they were started in. With the last loop their time is over,
// and nobody waits any more for signals that no loop has had.
func (it *completionIterator) Done() {
	it.watch.end(it.c.list)
	it.c.open--
	if it.c.open > 0 || it.b.s.fatal != nil || it.b.pure != "" {
		return
	}
	over := it.c.waits
	if it.c.timer != nil {
		over = append(over, it.c.timer)
	}
	for _, f := range over {
		if err := f.abandon(); err != nil {
			it.b.halt(err)
			return
		}
	}
}

var _ star.Iterable = (*completion)(nil)
