// The schema and its versions.

package postgres

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"

	"github.com/jackc/pgx/v5"

	"github.com/senpuki/senpuki/backend"
)

//go:embed migrations/*.sql
var migrations embed.FS

// files returns the names of the migrations; the n-th leads to version n.
func files() ([]string, error) { return fs.Glob(migrations, "migrations/*.sql") }

// marker is the table whose rows are the migrations that a schema has seen.
const marker = "senpuki_migration"

// version asks which migration a schema is at; 0 is an empty one.
func (s *Store) version(ctx context.Context, conn *pgx.Conn) (version int, exists bool, err error) {
	var ours, others bool
	if err := conn.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM pg_namespace WHERE nspname = $1::text),
		EXISTS (SELECT 1 FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE n.nspname = $1::text AND c.relname = $2::text),
		EXISTS (SELECT 1 FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE n.nspname = $1::text AND c.relkind IN ('r', 'p', 'v'))`,
		s.schema, marker).Scan(&exists, &ours, &others); err != nil {
		return 0, false, err
	}
	if others && !ours {
		return 0, false, fmt.Errorf("%w: the schema %s holds tables of something else; name another one with ?schema=", backend.ErrNotDatabase, s.schema)
	}
	if !ours {
		return 0, exists, nil
	}
	err = conn.QueryRow(ctx, "SELECT coalesce(max(version), 0) FROM "+pgx.Identifier{s.schema, marker}.Sanitize()).Scan(&version)
	return version, true, err
}

// migrate looks whether the schema is up to date and else, for as long as migration lasts, brings it there. Of several processes one does it, and
// a role that may not make tables is good enough when there is nothing to do.
func (s *Store) migrate(ctx, migration context.Context, conn *pgx.Conn) error {
	names, err := files()
	if err != nil {
		return err
	}
	if at, _, err := s.version(ctx, conn); err != nil || at == len(names) {
		return err
	}
	tx, err := conn.Begin(ctx)
	if err != nil {
		return err
	}
	if err := s.raise(migration, conn, names); err != nil {
		return errors.Join(err, tx.Rollback(context.WithoutCancel(ctx)))
	}
	return tx.Commit(migration)
}

func (s *Store) raise(ctx context.Context, conn *pgx.Conn, names []string) error {
	// The lock's name is a matter between processes: it must not change with a release.
	if _, err := conn.Exec(ctx, "SELECT pg_advisory_xact_lock(hashtextextended($1::text, 0))", "senpuki migrate "+s.schema); err != nil {
		return err
	}
	at, exists, err := s.version(ctx, conn)
	switch {
	case err != nil:
		return err
	case at > len(names):
		return fmt.Errorf("%w: it has schema %d, this release knows up to %d", backend.ErrNewerSchema, at, len(names))
	}
	schema := pgx.Identifier{s.schema}.Sanitize()
	if !exists {
		if _, err := conn.Exec(ctx, "CREATE SCHEMA "+schema); err != nil {
			return err
		}
	}
	if _, err := conn.Exec(ctx, "SET LOCAL search_path TO "+schema); err != nil {
		return err
	}
	if at == 0 {
		if _, err := conn.Exec(ctx, "CREATE TABLE "+marker+" (version integer PRIMARY KEY, name text NOT NULL, at timestamptz NOT NULL)"); err != nil {
			return err
		}
	}
	for n, name := range names[at:] {
		sql, err := migrations.ReadFile(name)
		if err != nil {
			return err
		}
		if _, err := conn.PgConn().Exec(ctx, string(sql)).ReadAll(); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if _, err := conn.Exec(ctx, "INSERT INTO "+marker+" VALUES ($1, $2, now())", at+n+1, name); err != nil {
			return err
		}
	}
	return nil
}
