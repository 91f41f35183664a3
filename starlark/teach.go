// Teaching errors: what to write when a habit of Python fails.

package starlark

import (
	"regexp"
	"slices"
	"strings"

	"go.starlark.net/resolve"
	star "go.starlark.net/starlark"
	"go.starlark.net/syntax"

	"github.com/senpuki/senpuki/internal/spelling"
)

// idioms are words of Python that the language does not have, with what to write.
var idioms = map[string]string{
	"try":      "there is no try; write `value, err = attempt(fn, args...)` and look at err",
	"except":   "there is no except; write `value, err = attempt(fn, args...)` and look at err.kind",
	"finally":  "there is no finally; write defer(fn, args...) or use attempt() and go on",
	"raise":    "there is no raise; write error(\"Kind\", \"message\") or fail(\"message\")",
	"import":   "there is no import; write load(\"./file.star\", \"name\")",
	"from":     "there is no from ... import; write load(\"./file.star\", \"name\")",
	"class":    "there is no class; use struct(...) or a dict",
	"with":     "there is no with; pass a function: timeout(\"5s\", fn, args...), shield(fn), semaphore(n).run(fn)",
	"async":    "there is no async; use spawn(fn, args...) or parallel([...])",
	"await":    "there is no await; write future.result()",
	"yield":    "there are no generators; build a list",
	"del":      "there is no del; write d.pop(key) or l.pop(index)",
	"assert":   "there is no assert; write `if not condition: fail(\"message\")`",
	"global":   "globals cannot be rebound; pass values and return them",
	"nonlocal": "outer variables cannot be rebound; pass values and return them",
	"is":       "there is no is; write == or != (x == None)",
}

var (
	gotToken  = regexp.MustCompile(`^got (?:'([^']+)'|([^' ,]+))[, ]`)
	fPrefix   = regexp.MustCompile(`^(?:[fF][rR]?|[rR][fF])$`)
	increment = regexp.MustCompile(`^\s*[\pL\d_]+(\+\+|--)\s*(#.*)?$`)
	matchWord = regexp.MustCompile(`^\s*match\s.*:\s*$`)
)

// teachSyntax words a syntax error for people who know Python, and places it where its token begins.
// A position counts characters, the text is cut by bytes.
func teachSyntax(text string, e syntax.Error) Problem {
	msg := strings.TrimPrefix(e.Msg, "syntax error: ")
	if e.Pos.Line < 1 {
		return problemAt(e.Pos, "%s", msg)
	}
	p := refusalOf(text, e.Pos, msg)
	start := offsetOf(text, e.Pos)
	if p.at >= 0 {
		start = p.tokens[p.at].start
		if p.kind(p.at) == textToken && p.kind(p.at-1) == wordToken && p.touches(p.at) {
			start = p.tokens[p.at-1].start // f"..."
		}
	}
	before, at := text[:start], text[start:]
	before = before[strings.LastIndexByte(before, '\n')+1:]
	at, _, _ = strings.Cut(at, "\n")
	if hint := p.hint(before, at, msg); hint != "" {
		msg = hint
	}
	return problemAt(positionOf(text, e.Pos, start), "%s", msg)
}

// byteOf is where the nth character of a line begins, counted from 0; its end when it is shorter.
func byteOf(line string, n int) int {
	for i := range line {
		if n <= 0 {
			return i
		}
		n--
	}
	return len(line)
}

// hint says what to write instead, "" when that is not sure; before and at are the two sides of the line where the parser gave up.
func (p *refusal) hint(before, at, msg string) string {
	for _, hint := range []string{
		p.hintForName(), p.hintForIdiom(msg), p.hintForString(msg), p.hintForUnpacking(msg), p.hintForBrackets(msg),
		p.hintForPunctuation(before, at, msg), p.hintForWord(before, at, msg),
	} {
		if hint != "" {
			return hint
		}
	}
	return ""
}

// reserved are the words that cannot be names.
var reserved = strings.Fields("and as assert async await break class continue def del elif else except finally for from global if import in is " +
	"lambda load nonlocal not or pass raise return try while with yield")

// hintForName is about reserved words where only a name can stand.
func (p *refusal) hintForName() string {
	word, before, behind := p.text(p.at), p.text(p.at-1), p.text(p.at+1)
	if p.kind(p.at) != wordToken || !slices.Contains(reserved, word) {
		return ""
	}
	among := func(token string, tokens ...string) bool { return slices.Contains(tokens, token) }
	parameter := among(before, "(", ",", "*", "**", "lambda")
	switch {
	case before == "." || before == "def":
	case before == "for" && among(behind, "in", ","):
	case p.bracket() == "call" && among(before, "(", ",") && behind == "=":
	case p.bracket() == "def" && parameter && among(behind, ",", ")", "=", ":"):
	case p.inLambda() && parameter && among(behind, ",", ":", "="):
	case p.at == p.first && among(behind, "=", "+=", "-=", "*=", "/=", "//=", "%=", "&=", "|=", "^=", "<<=", ">>="):
	case p.assigned() && (p.at == p.first || among(before, "(", "[", ",")) && among(behind, "=", ",", ")", "]"):
	default:
		return ""
	}
	return word + " is a reserved word; choose another name"
}

// hintForIdiom is about words of Python: the one that the parser refused, or the one that its line begins with.
func (p *refusal) hintForIdiom(msg string) string {
	if p.kind(p.first) == wordToken && p.text(p.first) != "is" && idioms[p.text(p.first)] != "" {
		return idioms[p.text(p.first)]
	}
	if p.kind(p.at) == wordToken {
		return idioms[p.text(p.at)]
	}
	return ""
}

// hintForString is about string literals.
func (p *refusal) hintForString(msg string) string {
	i := p.at
	if p.kind(i) == wordToken && p.kind(i+1) == textToken && p.touches(i+1) {
		i++
	}
	prefix := ""
	if p.kind(i) == textToken && p.kind(i-1) == wordToken && p.touches(i) {
		prefix = p.text(i - 1)
	}
	switch {
	case strings.Contains(msg, "invalid escape sequence"):
		raw := "r"
		if strings.HasPrefix(p.text(p.at), "b") {
			raw = "rb"
		}
		return msg + "; write " + raw + "\"...\" for a raw string"
	case p.kind(i) != textToken:
		return ""
	case fPrefix.MatchString(prefix):
		return "there are no f-strings; write \"text {}\".format(value) or \"text %s\" % value"
	case strings.EqualFold(prefix, "u"):
		return "a string may begin with r or b, nothing else"
	case p.kind(i-1) == wordToken && p.text(i-1) == "print" && p.first == i-1:
		return "print is a function; write print(value)"
	case p.kind(i-1) != textToken || p.at != i:
		return ""
	case p.bracket() == "[" || p.bracket() == "{" || p.bracket() == "call":
		return "adjacent strings are not joined; write + between them, or a comma"
	}
	return "adjacent strings are not joined; write + between them"
}

// hintForUnpacking is about * and ** where a value should begin.
func (p *refusal) hintForUnpacking(msg string) string {
	star := p.text(p.at)
	if star != "*" && star != "**" || !strings.Contains(msg, "want primary expression") || p.kind(p.at) != markToken {
		return ""
	}
	if before := p.text(p.at - 1); star == "*" && p.assigned() && (p.at == p.first || before == "," || before == "[" || before == "(") {
		return "an assignment cannot take the rest with *; write first, rest = l[0], l[1:]"
	}
	begins := p.text(p.at-1) == "," || len(p.open) > 0 && p.open[len(p.open)-1] == p.at-1
	switch {
	case !begins || p.text(p.first) == "for" && !p.outside(p.first, p.at, "in"):
	case star == "**" && p.bracket() == "{":
		return "a dict cannot be unpacked in a literal; write a | b, which is a new dict"
	case star == "*" && p.bracket() == "{":
		return "there are no set literals, and nothing is unpacked in one; write set(a)"
	case star == "*" && (p.bracket() == "[" || p.bracket() == "(" || p.bracket() == ""):
		return "a list or tuple cannot be unpacked in a literal; write a + b"
	}
	return ""
}

// hintForBrackets is about what stands in brackets, which may have been opened lines before.
func (p *refusal) hintForBrackets(msg string) string {
	set := p.bracket() == "{" && !p.inBracket(":") && strings.Contains(msg, "want ':'")
	switch at := p.text(p.at); {
	case p.at < 0:
	case p.walrus():
		return "there is no :=; assign on a line before"
	case set && (at == "," || at == "}"):
		return "there are no set literals; write set([1, 2])"
	case set && at == "for":
		return "there are no set comprehensions; write set([x for x in xs])"
	case at == "for" && (p.bracket() == "(" || p.bracket() == "call" && p.operand(p.at-1)):
		return "there are no generators; write a list: [x for x in xs]"
	case at == ":" && p.annotates(), at == "-" && p.text(p.at+1) == ">" && p.touches(p.at+1) && p.text(p.first) == "def":
		return "there are no annotations; write the names alone"
	}
	return ""
}

// walrus tells whether the place is at a name's :=, or at the if of a condition with one.
func (p *refusal) walrus() bool {
	colon := p.at
	switch p.text(p.at) {
	case "=":
		colon--
	case "if":
		for colon < p.end() && p.text(colon) != ":" && p.text(colon) != "else" {
			colon++
		}
	}
	return p.text(colon) == ":" && p.text(colon+1) == "=" && p.touches(colon+1) &&
		p.kind(colon-1) == wordToken && p.operand(colon-1) && p.bracket() != "def"
}

// annotates tells whether the colon of the place stands behind a parameter, or behind a name that begins a statement.
func (p *refusal) annotates() bool {
	if p.bracket() == "def" {
		last := p.at - 1
		return p.kind(last) == wordToken && (p.text(last-1) == "," || p.text(last-1) == "*" || p.text(last-1) == "**" || p.open[len(p.open)-1] == last-1)
	}
	for i := p.first; i < p.at; i++ { // a name, or its attribute
		if p.kind(i) != wordToken && p.text(i) != "." {
			return false
		}
	}
	return len(p.open) == 0 && p.at > p.first && p.kind(p.at+1) != lineToken && p.kind(p.at+1) != 0
}

// hintForPunctuation is about operators.
func (p *refusal) hintForPunctuation(before, at, msg string) string {
	left := strings.TrimSpace(before)
	compound := p.text(p.first) == "if" || p.text(p.first) == "elif" || p.text(p.first) == "while"
	switch {
	case strings.HasPrefix(at, "@") && left == "":
		return "there are no decorators; write def _f(): ... and below it f = decorate(_f)"
	case strings.Contains(msg, "does not associate"):
		return "comparisons do not chain; write a < b and b < c"
	case p.text(p.at) == "**" && p.operand(p.at-1) && !(p.bracket() == "{" && left == ""):
		return "there is no **; multiply, or use math.pow(x, y), which gives a float"
	case increment.MatchString(before + at):
		return "there is no ++ or --; write n += 1"
	case strings.HasPrefix(at, "?") && strings.Contains(at, ":"):
		return "there is no ?:; write a if condition else b"
	case strings.HasSuffix(left, "&") && strings.HasPrefix(at, "&"), strings.HasSuffix(left, "|") && strings.HasPrefix(at, "|"):
		return "there is no && or ||; write and, or, not"
	case strings.HasPrefix(at, "!"):
		return "there is no !; write not"
	case strings.HasPrefix(at, "=") && strings.Contains(msg, "want ':'") && len(p.open) == 0 && compound:
		return "= assigns; write == to compare"
	case strings.HasPrefix(at, "=") && strings.Contains(msg, "want newline") && p.at > p.first && p.outside(p.first, p.at, "=") && !p.outside(p.first, p.at, "lambda"):
		return "assignments do not chain; write one a line"
	}
	return ""
}

// hintForWord is about keywords where they may not stand.
func (p *refusal) hintForWord(before, at, msg string) string {
	switch {
	case strings.HasPrefix(msg, "got else"):
		return "this else belongs to no if; loops have no else"
	case strings.Contains(msg, "without else clause"):
		for i := p.at + 1; p.at >= 0 && i < p.end(); i++ {
			if p.kind(i) == wordToken && p.text(i) == "is" {
				return idioms["is"]
			}
		}
		return "a conditional expression has an else: a if condition else b"
	case matchWord.MatchString(before+at) && strings.Contains(msg, "want newline"):
		return "there is no match; write if and elif"
	case strings.HasPrefix(msg, "got newline, want ':'"):
		return "the line before ends without its ':'"
	case strings.HasPrefix(msg, "got indent, want"):
		return "this line is indented deeper than the one before; the lines of a block are indented alike, and a tab counts for 8 columns"
	case strings.HasSuffix(msg, ", want indent"):
		return "a block is missing here: a line, pass if nothing else, indented deeper than what it belongs to; a tab counts for 8 columns"
	}
	return ""
}

// splitText is what to write to go through a string.
const splitText = "write s.elems() or s.codepoints()"

var (
	unset     = regexp.MustCompile(`^local variable (\S+) referenced before assignment`)
	noIterate = regexp.MustCompile(`string value is not iterable|got string, want iterable$|not iterable: string|must be iterable, not string`)
	unpacked  = regexp.MustCompile(`^got (?:int|float|bool|NoneType|bytes|time\.\w+) in sequence assignment`)
	noAttr    = regexp.MustCompile(`^([\w.]+) has no \.(\w+) field or method$`)
	joined    = regexp.MustCompile(`^unknown binary op: (?:string \+ (?:int|float|bool|NoneType)|(?:int|float|bool|NoneType) \+ string)$`)
	frozen    = regexp.MustCompile(`(?:^|: )cannot [a-z ]*frozen `)
	noIndex   = regexp.MustCompile(`^unhandled index operation ([\w.]+)\[|^(Result) index: got string`)
	withNone  = regexp.MustCompile(`^unknown binary op: (?:NoneType \S+ |\S+ \S+ NoneType$)`)
	timeText  = regexp.MustCompile(`^unknown binary op: (?:time\.\w+ [+-] string|string \+ time\.\w+)$`)
)

// attributes are names that Python's types and modules have, with what to write.
var attributes = map[string]string{
	"module.sleep":    "write sleep(seconds)",
	"module.dumps":    "write json.encode(x)",
	"module.loads":    "write json.decode(text)",
	"list.sort":       "write l = sorted(l)",
	"list.reverse":    "write l = list(reversed(l))",
	"list.copy":       "write l[:]",
	"list.count":      "write len([x for x in l if x == y])",
	"dict.copy":       "write dict(d)",
	"string.encode":   "write bytes(s)",
	"bytes.decode":    "write str(b)",
	"string.zfill":    "write \"0\" * (n - len(s)) + s",
	"Future.get":      "write f.result()",
	"activity.delay":  "write h.start(...)",
	"activity.result": "call it: h(...), or h.start(...).result()",
}

// indexed are values that have no [...], with what to write.
var indexed = map[string]string{
	"NoneType": "the value is None here: see where it comes from, or compare it with None first",
	"struct":   "write s.name",
	"Result":   "write r.value[...], or r.unwrap()[...]",
	"Future":   "write f.result()[...]",
	"Error":    "write err.data[...]",
	"activity": "call it: h(...)[...]",
}

// teachEval words an error of the interpreter.
func teachEval(msg string) string {
	if hint := evalHint(msg); hint != "" {
		return msg + "; " + hint
	}
	return msg
}

func evalHint(msg string) string {
	if m := unset.FindStringSubmatch(msg); m != nil {
		if isPredeclared(m[1]) || star.Universe.Has(m[1]) {
			return "this function sets " + m[1] + ", which hides the built-in of that name: choose another name"
		}
		return "this function sets " + m[1] + " later, so the name is its own everywhere in it; globals cannot be rebound: pass values and return them"
	}
	if m := noAttr.FindStringSubmatch(msg); m != nil {
		switch hint := attributes[m[1]+"."+m[2]]; {
		case hint != "":
			return hint
		case m[1] == "dict":
			return "write d[\"" + m[2] + "\"], or d.get(\"" + m[2] + "\")"
		case m[2] == "result" || m[2] == "cancel" || m[2] == "done":
			return "only h.start(...), spawn(...) and timer(...) give a Future; a call of an activity gives its outcome"
		}
	}
	if m := noIndex.FindStringSubmatch(msg); m != nil {
		return indexed[m[1]+m[2]]
	}
	switch {
	case joined.MatchString(msg):
		return "write str(x), or \"text %s\" % x"
	case withNone.MatchString(msg):
		return "one of the two is None: see where it comes from"
	case timeText.MatchString(msg):
		return "write time.hour, or time.parse_duration(\"1h\")"
	case msg == "invalid call of non-function (module)":
		return "a module is not called: call what it has, as in log.info(message)"
	case strings.HasPrefix(msg, "got string in sequence assignment"):
		return splitText + "; to go through a dict, write `for k, v in d.items()`"
	case unpacked.MatchString(msg):
		return "to go through a dict, write `for k, v in d.items()`"
	case noIterate.MatchString(msg):
		return splitText
	case strings.Contains(msg, "format spec features not supported"), strings.HasPrefix(msg, "unknown conversion %"):
		return "write fmt(x, \".2f\")"
	case strings.HasPrefix(msg, "int value is not iterable"):
		return "write range(n)"
	case strings.HasSuffix(msg, "list during iteration"):
		return "another branch, or the loop itself, goes through it: write `for x in list(items)`"
	case strings.HasSuffix(msg, "hash table during iteration"):
		return "another branch, or the loop itself, goes through it: write `for k in list(d)`"
	case frozen.MatchString(msg):
		return "what a file defines at its top is shared and constant, and so is the default of a parameter: make the value inside a function, with list(x) or dict(x)"
	}
	return ""
}

// absent are Python's names that are not there, with what to write.
var absent = map[string]string{
	"open":      "write activity(\"file.read\")(path) or activity(\"file.write\")(path, text)",
	"input":     "what the workflow gets is the parameters of main",
	"map":       "write [f(x) for x in xs], or parallel.map(f, xs)",
	"filter":    "write [x for x in xs if f(x)]",
	"pow":       "write math.pow(x, y)",
	"divmod":    "write x // y and x % y",
	"format":    "write fmt(x, \".2f\")",
	"frozenset": "write tuple(x), or set(x)",
	"iter":      "loop over the value itself",
	"next":      "loop, or index: l[0]",
	"super":     "there are no classes; use struct(...) or a dict",
	"self":      "there are no classes; use struct(...) or a dict",
	"object":    "there are no classes; use struct(...) or a dict",
	"null":      "write None",
	"nil":       "write None",
	"none":      "write None",
	"true":      "write True",
	"false":     "write False",
	"gather":    "write parallel([...])",
	"logger":    "write log.info(message, field = value)",
	"logging":   "write log.info(message, field = value)",
	"uuid":      "write uuid4()",
	"eval":      "there is no eval; use json.decode for data",
}

var pythonModule = regexp.MustCompile(`^(?:os|sys|asyncio|requests|subprocess|datetime|itertools|functools|collections|pathlib|string|copy|hmac|decimal|typing|threading)$`)

var pythonError = regexp.MustCompile(`^(?:[A-Z]\w*Error|Exception|StopIteration|KeyboardInterrupt)$`)

// undefined matches what the resolver says of a name that is nowhere, with the nearest that it has met.
var undefined = regexp.MustCompile(`^undefined: (\S+)(?: \(did you mean (\S+)\?\))?$`)

// teachResolve words an error of the resolver, one of all those of a file. The resolver suggests names that are
// nowhere either, and does not know the built-ins.
func teachResolve(msg string, all resolve.ErrorList) string {
	if strings.Contains(msg, "cannot reassign") {
		return msg + "; globals are constant: keep what changes in a function's variable"
	}
	m := undefined.FindStringSubmatch(msg)
	if m == nil {
		return msg
	}
	name, nearest, hint := m[1], m[2], ""
	switch {
	case idioms[name] != "":
		return idioms[name]
	case absent[name] != "":
		hint = "; " + absent[name]
	case pythonModule.MatchString(name):
		hint = "; there are no Python modules: call activities, or load(\"@std/...\")"
	case pythonError.MatchString(name):
		hint = "; kinds of errors are text: error(\"" + name + "\", \"message\"), err.kind == \"" + name + "\""
	}
	if slices.ContainsFunc(all, func(e resolve.Error) bool {
		other := undefined.FindStringSubmatch(e.Msg)
		return other != nil && other[1] == nearest
	}) {
		nearest = ""
	}
	if nearest == "" && hint == "" {
		nearest = nearestBuiltin(name)
	}
	if nearest != "" {
		name += " (did you mean " + nearest + "?)"
	}
	return "undefined: " + name + hint
}

// nearestBuiltin is the built-in that a name begins like, and of which it has at most every third letter wrong, and no more than two.
func nearestBuiltin(name string) (nearest string) {
	least := min(len(name)/3, 2) + 1
	for _, builtins := range []star.StringDict{predeclared, star.Universe} {
		for _, b := range builtins.Keys() {
			if d := spelling.Distance(name, b); d < least && b[0] == name[0] {
				nearest, least = b, d
			}
		}
	}
	return nearest
}
