// Tasks: attempts that any worker may run.

package sqlite

import (
	"cmp"
	"context"
	"database/sql/driver"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/senpuki/senpuki/backend"
)

const taskColumns = `task.key, x.id, task.run, step, attempt, activity, task.queue, task.priority, task.tags, task.due, task.expires,
	bounds, task.owner, task.created, began, task.input, withdrawn`

// bareColumns are those of a task without its input.
var bareColumns = strings.Replace(taskColumns, "task.input", "NULL", 1)

func task(v []driver.Value) backend.Task {
	k := backend.Task{
		Key: number(v[0]), Execution: word(v[1]), Run: backend.RunKey(number(v[2])), Step: word(v[3]), Attempt: int(number(v[4])),
		Activity: word(v[5]), Queue: word(v[6]), Priority: int(number(v[7])), Due: instant(v[9]), Expires: instant(v[10]),
		Owner: backend.SessionID(number(v[12])), Created: instant(v[13]), Began: instant(v[14]), Input: bytes(v[15]),
		Withdrawn: number(v[16]) != 0,
	}
	if v[8] != nil {
		if err := json.Unmarshal([]byte(word(v[8])), &k.Tags); err != nil {
			k.Tags = nil
			k.Damaged("tags", err)
		}
	}
	if v[11] != nil {
		if err := json.Unmarshal([]byte(word(v[11])), &k.Limit); err != nil {
			k.Limit = nil
			k.Damaged("bounds", err)
		}
	}
	return k
}

// putTasks writes and withdraws the tasks of a turn.
func putTasks(c *conn, key int64, t *backend.Turn, at time.Time) error {
	for i := range t.Tasks {
		k := &t.Tasks[i]
		tags, err := list(k.Tags)
		if err != nil {
			return err
		}
		var bounds any
		if k.Limit != nil {
			b, err := json.Marshal(k.Limit)
			if err != nil {
				return err
			}
			bounds = string(b)
		}
		due := k.Due
		if due.IsZero() {
			due = at
		}
		if _, err := c.exec(`INSERT INTO task (execution, run, step, attempt, owner, due, queue, priority, activity, tags, expires, created, bounds, input)
			VALUES (?, ?, ?, ?, 0, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			key, t.Run, k.Step, k.Attempt, due, k.Queue, k.Priority, k.Activity, tags, k.Expires, at, bounds, k.Input); err != nil {
			return err
		}
	}
	for _, w := range t.Withdraw {
		if _, err := c.exec("UPDATE task SET withdrawn = 1 WHERE run = ? AND step = ? AND attempt = ? AND owner <> 0", t.Run, w.Step, w.Attempt); err != nil {
			return err
		}
		if err := withdrawn(c, at, "run = ? AND step = ? AND attempt = ? AND owner = 0", t.Run, w.Step, w.Attempt); err != nil {
			return err
		}
	}
	return nil
}

// withdrawn turns a task that a condition names, if there is one, into the Outcome of one that nobody runs.
func withdrawn(c *conn, at time.Time, where string, args ...any) error {
	v, err := c.first(nonstop, "DELETE FROM task WHERE "+where+" RETURNING execution, run, step, attempt", args...)
	if err != nil || v == nil {
		return err
	}
	return taskOutcome(c, v, backend.TaskWithdrawn, nil, at)
}

// settle ends a task that the session owns.
func settle(c *conn, session backend.SessionID, d *backend.Settled, at time.Time) (bool, error) {
	v, err := c.first(nonstop, "DELETE FROM task WHERE key = ? AND owner = ? AND owner <> 0 RETURNING execution, run, step, attempt", d.Key, session)
	if err != nil || v == nil {
		return false, err
	}
	return true, taskOutcome(c, v, d.Name, d.Payload, at)
}

// taskOutcome turns a task that was deleted into an Outcome; v is its execution, run, step and attempt.
func taskOutcome(c *conn, v []driver.Value, name string, payload []byte, at time.Time) error {
	_, err := tell(c, number(v[0]), &backend.Message{
		Kind: backend.Outcome, Name: name, Run: backend.RunKey(number(v[1])), Step: word(v[2]), Attempt: int(number(v[3])), Payload: payload,
	}, at)
	return err
}

// giveBack makes tasks ownerless again, or ends them when they were withdrawn.
func giveBack(c *conn, session backend.SessionID, keys []int64, at time.Time) error {
	for _, key := range keys {
		if err := withdrawn(c, at, "key = ? AND owner = ? AND owner <> 0 AND withdrawn", key, session); err != nil {
			return err
		}
		if _, err := c.exec("UPDATE task SET owner = 0, due = ?, began = NULL WHERE key = ? AND owner = ? AND owner <> 0", at, key, session); err != nil {
			return err
		}
	}
	return nil
}

// manyTasks is how many tasks one transaction turns into outcomes.
const manyTasks = 500

// crashTasks turns tasks of a session, or with 0 of any that is gone, into Outcomes; more says that there may be others.
func crashTasks(c *conn, session backend.SessionID, at time.Time) (more bool, err error) {
	where := "owner = ?1"
	if session == 0 {
		where = "owner <> ?1 AND owner NOT IN (SELECT id FROM session)"
	}
	rows, err := c.all(nonstop, "DELETE FROM task WHERE key IN (SELECT key FROM task INDEXED BY task_owner WHERE owner <> 0 AND "+where+" ORDER BY key LIMIT +?2) RETURNING execution, run, step, attempt", session, manyTasks)
	if err != nil {
		return false, err
	}
	for _, v := range rows {
		if err := taskOutcome(c, v, backend.TaskCrashed, nil, at); err != nil {
			return false, err
		}
	}
	return len(rows) == manyTasks, nil
}

// ClaimTasks gives due tasks to a session.
func (s *Store) ClaimTasks(ctx context.Context, r backend.TaskRequest) (claimed backend.ClaimedTasks, err error) {
	// Most of the time there is nothing: a look does not wait for writers, nor do they for it, however much there is that is for others.
	var some bool
	if err := s.read(ctx, func(c *conn) error {
		at := now()
		v, err := c.first(ctx, `SELECT EXISTS (SELECT 1 FROM task WHERE owner = 0),
			EXISTS (SELECT 1 FROM task WHERE owner = 0 AND expires IS NOT NULL AND expires <= ?)`, at)
		if err != nil {
			return err
		}
		waits, late := number(v[0]) != 0, number(v[1]) != 0
		if some = late; some || r.Limit <= 0 {
			return nil
		}
		if err := fence(c, r.Session); err != nil || !waits {
			return err
		}
		found, err := waitingTasks(c, &r, []string{}, 1, at)
		some = len(found) > 0
		return err
	}); err != nil || !some {
		return claimed, err
	}
	err = s.write(ctx, func(c *conn, at time.Time) error {
		claimed = backend.ClaimedTasks{}
		if err := fence(c, r.Session); err != nil {
			return err
		}
		late, err := c.all(nonstop, `DELETE FROM task WHERE key IN (SELECT key FROM task WHERE owner = 0 AND expires IS NOT NULL AND expires <= ? ORDER BY key LIMIT +?)
			RETURNING execution, run, step, attempt`, at, manyTasks)
		if err != nil {
			return err
		}
		for _, v := range late {
			if err := taskOutcome(c, v, backend.TaskExpired, nil, at); err != nil {
				return err
			}
		}
		claimed.Late = len(late) > 0
		return claimTasks(c, &r, at, &claimed)
	})
	if err != nil {
		return backend.ClaimedTasks{}, err
	}
	return claimed, nil
}

// claimTasks takes the best tasks of a request, as far as the limits of their activities let it.
func claimTasks(c *conn, r *backend.TaskRequest, at time.Time, claimed *backend.ClaimedTasks) error {
	full := []string{} // limits under which nothing else may begin now
	var limits backend.Limits
	for len(claimed.Tasks) < r.Limit {
		found, err := waitingTasks(c, r, full, r.Limit-len(claimed.Tasks), at)
		if err != nil {
			return err
		}
		before, refused := len(full), 0
		for i := range found {
			k := &found[i]
			if k.Limit != nil && slices.Contains(full, k.Bound()) {
				refused++
				continue
			}
			ok, err := admit(c, k, at, &limits, claimed)
			if err != nil {
				return err
			}
			if !ok {
				full = append(full, k.Bound())
				refused++
				continue
			}
			if _, err := c.exec("UPDATE task SET owner = ?, began = ? WHERE key = ?", r.Session, at, k.Key); err != nil {
				return err
			}
			k.Owner, k.Began = r.Session, at
			claimed.Tasks = append(claimed.Tasks, *k)
		}
		if refused == 0 || len(full) == before {
			break
		}
	}
	return nil
}

// waitingTasks finds the best tasks that a request may claim, but for those under full limits.
func waitingTasks(c *conn, r *backend.TaskRequest, full []string, limit int, at time.Time) (found []backend.Task, err error) {
	if r.Executions != nil {
		err = tasksOf(c, &found, r, full, limit, at)
	} else {
		err = queuedTasks(c, &found, r, full, limit, at)
	}
	if err != nil {
		return nil, err
	}
	slices.SortFunc(found, better)
	return found[:min(len(found), limit)], nil
}

// queuedTasks adds up to limit tasks of each kind that waits in a request's queues.
func queuedTasks(c *conn, found *[]backend.Task, r *backend.TaskRequest, full []string, limit int, at time.Time) error {
	tags, err := json.Marshal(append([]string{}, r.Tags...))
	if err != nil {
		return err
	}
	for _, queue := range slices.Compact(slices.Sorted(slices.Values(r.Queues))) {
		list, whole, err := kindsIn(c, queue, r.Activities, full)
		if err == nil && whole {
			err = liveTasks.best(c, found, []any{queue}, string(tags), limit, at)
			list = nil
		}
		for _, k := range list {
			if err == nil {
				err = kindsOfQueue.best(c, found, []any{queue, k.activity, k.bounds}, string(tags), limit, at)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// tasksOf adds up to limit tasks of executions, whatever their tags, of each kind and priority whose first one is among the best.
func tasksOf(c *conn, found *[]backend.Task, r *backend.TaskRequest, full []string, limit int, at time.Time) error {
	args := []any{nil, nil, nil, at, limit}
	for i, list := range [][]string{r.Executions, r.Activities, full} {
		b, err := json.Marshal(append([]string{}, list...))
		if err != nil {
			return err
		}
		args[i] = string(b)
	}
	heads, err := c.all(nonstop, headsOfKinds, args...)
	for _, v := range heads {
		if err == nil {
			err = kindsOfExecution.under(c, found, []any{number(v[0]), word(v[1]), word(v[2])}, number(v[3]), nil, limit, at)
		}
	}
	return err
}

// kind is the tasks of an activity that have one limit, or those that have none.
type kind struct{ activity, bounds string }

// Tasks that wait, by kind, in a queue or of an execution.
var (
	kindsOfQueue     = waiting{"task", "owner = 0 AND queue = ?1 AND activity = ?2 AND coalesce(bounds, '') = ?3", "task_kind"}
	kindsOfExecution = waiting{"task", "owner = 0 AND execution = ?1 AND activity = ?2 AND coalesce(bounds, '') = ?3", "task_kind_execution"}
)

// headsOfKinds are the kinds and priorities of the first tasks of executions, ?1, that are due, of activities, ?2, but not under limits, ?3, best
// first. It steps from one first task to the next, and of many executions at once.
const headsOfKinds = `WITH RECURSIVE head (key) AS (
			SELECT (SELECT t.key FROM task AS t INDEXED BY task_kind_execution WHERE t.owner = 0 AND t.execution = e.key
				ORDER BY t.activity, coalesce(t.bounds, ''), t.priority DESC, t.due, t.key LIMIT 1)
			FROM (SELECT key FROM execution WHERE id IN (SELECT value FROM json_each(?1))) AS e
			UNION ALL
			SELECT coalesce(
				(SELECT t.key FROM task AS t INDEXED BY task_kind_execution WHERE t.owner = 0 AND t.execution = h.execution AND t.activity = h.activity
					AND coalesce(t.bounds, '') = coalesce(h.bounds, '') AND t.priority < h.priority
					ORDER BY t.priority DESC, t.due, t.key LIMIT 1),
				(SELECT t.key FROM task AS t INDEXED BY task_kind_execution WHERE t.owner = 0 AND t.execution = h.execution AND t.activity = h.activity
					AND coalesce(t.bounds, '') > coalesce(h.bounds, '')
					ORDER BY coalesce(t.bounds, ''), t.priority DESC, t.due, t.key LIMIT 1),
				(SELECT t.key FROM task AS t INDEXED BY task_kind_execution WHERE t.owner = 0 AND t.execution = h.execution AND t.activity > h.activity
					ORDER BY t.activity, coalesce(t.bounds, ''), t.priority DESC, t.due, t.key LIMIT 1))
			FROM head CROSS JOIN task AS h ON h.key = head.key)
		SELECT execution, activity, coalesce(bounds, ''), priority FROM head CROSS JOIN task AS h ON h.key = head.key
		WHERE due <= ?4 AND activity IN (SELECT value FROM json_each(?2)) AND (bounds IS NULL OR activity || bounds NOT IN (SELECT value FROM json_each(?3)))
		ORDER BY priority DESC, due, h.key LIMIT +?5`

// kindsIn finds the kinds that wait in a queue and that may be claimed; whole says that these are all that wait there.
// It steps from one to the next, however many tasks there are of each.
func kindsIn(c *conn, queue string, activities, full []string) (kinds []kind, whole bool, err error) {
	whole = true
	for activity := ""; ; {
		v, err := c.first(nonstop, "SELECT activity FROM task INDEXED BY task_kind WHERE owner = 0 AND queue = ? AND activity > ? ORDER BY activity LIMIT 1", queue, activity)
		if err != nil || v == nil {
			return kinds, whole, err
		}
		activity = word(v[0])
		if !slices.Contains(activities, activity) {
			whole = false
			continue
		}
		for bounds, after := "", ">="; ; after = ">" {
			v, err := c.first(nonstop, "SELECT coalesce(bounds, '') FROM task INDEXED BY task_kind WHERE owner = 0 AND queue = ? AND activity = ? AND coalesce(bounds, '') "+after+
				" ? ORDER BY coalesce(bounds, '') LIMIT 1", queue, activity, bounds)
			if err != nil {
				return nil, false, err
			}
			if v == nil {
				break
			}
			if bounds = word(v[0]); bounds != "" && slices.Contains(full, activity+bounds) {
				whole = false
				continue
			}
			kinds = append(kinds, kind{activity, bounds})
		}
	}
}

// best adds up to limit due tasks of what args name, with tags among these, should they count. As with executions it
// steps from priority to priority, so that nothing is sorted.
func (w waiting) best(c *conn, found *[]backend.Task, args []any, tags any, limit int, at time.Time) error {
	return w.each(nonstop, c, args, func(priority int64) (bool, error) {
		before := len(*found)
		err := w.under(c, found, args, priority, tags, limit, at)
		limit -= len(*found) - before
		return limit > 0, err
	})
}

// under adds up to limit due tasks of one priority. See best.
func (w waiting) under(c *conn, found *[]backend.Task, args []any, priority int64, tags any, limit int, at time.Time) error {
	return c.query(nonstop, collectTasks(found), "SELECT "+taskColumns+" FROM task INDEXED BY "+w.index+" CROSS JOIN (SELECT key AS known, id FROM execution) AS x ON x.known = execution WHERE "+w.live+`
			AND priority = ? AND due <= ?
			AND (tags IS NULL OR NOT EXISTS (SELECT 1 FROM json_each(CASE WHEN json_valid(task.tags) THEN task.tags END) AS t
				WHERE t.type = 'text' AND t.value NOT IN (SELECT value FROM json_each(coalesce(?, task.tags)))))
		ORDER BY due, task.key LIMIT +?`, append(slices.Clone(args), priority, at, tags, limit)...)
}

// better orders tasks as they are claimed.
func better(a, b backend.Task) int {
	return cmp.Or(cmp.Compare(b.Priority, a.Priority), a.Due.Compare(b.Due), cmp.Compare(a.Key, b.Key))
}

// busyQueues are those in which tasks wait.
func busyQueues(ctx context.Context, c *conn) (queues []string, err error) {
	for q := ""; ; {
		v, err := c.first(ctx, "SELECT queue FROM task INDEXED BY task_due WHERE owner = 0 AND queue > ? ORDER BY queue LIMIT 1", q)
		if err != nil || v == nil {
			return queues, err
		}
		q = word(v[0])
		queues = append(queues, q)
	}
}

// collectTasks adds each row to a list.
func collectTasks(list *[]backend.Task) func([]driver.Value) error {
	return func(v []driver.Value) error {
		*list = append(*list, task(v))
		return nil
	}
}

// admit says whether the limit of a task's activity lets it begin, and counts it or notes when its rate will.
func admit(c *conn, k *backend.Task, at time.Time, limits *backend.Limits, claimed *backend.ClaimedTasks) (bool, error) {
	if k.Limit == nil {
		return true, nil
	}
	if k.Limit.Max > 0 {
		running, err := limits.Running(k, func() (int64, error) {
			v, err := c.first(nonstop, "SELECT count(*) FROM task WHERE activity = ? AND owner <> 0 AND bounds IS NOT NULL", k.Activity)
			if err != nil {
				return 0, err
			}
			return number(v[0]), nil
		})
		if err != nil || running >= k.Limit.Max {
			return false, err
		}
	}
	if k.Limit.Rate > 0 {
		since := at.Add(-k.Limit.Per)
		counted := " FROM task_begun WHERE activity = ?1 AND at > ?2 AND (until > ?3 OR until IS NULL) "
		left, err := limits.Left(k, func() (int64, error) {
			if _, err := c.exec("DELETE FROM task_begun WHERE activity = ? AND at <= ? AND coalesce(until, 0) <= ?", k.Activity, since, at); err != nil {
				return 0, err
			}
			v, err := c.first(nonstop, "SELECT count(*) FROM (SELECT 1"+counted+"LIMIT +?4)", k.Activity, since, at, k.Limit.Rate)
			if err != nil {
				return 0, err
			}
			return number(v[0]), nil
		})
		if err != nil {
			return false, err
		}
		if left <= 0 {
			return false, keptBack(c, k, at, counted, claimed)
		}
		if _, err := c.exec("INSERT INTO task_begun (activity, at, key, until) VALUES (?, ?, ?, ?)", k.Activity, at, k.Key, at.Add(k.Limit.Per)); err != nil {
			return false, err
		}
	}
	limits.Begin(k)
	return true, nil
}

// keptBack notes when the rate of a task will let it begin.
func keptBack(c *conn, k *backend.Task, at time.Time, counted string, claimed *backend.ClaimedTasks) error {
	args := []any{k.Activity, at.Add(-k.Limit.Per), at, k.Limit.Rate - 1, k.Limit.Per.Microseconds()}
	v, err := c.first(nonstop, "SELECT at + ?5, EXISTS (SELECT 1"+counted+"AND until < at + ?5)"+counted+"ORDER BY at DESC LIMIT 1 OFFSET +?4", args...)
	if err == nil && v != nil && number(v[1]) != 0 { // what began under another rate counts no longer before
		v, err = c.first(nonstop, "SELECT min(at + ?5, coalesce(until, at + ?5)) AS ends"+counted+"ORDER BY ends DESC LIMIT 1 OFFSET +?4", args...)
	}
	if err == nil && v != nil {
		claimed.Kept(instant(v[0]))
	}
	return err
}

// Tasks lists tasks by key.
func (s *Store) Tasks(ctx context.Context, f backend.TaskFilter) (list []backend.Task, err error) {
	low, high := f.Keys()
	columns := taskColumns
	if f.Bare {
		columns = bareColumns
	}
	err = s.read(ctx, func(c *conn) error {
		of := "?1 = ''"
		if f.Execution != "" { // said so that an index is used, beside all that others have
			of = "task.run IN (SELECT run FROM execution WHERE id = ?1)"
		}
		if f.Waiting {
			queues := []string{f.Queue}
			if f.Queue == "" {
				if queues, err = busyQueues(ctx, c); err != nil {
					return err
				}
			}
			for _, q := range queues {
				if err := c.query(ctx, collectTasks(&list), `SELECT `+columns+` FROM task CROSS JOIN execution AS x ON x.key = task.execution
					WHERE task.owner = 0 AND task.due <= ?3 AND task.queue = ?2 AND `+of+` AND (?4 = '' OR activity = ?4)
					AND task.key BETWEEN ?5 AND ?6
					ORDER BY task.priority DESC, task.due, task.key LIMIT +?7`, f.Execution, q, now(), f.Activity, low, high, most(f.Limit)); err != nil {
					return err
				}
			}
			slices.SortFunc(list, better)
			if f.Limit > 0 {
				list = list[:min(len(list), f.Limit)]
			}
			return nil
		}
		owner := "?4 = 0"
		if f.Owner != 0 { // said so that its index is used: a worker looks at its own at each heartbeat, beside all that wait
			owner = "task.owner = ?4 AND task.owner <> 0"
		}
		return c.query(ctx, collectTasks(&list), `SELECT `+columns+` FROM task CROSS JOIN execution AS x ON x.key = task.execution
			WHERE `+of+` AND (?2 = '' OR task.queue = ?2) AND (?3 = '' OR activity = ?3) AND `+owner+`
			AND task.key BETWEEN ?5 AND ?6
			ORDER BY task.key LIMIT +?7`, f.Execution, f.Queue, f.Activity, f.Owner, low, high, most(f.Limit))
	})
	return list, err
}
