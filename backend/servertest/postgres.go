// PostgreSQL.

package servertest

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"testing"

	"github.com/jackc/pgx/v5"
)

var postgres = server{env: "SENPUKI_TEST_POSTGRES", make: startPostgres}

// Postgres returns the URL of a schema that nobody else has, to be made by who
// opens it, on a server that forgets everything. SENPUKI_TEST_FSYNC=on makes
// commits wait for the disk, for measurements.
func Postgres(t testing.TB) string {
	t.Helper()
	base := postgres.url(t)
	u, err := url.Parse(base)
	if err != nil {
		t.Fatalf("%s is not a URL", postgres.env)
	}
	schema := "test_" + unique()
	if os.Getenv(postgres.env) != "" { // this server remembers
		t.Cleanup(func() {
			conn, err := pgx.Connect(context.Background(), base)
			if err != nil {
				t.Errorf("remove schema %s: cannot connect", schema)
				return
			}
			defer func() { _ = conn.Close(context.Background()) }()
			if _, err := conn.Exec(context.Background(), "DROP SCHEMA IF EXISTS "+schema+" CASCADE"); err != nil {
				t.Errorf("remove schema: %v", err)
			}
		})
	}
	q := u.Query()
	q.Set("schema", schema)
	u.RawQuery = q.Encode()
	return u.String()
}

func startPostgres() (string, error) {
	initdb, err := find("initdb", "/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/postgresql*/bin", "/usr/local/opt/postgresql*/bin")
	if err != nil {
		return "", err
	}
	o, err := newOwner()
	if err != nil {
		return "", err
	}
	dir, err := o.directory()
	if err != nil {
		return "", err
	}
	data := filepath.Join(dir, "data")
	if out, err := o.command(dir, initdb, "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync").CombinedOutput(); err != nil {
		return "", fmt.Errorf("initdb: %w\n%s", err, out)
	}
	fsync := "off"
	if os.Getenv("SENPUKI_TEST_FSYNC") == "on" {
		fsync = "on"
	}
	at := url.URL{Scheme: "postgres", Path: "/postgres", RawQuery: url.Values{
		"host": {dir}, "port": {"5432"}, "user": {"postgres"}, "sslmode": {"disable"},
	}.Encode()}
	ready := func() error {
		conn, err := pgx.Connect(context.Background(), at.String())
		if err != nil {
			return err
		}
		return conn.Close(context.Background())
	}
	err = o.serve(dir, ready, filepath.Join(filepath.Dir(initdb), "postgres"), "-D", data, "-k", dir, "-p", "5432",
		"-c", "listen_addresses=", "-c", "max_connections=400", "-c", "shared_buffers=128MB",
		"-c", "fsync="+fsync, "-c", "synchronous_commit="+fsync, "-c", "full_page_writes="+fsync)
	return at.String(), err
}
