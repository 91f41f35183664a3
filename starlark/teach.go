// Teaching errors: what to write when a habit of Python fails.

package starlark

import (
	"regexp"
	"strings"

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
	fString    = regexp.MustCompile(`(?:^|[^\w"'])[fF][rR]?["']`)
	definition = regexp.MustCompile(`^\s*def\b`)
	increment  = regexp.MustCompile(`^\s*\w+(\+\+|--)\s*(#.*)?$`)
	annotated  = regexp.MustCompile(`^\s*\w+\s*$`)
)

// teachSyntax words a syntax error for people who know Python, and places it where its token begins.
func teachSyntax(text string, e syntax.Error) Problem {
	line := ""
	if lines := strings.Split(text, "\n"); e.Pos.Line > 0 && int(e.Pos.Line) <= len(lines) {
		line = lines[e.Pos.Line-1]
	}
	msg := strings.TrimPrefix(e.Msg, "syntax error: ")
	col := min(max(int(e.Pos.Col)-1, 0), len(line))
	if m := gotToken.FindStringSubmatch(msg); m != nil {
		if token := m[1] + m[2]; strings.HasSuffix(line[:col], token) && !strings.HasPrefix(line[col:], token) {
			col -= len(token) // the parser stands behind it
		}
	}
	pos := e.Pos
	if line != "" {
		pos.Col = int32(col) + 1
	}
	if hint := hintFor(line, line[:col], line[col:], msg); hint != "" {
		msg = hint
	}
	return problemAt(pos, "%s", msg)
}

// hintFor says what to write instead; before and at are the two sides of where the parser gave up.
func hintFor(line, before, at, msg string) string {
	if m := firstWord.FindStringSubmatch(line); m != nil && m[1] != "is" && idioms[m[1]] != "" {
		return idioms[m[1]]
	}
	if hint := idioms[word.FindString(at)]; hint != "" {
		return hint
	}
	open := strings.LastIndexByte(before, '{')
	switch {
	case strings.HasPrefix(strings.TrimSpace(before), "print ") && strings.Contains(msg, "got "):
		return "print is a function; write print(value)"
	case increment.MatchString(line):
		return "there is no ++ or --; write n += 1"
	case strings.HasPrefix(at, "?"):
		return "there is no ?:; write a if condition else b"
	case strings.HasSuffix(before, "&") && strings.HasPrefix(at, "&"), strings.HasSuffix(before, "|") && strings.HasPrefix(at, "|"):
		return "there is no && or ||; write and, or, not"
	case strings.Contains(msg, "got string literal"):
		if fString.MatchString(line) {
			return "there are no f-strings; write \"text {}\".format(value) or \"text %s\" % value"
		}
		return "adjacent strings are not joined; write +"
	case strings.HasPrefix(at, ":="):
		return "there is no :=; assign on a line of its own"
	case strings.HasPrefix(at, "@"):
		return "there are no decorators; call the function: f = decorate(f)"
	case strings.HasPrefix(at, "->"):
		return "there are no annotations; write the names alone"
	case strings.HasPrefix(at, ":") && (definition.MatchString(line) && strings.Contains(msg, "want ')'") && annotated.MatchString(lastParameter(before)) || annotated.MatchString(before)):
		return "there are no annotations; write the names alone"
	case strings.Contains(msg, "does not associate"):
		return "comparisons do not chain; write a < b and b < c"
	case strings.HasPrefix(at, "*") && (strings.HasSuffix(strings.TrimSpace(before), "[") || strings.HasSuffix(strings.TrimSpace(before), "{") || strings.HasSuffix(strings.TrimSpace(before), ",")):
		return "a list or dict cannot be unpacked in a literal; write a + b, or a | b for dicts"
	case strings.HasPrefix(at, "**"):
		return "there is no **; multiply, or use math.pow(x, y)"
	case open >= 0 && (strings.HasPrefix(at, "}") || strings.HasPrefix(at, ",")) && !strings.Contains(before[open:], ":"):
		return "there are no set literals; write set([1, 2])"
	case strings.Contains(msg, "invalid escape sequence"):
		return msg + "; write r\"...\" for a raw string"
	}
	return ""
}

// lastParameter is what stands behind the last bracket or comma.
func lastParameter(before string) string {
	return before[strings.LastIndexAny(before, "(,*")+1:]
}

var unset = regexp.MustCompile(`^local variable (\w+) referenced before assignment`)

// teachEval words an error of the interpreter.
func teachEval(msg string) string {
	if m := unset.FindStringSubmatch(msg); m != nil && isPredeclared(m[1]) {
		return msg + "; this function sets " + m[1] + ", which hides the built-in of that name: choose another name"
	}
	if strings.HasPrefix(msg, "string value is not iterable") || strings.HasSuffix(msg, "got string, want iterable") {
		return msg + "; write s.elems() or s.codepoints()"
	}
	switch {
	case strings.HasSuffix(msg, "list during iteration"):
		return msg + "; another branch, or the loop itself, goes through it: write `for x in list(items)`"
	case strings.HasPrefix(msg, "int value is not iterable"):
		return msg + "; write range(n)"
	case msg == "unknown binary op: string + int", msg == "unknown binary op: int + string", msg == "unknown binary op: string + float":
		return msg + "; write str(x), or \"text %s\" % x"
	case strings.Contains(msg, "frozen "):
		return msg + "; what a file defines at its top is shared and constant: make the value inside a function"
	case strings.HasSuffix(msg, "hash table during iteration"):
		return msg + "; another branch, or the loop itself, goes through it: write `for k in list(d)`"
	}
	return msg
}

// teachResolve words an error of the resolver.
func teachResolve(msg string) string {
	switch {
	case strings.Contains(msg, "cannot reassign"):
		return msg + "; globals are constant: keep what changes in a function's variable"
	case strings.HasPrefix(msg, "undefined: "):
		name := strings.TrimPrefix(msg, "undefined: ")
		if i := strings.IndexByte(name, ' '); i >= 0 {
			name = name[:i]
		}
		if hint, ok := idioms[name]; ok {
			return hint
		}
		switch name {
		case "null", "nil":
			return msg + "; write None"
		case "true", "false":
			return msg + "; write " + strings.ToUpper(name[:1]) + name[1:]
		case "open":
			return msg + "; write activity(\"file.read\")(path), or call another activity"
		case "os", "sys", "asyncio", "requests", "subprocess", "datetime":
			return msg + "; there are no Python modules: call activities, or load(\"@std/...\")"
		}
	}
	return msg
}
