package activities

import (
	"encoding/json"
	"reflect"
	"testing"
)

type (
	entered struct {
		ID   string `json:"audit_id"`
		Note string
	}
	Shipping struct {
		ID    string `json:"shipping_id"`
		Note  string
		Track []int `json:"track"`
	}
	Lost struct {
		*Lost
		Track []int `json:"track"`
	}
)

// What is a member of a struct, and under which name, is as in encoding/json, also where fields of embedded structs have one name in Go.
func TestMembersOfEmbeddedStructs(t *testing.T) {
	t.Parallel()
	check := func(sample any, doc string) {
		t.Helper()
		typ := reflect.TypeOf(sample)
		decode, err := compile(typ)
		if err != nil {
			t.Fatal(err)
		}
		got, want := reflect.New(typ), reflect.New(typ)
		if err := decode([]byte(doc), got.Elem()); err != nil {
			t.Errorf("%s: %v", typ, err)
		}
		if err := json.Unmarshal([]byte(doc), want.Interface()); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got.Interface(), want.Interface()) {
			t.Errorf("%s: %s became %+v, want %+v", typ, doc, got.Elem(), want.Elem())
		}
	}
	const doc = `{"audit_id":"a","shipping_id":"s","id":"i","Note":"n","track":[1],"inner":{"Note":"m"}}`
	check(struct {
		entered
		Shipping
	}{}, doc)
	check(struct {
		ID string `json:"id"`
		entered
		Shipping `json:"inner"`
	}{}, doc)
	check(struct {
		entered
		Other string `json:"Note"`
	}{}, doc)
	check(struct {
		*Lost
		Shipping
	}{}, doc)
	check(struct {
		Lost
		entered
	}{}, doc)
}

// Their names are those of keyword arguments, too.
func TestKeywordsOfEmbeddedStructs(t *testing.T) {
	t.Parallel()
	type input struct {
		ID string `json:"id"`
		entered
	}
	a := mustActivity(t, "x", func(in input) (string, error) { return in.ID + in.entered.ID + in.Note, nil })
	if got, f := a.Invoke(t.Context(), []byte(`[]`), []byte(`{"id":"1","audit_id":"2","Note":"3"}`)); f != nil || string(got) != `"123"` {
		t.Errorf("%s %v; %s", got, f, a.Signature())
	}
}
