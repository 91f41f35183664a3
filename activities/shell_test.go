// Tests of shell.run with real processes.

//go:build unix

package activities

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

func stock(t *testing.T, name string) *Activity {
	t.Helper()
	r := NewRegistry()
	if err := RegisterStock(r, "shell", "http", "file", "shell"); err != nil {
		t.Fatal(err)
	}
	a, ok := r.Lookup(name)
	if !ok {
		t.Fatalf("no %s among %v", name, r.Names())
	}
	return a
}

func call[R any](ctx context.Context, t *testing.T, a *Activity, args []any, kwargs map[string]any) (R, *Failure) {
	t.Helper()
	var out R
	rawArgs, err := json.Marshal(args)
	if err != nil {
		t.Fatal(err)
	}
	var rawKwargs []byte
	if kwargs != nil {
		if rawKwargs, err = json.Marshal(kwargs); err != nil {
			t.Fatal(err)
		}
	}
	raw, f := a.Invoke(ctx, rawArgs, rawKwargs)
	if f != nil {
		return out, f
	}
	if err := json.Unmarshal(raw, &out); err != nil {
		t.Fatalf("%s: %v", raw, err)
	}
	return out, nil
}

func TestStockGroups(t *testing.T) {
	t.Parallel()
	if err := RegisterStock(NewRegistry(), "ftp"); err == nil || !strings.Contains(err.Error(), "shell, http, file") {
		t.Error(err)
	}
	r := NewRegistry()
	if err := RegisterStock(r, "file"); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(r.Names(), " "); got != "file.glob file.read file.write" {
		t.Error(got)
	}
}

func TestShell(t *testing.T) {
	t.Parallel()
	run := stock(t, "shell.run")
	dir := t.TempDir()
	for _, c := range []struct {
		name   string
		args   []any
		kwargs map[string]any
		want   ShellResult
	}{
		{"text", []any{"echo out; echo err >&2"}, nil, ShellResult{0, "out\n", "err\n"}},
		{"words", []any{[]string{"printf", "%s", "$HOME; *"}}, nil, ShellResult{0, "$HOME; *", ""}},
		{"stdin", []any{"cat", "hello"}, nil, ShellResult{0, "hello", ""}},
		{"unread stdin", []any{"true", strings.Repeat("x", 1<<20)}, nil, ShellResult{}},
		{"env", []any{`echo "$A_B-${PATH:+path}"`}, map[string]any{"env": map[string]string{"A_B": "c"}}, ShellResult{0, "c-path\n", ""}},
		{"dir", []any{"pwd"}, map[string]any{"dir": dir}, ShellResult{0, dir + "\n", ""}},
		{"no check", []any{"echo a; exit 3"}, map[string]any{"check": false}, ShellResult{3, "a\n", ""}},
		{"invalid bytes", []any{[]string{"printf", `a\377b`}}, nil, ShellResult{0, "a\ufffdb", ""}},
		{"empty options", []any{"pwd", "", map[string]string{}, dir, true}, nil, ShellResult{0, dir + "\n", ""}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, f := call[ShellResult](t.Context(), t, run, c.args, c.kwargs)
			if f != nil || got != c.want {
				t.Errorf("%+v %v, want %+v", got, f, c.want)
			}
		})
	}
}

func TestShellFailures(t *testing.T) {
	t.Parallel()
	run := stock(t, "shell.run")
	for _, c := range []struct {
		name    string
		args    []any
		kwargs  map[string]any
		kind    string
		message string
		noRetry bool
	}{
		{"exit", []any{"echo first >&2; echo no room >&2; exit 4"}, nil, "ExitError", "exit status 4: no room", false},
		{"signal", []any{"kill -9 $$"}, nil, "ExitError", "signal: killed", false},
		{"no such program", []any{[]string{"no-such-program-here"}}, nil, "NotFound", "no-such-program-here", true},
		{"no such directory", []any{"pwd"}, map[string]any{"dir": "/no/such/dir"}, "NotFound", "/no/such/dir", true},
		{"number", []any{5}, nil, KindBadArguments, "argument 1 (command) wants command, got 5 (a command is text or a list of words)", true},
		{"nothing", []any{""}, nil, KindBadArguments, "the command is empty", true},
		{"no words", []any{[]string{}}, nil, KindBadArguments, "the command is empty", true},
		{"None", []any{nil}, nil, KindBadArguments, "got None", true},
		{"unknown option", []any{"true"}, map[string]any{"shel": true}, KindBadArguments, "no parameter shel", true},
		{"bad name", []any{"true"}, map[string]any{"env": map[string]string{"a=b": ""}}, KindBadArguments, `env has the name "a=b"`, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, f := call[ShellResult](t.Context(), t, run, c.args, c.kwargs)
			if f == nil || f.Kind != c.kind || !strings.Contains(f.Message, c.message) || f.NoRetry != c.noRetry {
				t.Errorf("%+v", f)
			}
		})
	}
}

func TestShellFailureData(t *testing.T) {
	t.Parallel()
	_, f := call[ShellResult](t.Context(), t, stock(t, "shell.run"), []any{"yes é | head -c 20001; printf end; exit 9"}, nil)
	if f == nil {
		t.Fatal("no failure")
	}
	var data struct {
		ExitCode int `json:"exit_code"`
		Stdout   string
	}
	if err := json.Unmarshal(f.Data, &data); err != nil {
		t.Fatal(err)
	}
	if data.ExitCode != 9 || len(data.Stdout) > tailSize || !strings.HasSuffix(data.Stdout, "end") || strings.ContainsRune(data.Stdout, '\ufffd') {
		t.Errorf("%d %d %q", data.ExitCode, len(data.Stdout), data.Stdout)
	}
}

// TestShellKillsGrandchildren cancels a command whose child has a child.
func TestShellKillsGrandchildren(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	fifo := filepath.Join(dir, "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	done := make(chan *Failure, 1)
	go func() {
		_, f := call[ShellResult](ctx, t, stock(t, "shell.run"), []any{`sh -c 'sleep 1000 & echo $! > "$FIFO"; wait'; true`},
			map[string]any{"env": map[string]string{"FIFO": fifo}})
		done <- f
	}()
	raw, err := os.ReadFile(fifo) // until the grandchild runs
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(raw)))
	if err != nil {
		t.Fatal(err)
	}
	cancel(errors.New("enough"))
	f := <-done
	if f == nil || f.Kind != KindActivityError || !strings.Contains(f.Message, "enough") {
		t.Errorf("%+v", f)
	}
	for deadline := time.Now().Add(10 * time.Second); alive(pid); {
		if time.Now().After(deadline) {
			t.Fatalf("the grandchild %d lives", pid)
		}
	}
}

// alive tells whether a process runs; a zombie that nobody has reaped yet does not.
func alive(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return false
	}
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return !errors.Is(err, os.ErrNotExist)
	}
	_, after, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(after, "Z")
}

func TestLimitedOutput(t *testing.T) {
	t.Parallel()
	l := limited{most: 4}
	for _, part := range []string{"ab", "cde", "f"} {
		if n, err := l.Write([]byte(part)); n != len(part) || err != nil {
			t.Error(n, err)
		}
	}
	if l.String() != "abcd" || !l.over {
		t.Error(l.String(), l.over)
	}
}

func TestEndlessOutput(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"yes", "yes >&2", "yes & wait"} {
		cmd := exec.CommandContext(t.Context(), "/bin/sh", "-c", text)
		_, _, err := runLimited(t.Context(), cmd, 1000)
		if f := FailureOf(err); f == nil || f.Kind != "OutputTooLarge" || !f.NoRetry {
			t.Errorf("%s: %+v", text, f)
		}
	}
}
