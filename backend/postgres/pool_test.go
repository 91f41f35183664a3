package postgres_test

import (
	"testing"

	"github.com/senpuki/senpuki/backend"
	"github.com/senpuki/senpuki/backend/servertest"
)

// The metrics of a worker tell how the pool is used.
func TestTheUseOfThePool(t *testing.T) {
	t.Parallel()
	var s backend.Store = open(t, with(servertest.Postgres(t), "pool_max_conns", "3"))
	pooler, ok := s.(backend.Pooler)
	if !ok {
		t.Fatal("the store does not tell")
	}
	if p := pooler.Pool(); p.Max != 3 || p.InUse != 0 || p.Waits == 0 || p.Waited <= 0 { // the first connection was waited for
		t.Errorf("%+v", p)
	}
}
