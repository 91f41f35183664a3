// PgBouncer in transaction mode, before the shared PostgreSQL.

//go:build unix

package servertest

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// KindPooler is PgBouncer.
const KindPooler Kind = "pgbouncer"

// Pooler is [Postgres] through a pooler that keeps nothing between transactions, and tells the server nothing that a URL has it set.
func Pooler(t testing.TB) string {
	t.Helper()
	one(t, KindPostgres)
	return one(t, KindPooler).URL() + "&pooler=transaction&schema=" + unique(t)
}

// configurePooler writes the pooler's configuration; behind is the server that it is before.
func (s *Server) configurePooler(behind *Server) error {
	if behind == nil {
		return fmt.Errorf("there is no server for the pooler")
	}
	config := filepath.Join(s.dir, "pgbouncer.ini")
	s.args = []string{config}
	return os.WriteFile(config, fmt.Appendf(nil, `[databases]
* = host=127.0.0.1 port=%d user=senpuki
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %d
unix_socket_dir =
auth_type = any
pool_mode = transaction
max_client_conn = 500
default_pool_size = 10
ignore_startup_parameters = search_path, idle_in_transaction_session_timeout, plan_cache_mode, enable_seqscan, enable_hashjoin, enable_mergejoin, cpu_tuple_cost, cpu_index_tuple_cost, max_parallel_workers_per_gather, jit, default_transaction_isolation
`, behind.port, s.port), 0o644)
}
