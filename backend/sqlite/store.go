// Package sqlite keeps executions in one SQLite file that several processes of
// one machine may share.
//
// All writing goes through one connection behind a turnstile (lock.go), one
// transaction per call, so that SQLITE_BUSY never happens between processes of
// ours. Readers have connections of their own and, thanks to the write-ahead
// log, never wait for writers nor keep them waiting.
//
// A store from OpenToLook may have readers alone (look.go), where the file may
// not be written.
package sqlite

import (
	"context"
	"errors"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/senpuki/senpuki/backend"
)

// Store is a SQLite file.
type Store struct {
	path   string
	files  []beside
	looked time.Time // when they were all there; owned by who has the writer's turn
	turn   *turnstile

	// Guarded by the turnstile.
	writer *conn
	known  known
	log    logFile
	args   []any // scratch space of appendTogether
	held   []int // and of land
	group  []int
	rest   []int

	onlooker *onlooker // of a store that only looks, which has neither a turn nor a writer; else nil

	readers *readers
	closed  atomic.Bool
	wrote   atomic.Bool // or was about to

	watching sync.Mutex
	watch    *conn // for Version alone: data_version is a connection's own view
}

func newStore(path, synchronous string, turn *turnstile, writer *conn) *Store {
	s := &Store{path: path, turn: turn, writer: writer,
		known: make(known), readers: newReaders(), log: logFile{path: path + "-wal", done: synchronous != "full"}}
	for _, name := range []string{"", "-shm", "-wal"} {
		if at, err := os.Stat(path + name); err == nil { // without it nothing is compared
			s.files = append(s.files, beside{path + name, at})
		}
	}
	return s
}

// Close waits for what is under way and closes the file.
func (s *Store) Close() error {
	if s.closed.Swap(true) {
		return nil
	}
	errs := []error{s.readers.close()}
	s.watching.Lock()
	defer s.watching.Unlock()
	if s.watch != nil {
		errs = append(errs, s.watch.close())
	}
	if s.onlooker != nil {
		return errors.Join(errs...)
	}
	// The writer goes last: it folds the log into the database. Who has only looked does not wait for those who write.
	entered, err := true, error(nil)
	if s.wrote.Load() {
		err = s.turn.enter(context.Background())
	} else {
		entered, err = s.turn.tryEnter()
	}
	if err != nil {
		return errors.Join(append(errs, err)...)
	}
	errs = append(errs, s.log.close())
	if s.mayFold() {
		errs = append(errs, s.writer.close())
	}
	if entered {
		s.turn.leave()
	}
	return errors.Join(append(errs, s.turn.close())...)
}

// write runs fn in a transaction at the writer's turn.
func (s *Store) write(ctx context.Context, fn func(c *conn, at time.Time) error) error {
	return s.writing(ctx, 0, func() error { return s.transact(fn) })
}

// writing runs fn at the writer's turn, after a look at the database's files when there was none within that time.
func (s *Store) writing(ctx context.Context, within time.Duration, fn func() error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if s.onlooker != nil {
		return s.onlooker.refuse()
	}
	s.wrote.Store(true) // before the look at closed: Close looks the other way round
	if s.closed.Load() {
		return errShut
	}
	if err := s.turn.enter(ctx); err != nil {
		return err
	}
	defer s.turn.leave()
	if s.closed.Load() {
		return errShut
	}
	if at := time.Now(); at.Sub(s.looked) >= within {
		if err := s.there(); err != nil {
			return err
		}
		s.looked = at
	}
	err := fn()
	if err != nil {
		clear(s.known) // what it had learned may have been rolled back
	}
	return translate(err)
}

// transact runs fn in a transaction of the writer's.
func (s *Store) transact(fn func(c *conn, at time.Time) error) error {
	return transact(s.writer, func() error {
		s.log.grow()
		return fn(s.writer, now())
	})
}

// transact runs fn between BEGIN IMMEDIATE and COMMIT.
func transact(c *conn, fn func() error) error {
	if _, err := c.exec("BEGIN IMMEDIATE"); err != nil {
		return err
	}
	err := fn()
	if err == nil {
		_, err = c.exec("COMMIT")
	}
	if err != nil {
		// Some errors have rolled back already; then there is nothing to do.
		_, _ = c.exec("ROLLBACK")
	}
	return err
}

// read runs fn with a connection that cannot write.
func (s *Store) read(ctx context.Context, fn func(c *conn) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if s.closed.Load() {
		return errShut
	}
	c, err := s.readers.take(ctx)
	if err != nil {
		return err
	}
	defer func() { s.readers.put(c) }()
	if s.closed.Load() {
		return errShut
	}
	c, now, err := s.current(c, "query_only=1", "temp_store=memory")
	if err != nil {
		return err
	}
	err = fn(c)
	if changed := s.onlooker.still(now); changed != nil {
		return changed
	}
	return translate(err)
}

// current is a connection to the files as they stand: c, when it is one, else another one.
func (s *Store) current(c *conn, pragmas ...string) (*conn, stand, error) {
	if s.onlooker != nil {
		return s.onlooker.current(c, pragmas...)
	}
	if c != nil {
		return c, stand{}, nil
	}
	c, err := s.another(pragmas...)
	return c, stand{}, translate(err)
}

// another opens one more connection to the file that the others have.
func (s *Store) another(pragmas ...string) (*conn, error) {
	if err := s.replaced(); err != nil { // SQLite would make an empty file where there is none
		return nil, err
	}
	c, err := connect(s.path, pragmas...)
	if err != nil {
		return nil, err
	}
	if err := s.replaced(); err != nil {
		return nil, errors.Join(err, c.close()) // it has read nothing yet, and so closing it removes no log
	}
	return c, nil
}

// replaced fails when the file is not the one that was opened.
func (s *Store) replaced() error {
	if len(s.files) > 0 && !s.files[0].there() {
		return s.files[0].gone("")
	}
	return nil
}

// Pool is the use of the connections that read; writers queue at the turnstile.
func (s *Store) Pool() backend.Pool {
	return backend.Pool{Max: maxReaders, InUse: s.readers.inUse()}
}

// Version changes whenever any connection has changed the database.
func (s *Store) Version(context.Context) (int64, error) {
	s.watching.Lock()
	defer s.watching.Unlock()
	if s.closed.Load() {
		return 0, errShut
	}
	watch, now, err := s.current(s.watch, "query_only=1")
	if s.watch = watch; err != nil {
		return 0, err
	}
	v, err := s.watch.first(nonstop, "PRAGMA data_version") // with a context that can end the driver would start a goroutine
	if err != nil {
		return 0, translate(err)
	}
	return now.round<<32 + number(v[0]), nil
}

// nonstop is the context inside a transaction: what has begun is not called off.
var nonstop = context.Background()

// now is the time of one transaction.
func now() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }

// Now is the time of this machine, whose processes alone share the file.
func (s *Store) Now(context.Context) (time.Time, error) { return now(), nil }

// Deploy stores programs and deployments.
func (s *Store) Deploy(ctx context.Context, programs []backend.Program, deployments []backend.Deployment) ([]backend.Deployment, error) {
	stored := make([]backend.Deployment, 0, len(deployments))
	err := s.write(ctx, func(c *conn, at time.Time) error {
		for _, p := range programs {
			if _, err := c.exec(`INSERT INTO program (digest, created, sources) VALUES (?, ?, ?)
				ON CONFLICT DO UPDATE SET sources = excluded.sources WHERE sources IS NOT excluded.sources`, p.Digest, at, text(p.Sources)); err != nil {
				return err
			}
		}
		for _, d := range deployments {
			d, err := deploy(c, d, at)
			if err != nil {
				return err
			}
			stored = append(stored, d)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return stored, nil
}

func deploy(c *conn, d backend.Deployment, at time.Time) (backend.Deployment, error) {
	if err := stored(c, d.Digest); err != nil {
		return d, err
	}
	v, err := c.first(nonstop, "SELECT "+deploymentColumns+" FROM workflow WHERE name = ? ORDER BY version DESC LIMIT 1", d.Workflow)
	if err != nil {
		return d, err
	}
	d.Version, d.At = 1, at
	if v != nil {
		newest := deployment(v)
		if newest.Digest == d.Digest {
			return newest, nil
		}
		d.Version = newest.Version + 1
	}
	_, err = c.exec("INSERT INTO workflow (name, version, digest, by, note, at) VALUES (?, ?, ?, ?, ?, ?)",
		d.Workflow, d.Version, d.Digest, d.By, d.Note, d.At)
	return d, err
}
