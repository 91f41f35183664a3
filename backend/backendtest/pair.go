// Races between two stores on one database.

package backendtest

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/senpuki/senpuki/backend"
)

// rounds is how often each race is run.
const rounds = 40

// RunPair races two stores on one database against each other. open returns
// them empty; they last as long as the test.
func RunPair(t *testing.T, open func(t *testing.T) (a, b backend.Store)) {
	for _, c := range []struct {
		name string
		run  func(a, b *fixture)
	}{
		{"release against signal", releaseAgainstSignal},
		{"cancel against outcome", cancelAgainstOutcome},
		{"signal against finish", signalAgainstFinish},
		{"signals against an end that may go on", signalsAgainstFailure},
		{"child against release", childAgainstRelease},
		{"watch against finish", watchAgainstFinish},
		{"revoke against commit", revokeAgainstCommit},
		{"a lost reply against its retry", replyAgainstRetry},
		{"one id created twice", createAgainstCreate},
		{"create after the program was collected", createAfterCollect},
		{"create against collect", createAgainstCollect},
		{"claim against claim", claimAgainstClaim},
		{"claim against the end", claimAgainstEnd},
		{"deploy against deploy", deployAgainstDeploy},
		{"neither writer starves", neitherStarves},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			a, b := open(t)
			f, g := newFixture(t, a), newFixture(t, b)
			c.run(f, g)
			f.check()
			g.check()
		})
	}
}

// race runs all at once and waits.
func race(all ...func()) {
	var ready, done sync.WaitGroup
	ready.Add(len(all))
	for _, fn := range all {
		done.Go(func() {
			ready.Done()
			ready.Wait()
			fn()
		})
	}
	done.Wait()
}

// try commits from any goroutine.
func (f *fixture) try(b backend.Batch) backend.Reply {
	reply, err := f.Commit(f.ctx, b)
	if err != nil {
		f.Error(err)
		reply.Created, reply.Turns = make([]backend.Created, len(b.Create)), make([]backend.TurnReply, len(b.Turns))
		reply.Sent = make([]error, len(b.Send))
	}
	return reply
}

func releaseAgainstSignal(a, b *fixture) {
	s := a.session()
	for i := range rounds {
		id := fmt.Sprint("x", i)
		run := a.born(s, id)[0]
		var kept bool
		race(func() {
			kept = a.try(backend.Batch{Session: s, Turns: []backend.Turn{{Execution: id, Run: run, Rows: rows("r"), Then: backend.Release}}}).Turns[0].Kept
		}, func() {
			if err := b.try(backend.Batch{Send: []backend.Message{signal(id, "m")}}).Sent[0]; err != nil {
				b.Error(err)
			}
		})
		x := a.execution(id)
		if kept != (x.Owner == s) || x.Owner == 0 && x.Due.IsZero() {
			a.Fatalf("round %d: kept is %v, the owner %d and the due time %v", i, kept, x.Owner, x.Due)
		}
		if kept {
			got, err := a.Receive(a.ctx, s)
			a.must(err)
			expect(a, "received", names(got), []string{"m"})
			a.turn(s, backend.Turn{Execution: id, Run: run, First: 1, Rows: rows("r"), Taken: numbers(got), Then: backend.Release})
			continue
		}
		claimed := b.claim(s)
		expect(a, "claimed", ids(claimed), []string{id})
		expect(a, "inbox", names(claimed[0].Inbox), []string{"m"})
		b.turn(s, backend.Turn{Execution: id, Run: run, First: 1, Taken: numbers(claimed[0].Inbox), Then: backend.Release})
	}
}

func cancelAgainstOutcome(a, b *fixture) {
	s := a.session()
	for i := range rounds {
		id := fmt.Sprint("x", i)
		run := a.born(s, id)[0]
		race(func() {
			a.try(backend.Batch{Send: []backend.Message{{Execution: id, Kind: backend.Outcome, Name: "outcome", Step: "a"}}})
		}, func() {
			b.try(backend.Batch{Send: []backend.Message{{Execution: id, Kind: backend.Cancel, Name: "cancel"}}})
		})
		first, err := a.Receive(a.ctx, s)
		a.must(err)
		again, err := b.Receive(b.ctx, s)
		a.must(err)
		expect(a, "both came", len(first), 2)
		expect(a, "the order is settled", again, first)
		a.turn(s, backend.Turn{Execution: id, Run: run, Rows: rows("r"), Taken: numbers(first), Then: backend.Finish, State: backend.Cancelled})
	}
}

func signalAgainstFinish(a, b *fixture) {
	s := a.session()
	for i := range rounds {
		id := fmt.Sprint("x", i)
		run := a.born(s, id)[0]
		var sent error
		race(func() {
			a.try(backend.Batch{Session: s, Turns: []backend.Turn{{Execution: id, Run: run, Then: backend.Finish, State: backend.Completed}}})
		}, func() {
			sent = b.try(backend.Batch{Send: []backend.Message{signal(id, "m")}}).Sent[0]
		})
		if sent != nil {
			a.want(sent, backend.ErrClosed)
		}
		got, err := a.Receive(a.ctx, s)
		a.must(err)
		expect(a, "left", len(got), 0)
		x := b.execution(id)
		expect(b, "end", fmt.Sprint(x.State, x.Owner, x.Due.IsZero()), fmt.Sprint(backend.Completed, 0, true))
	}
}

func signalsAgainstFailure(a, b *fixture) {
	s := a.session()
	for i := range rounds {
		id := fmt.Sprint("x", i)
		t := backend.Turn{Execution: id, Run: a.born(s, id)[0], Rows: rows("end"), Then: backend.Finish, State: backend.Failed}
		if i%2 == 1 {
			t.Published = []byte("1")
		}
		want := []string{"older"}
		race(func() {
			a.try(backend.Batch{Session: s, Turns: []backend.Turn{t}})
		}, func() {
			for n := 0; !b.Failed(); n++ {
				m := signal(id, fmt.Sprint(n))
				switch err := b.try(backend.Batch{Send: []backend.Message{m}}).Sent[0]; {
				case errors.Is(err, backend.ErrClosed):
					return
				case err != nil:
					b.Error(err)
				}
				want = append(want, m.Name)
			}
		})
		a.must(a.Rerun(a.ctx, backend.Rerun{Execution: id, Run: t.Run, Digest: digest, Edition: 1, Messages: []backend.Message{signal("", "older")}}))
		expect(a, "inbox", names(a.claim(s, id)[0].Inbox), want)
	}
}

func childAgainstRelease(a, b *fixture) {
	s, r := a.session(), b.session()
	for i := range rounds {
		id, of := fmt.Sprint("p", i), fmt.Sprint("c", i)
		run := a.born(s, id)[0]
		a.turn(s, backend.Turn{Execution: id, Run: run, Children: []backend.NewExecution{child(of, id, run, "1")}})
		childRun := b.claim(r, of)[0].Run
		var kept bool
		race(func() {
			kept = a.try(backend.Batch{Session: s, Turns: []backend.Turn{{Execution: id, Run: run, Rows: rows("r"), Then: backend.Release}}}).Turns[0].Kept
		}, func() {
			b.try(backend.Batch{Session: r, Turns: []backend.Turn{{Execution: of, Run: childRun, Rows: rows("r"), Then: backend.Finish,
				State: backend.Completed, Result: []byte("done")}}})
		})
		want := []string{words("outcome %d/1 completed done", run)}
		if kept {
			expect(a, "received", a.inbox(s, id), want)
			continue
		}
		claimed := b.claim(r)
		expect(a, "claimed", ids(claimed), []string{id})
		expect(a, "inbox", tellAll(claimed[0].Inbox), want)
	}
}

func watchAgainstFinish(a, b *fixture) {
	s, r := a.session(), b.session()
	for i := range rounds {
		id, of := fmt.Sprint("w", i), fmt.Sprint("x", i)
		run, other := a.born(s, id)[0], b.born(r, of)[0]
		race(func() {
			a.try(backend.Batch{Session: s, Turns: []backend.Turn{{Execution: id, Run: run, Rows: rows("r"), Watches: []backend.Watch{{Execution: of, Step: "1"}}}}})
		}, func() {
			b.try(backend.Batch{Session: r, Turns: []backend.Turn{{Execution: of, Run: other, Rows: rows("r"), Then: backend.Finish,
				State: backend.Failed, Failure: []byte("1")}}})
		})
		expect(a, "once", a.inbox(s, id), []string{words("outcome %d/1 failed 1", run)})
	}
}

func revokeAgainstCommit(a, b *fixture) {
	for i := range rounds {
		s, id := a.session(), fmt.Sprint("x", i)
		run, landed := a.born(s, id)[0], int64(0)
		race(func() {
			for {
				_, err := a.Commit(a.ctx, backend.Batch{Session: s, Turns: []backend.Turn{{Execution: id, Run: run, First: landed, Rows: rows("r")}}})
				if err != nil {
					if !errors.Is(err, backend.ErrFenced) {
						a.Error(err)
					}
					return
				}
				landed++
			}
		}, func() {
			if err := b.Revoke(b.ctx, s); err != nil {
				b.Error(err)
			}
		})
		expect(a, "rows", len(b.journal(run)), int(landed))
		x := b.execution(id)
		expect(b, "freed", fmt.Sprint(x.Owner, x.Due.IsZero()), "0 false")
	}
}

func replyAgainstRetry(a, b *fixture) {
	s := a.session()
	for i := range rounds {
		id := fmt.Sprint("x", i)
		batch := backend.Batch{Session: s, Turns: []backend.Turn{{Execution: id, Run: a.born(s, id)[0], Rows: rows("r")}}}
		var first, second error
		race(func() { _, first = a.Commit(a.ctx, batch) }, func() { _, second = b.Commit(b.ctx, batch) })
		if (first == nil) == (second == nil) {
			a.Fatalf("round %d: one of two must land: %v, %v", i, first, second)
		}
		a.want(errors.Join(first, second), backend.ErrNotOwner)
		expect(a, "journal", b.journal(batch.Turns[0].Run), []string{fmt.Sprint(s, ":r")})
	}
}

func createAgainstCreate(a, b *fixture) {
	for i := range rounds {
		batch := backend.Batch{Create: []backend.NewExecution{ask(fmt.Sprint("x", i))}}
		var first, second backend.Created
		race(func() { first = a.try(batch).Created[0] }, func() { second = b.try(batch).Created[0] })
		expect(a, "run", first.Run, second.Run)
		expect(a, "one is new", (first.Existing == nil) != (second.Existing == nil), true)
	}
}

// createAfterCollect has one store remove a program that the other has used.
func createAfterCollect(a, b *fixture) {
	s := a.session()
	one := func(id string) backend.NewExecution {
		n := ask(id)
		n.Digest, n.Claim = "sha256:old", true
		return n
	}
	a.deploy("sha256:old")
	run := a.commit(backend.Batch{Session: s, Create: []backend.NewExecution{one("x")}}).Created[0].Run
	a.finish(s, "x", run, 0, backend.Completed)
	_, err := b.Collect(b.ctx, backend.Retention{Completed: far(1), Limit: 10})
	b.must(err)
	_, err = a.Commit(a.ctx, backend.Batch{Session: s, Create: []backend.NewExecution{one("y")}})
	a.want(err, backend.ErrNoProgram)
	_, err = b.Execution(b.ctx, "y")
	b.want(err, backend.ErrNotFound)
	a.deploy(digest, "sha256:old")
	kid := one("kid")
	kid.Claim, kid.Parent = false, "z"
	z := ask("z")
	z.Claim = true
	turn := backend.Turn{Execution: "z", Rows: rows("r"), Children: []backend.NewExecution{kid}}
	turn.Run = a.commit(backend.Batch{Session: s, Create: []backend.NewExecution{z, one("w")}}).Created[0].Run
	a.finish(s, "w", a.execution("w").Run, 0, backend.Completed)
	_, err = b.Collect(b.ctx, backend.Retention{Completed: far(1), Limit: 10})
	b.must(err)
	a.refused(backend.Batch{Session: s, Turns: []backend.Turn{turn}}, 0, backend.ErrNoProgram)
}

// createAgainstCollect races the making of an execution with the removal of its program: either is refused.
func createAgainstCollect(a, b *fixture) {
	for i := range rounds {
		n := ask(fmt.Sprint("x", i))
		n.Digest = fmt.Sprint("sha256:", i)
		a.deploy(n.Digest)
		var created error
		var got backend.Collected
		race(func() {
			_, created = a.Commit(a.ctx, backend.Batch{Create: []backend.NewExecution{n}})
		}, func() {
			var err error
			if got, err = b.Collect(b.ctx, backend.Retention{Completed: far(1), Limit: 10}); err != nil {
				b.Error(err)
			}
		})
		_, err := b.Program(b.ctx, n.Digest)
		switch {
		case created == nil:
			b.must(err)
		default:
			a.want(created, backend.ErrNoProgram)
			b.want(err, backend.ErrNotFound)
			expect(b, "collected", got.Programs > 0, true)
		}
	}
}

func claimAgainstClaim(a, b *fixture) {
	s, r := a.session(), b.session()
	for i := range rounds {
		batch, all := backend.Batch{}, map[string]int{}
		for n := range 8 {
			batch.Create = append(batch.Create, ask(fmt.Sprint("x", i, "-", n)))
		}
		a.commit(batch)
		take := func(f *fixture, s backend.SessionID) (claimed []backend.Claimed) {
			for {
				some, err := f.Claim(f.ctx, backend.ClaimRequest{Session: s, Queues: []string{"default"}, Editions: []int{1}, Limit: 3})
				if err != nil {
					f.Error(err)
				}
				if len(some) == 0 {
					return claimed
				}
				claimed = append(claimed, some...)
			}
		}
		var first, second []backend.Claimed
		race(func() { first = take(a, s) }, func() { second = take(b, r) })
		for _, c := range append(first, second...) {
			all[c.ID]++
			expect(a, "owner", b.execution(c.ID).Owner, c.Owner)
		}
		expect(a, "claimed once each", fmt.Sprint(len(all), len(first)+len(second)), "8 8")
	}
}

func deployAgainstDeploy(a, b *fixture) {
	for i := range rounds {
		p, q := fmt.Sprint("p", i), fmt.Sprint("q", i)
		deploy := func(f *fixture, d string) {
			if _, err := f.Deploy(f.ctx, []backend.Program{{Digest: d}}, []backend.Deployment{{Workflow: "w", Digest: d}}); err != nil {
				f.Error(err)
			}
		}
		race(func() { deploy(a, p) }, func() { deploy(b, q) })
	}
	all, err := a.Deployments(a.ctx, "w")
	a.must(err)
	expect(a, "deployments", len(all), 2*rounds)
	for i, d := range all {
		expect(a, "version", d.Version, 2*rounds-i)
	}
}

// neitherStarves lets two writers of one turn each commit until both have had
// enough, and compares how often each came in.
func neitherStarves(a, b *fixture) {
	if a.Store == b.Store {
		a.Skip("one store: there is nobody to be fair to")
	}
	// Long enough for what else the processors do meanwhile to be the same for both: where writers do
	// not queue for each other, that alone decides. A quarter of this takes half a second, in which the
	// system was seen to leave one of them beside other work all the time.
	const enough = 6000
	var counts [2]atomic.Int64
	write := func(n int, f *fixture) func() {
		s, id := f.session(), fmt.Sprint("x", n)
		run := f.born(s, id)[0]
		first := int64(0)
		land := func() {
			f.try(backend.Batch{Session: s, Turns: []backend.Turn{{Execution: id, Run: run, First: first, Rows: rows("r")}}})
			first++
		}
		for range 10 { // connections are made and statements prepared before it counts
			land()
		}
		return func() {
			for counts[0].Load() < enough || counts[1].Load() < enough {
				land()
				if counts[n].Add(1); f.Failed() {
					return
				}
			}
		}
	}
	race(write(0, a), write(1, b))
	x, y := counts[0].Load(), counts[1].Load()
	a.Logf("%d and %d commits", x, y)
	if x > 4*y || y > 4*x {
		a.Errorf("%d commits against %d", x, y)
	}
}

// claimAgainstEnd has both claim and end executions at once, a few at a time: what was found
// claimable may have been claimed and ended when it is taken.
func claimAgainstEnd(a, b *fixture) {
	const executions = 300
	var all []backend.NewExecution
	for i := range executions {
		all = append(all, ask(fmt.Sprint("x", i)))
	}
	a.create(all...)
	var ended atomic.Int64
	work := func(f *fixture) func() {
		s := f.session()
		return func() {
			for ended.Load() < executions && !f.Failed() {
				claimed, err := f.Claim(f.ctx, backend.ClaimRequest{Session: s, Queues: []string{"default"}, Editions: []int{1}, Limit: 3})
				if err != nil {
					f.Error(err)
					return
				}
				var turns []backend.Turn
				for _, c := range claimed {
					if !c.Fresh {
						f.Errorf("%s was claimed again", c.ID)
					}
					turns = append(turns, backend.Turn{Execution: c.ID, Run: c.Run, Rows: rows("end"), Then: backend.Finish, State: backend.Completed, Result: []byte("1")})
				}
				if len(turns) > 0 {
					f.try(backend.Batch{Session: s, Turns: turns})
				}
				ended.Add(int64(len(turns)))
			}
		}
	}
	race(work(a), work(b), work(a), work(b))
	stats, err := a.Stats(a.ctx, past(0))
	a.must(err)
	expect(a, "completed", stats.States[backend.Completed], int64(executions))
}
