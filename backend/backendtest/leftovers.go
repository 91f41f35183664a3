// What outlasts tasks and runs: shared results, dead letters, reruns, retention, counting.

package backendtest

import (
	"fmt"
	"slices"

	"github.com/senpuki/senpuki/backend"
)

var leftoverCases = []testCase{
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
