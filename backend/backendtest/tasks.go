// Tasks, and the limits of their activities.

package backendtest

import (
	"fmt"
	"time"

	"github.com/senpuki/senpuki/backend"
)

// work is a task that any request of tasks takes.
func work(step string) backend.Task {
	return backend.Task{Step: step, Attempt: 1, Activity: "add", Queue: "default", Input: []byte(step)}
}

func (f *fixture) tasks(s backend.SessionID, limit int) []backend.Task {
	f.Helper()
	got, err := f.ClaimTasks(f.ctx, backend.TaskRequest{Session: s, Queues: []string{"default"}, Activities: []string{"add", "sub"}, Tags: []string{"gpu"}, Limit: limit})
	f.must(err)
	return got.Tasks
}

func steps(tasks []backend.Task) (list []string) {
	for _, k := range tasks {
		list = append(list, k.Step)
	}
	return list
}

func (f *fixture) receive(s backend.SessionID) (list []string) {
	f.Helper()
	got, err := f.Receive(f.ctx, s)
	f.must(err)
	for _, m := range got {
		list = append(list, fmt.Sprintf("%s %s %s %d %s", m.Kind, m.Name, m.Step, m.Attempt, m.Payload))
	}
	return list
}

// finish ends an execution.
func (f *fixture) finish(s backend.SessionID, id string, run backend.RunKey, first int64, state backend.State) {
	f.Helper()
	t := backend.Turn{Execution: id, Run: run, First: first, Rows: rows("end"), Then: backend.Finish, State: state}
	if state == backend.Completed {
		t.Result = []byte("1")
	} else {
		t.Failure = []byte(`{"kind":"K"}`)
	}
	f.turn(s, t)
}

var taskCases = []testCase{
	{"what is put is claimed, best first", func(f *fixture) {
		s := f.session()
		run := f.born(s, "x")[0]
		a, b, c, d, e := work("a"), work("b"), work("c"), work("d"), work("e")
		b.Priority = 5
		c.Activity, c.Tags = "sub", []string{"gpu"}
		d.Due = far(1)
		e.Tags = []string{"none"}
		f.turn(s, backend.Turn{Execution: "x", Run: run, Rows: rows("r"), Tasks: []backend.Task{a, b, c, d, e}})
		got := f.tasks(s, 2)
		expect(f, "first", steps(got), []string{"b", "a"})
		expect(f, "execution", got[0].Execution, "x")
		expect(f, "run", got[0].Run, run)
		expect(f, "owner", got[0].Owner, s)
		expect(f, "input", string(got[0].Input), "b")
		expect(f, "then", steps(f.tasks(s, 10)), []string{"c"})
		expect(f, "none", len(f.tasks(s, 10)), 0)
		all, err := f.Tasks(f.ctx, backend.TaskFilter{Execution: "x"})
		f.must(err)
		expect(f, "all", steps(all), []string{"a", "b", "c", "d", "e"})
		waiting, err := f.Tasks(f.ctx, backend.TaskFilter{Waiting: true, Queue: "default"})
		f.must(err)
		expect(f, "waiting", steps(waiting), []string{"e"})
		mine, err := f.Tasks(f.ctx, backend.TaskFilter{Owner: s, Activity: "add"})
		f.must(err)
		expect(f, "mine", steps(mine), []string{"a", "b"})
		for i, filter := range []backend.TaskFilter{{}, {Waiting: true}} {
			whole, err := f.Tasks(f.ctx, filter)
			f.must(err)
			filter.Bare = true
			bare, err := f.Tasks(f.ctx, filter)
			f.must(err)
			expect(f, "inputs", string(whole[0].Input), []string{"a", "e"}[i])
			for i := range whole {
				whole[i].Input = nil
			}
			expect(f, "all but inputs", bare, whole)
		}
	}},
	{"of one batch, in the order of its turns", func(f *fixture) {
		s := f.session()
		ids := []string{"x", "y", "z"}
		var turns []backend.Turn
		for i, run := range f.born(s, ids...) {
			turns = append(turns, backend.Turn{Execution: ids[i], Run: run, Rows: rows("r"), Tasks: []backend.Task{work(ids[i] + "1"), work(ids[i] + "2")}})
		}
		turns[1].Published = []byte("{}") // a store may land this one by itself
		f.commit(backend.Batch{Session: s, Turns: turns})
		expect(f, "claimed", steps(f.tasks(s, 10)), []string{"x1", "x2", "y1", "y2", "z1", "z2"})
	}},
	{"settled once, by its owner", func(f *fixture) {
		s, other := f.session(), f.session()
		run := f.born(s, "x")[0]
		f.turn(s, backend.Turn{Execution: "x", Run: run, Rows: rows("r"), Tasks: []backend.Task{work("a"), work("b")}})
		got := f.tasks(other, 2)
		done := backend.Settled{Key: got[0].Key, Name: backend.TaskDone, Payload: []byte("7")}
		expect(f, "not the owner", f.commit(backend.Batch{Session: s, Settle: []backend.Settled{done}}).Settled, []bool{false})
		expect(f, "the owner", f.commit(backend.Batch{Session: other, Settle: []backend.Settled{done}}).Settled, []bool{true})
		expect(f, "again", f.commit(backend.Batch{Session: other, Settle: []backend.Settled{done}}).Settled, []bool{false})
		expect(f, "outcome", f.receive(s), []string{"outcome done a 1 7"})
		f.commit(backend.Batch{Session: other, Back: []int64{got[1].Key}})
		expect(f, "given back", steps(f.tasks(s, 2)), []string{"b"})
		_, err := f.Commit(f.ctx, backend.Batch{Session: 4711, Settle: []backend.Settled{done}})
		f.want(err, backend.ErrFenced)
	}},
	{"a revoked owner's are crashed", func(f *fixture) {
		s, other := f.session(), f.session()
		run := f.born(s, "x")[0]
		f.turn(s, backend.Turn{Execution: "x", Run: run, Rows: rows("r"), Tasks: []backend.Task{work("a"), work("b")}})
		got := f.tasks(other, 1)
		f.must(f.Revoke(f.ctx, other))
		expect(f, "outcome", f.receive(s), []string{"outcome crashed a 1 "})
		_, err := f.Commit(f.ctx, backend.Batch{Session: other, Settle: []backend.Settled{{Key: got[0].Key, Name: backend.TaskDone}}})
		f.want(err, backend.ErrFenced)
		_, err = f.ClaimTasks(f.ctx, backend.TaskRequest{Session: other, Queues: []string{"default"}, Activities: []string{"add"}, Limit: 1})
		f.want(err, backend.ErrFenced)
		expect(f, "the rest", steps(f.tasks(s, 2)), []string{"b"})
	}},
	{"an outcome makes its execution due", func(f *fixture) {
		s, other := f.session(), f.session()
		run := f.born(s, "x")[0]
		f.turn(s, backend.Turn{Execution: "x", Run: run, Rows: rows("r"), Tasks: []backend.Task{work("a")}, Then: backend.Release})
		expect(f, "released", f.execution("x").Due.IsZero(), true)
		got := f.tasks(other, 1)
		f.commit(backend.Batch{Session: other, Settle: []backend.Settled{{Key: got[0].Key, Name: backend.TaskDone, Payload: []byte("1")}}})
		claimed := f.claim(s)
		expect(f, "claimed", ids(claimed), []string{"x"})
		expect(f, "inbox", names(claimed[0].Inbox), []string{backend.TaskDone})
	}},
	{"withdrawn, and nobody runs them", func(f *fixture) {
		s := f.session()
		runs := f.born(s, "x", "y")
		refs := []backend.TaskRef{{Step: "a", Attempt: 1}, {Step: "b", Attempt: 1}, {Step: "c", Attempt: 2}, {Step: "d", Attempt: 1}, {Step: "none", Attempt: 1}}
		for i, id := range []string{"x", "y"} {
			f.turn(s, backend.Turn{Execution: id, Run: runs[i], Rows: rows("r"), Tasks: []backend.Task{work("a"), work("b"), work("c")}})
		}
		f.turn(s, backend.Turn{Execution: "x", Run: runs[0], First: 1, Rows: rows("r"), Tasks: []backend.Task{work("d"), work("e")}, Withdraw: refs})
		expect(f, "told", f.receive(s), []string{"outcome withdrawn a 1 ", "outcome withdrawn b 1 ", "outcome withdrawn d 1 "})
		expect(f, "left", steps(f.tasks(s, 9)), []string{"c", "a", "b", "c", "e"})
	}},
	{"withdrawn with the release of their execution", func(f *fixture) {
		s := f.session()
		run := f.born(s, "x")[0]
		f.turn(s, backend.Turn{Execution: "x", Run: run, Rows: rows("r"), Tasks: []backend.Task{work("a")}})
		kept := f.turn(s, backend.Turn{
			Execution: "x", Run: run, First: 1, Rows: rows("r"), Withdraw: []backend.TaskRef{{Step: "a", Attempt: 1}}, Then: backend.Release,
		}).Kept
		expect(f, "kept", kept, true)
		expect(f, "told", f.receive(s), []string{"outcome withdrawn a 1 "})
	}},
	{"withdrawn while they run, their owner ends them", func(f *fixture) {
		s, other, dies := f.session(), f.session(), f.session()
		run := f.born(s, "x")[0]
		limited := func(step string) backend.Task {
			k := work(step)
			k.Limit = &backend.Limit{Max: 4}
			return k
		}
		f.turn(s, backend.Turn{Execution: "x", Run: run, Rows: rows("r"), Tasks: []backend.Task{limited("a"), limited("b"), limited("c"), limited("d"), limited("e")}})
		got := append(f.tasks(other, 3), f.tasks(dies, 1)...)
		var refs []backend.TaskRef
		for i := range got {
			refs = append(refs, backend.TaskRef{Step: got[i].Step, Attempt: 1})
		}
		for first := range 2 { // once more is no more
			f.turn(s, backend.Turn{Execution: "x", Run: run, First: int64(1 + first), Rows: rows("r"), Withdraw: refs})
		}
		expect(f, "nothing is told", len(f.receive(s)), 0)
		expect(f, "the limit holds", len(f.tasks(s, 1)), 0)
		mine, err := f.Tasks(f.ctx, backend.TaskFilter{Owner: other})
		f.must(err)
		expect(f, "their owner's", fmt.Sprint(steps(mine), mine[0].Withdrawn, mine[1].Withdrawn, mine[2].Withdrawn), "[a b c] true true true")
		f.commit(backend.Batch{Session: other, Settle: []backend.Settled{{Key: got[0].Key, Name: backend.TaskFailed, Payload: []byte("F")}}, Back: []int64{got[1].Key}})
		f.must(f.Revoke(f.ctx, dies))
		expect(f, "told", f.receive(s), []string{"outcome failed a 1 F", "outcome withdrawn b 1 ", "outcome crashed d 1 "})
		expect(f, "the rest", steps(f.tasks(s, 9)), []string{"e"})
		inbox, err := f.Receive(f.ctx, s)
		f.must(err)
		f.turn(s, backend.Turn{Execution: "x", Run: run, First: 3, Rows: rows("r"), Taken: numbers(inbox), Then: backend.Release})
		f.commit(backend.Batch{Session: other, Back: []int64{got[2].Key}})
		expect(f, "due", names(f.claim(s)[0].Inbox), []string{backend.TaskWithdrawn})
	}},
	{"gone with their run", func(f *fixture) {
		s, other := f.session(), f.session()
		runs := f.born(s, "x", "y")
		for i, id := range []string{"x", "y"} {
			f.turn(s, backend.Turn{Execution: id, Run: runs[i], Rows: rows("r"), Tasks: []backend.Task{work("a"), work("b")}})
		}
		got := f.tasks(other, 3)
		withdraw := []backend.TaskRef{{Step: "a", Attempt: 1}}
		f.turn(s, backend.Turn{Execution: "x", Run: runs[0], First: 1, Rows: rows("r"), Withdraw: withdraw})
		f.turn(s, backend.Turn{Execution: "y", Run: runs[1], First: 1, Rows: rows("r"), Withdraw: withdraw, Then: backend.Finish, State: backend.Completed, Result: []byte("1")})
		expect(f, "settled", f.commit(backend.Batch{Session: other, Settle: []backend.Settled{{Key: got[2].Key, Name: backend.TaskDone}}, Back: []int64{got[2].Key}}).Settled, []bool{false})
		f.commit(backend.Batch{Session: other, Settle: []backend.Settled{{Key: got[0].Key, Name: backend.TaskDone}}})
		all, err := f.Tasks(f.ctx, backend.TaskFilter{})
		f.must(err)
		expect(f, "left", steps(all), []string{"b"})
		expect(f, "of", all[0].Execution, "x")
	}},
	{"not begun in time", func(f *fixture) {
		s := f.session()
		run := f.born(s, "x")[0]
		a, b := work("a"), work("b")
		a.Expires, a.Queue = past(1), "nowhere"
		b.Expires = far(1)
		f.turn(s, backend.Turn{Execution: "x", Run: run, Rows: rows("r"), Tasks: []backend.Task{a, b}})
		expect(f, "claimed", steps(f.tasks(s, 5)), []string{"b"})
		expect(f, "outcome", f.receive(s), []string{"outcome start_timeout a 1 "})
	}},
	{"not begun in time, and nothing claimed", func(f *fixture) {
		s := f.session()
		run := f.born(s, "x")[0]
		a, b := work("a"), work("b")
		b.Expires = far(1)
		f.turn(s, backend.Turn{Execution: "x", Run: run, Rows: rows("r"), Tasks: []backend.Task{a, b}})
		expect(f, "claimed", len(f.tasks(s, 0)), 0)
		expect(f, "none are late", len(f.receive(s)), 0)
		c := work("c")
		c.Expires = past(1)
		f.turn(s, backend.Turn{Execution: "x", Run: run, First: 1, Rows: rows("r"), Tasks: []backend.Task{c}})
		_, err := f.ClaimTasks(f.ctx, backend.TaskRequest{Session: 4711})
		f.want(err, backend.ErrFenced)
		next, err := f.NextDue(f.ctx, []string{"another"})
		f.must(err)
		expect(f, "when to look again", next, far(1))
		got, err := f.ClaimTasks(f.ctx, backend.TaskRequest{Session: s})
		f.must(err)
		expect(f, "claimed", fmt.Sprint(len(got.Tasks), got.Late), "0 true")
		got, err = f.ClaimTasks(f.ctx, backend.TaskRequest{Session: s})
		f.must(err)
		expect(f, "again", got.Late, false)
		expect(f, "outcome", f.receive(s), []string{"outcome start_timeout c 1 "})
		expect(f, "left", steps(f.tasks(s, 5)), []string{"a", "b"})
	}},
	{"of named executions, whatever their queue", func(f *fixture) {
		s := f.session()
		runs := f.born(s, "x", "y")
		for i, id := range []string{"x", "y"} {
			k := work(id)
			k.Queue, k.Tags = "far", []string{"none"}
			f.turn(s, backend.Turn{Execution: id, Run: runs[i], Rows: rows("r"), Tasks: []backend.Task{k}})
		}
		got, err := f.ClaimTasks(f.ctx, backend.TaskRequest{Session: s, Activities: []string{"add"}, Executions: []string{"y"}, Limit: 5})
		f.must(err)
		expect(f, "claimed", steps(got.Tasks), []string{"y"})
	}},
	{"limits hold over all workers", func(f *fixture) {
		s, other := f.session(), f.session()
		run := f.born(s, "x")[0]
		var list []backend.Task
		for i := range 6 {
			k := work(fmt.Sprint(i))
			k.Limit = &backend.Limit{Max: 2}
			list = append(list, k)
		}
		for i := range 4 {
			k := work(fmt.Sprint("r", i))
			k.Activity, k.Limit = "sub", &backend.Limit{Rate: 3, Per: time.Hour}
			list = append(list, k)
		}
		f.turn(s, backend.Turn{Execution: "x", Run: run, Rows: rows("r"), Tasks: list})
		got := f.tasks(s, 1)
		expect(f, "one", steps(got), []string{"0"})
		expect(f, "the other", steps(f.tasks(other, 10)), []string{"1", "r0", "r1", "r2"})
		expect(f, "no more", len(f.tasks(other, 10)), 0)
		f.commit(backend.Batch{Session: s, Settle: []backend.Settled{{Key: got[0].Key, Name: backend.TaskDone}}})
		expect(f, "the next", steps(f.tasks(other, 10)), []string{"2"})
	}},
	{"kinds that are not to be claimed are passed over", func(f *fixture) {
		s := f.session()
		runs := f.born(s, "x", "y")
		put := func(id string, run backend.RunKey, first int64, activity string, priority int, limit *backend.Limit, names ...string) {
			var list []backend.Task
			for _, name := range names {
				k := work(name)
				k.Activity, k.Priority, k.Limit = activity, priority, limit
				list = append(list, k)
			}
			f.turn(s, backend.Turn{Execution: id, Run: run, First: first, Rows: rows("r"), Tasks: list})
		}
		put("x", runs[0], 0, "lacking", 9, nil, "no1", "no2")
		put("x", runs[0], 1, "add", 1, &backend.Limit{Max: 1}, "a1", "a2", "a3")
		put("x", runs[0], 2, "add", 0, nil, "a4", "a5")
		put("y", runs[1], 0, "sub", 1, nil, "s1", "s2")
		put("y", runs[1], 1, "sub", 0, &backend.Limit{Rate: 1, Per: time.Hour}, "s3", "s4")
		put("y", runs[1], 2, "sub", 2, nil, "s5")
		expect(f, "as they come", steps(f.tasks(s, 2)), []string{"s5", "a1"})
		expect(f, "beside a limit that is reached", steps(f.tasks(s, 3)), []string{"s1", "s2", "a4"})
		of := func(limit int, ids ...string) []string {
			got, err := f.ClaimTasks(f.ctx, backend.TaskRequest{Session: s, Executions: ids, Activities: []string{"add", "sub"}, Limit: limit})
			f.must(err)
			return steps(got.Tasks)
		}
		expect(f, "none of these", len(of(5, "none")), 0)
		expect(f, "of an execution", of(1, "x"), []string{"a5"})
		expect(f, "of both", of(5, "x", "y"), []string{"s3"})
		expect(f, "what is left", len(f.tasks(s, 9)), 0)
		waiting, err := f.Tasks(f.ctx, backend.TaskFilter{Waiting: true, Limit: 3})
		f.must(err)
		expect(f, "waiting", steps(waiting), []string{"no1", "no2", "a2"})
		waiting, err = f.Tasks(f.ctx, backend.TaskFilter{Waiting: true, Execution: "y"})
		f.must(err)
		expect(f, "waiting of one", steps(waiting), []string{"s4"})
		all, err := f.Tasks(f.ctx, backend.TaskFilter{Execution: "y"})
		f.must(err)
		expect(f, "all of one", steps(all), []string{"s1", "s2", "s3", "s4", "s5"})
	}},
	{"a rate says when it goes on", func(f *fixture) {
		s, other := f.session(), f.session()
		run := f.born(s, "x")[0]
		var list []backend.Task
		for i := range 4 {
			k := work(fmt.Sprint(i))
			k.Limit = &backend.Limit{Rate: 2, Per: time.Hour}
			list = append(list, k)
		}
		k := work("slow")
		k.Activity, k.Limit = "sub", &backend.Limit{Rate: 1, Per: 2 * time.Hour}
		again := k
		again.Step = "slower"
		f.turn(s, backend.Turn{Execution: "x", Run: run, Rows: rows("r"), Tasks: append(list, k, again)})
		claim := func(s backend.SessionID, limit int, activities ...string) backend.ClaimedTasks {
			got, err := f.ClaimTasks(f.ctx, backend.TaskRequest{Session: s, Queues: []string{"default"}, Activities: activities, Limit: limit})
			f.must(err)
			return got
		}
		first := claim(s, 1, "add")
		expect(f, "none is kept", fmt.Sprint(steps(first.Tasks), first.GoesOn.IsZero()), "[0] true")
		expect(f, "some are", fmt.Sprint(steps(claim(other, 9, "add").Tasks)), "[1]")
		expect(f, "goes on", claim(other, 9, "add").GoesOn, first.Tasks[0].Began.Add(time.Hour))
		slow := claim(other, 1, "sub")
		expect(f, "the other", steps(slow.Tasks), []string{"slow"})
		expect(f, "the sooner one", claim(s, 9, "sub", "add").GoesOn, first.Tasks[0].Began.Add(time.Hour))
		expect(f, "not ours to run", claim(s, 9, "mul").GoesOn, time.Time{})

		// What began under a rate with a shorter memory counts no longer than that.
		k.Step, k.Limit = "seldom", &backend.Limit{Rate: 1, Per: 365 * 24 * time.Hour}
		rare := k
		rare.Activity, rare.Step, rare.Limit = "add", "rare", &backend.Limit{Rate: 2, Per: 365 * 24 * time.Hour}
		withdraw := []backend.TaskRef{{Step: "2", Attempt: 1}, {Step: "3", Attempt: 1}, {Step: "slower", Attempt: 1}}
		f.turn(s, backend.Turn{Execution: "x", Run: run, First: 1, Rows: rows("r"), Tasks: []backend.Task{k, rare}, Withdraw: withdraw})
		expect(f, "the only one", claim(s, 9, "sub").GoesOn, slow.Tasks[0].Began.Add(2*time.Hour))
		expect(f, "the first of two", claim(s, 9, "add").GoesOn, first.Tasks[0].Began.Add(time.Hour))
	}},
	{"calls of one activity keep each its own limit", func(f *fixture) {
		s := f.session()
		run := f.born(s, "x")[0]
		var list []backend.Task
		call := func(activity, step string, l *backend.Limit) {
			k := work(step)
			k.Activity, k.Limit = activity, l
			list = append(list, k)
		}
		put := func(first int64) {
			f.turn(s, backend.Turn{Execution: "x", Run: run, First: first, Rows: rows("r"), Tasks: list})
			list = nil
		}
		rare, often := &backend.Limit{Rate: 2, Per: time.Hour}, &backend.Limit{Rate: 3, Per: time.Microsecond}
		for i := range 3 {
			call("add", fmt.Sprint("rare", i), rare)
			call("sub", fmt.Sprint("one", i), &backend.Limit{Max: 1})
		}
		call("add", "often0", often)
		call("sub", "two0", &backend.Limit{Max: 2})
		put(0)
		// What waits for a limit keeps nothing back that has a wider one.
		got := f.tasks(s, 9)
		expect(f, "at once", steps(got), []string{"rare0", "one0", "rare1", "often0", "two0"})
		// A short memory keeps nobody from looking further back.
		call("add", "often1", often)
		put(1)
		expect(f, "the other goes on", steps(f.tasks(s, 9)), []string{"often1"})
		expect(f, "still too many", len(f.tasks(s, 9)), 0)
		call("add", "yearly0", &backend.Limit{Rate: 3, Per: 365 * 24 * time.Hour})
		call("add", "yearly1", &backend.Limit{Rate: 3, Per: 365 * 24 * time.Hour})
		put(2)
		expect(f, "those who look back further count what counts still", steps(f.tasks(s, 9)), []string{"yearly0"})
	}},
	{"a rate counts what has one", func(f *fixture) {
		s := f.session()
		run := f.born(s, "x")[0]
		var list []backend.Task
		for step, l := range []backend.Limit{{Rate: 2, Per: time.Hour}, {Max: 9}, {Rate: 2, Per: time.Hour}, {Rate: 2, Per: time.Hour}, {Max: 2}} {
			k := work(fmt.Sprint(step))
			k.Limit = &l
			list = append(list, k)
		}
		f.turn(s, backend.Turn{Execution: "x", Run: run, Rows: rows("r"), Tasks: list})
		expect(f, "beside one with another limit", steps(f.tasks(s, 9)), []string{"0", "1", "2"})
	}},
}
