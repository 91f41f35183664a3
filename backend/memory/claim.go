// Claims, and the inboxes of what is owned.

package memory

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/senpuki/senpuki/backend"
)

// Claim gives due executions to a session.
func (s *Store) Claim(_ context.Context, r backend.ClaimRequest) ([]backend.Claimed, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sessions[r.Session] == nil {
		return nil, backend.ErrFenced
	}
	return s.claim(&r, s.now()), nil
}

func (s *Store) claim(r *backend.ClaimRequest, at time.Time) (claimed []backend.Claimed) {
	var found []*execution
	for _, x := range s.executions {
		if x.Owner == 0 && !x.State.Terminal() && slices.Contains(r.Editions, x.Edition) && fits(x, r, at) {
			found = append(found, x)
		}
	}
	slices.SortFunc(found, func(a, b *execution) int {
		return cmp.Or(cmp.Compare(b.Priority, a.Priority), a.Due.Compare(b.Due), cmp.Compare(a.Run, b.Run))
	})
	for _, x := range found[:min(len(found), max(r.Limit, 0))] {
		fresh := x.State == backend.Pending
		if x.State = backend.Running; x.Started.IsZero() {
			x.Started = at
		}
		x.Owner, x.Due = r.Session, time.Time{}
		claimed = append(claimed, backend.Claimed{Execution: x.view(), Fresh: fresh, Inbox: copied(x.inbox)})
	}
	return claimed
}

// fits reports whether a request may claim x.
func fits(x *execution, r *backend.ClaimRequest, at time.Time) bool {
	due := !x.Due.IsZero() && !x.Due.After(at)
	switch {
	case r.IDs != nil:
		return slices.Contains(r.IDs, x.ID) && (due || !r.OnlyDue)
	case r.Expired:
		return !x.Expires.IsZero() && !x.Expires.After(at)
	}
	if !due || !slices.Contains(r.Queues, x.Queue) || r.Begun && x.State == backend.Pending {
		return false
	}
	for _, t := range x.Tags {
		if !slices.Contains(r.Tags, t) {
			return false
		}
	}
	return true
}

// Receive returns the inboxes of what a session owns.
func (s *Store) Receive(_ context.Context, id backend.SessionID) ([]backend.Message, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var messages []backend.Message
	for _, x := range s.executions {
		if x.Owner == id && id != 0 {
			messages = append(messages, copied(x.inbox)...)
		}
	}
	slices.SortFunc(messages, func(a, b backend.Message) int { return cmp.Compare(a.ID, b.ID) })
	return messages, nil
}

// Inbox returns the messages of one execution.
func (s *Store) Inbox(_ context.Context, id string) ([]backend.Message, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	x := s.executions[id]
	if x == nil {
		return nil, nil
	}
	return copied(x.inbox), nil
}

// copied is messages whose payloads are the caller's own.
func copied(messages []backend.Message) []backend.Message {
	messages = slices.Clone(messages)
	for i := range messages {
		messages[i].Payload = clone(messages[i].Payload)
	}
	return messages
}

// NextDue is when something of these queues is due that nobody owns, or some task must have begun.
func (s *Store) NextDue(_ context.Context, queues []string) (next time.Time, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := s.now()
	note := func(owner backend.SessionID, queue string, due time.Time) {
		if owner == 0 && due.After(at) && (next.IsZero() || due.Before(next)) && slices.Contains(queues, queue) {
			next = due
		}
	}
	for _, x := range s.executions {
		note(x.Owner, x.Queue, x.Due)
	}
	for _, k := range s.tasks {
		note(k.Owner, k.Queue, k.Due)
		if k.Owner == 0 && k.Expires.After(at) && (next.IsZero() || k.Expires.Before(next)) {
			next = k.Expires
		}
	}
	return next, nil
}
