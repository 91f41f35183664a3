// Sessions: opened, beating, revoked.

package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/senpuki/senpuki/backend"
)

// freed is how many executions one transaction of Revoke frees: others are
// not kept waiting for long.
const freed = 500

// Now is the server's time.
func (s *Store) Now(ctx context.Context) (at time.Time, err error) {
	err = s.read(ctx, func(t *tx) error {
		var now pgtype.Timestamptz
		_, err := t.first([]any{&now}, "SELECT now()")
		at = instant(now)
		return err
	})
	return at, err
}

// Open begins a session.
func (s *Store) Open(ctx context.Context, n backend.Session) (id backend.SessionID, opened time.Time, err error) {
	line := ""
	err = s.transact(context.WithValue(ctx, hasty{}, true), 0, func(t *tx) (err error) {
		if line, err = lineOf(t.ctx, t.conn.Conn()); err != nil {
			return err
		}
		if s.pooler && line != "" {
			if _, err := t.first([]any{&line}, askLine); err != nil {
				return err
			}
		}
		_, err = t.first([]any{(*int64)(&id)}, `INSERT INTO session (beat, host, boot, pidns, pid, started, opened, info)
			VALUES (0, $1::text, $2::text, $3::text, $4::int, $5::text, now(), $6::text) RETURNING id`,
			clean(n.Host), clean(n.Boot), clean(n.PIDNS), small(n.PID), clean(n.Started), text(n.Info))
		opened = t.at.UTC()
		return err
	})
	if err != nil {
		return 0, time.Time{}, err
	}
	s.lines.Store(id, line)
	s.opened.Store(id, opened)
	return id, opened, nil
}

// Beat advances a session's counter. It changes no key, so that it does not
// wait for commits, which hold the row FOR KEY SHARE. A connection that says nothing may be slow, or one that the network has
// forgotten: then it is asked on a new one as well, and the first answer counts. When none comes because the server waits for a
// standby, that is what there is to say.
func (s *Store) Beat(ctx context.Context, id backend.SessionID, info []byte) (backend.Beaten, error) {
	ctx, cancel := context.WithTimeout(ctx, begun)
	defer cancel()
	type answer struct {
		beaten backend.Beaten
		err    error
	}
	answers := make(chan answer, 2)
	ask := func(ctx context.Context) {
		beaten, err := s.beat(ctx, id, info)
		answers <- answer{beaten, err}
	}
	go ask(context.WithValue(ctx, unasked{}, true))
	asked, second := 1, time.NewTimer(s.late)
	defer second.Stop()
	why := time.NewTimer(knows(s.late))
	defer why.Stop()
	for {
		select {
		case <-why.C:
			if s.awaitsStandby(ctx, s.late/2) {
				return backend.Beaten{}, errStandby
			}
		case <-second.C:
			asked++
			go ask(context.WithValue(ctx, anew{}, true))
		case <-ctx.Done():
			return backend.Beaten{}, s.translate(ctx.Err())
		case a := <-answers:
			if asked--; asked == 0 || a.err == nil || errors.Is(a.err, backend.ErrFenced) {
				return a.beaten, a.err
			}
		}
	}
}

func (s *Store) beat(ctx context.Context, id backend.SessionID, info []byte) (beaten backend.Beaten, err error) {
	in := s.read // a statement by itself is a transaction
	if s.pooler {
		in = func(ctx context.Context, fn func(t *tx) error) error { return s.transact(ctx, 0, fn) }
	}
	err = in(ctx, func(t *tx) error {
		if err := s.stands(id, t); err != nil {
			return err
		}
		beaten = backend.Beaten{}
		// When the schema was dropped and made again another session may have the number.
		opened, _ := s.opened.Load(id)
		st := t.add(`WITH beaten AS (UPDATE session SET beat = beat + 1, info = $2::text WHERE id = $1::bigint AND opened = coalesce($3::timestamptz, opened) RETURNING 1)
			SELECT now(), 1 / (SELECT count(*) FROM beaten),
				EXISTS (SELECT 1 FROM execution WHERE owner = 0 AND expires IS NOT NULL AND finished IS NULL AND expires <= now()), `+sessionColumns+`
			FROM session ORDER BY id`, int64(id), text(info), opened)
		st.guard = backend.ErrFenced
		st.row = func(r pgx.Rows) error {
			var one int64
			n, err := scanSession(r, &beaten.At, &one, &beaten.Expired)
			beaten.Sessions = append(beaten.Sessions, n)
			return err
		}
		return t.flush()
	})
	switch {
	case err != nil:
		return backend.Beaten{}, err
	case len(beaten.Sessions) == 0:
		return backend.Beaten{}, backend.ErrFenced
	}
	beaten.At = beaten.At.UTC()
	return beaten, nil
}

// Revoke ends a session and then frees what it owned (invariant 8). Deleting
// the row waits for the commits that stand on it.
func (s *Store) Revoke(ctx context.Context, id backend.SessionID) error {
	if id == 0 {
		return s.reclaim(ctx)
	}
	if err := s.transact(ctx, 0, func(t *tx) error {
		t.add("DELETE FROM session WHERE id = $1::bigint", int64(id))
		return nil
	}); err != nil {
		return err
	}
	s.lines.Delete(id)
	s.opened.Delete(id)
	return s.free(ctx, id)
}

// reclaim frees what sessions own that are gone: a Revoke that died half-way
// left it. It names them one by one: while an UPDATE waits for a row, a session
// opened since may have claimed it, and the statement would not know that one.
func (s *Store) reclaim(ctx context.Context) error {
	var owners []int64
	if err := s.read(ctx, func(t *tx) (err error) {
		owners, err = found(t, `SELECT owner FROM (SELECT owner FROM execution WHERE owner <> 0 UNION SELECT owner FROM task WHERE owner <> 0) AS o
			WHERE NOT EXISTS (SELECT 1 FROM session WHERE id = o.owner) ORDER BY owner`)
		return err
	}); err != nil {
		return err
	}
	for _, id := range owners {
		if err := s.free(ctx, backend.SessionID(id)); err != nil {
			return err
		}
	}
	return nil
}

// free makes everything that a gone session owned ownerless and due, in chunks,
// and its tasks Outcomes.
func (s *Store) free(ctx context.Context, id backend.SessionID) error {
	for n := int64(freed); n == freed; {
		if err := s.transact(ctx, 0, func(t *tx) (err error) {
			n, err = t.count(`UPDATE execution SET owner = 0, due = now() WHERE owner = $1::bigint AND owner <> 0 AND key = ANY(ARRAY(
				SELECT key FROM execution WHERE owner = $1::bigint AND owner <> 0 ORDER BY key LIMIT $2::bigint FOR NO KEY UPDATE))`, int64(id), int64(freed))
			return err
		}); err != nil {
			return err
		}
	}
	for more := true; more; {
		if err := s.transact(ctx, 0, func(t *tx) (err error) {
			more, err = t.concludeTasks(backend.TaskCrashed, "owner = $1::bigint AND owner <> 0", int64(id))
			return err
		}); err != nil {
			return err
		}
	}
	return nil
}

// Sessions returns all sessions, oldest first.
func (s *Store) Sessions(ctx context.Context) (list []backend.Session, err error) {
	err = s.read(ctx, func(t *tx) error {
		return t.each(func(r pgx.Rows) error {
			n, err := scanSession(r)
			list = append(list, n)
			return err
		}, "SELECT "+sessionColumns+" FROM session ORDER BY id")
	})
	return list, err
}

const sessionColumns = "id, beat, host, boot, pidns, pid, started, opened, info"

// scanSession reads what stands before the columns of a session, and those.
func scanSession(r pgx.Rows, before ...any) (n backend.Session, err error) {
	var opened pgtype.Timestamptz
	var info *string
	err = r.Scan(append(before, (*int64)(&n.ID), &n.Beat, &n.Host, &n.Boot, &n.PIDNS, &n.PID, &n.Started, &opened, &info)...)
	n.Opened, n.Info = instant(opened), bytes(info)
	return n, err
}
