// Damaged columns, on both databases: one execution is stuck, the others run, a repair lets it go on.

//go:build unix

package main_test

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/senpuki/senpuki/activities"
	"github.com/senpuki/senpuki/backend"
	"github.com/senpuki/senpuki/backend/postgres"
	"github.com/senpuki/senpuki/backend/servertest"
	"github.com/senpuki/senpuki/backend/sqlite"
	"github.com/senpuki/senpuki/engine"
)

// hurtColumn is a column of the execution a1 with a value that cannot be read, and one that can.
type hurtColumn struct {
	table, name, bad, good string
	shown                  bool // it is for people only, and keeps nobody from running
}

// patient is an option of a stranger's connection to a database that others write, too.
const patient = "?_pragma=busy_timeout(10000)"

func TestDamagedColumns(t *testing.T) {
	t.Parallel()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		for _, c := range []hurtColumn{
			{"execution", "stuck", "'{bad'", "", false},
			{"execution", "tags", "'{bad'", "NULL", false},
			{"execution", "extra", "'{bad'", "NULL", false},
			{"execution", "input", "'[1,'", "'[]'", false},
			{"execution", "published", "'{bad'", "NULL", true},
			{"execution", "failure", "'{bad'", "NULL", true},
			{"execution", "result", "X'7b626164'", "NULL", true},
		} {
			t.Run(c.name, func(t *testing.T) {
				t.Parallel()
				path := filepath.Join(t.TempDir(), "damaged.db")
				store, err := sqlite.Open(t.Context(), path)
				if err != nil {
					t.Fatal(err)
				}
				damageOne(t, store, c, func(value string) {
					db, err := sql.Open("sqlite", path+patient)
					if err != nil {
						t.Fatal(err)
					}
					defer db.Close()
					if _, err := db.Exec(fmt.Sprintf("UPDATE %s SET %s = %s WHERE id = 'a1'", c.table, c.name, value)); err != nil {
						t.Fatal(err)
					}
				})
			})
		}
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		servertest.Postgres(t)
		for _, c := range []hurtColumn{
			{"execution", "stuck", "'{bad'", "", false},
			{"execution", "tags", "ARRAY[NULL, 'x']", "NULL", false},
			{"request", "extra", "'{bad'", "NULL", false},
			{"request", "input", "'[1,'", "'[]'", false},
			{"execution", "published", "'{bad'", "NULL", true},
			{"execution", "failure", "'{bad'", "NULL", true},
			{"execution", "result", "'{bad'", "NULL", true},
		} {
			t.Run(c.name, func(t *testing.T) {
				t.Parallel()
				at := servertest.Postgres(t)
				store, err := postgres.Open(t.Context(), at)
				if err != nil {
					t.Fatal(err)
				}
				u, err := url.Parse(at)
				if err != nil {
					t.Fatal(err)
				}
				q := u.Query()
				q.Set("search_path", q.Get("schema"))
				q.Del("schema")
				u.RawQuery = q.Encode()
				damageOne(t, store, c, func(value string) {
					conn, err := pgx.Connect(t.Context(), u.String())
					if err != nil {
						t.Fatal(err)
					}
					defer func() { _ = conn.Close(context.Background()) }()
					if _, err := conn.Exec(t.Context(), fmt.Sprintf("UPDATE %s SET %s = %s WHERE key = (SELECT key FROM request WHERE id = 'a1')", c.table, c.name, value)); err != nil {
						t.Fatal(err)
					}
				})
			})
		}
	})
}

// damageOne damages a column of one of three executions.
func damageOne(t *testing.T, store backend.Store, c hurtColumn, set func(value string)) {
	t.Helper()
	e, err := engine.New(store, activities.NewRegistry(), engine.Options{PollInterval: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.Deploy(t.Context(), fstest.MapFS{"flow.star": {Data: []byte("def main():\n    return 7\n")}}, "flow.star"); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"a1", "a2", "a3"} {
		if _, err := e.Dispatch(t.Context(), "flow", engine.Input{}, engine.DispatchOptions{ID: id}); err != nil {
			t.Fatal(err)
		}
	}
	set(c.bad)
	problems := func() (list []string) {
		executions, err := e.Examine(t.Context(), func(p engine.Problem) error {
			list = append(list, p.Execution+": "+p.Problem)
			return nil
		})
		if err != nil || executions != 3 {
			t.Fatalf("%d executions, %v", executions, err)
		}
		return list
	}
	column := "column " + c.name + ": "
	if found := problems(); len(found) != 1 || !strings.HasPrefix(found[0], "a1: "+column) {
		t.Errorf("the check finds %q", found)
	}
	listed, err := e.List(t.Context(), backend.Filter{})
	if err != nil || len(listed) != 3 {
		t.Fatalf("%d are listed, %v", len(listed), err)
	}
	for _, x := range listed {
		if strings.HasPrefix(x.Damaged, column) != (x.ID == "a1") {
			t.Errorf("%s is listed as damaged: %q", x.ID, x.Damaged)
		}
	}

	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	defer func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	}()
	limit, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	finish := func(id string) {
		t.Helper()
		if x, err := e.Wait(limit, id); err != nil || string(x.Result) != "7" {
			t.Fatalf("%s: %s %s %+v, %v", id, x.State, x.Result, x.Stuck, err)
		}
	}
	finish("a2")
	finish("a3")
	if !c.shown {
		for {
			x, err := e.State(limit, "a1")
			if err != nil {
				t.Fatal(err)
			}
			if x.State.Terminal() {
				t.Fatalf("a1 is %s and was to be stuck", x.State)
			}
			if x.Stuck != nil {
				if !strings.Contains(x.Stuck.Reason, column) {
					t.Errorf("stuck because of %q", x.Stuck.Reason)
				}
				break
			}
			time.Sleep(20 * time.Millisecond)
		}
		if c.good != "" { // else it is written anew by becoming stuck
			set(c.good)
		}
	} else if c.name == "published" {
		set(c.good)
	}
	finish("a1")
	if found := problems(); len(found) != 0 {
		t.Errorf("in the end the check finds %q", found)
	}
	for _, err := range store.Check(t.Context()) {
		t.Error(err)
	}
}
