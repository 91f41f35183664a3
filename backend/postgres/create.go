// New executions.

package postgres

import (
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/senpuki/senpuki/backend"
)

// asked is executions to be made, column by column.
type asked struct {
	ids, states, queues, workflows, digests, functions, parents, parentSteps []string
	owners, parentRuns                                                       []int64
	priorities, editions, depths                                             []int32
	due, expires                                                             []pgtype.Timestamptz
	claims                                                                   []bool
	tags, extras                                                             []*string
	inputs, firsts                                                           [][]byte
}

func columns(session backend.SessionID, list []backend.NewExecution) (a asked) {
	for i := range list {
		n := &list[i]
		state, owner := backend.Pending, int64(0)
		if n.Claim {
			state, owner = backend.Running, int64(session)
		}
		a.ids, a.states, a.owners = append(a.ids, clean(n.ID)), append(a.states, string(state)), append(a.owners, owner)
		a.queues, a.priorities, a.editions = append(a.queues, clean(n.Queue)), append(a.priorities, small(n.Priority)), append(a.editions, small(n.Edition))
		a.workflows, a.digests, a.functions = append(a.workflows, clean(n.Workflow)), append(a.digests, clean(n.Digest)), append(a.functions, clean(n.Function))
		a.parents, a.parentSteps = append(a.parents, clean(n.Parent)), append(a.parentSteps, clean(n.ParentStep))
		a.parentRuns, a.depths = append(a.parentRuns, int64(n.ParentRun)), append(a.depths, small(n.Depth))
		a.due, a.expires, a.claims = append(a.due, stamp(n.Due)), append(a.expires, stamp(n.Expires)), append(a.claims, n.Claim)
		a.tags, a.inputs, a.extras = append(a.tags, array(n.Tags)), append(a.inputs, n.Input), append(a.extras, text(n.Extra))
		var first []byte
		if n.Claim {
			first = n.First
		}
		a.firsts = append(a.firsts, first)
	}
	return a
}

// insert makes the executions that do not exist yet. The statement is queued
// when all are to be new (whole: one that is not raises), else it is run; then which of them are new is
// a join, which without statistics is a loop over all for each. Keys are
// given out in the order asked, rows are inserted by id, so that two who ask for
// the same ids do not wait for each other.
func insert(t *tx, session backend.SessionID, list []backend.NewExecution, whole bool) ([]backend.Created, error) {
	if len(list) == 0 {
		return nil, nil
	}
	a := columns(session, list)
	created := make([]backend.Created, len(list))
	made := make(map[string]backend.RunKey, len(list))
	want := int64(0)
	if whole {
		want = int64(len(list))
	}
	source := "numbered"
	if !whole {
		source = "made JOIN numbered USING (key)"
	}
	st := t.add(`WITH numbered AS MATERIALIZED (
			SELECT nextval('run_key') AS key, * FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::int[], $6::int[], $7::text[],
				$8::text[], $9::text[], $10::text[], $11::text[], $12::bigint[], $13::int[], $14::timestamptz[], $15::timestamptz[], $16::bool[],
				$17::text[], $18::bytea[], $20::text[], $21::bytea[])
			AS n (id, state, owner, queue, priority, edition, workflow, digest, function, parent, parent_step, parent_run, depth, due, expires, claim, tags, input, extra, first)),
		made AS (INSERT INTO request (key, created, parent_run, depth, id, workflow, digest, function, parent, parent_step, extra, input)
			SELECT key, now(), parent_run, depth, id, workflow, digest, function, parent, parent_step, extra, input
			FROM numbered ORDER BY id COLLATE "C", key ON CONFLICT (id) DO NOTHING RETURNING key, id),
		stands AS (INSERT INTO execution (key, owner, run, due, started, expires, priority, edition, run_number, state, queue, tags)
			SELECT key, numbered.owner, key, CASE WHEN numbered.claim THEN NULL ELSE coalesce(numbered.due, now()) END, CASE WHEN numbered.claim THEN now() END,
				numbered.expires, numbered.priority, numbered.edition, 1, numbered.state, numbered.queue, numbered.tags::text[]
			FROM `+source+`),
		runs AS (INSERT INTO run (key, execution, number, created) SELECT key, key, 1, now() FROM made),
		begun AS (INSERT INTO journal (run, row, session, data) SELECT key, 0, numbered.owner, numbered.first FROM `+source+`
			WHERE numbered.first IS NOT NULL)
		SELECT key, id, enough FROM (SELECT 1 / (CASE WHEN (SELECT count(*) FROM made) >= $19::bigint THEN 1 ELSE 0 END) AS enough) AS e LEFT JOIN made ON true`,
		a.ids, a.states, a.owners, a.queues, a.priorities, a.editions, a.workflows, a.digests, a.functions, a.parents, a.parentSteps,
		a.parentRuns, a.depths, a.due, a.expires, a.claims, a.tags, a.inputs, want, a.extras, a.firsts)
	st.guard = errApart
	st.row = func(r pgx.Rows) error {
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
		return created, nil
	}
	if err := t.flush(); err != nil {
		return nil, err
	}
	var taken []string
	for i, id := range a.ids {
		if run, ok := made[id]; ok {
			created[i].Run = run
			delete(made, id) // asked for twice: the second is told of the first
		} else {
			taken = append(taken, id)
		}
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
