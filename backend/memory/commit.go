// Commit: a batch whole or not at all.

package memory

import (
	"context"
	"maps"
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
	s.woken, s.told = false, nil
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
	if b.Claim != nil {
		r := *b.Claim
		r.Session = b.Session
		reply.Claimed = s.claim(&r, reply.Now)
	}
	reply.Woken, reply.Told = s.woken, s.told
	return reply, nil
}

// mayLand checks everything before anything is changed.
func (s *Store) mayLand(b *backend.Batch) error {
	fenced := len(b.Turns) > 0 || len(b.Settle) > 0 || len(b.Back) > 0 || b.Claim != nil
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
	released := make(map[backend.RunKey]bool) // runs of executions that they release, unless there is a message
	taken := make(map[int64]bool)             // messages that they take
	lines := make(map[line]bool)              // their log lines
	for i := range b.Turns {
		t := &b.Turns[i]
		x := s.executions[t.Execution]
		switch {
		case x == nil, x.Owner != b.Session, x.Run != t.Run, x.State.Terminal(), over[t.Run],
			len(t.Rows) > 0 && t.First != int64(len(s.runs[t.Run].rows))+earlier[t.Run]:
			return &backend.TurnError{Index: i, Err: backend.ErrNotOwner}
		case released[t.Run] && s.after(b, i)[t.Execution].Owner != b.Session:
			return &backend.TurnError{Index: i, Err: backend.ErrNotOwner}
		}
		earlier[t.Run] += int64(len(t.Rows))
		over[t.Run] = t.Then == backend.Finish || t.Then == backend.Continue
		released[t.Run] = released[t.Run] || t.Then == backend.Release
		for n, id := range t.Taken {
			if taken[id] && !slices.Contains(t.Taken[:n], id) || !slices.ContainsFunc(x.inbox, func(m backend.Message) bool { return m.ID == id }) {
				return &backend.TurnError{Index: i, Err: backend.ErrNotOwner}
			}
			taken[id] = true
		}
		for _, l := range t.Logs {
			one := line{t.Run, l.Ordinal}
			if lines[one] || slices.ContainsFunc(s.runs[t.Run].logs, func(other backend.LogLine) bool { return other.Ordinal == l.Ordinal }) {
				return &backend.TurnError{Index: i, Err: backend.ErrNotOwner}
			}
			lines[one] = true
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

// line is a log line's key.
type line struct {
	run     backend.RunKey
	ordinal int64
}

// after is how executions stand after the first turns of a batch, which land in a copy of the store.
func (s *Store) after(b *backend.Batch, turns int) map[string]*execution {
	c := NewAt(s.clock)
	c.programs, c.sessions, c.dead = s.programs, s.sessions, maps.Clone(s.dead)
	for id, x := range s.executions {
		x := *x
		x.inbox, x.watchers = slices.Clone(x.inbox), slices.Clone(x.watchers)
		c.executions[id] = &x
	}
	for key, r := range s.runs {
		r := *r
		r.rows, r.logs = slices.Clip(r.rows), slices.Clip(r.logs)
		c.runs[key] = &r
	}
	for key, k := range s.tasks {
		k := *k
		c.tasks[key] = &k
	}
	for hash, m := range s.memos {
		m := *m
		m.waiters = slices.Clone(m.waiters)
		c.memos[hash] = &m
	}
	c.lastRun, c.lastTask, c.lastMessage = s.lastRun, s.lastTask, s.lastMessage
	at := s.now()
	for i := range b.Create {
		c.create(b.Session, &b.Create[i], at)
	}
	for i := range turns {
		c.land(b.Session, &b.Turns[i], at)
	}
	return c.executions
}
