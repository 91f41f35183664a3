// Turns: what lands, what keeps a batch from landing, and what follows.

package backendtest

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/senpuki/senpuki/backend"
)

var commitCases = []testCase{
	{"a log line is not written twice", func(f *fixture) {
		s := f.session()
		t := backend.Turn{Execution: "x", Run: f.born(s, "x")[0], Logs: []backend.LogLine{{Ordinal: 0, At: past(1), Level: "print"}}}
		f.turn(s, t)
		f.refused(backend.Batch{Session: s, Turns: []backend.Turn{t}}, 0, backend.ErrNotOwner)
		t.Logs = []backend.LogLine{{Ordinal: 1, At: past(1)}, {Ordinal: 1, At: past(1)}}
		f.refused(backend.Batch{Session: s, Turns: []backend.Turn{t}}, 0, backend.ErrNotOwner)
	}},
	{"rows name their writer", func(f *fixture) {
		s := f.session()
		run := f.born(s, "x")[0]
		f.turn(s, backend.Turn{Execution: "x", Run: run, Rows: rows("a")})
		f.turn(s, backend.Turn{Execution: "x", Run: run, First: 1, Rows: rows("b", "", "d")})
		expect(f, "journal", f.journal(run), []string{fmt.Sprint(s, ":a"), fmt.Sprint(s, ":b"), fmt.Sprint(s, ":"), fmt.Sprint(s, ":d")})
		x := f.execution("x")
		expect(f, "held", x.Owner, s)
	}},
	{"large and binary rows", func(f *fixture) {
		s := f.session()
		run := f.born(s, "x")[0]
		big := strings.Repeat("\x00\xff0123456789", 100_000)
		f.turn(s, backend.Turn{Execution: "x", Run: run, Rows: rows(big)})
		expect(f, "same", f.journal(run)[0] == fmt.Sprint(s, ":")+big, true)
	}},
	{"a row lands once", func(f *fixture) {
		s := f.session()
		run := f.born(s, "x")[0]
		b := backend.Batch{Session: s, Turns: []backend.Turn{{Execution: "x", Run: run, Rows: rows("a")}}}
		f.commit(b)
		f.refused(b, 0, backend.ErrNotOwner)
		expect(f, "journal", len(f.journal(run)), 1)
	}},
	{"no gaps", func(f *fixture) {
		s := f.session()
		run := f.born(s, "x")[0]
		f.refused(backend.Batch{Session: s, Turns: []backend.Turn{{Execution: "x", Run: run, First: 1, Rows: rows("b")}}}, 0, backend.ErrNotOwner)
		f.turn(s, backend.Turn{Execution: "x", Run: run, Rows: rows("a")})
		f.refused(backend.Batch{Session: s, Turns: []backend.Turn{{Execution: "x", Run: run, First: 2, Rows: rows("c")}}}, 0, backend.ErrNotOwner)
		f.refused(backend.Batch{Session: s, Turns: []backend.Turn{{Execution: "x", Run: run, First: -1, Rows: rows("c")}}}, 0, backend.ErrNotOwner)
		f.refused(backend.Batch{Session: s, Turns: []backend.Turn{{Execution: "x", Run: run, First: 0, Rows: rows("a", "b")}}}, 0, backend.ErrNotOwner)
	}},
	{"whole or not at all", func(f *fixture) {
		s, other := f.session(), f.session()
		mine, theirs := f.born(s, "a", "b"), f.born(other, "c")
		f.refused(backend.Batch{
			Session: s,
			Create:  []backend.NewExecution{ask("new")},
			Send:    []backend.Message{signal("c", "hi")},
			Turns: []backend.Turn{
				{Execution: "a", Run: mine[0], Rows: rows("a0"), Published: []byte(`1`), Logs: []backend.LogLine{{Message: "m"}}},
				{Execution: "b", Run: mine[1], Then: backend.Release},
				{Execution: "c", Run: theirs[0], Rows: rows("c0")},
			},
		}, 2, backend.ErrNotOwner)
		expect(f, "rows", len(f.journal(mine[0])), 0)
		expect(f, "owner", f.execution("b").Owner, s)
		expect(f, "published", f.execution("a").Published == nil, true)
		lines, err := f.Logs(f.ctx, mine[0], 0, 0)
		f.must(err)
		expect(f, "logs", len(lines), 0)
		_, err = f.Execution(f.ctx, "new")
		f.want(err, backend.ErrNotFound)
		messages, err := f.Receive(f.ctx, other)
		f.must(err)
		expect(f, "messages", len(messages), 0)
	}},
	{"only the owner writes", func(f *fixture) {
		s, other := f.session(), f.session()
		run := f.born(s, "x")[0]
		for _, t := range []backend.Turn{
			{Execution: "x", Run: run, Rows: rows("a")}, {Execution: "x", Run: run, Then: backend.Release}, {Execution: "missing", Run: run},
		} {
			f.refused(backend.Batch{Session: other, Turns: []backend.Turn{t}}, 0, backend.ErrNotOwner)
		}
		f.refused(backend.Batch{Session: s, Turns: []backend.Turn{{Execution: "x", Run: run + 1, Rows: rows("a")}}}, 0, backend.ErrNotOwner)
		f.turn(s, backend.Turn{Execution: "x", Run: run, Then: backend.Release})
		f.refused(backend.Batch{Session: s, Turns: []backend.Turn{{Execution: "x", Run: run, Rows: rows("a")}}}, 0, backend.ErrNotOwner)
	}},
	{"a revoked session writes nothing", func(f *fixture) {
		s := f.session()
		run := f.born(s, "x")[0]
		f.must(f.Revoke(f.ctx, s))
		_, err := f.Commit(f.ctx, backend.Batch{Session: s, Turns: []backend.Turn{{Execution: "x", Run: run, Rows: rows("a")}}})
		f.want(err, backend.ErrFenced)
		expect(f, "journal", len(f.journal(run)), 0)
	}},
	{"a context that has ended", func(f *fixture) {
		ctx, cancel := context.WithCancel(f.ctx)
		cancel()
		_, err := f.Commit(ctx, backend.Batch{Create: []backend.NewExecution{ask("x")}})
		f.want(err, context.Canceled)
	}},
	{"release", func(f *fixture) {
		s := f.session()
		runs := f.born(s, "never", "later")
		reply := f.commit(backend.Batch{Session: s, Turns: []backend.Turn{
			{Execution: "never", Run: runs[0], Rows: rows("a"), Then: backend.Release},
			{Execution: "later", Run: runs[1], Then: backend.Release, Due: far(5)},
		}})
		expect(f, "kept", reply.Turns, make([]backend.TurnReply, 2))
		x, y := f.execution("never"), f.execution("later")
		expect(f, "owners", []backend.SessionID{x.Owner, y.Owner}, []backend.SessionID{0, 0})
		expect(f, "due", []time.Time{x.Due, y.Due}, []time.Time{{}, far(5)})
		expect(f, "state", x.State, backend.Running)
	}},
	{"finish", func(f *fixture) {
		s := f.session()
		runs := f.born(s, "a", "b", "c", "d")
		ends := []backend.State{backend.Completed, backend.Failed, backend.Cancelled, backend.TimedOut}
		b := backend.Batch{Session: s}
		for i, end := range ends {
			t := backend.Turn{Execution: string(rune('a' + i)), Run: runs[i], Rows: rows("end"), Then: backend.Finish, State: end}
			if t.Failure = []byte(`{"error":"x"}`); end == backend.Completed {
				t.Result, t.Failure = []byte{0xff, 0, 1}, nil
			}
			b.Turns = append(b.Turns, t)
		}
		at := f.commit(b).Now
		for i, end := range ends {
			x := f.execution(string(rune('a' + i)))
			expect(f, "state", x.State, end)
			expect(f, "finished", x.Finished, at)
			expect(f, "owner and due", fmt.Sprint(x.Owner, x.Due.IsZero()), "0 true")
			expect(f, "result", x.Result, b.Turns[i].Result)
			expect(f, "failure", string(x.Failure), string(b.Turns[i].Failure))
		}
		f.refused(backend.Batch{Session: s, Turns: []backend.Turn{{Execution: "a", Run: runs[0], First: 1, Rows: rows("more")}}}, 0, backend.ErrNotOwner)
	}},
	{"finishes that are alike", func(f *fixture) {
		f.deploy("sha256:two")
		s := f.session()
		done := func(id string, run backend.RunKey, result []byte) backend.Turn {
			return backend.Turn{Execution: id, Run: run, Rows: rows("end"), Then: backend.Finish, State: backend.Completed, Result: result}
		}
		runs := f.born(s, "a", "b", "c", "d", "e", "f", "g", "h")
		f.commit(backend.Batch{Session: s, Turns: []backend.Turn{done("a", runs[0], nil), done("b", runs[1], nil)}})
		f.commit(backend.Batch{Session: s, Turns: []backend.Turn{done("c", runs[2], []byte("3")), done("d", runs[3], nil)}})
		lost := func(id string, run backend.RunKey) backend.Turn {
			return backend.Turn{Execution: id, Run: run, Rows: rows("end"), Then: backend.Finish, State: backend.Failed, Failure: []byte(id)}
		}
		f.commit(backend.Batch{Session: s, Turns: []backend.Turn{lost("e", runs[4]), lost("f", runs[5])}})
		// Beside one that is in its second run.
		f.turn(s, backend.Turn{Execution: "g", Run: runs[6], Rows: rows("a")})
		later := f.turn(s, backend.Turn{Execution: "g", Run: runs[6], First: 1, Then: backend.Continue, Next: &backend.NextRun{Digest: "sha256:two", Edition: 1, Rows: rows("start")}}).Run
		f.refused(backend.Batch{Session: s, Turns: []backend.Turn{done("h", runs[7], []byte("8")), done("g", runs[6], []byte("7"))}}, 1, backend.ErrNotOwner)
		again := done("g", later, []byte("7"))
		again.First = 1
		f.commit(backend.Batch{Session: s, Turns: []backend.Turn{again, done("h", runs[7], []byte("8"))}})
		var got []string
		for _, id := range []string{"a", "b", "c", "d", "e", "f", "g", "h"} {
			x := f.execution(id)
			got = append(got, fmt.Sprint(x.State, x.Owner, string(x.Result), string(x.Failure)))
		}
		expect(f, "ends", got, []string{
			"completed0", "completed0", "completed03", "completed0", "failed0e", "failed0f", "completed07", "completed08",
		})
	}},
	{"published stays until it changes", func(f *fixture) {
		s := f.session()
		run := f.born(s, "x")[0]
		f.turn(s, backend.Turn{Execution: "x", Run: run, Published: []byte(`{"n":1}`)})
		f.turn(s, backend.Turn{Execution: "x", Run: run, Rows: rows("a")})
		expect(f, "published", string(f.execution("x").Published), `{"n":1}`)
		f.turn(s, backend.Turn{Execution: "x", Run: run, First: 1, Rows: rows("b"), Published: []byte(`2`)})
		expect(f, "published", string(f.execution("x").Published), `2`)
	}},
	{"stuck until a turn with rows", func(f *fixture) {
		s := f.session()
		run := f.born(s, "x")[0]
		stuck := &backend.Stuck{Reason: "no such activity", Since: past(3), Tries: 2}
		f.turn(s, backend.Turn{Execution: "x", Run: run, Stuck: stuck, Then: backend.Release, Due: past(1)})
		expect(f, "stuck", *f.execution("x").Stuck, *stuck)
		c := f.claim(s)[0]
		expect(f, "claimed stuck", *c.Stuck, *stuck)
		f.turn(s, backend.Turn{Execution: "x", Run: run, Published: []byte(`1`)})
		expect(f, "still stuck", f.execution("x").Stuck == nil, false)
		f.turn(s, backend.Turn{Execution: "x", Run: run, Rows: rows("a")})
		expect(f, "stuck no more", f.execution("x").Stuck == nil, true)
		f.turn(s, backend.Turn{Execution: "x", Run: run, First: 1, Rows: rows("b"), Stuck: stuck})
		expect(f, "stuck again", f.execution("x").Stuck == nil, false)
		f.turn(s, backend.Turn{Execution: "x", Run: run, Then: backend.Finish, State: backend.Failed})
		expect(f, "ended", f.execution("x").Stuck == nil, true)
	}},
	{"another program", func(f *fixture) {
		f.deploy("two")
		s := f.session()
		run := f.born(s, "x")[0]
		f.refused(backend.Batch{Session: s, Turns: []backend.Turn{{Execution: "x", Run: run, Digest: "missing"}}}, 0, backend.ErrNoProgram)
		f.turn(s, backend.Turn{Execution: "x", Run: run, Rows: rows("a"), Digest: "two"})
		expect(f, "digest", f.execution("x").Digest, "two")
	}},
	{"log lines land with their turn", func(f *fixture) {
		s := f.session()
		run := f.born(s, "x")[0]
		lines := []backend.LogLine{
			{Ordinal: 0, At: past(1), Level: "print", Message: "hello"},
			{Ordinal: 1, At: past(2), Step: "a/b", Level: "warn", Message: "世界", Fields: []byte(`{"n":1}`)},
		}
		f.turn(s, backend.Turn{Execution: "x", Run: run, Rows: rows("a"), Logs: lines})
		f.turn(s, backend.Turn{Execution: "x", Run: run, Logs: []backend.LogLine{{Ordinal: 2, At: past(3), Level: "info"}}})
		got, err := f.Logs(f.ctx, run, 0, 0)
		f.must(err)
		expect(f, "lines", got[:2], lines)
		got, err = f.Logs(f.ctx, run, 2, 0)
		f.must(err)
		expect(f, "from 2", len(got), 1)
	}},
	{"many turns in one batch", func(f *fixture) {
		s := f.session()
		var ids []string
		for i := range 300 {
			ids = append(ids, fmt.Sprint("x", i))
		}
		runs := f.born(s, ids...)
		for first := range 3 {
			b := backend.Batch{Session: s}
			for i, id := range ids {
				b.Turns = append(b.Turns, backend.Turn{Execution: id, Run: runs[i], First: int64(first), Rows: rows(fmt.Sprint(i, first))})
			}
			f.commit(b)
			f.refused(b, 0, backend.ErrNotOwner)
			b.Turns = append([]backend.Turn{}, b.Turns...)
			for i := range b.Turns {
				b.Turns[i].First++
			}
			b.Turns[217].First++
			f.refused(b, 217, backend.ErrNotOwner)
		}
		for i, run := range runs {
			expect(f, ids[i], f.journal(run), []string{fmt.Sprintf("%d:%d 0", s, i), fmt.Sprintf("%d:%d 1", s, i), fmt.Sprintf("%d:%d 2", s, i)})
		}
	}},
	{"plain turns among others", func(f *fixture) {
		s := f.session()
		runs := f.born(s, "a", "b", "c", "d")
		f.turn(s, backend.Turn{Execution: "c", Run: runs[2], Stuck: &backend.Stuck{Reason: "r", Since: past(1), Tries: 1}})
		b := backend.Batch{Session: s, Turns: []backend.Turn{
			{Execution: "a", Run: runs[0], Rows: rows("a0")},
			{Execution: "b", Run: runs[1], Rows: rows("b0"), Then: backend.Release, Due: far(1)},
			{Execution: "c", Run: runs[2], Rows: rows("c0")},
			{Execution: "d", Run: runs[3], Rows: rows("d0")},
		}}
		f.commit(b)
		for i, run := range runs {
			expect(f, "journal", f.journal(run), []string{fmt.Sprintf("%d:%c0", s, 'a'+i)})
		}
		expect(f, "stuck", f.execution("c").Stuck == nil, true)
	}},
}
