// New executions.

package memory

import (
	"slices"
	"time"

	"github.com/senpuki/senpuki/backend"
)

func (s *Store) create(session backend.SessionID, n *backend.NewExecution, at time.Time) backend.Created {
	if x := s.executions[n.ID]; x != nil {
		v := x.view()
		return backend.Created{Run: x.Run, Existing: &v}
	}
	s.lastRun++
	x := &execution{Execution: backend.Execution{
		ID: n.ID, Run: s.lastRun, RunNumber: 1, Workflow: n.Workflow, Digest: n.Digest, Edition: n.Edition,
		Function: n.Function, Input: clone(n.Input), State: backend.Pending, Queue: n.Queue, Priority: n.Priority,
		Tags: slices.Clone(n.Tags), Parent: n.Parent, ParentStep: n.ParentStep, ParentRun: n.ParentRun, Depth: n.Depth, Due: n.Due, Expires: n.Expires, Created: at, Extra: clone(n.Extra),
	}}
	if x.Due.IsZero() {
		x.Due = at
	}
	if n.Claim {
		x.State, x.Owner, x.Started, x.Due = backend.Running, session, at, time.Time{}
	}
	s.executions[n.ID] = x
	r := &run{execution: x.ID, number: 1, created: at}
	if n.Claim && n.First != nil {
		r.rows = []backend.Row{{Session: session, Data: clone(n.First)}}
	}
	s.runs[x.Run] = r
	return backend.Created{Run: x.Run}
}
