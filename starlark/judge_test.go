// Calls that are found wrong without being made.

package starlark_test

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/senpuki/senpuki/starlark"
)

func TestMistakes(t *testing.T) {
	t.Parallel()
	const head = "h = activity(\"shell.run\")\ndef g(a, b = 1, *, c = 2):\n    return a\nw = workflow(g)\ndef many(a, *args, **kwargs):\n    return a\n" +
		"def only(*, k, l = 1):\n    return k\ns = struct(g = g)\n"
	for text, want := range map[string]string{
		// Options of built-ins, named wrongly.
		`activity("shell.run", retri = 1)`:        "2:27: activity() has no parameter retri; did you mean retry?",
		`h.options(retri = 1)`:                    "2:15: h.options() has no parameter retri; did you mean retry?",
		`h.options(retry = 1).options(cachd = 1)`: "2:34: h.options(...).options() has no parameter cachd; did you mean cached?",
		`workflow(g, idd = 1)`:                    "2:17: workflow() has no parameter idd; did you mean id?",
		`w.options(queu = 1)`:                     "2:15: w.options() has no parameter queu; did you mean queue?",
		`retry_policy(max_attempt = 1)`:           "2:18: retry_policy() has no parameter max_attempt; did you mean max_attempts?",
		`parallel([], limt = 2)`:                  "2:18: parallel() has no parameter limt; did you mean limit?",
		`parallel.map(g, [], limt = 2)`:           "2:25: parallel.map() has no parameter limt; did you mean limit?",
		`h.map([1], limt = 2)`:                    "2:16: h.map() has no parameter limt; did you mean limit?",
		`w.map([1], settel = 2)`:                  "2:16: w.map() has no parameter settel; did you mean settle?",
		`wait_signal("x", timout = 1)`:            "2:22: wait_signal() has no parameter timout; did you mean timeout?",
		`signal("x").recv(timout = 1)`:            "2:22: signal(...).recv() has no parameter timout; did you mean timeout?",
		`spawn(g, 1).result(timout = 1)`:          "2:24: spawn(...).result() has no parameter timout; did you mean timeout?",
		`race([g], timout = 1)`:                   "2:15: race() has no parameter timout; did you mean timeout?",
		`re.sub("a", "b", "c", cuont = 1)`:        "2:27: re.sub() has no parameter cuont; did you mean count?",
		`print("a", end = "")`:                    "2:16: print() has no parameter end; there is only sep",
		`sorted([1], cmp = 1)`:                    "2:17: sorted() has no parameter cmp; there are iterable, key, reverse",
		`uuid4(version = 1)`:                      "2:11: uuid4() has no parameter version; it takes no keyword arguments",
		`len(x = [])`:                             "2:9: len() takes x by its place, not by name",
		`(lambda: parallel([], limt = 2))()`:      "2:27: parallel() has no parameter limt; did you mean limit?",
		`[sleep(sec = n) for n in [1]]`:           "2:12: sleep() has no parameter sec; there is only duration",
		// How many arguments they get.
		`sleep()`:                "2:5: sleep() misses its argument duration",
		`sleep(1, 2)`:            "2:5: sleep() takes at most 1 positional argument, got 2",
		`sleep(1, duration = 2)`: "2:14: sleep() gets duration twice",
		`wait_signal("x", "1s")`: "2:5: wait_signal() takes at most 1 positional argument, got 2",
		`time.parse_time()`:      "2:5: time.parse_time() misses its argument x",
		`counter("x").add(1, 2)`: "2:5: counter(...).add() takes at most 1 positional argument, got 2",
		`timeout("5s")`:          "2:5: timeout() misses its argument fn",
		`attempt()`:              "2:5: attempt() misses its argument fn",
		`state.set("a")`:         "2:5: state.set() misses its argument value",
		// Members of modules.
		`json.loads("1")`:        "2:10: json has no member loads; write json.decode(text)",
		`return time.sleep`:      "2:17: time has no member sleep; write sleep(seconds)",
		`math.sqr(4)`:            "2:10: math has no member sqr; did you mean sqrt?",
		`random.nothing_like(1)`: "2:12: random has no member nothing_like; there are choice, randint, random, sample, seed, shuffle, uniform",
		// The script's own functions.
		`g()`:         "2:5: g() misses its argument a",
		`g(1, 2, 3)`:  "2:5: g() takes at most 2 positional arguments, got 3",
		`g(1, d = 1)`: "2:10: g() has no parameter d; there are a, b, c",
		`g(1, a = 2)`: "2:10: g() gets a twice",
		`g(b = 2)`:    "2:5: g() misses its argument a",
		`many()`:      "2:5: many() misses its argument a",
		`only(1)`:     "2:5: only() takes no positional arguments, got 1",
		`only(l = 1)`: "2:5: only() misses its argument k",
		`s.g()`:       "2:5: s.g() misses its argument a",
		`made()`:      "2:5: made() misses its argument x",
		`lent(1)`:     "2:5: lent() takes no positional arguments, got 1",
		`nap()`:       "2:5: nap() misses its argument duration",
		`g(g())`:      "2:7: g() misses its argument a",
		// Members of modules.
		`json.dumps({})`:            "2:10: json has no member dumps; write json.encode(x)",
		`time.sleep(1)`:             "2:10: time has no member sleep; write sleep(seconds)",
		`[math.flor(1.5)]`:          "2:11: math has no member flor; did you mean floor?",
		`info.workfow`:              "2:10: info has no member workfow; did you mean workflow?",
		`parallel.mapp(g, [1])`:     "2:14: parallel has no member mapp; did you mean map?",
		`hashes.sha255("")`:         "2:12: hashes has no member sha255; did you mean sha256?",
		`(lambda json: json.x)(s)`:  "",
		`s.nothing if False else 1`: "",
		`info.id, info.tags, math.pi, parallel.map(g, [1]), hashes.md5("").name, json.encode(info.run)`: "",
		// What is right, or not known.
		`g(1, 2, c = 3), g(a = 1), many(1, 2, 3, x = 4), many(a = 1), only(k = 1), s.g(1), made(1), lent(), nap(1)`:    "",
		`g(*[1]), g(**{"a": 1}), g(1, 2, 3, *[]), sleep(*[1]), parallel([], **{"limt": 1})`:                            "",
		`activity("shell.run", retry = retry_policy(), queue = "q"), activity(name = "shell.run")`:                     "",
		`activity("shell.run")("a", "b", c = 1), h(1, 2), h.start(x = 1), w(1), w.start(1), spawn(h, 1, x = 2)`:        "",
		`parallel(lent, lent), parallel([lent], limit = 2, settle = True, timeout = 1), race(lent, lent, timeout = 1)`: "",
		`signal("x").recv(), signal("x").recv("1s", None), send_signal("i", "n"), log.info("m", message = 1)`:          "",
		`error("A", "m", retryable = False, x = 1), Err(kind = "A"), Ok(), fail("a", 1, sep = "")`:                     "",
		`re.sub("a", "b", "c", 1, re.I), re.search(string = "a", pattern = "b"), json.decode("1", default = 2)`:        "",
		`"{}".format(1, 2), [].append(1), {}.get(1, 2), time.now().format("x"), max(1, 2, key = g), dict(a = 1)`:       "",
		"sleep = lambda: 1\n    sleep()":                                       "",
		"def parallel(limt):\n        return limt\n    parallel(limt = 1)":     "",
		"for g in []:\n        g()":                                            "",
		"[g() for g in []]":                                                    "",
		"(lambda g: g())(print)":                                               "",
		"h = {}\n    h.options(retri = 1)":                                     "",
		"looped(1, 2, 3)":                                                      "",
		"json = s\n    json.loads(1)":                                          "",
		"info.id, info.run, s.nothing(1), hasattr(time, \"foo\"), time.second": "",
		"bind(g)(1), many(g), [sleep], {\"a\": g}":                             "", // what they call is not judged
	} {
		const tail = "def _made(x):\n    return x\ndef same(f):\n    return f\nmade = same(_made)\nnap = sleep\nhashes = hashlib\nload(\"lib.star\", lent = \"f\")\n" +
			"for looped in [lambda a: a]:\n    looped(1)\n"
		files := map[string]string{"lib.star": "def f():\n    return 1\n"}
		files["main.star"] = "def main():\n    " + text + "\n" + head + tail
		s, err := gather(files)
		if err != nil {
			t.Fatal(err)
		}
		p, err := starlark.Compile(s)
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		got := p.Mistakes().Error()
		if want != "" {
			want = "main.star:" + want
		}
		if want == "" && got != "" || !strings.HasPrefix(got, want) {
			t.Errorf("%q:\n got %s\nwant %s", text, got, want)
		}
		calls, told := starlark.Judge(s, nil)
		if !reflect.DeepEqual(calls, p.Calls()) {
			t.Errorf("%q: by the text its calls are %v, they are %v", text, calls, p.Calls())
		}
		for _, m := range told {
			if !slices.Contains(p.Mistakes(), m) {
				t.Errorf("%q: by the text %s, which is not so", text, m)
			}
		}
		for _, m := range p.Mistakes() {
			if m.Severity != starlark.SeverityError {
				t.Errorf("%q: %+v", text, m)
			}
		}
	}
}

func TestFunctionsThatArePassed(t *testing.T) {
	t.Parallel()
	const head = "def g(a, b = 1):\n    return a\ndef none():\n    return 1\nw = workflow(g)\nh = activity(\"echo\")\ndef main(f = 1, l = []):\n    "
	for text, want := range map[string]string{
		`spawn(g)`:                               "11: g() misses its argument a, as spawn() calls it",
		`spawn(g, 1, c = 2)`:                     "17: g() has no parameter c, as spawn() calls it; there are a, b",
		`attempt(none, 1, 2)`:                    "13: none() takes no positional arguments, got 2, as attempt() calls it",
		`attempt(sleep)`:                         "13: sleep() misses its argument duration, as attempt() calls it",
		`bind(g, 1, 2, 3)`:                       "10: g() takes at most 2 positional arguments, got 3, as bind() calls it",
		`bind(g, x = 1)`:                         "13: g() has no parameter x",
		`spawn(bind(g, 1), 2, 3)`:                "11: bind(...)() takes at most 2 positional arguments, got 3, as spawn() calls it",
		`spawn(bind(g, a = 1), a = 2)`:           "27: bind(...)() gets a twice",
		`defer(g)`:                               "11: g() misses its argument a, as defer() calls it",
		`on_failure(none, 1)`:                    "16: none() takes no positional arguments",
		`timeout("5s", g)`:                       "19: g() misses its argument a, as timeout() calls it",
		`semaphore(1).run(g)`:                    "22: g() misses its argument a, as semaphore(...).run() calls it",
		`parallel([none, g])`:                    "21: g() misses its argument a, as parallel() calls it",
		`race({"a": g})`:                         "16: g() misses its argument a, as race() calls it",
		`parallel(none, bind(g))`:                "20: bind(...)() misses its argument a, as parallel() calls it",
		`wait_until(g)`:                          "16: g() misses its argument a, as wait_until() calls it",
		`parallel.map(none, l)`:                  "18: none() takes no positional arguments, got 1, as parallel.map() calls it",
		`parallel.starmap(g, [(1,), (1, 2, 3)])`: "32: g() takes at most 2 positional arguments, got 3, as parallel.starmap() calls it",
		`workflow(none)(1, 2)`:                   "5: workflow(...)() takes no positional arguments, got 2",
		`w(1, 2, 3)`:                             "5: w() takes at most 2 positional arguments, got 3",
		`w.start()`:                              "5: w.start() misses its argument a",
		`w.options(queue = "q").attempt(z = 1)`:  "36: w.options(...).attempt() has no parameter z",
		`workflow(none).map([1])`:                "5: workflow(...)() takes no positional arguments, got 1, as workflow(...).map() calls it",
		`w.starmap([[1, 2, 3]])`:                 "16: w() takes at most 2 positional arguments, got 3, as w.starmap() calls it",
		`spawn(w)`:                               "11: w() misses its argument a, as spawn() calls it",
		`parallel([w])`:                          "15: w() misses its argument a",

		`spawn(g, 1), spawn(g, *l), spawn(g, **{}), bind(g), bind(g, 1)(2), bind(g, *l), attempt(g, 1, b = 2), attempt(lambda: g(1)), spawn(f)`:   "",
		`parallel([none, bind(g, 1)], none), parallel(l), parallel([bind(g, x) for x in l]), parallel.map(g, l), parallel.map(none, [])`:          "",
		`parallel.starmap(g, [(1,), [1, 2], l]), parallel.starmap(none, [()]), parallel([spawn(g, 1)]), as_completed({"a": w.start(1)})`:          "",
		`w(1), w.start(1, b = 2), w.map(l), workflow("g")(1, 2, 3, x = 4), workflow(g).options(id = "i")(1), w.starmap([(1, 2)])`:                 "",
		`timeout(5, none), timeout(5, g, 1, b = 2), shield(none), defer(log.info, "m", x = 1), spawn(h, 1, 2), spawn(bind(h, 1)), attempt(l.pop)`: "",
		"g = none\n    spawn(g)": "",
	} {
		s, err := gather(map[string]string{"main.star": head + text + "\n"})
		if err != nil {
			t.Fatal(err)
		}
		p, err := starlark.Compile(s)
		if err != nil {
			t.Fatal(err)
		}
		got := p.Mistakes().Error()
		if want == "" && got != "" || !strings.HasPrefix(got, "main.star:8:"+want) && want != "" {
			t.Errorf("%q:\n got %s\nwant %s", text, got, want)
		}
		_, told := starlark.Judge(s, nil)
		for _, m := range told {
			if !slices.Contains(p.Mistakes(), m) {
				t.Errorf("%q: by the text %s, which is not so", text, m)
			}
		}
	}
}

func TestCallsThatBuiltinsMake(t *testing.T) {
	t.Parallel()
	p, err := compile("h = activity(\"echo\")\ndef main(l):\n    spawn(h, 1, k = 2)\n    timeout(5, h)\n    h.map(l)\n    h.map([])\n    h.starmap([(1, 2), l, ()], limit = 1)\n    attempt(h, *l)\n    bind(h)\n    activity(\"boom\")(1)\n    h.options(queue = l).start(1, 2)\n")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, c := range p.Calls() {
		if !c.Declaration && c.File == "x.star" {
			got = append(got, fmt.Sprint(c.Activity, " ", c.Line, c.Col, c.Args, c.Keywords, c.Open))
		}
	}
	want := []string{"echo 3 11 1 [k] false", "echo 4 16 0 [] false", "echo 5 5 1 [] false", "echo 7 16 2 [] false", "echo 7 27 0 [] false", "boom 10 5 1 [] false", "echo 11 5 2 [] false"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}

func TestValuesThatWillBeRefused(t *testing.T) {
	t.Parallel()
	const head = "LONG = \"forever\"\nSHORT = 5\nTAGS = [1]\nh = activity(\"echo\")\np = retry_policy()\ndef main(x = 1, junk = \"junk\"):\n    "
	for text, want := range map[string]string{
		`activity("echo", timeout = "junk")`:                "32: activity() will refuse its timeout: \"junk\" is not a duration",
		`activity("echo", timeout = LONG)`:                  "32: activity() will refuse its timeout: \"forever\" is not a duration",
		`activity("echo", queue = x, retry = retry_policy)`: "41: activity() will refuse its retry: wants retry_policy(...), got builtin",
		`activity("echo", tags = ["a", 1])`:                 "29: activity() will refuse its tags: wants a list of texts, got int in it",
		`h.options(max_concurrent = 0)`:                     "32: h.options() will refuse its max_concurrent: wants at least 1, got 0",
		`retry_policy(0)`:                                   "18: retry_policy() will refuse its max_attempts: max_attempts counts the first try and is at least 1, got 0",
		`h.options(retry = retry_policy(max_attempts = 0))`: "51: retry_policy() will refuse its max_attempts",
		`retry_policy(max_attempts = "3")`:                  "33: retry_policy() will refuse its max_attempts: got string, want int",
		`workflow("w", on_parent_close = "stop")`:           "37: workflow() will refuse its on_parent_close: wants \"cancel\"",
		`workflow(name_or_function = "w.star")`:             "33: workflow() will refuse its name_or_function: \"w.star\" is a file",
		`workflow(main).options(expiry = -1)`:               "37: workflow(...).options() will refuse its expiry: a duration is not negative, got -1",
		`wait_signal("x", timeout = "1 day")`:               "32: wait_signal() will refuse its timeout: \"1 day\" is not a duration",
		`wait_signal("")`:                                   "17: wait_signal() will refuse its name: the name of a signal is text",
		`signal("x").recv("soon")`:                          "22: signal(...).recv() will refuse its timeout",
		`sleep("junk")`:                                     "11: sleep() will refuse its duration",
		`sleep(d = (-1.5))`:                                 "15: sleep() will refuse its duration: a duration is not negative",
		`sleep_until("2d")`:                                 "17: sleep_until() will refuse its time: wants a time",
		`timer(None)`:                                       "11: timer() will refuse its duration: a duration is a number of seconds",
		`timeout(0, main)`:                                  "13: timeout() will refuse its duration: wants more than zero",
		`spawn(main).result("x")`:                           "24: spawn(...).result() will refuse its timeout",
		`race([main], timeout = 0)`:                         "28: race() will refuse its timeout: wants more than zero",
		`parallel.map(main, [], limit = 0)`:                 "36: parallel.map() will refuse its limit: limit is an int of at least 1, got 0",
		`h.map([], settle = 1)`:                             "24: h.map() will refuse its settle: got int, want bool",
		`semaphore(0)`:                                      "15: semaphore() will refuse its n",
		`progress(50)`:                                      "14: progress() will refuse its fraction: the fraction is a number from 0 to 1, got 50",
		`error("out of stock")`:                             "11: error() will refuse its kind: a kind is an identifier",

		`activity("echo", timeout = junk, tags = TAGS, retry = x, queue = "q" + x, key = main, cache_ttl = time.minute)`:            "",
		`activity("echo", timeout = None, retry = None, tags = ["a", x], priority = -1, rate = "1/1m", heartbeat = "%ds" % x)`:      "",
		`h.options(retry = p, tags = (), max_crashes = 0), workflow(main, retry = p, id = "i", on_parent_close = "wait")`:           "",
		`retry_policy(3, "0s", 1, retry_for = None, no_retry_for = ["A"], jitter = 0), parallel([], limit = None, timeout = None)`:  "",
		`sleep(0), sleep("1h 30m"), sleep(time.second * 2), sleep(SHORT), sleep(x), timer("0s"), select([h.start()], timeout = 0)`:  "",
		`wait_signal("x", timeout = None), wait_signal("x", timeout = 0, default = 1), sleep_until(x), sleep_until(time.now())`:     "",
		`progress(None, "m"), progress(1), error("A", "b c"), Err(x), semaphore(1), spawn(main).result(None), timeout(SHORT, main)`: "",
		"sleep = print\n    sleep(\"junk\")": "",
		`attempt(lambda: sleep("junk"))`:     "", // what it is after
		`sleep(*["junk"])`:                   "",
	} {
		s, err := gather(map[string]string{"main.star": head + text + "\n"})
		if err != nil {
			t.Fatal(err)
		}
		p, err := starlark.Compile(s)
		if err != nil {
			t.Fatal(err)
		}
		got := p.Mistakes().Error()
		if want == "" && got != "" || !strings.HasPrefix(got, "main.star:7:"+want) && want != "" {
			t.Errorf("%q:\n got %s\nwant %s", text, got, want)
		}
		if got, want := p.Warnings().Error(), "main.star:7:27: sleep() will refuse its duration"; strings.HasPrefix(text, "attempt(") && !strings.HasPrefix(got, want) {
			t.Errorf("%q:\n warns %s", text, got)
		}
	}
}

// What a script tries, or looks for first, is warned of.
func TestWhatIsTriedIsWarnedOf(t *testing.T) {
	t.Parallel()
	const head = "def helper(a):\n    return a\nT = (1, [2])\ndef test_it(t, s = \"\"):\n    "
	for text, want := range map[string]string{
		`t.fails(lambda: helper())`:                                     "x.star:5:21: helper() misses its argument a",
		`t.fails(lambda: [json.loads(x) for x in s])`:                   "x.star:5:27: json has no member loads; write json.decode(text)",
		`attempt(lambda: helper(1, 2))`:                                 "x.star:5:21: helper() takes at most 1 positional argument, got 2",
		`attempt(lambda: spawn(helper).result())`:                       "x.star:5:27: helper() misses its argument a, as spawn() calls it",
		`attempt(json.loads, s)`:                                        "x.star:5:18: json has no member loads; write json.decode(text)",
		`attempt(lambda: info.nope)`:                                    "x.star:5:26: info has no member nope",
		`json.loads(s) if hasattr(json, "loads") else json.decode("1")`: "x.star:5:10: json has no member loads; write json.decode(text)",
		`getattr(parallel, "each", None) and parallel.each(s)`:          "x.star:5:50: parallel has no member each",
	} {
		p, err := compile(head + text + "\n")
		if err != nil {
			t.Fatal(err)
		}
		if m := p.Mistakes(); len(m) > 0 || !strings.HasPrefix(p.Warnings().Error(), want) || len(p.Warnings()) != 1 {
			t.Errorf("%s:\n refused %v\n  warned %v\n    want %s", text, m, p.Warnings(), want)
		}
		s, err := gather(map[string]string{"main.star": head + text + "\n"})
		if err != nil {
			t.Fatal(err)
		}
		if _, found := starlark.Judge(s, nil); len(found) > 0 {
			t.Errorf("%s: judged %v", text, found)
		}
	}
	for _, text := range []string{`hasattr(json, "dumps") and json.loads(s)`, `hasattr(T, "loads") and json.loads(s)`, `hasattr(math, s) and json.loads(s)`, `attempt(helper)`, `t.fails(len); helper()`} {
		p, err := compile(head + text + "\n")
		if err != nil {
			t.Fatal(err)
		}
		if m := p.Mistakes(); len(m) != 1 {
			t.Errorf("%s: %v", text, m)
		}
	}
}

// What keeps one file from being run hides nothing of another, nor of itself.
func TestJudge(t *testing.T) {
	t.Parallel()
	const names = "a.star:3:5: undefined: nope\na.star:5:3: f() misses its argument x\na.star:5:8: undefined: no\nb.star:2:5: undefined: nada\n"
	for text, want := range map[string]string{
		"load(\"a.star\", \"f\")\nload(\"b.star\", \"g\")\nh = activity(\"x\")\nh2 = h.options(retry = unknown)\n" +
			"def main():\n    f(1, 2)\n    g(1, 2)\n    h2.options(retri = 1)\n    sleep(also, 2)\n    return twice()\n" +
			"def twice(): pass\ndef twice(x): pass\ndef odd(a, a): pass\nodd(1)\none = two.options()\ntwo = one.options()\none.options(retri = 1)": names +
			"main.star:4:24: undefined: unknown\nmain.star:6:5: f() takes at most 1 positional argument, got 2\nmain.star:8:16: h2.options() has no parameter retri; did you mean retry?\n" +
			"main.star:9:5: sleep() takes at most 1 positional argument, got 2\nmain.star:9:11: undefined: also\n" +
			"main.star:12:5: cannot reassign global twice declared at main.star:11:5; globals are constant: keep what changes in a function's variable\n" +
			"main.star:13:12: duplicate parameter: a\n",
		"load(\"a.star\", \"f\")\nload(\"b.star\", \"g\")\nload(\"broken.star\", \"n\")\nx = n(y)": names + "broken.star:1:10: got ':', want ')'\nmain.star:4:7: undefined: y\n",
		"load(\"a.star\", \"f\")\nload(\"b.star\", \"g\")\nload(\"none.star\", \"n\")\nx = n(y)":   names + "main.star:3:6: cannot load none.star: there is no such file\nmain.star:4:7: undefined: y\n",
	} {
		files := map[string]string{
			"main.star": text + "\n", "a.star": "def f(x):\n    return [\n    nope]\ndef e():\n  f(), no\n", "broken.star": "def main(: pass\n", "b.star": "def g(x):\n    nada()\ng = 1\n",
		}
		s, err := gather(files)
		if err == nil {
			_, err = starlark.Compile(s)
		}
		found, ok := err.(starlark.Problems)
		if !ok {
			t.Fatal(err)
		}
		calls, more := starlark.Judge(s, nil)
		got := slices.DeleteFunc(append(found, more...).Sorted(), func(p starlark.Problem) bool { return strings.Contains(p.Message, "global g") }).Error() + "\n"
		if got != want {
			t.Errorf("%q:\n got %s\nwant %s", text, got, want)
		}
		if strings.Contains(text, "activity") && len(calls) != 1 {
			t.Error(calls)
		}
	}
}

// A call that failed while its file loaded is told once.
func TestJudgeKnowsWhatFailed(t *testing.T) {
	t.Parallel()
	s, err := gather(map[string]string{"main.star": "a = activity(\n    \"x\",\n    retry = retry_policy(max_attempts = 0),\n)\nb = activity(\"y\", retri = 1)\n"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = starlark.Compile(s)
	failed, ok := err.(starlark.Problems)
	if !ok || len(failed) != 1 {
		t.Fatal(err)
	}
	_, more := starlark.Judge(s, failed)
	if got := append(failed, more...).Sorted().Error(); got != "main.star:3:25: retry_policy: max_attempts counts the first try and is at least 1, got 0\nmain.star:5:19: activity() has no parameter retri; did you mean retry?" {
		t.Error(got)
	}
}

// It is told in the words of those who judge calls without making them, where these know it, and at the call.
func TestWordsForWhatFailed(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"a = json.loads(\"1\")":                                 "main.star:1:10: json has no member loads; write json.decode(text)",
		"def f(a): return a\nx = f(1, 2)":                       "main.star:2:5: f() takes at most 1 positional argument, got 2",
		"def f(a): return a\nx = [f(b = 1)]":                    "main.star:2:8: f() has no parameter b; there is only a",
		"a = activity(\"y\", retri = 1)":                        "main.star:1:19: activity() has no parameter retri; did you mean retry?",
		"load(\"b.star\", \"g\")\ng()":                          "main.star:2:1: g() misses its argument x",
		"load(\"c.star\", \"bad\")\nbad()":                      "c.star:2:10: json has no member dumps; write json.encode(x)",
		"f = [lambda a: a][0]\nf(1, 2)":                         "main.star:2:2: function lambda accepts 1 positional argument (2 given)",
		"def f(a): return a\nx = sorted([1], key = bind(f, 2))": "main.star:2:11: ",
		"def f(): fail(\"function f accepts\")\nf()":            "main.star:1:14: Fail: function f accepts",
	} {
		s, err := gather(map[string]string{"main.star": text + "\n", "b.star": "def g(x):\n    return x\n", "c.star": "def bad():\n    json.dumps(1)\n"})
		if err != nil {
			t.Fatal(err)
		}
		_, err = starlark.Compile(s)
		failed, _ := err.(starlark.Problems)
		_, more := starlark.Judge(s, failed)
		if len(failed) != 1 || len(more) > 0 || !strings.HasPrefix(failed.Error(), want) {
			t.Errorf("%q:\n got %v\n and %v\nwant %s", text, failed, more, want)
		}
	}
}

// What is stored with a mistake in it still compiles: it may never come to the call.
func TestMistakesDoNotStopStoredPrograms(t *testing.T) {
	t.Parallel()
	b, _, err := run(t, "def main(wrong = False):\n    if wrong: sleep()\n    return 1\n", false)
	if err != nil || string(b) != "1" {
		t.Error(string(b), err)
	}
}

func TestFuturesThatAreNeverRead(t *testing.T) {
	t.Parallel()
	const head = "def g(a):\n    return a\nw = workflow(g)\nh = activity(\"echo\")\ndef main(x = 1):\n    "
	for text, want := range map[string]string{
		"f = h.start(1)":                            "6:5: the future of h.start is not used: f is never read; read its result()",
		"f = timer(1)":                              "6:5: the future of timer is not used: f is never read",
		"f = signal(\"x\").start()":                 "6:5: the future of signal(...).start is not used",
		"f = w.start(1)":                            "6:5: the future of w.start is not used: f is never read; read its result(); the child is cancelled",
		"a, b = h.start(1), h.start(2)\n    a.done": "6:8: the future of h.start is not used: b is never read",
		"if x:\n        f = h.start(1)":             "7:9: the future of h.start is not used",
		"def k():\n        f = h.start(1)\n    f = h.start(2)\n    return [k(), f]": "7:9: the future of h.start is not used",
		"f = h.start(1)\n    f = 2": "6:5: the future of h.start is not used",

		"f = h.start(1)\n    return f.result()":                          "",
		"f = h.start(1)\n    return lambda: f":                           "",
		"def k():\n        return f\n    f = h.start(1)\n    return k()": "",
		"f = h.start(1)\n    f = h.start(2)\n    return f":               "", // which of them is read cannot be told
		"f = h.start(1)\n    f += 1":                                     "",
		"_ = h.start(1)":                                                 "",
		"f = spawn(g, 1)":                                                "", // as spawn(g, 1) alone
		"f = h(1)":                                                       "",
		"f = [h.start(1)]":                                               "",
		"f = w.options(on_parent_close = \"wait\").start(1)":             "",
	} {
		p, err := compileFile(head + text + "\n")
		if err != nil {
			t.Fatal(err)
		}
		got := p.Warnings().Error()
		if want == "" && got != "" || want != "" && !strings.HasPrefix(got, "x.star:"+want) {
			t.Errorf("%q:\n got %s\nwant %s", text, got, want)
		}
	}
}

func TestFuturesThatAreDropped(t *testing.T) {
	t.Parallel()
	const head = "def g(a):\n    return a\nw = workflow(g)\nloose = workflow(g, on_parent_close = \"abandon\")\nh = activity(\"echo\")\n"
	child := "; the child is cancelled when this branch ends"
	for text, want := range map[string]string{
		"timer(1)":                          "timer",
		"h.start(1)":                        "h.start",
		"h.options(queue = \"q\").start(1)": "h.options(...).start",
		"activity(\"echo\").start(1)":       "activity(...).start",
		"signal(\"x\").start()":             "signal(...).start",
		"w.start(1)":                        "w.start",
		"workflow(g).start(1)":              "workflow(...).start",
		"w.options(id = \"i\").start(1)":    "w.options(...).start",
		"loose.options(on_parent_close = \"cancel\").start(1)": "loose.options(...).start",

		"spawn(g, 1)":                        "", // its scope awaits it, and raises its failure
		"loose.start(1)":                     "",
		"h(1)":                               "",
		"w(1)":                               "",
		"f = w.start(1)\n    f.result()":     "",
		"[w.start(1)]":                       "",
		"h.attempt(1)":                       "",
		"loose.options(id = \"i\").start(1)": "",
		"workflow(g, on_parent_close = \"wait\").start(1)":      "",
		"w.options(on_parent_close = \"abandon\").start(1)":     "",
		"w.options(**{\"on_parent_close\": \"wait\"}).start(1)": "",
		"workflow(g, on_parent_close = h.name).start(1)":        "",
		"w = struct(start = g)\n    w.start(1)":                 "",
		"timer = g\n    timer(1)":                               "",
	} {
		p, err := compileFile(head + "def main():\n    " + text + "\n")
		if err != nil {
			t.Fatal(err)
		}
		var got string
		for _, w := range p.Warnings() {
			if !strings.Contains(w.Message, "hides") {
				got += w.String()
			}
		}
		if want != "" {
			want = fmt.Sprintf("x.star:7:5: the future of %s is not used: keep it, and read its result()", want)
		}
		if want == "" && got != "" || !strings.HasPrefix(got, want) {
			t.Errorf("%q:\n got %s\nwant %s", text, got, want)
		}
		if isChild := strings.Contains(text, "w.") || strings.Contains(text, "workflow") || strings.Contains(text, "loose"); want != "" && isChild != strings.Contains(got, child) {
			t.Errorf("%q: %s", text, got)
		}
	}
}
