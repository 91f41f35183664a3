// Wake-ups between processes, over LISTEN and NOTIFY.

package postgres

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/senpuki/senpuki/backend"
)

const (
	// maxHint is the size of the largest text of a hint: NOTIFY takes less than 8000 bytes.
	maxHint = 7900
	// silence is how long a connection may say nothing before it is asked whether it is alive.
	silence = 30 * time.Second
	// reply is how long it may take to answer that.
	reply = 10 * time.Second
)

// channel is what workers of one schema listen to.
func (s *Store) channel() string { return "senpuki_" + s.schema }

// Notify tells all who listen on this schema. It is a transaction of its own:
// those that notify wait for each other to commit, which commits of turns must not.
func (s *Store) Notify(ctx context.Context, h backend.Hint) error {
	return s.read(ctx, func(t *tx) error {
		// A hint is not worth a flush of the server's log, which its commit would wait for, and others with it.
		return t.exec("SELECT set_config('synchronous_commit', 'off', true), pg_notify($1::text, part) FROM unnest($2::text[]) AS part", s.channel(), h.Encode(maxHint))
	})
}

// Listen hears hints on a connection of its own.
func (s *Store) Listen(ctx context.Context, heard func(backend.Hint)) error {
	if s.pooler {
		return errors.New("listen: a pooler in transaction mode hands the connection to others between transactions; polling is used")
	}
	open, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.life, cancel)()
	lost := false
	for pause := 100 * time.Millisecond; ; {
		connected, err := s.hear(open, heard)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case s.closed.Load():
			return fmt.Errorf("listen: %w", errShut)
		case connected:
			pause, lost = 100*time.Millisecond, false
		case !lost:
			lost = true
			heard(backend.Hint{Lost: true, Why: s.translate(err)})
		}
		timer := time.NewTimer(pause/2 + rand.N(pause))
		select {
		case <-timer.C:
		case <-open.Done():
			timer.Stop()
		}
		pause = min(2*pause, 5*time.Second)
	}
}

// hear listens until the connection breaks or the store is closed, and says
// whether there was a connection, or why there was none.
func (s *Store) hear(ctx context.Context, heard func(backend.Hint)) (connected bool, err error) {
	config := s.pool.Config().ConnConfig
	s.cipher.prefer(config)
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return false, err
	}
	defer func() {
		if ctx.Err() == nil {
			s.cipher.forget()
		}
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = conn.Close(end) // there is nothing to lose on it
	}()
	if _, err := conn.Exec(ctx, "LISTEN "+pgx.Identifier{s.channel()}.Sanitize()); err != nil {
		return false, err
	}
	heard(backend.Hint{})
	for {
		n, err := within(ctx, silence, conn.WaitForNotification)
		switch {
		case err == nil:
			heard(backend.DecodeHint([]byte(n.Payload)))
		case ctx.Err() != nil || conn.IsClosed():
			return true, nil
		default: // nothing for a while: is anybody there?
			if _, err := within(ctx, reply, func(ctx context.Context) (bool, error) { return true, conn.Ping(ctx) }); err != nil {
				return true, nil
			}
		}
	}
}

// within calls fn with a context that ends after a while.
func within[T any](ctx context.Context, d time.Duration, fn func(context.Context) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	return fn(ctx)
}

var _ backend.Notifier = (*Store)(nil)
