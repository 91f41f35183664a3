// Teaching errors: what to write when a habit of Python fails.

package starlark

import (
	"regexp"
	"strings"
	"unicode/utf8"

	star "go.starlark.net/starlark"
	"go.starlark.net/syntax"
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
	firstWord  = regexp.MustCompile(`^\s*([a-z]+)\b`)
	word       = regexp.MustCompile(`^[a-z]+`)
	gotToken   = regexp.MustCompile(`^got (?:'([^']+)'|([^' ,]+))[, ]`)
	fString    = regexp.MustCompile(`(?:^|[^\w"'])(?:[fF][rR]?|[rR][fF])["']`)
	definition = regexp.MustCompile(`^\s*def\b`)
	increment  = regexp.MustCompile(`^\s*[\pL\d_]+(\+\+|--)\s*(#.*)?$`)
	annotated  = regexp.MustCompile(`^\s*[\pL\d_]+\s*$`)
	isWord     = regexp.MustCompile(`\bis\b`)
	matchWord  = regexp.MustCompile(`^\s*match\s.*:\s*$`)

	printWord = regexp.MustCompile(`^\s*print\s+["']`)

	stringPrefix = regexp.MustCompile(`(?:^|[^\w"'])[uU]["']`)
)

// teachSyntax words a syntax error for people who know Python, and places it where its token begins.
// A position counts characters, the text is cut by bytes.
func teachSyntax(text string, e syntax.Error) Problem {
	line := ""
	if lines := strings.Split(text, "\n"); e.Pos.Line > 0 && int(e.Pos.Line) <= len(lines) {
		line = lines[e.Pos.Line-1]
	}
	msg := strings.TrimPrefix(e.Msg, "syntax error: ")
	at := byteOf(line, int(e.Pos.Col)-1)
	if m := gotToken.FindStringSubmatch(msg); m != nil {
		if token := m[1] + m[2]; strings.HasSuffix(line[:at], token) && !strings.HasPrefix(line[at:], token) {
			at -= len(token) // the parser stands behind it
		}
	}
	pos := e.Pos
	if line != "" {
		pos.Col = int32(utf8.RuneCountInString(line[:at])) + 1
	}
	if hint := hintFor(line, line[:at], line[at:], msg); hint != "" {
		msg = hint
	}
	return problemAt(pos, "%s", msg)
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

// hintFor says what to write instead; before and at are the two sides of where the parser gave up.
func hintFor(line, before, at, msg string) string {
	if m := firstWord.FindStringSubmatch(line); m != nil && m[1] != "is" && idioms[m[1]] != "" {
		return idioms[m[1]]
	}
	if hint := idioms[word.FindString(at)]; hint != "" {
		return hint
	}
	if hint := hintForString(line, msg); hint != "" {
		return hint
	}
	if hint := hintForPunctuation(line, before, at, msg); hint != "" {
		return hint
	}
	return hintForWord(line, before, at, msg)
}

// hintForString is about string literals.
func hintForString(line, msg string) string {
	literal := strings.Contains(msg, "got string literal")
	switch {
	case (literal || strings.Contains(msg, "got identifier")) && fString.MatchString(line):
		return "there are no f-strings; write \"text {}\".format(value) or \"text %s\" % value"
	case literal && printWord.MatchString(line):
		return "print is a function; write print(value)"
	case literal && stringPrefix.MatchString(line):
		return "a string may begin with r or b, nothing else"
	case literal:
		return "adjacent strings are not joined; write +"
	case strings.Contains(msg, "invalid escape sequence"):
		return msg + "; write r\"...\" for a raw string"
	}
	return ""
}

// hintForPunctuation is about operators and brackets.
func hintForPunctuation(line, before, at, msg string) string {
	left := strings.TrimSpace(before)
	open := strings.LastIndexByte(before, '{')
	switch {
	case strings.HasPrefix(at, ":="):
		return "there is no :=; assign on a line of its own"
	case strings.HasPrefix(at, "@") && left == "":
		return "there are no decorators; write def _f(): ... and below it f = decorate(_f)"
	case strings.HasPrefix(at, "->"):
		return "there are no annotations; write the names alone"
	case strings.HasPrefix(at, ":") && (definition.MatchString(line) && strings.Contains(msg, "want ')'") && annotated.MatchString(lastParameter(before)) || annotated.MatchString(before)):
		return "there are no annotations; write the names alone"
	case strings.Contains(msg, "does not associate"):
		return "comparisons do not chain; write a < b and b < c"
	case strings.HasPrefix(at, "*") && strings.HasSuffix(left, ",") && !strings.ContainsAny(before, "[{("):
		return "an assignment cannot take the rest with *; write first, rest = l[0], l[1:]"
	case strings.HasPrefix(at, "*") && (strings.HasSuffix(left, "[") || strings.HasSuffix(left, "{") || strings.HasSuffix(left, ",")):
		return "a list or dict cannot be unpacked in a literal; write a + b, or a | b for dicts"
	case strings.HasPrefix(at, "**"):
		return "there is no **; multiply, or use math.pow(x, y), which gives a float"
	case open >= 0 && (strings.HasPrefix(at, "}") || strings.HasPrefix(at, ",")) && !strings.Contains(before[open:], ":"):
		return "there are no set literals; write set([1, 2])"
	case increment.MatchString(line):
		return "there is no ++ or --; write n += 1"
	case strings.HasPrefix(at, "?"):
		return "there is no ?:; write a if condition else b"
	case strings.HasSuffix(left, "&") && strings.HasPrefix(at, "&"), strings.HasSuffix(left, "|") && strings.HasPrefix(at, "|"):
		return "there is no && or ||; write and, or, not"
	case strings.HasPrefix(at, "!"):
		return "there is no !; write not"
	case strings.HasPrefix(at, "=") && strings.Contains(msg, "want ':'"):
		return "= assigns; write == to compare"
	case strings.HasPrefix(at, "=") && strings.Contains(msg, "want newline"):
		return "assignments do not chain; write one a line"
	}
	return ""
}

// hintForWord is about keywords where they may not stand.
func hintForWord(line, before, at, msg string) string {
	open := strings.LastIndexAny(before, "{([")
	switch {
	case strings.HasPrefix(at, "for ") && strings.Contains(msg, "want ':'") && open >= 0 && before[open] == '{':
		return "there are no set comprehensions; write set([x for x in xs])"
	case strings.HasPrefix(at, "for ") && strings.HasPrefix(msg, "got for"):
		return "there are no generators; write a list: [x for x in xs]"
	case strings.HasPrefix(msg, "got else"):
		return "this else belongs to no if; loops have no else"
	case strings.Contains(msg, "without else clause"):
		if isWord.MatchString(line) {
			return idioms["is"]
		}
		return "a conditional expression has an else: a if condition else b"
	case matchWord.MatchString(line) && strings.Contains(msg, "want newline"):
		return "there is no match; write if and elif"
	case strings.HasPrefix(msg, "got newline, want ':'"):
		return "the line before ends without its ':'"
	}
	return ""
}

// lastParameter is what stands behind the last bracket or comma.
func lastParameter(before string) string {
	return before[strings.LastIndexAny(before, "(,*")+1:]
}

// splitText is what to write to go through a string.
const splitText = "write s.elems() or s.codepoints()"

var (
	unset     = regexp.MustCompile(`^local variable (\S+) referenced before assignment`)
	noIterate = regexp.MustCompile(`string value is not iterable|got string, want iterable$|got string in sequence assignment|not iterable: string|must be iterable, not string`)
	noAttr    = regexp.MustCompile(`^([\w.]+) has no \.(\w+) field or method$`)
	joined    = regexp.MustCompile(`^unknown binary op: (?:string \+ (?:int|float|bool|NoneType)|(?:int|float|bool|NoneType) \+ string)$`)
	frozen    = regexp.MustCompile(`(?:^|: )cannot [a-z ]*frozen `)
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
	switch {
	case joined.MatchString(msg):
		return "write str(x), or \"text %s\" % x"
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
		return "what a file defines at its top is shared and constant: make the value inside a function, with list(x) or dict(x)"
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
	"logging":   "write log.info(message, field = value)",
	"uuid":      "write uuid4()",
	"eval":      "there is no eval; use json.decode for data",
}

var pythonModule = regexp.MustCompile(`^(?:os|sys|asyncio|requests|subprocess|datetime|itertools|functools|collections|pathlib|string|copy|hmac|decimal|typing|threading)$`)

var pythonError = regexp.MustCompile(`^(?:[A-Z]\w*Error|Exception|StopIteration|KeyboardInterrupt)$`)

// teachResolve words an error of the resolver.
func teachResolve(msg string) string {
	if strings.Contains(msg, "cannot reassign") {
		return msg + "; globals are constant: keep what changes in a function's variable"
	}
	name, ok := strings.CutPrefix(msg, "undefined: ")
	if !ok {
		return msg
	}
	name, _, _ = strings.Cut(name, " ")
	switch {
	case idioms[name] != "":
		return idioms[name]
	case absent[name] != "":
		return msg + "; " + absent[name]
	case pythonModule.MatchString(name):
		return msg + "; there are no Python modules: call activities, or load(\"@std/...\")"
	case pythonError.MatchString(name):
		return msg + "; kinds of errors are text: error(\"" + name + "\", \"message\"), err.kind == \"" + name + "\""
	}
	return msg
}
