package backend_test

import (
	"reflect"
	"slices"
	"testing"

	"github.com/senpuki/senpuki/backend"
)

// A turn with any field set but these is not for the short ways by which stores land many at once: what they do not
// look at is not written.
func TestTurnPredicates(t *testing.T) {
	t.Parallel()
	always := []string{
		"Execution", "Run", "First", "Rows",
		"Then", "Due", "State", "Result", "Failure", // Release and Finish
		"Next", // with Continue alone
	}
	ordinary := append(slices.Clone(always), "Taken", "Logs", "Tasks", "Dead", "Published")
	for field := range reflect.TypeFor[backend.Turn]().Fields() {
		var turn backend.Turn
		v := reflect.ValueOf(&turn).Elem().FieldByIndex(field.Index)
		switch v.Kind() {
		case reflect.Slice:
			v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		case reflect.Pointer:
			v.Set(reflect.New(v.Type().Elem()))
		case reflect.String:
			v.SetString("x")
		case reflect.Int, reflect.Int64:
			v.SetInt(1)
		case reflect.Bool:
			v.SetBool(true)
		case reflect.Struct: // Due
		default:
			t.Fatalf("set field %s, a %s", field.Name, v.Kind())
		}
		if got, want := turn.OnlyRows(), slices.Contains(always, field.Name); got != want {
			t.Errorf("with %s, OnlyRows is %v", field.Name, got)
		}
		if got, want := turn.Ordinary(), slices.Contains(ordinary, field.Name); got != want {
			t.Errorf("with %s, Ordinary is %v", field.Name, got)
		}
	}
	for then, want := range map[backend.Then]bool{backend.Hold: true, backend.Release: true, backend.Finish: true, backend.Continue: false} {
		turn := backend.Turn{Then: then}
		if turn.Ordinary() != want || turn.OnlyRows() != want {
			t.Errorf("then %d: %v, %v", then, turn.Ordinary(), turn.OnlyRows())
		}
	}
}

// The same of a batch: every other part of one is for the long way.
func TestBatchOfOnlyTurns(t *testing.T) {
	t.Parallel()
	for field := range reflect.TypeFor[backend.Batch]().Fields() {
		batch := backend.Batch{Turns: make([]backend.Turn, 1)}
		v := reflect.ValueOf(&batch).Elem().FieldByIndex(field.Index)
		switch v.Kind() {
		case reflect.Slice:
			v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		case reflect.Int64:
			v.SetInt(1)
		case reflect.Pointer:
			v.Set(reflect.New(v.Type().Elem()))
		default:
			t.Fatalf("set field %s, a %s", field.Name, v.Kind())
		}
		if want := field.Name == "Turns" || field.Name == "Session"; batch.OnlyTurns() != want {
			t.Errorf("with %s it has only turns: %v", field.Name, batch.OnlyTurns())
		}
	}
	if new(backend.Batch).OnlyTurns() {
		t.Error("an empty one has turns")
	}
}
