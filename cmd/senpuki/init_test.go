// The Go project that senpuki init writes: its own binary checks and tests its workflows.

package main_test

import (
	"os/exec"
	"path/filepath"
	"testing"
)

func TestProject(t *testing.T) {
	t.Parallel()
	bin := filepath.Join(t.TempDir(), "project")
	run := func(dir, name string, args ...string) {
		t.Helper()
		cmd := exec.Command(name, args...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s %v: %v\n%s", name, args, err, out)
		}
	}
	run("cli/scaffold/project", "go", "build", "-o", bin, ".")
	run("cli/scaffold/project", bin, "check", "workflows")
	run("cli/scaffold/project", bin, "test")
}
