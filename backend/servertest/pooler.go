// PgBouncer in transaction mode, before the PostgreSQL server.

package servertest

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"testing"

	"github.com/jackc/pgx/v5"
)

var pooler = server{env: "SENPUKI_TEST_POOLER", make: func() (string, error) {
	if err := postgres.start(); err != nil {
		return "", err
	}
	return startPooler(postgres.at)
}}

// Pooler is [Postgres] through a pooler that keeps nothing between
// transactions. Without PgBouncer the test is skipped, in CI, too: the other tests
// of that mode need no pooler.
func Pooler(t testing.TB) string {
	t.Helper()
	at := Postgres(t)
	var missing errMissing
	if errors.As(pooler.start(), &missing) {
		t.Skip(missing)
	}
	front, err := url.Parse(pooler.url(t))
	if err != nil {
		t.Fatalf("%s is not a URL", pooler.env)
	}
	u, err := url.Parse(at)
	if err != nil {
		t.Fatal(err)
	}
	q := front.Query()
	q.Set("schema", u.Query().Get("schema"))
	q.Set("pooler", "transaction")
	front.RawQuery = q.Encode()
	return front.String()
}

func startPooler(base string) (string, error) {
	program, err := find("pgbouncer", "/usr/sbin")
	if err != nil {
		return "", err
	}
	behind, err := pgx.ParseConfig(base)
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
	password := ""
	if behind.Password != "" {
		password = " password=" + behind.Password
	}
	config := filepath.Join(dir, "pgbouncer.ini")
	if err := os.WriteFile(config, fmt.Appendf(nil, `[databases]
* = host=%s port=%d user=%s%s
[pgbouncer]
listen_addr =
listen_port = 6432
unix_socket_dir = %s
auth_type = any
pool_mode = transaction
max_client_conn = 500
default_pool_size = 10
`, behind.Host, behind.Port, behind.User, password, dir), 0o644); err != nil {
		return "", err
	}
	at := url.URL{Scheme: "postgres", Path: "/" + behind.Database, RawQuery: url.Values{
		"host": {dir}, "port": {"6432"}, "user": {"anybody"}, "sslmode": {"disable"},
	}.Encode()}
	ready := func() error {
		conn, err := pgx.Connect(context.Background(), at.String())
		if err != nil {
			return err
		}
		return conn.Close(context.Background())
	}
	return at.String(), o.serve(dir, ready, program, config)
}
