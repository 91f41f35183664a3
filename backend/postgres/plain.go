// Batches of plain turns: a transaction that is one statement.

package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/senpuki/senpuki/backend"
)

// The statement that is a whole transaction: the fence, whatever has to be looked up, and
// the rows. It fails as a whole when the session is gone or a row may not land.
var plainMany, plainOne = plainStatement(manyRows), plainStatement(oneRow)

// The same for rows of which nothing has to be looked up: the less a plan has to open, the less each execution of it costs.
const (
	sureMany = "WITH fence AS (SELECT 1 FROM session WHERE id = $1::bigint FOR KEY SHARE), landed AS (INSERT INTO journal (run, row, session, data) " + sureRows + `
			WHERE EXISTS (SELECT 1 FROM fence) RETURNING 1)
		SELECT now(), 1 / (CASE WHEN (SELECT count(*) FROM landed) = $5::bigint THEN 1 ELSE 0 END)`
	// sureOne returns no row when the session is gone.
	sureOne = `INSERT INTO journal (run, row, session, data) SELECT $2::bigint, $3::bigint, id, $4::bytea FROM session WHERE id = $1::bigint FOR KEY SHARE
		RETURNING now()`
)

func plainStatement(source string) string {
	return "WITH fence AS (SELECT 1 FROM session WHERE id = $1::bigint FOR KEY SHARE), landed AS (" +
		fmt.Sprintf(insertRows, source, "EXISTS (SELECT 1 FROM fence) AND") + `)
		SELECT now(), 1 / (CASE WHEN (SELECT count(*) FROM landed) = $8::bigint THEN 1 ELSE 0 END)`
}

// plainly reports whether a batch does nothing but append rows to runs, each to another one.
func plainly(b *backend.Batch) bool {
	if !b.OnlyTurns() || b.Session == 0 {
		return false
	}
	for i := range b.Turns {
		t := &b.Turns[i]
		if !t.OnlyRows() || t.Then != backend.Hold || len(t.Rows) == 0 {
			return false
		}
	}
	if len(b.Turns) == 1 {
		return true
	}
	seen := make(map[backend.RunKey]bool, len(b.Turns))
	for i := range b.Turns {
		seen[b.Turns[i].Run] = true
	}
	return len(seen) == len(b.Turns)
}

// commitPlain lands such a batch, in one round trip. When the server refuses it, landed is false
// and nothing is written: the long way finds out why. After any other error it may have landed.
func (s *Store) commitPlain(ctx context.Context, b *backend.Batch) (reply backend.Reply, landed bool, err error) {
	conn, err := s.acquire(ctx)
	if err != nil {
		return reply, false, err
	}
	defer func() { s.leave(conn, err) }()
	if err := s.stands(b.Session, &tx{ctx: ctx, conn: conn}); err != nil {
		return reply, false, err
	}
	w := s.patient(ctx, b.Session)
	defer w.end()
	ctx = w.ctx
	var r rows
	for i := range b.Turns {
		r.add(&s.known, b.Session, &b.Turns[i])
	}
	var at time.Time
	var one int64
	session, n := int64(b.Session), int64(len(r.ids))
	switch {
	case n == 1 && !r.doubtful:
		err = conn.QueryRow(ctx, sureOne, session, r.runs[0], r.numbers[0], r.data[0]).Scan(&at)
	case !r.doubtful:
		err = conn.QueryRow(ctx, sureMany, session, r.runs, r.numbers, r.data, n).Scan(&at, &one)
	case n == 1:
		err = conn.QueryRow(ctx, plainOne, session, r.ids[0], r.runs[0], r.numbers[0], r.data[0], r.held[0], r.follows[0], n).Scan(&at, &one)
	default:
		err = conn.QueryRow(ctx, plainMany, session, r.ids, r.runs, r.numbers, r.data, r.held, r.follows, n).Scan(&at, &one)
	}
	switch {
	case err == nil:
		return backend.Reply{Turns: make([]backend.TurnReply, len(b.Turns)), Now: at.UTC()}, true, nil
	case code(err) == divisionByZero, errors.Is(err, pgx.ErrNoRows), duplicate(err), again(err):
		return reply, false, nil
	}
	return reply, false, unanswered(ctx, err)
}
