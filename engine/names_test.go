package engine

import (
	"strings"
	"testing"
	"testing/synctest"
)

func TestUnfitNamesAreRefusedWhereTheyAreGiven(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		e, stop := w.engine(Options{})
		w.deploy(e, `
def child():
    return 1

def main():
    long = "x" * 3000
    return [attempt(fn).error.kind for fn in [
        bind(workflow(child, id = long)), bind(workflow(child, queue = long)), bind(activity("add").options(queue = long), 1, 2),
    ]] + [attempt(fn).error.message for fn in [
        bind(workflow(child, id = "a\nb")), bind(workflow(child, queue = "a\x00b")), bind(workflow(child, tags = [""])),
        bind(workflow(child, tags = ["a\tb"])), bind(activity("add").options(queue = "\x7f"), 1, 2), bind(activity("add").options(tags = ["\n"]), 1, 2),
    ]]
`)
		want(t, w.finish(e, w.dispatch(e, Input{}, DispatchOptions{})), `["BadArguments","BadArguments","BadArguments",`+
			`"the id of a child \"a\\nb\" has control characters","a queue's name \"a\\x00b\" has control characters","a tag has no name",`+
			`"a tag \"a\\tb\" has control characters","a queue's name \"\\x7f\" has control characters","a tag \"\\n\" has control characters"]`)
		for _, o := range []DispatchOptions{{ID: strings.Repeat("x", 1001)}, {Queue: strings.Repeat("q", 1001)}} {
			if _, err := e.Dispatch(t.Context(), "test", Input{}, o); err == nil || !strings.Contains(err.Error(), "1001 bytes") {
				t.Errorf("error %v", err)
			}
		}
		for _, o := range []DispatchOptions{{ID: "a\nb"}, {Queue: "a\nb"}, {Tags: []string{"a\nb"}}} {
			if _, err := e.Dispatch(t.Context(), "test", Input{}, o); err == nil || !strings.Contains(err.Error(), `"a\nb" has control characters`) {
				t.Errorf("error %v", err)
			}
		}
		if _, err := e.Dispatch(t.Context(), "test", Input{}, DispatchOptions{Tags: []string{""}}); err == nil || err.Error() != "a tag has no name" {
			t.Errorf("error %v", err)
		}
		if err := e.Signal(t.Context(), "x", "a\nb", []byte("1")); err == nil || err.Error() != `the signal's name "a\nb" has control characters` {
			t.Errorf("error %v", err)
		}
		stop()
		w.check()
	})
}

func TestAScriptHearsThatASignalsNameIsUnfit(t *testing.T) {
	t.Parallel()
	const script = `
def main():
    long = "x" * 1001
    tries = [
        bind(send_signal, info.id, long), bind(send_signal, info.id, "a\x00"), bind(execution(info.id).signal, "a\n"),
        bind(wait_signal, "a\x00", timeout = "1s"), bind(signal("a\n").start), bind(race, [signal("a\x00"), bind(sleep, 1)]),
    ]
    found = [attempt(fn).error for fn in tries]
    return [e.kind for e in found], [e.message for e in found[1:]], signal("a\x00").drain()
`
	const outcome = `[["BadArguments","BadArguments","BadArguments","BadArguments","BadArguments","BadArguments"],` +
		`["the signal's name \"a\\x00\" has control characters","the signal's name \"a\\n\" has control characters",` +
		`"the signal's name \"a\\x00\" has control characters","the signal's name \"a\\n\" has control characters","the signal's name \"a\\x00\" has control characters"],[]]`
	for _, o := range []Options{{}, {ReplayAlways: true}} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			e, stop := w.engine(o)
			w.deploy(e, script)
			want(t, w.finish(e, w.dispatch(e, Input{}, DispatchOptions{})), outcome)
			stop()
			w.check()
		})
	}
}
