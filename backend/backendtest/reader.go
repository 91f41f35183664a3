// Reading: lists, journals, logs, programs.

package backendtest

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/senpuki/senpuki/backend"
)

func (f *fixture) list(filter backend.Filter) (list []string) {
	f.Helper()
	found, err := f.List(f.ctx, filter)
	f.must(err)
	for _, x := range found {
		list = append(list, x.ID)
	}
	return list
}

var readerCases = []testCase{
	{"the unknown", func(f *fixture) {
		_, err := f.Execution(f.ctx, "missing")
		f.want(err, backend.ErrNotFound)
		_, err = f.Program(f.ctx, "missing")
		f.want(err, backend.ErrNotFound)
		expect(f, "journal", len(f.journal(4711)), 0)
		lines, err := f.Logs(f.ctx, 4711, 0, 0)
		f.must(err)
		expect(f, "logs", len(lines), 0)
		all, err := f.Deployments(f.ctx, "missing")
		f.must(err)
		expect(f, "deployments", len(all), 0)
	}},
	{"programs by digest, page by page", func(f *fixture) {
		f.deploy("b", "a", "c")
		var got []string
		for after := ""; ; after = got[len(got)-1] {
			page, err := f.Programs(f.ctx, after, 3)
			f.must(err)
			for _, p := range page {
				got = append(got, p.Digest)
				if string(p.Sources) != `{"main.star":"pass"}` || p.Created.IsZero() {
					f.Errorf("program %s: %s, created %v", p.Digest, p.Sources, p.Created)
				}
			}
			if len(page) < 3 {
				break
			}
		}
		expect(f, "digests", got, []string{"a", "b", "c", digest})
	}},
	{"newest first, page by page", func(f *fixture) {
		var want []string
		for i := range 25 {
			a, b := fmt.Sprintf("a%02d", i), fmt.Sprintf("b%02d", i)
			f.create(ask(a), ask(b)) // created at the same instant
			want = append(want, a, b)
		}
		var got []string
		filter := backend.Filter{Limit: 7}
		for {
			page, err := f.List(f.ctx, filter)
			f.must(err)
			if len(page) == 0 {
				break
			}
			for i, x := range page {
				got = append(got, x.ID)
				if last := filter; i == 0 && !last.BeforeAt.IsZero() && x.Created.After(last.BeforeAt) {
					f.Errorf("%s is newer than the page before", x.ID)
				}
			}
			filter.BeforeAt, filter.BeforeID = page[len(page)-1].Created, page[len(page)-1].ID
		}
		slices.Sort(want)
		expect(f, "each once", slices.Sorted(slices.Values(got)), want)
		expect(f, "all at once", f.list(backend.Filter{Limit: 1000}), got)
	}},
	{"all when no limit is given, and as many as it says", func(f *fixture) {
		const n = 101
		s := f.session()
		run := f.born(s, "x")[0]
		t := backend.Turn{Execution: "x", Run: run, Rows: rows("r")}
		for i := range n {
			f.create(ask(fmt.Sprint("y", i)))
			f.deploy(fmt.Sprint("p", i))
			t.Tasks = append(t.Tasks, work(fmt.Sprint(i)))
			t.Dead = append(t.Dead, backend.DeadLetter{Step: fmt.Sprint(i)})
			t.Logs = append(t.Logs, backend.LogLine{Ordinal: int64(i)})
			t.Reserve = append(t.Reserve, backend.Reservation{Step: fmt.Sprint(i), Hash: fmt.Sprint(i), Activity: "add"})
		}
		f.turn(s, t)
		for _, k := range []struct{ limit, executions, other int }{{0, n + 1, n}, {7, 7, 7}} {
			tasks, err := f.Tasks(f.ctx, backend.TaskFilter{Limit: k.limit})
			f.must(err)
			waiting, err := f.Tasks(f.ctx, backend.TaskFilter{Waiting: true, Limit: k.limit})
			f.must(err)
			letters, err := f.DeadLetters(f.ctx, backend.LetterFilter{Limit: k.limit})
			f.must(err)
			memos, err := f.Memos(f.ctx, backend.MemoFilter{Limit: k.limit})
			f.must(err)
			lines, err := f.Logs(f.ctx, run, 0, k.limit)
			f.must(err)
			programs, err := f.Programs(f.ctx, "", k.limit)
			f.must(err)
			expect(f, "executions, programs", []int{len(f.list(backend.Filter{Limit: k.limit})), len(programs)}, []int{k.executions, k.executions})
			expect(f, "others", []int{len(tasks), len(waiting), len(letters), len(memos), len(lines)}, []int{k.other, k.other, k.other, k.other, k.other})
		}
		for id := range n {
			run := f.born(s, fmt.Sprint("z", id))[0]
			f.finish(s, fmt.Sprint("z", id), run, 0, backend.Completed)
		}
		got, err := f.Collect(f.ctx, backend.Retention{Completed: far(1), DryRun: true})
		f.must(err)
		expect(f, "to be collected", got.Executions, int64(n))
		got, err = f.Collect(f.ctx, backend.Retention{Completed: far(1)})
		f.must(err)
		expect(f, "collected", got.Executions, int64(n))
	}},
	{"tasks, dead letters and memos page by page, and one of them", func(f *fixture) {
		s := f.session()
		runs := f.born(s, "x", "y")
		turn := func(execution string, run backend.RunKey, first int64, steps ...string) {
			t := backend.Turn{Execution: execution, Run: run, First: first, Rows: rows("r")}
			for _, step := range steps {
				t.Tasks = append(t.Tasks, work(step))
				t.Dead = append(t.Dead, backend.DeadLetter{Step: step})
				t.Reserve = append(t.Reserve, backend.Reservation{Step: step, Hash: step, Activity: "add"})
			}
			f.turn(s, t)
		}
		turn("x", runs[0], 0, "a", "b")
		turn("x", runs[0], 1, "c")
		turn("y", runs[1], 0, "d", "e")
		var tasks, letters, memos []string
		for k := (backend.TaskFilter{Limit: 2}); ; {
			page, err := f.Tasks(f.ctx, k)
			f.must(err)
			tasks = append(tasks, steps(page)...)
			if len(page) < k.Limit {
				break
			}
			k.After = page[len(page)-1].Key
		}
		for k := (backend.LetterFilter{Limit: 2}); ; {
			page, err := f.DeadLetters(f.ctx, k)
			f.must(err)
			for _, d := range page {
				letters = append(letters, d.Step)
				k.Before = d.ID
			}
			if len(page) < k.Limit {
				break
			}
		}
		for k := (backend.MemoFilter{Limit: 2}); ; {
			page, err := f.Memos(f.ctx, k)
			f.must(err)
			for _, m := range page {
				memos = append(memos, m.Hash)
				k.BeforeAt, k.BeforeHash = m.Created, m.Hash
			}
			if len(page) < k.Limit {
				break
			}
		}
		expect(f, "tasks", tasks, []string{"a", "b", "c", "d", "e"})
		expect(f, "dead letters", letters, []string{"e", "d", "c", "b", "a"})
		expect(f, "memos", memos, []string{"e", "d", "c", "b", "a"})

		all, err := f.Tasks(f.ctx, backend.TaskFilter{})
		f.must(err)
		one, err := f.Tasks(f.ctx, backend.TaskFilter{Key: all[1].Key})
		f.must(err)
		expect(f, "one task", steps(one), []string{"b"})
		one, err = f.Tasks(f.ctx, backend.TaskFilter{Key: all[1].Key, Execution: "y"})
		f.must(err)
		expect(f, "of another execution", len(one), 0)
		dead, err := f.DeadLetters(f.ctx, backend.LetterFilter{Execution: "x"})
		f.must(err)
		expect(f, "of one execution", len(dead), 3)
		dead, err = f.DeadLetters(f.ctx, backend.LetterFilter{ID: dead[0].ID})
		f.must(err)
		expect(f, "one letter", fmt.Sprint(len(dead), dead[0].Step), "1c")
	}},
	{"filters", func(f *fixture) {
		s := f.session()
		a, b, c := ask("a_1"), ask("a%2"), ask("A_1")
		a.Workflow, a.Queue, a.Tags, a.Parent = "other", "q", []string{"gpu", "eu"}, "p"
		b.Tags = []string{"eu"}
		f.create(a)
		f.create(b)
		created := f.execution("a%2").Created
		f.create(c)
		run := f.born(s, "done")[0]
		f.turn(s, backend.Turn{Execution: "done", Run: run, Then: backend.Finish, State: backend.Failed})
		other, mine := f.session(), ask("mine")
		mine.Workflow, mine.Claim = "owned", true
		f.commit(backend.Batch{Session: s, Create: []backend.NewExecution{mine}})
		halt := f.born(s, "halt")[0]
		f.turn(s, backend.Turn{Execution: "halt", Run: halt, Stuck: &backend.Stuck{Reason: "r", Since: past(1), Tries: 1}, Then: backend.Release, Due: far(1)})
		for _, k := range []struct {
			filter backend.Filter
			want   []string
		}{
			{backend.Filter{Stuck: true}, []string{"halt"}},
			{backend.Filter{Stuck: true, States: []backend.State{backend.Failed}}, []string{"done", "halt"}},
			{backend.Filter{Stuck: true, Workflow: "other"}, nil},
			{backend.Filter{Workflow: "other"}, []string{"a_1"}},
			{backend.Filter{Queue: "q"}, []string{"a_1"}},
			{backend.Filter{Tag: "eu"}, []string{"a%2", "a_1"}},
			{backend.Filter{Tag: "u"}, nil},
			{backend.Filter{Parent: "p"}, []string{"a_1"}},
			{backend.Filter{States: []backend.State{backend.Failed}}, []string{"done"}},
			{backend.Filter{States: []backend.State{backend.Failed, backend.Pending}, Workflow: "flow"}, []string{"done", "A_1", "a%2"}},
			{backend.Filter{IDPrefix: "a_"}, []string{"a_1"}},
			{backend.Filter{IDPrefix: "a"}, []string{"a%2", "a_1"}},
			{backend.Filter{Since: far(1)}, nil},
			{backend.Filter{Owner: s}, []string{"mine"}},
			{backend.Filter{Owner: other}, nil},
			{backend.Filter{IDs: []string{"mine", "unknown"}}, []string{"mine"}},
			{backend.Filter{IDs: []string{}}, nil},
		} {
			got := f.list(k.filter)
			slices.Sort(got)
			slices.Sort(k.want)
			expect(f, fmt.Sprintf("%+v", k.filter), got, k.want)
		}
		expect(f, "since is inclusive", slices.Contains(f.list(backend.Filter{Since: created}), "a%2"), true)
	}},
	{"a journal from any row", func(f *fixture) {
		s := f.session()
		run := f.born(s, "x")[0]
		var data []string
		for i := range 2500 {
			data = append(data, fmt.Sprint(i))
		}
		f.turn(s, backend.Turn{Execution: "x", Run: run, Rows: rows(data...)})
		expect(f, "all", len(f.journal(run)), 2500)
		for _, from := range []int64{-1, 0, 1, 999, 1000, 2499, 2500, 9999} {
			next := max(from, 0)
			f.must(f.Journal(f.ctx, run, from, func(r backend.Row) error {
				if r.Number != next || string(r.Data) != fmt.Sprint(next) {
					f.Errorf("from %d: row %d is %s at %d", from, r.Number, r.Data, next)
				}
				next++
				return nil
			}))
			expect(f, "end", next, max(from, 2500))
		}
	}},
	{"a journal stops at the first error", func(f *fixture) {
		s := f.session()
		run := f.born(s, "x")[0]
		f.turn(s, backend.Turn{Execution: "x", Run: run, Rows: rows("a", "b", "c")})
		enough, seen := errors.New("enough"), 0
		f.want(f.Journal(f.ctx, run, 0, func(backend.Row) error {
			if seen++; seen == 2 {
				return enough
			}
			return nil
		}), enough)
		expect(f, "seen", seen, 2)
	}},
	{"a journal's reader may read and write", func(f *fixture) {
		s := f.session()
		run := f.born(s, "x")[0]
		f.turn(s, backend.Turn{Execution: "x", Run: run, Rows: rows("a", "b")})
		for range 8 { // more often than a store has connections, if they leaked
			f.must(f.Journal(f.ctx, run, 0, func(backend.Row) error {
				_, err := f.Execution(f.ctx, "x")
				f.create(ask("y"))
				return err
			}))
		}
	}},
	{"what is handed out is a copy", func(f *fixture) {
		s := f.session()
		n := ask("x")
		n.Claim, n.Tags = true, []string{"t"}
		run := f.commit(backend.Batch{Session: s, Create: []backend.NewExecution{n}}).Created[0].Run
		row := []byte("abc")
		f.turn(s, backend.Turn{Execution: "x", Run: run, Rows: [][]byte{row}})
		row[0], n.Tags[0], n.Input[0] = 'X', "X", 'X'
		x := f.execution("x")
		expect(f, "stored", fmt.Sprint(f.journal(run), x.Tags, string(x.Input)), fmt.Sprintf(`[%d:abc] [t]{"a":1}`, s))
		x.Input[0], x.Tags[0] = 'Y', "Y"
		x = f.execution("x")
		expect(f, "read", fmt.Sprint(x.Tags, string(x.Input)), `[t]{"a":1}`)
	}},
	{"an ended context reads nothing", func(f *fixture) {
		f.create(ask("x"))
		ctx, cancel := context.WithCancel(f.ctx)
		cancel()
		if _, err := f.List(ctx, backend.Filter{}); err != nil {
			f.want(err, context.Canceled) // a store that never waits need not look
		}
		expect(f, "afterwards", f.list(backend.Filter{}), []string{"x"})
	}},
}
