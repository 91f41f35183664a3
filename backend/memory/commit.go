// Commit: a batch whole or not at all.

package memory

import (
	"context"
	"slices"

	"github.com/senpuki/senpuki/backend"
)

// Commit writes a batch.
func (s *Store) Commit(ctx context.Context, b backend.Batch) (backend.Reply, error) {
	if err := ctx.Err(); err != nil {
		return backend.Reply{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.mayLand(&b); err != nil {
		return backend.Reply{}, err
	}
	reply := backend.Reply{Now: s.now()}
	for i := range b.Create {
		reply.Created = append(reply.Created, s.create(b.Session, &b.Create[i], reply.Now))
	}
	for i := range b.Turns {
		reply.Turns = append(reply.Turns, s.land(b.Session, &b.Turns[i], reply.Now))
	}
	for i := range b.Send {
		reply.Sent = append(reply.Sent, s.send(&b.Send[i], reply.Now))
	}
	for i := range b.Settle {
		reply.Settled = append(reply.Settled, s.settle(b.Session, &b.Settle[i], reply.Now))
	}
	for _, key := range b.Back {
		s.giveBack(b.Session, key, reply.Now)
	}
	return reply, nil
}

// mayLand checks everything before anything is changed.
func (s *Store) mayLand(b *backend.Batch) error {
	fenced := len(b.Turns) > 0 || len(b.Settle) > 0 || len(b.Back) > 0
	for i := range b.Create {
		if _, ok := s.programs[b.Create[i].Digest]; !ok {
			return backend.ErrNoProgram
		}
		fenced = fenced || b.Create[i].Claim
	}
	if fenced && s.sessions[b.Session] == nil {
		return backend.ErrFenced
	}
	earlier := make(map[backend.RunKey]int64) // rows of turns before, which have not landed yet
	over := make(map[backend.RunKey]bool)     // runs that they end
	for i := range b.Turns {
		t := &b.Turns[i]
		x := s.executions[t.Execution]
		switch {
		case x == nil, x.Owner != b.Session, x.Run != t.Run, x.State.Terminal(), over[t.Run],
			len(t.Rows) > 0 && t.First != int64(len(s.runs[t.Run].rows))+earlier[t.Run]:
			return &backend.TurnError{Index: i, Err: backend.ErrNotOwner}
		}
		earlier[t.Run] += int64(len(t.Rows))
		over[t.Run] = t.Then == backend.Finish || t.Then == backend.Continue
		for _, id := range t.Taken {
			if !slices.ContainsFunc(x.inbox, func(m backend.Message) bool { return m.ID == id }) {
				return &backend.TurnError{Index: i, Err: backend.ErrNotOwner}
			}
		}
		for n, l := range t.Logs {
			same := func(other backend.LogLine) bool { return other.Ordinal == l.Ordinal }
			if slices.ContainsFunc(s.runs[t.Run].logs, same) || slices.ContainsFunc(t.Logs[:n], same) {
				return &backend.TurnError{Index: i, Err: backend.ErrNotOwner}
			}
		}
		for n := range t.Children {
			if _, ok := s.programs[t.Children[n].Digest]; !ok {
				return &backend.TurnError{Index: i, Err: backend.ErrNoProgram}
			}
		}
		if t.Then == backend.Continue {
			if t.Next == nil || len(t.Rows) > 0 {
				return &backend.TurnError{Index: i, Err: backend.ErrNotOwner}
			}
			if _, ok := s.programs[t.Next.Digest]; !ok {
				return &backend.TurnError{Index: i, Err: backend.ErrNoProgram}
			}
		}
		if t.Digest != "" {
			if _, ok := s.programs[t.Digest]; !ok {
				return &backend.TurnError{Index: i, Err: backend.ErrNoProgram}
			}
		}
	}
	return nil
}
