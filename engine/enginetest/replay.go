// Replaying exported journals on the code of today.

package enginetest

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/senpuki/senpuki/engine"
)

// ReplayDir replays every journal that dir holds on the scripts of fsys, each in a subtest of its own. The
// journals are files *.json that `senpuki history ID --export FILE` wrote. A test like this in CI
// tells, before a deployment, which executions a change of a script would leave behind.
func ReplayDir(t *testing.T, dir string, fsys fs.FS) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Fatalf("%s has no exported journal; write one with: senpuki history ID --export %s", dir, filepath.Join(dir, "ID.json"))
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			x, err := engine.ParseExport(text)
			if err != nil {
				t.Fatal(err)
			}
			v, err := x.Replay(t.Context(), fsys)
			if err != nil {
				t.Fatal(err)
			}
			if !v.Fits {
				t.Errorf("the journal of execution %s does not replay: %s", x.ID, v.Reason)
			}
		})
	}
}
