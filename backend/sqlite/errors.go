// What the driver's errors mean to a caller.

package sqlite

import (
	"errors"
	"fmt"

	"modernc.org/sqlite"
	codes "modernc.org/sqlite/lib"

	"github.com/senpuki/senpuki/backend"
)

var errShut = errors.New("store is closed")

// translate gives a driver's error the sentinel that its code stands for.
func translate(err error) error {
	e, ok := errors.AsType[*sqlite.Error](err)
	if !ok {
		return err
	}
	if e.Code() == codes.SQLITE_IOERR_SHMSIZE { // whoever opens a file first makes this, also to look
		return fmt.Errorf("%w: there is no room for the -shm file beside the database, without which it cannot even be read: %w", backend.ErrFull, err)
	}
	if e.Code() == codes.SQLITE_IOERR_SHORT_READ { // what the -shm speaks of is in a file that has no name any more
		return fmt.Errorf("%w: %w (a file is shorter than it was: if a -wal file was removed while processes have the database open, stop them, and not by force, before anything else)", backend.ErrTransient, err)
	}
	var sentinel error
	switch e.Code() & 0xff {
	case codes.SQLITE_FULL:
		sentinel = backend.ErrFull
	case codes.SQLITE_BUSY, codes.SQLITE_LOCKED:
		return &busyError{err}
	case codes.SQLITE_IOERR, codes.SQLITE_PROTOCOL, codes.SQLITE_NOMEM:
		sentinel = backend.ErrTransient
	case codes.SQLITE_CANTOPEN:
		return fmt.Errorf("%w: %w (who runs this may make no files there, its file system is read-only, or too many files are open)", backend.ErrTransient, err)
	case codes.SQLITE_READONLY: // also of a file system that was mounted anew after an error
		return fmt.Errorf("%w: %w (who runs this may not write the file, or its file system is read-only)", backend.ErrTransient, err)
	case codes.SQLITE_NOTADB:
		sentinel = backend.ErrNotDatabase
	case codes.SQLITE_CORRUPT:
		return fmt.Errorf("%w: %w (go on with a backup, or with what 'sqlite3 FILE .recover' finds)", backend.ErrDamaged, err)
	default:
		return err
	}
	return fmt.Errorf("%w: %w", sentinel, err)
}

// busyError says in words what the driver has a code for.
type busyError struct{ err error }

func (e *busyError) Error() string {
	return fmt.Sprintf("%v: another program has held the database's lock for %v (a shell in a transaction, perhaps)", backend.ErrTransient, busyTimeout)
}

func (e *busyError) Unwrap() []error { return []error{backend.ErrTransient, e.err} }

// locked reports whether another program holds the lock that a statement needs.
func locked(err error) bool {
	e, ok := errors.AsType[*sqlite.Error](err)
	return ok && e.Code()&0xff == codes.SQLITE_BUSY
}

// duplicate reports whether a statement met a primary key that exists.
func duplicate(err error) bool {
	e, ok := errors.AsType[*sqlite.Error](err)
	return ok && (e.Code() == codes.SQLITE_CONSTRAINT_PRIMARYKEY || e.Code() == codes.SQLITE_CONSTRAINT_UNIQUE)
}
