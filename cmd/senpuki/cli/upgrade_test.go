package cli

import (
	"bytes"
	"testing"

	"github.com/senpuki/senpuki/engine"
)

// Nothing that has ended since stays behind.
func TestUpgradeCountsNoneThatEnded(t *testing.T) {
	t.Parallel()
	var told bytes.Buffer
	a := &app{out: &output{to: &told}}
	r := upgradeReport{Ended: 2, Verdicts: []engine.Verdict{{ID: "a", From: "1", To: "2", Fits: true, Moved: true}}}
	if err := a.printUpgrade(&r); err != nil {
		t.Error(err)
	}
	if want := "1 fit, 0 part, 1 moved, 2 ended meanwhile\n"; told.String() != want {
		t.Errorf("%q, want %q", told.String(), want)
	}
}
