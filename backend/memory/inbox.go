// Inboxes: how messages get there.

package memory

import (
	"time"

	"github.com/senpuki/senpuki/backend"
)

func (s *Store) send(m *backend.Message, at time.Time) error {
	x := s.executions[m.Execution]
	switch {
	case x == nil:
		return backend.ErrNotFound
	case x.State.Terminal():
		return backend.ErrClosed
	}
	s.lastMessage++
	c := *m
	c.ID, c.Sent, c.Payload = s.lastMessage, at, clone(m.Payload)
	x.inbox = append(x.inbox, c)
	if x.Owner == 0 && (x.Due.IsZero() || x.Due.After(at)) {
		x.Due, s.woken = at, true
	}
	return nil
}

// keeps reports whether a message stays in the inbox of an execution that has ended so: a signal does, unless it completed.
func keeps(end backend.State, m *backend.Message) bool {
	return end != backend.Completed && m.Kind == backend.Signal
}

func (s *Store) notice(t *backend.Turn, step, name string, at time.Time) {
	_ = s.send(&backend.Message{Execution: t.Execution, Kind: backend.Notice, Run: t.Run, Step: step, Name: name}, at)
}
