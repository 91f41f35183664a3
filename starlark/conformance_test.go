// Conformance: the language is go.starlark.net's, also where a script is
// suspended between any two statements, replayed, or spread over branches.

package starlark_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"go.starlark.net/syntax"
)

// forms are the ways in which a chunk of testdata/conformance is run. Each
// gives a file whose main runs it, or whose load does.
var forms = []struct {
	name string
	make func(statements []statement) string
}{
	{"as a module", func(all []statement) string {
		return "def body():\n" + join(all, "    ", func(s statement) string { return s.text }) + "body()\ndef main():\n    pass\n"
	}},
	{"in main", func(all []statement) string {
		return "def main():\n" + join(all, "    ", func(s statement) string { return s.text })
	}},
	{"with waits between statements", func(all []statement) string {
		return "def main():\n" + join(all, "    ", func(s statement) string { return "sleep(0)\n" + s.text })
	}},
	{"over branches", func(all []statement) string {
		return "def main():\n" + join(all, "    ", func(s statement) string {
			if !s.expr {
				return s.text
			}
			return "spawn(lambda: " + s.text + "\n).result()" // on a line of its own: the text may end in a comment
		})
	}},
}

// statement is a statement at the top of a chunk.
type statement struct {
	text string
	expr bool
}

// join writes statements one after the other, indented.
func join(all []statement, indent string, form func(statement) string) string {
	var b strings.Builder
	for _, s := range all {
		for _, line := range strings.Split(form(s), "\n") {
			b.WriteString(indent + line + "\n")
		}
	}
	return b.String()
}

// statements takes a chunk apart.
func statements(t *testing.T, chunk string) (all []statement) {
	t.Helper()
	f, err := (&syntax.FileOptions{Set: true, While: true, TopLevelControl: true, Recursion: true}).Parse("chunk", chunk, 0)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(chunk, "\n")
	for i, stmt := range f.Stmts {
		start, _ := stmt.Span()
		end := len(lines)
		if i+1 < len(f.Stmts) {
			next, _ := f.Stmts[i+1].Span()
			end = int(next.Line) - 1
		}
		_, expr := stmt.(*syntax.ExprStmt)
		all = append(all, statement{strings.TrimRight(strings.Join(lines[start.Line-1:end], "\n"), "\n "), expr})
	}
	return all
}

var expected = regexp.MustCompile(`(?m)\s*###\s*"(.*)"$`)

func TestConformance(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/conformance/*.star")
	if err != nil || len(files) == 0 {
		t.Fatal("no suite", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for n, chunk := range strings.Split(string(text), "\n---\n") {
			for _, form := range forms {
				t.Run(filepath.Base(file)+":"+strconv.Itoa(n+1)+" "+form.name, func(t *testing.T) {
					t.Parallel()
					conforms(t, chunk, form.make)
				})
			}
		}
	}
}

// conforms runs a chunk in one form, plainly and replayed at every wait; it
// must end well, or with the error that it expects.
func conforms(t *testing.T, chunk string, form func([]statement) string) {
	want := ""
	if m := expected.FindStringSubmatch(chunk); m != nil {
		want = m[1]
	}
	script := names + "\n" + form(statements(t, expected.ReplaceAllString(chunk, "")))
	for _, replay := range []bool{false, true} {
		_, _, err := runFile(t, script, replay)
		switch got := text(err); {
		case want == "" && err != nil:
			t.Fatalf("replay %v: %s\n%s", replay, got, script)
		case want != "" && !strings.Contains(got, want):
			t.Fatalf("replay %v: got %q, want %q\n%s", replay, got, want, script)
		}
	}
}
