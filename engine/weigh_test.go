package engine

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
)

func TestLargeValuesAreWarnedOfOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var text bytes.Buffer
		e, stop := w.engine(Options{MaxValue: 1000, Logger: slog.New(slog.NewTextHandler(&text, nil))})
		w.deploy(e, `
echo = activity("echo")
def main(x):
    for n in (100, 300, 300, 990):
        echo("y" * n)
    return attempt(echo, "y" * 1200).error.kind
`)
		want(t, w.finish(e, w.dispatch(e, Input{Args: []any{strings.Repeat("x", 400)}}, DispatchOptions{})), `"PayloadError"`)
		stop()
		for what, times := range map[string]int{"the arguments of echo": 1, "the result of echo": 1, "the input of test": 1, "a large value": 3} {
			if n := strings.Count(text.String(), what); n != times {
				t.Errorf("%q %d times, want %d:\n%s", what, n, times, text.String())
			}
		}
		w.check()
	})
}
