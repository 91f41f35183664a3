// Reading without changing anything.

package sqlite

import (
	"context"
	"database/sql/driver"
	"encoding/json"
	"strings"
	"time"

	"github.com/senpuki/senpuki/backend"
)

const (
	executionColumns = `id, run, run_number, workflow, digest, edition, function, input, state, result, failure, queue, priority,
		tags, parent, parent_step, owner, due, expires, created, started, finished, published, stuck,
		parent_run, depth, extra`
	messageColumns    = `inbox.id, kind, name, step, attempt, payload, sent, inbox.run`
	deploymentColumns = `name, version, digest, by, note, at`
)

// page is how many journal rows are fetched at a time. No connection is held
// while the caller looks at them.
const page = 1000

// execution is a row of executionColumns.
func execution(v []driver.Value) backend.Execution {
	x := backend.Execution{
		ID: word(v[0]), Run: backend.RunKey(number(v[1])), RunNumber: int(number(v[2])), Workflow: word(v[3]), Digest: word(v[4]),
		Edition: int(number(v[5])), Function: word(v[6]), Input: bytes(v[7]), State: backend.State(word(v[8])), Result: bytes(v[9]),
		Failure: bytes(v[10]), Queue: word(v[11]), Priority: int(number(v[12])), Parent: word(v[14]), ParentStep: word(v[15]),
		Owner: backend.SessionID(number(v[16])), Due: instant(v[17]), Expires: instant(v[18]), Created: instant(v[19]),
		Started: instant(v[20]), Finished: instant(v[21]), Published: bytes(v[22]),
		ParentRun: backend.RunKey(number(v[24])), Depth: int(number(v[25])), Extra: bytes(v[26]),
	}
	if v[13] != nil {
		if err := json.Unmarshal([]byte(word(v[13])), &x.Tags); err != nil {
			x.Tags = nil
			x.Damaged("tags", err)
		}
	}
	if v[23] != nil {
		if err := json.Unmarshal([]byte(word(v[23])), &x.Stuck); err != nil {
			x.Stuck = nil
			x.Damaged("stuck", err)
		}
	}
	return x
}

func message(v []driver.Value, addressee string) backend.Message {
	return backend.Message{
		ID: number(v[0]), Execution: addressee, Kind: backend.MessageKind(word(v[1])), Name: word(v[2]), Step: word(v[3]),
		Attempt: int(number(v[4])), Payload: bytes(v[5]), Sent: instant(v[6]), Run: backend.RunKey(number(v[7])),
	}
}

func deployment(v []driver.Value) backend.Deployment {
	return backend.Deployment{
		Workflow: word(v[0]), Version: int(number(v[1])), Digest: word(v[2]), By: word(v[3]), Note: word(v[4]), At: instant(v[5]),
	}
}

// read returns one execution over any connection.
func read(ctx context.Context, c *conn, id string) (x backend.Execution, err error) {
	v, err := c.first(ctx, "SELECT "+executionColumns+" FROM execution WHERE id = ?", id)
	if err != nil {
		return x, err
	}
	if v == nil {
		return x, backend.ErrNotFound
	}
	return execution(v), nil
}

// Execution returns one execution.
func (s *Store) Execution(ctx context.Context, id string) (x backend.Execution, err error) {
	err = s.read(ctx, func(c *conn) (err error) {
		x, err = read(ctx, c, id)
		return err
	})
	return x, err
}

// List returns executions, newest first.
func (s *Store) List(ctx context.Context, f backend.Filter) (list []backend.Execution, err error) {
	where, args := conditions(&f)
	err = s.read(ctx, func(c *conn) error {
		if f.IDPrefix != "" {
			v, err := c.first(ctx, "SELECT count(*) FROM (SELECT 1 FROM execution WHERE id >= ? AND id < ? LIMIT +?)", f.IDPrefix, f.IDPrefix+behindText, fewIDs)
			if err != nil {
				return err
			}
			if number(v[0]) == fewIDs { // the newest of them are found sooner by their time than sorted
				where = strings.Replace(where, "id >= ? AND id <", "+id >= ? AND +id <", 1)
			}
		}
		return c.query(ctx, func(v []driver.Value) error {
			list = append(list, execution(v))
			return nil
		}, "SELECT "+executionColumns+" FROM execution"+where+" ORDER BY created DESC, id DESC LIMIT +?", append(args, most(f.Limit))...)
	})
	if err != nil {
		return nil, err
	}
	return list, nil
}

// most is a limit as SQLite has it: a negative one is none.
func most(limit int) int {
	if limit == 0 {
		return -1
	}
	return limit
}

// behindText is a byte that is in no text: what has a prefix comes before the prefix with it.
const behindText = "\xff"

// fewIDs is up to how many ids with a prefix are looked up and sorted.
const fewIDs = 1000

// conditions turns a filter into SQL. There are few texts, so that the
// statements can be kept.
func conditions(f *backend.Filter) (where string, args []any) {
	var terms []string
	add := func(given bool, term string, values ...any) {
		if given {
			terms, args = append(terms, term), append(args, values...)
		}
	}
	if f.Stuck || len(f.States) > 0 {
		states, _ := json.Marshal(append([]backend.State{}, f.States...)) // words only
		add(!f.Stuck, "state IN (SELECT value FROM json_each(?))", string(states))
		add(f.Stuck, "(stuck IS NOT NULL OR state IN (SELECT value FROM json_each(?)))", string(states))
	}
	if f.IDs != nil {
		ids, _ := json.Marshal(f.IDs) // words only
		add(true, "id IN (SELECT value FROM json_each(?))", string(ids))
	}
	add(f.Workflow != "", "workflow = ?", f.Workflow)
	add(f.Queue != "", "queue = ?", f.Queue)
	add(f.Tag != "", "EXISTS (SELECT 1 FROM json_each(CASE WHEN json_valid(execution.tags) THEN execution.tags END) WHERE value = ?)", f.Tag)
	add(f.Parent != "", "parent = ? AND parent <> ''", f.Parent)
	add(!f.Since.IsZero(), "created >= ?", ceiling(f.Since))
	add(f.Owner != 0, "owner = ? AND owner <> 0", int64(f.Owner))
	add(f.IDPrefix != "", "id >= ? AND id < ?", f.IDPrefix, f.IDPrefix+behindText)
	before := ceiling(f.BeforeAt)
	add(!f.BeforeAt.IsZero(), "created <= ? AND (created < ? OR id < ?)", before, before, f.BeforeID)
	if len(terms) == 0 {
		return "", args
	}
	return " WHERE " + strings.Join(terms, " AND "), args
}

// ceiling is t in whole microseconds, rounded up: no stored time lies between.
func ceiling(t time.Time) int64 { return t.Add(time.Microsecond - 1).UnixMicro() }

// Journal reads the rows of a run.
func (s *Store) Journal(ctx context.Context, run backend.RunKey, from int64, row func(backend.Row) error) error {
	rows := make([]backend.Row, 0, page)
	for {
		rows = rows[:0]
		if err := s.read(ctx, func(c *conn) error {
			// A page takes a millisecond: the context is looked at between
			// pages, because the driver would do so for every row.
			return c.query(nonstop, func(v []driver.Value) error {
				rows = append(rows, backend.Row{Number: number(v[0]), Session: backend.SessionID(number(v[1])), Data: bytes(v[2])})
				return nil
			}, "SELECT row, session, data FROM journal WHERE run = ? AND row >= ? ORDER BY row LIMIT +?", run, from, page)
		}); err != nil {
			return err
		}
		for _, r := range rows {
			if err := row(r); err != nil {
				return err
			}
		}
		if len(rows) < page {
			return nil
		}
		from = rows[len(rows)-1].Number + 1
	}
}

// Runs lists the runs of an execution.
func (s *Store) Runs(ctx context.Context, id string, from int) (list []backend.Run, err error) {
	err = s.read(ctx, func(c *conn) error {
		return c.query(ctx, func(v []driver.Value) error {
			list = append(list, backend.Run{Key: backend.RunKey(number(v[0])), Number: int(number(v[1])), Created: instant(v[2])})
			return nil
		}, `SELECT run.key, number, run.created FROM execution CROSS JOIN run ON run.execution = execution.key
			WHERE execution.id = ? AND number >= ? ORDER BY number`, id, from)
	})
	return list, err
}

// Logs reads the log lines of a run.
func (s *Store) Logs(ctx context.Context, run backend.RunKey, from int64, limit int) (lines []backend.LogLine, err error) {
	err = s.read(ctx, func(c *conn) error {
		return c.query(ctx, func(v []driver.Value) error {
			lines = append(lines, backend.LogLine{
				Ordinal: number(v[0]), At: instant(v[1]), Step: word(v[2]), Level: word(v[3]), Message: word(v[4]), Fields: bytes(v[5]),
			})
			return nil
		}, "SELECT ordinal, at, step, level, message, fields FROM log WHERE run = ? AND ordinal >= ? ORDER BY ordinal LIMIT +?", run, from, most(limit))
	})
	return lines, err
}

// Program returns a stored program.
func (s *Store) Program(ctx context.Context, digest string) (p backend.Program, err error) {
	err = s.read(ctx, func(c *conn) error {
		v, err := c.first(ctx, "SELECT sources, created FROM program WHERE digest = ?", digest)
		if err == nil && v == nil {
			err = backend.ErrNotFound
		}
		if err != nil {
			return err
		}
		p = backend.Program{Digest: digest, Sources: bytes(v[0]), Created: instant(v[1])}
		return nil
	})
	return p, err
}

// Programs returns programs by digest.
func (s *Store) Programs(ctx context.Context, after string, limit int) (list []backend.Program, err error) {
	err = s.read(ctx, func(c *conn) error {
		return c.query(ctx, func(v []driver.Value) error {
			list = append(list, backend.Program{Digest: word(v[0]), Sources: bytes(v[1]), Created: instant(v[2])})
			return nil
		}, "SELECT digest, sources, created FROM program WHERE digest > ? ORDER BY digest LIMIT +?", after, most(limit))
	})
	return list, err
}

// Deployments returns the deployments of one workflow, or the newest of each.
func (s *Store) Deployments(ctx context.Context, workflow string) (list []backend.Deployment, err error) {
	sql, args := "SELECT "+deploymentColumns+" FROM workflow AS w WHERE version = (SELECT max(version) FROM workflow WHERE name = w.name) ORDER BY name", []any(nil)
	if workflow != "" {
		sql, args = "SELECT "+deploymentColumns+" FROM workflow WHERE name = ? ORDER BY version DESC", []any{workflow}
	}
	err = s.read(ctx, func(c *conn) error {
		return c.query(ctx, func(v []driver.Value) error {
			list = append(list, deployment(v))
			return nil
		}, sql, args...)
	})
	return list, err
}
