package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/senpuki/senpuki/backend"
)

// LearnArrays is learnArrays.
var LearnArrays = learnArrays

// Inspect returns a setting as a transaction of the store has it.
func (s *Store) Inspect(ctx context.Context, name string, value *string) error {
	return s.transact(ctx, 0, func(t *tx) error {
		_, err := t.first([]any{value}, "SELECT current_setting($1::text)", name)
		return err
	})
}

// Forget makes idle connections look as if they had been made to a standby.
func (s *Store) Forget(ctx context.Context) {
	for _, c := range s.pool.AcquireAllIdle(ctx) {
		c.Conn().PgConn().CustomData()[lineKey] = ""
		c.Release()
	}
}

// Elsewhere makes a session look as if it had been opened before a standby was promoted.
func (s *Store) Elsewhere(session backend.SessionID) (line any) {
	line, _ = s.lines.Swap(session, "000000FE")
	return line
}

// Pong is how long an idle connection to a URL may take to say that it is alive.
func Pong(url string) (time.Duration, error) {
	at, err := parse(url)
	if err != nil {
		return 0, err
	}
	return at.config.PingTimeout, nil
}

// Break closes all idle connections.
func (s *Store) Break(ctx context.Context) {
	for _, c := range s.pool.AcquireAllIdle(ctx) {
		_ = c.Conn().Close(ctx)
		c.Release()
	}
}

// Hurry makes heartbeats, readers and those who write lose patience with a connection after a moment.
func (s *Store) Hurry(late, silence time.Duration) { s.late, s.silence = late, silence }

// Warm makes the pool have at least n connections that are idle.
func (s *Store) Warm(ctx context.Context, n int) (err error) {
	conns := make([]*pgxpool.Conn, n)
	for i := range conns {
		if conns[i], err = s.pool.Acquire(ctx); err != nil {
			return err
		}
		defer conns[i].Release()
	}
	return nil
}
