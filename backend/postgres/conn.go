// Transactions, and statements that are sent without waiting for each other's answer.

package postgres

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/senpuki/senpuki/backend"
)

const (
	// begun bounds a transaction that has begun (patience.go).
	begun = 30 * time.Second
	// tries is how often a transaction that lost a deadlock is run.
	tries = 8
)

// step is one statement of a flush.
type step struct {
	sql   string
	args  []any
	guard error                // what a division by zero in it means
	row   func(pgx.Rows) error // called for every row of the answer
	n     *int64               // set to how many rows it returned or changed
	wakes *int64               // grows by how many rows it changed
}

// tx is a transaction on one connection. The first statements wait for the
// first flush, so that BEGIN costs no round trip of its own.
type tx struct {
	ctx     context.Context
	conn    *pgxpool.Conn
	pending []step
	told    bool      // a row was handed on: what read it is not to be run again
	woken   int64     // how many executions that nobody owns were made due by messages
	reached []string  // executions that were told of an end
	broken  bool      // the connection is gone
	silence *hush     // of a reader who is not answered for long; nil where nobody counts
	at      time.Time // of the transaction, by the database's clock; known after the first flush
}

// add queues a statement for the next flush.
func (t *tx) add(sql string, args ...any) *step {
	t.pending = append(t.pending, step{sql: sql, args: args})
	return &t.pending[len(t.pending)-1]
}

// flush sends what is queued and reads all answers.
func (t *tx) flush() error {
	if len(t.pending) == 0 {
		return nil
	}
	var b pgx.Batch
	for i := range t.pending {
		b.Queue(t.pending[i].sql, t.pending[i].args...)
	}
	answers := t.conn.SendBatch(t.ctx, &b)
	var err error
	for i := range t.pending {
		rows, e := t.pending[i].read(answers, t.silence)
		t.told = t.told || rows
		if err = e; err != nil {
			break
		}
	}
	t.pending = t.pending[:0]
	if end := answers.Close(); err == nil {
		err = end
	}
	return err
}

// read reads the answer to a statement; told says whether somebody was told of a row. What he does with it is no silence.
func (s *step) read(answers pgx.BatchResults, silence *hush) (told bool, err error) {
	rows, err := answers.Query()
	if err == nil {
		for err == nil && rows.Next() {
			if s.row != nil {
				told = true
				silence.stop()
				err = s.row(rows)
			}
			silence.start()
		}
		rows.Close()
		if err == nil {
			err = rows.Err()
		}
		if s.n != nil {
			*s.n = rows.CommandTag().RowsAffected()
		}
		if s.wakes != nil {
			*s.wakes += rows.CommandTag().RowsAffected()
		}
	}
	if s.guard != nil && code(err) == divisionByZero {
		err = s.guard
	}
	return told, err
}

// hush counts how long nothing has come.
type hush struct {
	timer *time.Timer
	limit time.Duration
}

func (h *hush) stop() {
	if h != nil {
		h.timer.Stop()
	}
}

func (h *hush) start() {
	if h != nil {
		h.timer.Reset(h.limit)
	}
}

// each runs a statement, after what is queued, and calls row for every row of the answer.
func (t *tx) each(row func(pgx.Rows) error, sql string, args ...any) error {
	t.add(sql, args...).row = row
	return t.flush()
}

// exec runs a statement that returns nothing.
func (t *tx) exec(sql string, args ...any) error { return t.each(nil, sql, args...) }

// first scans the first row of an answer and reports whether there was one.
func (t *tx) first(dest []any, sql string, args ...any) (found bool, err error) {
	err = t.each(func(r pgx.Rows) error {
		if found {
			return nil
		}
		found = true
		return r.Scan(dest...)
	}, sql, args...)
	return found, err
}

// count runs a statement and returns how many rows it returned or changed.
func (t *tx) count(sql string, args ...any) (n int64, err error) {
	t.add(sql, args...).n = &n
	err = t.flush()
	return n, err
}

// commit queues the end; nothing may be queued after it.
func (t *tx) commit() { t.add("COMMIT") }

// open reports whether the transaction has neither landed nor failed.
func (t *tx) open() bool { return t.conn.Conn().PgConn().TxStatus() == 'T' }

// transact runs fn in a transaction of a session, or with zero of nobody, again
// while it loses deadlocks: then nothing has landed. fn may have committed.
func (s *Store) transact(ctx context.Context, session backend.SessionID, fn func(t *tx) error) error {
	for n := 1; ; n++ {
		err := s.once(ctx, session, fn)
		if err == nil || !again(err) || n == tries {
			return s.translate(err)
		}
		pause := time.NewTimer(time.Duration(n) * time.Duration(1+rand.IntN(10)) * time.Millisecond)
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return s.translate(err)
		}
	}
}

// unasked marks a context whose owner takes an idle connection as it is; anew one whose owner takes none of the pool's.
type unasked struct{}
type anew struct{}

// acquire takes a connection out of the pool.
func (s *Store) acquire(ctx context.Context) (*pgxpool.Conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	pool := s.pool
	if ctx.Value(anew{}) != nil {
		pool = s.spare
	}
	conn, err := pool.Acquire(ctx)
	switch {
	case err == nil:
		s.taken.Add(1)
	case s.closed.Load():
		err = errShut
	}
	return conn, err
}

// release puts a connection back.
func (s *Store) release(conn *pgxpool.Conn) {
	conn.Release()
	s.taken.Add(-1)
}

// leave is release, but for a connection whose server takes no writes: the next
// connection may be to the one that does.
func (s *Store) leave(conn *pgxpool.Conn, err error) {
	if code(err) == readOnly {
		end, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = conn.Conn().Close(end) // nothing is open on it
	}
	s.release(conn)
}

func (s *Store) once(ctx context.Context, session backend.SessionID, fn func(t *tx) error) (err error) {
	conn, err := s.acquire(ctx)
	if err != nil {
		return err
	}
	defer func() { s.leave(conn, err) }()
	w := s.patient(ctx, session)
	defer w.end()
	ctx = w.ctx
	t := &tx{ctx: ctx, conn: conn}
	t.add("BEGIN ISOLATION LEVEL READ COMMITTED")
	if s.pooler {
		t.add(s.settings)
	}
	first := &step{}
	if session != 0 {
		if err := s.stands(session, t); err != nil {
			return err
		}
		// Whoever revokes the session waits until this transaction is over, and
		// whatever of the session's begins later finds no row and divides by zero.
		first = t.add(`SELECT now(), 1 / (SELECT count(*) FROM (SELECT 1 FROM session WHERE id = $1 FOR KEY SHARE) AS s)`, int64(session))
		first.guard = backend.ErrFenced
	} else {
		first = t.add("SELECT now()")
	}
	first.row = func(r pgx.Rows) error {
		if session == 0 {
			return r.Scan(&t.at)
		}
		var one int64
		return r.Scan(&t.at, &one)
	}
	if err = fn(t); err == nil && (t.open() || len(t.pending) > 0) {
		if n := len(t.pending); n == 0 || t.pending[n-1].sql != "COMMIT" {
			t.commit()
		}
		err = t.flush()
	}
	t.at = t.at.UTC()
	if err == nil || conn.Conn().IsClosed() || conn.Conn().PgConn().TxStatus() == 'I' {
		return unanswered(ctx, err)
	}
	_, undone := conn.Exec(ctx, "ROLLBACK")
	return unanswered(ctx, errors.Join(err, undone))
}

// read runs fn with statements that see one moment each.
func (s *Store) read(ctx context.Context, fn func(t *tx) error) error {
	if !s.pooler {
		return s.view(ctx, true, fn)
	}
	return s.view(ctx, true, fn, "BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY", s.settings)
}

// plans allows every kind of plan in a transaction that goes through whole tables.
const plans = `SELECT set_config('enable_seqscan', 'on', true), set_config('enable_hashjoin', 'on', true), set_config('enable_mergejoin', 'on', true),
	set_config('plan_cache_mode', 'force_custom_plan', true), set_config('max_parallel_workers_per_gather', '2', true),
	set_config('cpu_tuple_cost', '0.01', true), set_config('cpu_index_tuple_cost', '0.005', true)`

// look runs fn on one snapshot, and with every kind of plan: what counts and
// checks whole tables must not go through an index for each row, and may take long.
func (s *Store) look(ctx context.Context, fn func(t *tx) error) error {
	if !s.pooler {
		return s.view(ctx, false, fn, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", plans)
	}
	return s.view(ctx, false, fn, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", s.settings, plans)
}

// view runs fn after some statements. A connection that has died in the pool,
// for the server was started anew perhaps, is nothing to bother a reader with. One on which nothing comes is given up when brief
// answers are due: a worker's loop would wait as long as the network keeps silent.
func (s *Store) view(ctx context.Context, brief bool, fn func(t *tx) error, first ...string) error {
	for n := 1; ; n++ {
		t := &tx{ctx: ctx}
		err := s.viewWhile(t, brief, fn, first)
		if err == nil || errors.Is(err, errSilent) || !t.broken || t.told || n == tries || ctx.Err() != nil {
			return s.translate(err)
		}
	}
}

func (s *Store) viewWhile(t *tx, brief bool, fn func(t *tx) error, first []string) error {
	if !brief {
		return s.viewOnce(t, fn, first)
	}
	ctx, giveUp := context.WithCancelCause(t.ctx)
	defer giveUp(nil)
	t.ctx, t.silence = ctx, &hush{time.AfterFunc(s.silence, func() { giveUp(errSilent) }), s.silence}
	defer t.silence.stop()
	err := s.viewOnce(t, fn, first)
	if err != nil && errors.Is(context.Cause(ctx), errSilent) {
		return errSilent
	}
	return err
}

func (s *Store) viewOnce(t *tx, fn func(t *tx) error, first []string) error {
	conn, err := s.acquire(t.ctx)
	if err != nil {
		return err
	}
	defer s.release(conn)
	t.conn = conn
	for _, sql := range first {
		t.add(sql)
	}
	err = fn(t)
	if t.broken = conn.Conn().IsClosed(); !t.broken && conn.Conn().PgConn().TxStatus() != 'I' {
		_, undone := conn.Exec(t.ctx, "ROLLBACK")
		err = errors.Join(err, undone)
	}
	return err
}
