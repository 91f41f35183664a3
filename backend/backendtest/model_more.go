// The model's rarer operations, and more ways to look.

package backendtest

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/senpuki/senpuki/backend"
)

// rarely does one of the operations that are not done all the time.
func (m *model) rarely(session int) {
	switch m.rand.IntN(9) {
	case 0:
		m.claimSpecial(session)
	case 1:
		m.both("expire tasks", func(s *side) string {
			got, err := s.ClaimTasks(m.ctx, backend.TaskRequest{Session: s.sessions[session], Queues: []string{"q1"}, Activities: []string{"add"}})
			return fmt.Sprint(len(got.Tasks), got.Late, named(err))
		})
	case 2:
		m.collectSome()
	case 3:
		m.discardSome()
	case 4:
		m.cancelOne()
	case 5:
		m.both("reclaim", func(s *side) string { return named(s.Revoke(m.ctx, 0)) })
	case 6:
		m.listSome()
	case 7:
		m.lookAround()
	default:
		queues := pick(m, [][]string{{"q1"}, {"q2"}, {"q1", "q2"}, {"none"}})
		m.both("next due", func(s *side) string {
			at, err := s.NextDue(m.ctx, queues)
			return moment(at) + named(err)
		})
	}
}

// claimSpecial claims executions whose time is up, or by their ids if they are due.
func (m *model) claimSpecial(session int) {
	r := backend.ClaimRequest{Expired: m.chance(50), Editions: []int{1, 2}, Limit: 1 << 20}
	if !r.Expired {
		r.OnlyDue = true
		for range 6 {
			r.IDs = append(r.IDs, cmp.Or(pick(m, m.executions), "missing"))
		}
	}
	m.claim("claim what is special", session, r)
}

// collectSome removes some of what has ended, all that completed or all that did not.
func (m *model) collectSome() {
	r := backend.Retention{DryRun: m.chance(50)}
	if m.chance(50) {
		r.Completed = far(m.op)
	}
	if m.chance(50) {
		r.Failed = far(m.op)
	}
	m.both("collect", func(s *side) string {
		got, err := s.Collect(m.ctx, r)
		return fmt.Sprint(got, named(err))
	})
	m.executions = slices.DeleteFunc(m.executions, func(id string) bool {
		_, err := m.sides[0].Execution(m.ctx, id)
		return errors.Is(err, backend.ErrNotFound)
	})
	m.both("deploy what was collected", func(s *side) string {
		_, err := s.Deploy(m.ctx, []backend.Program{{Digest: digest, Sources: []byte(`{"main.star":"pass"}`)}}, nil)
		return named(err)
	})
}

// discardSome removes dead letters, also one that there is not.
func (m *model) discardSome() {
	letters, err := m.sides[0].DeadLetters(m.ctx, backend.LetterFilter{})
	m.must(err)
	var steps []string
	for _, d := range letters {
		if m.chance(30) {
			steps = append(steps, d.Execution+" "+d.Step)
		}
	}
	m.both("discard", func(s *side) string {
		list, err := s.DeadLetters(m.ctx, backend.LetterFilter{})
		ids := []int64{1 << 60}
		for _, d := range list {
			if slices.Contains(steps, d.Execution+" "+d.Step) {
				ids = append(ids, d.ID, d.ID)
			}
		}
		n, discarded := s.Discard(m.ctx, ids)
		return fmt.Sprint(n, named(err), named(discarded))
	})
}

// cancelOne tells executions to end; nobody commits but who sends.
func (m *model) cancelOne() {
	var sends []backend.Message
	for range 1 + m.rand.IntN(3) {
		m.messages++
		sends = append(sends, backend.Message{Execution: cmp.Or(pick(m, m.executions), "missing"), Kind: pick(m, []backend.MessageKind{backend.Cancel, backend.Signal}),
			Name: fmt.Sprint("c", m.messages), Payload: []byte("null")})
	}
	m.both("send", func(s *side) string {
		reply, err := s.Commit(m.ctx, backend.Batch{Send: sends})
		out := named(err)
		for _, err := range reply.Sent {
			out += "\n" + named(err)
		}
		return out
	})
}

// listSome lists executions and tasks by random filters.
func (m *model) listSome() {
	f := backend.Filter{Queue: pick(m, []string{"", "q1", "q2"}), Tag: pick(m, []string{"", "t1", "t2"}), Workflow: pick(m, []string{"", "flow", "other"})}
	if m.chance(50) {
		f.States = []backend.State{backend.Pending, backend.Running, backend.Completed, backend.Failed}[m.rand.IntN(3):]
	}
	if m.chance(20) {
		f.Parent = pick(m, m.executions)
	}
	if m.chance(20) {
		f.IDPrefix = fmt.Sprint("x", m.rand.IntN(10))
	}
	if m.chance(20) {
		f.IDs = []string{pick(m, m.executions), pick(m, m.executions), "missing"}
	}
	if m.chance(20) {
		f.Since = past(0)
	}
	owner := -1
	if m.chance(30) {
		owner = m.rand.IntN(len(m.sides[0].sessions))
	}
	m.both("list", func(s *side) (out string) {
		f := f
		if owner >= 0 {
			f.Owner = s.sessions[owner]
		}
		list, err := s.List(m.ctx, f)
		slices.SortFunc(list, func(a, b backend.Execution) int { return cmp.Compare(a.ID, b.ID) })
		for _, x := range list {
			out += "\n" + s.show(x)
		}
		k := backend.TaskFilter{Queue: f.Queue, Owner: f.Owner, Activity: "add", Waiting: owner < 0 && f.States != nil}
		tasks, taskErr := s.Tasks(m.ctx, k)
		memos, memoErr := s.Memos(m.ctx, backend.MemoFilter{Activity: "sub"})
		return out + s.showTasks(tasks) + fmt.Sprint(len(memos), named(err), named(taskErr), named(memoErr))
	})
}

// lookAround compares counts, and the runs of an execution.
func (m *model) lookAround() {
	id := cmp.Or(pick(m, m.executions), "missing")
	from := m.rand.IntN(3)
	m.both("statistics", func(s *side) (out string) {
		st, err := s.Stats(m.ctx, past(0))
		for _, q := range st.Queues {
			out += fmt.Sprint(q.Queue, q.Pending, q.Tasks, moment(q.OldestDue), "; ")
		}
		return fmt.Sprint(st.States, st.Stuck, st.Dead, st.Memos, st.Ended, st.Failed, out, named(err))
	})
	m.both("runs", func(s *side) (out string) {
		list, err := s.Runs(m.ctx, id, from)
		for _, r := range list {
			out += fmt.Sprint(r.Number, r.Key == s.runs[id], r.Created.Before(time.Now().Add(time.Minute)), "; ")
		}
		return out + named(err)
	})
}
