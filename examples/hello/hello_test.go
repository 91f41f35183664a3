// Runs the example as its README says.

package hello_test

import (
	"bytes"
	"path/filepath"
	"testing"

	"github.com/senpuki/senpuki/cmd/senpuki/cli"
)

func TestHello(t *testing.T) {
	t.Parallel()
	db := filepath.Join(t.TempDir(), "hello.db")
	var out, errs bytes.Buffer
	code := cli.Run(t.Context(), nil, []string{"exec", "hello.star", "--db", db, "--arg", "name=world"}, nil, &out, &errs)
	if got, want := out.String(), "\"Hello, world!\"\n"; code != 0 || got != want {
		t.Errorf("exit status %d, output %q, want 0 and %q; standard error:\n%s", code, got, want, &errs)
	}
}
