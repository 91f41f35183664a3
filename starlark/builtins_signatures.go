// What the built-ins take, for those who judge a call without making it.

package starlark

import (
	"strings"

	star "go.starlark.net/starlark"
	"go.starlark.net/starlarkstruct"
)

// signatures are those of the built-ins, of the functions of modules ("module.name") and of
// the methods of values ("type.name"), in the form of parseSignature.
//
// A built-in reads its arguments itself, with star.UnpackArgs or by hand, which nobody can ask
// before the call. To have all of them read their arguments by this table was rejected: half of them are the
// library's. A test calls each one and compares what it takes.
var signatures = parseSignatures(map[string]string{
	"activity":        "name, *, " + optional(optionNames) + " -> activity",
	"workflow":        "name_or_function, *, " + optional(childOptions) + " -> workflow",
	"retry_policy":    "max_attempts?, initial_delay?, backoff_factor?, max_delay?, jitter?, retry_for?, no_retry_for?",
	"attempt":         "fn, /, *args, **kwargs -> Result",
	"Ok":              "value? -> Result",
	"Err":             "kind, message?, *, retryable?, **data -> Result",
	"error":           "kind, message?, *, retryable?, **data",
	"fail":            "*args, sep?",
	"parallel":        "tasks?, *more, limit?, settle?, timeout?",
	"race":            "tasks, *more, timeout?",
	"first_ok":        "tasks, *more, timeout?",
	"select":          "futures, *more, timeout?",
	"as_completed":    "futures?, *more, timeout?",
	"spawn":           "fn, /, *args, **kwargs -> Future",
	"bind":            "fn, /, *args, **kwargs",
	"timeout":         "duration, fn, /, *args, **kwargs",
	"shield":          "fn, /, *args, **kwargs",
	"semaphore":       "n -> semaphore",
	"wait_until":      "fn, *, timeout?",
	"sleep":           "duration|d",
	"sleep_until":     "time|t",
	"timer":           "duration|d -> Future",
	"wait_signal":     "name, *, timeout?, default?",
	"signal":          "name -> signal",
	"send_signal":     "execution_id, name, payload?",
	"execution":       "id -> execution",
	"defer":           "fn, /, *args, **kwargs",
	"on_failure":      "fn, /, *args, **kwargs",
	"continue_as_new": "*args, pin?, **kwargs",
	"progress":        "fraction?, message?",
	"status":          "text",
	"counter":         "name -> counter",
	"uuid4":           "",
	"struct":          "*, **fields",
	"sum":             "items, start?",
	"round":           "x, ndigits|n?",
	"isinstance":      "x, type",
	"fmt":             "x, spec",

	"parallel.map":     "fn, items, *, limit?, settle?, timeout?",
	"parallel.starmap": "fn, tuples, *, limit?, settle?, timeout?",
	"activity.start":   "*args, **kwargs -> Future",
	"activity.attempt": "*args, **kwargs -> Result",
	"activity.map":     "items, *, limit?, settle?, timeout?",
	"activity.starmap": "tuples, *, limit?, settle?, timeout?",
	"activity.options": "*, " + optional(optionNames) + " -> activity",
	"workflow.start":   "*args, **kwargs -> Future",
	"workflow.attempt": "*args, **kwargs -> Result",
	"workflow.map":     "items, *, limit?, settle?, timeout?",
	"workflow.starmap": "tuples, *, limit?, settle?, timeout?",
	"workflow.options": "*, " + optional(childOptions) + " -> workflow",
	"Future.result":    "timeout?",
	"Future.attempt":   "timeout? -> Result",
	"Future.cancel":    "",
	"Future.signal":    "name, payload?",
	"Result.unwrap":    "",
	"Result.unwrap_or": "default|x",
	"Result.map":       "fn -> Result",
	"Result.only":      "*kinds",
	"signal.recv":      "timeout?, default?",
	"signal.start":     "-> Future",
	"signal.drain":     "",
	"execution.signal": "name, payload?",
	"execution.cancel": "reason?",
	"execution.result": "timeout?",
	"semaphore.run":    "fn, /, *args, **kwargs",
	"counter.add":      "n?",

	"state.set":    "key|k, value|v",
	"state.get":    "key|k, default?",
	"state.update": "*, **values",
	"log.debug":    "message, /, **fields",
	"log.info":     "message, /, **fields",
	"log.warn":     "message, /, **fields",
	"log.error":    "message, /, **fields",

	"random.random":  "",
	"random.uniform": "a, b",
	"random.randint": "a, b",
	"random.choice":  "seq|list",
	"random.sample":  "seq|list, k|n",
	"random.shuffle": "list",

	"time.parse_time":        "x, format?, location?",
	"time.parse_duration":    "x",
	"time.from_timestamp":    "sec, nsec?",
	"time.is_valid_timezone": "name",
	"time.time":              "*, year?, month?, day?, hour?, minute?, second?, nanosecond?, location?",

	"json.encode":        "x",
	"json.encode_indent": "x, *, prefix?, indent?",
	"json.decode":        "text, default?",
	"json.indent":        "text, *, prefix?, indent?",

	"re.compile":   "pattern, flags?",
	"re.escape":    "pattern",
	"re.search":    "pattern, string, flags?",
	"re.match":     "pattern, string, flags?",
	"re.fullmatch": "pattern, string, flags?",
	"re.findall":   "pattern, string, flags?",
	"re.finditer":  "pattern, string, flags?",
	"re.split":     "pattern, string, maxsplit?, flags?",
	"re.sub":       "pattern, repl, string, count?, flags?",
	"re.subn":      "pattern, repl, string, count?, flags?",

	"base64.b64encode":         "s|x",
	"base64.b64decode":         "s|text",
	"base64.urlsafe_b64encode": "s|x",
	"base64.urlsafe_b64decode": "s|text",
	"base64.encode":            "s|x",
	"base64.decode":            "s|text",
	"hashlib.md5":              "data|x?",
	"hashlib.sha1":             "data|x?",
	"hashlib.sha256":           "data|x?",
	"hashlib.sha512":           "data|x?",

	"math.log": "x, base?, /",

	"abs":       "x, /",
	"all":       "items, /",
	"any":       "items, /",
	"bool":      "x?, /",
	"bytes":     "x, /",
	"chr":       "x, /",
	"dict":      "pairs?, /, **kwargs",
	"dir":       "x, /",
	"enumerate": "items, start?, /",
	"float":     "x?, /",
	"getattr":   "x, name, default?, /",
	"hasattr":   "x, name, /",
	"hash":      "x, /",
	"int":       "x, base?",
	"len":       "x, /",
	"list":      "items?, /",
	"max":       "x, /, *args, key?",
	"min":       "x, /, *args, key?",
	"ord":       "x, /",
	"print":     "*args, sep?",
	"range":     "start, stop?, step?, /",
	"repr":      "x, /",
	"reversed":  "items, /",
	"set":       "items?, /",
	"sorted":    "iterable, key?, reverse?",
	"str":       "x, /",
	"tuple":     "items?, /",
	"type":      "x, /",
	"zip":       "*args",
}, map[string]string{
	"x, /":    "ceil fabs floor round exp sqrt acos asin atan cos sin tan degrees radians acosh asinh atanh cosh sinh tanh gamma",
	"x, y, /": "copysign mod pow remainder atan2 hypot",
})

// withoutSignature are the built-ins that are not in the table, with the reason.
var withoutSignature = map[string]string{
	"random.seed": "does not exist, and says so itself",
	"info":        "is read, not called; the compiler calls it",
	"time.now":    "heeds no argument and refuses none",
}

func parseSignatures(one, math map[string]string) map[string]*signature {
	all := make(map[string]*signature, len(one))
	for name, text := range one {
		all[name] = parseSignature(text)
	}
	for text, names := range math {
		for name := range strings.FieldsSeq(names) {
			all["math."+name] = parseSignature(text)
		}
	}
	return all
}

// optional writes names as optional parameters.
func optional(names []string) string { return strings.Join(names, "?, ") + "?" }

// builtinSignatures are the signatures by built-in: a script may give one another name.
var builtinSignatures map[*star.Builtin]*signature

func signBuiltins(d star.StringDict) {
	for name, v := range d {
		switch v := v.(type) {
		case *star.Builtin:
			builtinSignatures[v] = signatures[name]
		case *starlarkstruct.Module:
			for member, m := range v.Members {
				if b, ok := m.(*star.Builtin); ok {
					builtinSignatures[b] = signatures[name+"."+member]
				}
			}
		}
	}
}
