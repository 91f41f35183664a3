// Text that is not UTF-8, which a script can make and no journal can hold.

package starlark_test

import (
	"testing"

	"github.com/senpuki/senpuki/starlark"
)

func TestAReasonIsWhatTheJournalWillHold(t *testing.T) {
	t.Parallel()
	_, w, err := run(t, "def main():\n    execution(\"other\").cancel(reason = \"cut \" + (\"é\"[:1] * 2))\n", false)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range w.Journal {
		if e.Command != nil && e.Command.Kind == starlark.CancelOther {
			if e.Command.Name != "cut \uFFFD\uFFFD" {
				t.Errorf("the reason is %q", e.Command.Name)
			}
			return
		}
	}
	t.Error("nothing was cancelled")
}
