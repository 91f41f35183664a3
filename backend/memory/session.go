// Sessions: opened, beating, revoked.

package memory

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"github.com/senpuki/senpuki/backend"
)

// Open begins a session.
func (s *Store) Open(_ context.Context, n backend.Session) (backend.SessionID, time.Time, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := s.now()
	s.lastSession++
	n.ID, n.Beat, n.Opened, n.Info = s.lastSession, 0, at, clone(n.Info)
	s.sessions[n.ID] = &n
	return n.ID, at, nil
}

// Beat advances a session's counter.
func (s *Store) Beat(_ context.Context, id backend.SessionID, info []byte) (backend.Beaten, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.sessions[id]
	if n == nil {
		return backend.Beaten{}, backend.ErrFenced
	}
	n.Beat++
	n.Info = clone(info)
	b := backend.Beaten{At: s.now(), Sessions: s.standing()}
	for _, x := range s.executions {
		b.Expired = b.Expired || x.Owner == 0 && !x.State.Terminal() && !x.Expires.IsZero() && !x.Expires.After(b.At)
	}
	return b, nil
}

// Revoke ends a session and frees what it owned.
func (s *Store) Revoke(_ context.Context, id backend.SessionID) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.sessions, id)
	at := s.now()
	for _, x := range s.executions {
		if x.Owner != 0 && s.sessions[x.Owner] == nil {
			x.Owner, x.Due = 0, at
		}
	}
	for _, key := range slices.Sorted(maps.Keys(s.tasks)) {
		if k := s.tasks[key]; k.Owner != 0 && s.sessions[k.Owner] == nil {
			s.conclude(k, backend.TaskCrashed, nil, at)
		}
	}
	return nil
}

// Sessions returns all sessions, oldest first.
func (s *Store) Sessions(context.Context) ([]backend.Session, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.standing(), nil
}

func (s *Store) standing() (list []backend.Session) {
	for _, n := range s.sessions {
		c := *n
		c.Info = clone(n.Info)
		list = append(list, c)
	}
	slices.SortFunc(list, func(a, b backend.Session) int { return cmp.Compare(a.ID, b.ID) })
	return list
}
