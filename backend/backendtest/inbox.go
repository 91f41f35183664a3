// Messages: sent, received, taken, rejected.

package backendtest

import (
	"fmt"
	"slices"

	"github.com/senpuki/senpuki/backend"
)

var inboxCases = []testCase{
	{"whether somebody was woken", func(f *fixture) {
		s, other := f.session(), f.session()
		run := f.born(s, "x")[0]
		asleep := ask("asleep")
		asleep.Due = far(1)
		send := func(what string, b backend.Batch, want bool) {
			f.Helper()
			b.Session = s
			expect(f, what, f.commit(b).Woken, want)
		}
		to := func(id string) backend.Batch {
			return backend.Batch{Send: []backend.Message{{Execution: id, Kind: backend.Signal, Name: "m"}}}
		}
		order := func(first int64, id string) backend.Batch {
			return backend.Batch{Turns: []backend.Turn{{Execution: "x", Run: run, First: first, Rows: rows("r"),
				Orders: []backend.Order{{Message: backend.Message{Execution: id, Kind: backend.Signal, Name: "m"}, Answer: "a"}}}}}
		}
		f.create(asleep)
		send("to one with an owner", to("x"), false)
		send("to nobody", to("missing"), false)
		send("to one that sleeps", to("asleep"), true)
		send("to one that is due", to("asleep"), false)
		asleep.ID = "asleep too"
		f.create(asleep)
		send("an order to one with an owner", order(0, "x"), false)
		send("an order to one that sleeps", order(1, "asleep too"), true)

		// What becomes of tasks.
		task := func(step string) backend.Task {
			return backend.Task{Step: step, Attempt: 1, Queue: "default", Activity: "a", Due: past(1), Input: []byte("{}")}
		}
		f.turn(s, backend.Turn{Execution: "x", Run: run, First: 2, Rows: rows("t"), Tasks: []backend.Task{task("t1"), task("t2"), task("t3")}})
		got, err := f.ClaimTasks(f.ctx, backend.TaskRequest{Session: other, Queues: []string{"default"}, Activities: []string{"a"}, Limit: 9})
		f.must(err)
		settle := func(i int) backend.Batch {
			return backend.Batch{Session: other, Settle: []backend.Settled{{Key: got.Tasks[i].Key, Name: backend.TaskDone}}}
		}
		expect(f, "settled for an owner", f.commit(settle(0)).Woken, false)
		messages, err := f.Inbox(f.ctx, "x")
		f.must(err)
		f.turn(s, backend.Turn{Execution: "x", Run: run, Taken: numbers(messages), Then: backend.Release})
		expect(f, "settled for one that sleeps", f.commit(settle(1)).Woken, true)
		expect(f, "settled for one that is due", f.commit(settle(2)).Woken, false)

		// What becomes of a child.
		run = f.claim(s, "x")[0].Run
		child := ask("child")
		child.Parent, child.ParentRun, child.ParentStep, child.Claim = "x", run, "c", true
		for _, woken := range []bool{false, true} {
			made := f.commit(backend.Batch{Session: other, Create: []backend.NewExecution{child}}).Created[0]
			if messages, err = f.Inbox(f.ctx, "x"); woken {
				f.must(err)
				f.turn(s, backend.Turn{Execution: "x", Run: run, Taken: numbers(messages), Then: backend.Release})
			}
			reply := f.commit(backend.Batch{Session: other, Turns: []backend.Turn{{Execution: child.ID, Run: made.Run, Then: backend.Finish, State: backend.Completed}}})
			expect(f, "the end of a child", reply.Woken, woken)
			child.ID, child.ParentStep = "child2", "d"
		}
	}},
	{"who was told of an end", func(f *fixture) {
		s, other := f.session(), f.session()
		run := f.born(s, "x", "y", "z", "over")
		watch := func(i int, id string, targets ...string) {
			t := backend.Turn{Execution: id, Run: run[i], First: 0, Rows: rows("w")}
			for _, target := range targets {
				t.Watches = append(t.Watches, backend.Watch{Execution: target, Step: "w" + target})
			}
			f.turn(s, t)
		}
		child := ask("c")
		child.Parent, child.ParentRun, child.ParentStep, child.Claim = "x", run[0], "c", true
		theirs := []backend.NewExecution{child, ask("a"), ask("b"), ask("d")}
		for i := range theirs {
			theirs[i].Claim = true
		}
		made := f.commit(backend.Batch{Session: other, Create: theirs}).Created
		watch(0, "x", "a")
		watch(1, "y", "a", "b")
		watch(2, "z", "b", "c")
		watch(3, "over", "d")
		f.turn(s, backend.Turn{Execution: "over", Run: run[3], First: 1, Rows: rows("o"), Then: backend.Finish, State: backend.Completed})
		f.turn(s, backend.Turn{Execution: "y", Run: run[1], First: 1, Rows: rows("y"), Then: backend.Release})
		end := func(i int) backend.Turn {
			return backend.Turn{Execution: theirs[i].ID, Run: made[i].Run, First: 0, Rows: rows("e"), Then: backend.Finish, State: backend.Completed}
		}
		told := func(what string, woken bool, want []string, turns ...backend.Turn) {
			f.Helper()
			reply := f.commit(backend.Batch{Session: other, Turns: turns})
			slices.Sort(reply.Told)
			expect(f, what, slices.Compact(reply.Told), want)
			expect(f, what+", woken", reply.Woken, woken)
		}
		told("who has ended", false, nil, end(3))
		told("the parent, and who watches", false, []string{"x", "z"}, end(0))
		told("by several", true, []string{"x", "y", "z"}, end(1), end(2))
	}},
	{"anybody may look into one", func(f *fixture) {
		s := f.session()
		f.born(s, "x", "y")
		f.create(ask("z"))
		for _, name := range []string{"a", "b"} {
			f.must(f.send(signal("x", name)))
			f.must(f.send(signal("z", name+"z")))
		}
		owned, err := f.Receive(f.ctx, s)
		f.must(err)
		for id, want := range map[string][]string{"x": {"a", "b"}, "y": nil, "z": {"az", "bz"}, "nobody": nil} {
			got, err := f.Inbox(f.ctx, id)
			f.must(err)
			expect(f, "inbox of "+id, names(got), want)
			if id == "x" {
				expect(f, "whole", got, owned)
			}
		}
	}},
	{"a caller's bytes are its own", func(f *fixture) {
		s := f.session()
		f.born(s, "x")
		m := signal("x", "m")
		m.Payload = []byte("kept")
		f.must(f.send(m))
		for range 2 {
			got, err := f.Receive(f.ctx, s)
			f.must(err)
			expect(f, "payload", string(got[0].Payload), "kept")
			got[0].Payload[0] = 'X'
		}
		f.must(f.Revoke(f.ctx, s))
		claimed := f.claim(f.session())
		expect(f, "payload", string(claimed[0].Inbox[0].Payload), "kept")
	}},
	{"what was sent is received", func(f *fixture) {
		s := f.session()
		f.born(s, "x")
		sent := backend.Message{Execution: "x", Kind: backend.Outcome, Name: "n", Step: "a/1", Attempt: 3, Payload: []byte{0xff, 0}}
		reply := f.commit(backend.Batch{Send: []backend.Message{sent}})
		f.must(reply.Sent[0])
		got, err := f.Receive(f.ctx, s)
		f.must(err)
		sent.ID, sent.Sent = got[0].ID, reply.Now
		expect(f, "message", got, []backend.Message{sent})
		expect(f, "id", got[0].ID > 0, true)
	}},
	{"in order, and again until taken", func(f *fixture) {
		s := f.session()
		runs := f.born(s, "x", "y")
		for i := range 6 {
			f.must(f.send(signal([]string{"x", "y"}[i%2], fmt.Sprint(i))))
		}
		for range 2 {
			got, err := f.Receive(f.ctx, s)
			f.must(err)
			expect(f, "messages", names(got), []string{"0", "1", "2", "3", "4", "5"})
		}
		got, err := f.Receive(f.ctx, s)
		f.must(err)
		f.turn(s, backend.Turn{Execution: "x", Run: runs[0], Rows: rows("a"), Taken: []int64{got[2].ID, got[0].ID}})
		left, err := f.Receive(f.ctx, s)
		f.must(err)
		expect(f, "left", names(left), []string{"1", "3", "4", "5"})
	}},
	{"a long backlog of others", func(f *fixture) {
		s := f.session()
		f.born(s, "mine")
		f.create(ask("other"))
		b := backend.Batch{}
		for i := range 600 {
			b.Send = append(b.Send, signal("other", fmt.Sprint(i)))
		}
		b.Send = append(b.Send, signal("mine", "me"), signal("mine", "too"))
		f.commit(b)
		got, err := f.Receive(f.ctx, s)
		f.must(err)
		expect(f, "messages", names(got), []string{"me", "too"})
		expect(f, "inbox", len(f.claim(s)[0].Inbox), 600)
	}},
	{"a message is taken once", func(f *fixture) {
		s := f.session()
		runs := f.born(s, "x", "y")
		f.must(f.send(signal("x", "m")))
		got, err := f.Receive(f.ctx, s)
		f.must(err)
		take := backend.Batch{Session: s, Turns: []backend.Turn{{Execution: "x", Run: runs[0], Rows: rows("a"), Taken: numbers(got)}}}
		other := backend.Batch{Session: s, Turns: []backend.Turn{{Execution: "y", Run: runs[1], Taken: numbers(got)}}}
		f.refused(other, 0, backend.ErrNotOwner)
		f.commit(take)
		take.Turns[0].First = 1
		f.refused(take, 0, backend.ErrNotOwner)
		expect(f, "journal", len(f.journal(runs[0])), 1)
	}},
	{"a message wakes", func(f *fixture) {
		s := f.session()
		runs := f.born(s, "never", "later", "soon")
		for i, t := range []backend.Turn{{Execution: "never"}, {Execution: "later", Due: far(1)}, {Execution: "soon", Due: past(1)}} {
			t.Run, t.Then = runs[i], backend.Release
			f.turn(s, t)
		}
		reply := f.commit(backend.Batch{Send: []backend.Message{signal("never", "m"), signal("later", "m"), signal("soon", "m")}})
		expect(f, "never", f.execution("never").Due, reply.Now)
		expect(f, "later", f.execution("later").Due, reply.Now)
		expect(f, "soon", f.execution("soon").Due, past(1))
		expect(f, "claimed", ids(f.claim(s)), []string{"soon", "never", "later"})
	}},
	{"an owned one is not made due", func(f *fixture) {
		f.born(f.session(), "x")
		f.must(f.send(signal("x", "m")))
		expect(f, "due", f.execution("x").Due.IsZero(), true)
	}},
	{"release keeps what has messages", func(f *fixture) {
		s := f.session()
		run := f.born(s, "x")[0]
		f.must(f.send(signal("x", "m")))
		reply := f.turn(s, backend.Turn{Execution: "x", Run: run, Rows: rows("a"), Then: backend.Release, Due: far(1)})
		expect(f, "kept", reply.Kept, true)
		x := f.execution("x")
		expect(f, "owner and due", fmt.Sprint(x.Owner, x.Due.IsZero()), fmt.Sprint(s, true))
		expect(f, "rows landed", len(f.journal(run)), 1)
		got, err := f.Receive(f.ctx, s)
		f.must(err)
		reply = f.turn(s, backend.Turn{Execution: "x", Run: run, First: 1, Rows: rows("b"), Taken: numbers(got), Then: backend.Release})
		expect(f, "kept", reply.Kept, false)
		expect(f, "owner", f.execution("x").Owner, backend.SessionID(0))
	}},
	{"a turn's own batch may send to it", func(f *fixture) {
		s := f.session()
		run := f.born(s, "x")[0]
		reply := f.commit(backend.Batch{Session: s, Turns: []backend.Turn{{Execution: "x", Run: run, Then: backend.Release}},
			Send: []backend.Message{signal("x", "m")}})
		expect(f, "kept", reply.Turns[0].Kept, false)
		expect(f, "due", f.execution("x").Due, reply.Now)
	}},
	{"finish rejects what is left", func(f *fixture) {
		s := f.session()
		run := f.born(s, "x")[0]
		f.must(f.send(signal("x", "m")))
		reply := f.commit(backend.Batch{Session: s, Turns: []backend.Turn{{Execution: "x", Run: run, Then: backend.Finish, State: backend.Completed}},
			Send: []backend.Message{signal("x", "late"), signal("missing", "m")}})
		f.want(reply.Sent[0], backend.ErrClosed)
		f.want(reply.Sent[1], backend.ErrNotFound)
		got, err := f.Receive(f.ctx, s)
		f.must(err)
		expect(f, "messages", len(got), 0)
		f.want(f.send(signal("x", "later")), backend.ErrClosed)
	}},
	{"signals stay for a run that goes on", func(f *fixture) {
		s := f.session()
		f.create(ask("parent"))
		parent := f.execution("parent").Run
		var all []string
		for _, shape := range []string{"one", "many", "children", "published"} { // stores may end each of them in a way of its own
			b := backend.Batch{Session: s}
			for i := range 12 {
				state := []backend.State{backend.Completed, backend.Failed, backend.Cancelled, backend.TimedOut}[i%4]
				n := ask(fmt.Sprint(shape, "-", i, "-", state))
				n.Claim = true
				if shape == "children" {
					n.Parent, n.ParentStep, n.ParentRun = "parent", "1", parent
				}
				run := f.commit(backend.Batch{Session: s, Create: []backend.NewExecution{n}}).Created[0].Run
				t := backend.Turn{Execution: n.ID, Run: run, Rows: rows("end"), Then: backend.Finish, State: state}
				if shape == "published" {
					t.Published = []byte("1")
				}
				b.Turns = append(b.Turns, t)
				all = append(all, n.ID)
				for _, kind := range []backend.MessageKind{backend.Cancel, backend.Signal, backend.Outcome, backend.Expire, backend.Signal, backend.Upgrade} {
					f.must(f.send(backend.Message{Execution: n.ID, Kind: kind, Name: fmt.Sprint("m", i), Payload: []byte(fmt.Sprint(kind))}))
				}
				if shape == "one" {
					f.commit(b)
					b.Turns = nil
				}
			}
			if len(b.Turns) > 0 {
				f.commit(b)
			}
		}
		left := func(id string) []backend.Message {
			f.Helper()
			got, err := f.Inbox(f.ctx, id)
			f.must(err)
			return got
		}
		again := make(map[string][]string)
		for i, id := range all {
			x := f.execution(id)
			var want []string
			if x.State != backend.Completed {
				want = []string{fmt.Sprint("m", i%12), fmt.Sprint("m", i%12)}
			}
			kept := left(id)
			expect(f, "left of "+id, names(kept), want)
			for _, m := range kept {
				expect(f, "message", fmt.Sprint(m.Execution, m.Kind, string(m.Payload), m.Sent.IsZero()), id+"signalsignalfalse")
			}
			f.want(f.send(signal(id, "late")), backend.ErrClosed)
			r := backend.Rerun{Execution: id, Run: x.Run, ID: "fork-" + id, Digest: digest, Edition: 1, Messages: []backend.Message{signal("", "older")}}
			f.must(f.Rerun(f.ctx, r))
			expect(f, "of the fork", names(left(r.ID)), []string{"older"})
			expect(f, "after the fork", left(id), kept)
			if r.ID, r.Messages = "", nil; i%8 < 4 {
				r.Messages = []backend.Message{signal("", "older"), signal("", "old")}
				want = append([]string{"older", "old"}, want...)
			}
			f.must(f.Rerun(f.ctx, r))
			f.must(f.send(signal(id, "new")))
			again[id] = append(want, "new")
		}
		claimed := f.claim(s, all...)
		expect(f, "claimed", len(claimed), len(all))
		for _, c := range claimed {
			want := again[c.ID]
			expect(f, "inbox of "+c.ID, names(c.Inbox), want)
			t := backend.Turn{Execution: c.ID, Run: c.Run, Rows: rows("first"), Taken: numbers(c.Inbox[:1]), Then: backend.Finish, State: backend.Failed}
			f.turn(s, t)
			expect(f, "left again of "+c.ID, names(left(c.ID)), want[1:])
		}
		got, err := f.Receive(f.ctx, s)
		f.must(err)
		expect(f, "received", len(got), 0)
		f.check()
		_, err = f.Collect(f.ctx, backend.Retention{Failed: far(1)})
		f.must(err)
		f.create(ask(all[0]))
		expect(f, "of another with the id", len(left(all[0])), 0)
	}},
	{"one refusal does not undo the others", func(f *fixture) {
		f.create(ask("x"))
		reply := f.commit(backend.Batch{Send: []backend.Message{signal("missing", "m"), signal("x", "m")}})
		f.want(reply.Sent[0], backend.ErrNotFound)
		f.must(reply.Sent[1])
		expect(f, "inbox", names(f.claim(f.session())[0].Inbox), []string{"m"})
	}},
	{"nobody receives nothing", func(f *fixture) {
		f.create(ask("x"))
		f.must(f.send(signal("x", "m")))
		for _, s := range []backend.SessionID{0, f.session(), 4711} {
			got, err := f.Receive(f.ctx, s)
			f.must(err)
			expect(f, "messages", len(got), 0)
		}
	}},
	{"nil and empty payloads", func(f *fixture) {
		s := f.session()
		f.born(s, "x")
		f.must(f.send(backend.Message{Execution: "x", Kind: backend.Expire}))
		f.must(f.send(backend.Message{Execution: "x", Kind: backend.Signal, Payload: []byte{}}))
		got, err := f.Receive(f.ctx, s)
		f.must(err)
		expect(f, "nil", []bool{got[0].Payload == nil, got[1].Payload == nil}, []bool{true, false})
	}},
}
