// One turn: whatever it asks for.

package memory

import (
	"maps"
	"slices"
	"time"

	"github.com/senpuki/senpuki/backend"
)

func (s *Store) land(session backend.SessionID, t *backend.Turn, at time.Time) (reply backend.TurnReply) {
	x, r := s.executions[t.Execution], s.runs[t.Run]
	for _, data := range t.Rows {
		r.rows = append(r.rows, backend.Row{Number: int64(len(r.rows)), Session: session, Data: clone(data)})
	}
	for _, l := range t.Logs {
		l.Fields = clone(l.Fields)
		r.logs = append(r.logs, l)
	}
	x.inbox = slices.DeleteFunc(x.inbox, func(m backend.Message) bool { return slices.Contains(t.Taken, m.ID) })
	if t.Published != nil {
		x.Published = clone(t.Published)
	}
	if t.Digest != "" {
		x.Digest = t.Digest
	}
	if t.Stuck != nil {
		stuck := *t.Stuck
		x.Stuck = &stuck
	} else if len(t.Rows) > 0 {
		x.Stuck = nil
	}
	s.others(session, t, at)
	s.putTasks(x, t, at)
	for i := range t.Reserve {
		s.reserve(t, &t.Reserve[i], at)
	}
	for i := range t.Memos {
		s.concludeMemo(t, &t.Memos[i], at)
	}
	s.bury(t, at)
	if t.Then == backend.Continue || t.Then == backend.Finish {
		defer func() {
			s.dropTasks(t.Run)
			s.freeMemos(t.Run, at)
		}()
	}
	switch t.Then {
	case backend.Continue:
		if t.Next.DropLetters {
			maps.DeleteFunc(s.dead, func(_ int64, d backend.DeadLetter) bool { return d.Run == t.Run })
		}
		s.lastRun++
		r.rows = nil
		x.Run, x.RunNumber = s.lastRun, x.RunNumber+1
		x.Digest, x.Edition = t.Next.Digest, t.Next.Edition
		next := &run{execution: x.ID, number: x.RunNumber, created: at}
		for _, data := range t.Next.Rows {
			next.rows = append(next.rows, backend.Row{Number: int64(len(next.rows)), Session: session, Data: clone(data)})
		}
		s.runs[x.Run] = next
		reply.Run = x.Run
	case backend.Release:
		if len(x.inbox) > 0 {
			reply.Kept = true
			break
		}
		x.Owner, x.Due = 0, t.Due
	case backend.Finish:
		x.State, x.Result, x.Failure, x.Finished = t.State, clone(t.Result), clone(t.Failure), at
		x.Owner, x.Due, x.Stuck = 0, time.Time{}, nil
		x.inbox = slices.DeleteFunc(x.inbox, func(m backend.Message) bool { return !keeps(x.State, &m) })
		if x.Parent != "" && x.ParentStep != "" {
			x.watchers = append(x.watchers, watcher{x.Parent, x.ParentRun, x.ParentStep})
		}
		for _, w := range x.watchers {
			if s.tell(x, w, at) == nil {
				s.told = append(s.told, w.execution)
			}
		}
		x.watchers = nil
	}
	return reply
}
