package starlark_test

import (
	"strings"
	"testing"
)

func TestLambdasThatAreAllTheSameAreHintedAt(t *testing.T) {
	t.Parallel()
	for script, want := range map[string]string{
		"def main():\n    l = []\n    for i in range(2):\n        x = i + 1\n        l.append(lambda: echo(x))\n    return parallel(l)":            "the 2 lambdas of x.star:5:18 are all the same: each sees the last x; write bind(fn, x)",
		"def main():\n    l, i, u = [], 0, 5\n    while i < 2:\n        l.append(lambda: echo(i + u))\n        i += 1\n    return parallel(l)":     "the 2 lambdas of x.star:4:18 are all the same: each sees the last i; write bind(fn, i)",
		"def main():\n    u = 1\n    return first_ok([lambda: echo(u) for _ in range(3)])":                                                         "",
		"def main():\n    u = 1\n    return parallel([lambda: echo(u)] * 3)":                                                                       "",
		"def main():\n    f = None\n    for i in range(2):\n        f = lambda: echo(i)\n        parallel([f, f])":                                 "",
		"def main():\n    for i in range(2):\n        first_ok([lambda: echo(i) for _ in range(2)])":                                               "",
		"def main():\n    d = {}\n    def f(i):\n        return lambda: echo(d)\n    return parallel([f(i) for i in range(3)])":                    "",
		"def main():\n    l, d = [], {}\n    for i in range(2):\n        d[i] = i\n        l.append(lambda: echo(len(d)))\n    return parallel(l)": "",
		"def main():\n    return parallel([lambda: echo(i) for i in range(3)])":                                                                    "the 3 lambdas of x.star:2:22 are all the same: each sees the last i; write bind(fn, i)",
		"def main():\n    return parallel([bind(echo, i) for i in range(3)])":                                                                      "",
		"def main():\n    a = 1\n    return parallel([lambda: echo(a)])":                                                                           "",
		"def main():\n    return parallel.map(lambda i: echo(i), range(3))":                                                                        "",
		"def main():\n    def f(i):\n        return lambda: echo(i)\n    return parallel([f(i) for i in range(3)])":                                "",
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
