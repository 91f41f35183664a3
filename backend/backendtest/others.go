// What executions have to do with each other, and the runs that follow each other.

package backendtest

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/senpuki/senpuki/backend"
)

// child is a child that a turn of a run asks for.
func child(id, parent string, run backend.RunKey, step string) backend.NewExecution {
	n := ask(id)
	n.Parent, n.ParentRun, n.ParentStep, n.Depth = parent, run, step, 1
	return n
}

// answers are the messages for a session's executions, as text.
func (f *fixture) answers(s backend.SessionID) (list []string) {
	f.Helper()
	got, err := f.Receive(f.ctx, s)
	f.must(err)
	for _, m := range got {
		list = append(list, fmt.Sprintf("%s %s %s %s %s", m.Execution, m.Kind, m.Name, m.Step, m.Payload))
	}
	return list
}

// inbox is what is in an inbox, in words.
func (f *fixture) inbox(s backend.SessionID, id string) (list []string) {
	f.Helper()
	all, err := f.Receive(f.ctx, s)
	f.must(err)
	for _, m := range all {
		if m.Execution == id {
			list = append(list, told(m))
		}
	}
	return list
}

// told is a message in words.
func told(m backend.Message) string {
	return strings.TrimSpace(fmt.Sprint(m.Kind, " ", m.Run, "/", m.Step, " ", m.Name, " ", string(m.Payload)))
}

func tellAll(messages []backend.Message) (list []string) {
	for _, m := range messages {
		list = append(list, told(m))
	}
	return list
}

// words makes one of a message's words with its run.
func words(format string, run backend.RunKey) string { return fmt.Sprintf(format, run) }

var otherCases = []testCase{
	{"a child's end is told to its parent", func(f *fixture) {
		s := f.session()
		run := f.born(s, "p")[0]
		f.turn(s, backend.Turn{Execution: "p", Run: run, Rows: rows("r"), Children: []backend.NewExecution{child("c", "p", run, "1"), child("d", "p", run, "2")}})
		claimed := f.claim(s)
		expect(f, "children", ids(claimed), []string{"c", "d"})
		c := claimed[0]
		expect(f, "child", fmt.Sprint(c.Parent, c.ParentStep, c.ParentRun == run, c.Depth), "p1true 1")
		f.finish(s, "c", claimed[0].Run, 0, backend.Completed)
		f.finish(s, "d", claimed[1].Run, 0, backend.Failed)
		expect(f, "told", f.answers(s), []string{"p outcome completed 1 1", `p outcome failed 2 {"kind":"K"}`})
	}},
	{"a released parent becomes due, one that has ended is not told", func(f *fixture) {
		s := f.session()
		runs := f.born(s, "p", "q")
		f.turn(s, backend.Turn{Execution: "p", Run: runs[0], Rows: rows("r"), Children: []backend.NewExecution{child("c", "p", runs[0], "1")}, Then: backend.Release})
		f.turn(s, backend.Turn{Execution: "q", Run: runs[1], Rows: rows("r"), Children: []backend.NewExecution{child("d", "q", runs[1], "1")}})
		f.finish(s, "q", runs[1], 1, backend.Completed)
		for _, c := range f.claim(s, "c", "d") {
			f.finish(s, c.ID, c.Run, 0, backend.Completed)
		}
		claimed := f.claim(s)
		expect(f, "due", ids(claimed), []string{"p"})
		expect(f, "inbox", names(claimed[0].Inbox), []string{"completed"})
	}},
	{"a child's id that is taken", func(f *fixture) {
		s := f.session()
		run := f.born(s, "p", "other")[0]
		twice := backend.Turn{Execution: "p", Run: run, Rows: rows("r"), Children: []backend.NewExecution{child("c", "p", run, "1")}}
		f.turn(s, twice)
		twice.First = 1
		f.turn(s, twice)
		expect(f, "the same child", len(f.answers(s)), 0)
		f.turn(s, backend.Turn{Execution: "p", Run: run, First: 2, Rows: rows("r"), Children: []backend.NewExecution{child("other", "p", run, "2")}})
		expect(f, "taken", f.answers(s), []string{"p notice taken 2 "})
		unknown := child("u", "p", run, "3")
		unknown.Digest = "nothing"
		f.refused(backend.Batch{Session: s, Turns: []backend.Turn{{Execution: "p", Run: run, First: 3, Rows: rows("r"), Children: []backend.NewExecution{unknown}}}}, 0, backend.ErrNoProgram)
		expect(f, "journal", len(f.journal(run)), 3)
	}},
	{"many turns of a batch have children", func(f *fixture) {
		s := f.session()
		runs := f.born(s, "p", "q", "r", "z")
		begin := func(parent string, run backend.RunKey, ids ...string) backend.Turn {
			t := backend.Turn{Execution: parent, Run: run, Rows: rows("r")}
			for i, id := range ids {
				t.Children = append(t.Children, child(id, parent, run, fmt.Sprint(i+1)))
			}
			return t
		}
		unknown := begin("r", runs[2], "e")
		unknown.Children[0].Digest = "nothing"
		f.refused(backend.Batch{Session: s, Turns: []backend.Turn{begin("p", runs[0], "a"), unknown, begin("q", runs[1], "b")}}, 1, backend.ErrNoProgram)
		expect(f, "after a batch that was refused", len(f.claim(s)), 0)
		f.commit(backend.Batch{Session: s, Turns: []backend.Turn{
			begin("p", runs[0], "b", "z"), {Execution: "z", Run: runs[3], Rows: rows("r")}, begin("q", runs[1], "b", "a"), begin("r", runs[2], "c"),
		}})
		expect(f, "told", f.answers(s), []string{"p notice taken 2 ", "q notice taken 1 "})
		expect(f, "children", ids(f.claim(s)), []string{"b", "a", "c"})
		first, second := begin("p", runs[0], "d"), begin("q", runs[1], "d")
		first.First, second.First = 1, 1
		first.Orders = []backend.Order{{Message: signal("z", "m")}}
		f.commit(backend.Batch{Session: s, Turns: []backend.Turn{first, second}})
		expect(f, "told of one that the first has begun", f.answers(s)[2:], []string{"z signal m  m", "q notice taken 1 "})
		for i, want := range []int{2, 2, 1, 1} {
			expect(f, fmt.Sprint("journal ", i), len(f.journal(runs[i])), want)
		}
	}},
	{"orders are answered", func(f *fixture) {
		s, other := f.session(), f.session()
		run := f.born(s, "x")[0]
		done := f.born(other, "done", "held")
		f.finish(other, "done", done[0], 0, backend.Completed)
		f.create(ask("idle"))
		order := func(to, answer string) backend.Order {
			return backend.Order{Message: signal(to, "m"), Answer: answer}
		}
		f.turn(s, backend.Turn{Execution: "x", Run: run, Rows: rows("r"), Orders: []backend.Order{
			order("held", "1"), order("done", "2"), order("nobody", "3"), order("x", "4"), order("idle", "5"), order("done", ""),
		}})
		expect(f, "answers", f.answers(s), []string{
			"x notice delivered 1 ", "x notice closed 2 ", "x notice not_found 3 ", "x signal m  m", "x notice delivered 4 ", "x notice delivered 5 ",
		})
		expect(f, "held", f.answers(other), []string{"held signal m  m"})
		expect(f, "idle", names(f.claim(other)[0].Inbox), []string{"m"})
	}},
	{"watchers are told of the end, once", func(f *fixture) {
		s := f.session()
		runs := f.born(s, "x", "y", "z", "gone")
		for i, id := range map[int]string{0: "x", 1: "y", 3: "gone"} {
			f.turn(s, backend.Turn{Execution: id, Run: runs[i], Rows: rows("r"), Watches: []backend.Watch{{Execution: "z", Step: "1"}}})
		}
		f.finish(s, "gone", runs[3], 1, backend.Completed)
		f.finish(s, "z", runs[2], 0, backend.Cancelled)
		told := f.answers(s)
		slices.Sort(told)
		expect(f, "told", told, []string{`x outcome cancelled 1 {"kind":"K"}`, `y outcome cancelled 1 {"kind":"K"}`})
		f.turn(s, backend.Turn{Execution: "x", Run: runs[0], First: 1, Rows: rows("r"), Watches: []backend.Watch{{Execution: "z", Step: "2"}, {Execution: "nobody", Step: "3"}}})
		expect(f, "after the end", f.answers(s)[2:], []string{`x outcome cancelled 2 {"kind":"K"}`, "x notice not_found 3 "})
	}},
	{"who does not wait any more is not told", func(f *fixture) {
		s := f.session()
		runs := f.born(s, "x", "y", "z")
		watch := func(step string) backend.Watch { return backend.Watch{Execution: "z", Step: step} }
		over := func(of, step string) backend.Watch { return backend.Watch{Execution: of, Step: step, Over: true} }
		f.turn(s, backend.Turn{Execution: "x", Run: runs[0], Rows: rows("r"), Watches: []backend.Watch{watch("1"), watch("2"), watch("3")}})
		f.turn(s, backend.Turn{Execution: "y", Run: runs[1], Rows: rows("r"), Watches: []backend.Watch{watch("1"), over("z", "1"), over("nobody", "1"), over("z", "9")}})
		f.turn(s, backend.Turn{Execution: "x", Run: runs[0], First: 1, Rows: rows("r"), Watches: []backend.Watch{over("z", "1"), over("z", "3"), watch("3")}})
		f.finish(s, "z", runs[2], 0, backend.Completed)
		told := f.answers(s)
		slices.Sort(told)
		expect(f, "told", told, []string{"x outcome completed 2 1", "x outcome completed 3 1"})
		f.turn(s, backend.Turn{Execution: "x", Run: runs[0], First: 2, Rows: rows("r"), Watches: []backend.Watch{over("z", "2")}})
		expect(f, "after the end", len(f.answers(s)), 2)
	}},
	{"a run that continues", func(f *fixture) {
		s := f.session()
		f.deploy("sha256:two")
		run := f.born(s, "x")[0]
		f.turn(s, backend.Turn{Execution: "x", Run: run, Rows: rows("a", "b"), Logs: []backend.LogLine{{Ordinal: 0, Message: "old"}}})
		f.must(f.send(signal("x", "kept")))
		next := backend.Turn{
			Execution: "x", Run: run, First: 2, Then: backend.Continue, Published: []byte(`{"n":1}`),
			Logs: []backend.LogLine{{Ordinal: 1, Message: "last"}}, Next: &backend.NextRun{Digest: "sha256:two", Edition: 2, Rows: rows("start")},
		}
		wrong := next
		wrong.Rows = rows("c")
		f.refused(backend.Batch{Session: s, Turns: []backend.Turn{wrong}}, 0, backend.ErrNotOwner)
		wrong = next
		wrong.Next = &backend.NextRun{Digest: "nothing"}
		f.refused(backend.Batch{Session: s, Turns: []backend.Turn{wrong}}, 0, backend.ErrNoProgram)
		f.refused(backend.Batch{Session: f.session(), Turns: []backend.Turn{next}}, 0, backend.ErrNotOwner)
		expect(f, "nothing has changed", len(f.journal(run)), 2)
		now := f.turn(s, next).Run
		x := f.execution("x")
		expect(f, "execution", fmt.Sprint(x.Run == now, x.RunNumber, x.Digest, x.Edition, x.Owner == s, x.State, string(x.Published)), `true 2sha256:two2 truerunning{"n":1}`)
		expect(f, "journals", fmt.Sprint(f.journal(run), f.journal(now)), fmt.Sprintf("[] [%d:start]", s))
		lines, err := f.Logs(f.ctx, run, 0, 0)
		f.must(err)
		expect(f, "old lines", len(lines), 2)
		runs, err := f.Runs(f.ctx, "x", 0)
		f.must(err)
		expect(f, "runs", fmt.Sprint(len(runs), runs[0].Key == run, runs[1].Key == now, runs[1].Number), "2 true true 2")
		expect(f, "inbox", f.answers(s), []string{"x signal kept  kept"})
		f.turn(s, backend.Turn{Execution: "x", Run: now, First: 1, Rows: rows("more"), Logs: []backend.LogLine{{Ordinal: 0, Message: "new"}}})
		f.refused(backend.Batch{Session: s, Turns: []backend.Turn{{Execution: "x", Run: run, First: 2, Rows: rows("late")}}}, 0, backend.ErrNotOwner)
	}},
	{"a thousand children in one turn", func(f *fixture) {
		s := f.session()
		run := f.born(s, "p")[0]
		t := backend.Turn{Execution: "p", Run: run, Rows: rows("r")}
		for i := range 1000 {
			t.Children = append(t.Children, child(fmt.Sprint("c", i), "p", run, fmt.Sprint(i)))
		}
		f.turn(s, t)
		b := backend.Batch{Session: s}
		for _, c := range f.claim(s) {
			b.Turns = append(b.Turns, backend.Turn{Execution: c.ID, Run: c.Run, Rows: rows("end"), Then: backend.Finish, State: backend.Completed, Result: []byte("1")})
		}
		expect(f, "claimed", len(b.Turns), 1000)
		f.commit(b)
		expect(f, "told", len(f.answers(s)), 1000)
	}},
	{"among many plain turns", func(f *fixture) {
		s := f.session()
		var many []string
		for i := range 40 {
			many = append(many, fmt.Sprint("m", i))
		}
		runs := f.born(s, append(many, "p", "q")...)
		var b backend.Batch
		b.Session = s
		for i, id := range many {
			b.Turns = append(b.Turns, backend.Turn{Execution: id, Run: runs[i], Rows: rows("r")})
		}
		b.Turns = append(b.Turns,
			backend.Turn{Execution: "p", Run: runs[40], Rows: rows("r"), Children: []backend.NewExecution{child("c", "p", runs[40], "1")}, Watches: []backend.Watch{{Execution: "q", Step: "2"}}},
			backend.Turn{Execution: "q", Run: runs[41], Rows: rows("r"), Then: backend.Finish, State: backend.Completed, Result: []byte("7")})
		spoilt := b
		spoilt.Turns = append([]backend.Turn{}, b.Turns...)
		spoilt.Turns[20].First = 5
		f.refused(spoilt, 20, backend.ErrNotOwner)
		expect(f, "nothing landed", len(f.journal(runs[0]))+len(f.answers(s)), 0)
		f.commit(b)
		expect(f, "told", f.answers(s), []string{"p outcome completed 2 7"})
		expect(f, "child", f.execution("c").Parent, "p")
	}},
	{"turns of a batch that follow from each other", func(f *fixture) {
		s := f.session()
		runs := f.born(s, "a", "b", "c", "d", "e")
		reserve := func(n int, id string, first int64, hash string) backend.Turn {
			return backend.Turn{Execution: id, Run: runs[n], First: first, Rows: rows("r"), Reserve: []backend.Reservation{{Step: hash, Hash: hash, Activity: "add", Key: hash}}}
		}
		settle := func(n int, id string, first int64, hash, result string, expires time.Time) backend.Turn {
			r := backend.MemoResult{Step: hash, Hash: hash, Expires: expires}
			if result != "" {
				r.Result = []byte(result)
			}
			return backend.Turn{Execution: id, Run: runs[n], First: first, Rows: rows("r"), Memos: []backend.MemoResult{r}}
		}
		leave := reserve(3, "d", 3, "x")
		leave.Then = backend.Release
		reply := f.commit(backend.Batch{Session: s, Turns: []backend.Turn{
			reserve(0, "a", 0, "x"), reserve(1, "b", 0, "x"), settle(0, "a", 1, "x", "5", time.Time{}), reserve(2, "c", 0, "x"), // b waits for a, c comes late
			reserve(0, "a", 2, "y"), settle(0, "a", 3, "y", "6", past(1)), reserve(1, "b", 1, "y"), // has expired
			reserve(2, "c", 1, "z"), reserve(3, "d", 0, "z"), settle(2, "c", 2, "z", "", time.Time{}), // is passed on
			settle(3, "d", 1, "z", "7", time.Time{}), settle(3, "d", 2, "x", "8", time.Time{}), // the second is not its own
			leave,
			{Execution: "e", Run: runs[4], Then: backend.Continue, Next: &backend.NextRun{Digest: ask("").Digest, Edition: 1, Rows: rows("s", "t")}},
		}})
		told := f.answers(s)
		slices.Sort(told)
		expect(f, "told", told, []string{
			"a notice reserved x ", "a notice reserved y ", "b notice hit x 5", "b notice reserved y ", "c notice hit x 5", "c notice reserved z ",
			"d notice hit x 5", "d notice reserved z ",
		})
		expect(f, "one that is told something is not let go", reply.Turns[12].Kept, true)
		expect(f, "journal", len(f.journal(runs[3])), 4)
		now := reply.Turns[13].Run
		expect(f, "the next run", fmt.Sprint(f.execution("e").Run == now, f.journal(now), f.journal(runs[4])), fmt.Sprintf("true [%d:s %d:t] []", s, s))
		memos, err := f.Memos(f.ctx, backend.MemoFilter{})
		f.must(err)
		var list []string
		for _, m := range memos {
			list = append(list, fmt.Sprintf("%s %s %s %d", m.Hash, m.Execution, m.Result, m.Waiting))
		}
		slices.Sort(list)
		expect(f, "memos", list, []string{"x a 5 0", "y b  0", "z d 7 0"})

		end := backend.Turn{Execution: "b", Run: runs[1], First: 2, Rows: rows("r"), Then: backend.Finish, State: backend.Completed, Result: []byte("1")}
		late := reserve(1, "b", 3, "w")
		f.refused(backend.Batch{Session: s, Turns: []backend.Turn{reserve(2, "c", 3, "y"), end, late}}, 2, backend.ErrNotOwner)
		expect(f, "nothing landed", len(f.journal(runs[2])), 3)
		f.commit(backend.Batch{Session: s, Turns: []backend.Turn{reserve(2, "c", 3, "y"), end}}) // what it had reserved is the other's
		expect(f, "passed on by an end", slices.Contains(f.answers(s), "c notice reserved y "), true)
		lost := reserve(0, "a", 4, "v")
		lost.Taken = []int64{1 << 40}
		f.refused(backend.Batch{Session: s, Turns: []backend.Turn{reserve(2, "c", 4, "v"), lost}}, 1, backend.ErrNotOwner)
		expect(f, "nothing landed", len(f.journal(runs[2])), 4)
	}},
	{"what a turn gives up, a later one of its batch may not write", func(f *fixture) {
		s := f.session()
		for _, many := range []int{0, 8} { // plain turns beside it, with which some stores write it together
			id := func(name string) string { return fmt.Sprint(name, many) }
			var others []string
			for n := range many {
				others = append(others, id(fmt.Sprint("other", n)))
			}
			runs := f.born(s, append([]string{id("a"), id("b")}, others...)...)
			f.turn(s, backend.Turn{Execution: id("a"), Run: runs[0], Rows: rows("r")})
			f.must(f.send(signal(id("b"), "m")))
			beside := func(turns ...backend.Turn) backend.Batch {
				b := backend.Batch{Session: s, Turns: turns}
				for n, other := range others {
					b.Turns = append(b.Turns, backend.Turn{Execution: other, Run: runs[2+n], Rows: rows("r")})
				}
				return b
			}
			plain := backend.Turn{Execution: id("a"), Run: runs[0], First: 1, Rows: rows("r")}
			for _, gone := range []backend.Turn{
				{Then: backend.Release},
				{Then: backend.Finish, State: backend.Completed},
				{Then: backend.Continue, Next: &backend.NextRun{Digest: digest, Edition: 1}},
			} {
				gone.Execution, gone.Run = id("a"), runs[0]
				f.refused(beside(gone, plain), 1, backend.ErrNotOwner)
				expect(f, "journal", len(f.journal(runs[0])), 1)
				expect(f, "owner", f.execution(id("a")).Owner, s)
			}
			waiting, err := f.Inbox(f.ctx, id("b"))
			f.must(err)
			take := backend.Turn{Execution: id("b"), Run: runs[1], Taken: numbers(waiting)}
			f.refused(beside(take, take), 1, backend.ErrNotOwner)
			log := backend.Turn{Execution: id("b"), Run: runs[1], Logs: []backend.LogLine{{Level: "print"}}}
			f.refused(beside(log, log), 1, backend.ErrNotOwner)
			kept := backend.Turn{Execution: id("b"), Run: runs[1], Then: backend.Release}
			next := backend.Turn{Execution: id("b"), Run: runs[1], Rows: rows("r"), Taken: numbers(waiting)}
			expect(f, "kept", f.commit(beside(kept, next)).Turns[0].Kept, true)
			expect(f, "journal", len(f.journal(runs[1])), 1)
		}
	}},
}
