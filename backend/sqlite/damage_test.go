// Records of which a column cannot be read.

package sqlite_test

import (
	"fmt"
	"testing"

	"github.com/senpuki/senpuki/backend"
	"github.com/senpuki/senpuki/backend/backendtest"
)

func TestDamage(t *testing.T) {
	t.Parallel()
	backendtest.RunDamage(t, func(t *testing.T) (backend.Store, func(backendtest.Hurt)) {
		path := file(t)
		return open(t, path), func(h backendtest.Hurt) {
			where := "id = 'a1'"
			if h.Table == "task" {
				where = "execution = (SELECT key FROM execution WHERE id = 'a1')"
			}
			run(t, path, fmt.Sprintf("UPDATE %s SET %s = %s WHERE %s", h.Table, h.Column, h.Value, where))
		}
	}, []backendtest.Hurt{
		{Table: "execution", Column: "stuck", Value: "'{bad'"},
		{Table: "execution", Column: "stuck", Value: "'5'"},
		{Table: "execution", Column: "tags", Value: "'{bad'"},
		{Table: "execution", Column: "tags", Value: "'5'"},
		{Table: "execution", Column: "tags", Value: `'["x",5]'`},
		{Table: "task", Column: "tags", Value: "'{bad'"},
		{Table: "task", Column: "bounds", Value: "'{bad'"},
	})
}
