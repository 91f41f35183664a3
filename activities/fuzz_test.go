// Fuzzing of the scanner and the decoders against encoding/json.

package activities

import (
	"bytes"
	"context"
	"encoding/json"
	"reflect"
	"testing"
)

func FuzzAny(f *testing.F) {
	for _, seed := range []string{`[]`, `[1, "a\u0000", [null], {"b": -1.5e3}]`, `[01]`, `["a" "b"]`, `[{"a":1,"a":2}]`, `[[[[]]]`, `["\ud800"]`, "[\"\xff\"]", `[nul]`, ` [ 1 ] x`} {
		f.Add([]byte(seed))
	}
	a := mustActivity(f, "x", func(v ...any) ([]any, error) { return append([]any{}, v...), nil })
	f.Fuzz(func(t *testing.T, raw []byte) {
		var want []any
		d := json.NewDecoder(bytes.NewReader(raw))
		d.UseNumber()
		valid := json.Valid(raw) && d.Decode(&want) == nil && want != nil
		got, failure := a.Invoke(context.Background(), raw, nil)
		if valid != (failure == nil) {
			t.Fatalf("%q: valid %v, but %v", raw, valid, failure)
		}
		if !valid {
			if failure.Kind != KindBadArguments {
				t.Fatalf("%q: %+v", raw, failure)
			}
			return
		}
		var back []any
		if err := json.Unmarshal(got, &back); err != nil {
			t.Fatalf("%q: result %q: %v", raw, got, err)
		}
		var loose []any
		if json.Unmarshal(raw, &loose) == nil && !reflect.DeepEqual(loose, back) {
			t.Fatalf("%q came back as %q", raw, got)
		}
	})
}

func FuzzStruct(f *testing.F) {
	for _, seed := range []string{`{"sku":"A","cents":5,"lines":[{"count":2}],"extra":[1]}`, `{"cents":"x"}`, `{"scores":{"1":"a"}}`, `{"wait":"1h"}`, `{"lines":[{"count":256}]}`, `{`, `{"a"}`} {
		f.Add([]byte(seed))
	}
	a := mustActivity(f, "x", func(order) error { return nil })
	f.Fuzz(func(t *testing.T, raw []byte) {
		// Whatever is taken is JSON that encoding/json takes too.
		if a.CheckArgs([]byte(`[]`), raw) == nil && len(raw) > 0 && !json.Valid(raw) {
			t.Fatalf("took %q", raw)
		}
		args := append(append([]byte("["), raw...), ']')
		if a.CheckArgs(args, nil) == nil && !json.Valid(args) {
			t.Fatalf("took %q", args)
		}
	})
}
