// Sessions: opened, beating, revoked.

package sqlite

import (
	"context"
	"database/sql/driver"
	"time"

	"github.com/senpuki/senpuki/backend"
)

// freed is how many executions one transaction of Revoke frees: others are
// not kept waiting for long.
const freed = 500

// Open begins a session.
func (s *Store) Open(ctx context.Context, n backend.Session) (id backend.SessionID, opened time.Time, err error) {
	err = s.write(ctx, func(c *conn, at time.Time) error {
		v, err := c.first(nonstop, `INSERT INTO session (beat, host, boot, pidns, pid, started, opened, info)
			VALUES (0, ?, ?, ?, ?, ?, ?, ?) RETURNING id`, n.Host, n.Boot, n.PIDNS, n.PID, n.Started, at, text(n.Info))
		if err != nil {
			return err
		}
		id, opened = backend.SessionID(number(v[0])), at
		return nil
	})
	if err != nil {
		return 0, time.Time{}, err
	}
	return id, opened, nil
}

// Beat advances a session's counter.
func (s *Store) Beat(ctx context.Context, id backend.SessionID, info []byte) (beaten backend.Beaten, err error) {
	err = s.write(ctx, func(c *conn, at time.Time) error {
		n, err := c.exec("UPDATE session SET beat = beat + 1, info = ? WHERE id = ?", text(info), id)
		if err == nil && n == 0 {
			err = backend.ErrFenced
		}
		if err != nil {
			return err
		}
		beaten.At = at
		v, err := c.first(nonstop, `SELECT EXISTS (SELECT 1 FROM execution
			WHERE owner = 0 AND expires IS NOT NULL AND finished IS NULL AND expires <= ?)`, at)
		if err != nil {
			return err
		}
		beaten.Expired = number(v[0]) != 0
		beaten.Sessions, err = sessions(nonstop, c)
		return err
	})
	if err != nil {
		return backend.Beaten{}, err
	}
	return beaten, nil
}

// Revoke ends a session and then frees what it owned (invariant 8).
func (s *Store) Revoke(ctx context.Context, id backend.SessionID) error {
	if id == 0 {
		return s.reclaim(ctx)
	}
	if err := s.write(ctx, func(c *conn, _ time.Time) error {
		_, err := c.exec("DELETE FROM session WHERE id = ?", id)
		return err
	}); err != nil {
		return err
	}
	return s.free(ctx, id)
}

// reclaim frees what sessions own that are gone: a Revoke that died half-way left it.
func (s *Store) reclaim(ctx context.Context) error {
	var owners []backend.SessionID
	if err := s.read(ctx, func(c *conn) error {
		return c.query(ctx, func(v []driver.Value) error {
			owners = append(owners, backend.SessionID(number(v[0])))
			return nil
		}, "SELECT DISTINCT owner FROM execution WHERE owner <> 0 AND owner NOT IN (SELECT id FROM session)")
	}); err != nil {
		return err
	}
	for _, id := range owners {
		if err := s.free(ctx, id); err != nil {
			return err
		}
	}
	return s.crash(ctx, 0)
}

// crash turns the tasks that a gone session, or with 0 any, was at into Outcomes, in chunks.
func (s *Store) crash(ctx context.Context, id backend.SessionID) error {
	var busy bool
	if err := s.read(ctx, func(c *conn) error {
		v, err := c.first(ctx, "SELECT EXISTS (SELECT 1 FROM task WHERE owner <> 0)")
		busy = err == nil && number(v[0]) != 0
		return err
	}); err != nil {
		return err
	}
	for busy {
		if err := s.write(ctx, func(c *conn, at time.Time) (err error) {
			busy, err = crashTasks(c, id, at)
			return err
		}); err != nil {
			return err
		}
	}
	return nil
}

// free makes everything that a gone session owned ownerless and due, in chunks.
func (s *Store) free(ctx context.Context, id backend.SessionID) error {
	for n := int64(freed); n == freed; {
		if err := s.write(ctx, func(c *conn, at time.Time) (err error) {
			n, err = c.exec(`UPDATE execution SET owner = 0, due = ? WHERE key IN (
				SELECT key FROM execution WHERE owner = ? AND owner <> 0 LIMIT +?)`, at, id, freed)
			return err
		}); err != nil {
			return err
		}
	}
	return s.crash(ctx, id)
}

// Sessions returns all sessions, oldest first.
func (s *Store) Sessions(ctx context.Context) (list []backend.Session, err error) {
	err = s.read(ctx, func(c *conn) error {
		list, err = sessions(ctx, c)
		return err
	})
	return list, err
}

func sessions(ctx context.Context, c *conn) (list []backend.Session, err error) {
	err = c.query(ctx, func(v []driver.Value) error {
		list = append(list, backend.Session{
			ID: backend.SessionID(number(v[0])), Beat: number(v[1]), Host: word(v[2]), Boot: word(v[3]), PIDNS: word(v[4]),
			PID: int(number(v[5])), Started: word(v[6]), Opened: instant(v[7]), Info: bytes(v[8]),
		})
		return nil
	}, "SELECT id, beat, host, boot, pidns, pid, started, opened, info FROM session ORDER BY id")
	return list, err
}
