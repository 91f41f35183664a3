// Tasks: attempts that any worker may run.

package memory

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"github.com/senpuki/senpuki/backend"
)

// putTasks writes and withdraws the tasks of a turn.
func (s *Store) putTasks(x *execution, t *backend.Turn, at time.Time) {
	for _, k := range t.Tasks {
		s.lastTask++
		k.Key, k.Execution, k.Run, k.Owner, k.Created, k.Began = s.lastTask, x.ID, t.Run, 0, at, time.Time{}
		if k.Due.IsZero() {
			k.Due = at
		}
		k.Tags, k.Input = slices.Clone(k.Tags), clone(k.Input)
		s.tasks[k.Key] = &k
	}
	for _, w := range t.Withdraw {
		for _, k := range s.tasks {
			switch {
			case k.Run != t.Run || k.Step != w.Step || k.Attempt != w.Attempt:
			case k.Owner == 0:
				s.conclude(k, backend.TaskWithdrawn, nil, at)
			default:
				k.Withdrawn = true
			}
		}
	}
}

// dropTasks removes the tasks of a run that is over.
func (s *Store) dropTasks(run backend.RunKey) {
	maps.DeleteFunc(s.tasks, func(_ int64, k *backend.Task) bool { return k.Run == run })
}

// settle ends a task that the session owns.
func (s *Store) settle(session backend.SessionID, d *backend.Settled, at time.Time) bool {
	k := s.tasks[d.Key]
	if k == nil || k.Owner != session || session == 0 {
		return false
	}
	s.conclude(k, d.Name, d.Payload, at)
	return true
}

// conclude turns a task into an Outcome.
func (s *Store) conclude(k *backend.Task, name string, payload []byte, at time.Time) {
	delete(s.tasks, k.Key)
	_ = s.send(&backend.Message{
		Execution: k.Execution, Kind: backend.Outcome, Run: k.Run, Step: k.Step, Attempt: k.Attempt, Name: name, Payload: payload,
	}, at)
}

// giveBack makes a task ownerless again, or ends it when it was withdrawn.
func (s *Store) giveBack(session backend.SessionID, key int64, at time.Time) {
	switch k := s.tasks[key]; {
	case k == nil || k.Owner != session || session == 0:
	case k.Withdrawn:
		s.conclude(k, backend.TaskWithdrawn, nil, at)
	default:
		k.Owner, k.Due, k.Began = 0, at, time.Time{}
	}
}

// ClaimTasks gives due tasks to a session.
func (s *Store) ClaimTasks(_ context.Context, r backend.TaskRequest) (claimed backend.ClaimedTasks, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	wanted, at := r.Limit > 0, s.now()
	late := func(k *backend.Task) bool { return !k.Expires.IsZero() && !k.Expires.After(at) }
	for _, k := range s.tasks {
		wanted = wanted || k.Owner == 0 && late(k)
	}
	switch {
	case !wanted:
		return claimed, nil
	case s.sessions[r.Session] == nil:
		return claimed, backend.ErrFenced
	}
	var found []*backend.Task
	for _, key := range slices.Sorted(maps.Keys(s.tasks)) {
		k := s.tasks[key]
		switch {
		case k.Owner != 0:
		case late(k):
			s.conclude(k, backend.TaskExpired, nil, at)
			claimed.Late = true
		case !k.Due.After(at) && slices.Contains(r.Activities, k.Activity) && (r.Executions == nil &&
			slices.Contains(r.Queues, k.Queue) && subset(k.Tags, r.Tags) || slices.Contains(r.Executions, k.Execution)):
			found = append(found, k)
		}
	}
	slices.SortStableFunc(found, best)
	for _, k := range found {
		if len(claimed.Tasks) >= r.Limit {
			break
		}
		if !s.admit(k, at, &claimed) {
			continue
		}
		k.Owner, k.Began = r.Session, at
		claimed.Tasks = append(claimed.Tasks, task(k))
	}
	return claimed, nil
}

// best orders tasks as they are claimed.
func best(a, b *backend.Task) int {
	return cmp.Or(cmp.Compare(b.Priority, a.Priority), a.Due.Compare(b.Due), cmp.Compare(a.Key, b.Key))
}

// admit says whether the limit of a task's activity lets it begin, and counts it or notes when its rate will.
func (s *Store) admit(k *backend.Task, at time.Time, c *backend.ClaimedTasks) bool {
	if k.Limit == nil {
		return true
	}
	if k.Limit.Max > 0 {
		busy := 0
		for _, o := range s.tasks {
			if o.Activity == k.Activity && o.Owner != 0 && o.Limit != nil {
				busy++
			}
		}
		if busy >= k.Limit.Max {
			return false
		}
	}
	if k.Limit.Rate > 0 {
		all := slices.DeleteFunc(s.begun[k.Activity], func(b begun) bool { return !b.until.After(at) })
		s.begun[k.Activity] = all
		var ends []time.Time // when each that counts does so no longer
		for _, b := range all {
			if end := b.at.Add(k.Limit.Per); end.After(at) {
				ends = append(ends, slices.MinFunc([]time.Time{end, b.until}, time.Time.Compare))
			}
		}
		if n := len(ends) - k.Limit.Rate; n >= 0 {
			slices.SortFunc(ends, time.Time.Compare)
			c.Kept(ends[n])
			return false
		}
		s.begun[k.Activity] = append(all, begun{at, at.Add(k.Limit.Per)})
	}
	return true
}

func subset(tags, of []string) bool {
	for _, t := range tags {
		if !slices.Contains(of, t) {
			return false
		}
	}
	return true
}

// task is a copy of a task.
func task(k *backend.Task) backend.Task {
	c := *k
	c.Tags, c.Input = slices.Clone(k.Tags), clone(k.Input)
	return c
}

// Tasks lists tasks by key.
func (s *Store) Tasks(_ context.Context, f backend.TaskFilter) ([]backend.Task, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	low, high := f.Keys()
	keys := slices.Sorted(maps.Keys(s.tasks))
	at := s.now()
	if f.Waiting {
		keys = slices.DeleteFunc(keys, func(key int64) bool { return s.tasks[key].Owner != 0 || s.tasks[key].Due.After(at) })
		slices.SortStableFunc(keys, func(a, b int64) int { return best(s.tasks[a], s.tasks[b]) })
	}
	var list []backend.Task
	for _, key := range keys {
		k := s.tasks[key]
		if key >= low && key <= high && (f.Execution == "" || f.Execution == k.Execution) && (f.Queue == "" || f.Queue == k.Queue) && (f.Activity == "" || f.Activity == k.Activity) &&
			(f.Owner == 0 || f.Owner == k.Owner) {
			one := task(k)
			if f.Bare {
				one.Input = nil
			}
			list = append(list, one)
		}
	}
	return first(list, f.Limit), nil
}
