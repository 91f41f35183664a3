// A database that may only be read, and those who look at it.

package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/senpuki/senpuki/backend"
)

// OpenToLook opens a database that exists for those who only look. Where it may be written that is Open, which brings the schema up to date.
// Else it is read as it lies there: nothing is made beside it, and every call that writes is refused.
func OpenToLook(ctx context.Context, url string) (*Store, error) {
	path, synchronous, err := parse(url)
	if err != nil {
		return nil, err
	}
	if _, err = os.Stat(path); err != nil {
		return nil, fmt.Errorf("open database %s: %w", path, err)
	}
	var s *Store
	if why := unwritable(path); why == nil {
		s, err = open(ctx, path, synchronous)
		err = translate(err)
	} else {
		s, err = openOnlooker(ctx, path, why)
	}
	if err != nil {
		return nil, fmt.Errorf("open database %s: %w", path, err)
	}
	return s, nil
}

// unwritable is why a database that exists cannot be written by who runs this, nil when it can: what is there must be writable, and what is
// not there must be made. Found out before SQLite is asked: it would make files beside it that those who may write it cannot use.
func unwritable(path string) error {
	err := mayWrite(path)
	for _, name := range []string{"-wal", "-shm", "-next.lock", "-current.lock"} {
		if err != nil {
			break
		}
		may := mayWrite
		if filepath.Ext(name) == ".lock" { // to read is enough to lock
			may = mayRead
		}
		if err = may(path + name); errors.Is(err, fs.ErrNotExist) {
			if err = mayWrite(filepath.Dir(path)); err != nil {
				err = fmt.Errorf("make %s: %w", path+name, errors.Unwrap(err))
			}
		}
	}
	if err != nil {
		err = backend.Explain(backend.ErrRefused, "who runs this may not write it: %v", err)
	}
	return err
}

// openOnlooker opens a database that may not be written, and why says so.
func openOnlooker(ctx context.Context, path string, why error) (*Store, error) {
	if err := refuseStrange(path); err != nil {
		return nil, err
	}
	if err := mayRead(path); err != nil {
		return nil, err
	}
	s := &Store{path: path, readers: newReaders(), onlooker: &onlooker{path: path, why: why}}
	err := s.read(ctx, func(c *conn) error {
		id, err := identify(c)
		if err != nil {
			return err
		}
		switch old, err := judge(id); {
		case err != nil:
			return err
		case old && id.objects == 0:
			return fmt.Errorf("%w: it is empty", backend.ErrNotDatabase)
		case old:
			return backend.Explain(backend.ErrRefused, "it has schema %d, which this release has to bring up to date, and it may not be written: "+
				"have 'senpuki db migrate' run by who may, or copy it to a place of your own", id.version)
		}
		return nil
	})
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// manner is how a file can be read by those who may not write it.
type manner int

const (
	// bare: it has no log, as a backup. SQLite's locks on the file keep readers and writers apart.
	bare manner = iota
	// live: its log is beside it, and the -shm, in which readers have their locks. Nobody takes them away while a connection has them.
	live
	// rest: it has a log while it is open, and is not open. SQLite would make the log to read it, unless it is told that the file does
	// not change. Whether that was so is looked at before and after each read, and what was read of a file that has changed is thrown away.
	rest
)

func (m manner) options() string {
	if m == rest {
		return "?immutable=1"
	}
	return "?mode=ro"
}

// stand is how the files of a database stand.
type stand struct {
	at     os.FileInfo
	manner manner
	round  int64 // how many times they have stood otherwise before
}

func (s stand) same(at os.FileInfo, logged bool) bool {
	return s.at != nil && os.SameFile(s.at, at) && logged == (s.manner == live) &&
		(logged || s.at.Size() == at.Size() && s.at.ModTime().Equal(at.ModTime()))
}

// onlooker is what a store has that may not write its file.
type onlooker struct {
	path string
	why  error // why not

	mu   sync.Mutex
	last stand
}

// refuse is what those get who would write.
func (o *onlooker) refuse() error { return fmt.Errorf("database %s: %w", o.path, o.why) }

const (
	// tries is how often, and pause apart, files are looked at of which somebody opens or closes one just then: those of a moment do not fit together.
	tries = 20
	pause = 10 * time.Millisecond
	// tick is how old what was written last must be, for what is written later to have another time.
	tick = 2 * pause
)

// look finds out how the files stand now. Connections are of one stand: when it is another one they are opened anew.
func (o *onlooker) look() (now stand, err error) {
	held := false
	for range tries {
		if now, err = o.stand(); err == nil {
			if now.manner != rest {
				return now, nil
			}
			held = heldElsewhere(o.path)
			if age := time.Since(now.at.ModTime()); !held && (age < 0 || age >= tick) {
				return now, nil
			}
		}
		time.Sleep(pause)
	}
	switch {
	case err != nil:
		return now, err
	case !held: // somebody writes it, and is away whenever we look
		return now, o.changed()
	}
	return now, backend.Explain(backend.ErrRefused, "a process has it open, and what that has written last is in %s-wal, which is not here: "+
		"look at it where that is (of a mount, take the directory and not the file alone)", o.path)
}

// current is a connection of the present stand: c, when it is one, else another one. It has read something: from then on nobody takes its log away.
func (o *onlooker) current(c *conn, pragmas ...string) (_ *conn, now stand, err error) {
	for range tries {
		if now, err = o.look(); err != nil {
			break
		}
		if c != nil && c.round == now.round {
			return c, now, nil
		}
		if c != nil {
			if err := c.close(); err != nil {
				return nil, now, err
			}
		}
		if c, err = connectURI(uri(o.path)+now.manner.options(), pragmas...); err != nil {
			err = translate(err)
			break
		}
		if _, err = c.first(nonstop, "SELECT count(*) FROM sqlite_schema"); err == nil {
			c.round = now.round
			return c, now, nil
		}
		waited := locked(err)
		err = errors.Join(translate(err), c.close())
		if c = nil; waited || !errors.Is(err, backend.ErrTransient) {
			break
		}
		time.Sleep(pause)
	}
	if c != nil {
		err = errors.Join(err, c.close())
	}
	return nil, now, err
}

func (o *onlooker) stand() (stand, error) {
	at, err := os.Stat(o.path)
	if err != nil {
		return stand{}, err
	}
	logged := o.logged()
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.last.same(at, logged) {
		m, err := o.manner(logged)
		if err != nil {
			return stand{}, err
		}
		o.last = stand{at, m, o.last.round + 1}
	}
	return o.last, nil
}

// logged reports whether a log is beside the file. One that is empty, without a -shm, is nobody's.
func (o *onlooker) logged() bool {
	log, err := os.Stat(o.path + "-wal")
	if err != nil {
		return false
	}
	_, err = os.Stat(o.path + "-shm")
	return err == nil || log.Size() > 0
}

func (o *onlooker) manner(logged bool) (manner, error) {
	if !logged {
		if v, err := headerVersion(o.path); err == nil && v == 2 {
			return rest, nil
		}
		return bare, nil // also when it is none: SQLite says so
	}
	if err := refuseStrangeLog(o.path); err != nil {
		return 0, err
	}
	for _, name := range []string{"-wal", "-shm"} {
		switch err := mayRead(o.path + name); {
		case name == "-shm" && errors.Is(err, fs.ErrNotExist):
			return 0, backend.Explain(backend.ErrRefused, "%s-wal has what was written last, and cannot be read without %s-shm, which is not there and would have to be made: "+
				"have somebody look at it once who may write it, or copy the file and its -wal to a place of your own", o.path, o.path)
		case err != nil:
			return 0, backend.Explain(backend.ErrRefused, "without its %s the database cannot be read: %v (whoever may read the one must be let read the other)", name, err)
		}
	}
	return live, nil
}

// still fails when what was read since a look was not all of one moment. A log that was begun since is none of it, as long as nothing of it has come into
// the file.
func (o *onlooker) still(before stand) error {
	if o == nil || before.manner != rest {
		return nil
	}
	if at, err := os.Stat(o.path); err == nil && before.same(at, false) {
		return nil
	}
	return o.changed()
}

func (o *onlooker) changed() error {
	return fmt.Errorf("%w: %s was written while it was read; look again", backend.ErrTransient, o.path)
}
