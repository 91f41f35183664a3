// Package backendtest is what every backend must pass: one case per promise of
// package backend, races between two stores on one database, random operations
// compared with the reference model, and benchmarks.
package backendtest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/senpuki/senpuki/backend"
)

// testCase is one promise.
type testCase struct {
	name string
	run  func(*fixture)
}

// Run runs every case on a store of its own. open returns an empty store that
// lasts as long as the test.
func Run(t *testing.T, open func(t *testing.T) backend.Store) {
	groups := []struct {
		name  string
		cases []testCase
	}{
		{"deploy", deployCases}, {"create", createCases}, {"claim", claimCases}, {"commit", commitCases},
		{"inbox", inboxCases}, {"others", otherCases}, {"tasks", taskCases}, {"leftovers", leftoverCases}, {"session", sessionCases}, {"reader", readerCases}, {"fault", faultCases}, {"model", modelCases},
	}
	for _, g := range groups {
		t.Run(g.name, func(t *testing.T) {
			t.Parallel()
			for _, c := range g.cases {
				t.Run(c.name, func(t *testing.T) {
					t.Parallel()
					f := newFixture(t, open(t))
					c.run(f)
					f.check()
				})
			}
		})
	}
}

// fixture is a store with what most cases need.
type fixture struct {
	*testing.T
	backend.Store
	ctx context.Context
}

const digest = "sha256:one"

func newFixture(t *testing.T, s backend.Store) *fixture {
	t.Helper()
	f := &fixture{T: t, Store: s, ctx: t.Context()}
	f.deploy(digest)
	return f
}

// check fails the test for every invariant that does not hold.
func (f *fixture) check() {
	f.Helper()
	for _, err := range f.Store.Check(f.ctx) {
		f.Error(err)
	}
}

func (f *fixture) must(err error) {
	f.Helper()
	if err != nil {
		f.Fatal(err)
	}
}

func (f *fixture) want(err, target error) {
	f.Helper()
	if !errors.Is(err, target) {
		f.Fatalf("error is %v, want %v", err, target)
	}
}

// expect compares what is printed of two values.
func expect[T any](f *fixture, what string, got, want T) {
	f.Helper()
	if g, w := fmt.Sprint(got), fmt.Sprint(want); g != w {
		f.Errorf("%s: got %s, want %s", what, g, w)
	}
}

func (f *fixture) deploy(digests ...string) {
	f.Helper()
	var programs []backend.Program
	for _, d := range digests {
		programs = append(programs, backend.Program{Digest: d, Sources: []byte(`{"main.star":"pass"}`)})
	}
	_, err := f.Deploy(f.ctx, programs, nil)
	f.must(err)
}

func (f *fixture) session() backend.SessionID {
	f.Helper()
	id, at, err := f.Open(f.ctx, backend.Session{Host: "host", PID: 42, Info: []byte(`{}`)})
	f.must(err)
	if id == 0 || at.IsZero() {
		f.Fatalf("a session is %d, opened at %v", id, at)
	}
	return id
}

// ask is an execution that any request of claim takes.
func ask(id string) backend.NewExecution {
	return backend.NewExecution{ID: id, Workflow: "flow", Digest: digest, Edition: 1, Function: "main", Input: []byte(`{"a":1}`), Queue: "default"}
}

func (f *fixture) commit(b backend.Batch) backend.Reply {
	f.Helper()
	reply, err := f.Commit(f.ctx, b)
	f.must(err)
	return reply
}

func (f *fixture) create(asked ...backend.NewExecution) {
	f.Helper()
	f.commit(backend.Batch{Create: asked})
}

// born makes executions that the session owns and returns their runs.
func (f *fixture) born(s backend.SessionID, ids ...string) (runs []backend.RunKey) {
	f.Helper()
	b := backend.Batch{Session: s}
	for _, id := range ids {
		n := ask(id)
		n.Claim = true
		b.Create = append(b.Create, n)
	}
	for _, c := range f.commit(b).Created {
		runs = append(runs, c.Run)
	}
	return runs
}

func (f *fixture) turn(s backend.SessionID, t backend.Turn) backend.TurnReply {
	f.Helper()
	return f.commit(backend.Batch{Session: s, Turns: []backend.Turn{t}}).Turns[0]
}

// refused expects that turn index keeps a batch from landing.
func (f *fixture) refused(b backend.Batch, index int, target error) {
	f.Helper()
	_, err := f.Commit(f.ctx, b)
	f.want(err, target)
	var te *backend.TurnError
	if !errors.As(err, &te) || te.Index != index {
		f.Fatalf("error is %v, want a TurnError of turn %d", err, index)
	}
}

func (f *fixture) send(m backend.Message) error {
	f.Helper()
	return f.commit(backend.Batch{Send: []backend.Message{m}}).Sent[0]
}

func signal(execution, name string) backend.Message {
	return backend.Message{Execution: execution, Kind: backend.Signal, Name: name, Payload: []byte(name)}
}

func (f *fixture) claim(s backend.SessionID, ids ...string) []backend.Claimed {
	f.Helper()
	claimed, err := f.Claim(f.ctx, backend.ClaimRequest{Session: s, Queues: []string{"default"}, Editions: []int{1}, IDs: ids, Limit: 1000})
	f.must(err)
	return claimed
}

func (f *fixture) execution(id string) backend.Execution {
	f.Helper()
	x, err := f.Execution(f.ctx, id)
	f.must(err)
	return x
}

// journal returns a run's rows as "session:data".
func (f *fixture) journal(run backend.RunKey) (rows []string) {
	f.Helper()
	next := int64(0)
	f.must(f.Journal(f.ctx, run, 0, func(r backend.Row) error {
		if r.Number != next {
			f.Errorf("run %d: row %d comes at %d", run, r.Number, next)
		}
		next++
		rows = append(rows, fmt.Sprintf("%d:%s", r.Session, r.Data))
		return nil
	}))
	return rows
}

func names(messages []backend.Message) (list []string) {
	for _, m := range messages {
		list = append(list, m.Name)
	}
	return list
}

func ids(claimed []backend.Claimed) (list []string) {
	for _, c := range claimed {
		list = append(list, c.ID)
	}
	return list
}

func numbers(messages []backend.Message) (list []int64) {
	for _, m := range messages {
		list = append(list, m.ID)
	}
	return list
}

func rows(data ...string) (list [][]byte) {
	for _, d := range data {
		list = append(list, []byte(d))
	}
	return list
}

// far is a time that does not come while tests run.
func far(n int) time.Time { return time.Date(2100, 1, 1, 0, 0, n, 0, time.UTC) }

// past is a time before any test.
func past(n int) time.Time { return time.Date(2001, 1, 1, 0, 0, n, 0, time.UTC) }

// Works takes an execution of a store from its making to its end.
func Works(t *testing.T, s backend.Store) {
	t.Helper()
	f := newFixture(t, s)
	f.deploy("d1")
	session := f.session()
	made := f.commit(backend.Batch{Session: session, Create: []backend.NewExecution{{ID: "works", Digest: "d1", Claim: true}}})
	f.turn(session, backend.Turn{
		Execution: "works", Run: made.Created[0].Run, Rows: rows("all"), Then: backend.Finish, State: backend.Completed,
	})
	expect(f, "state", f.execution("works").State, backend.Completed)
	f.check()
}
