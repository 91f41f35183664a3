// The schema and its versions.

package sqlite

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"regexp"
	"strconv"

	"github.com/senpuki/senpuki/backend"
)

//go:embed migrations/*.sql
var migrations embed.FS

// applicationID marks a file as a Senpuki database ("SNPK").
const applicationID = 0x534e504b

// identity is what a file says it is.
type identity struct {
	application, version, objects int64
	oldest                        int64 // schema whose releases can still work with the file; 0: only those that know version
}

// The user_version of a file is its version and, above oldestShift bits, the oldest.
const oldestShift = 16

// oldestOf reads from a migration which releases can work with what it makes: "-- oldest N".
var oldestOf = regexp.MustCompile(`(?m)^-- oldest (\d+)$`)

// identify reads it as of one moment: another process may be making the file.
func identify(c *conn) (id identity, err error) {
	if err := c.script("BEGIN"); err != nil {
		return id, err
	}
	defer func() {
		if err != nil {
			_ = c.script("ROLLBACK") // some errors have done so already
			return
		}
		err = c.script("COMMIT")
	}()
	for _, q := range []struct {
		to  *int64
		sql string
	}{
		{&id.application, "PRAGMA application_id"},
		{&id.version, "PRAGMA user_version"},
		{&id.objects, "SELECT count(*) FROM sqlite_schema"},
	} {
		v, err := c.first(context.Background(), q.sql)
		if err != nil {
			return id, err
		}
		*q.to = number(v[0])
	}
	id.version, id.oldest = id.version&(1<<oldestShift-1), id.version>>oldestShift
	return id, nil
}

// files returns the names of the migrations; the n-th leads to version n.
func files() ([]string, error) { return fs.Glob(migrations, "migrations/*.sql") }

// judge says whether a file may be used and whether it must be migrated.
func judge(id identity) (migrate bool, err error) {
	names, err := files()
	newest := int64(len(names))
	switch {
	case err != nil:
		return false, err
	case id.application == 0 && id.version == 0 && id.objects == 0: // an empty file
		return true, nil
	case id.application != applicationID:
		return false, fmt.Errorf("%w: application_id is %#x, not %#x", backend.ErrNotDatabase, id.application, applicationID)
	case id.version > newest && id.oldest > 0 && id.oldest <= newest: // the release beside us was newer
		return false, nil
	case id.version > newest:
		return false, fmt.Errorf("%w: it has schema %d, this release knows up to %d", backend.ErrNewerSchema, id.version, newest)
	}
	return id.version < newest, nil
}

// migrate brings the schema up to date. The caller holds the turnstile.
func migrate(c *conn) error {
	id, err := identify(c)
	if err != nil {
		return err
	}
	if needed, err := judge(id); !needed || err != nil { // another process was faster
		return err
	}
	names, err := files()
	if err != nil {
		return err
	}
	return transact(c, func() error {
		for n, name := range names[id.version:] {
			sql, err := migrations.ReadFile(name)
			if err != nil {
				return err
			}
			if err := c.script(string(sql)); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			version := id.version + int64(n) + 1
			if m := oldestOf.FindSubmatch(sql); m != nil {
				oldest, _ := strconv.ParseInt(string(m[1]), 10, 64) // digits
				version |= oldest << oldestShift
			}
			if err := c.script(fmt.Sprintf("PRAGMA user_version=%d", version)); err != nil {
				return err
			}
		}
		return c.script(fmt.Sprintf("PRAGMA application_id=%d", applicationID))
	})
}
