// Claims, and the inboxes of what is owned.

package postgres

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/senpuki/senpuki/backend"
)

// Claim gives due executions to a session.
func (s *Store) Claim(ctx context.Context, r backend.ClaimRequest) (claimed []backend.Claimed, err error) {
	var keys []int64
	err = s.transact(ctx, 0, func(t *tx) (err error) {
		claimed = nil
		t.alive(r.Session)
		if r.Limit <= 0 {
			return t.flush()
		}
		keys, err = candidates(t, &r)
		if err == nil && len(keys) > 0 {
			t.stand(r.Session)
			claimed, err = claim(t, keys, r.Session)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	s.known.claimed(claimed, keys)
	return claimed, nil
}

// alive queues a look whether a session stands. It locks nothing: a claim that
// finds nothing has written nothing, and costs an idle worker a read.
func (t *tx) alive(id backend.SessionID) {
	t.add("SELECT 1 / (SELECT count(*) FROM session WHERE id = $1::bigint)", int64(id)).guard = backend.ErrFenced
}

// stand queues the fence; see once. It comes before anything is the session's.
func (t *tx) stand(id backend.SessionID) {
	t.add("SELECT 1 / (SELECT count(*) FROM (SELECT 1 FROM session WHERE id = $1::bigint FOR KEY SHARE) AS s)", int64(id)).guard = backend.ErrFenced
}

// candidates finds and locks what a request may claim.
func candidates(t *tx, r *backend.ClaimRequest) ([]int64, error) {
	editions := make([]int64, len(r.Editions))
	for i, e := range r.Editions {
		editions[i] = int64(e)
	}
	switch {
	case r.IDs != nil: // whoever names them wants those: wait for who has them locked
		return found(t, `SELECT key FROM (SELECT key, priority, due FROM execution WHERE key = ANY(ARRAY(SELECT key FROM request WHERE id = ANY($1::text[]))) AND owner = 0
				AND state IN ('pending', 'running') AND edition = ANY($2::bigint[]) AND (NOT $3::bool OR due <= now())
				ORDER BY key FOR NO KEY UPDATE) AS x
			ORDER BY priority DESC, due, key LIMIT $4::bigint`, cleanAll(r.IDs), editions, r.OnlyDue, int64(r.Limit))
	case r.Expired:
		return found(t, `SELECT key FROM execution WHERE owner = 0 AND expires IS NOT NULL AND finished IS NULL AND expires <= now()
				AND edition = ANY($1::bigint[])
			ORDER BY expires LIMIT $2::bigint FOR NO KEY UPDATE SKIP LOCKED`, editions, int64(r.Limit))
	}
	live := "due IS NOT NULL AND"
	if r.Begun {
		live += " state = 'running' AND"
	}
	return due(t, "execution", live, "x.edition = ANY($4::bigint[])", r.Limit, cleanAll(r.Queues), nonNil(cleanAll(r.Tags)), editions)
}

func nonNil(list []string) []string { return append([]string{}, list...) }

func found(t *tx, sql string, args ...any) (keys []int64, err error) {
	err = t.each(func(r pgx.Rows) error {
		var key int64
		err := r.Scan(&key)
		keys = append(keys, key)
		return err
	}, sql, args...)
	return keys, err
}

// levels are the priorities that there are in some queues, $1, of a table of which part is live.
const levels = `WITH RECURSIVE level (queue, priority) AS (
			SELECT q, (SELECT priority FROM %[1]s WHERE owner = 0 AND %[2]s queue = q ORDER BY priority DESC LIMIT 1)
			FROM (SELECT DISTINCT q FROM unnest($1::text[]) AS u (q)) AS queues
			UNION ALL
			SELECT l.queue, (SELECT priority FROM %[1]s WHERE owner = 0 AND %[2]s queue = l.queue AND priority < l.priority ORDER BY priority DESC LIMIT 1)
			FROM level AS l WHERE l.priority IS NOT NULL)`

// slack is how many rows more than asked for a claim looks at: others may be
// about to take the best.
const slack = 64

// due locks up to limit rows, best first, and nothing else. It goes priority by priority because the index orders by due time
// only within one. Of one queue each row is locked as it is come upon. Several are merged first; the locking query then repeats every
// condition, since a row may have been claimed and finished in between, and if other sessions hold so many candidates that too
// few are left, it reads further. A NULL in tags disables the tag condition; the caller checks. owner + 0 makes the planner use the primary key.
func due(t *tx, table, live, accept string, limit int, queues, tags []string, other any, more ...any) (keys []int64, err error) {
	next := fmt.Sprintf(`FROM %s AS x
				WHERE x.owner = 0 AND %s x.queue = l.queue AND x.priority = l.priority AND x.due <= now()
				AND (x.tags IS NULL OR x.tags <@ $2::text[] OR num_nulls(VARIADIC x.tags) > 0) AND %s
				ORDER BY x.due, x.key LIMIT $3::bigint`, table, live, accept)
	args := append([]any{queues, tags, int64(limit), other, int64(limit)}, more...)
	if len(queues) == 1 {
		_, err = t.first([]any{&keys}, fmt.Sprintf(levels+`
			SELECT ARRAY(SELECT mine.key FROM (SELECT * FROM level WHERE priority IS NOT NULL ORDER BY priority DESC) AS l CROSS JOIN LATERAL (
				SELECT x.key %[3]s FOR NO KEY UPDATE SKIP LOCKED) AS mine
			LIMIT $5::bigint)`, table, live, next), args...)
		return keys, err
	}
	return merged(t, fmt.Sprintf(levels, table, live), table, live, next, limit, args)
}

// merged locks up to limit rows of several levels, best first; next reads up to $3 of one, and $5 is the limit. See due.
func merged(t *tx, levels, table, live, next string, limit int, args []any) (keys []int64, err error) {
	sql := fmt.Sprintf(`%[4]s,
		best AS MATERIALIZED (
			SELECT x.key FROM level AS l CROSS JOIN LATERAL (
				SELECT x.key, x.priority, x.due %[3]s) AS x
			WHERE l.priority IS NOT NULL ORDER BY x.priority DESC, x.due, x.key LIMIT $3::bigint)
		SELECT (SELECT count(*) FROM best), ARRAY(
			SELECT mine.key FROM best CROSS JOIN LATERAL (
				SELECT x.key FROM %[1]s AS x WHERE x.key = best.key AND x.owner + 0 = 0 AND %[2]s x.due <= now()
				FOR NO KEY UPDATE SKIP LOCKED OFFSET 0) AS mine
			LIMIT $5::bigint)`, table, live, next, levels)
	for look := int64(limit + slack); ; look *= 4 {
		var seen int64
		args[2] = look
		if _, err := t.first([]any{&seen, &keys}, sql, args...); err != nil {
			return nil, err
		}
		if len(keys) >= limit || seen < look {
			return keys, nil
		}
	}
}

// claim makes executions the session's and returns them in their order. One
// that was never started is fresh. The records are read first, as they were.
func claim(t *tx, keys []int64, session backend.SessionID) ([]backend.Claimed, error) {
	place := make(map[int64]int, len(keys))
	claimed := make([]backend.Claimed, len(keys))
	for i, key := range keys {
		place[key] = i
	}
	t.add("SELECT "+executionColumns+", key FROM "+executions+" WHERE key = ANY($1::bigint[])", keys).row = func(r pgx.Rows) error {
		var key int64
		x, err := execution(r, &key)
		if err != nil {
			return err
		}
		one := &claimed[place[key]]
		one.Execution, one.Fresh = x, x.State == backend.Pending
		return nil
	}
	t.add(`UPDATE execution SET owner = $2::bigint, due = NULL, state = 'running', started = coalesce(started, now())
		WHERE key = ANY($1::bigint[])`, keys, int64(session))
	t.add("SELECT "+messageColumns+", '', i.execution FROM inbox AS i WHERE i.execution = ANY($1::bigint[]) ORDER BY i.id", keys).row = func(r pgx.Rows) error {
		var key int64
		m, err := message(r, &key)
		one := &claimed[place[key]]
		m.Execution = one.ID
		one.Inbox = append(one.Inbox, m)
		return err
	}
	t.commit()
	err := t.flush()
	for i := range claimed {
		one := &claimed[i]
		one.Owner, one.State, one.Due = session, backend.Running, time.Time{}
		if one.Started.IsZero() {
			one.Started = t.at.UTC()
		}
	}
	return claimed, err
}

// fewMessages is up to how many messages in all the inboxes together are
// looked through one by one for those of a session's executions.
const fewMessages = 256

// Receive returns the inboxes of what a session owns. A worker owns thousands
// and has few messages; behind a backlog it is the other way round.
func (s *Store) Receive(ctx context.Context, id backend.SessionID) (messages []backend.Message, err error) {
	if id == 0 {
		return nil, nil
	}
	err = s.read(ctx, func(t *tx) error {
		return t.each(func(r pgx.Rows) error {
			m, err := message(r)
			messages = append(messages, m)
			return err
		}, `WITH few AS MATERIALIZED (SELECT execution, id FROM inbox LIMIT $2::bigint)
			SELECT `+messageColumns+`, (SELECT id FROM request WHERE key = few.execution) FROM few
				CROSS JOIN LATERAL (SELECT owner FROM execution WHERE key = few.execution OFFSET 0) AS x
				CROSS JOIN LATERAL (SELECT * FROM inbox WHERE execution = few.execution AND inbox.id = few.id OFFSET 0) AS i
				WHERE x.owner = $1::bigint AND (SELECT count(*) FROM few) < $2::bigint
			UNION ALL
			SELECT `+messageColumns+`, (SELECT id FROM request WHERE key = x.key) FROM execution AS x CROSS JOIN LATERAL (SELECT * FROM inbox WHERE execution = x.key OFFSET 0) AS i
				WHERE (SELECT count(*) FROM few) >= $2::bigint AND x.owner = $1::bigint AND x.owner <> 0`, int64(id), int64(fewMessages))
	})
	slices.SortFunc(messages, func(a, b backend.Message) int { return cmp.Compare(a.ID, b.ID) })
	return messages, err
}

// Inbox returns the messages of one execution.
func (s *Store) Inbox(ctx context.Context, id string) (messages []backend.Message, err error) {
	err = s.read(ctx, func(t *tx) error {
		return t.each(func(r pgx.Rows) error {
			m, err := message(r)
			messages = append(messages, m)
			return err
		}, "SELECT "+messageColumns+", $1::text FROM inbox AS i WHERE i.execution = (SELECT key FROM request WHERE id = $1::text) UNION ALL SELECT "+
			messageColumns+", $1::text FROM unread AS i WHERE i.execution = (SELECT key FROM request WHERE id = $1::text) ORDER BY 1", clean(id))
	})
	return messages, err
}

// NextDue is when something of these queues is due that nobody owns, or some task must have begun. It steps from priority to
// priority, as claims do, and looks at one row under each.
func (s *Store) NextDue(ctx context.Context, queues []string) (next time.Time, err error) {
	sql := func(table, live string) string {
		return fmt.Sprintf(levels+`
			SELECT min((SELECT x.due FROM %[1]s AS x WHERE x.owner = 0 AND %[2]s x.queue = l.queue AND x.priority = l.priority AND x.due > now()
				ORDER BY x.due LIMIT 1)) FROM level AS l WHERE l.priority IS NOT NULL`, table, live)
	}
	note := func(r pgx.Rows) error {
		var due *time.Time
		if err := r.Scan(&due); err != nil {
			return err
		}
		if due != nil && (next.IsZero() || due.Before(next)) {
			next = due.UTC()
		}
		return nil
	}
	err = s.read(ctx, func(t *tx) error {
		t.add("("+sql("execution", "due IS NOT NULL AND")+") UNION ALL ("+sql("task", "")+`)
			UNION ALL (SELECT min(expires) FROM task WHERE owner = 0 AND expires IS NOT NULL AND expires > now())`, cleanAll(queues)).row = note
		return t.flush()
	})
	return next, err
}
