// Check: the invariants over the whole store.

package memory

import (
	"context"
	"fmt"
	"slices"

	"github.com/senpuki/senpuki/backend"
)

// Check verifies every invariant of package backend.
func (s *Store) Check(context.Context) []error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	broken := func(n int, format string, args ...any) {
		errs = append(errs, fmt.Errorf("invariant %d: "+format, append([]any{n}, args...)...))
	}
	for id, x := range s.executions {
		rejected := func(m backend.Message) bool { return !keeps(x.State, &m) }
		if x.State.Terminal() && (x.Owner != 0 || !x.Due.IsZero() || slices.ContainsFunc(x.inbox, rejected)) {
			broken(4, "execution %s is %s and has an owner, a due time or messages that do not stay", id, x.State)
		}
		if !x.State.Terminal() && x.Owner == 0 && len(x.inbox) > 0 && x.Due.IsZero() {
			broken(5, "execution %s has messages, no owner and is not due", id)
		}
		if x.Owner != 0 && s.sessions[x.Owner] == nil {
			broken(3, "execution %s is owned by session %d, which is gone", id, x.Owner)
		}
		if _, ok := s.programs[x.Digest]; !ok {
			broken(9, "execution %s has no program %s", id, x.Digest)
		}
		for i := 1; i < len(x.inbox); i++ {
			if x.inbox[i].ID <= x.inbox[i-1].ID {
				broken(7, "the inbox of execution %s is out of order", id)
			}
		}
	}
	for _, k := range s.tasks {
		if x := s.executions[k.Execution]; x == nil || x.Run != k.Run || x.State.Terminal() {
			broken(13, "task %d is of run %d, which is over", k.Key, k.Run)
		}
		if k.Withdrawn && k.Owner == 0 {
			broken(13, "task %d of step %s is withdrawn, and nobody runs it", k.Key, k.Step)
		}
	}
	for hash, m := range s.memos {
		if x := s.executions[m.Execution]; m.Result == nil && (x == nil || x.Run != m.run || x.State.Terminal()) {
			broken(14, "memo %s is reserved by run %d, which is over", hash, m.run)
		}
	}
	for key, r := range s.runs {
		for i, row := range r.rows {
			if row.Number != int64(i) || row.Session == 0 {
				broken(1, "run %d has row %d of session %d at %d", key, row.Number, row.Session, i)
			}
		}
		seen := make(map[int64]bool)
		for _, l := range r.logs {
			if seen[l.Ordinal] {
				broken(10, "run %d has two log lines %d", key, l.Ordinal)
			}
			seen[l.Ordinal] = true
		}
	}
	return errs
}

var _ backend.Store = (*Store)(nil)
