// The schema and its versions.

package postgres

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"strconv"

	"github.com/jackc/pgx/v5"

	"github.com/senpuki/senpuki/backend"
)

//go:embed migrations/*.sql
var migrations embed.FS

// files returns the names of the migrations; the n-th leads to version n.
func files() ([]string, error) { return fs.Glob(migrations, "migrations/*.sql") }

// marker is the table whose rows are the migrations that a schema has seen.
const marker = "senpuki_migration"

// oldestOf reads from a migration which releases can work with what it makes: "-- oldest N", those that know migration N.
var oldestOf = regexp.MustCompile(`(?m)^-- oldest (\d+)$`)

// sound reports whether a release that knows n migrations can work with a schema as it is; the error, whether it never will.
func sound(at, oldest, n int) (bool, error) {
	switch {
	case at <= n:
		return at == n, nil
	case oldest > 0 && oldest <= n: // the release beside us was newer
		return true, nil
	}
	return false, fmt.Errorf("%w: it has schema %d, this release knows up to %d", backend.ErrNewerSchema, at, n)
}

// version asks which migration a schema is at, 0 being an empty one, and which releases can work with it.
func (s *Store) version(ctx context.Context, conn *pgx.Conn) (version, oldest int, exists bool, err error) {
	var ours, others bool
	if err := conn.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM pg_namespace WHERE nspname = $1::text),
		EXISTS (SELECT 1 FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE n.nspname = $1::text AND c.relname = $2::text),
		EXISTS (SELECT 1 FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE n.nspname = $1::text AND c.relkind IN ('r', 'p', 'v'))`,
		s.schema, marker).Scan(&exists, &ours, &others); err != nil {
		return 0, 0, false, err
	}
	if others && !ours {
		return 0, 0, false, fmt.Errorf("%w: the schema %s holds tables of something else; name another one with ?schema=", backend.ErrNotDatabase, s.schema)
	}
	if !ours {
		return 0, 0, exists, nil
	}
	table := pgx.Identifier{s.schema, marker}.Sanitize()
	err = conn.QueryRow(ctx, "SELECT version, coalesce((to_jsonb(m) ->> 'oldest')::int, 0) FROM "+table+" AS m ORDER BY version DESC LIMIT 1").Scan(&version, &oldest)
	if errors.Is(err, pgx.ErrNoRows) {
		err = nil
	}
	return version, oldest, true, err
}

// migrate looks whether the schema is up to date and else, for as long as migration lasts, brings it there. Of several processes one does it, and
// a role that may not make tables is good enough when there is nothing to do.
func (s *Store) migrate(ctx, migration context.Context, conn *pgx.Conn) error {
	names, err := files()
	if err != nil {
		return err
	}
	at, oldest, _, err := s.version(ctx, conn)
	if err != nil {
		return err
	}
	if ok, err := sound(at, oldest, len(names)); ok || err != nil {
		return err
	}
	// Whoever has waited for the lock must see what was made meanwhile, whatever the default of the server is.
	tx, err := conn.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.ReadCommitted})
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
	at, oldest, exists, err := s.version(ctx, conn)
	if err != nil {
		return err
	}
	if ok, err := sound(at, oldest, len(names)); ok || err != nil { // another process was faster
		return err
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
	if _, err := conn.Exec(ctx, "ALTER TABLE "+marker+" ADD COLUMN IF NOT EXISTS oldest integer NOT NULL DEFAULT 0"); err != nil { // the first builds had none
		return err
	}
	for n, name := range names[at:] {
		sql, err := migrations.ReadFile(name)
		if err != nil {
			return err
		}
		if _, err := conn.PgConn().Exec(ctx, string(sql)).ReadAll(); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		oldest := 0
		if m := oldestOf.FindSubmatch(sql); m != nil {
			oldest, _ = strconv.Atoi(string(m[1])) // digits
		}
		if _, err := conn.Exec(ctx, "INSERT INTO "+marker+" VALUES ($1, $2, now(), $3)", at+n+1, name, oldest); err != nil {
			return err
		}
	}
	return nil
}
