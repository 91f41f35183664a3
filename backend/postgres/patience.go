// How long a transaction that has begun is waited for.

package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/senpuki/senpuki/backend"
)

// A transaction that has begun is not called off with its caller's context, but a server that does not answer is given up: after
// some time, and soon when nobody asks any more.
//
// One that waits for a synchronous standby is waited for as long as somebody does. Called off there, it stands on its server
// alone, for all to see (https://www.postgresql.org/docs/current/warm-standby.html#SYNCHRONOUS-REPLICATION-HA): whoever finds it then
// takes it for landed and builds on what a fail-over would lose.

// patient returns the context of a transaction that has begun, for a caller; end is called when it is over.
func (s *Store) patient(caller context.Context) (ctx context.Context, end func()) {
	ctx, giveUp := context.WithCancelCause(context.WithoutCancel(caller))
	begun, late, silence := time.Now(), s.late, s.silence
	var look func()
	look = func() {
		switch {
		case ctx.Err() != nil: // it is over
		case caller.Err() == nil && s.awaitsStandby(ctx, silence/20):
			time.AfterFunc(silence, look)
		default:
			giveUp(silentFor(time.Since(begun)))
		}
	}
	timer := time.AfterFunc(silence, look)
	left := context.AfterFunc(caller, func() { time.AfterFunc(late, look) })
	return ctx, func() {
		timer.Stop()
		left()
		giveUp(nil)
	}
}

// unanswered is what became of a transaction: in our words when it was given up.
func unanswered(ctx context.Context, err error) error {
	if why := context.Cause(ctx); err != nil && why != nil {
		return why
	}
	return err
}

// silentFor says that no answer has come.
func silentFor(d time.Duration) error {
	unit := time.Second
	if d < unit {
		unit = time.Millisecond
	}
	return fmt.Errorf("%w: no answer has come for %v", backend.ErrTransient, d.Round(unit))
}

// errStandby says what commits wait for.
var errStandby = fmt.Errorf("%w: commits wait for a synchronous standby that does not answer (synchronous_standby_names and pg_stat_replication of the server say for which)", backend.ErrTransient)

// awaitsStandby reports whether a transaction of our user has waited for a standby for some time. It may be another one than the
// one that is asked about, whose server process cannot be named behind a pooler: that one waits for a lock then, or would wait next.
func (s *Store) awaitsStandby(ctx context.Context, since time.Duration) (yes bool) {
	ctx, cancel := context.WithTimeout(context.WithValue(ctx, anew{}, true), pong)
	defer cancel()
	err := s.read(ctx, func(t *tx) error {
		_, err := t.first([]any{&yes}, `SELECT EXISTS (SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND usename = current_user
			AND wait_event = 'SyncRep' AND query_start < now() - $1::bigint * interval '1 microsecond')`, since.Microseconds())
		return err
	})
	return err == nil && yes
}
