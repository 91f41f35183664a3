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

var firstWord = regexp.MustCompile(`^\s*([a-z]+)\b`)

// teachSyntax words a syntax error for people who know Python.
func teachSyntax(text string, e syntax.Error) string {
	line := ""
	if lines := strings.Split(text, "\n"); e.Pos.Line > 0 && int(e.Pos.Line) <= len(lines) {
		line = lines[e.Pos.Line-1]
	}
	msg := strings.TrimPrefix(e.Msg, "syntax error: ")
	col := max(int(e.Pos.Col)-1, 0)
	before, at := line[:min(col, len(line))], line[min(col, len(line)):]
	if m := firstWord.FindStringSubmatch(line); m != nil {
		if hint, ok := idioms[m[1]]; ok && m[1] != "is" {
			return hint
		}
	}
	if w := regexp.MustCompile(`^[a-z]+`).FindString(at); w != "" {
		if hint, ok := idioms[w]; ok {
			return hint
		}
	}
	switch {
	case strings.HasPrefix(at, `"`) || strings.HasPrefix(at, "'"):
		switch {
		case strings.HasSuffix(before, "f"):
			return "there are no f-strings; write \"text {}\".format(value) or \"text %s\" % value"
		case regexp.MustCompile(`["']\s*$`).MatchString(before):
			return "adjacent strings are not joined; write +"
		}
	case strings.HasPrefix(at, ":="):
		return "there is no :=; assign on a line of its own"
	case strings.HasPrefix(at, "@"):
		return "there are no decorators; call the function: f = decorate(f)"
	case strings.HasPrefix(at, "**") || strings.HasSuffix(before, "*") && strings.HasPrefix(at, "*"):
		return "there is no **; multiply, or use math.pow(x, y)"
	case strings.HasPrefix(at, "->"), strings.HasPrefix(at, ":") && regexp.MustCompile(`^\s*def\b.*\(`).MatchString(before):
		return "there are no annotations; write the names alone"
	case strings.Contains(msg, "associative"):
		return "comparisons do not chain; write a < b and b < c"
	case strings.HasPrefix(at, "}") || strings.HasPrefix(at, ",") && strings.Contains(before, "{"):
		if strings.Contains(before, "{") && !strings.Contains(before[strings.LastIndex(before, "{"):], ":") {
			return "there are no set literals; write set([1, 2])"
		}
	case strings.HasPrefix(at, "*"):
		return "a list or dict cannot be unpacked in a literal; write a + b or dict(a, **b)"
	}
	if strings.Contains(msg, "invalid escape sequence") {
		return msg + "; write r\"...\" for a raw string"
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
		case "os", "sys", "asyncio", "requests", "subprocess", "datetime":
			return msg + "; there are no Python modules: call activities, or load(\"@std/...\")"
		}
	}
	return msg
}
