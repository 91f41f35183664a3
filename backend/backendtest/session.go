// Sessions: opened, beating, revoked.

package backendtest

import (
	"fmt"
	"time"

	"github.com/senpuki/senpuki/backend"
)

var sessionCases = []testCase{
	{"what was opened is listed", func(f *fixture) {
		want := backend.Session{ID: 99, Beat: 99, Host: "h", Boot: "b", PIDNS: "ns", PID: 7, Started: "123", Info: []byte(`{"q":["a"]}`)}
		id, at, err := f.Open(f.ctx, want)
		f.must(err)
		want.ID, want.Beat, want.Opened = id, 0, at
		second := f.session()
		list, err := f.Sessions(f.ctx)
		f.must(err)
		expect(f, "first", list[0], want)
		expect(f, "second", list[1].ID, second)
	}},
	{"a beat counts and stores", func(f *fixture) {
		s := f.session()
		for range 3 {
			beaten, err := f.Beat(f.ctx, s, []byte(`{"running":1}`))
			f.must(err)
			at := beaten.At
			now, err := f.Now(f.ctx)
			f.must(err)
			expect(f, "time", at.IsZero() || now.Before(at) || now.Sub(at) > time.Minute, false)
		}
		list, err := f.Sessions(f.ctx)
		f.must(err)
		expect(f, "session", fmt.Sprint(list[0].Beat, string(list[0].Info)), `3{"running":1}`)
	}},
	{"a beat finds the other sessions as they are", func(f *fixture) {
		s, other, gone := f.session(), f.session(), f.session()
		_, err := f.Beat(f.ctx, other, []byte(`{"running":1}`))
		f.must(err)
		f.must(f.Revoke(f.ctx, gone))
		list, err := f.Sessions(f.ctx)
		f.must(err)
		beaten, err := f.Beat(f.ctx, s, nil)
		f.must(err)
		expect(f, "ids", len(beaten.Sessions), 2)
		expect(f, "itself", beaten.Sessions[0].ID, s)
		expect(f, "the other", beaten.Sessions[1], list[1])
	}},
	{"a beat tells of what has expired", func(f *fixture) {
		s := f.session()
		late, later := ask("late"), ask("later")
		late.Expires, later.Expires = past(1), far(1)
		told := func() bool {
			b, err := f.Beat(f.ctx, s, nil)
			f.must(err)
			return b.Expired
		}
		f.create(later)
		expect(f, "before", told(), false)
		f.create(late)
		expect(f, "expired", told(), true)
		claimed, err := f.Claim(f.ctx, backend.ClaimRequest{Session: s, Editions: []int{1}, Expired: true, Limit: 9})
		f.must(err)
		expect(f, "claimed", len(claimed), 1)
		expect(f, "owned", told(), false)
		f.finish(s, "late", claimed[0].Run, 0, backend.TimedOut)
		expect(f, "ended", told(), false)
	}},
	{"the dead do not beat", func(f *fixture) {
		s := f.session()
		f.must(f.Revoke(f.ctx, s))
		_, err := f.Beat(f.ctx, s, nil)
		f.want(err, backend.ErrFenced)
		other := f.session()
		_, err = f.Beat(f.ctx, s, nil) // nor when there are others
		f.want(err, backend.ErrFenced)
		f.must(f.Revoke(f.ctx, other))
		list, err := f.Sessions(f.ctx)
		f.must(err)
		expect(f, "sessions", len(list), 0)
	}},
	{"an id is never reused", func(f *fixture) {
		last := backend.SessionID(0)
		for range 4 {
			s := f.session()
			if s <= last {
				f.Errorf("session %d after %d", s, last)
			}
			last = s
			f.must(f.Revoke(f.ctx, s))
		}
	}},
	{"revoking frees what was owned", func(f *fixture) {
		s, other := f.session(), f.session()
		var list []string
		for i := range 1203 { // more than two chunks of any backend
			list = append(list, fmt.Sprint("x", i))
		}
		runs := f.born(s, list...)
		f.born(other, "theirs")
		f.turn(s, backend.Turn{Execution: "x0", Run: runs[0], Then: backend.Finish, State: backend.Completed})
		f.turn(s, backend.Turn{Execution: "x1", Run: runs[1], Rows: rows("a")})
		f.must(f.send(signal("x1", "m")))
		f.must(f.Revoke(f.ctx, s))
		expect(f, "theirs", f.execution("theirs").Owner, other)
		x := f.execution("x1")
		expect(f, "freed", fmt.Sprint(x.Owner, x.Due.IsZero(), x.State), fmt.Sprint(0, false, backend.Running))
		claimed, err := f.Claim(f.ctx, backend.ClaimRequest{Session: other, Queues: []string{"default"}, Editions: []int{1}, Limit: 5000})
		f.must(err)
		expect(f, "claimed", len(claimed), 1202)
		for _, c := range claimed {
			if c.ID == "x1" {
				expect(f, "inbox", names(c.Inbox), []string{"m"})
			}
		}
		expect(f, "journal", f.journal(runs[1]), []string{fmt.Sprint(s, ":a")})
	}},
	{"revoking the unknown", func(f *fixture) {
		f.create(ask("x"))
		before := f.execution("x")
		for _, s := range []backend.SessionID{0, 4711} {
			f.must(f.Revoke(f.ctx, s))
		}
		expect(f, "execution", f.execution("x"), before)
	}},
	{"versions tell of changes", func(f *fixture) {
		v, ok := f.Store.(backend.Versioner)
		if !ok {
			f.Skip("not a backend.Versioner")
		}
		before, err := v.Version(f.ctx)
		f.must(err)
		same, err := v.Version(f.ctx)
		f.must(err)
		expect(f, "nothing changed", same, before)
		f.create(ask("x"))
		after, err := v.Version(f.ctx)
		f.must(err)
		expect(f, "changed", after != before, true)
	}},
}
