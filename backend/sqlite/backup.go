// Backups: a copy of the database, taken while it is in use.

package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/senpuki/senpuki/backend"
)

// Backup writes a copy of the database, as of one moment, into a new file.
func (s *Store) Backup(_ context.Context, path string) (err error) {
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s exists already", path)
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
