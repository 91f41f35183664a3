// The raw driver of PostgreSQL.

package bench

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"

	"github.com/jackc/pgx/v5"
)

// rawPostgres is one connection with one prepared statement: a transaction is one round trip.
type rawPostgres struct {
	conn   *pgx.Conn
	schema string
}

// RawPostgres writes to a schema of its own in the database that a URL of package postgres names.
func RawPostgres(ctx context.Context, raw string) (Raw, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return nil, errors.New("not a URL") // the parser's words quote the password
	}
	options := u.Query()
	options.Del("schema")
	options.Del("pooler")
	u.RawQuery = options.Encode()
	conn, err := pgx.Connect(ctx, u.String())
	if err != nil {
		return nil, err
	}
	r := &rawPostgres{conn, fmt.Sprintf("senpuki_limit_%d", os.Getpid())}
	for _, statement := range []string{
		"DROP SCHEMA IF EXISTS " + r.schema + " CASCADE",
		"CREATE SCHEMA " + r.schema,
		"CREATE TABLE " + r.schema + ".journal (run bigint NOT NULL, row bigint NOT NULL, session bigint NOT NULL, data bytea, PRIMARY KEY (run, row))",
	} {
		if _, err := conn.Exec(ctx, statement); err != nil {
			return nil, errors.Join(err, r.Close())
		}
	}
	_, err = conn.Prepare(ctx, "write", "INSERT INTO "+r.schema+`.journal (run, row, session, data)
		SELECT run, row, 1, $3::bytea FROM unnest($1::bigint[], $2::bigint[]) AS t (run, row)`)
	if err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

func (r *rawPostgres) Write(ctx context.Context, runs, rows []int64, data []byte) error {
	_, err := r.conn.Exec(ctx, "write", runs, rows, data)
	return err
}

func (r *rawPostgres) Close() error {
	ctx := context.Background()
	_, err := r.conn.Exec(ctx, "DROP SCHEMA IF EXISTS "+r.schema+" CASCADE")
	return errors.Join(err, r.conn.Close(ctx))
}
