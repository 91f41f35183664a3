// What errors are is told by their types, whatever their words say.

package cli

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/senpuki/senpuki/backend"
	"github.com/senpuki/senpuki/starlark"
)

func TestErrorsAreToldByTheirTypes(t *testing.T) {
	t.Parallel()
	taken := backend.Explain(backend.ErrConflict, "%s is taken: conflict", "x")
	if got := spoken(taken); got != "x is taken: conflict" || !errors.Is(taken, backend.ErrConflict) {
		t.Error(got)
	}
	for _, c := range []struct {
		problem starlark.Problem
		want    bool
	}{
		{starlark.Problem{Message: `unknown activity "x"`}, false},
		{starlark.Problem{Message: "nobody has it", Activity: "x"}, true},
	} {
		if err := (starlark.Problems{c.problem}); lacks(err) != c.want {
			t.Error(err)
		}
	}
}

// Whose script it is stands before words that happen to have its name in them.
func TestInputThatNamesTheScript(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "a.star")
	if err := os.WriteFile(file, []byte("def main(x):\n    return x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ args, want string }{
		{"--input {\"a.star\":1}", file + ": main() "},
		{"--fn other", file + " has no function other; there is only main"},
	} {
		var out, errs bytes.Buffer
		args := append([]string{"exec", file, "--db", "memory:"}, strings.Fields(c.args)...)
		if code := Run(t.Context(), nil, args, nil, &out, &errs); code != exitUsage || !strings.HasPrefix(errs.String(), "senpuki: "+c.want) {
			t.Errorf("%s: exit status %d, %s", c.args, code, &errs)
		}
	}
}
