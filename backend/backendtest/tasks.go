// Tasks, shared results, dead letters, reruns, retention, counting.

package backendtest

import (
	"fmt"
	"slices"
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
	{"a memo is computed by one", func(f *fixture) {
		s := f.session()
		runs := f.born(s, "x", "y", "z")
		r := backend.Reservation{Step: "1", Hash: "h", Activity: "add", Key: "1,2"}
		for i, id := range []string{"x", "y", "z"} {
			f.turn(s, backend.Turn{Execution: id, Run: runs[i], Rows: rows("r"), Reserve: []backend.Reservation{r}})
		}
		expect(f, "reserved", f.receive(s), []string{"notice reserved 1 0 "})
		memos, err := f.Memos(f.ctx, backend.MemoFilter{Activity: "add"})
		f.must(err)
		expect(f, "waiting", memos[0].Waiting, 2)
		for hash, n := range map[string]int{"h": 1, "g": 0} {
			memos, err = f.Memos(f.ctx, backend.MemoFilter{Hash: hash})
			f.must(err)
			expect(f, "with hash "+hash, len(memos), n)
		}
		// The holder fails: the first who waits has it. It ends: the next.
		f.turn(s, backend.Turn{Execution: "x", Run: runs[0], First: 1, Rows: rows("r"), Memos: []backend.MemoResult{{Step: "1", Hash: "h"}}})
		memos, err = f.Memos(f.ctx, backend.MemoFilter{})
		f.must(err)
		expect(f, "holder", memos[0].Execution, "y")
		f.finish(s, "y", runs[1], 1, backend.Failed)
		f.turn(s, backend.Turn{Execution: "x", Run: runs[0], First: 2, Rows: rows("r"), Reserve: []backend.Reservation{r}})
		f.turn(s, backend.Turn{Execution: "z", Run: runs[2], First: 1, Rows: rows("r"), Memos: []backend.MemoResult{{Step: "1", Hash: "h", Result: []byte("3")}}})
		expect(f, "told", f.receive(s), []string{"notice reserved 1 0 ", "notice reserved 1 0 ", "notice hit 1 0 3"})
		f.turn(s, backend.Turn{Execution: "x", Run: runs[0], First: 3, Rows: rows("r"), Reserve: []backend.Reservation{{Step: "2", Hash: "h", Activity: "add"}}})
		expect(f, "hit", f.receive(s)[3], "notice hit 2 0 3")
		n, err := f.ClearMemos(f.ctx, "add")
		f.must(err)
		expect(f, "cleared", n, int64(1))
	}},
	{"a memo whose time is up is computed anew", func(f *fixture) {
		s := f.session()
		run := f.born(s, "x")[0]
		for i, step := range []string{"1", "2"} {
			f.turn(s, backend.Turn{Execution: "x", Run: run, First: int64(2 * i), Rows: rows("r"), Reserve: []backend.Reservation{{Step: step, Hash: "h", Activity: "add"}}})
			f.turn(s, backend.Turn{Execution: "x", Run: run, First: int64(2*i + 1), Rows: rows("r"), Memos: []backend.MemoResult{{Step: step, Hash: "h", Result: []byte(step), Expires: past(1)}}})
		}
		expect(f, "notices", f.receive(s), []string{"notice reserved 1 0 ", "notice reserved 2 0 "})
	}},
	{"dead letters", func(f *fixture) {
		s := f.session()
		run := f.born(s, "x")[0]
		d := backend.DeadLetter{Step: "1", Activity: "add", Attempts: 3, Failure: []byte(`{"kind":"K"}`), Input: []byte("{}")}
		f.turn(s, backend.Turn{Execution: "x", Run: run, Rows: rows("r"), Dead: []backend.DeadLetter{d, d}})
		got, err := f.DeadLetters(f.ctx, backend.LetterFilter{Execution: "x"})
		f.must(err)
		expect(f, "letters", len(got), 2)
		expect(f, "newest first", got[0].ID > got[1].ID, true)
		expect(f, "letter", fmt.Sprint(got[0].Execution, got[0].Step, got[0].Attempts, got[0].Run == run, string(got[0].Failure)), `x13 true{"kind":"K"}`)
		n, err := f.Discard(f.ctx, []int64{got[0].ID, 4711})
		f.must(err)
		expect(f, "discarded", n, int64(1))
	}},
	{"a run after the last", func(f *fixture) {
		s := f.session()
		run := f.born(s, "x")[0]
		f.turn(s, backend.Turn{Execution: "x", Run: run, Rows: rows("a", "b")})
		again := backend.Rerun{
			Execution: "x", Run: run, Digest: digest, Edition: 1, Rows: []backend.Row{{Number: 0, Session: s, Data: []byte("a")}},
			Messages: []backend.Message{signal("", "kept")},
		}
		f.want(f.Rerun(f.ctx, again), backend.ErrConflict) // it runs
		f.finish(s, "x", run, 2, backend.Failed)
		gone := again
		gone.Execution = "nobody"
		f.want(f.Rerun(f.ctx, gone), backend.ErrNotFound)
		gone = again
		gone.Digest = "nothing"
		f.want(f.Rerun(f.ctx, gone), backend.ErrNoProgram)
		f.must(f.Rerun(f.ctx, again))
		f.want(f.Rerun(f.ctx, again), backend.ErrConflict)
		claimed := f.claim(s)
		expect(f, "claimed", ids(claimed), []string{"x"})
		x := claimed[0]
		expect(f, "run", x.RunNumber, 2)
		expect(f, "state", x.State, backend.Running)
		expect(f, "fresh", x.Fresh, false)
		expect(f, "inbox", names(x.Inbox), []string{"kept"})
		expect(f, "journal", f.journal(x.Run), []string{fmt.Sprint(s, ":a")})
		f.turn(s, backend.Turn{Execution: "x", Run: x.Run, First: 1, Rows: rows("c"), Taken: numbers(x.Inbox)})
		f.finish(s, "x", x.Run, 2, backend.Completed)
		fork := again
		fork.Run, fork.ID = x.Run, "y"
		f.must(f.Rerun(f.ctx, fork))
		f.want(f.Rerun(f.ctx, fork), backend.ErrConflict)
		y := f.execution("y")
		expect(f, "fork", fmt.Sprint(y.State, y.Parent, y.ParentStep, y.RunNumber), "runningx1")
		expect(f, "fork that nobody has claimed has started", !y.Started.IsZero(), false)
		c := f.claim(s, "y")[0]
		expect(f, "fork has started before it was there", c.Started.Before(c.Created), false)
		f.finish(s, "y", c.Run, 1, backend.Completed)
		runs, err := f.Runs(f.ctx, "x", 0)
		f.must(err)
		expect(f, "runs", len(runs), 2)
	}},
	{"a run after the last takes dead letters along", func(f *fixture) {
		s := f.session()
		run := f.born(s, "x")[0]
		d := backend.DeadLetter{Activity: "add", Attempts: 3, Failure: []byte(`{"kind":"K"}`), Input: []byte("{}")}
		caught, ended := d, d
		caught.Step, ended.Step = "1", "2"
		f.turn(s, backend.Turn{Execution: "x", Run: run, Rows: rows("a"), Dead: []backend.DeadLetter{caught, ended}})
		steps := func() (list []string) {
			got, err := f.DeadLetters(f.ctx, backend.LetterFilter{Execution: "x"})
			f.must(err)
			for _, d := range got {
				list = append(list, d.Step)
			}
			return list
		}
		got, err := f.DeadLetters(f.ctx, backend.LetterFilter{Execution: "x"})
		f.must(err)
		again := backend.Rerun{
			Execution: "x", Run: run, Digest: digest, Edition: 1, Rows: []backend.Row{{Session: s, Data: []byte("a")}}, Letters: []int64{got[0].ID, 4711},
		}
		f.want(f.Rerun(f.ctx, again), backend.ErrConflict)
		expect(f, "letters of what runs", steps(), []string{"2", "1"})
		f.finish(s, "x", run, 1, backend.Failed)
		f.must(f.Rerun(f.ctx, again))
		expect(f, "letters", steps(), []string{"1"})
	}},
	{"a run that is tried again drops its dead letters", func(f *fixture) {
		s := f.session()
		runs := f.born(s, "x", "y")
		dead := func(step string) []backend.DeadLetter {
			return []backend.DeadLetter{{Step: step, Activity: "add", Attempts: 3, Failure: []byte(`{"kind":"K"}`), Input: []byte("{}")}}
		}
		for i, id := range []string{"x", "y"} {
			f.turn(s, backend.Turn{Execution: id, Run: runs[i], Rows: rows("a"), Dead: dead("1")})
		}
		run := runs[0]
		for i, drop := range []bool{false, true, true} {
			run = f.turn(s, backend.Turn{
				Execution: "x", Run: run, Then: backend.Continue, Dead: dead(fmt.Sprint(i + 2)),
				Next: &backend.NextRun{Digest: digest, Edition: 1, Rows: rows("start"), DropLetters: drop},
			}).Run
			f.turn(s, backend.Turn{Execution: "x", Run: run, First: 1, Rows: rows("a"), Dead: dead(fmt.Sprint("of ", i+2))})
		}
		var left []string
		got, err := f.DeadLetters(f.ctx, backend.LetterFilter{})
		f.must(err)
		for _, d := range got {
			left = append(left, d.Execution+" "+d.Step)
		}
		slices.Sort(left)
		expect(f, "letters", left, []string{"x 1", "x 2", "x of 4", "y 1"})
	}},
	{"a child that takes another's place drops its dead letters", func(f *fixture) {
		s := f.session()
		runs := f.born(s, "x", "y", "z")
		for i, id := range []string{"y", "z"} {
			f.turn(s, backend.Turn{Execution: id, Run: runs[i+1], Rows: rows("a"), Dead: []backend.DeadLetter{{Step: "1"}}})
			f.finish(s, id, runs[i+1], 1, backend.Failed)
		}
		child := ask("y-2")
		child.Parent, child.ParentRun, child.ParentStep, child.Replaces = "x", runs[0], "1", "y"
		other := ask("w")
		other.Parent, other.ParentRun, other.ParentStep = "x", runs[0], "2"
		f.turn(s, backend.Turn{Execution: "x", Run: runs[0], Rows: rows("a"), Children: []backend.NewExecution{other, child}})
		got, err := f.DeadLetters(f.ctx, backend.LetterFilter{})
		f.must(err)
		var left []string
		for _, d := range got {
			left = append(left, d.Execution)
		}
		expect(f, "letters", left, []string{"z"})
	}},
	{"what ended long ago is removed", func(f *fixture) {
		s := f.session()
		f.deploy("sha256:unused", "sha256:deployed")
		_, err := f.Deploy(f.ctx, nil, []backend.Deployment{{Workflow: "w", Digest: "sha256:deployed"}})
		f.must(err)
		runs := f.born(s, "a", "b", "c", "runs")
		for i, id := range []string{"a", "b", "c"} {
			state := backend.Completed
			if id == "c" {
				state = backend.Failed
			}
			f.turn(s, backend.Turn{Execution: id, Run: runs[i], Rows: rows("r"), Logs: []backend.LogLine{{Message: "m"}}, Dead: []backend.DeadLetter{{Step: "1"}}})
			f.finish(s, id, runs[i], 1, state)
		}
		r := backend.Retention{Completed: far(1), Limit: 1, DryRun: true}
		got, err := f.Collect(f.ctx, r)
		f.must(err)
		expect(f, "counted", got, backend.Collected{Executions: 1, DeadLetters: 1, Programs: 1})
		all := backend.Retention{Completed: far(1), Failed: far(1), DryRun: true}
		got, err = f.Collect(f.ctx, all)
		f.must(err)
		expect(f, "counted with those that failed", got, backend.Collected{Executions: 3, DeadLetters: 3, Programs: 1}) // one runs
		r.DryRun = false
		for range 3 {
			_, err := f.Collect(f.ctx, r)
			f.must(err)
		}
		left, err := f.List(f.ctx, backend.Filter{})
		f.must(err)
		expect(f, "left", len(left), 2)
		_, err = f.Program(f.ctx, "sha256:unused")
		f.want(err, backend.ErrNotFound)
		_, err = f.Program(f.ctx, "sha256:deployed")
		f.must(err)
		lines, err := f.Logs(f.ctx, runs[0], 0, 0)
		f.must(err)
		expect(f, "lines", len(lines)+len(f.journal(runs[0])), 0)
	}},
	{"no more rows are removed at once than is said", func(f *fixture) {
		s := f.session()
		runs := f.born(s, "a", "b", "c", "d", "e")
		for i, id := range []string{"a", "b", "c", "d"} {
			f.turn(s, backend.Turn{Execution: id, Run: runs[i], Rows: rows("1", "2"), Logs: []backend.LogLine{{Message: "m"}}})
			f.finish(s, id, runs[i], 2, backend.Completed)
		}
		r := backend.Retention{Completed: far(1), Limit: 3, Rows: 5}
		for i, want := range []backend.Collected{{Executions: 2, More: true}, {Executions: 2}, {}} {
			got, err := f.Collect(f.ctx, r)
			f.must(err)
			expect(f, fmt.Sprint("call ", i), got, want)
		}
		f.deploy("sha256:unused")
		f.turn(s, backend.Turn{Execution: "e", Run: runs[4], Rows: rows("r"), Reserve: []backend.Reservation{{Step: "1", Hash: "x"}, {Step: "2", Hash: "y"}, {Step: "3", Hash: "z"}}})
		f.turn(s, backend.Turn{Execution: "e", Run: runs[4], First: 1, Rows: rows("r"), Memos: []backend.MemoResult{
			{Step: "1", Hash: "x", Result: []byte("1"), Expires: past(1)}, {Step: "2", Hash: "y", Result: []byte("1"), Expires: past(1)},
			{Step: "3", Hash: "z", Result: []byte("1"), Expires: past(1)}}})
		r.Rows = 2
		for i, want := range []backend.Collected{{Memos: 2, More: true}, {Memos: 1, Programs: 1}} {
			got, err := f.Collect(f.ctx, r)
			f.must(err)
			expect(f, fmt.Sprint("memos ", i), got, want)
		}
	}},
	{"what would be removed is what is", func(f *fixture) {
		s := f.session()
		f.deploy("sha256:done", "sha256:failed")
		done, failed := ask("done"), ask("failed")
		done.Digest, done.Claim, failed.Digest, failed.Claim = "sha256:done", true, "sha256:failed", true
		made := f.commit(backend.Batch{Session: s, Create: []backend.NewExecution{done, failed}}).Created
		f.finish(s, "done", made[0].Run, 0, backend.Completed)
		f.finish(s, "failed", made[1].Run, 0, backend.Failed)
		for i, r := range []backend.Retention{{Completed: far(1)}, {Completed: far(1), Failed: far(1)}} {
			r.DryRun = true
			would, err := f.Collect(f.ctx, r)
			f.must(err)
			expect(f, "would go", fmt.Sprint(would.Executions, would.Programs), []string{"1 2", "1 1"}[i]) // first also that of which there was none
			r.DryRun = false
			is, err := f.Collect(f.ctx, r)
			f.must(err)
			expect(f, "gone", is, would)
		}
	}},
	{"counting", func(f *fixture) {
		s := f.session()
		f.create(ask("p"), ask("q"))
		runs := f.born(s, "x", "y", "cancelled", "late")
		f.finish(s, "cancelled", runs[2], 0, backend.Cancelled)
		f.finish(s, "late", runs[3], 0, backend.TimedOut)
		f.turn(s, backend.Turn{Execution: "y", Run: runs[1], Rows: rows("r"), Tasks: []backend.Task{work("a")}, Dead: []backend.DeadLetter{{Step: "1"}}})
		f.finish(s, "x", runs[0], 0, backend.Failed)
		st, err := f.Stats(f.ctx, past(1))
		f.must(err)
		expect(f, "states", st.States, map[backend.State]int64{
			backend.Pending: 2, backend.Running: 1, backend.Failed: 1, backend.Cancelled: 1, backend.TimedOut: 1})
		expect(f, "counts", fmt.Sprint(st.Ended, st.Failed, st.Dead, st.Stuck), "3 2 1 0")
		expect(f, "queue", fmt.Sprint(st.Queues[0].Queue, st.Queues[0].Pending, st.Queues[0].Tasks), "default2 1")
		expect(f, "oldest", st.Queues[0].OldestDue.IsZero(), false)
	}},
	{"expired executions are claimed whatever their queue", func(f *fixture) {
		s := f.session()
		late, later := ask("late"), ask("later")
		late.Queue, late.Expires = "nowhere", past(1)
		later.Expires = far(1)
		f.create(late, later)
		got, err := f.Claim(f.ctx, backend.ClaimRequest{Session: s, Editions: []int{1}, Expired: true, Limit: 10})
		f.must(err)
		expect(f, "claimed", ids(got), []string{"late"})
	}},
	{"named executions only when they are due", func(f *fixture) {
		s := f.session()
		now, then := ask("now"), ask("then")
		then.Due = far(1)
		f.create(now, then)
		got, err := f.Claim(f.ctx, backend.ClaimRequest{Session: s, Editions: []int{1}, IDs: []string{"now", "then"}, OnlyDue: true, Limit: 10})
		f.must(err)
		expect(f, "claimed", ids(got), []string{"now"})
	}},
}
