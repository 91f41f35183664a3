// The suite of go.starlark.net itself, run by scripts that are suspended and replayed.

package starlark_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"go.starlark.net/syntax"
)

// upstream are the files of its suite that are about the language. The others
// are about its own test doubles, protocol buffers and modules.
var upstream = []string{
	"assign", "bool", "builtins", "bytes", "control", "dict", "float", "function", "int", "json", "list", "math",
	"misc", "recursion", "set", "string", "time", "tuple", "while",
}

// asserts is its assert.star in our words.
const asserts = `
def _eq(x, y):
    if x != y and not (type(x) in _num and type(y) in _num and abs(x - y) <= 1e-15 * abs(x)):
        fail("%r != %r" % (x, y))

def _ne(x, y):
    if x == y:
        fail("%r == %r" % (x, y))

def _true(cond, msg = "assertion failed"):
    if not cond:
        fail(msg)

def _lt(x, y):
    if not (x < y):
        fail("%s is not less than %s" % (x, y))

def _contains(x, y):
    if y not in x:
        fail("%s does not contain %s" % (x, y))

def matches(pattern, msg):
    return re.search(pattern, msg) != None

def _fails(f, pattern):
    r = attempt(f)
    if r.ok:
        fail("evaluation succeeded unexpectedly (want error matching %r)" % pattern)
    if not matches(pattern, r.error.message):
        fail("regular expression (%s) did not match error (%s)" % (pattern, r.error.message))

_num = ("int", "float")
assert = struct(fail = fail, eq = _eq, ne = _ne, true = _true, lt = _lt, contains = _contains, fails = _fails)
`

// foreign marks chunks about what its test program offers, and about globals
// that a chunk in main does not have.
var foreign = regexp.MustCompile(`freeze\b|hasfields\(|fibonacci|option:|\bmodule\(|\bcatch\(|not found in module|` +
	`global variable|global .* referenced before assignment|local variable assert`)

// cycle is what the library finds in a value that holds itself; we find that it is too deep.
var cycle = regexp.MustCompile(`(json\.encode\w*: )[^'"]*(?:"r"[^'"]*)?cycle in JSON structure`)

// unencodable is how the library names a built-in that it cannot encode; we say which one.
const unencodable = "cannot encode builtin_function_or_method as JSON"

func TestUpstream(t *testing.T) {
	t.Parallel()
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "go.starlark.net").Output()
	dir := filepath.Join(strings.TrimSpace(string(out)), "starlark", "testdata")
	if err != nil || !exists(dir) {
		t.Skip("the sources of go.starlark.net are not here")
	}
	for _, name := range upstream {
		text, err := os.ReadFile(filepath.Join(dir, name+".star"))
		if err != nil {
			t.Fatal(err)
		}
		line := 1
		for _, chunk := range strings.Split(string(text), "\n---\n") {
			at := line
			line += strings.Count(chunk, "\n") + 2
			if foreign.MatchString(chunk) {
				continue
			}
			for _, form := range forms[1:] {
				t.Run(name+":"+strconv.Itoa(at)+" "+form.name, func(t *testing.T) {
					t.Parallel()
					asUpstream(t, chunk, form.make)
				})
			}
		}
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

var (
	upstreamExpects = regexp.MustCompile("###\\s*(\"(?:[^\"\\\\]|\\\\.)*\"|`[^`]*`)")
	upstreamLoads   = regexp.MustCompile(`(?m)^load\(.*\)$`)
)

func asUpstream(t *testing.T, chunk string, form func([]statement) string) {
	chunk = cycle.ReplaceAllString(chunk, "${1}nested deeper than 1000")
	chunk = strings.Replace(chunk, unencodable, "cannot encode function len as JSON", 1)
	want := ""
	if m := upstreamExpects.FindStringSubmatch(chunk); m != nil {
		want, _ = strconv.Unquote(m[1])
		want = strings.TrimSuffix(strings.Replace(want, "fail: ", "Fail:? ?", 1), "$") // text() goes on with a traceback
	}
	chunk = oneLineStrings(t, upstreamLoads.ReplaceAllString(chunk, ""))
	script := asserts + form(statements(t, chunk)) + "    pass\n"
	for _, replay := range []bool{false, true} {
		_, _, err := runFile(t, script, replay)
		ok, _ := regexp.MatchString(want, text(err))
		if (err != nil) != (want != "") || !ok {
			t.Errorf("replay %v: got %q, want %q", replay, text(err), want)
		}
	}
}

// oneLineStrings rewrites string literals of several lines, so that a chunk can be indented.
func oneLineStrings(t *testing.T, chunk string) string {
	t.Helper()
	f, err := (&syntax.FileOptions{Set: true, While: true, TopLevelControl: true, Recursion: true}).Parse("chunk", chunk, 0)
	if err != nil {
		t.Fatal(err)
	}
	syntax.Walk(f, func(n syntax.Node) bool {
		l, ok := n.(*syntax.Literal)
		if !ok || !strings.Contains(l.Raw, "\n") {
			return true
		}
		if s, ok := l.Value.(string); ok {
			chunk = strings.Replace(chunk, l.Raw, syntax.Quote(s, l.Token == syntax.BYTES), 1)
		}
		return true
	})
	return chunk
}
