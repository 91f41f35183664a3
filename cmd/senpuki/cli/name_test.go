package cli

import "testing"

// All who use a database wake each other over Redis, however they write its URL.
func TestOneDatabaseHasOneName(t *testing.T) {
	t.Setenv("PGUSER", "somebody")
	for name, urls := range map[string][]string{
		"work": {"postgres://host/work", "postgresql://u:p@other:5433/work?schema=senpuki&sslmode=disable", "postgres://a,b/work?pooler=transaction",
			"postgres:///work?host=/run/postgresql", "postgres://host/w%6Frk", "postgres://host/?dbname=work"},
		"work/two": {"postgres://host/work?schema=two", "postgres://other/work?sslmode=disable&schema=two"},
		"somebody": {"postgres://host", "postgres://host/somebody"},
		"flow.db":  {"flow.db", "sqlite:flow.db", "sqlite:/data/flow.db?durability=normal", "../flow.db"},
	} {
		for _, url := range urls {
			if got := (&app{db: url}).databaseName(); got != name {
				t.Errorf("%q is called %q, not %q", url, got, name)
			}
		}
	}
}
