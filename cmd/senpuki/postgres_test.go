// The command line on PostgreSQL, woken over LISTEN and over Redis.

//go:build unix

package main_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/senpuki/senpuki/backend/servertest"
)

// TestScriptPostgres runs the scripts that do not care which database they use on PostgreSQL.
func TestScriptPostgres(t *testing.T) {
	t.Parallel()
	servertest.Postgres(t)
	dir := t.TempDir()
	names := []string{"workers", "others", "tasks", "upgrade"}
	if underRace { // it is slow there, and runs once more without
		names = names[:1]
	}
	for _, name := range names {
		text, err := os.ReadFile(filepath.Join("testdata", "script", name+".txtar"))
		if err != nil {
			t.Fatal(err)
		}
		for _, way := range []string{"listen", "redis"} {
			if way == "redis" && name != "workers" {
				continue
			}
			if err := os.WriteFile(filepath.Join(dir, name+"_"+way+".txtar"), text, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	redis := servertest.Redis(t)
	p := params(t)
	p.Dir, p.Condition = dir, on("postgres")
	setup := p.Setup
	p.Setup = func(env *testscript.Env) error {
		if err := setup(env); err != nil {
			return err
		}
		url := servertest.Postgres(t)
		env.Setenv("SENPUKI_DB", url)
		env.Setenv("DB", url)
		if filepath.Base(env.Cd) == "script-workers_redis" {
			env.Setenv("SENPUKI_REDIS", redis)
		}
		return nil
	}
	testscript.Run(t, p)
}
