// Reading without changing anything.

package postgres

import (
	"context"
	"encoding/json"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/senpuki/senpuki/backend"
)

const (
	// executions are whole ones, with executionColumns: what they were asked to be and, for each that is found there, how
	// it stands. joined is the same where the planner may begin with either.
	executions = "request" + standing
	standing   = ` CROSS JOIN LATERAL (SELECT owner, run, due, started, finished, expires, priority, edition, run_number, state, queue, tags,
			stuck, published, failure, result FROM execution WHERE execution.key = request.key OFFSET 0) AS execution`
	joined           = `request JOIN execution USING (key)`
	executionColumns = `id, run, run_number, workflow, digest, edition, function, input, state, result, failure, queue, priority,
		tags, parent, parent_step, owner, due, expires, created, started, finished, published, stuck, parent_run, depth, extra`
	messageColumns    = `i.id, i.kind, i.name, i.step, i.attempt, i.payload, i.sent, i.run`
	deploymentColumns = `name, version, digest, by, note, at`
)

// page is how many journal rows are fetched at a time. No connection is held
// while the caller looks at them.
const page = 1000

// execution is a row of executionColumns, with what may follow them.
func execution(r pgx.Rows, more ...any) (x backend.Execution, err error) {
	var due, expires, created, started, finished pgtype.Timestamptz
	var failure, published, stuck, extra *string
	var tags pgtype.FlatArray[pgtype.Text]
	if err := r.Scan(append([]any{
		&x.ID, (*int64)(&x.Run), &x.RunNumber, &x.Workflow, &x.Digest, &x.Edition, &x.Function, &x.Input, (*string)(&x.State), &x.Result, &failure,
		&x.Queue, &x.Priority, &tags, &x.Parent, &x.ParentStep, (*int64)(&x.Owner), &due, &expires, &created, &started, &finished, &published,
		&stuck, (*int64)(&x.ParentRun), &x.Depth, &extra,
	}, more...)...); err != nil {
		return x, err
	}
	x.Due, x.Expires, x.Created, x.Started, x.Finished = instant(due), instant(expires), instant(created), instant(started), instant(finished)
	x.Failure, x.Published, x.Extra = bytes(failure), bytes(published), bytes(extra)
	if x.Tags, err = words(tags); err != nil {
		x.Damaged("tags", err)
	}
	if stuck != nil {
		if err := json.Unmarshal([]byte(*stuck), &x.Stuck); err != nil {
			x.Stuck = nil
			x.Damaged("stuck", err)
		}
	}
	return x, nil
}

// message is a row of messageColumns and the addressee's id, with what may follow them.
func message(r pgx.Rows, more ...any) (m backend.Message, err error) {
	var sent pgtype.Timestamptz
	err = r.Scan(append([]any{&m.ID, (*string)(&m.Kind), &m.Name, &m.Step, &m.Attempt, &m.Payload, &sent, (*int64)(&m.Run), &m.Execution}, more...)...)
	m.Sent = instant(sent)
	return m, err
}

func deployment(r pgx.Rows) (d backend.Deployment, err error) {
	var at pgtype.Timestamptz
	err = r.Scan(&d.Workflow, &d.Version, &d.Digest, &d.By, &d.Note, &at)
	d.At = instant(at)
	return d, err
}

// Execution returns one execution.
func (s *Store) Execution(ctx context.Context, id string) (x backend.Execution, err error) {
	found := false
	err = s.read(ctx, func(t *tx) error {
		return t.each(func(r pgx.Rows) (err error) {
			found = true
			x, err = execution(r)
			return err
		}, "SELECT "+executionColumns+" FROM "+executions+" WHERE id = $1::text", clean(id))
	})
	if err == nil && !found {
		err = backend.ErrNotFound
	}
	return x, err
}

// List returns executions, newest first.
func (s *Store) List(ctx context.Context, f backend.Filter) (list []backend.Execution, err error) {
	where, args := conditions(&f)
	source, view := joined, s.look // it depends on the filter how few there are, and where to begin
	if f.IDs != nil {
		args = append(args, cleanAll(f.IDs))
		source, view = "(SELECT * FROM request WHERE id = ANY("+param(len(args))+"::text[]) OFFSET 0) AS request"+standing, s.read
	}
	args = append(args, most(f.Limit))
	err = view(ctx, func(t *tx) error {
		return t.each(func(r pgx.Rows) error {
			x, err := execution(r)
			list = append(list, x)
			return err
		}, "SELECT "+executionColumns+" FROM "+source+where+" ORDER BY created DESC, id DESC LIMIT "+param(len(args))+"::bigint", args...)
	})
	if err != nil {
		return nil, err
	}
	return list, nil
}

// most is a limit as PostgreSQL has it: NULL is none.
func most(limit int) any {
	if limit == 0 {
		return nil
	}
	return int64(limit)
}

// conditions turns a filter into SQL. There are few texts, so that the
// statements can be kept.
func conditions(f *backend.Filter) (where string, args []any) {
	var terms []string
	add := func(given bool, term string, values ...any) {
		if given {
			for _, v := range values {
				args = append(args, v)
				term = strings.Replace(term, "?", param(len(args)), 1)
			}
			terms = append(terms, term)
		}
	}
	states := make([]string, len(f.States))
	for i, state := range f.States {
		states[i] = string(state)
	}
	add(len(states) > 0 && !f.Stuck, "state = ANY(?::text[])", states)
	add(f.Stuck, "(stuck IS NOT NULL OR state = ANY(?::text[]))", states)
	add(f.Workflow != "", "workflow = ?::text", clean(f.Workflow))
	add(f.Queue != "", "queue = ?::text", clean(f.Queue))
	add(f.Tag != "", "?::text = ANY(tags)", clean(f.Tag))
	add(f.Parent != "", "parent = ?::text AND parent <> ''", clean(f.Parent))
	add(!f.Since.IsZero(), "created >= ?::timestamptz", stamp(ceiling(f.Since)))
	add(f.Owner != 0, "owner = ?::bigint AND owner <> 0", int64(f.Owner))
	add(f.IDPrefix != "", "starts_with(id, ?::text)", clean(f.IDPrefix))
	add(!f.BeforeAt.IsZero(), "(created, id) < (?::timestamptz, ?::text)", stamp(ceiling(f.BeforeAt)), clean(f.BeforeID))
	if len(terms) == 0 {
		return "", args
	}
	return " WHERE " + strings.Join(terms, " AND "), args
}

// Journal reads the rows of a run.
func (s *Store) Journal(ctx context.Context, run backend.RunKey, from int64, row func(backend.Row) error) error {
	list := make([]backend.Row, 0, page)
	for {
		list = list[:0]
		if err := s.read(ctx, func(t *tx) error {
			return t.each(func(r pgx.Rows) error {
				var one backend.Row
				err := r.Scan(&one.Number, (*int64)(&one.Session), &one.Data)
				list = append(list, one)
				return err
			}, "SELECT row, session, data FROM journal WHERE run = $1::bigint AND row >= $2::bigint ORDER BY row LIMIT $3::bigint", int64(run), from, int64(page))
		}); err != nil {
			return err
		}
		for _, r := range list {
			if err := row(r); err != nil {
				return err
			}
		}
		if len(list) < page {
			return nil
		}
		from = list[len(list)-1].Number + 1
	}
}

// Runs lists the runs of an execution.
func (s *Store) Runs(ctx context.Context, id string, from int) (list []backend.Run, err error) {
	err = s.read(ctx, func(t *tx) error {
		return t.each(func(r pgx.Rows) error {
			var one backend.Run
			var created pgtype.Timestamptz
			err := r.Scan((*int64)(&one.Key), &one.Number, &created)
			one.Created = instant(created)
			list = append(list, one)
			return err
		}, `SELECT key, number, created FROM run
			WHERE execution = (SELECT request.key FROM request WHERE request.id = $1::text) AND number >= $2::bigint ORDER BY number`, clean(id), int64(from))
	})
	return list, err
}

// Logs reads the log lines of a run.
func (s *Store) Logs(ctx context.Context, run backend.RunKey, from int64, limit int) (list []backend.LogLine, err error) {
	err = s.read(ctx, func(t *tx) error {
		return t.each(func(r pgx.Rows) error {
			var l backend.LogLine
			var at pgtype.Timestamptz
			var fields *string
			err := r.Scan(&l.Ordinal, &at, &l.Step, &l.Level, &l.Message, &fields)
			l.At, l.Fields = instant(at), bytes(fields)
			list = append(list, l)
			return err
		}, "SELECT ordinal, at, step, level, message, fields FROM log WHERE run = $1::bigint AND ordinal >= $2::bigint ORDER BY ordinal LIMIT $3::bigint", int64(run), from, most(limit))
	})
	return list, err
}

// Program returns a stored program.
func (s *Store) Program(ctx context.Context, digest string) (p backend.Program, err error) {
	err = s.read(ctx, func(t *tx) error {
		var sources *string
		var created pgtype.Timestamptz
		found, err := t.first([]any{&sources, &created}, "SELECT sources, created FROM program WHERE digest = $1::text", clean(digest))
		if err == nil && !found {
			err = backend.ErrNotFound
		}
		p = backend.Program{Digest: digest, Sources: bytes(sources), Created: instant(created)}
		return err
	})
	if err != nil {
		return backend.Program{}, err
	}
	return p, nil
}

// Programs returns programs by digest.
func (s *Store) Programs(ctx context.Context, after string, limit int) (list []backend.Program, err error) {
	err = s.read(ctx, func(t *tx) error {
		return t.each(func(r pgx.Rows) error {
			var p backend.Program
			var sources *string
			var created pgtype.Timestamptz
			err := r.Scan(&p.Digest, &sources, &created)
			p.Sources, p.Created = bytes(sources), instant(created)
			list = append(list, p)
			return err
		}, "SELECT digest, sources, created FROM program WHERE digest > $1::text ORDER BY digest LIMIT $2::bigint", clean(after), most(limit))
	})
	return list, err
}

// Deployments returns the deployments of one workflow, or the newest of each.
func (s *Store) Deployments(ctx context.Context, workflow string) (list []backend.Deployment, err error) {
	sql, args := "SELECT DISTINCT ON (name) "+deploymentColumns+" FROM workflow ORDER BY name, version DESC", []any(nil)
	if workflow != "" {
		sql, args = "SELECT "+deploymentColumns+" FROM workflow WHERE name = $1::text ORDER BY version DESC", []any{clean(workflow)}
	}
	err = s.read(ctx, func(t *tx) error {
		return t.each(func(r pgx.Rows) error {
			d, err := deployment(r)
			list = append(list, d)
			return err
		}, sql, args...)
	})
	return list, err
}
