// Runs the example as its README says.

package main

import (
	"bytes"
	"path/filepath"
	"testing"

	"github.com/senpuki/senpuki/cmd/senpuki/cli"
)

func TestSimpleFlow(t *testing.T) {
	t.Parallel()
	db := filepath.Join(t.TempDir(), "simple_flow.db")
	var out, errs bytes.Buffer
	code := cli.Run(t.Context(), registry(), []string{"exec", "simple_flow.star", "--db", db, "--input", "100"}, nil, &out, &errs)
	if got, want := out.String(), "115\n"; code != 0 || got != want {
		t.Errorf("exit status %d, output %q, want 0 and %q; standard error:\n%s", code, got, want, &errs)
	}
}
