// Claims, and the inboxes of what is owned.

package sqlite

import (
	"cmp"
	"context"
	"database/sql/driver"
	"encoding/json"
	"slices"
	"strconv"
	"time"

	"github.com/senpuki/senpuki/backend"
)

// candidate is an execution that may be claimed.
type candidate struct {
	key    int64
	record backend.Execution
}

const candidateColumns = executionColumns + ", key"

// candidatesOf adds the answers of a query for candidateColumns.
func candidatesOf(found *[]candidate) func([]driver.Value) error {
	return func(v []driver.Value) error {
		last := len(v) - 1
		*found = append(*found, candidate{number(v[last]), execution(v[:last])})
		return nil
	}
}

// Claim gives due executions to a session.
func (s *Store) Claim(ctx context.Context, r backend.ClaimRequest) ([]backend.Claimed, error) {
	if r.IDs == nil {
		// Mostly there are none: a look does not wait for writers, nor do they for it, however much there is that is for others.
		if some, err := s.anyDue(ctx, r); err != nil || !some {
			return nil, err
		}
	}
	var claimed []backend.Claimed
	err := s.write(ctx, func(c *conn, at time.Time) error {
		if err := fence(c, r.Session); err != nil {
			return err
		}
		var err error
		claimed, err = s.claim(c, &r, r.Session, at)
		return err
	})
	if err != nil {
		return nil, err
	}
	return claimed, nil
}

// claim gives what a request may take to a session that stands.
func (s *Store) claim(c *conn, r *backend.ClaimRequest, session backend.SessionID, at time.Time) ([]backend.Claimed, error) {
	found, err := candidates(c, r, at)
	if err != nil {
		return nil, err
	}
	claimed, err := claim(c, found, session, at)
	for i := range claimed {
		if x := &claimed[i]; x.Stuck == nil && x.Damage == "" {
			s.known.owns(x.Run, session, x.ID)
		}
	}
	return claimed, err
}

// anyDue reports whether there is anything that a request may take.
func (s *Store) anyDue(ctx context.Context, r backend.ClaimRequest) (some bool, err error) {
	r.Limit = min(r.Limit, 1)
	err = s.read(ctx, func(c *conn) error {
		if err := fence(c, r.Session); err != nil {
			return err
		}
		found, err := candidates(c, &r, now())
		some = len(found) > 0
		return err
	})
	return some, err
}

// candidates finds what a request may claim, best first.
func candidates(c *conn, r *backend.ClaimRequest, at time.Time) ([]candidate, error) {
	if r.Limit <= 0 {
		return nil, nil
	}
	editions, err := json.Marshal(r.Editions)
	if err != nil {
		return nil, err
	}
	switch {
	case r.IDs != nil:
		return named(c, r, string(editions), at)
	case r.Expired:
		return expired(c, r, string(editions), at)
	}
	tags, err := json.Marshal(append([]string{}, r.Tags...))
	if err != nil {
		return nil, err
	}
	var found []candidate
	live := liveExecutions
	if r.Begun {
		live = begunExecutions
	}
	queues := slices.Compact(slices.Sorted(slices.Values(r.Queues)))
	for _, q := range queues {
		if found, err = live.queued(c, found, q, string(editions), string(tags), r.Limit, at); err != nil {
			return nil, err
		}
	}
	if len(queues) > 1 {
		slices.SortFunc(found, func(a, b candidate) int {
			return cmp.Or(cmp.Compare(b.record.Priority, a.record.Priority), a.record.Due.Compare(b.record.Due), cmp.Compare(a.key, b.key))
		})
	}
	return found[:min(len(found), r.Limit)], nil
}

// queued adds up to limit due executions of one queue. It steps from priority
// to priority: under a given one the index is ordered by due time, so what is
// not due yet is never looked at. Tags that are none keep nobody from taking it: who does finds out.
func (w waiting) queued(c *conn, found []candidate, queue, editions, tags string, limit int, at time.Time) ([]candidate, error) {
	err := w.each(nonstop, c, []any{queue}, func(priority int64) (bool, error) {
		before := len(found)
		err := c.query(nonstop, candidatesOf(&found), "SELECT "+candidateColumns+" FROM execution INDEXED BY "+w.index+" WHERE "+w.live+`
			AND priority = ?2 AND due <= ?3
			AND edition IN (SELECT value FROM json_each(?4))
			AND (tags IS NULL OR NOT EXISTS (
				SELECT 1 FROM json_each(CASE WHEN json_valid(execution.tags) THEN execution.tags END) AS t
				WHERE t.type = 'text' AND t.value NOT IN (SELECT value FROM json_each(?5))))
			ORDER BY due, key LIMIT +?6`, queue, priority, at, editions, tags, limit)
		limit -= len(found) - before
		return limit > 0, err
	})
	return found, err
}

// waiting is the rows of a table that nobody owns, of what its first parameters say, and the index that they are in, by these, priority and due time.
type waiting struct{ table, live, index string }

var (
	liveExecutions  = waiting{"execution", "owner = 0 AND due IS NOT NULL AND queue = ?1", "execution_due"}
	begunExecutions = waiting{"execution", "owner = 0 AND due IS NOT NULL AND state = 'running' AND queue = ?1", "execution_begun"}
	liveTasks       = waiting{"task", "owner = 0 AND queue = ?1", "task_due"}
)

// each visits the priorities that there are in what args name, the highest first, while visit wants more.
func (w waiting) each(ctx context.Context, c *conn, args []any, visit func(priority int64) (more bool, err error)) error {
	sql := ""
	for more := true; more; {
		v, err := c.first(ctx, "SELECT priority FROM "+w.table+" INDEXED BY "+w.index+" WHERE "+w.live+sql+" ORDER BY priority DESC LIMIT 1", args...)
		if err != nil || v == nil {
			return err
		}
		priority := number(v[0])
		if more, err = visit(priority); err != nil {
			return err
		}
		if sql == "" {
			sql, args = " AND priority < ?", append(slices.Clone(args), nil)
		}
		args[len(args)-1] = priority
	}
	return nil
}

// named finds the executions that a request names.
func named(c *conn, r *backend.ClaimRequest, editions string, at time.Time) (found []candidate, err error) {
	ids, err := json.Marshal(r.IDs)
	if err != nil {
		return nil, err
	}
	err = c.query(nonstop, candidatesOf(&found), "SELECT "+candidateColumns+` FROM execution WHERE id IN (SELECT value FROM json_each(?)) AND owner = 0 AND state IN ('pending', 'running')
		AND edition IN (SELECT value FROM json_each(?)) AND (? = 0 OR due <= ?) ORDER BY priority DESC, due, key LIMIT +?`, string(ids), editions, r.OnlyDue, at, r.Limit)
	return found, err
}

// expired finds executions whose time is up.
func expired(c *conn, r *backend.ClaimRequest, editions string, at time.Time) (found []candidate, err error) {
	err = c.query(nonstop, candidatesOf(&found), "SELECT "+candidateColumns+` FROM execution WHERE owner = 0 AND expires IS NOT NULL AND finished IS NULL AND expires <= ?
		AND edition IN (SELECT value FROM json_each(?)) ORDER BY expires LIMIT +?`, at, editions, r.Limit)
	return found, err
}

// claim makes executions the session's and returns them in their order. One
// that was never started is fresh. The records were read first: an UPDATE that
// returned them would keep a copy of each.
func claim(c *conn, found []candidate, session backend.SessionID, at time.Time) ([]backend.Claimed, error) {
	if len(found) == 0 {
		return nil, nil
	}
	place := make(map[int64]int, len(found))
	claimed := make([]backend.Claimed, len(found))
	list := make([]byte, 0, 12*len(found))
	for i := range found {
		x, one := &found[i], &claimed[i]
		one.Execution, one.Fresh = x.record, x.record.State == backend.Pending
		one.Owner, one.Due, one.State = session, time.Time{}, backend.Running
		if one.Started.IsZero() {
			one.Started = at
		}
		place[x.key] = i
		list = strconv.AppendInt(append(list, ','), x.key, 10)
	}
	list[0] = '['
	keys := string(append(list, ']'))
	if _, err := c.exec(`UPDATE execution SET owner = ?, due = NULL, state = 'running', started = coalesce(started, ?)
		WHERE key IN (SELECT value FROM json_each(?))`, session, at, keys); err != nil {
		return nil, err
	}
	err := c.query(nonstop, func(v []driver.Value) error {
		last := len(v) - 1
		one := &claimed[place[number(v[last])]]
		one.Inbox = append(one.Inbox, message(v[:last], one.ID))
		return nil
	}, "SELECT "+messageColumns+", execution FROM inbox WHERE execution IN (SELECT value FROM json_each(?)) ORDER BY id", keys)
	return claimed, err
}

// fewMessages is up to how many messages in all the inboxes together are
// looked through one by one for those of a session's executions.
const fewMessages = 256

// Receive returns the inboxes of what a session owns. It reads and does not
// wait for writers.
func (s *Store) Receive(ctx context.Context, id backend.SessionID) (messages []backend.Message, err error) {
	if id == 0 {
		return nil, nil
	}
	err = s.read(ctx, func(c *conn) error {
		// A worker owns thousands and has few messages; behind a backlog it
		// is the other way round.
		v, err := c.first(ctx, "SELECT count(*) FROM (SELECT 1 FROM inbox LIMIT +?)", fewMessages)
		if err != nil {
			return err
		}
		sql := `FROM inbox CROSS JOIN execution ON execution.key = inbox.execution WHERE execution.owner = ? ORDER BY inbox.id`
		if number(v[0]) == fewMessages {
			sql = `FROM execution CROSS JOIN inbox ON inbox.execution = execution.key
				WHERE execution.owner = ? AND execution.owner <> 0 ORDER BY inbox.id`
		}
		return c.query(ctx, func(v []driver.Value) error {
			messages = append(messages, message(v, word(v[len(v)-1])))
			return nil
		}, "SELECT "+messageColumns+", execution.id "+sql, id)
	})
	return messages, err
}

// Inbox returns the messages of one execution.
func (s *Store) Inbox(ctx context.Context, id string) (messages []backend.Message, err error) {
	err = s.read(ctx, func(c *conn) error {
		return c.query(ctx, func(v []driver.Value) error {
			messages = append(messages, message(v, id))
			return nil
		}, "SELECT "+messageColumns+" FROM inbox WHERE execution = (SELECT key FROM execution WHERE id = ?1) UNION ALL SELECT "+
			messageColumns+" FROM unread AS inbox WHERE execution = (SELECT key FROM execution WHERE id = ?1) ORDER BY 1", id)
	})
	return messages, err
}

// NextDue is when something of these queues is due that nobody owns, or some task must have begun. It steps from priority to
// priority, as claims do, and looks at one row under each.
func (s *Store) NextDue(ctx context.Context, queues []string) (next time.Time, err error) {
	err = s.read(ctx, func(c *conn) error {
		at := now()
		for _, w := range []waiting{liveExecutions, liveTasks} {
			for _, q := range queues {
				if err := w.each(ctx, c, []any{q}, func(priority int64) (bool, error) {
					v, err := c.first(ctx, "SELECT due FROM "+w.table+" INDEXED BY "+w.index+" WHERE "+w.live+" AND priority = ?2 AND due > ?3 ORDER BY due LIMIT 1", q, priority, at)
					if v != nil && (next.IsZero() || instant(v[0]).Before(next)) {
						next = instant(v[0])
					}
					return true, err
				}); err != nil {
					return err
				}
			}
		}
		v, err := c.first(ctx, "SELECT min(expires) FROM task WHERE owner = 0 AND expires IS NOT NULL AND expires > ?", at)
		if err == nil && v[0] != nil && (next.IsZero() || instant(v[0]).Before(next)) {
			next = instant(v[0])
		}
		return err
	})
	return next, err
}
