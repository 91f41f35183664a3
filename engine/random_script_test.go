// Random scripts, whose end does not depend on when what happens.

package engine

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// scriptWriter writes a random script of functions that call those before them.
type scriptWriter struct {
	*rand.Rand
	b      strings.Builder
	indent string
	drawn  bool // random numbers may be drawn, ids shown

	n      int // names given
	costs  []int
	raises []bool
	cost   int // of the function that is written
	raised bool
	loose  bool // what it has spawned may raise
	whole  bool // it is main
}

func (s *scriptWriter) line(format string, a ...any) {
	s.b.WriteString(s.indent)
	fmt.Fprintf(&s.b, format, a...)
	s.b.WriteByte('\n')
}

func (s *scriptWriter) name(prefix string) string {
	s.n++
	return fmt.Sprintf("%s%d", prefix, s.n)
}

func (s *scriptWriter) key() string { return fmt.Sprintf(`p + %q`, s.name(".")) }

func (s *scriptWriter) within(body func()) {
	before := s.indent
	s.indent += "    "
	body()
	s.indent = before
}

func oneOf[T any](r *rand.Rand, list ...T) T { return list[r.IntN(len(list))] }

const randomHead = `
load("@std/saga.star", "saga")
load("lib.star", "twice", "LIMIT")
load("data.json", data = "json")

work = activity("work")
tasked = activity("work", max_concurrent = 3)
rated = activity("work", rate = "50/1s")
urgent = activity("work", priority = 5, timeout = "1h", start_timeout = "10d", heartbeat = "1h")
tries = activity("tries", retry = retry_policy(max_attempts = 5, initial_delay = "300ms", jitter = 0.3))
gives_up = activity("gives_up", retry = retry_policy(max_attempts = 2, initial_delay = "100ms"))
stuck_one = activity("block", timeout = "2s", retry = retry_policy(max_attempts = 1))
once = activity("once", idempotent = True)
kept = activity("once", cached = True, version = "7")
same = activity("same", pure = True)
echo = activity("echo")

def eq(got, want):
    if got != want or type(got) != type(want):
        error("Differs", "%r is not %r" % (got, want))

def ident(v):
    return v

def told(r):
    return [r.ok, r.value] if r.ok else [r.ok, r.error.kind, str(r.error.cause)]

def settled(fs):
    return [told(f.attempt()) for f in fs]

def hears(name, n):
    return [wait_signal(name) for _ in range(n)]

def cleans(p):
    r = attempt(sleep, "1h")
    shield(work, p, 0)
    return r.error.kind

def never():
    wait_signal("never")

def nap(d, v):
    sleep(d)
    return v

`

// values are expressions whose values survive the store.
var values = []string{
	`None`, `True`, `0`, `-1`, `1 << 80`, `-(1 << 64)`, `9223372036854775807`, `-9223372036854775808`, `1.0`, `-0.0`, `1e308`, `5e-324`, `0.1`, `""`, `"a\u0000b"`, `"\ue000\U0001F600"`, `b"\x00\xff"`, `b""`,
	`()`, `(1, (2, [3]))`, `[]`, `{}`, `set()`, `set([(1, "a"), 2, 3.5, b"x"])`, `{1: "a", (2, 3): [4], "x": {}, None: 0, 1.5: b"q"}`, `{"$bytes": "x"}`, `{"$tuple": [1]}`, `{"$x": 1, "a": 2}`,
	`{"z": 1, "a": {"c": 1, "b": 2}}`, `struct(a = 1, b = struct(c = [1]))`, `Ok([1, (2,)])`, `Err("K", "m", x = (1, 2))`, `time.from_timestamp(1700000000, 123456789)`, `time.parse_duration("1h3ms")`,
	`time.time(year = 2024, month = 2, day = 29, hour = 5, location = "Europe/Paris")`, `"x" * 3000`, `list(range(50))`, `[[[[[[]]]]]]`, `"\r\n\t\"\\/"`, `"\u2028é"`,
}

// expressions are expressions of the language over p and n.
var expressions = []string{
	`sorted(set([n % 5, 3, 1, n % 3]))`, `{k: v for k, v in zip("abc".elems(), range(n % 4, 9))}`, `[x * y for x in range(3) for y in range(n %% 4) if x != y]`, `p.upper().split(".")`, `"%s-%d" %% (p, n)`,
	`"{}:{b}".format(n, b = p)`, `sum([i for i in range(n % 10)])`, `round(n / 7, 3)`, `fmt(n / 3, ",.3f")`, `re.findall(r"\d+", p)`, `hashlib.sha256(p).hexdigest()[:9]`, `base64.b64encode(p)`, `json.encode({"p": p, "n": [n, 1.5]})`,
	`json.decode(json.encode({"b": n, "a": p}))`, `sorted(p.elems(), reverse = True)[:4]`, `(n * 12345678901234567890) % 1000003`, `n // 3 - n %% 7`, `twice(n) %% LIMIT`, `data["list"][n % 3]`, `[i for i, c in enumerate(p.elems()) if c == "."]`, `max([n, 3], key = lambda x: -x)`, `dict(sorted({"z": n, "y": 1}.items()))`,
	`(lambda a, *b, **c: [a, b, sorted(c.items())])(n, 1, p, q = 2)`, `isinstance(n, ("int", "string")) and p.count(".")`, `math.floor(math.sqrt(n * n + 1))`, `list(reversed(p.partition(".")))`, `len(p.replace(".", "::").strip("m"))`, `str((n, p, [n], {"p": n}))`, `struct(a = n, b = p).a`,
}

// callee is a function written before, by name, or "" when none is cheap enough.
func (s *scriptWriter) callee(times int, mayRaise bool) (name string, raises bool) {
	for range 8 {
		if len(s.costs) == 0 {
			return "", false
		}
		i := s.IntN(len(s.costs))
		if s.raises[i] && !mayRaise || s.cost+times*s.costs[i] > 120 {
			continue
		}
		s.cost += times * s.costs[i]
		return fmt.Sprintf("f%d", i), s.raises[i]
	}
	return "", false
}

// leaf is a function that can be called with a key and a number.
func (s *scriptWriter) leaf(times int) string {
	if f, _ := s.callee(times, false); f != "" && s.IntN(2) == 0 {
		return f
	}
	s.cost += times
	return oneOf(s.Rand, "work", "work", "tasked", "rated", "urgent", "same")
}

func (s *scriptWriter) statement(depth int) {
	s.cost++
	key := s.key()
	switch s.IntN(38) {
	case 0, 1:
		s.line(`out.append(%s(%s, n))`, oneOf(s.Rand, "work", "work", "tasked", "rated", "urgent", "same"), key)
	case 2:
		s.line(`out.append(tries(%s, %d))`, key, s.IntN(4))
	case 3:
		s.line(`out.append(told(gives_up.attempt(%s, "K%d")))`, key, s.IntN(3))
	case 4:
		if f, raises := s.callee(1, true); f != "" {
			if raises && (s.whole && s.IntN(4) > 0 || s.IntN(3) > 0) {
				s.line(`out.append(told(attempt(%s, %s, n + 1)))`, f, key)
				return
			}
			if raises {
				s.line(`out.append(settled(fs))`)
				s.raised = true
			}
			s.line(`out.append(%s(%s, n + %d))`, f, key, s.IntN(9))
		}
	case 5, 6:
		if f, raises := s.callee(1, true); f != "" {
			s.loose = s.loose || raises
			s.line(`fs.append(spawn(%s, %s, n + %d))`, f, key, s.IntN(9))
		}
	case 7:
		s.line(`fs.append(%s.start(%s, n))`, oneOf(s.Rand, "work", "tasked", "same", "urgent"), key)
	case 8:
		f := s.leaf(3)
		s.line(`out.append(parallel([bind(%s, %s + str(i), i) for i in range(3)]%s))`, f, key, oneOf(s.Rand, "", ", limit = 1", ", limit = 2", `, timeout = "9d"`))
	case 9:
		f := s.leaf(2)
		s.line(`out.append(parallel({"b": bind(%s, %s, 1), "a": lambda: %s(%s, 2)}))`, f, key, f, s.key())
	case 10:
		if f, _ := s.callee(3, true); f != "" {
			s.line(`out.append([told(r) for r in parallel.map(lambda i: %s(%s + str(i), i), range(3), settle = True%s)])`, f, key, oneOf(s.Rand, "", ", limit = 2"))
		}
	case 11:
		s.cost += 4
		s.line(`out.append(%s.starmap([(%s + str(i), i) for i in range(4)]%s))`, oneOf(s.Rand, "work", "tasked", "same"), key, oneOf(s.Rand, "", ", limit = 2"))
	case 12:
		f := s.leaf(1)
		s.line(`out.append(race({"a": never, "b": bind(%s, %s, 1)}))`, f, key)
	case 13:
		s.line(`out.append(sorted([str(f.result()) for f in as_completed([bind(work, %s + str(i), i) for i in range(3)])]))`, key)
	case 14:
		s.line(`sleep("%dms")`, s.IntN(3000))
	case 15:
		v, q := s.name("h"), s.name("q")
		s.line(`%s = %s`, q, key) // p may become another one between the signals
		s.line(`%s = spawn(hears, %s, 3)`, v, q)
		for i := range 3 {
			s.line(`send_signal(info.id, %s, [%d, n])`, q, i)
			if s.IntN(2) == 0 {
				s.statement(depth + 1)
			}
		}
		s.line(`out.append(%s.result())`, v)
	case 16:
		s.line(`send_signal(info.id, %s, %s)`, key, oneOf(s.Rand, values...))
		s.line(`out.append([signal(%s).recv(timeout = "5d", default = "none"), wait_signal(%s + "x", timeout = "%dms", default = 0)])`, key, key, s.IntN(500))
	case 17:
		s.line(`out.append(select([signal(%s), timer("%dms")])[0])`, key, 1+s.IntN(500))
	case 18, 19:
		if f, raises := s.callee(1, true); f != "" {
			h := fmt.Sprintf("workflow(%s)", f)
			if s.IntN(3) == 0 {
				h = fmt.Sprintf(`workflow(%s, on_parent_close = "wait", priority = 2, tags = [], expiry = "9d"%s)`, f, oneOf(s.Rand, "", `, retry = retry_policy(max_attempts = 2, initial_delay = "1s")`))
			}
			if raises || s.IntN(2) == 0 {
				s.line(`out.append(told(%s.attempt(%s, n)))`, h, key)
			} else {
				s.line(`fs.append(%s.start(%s, n))`, h, key)
			}
		}
	case 20:
		if f, _ := s.callee(2, false); f != "" {
			s.line(`out.append(workflow(%s).starmap([(%s, 1), (%s, 2)]))`, f, key, s.key())
		}
	case 21:
		s.line(`state.set(%s, %s)`, key, oneOf(s.Rand, values...))
		s.line(`out.append(state.get(%s))`, key)
		s.line(`counter("all").add(%d)`, s.IntN(5))
	case 22:
		s.line(`%s`, oneOf(s.Rand, `progress(0.5, p)`, `status("at " + p)`, `print("line", p, n)`, `log.warn("w", p = p, n = n)`))
		s.line(`print(%s)`, key)
	case 23:
		s.line(`out.append(%s("shared%d"))`, oneOf(s.Rand, "once", "kept"), s.IntN(5))
	case 24:
		s.cost += 5
		s.line(`for i in range(5):`)
		s.within(func() { s.line(`out.append(same(%s + str(i), n))`, key) })
	case 25:
		if s.drawn {
			s.line(`out.append(%s)`, oneOf(s.Rand, `random.random()`, `random.randint(1, 1000)`, `uuid4()`, `random.sample(range(100), 3)`, `info.id`, `workflow(ident).start(n).id`))
		}
		s.line(`echo([random.random(), uuid4(), time.now(), %s])`, key)
	case 26:
		t := s.name("t")
		s.line(`%s = time.now()`, t)
		s.statement(depth + 1)
		s.line(`eq(time.now() >= %s, True)`, t)
	case 27, 28:
		v := oneOf(s.Rand, values...)
		s.line(`eq(str(workflow(ident)([%s])), str([%s]))`, v, v) // a Result is equal only to itself, and not returned alone
		s.line(`out.append(%s)`, v)
	case 29, 30:
		s.line(`out.append(%s)`, strings.ReplaceAll(oneOf(s.Rand, expressions...), "%%", "%"))
	case 31:
		fails := s.IntN(2) == 0
		body := s.name("body")
		s.line(`def %s(s):`, body)
		s.within(func() {
			s.line(`a = s.step(work, %s, n, undo = bind(work, %s, 0))`, key, s.key())
			if s.IntN(2) == 0 {
				s.line(`s.parallel([bind(work, %s, 1), bind(work, %s, 2)])`, s.key(), s.key())
			}
			s.line(`s.compensate(work, %s, 3)`, s.key())
			if fails {
				s.line(`gives_up(%s, "Saga")`, s.key())
			}
			s.line(`return a`)
		})
		s.line(`out.append(told(attempt(saga, %s)))`, body)
	case 32:
		s.line(`out.append(told(attempt(timeout, "%dms", %s)))`, 1+s.IntN(300), oneOf(s.Rand, `sleep, "9d"`, `never`, `cleans, `+key))
		s.line(`out.append(told(attempt(timeout, "9d", work, %s, n)))`, s.key())
	case 33:
		s.line(`out.append(told(stuck_one.attempt()))`)
	case 34:
		v := s.name("c")
		s.line(`%s = spawn(%s)`, v, oneOf(s.Rand, `sleep, "9d"`, `never`, `cleans, `+key, `workflow(never)`))
		s.statement(depth + 1)
		s.line(`%s.cancel()`, v)
		s.line(`out.append(told(%s.attempt()))`, v)
	case 35:
		v := s.name("m")
		s.line(`%s = semaphore(%d)`, v, 1+s.IntN(2))
		s.line(`out.append(parallel.map(lambda i: %s.run(work, %s + str(i), i), range(3)))`, v, key)
		w := s.name("w")
		s.line(`%s = []`, w)
		s.line(`fs.append(spawn(lambda: %s.append(work(%s, 1))))`, w, s.key())
		s.line(`out.append(wait_until(lambda: len(%s) > 0))`, w)
	case 36:
		s.line(`%s(%s, %s, n)`, oneOf(s.Rand, "defer", "on_failure"), oneOf(s.Rand, "work", "same"), key)
	case 37:
		if depth > 1 {
			return
		}
		switch s.IntN(3) {
		case 0:
			s.line(`if n %% 2:`)
			s.block(depth)
			s.line(`else:`)
			s.block(depth)
		case 1:
			v := s.name("i")
			s.line(`for %s in range(2):`, v)
			s.within(func() { s.line(`p += "/" + str(%s)`, v) })
			s.block(depth)
		case 2:
			v := s.name("k")
			s.line(`%s = 0`, v)
			s.line(`while %s < 2:`, v)
			s.within(func() {
				s.line(`%s += 1`, v)
				s.line(`p += "_"`)
			})
			s.block(depth)
		}
	}
}

func (s *scriptWriter) block(depth int) {
	s.within(func() {
		s.line(`n += 1`)
		s.statement(depth + 1)
		s.statement(depth + 1)
	})
}

// randomScript writes a script; its result says all it has seen.
func randomScript(seed uint64, drawn bool) string {
	s := &scriptWriter{Rand: rand.New(rand.NewPCG(seed, 7)), drawn: drawn}
	s.b.WriteString(randomHead)
	for i := range 3 + s.IntN(4) {
		s.function(fmt.Sprintf("f%d(p, n)", i), false)
	}
	rounds := s.IntN(3)
	s.function(fmt.Sprintf(`main(n = %d, p = "m", before = [])`, rounds), true)
	return s.b.String()
}

func (s *scriptWriter) function(head string, whole bool) {
	s.cost, s.raised, s.loose, s.whole = 0, false, false, whole
	s.line(`def %s:`, head)
	s.within(func() {
		s.line(`out = []`)
		s.line(`fs = []`)
		n := 2 + s.IntN(4)
		if whole {
			n += 3
			s.line(`print("round", n)`)
		}
		for range n {
			s.statement(0)
		}
		if whole {
			s.line(`out.append(settled(fs))`)
			s.line(`if n == 1:`)
			s.within(func() {
				s.line(`send_signal(info.id, "kept over", n)`)
				s.line(`continue_as_new(n - 10, p + "m", out)`)
			})
			if s.IntN(4) == 0 {
				s.line(`gives_up("end", "Ended")`)
			}
			s.line(`return [before, out, counter("all").value, state.get("m.1")]`)
			return
		}
		switch n := s.IntN(6); {
		case n == 0:
			s.line(`out.append(settled(fs))`)
			s.line(`error("Raised", "by " + p, n = n, out = len(out))`)
			s.raised = true
		case n == 1 && !s.loose:
			s.line(`return out`) // what was spawned is awaited
		default:
			s.line(`return [out, settled(fs)]`)
		}
	})
	s.line("")
	s.costs, s.raises = append(s.costs, s.cost), append(s.raises, s.raised)
}
