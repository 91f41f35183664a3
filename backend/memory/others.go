// What a turn has to do with other executions.

package memory

import (
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/senpuki/senpuki/backend"
)

// watcher waits for the end of an execution.
type watcher struct {
	execution string
	run       backend.RunKey
	step      string
}

// others carries out what a turn asks of other executions. What it finds out goes into the turn's own inbox.
func (s *Store) others(session backend.SessionID, t *backend.Turn, at time.Time) {
	for i := range t.Children {
		n := &t.Children[i]
		c := s.create(session, n, at)
		if n.Replaces != "" {
			maps.DeleteFunc(s.dead, func(_ int64, d backend.DeadLetter) bool { return d.Execution == n.Replaces })
		}
		if old := c.Existing; old != nil && (old.Parent != n.Parent || old.ParentRun != n.ParentRun || old.ParentStep != n.ParentStep) {
			s.notice(t, n.ParentStep, backend.Taken, at)
		}
	}
	for i := range t.Orders {
		o := &t.Orders[i]
		name := backend.Delivered
		switch err := s.send(&o.Message, at); {
		case errors.Is(err, backend.ErrNotFound):
			name = backend.NotFound
		case errors.Is(err, backend.ErrClosed):
			name = backend.Closed
		}
		if o.Answer != "" {
			s.notice(t, o.Answer, name, at)
		}
	}
	for _, w := range t.Watches {
		me := watcher{t.Execution, t.Run, w.Step}
		switch other := s.executions[w.Execution]; {
		case w.Over && other != nil:
			other.watchers = slices.DeleteFunc(other.watchers, func(w watcher) bool { return w == me })
		case w.Over:
		case other == nil:
			s.notice(t, w.Step, backend.NotFound, at)
		case other.State.Terminal():
			_ = s.tell(other, me, at) // it is owned
		default:
			other.watchers = append(other.watchers, me)
		}
	}
}

// tell sends the end of x to who waits for it.
func (s *Store) tell(x *execution, w watcher, at time.Time) error {
	m := backend.Message{Execution: w.execution, Kind: backend.Outcome, Run: w.run, Step: w.step, Name: string(x.State), Payload: x.Failure}
	if x.State == backend.Completed {
		m.Payload = x.Result
	}
	return s.send(&m, at)
}
