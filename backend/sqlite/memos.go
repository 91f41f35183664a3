// Memos: results shared between executions; dead letters.

package sqlite

import (
	"context"
	"database/sql/driver"
	"encoding/json"
	"time"

	"github.com/senpuki/senpuki/backend"
)

// reserve asks for a memo on behalf of a step.
func reserve(c *conn, key int64, t *backend.Turn, r *backend.Reservation, at time.Time) error {
	v, err := c.first(nonstop, "SELECT result, expires FROM memo WHERE hash = ?", r.Hash)
	if err != nil {
		return err
	}
	if v != nil && v[0] != nil {
		if due := instant(v[1]); due.IsZero() || due.After(at) {
			return answer(c, waiter{key, int64(t.Run), r.Step}, backend.Hit, bytes(v[0]), at)
		}
		if _, err := c.exec("DELETE FROM memo WHERE hash = ?", r.Hash); err != nil {
			return err
		}
		v = nil
	}
	if v != nil {
		_, err := c.exec("INSERT INTO memo_waiter (hash, execution, run, step) VALUES (?, ?, ?, ?)", r.Hash, key, t.Run, r.Step)
		return err
	}
	if _, err := c.exec("INSERT INTO memo (hash, activity, called, execution, run, step, created) VALUES (?, ?, ?, ?, ?, ?, ?)",
		r.Hash, r.Activity, r.Key, key, t.Run, r.Step, at); err != nil {
		return err
	}
	return answer(c, waiter{key, int64(t.Run), r.Step}, backend.Reserved, nil, at)
}

// answer puts a notice about a memo into the inbox of one that still waits for it in that run.
func answer(c *conn, w waiter, name string, payload []byte, at time.Time) error {
	_, err := answered(c, w, name, payload, at)
	return err
}

func answered(c *conn, w waiter, name string, payload []byte, at time.Time) (bool, error) {
	to, refused, err := look(c, "key = ?", w.key)
	if err != nil || refused != nil || to.run != w.run {
		return false, err
	}
	return true, post(c, to, &backend.Message{Kind: backend.Notice, Name: name, Run: backend.RunKey(w.run), Step: w.step, Payload: payload}, at)
}

// concludeMemo ends a reservation of a step: with a result everybody gets it,
// else the first who waits takes over.
func concludeMemo(c *conn, key int64, t *backend.Turn, r *backend.MemoResult, at time.Time) error {
	v, err := c.first(nonstop, "SELECT execution, run, step FROM memo WHERE hash = ? AND result IS NULL", r.Hash)
	if err != nil || v == nil {
		return err
	}
	if number(v[0]) != key || backend.RunKey(number(v[1])) != t.Run || word(v[2]) != r.Step {
		_, err := c.exec("DELETE FROM memo_waiter WHERE hash = ? AND run = ? AND step = ?", r.Hash, t.Run, r.Step)
		return err
	}
	if r.Result == nil {
		return pass(c, r.Hash, at)
	}
	if _, err := c.exec("UPDATE memo SET result = ?, expires = ? WHERE hash = ?", r.Result, r.Expires, r.Hash); err != nil {
		return err
	}
	waiting, err := c.all(nonstop, "SELECT execution, run, step FROM memo_waiter WHERE hash = ? ORDER BY key", r.Hash)
	if err != nil || len(waiting) == 0 {
		return err
	}
	for _, w := range waiting {
		if err := answer(c, waiter{number(w[0]), number(w[1]), word(w[2])}, backend.Hit, r.Result, at); err != nil {
			return err
		}
	}
	_, err = c.exec("DELETE FROM memo_waiter WHERE hash = ?", r.Hash)
	return err
}

// pass gives a reservation to the first who waits, or frees the key.
func pass(c *conn, hash string, at time.Time) error {
	for {
		v, err := c.first(nonstop, `DELETE FROM memo_waiter WHERE key = (SELECT key FROM memo_waiter WHERE hash = ? ORDER BY key LIMIT 1)
			RETURNING execution, run, step`, hash)
		if err != nil {
			return err
		}
		if v == nil {
			_, err := c.exec("DELETE FROM memo WHERE hash = ?", hash)
			return err
		}
		w := waiter{number(v[0]), number(v[1]), word(v[2])}
		ok, err := answered(c, w, backend.Reserved, nil, at)
		if err != nil {
			return err
		}
		if ok {
			_, err := c.exec("UPDATE memo SET execution = ?, run = ?, step = ?, created = ? WHERE hash = ?", w.key, w.run, w.step, at, hash)
			return err
		}
	}
}

// over removes what a run that has ended leaves behind: its tasks, and what it
// had reserved or waited for.
func over(c *conn, run backend.RunKey, at time.Time) error {
	if _, err := c.exec("DELETE FROM task WHERE run = ?", run); err != nil {
		return err
	}
	if _, err := c.exec("DELETE FROM memo_waiter WHERE run = ?", run); err != nil {
		return err
	}
	held, err := c.all(nonstop, "SELECT hash FROM memo WHERE run = ? AND result IS NULL ORDER BY hash", run)
	if err != nil {
		return err
	}
	for _, v := range held {
		if err := pass(c, word(v[0]), at); err != nil {
			return err
		}
	}
	return nil
}

// Memos lists memos, newest first.
func (s *Store) Memos(ctx context.Context, f backend.MemoFilter) (list []backend.Memo, err error) {
	one := "?5 = ''"
	if f.Hash != "" { // said so that the key is used
		one = "hash = ?5"
	}
	err = s.read(ctx, func(c *conn) error {
		return c.query(ctx, func(v []driver.Value) error {
			list = append(list, backend.Memo{
				Hash: word(v[0]), Activity: word(v[1]), Key: word(v[2]), Execution: word(v[3]), Step: word(v[4]),
				Created: instant(v[5]), Expires: instant(v[6]), Result: bytes(v[7]), Waiting: int(number(v[8])),
			})
			return nil
		}, `SELECT hash, activity, called, coalesce((SELECT id FROM execution AS x WHERE x.key = memo.execution), ''), step, created, expires, result,
				(SELECT count(*) FROM memo_waiter AS w WHERE w.hash = memo.hash)
			FROM memo WHERE (?1 = '' OR activity = ?1) AND (?2 IS NULL OR (created, hash) < (?2, ?3)) AND `+one+`
			ORDER BY created DESC, hash DESC LIMIT +?4`, f.Activity, f.BeforeAt, f.BeforeHash, most(f.Limit), f.Hash)
	})
	return list, err
}

// ClearMemos removes stored results; reservations stay.
func (s *Store) ClearMemos(ctx context.Context, activity string) (n int64, err error) {
	err = s.write(ctx, func(c *conn, _ time.Time) error {
		n, err = c.exec("DELETE FROM memo WHERE result IS NOT NULL AND (?1 = '' OR activity = ?1)", activity)
		return err
	})
	return n, err
}

// bury keeps the dead letters of a turn.
func bury(c *conn, key int64, t *backend.Turn, at time.Time) error {
	for i := range t.Dead {
		d := &t.Dead[i]
		if _, err := c.exec("INSERT INTO dead_letter (execution, run, step, attempts, activity, at, failure, input) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
			key, t.Run, d.Step, d.Attempts, d.Activity, at, text(d.Failure), d.Input); err != nil {
			return err
		}
	}
	return nil
}

// DeadLetters lists dead letters, newest first.
func (s *Store) DeadLetters(ctx context.Context, f backend.LetterFilter) (list []backend.DeadLetter, err error) {
	low, high := f.IDs()
	of := "?1 = ''"
	if f.Execution != "" { // said so that its index is used
		of = "d.execution = (SELECT key FROM execution WHERE id = ?1)"
	}
	err = s.read(ctx, func(c *conn) error {
		return c.query(ctx, func(v []driver.Value) error {
			list = append(list, backend.DeadLetter{
				ID: number(v[0]), Execution: word(v[1]), Run: backend.RunKey(number(v[2])), Step: word(v[3]), Attempts: int(number(v[4])),
				Activity: word(v[5]), At: instant(v[6]), Failure: bytes(v[7]), Input: bytes(v[8]),
			})
			return nil
		}, `SELECT d.id, x.id, d.run, step, attempts, activity, at, d.failure, d.input
			FROM dead_letter AS d CROSS JOIN execution AS x ON x.key = d.execution
			WHERE `+of+` AND d.id BETWEEN ?2 AND ?3 ORDER BY d.id DESC LIMIT +?4`, f.Execution, low, high, most(f.Limit))
	})
	return list, err
}

// Discard removes dead letters.
func (s *Store) Discard(ctx context.Context, ids []int64) (n int64, err error) {
	err = s.write(ctx, func(c *conn, _ time.Time) error {
		n, err = discard(c, ids)
		return err
	})
	return n, err
}

func discard(c *conn, ids []int64) (int64, error) {
	keys, err := json.Marshal(append([]int64{}, ids...))
	if err != nil {
		return 0, err
	}
	return c.exec("DELETE FROM dead_letter WHERE id IN (SELECT value FROM json_each(?))", string(keys))
}
