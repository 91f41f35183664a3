package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"testing/fstest"

	"github.com/senpuki/senpuki/activities"
	"github.com/senpuki/senpuki/backend"
)

// What is wrong with a row of a journal, and where.
func TestCheckRow(t *testing.T) {
	t.Parallel()
	const start = `[{"k":"start","at":1,"version":1}`
	for _, c := range []struct {
		row        int64
		data, want string
	}{
		{0, start + `]`, ""},
		{0, start + `,` + "\n" + `{"k":"ask","step":"1","args":[1]},{"k":"done","step":"1","value":{"a":[]}}]`, ""},
		{1, `[{"k":"done","step":"1","later":{"a":[1]}}]`, ""},
		{0, `[{"k":"start","version":9},{"k":"wat"}]`, ""}, // of a newer format
		{0, ``, "row 0: damaged journal row: no entry at byte 0"},
		{0, `[{"k":"done","step":"1"}]`, "row 0: damaged journal row: the first entry does not begin the run at byte 1"},
		{1, start + `]`, "row 1: damaged journal row: another entry that begins the run at byte 1"},
		{0, `[{"k":"start","value":5}]`, "row 0: damaged journal row: what the run took over: json: cannot unmarshal number into Go value of type engine.carried at byte 1"},
		{1, `[{"k":"wat"}]`, `row 1: damaged journal row: entry of unknown kind "wat" at byte 1`},
		{1, `[{"k":"signal"},` + "\n" + `{"k":"wat"}]`, `row 1: damaged journal row: entry of unknown kind "wat" at byte 17`},
		{1, `[{"k":"done"}]`, `row 1: damaged journal row: entry "done" without a step at byte 1`},
		{1, `[{"k":"failed","step":"1","failure":[]}]`, `row 1: damaged journal row: failure of entry "failed": json: cannot unmarshal array into Go value of type activities.Failure at byte 1`},
		{7, `[{"k":"signal","name":"s`, "row 7: damaged journal row: string without end at byte 22"},
		{2, `[{"k":"signal","value":tru}]`, "row 2: damaged journal row: invalid character '}' in literal true (expecting 'e') at byte 26"},
		{2, `[{"k":"signal"}`, "row 2: damaged journal row: no entry at byte 15"},
		{2, `[{"k":"signal"}] `, ""},
		{2, `[{"k":"signal"}]]`, "row 2: damaged journal row: text after the end at byte 16"},
	} {
		_, err := checkRow(backend.Row{Number: c.row, Data: []byte(c.data)})
		if got := fmt.Sprint(err); got != c.want && (err != nil || c.want != "") {
			t.Errorf("%s\n got %s\nwant %s", c.data, got, c.want)
		}
	}
}

// What a script of many kinds of entries leaves is sound; TestRecordedJournals says so of what is recorded.
func TestExamineFindsNothingInWhatIsSound(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	e, stop := w.engine(Options{})
	defer stop()
	w.deploy(e, `
echo = activity("echo")
def child(n):
    return echo(n)
def main(n = 0):
    counter("runs").add(1)
    progress(0.5)
    r = attempt(activity("boom"), "Bad")
    t = spawn(activity("block"))
    t.cancel()
    kid = workflow(child)(n)
    sleep("1ms")
    v = echo({"$odd": [1, (2, 3), kid]})
    if n == 0:
        continue_as_new(1)
    return [v, r.error.kind]
`)
	id := w.dispatch(e, Input{}, DispatchOptions{})
	if r := w.finish(e, id); r.Failure != nil {
		t.Fatal(r.Failure)
	}
	executions, err := e.Examine(t.Context(), func(p Problem) error {
		t.Errorf("%+v", p)
		return nil
	})
	if err != nil || executions != 3 {
		t.Errorf("%d executions, %v", executions, err)
	}
}

// Programs are looked at, too, and what is found of one does not end it.
func TestExaminePrograms(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if _, err := w.store.Deploy(t.Context(), []backend.Program{
		{Digest: "b", Sources: []byte(`{bad`)}, {Digest: "a", Sources: []byte(`{"dialect":"x"}`)},
	}, nil); err != nil {
		t.Fatal(err)
	}
	e, err := New(w.store, w.reg, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.Deploy(t.Context(), fstest.MapFS{"f.star": {Data: []byte("def main():\n    pass\n")}}, "f.star"); err != nil {
		t.Fatal(err)
	}
	var got []string
	if _, err := e.Examine(t.Context(), func(p Problem) error { got = append(got, p.Program+": "+p.Problem); return nil }); err != nil {
		t.Fatal(err)
	}
	if len(got) != 2 || got[1] != "b: column sources: invalid character 'b' looking for beginning of object key string at byte 1" {
		t.Errorf("%q", got)
	}
}

// hurtRows is a store of which rows cannot be read, or are not there.
type hurtRows struct {
	backend.Store
	hurt func(run backend.RunKey, r *backend.Row) (there bool)
}

func (h *hurtRows) Journal(ctx context.Context, run backend.RunKey, from int64, row func(backend.Row) error) error {
	return h.Store.Journal(ctx, run, from, func(r backend.Row) error {
		if !h.hurt(run, &r) {
			return nil
		}
		return row(r)
	})
}

// The journals of earlier runs are looked at, too; each row that is hurt is named, and those that are missing.
func TestExamineNamesRunsAndRows(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	e, stop := w.engine(Options{})
	defer stop()
	var fine atomic.Bool
	w.register("later", func() error {
		if fine.Load() {
			return nil
		}
		return activities.Fail("NotYet", "later", activities.NotRetryable())
	})
	w.deploy(e, `
add = activity("add")
later = activity("later")
def main():
    for i in range(6):
        add(i, 1)
    later()
`)
	id := w.dispatch(e, Input{}, DispatchOptions{})
	if r := w.finish(e, id); r.Failure == nil {
		t.Fatal("it has not failed")
	}
	first, err := w.store.Execution(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	fine.Store(true)
	if err := e.Retry(t.Context(), id, RerunOptions{}); err != nil {
		t.Fatal(err)
	}
	w.finish(e, id)
	w.check()
	hurt := &hurtRows{w.store, func(run backend.RunKey, r *backend.Row) bool {
		if run == first.Run && (r.Number == 1 || r.Number == 2) {
			r.Data = r.Data[:1]
		}
		return run == first.Run || r.Number != 1
	}}
	look, err := New(hurt, nil, Options{})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	if _, err := look.Examine(t.Context(), func(p Problem) error { got = append(got, p.Problem); return nil }); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"run 1, row 1: damaged journal row: no object at byte 1", "run 1, row 2: damaged journal row: no object at byte 1",
		"row 1 is missing",
	}
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	enough := errors.New("enough")
	if _, err := look.Examine(t.Context(), func(Problem) error { return enough }); !errors.Is(err, enough) {
		t.Errorf("it ends with %v", err)
	}
}
