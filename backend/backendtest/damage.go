// Damage: a record of which a column cannot be read keeps no other from being claimed and listed.

package backendtest

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/senpuki/senpuki/backend"
)

// Hurt is a value, in SQL, that a column cannot be read with.
type Hurt struct {
	Table  string // execution or task
	Column string
	Value  string
}

// RunDamage gives a column of one of three records each of the values. open returns an empty store and a way to
// set a column of the execution a1, or of its task.
func RunDamage(t *testing.T, open func(t *testing.T) (s backend.Store, set func(h Hurt)), hurts []Hurt) {
	for _, h := range hurts {
		t.Run(fmt.Sprintf("%s %s %s", h.Table, h.Column, h.Value), func(t *testing.T) {
			t.Parallel()
			s, set := open(t)
			f := newFixture(t, s)
			if h.Table == "task" {
				f.damagedTask(set, h)
			} else {
				f.damagedExecution(set, h)
			}
			f.check()
		})
	}
}

// damaged expects that of three records the first alone is damaged, in that column.
func (f *fixture) damaged(what string, h Hurt, damage ...string) {
	f.Helper()
	if len(damage) != 3 || damage[1] != "" || damage[2] != "" || !strings.HasPrefix(damage[0], "column "+h.Column+": ") {
		f.Errorf("%s: %q", what, damage)
	}
}

func (f *fixture) damagedExecution(set func(Hurt), h Hurt) {
	for _, id := range []string{"a1", "a2", "a3"} {
		n := ask(id)
		n.Tags = []string{"x"}
		f.create(n)
	}
	set(h)
	listed, err := f.List(f.ctx, backend.Filter{})
	f.must(err)
	slices.SortFunc(listed, func(a, b backend.Execution) int { return strings.Compare(a.ID, b.ID) })
	f.damaged("listed", h, listed[0].Damage, listed[1].Damage, listed[2].Damage)
	tagged, err := f.List(f.ctx, backend.Filter{Tag: "x"})
	f.must(err)
	expect(f, "found by tag", len(tagged) >= 2, true)

	s := f.session()
	claimed, err := f.Claim(f.ctx, backend.ClaimRequest{Session: s, Queues: []string{"default"}, Tags: []string{"x"}, Editions: []int{1}, Limit: 9})
	f.must(err)
	expect(f, "claimed", ids(claimed), []string{"a1", "a2", "a3"})
	f.damaged("claimed", h, claimed[0].Damage, claimed[1].Damage, claimed[2].Damage)
	b := backend.Batch{Session: s}
	for i := range claimed {
		turn := backend.Turn{Execution: claimed[i].ID, Run: claimed[i].Run, Then: backend.Finish, State: backend.Completed, Rows: rows("[1]")}
		if i == 0 {
			turn = backend.Turn{Execution: "a1", Run: turn.Run, Stuck: &backend.Stuck{Reason: claimed[0].Damage, Since: past(1), Tries: 1}, Then: backend.Release, Due: past(2)}
		}
		b.Turns = append(b.Turns, turn)
	}
	f.commit(b)
	expect(f, "stuck", strings.Contains(f.execution("a1").Stuck.Reason, h.Column), true)

	if h.Column != "stuck" { // which has just been written
		h.Value = "NULL"
		set(h)
	}
	expect(f, "repaired", f.execution("a1").Damage, "")
	again := f.claim(s, "a1")
	expect(f, "claimed again", ids(again), []string{"a1"})
	f.turn(s, backend.Turn{Execution: "a1", Run: again[0].Run, Rows: rows("[1]")})
	expect(f, "stuck", f.execution("a1").Stuck == nil, true)

	// A value of stuck that cannot be read is one: a turn that lands takes it away.
	if h.Column == "stuck" {
		f.turn(s, backend.Turn{Execution: "a1", Run: again[0].Run, First: 1, Then: backend.Release, Due: past(1)})
		h.Value = "'{bad'"
		set(h)
		again = f.claim(s, "a1")
		f.turn(s, backend.Turn{Execution: "a1", Run: again[0].Run, First: 1, Rows: rows("[2]")})
		expect(f, "damage", f.execution("a1").Damage, "")
	}
}

func (f *fixture) damagedTask(set func(Hurt), h Hurt) {
	s := f.session()
	runs := f.born(s, "a1", "a2", "a3")
	for i, run := range runs {
		f.turn(s, backend.Turn{Execution: fmt.Sprint("a", i+1), Run: run, Rows: rows("[1]"), Tasks: []backend.Task{
			{Step: "1", Attempt: 1, Activity: "act", Queue: "default", Tags: []string{"x"}, Limit: &backend.Limit{Max: 9}},
		}})
	}
	set(h)
	listed, err := f.Tasks(f.ctx, backend.TaskFilter{})
	f.must(err)
	f.damaged("listed", h, listed[0].Damage, listed[1].Damage, listed[2].Damage)
	got, err := f.ClaimTasks(f.ctx, backend.TaskRequest{Session: s, Queues: []string{"default"}, Tags: []string{"x"}, Activities: []string{"act"}, Limit: 9})
	f.must(err)
	claimed := got.Tasks
	slices.SortFunc(claimed, func(a, b backend.Task) int { return strings.Compare(a.Execution, b.Execution) })
	if len(claimed) != 3 {
		f.Fatalf("%d tasks are claimed", len(claimed))
	}
	f.damaged("claimed", h, claimed[0].Damage, claimed[1].Damage, claimed[2].Damage)
	f.commit(backend.Batch{Session: s, Settle: []backend.Settled{{Key: claimed[0].Key, Name: backend.TaskFailed}}})
}
