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
		lines, err := f.Logs(f.ctx, 4711, 0)
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
	{"a hundred when no limit is given", func(f *fixture) {
		for i := range 101 {
			f.create(ask(fmt.Sprint("x", i)))
		}
		expect(f, "listed", len(f.list(backend.Filter{})), 100)
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
		for _, k := range []struct {
			filter backend.Filter
			want   []string
		}{
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
