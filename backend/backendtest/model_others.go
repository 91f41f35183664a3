// The model's tasks, children, messages between executions, shared results, dead letters and reruns.

package backendtest

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/senpuki/senpuki/backend"
)

// reserved is a step that has asked for a shared result.
type reserved struct {
	execution, step, hash string
}

// watched is what ends the watch of an execution.
type watched struct {
	by   string
	over backend.Watch
}

// asking makes a turn ask for this and that.
func (m *model) asking(p *plan) {
	if len(p.Rows) == 0 {
		return
	}
	step := func(what string) string { return fmt.Sprint(what, m.op, p.Execution, "/", p.First) }
	if m.chance(20) {
		n := m.newExecution()
		n.Claim, n.Parent, n.ParentStep, n.Depth = false, p.Execution, step("c"), 1
		n.Digest = digest
		p.Children = append(p.Children, n)
	}
	if m.chance(20) {
		m.messages++
		o := backend.Order{Message: backend.Message{
			Execution: pick(m, append([]string{"missing"}, m.executions...)), Kind: backend.Signal, Name: fmt.Sprint("o", m.messages),
		}}
		if m.chance(70) {
			o.Answer = step("o")
		}
		p.Orders = append(p.Orders, o)
	}
	if m.chance(15) {
		w := backend.Watch{Execution: pick(m, append([]string{"missing"}, m.executions...)), Step: step("w")}
		p.Watches = append(p.Watches, w)
		w.Over = true
		m.watches = append(m.watches, watched{p.Execution, w})
	}
	m.watches = slices.DeleteFunc(m.watches, func(w watched) bool {
		gone := w.by == p.Execution && m.chance(20)
		if gone {
			p.Watches = append(p.Watches, w.over)
		}
		return gone
	})
	for i := range m.rand.IntN(3) {
		if m.chance(50) {
			p.Tasks = append(p.Tasks, m.newTask(step(fmt.Sprint("t", i))))
		}
	}
	if m.chance(20) {
		p.Withdraw = append(p.Withdraw, backend.TaskRef{Step: pick(m, m.steps(p.Execution)), Attempt: 1})
	}
	if m.chance(20) {
		r := reserved{p.Execution, step("m"), pick(m, []string{"h1", "h2", "h3"})}
		m.reserved = append(m.reserved, r)
		p.Reserve = append(p.Reserve, backend.Reservation{Step: r.step, Hash: r.hash, Activity: pick(m, []string{"add", "sub"}), Key: "1,2"})
	}
	for _, r := range m.reserved {
		if r.execution != p.Execution || !m.chance(30) || slices.ContainsFunc(p.Reserve, func(x backend.Reservation) bool { return x.Step == r.step }) {
			continue
		}
		d := backend.MemoResult{Step: r.step, Hash: r.hash}
		if m.chance(60) {
			d.Result = []byte(r.step)
			if m.chance(30) {
				d.Expires = far(m.op)
			}
		}
		p.Memos = append(p.Memos, d)
	}
	if m.chance(10) {
		p.Dead = append(p.Dead, backend.DeadLetter{Step: step("d"), Activity: "add", Attempts: 3, Failure: []byte("{}"), Input: []byte("[]")})
	}
}

func (m *model) newTask(step string) backend.Task {
	k := backend.Task{Step: step, Attempt: 1, Activity: pick(m, []string{"add", "sub"}), Queue: pick(m, []string{"q1", "q2"}), Priority: m.rand.IntN(2), Input: []byte(step)}
	k.Tags = []string{"t1", "t2"}[:m.rand.IntN(3)]
	if m.chance(20) {
		k.Due = far(m.op)
	}
	if m.chance(20) {
		k.Expires = far(m.op)
		if m.chance(30) {
			k.Expires = past(m.op)
		}
	}
	if m.chance(20) {
		k.Limit = &backend.Limit{Max: 2}
	}
	return k
}

// steps are those of an execution's tasks.
func (m *model) steps(execution string) (list []string) {
	for _, k := range m.tasksOf(backend.TaskFilter{Execution: execution}) {
		list = append(list, k.Step)
	}
	return list
}

// tasksOf lists tasks of the reference.
func (m *model) tasksOf(f backend.TaskFilter) []backend.Task {
	list, err := m.sides[0].Tasks(m.ctx, f)
	m.must(err)
	return list
}

// claimTasks takes all that a session may have, so that the order does not matter.
func (m *model) claimTasks(session int) {
	r := backend.TaskRequest{Queues: []string{"q1", "q2"}[:1+m.rand.IntN(2)], Activities: []string{"add", "sub"}[:1+m.rand.IntN(2)], Limit: 1 << 20}
	r.Tags = []string{"t1", "t2"}[:m.rand.IntN(3)]
	if m.chance(20) {
		r.Executions = []string{pick(m, m.executions), "missing"}
	}
	m.both("claim tasks", func(s *side) string {
		r := r
		r.Session = s.sessions[session]
		claimed, err := s.ClaimTasks(m.ctx, r)
		return fmt.Sprint(s.showTasks(claimed.Tasks), claimed.Late, !claimed.GoesOn.IsZero(), named(err))
	})
}

// settling is the end of a task.
type settling struct{ step, name string }

// ending1 picks tasks to be settled and to be given back, most of them the session's own.
func (m *model) ending1(session int) (settled []settling, back []string) {
	m.both("tasks", func(s *side) string {
		all, err := s.Tasks(m.ctx, backend.TaskFilter{})
		return s.showTasks(all) + named(err)
	})
	reference := m.sides[0]
	for _, k := range m.tasksOf(backend.TaskFilter{}) {
		switch mine := k.Owner == reference.sessions[session]; {
		case mine && m.chance(30), m.chance(1):
			settled = append(settled, settling{k.Step, pick(m, []string{backend.TaskDone, backend.TaskFailed})})
		case mine && m.chance(10):
			back = append(back, k.Step)
		}
	}
	return settled, back
}

// showTasks also remembers the keys.
func (s *side) showTasks(list []backend.Task) (out string) {
	list = slices.Clone(list)
	slices.SortFunc(list, func(a, b backend.Task) int { return cmp.Compare(a.Step, b.Step) })
	for i := range list {
		k := &list[i]
		s.tasks[k.Step] = k.Key
		out += fmt.Sprint(k.Execution, k.Run == s.runs[k.Execution], k.Step, k.Attempt, k.Activity, k.Queue, k.Priority, k.Tags, moment(k.Due), moment(k.Expires),
			k.Limit, s.place(k.Owner), k.Created.IsZero(), k.Began.IsZero(), k.Withdrawn, string(k.Input), "; ")
	}
	return out
}

// rerunOne begins another run of an execution that has ended, now and then of one that has not.
func (m *model) rerunOne() {
	if len(m.executions) == 0 || len(m.sides[0].sessions) == 0 {
		return
	}
	id := pick(m, m.executions)
	for range 10 {
		if x, err := m.sides[0].Execution(m.ctx, id); err == nil && x.State.Terminal() {
			break
		}
		id = pick(m, m.executions)
	}
	r := backend.Rerun{Execution: id, Digest: digest, Edition: 1}
	if m.chance(70) {
		r.Rows = []backend.Row{{Number: 0, Data: []byte(fmt.Sprint("again ", m.op))}}
	}
	if m.chance(30) {
		m.messages++
		r.Messages = []backend.Message{{Kind: backend.Signal, Name: fmt.Sprint("r", m.messages)}}
	}
	if m.chance(30) {
		r.ID = fmt.Sprint("fork", m.op)
	}
	if m.chance(20) {
		r.Queue = "q2"
	}
	m.both("rerun", func(s *side) string {
		r := r
		r.Run, r.Rows = s.runs[id], slices.Clone(r.Rows)
		for i := range r.Rows {
			r.Rows[i].Session = s.sessions[0]
		}
		if err := s.Rerun(m.ctx, r); err != nil {
			return named(err)
		}
		x, err := s.Execution(m.ctx, cmp.Or(r.ID, id))
		s.runs[x.ID] = x.Run
		return s.show(x) + named(err)
	})
	if _, ok := m.sides[0].runs[r.ID]; ok && r.ID != "" {
		m.executions = append(m.executions, r.ID)
	}
}

// compareOthers compares what there is beside executions.
func (m *model) compareOthers() {
	m.both("shared results", func(s *side) string {
		list, err := s.Memos(m.ctx, backend.MemoFilter{})
		var out []string
		for _, o := range list {
			out = append(out, fmt.Sprint(o.Hash, o.Activity, o.Key, o.Execution, " ", o.Step, moment(o.Expires), o.Waiting, string(o.Result), o.Created.IsZero()))
		}
		slices.Sort(out)
		return fmt.Sprint(out, named(err))
	})
	m.both("dead letters", func(s *side) string {
		list, err := s.DeadLetters(m.ctx, backend.LetterFilter{})
		var out []string
		for _, d := range list {
			out = append(out, fmt.Sprint(d.Execution, " ", d.Step, d.Activity, d.Attempts, string(d.Failure), string(d.Input), d.At.IsZero()))
		}
		slices.Sort(out)
		return fmt.Sprint(out, named(err))
	})
}
