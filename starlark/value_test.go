// Values as bytes: forms, limits, fuzzing.

package starlark

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	star "go.starlark.net/starlark"
)

func TestForms(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ stored, plain, canonical string }{
		{`{"b":1,"a":[1.0,2]}`, `{"b":1,"a":[1.0,2]}`, `{"a":[1.0,2],"b":1}`},
		{`{"$tuple":[1,{"$set":[3,1]}]}`, `[1,[3,1]]`, `{"$tuple":[1,{"$set":[1,3]}]}`},
		{`{"$bytes":"AP8="}`, `"AP8="`, `{"$bytes":"AP8="}`},
		{`{"$dict":[[1,2],["a",3]]}`, `{"1":2,"a":3}`, `{"$dict":[["a",3],[1,2]]}`},
		{`{"$duration":1500000000}`, `1.5`, `{"$duration":1500000000}`},
		{`{"$time":["2030-01-01T00:00:00Z","UTC"]}`, `"2030-01-01T00:00:00Z"`, `{"$time":["2030-01-01T00:00:00Z","UTC"]}`},
		{`{"$struct":{"a":1}}`, `{"a":1}`, `{"$struct":{"a":1}}`},
		{`{"$result":{"value":7}}`, `{"ok":true,"value":7,"error":null}`, `{"$result":{"value":7}}`},
		{`{"$result":{"error":{"kind":"K","message":"m"}}}`, `{"ok":false,"value":null,"error":{"kind":"K","message":"m"}}`, `{"$result":{"error":{"kind":"K","message":"m"}}}`},
		{`{"$error":{"kind":"K","message":"m"}}`, `{"kind":"K","message":"m"}`, `{"$error":{"kind":"K","message":"m"}}`},
		{`{"$struct":{"$dict":[["$tuple",[1]]]}}`, `{"$tuple":[1]}`, `{"$struct":{"$dict":[["$tuple",[1]]]}}`},
		{`{"$struct":{"$a":1,"b":2}}`, `{"$a":1,"b":2}`, `{"$struct":{"$dict":[["$a",1],["b",2]]}}`}, // as it was written before
		{`{"$time":["1900-01-01T00:00:00+00:19","Europe/Amsterdam"]}`, `"1899-12-31T23:41:00Z"`, `{"$time":["1899-12-31T23:41:00Z","Europe/Amsterdam"]}`},
		// no tags after all
		{`{"$bytes":5,"x":1}`, `{"$bytes":5,"x":1}`, `{"$dict":[["$bytes",5],["x",1]]}`},
		{`{"$set":[[1]]}`, `{"$set":[[1]]}`, `{"$dict":[["$set",[[1]]]]}`},
		{`{"$nothing":5}`, `{"$nothing":5}`, `{"$dict":[["$nothing",5]]}`},
	} {
		if b, err := ToPlain([]byte(c.stored)); string(b) != c.plain || err != nil {
			t.Errorf("plain of %s: %s %v, want %s", c.stored, b, err, c.plain)
		}
		if b, err := Canonical([]byte(c.stored)); string(b) != c.canonical || err != nil {
			t.Errorf("canonical of %s: %s %v, want %s", c.stored, b, err, c.canonical)
		}
	}
}

func TestFromPlain(t *testing.T) {
	t.Parallel()
	for plain, want := range map[string]string{
		``:                            `null`,
		` {"a": 1}`:                   ` {"a": 1}`,
		`[1e308, 1e-999, "1e999"]`:    `[1e+308,0.0,"1e999"]`,
		`["e", "1E9", 2e+30]`:         `["e", "1E9", 2e+30]`,
		`{"$bytes":"AA=="}`:           `{"$dict":[["$bytes","AA=="]]}`,
		`{"\u0024tuple":[]}`:          `{"$dict":[["$tuple",[]]]}`,
		`{"$a":{"$b":1,"c":2},"d":3}`: `{"$dict":[["$a",{"$dict":[["$b",1],["c",2]]}],["d",3]]}`,
	} {
		if b, err := FromPlain([]byte(plain)); string(b) != want || err != nil {
			t.Errorf("%s: %s %v, want %s", plain, b, err, want)
		}
	}
	for _, large := range []string{`{"a": [1e999]}`, `{"a": [-1E+400]}`} {
		if b, err := FromPlain([]byte(large)); err == nil || !strings.HasPrefix(err.Error(), `at ["a"][0]: `) {
			t.Errorf("%s: %s %v", large, b, err)
		}
	}
	for _, bad := range []string{`{`, `1 2`, `NaN`, `'a'`, "\"\n\"", `{"$a":}`, `01`, `[1,]`, `{"a":1,}`, `"\x"`} {
		if b, err := FromPlain([]byte(bad)); err == nil {
			t.Errorf("%s is taken as %s", bad, b)
		}
	}
}

func TestDeepValues(t *testing.T) {
	t.Parallel()
	// what is tried again at every level must not take a time that doubles with each
	text := strings.Repeat(`{"$a":`, 900) + "1" + strings.Repeat(`,"x":1}`, 900)
	if _, err := decodeStored([]byte(text)); err != nil {
		t.Error(err)
	}
	text = strings.Repeat(`{"$result":{"value":`, 900) + "1" + strings.Repeat(`}}`, 900)
	if _, err := decodeStored([]byte(text)); err != nil {
		t.Error(err)
	}
	var v star.Value = star.None
	for range maxNesting - 1 {
		v = star.Tuple{v}
	}
	b, perr := encodeValue(v, stored, 0)
	if perr != nil {
		t.Fatal(perr)
	}
	if _, err := decodeStored(b); err != nil {
		t.Error("a value that can be stored cannot be read:", err)
	}
	if _, err := FromPlain([]byte(strings.Repeat("[", 100000) + strings.Repeat("]", 100000))); err == nil {
		t.Error("endless nesting is taken")
	}
	if _, err := decodeStored([]byte(strings.Repeat("[", 1<<20))); err == nil {
		t.Error("endless nesting is taken")
	}
}

func TestFailureJSON(t *testing.T) {
	t.Parallel()
	f := &Failure{Kind: "K", Message: "m\x00", Data: []byte(`{"b":1,"a":{"$tuple":[]}}`), Attempts: 2, Cause: &Failure{Kind: "C", Data: []byte(`{}`)}, NoRetry: true}
	b, err := json.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	var g Failure
	if err := json.Unmarshal(b, &g); err != nil || g.Kind != "K" || string(g.Data) != string(f.Data) || string(g.Cause.Data) != "{}" || !g.NoRetry || g.Message != f.Message {
		t.Errorf("%s: %+v %v", b, g, err)
	}
}

func FuzzDecodeStored(f *testing.F) {
	for _, s := range []string{`{"$tuple":[1]}`, `{"a":[1,2.5,null,true,"x\u0000\ud83d\ude00"]}`, `{"$dict":[[1,2]]}`, `{"$error":{"kind":"K"}}`, `{"$result":{"value":{"$set":[1]}}}`, `{"$time":["2030-01-01T00:00:00+02:00",""]}`, `-0.0e10`, `12345678901234567890`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := decodeStored(b)
		if err != nil {
			return
		}
		if !json.Valid(b) {
			t.Fatalf("not JSON but taken: %q", b)
		}
		once, perr := encodeValue(v, stored, 0)
		if perr != nil {
			return // infinite floats
		}
		if !json.Valid(once) {
			t.Fatalf("not JSON: %s", once)
		}
		again, err := decodeStored(once)
		if err != nil {
			t.Fatalf("%s cannot be read: %v", once, err)
		}
		twice, perr := encodeValue(again, stored, 0)
		if perr != nil || !bytes.Equal(once, twice) {
			t.Fatalf("%s, then %s", once, twice)
		}
		for _, form := range []func([]byte) ([]byte, error){ToPlain, Canonical} {
			var keys *payloadError // two that are one in JSON
			if out, err := form(once); !errors.As(err, &keys) && (err != nil || !json.Valid(out)) {
				t.Fatalf("%s: %s %v", once, out, err)
			}
		}
	})
}

func FuzzFromPlain(f *testing.F) {
	f.Add([]byte(`{"$tuple":[1],"x":{"$y":2}}`))
	f.Add([]byte(`[1,[2,{"$dict":[[1,2]]}]]`))
	f.Fuzz(func(t *testing.T, b []byte) {
		out, err := FromPlain(b)
		if err != nil || len(b) == 0 {
			return
		}
		a, err := decodePlain(b)
		if err != nil {
			t.Fatalf("%q is taken but cannot be read: %v", b, err)
		}
		c, err := decodeStored(out)
		if err != nil {
			t.Fatalf("%s cannot be read: %v", out, err)
		}
		x, xerr := encodeValue(a, canonical, 0)
		y, yerr := encodeValue(c, canonical, 0)
		if xerr == nil && yerr == nil && !bytes.Equal(x, y) {
			t.Fatalf("%s became %s", x, y)
		}
	})
}

func TestDataThatLooksLikeATagIsStillADict(t *testing.T) {
	t.Parallel()
	for data, want := range map[string]string{
		`{"$tuple":[7]}`: `{"$tuple": [7]}`,
		`[1]`:            `{"value": [1]}`,
		`{"a":1}`:        `{"a": 1}`,
	} {
		d, err := (&Error{f: &Failure{Kind: "K", Data: []byte(data)}}).data()
		if err != nil || d.String() != want {
			t.Errorf("%s: %v, %v, want %s", data, d, err, want)
		}
	}
}

func TestKeysThatAreOneInJSONAreToldApart(t *testing.T) {
	t.Parallel()
	const both = `{"$dict":[[1,"a"],["1","b"]]}`
	var p *payloadError
	if b, err := ToPlain([]byte(both)); !errors.As(err, &p) || p.Kind() != "PayloadError" || err.Error() != `the keys 1 and "1" are one in JSON` {
		t.Errorf("%s, %v", b, err)
	}
	if b, err := PlainShown([]byte(`{"status":"s","state":{"$tuple":[1],"t":{"$tuple":[2]}},"counters":{"n":1}}`)); err != nil ||
		string(b) != `{"status":"s","state":{"$tuple":[1],"t":[2]},"counters":{"n":1}}` {
		t.Errorf("%s, %v", b, err)
	}
}
