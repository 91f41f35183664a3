package activities

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"testing"
	"time"
)

func TestCommand(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("the commands are of a Unix shell")
	}
	r := NewRegistry()
	command := func(name, script string) *Activity {
		t.Helper()
		if err := r.RegisterCommand(name, Command{Words: []string{"sh", "-c", script}, Env: map[string]string{"WHO": "me"}}, Options{}); err != nil {
			t.Fatal(err)
		}
		a, _ := r.Lookup(name)
		return a
	}
	ctx := WithInfo(t.Context(), AttemptInfo{Execution: "x", Run: 2, Step: "3.1", Activity: "echo", Attempt: 4, IdempotencyKey: "x/1/3.1"})
	echo := command("echo", "cat")
	if err := echo.CheckCall(5, []string{"any"}, false); err != nil {
		t.Errorf("a command takes any arguments: %v", err)
	}
	if got := echo.Signature(); got != "echo(...)" {
		t.Errorf("signature %s", got)
	}
	for _, c := range []struct{ args, kwargs, want string }{
		{`[1,"b"]`, "", `{"args":[1,"b"],"kwargs":{}}`},
		{`[]`, `{"n":123456789012345678901}`, `{"args":[],"kwargs":{"n":123456789012345678901}}`},
	} {
		if err := echo.CheckArgs([]byte(c.args), []byte(c.kwargs)); err != nil {
			t.Error(err)
		}
		got, f := echo.Invoke(ctx, []byte(c.args), []byte(c.kwargs))
		if f != nil || string(got) != c.want {
			t.Errorf("echo %s %s: %s, %v", c.args, c.kwargs, got, f)
		}
	}
	context := command("context", `cat >/dev/null; printf '"%s"' "$SENPUKI_EXECUTION $SENPUKI_RUN $SENPUKI_STEP $SENPUKI_ATTEMPT $SENPUKI_IDEMPOTENCY_KEY $SENPUKI_ACTIVITY $WHO"`)
	if got, f := context.Invoke(ctx, []byte("[]"), nil); f != nil || string(got) != `"x 2 3.1 4 x/1/3.1 echo me"` {
		t.Errorf("context: %s, %v", got, f)
	}
	if got, f := command("silent", "true").Invoke(ctx, []byte("[]"), nil); f != nil || string(got) != "null" {
		t.Errorf("silent: %s, %v", got, f)
	}
	for _, c := range []struct{ name, script, want, data string }{
		{"stderr", `echo '{"kind": "A", "message": "m", "data": {"n": 12345678901234567890}}' >&2; exit 1`, "A: m", `{"n":12345678901234567890}`},
		{"stdout", `echo noise >&2; echo '{"kind": "B", "retryable": false}'; exit 9`, "B", ""},
		{"status", `echo '{"no": "kind"}' >&2; exit 7`, `ExitError: exit status 7: {"no": "kind"}`, `"exit_code":7`},
		{"words", `echo hello`, "PayloadError: sh wrote something to standard output that is not one JSON document", `"stdout":"hello\n"`},
	} {
		_, f := command(c.name, c.script).Invoke(ctx, []byte("[]"), nil)
		if f == nil || f.Error() != c.want || !strings.Contains(string(f.Data), c.data) || f.Activity != c.name || f.NoRetry != (c.name == "stdout" || c.name == "words") {
			t.Errorf("%s: %+v", c.name, f)
		}
	}
}

func TestCommandIsKilled(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("the commands are of a Unix shell")
	}
	r := NewRegistry()
	if err := r.RegisterCommand("sleep", Command{Words: []string{"sleep", "60"}}, Options{}); err != nil {
		t.Fatal(err)
	}
	a, _ := r.Lookup("sleep")
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, f := a.Invoke(ctx, []byte("[]"), nil); f == nil || !strings.Contains(f.Message, "killed") {
		t.Errorf("failure %v", f)
	}
}

func TestCommandIsRefused(t *testing.T) {
	t.Parallel()
	r := NewRegistry()
	for _, c := range []struct {
		name    string
		command Command
		options Options
		want    string
	}{
		{"a", Command{}, Options{}, "the command is empty"},
		{"a", Command{Words: []string{"x"}, Env: map[string]string{"A=B": ""}}, Options{}, `env has the name "A=B"`},
		{"a", Command{Words: []string{"x"}}, Options{Timeout: -1}, "timeout must not be negative"},
		{"a b", Command{Words: []string{"x"}}, Options{}, "a name is letters"},
	} {
		if err := r.RegisterCommand(c.name, c.command, c.options); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want %s", c, err, c.want)
		}
	}
	if err := r.RegisterCommand("a", Command{Words: []string{"x"}}, Options{}); err != nil {
		t.Fatal(err)
	}
	if err := r.RegisterCommand("a", Command{Words: []string{"x"}}, Options{}); !errors.Is(err, ErrRegistered) {
		t.Errorf("registered twice: %v", err)
	}
}
