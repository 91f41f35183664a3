// Runs the example as its docstring says.

package batch_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/senpuki/senpuki/cmd/senpuki/cli"
)

// script is the example; tests run it from a directory of their own.
var script, _ = filepath.Abs("count_words.star")

func TestBatch(t *testing.T) {
	t.Chdir(t.TempDir())
	for i := range 7 {
		if err := os.WriteFile("f"+strconv.Itoa(i)+".txt", []byte(strings.Repeat("word ", i)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var out, errs bytes.Buffer
	code := cli.Run(t.Context(), nil, []string{"exec", script, "--arg", "pattern=*.txt", "--arg", "size=3"}, nil, &out, &errs)
	if got := strings.TrimSpace(out.String()); code != 0 || got != `{"files":7,"words":21}` {
		t.Errorf("exit status %d, output %q; standard error:\n%s", code, got, &errs)
	}
}
