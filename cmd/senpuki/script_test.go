// The command line, driven by the scripts of testdata/script.

package main_test

import (
	"context"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	_ "modernc.org/sqlite"

	"github.com/senpuki/senpuki/activities"
	"github.com/senpuki/senpuki/cmd/senpuki/cli"
)

var update = flag.Bool("update", false, "rewrite the expected output in testdata/script")

func TestMain(m *testing.M) {
	_ = os.Setenv(quick, quickly)
	testscript.Main(m, map[string]func(){
		"senpuki": func() { cli.Main(nil) },
		"mine":    func() { cli.Main(registry()) },
	})
}

// A command with the race detector waits a second at its end, unless it is told not to: https://go.dev/doc/articles/race_detector#Options
const quick, quickly = "GORACE", "atexit_sleep_ms=0"

// registry is the Go activities of the binary "mine".
func registry() *activities.Registry {
	reg := activities.NewRegistry()
	reg.MustRegister("add", func(a, b int) (int, error) { return a + b, nil })
	reg.MustRegister("panics", func(what string) error { panic(what) })
	reg.MustRegister("flaky", flaky)
	reg.MustRegister("deaf", func(context.Context) error { // ignores its context, until the process ends
		<-make(chan int)
		return nil
	})
	reg.MustRegister("append_line", appendLine)
	reg.MustRegister("wait_for", waitFor)
	reg.MustRegister("fragile", func(path string) (int, error) { // works while a file exists
		if _, err := os.Stat(path); err != nil {
			return 0, activities.Fail("Broken", "not now")
		}
		return 5, nil
	})
	return reg
}

// flaky fails until the file at path has n lines, one more with each attempt.
func flaky(path string, n int) (int, error) {
	if err := appendLine(path, 0); err != nil {
		return 0, err
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	if lines := len(text) / len("0\n"); lines < n {
		return 0, activities.Fail("NotYet", "attempt "+strconv.Itoa(lines), activities.Data(map[string]any{"lines": lines}))
	}
	return n, nil
}

// waitFor waits until a file exists.
func waitFor(ctx context.Context, path string) error {
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	for {
		if _, err := os.Stat(path); err == nil {
			return nil
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// appendLine appends a number and a line break to a file in one write.
func appendLine(path string, n int) error {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = f.WriteString(strconv.Itoa(n) + "\n")
	return errors.Join(err, f.Close())
}

func TestScript(t *testing.T) {
	t.Parallel()
	testscript.Run(t, params(t))
}

// params are what scripts run with.
func params(t *testing.T) testscript.Params {
	t.Helper()
	examples, err := filepath.Abs("../../examples")
	if err != nil {
		t.Fatal(err)
	}
	return testscript.Params{
		Dir:           "testdata/script",
		UpdateScripts: *update,
		Condition:     on("sqlite"),
		Setup: func(env *testscript.Env) error {
			env.Setenv(quick, quickly)
			env.Setenv("EXAMPLES", examples)
			env.Setenv("NO_COLOR", "1")
			env.Setenv("DB", "senpuki.db")
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits":   exits,
			"appear":  appear,
			"schema":  schema,
			"sql":     statements,
			"locked":  locked,
			"seen":    seen,
			"port":    port,
			"fetch":   fetch,
			"windows": windows,
		},
	}
}

// on is the condition [postgres] or [sqlite].
func on(database string) func(string) (bool, error) {
	return func(c string) (bool, error) {
		if c == "postgres" || c == "sqlite" {
			return c == database, nil
		}
		if c == "mounts" { // of a file system of one's own, without being root
			return exec.Command("unshare", "-rm", "true").Run() == nil, nil
		}
		return false, fmt.Errorf("there is no condition %q", c)
	}
}

// windows FILE... writes files as editors of Windows do.
func windows(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: windows FILE...")
	}
	for _, file := range args {
		text := "\ufeff" + strings.ReplaceAll(ts.ReadFile(file), "\n", "\r\n")
		ts.Check(os.WriteFile(ts.MkAbs(file), []byte(text), 0o644))
	}
}

// exits STATUS COMMAND... runs a command that must end with that exit status.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits STATUS COMMAND...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			ts.Fatalf("%v", err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit status %d, want %d", got, want)
	}
}

// appear FILE waits until a file exists.
func appear(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: appear FILE")
	}
	path := ts.MkAbs(args[0])
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	limit := time.After(time.Minute)
	for {
		if _, err := os.Stat(path); err == nil {
			return
		}
		select {
		case <-look.C:
		case <-limit:
			ts.Fatalf("%s did not appear", args[0])
		}
	}
}

// seen COMMAND... PATTERN runs a senpuki command until its output matches.
func seen(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: seen ARGS... PATTERN")
	}
	pattern := regexp.MustCompile(args[len(args)-1])
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	limit := time.After(time.Minute)
	for {
		if err := ts.Exec("mine", args[:len(args)-1]...); err == nil && pattern.MatchString(ts.ReadFile("stdout")) {
			return
		}
		select {
		case <-look.C:
		case <-limit:
			ts.Fatalf("no match for %s in\n%s", pattern, ts.ReadFile("stdout"))
		}
	}
}

// schema FILE VERSION makes a database look as if that version of the schema had written it.
func schema(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: schema FILE VERSION")
	}
	db, err := sql.Open("sqlite", ts.MkAbs(args[0])+patient)
	ts.Check(err)
	_, err = db.Exec("PRAGMA user_version=" + args[1])
	ts.Check(errors.Join(err, db.Close()))
}

// sql FILE STATEMENT... executes SQL on a database, as somebody might who damages or repairs it.
func statements(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: sql FILE STATEMENT...")
	}
	db, err := sql.Open("sqlite", ts.MkAbs(args[0])+patient)
	ts.Check(err)
	for _, s := range args[1:] {
		if err == nil {
			_, err = db.Exec(s)
		}
	}
	ts.Check(errors.Join(err, db.Close()))
}

// locked FILE holds the write lock of a database, as a shell in a transaction does, until the script ends.
func locked(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: locked FILE")
	}
	db, err := sql.Open("sqlite", ts.MkAbs(args[0])+patient)
	ts.Check(err)
	db.SetMaxOpenConns(1)
	_, err = db.Exec("BEGIN IMMEDIATE")
	ts.Check(err)
	ts.Defer(func() { _ = db.Close() })
}
