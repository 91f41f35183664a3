package starlark_test

import (
	"strings"
	"testing"
)

func TestLambdasThatAreAllTheSameAreHintedAt(t *testing.T) {
	t.Parallel()
	for script, want := range map[string]string{
		"def main():\n    return parallel([lambda: echo(i) for i in range(3)])":                                     "the 3 lambdas of x.star:2:22 are all the same: each sees the last i; write bind(fn, i)",
		"def main():\n    return parallel([bind(echo, i) for i in range(3)])":                                       "",
		"def main():\n    a = 1\n    return parallel([lambda: echo(a)])":                                            "",
		"def main():\n    return parallel.map(lambda i: echo(i), range(3))":                                         "",
		"def main():\n    def f(i):\n        return lambda: echo(i)\n    return parallel([f(i) for i in range(3)])": "",
	} {
		_, w, err := run(t, script, false)
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case want == "" && len(w.Lines) > 0:
			t.Errorf("%s: %+v", script, w.Lines)
		case want != "" && (len(w.Lines) != 1 || !strings.HasSuffix(w.Lines[0].Message, want)):
			t.Errorf("%s: %+v", script, w.Lines)
		}
	}
}
