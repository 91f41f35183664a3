// New executions.

package backendtest

import (
	"fmt"
	"time"

	"github.com/senpuki/senpuki/backend"
)

var createCases = []testCase{
	{"what was asked is stored", func(f *fixture) {
		n := ask("x")
		n.Edition, n.Priority, n.Tags, n.Queue = 7, -3, []string{"gpu", "eu"}, "q"
		n.Parent, n.ParentStep, n.Expires, n.Due, n.Extra = "p", "p/1", far(1), far(2), []byte(`{"k":1}`)
		reply := f.commit(backend.Batch{Create: []backend.NewExecution{n}})
		expect(f, "existing", reply.Created[0].Existing == nil, true)
		want := backend.Execution{ID: "x", Run: reply.Created[0].Run, RunNumber: 1, Workflow: "flow", Digest: digest, Edition: 7,
			Function: "main", Input: []byte(`{"a":1}`), State: backend.Pending, Queue: "q", Priority: -3, Tags: n.Tags,
			Parent: "p", ParentStep: "p/1", Due: far(2), Expires: far(1), Created: reply.Now, Extra: n.Extra}
		expect(f, "execution", f.execution("x"), want)
	}},
	{"due now when nothing is said", func(f *fixture) {
		reply := f.commit(backend.Batch{Create: []backend.NewExecution{ask("x")}})
		expect(f, "due", f.execution("x").Due, reply.Now)
	}},
	{"nil and empty are kept apart", func(f *fixture) {
		a, b := ask("a"), ask("b")
		a.Input, a.Tags, b.Input, b.Tags = nil, nil, []byte{}, []string{}
		f.create(a, b)
		x, y := f.execution("a"), f.execution("b")
		expect(f, "nil", []bool{x.Input == nil, x.Tags == nil, y.Input == nil, y.Tags == nil}, []bool{true, true, false, false})
	}},
	{"any words", func(f *fixture) {
		n := ask("naïve/世界 '\"%_?;--")
		n.Input = []byte(`"` + "🦊 \u0000" + `"`)
		f.create(n)
		x := f.execution(n.ID)
		expect(f, "id", x.ID, n.ID)
		expect(f, "input", string(x.Input), string(n.Input))
	}},
	{"an existing id changes nothing", func(f *fixture) {
		f.create(ask("x"))
		before := f.execution("x")
		n := ask("x")
		n.Priority, n.Input = 9, []byte(`2`)
		reply := f.commit(backend.Batch{Create: []backend.NewExecution{ask("y"), n, ask("y")}})
		expect(f, "run", reply.Created[1].Run, before.Run)
		expect(f, "existing", *reply.Created[1].Existing, before)
		expect(f, "twice in one batch", reply.Created[2].Existing.Run, reply.Created[0].Run)
		expect(f, "after", f.execution("x"), before)
	}},
	{"born claimed", func(f *fixture) {
		s := f.session()
		run := f.born(s, "x")[0]
		x := f.execution("x")
		expect(f, "owner", x.Owner, s)
		expect(f, "state", x.State, backend.Running)
		expect(f, "due and started", []bool{x.Due.IsZero(), x.Started.Equal(x.Created)}, []bool{true, true})
		expect(f, "claim", len(f.claim(f.session())), 0)
		f.turn(s, backend.Turn{Execution: "x", Run: run, Rows: rows("r")})
	}},
	{"a missing program refuses the batch", func(f *fixture) {
		n := ask("y")
		n.Digest = "missing"
		_, err := f.Commit(f.ctx, backend.Batch{Create: []backend.NewExecution{ask("x"), n}})
		f.want(err, backend.ErrNoProgram)
		_, err = f.Execution(f.ctx, "x")
		f.want(err, backend.ErrNotFound)
	}},
	{"born with the first row of its journal", func(f *fixture) {
		s := f.session()
		x, y, z := ask("x"), ask("y"), ask("z")
		x.Claim, x.First = true, []byte("first")
		y.Claim, z.First = true, []byte("nobody's")
		reply := f.commit(backend.Batch{Session: s, Create: []backend.NewExecution{x, y, z}})
		run := reply.Created[0].Run
		expect(f, "journal", f.journal(run), []string{fmt.Sprintf("%d:first", s)})
		expect(f, "without one", len(f.journal(reply.Created[1].Run)), 0)
		expect(f, "not claimed", len(f.journal(reply.Created[2].Run)), 0)
		f.refused(backend.Batch{Session: s, Turns: []backend.Turn{{Execution: "x", Run: run, Rows: rows("again")}}}, 0, backend.ErrNotOwner)
		f.turn(s, backend.Turn{Execution: "x", Run: run, First: 1, Rows: rows("second")})
		x.First = []byte("other")
		again := f.commit(backend.Batch{Session: s, Create: []backend.NewExecution{x}}).Created[0]
		expect(f, "it exists", again.Existing != nil && again.Existing.Owner == s, true)
		expect(f, "journal of what exists", f.journal(run), []string{fmt.Sprintf("%d:first", s), fmt.Sprintf("%d:second", s)})
		many := make([]backend.NewExecution, 100)
		for i := range many {
			many[i] = ask(fmt.Sprint("m", i))
			many[i].Claim, many[i].First = true, []byte(many[i].ID)
		}
		for i, c := range f.commit(backend.Batch{Session: s, Create: many}).Created {
			expect(f, "one of many", f.journal(c.Run), []string{fmt.Sprintf("%d:%s", s, many[i].ID)})
			f.turn(s, backend.Turn{Execution: many[i].ID, Run: c.Run, First: 1, Rows: rows("next"), Then: backend.Finish, State: backend.Completed})
		}
	}},
	{"a claim needs a session", func(f *fixture) {
		n := ask("x")
		n.Claim = true
		for _, s := range []backend.SessionID{0, 4711} {
			_, err := f.Commit(f.ctx, backend.Batch{Session: s, Create: []backend.NewExecution{n}})
			f.want(err, backend.ErrFenced)
		}
		_, err := f.Execution(f.ctx, "x")
		f.want(err, backend.ErrNotFound)
	}},
	{"runs are never shared", func(f *fixture) {
		seen := map[backend.RunKey]bool{}
		for _, id := range []string{"a", "b", "c", "a"} {
			seen[f.commit(backend.Batch{Create: []backend.NewExecution{ask(id)}}).Created[0].Run] = true
		}
		expect(f, "runs", len(seen), 3)
	}},
	{"a message for one born in the batch", func(f *fixture) {
		reply := f.commit(backend.Batch{Create: []backend.NewExecution{ask("x")}, Send: []backend.Message{signal("x", "hello")}})
		f.must(reply.Sent[0])
		expect(f, "inbox", names(f.claim(f.session())[0].Inbox), []string{"hello"})
	}},
	{"times are microseconds UTC", func(f *fixture) {
		n := ask("x")
		n.Due = far(1).Add(123456 * time.Microsecond).In(time.FixedZone("east", 3600))
		f.create(n)
		x := f.execution("x")
		expect(f, "same instant", x.Due.Equal(n.Due), true)
		expect(f, "location", x.Created.Location(), time.UTC)
	}},
}
