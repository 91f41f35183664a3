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
	var sentinel error
	switch e.Code() & 0xff {
	case codes.SQLITE_FULL:
		sentinel = backend.ErrFull
	case codes.SQLITE_BUSY, codes.SQLITE_LOCKED, codes.SQLITE_IOERR, codes.SQLITE_CANTOPEN,
		codes.SQLITE_PROTOCOL, codes.SQLITE_NOMEM:
		sentinel = backend.ErrTransient
	case codes.SQLITE_READONLY: // also of a file system that was mounted anew after an error
		return fmt.Errorf("%w: %w (who runs this may not write the file, or its file system is read-only)", backend.ErrTransient, err)
	case codes.SQLITE_NOTADB, codes.SQLITE_CORRUPT:
		sentinel = backend.ErrNotDatabase
	default:
		return err
	}
	return fmt.Errorf("%w: %w", sentinel, err)
}

// duplicate reports whether a statement met a primary key that exists.
func duplicate(err error) bool {
	e, ok := errors.AsType[*sqlite.Error](err)
	return ok && (e.Code() == codes.SQLITE_CONSTRAINT_PRIMARYKEY || e.Code() == codes.SQLITE_CONSTRAINT_UNIQUE)
}
