// Waiting for a server that does not answer.

package postgres

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/senpuki/senpuki/backend"
)

const (
	// patience is how long Open tries to reach a server that does not answer.
	patience = 110 * time.Second
	// quiet is for how long it does so without telling anybody.
	quiet = 2 * time.Second
)

// Waiting is what Open waits for.
type Waiting struct {
	Database string    // where it is, without a password
	Err      error     // what the newest try came to, nil when the first one has no answer yet
	Until    time.Time // when Open gives up
}

// told tells somebody, once, that Open waits.
type told struct {
	tell func(Waiting) // nil: nobody asks

	mu   sync.Mutex // guards what, and is held while somebody is told
	what Waiting
	over bool // told, or there is nothing to wait for any more
}

// failed notes what a try came to.
func (t *told) failed(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.what.Err = err
}

// now tells it.
func (t *told) now() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.over && t.tell != nil {
		t.tell(t.what)
	}
	t.over = true
}

// end waits for the telling and keeps it from happening later.
func (t *told) end() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.over = true
}

// reach waits for the server, with patience, and brings the schema up to date, which takes as long as it takes.
func (s *Store) reach(migration context.Context, at *target, tell func(Waiting)) error {
	ctx, cancel := context.WithTimeout(migration, patience)
	defer cancel()
	t := &told{tell: tell, what: Waiting{Database: at.name}}
	t.what.Until, _ = ctx.Deadline()
	defer t.end()
	alarm := time.AfterFunc(quiet, t.now) // a try may take longer than that
	defer alarm.Stop()
	began, last := time.Now(), error(nil)
	for pause := 50 * time.Millisecond; ; pause = min(2*pause, 5*time.Second) {
		phase, err := s.prepare(ctx, migration, func() { alarm.Stop() })
		if err == nil {
			return nil
		}
		err = s.translate(err)
		if here := address(at.config.ConnConfig) + ": "; !strings.Contains(err.Error(), "; ") { // the caller names the only one
			err = without(err, here)
		}
		err = fmt.Errorf("%s: %w", phase, err)
		if ctx.Err() != nil && last != nil { // the last answer says more than "too late"
			err = last
		}
		if ctx.Err() != nil || !errors.Is(err, backend.ErrTransient) {
			if waited := time.Since(began); waited > time.Second {
				return fmt.Errorf("%w (tried for %v)", err, waited.Round(time.Second))
			}
			return err
		}
		last = err
		if t.failed(err); time.Since(began) >= quiet {
			t.now()
		}
		timer := time.NewTimer(pause/2 + rand.N(pause))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return fmt.Errorf("%w (tried for %v)", last, time.Since(began).Round(time.Second))
		}
	}
}

// prepare connects and migrates; phase is what it was at when it failed.
func (s *Store) prepare(ctx, migration context.Context, connected func()) (phase string, err error) {
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return "connect", err
	}
	defer conn.Release()
	connected()
	var encoding, path string
	if err := conn.QueryRow(ctx, "SELECT current_setting('server_encoding'), current_setting('search_path')").Scan(&encoding, &path); err != nil {
		return "ask for the encoding", err
	}
	if encoding != "UTF8" {
		return "connect", fmt.Errorf("the database's encoding is %s; make one with UTF8", encoding)
	}
	if !s.pooler && path != s.schema { // it would write to whichever schema the role finds first
		return "connect", errors.New("the server has not been told which schema is meant" + pooled)
	}
	return "migrate", s.migrate(ctx, migration, conn.Conn())
}
