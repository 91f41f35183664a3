// Activities that take any arguments, and what stands around attempts.

package activities_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/senpuki/senpuki/activities"
)

func TestOpen(t *testing.T) {
	t.Parallel()
	reg := activities.NewRegistry()
	err := reg.RegisterOpen("any", func(_ context.Context, c activities.Call) (any, error) {
		switch string(c.Args) {
		case `["panic"]`:
			panic("oh no")
		case `["fail"]`:
			return nil, activities.Fail("Broken", "as asked")
		case `["odd"]`:
			return func() {}, nil
		}
		return fmt.Sprintf("%s%s%s", c.Activity, c.Args, c.Kwargs), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	a, _ := reg.Lookup("any")
	if err := a.CheckCall(7, []string{"x", "y"}, false); err != nil {
		t.Error(err)
	}
	if err := a.CheckArgs([]byte(`[1]`), []byte(`{"x": 1}`)); err != nil {
		t.Error(err)
	}
	got, failure := a.Invoke(t.Context(), []byte(`[1]`), []byte(`{"x":2}`))
	if want := `"any[1]{\"x\":2}"`; string(got) != want || failure != nil {
		t.Errorf("%s %v, want %s", got, failure, want)
	}
	for arg, kind := range map[string]string{"panic": "Panic", "fail": "Broken", "odd": "PayloadError"} {
		if _, f := a.Invoke(t.Context(), fmt.Appendf(nil, "[%q]", arg), nil); f == nil || f.Kind != kind || f.Activity != "any" {
			t.Errorf("%s: %+v", arg, f)
		}
	}
	if s := a.Signature(); s != "any(...)" {
		t.Error(s)
	}
	if err := reg.RegisterOpen("nothing", nil); err == nil {
		t.Error("a nil function was taken")
	}
}

func TestWrap(t *testing.T) {
	t.Parallel()
	reg := activities.NewRegistry()
	reg.MustRegister("double", func(n int) (int, error) { return 2 * n, nil })
	var seen []string
	note := func(name string) activities.Around {
		return func(ctx context.Context, c activities.Call, next func(context.Context) ([]byte, *activities.Failure)) ([]byte, *activities.Failure) {
			seen = append(seen, name+" "+c.Activity)
			return next(ctx)
		}
	}
	wrapped := reg.Wrap(note("inner")).Wrap(note("outer"))
	wrapped.MustRegister("half", func(n int) (int, error) { return n / 2, nil })
	for _, name := range []string{"double", "half"} {
		a, _ := wrapped.Lookup(name)
		if err := a.CheckCall(2, nil, false); err == nil {
			t.Errorf("%s: two arguments were taken", name)
		}
		if _, f := a.Invoke(t.Context(), []byte("[4]"), nil); f != nil {
			t.Error(f)
		}
	}
	if got := fmt.Sprint(seen); got != "[outer double inner double outer half]" {
		t.Error(got)
	}
	if a, _ := reg.Lookup("double"); a != nil {
		a.Invoke(t.Context(), []byte("[4]"), nil)
	}
	if len(seen) != 3 {
		t.Error("the registry that was copied is wrapped")
	}
}
