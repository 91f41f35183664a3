// Tests of signatures, arguments and attempts.

package activities

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/big"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"
)

type receipt struct {
	ID   string   `json:"id"`
	Note string   `json:"note,omitempty"`
	Tags []string `json:"tags,omitempty"`
}

type audit struct {
	By string `json:"by,omitempty"`
}

type order struct {
	audit
	Embedded
	SKU    string
	Cents  int64          `json:"cents"`
	Lines  []line         `json:"lines,omitempty"`
	Extra  any            `json:"extra,omitempty"`
	Wait   time.Duration  `json:"wait,omitempty"`
	Big    *big.Int       `json:"big"`
	Scores map[int]string `json:"scores,omitempty"`
	Quoted int            `json:"quoted,string,omitempty"`
	Secret string         `json:"-"`
	hidden int
}

// Embedded is exported so that its fields can be set through it.
type Embedded struct {
	Region string `json:"region,omitempty"`
}

type line struct {
	Count uint8 `json:"count"`
}

type tree struct {
	Name string  `json:"name"`
	Kids []*tree `json:"kids,omitempty"`
}

func mustActivity(t testing.TB, name string, fn any, params ...string) *Activity {
	t.Helper()
	a, err := newActivity(name, fn, Options{Params: params})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestSignatures(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		fn     any
		params []string
		want   string
	}{
		{func() error { return nil }, nil, "x()"},
		{func(context.Context, string, int64) (receipt, error) { return receipt{}, nil }, []string{"order", "cents"}, "x(order string, cents int64) -> receipt"},
		{func(string, ...int) error { return nil }, nil, "x(string, ...int)"},
		{func(string, receipt) error { return nil }, []string{"a"}, "x(a string, *, id string, note string?, tags []string?)"},
		{func(any, json.RawMessage, map[string]any, []byte, time.Time, *int) (any, error) { return nil, nil }, nil, "x(any, json, map[string]any, bytes, time, int?) -> any"},
	} {
		if got := mustActivity(t, "x", c.fn, c.params...).Signature(); got != c.want {
			t.Errorf("%T: %s, want %s", c.fn, got, c.want)
		}
	}
}

func TestRefusedSignatures(t *testing.T) {
	t.Parallel()
	type locked struct{ n int }
	_ = locked{}.n
	var none func() error
	for _, c := range []struct {
		fn   any
		want string
	}{
		{nil, "not a <nil>"},
		{5, "not a int"},
		{none, "the function is nil"},
		{func() {}, "returns error or (R, error), not nothing"},
		{func() int { return 0 }, "not (int)"},
		{func() (int, int, error) { return 0, 0, nil }, "not (int, int, error)"},
		{func(chan int) error { return nil }, "parameter 1: JSON has no chan int"},
		{func(func()) error { return nil }, "JSON has no func()"},
		{func(complex128) error { return nil }, "JSON has no complex128"},
		{func(fmt.Stringer) error { return nil }, "use any or a concrete type"},
		{func(map[bool]int) error { return nil }, "keys of type bool"},
		{func(locked) error { return nil }, "no exported fields"},
		{func(struct{ C chan int }) error { return nil }, "field C: JSON has no chan int"},
		{func(int, context.Context) error { return nil }, "can only be the first"},
		{func() (chan int, error) { return nil, nil }, "result: JSON has no chan int"},
		{func() (struct{ D time.Duration }, error) { return struct{ D time.Duration }{}, nil }, "field D: a time.Duration would arrive as nanoseconds"},
	} {
		err := NewRegistry().Register("x", c.fn)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%T: %v, want %q", c.fn, err, c.want)
		}
	}
}

// echo calls fn with arguments and returns what it returned.
func echo(t *testing.T, fn any, args, kwargs string, params ...string) string {
	t.Helper()
	a := mustActivity(t, "x", fn, params...)
	var kw []byte
	if kwargs != "" {
		kw = []byte(kwargs)
	}
	if err := a.CheckArgs([]byte(args), kw); err != nil {
		t.Errorf("%T%s%s: %v", fn, args, kwargs, err)
		return ""
	}
	out, f := a.Invoke(context.Background(), []byte(args), kw)
	if f != nil {
		t.Errorf("%T%s%s: %v", fn, args, kwargs, f)
		return ""
	}
	if !json.Valid(out) {
		t.Errorf("%T%s%s: invalid JSON %q", fn, args, kwargs, out)
	}
	return string(out)
}

func same[T any](v T) (T, error) { return v, nil }

func TestValuesThatFit(t *testing.T) {
	t.Parallel()
	describeAny := func(v any) (string, error) { return fmt.Sprintf("%T %v", v, v), nil }
	for _, c := range []struct {
		fn         any
		args, want string
	}{
		{same[int], "[-5]", "-5"},
		{same[int64], "[9223372036854775807]", "9223372036854775807"},
		{same[uint8], " [ 255 ] ", "255"},
		{same[float64], "[1]", "1"},
		{same[float64], "[1.5e3]", "1500"},
		{same[bool], "[true]", "true"},
		{same[string], `["a\u00e9\"<\u0000"]`, `"aé\"<\u0000"`},
		{same[[]byte], `["aGk="]`, `"aGk="`},
		{same[[]int], "[[1,2]]", "[1,2]"},
		{same[[]int], "[[]]", "[]"},
		{same[[]int], "[null]", "null"},
		{same[[2]int], "[[1,2]]", "[1,2]"},
		{same[map[string]int], `[{"b":1,"a":2}]`, `{"a":2,"b":1}`},
		{same[map[int]bool], `[{"7":true}]`, `{"7":true}`},
		{same[*int], "[null]", "null"},
		{same[*int], "[3]", "3"},
		{same[*int], "[]", "null"},
		{same[json.RawMessage], `[{"a":[1.0]}]`, `{"a":[1.0]}`},
		{same[json.Number], `[123456789012345678901234567890]`, `123456789012345678901234567890`},
		{same[*big.Int], `[123456789012345678901234567890]`, `123456789012345678901234567890`},
		{same[time.Time], `["2026-01-02T03:04:05.5Z"]`, `"2026-01-02T03:04:05.5Z"`},
		{same[netip.Addr], `["10.0.0.1"]`, `"10.0.0.1"`},
		{same[tree], `[{"name":"a","kids":[{"name":"b","kids":[{"name":"c"}]}]}]`, `{"name":"a","kids":[{"name":"b","kids":[{"name":"c"}]}]}`},
		{func(d time.Duration) (string, error) { return d.String(), nil }, `["1h 30m"]`, `"1h30m0s"`},
		{func(d time.Duration) (string, error) { return d.String(), nil }, `[0.25]`, `"250ms"`},
		{describeAny, "[9007199254740993]", `"int64 9007199254740993"`},
		{describeAny, "[12345678901234567890]", `"json.Number 12345678901234567890"`},
		{describeAny, "[1.5]", `"float64 1.5"`},
		{describeAny, "[null]", `"<nil> <nil>"`},
		{describeAny, `[{"a":[9007199254740993,1.0]}]`, `"map[string]interface {} map[a:[9007199254740993 1]]"`},
		{func(v ...int) (int, error) { return len(v), nil }, "[1,2,3]", "3"},
		{func(v ...int) (int, error) { return len(v), nil }, "[]", "0"},
		{func() error { return nil }, "[]", "null"},
		{func() (json.RawMessage, error) { return nil, nil }, "[]", "null"},
		{func() (string, error) { return "<a&b>", nil }, "[]", `"<a&b>"`},
	} {
		if got := echo(t, c.fn, c.args, ""); got != c.want {
			t.Errorf("%T%s: %s, want %s", c.fn, c.args, got, c.want)
		}
	}
}

// plan is a recursive type with members that encoding/json reads in its own way.
type plan struct {
	Wait time.Duration    `json:"wait,omitempty"`
	Any  any              `json:"any,omitempty"`
	Then *plan            `json:"then,omitempty"`
	All  []plan           `json:"all,omitempty"`
	Each map[string]*plan `json:"each,omitempty"`
}

func TestRecursiveTypeAtEveryLevel(t *testing.T) {
	t.Parallel()
	const inner = `{"wait":5,"any":9007199254740993,"then":{"wait":"1m"}}`
	for _, raw := range []string{`{"then":` + inner + `}`, `{"all":[` + inner + `]}`, `{"each":{"a":` + inner + `}}`, `{"all":[{"each":{"a":{"then":` + inner + `}}}]}`} {
		a := mustActivity(t, "x", func(p *plan) (string, error) {
			for p.Wait == 0 {
				switch {
				case p.Then != nil:
					p = p.Then
				case len(p.All) > 0:
					p = &p.All[0]
				default:
					p = p.Each["a"]
				}
			}
			return fmt.Sprint(p.Wait, p.Any, p.Then.Wait), nil
		})
		for _, kwargs := range []string{"", raw} { // as the whole, and as its fields
			args := "[" + raw + "]"
			if kwargs != "" {
				args = "[]"
			}
			out, f := a.Invoke(context.Background(), []byte(args), []byte(kwargs))
			if f != nil || string(out) != `"5s 9007199254740993 1m0s"` {
				t.Errorf("%s %s: %s %v", args, kwargs, out, f)
			}
		}
	}
	a := mustActivity(t, "x", func(plan) error { return nil })
	err := a.CheckArgs([]byte(`[{"all":[{"then":{"all":[{},{"wait":"soon"}]}}]}]`), nil)
	if want := `BadArguments: x: argument 1: all[0].then.all[1].wait wants a duration (seconds, or text such as "1h 30m"), got "soon"`; err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}

func TestStructs(t *testing.T) {
	t.Parallel()
	got := echo(t, func(o order) (string, error) {
		return fmt.Sprintf("%s|%s|%s|%d|%v|%T|%s|%v|%s|%d|%s|%d", o.By, o.Region, o.SKU, o.Cents, o.Lines, o.Extra, o.Wait, o.Big, o.Scores[1], o.Quoted, o.Secret, o.hidden), nil
	}, `[{"sku":"A","cents":5,"by":"me","region":"eu","lines":[{"count":2},{"count":3,"x":{}}],"extra":7,"wait":"2s","big":11,
		"scores":{"1":"one"},"quoted":"12","Secret":"s","hidden":3,"unknown":[]}]`, "")
	if want := `"me|eu|A|5|[{2} {3}]|int64|2s|11|one|12||0"`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestKeywords(t *testing.T) {
	t.Parallel()
	both := func(_ context.Context, order string, cents int64) (string, error) {
		return fmt.Sprint(order, cents), nil
	}
	if got := echo(t, both, `["a"]`, `{"cents":5}`, "order", "cents"); got != `"a5"` {
		t.Error(got)
	}
	if got := echo(t, both, `[]`, `{"cents":5,"order":"b"}`, "order", "cents"); got != `"b5"` {
		t.Error(got)
	}
	fields := func(id string, r receipt) (string, error) { return id + r.ID + r.Note, nil }
	if got := echo(t, fields, `["a"]`, `{"id":"b","note":"c"}`); got != `"abc"` {
		t.Error(got)
	}
	if got := echo(t, fields, `["a"]`, `{"r":{"id":"b"}}`, "a", "r"); got != `"ab"` {
		t.Error(got)
	}
	pointer := func(r *receipt) (bool, error) { return r == nil, nil }
	if got := echo(t, pointer, `[]`, ``); got != `true` {
		t.Error(got)
	}
	if got := echo(t, pointer, `[]`, `{"id":"b"}`); got != `false` {
		t.Error(got)
	}
	optional := func(a string, b, c *string) (string, error) { return fmt.Sprint(a, b == nil, *c), nil }
	if got := echo(t, optional, `["a"]`, `{"c":"x"}`, "a", "b", "c"); got != `"atruex"` {
		t.Error(got)
	}
}

func TestArgumentsThatDoNotFit(t *testing.T) {
	t.Parallel()
	charge := func(context.Context, string, int64) error { return nil }
	named := []string{"order", "cents"}
	for _, c := range []struct {
		fn           any
		params       []string
		args, kwargs string
		want         string
	}{
		{charge, named, `["a","abc"]`, "", `x: argument 2 (cents) wants int64, got "abc"`},
		{charge, nil, `["a","abc"]`, "", `x: argument 2 wants int64, got "abc"`},
		{charge, named, `["a",1.0]`, "", `got 1.0`},
		{charge, named, `["a",null]`, "", `wants int64, got None`},
		{charge, named, `["a",true]`, "", `got True`},
		{charge, named, `["a",9223372036854775808]`, "", `(out of range)`},
		{charge, named, `["a"]`, "", `x: argument 2 (cents) is missing; its signature is x(order string, cents int64)`},
		{charge, named, `["a",1,2]`, "", `x: takes 2 arguments, got 3`},
		{charge, named, `["a"]`, `{"cents":"x"}`, `x: argument cents wants int64, got "x"`},
		{charge, named, `["a"]`, `{"cnets":1}`, `x: has no parameter cnets; did you mean cents?`},
		{charge, named, `["a",1]`, `{"cents":1}`, `x: argument 2 (cents) is given by position and by name`},
		{charge, named, `["a"]`, `{"cents":1,"cents":2}`, `cents is given twice`},
		{same[uint8], nil, `[300]`, "", `wants uint8, got 300 (out of range)`},
		{same[uint8], nil, `[-1]`, "", `got -1`},
		{same[float32], nil, `[1e300]`, "", `out of range`},
		{same[float64], nil, `["1"]`, "", `wants float64, got "1"`},
		{same[string], nil, `[5]`, "", `wants string, got 5`},
		{same[bool], nil, `[0]`, "", `wants bool, got 0`},
		{same[[]byte], nil, `["?"]`, "", `wants bytes in base64`},
		{same[time.Time], nil, `["yesterday"]`, "", `wants a time such as`},
		{same[[]int], nil, `[[1,"x"]]`, "", `x: argument 1: [1] wants int, got "x"`},
		{same[[]int], nil, `[{}]`, "", `wants []int, got {}`},
		{same[[2]int], nil, `[[1]]`, "", `wants [2]int, got [1] (1 elements)`},
		{same[map[string][]int], nil, `[{"a b":[1,2,"x"]}]`, "", `x: argument 1: ["a b"][2] wants int`},
		{same[map[int]int], nil, `[{"x":1}]`, "", `wants int as key, got "x"`},
		{same[receipt], nil, `[{"id":1}]`, "", `x: argument 1: id wants string, got 1`},
		{same[receipt], nil, `[{"id":"a","tags":["x",2]}]`, "", `x: argument 1: tags[1] wants string, got 2`},
		{same[receipt], nil, `[]`, `{"id":"a","tags":[2]}`, `x: argument tags: [0] wants string, got 2`},
		{same[receipt], nil, `[]`, `{"note":"a"}`, `x: argument id is missing`},
		{same[receipt], nil, `[]`, ``, `x: argument id is missing`},
		{same[receipt], nil, `[{"id":"a"}]`, `{"note":"a"}`, `x: argument note is a field of argument 1, which is given by position`},
		{same[receipt], []string{"r"}, `[]`, `{"note":"a","r":{"id":"b"}}`, `x: argument note is a field of argument r, which is given too`},
		{same[*big.Int], nil, `["x"]`, "", `wants Int`},
		{func(time.Duration) error { return nil }, nil, `["soon"]`, "", `wants a duration`},
		{func(...int) error { return nil }, nil, `[1,"x"]`, "", `argument 2 wants int, got "x"`},
		{charge, named, `{}`, "", `no JSON array`},
		{charge, named, `["a",1`, "", `no JSON array`},
		{charge, named, `["a"]`, `[]`, `no JSON object`},
		{same[any], nil, `[{"a":}]`, "", `wants JSON`},
		{same[json.RawMessage], nil, `[nul]`, "", `wants JSON`},
		{same[string], nil, `["` + strings.Repeat("é", 100) + `",1]`, "", `takes 1 argument, got 2`},
		{same[int], nil, `["` + strings.Repeat("é", 100) + `"]`, "", `éé...`},
	} {
		a := mustActivity(t, "x", c.fn, c.params...)
		var kw []byte
		if c.kwargs != "" {
			kw = []byte(c.kwargs)
		}
		err := a.CheckArgs([]byte(c.args), kw)
		var f *Failure
		if !errors.As(err, &f) || f.Kind != KindBadArguments || !f.NoRetry || f.Activity != "x" || !strings.Contains(f.Message, c.want) {
			t.Errorf("%T%s%s: %v, want %s", c.fn, c.args, c.kwargs, err, c.want)
		}
		if _, f := a.Invoke(context.Background(), []byte(c.args), kw); f == nil || f.Kind != KindBadArguments {
			t.Errorf("%T%s%s was invoked: %v", c.fn, c.args, c.kwargs, f)
		}
	}
}

func TestCheckCall(t *testing.T) {
	t.Parallel()
	a := mustActivity(t, "charge", func(context.Context, string, int64) error { return nil }, "order", "cents")
	for _, c := range []struct {
		args     int
		keywords []string
		open     bool
		want     string // "" fits
	}{
		{2, nil, false, ""},
		{1, []string{"cents"}, false, ""},
		{0, nil, true, ""},
		{0, []string{"cents"}, true, ""},
		{1, nil, false, "charge: argument 2 (cents) is missing"},
		{3, nil, true, "takes 2 arguments, got 3"},
		{0, []string{"ordr"}, true, "did you mean order?"},
		{1, []string{"order"}, true, "by position and by name"},
	} {
		err := a.CheckCall(c.args, c.keywords, c.open)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

type kinded struct{ kind string }

func (k kinded) Error() string { return "went wrong" }
func (k kinded) Kind() string  { return k.kind }

func TestInvokeFailures(t *testing.T) {
	t.Parallel()
	var none *Failure
	for _, c := range []struct {
		name string
		err  error
		want Failure
	}{
		{"plain", errors.New("boom"), Failure{Kind: "ActivityError", Message: "boom"}},
		{"declared", Fail("Declined", "no money", NotRetryable(), Data(map[string]any{"left": 5})), Failure{Kind: "Declined", Message: "no money", NoRetry: true, Data: json.RawMessage(`{"left":5}`)}},
		{"wrapped", fmt.Errorf("charging: %w", Fail("Declined", "no money")), Failure{Kind: "Declined", Message: "charging: no money"}},
		{"kind of its own", fmt.Errorf("x: %w", kinded{"Odd"}), Failure{Kind: "Odd", Message: "x: went wrong"}},
		{"no kind", &Failure{Message: "boom", NoRetry: true}, Failure{Kind: "ActivityError", Message: "boom", NoRetry: true}},
		{"wrapped, no kind", fmt.Errorf("x: %w", &Failure{Message: "boom"}), Failure{Kind: "ActivityError", Message: "x: boom"}},
		{"of another execution", fmt.Errorf("x: %w", &Failure{Kind: "A", Activity: "y", Attempts: 9}), Failure{Kind: "A", Message: "x: "}},
		{"empty kind", kinded{""}, Failure{Kind: "ActivityError", Message: "went wrong"}},
		{"nil failure", none, Failure{Kind: "ActivityError", Message: "<nil>"}},
		{"cause", Fail("A", "", Cause(errors.New("b"))), Failure{Kind: "A", Cause: &Failure{Kind: "ActivityError", Message: "b"}}},
		{"unstorable data", Fail("A", "", Data(map[string]any{"x": math.NaN()})), Failure{Kind: "A", Data: json.RawMessage(`{"unstorable":"json: unsupported value: NaN"}`)}},
		{"deadline", context.DeadlineExceeded, Failure{Kind: "ActivityError", Message: "context deadline exceeded"}},
	} {
		a := mustActivity(t, "x", func() (int, error) { return 7, c.err })
		out, f := a.Invoke(context.Background(), []byte("[]"), nil)
		c.want.Activity = "x"
		if out != nil || f == nil || !reflect.DeepEqual(*f, c.want) {
			t.Errorf("%s: %s %+v, want %+v", c.name, out, f, c.want)
		}
	}
}

func TestFailureIsNotShared(t *testing.T) {
	t.Parallel()
	shared := Fail("Shared", "one value for all")
	a := mustActivity(t, "x", func() error { return shared })
	if _, f := a.Invoke(context.Background(), []byte("[]"), nil); f.Activity != "x" {
		t.Error(f)
	}
	if f := FailureOf(shared); f.Activity != "" {
		t.Error("Invoke wrote to the activity's own error")
	}
}

func TestPanic(t *testing.T) {
	t.Parallel()
	a := mustActivity(t, "x", func() (int, error) { panic("ouch") })
	_, f := a.Invoke(context.Background(), []byte("[]"), nil)
	if f == nil || f.Kind != KindPanic || f.Message != "ouch" || f.NoRetry || !strings.Contains(f.Traceback, "TestPanic") {
		t.Errorf("%+v", f)
	}
}

func TestResultThatIsNotJSON(t *testing.T) {
	t.Parallel()
	a := mustActivity(t, "x", func() (any, error) { return make(chan int), nil })
	if _, f := a.Invoke(context.Background(), []byte("[]"), nil); f == nil || f.Kind != KindPayloadError || !f.NoRetry {
		t.Errorf("%+v", f)
	}
	b := mustActivity(t, "x", func() (float64, error) { return math.Inf(1), nil })
	if _, f := b.Invoke(context.Background(), []byte("[]"), nil); f == nil || f.Kind != KindPayloadError {
		t.Errorf("%+v", f)
	}
}

// seat encodes itself by its address, as a big.Int does.
type seat struct{ row, col int }

func (s *seat) MarshalJSON() ([]byte, error) {
	return fmt.Appendf(nil, `"%d%c"`, s.row, 'A'+s.col), nil
}

func TestResultsThatEncodeThemselvesByTheirAddress(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		fn   any
		want string
	}{
		{func() (seat, error) { return seat{12, 2}, nil }, `"12C"`},
		{func() (*seat, error) { return &seat{12, 2}, nil }, `"12C"`},
		{func() ([2]seat, error) { return [2]seat{{1, 0}, {2, 1}}, nil }, `["1A","2B"]`},
		{func() (struct{ From, To seat }, error) { return struct{ From, To seat }{seat{1, 0}, seat{2, 1}}, nil }, `{"From":"1A","To":"2B"}`},
		{func() (big.Int, error) { return *big.NewInt(12), nil }, `12`},
	} {
		out, f := mustActivity(t, "x", c.fn).Invoke(context.Background(), []byte("[]"), nil)
		if f != nil || string(out) != c.want {
			t.Errorf("%T: %s %v, want %s", c.fn, out, f, c.want)
		}
	}
}

func TestContext(t *testing.T) {
	t.Parallel()
	info := AttemptInfo{Execution: "e", Run: 1, Step: "3", Activity: "x", Attempt: 2, IdempotencyKey: "e/1/3"}
	var beats []string
	ctx := WithHeartbeat(WithInfo(context.Background(), info), func(p []byte) { beats = append(beats, string(p)) })
	a := mustActivity(t, "x", func(ctx context.Context) (string, error) {
		Heartbeat(ctx, map[string]int{"done": 1})
		Heartbeat(ctx, make(chan int))
		return Info(ctx).IdempotencyKey, nil
	})
	out, f := a.Invoke(ctx, []byte("[]"), nil)
	if f != nil || string(out) != `"e/1/3"` || !reflect.DeepEqual(beats, []string{`{"done":1}`, "null"}) {
		t.Error(string(out), f, beats)
	}
	if Info(context.Background()) != (AttemptInfo{}) {
		t.Error("Info outside of an attempt is not zero")
	}
	Heartbeat(context.Background(), 1) // does nothing
}

func TestFailureJSON(t *testing.T) {
	t.Parallel()
	f := Failure{Kind: "A", Message: "b", Data: json.RawMessage(`{"c":1}`), Attempts: 2, Activity: "d", Cause: &Failure{Kind: "E"}, Traceback: "t", NoRetry: true}
	raw, err := json.Marshal(f)
	want := `{"kind":"A","message":"b","data":{"c":1},"attempts":2,"activity":"d","cause":{"kind":"E","message":""},"traceback":"t","no_retry":true}`
	if err != nil || string(raw) != want {
		t.Errorf("%s %v", raw, err)
	}
	if !errors.Is(&f, f.Cause) {
		t.Error("the cause is not unwrapped")
	}
}

// date is a type of the user's that decodes itself, and trips over short texts.
type date string

func (d *date) UnmarshalText(b []byte) error {
	*d = date(b[:10])
	return nil
}

func TestPanicInAnArgument(t *testing.T) {
	t.Parallel()
	a := mustActivity(t, "x", func(d date) (string, error) { return string(d), nil })
	if v, f := a.Invoke(context.Background(), []byte(`["2026-01-02"]`), nil); f != nil || string(v) != `"2026-01-02"` {
		t.Errorf("%s %v", v, f)
	}
	var checked *Failure
	if !errors.As(a.CheckArgs([]byte(`["2026"]`), nil), &checked) {
		t.Fatal("no failure")
	}
	_, invoked := a.Invoke(context.Background(), []byte(`["2026"]`), nil)
	for _, f := range []*Failure{checked, invoked} {
		if f.Kind != KindPanic || !f.NoRetry || f.Activity != "x" || !strings.Contains(f.Message, "slice bounds") || !strings.Contains(f.Traceback, "UnmarshalText") {
			t.Errorf("%+v", f)
		}
	}
}
