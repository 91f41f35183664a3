package engine

import (
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"
)

// What was dispatched with code of its own keeps it when it continues as new, also when the same code was deployed.
func TestContinuesOnItsOwnCode(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		e, stop := w.engine(Options{})
		script := "def main(n = 0):\n    if n:\n        return \"first\"\n    wait_signal(\"go\")\n    continue_as_new(1)\n"
		w.deploy(e, script)
		prog, err := e.Load(t.Context(), fstest.MapFS{"test.star": {Data: []byte(script)}}, "test.star")
		if err != nil {
			t.Fatal(err)
		}
		own := w.dispatch(e, Input{}, DispatchOptions{Digest: prog.Digest})
		named := w.dispatch(e, Input{}, DispatchOptions{})
		time.Sleep(time.Minute)
		w.deploy(e, "def main(n = 0):\n    return \"second\"\n")
		for id, result := range map[string]string{own: `"first"`, named: `"second"`} {
			if err := e.Signal(t.Context(), id, "go", nil); err != nil {
				t.Fatal(err)
			}
			want(t, w.finish(e, id), result)
		}
		stop()
		w.check()
	})
}

// A function that is started as a child keeps the code of its parent when that is the parent's own; a workflow that is named does not.
func TestAChildContinuesOnItsParentsOwnCode(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		e, stop := w.engine(Options{})
		script := `
def leaf(n = 0):
    if n:
        return "first"
    wait_signal("go")
    continue_as_new(1)
def middle():
    return workflow(leaf, id = info.id + "-leaf")()
def main(kind = ""):
    if kind in ("", 1):
        return leaf(kind)
    return workflow("test" if kind == "named" else middle, id = info.id + "-child")()
`
		w.deploy(e, script)
		prog, err := e.Load(t.Context(), fstest.MapFS{"test.star": {Data: []byte(script)}}, "test.star")
		if err != nil {
			t.Fatal(err)
		}
		for id, digest := range map[string]string{"own": prog.Digest, "named": prog.Digest, "deployed": ""} {
			w.dispatch(e, Input{Args: []any{id}}, DispatchOptions{ID: id, Digest: digest})
		}
		time.Sleep(time.Minute)
		w.deploy(e, "def leaf(n = 0):\n    return \"second\"\ndef main(n = 0):\n    return \"second\"\n")
		for id, result := range map[string]string{"own": `"first"`, "deployed": `"second"`, "named": `"second"`} {
			waits := id + "-child"
			if id != "named" { // that child is main, and not middle
				waits += "-leaf"
			}
			if err := e.Signal(t.Context(), waits, "go", nil); err != nil {
				t.Fatal(err)
			}
			want(t, w.finish(e, id), result)
		}
		stop()
		w.check()
	})
}

// Who waits in the process that runs an execution gets what it last published, also in a turn that nothing waited for.
func TestWaitHasWhatWasPublished(t *testing.T) {
	t.Parallel()
	for name, script := range map[string]string{
		"in a turn":     "def main():\n    sleep(1)\n    status(\"almost\")\n    sleep(1)\n    progress(1.0)\n",
		"running ahead": "nap = activity(\"nap\", pure = True)\ndef main():\n    nap(1)\n    status(\"almost\")\n    nap(1)\n    nap(1)\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				e, stop := w.engine(Options{})
				w.deploy(e, script)
				id := w.dispatch(e, Input{}, DispatchOptions{})
				x, err := e.Wait(t.Context(), id)
				if err != nil {
					t.Fatal(err)
				}
				stored, err := e.State(t.Context(), id)
				if err != nil || len(stored.Shown) == 0 || string(x.Shown) != string(stored.Shown) {
					t.Errorf("%s, stored %s, %v", x.Shown, stored.Shown, err)
				}
				stop()
				w.check()
			})
		})
	}
}
