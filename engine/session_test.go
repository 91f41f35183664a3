package engine

import (
	"testing"

	"github.com/senpuki/senpuki/backend"
	"github.com/senpuki/senpuki/backend/memory"
)

func TestWorkersThatCannotBeRead(t *testing.T) {
	t.Parallel()
	store := memory.New()
	for _, info := range []string{`{"queues": ["far"]}`, `{"queues": ["x"], "held": "many"}`, ""} {
		if _, _, err := store.Open(t.Context(), backend.Session{Host: "h", Info: []byte(info)}); err != nil {
			t.Fatal(err)
		}
	}
	e, err := New(store, nil, Options{})
	if err != nil {
		t.Fatal(err)
	}
	live, err := e.Workers(t.Context())
	if err != nil || len(live) != 3 {
		t.Fatalf("%+v %v", live, err)
	}
	for _, w := range live {
		want := 0
		if len(w.Session.Info) == len(`{"queues": ["far"]}`) {
			want = 1
		}
		if len(w.Info.Queues) != want || w.Session.Host != "h" {
			t.Errorf("%s: %+v", w.Session.Info, w.Info)
		}
	}
}

func TestCountsOfOneAreNoPlurals(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ got, want string }{
		{SessionInfo{Concurrency: 1, Running: 1, Held: 1}.Summary(), "1 of 1 activity, 1 execution"},
		{SessionInfo{Concurrency: 256, Held: 2, Stuck: 1}.Summary(), "0 of 256 activities, 2 executions, 1 stuck"},
		{(&IncompatibleError{Workflow: "order", Fit: 1, Part: []Verdict{{ID: "a", Reason: "no"}}}).Error(),
			"the new code of workflow order fits 1 running execution and not 1 other: a: no"},
	} {
		if c.got != c.want {
			t.Errorf("%q, want %q", c.got, c.want)
		}
	}
}
