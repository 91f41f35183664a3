// Many turns in few statements.

package postgres

import (
	"encoding/json"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/senpuki/senpuki/backend"
)

// lookup finds the execution of each t by its id, row by row. Written as a join
// it would be the planner's choice where to begin, and for a young table, of which
// it knows nothing, it may choose to look through all executions for every turn.
const lookup = ` CROSS JOIN LATERAL (SELECT key, owner, run, state, stuck FROM execution
		WHERE execution.key = (SELECT request.key FROM request WHERE request.id = t.id) OFFSET 0) AS x`

// keysOf are the keys of the ids in $2, in their order. Rows that are changed are then taken by their keys, and what they get
// by the place of the key: in an UPDATE with a join it would be the planner's choice where to begin.
const keysOf = `WITH keys AS MATERIALIZED (SELECT array_agg((SELECT request.key FROM request WHERE request.id = t.id) ORDER BY t.n) AS list
	FROM unnest($2::text[]) WITH ORDINALITY AS t (id, n)) `

// endedBy is how executions of session $1 end whose keys are an array: state, run, result and failure are in $3 to $6, in
// its order; see endings. It raises when there are not $7 of them.
func endedBy(keys string) string {
	at := "[array_position(" + keys + ", key)]"
	return `ended AS (UPDATE execution SET state = coalesce(($3::text[])` + at + `, 'completed'), result = ($5::bytea[])` + at + `, failure = ($6::text[])` + at + `,
			finished = now(), owner = 0, due = NULL, stuck = NULL
		WHERE key = ANY(` + keys + `::bigint[]) AND owner + 0 = $1::bigint AND run = coalesce(($4::bigint[])` + at + `, key) AND state = 'running' RETURNING 1)
	SELECT 1 / (CASE WHEN (SELECT count(*) FROM ended) = $7::bigint THEN 1 ELSE 0 END)`
}

// endings is how executions end, column by column. A column that says of each of them what most say is left out: to find
// the place of a key for every row and column is half of what an end costs.
type endings struct {
	states   []string // nil: all completed
	runs     []int64  // nil: the first of each, which has the execution's key
	results  [][]byte // nil: none
	failures []*string

	odd, later, some, failed bool // whether there is anything in these columns
}

// add adds an end. The key of the execution is 0 where it is not known.
func (e *endings) add(t *backend.Turn, key int64) {
	run, failure := int64(t.Run), text(t.Failure)
	e.states, e.runs = append(e.states, string(t.State)), append(e.runs, run)
	e.results, e.failures = append(e.results, t.Result), append(e.failures, failure)
	e.odd, e.later = e.odd || t.State != backend.Completed, e.later || run != key
	e.some, e.failed = e.some || t.Result != nil, e.failed || failure != nil
}

// args are the arguments $3 to $7 of endedBy.
func (e *endings) args() []any {
	c, n := *e, int64(len(e.runs))
	if !c.odd {
		c.states = nil
	}
	if !c.later {
		c.runs = nil
	}
	if !c.some {
		c.results = nil
	}
	if !c.failed {
		c.failures = nil
	}
	return []any{c.states, c.runs, c.results, c.failures, n}
}

// together queues what the turns of the group write. Whatever may not land raises errApart.
func (c *committer) together() {
	if len(c.group) == 0 {
		return
	}
	c.appendRows()
	c.appendLogs()
	c.take()
	var tasks tasks
	var dead letters
	for _, i := range c.group {
		tasks.add(&c.b.Turns[i])
		dead.add(&c.b.Turns[i])
	}
	tasks.put(c.tx)
	dead.put(c.tx)
	c.publish()
	c.release()
	c.finish()
	c.endAlone()
}

// rows is journal rows, column by column.
type rows struct {
	ids           []string
	runs, numbers []int64
	data          [][]byte
	held          []bool // the execution is known to be the session's and to run
	follows       []bool // the row before is known to be there
	doubtful      bool   // not all of that is known of every row
}

func (r *rows) add(k *known, session backend.SessionID, t *backend.Turn) {
	held := t.Then == backend.Finish || k.held(session, t) // finish looks for itself
	for n, data := range t.Rows {
		r.ids, r.runs, r.numbers = append(r.ids, clean(t.Execution)), append(r.runs, int64(t.Run)), append(r.numbers, t.First+int64(n))
		follows := n > 0 || k.row(t.Run, t.First-1)
		r.data, r.held, r.follows = append(r.data, data), append(r.held, held), append(r.follows, follows)
		r.doubtful = r.doubtful || !held || !follows
	}
}

// The rows of a session, $1, that are in $2 to $7, or the one row that is there; with a condition in
// front of what is looked up, which is only what is not known.
const (
	manyRows   = `unnest($2::text[], $3::bigint[], $4::bigint[], $5::bytea[], $6::bool[], $7::bool[])`
	oneRow     = `(VALUES ($2::text, $3::bigint, $4::bigint, $5::bytea, $6::bool, $7::bool))`
	insertRows = `INSERT INTO journal (run, row, session, data)
		SELECT t.run, t.row, $1::bigint, t.data FROM %s AS t (id, run, row, data, held, follows)
		WHERE %s (t.held OR EXISTS (SELECT 1 FROM execution AS x
			WHERE x.key = (SELECT request.key FROM request WHERE request.id = t.id) AND x.owner = $1::bigint AND x.run = t.run AND x.state = 'running' AND x.stuck IS NULL))
		AND (t.follows OR EXISTS (SELECT 1 FROM journal AS j WHERE j.run = t.run AND j.row = t.row - 1))
		RETURNING 1`
)

// sureRows are rows of which nothing has to be looked up.
const sureRows = "SELECT t.run, t.row, $1::bigint, t.data FROM unnest($2::bigint[], $3::bigint[], $4::bytea[]) AS t (run, row, data)"

var insertGroup = "WITH landed AS (" + fmt.Sprintf(insertRows, manyRows, "") + `)
	SELECT 1 / (CASE WHEN (SELECT count(*) FROM landed) = $8::bigint THEN 1 ELSE 0 END)`

// appendRows queues the journal rows of the group, and the fence of turns without any.
func (c *committer) appendRows() {
	var bare []string
	var bareRuns []int64
	var r rows
	for _, i := range c.group {
		t := &c.b.Turns[i]
		if len(t.Rows) == 0 && t.Then != backend.Finish && !c.known.held(c.b.Session, t) {
			bare, bareRuns = append(bare, clean(t.Execution)), append(bareRuns, int64(t.Run))
		}
		r.add(&c.known, c.b.Session, t)
	}
	switch n := len(r.ids); {
	case n == 0:
	case !r.doubtful: // one that is there already is a duplicate key
		c.add("INSERT INTO journal (run, row, session, data) "+sureRows, int64(c.b.Session), r.runs, r.numbers, r.data)
	default:
		c.add(insertGroup, int64(c.b.Session), r.ids, r.runs, r.numbers, r.data, r.held, r.follows, int64(n)).guard = errApart
	}
	if len(bare) > 0 {
		c.add(`SELECT 1 / (CASE WHEN (SELECT count(*) FROM unnest($2::text[], $3::bigint[]) AS t (id, run)`+lookup+`
				WHERE x.owner = $1::bigint AND x.run = t.run AND x.state = 'running') = $4::bigint THEN 1 ELSE 0 END)`,
			int64(c.b.Session), bare, bareRuns, int64(len(bare))).guard = errApart
	}
}

func (c *committer) appendLogs() {
	var l lines
	for _, i := range c.group {
		l.add(&c.b.Turns[i])
	}
	l.put(c.tx)
}

// lines is log lines, column by column.
type lines struct {
	runs, ordinals          []int64
	at                      []pgtype.Timestamptz
	steps, levels, messages []string
	fields                  []*string
}

func (l *lines) add(t *backend.Turn) {
	for i := range t.Logs {
		g := &t.Logs[i]
		l.runs, l.ordinals, l.at = append(l.runs, int64(t.Run)), append(l.ordinals, g.Ordinal), append(l.at, lineTime(g))
		l.steps, l.levels = append(l.steps, clean(g.Step)), append(l.levels, clean(g.Level))
		l.messages, l.fields = append(l.messages, clean(g.Message)), append(l.fields, text(g.Fields))
	}
}

// lineTime is a log line's time; the zero time is one, too.
func lineTime(g *backend.LogLine) pgtype.Timestamptz {
	at := stamp(g.At)
	at.Valid = true
	return at
}

// put queues the lines. One that is there already is a duplicate key.
func (l *lines) put(t *tx) {
	if len(l.runs) > 0 {
		t.add(`INSERT INTO log (run, ordinal, at, step, level, message, fields)
			SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::timestamptz[], $4::text[], $5::text[], $6::text[], $7::text[])`,
			l.runs, l.ordinals, l.at, l.steps, l.levels, l.messages, l.fields)
	}
}

// take queues the removal of the messages that the group takes.
func (c *committer) take() {
	var ids []string
	var messages []int64
	seen := make(map[int64]bool)
	for _, i := range c.group {
		t := &c.b.Turns[i]
		for _, id := range t.Taken {
			if !seen[id] {
				seen[id] = true
				ids, messages = append(ids, clean(t.Execution)), append(messages, id)
			}
		}
	}
	if len(ids) > 0 {
		// By the place of the rows, which never move: of an inbox the planner knows least of all.
		c.add(`WITH taken AS (DELETE FROM inbox WHERE ctid = ANY(ARRAY(
				SELECT i.place FROM unnest($1::text[], $2::bigint[]) AS t (id, message)`+lookup+`
				CROSS JOIN LATERAL (SELECT ctid AS place FROM inbox WHERE inbox.execution = x.key AND inbox.id = t.message OFFSET 0) AS i)) RETURNING 1)
			SELECT 1 / (CASE WHEN (SELECT count(*) FROM taken) = $3::bigint THEN 1 ELSE 0 END)`, ids, messages, int64(len(ids))).guard = errApart
	}
}

// tasks is tasks to be written, column by column.
type tasks struct {
	ids, steps, queues, activities []string
	runs                           []int64
	attempts, priorities           []int32
	due, expires                   []pgtype.Timestamptz
	tags, bounds                   []*string
	inputs                         [][]byte
}

func (k *tasks) add(t *backend.Turn) {
	for i := range t.Tasks {
		n := &t.Tasks[i]
		var bounds *string
		if n.Limit != nil {
			b, _ := json.Marshal(n.Limit) // numbers only
			bounds = text(b)
		}
		k.ids, k.runs, k.steps = append(k.ids, clean(t.Execution)), append(k.runs, int64(t.Run)), append(k.steps, clean(n.Step))
		k.attempts, k.priorities = append(k.attempts, small(n.Attempt)), append(k.priorities, small(n.Priority))
		k.queues, k.activities = append(k.queues, clean(n.Queue)), append(k.activities, clean(n.Activity))
		k.due, k.expires = append(k.due, stamp(n.Due)), append(k.expires, stamp(n.Expires))
		k.tags, k.bounds, k.inputs = append(k.tags, array(n.Tags)), append(k.bounds, bounds), append(k.inputs, n.Input)
	}
}

// put queues the tasks.
func (k *tasks) put(t *tx) {
	if len(k.ids) > 0 {
		t.add(`INSERT INTO task (execution, run, step, attempt, owner, due, queue, priority, activity, tags, expires, created, bounds, input)
			SELECT x.key, t.run, t.step, t.attempt, 0, coalesce(t.due, now()), t.queue, t.priority, t.activity, t.tags::text[], t.expires, now(), t.bounds, t.input
			FROM unnest($1::text[], $2::bigint[], $3::text[], $4::int[], $5::timestamptz[], $6::text[], $7::int[], $8::text[], $9::text[],
				$10::timestamptz[], $11::text[], $12::bytea[])
			WITH ORDINALITY AS t (id, run, step, attempt, due, queue, priority, activity, tags, expires, bounds, input, n)`+lookup+` ORDER BY t.n`,
			k.ids, k.runs, k.steps, k.attempts, k.due, k.queues, k.priorities, k.activities, k.tags, k.expires, k.bounds, k.inputs)
	}
}

// publish queues what the group publishes. The rows were locked by an earlier statement.
func (c *committer) publish() {
	var ids []string
	var published []*string
	for _, i := range c.group {
		if t := &c.b.Turns[i]; t.Published != nil {
			ids, published = append(ids, clean(t.Execution)), append(published, text(t.Published))
		}
	}
	if len(ids) > 0 {
		c.add(keysOf+`, published AS (UPDATE execution SET published = ($3::text[])[array_position((SELECT list FROM keys), key)]
				WHERE key = ANY((SELECT list FROM keys)::bigint[]) AND owner + 0 = $1::bigint RETURNING 1)
			SELECT 1 / (CASE WHEN (SELECT count(*) FROM published) = $4::bigint THEN 1 ELSE 0 END)`,
			int64(c.b.Session), ids, published, int64(len(ids))).guard = errApart
	}
}

// release queues the end of ownership of those that are to be given up and have
// no messages. The rows were locked by an earlier statement.
func (c *committer) release() {
	var ids []string
	var due []pgtype.Timestamptz
	var turns []int
	for _, i := range c.group {
		t := &c.b.Turns[i]
		if t.Then == backend.Release {
			ids, due, turns = append(ids, clean(t.Execution)), append(due, stamp(t.Due)), append(turns, i)
			c.reply.Turns[i].Kept = true
		}
	}
	if len(ids) > 0 {
		c.add(keysOf+`UPDATE execution SET owner = 0, due = ($3::timestamptz[])[array_position((SELECT list FROM keys), key)]
			WHERE key = ANY((SELECT list FROM keys)::bigint[]) AND owner + 0 = $1::bigint
				AND (SELECT count(*) FROM (SELECT 1 FROM inbox WHERE inbox.execution = execution.key LIMIT 1) AS message) = 0
			RETURNING array_position((SELECT list FROM keys), key)`, int64(c.b.Session), ids, due).row = func(r pgx.Rows) error {
			var n int
			err := r.Scan(&n)
			if err == nil {
				c.reply.Turns[turns[n-1]].Kept = false
			}
			return err
		}
	}
}

// finish queues the end of executions, and of all that waits for it.
func (c *committer) finish() {
	var ids, keep []string
	var ends endings
	for _, i := range c.group {
		t := &c.b.Turns[i]
		if t.Then == backend.Finish && !c.alone[i] {
			ids = append(ids, clean(t.Execution))
			if t.State != backend.Completed {
				keep = append(keep, clean(t.Execution))
			}
			ends.add(t, 0)
		}
	}
	if len(ids) == 0 {
		return
	}
	c.add(keysOf+`, `+endedBy("(SELECT list FROM keys)"), append([]any{int64(c.b.Session), ids}, ends.args()...)...).guard = errApart
	tell(c.tx, ids, keep)
	leaves(c.tx, ends.runs, false)
}

// tell queues what follows when executions have ended: their inboxes are
// emptied, which some keep the signals of, and who waits for them gets an outcome, and is woken.
func tell(t *tx, ids, keep []string) {
	t.add("WITH messages AS (DELETE FROM inbox WHERE execution = ANY(ARRAY(SELECT key FROM request WHERE id = ANY($1::text[]))) RETURNING *) "+
		leftover("ARRAY(SELECT key FROM request WHERE id = ANY($2::text[]))"), ids, keep)
	t.add(`WITH ended AS MATERIALIZED (
			SELECT x.key, x.state, CASE WHEN x.state = 'completed' THEN x.result ELSE convert_to(x.failure, 'UTF8') END AS payload,
				CASE WHEN r.parent_step <> '' THEN r.parent ELSE '' END AS parent, r.parent_run, r.parent_step, t.n
			FROM unnest($1::text[]) WITH ORDINALITY AS t (id, n)
			CROSS JOIN LATERAL (SELECT * FROM request WHERE request.id = t.id OFFSET 0) AS r
			CROSS JOIN LATERAL (SELECT * FROM execution WHERE execution.key = r.key OFFSET 0) AS x
			WHERE r.parent <> '' AND r.parent_step <> '' OR EXISTS (SELECT 1 FROM watch WHERE target = x.key)),
		watched AS (DELETE FROM watch WHERE target = ANY(ARRAY(SELECT key FROM ended)) RETURNING target, watcher, run, step),
		told AS (SELECT watched.watcher AS key, watched.run, watched.step, ended.state, ended.payload, ended.n FROM watched JOIN ended ON ended.key = watched.target
			UNION ALL SELECT p.key, ended.parent_run, ended.parent_step, ended.state, ended.payload, ended.n FROM ended
			CROSS JOIN LATERAL (SELECT key FROM request WHERE request.id = ended.parent OFFSET 0) AS p WHERE ended.parent <> ''),
		stored AS (INSERT INTO inbox (execution, kind, name, run, step, attempt, sent, payload)
			SELECT told.key, 'outcome', told.state, told.run, told.step, 0, now(), told.payload FROM told
			CROSS JOIN LATERAL (SELECT state FROM execution WHERE execution.key = told.key OFFSET 0) AS x
			WHERE x.state IN ('pending', 'running') ORDER BY told.n RETURNING execution),
		woken AS (UPDATE execution SET due = now() WHERE key = ANY(ARRAY(SELECT execution FROM stored)) AND owner = 0 AND (due IS NULL OR due > now()) RETURNING 1)
		SELECT NULL FROM woken UNION ALL
		SELECT r.id FROM (SELECT DISTINCT execution FROM stored) AS s CROSS JOIN LATERAL (SELECT id FROM request WHERE request.key = s.execution OFFSET 0) AS r`,
		ids).row = func(r pgx.Rows) error {
		var id *string
		err := r.Scan(&id)
		switch {
		case err != nil:
		case id == nil:
			t.woken++
		default:
			t.reached = append(t.reached, *id)
		}
		return err
	}
}
