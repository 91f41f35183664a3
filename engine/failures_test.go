// Failures on their way from activities to scripts.

package engine

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/senpuki/senpuki/activities"
)

func TestTheDataOfAFailureIsAnObjectAndNoTag(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.register("bad", func(data string) error {
			return &activities.Failure{
				Kind: "Bad", Data: json.RawMessage(data), NoRetry: true,
				Cause: &activities.Failure{Kind: "Worse", Data: json.RawMessage(data)},
			}
		})
		e, stop := w.engine(Options{})
		w.deploy(e, `
bad = activity("bad")
def main(data):
    e = bad.attempt(data).error
    return [e.data, e.cause.data, attempt(e.reraise, more = 1).error.data] == [json.decode(data)] * 2 + [json.decode(data) | {"more": 1}]
def other(data):
    e = bad.attempt(data).error
    return [e.data, attempt(e.reraise, more = 1).error.data["more"]]
`)
		for _, data := range []string{`{"$tuple": [7]}`, `{"a": {"$set": [1]}}`, ` {"a": [1]}`, `{}`} {
			input, _ := json.Marshal([]string{data})
			id := w.dispatch(e, JSON(input), DispatchOptions{})
			if r := w.finish(e, id); string(r.Value) != "true" {
				t.Errorf("%s: %s, %v", data, r.Value, r.Failure)
			}
		}
		for data, want := range map[string]string{
			`[{"$tuple": [7]}]`: `[{"value":[{"$tuple":[7]}]},1]`,
			`null`:              `[{},1]`,
			`7`:                 `[{"value":7},1]`,
			`{`:                 `[{"unstorable":"not JSON: \"{\""},1]`,
		} {
			input, _ := json.Marshal([]string{data})
			id := w.dispatch(e, JSON(input), DispatchOptions{Function: "other"})
			if r := w.finish(e, id); string(r.Value) != want {
				t.Errorf("%s: %s, %v", data, r.Value, r.Failure)
			}
		}
		stop()
		w.check()
	})
}

func TestArgumentsThatJSONCannotSayAreAPayloadError(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		e, stop := w.engine(Options{ReplayAlways: true})
		w.deploy(e, `
def main():
    e = activity("echo").attempt({1: "a", "1": "b"}).error
    sleep(1)
    return [e.kind, e.message]
`)
		id := w.dispatch(e, Input{}, DispatchOptions{})
		want(t, w.finish(e, id), `["PayloadError","at [0]: the keys 1 and \"1\" are one in JSON"]`)
		stop()
		w.check()
	})
}

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

// Who looks from outside sees the data of a failure in plain JSON, as values.
func TestTheDataOfAFailureIsShownPlain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		e, stop := w.engine(Options{})
		w.deploy(e, `
def main():
    error("Bad", "no", pair = (1, 2), more = {3: 4})
`)
		id := w.dispatch(e, Input{}, DispatchOptions{})
		if r := w.finish(e, id); r.Failure == nil || string(r.Failure.Data) != `{"more":{"3":4},"pair":[1,2]}` && string(r.Failure.Data) != `{"pair":[1,2],"more":{"3":4}}` {
			t.Errorf("%s", r.Failure.Data)
		}
		stop()
		w.check()
	})
}

// The parts of a failure are bounded as values are, and a failure is never lost for their sake.
func TestFailuresAreBounded(t *testing.T) {
	t.Parallel()
	for _, o := range []Options{{}, {ReplayAlways: true}} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			long := strings.Repeat("x", 3<<20)
			w.register("long", func() error {
				return activities.Fail(long, long, activities.Data(map[string]any{"a": long}), activities.Cause(errors.New(long)))
			})
			w.register("infinite", func() (json.RawMessage, error) { return json.RawMessage("[1e999]"), nil })
			r := w.run(o, `
once = retry_policy(max_attempts = 1)
def main():
    f = activity("long", retry = once).attempt().error
    g = activity("infinite", retry = once).attempt().error
    sleep(1)
    return [len(f.kind) <= 200, len(f.message) < 70000, len(f.cause.message) < 70000, f.data, g.kind, g.message]
`, Input{}, DispatchOptions{})
			want(t, r, `[true,true,true,{"unstorable":"3145736 bytes, the limit for one value is 1048576"},"PayloadError",`+
				`"infinite returned what cannot be stored: at [0]: +Inf is not a number that can be stored"]`)
			w.check()
		})
	}
}
