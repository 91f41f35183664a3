// New executions.

package postgres

import (
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/senpuki/senpuki/backend"
)

// asked is what executions are to be, column by column.
type asked struct {
	ids, workflows, digests, functions, parents, parentSteps []string
	parentRuns                                               []int64
	depths                                                   []int32
	extras                                                   []*string
	inputs                                                   [][]byte
}

func (a *asked) add(n *backend.NewExecution) {
	a.ids, a.workflows, a.digests = append(a.ids, clean(n.ID)), append(a.workflows, clean(n.Workflow)), append(a.digests, clean(n.Digest))
	a.functions, a.parents, a.parentSteps = append(a.functions, clean(n.Function)), append(a.parents, clean(n.Parent)), append(a.parentSteps, clean(n.ParentStep))
	a.parentRuns, a.depths = append(a.parentRuns, int64(n.ParentRun)), append(a.depths, small(n.Depth))
	a.extras, a.inputs = append(a.extras, text(n.Extra)), append(a.inputs, n.Input)
}

// put queues those rows, with a key each in the order asked. They are inserted by id, so that two who ask for
// the same ids do not wait for each other. What is there already stays; it raises when fewer than want are new.
func (a *asked) put(t *tx, want int) *step {
	st := t.add(`WITH numbered AS MATERIALIZED (
			SELECT nextval('run_key') AS key, * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bigint[],
				$8::int[], $9::text[], $10::bytea[])
			AS n (id, workflow, digest, function, parent, parent_step, parent_run, depth, extra, input)),
		made AS (INSERT INTO request (key, created, parent_run, depth, id, workflow, digest, function, parent, parent_step, extra, input)
			SELECT key, now(), parent_run, depth, id, workflow, digest, function, parent, parent_step, extra, input
			FROM numbered ORDER BY id COLLATE "C", key ON CONFLICT (id) DO NOTHING RETURNING key, id)
		SELECT key, id, enough FROM (SELECT 1 / (CASE WHEN (SELECT count(*) FROM made) >= $11::bigint THEN 1 ELSE 0 END) AS enough) AS e LEFT JOIN made ON true`,
		a.ids, a.workflows, a.digests, a.functions, a.parents, a.parentSteps, a.parentRuns, a.depths, a.extras, a.inputs, int64(want))
	st.guard = errApart
	return st
}

// newborn is how executions stand that have just been asked for, column by column.
type newborn struct {
	ids, states, queues  []string
	owners               []int64
	priorities, editions []int32
	due, expires         []pgtype.Timestamptz
	claims               []bool
	tags                 []*string
	firsts               [][]byte
}

func (b *newborn) add(session backend.SessionID, n *backend.NewExecution) {
	state, owner, first := backend.Pending, int64(0), []byte(nil)
	if n.Claim {
		state, owner, first = backend.Running, int64(session), n.First
	}
	b.ids, b.states, b.owners = append(b.ids, clean(n.ID)), append(b.states, string(state)), append(b.owners, owner)
	b.queues, b.priorities, b.editions = append(b.queues, clean(n.Queue)), append(b.priorities, small(n.Priority)), append(b.editions, small(n.Edition))
	b.due, b.expires, b.claims = append(b.due, stamp(n.Due)), append(b.expires, stamp(n.Expires)), append(b.claims, n.Claim)
	b.tags, b.firsts = append(b.tags, array(n.Tags)), append(b.firsts, first)
}

// put queues those rows, their first runs and what is known of their journals.
func (b *newborn) put(t *tx) {
	t.add(`WITH n AS MATERIALIZED (
			SELECT (SELECT request.key FROM request WHERE request.id = u.id) AS key, u.* FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::int[], $6::int[],
				$7::timestamptz[], $8::timestamptz[], $9::bool[], $10::text[], $11::bytea[])
			AS u (id, state, owner, queue, priority, edition, due, expires, claim, tags, first)),
		stands AS (INSERT INTO execution (key, owner, run, due, started, expires, priority, edition, run_number, state, queue, tags)
			SELECT key, owner, key, CASE WHEN claim THEN NULL ELSE coalesce(due, now()) END, CASE WHEN claim THEN now() END,
				expires, priority, edition, 1, state, queue, tags::text[] FROM n),
		runs AS (INSERT INTO run (key, execution, number, created) SELECT key, key, 1, now() FROM n)
		INSERT INTO journal (run, row, session, data) SELECT key, 0, owner, first FROM n WHERE first IS NOT NULL`,
		b.ids, b.states, b.owners, b.queues, b.priorities, b.editions, b.due, b.expires, b.claims, b.tags, b.firsts)
}

// insert makes the executions that do not exist yet. It is queued when all are to be new
// (whole: one that is not raises), else which are is asked first.
func insert(t *tx, session backend.SessionID, list []backend.NewExecution, whole bool) ([]backend.Created, error) {
	if len(list) == 0 {
		return nil, nil
	}
	var a asked
	var b newborn
	want := 0
	for i := range list {
		a.add(&list[i])
		if whole {
			b.add(session, &list[i])
			want++
		}
	}
	created := make([]backend.Created, len(list))
	made := make(map[string]backend.RunKey, len(list))
	a.put(t, want).row = func(r pgx.Rows) error {
		var key, one *int64
		var id *string
		if err := r.Scan(&key, &id, &one); err != nil || key == nil {
			return err
		}
		made[*id] = backend.RunKey(*key)
		if whole && len(made) == len(list) {
			for i := range list {
				created[i].Run = made[a.ids[i]]
			}
		}
		return nil
	}
	if whole {
		b.put(t)
		return created, nil
	}
	if err := t.flush(); err != nil {
		return nil, err
	}
	var taken []string
	for i, id := range a.ids {
		if run, ok := made[id]; ok {
			created[i].Run = run
			b.add(session, &list[i])
			delete(made, id) // asked for twice: the second is told of the first
		} else {
			taken = append(taken, id)
		}
	}
	if len(b.ids) > 0 {
		b.put(t)
	}
	if len(taken) == 0 {
		return created, nil
	}
	existing := make(map[string]backend.Execution)
	if err := t.each(func(r pgx.Rows) error {
		x, err := execution(r)
		existing[x.ID] = x
		return err
	}, "SELECT "+executionColumns+" FROM "+executions+" WHERE id = ANY($1::text[])", taken); err != nil {
		return nil, err
	}
	for i, id := range a.ids {
		if created[i].Run != 0 {
			continue
		}
		x, ok := existing[id]
		if !ok { // it was collected since: the caller asks again
			return nil, backend.ErrTransient
		}
		created[i] = backend.Created{Run: x.Run, Existing: &x}
	}
	return created, nil
}

// exist reports whether all programs are stored, and keeps them from being
// collected while the transaction lasts.
func exist(t *tx, digests []string) (bool, error) {
	digests = distinct(cleanAll(digests))
	n, err := t.count(`SELECT 1 FROM program WHERE digest = ANY($1::text[]) ORDER BY digest FOR KEY SHARE`, digests)
	return n == int64(len(digests)), err
}

// demand queues the check that the programs of new executions are stored, ahead
// of the fence: a batch that can never land says so even when its session is gone.
// It keeps the programs from being collected while the transaction lasts.
func (c *committer) demand() {
	var digests []string
	for i := range c.b.Create {
		digests = append(digests, clean(c.b.Create[i].Digest))
	}
	if digests = distinct(digests); len(digests) > 0 {
		c.pending = slices.Insert(c.pending, len(c.pending)-1, step{guard: backend.ErrNoProgram, args: []any{digests, int64(len(digests))}, sql: `SELECT 1 / (CASE WHEN (SELECT count(*) FROM (
				SELECT 1 FROM program WHERE digest = ANY($1::text[]) ORDER BY digest FOR KEY SHARE) AS p) = $2::bigint THEN 1 ELSE 0 END)`})
	}
}
