package engine

import (
	"encoding/json"
	"reflect"
	"testing"

	"github.com/senpuki/senpuki/activities"
)

// A failure is the same on both sides, whatever is in it.
func TestFailuresCrossWhole(t *testing.T) {
	t.Parallel()
	f := activities.Failure{
		Kind: "Declined", Message: "no", Data: json.RawMessage(`{"left":7}`), Attempts: 3, Activity: "charge", Traceback: "here", NoRetry: true,
	}
	for v, i := reflect.ValueOf(f), 0; i < v.NumField(); i++ {
		if name := v.Type().Field(i).Name; name != "Cause" && v.Field(i).IsZero() {
			t.Errorf("the test says nothing of field %s", name)
		}
	}
	cause := f
	f.Cause = &cause
	if got := ActivityFailure(ScriptFailure(&f)); !reflect.DeepEqual(got, &f) {
		t.Errorf("%+v", got)
	}
	if got := decodeFailure(encodeFailure(&f)); !reflect.DeepEqual(got, &f) {
		t.Errorf("stored: %+v", got)
	}
	f.Data = json.RawMessage("{")
	if got := decodeFailure(encodeFailure(&f)); got.Kind != f.Kind || got.Data != nil {
		t.Errorf("with data that is no JSON: %+v", got)
	}
}
