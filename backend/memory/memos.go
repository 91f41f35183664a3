// Memos: results shared between executions; dead letters.

package memory

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"github.com/senpuki/senpuki/backend"
)

// memo is a memo with those who wait for it, the first first.
type memo struct {
	backend.Memo
	run     backend.RunKey
	waiters []watcher
}

// reserve asks for a memo on behalf of a step.
func (s *Store) reserve(t *backend.Turn, r *backend.Reservation, at time.Time) {
	m := s.memos[r.Hash]
	if m != nil && m.Result != nil && !m.Expires.IsZero() && !m.Expires.After(at) {
		m = nil
	}
	me := watcher{t.Execution, t.Run, r.Step}
	switch {
	case m == nil:
		s.memos[r.Hash] = &memo{run: t.Run, Memo: backend.Memo{
			Hash: r.Hash, Activity: r.Activity, Key: r.Key, Execution: t.Execution, Step: r.Step, Created: at,
		}}
		s.answer(me, backend.Reserved, nil, at)
	case m.Result != nil:
		s.answer(me, backend.Hit, m.Result, at)
	default:
		m.waiters = append(m.waiters, me)
	}
}

// answer puts a notice about a memo into an inbox.
func (s *Store) answer(w watcher, name string, payload []byte, at time.Time) bool {
	x := s.executions[w.execution]
	if x == nil || x.State.Terminal() || x.Run != w.run {
		return false
	}
	_ = s.send(&backend.Message{Execution: w.execution, Kind: backend.Notice, Run: w.run, Step: w.step, Name: name, Payload: payload}, at)
	return true
}

// concludeMemo ends a reservation of a step: with a result everybody gets it, else the first who waits takes over.
func (s *Store) concludeMemo(t *backend.Turn, r *backend.MemoResult, at time.Time) {
	m := s.memos[r.Hash]
	if m == nil || m.Result != nil {
		return
	}
	if m.Execution != t.Execution || m.run != t.Run || m.Step != r.Step {
		m.waiters = slices.DeleteFunc(m.waiters, func(w watcher) bool { return w == watcher{t.Execution, t.Run, r.Step} })
		return
	}
	if r.Result == nil {
		s.pass(m, at)
		return
	}
	m.Result, m.Expires = clone(r.Result), r.Expires
	for _, w := range m.waiters {
		s.answer(w, backend.Hit, m.Result, at)
	}
	m.waiters = nil
}

// pass gives a reservation to the first who waits, or frees the key.
func (s *Store) pass(m *memo, at time.Time) {
	for len(m.waiters) > 0 {
		w := m.waiters[0]
		m.waiters = m.waiters[1:]
		if s.answer(w, backend.Reserved, nil, at) {
			m.Execution, m.run, m.Step, m.Created = w.execution, w.run, w.step, at
			return
		}
	}
	delete(s.memos, m.Hash)
}

// freeMemos gives up what a run that is over had reserved or waited for.
func (s *Store) freeMemos(run backend.RunKey, at time.Time) {
	for _, hash := range slices.Sorted(maps.Keys(s.memos)) {
		m := s.memos[hash]
		m.waiters = slices.DeleteFunc(m.waiters, func(w watcher) bool { return w.run == run })
		if m.Result == nil && m.run == run {
			s.pass(m, at)
		}
	}
}

// Memos lists memos, newest first.
func (s *Store) Memos(_ context.Context, f backend.MemoFilter) ([]backend.Memo, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []backend.Memo
	for _, m := range s.memos {
		if (f.Hash == "" || m.Hash == f.Hash) && (f.Activity == "" || m.Activity == f.Activity) &&
			(f.BeforeAt.IsZero() || cmp.Or(m.Created.Compare(f.BeforeAt), cmp.Compare(m.Hash, f.BeforeHash)) < 0) {
			c := m.Memo
			c.Result, c.Waiting = clone(m.Result), len(m.waiters)
			if _, stands := s.executions[c.Execution]; !stands {
				c.Execution = ""
			}
			list = append(list, c)
		}
	}
	slices.SortFunc(list, func(a, b backend.Memo) int {
		return cmp.Or(b.Created.Compare(a.Created), cmp.Compare(b.Hash, a.Hash))
	})
	return first(list, f.Limit), nil
}

// ClearMemos removes stored results; reservations stay.
func (s *Store) ClearMemos(_ context.Context, activity string) (n int64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.DeleteFunc(s.memos, func(_ string, m *memo) bool {
		gone := m.Result != nil && (activity == "" || m.Activity == activity)
		if gone {
			n++
		}
		return gone
	})
	return n, nil
}

// bury keeps the dead letters of a turn.
func (s *Store) bury(t *backend.Turn, at time.Time) {
	for _, d := range t.Dead {
		s.lastLetter++
		d.ID, d.Execution, d.Run, d.At = s.lastLetter, t.Execution, t.Run, at
		d.Failure, d.Input = clone(d.Failure), clone(d.Input)
		s.dead[d.ID] = d
	}
}

// DeadLetters lists dead letters, newest first.
func (s *Store) DeadLetters(_ context.Context, f backend.LetterFilter) ([]backend.DeadLetter, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []backend.DeadLetter
	low, high := f.IDs()
	for _, d := range s.dead {
		if (f.Execution == "" || d.Execution == f.Execution) && d.ID >= low && d.ID <= high {
			d.Failure, d.Input = clone(d.Failure), clone(d.Input)
			list = append(list, d)
		}
	}
	slices.SortFunc(list, func(a, b backend.DeadLetter) int { return cmp.Compare(b.ID, a.ID) })
	return first(list, f.Limit), nil
}

// Discard removes dead letters.
func (s *Store) Discard(_ context.Context, ids []int64) (n int64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range ids {
		if _, ok := s.dead[id]; ok {
			delete(s.dead, id)
			n++
		}
	}
	return n, nil
}
