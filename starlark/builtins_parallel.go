// Built-ins: parallel, its map and starmap, spawn, bind.

package starlark

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	star "go.starlark.net/starlark"
)

// bound is a callable with arguments: bind(fn, ...).
type bound struct {
	fn     star.Callable
	args   star.Tuple
	kwargs []star.Tuple
}

func (p *bound) String() string { return "bind(" + p.fn.Name() + ")" }
func (p *bound) Type() string   { return "bind" }
func (p *bound) Freeze() {
	p.fn.Freeze()
	p.args.Freeze()
	for _, kv := range p.kwargs {
		kv.Freeze()
	}
}
func (p *bound) Truth() star.Bool      { return true }
func (p *bound) Hash() (uint32, error) { return p.fn.Hash() }
func (p *bound) Name() string          { return p.fn.Name() }

func (p *bound) CallInternal(thread *star.Thread, args star.Tuple, kwargs []star.Tuple) (star.Value, error) {
	fn, args, kwargs := p.flat(args, kwargs)
	return star.Call(thread, fn, args, kwargs)
}

// flat joins the bound arguments with those of a call.
func (p *bound) flat(args star.Tuple, kwargs []star.Tuple) (star.Callable, star.Tuple, []star.Tuple) {
	return p.fn, append(p.args[:len(p.args):len(p.args)], args...), append(p.kwargs[:len(p.kwargs):len(p.kwargs)], kwargs...)
}

func bindBuiltin(_ *star.Thread, args star.Tuple, kwargs []star.Tuple) (star.Value, error) {
	fn, rest, err := callableFirst("bind", args)
	if err != nil {
		return nil, err
	}
	if p, ok := fn.(*bound); ok { // flat, so that a long chain does not nest
		fn, rest, kwargs = p.flat(rest, kwargs)
	}
	return &bound{fn: fn, args: rest, kwargs: kwargs}, nil
}

// callableFirst takes the callable off the front of arguments.
func callableFirst(what string, args star.Tuple) (star.Callable, star.Tuple, error) {
	if len(args) == 0 {
		return nil, nil, fmt.Errorf("%s: wants a function as its first argument", what)
	}
	fn, ok := args[0].(star.Callable)
	if !ok {
		return nil, nil, fmt.Errorf("%s: wants a function as its first argument, got %s; write %s(fn, args...), not %s(fn(args))", what, args[0].Type(), what, what)
	}
	return fn, args[1:], nil
}

// task is one callable of a group with its arguments, or a future that runs already.
type task struct {
	fn      star.Value
	args    star.Tuple
	key     star.Value
	future  *future  // also once it was launched
	channel *channel // the next signal of a name
}

// launch starts a task under the name path, in b's scope: an activity is a
// step of that name, anything else a branch.
func (b *branch) launch(path string, t *task, pos string) (*future, error) {
	if t.future != nil {
		if t.future.s != b.s {
			return nil, errForeign
		}
		return t.future, nil
	}
	if t.channel != nil {
		return t.channel.listen(b, path, pos)
	}
	fn, args, kwargs := t.fn, t.args, []star.Tuple(nil)
	for {
		p, ok := fn.(*bound)
		if !ok {
			break
		}
		fn, args, kwargs = p.flat(args, kwargs)
	}
	if h, ok := fn.(stepHandle); ok {
		return h.begin(b, path, args, kwargs, pos)
	}
	return b.spawn(path, fn, args, kwargs, pos)
}

// until says when a group has ended before all its tasks have settled.
type until int

const (
	allSettled until = iota
	firstFailure
	firstSettled
	firstSuccess
)

// group runs tasks at once, at most limit of them at a time.
type group struct {
	b      *branch
	name   string
	what   string // for errors
	pos    string
	tasks  []task
	limit  int
	next   int // index of the task to be launched next
	all    []*future
	watch  *watch
	until  until
	kept   int // length of the scope before
	timer  *future
	period time.Duration
}

func (b *branch) newGroup(what string, tasks []task, limit int, end until, pos string) *group {
	b.hintLateBound(what, tasks)
	if limit <= 0 {
		limit = len(tasks)
	}
	g := &group{b: b, name: b.next(), what: what, pos: pos, tasks: tasks, limit: limit, until: end, kept: len(b.scope), watch: &watch{b: b}}
	if h, ok := b.s.host.(FanOutHost); ok && len(tasks) > 1 {
		h.FanOut(g.name, len(tasks))
	}
	return g
}

// decider is the future that ended the group early, if one did.
func (g *group) decider() *future {
	switch g.until {
	case firstFailure:
		return g.watch.failed
	case firstSettled:
		return g.watch.first
	case firstSuccess:
		return g.watch.won
	}
	return nil
}

// ended: nothing is left to wait for.
func (g *group) ended() bool {
	return g.decider() != nil || g.watch.left == 0 && g.next == len(g.tasks)
}

// late: the time was over before the group had ended.
func (g *group) late() bool {
	if g.timer == nil || !g.timer.settled {
		return false
	}
	if d := g.decider(); d != nil {
		return g.timer.order < d.order
	}
	return !g.ended()
}

// fill launches tasks while there is room. A task that is refused has failed.
func (g *group) fill() error {
	for g.next < len(g.tasks) && g.watch.left < g.limit && g.decider() == nil {
		t := &g.tasks[g.next]
		g.next++
		f, err := g.b.launch(g.name+"."+strconv.Itoa(g.next), t, g.pos)
		if err == errUnwind {
			return err
		}
		if err != nil {
			f = &future{s: g.b.s}
			f.settle(nil, failureOf(err))
		}
		t.future = f
		g.all = append(g.all, f)
		g.watch.add(f)
	}
	return nil
}

// await runs the group to its end, or to what decides it.
func (g *group) await() error {
	if g.period > 0 {
		var err error
		if g.timer, err = g.b.startLimit(g.period, g.pos); err != nil {
			return err
		}
		g.timer.watches = append(g.timer.watches, &watch{b: g.b})
	}
	if g.until != allSettled {
		for _, t := range g.tasks { // what has settled before counts in the order of its settling
			if t.future != nil && t.future.settled && t.future.s == g.b.s {
				g.watch.note(t.future)
			}
		}
	}
	for {
		if err := g.fill(); err != nil {
			return err
		}
		if g.ended() {
			return nil
		}
		g.watch.news = false
		err := g.b.block(func() bool {
			return g.late() || g.ended() || g.watch.news && g.watch.left < g.limit && g.next < len(g.tasks)
		})
		switch {
		case err != nil:
			return err
		case g.late():
			return raise("Timeout", "%s did not end within %v", g.what, g.period)
		}
	}
}

// close takes the group out of the branch's scope: what has not settled is cancelled and awaited.
func (g *group) close() error {
	list := g.all
	for _, t := range g.tasks[g.next:] {
		if t.future != nil && t.future.s == g.b.s {
			list = append(list, t.future)
		}
	}
	if g.timer != nil {
		list = append(list, g.timer)
	}
	g.watch.end(g.all)
	if err := g.b.cancelAll(list); err != nil {
		return err
	}
	g.b.scope = g.b.scope[:min(g.kept, len(g.b.scope))]
	return nil
}

// run runs the group; the error is the first failure of one that ends at it.
func (g *group) run() error {
	err := g.await()
	if err == errUnwind {
		return err
	}
	decider := g.decider()
	switch { // a signal that is taken does not go back into its line
	case err != nil:
	case decider != nil:
		decider.read = true
	default:
		for _, f := range g.all {
			f.read = true
		}
	}
	if unwound := g.close(); unwound != nil {
		return unwound
	}
	if err == nil && g.until == firstFailure && decider != nil {
		_, err = decider.outcome()
	}
	return err
}

// winner is the task that decided the group.
func (g *group) winner(f *future) *task {
	i := slices.IndexFunc(g.tasks, func(t task) bool { return t.future == f })
	return &g.tasks[i]
}

// results are the outcomes in the order of the tasks: values, or Results when settled.
func (g *group) results(settle bool) []star.Value {
	vs := make([]star.Value, len(g.all))
	for i, f := range g.all {
		f.read = true
		switch {
		case !settle:
			vs[i] = f.value
		case f.failure != nil:
			vs[i] = &Result{err: &Error{f: f.failure}}
		default:
			vs[i] = asResult(f.value)
		}
	}
	return vs
}

// asResult makes a Result of a value; a Result stays what it is.
func asResult(v star.Value) *Result {
	if r, ok := v.(*Result); ok {
		return r
	}
	return &Result{value: v}
}

// parallel is the callable value parallel, with its methods map and starmap.
type parallel struct{}

func (parallel) String() string        { return "<built-in function parallel>" }
func (parallel) Type() string          { return "builtin_function_or_method" }
func (parallel) Freeze()               {}
func (parallel) Truth() star.Bool      { return true }
func (parallel) Hash() (uint32, error) { return hashText("parallel"), nil }
func (parallel) Name() string          { return "parallel" }
func (parallel) AttrNames() []string   { return []string{"map", "starmap"} }

func (parallel) Attr(name string) (star.Value, error) {
	if name != "map" && name != "starmap" {
		return nil, nil
	}
	return method("parallel."+name, func(thread *star.Thread, args star.Tuple, kwargs []star.Tuple) (star.Value, error) {
		args, kwargs, err := byPlace("parallel."+name, args, kwargs, "fn", itemsName(name))
		if err != nil {
			return nil, err
		}
		fn, rest, err := callableFirst("parallel."+name, args)
		if err != nil {
			return nil, err
		}
		return mapOver(thread, "parallel."+name, fn, rest, kwargs, name == "starmap")
	}), nil
}

// itemsName is what map and starmap call their items.
func itemsName(method string) string {
	if method == "starmap" {
		return "tuples"
	}
	return "items"
}

// groupOptions are the keyword arguments of everything that runs a group.
type groupOptions struct {
	limit   int
	settle  bool
	timeout time.Duration
}

func (o *groupOptions) until() until {
	if o.settle {
		return allSettled
	}
	return firstFailure
}

func (o *groupOptions) parse(what string, kwargs []star.Tuple) error {
	var limit, timeout star.Value
	if err := star.UnpackArgs(what, nil, kwargs, "limit??", &limit, "settle?", &o.settle, "timeout??", &timeout); err != nil {
		return err
	}
	if limit != nil {
		n, err := star.AsInt32(limit)
		if err != nil || n < 1 {
			return fmt.Errorf("%s: limit is an int of at least 1, got %s", what, repr(limit))
		}
		o.limit = n
	}
	if timeout != nil {
		d, err := positiveDuration(timeout)
		if err != nil {
			return fmt.Errorf("%s: timeout: %w", what, err)
		}
		o.timeout = *d
	}
	return nil
}

func (parallel) CallInternal(thread *star.Thread, args star.Tuple, kwargs []star.Tuple) (star.Value, error) {
	b, err := branchOf(thread, "parallel")
	if err != nil {
		return nil, err
	}
	args, kwargs, err = byPlace("parallel", args, kwargs, "tasks")
	if err != nil {
		return nil, err
	}
	var o groupOptions
	if err := o.parse("parallel", kwargs); err != nil {
		return nil, err
	}
	tasks, dict, err := tasksOf("parallel", args)
	if err != nil {
		return nil, err
	}
	g := b.newGroup("parallel", tasks, o.limit, o.until(), position(thread, 1))
	g.period = o.timeout
	if err := g.run(); err != nil {
		return nil, err
	}
	values := g.results(o.settle)
	if !dict {
		return star.NewList(values), nil
	}
	d := star.NewDict(len(values))
	for i, v := range values {
		if err := d.SetKey(tasks[i].key, v); err != nil {
			return nil, err
		}
	}
	return d, nil
}

// tasksOf reads a list or dict of callables and futures, or the tasks as arguments.
func tasksOf(what string, args star.Tuple) (tasks []task, dict bool, err error) {
	if len(args) == 1 {
		switch v := args[0].(type) {
		case *star.Dict:
			for _, kv := range v.Items() {
				t, err := taskOf(what, kv[1])
				if err != nil {
					return nil, false, err
				}
				t.key = kv[0]
				tasks = append(tasks, t)
			}
			return tasks, true, nil
		case star.Callable, *Future:
		default:
			it := star.Iterate(v)
			if it == nil {
				return nil, false, fmt.Errorf("%s: wants a list or dict of functions, got %s", what, v.Type())
			}
			defer it.Done()
			args = nil
			var item star.Value
			for it.Next(&item) {
				if _, err := taskOf(what, item); err != nil { // now: there may be no end of them
					return nil, false, err
				}
				args = append(args, item)
			}
		}
	}
	for i, v := range args {
		t, err := taskOf(what, v)
		if err != nil {
			return nil, false, err
		}
		t.key = star.MakeInt(i)
		tasks = append(tasks, t)
	}
	return tasks, false, nil
}

func taskOf(what string, v star.Value) (task, error) {
	switch v := v.(type) {
	case *Future:
		return task{future: v.f}, nil
	case *channel:
		return task{channel: v}, nil
	case star.Callable:
		return task{fn: v}, nil
	}
	return task{}, fmt.Errorf("%s: a task is a function or a Future, got %s; write bind(fn, args...), not fn(args)", what, v.Type())
}

// mapOver runs fn over items.
func mapOver(thread *star.Thread, what string, fn star.Callable, args star.Tuple, kwargs []star.Tuple, spread bool) (star.Value, error) {
	b, err := branchOf(thread, what)
	if err != nil {
		return nil, err
	}
	var o groupOptions
	if err := o.parse(what, kwargs); err != nil {
		return nil, err
	}
	if len(args) != 1 {
		return nil, fmt.Errorf("%s: wants the items, got %d arguments", what, len(args))
	}
	if err := countItems(thread, what, args[0]); err != nil {
		return nil, err
	}
	it := star.Iterate(args[0])
	if it == nil {
		hint := ""
		if _, text := args[0].(star.String); text {
			hint = "; " + splitText
		}
		return nil, fmt.Errorf("%s: the items are a list, got %s%s", what, args[0].Type(), hint)
	}
	var tasks []task
	var item star.Value
	for it.Next(&item) {
		t := task{fn: fn, args: star.Tuple{item}}
		if spread {
			if t.args, err = spreadArgs(thread, what, item); err != nil {
				break
			}
		}
		tasks = append(tasks, t)
	}
	it.Done()
	if err != nil {
		return nil, err
	}
	g := b.newGroup(what, tasks, o.limit, o.until(), position(thread, 1))
	g.period = o.timeout
	if err := g.run(); err != nil {
		return nil, err
	}
	return star.NewList(g.results(o.settle)), nil
}

func spreadArgs(thread *star.Thread, what string, item star.Value) (star.Tuple, error) {
	if err := countItems(thread, what, item); err != nil {
		return nil, err
	}
	it := star.Iterate(item)
	if it == nil {
		return nil, fmt.Errorf("%s: each item is a tuple of arguments, got %s", what, item.Type())
	}
	defer it.Done()
	args := star.Tuple{}
	var v star.Value
	for it.Next(&v) {
		args = append(args, v)
	}
	return args, nil
}

func spawnBuiltin(thread *star.Thread, args star.Tuple, kwargs []star.Tuple) (star.Value, error) {
	b, err := branchOf(thread, "spawn")
	if err != nil {
		return nil, err
	}
	fn, rest, err := callableFirst("spawn", args)
	if err != nil {
		return nil, err
	}
	b.prune()
	f, err := b.launch(b.next(), &task{fn: &bound{fn: fn, args: rest, kwargs: kwargs}}, position(thread, 1))
	if err != nil {
		return nil, err
	}
	if f.child != nil && f.child.policy == closeCancel {
		f.child.policy = closeSpawned
	}
	return &Future{f: f}, nil
}

var (
	_ star.Callable = (*bound)(nil)
	_ star.Callable = parallel{}
	_ star.HasAttrs = parallel{}
)
