// Claims: what is due, in which order, for whom.

package backendtest

import (
	"fmt"
	"time"

	"github.com/senpuki/senpuki/backend"
)

var claimCases = []testCase{
	{"highest priority first, then oldest due", func(f *fixture) {
		for i, p := range []int{0, 5, 0, 5, -1} {
			n := ask(fmt.Sprint("x", i))
			n.Priority, n.Due = p, past(10-i)
			f.create(n)
		}
		s := f.session()
		r := backend.ClaimRequest{Session: s, Queues: []string{"default"}, Editions: []int{1}, Limit: 3}
		claimed, err := f.Claim(f.ctx, r)
		f.must(err)
		expect(f, "first", ids(claimed), []string{"x3", "x1", "x2"})
		claimed, err = f.Claim(f.ctx, r)
		f.must(err)
		expect(f, "rest", ids(claimed), []string{"x0", "x4"})
	}},
	{"the order holds across queues", func(f *fixture) {
		for i, q := range []string{"a", "b", "a", "b", "c"} {
			n := ask(fmt.Sprint("x", i))
			n.Queue, n.Due, n.Priority = q, past(9-i), i/2
			f.create(n)
		}
		claimed, err := f.Claim(f.ctx, backend.ClaimRequest{Session: f.session(), Queues: []string{"a", "b", "a"}, Editions: []int{1}, Limit: 3})
		f.must(err)
		expect(f, "claimed", ids(claimed), []string{"x3", "x2", "x1"})
	}},
	{"equally good ones in order of their runs", func(f *fixture) {
		for _, id := range []string{"c", "a", "b"} {
			n := ask(id)
			n.Due = past(1)
			f.create(n)
		}
		expect(f, "claimed", ids(f.claim(f.session())), []string{"c", "a", "b"})
	}},
	{"when to look again", func(f *fixture) {
		next := func(queues ...string) time.Time {
			at, err := f.NextDue(f.ctx, queues)
			f.must(err)
			return at
		}
		expect(f, "nothing", next("default"), time.Time{})
		for i, due := range []time.Time{far(9), far(3), past(1), far(5), far(1)} {
			n := ask(fmt.Sprint("x", i))
			n.Due, n.Priority = due, []int{5, 0, 7, -1, 0}[i]
			if i == 4 {
				n.Queue = "other"
			}
			f.create(n)
		}
		expect(f, "the first of all priorities", next("default"), far(3))
		expect(f, "of two queues", next("other", "default"), far(1))
		expect(f, "of another", next("none"), time.Time{})
		s := f.session()
		f.claim(s, "x1")
		expect(f, "an owned one", next("default"), far(5))
		run := f.born(s, "y")[0]
		f.turn(s, backend.Turn{Execution: "y", Run: run, Rows: rows("a"), Tasks: []backend.Task{{Step: "1", Attempt: 1, Queue: "default", Activity: "a", Due: far(2)}}})
		expect(f, "a task", next("default"), far(2))
	}},
	{"not before it is due", func(f *fixture) {
		n := ask("later")
		n.Due, n.Priority = far(1), 10
		f.create(n, ask("now"))
		expect(f, "claimed", ids(f.claim(f.session())), []string{"now"})
	}},
	{"what has begun, apart from what has not", func(f *fixture) {
		s := f.session()
		for i, p := range []int{0, 5, 0, -1, 7} {
			n := ask(fmt.Sprint("x", i))
			n.Due, n.Priority = past(9-i), p
			f.create(n)
		}
		for id, due := range map[string]time.Time{"x1": past(3), "x2": past(1), "x3": past(2), "x4": far(1)} {
			run := f.claim(s, id)[0].Run
			f.turn(s, backend.Turn{Execution: id, Run: run, Rows: rows("a"), Then: backend.Release, Due: due})
		}
		dead := f.session()
		f.born(dead, "orphan")
		f.must(f.Revoke(f.ctx, dead))
		r := backend.ClaimRequest{Session: s, Queues: []string{"default"}, Editions: []int{1}, Begun: true, Limit: 2}
		claimed, err := f.Claim(f.ctx, r)
		f.must(err)
		expect(f, "first", fmt.Sprint(ids(claimed), claimed[0].Fresh), "[x1 x2] false")
		claimed, err = f.Claim(f.ctx, r)
		f.must(err)
		expect(f, "then", ids(claimed), []string{"orphan", "x3"})
		claimed, err = f.Claim(f.ctx, r)
		f.must(err)
		expect(f, "no more", len(claimed), 0)
		f.must(f.send(signal("x4", "go")))
		r.Queues = []string{"other"}
		claimed, err = f.Claim(f.ctx, r)
		f.must(err)
		expect(f, "of another queue", len(claimed), 0)
		r.Queues = []string{"other", "default"}
		claimed, err = f.Claim(f.ctx, r)
		f.must(err)
		expect(f, "a message makes it due", ids(claimed), []string{"x4"})
		expect(f, "the new one", ids(f.claim(s)), []string{"x0"})
	}},
	{"all tags must be offered", func(f *fixture) {
		a, b, c := ask("a"), ask("b"), ask("c")
		a.Due, b.Due, c.Due = past(1), past(2), past(3)
		b.Tags, c.Tags = []string{"gpu"}, []string{"gpu", "eu"}
		f.create(a, b, c)
		r := backend.ClaimRequest{Session: f.session(), Queues: []string{"default"}, Editions: []int{1}, Limit: 9}
		for _, step := range []struct{ tags, want []string }{
			{nil, []string{"a"}}, {[]string{"gpu", "us"}, []string{"b"}}, {[]string{"eu", "gpu"}, []string{"c"}},
		} {
			r.Tags = step.tags
			claimed, err := f.Claim(f.ctx, r)
			f.must(err)
			expect(f, fmt.Sprint("with tags ", step.tags), ids(claimed), step.want)
		}
	}},
	{"known editions only", func(f *fixture) {
		n := ask("new")
		n.Edition = 2
		f.create(n, ask("old"))
		s := f.session()
		expect(f, "edition 1", ids(f.claim(s)), []string{"old"})
		expect(f, "named and too new", ids(f.claim(s, "new")), []string(nil))
		claimed, err := f.Claim(f.ctx, backend.ClaimRequest{Session: s, Queues: []string{"default"}, Limit: 1})
		f.must(err)
		expect(f, "no edition", len(claimed), 0)
		claimed, err = f.Claim(f.ctx, backend.ClaimRequest{Session: s, Queues: []string{"default"}, Editions: []int{1, 2}, Limit: 1})
		f.must(err)
		expect(f, "edition 2", ids(claimed), []string{"new"})
	}},
	{"ids take whatever is ownerless", func(f *fixture) {
		n := ask("far")
		n.Due, n.Queue, n.Tags = far(1), "other", []string{"gpu"}
		f.create(n, ask("near"), ask("unasked"))
		s := f.session()
		f.born(s, "owned")
		claimed := f.claim(s, "far", "near", "owned", "missing")
		expect(f, "claimed", len(claimed), 2)
		for _, c := range claimed {
			expect(f, "due", c.Due.IsZero(), true)
		}
		claimed, err := f.Claim(f.ctx, backend.ClaimRequest{Session: s, Queues: []string{"default"}, Editions: []int{1}, IDs: []string{}, Limit: 9})
		f.must(err)
		expect(f, "no ids", len(claimed), 0)
	}},
	{"a claim shows how it stands after it", func(f *fixture) {
		f.create(ask("x"))
		f.must(f.send(signal("x", "one")))
		f.must(f.send(signal("x", "two")))
		s := f.session()
		c := f.claim(s)[0]
		expect(f, "execution", c.Execution, f.execution("x"))
		expect(f, "state", c.State, backend.Running)
		expect(f, "owner and fresh", fmt.Sprint(c.Owner, c.Fresh), fmt.Sprint(s, true))
		expect(f, "started", c.Started.IsZero(), false)
		expect(f, "inbox", names(c.Inbox), []string{"one", "two"})
	}},
	{"fresh once only", func(f *fixture) {
		f.create(ask("x"))
		s := f.session()
		c := f.claim(s)[0]
		f.turn(s, backend.Turn{Execution: "x", Run: c.Run, Then: backend.Release, Due: past(1)})
		again := f.claim(s)[0]
		expect(f, "fresh", again.Fresh, false)
		expect(f, "started", again.Started, c.Started)
	}},
	{"a dead session gets nothing", func(f *fixture) {
		f.create(ask("x"))
		s := f.session()
		f.must(f.Revoke(f.ctx, s))
		_, err := f.Claim(f.ctx, backend.ClaimRequest{Session: s, Queues: []string{"default"}, Editions: []int{1}, Limit: 1})
		f.want(err, backend.ErrFenced)
		expect(f, "owner", f.execution("x").Owner, backend.SessionID(0))
	}},
	{"a claim with a batch takes what there is when all else has landed", func(f *fixture) {
		s := f.session()
		runs := f.born(s, "ends", "goes", "stays")
		low := ask("low")
		low.Priority = -1
		later := ask("later")
		later.Due = far(1)
		f.create(low, later)
		fresh := ask("fresh")
		reply, err := f.Commit(f.ctx, backend.Batch{Session: s, Create: []backend.NewExecution{fresh},
			Turns: []backend.Turn{
				{Execution: "ends", Run: runs[0], First: 0, Rows: [][]byte{[]byte("e")}, Then: backend.Finish, State: backend.Completed},
				{Execution: "goes", Run: runs[1], Then: backend.Release, Due: past(1)},
				{Execution: "stays", Run: runs[2], First: 0, Rows: [][]byte{[]byte("s")}},
			},
			Send:  []backend.Message{{Execution: "goes", Kind: backend.Signal, Name: "hello"}},
			Claim: &backend.ClaimRequest{Queues: []string{"default"}, Editions: []int{1}, Limit: 9},
		})
		f.must(err)
		expect(f, "claimed", ids(reply.Claimed), []string{"goes", "fresh", "low"})
		goes, made := reply.Claimed[0], reply.Claimed[1]
		expect(f, "owner", []backend.SessionID{goes.Owner, made.Owner, f.execution("goes").Owner, f.execution("low").Owner}, []backend.SessionID{s, s, s, s})
		expect(f, "run", []backend.RunKey{goes.Run, made.Run}, []backend.RunKey{runs[1], reply.Created[0].Run})
		expect(f, "fresh", []bool{goes.Fresh, made.Fresh}, []bool{false, true})
		expect(f, "messages", len(goes.Inbox), 1)
		expect(f, "later", f.execution("later").Owner, backend.SessionID(0))
		// They are the session's as any other: rows land.
		f.turn(s, backend.Turn{Execution: "fresh", Run: made.Run, First: 0, Rows: [][]byte{[]byte("f")}})
		f.turn(s, backend.Turn{Execution: "goes", Run: goes.Run, First: 0, Rows: [][]byte{[]byte("g")}, Taken: []int64{goes.Inbox[0].ID}, Then: backend.Finish, State: backend.Completed})
	}},
	{"a claim with a batch takes no more than it may, and what others hold it leaves", func(f *fixture) {
		s, other := f.session(), f.session()
		run := f.born(s, "x")[0]
		f.born(other, "theirs")
		f.create(ask("a"), ask("b"), ask("c"))
		for i, limit := range []int{0, 2, 9} {
			reply, err := f.Commit(f.ctx, backend.Batch{Session: s,
				Turns: []backend.Turn{{Execution: "x", Run: run, First: int64(i), Rows: [][]byte{[]byte("r")}}},
				Claim: &backend.ClaimRequest{Queues: []string{"default"}, Editions: []int{1}, Limit: limit}})
			f.must(err)
			expect(f, fmt.Sprint("with a limit of ", limit), ids(reply.Claimed), [][]string{nil, {"a", "b"}, {"c"}}[i])
		}
		expect(f, "theirs", f.execution("theirs").Owner, other)
	}},
	{"a batch that may not land claims nothing", func(f *fixture) {
		s := f.session()
		run := f.born(s, "x")[0]
		f.create(ask("waits"))
		b := backend.Batch{Session: s, Claim: &backend.ClaimRequest{Queues: []string{"default"}, Editions: []int{1}, Limit: 9},
			Turns: []backend.Turn{{Execution: "x", Run: run, First: 7, Rows: [][]byte{[]byte("r")}}}}
		_, err := f.Commit(f.ctx, b)
		f.want(err, backend.ErrNotOwner)
		expect(f, "owner", f.execution("waits").Owner, backend.SessionID(0))
		f.must(f.Revoke(f.ctx, s))
		b.Turns = nil
		_, err = f.Commit(f.ctx, b)
		f.want(err, backend.ErrFenced)
		expect(f, "owner", f.execution("waits").Owner, backend.SessionID(0))
	}},
	{"the ended are never claimed", func(f *fixture) {
		s := f.session()
		run := f.born(s, "x")[0]
		f.turn(s, backend.Turn{Execution: "x", Run: run, Then: backend.Finish, State: backend.Completed})
		expect(f, "by queue", len(f.claim(s)), 0)
		expect(f, "by id", len(f.claim(s, "x")), 0)
	}},
	{"a limit of none", func(f *fixture) {
		f.create(ask("x"))
		claimed, err := f.Claim(f.ctx, backend.ClaimRequest{Session: f.session(), Queues: []string{"default"}, Editions: []int{1}})
		f.must(err)
		expect(f, "claimed", len(claimed), 0)
	}},
}
