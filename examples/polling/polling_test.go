// Runs the example as its docstring says.

package polling_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/senpuki/senpuki/cmd/senpuki/cli"
)

// script is the example; tests run it from a directory of their own.
var script, _ = filepath.Abs("wait_for_file.star")

func TestPolling(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.WriteFile("ready.txt", []byte("go\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	code := cli.Run(t.Context(), nil, []string{"exec", script, "--arg", "path=ready.txt"}, nil, &out, &errs)
	if got := strings.TrimSpace(out.String()); code != 0 || got != `"go"` {
		t.Errorf("exit status %d, output %q; standard error:\n%s", code, got, &errs)
	}
	code = cli.Run(t.Context(), nil, []string{"exec", script, "--arg", "path=never.txt", "--arg", "patience=300ms"}, nil, &out, &errs)
	if code != 1 || !strings.Contains(errs.String(), "Timeout") {
		t.Errorf("exit status %d; standard error:\n%s", code, &errs)
	}
}
