// Tests in scripts, on a driver that keeps what it is told.

package starlark_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/senpuki/senpuki/starlark"
)

type fakeDriver struct {
	said  []string
	mocks map[string]starlark.TestMock
}

func (d *fakeDriver) say(format string, args ...any) {
	d.said = append(d.said, fmt.Sprintf(format, args...))
}

func (d *fakeDriver) Start(s starlark.TestStart) (string, error) {
	if s.Workflow == "missing.star" {
		return "", errors.New("there is no such file")
	}
	d.say("start %s %s %s %s", s.Workflow, s.Function, s.ID, s.Input)
	return "x-1", nil
}
func (d *fakeDriver) State(id string) (string, error) { return "running", nil }
func (d *fakeDriver) Wait(id string) ([]byte, *starlark.Failure, error) {
	if m := d.mocks["work"]; m != nil {
		v, f := m(starlark.TestCall{Args: []byte("[1]"), Kwargs: []byte(`{"k":2}`), At: time.Unix(60, 0)})
		return v, f, nil
	}
	return []byte(`[1,{"a":null}]`), nil, nil
}
func (d *fakeDriver) Logs(string) ([]string, error) { return []string{"a", "b"}, nil }
func (d *fakeDriver) Signal(id, name string, payload []byte) error {
	d.say("signal %s %s %s", id, name, payload)
	return nil
}
func (d *fakeDriver) Cancel(id, reason string) error {
	return &starlark.Failure{Kind: "Closed", Message: id + reason}
}
func (d *fakeDriver) Mock(activity string, m starlark.TestMock) error {
	d.mocks[activity] = m
	return nil
}
func (d *fakeDriver) Calls(string) []starlark.TestCall {
	return []starlark.TestCall{{Execution: "x-1", Attempt: 2, At: time.Unix(60, 0), Args: []byte("[1]")}}
}
func (d *fakeDriver) Advance(t time.Duration) error { d.say("advance %v", t); return nil }
func (d *fakeDriver) Crash() error                  { d.say("crash"); return nil }
func (d *fakeDriver) Now() time.Time                { return time.Unix(0, 0) }

const testScript = `
def test_all(t):
    r = t.run("a.star", 1, id = "i", fn = "f", x = [2])
    t.signal(r, "go", {"a": 1})
    r.signal("again")
    t.signal("other", "go")
    t.advance("1h")
    t.crash()
    t.equal((r.id, r.state(), r.result(), r.failure(), r.logs()), ("x-1", "running", [1, {"a": None}], None, ["a", "b"]))
    t.fails(lambda: r.cancel("!"), "Closed")
    c = t.calls("work")[0]
    t.equal((c.args, c.kwargs, c.attempt, c.execution, c.at.unix), ([1], {}, 2, "x-1", 60))
    t.equal(t.now().unix, 0)
    t.true(attempt(lambda: fail("x")).error)
    print("done", r, t)

def test_mock(t):
    seen = []
    t.mock("work", lambda n, k: seen.append((n, k, time.now().unix)) or n + k)
    t.equal(t.run("a.star").result(), 3)
    t.equal(seen, [(1, 2, 60)])
    t.mock("work", Err("Busy", "b", left = 1))
    t.equal(t.run("a.star").failure().data, {"left": 1})
    t.mock(activity = "work", function_or_value = {"plain": (1, 2)})
    t.equal(t.run("a.star").result(), {"plain": [1, 2]})
    t.mock("work", lambda n, k: lambda: 1)
    t.equal(t.run("a.star").failure().kind, "PayloadError")

def test_returns_err(t):
    return Err("Odd", "returned")

def test_missing(t):
    t.run("missing.star")

def test_types(t):
    t.equal(1, 1.5)

def test_waits(t):
    wait_signal("x")

def test_calls(t):
    activity("a")()

def test_continues(t):
    continue_as_new()

def test_mocks_nothing(t):
    t.mock("work", struct(f = len))

def test_no_workflow(t):
    t.run(len)
`

func TestTests(t *testing.T) {
	t.Parallel()
	src, err := starlark.Gather("dir/x_test.star", func(string) (string, error) { return testScript, nil })
	if err != nil {
		t.Fatal(err)
	}
	prog, err := starlark.Compile(src)
	if err != nil {
		t.Fatal(err)
	}
	tests := prog.Tests()
	want := map[string]string{ // "": it passes
		"test_all": "", "test_mock": "",
		"test_returns_err":   "dir/x_test.star:29:1: Odd: returned",
		"test_missing":       "dir/x_test.star:33:10: TestFailed: there is no such file",
		"test_types":         "dir/x_test.star:36:12: TestFailed: got 1, want 1.5",
		"test_waits":         "dir/x_test.star:39:16: EvalError: durable steps are for workflows",
		"test_calls":         "dir/x_test.star:42:18: EvalError: durable steps are for workflows",
		"test_continues":     "dir/x_test.star:45:20: EvalError: continue_as_new is for workflows",
		"test_mocks_nothing": "dir/x_test.star:48:11: EvalError: t.mock: ",
		"test_no_workflow":   `dir/x_test.star:51:10: EvalError: t.run: the workflow is the name of a file`,
	}
	if len(tests) != len(want) || tests[0].Name != "test_all" || tests[0].Pos != "dir/x_test.star:2:1" {
		t.Fatalf("tests: %v", tests)
	}
	for _, test := range tests {
		d := &fakeDriver{mocks: make(map[string]starlark.TestMock)}
		var printed []string
		err := prog.RunTest(test.Name, d, func(line string) { printed = append(printed, line) })
		switch {
		case want[test.Name] == "" && err != nil:
			t.Errorf("%s: %v", test.Name, err)
		case want[test.Name] != "" && (err == nil || !strings.Contains(err.Error(), want[test.Name])):
			t.Errorf("%s: %v, want %s", test.Name, err, want[test.Name])
		}
		if test.Name != "test_all" {
			continue
		}
		said := strings.Join(append(d.said, printed...), "\n")
		if said != `start a.star f i {"$call":[[1],{"x":[2]}]}
signal x-1 go {"a":1}
signal x-1 again null
signal other go null
advance 1h0m0s
crash
done run("x-1") t` {
			t.Errorf("said:\n%s", said)
		}
	}
	var failure *starlark.TestFailure
	if err := prog.RunTest("nothing", nil, nil); !errors.As(err, &failure) || failure.Pos != "dir/x_test.star" {
		t.Error(err)
	}
}
