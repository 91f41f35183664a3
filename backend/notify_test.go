package backend_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/senpuki/senpuki/backend"
)

func TestHint(t *testing.T) {
	t.Parallel()
	h := backend.Hint{Queues: []string{"q", "naïve"}, Executions: []string{"x"}, Ended: []string{"e"}}
	if got := backend.DecodeHint(h.Encode(1000)); fmt.Sprint(got) != fmt.Sprint(h) || got.Anything() {
		t.Errorf("%v became %v", h, got)
	}
	h.Executions = []string{strings.Repeat("x", 1000)}
	if got := backend.DecodeHint(h.Encode(1000)); !got.Anything() {
		t.Errorf("a hint too large became %v", got)
	}
	if got := backend.DecodeHint([]byte("\x00")); !got.Anything() {
		t.Errorf("nonsense became %v", got)
	}
}
