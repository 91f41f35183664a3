// A store whose commits fail, and whose claims lose their replies, when told to.

package backendtest

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/senpuki/senpuki/backend"
)

// ErrInjected is what a commit that was told to fail returns. It is none of the
// sentinels of package backend: whether the batch has landed is unknown.
var ErrInjected = errors.New("injected fault")

// Fault is how a commit fails.
type Fault int

// The ways in which a commit fails.
const (
	NothingWritten Fault = iota // the batch did not land
	ReplyLost                   // the batch landed, and nobody was told
)

// FaultyStore is a store with faults; optional abilities are hidden.
type FaultyStore struct {
	backend.Store

	mu      sync.Mutex // guards all below
	commits int
	faults  map[int]Fault
	lose    int // claims whose reply gets lost
}

// Faulty wraps a store so that its commits can be made to fail.
func Faulty(s backend.Store) *FaultyStore {
	return &FaultyStore{Store: s, faults: make(map[int]Fault)}
}

// FailAt makes the i-th call of Commit fail, counted from 1.
func (f *FaultyStore) FailAt(i int, how Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.faults[i] = how
}

// LoseClaims makes the replies of the next n claims, of executions or tasks, get lost that give something.
func (f *FaultyStore) LoseClaims(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lose = n
}

// loses reports whether the reply of a claim that gave something gets lost.
func (f *FaultyStore) loses() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lose--
	return f.lose >= 0
}

// Claim gives executions to a session, and may not say so.
func (f *FaultyStore) Claim(ctx context.Context, r backend.ClaimRequest) ([]backend.Claimed, error) {
	claimed, err := f.Store.Claim(ctx, r)
	if err == nil && len(claimed) > 0 && f.loses() {
		return nil, ErrInjected
	}
	return claimed, err
}

// ClaimTasks gives tasks to a session, and may not say so.
func (f *FaultyStore) ClaimTasks(ctx context.Context, r backend.TaskRequest) (backend.ClaimedTasks, error) {
	tasks, err := f.Store.ClaimTasks(ctx, r)
	if err == nil && len(tasks.Tasks) > 0 && f.loses() {
		return backend.ClaimedTasks{}, ErrInjected
	}
	return tasks, err
}

// Commits returns how often Commit was called.
func (f *FaultyStore) Commits() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.commits
}

// Commit writes a batch, or fails as told. A batch that the store refuses is
// refused as ever: then there is no reply to lose.
func (f *FaultyStore) Commit(ctx context.Context, b backend.Batch) (backend.Reply, error) {
	f.mu.Lock()
	f.commits++
	how, fails := f.faults[f.commits]
	f.mu.Unlock()
	if fails && how == NothingWritten {
		return backend.Reply{}, ErrInjected
	}
	reply, err := f.Store.Commit(ctx, b)
	if err == nil && fails {
		return backend.Reply{}, ErrInjected
	}
	return reply, err
}

var faultCases = []testCase{
	{"a commit that fails before anything is written can be tried again", func(f *fixture) {
		faulty, s := Faulty(f.Store), f.session()
		b := backend.Batch{Session: s, Turns: []backend.Turn{{Execution: "x", Run: f.born(s, "x")[0], Rows: rows("a")}}}
		faulty.FailAt(1, NothingWritten)
		_, err := faulty.Commit(f.ctx, b)
		f.want(err, ErrInjected)
		expect(f, "journal", len(f.journal(b.Turns[0].Run)), 0)
		_, err = faulty.Commit(f.ctx, b)
		f.must(err)
		expect(f, "commits", faulty.Commits(), 2)
	}},
	{"a commit whose reply was lost is found by its session's row", func(f *fixture) {
		faulty, s := Faulty(f.Store), f.session()
		b := backend.Batch{Session: s, Turns: []backend.Turn{{Execution: "x", Run: f.born(s, "x")[0], Rows: rows("a")}}}
		faulty.FailAt(1, ReplyLost)
		_, err := faulty.Commit(f.ctx, b)
		f.want(err, ErrInjected)
		f.refused(b, 0, backend.ErrNotOwner)
		var writer backend.SessionID
		f.must(f.Journal(f.ctx, b.Turns[0].Run, 0, func(r backend.Row) error {
			writer = r.Session
			return nil
		}))
		expect(f, "writer", writer, s)
	}},
	{"what a claim gave whose reply was lost is found by its owner", func(f *fixture) {
		faulty, s := Faulty(f.Store), f.session()
		run := f.born(s, "x")[0]
		f.turn(s, backend.Turn{Execution: "x", Run: run, Rows: rows("a"), Tasks: []backend.Task{work("s")}})
		f.create(ask("y"))
		faulty.LoseClaims(2)
		_, err := faulty.Claim(f.ctx, backend.ClaimRequest{Session: s, IDs: []string{"y"}, Editions: []int{1}, Limit: 1})
		f.want(err, ErrInjected)
		_, err = faulty.ClaimTasks(f.ctx, backend.TaskRequest{Session: s, Queues: []string{"default"}, Activities: []string{"add"}, Limit: 1})
		f.want(err, ErrInjected)
		owned := f.list(backend.Filter{Owner: s})
		slices.Sort(owned)
		expect(f, "executions", owned, []string{"x", "y"})
		tasks, err := f.Tasks(f.ctx, backend.TaskFilter{Owner: s})
		f.must(err)
		expect(f, "tasks", steps(tasks), []string{"s"})
		expect(f, "what it is about", string(tasks[0].Input), "s")
	}},
}
