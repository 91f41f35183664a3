package backend_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/senpuki/senpuki/backend"
)

func TestHint(t *testing.T) {
	t.Parallel()
	h := backend.Hint{Queues: []string{"q", "naïve"}, Executions: []string{"x"}, Ended: []string{"e"}}
	if got := decoded(t, h, 1000); len(got) != 1 || fmt.Sprint(got[0]) != fmt.Sprint(h) || got[0].Anything() {
		t.Errorf("%v became %v", h, got)
	}
	h.Executions = []string{strings.Repeat("x", 1000)}
	if got := decoded(t, h, 1000); !slices.ContainsFunc(got, func(p backend.Hint) bool { return p.Anything() }) {
		t.Errorf("a name too large became %v", got)
	}
	if got := backend.DecodeHint([]byte("\x00")); !got.Anything() {
		t.Errorf("nonsense became %v", got)
	}
}

// A hint of many names goes in several parts, which together say what it says.
func TestHintInParts(t *testing.T) {
	t.Parallel()
	h := backend.Hint{From: "f", Queues: []string{"q", "r"}, Recall: true, Named: true, Due: time.Unix(1e9, 0).UTC()}
	for i := range 500 {
		h.Ended = append(h.Ended, fmt.Sprint("ended-", i))
	}
	for i := range 50 {
		h.Executions = append(h.Executions, fmt.Sprint("execution-", i))
	}
	parts := decoded(t, h, 1000)
	all := backend.Hint{From: h.From}
	for _, p := range parts {
		if p.From != h.From || p.Anything() {
			t.Errorf("a part says %v", p)
		}
		all.Merge(p)
	}
	for _, list := range [][]string{h.Ended, all.Ended, h.Executions, all.Executions, h.Queues, all.Queues} {
		slices.Sort(list)
	}
	if fmt.Sprint(all) != fmt.Sprint(h) {
		t.Errorf("%d parts say %v", len(parts), all)
	}
}

// decoded is what a hint's parts of at most limit bytes say.
func decoded(t *testing.T, h backend.Hint, limit int) (list []backend.Hint) {
	for _, part := range h.Encode(limit) {
		if len(part) > limit {
			t.Errorf("a part of %d bytes, at most %d were asked for", len(part), limit)
		}
		list = append(list, backend.DecodeHint([]byte(part)))
	}
	return list
}
