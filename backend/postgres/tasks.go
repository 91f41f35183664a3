// Tasks: attempts that any worker may run.

package postgres

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/senpuki/senpuki/backend"
)

const taskColumns = `k.key, x.id, k.run, k.step, k.attempt, k.activity, k.queue, k.priority, k.tags, k.due, k.expires,
	k.bounds, k.owner, k.created, k.began, k.withdrawn, k.input`

// bareColumns are those of a task without its input.
var bareColumns = strings.Replace(taskColumns, "k.input", "NULL::bytea", 1)

// addressee is the execution of a task, in part.
const addressee = ` CROSS JOIN LATERAL (SELECT id FROM request WHERE request.key = k.execution OFFSET 0) AS x`

func task(r pgx.Rows) (k backend.Task, err error) {
	var due, expires, created, began pgtype.Timestamptz
	var bounds *string
	var tags pgtype.FlatArray[pgtype.Text]
	if err := r.Scan(&k.Key, &k.Execution, (*int64)(&k.Run), &k.Step, &k.Attempt, &k.Activity, &k.Queue, &k.Priority, &tags, &due, &expires,
		&bounds, (*int64)(&k.Owner), &created, &began, &k.Withdrawn, &k.Input); err != nil {
		return k, err
	}
	k.Due, k.Expires, k.Created, k.Began = instant(due), instant(expires), instant(created), instant(began)
	if k.Tags, err = words(tags); err != nil {
		k.Damaged("tags", err)
	}
	if bounds != nil {
		if err := json.Unmarshal([]byte(*bounds), &k.Limit); err != nil {
			k.Limit = nil
			k.Damaged("bounds", err)
		}
	}
	return k, nil
}

// manyTasks is how many tasks one transaction turns into outcomes.
const manyTasks = 500

// concludeTasks turns tasks that a condition names into Outcomes; more says that there may be others. Their
// executions are locked first, as everywhere.
func (t *tx) concludeTasks(name, where string, args ...any) (more bool, err error) {
	keys, err := found(t, "SELECT key FROM task WHERE "+where+" ORDER BY key LIMIT 500", args...)
	if err != nil || len(keys) == 0 {
		return false, err
	}
	t.add(`SELECT count(*) FROM (SELECT 1 FROM execution WHERE key = ANY(ARRAY(SELECT execution FROM task WHERE key = ANY($1::bigint[])))
		ORDER BY key FOR NO KEY UPDATE) AS held`, keys)
	args = append(args, keys, name)
	n := len(args)
	return len(keys) == manyTasks, t.exec(`WITH gone AS (DELETE FROM task WHERE `+where+` AND key = ANY(`+param(n-1)+`::bigint[])
			RETURNING key AS n, `+param(n)+`::text AS name, NULL::bytea AS payload, execution, run, step, attempt),
		`+outcomes+`
		SELECT count(*) FROM gone`, args...)
}

// ClaimTasks gives due tasks to a session.
func (s *Store) ClaimTasks(ctx context.Context, r backend.TaskRequest) (claimed backend.ClaimedTasks, err error) {
	// Most of the time there is nothing for this one: a look, and no transaction, however much there is that is for others.
	var waits kinds
	if err := s.read(ctx, func(t *tx) (err error) {
		waits, err = kindsOf(t, &r)
		return err
	}); err != nil {
		return claimed, err
	}
	if waits.fenced && (waits.late || r.Limit > 0) {
		return claimed, backend.ErrFenced
	}
	late, wasLate := waits.late, waits.late
	for late {
		if err := s.transact(ctx, r.Session, func(t *tx) (err error) {
			late, err = t.concludeTasks(backend.TaskExpired, "owner = 0 AND expires IS NOT NULL AND expires <= now()")
			return err
		}); err != nil {
			return claimed, err
		}
	}
	claimed.Late = wasLate
	if r.Limit <= 0 || len(waits.list) == 0 {
		return claimed, nil
	}
	err = s.transact(ctx, 0, func(t *tx) (err error) {
		t.alive(r.Session)
		claimed = backend.ClaimedTasks{Late: wasLate}
		return claimTasks(t, &r, waits, &claimed)
	})
	if err != nil { // what was late has been ended all the same
		return backend.ClaimedTasks{Late: wasLate}, err
	}
	return claimed, nil
}

// claimTasks takes the best tasks of a request's queues, as far as the limits of their activities let it.
func claimTasks(t *tx, r *backend.TaskRequest, waits kinds, claimed *backend.ClaimedTasks) error {
	full := []string{} // limits under which nothing else may begin now
	var limits backend.Limits
	for len(claimed.Tasks) < r.Limit {
		tasks, err := dueTasks(t, r, waits.without(full), r.Limit-len(claimed.Tasks))
		if err != nil {
			return err
		}
		if len(tasks) == 0 {
			break
		}
		t.stand(r.Session)
		if err := lockLimits(t, tasks); err != nil {
			return err
		}
		before, refused := len(full), 0
		var taken []int64
		for i := range tasks {
			k := &tasks[i]
			if k.Limit != nil && slices.Contains(full, k.Bound()) {
				refused++
				continue
			}
			ok, err := admit(t, k, &limits, claimed)
			if err != nil {
				return err
			}
			if !ok {
				full = append(full, k.Bound())
				refused++
				continue
			}
			taken = append(taken, k.Key)
			k.Owner, k.Began = r.Session, t.at.UTC()
			claimed.Tasks = append(claimed.Tasks, *k)
		}
		if len(taken) > 0 {
			t.add("UPDATE task SET owner = $2::bigint, began = now() WHERE key = ANY($1::bigint[])", taken, int64(r.Session))
		}
		if err := t.flush(); err != nil {
			return err
		}
		if refused == 0 || len(full) == before {
			break
		}
	}
	return t.flush()
}

// kind is the tasks of an activity that have one limit, or those that have none, which wait in a queue or of an execution.
type kind struct {
	queue     string
	execution int64
	activity  string
	bounds    string
}

// kinds are those that a request may claim.
type kinds struct {
	list   []kind
	whole  bool // no others wait in its queues
	late   bool // tasks, of whatever kind, have not begun in time
	fenced bool // the session is gone
}

// without leaves out the kinds under full limits.
func (k kinds) without(full []string) kinds {
	left := kinds{whole: k.whole}
	for _, one := range k.list {
		if one.bounds != "" && slices.Contains(full, one.activity+one.bounds) {
			left.whole = false
		} else {
			left.list = append(left.list, one)
		}
	}
	return left
}

// kindsOf finds the kinds of tasks that wait for a request. It steps from one activity to the next, however many tasks there are of
// each: a look for any task would go through all that have gone and that are in the indexes still.
func kindsOf(t *tx, r *backend.TaskRequest) (found kinds, err error) {
	sql, args := kindsOfQueues, cleanAll(r.Queues)
	if r.Executions != nil {
		sql, args = kindsOfExecutions, cleanAll(r.Executions)
	}
	if r.Limit <= 0 {
		args = []string{}
	}
	found.whole = r.Executions == nil
	err = t.each(func(rows pgx.Rows) error {
		var k kind
		var activity *string // NULL in the one row of none
		if err := rows.Scan(&found.late, &found.fenced, &k.queue, &k.execution, &activity, &k.bounds); err != nil || activity == nil {
			return err
		}
		if k.activity = *activity; slices.Contains(r.Activities, k.activity) {
			found.list = append(found.list, k)
		} else {
			found.whole = false
		}
		return nil
	}, sql, args, int64(r.Session))
	return found, err
}

var (
	kindsOfQueues = fmt.Sprintf(kindsOfWaiting, "SELECT DISTINCT q FROM unnest($1::text[]) AS u (q)", "owner + 0 = 0 AND queue", "coalesce(at, ''), 0::bigint")

	kindsOfExecutions = fmt.Sprintf(kindsOfWaiting, "SELECT key FROM request WHERE id = ANY($1::text[])", "owner = 0 AND execution", "'', coalesce(at, 0)")
)

const (
	// kindsOfWaiting are those that there are in queues, or of executions.
	kindsOfWaiting = `WITH RECURSIVE next (at, activity, bounds) AS (
			SELECT f.at, k.* FROM (%[1]s) AS f (at) CROSS JOIN LATERAL (
				SELECT activity, coalesce(bounds, '') FROM task WHERE %[2]s = f.at ORDER BY activity, coalesce(bounds, '') LIMIT 1) AS k
			UNION ALL
			SELECT n.at, k.* FROM next AS n CROSS JOIN LATERAL (
				SELECT activity, coalesce(bounds, '') FROM task WHERE %[2]s = n.at AND (activity, coalesce(bounds, '')) > (n.activity, n.bounds)
				ORDER BY activity, coalesce(bounds, '') LIMIT 1) AS k)
		SELECT EXISTS (SELECT 1 FROM task WHERE owner = 0 AND expires IS NOT NULL AND expires <= now()),
			NOT EXISTS (SELECT 1 FROM session WHERE id = $2::bigint), %[3]s, activity, coalesce(bounds, '')
		FROM (SELECT 1) AS always LEFT JOIN next ON true`

	// kindLevels are the priorities that there are of some kinds of tasks.
	kindLevels = `WITH RECURSIVE level (at, activity, bounds, priority) AS (
			SELECT k.at, k.activity, k.bounds, (SELECT priority FROM task WHERE %[1]s = k.at AND activity = k.activity AND coalesce(bounds, '') = k.bounds
				ORDER BY priority DESC LIMIT 1) FROM unnest($1::%[2]s[], $4::text[], $6::text[]) AS k (at, activity, bounds)
			UNION ALL
			SELECT l.at, l.activity, l.bounds, (SELECT priority FROM task WHERE %[1]s = l.at AND activity = l.activity AND coalesce(bounds, '') = l.bounds
				AND priority < l.priority ORDER BY priority DESC LIMIT 1) FROM level AS l WHERE l.priority IS NOT NULL)`
)

// dueTasks finds and locks the best tasks of some kinds, best first.
func dueTasks(t *tx, r *backend.TaskRequest, waits kinds, limit int) (list []backend.Task, err error) {
	var keys []int64
	switch {
	case len(waits.list) == 0:
	case waits.whole: // as they come by priority and due time, none is passed over
		keys, err = due(t, "task", "", "x.activity = ANY($4::text[])", limit, cleanAll(r.Queues), nonNil(cleanAll(r.Tags)), nonNil(cleanAll(r.Activities)))
	default:
		var queues, names []string
		var executions []int64
		var bounds []string
		for _, k := range waits.list {
			queues, executions, names, bounds = append(queues, k.queue), append(executions, k.execution), append(names, k.activity), append(bounds, k.bounds)
		}
		at, of, kind, tags := any(queues), "owner + 0 = 0 AND queue", "text", nonNil(cleanAll(r.Tags))
		if r.Executions != nil {
			at, of, kind, tags = executions, "owner = 0 AND execution", "bigint", nil // tags do not count
		}
		keys, err = merged(t, fmt.Sprintf(kindLevels, of, kind), "task", "", `FROM task AS x
				WHERE `+of+` = l.at AND x.activity = l.activity AND coalesce(x.bounds, '') = l.bounds AND x.priority = l.priority AND x.due <= now()
				AND (x.tags IS NULL OR $2::text[] IS NULL OR x.tags <@ $2::text[] OR num_nulls(VARIADIC x.tags) > 0)
				ORDER BY x.due, x.key LIMIT $3::bigint`, limit, []any{at, tags, int64(limit), names, int64(limit), bounds})
	}
	if err != nil || len(keys) == 0 {
		return nil, err
	}
	err = t.each(func(r pgx.Rows) error {
		k, err := task(r)
		list = append(list, k)
		return err
	}, "SELECT "+taskColumns+` FROM task AS k`+addressee+` WHERE k.key = ANY($1::bigint[])
		ORDER BY k.priority DESC, k.due, k.key`, keys)
	return list, err
}

// lockLimits takes the locks of the limits that tasks have, in order of their
// names. What others admitted under them is visible to the statements that follow.
func lockLimits(t *tx, list []backend.Task) error {
	var names []string
	for i := range list {
		if list[i].Limit != nil {
			names = append(names, list[i].Activity)
		}
	}
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		t.add("SELECT pg_advisory_xact_lock(hashtextextended(current_schema() || ' senpuki limit ' || $1::text, 0))", name)
	}
	return t.flush()
}

// admit says whether the limit of a task's activity lets it begin, and counts
// it or notes when its rate will. The limit's lock is held.
func admit(t *tx, k *backend.Task, limits *backend.Limits, claimed *backend.ClaimedTasks) (bool, error) {
	if k.Limit == nil {
		return true, nil
	}
	if k.Limit.Max > 0 {
		running, err := limits.Running(k, func() (n int64, err error) {
			_, err = t.first([]any{&n}, "SELECT count(*) FROM task WHERE activity = $1::text AND owner <> 0 AND bounds IS NOT NULL", k.Activity)
			return n, err
		})
		if err != nil || running >= k.Limit.Max {
			return false, err
		}
	}
	if k.Limit.Rate > 0 {
		per := int64(k.Limit.Per / time.Microsecond)
		counted := " FROM task_begun WHERE activity = $1::text AND at > now() - $2::bigint * interval '1 microsecond' AND (until > now() OR until IS NULL) "
		left, err := limits.Left(k, func() (n int64, err error) {
			t.add("DELETE FROM task_begun WHERE activity = $1::text AND at <= now() - $2::bigint * interval '1 microsecond' AND coalesce(until, now()) <= now()", k.Activity, per)
			_, err = t.first([]any{&n}, "SELECT count(*) FROM (SELECT 1"+counted+"LIMIT $3::bigint) AS c", k.Activity, per, int64(k.Limit.Rate))
			return n, err
		})
		if err != nil {
			return false, err
		}
		if left <= 0 {
			return false, keptBack(t, k, counted, claimed)
		}
		t.add("INSERT INTO task_begun (activity, at, key, until) VALUES ($1::text, now(), $2::bigint, now() + $3::bigint * interval '1 microsecond')", k.Activity, k.Key, per)
	}
	limits.Begin(k)
	return true, nil
}

// keptBack notes when the rate of a task will let it begin.
func keptBack(t *tx, k *backend.Task, counted string, claimed *backend.ClaimedTasks) error {
	per := int64(k.Limit.Per / time.Microsecond)
	var until time.Time
	var others bool
	full, err := t.first([]any{&until, &others}, "SELECT at + $2::bigint * interval '1 microsecond', EXISTS (SELECT 1"+counted+"AND until < at + $2::bigint * interval '1 microsecond')"+
		counted+"ORDER BY at DESC OFFSET $3::bigint LIMIT 1", k.Activity, per, int64(k.Limit.Rate-1))
	if err == nil && full && others { // what began under another rate counts no longer before
		full, err = t.first([]any{&until}, "SELECT least(at + $2::bigint * interval '1 microsecond', until) AS ends"+counted+"ORDER BY ends DESC OFFSET $3::bigint LIMIT 1",
			k.Activity, per, int64(k.Limit.Rate-1))
	}
	if err == nil && full {
		claimed.Kept(until.UTC())
	}
	return err
}

// busyQueues are those in which tasks wait.
func busyQueues(t *tx) (queues []string, err error) {
	err = t.each(func(r pgx.Rows) error {
		var q string
		err := r.Scan(&q)
		queues = append(queues, q)
		return err
	}, `WITH RECURSIVE busy (queue) AS (
			SELECT (SELECT queue FROM task WHERE owner = 0 ORDER BY queue LIMIT 1)
			UNION ALL
			SELECT (SELECT queue FROM task WHERE owner = 0 AND queue > busy.queue ORDER BY queue LIMIT 1) FROM busy WHERE busy.queue IS NOT NULL)
		SELECT queue FROM busy WHERE queue IS NOT NULL`)
	return queues, err
}

// Tasks lists tasks by key.
func (s *Store) Tasks(ctx context.Context, f backend.TaskFilter) (list []backend.Task, err error) {
	low, high := f.Keys()
	columns := taskColumns
	if f.Bare {
		columns = bareColumns
	}
	err = s.read(ctx, func(t *tx) error {
		collect := func(r pgx.Rows) error {
			k, err := task(r)
			list = append(list, k)
			return err
		}
		of := "$1::text = ''"
		if f.Execution != "" { // said so that an index is used, beside all that others have
			of = "k.run = ANY(ARRAY(SELECT run FROM execution WHERE key = (SELECT key FROM request WHERE id = $1::text)))"
		}
		if f.Waiting {
			queues := []string{clean(f.Queue)}
			if f.Queue == "" {
				if queues, err = busyQueues(t); err != nil {
					return err
				}
			}
			for _, q := range queues {
				t.add("SELECT "+columns+` FROM task AS k`+addressee+`
					WHERE k.owner = 0 AND k.due <= now() AND k.queue = $2::text AND `+of+` AND ($3::text = '' OR k.activity = $3::text)
					AND k.key BETWEEN $4::bigint AND $5::bigint
					ORDER BY k.priority DESC, k.due, k.key LIMIT $6::bigint`, clean(f.Execution), q, clean(f.Activity), low, high, most(f.Limit)).row = collect
			}
			err := t.flush()
			slices.SortFunc(list, func(a, b backend.Task) int {
				return cmp.Or(cmp.Compare(b.Priority, a.Priority), a.Due.Compare(b.Due), cmp.Compare(a.Key, b.Key))
			})
			if f.Limit > 0 {
				list = list[:min(len(list), f.Limit)]
			}
			return err
		}
		owner := "$4::bigint = 0"
		if f.Owner != 0 { // said so that its index is used: a worker looks at its own at each heartbeat, beside all that wait
			owner = "k.owner = $4::bigint AND k.owner <> 0"
		}
		return t.each(collect, "SELECT "+columns+` FROM task AS k`+addressee+`
			WHERE `+of+` AND ($2::text = '' OR k.queue = $2::text) AND ($3::text = '' OR k.activity = $3::text)
			AND `+owner+`
			AND k.key BETWEEN $5::bigint AND $6::bigint
			ORDER BY k.key LIMIT $7::bigint`, clean(f.Execution), clean(f.Queue), clean(f.Activity), int64(f.Owner), low, high, most(f.Limit))
	})
	return list, err
}
