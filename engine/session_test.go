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
