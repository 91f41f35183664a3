// The table of what the built-ins take, held against the built-ins.

package starlark_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/senpuki/senpuki/starlark"
	"github.com/senpuki/senpuki/starlark/hosttest"
)

func TestEveryBuiltinIsInTheTable(t *testing.T) {
	t.Parallel()
	there := starlark.Callables()
	table, without := starlark.Signatures(), starlark.WithoutSignature()
	for _, name := range there {
		_, in := table[name]
		_, out := without[name]
		if in == out {
			t.Errorf("%s: in the table %v, among the exceptions %v", name, in, out)
		}
	}
	for _, name := range slices.Concat(slices.Collect(maps.Keys(table)), slices.Collect(maps.Keys(without))) {
		if !slices.Contains(there, name) {
			t.Errorf("%s is no built-in", name)
		}
	}
}

// receivers are values with methods, by type.
var receivers = map[string]string{
	"activity": "null", "workflow": "workflow(child)", "Future": "workflow(child).start()", "Result": "Ok(1)", "signal": `signal("s")`,
	"execution": `execution("unknown")`, "semaphore": "semaphore(1)", "counter": `counter("c")`, "parallel": "parallel",
}

// prober calls a built-in with one of several values at every place and under every name, and prints what came of it.
const prober = `
def child(*args, **kwargs):
    return 1

def main(name, places, names, i):
    sample = ["a", "1s", 1, [1], [(1, 2)], {"a": 1}, lambda *args, **kwargs: 1, time.now()][i]
    fn = builtins()[name]()
    r = attempt(lambda: [fn(*([sample] * places), **{n: sample for n in names})])
    v = r.value[0] if r.ok else None
    if type(v) == "Result": # what a captured call says counts as said
        r = v
    print("probe: " + json.encode({"ok": r.ok, "type": type(v), "message": r.error.message if r.error else ""}))
`

const samples = 8

// probe is what came of a call.
type probe struct {
	OK            bool
	Type, Message string
	Waits         bool // it did not come back
}

// complaint is how a built-in says that it got too many arguments, too few, or one that it does not know.
var complaint = regexp.MustCompile(`missing argument|unexpected keyword argument|got \d+ arguments?, want|wants the items, got \d|takes? (?:a|the|no|one|keyword) |` +
	`no keyword arg|not accept keyword|there is no option|options are keyword|wants (?:a function as its first argument$|a duration and|a function after the duration$|at least one|exactly)|` +
	`got \d+ arguments|unexpected positional|takes no positional|at least one (?:positional )?argument|two values for|multiple values|a kind is an identifier like "OutOfStock", got ""`)

// stranger is how it refuses the argument zzz.
var stranger = regexp.MustCompile(`zzz|keyword`)

func TestTheTableIsTrue(t *testing.T) {
	t.Parallel()
	table := starlark.Signatures()
	var fns strings.Builder
	for _, name := range slices.Sorted(maps.Keys(table)) {
		fn := name
		if kind, method, ok := strings.Cut(name, "."); ok && receivers[kind] != "" {
			fn = receivers[kind] + "." + method
		}
		fmt.Fprintf(&fns, "        %q: lambda: %s,\n", name, fn)
	}
	p := mustCompile(t, prober+"\ndef builtins():\n    return {\n"+fns.String()+"    }\n")
	for name, s := range table {
		if name == "continue_as_new" { // refuses to be tried
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			holdTable(t, p, name, s)
		})
	}
}

func holdTable(t *testing.T, p *starlark.Program, name string, s starlark.Signature) {
	all := func(places int, names ...string) (probes []probe) {
		for i := range samples {
			probes = append(probes, try(t, p, name, places, names, i))
		}
		return probes
	}
	fits := func(probes []probe, what string) {
		for _, r := range probes {
			if complaint.MatchString(r.Message) {
				t.Errorf("%s: it says %q", what, r.Message)
			}
			if r.Type != "NoneType" && s.Result != "" && r.Type != s.Result {
				t.Errorf("%s: returned %s, want %s", what, r.Type, s.Result)
			}
		}
	}
	refused := func(probes []probe, complaint *regexp.Regexp, what string) {
		said := false
		for _, r := range probes {
			said = said || complaint.MatchString(r.Message)
			if r.OK || r.Waits {
				t.Errorf("%s: it is not refused", what)
			}
		}
		if !said {
			t.Errorf("%s: it says %q", what, messages(probes))
		}
	}
	for n := s.Required; n <= s.ByPlace; n++ {
		fits(all(n), fmt.Sprintf("%d by place", n))
	}
	if s.Required > 0 {
		refused(all(s.Required-1), complaint, "one too few")
	}
	if s.Rest {
		fits(all(s.ByPlace+3), "many by place")
	} else {
		refused(all(s.ByPlace+1), complaint, "one too many")
	}
	for i, param := range s.Names {
		switch {
		case i >= s.Only: // those before it by place, those behind it that are required by name, too
			names := []string{param}
			for n := i + 1; n < s.Required; n++ {
				names = append(names, s.Names[n])
			}
			places := min(i, max(s.Required, 0), s.ByPlace)
			fits(all(places, names...), "by name: "+param)
			if short := s.Short[i]; short != "" {
				names[0] = short
				fits(all(places, names...), "by its other name: "+short)
				refused(all(places, param, short), complaint, "by both its names: "+param)
			}
		case !s.Named:
			refused(all(max(s.Required-1, 0), param), complaint, "by name: "+param)
		}
	}
	if s.Named {
		fits(all(s.Required, "zzz"), "an unknown name")
	} else {
		refused(slices.Concat(all(0, "zzz"), all(s.Required, "zzz")), stranger, "an unknown name")
	}
	if s.Result != "" && !slices.ContainsFunc(all(s.Required), func(r probe) bool { return r.Type == s.Result }) {
		t.Error("nothing shows what it returns")
	}
}

func messages(probes []probe) (texts []string) {
	for _, r := range probes {
		if !slices.Contains(texts, r.Message) {
			texts = append(texts, r.Message)
		}
	}
	return texts
}

// try makes one call in an execution of its own.
func try(t *testing.T, p *starlark.Program, name string, places int, names []string, sample int) (r probe) {
	t.Helper()
	input, err := json.Marshal([]any{name, places, append([]string{}, names...), sample})
	if err != nil {
		t.Fatal(err)
	}
	o := options
	o.Input = input
	w := hosttest.New(hosttest.Standard())
	_, err = w.Run(p, o) // it may fail, of what the call has begun
	for _, l := range w.Lines {
		if said, ok := strings.CutPrefix(l.Message, "probe: "); ok {
			if err := json.Unmarshal([]byte(said), &r); err != nil {
				t.Fatal(err)
			}
			return r
		}
	}
	if err == nil || !strings.Contains(err.Error(), "quiet") && !strings.Contains(err.Error(), hosttest.ErrQuiet.Error()) {
		t.Fatalf("%s: no outcome: %v", name, err)
	}
	r.Waits = true
	return r
}
