// The files of a database as they were opened: whether they are there still.

package sqlite

import (
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/senpuki/senpuki/backend"
)

// lookInterval is how often at most commits look, of which there are thousands a second. What those in between have written to a log
// without a name is folded in by the look that follows, as what was written before.
const lookInterval = 10 * time.Millisecond

// beside is the database's file, or one of those that SQLite has beside it while it is open.
type beside struct {
	path string
	at   os.FileInfo // when it was opened
}

func (f *beside) there() bool {
	now, err := os.Stat(f.path)
	return err == nil && os.SameFile(f.at, now)
}

// there fails when one of the files was removed, or another one is in its place: what is written goes nowhere then. Without
// the -shm that we have, a process that opens the database now makes one of its own, and each would write over what the other
// has committed. Called at the writer's turn, before anything is written.
func (s *Store) there() error {
	for i := range s.files {
		f := &s.files[i]
		if f.there() {
			continue
		}
		lost := ""
		if s.unlogged(f) {
			// What is in a log without a name is kept from going with the last process that has it open. Nobody waits for readers:
			// the next heartbeat tries again.
			if _, err := s.writer.first(nonstop, "PRAGMA wal_checkpoint(PASSIVE)"); err != nil {
				lost = fmt.Sprintf(" (what was committed is not all in the database yet: %v)", err)
			}
		}
		return f.gone(", and nothing more is written" + lost)
	}
	return nil
}

// gone says that f is not there, and what comes of it.
func (f *beside) gone(so string) error {
	return fmt.Errorf("%w: %s was removed or replaced while it was open%s: stop every process that has it open, and start them again", backend.ErrTransient, f.path, so)
}

// unlogged reports whether f, which is not there, is the log, and nobody has begun another one: then all that was committed is in ours.
func (s *Store) unlogged(f *beside) bool {
	if !strings.HasSuffix(f.path, "-wal") {
		return false
	}
	now, err := os.Stat(f.path)
	return err != nil || now.Size() == 0
}

// mayFold reports whether SQLite may fold the log into the database and remove it, as it does when the last connection is closed. It goes by
// names, and those of files that are not ours are somebody else's. A connection that is left open ends with the process.
func (s *Store) mayFold() bool {
	for i := range s.files {
		if f := &s.files[i]; !f.there() && !s.unlogged(f) {
			return false
		}
	}
	return true
}
