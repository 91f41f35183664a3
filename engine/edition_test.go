package engine

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/senpuki/senpuki/backend"
	"github.com/senpuki/senpuki/starlark"
)

// Workers of two releases share a database: each takes what it can replay, and
// says so in words when it is asked for more.
func TestAnotherEditionIsLeftToOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		e, stop := w.engine(Options{})
		digest := w.digestOf(e, `
def main():
    return 1
`)
		_, err := w.store.Commit(t.Context(), backend.Batch{Create: []backend.NewExecution{{
			ID: "next", Workflow: "test", Digest: digest, Edition: starlark.Edition + 1, Function: "main", Input: []byte("[]"), Queue: "default",
		}}})
		if err != nil {
			t.Fatal(err)
		}
		want(t, w.finish(e, w.dispatch(e, Input{}, DispatchOptions{})), `1`)
		time.Sleep(time.Minute)
		x, err := e.State(t.Context(), "next")
		if err != nil || x.State != backend.Pending || x.Edition != starlark.Edition+1 {
			t.Errorf("%+v %v", x, err)
		}
		_, replayErr := e.Replay(t.Context(), "next", "")
		for _, err := range []error{e.Adopt(t.Context(), "next"), replayErr} {
			if wrong, ok := errors.AsType[*EditionError](err); !ok || wrong.Edition != starlark.Edition+1 {
				t.Error(err)
			}
		}
		stop()
		w.check()
	})
}
