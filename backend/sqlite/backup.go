// Backups: a copy of the database, taken while it is in use.

package sqlite

import (
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
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s exists already", path)
	}
	if path, err = filepath.Abs(path); err != nil { // "file:x" is a name, too, and not x
		return err
	}
	c, err := connect(s.path)
	if err != nil {
		return translate(err)
	}
	defer func() { err = errors.Join(err, c.close()) }()
	_, err = c.exec("VACUUM INTO ?", path)
	return translate(err)
}

var _ backend.Backuper = (*Store)(nil)
