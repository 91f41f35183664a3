package cli

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/senpuki/senpuki/backend/sqlite"
)

// Commands that only look do so where nothing may be written; the others are refused, and say what may not be.
func TestWhatMayOnlyBeRead(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	db, script := filepath.Join(dir, "senpuki.db"), filepath.Join(dir, "flow.star")
	if err := os.WriteFile(script, []byte("def main():\n    return 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	command := func(line ...string) (status int, said string) {
		var b bytes.Buffer
		status = Run(context.Background(), nil, append(line, "--db", db), nil, &b, &b)
		return status, b.String()
	}
	for _, line := range [][]string{{"deploy", script}, {"exec", script, "--id", "x1"}} {
		if status, said := command(line...); status != 0 {
			t.Fatal(said)
		}
	}
	backup := filepath.Join(dir, "backup.db")
	if status, said := command("db", "backup", backup); status != 0 {
		t.Fatal(said)
	}
	t.Cleanup(func() { _ = os.Chmod(dir, 0o700) }) // so that it can be removed
	for path, mode := range map[string]os.FileMode{filepath.Dir(dir): 0o755, db: 0o444, backup: 0o444, script: 0o444, dir: 0o555} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if os.Geteuid() == 0 { // permissions are those of the thread, which ends with the goroutine
			runtime.LockOSThread()
			if _, err := unix.SetfsuidRetUid(65534); err != nil {
				t.Error(err)
				return
			}
		}
		for _, db = range []string{db, backup} {
			for _, line := range []string{
				"list", "show x1", "stats", "history x1", "logs x1", "result x1", "wait x1", "replay x1", "watch x1", "dlq list", "tasks list", "cache list",
				"workers", "workflows list", "workflows show flow", "workflows history flow", "db check", "gc --dry-run", "upgrade flow --dry-run",
			} {
				if status, said := command(strings.Fields(line)...); status != 0 {
					t.Errorf("%s ends with %d: %s", line, status, said)
				}
			}
			for _, line := range []string{
				"signal x1 go", "cancel x1", "retry x1", "fork x1 --from 1", "dlq discard --all", "dlq replay --all", "cache clear", "workflows rollback flow", "gc", "upgrade flow",
				"db migrate", "worker", "resume x1", "dispatch flow", "exec " + script, "deploy " + script,
			} {
				status, said := command(strings.Fields(line)...)
				if status != 1 || !strings.Contains(said, "who runs this may not write it: write "+db) {
					t.Errorf("%s ends with %d: %s", line, status, said)
				}
			}
		}
		if s, err := sqlite.Open(context.Background(), db); err == nil {
			t.Error("it can be written after all", s.Close())
		}
	}()
	<-done
	if names, err := filepath.Glob(filepath.Join(dir, "*")); err != nil || len(names) != 5 { // those, and two locks
		t.Errorf("there are %v, %v", names, err)
	}
}
