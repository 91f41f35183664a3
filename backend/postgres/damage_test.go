// Records of which a column cannot be read.

package postgres_test

import (
	"fmt"
	"testing"

	"github.com/senpuki/senpuki/backend"
	"github.com/senpuki/senpuki/backend/backendtest"
	"github.com/senpuki/senpuki/backend/servertest"
)

func TestDamage(t *testing.T) {
	t.Parallel()
	servertest.Postgres(t)
	backendtest.RunDamage(t, func(t *testing.T) (backend.Store, func(backendtest.Hurt)) {
		url := servertest.Postgres(t)
		s := open(t, url)
		conn, _ := connect(t, url)
		return s, func(h backendtest.Hurt) {
			key := "key"
			if h.Table == "task" {
				key = "execution"
			}
			administer(t, conn, fmt.Sprintf("UPDATE %s SET %s = %s WHERE %s = (SELECT key FROM request WHERE id = 'a1')", h.Table, h.Column, h.Value, key))
		}
	}, []backendtest.Hurt{
		{Table: "execution", Column: "stuck", Value: "'{bad'"},
		{Table: "execution", Column: "stuck", Value: "'5'"},
		{Table: "execution", Column: "tags", Value: "ARRAY['x', NULL]"},
		{Table: "execution", Column: "tags", Value: "ARRAY[ARRAY['x', 'x'], ARRAY['x', NULL]]"},
		{Table: "task", Column: "tags", Value: "ARRAY['x', NULL]"},
		{Table: "task", Column: "bounds", Value: "'{bad'"},
	})
}
