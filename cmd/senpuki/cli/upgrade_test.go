package cli

import (
	"bytes"
	"strings"
	"testing"

	"github.com/senpuki/senpuki/backend"
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

// What names a version names one: the number of another is no digest, and the beginning of several is refused.
func TestDeployedDigest(t *testing.T) {
	t.Parallel()
	deployed := []backend.Deployment{
		{Workflow: "order", Version: 4, Digest: "3fa1"}, // of version 1 again
		{Workflow: "order", Version: 3, Digest: "e602"},
		{Workflow: "order", Version: 2, Digest: "e601"},
		{Workflow: "order", Version: 1, Digest: "3fa1"},
	}
	for _, c := range []struct{ version, digest, refused string }{
		{"3", "e602", ""}, {"5", "", ""}, {"3f", "3fa1", ""}, {"e602", "e602", ""}, {"e603", "", ""},
		{"e6", "", "e6 is the beginning of several digests of workflow order:\n  e602  version 3, "},
	} {
		digest, err := deployedDigest(deployed, c.version)
		if digest != c.digest || (err == nil) != (c.refused == "") || err != nil && !strings.Contains(err.Error(), c.refused) {
			t.Errorf("%s: %q, %v", c.version, digest, err)
		}
	}
}
