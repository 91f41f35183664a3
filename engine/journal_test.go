package engine

import (
	"encoding/json"
	"reflect"
	"testing"
)

func TestEntriesRoundTrip(t *testing.T) {
	t.Parallel()
	entries := []entry{
		{kind: []byte(entryStart), at: 1700000000000001, version: 1, edition: 1},
		{kind: []byte(entryAsk), step: []byte("2.1.4"), command: []byte("activity"), name: []byte(`we"ird\n` + "\x01é"),
			args: []byte(`[1,"]},",{"a":[{}]}]`), kwargs: []byte(`{"k":null}`), pos: []byte("a.star:1:2"), attempt: 1},
		{kind: []byte(entryDone), step: []byte("1"), at: 5, value: []byte("12345678901234567890.5e3")},
		{kind: []byte(entryFail), step: []byte("1"), attempt: 3, failure: []byte(`{"kind":"X","message":"\"}"}`), retry: 77},
	}
	var row []byte
	for i := range entries {
		row = entries[i].append(row)
	}
	row = append(row, ']')
	if !json.Valid(row) {
		t.Fatalf("not JSON: %s", row)
	}
	r := rowReader{data: row}
	for i := range entries {
		var got entry
		ok, err := r.next(&got)
		if err != nil || !ok {
			t.Fatalf("entry %d: %v %v", i, ok, err)
		}
		if !reflect.DeepEqual(got, entries[i]) {
			t.Errorf("entry %d: got %+v, want %+v", i, got, entries[i])
		}
	}
	var e entry
	if ok, err := r.next(&e); ok || err != nil {
		t.Errorf("at the end: %v %v", ok, err)
	}
}

func FuzzRow(f *testing.F) {
	f.Add([]byte(`[{"k":"done","step":"1","value":{"a":"\u0041"}},` + "\n" + `{"k":"end","at":-5,"later":[1]}]`))
	f.Add([]byte(`[{"k":"ask"`))
	f.Add([]byte(`]`))
	f.Fuzz(func(t *testing.T, data []byte) {
		r := rowReader{data: data}
		var row []byte
		for {
			var e entry
			ok, err := r.next(&e)
			if err != nil {
				return
			}
			if !ok {
				break
			}
			row = e.append(row)
		}
		if !json.Valid(data) || len(row) == 0 {
			return // read more than JSON allows: harmless, it is never written
		}
		row = append(row, ']')
		if !json.Valid(row) {
			t.Fatalf("%q was read and written as %q, which is not JSON", data, row)
		}
	})
}

func BenchmarkReadRow(b *testing.B) {
	ask := entry{kind: []byte(entryAsk), step: []byte("1"), command: []byte("activity"), name: []byte("add"), args: []byte("[1,2]"), pos: []byte("x.star:3:10"), attempt: 1}
	done := entry{kind: []byte(entryDone), at: 1700000000000000, step: []byte("1"), value: []byte("3")}
	row := append(ask.append(done.append(nil)), ']')
	b.ReportAllocs()
	for b.Loop() {
		r := rowReader{data: row}
		var e entry
		for {
			ok, err := r.next(&e)
			if err != nil {
				b.Fatal(err)
			}
			if !ok {
				break
			}
		}
	}
}
