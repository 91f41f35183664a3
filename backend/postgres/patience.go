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
// A session's that waits for a synchronous standby is waited for as long as somebody does. Called off there, it stands on its server
// alone, for all to see (https://www.postgresql.org/docs/current/warm-standby.html#SYNCHRONOUS-REPLICATION-HA): a worker that finds it
// then takes it for landed and builds on what a fail-over would lose. Who has no session is told that it may not have landed, and why; soon
// when he asks for a session.

// hasty marks a context whose owner would rather know soon what he waits for.
type hasty struct{}

// patient returns the context of a transaction that has begun, for a caller; end is called when it is over.
func (s *Store) patient(caller context.Context, session backend.SessionID) (ctx context.Context, end func()) {
	ctx, giveUp := context.WithCancelCause(context.WithoutCancel(caller))
	begun, late, silence := time.Now(), s.late, s.silence
	var look func()
	look = func() {
		switch {
		case ctx.Err() != nil: // it is over
		case session != 0 && caller.Err() == nil && s.awaitsStandby(ctx, late/2):
			time.AfterFunc(silence, look)
		default:
			giveUp(silentFor(time.Since(begun)))
		}
	}
	timer := time.AfterFunc(silence, look)
	left := context.AfterFunc(caller, func() { time.AfterFunc(late, look) })
	tells := func() bool { return false }
	if session == 0 {
		soon := silence / 2
		if caller.Value(hasty{}) != nil {
			soon = knows(late)
		}
		tells = time.AfterFunc(soon, func() {
			if ctx.Err() == nil && s.awaitsStandby(ctx, late/2) {
				giveUp(errStandby)
			}
		}).Stop
	}
	return ctx, func() {
		timer.Stop()
		left()
		tells()
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

// knows is after how long a heartbeat without an answer, or who asks for a session, may know that it is the standby.
func knows(late time.Duration) time.Duration { return late * 3 / 2 }

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
