// Built-ins: race, first_ok, select.

package starlark

import (
	"errors"
	"fmt"
	"strconv"

	star "go.starlark.net/starlark"
)

func raceBuiltin(thread *star.Thread, args star.Tuple, kwargs []star.Tuple) (star.Value, error) {
	return race(thread, "race", args, kwargs, firstSettled)
}

func firstOkBuiltin(thread *star.Thread, args star.Tuple, kwargs []star.Tuple) (star.Value, error) {
	return race(thread, "first_ok", args, kwargs, firstSuccess)
}

// race runs tasks at once until one decides; the others are cancelled and awaited.
func race(thread *star.Thread, what string, args star.Tuple, kwargs []star.Tuple, end until) (star.Value, error) {
	b, err := branchOf(thread, what)
	if err != nil {
		return nil, err
	}
	args, kwargs, err = byPlace(what, args, kwargs, "tasks")
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
	if len(tasks) == 0 {
		return nil, fmt.Errorf("%s: wants at least one task", what)
	}
	g := b.newGroup(what, tasks, 0, end, position(thread, 1))
	if period != nil {
		g.period = *period
	}
	if err := g.run(); err != nil {
		return nil, err
	}
	winner := g.decider()
	if winner == nil { // all have failed
		winner = g.watch.failed
	}
	v, err := winner.outcome()
	if err != nil {
		return nil, err
	}
	return star.Tuple{g.winner(winner).key, v}, nil
}

// selectBuiltin waits for the first of several futures and leaves all running.
func selectBuiltin(thread *star.Thread, args star.Tuple, kwargs []star.Tuple) (star.Value, error) {
	b, err := branchOf(thread, "select")
	if err != nil {
		return nil, err
	}
	args, kwargs, err = byPlace("select", args, kwargs, "futures")
	if err != nil {
		return nil, err
	}
	period, err := timeoutOption("select", kwargs, anyDuration)
	if err != nil {
		return nil, err
	}
	tasks, _, err := tasksOf("select", args)
	if err != nil {
		return nil, err
	}
	if len(tasks) == 0 {
		return nil, errors.New("select: wants at least one Future")
	}
	for i := range tasks {
		if t := &tasks[i]; t.fn != nil {
			return nil, fmt.Errorf("select: wants Futures, got %s; write spawn(fn, args...) or activity.start(args...)", t.fn.Type())
		}
	}
	list, pos, kept := make([]*future, len(tasks)), position(thread, 1), len(b.scope)
	var signals []*future
	name := ""
	for i := 0; i < len(tasks) && err == nil; i++ {
		t := &tasks[i]
		if t.channel != nil && name == "" {
			name = b.next()
		}
		if list[i], err = b.launch(name+"."+strconv.Itoa(i+1), t, pos); err == nil && t.channel != nil {
			signals = append(signals, list[i])
		}
	}
	if err == nil {
		err = b.waitSome(list, period, pos)
	}
	if err == errUnwind {
		return nil, err
	}
	var first *future
	key := star.Value(star.None)
	for i, f := range list {
		if err == nil && f.settled && (first == nil || f.order < first.order) {
			first, key = f, tasks[i].key
		}
	}
	if first != nil && first.signal != "" {
		first.read = true // the others' signals stay for the next who asks
	}
	for _, f := range signals {
		if f != first {
			if err := f.abandon(); err != nil {
				return nil, err
			}
		}
	}
	if signals != nil {
		b.scope = b.scope[:kept]
	}
	switch {
	case err != nil:
		return nil, err
	case first == nil:
		return star.Tuple{star.None, star.None}, nil
	}
	return star.Tuple{key, &Future{f: first, key: key}}, nil
}
