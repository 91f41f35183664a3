// What a fail-over may have lost, and how sessions learn of it.

package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/senpuki/senpuki/backend"
)

// A server that was a standby writes another timeline than the one before it, and
// commits that had been answered may be missing from it when it did not replicate
// synchronously. What a session thinks it has written is then no longer to be
// built upon: turns of its executions would leave gaps in their journals. So a session lands
// on the timeline that it was opened on and on no other. Timelines are numbered:
// https://www.postgresql.org/docs/current/continuous-archiving.html#BACKUP-TIMELINES

// askLine asks for the number; it is empty on a standby.
const askLine = `SELECT CASE WHEN pg_is_in_recovery() THEN '' ELSE left(pg_walfile_name(pg_current_wal_lsn()), 8) END`

// lineKey is where a connection keeps it.
const lineKey = "senpuki.line"

// learnLine asks on a new connection. Databases that only speak the protocol know
// no timelines, nor do they lose what they have answered: theirs is empty.
func learnLine(ctx context.Context, c *pgx.Conn) error {
	var line string
	err := c.QueryRow(ctx, askLine).Scan(&line)
	if _, answered := errors.AsType[*pgconn.PgError](err); err != nil && (!answered || c.IsClosed()) { // it may have been the server's last word
		return err
	}
	c.PgConn().CustomData()[lineKey] = line
	return nil
}

// lineOf is what a connection has learnt. A standby that it was made to may have been promoted since.
func lineOf(ctx context.Context, c *pgx.Conn) (line string, err error) {
	if line, _ = c.PgConn().CustomData()[lineKey].(string); line == "" {
		if err = learnLine(ctx, c); err == nil {
			line, _ = c.PgConn().CustomData()[lineKey].(string)
		}
	}
	return line, err
}

// stands returns ErrFenced when a session was opened on another timeline than the
// one that the connection's server writes. A pooler gives every transaction to another server
// connection, and so it is asked again in each.
func (s *Store) stands(session backend.SessionID, t *tx) error {
	v, known := s.lines.Load(session)
	if !known || v == "" {
		return nil
	}
	if s.pooler {
		t.add("SELECT 1 / CASE WHEN ("+askLine+") = $1::text THEN 1 ELSE 0 END", v).guard = backend.ErrFenced
		return nil
	}
	line, err := lineOf(t.ctx, t.conn.Conn())
	if err == nil && line != "" && line != v { // a standby refuses the write itself
		err = backend.ErrFenced
	}
	return err
}
