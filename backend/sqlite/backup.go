// Backups: a copy of the database, taken while it is in use.

package sqlite

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/senpuki/senpuki/backend"
)

// Backup writes a copy of the database, as of one moment, into a new file.
func (s *Store) Backup(_ context.Context, path string) (err error) {
	if path == "" { // SQLite would fill a file of its own, and remove it
		return errors.New("a backup needs the name of a file")
	}
	switch _, err := os.Stat(path); {
	case err == nil:
		return fmt.Errorf("%s exists already", path)
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	if path, err = filepath.Abs(path); err != nil { // "file:x" is a name, too, and not x
		return err
	}
	// What has the name is whole: a full disk, or a kill, leaves what is no backup in a directory of its own.
	dir, err := os.MkdirTemp(filepath.Dir(path), "senpuki-backup-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	part := filepath.Join(dir, filepath.Base(path))
	if err := s.copyInto(part); err != nil { // where a full disk is, for one
		return fmt.Errorf("copy to %s: %w", path, err)
	}
	return os.Rename(part, path)
}

func (s *Store) copyInto(path string) (err error) {
	c, now, err := s.current(nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	_, err = c.exec("VACUUM INTO ?", path)
	return cmp.Or(s.onlooker.still(now), translate(err))
}

var _ backend.Backuper = (*Store)(nil)
