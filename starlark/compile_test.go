// What is refused before a script runs, and how it is said.

package starlark_test

import (
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/senpuki/senpuki/starlark"
	"github.com/senpuki/senpuki/starlark/hosttest"
)

func gather(files map[string]string) (*starlark.Sources, error) {
	return starlark.Gather("main.star", func(path string) (string, error) {
		if text, ok := files[path]; ok {
			return text, nil
		}
		have := make([]string, 0, len(files))
		for name := range files {
			have = append(have, name)
		}
		slices.Sort(have)
		return "", &starlark.MissingFile{Have: have}
	})
}

func problems(files map[string]string) string {
	s, err := gather(files)
	if err == nil {
		_, err = starlark.Compile(s)
	}
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestTeaching(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"try:\n  x()\nexcept E:\n  pass":                                    "1:1: there is no try; write `value, err = attempt(",
		"def f():\n    try:\n        pass":                                  "2:5: there is no try",
		"def f():\n    raise ValueError(1)":                                 "there is no raise; write error(",
		"import os":                                                         "there is no import; write load(",
		"from os import path":                                               "there is no from ... import",
		"class A:\n  pass":                                                  "there is no class; use struct",
		"def f():\n    with open(x) as y:\n        pass":                    "there is no with; pass a function",
		"async def f():\n  pass":                                            "there is no async",
		"def f():\n    x = await g()":                                       "there is no await",
		"def f():\n    yield 1":                                             "there are no generators",
		"def f(d):\n    del d[1]":                                           "there is no del; write d.pop",
		"def f():\n    assert 1":                                            "there is no assert",
		"def f():\n    global x":                                            "globals cannot be rebound",
		"def f(x):\n    return x is None":                                   "there is no is; write ==",
		"def f(x):\n    return x is not None":                               "there is no is; write ==",
		"def f(x):\n    return f\"{x}\"":                                    "there are no f-strings",
		"def f(x):\n    return f'{x}'":                                      "there are no f-strings",
		"def f(x):\n    return f\"\"\"{x}\"\"\"":                            "there are no f-strings",
		"def f(a, b, c):\n    return a < b < c":                             "comparisons do not chain",
		"def f(a):\n    return a ** 2":                                      "there is no **; multiply",
		"def f(a):\n    x()\n    finally:\n        y()":                     "there is no finally; write defer(",
		"def f(a):\n    except E as e:\n        y()":                        "there is no except",
		"def f(a):\n    nonlocal a":                                         "outer variables cannot be rebound",
		"def f(a):\n    return a if a is None else 1":                       "there is no is; write ==",
		"def f(a):\n    return a if 1":                                      "a conditional expression has an else",
		"x = ('a'\n  f'{b}')":                                               "main.star:2:3: there are no f-strings",
		"x = rf'{b}'":                                                       "there are no f-strings",
		"x = u'b'":                                                          "may begin with r or b",
		"def f(a):\n    print \"x\"":                                        "write print(value)",
		"def f(a):\n    b, *c = a":                                          "write first, rest = l[0], l[1:]",
		"def f(a):\n    return {x for x in a}":                              "there are no set comprehensions",
		"def f(a):\n    return sum(x for x in a)":                           "there are no generators; write a list",
		"def f(a):\n    a++":                                                "main.star:2:8: there is no ++ or --; write n += 1",
		"def f(a):\n    return a && a":                                      "write and, or, not",
		"def f(a):\n    return a || a":                                      "write and, or, not",
		"def f(a):\n    return !a":                                          "write not",
		"def f(a):\n    if a = 1:\n        pass":                            "write == to compare",
		"def f(a):\n    x = y = 1":                                          "assignments do not chain",
		"def f(a):\n    for x in a:\n        pass\n    else:\n        pass": "loops have no else",
		"def f(a):\n    match a:\n        case 1:\n            pass":        "there is no match; write if and elif",
		"def f(a)\n    return 1":                                            "the line before ends without its ':'",
		"def f():\n    a = 1\n      b = 2":                                  "main.star:3:7: this line is indented deeper than the one before",
		"def f():\n\tif True:\n        return 1":                            "main.star:3:9: a block is missing here: a line, pass if nothing else, indented deeper",
		"def f():\nreturn 1":                                                "main.star:2:1: a block is missing here",
		"x = 1\nx += 1":                                                     "globals are constant",
		"def f(a):\n    return open(a)":                                     "undefined: open; write activity(\"file.read\")",
		"def f(a):\n    return map(f, a)":                                   "write [f(x) for x in xs], or parallel.map(f, xs)",
		"def f(a):\n    return ValueError(a)":                               "kinds of errors are text: error(\"ValueError\"",
		"def f(a):\n    return none":                                        "undefined: none; write None",
		"x = random.seed(1)":                                                "random.seed does not exist: the numbers are keyed by the execution",
		"l = [1]\nx = [c for c in \"ab\"]":                                  "main.star:2:8: string value is not iterable; write s.elems()",
		"x = \"a\" \"b\"":                                                   "adjacent strings are not joined",
		"def f(a):\n    return [*a]":                                        "cannot be unpacked in a literal",
		"def f(a):\n    return {**a}":                                       "cannot be unpacked in a literal",
		"x = {1, 2}":                                                        "there are no set literals",
		"x = {1}":                                                           "there are no set literals",
		"def f(x):\n    if (y := x):\n        pass":                         "there is no :=",
		"def f(x: int):\n    pass":                                          "there are no annotations",
		"def f(x) -> int:\n    pass":                                        "there are no annotations",
		"x: int = 1":                                                        "there are no annotations",
		"@cached\ndef f():\n    pass":                                       "there are no decorators; write def _f(): ... and below it f = decorate(_f)",
		"x = \"\\.\"":                                                       "write r\"...\"",
		"x = 1\nx = 2":                                                      "globals are constant",
		"def f():\n    print(unknown)\n    print(other)":                    "main.star:3:11: undefined: other",
		"def f():\n    return requests.get(1)":                              "there are no Python modules",
		"x = sleep(1)":                                                      "sleep is not available while a file loads",
		"x = time.now()":                                                    "time.now is not available while a file loads",
		"x = uuid4()":                                                       "uuid4 is not available while a file loads",
		"x = random.random()":                                               "random.random is not available while a file loads",
		"x = parallel([])":                                                  "parallel is not available while a file loads",
		"a = activity(\"a\")\nx = a(1)":                                     "main.star:2:6: a is not available while a file loads",
		"a = activity(\"a\")\nx = a.start(1)":                               "a.start is not available while a file loads",
		"x = attempt(len, [])":                                              "attempt is not available while a file loads",
		"x = info.id":                                                       "info is not available while a file loads",
		"a = activity(\"a\", retyr = 1)":                                    "did you mean retry?",
		"a = activity(\"a\", rate = \"junk\")":                              `option rate: wants a number per duration, such as "100/1m", got "junk"`,
		"a = activity(\"a\", rate = \"0/1m\")":                              `got "0/1m"`,
		"a = activity(\"a\", rate = \"1/0s\")":                              `got "1/0s"`,
		"a = activity(\"a\", rate = \"5\")":                                 `got "5"`,
		"a = activity(\"a\", priority = 1 << 31)":                           "option priority: wants at most 2147483647, got 2147483648",
		"a = activity(\"a\", max_concurrent = 0)":                           "option max_concurrent: wants at least 1, got 0",
		"a = activity(\"a\", max_crashes = \"3\")":                          `option max_crashes: wants an int, got "3"`,
		"x = 1 // 0":                                                        "main.star:1:7: floored division by zero",
		"def f():\n    return f()\nx = f()":                                 "calls nest deeper",
		"while True:\n    pass":                                             "steps while loading",
		"load(\"./no.star\", \"x\")":                                        "main.star:1:6: cannot load no.star: there is no such file",
		"load(\"../no.star\", \"x\")":                                       "outside the root",
		"load(\"/etc/x.star\", \"x\")":                                      "absolute paths",
		"load(\"@foo/x.star\", \"x\")":                                      "there is only @std",
		"def f(:\n  pass":                                                   "main.star:1:7: got ':'",
		"x = (1 +":                                                          "main.star:2:1: got end of file",
		"def f():\n    return \"abc":                                        "main.star:2:",
		"def f(s):\n    for c in \"abc\":\n        print(c)":                "",
	} {
		got := problems(map[string]string{"main.star": text + "\n"})
		if want == "" && got != "" || !strings.Contains(got, want) {
			t.Errorf("%q:\n got %s\nwant %s", text, got, want)
		}
	}
}

// A name that is nowhere is answered with names that are there, not with another one that is nowhere either.
func TestNamesThatAreSuggestedExist(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"logger(1)\n    logging(1)": "main.star:2:5: undefined: logger; write log.info(message, field = value)\nmain.star:3:5: undefined: logging; write log.info(message, field = value)",
		"order(1)\n    oder(1)":     "main.star:2:5: undefined: order\nmain.star:3:5: undefined: oder",
		"bill(1)\n    bil(1)":       "main.star:3:5: undefined: bil (did you mean bill?)",
		"bil(parallels)":            "main.star:2:5: undefined: bil (did you mean bill?)\nmain.star:2:9: undefined: parallels (did you mean parallel?)",
		"wokflow(bill)":             "main.star:2:5: undefined: wokflow (did you mean workflow?)",
		"Sorted(i, order, sting)":   "main.star:2:5: undefined: Sorted\nmain.star:2:12: undefined: i\nmain.star:2:15: undefined: order\nmain.star:2:22: undefined: sting",
		"asyncio(prnt)":             "main.star:2:5: undefined: asyncio; there are no Python modules: call activities, or load(\"@std/...\")\nmain.star:2:13: undefined: prnt (did you mean print?)",
	} {
		if got := problems(map[string]string{"main.star": "def f(bill):\n    " + text + "\n"}); got != want {
			t.Errorf("%q:\n got %s\nwant %s", text, got, want)
		}
	}
}

// What is behind a character of several bytes is taught as what is behind one of one byte, at the same place.
func TestTeachingCountsCharacters(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"x = [\"é\", 10**30]",
		"x = [\"é\", [*a]]",
		"x = [\"é\", {**a}]",
		"x = [\"é\", await x]",
		"x = \"é\" is None",
		"x = \"é\"; raise \"x\"",
		"x = \"é\"; import os",
		"x = (\"é\", a < b < c)",
		"x = (\"é\", f\"{b}\")",
		"x = \"é\" \"b\"",
		"x = (\"é\", b && c)",
		"x = (\"é\", !b)",
		"x = (\"é\", b := c)",
		"x = (\"é\", y for y in b)",
		"x = {\"é\", 1}",
		"def f(é):\n    é++",
		"def main(é: int):\n    pass",
		"def main(a, é: int):\n    pass",
		"def main(é) -> int:\n    pass",
		"é: int = 1",
	} {
		got := problems(map[string]string{"main.star": text + "\n"})
		want := problems(map[string]string{"main.star": strings.ReplaceAll(text, "é", "e") + "\n"})
		if got != want || !strings.Contains(got, "there ") && !strings.Contains(got, "not") && !strings.Contains(got, "write") {
			t.Errorf("%q:\n got %s\nwant %s", text, got, want)
		}
	}
}

// The advice about decorators can be followed where it is given.
func TestDecoratorAdvice(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"def decorate(f):\n    return f\ndef _g():\n    return 1\ng = decorate(_g)\n",
		"def decorate(f):\n    return f\ndef main():\n    def _g():\n        return 1\n    g = decorate(_g)\n    return g()\n",
	} {
		if got := problems(map[string]string{"main.star": text}); got != "" {
			t.Errorf("%q: %s", text, got)
		}
	}
}

func TestEveryProblemIsTold(t *testing.T) {
	t.Parallel()
	got := problems(map[string]string{"main.star": "load(\"a.star\", \"a\")\ndef f():\n    one()\n    two()\n", "a.star": "a = 1\n"})
	if got != "main.star:3:5: undefined: one\nmain.star:4:5: undefined: two" {
		t.Error(got)
	}
	got = problems(map[string]string{"main.star": "load(\"a.star\", \"a\")\nx = (\n", "a.star": "a = 1\n"})
	if !strings.HasPrefix(got, "main.star:") {
		t.Error(got)
	}
}

func TestEveryFileIsResolved(t *testing.T) {
	t.Parallel()
	got := problems(map[string]string{
		"main.star": "load(\"b.star\", \"b\")\nload(\"a.star\", \"a\")\none()\n", "a.star": "load(\"b.star\", \"b\")\na = two\n", "b.star": "b = three\n\nfour()\n",
	})
	if got != "a.star:2:5: undefined: two\nb.star:1:5: undefined: three\nb.star:3:1: undefined: four\nmain.star:3:1: undefined: one" {
		t.Error(got)
	}
}

func TestEveryNameThatIsNotThere(t *testing.T) {
	t.Parallel()
	got := problems(map[string]string{
		"main.star": "load(\"a.star\", \"a\", \"nothing\", b = \"later\", c = \"latr\", d = \"other\")\nload(\"b.star\", \"g\")\nload(\"c.star\", \"gg\")\n",
		"a.star":    "load(\"b.star\", other = \"f\")\na = other\nif a:\n    later = 1\n", "c.star": "_g = 1\n", "b.star": "_b = 1\n[g for g in [1]]\ndef f():\n    g = 1\n",
	})
	if got != "main.star:1:22: load: name nothing not found in module a.star; there are a, later\nmain.star:1:50: load: name latr not found in module a.star; did you mean later?\n"+
		"main.star:1:62: load: name other not found in module a.star; there are a, later\nmain.star:2:17: load: name g not found in module b.star; there is only f\n"+
		"main.star:3:17: load: name gg not found in module c.star" {
		t.Error(got)
	}
}

// A workflow is named after its file, and lists print its name.
func TestGatherRefusesPaths(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"a\nb.star", "d\x1b/a.star", "\u009b.star", "\xff.star"} {
		_, err := starlark.Gather(path, func(string) (string, error) { return "x = 1\n", nil })
		if err == nil || !strings.HasSuffix(err.Error(), ": rename it") {
			t.Errorf("%q: %v", path, err)
		}
	}
}

func TestLoads(t *testing.T) {
	t.Parallel()
	files := map[string]string{
		"main.star":   "load(\"./lib/a.star\", \"a\")\nload(\"//lib/b.star\", \"b\")\nload(\"@std/s.star\", \"s\")\ndef main():\n    return [a, b, s]\n",
		"lib/a.star":  "load(\"./b.star\", \"b\")\na = b + [1]\n",
		"lib/b.star":  "b = [0]\n",
		"@std/s.star": "s = 7\n",
	}
	s, err := gather(files)
	if err != nil || len(s.Files) != 4 {
		t.Fatal(err, s)
	}
	p, err := starlark.Compile(s)
	if err != nil {
		t.Fatal(err)
	}
	b, err := p.Run(nil, &starlark.Options{})
	if string(b) != "[[0,1],[0],7]" {
		t.Fatal(string(b), err)
	}
	files["lib/b.star"] = "load(\"//main.star\", \"main\")\nb = [0]\n"
	if got := problems(files); !strings.Contains(got, "lib/b.star:1:6: load cycle: main.star -> lib/a.star -> lib/b.star -> main.star") {
		t.Error(got)
	}
	cyclic := &starlark.Sources{Entry: "a.star", Files: []starlark.File{{Path: "a.star", Text: "load(\"a.star\", y = \"x\")\nx = 1\n"}}}
	if _, err := starlark.Compile(cyclic); err == nil || !strings.Contains(err.Error(), "cycle") {
		t.Error(err)
	}
	data, _ := s.MarshalJSON()
	again, err := starlark.ParseSources(data)
	if err != nil || again.Digest() != s.Digest() {
		t.Error("sources do not survive", err)
	}
	again.Files[0].Text += " "
	if again.Digest() == s.Digest() {
		t.Error("the digest does not see a file")
	}
}

func TestLoadProblems(t *testing.T) {
	t.Parallel()
	files := map[string]string{
		"lib/util.star": "u = 1\n", "lib/other.star": "", "data.json": "{}", "bad.json": "{\"a\": 1,\n  \"b\": }\n",
		"short.json": "[1,\n2", "last.json": "[1,]", "empty.json": "", "latin.json": "[\"\uFFFDé\",\n \"caf\xe9\"]", "latin.star": "# caf\xe9\nx = 1\n", "@std/saga.star": "", "deep.json": strings.Repeat("[", 2000) + strings.Repeat("]", 2000),
	}
	for text, want := range map[string]string{
		`load("./lib/utli.star", "u")`:          "main.star:1:6: cannot load lib/utli.star: there is no such file; did you mean ./lib/util.star?",
		`load("./util.star", "u")`:              "did you mean ./lib/util.star?",
		`load("//lib/util", "u")`:               "did you mean ./lib/util.star?",
		`load("@std/sage.star", "saga")`:        "cannot load @std/sage.star: there is no such file; did you mean @std/saga.star?",
		`load("data.jsn", data = "json")`:       "did you mean ./data.json?",
		`load("data.json", "data")`:             `main.star:1:20: a JSON file has one name, "json": write load("data.json", data = "json")`,
		`load("bad.json", data = "json")`:       "bad.json:2:8: is not JSON: invalid character '}' looking for beginning of value",
		`load("short.json", data = "json")`:     "short.json:2:2: is not JSON: unexpected end of JSON input",
		`load("last.json", data = "json")`:      "last.json:1:4: is not JSON: invalid character ']' looking for beginning of value",
		`load("empty.json", data = "json")`:     "empty.json:1:1: is not JSON: unexpected end of JSON input",
		`load("deep.json", data = "json")`:      "deep.json: nested deeper than 1000",
		`load("latin.json", data = "json")`:     "latin.json:2:6: is not UTF-8: here is the byte 0xe9; save the file as UTF-8",
		`load("latin.star", "x")`:               "latin.star:1:6: is not UTF-8: here is the byte 0xe9; save the file as UTF-8",
		"x = 1\nx\x00 = ! not ? read":           "main.star:2:2: here is a NUL byte, and a script is text; in a string it is written \"\\x00\"",
		"é = \"\xff\"":                          "main.star:1:6: is not UTF-8: here is the byte 0xff; save the file as UTF-8",
		`load("../../x.star", "x")`:             "main.star:1:6: cannot load ../../x.star: it is outside the root of the workspace",
		`load("//../x.star", "x")`:              "outside the root",
		`load("./lib/../../x.star", "x")`:       "outside the root",
		`load("@std/../x.star", "x")`:           "outside the standard library",
		`load("//", "x")`:                       "names no file",
		`load("./lib/", "x")`:                   "names no file",
		`load("lib\\util.star", "x")`:           "write / between directories",
		`load("//lib/util.star", "v")`:          "load: name v not found in module //lib/util.star",
		`load("//lib/util.star", "u", w = "u")`: "",
	} {
		files["main.star"] = text + "\n"
		got := problems(files)
		if want == "" && got != "" || !strings.Contains(got, want) {
			t.Errorf("%s:\n got %s\nwant %s", text, got, want)
		}
	}
	files["main.star"] = "load(\"//lib/deep/x.star\", \"x\")\n"
	files["lib/deep/x.star"] = "load(\"../othr.star\", \"x\")\n"
	if got := problems(files); !strings.Contains(got, "lib/deep/x.star:1:6: cannot load lib/othr.star: there is no such file; did you mean //lib/other.star?") {
		t.Error(got)
	}
}

func TestLoadJSON(t *testing.T) {
	t.Parallel()
	files := map[string]string{
		"main.star":      "load(\"//conf/c.json\", conf = \"json\")\nload(\"./conf/l.star\", \"n\")\ndef main():\n    return [conf[\"a\"], n, attempt(conf.pop, \"a\").ok]\n",
		"conf/l.star":    "load(\"c.json\", c = \"json\")\nn = len(c[\"a\"])\n",
		"conf/c.json":    "{\"a\": [1, 2.5, null, {\"$bytes\": \"x\"}]}\n",
		"conf/none.json": "not JSON, and not loaded",
	}
	s, err := gather(files)
	if err != nil || len(s.Files) != 3 {
		t.Fatal(err, s)
	}
	p, err := starlark.Compile(s)
	if err != nil {
		t.Fatal(err)
	}
	b, err := hosttest.New(nil).Run(p, starlark.Options{})
	if want := `[[1,2.5,null,{"$dict":[["$bytes","x"]]}],4,false]`; string(b) != want {
		t.Errorf("%s, %v, want %s", b, err, want)
	}
	files["conf/c.json"] = "{\"a\": []}"
	changed, err := gather(files)
	if err != nil || changed.Digest() == s.Digest() {
		t.Error("the digest does not see a JSON file", err)
	}
}

func TestGlobalsAreFrozen(t *testing.T) {
	t.Parallel()
	_, _, err := run(t, "l = []\ndef main():\n    l.append(1)\n", false)
	if err == nil || !strings.Contains(err.Error(), "frozen") {
		t.Error(err)
	}
}

func TestCheckInput(t *testing.T) {
	t.Parallel()
	p, err := compile("def main(order, n = 1):\n    return order\ndef many(*a, **k):\n    return [a, k]\n")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ fn, input, want string }{
		{"main", `{"order": 1}`, ""},
		{"main", `[1, 2]`, ""},
		{"main", `7`, ""},
		{"main", ``, "main() misses its argument order"},
		{"main", `{"ordr": 1}`, "has no parameter ordr"},
		{"main", `{"": 1}`, `has no parameter ""`},
		{"main", `{"order": 1, "": 2}`, `has no parameter ""`},
		{"main", `[1, 2, 3]`, "takes at most 2 positional arguments, got 3"},
		{"main", `{`, "input is not JSON"},
		{"main", `{"order": NaN}`, "input is not JSON"},
		{"nope", `1`, "has no function nope; there are main, many"},
		{"mian", `1`, "has no function mian; did you mean main?"},
		{"many", `[1, 2]`, ""},
		{"many", `{"x": 1}`, ""},
	} {
		err := p.CheckInput(c.fn, []byte(c.input))
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s(%s): %v, want %q", c.fn, c.input, err, c.want)
		}
	}
}

func TestCallsAndWarnings(t *testing.T) {
	t.Parallel()
	p, err := compile("a = activity(\"x.y\", queue = \"q\")\ndef main(status):\n    sleep = 1\n    a(1, k = 2)\n    a.start(*[1])\n    return sleep\n")
	if err != nil {
		t.Fatal(err)
	}
	var calls []starlark.Call
	for _, c := range p.Calls() {
		if c.File == "x.star" {
			calls = append(calls, c)
		}
	}
	if len(calls) != 3 || !calls[0].Declaration || calls[0].Queue != "q" || calls[1].Args != 1 || calls[1].Keywords[0] != "k" || !calls[2].Open {
		t.Errorf("%+v", calls)
	}
	if w := p.Warnings().Error(); !strings.Contains(w, "x.star:3:5: sleep hides the built-in") {
		t.Error(w)
	}
}

func TestCache(t *testing.T) {
	t.Parallel()
	c := starlark.NewCache(1)
	one, _ := gather(map[string]string{"main.star": "x = 1\n"})
	two, _ := gather(map[string]string{"main.star": "x = 2\n"})
	var wg sync.WaitGroup
	programs := make([]*starlark.Program, 8)
	for i := range programs {
		wg.Go(func() { programs[i], _ = c.Compile(one) })
	}
	wg.Wait()
	for _, p := range programs {
		if p != programs[0] || p == nil {
			t.Fatal("compiled twice")
		}
	}
	if _, err := c.Compile(two); err != nil {
		t.Fatal(err)
	}
	if _, ok := c.Lookup(one.Digest()); ok {
		t.Error("the cache grows")
	}
	if _, ok := c.Lookup(two.Digest()); !ok {
		t.Error("the newest is not in the cache")
	}
	c.Add(programs[0])
	if p, err := c.Compile(one); p != programs[0] || err != nil {
		t.Error("what was added is compiled again", err)
	}
	if _, ok := c.Lookup(two.Digest()); ok {
		t.Error("the cache grows by what is added")
	}
}

func TestWarnings(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"def main(xs):\n    return parallel([lambda: sleep(x) for x in xs])\n":                                       "x.star:2:22: this lambda sees the last x when it is called after the loop; write bind(fn, x)",
		"def main(xs):\n    l = []\n    for a, b in xs:\n        l.append(lambda: b)\n    return l\n":                "x.star:4:18: this lambda sees the last b",
		"def main(xs):\n    d = {}\n    for a in xs:\n        d[a] = lambda: a\n    return d\n":                      "x.star:4:16: this lambda sees the last a",
		"def main(xs):\n    for a in xs:\n        spawn(lambda: sleep(a))\n":                                         "x.star:3:15: this lambda sees the last a",
		"def main(xs):\n    for a in xs:\n        parallel.map(lambda x: x + a, [1])\n":                              "",
		"def main(xs):\n    return [bind(lambda x: x, x) for x in xs]\n":                                             "",
		"def main(xs):\n    return [lambda x: x for x in xs]\n":                                                      "",
		"def main(dir, *log, hash = 1, **info):\n    list = []\n    for type in list:\n        pass\n":               "x.star:1:16: log hides the built-in log here\nx.star:1:33: info hides the built-in info here\nx.star:2:5: list hides the built-in list here\nx.star:3:9: type hides the built-in type here",
		"def main(xs):\n    for a, (log, _) in xs:\n        pass\n    return [time for time in xs], lambda re: re\n": "x.star:2:13: log hides the built-in log here\nx.star:4:22: time hides the built-in time here\nx.star:4:42: re hides the built-in re here",
		"def main(xs):\n    [json, a] = xs\n    xs.math = 1\n    math.x = 2\n":                                       "x.star:2:6: json hides the built-in json here",
		"def hash(x):\n    return x\ndef sleep(x):\n    return x\n":                                                  "x.star:3:5: sleep hides the built-in sleep here",
		"a = activity(\"a\")\ndef main():\n    a.start(1)\n":                                                         "x.star:3:5: the future of a.start is not used",
		"def main():\n    timer(1)\n": "x.star:2:5: the future of timer is not used",
		"a = activity(\"a\")\ndef main():\n    f = a.start(1)\n    spawn(sleep, 1)\n    return f.result()\n": "",
		"def main():\n    h = hashlib.md5()\n    h.update(\"a\")\n":                                          "x.star:3:5: the hash that h.update returns is not used: write h = h.update(data)",
		"def main():\n    h = hashlib.md5()\n    h = h.update(\"a\")\n    d = {}\n    d.update(a = 1)\n":     "",
	} {
		p, err := compile(text)
		if err != nil {
			t.Fatal(err)
		}
		got := p.Warnings().Error()
		if want == "" && got != "" || !strings.HasPrefix(got, want) {
			t.Errorf("%q:\n got %s\nwant %s", text, got, want)
		}
	}
}

// What was opened lines before is not forgotten, and what only looks like a habit of Python is not taught.
func TestReservedWords(t *testing.T) {
	t.Parallel()
	for text, at := range map[string]string{
		"log.info(\"mail\", from = \"a\")": "1:18: from", "from = 1": "1:1: from", "struct(is = 1)": "1:8: is", "f(\n  a,\n  class = 1)": "3:3: class",
		"def main(from, to): pass": "1:10: from", "def main(a, class): pass": "1:13: class", "def main(*, from = 1): pass": "1:13: from",
		"def main(**with): pass": "1:12: with", "def f(in , out): pass": "1:7: in", "def class(): pass": "1:5: class", "y = lambda from: 1": "1:12: from",
		"y = lambda a, is: 1": "1:15: is", "x.with": "1:3: with", "y = x.from (1)": "1:7: from", "from, to = x": "1:1: from", "a, from = x": "1:4: from",
		"from += 1": "1:1: from", "def f():\n  is = 2": "2:3: is", "for from in x: pass": "1:5: from", "y = [x for is in y]": "1:12: is", "f(1, for = 2)": "1:6: for",
		"load(\"x\", from = \"y\")": "1:11: from", "f(as = 1)": "1:3: as", "global = 1": "1:1: global",
	} {
		got := problems(map[string]string{"main.star": text + "\n"})
		if got != "main.star:"+at+" is a reserved word; choose another name" {
			t.Errorf("%q:\n got %s\nwant %s is a reserved word", text, got, at)
		}
	}
	for _, text := range []string{"from == 1", "x = from", "f(from)", "f(x is y)", "f(a, x if y else is = 1)", "x = a.\n", "with a, b: pass", "import a.class", "x = y.\nif z: pass"} {
		if got := problems(map[string]string{"main.star": text + "\n"}); strings.Contains(got, "reserved word") {
			t.Errorf("%q: %s", text, got)
		}
	}
}

func TestTeachingKnowsWhereItIs(t *testing.T) {
	t.Parallel()
	const walrus, list, dict, set = "there is no :=", "a list or tuple cannot be unpacked", "a dict cannot be unpacked in a literal; write a | b", "there are no set literals"
	for text, want := range map[string]string{
		"def f():\n    if x := g():\n        pass":                     "2:11: " + walrus,
		"def f():\n    while c := read():\n        pass":               "2:14: " + walrus,
		"def f():\n    if 1:\n        pass\n    elif m := 1:\n    x()": "4:13: " + walrus,
		"x = y if z := 1 else 2":                                       walrus,
		"x = {\"a\":= 1}":                                              "got '=', want primary expression",
		"x = y if \"a:= 1\"":                                           "a conditional expression has an else",
		"x = {\n    **a,\n    \"b\": 1,\n}":                            "2:5: " + dict,
		"x = {\n    \"b\": 1, # {\n    **a,\n}":                        "3:5: " + dict,
		"x = f({\n    \"b\": [1],\n    **a})":                          "3:5: " + dict,
		"x = {\"a\": **b}":                                             "got '**', want primary expression",
		"x = [**b]":                                                    "got '**', want primary expression",
		"x = {\n    \"b\": 1\n    **a,\n}":                             "got '**', want '}'",
		"x = [\n    *a,\n    1,\n]":                                    "2:5: " + list,
		"x = (\n    1,\n    *a,\n)":                                    "3:5: " + list,
		"x = 1, *a":                                                    list,
		"x = a[*b]":                                                    "got '*', want primary expression",
		"def f(l):\n    return 1, *l":                                  list,
		"def f(l):\n    [a, *b] = l":                                   "an assignment cannot take the rest",
		"def f(l):\n    *a, b = l":                                     "an assignment cannot take the rest",
		"def f(l):\n    if l: a, *b = l":                               "an assignment cannot take the rest",
		"def f(l):\n    for a, *b in l:\n        pass":                 "got '*', want primary expression",
		"x = {\n    1,\n    2,\n}":                                     "2:6: " + set,
		"x = {\n    (1, \"a: b\")\n}":                                  "3:1: " + set,
		"x = {*a}":                                                     set,
		"x = {\"a\": 1, 2}":                                            "got '}', want ':'",
		"x = {\n    y\n    for y in a\n}":                              "there are no set comprehensions",
		"x = [a, b for a in c]":                                        "got for, want ']'",
		"x = f(\n    a\n    for a in b)":                               "there are no generators",
		"def f(x):\n    return f\"\"\"\n{x}\n\"\"\"":                   "2:12: there are no f-strings",
		"x = (\"a\", f\"\"\"\nimport a\n\"\"\")":                       "1:11: there are no f-strings",
		"x = \"a\" \" f'b'\"":                                          "adjacent strings are not joined",
		"x = \"a\" b\"b\"":                                             "adjacent strings are not joined",
		"x = [\n    \"a\"\n    \"b\",\n]":                              "3:5: adjacent strings are not joined; write + between them, or a comma",
		"def f(x):\n    return_ \"a\"":                                 "got string literal, want newline",
		"x = b\"\\d\"":                                                 "write rb\"...\" for a raw string",
		"x = \"this is\" if y":                                         "a conditional expression has an else",
		"x = {a = 1}":                                                  "got '=', want ':'",
		"x = lambda: y = 1":                                            "got '=', want newline",
		"def f(x):\n    return x = 1":                                  "got '=', want newline",
		"def f(\n    x,\n) -> int:\n    pass":                          "there are no annotations",
		"def f():\n    self.x: int = 1":                                "there are no annotations",
		"x = f(\n    a: 1)":                                            "got ':', want ','",
		"def f():\n    repeat:\n        pass":                          "got ':', want newline",
		"x = y -> z":                                                   "want primary expression",
	} {
		got := problems(map[string]string{"main.star": text + "\n"})
		if !strings.Contains(got, want) || strings.HasPrefix(want, "got") && strings.Contains(got, ";") {
			t.Errorf("%q:\n got %s\nwant %s", text, got, want)
		}
	}
}
